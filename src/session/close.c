/*
 * close.c - the end of a connection, by whatever it comes; and the end of all, when the worker drains.
 *
 * A session is never freed while somebody may still be inside it: closing takes everything away from it and frees it at
 * the end of the turn. One exception to "closing ends the mail": after the dot was sent to the MTA the mail's outcome
 * is not ours any more. Then the session stays, without a client, until the verdict is there. Its memory stays, too,
 * until all that happened is counted (count.c).
 */
#include "session/session.h"

#include <stdlib.h>

#include "base/clock.h"

static void bury(void *arg)
{
    struct session *s = arg;
    struct session_worker *w = s->worker;
    if (s->count_count) { /* the last of them comes here again */
        s->flags |= SESSION_IS_BURIED;
        return;
    }
    free(s->helo);
    free(s->certificate);
    login_forget_user(s);
    arena_fini(&s->arena);
    free(s);
    if (--w->session_count == 0 && w->is_draining && w->on_empty)
        w->on_empty(w->arg);
}

void session_prepare_end(struct session *s)
{
    task_init(&s->bury, bury, s);
}

static bool mail_is_decided_elsewhere(const struct session *s)
{
    return s->tx && s->tx->dot_was_sent && !s->tx->is_settled;
}

/* Everything of the session but its connection and memory. */
static void give_up(struct session *s, const char *reason)
{
    session_enter(s, SESSION_CLOSING);
    s->reason = reason;
    session_ask_cancel(s); /* first: the question looks at login and mail */
    login_free(s);
    tx_end(s);
    session_delay_cancel(s);
    session_forget_ending(s);
    policy_connection_end(&s->worker->policy, &s->policy);
    if (!(s->flags & SESSION_IS_UNTOLD))
        session_event_close(s, reason);
    counter_sub(s->worker->counters, COUNTER_OPEN_CONNECTIONS, 1);
    list_remove(&s->node);
}

void session_close(struct session *s, const char *reason)
{
    if (s->state == SESSION_CLOSING)
        return;
    conn_close(&s->conn);
    if (mail_is_decided_elsewhere(s))
        return;
    give_up(s, reason);
    task_defer(s->worker->loop, &s->bury);
}

static void on_closed(void *arg)
{
    struct session *s = arg;
    task_defer(s->worker->loop, &s->bury);
}

void session_close_when_sent(struct session *s, const char *reason)
{
    if (s->state == SESSION_CLOSING)
        return;
    if (!conn_is_open(&s->conn)) {
        session_close(s, reason);
        return;
    }
    give_up(s, reason);
    conn_close_when_sent(&s->conn, on_closed, s);
}

static void on_deadline(struct session *s)
{
    bool is_over = loop_now_ms(s->worker->loop) >= s->ends_at_ms;
    if (s->wait == WAIT_DELAY) {
        session_end(s, "too many errors", REPLY_TOO_MANY_ERRORS);
        return;
    }
    if (s->wait == WAIT_TLS) {
        session_close(s, "TLS handshake timed out");
        return;
    }
    if (s->wait == WAIT_TARPIT) /* what is owed is said first: it may be that a mail was taken */
        session_delay_end(s);
    if (s->state == SESSION_CLOSING)
        return;
    enum smtp_reply reply = is_over                    ? REPLY_SESSION_TOO_LONG
                            : s->state == SESSION_BODY ? REPLY_TIMED_OUT_DATA
                                                       : REPLY_TIMED_OUT;
    session_end_call(s, is_over ? "lasted too long" : "timed out", &(struct smtp_reply_call){reply});
}

void session_on_end(struct conn *c, enum conn_end why)
{
    struct session *s = CONTAINER_OF(c, struct session, conn);
    switch (why) {
    case CONN_DEADLINE:
        on_deadline(s);
        return;
    case CONN_PEER_CLOSED:
        /* it may have closed only its own half, and wait for what it was told */
        if (conn_unsent_bytes(c))
            session_close_when_sent(s, "closed by the client");
        else
            session_close(s, "closed by the client");
        return;
    case CONN_TLS_FAILED:
        counter_add(s->worker->counters, COUNTER_TLS_FAILED, 1);
        log_debug("session %llx: TLS failed: %s", (unsigned long long)s->number, conn_error(c, why));
        session_close(s, "TLS failed");
        return;
    case CONN_NO_MEMORY:
        session_close(s, "no memory");
        return;
    case CONN_RESET:
    case CONN_CONNECT_FAILED:
        session_close(s, "connection lost");
        return;
    }
}

/* ---- all of them ---- */

void session_drain(struct session_worker *w)
{
    w->is_draining = true;
    LIST_EACH(node, &w->sessions)
    {
        struct session *s = CONTAINER_OF(node, struct session, node);
        bool is_idle =
            s->state == SESSION_COMMAND && s->wait == WAIT_NOTHING && !s->tx && conn_input(&s->conn).len == 0;
        if (is_idle)
            session_end(s, "shutting down", REPLY_SHUTTING_DOWN);
    }
    if (w->session_count == 0 && w->on_empty)
        w->on_empty(w->arg);
}

void session_close_all(struct session_worker *w)
{
    while (!list_is_empty(&w->sessions)) {
        struct session *s = LIST_FIRST(&w->sessions, struct session, node);
        if (mail_is_decided_elsewhere(s)) {
            /* nobody will hear its verdict: unknown, and charged */
            s->tx->is_settled = true;
            policy_keep(&w->policy, &s->tx->policy, clock_steady_us());
            tx_decide_reply(s->tx, "data", REPLY_RELAY_UNKNOWN);
            s->tx->verdict = MAIL_UNKNOWN;
        }
        session_close(s, "stopped");
    }
}
