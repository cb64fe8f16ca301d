/* mirror_table.c - the places of the mirror, and the locks over them. See mirror_table.h. */
#include "limits/mirror_table.h"

#include "limits/memory_sets.h"

#define MIRROR_MAGIC 0x6d772d6d6972726fULL

/* As in memory_slots.c: an entry further ahead was written while the clock was wrong. */
#define FUTURE_US (3600 * INT64_C(1000000))

static size_t shards_for(size_t entries)
{
    return memory_shards_for(entries, MIRROR_SHARDS_MAX);
}

static size_t sets_for(size_t entries)
{
    return memory_sets_for(entries, shards_for(entries), MIRROR_WAYS);
}

size_t mirror_size(size_t entries)
{
    return sizeof(struct mirror) + shards_for(entries) * sets_for(entries) * sizeof(struct mirror_set);
}

struct mirror *mirror_init(void *memory, size_t entries, struct err *err)
{
    struct mirror *m = memory;
    m->shard_count = (uint32_t)shards_for(entries);
    m->sets_per_shard = (uint32_t)sets_for(entries);
    for (size_t i = 0; i < m->shard_count; i++) {
        int rc = memory_lock_init(&m->shards[i].lock);
        if (rc) {
            (void)err_set(err, "cannot make the locks of the mirror of Redis: %s", strerror(rc));
            return NULL;
        }
    }
    m->magic = MIRROR_MAGIC;
    return m;
}

void mirror_fini(struct mirror *m)
{
    for (size_t i = 0; i < m->shard_count; i++)
        memory_lock_fini(&m->shards[i].lock);
    m->magic = 0;
}

bool mirror_is_valid(const struct mirror *m)
{
    return m->magic == MIRROR_MAGIC;
}

bool mirror_lock(struct mirror *m, unsigned shard, int64_t *wait_us)
{
    return memory_lock_take(&m->shards[shard].lock, wait_us);
}

void mirror_unlock(struct mirror *m, unsigned shard)
{
    memory_lock_drop(&m->shards[shard].lock);
}

struct mirror_set *mirror_shard_sets(struct mirror *m, unsigned shard)
{
    return &m->sets[(size_t)shard * m->sets_per_shard];
}

static void sets_of(struct mirror *m, struct hash128 id, struct mirror_set *sets[2])
{
    struct mirror_set *base = mirror_shard_sets(m, mirror_shard_of(m, id));
    uint64_t numbers[2];
    memory_two_sets(m->sets_per_shard, (uint32_t)id.hi, (uint32_t)(id.hi >> 32), numbers);
    sets[0] = &base[numbers[0]];
    sets[1] = &base[numbers[1]];
}

void mirror_expect(const struct mirror *m, const struct counter *counter)
{
    struct mirror_set *sets[2];
    sets_of((struct mirror *)(uintptr_t)m, counter->id, sets);
    for (size_t k = 0; k < 2; k++)
        __builtin_prefetch(sets[k]->id_lo);
}

struct mirror_entry *mirror_find(struct mirror *m, struct hash128 id)
{
    struct mirror_set *sets[2];
    sets_of(m, id, sets);
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < MIRROR_WAYS; i++)
            if (sets[k]->id_lo[i] == id.lo && sets[k]->entries[i].id_hi == id.hi)
                return &sets[k]->entries[i];
    return NULL;
}

bool mirror_entry_has_since(const struct mirror_entry *e)
{
    for (size_t c = 0; c < e->columns; c++)
        for (size_t i = 0; i < WINDOW_CELLS; i++)
            if (e->since[c][i])
                return true;
    return false;
}

/* How much is lost if it goes: an empty or expired place, a reading, counts that Redis was never told of. */
static int worth(const struct mirror_set *set, size_t i, int64_t now_us)
{
    const struct mirror_entry *e = &set->entries[i];
    if (!set->id_lo[i])
        return 0;
    if (e->expires_us <= now_us)
        return 1;
    return mirror_entry_has_since(e) ? 3 : 2;
}

struct place {
    struct mirror_set *set;
    size_t at;
    int worth;
    size_t free_count; /* in its set */
};

static struct place best_of(struct mirror_set *set, int64_t now_us)
{
    struct place best = {.set = set, .worth = worth(set, 0, now_us)};
    best.free_count = best.worth < 2;
    for (size_t i = 1; i < MIRROR_WAYS; i++) {
        int w = worth(set, i, now_us);
        best.free_count += w < 2;
        if (w < best.worth || (w == best.worth && set->entries[i].last_use_us < set->entries[best.at].last_use_us)) {
            best.at = i;
            best.worth = w;
        }
    }
    return best;
}

