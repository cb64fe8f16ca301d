/*
 * ask.c - the session's side of policy/: a phase is asked about, and the session goes on, waits, or refuses.
 *
 *   session_ask ─▶ answer, at once or after a wait ─▶ what is to be written ─▶ [tarpit] ─▶ go_on or refused
 */
#include "session/session.h"

#include <stdlib.h>

#include "base/clock.h"

enum { ASK_ARENA_MAX_BYTES = 256 * 1024 }; /* texts that rules make of one command */

struct ask {
    struct session *session;
    struct policy_case question;
    struct policy_answer answer;
    struct arena arena; /* of a question before there is a mail */
    enum phase phase;
    bool is_asked; /* the answer is not there yet; else it is only delayed */
    session_step *go_on;
    session_refusal *refused;
};

/* The reply that a tarpit of this phase delays is the one that is due now. Else it is served later: before the greeting
 * (accept.c), with the reply to AUTH (login.c), to the dot (settle.c). */
static bool reply_is_due(const struct ask *a)
{
    switch (a->phase) {
    case PHASE_CONNECT:
    case PHASE_AUTH:
        return a->answer.verdict != POLICY_GO_ON;
    case PHASE_HEADER:
    case PHASE_MESSAGE:
    case PHASE_RESULT:
        return false;
    default:
        return true;
    }
}

static void act_on_answer(struct session *s)
{
    struct ask *a = s->ask;
    s->ask = NULL; /* whoever acts may ask the next question; the answer's texts last until it was acted upon */
    if (a->answer.verdict == POLICY_GO_ON) {
        a->go_on(s);
    } else {
        if (a->answer.by.ptr)
            counter_add(s->worker->counters, a->answer.by_limit ? COUNTER_LIMIT_REFUSALS : COUNTER_RULE_REFUSALS, 1);
        a->refused(s, &a->answer);
    }
    arena_fini(&a->arena);
    free(a);
}

static void answered(struct ask *a)
{
    struct session *s = a->session;
    a->is_asked = false;
    session_take_effects(s, a->phase >= PHASE_MAIL ? s->tx : NULL, a->phase, &a->answer);
    if (!reply_is_due(a) || !session_delay(s, act_on_answer))
        act_on_answer(s);
}

static void on_answer(void *arg)
{
    struct ask *a = arg;
    struct session *s = a->session;
    s->wait = WAIT_NOTHING;
    answered(a);
    if (s->wait == WAIT_NOTHING)
        session_resume(s);
}

static void on_reserving(void *arg)
{
    const struct ask *a = arg;
    data_ask_mta(a->session);
}

void session_question(struct session *s, struct arena *arena, struct policy_case *question)
{
    question->arena = arena;
    question->connection_arena = &s->arena;
    question->connection = &s->policy;
    question->now_us = clock_steady_us(); /* not the turn's: a slot may be shorter than a turn */
    session_facts(s, &question->facts);
}

void session_ask(struct session *s, enum phase phase, session_step *go_on, session_refusal *refused)
{
    struct ask *a = calloc(1, sizeof *a);
    if (!a && phase == PHASE_RESULT) { /* nothing can be refused any more */
        go_on(s);
        return;
    }
    if (!a) {
        session_end(s, "no memory", REPLY_NO_MEMORY);
        return;
    }
    struct transaction *tx = phase >= PHASE_MAIL ? s->tx : NULL;
    a->session = s;
    a->phase = phase;
    a->is_asked = true;
    a->go_on = go_on;
    a->refused = refused;
    arena_init(&a->arena, ASK_ARENA_MAX_BYTES);
    session_question(s, tx ? &tx->arena : &a->arena, &a->question);
    if (tx) {
        a->question.mail = &tx->policy;
        a->question.recipient_count = tx->asked_count;
        a->question.size_bytes = tx->params.has_size ? tx->params.size_bytes : 0;
        a->question.on_reserving = on_reserving;
    }
    if (phase == PHASE_AUTH)
        login_question(s, &a->question);
    s->ask = a;
    int64_t deadline = loop_now_ms(s->worker->loop) + ASK_DEADLINE_MS;
    if (policy_ask_start(&s->worker->policy, phase, &a->question, &a->answer, deadline, on_answer, a) == STARTED)
        session_await(s, WAIT_POLICY);
    else
        answered(a);
}

void session_ask_cancel(struct session *s)
{
    struct ask *a = s->ask;
    if (!a)
        return;
    if (a->is_asked)
        policy_ask_cancel(&s->worker->policy, &a->question);
    else
        session_delay_cancel(s);
    arena_fini(&a->arena);
    free(a);
    s->ask = NULL;
}

bool session_refuse_by_policy(struct session *s, const struct policy_answer *answer)
{
    const char *reason = answer->by_limit ? "refused by a limit" : "refused by a rule";
    switch (answer->verdict) {
    case POLICY_DROP:
        session_close(s, reason);
        return true;
    case POLICY_BAN:
    case POLICY_DISCONNECT:
        if (s->tx)
            s->tx->slots = NULL;
        session_reply_text(s, answer->code, answer->enhanced, answer->text);
        session_close_when_sent(s, answer->verdict == POLICY_BAN ? "banned" : reason);
        return true;
    case POLICY_REJECT:
    case POLICY_DEFER:
        session_reply_text(s, answer->code, answer->enhanced, answer->text);
        return false;
    case POLICY_GO_ON:
        break;
    }
    return false;
}
