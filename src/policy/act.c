/* act.c - the rules of a phase, and what their actions do. */
#include "policy/asking.h"

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

/* What there is to say of an action: its own text, or its actor's words. */
static struct str said(struct asking *a, const struct actor *actor, const struct policy_action *action)
{
    return action->text ? asking_render(a, action->text) : actor->words;
}

/* False: no memory for what it says. */
static bool decide(struct asking *a, const struct actor *actor, const struct policy_action *action)
{
    struct policy_answer *answer = a->answer;
    answer->verdict = verdict_of(action->kind);
    answer->by = actor->by;
    answer->by_limit = actor->is_limit;
    if (answer->verdict == POLICY_GO_ON || answer->verdict == POLICY_DROP)
        return true;
    struct reply_code fitting = default_reply_code(action->kind, a->phase);
    answer->code = action->code ? action->code : fitting.code;
    str_copy_into(answer->enhanced, sizeof answer->enhanced,
                  str_of_z(action->enhanced[0] ? action->enhanced : fitting.enhanced));
    answer->text = said(a, actor, action);
    return answer->text.ptr != NULL;
}

bool asking_act(struct asking *a, const struct actor *actor, const struct policy_action *action)
{
    struct str word = str_of_z(action_rows[action->kind].word);
    bool ok = true;
    if (actor->is_observed) {
        asking_note(a, &(struct policy_effect){.kind = POLICY_EFFECT_WOULD,
                                               .by = actor->by,
                                               .action = word,
                                               .text = said(a, actor, action),
                                               .key = actor->key});
    } else if (action->kind == ACTION_LOG) {
        asking_note(a, &(struct policy_effect){.kind = actor->is_limit ? POLICY_EFFECT_THRESHOLD : POLICY_EFFECT_LOG,
                                               .by = actor->by,
                                               .action = word,
                                               .text = said(a, actor, action),
                                               .key = actor->key});
    } else if (action->kind == ACTION_TAG) {
        ok = set_tag(a, action);
    } else if (action_rows[action->kind].ends) {
        ok = decide(a, actor, action);
    }
    if (!ok)
        asking_trouble(a);
    return ok;
}

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
