/* memory_leases.c - open connections in the embedded table. See memory_leases.h. */
#include "limits/memory_leases.h"

#include "base/log.h"

#define LINKS_MAX 31 /* 32 entries: 800 workers */

/* The id of the k-th entry of a list: the same shard (lo), other sets. */
static struct hash128 link_id(struct hash128 id, uint32_t k)
{
    id.hi += k * UINT64_C(0x9e3779b97f4a7c15);
    return id;
}

/* The k-th entry of the list whose first is e; one that was evicted is missing. */
static struct table_entry *link_get(struct table *t, struct hash128 id, const struct table_entry *e, uint32_t k)
{
    return k == 0 ? (struct table_entry *)e : table_find(t, link_id(id, k));
}

static uint64_t total(struct table *t, struct hash128 id, const struct table_entry *e)
{
    uint64_t sum = 0;
    for (uint32_t k = 0; e && k <= e->links; k++) {
        const struct table_entry *link = link_get(t, id, e, k);
        for (size_t i = 0; link && i < TABLE_LEASE_PAIRS; i++)
            sum += link->leases[i].owner ? link->leases[i].count : 0;
    }
    return sum;
}

/* The pair of this owner (0: a free one). NULL: none. */
static struct table_lease *pair_find(struct table *t, struct hash128 id, struct table_entry *e, uint32_t owner)
{
    for (uint32_t k = 0; k <= e->links; k++) {
        struct table_entry *link = link_get(t, id, e, k);
        for (size_t i = 0; link && i < TABLE_LEASE_PAIRS; i++)
            if (link->leases[i].owner == owner)
                return &link->leases[i];
    }
    return NULL;
}

bool memory_leases_look(struct table *t, struct take *take, const struct table_entry *e)
{
    bool counts = e && take->held.is_held && take->held.generation == e->generation;
    uint64_t used = total(t, take->counter.id, e);
    uint64_t back = counts ? MIN_OF(take->held.cost[COLUMN_ONE], used) : 0;
    take->wait_us = take_answer_one(take, used, back) ? WAIT_UNKNOWN : 0;
    return take->wait_us == 0 || take->mode == TAKE_ALWAYS;
}

/* A free pair at the end of a list that is full. NULL: more workers than can be. */
static struct table_lease *pair_make(struct table *t, struct hash128 id, struct table_entry *e, int64_t now_us)
{
    if (e->links == LINKS_MAX) {
        log_error("limits: more than %d workers hold connections of one client; one is not counted",
                  (LINKS_MAX + 1) * TABLE_LEASE_PAIRS);
        return NULL;
    }
    struct hash128 next = link_id(id, e->links + 1);
    struct table_entry *link = table_find(t, next);
    if (!link)
        link = table_make(t, next, 0, now_us);
    MEMORY_ORDER();
    e->links++;
    return pair_find(t, id, e, 0);
}

/* The list is in use: none of its entries may go. */
static void touch(struct table *t, struct hash128 id, struct table_entry *e, int64_t now_us)
{
    for (uint32_t k = 0; k <= e->links; k++) {
        struct table_entry *link = link_get(t, id, e, k);
        if (link) {
            link->expires_us = INT64_MAX;
            link->last_use_us = now_us;
        }
    }
}

void memory_leases_charge(struct table *t, struct take *take, uint32_t owner, int64_t now_us)
{
    struct hash128 id = take->counter.id;
    struct table_entry *e = table_find(t, id);
    if (!e)
        e = table_make(t, id, 0, now_us);
    uint32_t cost = take->cost[COLUMN_ONE];
    bool counts = take->held.is_held && take->held.generation == e->generation;
    uint32_t back = counts ? take->held.cost[COLUMN_ONE] : 0;

    struct table_lease *pair = pair_find(t, id, e, owner);
    if (!pair) {
        pair = pair_find(t, id, e, 0);
        if (!pair)
            pair = pair_make(t, id, e, now_us);
        if (!pair)
            return;
        pair->count = 0;
        MEMORY_ORDER();
        pair->owner = owner;
    }
    touch(t, id, e, now_us);
    pair->count -= MIN_OF(back, pair->count);
    uint32_t added = MIN_OF(cost, UINT32_MAX - pair->count);
    pair->count += added;
    take->held.cost[COLUMN_ONE] = added;
    take->held.generation = e->generation;
    take->held.is_held = true;
}

/* Nothing left in the list: its entries may go. */
static void expire_if_empty(struct table *t, struct hash128 id, struct table_entry *e)
{
    if (total(t, id, e) > 0)
        return;
    for (uint32_t k = e->links; k > 0; k--) {
        struct table_entry *link = link_get(t, id, e, k);
        if (link)
            link->expires_us = 0;
    }
    e->links = 0;
    e->expires_us = 0;
}

void memory_leases_drop(struct table *t, struct hash128 id, uint32_t owner, uint32_t count, uint32_t generation)
{
    struct table_entry *e = table_find(t, id);
    if (!e || e->generation != generation)
        return; /* evicted since: these leases are forgotten already */
    struct table_lease *pair = pair_find(t, id, e, owner);
    if (!pair)
        return;
    pair->count -= MIN_OF(count, pair->count);
    if (pair->count == 0)
        pair->owner = 0;
    expire_if_empty(t, id, e);
}

uint64_t memory_leases_of(struct table *t, struct hash128 id, uint32_t owner)
{
    struct table_entry *e = table_find(t, id);
    const struct table_lease *pair = e ? pair_find(t, id, e, owner) : NULL;
    return pair ? pair->count : 0;
}

static void release_in_entry(struct table_entry *e, uint32_t owner)
{
    for (size_t i = 0; i < TABLE_LEASE_PAIRS; i++)
        if (e->leases[i].owner == owner)
            e->leases[i] = (struct table_lease){0};
}

static bool holds_leases(const struct table_set *set, size_t i)
{
    return set->id_lo[i] && set->entries[i].period_s == 0;
}

void memory_leases_forget(struct table *t)
{
    for (unsigned shard = 0; shard < t->shard_count; shard++)
        for (uint64_t k = 0; k < t->sets_per_shard; k++)
            for (size_t i = 0; i < TABLE_WAYS; i++)
                if (holds_leases(&table_shard_sets(t, shard)[k], i))
                    table_shard_sets(t, shard)[k].id_lo[i] = 0;
}

void memory_leases_release(struct table *t, uint32_t owner, int64_t lock_wait_us)
{
    for (unsigned shard = 0; shard < t->shard_count; shard++) {
        int64_t wait_us = lock_wait_us;
        if (!table_lock(t, shard, &wait_us)) {
            log_error("limits: the table is locked for too long; open connections of a dead worker stay counted");
            continue;
        }
        struct table_set *sets = table_shard_sets(t, shard);
        for (uint64_t k = 0; k < t->sets_per_shard; k++)
            for (size_t i = 0; i < TABLE_WAYS; i++)
                if (holds_leases(&sets[k], i))
                    release_in_entry(&sets[k].entries[i], owner);
        /* Only now is it known which lists are empty: a list's entries lie in several sets. */
        for (uint64_t k = 0; k < t->sets_per_shard; k++)
            for (size_t i = 0; i < TABLE_WAYS; i++)
                if (holds_leases(&sets[k], i) && sets[k].entries[i].expires_us == INT64_MAX)
                    expire_if_empty(t, (struct hash128){.lo = sets[k].id_lo[i], .hi = sets[k].entries[i].id_hi},
                                    &sets[k].entries[i]);
        table_unlock(t, shard);
    }
}
