/* table.c - finding things in tables. See table.h. */
#include "rules/table.h"

#include <idn2.h>
#include <stdlib.h>
#include <string.h>

#include "smtp/address.h"

enum { KEY_MAX_BYTES = 1024, TABLE_MAX_BYTES = 1 << 30 };

void lookup_init(struct lookup *t, enum table_type type, struct str name)
{
    *t = (struct lookup){.type = type, .name = name};
    arena_init(&t->arena, TABLE_MAX_BYTES);
    map_init(&t->keys, true, false);
}

void lookup_fini(struct lookup *t)
{
    map_fini(&t->keys);
    arena_fini(&t->arena);
    free(t->spans);
    t->spans = NULL;
    t->span_count = t->span_cap = 0;
}

/* ---- normal forms ---- */

static struct str lower(struct str s, char *to, size_t size)
{
    size_t len = MIN_OF(s.len, size);
    for (size_t i = 0; i < len; i++)
        to[i] = ascii_lower(s.ptr[i]);
    return str_of(to, len);
}

struct str domain_normal(struct str domain, char *to, size_t size)
{
    if (str_is_ascii(domain))
        return lower(domain, to, size);
    bool has_dot = domain.len && domain.ptr[0] == '.';
    char name[KEY_MAX_BYTES], *ascii = NULL;
    str_copy_into(name, sizeof name, str_from(domain, has_dot));
    if (domain.len >= sizeof name ||
        idn2_lookup_u8((const uint8_t *)name, (uint8_t **)&ascii, IDN2_NONTRANSITIONAL) != IDN2_OK)
        return lower(domain, to, size);
    size_t len = strlen(ascii);
    struct str normal = lower(domain, to, size);
    if (len + has_dot < size) {
        to[0] = '.';
        memcpy(to + has_dot, ascii, len);
        normal = str_of(to, len + has_dot);
    }
    idn2_free(ascii);
    return normal;
}

/* local@domain, spelt in the one way in which it is kept. */
static struct str address_normal(struct str address, bool strips_tag, char *to, size_t size)
{
    struct str local, domain;
    struct buf key;
    smtp_address_split(address, &local, &domain);
    buf_init(&key, KEY_MAX_BYTES);
    if (domain.len == 0 || !smtp_address_key(&key, address, strips_tag)) {
        buf_fini(&key);
        return lower(address, to, size);
    }
    struct str normal = str_copy_into(to, size, buf_str(&key));
    buf_fini(&key);
    size_t at = str_find_last(normal, '@');
    if (!str_is_ascii(domain) && at < normal.len)
        normal.len = at + 1 + domain_normal(domain, to + at + 1, size - at - 1).len;
    return normal;
}

static bool is_address(struct str s)
{
    return str_find(s, '@') < s.len;
}

static struct str key_normal(enum table_type type, struct str item, char *to, size_t size)
{
    bool by_address = type == TABLE_ADDRESSES || (type == TABLE_MAP && is_address(item));
    if (by_address && item.ptr[0] != '@')
        return address_normal(item, false, to, size);
    if (by_address && size > 1) {
        to[0] = '@';
        return str_of(to, 1 + domain_normal(str_from(item, 1), to + 1, size - 1).len);
    }
    return type == TABLE_DOMAINS ? domain_normal(item, to, size) : lower(item, to, size);
}

bool text_is_same(struct str a, struct str b)
{
    if (str_equal_nocase(a, b))
        return true;
    char x[KEY_MAX_BYTES], y[KEY_MAX_BYTES];
    if (is_address(a) && is_address(b) && a.len < sizeof x && b.len < sizeof y)
        return str_equal(address_normal(a, false, x, sizeof x), address_normal(b, false, y, sizeof y));
    if (str_is_ascii(a) && str_is_ascii(b))
        return false;
    return str_equal(domain_normal(a, x, sizeof x), domain_normal(b, y, sizeof y));
}

/* ---- building ---- */

