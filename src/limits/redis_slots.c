/*
 * redis_slots.c - counters of slots in Redis: a string of 48 numbers for each window, three columns of 16 slots.
 *
 *   look       GET key   [GET key of the window before]
 *   reserve    BITFIELD key OVERFLOW SAT INCRBY u32 #slot n …   GETEX key PXAT expiry   [GET key of the window before]
 *   undo, give back, keep, exchange   BITFIELD key OVERFLOW SAT INCRBY u32 #slot ±n …   PEXPIREAT key expiry
 *
 * A key carries its window's length and number behind its slots, for whoever meets it by itself (`store audit`).
 *
 * An exchange reserves only by how much the cost grows; when all fits, the rest is moved from the old slot to the new
 * one, unawaited and in that order, so that at no moment less is counted than was admitted.
 *
 * What was counted in a window that is closed only becomes less, unless some node pushes what it decided alone. So it
 * is read again only where the last reading was made within CLOSED_REST_US of the window's end, or is older than
 * CLOSED_HOLDS_US, or nodes came back since (outage_changes).
 */
#include <stdlib.h>
#include <string.h>

#include "limits/memory_slots.h"
#include "limits/store_redis_inside.h"

#define DENIAL_US       INT64_C(5000000)
#define CLOSED_REST_US  INT64_C(5000000)
#define CLOSED_HOLDS_US INT64_C(60000000)

enum {
    VALUE_MAX_BYTES = 256, /* of a key; ours are 200 long */
    HEADER_AT = COLUMNS * WINDOW_SLOTS,
    NEAR_SATURATION = 1 << 30, /* from there on a slot is asked what it held before */
    WORDS_MAX = 48,
};

/* In a part's room. */
struct slots {
    uint64_t slot;
    uint32_t held[COLUMNS];   /* of what the take holds: that still counts */
    uint32_t growth[COLUMNS]; /* what is reserved */
    uint32_t added[COLUMNS];  /* what that came to: less, where a slot is full to the brim */
    bool counts_held, grows;
    bool knows_closed, has_header, asks_old;
    bool has_bitfield; /* command 0; then the window, then perhaps the one before */
    bool is_read;      /* by this node, lately: the next three are of use */
    bool is_denied;
    uint64_t seen[COLUMNS], since[COLUMNS]; /* sums, as begin found them */
    uint32_t changes;
    uint32_t rings[COLUMNS][WINDOW_CELLS];
    struct take_held before; /* of a decision alone: what was held */
    struct mirror_charge alone;
};

_Static_assert(sizeof(struct slots) <= PART_ROOM_BYTES, "a part's room");

static struct slots *slots_of(struct part *p)
{
    return (struct slots *)p->room;
}

static uint64_t window_of(uint64_t slot)
{
    return slot / WINDOW_SLOTS;
}

/* ---- Commands ---- */

struct command {
    struct str words[WORDS_MAX];
    size_t count;
    char texts[WORDS_MAX][STR_OF_U64_MAX + 2]; /* of words that are numbers */
    char key[REDIS_KEY_MAX_BYTES];
};

static void say(struct command *c, struct str word)
{
    c->words[c->count++] = word;
}

/* n in digits, behind a sign. */
static void say_signed(struct command *c, char sign, uint64_t n)
{
    char *text = c->texts[c->count];
    struct str digits = str_of_u64(text + 1, n); /* it lies at the end of its room */
    size_t at = (size_t)(digits.ptr - text) - (sign != 0);
    if (sign)
        text[at] = sign;
    say(c, str_of(text + at, digits.len + (sign != 0)));
}

static void say_number(struct command *c, int64_t n)
{
    say_signed(c, n < 0 ? '-' : 0, n < 0 ? (uint64_t)0 - (uint64_t)n : (uint64_t)n);
}

static void say_cell(struct command *c, uint64_t cell)
{
    say_signed(c, '#', cell);
}

static void begin_command(struct command *c, struct str verb, struct str stem, uint64_t window)
{
    c->count = 0;
    say(c, verb);
    say(c, redis_key_of_window(stem, window, c->key, sizeof c->key));
}

