/* parse_server.c - the statements of the server, and option blocks: rows of statements.def and options.def, nothing
 * else. */
#include "rules/parse_internal.h"

/* ---- option blocks ---- */

struct option_reader {
    const char *statement;
    struct options *options;
    bool is_broken; /* some option is wrong: said */
};

/* Does an option of the block begin here? */
static bool is_option(struct parser *p, const struct option_reader *r, enum option_kind *kind)
{
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        *kind = (enum option_kind)i;
        if (option_rows[i].block == r->options->block && parse_is_word(p, option_rows[i].word))
            return true;
    }
    return false;
}

static struct str nearest_option(const struct option_reader *r, struct str word)
{
    struct suggestion nearest;
    suggest_init(&nearest, word);
    for (unsigned i = 0; i < OPTION_COUNT; i++)
        if (option_rows[i].block == r->options->block)
            suggest_offer(&nearest, str_of_z(option_rows[i].word));
    return suggest_best(&nearest);
}

static bool find_option(struct parser *p, const struct option_reader *r, enum option_kind *kind)
{
    const struct token *t = parse_peek(p);
    struct str word = parse_text(p, t);
    if (is_option(p, r, kind))
        return true;
    if (t->kind != TOKEN_WORD || word_is_kept(word))
        return parse_expected(p, "an option");
    diag_error(p->d, parse_place(p, t), "unknown option \"" PRI_STR "\" of %s", STR_ARG(word), r->statement);
    diag_did_you_mean(p->d, nearest_option(r, word));
    return false;
}

static bool read_option(struct parser *p, const struct option_reader *r)
{
    struct option read = {.at = parse_place(p, parse_peek(p))};
    if (!find_option(p, r, &read.kind))
        return false;
    const struct option_row *row = &option_rows[read.kind];
    if (options_get(r->options, read.kind))
        return diag_error(p->d, read.at, "%s stands twice", row->word);
    parse_take(p);
    struct str who = arena_printf(&p->tree->arena, "%s %s", r->statement, row->word);
    if (!who.ptr)
        return parse_no_memory(p);
    if (!parse_args(p, row->arguments, who, false, &read.values))
        return false;
    void *items = r->options->items;
    struct option *kept = parse_array_add(p, &items, &r->options->count, sizeof *kept);
    r->options->items = items;
    if (kept)
        *kept = read;
    return kept != NULL;
}

/* A word of the block, or one that is meant to be. */
static bool is_like_option(struct parser *p, const struct option_reader *r)
{
    const struct token *t = parse_peek(p);
    enum option_kind kind;
    return is_option(p, r, &kind) || (t->kind == TOKEN_WORD && nearest_option(r, parse_text(p, t)).len > 0);
}

/* Does the option end here? A brace, too, is not ours to skip. */
static bool is_at_end(struct parser *p)
{
    const struct token *t = parse_peek(p);
    return t->kind == TOKEN_END || t->kind == TOKEN_NEWLINE ||
           (t->kind == TOKEN_SIGN &&
            (t->sign == SIGN_SEMICOLON || t->sign == SIGN_OPEN_BRACE || t->sign == SIGN_CLOSE_BRACE));
}

/* Behind an option that is wrong, to the next one, be it on the same line: all that is wrong is said in one run. What
 * stands where its value should is its value, whatever it looks like, but for another option. */
static void skip_to_next(struct parser *p, const struct option_reader *r, size_t start)
{
    p->parens = 0;
    p->in_list = false;
    p->nesting = 0;
    if (p->at == start)
        parse_take(p);
    enum option_kind kind;
    if (!is_at_end(p) && !is_option(p, r, &kind))
        parse_take(p);
    while (!is_at_end(p) && !is_like_option(p, r))
        parse_take(p);
}

static bool parse_option(struct parser *p, void *arg)
{
    struct option_reader *r = arg;
    size_t start = p->at;
    if (read_option(p, r))
        return true;
    if (p->no_memory)
        return false;
    r->is_broken = true;
    skip_to_next(p, r, start);
    return !parse_is_sign(p, SIGN_OPEN_BRACE); /* parse_recover knows what a block is */
}

bool parse_options(struct parser *p, const char *statement, enum option_block block, struct options *options)
{
    struct option_reader r = {.statement = statement, .options = options};
    *options = (struct options){.block = block};
    if (block == OPTIONS_NONE || !parse_is_sign(p, SIGN_OPEN_BRACE))
        return true;
    return parse_block(p, parse_option, &r) && !r.is_broken;
}

/* ---- statements ---- */

/* Is `first` the row's first word? *rest: those behind it. */
static bool begins_with(const struct statement_row *row, struct str first, struct str *rest)
{
    if (!parse_is_first_word(row->words, first))
        return false;
    *rest = str_from(str_of_z(row->words), first.len + 1);
    return true;
}

/* Do the row's words stand here? From the first one, which is taken already, on. */
static size_t matching_words(struct parser *p, struct str rest)
{
    size_t count = 0, at = p->at, last = p->last;
    bool all = true;
    while (rest.len && all) {
        struct str word = str_split(rest, ' ', &rest);
        const struct token *t = parse_peek(p);
        all = t->kind == TOKEN_WORD && str_equal(parse_text(p, t), word);
        if (all)
            parse_take(p);
        count += all;
    }
    p->at = at;
    p->last = last;
    return all ? count + 1 : 0;
}

/* `auth fil`: what may stand behind the first word. */
static bool expected_second(struct parser *p, struct str first)
{
    char text[256] = "";
    struct suggestion nearest;
    const struct token *t = parse_peek(p);
    struct buf list;
    size_t rows = 0, said = 0;
    suggest_init(&nearest, parse_text(p, t));
    buf_init(&list, sizeof text - 1);
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < STATEMENT_COUNT; i++) {
            struct str rest;
            /* "store redis" stands for "store redis sentinel" */
            if (!begins_with(&statement_rows[i], first, &rest) || !rest.len || str_find(rest, ' ') < rest.len)
                continue;
            if (round == 0) {
                rows++;
                suggest_offer(&nearest, rest);
                continue;
            }
            const char *before = said == 0 ? "" : said + 1 == rows ? " or " : ", ";
            said += buf_printf(&list, "%s\"" PRI_STR "\"", before, STR_ARG(rest));
        }
    }
    str_copy_into(text, sizeof text, buf_str(&list));
    buf_fini(&list);
    parse_expected(p, "%s", text);
    if (t->kind == TOKEN_WORD)
        diag_did_you_mean(p->d, suggest_best(&nearest));
    return false;
}

bool parse_server(struct parser *p, struct statement *s)
{
    struct str first = parse_text(p, &p->tokens.items[p->last]), rest;
    size_t best = 0;
    for (unsigned i = 0; i < STATEMENT_COUNT; i++) {
        if (statement_rows[i].times == TIMES_SYNTAX || !begins_with(&statement_rows[i], first, &rest))
            continue;
        size_t words = matching_words(p, rest);
        if (words <= best)
            continue;
        best = words;
        s->kind = (enum statement_kind)i;
    }
    if (!best)
        return expected_second(p, first);
    for (; best > 1; best--)
        parse_take(p);
    const struct statement_row *row = &statement_rows[s->kind];
    struct str word = str_copy_into((char[32]){0}, 32, first);
    return parse_args(p, row->arguments, str_of_z(row->words), false, &s->server.values) &&
           parse_options(p, word.ptr, row->options, &s->server.options);
}
