/*
 * test_limiter_later.c - the limiter over a store that answers later, as one behind a network does: DONE or STARTED,
 * the callback exactly once, cancelled mails, failures, and floods that a remembered denial keeps away from it.
 *
 * The store is late_store.h. It passes the suite of every store as well.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "late_store.h"
#include "limiter_fixture.h"
#include "limits/attempt.h"
#include "store_suite.h"

/* ---- The limiter over it ---- */

static const struct limit TEN = {
    .name = STR("ten"), .unit = UNIT_RECIPIENTS, RATES({10, HOUR}), THRESHOLDS({100, REFUSAL_DEFER, .logs = true})};

struct fixture {
    struct limiter_fixture *base; /* its own store is a way to look behind the door */
    struct store store;
    struct limiter limiter;
    unsigned called;
    struct reservation *called_with;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    void *base;
    struct err err;
    assert_non_null(f);
    assert_int_equal(limiter_setup(&base), 0);
    f->base = base;
    const struct store_options options = {.memory = f->base->memory, .owner = 2};
    assert_true(store_open(&f->store, &late_store_ops, &options, &err));
    assert_true(limiter_init(&f->limiter, &f->store));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    limiter_fini(&f->limiter);
    store_close(&f->store);
    void *base = f->base;
    limiter_teardown(&base);
    free(f);
    return 0;
}

static void on_answer(struct reservation *r, void *arg)
{
    struct fixture *f = arg;
    f->called++;
    f->called_with = r;
}

static struct reservation *prepare(struct fixture *f, const struct charge *c)
{
    struct reservation *r = arena_alloc(&f->base->arena, sizeof *r);
    assert_non_null(r);
    assert_true(reservation_init(r, &f->base->arena, c, 1));
    return r;
}

static struct reservation *start(struct fixture *f, const struct charge *c, int64_t now_us)
{
    struct reservation *r = prepare(f, c);
    assert_int_equal(limiter_reserve_start(&f->limiter, r, c, 1, now_us, 50, on_answer, f), STARTED);
    return r;
}

/* Behind the door: what is really counted. */
static uint64_t counted(struct fixture *f, int64_t now_us)
{
    const struct charge nothing = {.limit = &TEN, .entity = STR("u:a")};
    return reserve(f->base, &nothing, 1, now_us)->readings[0].used;
}

static void test_the_answer_comes_once(void **state)
{
    struct fixture *f = *state;
    const struct charge c = mail_charge(&TEN, "u:a", 10, 1);
    struct reservation *r = start(f, &c, NOW);
    assert_int_equal(f->called, 0);
    late_answer(&f->store, false);
    assert_int_equal(f->called, 1);
    assert_ptr_equal(f->called_with, r);
    assert_int_equal(r->verdict, VERDICT_RESERVED);
    assert_int_equal(r->readings[0].used, 10);
    assert_int_equal(limiter_settle_start(&f->limiter, r, 500, NOW, 50, on_answer, f), STARTED);
    late_answer(&f->store, false);
    assert_int_equal(f->called, 2);
    assert_int_equal(r->verdict, VERDICT_RESERVED);
    limiter_keep(&f->limiter, r, NOW);
    r = start(f, &c, NOW);
    late_answer(&f->store, false);
    assert_refusal(r, "ten: 10 per 1h used up, 20 with this mail; try again in 1h4m");
    assert_true(r->passed[0].newly);
    assert_int_equal(counted(f, NOW), 10);
}

static void test_cancelled(void **state)
{
    struct fixture *f = *state;
    const struct charge c = mail_charge(&TEN, "u:a", 4, 1);
    struct reservation *r = start(f, &c, NOW);
    limiter_cancel(&f->limiter, r);
    limiter_cancel(&f->limiter, r); /* harmless */
    assert_false(late_waits(&f->store));
    assert_int_equal(counted(f, NOW), 0);
    /* While it settles: what was reserved is given back. */
    r = start(f, &c, NOW);
    late_answer(&f->store, false);
    assert_int_equal(counted(f, NOW), 4);
    assert_int_equal(limiter_settle_start(&f->limiter, r, 500, NOW, 50, on_answer, f), STARTED);
    limiter_cancel(&f->limiter, r);
    assert_int_equal(counted(f, NOW), 0);
    assert_int_equal(f->called, 1);
}

static void test_a_store_that_is_away(void **state)
{
    struct fixture *f = *state;
    char text[128];
    const struct charge c = mail_charge(&TEN, "u:a", 4, 1);
    struct reservation *r = start(f, &c, NOW);
    late_answer(&f->store, true);
    assert_int_equal(r->verdict, VERDICT_FAILED);
    limiter_refusal_text(r, text, sizeof text);
    assert_string_equal(text, "limits cannot be checked now; try again later");
    /* While it settles: nothing stays charged. */
    r = start(f, &c, NOW);
    late_answer(&f->store, false);
    assert_int_equal(limiter_settle_start(&f->limiter, r, 500, NOW, 50, on_answer, f), STARTED);
    late_answer(&f->store, true);
    assert_int_equal(r->verdict, VERDICT_FAILED);
    assert_int_equal(counted(f, NOW), 0);
}

