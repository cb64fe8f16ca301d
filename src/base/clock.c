/* clock.c - see clock.h. */
#include "base/clock.h"

#include <time.h>

enum { QUARTER_S = 900 };

static int64_t read_us(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_monotonic_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t clock_monotonic_ms(void)
{
    return clock_monotonic_us() / 1000;
}

int64_t clock_wall_us(void)
{
    return read_us(CLOCK_REALTIME);
}

int64_t clock_steady_us(void)
{
    static int64_t ahead_us; /* of wall clock over boot time, once and for all; children inherit it */
    if (ahead_us == 0)
        ahead_us = read_us(CLOCK_REALTIME) - read_us(CLOCK_BOOTTIME);
    return read_us(CLOCK_BOOTTIME) + ahead_us;
}

int64_t clock_utc_offset_s(int64_t time_s)
{
    static _Thread_local int64_t known_quarter = INT64_MIN, offset_s;
    int64_t quarter = time_s / QUARTER_S;
    if (quarter != known_quarter) {
        time_t t = (time_t)time_s;
        struct tm tm;
        offset_s = localtime_r(&t, &tm) ? tm.tm_gmtoff : 0;
        known_quarter = quarter;
    }
    return offset_s;
}
