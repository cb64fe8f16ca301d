/* cache.c - chains of entries, and one ring of all in the order of their last use. See cache.h. */
#include "lookup/cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/panic.h"

struct entry {
    struct list used;   /* in the ring; the first was used last */
    struct entry *next; /* in its chain */
    uint64_t hash;
    int64_t until_ms;
    uint32_t key_bytes, value_bytes;
    char bytes[]; /* the key, then the value */
};

struct cache {
    struct entry **chains;
    size_t mask;
    struct list ring;
    size_t count, bytes, max_entries, max_bytes;
};

struct cache *cache_new(size_t max_entries, size_t max_bytes, struct err *err)
{
    size_t chain_count = 16;
    while (chain_count < max_entries)
        chain_count *= 2;
    struct cache *c = calloc(1, sizeof *c);
    struct entry **chains = calloc(chain_count, sizeof *chains);
    if (!c || !chains) {
        free(c);
        free(chains);
        err_no_memory(err);
        return NULL;
    }
    *c = (struct cache){.chains = chains, .mask = chain_count - 1, .max_entries = max_entries, .max_bytes = max_bytes};
    list_init(&c->ring);
    return c;
}

static size_t cost_of(size_t key_bytes, size_t value_bytes)
{
    return sizeof(struct entry) + key_bytes + value_bytes;
}

/* Where the pointer to the key's entry stands, or would stand. */
static struct entry **find(struct cache *c, struct str key, uint64_t hash)
{
    struct entry **at = &c->chains[hash & c->mask];
    while (*at && !((*at)->hash == hash && str_equal(str_of((*at)->bytes, (*at)->key_bytes), key)))
        at = &(*at)->next;
    return at;
}

static void remove_at(struct cache *c, struct entry **at)
{
    struct entry *e = *at;
    *at = e->next;
    list_remove(&e->used);
    c->count--;
    c->bytes -= cost_of(e->key_bytes, e->value_bytes);
    free(e);
}

static void remove_oldest(struct cache *c)
{
    struct entry *e = CONTAINER_OF(c->ring.prev, struct entry, used);
    struct entry **at = find(c, str_of(e->bytes, e->key_bytes), e->hash);
    PANIC_IF(*at != e, "an entry of the cache is in the ring and in no chain");
    remove_at(c, at);
}

void cache_flush(struct cache *c)
{
    while (c->count)
        remove_oldest(c);
}

void cache_free(struct cache **cache)
{
    struct cache *c = *cache;
    if (!c)
        return;
    cache_flush(c);
    free(c->chains);
    free(c);
    *cache = NULL;
}

bool cache_get(struct cache *c, struct str key, int64_t now_ms, struct str *value)
{
    struct entry **at = find(c, key, hash64(hash_process_key(), key)), *e = *at;
    if (!e)
        return false;
    if (e->until_ms <= now_ms) {
        remove_at(c, at);
        return false;
    }
    list_remove(&e->used);
    list_add_first(&c->ring, &e->used);
    *value = str_of(e->bytes + e->key_bytes, e->value_bytes);
    return true;
}

/* Before anything goes: key and value may be borrowed from here. NULL: too long, or no memory. */
static struct entry *make_entry(const struct cache *c, struct str key, struct str value, uint64_t hash)
{
    size_t cost = cost_of(key.len, value.len);
    if (key.len > CACHE_KEY_MAX_BYTES || value.len > CACHE_VALUE_MAX_BYTES || cost > c->max_bytes || !c->max_entries)
        return NULL;
    struct entry *e = malloc(cost);
    if (!e)
        return NULL;
    e->hash = hash;
    e->key_bytes = (uint32_t)key.len;
    e->value_bytes = (uint32_t)value.len;
    if (key.len)
        memcpy(e->bytes, key.ptr, key.len);
    if (value.len)
        memcpy(e->bytes + key.len, value.ptr, value.len);
    return e;
}

void cache_put(struct cache *c, struct str key, struct str value, int64_t until_ms)
{
    uint64_t hash = hash64(hash_process_key(), key);
    struct entry *e = make_entry(c, key, value, hash), **at = find(c, key, hash);
    size_t cost = cost_of(key.len, value.len);
    if (*at)
        remove_at(c, at);
    if (!e)
        return;
    while (c->count >= c->max_entries || c->bytes + cost > c->max_bytes)
        remove_oldest(c);
    e->until_ms = until_ms;
    e->next = c->chains[hash & c->mask];
    c->chains[hash & c->mask] = e;
    list_add_first(&c->ring, &e->used);
    c->count++;
    c->bytes += cost;
}

size_t cache_count(const struct cache *c)
{
    return c->count;
}

size_t cache_bytes(const struct cache *c)
{
    return c->bytes;
}
