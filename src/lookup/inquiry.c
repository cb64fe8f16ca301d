/* inquiry.c - one question a key. See inquiry.h. */
#include "lookup/inquiry.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/panic.h"
#include "lookup/cache.h"

struct inquiries {
    struct loop *loop;
    struct inquiries_options options;
    struct cache *cache;
    struct map open;  /* key → inquiry that is not answered yet */
    struct list list; /* these, and those whose answer is not told yet */
};

struct inquiry {
    struct list node;
    struct inquiries *all;
    struct list waits;
    struct task tell;
    bool is_answered;
    struct str key;
    char *value; /* heap; NULL: no answer */
    size_t value_bytes;
    alignas(max_align_t) char state[]; /* the asker's, then the key */
};

struct inquiries *inquiries_new(struct loop *l, const struct inquiries_options *options, struct err *err)
{
    struct inquiries *all = calloc(1, sizeof *all);
    if (!all) {
        err_no_memory(err);
        return NULL;
    }
    all->loop = l;
    all->options = *options;
    map_init(&all->open, true, false);
    list_init(&all->list);
    all->cache = cache_new(options->max_cached, options->max_cached_bytes, err);
    if (!all->cache) {
        free(all);
        return NULL;
    }
    return all;
}

static void stop_waiting(struct inquiry_wait *w)
{
    timer_cancel(&w->deadline);
    list_remove(&w->node);
    w->question = NULL;
}

static void free_question(struct inquiry *q)
{
    task_cancel(&q->tell);
    list_remove(&q->node);
    free(q->value);
    free(q);
}

void inquiries_free(struct inquiries **inquiries)
{
    struct inquiries *all = *inquiries;
    if (!all)
        return;
    LIST_EACH(node, &all->list)
    {
        struct inquiry *q = CONTAINER_OF(node, struct inquiry, node);
        while (!list_is_empty(&q->waits))
            stop_waiting(LIST_FIRST(&q->waits, struct inquiry_wait, node));
        if (!q->is_answered)
            all->options.drop(all->options.arg, q);
        free_question(q);
    }
    map_fini(&all->open);
    cache_free(&all->cache);
    free(all);
    *inquiries = NULL;
}

/* ---- asking ---- */

static struct str value_of(const struct inquiry *q)
{
    return q->value ? str_of(q->value, q->value_bytes) : STR_NONE;
}

/* What a callback does meanwhile – cancel others, start anew – finds the list in order: who is told has left it. */
static void tell(void *arg)
{
    struct inquiry *q = arg;
    while (!list_is_empty(&q->waits)) {
        struct inquiry_wait *w = LIST_FIRST(&q->waits, struct inquiry_wait, node);
        stop_waiting(w);
        w->on_answer(w->arg, value_of(q));
    }
    free_question(q);
}

static struct inquiry *open_question(struct inquiries *all, struct str key)
{
    if (all->open.count >= all->options.max_open)
        return NULL;
    struct inquiry *q = calloc(1, sizeof *q + all->options.state_bytes + key.len);
    if (!q)
        return NULL;
    char *own_key = q->state + all->options.state_bytes;
    memcpy(own_key, key.ptr, key.len);
    q->key = str_of(own_key, key.len);
    if (!map_set(&all->open, q->key, q)) {
        free(q);
        return NULL;
    }
    q->all = all;
    list_init(&q->waits);
    task_init(&q->tell, tell, q);
    list_add_last(&all->list, &q->node);
    all->options.ask(all->options.arg, q);
    return q;
}

void inquiry_answer(struct inquiry *q, struct str value, int64_t keep_ms)
{
    struct inquiries *all = q->all;
    PANIC_IF(q->is_answered, "a question is answered twice");
    q->is_answered = true;
    map_remove(&all->open, q->key);
    q->value = malloc(value.len ? value.len : 1);
    if (q->value && value.len)
        memcpy(q->value, value.ptr, value.len);
    q->value_bytes = value.len;
    if (keep_ms > 0)
        cache_put(all->cache, q->key, value, loop_now_ms(all->loop) + keep_ms);
    task_defer(all->loop, &q->tell);
}

struct str inquiry_key(const struct inquiry *q)
{
    return q->key;
}

void *inquiry_state(struct inquiry *q)
{
    return q->state;
}

/* ---- waiting ---- */

static void on_deadline(void *arg)
{
    struct inquiry_wait *w = arg;
    struct str value = value_of(w->question); /* it may have come in this very turn */
    stop_waiting(w);
    w->on_answer(w->arg, value);
}

enum started inquiry_start(struct inquiries *all, struct inquiry_wait *w, struct str key, int64_t deadline_ms,
                           struct str *value, void (*on_answer)(void *arg, struct str value), void *arg)
{
    w->question = NULL;
    *value = STR_NONE;
    if (cache_get(all->cache, key, loop_now_ms(all->loop), value))
        return DONE;
    struct inquiry *q = map_get(&all->open, key);
    if (!q)
        q = open_question(all, key);
    if (!q || q->is_answered) {
        *value = q ? value_of(q) : STR_NONE;
        return DONE;
    }
    w->question = q;
    w->on_answer = on_answer;
    w->arg = arg;
    timer_init(&w->deadline, all->loop, on_deadline, w);
    timer_start(&w->deadline, deadline_ms);
    list_add_last(&q->waits, &w->node);
    return STARTED;
}

void inquiry_cancel(struct inquiry_wait *w)
{
    if (w->question)
        stop_waiting(w);
}

size_t inquiries_open(const struct inquiries *all)
{
    return all->open.count;
}

size_t inquiries_cached(const struct inquiries *all)
{
    return cache_count(all->cache);
}
