/* test_thresholds.c - which thresholds act, in what order, and when they are said anew (GRAMMAR.md 4, "Threshold"). */
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
        .percent = 80, .tarpit_ms = 5000                                                                               \
    }
#define DEFER_100                                                                                                      \
    {                                                                                                                  \
        .percent = 100, .refusal = REFUSAL_DEFER, .logs = true                                                         \
    }
#define ALERT_200                                                                                                      \
    {                                                                                                                  \
        .percent = 200, .alerts = true                                                                                 \
    }

static const struct limit STAIRS = {.name = STR("stairs"),
                                    .unit = UNIT_RECIPIENTS,
                                    RATES({10, HOUR}),
                                    THRESHOLDS(LOG_50, TARPIT_80, DEFER_100, ALERT_200)};

/* "50! 80 100!(would)": what passed, in order; `!` newly, `(would)` observed. */
static void assert_passed(const struct reservation *r, const char *wanted)
{
    char got[256] = "";
    size_t at = 0;
    for (size_t i = 0; i < r->passed_count; i++) {
        const struct passed *p = &r->passed[i];
        at += (size_t)snprintf(got + at, sizeof got - at, "%s%s%u%s%s", i ? " " : "",
                               p->limit == &STAIRS ? "" : "other:", p->threshold->percent, p->newly ? "!" : "",
                               p->observed ? "(would)" : "");
    }
    assert_string_equal(got, wanted);
}

static void test_each_step(void **state)
{
    static const char *const WANTED[] = {"",   "",   "",       "",      "",           "50!",
                                         "50", "50", "50 80!", "50 80", "50 80 100!", "50 80 100"};
    struct limiter_fixture *f = *state;
    const struct charge c = mail_charge(&STAIRS, "u:a", 1, 1);
    for (size_t i = 0; i < COUNT_OF(WANTED); i++) {
        struct reservation *r = reserve(f, &c, 1, NOW);
        assert_int_equal(r->verdict, i < 10 ? VERDICT_RESERVED : VERDICT_REFUSED);
        assert_passed(r, WANTED[i]);
        limiter_keep(&f->limiter, r, NOW);
    }
}

static void test_one_mail_passes_several(void **state)
{
    struct limiter_fixture *f = *state;
    const struct charge c = mail_charge(&STAIRS, "u:a", 9, 1), two = mail_charge(&STAIRS, "u:a", 2, 1);
    struct reservation *r = reserve(f, &c, 1, NOW);
    assert_passed(r, "50! 80!");
    assert_passed(reserve(f, &two, 1, NOW), "50 80 100!");
    limiter_give_back(&f->limiter, r);
    /* Never above 50 %, and refused at once: the way there is passed too. */
    const struct charge eleven = mail_charge(&STAIRS, "u:a", 11, 1);
    assert_passed(reserve(f, &eleven, 1, NOW + 2 * HOUR * S), "50! 80! 100!");
}

/* A sender that keeps trying is logged once, until the mail would have fitted; then anew. */
static void test_a_refusal_is_said_once(void **state)
{
    struct limiter_fixture *f = *state;
    const struct charge c = mail_charge(&STAIRS, "u:a", 10, 1);
    send_mails(f, &c, 1, 1, NOW);
    int64_t now = NOW + 60 * S, again = 0;
    for (int i = 0; i < 50; i++, now += 20 * S) {
        struct reservation *r = reserve(f, &c, 1, now);
        assert_passed(r, i == 0 ? "50 80 100!" : "50 80 100");
        again = now + r->retry_after_ms * 1000;
    }
    send_mails(f, &c, 1, 1, again);
    assert_passed(reserve(f, &c, 1, again), "50 80 100!");
    /* Another entity is another matter. */
    const struct charge other = mail_charge(&STAIRS, "u:b", 10, 1);
    send_mails(f, &other, 1, 1, now);
    assert_passed(reserve(f, &other, 1, now), "50 80 100!");
}

