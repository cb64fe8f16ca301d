/*
 * late_store.h - a store that answers later, as one behind a network does: the embedded store behind a door that the
 * test opens, or that opens by itself a while after it was knocked at.
 *
 *   take_start ─▶ STARTED, it waits ─┬─ late_answer (the first), late_answer_all        a test without a loop
 *                                    └─ late_follow(loop, ms): a timer answers all      a test with one
 *
 * What a take asks is done when it is answered, so one that is cancelled before has charged nothing. It is remote,
 * remembers no reading unless it is told to, and passes the suite of every store (test_limiter_later.c).
 */
#ifndef TESTS_LIMITS_LATE_STORE_H
#define TESTS_LIMITS_LATE_STORE_H

#include <stdlib.h>

#include "limits/store_memory.h"
#include "net/loop.h"

struct late_store {
    struct store inner;
    struct late_wait {
        struct late_wait *next;
        struct store_op *op;
        bool forgets; /* what is taken is to be forgotten */
    } * first, **end;
    unsigned asked;                      /* so often was it asked */
    unsigned most_waited;                /* so many waited at once */
    bool remembers;                      /* what peek asks for is known, as if it had just been read */
    bool fails;                          /* from now on it answers that it is away */
    void (*decide)(struct store_op *op); /* or answers so; NULL: as the embedded store does */
    bool is_held;                        /* the timer answers nothing */
    struct timer timer;
    int64_t delay_ms; /* -1: there is no timer */
};

static inline struct late_store *late_of(struct store *store)
{
    return store->state;
}

static inline bool late_waits(struct store *store)
{
    return late_of(store)->first != NULL;
}

static inline bool late_open(struct store *store, const struct store_options *options, struct err *err)
{
    struct late_store *l = calloc(1, sizeof *l);
    store->state = l;
    if (!l || !store_open(&l->inner, &store_memory_ops, options, err))
        return false;
    l->end = &l->first;
    l->delay_ms = -1;
    store->key = l->inner.key;
    return true;
}

static inline void late_close(struct store *store)
{
    struct late_store *l = late_of(store);
    if (l->first)
        abort(); /* somebody went without cancelling */
    if (l->delay_ms >= 0)
        timer_cancel(&l->timer);
    store_close(&l->inner);
    free(l);
}

static inline enum started late_wait(struct store *store, struct store_op *op, bool forgets)
{
    struct late_store *l = late_of(store);
    struct late_wait *w = calloc(1, sizeof *w);
    if (!w)
        abort();
    *w = (struct late_wait){.op = op, .forgets = forgets};
    op->state = w;
    *l->end = w;
    l->end = &w->next;
    l->asked++;
    unsigned waiting = 0;
    for (w = l->first; w; w = w->next)
        waiting++;
    l->most_waited = MAX_OF(l->most_waited, waiting);
    if (l->delay_ms >= 0)
        timer_start(&l->timer, loop_now_ms(l->timer.loop) + l->delay_ms);
    return STARTED;
}

static inline enum started late_take_start(struct store *store, struct store_op *op)
{
    return late_wait(store, op, false);
}

static inline enum started late_forget_start(struct store *store, struct store_op *op)
{
    return late_wait(store, op, true);
}

/* It waits no longer. */
static inline void late_remove(struct late_store *l, struct store_op *op)
{
    struct late_wait **at = &l->first;
    while (*at && (*at)->op != op)
        at = &(*at)->next;
    struct late_wait *w = *at;
    if (!w)
        abort(); /* not asked, or answered already */
    *at = w->next;
    if (l->end == &w->next)
        l->end = at;
    free(w);
}

static inline void late_take_cancel(struct store *store, struct store_op *op)
{
    late_remove(late_of(store), op);
}

/* The answer to the first that waits arrives. fails: the store is away. */
static inline void late_answer(struct store *store, bool fails)
{
    struct late_store *l = late_of(store);
    if (!l->first)
        abort();
    struct store_op *op = l->first->op;
    bool forgets = l->first->forgets;
    late_remove(l, op);
    if (fails || l->fails)
        op->result = STORE_FAILED;
    else if (l->decide)
        l->decide(op);
    else if ((forgets ? l->inner.ops->forget_start : l->inner.ops->take_start)(&l->inner, op) != DONE)
        abort();
    op->on_done(op);
}

/* All that wait now, in their order; what they ask for in turn waits. */
static inline void late_answer_all(struct store *store)
{
    unsigned waiting = 0;
    for (struct late_wait *w = late_of(store)->first; w; w = w->next)
        waiting++;
    for (; waiting && late_waits(store); waiting--)
        late_answer(store, false);
}

static inline void late_on_due(void *arg)
{
    struct store *store = arg;
    if (!late_of(store)->is_held)
        late_answer_all(store);
}

/* From now on whatever is asked is answered so long after, the loop's next turn at the earliest. */
static inline void late_follow(struct store *store, struct loop *loop, int64_t delay_ms)
{
    struct late_store *l = late_of(store);
    timer_init(&l->timer, loop, late_on_due, store);
    l->delay_ms = delay_ms;
}

static inline void late_give_back(struct store *store, struct take **takes, size_t count)
{
    struct store *inner = &late_of(store)->inner;
    inner->ops->give_back(inner, takes, count);
}

static inline void late_keep(struct store *store, struct take **takes, size_t count, int64_t now_us)
{
    struct store *inner = &late_of(store)->inner;
    inner->ops->keep(inner, takes, count, now_us);
}

static inline bool late_peek(struct store *store, struct take *take, int64_t now_us)
{
    struct store *inner = &late_of(store)->inner;
    return late_of(store)->remembers && inner->ops->peek(inner, take, now_us);
}

static inline void late_drop_lease(struct store *store, struct hash128 id, uint32_t count, uint32_t generation)
{
    struct store *inner = &late_of(store)->inner;
    inner->ops->drop_lease(inner, id, count, generation);
}

static inline void late_release_owner(struct store *store, uint32_t owner)
{
    struct store *inner = &late_of(store)->inner;
    inner->ops->release_owner(inner, owner);
}

static const struct store_ops late_store_ops = {
    .name = "late",
    .is_remote = true,
    .open = late_open,
    .close = late_close,
    .take_start = late_take_start,
    .take_cancel = late_take_cancel,
    .forget_start = late_forget_start,
    .give_back = late_give_back,
    .keep = late_keep,
    .peek = late_peek,
    .drop_lease = late_drop_lease,
    .release_owner = late_release_owner,
};

#endif
