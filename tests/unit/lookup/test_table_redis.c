/* test_table_redis.c - tables that lie in a real Redis: what is there, what is not, and Redis away, slow, or in the
 * wrong mood. */
#include "redis/redis_servers.h"
#include "redis/redis_test.h"

#include "lookup/table_redis.h"

enum { WORDS, OWNERS, QUICK, ANEW, TABLES };

static const struct table_redis_options OPTIONS[TABLES] = {
    [WORDS] = {.name = "words", .key = "words", .timeout_ms = 2000, .cache_ms = 60000},
    [OWNERS] = {.name = "owners", .key = "owners", .is_map = true, .timeout_ms = 2000, .cache_ms = 60000},
    [QUICK] = {.name = "quick", .key = "words", .timeout_ms = 50, .cache_ms = 60000},
    [ANEW] = {.name = "anew", .key = "anew", .timeout_ms = 2000, .cache_ms = 0},
};

/* Tables are the administrator's: he decides how long they stay. */
static const char *const STAYS[] = {"words", "owners", "anew", NULL};

static struct redis_servers servers;
static struct redis_options options;
static struct redis *r;
static struct table_redis *tables;

static int set_up(void **state)
{
    struct err err;
    (void)state;
    if (!redis_servers_are_there())
        return 0;
    stage_begin();
    redis_servers_start(&servers, REDIS_ALONE, NULL);
    servers.stays = STAYS;
    options = (struct redis_options){.shape = REDIS_ALONE, .endpoints = servers.endpoints, .endpoint_count = 1};
    r = client_open(&options);
    tables = table_redis_new(&loop, r, OPTIONS, TABLES, &err);
    assert_non_null(tables);
    redis_servers_tell(&servers, 0, "SADD words office bob@a.test @b.test");
    redis_servers_tell(&servers, 0, "HSET owners info@a.test alice,bob @b.test carol empty %s", "");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        return 0;
    redis_free(&r);
    table_redis_free(&tables);
    table_redis_free(&tables); /* harmless */
    redis_servers_stop(&servers);
    stage_end();
    return 0;
}

struct question {
    struct remote_query query;
    bool is_done;
    enum remote_result result;
    char value[64];
};

static void on_answer(void *arg)
{
    struct question *q = arg;
    assert_false(q->is_done);
    q->is_done = true;
    q->result = q->query.result;
    (void)str_copy_into(q->value, sizeof q->value, q->query.value);
}

static enum started start(struct question *q, unsigned table, const char *forms)
{
    *q = (struct question){.is_done = false};
    enum started started =
        table_redis_start(&q->query, tables, table, str_of_z(forms), loop_now_ms(&loop) + 60000, on_answer, q);
    if (started == DONE)
        on_answer(q);
    return started;
}

static enum remote_result ask(unsigned table, const char *forms, char value[64])
{
    struct question q;
    (void)start(&q, table, forms);
    RUN_UNTIL(q.is_done);
    if (value)
        memcpy(value, q.value, sizeof q.value);
    return q.result;
}

static void test_there_or_not(void **state)
{
    static const struct {
        unsigned table;
        const char *forms;
        enum remote_result result;
        const char *value;
    } ROWS[] = {
        {WORDS, "office", REMOTE_FOUND, ""},
        {WORDS, "offic", REMOTE_NOT_FOUND, ""},
        {WORDS, "bob+x@a.test\nbob@a.test\n@a.test", REMOTE_FOUND, ""},
        {WORDS, "eve@b.test\n@b.test", REMOTE_FOUND, ""},
        {WORDS, "eve@c.test\n@c.test", REMOTE_NOT_FOUND, ""},
        {WORDS, "", REMOTE_NOT_FOUND, ""},
        {WORDS, "off\tice", REMOTE_NOT_FOUND, ""},
        {OWNERS, "info@a.test\n@a.test", REMOTE_FOUND, "alice,bob"},
        {OWNERS, "x@b.test\n@b.test", REMOTE_FOUND, "carol"},
        {OWNERS, "info@a.test\nx@b.test\n@b.test", REMOTE_FOUND, "alice,bob"}, /* the first that is there */
        {OWNERS, "empty", REMOTE_FOUND, ""},
        {OWNERS, "none", REMOTE_NOT_FOUND, ""},
        {ANEW, "a", REMOTE_NOT_FOUND, ""}, /* no such key */
    };
    (void)state;
    if (!redis_servers_are_there())
        skip();
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        char value[64];
        enum remote_result result = ask(ROWS[i].table, ROWS[i].forms, value);
        if (result != ROWS[i].result || strcmp(value, ROWS[i].value) != 0)
            fail_msg("%s: %d \"%s\"", ROWS[i].forms, result, value);
    }
}

/* So many forms at most; a domain of the deepest kind has fewer. */
static void test_bounds(void **state)
{
    char forms[TABLE_REDIS_FORMS_MAX * 2 + 16];
    size_t len = 0;
    (void)state;
    if (!redis_servers_are_there())
        skip();
    for (size_t i = 0; i < TABLE_REDIS_FORMS_MAX - 1; i++)
        len += (size_t)snprintf(forms + len, sizeof forms - len, "a\n");
    memcpy(forms + len, "office", 7);
    assert_int_equal(ask(WORDS, forms, NULL), REMOTE_FOUND);
    memcpy(forms + len, "a\noffice", 9);
    assert_int_equal(ask(WORDS, forms, NULL), REMOTE_NOT_FOUND);
}

