/* admit.c - the limits of a phase: is there room for this connection, this mail? */
#include "policy/asking.h"

#include <stdlib.h>

enum { SCRATCH_MAX_BYTES = 1 << 20 };

void asking_refuse_by_limit(struct asking *a, const struct reservation *r)
{
    char text[512];
    struct str words = limiter_refusal_text(r, text, sizeof text);
    bool is_early = a->phase == PHASE_MAIL || a->phase == PHASE_RCPT;
    a->answer->by_limit = true;
    a->answer->by = r->refused_by->limit->name;
    a->answer->retry_after_ms = r->retry_after_ms;
    a->answer->text = arena_copy(a->question->arena, words);
    a->answer->verdict = r->permanent ? POLICY_REJECT : a->phase == PHASE_CONNECT ? POLICY_DISCONNECT : POLICY_DEFER;
    a->answer->code = r->permanent ? 552 : a->phase == PHASE_CONNECT ? 421 : is_early ? 450 : 451;
    const char *enhanced = r->permanent ? "5.7.1" : a->phase == PHASE_CONNECT ? "4.7.0" : "4.7.1";
    str_copy_into(a->answer->enhanced, sizeof a->answer->enhanced, str_of_z(enhanced));
    if (!a->answer->text.ptr)
        asking_trouble(a);
}

static void note_observed(struct asking *a, const struct reservation *r)
{
    for (size_t i = 0; i < r->reading_count; i++) {
        const struct reading *reading = &r->readings[i];
        char text[256];
        if (!reading->refuses || !reading->limit->observed)
            continue;
        struct str words = arena_copy(a->question->arena, limiter_reading_text(reading, text, sizeof text));
        asking_note(
            a, &(struct policy_effect){
                   .kind = POLICY_EFFECT_WOULD, .by = reading->limit->name, .action = STR("defer"), .text = words});
    }
}

/* For the mail's event: every counter it was charged on, and how full that is now. */
static void note_counts(struct asking *a, const struct reservation *r)
{
    struct policy_count **end = &a->question->mail->counts;
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

static void trace_limits(const struct asking *a, const struct reservation *r)
{
    const struct policy_trace *trace = a->engine->trace;
    if (trace)
        trace->on_limits(trace->arg, a->phase, a->question, r);
}

/* True: refused, or there is trouble. */
static bool reserve(struct asking *a, struct reservation *r, const struct charge *charges, size_t count)
{
    asking_must_be_done(limiter_reserve_start(a->engine->limiter, r, charges, count, a->question->now_us,
                                              STORE_DEADLINE_MS, NULL, NULL));
    trace_limits(a, r);
    note_observed(a, r);
    if (r->verdict == VERDICT_RESERVED)
        return false;
    if (r->verdict == VERDICT_REFUSED)
        asking_refuse_by_limit(a, r);
    else
        asking_trouble(a);
    return true;
}

/* The connection's limits are settled at once, whatever the rules do then (GRAMMAR.md 4); only its open place is held
 * until its end, in a form that an idle connection can afford. */
void asking_limits_of_connection(struct asking *a)
{
    struct arena scratch;
    struct charge *charges;
    struct reservation r;
    size_t count;
    arena_init(&scratch, SCRATCH_MAX_BYTES);
    if (!policy_charges(a->engine->policy, a->question, a->phase, &scratch, &charges, &count) ||
        !reservation_init(&r, &scratch, charges, count)) {
        asking_trouble(a);
    } else if (count == 0) {
        trace_limits(a, NULL);
    } else if (!reserve(a, &r, charges, count)) {
        size_t leases = lease_count(&r);
        struct policy_leases *held = leases ? malloc(sizeof *held + leases * sizeof held->items[0]) : NULL;
        limiter_keep(a->engine->limiter, &r, a->question->now_us);
        if (held) {
            held->count = leases;
            lease_take(&r, held->items);
            a->question->connection->leases = held;
        } else if (leases) {
            limiter_give_back(a->engine->limiter, &r);
            asking_trouble(a);
        }
    }
    arena_fini(&scratch);
}

void asking_limits_of_mail(struct asking *a)
{
    struct arena *arena = a->question->arena;
    struct charge *charges;
    size_t count;
    struct reservation *r = arena_alloc(arena, sizeof *r);
    if (!r || !policy_charges(a->engine->policy, a->question, a->phase, arena, &charges, &count) ||
        !reservation_init(r, arena, charges, count)) {
        asking_trouble(a);
        return;
    }
    if (count == 0)
        trace_limits(a, NULL);
    if (count == 0 || reserve(a, r, charges, count))
        return;
    a->question->mail->reservation = r;
    note_counts(a, r);
}

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

/* What is known to be full already is said at MAIL or RCPT, where mail programs show it best. What can never pass is
 * left to DATA, which refuses the mail as a whole. */
void asking_limits_early(struct asking *a)
{
    struct arena scratch;
    struct charge *charges;
    struct reservation r;
    size_t count;
    if (a->phase == PHASE_RCPT && is_known_to_fit(a))
        return;
    a->question->mail->recipients_that_fit = 0;
    arena_init(&scratch, SCRATCH_MAX_BYTES);
    if (policy_charges(a->engine->policy, a->question, a->phase, &scratch, &charges, &count) && count &&
        reservation_init(&r, &scratch, charges, count)) {
        limiter_peek(a->engine->limiter, &r, charges, count, a->question->now_us);
        if (r.verdict == VERDICT_REFUSED && !r.permanent)
            asking_refuse_by_limit(a, &r);
        else if (a->phase == PHASE_MAIL)
            a->question->mail->recipients_that_fit = recipients_that_fit(&r);
    }
    arena_fini(&scratch);
}