static void say_expiry(struct command *c, uint64_t window, uint32_t period_s)
{
    say_number(c, (int64_t)((window + 2) * period_s * 1000 + 5000));
}

static void begin_bitfield(struct command *c, struct str stem, uint64_t window)
{
    begin_command(c, STR("BITFIELD"), stem, window);
    say(c, STR("OVERFLOW"));
    say(c, STR("SAT"));
}

static void say_field(struct command *c, struct str verb, uint64_t cell)
{
    say(c, verb);
    say(c, STR("u32"));
    say_cell(c, cell);
}

static uint64_t cell_of(size_t column, uint64_t slot)
{
    return column * WINDOW_SLOTS + slot % WINDOW_SLOTS;
}

static void say_header(struct command *c, uint64_t window, uint32_t period_s)
{
    say_field(c, STR("SET"), HEADER_AT);
    say_number(c, period_s);
    say_field(c, STR("SET"), HEADER_AT + 1);
    say_number(c, (int64_t)(window & UINT32_MAX));
}

static bool add_get(struct part *p, uint64_t window)
{
    struct command c;
    begin_command(&c, STR("GET"), p->key, window);
    return redis_call_add(&p->call, c.words, c.count);
}

/* ---- What this node knows ---- */

/* Does what the take holds count still? */
static bool counts_held(const struct part *p, const struct mirror_view *view)
{
    const struct take_held *held = &p->take->held;
    if (!held->is_held || !window_holds(view->slot, held->slot))
        return false;
    if (held->is_local)
        return view->is_known && held->generation == view->generation;
    return !mirror_was_forgotten(p->store->options.mirror, &p->counter, held->token);
}

static bool knows_closed(const struct part *p, const struct mirror_view *view, uint32_t changes)
{
    uint64_t window = window_of(view->slot);
    int64_t closed_at_us = window_slot_start_us(window * WINDOW_SLOTS, p->counter.period_s);
    return window > 0 && view->closed_window == window - 1 &&
           view->closed_read_at_us >= closed_at_us + CLOSED_REST_US &&
           p->now_us - view->closed_read_at_us <= CLOSED_HOLDS_US && view->changes == changes;
}

static bool is_within(int64_t at_us, int64_t now_us, int64_t for_us)
{
    return at_us > 0 && now_us - at_us <= for_us && at_us - now_us <= for_us;
}

/* What the window of the slot itself has in the rings. */
static bool has_current(const struct mirror_view *view)
{
    for (size_t c = 0; c < COLUMNS; c++)
        for (uint64_t n = window_of(view->slot) * WINDOW_SLOTS; n <= view->slot; n++)
            if (view->seen[c][n % WINDOW_CELLS])
                return true;
    return false;
}

static void sum_up(struct slots *s, const struct mirror_view *view)
{
    for (size_t c = 0; c < COLUMNS; c++) {
        s->seen[c] = window_used(view->seen[c], view->slot, view->slot);
        for (size_t i = 0; i < WINDOW_CELLS; i++)
            s->since[c] += (uint64_t)MAX_OF(view->since[c][i], 0);
        s->asks_old |= view->seen[c][view->slot % WINDOW_CELLS] > NEAR_SATURATION || s->growth[c] > NEAR_SATURATION;
    }
}

static void begin(struct part *p)
{
    struct slots *s = slots_of(p);
    struct mirror_view view;
    (void)mirror_look(p->store->options.mirror, &p->counter, p->now_us, &view);
    s->slot = view.slot;
    s->counts_held = counts_held(p, &view);
    for (size_t c = 0; c < COLUMNS; c++) {
        s->held[c] = s->counts_held ? p->take->held.cost[c] : 0;
        s->growth[c] = p->cost[c] > s->held[c] ? p->cost[c] - s->held[c] : 0;
        s->grows |= s->growth[c] > 0;
    }
    s->changes = outage_changes(p->store->options.outage, p->domain);
    s->knows_closed = knows_closed(p, &view, s->changes);
    s->has_header = has_current(&view);
    s->is_read = view.read_at_us > 0;
    s->is_denied = is_within(view.denied_at_us, p->now_us, DENIAL_US);
    memcpy(s->rings, view.seen, sizeof s->rings);
    sum_up(s, &view);
}