/* A flood fills no log: of a refusal that still holds nothing is said again, in whatever worker's store it is known. */
static void test_a_denial_is_said_once(void **state)
{
    struct fixture *f = *state;
    const struct charge full = mail_charge(&TEN, "u:a", 8, 1), c = mail_charge(&TEN, "u:a", 5, 1);
    struct reservation *r = start(f, &full, NOW);
    late_answer(&f->store, false);
    limiter_keep(&f->limiter, r, NOW);
    r = prepare(f, &c);
    limiter_peek(&f->limiter, r, &c, 1, NOW);
    assert_int_equal(r->verdict, VERDICT_RESERVED); /* nothing is known yet */
    for (int64_t at_s = 0; at_s < 3825; at_s += 225) {
        r = start(f, &c, NOW + at_s * S);
        late_answer(&f->store, false);
        assert_int_equal(r->verdict, VERDICT_REFUSED);
        assert_int_equal(r->retry_after_ms, (3825 - at_s) * 1000);
        assert_int_equal(r->passed[0].newly, at_s == 0);
    }
    r = start(f, &c, NOW + 3825 * S);
    late_answer(&f->store, false);
    assert_int_equal(r->verdict, VERDICT_RESERVED);
}

/* ---- A store that decides by itself ---- */

/* By a share of what is allowed: full, though the counts it shows would fit. */
static void decide_full(struct store_op *op)
{
    struct take *take = op->takes[0];
    enum column column = take->counter.kind == COUNTER_OWN ? COLUMN_ONE : COLUMN_RECIPIENTS;
    take->used[column] = take->growth[column] = take->cost[column];
    take->is_over[column] = true;
    take->wait_us = 60 * S;
    op->result = STORE_FULL;
}

/* `failure open`: taken, though they would not. */
static void decide_open(struct store_op *op)
{
    struct take *take = op->takes[0];
    for (size_t c = 0; c < COLUMNS; c++) {
        take->used[c] = 1000;
        take->growth[c] = take->cost[c];
        take->is_over[c] = false;
    }
    take->wait_us = 0;
    op->result = STORE_TAKEN;
}

/* What the store says is over is what refuses, whatever counts stand beside it: the strictest limit of the counter is
 * named. */
static void test_a_store_that_decides_alone(void **state)
{
    struct fixture *f = *state;
    const struct limit wider = {.name = STR("wider"), .unit = UNIT_RECIPIENTS, RATES({20, HOUR}), AT_100_DEFER};
    const struct charge both[] = {mail_charge(&wider, "u:a", 4, 1), mail_charge(&TEN, "u:a", 4, 1)};
    struct reservation *r = arena_alloc(&f->base->arena, sizeof *r);
    assert_non_null(r);
    assert_true(reservation_init(r, &f->base->arena, both, 2));
    late_of(&f->store)->decide = decide_full;
    assert_int_equal(limiter_reserve_start(&f->limiter, r, both, 2, NOW, 50, on_answer, f), STARTED);
    late_answer(&f->store, false);
    assert_int_equal(r->verdict, VERDICT_REFUSED);
    assert_ptr_equal(r->refused_by->limit, &TEN);
    assert_int_equal(r->passed_count, 1);
    assert_int_equal(r->passed[0].threshold->refusal, REFUSAL_DEFER);
    assert_int_equal(r->retry_after_ms, 60000);
    assert_refusal(r, "ten: 10 per 1h used up, 4 with this mail; try again in 1m");
    char text[256];
    limiter_refusal_logged(r, text, sizeof text);
    assert_string_equal(text,
                        "ten: 10 per 1h used up but for the shares of other nodes, 4 with this mail; try again in "
                        "1m");
    late_of(&f->store)->decide = decide_open;
    const struct charge other = mail_charge(&TEN, "u:b", 4, 1);
    r = start(f, &other, NOW);
    late_answer(&f->store, false);
    assert_int_equal(r->verdict, VERDICT_RESERVED);
    assert_int_equal(r->readings[0].used, 1000);
}

/* ---- How full it is ---- */

