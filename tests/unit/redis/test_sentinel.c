/* The Sentinel shape against sentinels and masters that say what they are told to. */
#include "fake_redis.h"
#include "redis_test.h"

#include "net/tls.h"

enum { SENTINELS = 3, SERVERS = 2 };

static struct fake_redis sentinels[SENTINELS], servers[SERVERS];
static struct endpoint endpoints[SENTINELS];
static struct redis_options options;
static struct redis *r;

#define GET "SENTINEL get-master-addr-by-name mw"

/* A sentinel names a server. */
static void say_master(struct fake_redis *sentinel, const struct fake_redis *master)
{
    char port[8];
    int len = snprintf(port, sizeof port, "%u", master->at.port);
    fake_say(sentinel, GET, "*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%s\r\n", len, port);
}

static void push_switch(struct fake_redis *sentinel, const char *name, const struct fake_redis *to)
{
    char text[128];
    int len = snprintf(text, sizeof text, "%s 127.0.0.1 1 127.0.0.1 %u", name, to->at.port);
    fake_push(sentinel, "*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n$%d\r\n%s\r\n", len, text);
}

static int set_up(void **state)
{
    (void)state;
    stage_begin();
    for (size_t i = 0; i < SENTINELS; i++) {
        fake_start(&sentinels[i], &loop, "sentinel", "sentinel");
        fake_say(&sentinels[i], "SUBSCRIBE", "*3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n");
        fake_say(&sentinels[i], "UNSUBSCRIBE", "*3\r\n$11\r\nunsubscribe\r\n$14\r\n+switch-master\r\n:0\r\n");
        endpoints[i] = sentinels[i].at;
    }
    for (size_t i = 0; i < SERVERS; i++)
        fake_start(&servers[i], &loop, "standalone", "master");
    options = (struct redis_options){
        .shape = REDIS_SENTINEL, .endpoints = endpoints, .endpoint_count = SENTINELS, .master = "mw"};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    redis_free(&r);
    for (size_t i = 0; i < SENTINELS; i++)
        fake_stop(&sentinels[i]);
    for (size_t i = 0; i < SERVERS; i++)
        fake_stop(&servers[i]);
    stage_end();
    return 0;
}

static void open_client(void)
{
    r = client_open(&options);
}

static bool is_at(const struct fake_redis *f)
{
    char name[ENDPOINT_TEXT_MAX];
    return redis_shard_is_up(r, 0) && redis_shard_ups(r, 0) > 0 &&
           str_equal(redis_shard_name(r, 0), endpoint_format(&f->at, name));
}

static unsigned count_of(const char *text, const char *part)
{
    unsigned count = 0;
    for (; (text = strstr(text, part)); text++)
        count++;
    return count;
}

static void test_finds(void **state)
{
    struct asked a;
    (void)state;
    say_master(&sentinels[0], &servers[0]);
    options.user = "mailweir", options.password = "secret"; /* none of the sentinels' business */
    fake_say(&servers[0], "HELLO 2 AUTH mailweir secret",
             "*4\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\n"
             "master\r\n");
    fake_say(&servers[0], "GET k", "$1\r\nv\r\n");
    open_client();
    assert_int_equal(redis_shard_count(r), 1);
    assert_int_equal(redis_shard_of(r, STR("k")), 0);
    assert_false(redis_is_up(r, STR("k"))); /* nobody knows yet where it is */
    RUN_UNTIL(is_at(&servers[0]));
    asked_init(&a, "GET k");
    assert_true(redis_send(r, STR("k"), &a.call));
    EXPECT_DONE(&a, "v");
    asked_fini(&a);
    RUN_UNTIL(strcmp(sentinels[0].heard, GET ";SUBSCRIBE +switch-master;") == 0);
    assert_int_equal(sentinels[0].accepted, 1);
    assert_int_equal(sentinels[1].accepted + sentinels[2].accepted, 0);
    assert_string_equal(what_was_said(), "");
}

