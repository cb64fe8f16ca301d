/* table_normal.c - one spelling for what is the same: domains, addresses, words. See table.h. */
#include <idn2.h>

#include "rules/table_inside.h"
#include "smtp/address.h"

struct str text_lower(struct str s, char *to, size_t size)
{
    size_t len = MIN_OF(s.len, size);
    for (size_t i = 0; i < len; i++)
        to[i] = ascii_lower(s.ptr[i]);
    return str_of(to, len);
}

struct str domain_normal(struct str domain, char *to, size_t size)
{
    if (str_is_ascii(domain))
        return text_lower(domain, to, size);
    bool has_dot = domain.len && domain.ptr[0] == '.';
    char name[TABLE_KEY_MAX_BYTES], *ascii = NULL;
    str_copy_into(name, sizeof name, str_from(domain, has_dot));
    if (domain.len >= sizeof name ||
        idn2_lookup_u8((const uint8_t *)name, (uint8_t **)&ascii, IDN2_NONTRANSITIONAL) != IDN2_OK)
        return text_lower(domain, to, size);
    size_t len = strlen(ascii);
    struct str normal = text_lower(domain, to, size);
    if (len + has_dot < size) {
        to[0] = '.';
        memcpy(to + has_dot, ascii, len);
        normal = str_of(to, len + has_dot);
    }
    idn2_free(ascii);
    return normal;
}

/* Nearly every address: no quotes, no U-labels. It is lower-cased, and its tag left out, in one pass. */
static struct str plain_normal(struct str local, struct str domain, bool strips_tag, char *to)
{
    size_t n = 0;
    if (strips_tag && local.len)
        local.len = MIN_OF(local.len, 1 + str_find(str_from(local, 1), '+'));
    for (size_t i = 0; i < local.len; i++)
        to[n++] = ascii_lower(local.ptr[i]);
    to[n++] = '@';
    for (size_t i = 0; i < domain.len; i++)
        to[n++] = ascii_lower(domain.ptr[i]);
    return str_of(to, n);
}

struct str address_normal(struct str address, bool strips_tag, char *to, size_t size)
{
    struct str local, domain;
    smtp_address_split(address, &local, &domain);
    if (domain.len == 0 || address.len > size)
        return text_lower(address, to, size);
    if (local.len == 0 || local.ptr[0] != '"') {
        struct str normal = plain_normal(local, domain, strips_tag, to);
        size_t at = normal.len - domain.len;
        if (!str_is_ascii(domain))
            normal.len = at + domain_normal(domain, to + at, size - at).len;
        return normal;
    }
    /* A buffer over the caller's bytes: it is full before it grows, so it never has memory of its own. */
    struct buf key = {.data = to, .cap = (uint32_t)size, .max = (uint32_t)size};
    if (!smtp_address_key(&key, address, strips_tag))
        return text_lower(address, to, size);
    struct str normal = buf_str(&key);
    size_t at = str_find_last(normal, '@');
    if (!str_is_ascii(domain) && at < normal.len)
        normal.len = at + 1 + domain_normal(domain, to + at + 1, size - at - 1).len;
    return normal;
}

struct str table_key_normal(enum table_type type, struct str item, char *to, size_t size)
{
    bool by_address = type == TABLE_ADDRESSES || (type == TABLE_MAP && text_is_address(item));
    if (by_address && item.ptr[0] != '@')
        return address_normal(item, false, to, size);
    if (by_address && size > 1) {
        to[0] = '@';
        return str_of(to, 1 + domain_normal(str_from(item, 1), to + 1, size - 1).len);
    }
    return type == TABLE_DOMAINS ? domain_normal(item, to, size) : text_lower(item, to, size);
}

bool text_is_plain(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] > 0x7f || text.ptr[i] == '"' || text.ptr[i] == '\\')
            return false;
    return true;
}

bool text_is_same(struct str a, struct str b)
{
    if (str_equal_nocase(a, b))
        return true;
    if (text_is_plain(a) && text_is_plain(b))
        return false;
    char x[TABLE_KEY_MAX_BYTES], y[TABLE_KEY_MAX_BYTES];
    if (text_is_address(a) && text_is_address(b) && a.len < sizeof x && b.len < sizeof y)
        return str_equal(address_normal(a, false, x, sizeof x), address_normal(b, false, y, sizeof y));
    if (str_is_ascii(a) && str_is_ascii(b))
        return false;
    return str_equal(domain_normal(a, x, sizeof x), domain_normal(b, y, sizeof y));
}
