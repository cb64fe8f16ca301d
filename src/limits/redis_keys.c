/* redis_keys.c - what counters are called in Redis. See redis_keys.h. */
#include "limits/redis_keys.h"

/* Bytes with a bound, written one after another. */
struct writer {
    char *to;
    size_t len, size;
    bool is_full;
};

static void put(struct writer *w, struct str s)
{
    if (s.len > w->size - w->len) {
        w->is_full = true;
        return;
    }
    if (s.len)
        memcpy(w->to + w->len, s.ptr, s.len);
    w->len += s.len;
}

static void put_number(struct writer *w, uint64_t n)
{
    char digits[STR_OF_U64_MAX];
    put(w, str_of_u64(digits, n));
}

static struct str finish(const struct writer *w)
{
    return w->is_full ? STR_NONE : str_of(w->to, w->len);
}

/* As it is; or, too long for a name, as "%-" and its hash, which every node computes alike. */
static void put_bounded(struct writer *w, struct str s, size_t max)
{
    static const struct hash_key OPEN = {0};
    static const char HEX[] = "0123456789abcdef";
    if (s.len <= max) {
        put(w, s);
        return;
    }
    struct hash128 hash = hash128(&OPEN, s);
    uint64_t words[] = {hash.hi, hash.lo};
    char text[34] = "%-";
    for (size_t i = 0; i < 32; i++)
        text[2 + i] = HEX[words[i / 16] >> (60 - 4 * (i % 16)) & 15];
    put(w, str_of(text, sizeof text));
}

static void put_head(struct writer *w, struct str prefix, char letter, struct str entity)
{
    put(w, prefix);
    put(w, str_of(&letter, 1));
    put(w, STR(":{"));
    put_bounded(w, entity, REDIS_ENTITY_MAX_BYTES);
    put(w, STR("}"));
}

/* ":NAME" of a limit that counts for itself. */
static void put_own_name(struct writer *w, const struct counter *counter)
{
    put(w, STR(":"));
    put_bounded(w, counter->name, REDIS_NAME_MAX_BYTES);
}

/* What follows a window's number is parted from what stands before it. */
#define MARK str_of("", 1)

static void put_slots(struct writer *w, const struct counter *counter, struct str prefix)
{
    put_head(w, prefix, 'q', counter->entity);
    put(w, STR(":"));
    put_number(w, counter->period_s);
    if (counter->kind == COUNTER_MAIL)
        return;
    put(w, MARK);
    put_own_name(w, counter);
    if (counter->kind == COUNTER_OWN) {
        put(w, STR("."));
        put(w, limit_unit_name(counter->unit));
    }
}

static void put_values(struct writer *w, const struct counter *counter, struct str prefix)
{
    bool is_many = counter->unit == UNIT_DISTINCT_RECIPIENTS;
    put_head(w, prefix, is_many ? 'h' : 'x', counter->entity);
    put(w, is_many                                    ? STR(":rcpt:")
           : counter->unit == UNIT_DISTINCT_NETWORKS  ? STR(":net:")
           : counter->unit == UNIT_DISTINCT_COUNTRIES ? STR(":country:")
                                                      : STR(":users:"));
    put_number(w, counter->period_s);
    if (counter->kind != COUNTER_OWN)
        return;
    if (is_many)
        put(w, MARK);
    put_own_name(w, counter);
}

static void put_known(struct writer *w, const struct counter *counter, struct str prefix)
{
    put_head(w, prefix, 'x', counter->entity);
    put(w, STR(":known"));
    put_own_name(w, counter);
}

static void put_leases(struct writer *w, const struct counter *counter, struct str prefix)
{
    put_head(w, prefix, 'c', counter->entity);
    if (!str_equal(counter->name, limit_unit_name(UNIT_OPEN_CONNECTIONS)))
        put_own_name(w, counter);
}

static bool is_of_values(const struct counter *counter)
{
    return counter->kind != COUNTER_MAIL && limit_unit_shape(counter->unit) == SHAPE_DISTINCT;
}

