/*
 * compile.c - a checked tree becomes a policy: conditions compiled, codes and texts completed, limits in the limiter's
 * form.
 */
#include <stdio.h>
#include <stdlib.h>

#include "policy/compiled.h"

/* ---- actions ---- */

struct default_code {
    int code;
    const char *enhanced;
};

/* GRAMMAR.md 4, the table's last two columns. */
static struct default_code default_reject(enum phase phase)
{
    switch (phase) {
    case PHASE_CONNECT:
        return (struct default_code){554, "5.7.1"};
    case PHASE_AUTH:
    case PHASE_LOGIN:
        return (struct default_code){535, "5.7.8"};
    default:
        return (struct default_code){550, "5.7.1"};
    }
}

static struct default_code default_defer(enum phase phase)
{
    switch (phase) {
    case PHASE_CONNECT:
        return (struct default_code){421, "4.7.0"};
    case PHASE_AUTH:
    case PHASE_LOGIN:
        return (struct default_code){454, "4.7.0"};
    case PHASE_HELO:
    case PHASE_MAIL:
    case PHASE_RCPT:
        return (struct default_code){450, "4.7.1"};
    default:
        return (struct default_code){451, "4.7.1"};
    }
}

static void set_code(struct policy_action *to, const struct action *from, enum phase phase)
{
    struct default_code fitting = to->kind == ACTION_REJECT  ? default_reject(phase)
                                  : to->kind == ACTION_DEFER ? default_defer(phase)
                                                             : (struct default_code){421, "4.7.0"};
    const struct value *code = values_arg(&from->values, 0);
    to->code = code ? code->code.reply : fitting.code;
    struct str enhanced = code && code->code.enhanced.len ? code->code.enhanced : str_of_z(fitting.enhanced);
    str_copy_into(to->enhanced, sizeof to->enhanced, enhanced);
}

/* `Refused by rule "no-relay"`, where the rule gives no text of its own. */
static struct text_template *default_text(struct policy *policy, struct str rule, enum action_kind kind)
{
    struct str text =
        arena_printf(&policy->program.arena, "%s by rule \"" PRI_STR "\"",
                     kind == ACTION_DEFER ? "Deferred; try again later; refused" : "Refused", STR_ARG(rule));
    struct value plain = {.shape = SHAPE_TEXT, .text = text};
    return text.ptr ? text_compile(&policy->program, &plain) : NULL;
}

/* False: no memory. */
static bool compile_action(struct policy *policy, struct policy_action *to, const struct action *from, struct str rule,
                           enum phase phase)
{
    to->kind = from->kind;
    const struct value *text = NULL;
    switch (from->kind) {
    case ACTION_REJECT:
    case ACTION_DEFER:
    case ACTION_DISCONNECT:
        set_code(to, from, phase);
        text = values_arg(&from->values, 1);
        to->text = text ? text_compile(&policy->program, text) : default_text(policy, rule, from->kind);
        return to->text != NULL;
    case ACTION_LOG:
        text = values_arg(&from->values, 0);
        to->text = text ? text_compile(&policy->program, text) : NULL;
        return !text || to->text;
    case ACTION_TAG:
        to->name = arena_copy(&policy->program.arena, values_arg(&from->values, 0)->text);
        text = values_arg(&from->values, 1);
        to->text = text ? text_compile(&policy->program, text) : NULL;
        return to->name.ptr && (!text || to->text);
    default:
        return true;
    }
}

/* ---- rules ---- */

static bool compile_rule(struct policy *policy, struct policy_rule *to, const struct rule *from, struct diagnostics *d)
{
    bool ok;
    struct policy_action *actions = arena_alloc(&policy->program.arena, from->actions.count * sizeof *actions);
    to->name = arena_copy(&policy->program.arena, from->name.text);
    to->is_observed = from->is_observed;
    to->actions = actions;
    to->action_count = from->actions.count;
    to->condition = eval_compile(&policy->program, from->if_cond, from->unless_cond, d, &ok);
    if (!ok)
        return false;
    if (!actions || !to->name.ptr)
        return diag_error(d, PLACE_NONE, "out of memory");
    for (size_t i = 0; i < from->actions.count; i++)
        if (!compile_action(policy, &actions[i], &from->actions.items[i], to->name, from->phase))
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

/* ---- limits ---- */

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

static bool compile_limit(struct policy *policy, struct policy_limit *to, const struct limit_clause *from,
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

static bool is_settled_at_mail(const struct policy_limit *l)
{
    if (l->condition)
        return false;
    for (size_t i = 0; i < l->key_count; i++)
        if (l->keys[i] == KEY_RCPT || l->keys[i] == KEY_RCPT_DOMAIN)
            return false;
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
    for (size_t i = 0; i < tree->count && policy->limits; i++) {
        const struct statement *st = tree->statements[i];
        if (st->kind == STATEMENT_ON)
            ok = compile_rules(policy, st, d) && ok;
        else if (st->kind == STATEMENT_LIMIT && !st->limit.is_disabled)
            ok = compile_limit(policy, &policy->limits[policy->limit_count++], &st->limit, d) && ok;
    }
    policy->is_settled_at_mail = true;
    for (size_t i = 0; i < policy->limit_count; i++)
        if (policy->limits[i].phase == PHASE_DATA && !is_settled_at_mail(&policy->limits[i]))
            policy->is_settled_at_mail = false;
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
