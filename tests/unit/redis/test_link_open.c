/* From connecting to READY: what is asked, and what servers may say to it. */
#include "link_test.h"

static void test_what_is_asked(void **state)
{
    (void)state;
    static const struct {
        const char *user, *password, *asked;
        unsigned db;
    } CASES[] = {
        {NULL, NULL, HELLO PING_TIME, 0},
        {NULL, NULL, HELLO "*2\r\n$6\r\nSELECT\r\n$2\r\n15\r\n" PING_TIME, 15},
        {NULL, "s e", "*5\r\n$5\r\nHELLO\r\n$1\r\n2\r\n$4\r\nAUTH\r\n$7\r\ndefault\r\n$3\r\ns e\r\n" PING_TIME, 0},
        {"u", "p", "*5\r\n$5\r\nHELLO\r\n$1\r\n2\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$1\r\np\r\n" PING_TIME, 0},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        options.user = CASES[i].user;
        options.password = CASES[i].password;
        options.db = CASES[i].db;
        open_link();
        hear(CASES[i].asked);
        assert_null(link_.opening.call.wire.data); /* no password stays behind */
        assert_null(link_.conn.out.data);
        redis_link_fini(&link_);
    }
}

static void test_what_a_server_is(void **state)
{
    (void)state;
    open_link();
    hear(HELLO PING_TIME);
    say(WELCOME);
    RUN_UNTIL(ups == 1);
    assert_int_equal(link_.server.role, REDIS_ROLE_MASTER);
    assert_int_equal(link_.server.mode, REDIS_MODE_STANDALONE);
    assert_string_equal(link_.server.version, "7.2.4");
    int64_t took_us = (loop_now_ms(&loop) - link_.time_sent_ms) * 1000;
    assert_int_equal(link_.clock_us + loop_now_ms(&loop) * 1000 - took_us / 2, 1700000000000123);
    redis_link_open(&link_, &S.at); /* again: nothing is left of the first */
    assert_int_equal(downs, 0);
    hear(HELLO PING_TIME);
    assert_int_equal(link_.server.role, REDIS_ROLE_UNKNOWN);
    say(IS_REPLICA "+PONG\r\n" THE_TIME);
    RUN_UNTIL(ups == 2);
    assert_int_equal(link_.server.role, REDIS_ROLE_REPLICA);
    assert_int_equal(link_.server.mode, REDIS_MODE_CLUSTER);
    assert_string_equal(link_.server.version, "");
}

static void test_byte_by_byte(void **state)
{
    (void)state;
    struct asked a;
    open_link();
    hear(HELLO PING_TIME);
    for (const char *at = WELCOME; *at; at++) {
        assert_int_equal(ups, 0);
        assert_int_equal(send(S.peer, at, 1, MSG_NOSIGNAL), 1);
        loop_run_once(&loop, 1);
    }
    RUN_UNTIL(ups == 1);
    asked_init(&a, "GET a ; GET a");
    assert_true(redis_link_send(&link_, &a.call));
    hear(GET_A GET_A);
    for (const char *at = "*3\r\n$3\r\na\r\n\r\n$-1\r\n*1\r\n:-7\r\n-ERR no\r\n"; *at; at++) {
        assert_int_equal(a.done_count, 0);
        assert_int_equal(send(S.peer, at, 1, MSG_NOSIGNAL), 1);
        loop_run_once(&loop, 1);
    }
    EXPECT_DONE(&a, "[a\r\n nil [-7]] (ERR no)");
    asked_fini(&a);
}

