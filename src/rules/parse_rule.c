/* parse_rule.c - `on PHASE { rule … }`, rules and their actions. */
#include <string.h>

#include "rules/hint.h"
#include "rules/parse_internal.h"

/* ---- actions ---- */

bool code_check(struct diagnostics *d, enum action_kind action, const struct value *code)
{
    unsigned reply = code->code.reply, from = action == ACTION_REJECT ? 500 : 400;
    struct str enhanced = code->code.enhanced;
    const char *word = action_rows[action].word;
    if (action == ACTION_DISCONNECT && reply != 421)
        return diag_error(d, code->at, "%s takes the code 421, not %u", word, reply);
    if (action != ACTION_DISCONNECT && (reply < from || reply > from + 99)) {
        diag_error(d, code->at, "%s takes a code from %u to %u, not " PRI_STR, word, from, from + 99,
                   STR_ARG(code->text));
        if (reply / 100 == 4 || reply / 100 == 5)
            diag_hint(d, reply / 100 == 4 ? "defer refuses for now" : "reject refuses for good");
        return false;
    }
    if (enhanced.len && (unsigned)(enhanced.ptr[0] - '0') != reply / 100)
        return diag_error(d, code->code.enhanced_at, PRI_STR " does not fit %u; it must begin with %u",
                          STR_ARG(enhanced), reply, reply / 100);
    return true;
}

static void check_code(struct parser *p, const struct action *a)
{
    const struct value *first = values_arg(&a->values, 0);
    if (first && first->shape == SHAPE_CODE)
        (void)!code_check(p->d, a->kind, first);
}

/* What can be said of an action only beside those before it. */
static void check_company(struct parser *p, const struct actions *before, const struct action *a, bool in_threshold)
{
    const struct action_row *row = &action_rows[a->kind];
    if (in_threshold && !row->threshold) {
        diag_error(p->d, a->at, "%s is not possible in a threshold", row->word);
        return;
    }
    for (size_t i = 0; row->ends && i < before->count; i++) {
        if (!action_rows[before->items[i].kind].ends)
            continue;
        diag_error(p->d, a->at, "a %s ends its phase once; \"%s\" comes after \"%s\"",
                   in_threshold ? "threshold" : "rule", row->word, action_rows[before->items[i].kind].word);
        return;
    }
}

static bool parse_action(struct parser *p, struct actions *actions, bool in_threshold)
{
    struct action a = {.at = parse_place(p, parse_peek(p))};
    unsigned row_index;
    if (!PARSE_FIND(p, action_rows, "action", "an action", &row_index))
        return false;
    a.kind = (enum action_kind)row_index;
    const struct action_row *row = &action_rows[a.kind];
    parse_take(p);
    if (!parse_args(p, row->arguments, str_of_z(row->word), a.kind != ACTION_REMOVE_HEADER, &a.values))
        return false;
    if (a.kind == ACTION_ADD_HEADER) /* a header's name is no text for a reader */
        a.values.items[0].parts.count = 0;
    check_company(p, actions, &a, in_threshold);
    check_code(p, &a);
    void *items = actions->items;
    struct action *kept = parse_array_add(p, &items, &actions->count, sizeof *kept);
    actions->items = items;
    if (kept)
        *kept = a;
    return kept != NULL;
}

bool parse_actions(struct parser *p, struct actions *actions, bool in_threshold)
{
    *actions = (struct actions){NULL, 0};
    do {
        if (!parse_action(p, actions, in_threshold))
            return false;
    } while (parse_accept_sign(p, SIGN_COMMA));
    return true;
}

/* ---- rules ---- */

static bool parse_rule_name(struct parser *p, struct name *name)
{
    const struct token *t = parse_peek(p);
    if (t->kind == TOKEN_WORD && word_is_action(parse_text(p, t)))
        return parse_expected(p, "a name for the rule");
    return parse_name(p, "a name for the rule", name);
}