/* ---- Judging ---- */

static uint64_t allowed_of(struct part *p, size_t column)
{
    return outage_allowed(p->store->options.outage, p->domain, p->take->allowed[column]);
}

/* Until it fits; what is held and what Redis was not told of yet count as if they were in the newest slot: an exchange
 * is settled within seconds, and a decision made alone is pushed. */
static int64_t wait_for(struct part *p, size_t column, uint64_t allowed)
{
    struct slots *s = slots_of(p);
    uint32_t ring[WINDOW_CELLS];
    memcpy(ring, s->rings[column], sizeof ring);
    if (s->counts_held)
        window_take_back(ring, p->take->held.slot, s->held[column]);
    (void)window_add(ring, s->slot, (uint32_t)MIN_OF(s->since[column], UINT32_MAX));
    return memory_slots_wait(p->take, ring, s->slot, s->slot, p->cost[column], allowed, p->now_us);
}

/* Fills the take's answer, by rings and since. Does it go on? */
static bool judge_rings(struct part *p)
{
    struct slots *s = slots_of(p);
    struct take *take = p->take;
    take->wait_us = 0;
    for (size_t c = 0; c < COLUMNS; c++) {
        uint64_t allowed = allowed_of(p, c), sum = window_used(s->rings[c], s->slot, s->slot) + s->since[c];
        take->used[c] = sum - MIN_OF(sum, s->held[c]) + p->cost[c];
        take->growth[c] = s->growth[c];
        take->is_over[c] = (s->growth[c] || p->mode == TAKE_NOTHING) && take->used[c] > allowed;
        if (take->is_over[c])
            take->wait_us = MAX_OF(take->wait_us, wait_for(p, c, allowed));
    }
    return take->wait_us == 0 || p->mode == TAKE_ALWAYS;
}

static bool needs_nothing(struct part *p)
{
    struct slots *s = slots_of(p);
    if (!s->counts_held || s->grows || p->mode == TAKE_NOTHING)
        return false;
    (void)judge_rings(p);
    return true;
}

/* A denial is remembered for as long as what is known says the same, but for no more than five seconds. What alone is
 * above the limit never fits. */
static bool is_known_full(struct part *p)
{
    struct slots *s = slots_of(p);
    bool is_hopeless = false;
    if (p->mode == TAKE_ALWAYS)
        return false;
    for (size_t c = 0; c < COLUMNS; c++)
        is_hopeless |= s->growth[c] > 0 && p->cost[c] > p->take->allowed[c];
    return (is_hopeless || s->is_denied) && !judge_rings(p);
}

static bool needs_look(struct part *p)
{
    struct slots *s = slots_of(p);
    if (p->mode != TAKE_IF_FITS || !s->is_read)
        return false;
    for (size_t c = 0; c < COLUMNS; c++) {
        uint64_t allowed = allowed_of(p, c);
        if (s->growth[c] && allowed != ALLOWED_ANY && s->seen[c] + s->since[c] + s->growth[c] > allowed - allowed / 10)
            return true;
    }
    return false;
}

/* ---- Asking ---- */

/* What is asked for is forgotten first. */
static void clear_rings(struct slots *s)
{
    uint64_t first = window_of(s->slot) * WINDOW_SLOTS;
    for (size_t c = 0; c < COLUMNS; c++)
        for (uint64_t k = 0; k < WINDOW_CELLS && k <= s->slot; k++)
            if (!s->knows_closed || s->slot - k >= first)
                s->rings[c][(s->slot - k) % WINDOW_CELLS] = 0;
}

static bool add_closed(struct part *p)
{
    const struct slots *s = slots_of(p);
    return s->knows_closed || window_of(s->slot) == 0 || add_get(p, window_of(s->slot) - 1);
}

