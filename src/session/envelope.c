/*
 * envelope.c - MAIL, RCPT and DATA: from the rules on to the MTA, whose verdict is the reply.
 *
 * Commands are handed on as they come, without awaiting the verdicts of earlier ones. Each leaves a slot in the mail;
 * the slots' head goes out when its verdict is there. A refused MAIL ends the mail: the RCPTs sent behind it are told
 * 503, as by any server.
 */
#include "session/session.h"

#include <string.h>

/* The mail's own choice before that of the login before the listener's. What EHLO has offered stays offered: an
 * extension that the chosen servers lack is a refusal for now of the mails that use it. */
struct mta_pool *session_pool(const struct session *s)
{
    const struct config *cfg = s->worker->config;
    struct str name = s->tx && s->tx->policy.pool.len ? s->tx->policy.pool : s->policy.pool;
    for (size_t i = 0; name.len && i < cfg->pool_count; i++)
        if (str_equal(name, str_of_z(cfg->pools[i].name)))
            return s->worker->pools[i];
    return s->worker->pools[s->listener->pool];
}

/* ---- the MTA's answers ---- */

/* The mail is over while rules still look at its next recipient: its RCPT gets the reply that those behind a refused
 * MAIL get. */
static void answer_the_one_at_hand(struct session *s, bool was_asked, enum smtp_reply reply)
{
    if (!was_asked || s->state == SESSION_CLOSING)
        return;
    session_say(s, reply);
    session_resume(s);
}

static void mail_answered(struct session *s, const struct mta_reply *reply)
{
    struct transaction *tx = s->tx;
    slot_fill(tx, tx->slots, reply->code, reply->enhanced, reply->text);
    if (reply->code < 300) {
        tx->was_taken = true;
        slots_flush(s);
        return;
    }
    tx_decide(tx, verdict_of_code(reply->code), "mail", reply->code, reply->enhanced, reply->text, STR_NONE);
    for (struct slot *slot = tx->slots->next; slot; slot = slot->next)
        if (slot->code == 0)
            slot_fill_reply(slot, REPLY_MAIL_FIRST);
    bool was_asked = s->ask != NULL;
    slots_flush(s);
    tx_end(s);
    answer_the_one_at_hand(s, was_asked, REPLY_MAIL_FIRST);
}

/* A limit of unknown recipients may delay this reply, and so those behind it, or end the session once it is said. */
static void count_unknown(struct session *s, struct recipient *r)
{
    struct transaction *tx = s->tx;
    session_count(s, UNIT_UNKNOWN_RECIPIENTS, r);
    if (!s->ending)
        slots_delay(s);
    slots_flush(s);
    if (s->tx == tx)
        session_end_by_count(s);
}

static void rcpt_answered(struct session *s, size_t index, const struct mta_reply *reply)
{
    struct transaction *tx = s->tx;
    struct recipient *r = tx->recipients[index];
    r->code = reply->code;
    slot_fill(tx, r->slot, reply->code, reply->enhanced, reply->text);
    if (reply->code < 300) {
        tx->accepted_count++;
    } else {
        tx->refused_count++;
        tx->refused_by_mta_count++;
        tx->last_refusal = r->slot;
        tx->last_refused_by = STR_NONE;
    }
    if (reply->code >= 500)
        count_unknown(s, r);
    else
        slots_flush(s);
}

/* DATA was refused after a wait. Whoever went on without the reply sends a message: its lines are no commands. */
static void data_is_over(struct session *s)
{
    tx_end(s);
    if (conn_has_more_input(&s->conn))
        session_close_when_sent(s, "spoke too early");
    else
        session_resume(s);
}

/* The limits may still be asked, or their answer be delayed. Then a 354 waits for it, and a refusal does not: whatever
 * they would say, the mail is refused. */
