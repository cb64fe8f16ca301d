/* test_distinct.c - limits that count different values: recipients of mails, networks and countries of logins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "limiter_fixture.h"
#include "limits/distinct.h"

static const struct limit RECIPIENTS = {
    .name = STR("rcpts"), .unit = UNIT_DISTINCT_RECIPIENTS, RATES({5, HOUR}, {8, DAY}), AT_100_DEFER};
static const struct limit MESSAGES = {.name = STR("messages"), .unit = UNIT_MESSAGES, RATES({50, HOUR}), AT_100_DEFER};
static const struct limit NETWORKS = {
    .name = STR("networks"), .unit = UNIT_DISTINCT_NETWORKS, RATES({2, DAY}), AT_100_DEFER};
static const struct limit COUNTRIES = {.name = STR("countries"),
                                       .unit = UNIT_DISTINCT_COUNTRIES,
                                       RATES({1, DAY}),
                                       THRESHOLDS({.percent = 100, .alerts = true})};

/* A charge for values given as "a b c", of alice. */
static struct charge charge(struct limiter_fixture *f, const struct limit *limit, const char *values)
{
    struct str *texts = arena_alloc(&f->arena, 400 * sizeof *texts), rest = str_of_z(values);
    struct charge c = {.limit = limit, .entity = STR("u:alice"), .cost = {1, 1, 1}, .values = texts};
    assert_non_null(texts);
    while (rest.len)
        texts[c.value_count++] = str_split(rest, ' ', &rest);
    return c;
}

static uint64_t used(struct limiter_fixture *f, const struct limit *limit, int64_t now_us)
{
    struct charge c = charge(f, limit, "");
    struct reservation r;
    memset(c.cost, 0, sizeof c.cost);
    assert_true(reservation_init(&r, &f->arena, &c, 1));
    limiter_peek(&f->limiter, &r, &c, 1, now_us);
    return r.readings[0].used;
}

static void test_a_mail_to_known_recipients_is_free(void **state)
{
    struct limiter_fixture *f = *state;
    const struct charge one = charge(f, &RECIPIENTS, "a b c"), two = charge(f, &RECIPIENTS, "c d e c"),
                        three = charge(f, &RECIPIENTS, "e f");
    send_mails(f, &one, 1, 3, NOW);
    assert_int_equal(used(f, &RECIPIENTS, NOW), 3);
    send_mails(f, &two, 1, 1, NOW + 600 * S);
    struct reservation *r = reserve(f, &three, 1, NOW + 600 * S);
    assert_refusal(r, "rcpts: 5 per 1h used up, 6 with this mail; try again in 53m45s");
    assert_int_equal(r->readings[0].cost, 2);
    assert_int_equal(r->readings[1].used, 6);
    assert_int_equal(used(f, &RECIPIENTS, NOW + 600 * S), 5);
    int64_t at = NOW + 600 * S + r->retry_after_ms * 1000;
    assert_int_equal(reserve(f, &three, 1, at - 1)->verdict, VERDICT_REFUSED);
    assert_int_equal(reserve(f, &three, 1, at)->verdict, VERDICT_RESERVED);
    send_mails(f, &two, 1, 1, NOW + 900 * S);
}

/* More different recipients than the limit has will never pass; the same one twice is one. */
static void test_too_many_for_ever(void **state)
{
    struct limiter_fixture *f = *state;
    const struct charge six = charge(f, &RECIPIENTS, "a b c d e f"), five = charge(f, &RECIPIENTS, "a b c d e a b");
    struct reservation *r = reserve(f, &six, 1, NOW);
    assert_refusal(r, "rcpts: 5 per 1h allowed, 6 in this mail; send it in parts of at most 5");
    assert_true(r->permanent);
    assert_int_equal(reserve(f, &five, 1, NOW)->verdict, VERDICT_RESERVED);
}

/* All or nothing with the other limits of the mail; given back; settled; kept when it passed. */
static void test_with_other_limits(void **state)
{
    struct limiter_fixture *f = *state;
    const struct charge c[] = {charge(f, &MESSAGES, ""), charge(f, &RECIPIENTS, "a b c")};
    struct reservation *r = reserve(f, c, 2, NOW);
    assert_int_equal(r->take_count, 3);
    limiter_give_back(&f->limiter, r);
    assert_int_equal(used(f, &RECIPIENTS, NOW), 0);
    r = reserve(f, c, 2, NOW);
    assert_int_equal(limiter_settle_start(&f->limiter, r, 5000, NOW + 1800 * S, 1000, NULL, NULL), DONE);
    assert_int_equal(r->verdict, VERDICT_RESERVED);
    limiter_keep(&f->limiter, r, NOW + 1800 * S);
    assert_int_equal(used(f, &RECIPIENTS, NOW + (HOUR + 225) * S), 3);
    const struct charge full[] = {charge(f, &MESSAGES, ""), charge(f, &RECIPIENTS, "x y z")};
    assert_int_equal(reserve(f, full, 2, NOW + 1800 * S)->verdict, VERDICT_REFUSED);
    assert_int_equal(used(f, &MESSAGES, NOW + 1800 * S), 1);
}