static bool compose_look(struct part *p)
{
    struct slots *s = slots_of(p);
    s->has_bitfield = false;
    clear_rings(s);
    return add_get(p, window_of(s->slot)) && add_closed(p);
}

static bool add_reservation(struct part *p)
{
    struct slots *s = slots_of(p);
    uint64_t window = window_of(s->slot);
    struct command c;
    begin_bitfield(&c, p->key, window);
    for (size_t column = 0; column < COLUMNS; column++) {
        if (!s->growth[column])
            continue;
        if (s->asks_old)
            say_field(&c, STR("GET"), cell_of(column, s->slot));
        say_field(&c, STR("INCRBY"), cell_of(column, s->slot));
        say_number(&c, s->growth[column]);
    }
    if (!s->has_header)
        say_header(&c, window, p->counter.period_s);
    return redis_call_add(&p->call, c.words, c.count);
}

static bool compose_reserve(struct part *p)
{
    struct slots *s = slots_of(p);
    uint64_t window = window_of(s->slot);
    struct command c;
    s->has_bitfield = s->grows;
    clear_rings(s);
    if (s->grows && !add_reservation(p))
        return false;
    begin_command(&c, STR("GETEX"), p->key, window);
    say(&c, STR("PXAT"));
    say_expiry(&c, window, p->counter.period_s);
    return redis_call_add(&p->call, c.words, c.count) && add_closed(p);
}

/* ---- Replies ---- */

static bool next_number(const redisReply *reply, size_t *at, uint32_t *n)
{
    if (*at >= reply->elements || reply->element[*at]->type != REDIS_REPLY_INTEGER)
        return false;
    long long value = reply->element[(*at)++]->integer;
    *n = (uint32_t)value;
    return value >= 0 && value <= (long long)UINT32_MAX;
}

static bool on_bitfield(struct part *p, const redisReply *reply)
{
    struct slots *s = slots_of(p);
    size_t at = 0;
    uint32_t old = 0, now;
    if (reply->type != REDIS_REPLY_ARRAY)
        return false;
    p->is_reserved = true;
    for (size_t c = 0; c < COLUMNS; c++) {
        if (!s->growth[c])
            continue;
        if ((s->asks_old && !next_number(reply, &at, &old)) || !next_number(reply, &at, &now) || now < old)
            return false;
        s->added[c] = s->asks_old ? now - old : s->growth[c];
    }
    return true;
}

