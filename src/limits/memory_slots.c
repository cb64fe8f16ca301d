/* memory_slots.c - counters of slots in the embedded table. See memory_slots.h. */
#include "limits/memory_slots.h"

#include <string.h>

/* An entry further in the future than this (and than its period) was written while the clock was wrong: no worker's
 * idea of now is ever that old. */
#define FUTURE_US (3600 * INT64_C(1000000))

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
        MEMORY_ORDER();
        for (size_t i = 0; i < WINDOW_CELLS; i++)
            if (i != slot % WINDOW_CELLS)
                e->rings[c][i] = 0;
    }
    MEMORY_ORDER();
    e->newest = slot;
    e->expires_us = window_slot_start_us(slot + WINDOW_CELLS, e->period_s);
}

uint64_t memory_slots_at(struct table *t, const struct counter *counter, struct table_entry *e, int64_t now_us)
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

struct table_entry *memory_slots_open(struct table *t, const struct counter *counter, struct table_entry *e,
                                      int64_t now_us, uint64_t *slot)
{
    if (!table_is_still(e, counter->id))
        e = table_find(t, counter->id);
    *slot = memory_slots_at(t, counter, e, now_us);
    if (!e) {
        e = table_make(t, counter->id, counter->period_s, now_us);
        e->newest = *slot;
    }
    for (size_t c = 0; c < COLUMNS; c++)
        window_move(e->rings[c], e->newest, *slot);
    MEMORY_ORDER();
    e->newest = *slot;
    e->expires_us = window_slot_start_us(*slot + WINDOW_CELLS, e->period_s);
    e->last_use_us = now_us;
    return e;
}

/* Does the entry still count what the take holds, at `slot`? */
static bool counts_held(const struct take *take, const struct table_entry *e, uint64_t slot)
{
    return e && take->held.is_held && take->held.generation == e->generation && window_holds(slot, take->held.slot);
}

int64_t memory_slots_wait(const struct take *take, uint32_t ring[WINDOW_CELLS], uint64_t newest, uint64_t slot,
                          uint32_t cost, uint64_t allowed, int64_t now_us)
{
    if (take->mode == TAKE_ALWAYS) {
        window_move(ring, newest, slot);
        (void)window_add(ring, slot, cost);
        newest = slot;
        cost = 0;
    }
    if (cost > allowed)
        return WAIT_UNKNOWN;
    uint64_t fits = window_fits_at(ring, newest, slot, allowed - cost);
    return window_slot_start_us(fits, take->counter.period_s) - now_us;
}

static int64_t wait_for(const struct take *take, size_t column, const struct table_entry *e, uint64_t slot,
                        int64_t now_us)
{
    uint32_t ring[WINDOW_CELLS] = {0};
    if (e)
        memcpy(ring, e->rings[column], sizeof ring);
    if (counts_held(take, e, slot)) /* it will be given back */
        window_take_back(ring, take->held.slot, take->held.cost[column]);
    return memory_slots_wait(take, ring, e ? e->newest : slot, slot, take->cost[column], take->allowed[column], now_us);
}

bool memory_slots_look(struct table *t, struct take *take, struct table_entry *e, int64_t now_us)
{
    uint64_t slot = memory_slots_at(t, &take->counter, e, now_us);
    bool counts = counts_held(take, e, slot);
    take->wait_us = 0;
    for (size_t c = 0; c < COLUMNS; c++) {
        uint64_t used = e ? window_used(e->rings[c], e->newest, slot) : 0;
        uint64_t held = counts ? MIN_OF(take->held.cost[c], used) : 0;
        if (take_answer(take, c, used, held))
            take->wait_us = MAX_OF(take->wait_us, wait_for(take, c, e, slot, now_us));
    }
    return take->wait_us == 0 || take->mode == TAKE_ALWAYS;
}

void memory_slots_charge(struct table *t, struct take *take, const uint32_t cost[COLUMNS], int64_t now_us)
{
    uint64_t slot;
    struct table_entry *e = memory_slots_open(t, &take->counter, take->place, now_us, &slot);
    bool counts = counts_held(take, e, slot);
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

void memory_slots_give_back(struct table *t, struct take *take)
{
    struct table_entry *e = table_find(t, take->counter.id);
    if (!e || !counts_held(take, e, e->newest))
        return; /* it no longer counts: nothing to give back */
    for (size_t c = 0; c < COLUMNS; c++)
        window_take_back(e->rings[c], take->held.slot, take->held.cost[c]);
}

/* The generation first: killed in between, nothing is forgotten; a value that counted is a new one from then on. */
void memory_slots_forget(struct table *t, const struct take *take, struct table_entry *e)
{
    if (!e)
        return;
    table_renew_generation(t, take->counter.id, e);
    MEMORY_ORDER();
    for (size_t c = 0; c < COLUMNS; c++)
        if (take->cost[c] || take->members)
            memset(e->rings[c], 0, sizeof e->rings[c]);
}