/* Whatever is allowed, and without being charged; a store that is away has nothing to say. */
static void test_a_look(void **state)
{
    struct fixture *f = *state;
    const struct charge full = mail_charge(&TEN, "u:a", 10, 1), more = mail_charge(&TEN, "u:a", 50, 1);
    struct reservation *r = start(f, &full, NOW);
    late_answer(&f->store, false);
    r = prepare(f, &more);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(limiter_look_start(&f->limiter, r, &more, 1, NOW, 50, on_answer, f), STARTED);
        late_answer(&f->store, false);
        assert_int_equal(r->verdict, VERDICT_RESERVED);
        assert_int_equal(r->readings[0].used, 10);
        assert_int_equal(r->passed_count, 0);
    }
    assert_int_equal(limiter_look_start(&f->limiter, r, &more, 1, NOW, 50, on_answer, f), STARTED);
    late_answer(&f->store, true);
    assert_int_equal(r->verdict, VERDICT_FAILED);
    assert_int_equal(limiter_look_start(&f->limiter, r, &more, 1, NOW, 50, on_answer, f), STARTED);
    limiter_cancel(&f->limiter, r);
    assert_int_equal(limiter_look_start(&f->base->limiter, r, &more, 1, NOW, 50, NULL, NULL), DONE);
    assert_int_equal(r->readings[0].used, 10);
}

/* ---- Events and login attempts over it ---- */

static void test_an_event_later(void **state)
{
    struct fixture *f = *state;
    const struct limit errors = {.name = STR("errors"), .unit = UNIT_ERRORS, RATES({2, HOUR}), AT_100_DEFER};
    const struct charge c = {.limit = &errors, .entity = STR("i:a"), .cost = {3}};
    struct reservation *r = prepare(f, &c);
    assert_int_equal(limiter_count_start(&f->limiter, r, &c, 1, NOW, 50, on_answer, f), STARTED);
    assert_int_equal(f->called, 0);
    late_answer(&f->store, false);
    assert_int_equal(f->called, 1);
    assert_refusal(r, "errors: 2 per 1h used up, 3 with this error; try again in 1h4m");
    assert_int_equal(limiter_above_start(&f->limiter, r, &c, 1, NOW, 50, on_answer, f), STARTED);
    late_answer(&f->store, false);
    assert_refusal(r, "errors: 2 per 1h used up, 3 by now; try again in 1h4m");
    assert_int_equal(limiter_above_start(&f->limiter, r, &c, 1, NOW, 50, on_answer, f), STARTED);
    late_answer(&f->store, true);
    assert_int_equal(r->verdict, VERDICT_FAILED);
}

static const struct limit GUESSING = {.name = STR("guessing"), .unit = UNIT_GUESSES, RATES({2, 900}), AT_100_DEFER};
static const struct limit FAILING = {
    .name = STR("failing"), .unit = UNIT_AUTH_FAILURES, RATES({20, 900}), AT_100_DEFER};

struct login {
    struct attempt attempt;
    struct charge charges[2];
    struct fixture *f;
    unsigned called;
};

static void on_attempt(struct attempt *a, void *arg)
{
    struct login *login = arg;
    if (a != &login->attempt)
        abort();
    login->called++;
}

/* Up to the first question. */
static struct login *login_begin(struct fixture *f, const char *password)
{
    struct login *login = arena_alloc(&f->base->arena, sizeof *login);
    assert_non_null(login);
    *login = (struct login){.f = f,
                            .charges = {{.limit = &GUESSING, .entity = STR("n:a"), .cost = {1}},
                                        {.limit = &FAILING, .entity = STR("n:a"), .cost = {1}}}};
    assert_true(attempt_init(&login->attempt, &f->base->arena, login->charges, 2));
    assert_int_equal(
        attempt_start(&f->limiter, &login->attempt, STR("u:alice"), str_of_z(password), NOW, 50, on_attempt, login),
        STARTED);
    return login;
}

static void login_fail(struct login *login)
{
    assert_int_equal(attempt_failed_start(&login->attempt, NOW, 50, on_attempt, login), STARTED);
}

static void assert_auth_counts(struct fixture *f, uint64_t guesses, uint64_t failures)
{
    const struct charge c[] = {{.limit = &GUESSING, .entity = STR("n:a")}, {.limit = &FAILING, .entity = STR("n:a")}};
    struct reservation *r = reserve(f->base, c, 2, NOW);
    assert_int_equal(r->readings[0].used, guesses);
    assert_int_equal(r->readings[1].used, failures);
}

static void test_an_attempt_later(void **state)
{
    struct fixture *f = *state;
    struct login *login = login_begin(f, "a");
    late_answer(&f->store, false); /* not tried before */
    assert_int_equal(login->called, 0);
    late_answer(&f->store, false); /* reserved */
    assert_int_equal(login->called, 1);
    assert_int_equal(login->attempt.reservation.verdict, VERDICT_RESERVED);
    assert_auth_counts(f, 1, 1);
    login_fail(login);
    assert_int_equal(login->called, 1);
    late_answer(&f->store, false);
    assert_int_equal(login->called, 2);
    assert_auth_counts(f, 1, 1);
    login = login_begin(f, "a"); /* tried: a failure, no guess */
    late_answer(&f->store, false);
    late_answer(&f->store, false);
    assert_auth_counts(f, 1, 2);
    attempt_give_back(&login->attempt);
    assert_auth_counts(f, 1, 1);
}

