/* limit.c - units and the words for counts and times. See limit.h. */
#include "limits/limit.h"

#include <inttypes.h>
#include <stdio.h>

struct unit_row {
    struct str name;
    enum column column;
    bool is_of_mail;
};

static const struct unit_row UNITS[LIMIT_UNITS] = {
    [UNIT_CONNECTIONS] = {STR("connections"), COLUMN_ONE, false},
    [UNIT_OPEN_CONNECTIONS] = {STR("open-connections"), COLUMN_ONE, false},
    [UNIT_MESSAGES] = {STR("messages"), COLUMN_MESSAGES, true},
    [UNIT_RECIPIENTS] = {STR("recipients"), COLUMN_RECIPIENTS, true},
    [UNIT_BYTES] = {STR("bytes"), COLUMN_KIB, true},
};

const struct threshold limit_default_threshold = {.percent = 100, .refusal = REFUSAL_DEFER};

struct str limit_unit_name(enum limit_unit unit)
{
    return UNITS[unit].name;
}

enum column limit_unit_column(enum limit_unit unit)
{
    return UNITS[unit].column;
}

bool limit_unit_is_of_mail(enum limit_unit unit)
{
    return UNITS[unit].is_of_mail;
}

const struct threshold *limit_refusing_threshold(const struct limit *limit)
{
    for (size_t i = 0; i < limit->threshold_count; i++)
        if (limit->thresholds[i].refusal != REFUSAL_NONE)
            return &limit->thresholds[i];
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
    if (count && count % (1024 * 1024) == 0)
        return str_of(to, add(to, size, 0, count / (1024 * 1024), "G"));
    if (count && count % 1024 == 0)
        return str_of(to, add(to, size, 0, count / 1024, "M"));
    return str_of(to, add(to, size, 0, count, "K"));
}
