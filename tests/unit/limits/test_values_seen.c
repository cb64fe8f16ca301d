/* test_values_seen.c - what follows from what Redis tells of a counter of different values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "limits/values_seen.h"

#define S    INT64_C(1000000)
#define HOUR 3600
#define NOW  (INT64_C(1767614400) * S) /* a slot of an hour begins */

static struct take_member value_of(char name)
{
    return (struct take_member){.lo = (uint64_t)name * UINT64_C(0x9e3779b97f4a7c15), .hi = (uint32_t)name};
}

/* One value of ours, or of what is listed: a name, and how long ago it was seen. */
struct item {
    char name;
    int ago_s;
    bool is_held;
};

struct seen_case {
    const char *name;
    const char *ours; /* upper case: ZSCORE said that it is kept */
    enum take_mode mode;
    bool was_held; /* an exchange of what still counts */
    struct item listed[8];
    uint64_t kept_count; /* 0: as many as are listed */
    bool is_cut;
    uint64_t allowed;
    /* The answer. */
    bool goes_on;
    uint64_t used;
    uint32_t growth;
    int64_t wait_s; /* -1: never */
};

static const struct seen_case CASES[] = {
    {"nothing is there", "a", TAKE_IF_FITS, false, {{0}}, 0, false, 1, true, 1, 1, 0},
    {"one too many", "a", TAKE_IF_FITS, false, {{'b', 225, false}}, 0, false, 1, false, 2, 1, HOUR},
    {"it is kept", "a", TAKE_IF_FITS, false, {{'a', 9, false}, {'b', 0, false}}, 0, false, 2, true, 2, 0, 0},
    {"kept, and above", "a", TAKE_IF_FITS, false, {{'a', 9, false}, {'b', 0, false}}, 0, false, 1, true, 2, 0, 0},
    {"another holds it", "a", TAKE_IF_FITS, false, {{'a', 9, true}, {'b', 0, false}}, 0, false, 2, true, 2, 1, 0},
    {"another that is refused holds it",
     "a",
     TAKE_IF_FITS,
     false,
     {{'a', 9, true}, {'b', 0, false}},
     0,
     false,
     1,
     false,
     2,
     1,
     HOUR + 225},
    {"another holds another", "a", TAKE_IF_FITS, false, {{'b', 450, true}}, 0, false, 1, false, 2, 1, HOUR - 225},
    {"held and kept is one", "a", TAKE_IF_FITS, false, {{'b', 9, true}, {'b', 900, false}}, 0, false, 2, true, 2, 1, 0},
    {"held twice is one", "a", TAKE_IF_FITS, false, {{'b', 9, true}, {'b', 19, true}}, 0, false, 2, true, 2, 1, 0},
    {"ours held before", "ab", TAKE_IF_FITS, true, {{'c', 9, false}}, 0, false, 2, true, 3, 0, 0},
    {"the later time counts",
     "a",
     TAKE_IF_FITS,
     false,
     {{'b', 900, false}, {'b', 0, true}},
     0,
     false,
     1,
     false,
     2,
     1,
     HOUR + 225},
    {"two must leave",
     "ab",
     TAKE_IF_FITS,
     false,
     {{'c', 3600, false}, {'d', 1800, false}, {'e', 0, false}},
     0,
     false,
     3,
     false,
     5,
     2,
     1800 + 225},
    {"ours need not leave",
     "ab",
     TAKE_IF_FITS,
     false,
     {{'c', 3600, false}, {'d', 1800, false}, {'a', 0, false}},
     0,
     false,
     3,
     false,
     4,
     1,
     225},
    {"never", "abc", TAKE_IF_FITS, false, {{0}}, 0, false, 2, false, 3, 3, -1},
    {"an event counts", "a", TAKE_ALWAYS, false, {{'b', 0, false}}, 0, false, 1, true, 2, 1, HOUR + 225},
    {"a question", "", TAKE_NOTHING, false, {{'b', 0, false}, {'c', 9, true}}, 0, false, 1, false, 2, 0, HOUR},
    {"a question that fits", "", TAKE_NOTHING, false, {{'b', 0, false}, {'c', 9, true}}, 0, false, 2, true, 2, 0, 0},
    {"more than are listed", "a", TAKE_IF_FITS, false, {{'b', 3600, false}}, 9, true, 9, false, 10, 1, 225},
    {"the youngest are not listed",
     "a",
     TAKE_IF_FITS,
     false,
     {{'b', 3600, false}},
     9,
     true,
     8,
     false,
     10,
     1,
     HOUR + 225},
    {"ours is among those not listed", "A", TAKE_IF_FITS, false, {{'b', 0, false}}, 9, true, 1, true, 9, 0, 0},
    {"ours is held, and none of those", "a", TAKE_IF_FITS, true, {{'b', 0, false}}, 9, true, 1, true, 10, 0, 0},
    {"a time in the future counts",
     "a",
     TAKE_IF_FITS,
     false,
     {{'b', -9000, false}},
     0,
     false,
     1,
     false,
     2,
     1,
     HOUR + 225},
};

