/*
 * table_networks.c - networks in a table: nested as they may be, cut into segments that are not, found by bisection.
 *
 *   10.0.0.0/8 a          ├──────────── a ────────────┤
 *   10.1.0.0/16 b              ├──── b ────┤
 *   segments              │ a  │     b     │    a     │ none …
 *
 * Of networks that hold an address the longest prefix decides, and prefixes never overlap but by lying inside each
 * other: so one walk over them, sorted, with those that are open on a stack, gives at each address the innermost. A
 * range `a-b` counts as the prefixes that it is made of.
 */
#include <stdlib.h>

#include "rules/table_inside.h"

/* ---- building ---- */

static bool add_prefix(struct table_nets *nets, u128 first, unsigned prefix, uint32_t value, uint32_t order)
{
    if (nets->count == nets->cap) {
        size_t cap = nets->cap ? nets->cap * 2 : 16;
        struct table_net *items = reallocarray(nets->items, cap, sizeof *items);
        if (!items)
            return false;
        nets->items = items;
        nets->cap = cap;
    }
    nets->items[nets->count++] = (struct table_net){first, value, order, (uint8_t)prefix};
    return true;
}

/* The last address of a network of that prefix which begins at first. */
static u128 last_of(u128 first, unsigned prefix, unsigned bits)
{
    return prefix == 0 && bits == 128 ? ~(u128)0 : first + (((u128)1 << (bits - prefix)) - 1);
}

bool table_net_add(struct table_nets *nets, u128 from, u128 to, unsigned bits, uint32_t value, uint32_t order)
{
    for (;;) {
        /* the largest network that begins here and does not end behind `to` */
        unsigned prefix = bits;
        while (prefix > 0 && (from >> (bits - prefix) & 1) == 0 && last_of(from, prefix - 1, bits) <= to)
            prefix--;
        if (!add_prefix(nets, from, prefix, value, order))
            return false;
        u128 last = last_of(from, prefix, bits);
        if (last == to)
            return true;
        from = last + 1;
    }
}

/* The outer before the inner, of the same ones the first that was added. */
static int net_order(const void *a, const void *b)
{
    const struct table_net *x = a, *y = b;
    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    if (x->prefix != y->prefix)
        return x->prefix < y->prefix ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

struct segment_list {
    u128 *keys;
    uint32_t *values;
    size_t count;
};

/* From here on the value is another; what turns out to be none is taken back. */
static void change(struct segment_list *s, u128 from, uint32_t value)
{
    if (s->count && s->keys[s->count - 1] == from)
        s->count--;
    uint32_t before = s->count ? s->values[s->count - 1] : 0;
    if (before == value)
        return;
    s->keys[s->count] = from;
    s->values[s->count++] = value;
}

struct open_net {
    u128 last;
    uint32_t value;
};

size_t table_segments_make(struct table_nets *nets, unsigned bits, u128 *keys, uint32_t *values)
{
    struct segment_list out = {keys, values, 0};
    struct open_net open[129]; /* one of each prefix at most */
    size_t depth = 0;
    u128 end = last_of(0, 0, bits);
    if (nets->count)
        qsort(nets->items, nets->count, sizeof *nets->items, net_order);
    for (size_t i = 0; i <= nets->count; i++) {
        const struct table_net *net = i < nets->count ? &nets->items[i] : NULL;
        while (depth && (!net || open[depth - 1].last < net->first)) {
            u128 last = open[--depth].last;
            if (last != end)
                change(&out, last + 1, depth ? open[depth - 1].value : 0);
        }
        bool is_double = net && i && nets->items[i - 1].first == net->first && nets->items[i - 1].prefix == net->prefix;
        if (!net || is_double)
            continue;
        open[depth++] = (struct open_net){last_of(net->first, net->prefix, bits), net->value};
        change(&out, net->first, net->value);
    }
    return out.count;
}

/* ---- asking ---- */

/* How many keys are <= x. Without a branch that depends on what is compared: nobody could foretell it. */
static size_t count_v4(const uint32_t *keys, size_t count, uint32_t x)
{
    const uint32_t *base = keys;
    if (count == 0 || keys[0] > x)
        return 0;
    while (count > 1) {
        size_t half = count / 2;
        base = base[half] <= x ? base + half : base;
        count -= half;
    }
    return (size_t)(base - keys) + 1;
}

static size_t count_v6(const u128 *keys, size_t count, u128 x)
{
    const u128 *base = keys;
    if (count == 0 || keys[0] > x)
        return 0;
    while (count > 1) {
        size_t half = count / 2;
        base = base[half] <= x ? base + half : base;
        count -= half;
    }
    return (size_t)(base - keys) + 1;
}

static size_t segment_v4(const struct table_image *image, const struct ip *ip)
{
    const struct table_segments *s = &image->v4;
    const uint32_t *samples = (const void *)image_at(image, s->samples_at);
    const uint32_t *keys = (const void *)image_at(image, s->keys_at);
    uint32_t x = (uint32_t)u128_of_ip(ip);
    size_t block = count_v4(samples, s->sample_count, x);
    if (block == 0)
        return 0;
    size_t from = (block - 1) * TABLE_SAMPLE_STEP;
    return from + count_v4(keys + from, MIN_OF(s->count - from, (size_t)TABLE_SAMPLE_STEP), x);
}

static size_t segment_v6(const struct table_image *image, const struct ip *ip)
{
    const struct table_segments *s = &image->v6;
    const u128 *samples = (const void *)image_at(image, s->samples_at);
    const u128 *keys = (const void *)image_at(image, s->keys_at);
    u128 x = u128_of_ip(ip);
    size_t block = count_v6(samples, s->sample_count, x);
    if (block == 0)
        return 0;
    size_t from = (block - 1) * TABLE_SAMPLE_STEP;
    return from + count_v6(keys + from, MIN_OF(s->count - from, (size_t)TABLE_SAMPLE_STEP), x);
}

uint32_t table_segments_find(const struct table_image *image, const struct ip *ip)
{
    bool is_v4 = ip->family == ADDR_IPV4;
    const struct table_segments *s = is_v4 ? &image->v4 : &image->v6;
    size_t n = is_v4 ? segment_v4(image, ip) : ip->family == ADDR_IPV6 ? segment_v6(image, ip) : 0;
    if (n == 0)
        return 0;
    if (s->values_at == 0)
        return n % 2;
    return ((const uint32_t *)(const void *)image_at(image, s->values_at))[n - 1];
}
