/*
 * err.h - why something did not work: a sentence, perhaps a suggestion. For refusals and trouble alike; who reports it
 * adds the place. `return err_set(err, "…")` is the idiom: it is always false.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/defs.h"

struct err {
    char text[768];
    char hint[256]; /* what to do; empty: nothing better than the text */
};

bool err_set(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool err_set_hint(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Puts "prefix: " before the text. */
bool err_prefix(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The sentence for lack of memory, the same everywhere. */
bool err_no_memory(struct err *err);

#endif
