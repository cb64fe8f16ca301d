/* store_suite.c - what every store must pass. See store_suite.h. */
#include "store_suite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/panic.h"
#include "limits/window.h"

#define S    INT64_C(1000000)
#define HOUR 3600
#define NOW  SUITE_NOW

const struct store_suite *suite;
int64_t suite_now_us = INT64_C(1767614400) * S;

void suite_close(struct store *store)
{
    if (suite->close)
        suite->close(store);
    else
        store_close(store);
}

static int fixture_setup(void **state)
{
    struct suite_fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->script = *state;
    f->context = suite->setup();
    suite->open(f->context, &f->store, 1);
    *state = f;
    return 0;
}

static int fixture_teardown(void **state)
{
    struct suite_fixture *f = *state;
    suite_close(&f->store);
    suite->teardown(f->context);
    free(f);
    return 0;
}

/* ---- Asking, at once or later ---- */

struct asked {
    struct store_op op;
    bool done;
};

static void on_done(struct store_op *op)
{
    CONTAINER_OF(op, struct asked, op)->done = true;
}

/* No cmocka in here: children call it too. */
static enum store_result ask(struct store *store, struct take **takes, size_t count, int64_t now_us)
{
    struct asked a = {
        .op = {.takes = takes, .count = count, .now_us = now_us, .deadline_ms = 20000, .on_done = on_done}};
    if (store->ops->take_start(store, &a.op) == STARTED)
        suite->wait(NULL, store, &a.done);
    else
        PANIC_IF(a.done, "on_done was called from inside take_start");
    return a.op.result;
}

void suite_take_set(struct take *take, const struct store *store, const char *entity, uint32_t period_s, uint32_t cost,
                    uint64_t allowed)
{
    *take = (struct take){
        .counter = {.entity = str_of_z(entity), .period_s = period_s, .kind = COUNTER_MAIL},
        .cost = {cost},
        .allowed = {allowed, ALLOWED_ANY, ALLOWED_ANY},
    };
    counter_set_id(&take->counter, &store->key);
}

enum store_result suite_take(struct store *store, struct take *take, int64_t now_us)
{
    return ask(store, &take, 1, now_us);
}

/* As a reserve that is given back at once: no store may answer otherwise than by its true count. */
uint64_t suite_used(struct store *store, const char *entity, uint32_t period_s, int64_t now_us)
{
    struct take take;
    suite_take_set(&take, store, entity, period_s, 0, ALLOWED_ANY);
    enum store_result result = suite_take(store, &take, now_us);
    PANIC_IF(result != STORE_TAKEN, "a take of nothing was not taken");
    struct take *takes[] = {&take};
    store->ops->give_back(store, takes, 1);
    return take.used[0];
}

bool suite_admits(struct store *store, const char *entity, uint32_t period_s, uint32_t cost, uint64_t allowed,
                  int64_t now_us)
{
    struct take take;
    suite_take_set(&take, store, entity, period_s, cost, allowed);
    return suite_take(store, &take, now_us) == STORE_TAKEN;
}

void suite_give_back(struct store *store, struct take *take)
{
    store->ops->give_back(store, &take, 1);
}

void suite_keep(struct store *store, struct take *take, int64_t now_us)
{
    store->ops->keep(store, &take, 1, now_us);
}

/* Two takes, sorted as the contract wants them. */
enum store_result suite_take_both(struct store *store, struct take *a, struct take *b, int64_t now_us)
{
    bool in_order = a->counter.id.lo < b->counter.id.lo;
    struct take *takes[] = {in_order ? a : b, in_order ? b : a};
    return ask(store, takes, 2, now_us);
}

/* ---- One process ---- */

static void test_admits_exactly_the_limit(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    for (int i = 0; i < 100; i++) {
        struct take take;
        suite_take_set(&take, store, "u:alice", HOUR, 1, 100);
        assert_int_equal(suite_take(store, &take, NOW), STORE_TAKEN);
        assert_int_equal(take.used[0], i + 1);
        assert_int_equal(take.wait_us, 0);
        assert_true(take.held.is_held);
    }
    struct take take;
    suite_take_set(&take, store, "u:alice", HOUR, 1, 100);
    assert_int_equal(suite_take(store, &take, NOW), STORE_FULL);
    assert_int_equal(take.used[0], 101);
    assert_true(take.is_over[0]);
    assert_false(take.held.is_held);
    assert_true(take.wait_us > HOUR * S && take.wait_us <= HOUR * S + HOUR * S / 16);
}

