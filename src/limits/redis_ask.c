/* redis_ask.c - the memory of ops of the store in Redis. See redis_ask.h. */
#include "limits/redis_ask.h"

#include <stdlib.h>
#include <string.h>

#include "base/panic.h"

enum {
    SPARE_PARTS = 8,  /* an ask that is used again has room for so many */
    SPARE_ASKS = 64,  /* so many are kept */
    TAKES_MAX = 65536 /* of one op */
};

static struct ask *ask_make(struct store_redis *s, size_t count, const struct ask_callbacks *callbacks)
{
    size_t room = MAX_OF(count, SPARE_PARTS);
    struct ask *a = count <= TAKES_MAX ? malloc(sizeof *a + room * sizeof a->parts[0]) : NULL;
    if (!a)
        return NULL;
    *a = (struct ask){.store = s, .room = room};
    list_init(&a->node);
    timer_init(&a->deadline, s->options.loop, callbacks->on_deadline, a);
    for (size_t i = 0; i < room; i++)
        redis_call_init(&a->parts[i].call, callbacks->on_reply, callbacks->on_call_done, &a->parts[i]);
    return a;
}

static void ask_free(struct ask *a)
{
    list_remove(&a->node);
    timer_cancel(&a->deadline);
    for (size_t i = 0; i < a->room; i++)
        redis_call_fini(&a->parts[i].call);
    free(a);
}

/* All but the call is zero. */
static void part_init(struct part *p, struct ask *a, struct take *take, int64_t given_us)
{
    struct store_redis *s = a->store;
    struct redis_call call = p->call;
    memset(p, 0, offsetof(struct part, key_text));
    memset(p->room, 0, sizeof p->room);
    p->call = call;
    p->store = s;
    p->ask = a;
    p->take = take;
    p->kind = part_kind_of(take);
    p->counter = take->counter;
    p->mode = take->mode;
    memcpy(p->cost, take->cost, sizeof p->cost);
    p->key = redis_stem(&take->counter, s->options.prefix, p->key_text, sizeof p->key_text);
    PANIC_IF(!p->key.ptr, "a counter's name finds no room");
    p->now_us = store_redis_now_us(s, p->key, given_us);
    p->domain = domains_of_key(&s->domains, p->key);
}

struct ask *ask_new(struct store_redis *s, struct store_op *op, const struct ask_callbacks *callbacks)
{
    struct ask *a;
    if (op->count > SPARE_PARTS || list_is_empty(&s->spares)) {
        a = ask_make(s, op->count, callbacks);
        if (!a)
            return NULL;
    } else {
        a = LIST_FIRST(&s->spares, struct ask, node);
        list_remove(&a->node);
        s->spare_count--;
    }
    list_add_last(&s->asks, &a->node);
    a->op = op;
    a->count = op->count;
    a->round = PART_NEW;
    a->waiting = 0;
    a->is_late = a->is_forgetting = false;
    for (size_t i = 0; i < op->count; i++)
        mirror_expect(s->options.mirror, &op->takes[i]->counter);
    for (size_t i = 0; i < op->count; i++)
        part_init(&a->parts[i], a, op->takes[i], op->now_us);
    return a;
}

void ask_end(struct ask *a)
{
    struct store_redis *s = a->store;
    ASK_PARTS(p, a)
    {
        if (p->kind->fini)
            p->kind->fini(p);
    }
    if (a->room > SPARE_PARTS || s->spare_count == SPARE_ASKS) {
        ask_free(a);
        return;
    }
    timer_rest(&a->deadline);
    list_remove(&a->node);
    list_add_first(&s->spares, &a->node);
    s->spare_count++;
}

void asks_free(struct store_redis *s)
{
    LIST_EACH(node, &s->asks)
    {
        struct ask *a = CONTAINER_OF(node, struct ask, node);
        ASK_PARTS(p, a)
        {
            p->call.is_under_way = false;
        }
        ask_end(a);
    }
    LIST_EACH(spare, &s->spares)
    {
        ask_free(CONTAINER_OF(spare, struct ask, node));
    }
    s->spare_count = 0;
}
