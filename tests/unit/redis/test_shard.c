/* What a server says, and what it means for the circuit: a server that says what it is told to. */
#include "fake_redis.h"
#include "redis_test.h"

static struct fake_redis fake;
static struct redis_options options;
static struct redis *r;

static int set_up(void **state)
{
    (void)state;
    stage_begin();
    return 0;
}

static struct redis *open_one(struct fake_redis *f, struct redis_options *o, const char *mode, const char *role)
{
    struct err err;
    fake_start(f, &loop, mode, role);
    *o = (struct redis_options){.shape = REDIS_ALONE, .endpoints = &f->at, .endpoint_count = 1};
    struct redis *made = redis_new(&loop, o, 50 * tests_slowness(), NULL, &events, &err);
    assert_non_null(made);
    return made;
}

static void open_client(const char *mode, const char *role)
{
    r = open_one(&fake, &options, mode, role);
}

static void make_up(void)
{
    open_client("standalone", "master");
    RUN_UNTIL(redis_shard_ups(r, 0) == 1);
}

static int tear_down(void **state)
{
    (void)state;
    redis_free(&r);
    fake_stop(&fake);
    stage_end();
    return 0;
}

static bool is_up(void)
{
    return redis_is_up(r, STR("k"));
}

/* Replies that are errors: which of them open the circuit, and whether the server has to be looked at anew. */
static void test_errors(void **state)
{
    static const struct {
        const char *error, *why; /* NULL: it stays closed */
        bool is_reopened;
    } CASES[] = {
        {"LOADING Redis is loading the dataset in memory", " is loading its data", false},
        {"BUSY Redis is busy running a script", " is busy with a script", false},
        {"MASTERDOWN Link with MASTER is down", " is a replica that has lost its master", true},
        {"READONLY You can't write against a read only replica.", " is a replica now", true},
        {"NOAUTH Authentication required.", " wants a login: give `user` and `password-file` in `store`", true},
        {"NOPERM this user has no permissions", " does not allow its user what we ask: give it the ACL", false},
        {"MOVED 1 127.0.0.1:1", " is a node of a Cluster: name it in `store redis cluster`", true},
        {"TRYAGAIN Multiple keys request during rehashing of slot", NULL, false},
        {"CLUSTERDOWN Hash slot not served", NULL, false},
        {"OOM command not allowed when used memory > 'maxmemory'.", NULL, false},
        {"MISCONF Redis is configured to save RDB snapshots", NULL, false},
        {"WRONGTYPE Operation against a key holding the wrong kind of value", NULL, false},
        {"ERR value is not an integer or out of range", NULL, false},
        {"", NULL, false},
    };
    static struct {
        struct fake_redis fake;
        struct redis_options options;
        struct redis *redis;
        struct asked a, b;
        char replies[128];
    } all[COUNT_OF(CASES)]; /* side by side: each takes its second until it is up again */
    (void)state;
    fake.fd = -1;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        all[i].redis = open_one(&all[i].fake, &all[i].options, "standalone", "master");
        fake_say(&all[i].fake, "GET k", "-%s\r\n", CASES[i].error);
        fake_say(&all[i].fake, "GET other", ":1\r\n");
        asked_init(&all[i].a, "GET k ; GET other");
        asked_init(&all[i].b, "GET other");
        assert_true(redis_send(all[i].redis, STR("k"), &all[i].a.call));
        assert_true(redis_send(all[i].redis, STR("k"), &all[i].b.call));
        snprintf(all[i].replies, sizeof all[i].replies, "(%s) 1", CASES[i].error);
    }
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        EXPECT_DONE(&all[i].a, all[i].replies); /* it was asked before: its replies are heard */
        EXPECT_DONE(&all[i].b, "1");
        assert_int_equal(redis_shard_is_up(all[i].redis, 0), CASES[i].why == NULL);
        if (CASES[i].why)
            assert_non_null(strstr(redis_why_down(all[i].redis, 0).ptr, CASES[i].why));
    }
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        RUN_UNTIL(redis_shard_is_up(all[i].redis, 0));
        assert_int_equal(all[i].fake.accepted, CASES[i].is_reopened ? 2 : 1);
        assert_int_equal(redis_shard_ups(all[i].redis, 0), CASES[i].why ? 2 : 1);
        asked_fini(&all[i].a);
        asked_fini(&all[i].b);
        redis_free(&all[i].redis);
        fake_stop(&all[i].fake);
    }
    assert_int_equal(times_said("\"state\":\"down\""), 7);
    assert_int_equal(times_said("\"state\":\"up\""), 7);
}

