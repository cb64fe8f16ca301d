/* dns_channel.c - c-ares's descriptors, clock and lives. See dns_channel.h. */
#include "net/dns_channel.h"

#include <stdlib.h>
#include <sys/stat.h>

/* How often resolv.conf is looked at, at most: one stat(2). */
enum { LOOK_EVERY_MS = 5000 };

static const char SYSTEM_RESOLV_CONF[] = "/etc/resolv.conf";

struct dns_channel {
    ares_channel ares;
    struct loop *loop;
    struct timer clock;    /* when c-ares next wants to look at the time */
    struct task set_clock; /* after what this turn asked */
    struct list sockets;
    struct dns_channel_options options;
    struct stat seen; /* resolv.conf, when this life began */
    int64_t look_at_ms;
    bool has_own_servers, is_closing;
    unsigned depth; /* c-ares is at work: its channel must stay */
};

/* One of c-ares's descriptors. */
struct channel_socket {
    struct list node;
    struct dns_channel *channel;
    struct watch watch;
    int fd;
};

/* ---- descriptors and clock ---- */

static void set_clock(void *arg)
{
    struct dns_channel *c = arg;
    struct timeval wait;
    if (!ares_timeout(c->ares, NULL, &wait)) {
        timer_cancel(&c->clock);
        return;
    }
    /* Rounded up: c-ares would find nothing to do a fraction of a millisecond early. */
    int64_t wait_ms = (int64_t)wait.tv_sec * 1000 + wait.tv_usec / 1000 + 1;
    timer_start(&c->clock, loop_now_ms(c->loop) + wait_ms);
}

static void process(struct dns_channel *c, ares_socket_t readable, ares_socket_t writable)
{
    c->depth++;
    ares_process_fd(c->ares, readable, writable);
    c->depth--;
    task_defer(c->loop, &c->set_clock);
}

static void on_clock(void *arg)
{
    process(arg, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

static void on_socket(void *arg, bool readable, bool writable)
{
    struct channel_socket *s = arg; /* may be gone afterwards */
    process(s->channel, readable ? s->fd : ARES_SOCKET_BAD, writable ? s->fd : ARES_SOCKET_BAD);
}

static struct channel_socket *find_socket(struct dns_channel *c, int fd)
{
    LIST_EACH(node, &c->sockets)
    {
        struct channel_socket *s = CONTAINER_OF(node, struct channel_socket, node);
        if (s->fd == fd)
            return s;
    }
    return NULL;
}

/* c-ares says what it wants to know of a descriptor; nothing: it is about to be closed. Without memory for the watch
 * the question runs into its deadline. */
static void on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct dns_channel *c = arg;
    struct channel_socket *s = find_socket(c, fd);
    if (!s && (readable || writable) && (s = calloc(1, sizeof *s))) {
        s->channel = c;
        s->fd = fd;
        watch_init(&s->watch, c->loop, fd, on_socket, s);
        list_add_last(&c->sockets, &s->node);
    }
    if (!s)
        return;
    watch_set(&s->watch, readable, writable);
    if (!readable && !writable) {
        list_remove(&s->node);
        free(s);
    }
}

/* ---- lives ---- */

/* Before c-ares reads it: a change in between is seen the next time. */
static bool look(struct dns_channel *c, struct stat *found)
{
    c->look_at_ms = loop_now_ms(c->loop) + LOOK_EVERY_MS;
    return stat(c->options.resolv_conf ? c->options.resolv_conf : SYSTEM_RESOLV_CONF, found) == 0;
}

static int begin_life(struct dns_channel *c, ares_channel *ares)
{
    struct ares_options options = {.flags = c->options.flags,
                                   .timeout = c->options.try_ms,
                                   .tries = c->options.tries,
                                   .lookups = (char *)(uintptr_t)c->options.lookups, /* copied */
                                   .udp_port = c->options.port,
                                   .tcp_port = c->options.port,
                                   .sock_state_cb = on_socket_state,
                                   .sock_state_cb_data = c};
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB;
    if (c->options.port)
        mask |= ARES_OPT_UDP_PORT | ARES_OPT_TCP_PORT;
    if (c->options.resolv_conf) {
        options.resolvconf_path = (char *)(uintptr_t)c->options.resolv_conf; /* copied */
        mask |= ARES_OPT_RESOLVCONF;
    }
    return ares_init_options(ares, &options, mask);
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* A file that is gone for the moment is no reason to give up servers that work; nor is a new life that cannot begin. */
static void look_at_resolv_conf(struct dns_channel *c)
{
    struct stat now;
    ares_channel fresh;
    if (c->has_own_servers || loop_now_ms(c->loop) < c->look_at_ms)
        return;
    if (!look(c, &now) || is_same_file(&now, &c->seen) || begin_life(c, &fresh) != ARES_SUCCESS)
        return;
    ares_channel old = c->ares;
    c->ares = fresh;
    c->seen = now;
    c->depth++;
    ares_destroy(old); /* who is called back by this asks the fresh one */
    c->depth--;
}

struct dns_channel *dns_channel_new(struct loop *l, const struct dns_channel_options *options, struct err *err)
{
    struct dns_channel *c = calloc(1, sizeof *c);
    if (!c) {
        err_no_memory(err);
        return NULL;
    }
    c->loop = l;
    c->options = *options;
    timer_init(&c->clock, l, on_clock, c);
    task_init(&c->set_clock, set_clock, c);
    list_init(&c->sockets);
    (void)look(c, &c->seen); /* not there: its appearance is a change */
    int status = ares_library_init(ARES_LIB_INIT_ALL);
    if (status == ARES_SUCCESS) {
        status = begin_life(c, &c->ares);
        if (status == ARES_SUCCESS)
            return c;
        ares_library_cleanup();
    }
    err_set(err, "cannot set up name resolution: %s", ares_strerror(status));
    free(c);
    return NULL;
}

void dns_channel_free(struct dns_channel **channel)
{
    struct dns_channel *c = *channel;
    if (!c)
        return;
    c->is_closing = true;
    ares_destroy(c->ares); /* calls back for what it still held, and lets go of its descriptors */
    ares_library_cleanup();
    timer_cancel(&c->clock);
    task_cancel(&c->set_clock);
    free(c);
    *channel = NULL;
}

bool dns_channel_use_servers(struct dns_channel *c, const char *servers, struct err *err)
{
    int status = ares_set_servers_ports_csv(c->ares, servers);
    if (status != ARES_SUCCESS)
        return err_set(err, "%s: no list of DNS servers: %s", servers, ares_strerror(status));
    c->has_own_servers = true;
    return true;
}

ares_channel dns_channel_get(struct dns_channel *c)
{
    if (c->depth == 0)
        look_at_resolv_conf(c);
    task_defer(c->loop, &c->set_clock);
    return c->ares;
}

bool dns_channel_is_open(const struct dns_channel *c)
{
    return !c->is_closing;
}
