/* parse_statement.c - files and includes, and the statements that have a line of their own. */
#include <stdlib.h>

#include "rules/parse_internal.h"

/* ---- what begins a statement ---- */

bool statement_begins_with(struct str word)
{
    for (unsigned i = 0; i < STATEMENT_COUNT; i++)
        if (parse_is_first_word(statement_rows[i].words, word))
            return true;
    return false;
}

static bool find_statement(struct parser *p, enum statement_kind *kind)
{
    unsigned row;
    bool is_rule = parse_is_word(p, "rule") || word_is_action(parse_text(p, parse_peek(p)));
    bool found = PARSE_FIND(p, statement_rows, "statement", "a statement", &row);
    if (is_rule && !found)
        diag_hint(p->d, "rules stand in on PHASE { … }");
    *kind = (enum statement_kind)row;
    return found;
}

/* ---- short ones ---- */

static bool parse_include(struct parser *p, struct statement *s)
{
    if (!parse_is_string(p))
        return parse_expected(p, "a file name in quotes");
    if (!parse_string(p, false, &s->include.pattern))
        return false;
    s->include.is_observed = parse_accept_word(p, "observe");
    return true;
}

static bool parse_parameter(struct parser *p, struct statement *s)
{
    if (!parse_name(p, "a name for the parameter", &s->parameter.name) ||
        !parse_parameter_value(p, &s->parameter.value))
        return false;
    if (s->kind == STATEMENT_PARAMETER && parse_is_string(p))
        return parse_string(p, false, &s->parameter.about);
    return true;
}

static bool parse_names(struct parser *p, struct statement *s)
{
    do {
        struct name name;
        if (!parse_name(p, "a rule or limit", &name))
            return false;
        void *items = s->names.items;
        struct name *kept = parse_array_add(p, &items, &s->names.count, sizeof *kept);
        s->names.items = items;
        if (!kept)
            return false;
        *kept = name;
    } while (parse_fits_shape(p, SHAPE_NAME));
    if (!parse_is_sign(p, SIGN_COMMA))
        return true;
    parse_expected(p, "end of line");
    diag_hint(p->d, "names stand one behind the other, without commas");
    return false;
}

static bool parse_dnsbl(struct parser *p, struct statement *s)
{
    return parse_name(p, "a name for the dnsbl", &s->dnsbl.name) &&
           parse_text_value(p, "a zone in quotes", &s->dnsbl.zone) &&
           parse_options(p, "dnsbl", OPTIONS_DNSBL, &s->dnsbl.options);
}

static bool parse_alert(struct parser *p, struct statement *s)
{
    static const struct {
        const char *word;
        const char *arguments;
    } kinds[] = {[ALERT_WEBHOOK] = {"webhook", "TEXT"},
                 [ALERT_MAIL] = {"mail", "ADDRESS..."},
                 [ALERT_SYSLOG] = {"syslog", ""},
                 [ALERT_EXEC] = {"exec", "TEXT"}};
    struct alert *a = &s->alert;
    if (!parse_name(p, "a name for the alert", &a->name))
        return false;
    a->kind_at = parse_place(p, parse_peek(p));
    for (unsigned i = 0; i < COUNT_OF(kinds); i++) {
        if (!parse_accept_word(p, kinds[i].word))
            continue;
        a->kind = (enum alert_kind)i;
        return parse_args(p, kinds[i].arguments, STR("alert"), false, &a->values) &&
               parse_options(p, "alert", OPTIONS_ALERT, &a->options);
    }
    return parse_expected(p, "\"webhook\", \"mail\", \"syslog\" or \"exec\"");
}

/* ---- statements ---- */

