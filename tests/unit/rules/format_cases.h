/* format_cases.h - a text, laid out, and laid out again. */
#ifndef FORMAT_CASES_H
#define FORMAT_CASES_H

#include "parse_cases.h"
#include "rules/format.h"

/* `to` holds what came of it, or of a text with errors, the first of them. */
static inline enum format_result format_text(struct str text, struct buf *to)
{
    struct source_set sources;
    struct diagnostics d;
    struct err err;
    uint32_t file;
    source_set_init(&sources, NULL, 0);
    diag_init(&d, &sources);
    buf_clear(to);
    assert_true(source_add_text(&sources, STR("t"), text, &file, &err));
    enum format_result result = rules_format(&sources, file, &d, to);
    diag_sort(&d);
    if (result == FORMAT_HAS_ERRORS) {
        assert_true(d.count > 0);
        assert_true(buf_append_str(to, d.items[0].text));
    } else {
        assert_int_equal(d.count, 0);
    }
    diag_fini(&d);
    source_set_fini(&sources);
    return result;
}

/* The text must come out as `wanted`, and that as itself. */
static inline void check_formatted(const char *text, struct str wanted)
{
    struct buf to;
    buf_init(&to, 1 << 20);
    if (format_text(str_of_z(text), &to) != FORMAT_DONE || !str_equal(buf_str(&to), wanted))
        fail_msg("%s\nexpected:\n" PRI_STR "\ncame out:\n" PRI_STR, text, STR_ARG(wanted), STR_ARG(buf_str(&to)));
    struct buf again;
    buf_init(&again, 1 << 20);
    if (format_text(wanted, &again) != FORMAT_DONE || !str_equal(buf_str(&again), wanted))
        fail_msg("not laid out for good:\n" PRI_STR "\nbecame:\n" PRI_STR, STR_ARG(wanted), STR_ARG(buf_str(&again)));
    buf_fini(&again);
    buf_fini(&to);
}

#endif
