/*
 * admit.c - the limits of a connection and of a mail: is there room for it?
 *
 *   asking_limits ─▶ the store ─ at once, or after a wait ─▶ asking_is_admitted ─▶ held, kept … ─▶ asking_limits_over
 */
#include "policy/admit.h"

#include <stdlib.h>

enum { EARLY_MAX_BYTES = 1 << 20 };

void asking_trace_limits(const struct asking *a, const struct reservation *r)
{
    const struct policy_trace *trace = a->engine->trace;
    if (trace)
        trace->on_limits(trace->arg, a->phase, a->question, r);
}

/* ---- one question to the store ---- */

void asking_on_limits(struct reservation *r, void *arg)
{
    (void)r;
    asking_is_answered(arg);
}

void asking_limits_cancel(struct asking *a)
{
    limiter_cancel(a->engine->limiter, a->asked);
}

bool asking_limits(struct asking *a, const struct charging *what, limiter_start *start, struct reservation *r,
                   struct arena *arena)
{
    struct charges charges;
    if (a->asked)
        return true;
    if (!charges_make(a, what, arena, &charges) || !reservation_init(r, arena, charges.items, charges.count)) {
        asking_trouble(a);
        return true;
    }
    if (charges.count == 0)
        return true;
    a->asked = r;
    return asking_await(a,
                        start(a->engine->limiter, r, charges.items, charges.count, a->question->now_us,
                              a->engine->limiter->store->deadline_ms, asking_on_limits, &a->question->outside),
                        asking_limits_cancel);
}

bool asking_is_admitted(struct asking *a)
{
    struct reservation *r = a->asked;
    if (r || a->answer->verdict == POLICY_GO_ON)
        asking_trace_limits(a, r);
    if (!r)
        return false;
    asking_passed(a, r);
    if (r->verdict != VERDICT_RESERVED)
        return false;
    if (a->answer->verdict == POLICY_GO_ON)
        return true;
    limiter_give_back(a->engine->limiter, r); /* trouble */
    return false;
}

void asking_limits_over(struct asking *a)
{
    a->asked = NULL;
    arena_fini(&a->scratch);
    if (a->question->outside.has_counts)
        counts_forget(&a->question->outside);
}

/* ---- connections ---- */

/* Its open place is held until its end, in a form that an idle connection can afford. */
static void hold_places(struct asking *a, struct reservation *r)
{
    size_t leases = lease_count(r);
    struct policy_leases *held = leases ? malloc(sizeof *held + leases * sizeof held->items[0]) : NULL;
    limiter_keep(a->engine->limiter, r, a->question->now_us);
    if (held) {
        held->count = leases;
        lease_take(r, held->items);
        a->question->connection->leases = held;
    } else if (leases) {
        limiter_give_back(a->engine->limiter, r);
        asking_trouble(a);
    }
}

/* They are settled at once, whatever the rules do then (GRAMMAR.md 4). */
bool asking_limits_of_connection(struct asking *a)
{
    static const struct charging CONNECTION = {.units = UNITS_OF_CONNECTION};
    if (!asking_limits(a, &CONNECTION, limiter_reserve_start, &a->question->outside.limits, &a->scratch))
        return false;
    if (asking_is_admitted(a))
        hold_places(a, a->asked);
    asking_limits_over(a);
    return true;
}

/* ---- mails ---- */

static const struct charging MAIL = {.units = UNITS_OF_MAIL};

void asking_note_counts(struct asking *a, const struct reservation *r)
{
    struct policy_count **end = &a->question->mail->counts;
    *end = NULL;
    struct str key = STR_NONE;
    for (size_t i = 0; i < r->reading_count; i++) {
        const struct reading *reading = &r->readings[i];
        if (i == 0 || !str_equal(reading->entity, r->readings[i - 1].entity))
            key = policy_key_text(reading->entity, a->question->arena);
        struct policy_count *count = arena_alloc(a->question->arena, sizeof *count);
        if (!count)
            return;
        uint64_t scale = reading->limit->unit == UNIT_BYTES ? 1024 : 1; /* the limiter counts KiB */
        *count = (struct policy_count){.name = reading->limit->name,
                                       .key = key,
                                       .period_s = reading->rate.period_s,
                                       .limit = reading->rate.count * scale,
                                       .used = reading->used * scale};
        *end = count;
        end = &count->next;
    }
}

