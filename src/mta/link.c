/*
 * link.c - a connection's life and its deadlines; what is said on it is decided by dialogue.c, whose mail it carries by
 * exchange.c and pool.c. See link.h.
 *
 * How it can end, and who hears of it:
 *
 *   while opening      fail_opening: the server is perhaps down, an exchange tries the next one
 *   with an exchange   lose: the exchange decides between a second try, "lost" and "unknown"
 *   idle, reset        nobody: it just leaves the pool
 *
 * An idle connection that becomes readable is dead, whatever it says: 421, an end of file, or nonsense.
 */
#include "mta/link.h"

#include <stdio.h>
#include <stdlib.h>

#include "mta/exchange_inside.h"
#include "mta/pool_inside.h"
#include "mta/verdict.h"

/* Input: a reply's line, and what may come behind it. Output: a body's chunk above the high mark, and commands. */
const struct conn_limits mta_link_limits = {
    .in_max_bytes = 16384, .out_max_bytes = (size_t)MTA_HIGH_BYTES * 4, .out_low_bytes = MTA_LOW_BYTES};

static void on_input(struct conn *c);
static void on_drained(struct conn *c);
static void on_ready(struct conn *c);
static void on_end(struct conn *c, enum conn_end why);
const struct conn_ops mta_link_ops = {on_input, on_drained, on_ready, on_end};

static struct mta_link *link_of(struct conn *c)
{
    return CONTAINER_OF(c, struct mta_link, conn);
}

static int64_t now_ms(const struct mta_link *link)
{
    return loop_now_ms(link->pool->loop);
}

/* ---- counting ---- */

void mta_link_count_ready(struct mta_link *link, bool is_ready)
{
    if (link->is_counted_ready == is_ready)
        return;
    link->is_counted_ready = is_ready;
    link->server->ready_count += is_ready ? 1 : (unsigned)-1;
}

/* It is no longer one of the pool's connections: there is room for another. */
static void retire(struct mta_link *link)
{
    mta_link_count_ready(link, false);
    list_remove(&link->idle_node);
    link->pool->link_count--;
    mta_pool_serve_later(link->pool);
}

/* ---- the end ---- */

void mta_link_detach(struct mta_link *link)
{
    if (!link->exchange)
        return;
    link->exchange->link = NULL;
    link->exchange = NULL;
    link->dialogue.client = NULL;
    link->server->busy_count--;
}

void mta_link_probe_is_over(struct mta_link *link)
{
    if (!link->is_probe)
        return;
    link->is_probe = false;
    link->server->is_probing = false;
    link->server->was_probed = true;
    mta_pool_probe_done(link->pool);
}

void mta_link_close(struct mta_link *link)
{
    if (link->phase == MTA_LINK_CLOSED)
        return;
    mta_link_detach(link);
    if (link->phase != MTA_LINK_LEAVING)
        retire(link);
    link->phase = MTA_LINK_CLOSED;
    if (link->query)
        resolve_cancel(link->query);
    link->query = NULL;
    timer_cancel(&link->deadline);
    task_cancel(&link->connect_task);
    if (link->has_conn)
        conn_close(&link->conn);
    smtp_reply_reader_fini(&link->reader);
    list_remove(&link->node);
    list_add_last(&link->pool->dead, &link->node);
    task_defer(link->pool->loop, &link->pool->bury_task);
    mta_link_probe_is_over(link);
}

void mta_link_free(struct mta_link *link)
{
    list_remove(&link->node);
    free(link);
}

static void on_left(void *arg)
{
    mta_link_close(arg);
}

void mta_link_quit(struct mta_link *link)
{
    struct buf *out = conn_output(&link->conn);
    if (!mta_enter(&link->dialogue, MTA_AT_QUIT, NULL, 0, out)) {
        mta_link_close(link);
        return;
    }
    mta_link_detach(link);
    retire(link);
    link->phase = MTA_LINK_LEAVING;
    timer_cancel(&link->deadline);
    conn_close_when_sent(&link->conn, on_left, link);
}

/* It is of no use any more, and the mail on it must hear of it. may_replay: by nobody's misbehaviour. */
void mta_link_lose(struct mta_link *link, enum mta_failure failure, bool may_replay, const char *text)
{
    struct mta_exchange *x = link->exchange;
    bool dot_has_left = conn_unsent_bytes(&link->conn) == 0;
    may_replay = may_replay && link->was_idle;
    char copy[160]; /* the text may lie in the connection that is closed now */
    snprintf(copy, sizeof copy, "%s", text);
    mta_link_close(link);
    if (x)
        mta_exchange_on_lost(x, failure, may_replay, dot_has_left, copy);
}

/* ---- deadlines ---- */

static unsigned reply_ms(const struct mta_link *link, enum mta_state state)
{
    unsigned ms = link->pool->options->reply_ms;
    return state == MTA_AT_DOT ? 2 * ms : ms;
}

