/* test_store_memory.c - the embedded store: the suite, and what only a bounded table under locks has to show. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "limits/memory_table.h"
#include "limits/store_memory.h"
#include "store_suite.h"

#define S       INT64_C(1000000)
#define HOUR    3600
#define YEAR    (INT64_C(365) * 86400 * S)
#define NOW     SUITE_NOW
#define ENTRIES 8192 /* eight shards */

static void *table_setup(void)
{
    struct err err;
    void *memory = mmap(NULL, store_memory_size(ENTRIES), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    assert_true(store_memory_init(memory, ENTRIES, &err));
    return memory;
}

static void table_teardown(void *memory)
{
    store_memory_fini(memory);
    munmap(memory, store_memory_size(ENTRIES));
}

static void table_open(void *memory, struct store *store, uint32_t owner)
{
    struct err err;
    const struct store_options options = {.memory = memory, .owner = owner};
    if (!store_open(store, stores_find(STR("memory")), &options, &err))
        abort();
}

static uint64_t table_timeouts(void *memory)
{
    struct store_memory_stats stats;
    store_memory_stats_get(memory, SUITE_NOW, &stats);
    return stats.timeouts;
}

struct fixture {
    void *memory;
    struct store store;
};

static int setup(void **state)
{
    static struct fixture f;
    f.memory = table_setup();
    table_open(f.memory, &f.store, 1);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    store_close(&f->store);
    table_teardown(f->memory);
    return 0;
}

static enum store_result take_named(struct fixture *f, const char *prefix, int n, uint32_t period_s, uint32_t cost,
                                    int64_t now_us)
{
    char name[32];
    struct take take;
    snprintf(name, sizeof name, "%s:%d", prefix, n);
    suite_take_set(&take, &f->store, name, period_s, cost, ALLOWED_ANY);
    return suite_take(&f->store, &take, now_us);
}

static uint64_t used_named(struct fixture *f, const char *prefix, int n, uint32_t period_s, int64_t now_us)
{
    char name[32];
    struct take take;
    snprintf(name, sizeof name, "%s:%d", prefix, n);
    suite_take_set(&take, &f->store, name, period_s, 0, ALLOWED_ANY);
    assert_true(f->store.ops->peek(&f->store, &take, now_us));
    return take.used[0];
}

static struct store_memory_stats stats(struct fixture *f, int64_t now_us)
{
    struct store_memory_stats s;
    store_memory_stats_get(f->memory, now_us, &s);
    return s;
}

/* ---- Bounds ---- */

static void test_size_and_arguments(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct store store;
    assert_true(store_memory_size(65536) < 26 * 1024 * 1024);
    assert_false(store_memory_init(f->memory, STORE_MEMORY_ENTRIES_MIN - 1, &err));
    assert_string_equal(err.text, "store entries must be from 1024 to 100000000, not 1023");
    assert_false(store_open(&store, &store_memory_ops, &(struct store_options){.memory = f->memory}, &err));
    assert_string_equal(err.text, "the limits table needs an owner's number");
    static _Alignas(64) char empty[4096];
    assert_false(store_open(&store, &store_memory_ops, &(struct store_options){.memory = empty, .owner = 1}, &err));
    assert_string_equal(err.text, "the limits table was not made");
    assert_null(stores_find(STR("memor")));
}

/* Two thirds full, nothing live had to go; when it is full to the last place, few. */
static void test_filled_without_a_loss(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < ENTRIES * 2 / 3; i++)
        assert_int_equal(take_named(f, "u", i, HOUR, 3, NOW), STORE_TAKEN);
    struct store_memory_stats s = stats(f, NOW);
    assert_int_equal(s.entries, ENTRIES);
    assert_int_equal(s.created, ENTRIES * 2 / 3);
    assert_int_equal(s.live, ENTRIES * 2 / 3);
    assert_int_equal(s.evicted_live, 0);
    for (int i = ENTRIES * 2 / 3; i < ENTRIES; i++)
        assert_int_equal(take_named(f, "u", i, HOUR, 3, NOW), STORE_TAKEN);
    s = stats(f, NOW);
    assert_int_equal(s.live + s.evicted_live, ENTRIES);
    assert_true(s.evicted_live > 0 && s.evicted_live < ENTRIES / 10);
}

