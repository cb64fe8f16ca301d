/*
 * args.h - the arguments of statements, options, actions and test steps, read by the patterns in the .def tables.
 *
 *   "[NAME] to [smtp|lmtp] ENDPOINT..."
 *
 *   word        stands literally (`message(s)`: with or without its s)
 *   a|b|c       one of these; may hold one shape; `a|`: a choice of one, for who must know that it was given
 *   SHAPE       a value of that shape (shapes.def)
 *   SHAPE(1s,24h)  within a range (GRAMMAR.md 6); a third word names it in messages
 *   SHAPE...    one or more, by spaces
 *   SHAPE,...   one or more, by commas
 *   [ … ]       may be left out; taken when its first word fits
 *
 * Choices and shapes are counted from 0, in the order they stand in the pattern, whether they were given or not: that
 * is value.arg. Literal words are not counted and leave no value. A pattern is decided one word ahead: there is nothing
 * to try and take back.
 */
#ifndef RULES_ARGS_H
#define RULES_ARGS_H

#include "rules/tree.h"

/* One element of a pattern, for who prints patterns (`language`, completion) and for the reader itself. */
enum element_kind { ELEMENT_WORD, ELEMENT_CHOICE, ELEMENT_SHAPE, ELEMENT_OPEN, ELEMENT_CLOSE, ELEMENT_END };
struct element {
    enum element_kind kind;
    struct str text;           /* the word; the whole choice with its bars; the shape's word */
    enum shape shape;          /* SHAPE; CHOICE: the one shape in it, or NONE */
    struct str min, max, name; /* empty: no range */
    bool may_repeat;           /* ... */
    bool by_comma;             /* ,... */
    bool takes_plural;         /* word(s) */
};

/* The next element; *pattern moves behind it. */
struct element pattern_next(const char **pattern);

#endif
