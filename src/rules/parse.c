/*
 * parse.c - a file's tokens one after another: which newlines count, what is said where something else was expected,
 * and how reading goes on behind an error. See parse.h.
 */
#include "rules/hint.h"
#include "rules/parse_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- words and lines ---- */

static const struct token end_of_nothing = {.kind = TOKEN_END, .line = 1, .col = 1};

static const struct token *token_at(const struct parser *p, size_t i)
{
    if (p->no_memory || !p->tokens.count)
        return &end_of_nothing;
    return &p->tokens.items[MIN_OF(i, p->tokens.count - 1)];
}

struct str parse_text(const struct parser *p, const struct token *t)
{
    return token_text(p->sources, &p->tokens, t);
}

struct place parse_place(const struct parser *p, const struct token *t)
{
    return token_place(&p->tokens, t);
}

struct place parse_last_place(const struct parser *p)
{
    return parse_place(p, token_at(p, p->last));
}

static bool is_one_of(struct str word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_equal(word, str_of_z(words[i])))
            return true;
    return false;
}

/* GRAMMAR.md 1, "Lines": behind these a newline does not count … */
static bool goes_on_behind(const struct parser *p, const struct token *t)
{
    static const char *const words[] = {"if", "unless",  "and",  "or",    "not",     "in",
                                        "is", "matches", "like", "under", "contains"};
    if (t->kind == TOKEN_SIGN)
        return t->sign == SIGN_COMMA || (!p->in_list && t->sign >= SIGN_EQUAL && t->sign <= SIGN_GREATER_EQUAL);
    return !p->in_list && t->kind == TOKEN_WORD && is_one_of(parse_text(p, t), words, COUNT_OF(words));
}

/* … and before a line that begins with one of these. */
static bool goes_on_with(const struct parser *p, const struct token *t)
{
    static const char *const words[] = {"if", "unless", "and", "or"};
    return !p->in_list && t->kind == TOKEN_WORD && is_one_of(parse_text(p, t), words, COUNT_OF(words));
}

static size_t skip_comments(const struct parser *p, size_t i)
{
    while (token_at(p, i)->kind == TOKEN_COMMENT)
        i++;
    return i;
}

static bool newline_counts(const struct parser *p, size_t newline)
{
    size_t before = newline, behind = newline;
    if (p->parens)
        return false;
    /* a NEWLINE stands only behind a token, which nothing but a comment parts from it */
    while (before > 0 && token_at(p, before - 1)->kind == TOKEN_COMMENT)
        before--;
    if (before > 0 && goes_on_behind(p, token_at(p, before - 1)))
        return false;
    while (token_at(p, behind)->kind == TOKEN_NEWLINE || token_at(p, behind)->kind == TOKEN_COMMENT)
        behind++;
    return !goes_on_with(p, token_at(p, behind));
}

static size_t skip_what_does_not_count(const struct parser *p, size_t i)
{
    for (;;) {
        i = skip_comments(p, i);
        if (token_at(p, i)->kind != TOKEN_NEWLINE || newline_counts(p, i))
            return i;
        i++;
    }
}

const struct token *parse_peek(struct parser *p)
{
    p->at = skip_what_does_not_count(p, p->at);
    return token_at(p, p->at);
}

const struct token *parse_peek_second(struct parser *p)
{
    parse_peek(p);
    return token_at(p, skip_what_does_not_count(p, p->at + 1));
}

const struct token *parse_take(struct parser *p)
{
    const struct token *t = parse_peek(p);
    if (t->kind != TOKEN_END) {
        if (t->kind != TOKEN_NEWLINE)
            p->last = p->at;
        p->at++;
    }
    return t;
}

void parse_mark(struct parser *p, enum mark mark)
{
    if (!p->marks || parse_peek(p)->kind == TOKEN_END || p->marks[p->at] != MARK_NONE)
        return;
    p->marks[p->at] = (uint8_t)mark;
}

