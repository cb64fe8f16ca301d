/* The client on a real Cluster: slots that move while calls flow, masters that die. */
#include "redis_servers.h"
#include "redis_test.h"

#include "flow.h"

enum { KEYS = 5, SLOT = 8645 /* of all these keys; member 1 has it */ };

static const char *const NAMES[KEYS] = {"a{u:alice@example.org}", "b{u:alice@example.org}", "c{u:alice@example.org}",
                                        "d{u:alice@example.org}", "e{u:alice@example.org}"};
static const char OTHER[] = "foo"; /* member 2 has it */
static struct redis_servers servers;
static struct redis_options options;
static struct redis *r;
static struct flow flows[KEYS + 1];
static size_t flow_count;

static int set_up(void **state)
{
    static const char *const MORE[] = {"--cluster-require-full-coverage", "no", NULL};
    static const char *const STAYS[] = {"[a-h]{u:alice@example.org}", "foo",
                                        NULL}; /* the client writes what it is told */
    (void)state;
    if (!redis_servers_are_there())
        return 0;
    stage_begin();
    redis_servers_start(&servers, REDIS_CLUSTER, MORE);
    servers.stays = STAYS;
    options = (struct redis_options){
        .shape = REDIS_CLUSTER, .endpoints = servers.endpoints, .endpoint_count = servers.endpoint_count};
    r = client_open(&options);
    RUN_UNTIL(redis_shard_count(r) == 3 && redis_shard_ups(r, 0) && redis_shard_ups(r, 1) && redis_shard_ups(r, 2));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        return 0;
    redis_free(&r);
    while (flow_count > 0)
        flow_end(&flows[--flow_count]);
    redis_servers_stop(&servers);
    stage_end();
    return 0;
}

static struct flow *start_flow(const char *key)
{
    struct flow *f = &flows[flow_count++];
    flow_start(f, r, key);
    return f;
}

static size_t member_of(const char *key)
{
    struct str name = redis_shard_name(r, redis_shard_of(r, str_of_z(key)));
    for (size_t i = 0; i < servers.count; i++) {
        char at[ENDPOINT_TEXT_MAX];
        struct endpoint e = {.kind = ENDPOINT_IP, .ip = {ADDR_IPV4, {127, 0, 0, 1}}, .port = servers.members[i].port};
        if (str_equal(name, endpoint_format(&e, at)))
            return i;
    }
    return SIZE_MAX;
}

/* So many more calls of each flow. */
static void flow_on(unsigned calls)
{
    unsigned until[KEYS + 1];
    for (size_t i = 0; i < flow_count; i++)
        until[i] = flows[i].done + calls;
    for (size_t i = 0; i < flow_count; i++)
        RUN_UNTIL(flows[i].done >= until[i]);
}

static void id_of(size_t member, char id[48])
{
    redisReply *reply = redis_servers_ask(&servers, member, "CLUSTER MYID");
    snprintf(id, 48, "%s", reply->str);
    freeReplyObject(reply);
}

/* How often a member was sent ASKING. */
static unsigned askings(size_t member)
{
    redisReply *reply = redis_servers_ask(&servers, member, "INFO commandstats");
    const char *at = strstr(reply->str, "cmdstat_asking:calls=");
    unsigned count = at ? (unsigned)strtoul(at + strlen("cmdstat_asking:calls="), NULL, 10) : 0;
    freeReplyObject(reply);
    return count;
}

/* A slot moves from member 1 to member 0, key by key, as redis-cli does it; nothing is counted twice, nothing is lost,
 * nobody hears an error. */
