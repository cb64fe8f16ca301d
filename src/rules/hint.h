/*
 * hint.h - what somebody probably meant who wrote something else: the half of a message behind the marker.
 *
 * suggest.h finds words that are spelt wrong. Here is what no spelling leads to: words that other mail servers and
 * other languages use for the same thing (`deny`, `&&`, `subject`), parts in the wrong order, and how a value is
 * written that was not read (`10min`, `20MB`, `4:00`). The sentences themselves are GRAMMAR.md's and stay as they are.
 */
#ifndef RULES_HINT_H
#define RULES_HINT_H

#include "rules/print.h"
#include "rules/tree.h"

/* Behind `expected WHAT, found Q`; found is without quotes, is_text says that it had some. Nothing if nothing helps. */
void hint_expected(struct diagnostics *d, const char *what, struct str found, bool is_text);
/* How a value of that shape is written. */
void hint_shape(struct diagnostics *d, enum shape shape);
/* Behind `unknown WHAT Q`: what is called otherwise here. */
void hint_unknown(struct diagnostics *d, const char *what, struct str word);
/* Behind `unknown attribute Q`, where neither an attribute nor a text in quotes was meant. False: nothing was said. */
bool hint_attribute(struct diagnostics *d, struct str word);
/* Behind `unexpected character Q`. */
void hint_character(struct diagnostics *d, char c);
/* Behind `expected end of line, found Q` at the end of a rule that has a condition. */
void hint_behind_condition(struct diagnostics *d, struct str found);

#endif
