// uses: rules
/*
 * fuzz_rules_check.c - a text is parsed and checked, once as this version takes it and once as if the whole language
 * were in force. Promises held: it ends; what is right in this version is right in the whole language; a tree with
 * which nothing is wrong is as check.h says: no parameter stands in it any more, names have a meaning, rates and codes
 * are within their ranges.
 */
#include "base/panic.h"
#include "rules/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_value_of(const struct source_set *sources, const struct value *v)
{
    PANIC_IF(v->shape == SHAPE_PARAM || v->shape == SHAPE_NONE, "a parameter, still");
    PANIC_IF(v->written_in >= sources->count, "written nowhere");
    PANIC_IF(v->shape == SHAPE_RATE && (v->rate.count.param.len || v->rate.period.param.len), "half a parameter");
    PANIC_IF(v->shape == SHAPE_CODE && (v->code.reply < 200 || v->code.reply > 599), "no code");
    for (size_t i = 0; v->shape == SHAPE_TEXT && i < v->parts.count; i++)
        PANIC_IF(v->parts.pieces[i].is_name && v->parts.pieces[i].resolved.type == TYPE_UNKNOWN, "a name of nothing");
}

static void check_values_of(const struct source_set *sources, const struct values *values)
{
    for (size_t i = 0; i < values->count; i++)
        check_value_of(sources, &values->items[i]);
}

static void check_operand_of(const struct source_set *sources, const struct operand *o)
{
    PANIC_IF(o->type == TYPE_UNKNOWN, "an operand without type");
    PANIC_IF(o->kind == OPERAND_LOOKUP && !o->table, "a lookup nowhere");
    PANIC_IF((o->kind == OPERAND_USED || o->kind == OPERAND_LEFT) && !o->limit, "a count of nothing");
    if (o->kind == OPERAND_VALUE)
        check_value_of(sources, &o->value);
    if (o->kind == OPERAND_LOOKUP)
        check_operand_of(sources, o->inner);
}

static void check_condition_of(const struct source_set *sources, const struct condition *c)
{
    if (!c)
        return;
    for (const struct condition *child = c->child; child; child = child->next)
        check_condition_of(sources, child);
    if (c->kind == CONDITION_OR || c->kind == CONDITION_AND || c->kind == CONDITION_NOT)
        return;
    check_operand_of(sources, &c->operand);
    if (c->kind == CONDITION_COMPARE)
        check_operand_of(sources, &c->other);
    if (c->kind == CONDITION_IN && c->in.kind == IN_LOOKUP) {
        PANIC_IF(!c->in.table, "a lookup nowhere");
        check_operand_of(sources, c->in.inner);
    }
    if (c->kind == CONDITION_IN && (c->in.kind == IN_LIST || c->in.kind == IN_VALUE)) {
        PANIC_IF(c->in.type == TYPE_UNKNOWN, "a list of nothing");
        check_values_of(sources, &c->in.values);
    }
    if (c->kind == CONDITION_MATCHES || c->kind == CONDITION_LIKE || c->kind == CONDITION_CONTAINS)
        check_value_of(sources, &c->text);
}

static void check_actions_of(const struct source_set *sources, const struct actions *actions)
{
    for (size_t i = 0; i < actions->count; i++)
        check_values_of(sources, &actions->items[i].values);
}

static void check_limit_of(const struct source_set *sources, const struct limit_clause *l)
{
    for (size_t i = 0; i < l->rate_count; i++) {
        const struct value *v = &l->rates[i];
        bool is_open = l->unit == RULE_UNIT_OPEN_CONNECTIONS;
        check_value_of(sources, v);
        PANIC_IF(is_open ? v->shape != SHAPE_NUMBER : v->shape != SHAPE_RATE, "no rate");
        PANIC_IF(!is_open && (v->rate.count.number < 1 || v->rate.period.number < 1000), "too small a rate");
        PANIC_IF(is_open && v->number < NUMBER_ONE, "too small a number");
    }
    for (size_t i = 0; i < l->threshold_count; i++) {
        PANIC_IF(l->thresholds[i].percent.shape != SHAPE_PERCENT, "no percentage");
        check_actions_of(sources, &l->thresholds[i].actions);
    }
    PANIC_IF(l->overrides.text.len && !l->overrides_table, "overridden by nothing");
    check_condition_of(sources, l->if_cond);
    check_condition_of(sources, l->unless_cond);
}

static void check_statement_of(const struct source_set *sources, const struct statement *s)
{
    for (size_t i = 0; s->kind == STATEMENT_ON && i < s->on.count; i++) {
        check_actions_of(sources, &s->on.rules[i]->actions);
        check_condition_of(sources, s->on.rules[i]->if_cond);
        check_condition_of(sources, s->on.rules[i]->unless_cond);
    }
    for (size_t i = 0; s->kind == STATEMENT_TABLE && i < s->table.item_count; i++) {
        check_value_of(sources, &s->table.items[i].key);
        check_values_of(sources, &s->table.items[i].values);
    }
    for (size_t i = 0; s->kind == STATEMENT_TEST && i < s->test.step_count; i++)
        check_values_of(sources, &s->test.steps[i].values);
    if (s->kind == STATEMENT_LIMIT)
        check_limit_of(sources, &s->limit);
    if (statement_rows[s->kind].times != TIMES_SYNTAX)
        check_values_of(sources, &s->server.values);
}

/* True: nothing is wrong. */
static bool check_text_as(struct str text, bool allows_later)
{
    static const char included[] =
        "table included domains { a.example }\nparameter p 5\non mail { rule i log if tls }\n";
    static const struct source_builtin builtins[] = {
        {"included.rules", included, sizeof included - 1},
        {"broken.rules", "on mail { rule a", 16},
    };
    struct source_set sources;
    struct diagnostics d;
    struct tree tree;
    source_set_init(&sources, builtins, COUNT_OF(builtins));
    diag_init(&d, &sources);
    tree_init(&tree, &sources);
    bool is_parsed = rules_parse_text(&sources, "fuzz.rules", text, &d, &tree);
    bool is_checked = rules_check_all(&tree, &d, allows_later), is_fine = is_parsed && is_checked;
    PANIC_IF(is_fine == diag_has_errors(&d), "fine, and with errors");
    for (size_t i = 0; is_fine && i < tree.count; i++)
        check_statement_of(&sources, tree.statements[i]);
    for (size_t i = 0; i < d.count; i++) {
        struct place at = d.items[i].at;
        PANIC_IF(place_is_known(at) && at.offset > source_file_get(&sources, at.file)->text.len, "beyond the text");
    }
    tree_fini(&tree);
    diag_fini(&d);
    source_set_fini(&sources);
    return is_fine;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_of((const char *)data, size);
    bool in_force = check_text_as(text, false), whole = check_text_as(text, true);
    PANIC_IF(in_force && !whole, "right in this version, wrong in the language");
    return 0;
}