static size_t ours_of(const struct seen_case *c, struct take_member *ours)
{
    size_t count = 0;
    for (const char *p = c->ours; *p; p++) {
        ours[count] = value_of(ascii_lower(*p));
        ours[count].stamp = (c->was_held ? OUR_HELD : 0) | (ascii_lower(*p) != *p ? OUR_KEPT : 0);
        count++;
    }
    for (size_t i = 0; i + 1 < count; i++) /* ascending, as takes have them */
        for (size_t k = i + 1; k < count; k++)
            if (ours[k].lo < ours[i].lo) {
                struct take_member other = ours[i];
                ours[i] = ours[k];
                ours[k] = other;
            }
    return count;
}

static void test_judged(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        const struct seen_case *c = &CASES[i];
        struct take_member ours[8];
        struct seen seen = {.is_cut = c->is_cut};
        struct take take = {.counter = {.period_s = HOUR}, .mode = c->mode};
        size_t count = ours_of(c, ours);
        take.cost[COLUMN_ONE] = (uint32_t)count;
        take.allowed[COLUMN_ONE] = c->allowed;
        for (size_t k = 0; k < COUNT_OF(c->listed) && c->listed[k].name; k++) {
            struct take_member value = value_of(c->listed[k].name);
            seen.kept_count += !c->listed[k].is_held;
            assert_true(seen_add(&seen, &value, NOW - c->listed[k].ago_s * S, !c->listed[k].is_held));
        }
        if (c->kept_count)
            seen.kept_count = c->kept_count;
        bool goes_on = seen_judge(&seen, &take, ours, count, NOW);
        int64_t wait_us = c->wait_s < 0 ? WAIT_UNKNOWN : c->wait_s * S;
        if (goes_on != c->goes_on || take.used[COLUMN_ONE] != c->used || take.growth[COLUMN_ONE] != c->growth ||
            take.wait_us != wait_us || take.is_over[COLUMN_ONE] != (wait_us != 0))
            fail_msg("%s: %d, used %d, grew by %d, wait %lld us", c->name, goes_on, (int)take.used[COLUMN_ONE],
                     (int)take.growth[COLUMN_ONE], (long long)take.wait_us);
        seen_fini(&seen);
    }
}

static void test_texts(void **state)
{
    struct take_member value = {.lo = UINT64_C(0x0123456789abcdef), .hi = 0x00c0ffee}, back;
    char text[HOLD_TEXT_BYTES], score[SCORE_TEXT_BYTES];
    uint64_t token;
    int64_t us;
    (void)state;
    assert_true(str_equal(value_text(&value, text), STR("0123456789abcdef00c0ffee")));
    assert_true(value_parse(str_of(text, VALUE_TEXT_BYTES), &back, &token));
    assert_true(back.lo == value.lo && back.hi == value.hi && token == 0);
    assert_true(str_equal(hold_text(&value, 0xbeef, text), STR("0123456789abcdef00c0ffee000000000000beef")));
    assert_true(value_parse(str_of(text, sizeof text), &back, &token));
    assert_true(back.lo == value.lo && back.hi == value.hi && token == 0xbeef);
    static const char *const BAD[] = {"", "0123456789abcdef00c0ffe", "0123456789abcdef00c0ffeE", "node.7.1",
                                      "0123456789abcdef00c0ffee00000000000beef"};
    for (size_t i = 0; i < COUNT_OF(BAD); i++)
        assert_false(value_parse(str_of_z(BAD[i]), &back, &token));
    static const int64_t TIMES[] = {0, 1, -1, NOW, -NOW, NOW + 1};
    for (size_t i = 0; i < COUNT_OF(TIMES); i++) {
        assert_true(score_parse(score_text(TIMES[i], score), &us));
        assert_true(us == TIMES[i]);
    }
    static const char *const NO_TIMES[] = {"", "-", "1.5", "1e15", "inf", "99999999999999999999", "--1"};
    for (size_t i = 0; i < COUNT_OF(NO_TIMES); i++)
        assert_false(score_parse(str_of_z(NO_TIMES[i]), &us));
}

static void test_from_when_it_counts(void **state)
{
    (void)state;
    assert_true(seen_kept_from_us(HOUR, NOW) == NOW - HOUR * S);
    assert_true(seen_kept_from_us(HOUR, NOW + 225 * S - 1) == NOW - HOUR * S);
    assert_true(seen_kept_from_us(HOUR, NOW + 225 * S) == NOW - (HOUR - 225) * S);
    assert_true(seen_held_from_us(60, NOW + 1) == NOW - 60 * S);
    assert_true(seen_held_from_us(86400 * 30, NOW) == NOW - HOLD_MAX_S * S);
    assert_true(seen_kept_from_us(86400, 5 * S) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_judged),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_from_when_it_counts),
    };
    return cmocka_run_group_tests_name("values_seen", tests, NULL, NULL);
}
