/* admin_process.c - see admin_process.h. */
#include "process/admin_process.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/admin.h"
#include "base/log.h"
#include "limits/outage.h"
#include "process/node_keeper.h"
#include "process/node_limits.h"
#include "process/pulse.h"
#include "process/supervisor.h"
#include "process/worker_tables.h"

enum { UIDS_MAX = 3 };

struct admin_process {
    struct process_context *ctx;
    const struct config *config;
    struct loop loop;
    struct channel channel;
    struct pulse pulse;
    struct resolver *resolver;
    const struct node_limits *limits;
    struct limits_way way;
    struct node_keeper keeper;
    bool is_retired;
    struct worker_tables *tables;
    struct admin admin;
    struct control_options options;
    uid_t uids[UIDS_MAX];
    struct control *control;
};

/* ---- what the handlers ask of the service ---- */

static void tell_state(void *arg, struct admin_state *state)
{
    struct admin_process *p = arg;
    struct shared *shared = p->ctx->shared;
    *state = (struct admin_state){
        .started_us = atomic_load(&shared->started_wall_us),
        .loaded_us = atomic_load(&shared->loaded_wall_us),
        .generation = atomic_load(&shared->generation),
        .supervisor_pid = p->ctx->supervisor_pid,
        .is_stopping = atomic_load(&shared->is_stopping),
    };
}

static void describe(const struct admin_process *p, int seat_number, struct admin_process_row *row)
{
    struct shared_seat *seat = &p->ctx->shared->seats[seat_number];
    enum process_role role = atomic_load(&seat->role);
    *row = (struct admin_process_row){
        .pid = atomic_load(&seat->pid),
        .generation = atomic_load(&seat->generation),
        .restarts = atomic_load(&seat->restarts),
        .started_us = role == ROLE_SUPERVISOR ? atomic_load(&p->ctx->shared->started_wall_us)
                                              : atomic_load(&seat->started_wall_us),
        .is_worker = role == ROLE_WORKER,
        .open_connections = atomic_load(&p->ctx->shared->counters[seat_number].values[COUNTER_OPEN_CONNECTIONS]),
    };
    if (row->is_worker)
        snprintf(row->name, sizeof row->name, "worker %u", atomic_load(&seat->slot) + 1);
    else
        snprintf(row->name, sizeof row->name, "%s", process_role_name(role));
}

static size_t list_processes(void *arg, struct admin_process_row *to, size_t max)
{
    const struct admin_process *p = arg;
    size_t count = 0;
    for (int i = 0; i < COUNTER_SLOTS && count < max; i++)
        if (atomic_load(&p->ctx->shared->seats[i].role) != ROLE_NONE)
            describe(p, i, &to[count++]);
    return count;
}

/* Beyond SHARED_SERVERS_MAX nobody has said anything. */
static struct admin_health look_at_server(void *arg, size_t server)
{
    const struct admin_process *p = arg;
    struct admin_health health = {0, 0};
    for (int i = 0; i < COUNTER_SLOTS && server < SHARED_SERVERS_MAX; i++) {
        struct shared_seat *seat = &p->ctx->shared->seats[i];
        if (atomic_load(&seat->role) != ROLE_WORKER || atomic_load(&seat->generation) != p->ctx->generation)
            continue;
        uint8_t seen = atomic_load(&seat->servers[server]);
        health.up += seen == MTA_HEALTH_UP;
        health.down += seen == MTA_HEALTH_DOWN;
    }
    return health;
}

static bool ask_reload(void *arg, uint64_t id)
{
    const struct admin_process *p = arg;
    return channel_tell(p->ctx->control_fd, CHANNEL_RELOAD, id, 0, NULL) == IO_OK;
}

static bool ask_stop(void *arg, const char *why)
{
    const struct admin_process *p = arg;
    return channel_tell(p->ctx->control_fd, CHANNEL_STOP, 0, 0, why) == IO_OK;
}

/* ---- messages and time ---- */

static void keep(struct admin_process *p)
{
    struct err err;
    if (!node_keeper_begin(&p->keeper, p->limits, p->config, p->way.redis, &p->loop, &p->pulse.events, &err))
        log_error("%s: what this node counts by itself while Redis is away is not told to Redis", err.text);
    p->admin.keeper = p->keeper.keeper;
}

static void begin(struct admin_process *p)
{
    keep(p);
    if (p->ctx->admin_fd >= 0)
        control_listen(p->control, p->ctx->admin_fd);
}

/* What was said about the configuration; not NULL: it could be read. */
static bool read_report(int fd, struct buf *report)
{
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size <= 0 || st.st_size > RELOAD_REPORT_MAX_BYTES)
        return false;
    char *to = buf_reserve(report, (size_t)st.st_size);
    if (!to || pread(fd, to, (size_t)st.st_size, 0) != st.st_size)
        return false;
    buf_commit(report, (size_t)st.st_size);
    return true;
}