static bool parse_rest(struct parser *p, struct statement *s)
{
    switch (s->kind) {
    case STATEMENT_INCLUDE:
        return parse_include(p, s);
    case STATEMENT_PARAMETER:
    case STATEMENT_SET:
        return parse_parameter(p, s);
    case STATEMENT_DISABLE:
    case STATEMENT_OBSERVE:
        return parse_names(p, s);
    case STATEMENT_TABLE:
        return parse_table(p, s);
    case STATEMENT_DNSBL:
        return parse_dnsbl(p, s);
    case STATEMENT_LIMIT:
        return parse_limit(p, s);
    case STATEMENT_ON:
        return parse_on(p, s);
    case STATEMENT_ALERT:
        return parse_alert(p, s);
    case STATEMENT_TEST:
        return parse_test(p, s);
    default:
        return parse_server(p, s);
    }
}

static bool tree_add(struct parser *p, struct statement *s)
{
    void *statements = p->tree->statements;
    struct statement **kept = parse_array_add(p, &statements, &p->tree->count, sizeof *kept);
    p->tree->statements = statements;
    if (kept)
        *kept = s;
    return kept != NULL;
}

/* ---- files ---- */

static void parse_statements(struct parser *p)
{
    while (parse_next_in_block(p, NULL)) {
        size_t at = p->at;
        parse_mark(p, MARK_STATEMENT);
        if (parse_statement(p) || p->no_memory)
            continue;
        parse_recover(p);
        if (p->at == at) /* a } that closes nothing */
            parse_take(p);
    }
}

static bool parse_file(struct source_set *sources, uint32_t file, struct diagnostics *d, struct tree *tree,
                       struct parser *includer, bool is_observed)
{
    struct parser p = {.sources = sources,
                       .d = d,
                       .tree = tree,
                       .includer = includer,
                       .is_observed = is_observed,
                       .depth = includer ? includer->depth + 1 : 0};
    size_t errors = d->error_count;
    if (!lex(sources, file, d, &p.tokens))
        return false;
    parse_statements(&p);
    tokens_fini(&p.tokens);
    return d->error_count == errors;
}

bool rules_parse_marked(struct source_set *sources, uint32_t file, struct diagnostics *d, struct tree *tree,
                        struct marked_tokens *marked)
{
    struct parser p = {.sources = sources, .d = d, .tree = tree};
    size_t errors = d->error_count;
    *marked = (struct marked_tokens){0};
    if (!lex(sources, file, d, &p.tokens))
        return false;
    p.marks = calloc(p.tokens.count, 1);
    if (p.marks)
        parse_statements(&p);
    else
        parse_no_memory(&p);
    *marked = (struct marked_tokens){p.tokens, p.marks};
    return d->error_count == errors;
}

void marked_tokens_fini(struct marked_tokens *marked)
{
    tokens_fini(&marked->tokens);
    free(marked->marks);
    marked->marks = NULL;
}

static bool said_cycle(struct parser *p, uint32_t file, struct place at)
{
    const struct parser *first = p;
    while (first && first->tokens.file != file)
        first = first->includer;
    if (!first)
        return false;
    /* from the first to the one that closes the ring: walk outwards, write inwards */
    struct str ring = source_file_get(p->sources, file)->name;
    for (const struct parser *q = p; ring.ptr; q = q->includer) {
        struct str name = source_file_get(p->sources, q->tokens.file)->name;
        ring = arena_printf(&p->tree->arena, PRI_STR ", " PRI_STR, STR_ARG(name), STR_ARG(ring));
        if (q == first)
            break;
    }
    if (ring.ptr)
        diag_error(p->d, at, "include cycle: " PRI_STR, STR_ARG(ring));
    else
        parse_no_memory(p);
    return true;
}

