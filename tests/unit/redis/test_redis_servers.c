/* test_redis_servers.c - the tests' own servers: what a test leaves behind in them is found, wherever it lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "redis_servers.h"

static struct redis_servers servers;

static int set_up(void **state)
{
    (void)state;
    if (redis_servers_are_there())
        redis_servers_start(&servers, REDIS_ALONE, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    redis_servers_stop(&servers);
    return 0;
}

static void expect(size_t count, const char *text)
{
    struct redis_finding finding;
    redis_servers_look(&servers, &finding);
    assert_int_equal(finding.count, count);
    assert_string_equal(finding.text, text);
}

static void test_keys_without_expiry(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        skip();
    static const char *const STAYS[] = {"table:*", NULL};
    redis_servers_tell(&servers, 0, "SET a 1 PX 100000");
    expect(0, "");
    redis_servers_tell(&servers, 0, "SET table:a 1");
    expect(1, "Redis server 0: a key without expiry: table:a");
    servers.stays = STAYS;
    expect(0, "");
    redis_servers_tell(&servers, 0, "SET b 1");
    expect(1, "Redis server 0: a key without expiry: b");
    redis_servers_tell(&servers, 0, "PEXPIRE b 100000");
    expect(0, "");
}

/* Other databases are looked through, too, and more keys than one page of SCAN. */
static void test_many_in_another_database(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        skip();
    redis_servers_tell(&servers, 0, "EVAL %s 0", "for i = 1, 3000 do redis.call('SET', 'filler:' .. i, '1') end");
    redis_servers_tell(&servers, 0, "SWAPDB 0 7");
    struct redis_finding finding;
    redis_servers_look(&servers, &finding);
    assert_int_equal(finding.count, 3000);
    redis_servers_tell(&servers, 0, "FLUSHALL");
}

/* Who hangs is woken up and asked; who was ended holds nothing. */
static void test_who_hangs_and_who_is_gone(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        skip();
    redis_servers_tell(&servers, 0, "SET a 1");
    redis_servers_hang(&servers, 0);
    expect(1, "Redis server 0: a key without expiry: a");
    redis_servers_kill(&servers, 0);
    expect(0, "");
}

static void test_who_does_not_let_in(void **state)
{
    (void)state;
    if (!redis_servers_are_there())
        skip();
    redis_servers_tell(&servers, 0, "ACL SETUSER default >password");
    expect(1, "Redis server 0: INFO replication NOAUTH Authentication required.");
    redis_servers_kill(&servers, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_keys_without_expiry, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_in_another_database, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_who_hangs_and_who_is_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_who_does_not_let_in, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
