/* memory_table.c - places for counters, and the locks over them. See memory_table.h. */
#include "limits/memory_table.h"

#include "limits/memory_sets.h"

#define TABLE_MAGIC 0x6d772d6c696d6931ULL

_Static_assert(sizeof(struct table_set) == (size_t)TABLE_WAYS * 256, "a place is 256 bytes");

static size_t shards_for(size_t entries)
{
    return memory_shards_for(entries, TABLE_SHARDS_MAX);
}

/* Of each shard. */
static size_t sets_for(size_t entries)
{
    return memory_sets_for(entries, shards_for(entries), TABLE_WAYS);
}

size_t table_size(size_t entries)
{
    return sizeof(struct table) + shards_for(entries) * sets_for(entries) * sizeof(struct table_set);
}

int table_init(struct table *t, size_t entries)
{
    t->key = hash_key_random();
    return table_reinit(t, entries);
}

int table_reinit(struct table *t, size_t entries)
{
    int rc = 0;
    t->shard_count = (uint32_t)shards_for(entries);
    t->sets_per_shard = (uint32_t)sets_for(entries);
    for (size_t i = 0; i < t->shard_count && !rc; i++)
        rc = memory_lock_init(&t->shards[i].lock);
    if (!rc)
        t->magic = TABLE_MAGIC;
    return rc;
}

bool table_is_valid(const struct table *t)
{
    return t->magic == TABLE_MAGIC;
}

void *table_end(struct table *t)
{
    return &t->sets[(size_t)t->shard_count * t->sets_per_shard];
}

bool table_lock(struct table *t, unsigned shard, int64_t *wait_us)
{
    return memory_lock_take(&t->shards[shard].lock, wait_us);
}

void table_unlock(struct table *t, unsigned shard)
{
    memory_lock_drop(&t->shards[shard].lock);
}

struct table_set *table_shard_sets(struct table *t, unsigned shard)
{
    return &t->sets[(size_t)shard * t->sets_per_shard];
}

/* The two sets an id may lie in; different ones. */
static void sets_of(struct table *t, struct hash128 id, struct table_set *sets[2])
{
    struct table_set *base = table_shard_sets(t, table_shard_of(t, id));
    uint64_t two[2];
    memory_two_sets(t->sets_per_shard, (uint32_t)id.hi, (uint32_t)(id.hi >> 32), two);
    sets[0] = &base[two[0]];
    sets[1] = &base[two[1]];
}

void table_prefetch(struct table *t, struct hash128 id)
{
    struct table_set *sets[2];
    sets_of(t, id, sets);
    __builtin_prefetch(sets[0]);
    __builtin_prefetch(sets[1]);
}

struct table_entry *table_find(struct table *t, struct hash128 id)
{
    struct table_set *sets[2];
    sets_of(t, id, sets);
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < TABLE_WAYS; i++)
            if (sets[k]->id_lo[i] == id.lo && sets[k]->entries[i].id_hi == id.hi)
                return &sets[k]->entries[i];
    return NULL;
}

static bool is_live(const struct table_set *set, size_t i, int64_t now_us)
{
    return set->id_lo[i] && set->entries[i].expires_us > now_us;
}

/* Would rather go than the other, both of one set? */
static bool goes_before(const struct table_set *set, size_t i, size_t other, int64_t now_us)
{
    const struct table_entry *a = &set->entries[i], *b = &set->entries[other];
    if (!set->id_lo[i] || !set->id_lo[other])
        return set->id_lo[other] != 0;
    bool a_lives = is_live(set, i, now_us), b_lives = is_live(set, other, now_us);
    if (a_lives != b_lives)
        return b_lives;
    if (!a_lives)
        return a->expires_us < b->expires_us;
    bool a_leases = a->period_s == 0, b_leases = b->period_s == 0;
    if (a_leases != b_leases)
        return b_leases;
    return a->last_use_us < b->last_use_us;
}

struct victim {
    struct table_set *set;
    size_t place;
    size_t free_count;
};

static struct victim victim_of(struct table_set *set, int64_t now_us)
{
    struct victim v = {set, 0, 0};
    for (size_t i = 0; i < TABLE_WAYS; i++) {
        v.free_count += !is_live(set, i, now_us);
        if (i > 0 && goes_before(set, i, v.place, now_us))
            v.place = i;
    }
    return v;
}

static const struct table_entry *entry_of(const struct victim *v)
{
    return &v->set->entries[v->place];
}

static struct victim choose(struct table *t, struct hash128 id, int64_t now_us)
{
    struct table_set *sets[2];
    sets_of(t, id, sets);
    struct victim a = victim_of(sets[0], now_us), b = victim_of(sets[1], now_us);
    if (a.free_count || b.free_count)
        return b.free_count > a.free_count ? b : a;
    bool a_leases = entry_of(&a)->period_s == 0, b_leases = entry_of(&b)->period_s == 0;
    if (a_leases != b_leases)
        return a_leases ? b : a;
    return entry_of(&b)->last_use_us < entry_of(&a)->last_use_us ? b : a;
}

struct table_entry *table_make(struct table *t, struct hash128 id, uint32_t period_s, int64_t now_us)
{
    struct table_shard *shard = &t->shards[table_shard_of(t, id)];
    struct victim v = choose(t, id, now_us);
    struct table_entry *e = &v.set->entries[v.place];
    shard->created++;
    shard->evicted_live += v.free_count == 0;

    v.set->id_lo[v.place] = 0;
    MEMORY_ORDER();
    *e = (struct table_entry){.id_hi = id.hi, .last_use_us = now_us, .period_s = period_s};
    table_renew_generation(t, id, e);
    MEMORY_ORDER();
    v.set->id_lo[v.place] = id.lo;
    return e;
}

void table_renew_generation(struct table *t, struct hash128 id, struct table_entry *e)
{
    e->generation = ++t->shards[table_shard_of(t, id)].generation;
}
