/*
 * waits.h - what half of all mails, or 99 of 100, took at most: of microseconds that were gathered one by one.
 */
#ifndef BENCH_WAITS_H
#define BENCH_WAITS_H

#include <stdint.h>
#include <stdlib.h>

static inline int waits_compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static inline void waits_sort(uint32_t *waits_us, size_t count)
{
    qsort(waits_us, count, sizeof *waits_us, waits_compare);
}

/* Of sorted ones: what so many of a hundred (0 to 99) took at most. Of none: 0. */
static inline uint32_t waits_at(const uint32_t *waits_us, size_t count, size_t percent)
{
    return count ? waits_us[count * percent / 100] : 0;
}

#endif
