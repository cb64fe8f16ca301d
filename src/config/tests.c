/*
 * tests.c - where tests take place, and how long they may take. See tests.h; what they do is policy/test_block.c.
 */
#include "config/tests.h"

#include "base/clock.h"
#include "policy/test_block.h"

/* Of a configuration without listeners all three kinds exist (GRAMMAR.md 5). */
static const struct trial_listener USUAL[] = {
    {{"submission", sizeof "submission" - 1}, false},
    {{"submissions", sizeof "submissions" - 1}, true},
    {{"smtp", sizeof "smtp" - 1}, false},
};

/* False: no memory. */
static bool make_world(struct config *cfg)
{
    cfg->world = (struct trial_world){.policy = cfg->policy,
                                      .node = str_of_z(cfg->hostname),
                                      .listeners = USUAL,
                                      .listener_count = COUNT_OF(USUAL),
                                      .ipv4_prefix = cfg->ipv4_prefix,
                                      .ipv6_prefix = cfg->ipv6_prefix};
    if (cfg->listener_count == 0)
        return true;
    struct trial_listener *listeners = arena_alloc(&cfg->arena, cfg->listener_count * sizeof *listeners);
    for (size_t i = 0; listeners && i < cfg->listener_count; i++)
        listeners[i] = (struct trial_listener){.name = cfg->listeners[i].name,
                                               .is_implicit_tls = cfg->listeners[i].tls == LISTENER_TLS_IMPLICIT};
    cfg->world.listeners = listeners;
    cfg->world.listener_count = cfg->listener_count;
    return listeners != NULL;
}

static bool is_late(void *deadline_ms)
{
    return clock_monotonic_ms() >= *(const int64_t *)deadline_ms;
}

void config_run_tests(struct config *cfg, const struct tree *tree, const struct config_options *options,
                      struct diagnostics *d)
{
    int64_t deadline_ms = clock_monotonic_ms() + CONFIG_TESTS_MAX_MS;
    struct test_blocks tests = {
        .world = &cfg->world, .is_over = options->purpose == CONFIG_CHECK ? NULL : is_late, .arg = &deadline_ms};
    if (!make_world(cfg)) {
        diag_error(d, PLACE_NONE, "out of memory");
        return;
    }
    if (options->without_tests)
        return;
    if (!test_blocks_run(&tests, tree, d))
        diag_warning(d, PLACE_NONE,
                     "the tests take longer than %d s: what was left of them was not run; mailweir check runs all",
                     CONFIG_TESTS_MAX_MS / 1000);
    cfg->test_count = tests.count;
    cfg->left_out_test_count = tests.left_out_count;
}
