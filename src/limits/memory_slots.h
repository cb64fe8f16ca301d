/*
 * memory_slots.h - counters of slots in the embedded table: what an entry's rings say now, and what is added to them.
 *
 * All with the entry's shard locked. An entry's time never runs backwards: an earlier now is taken for the newest slot
 * it saw, unless that was written while the clock was far ahead.
 */
#ifndef LIMITS_MEMORY_SLOTS_H
#define LIMITS_MEMORY_SLOTS_H

#include "limits/memory_table.h"
#include "limits/store.h"

/* The slot that now counts as for this counter; e: its entry, or NULL. */
uint64_t memory_slots_at(struct table *t, const struct counter *counter, struct table_entry *e, int64_t now_us);
/* The counter's entry (e, if it still is; else found, else made), moved to now: its rings speak of *slot. */
struct table_entry *memory_slots_open(struct table *t, const struct counter *counter, struct table_entry *e,
                                      int64_t now_us, uint64_t *slot);
/* The time until `cost` more in this ring (a copy, last moved to `newest`; it is changed) is no more than allowed; of
 * TAKE_ALWAYS, until what is counted with it is not. Only a refusal asks. */
int64_t memory_slots_wait(const struct take *take, uint32_t ring[WINDOW_CELLS], uint64_t newest, uint64_t slot,
                          uint32_t cost, uint64_t allowed, int64_t now_us);

/* Answers the take as of now, charging nothing. Does it go on? */
bool memory_slots_look(struct table *t, struct take *take, struct table_entry *e, int64_t now_us);
/* Moves the counter to now and adds `cost` there instead of what is held. */
void memory_slots_charge(struct table *t, struct take *take, const uint32_t cost[COLUMNS], int64_t now_us);
/* The columns whose cost is not 0 are empty; what was charged before cannot be given back any more. e: NULL, there is
 * nothing. */
void memory_slots_forget(struct table *t, const struct take *take, struct table_entry *e);
/* Takes back what is held, if it still counts. */
void memory_slots_give_back(struct table *t, struct take *take);

#endif
