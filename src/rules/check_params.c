/*
 * check_params.c - what `$name` stands for, and what literals are.
 *
 *   parameter limit 200 ◀── set limit 500        $limit, $limit/1h ──▶ 500, 500/1h
 *
 * A parameter may stand for another one. Its literal is found once, and copied to wherever it is used; there it is held
 * against what that place wants.
 */
#include <string.h>

#include "rules/check_internal.h"
#include "rules/hint.h"
#include "rules/pattern.h"

enum { PARAMETER_MAX_DEPTH = 100 };

/* ---- literals ---- */

static enum type shape_type(enum shape shape)
{
    switch (shape) {
    case SHAPE_NUMBER:
        return TYPE_NUMBER;
    case SHAPE_SIZE:
        return TYPE_SIZE;
    case SHAPE_DURATION:
        return TYPE_DURATION;
    case SHAPE_RATE:
        return TYPE_RATE;
    case SHAPE_PERCENT:
        return TYPE_PERCENT;
    case SHAPE_DATE:
        return TYPE_DATE;
    case SHAPE_TIME:
        return TYPE_TIME;
    case SHAPE_RANGE:
        return TYPE_RANGE;
    case SHAPE_NETWORK:
    case SHAPE_IP:
        return TYPE_NETWORK;
    case SHAPE_ADDRESS:
        return TYPE_ADDRESS;
    case SHAPE_DOMAIN:
        return TYPE_DOMAIN;
    case SHAPE_ENDPOINT:
        return TYPE_ENDPOINT;
    case SHAPE_TRUTH:
        return TYPE_TRUTH;
    default:
        return TYPE_TEXT;
    }
}

/* `192.0.2.7`; `192.0.2.7/32` is a network. */
static bool is_single_address(const struct value *v)
{
    return v->network.prefix == (v->network.from.family == ADDR_IPV4 ? 32 : 128) &&
           str_find(v->text, '/') == v->text.len;
}

enum type literal_type(const struct value *v)
{
    enum type type = shape_type(v->shape);
    if (type == TYPE_NETWORK && is_single_address(v))
        return TYPE_IP;
    return type == TYPE_SIZE ? TYPE_NUMBER : type;
}

const char *literal_word(const struct value *v)
{
    return v->shape == SHAPE_SIZE ? type_rows[TYPE_SIZE].one : type_rows[literal_type(v)].one;
}

/* What may as well stand in quotes (GRAMMAR.md 1, "Bare or quoted"). */
static bool is_textual(enum shape shape)
{
    enum type type = shape_type(shape);
    return type == TYPE_TEXT || type == TYPE_NETWORK || type == TYPE_ADDRESS || type == TYPE_DOMAIN ||
           type == TYPE_ENDPOINT;
}

static void make_text(struct value *v)
{
    v->is_quoted = true;
    if (v->shape == SHAPE_TEXT)
        return;
    v->shape = SHAPE_TEXT;
    v->parts.pieces = NULL;
    v->parts.count = 0;
}

/* ---- parameters ---- */

static bool find_literal(struct checker *c, struct definition *d);

/* NULL: said. */
static const struct value *parameter_literal(struct checker *c, struct name name)
{
    struct definition *d = names_use(c, NAMES_PARAMETERS, DEFINES_PARAMETER, "parameter", name);
    if (!d)
        return NULL;
    if (d->progress == UNDER_WAY) {
        diag_error(c->d, name.at, "parameter \"" PRI_STR "\" stands for itself", STR_ARG(name.text));
        return NULL;
    }
    if (c->parameter_depth >= PARAMETER_MAX_DEPTH) {
        diag_error(c->d, name.at, "parameters stand for one another at most %d deep", PARAMETER_MAX_DEPTH);
        return NULL;
    }
    return find_literal(c, d) ? &d->parameter->value : NULL;
}

