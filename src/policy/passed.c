/*
 * passed.c - what the thresholds do that a count has passed (RULES.md "Limits", GRAMMAR.md 4).
 *
 * The limiter says which act, in ascending order, and which of them refuses; what each then does is actions.c's, as for
 * rules. Here it is decided whether it is its turn, and found what it says that has no words of its own.
 */
#include "policy/admit.h"

static bool is_refuser(const struct reservation *r, const struct passed *p)
{
    return r->verdict == VERDICT_REFUSED && p->threshold == r->refused_at &&
           r->readings[p->reading].charge == r->refused_by->charge;
}

/* `log` and `alert` say once that a count has passed; of all that refuse only one speaks, but a ban is begun whoever is
 * named. */
static bool is_its_turn(const struct reservation *r, const struct passed *p, const struct policy_action *action)
{
    const struct action_row *row = &action_rows[action->kind];
    if (action->kind == ACTION_LOG || action->kind == ACTION_ALERT)
        return p->newly;
    if (!row->ends || p->observed)
        return true;
    if (action->kind == ACTION_BAN && limit_unit_kind(p->limit->unit) == LIMIT_EVENT)
        return true;
    return is_refuser(r, p) && !r->permanent;
}

/* The sentence of the refusal, for the client and for the log, or how full it is. Empty: no memory. */
static void find_words(struct asking *a, const struct reservation *r, const struct passed *p, struct actor *actor)
{
    char text[512];
    if (is_refuser(r, p)) {
        actor->words = arena_copy(a->question->arena, limiter_refusal_text(r, text, sizeof text));
        actor->logged = arena_copy(a->question->arena, limiter_refusal_logged(r, text, sizeof text));
    } else {
        actor->words =
            arena_copy(a->question->arena, limiter_reading_text(&r->readings[p->reading], text, sizeof text));
        actor->logged = actor->words;
    }
}

bool asking_act_passed(struct asking *a, const struct reservation *r, const struct passed *p)
{
    const struct policy_actions *actions = p->threshold->actions;
    struct actor actor = {.by = p->limit->name, .is_limit = true, .is_observed = p->observed};
    for (size_t i = 0; i < actions->count; i++) {
        const struct policy_action *action = &actions->items[i];
        if (!is_its_turn(r, p, action))
            continue;
        if (!actor.key.ptr) {
            actor.key = policy_key_text(r->readings[p->reading].entity, a->question->arena);
            find_words(a, r, p, &actor);
        }
        if (asking_act(a, &actor, action) != ACTED)
            return false;
    }
    asking_show_marks(a);
    return true;
}

/* A mail that alone is too much: for good, whatever the threshold says, or it would be tried for ever. */
static void refuse_for_good(struct asking *a, const struct reservation *r)
{
    static const struct policy_action REJECT = {.kind = ACTION_REJECT, .code = 552, .enhanced = "5.7.1"};
    char text[512];
    const struct actor actor = {
        .by = r->refused_by->limit->name,
        .is_limit = true,
        .words = arena_copy(a->question->arena, limiter_refusal_text(r, text, sizeof text)),
    };
    asking_act(a, &actor, &REJECT); /* trouble is said in the answer */
}

void asking_passed(struct asking *a, const struct reservation *r)
{
    if (r->verdict == VERDICT_FAILED) {
        asking_trouble(a);
        a->answer->text = STR("Limits cannot be checked now; try again later");
        return;
    }
    for (size_t i = 0; i < r->passed_count; i++)
        if (!asking_act_passed(a, r, &r->passed[i]))
            return;
    if (r->verdict != VERDICT_REFUSED)
        return;
    if (r->permanent)
        refuse_for_good(a, r);
    if (a->answer->verdict != POLICY_GO_ON && a->answer->by_limit)
        a->answer->retry_after_ms = r->retry_after_ms;
}
