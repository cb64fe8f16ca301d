/* test_health.c - what INFO says, judged: a table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "limits/health.h"

#define FINE                                                                                                           \
    "redis_version:7.0.15\r\nused_memory:1048576\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\nrole:master\r\n"

static const struct {
    const char *name, *info;
    enum redis_shape shape;
    int64_t skew_us;
    const char *texts[HEALTH_TROUBLES]; /* a part of each; NULL: fine */
} CASES[] = {
    {"fine", FINE, REDIS_ALONE, 0, {0}},
    {"nothing is known", "", REDIS_SENTINEL, 0, {0}},
    {"eviction",
     "maxmemory_policy:allkeys-lru\r\n",
     REDIS_ALONE,
     0,
     {[HEALTH_EVICTION] = "maxmemory-policy allkeys-lru"}},
    {"even where nothing is set to expire",
     "maxmemory_policy:volatile-ttl\n",
     REDIS_ALONE,
     0,
     {[HEALTH_EVICTION] = "volatile-ttl"}},
    {"memory is near its end",
     "used_memory:96468992\r\nmaxmemory:104857600\r\n",
     REDIS_ALONE,
     0,
     {[HEALTH_MEMORY] = "92 of 100 MiB"}},
    {"memory is not near its end", "used_memory:83886080\r\nmaxmemory:104857600\r\n", REDIS_ALONE, 0, {0}},
    {"a clock that is behind", FINE, REDIS_ALONE, 61200000, {[HEALTH_CLOCK] = "61.2 s behind Redis'"}},
    {"a clock that is ahead", FINE, REDIS_ALONE, -1500000, {[HEALTH_CLOCK] = "1.5 s ahead of Redis'"}},
    {"a clock that is nearly right", FINE, REDIS_ALONE, -999999, {0}},
    {"Sentinel without a replica",
     "role:master\r\nconnected_slaves:0\r\n",
     REDIS_SENTINEL,
     0,
     {[HEALTH_REPLICAS] = "no replica"}},
    {"Sentinel with one", "role:master\r\nconnected_slaves:1\r\n", REDIS_SENTINEL, 0, {0}},
    {"alone nobody expects one", "role:master\r\nconnected_slaves:0\r\n", REDIS_ALONE, 0, {0}},
    {"a replica without its master",
     "role:slave\r\nmaster_link_status:down\r\n",
     REDIS_ALONE,
     0,
     {[HEALTH_REPLICA] = "lost its master"}},
    {"Redis 6.0", "redis_version:6.0.16\r\n", REDIS_ALONE, 0, {[HEALTH_VERSION] = "6.0.16"}},
    {"Redis 5", "redis_version:5.0.3\r\n", REDIS_ALONE, 0, {[HEALTH_VERSION] = "6.2"}},
    {"Redis 6.2", "redis_version:6.2.0\r\n", REDIS_ALONE, 0, {0}},
    {"a version that is none", "redis_version:unstable\r\n", REDIS_ALONE, 0, {0}},
    {"numbers that are none", "used_memory:-5\r\nmaxmemory:99999999999999999999999\r\n", REDIS_ALONE, 0, {0}},
    {"names that only begin alike", "maxmemory_policy_x:lru\r\nmaxmemory_policy:noeviction\r\n", REDIS_ALONE, 0, {0}},
};

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct health h = {.is_known = false};
        health_judge(&h, str_of_z(CASES[i].info), CASES[i].shape, true, CASES[i].skew_us);
        assert_true(h.is_known);
        for (size_t t = 0; t < HEALTH_TROUBLES; t++) {
            const char *want = CASES[i].texts[t];
            if (want ? !strstr(h.texts[t], want) : h.texts[t][0] != '\0')
                fail_msg("%s: %s: \"%s\"", CASES[i].name, health_trouble_name((enum health_trouble)t), h.texts[t]);
        }
    }
}

static void test_numbers(void **state)
{
    (void)state;
    struct health h = {.is_known = false};
    health_judge(&h, STR(FINE), REDIS_ALONE, false, 99000000);
    assert_string_equal(h.version, "7.0.15");
    assert_true(h.memory_bytes == 1048576 && h.memory_max_bytes == 0);
    assert_string_equal(h.texts[HEALTH_CLOCK], ""); /* the clock was never read */
}

static void test_followed(void **state)
{
    (void)state;
    assert_true(health_is_followed(STR("role:master\r\nconnected_slaves:2\r\n"
                                       "slave0:ip=127.0.0.1,port=1,state=wait_bgsave,offset=0,lag=0\r\n"
                                       "slave1:ip=127.0.0.1,port=2,state=online,offset=14,lag=1\r\n")));
    assert_false(
        health_is_followed(STR("connected_slaves:1\r\nslave0:ip=::1,port=1,state=send_bulk,offset=0,lag=0\r\n")));
    assert_false(health_is_followed(STR("role:master\r\nconnected_slaves:0\r\nslaves_said:,state=online\r\nslave")));
    assert_false(health_is_followed(STR_NONE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table), cmocka_unit_test(test_numbers),
                                       cmocka_unit_test(test_followed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
