/* The client and one real Redis: what it answers, how it goes away and comes back. */
#include <netinet/in.h>

#include "net/tls.h"
#include "redis_servers.h"
#include "redis_test.h"

static struct redis_servers servers;
static struct redis_options options;
static struct redis *r;

/* The client writes what it is told, and here that is without expiry. */
static const char *const STAYS[] = {"k", "n", "s", "in", "counter", NULL};

static uint16_t free_port(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof any;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&any, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&any, &len), 0);
    close(fd);
    return ntohs(any.sin_port);
}

static void open_client(void)
{
    r = client_open(&options);
}

static int set_up(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        return 0;
    stage_begin();
    redis_servers_start(&servers, REDIS_ALONE, NULL);
    servers.stays = STAYS;
    options = (struct redis_options){.shape = REDIS_ALONE, .endpoints = servers.endpoints, .endpoint_count = 1};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        return 0;
    redis_free(&r);
    redis_free(&r); /* harmless */
    redis_servers_stop(&servers);
    stage_end();
    return 0;
}

static void test_asks(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        skip();
    struct asked a, b;
    open_client();
    asked_init(&a, "SET k v ; GET k ; BITFIELD n INCRBY u32 #0 7 GET u32 #1 ; GET none ; NOSUCH ; SADD s m ; GET s");
    asked_init(&b, "GET k");
    assert_true(redis_send(r, STR("k"), &a.call)); /* it waits for the connection */
    assert_true(redis_send_to_shard(r, 0, &b.call));
    assert_int_equal(a.done_count, 0);
    RUN_UNTIL(a.done_count && b.done_count);
    assert_int_equal(a.result, REDIS_DONE);
    assert_int_equal(strncmp(a.replies, "OK v [7 0] nil (ERR unknown command", 35), 0);
    assert_non_null(strstr(a.replies, " 1 (WRONGTYPE "));
    assert_string_equal(b.replies, "v");
    assert_true(redis_is_up(r, STR("k")));
    assert_null(redis_why_down(r, 0).ptr);
    assert_int_equal(redis_shard_count(r), 1);
    assert_int_equal(redis_shard_of(r, STR("any")), 0);
    assert_int_equal(redis_shard_ups(r, 0), 1);
    assert_false(redis_send_to_shard(r, 1, &a.call));
    assert_string_equal(what_was_said(), ""); /* that all is well is no change */
    asked_fini(&a);
    asked_fini(&b);
}

static void test_clock(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        skip();
    int64_t skew_us;
    open_client();
    assert_false(redis_skew_us(r, 0, &skew_us));
    assert_int_equal(redis_now_us(r, STR("k")), loop_wall_us(&loop));
    RUN_UNTIL(redis_shard_ups(r, 0) == 1);
    assert_true(redis_skew_us(r, 0, &skew_us));
    assert_in_range(skew_us + 500000, 0, 1000000); /* it is this machine's */
    assert_int_equal(redis_now_us(r, STR("k")), loop_wall_us(&loop) + skew_us);
}

static void test_goes_and_comes_back(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        skip();
    struct asked a;
    open_client();
    RUN_UNTIL(redis_shard_ups(r, 0) == 1);
    redis_servers_kill(&servers, 0);
    RUN_UNTIL(!redis_is_up(r, STR("k")));
    assert_non_null(strstr(redis_why_down(r, 0).ptr, "was lost"));
    asked_init(&a, "GET k");
    assert_false(redis_send(r, STR("k"), &a.call));
    assert_int_equal(times_said("\"state\":\"down\""), 1);
    redis_servers_restart(&servers, 0);
    RUN_FOR_UNTIL(12000, redis_is_up(r, STR("k")));
    assert_int_equal(redis_shard_ups(r, 0), 2);
    assert_int_equal(times_said("\"state\":\"down\""), 1); /* once, however often it was tried */
    assert_int_equal(times_said("\"state\":\"up\""), 1);
    assert_true(redis_send(r, STR("k"), &a.call));
    EXPECT_DONE(&a, "nil");
    asked_fini(&a);
}

/* Three late calls in a row open the circuit; their replies are heard all the same when the server goes on. */
static void test_hangs(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        skip();
    struct asked a[4];
    open_client();
    RUN_UNTIL(redis_shard_ups(r, 0) == 1);
    redis_servers_hang(&servers, 0);
    for (size_t i = 0; i < 4; i++) {
        asked_init(&a[i], "INCR n");
        if (i == 3)
            break;
        assert_true(redis_send(r, STR("n"), &a[i].call));
        loop_run_once(&loop, 1);
        assert_true(redis_is_up(r, STR("n")));
        redis_call_is_late(r, &a[i].call);
        redis_call_is_late(r, &a[i].call); /* counts once */
    }
    assert_false(redis_is_up(r, STR("n")));
    assert_false(redis_send(r, STR("n"), &a[3].call));
    assert_int_equal(times_said("\"state\":\"down\""), 1);
    redis_servers_resume(&servers, 0);
    EXPECT_DONE(&a[0], "1");
    EXPECT_DONE(&a[1], "2");
    EXPECT_DONE(&a[2], "3");
    RUN_FOR_UNTIL(12000, redis_is_up(r, STR("n")));
    assert_int_equal(redis_shard_ups(r, 0), 2);
    assert_true(redis_send(r, STR("n"), &a[3].call));
    EXPECT_DONE(&a[3], "4");
    for (size_t i = 0; i < 4; i++)
        asked_fini(&a[i]);
}

