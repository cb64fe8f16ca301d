/*
 * header.c - the header block of a message: held until it is whole, asked about, changed, sent on.
 *
 *   bytes of DATA ─▶ is the block whole? ─▶ rules of `header` ─▶ edits of mail, rcpt, data, header ─▶ MTA
 *                       (held till then)       (may wait)            (Received: is put on top)
 *
 * In the common case all of it lies in the first chunk, nobody asks about it, and nothing is copied. A block that rules
 * have to wait for is copied, with what was read behind it, and nothing more is read. What rules of `message` and
 * `result` may ask about is kept, if there are such rules.
 *
 * A refusal is that of the mail: the MTA forgets it, the rest is read and dropped, and the client hears it at the dot.
 */
#include "session/session.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "policy/edits.h"
#include "smtp/received.h"

void header_forget(struct transaction *tx)
{
    buf_fini(&tx->block);
    tx->held = tx->header_facts.fields = STR_NONE;
}

/* ---- on to the MTA ---- */

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
                                     .utc_offset_s = (int)clock_utc_offset_s(now_s)};
    return smtp_received_write(to, (enum smtp_trace)s->worker->config->trace_header, &received);
}

/* Rules of later phases may ask about fields, too. False: no memory to keep them. */
static bool keep_fields(struct session *s)
{
    const struct policy *policy = s->worker->policy.policy;
    struct transaction *tx = s->tx;
    bool is_asked_later = policy_has_rules(policy, PHASE_MESSAGE) || policy_has_rules(policy, PHASE_RESULT);
    struct str *fields = &tx->header_facts.fields;
    bool is_wanted = is_asked_later && fields->len &&
                     (policy_uses(policy, ATTRIBUTE_HEADER) || policy_uses(policy, ATTRIBUTE_HEADER_COUNT));
    *fields = is_wanted ? arena_copy(&tx->arena, *fields) : STR_NONE;
    return !is_wanted || fields->ptr;
}

/* On a broken connection on_failed follows: what is sent then goes nowhere. */
static void pass_on(struct session *s, struct str bytes)
{
    if (bytes.len && !mta_body(&s->tx->exchange, bytes))
        log_debug("session %llx: the MTA's connection broke in the header", (unsigned long long)s->number);
}

static struct smtp_header_missing what_may_be_missing(struct session *s)
{
    struct transaction *tx = s->tx;
    int64_t now_s = loop_wall_us(s->worker->loop) / 1000000;
    return (struct smtp_header_missing){
        .time_s = now_s,
        .utc_offset_s = (int)clock_utc_offset_s(now_s),
        .message_id = arena_printf(&tx->arena, "<" PRI_STR "@%s>", STR_ARG(tx->client.id), s->worker->config->hostname),
        .sender = policy_edit_sender(str_of_z(s->user), tx->sender.null ? STR_NONE : tx->sender.whole)};
}

/* What edits add at most: so many lines (policy/) of at most 998 bytes. */
enum { EDITS_MAX_BYTES = 1 << 20 };

/* Sends the fields as the rules want them, in place of those that came. False: no memory. */
static bool send_edited(struct session *s)
{
    struct transaction *tx = s->tx;
    struct str fields = str_sub(tx->held, 0, tx->header.fields_end);
    struct smtp_header_missing missing = what_may_be_missing(s);
    struct buf edited;
    buf_init(&edited, fields.len + EDITS_MAX_BYTES);
    bool ok = missing.message_id.ptr && policy_edit_fields(&edited, fields, tx->policy.edits, &missing, &tx->arena);
    if (ok)
        pass_on(s, buf_str(&edited));
    buf_fini(&edited);
    return ok;
}

