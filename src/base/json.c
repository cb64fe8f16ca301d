/* json.c - a JSON value, member by member. See json.h. */
#include "base/json.h"

/* ---- scanning: each takes where it begins, and gives where it ends; NULL: wrong ---- */

static const char *skip_blanks(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'))
        p++;
    return p;
}

static const char *skip_escape(const char *p, const char *end)
{
    if (end - p < 2)
        return NULL;
    switch (p[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return p + 2;
    case 'u':
        if (end - p < 6)
            return NULL;
        for (int i = 2; i < 6; i++)
            if (ascii_hex_value(p[i]) < 0)
                return NULL;
        return p + 6;
    default:
        return NULL;
    }
}

/* From its first quote. */
static const char *skip_text(const char *p, const char *end)
{
    for (p++; p && p < end;) {
        if (*p == '"')
            return p + 1;
        if (*p == '\\')
            p = skip_escape(p, end);
        else if ((unsigned char)*p < ' ')
            return NULL;
        else
            p++;
    }
    return NULL;
}

static const char *skip_digits(const char *p, const char *end)
{
    if (p == end || !ascii_is_digit(*p))
        return NULL;
    while (p < end && ascii_is_digit(*p))
        p++;
    return p;
}

static const char *skip_number(const char *p, const char *end)
{
    p += *p == '-';
    p = p < end && *p == '0' ? p + 1 : skip_digits(p, end);
    if (p && p < end && *p == '.')
        p = skip_digits(p + 1, end);
    if (p && p < end && (*p == 'e' || *p == 'E')) {
        p++;
        p += p < end && (*p == '+' || *p == '-');
        p = skip_digits(p, end);
    }
    return p;
}

static const char *skip_word(const char *p, const char *end, struct str word, enum json_kind kind,
                             enum json_kind *found)
{
    *found = kind;
    return str_starts(str_of(p, (size_t)(end - p)), word) ? p + word.len : NULL;
}

/* A value that holds no others. */
static const char *skip_simple(const char *p, const char *end, enum json_kind *kind)
{
    switch (*p) {
    case '"':
        *kind = JSON_TEXT;
        return skip_text(p, end);
    case 't':
        return skip_word(p, end, STR("true"), JSON_TRUE, kind);
    case 'f':
        return skip_word(p, end, STR("false"), JSON_FALSE, kind);
    case 'n':
        return skip_word(p, end, STR("null"), JSON_NULL, kind);
    default:
        *kind = JSON_NUMBER;
        return skip_number(p, end);
    }
}

/* "name" and its colon, up to the value. */
static const char *skip_name(const char *p, const char *end)
{
    p = p < end && *p == '"' ? skip_text(p, end) : NULL;
    p = p ? skip_blanks(p, end) : NULL;
    return p && p < end && *p == ':' ? skip_blanks(p + 1, end) : NULL;
}

/* An object or array with all in it. `objects` holds a bit for each level: is it one? */
static const char *skip_nested(const char *p, const char *end)
{
    enum json_kind kind;
    uint32_t objects = 0;
    bool is_first = true; /* nothing stands before, at this level */
    for (int depth = 0;;) {
        bool is_object = objects & 1;
        p = skip_blanks(p, end);
        if (p == end)
            return NULL;
        if (depth && *p == (is_object ? '}' : ']')) {
            p++;
            objects >>= 1;
            is_first = false;
            if (--depth == 0)
                return p;
            continue;
        }
        if (!is_first) {
            if (*p != ',')
                return NULL;
            p = skip_blanks(p + 1, end);
        }
        if (depth && is_object)
            p = skip_name(p, end);
        if (!p || p == end)
            return NULL;
        is_first = *p == '{' || *p == '[';
        if (is_first) {
            if (depth++ == JSON_DEPTH_MAX)
                return NULL;
            objects = objects << 1 | (*p++ == '{');
        } else if (!(p = skip_simple(p, end, &kind))) {
            return NULL;
        }
    }
}

/* ---- walking ---- */

static void walk(struct json_walk *w, struct str text, char opens)
{
    if (text.len && *text.ptr == opens)
        *w = (struct json_walk){.at = text.ptr + 1, .end = text.ptr + text.len, .closes = opens == '{' ? '}' : ']'};
    else
        *w = (struct json_walk){.is_wrong = true};
}

void json_walk_object(struct json_walk *w, struct str text)
{
    size_t blanks = text.len ? (size_t)(skip_blanks(text.ptr, text.ptr + text.len) - text.ptr) : 0;
    walk(w, str_from(text, blanks), '{');
}

void json_walk_into(struct json_walk *w, const struct json_value *value)
{
    if (value->kind == JSON_OBJECT || value->kind == JSON_ARRAY)
        walk(w, value->raw, value->kind == JSON_OBJECT ? '{' : '[');
    else
        *w = (struct json_walk){.is_over = true};
}

static bool wrong(struct json_walk *w)
{
    w->is_wrong = true;
    return false;
}

/* Behind its end only blanks may stand. */
static bool close(struct json_walk *w)
{
    w->is_over = true;
    w->at = skip_blanks(w->at + 1, w->end);
    return w->at == w->end ? false : wrong(w);
}

static bool read_value(struct json_walk *w, struct json_value *value)
{
    const char *begin = w->at;
    bool is_nested = *begin == '{' || *begin == '[';
    if (is_nested)
        value->kind = *begin == '{' ? JSON_OBJECT : JSON_ARRAY;
    w->at = is_nested ? skip_nested(begin, w->end) : skip_simple(begin, w->end, &value->kind);
    if (!w->at)
        return wrong(w);
    value->raw = str_of(begin, (size_t)(w->at - begin));
    if (value->kind == JSON_TEXT)
        value->raw = str_sub(value->raw, 1, value->raw.len - 2);
    return true;
}

bool json_next(struct json_walk *w, struct str *name, struct json_value *value)
{
    if (w->is_over || w->is_wrong)
        return false;
    w->at = skip_blanks(w->at, w->end);
    if (w->at == w->end)
        return wrong(w);
    if (*w->at == w->closes)
        return close(w);
    if (w->is_started) {
        if (*w->at != ',')
            return wrong(w);
        w->at = skip_blanks(w->at + 1, w->end);
    }
    w->is_started = true;
    *name = STR("");
    if (w->closes == '}') {
        const char *begin = w->at;
        w->at = skip_name(begin, w->end);
        if (!w->at)
            return wrong(w);
        const char *last = w->at;
        while (*--last != '"')
            ; /* back over the colon and blanks */
        *name = str_of(begin + 1, (size_t)(last - begin - 1));
    }
    return w->at == w->end ? wrong(w) : read_value(w, value);
}

/* ---- values ---- */

static uint32_t four_hex(const char *p)
{
    uint32_t n = 0;
    for (int i = 0; i < 4; i++)
        n = n << 4 | (uint32_t)ascii_hex_value(p[i]);
    return n;
}

static char *put_utf8(char *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (char)c;
        return to;
    }
    int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const unsigned char LEADS[] = {0, 0xC0, 0xE0, 0xF0};
    *to++ = (char)(LEADS[more] | c >> (6 * more));
    while (more--)
        *to++ = (char)(0x80 | (c >> (6 * more) & 0x3F));
    return to;
}

