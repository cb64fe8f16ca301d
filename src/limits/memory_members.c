/* memory_members.c - the shared table of values seen. See memory_members.h. */
#include "limits/memory_members.h"

#include <string.h>

#include "limits/memory_sets.h"

_Static_assert(sizeof(struct members_set) / MEMBERS_WAYS == 32, "a place is 32 bytes");

static size_t shards_for(size_t count)
{
    return memory_shards_for(count, MEMBERS_SHARDS_MAX);
}

/* Of each shard. */
static size_t sets_for(size_t count)
{
    return memory_sets_for(count, shards_for(count), MEMBERS_WAYS);
}

size_t members_size(size_t count)
{
    return sizeof(struct members) + shards_for(count) * sets_for(count) * sizeof(struct members_set);
}

int members_init(struct members *m, size_t count)
{
    int rc = 0;
    m->shard_count = (uint32_t)shards_for(count);
    m->sets_per_shard = (uint32_t)sets_for(count);
    for (size_t i = 0; i < m->shard_count && !rc; i++)
        rc = memory_lock_init(&m->shards[i].lock);
    return rc;
}

void members_fini(struct members *m)
{
    for (size_t i = 0; i < m->shard_count; i++)
        memory_lock_fini(&m->shards[i].lock);
}

static unsigned shard_of(const struct members *m, uint64_t id_lo)
{
    return (unsigned)((id_lo >> 32) * m->shard_count >> 32);
}

/* The two sets a value may lie in; different ones. */
static void sets_of(struct members *m, const struct take_member *id, struct members_set *sets[2])
{
    struct members_set *base = &m->sets[(size_t)shard_of(m, id->lo) * m->sets_per_shard];
    uint64_t two[2];
    memory_two_sets(m->sets_per_shard, id->hi, (uint32_t)id->lo, two);
    sets[0] = &base[two[0]];
    sets[1] = &base[two[1]];
}

uint64_t members_shards_of(struct members *m, const struct take *take)
{
    uint64_t shards = 0;
    for (size_t i = 0; i < take->member_count; i++) {
        struct members_set *sets[2];
        sets_of(m, &take->members[i], sets);
        __builtin_prefetch(sets[0]);
        __builtin_prefetch(sets[1]);
        shards |= UINT64_C(1) << shard_of(m, take->members[i].lo);
    }
    return shards;
}

bool members_lock(struct members *m, uint64_t shards, int64_t *wait_us)
{
    uint64_t had = 0;
    for (uint64_t left = shards; left; left &= left - 1) {
        unsigned shard = (unsigned)__builtin_ctzll(left);
        if (!memory_lock_take(&m->shards[shard].lock, wait_us)) {
            members_unlock(m, had);
            return false;
        }
        had |= UINT64_C(1) << shard;
    }
    return true;
}

void members_unlock(struct members *m, uint64_t shards)
{
    for (; shards; shards &= shards - 1)
        memory_lock_drop(&m->shards[__builtin_ctzll(shards)].lock);
}

/* Its place in its sets. False: none. */
static bool locate(struct members *m, const struct take_member *id, struct members_set **set, size_t *place)
{
    struct members_set *sets[2];
    sets_of(m, id, sets);
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < MEMBERS_WAYS; i++)
            if (sets[k]->id_lo[i] == id->lo && sets[k]->records[i].id_hi == id->hi) {
                *set = sets[k];
                *place = i;
                return true;
            }
    return false;
}

struct member_record *members_find(struct members *m, const struct take_member *id)
{
    struct members_set *set;
    size_t place;
    return locate(m, id, &set, &place) ? &set->records[place] : NULL;
}

/* When it would go: what is empty first, then what expires first. */
static int64_t goes_at(const struct members_set *set, size_t place)
{
    return set->id_lo[place] ? set->records[place].expires_us : INT64_MIN;
}

struct victim {
    struct members_set *set;
    size_t place;
    size_t free_count;
};

static struct victim victim_of(struct members_set *set, int64_t now_us)
{
    struct victim v = {set, 0, 0};
    for (size_t i = 0; i < MEMBERS_WAYS; i++) {
        v.free_count += goes_at(set, i) <= now_us;
        if (goes_at(set, i) < goes_at(set, v.place))
            v.place = i;
    }
    return v;
}

/* Of the two sets the one with more room, so that they fill alike. */
static struct victim choose(struct members *m, const struct take_member *id, int64_t now_us)
{
    struct members_set *sets[2];
    sets_of(m, id, sets);
    struct victim a = victim_of(sets[0], now_us), b = victim_of(sets[1], now_us);
    if (a.free_count || b.free_count)
        return b.free_count > a.free_count ? b : a;
    return goes_at(b.set, b.place) < goes_at(a.set, a.place) ? b : a;
}

struct member_record *members_make(struct members *m, const struct take_member *id, const struct member_record *record,
                                   int64_t now_us)
{
    struct members_shard *shard = &m->shards[shard_of(m, id->lo)];
    struct members_set *set;
    size_t place;
    if (!locate(m, id, &set, &place)) {
        struct victim v = choose(m, id, now_us);
        shard->evicted_live += v.free_count == 0;
        set = v.set;
        place = v.place;
    }
    shard->made++;
    shard->stamp += shard->stamp == UINT32_MAX ? 2 : 1;
    struct member_record *r = &set->records[place];
    set->id_lo[place] = 0;
    MEMORY_ORDER();
    *r = *record;
    r->id_hi = id->hi;
    r->stamp = shard->stamp;
    MEMORY_ORDER();
    set->id_lo[place] = id->lo;
    return r;
}

void members_remove(struct members *m, const struct take_member *id)
{
    struct members_set *set;
    size_t place;
    if (locate(m, id, &set, &place))
        set->id_lo[place] = 0;
}

uint64_t members_evicted(const struct members *m)
{
    uint64_t sum = 0;
    for (size_t s = 0; s < m->shard_count; s++)
        sum += __atomic_load_n(&m->shards[s].evicted_live, __ATOMIC_RELAXED);
    return sum;
}

void members_stats_get(struct members *m, int64_t now_us, struct members_stats *stats)
{
    *stats = (struct members_stats){.places = (uint64_t)m->shard_count * m->sets_per_shard * MEMBERS_WAYS};
    for (size_t s = 0; s < m->shard_count; s++) {
        const struct members_shard *shard = &m->shards[s];
        int64_t wait_us = MEMORY_LOCK_WAIT_US;
        bool locked = members_lock(m, UINT64_C(1) << s, &wait_us);
        const struct members_set *sets = &m->sets[s * m->sets_per_shard];
        for (size_t k = 0; k < m->sets_per_shard && locked && shard->made; k++) /* else untouched, so let it be */
            for (size_t i = 0; i < MEMBERS_WAYS; i++)
                stats->live += sets[k].id_lo[i] && sets[k].records[i].expires_us > now_us;
        stats->evicted_live += shard->evicted_live;
        stats->recovered += shard->lock.recovered;
        stats->timeouts += memory_lock_timeouts(&shard->lock);
        if (locked)
            members_unlock(m, UINT64_C(1) << s);
    }
}
