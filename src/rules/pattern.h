/*
 * pattern.h - patterns are PCRE2's, in UTF-8: right of `matches`, in tables of patterns. check says what is wrong with
 * one, compile keeps it; both read it here, so that they cannot differ.
 */
#ifndef RULES_PATTERN_H
#define RULES_PATTERN_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/err.h"
#include "base/str.h"

/* NULL: err says why, `bad pattern: missing closing parenthesis`. The caller's to pcre2_code_free. */
pcre2_code *pattern_compile(struct str pattern, struct err *err);

#endif
