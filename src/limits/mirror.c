/*
 * mirror.c - what this node knows of the counters in Redis, and deciding by it alone. See mirror.h.
 *
 * Of a cell, told = what Redis is known to hold of it: the reading, and at least what this node told it; less what it
 * could not take back there. mine = what was decided alone since that reading. It stays mine when Redis is told of it:
 * as long as this node goes on alone, the others do, too, and each may have as much.
 */
#include "limits/memory_slots.h"
#include "limits/mirror_table.h"
#include "limits/outage.h"

/* A decision waits no longer for a lock than the worker's loop may stand still. */
#define TAKE_WAIT_US 20000
/* Where nothing tells when it would fit: a share is too small for the cost, others may not know yet that this node is
 * alone. Redis may be back by then. */
#define RETRY_US 5000000

/* The counter's entry, its shard locked. NULL: the lock was not had. */
static bool lock_of(struct mirror *m, const struct counter *counter)
{
    int64_t wait_us = MEMORY_LOCK_WAIT_US;
    return mirror_lock(m, mirror_shard_of(m, counter->id), &wait_us);
}

static void unlock_of(struct mirror *m, const struct counter *counter)
{
    mirror_unlock(m, mirror_shard_of(m, counter->id));
}

/* The entry, made where there is none, moved to `slot` or to what it saw later. */
static struct mirror_entry *open_entry(struct mirror *m, const struct counter *counter, struct str stem, uint64_t slot,
                                       int64_t now_us)
{
    struct mirror_entry *e = mirror_find(m, counter->id);
    if (!e) {
        e = mirror_make(m, counter, stem, now_us);
        e->newest = slot;
    }
    mirror_entry_move(e, MAX_OF(slot, e->newest));
    e->last_use_us = MAX_OF(now_us, e->last_use_us);
    return e;
}

static void move_signed(int32_t ring[WINDOW_CELLS], uint64_t newest, uint64_t slot)
{
    uint64_t steps = MIN_OF(slot - newest, WINDOW_CELLS);
    for (uint64_t k = 1; k <= steps; k++)
        ring[(newest + k) % WINDOW_CELLS] = 0;
}

/* ---- What is known ---- */

static void fill_view(struct mirror_view *v, const struct mirror_entry *e)
{
    v->is_known = true;
    v->read_at_us = e->read_at_us;
    v->denied_at_us = e->denied_at_us;
    v->closed_window = e->closed_window;
    v->closed_read_at_us = e->closed_read_at_us;
    v->changes = e->changes;
    v->closed_changes = e->closed_changes;
    v->generation = e->generation;
    memcpy(v->seen, e->seen, sizeof v->seen);
    memcpy(v->since, e->since, sizeof v->since);
    for (size_t c = 0; c < COLUMNS; c++) {
        window_move(v->seen[c], e->newest, v->slot);
        move_signed(v->since[c], e->newest, v->slot);
    }
}

bool mirror_look(struct mirror *m, const struct counter *counter, int64_t now_us, struct mirror_view *view)
{
    memset(view, 0, sizeof *view);
    view->slot = window_slot(now_us, counter->period_s);
    int64_t wait_us = TAKE_WAIT_US;
    if (!mirror_lock(m, mirror_shard_of(m, counter->id), &wait_us))
        return false;
    struct mirror_entry *e = mirror_find(m, counter->id);
    view->slot = mirror_slot_at(e, counter->period_s, now_us);
    if (e) {
        e->last_use_us = MAX_OF(now_us, e->last_use_us);
        fill_view(view, e);
    }
    unlock_of(m, counter);
    return true;
}

static void sum_up(struct mirror_entry *e)
{
    for (size_t c = 0; c < COLUMNS; c++)
        e->unaged[c] = window_used(e->seen[c], e->newest, e->newest);
}

/* Redis has been read: what the others pushed is in it, as is what this node did; only what it was not told of is not.
 */
static void forget_alone(struct mirror_entry *e)
{
    for (size_t c = 0; c < COLUMNS; c++)
        for (size_t i = 0; i < WINDOW_CELLS; i++)
            e->alone[c][i] = (uint32_t)MAX_OF(e->since[c][i], 0);
}

