/*
 * redis_slots.c - counters of slots in Redis: a string of 48 numbers for each window, three columns of 16 slots.
 *
 *   look       GET key   [GET key of the window before]   [GET key of the next window]
 *   reserve    BITFIELD key [OVERFLOW SAT] INCRBY u32 #slot n …
 *              [GETEX key PXAT expiry   [GET key of the window before]   [GET key of the next window]]
 *   undo, give back, keep, exchange   BITFIELD key OVERFLOW SAT INCRBY u32 #slot ±n …   PEXPIREAT key expiry
 *
 * A key carries its window's length and number behind its slots, for whoever meets it by itself (`store audit`).
 *
 * An exchange reserves only by how much the cost grows; when all fits, the rest is moved from the old slot to the new
 * one, unawaited and in that order, so that at no moment less is counted than was admitted.
 *
 * GETEX sets the expiry, in the first check of a slot at the latest. A slot that holds less than was known of it may be
 * one of a new key, the old one being lost: then it is set again.
 */
#include <string.h>

#include "limits/memory_slots.h"
#include "limits/redis_slots_inside.h"

enum { VALUE_MAX_BYTES = 256 };  /* of a key; ours are 200 long */
enum { SMALL_GROWTH = 1 << 10 }; /* of which nothing wraps around (must_saturate) */

/* ---- Judging ---- */

