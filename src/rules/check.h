/*
 * check.h - a tree that was parsed becomes a tree that means something: names are resolved, `$name` is replaced, types,
 * phases, ranges and places are held against GRAMMAR.md. Everything that is wrong is said, with its place and the
 * nearest right word.
 *
 *   tree ─▶ names (who defines what) ─▶ parameters
 *        ─▶ per statement: types, phases, ranges ─▶ observe, disable ─▶ warnings
 *
 * What check leaves in the tree, for compile and config/ (tree.h, members marked "check:"):
 * - no value is a PARAM any more: it is the literal that the parameter stands for, read as what its place wants, `at`
 *   still where it is used, written_in where it was set. The same for both halves of rates.
 * - operands, text pieces, places of `in`, overrides point at what their names mean, with its type.
 * - rules and limits know whether they are observed or disabled.
 *
 * What a version does not have in force yet (the .def tables, `later`) is refused by name: `"alert" is not in force in
 * this version`, and checked like everything else.
 */
#ifndef RULES_CHECK_H
#define RULES_CHECK_H

#include "rules/parse.h"

/* True: nothing is wrong. A statement in which something is wrong has is_broken set; the others may be looked at. With
 * a syntax error in the tree (is_broken statements) it still checks all others. Opens no file: tables of files are read
 * by compile. */
MUST_USE bool rules_check(struct tree *tree, struct diagnostics *d);
/* The same; allows_later: what is not in force yet is not refused. For the tests of the language as a whole. */
MUST_USE bool rules_check_all(struct tree *tree, struct diagnostics *d, bool allows_later);

#endif
