/*
 * test_keeper_redis.c - keepers of two nodes on a real Redis, alone and as a Cluster: what tiny_redis.h says Redis
 * does, it does. With a user that may only what LIMITS.md's ACL line says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "limits/audit.h"
#include "limits/keeper.h"
#include "limits/redis_keys.h"
#include "redis/redis_servers.h"
#include "slowness.h"

enum { NODES = 2, ENTRIES = 1024, PLACES = 512, PERIOD = 3600, PATIENCE_MS = 15000 };

#define ACL                                                                                                            \
    "ACL SETUSER mailweir reset on >secret resetkeys ~mw1:* resetchannels &mw1:* -@all +bitfield +getex +get +mget "   \
    "+incrby +pexpireat +set +del +zadd +zincrby +zscore +zcard +zcount +zrem +zremrangebyscore +zrangebyscore "       \
    "+pfadd "                                                                                                          \
    "+pfcount +sadd +scard +hget +hset +hdel +scan +time +ping +hello +auth +select +info +publish +subscribe "        \
    "+cluster|slots +asking +sismember +smismember +hmget +hgetall +type +pttl +memory|usage"

struct node {
    struct redis *redis;
    struct mirror *mirror;
    struct outage outage;
    struct ban_table *bans;
    struct keeper *keeper;
    char id[17];
};

struct stage {
    struct redis_servers servers;
    struct redis_options options;
    struct loop loop;
    struct resolver *resolver;
    struct node nodes[NODES];
    struct audit *audit;
    bool is_audited, has_left;
    struct audit_report report;
};

/* ---- the stage ---- */

static void *memory_of(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    assert_non_null(p);
    return memset(p, 0, bytes);
}

static void start_node(struct stage *st, size_t i)
{
    struct node *n = &st->nodes[i];
    struct err err = {0};
    n->mirror = mirror_init(memory_of(mirror_size(ENTRIES)), ENTRIES, &err);
    n->bans = ban_table_init(memory_of(ban_table_size(PLACES)), PLACES, &err);
    snprintf(n->id, sizeof n->id, "%016zx", i + 1);
    n->redis = redis_new(&st->loop, &st->options, 50, st->resolver, NULL, &err);
    assert_true(n->mirror && n->bans && n->redis);
    struct keeper_options k = {.loop = &st->loop,
                               .redis = n->redis,
                               .shape = st->servers.shape,
                               .mirror = n->mirror,
                               .outage = &n->outage,
                               .bans = n->bans,
                               .prefix = STR("mw1:"),
                               .node = str_of_z(n->id)};
    n->keeper = keeper_new(&k, &err);
    assert_non_null(n->keeper);
}

static struct stage *make_stage(enum redis_shape shape)
{
    struct stage *st = calloc(1, sizeof *st);
    struct err err = {0};
    assert_non_null(st);
    redis_servers_start(&st->servers, shape, NULL);
    for (size_t i = 0; i < st->servers.count; i++)
        redis_servers_tell(&st->servers, i, ACL);
    assert_true(loop_init(&st->loop, &err));
    st->resolver = resolver_new(&st->loop, &err);
    st->options = (struct redis_options){.shape = shape,
                                         .endpoints = st->servers.endpoints,
                                         .endpoint_count = st->servers.endpoint_count,
                                         .user = "mailweir",
                                         .password = "secret"};
    for (size_t i = 0; i < NODES; i++)
        start_node(st, i);
    return st;
}

static int setup(void **state)
{
    *state = redis_servers_are_there() ? make_stage(REDIS_ALONE) : NULL;
    return 0;
}

static int setup_cluster(void **state)
{
    *state = redis_servers_are_there() ? make_stage(REDIS_CLUSTER) : NULL;
    return 0;
}

static int teardown(void **state)
{
    struct stage *st = *state;
    if (!st)
        return 0;
    for (size_t i = 0; i < NODES; i++) {
        struct node *n = &st->nodes[i];
        redis_free(&n->redis);
        keeper_free(&n->keeper);
        mirror_fini(n->mirror);
        ban_table_fini(n->bans);
        free(n->mirror);
        free(n->bans);
    }
    audit_free(&st->audit);
    resolver_free(&st->resolver);
    loop_fini(&st->loop);
    redis_servers_stop(&st->servers);
    free(st);
    return 0;
}

/* Runs the loop until what is wanted holds. */
static void run_until(struct stage *st, bool (*holds)(struct stage *st), const char *what)
{
    int64_t until_ms = clock_monotonic_ms() + PATIENCE_MS * tests_slowness();
    while (!holds(st)) {
        if (clock_monotonic_ms() > until_ms)
            fail_msg("not in time: %s", what);
        loop_run_once(&st->loop, 20);
    }
}

/* ---- what is wanted ---- */

static bool all_believe(struct stage *st)
{
    for (size_t i = 0; i < NODES; i++) {
        struct keeper_state s;
        keeper_state(st->nodes[i].keeper, &s);
        if (s.nodes != NODES || s.missing || s.due || s.shard_count == 0)
            return false;
        for (size_t n = 0; n < s.shard_count; n++) {
            struct keeper_shard shard;
            keeper_shard_state(st->nodes[i].keeper, n, &shard);
            if (!shard.is_settled)
                return false;
        }
    }
    return true;
}

static bool none_believes(struct stage *st)
{
    for (size_t i = 0; i < NODES; i++)
        if (outage_is_settled(&st->nodes[i].outage, 0))
            return false;
    return true;
}

static bool ban_is_there(struct stage *st)
{
    return ban_find(st->nodes[1].bans, STR("i:192.0.2.7"), clock_steady_us(), NULL);
}