static void pass_on(struct admin_process *p, const struct channel_message *m, int report_fd)
{
    struct buf report;
    buf_init(&report, RELOAD_REPORT_MAX_BYTES);
    struct str text = read_report(report_fd, &report) ? buf_str(&report) : STR("");
    admin_reload_done(&p->admin, m->id, m->value != 0, str_of_z(m->text), text);
    buf_fini(&report);
}

/* The node has left, or the supervisor is gone. */
static void stop(void *arg)
{
    struct admin_process *p = arg;
    loop_stop(&p->loop);
}

static void on_message(void *arg, const struct channel_message *m, int passed_fd)
{
    struct admin_process *p = arg;
    switch (m->kind) {
    case CHANNEL_IN_FORCE:
        begin(p);
        break;
    case CHANNEL_OUTCOME:
        pass_on(p, m, passed_fd);
        break;
    case CHANNEL_TABLE:
        if (passed_fd >= 0)
            worker_tables_take(p->tables, m->value, passed_fd);
        break;
    case CHANNEL_RETIRE:
        p->is_retired = true;
        node_keeper_rest(&p->keeper);
        control_retire(p->control);
        break;
    case CHANNEL_QUIT:
        if (p->is_retired || !node_keeper_leave(&p->keeper, stop, p))
            loop_stop(&p->loop);
        break;
    default:
        break;
    }
    if (passed_fd >= 0)
        close(passed_fd);
}

static void on_empty(void *arg)
{
    struct admin *admin = arg;
    loop_stop(admin->loop);
}

/* ---- life ---- */

/* Root, the user of the service, and who started it: where it was not root that is the same user. */
static void fill_uids(struct admin_process *p)
{
    p->uids[p->options.uid_count++] = 0;
    p->uids[p->options.uid_count++] = p->ctx->privileges->account.uid;
    p->options.uids = p->uids;
}

static bool make_limits(struct admin_process *p, struct err *err)
{
    p->resolver = resolver_new(&p->loop, err);
    return p->resolver && limits_way_open(&p->way, p->limits, p->config, p->ctx->worker_id, &p->loop, p->resolver,
                                          &p->pulse.events, err);
}

static bool make_control(struct admin_process *p, struct err *err)
{
    p->options.rows = admin_requests;
    p->options.row_count = admin_request_count;
    p->options.on_empty = on_empty;
    p->options.arg = &p->admin;
    fill_uids(p);
    p->control = control_new(&p->loop, &p->options);
    return p->control || err_no_memory(err);
}

static bool join(struct admin_process *p, struct err *err)
{
    static struct admin_service service = {.state = tell_state,
                                           .processes = list_processes,
                                           .health = look_at_server,
                                           .reload = ask_reload,
                                           .stop = ask_stop};
    if (!process_drop_privileges(p->ctx, err) || !loop_init(&p->loop, err))
        return false;
    pulse_init(&p->pulse, &p->loop, p->ctx, p->config->hostname, NULL, NULL);
    channel_open(&p->channel, &p->loop, p->ctx->control_fd, on_message, stop, p);
    p->tables = worker_tables_new(&p->loop, p->config->policy, err);
    if (!p->tables || !make_limits(p, err) || !make_control(p, err))
        return false;
    service.arg = p;
    p->admin = (struct admin){
        .loop = &p->loop,
        .config = p->config,
        .service = &service,
        .counters = p->ctx->shared->counters,
        .store = &p->way.store,
        .store_memory = p->limits->memory,
        .redis = p->way.redis,
        .outage = p->limits->outage,
        .bans = p->limits->bans,
        .allowances = p->limits->allowances,
        .events = &p->pulse.events,
    };
    admin_init(&p->admin);
    /* The workers of a first generation wait for Redis to be settled; on a reload another keeper has seen to that. */
    if (p->limits->outage && !outage_is_over(p->limits->outage))
        keep(p);
    return true;
}

static void part(struct admin_process *p)
{
    control_free(&p->control);
    worker_tables_free(&p->tables);
    limits_way_close(&p->way);
    admin_fini(&p->admin);
    node_keeper_end(&p->keeper);
    resolver_free(&p->resolver);
    pulse_fini(&p->pulse);
    channel_close(&p->channel);
    loop_fini(&p->loop);
}

int admin_process_run(struct process_context *ctx, const struct node_limits *limits)
{
    static struct admin_process process; /* lasts as long as the process, also while it exits */
    struct admin_process *p = &process;
    struct err err = {0};
    p->ctx = ctx;
    p->config = ctx->plan->config;
    p->limits = limits;
    if (!join(p, &err))
        return process_say_failed(ctx, &err);
    pulse_begin(&p->pulse);
    if (!ctx->is_coming)
        begin(p);
    process_say_ready(ctx);
    loop_run(&p->loop);
    part(p);
    return 0;
}
