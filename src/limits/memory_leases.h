/*
 * memory_leases.h - open connections in the embedded table: per entity a list of (owner, count), 25 in an entry,
 * carried on in further entries of the same shard where more workers hold some (old ones that drain after a reload are
 * workers too).
 *
 * There is no total beside the list: the total is its sum. So a worker that is killed at any instant leaves at worst
 * its own count one too high or too low, and that goes with it when the supervisor releases the dead owner.
 */
#ifndef LIMITS_MEMORY_LEASES_H
#define LIMITS_MEMORY_LEASES_H

#include "limits/memory_table.h"
#include "limits/store.h"

/* All with the shard locked, but for the last. e: the counter's entry, or NULL. */
bool memory_leases_look(struct table *t, struct take *take, const struct table_entry *e);
void memory_leases_charge(struct table *t, struct take *take, uint32_t owner, int64_t now_us);
void memory_leases_drop(struct table *t, struct hash128 id, uint32_t owner, uint32_t count, uint32_t generation);
/* How many this owner holds. */
uint64_t memory_leases_of(struct table *t, struct hash128 id, uint32_t owner);
/* All of them: nobody who holds any is alive, and nobody else uses the table. */
void memory_leases_forget(struct table *t);
/* Walks the whole table, a shard's lock at a time. */
void memory_leases_release(struct table *t, uint32_t owner, int64_t lock_wait_us);

#endif
