/* parse_value.c - names, texts and literals. See parse_internal.h. */
#include <string.h>

#include "rules/hint.h"
#include "rules/parse_internal.h"

bool parse_name(struct parser *p, const char *what, struct name *name)
{
    const struct token *t = parse_peek(p);
    struct value quoted;
    if (parse_is_string(p)) {
        /* quoted is the same */
        if (!shape_is_name(str_sub(parse_text(p, t), 1, parse_text(p, t).len - 2)))
            return parse_expected(p, "%s", what);
        if (!parse_string(p, false, &quoted))
            return false;
        *name = (struct name){.text = quoted.text, .at = quoted.at};
    } else {
        if (t->kind != TOKEN_WORD || !shape_is_name(parse_text(p, t)))
            return parse_expected(p, "%s", what);
        *name = (struct name){.text = parse_text(p, t), .at = parse_place(p, t)};
    }
    if (word_is_kept(name->text))
        return diag_error(p->d, name->at, "\"" PRI_STR "\" cannot be a name", STR_ARG(name->text));
    if (name->text.ptr == parse_text(p, t).ptr)
        parse_take(p);
    return true;
}

/* ---- texts ---- */

/* Without its escapes; an unknown one was said by lex and stays as it is. */
static bool unescape(struct parser *p, struct str raw, struct str *text)
{
    *text = raw;
    if (str_find(raw, '\\') == raw.len)
        return true;
    char *to = parse_alloc(p, raw.len + 1);
    if (!to)
        return false;
    size_t len = 0;
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.ptr[i];
        if (c == '\\' && i + 1 < raw.len) {
            c = raw.ptr[++i];
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c;
        }
        to[len++] = c;
    }
    *text = str_of(to, len);
    return true;
}

/* How far a token's text was counted: columns are characters, and a text of many pieces is counted once, not from its
 * start for each of them. */
struct counted {
    size_t bytes;
    uint32_t chars;
};

static uint32_t count_chars(struct str text, size_t from, size_t to)
{
    bool valid;
    uint32_t chars = 0;
    for (size_t i = from; i < to && i < text.len; i += source_char_len(text, i, &valid))
        chars++;
    return chars;
}

/* The place of [from, to) of the token's text, behind what was counted. */
static struct place place_behind(const struct parser *p, const struct token *t, struct counted *counted, size_t from,
                                 size_t to)
{
    struct str text = parse_text(p, t);
    struct place at = parse_place(p, t);
    counted->chars += count_chars(text, counted->bytes, from);
    counted->bytes = from;
    at.col += counted->chars;
    at.offset += (uint32_t)from;
    at.len = count_chars(text, from, to);
    return at;
}

static struct place place_within(const struct parser *p, const struct token *t, size_t from, size_t to)
{
    struct counted nothing = {0, 0};
    return place_behind(p, t, &nothing, from, to);
}

static bool add_piece(struct parser *p, struct value *v, struct str raw, struct place at, bool is_name)
{
    if (!raw.len && !is_name)
        return true;
    void *pieces = v->parts.pieces;
    struct text_piece *piece = parse_array_add(p, &pieces, &v->parts.count, sizeof *piece);
    v->parts.pieces = pieces;
    if (!piece)
        return false;
    *piece = (struct text_piece){.text = raw, .at = at, .is_name = is_name};
    return is_name || unescape(p, raw, &piece->text);
}

enum reference { REFERENCE_FINE, REFERENCE_WRONG, REFERENCE_UNCLOSED };

/* What stands behind the `${` at begin, in a token with its quotes. name: what stands for the name, fine or not. */
static enum reference read_reference(struct str text, size_t begin, struct str *name)
{
    size_t from = begin + 2, to = from, last = text.len - 1;
    while (to < last && lex_is_word_char(text.ptr[to]))
        to++;
    *name = str_sub(text, from, to - from);
    if (to == last)
        return REFERENCE_UNCLOSED;
    if (text.ptr[to] == '}' && shape_is_dotted_name(*name))
        return REFERENCE_FINE;
    size_t shown = str_find(str_from(text, from), '}');
    *name = str_sub(text, from, MIN_OF(shown, last - from));
    return REFERENCE_WRONG;
}

