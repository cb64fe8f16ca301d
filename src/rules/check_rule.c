/* check_rule.c - rules and what they do: which action is possible when (GRAMMAR.md 4). */
#include "rules/check_internal.h"

/* ---- actions ---- */

static bool is_ban_of_user(const struct action *a)
{
    return a->kind == ACTION_BAN && a->values.items[0].choice == 2;
}

static void check_possible(struct checker *c, const struct action *a, struct moment m)
{
    const struct action_row *row = &action_rows[a->kind];
    unsigned possible = row->phases;
    if (is_ban_of_user(a)) /* nobody has said a name before */
        possible &= ~((1u << PHASE_AUTH) - 1);
    unsigned wrong = m.phases & ~possible;
    if (wrong)
        (void)diag_error(c->d, a->at, "%s%s is not possible at %s", row->word, is_ban_of_user(a) ? " user" : "",
                         phase_rows[__builtin_ctz(wrong)].word);
}

/* The second duration is no shorter than the first. */
static void check_doubling(struct checker *c, const struct action *a)
{
    const struct value *first = values_arg(&a->values, 1), *last = values_arg(&a->values, 2);
    if (first && last && first->shape == SHAPE_DURATION && last->shape == SHAPE_DURATION && last->ms < first->ms)
        (void)diag_error(c->d, last->at, "ban must be from " PRI_STR " to 366d, not " PRI_STR, STR_ARG(first->text),
                         STR_ARG(last->text));
}

static void check_charge(struct checker *c, const struct action *a)
{
    const struct value *v = &a->values.items[0];
    struct definition *d = names_use(c, NAMES_RULES, DEFINES_LIMIT, "limit", (struct name){v->text, v->at});
    if (d && !d->is_broken && d->limit->unit != RULE_UNIT_CHARGES)
        (void)diag_error(c->d, v->at, "limit \"" PRI_STR "\" counts %s, not charges", STR_ARG(v->text),
                         unit_rows[d->limit->unit].word);
}

/* RFC 5322 2.2: printable letters but the colon. */
static void check_header_name(struct checker *c, const struct value *v)
{
    bool is_name = v->text.len > 0;
    for (size_t i = 0; i < v->text.len; i++)
        is_name = is_name && v->text.ptr[i] > ' ' && v->text.ptr[i] < 127 && v->text.ptr[i] != ':';
    if (!is_name)
        (void)diag_error(c->d, v->at, "\"" PRI_STR "\" is not a header name", STR_ARG(v->text));
}

static bool is_header_name(const struct action *a, size_t value)
{
    return value == 0 && (a->kind == ACTION_ADD_HEADER || a->kind == ACTION_REMOVE_HEADER);
}

static bool takes_code(enum action_kind kind)
{
    return kind == ACTION_REJECT || kind == ACTION_DEFER || kind == ACTION_DISCONNECT;
}

static void check_action(struct checker *c, struct action *a, struct moment m)
{
    const struct action_row *row = &action_rows[a->kind];
    bool is_by_name = a->values.count && a->values.items[0].shape == SHAPE_PARAM;
    check_later(c, row->later, row->word, a->at);
    if (!m.in_threshold || row->threshold) /* else that is said already */
        check_possible(c, a, m);
    if (takes_code(a->kind))
        check_code_by_name(c, &a->values, 1);
    for (size_t i = 0; i < a->values.count; i++)
        if (check_value(c, &a->values.items[i]) && !is_header_name(a, i))
            check_text(c, &a->values.items[i], m);
    const struct value *first = values_arg(&a->values, 0);
    if (is_by_name && takes_code(a->kind) && first && first->shape == SHAPE_CODE)
        (void)!code_check(c->d, a->kind, first); /* of literals the parser has said it */
    switch (a->kind) {
    case ACTION_BAN:
        check_doubling(c, a);
        break;
    case ACTION_CHARGE:
        check_charge(c, a);
        break;
    case ACTION_RELAY:
        (void)names_use(c, NAMES_POOLS, DEFINES_POOL, "pool", (struct name){first->text, first->at});
        break;
    case ACTION_ALERT:
        (void)names_use(c, NAMES_ALERTS, DEFINES_ALERT, "alert", (struct name){first->text, first->at});
        break;
    case ACTION_ADD_HEADER:
    case ACTION_REMOVE_HEADER:
        if (first->shape == SHAPE_TEXT)
            check_header_name(c, first);
        break;
    default:
        break;
    }
}

void check_actions(struct checker *c, struct actions *actions, struct moment m)
{
    for (size_t i = 0; i < actions->count; i++)
        check_action(c, &actions->items[i], m);
}

/* ---- rules ---- */

void check_on(struct checker *c, struct statement *s)
{
    const struct phase_row *row = &phase_rows[s->on.phase];
    check_later(c, row->later, row->word, s->on.phase_at);
    for (size_t i = 0; i < s->on.count; i++) {
        struct rule *r = s->on.rules[i];
        struct moment m = moment_of(r->phase);
        if (r->is_broken)
            continue;
        if (place_is_known(r->observe_at))
            check_part(c, PART_OBSERVE, r->observe_at);
        check_actions(c, &r->actions, m);
        check_condition(c, r->if_cond, m);
        check_condition(c, r->unless_cond, m);
    }
}
