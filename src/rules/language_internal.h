/*
 * language_internal.h - the tables in one form, and columns.
 *
 *   language.c         the tables as sections; the overview
 *   language_word.c    all about one word
 *   language_more.c    what there is to say of a row besides how it reads
 *   language_text.c    columns, and lines that are not too long
 */
#ifndef RULES_LANGUAGE_INTERNAL_H
#define RULES_LANGUAGE_INTERNAL_H

#include "rules/args.h"
#include "rules/language.h"
#include "rules/tree.h"

/* A row of any table. */
struct entry {
    const char *words;
    const char *arguments; /* "": none */
    bool is_pattern;       /* the arguments are one of args.h; else they are read by a person */
    const char *later;     /* NULL: in force; "*": not; else the words of it that are not */
    const char *help;
};

struct writer {
    struct buf *to;
    bool fits;
    unsigned col; /* of what comes next, from 0 */
};

struct section {
    const char *kind;  /* "attribute" */
    const char *title; /* of the overview; NULL: not in it */
    size_t count;
    struct entry (*get)(size_t i);
    void (*print_column)(struct writer *w, size_t i); /* NULL, or what stands between words and help in the overview */
    void (*print_more)(struct writer *w, size_t i);   /* NULL, or what else there is to say of a row */
};

extern const struct section language_sections[];
extern const size_t language_section_count;

/* ---- language_text.c ---- */

void write_str(struct writer *w, struct str text);
void write_z(struct writer *w, const char *text);
void write_line_end(struct writer *w);
/* Spaces up to a column; one at least, unless the line is empty. */
void write_to_column(struct writer *w, unsigned col);
/* Words, and where the line would be too long a new one that begins at `indent`. */
void write_wrapped(struct writer *w, struct str text, unsigned indent);
/* A line of its own: a name, and behind it what there is to say. */
void write_fact(struct writer *w, const char *name, const char *text);

/* ---- language_word.c ---- */

/* A pattern of args.h for people: without its ranges. */
void write_pattern(struct writer *w, const char *pattern);

/* ---- language_more.c: print_more of sections ---- */

void language_more_statement(struct writer *w, size_t i);
void language_more_option(struct writer *w, size_t i);
void language_more_phase(struct writer *w, size_t i);
void language_more_action(struct writer *w, size_t i);
void language_more_attribute(struct writer *w, size_t i);
void language_more_unit(struct writer *w, size_t i);
void language_more_key(struct writer *w, size_t i);
void language_more_table_type(struct writer *w, size_t i);
void language_more_operator(struct writer *w, size_t i);
void language_more_step(struct writer *w, size_t i);
void language_more_expectation(struct writer *w, size_t i);

#endif
