/* lex.c - text becomes tokens. See lex.h. */
#include "rules/lex.h"

#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "rules/hint.h"

enum { MAX_OPEN_BRACES = 1000 };

struct lexer {
    struct diagnostics *d;
    struct tokens *tokens;
    struct str text;
    size_t at; /* in bytes */
    uint32_t line, col;
    bool no_memory;
    bool line_has_token;
    struct token last;            /* the last that was no comment and no newline: newlines stand behind it */
    size_t open[MAX_OPEN_BRACES]; /* tokens { that wait for their } */
    size_t open_count;
    size_t swallowed; /* } that went into texts which are never closed */
};

bool lex_is_word_char(char c)
{
    return ascii_is_alnum(c) || (unsigned char)c >= 0x80 || (c != '\0' && strchr("_-.:/%@+~", c));
}

static char look(const struct lexer *l, size_t ahead)
{
    return l->at + ahead < l->text.len ? l->text.ptr[l->at + ahead] : '\0';
}

static bool at_end(const struct lexer *l)
{
    return l->at >= l->text.len;
}

/* The character at hand: how many bytes, and is it one that may stand in a file? TAB may. */
static size_t char_len(const struct lexer *l, bool *is_good)
{
    size_t len = source_char_len(l->text, l->at, is_good);
    if (*is_good && look(l, 0) != '\t')
        *is_good = !str_has_control(str_sub(l->text, l->at, len));
    return len;
}

static void skip_char(struct lexer *l)
{
    bool good;
    l->at += char_len(l, &good);
    l->col++;
}

static struct token token_start(const struct lexer *l, enum token_kind kind)
{
    return (struct token){.kind = (uint8_t)kind, .offset = (uint32_t)l->at, .line = l->line, .col = l->col};
}

static struct place place_of(const struct lexer *l, const struct token *t)
{
    return token_place(l->tokens, t);
}

static void add(struct lexer *l, struct token t)
{
    struct tokens *tokens = l->tokens;
    if (GROW(&tokens->items, tokens->count + 1, &tokens->cap, 256))
        tokens->items[tokens->count++] = t;
    else
        l->no_memory = true;
}

static void add_until_here(struct lexer *l, struct token t)
{
    t.size = (uint32_t)(l->at - t.offset);
    t.len = l->col - t.col;
    add(l, t);
    if (t.kind == TOKEN_COMMENT)
        return;
    l->last = t;
    l->line_has_token = true;
}

/* Just after the last token: where something is missing at the end of a line. */
static struct token token_behind_last(const struct lexer *l, enum token_kind kind)
{
    return (struct token){.kind = (uint8_t)kind,
                          .offset = l->last.offset + l->last.size,
                          .line = l->last.line,
                          .col = l->last.col + l->last.len};
}

static void lex_newline(struct lexer *l)
{
    if (l->line_has_token)
        add(l, token_behind_last(l, TOKEN_NEWLINE));
    l->line_has_token = false;
    l->at++;
    l->line++;
    l->col = 1;
}

static void lex_comment(struct lexer *l)
{
    struct token t = token_start(l, TOKEN_COMMENT);
    bool said = false;
    while (!at_end(l) && look(l, 0) != '\n' && !(look(l, 0) == '\r' && look(l, 1) == '\n')) {
        bool good;
        char_len(l, &good);
        struct token bad = token_start(l, TOKEN_BAD);
        bad.len = 1;
        if (!good && !said)
            said = !diag_error(l->d, place_of(l, &bad), "unexpected character \"\\x%02X\"", (unsigned char)look(l, 0));
        skip_char(l);
    }
    add_until_here(l, t);
}

