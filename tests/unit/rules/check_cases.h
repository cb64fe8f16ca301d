/* check_cases.h - how the tests of check say what they expect: all that parser and check say of a text, sorted, one a
 * line,
 *
 *     LINE:COL+LENGTH MESSAGE | HINT            LINE:COL+LENGTH warning: MESSAGE | HINT
 *
 * "" is a text with which nothing is wrong. Most tables are checked as if the whole language were in force. */
#ifndef CHECK_CASES_H
#define CHECK_CASES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rules/check.h"

struct check_case {
    const char *text;
    const char *said;
};

struct checked {
    struct source_set sources;
    struct diagnostics d;
    struct tree tree;
    bool is_fine;
};

static inline void checked_open(struct checked *k, const char *text, bool allows_later)
{
    source_set_init(&k->sources, NULL, 0);
    diag_init(&k->d, &k->sources);
    tree_init(&k->tree, &k->sources);
    bool is_parsed = rules_parse_text(&k->sources, "t", str_of_z(text), &k->d, &k->tree);
    k->is_fine = rules_check_all(&k->tree, &k->d, allows_later) && is_parsed;
    diag_sort(&k->d);
}

static inline void checked_close(struct checked *k)
{
    tree_fini(&k->tree);
    diag_fini(&k->d);
    source_set_fini(&k->sources);
}

static inline void checked_said(const struct checked *k, char *to, size_t size)
{
    size_t len = 0;
    to[0] = '\0';
    for (size_t i = 0; i < k->d.count && len < size; i++) {
        const struct diagnostic *e = &k->d.items[i];
        len += (size_t)snprintf(to + len, size - len, "%s%u:%u+%u %s" PRI_STR, i ? "\n" : "", e->at.line, e->at.col,
                                e->at.len ? e->at.len : 1, e->is_warning ? "warning: " : "", STR_ARG(e->text));
        if (e->hint.len && len < size)
            len += (size_t)snprintf(to + len, size - len, " | " PRI_STR, STR_ARG(e->hint));
    }
}

static inline void check_cases(const struct check_case *cases, size_t count, bool allows_later)
{
    for (size_t i = 0; i < count; i++) {
        struct checked k;
        char said[8192];
        checked_open(&k, cases[i].text, allows_later);
        checked_said(&k, said, sizeof said);
        if (strcmp(said, cases[i].said) != 0 || k.is_fine != (k.d.error_count == 0))
            fail_msg("%s\nexpected:\n%s\nsaid:\n%s", cases[i].text, cases[i].said, said);
        checked_close(&k);
    }
}

/* A test of a whole table. */
#define CASES(table, allows_later)                                                                                     \
    static void check_##table(void **state)                                                                            \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        check_cases(table, COUNT_OF(table), allows_later);                                                             \
    }

#endif
