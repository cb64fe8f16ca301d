/*
 * cluster_map.c - how the map of a Cluster is learned: CLUSTER SLOTS, asked of one node after the other.
 *
 *   want ──(a second since the last time)──▶ round: who got a slot last, masters that are up, the nodes of the
 *     configuration, masters that are down ─▶ first good answer ─▶ cluster_install
 *
 * Each node is asked through a connection of its own, closed with the answer. A round that brings no map, or one that
 * leaves something amiss, is followed by another one, ever later, at most CLUSTER_MAP_PAUSE_MAX_MS.
 */
#include <stdio.h>

#include "base/log.h"
#include "redis/cluster.h"

/* ---- rounds ---- */

static void begin_in(struct cluster_ask *ask, int64_t at_ms)
{
    if (!timer_is_running(&ask->again) || ask->again.at_ms > at_ms)
        timer_start(&ask->again, at_ms);
}

void cluster_want_map(struct cluster *cl)
{
    struct cluster_ask *ask = &cl->ask;
    ask->pause_ms = CLUSTER_MAP_EVERY_MS;
    if (ask->is_under_way)
        ask->is_wanted = true;
    else
        begin_in(ask, MAX_OF(ask->began_ms + CLUSTER_MAP_EVERY_MS, loop_now_ms(cl->redis->loop)));
}

/* Who is asked as number n (from 0) of this round. False: nobody is left. A shard that comes up or goes down meanwhile
 * may be missed or asked twice: there is a next round. */
static bool candidate(const struct cluster *cl, size_t n, struct endpoint *to)
{
    const struct redis *r = cl->redis;
    const struct redis_options *options = r->options;
    if (cl->ask.moved_to.port && n-- == 0) {
        *to = cl->ask.moved_to;
        return true;
    }
    for (int up = 1; up >= 0; up--) {
        for (size_t i = 0; i < r->shard_count; i++) {
            const struct redis_shard *shard = r->shards[(cl->ask.turn + i) % r->shard_count];
            if (redis_shard_takes_calls(shard) == up && n-- == 0) {
                *to = ((const struct cluster_node *)shard->state)->at;
                return true;
            }
        }
        if (up && n < options->endpoint_count) {
            *to = options->endpoints[(cl->ask.turn + n) % options->endpoint_count];
            return true;
        }
        n -= up ? options->endpoint_count : 0;
    }
    return false;
}

/* What is said when it cannot be learned. Of masters that are known their shards speak; while there is none, this does.
 */
static void tell(struct cluster *cl)
{
    struct cluster_ask *ask = &cl->ask;
    struct redis *r = cl->redis;
    char from[ENDPOINT_TEXT_MAX];
    if (ask->has_map == !ask->was_refused)
        return;
    ask->was_refused = !ask->has_map;
    bool is_hushed = r->is_hushed && ask->must_be_mended;
    endpoint_format(&ask->link.endpoint, from);
    if (ask->has_map)
        log_info("store redis: %s tells the map of the Cluster", from);
    else if (is_hushed)
        log_debug("store redis: no node tells the map of the Cluster: %s", ask->why.text);
    else
        log_line(ask->must_be_mended ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING,
                 "store redis: no node tells the map of the Cluster: %s", ask->why.text);
    if (ask->has_map && r->why[0]) {
        redis_write_event(r, from, "up", NULL);
        r->why[0] = '\0';
    } else if (!ask->has_map && r->shard_count == 0) {
        snprintf(r->why, sizeof r->why, "no node tells the map of the Cluster: %s", ask->why.text);
        if (!is_hushed)
            redis_write_event(r, from, "down", r->why);
    }
}

static void end_round(struct cluster *cl)
{
    struct cluster_ask *ask = &cl->ask;
    ask->is_under_way = false;
    if (!ask->is_wanted)
        ask->moved_to.port = 0;
    ask->turn++;
    tell(cl);
    if (ask->is_wanted || !ask->has_map || cluster_is_amiss(cl))
        begin_in(ask, ask->began_ms + ask->pause_ms);
    ask->pause_ms = ask->is_wanted ? CLUSTER_MAP_EVERY_MS : MIN_OF(2 * ask->pause_ms, CLUSTER_MAP_PAUSE_MAX_MS);
    ask->is_wanted = false;
}

static void try_next(struct cluster *cl)
{
    struct cluster_ask *ask = &cl->ask;
    struct endpoint to;
    if (candidate(cl, ask->tried, &to)) {
        ask->tried++;
        redis_link_open(&ask->link, &to);
    } else {
        end_round(cl);
    }
}

