/* test_store_redis_values.c - open connections, different values and memories in a real Redis: what only a store that
 * is far away, and shared by nodes, has to show. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "limits/distinct.h"
#include "limits/known.h"
#include "limits/redis_many.h"
#include "limits/redis_notes.h"
#include "limits/redis_store/redis_node.h"
#include "redis/redis_servers.h"
#include "slowness.h"
#include "store_suite.h"

#define S    INT64_C(1000000)
#define HOUR 3600
#define DAY  86400
#define NOW  SUITE_NOW

/* Two nodes with a store each. */
struct fixture {
    struct redis_node *nodes[2];
    struct store stores[2];
};

static struct redis_servers servers;
static struct fixture fixture;

static void on_done(struct store *store, const bool *done)
{
    if (!redis_node_run(store, done))
        abort();
}

static void wait_for(void *context, struct store *store, const bool *done)
{
    (void)context;
    on_done(store, done);
}

static const struct store_suite SUITE = {.name = "values in Redis", .wait = wait_for, .now_s = 2113214400};

static int setup(void **state)
{
    struct redis_options options = {.shape = REDIS_ALONE};
    if (!redis_servers_are_there())
        return 0;
    redis_servers_start(&servers, REDIS_ALONE, NULL);
    options.endpoints = servers.endpoints;
    options.endpoint_count = 1;
    suite = &SUITE;
    suite_now_us = SUITE.now_s * S;
    for (unsigned i = 0; i < 2; i++) {
        fixture.nodes[i] = redis_node_new(&options, i ? "two" : "one");
        fixture.nodes[i]->timeout_ms = (unsigned)(1500 * tests_slowness()); /* some answers are late on purpose */
        redis_node_settle(fixture.nodes[i], 2, 0);
        outage_set_values_key(fixture.nodes[i]->outage, (struct hash_key){3, 4});
        redis_node_open(fixture.nodes[i], &fixture.stores[i], 7 + i);
    }
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (!redis_servers_are_there())
        return 0;
    for (unsigned i = 0; i < 2; i++) {
        if (f->stores[i].ops)
            redis_node_close(&f->stores[i]);
        f->stores[i].ops = NULL;
        redis_node_free(f->nodes[i]);
    }
    redis_servers_stop(&servers);
    return 0;
}

#define NEED_REDIS()                                                                                                   \
    do {                                                                                                               \
        if (!redis_servers_are_there())                                                                                \
            skip();                                                                                                    \
    } while (0)

/* What was said without waiting has been heard. */
static void settle_down(struct fixture *f)
{
    for (unsigned i = 0; i < 2; i++)
        assert_true(redis_node_run(&f->stores[i], NULL));
}

static long long number(const char *command, const char *key)
{
    redisReply *reply = redis_servers_ask(&servers, 0, "%s %s", command, key);
    assert_int_equal(reply->type, REDIS_REPLY_INTEGER);
    long long n = reply->integer;
    freeReplyObject(reply);
    return n;
}

static long long commands(void)
{
    redisReply *reply = redis_servers_ask(&servers, 0, "INFO stats");
    const char *at = strstr(reply->str, "total_commands_processed:");
    assert_non_null(at);
    long long n = atoll(at + strlen("total_commands_processed:"));
    freeReplyObject(reply);
    return n;
}

/* ---- different values ---- */

/* Four programs of one user log in at the same time, at two nodes, and each attempt is given back: in whatever order,
 * his name is then no failed one. Naive: what a take wrote over is restored by it, and lives on. */
static void test_many_hold_one_value(void **state)
{
    static const uint8_t ORDERS[][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 3, 0, 2}, {2, 0, 3, 1}};
    struct fixture *f = *state;
    NEED_REDIS();
    for (size_t i = 0; i < COUNT_OF(ORDERS); i++) {
        struct suite_values v[4];
        for (size_t k = 0; k < 4; k++) {
            suite_values_set(&v[k], &f->stores[k % 2], "n:a", HOUR, "alice", 1);
            assert_int_equal(suite_take(&f->stores[k % 2], &v[k].take, NOW + (int64_t)k), STORE_TAKEN);
            assert_int_equal(v[k].take.used[0], 1);
        }
        assert_int_equal(number("ZCARD", "mw1:x:{n:a}:users:3600"), 4);
        for (size_t k = 0; k < 4; k++)
            suite_give_back(&f->stores[ORDERS[i][k] % 2], &v[ORDERS[i][k]].take);
        settle_down(f);
        assert_int_equal(number("ZCARD", "mw1:x:{n:a}:users:3600"), 0);
        assert_int_equal(suite_values_used(&f->stores[0], "n:a", HOUR, NOW + 9), 0);
    }
}

