/*
 * tables.c - what large tables cost: a file of a million addresses, one of half a million networks, the networks once
 * more as a netmap where they nest.
 *
 *   load       from the file to an image that can be asked, and how many bytes an item of it takes
 *   lookup     of items in no order, every other one not in the table; addresses with and without +tag
 *   replace    a process that looks up without a pause takes a new image, as a worker does: the longest time in which
 *              it did nothing else
 *
 * Also says whether each keeps to its bound; 1: one does not.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "rules/table.h"

enum { ADDRESSES = 1000000, NETWORKS = 500000, LOOKUPS = 1000000, ROUND = 64, REPLACEMENTS = 5 };

static bool keeps_bounds = true;

static const char *judge(double value, double bound)
{
    keeps_bounds = keeps_bounds && value <= bound;
    return value <= bound ? "ok" : "OVER";
}

/* Of this process: what else runs on the machine is not counted, but for what it does to the caches. */
static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* A number that looks like none (splitmix64). */
static uint64_t scatter(uint64_t n)
{
    n += 0x9e3779b97f4a7c15;
    n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9;
    n = (n ^ n >> 27) * 0x94d049bb133111eb;
    return n ^ n >> 31;
}

/* ---- what is in the tables, and what is asked ---- */

static void address_text(uint64_t n, const char *tag, char *to, size_t size)
{
    snprintf(to, size, "user%llu%s@host%llu.example.org", (unsigned long long)n, tag,
             (unsigned long long)(scatter(n) % 40000));
}

static void write_addresses(FILE *f)
{
    char text[96];
    for (uint64_t i = 0; i < ADDRESSES; i++) {
        address_text(i, "", text, sizeof text);
        fprintf(f, "%s\n", text);
    }
}

/* Three of four are IPv4. Nested: every eighth is a /16 and holds others. */
static struct ip_net network(uint64_t i, bool is_nested)
{
    uint64_t r = scatter(i / 8);
    struct ip ip = {.family = ADDR_IPV4, .bytes = {(uint8_t)(1 + r % 220), (uint8_t)(r >> 8), (uint8_t)(i * 32), 0}};
    if (i % 4 == 3) {
        ip = (struct ip){.family = ADDR_IPV6,
                         .bytes = {0x2a, (uint8_t)(r & 15), (uint8_t)(r >> 8), (uint8_t)(r >> 16), (uint8_t)(r >> 24),
                                   (uint8_t)(r >> 32), (uint8_t)i, (uint8_t)(i >> 8)}};
        return ip_net_of(&ip, (unsigned)(48 + i % 17));
    }
    return ip_net_of(&ip, is_nested && i % 8 == 0 ? 16 : 24);
}

static void write_networks(FILE *f, bool has_values)
{
    char text[IP_TEXT_MAX + 4];
    for (uint64_t i = 0; i < NETWORKS; i++) {
        struct ip_net net = network(i, has_values);
        struct str s = ip_net_format(&net, text);
        if (has_values)
            fprintf(f, PRI_STR " place-%llu\n", STR_ARG(s), (unsigned long long)(i % 251));
        else
            fprintf(f, PRI_STR "\n", STR_ARG(s));
    }
}

/* Questions are made beforehand, in their own memory: what is measured is the table. */
struct question {
    struct fact fact;
    char text[72];
};

static struct question *questions(enum table_type type, size_t count)
{
    struct question *q = calloc(count, sizeof *q);
    if (!q)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        uint64_t n = scatter(i);
        if (type == TABLE_ADDRESSES) {
            address_text(n % ADDRESSES + (i % 2) * ADDRESSES, i % 8 == 0 ? "+news" : "", q[i].text, sizeof q[i].text);
            q[i].fact = (struct fact){.kind = FACT_TEXT, .text = str_of_z(q[i].text)};
            continue;
        }
        struct ip ip = network(n % NETWORKS, false).ip;
        ip.bytes[ip.family == ADDR_IPV4 ? 3 : 15] = (uint8_t)(n >> 40);
        if (i % 2)
            ip.bytes[ip.family == ADDR_IPV4 ? 2 : 6] ^= 0x15;
        q[i].fact = (struct fact){.kind = FACT_IP, .ip = ip};
    }
    return q;
}

