/* redis_servers.c - starting, asking and ending real Redis servers (PROTOCOLS.md 7, "Test"). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "redis_servers.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/panic.h"
#include "slowness.h"

static const char SERVER[] = "/usr/bin/redis-server";
enum { ARGS_MAX = 64, TRIES = 5, LOOK_EVERY_MS = 20 };

/* ---- waiting ---- */

static int64_t patience_until(void)
{
    return clock_monotonic_ms() + (int64_t)REDIS_SERVERS_PATIENCE_MS * tests_slowness();
}

static void rest(void)
{
    struct timespec a_moment = {.tv_nsec = LOOK_EVERY_MS * 1000000L};
    nanosleep(&a_moment, NULL);
}

/* ---- asking ---- */

/* NULL: nobody answers there. */
static redisReply *ask(uint16_t port, const char *format, va_list args)
{
    struct timeval patience = {.tv_sec = 5 * (time_t)tests_slowness()};
    redisContext *c = redisConnectWithTimeout("127.0.0.1", port, patience);
    redisReply *reply = NULL;
    if (c && !c->err && redisSetTimeout(c, patience) == REDIS_OK)
        reply = redisvCommand(c, format, args);
    if (c)
        redisFree(c);
    return reply;
}

static redisReply *try_to_ask(const struct redis_servers *s, size_t member, const char *format, ...) PRINTF_LIKE(3, 4);
static redisReply *try_to_ask(const struct redis_servers *s, size_t member, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    redisReply *reply = ask(s->members[member].port, format, args);
    va_end(args);
    return reply;
}

redisReply *redis_servers_ask(const struct redis_servers *s, size_t member, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    redisReply *reply = ask(s->members[member].port, format, args);
    va_end(args);
    if (!reply)
        fail_msg("member %zu of the Redis servers does not answer to \"%s\"", member, format);
    return reply;
}

void redis_servers_tell(const struct redis_servers *s, size_t member, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    redisReply *reply = ask(s->members[member].port, format, args);
    va_end(args);
    if (!reply || reply->type == REDIS_REPLY_ERROR)
        fail_msg("member %zu of the Redis servers says to \"%s\": %s", member, format,
                 reply ? reply->str : "(nothing)");
    freeReplyObject(reply);
}

/* Does a line of its answer begin so? */
static bool says(const struct redis_servers *s, size_t member, const char *command, const char *line)
{
    redisReply *reply = try_to_ask(s, member, command, NULL);
    bool it_does = reply && (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS) &&
                   strstr(reply->str, line) != NULL;
    if (reply)
        freeReplyObject(reply);
    return it_does;
}

static void await(const struct redis_servers *s, size_t member, const char *command, const char *line)
{
    int64_t until_ms = patience_until();
    while (!says(s, member, command, line)) {
        if (clock_monotonic_ms() > until_ms)
            fail_msg("member %zu of the Redis servers never said \"%s\" to \"%s\"", member, line, command);
        rest();
    }
}

/* ---- processes ---- */

static uint16_t free_port(void)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof sin;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sin, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
    close(fd);
    return ntohs(sin.sin_port);
}

/* Sentinels find one another and the replicas by themselves, but only after seconds: here they know from the start. */
static void write_sentinel_conf(const struct redis_servers *s, size_t member, const char *path)
{
    static const char COMMON[] = "sentinel down-after-milliseconds " REDIS_SERVERS_MASTER " 500\n"
                                 "sentinel failover-timeout " REDIS_SERVERS_MASTER " 3000\n";
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fprintf(f, "port %u\nbind 127.0.0.1\nsentinel myid %040zx\n", s->members[member].port, member);
    fprintf(f, "sentinel monitor " REDIS_SERVERS_MASTER " 127.0.0.1 %u 2\n%s", s->members[0].port, COMMON);
    for (size_t i = 1; i < 3; i++)
        fprintf(f, "sentinel known-replica " REDIS_SERVERS_MASTER " 127.0.0.1 %u\n", s->members[i].port);
    for (size_t i = 3; i < 6; i++)
        if (i != member)
            fprintf(f, "sentinel known-sentinel " REDIS_SERVERS_MASTER " 127.0.0.1 %u %040zx\n", s->members[i].port, i);
    assert_int_equal(fclose(f), 0);
}