/* Two limits on one counter: what is seen is counted once; one with a condition counts for itself. */
static void test_shared_and_apart(void **state)
{
    struct limiter_fixture *f = *state;
    const struct limit SAME = {.name = STR("same"), .unit = UNIT_DISTINCT_RECIPIENTS, RATES({4, HOUR}), AT_100_DEFER};
    const struct limit EXTERNAL = {.name = STR("external"),
                                   .unit = UNIT_DISTINCT_RECIPIENTS,
                                   .counts_for_itself = true,
                                   RATES({4, HOUR}),
                                   AT_100_DEFER};
    const struct charge c[] = {charge(f, &RECIPIENTS, "a b c"), charge(f, &SAME, "a b c"), charge(f, &EXTERNAL, "c")};
    struct reservation *r = reserve(f, c, 3, NOW);
    assert_int_equal(r->take_count, 3);
    assert_int_equal(r->readings[0].used, 3);
    assert_int_equal(r->readings[2].used, 3);
    assert_int_equal(r->readings[3].used, 1);
    limiter_keep(&f->limiter, r, NOW);
    assert_int_equal(used(f, &SAME, NOW), 3);
    const struct charge next[] = {charge(f, &RECIPIENTS, "d e"), charge(f, &SAME, "d e"), charge(f, &EXTERNAL, "d e")};
    assert_ptr_equal(reserve(f, next, 3, NOW)->refused_by->limit, &SAME);
    /* Should they not bring the same, nothing is left out. */
    const struct charge unlike[] = {charge(f, &RECIPIENTS, "a"), charge(f, &SAME, "a d")};
    send_mails(f, unlike, 2, 1, NOW);
    assert_int_equal(used(f, &SAME, NOW), 4);
}

static void test_logins(void **state)
{
    struct limiter_fixture *f = *state;
    static const struct {
        const char *network, *country;
        bool is_refused, alerts;
    } LOGINS[] = {
        {"192.0.2.0/24", "DE", false, false},    {"198.51.100.0/24", "DE", false, false},
        {"203.0.113.0/24", "DE", true, false},   {"192.0.2.0/24", "AT", false, true},
        {"198.51.100.0/24", "AT", false, false}, {"203.0.113.0/24", "CH", true, false},
    };
    for (size_t i = 0; i < COUNT_OF(LOGINS); i++) {
        const struct charge c[] = {charge(f, &NETWORKS, LOGINS[i].network), charge(f, &COUNTRIES, LOGINS[i].country)};
        struct reservation *r = reserve(f, c, 2, NOW);
        assert_int_equal(r->verdict, LOGINS[i].is_refused ? VERDICT_REFUSED : VERDICT_RESERVED);
        if (LOGINS[i].is_refused)
            assert_refusal(r, "networks: 2 per 1d used up, 3 with this login; try again in 1d2h");
        bool alerts = false;
        for (size_t k = 0; k < r->passed_count; k++)
            alerts |= r->passed[k].threshold->alerts && r->passed[k].newly;
        assert_int_equal(alerts, LOGINS[i].alerts);
        limiter_keep(&f->limiter, r, NOW);
    }
}

static void test_values_as_a_take_names_them(void **state)
{
    struct limiter_fixture *f = *state;
    char a[1200], b[1200];
    memset(a, 'x', sizeof a);
    memcpy(b, a, sizeof a);
    b[sizeof b - 1] = 'y';
    const struct str values[] = {STR("z"), str_of(a, sizeof a), STR("z"), STR(""), str_of(b, sizeof b), STR("y")};
    struct take_member members[COUNT_OF(values)];
    struct take take = {.counter = {.entity = STR("u:a"), .period_s = HOUR, .kind = COUNTER_UNIT, .name = STR("x")}};
    counter_set_id(&take.counter, &f->store.key);
    distinct_set_members(&take, members, values, COUNT_OF(values), &f->store.key);
    assert_int_equal(take.member_count, 5);
    assert_int_equal(take.cost[0], 5);
    for (size_t i = 0; i < 5; i++) {
        assert_true(members[i].lo != 0 && members[i].stamp == 0);
        assert_true(i == 0 || members[i - 1].lo < members[i].lo);
    }
}

static void test_no_memory(void **state)
{
    struct limiter_fixture *f = *state;
    struct arena small;
    struct reservation r;
    char many[800];
    for (size_t i = 0; i < sizeof many; i++)
        many[i] = i % 2 ? ' ' : 'x';
    many[sizeof many - 1] = 0;
    const struct charge c = charge(f, &RECIPIENTS, many);
    arena_init(&small, 8192);
    assert_false(reservation_init(&r, &small, &c, 1));
    arena_fini(&small);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, limiter_setup, limiter_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_mail_to_known_recipients_is_free),
        CASE(test_too_many_for_ever),
        CASE(test_with_other_limits),
        CASE(test_shared_and_apart),
        CASE(test_logins),
        CASE(test_values_as_a_take_names_them),
        CASE(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
