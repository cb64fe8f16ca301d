/*
 * memory_table.h - the shared table under store_memory.c: places for counters, found by hash, and the locks over them.
 *
 *   header │ shards: lock, numbers │ sets of 8 places: 8 × id, 8 × entry (256 bytes a place in all)
 *
 * An id belongs to one shard and, in it, to two sets; it lies in either, wherever more was free when it came. So
 * nothing live has to go until the table is three quarters full (measured: one in 4000 at 80 %, one in 130 at 90 %).
 * What goes: what has expired, oldest first; then what was not used for longest, but open connections last, for they do
 * not come back by themselves.
 *
 * A worker may be killed between any two instructions, also while it holds a lock (memory_lock.h). Every write below is
 * ordered so that what is there at each moment is a valid table whose counts are, at worst, too high by the one mail
 * that died: an id is taken away before its entry is overwritten and put
 * there after; old cells are cleared before the entry says it speaks of new slots.
 */
#ifndef LIMITS_MEMORY_TABLE_H
#define LIMITS_MEMORY_TABLE_H

#include "base/hash.h"
#include "base/memory_lock.h"
#include "limits/limit.h"
#include "limits/window.h"

#define TABLE_SHARDS_MAX  64 /* so that a set of shards is one word */
#define TABLE_WAYS        8
#define TABLE_LEASE_PAIRS 25

/* How many leases one worker holds; owner 0: free. */
struct table_lease {
    uint32_t owner;
    uint32_t count;
};

struct table_entry {
    uint64_t id_hi;
    int64_t expires_us; /* from then on nothing in it matters; leases: INT64_MAX */
    int64_t last_use_us;
    uint64_t newest;     /* the slot that the rings were last moved to */
    uint32_t period_s;   /* 0: holds leases */
    uint32_t generation; /* changes with each counter that comes to lie here */
    union {
        uint32_t rings[COLUMNS][WINDOW_CELLS];
        struct table_lease leases[TABLE_LEASE_PAIRS];
    };
    uint32_t links; /* leases: how many further entries carry on its list */
};

struct table_set {
    uint64_t id_lo[TABLE_WAYS]; /* 0: empty. Together, so that a look costs one cache line */
    struct table_entry entries[TABLE_WAYS];
};

struct table_shard {
    struct memory_lock lock;
    uint32_t generation; /* of the last entry made */
    uint64_t created, evicted_live;
} __attribute__((aligned(64)));

struct table {
    uint64_t magic;
    uint32_t
        shard_count; /* about one for 1024 entries: a shard must be large, or shards would fill unlike each other */
    uint32_t sets_per_shard;
    struct hash_key key;
    struct table_shard shards[TABLE_SHARDS_MAX];
    struct table_set sets[];
};

/* Bytes, for room for so many entries. */
size_t table_size(size_t entries);
/* In table_size(entries) bytes of zeros. 0, or an errno. */
MUST_USE int table_init(struct table *t, size_t entries);
/* A table of that many entries that a process left which is dead: its locks are made anew. 0, or an errno. */
MUST_USE int table_reinit(struct table *t, size_t entries);
/* Was it made, and made whole? */
bool table_is_valid(const struct table *t);
/* What follows the table in memory, aligned to 64. */
void *table_end(struct table *t);

/* Ascends with id.lo, so that takes sorted by it lock in one order everywhere. */
static inline unsigned table_shard_of(const struct table *t, struct hash128 id)
{
    return (unsigned)((id.lo >> 32) * t->shard_count >> 32);
}

/* False: not had within *wait_us (a worker that was stopped holds it), from which the time spent is taken off. */
MUST_USE bool table_lock(struct table *t, unsigned shard, int64_t *wait_us);
void table_unlock(struct table *t, unsigned shard);

/* Fetches into the processor's cache what table_find will look at; no lock needed. */
void table_prefetch(struct table *t, struct hash128 id);
/* With its shard locked. NULL: not there. */
struct table_entry *table_find(struct table *t, struct hash128 id);
/* Makes it, empty, with all fields but newest and expires_us set; it must not be there. Never fails: something goes. */
struct table_entry *table_make(struct table *t, struct hash128 id, uint32_t period_s, int64_t now_us);
/* What table_find returned a moment ago, the shard locked all the time: may have had to go meanwhile, for another that
 * was made. */
static inline bool table_is_still(const struct table_entry *e, struct hash128 id)
{
    return e && e->id_hi == id.hi;
}
/* Another generation: what was charged before cannot be given back any more. */
void table_renew_generation(struct table *t, struct hash128 id, struct table_entry *e);

/* The sets of a shard, one after the other. */
struct table_set *table_shard_sets(struct table *t, unsigned shard);

#endif
