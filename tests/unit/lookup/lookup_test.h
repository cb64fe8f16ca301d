/* lookup_test.h - a loop, and waiting for something to happen in it. */
#ifndef LOOKUP_TEST_H
#define LOOKUP_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "net/addr.h"
#include "net/loop.h"
#include "slowness.h"

static struct loop loop;

static inline int set_up_loop(void **state)
{
    (void)state;
    struct err err;
    return loop_init(&loop, &err) ? 0 : -1;
}

static inline int tear_down_loop(void **state)
{
    (void)state;
    bool was_left_clean = list_is_empty(&loop.tasks);
    loop_fini(&loop);
    return was_left_clean ? 0 : -1;
}

/* Turns of the loop until the condition holds; five seconds at most, as fast as programs usually are. */
#define RUN_UNTIL(condition)                                                                                           \
    do {                                                                                                               \
        for (int64_t until_ = clock_monotonic_ms() + 5000 * (int64_t)tests_slowness();                                 \
             !(condition) && clock_monotonic_ms() < until_;)                                                           \
            loop_run_once(&loop, 20);                                                                                  \
        assert_true(condition);                                                                                        \
    } while (0)

static inline void run_turns(int count)
{
    while (count-- > 0)
        loop_run_once(&loop, 0);
}

static inline struct ip ip_of(const char *text)
{
    struct ip ip;
    assert_true(ip_parse(str_of_z(text), &ip));
    return ip;
}

#endif
