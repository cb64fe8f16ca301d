/*
 * arena.h - memory that is given back all at once: what belongs to one mail, or to one configuration, lies in its
 * arena.
 *
 * Bounded: an arena never holds more than its maximum, so what a client can make a mail cost is a number. Allocations
 * are 16-byte aligned and zeroed.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/str.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* the newest first */
    size_t used_bytes;          /* of all chunks */
    size_t max_bytes;
};

void arena_init(struct arena *a, size_t max_bytes);
/* Gives all memory back; the arena stays usable, empty. */
void arena_fini(struct arena *a);

/* Forgets what lies in it, but keeps its newest piece of memory if that has at most keep_bytes: for what is filled
 * again and again. */
void arena_clear(struct arena *a, size_t keep_bytes);

/* NULL: beyond the maximum, or no memory. */
MUST_USE void *arena_alloc(struct arena *a, size_t bytes);
/* A copy with a NUL behind it (not counted in len). ptr NULL: no memory. */
MUST_USE struct str arena_copy(struct arena *a, struct str s);
/* Some pieces, one after another, with a NUL behind them; as arena_copy. */
MUST_USE struct str arena_join(struct arena *a, const struct str *pieces, size_t count);
MUST_USE struct str arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