struct str redis_stem(const struct counter *counter, struct str prefix, char *to, size_t size)
{
    struct writer w = {.to = to, .size = MIN_OF(size, REDIS_STEM_MAX_BYTES)};
    if (counter->kind == COUNTER_KNOWN)
        put_known(&w, counter, prefix);
    else if (counter->kind == COUNTER_LEASES)
        put_leases(&w, counter, prefix);
    else if (is_of_values(counter))
        put_values(&w, counter, prefix);
    else
        put_slots(&w, counter, prefix);
    return finish(&w);
}

struct str redis_key_of_window(struct str stem, uint64_t number, char *to, size_t size)
{
    struct writer w = {.to = to, .size = size};
    size_t mark = str_find(stem, '\0');
    put(&w, str_sub(stem, 0, mark));
    put(&w, STR(":"));
    put_number(&w, number);
    put(&w, str_from(stem, mark + 1));
    return finish(&w);
}

struct str redis_key_of_entity(struct str prefix, char letter, struct str entity, struct str ending, char *to,
                               size_t size)
{
    struct writer w = {.to = to, .size = size};
    put_head(&w, prefix, letter, entity);
    put(&w, ending);
    return finish(&w);
}

/* ---- Read back ---- */

/* "bans", "nodes", "nodes:{3}". */
static bool parse_name(struct str rest, struct redis_key_parts *parts)
{
    static const struct str NAMES[] = {{"bans", 4}, {"nodes", 5}, {"epoch", 5}, {"secret", 6}, {"allowances", 10}};
    struct str tag;
    parts->kind = str_split(rest, ':', &tag);
    for (size_t i = 0; i < COUNT_OF(NAMES); i++) {
        if (!str_equal(parts->kind, NAMES[i]))
            continue;
        if (!tag.ptr)
            return true;
        parts->entity = str_sub(tag, 1, tag.len > 2 ? tag.len - 2 : 0);
        return tag.len > 2 && tag.ptr[0] == '{' && tag.ptr[tag.len - 1] == '}';
    }
    return false;
}

/* The number that stands next; nothing else follows it but a colon. */
static bool next_number(struct str *rest, uint64_t max, uint64_t *n)
{
    return str_to_u64(str_split(*rest, ':', rest), max, n);
}

static bool parse_ending(struct str rest, struct redis_key_parts *parts)
{
    uint64_t period_s = 0;
    bool is_ours = true;
    if (parts->letter == 'x' || parts->letter == 'h')
        parts->kind = str_split(rest, ':', &rest);
    if (parts->letter == 'q' || parts->letter == 'h' || (parts->letter == 'x' && !str_equal(parts->kind, STR("known"))))
        is_ours = next_number(&rest, UINT32_MAX, &period_s) && period_s > 0;
    if (parts->letter == 'q' || parts->letter == 'h')
        is_ours = is_ours && next_number(&rest, UINT64_MAX, &parts->window);
    parts->period_s = (uint32_t)period_s;
    parts->ending = rest;
    return is_ours;
}

bool redis_key_parse(struct str key, struct str prefix, struct redis_key_parts *parts)
{
    *parts = (struct redis_key_parts){0};
    if (!str_starts(key, prefix))
        return false;
    struct str rest = str_from(key, prefix.len);
    if (rest.len < 2 || rest.ptr[1] != ':' || !memchr("qchxbko", rest.ptr[0], 7))
        return parse_name(rest, parts);
    parts->letter = rest.ptr[0];
    size_t end = str_find(rest, '}');
    if (rest.len < 5 || rest.ptr[2] != '{' || end == rest.len || end == 3)
        return false;
    parts->entity = str_sub(rest, 3, end - 3);
    rest = str_from(rest, end + 1);
    if (rest.len && rest.ptr[0] != ':')
        return false;
    return parse_ending(str_from(rest, 1), parts);
}