static uint32_t number_at(const redisReply *reply, size_t cell)
{
    uint8_t bytes[4] = {0};
    if (cell * 4 < (size_t)reply->len)
        memcpy(bytes, reply->str + cell * 4, MIN_OF((size_t)reply->len - cell * 4, sizeof bytes));
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Is it a window of ours? One that a refund made has no header. */
static bool is_window(const struct part *p, const redisReply *reply, uint64_t window)
{
    uint32_t period_s, number;
    if (reply->type != REDIS_REPLY_STRING || (size_t)reply->len > VALUE_MAX_BYTES)
        return false;
    period_s = number_at(reply, HEADER_AT);
    number = number_at(reply, HEADER_AT + 1);
    return (period_s == 0 && number == 0) ||
           (period_s == p->counter.period_s && number == (uint32_t)(window & UINT32_MAX));
}

/* Into the rings: what counts at the slot. Slots that are still to come (another node's clock is a little ahead) count
 * as of now. */
static bool on_window(struct part *p, const redisReply *reply, uint64_t window)
{
    struct slots *s = slots_of(p);
    if (reply->type == REDIS_REPLY_NIL)
        return true;
    if (!is_window(p, reply, window))
        return false;
    for (size_t c = 0; c < COLUMNS; c++)
        for (uint64_t n = window * WINDOW_SLOTS; n < (window + 1) * WINDOW_SLOTS; n++)
            if (n > s->slot || window_holds(s->slot, n))
                (void)window_add(s->rings[c], MIN_OF(n, s->slot), number_at(reply, cell_of(c, n)));
    return true;
}

static bool on_reply(struct part *p, size_t n, const redisReply *reply)
{
    struct slots *s = slots_of(p);
    if (s->has_bitfield && n == 0)
        return on_bitfield(p, reply);
    return on_window(p, reply, window_of(s->slot) - (n - s->has_bitfield));
}

static bool judge(struct part *p)
{
    struct slots *s = slots_of(p);
    struct mirror *m = p->store->options.mirror;
    struct mirror_reading reading = {
        .slot = s->slot,
        .at_us = p->now_us,
        .has_closed = !s->knows_closed,
        .closed_window = window_of(s->slot) - 1,
        .changes = s->changes,
    };
    for (size_t c = 0; c < COLUMNS; c++)
        window_take_back(s->rings[c], s->slot, s->added[c]);
    mirror_since(m, &p->counter, s->slot, s->since);
    bool fits = judge_rings(p);
    reading.is_denial = !fits && p->state == PART_LOOKING;
    memcpy(reading.rings, s->rings, sizeof reading.rings);
    mirror_read(m, &p->counter, p->key, &reading);
    return fits;
}

/* ---- Changes that nobody waits for ---- */

/* By how much two slots of a counter change. */
struct changes {
    struct counter counter; /* without its texts: the errand's key is its name */
    uint64_t slots[2];
    int64_t deltas[2][COLUMNS];
    int64_t now_us;
};

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
    begin_bitfield(&c, e->key, window);
    for (size_t k = i; k < COUNT_OF(ch->slots); k++)
        for (size_t column = 0; column < COLUMNS && window_of(ch->slots[k]) == window; column++) {
            if (ch->deltas[k][column] == 0)
                continue;
            say_field(&c, STR("INCRBY"), cell_of(column, ch->slots[k]));
            say_number(&c, ch->deltas[k][column]);
        }
    errand_add(e, c.words, c.count);
    begin_command(&c, STR("PEXPIREAT"), e->key, window);
    say_expiry(&c, window, ch->counter.period_s);
    errand_add(e, c.words, c.count);
}

static void send_changes(struct store_redis *s, struct str stem, const struct changes *ch)
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

static struct changes changes_of(const struct counter *counter, int64_t now_us)
{
    struct changes ch = {.counter = *counter, .now_us = now_us};
    ch.counter.entity = ch.counter.name = STR_NONE;
    return ch;
}

static void change_less(struct changes *ch, size_t i, uint64_t slot, const uint32_t cost[COLUMNS])
{
    ch->slots[i] = slot;
    for (size_t c = 0; c < COLUMNS; c++)
        ch->deltas[i][c] -= cost[c];
}

static void change_more(struct changes *ch, size_t i, uint64_t slot, const uint32_t cost[COLUMNS])
{
    ch->slots[i] = slot;
    for (size_t c = 0; c < COLUMNS; c++)
        ch->deltas[i][c] += cost[c];
}

/* What is held is held no longer, wherever it lies; what Redis has of it is left in the changes, as number i. */
static void let_go(struct store_redis *s, const struct counter *counter, const struct take_held *held,
                   struct changes *ch, size_t i)
{
    struct mirror *m = s->options.mirror;
    uint32_t pushed[COLUMNS];
    if (held->is_local) {
        struct mirror_charge charge = {.slot = held->slot, .generation = held->generation};
        memcpy(charge.cost, held->cost, sizeof charge.cost);
        mirror_give_back(m, counter, &charge, pushed);
        change_less(ch, i, held->slot, pushed);
    } else if (!mirror_was_forgotten(m, counter, held->token)) {
        mirror_own_take_back(m, counter, held->slot, held->cost);
        change_less(ch, i, held->slot, held->cost);
    }
}

/* ---- The op's end ---- */

static bool is_as_it_was(const struct take *take, const struct slots *s)
{
    return take->held.slot == s->slot && memcmp(take->held.cost, take->cost, sizeof take->cost) == 0;
}