/* Does its last action lack a text that it may have? */
static bool lacks_text(const struct rule *r)
{
    const struct action *last = &r->actions.items[r->actions.count - 1];
    const char *arguments = action_rows[last->kind].arguments;
    size_t len = strlen(arguments);
    bool has_text = last->values.count && last->values.items[last->values.count - 1].shape == SHAPE_TEXT;
    return len >= 6 && strcmp(arguments + len - 6, "[TEXT]") == 0 && !has_text;
}

/* What was found instead of the end may be a misspelt way to go on, or a text without its quotes. */
static bool parse_end_rule(struct parser *p, const struct rule *r)
{
    static const struct str words[] = {{"if", 2}, {"unless", 6}, {"and", 3}, {"or", 2}};
    const struct token *t = parse_peek(p);
    struct str word = parse_text(p, t);
    if (parse_end_statement(p))
        return true;
    if (t->kind == TOKEN_BAD)
        return false;
    if (r->if_cond || r->unless_cond)
        hint_behind_condition(p->d, word);
    else if (t->kind == TOKEN_WORD && !word_is_kept(word) && lacks_text(r))
        diag_hint(p->d, "a text needs quotes");
    else if (t->kind == TOKEN_WORD && ascii_is_digit(word.ptr[0]))
        diag_hint(p->d, "the code stands before the text");
    if (r->unless_cond && str_equal(word, STR("if")))
        diag_hint(p->d, "if stands before unless");
    if (t->kind == TOKEN_WORD && !word_is_kept(word))
        diag_did_you_mean(p->d, suggest(word, words, COUNT_OF(words)));
    return false;
}

static bool parse_rule_body(struct parser *p, struct rule *r)
{
    const struct token *t = parse_peek(p);
    if (parse_accept_word(p, "observe"))
        r->observe_at = parse_place(p, t);
    return parse_actions(p, &r->actions, false) && (!parse_accept_word(p, "if") || parse_condition(p, &r->if_cond)) &&
           (!parse_accept_word(p, "unless") || parse_condition(p, &r->unless_cond)) && parse_end_rule(p, r);
}

static bool parse_rule(struct parser *p, void *arg)
{
    struct statement *on = arg;
    const struct token *t = parse_peek(p);
    struct rule read = {.at = parse_place(p, t), .phase = on->on.phase, .is_broken = true};
    if (!parse_expect_word(p, "rule") || !parse_rule_name(p, &read.name))
        return false;
    struct rule *r = parse_alloc(p, sizeof *r);
    void *rules = on->on.rules;
    struct rule **kept = r ? parse_array_add(p, &rules, &on->on.count, sizeof *kept) : NULL;
    if (!kept)
        return false;
    on->on.rules = rules;
    *kept = r;
    *r = read;
    if (!parse_rule_body(p, r))
        return false;
    r->end = parse_last_place(p);
    r->is_broken = false;
    return true;
}

bool parse_phase(struct parser *p, enum phase *phase)
{
    unsigned row;
    if (!PARSE_FIND(p, phase_rows, "phase", "a phase", &row))
        return false;
    parse_take(p);
    *phase = (enum phase)row;
    return true;
}

bool parse_on(struct parser *p, struct statement *s)
{
    bool known;
    s->on.phase_at = parse_place(p, parse_peek(p));
    known = parse_phase(p, &s->on.phase);
    if (!known) {
        /* its rules are read all the same: their names count, and their mistakes are said in this run, not in the next
         */
        if (parse_peek(p)->kind != TOKEN_WORD || parse_peek_second(p)->sign != SIGN_OPEN_BRACE)
            return false;
        parse_take(p);
    }
    if (!parse_is_sign(p, SIGN_OPEN_BRACE))
        return parse_expected(p, "\"{\"");
    /* a broken rule breaks itself, not the others */
    (void)!parse_block(p, parse_rule, s);
    return known;
}
