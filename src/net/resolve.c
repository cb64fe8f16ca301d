/*
 * resolve.c - addresses of a name. See resolve.h.
 *
 *   resolve_start ─▶ c-ares (net/dns_channel) ─▶ on_addresses ─▶ task ─▶ on_answer
 *
 * c-ares answers whenever it likes, from inside its own functions and ours, and cannot cancel one question. So a
 * question is two things: what the owner waits for, and what c-ares still holds. An answer is put down and told from a
 * task; a question that nobody waits for any more lives on silently until c-ares lets go of it.
 */
#include "net/resolve.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/dns_channel.h"

/* Each server is asked twice, after 2 and 4 seconds: the owner's deadline is nearly always shorter. */
enum { TRY_MS = 2000, TRIES = 2 };

struct resolver {
    struct dns_channel *channel;
    struct loop *loop;
    struct list queries;
};

struct resolve_query {
    struct list node;
    struct resolver *resolver;
    struct timer deadline;
    struct task tell;
    bool is_in_cares;                                            /* its callback will still come */
    void (*on_answer)(void *arg, const struct resolved *answer); /* NULL: nobody waits any more */
    void *arg;
    struct resolved answer;
    char host[256];
};

/* ---- the resolver ---- */

struct resolver *resolver_new(struct loop *l, struct err *err)
{
    static const struct dns_channel_options OPTIONS = {.lookups = "fb", .try_ms = TRY_MS, .tries = TRIES};
    struct resolver *r = calloc(1, sizeof *r);
    if (!r) {
        err_no_memory(err);
        return NULL;
    }
    r->loop = l;
    list_init(&r->queries);
    r->channel = dns_channel_new(l, &OPTIONS, err);
    if (!r->channel) {
        free(r);
        return NULL;
    }
    return r;
}

bool resolver_use_servers(struct resolver *r, const char *servers, struct err *err)
{
    return dns_channel_use_servers(r->channel, servers, err);
}

static void free_query(struct resolve_query *q)
{
    timer_cancel(&q->deadline);
    task_cancel(&q->tell);
    list_remove(&q->node);
    free(q);
}

void resolver_free(struct resolver **resolver)
{
    struct resolver *r = *resolver;
    if (!r)
        return;
    LIST_EACH(node, &r->queries)
    {
        resolve_cancel(CONTAINER_OF(node, struct resolve_query, node));
    }
    dns_channel_free(&r->channel); /* calls back for what it still held */
    free(r);
    *resolver = NULL;
}

/* ---- questions ---- */

/* Nobody waits any more: gone now, or when c-ares lets go of it. */
static void abandon(struct resolve_query *q)
{
    q->on_answer = NULL;
    timer_cancel(&q->deadline);
    task_cancel(&q->tell);
    if (!q->is_in_cares)
        free_query(q);
}

static void tell(void *arg)
{
    struct resolve_query *q = arg;
    void (*on_answer)(void *, const struct resolved *) = q->on_answer;
    void *owner = q->arg;
    struct resolved answer = q->answer;
    abandon(q);
    on_answer(owner, &answer);
}

static void on_deadline(void *arg)
{
    struct resolve_query *q = arg;
    q->answer = (struct resolved){.count = 0};
    snprintf(q->answer.error, sizeof q->answer.error, "no answer from DNS in time");
    tell(q);
}

static void add_address(struct resolved *answer, const struct sockaddr *from)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    uint16_t port;
    if (answer->count == RESOLVE_MAX_ADDRESSES)
        return;
    if (from->sa_family == AF_INET)
        memcpy(&address, from, sizeof(struct sockaddr_in));
    else if (from->sa_family == AF_INET6)
        memcpy(&address, from, sizeof(struct sockaddr_in6));
    struct ip ip;
    ip_from_sockaddr(&address, &ip, &port);
    for (size_t i = 0; i < answer->count; i++)
        if (ip_equal(&answer->addresses[i], &ip))
            return;
    if (ip.family != ADDR_NONE)
        answer->addresses[answer->count++] = ip;
}

static const char *error_of(int status)
{
    switch (status) {
    case ARES_ENOTFOUND:
        return "there is no such name";
    case ARES_ENODATA:
        return "the name has no address";
    case ARES_ETIMEOUT:
        return "no answer from DNS in time";
    case ARES_ECONNREFUSED: /* also after SERVFAIL of the last one */
    case ARES_ESERVFAIL:
        return "no DNS server has an answer";
    default:
        return ares_strerror(status);
    }
}

static void ask(struct resolve_query *q);

static void on_addresses(void *arg, int status, int timeouts, struct ares_addrinfo *found)
{
    (void)timeouts;
    struct resolve_query *q = arg;
    q->is_in_cares = false;
    if (!q->on_answer) {
        ares_freeaddrinfo(found);
        free_query(q);
        return;
    }
    if (status == ARES_EDESTRUCTION && dns_channel_is_open(q->resolver->channel)) {
        ask(q); /* the servers have changed */
        return;
    }
    if (status == ARES_SUCCESS && found)
        for (struct ares_addrinfo_node *node = found->nodes; node; node = node->ai_next)
            add_address(&q->answer, node->ai_addr);
    if (q->answer.count == 0)
        snprintf(q->answer.error, sizeof q->answer.error, "%s",
                 error_of(status == ARES_SUCCESS ? ARES_ENODATA : status));
    ares_freeaddrinfo(found);
    task_defer(q->resolver->loop, &q->tell);
}

static void ask(struct resolve_query *q)
{
    struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    q->is_in_cares = true;
    ares_getaddrinfo(dns_channel_get(q->resolver->channel), q->host, NULL, &hints, on_addresses, q);
}

/* What needs no DNS: an address, and localhost (RFC 6761 6.3), whatever /etc/hosts may lack. */
static bool answer_at_once(struct resolve_query *q)
{
    struct str host = str_of_z(q->host);
    if (ip_parse(host, &q->answer.addresses[0])) {
        q->answer.count = 1;
        return true;
    }
    if (!str_equal_nocase(host, STR("localhost")) && !str_ends_nocase(host, STR(".localhost")))
        return false;
    q->answer.addresses[0] = (struct ip){.family = ADDR_IPV4, .bytes = {127, 0, 0, 1}};
    q->answer.addresses[1] = (struct ip){.family = ADDR_IPV6, .bytes = {[15] = 1}};
    q->answer.count = 2;
    return true;
}

struct resolve_query *resolve_start(struct resolver *r, const char *host, int64_t deadline_ms,
                                    void (*on_answer)(void *arg, const struct resolved *answer), void *arg)
{
    struct resolve_query *q = calloc(1, sizeof *q);
    if (!q)
        return NULL;
    q->resolver = r;
    q->on_answer = on_answer;
    q->arg = arg;
    str_copy_into(q->host, sizeof q->host, str_of_z(host));
    timer_init(&q->deadline, r->loop, on_deadline, q);
    task_init(&q->tell, tell, q);
    list_add_last(&r->queries, &q->node);
    if (strlen(host) >= sizeof q->host) {
        snprintf(q->answer.error, sizeof q->answer.error, "the name is too long");
        task_defer(r->loop, &q->tell);
    } else if (answer_at_once(q)) {
        task_defer(r->loop, &q->tell);
    } else {
        timer_start(&q->deadline, deadline_ms);
        ask(q);
    }
    return q;
}

void resolve_cancel(struct resolve_query *q)
{
    abandon(q);
}