/* `${name}` in a text: begin is at its `$`, in the token with its quotes. *behind: just after its `}`. */
static bool add_reference(struct parser *p, const struct token *t, struct counted *counted, size_t begin,
                          size_t *behind, struct value *v)
{
    struct str name;
    size_t from = begin + 2;
    switch (read_reference(parse_text(p, t), begin, &name)) {
    case REFERENCE_UNCLOSED:
        return diag_error(p->d, place_behind(p, t, counted, begin, from), "this ${ is never closed");
    case REFERENCE_WRONG:
        return diag_error(p->d, place_behind(p, t, counted, from, from + name.len),
                          "expected an attribute, found \"" PRI_STR "\"", STR_ARG(name));
    case REFERENCE_FINE:
        break;
    }
    *behind = from + name.len + 1;
    return add_piece(p, v, name, place_behind(p, t, counted, from, from + name.len), true);
}

static bool split_pieces(struct parser *p, const struct token *t, struct value *v)
{
    struct str text = parse_text(p, t);
    struct counted counted = {0, 0};
    size_t plain = 1, i = 1;
    bool any = false;
    while (i < text.len - 1) {
        if (text.ptr[i] == '\\') {
            i += 2;
        } else if (text.ptr[i] == '$' && text.ptr[i + 1] == '{') {
            struct place at = place_behind(p, t, &counted, plain, i);
            if (!add_piece(p, v, str_sub(text, plain, i - plain), at, false) ||
                !add_reference(p, t, &counted, i, &i, v))
                return false;
            plain = i;
            any = true;
        } else {
            i++;
        }
    }
    return !any || add_piece(p, v, str_sub(text, plain, text.len - 1 - plain),
                             place_behind(p, t, &counted, plain, text.len - 1), false);
}

static bool has_fine_references(struct str text)
{
    struct str name;
    for (size_t i = 1; i + 1 < text.len; i++) {
        if (text.ptr[i] == '\\')
            i++;
        else if (text.ptr[i] == '$' && text.ptr[i + 1] == '{' && read_reference(text, i, &name) != REFERENCE_FINE)
            return false;
    }
    return true;
}

bool parse_string(struct parser *p, bool interpolates, struct value *v)
{
    const struct token *t = parse_peek(p);
    if (!parse_is_string(p))
        return parse_expected(p, "a text");
    struct str text = parse_text(p, t);
    *v =
        (struct value){.shape = SHAPE_TEXT, .is_quoted = true, .is_raw = t->kind == TOKEN_RAW, .at = parse_place(p, t)};
    v->text = str_sub(text, 1, text.len - 2);
    if (!v->is_raw && !unescape(p, v->text, &v->text))
        return false;
    if (interpolates && !v->is_raw && !split_pieces(p, t, v))
        return false;
    parse_take(p);
    return true;
}

static void take_param(struct parser *p, struct value *v)
{
    const struct token *t = parse_take(p);
    *v = (struct value){.shape = SHAPE_PARAM, .at = parse_place(p, t), .text = str_from(parse_text(p, t), 1)};
}

bool parse_text_value(struct parser *p, const char *what, struct value *v)
{
    const struct token *t = parse_peek(p);
    if (t->kind == TOKEN_PARAM) {
        take_param(p, v);
        return true;
    }
    if (parse_is_string(p))
        return parse_string(p, false, v);
    parse_expected(p, "%s", what);
    if (t->kind == TOKEN_WORD && !word_is_kept(parse_text(p, t)))
        diag_hint(p->d, "a text needs quotes");
    return false;
}

/* ---- literals ---- */

