/*
 * memory_distinct.h - counters of different values, and memories of values, in the embedded store.
 *
 * Such a counter is an entry of the counters' table whose ring holds, per slot, how many values were seen in it for the
 * last time; the value's record in the members' table says which slot that is. A value seen again moves its one to the
 * slot of now, so the ring's sum is the number of different values of the last 17 slots, exactly.
 *
 *   ring     … 0 1 0 0 2 1        alice's networks: four
 *   records    │     │ └ d        d seen again: its one moves, the sum stays
 *              a     b,c          e seen: one more in the newest slot, if it fits
 *
 * What a take holds can be given back: a record counts its holders, and remembers the slot in which the value was last
 * kept; when the last holder gives it back, it returns there, or goes. The ring is written before the record where one
 * is added, and after it where one is taken away: a worker that is killed in between leaves at worst a one too many,
 * until its slot is over.
 *
 * A memory (COUNTER_KNOWN) has records only, without counter: what was seen within period_s.
 */
#ifndef LIMITS_MEMORY_DISTINCT_H
#define LIMITS_MEMORY_DISTINCT_H

#include "limits/memory_members.h"
#include "limits/memory_table.h"

/* All with the counter's shard and those of the values locked. As their likes in memory_slots.h; e: the counter's
 * entry, or NULL. */
bool memory_distinct_look(struct table *t, struct members *m, struct take *take, struct table_entry *e, int64_t now_us);
void memory_distinct_charge(struct table *t, struct members *m, struct take *take, int64_t now_us);
void memory_distinct_give_back(struct table *t, struct members *m, struct take *take);
/* The values were really seen now: they count from then on, whatever is allowed. */
void memory_distinct_keep(struct table *t, struct members *m, struct take *take, int64_t now_us);

/* How many of the values are remembered. Always goes on. */
bool memory_known_look(struct members *m, struct take *take, int64_t now_us);
/* They are, from now on. */
void memory_known_charge(struct members *m, struct take *take, int64_t now_us);

#endif
