/*
 * store_memory.c - the embedded store: reserve, sum, subtract, under the locks of the shards concerned.
 *
 * A take locks the shards of all its counters in ascending order, looks at every counter, and only if all fit charges
 * them: so a take that loses is never seen by others and no capacity is lost near a limit. The locks are held for less
 * than a microsecond, or, with very many values, for some ten. What a counter is lies in memory_slots.c,
 * memory_leases.c and memory_distinct.c.
 */
#include "limits/store_memory.h"

#include <string.h>

#include "limits/memory_distinct.h"
#include "limits/memory_leases.h"
#include "limits/memory_members.h"
#include "limits/memory_slots.h"
#include "limits/memory_table.h"

/* The second table lies behind the first. */
static struct members *members_of(struct table *t)
{
    return table_end(t);
}

size_t store_memory_size(size_t entries)
{
    return table_size(entries) + members_size(entries * STORE_MEMORY_MEMBERS_PER_ENTRY);
}

static bool init(void *memory, size_t entries, int (*init_table)(struct table *, size_t), struct err *err)
{
    if (entries < STORE_MEMORY_ENTRIES_MIN || entries > STORE_MEMORY_ENTRIES_MAX)
        return err_set(err, "store entries must be from %d to %d, not %zu", STORE_MEMORY_ENTRIES_MIN,
                       STORE_MEMORY_ENTRIES_MAX, entries);
    int rc = init_table(memory, entries);
    if (!rc)
        rc = members_init(members_of(memory), entries * STORE_MEMORY_MEMBERS_PER_ENTRY);
    return rc ? err_set(err, "cannot make the locks of the limits table: %s", strerror(rc)) : true;
}

bool store_memory_init(void *memory, size_t entries, struct err *err)
{
    return init(memory, entries, table_init, err);
}

bool store_memory_reopen(void *memory, size_t entries, struct err *err)
{
    if (!init(memory, entries, table_reinit, err))
        return false;
    memory_leases_forget(memory);
    return true;
}

void store_memory_fini(void *memory)
{
    struct table *t = memory;
    members_fini(members_of(t));
    for (size_t i = 0; i < t->shard_count; i++)
        memory_lock_fini(&t->shards[i].lock);
    t->magic = 0;
}

uint64_t store_memory_evicted(void *memory)
{
    struct table *t = memory;
    uint64_t sum = members_evicted(members_of(t));
    for (unsigned s = 0; s < t->shard_count; s++)
        sum += __atomic_load_n(&t->shards[s].evicted_live, __ATOMIC_RELAXED);
    return sum;
}

void store_memory_stats_get(void *memory, int64_t now_us, struct store_memory_stats *stats)
{
    struct table *t = memory;
    *stats = (struct store_memory_stats){.entries = (uint64_t)t->sets_per_shard * t->shard_count * TABLE_WAYS};
    struct members_stats members;
    members_stats_get(members_of(t), now_us, &members);
    stats->members = members.places;
    stats->members_live = members.live;
    stats->members_evicted_live = members.evicted_live;
    stats->recovered = members.recovered;
    stats->timeouts = members.timeouts;
    for (unsigned s = 0; s < t->shard_count; s++) {
        struct table_shard *shard = &t->shards[s];
        int64_t wait_us = MEMORY_LOCK_WAIT_US;
        bool locked = table_lock(t, s, &wait_us);
        struct table_set *sets = table_shard_sets(t, s);
        for (uint64_t k = 0; k < t->sets_per_shard && locked && shard->created; k++)
            for (size_t i = 0; i < TABLE_WAYS; i++)
                stats->live += sets[k].id_lo[i] && sets[k].entries[i].expires_us > now_us;
        stats->created += shard->created;
        stats->evicted_live += shard->evicted_live;
        stats->recovered += shard->lock.recovered;
        stats->timeouts += memory_lock_timeouts(&shard->lock);
        if (locked)
            table_unlock(t, s);
    }
}

