/* test_counters.c - rows in shared memory, sums, and what dies with a process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stats/counters.h"

static struct counters *new_rows(void)
{
    struct counters *rows = aligned_alloc(64, counters_size());
    assert_non_null(rows);
    memset(rows, 0, counters_size());
    return rows;
}

static void test_rows_add_up(void **state)
{
    (void)state;
    struct counters *rows = new_rows();
    counter_add(&rows[0], COUNTER_CONNECTIONS, 2);
    counter_add(&rows[7], COUNTER_CONNECTIONS, 40);
    counter_add(&rows[COUNTER_SLOTS - 1], COUNTER_CONNECTIONS, UINT64_C(1) << 40);
    counter_add(&rows[7], COUNTER_BYTES, 5);
    assert_int_equal(counters_sum(rows, COUNTER_CONNECTIONS), 42 + (UINT64_C(1) << 40));
    assert_int_equal(counters_sum(rows, COUNTER_BYTES), 5);
    assert_int_equal(counters_sum(rows, COUNTER_AUTH_OK), 0);
    free(rows);
}

static void test_no_row_is_harmless(void **state)
{
    (void)state;
    counter_add(NULL, COUNTER_BYTES, 1);
    counter_sub(NULL, COUNTER_BYTES, 1);
}

static void test_a_death_takes_gauges_and_nothing_else(void **state)
{
    (void)state;
    struct counters *rows = new_rows();
    counter_add(&rows[3], COUNTER_OPEN_CONNECTIONS, 12);
    counter_sub(&rows[3], COUNTER_OPEN_CONNECTIONS, 2);
    counter_add(&rows[4], COUNTER_OPEN_CONNECTIONS, 5);
    counter_add(&rows[3], COUNTER_MAILS_ACCEPTED, 9);
    assert_int_equal(counters_sum(rows, COUNTER_OPEN_CONNECTIONS), 15);
    counters_slot_died(&rows[3]);
    assert_int_equal(counters_sum(rows, COUNTER_OPEN_CONNECTIONS), 5);
    assert_int_equal(counters_sum(rows, COUNTER_MAILS_ACCEPTED), 9);
    free(rows);
}

/* A gauge may go below what its own row added (a neighbour's connection handed on): the sum is still right. */
static void test_gauges_wrap_in_a_row_but_not_in_the_sum(void **state)
{
    (void)state;
    struct counters *rows = new_rows();
    counter_sub(&rows[1], COUNTER_OPEN_CONNECTIONS, 1);
    counter_add(&rows[2], COUNTER_OPEN_CONNECTIONS, 3);
    assert_int_equal(counters_sum(rows, COUNTER_OPEN_CONNECTIONS), 2);
    free(rows);
}

/* Prometheus' rules for names, held against every row of counters.def. */
static void test_every_metric_is_well_named(void **state)
{
    (void)state;
    for (int c = 0; c < COUNTER_COUNT; c++) {
        const struct counter_info *i = counter_info(c);
        size_t len = strlen(i->metric);
        assert_int_equal(strncmp(i->metric, "mailweir_", 9), 0);
        assert_int_equal(strspn(i->metric, "abcdefghijklmnopqrstuvwxyz0123456789_"), len);
        bool says_total = len > 6 && strcmp(i->metric + len - 6, "_total") == 0;
        assert_int_equal(says_total, i->type == COUNTER_SUM);
        assert_true(strlen(i->help) > 0);
        for (int other = 0; other < c; other++)
            assert_string_not_equal(i->metric, counter_info(other)->metric);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_add_up),
        cmocka_unit_test(test_no_row_is_harmless),
        cmocka_unit_test(test_a_death_takes_gauges_and_nothing_else),
        cmocka_unit_test(test_gauges_wrap_in_a_row_but_not_in_the_sum),
        cmocka_unit_test(test_every_metric_is_well_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
