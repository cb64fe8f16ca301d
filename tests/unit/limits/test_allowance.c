/* test_allowance.c - rates that an operator gave: which hold, until when, and what others must hear. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "limits/allowance.h"

#define S   INT64_C(1000000)
#define DAY (86400 * S)
#define NOW (INT64_C(1767614400) * S)

static int setup(void **state)
{
    struct err err;
    void *memory = aligned_alloc(64, (allowance_table_size() + 63) & ~(size_t)63);
    assert_non_null(memory);
    memset(memory, 0, allowance_table_size());
    *state = allowance_table_init(memory, &err);
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    allowance_table_fini(*state);
    free(*state);
    return 0;
}

static struct allowance allowance(const char *entity, const char *limit, uint32_t count, int64_t since_us,
                                  int64_t for_us)
{
    struct allowance a = {.rates = {{count, 3600}}, .rate_count = count ? 1 : 0};
    snprintf(a.entity, sizeof a.entity, "%s", entity);
    snprintf(a.limit, sizeof a.limit, "%s", limit);
    a.since_us = a.changed_us = since_us;
    a.until_us = since_us + for_us;
    return a;
}

static void set(struct allowance_table *t, const char *entity, const char *limit, uint32_t count, int64_t since_us,
                int64_t for_us, bool is_ours)
{
    struct err err;
    struct allowance a = allowance(entity, limit, count, since_us, for_us);
    assert_true(allowance_set(t, &a, is_ours, &err));
}

/* The count that holds; 0: no limit; -1: none given. */
static long found(struct allowance_table *t, const char *entity, const char *limit, int64_t now_us)
{
    struct rate rates[ALLOWANCE_RATES_MAX];
    size_t count;
    if (!allowance_find(t, str_of_z(entity), str_of_z(limit), now_us, rates, &count))
        return -1;
    return count ? (long)rates[0].count : 0;
}

static void test_holds_for_its_time(void **state)
{
    struct allowance_table *t = *state;
    assert_int_equal(found(t, "u:a", "x", NOW), -1);
    set(t, "u:a", "x", 500, NOW, DAY, true);
    set(t, "u:a", "none", 0, NOW, DAY, true);
    assert_int_equal(found(t, "u:a", "x", NOW), 500);
    assert_int_equal(found(t, "u:a", "x", NOW + DAY - 1), 500);
    assert_int_equal(found(t, "u:a", "x", NOW + DAY), -1);
    assert_int_equal(found(t, "u:a", "none", NOW), 0);
    assert_int_equal(found(t, "u:a", "y", NOW), -1);
    assert_int_equal(found(t, "u:b", "x", NOW), -1);
}

/* Of two the one that was given later holds, in whatever order they are heard of. */
static void test_the_later_one_holds(void **state)
{
    struct allowance_table *t = *state;
    set(t, "u:a", "x", 500, NOW + S, DAY, false);
    set(t, "u:a", "x", 300, NOW, 2 * DAY, false);
    assert_int_equal(found(t, "u:a", "x", NOW + 2 * S), 500);
    set(t, "u:a", "x", 700, NOW + 2 * S, DAY, false);
    assert_int_equal(found(t, "u:a", "x", NOW + 3 * S), 700);
}

/* What somebody gave whose clock was ahead does not stand for ever: who gives another one now is heard, here and, for
 * it is the later one, everywhere. */
static void test_the_last_word_is_here(void **state)
{
    struct allowance_table *t = *state;
    struct allowance a;
    size_t at = 0;
    set(t, "u:a", "x", 500, NOW + DAY, DAY, false);
    set(t, "u:a", "x", 300, NOW, DAY, true);
    assert_int_equal(found(t, "u:a", "x", NOW + S), 300);
    assert_true(allowance_untold_next(t, &at, &a));
    assert_true(a.changed_us > NOW + DAY);
}

static void test_taken_back(void **state)
{
    struct allowance_table *t = *state;
    struct allowance a;
    size_t at = 0;
    assert_false(allowance_end(t, STR("u:a"), STR("x"), NOW));
    set(t, "u:a", "x", 500, NOW, DAY, false);
    assert_true(allowance_end(t, STR("u:a"), STR("x"), NOW + S));
    assert_int_equal(found(t, "u:a", "x", NOW + 2 * S), -1);
    assert_false(allowance_end(t, STR("u:a"), STR("x"), NOW + 2 * S));
    set(t, "u:a", "x", 500, NOW, DAY, false); /* an echo of the old one changes nothing */
    assert_int_equal(found(t, "u:a", "x", NOW + 2 * S), -1);
    assert_true(allowance_untold_next(t, &at, &a));
    assert_int_equal(a.until_us, 0);
    assert_int_equal(a.changed_us, NOW + S);
}

static void test_what_others_must_hear(void **state)
{
    struct allowance_table *t = *state;
    struct allowance a, told;
    size_t at = 0;
    set(t, "u:a", "x", 1, NOW, DAY, false);
    assert_false(allowance_has_untold(t));
    set(t, "u:b", "x", 2, NOW, DAY, true);
    assert_true(allowance_untold_next(t, &at, &told));
    assert_string_equal(told.entity, "u:b");
    assert_false(allowance_untold_next(t, &at, &a));
    set(t, "u:b", "x", 3, NOW + S, DAY, true); /* changed while it was being told */
    allowance_is_told(t, &told);
    at = 0;
    assert_true(allowance_untold_next(t, &at, &told));
    assert_int_equal(told.rates[0].count, 3);
    allowance_is_told(t, &told);
    assert_false(allowance_has_untold(t));
    allowance_tell_again(t);
    at = 0;
    for (int i = 0; i < 2; i++)
        assert_true(allowance_untold_next(t, &at, &a));
    assert_false(allowance_untold_next(t, &at, &a));
}

