/*
 * limiter.c - one question for all limits of a mail. See limiter.h.
 *
 * prepare: charges become readings (one a rate) and takes (one a counter: limits that share a counter are charged once,
 * and the strictest of them says what is allowed) ─▶ the store ─▶ answer: thresholds.c judges the counts ─▶ the caller.
 */
#include "limits/limiter.h"

#include <string.h>

#include "base/clock.h"
#include "base/panic.h"
#include "limits/denials.h"
#include "limits/distinct.h"
#include "limits/thresholds.h"

bool limiter_init(struct limiter *l, struct store *store)
{
    *l = (struct limiter){.store = store, .denials = denials_new()};
    return l->denials != NULL;
}

void limiter_fini(struct limiter *l)
{
    denials_free(&l->denials);
    l->store = NULL;
}

static size_t rate_count(const struct charge *charge)
{
    return charge->rates ? charge->rate_count : charge->limit->rate_count;
}

static const struct rate *rates(const struct charge *charge)
{
    return charge->rates ? charge->rates : charge->limit->rates;
}

bool reservation_init(struct reservation *r, struct arena *arena, const struct charge *charges, size_t count)
{
    *r = (struct reservation){.verdict = VERDICT_RESERVED};
    for (size_t i = 0; i < count; i++) {
        r->reading_max += rate_count(&charges[i]);
        r->passed_max += charges[i].limit->threshold_count;
        r->member_max += rate_count(&charges[i]) * charges[i].value_count;
    }
    if (r->reading_max == 0)
        return true;
    r->readings = arena_alloc(arena, r->reading_max * sizeof *r->readings);
    r->takes = arena_alloc(arena, r->reading_max * sizeof *r->takes);
    r->sorted = arena_alloc(arena, r->reading_max * sizeof *r->sorted);
    r->passed = arena_alloc(arena, MAX_OF(r->passed_max, 1) * sizeof *r->passed);
    r->members = arena_alloc(arena, MAX_OF(r->member_max, 1) * sizeof *r->members);
    return r->readings && r->takes && r->sorted && r->passed && r->members;
}

/* ---- From charges to takes ---- */

static enum counter_kind kind_of(const struct limit *limit)
{
    switch (limit_unit_shape(limit->unit)) {
    case SHAPE_LEASES:
        return COUNTER_LEASES;
    case SHAPE_MAIL:
        return limit->counts_for_itself ? COUNTER_OWN : COUNTER_MAIL;
    default:
        return limit->counts_for_itself ? COUNTER_OWN : COUNTER_UNIT;
    }
}

enum column limiter_counter(struct counter *c, const struct limit *limit, struct str entity, const struct rate *rate)
{
    *c = (struct counter){.entity = entity, .period_s = rate->period_s, .unit = limit->unit};
    c->kind = kind_of(limit);
    if (limit->counts_for_itself)
        c->name = limit->name;
    else if (c->kind != COUNTER_MAIL)
        c->name = limit_unit_name(limit->unit);
    return c->kind == COUNTER_MAIL ? limit_unit_column(limit->unit) : COLUMN_ONE;
}

static void take_set(struct take *take, const struct reading *reading, const struct charge *charge)
{
    enum column column = limit_unit_column(reading->limit->unit);
    if (take->mode == TAKE_NOTHING)
        memset(take->cost, 0, sizeof take->cost);
    else if (take->counter.kind == COUNTER_MAIL)
        memcpy(take->cost, charge->cost, sizeof take->cost);
    else
        take->cost[COLUMN_ONE] = charge->cost[column];
    for (size_t c = 0; c < COLUMNS; c++)
        take->allowed[c] = ALLOWED_ANY;
    if (!reading->limit->observed)
        take->allowed[thresholds_column(reading)] = reading->allowed;
}

/* The values of a distinct unit are what it costs. */
static void take_set_values(struct reservation *r, struct take *take, const struct charge *charge,
                            const struct hash_key *key)
{
    PANIC_IF(r->member_count + charge->value_count > r->member_max, "more values than the reservation was made for");
    distinct_set_members(take, r->members + r->member_count, charge->values, charge->value_count, key);
    r->member_count += charge->value_count;
}

