/* test_limit.c - the words for counts and times, to the letter. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "limits/limit.h"

#define H 3600
#define D 86400

static void check(struct str got, const char *wanted)
{
    assert_int_equal(got.len, strlen(wanted));
    assert_memory_equal(got.ptr, wanted, got.len);
    assert_int_equal(got.ptr[got.len], 0);
}

static void test_durations(void **state)
{
    static const struct {
        uint64_t seconds;
        const char *exact, *wait;
    } CASES[] = {
        {0, "0s", "0s"},
        {1, "1s", "1s"},
        {59, "59s", "59s"},
        {60, "1m", "1m"},
        {750, "12m30s", "12m30s"},
        {900, "15m", "15m"},
        {H, "1h", "1h"},
        {H + 61, "1h1m1s", "1h2m"},
        {2 * H - 1, "1h59m59s", "2h"},
        {5400, "1h30m", "1h30m"},
        {D, "1d", "1d"},
        {D - 1, "23h59m59s", "1d"},
        {D + 2 * H + 300, "1d2h5m", "1d3h"},
        {30 * D, "30d", "30d"},
        {7 * D + 1, "7d1s", "7d1h"},
    };
    (void)state;
    char text[64];
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        check(limit_duration_text(text, sizeof text, CASES[i].seconds), CASES[i].exact);
        check(limit_wait_text(text, sizeof text, CASES[i].seconds), CASES[i].wait);
    }
}

static void test_a_small_array_cuts_the_text(void **state)
{
    (void)state;
    char text[4];
    check(limit_duration_text(text, sizeof text, H + 61), "1h1");
    check(limit_count_text(text, sizeof text, UNIT_MESSAGES, 123456), "123");
}

static void test_counts(void **state)
{
    static const struct {
        enum limit_unit unit;
        uint64_t count;
        const char *text;
    } CASES[] = {
        {UNIT_MESSAGES, 200, "200"},  {UNIT_RECIPIENTS, 1024, "1024"},
        {UNIT_BYTES, 0, "0K"},        {UNIT_BYTES, 1, "1K"},
        {UNIT_BYTES, 1024, "1M"},     {UNIT_BYTES, 10241, "10241K"},
        {UNIT_BYTES, 512000, "500M"}, {UNIT_BYTES, 1024 * 1024 * 3, "3G"},
        {UNIT_CONNECTIONS, 7, "7"},   {UNIT_OPEN_CONNECTIONS, 20, "20"},
    };
    (void)state;
    char text[32];
    for (size_t i = 0; i < COUNT_OF(CASES); i++)
        check(limit_count_text(text, sizeof text, CASES[i].unit, CASES[i].count), CASES[i].text);
}

static void test_kib_begun(void **state)
{
    (void)state;
    assert_int_equal(limit_kib(0), 1);
    assert_int_equal(limit_kib(1), 1);
    assert_int_equal(limit_kib(1024), 1);
    assert_int_equal(limit_kib(1025), 2);
    assert_int_equal(limit_kib(UINT64_MAX), UINT32_MAX);
}

static void test_threshold_counts(void **state)
{
    (void)state;
    const struct rate rate = {200, H}, large = {2147483647, H};
    assert_int_equal(limit_threshold_count(&(struct threshold){.percent = 100}, &rate), 200);
    assert_int_equal(limit_threshold_count(&(struct threshold){.percent = 50}, &rate), 100);
    assert_int_equal(limit_threshold_count(&(struct threshold){.percent = 33}, &(struct rate){10, H}), 3);
    assert_int_equal(limit_threshold_count(&(struct threshold){.percent = 1000}, &large), 21474836470);
}

static void test_the_first_refusing_threshold_is_the_limit(void **state)
{
    (void)state;
    const struct threshold t[] = {{.percent = 50, .logs = true},
                                  {.percent = 80, .refusal = REFUSAL_BAN},
                                  {.percent = 100, .refusal = REFUSAL_DEFER}};
    assert_ptr_equal(limit_refusing_threshold(&(struct limit){.thresholds = t, .threshold_count = 3}), &t[1]);
    assert_null(limit_refusing_threshold(&(struct limit){.thresholds = t, .threshold_count = 1}));
    assert_int_equal(limit_default_threshold.percent, 100);
    assert_int_equal(limit_default_threshold.refusal, REFUSAL_DEFER);
}

/* Every unit has a row: its word, and what follows from its kind. */
static void test_units(void **state)
{
    static const char *const NAMES[LIMIT_UNITS] = {
        "connections",       "open-connections",   "messages",      "recipients", "bytes",        "distinct-recipients",
        "distinct-networks", "distinct-countries", "auth-failures", "guesses",    "failed-users", "errors",
        "refusals",          "unknown-recipients", "charges",
    };
    (void)state;
    for (enum limit_unit unit = 0; unit < LIMIT_UNITS; unit++) {
        check(limit_unit_name(unit), NAMES[unit]);
        assert_true(limit_unit_noun(unit) != NULL && limit_unit_noun(unit)[0]);
        assert_int_equal(limit_unit_is_of_mail(unit), strcmp(limit_unit_noun(unit), "mail") == 0);
        if (limit_unit_shape(unit) != SHAPE_MAIL)
            assert_int_equal(limit_unit_column(unit), COLUMN_ONE);
        if (limit_unit_kind(unit) == LIMIT_EVENT)
            assert_int_equal(limit_unit_shape(unit), SHAPE_SLOTS);
    }
}

static void test_a_ban_of_events_does_not_refuse(void **state)
{
    static const struct threshold STAIRS[] = {{.percent = 50, .logs = true},
                                              {.percent = 70, .refusal = REFUSAL_BAN},
                                              {.percent = 90, .refusal = REFUSAL_DROP}};
    static const struct {
        enum limit_unit unit;
        size_t count;
        int wanted; /* -1: none */
    } CASES[] = {
        {UNIT_MESSAGES, 3, 1}, {UNIT_GUESSES, 3, 1}, {UNIT_MESSAGES, 1, -1}, {UNIT_ERRORS, 3, 2}, {UNIT_ERRORS, 2, -1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        const struct limit l = {.unit = CASES[i].unit, .thresholds = STAIRS, .threshold_count = CASES[i].count};
        assert_ptr_equal(limit_refusing_threshold(&l), CASES[i].wanted < 0 ? NULL : &STAIRS[CASES[i].wanted]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_a_ban_of_events_does_not_refuse),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_a_small_array_cuts_the_text),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_kib_begun),
        cmocka_unit_test(test_threshold_counts),
        cmocka_unit_test(test_the_first_refusing_threshold_is_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
