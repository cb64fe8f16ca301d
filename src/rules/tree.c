/* tree.c - the .def tables as rows, and how the tree's small structs are asked. See tree.h. */
#include "rules/tree.h"

#include "rules/parse.h"

const struct phase_row phase_rows[PHASE_COUNT] = {
#define PHASE(id, word, later, help) {word, later, help},
#include "rules/phases.def"
#undef PHASE
};

const struct type_row type_rows[TYPE_COUNT] = {
    {"unknown", "unknown"},
#define TYPE(id, one, many, example) {one, many, example},
#include "rules/types.def"
#undef TYPE
};

const struct attribute_row attribute_rows[ATTRIBUTE_COUNT] = {
#define ATTRIBUTE(id, name, type, phase, form, rcpt_only, later, help)                                                 \
    {name, TYPE_##type, PHASE_##phase, FORM_##form, rcpt_only, later, help},
#include "rules/attributes.def"
#undef ATTRIBUTE
};

const struct unit_row unit_rows[RULE_UNIT_COUNT] = {
#define UNIT(id, word, phase, kind, later, help) {word, PHASE_##phase, UNIT_KIND_##kind, later, help},
#include "rules/units.def"
#undef UNIT
};

const struct key_row key_rows[KEY_COUNT] = {
#define KEY(id, word, phase, later, help) {word, PHASE_##phase, later, help},
#include "rules/keys.def"
#undef KEY
};

const struct table_type_row table_type_rows[TABLE_TYPE_COUNT] = {
#define TABLE_TYPE(id, word, remote, pairs, later, help) {word, remote, pairs, later, help},
#include "rules/table_types.def"
#undef TABLE_TYPE
};

const struct action_row action_rows[ACTION_COUNT] = {
#define ACTION(id, word, arguments, ends, threshold, phases, later, help)                                              \
    {word, arguments, phases, ends, threshold, later, help},
#include "rules/actions.def"
#undef ACTION
};

const struct statement_row statement_rows[STATEMENT_COUNT] = {
#define STATEMENT(id, words, arguments, options, times, later, without, help)                                          \
    {words, arguments, OPTIONS_##options, TIMES_##times, later, without, help},
#include "rules/statements.def"
#undef STATEMENT
};

const struct option_row option_rows[OPTION_COUNT] = {
#define OPTION(block, id, word, arguments, later, without, help)                                                       \
    {OPTIONS_##block, word, arguments, later, without, help},
#include "rules/options.def"
#undef OPTION
};

const struct step_row step_rows[STEP_COUNT] = {
#define STEP(id, words, arguments, kind, later, help) {words, arguments, STEP_##kind, later, help},
#include "rules/steps.def"
#undef STEP
};

const struct expectation_row expectation_rows[EXPECTATION_COUNT] = {
#define EXPECTATION(id, word, arguments, would, later, help) {word, arguments, would, later, help},
#include "rules/expectations.def"
#undef EXPECTATION
};

const struct shape_row shape_rows[SHAPE_COUNT] = {
    {"", "nothing", ""},
#define SHAPE(id, word, expected, help) {word, expected, help},
#include "rules/shapes.def"
#undef SHAPE
};

bool later_names(const char *later, struct str word)
{
    if (!later)
        return false;
    if (str_equal(str_of_z(later), STR("*")))
        return true;
    struct str rest = str_of_z(later);
    while (rest.len) {
        struct str one = str_split(rest, ' ', &rest);
        if (str_equal(one, word))
            return true;
    }
    return false;
}

bool word_is_kept(struct str word)
{
    static const char *const kept[] = {
#define KEPT(word) word,
#include "rules/kept.def"
#undef KEPT
    };
    for (size_t i = 0; i < COUNT_OF(kept); i++)
        if (str_equal(word, str_of_z(kept[i])))
            return true;
    return false;
}

bool word_is_action(struct str word)
{
    for (size_t i = 0; i < ACTION_COUNT; i++)
        if (str_equal(word, str_of_z(action_rows[i].word)))
            return true;
    return false;
}

const struct value *values_arg(const struct values *v, unsigned arg)
{
    for (size_t i = 0; i < v->count; i++)
        if (v->items[i].arg == arg)
            return &v->items[i];
    return NULL;
}

size_t values_arg_count(const struct values *v, unsigned arg)
{
    size_t count = 0;
    for (size_t i = 0; i < v->count; i++)
        count += v->items[i].arg == arg;
    return count;
}

const struct option *options_get(const struct options *o, enum option_kind kind)
{
    for (size_t i = 0; i < o->count; i++)
        if (o->items[i].kind == kind)
            return &o->items[i];
    return NULL;
}

void tree_init(struct tree *tree, struct source_set *sources)
{
    *tree = (struct tree){.sources = sources};
    arena_init(&tree->arena, TREE_MAX_BYTES);
}

void tree_fini(struct tree *tree)
{
    arena_fini(&tree->arena);
    *tree = (struct tree){0};
}

struct str tree_place_text(struct tree *tree, struct place at)
{
    struct str name = source_file_get(tree->sources, at.file)->name;
    return arena_printf(&tree->arena, PRI_STR ":%u", STR_ARG(name), at.line);
}
