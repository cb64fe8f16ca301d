/* The client and real Sentinels: failovers while calls flow. */
#include "redis_servers.h"
#include "redis_test.h"

#include "flow.h"

static const char *const STAYS[] = {"k", NULL}; /* the client writes what it is told */

static struct redis_servers servers;
static struct redis_options options;
static struct redis *r;
static struct flow flow;

static int set_up(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        return 0;
    stage_begin();
    redis_servers_start(&servers, REDIS_SENTINEL, NULL);
    servers.stays = STAYS;
    options = (struct redis_options){.shape = REDIS_SENTINEL,
                                     .endpoints = servers.endpoints,
                                     .endpoint_count = servers.endpoint_count,
                                     .master = REDIS_SERVERS_MASTER};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        return 0;
    redis_free(&r);
    flow_end(&flow);
    redis_servers_stop(&servers);
    stage_end();
    return 0;
}

static void open_client(void)
{
    r = client_open(&options);
    flow_start(&flow, r, "k");
    RUN_UNTIL(flow.done > 20);
}

static bool is_at(size_t member)
{
    char at[ENDPOINT_TEXT_MAX];
    struct endpoint e = {.kind = ENDPOINT_IP, .ip = {ADDR_IPV4, {127, 0, 0, 1}}, .port = servers.members[member].port};
    return str_equal(redis_shard_name(r, 0), endpoint_format(&e, at));
}

/* As an administrator orders it, twice: the client follows, and what it writes arrives at the new master. */
static void test_ordered_failover(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        skip();
    open_client();
    assert_true(is_at(0));
    redis_servers_tell(&servers, 3, "SENTINEL FAILOVER " REDIS_SERVERS_MASTER);
    RUN_FOR_UNTIL(15000, !is_at(0) && redis_is_up(r, STR("k")));
    unsigned done = flow.done;
    RUN_UNTIL(flow.done > done + 20);
    size_t master = is_at(1) ? 1 : 2;
    assert_true(is_at(master));
    redisReply *reply = redis_servers_ask(&servers, master, "GET k");
    assert_true(atoll(reply->str) >= flow.count);
    freeReplyObject(reply);
    assert_int_equal(redis_shard_ups(r, 0), 2);
    assert_int_equal(times_said("\"state\":\"down\""), 1);
    assert_int_equal(times_said("\"state\":\"up\""), 1);
}

static void test_master_dies(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        skip();
    open_client();
    redis_servers_kill(&servers, 0);
    RUN_UNTIL(flow.refused > 0);
    unsigned done = flow.done;
    RUN_FOR_UNTIL(15000, flow.done > done + 20);
    size_t master = redis_servers_master(&servers);
    assert_true(master == 1 || master == 2);
    assert_true(is_at(master));
    /* It comes back, as a replica sooner or later: we stay. */
    redis_servers_restart(&servers, 0);
    done = flow.done;
    RUN_UNTIL(flow.done > done + 1000);
    assert_true(is_at(master));
}

/* The connection stays, but nothing comes: the sentinels know better, and say so. */
static void test_master_hangs(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        skip();
    open_client();
    redis_servers_hang(&servers, 0);
    unsigned done = flow.done;
    RUN_FOR_UNTIL(8000, flow.done > done + 20); /* sooner than by its silence */
    assert_false(is_at(0));
    redis_servers_resume(&servers, 0);
}

/* Sentinels come and go: one is enough, and nobody notices. */
static void test_sentinels_die(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        skip();
    open_client();
    redis_servers_kill(&servers, 3);
    redis_servers_kill(&servers, 4);
    redis_servers_tell(&servers, 0, "CLIENT KILL TYPE normal SKIPME yes");
    unsigned done = flow.done;
    RUN_FOR_UNTIL(15000, flow.lost > 0 && flow.done > done + 1000);
    assert_true(is_at(0));
}

static void test_wrong_name(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        skip();
    options.master = "nobody";
    r = client_open(&options);
    flow_start(&flow, r, "k");
    RUN_UNTIL(times_said("\"state\":\"down\""));
    assert_string_equal(redis_why_down(r, 0).ptr,
                        "no sentinel knows a master \"nobody\": use the name that `sentinel monitor` gives it");
    assert_int_equal(flow.done, 0);
}

static void test_login(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        skip();
    for (size_t i = 3; i < 6; i++)
        redis_servers_tell(&servers, i,
                           "ACL SETUSER watcher on >secret &* +auth +ping +subscribe +unsubscribe "
                           "+sentinel|get-master-addr-by-name");
    options.sentinel_user = "watcher", options.sentinel_password = "secret";
    open_client();
    redisReply *clients = redis_servers_ask(&servers, 3, "CLIENT LIST");
    assert_int_equal(clients->type, REDIS_REPLY_STRING);
    assert_non_null(strstr(clients->str, "user=watcher"));
    freeReplyObject(clients);
    redis_servers_tell(&servers, 3, "SENTINEL failover " REDIS_SERVERS_MASTER);
    RUN_FOR_UNTIL(15000, !is_at(0)); /* the subscription is that user's too */
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_ordered_failover), CASE(test_master_dies), CASE(test_master_hangs),
        CASE(test_sentinels_die),    CASE(test_wrong_name),  CASE(test_login),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