static void test_counters_are_apart(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    static const struct counter COUNTERS[] = {
        {.entity = {"u:alice", 7}, .period_s = HOUR, .kind = COUNTER_MAIL},
        {.entity = {"u:alicf", 7}, .period_s = HOUR, .kind = COUNTER_MAIL},
        {.entity = {"u:alice", 7}, .period_s = HOUR + 1, .kind = COUNTER_MAIL},
        {.entity = {"u:alice", 7}, .period_s = HOUR, .kind = COUNTER_UNIT, .name = {"connections", 11}},
        {.entity = {"u:alice", 7}, .period_s = HOUR, .kind = COUNTER_OWN, .name = {"connections", 11}},
        {.entity = {"u:alice", 7}, .period_s = HOUR, .kind = COUNTER_OWN, .name = {"a", 1}},
        {.entity = {"u:alice", 7}, .period_s = HOUR, .kind = COUNTER_OWN, .name = {"a", 1}, .unit = UNIT_BYTES},
        {.entity = {"u:alice", 7}, .period_s = HOUR, .kind = COUNTER_OWN, .name = {"au", 2}},
        {.entity = {":alice", 6}, .period_s = HOUR, .kind = COUNTER_OWN, .name = {"au", 2}},
    };
    for (size_t i = 0; i < COUNT_OF(COUNTERS); i++) {
        struct take take = {.counter = COUNTERS[i], .cost = {1}, .allowed = {1, ALLOWED_ANY, ALLOWED_ANY}};
        counter_set_id(&take.counter, &store->key);
        assert_int_equal(suite_take(store, &take, NOW), STORE_TAKEN);
        assert_int_equal(take.used[0], 1);
    }
}

/* An entity of any length counts, and differs from another in its last byte. */
static void test_long_entities_count(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    char a[1200], b[1200];
    memset(a, 'x', sizeof a);
    a[0] = 'u', a[1] = ':', a[sizeof a - 1] = 0;
    memcpy(b, a, sizeof a);
    b[sizeof b - 2] = 'y';
    assert_true(suite_admits(store, a, HOUR, 1, 1, NOW));
    assert_true(suite_admits(store, b, HOUR, 1, 1, NOW));
    assert_false(suite_admits(store, a, HOUR, 1, 1, NOW));
}

/* Defect: a limit that passed stays charged when another limit refuses the mail. */
static void test_all_or_nothing(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    assert_true(suite_admits(store, "i:full", HOUR, 5, 5, NOW));
    for (int i = 0; i < 20; i++) {
        /* Names on both sides of the full one in the order of ids. */
        char name[16];
        snprintf(name, sizeof name, "u:%d", i);
        struct take free, full;
        suite_take_set(&free, store, name, HOUR, 1, 10);
        suite_take_set(&full, store, "i:full", HOUR, 1, 5);
        assert_int_equal(suite_take_both(store, &free, &full, NOW), STORE_FULL);
        assert_false(free.held.is_held || full.held.is_held);
        assert_int_equal(free.used[0], 1); /* all values seen are told */
        assert_int_equal(full.used[0], 6);
        assert_int_equal(free.wait_us, 0);
        assert_int_equal(suite_used(store, name, HOUR, NOW), 0);
        assert_int_equal(suite_used(store, "i:full", HOUR, NOW), 5);
    }
}

/* Defect: a denied retry is charged, so that a client that keeps trying stays locked out for ever. */
static void test_retries_are_not_charged(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    assert_true(suite_admits(store, "u:a", 60, 10, 10, NOW));
    struct take take;
    suite_take_set(&take, store, "u:a", 60, 1, 10);
    assert_int_equal(suite_take(store, &take, NOW), STORE_FULL);
    int64_t free_at = NOW + take.wait_us;
    for (int64_t now = NOW; now < free_at; now += S / 10)
        assert_false(suite_admits(store, "u:a", 60, 1, 10, now));
    assert_true(suite_admits(store, "u:a", 60, 10, 10, free_at));
}

