/* language_more.c - what there is to say of a row besides its words: where it holds, what belongs to it, its default.
 */
#include "rules/language_internal.h"

#include <stdio.h>
#include <string.h>

enum { OPTION_INDENT = 6, OPTION_HELP = 40, LINE_MAX = 1024 };

/* Words of many rows in one fact. */
struct list {
    char text[LINE_MAX];
    size_t len;
};

static void list_add(struct list *l, const char *between, const char *word)
{
    int n = snprintf(l->text + l->len, sizeof l->text - l->len, "%s%s", l->len ? between : "", word);
    l->len = MIN_OF(l->len + (size_t)MAX_OF(n, 0), sizeof l->text - 1);
}

static void write_list(struct writer *w, const char *name, const struct list *l)
{
    if (l->len)
        write_fact(w, name, l->text);
}

static void write_default(struct writer *w, const char *without)
{
    char text[LINE_MAX];
    if (!without)
        return;
    size_t len = strlen(without);
    if (without[0] == '(')
        snprintf(text, sizeof text, "%.*s", (int)len - 2, without + 1);
    else
        snprintf(text, sizeof text, "%s", without);
    write_fact(w, "default", text);
}

/* A line for each: how it reads, what it is. */
static void write_options(struct writer *w, enum option_block block)
{
    write_fact(w, "options", "in { } behind it; `mailweir language OPTION` says more");
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *row = &option_rows[i];
        if (row->block != block)
            continue;
        write_to_column(w, OPTION_INDENT);
        write_z(w, row->word);
        write_z(w, row->later ? "* " : " ");
        write_pattern(w, row->arguments);
        if (w->col >= OPTION_HELP)
            write_line_end(w);
        write_to_column(w, OPTION_HELP);
        write_wrapped(w, str_of_z(row->help), OPTION_HELP);
        write_line_end(w);
    }
}

static void write_kinds(struct writer *w, enum statement_kind kind)
{
    struct list l = {.len = 0}, units = {.len = 0};
    if (kind == STATEMENT_LIMIT) {
        for (unsigned i = 0; i < KEY_COUNT; i++)
            list_add(&l, " ", key_rows[i].word);
        for (unsigned i = 0; i < RULE_UNIT_COUNT; i++)
            list_add(&units, " ", unit_rows[i].word);
        write_list(w, "KEY", &l);
        write_list(w, "UNIT", &units);
        write_fact(w, "PARTS", "at, overrides, if COND, unless COND, observe");
    } else if (kind == STATEMENT_TABLE) {
        for (unsigned i = 0; i < TABLE_TYPE_COUNT; i++)
            list_add(&l, " ", table_type_rows[i].word);
        write_list(w, "TYPE", &l);
    } else if (kind == STATEMENT_ON) {
        write_fact(w, "RULES", "see `mailweir language rule`");
    } else if (kind == STATEMENT_TEST) {
        for (unsigned i = 0; i < STEP_COUNT; i++)
            list_add(&l, ", ", step_rows[i].words);
        write_list(w, "STEPS", &l);
    }
}

void language_more_statement(struct writer *w, size_t i)
{
    const struct statement_row *row = &statement_rows[i];
    write_kinds(w, (enum statement_kind)i);
    if (row->options != OPTIONS_NONE)
        write_options(w, row->options);
    write_default(w, row->without);
    if (row->times == TIMES_ONCE)
        write_fact(w, "stands", "once in all files");
}

void language_more_option(struct writer *w, size_t i)
{
    struct list l = {.len = 0};
    for (unsigned k = 0; k < STATEMENT_COUNT; k++)
        if (statement_rows[k].options == option_rows[i].block)
            list_add(&l, ", ", statement_rows[k].words);
    write_list(w, "of", &l);
    write_default(w, option_rows[i].without);
}

void language_more_phase(struct writer *w, size_t i)
{
    struct list actions = {.len = 0}, attributes = {.len = 0}, units = {.len = 0};
    for (unsigned k = 0; k < ACTION_COUNT; k++)
        if (action_rows[k].phases & 1u << i)
            list_add(&actions, " ", action_rows[k].word);
    for (unsigned k = 0; k < ATTRIBUTE_COUNT; k++)
        if (attribute_rows[k].phase == (enum phase)i)
            list_add(&attributes, " ", attribute_rows[k].name);
    for (unsigned k = 0; k < RULE_UNIT_COUNT; k++)
        if (unit_rows[k].phase == (enum phase)i)
            list_add(&units, " ", unit_rows[k].word);
    write_list(w, "actions", &actions);
    write_list(w, "known now", &attributes);
    write_list(w, "counted", &units);
}

