/* grow.c - an array that grows. See grow.h. */
#include "base/grow.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

bool grow(void *items, size_t item_bytes, size_t wanted, size_t *cap, size_t first)
{
    if (wanted <= *cap)
        return true;
    void *old, *grown;
    size_t room = MAX_OF(MAX_OF(wanted, first), *cap <= SIZE_MAX / 2 ? 2 * *cap : 0), bytes;
    if (__builtin_mul_overflow(room, item_bytes, &bytes))
        return false;
    memcpy(&old, items, sizeof old); /* whatever it points to, a pointer to an object is stored like any other */
    grown = realloc(old, bytes);
    if (!grown)
        return false;
    memcpy(items, &grown, sizeof grown);
    *cap = room;
    return true;
}
