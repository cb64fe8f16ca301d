/* limit.c - units and the words for counts and times. See limit.h. */
#include "limits/limit.h"

#include <inttypes.h>
#include <stdio.h>

struct unit_row {
    struct str name;
    enum limit_kind kind;
    enum limit_shape shape;
    enum column column;
    bool is_of_mail;
    const char *noun;
};

static const struct unit_row UNITS[LIMIT_UNITS] = {
    [UNIT_CONNECTIONS] = {STR("connections"), LIMIT_ADMISSION, SHAPE_SLOTS, COLUMN_ONE, false, "connection"},
    [UNIT_OPEN_CONNECTIONS] = {STR("open-connections"), LIMIT_ADMISSION, SHAPE_LEASES, COLUMN_ONE, false, "connection"},
    [UNIT_MESSAGES] = {STR("messages"), LIMIT_ADMISSION, SHAPE_MAIL, COLUMN_MESSAGES, true, "mail"},
    [UNIT_RECIPIENTS] = {STR("recipients"), LIMIT_ADMISSION, SHAPE_MAIL, COLUMN_RECIPIENTS, true, "mail"},
    [UNIT_BYTES] = {STR("bytes"), LIMIT_ADMISSION, SHAPE_MAIL, COLUMN_KIB, true, "mail"},
    [UNIT_DISTINCT_RECIPIENTS] = {STR("distinct-recipients"), LIMIT_ADMISSION, SHAPE_DISTINCT, COLUMN_ONE, true,
                                  "mail"},
    [UNIT_DISTINCT_NETWORKS] = {STR("distinct-networks"), LIMIT_ADMISSION, SHAPE_DISTINCT, COLUMN_ONE, false, "login"},
    [UNIT_DISTINCT_COUNTRIES] = {STR("distinct-countries"), LIMIT_ADMISSION, SHAPE_DISTINCT, COLUMN_ONE, false,
                                 "login"},
    [UNIT_AUTH_FAILURES] = {STR("auth-failures"), LIMIT_AUTH, SHAPE_SLOTS, COLUMN_ONE, false, "attempt"},
    [UNIT_GUESSES] = {STR("guesses"), LIMIT_AUTH, SHAPE_SLOTS, COLUMN_ONE, false, "attempt"},
    [UNIT_FAILED_USERS] = {STR("failed-users"), LIMIT_AUTH, SHAPE_DISTINCT, COLUMN_ONE, false, "attempt"},
    [UNIT_ERRORS] = {STR("errors"), LIMIT_EVENT, SHAPE_SLOTS, COLUMN_ONE, false, "error"},
    [UNIT_REFUSALS] = {STR("refusals"), LIMIT_EVENT, SHAPE_SLOTS, COLUMN_ONE, false, "refusal"},
    [UNIT_UNKNOWN_RECIPIENTS] = {STR("unknown-recipients"), LIMIT_EVENT, SHAPE_SLOTS, COLUMN_ONE, false, "recipient"},
    [UNIT_CHARGES] = {STR("charges"), LIMIT_EVENT, SHAPE_SLOTS, COLUMN_ONE, false, "charge"},
};

const struct threshold limit_default_threshold = {.percent = 100, .refusal = REFUSAL_DEFER};

struct str limit_unit_name(enum limit_unit unit)
{
    return UNITS[unit].name;
}

enum limit_kind limit_unit_kind(enum limit_unit unit)
{
    return UNITS[unit].kind;
}

enum limit_shape limit_unit_shape(enum limit_unit unit)
{
    return UNITS[unit].shape;
}

enum column limit_unit_column(enum limit_unit unit)
{
    return UNITS[unit].column;
}

bool limit_unit_is_of_mail(enum limit_unit unit)
{
    return UNITS[unit].is_of_mail;
}

const char *limit_unit_noun(enum limit_unit unit)
{
    return UNITS[unit].noun;
}

const struct threshold *limit_refusing_threshold(const struct limit *limit)
{
    bool bans_refuse = limit_unit_kind(limit->unit) != LIMIT_EVENT;
    for (size_t i = 0; i < limit->threshold_count; i++) {
        enum refusal refusal = limit->thresholds[i].refusal;
        if (refusal != REFUSAL_NONE && (refusal != REFUSAL_BAN || bans_refuse))
            return &limit->thresholds[i];
    }
    return NULL;
}

uint64_t limit_threshold_count(const struct threshold *t, const struct rate *rate)
{
    return (uint64_t)rate->count * t->percent / 100;
}

uint32_t limit_kib(uint64_t bytes)
{
    uint64_t kib = bytes ? (bytes - 1) / 1024 + 1 : 1;
    return (uint32_t)MIN_OF(kib, UINT32_MAX);
}

/* printf into to[at..size), as far as it goes; returns where it ends. */
static size_t add(char *to, size_t size, size_t at, uint64_t n, const char *unit)
{
    int written = snprintf(to + at, size - at, "%" PRIu64 "%s", n, unit);
    return written < 0 ? at : MIN_OF(at + (size_t)written, size - 1);
}

static const struct {
    uint64_t seconds;
    const char *unit;
} PARTS[] = {{86400, "d"}, {3600, "h"}, {60, "m"}, {1, "s"}};

struct str limit_duration_text(char *to, size_t size, uint64_t seconds)
{
    if (seconds == 0)
        return str_of(to, add(to, size, 0, 0, "s"));
    size_t at = 0;
    for (size_t i = 0; i < COUNT_OF(PARTS); i++) {
        if (seconds >= PARTS[i].seconds)
            at = add(to, size, at, seconds / PARTS[i].seconds, PARTS[i].unit);
        seconds %= PARTS[i].seconds;
    }
    return str_of(to, at);
}

struct str limit_wait_text(char *to, size_t size, uint64_t seconds)
{
    for (size_t i = 0; i + 1 < COUNT_OF(PARTS); i++)
        if (seconds >= PARTS[i].seconds) {
            uint64_t grain = PARTS[i + 1].seconds;
            seconds = (seconds + grain - 1) / grain * grain;
            break;
        }
    return limit_duration_text(to, size, seconds);
}

struct str limit_count_text(char *to, size_t size, enum limit_unit unit, uint64_t count)
{
    if (unit != UNIT_BYTES)
        return str_of(to, add(to, size, 0, count, ""));
    const uint64_t kib_per_gib = 1 << 20;
    if (count && count % kib_per_gib == 0)
        return str_of(to, add(to, size, 0, count / kib_per_gib, "G"));
    if (count && count % 1024 == 0)
        return str_of(to, add(to, size, 0, count / 1024, "M"));
    return str_of(to, add(to, size, 0, count, "K"));
}
