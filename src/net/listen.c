/* listen.c - listening sockets and who accepts from them. See listen.h. */
#include "net/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

enum { BATCH_MAX = 64, REST_MS = 100 };

/* ---- the socket ---- */

static bool set_options(int fd, const struct endpoint *at)
{
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        return false;
    int v6_only = !ip_is_any(&at->ip);
    return at->ip.family != ADDR_IPV6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only) == 0;
}

int listen_open(const struct endpoint *at, int backlog, struct err *err)
{
    struct sockaddr_storage address;
    char text[ENDPOINT_TEXT_MAX];
    endpoint_format(at, text);
    socklen_t len = at->kind == ENDPOINT_IP ? endpoint_to_sockaddr(at, &address) : 0;
    if (len == 0) {
        err_set(err, "cannot listen at %s: it is no IP address", text);
        return -1;
    }
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && set_options(fd, at) && bind(fd, (const struct sockaddr *)&address, len) == 0 &&
        listen(fd, backlog) == 0)
        return fd;
    int error = errno;
    err_set(err, "cannot listen at %s: %s", text, strerror(error));
    if (error == EADDRINUSE)
        err_set_hint(err, "see who listens there: ss -ltnp sport = :%u", at->port);
    else if (error == EACCES)
        err_set_hint(err, "ports below 1024 need root, or CAP_NET_BIND_SERVICE");
    if (fd >= 0)
        close(fd);
    return -1;
}

/* ---- the acceptor ---- */

/* Errors that are the business of the one connection which was to be accepted (accept(2), "Error handling"). */
static bool is_of_the_peer(int error)
{
    switch (error) {
    case ECONNABORTED:
    case EINTR:
    case EPROTO:
    case EPERM:
    case ENOPROTOOPT:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
    case EOPNOTSUPP:
        return true;
    default:
        return false;
    }
}

/* The socket stays readable, so without a rest the loop would spin. */
static void rest(struct acceptor *a, int error)
{
    if (!a->is_short)
        log_error("cannot accept connections for now: %s; raise LimitNOFILE, or lower the limit of connections",
                  strerror(error));
    a->is_short = true;
    watch_set(&a->watch, false, false);
    timer_start(&a->pause, loop_now_ms(a->watch.loop) + REST_MS);
}

static void on_rested(void *arg)
{
    struct acceptor *a = arg;
    watch_set(&a->watch, true, false);
}

static void on_readable(void *arg, bool readable, bool writable)
{
    (void)readable, (void)writable;
    struct acceptor *a = arg;
    bool was_stopped = false;
    unsigned tries = 0;
    a->was_stopped = &was_stopped;
    for (; tries < a->batch; tries++) {
        struct sockaddr_storage address;
        socklen_t len = sizeof address;
        int fd = accept4(a->fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && is_of_the_peer(errno))
            continue;
        if (fd < 0) {
            if (errno != EAGAIN)
                rest(a, errno);
            break;
        }
        a->is_short = false;
        struct ip peer;
        uint16_t port;
        ip_from_sockaddr(&address, &peer, &port);
        a->on_accept(a->arg, fd, &peer, port);
        if (was_stopped)
            return;
    }
    a->was_stopped = NULL;
    a->batch = tries == a->batch ? MIN_OF(a->batch * 2, (unsigned)BATCH_MAX) : MAX_OF(tries, 1u);
}

void acceptor_init(struct acceptor *a, struct loop *l, int fd,
                   void (*on_accept)(void *arg, int fd, const struct ip *peer, uint16_t port), void *arg)
{
    *a = (struct acceptor){.fd = fd, .batch = 1, .on_accept = on_accept, .arg = arg};
    watch_init(&a->watch, l, fd, on_readable, a);
    timer_init(&a->pause, l, on_rested, a);
    watch_set(&a->watch, true, false);
}

void acceptor_stop(struct acceptor *a)
{
    if (a->was_stopped)
        *a->was_stopped = true;
    a->was_stopped = NULL;
    watch_set(&a->watch, false, false);
    timer_cancel(&a->pause);
}
