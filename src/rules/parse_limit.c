/* parse_limit.c - `limit NAME per KEY count UNIT { rates parts }`. */
#include "rules/hint.h"
#include "rules/parse_internal.h"

static bool parse_limit_name(struct parser *p, struct name *name)
{
    const struct token *t = parse_peek(p);
    if (t->kind == TOKEN_WORD && word_is_action(parse_text(p, t)))
        return parse_expected(p, "a name for the limit");
    return parse_name(p, "a name for the limit", name);
}

/* ---- its head ---- */

static bool parse_key(struct parser *p, struct limit_clause *l)
{
    struct limit_key key = {.at = parse_place(p, parse_peek(p))};
    unsigned row;
    if (!PARSE_FIND(p, key_rows, "limit key", "a limit key", &row))
        return false;
    key.key = (enum key)row;
    for (size_t i = 0; i < l->key_count; i++)
        if (l->keys[i].key == key.key)
            return diag_error(p->d, key.at, "%s stands twice", key_rows[key.key].word);
    parse_take(p);
    void *keys = l->keys;
    struct limit_key *kept = parse_array_add(p, &keys, &l->key_count, sizeof *kept);
    l->keys = keys;
    if (kept)
        *kept = key;
    return kept != NULL;
}

static bool parse_unit(struct parser *p, struct limit_clause *l)
{
    unsigned row;
    l->unit_at = parse_place(p, parse_peek(p));
    if (!PARSE_FIND(p, unit_rows, "unit", "a unit", &row))
        return false;
    parse_take(p);
    l->unit = (enum unit)row;
    return true;
}

static bool parse_head(struct parser *p, struct limit_clause *l)
{
    if (!parse_expect_word(p, "per"))
        return false;
    do {
        if (!parse_key(p, l))
            return false;
    } while (parse_accept_sign(p, SIGN_COMMA));
    return parse_expect_word(p, "count") && parse_unit(p, l);
}

/* ---- its rates ---- */

/* What begins with a digit or a $ was meant for a rate. */
static bool looks_like_rate(struct parser *p)
{
    const struct token *t = parse_peek(p);
    char c = t->kind == TOKEN_WORD ? parse_text(p, t).ptr[0] : '\0';
    return t->kind == TOKEN_PARAM || ascii_is_digit(c) || c == '$' || c == '-';
}

static bool needs_rate(struct parser *p, const struct limit_clause *l)
{
    if (parse_peek(p)->kind == TOKEN_BAD || p->no_memory)
        return false;
    diag_error(p->d, parse_place(p, parse_peek(p)), "limit \"" PRI_STR "\" needs a rate", STR_ARG(l->name.text));
    diag_hint(p->d, l->unit == RULE_UNIT_OPEN_CONNECTIONS ? "first in the { }: how many at once, 20"
                                                          : "first in the { }: so many in that time, 200/1h");
    return false;
}

static bool expected_rate(struct parser *p)
{
    parse_expected(p, "a rate");
    hint_shape(p->d, SHAPE_RATE);
    return false;
}

static bool parse_rate(struct parser *p, struct limit_clause *l)
{
    struct value v;
    if (!looks_like_rate(p))
        return needs_rate(p, l);
    const struct token *t = parse_peek(p);
    bool is_open = l->unit == RULE_UNIT_OPEN_CONNECTIONS;
    struct value guess = {.shape = SHAPE_NONE};
    struct err err;
    if (t->kind == TOKEN_WORD && shape_guess(parse_text(p, t), &p->tree->arena, &guess, &err) == SHAPE_FITS) {
        bool is_number = guess.shape == SHAPE_NUMBER || guess.shape == SHAPE_SIZE;
        if (is_open && !is_number)
            return diag_error(p->d, parse_place(p, t), "%s takes a number", unit_rows[l->unit].word);
        if (!is_open && is_number)
            return needs_rate(p, l);
    }
    if (!is_open && t->kind == TOKEN_WORD && guess.shape != SHAPE_RATE)
        return expected_rate(p);
    if (!parse_any_value(p, true, &v))
        return false;
    void *rates = l->rates;
    struct value *kept = parse_array_add(p, &rates, &l->rate_count, sizeof *kept);
    l->rates = rates;
    if (kept)
        *kept = v;
    return kept != NULL;
}

static bool skip_newlines(struct parser *p)
{
    bool any = false;
    for (; parse_peek(p)->kind == TOKEN_NEWLINE; any = true)
        parse_take(p);
    return any;
}