/* What one node holds or kept, the other counts. */
static void test_nodes_share_values(void **state)
{
    struct fixture *f = *state;
    struct suite_values a, b;
    NEED_REDIS();
    suite_values_set(&a, &f->stores[0], "n:a", HOUR, "x y", 3);
    suite_values_set(&b, &f->stores[1], "n:a", HOUR, "y z", 3);
    assert_int_equal(suite_take(&f->stores[0], &a.take, NOW), STORE_TAKEN);
    assert_int_equal(suite_take(&f->stores[1], &b.take, NOW), STORE_TAKEN);
    assert_int_equal(b.take.used[0], 3);
    suite_keep(&f->stores[0], &a.take, NOW);
    suite_keep(&f->stores[1], &b.take, NOW);
    settle_down(f);
    assert_int_equal(number("ZCARD", "mw1:x:{n:a}:users:3600"), 3);
    suite_values_set(&a, &f->stores[0], "n:a", HOUR, "w", 3);
    assert_int_equal(suite_take(&f->stores[0], &a.take, NOW), STORE_FULL);
    assert_int_equal(a.take.used[0], 4);
    assert_int_equal(suite_values_used(&f->stores[1], "n:a", HOUR, NOW), 3);
}

/* A flood of new values at a counter that is full costs Redis nothing; one that is known is let through. */
static void test_flood_of_values(void **state)
{
    struct fixture *f = *state;
    struct store *store = &f->stores[0];
    struct suite_values v;
    NEED_REDIS();
    suite_values_set(&v, store, "n:a", HOUR, "a b c", 3);
    assert_int_equal(suite_take(store, &v.take, NOW), STORE_TAKEN);
    suite_keep(store, &v.take, NOW);
    suite_values_set(&v, store, "n:a", HOUR, "d", 3);
    assert_int_equal(suite_take(store, &v.take, NOW), STORE_FULL);
    int64_t wait_us = v.take.wait_us;
    settle_down(f);
    long long before = commands();
    for (int i = 0; i < 1000; i++) {
        char name[16];
        snprintf(name, sizeof name, "new%d", i);
        suite_values_set(&v, store, "n:a", HOUR, name, 3);
        assert_int_equal(suite_take(store, &v.take, NOW + i * 1000), STORE_FULL);
        assert_int_equal(v.take.used[0], 4);
        assert_true(v.take.wait_us == wait_us - i * 1000);
    }
    assert_true(commands() - before <= 10); /* the links' own PING and TIME, and this question */
    suite_values_set(&v, store, "n:a", HOUR, "b", 3);
    assert_int_equal(suite_take(store, &v.take, NOW), STORE_TAKEN);
    suite_give_back(store, &v.take);
    suite_values_set(&v, store, "n:a", HOUR, "d", 4); /* an override may allow more */
    assert_int_equal(suite_take(store, &v.take, NOW), STORE_TAKEN);
}

/* What is no longer counted does not stay: keys expire, and members that are too old go. */
static void test_old_values_go(void **state)
{
    struct fixture *f = *state;
    NEED_REDIS();
    for (int i = 0; i < 400; i++) {
        char name[16];
        struct suite_values v;
        snprintf(name, sizeof name, "%d", i);
        suite_values_set(&v, &f->stores[0], "n:a", 60, name, ALLOWED_ANY);
        assert_int_equal(suite_take(&f->stores[0], &v.take, NOW + i * S), STORE_TAKEN);
        if (i % 10) /* some are held by a worker that died */
            suite_keep(&f->stores[0], &v.take, NOW + i * S);
    }
    settle_down(f);
    long long left = number("ZCARD", "mw1:x:{n:a}:users:60");
    assert_in_range(left, 60, 90);
    long long ttl_ms = number("PTTL", "mw1:x:{n:a}:users:60");
    assert_true(ttl_ms > 60000 && ttl_ms < 75000);
}

/* ---- recipients ---- */

enum { MAIL_MAX = 1000 };

struct mail {
    struct take take;
    struct take_member members[MAIL_MAX];
};