/* A text ends on its line. Of several unknown escapes the first is said; the text goes on as if it were right. */
static void lex_string(struct lexer *l, char quote)
{
    struct token t = token_start(l, quote == '"' ? TOKEN_STRING : TOKEN_RAW);
    bool said = false;
    skip_char(l);
    while (!at_end(l) && look(l, 0) != '\n' && look(l, 0) != quote) {
        if (look(l, 0) == '\r' && look(l, 1) == '\n')
            break;
        struct token here = token_start(l, TOKEN_BAD);
        bool good;
        (void)char_len(l, &good);
        here.len = 1;
        if (!good) {
            if (t.kind != TOKEN_BAD)
                diag_error(l->d, place_of(l, &here), "unexpected character \"\\x%02X\"", (unsigned char)look(l, 0));
            t.kind = TOKEN_BAD;
        } else if (quote == '"' && look(l, 0) == '\\') {
            char c = look(l, 1);
            if (c == '\n' || c == '\r' || l->at + 1 >= l->text.len)
                break;
            skip_char(l);
            here.len = 2;
            size_t len = char_len(l, &good);
            if (!strchr("\"\\nt", c) && good && !said)
                said = !diag_error(l->d, place_of(l, &here), "unknown escape \\%.*s in a text; patterns stand in '…'",
                                   (int)len, l->text.ptr + l->at);
            if (!good)
                continue; /* said in the next round */
        }
        skip_char(l);
    }
    if (look(l, 0) == quote && !at_end(l)) {
        skip_char(l);
    } else {
        /* the backslash before the line's end, or nothing */
        while (!at_end(l) && look(l, 0) != '\n' && !(look(l, 0) == '\r' && look(l, 1) == '\n'))
            skip_char(l);
        for (size_t i = t.offset; i < l->at; i++)
            l->swallowed += l->text.ptr[i] == '}';
        struct place at = place_of(l, &t);
        at.len = 1;
        diag_error(l->d, at, "this text is never closed");
        t.kind = TOKEN_BAD;
    }
    add_until_here(l, t);
}

static void skip_word(struct lexer *l)
{
    bool good = true;
    while (!at_end(l) && lex_is_word_char(look(l, 0))) {
        char_len(l, &good);
        if (!good)
            return;
        skip_char(l);
    }
}

static bool skip_param(struct lexer *l)
{
    if (look(l, 0) != '$' || !ascii_is_alpha(look(l, 1)))
        return false;
    skip_char(l);
    while (ascii_is_alnum(look(l, 0)) || look(l, 0) == '-' || look(l, 0) == '_')
        skip_char(l);
    return true;
}

/* `10/$period` is one word, as it would be with the parameter's value in its place. */
static void lex_word(struct lexer *l)
{
    struct token t = token_start(l, TOKEN_WORD);
    skip_word(l);
    if (l->text.ptr[l->at - 1] == '/')
        skip_param(l);
    add_until_here(l, t);
}

static void lex_param(struct lexer *l)
{
    struct token t = token_start(l, TOKEN_PARAM);
    skip_param(l);
    if (look(l, 0) == '/') {
        t.kind = TOKEN_WORD;
        skip_word(l);
        if (l->text.ptr[l->at - 1] == '/')
            skip_param(l);
    }
    add_until_here(l, t);
}

/* `[2001:db8::1]`, `[::]:587`: how long it is, 0: it is none. */
static size_t bracket_word_len(const struct lexer *l)
{
    size_t len = 1;
    while (look(l, len) && strchr("0123456789abcdefABCDEF:.", look(l, len)))
        len++;
    if (look(l, len) != ']' || len == 1)
        return 0;
    len++;
    if (look(l, len) == ':' && ascii_is_digit(look(l, len + 1)))
        for (len++; ascii_is_digit(look(l, len));)
            len++;
    return len;
}

static bool touches_word(const struct lexer *l)
{
    return l->line_has_token && l->last.kind == TOKEN_WORD && l->last.offset + l->last.size == l->at;
}

static enum sign sign_at(const struct lexer *l, size_t *len)
{
    static const struct {
        char text[3];
        enum sign sign;
    } signs[] = {
        {"!=", SIGN_UNEQUAL},     {"<>", SIGN_NULL_SENDER},  {"<=", SIGN_LESS_EQUAL}, {">=", SIGN_GREATER_EQUAL},
        {"{", SIGN_OPEN_BRACE},   {"}", SIGN_CLOSE_BRACE},   {"(", SIGN_OPEN_PAREN},  {")", SIGN_CLOSE_PAREN},
        {"[", SIGN_OPEN_BRACKET}, {"]", SIGN_CLOSE_BRACKET}, {",", SIGN_COMMA},       {";", SIGN_SEMICOLON},
        {"=", SIGN_EQUAL},        {"<", SIGN_LESS},          {">", SIGN_GREATER},
    };
    for (size_t i = 0; i < COUNT_OF(signs); i++) {
        *len = strlen(signs[i].text);
        if (str_starts(str_from(l->text, l->at), str_of(signs[i].text, *len)))
            return signs[i].sign == SIGN_OPEN_BRACKET && touches_word(l) ? SIGN_OPEN_INDEX : signs[i].sign;
    }
    return SIGN_NONE;
}

