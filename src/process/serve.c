/* serve.c - see process.h. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "config/starter.h"
#include "process/admin_process.h"
#include "process/alert_process.h"
#include "process/node_limits.h"
#include "process/process.h"
#include "process/serve_tables.h"
#include "process/supervisor.h"
#include "process/worker.h"

struct service {
    const struct serve_options *options;
    struct node_limits limits;
};

/* ---- from a file to a plan ---- */

static void print_report(struct diagnostics *d, struct buf *report)
{
    if (!diag_print(d, report))
        log_error("no memory to print what is wrong with the configuration");
    else if (buf_len(report)) /* an empty buffer has no memory */
        fwrite(buf_str(report).ptr, 1, buf_len(report), stderr);
}

static struct config *load_config(const struct serve_options *o, struct buf *report, struct err *err)
{
    struct source_set sources;
    struct diagnostics d;
    struct config_options options = {o->is_try ? CONFIG_TRY : CONFIG_SERVE, o->try_dir};
    source_set_init(&sources, starter_builtins, starter_builtin_count);
    diag_init(&d, &sources);
    struct config *cfg = config_load(o->config_path, &options, &sources, &d);
    print_report(&d, report);
    if (!cfg)
        err_set(err, "%s has %zu error%s", o->config_path, d.error_count, d.error_count == 1 ? "" : "s");
    diag_fini(&d);
    source_set_fini(&sources);
    return cfg;
}

_Static_assert((int)CONFIG_ENDPOINTS_MAX <= (int)PROCESS_LISTENERS_MAX, "a configuration has room in a plan");
_Static_assert((int)CONFIG_CERTIFICATES_MAX <= (int)PROCESS_CERTIFICATES_MAX, "likewise its certificates");

static void fill_listeners(struct process_plan *plan, const struct config *cfg)
{
    for (size_t i = 0; i < cfg->listener_count; i++)
        for (size_t k = 0; k < cfg->listeners[i].endpoint_count; k++)
            plan->listeners[plan->listener_count++] = (struct process_listener){cfg->listeners[i].endpoints[k], i};
}

static void fill_plan(struct process_plan *plan, struct config *cfg)
{
    *plan = (struct process_plan){
        .config_path = cfg->path,
        .node = cfg->hostname,
        .user = cfg->user,
        .state_dir = cfg->state_dir,
        .pidfile = cfg->pidfile,
        .workers = cfg->workers,
        .max_connections = cfg->max_connections,
        .has_auth = cfg->auth.file != NULL,
        .has_alerts = cfg->alert_count > 0,
        .has_admin = true,
        .control = cfg->control.path,
        .control_is_default = cfg->control.is_default,
        .events = {cfg->events.sink == EVENT_SINK_FILE ? cfg->events.file : NULL, cfg->events.rotate_bytes,
                   cfg->events.keep,
                   cfg->events.sink == EVENT_SINK_SYSLOG    ? EVENT_LOG_SYSLOG
                   : cfg->events.sink == EVENT_SINK_JOURNAL ? EVENT_LOG_JOURNAL
                                                            : EVENT_LOG_NONE},
        .drain_ms = cfg->timeout.session_ms,
        .log_level = cfg->log_level,
        .certificates = cfg->certificates,
        .certificate_count = cfg->certificate_count,
        .config = cfg,
    };
}

static bool load(void *arg, struct process_plan *plan, struct buf *report, struct err *err)
{
    struct service *s = arg;
    struct config *cfg = load_config(s->options, report, err);
    if (!cfg)
        return false;
    fill_plan(plan, cfg);
    fill_listeners(plan, cfg);
    if (node_limits_prepare(&s->limits, cfg, err) && serve_tables_fill(plan, cfg, err))
        return true;
    config_free(&cfg);
    return false;
}

static void unload(void *arg, struct process_plan *plan)
{
    (void)arg;
    struct config *cfg = plan->config;
    serve_tables_free(plan);
    config_free(&cfg);
}

/* ---- the processes ---- */

static int run_worker(void *arg, struct process_context *ctx)
{
    struct service *s = arg;
    return worker_run(ctx, &s->limits);
}

static int run_auth(void *arg, struct process_context *ctx)
{
    struct service *s = arg;
    node_limits_unmap(&s->limits); /* it has no business there */
    return auth_process_run(ctx);
}

static int run_alerts(void *arg, struct process_context *ctx)
{
    struct service *s = arg;
    node_limits_unmap(&s->limits); /* nor it */
    return alert_process_run(ctx);
}

static int run_admin(void *arg, struct process_context *ctx)
{
    struct service *s = arg;
    return admin_process_run(ctx, &s->limits);
}

static void on_worker_end(void *arg, uint32_t worker_id)
{
    struct service *s = arg;
    node_limits_release(&s->limits, worker_id);
}

int process_serve(const struct serve_options *options)
{
    struct service service = {.options = options};
    struct process_bodies bodies = {.load = load,
                                    .unload = unload,
                                    .worker = run_worker,
                                    .auth = run_auth,
                                    .alerts = run_alerts,
                                    .admin = run_admin,
                                    .on_worker_end = on_worker_end,
                                    .build_table = serve_build_table,
                                    .take_table = serve_take_table,
                                    .forget_tables = serve_forget_tables,
                                    .arg = &service};
    int code = supervisor_run(&bodies, &SUPERVISOR_TIMES);
    node_limits_free(&service.limits);
    return code;
}
