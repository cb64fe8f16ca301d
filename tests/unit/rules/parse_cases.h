/* parse_cases.h - how the parser's tests say what they expect: all errors of a text, sorted, one a line,
 *
 *     LINE:COL+LENGTH MESSAGE | HINT
 *
 * where LENGTH is the marker's (1 at an end of line). */
#ifndef PARSE_CASES_H
#define PARSE_CASES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rules/parse.h"

struct parse_case {
    const char *text;
    const char *errors;
};

struct parsed {
    struct source_set sources;
    struct diagnostics d;
    struct tree tree;
    bool is_fine;
};

static inline void parsed_open(struct parsed *p, const char *text)
{
    source_set_init(&p->sources, NULL, 0);
    diag_init(&p->d, &p->sources);
    tree_init(&p->tree, &p->sources);
    p->is_fine = rules_parse_text(&p->sources, "t", str_of_z(text), &p->d, &p->tree);
    diag_sort(&p->d);
}

static inline void parsed_close(struct parsed *p)
{
    tree_fini(&p->tree);
    diag_fini(&p->d);
    source_set_fini(&p->sources);
}

static inline void parsed_errors(const struct parsed *p, char *to, size_t size)
{
    size_t len = 0;
    to[0] = '\0';
    for (size_t i = 0; i < p->d.count && len < size; i++) {
        const struct diagnostic *e = &p->d.items[i];
        len += (size_t)snprintf(to + len, size - len, "%s%u:%u+%u " PRI_STR, i ? "\n" : "", e->at.line, e->at.col,
                                e->at.len ? e->at.len : 1, STR_ARG(e->text));
        if (e->hint.len && len < size)
            len += (size_t)snprintf(to + len, size - len, " | " PRI_STR, STR_ARG(e->hint));
    }
}

static inline void check_wrong(const struct parse_case *c)
{
    struct parsed p;
    char errors[4096];
    parsed_open(&p, c->text);
    parsed_errors(&p, errors, sizeof errors);
    if (p.is_fine || strcmp(errors, c->errors) != 0)
        fail_msg("%s\nexpected:\n%s\nsaid:\n%s", c->text, c->errors, errors);
    parsed_close(&p);
}

static inline void check_right(const char *text)
{
    struct parsed p;
    char errors[4096];
    parsed_open(&p, text);
    parsed_errors(&p, errors, sizeof errors);
    if (!p.is_fine || errors[0])
        fail_msg("%s\nsaid:\n%s", text, errors);
    for (size_t i = 0; i < p.tree.count; i++)
        assert_false(p.tree.statements[i]->is_broken);
    parsed_close(&p);
}

/* All of a file's tests: texts that are wrong, and texts that are right. */
struct parse_cases {
    const struct parse_case *wrong;
    size_t wrong_count;
    const char *const *right;
    size_t right_count;
};

static inline void test_wrong(void **state)
{
    const struct parse_cases *cases = *state;
    for (size_t i = 0; i < cases->wrong_count; i++)
        check_wrong(&cases->wrong[i]);
}

static inline void test_right(void **state)
{
    const struct parse_cases *cases = *state;
    for (size_t i = 0; i < cases->right_count; i++)
        check_right(cases->right[i]);
}

static inline int parse_cases_run(const struct parse_cases *cases)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_prestate(test_wrong, (void *)cases),
                                       cmocka_unit_test_prestate(test_right, (void *)cases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
