/* window.c - the strict window of 16 slots. See window.h. */
#include "limits/window.h"

#define SLOT_US_PER_S 62500 /* a sixteenth of a second */

static inline size_t cell_of(uint64_t slot)
{
    return (size_t)(slot % WINDOW_CELLS);
}

uint64_t window_slot(int64_t now_us, uint32_t period_s)
{
    return (uint64_t)now_us / ((uint64_t)period_s * SLOT_US_PER_S);
}

int64_t window_slot_start_us(uint64_t slot, uint32_t period_s)
{
    return (int64_t)(slot * period_s * SLOT_US_PER_S);
}

bool window_holds(uint64_t newest, uint64_t n)
{
    return n <= newest && newest - n <= WINDOW_SLOTS;
}

uint64_t window_used(const uint32_t ring[WINDOW_CELLS], uint64_t newest, uint64_t slot)
{
    uint64_t sum = 0;
    if (slot ==
        newest) { /* the common case: all of it counts. Sixteen and one, which a compiler turns into four and one */
        for (size_t i = 0; i < WINDOW_SLOTS; i++)
            sum += ring[i];
        return sum + ring[WINDOW_SLOTS];
    }
    for (uint64_t n = slot > WINDOW_SLOTS ? slot - WINDOW_SLOTS : 0; n <= newest; n++)
        sum += ring[cell_of(n)];
    return sum;
}

uint64_t window_owed(const int32_t ring[WINDOW_CELLS])
{
    int64_t sum = 0;
    for (size_t i = 0; i < WINDOW_SLOTS; i++) /* sixteen and one, as above */
        sum += MAX_OF(ring[i], 0);
    return (uint64_t)(sum + MAX_OF(ring[WINDOW_SLOTS], 0));
}

void window_move(uint32_t ring[WINDOW_CELLS], uint64_t newest, uint64_t slot)
{
    uint64_t steps = slot - newest;
    for (uint64_t k = 1; k <= steps && k <= WINDOW_CELLS; k++)
        ring[cell_of(newest + k)] = 0;
}

uint32_t window_add(uint32_t ring[WINDOW_CELLS], uint64_t slot, uint32_t n)
{
    uint32_t *cell = &ring[cell_of(slot)];
    uint32_t added = MIN_OF(n, UINT32_MAX - *cell);
    *cell += added;
    return added;
}

void window_take_back(uint32_t ring[WINDOW_CELLS], uint64_t slot, uint32_t n)
{
    uint32_t *cell = &ring[cell_of(slot)];
    *cell -= MIN_OF(n, *cell);
}

uint64_t window_fits_at(const uint32_t ring[WINDOW_CELLS], uint64_t newest, uint64_t slot, uint64_t room)
{
    uint64_t used = window_used(ring, newest, slot);
    for (uint64_t k = 1; k < WINDOW_CELLS; k++) {
        /* At slot + k the slot 17 before it is the first that no longer counts. */
        if (slot + k >= WINDOW_CELLS && window_holds(newest, slot + k - WINDOW_CELLS))
            used -= ring[cell_of(slot + k - WINDOW_CELLS)];
        if (used <= room)
            return slot + k;
    }
    return slot + WINDOW_CELLS; /* by then nothing counts */
}
