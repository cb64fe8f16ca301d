/*
 * map.h - a hash table from byte strings to pointers, keyed hash, open addressing. Keys are copied, or borrowed when
 * the map was told so; values are the caller's. Iteration order is not defined.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/str.h"

struct map_slot;

struct map {
    struct map_slot *slots;
    size_t cap; /* a power of two, or 0 */
    size_t count;
    size_t filled; /* with the graves of removed ones */
    bool borrows_keys;
    bool ignores_case;
};

void map_init(struct map *m, bool borrows_keys, bool ignores_case);
/* Frees the table and copied keys, not the values. */
void map_fini(struct map *m);

/* NULL: not there. */
void *map_get(const struct map *m, struct str key);
bool map_has(const struct map *m, struct str key);
/* Sets or replaces. False: no memory, nothing changed. */
MUST_USE bool map_set(struct map *m, struct str key, void *value);
/* Returns the removed value, or NULL. */
void *map_remove(struct map *m, struct str key);

/* Walks: start with *at = 0; false at the end. The map must not change meanwhile, but the current entry may be removed.
 */
bool map_next(const struct map *m, size_t *at, struct str *key, void **value);

#endif