/* The wait that is told is right to the microsecond, for whatever history. */
static void test_the_wait_is_exact(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    uint32_t rnd = 7;
    for (int round = 0; round < 200; round++) {
        char name[16];
        snprintf(name, sizeof name, "u:%d", round);
        int64_t now = NOW + round;
        for (int i = 0; i < 40; i++) {
            rnd = rnd * 1664525u + 1013904223u;
            now += (int64_t)(rnd >> 8) % (20 * S);
            struct take take;
            suite_take_set(&take, store, name, 300, 1 + (rnd >> 10) % 4, 20);
            if (suite_take(store, &take, now) == STORE_TAKEN)
                continue;
            uint32_t cost = take.cost[0];
            int64_t wait_us = take.wait_us;
            assert_false(suite_admits(store, name, 300, cost, 20, now + wait_us - 1));
            now += wait_us;
            assert_true(suite_admits(store, name, 300, cost, 20, now));
        }
    }
}

/* Defect: the first mail of a fresh bucket admitted even with more recipients than the whole limit. */
static void test_a_cost_above_the_limit_never_fits(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    struct take take;
    suite_take_set(&take, store, "u:fresh", HOUR, 101, 100);
    assert_int_equal(suite_take(store, &take, NOW), STORE_FULL);
    assert_true(take.wait_us == WAIT_UNKNOWN);
    assert_int_equal(suite_used(store, "u:fresh", HOUR, NOW), 0);
    assert_true(suite_admits(store, "u:fresh", HOUR, 100, 100, NOW));
}

static void test_given_back_exactly(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    struct take one, two;
    suite_take_set(&one, store, "u:a", HOUR, 3, 10);
    suite_take_set(&two, store, "u:a", HOUR, 4, 10);
    assert_int_equal(suite_take(store, &one, NOW), STORE_TAKEN);
    assert_int_equal(suite_take(store, &two, NOW + 600 * S), STORE_TAKEN);
    suite_give_back(store, &one);
    assert_int_equal(suite_used(store, "u:a", HOUR, NOW + 600 * S), 4);
    suite_give_back(store, &one); /* twice does no more */
    assert_int_equal(suite_used(store, "u:a", HOUR, NOW + 600 * S), 4);
    /* Its slot was left alone: two still goes exactly when it would have gone. */
    assert_int_equal(suite_used(store, "u:a", HOUR, NOW + 4200 * S), 4);
    assert_int_equal(suite_used(store, "u:a", HOUR, NOW + (4200 + 225) * S), 0);
}

static void test_given_back_after_it_went(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    struct take old;
    suite_take_set(&old, store, "u:a", 60, 5, 10);
    assert_int_equal(suite_take(store, &old, NOW), STORE_TAKEN);
    /* One window later to the slot: the same cell of a ring, or the same index of another key. */
    for (int64_t later = 64; later <= 64 + 60; later += 60) {
        struct take fresh;
        suite_take_set(&fresh, store, "u:a", 60, 7, 20);
        assert_int_equal(suite_take(store, &fresh, NOW + later * S), STORE_TAKEN);
    }
    suite_give_back(store, &old);
    assert_int_equal(suite_used(store, "u:a", 60, NOW + 124 * S), 14);
}

static void test_an_exchange_moves_and_resizes(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    struct take take;
    suite_take_set(&take, store, "u:a", HOUR, 5, 10);
    assert_int_equal(suite_take(store, &take, NOW), STORE_TAKEN);
    take.cost[0] = 8;
    assert_int_equal(suite_take(store, &take, NOW + 1800 * S), STORE_TAKEN);
    assert_int_equal(take.used[0], 8);
    assert_int_equal(take.growth[0], 3);
    assert_int_equal(suite_used(store, "u:a", HOUR, NOW + 1800 * S), 8);
    take.cost[0] = 2;
    assert_int_equal(suite_take(store, &take, NOW + 1800 * S), STORE_TAKEN);
    assert_int_equal(take.growth[0], 0);
    assert_int_equal(suite_used(store, "u:a", HOUR, NOW + 1800 * S), 2);
    /* It now counts for an hour from the exchange on. */
    assert_int_equal(suite_used(store, "u:a", HOUR, NOW + 5400 * S), 2);
    suite_give_back(store, &take);
    assert_int_equal(suite_used(store, "u:a", HOUR, NOW + 5400 * S), 0);
}

