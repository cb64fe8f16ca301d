/* test_store_redis_garbage.c - the store in Redis, when what answers is no Redis, or has lost its mind: whatever it
 * says, the mail is decided alone, and nothing is charged twice or lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "limits/redis_store/redis_node.h"
#include "limits/store_suite.h"
#include "limits/window.h"
#include "redis/fake_redis.h"

#define S    INT64_C(1000000)
#define HOUR 3600
#define NOW  (INT64_C(2113214400) * S)

/* What a command that is not spoken of is answered with: as an empty Redis would. */
static const char *const SANE[][2] = {
    {"BITFIELD", "*3\r\n:1\r\n:0\r\n:0\r\n"},
    {"GETEX", "$-1\r\n"},
    {"GET", "$-1\r\n"},
    {"PEXPIREAT", ":1\r\n"},
    {"ZADD", ":1\r\n"},
};

static const struct garbage_case {
    const char *name, *command, *wire;
    bool stands; /* it was reserved, and that could not be taken back: it is the mail's charge */
} CASES[] = {
    {"a number for an array", "BITFIELD", ":1\r\n"},
    {"a word for an array", "BITFIELD", "+OK\r\n"},
    {"nothing for an array", "BITFIELD", "*-1\r\n"},
    {"an empty array", "BITFIELD", "*0\r\n"},
    {"too short an array", "BITFIELD", "*1\r\n:1\r\n"},
    {"texts for numbers", "BITFIELD", "*3\r\n$1\r\n1\r\n$1\r\n0\r\n$1\r\n0\r\n"},
    {"less than nothing", "BITFIELD", "*3\r\n:-1\r\n:0\r\n:0\r\n"},
    {"a number that no field holds", "BITFIELD", "*3\r\n:4294967296\r\n:0\r\n:0\r\n"},
    {"numbers that are nil", "BITFIELD", "*3\r\n$-1\r\n:0\r\n:0\r\n"},
    {"arrays in the array", "BITFIELD", "*3\r\n*1\r\n:1\r\n:0\r\n:0\r\n"},
    {"another window lay there", "BITFIELD", "*3\r\n:1\r\n:60\r\n:7\r\n"},
    {"a number for the window", "GETEX", ":5\r\n"},
    {"an array for the window", "GETEX", "*1\r\n:5\r\n"},
    {"a word for the window", "GETEX", "+OK\r\n"},
    {"a number for the window before", "GET", ":5\r\n"},
    {"no memory left", "BITFIELD", "-OOM command not allowed when used memory > 'maxmemory'.\r\n"},
    {"a wrong type", "BITFIELD", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
    {"before 6.2", "GETEX", "-ERR unknown command `GETEX`, with args beginning with: `k`, \r\n"},
    {"not allowed", "GETEX", "-NOPERM this user has no permissions to run the 'getex' command\r\n", true},
    {"try again", "BITFIELD", "-TRYAGAIN Multiple keys request during rehashing of slot\r\n"},
    {"an error without words", "BITFIELD", "-\r\n"},
    {"no protocol", "BITFIELD", "?what\r\n"},
    {"no protocol at the end", "GET", "\r\n\r\n"},
    {"loading", "BITFIELD", "-LOADING Redis is loading the dataset in memory\r\n"},
    {"a Cluster that is down", "BITFIELD", "-CLUSTERDOWN The cluster is down\r\n"},
    {"a replica", "BITFIELD", "-READONLY You can't write against a read only replica.\r\n"},
};

struct asked {
    struct store_op op;
    bool done;
};

static void on_done(struct store_op *op)
{
    CONTAINER_OF(op, struct asked, op)->done = true;
}

static enum store_result ask(struct store *store, struct take *take)
{
    struct asked a = {.op = {.takes = &take, .count = 1, .now_us = NOW, .deadline_ms = 20000, .on_done = on_done}};
    if (store->ops->take_start(store, &a.op) == STARTED)
        assert_true(redis_node_run(store, &a.done));
    return a.op.result;
}

static uint64_t since(struct redis_node *n, const struct take *take)
{
    uint64_t sums[COLUMNS];
    mirror_since(n->mirror, &take->counter, window_slot(NOW, HOUR), sums);
    return sums[0];
}

/* What an answer of this kind means for one mail, and for one that is cancelled before it comes. */
static void test_answered_so(void **state)
{
    const struct garbage_case *c = *state;
    static struct loop loop;
    static struct fake_redis fake;
    struct err err;
    assert_true(loop_init(&loop, &err));
    fake_start(&fake, &loop, "standalone", "master");
    for (size_t i = 0; i < COUNT_OF(SANE); i++)
        fake_say(&fake, SANE[i][0], "%s", SANE[i][1]);
    fake_say(&fake, c->command, "%s", c->wire);
    const struct redis_options options = {.shape = REDIS_ALONE, .endpoints = &fake.at, .endpoint_count = 1};
    struct redis_node *n = redis_node_new(&options, "one");
    struct store store;
    struct take take;
    n->loop = &loop;
    redis_node_open(n, &store, 1);
    suite_take_set(&take, &store, "u:a", HOUR, 1, 10);
    assert_int_equal(ask(&store, &take), STORE_TAKEN);
    assert_true(take.held.is_held && take.held.is_local);
    assert_int_equal(take.used[0], 1);
    assert_int_equal(since(n, &take), c->stands ? 0 : 1);
    assert_null(strstr(fake.heard, "INCRBY u32 #0 -1;")); /* unless it was reserved, nothing is taken back */
    struct take *takes[] = {&take};
    store.ops->give_back(&store, takes, 1);
    assert_int_equal(since(n, &take), 0);
    struct asked a = {.op = {.takes = takes, .count = 1, .now_us = NOW, .deadline_ms = 20000, .on_done = on_done}};
    redis_node_settle(n, 1, 0);
    suite_take_set(&take, &store, "u:b", HOUR, 1, 10);
    if (store.ops->take_start(&store, &a.op) == STARTED)
        store.ops->take_cancel(&store, &a.op);
    redis_node_close(&store);
    redis_node_free(n);
    fake_stop(&fake);
    loop_fini(&loop);
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(CASES)];
    for (size_t i = 0; i < COUNT_OF(CASES); i++)
        tests[i] = (struct CMUnitTest){CASES[i].name, test_answered_so, NULL, NULL, (void *)&CASES[i]};
    return cmocka_run_group_tests_name("answers that are none", tests, NULL, NULL);
}
