/*
 * body.c - from the reply 354 to the last byte before the final dot.
 *
 *   client ─▶ strict lines ─▶ header block ─▶ Received: ─▶ MTA
 *      ◀──── reading stops while the MTA's queue is above its high mark ────
 *
 * Before: envelope.c collected recipients, policy/ reserved the limits. After: settle.c sends the dot.
 *
 * Promises: holds max-header bytes at most and never a body; changes no byte of the message but the trace field on top;
 * never writes the final dot. A refusal after the first body byte drops the MTA's connection, because an unfinished
 * DATA is the only thing an MTA must forget; the rest of the message is read and dropped, within bounds, so that the
 * client hears why. RFC 5321 4.1.1.4, 4.5.2.
 *
 * The deadline: `timeout data` for every CHUNK_BYTES of message, from the moment the one before was complete. Dripped
 * bytes renew nothing; while we ourselves do not read, because the MTA is slow, the client's clock stands.
 */
#include "session/session.h"

#include <stdio.h>
#include <time.h>

#include "smtp/received.h"

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

void body_refuse(struct session *s)
{
    struct transaction *tx = s->tx;
    tx_leave_mta(tx);
    policy_give_back(&s->worker->policy, &tx->policy); /* others need not wait until it is read to its end */
    buf_fini(&tx->block);
    if (s->wait == WAIT_RELAY)
        body_on_drained(s);
}

static void refuse(struct session *s, const struct smtp_reply_call *call)
{
    tx_decide_call(s->tx, "data", call);
    body_refuse(s);
}

static struct str number_text(uint64_t n, char *to, size_t size)
{
    int len = snprintf(to, size, "%llu", (unsigned long long)n);
    return str_of(to, (size_t)len);
}

/* ---- the header block ---- */

static int utc_offset_s(int64_t time_s)
{
    struct tm tm;
    time_t t = (time_t)time_s;
    return localtime_r(&t, &tm) ? (int)tm.tm_gmtoff : 0;
}

static bool write_received(struct session *s, struct buf *to)
{
    struct transaction *tx = s->tx;
    int64_t now_s = loop_wall_us(s->worker->loop) / 1000000;
    char ip[IP_TEXT_MAX];
    struct smtp_received received = {.client = ip_format(&s->client, ip),
                                     .helo = str_of_z(s->helo),
                                     .by = str_of_z(s->worker->config->hostname),
                                     .id = tx->client.id,
                                     .login = str_of_z(s->user),
                                     .tls_version = conn_tls_version(&s->conn),
                                     .tls_cipher = conn_tls_cipher(&s->conn),
                                     .is_authenticated = s->user != NULL,
                                     .is_esmtp = s->flags & SESSION_IS_ESMTP,
                                     .is_smtputf8 = tx->params.smtputf8,
                                     .time_s = now_s,
                                     .utc_offset_s = utc_offset_s(now_s)};
    return smtp_received_write(to, (enum smtp_trace)s->worker->config->trace_header, &received);
}

/* The block is whole: what the event tells of it is taken, then the trace field and the block go on. */
static void block_complete(struct session *s, struct str block)
{
    struct transaction *tx = s->tx;
    struct str fields = str_sub(block, 0, tx->header.fields_end);
    tx->block_is_done = true;
    if (smtp_header_loops(&tx->header)) {
        refuse(s, &(struct smtp_reply_call){REPLY_LOOP});
        return;
    }
    struct buf address, trace;
    buf_init(&address, SMTP_ADDRESS_MAX);
    buf_init(&trace, SMTP_RECEIVED_BYTES_MAX);
    tx->message_id = arena_copy(&tx->arena, smtp_header_message_id(fields));
    if (smtp_header_from(fields, &address))
        tx->from = arena_copy(&tx->arena, buf_str(&address));
    if (!write_received(s, &trace))
        refuse(s, &(struct smtp_reply_call){REPLY_LOCAL_TROUBLE});
    else if (!mta_body(&tx->exchange, buf_str(&trace)) || !mta_body(&tx->exchange, block))
        log_debug("session %llx: the MTA's connection broke in the header", (unsigned long long)s->number);
    buf_fini(&address); /* on a broken connection on_failed follows */
    buf_fini(&trace);
    buf_fini(&tx->block);
}

/* Bytes of the message that may be the header block's. In the common case all of it is in the first chunk and nothing
 * is copied. */
static void take_header(struct session *s, struct str held, struct str passed, bool is_all)
{
    struct transaction *tx = s->tx;
    bool is_direct = buf_len(&tx->block) == 0 && held.len == 0;
    if (!is_direct && !(buf_append_str(&tx->block, held) && buf_append_str(&tx->block, passed))) {
        refuse(s, &(struct smtp_reply_call){REPLY_LOCAL_TROUBLE});
        return;
    }
    struct str block = is_direct ? passed : buf_str(&tx->block);
    char digits[24];
    switch (smtp_header_scan(&tx->header, block, is_all)) {
    case SMTP_HEADER_END:
        block_complete(s, block);
        return;
    case SMTP_HEADER_TOO_LARGE:
        refuse(s, &(struct smtp_reply_call){REPLY_HEADER_TOO_LARGE,
                                            number_text(s->worker->config->max_header_bytes, digits, sizeof digits)});
        return;
    case SMTP_HEADER_MORE:
        if (is_direct && !buf_append_str(&tx->block, passed))
            refuse(s, &(struct smtp_reply_call){REPLY_LOCAL_TROUBLE});
        return;
    }
}

/* ---- the stream ---- */

/* What is wrong with the message so far, as a whole. True: it was refused. */
static bool refuse_if_wrong(struct session *s)
{
    struct transaction *tx = s->tx;
    char digits[24];
    uint64_t max = session_max_message(s);
    if (tx->dot.size_bytes > max)
        refuse(s, &(struct smtp_reply_call){REPLY_TOO_LARGE, number_text(max, digits, sizeof digits)});
    else if (smtp_dot_line_is_too_long(&tx->dot))
        refuse(s, &(struct smtp_reply_call){REPLY_LINE_IN_DATA_TOO_LONG,
                                            number_text(s->worker->config->max_line_bytes, digits, sizeof digits)});
    else if (tx->dot.has_8bit && !tx->takes_8bit)
        refuse(s, &(struct smtp_reply_call){REPLY_NEEDS_8BITMIME});
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
    char digits[24];
    tx->dropped_bytes += bytes;
    if (tx->dot.size_bytes <= max || tx->dropped_bytes <= EXCESS_MAX_BYTES)
        return true;
    session_end(s, "a message that is far too large", REPLY_TOO_LARGE_CLOSING, number_text(max, digits, sizeof digits));
    return false;
}

static void pass(struct session *s, const struct smtp_dot_out *out, bool is_all)
{
    struct transaction *tx = s->tx;
    if (!tx->block_is_done) {
        take_header(s, out->held, out->passed, is_all);
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
    conn_consume(&s->conn, out.consumed);
    if (result == SMTP_DOT_END) {
        s->bytes += tx->dot.size_bytes;
        message_complete(s);
        return true;
    }
    if (tx->dot.size_bytes - tx->renewed_at_bytes >= CHUNK_BYTES) {
        tx->renewed_at_bytes = tx->dot.size_bytes;
        session_deadline(s, s->worker->config->timeout.data_ms);
    }
    if (tx->verdict == MAIL_OPEN && mta_unsent_bytes(&tx->exchange) > MTA_HIGH_BYTES)
        session_await(s, WAIT_RELAY);
    return true;
}
