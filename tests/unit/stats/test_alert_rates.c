/* test_alert_rates.c - at most one in its time for one key; what was held back is told; a full table forgets the
 * oldest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "stats/alert_rates.h"

enum { EVERY = 3600000, START = 1000, PROCESSES = 4, ROUNDS = 2000 };

static int setup(void **state)
{
    void *p = mmap(NULL, sizeof(struct alert_rates), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return -1;
    *state = p;
    struct err err;
    return alert_rates_init(p, &err) ? 0 : -1;
}

static int teardown(void **state)
{
    alert_rates_fini(*state);
    return munmap(*state, sizeof(struct alert_rates));
}

static void test_names(void **state)
{
    struct alert_rates *r = *state;
    uint64_t id = alert_rates_id(r, STR("hook"), STR("user:a"));
    assert_true(id == alert_rates_id(r, STR("hook"), STR("user:a")));
    assert_true(id != alert_rates_id(r, STR("hook"), STR("user:b")));
    assert_true(id != alert_rates_id(r, STR("mail"), STR("user:a")));
    assert_true(id != alert_rates_id(r, STR("hoo"), STR("kuser:a")));
    assert_true(alert_rates_id(r, STR("hook"), STR_NONE) == alert_rates_id(r, STR("hook"), STR("")));
}

static void test_one_in_its_time(void **state)
{
    static const struct {
        const char *key;
        int64_t at_ms;
        bool sends;
        uint32_t held_back;
    } STEPS[] = {
        {"a", START, true, 0},
        {"a", START, false, 0},
        {"b", START, true, 0},
        {"a", START + EVERY - 1, false, 0},
        {"a", START + EVERY, true, 2},
        {"a", START + 2 * EVERY, true, 0},
        {"b", START + 2 * EVERY, true, 0},
        {"a", START + 2 * EVERY + 1, false, 0},
    };
    struct alert_rates *r = *state;
    for (size_t i = 0; i < COUNT_OF(STEPS); i++) {
        uint32_t held_back = 0;
        uint64_t id = alert_rates_id(r, STR("hook"), str_of_z(STEPS[i].key));
        assert_int_equal(alert_rates_claim(r, id, EVERY, STEPS[i].at_ms, &held_back), STEPS[i].sends);
        assert_int_equal(held_back, STEPS[i].held_back);
    }
}

static void test_given_back(void **state)
{
    struct alert_rates *r = *state;
    uint32_t held_back = 0;
    uint64_t id = alert_rates_id(r, STR("hook"), STR("a"));
    alert_rates_give_back(r, id, 7); /* not there: nothing */
    assert_true(alert_rates_claim(r, id, EVERY, START, &held_back));
    assert_int_equal(held_back, 0);
    assert_false(alert_rates_claim(r, id, EVERY, START + 1, &held_back));
    alert_rates_give_back(r, id, 0);
    assert_true(alert_rates_claim(r, id, EVERY, START + 2, &held_back));
    assert_int_equal(held_back, 2); /* the one that was held back, and the one that failed */
    assert_false(alert_rates_claim(r, id, EVERY, START + 3, &held_back));
}

/* One more than a bucket holds: the first is forgotten, the others are not. */
static void test_full_bucket(void **state)
{
    struct alert_rates *r = *state;
    uint32_t held_back = 0;
    for (uint64_t i = 1; i <= ALERT_RATES_WAYS + 1; i++)
        assert_true(alert_rates_claim(r, i * ALERT_RATES_BUCKETS, EVERY, START + (int64_t)i, &held_back));
    for (uint64_t i = 2; i <= ALERT_RATES_WAYS + 1; i++)
        assert_false(alert_rates_claim(r, i * ALERT_RATES_BUCKETS, EVERY, START + 100, &held_back));
    assert_true(alert_rates_claim(r, ALERT_RATES_BUCKETS, EVERY, START + 100, &held_back));
}

/* Several processes at once: each of the alerts is sent by one of them. Where the machine is so busy that one waits for
 * the lock in vain, it sends. */
static void test_processes(void **state)
{
    struct alert_rates *r = *state;
    _Atomic uint32_t *sent = mmap(NULL, sizeof *sent, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(sent != MAP_FAILED);
    pid_t pids[PROCESSES];
    for (size_t p = 0; p < PROCESSES; p++) {
        pids[p] = fork();
        assert_true(pids[p] >= 0);
        if (pids[p] > 0)
            continue;
        uint32_t held_back;
        for (uint64_t i = 1; i <= ROUNDS; i++)
            if (alert_rates_claim(r, i * 7919, EVERY, START, &held_back))
                atomic_fetch_add(sent, 1);
        _exit(0);
    }
    for (size_t p = 0; p < PROCESSES; p++) {
        int status;
        assert_int_equal(waitpid(pids[p], &status, 0), pids[p]);
        assert_int_equal(status, 0);
    }
    assert_in_range(*sent, ROUNDS, ROUNDS + memory_lock_timeouts(&r->lock));
    munmap((void *)sent, sizeof *sent);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(names), TEST(one_in_its_time), TEST(given_back), TEST(full_bucket),
                                       TEST(processes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