void mta_link_await(struct mta_link *link, enum mta_state state)
{
    int64_t at_ms = now_ms(link) + reply_ms(link, state);
    if (link->phase == MTA_LINK_OPENING)
        at_ms = MIN_OF(at_ms, link->opens_until_ms);
    link->is_awaiting = true;
    timer_start(&link->deadline, at_ms);
}

void mta_link_await_nothing(struct mta_link *link)
{
    link->is_awaiting = false;
    timer_rest(&link->deadline);
}

static uint64_t body_taken(const struct mta_link *link)
{
    return link->body_bytes - MIN_OF(link->body_bytes, (uint64_t)conn_unsent_bytes(&link->conn));
}

static void await_progress(struct mta_link *link)
{
    link->body_mark = body_taken(link);
    timer_start(&link->deadline, now_ms(link) + MIN_OF(reply_ms(link, MTA_AT_BODY), (unsigned)MTA_WRITE_MS));
}

static void on_body_deadline(struct mta_link *link)
{
    if (conn_unsent_bytes(&link->conn) == 0)
        return; /* nothing is awaited: the next bytes start it anew */
    if (body_taken(link) > link->body_mark)
        await_progress(link);
    else
        mta_link_lose(link, MTA_LOST, false, "it stopped taking the message");
}

void mta_link_on_deadline(void *arg)
{
    struct mta_link *link = arg;
    char text[80];
    switch ((enum mta_phase)link->phase) {
    case MTA_LINK_RESOLVING:
        mta_link_fail_opening(link, MTA_UNAVAILABLE, false, "its name could not be resolved in time");
        return;
    case MTA_LINK_CONNECTING:
        mta_link_fail_opening(link, MTA_UNAVAILABLE, false, "connection timed out");
        return;
    case MTA_LINK_OPENING:
        mta_link_fail_opening(link, MTA_UNAVAILABLE, true, "no answer in time (%s)",
                              link->is_shaking_hands ? "TLS" : mta_state_name(link->state));
        return;
    case MTA_LINK_READY:
        if (!link->exchange) {
            mta_link_quit(link);
        } else if (link->exchange->state == MTA_EX_BODY) {
            on_body_deadline(link);
        } else {
            snprintf(text, sizeof text, "no reply in time (%s)", mta_state_name(mta_exchange_place(link->exchange)));
            mta_link_lose(link, MTA_LOST, false, text);
        }
        return;
    case MTA_LINK_RESETTING:
        mta_link_close(link);
        return;
    case MTA_LINK_LEAVING:
    case MTA_LINK_CLOSED:
        return;
    }
}

/* ---- sending ---- */

bool mta_link_send(struct mta_link *link, enum mta_state state, const struct mta_command *command, unsigned number)
{
    struct buf *out = conn_output(&link->conn);
    size_t before = buf_len(out);
    if (!mta_enter(&link->dialogue, state, command, number, out)) {
        buf_truncate(out, before);
        return false;
    }
    conn_flush_later(&link->conn);
    if (!link->is_awaiting)
        mta_link_await(link, state);
    return true;
}

bool mta_link_send_body(struct mta_link *link, struct str bytes)
{
    if (!conn_send_now(&link->conn, bytes)) {
        mta_link_lose(link, MTA_LOST, false, "it does not take the message");
        return false;
    }
    link->body_bytes += bytes.len;
    if (!timer_is_running(&link->deadline) && conn_unsent_bytes(&link->conn))
        await_progress(link);
    return true;
}

/* ---- working ---- */

void mta_link_take(struct mta_link *link, struct mta_exchange *x)
{
    list_remove(&link->idle_node);
    mta_link_await_nothing(link);
    link->exchange = x;
    link->dialogue.client = x->client;
    x->link = link;
    x->server = link->server;
    link->server->busy_count++;
    link->xforward_count = link->xforward_sent = link->xforward_answered = 0;
    link->body_bytes = link->body_mark = 0;
    struct mta_turn turn = mta_next_step(&link->dialogue);
    if (turn.move == MTA_ENTERS && turn.next != MTA_AT_READY) {
        link->opens_until_ms = now_ms(link) + link->pool->options->connect_ms;
        mta_link_enter_opening(link, turn.next);
    } else {
        mta_exchange_on_ready(x);
    }
}

void mta_link_rest(struct mta_link *link, int64_t until_ms)
{
    link->was_idle = true;
    list_add_first(&link->server->idle, &link->idle_node);
    timer_start(&link->deadline, until_ms);
}

/* ---- giving a mail up ---- */

static void reset_step(struct mta_link *link)
{
    if (link->discard_count)
        return;
    link->state = MTA_AT_RSET;
    if (!mta_link_send(link, MTA_AT_RSET, NULL, 0))
        mta_link_close(link);
}

