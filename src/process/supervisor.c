/* supervisor.c - see supervisor.h. */
#include "process/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

enum { TICK_MS = 1000, FLUSH_MS = 5000, FLUSH_KILLED_MS = 1000 };

#define SECONDS(n) (INT64_C(1000) * (n))
#define MINUTES(n) (60 * SECONDS(n))
#define HOURS(n)   (60 * MINUTES(n))

/* Draining lasts as long as a session may (`timeout session`), but no longer than this. */
const struct supervisor_times SUPERVISOR_TIMES = {
    .ready_ms = SECONDS(30),
    .reload_drain_ms = HOURS(1),
    .stop_drain_ms = MINUTES(10),
    .quit_ms = SECONDS(2),
    .stuck_ms = MINUTES(1),
    .ticket_keys_ms = HOURS(12),
    .crash = {.window_ms = MINUTES(1), .first_ms = SECONDS(1), .max_ms = SECONDS(30)},
    .certificates_ms = SECONDS(10),
    .tables = {.look_ms = SECONDS(10), .settle_ms = SECONDS(1), .read_ms = MINUTES(2)},
};

/* ---- children ---- */

static void on_child_ended(struct supervisor *s, struct child *c, int status)
{
    child_ended(c, status);
    if (c->generation)
        generation_child_ended(c->generation, c);
    else if (s->state == SUPERVISOR_FLUSHING)
        loop_stop(&s->loop);
    else if (s->state == SUPERVISOR_STARTING)
        reload_fail(s, child_epitaph(c));
    else
        child_restart(c);
}

static struct child *find_child(struct supervisor *s, pid_t pid)
{
    if (s->hub.writer.pid == pid)
        return &s->hub.writer;
    LIST_EACH(node, &s->generations)
    {
        struct generation *g = CONTAINER_OF(node, struct generation, node);
        if (g->auth.pid == pid)
            return &g->auth;
        if (g->alerts.pid == pid)
            return &g->alerts;
        if (g->admin.pid == pid)
            return &g->admin;
        for (unsigned i = 0; i < g->worker_count; i++)
            if (g->workers[i].pid == pid)
                return &g->workers[i];
    }
    return NULL;
}

static void reap(struct supervisor *s)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct child *c = find_child(s, pid); /* NULL: as process 1 of a container, another's orphan */
        if (c)
            on_child_ended(s, c, status);
    }
}

/* It reads its messages in order: the pipes that it was given, then this. One that was just started is told when it is
 * ready. */
static void finish_writer(struct supervisor *s)
{
    if (s->hub.writer.is_ready)
        child_end(&s->hub.writer, CHANNEL_QUIT, 0);
}

void supervisor_child_message(struct child *c, const struct channel_message *m)
{
    struct supervisor *s = c->sup;
    switch (m->kind) {
    case CHANNEL_READY:
        c->is_ready = true;
        if (c->role == ROLE_EVENT_WRITER) {
            event_hub_writer_started(&s->hub);
            reload_writer_ready(s);
            if (s->state == SUPERVISOR_FLUSHING)
                finish_writer(s);
        } else {
            reload_check(s);
        }
        break;
    case CHANNEL_FAILED:
        snprintf(c->epitaph, sizeof c->epitaph, "%s could not start: %s", c->name, m->text);
        break;
    case CHANNEL_PIPE_DONE:
        event_hub_pipe_done(&s->hub, m->id);
        break;
    case CHANNEL_SINK_OK:
    case CHANNEL_SINK_BAD:
        reload_sink_answer(s, m);
        break;
    case CHANNEL_RELOAD:
        if (c->role == ROLE_ADMIN)
            reload_ask(s, c, m->id);
        break;
    case CHANNEL_STOP:
        if (c->role == ROLE_ADMIN)
            supervisor_stop(s, m->text);
        break;
    default:
        break;
    }
}

/* ---- stopping ---- */