/* To recipients from, from + 1 … */
static void mail_set(struct mail *m, const struct store *store, unsigned from, size_t count, uint64_t allowed)
{
    struct hash_key key = store_values_key(store);
    char names[MAIL_MAX][12];
    struct str texts[MAIL_MAX];
    for (size_t i = 0; i < count; i++)
        texts[i] = str_of(names[i], (size_t)snprintf(names[i], sizeof names[i], "%zu", from + i));
    memset(&m->take, 0, sizeof m->take);
    m->take.counter = (struct counter){.entity = STR("u:alice"),
                                       .name = limit_unit_name(UNIT_DISTINCT_RECIPIENTS),
                                       .period_s = DAY,
                                       .kind = COUNTER_UNIT,
                                       .unit = UNIT_DISTINCT_RECIPIENTS};
    counter_set_id(&m->take.counter, &store->key);
    for (size_t c = 0; c < COLUMNS; c++)
        m->take.allowed[c] = ALLOWED_ANY;
    m->take.allowed[COLUMN_ONE] = allowed;
    distinct_set_members(&m->take, m->members, texts, count, &key);
}

static uint64_t recipients(struct store *store, int64_t now_us)
{
    static struct mail m;
    mail_set(&m, store, 0, 0, ALLOWED_ANY);
    m.take.mode = TAKE_NOTHING;
    assert_int_equal(suite_take(store, &m.take, now_us), STORE_TAKEN);
    return m.take.used[COLUMN_ONE];
}

/* At both nodes by turns: what is counted is right within 2 %, whatever is sent to again. */
static void test_recipients_are_counted(void **state)
{
    struct fixture *f = *state;
    static struct mail m;
    NEED_REDIS();
    for (unsigned i = 0; i < 300; i++) {
        struct store *store = &f->stores[i % 2];
        mail_set(&m, store, i * 5, 10, ALLOWED_ANY); /* half of them had the mail before */
        assert_int_equal(suite_take(store, &m.take, NOW + i * 60 * S), STORE_TAKEN);
        suite_keep(store, &m.take, NOW + i * 60 * S);
        if (i % 20)
            continue;
        settle_down(f);
        uint64_t used = recipients(store, NOW + i * 60 * S), wanted = i * 5 + 10;
        assert_true(used >= wanted - wanted / 50 && used <= wanted + wanted / 50);
    }
}

/* In no interval of a day are more admitted than the limit and 2 %, nor, of somebody who tries all the time, much less.
 */
static void test_recipients_in_any_day(void **state)
{
    enum { LIMIT = 500, HOURS = 96, EACH = 10 };
    struct fixture *f = *state;
    static struct mail m;
    unsigned per_hour[HOURS] = {0}, next = 0, worst = 0;
    NEED_REDIS();
    for (unsigned h = 0; h < HOURS; h++)
        for (unsigned i = 0; i < 12; i++) {
            struct store *store = &f->stores[i % 2];
            int64_t now = NOW + (int64_t)h * HOUR * S + i * 60 * S;
            mail_set(&m, store, next, EACH, LIMIT);
            if (suite_take(store, &m.take, now) != STORE_TAKEN) {
                assert_true(m.take.wait_us > 0 && m.take.wait_us <= (DAY + DAY / 4) * S);
                continue;
            }
            suite_keep(store, &m.take, now);
            settle_down(f);
            per_hour[h] += EACH;
            next += EACH;
        }
    for (unsigned h = 0; h + 24 <= HOURS; h++) {
        unsigned sum = 0;
        for (unsigned k = h; k < h + 24; k++)
            sum += per_hour[k];
        worst = MAX_OF(worst, sum);
    }
    assert_true(worst <= LIMIT + LIMIT / 50);
    assert_true(next >= 3 * (LIMIT - LIMIT / 50));
}

/* Mails on their way at both nodes see each other: all together stay within the limit, though none was kept yet. */
static void test_mails_on_their_way(void **state)
{
    struct fixture *f = *state;
    static struct mail m[40];
    unsigned admitted = 0;
    NEED_REDIS();
    for (unsigned i = 0; i < COUNT_OF(m); i++) {
        mail_set(&m[i], &f->stores[i % 2], i * 10, 10, 100);
        enum store_result result = suite_take(&f->stores[i % 2], &m[i].take, NOW + i);
        assert_int_equal(result, admitted < 10 ? STORE_TAKEN : STORE_FULL);
        admitted += result == STORE_TAKEN;
    }
    assert_int_equal(number("EXISTS", "mw1:x:{u:alice}:rcpt:86400"), 1);
    for (unsigned i = 0; i < 10; i++)
        suite_give_back(&f->stores[i % 2], &m[i].take);
    settle_down(f);
    assert_int_equal(number("EXISTS", "mw1:x:{u:alice}:rcpt:86400"), 0);
    assert_int_equal(recipients(&f->stores[0], NOW + 99), 0);
    /* Ten kept, and again: they grow nothing, at the node that saw them. */
    mail_set(&m[0], &f->stores[0], 0, 100, 100);
    assert_int_equal(suite_take(&f->stores[0], &m[0].take, NOW + 100), STORE_TAKEN);
    suite_keep(&f->stores[0], &m[0].take, NOW + 100);
    settle_down(f);
    mail_set(&m[0], &f->stores[0], 50, 50, 100);
    assert_int_equal(suite_take(&f->stores[0], &m[0].take, NOW + 101), STORE_TAKEN);
    assert_int_equal(m[0].take.growth[0], 0);
    suite_give_back(&f->stores[0], &m[0].take);
}

