/*
 * shard.c - one server that holds data: when it is asked, when it is left alone, and what is said of it.
 *
 *   link down, bad reply, three late calls ──▶ go_down ──▶ probe timer ──▶ probe
 *                                                 ▲                          │
 *                                                 ├──────── bad ─────────────┤
 *                                                                            └─ good, twice ──▶ come_up
 *
 * A probe of a server that is connected is a PING, answered within the deadline; else the shape locates it and the link
 * opens.
 *
 * See redis_inside.h. An open circuit with a live connection still hears the replies that are due on it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/panic.h"
#include "redis/redis_inside.h"
#include "stats/event.h"

enum { ALARM_MS = 60000 /* the same error of configuration is not said more often */ };

static const struct redis_link_ops LINK_OPS;

static int64_t now_ms(const struct redis_shard *s)
{
    return loop_now_ms(s->redis->loop);
}

static uint32_t draw(void)
{
    uint32_t random;
    random_bytes(&random, sizeof random);
    return random;
}

/* ---- what is said ---- */

/* A Unix socket by its path alone. */
static void name_it(struct redis_shard *s, const struct endpoint *at)
{
    if (at->kind == ENDPOINT_UNIX)
        str_copy_into(s->name, sizeof s->name, str_of_z(at->name));
    else
        endpoint_format(at, s->name);
}

void redis_write_event(const struct redis *r, const char *server, const char *state, const char *why)
{
    struct event_log *events = r->events;
    if (!events)
        return;
    event_begin(events, "store", loop_wall_us(r->loop));
    event_z(events, "store", "redis");
    event_z(events, "server", server);
    event_z(events, "state", state);
    event_z(events, "text", why);
    event_end(events);
}

/* Another process of the node says what an administrator has to mend. Not so what a server answers to a command: that
 * one may not have been given there. */
static bool is_said_elsewhere(const struct redis_shard *s)
{
    return s->redis->is_hushed && s->down == REDIS_DOWN_CONFIGURATION && !redis_link_is_ready(&s->link);
}

static void tell_down(const struct redis_shard *s)
{
    if (is_said_elsewhere(s))
        return;
    if (s->down != REDIS_DOWN_CONFIGURATION) /* that one has its own words (sound_alarm) */
        log_warning("store redis: %s; tried again every 0.5 to 5 seconds", s->why);
    redis_write_event(s->redis, s->name, "down", s->why);
}

static void tell_up(const struct redis_shard *s)
{
    log_info("store redis: %s is up", s->name);
    redis_write_event(s->redis, s->name, "up", NULL);
}

/* Somebody has to do something: said at once, and again as long as it lasts. */
static void sound_alarm(struct redis_shard *s)
{
    if (s->down != REDIS_DOWN_CONFIGURATION || now_ms(s) < s->alarm_at_ms)
        return;
    s->alarm_at_ms = now_ms(s) + ALARM_MS;
    if (is_said_elsewhere(s))
        log_debug("store redis: %s", s->why);
    else
        log_error("store redis: %s", s->why);
}

/* ---- down and up ---- */

static void note_why(struct redis_shard *s, enum redis_down kind, const char *why)
{
    if (strncmp(s->why, why, sizeof s->why - 1) != 0)
        s->alarm_at_ms = 0; /* news */
    s->down = kind;
    snprintf(s->why, sizeof s->why, "%s", why);
    sound_alarm(s);
}

/* The circuit has opened. */
static void on_opened(struct redis_shard *s)
{
    const struct redis_shape_ops *shape = s->redis->shape;
    tell_down(s);
    if (shape->on_down)
        shape->on_down(s);
}

static void go_down(struct redis_shard *s, enum redis_down kind, const char *why)
{
    if (s->is_retired)
        return;
    note_why(s, kind, why);
    bool has_opened = redis_circuit_on_failure(&s->circuit, now_ms(s), draw());
    timer_start(&s->probe_timer, s->circuit.probe_at_ms);
    if (has_opened)
        on_opened(s);
}

static void come_up(struct redis_shard *s)
{
    const struct redis_shape_ops *shape = s->redis->shape;
    s->ups++;
    s->was_up = true;
    s->why[0] = '\0';
    timer_cancel(&s->probe_timer);
    if (shape->on_up)
        shape->on_up(s);
}

