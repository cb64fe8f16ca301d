/* compile_limit.c - limits in the limiter's form. */
#include "policy/compiling.h"

static const enum limit_unit UNITS[RULE_UNIT_COUNT] = {
    [RULE_UNIT_CONNECTIONS] = UNIT_CONNECTIONS,
    [RULE_UNIT_OPEN_CONNECTIONS] = UNIT_OPEN_CONNECTIONS,
    [RULE_UNIT_MESSAGES] = UNIT_MESSAGES,
    [RULE_UNIT_RECIPIENTS] = UNIT_RECIPIENTS,
    [RULE_UNIT_BYTES] = UNIT_BYTES,
};

static struct rate compile_rate(const struct limit_clause *from, const struct value *v)
{
    if (from->unit == RULE_UNIT_OPEN_CONNECTIONS)
        return (struct rate){.count = (uint32_t)(v->number / NUMBER_ONE)};
    int64_t count = v->rate.count.number;
    if (from->unit ==
        RULE_UNIT_BYTES) /* the limiter counts KiB begun: a limit that is no whole number of them is rounded down */
        count = MAX_OF(count / 1024, (int64_t)1);
    return (struct rate){.count = (uint32_t)count, .period_s = (uint32_t)(v->rate.period.number / 1000)};
}

bool compile_limit(struct policy *policy, struct policy_limit *to, const struct limit_clause *from,
                   struct diagnostics *d)
{
    bool ok;
    struct rate *rates = arena_alloc(&policy->program.arena, from->rate_count * sizeof *rates);
    to->limit = (struct limit){.name = arena_copy(&policy->program.arena, from->name.text),
                               .unit = UNITS[from->unit],
                               .counts_for_itself = from->if_cond || from->unless_cond,
                               .observed = from->is_observed,
                               .rates = rates,
                               .rate_count = from->rate_count,
                               .thresholds = &limit_default_threshold,
                               .threshold_count = 1,
                               .definition = to};
    to->phase = unit_rows[from->unit].phase;
    to->key_count = from->key_count;
    to->condition = eval_compile(&policy->program, from->if_cond, from->unless_cond, d, &ok);
    to->asks_rcpt = eval_asks_rcpt(to->condition);
    if (!ok)
        return false;
    if (!rates || !to->limit.name.ptr)
        return diag_error(d, PLACE_NONE, "out of memory");
    for (size_t i = 0; i < from->key_count; i++)
        to->keys[i] = from->keys[i].key;
    for (size_t i = 0; i < from->rate_count; i++)
        rates[i] = compile_rate(from, &from->rates[i]);
    return true;
}

bool limit_is_settled_at_mail(const struct policy_limit *l)
{
    if (l->condition)
        return false;
    for (size_t i = 0; i < l->key_count; i++)
        if (l->keys[i] == KEY_RCPT || l->keys[i] == KEY_RCPT_DOMAIN)
            return false;
    return true;
}