bool parse_is_word(struct parser *p, const char *word)
{
    const struct token *t = parse_peek(p);
    return t->kind == TOKEN_WORD && str_equal(parse_text(p, t), str_of_z(word));
}

bool parse_is_sign(struct parser *p, enum sign sign)
{
    const struct token *t = parse_peek(p);
    return t->kind == TOKEN_SIGN && t->sign == sign;
}

bool parse_is_string(struct parser *p)
{
    const struct token *t = parse_peek(p);
    return t->kind == TOKEN_STRING || t->kind == TOKEN_RAW;
}

bool parse_accept_word(struct parser *p, const char *word)
{
    if (!parse_is_word(p, word))
        return false;
    parse_take(p);
    return true;
}

bool parse_accept_sign(struct parser *p, enum sign sign)
{
    if (!parse_is_sign(p, sign))
        return false;
    parse_take(p);
    return true;
}

/* ---- what is said ---- */

/* The word of a token as messages show it: without the quotes of a text. */
static struct str found_text(const struct parser *p, const struct token *t)
{
    struct str text = parse_text(p, t);
    return t->kind == TOKEN_STRING || t->kind == TOKEN_RAW ? str_sub(text, 1, text.len - 2) : text;
}

bool parse_expected(struct parser *p, const char *fmt, ...)
{
    const struct token *t = parse_peek(p);
    char what[512];
    va_list args;
    if (t->kind == TOKEN_BAD || p->no_memory)
        return false; /* said already */
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    if (t->kind == TOKEN_NEWLINE || t->kind == TOKEN_END)
        return diag_error(p->d, parse_place(p, t), "expected %s, found end of line", what);
    diag_error(p->d, parse_place(p, t), "expected %s, found \"" PRI_STR "\"", what, STR_ARG(found_text(p, t)));
    hint_expected(p->d, what, found_text(p, t), t->kind == TOKEN_STRING || t->kind == TOKEN_RAW);
    return false;
}

static const char *row_words(const void *rows, size_t row_size, size_t row)
{
    const char *words;
    memcpy(&words, (const char *)rows + row * row_size, sizeof words);
    return words;
}

bool parse_is_first_word(const char *words, struct str word)
{
    return strncmp(words, word.ptr, word.len) == 0 && (words[word.len] == ' ' || words[word.len] == '\0');
}

bool parse_find_row(struct parser *p, const void *rows, size_t row_size, size_t count, const char *what,
                    const char *expected, unsigned *row)
{
    const struct token *t = parse_peek(p);
    struct str word = parse_text(p, t);
    for (*row = 0; t->kind == TOKEN_WORD && *row < count; (*row)++)
        if (parse_is_first_word(row_words(rows, row_size, *row), word))
            return true;
    struct suggestion nearest;
    suggest_init(&nearest, word);
    for (size_t i = 0; i < count; i++) {
        struct str words = str_of_z(row_words(rows, row_size, i));
        suggest_offer(&nearest, str_sub(words, 0, str_find(words, ' ')));
    }
    return parse_unknown(p, what, expected, &nearest);
}

bool parse_unknown(struct parser *p, const char *what, const char *expected, const struct suggestion *s)
{
    const struct token *t = parse_peek(p);
    if (t->kind != TOKEN_WORD || word_is_kept(parse_text(p, t)))
        return parse_expected(p, "%s", expected);
    diag_error(p->d, parse_place(p, t), "unknown %s \"" PRI_STR "\"", what, STR_ARG(parse_text(p, t)));
    diag_did_you_mean(p->d, suggest_best(s));
    hint_unknown(p->d, what, parse_text(p, t));
    return false;
}

bool parse_expect_word(struct parser *p, const char *word)
{
    if (parse_accept_word(p, word))
        return true;
    const struct token *t = parse_peek(p);
    parse_expected(p, "\"%s\"", word);
    if (t->kind == TOKEN_WORD) {
        struct str wanted = str_of_z(word);
        diag_did_you_mean(p->d, suggest(parse_text(p, t), &wanted, 1));
    }
    return false;
}

