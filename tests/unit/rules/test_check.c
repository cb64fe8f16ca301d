/* test_check.c - what check leaves in the tree: literals in place of parameters, what names mean, where values are
 * written, what is observed and disabled. */
#include "check_cases.h"

#define BUILTIN(name, text)                                                                                            \
    {                                                                                                                  \
        name, "" text, sizeof(text) - 1                                                                                \
    }

static struct statement *statement_at(const struct checked *k, size_t index)
{
    assert_true(index < k->tree.count);
    return k->tree.statements[index];
}

static void opened(struct checked *k, const char *text)
{
    char said[4096];
    checked_open(k, text, true);
    checked_said(k, said, sizeof said);
    if (!k->is_fine)
        fail_msg("%s\n%s", text, said);
}

static void assert_text(struct str is, const char *wanted)
{
    if (!str_equal(is, str_of_z(wanted)))
        fail_msg("\"" PRI_STR "\" is not \"%s\"", STR_ARG(is), wanted);
}

static void parameters_become_literals(void **state)
{
    struct checked k;
    (void)state;
    opened(&k, "parameter n 5\n"
               "parameter size 1K\n"
               "parameter every 1h\n"
               "parameter e \"127.0.0.1:25\"\n"
               "set n 7\n"
               "max-recipients $n\n"
               "max-message $size\n"
               "relay to $e { idle $every }\n"
               "limit l per client count bytes { $size/$every, 2M/1d }\n"
               "limit o per client count open-connections { $n }");
    const struct value *v = values_arg(&statement_at(&k, 5)->server.values, 0);
    assert_int_equal(v->shape, SHAPE_NUMBER);
    assert_int_equal(v->number, 7 * NUMBER_ONE);
    assert_int_equal(v->at.line, 6);
    assert_int_equal(v->at.col, 16);
    v = values_arg(&statement_at(&k, 6)->server.values, 0);
    assert_int_equal(v->shape, SHAPE_SIZE);
    assert_int_equal(v->bytes, 1024);
    const struct server *relay = &statement_at(&k, 7)->server;
    v = values_arg(&relay->values, 2);
    assert_int_equal(v->shape, SHAPE_ENDPOINT);
    assert_int_equal(v->endpoint->port, 25);
    assert_int_equal(values_arg(&options_get(&relay->options, OPTION_RELAY_IDLE)->values, 0)->ms, 3600000);
    v = &statement_at(&k, 8)->limit.rates[0];
    assert_int_equal(v->shape, SHAPE_RATE);
    assert_int_equal(v->rate.count.param.len + v->rate.period.param.len, 0);
    assert_int_equal(v->rate.count.number, 1024);
    assert_int_equal(v->rate.period.number, 3600000);
    v = &statement_at(&k, 9)->limit.rates[0];
    assert_int_equal(v->shape, SHAPE_NUMBER);
    assert_int_equal(v->number, 7 * NUMBER_ONE);
    checked_close(&k);
}

static void codes_may_be_parameters(void **state)
{
    struct checked k;
    (void)state;
    opened(&k, "parameter c 553\n"
               "parameter t \"no\"\n"
               "on mail { rule a reject $c 5.7.9 $t if tls; rule b reject $c if tls; rule d reject $t }");
    struct rule **rules = statement_at(&k, 2)->on.rules;
    for (size_t i = 0; i < 2; i++) {
        const struct value *code = values_arg(&rules[i]->actions.items[0].values, 0);
        assert_non_null(code);
        assert_int_equal(code->shape, SHAPE_CODE);
        assert_int_equal(code->code.reply, 553);
        assert_text(code->code.enhanced, i == 0 ? "5.7.9" : "");
    }
    assert_text(values_arg(&rules[0]->actions.items[0].values, 1)->text, "no");
    assert_null(values_arg(&rules[1]->actions.items[0].values, 1));
    assert_null(values_arg(&rules[2]->actions.items[0].values, 0));
    assert_text(values_arg(&rules[2]->actions.items[0].values, 1)->text, "no");
    checked_close(&k);
}