void mirror_read(struct mirror *m, const struct counter *counter, struct str stem, const struct mirror_reading *reading)
{
    if (!lock_of(m, counter))
        return;
    struct mirror_entry *e = open_entry(m, counter, stem, reading->slot, reading->at_us);
    if (reading->at_us >= e->read_at_us && reading->slot == e->newest) {
        memcpy(e->seen, reading->rings, sizeof e->seen);
        forget_alone(e);
        sum_up(e);
        e->read_at_us = reading->at_us;
        e->changes = reading->changes;
        e->unseen = reading->unseen;
        if (reading->is_denial)
            e->denied_at_us = reading->at_us;
        if (reading->has_closed) {
            e->closed_window = reading->closed_window;
            e->closed_read_at_us = reading->at_us;
            e->closed_changes = reading->changes;
        }
    }
    unlock_of(m, counter);
}

void mirror_read_slot(struct mirror *m, const struct counter *counter, uint64_t slot, const bool columns[COLUMNS],
                      const uint32_t counts[COLUMNS])
{
    if (!lock_of(m, counter))
        return;
    struct mirror_entry *e = mirror_find(m, counter->id);
    for (size_t c = 0; e && e->newest == slot && c < e->columns; c++) {
        uint32_t *cell = &e->seen[c][slot % WINDOW_CELLS];
        if (!columns[c])
            continue;
        e->unaged[c] = e->unaged[c] - MIN_OF(e->unaged[c], *cell) + counts[c];
        *cell = counts[c];
    }
    unlock_of(m, counter);
}

void mirror_read_late(struct mirror *m, const struct counter *counter, uint64_t slot,
                      uint32_t rings[COLUMNS][WINDOW_CELLS])
{
    if (!lock_of(m, counter))
        return;
    struct mirror_entry *e = mirror_find(m, counter->id);
    for (size_t c = 0; e && c < e->columns; c++)
        for (uint64_t k = 0; k < WINDOW_CELLS && k <= slot; k++) {
            uint32_t *cell = &e->seen[c][(slot - k) % WINDOW_CELLS], read = rings[c][(slot - k) % WINDOW_CELLS];
            if (window_holds(e->newest, slot - k) && read > *cell) {
                e->unaged[c] += read - *cell;
                *cell = read;
            }
        }
    unlock_of(m, counter);
}

void mirror_since(struct mirror *m, const struct counter *counter, uint64_t slot, uint64_t sums[COLUMNS])
{
    memset(sums, 0, COLUMNS * sizeof *sums);
    if (!lock_of(m, counter))
        return;
    const struct mirror_entry *e = mirror_find(m, counter->id);
    for (size_t c = 0; e && c < e->columns; c++) {
        int32_t since[WINDOW_CELLS];
        memcpy(since, e->since[c], sizeof since);
        move_signed(since, e->newest, MAX_OF(slot, e->newest));
        sums[c] = window_owed(since);
    }
    unlock_of(m, counter);
}

void mirror_own_add(struct mirror *m, const struct counter *counter, struct str stem, uint64_t slot,
                    const uint32_t cost[COLUMNS], int64_t now_us)
{
    if (!lock_of(m, counter))
        return;
    struct mirror_entry *e = open_entry(m, counter, stem, slot, now_us);
    for (size_t c = 0; c < e->columns && window_holds(e->newest, slot); c++) {
        (void)window_add(e->own[c], slot, cost[c]);
        e->unaged[c] += window_add(e->seen[c], slot, cost[c]);
    }
    unlock_of(m, counter);
}

/* Out of the reading: what counts there, and of what it summed up to. */
static void unsee(struct mirror_entry *e, size_t column, uint64_t slot, uint32_t n)
{
    uint32_t had = MIN_OF(e->seen[column][slot % WINDOW_CELLS], n);
    window_take_back(e->seen[column], slot, n);
    e->unaged[column] -= MIN_OF(had, e->unaged[column]);
}

void mirror_own_take_back(struct mirror *m, const struct counter *counter, uint64_t slot, const uint32_t cost[COLUMNS])
{
    if (!lock_of(m, counter))
        return;
    struct mirror_entry *e = mirror_find(m, counter->id);
    for (size_t c = 0; e && c < e->columns && window_holds(e->newest, slot); c++) {
        window_take_back(e->own[c], slot, cost[c]);
        unsee(e, c, slot, cost[c]);
    }
    unlock_of(m, counter);
}

/* ---- Deciding alone ---- */

