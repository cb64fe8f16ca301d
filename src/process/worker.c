/* worker.c - see worker.h. */
#include "process/worker.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth/auth_client.h"
#include "config/config.h"
#include "limits/outage.h"
#include "limits/store_memory.h"
#include "net/listen.h"
#include "policy/lookups.h"
#include "process/node_limits.h"
#include "process/pulse.h"
#include "process/worker_tables.h"
#include "session/session.h"

enum {
    PROBE_MS = 5000,  /* the MTA's answer to what it can is awaited for so long before the first client is let in */
    SETTLE_MS = 2000, /* and Redis, so that the first mails need not be decided without it */
    LOOK_MS = 20,
    RETIRE_MS = 10000,       /* after a reload a client may go on as if nothing had happened, for so long */
    ORPHAN_MS = 5000,        /* the supervisor is dead: sessions have so long to end */
    EVICTED_SAY_MS = 600000, /* a full table of limits is said so often */
    CLOSING_MS = 500,        /* told to end at once: for last replies to leave */
    KEPT_FREE_BYTES = 4 << 20,
    MAPPED_ALONE_BYTES = 1 << 20,
};

struct worker {
    struct process_context *ctx;
    const struct config *config;
    struct loop loop;
    struct channel channel;
    struct timer probe, settle, retire, orphan, end;
    int64_t settle_until_ms;
    struct task finish;
    struct pulse pulse;
    struct alert_sender alerts;
    struct tls_context *tls;
    struct tls_context **relay_tls; /* [pool]; NULL: that pool needs none */
    struct resolver *resolver;
    struct mta_pool **pools;
    size_t probed;
    struct auth_client *auth;
    const struct node_limits *node;
    struct limits_way limits;
    struct policy_lookups *lookups;
    uint64_t evicted;        /* as last seen */
    int64_t evicted_said_ms; /* 0: never */
    struct worker_tables *tables;
    struct session_worker sessions;
    struct list acceptors;
    bool is_accepting, is_leaving;
};

/* One listening socket of ours. */
struct entrance {
    struct list node;
    struct acceptor acceptor;
    struct worker *w;
    unsigned listener; /* of the plan */
};

/* ---- accepting ---- */

static void on_accept(void *arg, int fd, const struct ip *peer, uint16_t port)
{
    struct entrance *e = arg;
    const struct process_listener *l = &e->w->ctx->plan->listeners[e->listener];
    session_accept(&e->w->sessions, &e->w->config->listeners[l->index], fd, peer, port);
}

static bool add_entrance(struct worker *w, unsigned listener, int fd, struct err *err)
{
    struct entrance *e = calloc(1, sizeof *e);
    if (!e)
        return err_no_memory(err);
    e->w = w;
    e->listener = listener;
    list_add_last(&w->acceptors, &e->node);
    acceptor_init(&e->acceptor, &w->loop, fd, on_accept, e);
    return true;
}