static void write_phases(struct writer *w, unsigned phases)
{
    struct list l = {.len = 0};
    for (unsigned i = 0; i < PHASE_COUNT; i++)
        if (phases & 1u << i)
            list_add(&l, " ", phase_rows[i].word);
    write_list(w, "phases", &l);
}

void language_more_action(struct writer *w, size_t i)
{
    const struct action_row *row = &action_rows[i];
    write_phases(w, row->phases);
    if (row->ends)
        write_fact(w, "ends", "its phase; a rule holds one such action at most");
    write_fact(w, "thresholds", row->threshold ? "may hold it" : "may not hold it");
}

/* `sender` leads to `sender.domain`, and that back. */
static void write_family(struct writer *w, size_t i)
{
    struct list l = {.len = 0};
    struct str name = str_of_z(attribute_rows[i].name), first = str_sub(name, 0, str_find(name, '.'));
    for (unsigned k = 0; k < ATTRIBUTE_COUNT; k++) {
        struct str other = str_of_z(attribute_rows[k].name);
        if (k != i && str_equal(first, str_sub(other, 0, str_find(other, '.'))))
            list_add(&l, " ", attribute_rows[k].name);
    }
    write_list(w, "see also", &l);
}

void language_more_attribute(struct writer *w, size_t i)
{
    char text[LINE_MAX];
    const struct attribute_row *row = &attribute_rows[i];
    write_fact(w, "type", type_rows[row->type].one);
    snprintf(text, sizeof text, row->rcpt_only ? "at %s only" : "from %s on", phase_rows[row->phase].word);
    write_fact(w, "known", text);
    bool is_truth = row->type == TYPE_TRUTH;
    snprintf(text, sizeof text, "if %s%s%s%s", row->name,
             row->form == FORM_INDEXED ? "[\"NAME\"]"
             : row->form == FORM_CALL  ? "(LIMIT)"
                                       : "",
             is_truth ? "" : " ", type_rows[row->type].example);
    write_fact(w, "example", text);
    write_family(w, i);
}

void language_more_unit(struct writer *w, size_t i)
{
    static const char *const kinds[] = {
        [UNIT_KIND_ADMISSION] = "reserved before, given back if it is refused",
        [UNIT_KIND_AUTH] = "reserved before the password is checked, given back if it was right",
        [UNIT_KIND_EVENT] = "at once, and never given back",
    };
    write_fact(w, "phase", i == RULE_UNIT_CHARGES ? "that of each `charge`" : phase_rows[unit_rows[i].phase].word);
    write_fact(w, "counted", kinds[unit_rows[i].kind]);
}

void language_more_key(struct writer *w, size_t i)
{
    char text[LINE_MAX];
    snprintf(text, sizeof text, "from %s on", phase_rows[key_rows[i].phase].word);
    write_fact(w, "known", text);
}

void language_more_table_type(struct writer *w, size_t i)
{
    write_fact(w, "kept",
               table_type_rows[i].remote ? "in the file, in a file of its own, by redis or socketmap"
                                         : "in the file, or in a file of its own");
}

void language_more_operator(struct writer *w, size_t i)
{
    static const char *const examples[] = {
#define OPERATOR(words, example, help) example,
#include "rules/operators.def"
#undef OPERATOR
    };
    write_fact(w, "example", examples[i]);
}

void language_more_step(struct writer *w, size_t i)
{
    struct list l = {.len = 0};
    for (unsigned k = 0; i == STEP_EXPECT && k < EXPECTATION_COUNT; k++)
        list_add(&l, " ", expectation_rows[k].word[0] ? expectation_rows[k].word : expectation_rows[k].arguments);
    write_list(w, "wanted", &l);
}

void language_more_expectation(struct writer *w, size_t i)
{
    if (i == EXPECTATION_ACCEPTED)
        write_fact(w, "written", "expect NUMBER accepted");
    else if (expectation_rows[i].would)
        write_fact(w, "written", "also `expect would …`: of a rule or limit that only observes");
}
