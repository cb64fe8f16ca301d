/* test_allowance_sync_faults.c - allowances on their way while parts of Redis refuse, and clocks differ: two nodes,
 * story by story (tiny_redis.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "limits/allowance_sync.h"
#include "tiny_redis.h"

#define S   INT64_C(1000000)
#define DAY (86400 * S)
#define NOW (INT64_C(1767614400) * S)

enum { NODES = 2, STEP_MS = 50, MANY = 40 };

struct node {
    struct redis redis;
    struct loop loop;
    struct allowance_table *table;
    struct allowance_sync *sync;
};

struct stage {
    struct tiny_server server;
    struct node nodes[NODES];
    int64_t now_us;
};

/* The tables' clock is right; what the nodes take for the time of day is not. */
static const int64_t WALL_IS_OFF_US[NODES] = {3600 * S, -61 * S};
static int64_t steady_us;

static int64_t clock_of(const struct loop *l)
{
    (void)l;
    return steady_us;
}

static void set_clocks(struct stage *st)
{
    steady_us = st->server.now_us = st->now_us;
    for (size_t i = 0; i < NODES; i++)
        loop_set_now(&st->nodes[i].loop, (st->now_us - NOW) / 1000 + 1000000, st->now_us + WALL_IS_OFF_US[i]);
}

static void steps(struct stage *st, int64_t ms)
{
    for (int64_t at = 0; at < ms; at += STEP_MS) {
        st->now_us += STEP_MS * 1000;
        set_clocks(st);
        for (size_t i = 0; i < NODES; i++) {
            if (at % 250 == 0)
                allowance_sync_turn(st->nodes[i].sync);
            tiny_answer(&st->nodes[i].redis);
        }
    }
}

static void node_open(struct stage *st, struct node *n)
{
    struct err err;
    struct allowance_sync_options options = {
        .loop = &n->loop, .redis = &n->redis, .prefix = STR("mw1:"), .now_us = clock_of};
    void *memory = aligned_alloc(64, (allowance_table_size() + 63) & ~(size_t)63);
    assert_non_null(memory);
    memset(memory, 0, allowance_table_size());
    assert_true(loop_init(&n->loop, &err));
    n->redis.server = &st->server;
    n->redis.loop = &n->loop;
    n->table = options.table = allowance_table_init(memory, &err);
    assert_non_null(n->table);
    n->sync = allowance_sync_new(&options, &err);
    assert_non_null(n->sync);
}

static int setup(void **state)
{
    struct stage *st = calloc(1, sizeof *st);
    assert_non_null(st);
    st->now_us = NOW;
    tiny_init(&st->server, NOW);
    for (size_t i = 0; i < NODES; i++)
        node_open(st, &st->nodes[i]);
    set_clocks(st);
    for (size_t i = 0; i < NODES; i++)
        tiny_link(&st->nodes[i].redis);
    *state = st;
    return 0;
}

static int teardown(void **state)
{
    struct stage *st = *state;
    for (size_t i = 0; i < NODES; i++) {
        struct redis *r = &st->nodes[i].redis;
        redis_free(&r);
        allowance_sync_free(&st->nodes[i].sync);
        loop_fini(&st->nodes[i].loop);
        allowance_table_fini(st->nodes[i].table);
        free(st->nodes[i].table);
    }
    tiny_assert_all_keys_end(&st->server);
    tiny_flush(&st->server);
    free(st);
    return 0;
}

static const char *name_of(int n)
{
    static char name[16];
    snprintf(name, sizeof name, "u:user%d", n);
    return name;
}

static void allow(struct stage *st, size_t node, const char *entity, const char *limit, int64_t for_us)
{
    struct err err;
    struct allowance a = {.rates = {{10, 3600}}, .rate_count = 1, .since_us = st->now_us, .changed_us = st->now_us};
    a.until_us = st->now_us + for_us;
    snprintf(a.entity, sizeof a.entity, "%s", entity);
    snprintf(a.limit, sizeof a.limit, "%s", limit);
    assert_true(allowance_set(st->nodes[node].table, &a, true, &err));
}

static bool is_allowed(struct stage *st, size_t node, const char *entity, const char *limit)
{
    struct rate rates[ALLOWANCE_RATES_MAX];
    size_t count;
    return allowance_find(st->nodes[node].table, str_of_z(entity), str_of_z(limit), st->now_us, rates, &count);
}

/* How many of user0 … are known there. */
static int known(struct stage *st, size_t node)
{
    int count = 0;
    for (int n = 0; n < MANY; n++)
        count += is_allowed(st, node, name_of(n), "pace");
    return count;
}

static size_t commands_of(struct stage *st, int64_t ms)
{
    size_t before = st->server.command_count;
    steps(st, ms);
    return st->server.command_count - before;
}

