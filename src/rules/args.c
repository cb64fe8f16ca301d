/* args.c - arguments by their patterns, and the ranges in them. See args.h. */
#include "rules/args.h"

#include <stdio.h>
#include <string.h>

#include "base/panic.h"
#include "rules/parse_internal.h"

/* ---- patterns ---- */

static enum shape shape_by_word(struct str word)
{
    for (unsigned i = 1; i < SHAPE_COUNT; i++)
        if (str_equal(word, str_of_z(shape_rows[i].word)))
            return (enum shape)i;
    return SHAPE_NONE;
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

/* "SHAPE(1s,24h)...": its repetition, its range. */
static struct element shape_element(struct str text)
{
    struct element e = {.kind = ELEMENT_SHAPE};
    if (str_ends_nocase(text, STR(",..."))) {
        e.may_repeat = e.by_comma = true;
        text = str_sub(text, 0, text.len - 4);
    } else if (str_ends_nocase(text, STR("..."))) {
        e.may_repeat = true;
        text = str_sub(text, 0, text.len - 3);
    }
    struct str range;
    e.text = str_split(text, '(', &range);
    if (range.ptr) {
        range = str_sub(range, 0, range.len - 1);
        e.min = str_split(range, ',', &e.max);
        e.max = str_split(e.max, ',', &e.name);
    }
    e.shape = shape_by_word(e.text);
    PANIC_IF(e.shape == SHAPE_NONE, "no shape " PRI_STR, STR_ARG(e.text));
    return e;
}

static struct element word_element(struct str text)
{
    struct element e = {.kind = ELEMENT_WORD, .text = text};
    if (str_find(text, '|') < text.len) {
        e.kind = ELEMENT_CHOICE;
        if (text.ptr[text.len - 1] == '|')
            e.text = str_sub(text, 0, text.len - 1); /* a choice of one */
        struct str rest = text;
        while (rest.len) {
            struct str one = str_split(rest, '|', &rest);
            if (is_upper(one.ptr[0]))
                e.shape = shape_by_word(one);
        }
    } else if (str_ends_nocase(text, STR("(s)"))) {
        e.takes_plural = true;
        e.text = str_sub(text, 0, text.len - 3);
    }
    return e;
}

struct element pattern_next(const char **pattern)
{
    const char *at = *pattern;
    while (*at == ' ')
        at++;
    if (*at == '[' || *at == ']' || *at == '\0') {
        *pattern = *at ? at + 1 : at;
        return (struct element){.kind = *at == '[' ? ELEMENT_OPEN : *at ? ELEMENT_CLOSE : ELEMENT_END};
    }
    size_t len = 0, parens = 0;
    while (at[len] && (parens || !strchr(" []", at[len]))) {
        parens += at[len] == '(';
        parens -= at[len] == ')';
        len++;
    }
    struct str text = str_of(at, len);
    *pattern = at + len;
    return is_upper(*at) && str_find(text, '|') == len ? shape_element(text) : word_element(text);
}

/* ---- ranges ---- */

static int64_t shape_number(enum shape shape, const struct value *v)
{
    switch (shape) {
    case SHAPE_SIZE:
        return v->bytes;
    case SHAPE_DURATION:
        return v->ms;
    case SHAPE_PERCENT:
        return v->percent;
    default:
        return v->number;
    }
}

static int64_t range_end(enum shape shape, struct str text)
{
    struct value v = {.shape = SHAPE_NONE};
    struct err err;
    enum shape_result result = shape_read(shape, text, NULL, &v, &err);
    PANIC_IF(result != SHAPE_FITS, "a range ends at " PRI_STR, STR_ARG(text));
    return shape_number(shape, &v);
}

bool want_range_check(struct diagnostics *d, const struct want *want, const struct value *v, struct place at)
{
    int64_t number = shape_number(want->shape, v);
    if (number >= want->min && number <= want->max)
        return true;
    return diag_error(d, at, PRI_STR " must be from " PRI_STR " to " PRI_STR ", not " PRI_STR, STR_ARG(want->name),
                      STR_ARG(want->min_text), STR_ARG(want->max_text), STR_ARG(v->text));
}

static const struct want *want_new(struct parser *p, const struct element *e, struct str who)
{
    struct want *want = parse_alloc(p, sizeof *want);
    if (!want)
        return NULL;
    *want =
        (struct want){.shape = e->shape, .name = e->name.len ? e->name : who, .min_text = e->min, .max_text = e->max};
    if (e->min.ptr) {
        want->has_range = true;
        want->min = range_end(e->shape, e->min);
        want->max = range_end(e->shape, e->max);
    }
    return want;
}

/* ---- reading ---- */

struct reader {
    struct parser *p;
    struct str who;
    bool interpolates;
    struct values *values;
    uint8_t arg;
};

/* `$name` may be a code or a text (`reject $name`): a code, where a text or an enhanced code follows it, or what in a
 * test follows a code. Alone it is taken for a text; check sees what it stands for. */
static bool is_code_by_name(struct parser *p)
{
    if (parse_peek(p)->kind != TOKEN_PARAM)
        return false;
    const struct token *next = parse_peek_second(p);
    struct str word = parse_text(p, next);
    bool is_word = next->kind == TOKEN_WORD;
    return next->kind == TOKEN_STRING || next->kind == TOKEN_RAW || next->kind == TOKEN_PARAM ||
           (is_word && ascii_is_digit(word.ptr[0])) ||
           (is_word && (str_equal(word, STR("at")) || str_equal(word, STR("by"))));
}

bool parse_fits_shape(struct parser *p, enum shape shape)
{
    const struct token *t = parse_peek(p);
    struct str text = parse_text(p, t);
    bool is_word = t->kind == TOKEN_WORD, is_string = parse_is_string(p);
    switch (shape) {
    case SHAPE_TEXT:
    case SHAPE_FILE:
        return is_string || t->kind == TOKEN_PARAM;
    case SHAPE_NAME:
        return is_string || (is_word && shape_is_name(text) && !word_is_kept(text));
    case SHAPE_CODE:
        return (is_word && ascii_is_digit(text.ptr[0])) || is_code_by_name(p);
    case SHAPE_NUMBER:
    case SHAPE_TAGVALUE: {
        bool is_number = is_word && (ascii_is_digit(text.ptr[0]) || text.ptr[0] == '-');
        return is_number || t->kind == TOKEN_PARAM || (is_string && shape == SHAPE_TAGVALUE);
    }
    default:
        return (is_word && !word_is_kept(text)) || is_string || t->kind == TOKEN_PARAM;
    }
}

static bool choice_has(struct str choice, struct str word, uint8_t *index)
{
    struct str rest = choice;
    for (uint8_t i = 0; rest.len; i++) {
        struct str one = str_split(rest, '|', &rest);
        if (!is_upper(one.ptr[0]) && str_equal(one, word)) {
            *index = i;
            return true;
        }
    }
    return false;
}

static bool is_literal(struct parser *p, const struct element *e)
{
    const struct token *t = parse_peek(p);
    struct str word = parse_text(p, t);
    if (t->kind != TOKEN_WORD)
        return false;
    if (str_equal(word, e->text))
        return true;
    return e->takes_plural && word.len == e->text.len + 1 && word.ptr[e->text.len] == 's' && str_starts(word, e->text);
}

static bool fits(struct parser *p, const struct element *e)
{
    const struct token *t = parse_peek(p);
    uint8_t index;
    if (e->kind == ELEMENT_WORD)
        return is_literal(p, e);
    if (e->kind == ELEMENT_CHOICE && t->kind == TOKEN_WORD && choice_has(e->text, parse_text(p, t), &index))
        return true;
    return e->shape != SHAPE_NONE && parse_fits_shape(p, e->shape);
}

static struct value *add_value(struct reader *r)
{
    void *items = r->values->items;
    struct value *v = parse_array_add(r->p, &items, &r->values->count, sizeof *v);
    r->values->items = items;
    return v;
}

/* `expected "a", "b" or "c"`, with the nearest of them. */
static bool expected_choice(struct parser *p, const struct element *e)
{
    const struct token *t = parse_peek(p);
    char text[256] = "";
    size_t len = 0;
    struct suggestion nearest;
    suggest_init(&nearest, parse_text(p, t));
    struct str rest = e->text;
    while (rest.len) {
        struct str one = str_split(rest, '|', &rest);
        bool is_shape = is_upper(one.ptr[0]);
        struct str shown = is_shape ? str_of_z(shape_rows[e->shape].expected) : one;
        const char *before = !len ? "" : rest.len ? ", " : " or ";
        int more = snprintf(text + len, sizeof text - len, is_shape ? "%s" PRI_STR : "%s\"" PRI_STR "\"", before,
                            STR_ARG(shown));
        len = MIN_OF(len + (size_t)more, sizeof text - 1);
        if (!is_shape)
            suggest_offer(&nearest, one);
    }
    parse_expected(p, "%s", text);
    if (t->kind == TOKEN_WORD)
        diag_did_you_mean(p->d, suggest_best(&nearest));
    return false;
}

static bool read_shape(struct reader *r, const struct element *e)
{
    const struct want *want = want_new(r->p, e, r->who);
    bool more = true;
    if (!want)
        return false;
    while (more) {
        struct value v;
        /* read beside the array: a condition in it may need the arena, and an error leaves nothing half read in the
         * list */
        if (!parse_wanted_value(r->p, want, r->interpolates, &v))
            return false;
        struct value *kept = add_value(r);
        if (!kept)
            return false;
        *kept = v;
        kept->arg = r->arg;
        more = e->may_repeat && (e->by_comma ? parse_accept_sign(r->p, SIGN_COMMA) : fits(r->p, e));
    }
    return true;
}

static bool read_word(struct reader *r, const struct element *e)
{
    struct parser *p = r->p;
    const struct token *t = parse_peek(p);
    if (is_literal(p, e)) {
        parse_take(p);
        return true;
    }
    parse_expected(p, "\"" PRI_STR "%s\"", STR_ARG(e->text), e->takes_plural ? "s" : "");
    if (t->kind == TOKEN_WORD)
        diag_did_you_mean(p->d, suggest(parse_text(p, t), &e->text, 1));
    return false;
}

static bool read_choice(struct reader *r, const struct element *e)
{
    struct parser *p = r->p;
    const struct token *t = parse_peek(p);
    uint8_t index = 0;
    if (t->kind == TOKEN_WORD && choice_has(e->text, parse_text(p, t), &index)) {
        struct value *v = add_value(r);
        if (!v)
            return false;
        *v = (struct value){.shape = SHAPE_WORD, .arg = r->arg, .choice = index, .at = parse_place(p, t)};
        v->text = parse_text(p, t);
        parse_take(p);
        return true;
    }
    return e->shape != SHAPE_NONE && parse_fits_shape(p, e->shape) ? read_shape(r, e) : expected_choice(p, e);
}

static bool read_element(struct reader *r, const struct element *e)
{
    if (e->kind == ELEMENT_WORD)
        return read_word(r, e);
    return e->kind == ELEMENT_CHOICE ? read_choice(r, e) : read_shape(r, e);
}

/* Passes over an optional group that was not taken; its arguments are counted all the same. */
static void skip_group(struct reader *r, const char **pattern)
{
    for (unsigned depth = 1; depth > 0;) {
        struct element e = pattern_next(pattern);
        depth += e.kind == ELEMENT_OPEN;
        depth -= e.kind == ELEMENT_CLOSE;
        if (e.kind == ELEMENT_CHOICE || e.kind == ELEMENT_SHAPE)
            r->arg++;
    }
}

bool parse_args(struct parser *p, const char *pattern, struct str who, bool interpolates, struct values *values)
{
    struct reader r = {.p = p, .who = who, .interpolates = interpolates, .values = values};
    *values = (struct values){NULL, 0};
    for (;;) {
        struct element e = pattern_next(&pattern);
        if (e.kind == ELEMENT_END)
            return true;
        if (e.kind == ELEMENT_CLOSE)
            continue;
        if (e.kind == ELEMENT_OPEN) {
            const char *group = pattern;
            struct element first = pattern_next(&group);
            if (!fits(p, &first))
                skip_group(&r, &pattern);
            continue;
        }
        if (!read_element(&r, &e))
            return false;
        if (e.kind != ELEMENT_WORD)
            r.arg++;
    }
}
