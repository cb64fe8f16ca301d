/* table.c - from items to an image. See table.h. */
#include <stdlib.h>

#include "rules/rate.h"
#include "rules/table_inside.h"
#include "smtp/address.h"

void lookup_init(struct lookup *t, enum table_type type, struct str name)
{
    *t = (struct lookup){.type = type, .name = name};
}

static void build_free(struct table_build *b)
{
    if (!b)
        return;
    map_fini(&b->values);
    arena_fini(&b->value_texts);
    free(b->blob);
    free(b->v4.items);
    free(b->v6.items);
    free(b);
}

/* ---- items ---- */

/* What a table is built of, made with its first item. NULL: no memory. */
static struct table_build *building(struct lookup *t)
{
    if (t->build)
        return t->build;
    t->build = calloc(1, sizeof *t->build);
    if (t->build) {
        map_init(&t->build->values, true, false);
        arena_init(&t->build->value_texts, TABLE_BLOB_MAX_BYTES);
    }
    return t->build;
}

char *table_blob_add(struct table_build *b, size_t len, size_t *at)
{
    if (len > b->blob_cap - b->blob_len) {
        size_t cap = MAX_OF(b->blob_cap * 2, b->blob_len + len);
        cap = MIN_OF(MAX_OF(cap, (size_t)256), (size_t)TABLE_BLOB_MAX_BYTES);
        char *blob = cap - b->blob_len >= len ? realloc(b->blob, cap) : NULL;
        if (!blob)
            return NULL;
        b->blob = blob;
        b->blob_cap = cap;
    }
    *at = b->blob_len;
    b->blob_len += len;
    return b->blob + *at;
}

static bool item_fits(const struct lookup *t, struct str item, struct err *err)
{
    struct smtp_path path;
    if (item.len == 0 || item.len > TABLE_ITEM_MAX_BYTES)
        return err_set(err, "an item of %zu bytes is not possible", item.len);
    if (t->type == TABLE_DOMAINS && !smtp_domain_is_valid(str_from(item, item.ptr[0] == '.')))
        return err_set(err, "\"" PRI_STR "\" is not a domain", STR_ARG(item));
    if (t->type != TABLE_ADDRESSES)
        return true;
    bool fits = item.ptr[0] == '@' ? smtp_domain_is_valid(str_from(item, 1)) : smtp_address_parse(item, &path);
    return fits || err_set(err, "\"" PRI_STR "\" is not an address", STR_ARG(item));
}

static bool has_room(const struct table_build *b, struct err *err)
{
    if (!b)
        return err_no_memory(err);
    return b->count < TABLE_MAX_ITEMS || err_set(err, "more than %d items in one table", TABLE_MAX_ITEMS);
}

/* A value of a netmap: 1 + where its length and text lie in the blob, once for all who have it. 0: no memory. */
static uint32_t value_place(struct table_build *b, struct str value)
{
    void *known = map_get(&b->values, value);
    if (known)
        return (uint32_t)(uintptr_t)known;
    size_t at;
    uint16_t len = (uint16_t)value.len;
    char *to = table_blob_add(b, sizeof len + len, &at);
    struct str key = arena_copy(&b->value_texts, value);
    if (!to || !key.ptr || !map_set(&b->values, key, (void *)(uintptr_t)(at + 1)))
        return 0;
    memcpy(to, &len, sizeof len);
    memcpy(to + sizeof len, value.ptr, len);
    return (uint32_t)at + 1;
}

bool lookup_add_span(struct lookup *t, const struct ip *from, const struct ip *to, struct str value, struct err *err)
{
    struct table_build *b = building(t);
    if (!has_room(b, err))
        return false;
    uint32_t place = t->type == TABLE_NETMAP ? value_place(b, value) : 1;
    bool is_v4 = from->family == ADDR_IPV4;
    if (!place || !table_net_add(is_v4 ? &b->v4 : &b->v6, u128_of_ip(from), u128_of_ip(to), is_v4 ? 32 : 128, place,
                                 (uint32_t)b->count))
        return err_no_memory(err);
    b->count++;
    return true;
}

static struct ip last_of(const struct ip_net *net)
{
    struct ip last = net->ip;
    unsigned bits = net->ip.family == ADDR_IPV4 ? 32 : 128;
    for (unsigned i = net->prefix; i < bits; i++)
        last.bytes[i / 8] |= (uint8_t)(0x80 >> i % 8);
    return last;
}

