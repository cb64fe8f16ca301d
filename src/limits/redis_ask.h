/*
 * redis_ask.h - an op of the store in Redis, and what is left of it after its answer: its memory, for store_redis.c.
 */
#ifndef LIMITS_REDIS_ASK_H
#define LIMITS_REDIS_ASK_H

#include "limits/store_redis_inside.h"

/* An op, and what is left of it after its answer. */
struct ask {
    struct list node; /* in asks or spares */
    struct store_redis *store;
    struct store_op *op; /* NULL: it has its answer, or was given up */
    struct timer deadline;
    enum part_state round; /* PART_NEW, PART_LOOKING, PART_RESERVING */
    size_t waiting;        /* calls under way */
    bool is_late;          /* the deadline has passed */
    bool is_forgetting;
    size_t room, count;
    struct part parts[];
};

#define ASK_PARTS(p, a) for (struct part *p = (a)->parts; p < (a)->parts + (a)->count; p++)

/* What an ask tells the store of. */
struct ask_callbacks {
    void (*on_reply)(struct redis_call *c, size_t n, const redisReply *reply); /* c->arg: the part */
    void (*on_call_done)(struct redis_call *c, enum redis_result result);
    void (*on_deadline)(void *ask);
};

/* For the takes of op; it lies in s->asks. NULL: no memory. */
struct ask *ask_new(struct store_redis *s, struct store_op *op, const struct ask_callbacks *callbacks);
/* Its last call has ended, and its op was answered. */
void ask_end(struct ask *a);
/* All of them, when the store closes: the client is gone, and its calls with it. */
void asks_free(struct store_redis *s);

#endif