static bool ban_is_gone(struct stage *st)
{
    return !ban_is_there(st);
}

static bool is_audited(struct stage *st)
{
    return st->is_audited;
}

static bool has_left(struct stage *st)
{
    return st->has_left;
}

static void on_audited(void *arg, const struct audit_report *report)
{
    struct stage *st = arg;
    st->is_audited = true;
    st->report = *report;
}

static void assert_clean(struct stage *st)
{
    struct err err;
    struct audit_options options = {.loop = &st->loop,
                                    .redis = st->nodes[0].redis,
                                    .shape = st->servers.shape,
                                    .prefix = STR("mw1:"),
                                    .deadline_ms = 10000};
    audit_free(&st->audit);
    st->is_audited = false;
    st->audit = audit_start(&options, NULL, on_audited, st, &err);
    assert_non_null(st->audit);
    run_until(st, is_audited, "the audit");
    if (!st->report.is_complete || st->report.finding_count)
        fail_msg("the audit: %s%s %s", st->report.why, st->report.finding_count ? st->report.findings[0].key : "",
                 st->report.finding_count ? st->report.findings[0].what : "");
    assert_true(st->report.keys[AUDIT_KEEPER] > 0 && st->report.bytes[AUDIT_KEEPER] > 0);
    assert_int_equal(st->report.keys[AUDIT_UNKNOWN], 0);
}

static void alone(struct stage *st, size_t i, const char *entity, uint32_t mails)
{
    struct node *n = &st->nodes[i];
    struct hash_key key = {1, i};
    char to[REDIS_KEY_MAX_BYTES];
    struct take take = {.counter = {.entity = str_of_z(entity), .kind = COUNTER_MAIL, .period_s = PERIOD},
                        .cost = {mails, mails, 0},
                        .allowed = {ALLOWED_ANY, ALLOWED_ANY, ALLOWED_ANY}};
    struct take *takes[] = {&take};
    struct mirror_terms terms = {.nodes = 1};
    int64_t now_us = clock_wall_us();
    counter_set_id(&take.counter, &key);
    struct str stem = redis_stem(&take.counter, STR("mw1:"), to, sizeof to);
    assert_int_equal(mirror_take(n->mirror, takes, &stem, &now_us, 1, &terms), MIRROR_TAKEN);
    outage_went_alone(&n->outage, 0, clock_monotonic_us());
}

/* What Redis has of both windows of now. */
static long long counted(struct stage *st, const char *entity)
{
    long long sum = 0;
    for (int64_t w = clock_wall_us() / 1000000 / PERIOD - 1, end = w + 1; w <= end; w++) {
        char key[64];
        int len = snprintf(key, sizeof key, "mw1:q:{%s}:%d:%lld", entity, PERIOD, (long long)w);
        size_t member = st->servers.shape == REDIS_CLUSTER
                            ? redis_servers_owner(&st->servers, redis_slot(str_of(key, (size_t)len)))
                            : 0;
        redisReply *r = redis_servers_ask(&st->servers, member, "GET %s", key);
        for (size_t b = 0; r->type == REDIS_REPLY_STRING && b < 64 && b < r->len; b += 4)
            sum += (unsigned char)r->str[b + 3];
        freeReplyObject(r);
    }
    return sum;
}

static void on_left(void *arg)
{
    struct stage *st = arg;
    st->has_left = true;
}

/* ---- stories ---- */

static void play(struct stage *st)
{
    struct ban_terms terms = {.duration_s = 900, .by = STR("guessing"), .reason = STR("many \"guesses\"")};
    run_until(st, all_believe, "that all believe");
    assert_clean(st);
    assert_true(ban_add(st->nodes[0].bans, STR("i:192.0.2.7"), &terms, clock_steady_us(), NULL));
    run_until(st, ban_is_there, "the ban");
    assert_clean(st);
    alone(st, 0, "u:alice", 3);
    alone(st, 1, "u:alice", 4);
    alone(st, 1, "u:bob", 1);
    run_until(st, all_believe, "that all believe after both went alone");
    assert_int_equal(counted(st, "u:alice"), 7);
    assert_int_equal(counted(st, "u:bob"), 1);
    assert_true(ban_lift(st->nodes[0].bans, STR("i:192.0.2.7"), clock_steady_us()));
    run_until(st, ban_is_gone, "the lifting of the ban");
    assert_clean(st);
}

static void test_alone(void **state)
{
    struct stage *st = *state;
    if (!st)
        skip();
    play(st);
    /* Killed, and empty again. */
    redis_servers_kill(&st->servers, 0);
    run_until(st, none_believes, "that nobody believes");
    alone(st, 0, "u:alice", 2);
    redis_servers_restart(&st->servers, 0);
    redis_servers_tell(&st->servers, 0, ACL);
    run_until(st, all_believe, "that all believe after the loss");
    assert_int_equal(counted(st, "u:alice"), 9);
    assert_int_equal(counted(st, "u:bob"), 1);
    assert_clean(st);

    keeper_leave(st->nodes[1].keeper, 2000, on_left, st);
    run_until(st, has_left, "that one leaves");
    redisReply *r = redis_servers_ask(&st->servers, 0, "ZSCORE mw1:nodes %s", st->nodes[1].id);
    assert_int_equal(r->type, REDIS_REPLY_NIL);
    freeReplyObject(r);
}

static void test_cluster(void **state)
{
    struct stage *st = *state;
    if (!st)
        skip();
    play(st);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cluster, setup_cluster, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