static bool shape_failed(struct parser *p, enum shape_result result, struct place at, const struct err *err)
{
    if (result == SHAPE_NO_MEMORY)
        return parse_no_memory(p);
    return diag_error(p->d, at, "%s", err->text);
}

/* Both halves of a rate stand in one word: their places are counted in it. */
static void place_rate(const struct parser *p, const struct token *t, struct value *v)
{
    struct str text = parse_text(p, t);
    size_t slash = str_find(text, '/');
    v->rate.count.at = place_within(p, t, 0, slash);
    v->rate.period.at = place_within(p, t, slash + 1, text.len);
}

bool parse_any_value(struct parser *p, bool is_item, struct value *v)
{
    const struct token *t = parse_peek(p);
    struct err err;
    if (parse_is_string(p))
        return parse_string(p, false, v);
    if (t->kind == TOKEN_PARAM) {
        take_param(p, v);
        return true;
    }
    if (t->kind != TOKEN_WORD)
        return parse_expected(p, "a value");
    *v = (struct value){.at = parse_place(p, t), .text = parse_text(p, t)};
    enum shape_result result = shape_guess(v->text, &p->tree->arena, v, &err);
    if (result == SHAPE_WRONG && is_item)
        v->shape = SHAPE_WORD; /* in a table of strings it may be right: check knows */
    else if (result != SHAPE_FITS)
        return shape_failed(p, result, v->at, &err);
    if (v->shape == SHAPE_RATE)
        place_rate(p, t, v);
    parse_take(p);
    return true;
}

bool parse_parameter_value(struct parser *p, struct value *v)
{
    const struct token *t = parse_peek(p);
    bool is_text = t->kind == TOKEN_STRING && has_fine_references(parse_text(p, t));
    return parse_any_value(p, false, v) && (!is_text || split_pieces(p, t, v));
}

/* Shapes that a text in quotes may be: where names, hosts, networks, addresses and endpoints stand, quoted is the same.
 */
static bool may_be_quoted(enum shape shape)
{
    switch (shape) {
    case SHAPE_NETWORK:
    case SHAPE_IP:
    case SHAPE_ADDRESS:
    case SHAPE_DOMAIN:
    case SHAPE_ENDPOINT:
    case SHAPE_HOST:
    case SHAPE_LOGIN:
    case SHAPE_SENDER:
    case SHAPE_WORD:
        return true;
    default:
        return false;
    }
}

/* An endpoint but for its port. The place is the number's, where the word stands as it was written. */
static bool said_port(struct diagnostics *d, struct str word, struct place at)
{
    uint64_t port;
    size_t colon = str_find_last(word, ':');
    struct str digits = str_from(word, colon + 1), host = str_sub(word, 0, colon);
    bool bracketed = str_starts(host, STR("[")) && str_ends_nocase(host, STR("]"));
    for (size_t i = 0; i < digits.len; i++)
        if (!ascii_is_digit(digits.ptr[i]))
            return false;
    if (!digits.len || (!bracketed && !shape_is_domain(host)) || (str_to_u64(digits, 65535, &port) && port > 0))
        return false;
    if (at.len == word.len) {
        at.col += (uint32_t)colon + 1;
        at.offset += (uint32_t)colon + 1;
        at.len = (uint32_t)digits.len;
    }
    diag_error(d, at, "port must be from 1 to 65535, not " PRI_STR, STR_ARG(digits));
    return true;
}

/* A fraction stands only for `score`, the one whose range begins below zero; a sign elsewhere is beyond the range, if
 * there is one. */
static bool is_whole_enough(const struct want *want, const struct value *v)
{
    if (want->has_range && want->min < 0)
        return true;
    bool is_whole = v->number % NUMBER_ONE == 0 || v->number == INT64_MAX; /* beyond all: its range refuses it */
    return is_whole && (want->has_range || v->number >= 0);
}