static void test_replica(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        skip();
    redis_servers_tell(&servers, 0, "REPLICAOF 127.0.0.1 1");
    open_client();
    RUN_UNTIL(!redis_is_up(r, STR("k")));
    assert_non_null(strstr(redis_why_down(r, 0).ptr, " is a replica: name its master, or use `store redis sentinel`"));
    assert_int_equal(times_said("is a replica: name its master"), 1);
    redis_servers_tell(&servers, 0, "REPLICAOF NO ONE");
    RUN_FOR_UNTIL(12000, redis_is_up(r, STR("k")));
}

/* Demoted while it is used: the first write shows it. */
static void test_becomes_replica(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        skip();
    struct asked a;
    open_client();
    RUN_UNTIL(redis_shard_ups(r, 0) == 1);
    redis_servers_tell(&servers, 0, "REPLICAOF 127.0.0.1 1");
    asked_init(&a, "SET k v");
    if (redis_send(r, STR("k"), &a.call))
        RUN_UNTIL(a.done_count);
    RUN_FOR_UNTIL(3000, strstr(what_was_said(), "is a replica: name its master") || !redis_is_up(r, STR("k")));
    RUN_FOR_UNTIL(3000, strstr(redis_why_down(r, 0).ptr, "is a replica: name its master"));
    asked_fini(&a);
}

static void test_users(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        skip();
    static const struct {
        const char *user, *password, *why; /* NULL: up */
    } CASES[] = {
        {"mw", "right", NULL},
        {"mw", "wrong", "refuses the login: no such user, or another password"},
        {"nobody", "right", "refuses the login: no such user, or another password"},
        {NULL, NULL, "wants a login: give `user` and `password-file`"},
        {NULL, "default-password", NULL},
        {"few", "right", "does not allow its user TIME: give it the ACL of the manual"},
    };
    redis_servers_tell(&servers, 0, "ACL SETUSER mw on >right ~* +@all");
    redis_servers_tell(&servers, 0, "ACL SETUSER few on >right ~* +ping +hello");
    redis_servers_tell(&servers, 0, "ACL SETUSER default >default-password");
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        options.user = CASES[i].user;
        options.password = CASES[i].password;
        open_client();
        if (CASES[i].why) {
            RUN_UNTIL(!redis_is_up(r, STR("k")));
            assert_non_null(strstr(redis_why_down(r, 0).ptr, CASES[i].why));
        } else {
            RUN_UNTIL(redis_shard_ups(r, 0) == 1);
        }
        redis_free(&r);
    }
    assert_null(strstr(what_was_said(), "wrong\""));
    struct asked let_in; /* who looks through the server at the end */
    options.user = "mw";
    options.password = "right";
    open_client();
    asked_init(&let_in, "ACL SETUSER default nopass");
    assert_true(redis_send(r, STR("k"), &let_in.call));
    EXPECT_DONE(&let_in, "OK");
    asked_fini(&let_in);
}

/* What it is not allowed to do opens the circuit, but the connection stays. */
static void test_command_is_not_allowed(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        skip();
    struct asked a;
    redis_servers_tell(&servers, 0, "ACL SETUSER mw on >right ~mw1:* +ping +hello +time +get");
    options.user = "mw";
    options.password = "right";
    open_client();
    RUN_UNTIL(redis_shard_ups(r, 0) == 1);
    asked_init(&a, "GET mw1:a ; SET mw1:a b ; GET mw1:a");
    assert_true(redis_send(r, STR("mw1:a"), &a.call));
    RUN_UNTIL(a.done_count);
    assert_int_equal(a.result, REDIS_DONE);
    assert_non_null(strstr(a.replies, "nil (NOPERM "));
    assert_non_null(strstr(a.replies, ") nil"));
    assert_false(redis_is_up(r, STR("k")));
    assert_non_null(strstr(redis_why_down(r, 0).ptr, "does not allow its user what we ask"));
    asked_fini(&a);
}

static void test_database(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        skip();
    struct asked a;
    options.db = 5;
    open_client();
    asked_init(&a, "SET in five");
    assert_true(redis_send(r, STR("in"), &a.call));
    EXPECT_DONE(&a, "OK");
    redisReply *reply = redis_servers_ask(&servers, 0, "GET in");
    assert_int_equal(reply->type, REDIS_REPLY_NIL);
    freeReplyObject(reply);
    redis_free(&r);
    options.db = 99;
    open_client();
    RUN_UNTIL(!redis_is_up(r, STR("k")));
    assert_non_null(strstr(redis_why_down(r, 0).ptr, "has no database 99"));
    asked_fini(&a);
}

