/* redis_node.c - a node of a cluster for tests. See redis_node.h. */
#include "redis_node.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/panic.h"
#include "limits/store_memory.h"
#include "limits/store_redis_inside.h"
#include "slowness.h"

enum { PATIENCE_MS = 30000 };

static const struct loop *lent; /* by a test: not a store's own */

/* A loop of a store's own. */
static struct loop *loop_new(void)
{
    struct err err;
    struct loop *l = calloc(1, sizeof *l);
    PANIC_IF(!l || !loop_init(l, &err), "no loop");
    return l;
}

static void *shared(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    return memory;
}

struct redis_node *redis_node_new(const struct redis_options *options, const char *name)
{
    struct err err;
    struct redis_node *n = calloc(1, sizeof *n);
    assert_non_null(n);
    n->options = *options;
    snprintf(n->name, sizeof n->name, "%s", name);
    n->memory = shared(store_memory_size(REDIS_NODE_ENTRIES));
    n->outage = shared(sizeof *n->outage);
    assert_true(store_memory_init(n->memory, REDIS_NODE_ENTRIES, &err));
    n->mirror = mirror_init(shared(mirror_size(REDIS_NODE_ENTRIES)), REDIS_NODE_ENTRIES, &err);
    assert_non_null(n->mirror);
    redis_node_settle(n, 1, 0);
    return n;
}

void redis_node_free(struct redis_node *n)
{
    store_memory_fini(n->memory);
    mirror_fini(n->mirror);
    munmap(n->memory, store_memory_size(REDIS_NODE_ENTRIES));
    munmap(n->outage, sizeof *n->outage);
    munmap(n->mirror, mirror_size(REDIS_NODE_ENTRIES));
    free(n);
}

void redis_node_settle(struct redis_node *n, uint32_t nodes, uint32_t missing)
{
    for (unsigned k = 0; k < OUTAGE_DOMAINS; k++) {
        outage_set(n->outage, k, nodes, missing, 0);
        assert_true(outage_settle(n->outage, k, outage_alone_count(n->outage, k)));
    }
}

static bool all_are_up(const struct redis *r)
{
    size_t count = redis_shard_count(r);
    for (size_t i = 0; i < count; i++)
        if (!redis_shard_is_up(r, i))
            return false;
    return count > 0;
}

void redis_node_open(struct redis_node *n, struct store *store, uint32_t owner)
{
    struct err err;
    unsigned timeout_ms = n->timeout_ms ? n->timeout_ms : (unsigned)(20000 * tests_slowness());
    struct loop *l = n->loop ? n->loop : loop_new();
    lent = n->loop;
    struct redis *r = redis_new(l, &n->options, timeout_ms, NULL, NULL, &err);
    PANIC_IF(!r, "no client: %s", err.text);
    int64_t until_ms = clock_monotonic_ms() + PATIENCE_MS * (int64_t)tests_slowness();
    while (!all_are_up(r) && clock_monotonic_ms() < until_ms)
        loop_run_once(l, 20);
    PANIC_IF(!all_are_up(r), "Redis is not up");
    const struct store_options options = {
        .memory = n->memory,
        .owner = owner,
        .loop = l,
        .redis = r,
        .mirror = n->mirror,
        .outage = n->outage,
        .failure = n->failure,
        .timeout_ms = timeout_ms,
        .prefix = STR("mw1:"),
        .node = str_of_z(n->name),
        .time_is_given = !n->time_is_real,
    };
    PANIC_IF(!store_open(store, stores_find(STR("redis")), &options, &err), "%s", err.text);
}

struct loop *redis_node_loop(const struct store *store)
{
    return ((struct store_redis *)store->state)->options.loop;
}

struct redis *redis_node_client(const struct store *store)
{
    return ((struct store_redis *)store->state)->options.redis;
}

static bool is_quiet(const struct store_redis *s)
{
    return list_is_empty(&s->asks) && list_is_empty(&s->errands);
}

bool redis_node_run(struct store *store, const bool *done)
{
    struct store_redis *s = store->state;
    int64_t until_ms = clock_monotonic_ms() + PATIENCE_MS * (int64_t)tests_slowness();
    while (!(done ? *done : is_quiet(s)) && clock_monotonic_ms() < until_ms)
        loop_run_once(s->options.loop, 20);
    return done ? *done : is_quiet(s);
}

void redis_node_run_for(struct store *store, int64_t ms)
{
    int64_t until_ms = clock_monotonic_ms() + ms;
    while (clock_monotonic_ms() < until_ms)
        loop_run_once(redis_node_loop(store), until_ms - clock_monotonic_ms());
}

void redis_node_close(struct store *store)
{
    struct loop *l = redis_node_loop(store);
    struct redis *r = redis_node_client(store);
    (void)redis_node_run(store, NULL);
    redis_free(&r);
    store_close(store);
    if (l == lent)
        return;
    loop_fini(l);
    free(l);
}