/* `set` takes what the parameter is; where words need no quotes, a text in quotes is the same. */
static bool fits_type(struct checker *c, const struct value *own, struct value *set)
{
    struct err err;
    if (own->shape == set->shape || (own->shape == SHAPE_SIZE && set->shape == SHAPE_NUMBER))
        return true;
    if (!is_textual(own->shape) || !is_textual(set->shape))
        return false;
    if (shape_type(own->shape) == TYPE_TEXT) {
        if (own->is_quoted)
            make_text(set);
        return true;
    }
    return shape_read(own->shape, set->text, &c->tree->arena, set, &err) == SHAPE_FITS;
}

/* The parameter's own value becomes the one that holds: the setting's, if there is one. */
static bool find_literal(struct checker *c, struct definition *d)
{
    if (d->is_broken)
        return false;
    if (d->progress != UNTOUCHED)
        return d->progress == FINE;
    d->progress = UNDER_WAY;
    c->parameter_depth++;
    struct value *own = &d->parameter->value;
    struct definition *setting = names_find(c, NAMES_SETTINGS, d->name.text);
    bool fine = check_value(c, own);
    if (setting && setting->is_broken) {
        fine = false;
    } else if (setting) {
        struct value *set = &setting->parameter->value;
        bool is_set = check_value(c, set);
        const char *word = literal_word(set);
        if (fine && is_set && !fits_type(c, own, set)) {
            is_set = diag_error(c->d, set->at, "parameter \"" PRI_STR "\" is %s, \"" PRI_STR "\" is %s",
                                STR_ARG(d->name.text), literal_word(own), STR_ARG(set->text), word);
            hint_shape(c->d, own->shape);
        }
        fine = fine && is_set;
        if (fine)
            *own = *set;
    }
    c->parameter_depth--;
    d->progress = fine ? FINE : WRONG;
    return fine;
}

void check_parameters(struct checker *c)
{
    for (struct definition *d = c->names[NAMES_PARAMETERS].first; d; d = d->next)
        (void)find_literal(c, d);
    for (struct definition *d = c->names[NAMES_SETTINGS].first; d; d = d->next)
        if (!names_find(c, NAMES_PARAMETERS, d->name.text)) /* to set one is not to use it */
            (void)names_use(c, NAMES_PARAMETERS, DEFINES_PARAMETER, "parameter", d->name);
    for (size_t i = 0; i < c->tree->count; i++) {
        struct statement *s = c->tree->statements[i];
        if (s->kind == STATEMENT_PARAMETER && !s->is_broken && s->parameter.about.shape != SHAPE_NONE)
            (void)check_value(c, &s->parameter.about);
    }
}

/* ---- rates ---- */

struct str rate_part_text(const struct checker *c, const struct value *rate, bool is_count)
{
    struct str period, count = str_split(rate->text, '/', &period), text = is_count ? count : period;
    if (!str_starts(text, STR("$")))
        return text;
    const struct definition *d = names_find(c, NAMES_PARAMETERS, str_from(text, 1));
    return d && d->progress == FINE ? d->parameter->value.text : text;
}

static bool check_rate_part(struct checker *c, struct rate_part *part, bool is_count)
{
    if (!part->param.len)
        return true;
    const struct value *v = parameter_literal(c, (struct name){part->param, part->at});
    if (!v)
        return false;
    bool is_number = v->shape == SHAPE_NUMBER;
    if (is_count ? !is_number && v->shape != SHAPE_SIZE : v->shape != SHAPE_DURATION)
        return diag_error(c->d, part->at, "expected %s, found \"" PRI_STR "\"",
                          shape_rows[is_count ? SHAPE_NUMBER : SHAPE_DURATION].expected, STR_ARG(v->text));
    if (is_number && v->number % NUMBER_ONE)
        return diag_error(c->d, part->at, "expected a whole number, found \"" PRI_STR "\"", STR_ARG(v->text));
    part->param = STR_NONE;
    part->shape = v->shape;
    part->number = is_number ? v->number / NUMBER_ONE : v->shape == SHAPE_SIZE ? v->bytes : v->ms;
    return true;
}

static bool check_rate_parts(struct checker *c, struct value *v)
{
    bool count = check_rate_part(c, &v->rate.count, true);
    return check_rate_part(c, &v->rate.period, false) && count;
}

/* ---- values ---- */

