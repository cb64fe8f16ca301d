/* test_inside.h - a test on its way: test_block.c leads it, test_expect.c looks at what came of its steps. */
#ifndef POLICY_TEST_INSIDE_H
#define POLICY_TEST_INSIDE_H

#include "policy/test_block.h"

struct run {
    const struct test *test;
    struct trial *trial;
    struct diagnostics *d;
    struct arena arena;
    bool has_outcome;
    /* what the settings point to */
    struct trial_header *headers;
    struct trial_milter *milters;
    struct str *listed;
    /* of the send at hand */
    struct str domain; /* of recipients that are made up */
    size_t made_up;    /* so many are in use */
    size_t recipient_count;
    bool is_each;
    const struct str *same; /* unless is_each */
};

/* `count` looks; any other expectation speaks of what came last, or runs the mail as set, once. What is not met is
 * said. False: no memory. */
MUST_USE bool test_expect(struct run *run, const struct step *step, bool *is_fine);

#endif
