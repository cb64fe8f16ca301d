/*
 * ask.c - a phase's rules and limits, in the order of GRAMMAR.md 4, and what becomes of a mail's reservation.
 *
 *   connect   limits, rules          auth, login   rules                 data   rules, limits: one reservation
 *   helo      rules                  mail, rcpt    rules, then limits of data that are known to be full already
 */
#include "policy/ask.h"

#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include "policy/compiled.h"

enum {
    TEXT_MAX_BYTES = 1024, /* of a rule's reply, log line or tag */
    SCRATCH_MAX_BYTES = 1 << 20,
    STORE_DEADLINE_MS = 50, /* LIMITS.md, promise 4 */
};

/* What the case's parts are in, while it is answered. */
struct asking {
    struct policy_engine *engine;
    struct policy_case *question;
    struct policy_answer *answer;
    struct eval_context context;
    struct policy_effect **effects_end;
    enum phase phase;
};

/* Lack of memory is ours: for now, and by nobody's rule. */
static void answer_trouble(struct asking *a)
{
    static const struct policy_answer AT_CONNECT = {.verdict = POLICY_DISCONNECT, .code = 421, .enhanced = "4.3.0"};
    static const struct policy_answer AT_AUTH = {.verdict = POLICY_DEFER, .code = 454, .enhanced = "4.7.0"};
    static const struct policy_answer ELSEWHERE = {.verdict = POLICY_DEFER, .code = 451, .enhanced = "4.3.0"};
    struct policy_effect *effects = a->answer->effects;
    bool is_login = a->phase == PHASE_AUTH || a->phase == PHASE_LOGIN;
    *a->answer = a->phase == PHASE_CONNECT ? AT_CONNECT : is_login ? AT_AUTH : ELSEWHERE;
    a->answer->text = STR("A fault in this server; try again later");
    a->answer->effects = effects;
}

static struct str render(struct asking *a, const struct text_template *text)
{
    struct str constant = text_constant(text);
    if (constant.ptr)
        return constant;
    struct buf out;
    buf_init(&out, TEXT_MAX_BYTES);
    bool is_whole = text_render(text, &a->context, &out); /* a longer one is cut */
    (void)is_whole;
    struct str copy = arena_copy(a->question->arena, buf_str(&out));
    buf_fini(&out);
    return copy;
}

static void add_effect(struct asking *a, enum policy_effect_kind kind, struct str by, struct str action,
                       struct str text)
{
    struct policy_effect *e = arena_alloc(a->question->arena, sizeof *e);
    if (!e)
        return; /* what could not be written down changes no verdict */
    *e = (struct policy_effect){.kind = kind, .by = by, .action = action, .text = text};
    *a->effects_end = e;
    a->effects_end = &e->next;
}

/* ---- rules ---- */

/* Up to login a tag lasts for the connection, later for the mail. Set again, it has its new value; what connect set is
 * only hidden by that, and there again when TLS begins. False: no memory, and rules that ask for it would go wrong. */
static bool set_tag(struct asking *a, const struct policy_action *action)
{
    struct policy_case *q = a->question;
    bool is_of_mail = a->phase >= PHASE_MAIL && q->mail;
    struct rule_tag **list = is_of_mail ? &q->mail->tags : &q->connection->tags;
    const struct rule_tag *end = is_of_mail || a->phase == PHASE_CONNECT ? NULL : q->connection->tags_of_connect;
    struct arena *arena = is_of_mail ? q->arena : q->connection_arena;
    struct str value = action->text ? render(a, action->text) : STR_NONE;
    struct rule_tag *tag = *list;
    if (action->text && !value.ptr)
        return false;
    while (tag != end && !str_equal(tag->name, action->name))
        tag = tag->next;
    bool is_new = tag == end;
    if (!is_new && str_equal(tag->value, value))
        return true;
    if (is_new && !(tag = arena_alloc(arena, sizeof *tag)))
        return false;
    if (value.ptr && arena != q->arena && !(value = arena_copy(arena, value)).ptr)
        return false;
    tag->value = value;
    if (is_new) {
        tag->name = action->name;
        tag->next = *list;
        *list = tag;
    }
    if (a->phase == PHASE_CONNECT)
        q->connection->tags_of_connect = q->connection->tags;
    a->context.connection_tags = q->connection->tags;
    a->context.mail_tags = q->mail ? q->mail->tags : NULL;
    return true;
}

