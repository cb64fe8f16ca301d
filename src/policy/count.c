/* count.c - how full a limit is for the case at hand. */
#include "policy/charges.h"

/* The counts of the limit's windows, looked at and not changed; the reservation lies in the arena. False: no memory.
 * No reading: it does not apply. */
static bool look(struct policy_engine *engine, const struct policy_limit *l, const struct facts *facts, int64_t now_us,
                 struct arena *arena, struct reservation *r)
{
    struct limit looked_at = l->limit;
    looked_at.observed = true; /* whatever it allows */
    struct charge charge = {.limit = &looked_at,
                            .entity = policy_entity(l->keys, l->key_count, facts, PHASE_DATA, arena)};
    *r = (struct reservation){0};
    if (!charge.entity.ptr)
        return false;
    if (charge.entity.len == 0)
        return true;
    if (l->overrides && !override_find(l, facts, PHASE_DATA, arena, &charge.rates, &charge.rate_count))
        return false;
    if (!reservation_init(r, arena, &charge, 1))
        return false;
    limiter_peek(engine->limiter, r, &charge, 1, now_us);
    return true;
}

static uint64_t scale_of(enum limit_unit unit)
{
    return unit == UNIT_BYTES ? 1024 : 1; /* the limiter counts KiB */
}

bool policy_count_get(struct policy_engine *engine, struct str name, const struct facts *facts, int64_t now_us,
                      struct arena *arena, uint64_t *count)
{
    const struct policy_limit *l = policy_find_limit(engine->policy, name);
    struct reservation r;
    *count = 0;
    if (!l)
        return true; /* disabled: it counts nothing */
    if (!look(engine, l, facts, now_us, arena, &r))
        return false;
    if (r.reading_count)
        *count = r.readings[0].used * scale_of(l->limit.unit);
    return true;
}
