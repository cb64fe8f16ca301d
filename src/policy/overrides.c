/*
 * overrides.c - rates of their own for some: `overrides quotas`, a map from a limit's key to rates or `none`.
 *
 * They are read where they stand when they are needed: a table may change while the server runs. What is in a file and
 * wrong is said when it is read (policy_compile); should it become wrong later, the limit's own rates hold.
 */
#include "policy/charges.h"
#include "rules/shape.h"

enum { RATES_MAX = 64 }; /* of one entity */

enum { COUNT_MAX = 2147483647, PERIOD_MIN_MS = 1000 };
#define PERIOD_MAX_MS (INT64_C(366) * 86400000)
#define BYTES_MIN     INT64_C(1024)
#define BYTES_MAX     (INT64_C(1024) << 30)

/* ---- one rate ---- */

/* The limiter counts KiB begun: a limit that is no whole number of them is rounded down. */
struct rate policy_rate_of(enum limit_unit unit, const struct value *v)
{
    if (unit == UNIT_OPEN_CONNECTIONS)
        return (struct rate){.count = (uint32_t)(v->number / NUMBER_ONE)};
    int64_t count = v->rate.count.number;
    if (unit == UNIT_BYTES)
        count = MAX_OF(count / 1024, (int64_t)1);
    return (struct rate){.count = (uint32_t)count, .period_s = (uint32_t)(v->rate.period.number / 1000)};
}

/* GRAMMAR.md 6. */
static bool is_possible(enum limit_unit unit, const struct value *v)
{
    const struct rate_part *count = &v->rate.count, *period = &v->rate.period;
    if (unit == UNIT_OPEN_CONNECTIONS)
        return v->number % NUMBER_ONE == 0 && v->number >= NUMBER_ONE && v->number / NUMBER_ONE <= COUNT_MAX;
    if (count->param.len || period->param.len || period->number < PERIOD_MIN_MS || period->number > PERIOD_MAX_MS)
        return false;
    if (unit == UNIT_BYTES)
        return count->number >= BYTES_MIN && count->number <= BYTES_MAX;
    return count->shape == SHAPE_NUMBER && count->number >= 1 && count->number <= COUNT_MAX;
}

bool override_read_rate(enum limit_unit unit, struct str text, struct rate *rate)
{
    struct value v = {.shape = SHAPE_NONE};
    struct err err;
    enum shape shape = unit == UNIT_OPEN_CONNECTIONS ? SHAPE_NUMBER : SHAPE_RATE;
    if (shape_read(shape, text, NULL, &v, &err) != SHAPE_FITS || !is_possible(unit, &v))
        return false;
    *rate = policy_rate_of(unit, &v);
    return true;
}

/* ---- those of an entity ---- */

/* The map's key is the limit's, as one would write it: an address of mail, a domain, 192.0.2.7, 2001:db8::/64. */
static const struct lookup_values *find(const struct policy_limit *l, const struct facts *facts, enum phase at)
{
    char text[IP_TEXT_MAX + 4];
    struct fact x;
    if (!policy_key_fact(l->keys[0], facts, at, &x))
        return NULL;
    if (x.kind == FACT_IP)
        x = (struct fact){.kind = FACT_TEXT, .text = ip_format(&x.ip, text)};
    else if (x.kind == FACT_NETWORK)
        x = (struct fact){.kind = FACT_TEXT, .text = ip_net_format(&x.network, text)};
    else if (x.kind == FACT_NONE)
        x = (struct fact){.kind = FACT_TEXT, .text = str_of_z(key_rows[l->keys[0]].word)}; /* global */
    return lookup_get(l->overrides, &x);
}

bool override_find(const struct policy_limit *l, const struct facts *facts, enum phase at, struct arena *arena,
                   const struct rate **rates, size_t *count)
{
    const struct lookup_values *values = find(l, facts, at);
    *rates = NULL;
    *count = 0;
    if (!values)
        return true;
    struct rate *list = arena_alloc(arena, RATES_MAX * sizeof *list);
    if (!list)
        return false;
    *rates = list;
    for (struct str v = lookup_values_next(&values); v.ptr && *count < RATES_MAX; v = lookup_values_next(&values)) {
        if (str_equal(v, STR("none")))
            return true;
        *count += override_read_rate(l->limit.unit, v, &list[*count]);
    }
    if (*count == 0)
        *rates = NULL; /* what stands there is none: the limit's own */
    return true;
}