static void start_again_with(const char *const *words)
{
    redis_servers_stop(&servers);
    redis_servers_start(&servers, REDIS_ALONE, words);
    servers.stays = STAYS;
    options.endpoints = servers.endpoints;
}

static void test_unix_socket(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        skip();
    static const char *const WORDS[] = {"--unixsocket", "redis.sock", NULL};
    struct endpoint at = {.kind = ENDPOINT_UNIX};
    struct asked a;
    start_again_with(WORDS);
    snprintf(at.name, sizeof at.name, "%s/0/redis.sock", servers.dir);
    options.endpoints = &at;
    options.tls = true; /* which is for the network only */
    open_client();
    asked_init(&a, "SET k v");
    assert_true(redis_send(r, STR("k"), &a.call));
    EXPECT_DONE(&a, "OK");
    assert_true(str_equal(redis_shard_name(r, 0), str_of_z(at.name)));
    asked_fini(&a);
}

/* By TLS the certificate is checked, against the CA and against the address that the configuration names. */
static void test_tls(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        skip();
    static const struct {
        const char *host, *why; /* the certificate bears it; NULL: up */
        bool is_trusted, is_plain;
    } CASES[] = {
        {"127.0.0.1", NULL, true, false},
        {"127.0.0.1", "cannot be reached by TLS: ", false, false}, /* signed by nobody we know */
        {"redis.example.org", "cannot be reached by TLS: ", true, false},
        {"127.0.0.1", "is connected, but does not answer by TLS: is `tls` meant?", true, true},
    };
    char dir[] = "/tmp/mailweir-test-redis-tls-XXXXXX", port[8];
    char certificate[64], key[64], other[64], other_key[64];
    struct err err;
    assert_non_null(mkdtemp(dir));
    snprintf(certificate, sizeof certificate, "%s/cert.pem", dir);
    snprintf(key, sizeof key, "%s/key.pem", dir);
    snprintf(other, sizeof other, "%s/other.pem", dir);
    snprintf(other_key, sizeof other_key, "%s/other-key.pem", dir);
    assert_true(tls_make_self_signed("127.0.0.1", other, other_key, &err));
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct endpoint at = servers.endpoints[0];
        assert_true(tls_make_self_signed(CASES[i].host, certificate, key, &err));
        if (!CASES[i].is_plain)
            at.port = free_port();
        snprintf(port, sizeof port, "%u", at.port);
        const char *const words[] = {"--tls-port",
                                     port,
                                     "--tls-cert-file",
                                     certificate,
                                     "--tls-key-file",
                                     key,
                                     "--tls-ca-cert-file",
                                     certificate,
                                     "--tls-auth-clients",
                                     "no",
                                     NULL};
        if (!CASES[i].is_plain)
            start_again_with(words);
        options.endpoints = &at;
        options.tls = true;
        options.ca_file = CASES[i].is_trusted ? certificate : other;
        open_client();
        if (CASES[i].why) {
            RUN_UNTIL(!redis_is_up(r, STR("k")));
            assert_non_null(strstr(redis_why_down(r, 0).ptr, CASES[i].why));
        } else {
            RUN_UNTIL(redis_shard_ups(r, 0) == 1);
        }
        redis_free(&r);
        if (i + 2 == COUNT_OF(CASES))
            start_again_with(NULL);
        unlink(certificate);
        unlink(key);
    }
    unlink(other);
    unlink(other_key);
    rmdir(dir);
}

static unsigned pending, wrong;

static void on_count_reply(struct redis_call *c, size_t n, const redisReply *reply)
{
    (void)n;
    wrong += reply->type != REDIS_REPLY_INTEGER || reply->integer != (long long)(intptr_t)c->arg;
}

static void on_count_done(struct redis_call *c, enum redis_result result)
{
    (void)c;
    pending--;
    wrong += result != REDIS_DONE;
}

/* Thousands of calls in one turn, each with its own reply. */
static void test_many_calls(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        skip();
    enum { CALLS = 20000 };
    struct redis_call *calls = calloc(CALLS, sizeof *calls);
    const struct str words[] = {STR("INCR"), STR("counter")};
    assert_non_null(calls);
    open_client();
    RUN_UNTIL(redis_shard_ups(r, 0) == 1);
    pending = CALLS;
    wrong = 0;
    for (size_t i = 0; i < CALLS; i++) {
        redis_call_init(&calls[i], on_count_reply, on_count_done, (void *)(intptr_t)(i + 1));
        assert_true(redis_call_add(&calls[i], words, 2));
        assert_true(redis_send(r, words[1], &calls[i]));
    }
    RUN_UNTIL(pending == 0);
    assert_int_equal(wrong, 0);
    for (size_t i = 0; i < CALLS; i++)
        redis_call_fini(&calls[i]);
    free(calls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_asks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_clock, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_goes_and_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hangs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_replica, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_becomes_replica, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_users, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_command_is_not_allowed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_database, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unix_socket, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_calls, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