static void reading_add(struct reservation *r, const struct store *store, const struct charge *charge, size_t index,
                        const struct rate *rate)
{
    size_t at = r->reading_count++;
    const struct threshold *refusing = limit_refusing_threshold(charge->limit);
    struct take *take = &r->takes[at];
    struct reading *reading = &r->readings[at];
    *reading = (struct reading){
        .limit = charge->limit,
        .entity = charge->entity,
        .rate = *rate,
        .cost = r->mode == TAKE_NOTHING ? 0 : charge->cost[limit_unit_column(charge->limit->unit)],
        .allowed = refusing ? limit_threshold_count(refusing, rate) : ALLOWED_ANY,
        .take = take,
        .charge = index,
    };
    memset(take, 0, sizeof *take);
    take->mode = r->mode;
    limiter_counter(&take->counter, charge->limit, charge->entity, rate);
    counter_set_id(&take->counter, &store->key);
    take_set(take, reading, charge);
    if (limit_unit_shape(charge->limit->unit) == SHAPE_DISTINCT) {
        struct hash_key key = store_values_key(store);
        take_set_values(r, take, charge, &key);
        reading->cost = take->cost[COLUMN_ONE];
    }
    r->sorted[at] = take;
}

static bool id_is_before(const struct take *a, const struct take *b)
{
    return a->counter.id.lo != b->counter.id.lo ? a->counter.id.lo < b->counter.id.lo
                                                : a->counter.id.hi < b->counter.id.hi;
}

/* Shellsort: six takes are in place at once, and a mail to a thousand recipients, each with limits, needs no memory for
 * it. */
static void takes_sort(struct take **takes, size_t count)
{
    static const size_t GAPS[] = {1750, 701, 301, 132, 57, 23, 10, 4, 1};
    for (size_t g = 0; g < COUNT_OF(GAPS); g++)
        for (size_t i = GAPS[g]; i < count; i++) {
            struct take *take = takes[i];
            size_t j = i;
            for (; j >= GAPS[g] && id_is_before(take, takes[j - GAPS[g]]); j -= GAPS[g])
                takes[j] = takes[j - GAPS[g]];
            takes[j] = take;
        }
}

/* Several limits read one counter: it is charged once, and the strictest says what is allowed. */
static void take_merge(struct take *into, const struct take *other)
{
    for (size_t c = 0; c < COLUMNS; c++) {
        into->cost[c] = MAX_OF(into->cost[c], other->cost[c]);
        into->allowed[c] = MIN_OF(into->allowed[c], other->allowed[c]);
    }
    if (other->member_count > into->member_count) {
        into->members = other->members;
        into->member_count = other->member_count;
    }
}

static void takes_unite(struct reservation *r)
{
    takes_sort(r->sorted, r->reading_count);
    size_t kept = 0;
    for (size_t i = 0; i < r->reading_count; i++) {
        struct take *take = r->sorted[i];
        struct take *last = kept ? r->sorted[kept - 1] : NULL;
        if (last && last->counter.id.lo == take->counter.id.lo && last->counter.id.hi == take->counter.id.hi) {
            take_merge(last, take);
            r->readings[take - r->takes].take = last; /* the n-th take was made for the n-th reading */
        } else {
            r->sorted[kept++] = take;
        }
    }
    r->take_count = kept;
}

static void prepare(struct limiter *l, struct reservation *r, enum take_mode mode, const struct charge *charges,
                    size_t count)
{
    PANIC_IF(r->is_waiting, "a reservation is asked for while it waits for its answer");
    for (size_t i = 0; i < r->take_count; i++)
        PANIC_IF(r->sorted[i]->held.is_held, "a reservation is asked for while it still holds a charge");
    r->limiter = l;
    r->mode = mode;
    r->is_settling = r->only_looks = false;
    r->reading_count = r->passed_count = r->member_count = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < rate_count(&charges[i]); k++) {
            PANIC_IF(r->reading_count == r->reading_max, "more charges than the reservation was made for");
            reading_add(r, l->store, &charges[i], i, &rates(&charges[i])[k]);
        }
    takes_unite(r);
}

/* ---- The answer ---- */

