/*
 * grow.h - an array on the heap that grows as it is filled, doubled each time, so that filling it costs each item a
 * constant number of copies.
 *
 *   struct item *items;      NULL, 0 and 0 to begin with; free(items) at the end
 *   size_t count, cap;
 *
 *   if (!GROW(&items, count + 1, &cap, 64))
 *       no memory: the array is as it was
 *   items[count++] = …;
 */
#ifndef BASE_GROW_H
#define BASE_GROW_H

#include "base/defs.h"

/* Room for `wanted` items of item_bytes each in the array *items (passed as the address of that pointer), which has
 * room for *cap; at least `first` at the beginning. False: no memory, or more bytes than can be counted. */
MUST_USE bool grow(void *items, size_t item_bytes, size_t wanted, size_t *cap, size_t first);

/* The same, and no call where there is room. Names its arguments twice. */
#define GROW(items, wanted, cap, first)                                                                                \
    ((wanted) <= *(cap) || grow((items), sizeof **(items), (wanted), (cap), (first)))

#endif
