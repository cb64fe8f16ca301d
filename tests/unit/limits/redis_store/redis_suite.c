/* redis_suite.c - the suite on real Redis, in whatever shape. See redis_suite.h. */
#include "redis_suite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../store_suite.h"
#include "redis/redis_servers.h"
#include "redis_node.h"

static struct redis_servers servers;

static struct redis_options options(void)
{
    return (struct redis_options){
        .shape = servers.shape,
        .endpoints = servers.endpoints,
        .endpoint_count = servers.endpoint_count,
        .master = servers.shape == REDIS_SENTINEL ? REDIS_SERVERS_MASTER : NULL,
    };
}

/* The suite's master never dies, but on a machine with too much to do it may well be silent for the half second after
 * which these Sentinels would leave it, with what was counted last. */
static void stay_with_the_master(void)
{
    for (size_t i = 0; i < servers.count; i++)
        if (servers.members[i].is_sentinel)
            redis_servers_tell(&servers, i, "SENTINEL SET " REDIS_SERVERS_MASTER " down-after-milliseconds 600000");
}

static bool holds_data(size_t member)
{
    return !servers.members[member].is_sentinel && servers.members[member].pid;
}

static void *node_setup(void)
{
    const struct redis_options o = options();
    for (size_t i = 0; i < servers.count; i++) {
        redisReply *reply = holds_data(i) ? redis_servers_ask(&servers, i, "FLUSHALL") : NULL;
        if (reply)
            freeReplyObject(reply); /* a replica says that it only reads */
    }
    return redis_node_new(&o, "one");
}

static void node_teardown(void *context)
{
    redis_node_free(context);
    redis_servers_audit(&servers); /* whatever the case did (LIMITS.md, "Keys") */
}

static void node_open(void *context, struct store *store, uint32_t owner)
{
    redis_node_open(context, store, owner);
}

static void node_wait(void *context, struct store *store, const bool *done)
{
    (void)context;
    if (!redis_node_run(store, done))
        abort(); /* an answer has to come */
}

static void pass_a_moment(struct store *store)
{
    redis_node_run_for(store, 10);
}

int redis_suite_main(enum redis_shape shape, const char *name, int argc, char **argv)
{
    const struct store_suite suite_of_shape = {
        .name = name,
        .setup = node_setup,
        .teardown = node_teardown,
        .open = node_open,
        .wait = node_wait,
        .pass_a_moment = pass_a_moment,
        .close = redis_node_close,
        .now_s = INT64_C(2113214400), /* 2036-12-18: to come, so that nothing expires */
    };
    if (!redis_servers_are_there()) {
        puts("no redis-server is installed: skipped");
        return 77;
    }
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    redis_servers_start(&servers, shape, NULL);
    stay_with_the_master();
    int failed = store_suite_run(&suite_of_shape);
    redis_servers_stop(&servers);
    return failed;
}
