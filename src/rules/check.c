/* check.c - the order in which a tree is checked. See check.h. */
#include "rules/check_internal.h"

bool check_no_memory(struct checker *c)
{
    if (!c->no_memory)
        diag_error(c->d, PLACE_NONE, "no memory for what the configuration holds");
    c->no_memory = true;
    return false;
}

void check_later(struct checker *c, bool is_later, const char *word, struct place at)
{
    if (is_later && !c->allows_later)
        diag_error(c->d, at, "\"%s\" is not in force in this version", word);
}

void check_part(struct checker *c, enum part part, struct place at)
{
    static const struct {
        const char *word;
        bool later;
    } rows[] = {
#define PART(id, word, later, arguments, help) {word, later},
#include "rules/parts.def"
#undef PART
    };
    check_later(c, rows[part].later, rows[part].word, at);
}

/* ---- observe and disable ---- */

/* The tests of a file speak of its rules as they are written. Where somebody elsewhere has switched one of them off, or
 * only observes it, they cannot be met, and whoever tunes a file does not edit it. */
static void leave_out_tests(struct checker *c, uint32_t file)
{
    for (size_t i = 0; i < c->tree->count; i++)
        if (c->tree->statements[i]->kind == STATEMENT_TEST && c->tree->statements[i]->at.file == file)
            c->tree->statements[i]->test.is_left_out = true;
}

static void watch(struct checker *c, const struct statement *s)
{
    for (size_t i = 0; i < s->names.count; i++) {
        struct definition *d =
            names_use(c, NAMES_RULES, DEFINES_RULE | DEFINES_LIMIT, "rule or limit", s->names.items[i]);
        bool *is_set = !d ? NULL
                       : d->kind == DEFINES_RULE
                           ? s->kind == STATEMENT_DISABLE ? &d->rule->is_disabled : &d->rule->is_observed
                       : s->kind == STATEMENT_DISABLE ? &d->limit->is_disabled
                                                      : &d->limit->is_observed;
        if (!is_set)
            continue;
        uint32_t file = d->kind == DEFINES_RULE ? d->rule->at.file : d->limit->name.at.file;
        *is_set = true;
        if (file != s->at.file)
            leave_out_tests(c, file);
    }
}

void check_watched(struct checker *c)
{
    for (size_t i = 0; i < c->tree->count; i++) {
        struct statement *s = c->tree->statements[i];
        if (s->kind == STATEMENT_TEST)
            s->test.is_left_out = s->is_observed;
        if (s->kind == STATEMENT_LIMIT)
            s->limit.is_observed = s->is_observed || place_is_known(s->limit.observe_at);
        for (size_t k = 0; s->kind == STATEMENT_ON && k < s->on.count; k++)
            s->on.rules[k]->is_observed = s->is_observed || place_is_known(s->on.rules[k]->observe_at);
    }
    for (size_t i = 0; i < c->tree->count; i++) {
        const struct statement *s = c->tree->statements[i];
        if (!s->is_broken && (s->kind == STATEMENT_DISABLE || s->kind == STATEMENT_OBSERVE))
            watch(c, s);
    }
}

/* ---- statements ---- */

static void check_include(struct checker *c, struct statement *s)
{
    (void)check_value(c, &s->include.pattern);
    if (s->include.is_observed) /* its last word */
        check_part(c, PART_OBSERVE, s->end);
}

static void check_parts(struct checker *c, struct statement *s)
{
    const struct statement_row *row = &statement_rows[s->kind];
    if (row->later && str_equal(str_of_z(row->later), STR("*")))
        check_later(c, true, row->words, s->at);
    switch (s->kind) {
    case STATEMENT_INCLUDE:
        check_include(c, s);
        break;
    case STATEMENT_PARAMETER: /* these were the first */
    case STATEMENT_SET:
    case STATEMENT_DISABLE:
    case STATEMENT_OBSERVE:
    case STATEMENT_TABLE:
        break;
    case STATEMENT_DNSBL:
        check_dnsbl(c, &s->dnsbl);
        break;
    case STATEMENT_LIMIT:
        check_limit(c, &s->limit);
        break;
    case STATEMENT_ON:
        check_on(c, s);
        break;
    case STATEMENT_ALERT:
        check_alert(c, &s->alert);
        break;
    case STATEMENT_TEST:
        check_test(c, &s->test);
        break;
    default:
        check_server(c, s);
        break;
    }
}

/* What is wrong in itself is marked, so that whoever builds on the tree can look at all the others. */
static void check_statement(struct checker *c, struct statement *s, bool is_table)
{
    size_t errors = c->d->error_count;
    if (s->is_broken)
        return;
    if (is_table)
        check_table(c, &s->table);
    else
        check_parts(c, s);
    s->is_broken = c->d->error_count > errors;
}

bool rules_check_all(struct tree *tree, struct diagnostics *d, bool allows_later)
{
    struct checker c = {.tree = tree, .d = d, .allows_later = allows_later, .is_unread = d->error_count > 0};
    size_t errors = d->error_count;
    names_init(&c);
    names_define(&c);
    check_parameters(&c);
    check_watched(&c);
    /* tables before limits: `overrides` looks at what their items turned out to be */
    for (size_t i = 0; i < tree->count; i++)
        if (tree->statements[i]->kind == STATEMENT_TABLE)
            check_statement(&c, tree->statements[i], true);
    for (size_t i = 0; i < tree->count; i++)
        check_statement(&c, tree->statements[i], false);
    check_warnings(&c);
    names_fini(&c);
    return d->error_count == errors;
}

bool rules_check(struct tree *tree, struct diagnostics *d)
{
    return rules_check_all(tree, d, false);
}
