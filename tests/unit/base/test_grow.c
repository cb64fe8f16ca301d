/* test_grow.c - an array that grows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/grow.h"

/* Every item is where it was put, through all that was copied meanwhile. */
static void test_it_grows_by_doubling(void **state)
{
    unsigned *items = NULL;
    size_t count = 0, cap = 0, grown = 0;
    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        size_t before = cap;
        assert_true(GROW(&items, count + 1, &cap, 16));
        assert_true(cap > count);
        grown += cap != before;
        items[count++] = i;
    }
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(items[i], i);
    assert_int_equal(cap, 1024);
    assert_int_equal(grown, 7); /* 16, 32 … 1024 */
    free(items);
}

static void test_room_for_many_at_once(void **state)
{
    char *items = NULL;
    size_t cap = 0;
    (void)state;
    assert_true(GROW(&items, 100, &cap, 16));
    assert_int_equal(cap, 100);
    assert_true(GROW(&items, 101, &cap, 16));
    assert_int_equal(cap, 200);
    free(items);
}

/* What cannot be had leaves the array as it was. */
static void test_too_much(void **state)
{
    uint64_t *items = NULL;
    size_t cap = 0;
    (void)state;
    assert_true(GROW(&items, 1, &cap, 4));
    items[0] = 7;
    uint64_t *before = items;
    assert_false(GROW(&items, SIZE_MAX / 8 + 1, &cap, 4)); /* more bytes than can be counted */
    assert_ptr_equal(items, before);
    assert_int_equal(items[0], 7);
    assert_int_equal(cap, 4);
    free(items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_grows_by_doubling),
        cmocka_unit_test(test_room_for_many_at_once),
        cmocka_unit_test(test_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
