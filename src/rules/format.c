/* format.c - a text becomes pieces, lines, a text. See format.h. */
#include "rules/format_internal.h"

#include <stdlib.h>

#include "base/panic.h"

/* Blocks nest by the grammar: on { rule … in { } }, limit { if … in { } }, table { key { } }. */
enum { MAX_DEPTH = 4, MAX_TEXT_BYTES = 1 << 30 };

/* ---- pieces ---- */

struct str piece_text(const struct layout *l, const struct piece *p)
{
    struct str text = token_text(l->sources, &l->marked.tokens, p->token);
    return piece_is_comment(p) ? str_trim(text) : text;
}

uint32_t piece_behind_comments(const struct layout *l, uint32_t i)
{
    while (i < l->count && piece_is_comment(&l->pieces[i]))
        i++;
    return i;
}

static bool text_is(const struct layout *l, const struct piece *p, const char *word)
{
    return p->token->kind == TOKEN_WORD && str_equal(piece_text(l, p), str_of_z(word));
}

unsigned piece_space(const struct layout *l, uint32_t i)
{
    const struct piece *p = &l->pieces[i], *before = p - 1;
    if (piece_is_comment(p))
        return 2;
    if (p->mark == MARK_STATEMENT)
        return piece_opens(before) ? 1 : 2;
    if (piece_is(before, SIGN_OPEN_PAREN) || piece_is(before, SIGN_OPEN_INDEX) || piece_is(p, SIGN_CLOSE_PAREN) ||
        piece_is(p, SIGN_CLOSE_BRACKET) || piece_is(p, SIGN_COMMA) || piece_is(p, SIGN_OPEN_INDEX))
        return 0;
    bool is_call = piece_is(p, SIGN_OPEN_PAREN) && (text_is(l, before, "used") || text_is(l, before, "left"));
    return is_call ? 0 : 1;
}

static bool is_printed(const struct token *t)
{
    return t->kind != TOKEN_NEWLINE && t->kind != TOKEN_END && !(t->kind == TOKEN_SIGN && t->sign == SIGN_SEMICOLON);
}

static bool is_continuation(const struct layout *l, const struct piece *p)
{
    return text_is(l, p, "if") || text_is(l, p, "unless") || text_is(l, p, "and") || text_is(l, p, "or");
}

/* Which { holds which pieces. `statement` is the first piece of the statement at hand: what kind of block it has. */
static void find_owners(struct layout *l)
{
    uint32_t open = NO_PIECE, statement = 0;
    for (uint32_t i = 0; i < l->count; i++) {
        struct piece *p = &l->pieces[i];
        if (piece_is(p, SIGN_CLOSE_BRACE) && open != NO_PIECE) {
            p->match = open;
            l->pieces[open].match = i;
            open = l->pieces[open].owner;
        }
        p->owner = open;
        if (p->mark == MARK_STATEMENT && open == NO_PIECE)
            statement = i;
        p->continues = (open == NO_PIECE || l->pieces[open].mark == MARK_BLOCK) && is_continuation(l, p);
        if (!piece_opens(p))
            continue;
        p->is_test = p->mark == MARK_BLOCK && text_is(l, &l->pieces[statement], "test");
        p->is_rules = p->mark == MARK_BLOCK && text_is(l, &l->pieces[statement], "on");
        open = i;
    }
}

static bool layout_init(struct layout *l, const struct source_set *sources)
{
    const struct tokens *tokens = &l->marked.tokens;
    uint32_t line = 1;
    l->sources = sources;
    l->count = 0;
    l->pieces = calloc(tokens->count, sizeof *l->pieces);
    if (!l->pieces)
        return false;
    for (size_t i = 0; i < tokens->count; i++) {
        const struct token *t = &tokens->items[i];
        if (t->kind == TOKEN_NEWLINE || t->kind == TOKEN_END)
            continue; /* they stand behind the last word, not where the next one is */
        if (is_printed(t))
            l->pieces[l->count++] = (struct piece){.token = t,
                                                   .mark = l->marked.marks[i],
                                                   .begins_author_line = t->line != line,
                                                   .follows_blank = t->line > line + 1};
        line = t->line;
    }
    find_owners(l);
    return true;
}

static void layout_fini(struct layout *l)
{
    marked_tokens_fini(&l->marked);
    free(l->pieces);
}

/* ---- printing ---- */

struct printer {
    struct layout *l;
    struct buf *to;
    unsigned indent;  /* of statements and items at hand */
    unsigned at_line; /* of the line at hand */
    struct {
        unsigned outer; /* indent outside of it */
        unsigned close; /* of its } */
    } open[MAX_DEPTH];
    unsigned depth;
};