/* \uXXXX, or a pair of them. */
static const char *read_unicode(const char *p, const char *end, char **to)
{
    uint32_t c = four_hex(p + 2), low;
    p += 6;
    bool is_high = c >= 0xD800 && c < 0xDC00;
    if (is_high && end - p >= 6 && p[0] == '\\' && p[1] == 'u' && (low = four_hex(p + 2)) >= 0xDC00 && low < 0xE000) {
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
        p += 6;
    } else if (c >= 0xD800 && c < 0xE000) {
        c = 0xFFFD;
    }
    *to = put_utf8(*to, c);
    return p;
}

struct str json_unescape(char *raw, size_t len)
{
    const char *p = memchr(raw, '\\', len), *end = raw + len;
    if (!p)
        return str_of(raw, len);
    char *to = raw + (p - raw);
    while (p < end) {
        if (*p != '\\') {
            *to++ = *p++;
        } else if (p[1] == 'u') {
            p = read_unicode(p, end, &to);
        } else {
            static const char NAMES[] = "bfnrt", MEANT[] = "\b\f\n\r\t";
            const char *name = memchr(NAMES, p[1], sizeof NAMES - 1);
            *to++ = name ? MEANT[name - NAMES] : p[1];
            p += 2;
        }
    }
    return str_of(raw, (size_t)(to - raw));
}

bool json_u64(const struct json_value *value, uint64_t max, uint64_t *number)
{
    return value->kind == JSON_NUMBER && str_to_u64(value->raw, max, number);
}