/* Before its dot a mail's charge moves; the mail holds its places. */
static void test_recipients_move(void **state)
{
    struct fixture *f = *state;
    static struct mail m, other;
    NEED_REDIS();
    mail_set(&m, &f->stores[0], 0, 60, 100);
    mail_set(&other, &f->stores[1], 100, 40, 100);
    assert_int_equal(suite_take(&f->stores[0], &m.take, NOW), STORE_TAKEN);
    assert_int_equal(suite_take(&f->stores[1], &other.take, NOW), STORE_TAKEN);
    assert_int_equal(suite_take(&f->stores[0], &m.take, NOW + 600 * S), STORE_TAKEN);
    assert_int_equal(m.take.growth[0], 0);
    settle_down(f);
    assert_int_equal(number("ZCARD", "mw1:x:{u:alice}:rcpt:86400"), 2);
    suite_keep(&f->stores[0], &m.take, NOW + 601 * S);
    suite_keep(&f->stores[1], &other.take, NOW + 601 * S);
    settle_down(f);
    assert_int_equal(number("EXISTS", "mw1:x:{u:alice}:rcpt:86400"), 0);
    uint64_t used = recipients(&f->stores[0], NOW + 602 * S);
    assert_true(used >= 98 && used <= 102);
    uint64_t quarter = redis_quarter(DAY, NOW);
    char key[64];
    snprintf(key, sizeof key, "mw1:h:{u:alice}:rcpt:86400:%llu", (unsigned long long)quarter);
    assert_int_equal(number("EXISTS", key), 1);
    int64_t gone_at_us = redis_quarter_start_us(DAY, quarter + QUARTERS);
    assert_true(recipients(&f->stores[0], gone_at_us - 1) == used);
    assert_int_equal(recipients(&f->stores[0], gone_at_us), 0);
}

static void test_flood_of_recipients(void **state)
{
    struct fixture *f = *state;
    struct store *store = &f->stores[0];
    static struct mail m;
    NEED_REDIS();
    mail_set(&m, store, 0, 100, 100);
    assert_int_equal(suite_take(store, &m.take, NOW), STORE_TAKEN);
    suite_keep(store, &m.take, NOW);
    settle_down(f);
    mail_set(&m, store, 500, 10, 100);
    assert_int_equal(suite_take(store, &m.take, NOW), STORE_FULL);
    settle_down(f);
    long long before = commands();
    for (unsigned i = 0; i < 1000; i++) {
        mail_set(&m, store, 1000 + i * 20, 10 + i % 5, 100);
        assert_int_equal(suite_take(store, &m.take, NOW + i), STORE_FULL);
    }
    assert_true(commands() - before <= 10);
    mail_set(&m, store, 20, 10, 100); /* who had mail may have more */
    assert_int_equal(suite_take(store, &m.take, NOW), STORE_TAKEN);
    suite_give_back(store, &m.take);
}

/* ---- open connections ---- */

static enum store_result lease(struct store *store, struct take *take, uint64_t allowed)
{
    suite_lease_set(take, store, "i:192.0.2.7", allowed);
    return suite_take(store, take, NOW);
}

/* Both nodes' connections count together; a flood of refused ones costs nothing, until one of ours ends. */
static void test_flood_of_connections(void **state)
{
    struct fixture *f = *state;
    struct take a, b, c;
    NEED_REDIS();
    assert_int_equal(lease(&f->stores[0], &a, 2), STORE_TAKEN);
    assert_int_equal(lease(&f->stores[1], &b, 2), STORE_TAKEN);
    assert_int_equal(b.used[0], 2);
    assert_int_equal(lease(&f->stores[0], &c, 2), STORE_FULL);
    assert_int_equal(c.used[0], 3);
    settle_down(f);
    redis_node_run_for(&f->stores[0], 20); /* whose they are has been looked at */
    long long before = commands();
    for (int i = 0; i < 1000; i++)
        assert_int_equal(lease(&f->stores[0], &c, 2), STORE_FULL);
    assert_true(commands() - before <= 10);
    f->stores[0].ops->drop_lease(&f->stores[0], a.counter.id, 1, a.held.generation);
    assert_int_equal(lease(&f->stores[0], &c, 2), STORE_TAKEN);
    assert_int_equal(number("ZCARD", "mw1:c:{i:192.0.2.7}"), 2);
    suite_give_back(&f->stores[0], &c);
    suite_give_back(&f->stores[1], &b);
    settle_down(f);
    assert_int_equal(number("EXISTS", "mw1:c:{i:192.0.2.7}"), 0);
}

