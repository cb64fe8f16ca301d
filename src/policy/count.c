/*
 * count.c - how full a limit is for the case at hand: used(L) and left(L) in conditions, and what a test expects.
 *
 *   condition ─▶ count_for ─┬─ the store answers at once: looked at now
 *                           └─ later: said already? ─ yes ─▶ that, until something is charged
 *                                         └── no ──▶ a trip for it, and for all else that this phase may ask about
 */
#include "policy/charges.h"
#include "policy/trips.h"

enum { LOOK_MAX_BYTES = 1 << 16 };

static bool is_remote(const struct policy_outside *o)
{
    return o->engine->limiter->store->ops->is_remote;
}

/* Whose count of the limit, by which rates, as the facts say; in the arena. entity.len 0: it does not apply; ptr NULL:
 * no memory. */
static struct charge whom(const struct policy_engine *engine, const struct policy_limit *l, const struct facts *facts,
                          enum phase at, int64_t now_us, struct arena *arena)
{
    struct charge c = {.limit = &l->limit, .entity = policy_entity(l->keys, l->key_count, facts, at, arena)};
    if (c.entity.len && !override_find(engine, l, c.entity, facts, at, now_us, arena, &c.rates, &c.rate_count))
        c.entity = STR_NONE;
    return c;
}

/* Of a store that answers at once. No reading: it does not apply, or the store is away. False: no memory. */
static bool look_now(struct policy_engine *engine, const struct charge *c, int64_t now_us, struct arena *arena,
                     struct reservation *r)
{
    *r = (struct reservation){0};
    if (c->entity.len == 0)
        return c->entity.ptr != NULL;
    if (!reservation_init(r, arena, c, 1))
        return false;
    enum started started =
        limiter_look_start(engine->limiter, r, c, 1, now_us, engine->limiter->store->deadline_ms, NULL, NULL);
    PANIC_IF(started != DONE, "the store \"%s\" does not answer at once", engine->limiter->store->ops->name);
    if (r->verdict != VERDICT_RESERVED)
        r->reading_count = 0;
    return true;
}

static uint64_t scale_of(enum limit_unit unit)
{
    return unit == UNIT_BYTES ? 1024 : 1; /* the limiter counts KiB */
}

/* ---- used(L), left(L) ---- */

/* Would it count now? What speaks of recipients can only be asked about the one at hand; a limit that looks at counts
 * itself is not asked about others again. */
static enum eval_result applies(struct policy_outside *o, const struct policy_limit *l, const struct facts *facts)
{
    const struct policy_case *q = o->question;
    const struct eval_context context = {
        .facts = facts,
        .connection_tags = q->connection->tags,
        .mail_tags = q->mail ? q->mail->tags : NULL,
        .score = q->connection->score + (q->mail ? q->mail->score : 0),
        .outside = &o->hooks,
    };
    if (!l->condition || (l->asks_rcpt && o->phase != PHASE_RCPT))
        return EVAL_TRUE;
    o->is_counting = true;
    enum eval_result result = eval_ask(l->condition, &context);
    o->is_counting = false;
    return result;
}

struct fullness {
    bool is_known;
    uint64_t used, left; /* of the window with least left */
};

static struct fullness fullness_of(const struct reservation *r)
{
    struct fullness f = {.is_known = r->reading_count > 0, .left = UINT64_MAX};
    for (size_t i = 0; i < r->reading_count; i++) {
        const struct reading *reading = &r->readings[i];
        uint64_t left_here = reading->rate.count - MIN_OF(reading->used, (uint64_t)reading->rate.count);
        if (left_here < f.left || (left_here == f.left && reading->used > f.used)) {
            f.left = left_here;
            f.used = reading->used;
        }
    }
    return f;
}

/* ---- trips ---- */

struct count_trip {
    struct policy_trip trip;
    struct fullness fullness; /* the answer */
    struct arena arena;       /* of the question */
    struct charge charge;
    struct reservation look;
};

static struct count_trip *count_of(struct policy_trip *t)
{
    return CONTAINER_OF(t, struct count_trip, trip);
}

static void on_look(struct reservation *r, void *arg)
{
    (void)r;
    trip_is_over(arg);
}

static enum started count_start(struct policy_trip *t, struct asking *a)
{
    struct count_trip *c = count_of(t);
    return limiter_look_start(a->engine->limiter, &c->look, &c->charge, 1, a->question->now_us,
                              a->engine->limiter->store->deadline_ms, on_look, t);
}

/* There may be one for each of a thousand recipients: only the answer is kept. */
static void count_on_over(struct policy_trip *t)
{
    struct count_trip *c = count_of(t);
    if (c->look.verdict == VERDICT_RESERVED)
        c->fullness = fullness_of(&c->look);
    arena_fini(&c->arena);
}

