/* test_attempt.c - limits of auth units: what is reserved before a password is checked, and what of it stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "limiter_fixture.h"
#include "limits/attempt.h"

static const struct limit FAILURES = {
    .name = STR("failures"), .unit = UNIT_AUTH_FAILURES, RATES({10, 900}), AT_100_DEFER};
static const struct limit GUESSING = {.name = STR("guessing"),
                                      .unit = UNIT_GUESSES,
                                      RATES({3, 900}),
                                      THRESHOLDS({.percent = 100, .refusal = REFUSAL_BAN})};
static const struct limit SPRAYING = {
    .name = STR("spraying"), .unit = UNIT_FAILED_USERS, RATES({4, 900}), AT_100_DEFER};

/* A login attempt from the one network of these tests. */
static struct attempt *begin(struct limiter_fixture *f, const char *user, const char *password, int64_t now_us)
{
    struct attempt *a = arena_alloc(&f->arena, sizeof *a);
    struct charge *c = arena_alloc(&f->arena, 3 * sizeof *c);
    struct str *name = arena_alloc(&f->arena, sizeof *name);
    assert_true(a && c && name);
    *name = arena_copy(&f->arena, str_of_z(user));
    c[0] = (struct charge){.limit = &FAILURES, .entity = STR("n:192.0.2.0/24"), .cost = {1}};
    c[1] = (struct charge){.limit = &GUESSING, .entity = STR("n:192.0.2.0/24"), .cost = {1}};
    c[2] = (struct charge){.limit = &SPRAYING, .entity = STR("n:192.0.2.0/24"), .values = name, .value_count = 1};
    assert_true(attempt_init(a, &f->arena, c, 3));
    struct str entity = arena_printf(&f->arena, "u:%s", user);
    assert_int_equal(attempt_start(&f->limiter, a, entity, str_of_z(password), now_us, 1000, NULL, NULL), DONE);
    return a;
}

static void failed(struct attempt *a, int64_t now_us)
{
    assert_int_equal(a->reservation.verdict, VERDICT_RESERVED);
    assert_int_equal(attempt_failed_start(a, now_us, 1000, NULL, NULL), DONE);
    attempt_give_back(a); /* harmless */
}

static uint64_t used(struct limiter_fixture *f, const struct limit *limit, int64_t now_us)
{
    const struct charge c = {.limit = limit, .entity = STR("n:192.0.2.0/24")};
    struct reservation r;
    assert_true(reservation_init(&r, &f->arena, &c, 1));
    limiter_peek(&f->limiter, &r, &c, 1, now_us);
    return r.readings[0].used;
}

static void assert_counts(struct limiter_fixture *f, uint64_t failures, uint64_t guesses, uint64_t users)
{
    assert_int_equal(used(f, &FAILURES, NOW), failures);
    assert_int_equal(used(f, &GUESSING, NOW), guesses);
    assert_int_equal(used(f, &SPRAYING, NOW), users);
}

static void test_wrong_passwords(void **state)
{
    struct limiter_fixture *f = *state;
    failed(begin(f, "alice", "a", NOW), NOW);
    assert_counts(f, 1, 1, 1);
    failed(begin(f, "alice", "b", NOW), NOW);
    assert_counts(f, 2, 2, 1);
    failed(begin(f, "bob", "b", NOW), NOW); /* tried, but not for bob */
    assert_counts(f, 3, 3, 2);
    struct attempt *a = begin(f, "bob", "c", NOW);
    assert_refusal(&a->reservation, "guessing: 3 per 15m used up, 4 with this attempt; try again in 15m57s");
    assert_int_equal(a->reservation.refused_at->refusal, REFUSAL_BAN);
    assert_counts(f, 3, 3, 2);
    attempt_give_back(a);
    assert_counts(f, 3, 3, 2);
}

static void test_right_passwords_cost_nothing(void **state)
{
    struct limiter_fixture *f = *state;
    for (int i = 0; i < 30; i++)
        attempt_give_back(begin(f, i % 2 ? "alice" : "bob", "right", NOW));
    assert_counts(f, 0, 0, 0);
    failed(begin(f, "alice", "wrong", NOW), NOW);
    attempt_give_back(begin(f, "alice", "right", NOW));
    assert_counts(f, 1, 1, 1); /* she stays among those that failed */
}

/* An old phone repeats one stale password: one guess, and never refused for guesses; but each is a failure. */
static void test_a_stale_password(void **state)
{
    struct limiter_fixture *f = *state;
    failed(begin(f, "alice", "stale", NOW), NOW);
    failed(begin(f, "alice", "x", NOW), NOW);
    failed(begin(f, "alice", "y", NOW), NOW);
    assert_counts(f, 3, 3, 1);
    assert_int_equal(begin(f, "alice", "z", NOW)->reservation.verdict, VERDICT_REFUSED);
    for (int i = 0; i < 7; i++)
        failed(begin(f, "alice", "stale", NOW), NOW);
    assert_counts(f, 10, 3, 1);
    struct attempt *a = begin(f, "alice", "stale", NOW);
    assert_refusal(&a->reservation, "failures: 10 per 15m used up, 11 with this attempt; try again in 15m57s");
    /* Tried again within thirty days it is known for thirty more; then no longer. */
    int64_t now = NOW + INT64_C(29) * DAY * S;
    failed(begin(f, "alice", "stale", now), now);
    assert_int_equal(used(f, &GUESSING, now), 0);
    now += INT64_C(30) * DAY * S;
    failed(begin(f, "alice", "stale", now), now);
    assert_int_equal(used(f, &GUESSING, now), 1);
}