static void test_a_refused_exchange_changes_nothing(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    struct take take;
    suite_take_set(&take, store, "u:a", HOUR, 5, 10);
    assert_int_equal(suite_take(store, &take, NOW), STORE_TAKEN);
    assert_true(suite_admits(store, "u:a", HOUR, 4, 10, NOW));
    take.cost[0] = 7;
    assert_int_equal(suite_take(store, &take, NOW + 300 * S), STORE_FULL);
    assert_int_equal(take.used[0], 11);
    assert_int_equal(take.growth[0], 2);
    assert_int_equal(suite_used(store, "u:a", HOUR, NOW + 300 * S), 9);
    suite_give_back(store, &take);
    assert_int_equal(suite_used(store, "u:a", HOUR, NOW + 300 * S), 4);
}

/* What is held and does not grow is never refused, even where less is allowed now. */
static void test_what_is_held_stays(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    struct take take;
    suite_take_set(&take, store, "u:a", HOUR, 5, 10);
    assert_int_equal(suite_take(store, &take, NOW), STORE_TAKEN);
    take.allowed[0] = 3;
    assert_int_equal(suite_take(store, &take, NOW + 1000 * S), STORE_TAKEN);
    take.cost[0] = 6;
    assert_int_equal(suite_take(store, &take, NOW + 1000 * S), STORE_FULL);
}

/* Reservations that dripped until they left their window must find places again. */
static void test_an_expired_charge_must_fit_again(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    struct take slow;
    suite_take_set(&slow, store, "u:a", 60, 5, 10);
    assert_int_equal(suite_take(store, &slow, NOW), STORE_TAKEN);
    assert_true(suite_admits(store, "u:a", 60, 8, 10, NOW + 70 * S));
    assert_int_equal(suite_take(store, &slow, NOW + 80 * S), STORE_FULL);
    assert_int_equal(slow.used[0], 13);
    assert_int_equal(slow.growth[0], 5);
    suite_give_back(store, &slow);
    assert_int_equal(suite_used(store, "u:a", 60, NOW + 80 * S), 8);
}

static void test_kept_counts_from_when_it_passed(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    struct take take;
    suite_take_set(&take, store, "u:a", 60, 5, 10);
    assert_int_equal(suite_take(store, &take, NOW), STORE_TAKEN);
    suite_keep(store, &take, NOW + 50 * S);
    assert_false(take.held.is_held);
    assert_int_equal(suite_used(store, "u:a", 60, NOW + 110 * S), 5);
    assert_int_equal(suite_used(store, "u:a", 60, NOW + 114 * S), 0);
    suite_give_back(store, &take); /* it is kept: nothing to give back */
    /* Kept after its window: it did pass, so it counts, whatever is allowed. */
    struct take late;
    suite_take_set(&late, store, "u:b", 60, 5, 10);
    assert_int_equal(suite_take(store, &late, NOW), STORE_TAKEN);
    assert_true(suite_admits(store, "u:b", 60, 10, 10, NOW + 200 * S));
    suite_keep(store, &late, NOW + 201 * S);
    assert_int_equal(suite_used(store, "u:b", 60, NOW + 201 * S), 15);
}

static void test_columns_are_apart(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    struct take take;
    suite_take_set(&take, store, "u:a", HOUR, 1, ALLOWED_ANY);
    take.cost[COLUMN_RECIPIENTS] = 7;
    take.cost[COLUMN_KIB] = 100;
    take.allowed[COLUMN_RECIPIENTS] = 20;
    assert_int_equal(suite_take(store, &take, NOW), STORE_TAKEN);
    suite_keep(store, &take, NOW);
    assert_int_equal(suite_take(store, &take, NOW), STORE_TAKEN);
    assert_int_equal(take.used[COLUMN_MESSAGES], 2);
    assert_int_equal(take.used[COLUMN_RECIPIENTS], 14);
    assert_int_equal(take.used[COLUMN_KIB], 200);
    suite_keep(store, &take, NOW);
    assert_int_equal(suite_take(store, &take, NOW), STORE_FULL);
    assert_false(take.is_over[COLUMN_MESSAGES]);
    assert_true(take.is_over[COLUMN_RECIPIENTS]);
}

