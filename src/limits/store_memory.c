/*
 * store_memory.c - the embedded store: reserve, sum, subtract, under the locks of the shards concerned.
 *
 * A take locks the shards of all its counters in ascending order, looks at every counter, and only if all fit charges
 * them: so a take that loses is never seen by others and no capacity is lost near a limit. The locks are held for less
 * than a microsecond. What holds open connections lies in memory_leases.c.
 */
#include "limits/store_memory.h"

#include <string.h>

#include "limits/memory_leases.h"
#include "limits/memory_table.h"

/* A lock is held for a microsecond, unless its holder lost its processor or was stopped. So long waits what nobody may
 * lose: a charge to be given back or kept. */
#define LOCK_WAIT_US 500000

/* An entry further in the future than this (and than its period) was written while the clock was wrong: no worker's
 * idea of now is ever that old. */
#define FUTURE_US (3600 * INT64_C(1000000))

size_t store_memory_size(size_t entries)
{
    return table_size(entries);
}

bool store_memory_init(void *memory, size_t entries, struct err *err)
{
    if (entries < STORE_MEMORY_ENTRIES_MIN || entries > STORE_MEMORY_ENTRIES_MAX)
        return err_set(err, "store entries must be from %d to %d, not %zu", STORE_MEMORY_ENTRIES_MIN,
                       STORE_MEMORY_ENTRIES_MAX, entries);
    int rc = table_init(memory, entries);
    return rc ? err_set(err, "cannot make the locks of the limits table: %s", strerror(rc)) : true;
}

void store_memory_fini(void *memory)
{
    struct table *t = memory;
    for (size_t i = 0; i < t->shard_count; i++)
        pthread_mutex_destroy(&t->shards[i].lock);
    t->magic = 0;
}