static void test_wrong_kinds_of_server(void **state)
{
    static const struct {
        const char *mode, *role, *why, *version;
    } CASES[] = {
        {"standalone", "master", " is Redis 6.0.16, and mailweir needs 6.2 or newer, or Valkey", "6.0.16"},
        {"standalone", "replica", " is Redis 5.0.3, and mailweir needs 6.2 or newer, or Valkey", "5.0.3"},
        {"standalone", "replica", " is a replica: name its master, or use `store redis sentinel`"},
        {"cluster", "master", " is a node of a Cluster: write `store redis cluster 127.0.0.1:"},
        {"sentinel", "sentinel", " is a Sentinel, which counts nothing: write `store redis sentinel NAME 127.0.0.1:"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct asked a;
        open_client(CASES[i].mode, CASES[i].role);
        fake.version = CASES[i].version ? CASES[i].version : fake.version;
        asked_init(&a, "GET k");
        assert_true(redis_send(r, STR("k"), &a.call)); /* it is believed in */
        assert_string_equal(redis_why_down(r, 0).ptr ? redis_why_down(r, 0).ptr : "", "");
        RUN_UNTIL(a.done_count);
        assert_int_equal(a.result, REDIS_UNSENT);
        assert_false(is_up());
        assert_non_null(strstr(redis_why_down(r, 0).ptr, CASES[i].why));
        assert_int_equal(redis_shard_ups(r, 0), 0);
        assert_int_equal(times_said(CASES[i].why), 1);
        asked_fini(&a);
        redis_free(&r);
        fake_stop(&fake);
    }
}

static void test_versions(void **state)
{
    static const char *const GOOD[] = {"6.2.0", "7.2.4", "10.0.1", "unstable", "", "255.255.255"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(GOOD); i++) {
        open_client("standalone", "master");
        fake.version = GOOD[i];
        RUN_UNTIL(redis_shard_ups(r, 0) == 1);
        redis_free(&r);
        fake_stop(&fake);
    }
}

/* One of several clients of a node: what must be mended another one says; what befalls this one it says itself. */
static void test_hushed(void **state)
{
    struct asked a;
    (void)state;
    open_client("standalone", "replica");
    redis_hush(r);
    RUN_UNTIL(!is_up());
    assert_non_null(strstr(redis_why_down(r, 0).ptr, " is a replica"));
    assert_int_equal(times_said("is a replica"), 0);
    assert_int_equal(times_said("\"state\":\"down\""), 0);
    fake.role = "master";
    RUN_FOR_UNTIL(12000, is_up());
    fake_say(&fake, "GET", "-NOPERM this user has no permissions to run the 'get' command\r\n");
    asked_init(&a, "GET k");
    assert_true(redis_send(r, STR("k"), &a.call));
    RUN_UNTIL(!is_up());
    assert_int_equal(times_said("does not allow its user what we ask"), 1);
    asked_fini(&a);
}

static void be_late(struct asked *a, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        asked_init(&a[i], "GET k");
        assert_true(redis_send(r, STR("k"), &a[i].call));
        redis_call_is_late(r, &a[i].call);
    }
}

/* A server that answers, but too late: probes on the same connection do not come through in time either. */
static void test_probes_that_are_late(void **state)
{
    (void)state;
    struct asked a[3];
    make_up();
    fake_say_times(&fake, 3, "GET k", "%s", "");
    fake_say_times(&fake, 1, "PING", "%s", "");
    be_late(a, 3);
    assert_false(is_up());
    assert_non_null(strstr(redis_why_down(r, 0).ptr, " does not answer within "));
    const struct redis_shard *shard = r->shards[0];
    RUN_UNTIL(shard->is_probing);
    RUN_UNTIL(!shard->is_probing);
    assert_false(is_up());
    assert_true(shard->probe.is_under_way);
    assert_int_equal(shard->circuit.good_in_row, 0);
    fake_push(&fake, "+1\r\n+2\r\n+3\r\n+PONG\r\n"); /* at last */
    EXPECT_DONE(&a[0], "1");
    EXPECT_DONE(&a[2], "3");
    RUN_UNTIL(!shard->probe.is_under_way);
    assert_int_equal(shard->circuit.good_in_row, 0); /* too late for a good one */
    RUN_FOR_UNTIL(10000, is_up());
    assert_int_equal(fake.accepted, 1); /* all on one connection */
    assert_int_equal(times_said("\"state\":\"down\""), 1);
    for (size_t i = 0; i < COUNT_OF(a); i++)
        asked_fini(&a[i]);
}