/* Shares are left to nodes that are missing by who asks Redis; who decides alone keeps to his own (mirror_take). */
static uint64_t allowed_of(struct part *p, size_t column)
{
    if (p->state == PART_ALONE)
        return p->take->allowed[column];
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

static bool add_get(struct part *p, uint64_t window)
{
    struct command c;
    command_begin(&c, STR("GET"), p->key, window);
    return redis_call_add(&p->call, c.words, c.count);
}

/* What is asked for is forgotten first. */
static void clear_rings(struct slots *s)
{
    uint64_t first = window_of(s->slot) * WINDOW_SLOTS;
    for (size_t c = 0; c < COLUMNS; c++)
        for (uint64_t k = 0; k < WINDOW_CELLS && k <= s->slot; k++)
            if (!s->knows_closed || s->slot - k >= first)
                s->rings[c][(s->slot - k) % WINDOW_CELLS] = 0;
}

static bool asks_closed(const struct slots *s)
{
    return !s->knows_closed && window_of(s->slot) > 0;
}

/* The window before, and the next one. */
static bool add_neighbours(struct part *p)
{
    const struct slots *s = slots_of(p);
    uint64_t window = window_of(s->slot);
    return (!asks_closed(s) || add_get(p, window - 1)) && (!s->reads_next || add_get(p, window + 1));
}

static bool compose_look(struct part *p)
{
    struct slots *s = slots_of(p);
    s->has_bitfield = false;
    s->has_window = true;
    clear_rings(s);
    return add_get(p, window_of(s->slot)) && add_neighbours(p);
}

/* Two words fewer are a tenth of what a reservation costs Redis. Where nothing is known of the slot but a reading older
 * than SLOT_HOLDS_US, or much is added, they are said. Else the slot held at most NEAR_SATURATION = 2^30 two seconds
 * ago at most: 3 * 2^30 would have to be added since to fill it, which takes 3 * 2^20 commands of those that do not
 * saturate (SMALL_GROWTH = 2^10 each), ten times what a Redis carries out in that time; or three tebibytes of larger
 * mails in two seconds, by commands that do saturate. Should it happen all the same, who wraps a slot sees it: what it
 * holds then is less than was added (on_bitfield). */
static bool must_saturate(const struct slots *s)
{
    bool is_small = true;
    for (size_t c = 0; c < COLUMNS; c++)
        is_small &= s->growth[c] <= SMALL_GROWTH;
    return s->has_window || !is_small;
}

static bool add_reservation(struct part *p)
{
    struct slots *s = slots_of(p);
    uint64_t window = window_of(s->slot);
    struct command c;
    if (must_saturate(s))
        command_begin_bitfield(&c, p->key, window);
    else
        command_begin(&c, STR("BITFIELD"), p->key, window);
    for (size_t column = 0; column < COLUMNS; column++) {
        if (!s->growth[column])
            continue;
        if (s->asks_old)
            command_say_field(&c, STR("GET"), cell_of(column, s->slot));
        command_say_field(&c, STR("INCRBY"), cell_of(column, s->slot));
        command_say_number(&c, s->growth[column]);
    }
    if (!s->has_header)
        command_say_header(&c, p->counter.period_s, (uint32_t)(window & UINT32_MAX));
    return redis_call_add(&p->call, c.words, c.count);
}

static bool compose_reserve(struct part *p)
{
    struct slots *s = slots_of(p);
    uint64_t window = window_of(s->slot);
    struct command c;
    s->has_bitfield = s->grows;
    s->has_window = !s->knows_slots || s->asks_old;
    if (!s->has_window)
        return add_reservation(p);
    clear_rings(s);
    if (s->grows && !add_reservation(p))
        return false;
    command_begin(&c, STR("GETEX"), p->key, window);
    command_say(&c, STR("PXAT"));
    command_say_expiry(&c, window, p->counter.period_s);
    return redis_call_add(&p->call, c.words, c.count) && add_neighbours(p);
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

static bool is_header(const struct part *p, uint64_t window, uint32_t period_s, uint32_t number)
{
    bool is_none = period_s == 0 && number == 0; /* a refund made the key */
    return is_none || (period_s == p->counter.period_s && number == (uint32_t)(window & UINT32_MAX));
}

/* One command that nobody waits for. */
static void tell(struct part *p, const struct command *c)
{
    struct errand *e = errand_new(p->store, p->key);
    if (!e)
        return;
    errand_add(e, c->words, c->count);
    errand_send(e);
}

/* The key may be a new one, the old one having been lost: then it has no expiry. */
static void set_expiry(struct part *p)
{
    uint64_t window = window_of(slots_of(p)->slot);
    struct errand *e = errand_new(p->store, p->key);
    struct command c;
    if (!e)
        return;
    command_begin(&c, STR("BITFIELD"), p->key, window);
    command_say_header(&c, p->counter.period_s, (uint32_t)(window & UINT32_MAX));
    errand_add(e, c.words, c.count);
    command_begin(&c, STR("PEXPIREAT"), p->key, window);
    command_say_expiry(&c, window, p->counter.period_s);
    errand_add(e, c.words, c.count);
    errand_send(e);
}

/* It has wrapped around: it is made what it would be. Until then too little is counted, for a round trip. */
static void fill_slot(struct part *p, size_t column)
{
    const struct slots *s = slots_of(p);
    struct command c;
    command_begin(&c, STR("BITFIELD"), p->key, window_of(s->slot));
    command_say_field(&c, STR("SET"), cell_of(column, s->slot));
    command_say_number(&c, UINT32_MAX);
    tell(p, &c);
}

/* Where the window itself is not read, the slot of now in the rings is what the reservation found. */
static bool on_bitfield(struct part *p, const redisReply *reply)
{
    struct slots *s = slots_of(p);
    size_t at = 0;
    uint32_t old = 0, now;
    bool is_less = false, has_wrapped = false;
    if (reply->type != REDIS_REPLY_ARRAY)
        return false;
    p->is_reserved = true;
    for (size_t c = 0; c < COLUMNS; c++) {
        uint32_t *cell = &s->rings[c][s->slot % WINDOW_CELLS];
        if (!s->growth[c])
            continue;
        if ((s->asks_old && !next_number(reply, &at, &old)) || !next_number(reply, &at, &now) || now < old)
            return false;
        s->added[c] = s->asks_old ? now - old : s->growth[c];
        if (now < s->growth[c] && !must_saturate(s)) {
            fill_slot(p, c);
            has_wrapped = true;
        }
        if (s->has_window)
            continue;
        is_less |= now < s->growth[c] + (uint64_t)*cell;
        *cell = now;
    }
    if (has_wrapped)
        return false;
    if (is_less)
        set_expiry(p);
    if (s->has_header)
        return true;
    return next_number(reply, &at, &s->header[0]) && next_number(reply, &at, &s->header[1]) &&
           is_header(p, window_of(s->slot), s->header[0], s->header[1]);
}

static uint32_t number_at(const redisReply *reply, size_t cell)
{
    uint8_t bytes[4] = {0};
    if (cell * 4 < (size_t)reply->len)
        memcpy(bytes, reply->str + cell * 4, MIN_OF((size_t)reply->len - cell * 4, sizeof bytes));
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static bool is_window(const struct part *p, const redisReply *reply, uint64_t window)
{
    return reply->type == REDIS_REPLY_STRING && (size_t)reply->len <= VALUE_MAX_BYTES &&
           is_header(p, window, number_at(reply, SLOTS_HEADER_AT), number_at(reply, SLOTS_HEADER_AT + 1));
}

/* Into the rings: what counts at the slot. Slots that are still to come (another node is a moment ahead) count as of
 * now. */
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
    uint64_t window = window_of(s->slot);
    n -= s->has_bitfield;
    return on_window(p, reply, n == 0 ? window : n == 1 && asks_closed(s) ? window - 1 : window + 1);
}

/* Tells the mirror what was read. */
static void remember(struct part *p, bool is_denial)
{
    struct slots *s = slots_of(p);
    struct mirror *m = p->store->options.mirror;
    if (s->has_window) {
        struct mirror_reading reading = {
            .slot = s->slot,
            .at_us = p->now_us,
            .changes = s->changes,
            .unseen = s->unseen,
            .has_closed = !s->knows_closed,
            .closed_window = window_of(s->slot) - 1,
            .is_denial = is_denial,
        };
        memcpy(reading.rings, s->rings, sizeof reading.rings);
        mirror_read(m, &p->counter, p->key, &reading);
        return;
    }
    bool columns[COLUMNS];
    uint32_t counts[COLUMNS];
    for (size_t c = 0; c < COLUMNS; c++) {
        columns[c] = s->growth[c] > 0;
        counts[c] = s->rings[c][s->slot % WINDOW_CELLS];
    }
    mirror_read_slot(m, &p->counter, s->slot, columns, counts);
}

static void take_back_added(struct slots *s)
{
    for (size_t c = 0; c < COLUMNS; c++)
        window_take_back(s->rings[c], s->slot, s->added[c]);
}

static bool judge(struct part *p)
{
    struct slots *s = slots_of(p);
    take_back_added(s);
    mirror_since(p->store->options.mirror, &p->counter, s->slot, s->since);
    bool fits = judge_rings(p);
    remember(p, !fits && p->state == PART_LOOKING);
    return fits;
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
    changes_add(&ch, 0, s->slot, rest);
    mirror_own_add(p->store->options.mirror, &p->counter, p->key, s->slot, cost, p->now_us);
    if (s->counts_held)
        changes_let_go(&ch, take->held.slot == s->slot ? 0 : 1, p->store, &p->counter, &take->held);
    changes_send(p->store, p->key, &ch);
    memset(&take->held, 0, sizeof take->held);
    memcpy(take->held.cost, cost, sizeof cost);
    take->held.slot = s->slot;
    take->held.token = mirror_forgets(p->store->options.mirror);
    take->held.is_held = true;
}

/* Somebody else's value lies there: what was written over it is put back. */
static void restore_header(struct part *p)
{
    const struct slots *s = slots_of(p);
    struct command c;
    if (is_header(p, window_of(s->slot), s->header[0], s->header[1]))
        return;
    command_begin(&c, STR("BITFIELD"), p->key, window_of(s->slot));
    command_say_header(&c, s->header[0], s->header[1]);
    tell(p, &c);
}

static void undo(struct part *p)
{
    struct slots *s = slots_of(p);
    struct changes ch = changes_of(&p->counter, p->now_us);
    if (!p->is_reserved)
        return;
    changes_take_back(&ch, 0, s->slot, s->added);
    p->is_reserved = false;
    changes_send(p->store, p->key, &ch);
    restore_header(p);
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
    if (!store_redis_is_believed(s, p.key, p.domain))
        p.state = PART_ALONE;
    else if (!redis_slots_is_recent(view.read_at_us, p.now_us, SLOTS_DENIAL_US))
        return false;
    redis_slots_begin(&p);
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
    changes_let_go(&ch, 0, p->store, &p->counter, &p->take->held);
    changes_send(p->store, p->key, &ch);
    p->take->held = s->before;
}

static void taken_alone(struct part *p)
{
    struct slots *s = slots_of(p);
    struct changes ch = changes_of(&p->counter, p->now_us);
    if (!s->before.is_held || !s->counts_held || p->mode == TAKE_NOTHING)
        return;
    changes_let_go(&ch, 0, p->store, &p->counter, &s->before);
    changes_send(p->store, p->key, &ch);
}

static void heard_late(struct part *p)
{
    struct slots *s = slots_of(p);
    take_back_added(s);
    mirror_read_late(p->store->options.mirror, &p->counter, s->slot, s->rings);
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
    changes_take_back(&ch, 0, s->slot, excess);
    p->is_reserved = false;
    changes_send(p->store, p->key, &ch);
}

/* ---- Forgetting ---- */

static bool add_zeros(struct part *p, uint64_t window, const bool columns[COLUMNS])
{
    struct command c;
    for (size_t column = 0; column < COLUMNS; column++)
        for (uint64_t slot = 0; slot < WINDOW_SLOTS && columns[column]; slot++) {
            if (slot % 8 == 0)
                command_begin(&c, STR("BITFIELD"), p->key, window);
            command_say_field(&c, STR("SET"), cell_of(column, slot));
            command_say_number(&c, 0);
            if (slot % 8 == 7 && !redis_call_add(&p->call, c.words, c.count))
                return false;
        }
    command_begin(&c, STR("PEXPIREAT"), p->key, window);
    command_say_expiry(&c, window, p->counter.period_s);
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
    .begin = redis_slots_begin,
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
    .heard_late = heard_late,
    .reconcile = reconcile,
    .give_back = redis_slots_give_back,
    .keep = redis_slots_keep,
    .peek = peek,
    .compose_forget = compose_forget,
};
