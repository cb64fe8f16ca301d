/* compile_limit.c - limits in the limiter's form: rates, thresholds with what they do, overrides. */
#include "policy/compiling.h"

#include <stdlib.h>

#include "policy/charges.h"

static const enum limit_unit UNITS[RULE_UNIT_COUNT] = {
    [RULE_UNIT_CONNECTIONS] = UNIT_CONNECTIONS,
    [RULE_UNIT_OPEN_CONNECTIONS] = UNIT_OPEN_CONNECTIONS,
    [RULE_UNIT_MESSAGES] = UNIT_MESSAGES,
    [RULE_UNIT_RECIPIENTS] = UNIT_RECIPIENTS,
    [RULE_UNIT_BYTES] = UNIT_BYTES,
    [RULE_UNIT_DISTINCT_RECIPIENTS] = UNIT_DISTINCT_RECIPIENTS,
    [RULE_UNIT_DISTINCT_NETWORKS] = UNIT_DISTINCT_NETWORKS,
    [RULE_UNIT_DISTINCT_COUNTRIES] = UNIT_DISTINCT_COUNTRIES,
    [RULE_UNIT_AUTH_FAILURES] = UNIT_AUTH_FAILURES,
    [RULE_UNIT_GUESSES] = UNIT_GUESSES,
    [RULE_UNIT_FAILED_USERS] = UNIT_FAILED_USERS,
    [RULE_UNIT_ERRORS] = UNIT_ERRORS,
    [RULE_UNIT_REFUSALS] = UNIT_REFUSALS,
    [RULE_UNIT_UNKNOWN_RECIPIENTS] = UNIT_UNKNOWN_RECIPIENTS,
    [RULE_UNIT_CHARGES] = UNIT_CHARGES,
};

/* ---- thresholds ---- */

/* `at 100% defer`, where nothing else is said. */
static const struct policy_action DEFER = {.kind = ACTION_DEFER};
static const struct policy_actions DEFER_ALONE = {.items = &DEFER, .count = 1};
static const struct threshold BY_DEFAULT = {.percent = 100, .refusal = REFUSAL_DEFER, .actions = &DEFER_ALONE};

static enum refusal refusal_of(enum action_kind kind)
{
    switch (kind) {
    case ACTION_REJECT:
        return REFUSAL_REJECT;
    case ACTION_DEFER:
        return REFUSAL_DEFER;
    case ACTION_DISCONNECT:
        return REFUSAL_DISCONNECT;
    case ACTION_DROP:
        return REFUSAL_DROP;
    case ACTION_BAN:
        return REFUSAL_BAN;
    default:
        return REFUSAL_NONE;
    }
}

/* What the count depends on; all else stands in its actions. */
static void summarize(struct threshold *t, const struct policy_actions *actions)
{
    for (size_t i = 0; i < actions->count; i++) {
        const struct policy_action *action = &actions->items[i];
        if (t->refusal == REFUSAL_NONE)
            t->refusal = refusal_of(action->kind);
        t->logs |= action->kind == ACTION_LOG;
        t->alerts |= action->kind == ACTION_ALERT;
        t->tarpit_ms += action->tarpit_ms;
    }
}

/* False: no memory. */
static bool compile_threshold(struct policy *policy, struct threshold *to, const struct threshold_clause *from,
                              struct str limit)
{
    struct policy_actions *actions = arena_alloc(&policy->program.arena, sizeof *actions);
    *to = (struct threshold){.percent = (uint32_t)from->percent.percent, .actions = actions};
    if (!actions || !compile_actions(policy, &from->actions, limit, NULL, &actions->items))
        return false;
    actions->count = from->actions.count;
    summarize(to, actions);
    return true;
}

static int compare_percent(const void *a, const void *b)
{
    const struct threshold *x = a, *y = b;
    return x->percent < y->percent ? -1 : x->percent > y->percent;
}

static bool compile_thresholds(struct policy *policy, struct limit *to, const struct limit_clause *from)
{
    struct threshold *list = arena_alloc(&policy->program.arena, (from->threshold_count + 1) * sizeof *list);
    bool has_default = true;
    size_t count = from->threshold_count;
    if (!list)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!compile_threshold(policy, &list[i], &from->thresholds[i], to->name))
            return false;
        if (list[i].percent == 100 || list[i].refusal != REFUSAL_NONE)
            has_default = false;
    }
    if (has_default)
        list[count++] = BY_DEFAULT;
    qsort(list, count, sizeof *list, compare_percent);
    to->thresholds = list;
    to->threshold_count = count;
    return true;
}

/* ---- limits ---- */

static bool compile_rates(struct policy *policy, struct limit *to, const struct limit_clause *from)
{
    struct rate *rates = arena_alloc(&policy->program.arena, from->rate_count * sizeof *rates);
    for (size_t i = 0; rates && i < from->rate_count; i++)
        rates[i] = policy_rate_of(to->unit, &from->rates[i]);
    to->rates = rates;
    to->rate_count = from->rate_count;
    return rates != NULL;
}

static bool compile_condition(struct policy *policy, struct policy_limit *to, const struct limit_clause *from,
                              struct diagnostics *d)
{
    bool ok;
    to->condition = eval_compile(&policy->program, from->if_cond, from->unless_cond, d, &ok);
    to->asks_rcpt = eval_asks_rcpt(to->condition);
    return ok;
}

static bool has_key(const struct policy_limit *l, enum key key)
{
    for (size_t i = 0; i < l->key_count; i++)
        if (l->keys[i] == key)
            return true;
    return false;
}

bool compile_limit(struct policy *policy, struct policy_limit *to, const struct limit_clause *from,
                   struct diagnostics *d)
{
    bool is_event = unit_rows[from->unit].kind == UNIT_KIND_EVENT;
    to->limit = (struct limit){
        .name = arena_copy(&policy->program.arena, from->name.text),
        .unit = UNITS[from->unit],
        .counts_for_itself = from->if_cond || from->unless_cond || from->unit == RULE_UNIT_CHARGES,
        .observed = from->is_observed,
        .definition = to,
    };
    to->unit = from->unit;
    to->phase = is_event ? PHASE_COUNT : unit_rows[from->unit].phase;
    to->key_count = from->key_count;
    for (size_t i = 0; i < from->key_count; i++)
        to->keys[i] = from->keys[i].key;
    to->is_each_rcpt = has_key(to, KEY_RCPT) || has_key(to, KEY_RCPT_DOMAIN);
    if (from->overrides_table)
        to->overrides = map_get(&policy->program.tables, from->overrides_table->name.text);
    policy->units |= 1u << to->limit.unit;
    if (to->limit.unit == UNIT_DISTINCT_COUNTRIES)
        eval_use(&policy->program, ATTRIBUTE_CLIENT_COUNTRY);
    if (!compile_condition(policy, to, from, d))
        return false;
    if (!to->limit.name.ptr || !compile_rates(policy, &to->limit, from) ||
        !compile_thresholds(policy, &to->limit, from))
        return diag_error(d, PLACE_NONE, "out of memory");
    return true;
}

bool limit_is_settled_at_mail(const struct policy_limit *l)
{
    return !l->condition && !l->is_each_rcpt && l->limit.unit != UNIT_DISTINCT_RECIPIENTS;
}
