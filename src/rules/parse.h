/*
 * parse.h - text becomes a tree (GRAMMAR.md 1 and 2): one parser for every command.
 *
 *   parse_statement.c  files, includes, names, tables      parse_rule.c  on-blocks, rules, actions
 *   parse_server.c     server statements and options       parse_limit.c limits and thresholds
 *   parse_condition.c  conditions                          parse_test.c  tests
 *   args.c             arguments by the patterns of the .def tables      shape.c  what a word may be
 *
 * After a syntax error reading goes on with the next statement of the same block, so one run says all that is wrong.
 *
 * What the parser says (the rest is check's): unknown statement, action, phase, test step, expectation, limit key,
 * unit, table type, option; `expected …, found …`; unexpected characters, what is never closed, unknown escapes; kept
 * words and actions as names; two endings in a rule; a threshold's percent twice; accept (or another action) in a
 * threshold; a limit without a rate, open-connections with one; ranges of literals that stand where a pattern gives a
 * range (statements, options, actions, steps, threshold percents); a code's class and its enhanced code; options twice;
 * includes that cannot be read, cycles. Check's: names, types, phases, tables' items, ranges of rates, everything that
 * came by `$name` (want_check, code_check), statements defined twice, and what is not in force.
 *
 * Bounds: conditions nest PARSE_MAX_NESTING deep, files as source.h says, the tree's arena TREE_MAX_BYTES.
 */
#ifndef RULES_PARSE_H
#define RULES_PARSE_H

#include "rules/lex.h"
#include "rules/tree.h"

enum { PARSE_MAX_NESTING = 100, TREE_MAX_BYTES = 1 << 30 };

/* Reads a file from disk and all that it includes, and adds its statements to the tree. True: no error was found. May
 * be called again with the same tree (the starter policy beside a configuration). */
MUST_USE bool rules_parse(struct source_set *sources, const char *path, struct diagnostics *d, struct tree *tree);
/* The same for a built-in text of the source set, by its name. */
MUST_USE bool rules_parse_builtin(struct source_set *sources, const char *name, struct diagnostics *d,
                                  struct tree *tree);
/* The same for a text in memory, called `name` in places; copied. Its includes are looked for among the built-in ones.
 */
MUST_USE bool rules_parse_text(struct source_set *sources, const char *name, struct str text, struct diagnostics *d,
                               struct tree *tree);

/* What begins with a token. With it who lays a text out anew (format.c) knows where lines may end. */
enum mark {
    MARK_NONE,
    MARK_STATEMENT, /* a statement, or one of those in a block: a rule, option, step, part of a limit, its first rate */
    MARK_RATE,      /* a rate of a limit behind the first */
    MARK_ITEM,      /* an item of a list or table */
    MARK_BLOCK,     /* a { of statements */
    MARK_LIST,      /* a { of items */
};
struct marked_tokens {
    struct tokens tokens;
    uint8_t *marks; /* an enum mark for each token */
};
/* Parses one file of the set, and none that it includes; `marked` gets its tokens, the caller's to marked_tokens_fini
 * whatever is returned. */
MUST_USE bool rules_parse_marked(struct source_set *sources, uint32_t file, struct diagnostics *d, struct tree *tree,
                                 struct marked_tokens *marked);
void marked_tokens_fini(struct marked_tokens *marked);

/* Holds a value that stands for `$name` at `at` (or a literal) against what its place wants: shape and range, with the
 * parser's own words. `value` may be re-read as the wanted shape: *value is then that. A quoted text is read as a
 * domain, network, address, endpoint or name where one of these is wanted. */
MUST_USE bool want_check(struct diagnostics *d, const struct want *want, struct value *value, struct arena *arena,
                         struct place at);
/* A code's class against its action: `reject takes a code from 500 to 599, not 450`, `4.7.1 does not fit 550; …`. */
MUST_USE bool code_check(struct diagnostics *d, enum action_kind action, const struct value *code);

#endif
