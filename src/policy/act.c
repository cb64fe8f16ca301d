/* act.c - the rules of a phase, and what their actions do. */
#include "policy/asking.h"

#include <string.h>

/* Up to login a tag lasts for the connection, later for the mail. Set again, it has its new value; what connect set is
 * only hidden by that, and there again when TLS begins. False: no memory, and rules that ask for it would go wrong. */
static bool set_tag(struct asking *a, const struct policy_action *action)
{
    struct policy_case *q = a->question;
    bool is_of_mail = a->phase >= PHASE_MAIL && q->mail;
    struct rule_tag **list = is_of_mail ? &q->mail->tags : &q->connection->tags;
    const struct rule_tag *end = is_of_mail || a->phase == PHASE_CONNECT ? NULL : q->connection->tags_of_connect;
    struct arena *arena = is_of_mail ? q->arena : q->connection_arena;
    struct str value = action->text ? asking_render(a, action->text) : STR_NONE;
    struct rule_tag *tag = *list;
    if (action->text && !value.ptr)
        return false;
    while (tag != end && !str_equal(tag->name, action->name))
        tag = tag->next;
    bool is_new = tag == end;
    if (!is_new && str_equal(tag->value, value))
        return true;
    if (is_new && !(tag = arena_alloc(arena, sizeof *tag)))
        return false;
    if (value.ptr && arena != q->arena && !(value = arena_copy(arena, value)).ptr)
        return false;
    tag->value = value;
    if (is_new) {
        tag->name = action->name;
        tag->next = *list;
        *list = tag;
    }
    if (a->phase == PHASE_CONNECT)
        q->connection->tags_of_connect = q->connection->tags;
    a->context.connection_tags = q->connection->tags;
    a->context.mail_tags = q->mail ? q->mail->tags : NULL;
    return true;
}

static enum policy_verdict verdict_of(enum action_kind kind)
{
    switch (kind) {
    case ACTION_REJECT:
        return POLICY_REJECT;
    case ACTION_DEFER:
        return POLICY_DEFER;
    case ACTION_DISCONNECT:
        return POLICY_DISCONNECT;
    case ACTION_DROP:
        return POLICY_DROP;
    default:
        return POLICY_GO_ON;
    }
}

static void decide(struct asking *a, const struct policy_rule *rule, const struct policy_action *action)
{
    a->answer->verdict = verdict_of(action->kind);
    a->answer->by = rule->name;
    if (!action->code)
        return;
    a->answer->code = action->code;
    memcpy(a->answer->enhanced, action->enhanced, sizeof action->enhanced);
    a->answer->text = asking_render(a, action->text);
    if (!a->answer->text.ptr)
        asking_trouble(a);
}

/* True: the rule ended the phase, or there is trouble. */
static bool act(struct asking *a, const struct policy_rule *rule)
{
    bool ends = false;
    for (size_t i = 0; i < rule->action_count; i++) {
        const struct policy_action *action = &rule->actions[i];
        struct str word = str_of_z(action_rows[action->kind].word);
        if (rule->is_observed) {
            asking_note(a, &(struct policy_effect){.kind = POLICY_EFFECT_WOULD,
                                                   .by = rule->name,
                                                   .action = word,
                                                   .text = action->text ? asking_render(a, action->text) : STR_NONE});
        } else if (action->kind == ACTION_LOG) {
            asking_note(a, &(struct policy_effect){.kind = POLICY_EFFECT_LOG,
                                                   .by = rule->name,
                                                   .action = word,
                                                   .text = action->text ? asking_render(a, action->text) : STR_NONE});
        } else if (action->kind == ACTION_TAG && !set_tag(a, action)) {
            asking_trouble(a);
            return true;
        } else if (action_rows[action->kind].ends) {
            decide(a, rule, action);
            ends = true;
        }
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