/* Reads the letters of *value as what is wanted, in whatever range; says what is wrong at `at`. */
static bool read_as(struct diagnostics *d, struct arena *arena, const struct want *want, struct value *value,
                    struct place at)
{
    struct err err = {{0}, {0}};
    enum shape_result result = shape_read(want->shape, value->text, arena, value, &err);
    if (result == SHAPE_FITS && want->shape == SHAPE_NUMBER && !is_whole_enough(want, value))
        return diag_error(d, at, "expected a whole number, found \"" PRI_STR "\"", STR_ARG(value->text));
    if (result == SHAPE_FITS)
        return true;
    if (result == SHAPE_WRONG)
        return diag_error(d, at, "%s", err.text);
    if (result == SHAPE_NO_MEMORY)
        return diag_error(d, PLACE_NONE, "no memory for what the configuration holds");
    if (want->shape == SHAPE_ENDPOINT && said_port(d, value->text, at))
        return false;
    diag_error(d, at, "expected %s, found \"" PRI_STR "\"", shape_rows[want->shape].expected, STR_ARG(value->text));
    bool is_number = value->text.len > 0;
    for (size_t i = 0; i < value->text.len; i++)
        is_number = is_number && ascii_is_digit(value->text.ptr[i]);
    hint_shape(d, want->shape);
    if (want->shape == SHAPE_DURATION && is_number)
        diag_hint(d, "a duration has a unit: " PRI_STR "s", STR_ARG(value->text));
    return false;
}

/* What is out of range is said, and read all the same: it does not hide what else is wrong with its statement. */
static bool read_here(struct parser *p, const struct want *want, struct value *v)
{
    if (!read_as(p->d, &p->tree->arena, want, v, v->at))
        return false;
    if (want->has_range)
        (void)!want_range_check(p->d, want, v, v->at);
    return true;
}

static bool parse_sender(struct parser *p, struct value *v)
{
    const struct token *t = parse_take(p);
    *v = (struct value){.shape = SHAPE_SENDER, .at = parse_place(p, t), .text = parse_text(p, t)};
    return true;
}

/* GRAMMAR.md 1: `\d\d\d`, then perhaps `[245].\d+.\d+` as a word of its own. */
static bool parse_enhanced(struct parser *p, struct value *v)
{
    const struct token *t = parse_peek(p);
    if (t->kind != TOKEN_WORD || !ascii_is_digit(parse_text(p, t).ptr[0]) ||
        str_find(parse_text(p, t), '.') == parse_text(p, t).len)
        return true;
    struct str rest = parse_text(p, t), subject, klass = str_split(rest, '.', &rest);
    uint64_t number;
    subject = str_split(rest, '.', &rest);
    if (klass.len != 1 || !str_to_u64(subject, 999, &number) || !str_to_u64(rest, 999, &number))
        return parse_expected(p, "an enhanced code");
    v->code.enhanced = parse_text(p, t);
    v->code.enhanced_at = parse_place(p, t);
    parse_take(p);
    return true;
}

