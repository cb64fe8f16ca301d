/* act.c - the rules of a phase: which hold, and what they then do (actions.c). */
#include "policy/asking.h"

enum { READS_AHEAD = 6 }; /* rules */

/* How it goes on after a rule: with the next one, or not at all; or it waits amid this one. */
enum next { NEXT_RULE, NEXT_STEP, WAITS };

/* From the action on whose turn it is. A limit that it charges may refuse, too. */
static enum next act(struct asking *a, const struct policy_rule *rule)
{
    const struct actor actor = {.by = rule->name, .is_observed = rule->is_observed};
    bool ends = false;
    a->is_acting = true;
    for (; a->next_action < rule->action_count; a->next_action++) {
        enum acted acted = asking_act(a, &actor, &rule->actions[a->next_action]);
        if (acted != ACTED)
            return acted == ACT_WAITS ? WAITS : NEXT_STEP;
    }
    a->is_acting = false;
    a->next_action = 0;
    for (size_t i = 0; i < rule->action_count && !rule->is_observed; i++)
        ends = ends || action_rows[rule->actions[i].kind].ends;
    asking_show_marks(a);
    return ends || a->answer->verdict != POLICY_GO_ON ? NEXT_STEP : NEXT_RULE;
}

/* What its texts show, and what limits need that it charges, is looked up before it acts. */
static bool is_ready_to_act(struct asking *a, const struct policy_rule *rule)
{
    for (size_t i = 0; i < rule->action_count; i++) {
        const struct policy_action *action = &rule->actions[i];
        if ((action->text && text_ask(action->text, &a->context) == EVAL_WAIT) ||
            (action->limit && outside_ask_limit(a, action->limit) == EVAL_WAIT))
            return false;
    }
    return true;
}

/* True: what failed must not be passed over. Of an observed rule it is only said. */
static bool defers(struct asking *a, const struct policy_rule *rule)
{
    if (!a->question->outside.failed_defers)
        return false;
    if (!rule->is_observed) {
        outside_defer(a, rule->name, false);
        return true;
    }
    asking_note(a, &(struct policy_effect){.kind = POLICY_EFFECT_WOULD,
                                           .by = rule->name,
                                           .action = STR("defer"),
                                           .text = STR("A lookup failed"),
                                           .verdict = POLICY_DEFER,
                                           .phase = a->phase});
    return false;
}

static enum next take_rule(struct asking *a, const struct policy_rule *rule)
{
    const struct policy_trace *trace = a->engine->trace;
    if (a->is_acting)
        return act(a, rule);
    enum eval_result result = eval_ask(rule->condition, &a->context);
    if (result == EVAL_WAIT || (result == EVAL_TRUE && !is_ready_to_act(a, rule)))
        return WAITS;
    if (trace)
        trace->on_rule(trace->arg, a->phase, rule, result, &a->context);
    if (result == EVAL_TRUE)
        return act(a, rule);
    return result == EVAL_FAILED && defers(a, rule) ? NEXT_STEP : NEXT_RULE;
}

bool asking_rules(struct asking *a)
{
    const struct policy *policy = a->engine->policy;
    struct eval_memory memory;
    enum next next = NEXT_RULE;
    if (a->next_rule == policy->rule_counts[a->phase])
        return true;
    eval_memory_clear(&memory);
    a->context.memory = &memory;
    for (; a->next_rule < policy->rule_counts[a->phase]; a->next_rule++) {
        const struct policy_rule *rule = &policy->rules[a->phase][a->next_rule];
        /* rules lie one behind the other, their conditions anywhere: the memory is asked for before it is needed */
        if (a->next_rule + READS_AHEAD < policy->rule_counts[a->phase])
            eval_prefetch(rule[READS_AHEAD].condition);
        next = take_rule(a, rule);
        if (next != NEXT_RULE)
            break;
    }
    a->context.memory = NULL;
    return next != WAITS;
}
