/* store_suite_distinct.c - the suite's cases of different values, counted or only remembered. See store_suite.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "limits/distinct.h"
#include "limits/window.h"
#include "store_suite.h"

#define S    INT64_C(1000000)
#define HOUR 3600
#define NOW  SUITE_NOW

void suite_values_set(struct suite_values *v, const struct store *store, const char *entity, uint32_t period_s,
                      const char *values, uint64_t allowed)
{
    struct str texts[SUITE_VALUES_MAX], rest = str_of_z(values);
    struct hash_key key = store_values_key(store);
    size_t count = 0;
    while (rest.len && count < SUITE_VALUES_MAX)
        texts[count++] = str_split(rest, ' ', &rest);
    *v = (struct suite_values){
        .take.counter = {.entity = str_of_z(entity),
                         .period_s = period_s,
                         .kind = COUNTER_UNIT,
                         .name = limit_unit_name(UNIT_FAILED_USERS),
                         .unit = UNIT_FAILED_USERS},
        .take.allowed = {allowed, ALLOWED_ANY, ALLOWED_ANY},
    };
    counter_set_id(&v->take.counter, &store->key);
    distinct_set_members(&v->take, v->members, texts, count, &key);
}

uint64_t suite_values_used(struct store *store, const char *entity, uint32_t period_s, int64_t now_us)
{
    struct suite_values v;
    suite_values_set(&v, store, entity, period_s, "", ALLOWED_ANY);
    v.take.mode = TAKE_NOTHING;
    return suite_take(store, &v.take, now_us) == STORE_TAKEN ? v.take.used[0] : UINT64_MAX;
}

/* Takes the values; "kept" if they were seen for good. */
static enum store_result see(struct store *store, const char *values, uint64_t allowed, int64_t now_us)
{
    struct suite_values v;
    suite_values_set(&v, store, "n:a", HOUR, values, allowed);
    enum store_result result = suite_take(store, &v.take, now_us);
    if (result == STORE_TAKEN)
        suite_keep(store, &v.take, now_us);
    return result;
}

static uint64_t used(struct store *store, int64_t now_us)
{
    return suite_values_used(store, "n:a", HOUR, now_us);
}

void test_values_count_once(void **state)
{
    static const struct {
        const char *values;
        enum store_result result;
        uint64_t used;
    } STEPS[] = {
        {"a", STORE_TAKEN, 1},        {"a", STORE_TAKEN, 1}, {"b a b", STORE_TAKEN, 2}, {"c d e f", STORE_FULL, 2},
        {"c d", STORE_TAKEN, 4},      {"e", STORE_TAKEN, 5}, {"f", STORE_FULL, 5},      {"a b c d e", STORE_TAKEN, 5},
        {"a b c d f", STORE_FULL, 5}, {"", STORE_TAKEN, 5},  {"d", STORE_TAKEN, 5},
    };
    struct store *store = &((struct suite_fixture *)*state)->store;
    for (size_t i = 0; i < COUNT_OF(STEPS); i++) {
        assert_int_equal(see(store, STEPS[i].values, 5, NOW + (int64_t)i * 60 * S), STEPS[i].result);
        assert_int_equal(used(store, NOW + (int64_t)i * 60 * S), STEPS[i].used);
    }
}