/* False: no memory. */
static bool send_block(struct session *s)
{
    struct transaction *tx = s->tx;
    struct buf trace;
    buf_init(&trace, SMTP_RECEIVED_BYTES_MAX);
    bool ok = write_received(s, &trace);
    if (ok)
        pass_on(s, buf_str(&trace));
    buf_fini(&trace);
    if (ok && tx->policy.edits) {
        ok = send_edited(s);
        pass_on(s, ok ? str_from(tx->held, tx->header.fields_end) : STR_NONE);
    } else if (ok) {
        pass_on(s, tx->held);
    }
    return ok;
}

static void header_go_on(struct session *s)
{
    struct transaction *tx = s->tx;
    if (tx->verdict == MAIL_OPEN && !tx->has_failed) {
        if (send_block(s) && keep_fields(s)) {
            tx->held = STR_NONE;
            buf_fini(&tx->block);
        } else {
            body_refuse_call(s, &(struct smtp_reply_call){REPLY_LOCAL_TROUBLE});
        }
    }
    if (tx->is_whole)
        message_complete(s);
}

static void header_refused(struct session *s, const struct policy_answer *answer)
{
    struct transaction *tx = s->tx;
    tx_decide_policy(tx, "header", answer);
    if (answer->verdict == POLICY_DROP) {
        session_refuse_by_policy(s, answer);
        return;
    }
    body_refuse(s);
    if (tx->is_whole)
        message_complete(s);
}

/* ---- whole ---- */

/* The chunk's memory is the connection's: what is waited for lies in our own. */
static void hold(struct session *s)
{
    struct transaction *tx = s->tx;
    if (buf_len(&tx->block) == 0) {
        if (!buf_append_str(&tx->block, tx->held)) {
            session_ask_cancel(s);
            session_resume(s);
            body_refuse_call(s, &(struct smtp_reply_call){REPLY_LOCAL_TROUBLE});
            return;
        }
        tx->held = buf_str(&tx->block);
        tx->header_facts.fields = str_sub(tx->held, 0, tx->header_facts.fields.len);
    }
}

/* What the event tells of the header is taken, then rules are asked, then it goes on. */
static void block_complete(struct session *s, struct str block)
{
    struct transaction *tx = s->tx;
    struct str fields = str_sub(block, 0, tx->header.fields_end);
    tx->block_is_done = true;
    if (smtp_header_loops(&tx->header)) {
        body_refuse_call(s, &(struct smtp_reply_call){REPLY_LOOP});
        return;
    }
    header_facts_init(&tx->header_facts, &tx->header, block, &tx->arena);
    tx->message_id = arena_copy(&tx->arena, smtp_header_message_id(fields));
    tx->from = tx->header_facts.from;
    tx->held = block;
    if (!policy_has_rules(s->worker->policy.policy, PHASE_HEADER)) {
        header_go_on(s);
        return;
    }
    session_ask(s, PHASE_HEADER, header_go_on, header_refused);
    if (s->wait == WAIT_POLICY)
        hold(s);
}

void header_take(struct session *s, struct str held, struct str passed, bool is_all)
{
    struct transaction *tx = s->tx;
    bool is_direct = buf_len(&tx->block) == 0 && held.len == 0;
    if (!is_direct && !(buf_append_str(&tx->block, held) && buf_append_str(&tx->block, passed))) {
        body_refuse_call(s, &(struct smtp_reply_call){REPLY_LOCAL_TROUBLE});
        return;
    }
    struct str block = is_direct ? passed : buf_str(&tx->block);
    char digits[STR_OF_U64_MAX];
    switch (smtp_header_scan(&tx->header, block, is_all)) {
    case SMTP_HEADER_END:
        block_complete(s, block);
        return;
    case SMTP_HEADER_TOO_LARGE:
        body_refuse_call(s, &(struct smtp_reply_call){REPLY_HEADER_TOO_LARGE,
                                                      str_of_u64(digits, s->worker->config->max_header_bytes)});
        return;
    case SMTP_HEADER_MORE:
        if (is_direct && !buf_append_str(&tx->block, passed))
            body_refuse_call(s, &(struct smtp_reply_call){REPLY_LOCAL_TROUBLE});
        return;
    }
}