/* rate { ("," | newline) rate }; one comma may stand before the }. */
static bool parse_rates(struct parser *p, struct limit_clause *l)
{
    bool more = true;
    while (more) {
        parse_mark(p, MARK_RATE);
        if (!parse_rate(p, l))
            return false;
        more = parse_accept_sign(p, SIGN_COMMA);
        if (skip_newlines(p) && looks_like_rate(p))
            more = true;
        if (parse_is_sign(p, SIGN_CLOSE_BRACE) || l->unit == RULE_UNIT_OPEN_CONNECTIONS)
            return true;
    }
    return true;
}

/* ---- its parts ---- */

static bool parse_percent(struct parser *p, struct limit_clause *l, struct value *percent)
{
    struct want *want = parse_alloc(p, sizeof *want);
    if (!want)
        return false;
    *want = (struct want){
        .shape = SHAPE_PERCENT, .has_range = true, .min = 1, .max = 1000, .name = STR("threshold percent")};
    want->min_text = STR("1%");
    want->max_text = STR("1000%");
    if (!parse_wanted_value(p, want, false, percent))
        return false;
    for (size_t i = 0; i < l->threshold_count; i++) {
        const struct value *other = &l->thresholds[i].percent;
        if (percent->shape == SHAPE_PERCENT && other->shape == SHAPE_PERCENT && other->percent == percent->percent)
            return diag_error(p->d, percent->at, PRI_STR " stands twice", STR_ARG(percent->text));
    }
    return true;
}

static bool parse_threshold(struct parser *p, struct limit_clause *l)
{
    struct threshold_clause read = {.at = parse_last_place(p)};
    if (!parse_percent(p, l, &read.percent) || !parse_actions(p, &read.actions, true))
        return false;
    void *thresholds = l->thresholds;
    struct threshold_clause *kept = parse_array_add(p, &thresholds, &l->threshold_count, sizeof *kept);
    l->thresholds = thresholds;
    if (kept)
        *kept = read;
    return kept != NULL;
}

/* Each of these once. */
static bool parse_once(struct parser *p, const char *word, bool is_there)
{
    if (is_there)
        return diag_error(p->d, parse_place(p, parse_peek(p)), "%s stands twice", word);
    parse_take(p);
    return true;
}

static bool parse_part(struct parser *p, struct limit_clause *l)
{
    if (parse_accept_word(p, "at"))
        return parse_threshold(p, l);
    if (parse_is_word(p, "overrides")) {
        l->overrides_at = parse_place(p, parse_peek(p));
        return parse_once(p, "overrides", l->overrides.text.len > 0) && parse_name(p, "a table", &l->overrides);
    }
    if (parse_is_word(p, "if"))
        return parse_once(p, "if", l->if_cond != NULL) && parse_condition(p, &l->if_cond);
    if (parse_is_word(p, "unless"))
        return parse_once(p, "unless", l->unless_cond != NULL) && parse_condition(p, &l->unless_cond);
    if (parse_is_word(p, "observe")) {
        struct place at = parse_place(p, parse_peek(p));
        if (!parse_once(p, "observe", place_is_known(l->observe_at)))
            return false;
        l->observe_at = at;
        return true;
    }
    const struct token *t = parse_peek(p);
    const struct str parts[] = {STR("overrides"), STR("unless"), STR("observe")};
    parse_expected(p, "\"at\", \"overrides\", \"if\", \"unless\" or \"observe\"");
    if (t->kind == TOKEN_WORD)
        diag_did_you_mean(p->d, suggest(parse_text(p, t), parts, COUNT_OF(parts)));
    return false;
}

struct body {
    struct limit_clause *limit;
    bool is_begun;
};

/* The first thing in the block is its rates, all others are parts. */
static bool parse_body(struct parser *p, void *arg)
{
    struct body *body = arg;
    if (body->is_begun)
        return parse_part(p, body->limit);
    body->is_begun = true;
    return parse_rates(p, body->limit);
}

/* `limit … { 50/1h } unless user = …` */
static bool is_behind_block(struct parser *p)
{
    if (!parse_is_word(p, "if") && !parse_is_word(p, "unless"))
        return false;
    parse_expected(p, "end of line");
    diag_hint(p->d, "it stands inside the { }, behind the rate");
    return true;
}

bool parse_limit(struct parser *p, struct statement *s)
{
    struct limit_clause *l = &s->limit;
    struct body body = {.limit = l};
    if (!parse_limit_name(p, &l->name) || !parse_head(p, l) || !parse_block(p, parse_body, &body))
        return false;
    if (is_behind_block(p))
        return false;
    if (!body.is_begun && p->tokens.items[p->last].sign == SIGN_CLOSE_BRACE)
        return diag_error(p->d, parse_last_place(p), "limit \"" PRI_STR "\" needs a rate", STR_ARG(l->name.text));
    return true;
}