/* Those that wait in a backlog which nobody else will look at: they get their 421 instead of a reset. */
static void accept_all(struct entrance *e)
{
    for (;;) {
        struct sockaddr_storage from;
        socklen_t len = sizeof from;
        struct ip peer;
        uint16_t port;
        int fd = accept4(e->acceptor.fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (fd < 0)
            return;
        ip_from_sockaddr(&from, &peer, &port);
        on_accept(e, fd, &peer, port);
    }
}

static void close_entrances(struct worker *w, uint64_t sweep_mask)
{
    LIST_EACH(node, &w->acceptors)
    {
        struct entrance *e = CONTAINER_OF(node, struct entrance, node);
        int fd = e->acceptor.fd;
        acceptor_stop(&e->acceptor);
        if (sweep_mask >> e->listener & 1)
            accept_all(e);
        close(fd);
        list_remove(&e->node);
        free(e);
    }
}

/* ---- the end ---- */

static void finish(void *arg)
{
    struct worker *w = arg;
    if (w->is_leaving && w->sessions.session_count == 0)
        loop_stop(&w->loop);
}

/* Draining, and the last session is closed. Others may just be accepted from a backlog: looked at again when the turn
 * ends. */
static void on_empty(void *arg)
{
    struct worker *w = arg;
    task_defer(&w->loop, &w->finish);
}

static void drain(struct worker *w, uint64_t sweep_mask)
{
    w->is_leaving = true;
    timer_cancel(&w->retire);
    session_drain(&w->sessions);
    close_entrances(w, sweep_mask);
    task_defer(&w->loop, &w->finish);
}

static void on_retire_due(void *arg)
{
    drain(arg, 0);
}

/* Others serve new clients. Those we have see nothing of it if they finish soon; then who is idle is asked to come
 * again.
 */
static void retire(struct worker *w, uint64_t sweep_mask)
{
    w->is_leaving = true;
    close_entrances(w, sweep_mask);
    timer_start(&w->retire, loop_now_ms(&w->loop) + RETIRE_MS);
    task_defer(&w->loop, &w->finish);
}

static void on_end_due(void *arg)
{
    struct worker *w = arg;
    loop_stop(&w->loop);
}

static void quit(struct worker *w)
{
    w->is_leaving = true;
    close_entrances(w, 0);
    session_close_all(&w->sessions);
    timer_start(&w->end, loop_now_ms(&w->loop) + CLOSING_MS);
    task_defer(&w->loop, &w->finish);
}

static void on_orphan_due(void *arg)
{
    quit(arg);
}

/* ---- messages and time ---- */

static void on_message(void *arg, const struct channel_message *m, int passed_fd)
{
    struct worker *w = arg;
    struct err err = {0};
    switch (m->kind) {
    case CHANNEL_SOCKET:
        if (passed_fd < 0 || w->is_leaving || m->value >= w->ctx->plan->listener_count)
            break;
        if (add_entrance(w, (unsigned)m->value, passed_fd, &err))
            return;
        log_error("cannot accept from another socket: %s", err.text);
        break;
    case CHANNEL_TABLE:
        if (passed_fd >= 0)
            worker_tables_take(w->tables, m->value, passed_fd);
        break;
    case CHANNEL_CERTIFICATE:
        if (passed_fd >= 0 && w->tls && !tls_server_replace(w->tls, m->value, passed_fd, &err))
            log_error("a certificate cannot be renewed: %s", err.text);
        break;
    case CHANNEL_RETIRE:
        retire(w, m->value);
        break;
    case CHANNEL_DRAIN:
        drain(w, m->value);
        break;
    case CHANNEL_QUIT:
        quit(w);
        break;
    default:
        break;
    }
    if (passed_fd >= 0)
        close(passed_fd);
}

static void on_supervisor_gone(void *arg)
{
    struct worker *w = arg;
    log_error("the supervisor is dead: ending");
    timer_start(&w->orphan, loop_now_ms(&w->loop) + ORPHAN_MS);
    drain(w, 0);
}

/* A count that was given up for lack of room may let somebody have too much: said, and counted by one worker for all.
 */
static void watch_store(struct worker *w)
{
    uint64_t evicted = store_memory_evicted(w->node->memory);
    if (evicted == w->evicted || w->ctx->slot > 0)
        return;
    counter_add(w->ctx->counters, COUNTER_STORE_EVICTED, evicted - w->evicted);
    if (w->evicted_said_ms == 0 || loop_now_ms(&w->loop) - w->evicted_said_ms > EVICTED_SAY_MS) {
        w->evicted_said_ms = loop_now_ms(&w->loop);
        log_warning("the table of limits is full: %llu counts were given up; raise `store memory { entries … }`",
                    (unsigned long long)(evicted - w->evicted));
    }
    w->evicted = evicted;
}

/* How the servers behind look from here, for `status`. */
static void tell_health(struct worker *w)
{
    size_t n = 0;
    for (size_t i = 0; i < w->config->pool_count; i++)
        for (size_t k = 0; k < w->config->pools[i].server_count && n < SHARED_SERVERS_MAX; k++)
            atomic_store_explicit(&w->ctx->seat->servers[n++], (uint8_t)mta_pool_health(w->pools[i], k),
                                  memory_order_relaxed);
}

static void on_beat(void *arg)
{
    struct worker *w = arg;
    tell_health(w);
    watch_store(w);
    finish(w); /* while retiring nobody says when the last session is closed */
}

/* Opens the doors. Once: all pools have answered, or the time for it is over. */
static void begin(struct worker *w)
{
    struct err err = {0};
    if (w->is_accepting || w->is_leaving)
        return;
    w->is_accepting = true;
    timer_cancel(&w->probe);
    timer_cancel(&w->settle);
    for (size_t i = 0; i < w->ctx->socket_count; i++)
        if (!add_entrance(w, w->ctx->sockets[i].listener, w->ctx->sockets[i].fd, &err)) {
            (void)process_say_failed(w->ctx, &err);
            loop_stop(&w->loop);
            return;
        }
    process_say_ready(w->ctx);
}

/* The MTA has answered. And Redis? */
static void begin_when_settled(struct worker *w)
{
    int64_t now_ms = loop_now_ms(&w->loop);
    if (!w->limits.redis || outage_is_over(w->node->outage) || now_ms >= w->settle_until_ms)
        begin(w);
    else
        timer_start(&w->settle, now_ms + LOOK_MS);
}

static void on_settle_due(void *arg)
{
    begin_when_settled(arg);
}

static void on_probed(void *arg)
{
    struct worker *w = arg;
    if (++w->probed == w->config->pool_count)
        begin_when_settled(w);
}

static void on_probe_due(void *arg)
{
    begin(arg);
}

/* ---- joining the modules ---- */

static bool make_tls(struct worker *w, struct err *err)
{
    const struct config *cfg = w->config;
    struct tls_server_options server = {
        .certificates = cfg->certificates,
        .count = cfg->certificate_count,
        .min_version = cfg->tls_min_version,
        .ciphers = cfg->tls_ciphers,
        .ticket_keys = &w->ctx->shared->ticket_keys,
        .images = w->ctx->certificate_images,
    };
    if (cfg->certificate_count > 0) {
        w->tls = tls_server_new(&server, err);
        if (!w->tls)
            return false;
    }
    w->relay_tls = calloc(cfg->pool_count, sizeof(struct tls_context *));
    if (!w->relay_tls)
        return err_no_memory(err);
    for (size_t i = 0; i < cfg->pool_count; i++) {
        struct tls_client_options client = {cfg->pools[i].tls == MTA_TLS_VERIFY, cfg->pools[i].ca_file};
        if (cfg->pools[i].tls == MTA_TLS_OFF)
            continue;
        w->relay_tls[i] = tls_client_new(&client, err);
        if (!w->relay_tls[i])
            return false;
    }
    return true;
}

static bool make_pools(struct worker *w, struct err *err)
{
    const struct config *cfg = w->config;
    w->resolver = resolver_new(&w->loop, err);
    if (!w->resolver)
        return false;
    w->pools = calloc(cfg->pool_count, sizeof(struct mta_pool *));
    if (!w->pools)
        return err_no_memory(err);
    for (size_t i = 0; i < cfg->pool_count; i++) {
        w->pools[i] = mta_pool_new(&w->loop, &cfg->pools[i], w->resolver, w->relay_tls[i], &w->pulse.events);
        if (!w->pools[i])
            return err_no_memory(err);
    }
    return true;
}

static bool make_auth(struct worker *w, struct err *err)
{
    if (w->ctx->auth_count == 0)
        return true;
    struct auth_client_options options = {.channel = w->ctx->auth_fds[0], .cache_ttl_ms = w->config->auth.cache_ms};
    w->auth = auth_client_new(&w->loop, &options, err);
    return w->auth != NULL;
}

static bool make_limits(struct worker *w, struct err *err)
{
    w->evicted = store_memory_evicted(w->node->memory);
    if (!limits_way_open(&w->limits, w->node, w->config, w->ctx->worker_id, &w->loop, w->resolver, &w->pulse.events,
                         err))
        return false;
    if (w->limits.redis)
        redis_hush(w->limits.redis); /* the admin process says it */
    return true;
}

/* This worker's, of so many in the whole service. */
static unsigned share_of(const struct process_context *ctx, unsigned max)
{
    unsigned workers = ctx->plan->workers;
    return max / workers + (ctx->slot < max % workers);
}

static bool make_lookups(struct worker *w, struct err *err)
{
    struct policy_live_options options = {
        .loop = &w->loop,
        .resolver = w->resolver,
        .events = &w->pulse.events,
        .redis = w->limits.redis,
        .geoip_file = w->config->geoip_file,
    };
    w->lookups = policy_live_new(w->config->policy, &options, err);
    return w->lookups != NULL;
}

static void make_sessions(struct worker *w)
{
    const struct process_context *ctx = w->ctx;
    w->alerts = (struct alert_sender){w->config->alert_targets,
                                      w->config->alert_count,
                                      &ctx->shared->alert_rates,
                                      ctx->counters,
                                      ctx->alert_fd,
                                      false};
    w->sessions = (struct session_worker){
        .loop = &w->loop,
        .config = w->config,
        .tls = w->tls,
        .auth = w->auth,
        .pools = w->pools,
        .policy = {.policy = w->config->policy,
                   .limiter = &w->limits.limiter,
                   .bans = w->node->bans,
                   .allowances = w->node->allowances,
                   .lookups = w->lookups},
        .events = &w->pulse.events,
        .alerts = w->config->alert_count ? &w->alerts : NULL,
        .counters = ctx->counters,
        .number = ctx->worker_id, /* of the process: during a reload two workers have one slot number */
        .max_sessions = MAX_OF(1u, share_of(ctx, w->config->max_connections)),
        .max_tarpits = share_of(ctx, w->config->max_tarpits),
        .on_empty = on_empty,
        .arg = w,
    };
    session_worker_init(&w->sessions);
}

/* A mail's memory comes and goes: the C library gives a little of it back to the system each time and soon asks for it
 * again, which costs page faults. What a worker keeps for that stays small. */
static void tune_malloc(void)
{
    mallopt(M_TRIM_THRESHOLD, KEPT_FREE_BYTES);
    mallopt(M_MMAP_THRESHOLD, MAPPED_ALONE_BYTES); /* above all buffers of a connection */
}

static bool join(struct worker *w, struct err *err)
{
    tune_malloc();
    if (!make_tls(w, err) || !process_drop_privileges(w->ctx, err) || !loop_init(&w->loop, err))
        return false;
    list_init(&w->acceptors);
    pulse_init(&w->pulse, &w->loop, w->ctx, w->config->hostname, on_beat, w);
    w->tables = worker_tables_new(&w->loop, w->config->policy, err);
    if (!w->tables)
        return false;
    channel_open(&w->channel, &w->loop, w->ctx->control_fd, on_message, on_supervisor_gone, w);
    task_init(&w->finish, finish, w);
    timer_init(&w->probe, &w->loop, on_probe_due, w);
    timer_init(&w->settle, &w->loop, on_settle_due, w);
    timer_init(&w->retire, &w->loop, on_retire_due, w);
    timer_init(&w->orphan, &w->loop, on_orphan_due, w);
    timer_init(&w->end, &w->loop, on_end_due, w);
    if (!make_pools(w, err) || !make_auth(w, err) || !make_limits(w, err) || !make_lookups(w, err))
        return false;
    make_sessions(w);
    return true;
}

static void part(struct worker *w)
{
    auth_client_free(&w->auth);
    for (size_t i = 0; i < w->config->pool_count; i++) {
        mta_pool_free(&w->pools[i]);
        tls_free(&w->relay_tls[i]);
    }
    free(w->pools);
    free(w->relay_tls);
    limits_way_close(&w->limits);
    policy_live_free(&w->lookups); /* tables in Redis: after its client */
    resolver_free(&w->resolver);
    tls_free(&w->tls);
    pulse_fini(&w->pulse);
    channel_close(&w->channel);
    worker_tables_free(&w->tables);
    loop_fini(&w->loop);
}

int worker_run(struct process_context *ctx, const struct node_limits *node)
{
    static struct worker worker; /* lasts as long as the process, also while it exits */
    struct worker *w = &worker;
    struct err err = {0};
    w->ctx = ctx;
    w->config = ctx->plan->config;
    w->node = node;
    if (!join(w, &err))
        return process_say_failed(ctx, &err); /* the process ends, and with it all that was made */
    pulse_begin(&w->pulse);
    timer_start(&w->probe, loop_now_ms(&w->loop) + PROBE_MS);
    w->settle_until_ms = loop_now_ms(&w->loop) + SETTLE_MS;
    for (size_t i = 0; i < w->config->pool_count; i++)
        mta_pool_start(w->pools[i], on_probed, w);
    if (w->config->pool_count == 0)
        begin_when_settled(w);
    loop_run(&w->loop);
    if (w->sessions.session_count > 0)
        return 0; /* did not close in time: their memory goes with the process */
    part(w);
    return 0;
}