static bool memory_open(struct store *store, const struct store_options *options, struct err *err)
{
    struct table *t = options->memory;
    if (!t || !table_is_valid(t))
        return err_set(err, "the limits table was not made");
    if (options->owner == 0)
        return err_set(err, "the limits table needs an owner's number");
    store->state = t;
    store->key = t->key;
    return true;
}

static void memory_close(struct store *store)
{
    store->state = NULL; /* the mapping is the caller's */
}

/* Answers the take as of now, charging nothing. Does it go on? */
static bool look(struct table *t, struct take *take, int64_t now_us)
{
    if (take->counter.kind == COUNTER_KNOWN)
        return memory_known_look(members_of(t), take, now_us);
    struct table_entry *e = table_find(t, take->counter.id);
    take->place = e;
    if (take->counter.kind == COUNTER_LEASES)
        return memory_leases_look(t, take, e);
    return take->members ? memory_distinct_look(t, members_of(t), take, e, now_us)
                         : memory_slots_look(t, take, e, now_us);
}

static void charge(struct store *store, struct take *take, int64_t now_us)
{
    struct table *t = store->state;
    if (take->counter.kind == COUNTER_KNOWN)
        memory_known_charge(members_of(t), take, now_us);
    else if (take->counter.kind == COUNTER_LEASES)
        memory_leases_charge(t, take, store->owner, now_us);
    else if (take->members)
        memory_distinct_charge(t, members_of(t), take, now_us);
    else
        memory_slots_charge(t, take, take->cost, now_us);
}

static void give_back(struct store *store, struct take *take)
{
    struct table *t = store->state;
    if (take->counter.kind == COUNTER_LEASES)
        memory_leases_drop(t, take->counter.id, store->owner, take->held.cost[COLUMN_ONE], take->held.generation);
    else if (take->members)
        memory_distinct_give_back(t, members_of(t), take);
    else
        memory_slots_give_back(t, take);
}

static void keep(struct table *t, struct take *take, int64_t now_us)
{
    uint32_t cost[COLUMNS];
    if (take->members) {
        memory_distinct_keep(t, members_of(t), take, now_us);
        return;
    }
    memcpy(cost, take->held.cost, sizeof cost);
    take->place = NULL;
    memory_slots_charge(t, take, cost, now_us);
}

/* The shards of both tables that takes concern. */
struct shards {
    uint64_t counters, members;
};

static void shards_add(struct table *t, struct shards *shards, const struct take *take)
{
    if (take->members)
        shards->members |= members_shards_of(members_of(t), take);
    if (take->counter.kind == COUNTER_KNOWN)
        return;
    shards->counters |= UINT64_C(1) << table_shard_of(t, take->counter.id);
    table_prefetch(t, take->counter.id);
}

static void counters_unlock(struct table *t, uint64_t shards)
{
    for (; shards; shards &= shards - 1)
        table_unlock(t, (unsigned)__builtin_ctzll(shards));
}

static void unlock_all(struct table *t, const struct shards *shards)
{
    members_unlock(members_of(t), shards->members);
    counters_unlock(t, shards->counters);
}

/* Ascending, counters before values: two takes never wait for each other in a ring. */
static bool lock_all(struct table *t, const struct shards *shards, int64_t wait_us)
{
    uint64_t had = 0;
    for (uint64_t left = shards->counters; left; left &= left - 1) {
        unsigned shard = (unsigned)__builtin_ctzll(left);
        if (!table_lock(t, shard, &wait_us)) {
            counters_unlock(t, had);
            return false;
        }
        had |= UINT64_C(1) << shard;
    }
    if (members_lock(members_of(t), shards->members, &wait_us))
        return true;
    counters_unlock(t, had);
    return false;
}

/* All that one take concerns. */
static bool lock_one(struct table *t, const struct take *take, struct shards *shards)
{
    *shards = (struct shards){0};
    shards_add(t, shards, take);
    return lock_all(t, shards, MEMORY_LOCK_WAIT_US);
}

