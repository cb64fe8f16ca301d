/* Threads, queue and deadlines, with judges that the test holds back and lets go: no sleeping, no hashing. */
#include "auth/verifier.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>

#include <cmocka.h>

enum { PATIENCE_MS = 20000 };

/* A door that judges wait at. */
static pthread_mutex_t door_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t door_moves = PTHREAD_COND_INITIALIZER;
static bool door_is_open;
static unsigned at_door;

static _Atomic int64_t now_ms;

static int64_t read_now(void)
{
    return now_ms;
}

static void door_set(bool open)
{
    pthread_mutex_lock(&door_lock);
    door_is_open = open;
    at_door = open ? at_door : 0;
    pthread_cond_broadcast(&door_moves);
    pthread_mutex_unlock(&door_lock);
}

static void await_at_door(unsigned count)
{
    pthread_mutex_lock(&door_lock);
    while (at_door < count)
        pthread_cond_wait(&door_moves, &door_lock);
    pthread_mutex_unlock(&door_lock);
}

static enum auth_result judge_at_door(const struct auth_task *task)
{
    pthread_mutex_lock(&door_lock);
    at_door++;
    pthread_cond_broadcast(&door_moves);
    while (!door_is_open)
        pthread_cond_wait(&door_moves, &door_lock);
    pthread_mutex_unlock(&door_lock);
    return strcmp(task->password, "secret") == 0 ? task->if_right : task->if_wrong;
}

static enum auth_result judge_at_once(const struct auth_task *task)
{
    return strcmp(task->password, "secret") == 0 ? task->if_right : task->if_wrong;
}

static struct verifier *verifier_of(unsigned threads, unsigned jobs)
{
    struct err err;
    struct verifier *v = verifier_new(&(struct verifier_options){threads, jobs, read_now}, &err);
    assert_non_null(v);
    now_ms = 1000;
    return v;
}

static void submit(struct verifier *v, uint64_t id, const char *password, int64_t deadline_ms,
                   enum auth_result (*judge)(const struct auth_task *))
{
    struct verify_job *job = verifier_job_new(v);
    assert_non_null(job);
    job->id = id;
    job->owner = 3;
    job->deadline_ms = deadline_ms;
    job->task.judge = judge;
    job->task.if_right = AUTH_OK;
    job->task.if_wrong = AUTH_WRONG;
    str_copy_into(job->task.password, sizeof job->task.password, str_of_z(password));
    verifier_submit(v, job);
}

/* The next that is done; its password is gone already. */
static struct verify_job *await_done(struct verifier *v)
{
    for (;;) {
        struct verify_job *job = verifier_take_done(v);
        if (job) {
            for (size_t i = 0; i < sizeof job->task.password; i++)
                assert_int_equal(job->task.password[i], 0);
            return job;
        }
        struct pollfd p = {.fd = verifier_fd(v), .events = POLLIN};
        assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
    }
}

static void jobs_are_judged(void **state)
{
    (void)state;
    enum { JOBS = 200 };
    struct verifier *v = verifier_of(3, JOBS);
    bool seen[JOBS] = {false};
    for (uint64_t i = 0; i < JOBS; i++)
        submit(v, i, i % 2 ? "secret" : "other", 2000, judge_at_once);
    for (int i = 0; i < JOBS; i++) {
        struct verify_job *job = await_done(v);
        assert_in_range(job->id, 0, JOBS - 1);
        assert_false(seen[job->id]);
        seen[job->id] = true;
        assert_int_equal(job->owner, 3);
        assert_int_equal(job->result, job->id % 2 ? AUTH_OK : AUTH_WRONG);
        verifier_job_release(v, job);
    }
    assert_null(verifier_take_done(v));
    struct pollfd p = {.fd = verifier_fd(v), .events = POLLIN};
    assert_int_equal(poll(&p, 1, 0), 0);
    verifier_free(&v);
    assert_null(v);
}

static void the_pool_is_the_bound(void **state)
{
    (void)state;
    struct verifier *v = verifier_of(2, 5);
    door_set(false);
    for (uint64_t i = 0; i < 5; i++)
        submit(v, i, "secret", 2000, judge_at_door);
    assert_null(verifier_job_new(v));
    await_at_door(2); /* two run, three wait */
    assert_null(verifier_job_new(v));
    door_set(true);
    struct verify_job *job = await_done(v);
    assert_null(verifier_job_new(v)); /* done, but not released */
    verifier_job_release(v, job);
    job = verifier_job_new(v);
    assert_non_null(job);
    assert_null(verifier_job_new(v));
    verifier_job_release(v, job);
    verifier_free(&v);
}

static void what_nobody_waits_for_is_not_judged(void **state)
{
    (void)state;
    struct verifier *v = verifier_of(1, 8);
    door_set(false);
    submit(v, 1, "secret", 2000, judge_at_door);
    await_at_door(1);
    submit(v, 2, "secret", 2000, judge_at_door);
    submit(v, 3, "secret", 2001, judge_at_door);
    now_ms = 2000;
    door_set(true);
    enum auth_result results[4];
    for (int i = 0; i < 3; i++) {
        struct verify_job *job = await_done(v);
        results[job->id] = job->result;
        verifier_job_release(v, job);
    }
    assert_int_equal(results[1], AUTH_OK); /* was begun in time */
    assert_int_equal(results[2], AUTH_UNAVAILABLE);
    assert_int_equal(results[3], AUTH_OK);
    verifier_free(&v);
}

static void waiting_jobs_can_be_cancelled(void **state)
{
    (void)state;
    struct verifier *v = verifier_of(1, 3);
    door_set(false);
    submit(v, 1, "secret", 2000, judge_at_door);
    await_at_door(1);
    submit(v, 2, "secret", 2000, judge_at_door);
    submit(v, 3, "secret", 2000, judge_at_door);
    assert_false(verifier_cancel(v, 3, 1)); /* runs */
    assert_false(verifier_cancel(v, 3, 9)); /* never was */
    assert_false(verifier_cancel(v, 4, 2)); /* another's */
    assert_true(verifier_cancel(v, 3, 2));
    assert_false(verifier_cancel(v, 3, 2));
    struct verify_job *job = verifier_job_new(v); /* its place is free */
    assert_non_null(job);
    assert_int_equal(job->task.password[0], 0);
    verifier_job_release(v, job);
    door_set(true);
    uint64_t ids = 0;
    for (int i = 0; i < 2; i++) {
        job = await_done(v);
        ids += job->id;
        verifier_job_release(v, job);
    }
    assert_int_equal(ids, 1 + 3);
    verifier_free(&v);
}

static void the_end_waits_for_what_runs_only(void **state)
{
    (void)state;
    struct verifier *v = verifier_of(2, 64);
    door_set(true);
    for (uint64_t i = 0; i < 64; i++)
        submit(v, i, "secret", 2000, judge_at_door);
    verifier_free(&v);
    assert_null(v);
    verifier_free(&v); /* harmless */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_are_judged),
        cmocka_unit_test(the_pool_is_the_bound),
        cmocka_unit_test(what_nobody_waits_for_is_not_judged),
        cmocka_unit_test(waiting_jobs_can_be_cancelled),
        cmocka_unit_test(the_end_waits_for_what_runs_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
