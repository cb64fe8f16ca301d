/*
 * logged.c - from a line of the event log to what it tells. See logged.h.
 *
 * The line is copied behind the struct, and what its members say is unescaped there, in its place.
 */
#include "policy/logged.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/json.h"

const char *const logged_verdict_words[] = {
    [LOGGED_ACCEPT] = "accept",         [LOGGED_REJECT] = "reject",   [LOGGED_DEFER] = "defer",
    [LOGGED_DISCONNECT] = "disconnect", [LOGGED_DROP] = "drop",       [LOGGED_BAN] = "ban",
    [LOGGED_ABORT] = "abort",           [LOGGED_UNKNOWN] = "unknown",
};

/* ---- members ---- */

enum member_form { MEMBER_TEXT, MEMBER_RAW, MEMBER_NUMBER, MEMBER_CODE };

struct member_row {
    struct str name;
    enum member_form form;
    size_t at; /* in struct logged, or in struct words */
    bool is_word;
};

/* What is looked at once, and not kept. */
struct words {
    struct str time, event, client, verdict, result;
    uint64_t port;
};

#define ROW(form, name, member)                                                                                        \
    {                                                                                                                  \
        {name, sizeof name - 1}, form, offsetof(struct logged, member), false                                          \
    }
#define WORD(form, name, member)                                                                                       \
    {                                                                                                                  \
        {name, sizeof name - 1}, form, offsetof(struct words, member), true                                            \
    }

/* In the order in which a mail's line has them, so that the next one is mostly found at the first look. */
static const struct member_row ROWS[] = {
    WORD(MEMBER_TEXT, "time", time),
    WORD(MEMBER_TEXT, "event", event),
    ROW(MEMBER_TEXT, "node", node),
    ROW(MEMBER_TEXT, "id", id),
    ROW(MEMBER_TEXT, "listener", listener),
    WORD(MEMBER_TEXT, "client", client),
    WORD(MEMBER_NUMBER, "port", port),
    ROW(MEMBER_TEXT, "helo", helo),
    ROW(MEMBER_TEXT, "tls", tls),
    ROW(MEMBER_TEXT, "cipher", cipher),
    ROW(MEMBER_TEXT, "name", name),
    ROW(MEMBER_TEXT, "country", country),
    ROW(MEMBER_TEXT, "user", user),
    ROW(MEMBER_TEXT, "auth", mechanism),
    ROW(MEMBER_TEXT, "sender", sender),
    ROW(MEMBER_RAW, "recipients", recipients),
    ROW(MEMBER_RAW, "refusals", refusals),
    ROW(MEMBER_NUMBER, "accepted", accepted),
    ROW(MEMBER_NUMBER, "refused", refused),
    ROW(MEMBER_NUMBER, "size", size_bytes),
    ROW(MEMBER_TEXT, "message_id", message_id),
    ROW(MEMBER_TEXT, "from", from),
    WORD(MEMBER_TEXT, "verdict", verdict),
    WORD(MEMBER_TEXT, "result", result),
    ROW(MEMBER_CODE, "code", code),
    ROW(MEMBER_TEXT, "enhanced", enhanced),
    ROW(MEMBER_TEXT, "text", text),
    ROW(MEMBER_TEXT, "at", at),
    ROW(MEMBER_TEXT, "by", by),
    ROW(MEMBER_RAW, "limits", limits),
    ROW(MEMBER_RAW, "milters", milters),
    ROW(MEMBER_CODE, "relay_code", relay_code),
    ROW(MEMBER_TEXT, "relay_text", relay_text),
    ROW(MEMBER_NUMBER, "share_of", share_of),
};

static const struct member_row *find_row(struct str name, size_t *next)
{
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        size_t n = (*next + i) % COUNT_OF(ROWS);
        if (str_equal(ROWS[n].name, name)) {
            *next = n + 1;
            return &ROWS[n];
        }
    }
    return NULL;
}

/* It lies in memory of ours, a copy of the line or of a part, which may be written to; so does what is cleaned. */
static struct str unescape(struct str raw)
{
    return raw.len ? json_unescape((char *)(uintptr_t)raw.ptr, raw.len) : STR("");
}

static void clean(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 127)
            ((char *)(uintptr_t)text.ptr)[i] = '?';
}