static void data_answered(struct session *s, const struct mta_reply *reply)
{
    s->tx->data_was_taken = reply->code == 354;
    if (s->ask && s->tx->data_was_taken)
        return;
    session_ask_cancel(s);
    s->wait = WAIT_NOTHING;
    if (reply->code == 354) {
        body_begin(s);
        session_resume(s);
        return;
    }
    tx_decide(s->tx, verdict_of_code(reply->code), "data", reply->code, reply->enhanced, reply->text, STR_NONE);
    session_reply_text(s, reply->code, reply->enhanced, reply->text);
    data_is_over(s);
}

static void on_reply(void *arg, enum mta_step step, size_t index, const struct mta_reply *reply)
{
    struct transaction *tx = arg;
    struct session *s = tx->session;
    tx->relay_code = reply->code;
    switch (step) {
    case MTA_STEP_MAIL:
        mail_answered(s, reply);
        return;
    case MTA_STEP_RCPT:
        rcpt_answered(s, index, reply);
        return;
    case MTA_STEP_DATA:
        data_answered(s, reply);
        return;
    case MTA_STEP_DOT:
        settle_on_verdict(s, reply);
        return;
    }
}

static void on_failed(void *arg, enum mta_failure failure, const char *text)
{
    struct transaction *tx = arg;
    struct session *s = tx->session;
    enum smtp_reply reply = reply_of_failure(failure);
    tx->has_failed = true;
    tx->relay_text = arena_copy(&tx->arena, str_of_z(text));
    if (s->state == SESSION_DOT) {
        settle_on_failure(s, failure);
        return;
    }
    bool awaits_data = s->wait == WAIT_DATA;
    tx_decide_reply(tx,
                    s->state == SESSION_BODY || awaits_data ? "data"
                    : tx->recipient_count                   ? "rcpt"
                                                            : "mail",
                    reply);
    if (s->state == SESSION_BODY) {
        body_refuse(s);
        return;
    }
    if (awaits_data && !slot_add(tx)) { /* DATA's reply is the one that is open */
        session_close(s, "no memory for a reply");
        return;
    }
    for (struct slot *slot = tx->slots; slot; slot = slot->next)
        if (slot->code == 0)
            slot_fill_reply(slot, reply);
    /* A mail that was begun stays until its client has heard: the next RCPT or DATA is told the same, for a 503 would
     * be a refusal for good of what we lost. */
    bool was_taken = tx->was_taken, was_asked = s->ask != NULL;
    slots_flush(s);
    if (awaits_data) {
        data_is_over(s);
    } else if (!was_taken) {
        tx_end(s);
        answer_the_one_at_hand(s, was_asked, reply);
    }
}

/* Answers a command for a mail that the MTA lost. False: it did not. */
static bool refuse_lost(struct session *s)
{
    const struct transaction *tx = s->tx;
    if (tx->has_failed)
        session_reply_text(s, tx->code, tx->enhanced, tx->text);
    return tx->has_failed;
}

static void on_drained(void *arg)
{
    struct transaction *tx = arg;
    if (tx->session->state == SESSION_BODY)
        body_on_drained(tx->session);
}

const struct mta_ops session_mta_ops = {.on_reply = on_reply, .on_drained = on_drained, .on_failed = on_failed};

/* ---- MAIL ---- */

/* Refuses by a fault of path or parameters; the reply's text says which. */
static void refuse_params(struct session *s, enum smtp_params_result result, struct str name)
{
    if (result == SMTP_PARAMS_UNKNOWN)
        session_refuse(s, REPLY_UNKNOWN_PARAMETER, name);
    else if (result == SMTP_PARAMS_TWICE)
        session_refuse(s, REPLY_PARAMETER_TWICE, name);
    else
        session_refuse(s, REPLY_BAD_PARAMETER, name);
}

