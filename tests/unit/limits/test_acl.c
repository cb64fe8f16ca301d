/*
 * test_acl.c - what our user may not do in Redis is found before it is needed: each word of the ACL line taken away by
 * itself, on a real Redis; nothing is left there. And how versions of Redis say it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "limits/acl.h"
#include "redis/redis_servers.h"
#include "slowness.h"

enum { PATIENCE_MS = 10000 };

static const struct {
    const char *word;
    enum acl_stage stage;
} WORDS[] = {
#define ACL(id, word, stage, question) {word, ACL_STAGE_##stage},
#include "limits/acl.def"
#undef ACL
};

static struct redis_servers servers;

/* ---- one check ---- */

struct asking {
    struct acl_check acl;
    struct loop loop;
    struct redis *redis;
    struct redis_call call;
    enum acl_stage stage;
    bool is_done;
    struct redis_options options;
};

static void ask(struct asking *a, enum acl_stage stage)
{
    a->stage = stage;
    redis_call_fini(&a->call);
    redis_call_init(&a->call, a->call.on_reply, a->call.on_done, a);
    a->call.may_be_denied = true;
    assert_true(acl_ask(&a->acl, stage, a->options.shape, STR("mw1:probe:1:{1}"), &a->call));
    assert_true(redis_send(a->redis, STR("mw1:probe:1:{1}"), &a->call));
}

static void on_reply(struct redis_call *c, size_t n, const redisReply *reply)
{
    struct asking *a = c->arg;
    acl_take(&a->acl, n, reply);
}

static void on_done(struct redis_call *c, enum redis_result result)
{
    struct asking *a = c->arg;
    assert_int_equal(result, REDIS_DONE);
    if (a->stage == ACL_STAGE_FIRST && acl_has_second(&a->acl))
        ask(a, ACL_STAGE_SECOND);
    else
        a->is_done = true;
}

static void run_until(struct asking *a, bool (*holds)(struct asking *a))
{
    int64_t until_ms = clock_monotonic_ms() + PATIENCE_MS * tests_slowness();
    while (!holds(a)) {
        assert_true(clock_monotonic_ms() < until_ms);
        loop_run_once(&a->loop, 20);
    }
}

static bool is_connected(struct asking *a)
{
    return redis_shard_ups(a->redis, redis_shard_of(a->redis, STR("{1}"))) > 0;
}

static bool is_done(struct asking *a)
{
    return a->is_done;
}

/* What is said of the user mailweir as it is now. */
static void check(char text[ACL_TEXT_BYTES])
{
    struct asking a = {.options = {.shape = servers.shape,
                                   .endpoints = servers.endpoints,
                                   .endpoint_count = servers.endpoint_count,
                                   .user = "mailweir",
                                   .password = "secret"}};
    struct err err = {0};
    assert_true(loop_init(&a.loop, &err));
    a.redis = redis_new(&a.loop, &a.options, 1000, NULL, NULL, &err);
    assert_non_null(a.redis);
    redis_call_init(&a.call, on_reply, on_done, &a);
    acl_begin(&a.acl);
    run_until(&a, is_connected);
    ask(&a, ACL_STAGE_FIRST);
    run_until(&a, is_done);
    acl_describe(&a.acl, redis_user(a.redis), STR("mw1:"), text);
    assert_true(redis_shard_is_up(a.redis, 0)); /* what is denied to a question opens no circuit */
    redis_call_fini(&a.call);
    redis_free(&a.redis);
    loop_fini(&a.loop);
}

/* The whole line but for a word, on all servers. */
static void set_user(const char *without, const char *keys)
{
    static const char LINE[] = "ACL SETUSER mailweir reset on >secret %s &mw1:* -@all"
#define ACL(id, word, stage, question) " +" word
#include "limits/acl.def"
#undef ACL
        ;
    for (size_t i = 0; i < servers.count; i++) {
        redis_servers_tell(&servers, i, LINE, keys);
        if (without)
            redis_servers_tell(&servers, i, "ACL SETUSER mailweir -%s", without);
    }
}

static void assert_empty(void)
{
    for (size_t i = 0; i < servers.count; i++) {
        redisReply *r = redis_servers_ask(&servers, i, "DBSIZE");
        assert_int_equal(r->integer, 0);
        freeReplyObject(r);
    }
}

/* ---- tests ---- */

static void each_word(void)
{
    char text[ACL_TEXT_BYTES], expected[64];
    set_user(NULL, "~mw1:*");
    check(text);
    assert_string_equal(text, "");
    for (size_t i = 0; i < COUNT_OF(WORDS); i++) {
        bool is_asked = WORDS[i].stage == ACL_STAGE_FIRST || WORDS[i].stage == ACL_STAGE_SECOND ||
                        (WORDS[i].stage == ACL_STAGE_CLUSTER && servers.shape == REDIS_CLUSTER);
        if (!is_asked)
            continue;
        set_user(WORDS[i].word, "~mw1:*");
        check(text);
        snprintf(expected, sizeof expected, "`ACL SETUSER mailweir +%s` allows it", WORDS[i].word);
        if (!strstr(text, expected))
            fail_msg("without %s: \"%s\"", WORDS[i].word, text);
        assert_empty();
    }
}

