/*
 * test_block.h - `test "…" { … }`: what an administrator says must come of made-up sessions (RULES.md "Tests",
 * GRAMMAR.md 5).
 *
 *   checked tree ─▶ test_blocks_run ─▶ a trial per test (trial.h) ─▶ what was not met: errors at their `expect`
 *
 *     rules/submission.rules:31:5: error: test "a stranger cannot relay": expected reject 550 at rcpt, got accept
 */
#ifndef POLICY_TEST_BLOCK_H
#define POLICY_TEST_BLOCK_H

#include "policy/trial.h"
#include "rules/print.h"

struct test_blocks {
    const struct trial_world *world;
    /* Asked now and then: is it enough? NULL: never. What is then left of the tests is left out. */
    bool (*is_over)(void *arg);
    void *arg;
    size_t count;          /* answer: tests that were run to an end */
    size_t left_out_count; /* answer: those whose file is tuned from elsewhere (struct test) */
};

/* Runs every test of a checked tree in which nothing is wrong; a failed expectation ends its test, the others run.
 * False: stopped by is_over before all were run. */
MUST_USE bool test_blocks_run(struct test_blocks *tests, const struct tree *tree, struct diagnostics *d);

#endif