/* What is told: the count with these values, how many of them are new, and that too many can never fit. */
void test_values_are_answered(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    struct suite_values v;
    assert_int_equal(see(store, "a b c", 5, NOW), STORE_TAKEN);
    suite_values_set(&v, store, "n:a", HOUR, "b c d e f", 5);
    assert_int_equal(suite_take(store, &v.take, NOW), STORE_FULL);
    assert_int_equal(v.take.used[0], 6);
    assert_int_equal(v.take.growth[0], 3);
    assert_true(v.take.is_over[0] && !v.take.held.is_held);
    assert_true(v.take.wait_us == (HOUR + 225) * S); /* until a is gone, or all are */
    suite_values_set(&v, store, "n:a", HOUR, "b c d e f g", 5);
    assert_int_equal(suite_take(store, &v.take, NOW), STORE_FULL);
    assert_true(v.take.wait_us == WAIT_UNKNOWN);
    /* Its own values need not leave for it: when a and b are gone, which takes an hour, c may stay. */
    assert_int_equal(see(store, "c", 5, NOW + 1800 * S), STORE_TAKEN);
    suite_values_set(&v, store, "n:a", HOUR, "c d e f", 5);
    assert_int_equal(suite_take(store, &v.take, NOW + 1800 * S), STORE_FULL);
    assert_int_equal(v.take.used[0], 6);
    assert_true(v.take.wait_us == (1800 + 225) * S);
    suite_values_set(&v, store, "n:a", HOUR, "c d e f g", 5);
    assert_int_equal(suite_take(store, &v.take, NOW + 1800 * S), STORE_FULL);
    assert_true(v.take.wait_us == (1800 + 225) * S);
    suite_values_set(&v, store, "n:a", HOUR, "b z", 5);
    assert_true(!store->ops->peek(store, &v.take, NOW) || (v.take.used[0] == 4 && v.take.growth[0] == 1));
    assert_int_equal(used(store, NOW), 3);
}

/* A value is another one in every counter. */
void test_values_of_counters_are_apart(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    static const char *const ENTITIES[] = {"n:a", "n:b", "u:a"};
    for (size_t i = 0; i < COUNT_OF(ENTITIES); i++)
        for (uint32_t period_s = HOUR; period_s < HOUR + 3; period_s++) {
            struct suite_values v;
            suite_values_set(&v, store, ENTITIES[i], period_s, "x y", 2);
            assert_int_equal(suite_take(store, &v.take, NOW), STORE_TAKEN);
            assert_int_equal(v.take.growth[0], 2);
        }
}

void test_values_all_or_nothing(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    struct suite_values v;
    struct take window;
    assert_true(suite_admits(store, "u:full", HOUR, 5, 5, NOW));
    suite_take_set(&window, store, "u:full", HOUR, 1, 5);
    suite_values_set(&v, store, "n:a", HOUR, "a b", 5);
    assert_int_equal(suite_take_both(store, &v.take, &window, NOW), STORE_FULL);
    assert_int_equal(used(store, NOW), 0);
    suite_take_set(&window, store, "u:free", HOUR, 1, 5);
    suite_values_set(&v, store, "n:a", HOUR, "a b c", 2);
    assert_int_equal(suite_take_both(store, &v.take, &window, NOW), STORE_FULL);
    assert_int_equal(suite_used(store, "u:free", HOUR, NOW), 0);
}

/* Given back, a value counts as it did before: not at all, or from when it was kept. */
void test_values_given_back(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    struct suite_values v, w;
    assert_int_equal(see(store, "a", 9, NOW), STORE_TAKEN);
    suite_values_set(&v, store, "n:a", HOUR, "a b", 9);
    assert_int_equal(suite_take(store, &v.take, NOW + 1800 * S), STORE_TAKEN);
    suite_give_back(store, &v.take);
    suite_give_back(store, &v.take);
    assert_int_equal(used(store, NOW + 1800 * S), 1);
    assert_int_equal(used(store, NOW + (HOUR + 225) * S - 1), 1);
    assert_int_equal(used(store, NOW + (HOUR + 225) * S), 0); /* a's hour was not begun anew */
    /* Two hold b: it goes with the last of them. */
    suite_values_set(&v, store, "n:a", HOUR, "b", 9);
    suite_values_set(&w, store, "n:a", HOUR, "b c", 9);
    assert_int_equal(suite_take(store, &v.take, NOW), STORE_TAKEN);
    assert_int_equal(suite_take(store, &w.take, NOW), STORE_TAKEN);
    suite_give_back(store, &v.take);
    assert_int_equal(suite_values_used(store, "n:a", HOUR, NOW), 3);
    suite_give_back(store, &w.take);
    assert_int_equal(suite_values_used(store, "n:a", HOUR, NOW), 1);
    /* One keeps, the other gives back, in either order: it stays. */
    for (int order = 0; order < 2; order++) {
        suite_values_set(&v, store, "n:b", HOUR, order ? "x" : "y", 9);
        suite_values_set(&w, store, "n:b", HOUR, order ? "x" : "y", 9);
        assert_int_equal(suite_take(store, &v.take, NOW), STORE_TAKEN);
        assert_int_equal(suite_take(store, &w.take, NOW), STORE_TAKEN);
        if (order)
            suite_keep(store, &v.take, NOW);
        suite_give_back(store, &w.take);
        if (!order)
            suite_keep(store, &v.take, NOW);
        assert_int_equal(suite_values_used(store, "n:b", HOUR, NOW), 1 + order);
    }
}

