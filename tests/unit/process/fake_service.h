/*
 * fake_service.h - a real supervisor with workers that do next to nothing, for tests of the supervisor.
 *
 *   test ── fork ──▶ supervisor ── fork ──▶ fake workers, fake auth process, the real event writer
 *     ▲                  │ stderr                │
 *     └──── one pipe ◀───┴───────────────────────┘    log lines, event lines ("events stderr"), words of the fakes
 *
 * The test says in shared memory what the next configuration is like and how workers behave, sends signals, and waits
 * for lines: every wait ends with the line or after PATIENCE_MS. At the end of file all processes are gone.
 *
 * A fake worker says, as lines on stderr, "hello SLOT GENERATION PID WRITER-PID", and to who connects "SLOT GENERATION"
 * and closes. When it has been told to end, and no longer listens, "bye SLOT GENERATION". Fake workers and admin
 * processes beat; an admin process says "admin is PID".
 */
#ifndef FAKE_SERVICE_H
#define FAKE_SERVICE_H

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "net/listen.h"
#include "process/supervisor.h"

enum { PATIENCE_MS = 20000, SCRIPT_LISTENERS = 3 };

enum behaviour {
    WORKS,
    DIES,           /* right after READY */
    FAILS,          /* says why it cannot start */
    NEVER_READY,    /*  */
    IS_STUBBORN,    /* does not drain */
    DIES_MID_LINE,  /* once: an event, half an event, death */
    HANGS_AS_ORPHAN /* does not look whether the supervisor lives */
};

/* In shared memory: the test writes, the supervisor and its children read. */
struct script {
    _Atomic int behaviour;
    const char *load_error;           /* literals: one address space layout after fork */
    uint16_t ports[SCRIPT_LISTENERS]; /* 0: none */
    unsigned workers;
    bool has_auth, has_admin;
    _Atomic int hanging_admin; /* pid of the one that beats no more; 0: all beat */
    char event_file[256];      /* empty: stderr */
    char pidfile[256];
    const char *user;
    const char *state_dir;
    _Atomic uint32_t ended_workers; /* calls of on_worker_end */
    _Atomic uint32_t last_ended;
    _Atomic uint32_t half_lines;
};

struct service {
    struct script *script;
    struct supervisor_times times;
    pid_t pid;
    int out;            /* reading end of everybody's stderr */
    char text[1 << 20]; /* all that was read */
    size_t len;
    char dir[64];
};

/* ---- the fakes ---- */

static struct script *the_script;

static bool fake_load(void *arg, struct process_plan *plan, struct buf *report, struct err *err)
{
    struct script *s = arg;
    (void)report;
    if (s->load_error)
        return err_set(err, "%s", s->load_error);
    *plan = (struct process_plan){
        .config_path = "fake.conf",
        .node = "mx1",
        .user = s->user,
        .state_dir = s->state_dir,
        .pidfile = s->pidfile[0] ? strdup(s->pidfile) : NULL,
        .workers = s->workers,
        .max_connections = 100,
        .has_auth = s->has_auth,
        .has_admin = s->has_admin,
        .events = {s->event_file[0] ? strdup(s->event_file) : NULL, 0, 3},
        .drain_ms = 60000,
        .log_level = LOG_LEVEL_INFO,
    };
    for (int i = 0; i < SCRIPT_LISTENERS; i++)
        if (s->ports[i])
            plan->listeners[plan->listener_count++] =
                (struct process_listener){{ENDPOINT_IP, {ADDR_IPV4, {127, 0, 0, 1}}, s->ports[i], ""}, (size_t)i};
    return true;
}

static void fake_unload(void *arg, struct process_plan *plan)
{
    (void)arg;
    free((void *)plan->pidfile);
    free((void *)plan->events.file);
}

static void fake_worker_end(void *arg, uint32_t worker_id)
{
    struct script *s = arg;
    atomic_fetch_add(&s->ended_workers, 1);
    atomic_store(&s->last_ended, worker_id);
}

struct fake {
    struct process_context *ctx;
    struct loop loop;
    struct channel channel;
    struct acceptor acceptors[64];
    size_t acceptor_count;
    struct watch auth;
    struct event_log events;
    struct timer beat;
};

static void fake_beat(void *arg)
{
    struct fake *f = arg;
    if (atomic_load(&the_script->hanging_admin) != getpid())
        atomic_fetch_add(&f->ctx->seat->heartbeat, 1);
    timer_start(&f->beat, loop_now_ms(&f->loop) + 20);
}

static void fake_begin_beating(struct fake *f)
{
    timer_init(&f->beat, &f->loop, fake_beat, f);
    fake_beat(f);
}

static void fake_accept(void *arg, int fd, const struct ip *peer, uint16_t port)
{
    struct fake *f = arg;
    (void)peer, (void)port;
    dprintf(fd, "%u %u\n", f->ctx->slot, f->ctx->generation);
    close(fd);
}

static void fake_add(struct fake *f, int fd)
{
    if (f->acceptor_count < COUNT_OF(f->acceptors))
        acceptor_init(&f->acceptors[f->acceptor_count++], &f->loop, fd, fake_accept, f);
}

