/*
 * overrides.c - rates of their own for some: `overrides quotas`, a map from a limit's key to rates or `none`.
 *
 * What an operator allowed for a while goes before (limits/allowance.h).
 *
 * They are read where they stand when they are needed: a table may change while the server runs. What is in a file and
 * wrong is said when it is read (policy_compile); should it become wrong later, the limit's own rates hold.
 */
#include <string.h>

#include "limits/allowance.h"
#include "policy/charges.h"
#include "rules/rate.h"

enum { RATES_MAX = 64 }; /* of one entity */

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

/* ---- those of an entity ---- */

/* An IPv6 client is counted by its /64; in the map its address may stand as well. */
static const struct lookup_values *find_client(const struct policy_limit *l, const struct facts *facts)
{
    char text[IP_TEXT_MAX + 4];
    struct fact x = {.kind = FACT_NONE};
    facts->get(facts, ATTRIBUTE_CLIENT, STR_NONE, &x);
    if (x.kind != FACT_IP)
        return NULL;
    x = (struct fact){.kind = FACT_TEXT, .text = ip_format(&x.ip, text)};
    return lookup_get(l->overrides, &x);
}

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
    const struct lookup_values *values = lookup_get(l->overrides, &x);
    return values || l->keys[0] != KEY_CLIENT ? values : find_client(l, facts);
}

static bool find_in_table(const struct policy_limit *l, const struct facts *facts, enum phase at, struct arena *arena,
                          const struct rate **rates, size_t *count)
{
    const struct lookup_values *values = find(l, facts, at);
    if (!values)
        return true;
    struct rate *list = arena_alloc(arena, RATES_MAX * sizeof *list);
    if (!list)
        return false;
    *rates = list;
    for (struct str text; (text = lookup_values_next(&values)).ptr && *count < RATES_MAX;) {
        struct value v;
        struct err err;
        if (str_equal(text, STR("none")))
            return true;
        if (rate_read(l->unit, text, &v, &err))
            list[(*count)++] = policy_rate_of(l->limit.unit, &v);
    }
    if (*count == 0)
        *rates = NULL; /* what stands there is none: the limit's own */
    return true;
}

/* Rates of open connections have no window, and all others have one. They were given to a limit by its name, which may
 * have been another one then, or be another one on the node that they come from. */
static bool fit(const struct policy_limit *l, const struct rate *rates, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if ((rates[i].period_s == 0) != (l->limit.unit == UNIT_OPEN_CONNECTIONS))
            return false;
    return true;
}

/* False: no memory. */
static bool find_allowed(const struct policy_engine *engine, const struct policy_limit *l, struct str entity,
                         int64_t now_us, struct arena *arena, const struct rate **rates, size_t *count)
{
    struct rate found[ALLOWANCE_RATES_MAX];
    size_t found_count;
    if (!engine->allowances ||
        !allowance_find(engine->allowances, entity, l->limit.name, now_us, found, &found_count) ||
        !fit(l, found, found_count))
        return true;
    *count = found_count;
    struct rate *copy = arena_alloc(arena, sizeof found);
    if (copy)
        memcpy(copy, found, *count * sizeof *found);
    *rates = copy;
    return copy != NULL;
}

bool override_find(const struct policy_engine *engine, const struct policy_limit *l, struct str entity,
                   const struct facts *facts, enum phase at, int64_t now_us, struct arena *arena,
                   const struct rate **rates, size_t *count)
{
    *rates = NULL;
    *count = 0;
    if (!find_allowed(engine, l, entity, now_us, arena, rates, count))
        return false;
    return *rates || !l->overrides || find_in_table(l, facts, at, arena, rates, count);
}