static void on_flushing_due(void *arg)
{
    struct supervisor *s = arg;
    if (s->flush_was_killed || s->hub.writer.pid == 0) {
        loop_stop(&s->loop); /* it hangs in the disk: the kernel ends it when it can */
        return;
    }
    log_warning("the event writer does not finish: the last events may be lost");
    s->flush_was_killed = true;
    child_kill(&s->hub.writer);
    timer_start(&s->flushing, loop_now_ms(&s->loop) + FLUSH_KILLED_MS);
}

/* All workers are gone: the last word, then the writer may write out what waits in the pipes. */
static void begin_flushing(struct supervisor *s)
{
    struct err err = {0};
    int64_t up_us = clock_wall_us() - atomic_load(&s->shared->started_wall_us);
    s->state = SUPERVISOR_FLUSHING;
    if (s->has_started) {
        event_begin(&s->events, "stop", clock_wall_us());
        event_z(&s->events, "reason", s->why_stopping);
        event_uint(&s->events, "uptime", (uint64_t)(up_us > 0 ? up_us / 1000000 : 0));
        event_end(&s->events);
    }
    event_log_fini(&s->events);
    close(s->event_fd);
    s->event_fd = -1;
    s->events.fd = -1;
    timer_start(&s->flushing, loop_now_ms(&s->loop) + FLUSH_MS);
    timer_cancel(&s->hub.writer.restart);
    if (s->hub.writer.pid == 0 && !child_start(&s->hub.writer, &err)) {
        log_error("the last events are lost: %s", err.text);
        loop_stop(&s->loop);
    }
    finish_writer(s);
}

static void drain_all(struct supervisor *s)
{
    LIST_EACH(node, &s->generations)
    {
        struct generation *g = CONTAINER_OF(node, struct generation, node);
        int64_t limit_ms = MIN_OF(g->plan->drain_ms, s->times.stop_drain_ms);
        if (g->state != GENERATION_KILLED)
            generation_drain(g, CHANNEL_DRAIN, UINT64_MAX, limit_ms);
    }
}

void supervisor_stop(struct supervisor *s, const char *why)
{
    switch (s->state) {
    case SUPERVISOR_STARTING:
    case SUPERVISOR_RUNNING:
        if (s->has_started)
            log_info("stopping: %s", why);
        snprintf(s->why_stopping, sizeof s->why_stopping, "%s", why);
        s->state = SUPERVISOR_STOPPING;
        atomic_store(&s->shared->is_stopping, true);
        reload_abandon(s);
        reload_answer(s, false, "the service is stopping");
        s->current = NULL;
        listeners_fini(&s->listeners);
        drain_all(s);
        break;
    case SUPERVISOR_STOPPING:
        log_info("stopping at once: %s", why);
        LIST_EACH(node, &s->generations)
        generation_quit(CONTAINER_OF(node, struct generation, node), s->times.quit_ms);
        break;
    case SUPERVISOR_FLUSHING:
        timer_start(&s->flushing, loop_now_ms(&s->loop));
        break;
    }
    task_defer(&s->loop, &s->settle);
}

/* At the end of a turn, when nobody looks at a generation any more: frees those that are over. */
static void settle(void *arg)
{
    struct supervisor *s = arg;
    LIST_EACH(node, &s->generations)
    {
        struct generation *g = CONTAINER_OF(node, struct generation, node);
        if (generation_is_over(g))
            generation_free(&g);
    }
    if (s->state == SUPERVISOR_STOPPING && list_is_empty(&s->generations))
        begin_flushing(s);
}

/* ---- signals and time ---- */

static void on_signal(struct supervisor *s, uint32_t signal)
{
    switch (signal) {
    case SIGCHLD:
        reap(s);
        task_defer(&s->loop, &s->settle);
        break;
    case SIGHUP:
        reload_start(s);
        break;
    case SIGUSR1:
        if (s->hub.writer.pid)
            channel_tell(s->hub.writer.channel.fd, CHANNEL_REOPEN, 0, 0, NULL);
        break;
    case SIGTERM:
        supervisor_stop(s, "SIGTERM");
        break;
    case SIGINT:
        supervisor_stop(s, "SIGINT");
        break;
    default:
        break;
    }
}

