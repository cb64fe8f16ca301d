/* audit_judge.c - see audit_judge.h. */
#include "limits/audit_judge.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "limits/ban_text.h"
#include "limits/window.h"

#define SECOND_US INT64_C(1000000)
#define MINUTE_MS INT64_C(60000)
#define HOUR_MS   (60 * MINUTE_MS)
#define DAY_MS    (24 * HOUR_MS)

/* Clocks of Redis and nodes may differ by so much. */
#define SLACK_MS MINUTE_MS
/* Leases are renewed every few seconds, and end a minute later. */
#define LEASE_MS (10 * MINUTE_MS)

/* What a key of each letter, or name, has to be; and how long it may last from now on (0: by its period). */
static const struct form {
    char letter;
    enum audit_kind counts_as;
    const char *kind;
    const char *type;
    int64_t lasts_ms;
    const char *is_called;
} FORMS[] = {
    {'q', AUDIT_COUNTERS, NULL, "string", 0, "a counter"},
    {'c', AUDIT_CONNECTIONS, NULL, "zset", LEASE_MS, "open connections"},
    {'x', AUDIT_VALUES, "known", "zset", 400 * DAY_MS, "a memory"},
    {'x', AUDIT_VALUES, NULL, "zset", 0, "values"},
    {'h', AUDIT_RECIPIENTS, NULL, "string", 0, "recipients"},
    {'b', AUDIT_BANS, NULL, "string", BAN_LASTS_MAX_US / 1000, "a ban"},
    {'k', AUDIT_BANS, NULL, "string", BAN_LASTS_MAX_US / 1000 + 8 * DAY_MS, "strikes"},
    {'o', AUDIT_OVERRIDES, NULL, "hash", 400 * DAY_MS, "what an operator allowed"},
    {0, AUDIT_BANS, "bans", "zset", BAN_LASTS_MAX_US / 1000 + 30 * DAY_MS, "the index of bans"},
    {0, AUDIT_OVERRIDES, "allowances", "zset", 401 * DAY_MS, "the index of what operators allowed"},
    {0, AUDIT_KEEPER, "nodes", "zset", 3 * HOUR_MS, "the nodes' heartbeats"},
    {0, AUDIT_KEEPER, "epoch", "string", 91 * DAY_MS, "an epoch"},
    {0, AUDIT_KEEPER, "secret", "string", 91 * DAY_MS, "the nodes' secret"},
};

static const struct form *form_of(const struct redis_key_parts *parts)
{
    for (size_t i = 0; i < COUNT_OF(FORMS); i++)
        if (FORMS[i].letter == parts->letter && (!FORMS[i].kind || str_equal(parts->kind, str_of_z(FORMS[i].kind))))
            return &FORMS[i];
    return NULL;
}

static const struct form *read_name(struct str name, struct str prefix, struct redis_key_parts *parts)
{
    return redis_key_parse(name, prefix, parts) ? form_of(parts) : NULL;
}

/* What is found, in the order in which it is found. */
struct finder {
    const struct audit_key *key;
    const struct form *form;
    struct redis_key_parts parts;
    struct audit_trouble *troubles;
    size_t count;
};

static struct audit_trouble *find(struct finder *f, enum audit_severity severity, enum audit_repair repair,
                                  const char *what, ...) PRINTF_LIKE(4, 5);

static struct audit_trouble *find(struct finder *f, enum audit_severity severity, enum audit_repair repair,
                                  const char *what, ...)
{
    static const char *const TO_DO[] = {
        [AUDIT_NOTHING] = "",
        [AUDIT_EXPIRE] = "`mailweir store audit --repair` sets the expiry that belongs to it",
        [AUDIT_DELETE] = "`mailweir store audit --repair` deletes it; it is made anew where it is needed",
        [AUDIT_CLEAR] = "`mailweir store audit --repair` clears these counts and leaves the others",
        [AUDIT_CUT] = "`mailweir store audit --repair` takes them out",
    };
    struct audit_trouble *t = &f->troubles[MIN_OF(f->count, AUDIT_TROUBLES_MAX - 1u)];
    va_list args;
    f->count += f->count < AUDIT_TROUBLES_MAX;
    *t = (struct audit_trouble){.severity = severity, .repair = repair};
    va_start(args, what);
    vsnprintf(t->what, sizeof t->what, what, args);
    va_end(args);
    snprintf(t->to_do, sizeof t->to_do, "%s", TO_DO[repair]);
    return t;
}

