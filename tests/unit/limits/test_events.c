/* test_events.c - units that count at once and for good: errors, refusals, unknown recipients, charges (GRAMMAR.md 4).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "limiter_fixture.h"

#define LOG_50                                                                                                         \
    {                                                                                                                  \
        .percent = 50, .logs = true                                                                                    \
    }
#define TARPIT_80                                                                                                      \
    {                                                                                                                  \
        .percent = 80, .tarpit_ms = 2000                                                                               \
    }
#define DEFER_100                                                                                                      \
    {                                                                                                                  \
        .percent = 100, .refusal = REFUSAL_DEFER, .tarpit_ms = 1000                                                    \
    }
#define DROP_200                                                                                                       \
    {                                                                                                                  \
        .percent = 200, .refusal = REFUSAL_DROP                                                                        \
    }
#define BAN_100                                                                                                        \
    {                                                                                                                  \
        .percent = 100, .refusal = REFUSAL_BAN                                                                         \
    }
#define REJECT_150                                                                                                     \
    {                                                                                                                  \
        .percent = 150, .refusal = REFUSAL_REJECT                                                                      \
    }

static const struct limit STAIRS = {
    .name = STR("stairs"), .unit = UNIT_ERRORS, RATES({10, HOUR}), THRESHOLDS(LOG_50, TARPIT_80, DEFER_100, DROP_200)};
static const struct limit BANS = {
    .name = STR("bans"), .unit = UNIT_ERRORS, RATES({4, HOUR}), THRESHOLDS(BAN_100, REJECT_150)};

static struct charge event(const struct limit *limit, uint32_t n)
{
    return (struct charge){.limit = limit, .entity = STR("i:192.0.2.7"), .cost = {n}};
}

typedef enum started asking(struct limiter *l, struct reservation *r, const struct charge *charges, size_t count,
                            int64_t now_us, unsigned deadline_ms, limiter_cb *cb, void *arg);

static struct reservation *ask(struct limiter_fixture *f, asking *how, const struct charge *charges, size_t count,
                               int64_t now_us)
{
    struct reservation *r = arena_alloc(&f->arena, sizeof *r);
    assert_non_null(r);
    assert_true(reservation_init(r, &f->arena, charges, count));
    assert_int_equal(how(&f->limiter, r, charges, count, now_us, 1000, NULL, NULL), DONE);
    return r;
}

/* "50! 80 100!": what acts, in order; `!` newly, `(would)` observed. */
static void assert_acts(const struct reservation *r, const char *wanted)
{
    char got[256] = "";
    size_t at = 0;
    for (size_t i = 0; i < r->passed_count; i++)
        at += (size_t)snprintf(got + at, sizeof got - at, "%s%u%s%s", i ? " " : "", r->passed[i].threshold->percent,
                               r->passed[i].newly ? "!" : "", r->passed[i].observed ? "(would)" : "");
    assert_string_equal(got, wanted);
}

static void test_each_event(void **state)
{
    static const struct {
        const char *acts;
        enum refusal refusal, at_mail;
        uint64_t tarpit_ms;
    } WANTED[] = {
        {"", REFUSAL_NONE, REFUSAL_NONE, 0},
        {"", REFUSAL_NONE, REFUSAL_NONE, 0},
        {"", REFUSAL_NONE, REFUSAL_NONE, 0},
        {"", REFUSAL_NONE, REFUSAL_NONE, 0},
        {"", REFUSAL_NONE, REFUSAL_NONE, 0},
        {"50!", REFUSAL_NONE, REFUSAL_NONE, 0},
        {"50", REFUSAL_NONE, REFUSAL_NONE, 0},
        {"50", REFUSAL_NONE, REFUSAL_NONE, 0},
        {"50 80!", REFUSAL_NONE, REFUSAL_NONE, 2000},
        {"50 80", REFUSAL_NONE, REFUSAL_NONE, 2000},
        {"50 80 100!", REFUSAL_DEFER, REFUSAL_DEFER, 3000},
        {"50 80 100", REFUSAL_DEFER, REFUSAL_DEFER, 3000},
    };
    struct limiter_fixture *f = *state;
    const struct charge c = event(&STAIRS, 1);
    for (size_t i = 0; i < COUNT_OF(WANTED); i++) {
        struct reservation *r = ask(f, limiter_count_start, &c, 1, NOW);
        assert_acts(r, WANTED[i].acts);
        assert_int_equal(r->readings[0].used, i + 1);
        assert_int_equal(r->verdict, WANTED[i].refusal ? VERDICT_REFUSED : VERDICT_RESERVED);
        if (WANTED[i].refusal)
            assert_int_equal(r->refused_at->refusal, WANTED[i].refusal);
        assert_true(limiter_tarpit_ms(r) == WANTED[i].tarpit_ms);
        r = ask(f, limiter_above_start, &c, 1, NOW);
        assert_int_equal(r->verdict, WANTED[i].at_mail ? VERDICT_REFUSED : VERDICT_RESERVED);
        if (WANTED[i].at_mail)
            assert_int_equal(r->refused_at->refusal, WANTED[i].at_mail);
        assert_acts(r, WANTED[i].at_mail ? "100" : "");
    }
}