/* Answers that end an opening. */
static void test_openings_that_fail(void **state)
{
    (void)state;
    static const struct {
        const char *said, *why;
        enum redis_down kind;
        bool closes;
    } CASES[] = {
        {"-NOAUTH HELLO must be called with the client already authenticated\r\n-NOAUTH a\r\n-NOAUTH a\r\n",
         "wants a login: give `user` and `password-file` in `store`", REDIS_DOWN_CONFIGURATION, false},
        {"-WRONGPASS invalid username-password pair or user is disabled.\r\n-NOAUTH a\r\n-NOAUTH a\r\n",
         "refuses the login: no such user, or another password; see `user` and `password-file` in `store`",
         REDIS_DOWN_CONFIGURATION, false},
        {"-ERR AUTH <password> called without any password configured\r\n+PONG\r\n" THE_TIME,
         "has no password, but `store` gives one: set it there, or take it out", REDIS_DOWN_CONFIGURATION, false},
        {"-NOPROTO unsupported protocol version\r\n+PONG\r\n" THE_TIME, "refuses the login (NOPROTO)",
         REDIS_DOWN_CONFIGURATION, false},
        {IS_MASTER "-NOPERM this user has no permissions to run the 'ping' command\r\n" THE_TIME,
         "does not allow its user PING: give it the ACL of the manual", REDIS_DOWN_CONFIGURATION, false},
        {IS_MASTER "+PONG\r\n-NOPERM User has no permissions to run the 'time' command\r\n",
         "does not allow its user TIME: give it the ACL of the manual", REDIS_DOWN_CONFIGURATION, false},
        {IS_MASTER "-LOADING Redis is loading the dataset in memory\r\n" THE_TIME, "is loading its data",
         REDIS_DOWN_BUSY, false},
        {IS_REPLICA "-MASTERDOWN Link with MASTER is down\r\n" THE_TIME, "is a replica that has lost its master",
         REDIS_DOWN_BUSY, false},
        {IS_MASTER "-BUSY Redis is busy running a script.\r\n" THE_TIME, "is busy with a script", REDIS_DOWN_BUSY,
         false},
        {IS_MASTER "-ERR odd\r\n" THE_TIME, "refuses PING: ERR odd", REDIS_DOWN_CONFIGURATION, false},
        {"-ERR max number of clients reached\r\n", "has no room for more clients: raise its maxclients",
         REDIS_DOWN_BUSY, true},
        {"-DENIED Redis is running in protected mode because\r\n",
         "runs in protected mode and takes no connection from here: give it a password, and us the same",
         REDIS_DOWN_CONFIGURATION, true},
        {"", "was lost while opening: the peer closed the connection", REDIS_DOWN_AWAY, true},
        {IS_MASTER "+PONG\r\n*2\r\n$10\r\n17", "was lost while opening: the peer closed the connection",
         REDIS_DOWN_AWAY, true},
        {"HTTP/1.1 400 Bad Request\r\n\r\n", "sends what is not of Redis' protocol", REDIS_DOWN_AWAY, false},
        {"%3\r\n", "sends what is not of Redis' protocol", REDIS_DOWN_AWAY, false},
        {"*2147483647\r\n", "sends an array with too many elements", REDIS_DOWN_AWAY, false},
        {"*16385\r\n", "sends an array with too many elements", REDIS_DOWN_AWAY, false},
        {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", "sends what is not of Redis' protocol",
         REDIS_DOWN_AWAY, false},
        {":1\r\n+PONG\r\n" THE_TIME, "does not answer HELLO as Redis does", REDIS_DOWN_AWAY, false},
        {IS_MASTER "+PONG\r\n$3\r\n123\r\n", "does not answer TIME as Redis does", REDIS_DOWN_AWAY, false},
        {IS_MASTER "+PONG\r\n*2\r\n:1\r\n:2\r\n", "does not answer TIME as Redis does", REDIS_DOWN_AWAY, false},
        {IS_MASTER "+PONG\r\n*2\r\n$2\r\n-1\r\n$1\r\n2\r\n", "does not answer TIME as Redis does", REDIS_DOWN_AWAY,
         false},
        {IS_MASTER "+PONG\r\n*1\r\n$1\r\n1\r\n", "does not answer TIME as Redis does", REDIS_DOWN_AWAY, false},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct asked waiting;
        asked_init(&waiting, "GET a");
        open_link();
        assert_true(redis_link_send(&link_, &waiting.call));
        hear(HELLO PING_TIME);
        say(CASES[i].said);
        if (CASES[i].closes)
            server_hang_up();
        RUN_UNTIL(downs == i + 1);
        assert_string_equal(why_down, CASES[i].why);
        assert_int_equal(down_kind, CASES[i].kind);
        assert_int_equal(ups, 0);
        assert_int_equal(waiting.done_count, 1);
        assert_int_equal(waiting.result, REDIS_UNSENT);
        assert_false(redis_link_send(&link_, &waiting.call)); /* closed */
        redis_link_fini(&link_);
        asked_fini(&waiting);
    }
}