static struct place choose(struct mirror *m, struct hash128 id, int64_t now_us)
{
    struct mirror_set *sets[2];
    sets_of(m, id, sets);
    struct place a = best_of(sets[0], now_us), b = best_of(sets[1], now_us);
    if (a.free_count || b.free_count)
        return b.free_count > a.free_count ? b : a;
    if (a.worth != b.worth)
        return b.worth < a.worth ? b : a;
    return b.set->entries[b.at].last_use_us < a.set->entries[a.at].last_use_us ? b : a;
}

static uint16_t columns_of(const struct counter *counter)
{
    return counter->kind == COUNTER_MAIL ? COLUMNS : 1;
}

struct mirror_entry *mirror_make(struct mirror *m, const struct counter *counter, struct str stem, int64_t now_us)
{
    struct mirror_shard *shard = &m->shards[mirror_shard_of(m, counter->id)];
    struct place p = choose(m, counter->id, now_us);
    struct mirror_entry *e = &p.set->entries[p.at];
    shard->evicted_live += p.worth >= 2;
    shard->evicted_since += p.worth == 3;

    p.set->id_lo[p.at] = 0;
    MEMORY_ORDER();
    memset(e, 0, offsetof(struct mirror_entry, stem));
    e->id_hi = counter->id.hi;
    e->last_use_us = now_us;
    e->period_s = counter->period_s;
    mirror_entry_renew(m, counter->id, e);
    e->columns = columns_of(counter);
    e->stem_len = (uint16_t)MIN_OF(stem.len, REDIS_STEM_MAX_BYTES);
    if (e->stem_len)
        memcpy(e->stem, stem.ptr, e->stem_len);
    MEMORY_ORDER();
    p.set->id_lo[p.at] = counter->id.lo;
    return e;
}

void mirror_entry_renew(struct mirror *m, struct hash128 id, struct mirror_entry *e)
{
    e->generation = ++m->shards[mirror_shard_of(m, id)].generation;
}

static uint32_t total_of(const uint32_t ring[WINDOW_CELLS], uint64_t newest)
{
    uint64_t sum = window_used(ring, newest, newest);
    return (uint32_t)MIN_OF(sum, UINT32_MAX);
}

static void gather(uint32_t ring[WINDOW_CELLS], uint64_t newest, uint64_t slot)
{
    uint32_t total = total_of(ring, newest);
    memset(ring, 0, WINDOW_CELLS * sizeof *ring);
    ring[slot % WINDOW_CELLS] = total;
}

/* The counts of an entry written while the clock was far ahead count from now on, for one period: as in memory_slots.c,
 * none is lost, and nobody stays locked out until that future has come. */
static void bring_home(struct mirror_entry *e, uint64_t slot)
{
    e->generation += UINT32_C(1) << 31; /* a local charge made before cannot be given back */
    for (size_t c = 0; c < COLUMNS; c++) {
        int64_t since = 0;
        for (size_t i = 0; i < WINDOW_CELLS; i++)
            since += e->since[c][i];
        gather(e->seen[c], e->newest, slot);
        gather(e->own[c], e->newest, slot);
        gather(e->alone[c], e->newest, slot);
        memset(e->since[c], 0, sizeof e->since[c]);
        e->since[c][slot % WINDOW_CELLS] = (int32_t)MAX_OF(MIN_OF(since, INT32_MAX), INT32_MIN);
    }
    e->newest = slot;
    e->expires_us = window_slot_start_us(slot + WINDOW_CELLS, e->period_s);
    e->read_at_us = e->closed_read_at_us = e->denied_at_us = e->pushing_until_us = 0;
}

uint64_t mirror_slot_at(struct mirror_entry *e, uint32_t period_s, int64_t now_us)
{
    uint64_t slot = window_slot(now_us, period_s);
    if (!e || slot >= e->newest)
        return slot;
    int64_t ahead_us = window_slot_start_us(e->newest, period_s) - now_us;
    if (ahead_us <= FUTURE_US || ahead_us <= (int64_t)period_s * 1000000)
        return e->newest;
    bring_home(e, slot);
    return slot;
}

void mirror_entry_move(struct mirror_entry *e, uint64_t slot)
{
    uint64_t steps = MIN_OF(slot - e->newest, WINDOW_CELLS);
    for (size_t c = 0; c < COLUMNS && steps; c++) {
        window_move(e->seen[c], e->newest, slot);
        window_move(e->own[c], e->newest, slot);
        window_move(e->alone[c], e->newest, slot);
        for (uint64_t k = 1; k <= steps; k++)
            e->since[c][(e->newest + k) % WINDOW_CELLS] = 0;
    }
    MEMORY_ORDER();
    e->newest = slot;
    e->expires_us = window_slot_start_us(slot + WINDOW_CELLS, e->period_s);
}