/* In turn: one that refuses connections, is silent, knows no such master, wants a login, talks nonsense. */
static void test_in_turn(void **state)
{
    static const struct {
        const char *name, *wire;
    } MANNERS[] = {
        {"refuses", NULL},
        {"silent", ""},
        {"unknown", "*-1\r\n"},
        {"login", "-NOAUTH Authentication required.\r\n"},
        {"empty", "*0\r\n"},
        {"no port", "*2\r\n$9\r\n127.0.0.1\r\n$1\r\n0\r\n"},
        {"no host", "*2\r\n$0\r\n\r\n$4\r\n6379\r\n"},
        {"integers", "*2\r\n:1\r\n:2\r\n"},
        {"no RESP", "HTTP/1.1 400 Bad Request\r\n\r\n"},
    };
    (void)state;
    say_master(&sentinels[2], &servers[0]);
    for (size_t i = 0; i < COUNT_OF(MANNERS); i++) {
        for (size_t k = 0; k < 2 && MANNERS[i].wire; k++) {
            fake_say(&sentinels[k], GET, MANNERS[i].wire, "");
            if (!MANNERS[i].wire[0])
                fake_say_times(&sentinels[k], 1, "SUBSCRIBE", "%s", "");
        }
        for (size_t k = 0; k < 2 && !MANNERS[i].wire; k++)
            fake_stop(&sentinels[k]);
        int64_t began_ms = clock_monotonic_ms();
        open_client();
        RUN_UNTIL(is_at(&servers[0]));
        if (clock_monotonic_ms() - began_ms > 4000 * tests_slowness())
            fail_msg("%s: it took too long", MANNERS[i].name);
        assert_string_equal(what_was_said(), "");
        redis_free(&r);
        for (size_t k = 0; k < 2 && !MANNERS[i].wire; k++)
            fake_restart(&sentinels[k]);
    }
}

static void expect_reason(const char *state, const char *reason)
{
    RUN_UNTIL(strstr(redis_why_down(r, 0).ptr, reason));
    assert_int_equal(times_said(state), 1);
}

/* What is wrong with them is said once, in words; when one is there again, all is well. */
static void test_none_is_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < SENTINELS; i++)
        fake_stop(&sentinels[i]);
    open_client();
    expect_reason("\"state\":\"down\"", "no sentinel says where master \"mw\" is: sentinel 127.0.0.1:");
    assert_non_null(strstr(redis_why_down(r, 0).ptr, "connection refused"));
    RUN_UNTIL(redis_shard_count(r) == 1); /* and it is not said again */
    fake_restart(&sentinels[1]);
    say_master(&sentinels[1], &servers[0]);
    RUN_FOR_UNTIL(12000, is_at(&servers[0]));
    assert_int_equal(times_said("\"state\":\"down\""), 1);
    assert_int_equal(times_said("\"state\":\"up\""), 1);
}

static void test_nobody_knows_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < SENTINELS; i++)
        fake_say(&sentinels[i], GET, "*-1\r\n");
    open_client();
    expect_reason("\"state\":\"down\"",
                  "no sentinel knows a master \"mw\": use the name that `sentinel monitor` gives it");
}

static void test_silent_ones(void **state)
{
    (void)state;
    for (size_t i = 0; i < SENTINELS; i++)
        fake_say(&sentinels[i], GET, "%s", ""), fake_say(&sentinels[i], "SUBSCRIBE", "%s", "");
    open_client();
    expect_reason("\"state\":\"down\"", "does not answer within 300 ms");
}