static void run(const struct redis_servers *s, size_t member, const char *dir)
{
    const struct redis_member *m = &s->members[member];
    char port[8], bus_port[8], master[24], conf[128];
    const char *args[ARGS_MAX] = {SERVER};
    size_t n = 1;
    snprintf(conf, sizeof conf, "%s/sentinel.conf", dir);
    snprintf(port, sizeof port, "%u", m->port);
    snprintf(bus_port, sizeof bus_port, "%u", m->bus_port);
    snprintf(master, sizeof master, "127.0.0.1 %u", s->members[0].port);
    if (m->is_sentinel) {
        args[n++] = conf;
        args[n++] = "--sentinel";
    } else {
        const char *const always[] = {
            "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--repl-diskless-sync-delay",
            "0"};
        for (size_t i = 0; i < COUNT_OF(always); i++)
            args[n++] = always[i];
        if (s->shape == REDIS_CLUSTER) {
            const char *const node[] = {"--cluster-enabled",      "yes",  "--cluster-config-file", "nodes.conf",
                                        "--cluster-node-timeout", "1000", "--cluster-port",        bus_port};
            for (size_t i = 0; i < COUNT_OF(node); i++)
                args[n++] = node[i];
        }
        if (s->shape == REDIS_SENTINEL && member > 0) {
            args[n++] = "--replicaof";
            args[n++] = master;
        }
        for (size_t i = 0; s->options && s->options[i]; i++) {
            PANIC_IF(n + 1 == ARGS_MAX, "too many options");
            args[n++] = s->options[i];
        }
    }
    int log = open("log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0 || dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0)
        _exit(127);
    execv(SERVER, (char *const *)(uintptr_t)args);
    _exit(127);
}

static void spawn(struct redis_servers *s, size_t member)
{
    struct redis_member *m = &s->members[member];
    pid_t parent = getpid();
    char dir[96], conf[128];
    snprintf(dir, sizeof dir, "%s/%zu", s->dir, member);
    snprintf(conf, sizeof conf, "%s/sentinel.conf", dir);
    assert_true(mkdir(dir, 0700) == 0 || errno == EEXIST);
    if (m->is_sentinel && access(conf, F_OK) != 0)
        write_sentinel_conf(s, member, conf);
    m->pid = fork();
    assert_true(m->pid >= 0);
    if (m->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent || chdir(dir) != 0)
            _exit(127);
        run(s, member, dir);
    }
}

static void forget_conf(const struct redis_servers *s, size_t member)
{
    char conf[128];
    snprintf(conf, sizeof conf, "%s/%zu/sentinel.conf", s->dir, member);
    unlink(conf);
}

static bool has_ended(struct redis_member *m)
{
    if (waitpid(m->pid, NULL, WNOHANG) != m->pid)
        return false;
    m->pid = 0;
    return true;
}

/* It answers, or it ended: its port was taken meanwhile. */
static bool comes_up(struct redis_servers *s, size_t member)
{
    int64_t until_ms = patience_until();
    while (!says(s, member, "PING", "PONG")) {
        if (has_ended(&s->members[member]))
            return false;
        if (clock_monotonic_ms() > until_ms)
            fail_msg("Redis server %zu does not come up: see %s/%zu/log", member, s->dir, member);
        rest();
    }
    /* Who answers must be the child, not a stranger that took the port before it. */
    char pid[32];
    snprintf(pid, sizeof pid, "process_id:%d", (int)s->members[member].pid);
    return says(s, member, "INFO server", pid);
}