static void on_signals(void *arg, bool readable, bool writable)
{
    struct supervisor *s = arg;
    struct signalfd_siginfo info;
    (void)readable, (void)writable;
    while (read(s->signal_fd, &info, sizeof info) == sizeof info)
        on_signal(s, info.ssi_signo);
}

static void on_ready_due(void *arg)
{
    struct supervisor *s = arg;
    char text[128];
    snprintf(text, sizeof text, "the new processes were not ready within %lld s",
             (long long)(s->times.ready_ms / 1000));
    reload_fail(s, text);
    task_defer(&s->loop, &s->settle);
}

/* A worker that hangs holds sessions, which may yet go on: it is only named. An admin process holds nothing that the
 * next one cannot take up, and while it hangs nobody is answered, and Redis told nothing: it is killed, unless it moves
 * within another moment, for it may have been the machine that stood still. */
static void look_at_heartbeat(struct supervisor *s, struct child *c)
{
    int64_t now_ms = loop_now_ms(&s->loop);
    uint64_t beats = atomic_load(&s->shared->seats[c->seat].heartbeat);
    bool is_replaced = c->role == ROLE_ADMIN;
    if (c->pid == 0 || beats != c->heartbeat) {
        c->heartbeat = beats;
        c->heartbeat_ms = now_ms;
        c->said_stuck_ms = 0;
    } else if (!c->said_stuck_ms && now_ms - c->heartbeat_ms >= s->times.stuck_ms) {
        c->said_stuck_ms = now_ms;
        log_error("%s (pid %d) has not moved for %lld s%s", c->name, (int)c->pid,
                  (long long)((now_ms - c->heartbeat_ms) / 1000),
                  is_replaced ? ": it is killed and started again" : "");
    } else if (is_replaced && c->said_stuck_ms && !c->epitaph[0] && now_ms - c->said_stuck_ms >= s->times.quit_ms) {
        child_kill_stuck(c);
    }
}

static void on_tick(void *arg)
{
    struct supervisor *s = arg;
    if (s->event_fd >= 0)
        event_log_flush(&s->events);
    event_hub_give(&s->hub);
    LIST_EACH(node, &s->generations)
    {
        struct generation *g = CONTAINER_OF(node, struct generation, node);
        for (unsigned i = 0; i < g->worker_count; i++)
            look_at_heartbeat(s, &g->workers[i]);
        if (g->has_admin)
            look_at_heartbeat(s, &g->admin);
    }
    timer_start(&s->tick, loop_now_ms(&s->loop) + TICK_MS);
}

static void on_ticket_keys_due(void *arg)
{
    struct supervisor *s = arg;
    tls_ticket_keys_rotate(&s->shared->ticket_keys);
    timer_start(&s->ticket_keys, loop_now_ms(&s->loop) + s->times.ticket_keys_ms);
}

/* ---- life ---- */

