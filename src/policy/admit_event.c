/*
 * admit_event.c - what has happened is counted: errors, refusals, unknown recipients, and what rules charge.
 *
 * It counts at once, whatever is allowed, and is never given back. Thresholds act on the event that passes them; those
 * that refuse (a ban does not) also refuse MAIL for as long as the count is above (GRAMMAR.md 4).
 */
#include "policy/admit.h"

/* Counts; or with no events asks whether the count is above. False: it waits, first perhaps for what the conditions
 * need. */
static bool count(struct asking *a, const struct charging *what)
{
    if (!a->asked && !outside_is_ready_for_events(a, what))
        return false;
    return asking_limits(a, what, what->events ? limiter_count_start : limiter_above_start,
                         &a->question->outside.limits, &a->scratch);
}

/* Answers what thresholds say. */
static void act_on_count(struct asking *a)
{
    if (a->asked) {
        asking_trace_limits(a, a->asked);
        asking_passed(a, a->asked);
    }
    asking_limits_over(a);
}

/* ---- what the session sees happen ---- */

static bool count_what_happened(struct asking *a)
{
    const struct charging what = {.units = UNITS_OF(a->unit), .events = a->events};
    if (!count(a, &what))
        return false;
    act_on_count(a);
    return true;
}

bool policy_counts_event(const struct policy_engine *engine, enum limit_unit unit)
{
    return engine->policy->units & UNITS_OF(unit);
}

enum started policy_count_event_start(struct policy_engine *engine, enum limit_unit unit, uint32_t n,
                                      struct policy_case *question, struct policy_answer *answer, int64_t deadline_ms,
                                      void (*cb)(void *arg), void *arg)
{
    enum phase phase = unit == UNIT_UNKNOWN_RECIPIENTS ? PHASE_RCPT : question->mail ? PHASE_MAIL : PHASE_HELO;
    struct asking a = asking_begin(engine, phase, question, answer);
    if (n == 0 || !policy_counts_event(engine, unit))
        return DONE;
    a.unit = unit;
    a.events = n;
    return asking_start(&a, count_what_happened, deadline_ms, cb, arg);
}

/* ---- what rules charge ---- */

bool asking_charge(struct asking *a, const struct policy_limit *limit, uint32_t n)
{
    const struct charging what = {.only = limit, .events = n};
    if (!count(a, &what))
        return false;
    act_on_count(a);
    if (a->phase == PHASE_RESULT && a->answer->verdict != POLICY_GO_ON)
        *a->answer = (struct policy_answer){.verdict = POLICY_GO_ON, /* the mail was answered already */
                                            .effects = a->answer->effects,
                                            .tarpit_ms = a->answer->tarpit_ms};
    return true;
}

/* ---- at MAIL ---- */

bool asking_limits_at_mail(struct asking *a)
{
    static const struct charging EVENTS = {.units = UNITS_OF_EVENTS};
    if (a->engine->policy->units & UNITS_OF_EVENTS) {
        if (!count(a, &EVENTS))
            return false;
        act_on_count(a);
    }
    return a->answer->verdict != POLICY_GO_ON || asking_limits_early(a);
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

bool asking_count_refusal(struct asking *a)
{
    static const struct charging REFUSAL = {.units = UNITS_OF(UNIT_REFUSALS), .events = 1};
    const struct policy *policy = a->engine->policy;
    if (!(policy->units & REFUSAL.units) || a->answer->code < 400 || !a->answer->by.len ||
        is_of_refusals(policy, a->answer))
        return true;
    struct policy_answer refusal = *a->answer;
    if (!count(a, &REFUSAL))
        return false;
    act_on_count(a);
    if (!ends_session(refusal.verdict) && ends_session(a->answer->verdict))
        return true;
    refusal.effects = a->answer->effects; /* it stays the answer, whatever else is refused */
    refusal.tarpit_ms = a->answer->tarpit_ms;
    *a->answer = refusal;
    return true;
}
