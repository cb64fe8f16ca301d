/*
 * config.c - files become a configuration: read, checked, compiled, and its defaults filled in.
 *
 *   files ─▶ parse ─▶ [starter policy] ─▶ check ─▶ server.c (a function per statement) ─▶ policy_compile ─▶ tests.c
 *         ─▶ struct config
 *
 * One run says all that is wrong. What is wrong is never repaired or left out: a configuration with one error is none.
 */
#include "config/config.h"

#include <stdlib.h>

#include "config/server.h"
#include "config/starter.h"
#include "config/tests.h"
#include "rules/check.h"
#include "rules/parse.h"

enum { CONFIG_MAX_BYTES = 64 << 20 };

static bool has_policy(const struct tree *tree)
{
    for (size_t i = 0; i < tree->count; i++) {
        const struct statement *st = tree->statements[i];
        if (st->kind == STATEMENT_LIMIT || (st->kind == STATEMENT_ON && st->on.count))
            return true;
    }
    return false;
}

/* What a file without server statements is checked for: rules alone. */
static bool has_server(const struct tree *tree)
{
    for (size_t i = 0; i < tree->count; i++)
        if (statement_rows[tree->statements[i]->kind].times != TIMES_SYNTAX)
            return true;
    return false;
}

static struct config *config_new(const char *path, struct diagnostics *d)
{
    struct config *cfg = calloc(1, sizeof *cfg);
    if (!cfg) {
        diag_error(d, PLACE_NONE, "out of memory");
        return NULL;
    }
    arena_init(&cfg->arena, CONFIG_MAX_BYTES);
    cfg->path = arena_copy(&cfg->arena, str_of_z(path)).ptr;
    return cfg;
}

/* One run says all that is wrong: what is right in itself is built even beside errors, only to be looked at. */
static bool build(struct config *cfg, struct tree *tree, const struct config_options *options, struct diagnostics *d)
{
    struct config_builder builder = {.config = cfg, .tree = tree, .options = options, .diagnostics = d};
    cfg->is_starter_policy = !has_policy(tree);
    bool is_right = !cfg->is_starter_policy || rules_parse_builtin(tree->sources, STARTER_RULES, d, tree);
    is_right = rules_check(tree, d) && is_right;
    config_server_build(&builder, options->purpose == CONFIG_CHECK && !has_server(tree));
    if (!is_right || diag_has_errors(d)) {
        policy_check_tables(tree, d);
        return false;
    }
    cfg->policy = policy_compile(tree, d);
    if (!cfg->policy || diag_has_errors(d))
        return false;
    config_run_tests(cfg, tree, options, d);
    return !diag_has_errors(d);
}

struct config *config_load(const char *path, const struct config_options *options, struct source_set *sources,
                           struct diagnostics *d)
{
    struct tree tree;
    struct config *cfg = config_new(path, d);
    if (!cfg)
        return NULL;
    tree_init(&tree, sources);
    bool is_parsed = rules_parse(sources, path, d, &tree);
    bool is_built = (is_parsed || tree.count) && build(cfg, &tree, options, d); /* of an unreadable file all was said */
    if (!is_parsed || !is_built)
        config_free(&cfg);
    tree_fini(&tree);
    return cfg;
}

void config_free(struct config **config)
{
    if (!*config)
        return;
    policy_free(&(*config)->policy);
    arena_fini(&(*config)->arena);
    free(*config);
    *config = NULL;
}