/* Nothing of it can be given back, and asking whether it is above counts nothing. */
static void test_for_good(void **state)
{
    struct limiter_fixture *f = *state;
    const struct charge c = event(&STAIRS, 7);
    struct reservation *r = ask(f, limiter_count_start, &c, 1, NOW);
    limiter_give_back(&f->limiter, r);
    for (int i = 0; i < 5; i++)
        limiter_give_back(&f->limiter, ask(f, limiter_above_start, &c, 1, NOW));
    r = ask(f, limiter_count_start, &c, 1, NOW);
    assert_int_equal(r->readings[0].used, 14);
    assert_acts(r, "50 80! 100!");
}

/* A count that goes on rising comes to the next threshold that refuses: here no earlier one stands in its way. */
static void test_what_is_above_a_refusal_acts_too(void **state)
{
    struct limiter_fixture *f = *state;
    const struct charge c = event(&STAIRS, 1), most = event(&STAIRS, 19);
    (void)ask(f, limiter_count_start, &most, 1, NOW);
    assert_acts(ask(f, limiter_count_start, &c, 1, NOW), "50 80 100");
    struct reservation *r = ask(f, limiter_count_start, &c, 1, NOW);
    assert_acts(r, "50 80 100 200!");
    assert_int_equal(r->refused_at->refusal, REFUSAL_DROP);
    r = ask(f, limiter_above_start, &c, 1, NOW);
    assert_int_equal(r->refused_at->refusal, REFUSAL_DROP);
}

static void test_a_ban_acts_once(void **state)
{
    struct limiter_fixture *f = *state;
    const struct charge c = event(&BANS, 1), four = event(&BANS, 4);
    (void)ask(f, limiter_count_start, &four, 1, NOW);
    struct reservation *r = ask(f, limiter_count_start, &c, 1, NOW);
    assert_acts(r, "100!");
    assert_refusal(r, "bans: 4 per 1h used up, 5 with this error; try again later");
    assert_int_equal(ask(f, limiter_above_start, &c, 1, NOW)->verdict, VERDICT_RESERVED);
    r = ask(f, limiter_count_start, &c, 1, NOW);
    assert_acts(r, "");
    assert_int_equal(r->verdict, VERDICT_RESERVED);
    assert_acts(ask(f, limiter_count_start, &c, 1, NOW), "150!");
    assert_acts(ask(f, limiter_above_start, &c, 1, NOW), "150");
    /* It fell, and rises again: that is another time. */
    (void)ask(f, limiter_count_start, &four, 1, NOW + 2 * HOUR * S);
    assert_acts(ask(f, limiter_count_start, &c, 1, NOW + 2 * HOUR * S), "100!");
    /* One event may pass both. */
    const struct charge seven = event(&BANS, 7);
    r = ask(f, limiter_count_start, &seven, 1, NOW + 4 * HOUR * S);
    assert_acts(r, "100! 150!");
    assert_int_equal(r->refused_at->refusal, REFUSAL_REJECT);
}

