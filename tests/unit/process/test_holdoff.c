/* test_holdoff.c - lives and deaths as tables: which restart waits, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "process/holdoff.h"

static const struct holdoff_times TIMES = {.window_ms = 60000, .first_ms = 1000, .max_ms = 30000};

struct death {
    int64_t lived_ms, delay_ms;
    enum holdoff_news news;
};

/* Each life begins when the delay before it is over. */
static void play(const struct death *deaths, size_t count)
{
    struct holdoff h = {0};
    int64_t now_ms = 1000000;
    for (size_t i = 0; i < count; i++) {
        enum holdoff_news news;
        now_ms += deaths[i].lived_ms;
        assert_int_equal(holdoff_note_death(&h, &TIMES, now_ms, deaths[i].lived_ms, &news), deaths[i].delay_ms);
        assert_int_equal(news, deaths[i].news);
        now_ms += deaths[i].delay_ms;
    }
}
#define PLAY(...)                                                                                                      \
    static const struct death DEATHS[] = {__VA_ARGS__};                                                                \
    (void)state;                                                                                                       \
    play(DEATHS, COUNT_OF(DEATHS))

static void test_a_loop_doubles_up_to_the_maximum_and_is_news_once(void **state)
{
    PLAY({10, 0, HOLDOFF_SAME}, {10, 0, HOLDOFF_SAME}, {10, 0, HOLDOFF_SAME}, {10, 0, HOLDOFF_SAME},
         {10, 1000, HOLDOFF_BEGINS}, {10, 2000, HOLDOFF_SAME}, {10, 4000, HOLDOFF_SAME}, {10, 8000, HOLDOFF_SAME},
         {10, 16000, HOLDOFF_SAME}, {10, 30000, HOLDOFF_SAME}, {10, 30000, HOLDOFF_SAME});
}

static void test_now_and_then_is_no_loop(void **state)
{
    PLAY({16000, 0, HOLDOFF_SAME}, {16000, 0, HOLDOFF_SAME}, {16000, 0, HOLDOFF_SAME}, {16000, 0, HOLDOFF_SAME},
         {16000, 0, HOLDOFF_SAME}, {16000, 0, HOLDOFF_SAME}, {16000, 0, HOLDOFF_SAME});
}

static void test_five_within_exactly_the_window(void **state)
{
    PLAY({15000, 0, HOLDOFF_SAME}, {15000, 0, HOLDOFF_SAME}, {15000, 0, HOLDOFF_SAME}, {15000, 0, HOLDOFF_SAME},
         {15000, 1000, HOLDOFF_BEGINS});
}

static void test_a_long_life_ends_it(void **state)
{
    PLAY({1, 0, HOLDOFF_SAME}, {1, 0, HOLDOFF_SAME}, {1, 0, HOLDOFF_SAME}, {1, 0, HOLDOFF_SAME},
         {1, 1000, HOLDOFF_BEGINS}, {59999, 2000, HOLDOFF_SAME}, {60000, 0, HOLDOFF_ENDS}, {1, 0, HOLDOFF_SAME},
         {1, 0, HOLDOFF_SAME}, {1, 0, HOLDOFF_SAME}, {1, 1000, HOLDOFF_BEGINS});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_loop_doubles_up_to_the_maximum_and_is_news_once),
        cmocka_unit_test(test_now_and_then_is_no_loop),
        cmocka_unit_test(test_five_within_exactly_the_window),
        cmocka_unit_test(test_a_long_life_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
