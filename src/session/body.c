/*
 * body.c - from the reply 354 to the last byte before the final dot.
 *
 *   client ─▶ strict lines ─▶ header block (header.c) ─▶ MTA
 *      ◀──── reading stops while the MTA's queue is above its high mark ────
 *
 * Before: envelope.c collected recipients, policy/ reserved the limits. After: settle.c sends the dot.
 *
 * Promises: holds max-header bytes at most and never a body; changes no byte of the message but its header, as header.c
 * says; never writes the final dot. A refusal after the first body byte drops the MTA's connection, because an
 * unfinished DATA is the only thing an MTA must forget; the rest of the message is read and dropped, within bounds, so
 * that the client hears why. RFC 5321 4.1.1.4, 4.5.2.
 *
 * The deadline: `timeout data` for every CHUNK_BYTES of message, from the moment the one before was complete. Dripped
 * bytes renew nothing; while we ourselves do not read, because the MTA is slow, the client's clock stands.
 */
#include "session/session.h"

enum {
    CHUNK_BYTES = 65536,
    /* Of a refused message this much more than was allowed is read before the connection is closed. */
    EXCESS_MAX_BYTES = 1 << 20,
};

void body_begin(struct session *s)
{
    struct transaction *tx = s->tx;
    smtp_dot_init(&tx->dot, s->worker->config->max_line_bytes);
    smtp_header_init(&tx->header, s->worker->config->max_header_bytes);
    tx->takes_8bit = mta_takes_8bit(&tx->exchange);
    session_enter(s, SESSION_BODY);
    session_say(s, REPLY_SEND_DATA);
    session_deadline(s, s->worker->config->timeout.data_ms);
}

/* A question about the header that is not answered yet need not be. */
static void forget_question(struct session *s)
{
    if (!s->ask)
        return;
    session_ask_cancel(s);
    if (s->tx->is_whole)
        message_complete(s);
    else
        session_resume(s);
}

void body_refuse(struct session *s)
{
    struct transaction *tx = s->tx;
    tx_leave_mta(tx);
    policy_give_back(&s->worker->policy, &tx->policy); /* others need not wait until it is read to its end */
    header_forget(tx);
    if (s->wait == WAIT_RELAY)
        body_on_drained(s);
    else
        forget_question(s);
}

void body_refuse_call(struct session *s, const struct smtp_reply_call *call)
{
    tx_decide_call(s->tx, "data", call);
    body_refuse(s);
}

/* ---- the stream ---- */

/* What is wrong with the message so far, as a whole. True: it was refused. */
static bool refuse_if_wrong(struct session *s)
{
    struct transaction *tx = s->tx;
    char digits[STR_OF_U64_MAX];
    uint64_t max = session_max_message(s);
    if (tx->dot.size_bytes > max)
        body_refuse_call(s, &(struct smtp_reply_call){REPLY_TOO_LARGE, str_of_u64(digits, max)});
    else if (smtp_dot_line_is_too_long(&tx->dot))
        body_refuse_call(s, &(struct smtp_reply_call){REPLY_LINE_IN_DATA_TOO_LONG,
                                                      str_of_u64(digits, s->worker->config->max_line_bytes)});
    else if (tx->dot.has_8bit && !tx->takes_8bit)
        body_refuse_call(s, &(struct smtp_reply_call){REPLY_NEEDS_8BITMIME});
    else
        return false;
    return true;
}

static void refuse_bare(struct session *s, enum smtp_dot_result fault)
{
    struct str what = fault == SMTP_DOT_BARE_CR ? STR("CR") : fault == SMTP_DOT_BARE_LF ? STR("LF") : STR("NUL");
    session_end(s, "a bare CR, LF or NUL in DATA", REPLY_BARE_IN_DATA, what);
}

/* More of a refused message. False: too much, the connection was closed. */
static bool drop(struct session *s, size_t bytes)
{
    struct transaction *tx = s->tx;
    uint64_t max = session_max_message(s);
    char digits[STR_OF_U64_MAX];
    tx->dropped_bytes += bytes;
    if (tx->dot.size_bytes <= max || tx->dropped_bytes <= EXCESS_MAX_BYTES)
        return true;
    session_end(s, "a message that is far too large", REPLY_TOO_LARGE_CLOSING, str_of_u64(digits, max));
    return false;
}

static void pass(struct session *s, const struct smtp_dot_out *out, bool is_all)
{
    struct transaction *tx = s->tx;
    if (!tx->block_is_done) {
        header_take(s, out->held, out->passed, is_all);
        return;
    }
    /* false: the connection to the MTA broke, on_failed says so in this turn */
    if (out->held.len && !mta_body(&tx->exchange, out->held))
        return;
    if (out->passed.len && !mta_body(&tx->exchange, out->passed))
        return;
}

void body_on_drained(struct session *s)
{
    if (s->wait == WAIT_RELAY)
        session_resume(s);
}

bool body_on_input(struct session *s)
{
    struct transaction *tx = s->tx;
    struct smtp_dot_out out;
    enum smtp_dot_result result = smtp_dot_feed(&tx->dot, conn_input(&s->conn), &out);
    if (result != SMTP_DOT_MORE && result != SMTP_DOT_END) {
        refuse_bare(s, result);
        return false;
    }
    if (tx->verdict == MAIL_OPEN && !tx->has_failed && !refuse_if_wrong(s))
        pass(s, &out, result == SMTP_DOT_END);
    else if (!drop(s, out.consumed))
        return false;
    if (s->state == SESSION_CLOSING) /* by a rule of `header` */
        return false;
    conn_consume(&s->conn, out.consumed);
    if (result == SMTP_DOT_END) {
        s->bytes += tx->dot.size_bytes;
        tx->is_whole = true;
        if (s->wait == WAIT_NOTHING) /* else rules still look at its header: they go on to its end */
            message_complete(s);
        return true;
    }
    if (tx->dot.size_bytes - tx->renewed_at_bytes >= CHUNK_BYTES) {
        tx->renewed_at_bytes = tx->dot.size_bytes;
        if (s->wait == WAIT_NOTHING)
            session_deadline(s, s->worker->config->timeout.data_ms);
    }
    if (tx->verdict == MAIL_OPEN && s->wait == WAIT_NOTHING && mta_unsent_bytes(&tx->exchange) > MTA_HIGH_BYTES)
        session_await(s, WAIT_RELAY);
    return true;
}
