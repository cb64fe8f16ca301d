/*
 * store_suite.h - what every store must pass (store.h, "What every store promises"; LIMITS.md, "Defects seen in other
 * limiters").
 *
 * A store's test describes how to set up an empty one and how a process opens it, and runs the suite; every case runs
 * on a store of its own. Processes are real (fork), the clock is an argument.
 */
#ifndef TESTS_LIMITS_STORE_SUITE_H
#define TESTS_LIMITS_STORE_SUITE_H

#include "limits/store.h"

struct store_suite {
    const char *name;
    /* An empty store that children may open too. Never NULL: fails the test itself. */
    void *(*setup)(void);
    void (*teardown)(void *context);
    void (*open)(void *context, struct store *store, uint32_t owner);
    /* Until the operation that answered STARTED is done. NULL: the store never does. */
    void (*wait)(void *context, struct store *store, const bool *done);
    /* Lets come what comes by itself: places of dead owners, in a store that looks for them when they are missed. NULL:
     * nothing does. */
    void (*pass_a_moment)(struct store *store);
    /* How many takes failed, or charges could not be given back, for want of a lock. NULL: the store has none. */
    uint64_t (*not_given_back)(void *context);
    /* As store_close, when all that nobody waits for has been said. NULL: store_close. */
    void (*close)(struct store *store);
    /* What the cases' time begins with; a whole number of half days since 1970. 0: 2026-01-05. A store that lets what
     * it keeps expire by itself needs a time to come. */
    int64_t now_s;
};

/* The cases, in two groups of cmocka's; how many failed. */
int store_suite_run(const struct store_suite *suite);

/* For a store's own tests. */
extern int64_t suite_now_us; /* 2026-01-05T12:00:00Z, unless the suite that runs says otherwise */
#define SUITE_NOW suite_now_us
void suite_close(struct store *store);

/* A take of one column of a counter of messages. */
void suite_take_set(struct take *take, const struct store *store, const char *entity, uint32_t period_s, uint32_t cost,
                    uint64_t allowed);
/* Takes one. */
enum store_result suite_take(struct store *store, struct take *take, int64_t now_us);
/* … a place that a dead owner had: at once, or a moment later. */
enum store_result suite_take_soon(struct store *store, struct take *take, int64_t now_us);
/* The count now, charging nothing. */
uint64_t suite_used(struct store *store, const char *entity, uint32_t period_s, int64_t now_us);

/* Takes both or none, whatever their order. */
enum store_result suite_take_both(struct store *store, struct take *a, struct take *b, int64_t now_us);
/* Takes, and forgets what it holds. */
bool suite_admits(struct store *store, const char *entity, uint32_t period_s, uint32_t cost, uint64_t allowed,
                  int64_t now_us);
void suite_give_back(struct store *store, struct take *take);
void suite_keep(struct store *store, struct take *take, int64_t now_us);
/* A take of one lease. */
void suite_lease_set(struct take *take, const struct store *store, const char *entity, uint64_t allowed);

/* A take of different values, given as "a b c": a counter of failed users. */
#define SUITE_VALUES_MAX 128
struct suite_values {
    struct take take;
    struct take_member members[SUITE_VALUES_MAX];
};
void suite_values_set(struct suite_values *v, const struct store *store, const char *entity, uint32_t period_s,
                      const char *values, uint64_t allowed);
/* How many different values count now. */
uint64_t suite_values_used(struct store *store, const char *entity, uint32_t period_s, int64_t now_us);

/* What a case gets as its state. */
struct script;
struct suite_fixture {
    void *context;
    struct store store;
    const struct script *script; /* of a story */
};
/* The one that runs. */
extern const struct store_suite *suite;

/* Of store_suite_scripts.c: all stories; how many failed. */
int store_suite_run_scripts(int (*setup)(void **), int (*teardown)(void **));

/* Of store_suite_processes.c. */
void test_greedy_processes_get_exactly_the_limit(void **state);
void test_what_was_kept_is_what_is_counted(void **state);
void test_killed_at_any_instant(void **state);
void test_greedy_processes_get_exactly_so_many_values(void **state);
void test_values_killed_at_any_instant(void **state);

/* Of store_suite_distinct.c. */
void test_values_count_once(void **state);
void test_values_are_answered(void **state);
void test_values_of_counters_are_apart(void **state);
void test_values_all_or_nothing(void **state);
void test_values_given_back(void **state);
void test_values_given_back_after_they_went(void **state);
void test_values_move(void **state);
void test_values_in_any_interval(void **state);
void test_very_many_values(void **state);
void test_known_values(void **state);

/* Of store_suite_forget.c. */
void test_forgets_what_was_counted(void **state);
void test_forgets_what_the_last_window_counted(void **state);
void test_forgets_one_column(void **state);
void test_forgets_nothing_of_nothing(void **state);
void test_forgets_what_is_held(void **state);
void test_forgets_values(void **state);

#endif