static void names_are_resolved(void **state)
{
    struct checked k;
    (void)state;
    opened(&k, "table owners map { a@b.c alice }\n"
               "table rates map { a@b.c 5/1h }\n"
               "table places netmap { 10.0.0.0/8 office }\n"
               "limit l per user count messages { 10/1h overrides rates }\n"
               "on mail { rule a tag t \"${sender} ${tag.t}\" if user in owners[sender]\n"
               "rule b log if used(l) > 64K and tag.t\n"
               "rule c log if places[client] = \"office\" and client in 10.0.0.0/8 and now in { 08:00-09:00 } }\n"
               "on rcpt { rule d log if rcpt in { a@b.c } and user in { a } and rcpt.domain in { x } }");
    const struct table *owners = &statement_at(&k, 0)->table, *rates = &statement_at(&k, 1)->table;
    const struct limit_clause *limit = &statement_at(&k, 3)->limit;
    assert_ptr_equal(limit->overrides_table, rates);
    struct rule **rules = statement_at(&k, 4)->on.rules;
    const struct value *text = values_arg(&rules[0]->actions.items[0].values, 1);
    assert_int_equal(text->parts.count, 3);
    assert_int_equal(text->parts.pieces[0].resolved.attribute, ATTRIBUTE_SENDER);
    assert_true(text->parts.pieces[2].resolved.is_tag);
    assert_text(text->parts.pieces[2].resolved.tag, "t");
    const struct condition *in = rules[0]->if_cond;
    assert_int_equal(in->operand.resolved.attribute, ATTRIBUTE_USER);
    assert_int_equal(in->operand.type, TYPE_LOGIN);
    assert_ptr_equal(in->in.table, owners);
    assert_int_equal(in->in.inner->resolved.attribute, ATTRIBUTE_SENDER);
    const struct condition *used = rules[1]->if_cond->child;
    assert_ptr_equal(used->operand.limit, limit);
    assert_int_equal(used->operand.type, TYPE_NUMBER);
    assert_int_equal(used->other.type, TYPE_NUMBER);
    assert_true(used->next->operand.resolved.is_tag);
    const struct condition *place = rules[2]->if_cond->child;
    assert_ptr_equal(place->operand.table, &statement_at(&k, 2)->table);
    assert_int_equal(place->operand.type, TYPE_TEXT);
    assert_int_equal(place->next->in.type, TYPE_IP);
    assert_int_equal(place->next->next->in.type, TYPE_TIME);
    const struct condition *rcpt = statement_at(&k, 5)->on.rules[0]->if_cond->child;
    assert_int_equal(rcpt->in.type, TYPE_ADDRESS);
    assert_int_equal(rcpt->next->in.type, TYPE_ADDRESS);
    assert_int_equal(rcpt->next->next->in.type, TYPE_DOMAIN);
    checked_close(&k);
}

/* Relative names belong to the folder of the file in which they are written (GRAMMAR.md 2). */
static void values_know_their_file(void **state)
{
    static const struct source_builtin files[] = {
        BUILTIN("main", "include \"sub/a.rules\"\nset there \"mine.txt\"\ntls certificate \"c\" key $key"),
        BUILTIN("sub/a.rules", "parameter here \"a.txt\"\nparameter there \"b.txt\"\nparameter key \"k\"\n"
                               "table one domains $here\ntable two domains $there\ntable three domains \"c.txt\"\n"
                               "on rcpt { rule r log if rcpt.domain in one or rcpt.domain in two or rcpt.domain in "
                               "three }"),
    };
    struct source_set sources;
    struct diagnostics d;
    struct tree tree;
    (void)state;
    source_set_init(&sources, files, COUNT_OF(files));
    diag_init(&d, &sources);
    tree_init(&tree, &sources);
    assert_true(rules_parse_builtin(&sources, "main", &d, &tree));
    assert_true(rules_check(&tree, &d));
    assert_int_equal(d.count, 0);
    assert_int_equal(tree.statements[4]->table.file.written_in, 1);
    assert_text(tree.statements[4]->table.file.text, "a.txt");
    assert_int_equal(tree.statements[5]->table.file.written_in, 0);
    assert_text(tree.statements[5]->table.file.text, "mine.txt");
    assert_int_equal(tree.statements[6]->table.file.written_in, 1);
    const struct values *certificate = &tree.statements[9]->server.values;
    assert_int_equal(certificate->items[0].written_in, 0);
    assert_int_equal(certificate->items[1].written_in, 1);
    tree_fini(&tree);
    diag_fini(&d);
    source_set_fini(&sources);
}

