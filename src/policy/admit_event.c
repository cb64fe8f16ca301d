/*
 * admit_event.c - what has happened is counted: errors, refusals, unknown recipients, and what rules charge.
 *
 * It counts at once, whatever is allowed, and is never given back. Thresholds act on the event that passes them; those
 * that refuse (a ban does not) also refuse MAIL for as long as the count is above (GRAMMAR.md 4).
 */
#include "policy/admit.h"

/* Counts, and answers what thresholds say; or with no events asks whether the count is above. */
static void ask(struct asking *a, const struct charging *what)
{
    struct limiter *limiter = a->engine->limiter;
    struct arena scratch;
    struct charges charges;
    struct reservation r;
    arena_init(&scratch, SCRATCH_MAX_BYTES);
    if (!charges_make(a, what, &scratch, &charges) || !reservation_init(&r, &scratch, charges.items, charges.count)) {
        asking_trouble(a);
    } else if (charges.count) {
        int64_t now_us = a->question->now_us;
        asking_must_be_done(what->events ? limiter_count_start(limiter, &r, charges.items, charges.count, now_us,
                                                               STORE_DEADLINE_MS, NULL, NULL)
                                         : limiter_above_start(limiter, &r, charges.items, charges.count, now_us,
                                                               STORE_DEADLINE_MS, NULL, NULL));
        asking_trace_limits(a, &r);
        asking_passed(a, &r);
    }
    arena_fini(&scratch);
}

void policy_count_event(struct policy_engine *engine, enum limit_unit unit, uint32_t n, struct policy_case *question,
                        struct policy_answer *answer)
{
    const struct charging what = {.units = UNITS_OF(unit), .events = n};
    enum phase phase = unit == UNIT_UNKNOWN_RECIPIENTS ? PHASE_RCPT : question->mail ? PHASE_MAIL : PHASE_HELO;
    struct asking a = asking_begin(engine, phase, question, answer);
    if (n && engine->policy->units & what.units)
        ask(&a, &what);
}

void asking_charge(struct asking *a, const struct policy_limit *limit, uint32_t n)
{
    const struct charging what = {.only = limit, .events = n};
    ask(a, &what);
    if (a->phase != PHASE_RESULT || a->answer->verdict == POLICY_GO_ON)
        return;
    *a->answer = (struct policy_answer){.verdict = POLICY_GO_ON, /* the mail was answered already */
                                        .effects = a->answer->effects,
                                        .tarpit_ms = a->answer->tarpit_ms};
}

void asking_limits_at_mail(struct asking *a)
{
    static const struct charging EVENTS = {.units = UNITS_OF_EVENTS};
    if (a->engine->policy->units & UNITS_OF_EVENTS)
        ask(a, &EVENTS);
    if (a->answer->verdict == POLICY_GO_ON)
        asking_limits_early(a);
}

/* ---- refusals ---- */

/* By a limit of refusals itself: who only tries again would never be let in again. */
static bool is_of_refusals(const struct policy *policy, const struct policy_answer *answer)
{
    const struct policy_limit *by = answer->by_limit ? policy_find_limit(policy, answer->by) : NULL;
    return by && by->limit.unit == UNIT_REFUSALS;
}

static bool ends_session(enum policy_verdict verdict)
{
    return verdict == POLICY_DISCONNECT || verdict == POLICY_DROP || verdict == POLICY_BAN;
}

void asking_count_refusal(struct asking *a)
{
    static const struct charging REFUSAL = {.units = UNITS_OF(UNIT_REFUSALS), .events = 1};
    const struct policy *policy = a->engine->policy;
    if (!(policy->units & REFUSAL.units) || a->answer->code < 400 || !a->answer->by.len ||
        is_of_refusals(policy, a->answer))
        return;
    struct policy_answer refusal = *a->answer;
    ask(a, &REFUSAL);
    if (!ends_session(refusal.verdict) && ends_session(a->answer->verdict))
        return;
    refusal.effects = a->answer->effects; /* it stays the answer, whatever else is refused */
    refusal.tarpit_ms = a->answer->tarpit_ms;
    *a->answer = refusal;
}
