/*
 * settle.c - the message is complete: rules see it as a whole, its real size is settled, the dot is sent, and the MTA's
 * verdict is ours.
 *
 *   250 of the MTA ─▶ charge kept ─▶ 250          refusal ─▶ given back ─▶ as it is
 *   silence after the dot ─▶ nobody knows ─▶ charge kept, 451: the retry may double the mail,
 *                                            nothing is lost (DESIGN.md)
 *
 * While the verdict is awaited the client may vanish; the mail's outcome is still counted and written.
 */
#include "session/session.h"

#include "base/clock.h"

/* The mail has its outcome and the client its reply: on to the next. */
static void finish_now(struct session *s)
{
    struct transaction *tx = s->tx;
    char enhanced[sizeof tx->enhanced];
    enum mail_verdict verdict = tx->verdict;
    str_copy_into(enhanced, sizeof enhanced, str_of_z(tx->enhanced));
    session_enter(s, SESSION_COMMAND);
    s->wait = WAIT_NOTHING;
    session_reply_text(s, tx->code, enhanced, tx->text);
    tx_end(s);
    if (!conn_is_open(&s->conn))
        session_close(s, "lost before the reply");
    else if (verdict == MAIL_DISCONNECTED || verdict == MAIL_BANNED)
        session_close_when_sent(s, verdict == MAIL_BANNED ? "banned" : "refused by a rule");
    else
        session_resume(s);
}

/* What rules of `header` and `message` want delayed is the reply to the dot: the MTA does not wait for it. */
static void finish(struct session *s)
{
    if (!session_delay(s, finish_now))
        finish_now(s);
}

static void finish_unasked(struct session *s, const struct policy_answer *answer)
{
    (void)answer; /* only of trouble: nothing can be refused any more */
    finish(s);
}

/* ---- the end of the message ---- */

static void refuse(struct session *s, const char *at, const struct policy_answer *answer)
{
    struct transaction *tx = s->tx;
    tx_decide_policy(tx, at, answer);
    if (answer->verdict == POLICY_DROP) {
        session_refuse_by_policy(s, answer);
        return;
    }
    tx_leave_mta(tx);
    policy_give_back(&s->worker->policy, &tx->policy);
    tx->is_settled = true;
    finish(s);
}

static void message_refused(struct session *s, const struct policy_answer *answer)
{
    refuse(s, "message", answer);
}

static void settled(struct session *s)
{
    struct transaction *tx = s->tx;
    const struct policy_answer *answer = &tx->settling.answer;
    session_take_effects(s, tx, PHASE_DATA, answer);
    if (answer->verdict != POLICY_GO_ON) {
        if (answer->by.ptr)
            counter_add(s->worker->counters, COUNTER_LIMIT_REFUSALS, 1);
        refuse(s, "data", answer);
        return;
    }
    session_await(s, WAIT_DOT);
    tx->dot_was_sent = true;
    tx->dot_us = loop_wall_us(s->worker->loop);
    /* The end of data is found at the head of a line only, however its bytes were cut: nothing is missing before it. */
    mta_dot(&tx->exchange, true);
}

static void on_settled(void *arg)
{
    struct session *s = arg;
    s->tx->settling.is_asked = false;
    settled(s);
}

void settle_cancel(struct transaction *tx)
{
    if (tx->settling.is_asked)
        policy_ask_cancel(&tx->session->worker->policy, &tx->settling.question);
    tx->settling.is_asked = false;
}

static void message_go_on(struct session *s)
{
    struct transaction *tx = s->tx;
    struct policy_case *question = &tx->settling.question;
    int64_t deadline = loop_now_ms(s->worker->loop) + ASK_DEADLINE_MS;
    session_question(s, &tx->arena, question);
    question->mail = &tx->policy;
    question->size_bytes = tx->dot.size_bytes;
    tx->settling.is_asked =
        policy_settle_start(&s->worker->policy, question, &tx->settling.answer, deadline, on_settled, s) == STARTED;
    if (tx->settling.is_asked)
        session_await(s, WAIT_POLICY);
    else
        settled(s);
}

void message_complete(struct session *s)
{
    session_enter(s, SESSION_DOT);
    session_await(s, WAIT_DOT);
    s->delayed_ms = 0; /* the reply to DATA was another */
    if (s->tx->verdict != MAIL_OPEN)
        finish(s);
    else if (policy_has_rules(s->worker->policy.policy, PHASE_MESSAGE))
        session_ask(s, PHASE_MESSAGE, message_go_on, message_refused);
    else
        message_go_on(s);
}

/* ---- the MTA's last word ---- */

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
    } else {
        policy_keep(&s->worker->policy, &tx->policy, clock_steady_us());
        const struct str pieces[] = {reply->text, STR(" ("), tx->client.id, STR(")")};
        struct str text = arena_join(&tx->arena, pieces, COUNT_OF(pieces));
        s->messages++;
        s->junk = 0;
        tx_decide(tx, MAIL_ACCEPTED, "data", reply->code, reply->enhanced, text.ptr ? text : reply->text, STR_NONE);
    }
    if (policy_has_rules(s->worker->policy.policy, PHASE_RESULT))
        session_ask(s, PHASE_RESULT, finish, finish_unasked);
    else
        finish(s);
}

void settle_on_failure(struct session *s, enum mta_failure failure)
{
    struct transaction *tx = s->tx;
    int64_t now_us = loop_wall_us(s->worker->loop);
    const struct smtp_reply_row *row = smtp_reply_row(reply_of_failure(failure));
    bool is_unknown = failure == MTA_UNKNOWN;
    tx->answered_us = now_us;
    session_ask_cancel(s); /* of `message`, which need not be answered any more */
    settle_cancel(tx);
    tx->is_settled = true;
    if (is_unknown)
        policy_keep(&s->worker->policy, &tx->policy, clock_steady_us());
    else
        policy_give_back(&s->worker->policy, &tx->policy);
    tx_decide(tx, is_unknown ? MAIL_UNKNOWN : MAIL_DEFERRED, "data", (int)row->code, row->enhanced, str_of_z(row->text),
              STR_NONE);
    finish(s);
}