/* Redis comes back without its data: what is open is counted again within a moment. Leases never outlive a minute. */
static void test_leases_come_back(void **state)
{
    struct fixture *f = *state;
    struct take takes[5];
    NEED_REDIS();
    for (size_t i = 0; i < COUNT_OF(takes); i++)
        assert_int_equal(lease(&f->stores[0], &takes[i], 9), STORE_TAKEN);
    long long ttl_ms = number("PTTL", "mw1:c:{i:192.0.2.7}");
    assert_in_range(ttl_ms, 50000, 65100);
    redis_servers_restart(&servers, 0);
    assert_int_equal(number("EXISTS", "mw1:c:{i:192.0.2.7}"), 0);
    for (int i = 0; i < 100 * (int)tests_slowness() && number("EXISTS", "mw1:c:{i:192.0.2.7}") == 0; i++)
        redis_node_run_for(&f->stores[0], 100);
    assert_int_equal(number("ZCARD", "mw1:c:{i:192.0.2.7}"), 5);
    for (size_t i = 0; i < COUNT_OF(takes); i++)
        suite_give_back(&f->stores[0], &takes[i]);
    settle_down(f);
    assert_int_equal(number("EXISTS", "mw1:c:{i:192.0.2.7}"), 0);
}

/* ---- memories ---- */

static bool known(struct store *store, bool is_note, const char *value, int64_t now_us)
{
    struct suite_values v;
    suite_values_set(&v, store, "u:alice", HOUR, value, ALLOWED_ANY);
    v.take.mode = is_note ? TAKE_ALWAYS : TAKE_NOTHING;
    v.take.counter.kind = COUNTER_KNOWN;
    v.take.counter.name = KNOWN_NETWORKS;
    counter_set_id(&v.take.counter, &store->key);
    struct str text = str_of_z(value);
    struct hash_key key = store_values_key(store);
    distinct_set_members(&v.take, v.members, &text, 1, &key);
    assert_int_equal(suite_take(store, &v.take, now_us), STORE_TAKEN);
    return v.take.used[COLUMN_ONE] == 1;
}

static void test_nodes_share_memories(void **state)
{
    struct fixture *f = *state;
    NEED_REDIS();
    assert_false(known(&f->stores[0], true, "a", NOW));
    settle_down(f);
    assert_true(known(&f->stores[1], false, "a", NOW + 1800 * S));
    assert_true(known(&f->stores[1], true, "a", NOW + 1800 * S));
    assert_true(known(&f->stores[0], false, "a", NOW + 5399 * S));
    assert_false(known(&f->stores[0], false, "a", NOW + 5400 * S));
    assert_int_equal(number("ZCARD", "mw1:x:{u:alice}:known:networks"), 1);
}

/* ---- Redis away ---- */

static void be_away(struct fixture *f)
{
    redis_servers_kill(&servers, 0);
    for (unsigned i = 0; i < 2; i++)
        for (int k = 0; k < 500 && redis_is_up(redis_node_client(&f->stores[i]), STR("k")); k++)
            redis_node_run_for(&f->stores[i], 10);
}

static void be_back(struct fixture *f)
{
    redis_servers_restart(&servers, 0);
    for (unsigned i = 0; i < 2; i++) {
        for (int k = 0; k < 1500 && !redis_is_up(redis_node_client(&f->stores[i]), STR("k")); k++)
            redis_node_run_for(&f->stores[i], 10);
        redis_node_run_for(&f->stores[i], 300); /* that the link is a new one is noticed, and unsettles all */
        redis_node_settle(f->nodes[i], 2, 0);
    }
}