/* ---- load and lookup ---- */

static bool read_table(struct lookup *t, enum table_type type, const char *path)
{
    struct source_set sources;
    struct diagnostics d;
    source_set_init(&sources, NULL, 0);
    diag_init(&d, &sources);
    lookup_init(t, type, STR("bench"));
    bool ok = lookup_read(t, &sources, str_of_z(path), PLACE_NONE, &d);
    if (!ok && d.count)
        fprintf(stderr, "tables: " PRI_STR "\n", STR_ARG(d.items[0].text));
    diag_fini(&d);
    source_set_fini(&sources);
    return ok;
}

static uint64_t ask(const struct lookup *t, const struct question *q, size_t count)
{
    uint64_t found = 0;
    if (t->type == TABLE_NETMAP)
        for (size_t i = 0; i < count; i++)
            found += lookup_net_value(t, &q[i].fact).ptr != NULL;
    else
        for (size_t i = 0; i < count; i++)
            found += lookup_has(t, &q[i].fact);
    return found;
}

/* What one look costs now at memory that is in no cache: lookups are made of these, and a busy machine has them dear.
 */
static double look_ns(void)
{
    enum { PLACES = 8 << 20, LOOKS = 1 << 20 };
    uint64_t *places = malloc(PLACES * sizeof *places), at = 0;
    if (!places)
        return 0;
    for (uint64_t i = 0; i < PLACES; i++)
        places[i] = scatter(i) % PLACES;
    double before_us = cpu_us();
    for (uint64_t i = 0; i < LOOKS; i++)
        at = (places[at] + i) % PLACES;
    double ns = (cpu_us() - before_us) * 1000 / LOOKS;
    free(places);
    volatile uint64_t end = at; /* or the compiler sees that nobody asks */
    (void)end;
    return ns;
}

/* ---- replacement ---- */

struct stall {
    double taking_us; /* processor time of the exchange, or of giving a piece of the old one back */
    int64_t gap_us;   /* between two rounds of lookups: what others on this machine do is in it */
    int64_t usual_us; /* the same while nothing is replaced */
};

static int receive_image(int channel)
{
    char byte;
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } space;
    struct iovec iov = {&byte, 1};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &space, .msg_controllen = sizeof space};
    int fd = -1;
    if (recvmsg(channel, &h, MSG_DONTWAIT) == 1 && CMSG_FIRSTHDR(&h))
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&h)), sizeof fd);
    return fd;
}

static bool send_image(int channel, int fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } space = {0};
    char byte = 0;
    struct iovec iov = {&byte, 1};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &space, .msg_controllen = sizeof space};
    *CMSG_FIRSTHDR(&h) = (struct cmsghdr){CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&h)), &fd, sizeof fd);
    return sendmsg(channel, &h, 0) == 1;
}

static void note_piece(struct stall *stall, double began_us)
{
    stall->taking_us = MAX_OF(stall->taking_us, cpu_us() - began_us);
}

/* The worker: looks up in rounds, takes what comes, and tells at the end. */
static void work(struct lookup *t, const struct question *q, int channel, int report)
{
    struct stall stall = {0};
    struct lookup leaving = {0};
    struct err err;
    int64_t last_us = clock_monotonic_us();
    unsigned taken = 0;
    for (size_t at = 0; taken < REPLACEMENTS; at = (at + ROUND) % (LOOKUPS / 10)) {
        int fd = receive_image(channel);
        if (fd >= 0) {
            struct lookup fresh;
            double began_us = cpu_us();
            if (!lookup_map_image(&fresh, t, fd, &err))
                _exit(1);
            lookup_exchange(t, &fresh);
            close(fd);
            note_piece(&stall, began_us);
            lookup_fini(&leaving);
            leaving = fresh;
            taken++;
        } else if (leaving.image) {
            double began_us = cpu_us();
            (void)lookup_release(&leaving);
            note_piece(&stall, began_us);
        }
        if (ask(t, q + at, ROUND) > ROUND)
            _exit(1);
        int64_t now_us = clock_monotonic_us();
        int64_t *longest = fd >= 0 ? &stall.gap_us : &stall.usual_us;
        *longest = MAX_OF(*longest, now_us - last_us);
        last_us = now_us;
    }
    _exit(write(report, &stall, sizeof stall) == (ssize_t)sizeof stall ? 0 : 1);
}