/* What was taken and went by itself is not taken from what came after it. */
void test_values_given_back_after_they_went(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    struct suite_values old, fresh;
    suite_values_set(&old, store, "n:a", 60, "a b", 9);
    assert_int_equal(suite_take(store, &old.take, NOW), STORE_TAKEN);
    suite_values_set(&fresh, store, "n:a", 60, "a c", 9);
    assert_int_equal(suite_take(store, &fresh.take, NOW + 70 * S), STORE_TAKEN);
    assert_int_equal(fresh.take.growth[0], 2);
    suite_give_back(store, &old.take);
    assert_int_equal(suite_values_used(store, "n:a", 60, NOW + 70 * S), 2);
    suite_keep(store, &fresh.take, NOW + 70 * S);
    assert_int_equal(suite_values_used(store, "n:a", 60, NOW + 130 * S), 2);
}

/* The mail passes later than it began: its values move with it, or must find room again. */
void test_values_move(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    struct suite_values v;
    suite_values_set(&v, store, "n:a", HOUR, "a b", 3);
    assert_int_equal(suite_take(store, &v.take, NOW), STORE_TAKEN);
    assert_int_equal(see(store, "c", 3, NOW), STORE_TAKEN);
    assert_int_equal(suite_take(store, &v.take, NOW + 1800 * S), STORE_TAKEN); /* full, but it holds its places */
    assert_int_equal(v.take.growth[0], 0);
    assert_int_equal(used(store, NOW + (HOUR + 225) * S), 2);
    suite_keep(store, &v.take, NOW + 3000 * S);
    assert_int_equal(used(store, NOW + (3000 + HOUR) * S), 2);
    assert_int_equal(used(store, NOW + (3000 + HOUR + 225) * S), 0);
    suite_values_set(&v, store, "n:b", 60, "a b", 3); /* dripped until its places were gone */
    assert_int_equal(suite_take(store, &v.take, NOW), STORE_TAKEN);
    struct suite_values others;
    suite_values_set(&others, store, "n:b", 60, "x y", 3);
    assert_int_equal(suite_take(store, &others.take, NOW + 70 * S), STORE_TAKEN);
    assert_int_equal(suite_take(store, &v.take, NOW + 80 * S), STORE_FULL);
    assert_int_equal(v.take.growth[0], 2);
    suite_give_back(store, &v.take);
    assert_int_equal(suite_values_used(store, "n:b", 60, NOW + 80 * S), 2);
}

enum { MODEL_VALUES = 40 };

/* Against a list of when each value was seen last: the count, and that the wait which is told is right to the
 * microsecond. And the promise: in no interval of the period are more than the limit's different values seen. */
