/* alert_process.c - see alert_process.h. */
#include "process/alert_process.h"

#include <stdlib.h>
#include <unistd.h>

#include "process/alert_ways.h"

enum {
    ENDING_MS = 5000,
    READS_MAX = 256, /* messages in a turn */
    MAIL_CONNECTIONS_MAX = 2
};

struct sender {
    struct process_context *ctx;
    const struct config *config;
    struct loop loop;
    struct channel channel;
    struct watch messages;
    struct timer ending;
    struct alert_ways ways;
    struct mta_pool_options pool_options;
    struct resolver *resolver;
    struct tls_context *tls;
    struct alert_outlet *outlets; /* [config->alert_count] */
    bool is_ending;
    char space[ALERT_MESSAGE_MAX_BYTES];
};

/* ---- messages ---- */

static void read_messages(struct sender *s, size_t max)
{
    struct alert_message m;
    for (size_t i = 0; i < max; i++) {
        enum io_result r = alert_message_receive(s->ctx->alert_fd, s->space, &m);
        if (r == IO_OK && m.target < s->config->alert_count)
            alert_outlet_take(&s->outlets[m.target], &m);
        if (r == IO_EOF || r == IO_FAILED)
            watch_set(&s->messages, false, false); /* the supervisor and all workers are dead */
        if (r != IO_OK)
            return;
    }
}

static void on_messages(void *arg, bool readable, bool writable)
{
    (void)writable;
    if (readable)
        read_messages(arg, READS_MAX);
}

/* ---- the end ---- */

static bool all_idle(const struct sender *s)
{
    for (size_t i = 0; i < s->config->alert_count; i++)
        if (!alert_outlet_is_idle(&s->outlets[i]))
            return false;
    return true;
}

static void on_idle(void *arg)
{
    struct sender *s = arg;
    if (s->is_ending && all_idle(s))
        loop_stop(&s->loop);
}

static void on_ending_due(void *arg)
{
    struct sender *s = arg;
    loop_stop(&s->loop);
}

/* No worker is left: what they said is all there is. */
static void begin_end(struct sender *s)
{
    if (s->is_ending)
        return;
    s->is_ending = true;
    read_messages(s, SIZE_MAX);
    watch_set(&s->messages, false, false);
    for (size_t i = 0; i < s->config->alert_count; i++)
        alert_outlet_end(&s->outlets[i]);
    timer_start(&s->ending, loop_now_ms(&s->loop) + ENDING_MS);
}

static void on_message(void *arg, const struct channel_message *m, int passed_fd)
{
    if (passed_fd >= 0)
        close(passed_fd);
    if (m->kind == CHANNEL_QUIT)
        begin_end(arg);
}

static void on_supervisor_gone(void *arg)
{
    begin_end(arg);
}

/* ---- life ---- */

static bool has_kind(const struct config *cfg, enum alert_kind kind)
{
    for (size_t i = 0; i < cfg->alert_count; i++)
        if (cfg->alerts[i].kind == kind)
            return true;
    return false;
}

/* The administrator's keys may be readable by root only. */
static bool make_tls(struct sender *s, struct err *err)
{
    const struct mta_pool_options *o = &s->config->pools[s->config->default_pool];
    struct tls_client_options client = {o->tls == MTA_TLS_VERIFY, o->ca_file};
    if (!has_kind(s->config, ALERT_MAIL) || o->tls == MTA_TLS_OFF)
        return true;
    s->tls = tls_client_new(&client, err);
    return s->tls != NULL;
}

/* The pool `default` as it is, but that these mails are ours: there is no client to present. */
static bool make_pool(struct sender *s, struct err *err)
{
    if (!has_kind(s->config, ALERT_MAIL))
        return true;
    s->pool_options = s->config->pools[s->config->default_pool];
    s->pool_options.xforward = false;
    s->pool_options.xclient = MTA_XCLIENT_OFF;
    s->pool_options.max_connections = MAIL_CONNECTIONS_MAX;
    s->resolver = resolver_new(&s->loop, err);
    if (!s->resolver)
        return false;
    s->ways.pool = mta_pool_new(&s->loop, &s->pool_options, s->resolver, s->tls, NULL);
    return s->ways.pool || err_no_memory(err);
}

static bool make_outlets(struct sender *s, struct err *err)
{
    s->outlets = calloc(s->config->alert_count, sizeof *s->outlets);
    if (!s->outlets)
        return err_no_memory(err);
    for (size_t i = 0; i < s->config->alert_count; i++) {
        s->outlets[i] = (struct alert_outlet){.config = &s->config->alerts[i],
                                              .way = alert_way_of(s->config->alerts[i].kind),
                                              .ways = &s->ways,
                                              .times = &ALERT_TIMES,
                                              .loop = &s->loop,
                                              .rates = &s->ctx->shared->alert_rates,
                                              .counters = s->ctx->counters,
                                              .on_idle = on_idle,
                                              .arg = s};
        alert_outlet_init(&s->outlets[i]);
    }
    return true;
}

static bool join(struct sender *s, struct err *err)
{
    if (!make_tls(s, err) || !process_drop_privileges(s->ctx, err) || !loop_init(&s->loop, err))
        return false;
    s->ways.loop = &s->loop;
    s->ways.config = s->config;
    log_socket_init(&s->ways.syslog, LOG_SOCKET_SYSLOG, CONFIG_SYSLOG_SOCKET);
    timer_init(&s->ending, &s->loop, on_ending_due, s);
    channel_open(&s->channel, &s->loop, s->ctx->control_fd, on_message, on_supervisor_gone, s);
    if (has_kind(s->config, ALERT_WEBHOOK)) {
        s->ways.hooks = alert_hooks_new(&s->loop, err);
        if (!s->ways.hooks)
            return false;
    }
    if (!make_pool(s, err) || !make_outlets(s, err))
        return false;
    watch_init(&s->messages, &s->loop, s->ctx->alert_fd, on_messages, s);
    watch_set(&s->messages, true, false);
    return true;
}

static void part(struct sender *s)
{
    for (size_t i = 0; i < s->config->alert_count; i++)
        alert_outlet_fini(&s->outlets[i]);
    free(s->outlets);
    alert_hooks_free(&s->ways.hooks);
    mta_pool_free(&s->ways.pool);
    resolver_free(&s->resolver);
    tls_free(&s->tls);
    log_socket_close(&s->ways.syslog);
    watch_set(&s->messages, false, false);
    timer_cancel(&s->ending);
    channel_close(&s->channel);
    loop_fini(&s->loop);
}

int alert_process_run(struct process_context *ctx)
{
    static struct sender sender; /* lasts as long as the process, also while it exits */
    struct sender *s = &sender;
    struct err err = {0};
    s->ctx = ctx;
    s->config = ctx->plan->config;
    if (!join(s, &err))
        return process_say_failed(ctx, &err);
    process_say_ready(ctx);
    loop_run(&s->loop);
    part(s);
    return 0;
}
