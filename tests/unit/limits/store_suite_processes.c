/* store_suite_processes.c - the suite's cases with several processes, and with some that are killed. See store_suite.h.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "slowness.h"
#include "store_suite.h"

#define S    INT64_C(1000000)
#define HOUR 3600
#define NOW  SUITE_NOW

#define WORKERS 8
#define NAMES   3000 /* that are tried */

enum { COST_MAX = 4 };

/* What children tell, shared with them. */
struct shared {
    uint64_t admitted[WORKERS];
    uint64_t other[WORKERS];
    uint8_t seen[NAMES];
};

static struct shared *shared_new(void)
{
    struct shared *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(s != MAP_FAILED);
    return s;
}

/* Runs `work` in WORKERS processes; fills pids. */
static void fork_workers(struct suite_fixture *f, pid_t pids[WORKERS],
                         void (*work)(struct store *store, uint32_t worker, struct shared *shared),
                         struct shared *shared)
{
    for (uint32_t i = 0; i < WORKERS; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0) {
            struct store store;
            alarm(60 * tests_slowness()); /* no child outlives its test, nor does one hang */
            suite->open(f->context, &store, 10 + i);
            work(&store, i, shared);
            suite_close(&store);
            _exit(0);
        }
    }
}

static void wait_for_workers(const pid_t pids[WORKERS])
{
    for (uint32_t i = 0; i < WORKERS; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

/* Until a worker has done so much. The wait leaves the processor to those that are waited for. */
static void wait_until_done(const uint64_t *done, uint64_t count, pid_t pid)
{
    static const struct timespec A_MOMENT = {.tv_nsec = 200000};
    while (__atomic_load_n(done, __ATOMIC_SEQ_CST) < count) {
        assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
        nanosleep(&A_MOMENT, NULL);
    }
}

/* How many charges may count that were to be given back: a store in shared memory gives that up where a lock is not had
 * in time, which happens on a machine that has no processor for the lock's owner. It says so. */
static uint64_t not_given_back(const struct suite_fixture *f)
{
    return suite->not_given_back ? suite->not_given_back(f->context) : 0;
}

static void be_greedy(struct store *store, uint32_t worker, struct shared *shared)
{
    for (int refused = 0; refused < 200;) {
        if (suite_admits(store, "u:a", HOUR, 1, 2000, NOW))
            shared->admitted[worker]++;
        else
            refused++;
    }
}

/* Defect: GET, compare, INCR: 127 admitted for a limit of 100 with 50 clients. And no place is lost either: those who
 * try at once for the last one may all be refused, each by the other's try, but then it is still there. */
void test_greedy_processes_get_exactly_the_limit(void **state)
{
    struct suite_fixture *f = *state;
    struct shared *shared = shared_new();
    pid_t pids[WORKERS];
    fork_workers(f, pids, be_greedy, shared);
    wait_for_workers(pids);
    uint64_t sum = 0, left = 0;
    for (int i = 0; i < WORKERS; i++)
        sum += shared->admitted[i];
    while (suite_admits(&f->store, "u:a", HOUR, 1, 2000, NOW))
        left++;
    assert_true(left < WORKERS);
    assert_int_equal(sum + left, 2000);
    assert_int_equal(suite_used(&f->store, "u:a", HOUR, NOW), 2000);
    munmap(shared, sizeof *shared);
}

/* Each worker has its own limit and one that all share; some mails are refused by the MTA, some grow, some are kept. */
static void send_mails(struct store *store, uint32_t worker, struct shared *shared)
{
    uint32_t rnd = worker + 1;
    char own[16];
    snprintf(own, sizeof own, "u:%u", worker);
    for (int i = 0; i < 3000; i++) {
        rnd = rnd * 1664525u + 1013904223u;
        struct take mine, all;
        suite_take_set(&mine, store, own, HOUR, 1 + (rnd >> 20) % 3, 700);
        suite_take_set(&all, store, "g", HOUR, mine.cost[0], 4000);
        if (suite_take_both(store, &mine, &all, NOW) != STORE_TAKEN)
            continue;
        mine.cost[0] = all.cost[0] = 1 + (rnd >> 24) % COST_MAX;
        if (rnd >> 28 & 1 || suite_take_both(store, &mine, &all, NOW) != STORE_TAKEN) {
            suite_give_back(store, &mine);
            suite_give_back(store, &all);
            continue;
        }
        shared->admitted[worker] += mine.cost[0];
        suite_keep(store, &mine, NOW);
        suite_keep(store, &all, NOW);
    }
}

void test_what_was_kept_is_what_is_counted(void **state)
{
    struct suite_fixture *f = *state;
    struct shared *shared = shared_new();
    pid_t pids[WORKERS];
    fork_workers(f, pids, send_mails, shared);
    wait_for_workers(pids);
    uint64_t sum = 0, lost = COST_MAX * not_given_back(f);
    for (uint32_t i = 0; i < WORKERS; i++) {
        char own[16];
        snprintf(own, sizeof own, "u:%u", i);
        assert_in_range(suite_used(&f->store, own, HOUR, NOW), shared->admitted[i], shared->admitted[i] + lost);
        sum += shared->admitted[i];
    }
    assert_in_range(suite_used(&f->store, "g", HOUR, NOW), sum, sum + lost);
    assert_in_range(sum, 3900 - lost, 4000);
    munmap(shared, sizeof *shared);
}

/* For ever: whoever runs this is killed. */
static void work_till_killed(struct store *store, uint32_t worker, struct shared *shared)
{
    for (uint32_t i = 0;; i++) {
        char name[16];
        snprintf(name, sizeof name, "u:%u", i % 50);
        struct take mine, all, lease;
        suite_take_set(&mine, store, name, HOUR, 1, ALLOWED_ANY);
        suite_take_set(&all, store, "g", 60, 1, ALLOWED_ANY);
        suite_lease_set(&lease, store, "i:a", ALLOWED_ANY);
        __atomic_store_n(&shared->other[worker], i + 1, __ATOMIC_SEQ_CST); /* at most that many were charged */
        if (suite_take_both(store, &mine, &all, NOW + i % 7) != STORE_TAKEN ||
            suite_take(store, &lease, NOW) != STORE_TAKEN)
            _exit(1);
        __atomic_store_n(&shared->admitted[worker], i + 1, __ATOMIC_SEQ_CST); /* at least that many */
        if (i % 3 == 0)
            suite_give_back(store, &lease);
    }
}

/* A worker is killed at any instant, be it with locks held: the others go on, no charge that was answered is lost, at
 * most the mail it was at counts too much, and its open connections go. */
void test_killed_at_any_instant(void **state)
{
    struct suite_fixture *f = *state;
    struct shared *shared = shared_new();
    uint64_t at_least = 0, at_most = 0;
    for (int round = 0; round < 12; round++) {
        pid_t pids[WORKERS];
        memset(shared, 0, sizeof *shared);
        fork_workers(f, pids, work_till_killed, shared);
        for (uint32_t i = 0; i < WORKERS; i++) {
            wait_until_done(&shared->admitted[i], 50 + (uint64_t)round * 5, pids[i]);
            kill(pids[i], SIGKILL);
        }
        for (uint32_t i = 0; i < WORKERS; i++) {
            int status;
            assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
            assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
            at_least += shared->admitted[i];
            at_most += shared->other[i];
            f->store.ops->release_owner(&f->store, 10 + i);
        }
        uint64_t used = suite_used(&f->store, "g", 60, NOW + 7), sum = 0;
        assert_true(used >= at_least && used <= at_most);
        for (int i = 0; i < 50; i++) {
            char name[16];
            snprintf(name, sizeof name, "u:%d", i);
            sum += suite_used(&f->store, name, HOUR, NOW + 7);
        }
        assert_true(sum >= at_least && sum <= at_most);
        struct take lease;
        suite_lease_set(&lease, &f->store, "i:a", 1);
        assert_int_equal(suite_take_soon(&f->store, &lease, NOW), STORE_TAKEN);
        suite_give_back(&f->store, &lease);
    }
    munmap(shared, sizeof *shared);
}

/* Tries random ones of very many names; some turn out to be none. */
static void try_names(struct store *store, uint32_t worker, struct shared *shared)
{
    uint32_t rnd = worker + 1;
    for (int refused = 0; refused < 200;) {
        char name[16];
        struct suite_values v;
        rnd = rnd * 1664525u + 1013904223u;
        snprintf(name, sizeof name, "%u", (rnd >> 8) % NAMES);
        suite_values_set(&v, store, "n:a", HOUR, name, 700);
        if (suite_take(store, &v.take, NOW) != STORE_TAKEN) {
            refused++;
            continue;
        }
        if (rnd >> 29 == 0) {
            suite_give_back(store, &v.take);
            continue;
        }
        suite_keep(store, &v.take, NOW);
        __atomic_store_n(&shared->seen[(rnd >> 8) % NAMES], 1, __ATOMIC_RELAXED);
    }
}

static bool keeps_name(struct store *store, int number)
{
    char name[16];
    struct suite_values v;
    snprintf(name, sizeof name, "%d", number);
    suite_values_set(&v, store, "n:a", HOUR, name, 700);
    if (suite_take(store, &v.take, NOW) != STORE_TAKEN)
        return false;
    suite_keep(store, &v.take, NOW);
    return true;
}

void test_greedy_processes_get_exactly_so_many_values(void **state)
{
    struct suite_fixture *f = *state;
    struct shared *shared = shared_new();
    pid_t pids[WORKERS];
    fork_workers(f, pids, try_names, shared);
    wait_for_workers(pids);
    uint64_t different = 0, left = 0, lost = not_given_back(f);
    for (int i = 0; i < NAMES; i++)
        different += shared->seen[i];
    for (int i = 0; i < NAMES; i++) /* what those who tried at once for the last places have left */
        left += !shared->seen[i] && keeps_name(&f->store, i);
    assert_true(left < WORKERS);
    assert_in_range(different + left, 700 - lost, 700);
    assert_int_equal(suite_values_used(&f->store, "n:a", HOUR, NOW), 700);
    munmap(shared, sizeof *shared);
}

/* For ever: whoever runs this is killed. All names have been kept before, or will be given back. */
static void hold_names_till_killed(struct store *store, uint32_t worker, struct shared *shared)
{
    for (uint32_t i = 0;; i++) {
        char names[32];
        struct suite_values v;
        snprintf(names, sizeof names, "%u %u none%u", i % 50, (i + 7) % 50, i % 20);
        suite_values_set(&v, store, "n:a", 64, names, ALLOWED_ANY);
        if (suite_take(store, &v.take, NOW + i % 7) != STORE_TAKEN)
            _exit(1);
        suite_give_back(store, &v.take);
        snprintf(names, sizeof names, "%u", i % 50);
        suite_values_set(&v, store, "n:a", 64, names, ALLOWED_ANY);
        if (suite_take(store, &v.take, NOW + i % 5) != STORE_TAKEN)
            _exit(1);
        suite_keep(store, &v.take, NOW + i % 5);
        __atomic_store_n(&shared->admitted[worker], i + 1, __ATOMIC_SEQ_CST);
    }
}

/* A worker is killed at any instant: no value that was kept is lost, and what the dead one held counts too much at
 * most, and not for longer than its window. */
void test_values_killed_at_any_instant(void **state)
{
    struct suite_fixture *f = *state;
    struct shared *shared = shared_new();
    for (int round = 0; round < 12; round++) {
        pid_t pids[WORKERS];
        memset(shared, 0, sizeof *shared);
        fork_workers(f, pids, hold_names_till_killed, shared);
        for (uint32_t i = 0; i < WORKERS; i++) {
            wait_until_done(&shared->admitted[i], 50 + (uint64_t)round * 5, pids[i]);
            kill(pids[i], SIGKILL);
        }
        for (uint32_t i = 0; i < WORKERS; i++) {
            int status;
            assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
            assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        }
        /* 50 were kept; each of those killed until now may have left what it held, three, and one twice. */
        uint64_t used = suite_values_used(&f->store, "n:a", 64, NOW + 7);
        assert_true(used >= 50 && used <= 50 + 4 * WORKERS * ((uint64_t)round + 1));
    }
    assert_int_equal(suite_values_used(&f->store, "n:a", 64, NOW + 69 * S), 0);
    struct suite_values v;
    suite_values_set(&v, &f->store, "n:a", 64, "1 2 none3", ALLOWED_ANY);
    assert_int_equal(suite_take(&f->store, &v.take, NOW + 69 * S), STORE_TAKEN);
    assert_int_equal(v.take.used[0], 3);
    suite_give_back(&f->store, &v.take);
    assert_int_equal(suite_values_used(&f->store, "n:a", 64, NOW + 69 * S), 0);
    munmap(shared, sizeof *shared);
}