bool parse_wanted_value(struct parser *p, const struct want *want, bool interpolates, struct value *v)
{
    const struct token *t = parse_peek(p);
    enum shape shape = want->shape;
    const char *expected = shape_rows[shape].expected;
    bool fine;
    if (shape == SHAPE_NAME) {
        struct name name = {STR_NONE, PLACE_NONE};
        fine = parse_name(p, expected, &name);
        *v = (struct value){.shape = SHAPE_NAME, .at = name.at, .text = name.text};
    } else if (shape == SHAPE_COND) {
        struct condition *cond = NULL;
        struct place at = parse_place(p, t);
        fine = parse_condition(p, &cond);
        *v = (struct value){.shape = SHAPE_COND, .at = at, .cond = cond};
    } else if (shape == SHAPE_PHASE) {
        *v = (struct value){.shape = SHAPE_PHASE, .at = parse_place(p, t), .text = parse_text(p, t)};
        fine = parse_phase(p, &v->phase);
    } else if (t->kind == TOKEN_PARAM) {
        take_param(p, v);
        fine = shape != SHAPE_CODE || parse_enhanced(p, v);
    } else if (shape == SHAPE_TAGVALUE && t->kind == TOKEN_WORD) {
        struct want number = {.shape = SHAPE_NUMBER, .has_range = true, .min = INT64_MIN, .max = INT64_MAX};
        *v = (struct value){.at = parse_place(p, t), .text = parse_text(p, t)};
        fine = read_as(p->d, &p->tree->arena, &number, v, v->at);
        parse_take(p);
    } else if (shape == SHAPE_TEXT || shape == SHAPE_FILE || shape == SHAPE_TAGVALUE) {
        fine = parse_is_string(p) ? parse_string(p, interpolates, v) : parse_text_value(p, expected, v);
    } else if (shape == SHAPE_SENDER && parse_is_sign(p, SIGN_NULL_SENDER)) {
        fine = parse_sender(p, v);
    } else if (parse_is_string(p) && may_be_quoted(shape)) {
        fine = parse_string(p, false, v) && read_here(p, want, v);
    } else if (t->kind == TOKEN_WORD) {
        *v = (struct value){.at = parse_place(p, t), .text = parse_text(p, t)};
        fine = read_here(p, want, v);
        if (fine)
            parse_take(p);
        if (fine && shape == SHAPE_CODE)
            fine = parse_enhanced(p, v);
    } else {
        fine = parse_expected(p, "%s", expected);
    }
    v->want = want;
    return fine;
}

bool want_check(struct diagnostics *d, const struct want *want, struct value *value, struct arena *arena,
                struct place at)
{
    enum shape shape = value->shape;
    bool is_text = want->shape == SHAPE_TEXT || want->shape == SHAPE_FILE || want->shape == SHAPE_TAGVALUE;
    if (is_text && value->is_quoted)
        return true;
    if (want->shape == SHAPE_TAGVALUE && (shape == SHAPE_NUMBER || shape == SHAPE_SIZE))
        return true;
    if (is_text || (value->is_quoted && !may_be_quoted(want->shape)))
        return diag_error(d, at, "expected %s, found \"" PRI_STR "\"", shape_rows[want->shape].expected,
                          STR_ARG(value->text));
    return read_as(d, arena, want, value, at) && (!want->has_range || want_range_check(d, want, value, at));
}

bool parse_list(struct parser *p, struct values *values)
{
    const struct token *open = parse_peek(p);
    bool outer = p->in_list;
    unsigned parens = p->parens;
    *values = (struct values){NULL, 0};
    parse_mark(p, MARK_LIST);
    if (!parse_expect_sign(p, SIGN_OPEN_BRACE))
        return false;
    if (open->is_unclosed) {
        /* said by lex; go on where the brace stands */
        p->at = (size_t)(open - p->tokens.items);
        return false;
    }
    p->in_list = true;
    p->parens = 0;
    bool fine = true, more = true;
    while (parse_peek(p)->kind == TOKEN_NEWLINE)
        parse_take(p);
    while (fine && more) {
        void *items = values->items;
        struct value *v = parse_array_add(p, &items, &values->count, sizeof *v);
        values->items = items;
        parse_mark(p, MARK_ITEM);
        fine = v && parse_any_value(p, true, v);
        more = fine && parse_accept_sign(p, SIGN_COMMA);
        while (fine && parse_peek(p)->kind == TOKEN_NEWLINE) {
            parse_take(p);
            more = true;
        }
        if (more && parse_is_sign(p, SIGN_CLOSE_BRACE))
            more = false; /* one comma, and newlines, may stand before it */
    }
    fine = fine && (parse_accept_sign(p, SIGN_CLOSE_BRACE) || parse_expected(p, "\",\" or \"}\""));
    p->in_list = outer;
    p->parens = parens;
    if (!fine)
        parse_skip_list(p, open);
    return fine;
}
