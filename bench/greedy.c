/* greedy.c - the loop of the greedy crowds; greedy.h says what they do. */
#include "greedy.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"

enum { EVENTS = 256 };

static volatile sig_atomic_t is_told_to_end;

NORETURN void greedy_fail(const char *what)
{
    fprintf(stderr, "greedy: %s: %s\n", what, strerror(errno));
    exit(1);
}

unsigned greedy_random_ms(struct greedy *g, struct greedy_range range)
{
    /* xorshift64: clients must not march in step, that is all. */
    g->random ^= g->random << 13;
    g->random ^= g->random >> 7;
    g->random ^= g->random << 17;
    return range.min_ms + (unsigned)(g->random % (range.max_ms - range.min_ms + 1));
}

static void on_signal(int number)
{
    (void)number;
    is_told_to_end = 1;
}

static size_t count_clients(const struct greedy_options *o)
{
    size_t count = 0;
    for (size_t i = 0; i < o->crowd_count; i++)
        count += o->crowds[i].client_count;
    return count;
}

static void wake_due(struct greedy *g, struct greedy_client *clients, size_t count)
{
    int64_t now_us = clock_monotonic_us();

    if (now_us < g->next_due_us)
        return;
    g->next_due_us = INT64_MAX;
    for (size_t i = 0; i < count; i++) {
        if (clients[i].due_us <= now_us)
            greedy_client_on_due(&clients[i], now_us);
        g->next_due_us = MIN_OF(g->next_due_us, clients[i].due_us);
    }
}

static bool is_any_busy(const struct greedy_client *clients, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (greedy_client_is_busy(&clients[i]))
            return true;
    return false;
}

static void turn(struct greedy *g)
{
    struct epoll_event events[EVENTS];
    int64_t wait_us = g->next_due_us - clock_monotonic_us();
    /* Rounded up: a turn that comes too early would find nothing due. */
    int wait_ms = wait_us <= 0 ? 0 : wait_us > 100000 ? 100 : (int)(wait_us / 1000) + 1;
    int count = epoll_wait(g->poller, events, EVENTS, wait_ms);

    if (count < 0 && errno != EINTR)
        greedy_fail("epoll_wait");
    for (int i = 0; i < count; i++)
        greedy_client_on_socket(events[i].data.ptr);
}

static void run(struct greedy *g, struct greedy_client *clients, size_t count)
{
    int64_t end_us = clock_monotonic_us() + (int64_t)g->options.seconds * 1000000;

    while (!is_told_to_end && clock_monotonic_us() < end_us) {
        wake_due(g, clients, count);
        turn(g);
    }
    g->is_ending = true;
    end_us = clock_monotonic_us() + ENDING_US;
    while (is_any_busy(clients, count) && clock_monotonic_us() < end_us) {
        wake_due(g, clients, count);
        turn(g);
    }
    for (size_t i = 0; i < count; i++)
        greedy_client_end(&clients[i]);
}

static void print_sums(struct greedy *g)
{
    for (size_t i = 0; i < g->options.crowd_count; i++) {
        const struct greedy_crowd *c = &g->options.crowds[i];
        fprintf(g->record, "sum\t%s\taccepted=%u\trefused=%u\tunknown=%u\tlost=%u\tstuck=%u\n", c->name, c->accepted,
                c->refused, c->unknown, c->lost, c->stuck);
    }
}

int main(int argc, char **argv)
{
    static struct greedy g;
    struct sigaction on_end = {.sa_handler = on_signal};
    struct rlimit files;

    greedy_options_read(&g.options, argc, argv);
    signal(SIGPIPE, SIG_IGN);
    sigaction(SIGTERM, &on_end, NULL);
    sigaction(SIGINT, &on_end, NULL);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    size_t count = count_clients(&g.options), n = 0;
    struct greedy_client *clients = calloc(count ? count : 1, sizeof *clients);
    g.record = fopen(g.options.record, "w");
    g.poller = epoll_create1(EPOLL_CLOEXEC);
    if (!clients || !g.record || g.poller < 0)
        greedy_fail(g.options.record);
    g.next_mail = g.options.first_mail;
    g.random = UINT64_C(0x9e3779b97f4a7c15) ^ g.options.first_mail;
    for (size_t i = 0; i < g.options.crowd_count; i++)
        for (unsigned j = 0; j < g.options.crowds[i].client_count; j++)
            clients[n++] = (struct greedy_client){.greedy = &g, .crowd = &g.options.crowds[i], .fd = -1};

    run(&g, clients, count);
    print_sums(&g);
    free(clients);
    if (fclose(g.record) != 0)
        greedy_fail(g.options.record);
    return 0;
}