static void test_nothing_wraps(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    struct take big, more;
    suite_take_set(&big, store, "u:a", HOUR, UINT32_MAX - 10, ALLOWED_ANY);
    suite_take_set(&more, store, "u:a", HOUR, 100, ALLOWED_ANY);
    assert_int_equal(suite_take(store, &big, NOW), STORE_TAKEN);
    assert_int_equal(suite_take(store, &more, NOW), STORE_TAKEN);
    assert_int_equal(suite_used(store, "u:a", HOUR, NOW), UINT32_MAX);
    assert_false(suite_admits(store, "u:a", HOUR, 1, 100, NOW));
    suite_give_back(store, &more); /* only what it really added */
    assert_int_equal(suite_used(store, "u:a", HOUR, NOW), UINT32_MAX - 10);
    suite_give_back(store, &big);
    assert_int_equal(suite_used(store, "u:a", HOUR, NOW), 0);
}

static void test_peek_charges_nothing(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    assert_true(suite_admits(store, "u:a", HOUR, 9, 10, NOW));
    struct take take;
    for (uint32_t cost = 1; cost <= 2; cost++) {
        suite_take_set(&take, store, "u:a", HOUR, cost, 10);
        if (!store->ops->peek(store, &take, NOW))
            continue; /* a store far away may know nothing */
        assert_int_equal(take.used[0], 9 + cost);
        assert_int_equal(take.is_over[0], cost == 2);
        assert_int_equal(take.wait_us != 0, cost == 2);
        assert_false(take.held.is_held);
    }
    assert_int_equal(suite_used(store, "u:a", HOUR, NOW), 9);
}

/* An event counts whatever is allowed, and is told that it is above, and until when. */
static void test_always(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    struct take other, event;
    for (int i = 0; i < 12; i++) {
        suite_take_set(&event, store, "i:a", HOUR, 1, 10);
        suite_take_set(&other, store, "i:b", HOUR, 1, ALLOWED_ANY);
        event.mode = other.mode = TAKE_ALWAYS;
        assert_int_equal(suite_take_both(store, &event, &other, NOW + i * 300 * S), STORE_TAKEN);
        assert_int_equal(event.used[0], i + 1);
        assert_int_equal(other.used[0], i + 1);
        assert_int_equal(event.is_over[0], i >= 10);
        /* Of the 11th: until the first is gone, a slot after its hour is over; of the 12th, the second too. */
        assert_true(event.wait_us == (i < 10 ? 0 : i == 10 ? (3825 - 3000) * S : (4050 - 3300) * S));
        suite_keep(store, &event, NOW + i * 300 * S);
    }
}

/* A question makes and counts nothing, whatever it asks about. */
static void test_nothing(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    struct take take;
    assert_true(suite_admits(store, "i:a", HOUR, 10, ALLOWED_ANY, NOW));
    for (uint64_t allowed = 9; allowed <= 11; allowed++) {
        suite_take_set(&take, store, "i:a", HOUR, 0, allowed);
        take.mode = TAKE_NOTHING;
        assert_int_equal(suite_take(store, &take, NOW + HOUR * S / 2), allowed < 10 ? STORE_FULL : STORE_TAKEN);
        assert_int_equal(take.used[0], 10);
        assert_int_equal(take.is_over[0], allowed < 10);
        assert_true(take.wait_us == (allowed < 10 ? (HOUR / 2 + 225) * S : 0));
        assert_false(take.held.is_held);
    }
    suite_take_set(&take, store, "i:new", HOUR, 0, 0);
    take.mode = TAKE_NOTHING;
    assert_int_equal(suite_take(store, &take, NOW), STORE_TAKEN);
    suite_lease_set(&take, store, "i:a", 0);
    take.cost[0] = 0;
    take.mode = TAKE_NOTHING;
    assert_int_equal(suite_take(store, &take, NOW), STORE_TAKEN);
}

