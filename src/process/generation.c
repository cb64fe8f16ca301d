/* generation.c - see generation.h. */
#include "process/generation.h"

#include <stdlib.h>
#include <unistd.h>

#include "auth/auth_message.h"
#include "process/supervisor.h"
#include "stats/alert.h"

static void on_deadline(void *arg)
{
    struct generation *g = arg;
    if (g->was_told_to_quit) {
        generation_kill(g);
        return;
    }
    unsigned left = 0;
    for (unsigned i = 0; i < g->worker_count; i++)
        left += g->workers[i].pid != 0;
    log_warning("%u workers of generation %u did not finish in time: they are told to end at once", left, g->id);
    generation_quit(g, g->sup->times.quit_ms);
}

static void close_pairs(struct generation *g)
{
    for (unsigned i = 0; g->auth_pairs && i < g->worker_count; i++)
        for (int side = 0; side < 2; side++)
            if (g->auth_pairs[i][side] >= 0)
                close(g->auth_pairs[i][side]);
    free(g->auth_pairs);
    g->auth_pairs = NULL;
    for (int side = 0; side < 2; side++)
        if (g->alert_pair[side] >= 0)
            close(g->alert_pair[side]);
}

static bool open_pairs(struct generation *g, struct err *err)
{
    g->auth_pairs = calloc(MAX_OF(g->worker_count, 1u), sizeof *g->auth_pairs);
    if (!g->auth_pairs)
        return err_no_memory(err);
    for (unsigned i = 0; i < g->worker_count; i++)
        g->auth_pairs[i][0] = g->auth_pairs[i][1] = -1;
    for (unsigned i = 0; i < g->worker_count; i++)
        if (!auth_channel_open(g->auth_pairs[i], err))
            return false;
    return true;
}

/* ---- tables ---- */

static bool build_table(void *arg, size_t index, int file, int image, struct err *err)
{
    const struct generation *g = arg;
    const struct process_bodies *b = g->sup->bodies;
    return b->build_table(b->arg, g->plan, index, file, image, err);
}

static bool take_table(void *arg, size_t index, int image, struct err *err)
{
    const struct generation *g = arg;
    const struct process_bodies *b = g->sup->bodies;
    return b->take_table(b->arg, g->plan, index, image, err);
}

static void forget_tables(void *arg)
{
    const struct generation *g = arg;
    const struct process_bodies *b = g->sup->bodies;
    b->forget_tables(b->arg, g->plan);
}

static bool send_table(void *arg, size_t index, int image)
{
    const struct generation *g = arg;
    struct channel_message m = {.kind = CHANNEL_TABLE, .value = index};
    bool have_all = true;
    for (unsigned i = 0; i < g->worker_count; i++)
        if (g->workers[i].pid && channel_send(g->workers[i].channel.fd, &m, image) == IO_AGAIN)
            have_all = false;
    if (g->admin.pid && channel_send(g->admin.channel.fd, &m, image) == IO_AGAIN)
        have_all = false;
    return have_all;
}

static bool init_tables(struct generation *g, struct err *err)
{
    struct table_keeper_options options = {
        .tables = g->plan->tables,
        .count = g->plan->table_count,
        .times = &g->sup->times.tables,
        .privileges = &g->sup->privileges,
        .events = &g->sup->events,
        .build = build_table,
        .take = take_table,
        .send = send_table,
        .forget = forget_tables,
        .arg = g,
    };
    if (options.count == 0)
        return true;
    g->tables = table_keeper_new(&g->sup->loop, &options, err);
    return g->tables != NULL;
}

static bool send_certificate(void *arg, size_t index, int image)
{
    const struct generation *g = arg;
    struct channel_message m = {.kind = CHANNEL_CERTIFICATE, .value = index};
    bool have_all = true;
    for (unsigned i = 0; i < g->worker_count; i++)
        if (g->workers[i].pid && channel_send(g->workers[i].channel.fd, &m, image) == IO_AGAIN)
            have_all = false;
    return have_all;
}

static bool init_certificates(struct generation *g, struct err *err)
{
    if (g->plan->certificate_count == 0)
        return true;
    g->certificates = certificate_keeper_new(&g->sup->loop, g->plan->certificates, g->plan->certificate_count,
                                             g->sup->times.certificates_ms, send_certificate, g);
    return g->certificates || err_no_memory(err);
}

static bool init_children(struct generation *g, struct err *err)
{
    for (unsigned i = 0; i < g->worker_count; i++)
        if (!child_init(&g->workers[i], g->sup, g, ROLE_WORKER, i, err))
            return false;
    if (g->has_auth && (!open_pairs(g, err) || !child_init(&g->auth, g->sup, g, ROLE_AUTH, 0, err)))
        return false;
    if (g->has_admin && !child_init(&g->admin, g->sup, g, ROLE_ADMIN, 0, err))
        return false;
    return !g->has_alerts ||
           (alert_channel_open(g->alert_pair, err) && child_init(&g->alerts, g->sup, g, ROLE_ALERTS, 0, err));
}

struct generation *generation_new(struct supervisor *sup, struct process_plan *plan, uint32_t id, struct err *err)
{
    struct generation *g = calloc(1, sizeof *g + plan->workers * sizeof g->workers[0]);
    if (!g) {
        err_no_memory(err);
        sup->bodies->unload(sup->bodies->arg, plan);
        free(plan);
        return NULL;
    }
    g->sup = sup;
    g->id = id;
    g->plan = plan;
    g->worker_count = plan->workers;
    g->has_auth = plan->has_auth;
    g->has_alerts = plan->has_alerts;
    g->has_admin = plan->has_admin;
    g->alert_pair[0] = g->alert_pair[1] = -1;
    list_init(&g->node);
    timer_init(&g->deadline, &sup->loop, on_deadline, g);
    if (!init_children(g, err) || !init_tables(g, err) || !init_certificates(g, err))
        generation_free(&g);
    return g;
}

