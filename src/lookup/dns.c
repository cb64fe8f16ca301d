/*
 * dns.c - one question, one answer. See dns.h.
 *
 * c-ares cannot cancel one question: a question that nobody waits for any more lives on silently until c-ares lets go
 * of it, and counts until then.
 */
#include "lookup/dns.h"

#include <stdlib.h>

#include "net/dns_channel.h"

/* PROTOCOLS.md 6: each server is asked twice, for 650 and 1300 ms, so that a lost packet costs no deadline of 2 s. */
enum { TRY_MS = 650, TRIES = 2, CLASS_IN = 1 };
enum { SILENT_NEGATIVE_MS = 60000 };

struct dns {
    struct dns_channel *channel;
    struct loop *loop;
    struct list questions;
    size_t count;
};

struct dns_question {
    struct list node;
    struct dns *dns;
    struct timer deadline;
    struct task later;                                          /* asks again, or tells of a refusal */
    void (*on_reply)(void *arg, const struct dns_reply *reply); /* NULL: nobody waits any more */
    void *arg;
    bool is_in_cares; /* its callback will still come */
    bool is_asking;   /* inside of ares_query */
    int refusal;      /* what came from inside of it; ARES_SUCCESS: nothing */
    enum dns_type type;
    char name[DNS_NAME_MAX];
};

struct dns *dns_new(struct loop *l, const struct dns_options *options, struct err *err)
{
    struct dns_channel_options of_channel = {
        .lookups = "b", .try_ms = TRY_MS, .tries = TRIES, .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES};
    struct dns *d = calloc(1, sizeof *d);
    if (!d) {
        err_no_memory(err);
        return NULL;
    }
    if (options) {
        of_channel.resolv_conf = options->resolv_conf;
        of_channel.port = options->port;
    }
    d->loop = l;
    list_init(&d->questions);
    d->channel = dns_channel_new(l, &of_channel, err);
    if (d->channel && (!options || !options->servers || dns_channel_use_servers(d->channel, options->servers, err)))
        return d;
    dns_channel_free(&d->channel);
    free(d);
    return NULL;
}

static void free_question(struct dns_question *q)
{
    timer_cancel(&q->deadline);
    task_cancel(&q->later);
    list_remove(&q->node);
    q->dns->count--;
    free(q);
}

void dns_forget(struct dns_question *q)
{
    if (!q)
        return;
    q->on_reply = NULL;
    timer_cancel(&q->deadline);
    task_cancel(&q->later);
    if (!q->is_in_cares)
        free_question(q);
}

void dns_free(struct dns **dns)
{
    struct dns *d = *dns;
    if (!d)
        return;
    LIST_EACH(node, &d->questions)
    {
        dns_forget(CONTAINER_OF(node, struct dns_question, node));
    }
    dns_channel_free(&d->channel); /* calls back for what c-ares still held, which frees it */
    free(d);
    *dns = NULL;
}

/* ---- answers ---- */

static const char *error_of(int status)
{
    switch (status) {
    case ARES_ETIMEOUT:
        return "no answer from DNS in time";
    case ARES_ECONNREFUSED:
    case ARES_ESERVFAIL:
    case ARES_EREFUSED:
        return "no DNS server has an answer"; /* c-ares asked all of them, and says the first of these of all reasons */
    default:
        return ares_strerror(status);
    }
}

static void deliver(struct dns_question *q, int status, struct str message)
{
    void (*on_reply)(void *, const struct dns_reply *) = q->on_reply;
    void *arg = q->arg;
    struct dns_reply reply = {.status = DNS_FAILED, .message = message};
    if (status == ARES_SUCCESS)
        reply.status = DNS_FOUND;
    else if (status == ARES_ENOTFOUND || status == ARES_ENODATA)
        reply.status = DNS_NOTHING;
    else
        reply.error = error_of(status);
    dns_forget(q);
    on_reply(arg, &reply);
}

static void on_deadline(void *arg)
{
    deliver(arg, ARES_ETIMEOUT, STR_NONE);
}

/* Its servers have changed; or it has given up, but who asked has more time than it took. */
static bool should_ask_again(const struct dns_question *q, int status)
{
    return (status == ARES_EDESTRUCTION && dns_channel_is_open(q->dns->channel)) || status == ARES_ETIMEOUT;
}

static void on_cares(void *arg, int status, int timeouts, unsigned char *message, int len)
{
    (void)timeouts;
    struct dns_question *q = arg;
    q->is_in_cares = false;
    if (!q->on_reply)
        free_question(q);
    else if (q->is_asking || should_ask_again(q, status)) {
        q->refusal = q->is_asking ? status : ARES_SUCCESS;
        task_defer(q->dns->loop, &q->later);
    } else {
        deliver(q, status, message && len > 0 ? str_of((const char *)message, (size_t)len) : STR_NONE);
    }
}

/* ---- questions ---- */

static void ask(struct dns_question *q)
{
    q->is_in_cares = q->is_asking = true;
    ares_query(dns_channel_get(q->dns->channel), q->name, CLASS_IN, (int)q->type, on_cares, q);
    q->is_asking = false;
}

static void on_later(void *arg)
{
    struct dns_question *q = arg;
    if (q->refusal != ARES_SUCCESS)
        deliver(q, q->refusal, STR_NONE);
    else
        ask(q);
}

struct dns_question *dns_ask(struct dns *d, const char *name, enum dns_type type, int64_t deadline_ms,
                             void (*on_reply)(void *arg, const struct dns_reply *reply), void *arg)
{
    struct dns_question *q = d->count < DNS_MAX_QUESTIONS ? calloc(1, sizeof *q) : NULL;
    if (!q)
        return NULL;
    q->dns = d;
    q->on_reply = on_reply;
    q->arg = arg;
    q->type = type;
    str_copy_into(q->name, sizeof q->name, str_of_z(name));
    timer_init(&q->deadline, d->loop, on_deadline, q);
    task_init(&q->later, on_later, q);
    list_add_last(&d->questions, &q->node);
    d->count++;
    timer_start(&q->deadline, deadline_ms);
    ask(q);
    return q;
}

int64_t dns_reply_keep_ms(const struct dns_reply *reply, int64_t max_ms)
{
    uint32_t seconds;
    if (dns_message_ttl(reply->message, &seconds))
        return MIN_OF((int64_t)seconds * 1000, max_ms);
    return MIN_OF(SILENT_NEGATIVE_MS, max_ms);
}