/* A table that a file kept: what others know they may have taken back meanwhile. */
static void test_what_an_earlier_run_left(void **state)
{
    struct allowance_table *t = *state;
    struct allowance a;
    struct err err;
    size_t at = 0;
    set(t, "u:told", "x", 1, NOW, DAY, true);
    assert_true(allowance_untold_next(t, &at, &a));
    allowance_is_told(t, &a);
    set(t, "u:theirs", "x", 2, NOW, DAY, false);
    set(t, "u:ours", "x", 3, NOW, DAY, true);
    set(t, "u:back", "x", 4, NOW, DAY, false);
    assert_true(allowance_end(t, STR("u:back"), STR("x"), NOW + S));
    allowance_table_fini(t);
    assert_ptr_equal(allowance_table_reopen(t, &err), t);
    allowance_table_forget_told(t);
    assert_int_equal(found(t, "u:told", "x", NOW + 2 * S), -1);
    assert_int_equal(found(t, "u:theirs", "x", NOW + 2 * S), -1);
    assert_int_equal(found(t, "u:ours", "x", NOW + 2 * S), 3);
    at = 0;
    for (int i = 0; i < 2; i++) {
        assert_true(allowance_untold_next(t, &at, &a));
        assert_true(strcmp(a.entity, "u:ours") == 0 || (strcmp(a.entity, "u:back") == 0 && a.until_us == 0));
        allowance_is_told(t, &a);
    }
    assert_false(allowance_has_untold(t));
    set(t, "u:told", "x", 5, NOW - S, DAY, false); /* as Redis has it now: nothing here is younger */
    assert_int_equal(found(t, "u:told", "x", NOW), 5);
}

/* The machine crashed, and of what the file keeps some pages are as they were a while before. */
static void test_what_a_crash_left(void **state)
{
    struct allowance_table *t = *state;
    struct allowance *torn, a;
    struct err err;
    size_t at = 0;
    set(t, "u:whole", "x", 1, NOW, DAY, false);
    set(t, "u:half", "x", 2, NOW, DAY, true);
    set(t, "u:other", "x", 3, NOW, DAY, true);
    torn = memmem((void *)t, allowance_table_size(), "u:half", 7);
    assert_non_null(torn);
    torn->rate_count = 1U << 31;
    torn = memmem((void *)t, allowance_table_size(), "u:other", 8);
    assert_non_null(torn);
    memcpy(torn->entity, "u:wrong", 8);
    allowance_table_fini(t);
    assert_ptr_equal(allowance_table_reopen(t, &err), t);
    assert_int_equal(found(t, "u:whole", "x", NOW + S), 1);
    assert_int_equal(found(t, "u:half", "x", NOW + S), -1);
    assert_true(allowance_next(t, &at, NOW + S, &a));
    assert_string_equal(a.entity, "u:whole");
    assert_false(allowance_next(t, &at, NOW + S, &a));
    assert_false(allowance_has_untold(t));
    set(t, "u:half", "x", 4, NOW + S, DAY, false);
    assert_int_equal(found(t, "u:half", "x", NOW + 2 * S), 4);
}

static void test_walk(void **state)
{
    struct allowance_table *t = *state;
    struct allowance a;
    size_t at = 0, count = 0;
    set(t, "u:a", "x", 1, NOW, DAY, false);
    set(t, "u:b", "x", 2, NOW, S, false);
    set(t, "u:c", "y", 3, NOW, DAY, false);
    while (allowance_next(t, &at, NOW + 2 * S, &a))
        count += a.rates[0].count;
    assert_int_equal(count, 4);
}

/* What is long over makes room; what is in force does not, and that is said. */
static void test_full(void **state)
{
    struct allowance_table *t = *state;
    struct err err;
    size_t held = 0;
    for (int i = 0; i < ALLOWANCE_TABLE_PLACES; i++) {
        char entity[16];
        snprintf(entity, sizeof entity, "u:%d", i);
        struct allowance a = allowance(entity, "x", 1, NOW, DAY);
        held += allowance_set(t, &a, false, &err);
    }
    assert_true(held > ALLOWANCE_TABLE_PLACES / 2);
    if (held < ALLOWANCE_TABLE_PLACES)
        assert_string_equal(err.text, "there is no room for another allowance: end some, or wait until they do");
    for (int i = 0; i < ALLOWANCE_TABLE_PLACES / 2; i++) {
        char entity[16];
        snprintf(entity, sizeof entity, "v:%d", i);
        set(t, entity, "x", 2, NOW + 3 * DAY, DAY, false);
        assert_int_equal(found(t, entity, "x", NOW + 3 * DAY), 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_holds_for_its_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_later_one_holds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_last_word_is_here, setup, teardown),
        cmocka_unit_test_setup_teardown(test_taken_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_others_must_hear, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_an_earlier_run_left, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_a_crash_left, setup, teardown),
        cmocka_unit_test_setup_teardown(test_walk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