static void count_end(struct policy_trip *t)
{
    if (t->state == TRIP_UNDER_WAY)
        limiter_cancel(t->outside->engine->limiter, &count_of(t)->look);
    arena_fini(&count_of(t)->arena);
}

static const struct trip_kind COUNT = {
    .size = sizeof(struct count_trip), .start = count_start, .on_over = count_on_over, .end = count_end};

/* Which count: the limit's number and its entity. ptr NULL: no memory. */
static struct str name_of(unsigned limit, struct str entity, struct arena *arena)
{
    const struct str pieces[] = {str_of((const char *)&limit, sizeof limit), entity};
    return arena_join(arena, pieces, COUNT_OF(pieces));
}

/* The trip for it, new or not. NULL: it does not apply, or there is no memory for it. */
static struct count_trip *want(struct policy_outside *o, unsigned limit, const struct facts *facts)
{
    struct arena arena;
    arena_init(&arena, LOOK_MAX_BYTES);
    struct charge charge =
        whom(o->engine, &o->engine->policy->limits[limit], facts, o->phase, o->question->now_us, &arena);
    struct str name = charge.entity.len ? name_of(limit, charge.entity, &arena) : STR_NONE;
    struct count_trip *c = name.ptr && o->has_counts ? map_get(&o->counts, name) : NULL;
    if (!name.ptr || c) {
        arena_fini(&arena);
        return c;
    }
    if (!o->has_counts)
        map_init(&o->counts, false, false);
    o->has_counts = true;
    if (!(c = trip_new(o, &COUNT))) {
        arena_fini(&arena);
        return NULL;
    }
    c->arena = arena;
    c->charge = charge;
    if (reservation_init(&c->look, &c->arena, &c->charge, 1) && map_set(&o->counts, name, c))
        return c;
    c->trip.state = TRIP_OVER; /* it goes nowhere */
    return NULL;
}

/* False: on its way. */
static bool look_later(struct policy_outside *o, unsigned limit, const struct facts *facts, struct fullness *f)
{
    const struct policy *policy = o->engine->policy;
    struct count_trip *c = want(o, limit, facts);
    if (c && c->trip.state == TRIP_WANTED) /* what goes at once takes one round trip */
        for (unsigned i = 0; i < policy->limit_count; i++)
            if (policy->phase_counts[o->phase][i])
                want(o, i, facts);
    if (c && c->trip.state != TRIP_OVER)
        return false;
    *f = c ? c->fullness : (struct fullness){0};
    return true;
}

void counts_forget(struct policy_outside *o)
{
    if (o->has_counts)
        map_fini(&o->counts);
    o->has_counts = false;
}

/* ---- the hook ---- */

static struct fullness look(struct policy_outside *o, const struct policy_limit *l, const struct facts *facts)
{
    struct arena scratch;
    struct reservation r;
    arena_init(&scratch, LOOK_MAX_BYTES);
    struct charge charge = whom(o->engine, l, facts, o->phase, o->question->now_us, &scratch);
    struct fullness f = {0};
    if (look_now(o->engine, &charge, o->question->now_us, &scratch, &r))
        f = fullness_of(&r);
    arena_fini(&scratch);
    return f;
}

enum eval_result count_for(struct policy_outside *o, unsigned limit, bool is_left, const struct facts *facts,
                           struct fact *out)
{
    const struct policy_limit *l = &o->engine->policy->limits[limit];
    struct fullness f;
    *out = (struct fact){.kind = FACT_NONE};
    enum eval_result result = o->is_counting ? EVAL_FALSE : applies(o, l, facts);
    if (result != EVAL_TRUE)
        return result == EVAL_FALSE ? EVAL_TRUE : result;
    if (!is_remote(o))
        f = look(o, l, facts);
    else if (!look_later(o, limit, facts, &f))
        return EVAL_WAIT;
    if (f.is_known)
        *out = (struct fact){.kind = FACT_NUMBER,
                             .number = (int64_t)((is_left ? f.left : f.used) * scale_of(l->limit.unit))};
    return EVAL_TRUE;
}

/* ---- `expect count` ---- */

bool policy_count_get(struct policy_engine *engine, struct str name, const struct facts *facts, int64_t now_us,
                      struct arena *arena, uint64_t *count)
{
    const struct policy_limit *l = policy_find_limit(engine->policy, name);
    struct reservation r;
    *count = 0;
    if (!l)
        return true; /* disabled: it counts nothing */
    struct charge charge = whom(engine, l, facts, PHASE_DATA, now_us, arena);
    if (!look_now(engine, &charge, now_us, arena, &r))
        return false;
    if (r.reading_count)
        *count = r.readings[0].used * scale_of(l->limit.unit);
    return true;
}