/* Late calls are in a row only if none between them was answered in time. */
static void test_late_calls_with_others_between(void **state)
{
    (void)state;
    struct asked late[2], in_time;
    make_up();
    fake_say(&fake, "GET k", "%s", "");
    be_late(late, 2);
    asked_init(&in_time, "SET k v");
    fake_push(&fake, ":1\r\n:2\r\n");
    RUN_UNTIL(late[1].done_count);
    fake_say(&fake, "SET", "+OK\r\n");
    assert_true(redis_send(r, STR("k"), &in_time.call));
    EXPECT_DONE(&in_time, "OK");
    assert_int_equal(r->shards[0]->circuit.late_in_row, 0);
    for (size_t i = 0; i < COUNT_OF(late); i++) {
        redis_call_is_late(r, &late[i].call); /* it is over: nothing happens */
        asked_fini(&late[i]);
    }
    assert_int_equal(r->shards[0]->circuit.late_in_row, 0);
    asked_fini(&in_time);
}

/* A reply that nobody waited for, and that was late all the same, is no answer in time. */
static void test_late_though_nobody_said_so(void **state)
{
    (void)state;
    struct asked late[2], slow;
    make_up();
    fake_say(&fake, "GET k", "%s", "");
    be_late(late, 2);
    asked_init(&slow, "GET k");
    assert_true(redis_send(r, STR("k"), &slow.call));
    slow.call.sent_ms -= 51 * (int64_t)tests_slowness();
    RUN_UNTIL(strlen(fake.heard) == strlen("GET k;GET k;GET k;"));
    fake_push(&fake, ":1\r\n:2\r\n:3\r\n");
    EXPECT_DONE(&slow, "3");
    assert_int_equal(r->shards[0]->circuit.late_in_row, 2);
    for (size_t i = 0; i < COUNT_OF(late); i++)
        asked_fini(&late[i]);
    asked_fini(&slow);
}

/* Whoever hears that his call is lost can see that there is no use in another one. */
static bool was_up_when_lost;
static void on_lost(struct redis_call *c, enum redis_result result)
{
    assert_int_equal(result, REDIS_LOST);
    was_up_when_lost = is_up() || redis_send(r, STR("k"), c);
    (*(unsigned *)c->arg)++;
}

static void test_lost_calls(void **state)
{
    (void)state;
    struct redis_call c;
    const struct str words[] = {STR("GET"), STR("k")};
    unsigned lost = 0;
    make_up();
    fake_say(&fake, "GET k", "%s", "");
    redis_call_init(&c, NULL, on_lost, &lost);
    assert_true(redis_call_add(&c, words, 2));
    assert_true(redis_send(r, STR("k"), &c));
    RUN_UNTIL(strcmp(fake.heard, "GET k;") == 0);
    fake_cut_off(&fake);
    RUN_UNTIL(lost == 1);
    assert_false(was_up_when_lost);
    redis_call_fini(&c);
}

static void test_freed_with_calls_under_way(void **state)
{
    (void)state;
    struct asked a, b;
    make_up();
    fake_say(&fake, "GET k", "%s", "");
    asked_init(&a, "GET k");
    asked_init(&b, "GET k");
    assert_true(redis_send(r, STR("k"), &a.call));
    RUN_UNTIL(strcmp(fake.heard, "GET k;") == 0);
    assert_true(redis_send(r, STR("k"), &b.call));
    redis_free(&r);
    assert_int_equal(a.done_count + b.done_count, 0);
    asked_fini(&a);
    asked_fini(&b);
}

static void test_options_that_cannot_be(void **state)
{
    (void)state;
    struct err err;
    options = (struct redis_options){.shape = REDIS_ALONE};
    assert_null(redis_new(&loop, &options, 50, NULL, NULL, &err));
    assert_string_equal(err.text, "no address of Redis is given");
    options = (struct redis_options){
        .shape = REDIS_ALONE, .endpoints = &fake.at, .endpoint_count = 1, .tls = true, .ca_file = "/nonexistent.pem"};
    assert_null(redis_new(&loop, &options, 50, NULL, NULL, &err));
    assert_non_null(strstr(err.text, "/nonexistent.pem"));
    fake.fd = -1;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_errors),
        TEST(test_wrong_kinds_of_server),
        TEST(test_versions),
        TEST(test_hushed),
        TEST(test_probes_that_are_late),
        TEST(test_late_calls_with_others_between),
        TEST(test_late_though_nobody_said_so),
        TEST(test_lost_calls),
        TEST(test_freed_with_calls_under_way),
        TEST(test_options_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
