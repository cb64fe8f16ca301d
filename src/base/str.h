/*
 * str.h - a view of bytes: pointer and length, by value, no NUL at its end.
 *
 * A str borrows: from an input buffer until the next read, from an arena until the mail ends, from a literal for ever.
 * Who wants to keep it copies it. Bytes are bytes: every comparison that ignores case ignores it for ASCII letters
 * only, whatever the locale, because that is what SMTP and the rules language mean by it.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <string.h>

#include "base/defs.h"

struct str {
    const char *ptr;
    size_t len;
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define STR_NONE     ((struct str){NULL, 0})
#define PRI_STR      "%.*s"
#define STR_ARG(s)   (int)((s).len > 4096 ? 4096 : (s).len), ((s).ptr ? (s).ptr : "")

static inline struct str str_of(const char *ptr, size_t len)
{
    return (struct str){ptr, len};
}
/* A C string; NULL gives STR_NONE. */
static inline struct str str_of_z(const char *z)
{
    return z ? (struct str){z, strlen(z)} : STR_NONE;
}

/* -1: no hexadecimal digit. */
static inline int ascii_hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}
static inline char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}
static inline char ascii_upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
}
static inline bool ascii_is_digit(char c)
{
    return c >= '0' && c <= '9';
}
static inline bool ascii_is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
static inline bool ascii_is_alnum(char c)
{
    return ascii_is_digit(c) || ascii_is_alpha(c);
}

static inline bool str_equal(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}
/* For who has found the lengths equal. */
bool str_same_nocase(const char *a, const char *b, size_t len);
/* In this header because tables are searched with it, where nearly all lengths differ. */
static inline bool str_equal_nocase(struct str a, struct str b)
{
    return a.len == b.len && str_same_nocase(a.ptr, b.ptr, a.len);
}
/* <0, 0, >0 like memcmp; a prefix sorts first. */
int str_compare(struct str a, struct str b);
int str_compare_nocase(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_starts_nocase(struct str s, struct str prefix);
bool str_ends_nocase(struct str s, struct str suffix);
bool str_contains_nocase(struct str s, struct str part);

/* The index of the first (last) c, or s.len where there is none. */
size_t str_find(struct str s, char c);
size_t str_find_last(struct str s, char c);

/* From `from` on; at most `len` bytes from `from` on. Beyond the end: empty. */
static inline struct str str_from(struct str s, size_t from)
{
    return from < s.len ? str_of(s.ptr + from, s.len - from) : str_of(s.ptr ? s.ptr + s.len : NULL, 0);
}
static inline struct str str_sub(struct str s, size_t from, size_t len)
{
    s = str_from(s, from);
    s.len = MIN_OF(s.len, len);
    return s;
}
/* Without spaces and tabs at both ends. */
struct str str_trim(struct str s);
/* Cuts at the first c: returns what stands before it, leaves in *rest what stands after it (STR_NONE if there is no c).
 */
struct str str_split(struct str s, char c, struct str *rest);

/* All of s as a decimal number, digits only, at least one. False: not a number, or beyond max. */
MUST_USE bool str_to_u64(struct str s, uint64_t max, uint64_t *value);

/* n in decimal digits, into `to` of at least STR_OF_U64_MAX bytes; no NUL at its end. */
enum { STR_OF_U64_MAX = 20 };
struct str str_of_u64(char *to, uint64_t n);

/* Is it well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms)? */
bool str_is_utf8(struct str s);
bool str_is_ascii(struct str s);
/* Is there a control character in it: 0-31 (TAB too), 127, or, as UTF-8, U+0080-U+009F? None of these may reach a line
 * that is sent, logged or shown. */
bool str_has_control(struct str s);

/* A NUL-terminated heap copy, the caller's to free(); NULL without memory. */
char *str_copy_z(struct str s);

/* Copies into a caller's array of size bytes (size > 0), NUL-terminated, cut where it is too small. Returns the view of
 * it. */
struct str str_copy_into(char *to, size_t size, struct str s);

#endif