/* True: worth saying, the first refusal of its kind. */
static bool remember_refusal(struct limiter *l, const struct reservation *r, int64_t now_us)
{
    const struct reading *by = r->refused_by;
    const struct take *take = by->take;
    int64_t fits_at_us = take->wait_us == WAIT_UNKNOWN ? INT64_MAX : now_us + take->wait_us;
    return denials_remember(l->denials, take->counter.id, by->limit, fits_at_us, now_us);
}

/* Limits and store must agree on whether something is over. It is the store that says so, in is_over and not in the
 * counts beside it: one that decides without its server, by a share of what is allowed, may refuse below the limit, and
 * may let pass what an older reading would not. So is_over is what refuses here, too (thresholds.c); a store whose
 * result says otherwise than its takes is broken, and then neither can be believed. */
static void answer(struct reservation *r)
{
    struct limiter *l = r->limiter;
    bool refusal_is_new = false;
    bool refuses = thresholds_judge(r);
    PANIC_IF(refuses != (r->op.result == STORE_FULL), "the limits and store %s do not agree", l->store->ops->name);
    r->verdict = refuses ? VERDICT_REFUSED : VERDICT_RESERVED;
    if (refuses)
        refusal_is_new = remember_refusal(l, r, r->op.now_us);
    thresholds_list(r, refusal_is_new);
}

static bool is_over(const struct reservation *r)
{
    bool over = false;
    for (size_t i = 0; i < r->take_count; i++)
        for (size_t c = 0; c < COLUMNS; c++)
            over |= r->sorted[i]->is_over[c];
    return over;
}

/* Of an event, or of the question whether its count is above: which threshold acts is read from the counts. */
static void answer_event(struct reservation *r)
{
    struct limiter *l = r->limiter;
    bool refuses = thresholds_judge_event(r);
    if (r->mode == TAKE_NOTHING)
        PANIC_IF(is_over(r) != (r->op.result == STORE_FULL), "the limits and store %s do not agree",
                 l->store->ops->name);
    r->verdict = refuses ? VERDICT_REFUSED : VERDICT_RESERVED;
    thresholds_list_event(r);
    limiter_keep(l, r, r->op.now_us);
}

static void answer_look(struct reservation *r)
{
    r->verdict = VERDICT_RESERVED;
    for (size_t i = 0; i < r->reading_count; i++)
        r->readings[i].used = r->readings[i].take->used[thresholds_column(&r->readings[i])];
}

static void take_done(struct reservation *r)
{
    if (r->op.result == STORE_FAILED) {
        r->verdict = VERDICT_FAILED;
        r->refused_by = NULL;
        r->passed_count = 0;
    } else if (r->only_looks) {
        answer_look(r);
    } else if (r->mode == TAKE_IF_FITS) {
        answer(r);
    } else {
        answer_event(r);
    }
    if (r->is_settling && r->verdict != VERDICT_RESERVED)
        limiter_give_back(r->limiter, r);
}

static void on_taken(struct store_op *op)
{
    struct reservation *r = CONTAINER_OF(op, struct reservation, op);
    r->is_waiting = false;
    r->waited_us += clock_monotonic_us() - r->asked_us;
    take_done(r);
    r->cb(r, r->arg);
}

static enum started ask(struct reservation *r, int64_t now_us, unsigned deadline_ms, limiter_cb *cb, void *arg)
{
    struct store *store = r->limiter->store;
    r->cb = cb;
    r->arg = arg;
    r->op = (struct store_op){
        .takes = r->sorted,
        .count = r->take_count,
        .now_us = now_us,
        .deadline_ms = deadline_ms,
        .on_done = on_taken,
        .decided_by = store->ops->name,
    };
    if (store->ops->take_start(store, &r->op) == STARTED) {
        r->is_waiting = true;
        r->asked_us = clock_monotonic_us();
        return STARTED;
    }
    take_done(r);
    return DONE;
}

enum started limiter_reserve_start(struct limiter *l, struct reservation *r, const struct charge *charges, size_t count,
                                   int64_t now_us, unsigned deadline_ms, limiter_cb *cb, void *arg)
{
    prepare(l, r, TAKE_IF_FITS, charges, count);
    return ask(r, now_us, deadline_ms, cb, arg);
}

