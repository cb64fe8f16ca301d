/*
 * redis_slots_changes.c - changes of counters of slots that nobody waits for: refunds, moves. See redis_slots_inside.h.
 *
 *   BITFIELD key OVERFLOW SAT INCRBY u32 #slot ±n …   PEXPIREAT key expiry
 *
 * A refund may make the key anew, and so it sets the expiry as well. What is added goes first. The mirror has been told
 * when a change is sent; what could not be sent is due to the keeper (mirror_owe).
 */
#include <string.h>

#include "limits/redis_slots_inside.h"

_Static_assert(sizeof(struct changes) <= ERRAND_ROOM_BYTES, "an errand's room");

static bool is_nothing(const int64_t delta[COLUMNS])
{
    return delta[0] == 0 && delta[1] == 0 && delta[2] == 0;
}

/* The window of change i, which has a command of its own unless the one before it is of the same window. */
static bool has_command(const struct changes *ch, size_t i)
{
    if (is_nothing(ch->deltas[i]))
        return false;
    return i == 0 || is_nothing(ch->deltas[0]) || window_of(ch->slots[0]) != window_of(ch->slots[1]);
}

static void owe(struct store_redis *s, struct str stem, const struct changes *ch, size_t i, bool only_more)
{
    int64_t delta[COLUMNS];
    for (size_t c = 0; c < COLUMNS; c++)
        delta[c] = only_more ? MAX_OF(ch->deltas[i][c], 0) : ch->deltas[i][c];
    if (!is_nothing(delta))
        mirror_owe(s->options.mirror, &ch->counter, stem, ch->slots[i], delta, ch->now_us);
}

/* What was not done is for the keeper to push. What may have been done or not counts twice at worst. */
static void on_changed(struct errand *e, enum redis_result result, bool has_errors)
{
    struct changes ch;
    size_t command = 0;
    bool is_undone = result == REDIS_UNSENT;
    memcpy(&ch, e->room, sizeof ch);
    for (size_t i = 0; i < COUNT_OF(ch.slots); i++) {
        if (has_command(&ch, i)) {
            is_undone = result == REDIS_UNSENT || (has_errors && (e->failed >> command & 1));
            command += 2;
        }
        if (is_undone || result == REDIS_LOST)
            owe(e->store, e->key, &ch, i, result == REDIS_LOST);
    }
}

static void add_change(struct errand *e, const struct changes *ch, size_t i)
{
    uint64_t window = window_of(ch->slots[i]);
    struct command c;
    command_begin_bitfield(&c, e->key, window);
    for (size_t k = i; k < COUNT_OF(ch->slots); k++)
        for (size_t column = 0; column < COLUMNS && window_of(ch->slots[k]) == window; column++) {
            if (ch->deltas[k][column] == 0)
                continue;
            command_say_field(&c, STR("INCRBY"), cell_of(column, ch->slots[k]));
            command_say_number(&c, ch->deltas[k][column]);
        }
    errand_add(e, c.words, c.count);
    command_begin(&c, STR("PEXPIREAT"), e->key, window);
    command_say_expiry(&c, window, ch->counter.period_s);
    errand_add(e, c.words, c.count);
}

void changes_send(struct store_redis *s, struct str stem, const struct changes *ch)
{
    if (is_nothing(ch->deltas[0]) && is_nothing(ch->deltas[1]))
        return;
    struct errand *e = store_redis_is_believed(s, stem, domains_of_key(&s->domains, stem)) ? errand_new(s, stem) : NULL;
    if (!e) {
        owe(s, stem, ch, 0, false);
        owe(s, stem, ch, 1, false);
        return;
    }
    memcpy(e->room, ch, sizeof *ch);
    e->on_end = on_changed;
    for (size_t i = 0; i < COUNT_OF(ch->slots); i++)
        if (has_command(ch, i))
            add_change(e, ch, i);
    errand_send(e);
}

struct changes changes_of(const struct counter *counter, int64_t now_us)
{
    struct changes ch = {.counter = *counter, .now_us = now_us};
    ch.counter.entity = ch.counter.name = STR_NONE;
    return ch;
}

void changes_take_back(struct changes *ch, size_t i, uint64_t slot, const uint32_t cost[COLUMNS])
{
    ch->slots[i] = slot;
    for (size_t c = 0; c < COLUMNS; c++)
        ch->deltas[i][c] -= cost[c];
}

void changes_add(struct changes *ch, size_t i, uint64_t slot, const uint32_t cost[COLUMNS])
{
    ch->slots[i] = slot;
    for (size_t c = 0; c < COLUMNS; c++)
        ch->deltas[i][c] += cost[c];
}

void changes_let_go(struct changes *ch, size_t i, struct store_redis *s, const struct counter *counter,
                    const struct take_held *held)
{
    struct mirror *m = s->options.mirror;
    uint32_t pushed[COLUMNS];
    if (held->is_local) {
        struct mirror_charge charge = {.slot = held->slot, .generation = held->generation};
        memcpy(charge.cost, held->cost, sizeof charge.cost);
        mirror_give_back(m, counter, &charge, pushed);
        changes_take_back(ch, i, held->slot, pushed);
    } else if (!mirror_was_forgotten(m, counter, held->token)) {
        mirror_own_take_back(m, counter, held->slot, held->cost);
        changes_take_back(ch, i, held->slot, held->cost);
    }
}

void redis_slots_give_back(struct store_redis *s, struct take *take)
{
    char text[REDIS_STEM_MAX_BYTES];
    struct str stem = redis_stem(&take->counter, s->options.prefix, text, sizeof text);
    int64_t at_us = window_slot_start_us(take->held.slot, take->counter.period_s);
    struct changes ch = changes_of(&take->counter, at_us);
    changes_let_go(&ch, 0, s, &take->counter, &take->held);
    changes_send(s, stem, &ch);
}

void redis_slots_keep(struct store_redis *s, struct take *take, int64_t given_us)
{
    char text[REDIS_STEM_MAX_BYTES];
    struct str stem = redis_stem(&take->counter, s->options.prefix, text, sizeof text);
    int64_t now_us = store_redis_now_us(s, stem, given_us);
    uint64_t slot = window_slot(now_us, take->counter.period_s);
    if (slot <= take->held.slot)
        return;
    struct changes ch = changes_of(&take->counter, now_us);
    changes_add(&ch, 0, slot, take->held.cost);
    mirror_own_add(s->options.mirror, &take->counter, stem, slot, take->held.cost, now_us);
    changes_let_go(&ch, 1, s, &take->counter, &take->held);
    changes_send(s, stem, &ch);
}