/* Expired counters make room, and cost nobody anything. */
static void test_expired_ones_go_first(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < ENTRIES / 2; i++)
        assert_int_equal(take_named(f, "live", i, HOUR, 3, NOW), STORE_TAKEN);
    for (int round = 0; round < 20; round++)
        for (int i = 0; i < ENTRIES / 8; i++)
            assert_int_equal(take_named(f, "short", round * ENTRIES + i, 1, 1, NOW + round * 2 * S), STORE_TAKEN);
    assert_int_equal(stats(f, NOW + 40 * S).evicted_live, 0);
    assert_int_equal(stats(f, NOW + 42 * S).live, ENTRIES / 2);
    for (int i = 0; i < ENTRIES / 2; i++)
        assert_int_equal(used_named(f, "live", i, HOUR, NOW + 42 * S), 3);
}

/* A flood of names beyond what the table holds: what is used stays, and every loss is counted. */
static void test_least_recently_used_go_and_are_counted(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 20 * ENTRIES; i++) {
        assert_int_equal(take_named(f, "u", i, HOUR, 1, NOW + i), STORE_TAKEN);
        if (i % 4 == 0)
            assert_int_equal(take_named(f, "busy", 0, HOUR, 1, NOW + i), STORE_TAKEN);
    }
    assert_int_equal(used_named(f, "busy", 0, HOUR, NOW + 20 * ENTRIES), 5 * ENTRIES);
    struct store_memory_stats s = stats(f, NOW + 20 * ENTRIES);
    assert_int_equal(s.live + s.evicted_live, s.created);
    assert_true(s.live > ENTRIES * 95 / 100);
}

static void test_open_connections_outlast_a_flood(void **state)
{
    struct fixture *f = *state;
    struct take lease = {
        .counter = {.entity = STR("i:a"), .kind = COUNTER_LEASES, .name = STR("open-connections")},
        .cost = {1},
        .allowed = {10, ALLOWED_ANY, ALLOWED_ANY},
    };
    counter_set_id(&lease.counter, &f->store.key);
    assert_int_equal(suite_take(&f->store, &lease, NOW), STORE_TAKEN);
    for (int i = 0; i < 20 * ENTRIES; i++)
        assert_int_equal(take_named(f, "u", i, HOUR, 1, NOW + 1 + i), STORE_TAKEN);
    struct take again = lease;
    memset(&again.held, 0, sizeof again.held);
    assert_true(f->store.ops->peek(&f->store, &again, NOW));
    assert_int_equal(again.used[0], 2);
}

/* What was charged to a counter that had to go is not taken from the one that came after it. */
static void test_no_refund_from_a_new_counter(void **state)
{
    struct fixture *f = *state;
    struct take old;
    suite_take_set(&old, &f->store, "u:old", HOUR, 5, ALLOWED_ANY);
    assert_int_equal(suite_take(&f->store, &old, NOW), STORE_TAKEN);
    for (int i = 0; suite_used(&f->store, "u:old", HOUR, NOW) > 0 && i < 100000; i++)
        for (int k = 0; k < ENTRIES; k++)
            (void)take_named(f, "flood", i * ENTRIES + k, HOUR, 1, NOW + 1 + i * ENTRIES + k);
    struct take fresh;
    suite_take_set(&fresh, &f->store, "u:old", HOUR, 7, ALLOWED_ANY);
    assert_int_equal(suite_take(&f->store, &fresh, NOW), STORE_TAKEN);
    struct take *takes[] = {&old};
    f->store.ops->give_back(&f->store, takes, 1);
    assert_int_equal(suite_used(&f->store, "u:old", HOUR, NOW), 7);
}

/* ---- Values ---- */

static enum store_result see(struct fixture *f, const char *entity, int n, uint32_t period_s, uint64_t allowed,
                             int64_t now_us)
{
    char text[16];
    struct suite_values v;
    struct take *takes[] = {&v.take};
    snprintf(text, sizeof text, "%d", n);
    suite_values_set(&v, &f->store, entity, period_s, text, allowed);
    enum store_result result = suite_take(&f->store, &v.take, now_us);
    if (result == STORE_TAKEN)
        f->store.ops->keep(&f->store, takes, 1, now_us);
    return result;
}

/* One entity may see very many: all of the table's room is everybody's. Half full, nothing is lost. */
static void test_half_full_of_values(void **state)
{
    enum { COUNT = ENTRIES * STORE_MEMORY_MEMBERS_PER_ENTRY / 2 };
    struct fixture *f = *state;
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < COUNT; i++)
            assert_int_equal(see(f, "g", i, HOUR, COUNT, NOW + round * 1000 * S), STORE_TAKEN);
    assert_int_equal(suite_values_used(&f->store, "g", HOUR, NOW + 1000 * S), COUNT);
    struct store_memory_stats s = stats(f, NOW + 1000 * S);
    assert_int_equal(s.members, ENTRIES * STORE_MEMORY_MEMBERS_PER_ENTRY);
    assert_int_equal(s.members_live, COUNT);
    assert_int_equal(s.members_evicted_live, 0);
    assert_int_equal(stats(f, NOW + 6000 * S).members_live, 0);
}

