/*
 * format_lines.c - which pieces begin a line: first as the author had it, as far as that is kept, then more of them
 * where a line is too long.
 *
 * Whatever is chosen here must be chosen again when the result is read: so a line is only ever broken where an author's
 * break is kept, and breaks are added, never taken back.
 */
#include "rules/format_internal.h"

/* ---- as the author had it ---- */

/* On one line it may stay: it was, and holds no more than it may. */
static bool was_flat(const struct layout *l, uint32_t open)
{
    const struct piece *p = &l->pieces[open];
    if (p->match == open + 1)
        return true; /* { } */
    if (p->token->line != l->pieces[p->match].token->line)
        return false;
    unsigned statements = 0;
    for (uint32_t i = open + 1; p->is_rules && i < p->match; i++)
        statements += l->pieces[i].mark == MARK_STATEMENT && l->pieces[i].owner == open;
    return statements <= 1;
}

/* One line each: what stands in a block or list, and its }. The steps of a test only if `all`. */
static void open_block(struct layout *l, uint32_t open, bool all)
{
    const struct piece *p = &l->pieces[open];
    for (uint32_t i = open + 1; i < p->match; i++) {
        struct piece *inner = &l->pieces[i];
        bool begins = inner->owner == open && (inner->mark == MARK_STATEMENT || inner->mark == MARK_ITEM);
        if (begins && (all || i == open + 1 || inner->begins_author_line))
            inner->begins_line = true;
    }
    l->pieces[p->match].begins_line = true;
}

/* A statement that goes on with `if` … is broken before the word, also where the author broke it behind it. */
static bool continues_on_line(const struct layout *l, uint32_t i)
{
    const struct piece *p = &l->pieces[i];
    uint32_t next = piece_behind_comments(l, i + 1);
    return p->begins_author_line || (next < l->count && l->pieces[next].token->line != p->token->line);
}

static bool keeps_line(const struct layout *l, uint32_t i)
{
    const struct piece *p = &l->pieces[i];
    if (i == 0 || piece_is_comment(&l->pieces[i - 1]))
        return true;
    if (piece_is_comment(p) || p->mark == MARK_RATE)
        return p->begins_author_line;
    if (p->mark == MARK_STATEMENT)
        return p->owner == NO_PIECE;
    if (p->mark == MARK_NONE && piece_is(&l->pieces[i - 1], SIGN_COMMA))
        return p->begins_author_line;
    return p->mark == MARK_NONE && p->continues && continues_on_line(l, i);
}

void format_keep_lines(struct layout *l)
{
    for (uint32_t i = 0; i < l->count; i++) {
        struct piece *p = &l->pieces[i];
        if (keeps_line(l, i))
            p->begins_line = true;
        if (piece_opens(p) && !was_flat(l, i))
            open_block(l, i, !p->is_test);
    }
}

/* ---- lines that are too long ---- */

static uint32_t line_end(const struct layout *l, uint32_t first)
{
    uint32_t end = first + 1;
    while (end < l->count && !l->pieces[end].begins_line)
        end++;
    return end;
}

/* Comments do not count. */
static bool is_too_long(const struct layout *l, uint32_t first, uint32_t end, unsigned indent)
{
    size_t width = indent;
    for (uint32_t i = first; i < end && width <= FORMAT_WIDTH && !piece_is_comment(&l->pieces[i]); i++)
        width += l->pieces[i].token->len + (i > first ? piece_space(l, i) : 0);
    return width > FORMAT_WIDTH;
}

/* The outermost block (list) that both begins and ends on the line. */
static bool open_on_line(struct layout *l, uint32_t first, uint32_t end, enum mark mark)
{
    for (uint32_t i = first; i < end; i++) {
        const struct piece *p = &l->pieces[i];
        if (p->mark != mark || p->match == i + 1 || p->match >= end)
            continue;
        open_block(l, i, true);
        return true;
    }
    return false;
}

static bool break_before_marks(struct layout *l, uint32_t first, uint32_t end, enum mark mark)
{
    bool any = false;
    for (uint32_t i = first + 1; i < end; i++)
        if (l->pieces[i].mark == mark)
            any = l->pieces[i].begins_line = true;
    return any;
}

static bool is_condition_word(const struct layout *l, const struct piece *p)
{
    struct str text = piece_text(l, p);
    return str_equal(text, STR("if")) || str_equal(text, STR("unless"));
}

static bool break_before_conditions(struct layout *l, uint32_t first, uint32_t end)
{
    bool any = false;
    for (uint32_t i = first + 1; i < end; i++) {
        struct piece *p = &l->pieces[i];
        if (p->continues && p->mark == MARK_NONE && is_condition_word(l, p))
            any = p->begins_line = true;
    }
    return any;
}

/* `and` and `or` of the outermost parentheses that hold one. */
static bool break_before_operators(struct layout *l, uint32_t first, uint32_t end)
{
    int depth = 0, outermost = INT32_MAX;
    for (int round = 0; round < 2; round++, depth = 0) {
        for (uint32_t i = first; i < end; i++) {
            struct piece *p = &l->pieces[i];
            depth += piece_is(p, SIGN_OPEN_PAREN) - piece_is(p, SIGN_CLOSE_PAREN);
            if (i == first || !p->continues || p->mark != MARK_NONE || is_condition_word(l, p))
                continue;
            if (round == 0)
                outermost = MIN_OF(outermost, depth);
            else if (depth == outermost)
                p->begins_line = true;
        }
    }
    return outermost != INT32_MAX;
}

static bool break_behind_commas(struct layout *l, uint32_t first, uint32_t end)
{
    bool any = false;
    for (uint32_t i = first + 1; i < end; i++)
        if (piece_is(&l->pieces[i - 1], SIGN_COMMA) && l->pieces[i].mark != MARK_ITEM &&
            !piece_is_comment(&l->pieces[i]))
            any = l->pieces[i].begins_line = true;
    return any;
}

/* From what a reader expects to be broken first to what one expects last. False: nothing is left. */
static bool break_line(struct layout *l, uint32_t first, uint32_t end)
{
    return open_on_line(l, first, end, MARK_BLOCK) || break_before_marks(l, first, end, MARK_STATEMENT) ||
           break_before_conditions(l, first, end) || break_before_operators(l, first, end) ||
           open_on_line(l, first, end, MARK_LIST) || break_before_marks(l, first, end, MARK_RATE) ||
           break_behind_commas(l, first, end);
}

uint32_t format_fit_line(struct layout *l, uint32_t first, unsigned indent)
{
    uint32_t end = line_end(l, first);
    while (is_too_long(l, first, end, indent) && break_line(l, first, end))
        end = line_end(l, first);
    return end;
}
