/* escape.c - bytes made fit to be seen. See escape.h. */
#include "base/escape.h"

#include <string.h>

static const char HEX[] = "0123456789abcdef";

/* How many bytes of s, from its head, form one well-formed character that is no control; 0 where they do not. */
static size_t clean_length(struct str s)
{
    unsigned char c = (unsigned char)s.ptr[0];
    if (c < 0x20 || c == 0x7f)
        return 0;
    if (c < 0x80)
        return 1;
    for (size_t n = 2; n <= 4 && n <= s.len; n++)
        if (str_is_utf8(str_of(s.ptr, n)))
            return str_has_control(str_of(s.ptr, n)) ? 0 : n;
    return 0;
}

static bool append_hex(struct buf *to, const char *prefix, unsigned char c)
{
    char text[8];
    size_t n = strlen(prefix);
    memcpy(text, prefix, n);
    text[n] = HEX[c >> 4];
    text[n + 1] = HEX[c & 15];
    return buf_append(to, text, n + 2);
}

/* Bytes that stay as they are, marked x, 32 to a row; those beyond ASCII never do. */
static const char PLAIN[256] = /* printable, but neither quote nor backslash */
    "................................"
    "xx.xxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxx.xxx"
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.";
static const char PLAIN_IN_KEYS[256] = /* letters, digits and !$&'*+,-./:;=?@_~ */
    "................................"
    ".x..x.xx..xxxxxxxxxxxxxxxxxx.x.x"
    "xxxxxxxxxxxxxxxxxxxxxxxxxxx....x"
    ".xxxxxxxxxxxxxxxxxxxxxxxxxx...x.";

/* The run at the head of s that needs no look. */
static size_t run_of(const char *plain, struct str s)
{
    size_t n = 0;
    while (n < s.len && plain[(unsigned char)s.ptr[n]] == 'x')
        n++;
    return n;
}

bool escape_text(struct buf *to, struct str s)
{
    while (s.len) {
        size_t n = run_of(PLAIN, s);
        if (n == 0 && s.ptr[0] == '\\') {
            if (!buf_append(to, "\\\\", 2))
                return false;
            s = str_from(s, 1);
            continue;
        }
        if (n == 0)
            n = clean_length(s);
        if (n ? !buf_append(to, s.ptr, n) : !append_hex(to, "\\x", (unsigned char)s.ptr[0]))
            return false;
        s = str_from(s, n ? n : 1);
    }
    return true;
}

static bool append_json_special(struct buf *to, unsigned char c)
{
    switch (c) {
    case '"':
        return buf_append(to, "\\\"", 2);
    case '\\':
        return buf_append(to, "\\\\", 2);
    case '\n':
        return buf_append(to, "\\n", 2);
    case '\r':
        return buf_append(to, "\\r", 2);
    case '\t':
        return buf_append(to, "\\t", 2);
    default:
        return c < 0x80 ? append_hex(to, "\\u00", c) : append_hex(to, "\\\\x", c);
    }
}

bool escape_json(struct buf *to, struct str s)
{
    while (s.len) {
        size_t n = run_of(PLAIN, s);
        if (n == 0 && s.ptr[0] != '"' && s.ptr[0] != '\\')
            n = clean_length(s);
        if (n ? !buf_append(to, s.ptr, n) : !append_json_special(to, (unsigned char)s.ptr[0]))
            return false;
        s = str_from(s, n ? n : 1);
    }
    return true;
}

bool escape_key(struct buf *to, struct str s)
{
    while (s.len) {
        size_t n = run_of(PLAIN_IN_KEYS, s);
        if (n) {
            char *lower = buf_reserve(to, n);
            if (!lower)
                return false;
            for (size_t i = 0; i < n; i++)
                lower[i] = ascii_lower(s.ptr[i]);
            buf_commit(to, n);
        } else {
            unsigned char c = (unsigned char)s.ptr[0];
            n = c >= 0x80 ? clean_length(s) : 0;
            if (n ? !buf_append(to, s.ptr, n) : !append_hex(to, "%", c))
                return false;
        }
        s = str_from(s, n ? n : 1);
    }
    return true;
}