static void fake_message(void *arg, const struct channel_message *m, int passed_fd)
{
    struct fake *f = arg;
    if (m->kind == CHANNEL_SOCKET)
        fake_add(f, passed_fd);
    if (m->kind == CHANNEL_DRAIN || m->kind == CHANNEL_RETIRE)
        dprintf(2, "%s %u %u mask %llx\n", m->kind == CHANNEL_DRAIN ? "drain" : "retire", f->ctx->slot,
                f->ctx->generation, (unsigned long long)m->value & ((1 << SCRIPT_LISTENERS) - 1));
    if (m->kind == CHANNEL_QUIT)
        dprintf(2, "quit %u %u\n", f->ctx->slot, f->ctx->generation);
    bool tells_to_end = m->kind != CHANNEL_SOCKET && m->kind != CHANNEL_IN_FORCE;
    if (tells_to_end && atomic_load(&the_script->behaviour) != IS_STUBBORN)
        loop_stop(&f->loop);
}

static void fake_gone(void *arg)
{
    struct fake *f = arg;
    if (atomic_load(&the_script->behaviour) != HANGS_AS_ORPHAN)
        loop_stop(&f->loop);
}

static void fake_auth_word(void *arg, bool readable, bool writable)
{
    struct fake *f = arg;
    char word[64];
    (void)readable, (void)writable;
    ssize_t n = recv(f->ctx->auth_fds[0], word, sizeof word - 1, 0);
    if (n > 0)
        dprintf(2, "worker %u heard %.*s\n", f->ctx->slot, (int)n, word);
}

static pid_t pid_of_writer(const struct shared *shared)
{
    for (int i = 0; i < COUNTER_SLOTS; i++)
        if (atomic_load(&shared->seats[i].role) == ROLE_EVENT_WRITER)
            return atomic_load(&shared->seats[i].pid);
    return 0;
}

static void fake_die_mid_line(struct fake *f)
{
    static const char HALF[] = "{\"time\":\"2026-01-01T00:00:00.000000Z\",\"event\":\"half";
    event_begin(&f->events, "whole", clock_wall_us());
    event_end(&f->events);
    if (write(f->ctx->event_fd, HALF, sizeof HALF - 1) > 0)
        abort();
}

static int fake_worker(void *arg, struct process_context *ctx)
{
    static struct fake fake;
    struct fake *f = &fake;
    struct err err = {0};
    the_script = arg;
    f->ctx = ctx;
    int behaviour = atomic_load(&the_script->behaviour);
    if (behaviour == FAILS) {
        err_set(&err, "the key is wrong");
        process_say_failed(ctx, &err);
        return 1;
    }
    if (!process_drop_privileges(ctx, &err) || !loop_init(&f->loop, &err))
        return 1;
    channel_open(&f->channel, &f->loop, ctx->control_fd, fake_message, fake_gone, f);
    event_log_init(&f->events, ctx->event_fd, "mx1", ctx->counters);
    fake_begin_beating(f);
    for (size_t i = 0; i < ctx->socket_count; i++)
        fake_add(f, ctx->sockets[i].fd);
    if (ctx->auth_count) {
        watch_init(&f->auth, &f->loop, ctx->auth_fds[0], fake_auth_word, f);
        watch_set(&f->auth, true, false);
    }
    dprintf(2, "hello %u %u %d %d\n", ctx->slot, ctx->generation, (int)getpid(), (int)pid_of_writer(ctx->shared));
    if (behaviour != NEVER_READY)
        process_say_ready(ctx);
    if (behaviour == DIES)
        abort();
    if (behaviour == DIES_MID_LINE && atomic_fetch_add(&the_script->half_lines, 1) == 0)
        fake_die_mid_line(f);
    loop_run(&f->loop);
    for (size_t i = 0; i < f->acceptor_count; i++) {
        acceptor_stop(&f->acceptors[i]);
        close(f->acceptors[i].fd);
    }
    dprintf(2, "bye %u %u\n", ctx->slot, ctx->generation);
    return 0;
}

static int fake_auth(void *arg, struct process_context *ctx)
{
    struct err err = {0};
    char word[64];
    (void)arg;
    if (!process_drop_privileges(ctx, &err))
        return 1;
    int n = snprintf(word, sizeof word, "auth %d", (int)getpid());
    for (size_t i = 0; i < ctx->auth_count; i++)
        if (send(ctx->auth_fds[i], word, (size_t)n, 0) != n)
            return 1;
    process_say_ready(ctx);
    struct pollfd p = {ctx->control_fd, POLLIN, 0};
    while (poll(&p, 1, -1) < 0)
        ;
    dprintf(2, "auth ends\n");
    return 0;
}

static int fake_admin(void *arg, struct process_context *ctx)
{
    static struct fake fake;
    struct fake *f = &fake;
    struct err err = {0};
    the_script = arg;
    f->ctx = ctx;
    if (!process_drop_privileges(ctx, &err) || !loop_init(&f->loop, &err))
        return 1;
    channel_open(&f->channel, &f->loop, ctx->control_fd, fake_message, fake_gone, f);
    fake_begin_beating(f);
    dprintf(2, "admin is %d\n", (int)getpid());
    process_say_ready(ctx);
    loop_run(&f->loop);
    return 0;
}