/* ---- expiry ---- */

/* The latest moment at which a key of this name may end. */
static int64_t ends_ms(const struct finder *f)
{
    int64_t now_ms = f->key->now_us / 1000, period_ms = (int64_t)f->parts.period_s * 1000;
    if (f->parts.letter == 'q')
        return f->parts.window < UINT32_MAX ? ((int64_t)f->parts.window + 2) * period_ms + 5000 : now_ms;
    return now_ms + (f->form->lasts_ms ? f->form->lasts_ms : 2 * period_ms + HOUR_MS);
}

static void look_at_expiry(struct finder *f)
{
    int64_t now_ms = f->key->now_us / 1000, end_ms = ends_ms(f), left_ms = f->key->pttl_ms;
    if (left_ms == -1)
        find(f, AUDIT_ERROR, AUDIT_EXPIRE, "%s without expiry: it would stay for ever", f->form->is_called)
            ->expires_ms = end_ms;
    else if (now_ms + left_ms > end_ms + SLACK_MS)
        find(f, AUDIT_WARNING, AUDIT_EXPIRE, "%s that ends %" PRId64 " s later than it should", f->form->is_called,
             (now_ms + left_ms - end_ms) / 1000)
            ->expires_ms = end_ms;
}

/* ---- counters ---- */

static uint64_t count_at(struct str value, size_t slot)
{
    uint64_t n = 0;
    for (size_t i = 4 * slot; i < 4 * slot + 4; i++)
        n = n << 8 | (i < value.len ? (unsigned char)value.ptr[i] : 0);
    return n;
}

/* The first slot of the window that has not begun, clocks' slack allowed for. */
static uint64_t first_future_slot(const struct finder *f)
{
    uint64_t newest = window_slot(f->key->now_us + SLACK_MS * 1000, f->parts.period_s);
    uint64_t first = f->parts.window * WINDOW_SLOTS;
    return newest < first ? 0 : MIN_OF(newest - first + 1, (uint64_t)WINDOW_SLOTS);
}

/* A limit's own counter, or one of a unit of its own, has one column. */
static void look_at_counts(struct finder *f)
{
    uint64_t full = 0, future = 0, stray = 0, first = first_future_slot(f);
    size_t own_slots = f->parts.ending.len ? WINDOW_SLOTS : AUDIT_SLOTS;
    for (size_t slot = 0; slot < AUDIT_SLOTS; slot++) {
        uint64_t n = count_at(f->key->value, slot);
        if (n && slot >= own_slots)
            stray |= UINT64_C(1) << slot;
        else if (n == UINT32_MAX)
            full |= UINT64_C(1) << slot;
        else if (n && slot % WINDOW_SLOTS >= first)
            future |= UINT64_C(1) << slot;
    }
    if (stray)
        find(f, AUDIT_ERROR, AUDIT_CLEAR, "counts in columns that this counter does not have")->slots = stray;
    if (full)
        find(f, AUDIT_ERROR, AUDIT_CLEAR, "a count that has reached the greatest number there is")->slots = full;
    if (future)
        find(f, AUDIT_ERROR, AUDIT_CLEAR, "counts in parts of the window that have not begun: some clock was wrong")
            ->slots = future;
}

/* Behind its slots: the window's length and number. */
static bool is_of_its_window(const struct finder *f)
{
    uint64_t period_s = count_at(f->key->value, AUDIT_SLOTS), window = count_at(f->key->value, AUDIT_SLOTS + 1);
    return (period_s == 0 && window == 0) ||
           (period_s == f->parts.period_s && window == (f->parts.window & UINT32_MAX));
}