void generation_free(struct generation **at)
{
    struct generation *g = *at;
    if (!g)
        return;
    list_remove(&g->node);
    timer_cancel(&g->deadline);
    table_keeper_free(&g->tables);
    certificate_keeper_free(&g->certificates);
    for (unsigned i = 0; i < g->worker_count; i++)
        child_fini(&g->workers[i]);
    child_fini(&g->auth);
    child_fini(&g->alerts);
    child_fini(&g->admin);
    close_pairs(g);
    g->sup->bodies->unload(g->sup->bodies->arg, g->plan);
    free(g->plan);
    free(g);
    *at = NULL;
}

bool generation_start(struct generation *g, struct err *err)
{
    if ((g->has_auth && !child_start(&g->auth, err)) || (g->has_alerts && !child_start(&g->alerts, err)) ||
        (g->has_admin && !child_start(&g->admin, err)))
        return false;
    for (unsigned i = 0; i < g->worker_count; i++)
        if (!child_start(&g->workers[i], err))
            return false;
    return true;
}

void generation_give_added_sockets(struct generation *g)
{
    static struct process_socket added[PROCESS_LISTENERS_MAX * PROCESS_WORKERS_MAX];
    for (unsigned i = 0; i < g->worker_count; i++) {
        size_t n = listeners_added_to_worker(&g->sup->listeners, g->plan, i, added, COUNT_OF(added));
        for (size_t k = 0; k < n && g->workers[i].pid; k++) {
            struct channel_message m = {.kind = CHANNEL_SOCKET, .value = added[k].listener};
            if (channel_send(g->workers[i].channel.fd, &m, added[k].fd) != IO_OK)
                log_warning("%s does not keep up: clients may wait until it is replaced", g->workers[i].name);
        }
    }
}

bool generation_is_ready(const struct generation *g)
{
    for (unsigned i = 0; i < g->worker_count; i++)
        if (!g->workers[i].is_ready)
            return false;
    return (!g->has_auth || g->auth.is_ready) && (!g->has_alerts || g->alerts.is_ready) &&
           (!g->has_admin || g->admin.is_ready);
}

static bool has_workers(const struct generation *g)
{
    for (unsigned i = 0; i < g->worker_count; i++)
        if (g->workers[i].pid)
            return true;
    return false;
}

bool generation_is_over(const struct generation *g)
{
    return (g->state == GENERATION_DRAINING || g->state == GENERATION_KILLED) && !has_workers(g) && g->auth.pid == 0 &&
           g->alerts.pid == 0 && g->admin.pid == 0;
}

static void end_others_if_alone(struct generation *g)
{
    if (has_workers(g))
        return;
    if (g->has_auth)
        child_end(&g->auth, CHANNEL_QUIT, 0);
    if (g->has_alerts)
        child_end(&g->alerts, CHANNEL_QUIT, 0);
    if (g->has_admin && !g->is_retired)
        child_end(&g->admin, CHANNEL_QUIT, 0);
}

void generation_drain(struct generation *g, enum channel_kind how, uint64_t sweep_mask, int64_t limit_ms)
{
    g->state = GENERATION_DRAINING;
    if (g->tables)
        table_keeper_hush(g->tables);
    if (g->certificates)
        certificate_keeper_hush(g->certificates);
    for (unsigned i = 0; i < g->worker_count; i++)
        child_end(&g->workers[i], how, sweep_mask);
    if (g->has_admin && how == CHANNEL_RETIRE)
        child_end(&g->admin, how, 0);
    g->is_retired |= how == CHANNEL_RETIRE;
    end_others_if_alone(g);
    timer_start(&g->deadline, loop_now_ms(&g->sup->loop) + limit_ms);
}

void generation_quit(struct generation *g, int64_t limit_ms)
{
    if (g->state == GENERATION_KILLED)
        return;
    g->state = GENERATION_DRAINING;
    g->was_told_to_quit = true;
    for (unsigned i = 0; i < g->worker_count; i++)
        child_end(&g->workers[i], CHANNEL_QUIT, 0);
    g->is_retired = false; /* its admin process ends with the others now */
    end_others_if_alone(g);
    timer_start(&g->deadline, loop_now_ms(&g->sup->loop) + limit_ms);
}

void generation_kill(struct generation *g)
{
    g->state = GENERATION_KILLED;
    timer_cancel(&g->deadline);
    for (unsigned i = 0; i < g->worker_count; i++)
        child_kill(&g->workers[i]);
    if (g->has_auth)
        child_kill(&g->auth);
    if (g->has_alerts)
        child_kill(&g->alerts);
    if (g->has_admin)
        child_kill(&g->admin);
}

void generation_child_ended(struct generation *g, struct child *c)
{
    switch (g->state) {
    case GENERATION_COMING:
        reload_fail(g->sup, child_epitaph(c));
        break;
    case GENERATION_CURRENT:
        child_restart(c);
        break;
    case GENERATION_DRAINING:
        /* logins and alerts of those who are still served go on; and who stops the service may ask how it goes */
        if (c->role != ROLE_WORKER && has_workers(g) && !(c->role == ROLE_ADMIN && g->is_retired))
            child_restart(c);
        else
            end_others_if_alone(g);
        break;
    case GENERATION_KILLED:
        break;
    }
}