static enum policy_verdict verdict_of(enum action_kind kind)
{
    switch (kind) {
    case ACTION_REJECT:
        return POLICY_REJECT;
    case ACTION_DEFER:
        return POLICY_DEFER;
    case ACTION_DISCONNECT:
        return POLICY_DISCONNECT;
    case ACTION_DROP:
        return POLICY_DROP;
    default:
        return POLICY_GO_ON;
    }
}

static void decide(struct asking *a, const struct policy_rule *rule, const struct policy_action *action)
{
    a->answer->verdict = verdict_of(action->kind);
    a->answer->by = rule->name;
    if (!action->code)
        return;
    a->answer->code = action->code;
    memcpy(a->answer->enhanced, action->enhanced, sizeof action->enhanced);
    a->answer->text = render(a, action->text);
    if (!a->answer->text.ptr)
        answer_trouble(a);
}

/* True: the rule ended the phase, or there is trouble. */
static bool act(struct asking *a, const struct policy_rule *rule)
{
    bool ends = false;
    for (size_t i = 0; i < rule->action_count; i++) {
        const struct policy_action *action = &rule->actions[i];
        struct str word = str_of_z(action_rows[action->kind].word);
        if (rule->is_observed) {
            add_effect(a, POLICY_EFFECT_WOULD, rule->name, word, action->text ? render(a, action->text) : STR_NONE);
        } else if (action->kind == ACTION_LOG) {
            add_effect(a, POLICY_EFFECT_LOG, rule->name, word, action->text ? render(a, action->text) : STR_NONE);
        } else if (action->kind == ACTION_TAG && !set_tag(a, action)) {
            answer_trouble(a);
            return true;
        } else if (action_rows[action->kind].ends) {
            decide(a, rule, action);
            ends = true;
        }
    }
    return ends;
}

static void ask_rules(struct asking *a)
{
    const struct policy *policy = a->engine->policy;
    const struct policy_trace *trace = a->engine->trace;
    for (size_t i = 0; i < policy->rule_counts[a->phase]; i++) {
        const struct policy_rule *rule = &policy->rules[a->phase][i];
        bool holds = eval_is_true(rule->condition, &a->context);
        if (trace)
            trace->on_rule(trace->arg, a->phase, rule, holds, &a->context);
        if (holds && act(a, rule))
            return;
    }
}

/* ---- limits ---- */

static void refuse_by_limit(struct asking *a, const struct reservation *r)
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
        answer_trouble(a);
}