static void on_good_probe(struct redis_shard *s)
{
    if (!s->circuit.is_open && !s->was_up) { /* it was believed in from the start */
        log_info("store redis: %s is connected%s%s", s->name, s->link.server.version[0] ? ", version " : "",
                 s->link.server.version);
        come_up(s);
    } else if (redis_circuit_on_good_probe(&s->circuit, now_ms(s), draw())) {
        tell_up(s);
        come_up(s);
    } else if (s->circuit.is_open) {
        timer_start(&s->probe_timer, s->circuit.probe_at_ms);
    }
}

/* ---- probes ---- */

static void end_probe(struct redis_shard *s)
{
    s->is_probing = false;
    timer_cancel(&s->probe_deadline);
}

static void on_probe_reply(struct redis_call *c, size_t n, const redisReply *reply)
{
    struct redis_shard *s = c->arg;
    char why[sizeof s->why];
    (void)n;
    if (!s->is_probing)
        return; /* it came too late */
    end_probe(s);
    if (!redis_reply_is_error(reply)) {
        on_good_probe(s);
        return;
    }
    snprintf(why, sizeof why, "%s refuses PING: " PRI_STR, s->name, STR_ARG(str_sub(redis_reply_text(reply), 0, 160)));
    go_down(s, redis_error_kind(reply) == REDIS_ERROR_CONFIGURATION ? REDIS_DOWN_CONFIGURATION : REDIS_DOWN_BUSY, why);
}

static void on_probe_done(struct redis_call *c, enum redis_result result)
{
    struct redis_shard *s = c->arg;
    if (result != REDIS_DONE)
        end_probe(s); /* with the connection, whose end is told */
}

static void fail_to_answer(struct redis_shard *s)
{
    char why[sizeof s->why];
    snprintf(why, sizeof why, "%s does not answer within %u ms", s->name, s->redis->deadline_ms);
    go_down(s, REDIS_DOWN_AWAY, why);
}

static void on_probe_late(void *arg)
{
    struct redis_shard *s = arg;
    end_probe(s);
    fail_to_answer(s);
}

static void send_probe(struct redis_shard *s)
{
    static const struct str PING = {"PING", 4};
    if (s->probe.is_under_way) { /* the last one still is: no use in another */
        fail_to_answer(s);
        return;
    }
    redis_call_fini(&s->probe);
    redis_call_init_inner(&s->probe, on_probe_reply, on_probe_done, s);
    if (!redis_call_add(&s->probe, &PING, 1) || !redis_link_send(&s->link, &s->probe)) {
        fail_to_answer(s);
        return;
    }
    s->is_probing = true;
    timer_start(&s->probe_deadline, now_ms(s) + s->redis->deadline_ms);
}

static void locate(struct redis_shard *s)
{
    if (s->is_locating || s->is_retired)
        return;
    s->is_locating = true;
    s->redis->shape->locate(s);
}

void redis_shard_locate_now(struct redis_shard *s)
{
    if (s->link.state == REDIS_LINK_CLOSED)
        locate(s);
}

static void on_probe_due(void *arg)
{
    struct redis_shard *s = arg;
    if (s->must_reopen)
        redis_link_close(&s->link);
    s->must_reopen = false;
    if (redis_link_is_ready(&s->link))
        send_probe(s);
    else if (s->link.state == REDIS_LINK_CLOSED) /* else it is being opened: how that ends will be told */
        locate(s);
}

/* ---- where it is ---- */

void redis_shard_connect(struct redis_shard *s, const struct endpoint *to)
{
    char why[sizeof s->why], name[ENDPOINT_TEXT_MAX];
    s->is_locating = false;
    if (s->is_retired)
        return;
    if (redis_link_is_ready(&s->link)) {
        endpoint_format(to, name);
        snprintf(why, sizeof why, "%s is no longer asked, but %s", s->name, name);
        go_down(s, REDIS_DOWN_AWAY, why);
    }
    name_it(s, to);
    s->must_reopen = false;
    redis_link_open(&s->link, to);
}

