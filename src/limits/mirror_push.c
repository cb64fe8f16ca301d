/* mirror_push.c - what the keeper tells Redis of, and the mirror's numbers. See mirror.h. */
#include "limits/mirror_table.h"

/* Copies what of the entry is to be pushed at now. Does it come to anything in Redis, and (*is_due) here? */
static bool push_fill(struct mirror_push *push, const struct mirror_entry *e, uint64_t slot, bool is_all, bool *is_due)
{
    bool has_any = false;
    *is_due = false;
    memset(push, 0, sizeof *push);
    for (size_t c = 0; c < e->columns; c++)
        for (uint64_t k = 0; k < WINDOW_CELLS && k <= e->newest; k++) {
            size_t cell = (e->newest - k) % WINDOW_CELLS;
            if (!window_holds(slot, e->newest - k))
                continue;
            push->since[c][cell] = e->since[c][cell];
            push->rings[c][cell] = is_all ? (int64_t)e->own[c][cell] : (int64_t)e->since[c][cell];
            has_any |= push->rings[c][cell] != 0;
            *is_due |= push->since[c][cell] != 0;
        }
    push->id.hi = e->id_hi;
    push->newest = e->newest;
    push->period_s = e->period_s;
    push->generation = e->generation;
    push->columns = e->columns;
    memcpy(push->stem, e->stem, e->stem_len);
    return has_any;
}

/* What the push settles of since is no longer due. */
static void settle(struct mirror_entry *e, const struct mirror_push *push)
{
    for (size_t c = 0; c < push->columns; c++)
        for (uint64_t k = 0; k < WINDOW_CELLS && k <= push->newest; k++) {
            uint64_t slot = push->newest - k;
            int32_t n = push->since[c][slot % WINDOW_CELLS];
            if (n == 0 || !window_holds(e->newest, slot))
                continue;
            if (n > 0) /* first: killed in between, it counts twice, not never */
                e->unaged[c] += window_add(e->seen[c], slot, (uint32_t)n);
            else
                window_take_back(e->seen[c], slot, (uint32_t)-n);
            MEMORY_ORDER();
            e->since[c][slot % WINDOW_CELLS] -= n;
        }
}

/* Gives the entry at a place out, if it is due. */
static bool push_from(struct mirror_set *set, size_t i, bool is_all, int64_t now_us, struct mirror_push *push)
{
    struct mirror_entry *e = &set->entries[i];
    bool is_due;
    bool is_under_way = e->pushing_until_us > now_us && !is_all;
    if (!set->id_lo[i] || e->expires_us <= now_us || is_under_way)
        return false;
    if (!push_fill(push, e, MAX_OF(window_slot(now_us, e->period_s), e->newest), is_all, &is_due)) {
        if (is_due) /* only refunds, and what they would be taken from is lost */
            settle(e, push);
        return false;
    }
    push->id.lo = set->id_lo[i];
    e->pushing_until_us = now_us + MIRROR_PUSH_LEASE_US;
    return true;
}

bool mirror_push_next(struct mirror *m, size_t *at, bool is_all, int64_t now_us, struct mirror_push *push)
{
    size_t places = (size_t)m->sets_per_shard * MIRROR_WAYS;
    while (*at < places * m->shard_count) {
        unsigned shard = (unsigned)(*at / places);
        struct mirror_set *sets = mirror_shard_sets(m, shard);
        int64_t wait_us = MEMORY_LOCK_WAIT_US;
        if (!mirror_lock(m, shard, &wait_us)) {
            *at = (shard + 1) * places;
            continue;
        }
        bool found = false;
        for (; !found && *at / places == shard; (*at)++)
            found = push_from(&sets[*at % places / MIRROR_WAYS], *at % MIRROR_WAYS, is_all, now_us, push);
        mirror_unlock(m, shard);
        if (found)
            return true;
    }
    return false;
}

/* The entry that was given out, its shard locked; NULL (and not locked): it is another one now. */
static struct mirror_entry *pushed_entry(struct mirror *m, const struct mirror_push *push)
{
    unsigned shard = mirror_shard_of(m, push->id);
    int64_t wait_us = MEMORY_LOCK_WAIT_US;
    if (!mirror_lock(m, shard, &wait_us))
        return NULL;
    struct mirror_entry *e = mirror_find(m, push->id);
    if (e && e->generation == push->generation)
        return e;
    mirror_unlock(m, shard);
    return NULL;
}

void mirror_push_done(struct mirror *m, const struct mirror_push *push, int64_t now_us)
{
    struct mirror_entry *e = pushed_entry(m, push);
    if (!e)
        return;
    settle(e, push);
    e->pushing_until_us = 0;
    e->last_use_us = MAX_OF(now_us, e->last_use_us);
    mirror_unlock(m, mirror_shard_of(m, push->id));
}

void mirror_push_failed(struct mirror *m, const struct mirror_push *push)
{
    struct mirror_entry *e = pushed_entry(m, push);
    if (!e)
        return;
    e->pushing_until_us = 0;
    mirror_unlock(m, mirror_shard_of(m, push->id));
}

static void count_shard(struct mirror *m, unsigned shard, int64_t now_us, struct mirror_stats *stats)
{
    struct mirror_set *sets = mirror_shard_sets(m, shard);
    int64_t wait_us = MEMORY_LOCK_WAIT_US;
    bool locked = m->shards[shard].generation > 0 && mirror_lock(m, shard, &wait_us);
    for (size_t k = 0; locked && k < m->sets_per_shard; k++)
        for (size_t i = 0; i < MIRROR_WAYS; i++) {
            const struct mirror_entry *e = &sets[k].entries[i];
            bool lives = sets[k].id_lo[i] && e->expires_us > now_us;
            stats->live += lives;
            stats->due += lives && mirror_entry_has_since(e);
        }
    stats->evicted_live += m->shards[shard].evicted_live;
    stats->evicted_since += m->shards[shard].evicted_since;
    stats->recovered += m->shards[shard].lock.recovered;
    stats->timeouts += memory_lock_timeouts(&m->shards[shard].lock);
    if (locked)
        mirror_unlock(m, shard);
}

void mirror_stats_get(struct mirror *m, int64_t now_us, struct mirror_stats *stats)
{
    *stats = (struct mirror_stats){.entries = (uint64_t)m->sets_per_shard * m->shard_count * MIRROR_WAYS};
    for (unsigned shard = 0; shard < m->shard_count; shard++)
        count_shard(m, shard, now_us, stats);
}

/* How many entries of a shard have since. Looks only where since may have come since nothing was found last. */
static size_t due_of_shard(struct mirror *m, unsigned shard, int64_t now_us)
{
    struct mirror_shard *s = &m->shards[shard];
    uint64_t changes = __atomic_load_n(&s->since_changes, __ATOMIC_ACQUIRE);
    struct mirror_stats stats = {0};
    if (changes == s->counted_changes && s->counted_due == 0)
        return 0;
    count_shard(m, shard, now_us, &stats);
    s->counted_changes = changes;
    s->counted_due = (uint32_t)stats.due;
    return stats.due;
}

size_t mirror_due(struct mirror *m, int64_t now_us)
{
    size_t due = 0;
    for (unsigned shard = 0; shard < m->shard_count; shard++)
        due += due_of_shard(m, shard, now_us);
    return due;
}
