/*
 * json.h - one JSON value in memory, walked over member by member (RFC 8259): for lines of our own event log, which are
 * read by the hundred thousand. What is not looked at is only passed over; nothing is built, nothing is allocated.
 *
 *   json_walk(line) ─▶ json_next: name, value ─▶ json_next … ─▶ false: at the end, or is_wrong
 *                             └ an object or array in it: json_walk_into(value)
 *
 * Texts are handed out as they stand between their quotes; json_unescape makes them what they mean, in their place:
 * that is never longer. Strict, but for bytes that are no UTF-8, which are passed on as they are. Nothing recurses.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/str.h"

enum { JSON_DEPTH_MAX = 32 };

enum json_kind { JSON_TEXT, JSON_NUMBER, JSON_OBJECT, JSON_ARRAY, JSON_TRUE, JSON_FALSE, JSON_NULL };

struct json_value {
    enum json_kind kind;
    struct str raw; /* TEXT: between its quotes; else all of it */
};

struct json_walk {
    const char *at, *end;
    char closes;     /* '}' or ']' */
    bool is_started; /* a member was read */
    bool is_over, is_wrong;
};

/* Over the members of an object that is all of `text`, but for blanks around it. */
void json_walk_object(struct json_walk *w, struct str text);
/* Over those of an object or array that json_next gave; of any other value: there are none. */
void json_walk_into(struct json_walk *w, const struct json_value *value);
/* The next one; name: as TEXT's raw, in an array empty. False: that was the last one, or is_wrong. */
MUST_USE bool json_next(struct json_walk *w, struct str *name, struct json_value *value);

/* What stands between quotes becomes what it means, where it lies. Returns it; half a pair of surrogates is U+FFFD. */
struct str json_unescape(char *raw, size_t len);
/* A whole number of at most `max`. False: it is none. */
MUST_USE bool json_u64(const struct json_value *value, uint64_t max, uint64_t *number);

#endif