static void taken(struct part *p)
{
    struct slots *s = slots_of(p);
    struct take *take = p->take;
    if (p->mode == TAKE_NOTHING || (p->state == PART_SURE && is_as_it_was(take, s)))
        return;
    struct changes ch = changes_of(&p->counter, p->now_us);
    uint32_t cost[COLUMNS], rest[COLUMNS];
    for (size_t c = 0; c < COLUMNS; c++) {
        rest[c] = p->cost[c] - s->growth[c];
        cost[c] = s->added[c] + rest[c];
    }
    change_more(&ch, 0, s->slot, rest);
    mirror_own_add(p->store->options.mirror, &p->counter, p->key, s->slot, cost, p->now_us);
    if (s->counts_held)
        let_go(p->store, &p->counter, &take->held, &ch, take->held.slot == s->slot ? 0 : 1);
    send_changes(p->store, p->key, &ch);
    memset(&take->held, 0, sizeof take->held);
    memcpy(take->held.cost, cost, sizeof cost);
    take->held.slot = s->slot;
    take->held.token = mirror_forgets(p->store->options.mirror);
    take->held.is_held = true;
}

static void undo(struct part *p)
{
    struct slots *s = slots_of(p);
    struct changes ch = changes_of(&p->counter, p->now_us);
    if (p->is_reserved)
        change_less(&ch, 0, s->slot, s->added);
    p->is_reserved = false;
    send_changes(p->store, p->key, &ch);
}

static void give_back(struct store_redis *s, struct take *take)
{
    char text[REDIS_STEM_MAX_BYTES];
    struct str stem = redis_stem(&take->counter, s->options.prefix, text, sizeof text);
    int64_t at_us = window_slot_start_us(take->held.slot, take->counter.period_s);
    struct changes ch = changes_of(&take->counter, at_us);
    let_go(s, &take->counter, &take->held, &ch, 0);
    send_changes(s, stem, &ch);
}

static void keep(struct store_redis *s, struct take *take, int64_t given_us)
{
    char text[REDIS_STEM_MAX_BYTES];
    struct str stem = redis_stem(&take->counter, s->options.prefix, text, sizeof text);
    int64_t now_us = store_redis_now_us(s, stem, given_us);
    uint64_t slot = window_slot(now_us, take->counter.period_s);
    if (slot <= take->held.slot)
        return;
    struct changes ch = changes_of(&take->counter, now_us);
    change_more(&ch, 0, slot, take->held.cost);
    mirror_own_add(s->options.mirror, &take->counter, stem, slot, take->held.cost, now_us);
    let_go(s, &take->counter, &take->held, &ch, 1);
    send_changes(s, stem, &ch);
}

static bool peek(struct store_redis *s, struct take *take, int64_t given_us)
{
    struct part p;
    memset(&p, 0, sizeof p);
    p.store = s;
    p.take = take;
    p.counter = take->counter;
    p.mode = take->mode;
    memcpy(p.cost, take->cost, sizeof p.cost);
    p.key = redis_stem(&take->counter, s->options.prefix, p.key_text, sizeof p.key_text);
    p.now_us = store_redis_now_us(s, p.key, given_us);
    p.domain = domains_of_key(&s->domains, p.key);
    struct mirror_view view;
    if (!mirror_look(s->options.mirror, &p.counter, p.now_us, &view) || !view.is_known)
        return false;
    if (store_redis_is_believed(s, p.key, p.domain) && !is_within(view.read_at_us, p.now_us, DENIAL_US))
        return false;
    begin(&p);
    (void)judge_rings(&p);
    return true;
}

/* ---- Alone ---- */

