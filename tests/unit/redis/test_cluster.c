/* The Cluster's shape against nodes that say what they are told to: redirects, maps, and what is wrong with them. */
#include "fake_redis.h"
#include "redis_test.h"

#include "redis/slots.h"

enum { NODES = 3 };

static struct fake_redis nodes[NODES];
static struct endpoint seeds[NODES];
static struct redis_options options;
static struct redis *r;

#define KEY_SLOT 12182 /* of "foo" */

/* ---- what the nodes say ---- */

/* The map in which each of so many nodes has an equal part; "foo" is then the last one's. */
static void say_map(struct fake_redis *f, size_t count)
{
    char wire[1024];
    int len = snprintf(wire, sizeof wire, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++)
        len += snprintf(wire + len, sizeof wire - (size_t)len,
                        "*3\r\n:%zu\r\n:%zu\r\n*3\r\n$9\r\n127.0.0.1\r\n:%u\r\n$2\r\nid\r\n", SLOTS_COUNT * i / count,
                        SLOTS_COUNT * (i + 1) / count - 1, nodes[i].at.port);
    fake_say(f, "CLUSTER SLOTS", "%s", wire);
}

/* One node has some slots, and nobody the others. */
static void say_part(struct fake_redis *f, unsigned first, unsigned last)
{
    fake_say(f, "CLUSTER SLOTS", "*1\r\n*3\r\n:%u\r\n:%u\r\n*2\r\n$0\r\n\r\n:%u\r\n", first, last, f->at.port);
}

static void say_moved(struct fake_redis *f, const char *words, const struct fake_redis *to)
{
    fake_say(f, words, "-MOVED %d 127.0.0.1:%u\r\n", KEY_SLOT, to->at.port);
}

static int set_up(void **state)
{
    (void)state;
    stage_begin();
    for (size_t i = 0; i < NODES; i++) {
        fake_start(&nodes[i], &loop, "cluster", "master");
        seeds[i] = nodes[i].at;
    }
    options = (struct redis_options){.shape = REDIS_CLUSTER, .endpoints = seeds, .endpoint_count = 1};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    redis_free(&r);
    for (size_t i = 0; i < NODES; i++)
        fake_stop(&nodes[i]);
    stage_end();
    return 0;
}

static void open_client(void)
{
    r = client_open(&options);
}

static bool all_are_up(size_t count)
{
    size_t up = 0;
    for (size_t i = 0; i < redis_shard_count(r); i++)
        up += redis_shard_ups(r, i) > 0 && redis_shard_is_up(r, i);
    return up == count && redis_shard_count(r) == count;
}

/* Opens the client on a map of so many nodes, which all are up. */
static void open_on_map(size_t count)
{
    for (size_t i = 0; i < count; i++)
        say_map(&nodes[i], count);
    open_client();
    RUN_UNTIL(all_are_up(count));
    for (size_t i = 0; i < NODES; i++)
        nodes[i].heard[0] = '\0';
}

static void ask(struct asked *a, const char *commands)
{
    asked_init(a, commands);
    assert_true(redis_send(r, STR("foo"), &a->call));
}

/* ---- the map ---- */

static void test_routes(void **state)
{
    struct asked a, b;
    (void)state;
    open_client();
    assert_int_equal(redis_shard_count(r), 0);
    assert_int_equal(redis_shard_of(r, STR("foo")), SIZE_MAX);
    assert_false(redis_is_up(r, STR("foo")));
    assert_string_equal(redis_why_down(r, 0).ptr, "it is not known yet where Redis is");
    redis_free(&r);
    open_on_map(3);
    assert_int_equal(redis_shard_of(r, STR("foo")), 2);
    assert_int_equal(redis_shard_of(r, STR("mw1:q:{u:alice@example.org}:3600:1")), 1);
    fake_say(&nodes[2], "GET foo", "$3\r\nbar\r\n");
    fake_say(&nodes[1], "GET x{u:alice@example.org}", "$-1\r\n");
    ask(&a, "GET foo ; GET foo");
    asked_init(&b, "GET x{u:alice@example.org}");
    assert_true(redis_send(r, STR("x{u:alice@example.org}"), &b.call));
    EXPECT_DONE(&a, "bar bar");
    EXPECT_DONE(&b, "nil");
    assert_string_equal(nodes[2].heard, "GET foo;GET foo;");
    assert_int_equal(nodes[1].accepted, 1);
    assert_int_equal(redis_map_version(r), 1);
    asked_fini(&a);
    asked_fini(&b);
}