static bool add_network(struct lookup *t, struct str item, struct str value, struct err *err)
{
    struct str rest, first = str_split(item, '-', &rest);
    struct ip_net from, to;
    if (rest.ptr) {
        if (!ip_net_parse(first, &from, err) || !ip_net_parse(rest, &to, err) || from.ip.family != to.ip.family ||
            str_find(item, '/') < item.len || ip_compare(&from.ip, &to.ip) > 0)
            return err_set(err, "\"" PRI_STR "\" is not a network", STR_ARG(item));
        return lookup_add_span(t, &from.ip, &to.ip, value, err);
    }
    if (!ip_net_parse(first, &from, err))
        return false;
    struct ip last = last_of(&from);
    return lookup_add_span(t, &from.ip, &last, value, err);
}

static bool add_pattern(struct lookup *t, struct str item, struct err *err)
{
    struct table_build *b = building(t);
    if (!b)
        return err_no_memory(err);
    if (b->count == TABLE_MAX_PATTERNS)
        return err_set(err, "more than %d patterns in one table", TABLE_MAX_PATTERNS);
    if (item.len == 0 || item.len > UINT16_MAX)
        return err_set(err, "an item of %zu bytes is not possible", item.len);
    pcre2_code *code = pattern_compile(item, err);
    if (!code)
        return false;
    pcre2_code_free(code);
    return table_record_add(b, item, STR_NONE) || err_no_memory(err);
}

/* A key, and of a map a value. */
static bool add_key(struct lookup *t, struct str item, struct str value, struct err *err)
{
    char normal[TABLE_KEY_MAX_BYTES];
    struct table_build *b = building(t);
    if (!item_fits(t, item, err) || !has_room(b, err))
        return false;
    struct str key = table_key_normal(t->type, item, normal, sizeof normal);
    return table_record_add(b, key, value) || err_no_memory(err);
}

bool lookup_add(struct lookup *t, struct str item, struct err *err)
{
    if (t->type == TABLE_NETWORKS)
        return add_network(t, item, STR_NONE, err);
    return t->type == TABLE_PATTERNS ? add_pattern(t, item, err) : add_key(t, item, STR_NONE, err);
}

bool lookup_add_value(struct lookup *t, struct str key, struct str value, struct err *err)
{
    if (value.len == 0 || value.len > TABLE_ITEM_MAX_BYTES)
        return err_set(err, "an item of %zu bytes is not possible", value.len);
    if (!rate_fits(t->rate_units, value, err))
        return false;
    return t->type == TABLE_NETMAP ? add_network(t, key, value, err) : add_key(t, key, value, err);
}

/* ---- the image ---- */

static uint64_t aligned(uint64_t n)
{
    return (n + TABLE_ALIGN - 1) / TABLE_ALIGN * TABLE_ALIGN;
}

/* The segments of one family, while the image is put together. */
struct segments_made {
    u128 *keys; /* heap */
    uint32_t *values;
    size_t count;
};

static bool make_segments(struct segments_made *m, struct table_nets *nets, unsigned bits)
{
    *m = (struct segments_made){0};
    if (nets->count == 0)
        return true;
    m->keys = reallocarray(NULL, 2 * nets->count + 1, sizeof *m->keys);
    m->values = reallocarray(NULL, 2 * nets->count + 1, sizeof *m->values);
    if (!m->keys || !m->values)
        return false;
    m->count = table_segments_make(nets, bits, m->keys, m->values);
    free(nets->items); /* hundreds of thousands: not longer than needed */
    *nets = (struct table_nets){0};
    return true;
}

static void free_segments(struct segments_made *m)
{
    free(m->keys);
    free(m->values);
}

/* Where the segments will lie, from `at` on; returns what is behind them. */
static uint64_t place_segments(struct table_segments *s, const struct segments_made *m, size_t key_bytes,
                               bool has_values, uint64_t at)
{
    s->count = (uint32_t)m->count;
    s->sample_count = (uint32_t)((m->count + TABLE_SAMPLE_STEP - 1) / TABLE_SAMPLE_STEP);
    s->samples_at = at;
    s->keys_at = aligned(s->samples_at + s->sample_count * key_bytes);
    uint64_t end = aligned(s->keys_at + s->count * key_bytes);
    s->values_at = has_values ? end : 0;
    return has_values ? aligned(end + s->count * sizeof(uint32_t)) : end;
}

