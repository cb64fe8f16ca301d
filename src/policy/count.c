/* count.c - how full a limit is for the case at hand. */
#include "policy/admit.h"

/* The counts of the limit's windows, looked at and not changed; the reservation lies in the arena. False: no memory.
 * No reading: it does not apply. */
static bool look(struct policy_engine *engine, const struct policy_limit *l, const struct facts *facts, enum phase at,
                 int64_t now_us, struct arena *arena, struct reservation *r)
{
    struct limit looked_at = l->limit;
    looked_at.observed = true; /* whatever it allows */
    struct charge charge = {.limit = &looked_at, .entity = policy_entity(l->keys, l->key_count, facts, at, arena)};
    *r = (struct reservation){0};
    if (!charge.entity.ptr)
        return false;
    if (charge.entity.len == 0)
        return true;
    if (l->overrides && !override_find(l, facts, at, arena, &charge.rates, &charge.rate_count))
        return false;
    if (!reservation_init(r, arena, &charge, 1))
        return false;
    limiter_peek(engine->limiter, r, &charge, 1, now_us);
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

/* Of the window with least left. */
static struct fact count_of(const struct policy_limit *l, const struct reservation *r, bool is_left)
{
    uint64_t used = 0, left = UINT64_MAX;
    for (size_t i = 0; i < r->reading_count; i++) {
        const struct reading *reading = &r->readings[i];
        uint64_t left_here = reading->rate.count - MIN_OF(reading->used, (uint64_t)reading->rate.count);
        if (left_here < left || (left_here == left && reading->used > used)) {
            left = left_here;
            used = reading->used;
        }
    }
    uint64_t n = is_left ? left : used;
    return (struct fact){.kind = FACT_NUMBER, .number = (int64_t)(n * scale_of(l->limit.unit))};
}

enum eval_result count_for(struct policy_outside *o, unsigned limit, bool is_left, const struct facts *facts,
                           struct fact *out)
{
    const struct policy_limit *l = &o->engine->policy->limits[limit];
    struct arena scratch;
    struct reservation r;
    *out = (struct fact){.kind = FACT_NONE};
    enum eval_result result = o->is_counting ? EVAL_FALSE : applies(o, l, facts);
    if (result != EVAL_TRUE)
        return result == EVAL_FALSE ? EVAL_TRUE : result;
    arena_init(&scratch, SCRATCH_MAX_BYTES);
    if (look(o->engine, l, facts, o->phase, o->question->now_us, &scratch, &r) && r.reading_count)
        *out = count_of(l, &r, is_left);
    arena_fini(&scratch);
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
    if (!look(engine, l, facts, PHASE_DATA, now_us, arena, &r))
        return false;
    if (r.reading_count)
        *count = r.readings[0].used * scale_of(l->limit.unit);
    return true;
}