/* A node whose time of day is wrong allows for as long as the others, and hears how long they do. */
static void test_times_are_of_redis(void **state)
{
    struct stage *st = *state;
    for (size_t i = 0; i < NODES; i++)
        allow(st, i, name_of((int)i), "pace", 600 * S);
    steps(st, 3000);
    for (int step = 0; step < 2; step++) {
        for (size_t i = 0; i < NODES; i++)
            for (int n = 0; n < NODES; n++)
                if (is_allowed(st, i, name_of(n), "pace") != (step == 0))
                    fail_msg("node %zu, %s, step %d", i, name_of(n), step);
        steps(st, 600000 - 3000);
    }
}

/* One that cannot be told, for its key is of another type, keeps no other from being told. */
static void test_one_that_cannot_be_told_holds_up_no_others(void **state)
{
    struct stage *st = *state;
    tiny_make(&st->server, STR("mw1:o:{u:user0}"), "string")->expires_ms = st->now_us / 1000 + 10000000;
    for (int n = 0; n < MANY; n++)
        allow(st, 0, name_of(n), "pace", DAY);
    steps(st, 3000);
    assert_int_equal(known(st, 1), MANY - 1);
    steps(st, 10000);
    assert_in_range(commands_of(st, 20000), 1, 200); /* it is tried again, now and then */
    allow(st, 0, "u:alice", "pace", DAY);
    steps(st, 4000);
    assert_true(is_allowed(st, 1, "u:alice", "pace"));
    tiny_free_key(tiny_find(&st->server, STR("mw1:o:{u:user0}"))); /* `store audit --repair` */
    steps(st, 4000);
    assert_int_equal(known(st, 1), MANY);
}

/* What could not be read when it was due is read later. */
static void test_what_could_not_be_read_is_read_later(void **state)
{
    struct stage *st = *state;
    st->server.is_cluster = true;
    tiny_cut_shard(&st->nodes[1].redis, !redis_shard_of(&st->nodes[1].redis, STR("mw1:allowances")));
    for (int n = 0; n < MANY; n++)
        allow(st, 0, name_of(n), "pace", DAY);
    steps(st, 120000);
    assert_in_range(known(st, 1), 1, MANY - 1);
    allow(st, 0, "u:alice", "pace", DAY);
    tiny_link(&st->nodes[1].redis);
    steps(st, 3000);
    assert_int_equal(known(st, 1), MANY);
    assert_true(is_allowed(st, 1, "u:alice", "pace"));
}

/* The same where nothing says that it could be read now: the server was there all the time. */
static void test_what_was_refused_is_read_later(void **state)
{
    struct stage *st = *state;
    allow(st, 0, name_of(0), "pace", DAY);
    tiny_cut(&st->nodes[1].redis);
    steps(st, 60000);
    strcpy(st->server.refuses, "HGETALL mw1:o:{u:user0}");
    strcpy(st->server.refusal, "TRYAGAIN later");
    tiny_link(&st->nodes[1].redis);
    steps(st, 20000);
    assert_int_equal(known(st, 1), 0);
    st->server.refuses[0] = '\0';
    steps(st, 20000);
    assert_int_equal(known(st, 1), 1);
    assert_in_range(commands_of(st, 10000), 1, 50);
}

/* Of a limit of open connections, whose rates are numbers without a window. */
static void test_of_open_connections(void **state)
{
    struct stage *st = *state;
    struct rate rates[ALLOWANCE_RATES_MAX];
    size_t count;
    struct err err;
    struct allowance a = {.entity = "i:192.0.2.7", .limit = "open", .rates = {{500, 0}}, .rate_count = 1};
    a.since_us = a.changed_us = st->now_us;
    a.until_us = st->now_us + DAY;
    assert_true(allowance_set(st->nodes[0].table, &a, true, &err));
    steps(st, 3000);
    assert_true(allowance_find(st->nodes[1].table, STR("i:192.0.2.7"), STR("open"), st->now_us, rates, &count));
    assert_true(count == 1 && rates[0].count == 500 && rates[0].period_s == 0);
}

/* More limits than one call has commands. */
static void test_of_very_many_limits(void **state)
{
    struct stage *st = *state;
    char limit[16];
    for (int n = 0; n < REDIS_CALL_COMMANDS_MAX + 6; n++) {
        snprintf(limit, sizeof limit, "limit%d", n);
        allow(st, 0, "u:alice", limit, DAY);
    }
    steps(st, 5000);
    for (int n = 0; n < REDIS_CALL_COMMANDS_MAX + 6; n++) {
        snprintf(limit, sizeof limit, "limit%d", n);
        assert_true(is_allowed(st, 1, "u:alice", limit));
    }
    assert_false(allowance_has_untold(st->nodes[0].table));
}

#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_times_are_of_redis),
        STORY(test_one_that_cannot_be_told_holds_up_no_others),
        STORY(test_what_could_not_be_read_is_read_later),
        STORY(test_what_was_refused_is_read_later),
        STORY(test_of_open_connections),
        STORY(test_of_very_many_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