/* Blocked and read from a descriptor: no handler, so no question what one may do. Children unblock them. */
static bool open_signals(struct supervisor *s, struct err *err)
{
    static const int TAKEN[] = {SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < COUNT_OF(TAKEN); i++)
        sigaddset(&set, TAKEN[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->signal_fd < 0)
        return err_set(err, "cannot open a descriptor for signals: %s", strerror(errno));
    watch_init(&s->signals, &s->loop, s->signal_fd, on_signals, s);
    watch_set(&s->signals, true, false);
    return true;
}

static bool open_events(struct supervisor *s, const struct process_plan *plan, struct err *err)
{
    if (!event_hub_init(&s->hub, s, err))
        return false;
    event_hub_set_sink(&s->hub, &plan->events);
    s->event_fd = event_hub_open_pipe(&s->hub, &s->event_pipe, err);
    if (s->event_fd < 0)
        return false;
    snprintf(s->node, sizeof s->node, "%s", plan->node);
    event_log_init(&s->events, s->event_fd, s->node, &s->shared->counters[s->seat]);
    return child_start(&s->hub.writer, err);
}

static void init_timers(struct supervisor *s)
{
    timer_init(&s->tick, &s->loop, on_tick, s);
    timer_init(&s->ticket_keys, &s->loop, on_ticket_keys_due, s);
    timer_init(&s->flushing, &s->loop, on_flushing_due, s);
    timer_init(&s->ready, &s->loop, on_ready_due, s);
    task_init(&s->settle, settle, s);
    timer_start(&s->tick, loop_now_ms(&s->loop) + TICK_MS);
    timer_start(&s->ticket_keys, loop_now_ms(&s->loop) + s->times.ticket_keys_ms);
}

/* What must be there before the first child is forked. */
static bool prepare(struct supervisor *s, const struct process_plan *plan, struct err *err)
{
    log_set_level(plan->log_level);
    if (!privileges_find(&s->privileges, plan->user, err))
        return false;
    if (plan->state_dir && !privileges_make_dir(&s->privileges, plan->state_dir, err))
        return false;
    s->shared = shared_new(err);
    if (!s->shared || !loop_init(&s->loop, err))
        return false;
    s->has_loop = true;
    s->seat = shared_take_seat(s->shared, ROLE_SUPERVISOR);
    atomic_store(&s->shared->seats[s->seat].pid, getpid());
    atomic_store(&s->shared->started_wall_us, clock_wall_us());
    clock_steady_us(); /* begins here, for all children */
    tls_ticket_keys_init(&s->shared->ticket_keys);
    init_timers(s);
    if (!open_signals(s, err))
        return false;
    if (plan->pidfile) {
        if (!pidfile_write(plan->pidfile, getpid(), err))
            return false;
        snprintf(s->pidfile, sizeof s->pidfile, "%s", plan->pidfile);
    }
    return open_events(s, plan, err);
}

static void cleanup(struct supervisor *s)
{
    if (s->pidfile[0])
        pidfile_remove(s->pidfile, getpid());
    listeners_fini(&s->listeners);
    event_hub_fini(&s->hub);
    if (s->event_fd >= 0)
        close(s->event_fd);
    buf_fini(&s->events.line);
    buf_fini(&s->events.backlog);
    if (s->signal_fd >= 0) {
        watch_set(&s->signals, false, false);
        close(s->signal_fd);
    }
    if (s->has_loop)
        loop_fini(&s->loop);
    shared_free(&s->shared);
    buf_fini(&s->report);
    control_socket_fini(&s->control); /* last: who waits for the end looks for it here */
}

static void run(struct supervisor *s, struct process_plan *plan)
{
    struct err err = {0};
    if (prepare(s, plan, &err)) {
        reload_begin(s, plan);
        loop_run(&s->loop);
        return;
    }
    log_error("cannot start: %s%s%s", err.text, err.hint[0] ? ": " : "", err.hint);
    s->exit_code = 1;
    if (s->hub.writer.pid)
        child_kill(&s->hub.writer);
    s->bodies->unload(s->bodies->arg, plan);
    free(plan);
}

int supervisor_run(const struct process_bodies *bodies, const struct supervisor_times *times)
{
    struct err err = {0};
    struct supervisor *s = calloc(1, sizeof *s);
    struct process_plan *plan = calloc(1, sizeof *plan);
    if (!s || !plan)
        err_no_memory(&err);
    struct buf unread; /* what is said about the configuration has been logged */
    buf_init(&unread, RELOAD_REPORT_MAX_BYTES);
    if (!s || !plan || !bodies->load(bodies->arg, plan, &unread, &err)) {
        log_error("cannot start: %s", err.text);
        free(plan);
        free(s);
        buf_fini(&unread);
        return 1;
    }
    buf_fini(&unread);
    buf_init(&s->report, RELOAD_REPORT_MAX_BYTES);
    s->bodies = bodies;
    s->times = *times;
    s->signal_fd = s->event_fd = s->events.fd = -1;
    list_init(&s->generations);
    listeners_init(&s->listeners);
    control_socket_init(&s->control);
    run(s, plan);
    cleanup(s);
    int code = s->exit_code;
    free(s);
    return code;
}
