/* str.c - views of bytes. See str.h. */
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

bool str_same_nocase(const char *a, const char *b, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (ascii_lower(a[i]) != ascii_lower(b[i]))
            return false;
    return true;
}

int str_compare(struct str a, struct str b)
{
    size_t common = MIN_OF(a.len, b.len);
    int order = common ? memcmp(a.ptr, b.ptr, common) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

int str_compare_nocase(struct str a, struct str b)
{
    size_t common = MIN_OF(a.len, b.len);
    for (size_t i = 0; i < common; i++) {
        int order = (unsigned char)ascii_lower(a.ptr[i]) - (unsigned char)ascii_lower(b.ptr[i]);
        if (order)
            return order;
    }
    return (a.len > b.len) - (a.len < b.len);
}

bool str_starts(struct str s, struct str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

bool str_starts_nocase(struct str s, struct str prefix)
{
    return s.len >= prefix.len && str_same_nocase(s.ptr, prefix.ptr, prefix.len);
}

bool str_ends_nocase(struct str s, struct str suffix)
{
    return s.len >= suffix.len && str_same_nocase(s.ptr + (s.len - suffix.len), suffix.ptr, suffix.len);
}

bool str_contains_nocase(struct str s, struct str part)
{
    if (part.len == 0)
        return true;
    for (size_t i = 0; i + part.len <= s.len; i++)
        if (str_same_nocase(s.ptr + i, part.ptr, part.len))
            return true;
    return false;
}

size_t str_find(struct str s, char c)
{
    const char *at = s.len ? memchr(s.ptr, c, s.len) : NULL;
    return at ? (size_t)(at - s.ptr) : s.len;
}

size_t str_find_last(struct str s, char c)
{
    const char *at = s.len ? memrchr(s.ptr, c, s.len) : NULL;
    return at ? (size_t)(at - s.ptr) : s.len;
}

struct str str_trim(struct str s)
{
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = str_from(s, 1);
    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

struct str str_split(struct str s, char c, struct str *rest)
{
    size_t at = str_find(s, c);
    *rest = at < s.len ? str_from(s, at + 1) : STR_NONE;
    return str_sub(s, 0, at);
}

bool str_to_u64(struct str s, uint64_t max, uint64_t *value)
{
    uint64_t sum = 0;
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (!ascii_is_digit(s.ptr[i]))
            return false;
        unsigned digit = (unsigned)(s.ptr[i] - '0');
        if (sum > (UINT64_MAX - digit) / 10)
            return false;
        sum = sum * 10 + digit;
    }
    if (sum > max)
        return false;
    *value = sum;
    return true;
}

struct str str_of_u64(char *to, uint64_t n)
{
    size_t at = STR_OF_U64_MAX;
    do
        to[--at] = (char)('0' + n % 10);
    while (n /= 10);
    return str_of(to + at, STR_OF_U64_MAX - at);
}

/* The length of the well-formed UTF-8 character at the head of s, or 0. */
static size_t utf8_length(const unsigned char *p, size_t left)
{
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        return left >= 2 && (p[1] & 0xc0) == 0x80 ? 2 : 0;
    if (p[0] >= 0xe0 && p[0] <= 0xef) {
        if (left < 3 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80)
            return 0;
        if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f))
            return 0;
        return 3;
    }
    if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        if (left < 4 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80 || (p[3] & 0xc0) != 0x80)
            return 0;
        if ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
            return 0;
        return 4;
    }
    return 0;
}

bool str_is_utf8(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    for (size_t i = 0; i < s.len;) {
        size_t n = utf8_length(p + i, s.len - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

bool str_is_ascii(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] > 0x7f)
            return false;
    return true;
}

/* Are these eight bytes all printable ASCII? A byte from 128 on has its highest bit set, one below 32 gets it when 32
 * is taken away, 127 when 1 is added. Borrows and carries come only from bytes that have spoken already. */
static bool is_plain_word(const char *p)
{
    const uint64_t ones = UINT64_MAX / 255;
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return ((word | (word - 32 * ones) | (word + ones)) & (128 * ones)) == 0;
}

bool str_has_control(struct str s)
{
    size_t i = 0;
    while (s.len - i >= sizeof(uint64_t) && is_plain_word(s.ptr + i))
        i += sizeof(uint64_t);
    for (; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c < 0x20 || c == 0x7f)
            return true;
        /* U+0080..U+009F is C2 80..C2 9F; a lone byte of that range is no UTF-8, and for a terminal that reads Latin-1
         * a control */
        if (c == 0xc2 && i + 1 < s.len && (unsigned char)s.ptr[i + 1] >= 0x80 && (unsigned char)s.ptr[i + 1] < 0xa0)
            return true;
    }
    return false;
}

char *str_copy_z(struct str s)
{
    char *copy = malloc(s.len + 1);
    if (!copy)
        return NULL;
    if (s.len)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return copy;
}

struct str str_copy_into(char *to, size_t size, struct str s)
{
    size_t len = MIN_OF(s.len, size - 1);
    if (len)
        memcpy(to, s.ptr, len);
    to[len] = '\0';
    return str_of(to, len);
}