static bool replace(struct lookup *t, const char *path, const struct question *q, struct stall *stall)
{
    int channel[2], report[2], status = 0;
    int images[REPLACEMENTS];
    struct err err;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, channel) != 0 || pipe(report) != 0)
        return false;
    pid_t pid = fork();
    if (pid == 0)
        work(t, q, channel[1], report[1]);
    bool ok = pid > 0;
    for (int i = 0; ok && i < REPLACEMENTS; i++) {
        struct lookup built;
        images[i] = memfd_create("bench", MFD_CLOEXEC);
        ok = images[i] >= 0 && read_table(&built, t->type, path) && lookup_write_image(&built, images[i], &err) &&
             send_image(channel[0], images[i]);
        lookup_fini(&built);
    }
    ok = ok && read(report[0], stall, sizeof *stall) == (ssize_t)sizeof *stall;
    if (pid > 0 && waitpid(pid, &status, 0) == pid)
        ok = ok && status == 0;
    return ok;
}

/* ---- one table ---- */

static bool measure(const char *name, const char *dir, enum table_type type, void (*fill)(FILE *), double bound_ns)
{
    char path[256];
    struct lookup t;
    struct stall stall = {0};
    snprintf(path, sizeof path, "%s/table", dir);
    FILE *f = fopen(path, "w");
    if (!f)
        return false;
    fill(f);
    bool is_written = fclose(f) == 0;
    double began_us = cpu_us();
    if (!is_written || !read_table(&t, type, path))
        return false;
    double load_s = (cpu_us() - began_us) / 1e6;
    struct question *q = questions(type, LOOKUPS);
    if (!q)
        return false;
    uint64_t found = ask(&t, q, LOOKUPS / 10); /* warm, as in a server that is at work */
    double ns = 0;
    for (int i = 0; i < 3; i++) { /* the best of three: a busy machine is no property of the table */
        double before_us = cpu_us();
        found = ask(&t, q, LOOKUPS);
        double now_ns = (cpu_us() - before_us) * 1000 / LOOKUPS;
        ns = i == 0 || now_ns < ns ? now_ns : ns;
    }
    double bytes = (double)lookup_image_bytes(&t) / (double)lookup_item_count(&t);
    bool ok = replace(&t, path, q, &stall);
    printf("%-28s %8zu items  load %5.2f s  %5.1f B/item %s  lookup %4.0f ns %s (%2.0f%% found)  "
           "replace %5.2f ms %s, gap %5.2f ms, otherwise %5.2f ms\n",
           name, lookup_item_count(&t), load_s, bytes, judge(bytes, 100), ns, judge(ns, bound_ns),
           100.0 * (double)found / LOOKUPS, stall.taking_us / 1000, judge(stall.taking_us, 10000),
           (double)stall.gap_us / 1000, (double)stall.usual_us / 1000);
    lookup_fini(&t);
    free(q);
    unlink(path);
    return ok;
}

static void fill_networks(FILE *f)
{
    write_networks(f, false);
}

static void fill_places(FILE *f)
{
    write_networks(f, true);
}

int main(void)
{
    char dir[] = "/tmp/mailweir-tables-XXXXXX";
    if (!mkdtemp(dir)) {
        perror("tables");
        return 1;
    }
    printf("one look at memory that no cache holds: %.0f ns\n", look_ns());
    bool ok = measure("addresses", dir, TABLE_ADDRESSES, write_addresses, 300) &&
              measure("networks", dir, TABLE_NETWORKS, fill_networks, 500) &&
              measure("netmap, nested", dir, TABLE_NETMAP, fill_places, 500);
    rmdir(dir);
    if (!ok)
        fprintf(stderr, "tables: could not measure: %s\n", strerror(errno));
    return ok && keeps_bounds ? 0 : 1;
}
