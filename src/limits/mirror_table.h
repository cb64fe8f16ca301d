/*
 * mirror_table.h - the places of the mirror, found by a counter's id, and the locks over them.
 *
 *   header │ shards: lock, numbers │ sets of 8 places: 8 × id, 8 × entry
 *
 * As memory_table.h: an id belongs to one shard and, in it, to two sets; takes sorted by id lock shards in one order
 * everywhere; an id is taken away before its entry is overwritten and put there after.
 */
#ifndef LIMITS_MIRROR_TABLE_H
#define LIMITS_MIRROR_TABLE_H

#include "base/memory_lock.h"
#include "limits/mirror.h"

#define MIRROR_SHARDS_MAX 64
#define MIRROR_WAYS       8

struct mirror_entry {
    uint64_t id_hi;
    int64_t expires_us; /* from then on nothing in it matters */
    int64_t last_use_us;
    uint64_t newest; /* the slot that all rings end with */
    uint32_t period_s;
    uint32_t generation; /* changes with each counter that comes to lie here */
    uint16_t columns;    /* in use */
    uint16_t stem_len;
    uint32_t changes, closed_changes; /* outage_changes at the last reading, and when the closed window was read */
    uint32_t unseen;                  /* of the last reading */
    int64_t read_at_us;               /* 0: never */
    int64_t closed_read_at_us;        /* of closed_window; 0: never */
    uint64_t closed_window;
    int64_t denied_at_us;     /* 0: never */
    int64_t pushing_until_us; /* a push is under way */
    uint64_t forgotten;       /* mirror_forgets when it was last forgotten; 0: never */
    uint64_t unaged[COLUMNS]; /* what the last reading summed up to, or did when this node went alone */
    uint32_t seen[COLUMNS][WINDOW_CELLS];
    uint32_t own[COLUMNS][WINDOW_CELLS];
    uint32_t alone[COLUMNS][WINDOW_CELLS]; /* of own: decided alone since the last reading, told or not */
    int32_t since[COLUMNS][WINDOW_CELLS];
    char stem[REDIS_STEM_MAX_BYTES];
};

struct mirror_set {
    _Alignas(64) uint64_t id_lo[MIRROR_WAYS]; /* 0: empty */
    struct mirror_entry entries[MIRROR_WAYS];
};

struct mirror_shard {
    struct memory_lock lock;
    uint32_t generation;
    uint64_t evicted_live, evicted_since;
    uint64_t since_changes; /* atomic: grows before since does */
    /* The keeper's: so many entries had since when since_changes was that. */
    uint64_t counted_changes;
    uint32_t counted_due;
} __attribute__((aligned(64)));

struct mirror {
    uint64_t magic;
    uint64_t forgets; /* atomic */
    uint32_t shard_count;
    uint32_t sets_per_shard;
    struct mirror_shard shards[MIRROR_SHARDS_MAX];
    struct mirror_set sets[];
};

static inline unsigned mirror_shard_of(const struct mirror *m, struct hash128 id)
{
    return (unsigned)((id.lo >> 32) * m->shard_count >> 32);
}

MUST_USE bool mirror_lock(struct mirror *m, unsigned shard, int64_t *wait_us);
void mirror_unlock(struct mirror *m, unsigned shard);

/* With its shard locked. NULL: not there. */
struct mirror_entry *mirror_find(struct mirror *m, struct hash128 id);
/* Makes it, empty, for the counter; it must not be there. Never fails: something goes. newest and expires_us are the
 * caller's to set. */
struct mirror_entry *mirror_make(struct mirror *m, const struct counter *counter, struct str stem, int64_t now_us);
/* Another generation: local charges made before cannot be given back any more. */
void mirror_entry_renew(struct mirror *m, struct hash128 id, struct mirror_entry *e);
/* The sets of a shard, one after the other. */
struct mirror_set *mirror_shard_sets(struct mirror *m, unsigned shard);
bool mirror_entry_has_since(const struct mirror_entry *e);

/* The slot that now counts as for the entry (NULL: none): an earlier now is taken for the newest it saw, unless that
 * was written while the clock was far ahead. */
uint64_t mirror_slot_at(struct mirror_entry *e, uint32_t period_s, int64_t now_us);
/* Moves the entry to a slot (>= newest): all rings then end with it. */
void mirror_entry_move(struct mirror_entry *e, uint64_t slot);

#endif