/* A column of an entry as a decision sees it, at a slot. */
struct sides {
    uint32_t told[WINDOW_CELLS];
    uint32_t mine[WINDOW_CELLS];
    uint64_t unaged; /* by so much more than told adds up to, for others may not know yet that this node is alone */
    uint32_t held;   /* of what the take holds: that still counts */
};

static void sides_of_cell(struct sides *s, const struct mirror_entry *e, size_t c, size_t i)
{
    int64_t since = e->since[c][i];
    uint32_t unsaid = (uint32_t)MAX_OF(since, 0), owed = (uint32_t)MAX_OF(-since, 0);
    uint32_t own_told = e->own[c][i] - MIN_OF(e->own[c][i], unsaid);
    uint32_t told = MAX_OF(e->seen[c][i], own_told), alone = MAX_OF(e->alone[c][i], unsaid);
    s->told[i] = told - MIN_OF(told, owed + (alone - unsaid));
    s->mine[i] = alone;
}

/* Does the take hold something that the counter, at `slot`, still counts? */
static bool counts_held(const struct take *take, const struct mirror_entry *e, uint64_t slot)
{
    if (!take->held.is_held || !window_holds(slot, take->held.slot))
        return false;
    return !take->held.is_local || (e && take->held.generation == e->generation);
}

static void sides_of(struct sides *s, const struct mirror_entry *e, const struct take *take, size_t c, uint64_t slot,
                     const struct mirror_terms *terms)
{
    memset(s, 0, sizeof *s);
    if (e) {
        for (size_t i = 0; i < WINDOW_CELLS; i++)
            sides_of_cell(s, e, c, i);
        window_move(s->told, e->newest, slot);
        window_move(s->mine, e->newest, slot);
        uint64_t told = window_used(s->told, slot, slot);
        s->unaged = terms->unaged_us && e->unaged[c] > told ? e->unaged[c] - told : 0;
    }
    if (!counts_held(take, e, slot))
        return;
    s->held = take->held.cost[c];
    uint32_t unsaid = take->held.is_local ? MIN_OF(s->mine[take->held.slot % WINDOW_CELLS], s->held) : 0;
    window_take_back(s->mine, take->held.slot, unsaid);
    window_take_back(s->told, take->held.slot, s->held - unsaid);
}

static uint32_t clamped(uint64_t n)
{
    return (uint32_t)MIN_OF(n, UINT32_MAX);
}

/* Without the shares of nodes whose charges the last reading may lack, for as long as they count. */
static uint64_t left_of(const struct mirror_entry *e, uint64_t allowed, uint64_t slot, const struct mirror_terms *terms)
{
    if (!e || !window_holds(slot, window_slot(e->read_at_us, e->period_s)))
        return allowed;
    return outage_left(allowed, terms->nodes, e->unseen);
}

/* The time until it fits if all nodes do as this one does and Redis stays away. */
static int64_t wait_for(const struct take *take, size_t c, uint64_t left, const struct sides *s, uint64_t slot,
                        int64_t now_us, const struct mirror_terms *terms)
{
    uint32_t ring[WINDOW_CELLS];
    for (size_t i = 0; i < WINDOW_CELLS; i++)
        ring[i] = clamped(s->told[i] + (uint64_t)terms->nodes * s->mine[i]);
    if (take->cost[c] > take->allowed[c])
        return take->mode == TAKE_ALWAYS ? RETRY_US : WAIT_UNKNOWN;
    uint32_t cost = clamped((uint64_t)terms->nodes * take->cost[c]);
    int64_t wait_us = memory_slots_wait(take, ring, slot, slot, cost, left, now_us);
    return wait_us == WAIT_UNKNOWN || s->unaged ? RETRY_US : wait_us;
}

/* What had left the window by `slot` is not counted as if it were in it still. An entry that was moved since knows its
 * sum from before. */
static void age_sums(struct mirror_entry *e, uint64_t slot)
{
    for (size_t c = 0; slot >= e->newest && c < e->columns; c++)
        e->unaged[c] = window_used(e->seen[c], e->newest, slot);
}