void test_values_in_any_interval(void **state)
{
    enum { LIMIT = 12, PERIOD = 10, ROUNDS = 4000 };
    static struct {
        int64_t at_us;
        unsigned value;
    } seen[ROUNDS];
    struct store *store = &((struct suite_fixture *)*state)->store;
    uint64_t slots[MODEL_VALUES] = {0};
    size_t count = 0, refused = 0;
    uint32_t rnd = 5;
    int64_t now = NOW;
    for (int i = 0; i < ROUNDS; i++) {
        char text[8];
        struct suite_values v;
        rnd = rnd * 1664525u + 1013904223u;
        now += rnd >> 30 ? (int64_t)(rnd >> 8) % (S / 3) : 0;
        unsigned value = (rnd >> 4) % MODEL_VALUES;
        snprintf(text, sizeof text, "%u", value);
        suite_values_set(&v, store, "n:m", PERIOD, text, LIMIT);
        enum store_result result = suite_take(store, &v.take, now);
        uint64_t slot = window_slot(now, PERIOD), wanted = 0;
        for (unsigned k = 0; k < MODEL_VALUES; k++)
            wanted += k == value || (slots[k] && window_holds(slot, slots[k]));
        assert_int_equal(v.take.used[0], wanted);
        assert_int_equal(result, wanted > LIMIT ? STORE_FULL : STORE_TAKEN);
        if (result == STORE_FULL) {
            refused++;
            int64_t wait_us = v.take.wait_us;
            suite_values_set(&v, store, "n:m", PERIOD, text, LIMIT);
            assert_int_equal(suite_take(store, &v.take, now + wait_us - 1), STORE_FULL);
            now += wait_us;
            assert_int_equal(suite_take(store, &v.take, now), STORE_TAKEN);
            slot = window_slot(now, PERIOD);
        }
        if (rnd >> 29 == 3) { /* it was not what it seemed to be */
            suite_give_back(store, &v.take);
            continue;
        }
        suite_keep(store, &v.take, now);
        slots[value] = slot;
        seen[count].at_us = now;
        seen[count++].value = value;
        bool is_seen[MODEL_VALUES] = {false};
        size_t different = 0;
        for (size_t k = count; k-- > 0 && now - seen[k].at_us < PERIOD * S;) {
            different += !is_seen[seen[k].value];
            is_seen[seen[k].value] = true;
        }
        assert_true(different <= LIMIT);
    }
    assert_true(refused > 200 && count > 2000);
}

/* Many values in one take, and in one counter. */
void test_very_many_values(void **state)
{
    enum { TAKES = 5 };
    struct store *store = &((struct suite_fixture *)*state)->store;
    char values[SUITE_VALUES_MAX * 8];
    for (int i = 0; i < TAKES; i++) {
        size_t at = 0;
        for (int k = 0; k < SUITE_VALUES_MAX; k++) /* half of them are the last take's */
            at +=
                (size_t)snprintf(values + at, sizeof values - at, "%s%d", k ? " " : "", i * (SUITE_VALUES_MAX / 2) + k);
        assert_int_equal(see(store, values, ALLOWED_ANY, NOW + i * 60 * S), STORE_TAKEN);
        assert_int_equal(used(store, NOW + i * 60 * S), (i + 2) * (SUITE_VALUES_MAX / 2));
    }
}

/* A memory knows a value for its period from when it was told last; it refuses nothing and holds nothing. */
void test_known_values(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    static const struct {
        enum take_mode mode;
        const char *values;
        int64_t at_s;
        uint64_t known, unknown;
    } STEPS[] = {
        {TAKE_NOTHING, "a", 0, 0, 1},        {TAKE_ALWAYS, "a", 0, 0, 1},       {TAKE_ALWAYS, "a b", 1800, 1, 1},
        {TAKE_NOTHING, "a b c", 1800, 2, 1}, {TAKE_NOTHING, "a b", 5399, 2, 0}, {TAKE_NOTHING, "a b", 5400, 0, 2},
        {TAKE_ALWAYS, "b", 5400, 0, 1},      {TAKE_NOTHING, "a b", 5401, 1, 1},
    };
    for (size_t i = 0; i < COUNT_OF(STEPS); i++) {
        struct suite_values v;
        suite_values_set(&v, store, "u:a", HOUR, "", ALLOWED_ANY);
        v.take.mode = STEPS[i].mode;
        v.take.counter.kind = COUNTER_KNOWN;
        v.take.counter.name = STR("tried");
        counter_set_id(&v.take.counter, &store->key);
        struct str texts[3], rest = str_of_z(STEPS[i].values);
        size_t count = 0;
        while (rest.len)
            texts[count++] = str_split(rest, ' ', &rest);
        distinct_set_members(&v.take, v.members, texts, count, &store->key);
        assert_int_equal(suite_take(store, &v.take, NOW + STEPS[i].at_s * S), STORE_TAKEN);
        assert_int_equal(v.take.used[0], STEPS[i].known);
        assert_int_equal(v.take.growth[0], STEPS[i].unknown);
        assert_false(v.take.held.is_held);
    }
}
