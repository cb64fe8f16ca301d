/*
 * lease_table.h - the leases that one process holds in Redis: by counter, and in the order in which they must be
 * renewed. No clock, no network: redis_leases_held.c has those.
 *
 *   id ─▶ set: key, numbers 7, 8, 12      members NODE.OWNER.7 … of the key
 *   due:  the set that is renewed next ── … ── the one that was renewed last
 *   away: sets that are due, whose shard cannot be reached, or was a moment ago
 *
 * A set is as long as what it holds: 16 bytes for each open connection, 200 for each address that has any.
 */
#ifndef LIMITS_LEASE_TABLE_H
#define LIMITS_LEASE_TABLE_H

#include "base/hash.h"
#include "base/list.h"
#include "base/map.h"

struct lease_set {
    struct list node; /* of due or away */
    struct hash128 id;
    int64_t due_ms;
    bool is_away;
    uint32_t count, max;
    uint64_t *numbers; /* heap */
    struct str key;    /* in the same piece of memory */
};

struct lease_table {
    struct map sets; /* by id */
    struct list due, away;
    uint64_t count; /* of all leases */
};

/* It holds nothing. */
void lease_table_init(struct lease_table *t);
/* All that it holds is forgotten, and runs out in Redis by itself. */
void lease_table_fini(struct lease_table *t);

/* Adds numbers first, first + 1 …; a new set is due at due_ms. NULL: no memory, nothing is added. */
struct lease_set *lease_table_add(struct lease_table *t, struct hash128 id, struct str key, uint64_t first,
                                  uint32_t count, int64_t due_ms);
/* NULL: none is held. */
struct lease_set *lease_table_find(const struct lease_table *t, struct hash128 id);
/* Takes up to `count` numbers out of the set, into `numbers`; returns how many. An empty set stays until
 * lease_table_drop_empty: its key is needed to say so. */
uint32_t lease_table_take(struct lease_table *t, struct lease_set *set, uint32_t count, uint64_t *numbers);
void lease_table_drop_empty(struct lease_table *t, struct lease_set *set);

/* The set that is due by now_ms; NULL: none. */
struct lease_set *lease_table_due(const struct lease_table *t, int64_t now_ms);
/* It was renewed: it is due again at due_ms, later than all others. */
void lease_table_renewed(struct lease_table *t, struct lease_set *set, int64_t due_ms);
/* It could not be: it waits behind all others that could not. */
void lease_table_set_away(struct lease_table *t, struct lease_set *set);
/* All are to be renewed as soon as can be. */
void lease_table_set_all_away(struct lease_table *t);

#endif