enum mirror_result redis_slots_decide_alone(struct part *const *parts, size_t count)
{
    enum { MOST = 64 };
    struct take *takes[MOST];
    struct str stems[MOST];
    int64_t now_us[MOST];
    struct mirror_terms terms[MOST];
    if (count == 0 || count > MOST)
        return count ? MIRROR_LOCKED : MIRROR_TAKEN;
    for (size_t i = 0; i < count; i++) {
        takes[i] = parts[i]->take;
        stems[i] = parts[i]->key;
        now_us[i] = parts[i]->now_us;
        terms[i] = store_redis_terms(parts[i]->store, parts[i]->domain);
        slots_of(parts[i])->before = takes[i]->held;
    }
    enum mirror_result result = mirror_take(parts[0]->store->options.mirror, takes, stems, now_us, count, terms);
    for (size_t i = 0; i < count && result != MIRROR_LOCKED; i++) {
        struct slots *s = slots_of(parts[i]);
        parts[i]->is_answered = true;
        s->alone = (struct mirror_charge){.slot = takes[i]->held.slot, .generation = takes[i]->held.generation};
    }
    return result;
}

static void undo_alone(struct part *p)
{
    struct slots *s = slots_of(p);
    struct changes ch = changes_of(&p->counter, p->now_us);
    if (p->mode == TAKE_NOTHING)
        return;
    let_go(p->store, &p->counter, &p->take->held, &ch, 0);
    send_changes(p->store, p->key, &ch);
    p->take->held = s->before;
}

static void taken_alone(struct part *p)
{
    struct slots *s = slots_of(p);
    struct changes ch = changes_of(&p->counter, p->now_us);
    if (!s->before.is_held || !s->counts_held || p->mode == TAKE_NOTHING)
        return;
    let_go(p->store, &p->counter, &s->before, &ch, 0);
    send_changes(p->store, p->key, &ch);
}

/* In another slot than it was charged to here it would be hard to say what belongs to what: the charge of here stays,
 * and is pushed. */
static void reconcile(struct part *p)
{
    struct slots *s = slots_of(p);
    if (!p->is_reserved || s->alone.slot != s->slot) {
        undo(p);
        return;
    }
    struct changes ch = changes_of(&p->counter, p->now_us);
    uint32_t excess[COLUMNS];
    memcpy(s->alone.cost, s->added, sizeof s->alone.cost);
    mirror_is_told(p->store->options.mirror, &p->counter, &s->alone, excess);
    change_less(&ch, 0, s->slot, excess);
    p->is_reserved = false;
    send_changes(p->store, p->key, &ch);
}

/* ---- Forgetting ---- */

static bool add_zeros(struct part *p, uint64_t window, const bool columns[COLUMNS])
{
    struct command c;
    for (size_t column = 0; column < COLUMNS; column++)
        for (uint64_t slot = 0; slot < WINDOW_SLOTS && columns[column]; slot++) {
            if (slot % 8 == 0)
                begin_command(&c, STR("BITFIELD"), p->key, window);
            say_field(&c, STR("SET"), cell_of(column, slot));
            say_number(&c, 0);
            if (slot % 8 == 7 && !redis_call_add(&p->call, c.words, c.count))
                return false;
        }
    begin_command(&c, STR("PEXPIREAT"), p->key, window);
    say_expiry(&c, window, p->counter.period_s);
    return redis_call_add(&p->call, c.words, c.count);
}

static bool compose_forget(struct part *p)
{
    uint64_t window = window_of(window_slot(p->now_us, p->counter.period_s));
    bool columns[COLUMNS], is_all = p->counter.kind != COUNTER_MAIL;
    for (size_t c = 0; c < COLUMNS; c++)
        columns[c] = is_all || p->cost[c] > 0;
    mirror_forget(p->store->options.mirror, &p->counter, p->key, columns, p->now_us);
    for (uint64_t w = window ? window - 1 : 0; w <= window; w++)
        if (!add_zeros(p, w, columns))
            return false;
    return true;
}

const struct part_kind redis_slots_kind = {
    .begin = begin,
    .needs_nothing = needs_nothing,
    .is_known_full = is_known_full,
    .needs_look = needs_look,
    .compose_look = compose_look,
    .compose_reserve = compose_reserve,
    .on_reply = on_reply,
    .judge = judge,
    .taken = taken,
    .undo = undo,
    .undo_alone = undo_alone,
    .taken_alone = taken_alone,
    .reconcile = reconcile,
    .give_back = give_back,
    .keep = keep,
    .peek = peek,
    .compose_forget = compose_forget,
};