static void test_the_limit_may_be_below_100(void **state)
{
    const struct limit EARLY = {.name = STR("early"),
                                .unit = UNIT_RECIPIENTS,
                                RATES({10, HOUR}),
                                THRESHOLDS({.percent = 70, .refusal = REFUSAL_REJECT}, DEFER_100)};
    struct limiter_fixture *f = *state;
    const struct charge c = mail_charge(&EARLY, "u:a", 7, 1), one = mail_charge(&EARLY, "u:a", 1, 1);
    send_mails(f, &c, 1, 1, NOW);
    struct reservation *r = reserve(f, &one, 1, NOW);
    assert_refusal(r, "early: 7 per 1h used up, 8 with this mail; try again in 1h4m");
    assert_int_equal(r->refused_at->percent, 70);
    assert_int_equal(r->refused_at->refusal, REFUSAL_REJECT);
    assert_passed(r, "other:70!");
}

static void test_none_refuses(void **state)
{
    const struct limit WATCH = {
        .name = STR("watch"), .unit = UNIT_RECIPIENTS, RATES({10, HOUR}), THRESHOLDS(LOG_50, ALERT_200)};
    struct limiter_fixture *f = *state;
    const struct charge c = mail_charge(&WATCH, "u:a", 30, 1);
    struct reservation *r = reserve(f, &c, 1, NOW);
    assert_int_equal(r->verdict, VERDICT_RESERVED);
    assert_passed(r, "other:50! other:200!");
    assert_true(r->readings[0].allowed == ALLOWED_ANY);
    assert_passed(reserve(f, &c, 1, NOW), "other:50 other:200");
}

/* Observed: counts, says what it would have done, and refuses nothing; also where it shares its counter with one that
 * does. */
static void test_observed(void **state)
{
    const struct limit OBSERVED = {
        .name = STR("observed"), .unit = UNIT_RECIPIENTS, .observed = true, RATES({10, HOUR}), THRESHOLDS(DEFER_100)};
    struct limiter_fixture *f = *state;
    const struct charge c = mail_charge(&OBSERVED, "u:a", 12, 1);
    struct reservation *r = reserve(f, &c, 1, NOW);
    assert_int_equal(r->verdict, VERDICT_RESERVED);
    assert_true(r->readings[0].refuses);
    assert_passed(r, "other:100!(would)");
    limiter_keep(&f->limiter, r, NOW);
    r = reserve(f, &c, 1, NOW);
    assert_int_equal(r->readings[0].used, 24);
    assert_passed(r, "other:100(would)");
    limiter_give_back(&f->limiter, r);
    const struct charge both[] = {mail_charge(&OBSERVED, "u:b", 6, 1), mail_charge(&STAIRS, "u:b", 6, 1)};
    send_mails(f, both, 2, 1, NOW);
    r = reserve(f, both, 2, NOW);
    assert_int_equal(r->verdict, VERDICT_REFUSED);
    assert_ptr_equal(r->refused_by->limit, &STAIRS);
    assert_passed(r, "other:100(would) 50 80! 100!");
}

/* Where another limit refused, this one's log does not speak: the mail was not counted. Its tarpit does. */
static void test_where_another_refuses(void **state)
{
    const struct limit REFUSES = {.name = STR("refuses"), .unit = UNIT_MESSAGES, RATES({1, HOUR}), AT_100_DEFER};
    struct limiter_fixture *f = *state;
    const struct charge first = mail_charge(&REFUSES, "u:a", 1, 1);
    send_mails(f, &first, 1, 1, NOW);
    const struct charge c[] = {mail_charge(&STAIRS, "u:a", 8, 1), mail_charge(&REFUSES, "u:a", 8, 1)};
    struct reservation *r = reserve(f, c, 2, NOW);
    assert_ptr_equal(r->refused_by->limit, &REFUSES);
    assert_passed(r, "50 80 other:100!");
    /* Two refuse: only the named one does. */
    const struct charge full[] = {mail_charge(&REFUSES, "u:a", 10, 1), mail_charge(&STAIRS, "u:a", 10, 1)};
    assert_passed(reserve(f, full, 2, NOW), "other:100 50 80");
}

/* The tarpits of all that acts add up: of a limit's steps, of several limits, also before a refusal; an observed
 * limit's do not. */