static void note_brace(struct lexer *l, enum sign sign)
{
    if (sign == SIGN_OPEN_BRACE && l->open_count < MAX_OPEN_BRACES)
        l->open[l->open_count++] = l->tokens->count;
    else if (sign == SIGN_CLOSE_BRACE && l->open_count > 0)
        l->open_count--;
}

/* `&&` is one mistake. */
static void say_character(struct lexer *l, const struct token *t, size_t len)
{
    char c = look(l, 0);
    if ((c == '&' || c == '|') && l->at > 0 && l->text.ptr[l->at - 1] == c)
        return;
    diag_error(l->d, place_of(l, t), "unexpected character \"%.*s\"", (int)len, l->text.ptr + l->at);
    hint_character(l->d, c);
}

static void lex_sign(struct lexer *l)
{
    struct token t = token_start(l, TOKEN_SIGN);
    size_t len;
    enum sign sign = sign_at(l, &len);
    if (sign == SIGN_OPEN_BRACKET && bracket_word_len(l)) {
        len = bracket_word_len(l);
        t.kind = TOKEN_WORD;
        sign = SIGN_NONE;
    } else if (sign == SIGN_NONE) {
        bool good;
        len = char_len(l, &good);
        t.kind = TOKEN_BAD;
        t.len = 1;
        if (good)
            say_character(l, &t, len);
        else
            diag_error(l->d, place_of(l, &t), "unexpected character \"\\x%02X\"", (unsigned char)look(l, 0));
        skip_char(l);
        add_until_here(l, t);
        return;
    }
    t.sign = (uint8_t)sign;
    note_brace(l, sign);
    for (size_t i = 0; i < len; i++)
        skip_char(l);
    add_until_here(l, t);
}

static void lex_one(struct lexer *l)
{
    char c = look(l, 0);
    bool good;
    char_len(l, &good);
    if (c == '\n')
        lex_newline(l);
    else if (c == ' ' || c == '\t' || (c == '\r' && look(l, 1) == '\n'))
        skip_char(l);
    else if (c == '#')
        lex_comment(l);
    else if (c == '"' || c == '\'')
        lex_string(l, c);
    else if (c == '$' && ascii_is_alpha(look(l, 1)))
        lex_param(l);
    else if (good && lex_is_word_char(c))
        lex_word(l);
    else
        lex_sign(l);
}

bool lex(const struct source_set *sources, uint32_t file, struct diagnostics *d, struct tokens *tokens)
{

    *tokens = (struct tokens){.file = file};
    struct lexer l = {.d = d, .tokens = tokens, .text = source_file_get(sources, file)->text, .line = 1, .col = 1};
    l.last = (struct token){.line = 1, .col = 1};
    while (!at_end(&l) && !l.no_memory)
        lex_one(&l);
    if (l.line_has_token && !l.no_memory)
        add(&l, token_behind_last(&l, TOKEN_NEWLINE));
    if (!l.no_memory)
        add(&l, token_behind_last(&l, TOKEN_END));
    if (l.no_memory) {
        tokens_fini(tokens);
        return diag_error(d, PLACE_NONE, "no memory for the words of " PRI_STR,
                          STR_ARG(source_file_get(sources, file)->name));
    }
    /* a text without its end swallowed the } of the innermost: of those it was spoken */
    for (size_t i = 0; i + l.swallowed < l.open_count; i++) {
        struct token *t = &tokens->items[l.open[i]];
        t->is_unclosed = true;
        diag_error(d, token_place(tokens, t), "this { is never closed");
    }
    return true;
}

void tokens_fini(struct tokens *tokens)
{
    free(tokens->items);
    *tokens = (struct tokens){0};
}

struct str token_text(const struct source_set *sources, const struct tokens *tokens, const struct token *t)
{
    return str_sub(source_file_get(sources, tokens->file)->text, t->offset, t->size);
}

struct place token_place(const struct tokens *tokens, const struct token *t)
{
    return (struct place){.file = tokens->file, .line = t->line, .col = t->col, .len = t->len, .offset = t->offset};
}
