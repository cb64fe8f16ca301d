/*
 * store_limits.c - a mail as session/ and limits/ ask the store of limits.
 *
 *   DATA ─▶ take, all six or none ─▶ dot ─▶ take again: what is held moves to now ─▶ MTA's 250 ─▶ keep, unawaited
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "limits/mirror.h"
#include "limits/outage.h"
#include "limits/store.h"
#include "limits/store_memory.h"
#include "store.h"

enum { ENTRIES = 131072, TIMEOUT_MS = 1000 };

struct held_mail {
    struct mail *mail;
    struct take takes[LIMITS];
    struct take *sorted[LIMITS];
    size_t count; /* of counters */
    struct store_op op;
    bool is_settling;
};

static struct store store;

static void *map(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        bench_fail("memory", "there is none");
    return memory;
}

static void open_store(struct loop *l, struct redis *redis)
{
    static struct outage outage;
    struct err err;
    struct store_options options = {.memory = map(store_memory_size(ENTRIES)), .owner = 1};

    if (!store_memory_init(options.memory, ENTRIES, &err))
        bench_fail("the embedded store", err.text);
    if (redis) {
        options.loop = l;
        options.redis = redis;
        options.mirror = mirror_init(map(mirror_size(ENTRIES)), ENTRIES, &err);
        if (!options.mirror)
            bench_fail("the mirror", err.text);
        /* The keeper would say so: Redis is to be believed, and this node is the only one. */
        outage_set(&outage, 0, 1, 0, 0);
        if (!outage_settle(&outage, 0, outage_alone_count(&outage, 0)))
            bench_fail("the store", "it is not settled");
        options.outage = &outage;
        options.timeout_ms = TIMEOUT_MS;
        options.prefix = STR("mw1:");
        options.node = STR("bench");
    }
    const struct store_ops *ops = stores_find(redis ? STR("redis") : STR("memory"));
    if (!ops || !store_open(&store, ops, &options, &err))
        bench_fail("the store", ops ? err.text : "there is none of that name");
}

static int compare(const void *a, const void *b)
{
    uint64_t x = (*(struct take *const *)a)->counter.id.lo, y = (*(struct take *const *)b)->counter.id.lo;
    return x < y ? -1 : x > y;
}

static void settle(struct held_mail *h);

static void answered(struct held_mail *h)
{
    bool is_taken = h->op.result == STORE_TAKEN;
    h->mail->is_alone |= h->op.decided_by && store.ops->is_remote;

    if (is_taken && !h->is_settling) {
        settle(h);
        return;
    }
    if (is_taken)
        store.ops->keep(&store, h->sorted, h->count, clock_steady_us());
    h->mail->on_done(h->mail, is_taken);
}

static void on_answer(struct store_op *op)
{
    answered(CONTAINER_OF(op, struct held_mail, op));
}

static void ask(struct held_mail *h)
{
    h->op.now_us = clock_steady_us();
    if (store.ops->take_start(&store, &h->op) == DONE)
        answered(h);
}

static void settle(struct held_mail *h)
{
    h->is_settling = true;
    ask(h);
}

static void mail_init(struct mail *m)
{
    struct held_mail *h = calloc(1, sizeof *h);
    if (!h)
        bench_fail("memory", "there is none");
    h->mail = m;
    m->state = h;
}

static void mail_start(struct mail *m)
{
    struct held_mail *h = m->state;

    h->count = 0;
    for (size_t i = 0; i < LIMITS; i++) {
        const struct limit_row *limit = &limits[i];
        struct take *take = &h->takes[limit->counter];
        if (limit->counter == h->count) {
            h->sorted[h->count++] = take;
            *take =
                (struct take){.counter = {.entity = m->entities[i], .period_s = limit->period_s, .kind = COUNTER_MAIL},
                              .mode = TAKE_IF_FITS,
                              .cost = {1, 1, KIB},
                              .allowed = {ALLOWED_ANY, ALLOWED_ANY, ALLOWED_ANY}};
            counter_set_id(&take->counter, &store.key);
        }
        take->allowed[limit->column] = ALLOWED;
    }
    qsort(h->sorted, h->count, sizeof *h->sorted, compare);
    h->is_settling = m->is_alone = false;
    h->op = (struct store_op){.takes = h->sorted, .count = h->count, .deadline_ms = TIMEOUT_MS, .on_done = on_answer};
    ask(h);
}

const struct way way_memory = {"memory", open_store, mail_init, mail_start, false};
const struct way way_redis = {"redis", open_store, mail_init, mail_start, true};
