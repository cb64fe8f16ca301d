/*
 * event.c - what a session writes down: OPERATIONS.md "Events". A mail's members are the rows of event.def, in the
 * order in which they stand in the line.
 */
#include "session/session.h"

#include <stdio.h>

static void write_client(struct session *s)
{
    struct event_log *log = s->worker->events;
    char ip[IP_TEXT_MAX];
    event_str(log, "listener", s->listener->name);
    event_str(log, "client", ip_format(&s->client, ip));
    event_uint(log, "port", s->port);
    event_z(log, "helo", s->helo);
    event_str(log, "tls", conn_tls_version(&s->conn));
    event_str(log, "cipher", conn_tls_cipher(&s->conn));
}

void session_event_begin(struct session *s, const char *event)
{
    char id[SESSION_ID_MAX];
    event_begin(s->worker->events, event, loop_wall_us(s->worker->loop));
    event_str(s->worker->events, "id", s->tx ? session_mail_id(s, s->tx->number, id) : session_id(s, id));
    write_client(s);
}

static const char *const POLICY_VERDICTS[] = {"accept", "reject", "defer", "disconnect", "drop", "ban"};

static void write_refusal(struct event_log *log, const struct policy_answer *answer)
{
    event_z(log, "verdict", POLICY_VERDICTS[answer->verdict]);
    if (answer->code) {
        event_uint(log, "code", (uint64_t)answer->code);
        event_z(log, "enhanced", answer->enhanced);
        event_str(log, "text", answer->text);
    }
    event_str(log, "by", answer->by);
}

void session_event_connect(struct session *s, const struct policy_answer *answer)
{
    session_event_begin(s, "connect");
    write_refusal(s->worker->events, answer);
    event_end(s->worker->events);
}

void session_event_auth(struct session *s, const char *result, struct str user, const struct policy_answer *refusal)
{
    struct event_log *log = s->worker->events;
    session_event_begin(s, "auth");
    if (user.len)
        event_str(log, "user", user);
    event_z(log, "auth", s->mechanism);
    event_z(log, "result", result);
    if (refusal) {
        event_z(log, "at", s->user ? "login" : "auth");
        write_refusal(log, refusal);
    }
    event_end(log);
}

void session_event_close(struct session *s, const char *reason)
{
    struct event_log *log = s->worker->events;
    session_event_begin(s, "close");
    event_z(log, "user", s->user);
    event_uint(log, "mails", s->messages);
    event_uint(log, "commands", s->commands);
    event_uint(log, "bytes", s->bytes);
    event_ms(log, "seconds", (loop_wall_us(s->worker->loop) - s->opened_us) / 1000);
    event_z(log, "reason", reason);
    event_end(log);
}

/* ---- the mail ---- */

/* A line has a bound (EVENT_LINE_MAX_BYTES), and one that is too long is lost as a whole: what could be long in it is
 * cut. A byte of a text takes six in the line at most. */
enum { TEXT_MAX_BYTES = 1024, LIST_MAX_BYTES = 24 * 1024 };

static void put_text(struct event_log *log, const char *name, struct str text)
{
    event_str(log, name, str_sub(text, 0, TEXT_MAX_BYTES));
}

/* Those that were sent on, then those that were not; as many as there is room for: accepted and refused count all. */
static void put_recipients(struct event_log *log, const struct transaction *tx)
{
    size_t end = buf_len(&log->line) + LIST_MAX_BYTES;
    event_open_array(log, "recipients");
    for (size_t i = 0; i < tx->recipient_count && buf_len(&log->line) < end; i++)
        event_str(log, NULL, tx->recipients[i]->path.whole);
    for (const struct refused_recipient *r = tx->refused; r && buf_len(&log->line) < end; r = r->next)
        event_str(log, NULL, r->address);
    event_close_array(log);
}

static void put_refusal(struct event_log *log, struct str address, int code, struct str by)
{
    event_open_object(log, NULL);
    event_str(log, "recipient", address);
    if (code)
        event_uint(log, "code", (uint64_t)code);
    event_str(log, "by", by);
    event_close_object(log);
}

/* Which of the recipients were refused: without a `by`, by the MTA. In the order of recipients. */
static void put_refusals(struct event_log *log, const struct transaction *tx)
{
    size_t end = buf_len(&log->line) + LIST_MAX_BYTES / 8;
    if (tx->refused_count == 0)
        return;
    event_open_array(log, "refusals");
    for (size_t i = 0; i < tx->recipient_count && buf_len(&log->line) < end; i++)
        if (tx->recipients[i]->code >= 300)
            put_refusal(log, tx->recipients[i]->path.whole, tx->recipients[i]->code, STR_NONE);
    for (const struct refused_recipient *r = tx->refused; r && buf_len(&log->line) < end; r = r->next)
        put_refusal(log, r->address, r->code, r->by);
    event_close_array(log);
}