void mta_link_reset(struct mta_link *link, unsigned replies_due)
{
    mta_link_detach(link);
    link->phase = MTA_LINK_RESETTING;
    link->state = MTA_AT_MAIL;
    link->discard_count = replies_due;
    link->is_awaiting = true;
    timer_start(&link->deadline,
                now_ms(link) + MIN_OF(reply_ms(link, MTA_AT_RSET), (unsigned)MTA_RESET_MS)); /* for all of it */
    reset_step(link);
}

/* Replies to what was given up may be anything that a reply to MAIL may be. */
static void on_reset_reply(struct mta_link *link, const struct smtp_answer *answer)
{
    struct mta_turn turn = mta_on_reply(&link->dialogue, link->state, answer);
    if (link->discard_count && turn.move == MTA_TELLS) {
        link->discard_count--;
        reset_step(link);
    } else if (!link->discard_count && turn.move == MTA_ENTERS) {
        link->phase = MTA_LINK_READY;
        mta_link_await_nothing(link);
        mta_pool_give(link->pool, link);
    } else {
        mta_link_close(link);
    }
}

/* ---- what the connection tells ---- */

static void on_reply(struct mta_link *link, const struct smtp_answer *answer)
{
    switch ((enum mta_phase)link->phase) {
    case MTA_LINK_OPENING:
        mta_link_on_opening_reply(link, answer);
        return;
    case MTA_LINK_READY:
        if (link->exchange) {
            enum mta_state place = mta_exchange_place(link->exchange);
            mta_exchange_on_turn(link->exchange, place, mta_on_reply(&link->dialogue, place, answer), answer);
        } else {
            mta_link_close(link);
        }
        return;
    case MTA_LINK_RESETTING:
        on_reset_reply(link, answer);
        return;
    case MTA_LINK_RESOLVING:
    case MTA_LINK_CONNECTING:
    case MTA_LINK_LEAVING:
    case MTA_LINK_CLOSED:
        return;
    }
}

static void on_nonsense(struct mta_link *link, const char *fault)
{
    if (link->phase == MTA_LINK_OPENING)
        mta_link_fail_opening(link, MTA_BROKEN, false, "%s (%s)", fault, mta_state_name(link->state));
    else
        mta_link_lose(link, MTA_BROKEN, false, fault);
}

/* Takes one reply out of the input, its text cleaned into the pool's buffer: the input is consumed before anybody acts
 * on the reply, because whoever does may begin the next mail on this connection at once. */
static enum smtp_reply_result take_reply(struct mta_link *link, struct smtp_answer *answer)
{
    size_t consumed;
    struct buf *text = &link->pool->text;
    bool allows_utf8 = link->exchange && link->exchange->is_utf8;
    enum smtp_reply_result result = smtp_reply_read(&link->reader, conn_input(&link->conn), &consumed, answer);
    if (result == SMTP_REPLY_COMPLETE) {
        buf_clear(text);
        if (!mta_clean_text(text, answer->text, allows_utf8))
            result = SMTP_REPLY_NO_MEMORY;
        answer->text = buf_str(text);
    }
    conn_consume(&link->conn, consumed);
    return result;
}

static bool can_hear(const struct mta_link *link)
{
    return link->phase == MTA_LINK_OPENING || link->phase == MTA_LINK_READY || link->phase == MTA_LINK_RESETTING;
}

static void on_input(struct conn *c)
{
    struct mta_link *link = link_of(c);
    struct smtp_answer answer;
    if (link->phase == MTA_LINK_READY && !link->exchange) {
        mta_link_close(link);
        return;
    }
    /* the link itself outlives this function: dead ones are freed at the end of the turn */
    while (can_hear(link) && !link->is_shaking_hands && conn_input(c).len) {
        switch (take_reply(link, &answer)) {
        case SMTP_REPLY_COMPLETE:
            on_reply(link, &answer);
            break;
        case SMTP_REPLY_MORE:
            return;
        case SMTP_REPLY_BROKEN:
            on_nonsense(link, smtp_reply_reader_fault(&link->reader));
            return;
        case SMTP_REPLY_NO_MEMORY:
            mta_link_lose(link, MTA_LOST, false, "out of memory");
            return;
        }
    }
}

static void on_drained(struct conn *c)
{
    struct mta_link *link = link_of(c);
    if (link->phase == MTA_LINK_READY && link->exchange)
        mta_exchange_on_drained(link->exchange);
}

static void on_ready(struct conn *c)
{
    mta_link_connected(link_of(c));
}

static void on_end(struct conn *c, enum conn_end why)
{
    struct mta_link *link = link_of(c);
    if (link->phase == MTA_LINK_CONNECTING || link->phase == MTA_LINK_OPENING)
        mta_link_opening_ended(link, why);
    else
        mta_link_lose(link, MTA_LOST, why != CONN_NO_MEMORY, conn_error(c, why));
}
