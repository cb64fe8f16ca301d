/* map.c - byte strings to pointers. See map.h. */
#include "base/map.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

struct map_slot {
    char *key; /* NULL: never used; GRAVE: removed */
    size_t len;
    void *value;
    uint64_t hash;
};

static char grave;
#define GRAVE (&grave)

void map_init(struct map *m, bool borrows_keys, bool ignores_case)
{
    *m = (struct map){.borrows_keys = borrows_keys, .ignores_case = ignores_case};
}

static bool slot_is_live(const struct map_slot *slot)
{
    return slot->key && slot->key != GRAVE;
}

void map_fini(struct map *m)
{
    if (!m->borrows_keys)
        for (size_t i = 0; i < m->cap; i++)
            if (slot_is_live(&m->slots[i]))
                free(m->slots[i].key);
    free(m->slots);
    map_init(m, m->borrows_keys, m->ignores_case);
}

static uint64_t key_hash(const struct map *m, struct str key)
{
    if (!m->ignores_case)
        return hash64(hash_process_key(), key);
    char small[256] = ""; /* an empty key reads none of it, which the compiler cannot know */
    char *lower = key.len <= sizeof small ? small : malloc(key.len);
    if (!lower)
        return key.len; /* only slower: in get and set alike */
    for (size_t i = 0; i < key.len; i++)
        lower[i] = ascii_lower(key.ptr[i]);
    uint64_t h = hash64(hash_process_key(), str_of(lower, key.len));
    if (lower != small)
        free(lower);
    return h;
}

static bool slot_matches(const struct map *m, const struct map_slot *slot, struct str key, uint64_t h)
{
    struct str own = str_of(slot->key, slot->len);
    return slot->hash == h && (m->ignores_case ? str_equal_nocase(own, key) : str_equal(own, key));
}

static struct map_slot *find(const struct map *m, struct str key, uint64_t h)
{
    if (m->cap == 0)
        return NULL;
    for (size_t i = h & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct map_slot *slot = &m->slots[i];
        if (!slot->key)
            return NULL;
        if (slot->key != GRAVE && slot_matches(m, slot, key, h))
            return slot;
    }
}

void *map_get(const struct map *m, struct str key)
{
    struct map_slot *slot = find(m, key, key_hash(m, key));
    return slot ? slot->value : NULL;
}

bool map_has(const struct map *m, struct str key)
{
    return find(m, key, key_hash(m, key)) != NULL;
}

static void insert_unique(struct map_slot *slots, size_t cap, struct map_slot entry)
{
    size_t i = entry.hash & (cap - 1);
    while (slots[i].key)
        i = (i + 1) & (cap - 1);
    slots[i] = entry;
}

static bool grow(struct map *m)
{
    size_t cap = m->cap ? m->cap : 16;
    while (m->count * 2 >= cap)
        cap *= 2;
    struct map_slot *slots = calloc(cap, sizeof *slots);
    if (!slots)
        return false;
    for (size_t i = 0; i < m->cap; i++)
        if (slot_is_live(&m->slots[i]))
            insert_unique(slots, cap, m->slots[i]);
    free(m->slots);
    m->slots = slots;
    m->cap = cap;
    m->filled = m->count;
    return true;
}

bool map_set(struct map *m, struct str key, void *value)
{
    uint64_t h = key_hash(m, key);
    struct map_slot *slot = find(m, key, h);
    if (slot) {
        slot->value = value;
        return true;
    }
    if ((m->filled + 1) * 4 > m->cap * 3 && !grow(m))
        return false;
    char *own = m->borrows_keys ? (char *)(uintptr_t)key.ptr : str_copy_z(key);
    if (!own)
        return false;
    insert_unique(m->slots, m->cap, (struct map_slot){own, key.len, value, h});
    m->count++;
    m->filled++;
    return true;
}

void *map_remove(struct map *m, struct str key)
{
    struct map_slot *slot = find(m, key, key_hash(m, key));
    if (!slot)
        return NULL;
    void *value = slot->value;
    if (!m->borrows_keys)
        free(slot->key);
    *slot = (struct map_slot){.key = GRAVE};
    m->count--;
    return value;
}

bool map_next(const struct map *m, size_t *at, struct str *key, void **value)
{
    for (; *at < m->cap; (*at)++) {
        const struct map_slot *slot = &m->slots[*at];
        if (!slot_is_live(slot))
            continue;
        *key = str_of(slot->key, slot->len);
        *value = slot->value;
        (*at)++;
        return true;
    }
    return false;
}
