/*
 * compile.c - a checked tree becomes a policy: conditions compiled, codes and texts completed, limits in the limiter's
 * form. Actions are compile_action.c's, limits compile_limit.c's.
 */
#include <stdlib.h>

#include "policy/compiling.h"

/* ---- rules ---- */

static bool compile_rule(struct policy *policy, struct policy_rule *to, const struct rule *from, struct diagnostics *d)
{
    bool ok;
    to->name = arena_copy(&policy->program.arena, from->name.text);
    to->is_observed = from->is_observed;
    to->action_count = from->actions.count;
    to->condition = eval_compile(&policy->program, from->if_cond, from->unless_cond, d, &ok);
    if (!ok)
        return false;
    if (!to->name.ptr || !compile_actions(policy, &from->actions, to->name, &from->phase, &to->actions))
        return diag_error(d, PLACE_NONE, "out of memory");
    return true;
}

/* Room for all rules of each phase, so that they lie one behind the other. */
static bool make_room(struct policy *policy, const struct tree *tree)
{
    size_t counts[PHASE_COUNT] = {0}, limits = 0;
    for (size_t i = 0; i < tree->count; i++) {
        if (tree->statements[i]->kind == STATEMENT_ON)
            counts[tree->statements[i]->on.phase] += tree->statements[i]->on.count;
        limits += tree->statements[i]->kind == STATEMENT_LIMIT;
    }
    policy->limits = arena_alloc(&policy->program.arena, (limits + 1) * sizeof *policy->limits);
    bool ok = policy->limits != NULL;
    for (int phase = 0; phase < PHASE_COUNT; phase++) {
        policy->rules[phase] = arena_alloc(&policy->program.arena, (counts[phase] + 1) * sizeof *policy->rules[phase]);
        ok = ok && policy->rules[phase];
    }
    return ok;
}

static bool compile_rules(struct policy *policy, const struct statement *on, struct diagnostics *d)
{
    bool ok = true;
    for (size_t i = 0; i < on->on.count; i++) {
        const struct rule *rule = on->on.rules[i];
        if (rule->is_disabled)
            continue;
        struct policy_rule *to = &policy->rules[rule->phase][policy->rule_counts[rule->phase]++];
        ok = compile_rule(policy, to, rule, d) && ok;
    }
    return ok;
}

/* What used(L) and left(L) mean: known before the first condition is compiled. */
static bool name_limits(struct policy *policy, const struct tree *tree, struct diagnostics *d)
{
    unsigned number = 0;
    for (size_t i = 0; i < tree->count; i++) {
        const struct statement *st = tree->statements[i];
        if (st->kind != STATEMENT_LIMIT || st->limit.is_disabled)
            continue;
        struct str name = arena_copy(&policy->program.arena, st->limit.name.text);
        if (!name.ptr || !eval_add_limit(&policy->program, name, number++))
            return diag_error(d, PLACE_NONE, "out of memory");
    }
    return true;
}

/* ---- all ---- */

struct policy *policy_compile(const struct tree *tree, struct diagnostics *d)
{
    struct policy *policy = calloc(1, sizeof *policy);
    if (!policy) {
        diag_error(d, PLACE_NONE, "out of memory");
        return NULL;
    }
    eval_program_init(&policy->program);
    bool ok = eval_add_tables(&policy->program, tree, d);
    if (!make_room(policy, tree))
        ok = diag_error(d, PLACE_NONE, "out of memory");
    ok = name_limits(policy, tree, d) && ok;
    /* limits first: rules charge them */
    for (size_t i = 0; i < tree->count && policy->limits; i++)
        if (tree->statements[i]->kind == STATEMENT_LIMIT && !tree->statements[i]->limit.is_disabled)
            ok = compile_limit(policy, &policy->limits[policy->limit_count++], &tree->statements[i]->limit, d) && ok;
    for (size_t i = 0; i < tree->count && policy->limits; i++)
        if (tree->statements[i]->kind == STATEMENT_ON)
            ok = compile_rules(policy, tree->statements[i], d) && ok;
    policy->is_settled_at_mail = true;
    for (size_t i = 0; i < policy->limit_count; i++)
        if (policy->limits[i].phase == PHASE_DATA && !limit_is_settled_at_mail(&policy->limits[i]))
            policy->is_settled_at_mail = false;
    ok = ok && compile_lookups(policy, d);
    if (!ok)
        policy_free(&policy);
    return policy;
}

void policy_check_tables(const struct tree *tree, struct diagnostics *d)
{
    struct eval_program program;
    eval_program_init(&program);
    bool is_right = eval_add_tables(&program, tree, d);
    (void)is_right; /* said to the diagnostics */
    eval_program_fini(&program);
}

void policy_free(struct policy **policy)
{
    if (!*policy)
        return;
    eval_program_fini(&(*policy)->program);
    free(*policy);
    *policy = NULL;
}

bool policy_uses(const struct policy *policy, enum attribute attribute)
{
    return eval_uses(&policy->program, attribute);
}

bool policy_has_rules(const struct policy *policy, enum phase phase)
{
    return policy->rule_counts[phase] > 0;
}

struct lookup *policy_file_table(const struct policy *policy, size_t index)
{
    const struct eval_program *p = &policy->program;
    for (size_t i = 0; i < p->lookup_count; i++)
        if (p->lookups[i]->path && index-- == 0)
            return p->lookups[i];
    return NULL;
}

size_t policy_file_table_count(const struct policy *policy)
{
    size_t n = 0;
    while (policy_file_table(policy, n))
        n++;
    return n;
}

size_t policy_rule_count(const struct policy *policy)
{
    size_t n = 0;
    for (int phase = 0; phase < PHASE_COUNT; phase++)
        n += policy->rule_counts[phase];
    return n;
}

size_t policy_limit_count(const struct policy *policy)
{
    return policy->limit_count;
}

const struct policy_limit *policy_find_limit(const struct policy *policy, struct str name)
{
    for (size_t i = 0; i < policy->limit_count; i++)
        if (str_equal(policy->limits[i].limit.name, name))
            return &policy->limits[i];
    return NULL;
}