bool lookup_add_span(struct lookup *t, const struct ip *from, const struct ip *to)
{
    if (t->span_count == t->span_cap) {
        size_t cap = t->span_cap ? t->span_cap * 2 : 16;
        struct ip_span *spans = reallocarray(t->spans, cap, sizeof *spans);
        if (!spans)
            return false;
        t->spans = spans;
        t->span_cap = cap;
    }
    t->spans[t->span_count++] = (struct ip_span){*from, *to};
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

static bool add_network(struct lookup *t, struct str item, struct err *err)
{
    struct str rest, first = str_split(item, '-', &rest);
    struct ip_net from, to;
    if (!ip_net_parse(first, &from, err))
        return false;
    if (!rest.ptr) {
        struct ip last = last_of(&from);
        return lookup_add_span(t, &from.ip, &last) || err_no_memory(err);
    }
    if (!ip_net_parse(rest, &to, err) || from.ip.family != to.ip.family || ip_compare(&from.ip, &to.ip) > 0)
        return err_set(err, "\"" PRI_STR "\" is not a network", STR_ARG(item));
    return lookup_add_span(t, &from.ip, &to.ip) || err_no_memory(err);
}

static bool item_fits(const struct lookup *t, struct str item, struct err *err)
{
    struct smtp_path path;
    if (item.len == 0 || item.len > KEY_MAX_BYTES / 2)
        return err_set(err, "an item of %zu bytes is not possible", item.len);
    if (t->type == TABLE_DOMAINS && !smtp_domain_is_valid(str_from(item, item.ptr[0] == '.')))
        return err_set(err, "\"" PRI_STR "\" is not a domain", STR_ARG(item));
    if (t->type != TABLE_ADDRESSES)
        return true;
    bool fits = item.ptr[0] == '@' ? smtp_domain_is_valid(str_from(item, 1)) : smtp_address_parse(item, &path);
    return fits || err_set(err, "\"" PRI_STR "\" is not an address", STR_ARG(item));
}

static bool keep_key(struct lookup *t, struct str item, void *value, struct err *err)
{
    char normal[KEY_MAX_BYTES];
    struct str key = arena_copy(&t->arena, key_normal(t->type, item, normal, sizeof normal));
    return (key.ptr && map_set(&t->keys, key, value)) || err_no_memory(err);
}

bool lookup_add(struct lookup *t, struct str item, struct err *err)
{
    if (t->type == TABLE_NETWORKS)
        return add_network(t, item, err);
    return item_fits(t, item, err) && keep_key(t, item, t, err);
}

bool lookup_add_value(struct lookup *t, struct str key, struct str value, struct err *err)
{
    char normal[KEY_MAX_BYTES];
    if (!item_fits(t, key, err) || !item_fits(t, value, err))
        return false;
    struct lookup_values *values = map_get(&t->keys, key_normal(t->type, key, normal, sizeof normal));
    if (!values) {
        values = arena_alloc(&t->arena, sizeof *values);
        if (!values || !keep_key(t, key, values, err))
            return err_no_memory(err);
    }
    if (values->count == values->cap) {
        size_t cap = values->cap ? values->cap * 2 : 2;
        struct str *items = arena_alloc(&t->arena, cap * sizeof *items);
        if (!items)
            return err_no_memory(err);
        if (values->count)
            memcpy(items, values->items, values->count * sizeof *items);
        values->items = items;
        values->cap = cap;
    }
    struct str copy = arena_copy(&t->arena, value);
    if (!copy.ptr)
        return err_no_memory(err);
    values->items[values->count++] = copy;
    return true;
}

static int span_order(const void *a, const void *b)
{
    const struct ip_span *x = a, *y = b;
    int order = ip_compare(&x->from, &y->from);
    return order ? order : ip_compare(&x->to, &y->to);
}

void lookup_seal(struct lookup *t)
{
    if (t->span_count < 2)
        return;
    qsort(t->spans, t->span_count, sizeof *t->spans, span_order);
    size_t kept = 0;
    for (size_t i = 1; i < t->span_count; i++) {
        struct ip_span *last = &t->spans[kept], *next = &t->spans[i];
        if (last->from.family != next->from.family || ip_compare(&next->from, &last->to) > 0)
            t->spans[++kept] = *next;
        else if (ip_compare(&next->to, &last->to) > 0)
            last->to = next->to;
    }
    t->span_count = kept + 1;
}

/* ---- files ---- */

static struct str next_word(struct str *line)
{
    size_t n = 0;
    *line = str_trim(*line);
    while (n < line->len && line->ptr[n] != ' ' && line->ptr[n] != '\t' && line->ptr[n] != ',')
        n++;
    if (n == 0 && line->len)
        n = 1;
    struct str word = str_sub(*line, 0, n);
    *line = str_from(*line, n);
    return word;
}

/* VALUE, or { V, V }. */
static bool read_values(struct lookup *t, struct str key, struct str line, struct str *at, struct err *err)
{
    bool in_braces = false, any = false;
    for (struct str word = next_word(&line); word.len; word = next_word(&line)) {
        *at = word;
        if (str_equal(word, STR("{")) && !in_braces && !any)
            in_braces = true;
        else if (str_equal(word, STR("}")) && in_braces && str_trim(line).len == 0)
            return any || err_set(err, "expected a value, found \"}\"");
        else if (str_equal(word, STR(",")))
            continue;
        else if (any && !in_braces)
            return err_set(err, "expected end of line, found \"" PRI_STR "\"", STR_ARG(word));
        else if (!lookup_add_value(t, key, word, err))
            return false;
        else
            any = true;
    }
    return !in_braces && any
               ? true
               : err_set(err, in_braces ? "this { is never closed" : "expected a value, found end of line");
}

static bool read_line(struct lookup *t, struct str line, struct str *at, struct err *err)
{
    struct str rest = line, word = next_word(&rest);
    *at = word;
    if (t->type == TABLE_MAP)
        return read_values(t, word, rest, at, err);
    if (str_trim(rest).len) {
        *at = str_trim(rest);
        return err_set(err, "expected end of line, found \"" PRI_STR "\"", STR_ARG(*at));
    }
    return lookup_add(t, word, err);
}

static unsigned characters(struct str s)
{
    unsigned n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
    return n;
}

bool lookup_read(struct lookup *t, struct source_set *sources, struct str path, struct place named_at,
                 struct diagnostics *d)
{
    struct err err;
    uint32_t file;
    if (!source_read(sources, path, &file, &err))
        return diag_error(d, named_at, "cannot read \"" PRI_STR "\": %s", STR_ARG(path), err.text);
    struct str text = source_file_get(sources, file)->text;
    bool ok = true;
    const char *begin = text.ptr;
    for (uint32_t number = 1; text.len; number++) {
        size_t end = str_find(text, '\n');
        struct str line = str_sub(text, 0, end);
        text = str_from(text, end + 1);
        if (line.len && line.ptr[line.len - 1] == '\r')
            line.len--;
        struct str item = str_trim(str_sub(line, 0, str_find(line, '#'))), at = item;
        if (item.len == 0 || read_line(t, item, &at, &err))
            continue;
        struct place place = {.file = file,
                              .line = number,
                              .col = 1 + characters(str_of(line.ptr, (size_t)(at.ptr - line.ptr))),
                              .len = characters(at),
                              .offset = (uint32_t)(at.ptr - begin)};
        ok = diag_error(d, place, "%s", err.text);
    }
    lookup_seal(t);
    return ok;
}

/* ---- asking ---- */

static bool has_ip(const struct lookup *t, const struct ip *ip)
{
    size_t low = 0, high = t->span_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct ip_span *span = &t->spans[middle];
        if (ip->family < span->from.family || (ip->family == span->from.family && ip_compare(ip, &span->from) < 0))
            high = middle;
        else if (ip->family > span->to.family || ip_compare(ip, &span->to) > 0)
            low = middle + 1;
        else
            return true;
    }
    return false;
}