/* Does something begin with the piece, or, of a comment, with what it speaks of? */
static bool begins_something(const struct layout *l, uint32_t i)
{
    if (piece_is_comment(&l->pieces[i])) {
        i = piece_behind_comments(l, i);
        if (i == l->count || piece_is(&l->pieces[i], SIGN_CLOSE_BRACE))
            return true;
    }
    uint8_t mark = l->pieces[i].mark;
    return mark == MARK_STATEMENT || mark == MARK_ITEM || mark == MARK_RATE;
}

static unsigned line_indent(const struct printer *p, uint32_t first)
{
    if (piece_is(&p->l->pieces[first], SIGN_CLOSE_BRACE) && p->depth)
        return p->open[p->depth - 1].close;
    return begins_something(p->l, first) ? p->indent : p->indent + FORMAT_INDENT;
}

static void note_brace(struct printer *p, const struct piece *piece)
{
    if (piece_opens(piece)) {
        PANIC_IF(p->depth == MAX_DEPTH, "blocks nest deeper than the grammar lets them");
        p->open[p->depth].outer = p->indent;
        p->open[p->depth].close = p->at_line;
        p->depth++;
        p->indent = p->at_line + FORMAT_INDENT;
    } else if (piece_is(piece, SIGN_CLOSE_BRACE) && p->depth) {
        p->indent = p->open[--p->depth].outer;
    }
}

static bool print_spaces(struct printer *p, unsigned count)
{
    bool fits = true;
    while (count-- && fits)
        fits = buf_append_char(p->to, ' ');
    return fits;
}

static bool is_blank_kept(const struct layout *l, uint32_t first)
{
    return first && l->pieces[first].follows_blank && begins_something(l, first) && !piece_opens(&l->pieces[first - 1]);
}

static bool print_line(struct printer *p, uint32_t first, uint32_t end)
{
    bool fits = !is_blank_kept(p->l, first) || buf_append_char(p->to, '\n');
    fits = fits && print_spaces(p, p->at_line);
    for (uint32_t i = first; i < end && fits; i++) {
        fits = (i == first || print_spaces(p, piece_space(p->l, i))) &&
               buf_append_str(p->to, piece_text(p->l, &p->l->pieces[i]));
        note_brace(p, &p->l->pieces[i]);
    }
    return fits && buf_append_char(p->to, '\n');
}

static bool print_pieces(struct layout *l, struct buf *to)
{
    struct printer p = {.l = l, .to = to};
    bool fits = true;
    for (uint32_t first = 0, end; first < l->count && fits; first = end) {
        p.at_line = line_indent(&p, first);
        end = format_fit_line(l, first, p.at_line);
        fits = print_line(&p, first, end);
    }
    return fits;
}

/* ---- the whole ---- */

static bool read_layout(struct source_set *sources, uint32_t file, struct diagnostics *d, struct layout *l)
{
    struct tree tree;
    *l = (struct layout){0};
    tree_init(&tree, sources);
    bool fine = rules_parse_marked(sources, file, d, &tree, &l->marked);
    tree_fini(&tree);
    if (fine && !layout_init(l, sources))
        fine = diag_error(d, PLACE_NONE, "no memory to lay out what the file holds");
    return fine;
}

/* The same words and comments in the same order, and the same things begin with them: so they are parsed alike. */
static bool says_the_same(const struct layout *a, const struct layout *b)
{
    bool same = a->count == b->count;
    for (uint32_t i = 0; i < a->count && same; i++) {
        const struct piece *x = &a->pieces[i], *y = &b->pieces[i];
        same = x->token->kind == y->token->kind && x->token->sign == y->token->sign && x->mark == y->mark &&
               str_equal(piece_text(a, x), piece_text(b, y));
    }
    return same;
}

static enum format_result compare(struct source_set *sources, const struct layout *l, struct str text,
                                  struct diagnostics *d)
{
    struct diagnostics said;
    struct layout again = {0};
    struct err err;
    uint32_t file;
    if (!source_add_text(sources, STR("formatted"), text, &file, &err)) {
        diag_error(d, PLACE_NONE, "the formatted text cannot be read again: %s", err.text);
        return FORMAT_HAS_ERRORS;
    }
    diag_init(&said, sources);
    bool same = read_layout(sources, file, &said, &again) && says_the_same(l, &again);
    layout_fini(&again);
    diag_fini(&said);
    return same ? FORMAT_DONE : FORMAT_FAULT;
}

enum format_result rules_format(struct source_set *sources, uint32_t file, struct diagnostics *d, struct buf *to)
{
    struct layout l;
    enum format_result result = FORMAT_HAS_ERRORS;
    if (read_layout(sources, file, d, &l)) {
        format_keep_lines(&l);
        if (print_pieces(&l, to))
            result = compare(sources, &l, buf_str(to), d);
        else
            diag_error(d, PLACE_NONE, "no memory to lay out what the file holds");
    }
    if (result != FORMAT_DONE)
        buf_clear(to);
    layout_fini(&l);
    return result;
}
