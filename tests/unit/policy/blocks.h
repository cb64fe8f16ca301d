/* blocks.h - rules as text become a policy and a tree: for the tests of what is asked without a network. */
#ifndef TESTS_POLICY_BLOCKS_H
#define TESTS_POLICY_BLOCKS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "policy/policy.h"
#include "policy/test_block.h"
#include "policy/trial.h"
#include "rules/check.h"

struct compiled {
    struct source_set sources;
    struct diagnostics d;
    struct tree tree;
    struct policy *policy;
    struct trial_world world;
};

/* Fails the test where anything is wrong with the text. */
void compiled_open(struct compiled *k, const char *text);
void compiled_close(struct compiled *k);
/* All that the diagnostics hold, `LINE:COL+LENGTH MESSAGE | HINT`, one a line. */
void compiled_said(struct compiled *k, char *to, size_t size);

/* The rules, a newline, then one test a line; "" is said where all of them are met. */
struct block_case {
    const char *name;
    const char *rules, *tests;
    const char *said;
};
/* Runs them all; fails by name where something else is said. */
void check_blocks(const struct block_case *cases, size_t count);

#endif