/* An address whole, without its tag, by its domain: the first that is there. */
static void *find_address(const struct lookup *t, struct str address)
{
    char key[KEY_MAX_BYTES];
    struct str normal = address_normal(address, false, key, sizeof key);
    void *found = map_get(&t->keys, normal);
    if (!found && str_find(address, '+') < address.len) {
        normal = address_normal(address, true, key, sizeof key);
        found = map_get(&t->keys, normal);
    }
    return found ? found : map_get(&t->keys, str_from(normal, str_find_last(normal, '@')));
}

static void *find_domain(const struct lookup *t, struct str domain)
{
    char key[KEY_MAX_BYTES];
    struct str normal = domain_normal(domain, key, sizeof key);
    void *found = map_get(&t->keys, normal);
    for (size_t i = 0; !found && i < normal.len; i++)
        if (normal.ptr[i] == '.')
            found = map_get(&t->keys, str_from(normal, i));
    return found;
}

static void *find(const struct lookup *t, struct str text)
{
    char key[KEY_MAX_BYTES];
    if (text.len == 0 || text.len > KEY_MAX_BYTES / 2)
        return NULL;
    if (t->type == TABLE_DOMAINS)
        return find_domain(t, text);
    if (t->type != TABLE_STRINGS && is_address(text))
        return find_address(t, text);
    return map_get(&t->keys, lower(text, key, sizeof key));
}

bool lookup_has(const struct lookup *t, const struct fact *x)
{
    if (x->kind == FACT_IP)
        return has_ip(t, &x->ip);
    return x->kind == FACT_TEXT && find(t, x->text) != NULL;
}

const struct lookup_values *lookup_get(const struct lookup *t, const struct fact *x)
{
    return x->kind == FACT_TEXT ? find(t, x->text) : NULL;
}

bool lookup_values_have(const struct lookup_values *values, struct str x)
{
    for (size_t i = 0; i < values->count; i++)
        if (text_is_same(values->items[i], x))
            return true;
    return false;
}
