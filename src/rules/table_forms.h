/*
 * table_forms.h - what to look for in a table that is not here, one after the other, until something is there: the same
 * order in which tables at hand are searched (RULES.md "Tables", table_keys.c).
 *
 *   strings     the word                          domains   a.b.example, .b.example, .example
 *   addresses   bob+x@a.test, bob@a.test, @a.test     map       as addresses where it holds an @, else as strings
 */
#ifndef RULES_TABLE_FORMS_H
#define RULES_TABLE_FORMS_H

#include "rules/table.h"

enum { TABLE_FORM_MAX_BYTES = 1024, TABLE_FORMS_MAX = 128 };

/* Form number n (from 0) of the text, in its one spelling, into `to` of TABLE_FORM_MAX_BYTES. False: there are no more,
 * or the text is longer than TABLE_ITEM_MAX_BYTES or empty. */
MUST_USE bool table_form(enum table_type type, struct str text, unsigned n, char *to, struct str *form);

#endif