/* The promise: in no interval of the period, wherever it begins, are more than the limit admitted, whatever arrives. */
static void test_never_more_in_any_interval(void **state)
{
    enum { LIMIT = 20, PERIOD = 10, MAILS = 3000 };
    static int64_t passed[MAILS];
    struct store *store = &((struct suite_fixture *)*state)->store;
    struct take open[8] = {{.cost = {0}}};
    uint32_t rnd = 11;
    size_t count = 0;
    int64_t now = NOW;
    for (int i = 0; i < MAILS; i++) {
        rnd = rnd * 1664525u + 1013904223u;
        now += rnd >> 30 ? (int64_t)(rnd >> 8) % (S / 4) : 0;
        struct take *take = &open[rnd >> 5 & 7];
        if (take->held.is_held) { /* a mail that took its time ends */
            if (rnd >> 9 & 1 || suite_take(store, take, now) != STORE_TAKEN) {
                suite_give_back(store, take);
                continue;
            }
            suite_keep(store, take, now);
            passed[count++] = now;
            if (count > LIMIT)
                assert_true(now - passed[count - 1 - LIMIT] >= PERIOD * S);
            continue;
        }
        suite_take_set(take, store, "u:a", PERIOD, 1, LIMIT);
        (void)suite_take(store, take, now);
    }
    assert_true(count > 10 * LIMIT);
}

/* A place that a dead owner had: at once, or, where such places are looked for only when they are missed, a moment
 * later. */
enum store_result suite_take_soon(struct store *store, struct take *take, int64_t now_us)
{
    enum store_result result = suite_take(store, take, now_us);
    for (int tries = 0; result == STORE_FULL && suite->pass_a_moment && tries < 100; tries++) {
        suite->pass_a_moment(store);
        result = suite_take(store, take, now_us);
    }
    return result;
}

void suite_lease_set(struct take *take, const struct store *store, const char *entity, uint64_t allowed)
{
    *take = (struct take){
        .counter = {.entity = str_of_z(entity), .kind = COUNTER_LEASES, .name = STR("open-connections")},
        .cost = {1},
        .allowed = {allowed, ALLOWED_ANY, ALLOWED_ANY},
    };
    counter_set_id(&take->counter, &store->key);
}

static void test_leases_are_places(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    struct take take[3], more;
    for (int i = 0; i < 3; i++) {
        suite_lease_set(&take[i], store, "i:192.0.2.7", 3);
        assert_int_equal(suite_take(store, &take[i], NOW), STORE_TAKEN);
        assert_int_equal(take[i].used[0], i + 1);
    }
    suite_lease_set(&more, store, "i:192.0.2.7", 3);
    assert_int_equal(suite_take(store, &more, NOW + 100000 * S), STORE_FULL); /* they do not age */
    assert_int_equal(more.used[0], 4);
    assert_true(more.wait_us == WAIT_UNKNOWN);
    suite_keep(store, &take[0], NOW); /* keeping is for what is counted in time */
    assert_true(take[0].held.is_held);
    suite_give_back(store, &take[0]);
    assert_int_equal(suite_take(store, &more, NOW), STORE_TAKEN);
    store->ops->drop_lease(store, take[1].counter.id, 1, take[1].held.generation);
    store->ops->drop_lease(store, take[2].counter.id, 1, take[2].held.generation);
    store->ops->drop_lease(store, more.counter.id, 1, more.held.generation);
    suite_lease_set(&more, store, "i:192.0.2.7", 1);
    assert_int_equal(suite_take(store, &more, NOW), STORE_TAKEN);
}

/* A lease and a window in one take: all or nothing between them too. */
static void test_leases_and_windows_together(void **state)
{
    struct store *store = &((struct suite_fixture *)*state)->store;
    struct take lease, window;
    for (int i = 0; i < 4; i++) {
        suite_lease_set(&lease, store, "i:a", 2);
        suite_take_set(&window, store, "i:a", 60, 1, 10);
        assert_int_equal(suite_take_both(store, &lease, &window, NOW), i < 2 ? STORE_TAKEN : STORE_FULL);
    }
    assert_int_equal(suite_used(store, "i:a", 60, NOW), 2);
}

