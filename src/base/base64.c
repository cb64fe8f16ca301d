/* base64.c - see base64.h. */
#include "base/base64.h"

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool base64_encode(struct buf *to, struct str s)
{
    char *out = buf_reserve(to, BASE64_ENCODED_LEN(s.len));
    if (!out)
        return s.len == 0;
    size_t n = 0;
    for (size_t i = 0; i < s.len; i += 3) {
        size_t left = MIN_OF(s.len - i, (size_t)3);
        uint32_t word = (uint32_t)(unsigned char)s.ptr[i] << 16;
        if (left > 1)
            word |= (uint32_t)(unsigned char)s.ptr[i + 1] << 8;
        if (left > 2)
            word |= (unsigned char)s.ptr[i + 2];
        out[n++] = ALPHABET[word >> 18];
        out[n++] = ALPHABET[word >> 12 & 63];
        out[n++] = left > 1 ? ALPHABET[word >> 6 & 63] : '=';
        out[n++] = left > 2 ? ALPHABET[word & 63] : '=';
    }
    buf_commit(to, n);
    return true;
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_decode(void *to, size_t *len, struct str s)
{
    unsigned char *out = to;
    size_t n = 0;
    if (s.len % 4)
        return false;
    for (size_t i = 0; i < s.len; i += 4) {
        bool last = i + 4 == s.len;
        int padding = !last || s.ptr[i + 3] != '=' ? 0 : s.ptr[i + 2] == '=' ? 2 : 1;
        uint32_t word = 0;
        for (int j = 0; j < 4; j++) {
            int value = j >= 4 - padding ? 0 : value_of(s.ptr[i + (size_t)j]);
            if (value < 0)
                return false;
            word = word << 6 | (uint32_t)value;
        }
        if ((padding == 1 && (word & 0xff)) || (padding == 2 && (word & 0xffff)))
            return false;
        out[n++] = (unsigned char)(word >> 16);
        if (padding < 2)
            out[n++] = (unsigned char)(word >> 8);
        if (padding < 1)
            out[n++] = (unsigned char)word;
    }
    *len = n;
    return true;
}