static bool copy_path(struct arena *a, struct smtp_path *path)
{
    struct str whole = arena_copy(a, path->whole);
    if (!whole.ptr)
        return false;
    if (path->whole.len) {
        path->local = str_of(whole.ptr + (path->local.ptr - path->whole.ptr), path->local.len);
        if (path->domain.len)
            path->domain = str_of(whole.ptr + (path->domain.ptr - path->whole.ptr), path->domain.len);
    }
    path->whole = whole;
    return true;
}

static void mail_refused(struct session *s, const struct policy_answer *answer)
{
    tx_decide_policy(s->tx, "mail", answer);
    if (!session_refuse_by_policy(s, answer))
        tx_end(s);
}

/* AUTH= goes on as the login, if the client named just that, else as <> (RFC 4954 5; PROTOCOLS.md 1). */
static struct str auth_param(struct session *s, const struct smtp_mail_params *params)
{
    struct buf said;
    buf_init(&said, SMTP_AUTH_PARAM_MAX);
    bool is_own =
        s->user && smtp_xtext_decode(&said, params->auth) && str_equal_nocase(buf_str(&said), str_of_z(s->user));
    buf_fini(&said);
    return is_own ? str_of_z(s->user) : STR("");
}

static void mail_go_on(struct session *s)
{
    struct transaction *tx = s->tx;
    char id[SESSION_ID_MAX];
    const char *why;
    if (mta_pool_is_down(session_pool(s), &why)) {
        tx->relay_text = arena_copy(&tx->arena, str_of_z(why));
        tx_decide_reply(tx, "mail", REPLY_RELAY_AWAY);
        session_say(s, REPLY_RELAY_AWAY);
        tx_end(s);
        return;
    }
    tx->client = (struct mta_client){.ip = s->client,
                                     .port = s->port,
                                     .helo = str_of_z(s->helo),
                                     .login = str_of_z(s->user),
                                     .id = arena_copy(&tx->arena, session_mail_id(s, tx->number, id)),
                                     .esmtp = s->flags & SESSION_IS_ESMTP,
                                     .session = (uint32_t)s->number};
    if (tx->params.has_auth)
        tx->params.auth = auth_param(s, &tx->params);
    mta_begin(&tx->exchange, session_pool(s), &tx->client, &tx->arena, &session_mta_ops, tx);
    if (slot_add(tx) && mta_mail(&tx->exchange, &tx->sender, &tx->params))
        return;
    tx->slots = NULL;
    tx->slots_end = &tx->slots;
    tx_decide_reply(tx, "mail", REPLY_LOCAL_TROUBLE);
    session_say(s, REPLY_LOCAL_TROUBLE);
    tx_end(s);
}

void mail_proceed(struct session *s, const struct smtp_command *command)
{
    struct smtp_path path;
    struct smtp_mail_params params;
    struct str rest, name;
    if (s->worker->is_draining) {
        session_end(s, "shutting down", REPLY_SHUTTING_DOWN);
        return;
    }
    enum smtp_path_result fault = smtp_path_parse(command->argument, SMTP_REVERSE_PATH, &path, &rest);
    if (fault != SMTP_PATH_OK) {
        session_refuse(s, REPLY_BAD_SENDER, str_of_z(smtp_path_fault(fault)));
        return;
    }
    enum smtp_params_result result = smtp_mail_params_parse(rest, s->offered, &params, &name);
    if (result != SMTP_PARAMS_OK) {
        refuse_params(s, result, name);
        return;
    }
    if (path.needs_utf8 && !params.smtputf8) {
        session_refuse_call(s, &(struct smtp_reply_call){s->offered & SMTP_EXT_SMTPUTF8 ? REPLY_NEEDS_SMTPUTF8
                                                                                        : REPLY_SMTPUTF8_UNAVAILABLE});
        return;
    }
    uint64_t max = session_max_message(s);
    if (params.has_size && params.size_bytes > max) {
        char digits[24];
        int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)max);
        session_refuse(s, REPLY_TOO_LARGE_DECLARED, str_of(digits, (size_t)n));
        return;
    }
    struct transaction *tx = tx_new(s);
    if (!tx || !copy_path(&tx->arena, &path)) {
        if (tx)
            tx_free(tx);
        session_say(s, REPLY_LOCAL_TROUBLE);
        return;
    }
    tx->sender = path;
    tx->params = params;
    if (params.envid.ptr)
        tx->params.envid = arena_copy(&tx->arena, params.envid);
    if (params.has_auth)
        tx->params.auth = arena_copy(&tx->arena, params.auth);
    s->tx = tx;
    session_ask(s, PHASE_MAIL, mail_go_on, mail_refused);
}