/* Fills the take's answer. Does it go on? */
static bool judge(const struct mirror_entry *e, struct take *take, uint64_t slot, int64_t now_us,
                  const struct mirror_terms *terms)
{
    take->wait_us = 0;
    for (size_t c = 0; c < COLUMNS; c++) {
        struct sides s;
        sides_of(&s, e, take, c, slot, terms);
        uint64_t told = window_used(s.told, slot, slot) + s.unaged, mine = window_used(s.mine, slot, slot);
        uint64_t left = left_of(e, take->allowed[c], slot, terms);
        uint32_t cost = take->cost[c];
        take->used[c] = told + mine + cost;
        take->growth[c] = cost > s.held ? cost - s.held : 0;
        bool grows = take->growth[c] > 0 || take->mode == TAKE_NOTHING;
        take->is_over[c] =
            grows && !terms->is_open && take->allowed[c] != ALLOWED_ANY && told + (mine + cost) * terms->nodes > left;
        if (take->is_over[c])
            take->wait_us = MAX_OF(take->wait_us, wait_for(take, c, left, &s, slot, now_us, terms));
    }
    return take->wait_us == 0 || take->mode == TAKE_ALWAYS;
}

/* Something will be to be pushed: mirror_due need not look where this was never said. */
static void note_since(struct mirror *m, const struct counter *counter)
{
    __atomic_fetch_add(&m->shards[mirror_shard_of(m, counter->id)].since_changes, 1, __ATOMIC_RELEASE);
}

static void charge(struct mirror *m, struct take *take, struct str stem, uint64_t slot, int64_t now_us)
{
    struct mirror_entry *e = open_entry(m, &take->counter, stem, slot, now_us);
    note_since(m, &take->counter);
    memset(&take->held, 0, sizeof take->held);
    for (size_t c = 0; c < e->columns; c++) {
        int32_t *since = &e->since[c][e->newest % WINDOW_CELLS];
        uint32_t room = (uint32_t)(INT32_MAX - MAX_OF(*since, 0));
        uint32_t added = window_add(e->own[c], e->newest, MIN_OF(take->cost[c], room));
        (void)window_add(e->alone[c], e->newest, added);
        *since += (int32_t)added;
        take->held.cost[c] = added;
    }
    take->held.slot = e->newest;
    take->held.generation = e->generation;
    take->held.is_held = take->held.is_local = true;
}

static void unlock_shards(struct mirror *m, uint64_t shards)
{
    for (; shards; shards &= shards - 1)
        mirror_unlock(m, (unsigned)__builtin_ctzll(shards));
}

/* Ascending: two takes never wait for each other in a ring. */
static bool lock_shards(struct mirror *m, uint64_t shards)
{
    int64_t wait_us = TAKE_WAIT_US;
    uint64_t had = 0;
    for (uint64_t left = shards; left; left &= left - 1) {
        unsigned shard = (unsigned)__builtin_ctzll(left);
        if (!mirror_lock(m, shard, &wait_us)) {
            unlock_shards(m, had);
            return false;
        }
        had |= UINT64_C(1) << shard;
    }
    return true;
}

enum mirror_result mirror_take(struct mirror *m, struct take *const *takes, const struct str *stems,
                               const int64_t *now_us, size_t count, const struct mirror_terms *terms)
{
    uint64_t shards = 0;
    for (size_t i = 0; i < count; i++)
        shards |= UINT64_C(1) << mirror_shard_of(m, takes[i]->counter.id);
    if (!lock_shards(m, shards))
        return MIRROR_LOCKED;
    bool fits = true;
    for (size_t i = 0; i < count; i++) {
        struct mirror_entry *e = mirror_find(m, takes[i]->counter.id);
        uint64_t slot = mirror_slot_at(e, takes[i]->counter.period_s, now_us[i]);
        if (e && terms[i].unaged_us)
            age_sums(e, window_slot(now_us[i] - MIN_OF(terms[i].unaged_us, now_us[i]), takes[i]->counter.period_s));
        fits &= judge(e, takes[i], slot, now_us[i], &terms[i]);
    }
    for (size_t i = 0; i < count && fits; i++)
        if (takes[i]->mode != TAKE_NOTHING)
            charge(m, takes[i], stems[i], window_slot(now_us[i], takes[i]->counter.period_s), now_us[i]);
    unlock_shards(m, shards);
    return fits ? MIRROR_TAKEN : MIRROR_FULL;
}

