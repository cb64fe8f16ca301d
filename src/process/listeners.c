/* listeners.c - see listeners.h. */
#include "process/listeners.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "net/listen.h"

enum { BACKLOG = 4096 }; /* the kernel cuts it to net.core.somaxconn */

void listeners_init(struct listeners *l)
{
    memset(l, 0, sizeof *l);
}

static void close_from(struct listener *it, unsigned first)
{
    for (unsigned i = first; i < it->slots; i++)
        close(it->fds[i]);
    it->slots = MIN_OF(it->slots, first);
}

void listeners_fini(struct listeners *l)
{
    for (size_t i = 0; i < COUNT_OF(l->items); i++)
        close_from(&l->items[i], 0);
    listeners_init(l);
}

static struct listener *find(const struct listeners *l, const struct endpoint *at)
{
    for (size_t i = 0; i < COUNT_OF(l->items); i++)
        if (l->items[i].slots > 0 && endpoint_equal(&l->items[i].at, at))
            return (struct listener *)&l->items[i];
    return NULL;
}

static struct listener *find_unused(struct listeners *l)
{
    for (size_t i = 0; i < COUNT_OF(l->items); i++)
        if (l->items[i].slots == 0)
            return &l->items[i];
    return NULL;
}

static bool owns_port(const struct listeners *l, uint16_t port)
{
    for (size_t i = 0; i < COUNT_OF(l->items); i++)
        if (l->items[i].slots > 0 && l->items[i].at.port == port)
            return true;
    return false;
}

/* SO_REUSEPORT would let a second mailweir of the same user share the port unnoticed, each getting half of the
 * connections. A socket without it is refused where anybody listens. */
static bool check_is_free(const struct endpoint *at, struct err *err)
{
    struct sockaddr_storage ss;
    socklen_t len = endpoint_to_sockaddr(at, &ss);
    int on = 1, fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || len == 0)
        return true; /* listen_open says what is wrong */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (ss.ss_family == AF_INET6 && !ip_is_any(&at->ip))
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    bool taken = bind(fd, (struct sockaddr *)&ss, len) != 0 && errno == EADDRINUSE;
    close(fd);
    char text[ENDPOINT_TEXT_MAX];
    endpoint_format(at, text);
    if (!taken)
        return true;
    err_set(err, "cannot listen at %s: %s", text, strerror(EADDRINUSE));
    return err_set_hint(err, "see who listens there: ss -ltnp sport = :%u", at->port);
}

static bool open_slots(struct listeners *l, const struct endpoint *at, unsigned wanted, struct err *err)
{
    struct listener *it = find(l, at);
    if (!it) {
        if (!owns_port(l, at->port) && !check_is_free(at, err))
            return false;
        it = find_unused(l);
        if (!it)
            return err_set(err, "more than %d endpoints", PROCESS_LISTENERS_MAX);
        *it = (struct listener){.at = *at};
    }
    while (it->slots < wanted) {
        int fd = listen_open(at, BACKLOG, err);
        if (fd < 0)
            return false;
        it->fds[it->slots++] = fd;
    }
    return true;
}

bool listeners_prepare(struct listeners *l, const struct process_plan *plan, struct err *err)
{
    for (size_t i = 0; i < COUNT_OF(l->items); i++)
        l->items[i].slots_in_force = l->items[i].slots;
    for (size_t i = 0; i < plan->listener_count; i++) {
        if (open_slots(l, &plan->listeners[i].at, plan->workers, err))
            continue;
        listeners_rollback(l);
        return false;
    }
    return true;
}

static bool plan_has(const struct process_plan *plan, const struct endpoint *at)
{
    for (size_t i = 0; i < plan->listener_count; i++)
        if (endpoint_equal(&plan->listeners[i].at, at))
            return true;
    return false;
}

void listeners_commit(struct listeners *l, const struct process_plan *plan)
{
    for (size_t i = 0; i < COUNT_OF(l->items); i++)
        if (!plan_has(plan, &l->items[i].at))
            close_from(&l->items[i], 0);
}

void listeners_rollback(struct listeners *l)
{
    for (size_t i = 0; i < COUNT_OF(l->items); i++)
        if (l->items[i].slots_in_force == 0)
            close_from(&l->items[i], 0);
}

size_t listeners_added_to_worker(const struct listeners *l, const struct process_plan *plan, unsigned slot,
                                 struct process_socket *to, size_t max)
{
    size_t n = 0;
    for (unsigned i = 0; i < plan->listener_count; i++) {
        const struct listener *it = find(l, &plan->listeners[i].at);
        for (unsigned k = it ? it->slots_in_force : 0; it && k < it->slots && n < max; k++)
            if (k % plan->workers == slot)
                to[n++] = (struct process_socket){it->fds[k], i};
    }
    return n;
}

size_t listeners_of_worker(const struct listeners *l, const struct process_plan *plan, unsigned slot,
                           struct process_socket *to, size_t max)
{
    size_t n = 0;
    for (unsigned i = 0; i < plan->listener_count; i++) {
        const struct listener *it = find(l, &plan->listeners[i].at);
        for (unsigned k = slot; it && k < it->slots && n < max; k += plan->workers)
            to[n++] = (struct process_socket){it->fds[k], i};
    }
    return n;
}

uint64_t listeners_gone(const struct process_plan *plan, const struct process_plan *now)
{
    uint64_t mask = 0;
    for (size_t i = 0; i < plan->listener_count; i++)
        if (!plan_has(now, &plan->listeners[i].at))
            mask |= UINT64_C(1) << i;
    return mask;
}