/* ---- RCPT ---- */

static bool recipient_add(struct transaction *tx, struct recipient *r)
{
    if (tx->recipient_count == tx->recipient_cap) {
        size_t cap = tx->recipient_cap ? tx->recipient_cap * 2 : 8;
        struct recipient **list = arena_alloc(&tx->arena, cap * sizeof *list);
        if (!list)
            return false;
        if (tx->recipient_count)
            memcpy(list, tx->recipients, tx->recipient_count * sizeof *list);
        tx->recipients = list;
        tx->recipient_cap = cap;
    }
    tx->recipients[tx->recipient_count++] = r;
    return true;
}

static void rcpt_go_on(struct session *s)
{
    struct transaction *tx = s->tx;
    struct recipient *r = tx->at_hand;
    tx->at_hand = NULL;
    if (refuse_lost(s)) { /* while rules were asked */
        tx->refused_count++;
        return;
    }
    r->slot = slot_add(tx);
    if (r->slot && recipient_add(tx, r)) {
        if (mta_rcpt(&tx->exchange, &r->path, &r->params))
            return;
        tx->recipient_count--;
    }
    if (r->slot)
        slot_fill_reply(r->slot, REPLY_LOCAL_TROUBLE);
    else
        session_close(s, "no memory for a recipient");
    if (s->tx)
        slots_flush(s);
}

/* What there is no memory for is only counted. */
static void note_refused(struct transaction *tx, const struct recipient *r, const struct policy_answer *answer)
{
    struct refused_recipient *refused = r ? arena_alloc(&tx->arena, sizeof *refused) : NULL;
    tx->refused_count++;
    if (!refused)
        return;
    refused->address = r->path.whole;
    refused->by = answer->by;
    refused->code = answer->code;
    *tx->refused_end = refused;
    tx->refused_end = &refused->next;
}

static void rcpt_refused(struct session *s, const struct policy_answer *answer)
{
    struct transaction *tx = s->tx;
    note_refused(tx, tx->at_hand, answer);
    tx->at_hand = NULL;
    tx->last_refusal = arena_alloc(&tx->arena, sizeof *tx->last_refusal);
    if (tx->last_refusal) {
        *tx->last_refusal = (struct slot){.code = answer->code, .text = answer->text};
        memcpy(tx->last_refusal->enhanced, answer->enhanced, sizeof answer->enhanced);
    }
    tx->last_refused_by = answer->by;
    if (answer->verdict == POLICY_DISCONNECT || answer->verdict == POLICY_DROP || answer->verdict == POLICY_BAN)
        tx_decide_policy(tx, "rcpt", answer);
    if (!session_refuse_by_policy(s, answer) && !answer->by_limit)
        session_count_junk(s, JUNK_RECIPIENT);
}