/* Before Redis 6: what it says of HELLO quotes the password, which must go no further. */
static void test_server_without_hello(void **state)
{
    (void)state;
    options.user = "u";
    options.password = "secret";
    options.db = 3;
    open_link();
    RUN_UNTIL(hears_end_with(PING_TIME));
    forget();
    say("-ERR unknown command `HELLO`, with args beginning with: `2`, `AUTH`, `u`, `secret`, \r\n"
        "-NOAUTH Authentication required.\r\n-NOAUTH Authentication required.\r\n-NOAUTH Authentication required.\r\n");
    hear("*3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$6\r\nsecret\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n"
         "*1\r\n$4\r\nINFO\r\n" PING_TIME);
    assert_int_equal(ups + downs, 0);
    say("+OK\r\n+OK\r\n$63\r\n# Server\r\nredis_version:5.0.3\r\n# "
        "Replication\r\nrole:slave\r\nx:1\r\n\r\n+PONG\r\n" THE_TIME);
    RUN_UNTIL(ups == 1);
    assert_string_equal(link_.server.version, "5.0.3");
    assert_int_equal(link_.server.role, REDIS_ROLE_REPLICA);

    redis_link_open(&link_, &S.at);
    RUN_UNTIL(hears_end_with(PING_TIME));
    forget();
    say("-ERR unknown command 'HELLO'\r\n-NOAUTH a\r\n-NOAUTH a\r\n-NOAUTH a\r\n");
    RUN_UNTIL(hears_end_with(PING_TIME));
    say("-ERR invalid password secret\r\n-NOAUTH a\r\n-NOAUTH a\r\n-NOAUTH a\r\n-NOAUTH a\r\n");
    RUN_UNTIL(downs == 1);
    assert_string_equal(why_down, "refuses the login (ERR)");
    assert_int_equal(down_kind, REDIS_DOWN_CONFIGURATION);
}