/* Sentinels have a login of their own: nothing is asked of them before it, and Redis is not told of it. */
static void test_login(void **state)
{
    (void)state;
    say_master(&sentinels[1], &servers[0]);
    options.sentinel_user = "watcher", options.sentinel_password = "secret";
    fake_say(&sentinels[0], "AUTH watcher secret",
             "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    fake_say(&sentinels[1], "AUTH watcher secret", "+OK\r\n");
    open_client();
    RUN_UNTIL(is_at(&servers[0]));
    RUN_UNTIL(strcmp(sentinels[1].heard, "AUTH watcher secret;" GET ";SUBSCRIBE +switch-master;") == 0);
    assert_string_equal(sentinels[0].heard, "AUTH watcher secret;");
    assert_int_equal(count_of(servers[0].heard, "watcher"), 0);
}

static void test_refused_logins(void **state)
{
    static const struct {
        const char *password, *words, *wire, *why;
    } CASES[] = {
        {NULL, GET, "-NOAUTH Authentication required.\r\n", " wants a login: give `sentinel-password-file` in `store`"},
        {"secret", "AUTH secret", "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
         " refuses the login: no such user, or another password; see `sentinel-user` and `sentinel-password-file` in"},
        {"secret", "AUTH secret",
         "-ERR AUTH <password> called without any password configured for the default user.\r\n",
         " has no password, but `store` gives one: set it there, or take it out"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        options.sentinel_password = CASES[i].password;
        for (size_t k = 0; k < SENTINELS; k++)
            fake_say(&sentinels[k], CASES[i].words, "%s", CASES[i].wire);
        open_client();
        RUN_UNTIL(strstr(redis_why_down(r, 0).ptr, CASES[i].why));
        redis_free(&r);
    }
}

/* A server that is no master is left, and the sentinels are asked again 300 ms later: another one first. */
static void test_replica(void **state)
{
    int64_t took_ms = INT64_MAX;
    (void)state;
    servers[0].role = "replica";
    say_master(&sentinels[0], &servers[0]);
    say_master(&sentinels[1], &servers[1]);
    for (int i = 0; i < 5 && took_ms > 480; i++) { /* a busy machine may be late, but not always */
        servers[0].accepted = servers[1].accepted = 0;
        redis_free(&r);
        open_client();
        RUN_UNTIL(servers[0].accepted == 1);
        int64_t began_ms = clock_monotonic_ms();
        RUN_UNTIL(servers[1].accepted == 1);
        took_ms = clock_monotonic_ms() - began_ms;
        assert_true(took_ms >= 250);
        RUN_UNTIL(is_at(&servers[1]));
        assert_int_equal(servers[0].accepted, 1);
    }
    assert_true(took_ms <= 480 * tests_slowness());
    assert_non_null(strstr(what_was_said(), "is no master, though a sentinel says so"));
}

/* A message brings the new master; messages about others, and broken ones, bring nothing. */
static void test_switch(void **state)
{
    (void)state;
    say_master(&sentinels[0], &servers[0]);
    open_client();
    RUN_UNTIL(is_at(&servers[0]) && strstr(sentinels[0].heard, "SUBSCRIBE"));
    push_switch(&sentinels[0], "other", &servers[1]);
    push_switch(&sentinels[0], "mw", &servers[0]); /* we are there */
    fake_push(&sentinels[0], "*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n$2\r\nmw\r\n");
    fake_push(&sentinels[0], "*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n:1\r\n");
    push_switch(&sentinels[0], "mw", &servers[1]);
    RUN_UNTIL(is_at(&servers[1]));
    assert_int_equal(servers[0].accepted, 1);
    assert_int_equal(servers[1].accepted, 1);
    assert_int_equal(redis_shard_ups(r, 0), 2);
    assert_int_equal(sentinels[0].accepted, 1);
}

/* The master's connection ends: asked anew on the connection that is there, and no message can be missed. */
static void test_disconnect(void **state)
{
    (void)state;
    say_master(&sentinels[0], &servers[0]);
    open_client();
    RUN_UNTIL(is_at(&servers[0]) && strstr(sentinels[0].heard, "SUBSCRIBE"));
    say_master(&sentinels[0], &servers[1]);
    fake_cut_off(&servers[0]);
    RUN_UNTIL(is_at(&servers[1]));
    assert_string_equal(sentinels[0].heard,
                        GET ";SUBSCRIBE +switch-master;UNSUBSCRIBE +switch-master;" GET ";SUBSCRIBE +switch-master;");
    assert_int_equal(sentinels[0].accepted, 1);
}

static void test_readonly(void **state)
{
    struct asked a;
    (void)state;
    say_master(&sentinels[0], &servers[0]);
    open_client();
    RUN_UNTIL(is_at(&servers[0]));
    say_master(&sentinels[0], &servers[1]);
    fake_say(&servers[0], "INCR k", "-READONLY You can't write against a read only replica.\r\n");
    asked_init(&a, "INCR k");
    assert_true(redis_send(r, STR("k"), &a.call));
    EXPECT_DONE(&a, "(READONLY You can't write against a read only replica.)");
    assert_false(redis_is_up(r, STR("k")));
    RUN_UNTIL(is_at(&servers[1]));
    asked_fini(&a);
}

/* A sentinel that names a server that is gone may be cut off: the others are asked before it. */
static void test_doubted(void **state)
{
    (void)state;
    say_master(&sentinels[0], &servers[0]);
    say_master(&sentinels[1], &servers[1]);
    open_client();
    RUN_UNTIL(is_at(&servers[0]) && strstr(sentinels[0].heard, "SUBSCRIBE"));
    fake_stop(&servers[0]);
    RUN_UNTIL(is_at(&servers[1]));
    assert_int_equal(count_of(sentinels[0].heard, "SENTINEL"), 2);
    assert_int_equal(count_of(sentinels[1].heard, "SENTINEL"), 1);
}

/* The sentinel goes: the subscription moves to the next one, the master's connection stays whatever that one says. */
static void test_subscription_moves(void **state)
{
    (void)state;
    say_master(&sentinels[0], &servers[0]);
    say_master(&sentinels[1], &servers[1]); /* it was away, and believes what was true when it left */
    open_client();
    RUN_UNTIL(is_at(&servers[0]) && strstr(sentinels[0].heard, "SUBSCRIBE"));
    fake_stop(&sentinels[0]);
    RUN_UNTIL(strstr(sentinels[1].heard, "SUBSCRIBE +switch-master;"));
    assert_true(is_at(&servers[0]));
    assert_int_equal(servers[0].accepted, 1);
    assert_int_equal(servers[1].accepted, 0);
    assert_string_equal(what_was_said(), "");
    push_switch(&sentinels[1], "mw", &servers[1]);
    RUN_UNTIL(is_at(&servers[1]));
}

static void test_no_subscription(void **state)
{
    (void)state;
    say_master(&sentinels[0], &servers[0]);
    fake_say(&sentinels[0], "SUBSCRIBE", "-NOPERM this user has no permissions\r\n");
    open_client();
    RUN_UNTIL(is_at(&servers[0]));
    say_master(&sentinels[0], &servers[1]);
    fake_cut_off(&servers[0]);
    RUN_UNTIL(is_at(&servers[1]));
    assert_int_equal(count_of(sentinels[0].heard, "UNSUBSCRIBE"), 0);
}

/* By TLS to both, verified by the same CA; a sentinel that shows a certificate of nobody's is passed over. */
static void test_tls(void **state)
{
    char dir[] = "/tmp/mailweir-test-tls-XXXXXX", files[2][2][64];
    struct tls_context *contexts[2];
    struct err err;
    (void)state;
    assert_non_null(mkdtemp(dir));
    for (size_t i = 0; i < 2; i++) {
        snprintf(files[i][0], sizeof files[i][0], "%s/%zu.pem", dir, i);
        snprintf(files[i][1], sizeof files[i][1], "%s/%zu.key", dir, i);
        assert_true(tls_make_self_signed("localhost", files[i][0], files[i][1], &err));
        struct tls_certificate certificate = {.certificate_file = files[i][0], .key_file = files[i][1]};
        struct tls_server_options server = {.certificates = &certificate, .count = 1, .min_version = TLS1_2_VERSION};
        contexts[i] = tls_server_new(&server, &err);
        assert_non_null(contexts[i]);
    }
    for (size_t i = 0; i < SENTINELS; i++)
        say_master(&sentinels[i], &servers[i == 1 ? 0 : 1]);
    sentinels[0].tls = contexts[1];
    sentinels[1].tls = servers[0].tls = contexts[0];
    options.tls = true;
    options.ca_file = files[0][0];
    open_client();
    RUN_UNTIL(is_at(&servers[0]));
    assert_string_equal(sentinels[0].heard, "");
    redis_free(&r);
    sentinels[1].tls = sentinels[0].tls;                /* now no good one is left: the third is plain */
    unsigned before = times_said("\"state\":\"down\""); /* a slow machine may have found the good one late */
    open_client();
    RUN_UNTIL(times_said("\"state\":\"down\"") > before);
    assert_non_null(strstr(redis_why_down(r, 0).ptr, "does not answer by TLS within 300 ms: is `tls` meant?"));
    redis_free(&r);
    for (size_t i = 0; i < 2; i++) {
        tls_free(&contexts[i]);
        unlink(files[i][0]);
        unlink(files[i][1]);
    }
    rmdir(dir);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_tls),
        CASE(test_finds),
        CASE(test_in_turn),
        CASE(test_none_is_there),
        CASE(test_nobody_knows_it),
        CASE(test_silent_ones),
        CASE(test_login),
        CASE(test_refused_logins),
        CASE(test_replica),
        CASE(test_switch),
        CASE(test_disconnect),
        CASE(test_readonly),
        CASE(test_doubted),
        CASE(test_subscription_moves),
        CASE(test_no_subscription),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
