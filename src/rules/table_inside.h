/* table_inside.h - how tables lie in memory: what the files of table.h share. */
#ifndef RULES_TABLE_INSIDE_H
#define RULES_TABLE_INSIDE_H

#include "base/hash.h"
#include "base/map.h"
#include "rules/table.h"

enum {
    TABLE_KEY_MAX_BYTES = 2 * TABLE_ITEM_MAX_BYTES, /* A-labels are longer than U-labels */
    TABLE_BLOB_MAX_BYTES = 1 << 30,
    TABLE_ALIGN = 64, /* a line of the processor's cache */
};

/* An address as a number. */
__extension__ typedef unsigned __int128 u128;
static inline u128 u128_of_ip(const struct ip *ip)
{
    u128 n = 0;
    size_t len = ip->family == ADDR_IPV4 ? 4 : 16;
    for (size_t i = 0; i < len; i++)
        n = n << 8 | ip->bytes[i];
    return n;
}

/* One network while a table is built. */
struct table_net {
    u128 first;
    uint32_t value; /* 1 + where it begins in the blob; of networks: 1 */
    uint32_t order; /* of adding */
    uint8_t prefix;
};

struct table_nets {
    struct table_net *items; /* heap */
    size_t count, cap;
};

struct table_build {
    char *blob; /* heap: records of keys, texts of patterns, values of a netmap */
    size_t blob_len, blob_cap;
    size_t count;
    struct table_nets v4, v6;
    struct map values; /* of a netmap: text → where it lies in the blob */
    struct arena value_texts;
};

/* The networks of one family: from keys[i] up to below keys[i + 1] the value is values[i], 0 being none. Of a table
 * without values they alternate: in from keys[0], out from keys[1] … */
struct table_segments {
    uint32_t count, sample_count;
    uint64_t keys_at;    /* uint32_t, or u128 */
    uint64_t values_at;  /* uint32_t; 0: there are none */
    uint64_t samples_at; /* every TABLE_SAMPLE_STEP-th key once more, close together: the first steps of a search stay
                            in the processor's cache */
};
enum { TABLE_SAMPLE_STEP = 16 }; /* IPv4 keys of one line of the cache */

struct table_slot {
    uint32_t tag; /* the hash's lower half */
    uint32_t at;  /* 1 + where the record begins in the blob; 0: empty */
};

/* All places are distances from the image's first byte. */
struct table_image {
    char magic[8];
    uint32_t type;
    uint32_t count; /* items */
    uint32_t
        has_domains; /* @example.org or .example.org is among the keys: who is not there himself may be below one */
    uint32_t reserved;
    uint64_t bytes; /* with this header */
    struct hash_key key;
    uint64_t slots_at, slot_count;
    uint64_t blob_at, blob_bytes;
    struct table_segments v4, v6;
};

/* A key in the blob, and of a map a value of it. Not aligned: read by memcpy. */
struct table_record {
    uint32_t next; /* of a map: distance to the next record of the same key; 0: the last */
    uint16_t key_len, value_len;
    /* the key, the value */
};

static inline const char *image_at(const struct table_image *image, uint64_t at)
{
    return (const char *)image + at;
}

/* table_normal.c: the key in its one spelling, into `to`. Allocates nothing but for U-labels. */
struct str table_key_normal(enum table_type type, struct str item, char *to, size_t size);
struct str address_normal(struct str address, bool strips_tag, char *to, size_t size);
struct str text_lower(struct str s, char *to, size_t size);
static inline bool text_is_address(struct str s)
{
    return s.len && memchr(s.ptr, '@', s.len);
}

/* table.c: room at the blob's end; *at is where it begins. NULL: no memory, or the table's bound. */
char *table_blob_add(struct table_build *b, size_t len, size_t *at);

/* table_image.c: zeroed memory for an image; *mapped_bytes becomes the table's. NULL: none. */
struct table_image *table_image_alloc(size_t bytes, size_t *mapped_bytes);
/* The image and its patterns go. */
void table_image_free(struct lookup *t);

/* table_keys.c: records, and finding them. slot_count is known before; fills slots of zeros. False: no memory. */
MUST_USE bool table_record_add(struct table_build *b, struct str key, struct str value);
uint64_t table_slot_count(size_t keys);
MUST_USE bool table_fill_slots(struct table_image *image, bool is_map);
/* NULL: not there. */
const char *table_find_text(const struct lookup *t, struct str text);

/* table_networks.c: networks as they come in, and as segments. */
MUST_USE bool table_net_add(struct table_nets *nets, u128 from, u128 to, unsigned bits, uint32_t value, uint32_t order);
/* Sorts, and turns networks into segments. keys, values: arrays of at least 2 * count + 1. Returns how many. */
size_t table_segments_make(struct table_nets *nets, unsigned bits, u128 *keys, uint32_t *values);
/* The value of an address; 0: none. */
uint32_t table_segments_find(const struct table_image *image, const struct ip *ip);

#endif
