/*
 * pattern.h - patterns are PCRE2's, in UTF-8: right of `matches`, in tables of patterns. check says what is wrong with
 * one, compile keeps it; both read it here, so that they cannot differ.
 *
 * What a stranger sends is matched, so no pattern may take as long as it likes: each has a limit on steps, depth and
 * memory. One that meets it counts as no match (RULES.md "Tables"), and that is logged, once.
 */
#ifndef RULES_PATTERN_H
#define RULES_PATTERN_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/err.h"
#include "base/str.h"

/* Steps of one match, as pcre2_set_match_limit and its siblings count them. */
enum { PATTERN_MATCH_LIMIT = 20000, PATTERN_DEPTH_LIMIT = 500, PATTERN_HEAP_LIMIT_KIB = 1024 };

/* A pattern of one process: a match is over before the next begins. */
struct pattern {
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *context;
    char *where; /* for the log: what it belongs to */
    char *text;
    bool has_met_limit; /* and it was said */
};

/* NULL: err says why, `bad pattern: missing closing parenthesis`. The caller's to pcre2_code_free. */
pcre2_code *pattern_compile(struct str pattern, struct err *err);

/* The same, ready to be asked: compiled to machine code where that is possible. where: what the log calls it, `table
 * "names"`; copied. NULL: err says why. */
struct pattern *pattern_new(struct str pattern, struct str where, struct err *err);
void pattern_free(struct pattern **p);

/* Does it match anywhere in s? Allocates nothing that lasts. */
bool pattern_matches(struct pattern *p, struct str s);

#endif