static void test_slot_moves(void **state)
{
    char from[48], to[48];
    (void)state;
    if (!redis_servers_are_there())
        skip();
    for (size_t i = 0; i < 3; i++)
        start_flow(NAMES[i]); /* exist when it begins */
    start_flow(OTHER);
    flow_on(20);
    assert_int_equal(member_of(NAMES[0]), 1);
    id_of(1, from);
    id_of(0, to);
    redis_servers_tell(&servers, 0, "CLUSTER SETSLOT %d IMPORTING %s", SLOT, from);
    redis_servers_tell(&servers, 1, "CLUSTER SETSLOT %d MIGRATING %s", SLOT, to);
    start_flow(NAMES[3]); /* begin amid it: they are not at member 1, so it says ASK */
    start_flow(NAMES[4]);
    flow_on(20);
    assert_true(askings(0) >= 80); /* two flows, two commands each */
    for (size_t i = 0; i < 3; i++) {
        redis_servers_tell(&servers, 1, "MIGRATE 127.0.0.1 %d %s 0 2000", servers.members[0].port, NAMES[i]);
        flow_on(20);
    }
    assert_int_equal(member_of(NAMES[0]), 1); /* ASK changes no map */
    redis_servers_tell(&servers, 0, "CLUSTER SETSLOT %d NODE %s", SLOT, to);
    redis_servers_tell(&servers, 1, "CLUSTER SETSLOT %d NODE %s", SLOT, to);
    flow_on(20);
    for (size_t i = 0; i < flow_count; i++) {
        const struct flow *f = &flows[i];
        if (!f->counts_on || f->errors || f->lost || f->unsent || f->refused || f->count < f->done)
            fail_msg("%s: %u done, count %lld%s, %u errors (%s), %u lost, %u unsent, %u refused", f->key, f->done,
                     f->count, f->counts_on ? "" : " (not in order)", f->errors, f->error, f->lost, f->unsent,
                     f->refused);
    }
    assert_int_equal(member_of(NAMES[0]), 0);
    unsigned asked = askings(0);
    flow_on(20);
    assert_int_equal(askings(0), asked);
    assert_string_equal(what_was_said(), "");
}

/* A master dies: calls to it end, calls to others go on; it comes back empty. */
static void test_master_dies_and_returns(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        skip();
    struct flow *here = start_flow(NAMES[0]), *there = start_flow(OTHER);
    flow_on(20);
    size_t shard = redis_shard_of(r, STR("foo"));
    redis_servers_kill(&servers, 2);
    RUN_UNTIL(!redis_is_up(r, STR("foo")));
    unsigned done = here->done;
    RUN_UNTIL(here->done > done + 1000);
    assert_int_equal(here->errors + here->lost + here->unsent + here->refused, 0);
    assert_true(here->counts_on);
    assert_int_equal(times_said("\"state\":\"down\""), 1);
    redis_servers_restart(&servers, 2);
    done = there->done;
    RUN_FOR_UNTIL(15000, redis_is_up(r, STR("foo")) && there->done > done + 20);
    assert_int_equal(redis_shard_of(r, STR("foo")), shard);
    assert_int_equal(redis_shard_ups(r, shard), 2);
    assert_int_equal(times_said("\"state\":\"up\""), 1);
    assert_true(there->refused > 0);
    assert_int_equal(here->lost + here->unsent + here->refused, 0);
}

/* Its replica takes its place by order: MOVED says so, and no call is lost. */
static void test_ordered_failover(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        skip();
    size_t replica = redis_servers_add_replica(&servers, 2);
    struct flow *there = start_flow(OTHER);
    flow_on(20);
    redis_servers_tell(&servers, replica, "CLUSTER FAILOVER");
    RUN_FOR_UNTIL(15000, member_of(OTHER) == replica);
    flow_on(20);
    if (!there->counts_on || there->errors || there->lost || there->unsent)
        fail_msg("%u errors (%s), %u lost, %u unsent%s", there->errors, there->error, there->lost, there->unsent,
                 there->counts_on ? "" : ", not in order");
    RUN_UNTIL(redis_shard_count(r) == 3);
}

/* Its replica takes its place because it died: the map says so, and calls go there. */
static void test_replica_takes_over(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        skip();
    size_t replica = redis_servers_add_replica(&servers, 2);
    struct flow *there = start_flow(OTHER);
    flow_on(20);
    redis_servers_kill(&servers, 2);
    RUN_UNTIL(there->refused > 0);
    unsigned done = there->done;
    RUN_FOR_UNTIL(15000, there->done > done + 20);
    assert_int_equal(member_of(OTHER), replica);
    assert_int_equal(redis_shard_count(r), 3);
    assert_int_equal(servers.members[2].pid, 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_slot_moves),
        CASE(test_master_dies_and_returns),
        CASE(test_ordered_failover),
        CASE(test_replica_takes_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
