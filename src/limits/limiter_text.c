/* limiter_text.c - what a client, `explain` and events read about a limit. See limiter.h, RULES.md "Limits". */
#include <stdio.h>

#include "limits/limiter.h"

/* "200 per 1h", "20 at once": what the refusing threshold lets pass, or else the rate. */
static struct str amount_text(const struct reading *reading, char *to, size_t size)
{
    char count[32], period[48];
    uint64_t n = reading->allowed == ALLOWED_ANY ? reading->rate.count : reading->allowed;
    limit_count_text(count, sizeof count, reading->limit->unit, n);
    limit_duration_text(period, sizeof period, reading->rate.period_s);
    bool at_once = reading->limit->unit == UNIT_OPEN_CONNECTIONS;
    int len = at_once ? snprintf(to, size, "%s at once", count) : snprintf(to, size, "%s per %s", count, period);
    return str_of(to, MIN_OF((size_t)MAX_OF(len, 0), size - 1));
}

/* What refuses with room left in the limit: the rest of it is for nodes whose counts are not known now. */
static bool leaves_shares(const struct reading *reading)
{
    return reading->refuses && reading->used <= reading->allowed;
}

static struct str reading_text(const struct reading *reading, bool names_shares, char *to, size_t size)
{
    char amount[96], used[32];
    const char *but = names_shares && leaves_shares(reading) ? " but for the shares of other nodes" : "";
    amount_text(reading, amount, sizeof amount);
    limit_count_text(used, sizeof used, reading->limit->unit, reading->used);
    int len;
    if (!reading->refuses)
        len = snprintf(to, size, "%s of %s", used, amount);
    else if (reading->take->mode == TAKE_NOTHING)
        len = snprintf(to, size, "%s used up%s, %s by now", amount, but, used);
    else
        len = snprintf(to, size, "%s used up%s, %s with this %s", amount, but, used,
                       limit_unit_noun(reading->limit->unit));
    return str_of(to, MIN_OF((size_t)MAX_OF(len, 0), size - 1));
}

struct str limiter_reading_text(const struct reading *reading, char *to, size_t size)
{
    return reading_text(reading, true, to, size);
}

uint64_t limiter_tarpit_ms(const struct reservation *r)
{
    uint64_t sum_ms = 0;
    for (size_t i = 0; i < r->passed_count; i++)
        if (!r->passed[i].observed)
            sum_ms += r->passed[i].threshold->tarpit_ms;
    return sum_ms;
}

static struct str refusal_text(const struct reservation *r, bool names_shares, char *to, size_t size)
{
    const struct reading *by = r->refused_by;
    char what[192], extra[64];
    int len;
    if (!by) {
        len = snprintf(to, size, "limits cannot be checked now; try again later");
    } else if (r->permanent) {
        char cost[32];
        amount_text(by, what, sizeof what);
        limit_count_text(cost, sizeof cost, by->limit->unit, by->cost);
        limit_count_text(extra, sizeof extra, by->limit->unit, by->allowed);
        len = snprintf(to, size, PRI_STR ": %s allowed, %s in this mail; send it in parts of at most %s",
                       STR_ARG(by->limit->name), what, cost, extra);
    } else {
        reading_text(by, names_shares, what, sizeof what);
        if (r->retry_after_ms)
            limit_wait_text(extra, sizeof extra, (uint64_t)(r->retry_after_ms + 999) / 1000);
        len = snprintf(to, size, PRI_STR ": %s; try again %s%s", STR_ARG(by->limit->name), what,
                       r->retry_after_ms ? "in " : "later", r->retry_after_ms ? extra : "");
    }
    return str_of(to, MIN_OF((size_t)MAX_OF(len, 0), size - 1));
}

struct str limiter_refusal_text(const struct reservation *r, char *to, size_t size)
{
    return refusal_text(r, false, to, size);
}

struct str limiter_refusal_logged(const struct reservation *r, char *to, size_t size)
{
    return refusal_text(r, true, to, size);
}