/* ---- the test's side ---- */

/* Short where a test waits for it, long where it must not come. */
static const struct supervisor_times QUICK_TIMES = {
    .ready_ms = 10000,
    .reload_drain_ms = 60000,
    .stop_drain_ms = 60000,
    .quit_ms = 300,
    .stuck_ms = 60000,
    .ticket_keys_ms = 60000,
    .crash = {.window_ms = 30000, .first_ms = 100, .max_ms = 400},
};

static uint16_t free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    close(fd);
    return ntohs(a.sin_port);
}

static int service_setup(void **state)
{
    struct service *v = calloc(1, sizeof *v);
    v->script = mmap(NULL, sizeof *v->script, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    strcpy(v->dir, "/tmp/mailweir-test-XXXXXX");
    if (v->script == MAP_FAILED || !mkdtemp(v->dir))
        return -1;
    v->script->workers = 2;
    v->script->ports[0] = free_port();
    v->times = QUICK_TIMES;
    v->out = -1;
    *state = v;
    return 0;
}

static void service_start(struct service *v)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    v->pid = fork();
    assert_true(v->pid >= 0);
    if (v->pid == 0) {
        struct process_bodies bodies = {.load = fake_load,
                                        .unload = fake_unload,
                                        .worker = fake_worker,
                                        .auth = fake_auth,
                                        .alerts = fake_auth,
                                        .admin = fake_admin,
                                        .on_worker_end = fake_worker_end,
                                        .arg = v->script};
        dup2(fds[1], 2);
        close(fds[0]);
        close(fds[1]);
        _exit(supervisor_run(&bodies, &v->times));
    }
    close(fds[1]);
    v->out = fds[0];
}

/* More text, or the end. False at the end. */
static bool service_read(struct service *v)
{
    struct pollfd p = {v->out, POLLIN, 0};
    if (poll(&p, 1, PATIENCE_MS) != 1)
        fail_msg("nothing was said for %d ms; so far:\n%s", PATIENCE_MS, v->text);
    ssize_t n = read(v->out, v->text + v->len, sizeof v->text - 1 - v->len);
    assert_true(n >= 0);
    v->len += (size_t)n;
    v->text[v->len] = '\0';
    return n > 0;
}

/* A line that holds both words and was not waited for before; lines of several processes come in any order. A line that
 * was found ends in VT from then on. */
static char *wait_line_2(struct service *v, const char *word, const char *other)
{
    static char line[65536];
    for (char *from = v->text;;) {
        char *end = from + strcspn(from, "\n\v");
        if (!*end) {
            if (!service_read(v))
                fail_msg("the end came before \"%s\":\n%s", word, v->text);
            continue;
        }
        snprintf(line, sizeof line, "%.*s", (int)(end - from), from);
        if (*end == '\n' && strstr(line, word) && strstr(line, other)) {
            *end = '\v';
            return line;
        }
        from = end + 1;
    }
}
static char *wait_line(struct service *v, const char *word)
{
    return wait_line_2(v, word, word);
}

static unsigned count_lines(const struct service *v, const char *word)
{
    unsigned n = 0;
    for (const char *at = v->text; (at = strstr(at, word)); at++)
        n++;
    return n;
}

struct hello {
    unsigned slot, generation;
    int pid, writer;
};
static struct hello wait_hello(struct service *v)
{
    struct hello h;
    assert_int_equal(sscanf(strstr(wait_line(v, "hello "), "hello "), "hello %u %u %d %d", &h.slot, &h.generation,
                            &h.pid, &h.writer),
                     4);
    return h;
}

/* The exit code, after the last process has closed its stderr. */
static int wait_end(struct service *v)
{
    int status;
    while (service_read(v))
        ;
    assert_int_equal(waitpid(v->pid, &status, 0), v->pid);
    v->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int stop(struct service *v)
{
    kill(v->pid, SIGTERM);
    return wait_end(v);
}

static int service_teardown(void **state)
{
    struct service *v = *state;
    char command[128];
    if (v->pid > 0) { /* a test failed */
        kill(v->pid, SIGKILL);
        waitpid(v->pid, NULL, 0);
    }
    if (v->out >= 0)
        close(v->out);
    snprintf(command, sizeof command, "rm -rf %s", v->dir);
    int code = system(command);
    munmap(v->script, sizeof *v->script);
    free(v);
    return code;
}

/* Connects and reads who answers: "SLOT GENERATION". False: nobody listens, or it was closed without a word. */
static bool ask_port(uint16_t port, unsigned *slot, unsigned *generation)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char text[64] = "";
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {PATIENCE_MS / 1000, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    bool ok = connect(fd, (struct sockaddr *)&a, sizeof a) == 0 && recv(fd, text, sizeof text - 1, 0) > 0 &&
              sscanf(text, "%u %u", slot, generation) == 2;
    close(fd);
    return ok;
}

#endif
