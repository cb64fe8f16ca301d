/*
 * sentinel.c - the shape of a master that Sentinels watch: one shard, whose server they name. PROTOCOLS.md 7,
 * "Sentinel".
 *
 *   the shard is to be located ─▶ sentinel 1, 2, … are asked, SENTINEL_PATIENCE_MS each ─▶ address ─▶ connect
 *     ▲                                                                                              │
 *     ├──── SENTINEL_AGAIN_MS later ◀── it does not say of itself that it is a master ◀──────────────┤
 *     └──── disconnect, READONLY (shard.c) ◀─────────────────────────────────────────────────────────┘
 *
 * The connection to the sentinel that answered stays, and is subscribed to +switch-master: a new master is connected to
 * as soon as it is one. Asking anew happens on that same connection, between UNSUBSCRIBE and SUBSCRIBE in one write, so
 * no message is missed. A sentinel that told an address which led to no master is asked again only after all others: it
 * may be cut off from them.
 *
 * What another sentinel says while the shard is up, when the subscription moves there, is not followed: a sentinel that
 * was away believes for a moment what was true when it left. Sentinel disconnects the clients of a master that is one
 * no longer, and that is noticed.
 *
 * Sentinels have a login of their own, or none: `user` and `password` are those of Redis.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "redis/redis_inside.h"
#include "redis/slots.h"

enum {
    SENTINEL_PATIENCE_MS = 300,   /* for one sentinel, from connecting to its answer */
    SENTINEL_AGAIN_MS = 300,      /* after a server that is no master */
    SENTINEL_PING_MS = 10000,     /* a subscription may be silent for days: so it is known to be alive */
    SENTINEL_WATCH_MIN_MS = 1000, /* without a subscription, the next sentinel is tried after so long, */
    SENTINEL_WATCH_MAX_MS = 5000, /* and ever later */
};

#define CHANNEL STR("+switch-master")

struct sentinel {
    struct redis *redis;
    struct redis_shard *shard;
    struct redis_link link; /* to sentinel number `at` */
    struct redis_link_options link_options;
    struct redis_call ask; /* [UNSUBSCRIBE,] SENTINEL get-master-addr-by-name, SUBSCRIBE */
    struct redis_call ping;
    struct timer patience;
    struct timer again;    /* a server was no master: the shard is to be located again */
    struct timer watch;    /* PING is due, or, without a subscription, the next try */
    struct task over_task; /* the sentinel at hand is of no use */
    size_t at, tried;      /* tried: of this round, the one at hand included */
    unsigned watch_pause_ms;
    size_t missed;      /* tries for a subscription in a row that have failed */
    bool is_locating;   /* the shard waits for an address */
    bool is_asking;     /* a sentinel is being asked, for the shard or for a subscription alone */
    bool is_given_up;   /* over_task will see to it */
    bool is_subscribed; /* at the sentinel at hand */
    bool is_doubted;    /* the address that was told last has not led to a master */
    bool was_refused;   /* a subscription, and it was said */
    size_t unknown;     /* sentinels of this round that know no such master … */
    size_t unfit;       /* … and those that an administrator has to do something about: a login, no Sentinel */
    char why[400];      /* what is wrong with the last one, or with the last one that answered */
};

/* ---- one sentinel after the other ---- */