static long long commands_of(const char *name)
{
    redisReply *reply = redis_servers_ask(&servers, 0, "INFO commandstats");
    char line[64];
    snprintf(line, sizeof line, "cmdstat_%s:calls=", name);
    const char *at = strstr(reply->str, line);
    long long calls = at ? atoll(at + strlen(line)) : 0;
    freeReplyObject(reply);
    return calls;
}

/* Asked once, however many want to know; then remembered, unless the table says otherwise. */
static void test_asked_once(void **state)
{
    struct question q[10];
    (void)state;
    if (!redis_servers_are_there())
        skip();
    for (size_t i = 0; i < COUNT_OF(q); i++)
        assert_int_equal(start(&q[i], WORDS, "office"), STARTED);
    remote_cancel(&q[3].query);
    for (size_t i = 0; i < COUNT_OF(q); i++) {
        if (i == 3)
            continue;
        RUN_UNTIL(q[i].is_done);
        assert_int_equal(q[i].result, REMOTE_FOUND);
    }
    assert_false(q[3].is_done);
    redis_servers_tell(&servers, 0, "SREM words office");
    assert_int_equal(start(&q[0], WORDS, "office"), DONE);
    assert_int_equal(q[0].result, REMOTE_FOUND);
    assert_int_equal(commands_of("smismember"), 1);
    redis_servers_tell(&servers, 0, "SADD anew a");
    assert_int_equal(ask(ANEW, "a", NULL), REMOTE_FOUND);
    redis_servers_tell(&servers, 0, "SREM anew a");
    assert_int_equal(ask(ANEW, "a", NULL), REMOTE_NOT_FOUND);
}

/* A key that holds something else is a failure of this table, and of nothing else; it is asked again. */
static void test_wrong_type(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        skip();
    redis_servers_tell(&servers, 0, "SET anew text");
    assert_int_equal(ask(ANEW, "a", NULL), REMOTE_FAILED);
    assert_int_equal(ask(WORDS, "office", NULL), REMOTE_FOUND);
    redis_servers_tell(&servers, 0, "DEL anew");
    redis_servers_tell(&servers, 0, "SADD anew a");
    assert_int_equal(ask(ANEW, "a", NULL), REMOTE_FOUND);
}

/* Away: at once no answer, but for what is remembered; back, it answers again. */
static void test_away(void **state)
{
    struct question q;
    (void)state;
    if (!redis_servers_are_there())
        skip();
    assert_int_equal(ask(WORDS, "office", NULL), REMOTE_FOUND);
    redis_servers_kill(&servers, 0);
    RUN_UNTIL(!redis_is_up(r, STR("words")));
    assert_int_equal(start(&q, WORDS, "bob@a.test"), DONE);
    assert_int_equal(q.result, REMOTE_FAILED);
    assert_int_equal(start(&q, WORDS, "office"), DONE);
    assert_int_equal(q.result, REMOTE_FOUND);
    redis_servers_restart(&servers, 0);
    redis_servers_tell(&servers, 0, "SADD words bob@a.test");
    RUN_FOR_UNTIL(15000, redis_is_up(r, STR("words")));
    assert_int_equal(ask(WORDS, "bob@a.test", NULL), REMOTE_FOUND);
}

/* Who waits has no answer when the timeout is over; the reply that comes then is remembered. Three such, and nobody
 * waits any more. */
static void test_late(void **state)
{
    struct question q;
    char forms[8] = "x0";
    (void)state;
    if (!redis_servers_are_there())
        skip();
    assert_int_equal(ask(WORDS, "none", NULL), REMOTE_NOT_FOUND); /* it is connected */
    redis_servers_hang(&servers, 0);
    int64_t began_ms = clock_monotonic_ms();
    assert_int_equal(start(&q, QUICK, "office"), STARTED);
    RUN_UNTIL(q.is_done);
    assert_int_equal(q.result, REMOTE_FAILED);
    assert_true(clock_monotonic_ms() - began_ms >= 45);
    for (; redis_is_up(r, STR("words")) && forms[1] < '9'; forms[1]++)
        assert_int_equal(ask(QUICK, forms, NULL), REMOTE_FAILED);
    assert_true(forms[1] < '9');
    assert_int_equal(start(&q, QUICK, "office"), DONE); /* it is still being asked, but Redis is away */
    assert_int_equal(q.result, REMOTE_FAILED);
    redis_servers_resume(&servers, 0);
    RUN_FOR_UNTIL(15000, redis_is_up(r, STR("words")));
    assert_int_equal(ask(QUICK, "office", NULL), REMOTE_FOUND);
    assert_true(commands_of("smismember") <= 2 + forms[1] - '0' + 1);
}

/* Asked when everything ends: nobody is called back, nothing leaks. */
static void test_end_while_asked(void **state)
{
    struct question q;
    (void)state;
    if (!redis_servers_are_there())
        skip();
    assert_int_equal(ask(WORDS, "none", NULL), REMOTE_NOT_FOUND); /* it is connected */
    redis_servers_hang(&servers, 0);
    assert_int_equal(start(&q, WORDS, "office"), STARTED);
    loop_run_once(&loop, 0); /* it is sent */
    redis_free(&r);
    table_redis_free(&tables);
    assert_false(q.is_done);
    remote_cancel(&q.query);
    redis_servers_resume(&servers, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_there_or_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bounds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_asked_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_wrong_type, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_away, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_late, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_end_while_asked, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("table_redis", tests, NULL, NULL);
}