void redis_shard_fails(struct redis_shard *s, enum redis_down kind, const char *why)
{
    s->is_locating = false;
    go_down(s, kind, why);
}

/* ---- what the link tells ---- */

static struct redis_shard *shard_of(struct redis_link *link)
{
    return link->arg;
}

/* GETEX came with 6.2. What says nothing of its version is believed to know it. */
static bool is_new_enough(const struct redis_shard *s, struct err *err)
{
    struct str rest, version = str_of_z(s->link.server.version);
    uint64_t major, minor;
    if (!str_to_u64(str_split(version, '.', &rest), 1000, &major) ||
        !str_to_u64(str_split(rest, '.', &rest), 1000, &minor) || major > 6 || (major == 6 && minor >= 2))
        return true;
    return err_set(err, "%s is Redis %s, and mailweir needs 6.2 or newer, or Valkey: let it be brought up to date",
                   s->name, s->link.server.version);
}

static void on_link_up(struct redis_link *link)
{
    struct redis_shard *s = shard_of(link);
    enum redis_down kind = REDIS_DOWN_CONFIGURATION;
    struct err err;
    if (is_new_enough(s, &err) && s->redis->shape->accepts(s, &kind, &err)) {
        on_good_probe(s);
        return;
    }
    redis_link_close(link);
    go_down(s, kind, err.text);
}

static void on_link_down(struct redis_link *link, enum redis_down kind, const char *why)
{
    struct redis_shard *s = shard_of(link);
    char text[sizeof s->why];
    snprintf(text, sizeof text, "%s %s", s->name, why);
    go_down(s, kind, text);
}

/* What a server says to one command and means for all. Not so CLUSTERDOWN and TRYAGAIN, which are of some slots, nor
 * what a Cluster redirects. */
static void note_error(struct redis_shard *s, const redisReply *reply)
{
    static const struct {
        struct str word;
        const char *meaning;
        enum redis_down kind;
        bool must_reopen;
    } ERRORS[] = {
        {{"NOAUTH", 6}, "wants a login: give `user` and `password-file` in `store`", REDIS_DOWN_CONFIGURATION, true},
        {{"WRONGPASS", 9}, "refuses the login", REDIS_DOWN_CONFIGURATION, true},
        {{"NOPERM", 6},
         "does not allow its user what we ask: give it the ACL of the manual",
         REDIS_DOWN_CONFIGURATION,
         false},
        {{"NOPROTO", 7}, "does not speak RESP2", REDIS_DOWN_CONFIGURATION, true},
        {{"READONLY", 8}, "is a replica now", REDIS_DOWN_AWAY, true},
        {{"LOADING", 7}, "is loading its data", REDIS_DOWN_BUSY, false},
        {{"MASTERDOWN", 10}, "is a replica that has lost its master", REDIS_DOWN_BUSY, true},
        {{"BUSY", 4}, "is busy with a script", REDIS_DOWN_BUSY, false},
        {{"MOVED", 5}, "is a node of a Cluster: name it in `store redis cluster`", REDIS_DOWN_CONFIGURATION, true},
    };
    char why[sizeof s->why];
    bool is_cluster = s->redis->options->shape == REDIS_CLUSTER;
    struct str rest, word = str_split(redis_reply_text(reply), ' ', &rest);
    for (size_t i = 0; i < COUNT_OF(ERRORS); i++) {
        if (!str_equal(word, ERRORS[i].word) || (is_cluster && str_equal(word, STR("MOVED"))))
            continue;
        snprintf(why, sizeof why, "%s %s (" PRI_STR ")", s->name, ERRORS[i].meaning,
                 STR_ARG(str_sub(redis_reply_text(reply), 0, 120)));
        s->must_reopen = s->must_reopen || ERRORS[i].must_reopen;
        if (!s->circuit.is_open) /* replies to what was asked before are no probes */
            go_down(s, ERRORS[i].kind, why);
        return;
    }
}

