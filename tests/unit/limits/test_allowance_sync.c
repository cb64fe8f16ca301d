/* test_allowance_sync.c - what is allowed on one node holds on the others: two nodes and a real Redis. */
#include "redis/redis_servers.h"
#include "redis/redis_test.h"

#include "limits/allowance_sync.h"

#define S   INT64_C(1000000)
#define DAY (86400 * S)

struct node {
    struct redis *redis;
    struct allowance_table *table;
    struct allowance_sync *sync;
};

static struct redis_servers servers;
static struct redis_options options;
static struct node a, b;

static void node_open(struct node *n)
{
    struct err err;
    void *memory = aligned_alloc(64, (allowance_table_size() + 63) & ~(size_t)63);
    assert_non_null(memory);
    memset(memory, 0, allowance_table_size());
    n->table = allowance_table_init(memory, &err);
    n->redis = client_open(&options);
    n->sync = allowance_sync_new(
        &(struct allowance_sync_options){.loop = &loop, .redis = n->redis, .table = n->table, .prefix = STR("mw1:")},
        &err);
    assert_non_null(n->sync);
}

static void node_close(struct node *n)
{
    redis_free(&n->redis);
    allowance_sync_free(&n->sync);
    allowance_table_fini(n->table);
    free(n->table);
}

static int set_up(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        return 0;
    stage_begin();
    redis_servers_start(&servers, REDIS_ALONE, NULL);
    options = (struct redis_options){.shape = REDIS_ALONE, .endpoints = servers.endpoints, .endpoint_count = 1};
    node_open(&a);
    node_open(&b);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        return 0;
    node_close(&a);
    node_close(&b);
    redis_servers_stop(&servers);
    stage_end();
    return 0;
}

static void allow(struct node *n, const char *entity, uint32_t count)
{
    struct err err;
    struct allowance x = {.limit = "pace", .rates = {{count, 3600}, {2 * count, 86400}}, .rate_count = count ? 2 : 0};
    snprintf(x.entity, sizeof x.entity, "%s", entity);
    snprintf(x.by, sizeof x.by, "root");
    snprintf(x.why, sizeof x.why, "the newsletter | of May");
    x.since_us = x.changed_us = clock_wall_us();
    x.until_us = x.since_us + DAY;
    assert_true(allowance_set(n->table, &x, true, &err));
}

static long found(struct node *n, const char *entity)
{
    struct rate rates[ALLOWANCE_RATES_MAX];
    size_t count;
    if (!allowance_find(n->table, str_of_z(entity), STR("pace"), clock_wall_us(), rates, &count))
        return -1;
    return count ? (long)rates[count - 1].count : 0;
}

static void test_travels(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        skip();
    int64_t began_ms = clock_monotonic_ms();
    allow(&a, "u:alice", 10);
    allow(&a, "u:news", 0);
    RUN_UNTIL(found(&b, "u:alice") == 20 && found(&b, "u:news") == 0);
    assert_in_range(clock_monotonic_ms() - began_ms, 0, 2000 * tests_slowness());
    struct allowance x;
    size_t at = 0;
    while (allowance_next(b.table, &at, clock_wall_us(), &x))
        if (strcmp(x.entity, "u:alice") == 0)
            break;
    assert_string_equal(x.why, "the newsletter | of May");
    assert_string_equal(x.by, "root");
    assert_in_range(x.until_us - x.since_us, DAY - 2 * S, DAY + 2 * S);

    loop_run_once(&loop, 20);
    assert_true(allowance_end(b.table, STR("u:alice"), STR("pace"), clock_wall_us() + S));
    RUN_UNTIL(found(&a, "u:alice") == -1);
    assert_int_equal(found(&a, "u:news"), 0);
    redisReply *reply = redis_servers_ask(&servers, 0, "PTTL mw1:o:{u:alice}");
    assert_true(reply->integer > 0);
    freeReplyObject(reply);
    reply = redis_servers_ask(&servers, 0, "PTTL mw1:allowances");
    assert_true(reply->integer > 0);
    freeReplyObject(reply);
}

/* Made while Redis is away it holds here; afterwards everywhere, and what was lost with its data is told again. */
static void test_away_and_lost(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        skip();
    allow(&a, "u:old", 5);
    RUN_UNTIL(found(&b, "u:old") == 10 && !allowance_has_untold(a.table));
    redis_servers_kill(&servers, 0);
    allow(&a, "u:alice", 10);
    assert_int_equal(found(&a, "u:alice"), 20);
    RUN_UNTIL(!redis_shard_is_up(a.redis, 0) && !redis_shard_is_up(b.redis, 0));
    redis_servers_restart(&servers, 0);
    allowance_sync_again(a.sync);
    allowance_sync_again(b.sync);
    RUN_FOR_UNTIL(20000, found(&b, "u:alice") == 20);
    RUN_UNTIL(!allowance_has_untold(a.table) && !allowance_has_untold(b.table));
    redisReply *reply = redis_servers_ask(&servers, 0, "HEXISTS mw1:o:{u:old} pace");
    assert_int_equal(reply->integer, 1);
    freeReplyObject(reply);
}

/* An index that has grown for a year is longer than any one reply may be: it is read page by page, the connection
 * stays, and what is new at its end is found. */
static void test_a_long_index(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        skip();
    int64_t from_us = clock_wall_us() - DAY;
    for (int i = 0; i < REDIS_REPLY_MAX_ELEMENTS / 2 + 100; i++)
        redis_servers_tell(&servers, 0, "ZADD mw1:allowances %lld u:%d", (long long)(from_us + i / 300), i);
    redis_servers_tell(&servers, 0, "EXPIRE mw1:allowances 1000");
    allow(&a, "u:alice", 10);
    RUN_UNTIL(!allowance_has_untold(a.table));
    allowance_sync_again(b.sync); /* as one that has only begun */
    RUN_FOR_UNTIL(20000, found(&b, "u:alice") == 20);
    assert_int_equal(redis_shard_ups(b.redis, 0), 1);
}

static void test_forms(void **state)
{
    static const struct {
        const char *text;
        bool is_right;
    } ROWS[] = {
        {"1 100 100 200 5/60,6/3600 root|because", true},
        {"1 100 100 0 none |", true},
        {"1 100 100 200 5/60", true},
        {"1 100 100 200 5/0 root|because", true}, /* of open connections */
        {"1 100 100 200 5/ root|because", false},
        {"2 100 100 200 5/60 root|", false},
        {"1 100 100 200  root|", false},
        {"1 100 x 200 5/60 root|", false},
        {"1 100 100 200 0/60 root|", false},
        {"1 100 100 200 5 root|", false},
        {"1 100 100 200 5/60 ro\not|", false},
        {"1 100 100 200 1/1,1/1,1/1,1/1,1/1,1/1,1/1,1/1,1/1 r|", false},
        {"", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        char text[ALLOWANCE_TEXT_MAX_BYTES];
        struct allowance x, y;
        bool is_right = allowance_read(str_of_z(ROWS[i].text), 10, &x);
        if (is_right != ROWS[i].is_right)
            print_message("%s\n", ROWS[i].text);
        assert_int_equal(is_right, ROWS[i].is_right);
        if (!is_right)
            continue;
        assert_true(allowance_read(allowance_write(&x, 10, text), 10, &y));
        assert_memory_equal(&x, &y, sizeof x);
        assert_int_equal(x.changed_us, 90);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_travels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_away_and_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_long_index, set_up, tear_down),
        cmocka_unit_test(test_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
