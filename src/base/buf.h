/*
 * buf.h - bytes that grow up to a maximum known from birth, and are consumed from the front.
 *
 * A buf that holds nothing holds no memory unless it was asked to keep it: an idle session's buffers cost their struct
 * only. Appending beyond the maximum, or without memory, fails and changes nothing; the caller decides what that means.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <string.h>

#include "base/str.h"

struct buf {
    char *data;     /* NULL while empty */
    uint32_t start; /* consumed bytes at its front */
    uint32_t end;   /* data[start..end) is what it holds */
    uint32_t cap;
    uint32_t max;
};

/* max_bytes: what it may ever hold, below 2 GiB. */
void buf_init(struct buf *b, size_t max_bytes);
/* Frees the memory; the buf stays usable, empty. */
void buf_fini(struct buf *b);
/* As buf_fini, but overwrites the bytes first: for secrets. */
void buf_wipe(struct buf *b);

static inline size_t buf_len(const struct buf *b)
{
    return b->end - b->start;
}
/* What it holds; borrowed until the buf is next written to or consumed. */
static inline struct str buf_str(const struct buf *b)
{
    return (struct str){b->data ? b->data + b->start : NULL, b->end - b->start};
}

/* For who finds no room: moves, grows, or fails. */
MUST_USE bool buf_append_growing(struct buf *b, const void *ptr, size_t len);

/* In this header because lines are composed of dozens of small pieces, and nearly all of them find room. */
MUST_USE static inline bool buf_append(struct buf *b, const void *ptr, size_t len)
{
    if (len == 0)
        return true;
    if (len > b->cap - b->end)
        return buf_append_growing(b, ptr, len);
    memcpy(b->data + b->end, ptr, len);
    b->end += (uint32_t)len;
    return true;
}
MUST_USE static inline bool buf_append_str(struct buf *b, struct str s)
{
    return buf_append(b, s.ptr, s.len);
}
MUST_USE static inline bool buf_append_char(struct buf *b, char c)
{
    return buf_append(b, &c, 1);
}
MUST_USE bool buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* For who finds no room: moves, grows, or fails. */
MUST_USE char *buf_reserve_growing(struct buf *b, size_t want);

/* Room for `want` more bytes at its end, to be written by the caller and then made part by buf_commit. NULL: beyond the
 * maximum or no memory. */
MUST_USE static inline char *buf_reserve(struct buf *b, size_t want)
{
    return b->data && want <= b->cap - b->end ? b->data + b->end : buf_reserve_growing(b, want);
}
void buf_commit(struct buf *b, size_t written);

/* Forgets the first n bytes (n <= buf_len). Emptied, it keeps its memory: buf_fini gives it back. */
void buf_consume(struct buf *b, size_t n);
/* Forgets all, keeps the memory. */
void buf_clear(struct buf *b);
/* Forgets what was appended after the length was `len`. */
void buf_truncate(struct buf *b, size_t len);

#endif