/* Seeds are tried in turn: one that refuses, one that is no node, one that talks nonsense, then a good one. */
static void test_seeds(void **state)
{
    static const char *const NONSENSE[] = {"+OK\r\n", "*1\r\n:7\r\n", "%%1\r\n", "*2147483647\r\n", "*0\r\n"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(NONSENSE); i++) {
        fake_stop(&nodes[0]);
        fake_say(&nodes[1], "CLUSTER SLOTS", NONSENSE[i], "");
        say_part(&nodes[2], 0, SLOTS_COUNT - 1);
        options.endpoint_count = 3;
        open_client();
        RUN_UNTIL(all_are_up(1));
        assert_string_equal(what_was_said(), "");
        redis_free(&r);
    }
}

/* Nobody tells a map: it is said once, and why; it is asked for again, and then all is well. */
static void test_without_map(void **state)
{
    struct asked a;
    (void)state;
    fake_say_times(&nodes[0], 2, "CLUSTER SLOTS", "-ERR This instance has cluster support disabled\r\n");
    open_client();
    RUN_UNTIL(redis_map_version(r) == 0 && times_said("\"state\":\"down\"") == 1);
    assert_non_null(strstr(redis_why_down(r, 0).ptr, "cluster support disabled"));
    asked_init(&a, "GET foo");
    assert_false(redis_send(r, STR("foo"), &a.call));
    say_part(&nodes[0], 0, SLOTS_COUNT - 1);
    RUN_UNTIL(all_are_up(1));
    assert_int_equal(times_said("\"state\":\"down\""), 1);
    assert_int_equal(times_said("\"state\":\"up\""), 1);
    asked_fini(&a);
}

/* A node that does not answer to CLUSTER SLOTS holds nobody up. */
static void test_silent_seed(void **state)
{
    (void)state;
    fake_say(&nodes[0], "CLUSTER SLOTS", "%s", "");
    say_part(&nodes[1], 0, SLOTS_COUNT - 1);
    options.endpoint_count = 2;
    open_client();
    RUN_UNTIL(all_are_up(1));
}

static void test_uncovered(void **state)
{
    struct asked a;
    (void)state;
    say_part(&nodes[0], 0, KEY_SLOT - 1);
    open_client();
    RUN_UNTIL(all_are_up(1));
    assert_int_equal(redis_shard_of(r, STR("foo")), SIZE_MAX);
    assert_false(redis_is_up(r, STR("foo")));
    asked_init(&a, "GET foo");
    assert_false(redis_send(r, STR("foo"), &a.call));
    assert_int_equal(redis_shard_of(r, STR("u:alice@example.org")), 0); /* others are served */
    say_part(&nodes[0], 0, SLOTS_COUNT - 1);
    RUN_UNTIL(redis_is_up(r, STR("foo"))); /* the map is asked for until it is whole */
    assert_int_equal(redis_shard_ups(r, 0), 1);
    asked_fini(&a);
}

/* Masters that stay keep their connection and, as long as none before them goes, their number. */
static void test_map_changes(void **state)
{
    struct asked a;
    (void)state;
    open_on_map(2);
    unsigned version = redis_map_version(r);
    for (size_t i = 0; i < 3; i++)
        say_map(&nodes[i], 3);
    fake_say_times(&nodes[1], 1, "GET foo", "-MOVED %d 127.0.0.1:%u\r\n", KEY_SLOT, nodes[2].at.port);
    fake_say(&nodes[2], "GET foo", "$1\r\n1\r\n");
    ask(&a, "GET foo");
    EXPECT_DONE(&a, "1");
    assert_int_equal(redis_shard_of(r, STR("foo")), 2);
    RUN_UNTIL(all_are_up(3));
    assert_true(redis_map_version(r) > version);
    assert_int_equal(redis_shard_ups(r, 0), 1);
    for (size_t i = 0; i < 2; i++)
        RUN_UNTIL(redis_shard_of(r, STR("u:alice@example.org")) == 1);
    asked_fini(&a);
    /* Now the first one goes. */
    for (size_t i = 1; i < 3; i++)
        say_part(&nodes[i], 0, SLOTS_COUNT - 1); /* each says that it has all: whoever is asked, the others go */
    fake_stop(&nodes[0]);
    RUN_UNTIL(redis_shard_count(r) == 1);
    assert_int_equal(redis_shard_ups(r, 0), 1);
    assert_true(redis_is_up(r, STR("foo")));
}

