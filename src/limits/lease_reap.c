/* lease_reap.c - leases in Redis of workers that died. See lease_reap.h. */
#include "limits/lease_reap.h"

#include <stdlib.h>

#include "limits/store_memory.h"
#include "limits/values_seen.h"

enum {
    LISTED_MAX = 8000,
    REAPED_MAX = 60 /* at once: the next refusal looks again */
};

struct reap {
    struct list node;
    struct store_redis *store;
    struct redis_call call;
    struct hash128 id;
    void (*on_found)(struct store_redis *s, struct hash128 id);
    struct errand *errand; /* that removes them */
    size_t found;
    char key_text[REDIS_KEY_MAX_BYTES];
    struct str key;
};

static void reap_free(struct reap *r)
{
    list_remove(&r->node);
    redis_call_fini(&r->call);
    free(r);
}

/* Is it a lease of a worker of this node? Then of which. */
static bool owner_of(const struct store_redis *s, struct str member, uint32_t *owner)
{
    struct str node = str_of_z(s->node), rest;
    uint64_t n;
    if (!str_starts(member, node) || member.len <= node.len || member.ptr[node.len] != '.')
        return false;
    if (!str_to_u64(str_split(str_from(member, node.len + 1), '.', &rest), UINT32_MAX, &n) || !rest.ptr)
        return false;
    *owner = (uint32_t)n;
    return true;
}

static bool is_dead(struct reap *r, const redisReply *one)
{
    uint32_t owner;
    return one->type == REDIS_REPLY_STRING && owner_of(r->store, str_of(one->str, one->len), &owner) &&
           store_memory_leases_of(&r->store->alone, r->id, owner) == 0;
}

static void on_members(struct redis_call *c, size_t n, const redisReply *reply)
{
    struct reap *r = c->arg;
    (void)n;
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements && r->found < REAPED_MAX; i++) {
        const redisReply *one = reply->element[i];
        if (!is_dead(r, one))
            continue;
        if (!r->errand && !(r->errand = errand_new(r->store, r->key)))
            return;
        const struct str words[] = {STR("ZREM"), r->key, str_of(one->str, one->len)};
        errand_add(r->errand, words, COUNT_OF(words));
        r->found++;
    }
}

static void on_done(struct redis_call *c, enum redis_result result)
{
    struct reap *r = c->arg;
    (void)result;
    if (r->errand)
        errand_send(r->errand);
    if (r->found)
        r->on_found(r->store, r->id);
    reap_free(r);
}

void lease_reap(struct list *looks, struct store_redis *s, struct hash128 id, struct str key,
                void (*on_found)(struct store_redis *s, struct hash128 id))
{
    char from[SCORE_TEXT_BYTES + 1] = "(", max[STR_OF_U64_MAX];
    struct reap *r = calloc(1, sizeof *r);
    if (!r)
        return; /* they run out */
    r->store = s;
    r->id = id;
    r->on_found = on_found;
    r->key = str_copy_into(r->key_text, sizeof r->key_text, key);
    redis_call_init(&r->call, on_members, on_done, r);
    list_add_last(looks, &r->node);
    struct str now = score_text(redis_now_us(s->options.redis, key) / 1000, from + 1);
    const struct str words[] = {STR("ZRANGEBYSCORE"), r->key,   str_of(from, now.len + 1),  STR("+inf"),
                                STR("LIMIT"),         STR("0"), str_of_u64(max, LISTED_MAX)};
    if (!redis_call_add(&r->call, words, COUNT_OF(words)) || !redis_send(s->options.redis, r->key, &r->call))
        reap_free(r);
}

void lease_reaps_free(struct list *looks)
{
    LIST_EACH(node, looks)
    {
        struct reap *r = CONTAINER_OF(node, struct reap, node);
        r->call.is_under_way = false; /* it went with the client */
        reap_free(r);
    }
}
