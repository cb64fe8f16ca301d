/* test_outage.c - is Redis to be believed, and how many nodes are there? */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "limits/outage.h"

#define S INT64_C(1000000)

static int setup(void **state)
{
    *state = aligned_alloc(64, sizeof(struct outage));
    assert_non_null(*state);
    memset(*state, 0, sizeof(struct outage));
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static void test_nothing_is_known_at_first(void **state)
{
    const struct outage *o = *state;
    const struct hash_key node = {1, 2};
    for (unsigned k = 0; k < OUTAGE_DOMAINS; k++) {
        assert_false(outage_is_settled(o, k));
        assert_int_equal(outage_nodes(o, k), 1);
        assert_int_equal(outage_allowed(o, k, 100), 100);
        assert_int_equal(outage_unnoticed_us(o, k, 5 * S), 0);
    }
    assert_int_equal(outage_values_key(o, &node).k0, 1);
    assert_int_equal(outage_values_key(o, &node).k1, 2);
}

static void test_settled_until_somebody_goes_alone(void **state)
{
    struct outage *o = *state;
    assert_true(outage_settle(o, 3, outage_alone_count(o, 3)));
    assert_true(outage_is_settled(o, 3));
    assert_false(outage_is_settled(o, 4));
    assert_int_equal(outage_alone_since_us(o, 3), 0);
    outage_went_alone(o, 3, S);
    assert_false(outage_is_settled(o, 3));
    assert_int_equal(outage_alone_since_us(o, 3), S);
    /* The keeper pushes, but meanwhile one more goes alone: what was read before does not settle it. */
    uint64_t before = outage_alone_count(o, 3);
    outage_went_alone(o, 3, 2 * S);
    assert_false(outage_settle(o, 3, before));
    assert_false(outage_is_settled(o, 3));
    assert_int_equal(outage_alone_since_us(o, 3), S);
    assert_true(outage_settle(o, 3, outage_alone_count(o, 3)));
    assert_true(outage_is_settled(o, 3));
    assert_int_equal(outage_alone_since_us(o, 3), 0);
}

/* From the first decision alone on, not from the last. */
static void test_unnoticed_for_as_long_as_a_heartbeat_holds(void **state)
{
    struct outage *o = *state;
    outage_set(o, 0, 4, 0, 0);
    assert_int_equal(outage_unnoticed_us(o, 0, 10 * S), OUTAGE_READ_US); /* nobody said yet since when */
    outage_went_alone(o, 0, 10 * S);
    outage_went_alone(o, 0, 13 * S);
    assert_int_equal(outage_unnoticed_us(o, 0, 14 * S - 1), OUTAGE_READ_US + 4 * S - 1);
    assert_int_equal(outage_unnoticed_us(o, 0, 14 * S), 0);
    assert_true(outage_settle(o, 0, outage_alone_count(o, 0)));
    outage_went_alone(o, 0, 100 * S);
    assert_true(outage_unnoticed_us(o, 0, 101 * S) > 0);
    outage_set(o, 0, 1, 0, 0);
    assert_int_equal(outage_unnoticed_us(o, 0, 101 * S), 0); /* there is nobody else */
}

static void test_nodes_that_are_missing_keep_their_shares(void **state)
{
    static const struct {
        uint32_t nodes, missing, alone;
        uint64_t allowed, left;
    } CASES[] = {
        {4, 0, 0, 100, 100}, {4, 1, 0, 100, 75}, {4, 3, 0, 100, 25},  {4, 4, 0, 100, 25},
        {3, 1, 0, 100, 67},  {4, 1, 0, 3, 3},    {1, 1, 0, 100, 100}, {0, 0, 0, 100, 100},
        {4, 1, 0, 0, 0},     {4, 0, 1, 100, 75}, {4, 1, 2, 100, 25},  {4, 1, 0, ALLOWED_ANY, ALLOWED_ANY},
    };
    struct outage *o = *state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        outage_set(o, 0, CASES[i].nodes, CASES[i].missing, CASES[i].alone);
        assert_true(outage_allowed(o, 0, CASES[i].allowed) == CASES[i].left);
        assert_true(outage_allowed(o, 1, CASES[i].allowed) == CASES[i].allowed);
    }
}

/* Whatever may mean that others pushed counts makes older readings of closed windows void; saying the same again does
 * not. */
static void test_changes(void **state)
{
    struct outage *o = *state;
    uint32_t changes = outage_changes(o, 0);
    outage_set(o, 0, 4, 1, 0);
    assert_int_equal(outage_changes(o, 0), ++changes);
    outage_set(o, 0, 4, 1, 0);
    assert_int_equal(outage_changes(o, 0), changes);
    outage_set(o, 0, 4, 0, 0);
    assert_int_equal(outage_changes(o, 0), ++changes);
    outage_set(o, 0, 4, 0, 1);
    assert_int_equal(outage_changes(o, 0), ++changes);
    assert_true(outage_settle(o, 0, outage_alone_count(o, 0)));
    assert_int_equal(outage_changes(o, 0), ++changes);
    assert_true(outage_settle(o, 0, outage_alone_count(o, 0)));
    assert_int_equal(outage_changes(o, 0), changes);
    assert_int_equal(outage_changes(o, 1), 0);
}

static void test_the_key_of_values(void **state)
{
    struct outage *o = *state;
    const struct hash_key node = {1, 2};
    outage_set_values_key(o, (struct hash_key){3, 4});
    assert_int_equal(outage_values_key(o, &node).k0, 3);
    assert_int_equal(outage_values_key(o, &node).k1, 4);
}

enum { ROUNDS = 20000 };

static void *go_alone(void *arg)
{
    for (int i = 0; i < ROUNDS; i++)
        outage_went_alone(arg, 0, S);
    return NULL;
}

/* Whatever the keeper does at the same time, the last decision alone is never taken for one that Redis was told of. */
static void test_no_decision_is_lost_between(void **state)
{
    struct outage *o = *state;
    pthread_t worker;
    uint64_t told = 0;
    assert_int_equal(pthread_create(&worker, NULL, go_alone, o), 0);
    while (told < ROUNDS) {
        told = outage_alone_count(o, 0);
        if (outage_settle(o, 0, told) && outage_is_settled(o, 0))
            assert_true(outage_alone_count(o, 0) >= told);
    }
    assert_int_equal(pthread_join(worker, NULL), 0);
    assert_true(outage_is_settled(o, 0));
    outage_went_alone(o, 0, S);
    assert_false(outage_is_settled(o, 0));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_nothing_is_known_at_first),
        CASE(test_settled_until_somebody_goes_alone),
        CASE(test_unnoticed_for_as_long_as_a_heartbeat_holds),
        CASE(test_nodes_that_are_missing_keep_their_shares),
        CASE(test_changes),
        CASE(test_the_key_of_values),
        CASE(test_no_decision_is_lost_between),
    };
    return cmocka_run_group_tests_name("outages", tests, NULL, NULL);
}