/* The session ends while something is asked: before the password was checked nothing stays, after it failed all does.
 */
static void test_an_attempt_cancelled(void **state)
{
    struct fixture *f = *state;
    for (int answered = 0; answered < 3; answered++) {
        struct login *login = login_begin(f, "a");
        for (int i = 0; i < answered; i++)
            late_answer(&f->store, false);
        attempt_cancel(&login->attempt);
        assert_false(late_waits(&f->store));
        attempt_give_back(&login->attempt);
        assert_auth_counts(f, 0, 0);
    }
    struct login *login = login_begin(f, "a");
    late_answer(&f->store, false);
    late_answer(&f->store, false);
    login_fail(login);
    attempt_cancel(&login->attempt);
    assert_false(late_waits(&f->store));
    assert_int_equal(login->called, 1);
    attempt_give_back(&login->attempt);
    assert_auth_counts(f, 1, 1);
}

/* Where it cannot be said whether the password was tried, it is a guess; where nothing can be reserved, it says so. */
static void test_an_attempt_while_the_store_is_away(void **state)
{
    struct fixture *f = *state;
    struct login *login = login_begin(f, "a");
    late_answer(&f->store, true);
    late_answer(&f->store, true);
    assert_int_equal(login->attempt.reservation.verdict, VERDICT_FAILED);
    login = login_begin(f, "a");
    late_answer(&f->store, true);
    late_answer(&f->store, false);
    login_fail(login);
    late_answer(&f->store, true);
    assert_int_equal(login->called, 2);
    assert_auth_counts(f, 1, 1);
}

/* A flood of new values is not answered from memory: others of them may be known. */
static void test_values_are_asked_for(void **state)
{
    struct fixture *f = *state;
    const struct limit two = {.name = STR("two"), .unit = UNIT_DISTINCT_RECIPIENTS, RATES({2, HOUR}), AT_100_DEFER};
    static const struct str KNOWN[] = {STR("a"), STR("b")}, NEW[] = {STR("a"), STR("c")};
    struct charge c = {.limit = &two, .entity = STR("u:a"), .values = KNOWN, .value_count = 2};
    struct reservation *r = start(f, &c, NOW);
    late_answer(&f->store, false);
    limiter_keep(&f->limiter, r, NOW);
    c.values = NEW;
    r = start(f, &c, NOW);
    late_answer(&f->store, false);
    assert_refusal(r, "two: 2 per 1h used up, 3 with this mail; try again in 1h4m");
    c.values = KNOWN;
    r = start(f, &c, NOW);
    late_answer(&f->store, false);
    assert_int_equal(r->verdict, VERDICT_RESERVED);
}

/* ---- It passes what every store must pass ---- */

static void *suite_setup(void)
{
    struct err err;
    void *memory = mmap(NULL, store_memory_size(8192), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    assert_true(store_memory_init(memory, 8192, &err));
    return memory;
}

static void suite_teardown(void *memory)
{
    store_memory_fini(memory);
    munmap(memory, store_memory_size(8192));
}

static void suite_open(void *memory, struct store *store, uint32_t owner)
{
    struct err err;
    const struct store_options options = {.memory = memory, .owner = owner};
    if (!store_open(store, &late_store_ops, &options, &err))
        abort();
}

static uint64_t suite_not_given_back(void *memory)
{
    struct store_memory_stats stats;
    store_memory_stats_get(memory, SUITE_NOW, &stats);
    return stats.timeouts;
}

static void suite_wait(void *context, struct store *store, const bool *done)
{
    (void)context;
    late_answer(store, false);
    if (!*done)
        abort();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_answer_comes_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancelled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_store_that_is_away, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_denial_is_said_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_store_that_decides_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_look, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_event_later, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_attempt_later, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_attempt_cancelled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_attempt_while_the_store_is_away, setup, teardown),
        cmocka_unit_test_setup_teardown(test_values_are_asked_for, setup, teardown),
    };
    static const struct store_suite SUITE = {
        .name = "suite: a store that answers later",
        .setup = suite_setup,
        .teardown = suite_teardown,
        .open = suite_open,
        .wait = suite_wait,
        .not_given_back = suite_not_given_back,
    };
    int failed = store_suite_run(&SUITE);
    return failed + cmocka_run_group_tests_name("the limiter over it", tests, NULL, NULL);
}