/* A flood of values: what expires first goes, every loss is counted, and no count becomes too low. */
static void test_too_many_values(void **state)
{
    enum { COUNT = ENTRIES * STORE_MEMORY_MEMBERS_PER_ENTRY, FEW = 100 };
    struct fixture *f = *state;
    for (int i = 0; i < FEW; i++)
        assert_int_equal(see(f, "u:alice", i, 86400, FEW, NOW), STORE_TAKEN);
    for (int i = 0; i < 2 * COUNT; i++)
        assert_int_equal(see(f, "flood", i, HOUR, ALLOWED_ANY, NOW + i), STORE_TAKEN);
    struct store_memory_stats s = stats(f, NOW + 2 * COUNT);
    assert_int_equal(s.members_live + s.members_evicted_live, 2 * COUNT + FEW);
    assert_true(s.members_live > (uint64_t)COUNT * 98 / 100);
    assert_int_equal(suite_values_used(&f->store, "flood", HOUR, NOW + 2 * COUNT), 2 * COUNT);
    for (int i = 0; i < FEW; i++) /* hers expire last */
        assert_int_equal(see(f, "u:alice", i, 86400, FEW, NOW + 2 * COUNT), STORE_TAKEN);
    assert_int_equal(see(f, "flood", 0, HOUR, ALLOWED_ANY, NOW + 2 * COUNT), STORE_TAKEN);
    assert_int_equal(suite_values_used(&f->store, "flood", HOUR, NOW + 2 * COUNT), 2 * COUNT + 1); /* twice */
    assert_int_equal(suite_values_used(&f->store, "flood", HOUR, NOW + 3900 * S), 0);
}

/* The counter had to go, its values' records did not: they are no longer what it counts. */
static void test_values_of_a_counter_that_went(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(see(f, "u:a", i, HOUR, 5, NOW), STORE_TAKEN);
    for (int i = 0; suite_values_used(&f->store, "u:a", HOUR, NOW) > 0 && i < 20 * ENTRIES; i++)
        assert_int_equal(take_named(f, "flood", i, HOUR, 1, NOW + 1 + i), STORE_TAKEN);
    assert_int_equal(suite_values_used(&f->store, "u:a", HOUR, NOW), 0);
    for (int i = 4; i < 10; i++)
        assert_int_equal(see(f, "u:a", i, HOUR, 5, NOW + 2), i < 9 ? STORE_TAKEN : STORE_FULL);
    assert_int_equal(suite_values_used(&f->store, "u:a", HOUR, NOW + 2), 5);
}

static void test_values_and_a_clock_that_was_far_ahead(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(see(f, "u:a", i, HOUR, 9, NOW + YEAR), STORE_TAKEN);
    assert_int_equal(see(f, "u:a", 7, HOUR, 9, NOW), STORE_TAKEN);
    assert_int_equal(suite_values_used(&f->store, "u:a", HOUR, NOW), 4); /* none is lost */
    assert_int_equal(see(f, "u:a", 0, HOUR, 9, NOW), STORE_TAKEN);
    assert_int_equal(suite_values_used(&f->store, "u:a", HOUR, NOW), 5); /* and none is known again */
    assert_int_equal(suite_values_used(&f->store, "u:a", HOUR, NOW + (HOUR + 225) * S), 0);
}

/* ---- The clock ---- */

static void test_a_step_back_resets_nothing(void **state)
{
    static const int64_t BACK[] = {1, S, 100 * S, 225 * S, HOUR * S};
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT_OF(BACK); i++) {
        char name[16];
        snprintf(name, sizeof name, "u:%zu", i);
        struct take take;
        suite_take_set(&take, &f->store, name, HOUR, 60, 100);
        assert_int_equal(suite_take(&f->store, &take, NOW), STORE_TAKEN);
        suite_take_set(&take, &f->store, name, HOUR, 40, 100);
        assert_int_equal(suite_take(&f->store, &take, NOW - BACK[i]), STORE_TAKEN);
        suite_take_set(&take, &f->store, name, HOUR, 1, 100);
        assert_int_equal(suite_take(&f->store, &take, NOW - BACK[i]), STORE_FULL);
        /* What came after the step counts as from the newest time seen. */
        assert_int_equal(suite_used(&f->store, name, HOUR, NOW + HOUR * S - 1), 100);
        assert_int_equal(suite_used(&f->store, name, HOUR, NOW + (HOUR + 225) * S), 0);
    }
}