/* Null is as good as not there. */
static bool set_member(const struct member_row *row, void *to, const struct json_value *value, struct err *err)
{
    static const enum json_kind KINDS[] = {
        [MEMBER_TEXT] = JSON_TEXT, [MEMBER_NUMBER] = JSON_NUMBER, [MEMBER_CODE] = JSON_NUMBER};
    bool is_right =
        value->kind == JSON_NULL || (row->form == MEMBER_RAW ? value->kind == JSON_ARRAY || value->kind == JSON_OBJECT
                                                             : value->kind == KINDS[row->form]);
    uint64_t number = 0;
    if (is_right && value->kind == JSON_NUMBER)
        is_right = json_u64(value, row->form == MEMBER_CODE ? 999 : UINT64_MAX, &number);
    if (!is_right)
        return err_set(err, "its \"" PRI_STR "\" is not what an event has there", STR_ARG(row->name));
    if (value->kind == JSON_NULL)
        return true;
    if (row->form == MEMBER_CODE)
        *(int *)to = (int)number;
    else if (row->form == MEMBER_NUMBER)
        *(uint64_t *)to = number;
    else
        *(struct str *)to = row->form == MEMBER_TEXT ? unescape(value->raw) : value->raw;
    return true;
}

static bool read_members(struct logged *p, struct words *words, struct str line, struct err *err)
{
    struct json_walk w;
    struct json_value value;
    struct str name;
    size_t next = 0;
    json_walk_object(&w, line);
    while (json_next(&w, &name, &value)) {
        const struct member_row *row = find_row(name, &next);
        char *base = row && row->is_word ? (char *)words : (char *)p;
        if (row && !set_member(row, base + row->at, &value, err))
            return false;
    }
    return !w.is_wrong || err_set(err, "it is no JSON object");
}

/* ---- what they mean ---- */

static bool read_digits(const char *p, int count, int *n)
{
    *n = 0;
    for (int i = 0; i < count; i++) {
        if (!ascii_is_digit(p[i]))
            return false;
        *n = *n * 10 + (p[i] - '0');
    }
    return true;
}

/* Days since 1970 of a date of the Gregorian calendar. */
static int64_t days_of(int year, int month, int day)
{
    int y = year - (month <= 2), m = month + (month <= 2 ? 9 : -3);
    int era = y / 400, of_era = y % 400;
    int days = of_era * 365 + of_era / 4 - of_era / 100 + (153 * m + 2) / 5 + day - 1;
    return (int64_t)era * 146097 + days - 719468;
}

/* 2026-11-24T08:15:30.123456Z; a shorter fraction, or none, will do. */
static bool read_time(struct str s, int64_t *us)
{
    int year, month, day, hour, minute, second, fraction = 0;
    if (s.len < 20 || s.len > 27 || s.ptr[4] != '-' || s.ptr[7] != '-' || s.ptr[10] != 'T' || s.ptr[13] != ':' ||
        s.ptr[16] != ':' || s.ptr[s.len - 1] != 'Z')
        return false;
    if (!read_digits(s.ptr, 4, &year) || !read_digits(s.ptr + 5, 2, &month) || !read_digits(s.ptr + 8, 2, &day) ||
        !read_digits(s.ptr + 11, 2, &hour) || !read_digits(s.ptr + 14, 2, &minute) ||
        !read_digits(s.ptr + 17, 2, &second))
        return false;
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60)
        return false;
    int digits = s.len > 21 ? (int)s.len - 21 : 0;
    if (s.len > 20 && (s.ptr[19] != '.' || digits == 0 || !read_digits(s.ptr + 20, digits, &fraction)))
        return false;
    for (int i = digits; digits && i < 6; i++)
        fraction *= 10;
    *us = ((days_of(year, month, day) * 24 + hour) * 60 + minute) * INT64_C(60000000) + second * INT64_C(1000000) +
          (digits ? fraction : 0);
    return true;
}

/* An id begins with the milliseconds of the connection's beginning (session/accept.c), above 22 bits. Of that one the
 * end: who connects again at once was closed before. */
