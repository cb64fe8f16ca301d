/* language.c - the tables as sections, and the overview made of them. See language.h. */
#include "rules/language_internal.h"

enum { WORDS_AT = 2, COLUMN_AT = 25, HELP_AT = 25, PHASE_AT = 38, ATTRIBUTE_HELP_AT = 48 };

/* ---- every table's rows as entries ---- */

static const char *later_if(bool later)
{
    return later ? "*" : NULL;
}

static struct entry statement_entry(size_t i)
{
    const struct statement_row *row = &statement_rows[i];
    return (struct entry){row->words, row->arguments, row->times != TIMES_SYNTAX, row->later, row->help};
}

static struct entry option_entry(size_t i)
{
    const struct option_row *row = &option_rows[i];
    return (struct entry){row->word, row->arguments, true, row->later, row->help};
}

static struct entry phase_entry(size_t i)
{
    return (struct entry){phase_rows[i].word, "", true, later_if(phase_rows[i].later), phase_rows[i].help};
}

static struct entry action_entry(size_t i)
{
    const struct action_row *row = &action_rows[i];
    return (struct entry){row->word, row->arguments, true, later_if(row->later), row->help};
}

static struct entry attribute_entry(size_t i)
{
    const struct attribute_row *row = &attribute_rows[i];
    const char *arguments = row->form == FORM_INDEXED ? "[\"N\"]" : row->form == FORM_CALL ? "(LIMIT)" : "";
    return (struct entry){row->name, arguments, false, later_if(row->later), row->help};
}

static struct entry key_entry(size_t i)
{
    return (struct entry){key_rows[i].word, "", true, later_if(key_rows[i].later), key_rows[i].help};
}

static struct entry unit_entry(size_t i)
{
    return (struct entry){unit_rows[i].word, "", true, later_if(unit_rows[i].later), unit_rows[i].help};
}

static const struct entry parts[] = {
#define PART(id, word, later, arguments, help) {word, arguments, false, later ? "*" : NULL, help},
#include "rules/parts.def"
#undef PART
};

static struct entry part_entry(size_t i)
{
    return parts[i];
}

static struct entry table_type_entry(size_t i)
{
    const struct table_type_row *row = &table_type_rows[i];
    return (struct entry){row->word, "", true, later_if(row->later), row->help};
}

static const struct entry operators[] = {
#define OPERATOR(words, example, help) {words, "", true, NULL, help},
#include "rules/operators.def"
#undef OPERATOR
};

static struct entry operator_entry(size_t i)
{
    return operators[i];
}

static struct entry shape_entry(size_t i)
{
    return (struct entry){shape_rows[i + 1].word, "", true, NULL, shape_rows[i + 1].help};
}

static struct entry step_entry(size_t i)
{
    const struct step_row *row = &step_rows[i];
    return (struct entry){row->words, row->arguments, true, later_if(row->later), row->help};
}

/* "NUMBER accepted" begins with no word of its own. */
static struct entry expectation_entry(size_t i)
{
    const struct expectation_row *row = &expectation_rows[i];
    if (i == EXPECTATION_ACCEPTED)
        return (struct entry){"accepted", "", true, NULL, row->help};
    return (struct entry){row->word, row->arguments, true, later_if(row->later), row->help};
}

/* ---- the overview ---- */

static void attribute_column(struct writer *w, size_t i)
{
    const struct attribute_row *row = &attribute_rows[i];
    write_z(w, type_rows[row->type].one);
    write_to_column(w, PHASE_AT);
    write_z(w, phase_rows[row->phase].word);
}

static void phase_column(struct writer *w, enum phase phase)
{
    write_z(w, "at ");
    write_z(w, phase_rows[phase].word);
    write_to_column(w, PHASE_AT);
}

static void unit_column(struct writer *w, size_t i)
{
    phase_column(w, unit_rows[i].phase);
}

static void key_column(struct writer *w, size_t i)
{
    phase_column(w, key_rows[i].phase);
}

const struct section language_sections[] = {
    {"statement", "Statements", STATEMENT_COUNT, statement_entry, NULL, language_more_statement},
    {"option", NULL, OPTION_COUNT, option_entry, NULL, language_more_option},
    {"phase", "Phases, in which rules run: on PHASE { rule NAME ACTION[, ACTION] [if COND] [unless COND] }",
     PHASE_COUNT, phase_entry, NULL, language_more_phase},
    {"action", "Actions of rules, and of a limit's thresholds", ACTION_COUNT, action_entry, NULL, language_more_action},
    {"attribute", "Attributes: what conditions ask about, and from which phase on it is known", ATTRIBUTE_COUNT,
     attribute_entry, attribute_column, language_more_attribute},
    {"operator", "Conditions", COUNT_OF(operators), operator_entry, NULL, language_more_operator},
    {"limit key", "Keys: whose count a limit keeps, and where it is known", KEY_COUNT, key_entry, key_column,
     language_more_key},
    {"unit", "Units: what a limit counts, and where", RULE_UNIT_COUNT, unit_entry, unit_column, language_more_unit},
    {"part", "Parts of limits and rules", COUNT_OF(parts), part_entry, NULL, NULL},
    {"table type", "Types of tables, and their items", TABLE_TYPE_COUNT, table_type_entry, NULL,
     language_more_table_type},
    {"test step", "Steps of tests", STEP_COUNT, step_entry, NULL, language_more_step},
    {"expectation", "What a test may expect", EXPECTATION_COUNT, expectation_entry, NULL, language_more_expectation},
    {"value", "Values", SHAPE_COUNT - 1, shape_entry, NULL, NULL},
};
const size_t language_section_count = COUNT_OF(language_sections);

static void print_row(struct writer *w, const struct section *s, size_t i)
{
    struct entry e = s->get(i);
    unsigned help_at = HELP_AT;
    write_to_column(w, WORDS_AT);
    write_z(w, e.words);
    if (s->get == attribute_entry)
        write_z(w, e.arguments);
    if (e.later)
        write_z(w, e.later[0] == '*' ? "*" : "(*)");
    if (s->print_column) {
        write_to_column(w, COLUMN_AT);
        s->print_column(w, i);
        help_at = s->get == attribute_entry ? ATTRIBUTE_HELP_AT : PHASE_AT;
    }
    write_to_column(w, help_at);
    write_wrapped(w, str_of_z(e.help), help_at);
    write_line_end(w);
}

bool language_print_overview(struct buf *to)
{
    struct writer w = {.to = to, .fits = true};
    write_z(&w, "What can be written in mailweir's files. `mailweir language WORD` says all about a word.");
    write_line_end(&w);
    write_z(&w, "* is not in force in this version; (*) is, but not all of it.");
    write_line_end(&w);
    for (size_t k = 0; k < language_section_count; k++) {
        const struct section *s = &language_sections[k];
        if (!s->title)
            continue;
        write_line_end(&w);
        write_z(&w, s->title);
        write_line_end(&w);
        for (size_t i = 0; i < s->count; i++)
            print_row(&w, s, i);
    }
    return w.fits;
}
