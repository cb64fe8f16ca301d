/* test_alert_outlet.c - queue, tries, rest and end of an outlet whose way the test plays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "process/alert_ways.h"

enum { RUNS_MAX = 16 };

/* How the next tries turn out. */
enum play { PLAY_SENT, PLAY_FAILED, PLAY_STARTED };

static struct {
    enum play play;
    unsigned starts, cancels, running_most, idles;
    struct alert_job *running[RUNS_MAX];
    unsigned running_count;
    char last[64]; /* the JSON of the last try */
} stage;

static enum started play_start(struct alert_ways *ways, struct alert_job *job, struct err *err)
{
    (void)ways;
    stage.starts++;
    str_copy_into(stage.last, sizeof stage.last, job->json);
    if (stage.play == PLAY_FAILED)
        err_set(err, "refused");
    if (stage.play != PLAY_STARTED)
        return DONE;
    assert_true(stage.running_count < RUNS_MAX);
    stage.running[stage.running_count++] = job;
    stage.running_most = MAX_OF(stage.running_most, stage.running_count);
    return STARTED;
}

static void play_cancel(struct alert_ways *ways, struct alert_job *job)
{
    (void)ways;
    unsigned i = 0;
    while (i < stage.running_count && stage.running[i] != job)
        i++;
    assert_true(i < stage.running_count);
    stage.running[i] = stage.running[--stage.running_count];
    stage.cancels++;
}

static const struct alert_way PLAY = {play_start, play_cancel};

static void on_idle(void *arg)
{
    (void)arg;
    stage.idles++;
}

struct fixture {
    struct loop loop;
    struct alert_config config;
    struct alert_times times;
    struct alert_rates rates;
    struct counters counters;
    struct alert_outlet outlet;
};

static int setup(void **state)
{
    struct err err;
    size_t bytes = (sizeof(struct fixture) + 63) / 64 * 64;
    struct fixture *f = aligned_alloc(64, bytes);
    if (!f)
        return -1;
    memset(f, 0, bytes);
    memset(&stage, 0, sizeof stage);
    if (!loop_init(&f->loop, &err) || !alert_rates_init(&f->rates, &err))
        return -1;
    f->config = (struct alert_config){.name = STR("ops"), .kind = ALERT_EXEC, .program = "/bin/true"};
    f->times = (struct alert_times){.deadline_ms = 3600000, .rest_ms = {0, 1, 1, 1}};
    f->outlet = (struct alert_outlet){.config = &f->config,
                                      .way = &PLAY,
                                      .times = &f->times,
                                      .loop = &f->loop,
                                      .rates = &f->rates,
                                      .counters = &f->counters,
                                      .on_idle = on_idle};
    alert_outlet_init(&f->outlet);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    alert_outlet_fini(&f->outlet);
    alert_rates_fini(&f->rates);
    loop_fini(&f->loop);
    free(f);
    return 0;
}

static uint64_t count(const struct fixture *f, enum counter_id c)
{
    return atomic_load(&f->counters.values[c]);
}

static void take(struct fixture *f, uint64_t id)
{
    char event[32];
    snprintf(event, sizeof event, "{\"n\":%u}", (unsigned)id);
    alert_outlet_take(&f->outlet, &(struct alert_message){.id = id, .key = STR("k"), .event = str_of_z(event)});
}

/* Turns until nothing is due. */
static void run_until(struct fixture *f, bool (*is_reached)(struct fixture *f))
{
    for (int i = 0; i < 1000 && !is_reached(f); i++)
        loop_run_once(&f->loop, 100);
    assert_true(is_reached(f));
}

static bool is_idle(struct fixture *f)
{
    return alert_outlet_is_idle(&f->outlet);
}

static void test_sent(void **state)
{
    struct fixture *f = *state;
    take(f, 1);
    assert_int_equal(stage.starts, 0); /* never from inside */
    loop_run_tasks(&f->loop);
    assert_int_equal(stage.starts, 1);
    assert_string_equal(stage.last, "{\"n\":1}");
    assert_int_equal(count(f, COUNTER_ALERTS_SENT), 1);
    assert_true(is_idle(f));
    assert_int_equal(stage.idles, 1);
    assert_false(f->outlet.is_failing);
}

