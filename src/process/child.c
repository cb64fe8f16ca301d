/* child.c - see child.h. */
#include "process/child.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "process/event_writer.h"
#include "process/supervisor.h"

/* ---- in the child ---- */

static pid_t parent_pid; /* for the handler */

/* TERM comes from the kernel when the supervisor has died, even to a process that hangs: ALRM then ends it. */
static void on_term(int signal)
{
    (void)signal;
    if (getppid() != parent_pid)
        alarm(CHILD_ORPHAN_SECONDS);
}

static void set_signals(pid_t supervisor_pid)
{
    static const int IGNORED[] = {SIGINT, SIGHUP, SIGUSR1, SIGPIPE};
    struct sigaction ignore = {.sa_handler = SIG_IGN}, term = {.sa_handler = on_term, .sa_flags = SA_RESTART};
    sigset_t none;
    parent_pid = supervisor_pid;
    for (size_t i = 0; i < COUNT_OF(IGNORED); i++)
        sigaction(IGNORED[i], &ignore, NULL);
    sigaction(SIGTERM, &term, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* For ps and top; the command line stays the service's own. */
static void set_title(enum process_role role)
{
    static const char *const TITLES[] = {
        "", "", "mailweir:events", "mailweir:auth", "mailweir:alerts", "mailweir:admin", "mailweir:worker"};
    prctl(PR_SET_NAME, TITLES[role], 0, 0, 0);
}

/* The kernel forgets this wish when the process becomes another user, so it is made again then. */
static void die_with_parent(pid_t supervisor_pid)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    if (getppid() != supervisor_pid)
        exit(0);
}

static int compare_fds(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* Closes all but stdin, stdout, stderr and these. */
static void close_others(int *keep, size_t count)
{
    int first = STDERR_FILENO + 1;
    qsort(keep, count, sizeof *keep, compare_fds);
    for (size_t i = 0; i < count; i++) {
        if (keep[i] < first)
            continue;
        if (keep[i] > first)
            close_range((unsigned)first, (unsigned)keep[i] - 1, 0);
        first = keep[i] + 1;
    }
    close_range((unsigned)first, ~0U, 0);
}

enum { SOCKETS_MAX = PROCESS_LISTENERS_MAX * PROCESS_WORKERS_MAX };

/* What a worker, an auth, an alert or an admin process gets of its generation. */
static void fill_from_generation(struct process_context *ctx, const struct child *c)
{
    static struct process_socket sockets[SOCKETS_MAX];
    static int auth_fds[PROCESS_WORKERS_MAX];
    const struct generation *g = c->generation;
    ctx->plan = g->plan;
    ctx->generation = g->id;
    ctx->is_coming = g->state == GENERATION_COMING;
    ctx->auth_fds = auth_fds;
    if (c->role == ROLE_ADMIN)
        ctx->admin_fd = control_socket_fd(&c->sup->control, ctx->is_coming);
    if (g->has_alerts && (c->role == ROLE_WORKER || c->role == ROLE_ALERTS))
        ctx->alert_fd = g->alert_pair[c->role == ROLE_WORKER ? 0 : 1];
    if (c->role == ROLE_WORKER && g->certificates)
        ctx->certificate_images = certificate_keeper_images(g->certificates);
    if (c->role == ROLE_WORKER) {
        ctx->sockets = sockets;
        ctx->socket_count = listeners_of_worker(&c->sup->listeners, g->plan, c->slot, sockets, SOCKETS_MAX);
    }
    for (unsigned i = 0; g->has_auth && i < g->worker_count; i++) {
        if (c->role == ROLE_AUTH)
            auth_fds[ctx->auth_count++] = g->auth_pairs[i][1];
        else if (c->role == ROLE_WORKER && i == c->slot)
            auth_fds[ctx->auth_count++] = g->auth_pairs[i][0];
    }
}

static int run_body(struct child *c, struct process_context *ctx)
{
    const struct process_bodies *b = c->sup->bodies;
    switch (c->role) {
    case ROLE_WORKER:
        return b->worker(b->arg, ctx);
    case ROLE_AUTH:
        return b->auth(b->arg, ctx);
    case ROLE_ALERTS:
        return b->alerts(b->arg, ctx);
    case ROLE_ADMIN:
        return b->admin(b->arg, ctx);
    default:
        return event_writer_run(ctx);
    }
}

static NORETURN void live(struct child *c, pid_t supervisor_pid, int control_fd, int event_fd)
{
    static int keep[SOCKETS_MAX + PROCESS_WORKERS_MAX + PROCESS_CERTIFICATES_MAX + 4];
    struct supervisor *s = c->sup;
    set_signals(supervisor_pid);
    die_with_parent(supervisor_pid);
    set_title(c->role);
    log_set_name(c->name);
    struct process_context ctx = {
        .role = c->role,
        .supervisor_pid = supervisor_pid,
        .sink = &s->hub.sink,
        .privileges = &s->privileges,
        .shared = s->shared,
        .seat = &s->shared->seats[c->seat],
        .counters = &s->shared->counters[c->seat],
        .slot = c->slot,
        .worker_id = c->worker_id,
        .control_fd = control_fd,
        .event_fd = event_fd,
        .admin_fd = -1,
        .alert_fd = -1,
    };
    if (c->generation)
        fill_from_generation(&ctx, c);
    size_t n = 0;
    keep[n++] = control_fd;
    keep[n++] = event_fd;
    for (size_t i = 0; i < ctx.socket_count; i++)
        keep[n++] = ctx.sockets[i].fd;
    for (size_t i = 0; i < ctx.auth_count; i++)
        keep[n++] = ctx.auth_fds[i];
    if (ctx.admin_fd >= 0)
        keep[n++] = ctx.admin_fd;
    if (ctx.alert_fd >= 0)
        keep[n++] = ctx.alert_fd;
    for (size_t i = 0; ctx.certificate_images && i < ctx.plan->certificate_count; i++)
        if (ctx.certificate_images[i] >= 0)
            keep[n++] = ctx.certificate_images[i];
    close_others(keep, n);
    exit(run_body(c, &ctx));
}

bool process_drop_privileges(const struct process_context *ctx, struct err *err)
{
    if (!privileges_drop(ctx->privileges, err))
        return false;
    die_with_parent(ctx->supervisor_pid);
    return true;
}

void process_say_ready(const struct process_context *ctx)
{
    channel_tell(ctx->control_fd, CHANNEL_READY, 0, 0, NULL);
}

int process_say_failed(const struct process_context *ctx, const struct err *err)
{
    channel_tell(ctx->control_fd, CHANNEL_FAILED, 0, 0, err->text);
    return 1;
}

/* ---- in the supervisor ---- */

static void start_again(void *arg)
{
    struct child *c = arg;
    struct err err = {0};
    if (child_start(c, &err))
        return;
    log_error("%s: %s; tried again in a moment", c->name, err.text);
    timer_start(&c->restart, loop_now_ms(&c->sup->loop) + c->sup->times.crash.first_ms);
}

bool child_init(struct child *c, struct supervisor *sup, struct generation *g, enum process_role role, unsigned slot,
                struct err *err)
{
    *c = (struct child){.sup = sup, .generation = g, .role = role, .slot = slot, .channel.fd = -1};
    if (role == ROLE_WORKER)
        snprintf(c->name, sizeof c->name, "worker %u", slot + 1);
    else
        snprintf(c->name, sizeof c->name, "%s", process_role_name(role));
    timer_init(&c->restart, &sup->loop, start_again, c);
    c->seat = shared_take_seat(sup->shared, role);
    if (c->seat < 0)
        return err_set(err, "no more than %d processes at a time; old ones are still finishing", COUNTER_SLOTS);
    struct shared_seat *seat = &sup->shared->seats[c->seat];
    atomic_store(&seat->slot, slot);
    atomic_store(&seat->generation, g ? g->id : 0);
    return true;
}

void child_fini(struct child *c)
{
    if (!c->sup)
        return; /* never begun */
    timer_cancel(&c->restart);
    channel_close(&c->channel);
    if (c->seat >= 0)
        shared_leave_seat(c->sup->shared, c->seat);
    c->seat = -1;
}

static void on_message(void *arg, const struct channel_message *m, int passed_fd)
{
    if (passed_fd >= 0)
        close(passed_fd); /* children pass none */
    supervisor_child_message(arg, m);
}

static void on_gone(void *arg)
{
    (void)arg; /* it is about to be reaped */
}

static void note_start(struct child *c, pid_t pid, int control_fd)
{
    struct shared_seat *seat = &c->sup->shared->seats[c->seat];
    c->pid = pid;
    atomic_store(&seat->pid, pid);
    atomic_store(&seat->worker_id, c->worker_id);
    atomic_store(&seat->started_wall_us, clock_wall_us());
    c->is_ready = c->is_told = false;
    c->said_stuck_ms = 0;
    c->epitaph[0] = '\0';
    c->started_ms = c->heartbeat_ms = loop_now_ms(&c->sup->loop);
    channel_open(&c->channel, &c->sup->loop, control_fd, on_message, on_gone, c);
}

bool child_start(struct child *c, struct err *err)
{
    struct supervisor *s = c->sup;
    int control[2], event_fd = -1;
    if (!channel_pair(control, err))
        return false;
    if (c->role != ROLE_EVENT_WRITER)
        event_fd = event_hub_open_pipe(&s->hub, &c->pipe_id, err);
    pid_t pid = -1;
    if (c->role == ROLE_EVENT_WRITER || event_fd >= 0) {
        c->worker_id = c->role == ROLE_WORKER || c->role == ROLE_ADMIN ? ++s->last_worker_id : 0;
        pid_t supervisor_pid = getpid();
        fflush(NULL); /* or both would write what waits */
        pid = fork();
        if (pid == 0)
            live(c, supervisor_pid, control[1], event_fd);
        if (pid < 0)
            err_set(err, "cannot start a process: %s", strerror(errno));
    }
    close(control[1]);
    if (event_fd >= 0)
        close(event_fd);
    if (pid < 0) {
        close(control[0]);
        event_hub_orphan_pipe(&s->hub, c->pipe_id);
        return false;
    }
    note_start(c, pid, control[0]);
    return true;
}

static void describe_end(struct child *c, int status)
{
    if (c->epitaph[0])
        return; /* its own words are better */
    if (WIFSIGNALED(status))
        snprintf(c->epitaph, sizeof c->epitaph, "%s died by signal SIG%s", c->name,
                 sigabbrev_np(WTERMSIG(status)) ? sigabbrev_np(WTERMSIG(status)) : "?");
    else
        snprintf(c->epitaph, sizeof c->epitaph, "%s ended by itself with code %d", c->name, WEXITSTATUS(status));
}

static void write_crash_event(struct child *c, int status, pid_t pid, int64_t lived_ms)
{
    struct event_log *e = &c->sup->events;
    event_begin(e, "crash", loop_wall_us(&c->sup->loop));
    event_z(e, "process", c->name);
    event_uint(e, "pid", (uint64_t)pid);
    if (c->role == ROLE_WORKER)
        event_uint(e, "worker", c->slot + 1);
    if (WIFSIGNALED(status)) {
        event_uint(e, "signal", (uint64_t)WTERMSIG(status));
        event_z(e, "signal_name", sigabbrev_np(WTERMSIG(status)));
    } else {
        event_uint(e, "code", (uint64_t)WEXITSTATUS(status));
    }
    event_uint(e, "uptime", (uint64_t)(lived_ms / 1000));
    event_uint(e, "restart_delay_ms", (uint64_t)c->delay_ms);
    event_z(e, "text", c->epitaph);
    event_end(e);
}

static void note_death(struct child *c, int status, pid_t pid)
{
    struct supervisor *s = c->sup;
    enum holdoff_news news;
    int64_t now_ms = loop_now_ms(&s->loop), lived_ms = now_ms - c->started_ms;
    c->delay_ms = holdoff_note_death(&c->holdoff, &s->times.crash, now_ms, lived_ms, &news);
    counter_add(&s->shared->counters[s->seat], COUNTER_WORKER_CRASHES, 1);
    log_error("%s (pid %d, after %lld s)", c->epitaph, (int)pid, (long long)(lived_ms / 1000));
    if (news == HOLDOFF_BEGINS)
        log_error("%s died %d times within %lld s: its restarts are held off, for up to %lld s each, until it lives",
                  c->name, HOLDOFF_DEATHS, (long long)(s->times.crash.window_ms / 1000),
                  (long long)(s->times.crash.max_ms / 1000));
    write_crash_event(c, status, pid, lived_ms);
}

void child_ended(struct child *c, int status)
{
    struct supervisor *s = c->sup;
    pid_t pid = c->pid;
    channel_read(&c->channel); /* its last words */
    channel_close(&c->channel);
    c->pid = 0;
    c->is_ready = false;
    shared_seat_died(s->shared, c->seat);
    event_hub_orphan_pipe(&s->hub, c->pipe_id);
    if (c->role == ROLE_WORKER && s->bodies->on_worker_end)
        s->bodies->on_worker_end(s->bodies->arg, c->worker_id);
    bool as_told = c->is_told && (WIFEXITED(status) ? WEXITSTATUS(status) == 0 : WTERMSIG(status) == SIGKILL);
    describe_end(c, status);
    if (!as_told)
        note_death(c, status, pid);
}

void child_end(struct child *c, enum channel_kind kind, uint64_t value)
{
    timer_cancel(&c->restart);
    if (c->pid == 0)
        return;
    c->is_told = true;
    channel_tell(c->channel.fd, kind, 0, value, NULL); /* not read: its deadline kills it */
}

void child_kill(struct child *c)
{
    timer_cancel(&c->restart);
    if (c->pid == 0)
        return;
    c->is_told = true;
    kill(c->pid, SIGKILL);
}

void child_kill_stuck(struct child *c)
{
    snprintf(c->epitaph, sizeof c->epitaph, "%s hung and was killed", c->name);
    kill(c->pid, SIGKILL);
}

void child_restart(struct child *c)
{
    atomic_fetch_add(&c->sup->shared->seats[c->seat].restarts, 1);
    if (c->delay_ms > 0)
        timer_start(&c->restart, loop_now_ms(&c->sup->loop) + c->delay_ms);
    else
        start_again(c);
}

const char *child_epitaph(const struct child *c)
{
    return c->epitaph;
}
