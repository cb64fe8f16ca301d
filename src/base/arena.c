/* arena.c - memory given back all at once. See arena.h. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ALIGN = 16,
    SMALL_ARENA_BYTES = 32768,
    SMALL_CHUNK_BYTES = 256,
    FIRST_CHUNK_BYTES = 1024,
    LARGEST_CHUNK_BYTES = 1 << 20
};

struct arena_chunk {
    struct arena_chunk *next;
    size_t size; /* of what follows */
    size_t used;
    size_t unused_word; /* keeps what follows 16-byte aligned */
};

void arena_init(struct arena *a, size_t max_bytes)
{
    *a = (struct arena){.max_bytes = max_bytes};
}

void arena_fini(struct arena *a)
{
    while (a->chunks) {
        struct arena_chunk *next = a->chunks->next;
        free(a->chunks);
        a->chunks = next;
    }
    a->used_bytes = 0;
}

void arena_clear(struct arena *a, size_t keep_bytes)
{
    struct arena_chunk *newest = a->chunks;
    if (!newest || newest->size > keep_bytes) {
        arena_fini(a);
        return;
    }
    a->chunks = newest->next;
    arena_fini(a);
    newest->next = NULL;
    newest->used = 0;
    a->chunks = newest;
    a->used_bytes = newest->size;
}

static struct arena_chunk *chunk_add(struct arena *a, size_t need)
{
    /* each chunk doubles the last, so a large configuration needs few of them and a small mail one; an arena that may
     * never be large, as a connection's, begins with less */
    size_t first = a->max_bytes <= SMALL_ARENA_BYTES ? SMALL_CHUNK_BYTES : FIRST_CHUNK_BYTES;
    size_t size = a->chunks ? MIN_OF(a->chunks->size * 2, (size_t)LARGEST_CHUNK_BYTES) : first;
    size = MAX_OF(size, need);
    size_t left = a->max_bytes - a->used_bytes;
    if (need > left)
        return NULL;
    size = MIN_OF(size, left);
    struct arena_chunk *chunk = malloc(sizeof *chunk + size);
    if (!chunk)
        return NULL;
    *chunk = (struct arena_chunk){.next = a->chunks, .size = size};
    a->chunks = chunk;
    a->used_bytes += size;
    return chunk;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    size_t need = (MAX_OF(bytes, (size_t)1) + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    struct arena_chunk *chunk = a->chunks;
    if (!chunk || chunk->size - chunk->used < need)
        chunk = chunk_add(a, need);
    if (!chunk)
        return NULL;
    char *p = (char *)(chunk + 1) + chunk->used;
    chunk->used += need;
    memset(p, 0, need);
    return p;
}

struct str arena_copy(struct arena *a, struct str s)
{
    return arena_join(a, &s, 1);
}

struct str arena_join(struct arena *a, const struct str *pieces, size_t count)
{
    size_t len = 0, at = 0;
    for (size_t i = 0; i < count; i++)
        len += pieces[i].len;
    char *to = arena_alloc(a, len + 1);
    if (!to)
        return STR_NONE;
    for (size_t i = 0; i < count; i++) {
        if (pieces[i].len)
            memcpy(to + at, pieces[i].ptr, pieces[i].len);
        at += pieces[i].len;
    }
    return str_of(to, len);
}

struct str arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    struct str s = STR_NONE;
    char *to = len >= 0 ? arena_alloc(a, (size_t)len + 1) : NULL;
    if (to) {
        vsnprintf(to, (size_t)len + 1, fmt, again);
        s = str_of(to, (size_t)len);
    }
    va_end(again);
    return s;
}
