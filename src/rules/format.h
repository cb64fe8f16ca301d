/*
 * format.h - one layout for every file of the language (`mailweir fmt`).
 *
 *   text ─▶ parse, with marks ─▶ pieces ─▶ where lines begin ─▶ print ─▶ parse again, compare
 *
 * Only what stands between words changes, and which `;` became a newline: words, their order and the comments are those
 * of the author.
 *
 *   - 4 spaces for each block; one space between words, two before a statement or a comment that shares a line.
 *   - A block or list is on one line if it was and fits into FORMAT_WIDTH columns; else each statement, each item has a
 *     line of its own. Of rules only one may share a line with its `on`. The steps of a test stay on the lines the
 *     author gave them.
 *   - A statement goes on, 4 more spaces in, where the author broke it: before `if unless and or` and behind commas,
 *     nowhere else. Where a line is too long, it is broken there.
 *   - One blank line at most, and none at the ends of a block. Comments stand where they stood: on a line of their own,
 *     or behind a word. They never make a line too long.
 *
 * Laid out twice is laid out once. A word or list that is wider than the line stays so.
 */
#ifndef RULES_FORMAT_H
#define RULES_FORMAT_H

#include "base/buf.h"
#include "rules/print.h"

enum { FORMAT_WIDTH = 120, FORMAT_INDENT = 4 };

enum format_result {
    FORMAT_DONE,
    FORMAT_HAS_ERRORS, /* said in the diagnostics: what is wrong has no layout, or no memory */
    FORMAT_FAULT,      /* what came out would not mean the same: a fault of ours. Nothing is in `to`. */
};

/* Lays out a file of the set; those it includes are not read. `to`, empty when given, gets the text; its own text is
 * added to the set, to be compared. */
enum format_result rules_format(struct source_set *sources, uint32_t file, struct diagnostics *d, struct buf *to);

#endif
