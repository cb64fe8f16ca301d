/*
 * settle.c - the message is complete: its real size is settled, the dot is sent, and the MTA's verdict is ours.
 *
 *   250 of the MTA ─▶ charge kept ─▶ 250          refusal ─▶ given back ─▶ as it is
 *   silence after the dot ─▶ nobody knows ─▶ charge kept, 451: the retry may double the mail, nothing is lost
 * (DESIGN.md)
 *
 * While the verdict is awaited the client may vanish; the mail's outcome is still counted and written.
 */
#include "session/session.h"

#include "base/clock.h"

/* The mail has its outcome and the client its reply: on to the next. */
static void finish(struct session *s, int code, const char *enhanced, struct str text)
{
    session_enter(s, SESSION_COMMAND);
    s->wait = WAIT_NOTHING;
    session_reply_text(s, code, enhanced, text);
    tx_end(s);
    if (!conn_is_open(&s->conn)) {
        session_close(s, "lost before the reply");
        return;
    }
    session_resume(s);
}

static void finish_as_decided(struct session *s)
{
    struct transaction *tx = s->tx;
    char enhanced[sizeof tx->enhanced];
    str_copy_into(enhanced, sizeof enhanced, str_of_z(tx->enhanced));
    finish(s, tx->code, enhanced, tx->text);
}

void message_complete(struct session *s)
{
    struct transaction *tx = s->tx;
    session_enter(s, SESSION_DOT);
    session_await(s, WAIT_DOT);
    if (tx->verdict != MAIL_OPEN) {
        finish_as_decided(s);
        return;
    }
    struct policy_case question = {.arena = &tx->arena,
                                   .connection_arena = &s->arena,
                                   .connection = &s->policy,
                                   .mail = &tx->policy,
                                   .now_us = clock_wall_us()};
    struct policy_answer answer;
    session_facts(s, &question.facts);
    if (!policy_settle(&s->worker->policy, &question, tx->dot.size_bytes, &answer)) {
        tx->is_settled = true;
        tx_decide_policy(tx, "data", &answer);
        if (answer.by.ptr)
            counter_add(s->worker->counters, COUNTER_LIMIT_REFUSALS, 1);
        finish_as_decided(s);
        return;
    }
    tx->dot_was_sent = true;
    tx->dot_us = loop_wall_us(s->worker->loop);
    /* The end of data is found at the head of a line only, however its bytes were cut: nothing is missing before it. */
    mta_dot(&tx->exchange, true);
}

void settle_on_verdict(struct session *s, const struct mta_reply *reply)
{
    struct transaction *tx = s->tx;
    int64_t now_us = loop_wall_us(s->worker->loop);
    tx->answered_us = now_us;
    tx->is_settled = true;
    tx->relay_text = arena_copy(&tx->arena, reply->text);
    if (reply->code >= 300) {
        policy_give_back(&s->worker->policy, &tx->policy);
        tx_decide(tx, verdict_of_code(reply->code), "data", reply->code, reply->enhanced, reply->text, STR_NONE);
        finish_as_decided(s);
        return;
    }
    policy_keep(&s->worker->policy, &tx->policy, clock_wall_us());
    struct str text = arena_printf(&tx->arena, PRI_STR " (" PRI_STR ")", STR_ARG(reply->text), STR_ARG(tx->client.id));
    s->messages++;
    s->junk = 0;
    tx_decide(tx, MAIL_ACCEPTED, "data", reply->code, reply->enhanced, text.ptr ? text : reply->text, STR_NONE);
    finish_as_decided(s);
}

void settle_on_failure(struct session *s, enum mta_failure failure)
{
    struct transaction *tx = s->tx;
    int64_t now_us = loop_wall_us(s->worker->loop);
    const struct smtp_reply_row *row = smtp_reply_row(reply_of_failure(failure));
    bool is_unknown = failure == MTA_UNKNOWN;
    tx->answered_us = now_us;
    tx->is_settled = true;
    if (is_unknown)
        policy_keep(&s->worker->policy, &tx->policy, clock_wall_us());
    else
        policy_give_back(&s->worker->policy, &tx->policy);
    tx_decide(tx, is_unknown ? MAIL_UNKNOWN : MAIL_DEFERRED, "data", (int)row->code, row->enhanced, str_of_z(row->text),
              STR_NONE);
    finish_as_decided(s);
}