enum started limiter_count_start(struct limiter *l, struct reservation *r, const struct charge *charges, size_t count,
                                 int64_t now_us, unsigned deadline_ms, limiter_cb *cb, void *arg)
{
    prepare(l, r, TAKE_ALWAYS, charges, count);
    return ask(r, now_us, deadline_ms, cb, arg);
}

enum started limiter_above_start(struct limiter *l, struct reservation *r, const struct charge *charges, size_t count,
                                 int64_t now_us, unsigned deadline_ms, limiter_cb *cb, void *arg)
{
    prepare(l, r, TAKE_NOTHING, charges, count);
    return ask(r, now_us, deadline_ms, cb, arg);
}

enum started limiter_look_start(struct limiter *l, struct reservation *r, const struct charge *charges, size_t count,
                                int64_t now_us, unsigned deadline_ms, limiter_cb *cb, void *arg)
{
    prepare(l, r, TAKE_NOTHING, charges, count);
    r->only_looks = true;
    for (size_t i = 0; i < r->take_count; i++)
        for (size_t c = 0; c < COLUMNS; c++)
            r->sorted[i]->allowed[c] = ALLOWED_ANY;
    return ask(r, now_us, deadline_ms, cb, arg);
}

void limiter_peek(struct limiter *l, struct reservation *r, const struct charge *charges, size_t count, int64_t now_us)
{
    prepare(l, r, TAKE_IF_FITS, charges, count);
    bool is_full = false;
    for (size_t i = 0; i < r->take_count; i++) {
        struct take *take = r->sorted[i];
        if (!l->store->ops->peek(l->store, take, now_us))
            take_answer_unknown(take);
        is_full |= take->wait_us != 0;
    }
    r->op = (struct store_op){.now_us = now_us, .result = is_full ? STORE_FULL : STORE_TAKEN};
    answer(r);
    if (r->verdict == VERDICT_RESERVED)
        r->passed_count = 0; /* nothing was counted: no threshold was passed */
}

enum started limiter_settle_start(struct limiter *l, struct reservation *r, uint64_t bytes, int64_t now_us,
                                  unsigned deadline_ms, limiter_cb *cb, void *arg)
{
    PANIC_IF(r->is_waiting || r->verdict != VERDICT_RESERVED || r->mode != TAKE_IF_FITS || r->limiter != l,
             "nothing is reserved to be settled");
    uint32_t kib = limit_kib(bytes);
    for (size_t i = 0; i < r->take_count; i++) {
        struct take *take = r->sorted[i];
        if (take->counter.kind == COUNTER_MAIL)
            take->cost[COLUMN_KIB] = kib;
        else if (take->counter.kind == COUNTER_OWN && take->counter.unit == UNIT_BYTES)
            take->cost[COLUMN_ONE] = kib;
    }
    for (size_t i = 0; i < r->reading_count; i++)
        if (r->readings[i].limit->unit == UNIT_BYTES)
            r->readings[i].cost = kib;
    r->is_settling = true;
    return ask(r, now_us, deadline_ms, cb, arg);
}

void limiter_cancel(struct limiter *l, struct reservation *r)
{
    if (!r->is_waiting)
        return;
    r->is_waiting = false;
    l->store->ops->take_cancel(l->store, &r->op);
    r->verdict = VERDICT_FAILED;
    limiter_give_back(l, r);
}

void limiter_keep(struct limiter *l, struct reservation *r, int64_t now_us)
{
    if (r->take_count)
        l->store->ops->keep(l->store, r->sorted, r->take_count, now_us);
}

void limiter_give_back_unit(struct limiter *l, struct reservation *r, enum limit_unit unit)
{
    for (size_t i = 0; i < r->take_count; i++)
        if (r->sorted[i]->counter.unit == unit && r->sorted[i]->held.is_held)
            l->store->ops->give_back(l->store, &r->sorted[i], 1);
}

void limiter_give_back(struct limiter *l, struct reservation *r)
{
    if (r->take_count)
        l->store->ops->give_back(l->store, r->sorted, r->take_count);
}