/* Four connections of it at once: what they reserved is given back but for one. */
static void test_the_same_password_at_once(void **state)
{
    struct limiter_fixture *f = *state;
    struct attempt *a[3];
    for (size_t i = 0; i < COUNT_OF(a); i++)
        a[i] = begin(f, "alice", "stale", NOW);
    assert_counts(f, 3, 3, 1);
    assert_int_equal(begin(f, "alice", "stale", NOW)->reservation.verdict, VERDICT_REFUSED); /* until one has failed */
    for (size_t i = 0; i < COUNT_OF(a); i++)
        failed(a[i], NOW);
    assert_counts(f, 3, 1, 1);
}

/* Ten at once are not eleven: what is looked at is bounded, however many attempts run side by side. */
static void test_many_at_once(void **state)
{
    struct limiter_fixture *f = *state;
    int looked_at = 0;
    for (int i = 0; i < 50; i++) {
        char password[16];
        snprintf(password, sizeof password, "%d", i);
        looked_at += begin(f, "alice", password, NOW)->reservation.verdict == VERDICT_RESERVED;
    }
    assert_int_equal(looked_at, 3);
}

/* One password for many names: each name counts once, and one that failed before is not refused for it. */
static void test_spraying(void **state)
{
    struct limiter_fixture *f = *state;
    static const char *const USERS[] = {"a", "b", "c", "a", "b"};
    for (size_t i = 0; i < COUNT_OF(USERS); i++)
        failed(begin(f, USERS[i], "Winter2026", NOW), NOW);
    assert_counts(f, 5, 3, 3);
    struct str name = STR("d");
    struct charge c = {.limit = &SPRAYING, .entity = STR("n:192.0.2.0/24"), .values = &name, .value_count = 1};
    struct attempt a;
    static const struct {
        struct str name;
        bool is_refused;
    } NEXT[] = {{STR("d"), false}, {STR("e"), true}, {STR("a"), false}, {STR("d"), false}};
    for (size_t i = 0; i < COUNT_OF(NEXT); i++) {
        name = NEXT[i].name;
        assert_true(attempt_init(&a, &f->arena, &c, 1));
        assert_int_equal(attempt_start(&f->limiter, &a, STR("u:x"), STR("pw"), NOW, 1000, NULL, NULL), DONE);
        if (!NEXT[i].is_refused)
            failed(&a, NOW);
        else
            assert_refusal(&a.reservation, "spraying: 4 per 15m used up, 5 with this attempt; try again in 15m57s");
    }
    assert_counts(f, 5, 3, 4);
}

/* Where no limit counts guesses, no password is remembered. */
static void test_without_guesses(void **state)
{
    struct limiter_fixture *f = *state;
    struct charge c = {.limit = &FAILURES, .entity = STR("i:a"), .cost = {1}};
    struct known k;
    for (int i = 0; i < 2; i++) {
        struct attempt a;
        assert_true(attempt_init(&a, &f->arena, &c, 1));
        assert_int_equal(attempt_start(&f->limiter, &a, STR("u:alice"), STR("pw"), NOW, 1000, NULL, NULL), DONE);
        failed(&a, NOW);
    }
    struct hash128 hash = hash128(&f->store.key, STR("pw"));
    const struct known_value value = {STR("u:alice"), STR("tried"), {(const char *)&hash, sizeof hash}, 30 * DAY};
    assert_int_equal(known_ask_start(&f->store, &k, &value, NOW, 1000, NULL, NULL), DONE);
    assert_false(k.was_known);
    failed(begin(f, "alice", "pw", NOW), NOW);
    assert_int_equal(known_ask_start(&f->store, &k, &value, NOW, 1000, NULL, NULL), DONE);
    assert_true(k.was_known); /* that is how it is remembered where one does */
}

/* client.known: thirty days from the last login, each network for itself. */
static void test_known_networks(void **state)
{
    struct limiter_fixture *f = *state;
    struct known k;
    struct known_value value = {STR("u:alice"), KNOWN_NETWORKS, STR("192.0.2.0/24"), KNOWN_NETWORKS_S};
    static const struct {
        bool notes;
        const char *network;
        int64_t at_s;
        bool was_known;
    } STEPS[] = {
        {false, "192.0.2.0/24", 0, false},
        {true, "192.0.2.0/24", 0, false},
        {true, "192.0.2.0/24", 1, true},
        {false, "192.0.2.0/24", KNOWN_NETWORKS_S, true},
        {false, "198.51.100.0/24", 5, false},
        {false, "192.0.2.0/24", KNOWN_NETWORKS_S + 1, false},
        {true, "192.0.2.0/24", KNOWN_NETWORKS_S + 1, false},
        {false, "192.0.2.0/24", KNOWN_NETWORKS_S + 2, true},
    };
    for (size_t i = 0; i < COUNT_OF(STEPS); i++) {
        value.value = str_of_z(STEPS[i].network);
        assert_int_equal((STEPS[i].notes ? known_note_start : known_ask_start)(
                             &f->store, &k, &value, NOW + STEPS[i].at_s * S, 1000, NULL, NULL),
                         DONE);
        assert_int_equal(k.was_known, STEPS[i].was_known);
    }
    value.entity = STR("u:bob");
    assert_int_equal(known_ask_start(&f->store, &k, &value, NOW, 1000, NULL, NULL), DONE);
    assert_false(k.was_known);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, limiter_setup, limiter_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_wrong_passwords),  CASE(test_right_passwords_cost_nothing),
        CASE(test_a_stale_password), CASE(test_the_same_password_at_once),
        CASE(test_many_at_once),     CASE(test_spraying),
        CASE(test_without_guesses),  CASE(test_known_networks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