/* Known networks stay known at the node that saw them or was told of them; new ones are noted, and told later. */
static void test_memories_without_redis(void **state)
{
    struct fixture *f = *state;
    NEED_REDIS();
    assert_false(known(&f->stores[0], true, "a", NOW));
    settle_down(f);
    assert_true(known(&f->stores[1], false, "a", NOW));
    be_away(f);
    assert_true(known(&f->stores[0], false, "a", NOW));
    assert_true(known(&f->stores[1], false, "a", NOW));
    assert_false(known(&f->stores[0], false, "b", NOW));
    assert_false(known(&f->stores[0], true, "b", NOW));
    assert_true(known(&f->stores[0], false, "b", NOW));
    assert_false(known(&f->stores[1], false, "b", NOW));
    be_back(f);
    for (int k = 0; k < 500 && number("EXISTS", "mw1:x:{u:alice}:known:networks") == 0; k++)
        redis_node_run_for(&f->stores[0], 10);
    settle_down(f);
    assert_true(known(&f->stores[1], false, "b", NOW));
}

/* Alone each node admits its share: of a limit of 4 two different values; what it knows already never is too much. What
 * was kept is told when Redis is back. */
static void test_values_without_redis(void **state)
{
    struct fixture *f = *state;
    struct suite_values v;
    NEED_REDIS();
    suite_values_set(&v, &f->stores[0], "n:a", HOUR, "a", 4);
    assert_int_equal(suite_take(&f->stores[0], &v.take, NOW), STORE_TAKEN);
    suite_keep(&f->stores[0], &v.take, NOW);
    settle_down(f);
    be_away(f);
    static const struct {
        const char *value;
        enum store_result result;
    } STEPS[] = {{"b", STORE_TAKEN}, {"c", STORE_FULL}, {"a", STORE_TAKEN}, {"b", STORE_TAKEN}, {"d", STORE_FULL}};
    for (size_t i = 0; i < COUNT_OF(STEPS); i++) {
        suite_values_set(&v, &f->stores[0], "n:a", HOUR, STEPS[i].value, 4);
        assert_int_equal(suite_take(&f->stores[0], &v.take, NOW), STEPS[i].result);
        if (STEPS[i].result == STORE_TAKEN) {
            assert_true(v.take.held.is_local);
            suite_keep(&f->stores[0], &v.take, NOW);
        }
    }
    suite_values_set(&v, &f->stores[1], "n:a", HOUR, "z", 1); /* at least one */
    assert_int_equal(suite_take(&f->stores[1], &v.take, NOW), STORE_TAKEN);
    suite_give_back(&f->stores[1], &v.take);
    be_back(f);
    for (int k = 0; k < 500 && redis_notes_waiting(f->stores[0].state) > 0; k++)
        redis_node_run_for(&f->stores[0], 10);
    settle_down(f);
    assert_int_equal(number("ZCARD", "mw1:x:{n:a}:users:3600"), 2);
    assert_true(number("PTTL", "mw1:x:{n:a}:users:3600") > 0);
    assert_int_equal(suite_values_used(&f->stores[0], "n:a", HOUR, NOW), 2);
}

/* Recipients of mails that passed meanwhile as well; leases are counted against the share. */
static void test_the_rest_without_redis(void **state)
{
    struct fixture *f = *state;
    static struct mail m;
    struct take takes[3];
    NEED_REDIS();
    assert_int_equal(lease(&f->stores[0], &takes[0], 4), STORE_TAKEN);
    be_away(f);
    assert_int_equal(lease(&f->stores[0], &takes[1], 4), STORE_TAKEN);
    assert_int_equal(lease(&f->stores[0], &takes[2], 4), STORE_FULL);
    mail_set(&m, &f->stores[0], 0, 60, 100);
    assert_int_equal(suite_take(&f->stores[0], &m.take, NOW), STORE_FULL);
    mail_set(&m, &f->stores[0], 0, 50, 100);
    assert_int_equal(suite_take(&f->stores[0], &m.take, NOW), STORE_TAKEN);
    suite_keep(&f->stores[0], &m.take, NOW);
    be_back(f);
    for (int k = 0; k < 500 && redis_notes_waiting(f->stores[0].state) > 0; k++)
        redis_node_run_for(&f->stores[0], 10);
    settle_down(f);
    uint64_t used = recipients(&f->stores[1], NOW);
    assert_true(used >= 49 && used <= 51);
    for (int k = 0; k < 500 && number("ZCARD", "mw1:c:{i:192.0.2.7}") < 2; k++)
        redis_node_run_for(&f->stores[0], 10);
    assert_int_equal(number("ZCARD", "mw1:c:{i:192.0.2.7}"), 2);
}