static void test_tarpits_add_up(void **state)
{
    const struct limit SLOW = {
        .name = STR("slow"),
        .unit = UNIT_MESSAGES,
        RATES({2, HOUR}),
        THRESHOLDS({.percent = 50, .tarpit_ms = 700}, {.percent = 100, .refusal = REFUSAL_DEFER, .tarpit_ms = 1000})};
    struct limit observed = SLOW;
    observed.observed = true;
    struct limiter_fixture *f = *state;
    const struct charge c[] = {mail_charge(&STAIRS, "u:a", 3, 1), mail_charge(&SLOW, "u:b", 3, 1),
                               mail_charge(&observed, "u:b", 3, 1)};
    static const uint64_t WANTED[] = {0, 700, 5000 + 700 + 1000};
    for (size_t i = 0; i < COUNT_OF(WANTED); i++) {
        struct reservation *r = reserve(f, c, 3, NOW);
        assert_int_equal(limiter_tarpit_ms(r), WANTED[i]);
        limiter_keep(&f->limiter, r, NOW);
    }
}

/* Two windows of one limit pass the same threshold: it acts once. */
static void test_once_for_all_windows(void **state)
{
    const struct limit TWO = {
        .name = STR("two"), .unit = UNIT_RECIPIENTS, RATES({10, HOUR}, {12, DAY}), THRESHOLDS(TARPIT_80, DEFER_100)};
    struct limiter_fixture *f = *state;
    const struct charge c = mail_charge(&TWO, "u:a", 10, 1), one = mail_charge(&TWO, "u:a", 1, 1);
    struct reservation *r = reserve(f, &c, 1, NOW);
    assert_passed(r, "other:80!");
    limiter_keep(&f->limiter, r, NOW);
    r = reserve(f, &one, 1, NOW + 2 * HOUR * S);
    assert_passed(r, "other:80"); /* of the day's window only */
    limiter_keep(&f->limiter, r, NOW + 2 * HOUR * S);
    send_mails(f, &one, 1, 1, NOW + 2 * HOUR * S);
    assert_passed(reserve(f, &one, 1, NOW + 2 * HOUR * S), "other:80 other:100!");
}

/* At settle only what the growth passed acts: the rest did so at reserve. */
static void test_settling_says_only_what_is_new(void **state)
{
    const struct limit BYTES = {
        .name = STR("bytes"), .unit = UNIT_BYTES, RATES({10, HOUR}), THRESHOLDS(LOG_50, TARPIT_80, DEFER_100)};
    struct limiter_fixture *f = *state;
    const struct charge c[] = {mail_charge(&BYTES, "u:a", 9, 6), mail_charge(&STAIRS, "u:a", 9, 6)};
    struct reservation *r = reserve(f, c, 2, NOW);
    assert_passed(r, "other:50! 50! 80!");
    assert_int_equal(limiter_settle_start(&f->limiter, r, 9000, NOW, 1000, NULL, NULL), DONE);
    assert_passed(r, "other:80!");
    assert_int_equal(limiter_settle_start(&f->limiter, r, 100, NOW, 1000, NULL, NULL), DONE);
    assert_passed(r, "");
    assert_int_equal(limiter_settle_start(&f->limiter, r, 10000, NOW, 1000, NULL, NULL), DONE);
    assert_passed(r, "other:50! other:80!");
    assert_int_equal(limiter_settle_start(&f->limiter, r, 99999, NOW, 1000, NULL, NULL), DONE);
    assert_int_equal(r->verdict, VERDICT_REFUSED);
    assert_true(r->permanent);
}

/* Percentages apply to the rates of an override (GRAMMAR.md 4). */
static void test_percentages_of_an_override(void **state)
{
    static const struct rate TWENTY[] = {{20, HOUR}};
    struct limiter_fixture *f = *state;
    struct charge c = mail_charge(&STAIRS, "u:a", 11, 1);
    c.rates = TWENTY;
    c.rate_count = 1;
    struct reservation *r = reserve(f, &c, 1, NOW);
    assert_passed(r, "50!");
    limiter_keep(&f->limiter, r, NOW);
    assert_passed(reserve(f, &c, 1, NOW), "50 80! 100!");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, limiter_setup, limiter_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_each_step),
        CASE(test_one_mail_passes_several),
        CASE(test_a_refusal_is_said_once),
        CASE(test_the_limit_may_be_below_100),
        CASE(test_none_refuses),
        CASE(test_observed),
        CASE(test_where_another_refuses),
        CASE(test_once_for_all_windows),
        CASE(test_tarpits_add_up),
        CASE(test_settling_says_only_what_is_new),
        CASE(test_percentages_of_an_override),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