static bool include_one(struct parser *p, struct statement *s, struct str name, bool is_observed)
{
    struct err err;
    uint32_t file;
    struct place at = s->include.pattern.at;
    bool is_builtin = source_file_get(p->sources, p->tokens.file)->is_builtin;
    bool read =
        is_builtin ? source_find_builtin(p->sources, name, &file, &err) : source_read(p->sources, name, &file, &err);
    if (!read)
        return diag_error(p->d, at, "cannot read \"" PRI_STR "\": %s", STR_ARG(name), err.text);
    if (said_cycle(p, file, at))
        return false;
    if (p->depth + 1 >= SOURCE_MAX_DEPTH)
        return diag_error(p->d, at, "includes nest at most %d deep", SOURCE_MAX_DEPTH);
    /* a handful of files that include each other twice at every depth would be read a million times */
    if (p->tree->inclusions >= SOURCE_MAX_FILES)
        return diag_error(p->d, at, "more than %d files are included", SOURCE_MAX_FILES);
    p->tree->inclusions++;
    void *files = s->include.files;
    uint32_t *kept = parse_array_add(p, &files, &s->include.file_count, sizeof *kept);
    s->include.files = files;
    if (!kept)
        return false;
    *kept = file;
    return parse_file(p->sources, file, p->d, p->tree, p, is_observed);
}

/* What is wrong in an included file breaks its own statements, not the include. */
static void include_all(struct parser *p, struct statement *s)
{
    struct str pattern = s->include.pattern.text, *names = NULL;
    struct err err;
    size_t count = 0;
    bool is_observed = p->is_observed || s->include.is_observed;
    struct str joined = source_join(p->sources, p->tokens.file, pattern, &p->tree->arena);
    if (!joined.ptr) {
        parse_no_memory(p);
        return;
    }
    if (!source_is_glob(pattern)) {
        (void)!include_one(p, s, joined, is_observed);
        return;
    }
    if (!source_glob(p->sources, p->tokens.file, pattern, &p->tree->arena, &names, &count, &err)) {
        diag_error(p->d, s->include.pattern.at, "cannot read \"" PRI_STR "\": %s", STR_ARG(joined), err.text);
        return;
    }
    for (size_t i = 0; i < count; i++)
        (void)!include_one(p, s, names[i], is_observed);
}

/* Added before it is read: the statements of an include stand behind it, and a broken one is there by its name. */
bool parse_statement(struct parser *p)
{
    enum statement_kind kind;
    struct place at = parse_place(p, parse_peek(p));
    if (!find_statement(p, &kind))
        return false;
    struct statement *s = parse_alloc(p, sizeof *s);
    if (!s || !tree_add(p, s))
        return false;
    *s = (struct statement){.kind = kind, .at = at, .is_broken = true, .is_observed = p->is_observed};
    parse_take(p);
    bool fine = parse_rest(p, s);
    s->end = parse_last_place(p);
    if (!fine || !parse_end_statement(p))
        return false;
    s->is_broken = false;
    if (kind == STATEMENT_INCLUDE && !p->marks)
        include_all(p, s);
    return true;
}

static bool parse_first(struct source_set *sources, uint32_t file, struct diagnostics *d, struct tree *tree)
{
    return parse_file(sources, file, d, tree, NULL, false);
}

bool rules_parse(struct source_set *sources, const char *path, struct diagnostics *d, struct tree *tree)
{
    struct err err;
    uint32_t file;
    if (!source_read(sources, str_of_z(path), &file, &err))
        return diag_error(d, PLACE_NONE, "cannot read \"%s\": %s", path, err.text);
    return parse_first(sources, file, d, tree);
}

bool rules_parse_builtin(struct source_set *sources, const char *name, struct diagnostics *d, struct tree *tree)
{
    struct err err;
    uint32_t file;
    if (!source_find_builtin(sources, str_of_z(name), &file, &err))
        return diag_error(d, PLACE_NONE, "cannot read \"%s\": %s", name, err.text);
    return parse_first(sources, file, d, tree);
}

bool rules_parse_text(struct source_set *sources, const char *name, struct str text, struct diagnostics *d,
                      struct tree *tree)
{
    struct err err;
    uint32_t file;
    if (!source_add_text(sources, str_of_z(name), text, &file, &err))
        return diag_error(d, PLACE_NONE, "cannot read \"%s\": %s", name, err.text);
    return parse_first(sources, file, d, tree);
}
