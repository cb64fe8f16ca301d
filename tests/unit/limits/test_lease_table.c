/* test_lease_table.c - what a process holds in Redis, and in which order it is renewed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "limits/lease_table.h"

static struct hash128 id_of(uint64_t n)
{
    return (struct hash128){.lo = n, .hi = n * 7};
}

static int setup(void **state)
{
    static struct lease_table table;
    lease_table_init(&table);
    *state = &table;
    return 0;
}

static int teardown(void **state)
{
    lease_table_fini(*state);
    return 0;
}

static void test_added_and_taken(void **state)
{
    struct lease_table *t = *state;
    uint64_t numbers[8];
    struct lease_set *set = lease_table_add(t, id_of(1), STR("mw1:c:{i:a}"), 5, 2, 100);
    assert_non_null(set);
    assert_ptr_equal(lease_table_add(t, id_of(1), STR("mw1:c:{i:a}"), 9, 1, 200), set);
    assert_int_equal(t->count, 3);
    assert_true(str_equal(set->key, STR("mw1:c:{i:a}")));
    assert_null(lease_table_find(t, id_of(2)));
    assert_int_equal(lease_table_take(t, set, 1, numbers), 1);
    assert_int_equal(numbers[0], 9);
    lease_table_drop_empty(t, set); /* it is not */
    assert_ptr_equal(lease_table_find(t, id_of(1)), set);
    assert_int_equal(lease_table_take(t, set, 8, numbers), 2);
    assert_true(numbers[0] == 5 && numbers[1] == 6);
    assert_int_equal(lease_table_take(t, set, 8, numbers), 0);
    lease_table_drop_empty(t, set);
    assert_null(lease_table_find(t, id_of(1)));
    assert_null(lease_table_due(t, INT64_MAX));
    assert_int_equal(t->count, 0);
}

static void test_order_of_renewal(void **state)
{
    struct lease_table *t = *state;
    struct lease_set *sets[3];
    for (uint64_t i = 0; i < 3; i++)
        sets[i] = lease_table_add(t, id_of(i + 1), STR("k"), i, 1, 100 + (int64_t)i);
    assert_null(lease_table_due(t, 99));
    assert_ptr_equal(lease_table_due(t, 100), sets[0]);
    (void)lease_table_add(t, id_of(1), STR("k"), 7, 1, 500); /* more of it changes nothing about when */
    assert_ptr_equal(lease_table_due(t, 100), sets[0]);
    lease_table_renewed(t, sets[0], 120);
    assert_null(lease_table_due(t, 100));
    assert_ptr_equal(lease_table_due(t, 101), sets[1]);
    lease_table_set_away(t, sets[1]);
    assert_ptr_equal(lease_table_due(t, 110), sets[2]);
    lease_table_renewed(t, sets[2], 130);
    assert_ptr_equal(lease_table_due(t, 200), sets[0]);
    assert_ptr_equal(LIST_FIRST(&t->away, struct lease_set, node), sets[1]);
    lease_table_renewed(t, sets[1], 140);
    assert_true(list_is_empty(&t->away));
    lease_table_set_all_away(t);
    assert_null(lease_table_due(t, INT64_MAX));
    assert_ptr_equal(LIST_FIRST(&t->away, struct lease_set, node), sets[0]); /* the longest due first */
    assert_true(sets[0]->is_away && sets[1]->is_away && sets[2]->is_away);
}

/* As many as there can be, and in any order of leaving. */
static void test_very_many(void **state)
{
    enum { SETS = 500, EACH = 40 };
    struct lease_table *t = *state;
    bool is_seen[EACH] = {false};
    uint64_t numbers[EACH];
    for (uint64_t k = 0; k < EACH; k++)
        for (uint64_t i = 0; i < SETS; i++)
            assert_non_null(lease_table_add(t, id_of(i + 1), STR("key"), i * EACH + k, 1, 1));
    assert_int_equal(t->count, SETS * EACH);
    struct lease_set *set = lease_table_find(t, id_of(77));
    assert_int_equal(lease_table_take(t, set, 3, numbers), 3);
    assert_int_equal(lease_table_take(t, set, EACH, numbers + 3), EACH - 3);
    for (size_t i = 0; i < EACH; i++)
        is_seen[numbers[i] - UINT64_C(76) * EACH] = true;
    for (size_t i = 0; i < EACH; i++)
        assert_true(is_seen[i]);
    lease_table_drop_empty(t, set);
    assert_int_equal(t->count, (SETS - 1) * EACH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_added_and_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(test_order_of_renewal, setup, teardown),
        cmocka_unit_test_setup_teardown(test_very_many, setup, teardown),
    };
    return cmocka_run_group_tests_name("lease_table", tests, NULL, NULL);
}