/* A master that dies takes its slots with it, and no others. */
static void test_one_dies(void **state)
{
    struct asked a;
    (void)state;
    open_on_map(3);
    fake_say(&nodes[2], "GET foo", "%s", "");
    ask(&a, "GET foo");
    RUN_UNTIL(nodes[2].heard[0]);
    fake_stop(&nodes[2]);
    RUN_UNTIL(a.done_count);
    assert_int_equal(a.result, REDIS_LOST);
    assert_int_equal(a.reply_count, 0);
    assert_false(redis_is_up(r, STR("foo")));
    assert_true(redis_shard_is_up(r, 0));
    assert_true(redis_shard_is_up(r, 1));
    asked_fini(&a);
    RUN_UNTIL(strstr(nodes[0].heard, "CLUSTER SLOTS") || strstr(nodes[1].heard, "CLUSTER SLOTS"));
    for (size_t i = 0; i < 2; i++)
        say_map(&nodes[i], 2); /* as after a failover */
    RUN_UNTIL(redis_is_up(r, STR("foo")));
    assert_int_equal(redis_shard_of(r, STR("foo")), 1);
}

static void test_replica_is_no_master(void **state)
{
    (void)state;
    nodes[0].role = "replica";
    say_part(&nodes[0], 0, SLOTS_COUNT - 1);
    open_client();
    RUN_UNTIL(redis_shard_count(r) == 1 && !redis_shard_is_up(r, 0));
    assert_non_null(strstr(redis_why_down(r, 0).ptr, "is a replica now"));
    nodes[0].role = "master";
    RUN_FOR_UNTIL(12000, redis_shard_is_up(r, 0));
}

static void test_no_node_of_a_cluster(void **state)
{
    (void)state;
    nodes[0].mode = "standalone";
    say_part(&nodes[0], 0, SLOTS_COUNT - 1);
    open_client();
    RUN_UNTIL(times_said("\"state\":\"down\"") == 1);
    assert_int_equal(redis_shard_count(r), 0); /* it is not even asked */
    assert_non_null(
        strstr(redis_why_down(r, 0).ptr, " is no node of a Cluster: write `store redis \"redis://127.0.0.1:"));
}

/* ---- redirects ---- */

/* MOVED for each command of a call: all go on in their order, and the next call goes there at once. */
static void test_moved(void **state)
{
    struct asked a, b;
    (void)state;
    open_on_map(3);
    say_moved(&nodes[2], "INCR foo", &nodes[0]);
    say_moved(&nodes[2], "GET foo", &nodes[0]);
    fake_say(&nodes[0], "INCR foo", ":1\r\n");
    fake_say(&nodes[0], "GET foo", "$1\r\n1\r\n");
    ask(&a, "INCR foo ; GET foo ; GET foo");
    EXPECT_DONE(&a, "1 1 1");
    assert_string_equal(nodes[0].heard, "INCR foo;GET foo;GET foo;");
    assert_int_equal(redis_shard_of(r, STR("foo")), 0);
    nodes[2].heard[0] = '\0';
    ask(&b, "GET foo");
    EXPECT_DONE(&b, "1");
    assert_null(strstr(nodes[2].heard, "GET foo"));
    asked_fini(&a);
    asked_fini(&b);
}

/* However many calls are moved, the map is asked for once a second. */
static void test_storm(void **state)
{
    enum { CALLS = 200 };
    static struct asked a[CALLS];
    (void)state;
    open_on_map(3);
    say_moved(&nodes[2], "INCR foo", &nodes[0]);
    say_moved(&nodes[0], "INCR foo", &nodes[1]); /* and again */
    fake_say(&nodes[1], "INCR foo", ":1\r\n");
    for (size_t i = 0; i < CALLS; i++)
        ask(&a[i], "INCR foo ; INCR foo");
    for (size_t i = 0; i < CALLS; i++) {
        EXPECT_DONE(&a[i], "1 1");
        asked_fini(&a[i]);
    }
    unsigned asked = 0;
    for (size_t i = 0; i < NODES; i++)
        for (const char *at = nodes[i].heard; (at = strstr(at, "CLUSTER SLOTS")); at++)
            asked++;
    assert_in_range(asked, 0, 2);
}

