/*
 * parse_internal.h - what the parser's files share: the reader of one file, its words, and one function per construct.
 *
 * Every parse_* and take_* returns false when it said an error (or met a token of which lex had spoken); the nearest
 * loop over statements then calls parse_recover and goes on.
 */
#ifndef RULES_PARSE_INTERNAL_H
#define RULES_PARSE_INTERNAL_H

#include "rules/args.h"
#include "rules/lex.h"
#include "rules/parse.h"
#include "rules/shape.h"
#include "rules/suggest.h"

struct parser {
    struct source_set *sources;
    struct diagnostics *d;
    struct tree *tree;
    struct tokens tokens;
    size_t at;        /* the token at hand, as it lies in the file: see parse_peek */
    size_t last;      /* the last one taken */
    unsigned parens;  /* open ( and [ : newlines do not count in them */
    bool in_list;     /* in { } of values: newlines part items, and operators are words */
    unsigned nesting; /* of conditions */
    bool is_observed;
    bool no_memory;
    uint8_t *marks;          /* of rules_parse_marked, which reads no included file; else NULL */
    struct parser *includer; /* NULL: the first file */
    unsigned depth;
};

/* ---- parse.c: words and lines ---- */

/* The token at hand, comments and newlines that do not count passed over. */
const struct token *parse_peek(struct parser *p);
/* The one behind it, by the same rule. */
const struct token *parse_peek_second(struct parser *p);
const struct token *parse_take(struct parser *p);
/* Notes what begins with the token at hand, unless that was said before; nothing but for rules_parse_marked. */
void parse_mark(struct parser *p, enum mark mark);
struct str parse_text(const struct parser *p, const struct token *t);
struct place parse_place(const struct parser *p, const struct token *t);
/* Where the token last taken ends, and where it stands. */
struct place parse_last_place(const struct parser *p);

bool parse_is_word(struct parser *p, const char *word);
bool parse_is_sign(struct parser *p, enum sign sign);
bool parse_is_string(struct parser *p);
bool parse_accept_word(struct parser *p, const char *word);
bool parse_accept_sign(struct parser *p, enum sign sign);
/* `expected "per", found Q` where it is not. */
MUST_USE bool parse_expect_word(struct parser *p, const char *word);
MUST_USE bool parse_expect_sign(struct parser *p, enum sign sign);
/* `expected WHAT, found Q` at the token at hand. Always false. */
bool parse_expected(struct parser *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Does `word` stand first in `words`? */
bool parse_is_first_word(const char *words, struct str word);
/* Which row of a .def table is the word at hand? Rows begin with their word; of several words the first counts. Takes
 * nothing. None: `unknown WHAT Q` with the nearest, or, where no word stands, `expected EXPECTED, found …`. */
MUST_USE bool parse_find_row(struct parser *p, const void *rows, size_t row_size, size_t count, const char *what,
                             const char *expected, unsigned *row);
#define PARSE_FIND(p, rows, what, expected, row)                                                                       \
    parse_find_row(p, rows, sizeof *(rows), COUNT_OF(rows), what, expected, row)
/* The second half of it, for who looks itself. Always false. */
bool parse_unknown(struct parser *p, const char *what, const char *expected, const struct suggestion *s);
/* ( and [ : what lies between holds no newlines. parse_close says where it was opened if nothing closes it. */
void parse_open(struct parser *p);
MUST_USE bool parse_close(struct parser *p, const struct token *open, enum sign close);
/* The statement's end: a newline or ; is taken, } and the end of the file are left. */
MUST_USE bool parse_end_statement(struct parser *p);
/* Behind an error: to the next statement of the same block. */
void parse_recover(struct parser *p);
/* Passes over what parts statements: newlines and ;. True: there is one more in this block (or file), false: } or the
 * end. */
bool parse_next_in_block(struct parser *p, const struct token *open);
/* Behind the } of a list that went wrong. */
void parse_skip_list(struct parser *p, const struct token *open);
/* A { } block: one() reads one of what stands in it. Several may share a line, unless one() ends it
 * (parse_end_statement). */
MUST_USE bool parse_block(struct parser *p, bool (*one)(struct parser *p, void *arg), void *arg);
/* Memory: an array in the tree's arena grows by one. NULL: none left (said). */
void *parse_array_add(struct parser *p, void **items, size_t *count, size_t item_size);
void *parse_alloc(struct parser *p, size_t bytes);
bool parse_no_memory(struct parser *p);

/* ---- parse_value.c ---- */

/* A name that is defined or used: `expected WHAT, found Q`, `"if" cannot be a name`. */
MUST_USE bool parse_name(struct parser *p, const char *what, struct name *name);
/* The content of the string at hand; interpolates: ${…} are its pieces. */
MUST_USE bool parse_string(struct parser *p, bool interpolates, struct value *v);
/* A string, or $name for one. */
MUST_USE bool parse_text_value(struct parser *p, const char *what, struct value *v);
/* Any literal, quoted or bare, or $name. is_item: what is wrong about a network is left to who knows the table's type.
 */
MUST_USE bool parse_any_value(struct parser *p, bool is_item, struct value *v);
/* The same of a parameter: where `$name` then stands for a text that is shown, its ${…} are looked at as if the text
 * stood there itself; elsewhere, or where they are not well formed, they are only letters. */
MUST_USE bool parse_parameter_value(struct parser *p, struct value *v);
/* A value of one shape. */
MUST_USE bool parse_wanted_value(struct parser *p, const struct want *want, bool interpolates, struct value *v);
/* { } of values, the { at hand. */
MUST_USE bool parse_list(struct parser *p, struct values *values);

/* ---- args.c ---- */

/* Reads by a pattern; who: as ranges call it ("relay idle"). */
MUST_USE bool parse_args(struct parser *p, const char *pattern, struct str who, bool interpolates,
                         struct values *values);
/* Is the token at hand what could begin a value of that shape? */
bool parse_fits_shape(struct parser *p, enum shape shape);
bool want_range_check(struct diagnostics *d, const struct want *want, const struct value *v, struct place at);

/* ---- one function per construct ---- */

MUST_USE bool parse_phase(struct parser *p, enum phase *phase);
MUST_USE bool parse_condition(struct parser *p, struct condition **cond);
MUST_USE bool parse_actions(struct parser *p, struct actions *actions, bool in_threshold);
MUST_USE bool parse_options(struct parser *p, const char *statement, enum option_block block, struct options *options);
MUST_USE bool parse_statement(struct parser *p);
MUST_USE bool parse_server(struct parser *p, struct statement *s);
MUST_USE bool parse_table(struct parser *p, struct statement *s);
MUST_USE bool parse_limit(struct parser *p, struct statement *s);
MUST_USE bool parse_on(struct parser *p, struct statement *s);
MUST_USE bool parse_test(struct parser *p, struct statement *s);
/* Is it the first word of some statement? */
bool statement_begins_with(struct str word);

#endif