/* Redis answers too late: decided alone; the hold that it has all the same goes with the take. */
static void test_late_replies(void **state)
{
    struct fixture *f = *state;
    struct suite_values v[3];
    struct take connection;
    static struct mail m;
    NEED_REDIS();
    redis_servers_hang(&servers, 0);
    for (size_t i = 0; i < 2; i++) {
        suite_values_set(&v[i], &f->stores[0], "n:a", HOUR, i ? "b" : "a", 9);
        assert_int_equal(suite_take(&f->stores[0], &v[i].take, NOW), STORE_TAKEN);
        assert_true(v[i].take.held.is_local);
    }
    assert_int_equal(lease(&f->stores[0], &connection, 9), STORE_TAKEN);
    mail_set(&m, &f->stores[1], 0, 10, 100);
    assert_int_equal(suite_take(&f->stores[1], &m.take, NOW), STORE_TAKEN);
    suite_keep(&f->stores[0], &v[0].take, NOW);
    suite_give_back(&f->stores[0], &v[1].take);
    suite_keep(&f->stores[1], &m.take, NOW);
    suite_give_back(&f->stores[0], &connection);
    redis_servers_resume(&servers, 0);
    for (int k = 0; k < 1000 && redis_notes_waiting(f->stores[0].state) + redis_notes_waiting(f->stores[1].state) > 0;
         k++) {
        redis_node_run_for(&f->stores[0], 10);
        redis_node_run_for(&f->stores[1], 10);
    }
    settle_down(f);
    assert_int_equal(number("ZCARD", "mw1:x:{n:a}:users:3600"), 1);
    assert_int_equal(number("EXISTS", "mw1:x:{u:alice}:rcpt:86400"), 0);
    for (unsigned i = 0; i < 2; i++)
        redis_node_settle(f->nodes[i], 2, 0);
    assert_int_equal(suite_values_used(&f->stores[0], "n:a", HOUR, NOW), 1);
    uint64_t used = recipients(&f->stores[0], NOW);
    assert_true(used >= 9 && used <= 11);
}

struct asked {
    struct store_op op;
    struct take *takes[2];
    bool done;
};

static void on_asked(struct store_op *op)
{
    CONTAINER_OF(op, struct asked, op)->done = true;
}

/* A mail is settled and refused, because its bytes are too many, while an operator forgets its values: what it holds
 * still it holds again, and not in a key that stays for ever. */
static void test_held_again_while_forgotten(void **state)
{
    struct fixture *f = *state;
    struct store *store = &f->stores[0];
    struct suite_values v, again;
    struct take bytes;
    NEED_REDIS();
    suite_take_set(&bytes, &f->stores[1], "u:b", HOUR, 10, 10);
    assert_int_equal(suite_take(&f->stores[1], &bytes, NOW), STORE_TAKEN);
    suite_values_set(&v, store, "n:a", HOUR, "alice", 5);
    assert_int_equal(suite_take(store, &v.take, NOW), STORE_TAKEN);
    suite_take_set(&bytes, store, "u:b", HOUR, 1, 10);
    suite_values_set(&again, store, "n:a", HOUR, "alice", 5);
    again.take.mode = TAKE_NOTHING;
    bool in_order = v.take.counter.id.lo < bytes.counter.id.lo;
    struct asked settles = {.takes = {in_order ? &v.take : &bytes, in_order ? &bytes : &v.take}};
    struct asked forgets = {.takes = {&again.take}};
    settles.op = (struct store_op){
        .takes = settles.takes, .count = 2, .now_us = NOW + 1, .deadline_ms = 20000, .on_done = on_asked};
    forgets.op = (struct store_op){
        .takes = forgets.takes, .count = 1, .now_us = NOW + 1, .deadline_ms = 20000, .on_done = on_asked};
    assert_int_equal(store->ops->take_start(store, &settles.op), STARTED);
    assert_int_equal(store->ops->forget_start(store, &forgets.op), STARTED);
    on_done(store, &settles.done);
    on_done(store, &forgets.done);
    settle_down(f);
    assert_int_equal(settles.op.result, STORE_FULL);
    assert_true(v.take.held.is_held);
    assert_int_equal(number("ZCARD", "mw1:x:{n:a}:users:3600"), 1);
    assert_int_not_equal(number("PTTL", "mw1:x:{n:a}:users:3600"), -1);
    suite_give_back(store, &v.take);
    settle_down(f);
    assert_int_equal(number("ZCARD", "mw1:x:{n:a}:users:3600"), 0);
}

