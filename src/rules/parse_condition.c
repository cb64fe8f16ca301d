/*
 * parse_condition.c - cond, both, not, simple of GRAMMAR.md 2.
 *
 * `a and b and c` is one AND of three, not a tower of two: how deep a tree may be is how deep ( not [ nest, which is
 * bounded.
 */
#include "rules/parse_internal.h"

static bool parse_or(struct parser *p, struct condition **cond);

static bool nest(struct parser *p, struct place at)
{
    if (++p->nesting <= PARSE_MAX_NESTING)
        return true;
    return diag_error(p->d, at, "conditions nest at most %d deep", PARSE_MAX_NESTING);
}

static struct condition *condition_new(struct parser *p, enum condition_kind kind, struct place at)
{
    struct condition *c = parse_alloc(p, sizeof *c);
    if (c)
        *c = (struct condition){.kind = kind, .at = at};
    return c;
}

/* ---- operands ---- */

static bool parse_operand(struct parser *p, const char *expected, struct operand *o);

/* `name[operand]`, its name taken. */
static bool parse_lookup(struct parser *p, struct operand **inner)
{
    const struct token *open = parse_take(p);
    parse_open(p);
    if (!nest(p, parse_place(p, open)))
        return false;
    *inner = parse_alloc(p, sizeof **inner);
    bool fine =
        *inner && parse_operand(p, "an attribute or a value", *inner) && parse_close(p, open, SIGN_CLOSE_BRACKET);
    p->nesting--;
    return fine;
}

/* `header["Name"]`. */
static bool parse_indexed(struct parser *p, enum operand_kind kind, struct operand *o)
{
    const struct token *open = parse_take(p);
    o->kind = kind;
    parse_open(p);
    const struct token *t = parse_peek(p);
    if (!parse_is_string(p)) {
        parse_expected(p, "a text");
        if (t->kind == TOKEN_WORD)
            diag_hint(p->d, "a text needs quotes");
        return false;
    }
    return parse_string(p, false, &o->value) && parse_close(p, open, SIGN_CLOSE_BRACKET);
}

/* `used(limit)`. */
static bool parse_call(struct parser *p, enum operand_kind kind, struct operand *o)
{
    const struct token *open = parse_take(p);
    o->kind = kind;
    parse_open(p);
    return parse_name(p, "a limit", &o->name) && parse_close(p, open, SIGN_CLOSE_PAREN);
}

static bool parse_named(struct parser *p, struct operand *o)
{
    const struct token *t = parse_take(p);
    struct str word = parse_text(p, t);
    *o = (struct operand){.kind = OPERAND_ATTRIBUTE, .at = parse_place(p, t), .name = {word, parse_place(p, t)}};
    bool is_used = str_equal(word, STR("used")), is_left = str_equal(word, STR("left"));
    if ((is_used || is_left) && parse_is_sign(p, SIGN_OPEN_PAREN))
        return parse_call(p, is_used ? OPERAND_USED : OPERAND_LEFT, o);
    if (!parse_is_sign(p, SIGN_OPEN_INDEX))
        return true;
    if (str_equal(word, STR("header")))
        return parse_indexed(p, OPERAND_HEADER, o);
    if (str_equal(word, STR("header.count")))
        return parse_indexed(p, OPERAND_HEADER_COUNT, o);
    if (str_equal(word, STR("milter")))
        return parse_indexed(p, OPERAND_MILTER, o);
    o->kind = OPERAND_LOOKUP;
    return parse_lookup(p, &o->inner);
}

/* What a word that is no dotted name may be in a condition. Others look like texts without their quotes: they are taken
 * for attributes, which check will not know, and says so. */
static bool parse_literal(struct parser *p, const char *expected, struct operand *o)
{
    const struct token *t = parse_peek(p);
    *o = (struct operand){.kind = OPERAND_VALUE, .at = parse_place(p, t)};
    if (t->kind == TOKEN_WORD) {
        struct value v = {.shape = SHAPE_NONE};
        struct err err;
        if (shape_guess(parse_text(p, t), &p->tree->arena, &v, &err) == SHAPE_FITS &&
            (v.shape == SHAPE_RATE || v.shape == SHAPE_PERCENT || v.shape == SHAPE_DATE || v.shape == SHAPE_RANGE))
            return parse_expected(p, "%s", expected);
        if (v.shape == SHAPE_DOMAIN || v.shape == SHAPE_ENDPOINT || v.shape == SHAPE_WORD) {
            o->kind = OPERAND_ATTRIBUTE;
            o->name = (struct name){parse_text(p, t), o->at};
            parse_take(p);
            return true;
        }
    }
    return parse_any_value(p, false, &o->value);
}

static bool parse_operand(struct parser *p, const char *expected, struct operand *o)
{
    const struct token *t = parse_peek(p);
    struct str word = parse_text(p, t);
    bool is_word = t->kind == TOKEN_WORD;
    bool is_truth = is_word && (str_equal(word, STR("on")) || str_equal(word, STR("off")) ||
                                str_equal(word, STR("true")) || str_equal(word, STR("false")));
    if (is_word && !is_truth && word_is_kept(word))
        return parse_expected(p, "%s", expected);
    if (is_word && !is_truth && shape_is_dotted_name(word))
        return parse_named(p, o);
    if (!is_word && t->kind != TOKEN_PARAM && !parse_is_string(p))
        return parse_expected(p, "%s", expected);
    return parse_literal(p, expected, o);
}

/* ---- comparisons ---- */

