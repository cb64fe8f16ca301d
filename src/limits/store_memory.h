/*
 * store_memory.h - the embedded store's tables, in one shared mapping that the supervisor makes and every worker
 * inherits: counters, and the different values that some of them count.
 *
 * The supervisor: store_memory_size, an anonymous shared mapping of that many bytes, store_memory_init; then each
 * worker opens the store "memory" on it. The tables outlive workers and reloads. What is never used stays untouched,
 * and so costs no memory: without limits on different values, the second table is only addresses.
 */
#ifndef LIMITS_STORE_MEMORY_H
#define LIMITS_STORE_MEMORY_H

#include "limits/store.h"

#define STORE_MEMORY_ENTRIES_DEFAULT 65536
#define STORE_MEMORY_ENTRIES_MIN     1024
#define STORE_MEMORY_ENTRIES_MAX     100000000

extern const struct store_ops store_memory_ops;

/* For each counter's place there are so many for values. */
#define STORE_MEMORY_MEMBERS_PER_ENTRY 4

/* What tables of at least `entries` counters need; about 400 bytes each. */
size_t store_memory_size(size_t entries);
/* Makes empty tables in store_memory_size(entries) bytes of zeros (a fresh mapping), aligned to 64. */
MUST_USE bool store_memory_init(void *memory, size_t entries, struct err *err);
/* Tables of that many entries that an earlier run of the service left, in memory that a file keeps: they count on, but
 * for open connections, which ended with it. */
MUST_USE bool store_memory_reopen(void *memory, size_t entries, struct err *err);
/* Nobody may use it any more. */
void store_memory_fini(void *memory);

/* How many leases of the counter an owner holds; UINT64_MAX: the lock was not had in time. */
uint64_t store_memory_leases_of(struct store *store, struct hash128 id, uint32_t owner);

struct store_memory_stats {
    uint64_t entries; /* there is room for */
    uint64_t live;    /* hold a count that still matters */
    uint64_t created; /* since the start */
    uint64_t
        evicted_live; /* counts thrown away for lack of room: that many entities may have got too much. Should be 0 */
    uint64_t members; /* values there is room for */
    uint64_t members_live;         /* are counted or remembered */
    uint64_t members_evicted_live; /* for lack of room: such a value counts twice for a while. Should be 0 */
    uint64_t recovered;            /* locks taken over from a worker that died holding them */
    uint64_t timeouts; /* a lock was not had in time: the take failed, or a charge could not be given back */
};
/* evicted_live and members_evicted_live together, without a look at any entry: cheap enough for every second. */
uint64_t store_memory_evicted(void *memory);
/* Looks at every entry: for a metrics page, not for every mail. */
void store_memory_stats_get(void *memory, int64_t now_us, struct store_memory_stats *stats);
/* Likewise: how many counters cannot be as they are: of slots that no clock has reached, or with an end that is not
 * theirs. repairs: the first are thrown away, the others get their end. */
uint64_t store_memory_audit(void *memory, int64_t now_us, bool repairs);

#endif
