/*
 * ask.c - a phase's questions, in the order of GRAMMAR.md 4.
 *
 *   connect   bans, limits, rules    auth, login   bans, rules, limits   data   rules, limits: one reservation
 *   helo      rules                  mail, rcpt    rules, then limits that are known to be full already
 *   header, message, result          rules
 *
 * What a rule or limit needs from outside and is not there yet makes the question wait (outside.c), and so does a store
 * of limits that answers later (admit.c). Then the phase goes on where it was:
 *
 *   asking_start ─▶ go_on ─ true ──▶ DONE
 *                     └── false ─▶ wait: STARTED ─▶ … all is there: asking_resume ─▶ go_on ─ true ─▶ cb
 *                                   ▲                                                 └─ false ─┐
 *                                   └───────────────────────────────────────────────────────────┘
 *
 * bans.c asks who is banned, act.c the rules, admit*.c the limits; settle.c is what becomes of a mail's reservation.
 */
#include "policy/asking.h"

#include <stdlib.h>
#include <string.h>

enum {
    TEXT_MAX_BYTES = 1024,       /* of a rule's reply, log line or tag */
    SCRATCH_MAX_BYTES = 1 << 20, /* of what limits are asked at once */
};

/* ---- for all parts ---- */

struct asking asking_begin(struct policy_engine *engine, enum phase phase, struct policy_case *question,
                           struct policy_answer *answer)
{
    *answer = (struct policy_answer){.verdict = POLICY_GO_ON};
    struct asking a = {.engine = engine,
                       .question = question,
                       .answer = answer,
                       .context = {.facts = &question->facts,
                                   .connection_tags = question->connection->tags,
                                   .mail_tags = question->mail ? question->mail->tags : NULL,
                                   .score = question->connection->score + (question->mail ? question->mail->score : 0)},
                       .effects_end = &answer->effects,
                       .phase = phase};
    arena_init(&a.scratch, SCRATCH_MAX_BYTES);
    outside_begin(&a);
    return a;
}

void asking_trouble(struct asking *a)
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

struct str asking_render(struct asking *a, const struct text_template *text)
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

void asking_note(struct asking *a, const struct policy_effect *effect)
{
    struct policy_effect *e = arena_alloc(a->question->arena, sizeof *e);
    if (!e)
        return;
    *e = *effect;
    e->next = NULL;
    *a->effects_end = e;
    a->effects_end = &e->next;
}

/* ---- waiting ---- */

/* Gives up what it waits for, and all that it needed meanwhile. */
static void drop(struct asking *a)
{
    if (a->cancel)
        a->cancel(a);
    outside_end(a->question);
    arena_fini(&a->scratch);
}

static void end(struct asking *a)
{
    drop(a);
    free(a);
}

bool asking_await(struct asking *a, enum started started, void (*cancel)(struct asking *a))
{
    if (started == DONE)
        return true;
    a->cancel = cancel;
    a->question->outside.under_way++;
    return false;
}

void asking_is_answered(struct policy_outside *outside)
{
    outside->waiting->cancel = NULL;
    if (--outside->under_way == 0)
        asking_resume(outside->waiting);
}

void asking_resume(struct asking *a)
{
    void (*cb)(void *) = a->cb;
    void *arg = a->arg;
    while (!a->go_on(a))
        if (!outside_look(a))
            return;
    end(a);
    cb(arg);
}

/* The question has to wait, and so must all that it has come to. */
static enum started wait(struct asking *so_far)
{
    struct asking *a = malloc(sizeof *a);
    if (!a) {
        asking_trouble(so_far);
        drop(so_far);
        return DONE;
    }
    *a = *so_far;
    a->question->outside.waiting = a;
    do {
        if (!outside_look(a))
            return STARTED;
    } while (!a->go_on(a));
    end(a);
    return DONE;
}

enum started asking_start(struct asking *a, bool (*go_on)(struct asking *a), int64_t deadline_ms, void (*cb)(void *arg),
                          void *arg)
{
    a->go_on = go_on;
    a->deadline_ms = deadline_ms;
    a->cb = cb;
    a->arg = arg;
    if (!go_on(a))
        return wait(a);
    if (a->question->outside.trips) /* wanted in vain */
        outside_end(a->question);
    return DONE;
}

void policy_ask_cancel(struct policy_engine *engine, struct policy_case *question)
{
    (void)engine;
    if (question->outside.waiting)
        end(question->outside.waiting);
}

/* ---- the phase ---- */

/* False: the limits of the phase cannot be asked yet, or their answer is not there yet. */
static bool admit(struct asking *a)
{
    static bool (*const LIMITS[PHASE_COUNT])(struct asking *) = {
        [PHASE_CONNECT] = asking_limits_of_connection,
        [PHASE_AUTH] = asking_limits_of_attempt,
        [PHASE_LOGIN] = asking_limits_of_login,
        [PHASE_MAIL] = asking_limits_at_mail,
        [PHASE_RCPT] = asking_limits_early,
        [PHASE_DATA] = asking_limits_of_mail,
    };
    if (!LIMITS[a->phase])
        return true;
    if (!a->asked && !outside_is_ready_for_limits(a))
        return false;
    return a->answer->verdict != POLICY_GO_ON || LIMITS[a->phase](a);
}

static bool take_step(struct asking *a)
{
    switch (a->step) {
    case STEP_FIRST:
        return a->phase != PHASE_CONNECT || admit(a);
    case STEP_RULES:
        return asking_rules(a);
    case STEP_LIMITS:
        return a->phase == PHASE_CONNECT || admit(a);
    case STEP_NETWORK:
        return a->phase != PHASE_LOGIN || network_note(a);
    case STEP_REFUSAL:
        return asking_count_refusal(a);
    case STEP_OVER:
        break;
    }
    return true;
}

/* Step by step to the answer; what was done before a wait is not done twice. */
static bool go_on(struct asking *a)
{
    for (; a->step != STEP_OVER; a->step++) {
        if (!take_step(a))
            return false;
        if (a->answer->verdict != POLICY_GO_ON && a->step < STEP_REFUSAL)
            a->step = STEP_REFUSAL - 1; /* what is left of it */
    }
    return true;
}

/* ---- the door ---- */

enum started policy_ask_start(struct policy_engine *engine, enum phase phase, struct policy_case *question,
                              struct policy_answer *answer, int64_t deadline_ms, void (*cb)(void *arg), void *arg)
{
    struct asking a = asking_begin(engine, phase, question, answer);
    if (engine->trace)
        engine->trace->on_phase(engine->trace->arg, phase);
    asking_bans(&a);
    if (answer->verdict != POLICY_GO_ON)
        return DONE;
    return asking_start(&a, go_on, deadline_ms, cb, arg);
}

void policy_forget_hello(struct policy_connection *connection)
{
    connection->tags = connection->tags_of_connect;
    connection->score = connection->score_of_connect;
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