/* Out of since, as far as it is there; returns the rest. */
static uint32_t settle_since(struct mirror_entry *e, size_t column, uint64_t slot, uint32_t n)
{
    int32_t *since = &e->since[column][slot % WINDOW_CELLS];
    uint32_t there = MIN_OF((uint32_t)MAX_OF(*since, 0), n);
    *since -= (int32_t)there;
    return n - there;
}

void mirror_give_back(struct mirror *m, const struct counter *counter, const struct mirror_charge *charge,
                      uint32_t pushed[COLUMNS])
{
    memset(pushed, 0, COLUMNS * sizeof *pushed);
    if (!lock_of(m, counter))
        return;
    struct mirror_entry *e = mirror_find(m, counter->id);
    bool counts = e && e->generation == charge->generation && window_holds(e->newest, charge->slot);
    for (size_t c = 0; counts && c < e->columns; c++) {
        pushed[c] = settle_since(e, c, charge->slot, charge->cost[c]);
        window_take_back(e->own[c], charge->slot, charge->cost[c]);
        window_take_back(e->alone[c], charge->slot, charge->cost[c]);
        unsee(e, c, charge->slot, pushed[c]);
    }
    unlock_of(m, counter);
}

void mirror_is_told(struct mirror *m, const struct counter *counter, const struct mirror_charge *charge,
                    uint32_t excess[COLUMNS])
{
    memset(excess, 0, COLUMNS * sizeof *excess);
    if (!lock_of(m, counter))
        return;
    struct mirror_entry *e = mirror_find(m, counter->id);
    bool counts = e && e->generation == charge->generation && window_holds(e->newest, charge->slot);
    for (size_t c = 0; counts && c < e->columns; c++) {
        excess[c] = settle_since(e, c, charge->slot, charge->cost[c]);
        e->unaged[c] += window_add(e->seen[c], charge->slot, charge->cost[c] - excess[c]);
    }
    unlock_of(m, counter);
}

void mirror_owe(struct mirror *m, const struct counter *counter, struct str stem, uint64_t slot,
                const int64_t delta[COLUMNS], int64_t now_us)
{
    if (!lock_of(m, counter))
        return;
    struct mirror_entry *e = open_entry(m, counter, stem, slot, now_us);
    note_since(m, counter);
    for (size_t c = 0; c < e->columns && window_holds(e->newest, slot); c++) {
        int32_t *since = &e->since[c][slot % WINDOW_CELLS];
        *since = (int32_t)MAX_OF(MIN_OF(*since + delta[c], INT32_MAX), -INT32_MAX);
        if (delta[c] > 0)
            unsee(e, c, slot, clamped((uint64_t)delta[c]));
        else /* Redis still has it, and says so with the next reading */
            e->unaged[c] += window_add(e->seen[c], slot, clamped((uint64_t)-delta[c]));
    }
    unlock_of(m, counter);
}

uint64_t mirror_forgets(const struct mirror *m)
{
    return __atomic_load_n(&m->forgets, __ATOMIC_SEQ_CST);
}

void mirror_forget(struct mirror *m, const struct counter *counter, struct str stem, const bool columns[COLUMNS],
                   int64_t now_us)
{
    if (!lock_of(m, counter))
        return;
    struct mirror_entry *e = open_entry(m, counter, stem, window_slot(now_us, counter->period_s), now_us);
    mirror_entry_renew(m, counter->id, e);
    e->forgotten = __atomic_add_fetch(&m->forgets, 1, __ATOMIC_SEQ_CST);
    e->denied_at_us = 0;
    MEMORY_ORDER();
    for (size_t c = 0; c < COLUMNS; c++) {
        if (!columns[c])
            continue;
        memset(e->since[c], 0, sizeof e->since[c]);
        memset(e->own[c], 0, sizeof e->own[c]);
        memset(e->alone[c], 0, sizeof e->alone[c]);
        memset(e->seen[c], 0, sizeof e->seen[c]);
        e->unaged[c] = 0;
    }
    unlock_of(m, counter);
}

bool mirror_was_forgotten(struct mirror *m, const struct counter *counter, uint64_t forgets)
{
    if (mirror_forgets(m) == forgets || !lock_of(m, counter))
        return false;
    const struct mirror_entry *e = mirror_find(m, counter->id);
    bool was_forgotten = e && e->forgotten > forgets;
    unlock_of(m, counter);
    return was_forgotten;
}
