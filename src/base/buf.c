/* buf.c - bounded bytes. See buf.h. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"

enum { SMALLEST_BYTES = 256 };

void buf_init(struct buf *b, size_t max_bytes)
{
    PANIC_IF(max_bytes == 0 || max_bytes > INT32_MAX, "a buffer of %zu bytes", max_bytes);
    *b = (struct buf){.max = (uint32_t)max_bytes};
}

void buf_fini(struct buf *b)
{
    free(b->data);
    *b = (struct buf){.max = b->max};
}

void buf_wipe(struct buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->cap);
    buf_fini(b);
}

char *buf_reserve_growing(struct buf *b, size_t want)
{
    size_t held = buf_len(b);
    if (want > b->max || held > b->max - want)
        return NULL;
    if (b->data && b->start && held + want <= b->cap) {
        memmove(b->data, b->data + b->start, held);
        b->start = 0;
        b->end = (uint32_t)held;
        return b->data + held;
    }
    size_t cap = MAX_OF(b->cap, (uint32_t)SMALLEST_BYTES);
    while (cap < held + want)
        cap *= 2;
    cap = MIN_OF(cap, (size_t)b->max);
    char *data = malloc(cap);
    if (!data)
        return NULL;
    if (b->data)
        memcpy(data, b->data + b->start, held);
    free(b->data);
    *b = (struct buf){.data = data, .end = (uint32_t)held, .cap = (uint32_t)cap, .max = b->max};
    return data + held;
}

void buf_commit(struct buf *b, size_t written)
{
    PANIC_IF(written > b->cap - b->end, "%zu bytes committed, %u reserved", written, b->cap - b->end);
    b->end += (uint32_t)written;
}

bool buf_append_growing(struct buf *b, const void *ptr, size_t len)
{
    char *to = buf_reserve(b, len);
    if (!to)
        return false;
    memcpy(to, ptr, len);
    b->end += (uint32_t)len;
    return true;
}

bool buf_printf(struct buf *b, const char *fmt, ...)
{
    char small[512];
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int len = vsnprintf(small, sizeof small, fmt, args);
    va_end(args);
    bool ok = false;
    if (len >= 0 && (size_t)len < sizeof small) {
        ok = buf_append(b, small, (size_t)len);
    } else if (len >= 0) {
        char *to = buf_reserve(b, (size_t)len + 1);
        if (to) {
            vsnprintf(to, (size_t)len + 1, fmt, again);
            b->end += (uint32_t)len;
            ok = true;
        }
    }
    va_end(again);
    return ok;
}

void buf_consume(struct buf *b, size_t n)
{
    PANIC_IF(n > buf_len(b), "%zu bytes consumed of %zu", n, buf_len(b));
    b->start += (uint32_t)n;
    if (b->start == b->end)
        b->start = b->end = 0;
}

void buf_clear(struct buf *b)
{
    b->start = b->end = 0;
}

void buf_truncate(struct buf *b, size_t len)
{
    PANIC_IF(len > buf_len(b), "truncated to %zu of %zu bytes", len, buf_len(b));
    b->end = b->start + (uint32_t)len;
}