/* MAIL is told until when, exactly: the count must fall to what is allowed. */
static void test_above_until(void **state)
{
    struct limiter_fixture *f = *state;
    const struct charge six = event(&STAIRS, 6);
    (void)ask(f, limiter_count_start, &six, 1, NOW);
    struct reservation *r = ask(f, limiter_count_start, &six, 1, NOW + 600 * S);
    assert_refusal(r, "stairs: 10 per 1h used up, 12 with this error; try again in 53m45s");
    r = ask(f, limiter_above_start, &six, 1, NOW + 1200 * S);
    assert_refusal(r, "stairs: 10 per 1h used up, 12 by now; try again in 43m45s");
    int64_t at = NOW + 1200 * S + r->retry_after_ms * 1000;
    assert_int_equal(ask(f, limiter_above_start, &six, 1, at - 1)->verdict, VERDICT_REFUSED);
    assert_int_equal(ask(f, limiter_above_start, &six, 1, at)->verdict, VERDICT_RESERVED);
}

static void test_observed(void **state)
{
    struct limiter_fixture *f = *state;
    const struct limit OBSERVED = {.name = STR("seen"),
                                   .unit = UNIT_REFUSALS,
                                   .observed = true,
                                   RATES({2, HOUR}),
                                   THRESHOLDS(TARPIT_80, DEFER_100)};
    const struct charge c = event(&OBSERVED, 3);
    struct reservation *r = ask(f, limiter_count_start, &c, 1, NOW);
    assert_int_equal(r->verdict, VERDICT_RESERVED);
    assert_true(r->readings[0].refuses);
    assert_acts(r, "80!(would) 100!(would)");
    assert_int_equal(limiter_tarpit_ms(r), 0);
    r = ask(f, limiter_above_start, &c, 1, NOW);
    assert_int_equal(r->verdict, VERDICT_RESERVED);
    assert_acts(r, "100(would)");
}

/* Each unit has a counter of its own; each limit of charges too. Two windows of a limit act once. */
static void test_who_counts_with_whom(void **state)
{
    struct limiter_fixture *f = *state;
    static const enum limit_unit EVENTS[] = {UNIT_ERRORS, UNIT_REFUSALS, UNIT_UNKNOWN_RECIPIENTS, UNIT_CHARGES};
    for (size_t i = 0; i < COUNT_OF(EVENTS); i++) {
        const struct limit one = {.name = STR("one"),
                                  .unit = EVENTS[i],
                                  .counts_for_itself = EVENTS[i] == UNIT_CHARGES,
                                  RATES({5, HOUR}, {6, DAY}),
                                  THRESHOLDS(DEFER_100)};
        struct limit two = one;
        two.name = STR("two");
        const struct charge both[] = {event(&one, 3), event(&two, 3)}, single = event(&two, 3);
        struct reservation *r = ask(f, limiter_count_start, both, 2, NOW);
        for (size_t k = 0; k < 4; k++)
            assert_int_equal(r->readings[k].used, 3); /* two limits on one counter: one event */
        r = ask(f, limiter_count_start, &single, 1, NOW);
        assert_acts(r, "100!");
        assert_int_equal(ask(f, limiter_above_start, both, 1, NOW)->readings[0].used, one.counts_for_itself ? 3 : 6);
    }
}

/* The first read is named; a ban acts though another is named. */
static void test_two_limits(void **state)
{
    struct limiter_fixture *f = *state;
    const struct limit FIRST = {.name = STR("first"), .unit = UNIT_ERRORS, RATES({4, DAY}), THRESHOLDS(DEFER_100)};
    const struct charge c[] = {event(&FIRST, 5), event(&BANS, 5)};
    struct reservation *r = ask(f, limiter_count_start, c, 2, NOW);
    assert_ptr_equal(r->refused_by->limit, &FIRST);
    assert_acts(r, "100! 100!");
    assert_int_equal(r->passed[1].threshold->refusal, REFUSAL_BAN);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, limiter_setup, limiter_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_each_event),           CASE(test_for_good),    CASE(test_what_is_above_a_refusal_acts_too),
        CASE(test_a_ban_acts_once),      CASE(test_above_until), CASE(test_observed),
        CASE(test_who_counts_with_whom), CASE(test_two_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