static void observed_in_four_places(void **state)
{
    static const struct source_builtin files[] = {
        BUILTIN("main", "include \"a\" observe\ninclude \"b\"\nobserve watched l2\ndisable gone l3 both\nobserve both"),
        BUILTIN("a", "on mail { rule in-a log if tls }\nlimit la per client count connections { 1/1h }\ninclude \"c\""),
        BUILTIN("b",
                "on mail { rule plain log; rule own observe log; rule watched log; rule gone log; rule both log }\n"
                "limit l1 per client count connections { 1/1h observe }\n"
                "limit l2 per client count connections { 1/1h }\nlimit l3 per client count connections { 1/1h }"),
        BUILTIN("c", "on rcpt { rule deep log if tls }"),
    };
    static const struct {
        const char *name;
        bool is_observed, is_disabled;
    } wanted[] = {{"in-a", true, false}, {"la", true, false},      {"deep", true, false}, {"plain", false, false},
                  {"own", true, false},  {"watched", true, false}, {"gone", false, true}, {"both", true, true},
                  {"l1", true, false},   {"l2", true, false},      {"l3", false, true}};
    struct source_set sources;
    struct diagnostics d;
    struct tree tree;
    size_t found = 0;
    (void)state;
    source_set_init(&sources, files, COUNT_OF(files));
    diag_init(&d, &sources);
    tree_init(&tree, &sources);
    assert_true(rules_parse_builtin(&sources, "main", &d, &tree));
    assert_true(rules_check_all(&tree, &d, true));
    for (size_t i = 0; i < tree.count; i++) {
        const struct statement *s = tree.statements[i];
        size_t count = s->kind == STATEMENT_ON ? s->on.count : s->kind == STATEMENT_LIMIT;
        for (size_t n = 0; n < count; n++) {
            bool is_limit = s->kind == STATEMENT_LIMIT;
            struct str name = is_limit ? s->limit.name.text : s->on.rules[n]->name.text;
            for (size_t w = 0; w < COUNT_OF(wanted); w++) {
                if (!str_equal(name, str_of_z(wanted[w].name)))
                    continue;
                found++;
                assert_int_equal(is_limit ? s->limit.is_observed : s->on.rules[n]->is_observed, wanted[w].is_observed);
                assert_int_equal(is_limit ? s->limit.is_disabled : s->on.rules[n]->is_disabled, wanted[w].is_disabled);
            }
        }
    }
    assert_int_equal(found, COUNT_OF(wanted));
    tree_fini(&tree);
    diag_fini(&d);
    source_set_fini(&sources);
}

static void parameters_end_somewhere(void **state)
{
    static char text[8192];
    char said[1024];
    size_t len = 0;
    struct checked k;
    (void)state;
    for (unsigned i = 0; i < 101; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "parameter p%u $p%u\n", i, i + 1);
    snprintf(text + len, sizeof text - len, "parameter p101 5");
    checked_open(&k, text, true);
    checked_said(&k, said, sizeof said);
    assert_string_equal(said, "100:15+5 parameters stand for one another at most 100 deep");
    checked_close(&k);
}

/* A file that is read twice defines its names twice. */
static void included_twice(void **state)
{
    static const struct source_builtin files[] = {BUILTIN("main", "include \"a\"\ninclude \"a\"\nworkers $p"),
                                                  BUILTIN("a", "parameter p 1")};
    struct source_set sources;
    struct diagnostics d;
    struct tree tree;
    (void)state;
    source_set_init(&sources, files, COUNT_OF(files));
    diag_init(&d, &sources);
    tree_init(&tree, &sources);
    assert_true(rules_parse_builtin(&sources, "main", &d, &tree));
    assert_false(rules_check(&tree, &d));
    assert_int_equal(d.count, 1);
    assert_text(d.items[0].text, "parameter \"p\" is already defined at a:1");
    assert_text(d.items[0].hint, "this file is included twice");
    tree_fini(&tree);
    diag_fini(&d);
    source_set_fini(&sources);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_become_literals),
        cmocka_unit_test(codes_may_be_parameters),
        cmocka_unit_test(names_are_resolved),
        cmocka_unit_test(values_know_their_file),
        cmocka_unit_test(observed_in_four_places),
        cmocka_unit_test(parameters_end_somewhere),
        cmocka_unit_test(included_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