static void start_member(struct redis_servers *s, size_t member)
{
    struct redis_member *m = &s->members[member];
    for (int i = 0; i < TRIES; i++) {
        m->port = free_port();
        if (s->shape == REDIS_CLUSTER)
            m->bus_port = free_port();
        spawn(s, member);
        if (comes_up(s, member))
            return;
        redis_servers_kill(s, member);
    }
    fail_msg("Redis server %zu does not start: see %s/%zu/log", member, s->dir, member);
}

void redis_servers_kill(struct redis_servers *s, size_t member)
{
    struct redis_member *m = &s->members[member];
    if (m->pid == 0)
        return;
    kill(m->pid, SIGKILL);
    waitpid(m->pid, NULL, 0);
    m->pid = 0;
    m->is_stopped = false;
}

void redis_servers_restart(struct redis_servers *s, size_t member)
{
    redis_servers_kill(s, member);
    spawn(s, member);
    if (!comes_up(s, member))
        fail_msg("Redis server %zu does not start again: see %s/%zu/log", member, s->dir, member);
}

void redis_servers_hang(struct redis_servers *s, size_t member)
{
    assert_int_equal(kill(s->members[member].pid, SIGSTOP), 0);
    s->members[member].is_stopped = true;
}

void redis_servers_resume(struct redis_servers *s, size_t member)
{
    assert_int_equal(kill(s->members[member].pid, SIGCONT), 0);
    s->members[member].is_stopped = false;
}

/* ---- shapes ---- */

static bool try_sentinels(struct redis_servers *s)
{
    bool are_up = true;
    for (size_t i = 3; i < 6; i++)
        s->members[i].port = free_port();
    for (size_t i = 3; i < 6; i++)
        spawn(s, i);
    for (size_t i = 3; i < 6; i++)
        are_up = are_up && comes_up(s, i);
    return are_up;
}

static void start_sentinels(struct redis_servers *s)
{
    for (size_t i = 1; i < 3; i++)
        await(s, i, "INFO replication", "master_link_status:up");
    s->count = 6;
    for (size_t i = 3; i < 6; i++)
        s->members[i].is_sentinel = true;
    for (int i = 0; !try_sentinels(s); i++) {
        if (i == TRIES)
            fail_msg("the Sentinels do not start: see %s/3/log", s->dir);
        for (size_t k = 3; k < 6; k++) {
            redis_servers_kill(s, k);
            forget_conf(s, k);
        }
    }
    for (size_t i = 3; i < 6; i++)
        await(s, i, "INFO sentinel", "status=ok");
    for (size_t i = 3; i < 6; i++)
        await(s, i, "INFO sentinel", "slaves=2,sentinels=3");
    for (size_t i = 3; i < 6; i++)
        await(s, i, "SENTINEL CKQUORUM " REDIS_SERVERS_MASTER, "OK 3 usable Sentinels");
}

static void join_nodes(struct redis_servers *s)
{
    static const unsigned FIRST[] = {0, 5461, 10923, 16384};
    for (size_t i = 0; i < 3; i++) {
        redis_servers_tell(s, i, "CLUSTER SET-CONFIG-EPOCH %u", (unsigned)i + 1);
        redis_servers_tell(s, i, "CLUSTER ADDSLOTSRANGE %u %u", FIRST[i], FIRST[i + 1] - 1);
    }
    for (size_t i = 1; i < 3; i++)
        redis_servers_tell(s, 0, "CLUSTER MEET 127.0.0.1 %u %u", s->members[i].port, s->members[i].bus_port);
    for (size_t i = 0; i < 3; i++) {
        await(s, i, "CLUSTER INFO", "cluster_state:ok");
        await(s, i, "CLUSTER INFO", "cluster_slots_ok:16384");
    }
}