/* A Sentinel refuses the login that is meant for Redis; what else refuses one is believed. */
static void test_who_refuses_the_login(void **state)
{
    static const struct {
        const char *said, *why;
    } CASES[] = {
        {"*4\r\n$4\r\nmode\r\n$8\r\nsentinel\r\n$4\r\nrole\r\n$8\r\nsentinel\r\n",
         "is a Sentinel, which counts nothing: write `store redis sentinel NAME 127.0.0.1:"},
        {IS_MASTER, "refuses the login: no such user, or another password"},
        {"-NOAUTH HELLO must be called with the client already authenticated\r\n", "refuses the login: no such user"},
        {":1\r\n", "refuses the login: no such user"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        open_link();
        hear(HELLO PING_TIME);
        say("-WRONGPASS invalid username-password pair or user is disabled.\r\n-NOAUTH a\r\n-NOAUTH a\r\n");
        hear(HELLO);
        assert_int_equal(downs, i);
        say(CASES[i].said);
        RUN_UNTIL(downs == i + 1);
        assert_int_equal(strncmp(why_down, CASES[i].why, strlen(CASES[i].why)), 0);
        assert_int_equal(down_kind, REDIS_DOWN_CONFIGURATION);
        redis_link_fini(&link_);
    }
}

static void test_nothing_is_said(void **state)
{
    (void)state;
    open_link();
    hear(HELLO PING_TIME);
    RUN_UNTIL(downs == 1);
    assert_string_equal(why_down, "is connected, but does not answer");
}

static void test_nobody_is_there(void **state)
{
    (void)state;
    close(S.listener);
    open_link();
    assert_int_equal(downs, 0);
    RUN_UNTIL(downs == 1);
    assert_string_equal(why_down, "cannot be reached: connection refused");
    struct endpoint nowhere = {.kind = ENDPOINT_UNIX, .name = "/nonexistent/redis.sock"};
    redis_link_open(&link_, &nowhere);
    assert_int_equal(downs, 1); /* never from inside */
    RUN_UNTIL(downs == 2);
    assert_int_equal(strncmp(why_down, "cannot be reached: ", 19), 0);
    struct endpoint name = {.kind = ENDPOINT_NAME, .name = "localhost", .port = 1};
    redis_link_open(&link_, &name);
    assert_int_equal(downs, 2);
    RUN_UNTIL(downs == 3);
    assert_string_equal(why_down, "cannot be reached: names are not resolved here");
    server_start();
}

static void test_by_name(void **state)
{
    (void)state;
    struct err err;
    uint16_t port = S.at.port;
    resolver = resolver_new(&loop, &err);
    assert_non_null(resolver);
    S.at = (struct endpoint){.kind = ENDPOINT_NAME, .name = "localhost", .port = port};
    open_link();
    hear(HELLO PING_TIME);
    say(WELCOME);
    RUN_UNTIL(ups == 1);
    redis_link_open(&link_, &S.at);
    redis_link_fini(&link_); /* while the name is looked up */
}

/* The first refuses, to the second there is no way at all, the third is it. */
static void test_a_name_of_several_addresses(void **state)
{
    (void)state;
    struct endpoint closed = S.at;
    assert_true(ip_parse(STR("127.0.0.9"), &closed.ip));
    redis_link_init(&link_, &loop, resolver, &options, &ops, &link_);
    redis_link_open(&link_, &closed);
    assert_true(ip_parse(STR("255.255.255.255"), &link_.addresses.addresses[0]));
    assert_true(ip_parse(STR("127.0.0.1"), &link_.addresses.addresses[1]));
    link_.addresses.count = 2;
    hear(HELLO PING_TIME);
    say(WELCOME);
    RUN_UNTIL(ups == 1);
    assert_int_equal(downs, 0);
}

/* An owner that finds it is the wrong server. */
static void test_refused_by_its_owner(void **state)
{
    (void)state;
    struct asked a;
    refuses = true;
    asked_init(&a, "GET a");
    open_link();
    assert_true(redis_link_send(&link_, &a.call));
    hear(HELLO PING_TIME);
    say(WELCOME);
    RUN_UNTIL(a.done_count == 1);
    assert_int_equal(a.result, REDIS_UNSENT);
    assert_int_equal(ups, 1);
    assert_int_equal(downs, 0);
    assert_int_equal(link_.state, REDIS_LINK_CLOSED);
    asked_fini(&a);
}

static void test_bare(void **state)
{
    (void)state;
    struct asked a;
    options.is_bare = true;
    ops.on_push = on_push;
    open_link();
    RUN_UNTIL(ups == 1);
    asked_init(&a, "SUBSCRIBE c");
    assert_true(redis_link_send(&link_, &a.call));
    hear("*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nc\r\n");
    say("*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$4\r\ntext\r\n");
    RUN_UNTIL(pushes == 1);
    assert_string_equal(pushed, "text");
    assert_string_equal(a.replies, "[subscribe c 1]");
    say("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$4\r\nmore\r\n");
    RUN_UNTIL(pushes == 2);
    say("+what was not asked\r\n");
    RUN_UNTIL(downs == 1);
    assert_string_equal(why_down, "answers what was not asked");
    asked_fini(&a);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_asked),
        TEST(test_what_a_server_is),
        TEST(test_byte_by_byte),
        TEST(test_openings_that_fail),
        TEST(test_server_without_hello),
        TEST(test_nothing_is_said),
        TEST(test_nobody_is_there),
        TEST(test_by_name),
        TEST(test_a_name_of_several_addresses),
        TEST(test_refused_by_its_owner),
        TEST(test_bare),
        TEST(test_who_refuses_the_login),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
