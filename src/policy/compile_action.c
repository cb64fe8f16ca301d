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

/* Whoever is banned at connect is dropped, without a word. */
static struct reply_code default_ban(enum phase phase)
{
    switch (phase) {
    case PHASE_CONNECT:
        return (struct reply_code){0, ""};
    case PHASE_AUTH:
    case PHASE_LOGIN:
        return (struct reply_code){535, "5.7.8"};
    default:
        return (struct reply_code){421, "4.7.0"};
    }
}

struct reply_code default_reply_code(enum action_kind kind, enum phase phase)
{
    switch (kind) {
    case ACTION_REJECT:
        return default_reject(phase);
    case ACTION_DEFER:
        return default_defer(phase);
    case ACTION_DISCONNECT:
        return (struct reply_code){421, "4.7.0"};
    case ACTION_BAN:
        return default_ban(phase);
    case ACTION_QUARANTINE:
        return (struct reply_code){550, "5.7.1"};
    default:
        return (struct reply_code){0, ""};
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

static bool set_text(struct policy *policy, struct policy_action *to, const struct value *text)
{
    to->text = text ? text_compile(&policy->program, text) : NULL;
    return !text || to->text;
}

/* What a client may read: a limit has its own words. */
static bool set_reply(struct policy *policy, struct policy_action *to, const struct value *text, struct str rule,
                      const enum phase *phase)
{
    if (text || !phase)
        return set_text(policy, to, text);
    to->text = default_text(policy, rule, to->kind);
    return to->text != NULL;
}

static bool set_name(struct policy *policy, struct policy_action *to, const struct action *from)
{
    to->name = arena_copy(&policy->program.arena, values_arg(&from->values, 0)->text);
    return to->name.ptr != NULL;
}

static void set_ban(struct policy_action *to, const struct action *from)
{
    static const enum key WHOM[] = {KEY_CLIENT, KEY_NETWORK, KEY_USER}; /* the choices of its pattern */
    const struct value *max = values_arg(&from->values, 2);
    to->whom = WHOM[values_arg(&from->values, 0)->choice];
    to->ban_s = (uint32_t)(values_arg(&from->values, 1)->ms / 1000);
    to->ban_max_s = max ? (uint32_t)(max->ms / 1000) : 0;
}

static bool compile_action(struct policy *policy, struct policy_action *to, const struct action *from, struct str rule,
                           const enum phase *phase)
{
    static const struct value NEUTRAL = {.shape = SHAPE_TEXT,
                                         .text = {"Message refused", sizeof "Message refused" - 1}};
    const struct value *number;
    *to = (struct policy_action){.kind = from->kind};
    switch (from->kind) {
    case ACTION_REJECT:
    case ACTION_DEFER:
    case ACTION_DISCONNECT:
        set_code(to, from, phase);
        return set_reply(policy, to, values_arg(&from->values, 1), rule, phase);
    case ACTION_BAN:
        set_ban(to, from);
        to->has_reason = values_arg(&from->values, 3);
        return set_reply(policy, to, values_arg(&from->values, 3), rule, phase);
    case ACTION_QUARANTINE:
        return set_text(policy, to, &NEUTRAL);
    case ACTION_LOG:
        return set_text(policy, to, values_arg(&from->values, 0));
    case ACTION_TAG:
    case ACTION_ADD_HEADER:
        return set_name(policy, to, from) && set_text(policy, to, values_arg(&from->values, 1));
    case ACTION_REMOVE_HEADER:
    case ACTION_RELAY:
    case ACTION_ALERT:
        return set_name(policy, to, from);
    case ACTION_CHARGE:
        number = values_arg(&from->values, 1);
        to->number = number ? number->number / NUMBER_ONE : 1;
        to->limit = policy_find_limit(policy, values_arg(&from->values, 0)->text);
        return set_name(policy, to, from);
    case ACTION_TARPIT:
        to->tarpit_ms = (uint32_t)values_arg(&from->values, 0)->ms;
        return true;
    case ACTION_SCORE:
        to->number = values_arg(&from->values, 0)->number;
        return true;
    case ACTION_ACCEPT:
    case ACTION_DROP:
    case ACTION_ADD_MISSING:
    case ACTION_COUNT:
        break;
    }
    return true;
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
