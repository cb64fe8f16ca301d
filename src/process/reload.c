/*
 * reload.c - from a configuration to a generation in force, at the start and at each reload.
 *
 *   load ─ check ─ bind what is new ─ try the event file ─ fork ─▶ all READY ─▶ commit
 *     └───────┴────────────┴──────────────────┴──────────────┴──── refuse: everything is as it was
 *
 * Until the commit both generations accept from the same sockets; then the old one drains.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "process/supervisor.h"

static bool same_text(const char *a, const char *b)
{
    return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

static bool same_sink(const struct event_sink_options *a, const struct event_sink_options *b)
{
    return same_text(a->file, b->file) && a->rotate_bytes == b->rotate_bytes && a->keep == b->keep && a->log == b->log;
}

/* What a running service cannot change: who it is, and what was made for that user at the start. */
static bool check_unchanged(const struct process_plan *now, const struct process_plan *plan, struct err *err)
{
    const struct {
        const char *statement, *before, *after;
    } FIXED[] = {
        {"user", now->user, plan->user},
        {"state", now->state_dir, plan->state_dir},
        {"pidfile", now->pidfile, plan->pidfile},
    };
    for (size_t i = 0; i < COUNT_OF(FIXED); i++)
        if (!same_text(FIXED[i].before, FIXED[i].after))
            return err_set(err, "`%s` cannot be changed by a reload: restart the service", FIXED[i].statement);
    return true;
}

static bool check_plan(const struct supervisor *s, const struct process_plan *plan, struct err *err)
{
    if (plan->workers < 1 || plan->workers > PROCESS_WORKERS_MAX)
        return err_set(err, "`workers` is %u, it may be 1 to %d", plan->workers, PROCESS_WORKERS_MAX);
    if (plan->events.file && strlen(plan->events.file) >= CHANNEL_TEXT_MAX)
        return err_set(err, "the name of the event file is longer than %d bytes", CHANNEL_TEXT_MAX - 1);
    for (size_t i = 0; i < plan->listener_count; i++)
        for (size_t k = 0; k < i; k++)
            if (endpoint_equal(&plan->listeners[i].at, &plan->listeners[k].at)) {
                char text[ENDPOINT_TEXT_MAX];
                return err_set(err, "two listeners have the endpoint " PRI_STR,
                               STR_ARG(endpoint_format(&plan->listeners[i].at, text)));
            }
    return !s->current || check_unchanged(s->current->plan, plan, err);
}

/* ---- who asked ---- */

