/*
 * resolve.c - c-ares on our loop. See resolve.h.
 *
 *   resolve_start ─▶ c-ares ─▶ its sockets and its clock (watched here) ─▶ on_addresses ─▶ task ─▶ on_answer
 *
 * c-ares answers whenever it likes, from inside its own functions and ours, and cannot cancel one question. So a
 * question is two things: what the owner waits for, and what c-ares still holds. An answer is put down and told from a
 * task; a question that nobody waits for any more lives on silently until c-ares lets go of it.
 */
#include "net/resolve.h"

#include <ares.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Each server is asked twice, after 2 and 4 seconds: the owner's deadline is nearly always shorter. */
enum { TRY_MS = 2000, TRIES = 2 };

struct resolver {
    ares_channel channel;
    struct loop *loop;
    struct timer clock; /* when c-ares next wants to look at the time */
    struct list sockets, queries;
};

/* One of c-ares's descriptors. */
struct resolver_socket {
    struct list node;
    struct resolver *resolver;
    struct watch watch;
    int fd;
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

/* ---- c-ares's descriptors and clock ---- */

static void set_clock(struct resolver *r)
{
    struct timeval wait;
    if (!ares_timeout(r->channel, NULL, &wait)) {
        timer_cancel(&r->clock);
        return;
    }
    /* Rounded up: c-ares would find nothing to do a fraction of a millisecond early. */
    int64_t wait_ms = (int64_t)wait.tv_sec * 1000 + wait.tv_usec / 1000 + 1;
    timer_start(&r->clock, loop_now_ms(r->loop) + wait_ms);
}

static void on_clock(void *arg)
{
    struct resolver *r = arg;
    ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    set_clock(r);
}

static void on_socket(void *arg, bool readable, bool writable)
{
    struct resolver_socket *s = arg;
    struct resolver *r = s->resolver; /* s may be gone afterwards */
    int fd = s->fd;
    ares_process_fd(r->channel, readable ? fd : ARES_SOCKET_BAD, writable ? fd : ARES_SOCKET_BAD);
    set_clock(r);
}

static struct resolver_socket *find_socket(struct resolver *r, int fd)
{
    LIST_EACH(node, &r->sockets)
    {
        struct resolver_socket *s = CONTAINER_OF(node, struct resolver_socket, node);
        if (s->fd == fd)
            return s;
    }
    return NULL;
}

/* c-ares says what it wants to know of a descriptor; nothing: it is about to be closed. Without memory for the watch
 * the question runs into its deadline. */
static void on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct resolver *r = arg;
    struct resolver_socket *s = find_socket(r, fd);
    if (!s && (readable || writable) && (s = calloc(1, sizeof *s))) {
        s->resolver = r;
        s->fd = fd;
        watch_init(&s->watch, r->loop, fd, on_socket, s);
        list_add_last(&r->sockets, &s->node);
    }
    if (!s)
        return;
    watch_set(&s->watch, readable, writable);
    if (!readable && !writable) {
        list_remove(&s->node);
        free(s);
    }
}

/* ---- the resolver ---- */

struct resolver *resolver_new(struct loop *l, struct err *err)
{
    struct resolver *r = calloc(1, sizeof *r);
    if (!r) {
        err_no_memory(err);
        return NULL;
    }
    r->loop = l;
    timer_init(&r->clock, l, on_clock, r);
    list_init(&r->sockets);
    list_init(&r->queries);

    char hosts_then_dns[] = "fb";
    struct ares_options options = {.timeout = TRY_MS,
                                   .tries = TRIES,
                                   .lookups = hosts_then_dns,
                                   .sock_state_cb = on_socket_state,
                                   .sock_state_cb_data = r};
    int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB;
    int status = ares_library_init(ARES_LIB_INIT_ALL);
    if (status == ARES_SUCCESS) {
        status = ares_init_options(&r->channel, &options, mask);
        if (status == ARES_SUCCESS)
            return r;
        ares_library_cleanup();
    }
    err_set(err, "cannot set up name resolution: %s", ares_strerror(status));
    free(r);
    return NULL;
}

bool resolver_use_servers(struct resolver *r, const char *servers, struct err *err)
{
    int status = ares_set_servers_ports_csv(r->channel, servers);
    return status == ARES_SUCCESS || err_set(err, "%s: no list of DNS servers: %s", servers, ares_strerror(status));
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
    ares_destroy(r->channel); /* calls back for what it still held, and lets go of its descriptors */
    ares_library_cleanup();
    timer_cancel(&r->clock);
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
    if (status == ARES_SUCCESS && found)
        for (struct ares_addrinfo_node *node = found->nodes; node; node = node->ai_next)
            add_address(&q->answer, node->ai_addr);
    if (q->answer.count == 0)
        snprintf(q->answer.error, sizeof q->answer.error, "%s",
                 error_of(status == ARES_SUCCESS ? ARES_ENODATA : status));
    ares_freeaddrinfo(found);
    task_defer(q->resolver->loop, &q->tell);
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
        q->is_in_cares = true;
        struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
        ares_getaddrinfo(r->channel, q->host, NULL, &hints, on_addresses, q);
        set_clock(r);
    }
    return q;
}

void resolve_cancel(struct resolve_query *q)
{
    abandon(q);
}