static bool parse_place_of_in(struct parser *p, struct in_place *in)
{
    const struct token *t = parse_peek(p);
    struct str word = parse_text(p, t);
    *in = (struct in_place){.at = parse_place(p, t)};
    if (parse_is_sign(p, SIGN_OPEN_BRACE)) {
        in->kind = IN_LIST;
        return parse_list(p, &in->values);
    }
    if (t->kind == TOKEN_WORD && shape_is_name(word)) {
        if (!parse_name(p, "a table or a list", &in->name))
            return false;
        if (!parse_is_sign(p, SIGN_OPEN_INDEX))
            return true;
        in->kind = IN_LOOKUP;
        return parse_lookup(p, &in->inner);
    }
    if (t->kind != TOKEN_PARAM && t->kind != TOKEN_WORD)
        return parse_expected(p, "a table or a list");
    void *items = NULL;
    struct value *v = parse_array_add(p, &items, &in->values.count, sizeof *v);
    in->values.items = items;
    in->kind = IN_VALUE;
    if (!v)
        return false;
    struct err err;
    if (t->kind == TOKEN_WORD && shape_guess(word, &p->tree->arena, v, &err) == SHAPE_FITS &&
        v->shape != SHAPE_NETWORK && v->shape != SHAPE_RANGE)
        return parse_expected(p, "a table or a list");
    return parse_any_value(p, false, v);
}

static bool compare_op(const struct token *t, enum compare_op *op)
{
    if (t->kind != TOKEN_SIGN || t->sign < SIGN_EQUAL || t->sign > SIGN_GREATER_EQUAL)
        return false;
    *op = (enum compare_op)(t->sign - SIGN_EQUAL + OP_EQUAL);
    return true;
}

static bool parse_under(struct parser *p, struct value *v)
{
    const struct token *t = parse_peek(p);
    if (t->kind != TOKEN_WORD || word_is_kept(parse_text(p, t)))
        return parse_text_value(p, "a domain", v);
    struct want *want = parse_alloc(p, sizeof *want);
    if (!want)
        return false;
    *want = (struct want){.shape = SHAPE_DOMAIN, .name = STR("under")};
    return parse_wanted_value(p, want, false, v);
}

static bool parse_in(struct parser *p, struct condition *c)
{
    c->is_negated = parse_accept_word(p, "not");
    c->at = parse_place(p, parse_peek(p));
    c->kind = CONDITION_IN;
    return parse_expect_word(p, "in") && parse_place_of_in(p, &c->in);
}

static bool parse_comparison(struct parser *p, struct condition *c)
{
    const struct token *t = parse_peek(p);
    struct place at = parse_place(p, t);
    static const struct {
        const char *word;
        enum condition_kind kind;
    } texts[] = {{"matches", CONDITION_MATCHES}, {"like", CONDITION_LIKE}, {"contains", CONDITION_CONTAINS}};
    if (compare_op(t, &c->op)) {
        parse_take(p);
        c->kind = CONDITION_COMPARE;
        c->at = at;
        return parse_operand(p, "an attribute or a value", &c->other);
    }
    if (parse_is_word(p, "in") || parse_is_word(p, "not"))
        return parse_in(p, c);
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        if (parse_accept_word(p, texts[i].word)) {
            c->kind = texts[i].kind;
            c->at = at;
            return parse_text_value(p, "a text", &c->text);
        }
    }
    if (parse_accept_word(p, "under")) {
        c->kind = CONDITION_UNDER;
        c->at = at;
        return parse_under(p, &c->text);
    }
    if (parse_accept_word(p, "is")) {
        c->kind = CONDITION_IS_NONE;
        c->at = at;
        return parse_expect_word(p, "none");
    }
    return true; /* alone */
}

static bool parse_simple(struct parser *p, struct condition **cond)
{
    const struct token *t = parse_peek(p);
    if (parse_is_sign(p, SIGN_OPEN_PAREN)) {
        parse_take(p);
        parse_open(p);
        if (!nest(p, parse_place(p, t)))
            return false;
        bool fine = parse_or(p, cond) && parse_close(p, t, SIGN_CLOSE_PAREN);
        p->nesting--;
        return fine;
    }
    struct condition *c = condition_new(p, CONDITION_ALONE, parse_place(p, t));
    if (!c)
        return false;
    *cond = c;
    return parse_operand(p, "a condition", &c->operand) && parse_comparison(p, c);
}

static bool parse_not(struct parser *p, struct condition **cond)
{
    const struct token *t = parse_peek(p);
    if (!parse_accept_word(p, "not"))
        return parse_simple(p, cond);
    *cond = condition_new(p, CONDITION_NOT, parse_place(p, t));
    if (!*cond || !nest(p, parse_place(p, t)))
        return false;
    bool fine = parse_not(p, &(*cond)->child);
    p->nesting--;
    return fine;
}

/* One or more, joined by `word`: one alone is itself. */
static bool parse_joined(struct parser *p, const char *word, enum condition_kind kind,
                         bool (*one)(struct parser *p, struct condition **cond), struct condition **cond)
{
    struct condition *first = NULL, *all = NULL, **next = NULL;
    if (!one(p, &first))
        return false;
    *cond = first;
    while (parse_is_word(p, word)) {
        if (!all) {
            all = condition_new(p, kind, parse_place(p, parse_peek(p)));
            if (!all)
                return false;
            all->child = first;
            next = &first->next;
            *cond = all;
        }
        parse_take(p);
        if (!one(p, next))
            return false;
        next = &(*next)->next;
    }
    return true;
}

static bool parse_and(struct parser *p, struct condition **cond)
{
    return parse_joined(p, "and", CONDITION_AND, parse_not, cond);
}

static bool parse_or(struct parser *p, struct condition **cond)
{
    return parse_joined(p, "or", CONDITION_OR, parse_and, cond);
}

bool parse_condition(struct parser *p, struct condition **cond)
{
    p->nesting = 0;
    return parse_or(p, cond);
}
