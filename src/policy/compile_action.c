/* compile_action.c - what a rule or a threshold does, with its defaults filled in. */
#include "policy/compiling.h"

/* GRAMMAR.md 4, the table's last two columns. */
static struct reply_code default_reject(enum phase phase)
{
    switch (phase) {
    case PHASE_CONNECT:
        return (struct reply_code){554, "5.7.1"};
    case PHASE_AUTH:
    case PHASE_LOGIN:
        return (struct reply_code){535, "5.7.8"};
    default:
        return (struct reply_code){550, "5.7.1"};
    }
}

static struct reply_code default_defer(enum phase phase)
{
    switch (phase) {
    case PHASE_CONNECT:
        return (struct reply_code){421, "4.7.0"};
    case PHASE_AUTH:
    case PHASE_LOGIN:
        return (struct reply_code){454, "4.7.0"};
    case PHASE_HELO:
    case PHASE_MAIL:
    case PHASE_RCPT:
        return (struct reply_code){450, "4.7.1"};
    default:
        return (struct reply_code){451, "4.7.1"};
    }
}

struct reply_code default_reply_code(enum action_kind kind, enum phase phase)
{
    switch (kind) {
    case ACTION_REJECT:
        return default_reject(phase);
    case ACTION_DEFER:
        return default_defer(phase);
    default:
        return (struct reply_code){421, "4.7.0"};
    }
}

/* What is left out is the phase's; a limit, which may act in several, leaves that open. */
static void set_code(struct policy_action *to, const struct action *from, const enum phase *phase)
{
    struct reply_code fitting = phase ? default_reply_code(to->kind, *phase) : (struct reply_code){0, ""};
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

static bool compile_action(struct policy *policy, struct policy_action *to, const struct action *from, struct str rule,
                           const enum phase *phase)
{
    *to = (struct policy_action){.kind = from->kind};
    const struct value *text = NULL;
    switch (from->kind) {
    case ACTION_REJECT:
    case ACTION_DEFER:
    case ACTION_DISCONNECT:
        set_code(to, from, phase);
        text = values_arg(&from->values, 1);
        if (!text && !phase)
            return true;
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

bool compile_actions(struct policy *policy, const struct actions *from, struct str by, const enum phase *phase,
                     const struct policy_action **to)
{
    struct policy_action *actions = arena_alloc(&policy->program.arena, from->count * sizeof *actions);
    *to = actions;
    for (size_t i = 0; actions && i < from->count; i++)
        if (!compile_action(policy, &actions[i], &from->items[i], by, phase))
            return false;
    return actions != NULL;
}
