/* redis_alone.c - values and leases without Redis. See redis_alone.h. */
#include "limits/redis_alone.h"

#include <string.h>

#include "limits/values_seen.h"

uint64_t alone_allowed(uint64_t allowed, const struct mirror_terms *terms)
{
    if (terms->is_open)
        return ALLOWED_ANY;
    if (allowed == ALLOWED_ANY || allowed == 0)
        return allowed;
    return MAX_OF(allowed / MAX_OF(terms->nodes, 1U), 1U);
}

uint64_t together_allowed(const struct part *p)
{
    return outage_allowed(p->store->options.outage, p->domain, p->take->allowed[COLUMN_ONE]);
}

/* What is held in Redis and still counts is an exchange that succeeds, whatever is counted here. */
static bool is_sure(const struct take *take, int64_t now_us)
{
    const struct take_held *held = &take->held;
    return held->is_held && !held->is_local && (int64_t)held->slot >= seen_held_from_us(take->counter.period_s, now_us);
}

bool alone_take(struct part *p, const struct mirror_terms *terms, uint64_t token, struct take_held *before)
{
    struct take *take = p->take;
    struct store *alone = &p->store->alone;
    struct store_op op = {.takes = &take, .count = 1, .now_us = p->now_us, .deadline_ms = 2};
    enum take_mode mode = take->mode;
    uint64_t allowed = take->allowed[COLUMN_ONE];
    bool sure = is_sure(take, p->now_us);
    *before = take->held;
    take->allowed[COLUMN_ONE] = alone_allowed(allowed, terms);
    if (!take->held.is_local)
        memset(&take->held, 0, sizeof take->held);
    if (sure && mode == TAKE_IF_FITS)
        take->mode = TAKE_ALWAYS;
    (void)alone->ops->take_start(alone, &op);
    take->mode = mode;
    take->allowed[COLUMN_ONE] = allowed;
    if (op.result == STORE_FAILED) /* a lock was not had: as if nothing were known here */
        take_answer_unknown(take);
    bool fits = op.result == STORE_TAKEN || (op.result == STORE_FAILED && take->wait_us == 0);
    if (sure && mode == TAKE_IF_FITS)
        take->is_over[COLUMN_ONE] = false, take->wait_us = 0;
    if (!fits) {
        take->held = *before;
        return false;
    }
    if (mode != TAKE_NOTHING && take->counter.kind != COUNTER_KNOWN) {
        take->held.is_held = take->held.is_local = true;
        take->held.token = token ? token : before->token;
    }
    return true;
}

void alone_undo(struct part *p, const struct take_held *before)
{
    alone_give_back(p->store, p->take);
    p->take->held = *before;
}

void alone_give_back(struct store_redis *s, struct take *take)
{
    s->alone.ops->give_back(&s->alone, &take, 1);
}

void alone_keep(struct store_redis *s, struct take *take, int64_t at_us)
{
    if (!take->held.is_local)
        memset(&take->held, 0, sizeof take->held);
    take->held.is_held = true;
    s->alone.ops->keep(&s->alone, &take, 1, at_us);
}

bool alone_peek(struct store_redis *s, struct take *take, int64_t now_us)
{
    struct take look = *take;
    struct take_held none = {.is_held = false};
    if (!look.held.is_local)
        look.held = none;
    bool is_known = s->alone.ops->peek(&s->alone, &look, now_us);
    memcpy(take->used, look.used, sizeof look.used);
    memcpy(take->growth, look.growth, sizeof look.growth);
    memcpy(take->is_over, look.is_over, sizeof look.is_over);
    take->wait_us = look.wait_us;
    return is_known;
}

uint32_t alone_fresh(struct store_redis *s, const struct take *take, int64_t now_us)
{
    struct take look = *take;
    look.mode = TAKE_IF_FITS;
    return alone_peek(s, &look, now_us) ? look.growth[COLUMN_ONE] : take->cost[COLUMN_ONE];
}
