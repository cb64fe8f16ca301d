/*
 * bans.c - who is kept out: the bans that rules and thresholds begin, and those that somebody meets.
 *
 *   `ban client 15m` ─▶ asking_ban ─▶ the table of all workers (limits/ban.h) ─▶ asking_bans: connect, auth, login
 */
#include "policy/asking.h"

#include "limits/ban.h"

struct str asking_entity(struct asking *a, enum key key)
{
    return policy_entity(&key, 1, &a->question->facts, a->phase, a->question->arena);
}

/* ---- a new one ---- */

void asking_ban(struct asking *a, const struct actor *actor, const struct policy_action *action)
{
    struct ban_table *table = a->engine->bans;
    struct str entity = table ? asking_entity(a, action->whom) : STR_NONE;
    struct ban before = {0}, now;
    struct ban_terms terms = {.duration_s = action->ban_s, .max_s = action->ban_max_s, .by = actor->by};
    if (!entity.len)
        return;
    if (action->has_reason)
        terms.reason = asking_render(a, action->text);
    bool was_banned = ban_find(table, entity, a->question->now_us, &before);
    if (!ban_add(table, entity, &terms, a->question->now_us, &now) || (was_banned && now.until_us == before.until_us))
        return; /* it is banned for longer already */
    asking_note(a, &(struct policy_effect){.kind = POLICY_EFFECT_BAN,
                                           .by = actor->by,
                                           .action = STR("ban"),
                                           .text = terms.reason,
                                           .phase = a->phase,
                                           .key = policy_key_text(entity, a->question->arena),
                                           .until_us = now.until_us,
                                           .strikes = now.strikes});
}

/* ---- one that is met ---- */

/* The table cuts long names. */
static bool is_named(struct str name, const char *by)
{
    struct ban ban;
    return str_equal(str_sub(name, 0, sizeof ban.by - 1), str_of_z(by));
}

/* Who banned: a rule or limit of ours by its own name; else, as who gave a command, by what stands there. */
static struct str who_banned(const struct asking *a, const struct ban *ban, bool *is_limit, bool *is_rule)
{
    const struct policy *policy = a->engine->policy;
    *is_limit = *is_rule = false;
    for (size_t i = 0; i < policy->limit_count; i++)
        if (is_named(policy->limits[i].limit.name, ban->by)) {
            *is_limit = true;
            return policy->limits[i].limit.name;
        }
    for (int phase = 0; phase < PHASE_COUNT; phase++)
        for (size_t i = 0; i < policy->rule_counts[phase]; i++)
            if (is_named(policy->rules[phase][i].name, ban->by)) {
                *is_rule = true;
                return policy->rules[phase][i].name;
            }
    return arena_copy(a->question->arena, str_of_z(ban->by));
}

static void meet(struct asking *a, const struct ban *ban)
{
    struct policy_answer *answer = a->answer;
    struct reply_code reply = default_reply_code(ACTION_BAN, a->phase);
    bool is_rule;
    answer->verdict = POLICY_BAN;
    answer->by = who_banned(a, ban, &answer->by_limit, &is_rule);
    answer->code = reply.code;
    str_copy_into(answer->enhanced, sizeof answer->enhanced, str_of_z(reply.enhanced));
    if (!reply.code)
        return;
    if (ban->reason[0])
        answer->text = arena_copy(a->question->arena, str_of_z(ban->reason));
    else if (answer->by_limit || is_rule)
        answer->text =
            arena_printf(a->question->arena, "Banned by %s \"%s\"", answer->by_limit ? "limit" : "rule", ban->by);
    else
        answer->text = STR("Banned"); /* by a command, or a rule of before: it is nobody's business whose */
    if (!answer->text.ptr)
        asking_trouble(a);
}

void asking_bans(struct asking *a)
{
    static const struct {
        enum phase phase;
        enum key whom;
    } CHECKS[] = {{PHASE_CONNECT, KEY_CLIENT},
                  {PHASE_CONNECT, KEY_NETWORK},
                  {PHASE_AUTH, KEY_USER},
                  {PHASE_LOGIN, KEY_USER}}; /* at login again: the login may be another name than the one given */
    struct ban ban;
    for (size_t i = 0; i < COUNT_OF(CHECKS) && a->engine->bans; i++) {
        if (CHECKS[i].phase != a->phase)
            continue;
        struct str entity = asking_entity(a, CHECKS[i].whom);
        if (entity.len && ban_find(a->engine->bans, entity, a->question->now_us, &ban)) {
            meet(a, &ban);
            return;
        }
    }
}
