/*
 * cache.h - what was learnt from outside, for as long as it may be believed.
 *
 * Keys and values are bytes. Bounded twice, by entries and by bytes: the entry that was not used for longest gives way.
 * An entry lives until its moment, hits do not prolong it. Its hash is keyed, so strangers cannot make theirs collide.
 */
#ifndef LOOKUP_CACHE_H
#define LOOKUP_CACHE_H

#include "base/err.h"
#include "base/str.h"

struct cache;

enum { CACHE_KEY_MAX_BYTES = 2048, CACHE_VALUE_MAX_BYTES = 32768 };

/* NULL with err: no memory. The bytes are those of the entries with their own costs, without the table's 8 an entry. */
struct cache *cache_new(size_t max_entries, size_t max_bytes, struct err *err);
/* NULL is fine. */
void cache_free(struct cache **c);

/* False: not there, or its time is over. The value is borrowed until the cache is next changed. */
bool cache_get(struct cache *c, struct str key, int64_t now_ms, struct str *value);
/* Adds or replaces. What is beyond a maximum, or for which there is no memory, is not remembered (what was known of the
 * key neither), nothing else. */
void cache_put(struct cache *c, struct str key, struct str value, int64_t until_ms);
void cache_flush(struct cache *c);

/* Live entries and those whose time is over but whose place nobody has needed yet. */
size_t cache_count(const struct cache *c);
size_t cache_bytes(const struct cache *c);

#endif
