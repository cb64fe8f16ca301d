/* test_map.c - byte strings to pointers, held against a plain array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/map.h"

static void test_set_get_remove(void **state)
{
    struct map m;
    int one = 1, two = 2;
    char key[] = "key";
    (void)state;
    map_init(&m, false, false);
    assert_null(map_get(&m, STR("key")));
    assert_null(map_remove(&m, STR("key")));
    assert_true(map_set(&m, str_of(key, 3), &one));
    key[0] = 'X'; /* it has a copy */
    assert_ptr_equal(map_get(&m, STR("key")), &one);
    assert_true(map_set(&m, STR("key"), &two));
    assert_ptr_equal(map_get(&m, STR("key")), &two);
    assert_int_equal(m.count, 1);
    assert_null(map_get(&m, STR("KEY")));
    assert_null(map_get(&m, STR("ke")));
    assert_true(map_set(&m, STR(""), &one));
    assert_true(map_has(&m, STR_NONE));
    assert_true(map_set(&m, STR("a\0b"), &one));
    assert_false(map_has(&m, STR("a\0c")));
    assert_ptr_equal(map_remove(&m, STR("key")), &two);
    assert_null(map_get(&m, STR("key")));
    map_fini(&m);
    assert_int_equal(m.count, 0);
}

static void test_ignores_case(void **state)
{
    struct map m;
    int one = 1, two = 2;
    char longer[600];
    (void)state;
    map_init(&m, false, true);
    assert_true(map_set(&m, STR("Alice"), &one));
    assert_ptr_equal(map_get(&m, STR("aLICE")), &one);
    assert_true(map_set(&m, STR("ALICE"), &two));
    assert_int_equal(m.count, 1);
    memset(longer, 'A', sizeof longer);
    assert_true(map_set(&m, str_of(longer, sizeof longer), &one));
    memset(longer, 'a', sizeof longer);
    assert_ptr_equal(map_get(&m, str_of(longer, sizeof longer)), &one);
    map_fini(&m);
}

/* Many keys set and removed in a fixed pseudo-random order: the map and an array always agree, and graves do not fill
 * it up. */
static void test_against_an_array(void **state)
{
    enum { KEYS = 500 };
    static char values[KEYS], names[KEYS][8];
    static bool is_set[KEYS];
    struct map m;
    uint32_t random = 1;
    size_t set = 0;
    (void)state;
    for (int i = 0; i < KEYS; i++)
        snprintf(names[i], sizeof names[i], "k%d", i);
    map_init(&m, true, false);
    for (int step = 0; step < 50000; step++) {
        random = random * 1664525 + 1013904223;
        size_t i = (random >> 8) % KEYS;
        struct str key = str_of_z(names[i]);
        if (random >> 31) {
            assert_true(map_set(&m, key, &values[i]));
            set += !is_set[i];
            is_set[i] = true;
        } else {
            assert_ptr_equal(map_remove(&m, key), is_set[i] ? &values[i] : NULL);
            set -= is_set[i];
            is_set[i] = false;
        }
        assert_int_equal(m.count, set);
    }
    assert_true(m.cap <= 4 * KEYS);
    for (int i = 0; i < KEYS; i++)
        assert_ptr_equal(map_get(&m, str_of_z(names[i])), is_set[i] ? &values[i] : NULL);
    map_fini(&m);
}

static void test_walk(void **state)
{
    struct map m;
    char values[100];
    bool seen[100] = {false};
    size_t at = 0, count = 0;
    struct str key;
    void *value;
    (void)state;
    map_init(&m, false, false);
    for (int i = 0; i < 100; i++) {
        char name[8];
        assert_true(map_set(&m, str_of(name, (size_t)snprintf(name, sizeof name, "%d", i)), &values[i]));
    }
    while (map_next(&m, &at, &key, &value)) {
        size_t i = (size_t)((char *)value - values);
        assert_false(seen[i]);
        seen[i] = true;
        count++;
        if (i % 2)
            assert_ptr_equal(map_remove(&m, key), value); /* the current one may go */
    }
    assert_int_equal(count, 100);
    assert_int_equal(m.count, 50);
    map_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_get_remove),
        cmocka_unit_test(test_ignores_case),
        cmocka_unit_test(test_against_an_array),
        cmocka_unit_test(test_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