static void note(struct sentinel *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void note(struct sentinel *s, const char *fmt, ...)
{
    char text[300], at[ENDPOINT_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    snprintf(s->why, sizeof s->why, "sentinel " PRI_STR " %s",
             STR_ARG(endpoint_format(&s->redis->options->endpoints[s->at], at)), text);
}

static void give_up(struct sentinel *s)
{
    s->is_given_up = true;
    task_defer(s->redis->loop, &s->over_task);
}

static void fail_round(struct sentinel *s)
{
    const struct redis_options *options = s->redis->options;
    char why[512];
    s->is_locating = false;
    if (s->unknown == options->endpoint_count) {
        snprintf(why, sizeof why, "no sentinel knows a master \"%s\": use the name that `sentinel monitor` gives it",
                 options->master);
        redis_shard_fails(s->shard, REDIS_DOWN_CONFIGURATION, why);
    } else {
        bool must_be_mended = s->unknown + s->unfit == options->endpoint_count;
        snprintf(why, sizeof why, "no sentinel says where master \"%s\" is: %s", options->master, s->why);
        redis_shard_fails(s->shard, must_be_mended ? REDIS_DOWN_CONFIGURATION : REDIS_DOWN_AWAY, why);
    }
}

/* Asks the sentinel at hand, on the connection that is there or is being made. */
static void await_answer(struct sentinel *s)
{
    s->tried++;
    s->is_asking = true;
    timer_start(&s->patience, loop_now_ms(s->redis->loop) + SENTINEL_PATIENCE_MS);
}

static void try_next(struct sentinel *s)
{
    const struct redis_options *options = s->redis->options;
    s->at = (s->at + 1) % options->endpoint_count;
    await_answer(s);
    redis_link_open(&s->link, &options->endpoints[s->at]);
}

static void watch_in(struct sentinel *s, unsigned ms)
{
    timer_start(&s->watch, loop_now_ms(s->redis->loop) + ms);
}

static void on_over(void *arg)
{
    struct sentinel *s = arg;
    timer_cancel(&s->patience);
    redis_link_close(&s->link);
    s->is_asking = s->is_subscribed = s->is_given_up = false;
    watch_in(s, s->watch_pause_ms);
    s->watch_pause_ms = MIN_OF(2 * s->watch_pause_ms, SENTINEL_WATCH_MAX_MS);
    if (s->is_locating && s->tried < s->redis->options->endpoint_count)
        try_next(s);
    else if (s->is_locating)
        fail_round(s);
    else if (++s->missed == s->redis->options->endpoint_count) /* once, until one is there again */
        log_warning("store redis: no sentinel can be asked: %s; another master would be noticed late", s->why);
}

static void on_no_patience(void *arg)
{
    struct sentinel *s = arg;
    if (s->unknown == 0)
        note(s,
             s->link.state == REDIS_LINK_HANDSHAKE ? "does not answer by TLS within %d ms: is `tls` meant?"
                                                   : "does not answer within %d ms",
             SENTINEL_PATIENCE_MS);
    give_up(s);
}

/* ---- its answer ---- */

static void connect_shard(struct sentinel *s, const struct endpoint *to)
{
    s->is_locating = false;
    s->is_doubted = true; /* until it says that it is a master */
    timer_cancel(&s->again);
    redis_shard_connect(s->shard, to);
}

/* Element n of an array as a text; STR_NONE: it is none. */
static struct str text_at(const redisReply *reply, size_t n)
{
    const redisReply *element = redis_reply_element(reply, n);
    return element ? redis_reply_text(element) : STR_NONE;
}

/* Something else than one has been said, which may be nothing. */
static void note_no_address(struct sentinel *s, struct str text)
{
    char at[ENDPOINT_TEXT_MAX];
    bool is_redis = str_starts_nocase(text, STR("ERR unknown command")), is_locked = str_starts(text, STR("NOAUTH"));
    s->unfit += is_redis || is_locked;
    if (is_redis)
        note(s,
             "is a Redis and no Sentinel: name sentinels (port 26379, mostly), or write `store redis \"redis://" PRI_STR
             "\"`",
             STR_ARG(endpoint_format(&s->link.endpoint, at)));
    else if (is_locked)
        note(s, "wants a login: give `sentinel-password-file` in `store`");
    else
        note(s, "gives no address%s" PRI_STR, text.len ? ": " : "", STR_ARG(text));
}

/* [host, port], or nil. */
static void on_address(struct sentinel *s, const redisReply *reply)
{
    struct str host = text_at(reply, 0);
    struct endpoint to;
    uint64_t number;
    if (reply->type == REDIS_REPLY_NIL) {
        s->unknown++;
        note(s, "knows no master of this name");
        give_up(s);
    } else if (host.len == 0 || !str_to_u64(text_at(reply, 1), UINT16_MAX, &number) ||
               !slots_endpoint_of(host, number, &s->link.endpoint, &to)) {
        note_no_address(s, str_sub(redis_reply_text(reply), 0, 160));
        give_up(s);
    } else if (s->is_locating) {
        connect_shard(s, &to);
    }
}

static void on_subscribed(struct sentinel *s, const redisReply *reply)
{
    s->is_subscribed = str_equal(text_at(reply, 0), STR("subscribe"));
    if (s->is_subscribed == !s->was_refused)
        return;
    s->was_refused = !s->is_subscribed;
    if (s->was_refused) {
        note(s, "refuses SUBSCRIBE: " PRI_STR, STR_ARG(str_sub(redis_reply_text(reply), 0, 160)));
        log_warning("store redis: %s; another master is noticed only when this one disconnects", s->why);
    }
}

static void on_ask_reply(struct redis_call *c, size_t n, const redisReply *reply)
{
    struct sentinel *s = c->arg;
    size_t left = c->command_count - 1 - n;
    if (left == 1)
        on_address(s, reply);
    else if (left == 0 && !s->is_given_up)
        on_subscribed(s, reply);
}

static void ask(struct sentinel *s);

static void on_ask_done(struct redis_call *c, enum redis_result result)
{
    struct sentinel *s = c->arg;
    if (result != REDIS_DONE || s->is_given_up)
        return; /* what follows is seen to */
    timer_cancel(&s->patience);
    s->is_asking = false;
    s->missed = 0;
    s->watch_pause_ms = SENTINEL_WATCH_MIN_MS;
    watch_in(s, SENTINEL_PING_MS);
    if (s->is_locating) {
        await_answer(s); /* the shard was lost just now */
        ask(s);
    }
}

static void ask(struct sentinel *s)
{
    const struct str leave[] = {STR("UNSUBSCRIBE"), CHANNEL}, enter[] = {STR("SUBSCRIBE"), CHANNEL};
    const struct str get[] = {STR("SENTINEL"), STR("get-master-addr-by-name"), str_of_z(s->redis->options->master)};
    struct redis_call *c = &s->ask;
    redis_call_fini(c);
    redis_call_init_inner(c, on_ask_reply, on_ask_done, s);
    bool is_sent = (!s->is_subscribed || redis_call_add(c, leave, COUNT_OF(leave))) &&
                   redis_call_add(c, get, COUNT_OF(get)) && redis_call_add(c, enter, COUNT_OF(enter)) &&
                   redis_link_send(&s->link, c);
    if (!is_sent) {
        note(s, "cannot be asked: out of memory");
        give_up(s);
    }
}

/* ---- the subscription ---- */

/* "mw 127.0.0.1 7100 127.0.0.1 7200": name, old, new. */
static void on_switch(struct sentinel *s, struct str text)
{
    struct str name = str_split(text, ' ', &text);
    (void)str_split(text, ' ', &text);
    (void)str_split(text, ' ', &text);
    struct str host = str_split(text, ' ', &text);
    struct endpoint to;
    uint64_t port;
    if (!str_equal(name, str_of_z(s->redis->options->master)) || host.len == 0 ||
        !str_to_u64(text, UINT16_MAX, &port) || !slots_endpoint_of(host, port, &s->link.endpoint, &to))
        return;
    bool is_there = s->shard->link.state != REDIS_LINK_CLOSED && endpoint_equal(&s->shard->link.endpoint, &to);
    if (!is_there)
        connect_shard(s, &to);
}

static bool on_push(struct redis_link *link, const redisReply *reply)
{
    if (!str_equal(text_at(reply, 0), STR("message")))
        return false;
    on_switch(link->arg, text_at(reply, 2));
    return true;
}

static void on_ping_done(struct redis_call *c, enum redis_result result)
{
    (void)c, (void)result; /* if it is not answered, the link ends by its silence */
}

static void send_ping(struct sentinel *s)
{
    static const struct str PING = {"PING", 4};
    redis_call_fini(&s->ping);
    redis_call_init_inner(&s->ping, NULL, on_ping_done, s);
    if (!redis_call_add(&s->ping, &PING, 1) || !redis_link_send(&s->link, &s->ping))
        give_up(s);
}

static void on_watch_due(void *arg)
{
    struct sentinel *s = arg;
    watch_in(s, SENTINEL_PING_MS);
    if (redis_link_is_ready(&s->link) && !s->ping.is_under_way) {
        send_ping(s);
    } else if (s->link.state == REDIS_LINK_CLOSED && !s->is_asking) {
        s->tried = s->unknown = s->unfit = 0;
        try_next(s);
    }
}

static void on_link_up(struct redis_link *link)
{
    ask(link->arg);
}

static void on_link_down(struct redis_link *link, enum redis_down kind, const char *why)
{
    struct sentinel *s = link->arg;
    s->unfit += kind == REDIS_DOWN_CONFIGURATION;
    if (s->unknown == 0)
        note(s, "%s", why);
    give_up(s);
}

/* ---- the shape ---- */

static void locate(struct redis_shard *shard)
{
    struct sentinel *s = shard->redis->shape_state;
    s->is_locating = true;
    if (s->is_asking)
        return; /* for a subscription: the answer serves both */
    s->tried = s->unknown = s->unfit = 0;
    if (redis_link_is_ready(&s->link) && !s->is_doubted) {
        await_answer(s);
        ask(s);
    } else {
        s->is_subscribed = false;
        try_next(s);
    }
}

static void on_again(void *arg)
{
    struct sentinel *s = arg;
    redis_shard_locate_now(s->shard);
}

static bool accepts(struct redis_shard *shard, enum redis_down *kind, struct err *err)
{
    struct sentinel *s = shard->redis->shape_state;
    s->is_doubted = shard->link.server.role != REDIS_ROLE_MASTER;
    if (!s->is_doubted)
        return true;
    *kind = REDIS_DOWN_AWAY;
    timer_start(&s->again, loop_now_ms(s->redis->loop) + SENTINEL_AGAIN_MS);
    return err_set(err, "%s is no master, though a sentinel says so: a failover may be under way", shard->name);
}

static bool start(struct redis *r, struct err *err)
{
    static const struct redis_link_ops OPS = {.on_up = on_link_up, .on_down = on_link_down, .on_push = on_push};
    struct sentinel *s = calloc(1, sizeof *s);
    if (!s)
        return err_no_memory(err);
    r->shape_state = s;
    s->redis = r;
    s->at = r->options->endpoint_count - 1; /* the first one is the next */
    s->watch_pause_ms = SENTINEL_WATCH_MIN_MS;
    s->link_options = (struct redis_link_options){.user = r->options->sentinel_user,
                                                  .password = r->options->sentinel_password,
                                                  .tls = r->tls,
                                                  .step_ms = REDIS_STEP_MIN_MS,
                                                  .is_bare = true};
    redis_link_init(&s->link, r->loop, r->resolver, &s->link_options, &OPS, s);
    redis_call_init_inner(&s->ask, on_ask_reply, on_ask_done, s);
    redis_call_init_inner(&s->ping, NULL, on_ping_done, s);
    timer_init(&s->patience, r->loop, on_no_patience, s);
    timer_init(&s->again, r->loop, on_again, s);
    timer_init(&s->watch, r->loop, on_watch_due, s);
    task_init(&s->over_task, on_over, s);
    s->shard = redis_shard_new(r, NULL);
    if (!s->shard || !redis_set_shards(r, &s->shard, 1))
        return err_no_memory(err);
    str_copy_into(s->shard->name, sizeof s->shard->name, str_of_z(r->options->master));
    return true;
}

static void stop(struct redis *r)
{
    struct sentinel *s = r->shape_state;
    if (!s)
        return;
    redis_link_fini(&s->link);
    redis_call_fini(&s->ask);
    redis_call_fini(&s->ping);
    timer_cancel(&s->patience);
    timer_cancel(&s->again);
    timer_cancel(&s->watch);
    task_cancel(&s->over_task);
    free(s);
    r->shape_state = NULL;
}

const struct redis_shape_ops redis_shape_sentinel = {
    .start = start,
    .stop = stop,
    .locate = locate,
    .accepts = accepts,
};
