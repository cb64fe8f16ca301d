/* auth_process.c - the process that alone sees password hashes: auth/auth_service.h in a process of its own. */
#include "auth/auth_service.h"
#include "config/config.h"
#include "process/worker.h"

static struct auth_backend_setting setting_of(const struct config *cfg)
{
    return (struct auth_backend_setting){STR("file"), cfg->auth.file, str_of_z(cfg->auth.realm)};
}

/* A users file that is wrong refuses a configuration that is new, be it a start or a reload. In one that is in force it
 * is trouble that the administrator may mend while we run. */
static bool check_if_new(const struct process_context *ctx, const struct auth_backend_setting *setting, struct err *err)
{
    const struct auth_backend_kind *kind = auth_backend_kind_find(setting->kind);
    return !ctx->is_coming || !kind || kind->check(setting, err);
}

int auth_process_run(struct process_context *ctx)
{
    struct err err = {0};
    struct auth_backend_setting setting = setting_of(ctx->plan->config);
    struct auth_service_options options = {
        .backends = &setting,
        .backend_count = 1,
        .channels = ctx->auth_fds,
        .channel_count = ctx->auth_count,
        .stop_fd = ctx->control_fd,
    };
    bool ok = process_drop_privileges(ctx, &err) && check_if_new(ctx, &setting, &err);
    if (ok) {
        process_say_ready(ctx);
        ok = auth_service_run(&options, &err);
    }
    return ok ? 0 : process_say_failed(ctx, &err);
}