static void on_again(void *arg)
{
    struct cluster *cl = arg;
    cl->ask.is_under_way = true;
    cl->ask.has_map = false;
    cl->ask.tried = 0;
    cl->ask.began_ms = loop_now_ms(cl->redis->loop);
    try_next(cl);
}

/* ---- one node ---- */

static void on_over(void *arg)
{
    struct cluster *cl = arg;
    timer_cancel(&cl->ask.patience);
    redis_link_close(&cl->ask.link);
    if (cl->ask.has_map)
        end_round(cl);
    else
        try_next(cl);
}

static void on_slots(struct redis_call *c, size_t n, const redisReply *reply)
{
    struct cluster *cl = c->arg;
    struct cluster_ask *ask = &cl->ask;
    char from[ENDPOINT_TEXT_MAX];
    (void)n;
    ask->why = (struct err){0};
    slots_map_init(&ask->map);
    ask->has_map =
        slots_map_parse(&ask->map, reply, &ask->link.endpoint, &ask->why) && cluster_install(cl, &ask->map, &ask->why);
    slots_map_fini(&ask->map);
    if (!ask->has_map)
        err_prefix(&ask->why, PRI_STR, STR_ARG(endpoint_format(&ask->link.endpoint, from)));
}

/* Also when the link is closed: whoever closed it has seen to what follows, and once is enough. */
static void on_call_done(struct redis_call *c, enum redis_result result)
{
    struct cluster *cl = c->arg;
    if (result == REDIS_DONE)
        task_defer(cl->redis->loop, &cl->ask.over_task);
}

static void on_no_patience(void *arg)
{
    struct cluster *cl = arg;
    char from[ENDPOINT_TEXT_MAX];
    err_set(&cl->ask.why, PRI_STR " does not answer to CLUSTER SLOTS",
            STR_ARG(endpoint_format(&cl->ask.link.endpoint, from)));
    task_defer(cl->redis->loop, &cl->ask.over_task);
}

static void on_link_up(struct redis_link *link)
{
    static const struct str WORDS[] = {{"CLUSTER", 7}, {"SLOTS", 5}};
    struct cluster *cl = link->arg;
    struct cluster_ask *ask = &cl->ask;
    char from[ENDPOINT_TEXT_MAX];
    ask->must_be_mended = link->server.mode == REDIS_MODE_STANDALONE;
    if (ask->must_be_mended) {
        endpoint_format(&link->endpoint, from);
        cluster_refuse_alone(from, &ask->why);
        task_defer(cl->redis->loop, &ask->over_task);
        return;
    }
    redis_call_fini(&ask->call);
    redis_call_init_inner(&ask->call, on_slots, on_call_done, cl);
    if (redis_call_add(&ask->call, WORDS, COUNT_OF(WORDS)) && redis_link_send(link, &ask->call)) {
        timer_start(&ask->patience, loop_now_ms(cl->redis->loop) + MAX_OF(REDIS_STEP_MIN_MS, cl->redis->deadline_ms));
    } else {
        err_no_memory(&ask->why);
        task_defer(cl->redis->loop, &ask->over_task);
    }
}

static void on_link_down(struct redis_link *link, enum redis_down kind, const char *why)
{
    struct cluster *cl = link->arg;
    char from[ENDPOINT_TEXT_MAX];
    cl->ask.must_be_mended = kind == REDIS_DOWN_CONFIGURATION;
    err_set(&cl->ask.why, PRI_STR " %s", STR_ARG(endpoint_format(&link->endpoint, from)), why);
    task_defer(cl->redis->loop, &cl->ask.over_task);
}

void cluster_ask_init(struct cluster *cl)
{
    static const struct redis_link_ops OPS = {.on_up = on_link_up, .on_down = on_link_down};
    struct redis *r = cl->redis;
    struct cluster_ask *ask = &cl->ask;
    redis_link_init(&ask->link, r->loop, r->resolver, &r->link_options, &OPS, cl);
    redis_call_init_inner(&ask->call, on_slots, on_call_done, cl);
    timer_init(&ask->patience, r->loop, on_no_patience, cl);
    timer_init(&ask->again, r->loop, on_again, cl);
    task_init(&ask->over_task, on_over, cl);
    ask->began_ms = loop_now_ms(r->loop) - CLUSTER_MAP_EVERY_MS;
}

void cluster_ask_fini(struct cluster *cl)
{
    struct cluster_ask *ask = &cl->ask;
    redis_link_fini(&ask->link);
    redis_call_fini(&ask->call);
    timer_cancel(&ask->patience);
    timer_cancel(&ask->again);
    task_cancel(&ask->over_task);
}