/* Four tries, then it is given up and its rate given back; the next is tried after all. */
static void test_given_up(void **state)
{
    struct fixture *f = *state;
    uint32_t held_back;
    assert_true(alert_rates_claim(&f->rates, 1, 3600000, 1, &held_back));
    stage.play = PLAY_FAILED;
    take(f, 1);
    run_until(f, is_idle);
    assert_int_equal(stage.starts, ALERT_TRIES_MAX);
    assert_int_equal(count(f, COUNTER_ALERTS_FAILED), 1);
    assert_int_equal(count(f, COUNTER_ALERTS_SENT), 0);
    assert_true(f->outlet.is_failing);
    assert_true(alert_rates_claim(&f->rates, 1, 3600000, 2, &held_back));
    assert_int_equal(held_back, 1);
    stage.play = PLAY_SENT;
    take(f, 2);
    run_until(f, is_idle);
    assert_int_equal(count(f, COUNTER_ALERTS_SENT), 1);
    assert_false(f->outlet.is_failing);
}

/* What failed goes before what came later. */
static void test_order(void **state)
{
    struct fixture *f = *state;
    stage.play = PLAY_FAILED;
    take(f, 1);
    loop_run_tasks(&f->loop);
    take(f, 2);
    loop_run_tasks(&f->loop);
    assert_int_equal(stage.starts, 1); /* it rests */
    stage.play = PLAY_SENT;
    run_until(f, is_idle);
    assert_int_equal(stage.starts, 3);
    assert_string_equal(stage.last, "{\"n\":2}");
}

/* One that hangs: few run, the rest waits, what is beyond the bound is dropped and given back. */
static void test_full(void **state)
{
    struct fixture *f = *state;
    uint32_t held_back;
    stage.play = PLAY_STARTED;
    for (uint64_t i = 1; i <= ALERT_RUNNING_MAX; i++)
        take(f, i);
    loop_run_tasks(&f->loop);
    for (uint64_t i = 1; i <= ALERT_WAITING_MAX; i++)
        take(f, i);
    assert_int_equal(count(f, COUNTER_ALERTS_DROPPED), 0);
    assert_true(alert_rates_claim(&f->rates, 77, 3600000, 1, &held_back));
    take(f, 77);
    loop_run_tasks(&f->loop);
    assert_int_equal(count(f, COUNTER_ALERTS_DROPPED), 1);
    assert_true(alert_rates_claim(&f->rates, 77, 3600000, 2, &held_back));
    assert_int_equal(held_back, 1);
    assert_int_equal(stage.running_most, ALERT_RUNNING_MAX);
    assert_int_equal(f->outlet.waiting_count, ALERT_WAITING_MAX);
    while (stage.running_count) /* those that run come out */
        alert_job_done(stage.running[--stage.running_count], NULL);
    stage.play = PLAY_SENT;
    loop_run_tasks(&f->loop);
    assert_true(is_idle(f));
    assert_int_equal(count(f, COUNTER_ALERTS_SENT), ALERT_RUNNING_MAX + ALERT_WAITING_MAX);
}

static bool was_cancelled(struct fixture *f)
{
    (void)f;
    return stage.cancels > 0;
}

static void test_deadline(void **state)
{
    struct fixture *f = *state;
    f->times.deadline_ms = 1;
    f->times.rest_ms[1] = 3600000;
    stage.play = PLAY_STARTED;
    take(f, 1);
    run_until(f, was_cancelled);
    assert_true(f->outlet.is_failing);
    assert_int_equal(f->outlet.waiting_count, 1);
    assert_int_equal(f->outlet.running_count, 0);
}

/* While it fails, one at a time finds out whether it works again. */
static void test_one_scout(void **state)
{
    struct fixture *f = *state;
    f->outlet.is_failing = true;
    stage.play = PLAY_STARTED;
    for (uint64_t i = 1; i <= 8; i++)
        take(f, i);
    loop_run_tasks(&f->loop);
    assert_int_equal(stage.running_count, 1);
    alert_job_done(stage.running[--stage.running_count], NULL);
    loop_run_tasks(&f->loop);
    assert_int_equal(stage.running_count, ALERT_RUNNING_MAX);
}

/* The process ends: the rest is cut short, each has one more try and no other. */
static void test_end(void **state)
{
    struct fixture *f = *state;
    f->times.rest_ms[1] = 3600000;
    stage.play = PLAY_FAILED;
    take(f, 1);
    take(f, 2);
    loop_run_tasks(&f->loop);
    unsigned before = stage.starts;
    alert_outlet_end(&f->outlet);
    loop_run_tasks(&f->loop);
    assert_int_equal(stage.starts, before + 2);
    assert_true(is_idle(f));
    assert_int_equal(count(f, COUNTER_ALERTS_FAILED), 2);
    assert_true(stage.idles > 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(sent),     TEST(given_up),  TEST(order), TEST(full),
                                       TEST(deadline), TEST(one_scout), TEST(end)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