static bool read_opened(struct str session, int64_t *us)
{
    static const char DIGITS[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint64_t n = 0;
    for (size_t i = 0; i < session.len; i++) {
        const char *digit = memchr(DIGITS, session.ptr[i], sizeof DIGITS - 1);
        if (!digit)
            return false;
        n = n << 5 | (uint64_t)(digit - DIGITS);
    }
    *us = (int64_t)(n >> 22) * 1000 + 999;
    return session.len == LOGGED_SESSION_BYTES;
}

static bool read_kind(struct logged *p, struct str event)
{
    static const struct {
        struct str word;
        enum logged_kind kind;
    } KINDS[] = {{{"mail", 4}, LOGGED_MAIL},
                 {{"connect", 7}, LOGGED_CONNECT},
                 {{"auth", 4}, LOGGED_AUTH},
                 {{"close", 5}, LOGGED_CLOSE}};
    for (size_t i = 0; i < COUNT_OF(KINDS); i++)
        if (str_equal(KINDS[i].word, event)) {
            p->kind = KINDS[i].kind;
            return true;
        }
    return false;
}

static bool read_verdict(struct logged *p, struct str word)
{
    for (size_t i = 0; i < COUNT_OF(logged_verdict_words); i++)
        if (str_equal(str_of_z(logged_verdict_words[i]), word)) {
            p->verdict = (enum logged_verdict)i;
            return true;
        }
    return false;
}

static enum logged_login read_login(struct str result)
{
    if (str_equal(result, STR("ok")))
        return LOGGED_LOGIN_OK;
    if (str_equal(result, STR("limited")))
        return LOGGED_LOGIN_LIMITED;
    return str_equal(result, STR("unavailable")) ? LOGGED_LOGIN_UNCHECKED : LOGGED_LOGIN_WRONG;
}

enum { DAY_S = 86400 };

static bool read_words(struct logged *p, const struct words *words, struct err *err)
{
    if (!read_time(words->time, &p->time_us))
        return err_set(err, "its \"time\" is none");
    if (p->id.len < LOGGED_SESSION_BYTES)
        return err_set(err, "it has no \"id\"");
    if (!ip_parse(words->client, &p->client))
        return err_set(err, "its \"client\" is no address");
    bool needs_verdict = p->kind == LOGGED_MAIL || p->kind == LOGGED_CONNECT;
    if (needs_verdict && !read_verdict(p, words->verdict))
        return err_set(err, "its \"verdict\" is none");
    p->port = (uint16_t)words->port;
    p->accepted = MIN_OF(p->accepted, (uint64_t)LOGGED_RCPTS_MAX);
    p->refused = MIN_OF(p->refused, (uint64_t)LOGGED_RCPTS_MAX);
    p->login = read_login(words->result);
    p->session = str_sub(p->id, 0, LOGGED_SESSION_BYTES);
    if (!read_opened(p->session, &p->opened_us) || p->opened_us < p->time_us - DAY_S * INT64_C(1000000))
        p->opened_us = p->time_us;
    p->opened_us = MIN_OF(p->opened_us, p->time_us);
    return true;
}

enum logged_result logged_read(struct str line, struct logged **to, struct err *err)
{
    struct words words = {0};
    struct err ignored;
    *to = NULL;
    err = err ? err : &ignored;
    if (line.len > LOGGED_LINE_MAX_BYTES) {
        err_set(err, "the line is longer than an event can be");
        return LOGGED_WRONG;
    }
    struct logged *p = calloc(1, sizeof *p + line.len);
    if (!p)
        return LOGGED_NO_MEMORY;
    p->bytes = sizeof *p + line.len;
    if (line.len)
        memcpy(p + 1, line.ptr, line.len);
    bool is_right = read_members(p, &words, str_of((const char *)(p + 1), line.len), err);
    bool is_ours = is_right && read_kind(p, words.event);
    if (is_right && !words.event.len)
        is_right = err_set(err, "it has no \"event\"");
    if (is_right && is_ours && read_words(p, &words, err)) {
        *to = p;
        return LOGGED_READ;
    }
    free(p);
    return is_right && !is_ours ? LOGGED_IGNORED : LOGGED_WRONG;
}

void logged_clean(struct logged *p)
{
    p->is_clean = true;
    for (size_t i = 0; i < COUNT_OF(ROWS); i++)
        if (ROWS[i].form == MEMBER_TEXT && !ROWS[i].is_word)
            clean(*(struct str *)(void *)((char *)p + ROWS[i].at));
}

/* ---- lists ---- */

static void walk_list(struct json_walk *w, struct str list)
{
    json_walk_into(w, &(struct json_value){.kind = JSON_ARRAY, .raw = list});
}

static size_t count_of(struct str list)
{
    struct json_walk w;
    struct json_value value;
    struct str name;
    size_t n = 0;
    walk_list(&w, list);
    while (json_next(&w, &name, &value))
        n++;
    return n;
}

/* A copy, for the line is to be read again, another time. What is no text is empty. */
static struct str copy_text(const struct logged *p, const struct json_value *value, struct arena *arena)
{
    struct str copy = value->kind == JSON_TEXT ? arena_copy(arena, value->raw) : STR("");
    copy = unescape(copy);
    if (p->is_clean)
        clean(copy);
    return copy;
}

/* ---- recipients ---- */

struct refusal {
    struct str recipient;
    uint64_t code;
    bool is_by_us;
};

static struct refusal read_refusal(const struct logged *p, const struct json_value *object, struct arena *arena)
{
    struct refusal r = {0};
    struct json_walk w;
    struct json_value value;
    struct str name;
    json_walk_into(&w, object);
    while (json_next(&w, &name, &value)) {
        if (str_equal(name, STR("recipient"))) {
            r.recipient = copy_text(p, &value, arena);
        } else if (str_equal(name, STR("code"))) {
            if (!json_u64(&value, 999, &r.code))
                r.code = 0;
        } else if (str_equal(name, STR("by"))) {
            r.is_by_us = true;
        }
    }
    return r;
}

struct list {
    struct str *items;
    int *codes;
    size_t count, max;
};

static void add(struct list *l, struct str rcpt)
{
    if (l->count < l->max)
        l->items[l->count++] = rcpt;
}

static size_t add_listed(struct list *l, const struct logged *p, struct arena *arena)
{
    struct json_walk w;
    struct json_value value;
    struct str name;
    walk_list(&w, p->recipients);
    while (json_next(&w, &name, &value))
        add(l, copy_text(p, &value, arena));
    return l->count;
}

/* Those that the MTA refused are marked where they stand. Both lists are in one order. */
static void mark_refused(struct list *l, size_t listed, const struct logged *p, struct arena *arena)
{
    struct json_walk w;
    struct json_value value;
    struct str name;
    size_t at = 0;
    walk_list(&w, p->refusals);
    while (json_next(&w, &name, &value)) {
        struct refusal r = read_refusal(p, &value, arena);
        if (r.is_by_us)
            continue; /* nobody knows what the MTA would have said */
        while (at < listed && !str_equal(l->items[at], r.recipient))
            at++;
        if (at < listed)
            l->codes[at++] = (int)r.code;
    }
}

bool logged_recipients(const struct logged *p, struct arena *arena, struct logged_rcpts *to)
{
    size_t known = count_of(p->recipients);
    struct list l = {.max = (size_t)MIN_OF(known + p->accepted + p->refused + 1, (uint64_t)LOGGED_RCPTS_MAX)};
    l.items = arena_alloc(arena, l.max * sizeof *l.items);
    l.codes = arena_alloc(arena, l.max * sizeof *l.codes);
    if (!l.items || !l.codes)
        return false;
    size_t listed = add_listed(&l, p, arena);
    mark_refused(&l, listed, p, arena);
    /* a list that was too long for its line; and who was refused before it came to them had one at least */
    for (uint64_t i = listed; i < p->accepted + p->refused && l.count < l.max; i++)
        add(&l, STR(""));
    if (l.count == 0)
        add(&l, STR(""));
    *to = (struct logged_rcpts){.items = l.items, .codes = l.codes, .count = l.count, .unknown = l.count - listed};
    return true;
}

/* ---- limits ---- */

static struct logged_limit read_limit(const struct logged *p, const struct json_value *object, struct arena *arena)
{
    struct logged_limit l = {0};
    struct json_walk w;
    struct json_value value;
    struct str name;
    json_walk_into(&w, object);
    while (json_next(&w, &name, &value)) {
        uint64_t number;
        if (!json_u64(&value, UINT64_MAX, &number))
            number = 0;
        if (str_equal(name, STR("name")))
            l.name = copy_text(p, &value, arena);
        else if (str_equal(name, STR("key")))
            l.key = copy_text(p, &value, arena);
        else if (str_equal(name, STR("period")))
            l.period_s = number;
        else if (str_equal(name, STR("limit")))
            l.limit = number;
        else if (str_equal(name, STR("used")))
            l.used = number;
    }
    return l;
}

bool logged_limits(const struct logged *p, struct arena *arena, struct logged_limits *to)
{
    struct json_walk w;
    struct json_value value;
    struct str name;
    size_t max = MIN_OF(count_of(p->limits), (size_t)LOGGED_LIMITS_MAX), count = 0;
    struct logged_limit *items = arena_alloc(arena, (max + 1) * sizeof *items);
    if (!items)
        return false;
    walk_list(&w, p->limits);
    while (count < max && json_next(&w, &name, &value))
        items[count++] = read_limit(p, &value, arena);
    *to = (struct logged_limits){.items = items, .count = count};
    return true;
}
