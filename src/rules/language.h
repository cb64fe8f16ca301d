/*
 * language.h - what can be written, as text (`mailweir language`): made of the tables that the parser and the checks
 * read by, so it cannot say anything else than they do.
 *
 * Plain text, LANGUAGE_WIDTH columns. What is not in force in this version bears a star in the overview, and says so
 * where it is spoken of alone.
 */
#ifndef RULES_LANGUAGE_H
#define RULES_LANGUAGE_H

#include "base/buf.h"

enum { LANGUAGE_WIDTH = 100 };

/* False, of each: the buffer is full. */
MUST_USE bool language_print_overview(struct buf *to);
/* Everything of that name: `tls` is a statement, an attribute, an option and a step. Several words name one row:
 * "store redis". *count: how much was found; with 0 nothing is printed, and *nearest may be a word that was meant. */
MUST_USE bool language_print_word(struct str word, struct buf *to, size_t *count, struct str *nearest);

#endif