/* Two nodes that send each other what they are asked: five times, then the caller hears it. */
static void test_moved_in_circles(void **state)
{
    struct asked a;
    (void)state;
    open_on_map(2);
    say_moved(&nodes[1], "GET foo", &nodes[0]);
    say_moved(&nodes[0], "GET foo", &nodes[1]);
    ask(&a, "GET foo");
    RUN_UNTIL(a.done_count);
    assert_int_equal(a.result, REDIS_DONE);
    assert_int_equal(strncmp(a.replies, "(MOVED 12182 127.0.0.1:", 23), 0);
    unsigned asked = 0;
    for (size_t i = 0; i < 2; i++)
        for (const char *at = nodes[i].heard; (at = strstr(at, "GET foo")); at++)
            asked++;
    assert_int_equal(asked, 6);
    asked_fini(&a);
}

/* ASKING before each command, the map stays; a key that is still there is answered there, in the order of the call. */
/* A command that was sent on twice is late: that is the fault of the node that has it now, and not of the one that sent
 * it on, which may be gone from the map by then. */
static void test_late_after_two_hops(void **state)
{
    enum { CALLS = 3 };
    struct asked late[CALLS];
    (void)state;
    open_on_map(3);
    say_moved(&nodes[2], "GET foo", &nodes[1]);
    say_moved(&nodes[1], "GET foo", &nodes[0]);
    fake_say(&nodes[0], "GET foo", "%s", "");
    for (size_t i = 0; i < CALLS; i++)
        ask(&late[i], "GET foo");
    RUN_UNTIL(strcmp(nodes[0].heard, "GET foo;GET foo;GET foo;") == 0);
    for (size_t i = 0; i < CALLS; i++)
        redis_call_is_late(r, &late[i].call);
    assert_false(redis_shard_is_up(r, 0));
    assert_true(redis_shard_is_up(r, 1) && redis_shard_is_up(r, 2));
    redis_free(&r);
    for (size_t i = 0; i < CALLS; i++)
        asked_fini(&late[i]);
}

static void test_ask(void **state)
{
    struct asked a, b;
    (void)state;
    open_on_map(3);
    unsigned version = redis_map_version(r);
    fake_say(&nodes[2], "INCR foo", "-ASK %d 127.0.0.1:%u\r\n", KEY_SLOT, nodes[0].at.port);
    fake_say(&nodes[2], "GET foo", "-ASK %d 127.0.0.1:%u\r\n", KEY_SLOT, nodes[0].at.port);
    fake_say(&nodes[2], "GET {foo}old", "$3\r\nold\r\n");
    fake_say(&nodes[0], "ASKING", "+OK\r\n");
    fake_say(&nodes[0], "INCR foo", ":7\r\n");
    fake_say(&nodes[0], "GET foo", "$1\r\n7\r\n");
    ask(&a, "INCR foo ; GET {foo}old ; GET foo ; GET {foo}old");
    EXPECT_DONE(&a, "7 old 7 old");
    assert_string_equal(nodes[0].heard, "ASKING;INCR foo;ASKING;GET foo;");
    assert_int_equal(redis_shard_of(r, STR("foo")), 2);
    assert_int_equal(redis_map_version(r), version);
    /* The target does not know of it yet and moves it back: the owner decides. */
    fake_say_times(&nodes[0], 1, "INCR foo", "-MOVED %d 127.0.0.1:%u\r\n", KEY_SLOT, nodes[2].at.port);
    fake_say_times(&nodes[2], 1, "INCR foo", "-ASK %d 127.0.0.1:%u\r\n", KEY_SLOT, nodes[0].at.port);
    ask(&b, "INCR foo");
    EXPECT_DONE(&b, "7");
    asked_fini(&a);
    asked_fini(&b);
}

/* A node that the map does not name yet is connected to for ASK; not listed. */
static void test_ask_stranger(void **state)
{
    struct asked a;
    (void)state;
    open_on_map(2);
    fake_say(&nodes[1], "GET foo", "-ASK %d 127.0.0.1:%u\r\n", KEY_SLOT, nodes[2].at.port);
    fake_say(&nodes[2], "ASKING", "+OK\r\n");
    fake_say(&nodes[2], "GET foo", "$1\r\n1\r\n");
    for (unsigned i = 0; i < 2; i++) {
        ask(&a, "GET foo");
        EXPECT_DONE(&a, "1");
        asked_fini(&a);
    }
    assert_int_equal(redis_shard_count(r), 2);
    assert_int_equal(nodes[2].accepted, 1);
}