void rcpt_proceed(struct session *s, const struct smtp_command *command)
{
    struct transaction *tx = s->tx;
    struct smtp_path path;
    struct smtp_rcpt_params params;
    struct str rest, name;
    enum smtp_path_result fault = smtp_path_parse(command->argument, SMTP_FORWARD_PATH, &path, &rest);
    if (fault != SMTP_PATH_OK) {
        session_refuse(s, REPLY_BAD_RECIPIENT, str_of_z(smtp_path_fault(fault)));
        return;
    }
    enum smtp_params_result result = smtp_rcpt_params_parse(rest, s->offered, &params, &name);
    if (result != SMTP_PARAMS_OK) {
        refuse_params(s, result, name);
        return;
    }
    if (path.needs_utf8 && !tx->params.smtputf8) {
        session_refuse(s, REPLY_NEEDS_SMTPUTF8);
        return;
    }
    if (refuse_lost(s)) {
        tx->refused_count++;
        session_count_junk(s, JUNK_RECIPIENT);
        return;
    }
    if (tx->recipient_count >= s->worker->config->max_recipients) {
        char digits[24];
        int n = snprintf(digits, sizeof digits, "%u", s->worker->config->max_recipients);
        tx->refused_count++;
        session_say(s, REPLY_TOO_MANY_RECIPIENTS, str_of(digits, (size_t)n));
        session_count_junk(s, JUNK_RECIPIENT);
        return;
    }
    struct recipient *r = arena_alloc(&tx->arena, sizeof *r);
    if (!r || !copy_path(&tx->arena, &path)) {
        session_say(s, REPLY_LOCAL_TROUBLE);
        return;
    }
    *r = (struct recipient){.path = path, .params = params};
    if (params.orcpt.ptr)
        r->params.orcpt = arena_copy(&tx->arena, params.orcpt);
    tx->at_hand = r;
    tx->asked = &tx->at_hand;
    tx->asked_count = 1;
    session_ask(s, PHASE_RCPT, rcpt_go_on, rcpt_refused);
}

/* ---- DATA ---- */

/* The rules speak before the MTA hears of DATA. The limits are reserved beside its round trip, where their store is one
 * away, too: a mail that they refuse costs the MTA's connection (an unfinished DATA is given up by dropping it), but
 * most are refused at MAIL or RCPT already, and each that passes is one round trip faster. */

void data_ask_mta(struct session *s)
{
    struct transaction *tx = s->tx;
    if (tx->has_failed || tx->data_was_sent)
        return;
    tx->data_was_sent = true;
    mta_data(&tx->exchange);
}

static void data_go_on(struct session *s)
{
    if (refuse_lost(s)) { /* while rules were asked */
        data_is_over(s);
        return;
    }
    if (s->tx->data_was_taken) {
        body_begin(s);
        return;
    }
    session_await(s, WAIT_DATA);
    data_ask_mta(s);
}

static void data_refused(struct session *s, const struct policy_answer *answer)
{
    tx_decide_policy(s->tx, "data", answer);
    if (session_refuse_by_policy(s, answer))
        return;
    if (s->flags & SESSION_IN_INPUT) /* at once: nothing can have come meanwhile */
        tx_end(s);
    else
        data_is_over(s);
}

void data_proceed(struct session *s, const struct smtp_command *command)
{
    struct transaction *tx = s->tx;
    if (command->argument.len) {
        session_refuse(s, REPLY_NO_ARGUMENT, STR("DATA"));
        return;
    }
    if (refuse_lost(s)) {
        tx_end(s);
        return;
    }
    if (tx->accepted_count == 0) {
        if (tx->refused_count) { /* perhaps sent before the refusals were heard */
            session_say(s, REPLY_NO_RECIPIENTS);
            session_count_junk(s, JUNK_COMMAND);
        } else {
            session_refuse(s, REPLY_RCPT_FIRST);
        }
        return;
    }
    tx->asked = arena_alloc(&tx->arena, tx->accepted_count * sizeof *tx->asked);
    if (!tx->asked) {
        tx_decide_reply(tx, "data", REPLY_LOCAL_TROUBLE);
        session_say(s, REPLY_LOCAL_TROUBLE);
        tx_end(s);
        return;
    }
    tx->asked_count = 0;
    for (size_t i = 0; i < tx->recipient_count; i++)
        if (tx->recipients[i]->code < 300)
            tx->asked[tx->asked_count++] = tx->recipients[i];
    session_ask(s, PHASE_DATA, data_go_on, data_refused);
}