static void put_would(struct event_log *log, const struct transaction *tx)
{
    size_t end = buf_len(&log->line) + LIST_MAX_BYTES / 4;
    event_open_array(log, "would");
    for (const struct policy_effect *e = tx->effects; e && buf_len(&log->line) < end; e = e->next) {
        if (e->kind != POLICY_EFFECT_WOULD)
            continue;
        event_open_object(log, NULL);
        event_str(log, "by", e->by);
        event_str(log, "action", e->action);
        event_close_object(log);
    }
    event_close_array(log);
}

/* As far as it was read; before that, as it was announced. */
static uint64_t size_of(const struct transaction *tx)
{
    return tx->dot.size_bytes || !tx->params.has_size ? tx->dot.size_bytes : tx->params.size_bytes;
}

static bool has_tag(const struct rule_tag *from, const struct rule_tag *to, struct str name)
{
    while (from != to && !str_equal(from->name, name))
        from = from->next;
    return from != to;
}

static void put_tag(struct event_log *log, const struct rule_tag *tag)
{
    char name[256];
    str_copy_into(name, sizeof name, tag->name);
    put_text(log, name, tag->value.ptr ? tag->value : STR(""));
}

/* Each as a rule would see it: the mail's own before the connection's, the later before the earlier. */
static void put_tags(struct event_log *log, const struct session *s)
{
    const struct rule_tag *of_mail = s->tx->policy.tags, *of_connection = s->policy.tags;
    size_t end = buf_len(&log->line) + LIST_MAX_BYTES / 4;
    event_open_object(log, "tags");
    for (const struct rule_tag *tag = of_mail; tag && buf_len(&log->line) < end; tag = tag->next)
        put_tag(log, tag);
    for (const struct rule_tag *tag = of_connection; tag && buf_len(&log->line) < end; tag = tag->next)
        if (!has_tag(of_mail, NULL, tag->name) && !has_tag(of_connection, tag, tag->name))
            put_tag(log, tag);
    event_close_object(log);
}

static void put_limits(struct event_log *log, const struct transaction *tx)
{
    size_t end = buf_len(&log->line) + LIST_MAX_BYTES / 4;
    event_open_array(log, "limits");
    for (const struct policy_count *c = tx->policy.counts; c && buf_len(&log->line) < end; c = c->next) {
        event_open_object(log, NULL);
        event_str(log, "name", c->name);
        event_str(log, "key", c->key);
        event_uint(log, "period", c->period_s);
        event_uint(log, "limit", c->limit);
        event_uint(log, "used", c->used);
        event_close_object(log);
    }
    event_close_array(log);
}

/* In millionths, written as a number that says no more than it must: 2, -0.5. */
static void put_score(struct event_log *log, const struct session *s)
{
    int64_t score = s->policy.score + s->tx->policy.score;
    char text[32];
    if (score == 0)
        return;
    uint64_t size = score < 0 ? (uint64_t)-score : (uint64_t)score;
    int len = snprintf(text, sizeof text, "%s%llu.%06llu", score < 0 ? "-" : "", (unsigned long long)(size / 1000000),
                       (unsigned long long)(size % 1000000));
    while (text[len - 1] == '0')
        len--;
    len -= text[len - 1] == '.';
    event_number(log, "score", str_of(text, (size_t)len));
}

/* Of a mail whose limits were not asked about, or refused it by what was known: who would have been asked. */
static const char *store_of(const struct session *s)
{
    const char *decided_by = s->tx->policy.decided_by;
    return decided_by ? decided_by : store_decides(s->worker->policy.limiter->store);
}

static void put_times(struct event_log *log, const struct session *s)
{
    const struct transaction *tx = s->tx;
    event_open_object(log, "ms");
    if (s->tls_us)
        event_ms(log, "tls", s->tls_us);
    if (s->user)
        event_ms(log, "auth", s->auth_us);
    if (tx->policy.waited_us)
        event_ms(log, "store", tx->policy.waited_us);
    if (tx->answered_us)
        event_ms(log, "relay", tx->answered_us - tx->dot_us);
    event_ms(log, "total", loop_wall_us(s->worker->loop) - tx->begun_us);
    event_close_object(log);
}

static const char *const VERDICT_NAMES[] = {
    [MAIL_OPEN] = "abort",     [MAIL_ACCEPTED] = "accept",         [MAIL_REJECTED] = "reject",
    [MAIL_DEFERRED] = "defer", [MAIL_DISCONNECTED] = "disconnect", [MAIL_DROPPED] = "drop",
    [MAIL_ABORTED] = "abort",  [MAIL_UNKNOWN] = "unknown",         [MAIL_BANNED] = "ban",
};

void session_event_mail(struct session *s)
{
    const struct transaction *tx = s->tx;
    struct event_log *log = s->worker->events;
    session_event_begin(s, "mail");
#define MEMBER(name, write) write;
#include "session/event.def"
#undef MEMBER
    event_end(log);
}
