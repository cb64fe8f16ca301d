/*
 * transaction.c - one mail's memory, its open replies, its outcome and its end; what fills it is envelope.c, body.c,
 * settle.c.
 *
 * The outcome is decided once: the first refusal of the whole mail, or the MTA's verdict. Whatever ends the mail ends
 * it here: what was charged and not kept is given back, the MTA's connection is left, the event line is written, and
 * the memory goes at the end of the turn.
 */
#include "session/session.h"

enum {
    /* What a mail's envelope and header may cost in memory: its share for each recipient, and the rest. */
    ARENA_BASE_BYTES = 1 << 20,
    ARENA_RECIPIENT_BYTES = 4096,
    SLOT_TEXT_MAX_BYTES = 1024, /* of a reply that waits for its turn */
};

/* ---- memory ---- */

void tx_free(struct transaction *tx)
{
    struct arena arena = tx->arena; /* it lies in its own arena */
    buf_fini(&tx->block);
    arena_fini(&arena);
}

struct transaction *tx_new(struct session *s)
{
    struct arena arena;
    arena_init(&arena, ARENA_BASE_BYTES + (size_t)s->worker->config->max_recipients * ARENA_RECIPIENT_BYTES);
    struct transaction *tx = arena_alloc(&arena, sizeof *tx);
    if (!tx)
        return NULL;
    tx->arena = arena;
    tx->session = s;
    tx->slots_end = &tx->slots;
    tx->refused_end = &tx->refused;
    tx->begun_us = loop_wall_us(s->worker->loop);
    tx->number = ++s->mails;
    buf_init(&tx->block, s->worker->config->max_header_bytes + LOOP_SCRATCH_BYTES);
    return tx;
}

/* ---- the outcome ---- */

enum mail_verdict verdict_of_code(int code)
{
    return code == 421 ? MAIL_DISCONNECTED : code < 500 ? MAIL_DEFERRED : MAIL_REJECTED;
}

void tx_decide(struct transaction *tx, enum mail_verdict verdict, const char *at, int code, const char *enhanced,
               struct str text, struct str by)
{
    if (tx->verdict != MAIL_OPEN)
        return;
    tx->verdict = verdict;
    tx->at = at;
    tx->code = code;
    str_copy_into(tx->enhanced, sizeof tx->enhanced, str_of_z(enhanced));
    tx->text = arena_copy(&tx->arena, text); /* without memory: the code alone must do */
    tx->by = by;
}

void tx_decide_call(struct transaction *tx, const char *at, const struct smtp_reply_call *call)
{
    const struct smtp_reply_row *row = smtp_reply_row(call->reply);
    struct buf text;
    buf_init(&text, 2048);
    bool ok = smtp_reply_text_call(&text, call);
    tx_decide(tx, verdict_of_code((int)row->code), at, (int)row->code, row->enhanced, ok ? buf_str(&text) : STR_NONE,
              STR_NONE);
    buf_fini(&text);
}

void tx_decide_policy(struct transaction *tx, const char *at, const struct policy_answer *answer)
{
    static const enum mail_verdict VERDICTS[] = {MAIL_OPEN,         MAIL_REJECTED, MAIL_DEFERRED,
                                                 MAIL_DISCONNECTED, MAIL_DROPPED,  MAIL_BANNED};
    tx->is_over_limit = answer->by_limit;
    tx_decide(tx, VERDICTS[answer->verdict], at, answer->code, answer->enhanced, answer->text, answer->by);
}

const char *tx_at(const struct session *s)
{
    bool is_in_data = s->state == SESSION_BODY || s->state == SESSION_DOT || s->wait == WAIT_DATA;
    return is_in_data ? "data" : s->tx->recipient_count ? "rcpt" : "mail";
}

enum smtp_reply reply_of_failure(enum mta_failure failure)
{
    static const enum smtp_reply REPLIES[] = {
        [MTA_UNAVAILABLE] = REPLY_RELAY_AWAY, [MTA_LOST] = REPLY_RELAY_LOST,       [MTA_BROKEN] = REPLY_RELAY_BROKEN,
        [MTA_LACKS] = REPLY_RELAY_LACKS,      [MTA_UNKNOWN] = REPLY_RELAY_UNKNOWN,
    };
    return REPLIES[failure];
}

/* ---- slots ---- */

struct slot *slot_add(struct transaction *tx)
{
    struct slot *slot = arena_alloc(&tx->arena, sizeof *slot);
    if (slot) {
        *tx->slots_end = slot;
        tx->slots_end = &slot->next;
        tx->slot_count++;
    }
    return slot;
}