/* Defect: concurrency counters that leak when a worker dies. */
static void test_a_dead_owners_leases_are_released(void **state)
{
    enum { OWNERS = 60 };
    struct suite_fixture *f = *state;
    struct store owners[OWNERS];
    struct take take;
    for (uint32_t i = 0; i < OWNERS; i++) {
        suite->open(f->context, &owners[i], 100 + i);
        for (uint32_t k = 0; k < 2; k++) {
            suite_lease_set(&take, &owners[i], "i:a", 2 * OWNERS);
            assert_int_equal(suite_take(&owners[i], &take, NOW), STORE_TAKEN);
            assert_int_equal(take.used[0], 2 * i + k + 1);
        }
    }
    suite_lease_set(&take, &f->store, "i:a", 2 * OWNERS);
    assert_int_equal(suite_take(&f->store, &take, NOW), STORE_FULL);
    for (uint32_t i = 0; i < OWNERS; i++) {
        f->store.ops->release_owner(&f->store, 100 + i);
        f->store.ops->release_owner(&f->store, 100 + i); /* twice does no more */
        suite_lease_set(&take, &f->store, "i:a", 2 * (OWNERS - 1 - i));
        assert_int_equal(suite_take(&f->store, &take, NOW), STORE_FULL);
        suite_lease_set(&take, &f->store, "i:a", 2 * (OWNERS - 1 - i) + 1);
        assert_int_equal(suite_take_soon(&f->store, &take, NOW), STORE_TAKEN);
        assert_int_equal(take.used[0], 2 * (OWNERS - 1 - i) + 1);
        suite_give_back(&f->store, &take);
        suite_close(&owners[i]);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int store_suite_run(const struct store_suite *the_suite)
{
    const struct CMUnitTest tests[] = {
        CASE(test_admits_exactly_the_limit),
        CASE(test_counters_are_apart),
        CASE(test_long_entities_count),
        CASE(test_all_or_nothing),
        CASE(test_retries_are_not_charged),
        CASE(test_the_wait_is_exact),
        CASE(test_a_cost_above_the_limit_never_fits),
        CASE(test_given_back_exactly),
        CASE(test_given_back_after_it_went),
        CASE(test_an_exchange_moves_and_resizes),
        CASE(test_a_refused_exchange_changes_nothing),
        CASE(test_what_is_held_stays),
        CASE(test_an_expired_charge_must_fit_again),
        CASE(test_kept_counts_from_when_it_passed),
        CASE(test_columns_are_apart),
        CASE(test_nothing_wraps),
        CASE(test_peek_charges_nothing),
        CASE(test_always),
        CASE(test_nothing),
        CASE(test_never_more_in_any_interval),
        CASE(test_leases_are_places),
        CASE(test_leases_and_windows_together),
        CASE(test_a_dead_owners_leases_are_released),
        CASE(test_values_count_once),
        CASE(test_values_are_answered),
        CASE(test_values_of_counters_are_apart),
        CASE(test_values_all_or_nothing),
        CASE(test_values_given_back),
        CASE(test_values_given_back_after_they_went),
        CASE(test_values_move),
        CASE(test_values_in_any_interval),
        CASE(test_very_many_values),
        CASE(test_known_values),
        CASE(test_forgets_what_was_counted),
        CASE(test_forgets_what_the_last_window_counted),
        CASE(test_forgets_one_column),
        CASE(test_forgets_nothing_of_nothing),
        CASE(test_forgets_what_is_held),
        CASE(test_forgets_values),
        CASE(test_greedy_processes_get_exactly_the_limit),
        CASE(test_greedy_processes_get_exactly_so_many_values),
        CASE(test_what_was_kept_is_what_is_counted),
        CASE(test_killed_at_any_instant),
        CASE(test_values_killed_at_any_instant),
    };
    suite = the_suite;
    if (suite->now_s)
        suite_now_us = suite->now_s * S;
    return cmocka_run_group_tests_name(suite->name, tests, NULL, NULL) +
           store_suite_run_scripts(fixture_setup, fixture_teardown);
}