static void note_observed(struct asking *a, const struct reservation *r)
{
    for (size_t i = 0; i < r->reading_count; i++) {
        const struct reading *reading = &r->readings[i];
        char text[256];
        if (!reading->refuses || !reading->limit->observed)
            continue;
        struct str words = arena_copy(a->question->arena, limiter_reading_text(reading, text, sizeof text));
        add_effect(a, POLICY_EFFECT_WOULD, reading->limit->name, STR("defer"), words);
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

/* The embedded store answers at once; a store that does not would need the case to wait here (policy_ask_start may
 * answer STARTED). */
static void must_be_done(enum started started)
{
    PANIC_IF(started != DONE, "a store that is asked over the network, in a version without one");
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
    must_be_done(limiter_reserve_start(a->engine->limiter, r, charges, count, a->question->now_us, STORE_DEADLINE_MS,
                                       NULL, NULL));
    trace_limits(a, r);
    note_observed(a, r);
    if (r->verdict == VERDICT_RESERVED)
        return false;
    if (r->verdict == VERDICT_REFUSED)
        refuse_by_limit(a, r);
    else
        answer_trouble(a);
    return true;
}

/* The connection's limits are settled at once, whatever the rules do then (GRAMMAR.md 4); only its open place is held
 * until its end, in a form that an idle connection can afford. */
static void ask_limits_of_connection(struct asking *a)
{
    struct arena scratch;
    struct charge *charges;
    struct reservation r;
    size_t count;
    arena_init(&scratch, SCRATCH_MAX_BYTES);
    if (!policy_charges(a->engine->policy, a->question, a->phase, &scratch, &charges, &count) ||
        !reservation_init(&r, &scratch, charges, count)) {
        answer_trouble(a);
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
            answer_trouble(a);
        }
    }
    arena_fini(&scratch);
}

static void ask_limits_of_mail(struct asking *a)
{
    struct arena *arena = a->question->arena;
    struct charge *charges;
    size_t count;
    struct reservation *r = arena_alloc(arena, sizeof *r);
    if (!r || !policy_charges(a->engine->policy, a->question, a->phase, arena, &charges, &count) ||
        !reservation_init(r, arena, charges, count)) {
        answer_trouble(a);
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
static void ask_limits_early(struct asking *a)
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
            refuse_by_limit(a, &r);
        else if (a->phase == PHASE_MAIL)
            a->question->mail->recipients_that_fit = recipients_that_fit(&r);
    }
    arena_fini(&scratch);
}

/* ---- the door ---- */

static struct asking begin(struct policy_engine *engine, enum phase phase, struct policy_case *question,
                           struct policy_answer *answer)
{
    *answer = (struct policy_answer){.verdict = POLICY_GO_ON};
    return (struct asking){
        .engine = engine,
        .question = question,
        .answer = answer,
        .context = {&question->facts, question->connection->tags, question->mail ? question->mail->tags : NULL},
        .effects_end = &answer->effects,
        .phase = phase};
}

enum started policy_ask_start(struct policy_engine *engine, enum phase phase, struct policy_case *question,
                              struct policy_answer *answer, int64_t deadline_ms, void (*cb)(void *arg), void *arg)
{
    struct asking a = begin(engine, phase, question, answer);
    (void)deadline_ms; /* nothing is waited for: all that is in force answers at once */
    (void)cb;
    (void)arg;
    if (engine->trace)
        engine->trace->on_phase(engine->trace->arg, phase);
    if (phase == PHASE_CONNECT)
        ask_limits_of_connection(&a);
    if (answer->verdict == POLICY_GO_ON)
        ask_rules(&a);
    if (answer->verdict != POLICY_GO_ON)
        return DONE;
    if (phase == PHASE_DATA)
        ask_limits_of_mail(&a);
    else if ((phase == PHASE_MAIL || phase == PHASE_RCPT) && !question->is_never_early)
        ask_limits_early(&a);
    return DONE;
}

void policy_ask_cancel(struct policy_engine *engine, struct policy_case *question)
{
    (void)engine;
    (void)question;
}

bool policy_settle(struct policy_engine *engine, struct policy_case *question, uint64_t size_bytes,
                   struct policy_answer *answer)
{
    struct asking a = begin(engine, PHASE_DATA, question, answer);
    struct reservation *r = question->mail->reservation;
    if (!r)
        return true;
    must_be_done(limiter_settle_start(engine->limiter, r, size_bytes, question->now_us, STORE_DEADLINE_MS, NULL, NULL));
    if (r->verdict == VERDICT_RESERVED)
        return true;
    question->mail->reservation = NULL;
    question->mail->counts = NULL;
    if (r->verdict == VERDICT_REFUSED)
        refuse_by_limit(&a, r);
    else
        answer_trouble(&a);
    limiter_give_back(engine->limiter, r);
    return false;
}

void policy_keep(struct policy_engine *engine, struct policy_mail *mail, int64_t now_us)
{
    if (mail->reservation)
        limiter_keep(engine->limiter, mail->reservation, now_us);
    mail->reservation = NULL;
}

void policy_give_back(struct policy_engine *engine, struct policy_mail *mail)
{
    if (mail->reservation)
        limiter_give_back(engine->limiter, mail->reservation);
    mail->reservation = NULL;
    mail->counts = NULL;
}

void policy_forget_hello(struct policy_connection *connection)
{
    connection->tags = connection->tags_of_connect;
}

void policy_connection_end(struct policy_engine *engine, struct policy_connection *connection)
{
    struct policy_leases *held = connection->leases;
    if (!held)
        return;
    lease_drop(engine->limiter->store, held->items, held->count);
    free(held);
    connection->leases = NULL;
}