static const char *sign_text(enum sign sign)
{
    switch (sign) {
    case SIGN_OPEN_BRACE:
        return "{";
    case SIGN_CLOSE_BRACE:
        return "}";
    case SIGN_OPEN_PAREN:
        return "(";
    case SIGN_CLOSE_PAREN:
        return ")";
    case SIGN_CLOSE_BRACKET:
        return "]";
    default:
        return ",";
    }
}

bool parse_expect_sign(struct parser *p, enum sign sign)
{
    return parse_accept_sign(p, sign) || parse_expected(p, "\"%s\"", sign_text(sign));
}

void parse_open(struct parser *p)
{
    p->parens++;
}

/* Does a closing sign still come, before the block ends? Only then is what was found the mistake, and not the opening.
 */
static bool is_closed_later(const struct parser *p, enum sign open, enum sign close)
{
    unsigned inner = 0, braces = 0;
    for (size_t i = p->at; token_at(p, i)->kind != TOKEN_END; i++) {
        const struct token *t = token_at(p, i);
        if (t->kind != TOKEN_SIGN)
            continue;
        if (t->sign == SIGN_OPEN_BRACE)
            braces++;
        else if (t->sign == SIGN_SEMICOLON || (t->sign == SIGN_CLOSE_BRACE && braces == 0))
            return false;
        else if (t->sign == SIGN_CLOSE_BRACE)
            braces--;
        else if (t->sign == open)
            inner++;
        else if (t->sign == close && inner-- == 0)
            return true;
    }
    return false;
}

bool parse_close(struct parser *p, const struct token *open, enum sign close)
{
    bool closes = parse_accept_sign(p, close);
    if (!closes && parse_peek(p)->kind != TOKEN_BAD && !is_closed_later(p, open->sign, close)) {
        diag_error(p->d, parse_place(p, open), "this %s is never closed", close == SIGN_CLOSE_PAREN ? "(" : "[");
        /* the lines behind it are no part of it: go on behind its own */
        p->at = (size_t)(open - p->tokens.items);
    } else if (!closes) {
        parse_expected(p, "\"%s\"", sign_text(close));
    }
    p->parens--;
    return closes;
}

bool parse_end_statement(struct parser *p)
{
    const struct token *t = parse_peek(p);
    if (t->kind == TOKEN_NEWLINE || (t->kind == TOKEN_SIGN && t->sign == SIGN_SEMICOLON)) {
        parse_take(p);
        return true;
    }
    if (t->kind == TOKEN_END || (t->kind == TOKEN_SIGN && t->sign == SIGN_CLOSE_BRACE))
        return true;
    return parse_expected(p, "end of line");
}

/* ---- behind an error ---- */

/* Behind a { that is never closed nobody knows what belongs to it: on to the next line that begins as a statement does.
 */
static void recover_unclosed(struct parser *p)
{
    bool first = false;
    for (;; p->at++) {
        const struct token *t = token_at(p, p->at);
        if (t->kind == TOKEN_END || (first && t->kind == TOKEN_WORD && statement_begins_with(parse_text(p, t))))
            return;
        if (t->kind != TOKEN_COMMENT)
            first = t->kind == TOKEN_NEWLINE;
    }
}

void parse_recover(struct parser *p)
{
    unsigned braces = 0;
    p->parens = 0;
    p->in_list = false;
    p->nesting = 0;
    for (;;) {
        const struct token *t = parse_peek(p);
        if (t->kind == TOKEN_END)
            return;
        if (t->kind == TOKEN_SIGN && t->sign == SIGN_OPEN_BRACE && t->is_unclosed) {
            recover_unclosed(p);
            return;
        }
        bool closes = t->kind == TOKEN_SIGN && t->sign == SIGN_CLOSE_BRACE;
        if (closes && braces == 0)
            return;
        parse_take(p);
        if (t->kind == TOKEN_SIGN && t->sign == SIGN_OPEN_BRACE)
            braces++;
        else if (closes)
            braces--;
        else if (braces == 0 && !parse_is_sign(p, SIGN_OPEN_BRACE) &&
                 (t->kind == TOKEN_NEWLINE || (t->kind == TOKEN_SIGN && t->sign == SIGN_SEMICOLON)))
            return;
    }
}

