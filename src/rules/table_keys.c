/*
 * table_keys.c - texts in a table: records in one blob, found through a hash with open addressing.
 *
 * A slot is 8 bytes, every other one is taken; it holds half of the hash, so that what is not in the table is known
 * without a look at the blob. The hash is keyed: strangers choose what is looked for, and shall not choose how long
 * that takes.
 */
#include <stdlib.h>

#include "rules/table_inside.h"

/* ---- building ---- */

bool table_record_add(struct table_build *b, struct str key, struct str value)
{
    struct table_record r = {.key_len = (uint16_t)key.len, .value_len = (uint16_t)value.len};
    size_t at;
    char *to = table_blob_add(b, sizeof r + key.len + value.len, &at);
    if (!to)
        return false;
    memcpy(to, &r, sizeof r);
    memcpy(to + sizeof r, key.ptr, key.len);
    if (value.len)
        memcpy(to + sizeof r + key.len, value.ptr, value.len);
    b->count++;
    return true;
}

uint64_t table_slot_count(size_t keys)
{
    return 2 * keys + 1;
}

static struct table_record record_at(const char *at)
{
    struct table_record r;
    memcpy(&r, at, sizeof r);
    return r;
}

static struct str record_key(const char *at)
{
    return str_of(at + sizeof(struct table_record), record_at(at).key_len);
}

/* The slot with this key, or the empty one where it belongs. */
static uint64_t find_slot(const struct table_image *image, struct str key, uint32_t *tag)
{
    const struct table_slot *slots = (const void *)image_at(image, image->slots_at);
    const char *blob = image_at(image, image->blob_at);
    uint64_t hash = hash64(&image->key, key);
    uint64_t i = (uint64_t)((u128)hash * image->slot_count >> 64);
    *tag = (uint32_t)hash;
    for (;;) {
        const struct table_slot *s = &slots[i];
        if (s->at == 0 || (s->tag == *tag && str_equal(record_key(blob + s->at - 1), key)))
            return i;
        if (++i == image->slot_count)
            i = 0;
    }
}

/* A later record of the same key hangs behind the last: last_of[slot] is where that begins. */
static void chain(char *blob, uint32_t *last_of, uint64_t slot, size_t at)
{
    struct table_record last = record_at(blob + last_of[slot]);
    last.next = (uint32_t)(at - last_of[slot]);
    memcpy(blob + last_of[slot], &last, sizeof last);
    last_of[slot] = (uint32_t)at;
}

bool table_fill_slots(struct table_image *image, bool is_map)
{
    struct table_slot *slots = (void *)((char *)image + image->slots_at);
    char *blob = (char *)image + image->blob_at;
    uint32_t *last_of = is_map ? calloc(image->slot_count, sizeof *last_of) : NULL;
    if (is_map && !last_of)
        return false;
    for (size_t at = 0; at < image->blob_bytes;) {
        struct table_record r = record_at(blob + at);
        uint32_t tag;
        struct str key = record_key(blob + at);
        uint64_t i = find_slot(image, key, &tag);
        image->has_domains |= key.ptr[0] == '@' || key.ptr[0] == '.';
        if (slots[i].at == 0) {
            slots[i] = (struct table_slot){tag, (uint32_t)at + 1};
            if (is_map)
                last_of[i] = (uint32_t)at;
        } else if (is_map) {
            chain(blob, last_of, i, at);
        }
        at += sizeof r + r.key_len + r.value_len;
    }
    free(last_of);
    return true;
}

/* ---- asking ---- */

static const char *find(const struct table_image *image, struct str key)
{
    uint32_t tag;
    const struct table_slot *slots = (const void *)image_at(image, image->slots_at);
    uint64_t i = find_slot(image, key, &tag);
    return slots[i].at ? image_at(image, image->blob_at + slots[i].at - 1) : NULL;
}

/* An address whole, without its tag, by its domain: the first that is there. */
static const char *find_address(const struct table_image *image, struct str address)
{
    char key[TABLE_KEY_MAX_BYTES];
    struct str normal = address_normal(address, false, key, sizeof key);
    const char *found = find(image, normal);
    if (!found && str_find(address, '+') < address.len) {
        normal = address_normal(address, true, key, sizeof key);
        found = find(image, normal);
    }
    if (found || !image->has_domains)
        return found;
    return find(image, str_from(normal, str_find_last(normal, '@')));
}

static const char *find_domain(const struct table_image *image, struct str domain)
{
    char key[TABLE_KEY_MAX_BYTES];
    struct str normal = domain_normal(domain, key, sizeof key);
    const char *found = find(image, normal);
    for (size_t i = 0; !found && image->has_domains && i < normal.len; i++)
        if (normal.ptr[i] == '.')
            found = find(image, str_from(normal, i));
    return found;
}

const char *table_find_text(const struct lookup *t, struct str text)
{
    char key[TABLE_KEY_MAX_BYTES];
    if (!t->image || t->image->count == 0 || text.len == 0 || text.len > TABLE_ITEM_MAX_BYTES)
        return NULL;
    if (t->type == TABLE_DOMAINS)
        return find_domain(t->image, text);
    if (t->type != TABLE_STRINGS && text_is_address(text))
        return find_address(t->image, text);
    return find(t->image, text_lower(text, key, sizeof key));
}

const struct lookup_values *lookup_get(const struct lookup *t, const struct fact *x)
{
    return x->kind == FACT_TEXT ? (const void *)table_find_text(t, x->text) : NULL;
}

struct str lookup_values_next(const struct lookup_values **from)
{
    const char *at = (const char *)*from;
    if (!at)
        return STR_NONE;
    struct table_record r = record_at(at);
    *from = r.next ? (const void *)(at + r.next) : NULL;
    return str_of(at + sizeof r + r.key_len, r.value_len);
}

bool lookup_values_have(const struct lookup_values *values, struct str x)
{
    for (struct str value = lookup_values_next(&values); value.ptr; value = lookup_values_next(&values))
        if (text_is_same(value, x))
            return true;
    return false;
}