static void test_each_word(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        skip();
    each_word();
}

static void test_several_and_keys(void **state)
{
    (void)state;
    char text[ACL_TEXT_BYTES];
    if (!redis_servers_are_there())
        skip();
    set_user("zadd", "~other:*");
    redis_servers_tell(&servers, 0, "ACL SETUSER mailweir -get -info");
    check(text);
    assert_string_equal(text, "its user \"mailweir\" may not do all that is needed, and it will fail when it is: `ACL "
                              "SETUSER mailweir +info +get +zadd ~mw1:*` allows it, and ACL SAVE keeps it "
                              "(doc/cluster.md has the whole line)");
    /* What it says is what cures it. */
    redis_servers_tell(&servers, 0, "ACL SETUSER mailweir +info +get +zadd ~mw1:*");
    check(text);
    assert_string_equal(text, "");
    /* Who may read and not write. */
    set_user(NULL, "%R~mw1:*");
    check(text);
    assert_non_null(strstr(text, "`ACL SETUSER mailweir ~mw1:*`"));
    assert_empty();
}

/* All that can be denied fits. */
static void test_nothing_is_allowed(void **state)
{
    (void)state;
    struct acl_check acl;
    char text[ACL_TEXT_BYTES];
    acl_begin(&acl);
    acl.denied = (UINT64_C(1) << ACL_WORDS) - 1;
    acl.has_no_keys = true;
    assert_true(acl_describe(&acl, STR("a-name-of-some-length"), STR("mw1:"), text));
    assert_non_null(
        strstr(text, " +memory|usage ~mw1:*` allows it, and ACL SAVE keeps it (doc/cluster.md has the whole line)"));
}

static void test_words_of_versions(void **state)
{
    static const struct {
        const char *reply;
        bool is_command, is_key;
    } ROWS[] = {
        {"NOPERM this user has no permissions to run the 'info' command or its subcommand", true, false}, /* 6.2 */
        {"NOPERM this user has no permissions to run the 'info' command", true, false},                   /* 7.0 */
        {"NOPERM User mw has no permissions to run the 'info' command", true, false},                     /* 7.2 */
        {"NOPERM this user has no permissions to access one of the keys used as arguments", false, true},
        {"NOPERM No permissions to access a key", false, true},
        {"NOPERM User keys has no permissions to run the 'info' command", true, false},
        {"ERR value is not an integer or out of range", false, false},
        {"WRONGTYPE Key is not a valid HyperLogLog string value.", false, false},
        {"OOM command not allowed when used memory > 'maxmemory'.", false, false},
        {"LOADING Redis is loading the dataset in memory", false, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        struct acl_check acl;
        struct redis_call call;
        char copy[160];
        snprintf(copy, sizeof copy, "%s", ROWS[i].reply);
        redisReply reply = {.type = REDIS_REPLY_ERROR, .str = copy, .len = strlen(copy)};
        acl_begin(&acl);
        redis_call_init(&call, NULL, NULL, NULL);
        assert_true(acl_ask(&acl, ACL_STAGE_FIRST, REDIS_ALONE, STR("mw1:probe"), &call));
        acl_take(&acl, ACL_INFO, &reply);
        acl_take(&acl, 1000, &reply);
        assert_int_equal(acl.denied, ROWS[i].is_command ? UINT64_C(1) << ACL_INFO : 0);
        assert_int_equal(acl.has_no_keys, ROWS[i].is_key);
        redis_call_fini(&call);
    }
}

static int start(enum redis_shape shape)
{
    if (redis_servers_are_there())
        redis_servers_start(&servers, shape, NULL);
    return 0;
}

static int start_alone(void **state)
{
    (void)state;
    return start(REDIS_ALONE);
}

static int start_cluster(void **state)
{
    (void)state;
    return start(REDIS_CLUSTER);
}

static int stop(void **state)
{
    (void)state;
    if (redis_servers_are_there())
        redis_servers_stop(&servers);
    return 0;
}

int main(void)
{
    const struct CMUnitTest alone[] = {cmocka_unit_test(test_each_word), cmocka_unit_test(test_several_and_keys),
                                       cmocka_unit_test(test_nothing_is_allowed),
                                       cmocka_unit_test(test_words_of_versions)};
    const struct CMUnitTest cluster[] = {cmocka_unit_test(test_each_word)};
    int failed = cmocka_run_group_tests_name("alone", alone, start_alone, stop);
    return failed + cmocka_run_group_tests_name("cluster", cluster, start_cluster, stop);
}