static void look_at_counter(struct finder *f)
{
    int64_t period_us = (int64_t)f->parts.period_s * SECOND_US;
    if (f->parts.window > (uint64_t)((f->key->now_us + SLACK_MS * 1000) / period_us))
        find(f, AUDIT_ERROR, AUDIT_DELETE, "the counter of a window that has not begun: some clock was wrong");
    else if (!f->key->is_read || f->key->value.len > AUDIT_COUNTER_BYTES || f->key->value.len % 4)
        find(f, AUDIT_ERROR, AUDIT_DELETE, "a counter of %" PRIu64 " bytes, where %d are the most",
             f->key->is_read ? (uint64_t)f->key->value.len : f->key->bytes, AUDIT_COUNTER_BYTES);
    else if (!is_of_its_window(f))
        find(f, AUDIT_ERROR, AUDIT_DELETE, "a counter that says it is another window's");
    else
        look_at_counts(f);
}

/* ---- the rest ---- */

static bool is_hex(struct str text, size_t digits)
{
    if (text.len != digits)
        return false;
    for (size_t i = 0; i < digits; i++)
        if (!memchr("0123456789abcdef", text.ptr[i], 16))
            return false;
    return true;
}

static bool is_known_text(const struct finder *f)
{
    struct ban_record record;
    struct str value = f->key->value, name = STR("u:x");
    if (f->parts.letter == 'b')
        return ban_text_read(value, name, 0, f->key->now_us, &record);
    if (f->parts.letter == 'k')
        return ban_strikes_read(value, name, 0, f->key->now_us, &record);
    if (f->parts.letter == 'h')
        return str_starts(value, STR("HYLL"));
    return is_hex(value, str_equal(f->parts.kind, STR("secret")) ? 32 : 16);
}

static void look_at_value(struct finder *f)
{
    if (f->parts.letter == 'q')
        look_at_counter(f);
    else if (strcmp(f->form->type, "string") == 0 && (!f->key->is_read || !is_known_text(f)))
        find(f, AUDIT_ERROR, AUDIT_DELETE, "%s that cannot be read", f->form->is_called);
    if (f->key->far_count)
        find(f, AUDIT_ERROR, AUDIT_CUT, "%" PRIu64 " open connections whose leases end in more than %d minutes",
             f->key->far_count, (int)(LEASE_MS / MINUTE_MS))
            ->far_ms = f->key->now_us / 1000 + LEASE_MS;
}

size_t audit_judge(const struct audit_key *key, struct str prefix, enum audit_kind *kind,
                   struct audit_trouble troubles[AUDIT_TROUBLES_MAX])
{
    struct finder f = {.key = key, .troubles = troubles};
    f.form = read_name(key->name, prefix, &f.parts);
    *kind = f.form ? f.form->counts_as : AUDIT_UNKNOWN;
    if (!f.form) {
        struct audit_trouble *t =
            find(&f, AUDIT_NOTE, AUDIT_NOTHING, "no key of mailweir's has this form (" PRI_STR "%s)",
                 STR_ARG(key->type), key->pttl_ms == -1 ? ", without expiry" : "");
        snprintf(t->to_do, sizeof t->to_do, "leave it if it is a table of yours, else delete it");
        return f.count;
    }
    if (!str_equal(key->type, str_of_z(f.form->type))) {
        find(&f, AUDIT_ERROR, AUDIT_DELETE,
             "it should be %s and is of type " PRI_STR ", not %s: nothing can be kept there", f.form->is_called,
             STR_ARG(key->type), f.form->type);
        return f.count;
    }
    look_at_value(&f);
    bool goes = f.count && troubles[0].repair == AUDIT_DELETE;
    if (!goes)
        look_at_expiry(&f);
    return f.count;
}

bool audit_wants_value(struct str name, struct str prefix)
{
    struct redis_key_parts parts;
    const struct form *form = read_name(name, prefix, &parts);
    return form && strcmp(form->type, "string") == 0;
}

int64_t audit_far_ms(struct str name, struct str prefix, int64_t now_us)
{
    struct redis_key_parts parts;
    const struct form *form = read_name(name, prefix, &parts);
    return form && form->letter == 'c' ? now_us / 1000 + LEASE_MS : 0;
}