/* -1: there is nothing to read, or it cannot be handed over; what matters is in the message. */
static int report_file(const struct buf *report)
{
    if (buf_len(report) == 0)
        return -1;
    int fd = memfd_create("report", MFD_CLOEXEC);
    struct str text = buf_str(report);
    if (fd >= 0 && write(fd, text.ptr, text.len) == (ssize_t)text.len)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static void tell_asker(struct supervisor *s, const struct reload_asker *asker, bool ok, const char *why, int report)
{
    struct channel_message m = {.kind = CHANNEL_OUTCOME, .id = asker->id, .value = ok};
    strncat(m.text, why, sizeof m.text - 1);
    LIST_EACH(node, &s->generations)
    {
        struct generation *g = CONTAINER_OF(node, struct generation, node);
        if (g->admin.pid == asker->pid && channel_send(g->admin.channel.fd, &m, report) != IO_OK)
            log_warning("who asked for the reload cannot be told what came of it");
    }
}

void reload_answer(struct supervisor *s, bool ok, const char *why)
{
    int report = s->asker_count ? report_file(&s->report) : -1;
    size_t left = 0;
    for (size_t i = 0; i < s->asker_count; i++) {
        struct reload_asker asker = s->askers[i];
        if (!asker.is_next || s->state != SUPERVISOR_RUNNING) {
            tell_asker(s, &asker, ok, why, report);
            continue;
        }
        asker.is_next = false; /* now it begins */
        s->askers[left++] = asker;
    }
    s->asker_count = left;
    if (report >= 0)
        close(report);
    buf_clear(&s->report);
}

void reload_ask(struct supervisor *s, const struct child *c, uint64_t id)
{
    struct reload_asker asker = {.pid = c->pid, .id = id, .is_next = s->coming != NULL};
    if (s->state != SUPERVISOR_RUNNING || s->asker_count == RELOAD_ASKERS_MAX) {
        tell_asker(s, &asker, false,
                   s->state == SUPERVISOR_RUNNING ? "too many ask at once" : "the service is stopping", -1);
        return;
    }
    s->askers[s->asker_count++] = asker;
    reload_start(s);
}

/* ---- how it goes ---- */

static void write_event(struct supervisor *s, const char *result, const char *text)
{
    event_begin(&s->events, "reload", clock_wall_us());
    event_z(&s->events, "result", result);
    event_uint(&s->events, "generation", s->current ? s->current->id : 0);
    event_z(&s->events, "text", text);
    event_end(&s->events);
}

static void refuse(struct supervisor *s, const char *why)
{
    if (s->state == SUPERVISOR_STARTING) {
        log_error("cannot start: %s", why);
        s->exit_code = 1;
        supervisor_stop(s, why);
        return;
    }
    log_error("the reload is refused, everything stays as it was: %s", why);
    write_event(s, "failed", why);
    reload_answer(s, false, why);
    if (s->reload_again) {
        s->reload_again = false;
        reload_start(s);
    }
}

static void refuse_err(struct supervisor *s, const struct err *err)
{
    char text[sizeof err->text + sizeof err->hint + 4];
    snprintf(text, sizeof text, "%s%s%s", err->text, err->hint[0] ? ": " : "", err->hint);
    refuse(s, text);
}

static void try_sink(struct supervisor *s, const struct generation *g)
{
    s->awaits_sink = !same_sink(&g->plan->events, &s->hub.sink);
    if (s->awaits_sink)
        event_hub_try_sink(&s->hub, &g->plan->events, g->id);
}

/* The limit is one process's. A worker: its share of the clients, each with a connection to the MTA. The supervisor:
 * every listening socket, and of up to four generations the channels and pipes. */
static void allow_files(const struct process_plan *plan)
{
    struct err err = {0};
    uint64_t of_worker = 2 * ((uint64_t)plan->max_connections / plan->workers + 1);
    uint64_t of_supervisor = plan->workers * (plan->listener_count + (size_t)4 * GENERATIONS_MAX);
    if (!privileges_allow_files(of_worker + of_supervisor + 512, &err))
        log_warning("%s: %s", err.text, err.hint);
}

void reload_begin(struct supervisor *s, struct process_plan *plan)
{
    struct err err = {0};
    bool ok = check_plan(s, plan, &err);
    if (ok) {
        ok = listeners_prepare(&s->listeners, plan, &err);
        if (s->current)
            generation_give_added_sockets(s->current);
        if (ok && !control_socket_prepare(&s->control, plan, &s->privileges, &err)) {
            listeners_rollback(&s->listeners);
            ok = false;
        }
    }
    if (!ok) {
        s->bodies->unload(s->bodies->arg, plan);
        free(plan);
        refuse_err(s, &err);
        return;
    }
    allow_files(plan);
    struct generation *g = generation_new(s, plan, ++s->last_generation, &err);
    if (!g) {
        listeners_rollback(&s->listeners);
        control_socket_rollback(&s->control);
        refuse_err(s, &err);
        return;
    }
    list_add_last(&s->generations, &g->node);
    s->coming = g;
    timer_start(&s->ready, loop_now_ms(&s->loop) + s->times.ready_ms);
    try_sink(s, g);
    if (!generation_start(g, &err))
        reload_fail(s, err.text);
}

void reload_start(struct supervisor *s)
{
    struct err err = {0};
    if (s->state != SUPERVISOR_RUNNING)
        return;
    if (s->coming) {
        s->reload_again = true; /* what is being started may already be old */
        return;
    }
    log_info("reloading the configuration");
    struct process_plan *plan = calloc(1, sizeof *plan);
    buf_clear(&s->report);
    if (plan && s->bodies->load(s->bodies->arg, plan, &s->report, &err)) {
        reload_begin(s, plan);
        return;
    }
    if (!plan)
        err_no_memory(&err);
    free(plan);
    refuse_err(s, &err);
}

static unsigned count_living(const struct supervisor *s)
{
    unsigned n = 0;
    LIST_EACH(node, &s->generations)
    n += CONTAINER_OF(node, struct generation, node)->state != GENERATION_KILLED;
    return n;
}

/* Old generations that are many (somebody reloads every minute while sessions last an hour) end early, so that there is
 * room for one that is coming. */
static void end_oldest(struct supervisor *s)
{
    unsigned living = count_living(s);
    LIST_EACH(node, &s->generations)
    {
        struct generation *g = CONTAINER_OF(node, struct generation, node);
        if (living < GENERATIONS_MAX)
            return;
        if (g->state != GENERATION_DRAINING)
            continue;
        log_warning("%u generations are running: generation %u is ended with the sessions it still has", living, g->id);
        generation_kill(g);
        living--;
    }
}

static void say_started(struct supervisor *s, const struct process_plan *plan)
{
    event_begin(&s->events, "start", clock_wall_us());
    event_z(&s->events, "version", MAILWEIR_VERSION);
    event_uint(&s->events, "pid", (uint64_t)getpid());
    event_uint(&s->events, "workers", plan->workers);
    event_open_array(&s->events, "listeners");
    for (size_t i = 0; i < plan->listener_count; i++) {
        char text[ENDPOINT_TEXT_MAX];
        event_str(&s->events, NULL, endpoint_format(&plan->listeners[i].at, text));
    }
    event_close_array(&s->events);
    event_z(&s->events, "config", plan->config_path);
    event_end(&s->events);
    log_info("version %s is ready: %u workers, %zu endpoint%s, configuration %s", MAILWEIR_VERSION, plan->workers,
             plan->listener_count, plan->listener_count == 1 ? "" : "s", plan->config_path);
}

static void commit(struct supervisor *s)
{
    struct generation *old = s->current, *g = s->coming;
    const struct process_plan *plan = g->plan;
    timer_cancel(&s->ready);
    s->coming = NULL;
    s->current = g;
    g->state = GENERATION_CURRENT;
    atomic_store(&s->shared->loaded_wall_us, clock_wall_us());
    atomic_store(&s->shared->generation, g->id);
    log_set_level(plan->log_level);
    snprintf(s->node, sizeof s->node, "%s", plan->node);
    if (!same_sink(&plan->events, &s->hub.sink)) {
        event_hub_set_sink(&s->hub, &plan->events);
        channel_tell(s->hub.writer.channel.fd, CHANNEL_SINK_TAKE, g->id, 0, NULL);
    }
    listeners_commit(&s->listeners, plan);
    control_socket_commit(&s->control);
    if (g->has_admin)
        channel_tell(g->admin.channel.fd, CHANNEL_IN_FORCE, 0, 0, NULL);
    if (old)
        generation_drain(old, CHANNEL_RETIRE, listeners_gone(old->plan, plan),
                         MIN_OF(old->plan->drain_ms, s->times.reload_drain_ms));
    end_oldest(s);
    if (s->state == SUPERVISOR_STARTING) {
        s->state = SUPERVISOR_RUNNING;
        s->has_started = true;
        say_started(s, plan);
    } else {
        log_info("the new configuration is in force (generation %u)", g->id);
        write_event(s, "ok", NULL);
    }
    reload_answer(s, true, "");
    if (s->reload_again) {
        s->reload_again = false;
        reload_start(s);
    }
}

void reload_check(struct supervisor *s)
{
    if (s->coming && !s->awaits_sink && s->hub.writer.is_ready && generation_is_ready(s->coming))
        commit(s);
}

void reload_writer_ready(struct supervisor *s)
{
    if (s->coming)
        try_sink(s, s->coming); /* its predecessor took the question along */
    reload_check(s);
}

void reload_sink_answer(struct supervisor *s, const struct channel_message *m)
{
    if (m->id == 0 && s->state == SUPERVISOR_STARTING)
        reload_fail(s, m->text);
    else if (m->id == 0)
        log_error("%s; tried again while there are events", m->text);
    if (!s->coming || m->id != s->coming->id || !s->awaits_sink)
        return;
    if (m->kind == CHANNEL_SINK_BAD) {
        reload_fail(s, m->text);
        return;
    }
    s->awaits_sink = false;
    reload_check(s);
}

void reload_abandon(struct supervisor *s)
{
    struct generation *g = s->coming;
    if (!g)
        return;
    s->coming = NULL;
    s->awaits_sink = false;
    timer_cancel(&s->ready);
    generation_kill(g);
    listeners_rollback(&s->listeners);
    control_socket_rollback(&s->control);
    if (s->hub.writer.pid)
        channel_tell(s->hub.writer.channel.fd, CHANNEL_SINK_DROP, g->id, 0, NULL);
}

void reload_fail(struct supervisor *s, const char *why)
{
    char text[CHANNEL_TEXT_MAX]; /* why may lie in what is given up here */
    snprintf(text, sizeof text, "%s", why);
    if (!s->coming)
        return;
    reload_abandon(s);
    refuse(s, text);
}