/* What is no redirect is the caller's, and blocks nobody. */
static void test_errors(void **state)
{
    static const char *const ERRORS[] = {"TRYAGAIN Multiple keys request during rehashing of slot",
                                         "CLUSTERDOWN Hash slot not served", "OOM command not allowed",
                                         "MOVED nonsense", "ASK 1 nowhere:0"};
    struct asked a, b;
    (void)state;
    open_on_map(3);
    fake_say(&nodes[2], "PING", "+PONG\r\n");
    fake_say(&nodes[2], "GET {foo}2", "$1\r\n2\r\n");
    for (size_t i = 0; i < COUNT_OF(ERRORS); i++) {
        char expected[128];
        snprintf(expected, sizeof expected, "(%s) 2", ERRORS[i]);
        fake_say(&nodes[2], "GET foo", "-%s\r\n", ERRORS[i]);
        ask(&a, "GET foo ; GET {foo}2");
        EXPECT_DONE(&a, expected);
        ask(&b, "GET {foo}2");
        EXPECT_DONE(&b, "2");
        assert_true(redis_is_up(r, STR("foo")));
        asked_fini(&a);
        asked_fini(&b);
    }
    assert_string_equal(what_was_said(), "");
}

/* Where it is sent to cannot be reached: nothing was carried out. Only some of it was: it is lost. */
static void test_moved_to_nobody(void **state)
{
    struct asked a, b;
    (void)state;
    open_on_map(2);
    fake_stop(&nodes[2]);
    fake_say(&nodes[1], "GET foo", "-ASK %d 127.0.0.1:%u\r\n", KEY_SLOT, nodes[2].at.port);
    fake_say(&nodes[1], "GET {foo}2", "$1\r\n2\r\n");
    ask(&a, "GET foo ; GET foo");
    ask(&b, "GET {foo}2 ; GET foo ; GET {foo}2");
    RUN_UNTIL(a.done_count && b.done_count);
    assert_int_equal(a.result, REDIS_UNSENT);
    assert_int_equal(a.reply_count, 0);
    assert_int_equal(b.result, REDIS_LOST);
    assert_string_equal(b.replies, "2");
    assert_true(redis_is_up(r, STR("foo")));
    asked_fini(&a);
    asked_fini(&b);
}

/* The link dies when a part was redirected; and the client is freed amid redirects: no callback comes. */
static void test_ends_amid_redirects(void **state)
{
    struct asked a, b;
    (void)state;
    open_on_map(3);
    say_moved(&nodes[2], "GET foo", &nodes[0]);
    fake_say(&nodes[2], "GET {foo}2", "%s", "");
    fake_say(&nodes[0], "GET foo", "$1\r\n1\r\n");
    ask(&a, "GET foo ; GET {foo}2");
    RUN_UNTIL(a.reply_count == 1);
    fake_stop(&nodes[2]);
    RUN_UNTIL(a.done_count);
    assert_int_equal(a.result, REDIS_LOST);
    assert_string_equal(a.replies, "1");
    fake_say(&nodes[0], "GET foo", "-ASK %d 127.0.0.1:%u\r\n", KEY_SLOT, nodes[1].at.port);
    fake_say(&nodes[1], "ASKING", "%s", "");
    fake_say(&nodes[1], "GET foo", "%s", "");
    ask(&b, "GET foo ; GET foo ; GET foo");
    RUN_UNTIL(strstr(nodes[1].heard, "ASKING;GET foo;ASKING;GET foo;ASKING;GET foo;"));
    redis_free(&r);
    assert_int_equal(b.done_count, 0);
    asked_fini(&a);
    asked_fini(&b);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_routes),
        CASE(test_seeds),
        CASE(test_without_map),
        CASE(test_silent_seed),
        CASE(test_uncovered),
        CASE(test_map_changes),
        CASE(test_one_dies),
        CASE(test_replica_is_no_master),
        CASE(test_moved),
        CASE(test_no_node_of_a_cluster),
        CASE(test_storm),
        CASE(test_moved_in_circles),
        CASE(test_late_after_two_hops),
        CASE(test_ask),
        CASE(test_ask_stranger),
        CASE(test_errors),
        CASE(test_moved_to_nobody),
        CASE(test_ends_amid_redirects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