static void copy_key(char *to, size_t i, size_t key_bytes, u128 key)
{
    uint32_t narrow = (uint32_t)key;
    memcpy(to + i * key_bytes, key_bytes == sizeof narrow ? (const void *)&narrow : &key, key_bytes);
}

static void copy_segments(struct table_image *image, const struct table_segments *s, const struct segments_made *m,
                          size_t key_bytes)
{
    char *base = (char *)image;
    for (size_t i = 0; i < m->count; i++)
        copy_key(base + s->keys_at, i, key_bytes, m->keys[i]);
    for (size_t i = 0; i < s->sample_count; i++)
        copy_key(base + s->samples_at, i, key_bytes, m->keys[i * TABLE_SAMPLE_STEP]);
    if (s->values_at && m->count)
        memcpy(base + s->values_at, m->values, m->count * sizeof *m->values);
}

static bool has_slots(enum table_type type)
{
    return type != TABLE_NETWORKS && type != TABLE_NETMAP && type != TABLE_PATTERNS;
}

/* Sets t->image; NULL there: no memory. */
static void make_image(struct lookup *t, const struct segments_made *v4, const struct segments_made *v6)
{
    struct table_build *b = t->build;
    struct table_image head = {.magic = "mwtable", .type = t->type, .count = (uint32_t)b->count};
    bool has_values = t->type == TABLE_NETMAP;
    uint64_t at = aligned(sizeof head);
    head.slot_count = has_slots(t->type) ? table_slot_count(b->count) : 0;
    head.slots_at = at;
    head.blob_at = aligned(at + head.slot_count * sizeof(struct table_slot));
    head.blob_bytes = b->blob_len;
    at = place_segments(&head.v4, v4, sizeof(uint32_t), has_values, aligned(head.blob_at + b->blob_len));
    head.bytes = place_segments(&head.v6, v6, sizeof(u128), has_values, at);
    struct table_image *image = table_image_alloc(head.bytes, &t->mapped_bytes);
    t->image = image;
    if (!image)
        return;
    *image = head;
    if (head.slot_count)
        image->key = hash_key_random();
    if (b->blob_len)
        memcpy((char *)image + head.blob_at, b->blob, b->blob_len);
    free(b->blob);
    b->blob = NULL;
    copy_segments(image, &image->v4, v4, sizeof(uint32_t));
    copy_segments(image, &image->v6, v6, sizeof(u128));
    if (head.slot_count && !table_fill_slots(image, t->type == TABLE_MAP))
        table_image_free(t);
}

bool lookup_seal(struct lookup *t, struct err *err)
{
    struct segments_made v4 = {0}, v6 = {0};
    if (!t->build)
        return true; /* empty */
    if (make_segments(&v4, &t->build->v4, 32) && make_segments(&v6, &t->build->v6, 128))
        make_image(t, &v4, &v6);
    free_segments(&v4);
    free_segments(&v6);
    build_free(t->build);
    t->build = NULL;
    if (!t->image)
        return err_no_memory(err);
    return t->type != TABLE_PATTERNS || lookup_compile_patterns(t, SIZE_MAX);
}

void lookup_fini(struct lookup *t)
{
    build_free(t->build);
    t->build = NULL;
    table_image_free(t);
}

/* ---- asking ---- */

static bool matches_any(const struct lookup *t, struct str text)
{
    for (size_t i = 0; i < t->pattern_count; i++)
        if (t->patterns[i] && pattern_matches(t->patterns[i], text))
            return true;
    return false;
}

bool lookup_has(const struct lookup *t, const struct fact *x)
{
    if (x->kind == FACT_IP)
        return t->image && table_segments_find(t->image, &x->ip) != 0;
    if (x->kind != FACT_TEXT)
        return false;
    return t->type == TABLE_PATTERNS ? matches_any(t, x->text) : table_find_text(t, x->text) != NULL;
}

struct str lookup_net_value(const struct lookup *t, const struct fact *x)
{
    uint32_t place = x->kind == FACT_IP && t->image ? table_segments_find(t->image, &x->ip) : 0;
    if (place == 0)
        return STR_NONE;
    const char *at = image_at(t->image, t->image->blob_at + place - 1);
    uint16_t len;
    memcpy(&len, at, sizeof len);
    return str_of(at + sizeof len, len);
}

size_t lookup_item_count(const struct lookup *t)
{
    return t->image ? t->image->count : 0;
}

size_t lookup_image_bytes(const struct lookup *t)
{
    return t->image ? t->image->bytes : 0;
}
