/* act.c - the rules of a phase: which hold, and what they then do (actions.c). */
#include "policy/asking.h"

/* True: the rule ended the phase, or there is trouble. */
static bool act(struct asking *a, const struct policy_rule *rule)
{
    const struct actor actor = {.by = rule->name, .is_observed = rule->is_observed};
    bool ends = false;
    for (size_t i = 0; i < rule->action_count; i++) {
        if (!asking_act(a, &actor, &rule->actions[i]))
            return true;
        ends = ends || (action_rows[rule->actions[i].kind].ends && !rule->is_observed);
    }
    return ends;
}

void asking_rules(struct asking *a)
{
    const struct policy *policy = a->engine->policy;
    const struct policy_trace *trace = a->engine->trace;
    for (size_t i = 0; i < policy->rule_counts[a->phase]; i++) {
        const struct policy_rule *rule = &policy->rules[a->phase][i];
        bool holds = eval_is_true(rule->condition, &a->context);
        if (trace)
            trace->on_rule(trace->arg, a->phase, rule, holds, &a->context);
        if (holds && act(a, rule))
            return;
    }
}