static void on_reply(struct redis_link *link, struct redis_call *c, size_t n, const redisReply *reply)
{
    struct redis_shard *s = shard_of(link);
    const struct redis_shape_ops *shape = s->redis->shape;
    bool is_error = redis_reply_is_error(reply);
    if ((is_error || c->state) && shape->takes_reply && shape->takes_reply(s, c, n, reply))
        return;
    bool is_its_own = is_error && c->may_be_denied && str_starts(redis_reply_text(reply), STR("NOPERM "));
    if (is_error && !is_its_own)
        note_error(s, reply);
    redis_call_deliver(c, n, reply);
}

static void bury_later(const struct redis_shard *s)
{
    if (s->is_retired)
        task_defer(s->redis->loop, &s->redis->bury_task);
}

static void on_call_end(struct redis_link *link, struct redis_call *c, enum redis_result result)
{
    struct redis_shard *s = shard_of(link);
    const struct redis_shape_ops *shape = s->redis->shape;
    bool is_in_time = !c->is_late && now_ms(s) - c->sent_ms <= (int64_t)s->redis->deadline_ms;
    if (result == REDIS_DONE && is_in_time)
        redis_circuit_on_answer(&s->circuit);
    c->shard = NULL;
    bury_later(s);
    if (!(c->state && shape->takes_end && shape->takes_end(s, c, result)))
        redis_call_finish(c, result);
}

static const struct redis_link_ops LINK_OPS = {
    .on_up = on_link_up, .on_down = on_link_down, .on_reply = on_reply, .on_call_end = on_call_end};

/* ---- calls ---- */

bool redis_shard_takes_calls(const struct redis_shard *s)
{
    return !s->circuit.is_open && !s->is_retired && s->link.state != REDIS_LINK_CLOSED;
}

bool redis_shard_send(struct redis_shard *s, struct redis_call *c)
{
    return redis_link_send(&s->link, c);
}

void redis_shard_on_late(struct redis_shard *s)
{
    char why[sizeof s->why];
    if (!redis_circuit_on_late(&s->circuit, now_ms(s), draw()))
        return;
    snprintf(why, sizeof why, "%s does not answer within %u ms", s->name, s->redis->deadline_ms);
    note_why(s, REDIS_DOWN_AWAY, why);
    timer_start(&s->probe_timer, s->circuit.probe_at_ms);
    on_opened(s);
}

/* ---- life ---- */

static void on_begin(void *arg)
{
    redis_shard_locate_now(arg);
}

struct redis_shard *redis_shard_new(struct redis *r, const struct endpoint *at)
{
    struct redis_shard *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->redis = r;
    s->index = SIZE_MAX;
    if (at)
        name_it(s, at);
    redis_circuit_init(&s->circuit);
    redis_link_init(&s->link, r->loop, r->resolver, &r->link_options, &LINK_OPS, s);
    timer_init(&s->probe_timer, r->loop, on_probe_due, s);
    timer_init(&s->probe_deadline, r->loop, on_probe_late, s);
    task_init(&s->begin_task, on_begin, s);
    task_defer(r->loop, &s->begin_task);
    list_add_last(&r->all, &s->node);
    return s;
}

void redis_shard_retire(struct redis_shard *s)
{
    PANIC_IF(s->index != SIZE_MAX, "shard %s is retired while it is listed", s->name);
    s->is_retired = true;
    timer_cancel(&s->probe_timer);
    task_cancel(&s->begin_task);
    bury_later(s);
}

void redis_shard_free(struct redis_shard *s)
{
    timer_cancel(&s->probe_timer);
    timer_cancel(&s->probe_deadline);
    task_cancel(&s->begin_task);
    redis_link_fini(&s->link);
    redis_call_fini(&s->probe);
    list_remove(&s->node);
    free(s);
}

/* What the client itself has asked may be forgotten. */
static bool is_idle(const struct redis_shard *s)
{
    size_t own = s->link.time_call.is_under_way + s->probe.is_under_way + s->link.opening.call.command_count;
    if (s->link.state != REDIS_LINK_OPENING)
        own -= s->link.opening.call.command_count;
    return s->link.commands_due <= own;
}

void redis_shards_bury(void *arg)
{
    struct redis *r = arg;
    LIST_EACH(node, &r->all)
    {
        struct redis_shard *s = CONTAINER_OF(node, struct redis_shard, node);
        if (s->is_retired && is_idle(s))
            redis_shard_free(s);
    }
}