/* The clock was a year ahead for a while: counts stay for one period, nobody is locked out for a year. */
static void test_a_clock_that_was_far_ahead(void **state)
{
    struct fixture *f = *state;
    struct take ahead, *takes[] = {&ahead};
    suite_take_set(&ahead, &f->store, "u:a", HOUR, 60, 100);
    assert_int_equal(suite_take(&f->store, &ahead, NOW + YEAR), STORE_TAKEN);
    assert_int_equal(suite_used(&f->store, "u:a", HOUR, NOW), 60);
    assert_int_equal(suite_used(&f->store, "u:a", HOUR, NOW + HOUR * S - 1), 60);
    f->store.ops->give_back(&f->store, takes, 1); /* of another time: not given back */
    assert_int_equal(suite_used(&f->store, "u:a", HOUR, NOW + HOUR * S - 1), 60);
    assert_int_equal(suite_used(&f->store, "u:a", HOUR, NOW + (HOUR + 225) * S), 0);
}

/* A worker with an old idea of now, up to an hour, forgets nothing of what a fresher one counted in a short window. */
static void test_a_stale_worker_loses_no_count(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(take_named(f, "u", 1, 1, 20, NOW), STORE_TAKEN);
    for (int64_t stale = S / 16; stale <= HOUR * S; stale *= 2)
        assert_int_equal(used_named(f, "u", 1, 1, NOW - stale), 20);
    assert_int_equal(used_named(f, "u", 1, 1, NOW), 20);
}

/* ---- Locks ---- */

/* A child that locks the shard of "u:1" and then waits for its end; -1: the pipe's other end. */
static pid_t child_with_lock(struct fixture *f, int *ready)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct take take;
        int64_t wait_us = S;
        alarm(30);
        suite_take_set(&take, &f->store, "u:1", HOUR, 1, ALLOWED_ANY);
        if (!table_lock(f->memory, table_shard_of(f->memory, take.counter.id), &wait_us) || write(fds[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(fds[1]);
    *ready = fds[0];
    char byte;
    assert_int_equal(read(fds[0], &byte, 1), 1);
    return pid;
}

static void test_a_lock_of_a_killed_worker(void **state)
{
    struct fixture *f = *state;
    int ready;
    pid_t pid = child_with_lock(f, &ready);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(ready);
    assert_int_equal(take_named(f, "u", 1, HOUR, 1, NOW), STORE_TAKEN);
    assert_int_equal(stats(f, NOW).recovered, 1);
    assert_int_equal(stats(f, NOW).timeouts, 0);
}

/* A worker that stands still with a lock held costs the others a bounded wait, and no more. */
static void test_a_lock_that_is_not_given_free(void **state)
{
    struct fixture *f = *state;
    int ready;
    pid_t pid = child_with_lock(f, &ready);
    struct take take;
    suite_take_set(&take, &f->store, "u:1", HOUR, 1, ALLOWED_ANY);
    struct take *takes[] = {&take};
    struct store_op op = {.takes = takes, .count = 1, .now_us = NOW, .deadline_ms = 2};
    assert_int_equal(f->store.ops->take_start(&f->store, &op), DONE);
    assert_int_equal(op.result, STORE_FAILED);
    assert_false(take.held.is_held);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(ready);
    assert_int_equal(stats(f, NOW).timeouts, 1);
    assert_int_equal(used_named(f, "u", 1, HOUR, NOW), 0);
}

int main(void)
{
    static const struct store_suite SUITE = {
        .name = "suite: memory",
        .setup = table_setup,
        .teardown = table_teardown,
        .open = table_open,
        .not_given_back = table_timeouts,
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_size_and_arguments, setup, teardown),
        cmocka_unit_test_setup_teardown(test_filled_without_a_loss, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expired_ones_go_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_least_recently_used_go_and_are_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_open_connections_outlast_a_flood, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_refund_from_a_new_counter, setup, teardown),
        cmocka_unit_test_setup_teardown(test_half_full_of_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_many_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_values_of_a_counter_that_went, setup, teardown),
        cmocka_unit_test_setup_teardown(test_values_and_a_clock_that_was_far_ahead, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_step_back_resets_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_clock_that_was_far_ahead, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_stale_worker_loses_no_count, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_lock_of_a_killed_worker, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_lock_that_is_not_given_free, setup, teardown),
    };
    int failed = store_suite_run(&SUITE);
    return failed + cmocka_run_group_tests_name("the memory store's own", tests, NULL, NULL);
}