void store_memory_stats_get(void *memory, int64_t now_us, struct store_memory_stats *stats)
{
    struct table *t = memory;
    *stats = (struct store_memory_stats){.entries = (uint64_t)t->sets_per_shard * t->shard_count * TABLE_WAYS};
    for (unsigned s = 0; s < t->shard_count; s++) {
        struct table_shard *shard = &t->shards[s];
        int64_t wait_us = LOCK_WAIT_US;
        bool locked = table_lock(t, s, &wait_us);
        struct table_set *sets = table_shard_sets(t, s);
        for (uint64_t k = 0; k < t->sets_per_shard && locked; k++)
            for (size_t i = 0; i < TABLE_WAYS; i++)
                stats->live += sets[k].id_lo[i] && sets[k].entries[i].expires_us > now_us;
        stats->created += shard->created;
        stats->evicted_live += shard->evicted_live;
        stats->recovered += shard->recovered;
        stats->timeouts += __atomic_load_n(&shard->timeouts, __ATOMIC_RELAXED);
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

/* The counts of an entry written while the clock was far ahead count from now on, for one period: none is lost, and
 * nobody stays locked out until that future has come. Charges made before cannot be given back. The new cell first:
 * killed in between, it would count twice, not never. */
static void bring_home(struct table *t, struct hash128 id, struct table_entry *e, uint64_t slot)
{
    table_renew_generation(t, id, e);
    for (size_t c = 0; c < COLUMNS; c++) {
        uint64_t sum = window_used(e->rings[c], e->newest, e->newest);
        uint32_t total = (uint32_t)MIN_OF(sum, UINT32_MAX);
        e->rings[c][slot % WINDOW_CELLS] = total;
        TABLE_ORDER();
        for (size_t i = 0; i < WINDOW_CELLS; i++)
            if (i != slot % WINDOW_CELLS)
                e->rings[c][i] = 0;
    }
    TABLE_ORDER();
    e->newest = slot;
    e->expires_us = window_slot_start_us(slot + WINDOW_CELLS, e->period_s);
}

/* The slot that now counts as for this entry: its time never runs backwards. */
static uint64_t slot_for(struct table *t, const struct counter *counter, struct table_entry *e, int64_t now_us)
{
    uint64_t slot = window_slot(now_us, counter->period_s);
    if (!e || slot >= e->newest)
        return slot;
    int64_t ahead_us = window_slot_start_us(e->newest, e->period_s) - now_us;
    if (ahead_us > FUTURE_US && ahead_us > (int64_t)e->period_s * 1000000) {
        bring_home(t, counter->id, e, slot);
        return slot;
    }
    return e->newest;
}

/* Does the entry still count what the take holds, at `slot`? */
static bool counts_held(const struct take *take, const struct table_entry *e, uint64_t slot)
{
    return e && take->held.is_held && take->held.generation == e->generation && window_holds(slot, take->held.slot);
}

/* The time until the column fits; only a refusal asks. */
static int64_t wait_for(const struct take *take, size_t column, const struct table_entry *e, uint64_t slot,
                        int64_t now_us)
{
    if (!e || take->cost[column] > take->allowed[column])
        return WAIT_UNKNOWN;
    uint32_t ring[WINDOW_CELLS];
    memcpy(ring, e->rings[column], sizeof ring);
    if (counts_held(take, e, slot)) /* it will be given back */
        window_take_back(ring, take->held.slot, take->held.cost[column]);
    uint64_t fits = window_fits_at(ring, e->newest, slot, take->allowed[column] - take->cost[column]);
    return window_slot_start_us(fits, take->counter.period_s) - now_us;
}

/* Answers the take as of now, charging nothing. Does it fit? */
static bool look(struct table *t, struct take *take, int64_t now_us)
{
    struct table_entry *e = table_find(t, take->counter.id);
    take->place = e;
    if (take->counter.kind == COUNTER_LEASES)
        return memory_leases_look(t, take, e);
    uint64_t slot = slot_for(t, &take->counter, e, now_us);
    bool counts = counts_held(take, e, slot);
    take->wait_us = 0;
    for (size_t c = 0; c < COLUMNS; c++) {
        uint64_t used = e ? window_used(e->rings[c], e->newest, slot) : 0;
        uint64_t back = counts ? MIN_OF(take->held.cost[c], used) : 0;
        take->used[c] = used - back + take->cost[c];
        take->growth[c] = take->cost[c] > back ? take->cost[c] - (uint32_t)back : 0;
        take->is_over[c] = take->growth[c] && take->used[c] > take->allowed[c];
        if (take->is_over[c])
            take->wait_us = MAX_OF(take->wait_us, wait_for(take, c, e, slot, now_us));
    }
    return take->wait_us == 0;
}

/* Moves the counter to now and adds `cost` there instead of what is held. */
static void charge(struct table *t, struct take *take, const uint32_t cost[COLUMNS], int64_t now_us)
{
    struct table_entry *e = take->place;
    if (!table_is_still(e, take->counter.id))
        e = table_find(t, take->counter.id);
    uint64_t slot = slot_for(t, &take->counter, e, now_us);
    if (!e) {
        e = table_make(t, take->counter.id, take->counter.period_s, now_us);
        e->newest = slot;
    }
    bool counts = counts_held(take, e, slot);
    for (size_t c = 0; c < COLUMNS; c++)
        window_move(e->rings[c], e->newest, slot);
    TABLE_ORDER();
    e->newest = slot;
    e->expires_us = window_slot_start_us(slot + WINDOW_CELLS, e->period_s);
    e->last_use_us = now_us;
    for (size_t c = 0; c < COLUMNS; c++) {
        uint32_t added = window_add(e->rings[c], slot, cost[c]);
        if (counts)
            window_take_back(e->rings[c], take->held.slot, take->held.cost[c]);
        take->held.cost[c] = added;
    }
    take->held.slot = slot;
    take->held.generation = e->generation;
    take->held.is_held = true;
}

static uint64_t shards_of(struct table *t, const struct store_op *op)
{
    uint64_t shards = 0;
    for (size_t i = 0; i < op->count; i++) {
        shards |= UINT64_C(1) << table_shard_of(t, op->takes[i]->counter.id);
        table_prefetch(t, op->takes[i]->counter.id);
    }
    return shards;
}

static void unlock_all(struct table *t, uint64_t shards)
{
    for (; shards; shards &= shards - 1)
        table_unlock(t, (unsigned)__builtin_ctzll(shards));
}

/* Ascending: two takes never wait for each other in a ring. */
static bool lock_all(struct table *t, uint64_t shards, int64_t wait_us)
{
    uint64_t had = 0;
    for (uint64_t left = shards; left; left &= left - 1) {
        unsigned shard = (unsigned)__builtin_ctzll(left);
        if (!table_lock(t, shard, &wait_us)) {
            unlock_all(t, had);
            return false;
        }
        had |= UINT64_C(1) << shard;
    }
    return true;
}

static bool lock_one(struct table *t, unsigned shard)
{
    int64_t wait_us = LOCK_WAIT_US;
    return table_lock(t, shard, &wait_us);
}

static enum started memory_take_start(struct store *store, struct store_op *op)
{
    struct table *t = store->state;
    uint64_t shards = shards_of(t, op);
    op->result = STORE_FAILED;
    if (!lock_all(t, shards, (int64_t)op->deadline_ms * 1000))
        return DONE;
    bool fits = true;
    for (size_t i = 0; i < op->count; i++)
        fits &= look(t, op->takes[i], op->now_us);
    for (size_t i = 0; i < op->count && fits; i++) {
        struct take *take = op->takes[i];
        if (take->counter.kind == COUNTER_LEASES)
            memory_leases_charge(t, take, store->owner, op->now_us);
        else
            charge(t, take, take->cost, op->now_us);
    }
    unlock_all(t, shards);
    op->result = fits ? STORE_TAKEN : STORE_FULL;
    return DONE;
}

static void give_back_one(struct store *store, struct take *take)
{
    struct table *t = store->state;
    struct table_entry *e = table_find(t, take->counter.id);
    if (take->counter.kind == COUNTER_LEASES) {
        memory_leases_drop(t, take->counter.id, store->owner, take->held.cost[COLUMN_ONE], take->held.generation);
        return;
    }
    if (!e || !counts_held(take, e, e->newest))
        return; /* it no longer counts: nothing to give back */
    for (size_t c = 0; c < COLUMNS; c++)
        window_take_back(e->rings[c], take->held.slot, take->held.cost[c]);
}

static void memory_give_back(struct store *store, struct take **takes, size_t count)
{
    struct table *t = store->state;
    for (size_t i = 0; i < count; i++) {
        unsigned shard = table_shard_of(t, takes[i]->counter.id);
        if (takes[i]->held.is_held && lock_one(t, shard)) {
            give_back_one(store, takes[i]);
            table_unlock(t, shard);
        }
        memset(&takes[i]->held, 0, sizeof takes[i]->held);
    }
}

static void memory_keep(struct store *store, struct take **takes, size_t count, int64_t now_us)
{
    struct table *t = store->state;
    for (size_t i = 0; i < count; i++) {
        struct take *take = takes[i];
        if (!take->held.is_held || take->counter.kind == COUNTER_LEASES)
            continue;
        unsigned shard = table_shard_of(t, take->counter.id);
        /* Most mails pass in the slot they were charged in: nothing to do then. */
        if (window_slot(now_us, take->counter.period_s) > take->held.slot && lock_one(t, shard)) {
            uint32_t cost[COLUMNS];
            memcpy(cost, take->held.cost, sizeof cost);
            take->place = NULL;
            charge(t, take, cost, now_us);
            table_unlock(t, shard);
        }
        memset(&take->held, 0, sizeof take->held);
    }
}

static bool memory_peek(struct store *store, struct take *take, int64_t now_us)
{
    struct table *t = store->state;
    unsigned shard = table_shard_of(t, take->counter.id);
    if (!lock_one(t, shard))
        return false;
    (void)look(t, take, now_us);
    table_unlock(t, shard);
    return true;
}

static void memory_drop_lease(struct store *store, struct hash128 id, uint32_t count, uint32_t generation)
{
    struct table *t = store->state;
    unsigned shard = table_shard_of(t, id);
    if (!lock_one(t, shard))
        return;
    memory_leases_drop(t, id, store->owner, count, generation);
    table_unlock(t, shard);
}

static void memory_release_owner(struct store *store, uint32_t owner)
{
    memory_leases_release(store->state, owner, LOCK_WAIT_US);
}

const struct store_ops store_memory_ops = {
    .name = "memory",
    .open = memory_open,
    .close = memory_close,
    .take_start = memory_take_start,
    .give_back = memory_give_back,
    .keep = memory_keep,
    .peek = memory_peek,
    .drop_lease = memory_drop_lease,
    .release_owner = memory_release_owner,
};