void parse_skip_list(struct parser *p, const struct token *open)
{
    size_t i = (size_t)(open - p->tokens.items);
    unsigned braces = 0;
    for (; token_at(p, i)->kind != TOKEN_END; i++) {
        const struct token *t = token_at(p, i);
        if (t->kind != TOKEN_SIGN)
            continue;
        braces += t->sign == SIGN_OPEN_BRACE;
        if (t->sign == SIGN_CLOSE_BRACE && --braces == 0) {
            i++;
            break;
        }
    }
    p->at = i;
}

bool parse_next_in_block(struct parser *p, const struct token *open)
{
    const struct token *t = parse_peek(p);
    while (t->kind == TOKEN_NEWLINE || (t->kind == TOKEN_SIGN && t->sign == SIGN_SEMICOLON)) {
        parse_take(p);
        t = parse_peek(p);
    }
    if (t->kind == TOKEN_END)
        return false;
    return !open || t->kind != TOKEN_SIGN || t->sign != SIGN_CLOSE_BRACE;
}

/* `on`, `limit`, `table` …, but not `user` or `tls`, which are test steps and options, too. */
static bool begins_nothing_but_a_statement(const struct parser *p, const struct token *t)
{
    struct str word = parse_text(p, t);
    if (t->kind != TOKEN_WORD || !statement_begins_with(word) || str_equal(word, STR("observe")))
        return false;
    for (size_t i = 0; i < STEP_COUNT; i++)
        if (str_equal(word, str_of_z(step_rows[i].words)))
            return false;
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (str_equal(word, str_of_z(option_rows[i].word)))
            return false;
    return true;
}

bool parse_block(struct parser *p, bool (*one)(struct parser *p, void *arg), void *arg)
{
    const struct token *open = parse_peek(p);
    bool fine = true;
    parse_mark(p, MARK_BLOCK);
    if (!parse_expect_sign(p, SIGN_OPEN_BRACE))
        return false;
    while (parse_next_in_block(p, open)) {
        if (open->is_unclosed && begins_nothing_but_a_statement(p, parse_peek(p))) {
            /* its missing } was spoken of; here the next statement begins, behind the newline that ends this one */
            while (p->at > 0 && token_at(p, p->at - 1)->kind == TOKEN_COMMENT)
                p->at--;
            p->at -= p->at > 0 && token_at(p, p->at - 1)->kind == TOKEN_NEWLINE;
            return fine;
        }
        parse_mark(p, MARK_STATEMENT);
        if (one(p, arg))
            continue;
        fine = false;
        if (p->no_memory)
            return false;
        parse_recover(p);
    }
    parse_accept_sign(p, SIGN_CLOSE_BRACE);
    return fine;
}

/* ---- memory ---- */

bool parse_no_memory(struct parser *p)
{
    if (!p->no_memory)
        diag_error(p->d, PLACE_NONE, "no memory for what the configuration holds");
    p->no_memory = true;
    return false;
}

void *parse_alloc(struct parser *p, size_t bytes)
{
    void *made = arena_alloc(&p->tree->arena, bytes);
    if (!made)
        parse_no_memory(p);
    return made;
}

void *parse_array_add(struct parser *p, void **items, size_t *count, size_t item_size)
{
    /* capacities are 4 and its doubles, so the count alone says when it is full */
    bool is_full = *count == 0 || (*count >= 4 && (*count & (*count - 1)) == 0);
    if (is_full) {
        void *larger = parse_alloc(p, MAX_OF(*count * 2, (size_t)4) * item_size);
        if (!larger)
            return NULL;
        if (*count)
            memcpy(larger, *items, *count * item_size);
        *items = larger;
    }
    return (char *)*items + (*count)++ * item_size;
}
