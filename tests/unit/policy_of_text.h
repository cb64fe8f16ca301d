/* policy_of_text.h - rules of a test, or of a fuzzer, compiled: also with what is not in force yet. */
#ifndef TESTS_POLICY_OF_TEXT_H
#define TESTS_POLICY_OF_TEXT_H

#include "policy/policy.h"
#include "rules/check.h"
#include "rules/parse.h"

/* NULL: they are wrong, and `why` says how, as a user would read it. */
static inline struct policy *policy_of_text(const char *rules, char *why, size_t size)
{
    struct source_set sources;
    struct diagnostics d;
    struct tree tree;
    struct policy *policy = NULL;
    struct buf said;
    source_set_init(&sources, NULL, 0);
    diag_init(&d, &sources);
    tree_init(&tree, &sources);
    if (rules_parse_text(&sources, "test", str_of_z(rules), &d, &tree) && rules_check_all(&tree, &d, true))
        policy = policy_compile(&tree, &d);
    buf_init(&said, 1 << 16);
    str_copy_into(why, size, diag_print(&d, &said) ? buf_str(&said) : STR("out of memory"));
    buf_fini(&said);
    tree_fini(&tree);
    diag_fini(&d);
    source_set_fini(&sources);
    return policy;
}

#endif