/* A client goes while his mail is settled: the reply that comes after all was given back holds nothing again. */
static void test_given_back_amid_an_exchange(void **state)
{
    struct fixture *f = *state;
    struct store *store = &f->stores[0];
    struct suite_values v;
    NEED_REDIS();
    suite_values_set(&v, store, "n:a", HOUR, "alice", 5);
    assert_int_equal(suite_take(store, &v.take, NOW), STORE_TAKEN);
    struct asked settles = {.takes = {&v.take}};
    settles.op = (struct store_op){
        .takes = settles.takes, .count = 1, .now_us = NOW + 1, .deadline_ms = 20000, .on_done = on_asked};
    assert_int_equal(store->ops->take_start(store, &settles.op), STARTED);
    store->ops->take_cancel(store, &settles.op);
    suite_give_back(store, &v.take);
    settle_down(f);
    assert_int_equal(number("ZCARD", "mw1:x:{n:a}:users:3600"), 0);
}

/* A mail is settled too late: decided alone. Of the two holds that it had meanwhile none is left when it is kept, or
 * given back. */
static void test_a_mail_is_settled_too_late(void **state)
{
    struct fixture *f = *state;
    struct store *store = &f->stores[0];
    static struct mail m;
    NEED_REDIS();
    for (int is_kept = 0; is_kept < 2; is_kept++) {
        mail_set(&m, store, is_kept ? 20 : 0, 10, 100);
        assert_int_equal(suite_take(store, &m.take, NOW), STORE_TAKEN);
        assert_int_equal(number("ZCARD", "mw1:x:{u:alice}:rcpt:86400"), 1);
        redis_servers_hang(&servers, 0);
        assert_int_equal(suite_take(store, &m.take, NOW + 1), STORE_TAKEN);
        assert_true(m.take.held.is_local);
        redis_servers_resume(&servers, 0);
        settle_down(f);
        if (is_kept)
            suite_keep(store, &m.take, NOW + 2);
        else
            suite_give_back(store, &m.take);
        settle_down(f);
        assert_int_equal(number("EXISTS", "mw1:x:{u:alice}:rcpt:86400"), 0);
    }
}

/* Somebody else's key, of another type or with strange members: that counter is decided alone, no other one is. */
static void test_wrong_keys(void **state)
{
    struct fixture *f = *state;
    struct suite_values v;
    struct take take;
    NEED_REDIS();
    redis_servers_tell(&servers, 0, "SET mw1:x:{n:a}:users:3600 text EX 100");
    redis_servers_tell(&servers, 0, "ZADD mw1:x:{n:b}:users:3600 1 stranger 2113214400000000 other -5 third");
    redis_servers_tell(&servers, 0, "PEXPIRE mw1:x:{n:b}:users:3600 100000");
    redis_servers_tell(&servers, 0, "SET mw1:c:{i:192.0.2.7} text EX 100");
    for (int i = 0; i < 2; i++) {
        suite_values_set(&v, &f->stores[0], i ? "n:b" : "n:a", HOUR, "x", 9);
        assert_int_equal(suite_take(&f->stores[0], &v.take, NOW), STORE_TAKEN);
        assert_true(v.take.held.is_local);
        suite_keep(&f->stores[0], &v.take, NOW);
        redis_node_settle(f->nodes[0], 2, 0);
    }
    assert_int_equal(lease(&f->stores[0], &take, 9), STORE_TAKEN);
    assert_true(take.held.is_local);
    redis_node_settle(f->nodes[0], 2, 0);
    suite_values_set(&v, &f->stores[0], "n:c", HOUR, "x", 9);
    assert_int_equal(suite_take(&f->stores[0], &v.take, NOW), STORE_TAKEN);
    assert_false(v.take.held.is_local);
    suite_give_back(&f->stores[0], &v.take);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CASE(test_many_hold_one_value),
        CASE(test_nodes_share_values),
        CASE(test_flood_of_values),
        CASE(test_old_values_go),
        CASE(test_recipients_are_counted),
        CASE(test_recipients_in_any_day),
        CASE(test_mails_on_their_way),
        CASE(test_recipients_move),
        CASE(test_flood_of_recipients),
        CASE(test_flood_of_connections),
        CASE(test_leases_come_back),
        CASE(test_nodes_share_memories),
        CASE(test_memories_without_redis),
        CASE(test_values_without_redis),
        CASE(test_the_rest_without_redis),
        CASE(test_late_replies),
        CASE(test_a_mail_is_settled_too_late),
        CASE(test_held_again_while_forgotten),
        CASE(test_given_back_amid_an_exchange),
        CASE(test_wrong_keys),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("values in Redis", tests, NULL, NULL);
}
