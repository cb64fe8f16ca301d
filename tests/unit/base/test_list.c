/* test_list.c - the ring. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/list.h"

struct item {
    int number;
    struct list node;
};

static int digits(struct list *l)
{
    int sum = 0;
    LIST_EACH(node, l)
    {
        sum = sum * 10 + CONTAINER_OF(node, struct item, node)->number;
    }
    return sum;
}

static void test_order(void **state)
{
    struct list l;
    struct item one = {.number = 1}, two = {.number = 2}, three = {.number = 3};
    (void)state;
    list_init(&l);
    assert_true(list_is_empty(&l));
    assert_int_equal(digits(&l), 0);
    list_add_last(&l, &two.node);
    list_add_last(&l, &three.node);
    list_add_first(&l, &one.node);
    assert_int_equal(digits(&l), 123);
    assert_int_equal(LIST_FIRST(&l, struct item, node)->number, 1);
    list_remove(&two.node);
    assert_int_equal(digits(&l), 13);
    list_remove(&two.node); /* twice is harmless */
    assert_int_equal(digits(&l), 13);
    list_add_last(&l, &two.node);
    assert_int_equal(digits(&l), 132);
}

static void test_removal_while_walking(void **state)
{
    struct list l;
    struct item items[10];
    int seen = 0;
    (void)state;
    list_init(&l);
    for (int i = 0; i < 10; i++) {
        items[i].number = i;
        list_add_last(&l, &items[i].node);
    }
    LIST_EACH(node, &l)
    {
        seen++;
        list_remove(node);
    }
    assert_int_equal(seen, 10);
    assert_true(list_is_empty(&l));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_removal_while_walking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