static enum started memory_take_start(struct store *store, struct store_op *op)
{
    struct table *t = store->state;
    struct shards shards = {0};
    for (size_t i = 0; i < op->count; i++)
        shards_add(t, &shards, op->takes[i]);
    op->result = STORE_FAILED;
    if (!lock_all(t, &shards, (int64_t)op->deadline_ms * 1000))
        return DONE;
    bool fits = true;
    for (size_t i = 0; i < op->count; i++)
        fits &= look(t, op->takes[i], op->now_us);
    for (size_t i = 0; i < op->count && fits; i++)
        if (op->takes[i]->mode != TAKE_NOTHING)
            charge(store, op->takes[i], op->now_us);
    unlock_all(t, &shards);
    op->result = fits ? STORE_TAKEN : STORE_FULL;
    return DONE;
}

static void memory_give_back(struct store *store, struct take **takes, size_t count)
{
    struct table *t = store->state;
    struct shards shards;
    for (size_t i = 0; i < count; i++) {
        if (takes[i]->held.is_held && lock_one(t, takes[i], &shards)) {
            give_back(store, takes[i]);
            unlock_all(t, &shards);
        }
        memset(&takes[i]->held, 0, sizeof takes[i]->held);
    }
}

/* Most mails pass in the slot they were charged in: there is nothing to do then, but to say of values that they were
 * seen. */
static bool needs_keeping(const struct take *take, int64_t now_us)
{
    return take->members || window_slot(now_us, take->counter.period_s) > take->held.slot;
}

static void memory_keep(struct store *store, struct take **takes, size_t count, int64_t now_us)
{
    struct table *t = store->state;
    struct shards shards;
    for (size_t i = 0; i < count; i++) {
        struct take *take = takes[i];
        if (!take->held.is_held || take->counter.kind == COUNTER_LEASES)
            continue;
        if (needs_keeping(take, now_us) && lock_one(t, take, &shards)) {
            keep(t, take, now_us);
            unlock_all(t, &shards);
        }
        memset(&take->held, 0, sizeof take->held);
    }
}

static enum started memory_forget_start(struct store *store, struct store_op *op)
{
    struct table *t = store->state;
    struct shards shards;
    op->result = STORE_TAKEN;
    for (size_t i = 0; i < op->count; i++) {
        struct take *take = op->takes[i];
        if (!lock_one(t, take, &shards)) {
            op->result = STORE_FAILED;
            continue;
        }
        memory_slots_forget(t, take, table_find(t, take->counter.id));
        unlock_all(t, &shards);
    }
    return DONE;
}

static bool memory_peek(struct store *store, struct take *take, int64_t now_us)
{
    struct table *t = store->state;
    struct shards shards;
    if (!lock_one(t, take, &shards))
        return false;
    (void)look(t, take, now_us);
    unlock_all(t, &shards);
    return true;
}

static void memory_drop_lease(struct store *store, struct hash128 id, uint32_t count, uint32_t generation)
{
    struct table *t = store->state;
    unsigned shard = table_shard_of(t, id);
    int64_t wait_us = MEMORY_LOCK_WAIT_US;
    if (!table_lock(t, shard, &wait_us))
        return;
    memory_leases_drop(t, id, store->owner, count, generation);
    table_unlock(t, shard);
}

uint64_t store_memory_leases_of(struct store *store, struct hash128 id, uint32_t owner)
{
    struct table *t = store->state;
    unsigned shard = table_shard_of(t, id);
    int64_t wait_us = MEMORY_LOCK_WAIT_US;
    if (!table_lock(t, shard, &wait_us))
        return UINT64_MAX;
    uint64_t count = memory_leases_of(t, id, owner);
    table_unlock(t, shard);
    return count;
}

static void memory_release_owner(struct store *store, uint32_t owner)
{
    memory_leases_release(store->state, owner, MEMORY_LOCK_WAIT_US);
}

const struct store_ops store_memory_ops = {
    .name = "memory",
    .open = memory_open,
    .close = memory_close,
    .take_start = memory_take_start,
    .give_back = memory_give_back,
    .keep = memory_keep,
    .forget_start = memory_forget_start,
    .peek = memory_peek,
    .drop_lease = memory_drop_lease,
    .release_owner = memory_release_owner,
};
