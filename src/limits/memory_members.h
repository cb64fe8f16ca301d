/*
 * memory_members.h - the second shared table under store_memory.c: values seen, each for one counter or one memory.
 *
 *   header │ shards: lock, numbers │ sets of 8 places: 8 × id, 8 × record (32 bytes a place in all)
 *
 * A counter of different values (memory_distinct.h) is an ordinary counter of slots; what makes it one of different
 * values is that here stands, for each value, in which slot it counts. So counting is exact for any number of values,
 * a value seen again costs one look, and what one entity sees takes room from the common table only.
 *
 * An id names the counter and the value in it. It belongs to one shard and to two sets of that; what goes for lack of
 * room is what has expired, else what expires first. A record that had to go is a value that will count twice until its
 * first slot is over: never one too few. Locks, and the order of writes, as in memory_table.h; whoever needs both
 * tables locks that one first.
 */
#ifndef LIMITS_MEMORY_MEMBERS_H
#define LIMITS_MEMORY_MEMBERS_H

#include "base/memory_lock.h"
#include "limits/store.h"

#define MEMBERS_SHARDS_MAX 64 /* so that a set of shards is one word */
#define MEMBERS_WAYS       8

#define MEMBER_NOT_KEPT 0xff

struct member_record {
    int64_t expires_us;  /* from then on nothing in it matters; counted ones: the end of the 17 slots from its own */
    uint32_t id_hi;      /* with the place's id_lo 96 bits of a keyed hash */
    uint32_t stamp;      /* never 0, another with each record that is made: whoever holds it knows it again */
    uint32_t generation; /* of the counter's entry that counts it; 0: it is only remembered */
    uint16_t holds;      /* takes that hold it, not yet kept or given back */
    uint8_t kept_age;    /* how many slots before its slot it was kept last; MEMBER_NOT_KEPT: in none that counts */
    uint8_t spare;
};

struct members_set {
    uint64_t id_lo[MEMBERS_WAYS]; /* 0: empty */
    struct member_record records[MEMBERS_WAYS];
};

struct members_shard {
    struct memory_lock lock;
    uint32_t stamp; /* of the last record made */
    uint64_t made, evicted_live;
} __attribute__((aligned(64)));

struct members {
    uint32_t shard_count;
    uint32_t sets_per_shard;
    struct members_shard shards[MEMBERS_SHARDS_MAX];
    struct members_set sets[];
};

/* Bytes, for room for so many values. */
size_t members_size(size_t count);
/* In members_size(count) bytes of zeros. 0, or an errno. */
MUST_USE int members_init(struct members *m, size_t count);
/* Its locks; the memory stays the caller's. */
void members_fini(struct members *m);

/* The shards that a take's values lie in, a bit each; fetches into the processor's cache what members_find will look
 * at. */
uint64_t members_shards_of(struct members *m, const struct take *take);
/* Locks them all, ascending. False: not had within *wait_us; none is locked. */
MUST_USE bool members_lock(struct members *m, uint64_t shards, int64_t *wait_us);
void members_unlock(struct members *m, uint64_t shards);

/* With its shard locked. NULL: not there. */
struct member_record *members_find(struct members *m, const struct take_member *id);
/* Makes the value's record, or makes it anew where it is there, from `record`, which needs no id_hi and stamp. Never
 * fails: something goes. */
struct member_record *members_make(struct members *m, const struct take_member *id, const struct member_record *record,
                                   int64_t now_us);
/* Its record, as members_find returned it, is no more. */
void members_remove(struct members *m, const struct take_member *id);

struct members_stats {
    uint64_t places, live, evicted_live, recovered, timeouts;
};
/* What went for lack of room; looks at no record and locks nobody. */
uint64_t members_evicted(const struct members *m);
/* Looks at every record. */
void members_stats_get(struct members *m, int64_t now_us, struct members_stats *stats);

#endif