/* The limit as a whole, as far as this node knows, has room for it; its share has not. */
static bool is_refused_by_share(const struct reservation *r)
{
    return r->op.share_of > 1 && r->verdict == VERDICT_REFUSED && r->refused_by->used <= r->refused_by->allowed;
}

void asking_note_store(struct asking *a, const struct reservation *r)
{
    a->question->mail->decided_by = r->op.decided_by;
    a->question->mail->share_of = is_refused_by_share(r) ? r->op.share_of : 0;
    a->question->mail->waited_us = r->waited_us;
}

bool asking_limits_of_mail(struct asking *a)
{
    struct arena *arena = a->question->arena;
    struct reservation *r = a->asked ? a->asked : arena_alloc(arena, sizeof *r);
    if (!r) {
        asking_trouble(a);
        return true;
    }
    if (!asking_limits(a, &MAIL, limiter_reserve_start, r, arena)) {
        if (a->question->on_reserving)
            a->question->on_reserving(a->arg);
        return false;
    }
    if (a->asked)
        asking_note_store(a, r);
    if (asking_is_admitted(a)) {
        a->question->mail->reservation = r;
        asking_note_counts(a, r);
    }
    asking_limits_over(a);
    return true;
}

/* ---- early ---- */

/* How many recipients more the limits have room for, as they were just read. */
static uint64_t recipients_that_fit(const struct reservation *r)
{
    uint64_t fit = UINT64_MAX;
    for (size_t i = 0; i < r->reading_count; i++) {
        const struct reading *reading = &r->readings[i];
        uint64_t used_before = reading->used - reading->cost;
        if (reading->limit->unit == UNIT_RECIPIENTS && !reading->limit->observed && reading->allowed != ALLOWED_ANY)
            fit = MIN_OF(fit, reading->allowed - MIN_OF(reading->allowed, used_before));
    }
    return fit;
}

/* At RCPT: has MAIL seen room for this one too? Others may have taken it meanwhile, which DATA finds out. */
static bool is_known_to_fit(const struct asking *a)
{
    struct fact so_far;
    const struct policy_case *question = a->question;
    if (!a->engine->policy->is_settled_at_mail)
        return false;
    question->facts.get(&question->facts, ATTRIBUTE_MAIL_RECIPIENTS, STR_NONE, &so_far);
    return so_far.kind == FACT_NUMBER && (uint64_t)so_far.number <= question->mail->recipients_that_fit;
}

/* What the mail needs would be too much for an empty limit, too: that is no early refusal, for nothing is full. */
static bool is_too_much_alone(const struct reservation *r)
{
    return r->permanent || r->refused_by->cost > r->refused_by->allowed;
}

/* What is known to be full already is said at MAIL or RCPT, where mail programs show it best. What can never pass is
 * left to DATA, which refuses the mail as a whole. */
bool asking_limits_early(struct asking *a)
{
    struct arena scratch;
    struct charges charges;
    struct reservation r;
    if (a->question->is_never_early || (a->phase == PHASE_RCPT && is_known_to_fit(a)))
        return true;
    a->question->mail->recipients_that_fit = 0;
    arena_init(&scratch, EARLY_MAX_BYTES);
    if (charges_make(a, &MAIL, &scratch, &charges) && charges.count &&
        reservation_init(&r, &scratch, charges.items, charges.count)) {
        limiter_peek(a->engine->limiter, &r, charges.items, charges.count, a->question->now_us);
        if (r.verdict == VERDICT_REFUSED && !is_too_much_alone(&r))
            asking_passed(a, &r);
        else if (a->phase == PHASE_MAIL)
            a->question->mail->recipients_that_fit = recipients_that_fit(&r);
    }
    arena_fini(&scratch);
    return true;
}
