/* tests.h - the `test` blocks of a configuration, run before it goes live. */
#ifndef CONFIG_TESTS_H
#define CONFIG_TESTS_H

#include "config/config.h"
#include "rules/tree.h"

/* Fills in cfg->world and runs the tests of the tree that cfg was made of, in which nothing is wrong: failed ones are
 * errors. CONFIG_CHECK: however long they take; else what is left after CONFIG_TESTS_MAX_MS is left out with a warning.
 */
void config_run_tests(struct config *cfg, const struct tree *tree, const struct config_options *options,
                      struct diagnostics *d);

#endif
