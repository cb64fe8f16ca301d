/*
 * shape.h - what a word may be (GRAMMAR.md 1, the table of shapes), and its value.
 *
 * `1000` is a number, a size and a name's ending; `127.0.0.1` a network and, by its letters, a domain. So a word is
 * read as what its place asks for (shape_read); where anything may stand – a parameter's value, an operand, an item –
 * as the first shape that fits (shape_guess). Numbers beyond what 64 bits hold stay at their end: the range that
 * follows refuses them.
 */
#ifndef RULES_SHAPE_H
#define RULES_SHAPE_H

#include "rules/tree.h"

enum shape_result {
    SHAPE_FITS,
    SHAPE_OTHER, /* it is not of this shape */
    SHAPE_WRONG, /* it is, but not a possible one; err: "192.0.2.7/24 has bits beyond /24" */
    SHAPE_NO_MEMORY,
};

/* Reads `word` as `shape` and fills v->shape and its member; nothing else of *v. NUMBER takes a size, SIZE a number. */
enum shape_result shape_read(enum shape shape, struct str word, struct arena *arena, struct value *v, struct err *err);

/* The first that fits of truth, number, size, duration, rate, percent, date, time, range, network, address, endpoint,
 * domain with a dot, name; else WORD. SHAPE_WRONG as above. */
enum shape_result shape_guess(struct str word, struct arena *arena, struct value *v, struct err *err);

/* [A-Za-z][A-Za-z0-9_-]*, and such joined by dots. */
bool shape_is_name(struct str word);
bool shape_is_dotted_name(struct str word);
/* Labels joined by dots, perhaps with a dot before them; letters beyond ASCII may stand in them. */
bool shape_is_domain(struct str word);
/* LOCAL@DOMAIN or @DOMAIN. */
bool shape_is_address(struct str word);

#endif