size_t redis_servers_add_replica(struct redis_servers *s, size_t master)
{
    char known[64];
    size_t member = s->count++;
    assert_true(s->shape == REDIS_CLUSTER && member < REDIS_SERVERS_MAX);
    start_member(s, member);
    redis_servers_tell(s, member, "CLUSTER MEET 127.0.0.1 %u %u", s->members[master].port, s->members[master].bus_port);
    snprintf(known, sizeof known, "cluster_known_nodes:%zu", s->count);
    for (size_t i = 0; i < s->count; i++)
        await(s, i, "CLUSTER INFO", known);
    redisReply *id = redis_servers_ask(s, master, "CLUSTER MYID");
    redis_servers_tell(s, member, "CLUSTER REPLICATE %s", id->str);
    snprintf(known, sizeof known, "slave %s", id->str);
    freeReplyObject(id);
    await(s, member, "INFO replication", "master_link_status:up");
    await(s, master, "INFO replication", "state=online");
    for (size_t i = 0; i < s->count; i++)
        await(s, i, "CLUSTER NODES", known);
    return member;
}

bool redis_servers_are_there(void)
{
    return access(SERVER, X_OK) == 0;
}

void redis_servers_start(struct redis_servers *s, enum redis_shape shape, const char *const *options)
{
    /* In memory where that can be: a Sentinel waits for its disk with all it does, and one that has waited for two
     * seconds does nothing for another thirty ("tilt"). */
    *s = (struct redis_servers){.shape = shape, .options = options, .dir = "/dev/shm/mailweir-redis-XXXXXX"};
    if (!mkdtemp(s->dir)) {
        strcpy(s->dir, "/tmp/mailweir-redis-XXXXXX");
        assert_non_null(mkdtemp(s->dir));
    }
    s->count = shape == REDIS_ALONE ? 1 : 3;
    for (size_t i = 0; i < s->count; i++)
        start_member(s, i);
    if (shape == REDIS_SENTINEL)
        start_sentinels(s);
    if (shape == REDIS_CLUSTER)
        join_nodes(s);
    for (size_t i = shape == REDIS_SENTINEL ? 3 : 0; i < s->count; i++)
        s->endpoints[s->endpoint_count++] =
            (struct endpoint){.kind = ENDPOINT_IP, .ip = {ADDR_IPV4, {127, 0, 0, 1}}, .port = s->members[i].port};
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

void redis_servers_stop(struct redis_servers *s)
{
    struct redis_finding finding;
    redis_servers_look(s, &finding);
    for (size_t i = 0; i < s->count; i++)
        redis_servers_kill(s, i);
    if (s->dir[0])
        nftw(s->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    *s = (struct redis_servers){0};
    if (finding.count)
        fail_msg("%s (%zu findings)", finding.text, finding.count);
}

size_t redis_servers_master(const struct redis_servers *s)
{
    for (int64_t until_ms = patience_until(); clock_monotonic_ms() < until_ms; rest()) {
        for (size_t i = 0; i < s->count; i++) {
            const struct redis_member *m = &s->members[i];
            if (m->pid && !m->is_stopped && !m->is_sentinel && says(s, i, "INFO replication", "role:master"))
                return i;
        }
    }
    fail_msg("there is no master");
    return 0;
}

/* By the map that a node tells: the port stands in its reply. */
static size_t owner_as_told(const struct redis_servers *s, const redisReply *map, uint16_t slot)
{
    for (size_t i = 0; i < map->elements; i++) {
        const redisReply *range = map->element[i];
        if (slot < range->element[0]->integer || slot > range->element[1]->integer || range->elements < 3)
            continue;
        for (size_t k = 0; k < s->count; k++)
            if (s->members[k].port == range->element[2]->element[1]->integer)
                return k;
    }
    return SIZE_MAX;
}

size_t redis_servers_owner(const struct redis_servers *s, uint16_t slot)
{
    for (size_t i = 0; i < s->count; i++) {
        if (!s->members[i].pid || s->members[i].is_stopped)
            continue;
        redisReply *map = redis_servers_ask(s, i, "CLUSTER SLOTS");
        size_t owner = owner_as_told(s, map, slot);
        freeReplyObject(map);
        if (owner == SIZE_MAX)
            fail_msg("nobody has slot %u", slot);
        return owner;
    }
    fail_msg("no node is there");
    return 0;
}
