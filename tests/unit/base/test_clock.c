/* test_clock.c - how far local time is from UTC, in winter, in summer, and at the change itself; the clock that goes on
 * when the wall clock is set. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

static void test_utc_offset(void **state)
{
    static const struct {
        int64_t time_s, offset_s;
    } CASES[] = {
        {1767614400, 3600}, /* 2026-01-05T12:00Z */
        {1767614401, 3600}, /* the same quarter: remembered */
        {1782907200, 7200}, /* 2026-07-01T12:00Z */
        {1774745999, 3600}, /* 2026-03-29T00:59:59Z, a second before summer time */
        {1774746000, 7200},
    };
    (void)state;
    assert_int_equal(setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1), 0);
    tzset();
    for (size_t i = 0; i < COUNT_OF(CASES); i++)
        assert_int_equal(clock_utc_offset_s(CASES[i].time_s), CASES[i].offset_s);
}

/* The kernel's clocks, here: clock.c asks these. */
static int64_t wall_us, boot_us;

int clock_gettime(clockid_t id, struct timespec *t)
{
    int64_t us = id == CLOCK_REALTIME ? wall_us : boot_us;
    *t = (struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    return 0;
}

static void test_steady(void **state)
{
    (void)state;
    wall_us = 1767614400000000;
    boot_us = 5000000;
    assert_int_equal(clock_steady_us(), wall_us);
    boot_us += 7;
    assert_int_equal(clock_steady_us(), 1767614400000007);
    wall_us += 60000000; /* an administrator, or NTP */
    assert_int_equal(clock_steady_us(), 1767614400000007);
    assert_int_equal(clock_wall_us(), 1767614460000000);
    wall_us -= 3600000000;
    boot_us += 3;
    assert_int_equal(clock_steady_us(), 1767614400000010);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_utc_offset), cmocka_unit_test(test_steady)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
