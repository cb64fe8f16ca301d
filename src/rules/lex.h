/*
 * lex.h - a file's text becomes tokens (GRAMMAR.md 1).
 *
 * All tokens of a file at once, 24 bytes each: the parser may look ahead, and go back, at no cost. What is wrong with
 * the text itself – an unexpected character, a text that is never closed, an unknown escape – is said here; a BAD token
 * stands in its place, so that the parser leaves the statement without another word.
 *
 * A NEWLINE stands only behind a line that held a token, and where it stands is "just after its last token". Which
 * newlines end a statement is the parser's to say (parse.c). Comments are tokens: the parser passes over them, `fmt`
 * prints them; blank lines show in line numbers.
 */
#ifndef RULES_LEX_H
#define RULES_LEX_H

#include "rules/print.h"

enum token_kind {
    TOKEN_END,
    TOKEN_NEWLINE,
    TOKEN_WORD,   /* and `[…]:port`, and rates that hold a parameter: `$count/1h`, `10/$period` */
    TOKEN_STRING, /* "…" */
    TOKEN_RAW,    /* '…' */
    TOKEN_PARAM,  /* $name */
    TOKEN_SIGN,
    TOKEN_COMMENT, /* from # to the end of the line */
    TOKEN_BAD,     /* already spoken of */
};

enum sign {
    SIGN_NONE,
    SIGN_OPEN_BRACE,
    SIGN_CLOSE_BRACE,
    SIGN_OPEN_PAREN,
    SIGN_CLOSE_PAREN,
    SIGN_OPEN_INDEX, /* touches the word before it */
    SIGN_OPEN_BRACKET,
    SIGN_CLOSE_BRACKET,
    SIGN_COMMA,
    SIGN_SEMICOLON,
    SIGN_EQUAL,
    SIGN_UNEQUAL,
    SIGN_LESS,
    SIGN_LESS_EQUAL,
    SIGN_GREATER,
    SIGN_GREATER_EQUAL,
    SIGN_NULL_SENDER, /* <> */
};

struct token {
    uint8_t kind;
    uint8_t sign;
    bool is_unclosed; /* a { without its }: said by lex */
    uint32_t offset;  /* in bytes */
    uint32_t size;
    uint32_t line, col, len;
};

struct tokens {
    struct token *items; /* the last is END */
    size_t count;
    size_t cap;
    uint32_t file;
};

/* False: no memory, said as an error; then there are none. Otherwise true, whatever the text holds. The caller's to
 * tokens_fini. */
MUST_USE bool lex(const struct source_set *sources, uint32_t file, struct diagnostics *d, struct tokens *tokens);
void tokens_fini(struct tokens *tokens);

/* As it was written, quotes included. */
struct str token_text(const struct source_set *sources, const struct tokens *tokens, const struct token *t);
struct place token_place(const struct tokens *tokens, const struct token *t);

/* Letters, digits, _ - . : / % @ + ~ and what lies above U+007F. */
bool lex_is_word_char(char c);

#endif
