// uses: rules
/*
 * fuzz_rules_parse.c - the whole front half of the language: lexer, parser, tree, printing of errors. Promises held: it
 * ends; a text without errors leaves no broken statement, and one with errors says at least one; every place lies in
 * its text, line and column agree with its offset; what is printed is UTF-8 without control characters.
 */
#include <string.h>

#include "base/panic.h"
#include "rules/parse.h"

/* Counting columns again costs more than parsing: of a text with many statements and errors, the first are checked. */
enum { PLACES_CHECKED = 12 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_place(const struct source_set *sources, struct place at)
{
    if (!place_is_known(at))
        return;
    PANIC_IF(at.file >= sources->count, "no such file");
    struct str text = source_file_get(sources, at.file)->text;
    PANIC_IF(at.offset > text.len, "beyond the text");
    uint32_t line = 1, col = 1;
    bool valid;
    for (size_t i = 0, len; i < at.offset; i += len) {
        len = source_char_len(text, i, &valid);
        bool ends = text.ptr[i] == '\n';
        line += ends;
        col = ends ? 1 : col + 1;
    }
    PANIC_IF(line != at.line || col != at.col, "the offset is at %u:%u, the place at %u:%u", line, col, at.line,
             at.col);
}

static void check_printed(struct diagnostics *d)
{
    struct buf said;
    buf_init(&said, 64u << 20);
    PANIC_IF(!diag_print(d, &said), "more than 64M to say");
    struct str rest = buf_str(&said);
    PANIC_IF(!str_is_utf8(rest), "not UTF-8");
    while (rest.len) {
        struct str line = str_split(rest, '\n', &rest), cell;
        while (line.len) {
            cell = str_split(line, '\t', &line);
            PANIC_IF(str_has_control(cell), "a control character got through");
        }
    }
    buf_fini(&said);
}

static void check_tree(const struct source_set *sources, const struct tree *tree, bool is_fine)
{
    for (size_t i = 0; i < tree->count; i++) {
        const struct statement *s = tree->statements[i];
        PANIC_IF(is_fine && s->is_broken, "broken, and nothing said");
        if (i < PLACES_CHECKED) {
            check_place(sources, s->at);
            check_place(sources, s->end);
        }
        for (size_t r = 0; s->kind == STATEMENT_ON && r < s->on.count; r++)
            PANIC_IF(is_fine && s->on.rules[r]->is_broken, "a broken rule, and nothing said");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char included[] = "table included domains { a.example }\nuser x\n";
    static const struct source_builtin builtins[] = {
        {"included.rules", included, sizeof included - 1},
        {"broken.rules", "on mail { rule a", 16},
        {"ring.rules", "include \"ring.rules\"", 20},
    };
    struct source_set sources;
    struct diagnostics d;
    struct tree tree;
    source_set_init(&sources, builtins, sizeof builtins / sizeof *builtins);
    diag_init(&d, &sources);
    tree_init(&tree, &sources);
    bool fine = rules_parse_text(&sources, "fuzz.rules", str_of((const char *)data, size), &d, &tree);
    PANIC_IF(fine == diag_has_errors(&d), "fine, and with errors");
    check_tree(&sources, &tree, fine);
    for (size_t i = 0; i < d.count && i < PLACES_CHECKED; i++)
        check_place(&sources, d.items[i].at);
    check_printed(&d);
    tree_fini(&tree);
    diag_fini(&d);
    source_set_fini(&sources);
    return 0;
}
