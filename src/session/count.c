/*
 * count.c - what happens is counted: errors, and recipients that the MTA does not know (RULES.md "Limits").
 *
 *   session_count ─▶ policy/ ─┬─ at once ─▶ events are written, a delay is owed; does it end the session?
 *                             └─ later: the conversation goes on meanwhile, and the reply goes out. Then the same;
 *                                a delay begins where it is, before the next command is read, and the session ends
 *                                between two commands (421 may answer any, RFC 5321 3.8), or when its mail is over
 *
 * What happened has happened: a count is never given up. It outlives the mail it speaks of and the connection, whose
 * memory stays until it is over, so nobody escapes a ban by hanging up. Only a few may be under way at once; then no
 * further command is read.
 */
#include "session/session.h"

#include <stdlib.h>

enum {
    COUNT_ARENA_MAX_BYTES = 65536, /* what limits have to say outside of a mail */
    COUNTS_MAX = 32,               /* of a session */
};

struct count {
    struct session *session;
    struct transaction *tx;            /* NULL: outside of a mail */
    const struct recipient *recipient; /* NULL: it speaks of none */
    struct policy_case question;
    struct policy_answer answer;
    struct arena arena;
};

static enum phase phase_of(const struct count *c)
{
    return c->recipient ? PHASE_RCPT : c->tx ? PHASE_MAIL : PHASE_HELO;
}

/* Of its own mail and recipient, whatever the session is about by now. */
static void get(const struct facts *facts, int attribute, struct str name, struct fact *out)
{
    const struct count *c = facts->about;
    session_fact(c->session, c->tx, c->recipient, attribute, name, out);
}

/* NULL: no memory. */
static struct count *count_new(struct session *s, const struct recipient *r)
{
    struct count *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->session = s;
    c->tx = s->tx;
    c->recipient = r;
    arena_init(&c->arena, COUNT_ARENA_MAX_BYTES);
    session_question(s, c->tx ? &c->tx->arena : &c->arena, &c->question);
    c->question.facts = (struct facts){.get = get, .about = c};
    s->count_count++;
    if (c->tx) {
        c->tx->count_count++;
        c->question.mail = &c->tx->policy;
    }
    return c;
}

/* The last one lets those go that it outlived. */
static void count_free(struct count *c)
{
    struct session *s = c->session;
    struct transaction *tx = c->tx;
    struct loop *loop = s->worker->loop;
    if (tx && --tx->count_count == 0 && s->tx != tx)
        task_defer(loop, &tx->bury);
    if (--s->count_count == 0 && (s->flags & SESSION_IS_BURIED))
        task_defer(loop, &s->bury);
    arena_fini(&c->arena);
    free(c);
}

static bool ends_session(const struct policy_answer *answer)
{
    return answer->verdict == POLICY_DISCONNECT || answer->verdict == POLICY_DROP || answer->verdict == POLICY_BAN;
}

static void act_on_answer(struct count *c)
{
    struct session *s = c->session;
    session_take_effects(s, c->tx == s->tx ? c->tx : NULL, phase_of(c), &c->answer);
    if (ends_session(&c->answer) && !s->ending && s->state != SESSION_CLOSING)
        s->ending = c;
    else
        count_free(c);
}

/* Between two commands, and nothing is under way but verdicts of the MTA. */
static bool is_between_commands(const struct session *s)
{
    bool awaits_line = s->state == SESSION_COMMAND || s->state == SESSION_AUTH || s->state == SESSION_SKIP;
    return awaits_line && (s->wait == WAIT_NOTHING || s->wait == WAIT_VERDICTS || s->wait == WAIT_COUNTS);
}

static void on_counted(void *arg)
{
    struct count *c = arg;
    struct session *s = c->session;
    act_on_answer(c);
    if (!is_between_commands(s) || session_end_by_count(s))
        return;
    bool held_reading = s->wait == WAIT_COUNTS;
    slots_delay(s);
    if (held_reading && s->wait == WAIT_COUNTS)
        session_resume(s);
}

/* What there is no memory for is not counted. */
void session_count(struct session *s, enum limit_unit unit, const struct recipient *r)
{
    struct policy_engine *policy = &s->worker->policy;
    struct count *c = policy_counts_event(policy, unit) ? count_new(s, r) : NULL;
    int64_t deadline = loop_now_ms(s->worker->loop) + ASK_DEADLINE_MS;
    if (c && policy_count_event_start(policy, unit, 1, &c->question, &c->answer, deadline, on_counted, c) == DONE)
        act_on_answer(c);
}

bool session_end_by_count(struct session *s)
{
    struct count *c = s->ending;
    if (!c)
        return false;
    s->ending = NULL;
    counter_add(s->worker->counters, c->answer.by_limit ? COUNTER_LIMIT_REFUSALS : COUNTER_RULE_REFUSALS, 1);
    if (s->tx)
        tx_decide_policy(s->tx, tx_at(s), &c->answer);
    session_refuse_by_policy(s, &c->answer);
    count_free(c);
    return true;
}

void session_forget_ending(struct session *s)
{
    if (s->ending)
        count_free(s->ending);
    s->ending = NULL;
}

bool session_counts_too_much(struct session *s)
{
    if (s->count_count < COUNTS_MAX)
        return false;
    session_await(s, WAIT_COUNTS);
    return true;
}