/* What `${name}` is depends on where the text is shown: each place has pieces of its own. */
static bool copy_pieces(struct checker *c, struct value *v)
{
    size_t bytes = v->shape == SHAPE_TEXT ? v->parts.count * sizeof *v->parts.pieces : 0;
    if (!bytes)
        return true;
    struct text_piece *pieces = arena_alloc(&c->tree->arena, bytes);
    if (!pieces)
        return check_no_memory(c);
    memcpy(pieces, v->parts.pieces, bytes);
    v->parts.pieces = pieces;
    return true;
}

bool check_value(struct checker *c, struct value *v)
{
    if (v->shape != SHAPE_PARAM) {
        v->written_in = v->at.file;
        return v->shape != SHAPE_RATE || check_rate_parts(c, v);
    }
    const struct value *literal = parameter_literal(c, (struct name){v->text, v->at});
    if (!literal)
        return false;
    struct value made = *literal;
    made.at = v->at;
    made.arg = v->arg;
    made.want = v->want;
    if (made.shape == SHAPE_RATE)
        made.rate.count.at = made.rate.period.at = v->at;
    enum shape wanted = made.want ? made.want->shape : SHAPE_NONE;
    if ((wanted == SHAPE_TEXT || wanted == SHAPE_FILE || wanted == SHAPE_TAGVALUE) && is_textual(made.shape))
        make_text(&made);
    if (made.want && !want_check(c->d, made.want, &made, &c->tree->arena, v->at))
        return false;
    if (wanted == SHAPE_CODE) { /* the enhanced code is written beside the name */
        made.code.enhanced = v->code.enhanced;
        made.code.enhanced_at = v->code.enhanced_at;
    }
    if (!copy_pieces(c, &made))
        return false;
    *v = made;
    return true;
}

bool check_values(struct checker *c, struct values *v)
{
    bool fine = true;
    for (size_t i = 0; i < v->count; i++)
        fine = check_value(c, &v->items[i]) && fine;
    return fine;
}

/* A parameter that is a number is a code, any other a text. */
void check_code_by_name(const struct checker *c, struct values *values, uint8_t text_arg)
{
    static const struct want code = {.shape = SHAPE_CODE, .name = {"code", 4}};
    static const struct want text = {.shape = SHAPE_TEXT, .name = {"text", 4}};
    struct value *v = values->count ? &values->items[0] : NULL;
    if (!v || v->shape != SHAPE_PARAM || (v->arg != 0 && v->arg != text_arg))
        return;
    const struct definition *d = names_find(c, NAMES_PARAMETERS, v->text);
    bool is_alone = !values_arg(values, text_arg) && !v->code.enhanced.len;
    bool is_number = d && d->progress == FINE && d->parameter->value.shape == SHAPE_NUMBER;
    if (v->arg == 0 && is_alone && !is_number) {
        v->arg = text_arg;
        v->want = &text;
    } else if (v->arg == text_arg && is_number) {
        v->arg = 0;
        v->want = &code;
    }
}

bool check_text_value(struct checker *c, struct value *v, const char *expected)
{
    if (!check_value(c, v))
        return false;
    if (!is_textual(v->shape))
        return diag_error(c->d, v->at, "expected %s, found \"" PRI_STR "\"", expected, STR_ARG(v->text));
    make_text(v);
    return true;
}

bool check_item(struct checker *c, struct value *v, enum shape shape, const char *one)
{
    struct err err;
    switch (shape_read(shape, v->text, &c->tree->arena, v, &err)) {
    case SHAPE_FITS:
        return true;
    case SHAPE_WRONG:
        return diag_error(c->d, v->at, "%s", err.text);
    case SHAPE_NO_MEMORY:
        return check_no_memory(c);
    default:
        return diag_error(c->d, v->at, "\"" PRI_STR "\" is not %s", STR_ARG(v->text), one);
    }
}

bool check_pattern(struct checker *c, const struct value *v)
{
    struct err err;
    pcre2_code *pattern = pattern_compile(v->text, &err);
    if (!pattern)
        return diag_error(c->d, v->at, "%s", err.text);
    pcre2_code_free(pattern);
    return true;
}