/* Sends every reply whose turn has come; when none is left the client owes us a line again. */
void slots_flush(struct session *s)
{
    struct transaction *tx = s->tx;
    if (tx->is_held)
        return;
    while (tx->slots && tx->slots->code) {
        struct slot *slot = tx->slots;
        /* taken out first: session_reply_text queues behind open slots */
        struct slot *rest = slot->next;
        tx->slots = NULL;
        session_reply_text(s, slot->code, slot->enhanced, slot->text);
        if (s->tx != tx)
            return;
        tx->slots = rest;
    }
    if (tx->slots)
        return;
    tx->slots_end = &tx->slots;
    tx->slot_count = 0;
    if (s->wait == WAIT_VERDICTS) {
        /* the command that waits answers next: its reply goes out with these (RFC 2920 3.2) */
        conn_hold_output(&s->conn);
        session_resume(s);
    } else if (s->wait == WAIT_NOTHING && s->state == SESSION_COMMAND) {
        session_deadline(s, s->worker->config->timeout.command_ms);
    }
}

static void release_slots(struct session *s)
{
    if (s->tx) {
        s->tx->is_held = false;
        slots_flush(s);
    }
}

/* Else they are kept waiting already. */
void slots_delay(struct session *s)
{
    bool may_wait = s->wait == WAIT_NOTHING || s->wait == WAIT_VERDICTS || s->wait == WAIT_COUNTS;
    if (may_wait && session_delay(s, release_slots) && s->tx)
        s->tx->is_held = true;
}

void slot_fill(struct transaction *tx, struct slot *slot, int code, const char *enhanced, struct str text)
{
    slot->code = code;
    str_copy_into(slot->enhanced, sizeof slot->enhanced, str_of_z(enhanced));
    slot->text = arena_copy(&tx->arena, str_sub(text, 0, SLOT_TEXT_MAX_BYTES));
}

void slot_fill_reply(struct slot *slot, enum smtp_reply reply)
{
    const struct smtp_reply_row *row = smtp_reply_row(reply);
    slot->code = (int)row->code;
    str_copy_into(slot->enhanced, sizeof slot->enhanced, str_of_z(row->enhanced));
    slot->text = str_of_z(row->text);
}

/* ---- the end ---- */

static void bury(void *arg)
{
    tx_free(arg);
}

static void count_outcome(struct session *s, const struct transaction *tx)
{
    static const enum counter_id COUNTERS[] = {
        [MAIL_OPEN] = COUNTER_MAILS_ABORTED,          [MAIL_ACCEPTED] = COUNTER_MAILS_ACCEPTED,
        [MAIL_REJECTED] = COUNTER_MAILS_REJECTED,     [MAIL_DEFERRED] = COUNTER_MAILS_DEFERRED,
        [MAIL_DISCONNECTED] = COUNTER_MAILS_DEFERRED, [MAIL_DROPPED] = COUNTER_MAILS_REJECTED,
        [MAIL_BANNED] = COUNTER_MAILS_REJECTED,       [MAIL_ABORTED] = COUNTER_MAILS_ABORTED,
        [MAIL_UNKNOWN] = COUNTER_MAILS_UNKNOWN,
    };
    struct counters *c = s->worker->counters;
    counter_add(c, COUNTERS[tx->verdict], 1);
    counter_add(c, COUNTER_RECIPIENTS_REFUSED, tx->refused_count);
    if (tx->verdict != MAIL_ACCEPTED)
        return;
    counter_add(c, COUNTER_RECIPIENTS_ACCEPTED, tx->accepted_count);
    counter_add(c, COUNTER_BYTES, tx->dot.size_bytes);
}

void tx_leave_mta(struct transaction *tx)
{
    struct str server = mta_server(&tx->exchange);
    if (server.ptr)
        tx->relay = server;
    mta_end(&tx->exchange);
}

void tx_end(struct session *s)
{
    struct transaction *tx = s->tx;
    if (!tx)
        return;
    /* given up without a verdict of its own: what its recipients were told, if all of them were refused */
    if (tx->verdict == MAIL_OPEN && tx->last_refusal && tx->accepted_count == 0)
        tx_decide(tx, verdict_of_code(tx->last_refusal->code), "rcpt", tx->last_refusal->code,
                  tx->last_refusal->enhanced, tx->last_refusal->text, tx->last_refused_by);
    if (tx->verdict == MAIL_OPEN)
        tx->verdict = MAIL_ABORTED;
    else if (tx->verdict != MAIL_ACCEPTED)
        s->flags |= SESSION_MAIL_WAS_REFUSED;
    session_ask_cancel(s);
    settle_cancel(tx);
    if (!tx->is_settled)
        policy_give_back(&s->worker->policy, &tx->policy);
    tx_leave_mta(tx);
    session_event_mail(s);
    count_outcome(s, tx);
    s->tx = NULL;
    /* who is over a limit was told when to try again: to try is no misbehaviour */
    if (tx->verdict != MAIL_ACCEPTED && !tx->is_over_limit)
        session_count_junk(s, JUNK_COMMAND);
    /* the exchange may have called us back just now: what lies in the arena is needed until the end of the turn, and by
     * what is still being counted */
    task_init(&tx->bury, bury, tx);
    if (tx->count_count == 0)
        task_defer(s->worker->loop, &tx->bury);
}
