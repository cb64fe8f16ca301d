/*
 * ask.c - the session's side of policy/: a phase is asked about, and the session goes on, waits, or refuses.
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
    session_step *go_on;
    session_refusal *refused;
};

static const char *phase_name(enum phase phase)
{
    return phase_rows[phase].word;
}

void session_write_effects(struct session *s, const char *at, const struct policy_effect *effects)
{
    for (const struct policy_effect *e = effects; e; e = e->next) {
        /* what was observed stands in the mail's own event; before there is a mail it gets a line of its own */
        if (e->kind == POLICY_EFFECT_WOULD && s->tx)
            continue;
        session_event_begin(s, e->kind == POLICY_EFFECT_THRESHOLD ? "limit" : "log");
        event_z(s->worker->events, "at", at);
        event_str(s->worker->events, "by", e->by);
        if (e->kind == POLICY_EFFECT_WOULD)
            event_str(s->worker->events, "would", e->action);
        event_str(s->worker->events, "text", e->text);
        event_end(s->worker->events);
    }
}

static void ask_answered(struct ask *a)
{
    struct session *s = a->session;
    struct policy_answer answer = a->answer;
    session_step *go_on = a->go_on;
    session_refusal *refused = a->refused;
    enum phase phase = a->phase;
    struct arena arena = a->arena; /* the answer's texts last until it was acted upon */
    s->ask = NULL;
    free(a);
    session_write_effects(s, phase_name(phase), answer.effects);
    if (s->tx && answer.effects) {
        struct policy_effect **end = &s->tx->effects;
        while (*end)
            end = &(*end)->next;
        *end = answer.effects;
    }
    if (answer.verdict == POLICY_GO_ON) {
        go_on(s);
    } else {
        if (answer.by.ptr)
            counter_add(s->worker->counters, answer.by_limit ? COUNTER_LIMIT_REFUSALS : COUNTER_RULE_REFUSALS, 1);
        refused(s, &answer);
    }
    arena_fini(&arena);
}

static void on_answer(void *arg)
{
    struct ask *a = arg;
    struct session *s = a->session;
    s->wait = WAIT_NOTHING;
    ask_answered(a);
    if (s->wait == WAIT_NOTHING)
        session_resume(s);
}

void session_ask(struct session *s, enum phase phase, session_step *go_on, session_refusal *refused)
{
    struct ask *a = calloc(1, sizeof *a);
    if (!a) {
        session_end(s, "no memory", REPLY_NO_MEMORY);
        return;
    }
    struct transaction *tx = phase >= PHASE_MAIL ? s->tx : NULL;
    *a = (struct ask){.session = s, .phase = phase, .go_on = go_on, .refused = refused};
    session_facts(s, &a->question.facts);
    arena_init(&a->arena, ASK_ARENA_MAX_BYTES);
    a->question.arena = tx ? &tx->arena : &a->arena;
    a->question.connection_arena = &s->arena;
    a->question.connection = &s->policy;
    a->question.now_us = clock_wall_us(); /* not the turn's: a slot may be shorter than a long turn */
    if (tx) {
        a->question.mail = &tx->policy;
        a->question.recipient_count = tx->asked_count;
        a->question.size_bytes = tx->params.has_size ? tx->params.size_bytes : 0;
    }
    s->ask = a;
    int64_t deadline = loop_now_ms(s->worker->loop) + ASK_DEADLINE_MS;
    if (policy_ask_start(&s->worker->policy, phase, &a->question, &a->answer, deadline, on_answer, a) == STARTED)
        session_await(s, WAIT_POLICY);
    else
        ask_answered(a);
}

void session_ask_cancel(struct session *s)
{
    if (!s->ask)
        return;
    policy_ask_cancel(&s->worker->policy, &s->ask->question);
    arena_fini(&s->ask->arena);
    free(s->ask);
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
        session_close_when_sent(s, reason);
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
