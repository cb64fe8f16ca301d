/*
 * window.h - the strict window of 16 slots: arithmetic only, no clock, no memory (LIMITS.md, "The window").
 *
 * A window of length P is cut into 16 slots, numbered from 1970 on: slot = floor(16 * now / P). Number n is index n mod
 * 16 of the window numbered n / 16, which is how LIMITS.md and Redis' keys count; here one number serves, because
 *
 *     used = current[0..15] + previous[s..15] = the 17 slots that end with the one now is in
 *
 * and 17 slots cover every interval of length P that ends now, wherever in its slot it began. So no interval of P ever
 * holds more than was once found in `used`; the price is that a count stays for up to P/16 longer than P.
 *
 *     slot   n-16 n-15 n-14  …   n-1   n
 *            |----|----|---- … |----|--now
 *              <────────── P ─────────>         the oldest slot may be covered in part: it counts in full
 *
 * A ring holds these 17 cells, the cell of slot n at n mod 17, and its owner remembers the newest slot they speak of.
 * Microseconds divide evenly (a second is 64 * 15625), so a slot's start is exact and `retry-after` is right to the
 * microsecond.
 */
#ifndef LIMITS_WINDOW_H
#define LIMITS_WINDOW_H

#include "base/defs.h"

#define WINDOW_SLOTS 16
#define WINDOW_CELLS (WINDOW_SLOTS + 1)

/* The slot that now (microseconds since 1970, not negative) is in; period_s > 0. */
uint64_t window_slot(int64_t now_us, uint32_t period_s);
/* Its first microsecond. */
int64_t window_slot_start_us(uint64_t slot, uint32_t period_s);

/* Is slot n still among the 17 cells of a ring whose newest slot is `newest`? */
bool window_holds(uint64_t newest, uint64_t n);
/* The sum of the 17 slots that end with `slot`, of a ring that was last moved to `newest` (<= slot). Changes nothing.
 */
uint64_t window_used(const uint32_t ring[WINDOW_CELLS], uint64_t newest, uint64_t slot);
/* The sum of the cells of a ring that are above nothing: of what is still to be said. */
uint64_t window_owed(const int32_t ring[WINDOW_CELLS]);
/* Drops what is older than the 17 slots that end with `slot` (>= newest): the ring then speaks of `slot`. */
void window_move(uint32_t ring[WINDOW_CELLS], uint64_t newest, uint64_t slot);
/* Adds to a slot that the ring holds; stops at UINT32_MAX and returns what was really added, so that it can be taken
 * back. */
uint32_t window_add(uint32_t ring[WINDOW_CELLS], uint64_t slot, uint32_t n);
/* Takes back from a slot that the ring holds; never below 0. */
void window_take_back(uint32_t ring[WINDOW_CELLS], uint64_t slot, uint32_t n);
/* The first slot after `slot` (>= newest) at which, if nothing is added, no more than `room` is used. At the latest
 * slot + 17. */
uint64_t window_fits_at(const uint32_t ring[WINDOW_CELLS], uint64_t newest, uint64_t slot, uint64_t room);

#endif
