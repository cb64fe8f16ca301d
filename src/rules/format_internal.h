/*
 * format_internal.h - a file's words as pieces, and which of them begin a line. See format.h.
 *
 *   format.c        pieces, printing, comparing
 *   format_lines.c  where lines begin
 */
#ifndef RULES_FORMAT_INTERNAL_H
#define RULES_FORMAT_INTERNAL_H

#include "rules/format.h"
#include "rules/parse.h"

enum { NO_PIECE = UINT32_MAX };

/* A token that is printed: every one but newlines, `;` and the end. */
struct piece {
    const struct token *token;
    uint32_t owner; /* the { it stands in; NO_PIECE: none. Of a { and its }, too, the one around them */
    uint32_t match; /* of { and }: the other */
    uint8_t mark;   /* enum mark */
    bool begins_author_line;
    bool follows_blank;
    bool continues;   /* if unless and or, where a statement may go on with it */
    bool is_test;     /* the { of a test */
    bool is_rules;    /* the { of `on` */
    bool begins_line; /* in what is printed */
};

struct layout {
    const struct source_set *sources;
    struct marked_tokens marked;
    struct piece *pieces;
    uint32_t count;
};

static inline bool piece_is(const struct piece *p, enum sign sign)
{
    return p->token->kind == TOKEN_SIGN && p->token->sign == sign;
}
static inline bool piece_is_comment(const struct piece *p)
{
    return p->token->kind == TOKEN_COMMENT;
}
static inline bool piece_opens(const struct piece *p)
{
    return p->mark == MARK_BLOCK || p->mark == MARK_LIST;
}
/* As it is printed: a comment without the spaces at its end. */
struct str piece_text(const struct layout *l, const struct piece *p);
/* The next one that is no comment; the count, if there is none. */
uint32_t piece_behind_comments(const struct layout *l, uint32_t i);
/* Spaces between it and the one before it, where both are on a line. */
unsigned piece_space(const struct layout *l, uint32_t i);

/* ---- format_lines.c ---- */

/* Where the author's lines begin anew. */
void format_keep_lines(struct layout *l);
/* Breaks the line that begins with piece `first` until it fits behind `indent`; returns the first piece of the next. */
uint32_t format_fit_line(struct layout *l, uint32_t first, unsigned indent);

#endif
