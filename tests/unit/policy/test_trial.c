/* test_trial.c - a made-up session by itself: its clock, its places, and how fast it is. */
#include "base/clock.h"
#include "blocks.h"

static void times_are_spread(void **state)
{
    (void)state;
    struct compiled k;
    compiled_open(&k, "limit m per global count messages { 10/16s }\n");
    struct trial *t = trial_new(&k.world);
    assert_non_null(t);
    assert_int_equal(t->now_us, TRIAL_BEGINS_US);
    /* one a second: of any 17 slots of a second each no more than ten pass */
    assert_true(trial_send(t, 34, INT64_C(34000000), NULL));
    assert_int_equal(t->now_us, TRIAL_BEGINS_US + INT64_C(34000000));
    assert_int_equal(t->outcome.count, 34);
    assert_int_equal(t->outcome.accepted, 20);
    assert_int_equal(t->outcome.first_refused.code, 451);
    trial_wait(t, 20000000);
    uint64_t count;
    assert_true(trial_count(t, STR("m"), &count));
    assert_int_equal(count, 0);
    assert_true(trial_count(t, STR("no-such-limit"), &count));
    assert_int_equal(count, 0);
    trial_free(&t);
    compiled_close(&k);
}

static void places_are_held_and_given_back(void **state)
{
    (void)state;
    struct compiled k;
    uint64_t count;
    compiled_open(&k, "limit open per client count open-connections { 100 }\n"
                      "on connect { rule no reject if client = 192.0.2.7 }\n");
    struct trial *t = trial_new(&k.world);
    assert_non_null(t);
    assert_true(trial_connect(t, 150, 0));
    assert_int_equal(t->outcome.accepted, 100);
    assert_true(trial_count(t, STR("open"), &count) && count == 100);
    trial_hang_up(t);
    assert_true(trial_count(t, STR("open"), &count) && count == 0);
    /* who is refused by a rule has no place any more (GRAMMAR.md 4: it counted when the limits let it in) */
    assert_true(ip_parse(STR("192.0.2.7"), &t->settings.client));
    assert_true(trial_connect(t, 150, 0));
    assert_int_equal(t->outcome.accepted, 0);
    assert_true(t->outcome.last.by.len && t->outcome.last.by_what == TRIAL_BY_RULE);
    assert_true(trial_count(t, STR("open"), &count) && count == 0);
    trial_free(&t);
    compiled_close(&k);
}

static void two_trials_share_nothing(void **state)
{
    (void)state;
    struct compiled k;
    compiled_open(&k, "limit m per global count messages { 1/1h }\n");
    struct trial *a = trial_new(&k.world), *b = trial_new(&k.world);
    assert_true(a && b);
    assert_true(trial_send(a, 2, 0, NULL) && trial_send(b, 2, 0, NULL));
    assert_int_equal(a->outcome.accepted, 1);
    assert_int_equal(b->outcome.accepted, 1);
    trial_free(&a);
    trial_free(&b);
    assert_null(a);
    trial_free(&a);
    compiled_close(&k);
}

static void thousands_in_milliseconds(void **state)
{
    (void)state;
    struct compiled k;
    compiled_open(&k, "limit m per user count messages { 10000/1h }\n"
                      "limit b per user count bytes { 10G/1d }\n"
                      "limit n per network count recipients { 100000/1d }\n"
                      "on mail { rule own reject unless sender = user }\n"
                      "on rcpt { rule login reject unless authenticated }\n");
    struct trial *t = trial_new(&k.world);
    assert_non_null(t);
    t->settings.user = STR("alice@example.org");
    int64_t before_us = clock_monotonic_us();
    assert_true(trial_send(t, 20000, 0, NULL));
    int64_t spent_us = clock_monotonic_us() - before_us;
    print_message("20000 messages, three limits: %lld ms\n", (long long)spent_us / 1000);
    assert_int_equal(t->outcome.accepted, 10000);
    trial_free(&t);
    compiled_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_spread),
        cmocka_unit_test(places_are_held_and_given_back),
        cmocka_unit_test(two_trials_share_nothing),
        cmocka_unit_test(thousands_in_milliseconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
