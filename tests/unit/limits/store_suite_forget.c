/* store_suite_forget.c - the suite's cases of counts that an operator has forgotten. See store_suite.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store_suite.h"

#define S    INT64_C(1000000)
#define HOUR 3600
#define NOW  SUITE_NOW

struct forgetting {
    struct store_op op;
    bool done;
};

static void on_forgotten(struct store_op *op)
{
    CONTAINER_OF(op, struct forgetting, op)->done = true;
}

/* As an administrator's command asks: with a take that charges nothing. */
static void forget(struct store *store, struct take *take, int64_t now_us)
{
    take->mode = TAKE_NOTHING;
    struct forgetting f = {
        .op = {.takes = &take, .count = 1, .now_us = now_us, .deadline_ms = 20000, .on_done = on_forgotten}};
    if (store->ops->forget_start(store, &f.op) == STARTED)
        suite->wait(NULL, store, &f.done);
    assert_int_equal(f.op.result, STORE_TAKEN);
}

static uint64_t column_used(struct store *store, enum column column, int64_t now_us)
{
    struct take take;
    suite_take_set(&take, store, "u:alice", HOUR, 0, ALLOWED_ANY);
    take.mode = TAKE_NOTHING;
    assert_int_equal(suite_take(store, &take, now_us), STORE_TAKEN);
    return take.used[column];
}

static void charge(struct store *store, struct take *take, int64_t now_us)
{
    suite_take_set(take, store, "u:alice", HOUR, 1, ALLOWED_ANY);
    take->cost[COLUMN_RECIPIENTS] = 20;
    take->cost[COLUMN_KIB] = 300;
    assert_int_equal(suite_take(store, take, now_us), STORE_TAKEN);
}

void test_forgets_what_was_counted(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    struct take take;
    assert_true(suite_admits(store, "u:alice", HOUR, 40, 100, NOW)); /* in another slot … */
    assert_true(suite_admits(store, "u:alice", HOUR, 60, 100, NOW + 900 * S));
    assert_true(suite_admits(store, "u:alice", 60, 7, 100, NOW + 900 * S));
    assert_true(suite_admits(store, "u:bob", HOUR, 9, 100, NOW + 900 * S));
    suite_take_set(&take, store, "u:alice", HOUR, 1, 0);
    forget(store, &take, NOW + 900 * S);
    assert_int_equal(suite_used(store, "u:alice", HOUR, NOW + 900 * S), 0);
    assert_int_equal(suite_used(store, "u:alice", 60, NOW + 900 * S), 7);
    assert_int_equal(suite_used(store, "u:bob", HOUR, NOW + 900 * S), 9);
    assert_true(suite_admits(store, "u:alice", HOUR, 100, 100, NOW + 900 * S));
    assert_false(suite_admits(store, "u:alice", HOUR, 1, 100, NOW + 900 * S));
}

void test_forgets_what_the_last_window_counted(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    struct take take;
    assert_true(suite_admits(store, "u:alice", HOUR, 40, 100, NOW + 1800 * S));
    suite_take_set(&take, store, "u:alice", HOUR, 1, 0);
    forget(store, &take, NOW + HOUR * S);
    assert_int_equal(suite_used(store, "u:alice", HOUR, NOW + HOUR * S), 0);
}

void test_forgets_one_column(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    struct take take, wish;
    charge(store, &take, NOW);
    suite_keep(store, &take, NOW);
    suite_take_set(&wish, store, "u:alice", HOUR, 0, ALLOWED_ANY);
    wish.cost[COLUMN_RECIPIENTS] = 1;
    forget(store, &wish, NOW);
    assert_int_equal(column_used(store, COLUMN_MESSAGES, NOW), 1);
    assert_int_equal(column_used(store, COLUMN_RECIPIENTS, NOW), 0);
    assert_int_equal(column_used(store, COLUMN_KIB, NOW), 300);
}

void test_forgets_nothing_of_nothing(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    struct take wish;
    suite_take_set(&wish, store, "u:alice", HOUR, 1, ALLOWED_ANY);
    forget(store, &wish, NOW);
    assert_int_equal(column_used(store, COLUMN_MESSAGES, NOW), 0);
}

void test_forgets_what_is_held(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    struct take take, wish;
    charge(store, &take, NOW);
    suite_take_set(&wish, store, "u:alice", HOUR, 1, ALLOWED_ANY);
    wish.cost[COLUMN_RECIPIENTS] = wish.cost[COLUMN_KIB] = 1;
    forget(store, &wish, NOW);
    suite_give_back(store, &take);
    assert_int_equal(column_used(store, COLUMN_RECIPIENTS, NOW), 0);
}

void test_forgets_values(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    struct suite_values v;
    suite_values_set(&v, store, "n:a", HOUR, "a b c", 10);
    assert_int_equal(suite_take(store, &v.take, NOW), STORE_TAKEN);
    suite_keep(store, &v.take, NOW);
    suite_values_set(&v, store, "n:a", HOUR, "", 0);
    forget(store, &v.take, NOW);
    assert_int_equal(suite_values_used(store, "n:a", HOUR, NOW), 0);
    suite_values_set(&v, store, "n:a", HOUR, "a d", 2); /* a counts as if it had never been seen */
    assert_int_equal(suite_take(store, &v.take, NOW), STORE_TAKEN);
    assert_int_equal(v.take.used[0], 2);
    suite_keep(store, &v.take, NOW);
    assert_int_equal(suite_values_used(store, "n:a", HOUR, NOW), 2);
}
