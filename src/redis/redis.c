/* redis.c - the API: which shard a call goes to, and what is known of each. See redis.h, redis_inside.h. */
#include "redis/redis.h"

#include <stdlib.h>

#include "net/tls.h"
#include "redis/redis_inside.h"

/* ---- life ---- */

static const struct redis_shape_ops *shape_of(enum redis_shape shape)
{
    static const struct redis_shape_ops *const SHAPES[] = {[REDIS_ALONE] = &redis_shape_alone,
                                                           [REDIS_SENTINEL] = &redis_shape_sentinel,
                                                           [REDIS_CLUSTER] = &redis_shape_cluster};
    return (size_t)shape < COUNT_OF(SHAPES) ? SHAPES[shape] : NULL;
}

static bool init(struct redis *r, struct err *err)
{
    const struct redis_options *options = r->options;
    r->shape = shape_of(options->shape);
    if (!r->shape)
        return err_set(err, "this shape of Redis is not known");
    if (options->endpoint_count == 0)
        return err_set(err, "no address of Redis is given");
    if (options->tls) {
        const struct tls_client_options tls = {.verify = true, .ca_file = options->ca_file};
        r->tls = tls_client_new(&tls, err);
        if (!r->tls)
            return false;
    }
    r->link_options = (struct redis_link_options){.user = options->user,
                                                  .password = options->password,
                                                  .db = options->db,
                                                  .tls = r->tls,
                                                  .step_ms = r->deadline_ms};
    return r->shape->start(r, err);
}

struct redis *redis_new(struct loop *l, const struct redis_options *options, unsigned deadline_ms,
                        struct resolver *resolver, struct event_log *events, struct err *err)
{
    struct redis *r = calloc(1, sizeof *r);
    if (!r) {
        err_no_memory(err);
        return NULL;
    }
    r->loop = l;
    r->options = options;
    r->deadline_ms = deadline_ms;
    r->resolver = resolver;
    r->events = events;
    list_init(&r->all);
    task_init(&r->bury_task, redis_shards_bury, r);
    if (!init(r, err))
        redis_free(&r);
    return r;
}

void redis_hush(struct redis *r)
{
    r->is_hushed = true;
}

void redis_free(struct redis **redis)
{
    struct redis *r = *redis;
    if (!r)
        return;
    task_cancel(&r->bury_task);
    while (!list_is_empty(&r->all))
        redis_shard_free(LIST_FIRST(&r->all, struct redis_shard, node));
    if (r->shape && r->shape->stop)
        r->shape->stop(r);
    tls_free(&r->tls);
    free(r->shards);
    free(r);
    *redis = NULL;
}

bool redis_set_shards(struct redis *r, struct redis_shard *const *shards, size_t count)
{
    struct redis_shard **copy = calloc(count ? count : 1, sizeof(struct redis_shard *));
    if (!copy)
        return false;
    for (size_t i = 0; i < r->shard_count; i++)
        r->shards[i]->index = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        copy[i] = shards[i];
        copy[i]->index = i;
    }
    free(r->shards);
    r->shards = copy;
    r->shard_count = count;
    r->map_version++;
    return true;
}

/* ---- calls ---- */

static struct redis_shard *shard_number(const struct redis *r, size_t shard)
{
    return shard < r->shard_count ? r->shards[shard] : NULL;
}

static struct redis_shard *shard_of(const struct redis *r, struct str key, uint16_t *slot)
{
    /* a shape that routes may look at more than is const, but changes nothing that its callers see */
    return r->shape->route ? r->shape->route((struct redis *)(uintptr_t)r, key, slot) : shard_number(r, 0);
}

static bool send_to(struct redis *r, struct redis_shard *shard, struct redis_call *c)
{
    if (!shard || !redis_shard_takes_calls(shard) || !redis_shard_send(shard, c))
        return false;
    c->shard = shard;
    c->state = NULL;
    c->sent_ms = loop_now_ms(r->loop);
    c->is_late = false;
    return true;
}

bool redis_send(struct redis *r, struct str key, struct redis_call *c)
{
    uint16_t slot = 0;
    struct redis_shard *shard = shard_of(r, key, &slot);
    c->slot = slot;
    return send_to(r, shard, c);
}

bool redis_send_to_shard(struct redis *r, size_t shard, struct redis_call *c)
{
    return send_to(r, shard_number(r, shard), c);
}

void redis_call_is_late(struct redis *r, struct redis_call *c)
{
    (void)r;
    if (!c->is_under_way || c->is_late)
        return;
    c->is_late = true;
    if (c->shard)
        redis_shard_on_late(c->shard);
}

/* ---- what is known ---- */

bool redis_is_up(const struct redis *r, struct str key)
{
    uint16_t slot;
    const struct redis_shard *shard = shard_of(r, key, &slot);
    return shard && redis_shard_takes_calls(shard);
}

bool redis_shard_is_up(const struct redis *r, size_t shard)
{
    const struct redis_shard *s = shard_number(r, shard);
    return s && redis_shard_takes_calls(s);
}

size_t redis_shard_count(const struct redis *r)
{
    return r->shard_count;
}

unsigned redis_map_version(const struct redis *r)
{
    return r->map_version;
}

size_t redis_shard_of(const struct redis *r, struct str key)
{
    uint16_t slot;
    const struct redis_shard *shard = shard_of(r, key, &slot);
    return shard ? shard->index : SIZE_MAX;
}

struct str redis_user(const struct redis *r)
{
    return r->options->user ? str_of_z(r->options->user) : STR("default");
}

struct str redis_shard_name(const struct redis *r, size_t shard)
{
    const struct redis_shard *s = shard_number(r, shard);
    return s ? str_of_z(s->name) : STR_NONE;
}

unsigned redis_shard_ups(const struct redis *r, size_t shard)
{
    const struct redis_shard *s = shard_number(r, shard);
    return s ? s->ups : 0;
}

static int64_t clock_of(const struct redis *r, const struct redis_shard *shard)
{
    return loop_now_ms(r->loop) * 1000 + shard->link.clock_us;
}

int64_t redis_now_us(const struct redis *r, struct str key)
{
    uint16_t slot;
    const struct redis_shard *shard = shard_of(r, key, &slot);
    return shard && shard->link.has_clock ? clock_of(r, shard) : loop_wall_us(r->loop);
}

void redis_shard_look_soon(struct redis *r, size_t shard)
{
    struct redis_shard *s = shard_number(r, shard);
    int64_t soon_ms = loop_now_ms(r->loop) + CIRCUIT_PROBE_MIN_MS;
    if (s && s->circuit.is_open && timer_is_running(&s->probe_timer) && s->probe_timer.at_ms > soon_ms)
        timer_start(&s->probe_timer, soon_ms);
}

bool redis_skew_us(const struct redis *r, size_t shard, int64_t *skew_us)
{
    const struct redis_shard *s = shard_number(r, shard);
    if (!s || !s->link.has_clock)
        return false;
    *skew_us = clock_of(r, s) - loop_wall_us(r->loop);
    return true;
}

struct str redis_why_down(const struct redis *r, size_t shard)
{
    const struct redis_shard *s = shard_number(r, shard);
    if (!s)
        return r->why[0] ? str_of_z(r->why) : STR("it is not known yet where Redis is");
    if (redis_shard_takes_calls(s))
        return STR_NONE;
    return s->why[0] ? str_of_z(s->why) : STR("it is being connected");
}
