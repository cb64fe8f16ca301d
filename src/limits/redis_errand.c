/* redis_errand.c - commands that nobody waits for, and what all kinds ask the store for. See store_redis_inside.h. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "limits/store_redis_inside.h"

/* ---- errands ---- */

static void errand_free(struct errand *e)
{
    list_remove(&e->node);
    redis_call_fini(&e->call);
    free(e);
}

static void errand_end(struct errand *e, enum redis_result result)
{
    if (e->on_end)
        e->on_end(e, result, e->failed != 0);
    errand_free(e);
}

static void on_errand_reply(struct redis_call *c, size_t n, const redisReply *reply)
{
    struct errand *e = c->arg;
    if (reply->type != REDIS_REPLY_ERROR)
        return;
    e->failed |= UINT64_C(1) << MIN_OF(n, 63);
    store_redis_complain(e->store, e->key, reply);
}

static void on_errand_done(struct redis_call *c, enum redis_result result)
{
    errand_end(c->arg, result);
}

struct errand *errand_new(struct store_redis *s, struct str key)
{
    struct errand *e = malloc(sizeof *e);
    if (!e)
        return NULL;
    memset(e, 0, offsetof(struct errand, key_text));
    memset(e->room, 0, sizeof e->room);
    e->store = s;
    e->key = str_of(e->key_text, MIN_OF(key.len, sizeof e->key_text));
    if (e->key.len)
        memcpy(e->key_text, key.ptr, e->key.len);
    redis_call_init(&e->call, on_errand_reply, on_errand_done, e);
    list_add_last(&s->errands, &e->node);
    return e;
}

void errand_add(struct errand *e, const struct str *words, size_t count)
{
    (void)redis_call_add(&e->call, words, count);
}

void errand_send(struct errand *e)
{
    if (!redis_send(e->store->options.redis, e->key, &e->call))
        errand_end(e, REDIS_UNSENT);
}

void errands_free(struct store_redis *s)
{
    LIST_EACH(node, &s->errands)
    {
        struct errand *e = CONTAINER_OF(node, struct errand, node);
        e->call.is_under_way = false; /* the client is gone, and the call with it */
        errand_free(e);
    }
}

/* ---- what is known of a shard ---- */

int64_t store_redis_now_us(const struct store_redis *s, struct str key, int64_t given_us)
{
    return s->options.time_is_given ? given_us : redis_now_us(s->options.redis, key);
}

/* A link that is another one than before: the data behind it may be another set. All is unsettled, until the keeper has
 * looked. The first link of a process is no other one: nothing was read before. */
static void note_ups(struct store_redis *s, unsigned domain, size_t shard)
{
    unsigned ups = redis_shard_ups(s->options.redis, shard);
    if (ups == s->ups[domain])
        return;
    if (ups > 1)
        outage_went_alone(s->options.outage, domain, clock_monotonic_us());
    s->ups[domain] = ups;
}

bool store_redis_is_believed(struct store_redis *s, struct str key, unsigned domain)
{
    size_t shard = redis_shard_of(s->options.redis, key);
    if (shard == SIZE_MAX || !redis_shard_is_up(s->options.redis, shard)) {
        outage_cut_off(s->options.outage, domain, clock_monotonic_us());
        return false;
    }
    note_ups(s, domain, shard);
    return outage_is_settled(s->options.outage, domain);
}

/* Says so while it is not there, also if nobody asks; and looks again where the keeper has found it. */
static void miss(struct store_redis *s, unsigned domain, size_t shard)
{
    int64_t now_us = clock_monotonic_us();
    outage_cut_off(s->options.outage, domain, now_us);
    if (outage_is_reached(s->options.outage, domain, now_us))
        redis_shard_look_soon(s->options.redis, shard);
}

void store_redis_watch_shards(struct store_redis *s)
{
    for (size_t shard = 0; shard < redis_shard_count(s->options.redis); shard++) {
        unsigned domain = domains_of_shard(&s->domains, shard);
        if (redis_shard_is_up(s->options.redis, shard))
            note_ups(s, domain, shard);
        else
            miss(s, domain, shard);
    }
}

const char *store_redis_decides(const struct store *store)
{
    struct store_redis *s = store->state;
    size_t shards = redis_shard_count(s->options.redis);
    bool is_believed = shards > 0;
    for (size_t shard = 0; shard < shards && is_believed; shard++)
        is_believed = redis_shard_is_up(s->options.redis, shard) &&
                      outage_is_settled(s->options.outage, domains_of_shard(&s->domains, shard));
    return is_believed ? store->ops->name : store_failure_name(s->options.failure);
}

struct mirror_terms store_redis_terms(const struct store_redis *s, unsigned domain)
{
    const struct outage *o = s->options.outage;
    struct mirror_terms terms = {.nodes = 1, .is_open = s->options.failure == STORE_OPEN};
    if (s->options.failure == STORE_SHARE) {
        terms.nodes = outage_nodes(o, domain);
        terms.unaged_us = outage_unnoticed_us(o, domain, clock_monotonic_us());
    }
    return terms;
}

/* ---- complaints ---- */

/* The kind of an error: its first word. */
static struct str kind_of(const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ERROR)
        return STR("an answer that is none");
    struct str text = str_of(reply->str, reply->len);
    return str_sub(text, 0, str_find(text, ' '));
}

void store_redis_complain(struct store_redis *s, struct str key, const redisReply *reply)
{
    char kind[sizeof s->said[0]];
    (void)str_copy_into(kind, sizeof kind, kind_of(reply));
    size_t at = 0;
    for (; at < COUNT_OF(s->said) && s->said[at][0]; at++)
        if (strcmp(s->said[at], kind) == 0)
            return;
    if (at == COUNT_OF(s->said))
        return; /* enough is said */
    memcpy(s->said[at], kind, sizeof kind);
    struct str text = reply->type == REDIS_REPLY_ERROR ? str_of(reply->str, MIN_OF(reply->len, 200)) : str_of_z(kind);
    struct str entity = str_sub(key, 0, str_find(key, '\0'));
    log_warning("store redis: " PRI_STR " about " PRI_STR " and the like; such limits are decided by this node alone",
                STR_ARG(text), STR_ARG(entity));
}
