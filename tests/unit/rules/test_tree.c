/* test_tree.c - what the parser leaves in the tree: conditions, literals, places. */
#include "parse_cases.h"

/* ---- conditions, printed back fully bracketed ---- */

struct writer {
    char text[1024];
    size_t len;
};

static void PRINTF_LIKE(2, 3) say(struct writer *w, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(w->text + w->len, sizeof w->text - w->len, fmt, args);
    va_end(args);
    w->len = MIN_OF(w->len + (size_t)len, sizeof w->text - 1);
}

static void say_value(struct writer *w, const struct value *v)
{
    say(w, "%s:" PRI_STR, shape_rows[v->shape].word, STR_ARG(v->text));
}

static void say_operand(struct writer *w, const struct operand *o)
{
    static const char *const calls[] = {[OPERAND_USED] = "used",
                                        [OPERAND_LEFT] = "left",
                                        [OPERAND_HEADER] = "header",
                                        [OPERAND_HEADER_COUNT] = "header.count",
                                        [OPERAND_MILTER] = "milter"};
    switch (o->kind) {
    case OPERAND_ATTRIBUTE:
        say(w, PRI_STR, STR_ARG(o->name.text));
        break;
    case OPERAND_VALUE:
        say_value(w, &o->value);
        break;
    case OPERAND_LOOKUP:
        say(w, PRI_STR "[", STR_ARG(o->name.text));
        say_operand(w, o->inner);
        say(w, "]");
        break;
    default:
        say(w, "%s(" PRI_STR ")", calls[o->kind],
            STR_ARG(o->kind == OPERAND_USED || o->kind == OPERAND_LEFT ? o->name.text : o->value.text));
    }
}

static void say_in(struct writer *w, const struct in_place *in)
{
    if (in->kind == IN_NAME || in->kind == IN_LOOKUP)
        say(w, PRI_STR, STR_ARG(in->name.text));
    if (in->kind == IN_LOOKUP) {
        say(w, "[");
        say_operand(w, in->inner);
        say(w, "]");
    }
    if (in->kind == IN_LIST)
        say(w, "{");
    for (size_t i = 0; i < in->values.count; i++) {
        say(w, "%s", i ? " " : "");
        say_value(w, &in->values.items[i]);
    }
    if (in->kind == IN_LIST)
        say(w, "}");
}

static void say_condition(struct writer *w, const struct condition *c)
{
    static const char *const ops[] = {"=", "!=", "<", "<=", ">", ">="};
    const char *joint = c->kind == CONDITION_OR ? " or " : " and ";
    if (c->kind == CONDITION_OR || c->kind == CONDITION_AND || c->kind == CONDITION_NOT) {
        say(w, c->kind == CONDITION_NOT ? "not(" : "(");
        for (const struct condition *child = c->child; child; child = child->next) {
            say(w, "%s", child == c->child ? "" : joint);
            say_condition(w, child);
        }
        say(w, ")");
        return;
    }
    say_operand(w, &c->operand);
    if (c->kind == CONDITION_COMPARE) {
        say(w, "%s", ops[c->op]);
        say_operand(w, &c->other);
    } else if (c->kind == CONDITION_IN) {
        say(w, c->is_negated ? " not in " : " in ");
        say_in(w, &c->in);
    } else if (c->kind == CONDITION_IS_NONE) {
        say(w, " is none");
    } else if (c->kind != CONDITION_ALONE) {
        say(w, c->kind == CONDITION_MATCHES    ? " matches "
               : c->kind == CONDITION_LIKE     ? " like "
               : c->kind == CONDITION_CONTAINS ? " contains "
                                               : " under ");
        say_value(w, &c->text);
    }
}

static const struct {
    const char *condition, *tree;
} CONDITIONS[] = {
    {"tls", "tls"},
    {"not tls", "not(tls)"},
    {"not not tls", "not(not(tls))"},
    {"a and b and c", "(a and b and c)"},
    {"a or b and c", "(a or (b and c))"},
    {"a and b or c and d", "((a and b) or (c and d))"},
    {"(a or b) and c", "((a or b) and c)"},
    {"not a and b", "(not(a) and b)"},
    {"not a = b", "not(a=b)"},
    {"not a in t or b", "(not(a in t) or b)"},
    {"(((a)))", "a"},
    {"a = \"b\"", "a=TEXT:b"},
    {"a != 'b\\d'", "a!=TEXT:b\\d"},
    {"a < 5", "a<NUMBER:5"},
    {"a <= 64K", "a<=SIZE:64K"},
    {"a > -1.5", "a>NUMBER:-1.5"},
    {"a >= 1h30m", "a>=DURATION:1h30m"},
    {"5 < a", "NUMBER:5<a"},
    {"now < 08:30", "now<TIME:08:30"},
    {"client = 192.0.2.1", "client=NETWORK:192.0.2.1"},
    {"client = ::1", "client=NETWORK:::1"},
    {"sender = a@b.example", "sender=ADDRESS:a@b.example"},
    {"tls = on", "tls=TRUTH:on"},
    {"true", "TRUTH:true"},
    {"$strict", "PARAM:strict"},
    {"a = $b", "a=PARAM:b"},
    {"a = example.org", "a=example.org"},
    {"a = fo\xC3\xB6", "a=fo\xC3\xB6"},
    {"tag.x", "tag.x"},
    {"a in t", "a in t"},
    {"a not in t", "a not in t"},
    {"a in m[b]", "a in m[b]"},
    {"a in m[\"b\"]", "a in m[TEXT:b]"},
    {"a in m[n[c]]", "a in m[n[c]]"},
    {"m[a] = \"b\"", "m[a]=TEXT:b"},
    {"a in { b, c.d, 5, \"e\", $f }", "a in {NAME:b DOMAIN:c.d NUMBER:5 TEXT:e PARAM:f}"},
    {"a in {\nb\nc\n}", "a in {NAME:b NAME:c}"},
    {"(a in {\nb\nc\n} and\n d)", "(a in {NAME:b NAME:c} and d)"},
    {"a in { if, and, not }", "a in {NAME:if NAME:and NAME:not}"},
    {"a in { 192.0.2.7/24 }", "a in {WORD:192.0.2.7/24}"},
    {"a in 10.0.0.0/8", "a in NETWORK:10.0.0.0/8"},
    {"a in 10.0.0.1-10.0.0.9", "a in NETWORK:10.0.0.1-10.0.0.9"},
    {"a in 08:00-18:00", "a in RANGE:08:00-18:00"},
    {"a in $t", "a in PARAM:t"},
    {"a matches 'x'", "a matches TEXT:x"},
    {"a like \"*.b\"", "a like TEXT:*.b"},
    {"a contains $c", "a contains PARAM:c"},
    {"a under example.org", "a under DOMAIN:example.org"},
    {"a under \"example.org\"", "a under TEXT:example.org"},
    {"a is none", "a is none"},
    {"used(l) > 5", "used(l)>NUMBER:5"},
    {"left(l) < used(k)", "left(l)<used(k)"},
    {"used", "used"},
    {"header[\"From\"] = \"x\"", "header(From)=TEXT:x"},
    {"header.count[\"From\"] > 1", "header.count(From)>NUMBER:1"},
    {"milter[\"m\"] = \"reject\"", "milter(m)=TEXT:reject"},
    {"header.from = \"x\"", "header.from=TEXT:x"},
    {"a\n and b # c\n\n or\n c", "((a and b) or c)"},
};

static const struct rule *first_rule(const struct parsed *p)
{
    return p->tree.statements[0]->on.rules[0];
}

static void test_conditions(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CONDITIONS); i++) {
        struct parsed p;
        struct writer w = {.len = 0};
        char text[512];
        snprintf(text, sizeof text, "on mail { rule r reject if %s }", CONDITIONS[i].condition);
        parsed_open(&p, text);
        if (!p.is_fine)
            fail_msg("%s: " PRI_STR, CONDITIONS[i].condition, STR_ARG(p.d.items[0].text));
        say_condition(&w, first_rule(&p)->if_cond);
        if (strcmp(w.text, CONDITIONS[i].tree) != 0)
            fail_msg("%s: %s", CONDITIONS[i].condition, w.text);
        parsed_close(&p);
    }
}

/* Bounded, and said so: not a crash of who writes ten thousand parentheses. */
static void test_nesting(void **state)
{
    static const struct {
        const char *open, *close;
    } kinds[] = {{"(", ")"}, {"not ", ""}, {"m[", "]"}};
    (void)state;
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        for (size_t depth = PARSE_MAX_NESTING; depth <= 20000;
             depth = depth == PARSE_MAX_NESTING ? depth + 1 : depth * 100) {
            struct parsed p;
            struct buf text;
            buf_init(&text, 1 << 20);
            assert_true(buf_printf(&text, "on mail { rule r reject if x = 1 and "));
            for (size_t i = 0; i < depth; i++)
                assert_true(buf_printf(&text, "%s", kinds[k].open));
            assert_true(buf_append_char(&text, 'a'));
            for (size_t i = 0; i < depth; i++)
                assert_true(buf_printf(&text, "%s", kinds[k].close));
            assert_true(buf_printf(&text, " }\n") && buf_append_char(&text, '\0'));
            parsed_open(&p, buf_str(&text).ptr);
            assert_int_equal(p.is_fine, depth <= PARSE_MAX_NESTING);
            if (!p.is_fine)
                assert_true(str_equal(p.d.items[0].text, STR("conditions nest at most 100 deep")));
            parsed_close(&p);
            buf_fini(&text);
        }
    }
}

/* ---- texts ---- */

static void test_pieces(void **state)
{
    struct parsed p;
    (void)state;
    parsed_open(&p, "on mail { rule r reject 550 5.7.1 \"\\\"\xC3\xBC${sender} of $x {y}\\n${tag.z}\" }");
    assert_true(p.is_fine);
    const struct action *a = &first_rule(&p)->actions.items[0];
    const struct value *text = values_arg(&a->values, 1);
    assert_true(str_equal(text->text, STR("\"\xC3\xBC${sender} of $x {y}\n${tag.z}")));
    static const struct {
        const char *text;
        bool is_name;
        unsigned col;
    } pieces[] = {{"\"\xC3\xBC", false, 36}, {"sender", true, 41}, {" of $x {y}\n", false, 48}, {"tag.z", true, 62}};
    assert_int_equal(text->parts.count, COUNT_OF(pieces));
    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        const struct text_piece *piece = &text->parts.pieces[i];
        assert_true(str_equal(piece->text, str_of_z(pieces[i].text)));
        assert_int_equal(piece->is_name, pieces[i].is_name);
        assert_int_equal(piece->at.col, pieces[i].col);
    }
    const struct value *code = values_arg(&a->values, 0);
    assert_int_equal(code->code.reply, 550);
    assert_true(str_equal(code->code.enhanced, STR("5.7.1")));
    assert_int_equal(code->code.enhanced_at.col, 29);
    parsed_close(&p);
}

/* ${…} is itself where nobody reads it as a text: in raw texts, header names, conditions, test blocks. */
static void test_no_pieces(void **state)
{
    static const char *const texts[] = {
        "on mail { rule r reject '${sender' }",     "on mail { rule r add-header \"X${\" \"y\" }",
        "on mail { rule r remove-header \"${\" }",  "on mail { rule r reject if a = \"${\" }",
        "test \"${\" { expect reject \"${x\" }",    "listen smtp [::1]:25 { banner \"${x\" }",
        "on mail { rule r log \"$ {x} $x ${y}\" }",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct parsed p;
        parsed_open(&p, texts[i]);
        if (p.is_fine !=
            (i != 1)) /* the second is read as a text first: an unclosed ${ in a header's name is wrong anyway */
            fail_msg("%s", texts[i]);
        parsed_close(&p);
    }
}

/* ---- statements ---- */

static void test_limit(void **state)
{
    struct parsed p;
    (void)state;
    parsed_open(&p, "limit l per user, network count bytes {\n"
                    "  $n/1h, 5G/30d\n"
                    "  at 50% log \"x\", tarpit 5s  at 100% defer 451\n"
                    "  overrides o  if tls unless a in b  observe\n"
                    "}\n");
    assert_true(p.is_fine);
    const struct limit_clause *l = &p.tree.statements[0]->limit;
    assert_true(str_equal(l->name.text, STR("l")));
    assert_int_equal(l->key_count, 2);
    assert_int_equal(l->keys[1].key, KEY_NETWORK);
    assert_int_equal(l->keys[1].at.col, 19);
    assert_int_equal(l->unit, RULE_UNIT_BYTES);
    assert_int_equal(l->rate_count, 2);
    assert_true(str_equal(l->rates[0].rate.count.param, STR("n")));
    assert_int_equal(l->rates[0].rate.period.number, 3600000);
    assert_int_equal(l->rates[0].rate.period.at.col, 6);
    assert_int_equal(l->rates[1].rate.count.number, 5ll << 30);
    assert_int_equal(l->threshold_count, 2);
    assert_int_equal(l->thresholds[0].percent.percent, 50);
    assert_int_equal(l->thresholds[0].actions.count, 2);
    assert_int_equal(l->thresholds[0].actions.items[1].values.items[0].ms, 5000);
    assert_int_equal(l->thresholds[1].actions.items[0].kind, ACTION_DEFER);
    assert_true(str_equal(l->overrides.text, STR("o")));
    assert_int_equal(l->if_cond->kind, CONDITION_ALONE);
    assert_int_equal(l->unless_cond->kind, CONDITION_IN);
    assert_int_equal(l->observe_at.col, 38);
    parsed_close(&p);
}

/* Arguments are found by their number in the pattern, given or not; options by their kind. */
static void test_server(void **state)
{
    struct parsed p;
    (void)state;
    parsed_open(&p, "relay to 192.0.2.1:25 mta.example:26 { idle 5s  tls verify }\n"
                    "relay p to lmtp unix:/x\n"
                    "store redis sentinel m [::1]:6379\n"
                    "timeout tls 90s\n"
                    "events stderr\n"
                    "events $f { rotate 1M }\n");
    assert_true(p.is_fine);
    struct statement *const *s = p.tree.statements;
    const struct values *v = &s[0]->server.values;
    assert_null(values_arg(v, 0));
    assert_null(values_arg(v, 1));
    assert_int_equal(values_arg_count(v, 2), 2);
    assert_int_equal(values_arg(v, 2)->endpoint->port, 25);
    assert_string_equal((values_arg(v, 2) + 1)->endpoint->name, "mta.example");
    assert_int_equal(options_get(&s[0]->server.options, OPTION_RELAY_TLS)->values.items[0].choice, 3);
    assert_int_equal(options_get(&s[0]->server.options, OPTION_RELAY_IDLE)->values.items[0].ms, 5000);
    assert_null(options_get(&s[0]->server.options, OPTION_RELAY_CA));
    assert_true(str_equal(values_arg(&s[1]->server.values, 0)->text, STR("p")));
    assert_int_equal(values_arg(&s[1]->server.values, 1)->choice, 1);
    assert_int_equal(values_arg(&s[1]->server.values, 2)->endpoint->kind, ENDPOINT_UNIX);
    assert_int_equal(s[2]->kind, STATEMENT_STORE_REDIS_SENTINEL);
    assert_int_equal(s[3]->kind, STATEMENT_TIMEOUT_TLS);
    assert_int_equal(s[3]->server.values.items[0].ms, 90000);
    assert_int_equal(s[4]->server.values.items[0].choice, 1);
    assert_int_equal(s[5]->server.values.items[0].shape, SHAPE_PARAM);
    parsed_close(&p);
}

static void test_table(void **state)
{
    struct parsed p;
    (void)state;
    parsed_open(&p, "table m map { a@b.example x, c { d, e }\n 'f' \"g h\"\n}\ntable t domains \"f.txt\"");
    assert_true(p.is_fine);
    const struct table *m = &p.tree.statements[0]->table;
    assert_int_equal(m->item_count, 3);
    assert_int_equal(m->items[0].key.shape, SHAPE_ADDRESS);
    assert_int_equal(m->items[1].values.count, 2);
    assert_true(str_equal(m->items[2].values.items[0].text, STR("g h")));
    assert_int_equal(p.tree.statements[1]->table.source, TABLE_FILE);
    assert_int_equal(p.tree.statements[1]->table.source_at.col, 17);
    parsed_close(&p);
}

static void test_test(void **state)
{
    struct parsed p;
    (void)state;
    parsed_open(&p, "test \"t\" {\n client ::1 mail from <>\n send 20 messages to 10 recipients each over 30m\n"
                    " expect would defer 451 4.7.1 at data by l \"x\" expect 5 accepted\n}");
    assert_true(p.is_fine);
    const struct test *t = &p.tree.statements[0]->test;
    assert_int_equal(t->step_count, 5);
    assert_int_equal(t->steps[1].values.items[0].shape, SHAPE_SENDER);
    const struct values *send = &t->steps[2].values;
    assert_int_equal(values_arg(send, 0)->number, 20 * (int64_t)NUMBER_ONE);
    assert_int_equal(values_arg(send, 1)->number, 10 * (int64_t)NUMBER_ONE);
    assert_non_null(values_arg(send, 2)); /* each */
    assert_int_equal(values_arg(send, 3)->ms, 1800000);
    assert_true(t->steps[3].is_would);
    assert_int_equal(t->steps[3].expectation, EXPECTATION_DEFER);
    assert_int_equal(values_arg(&t->steps[3].values, 1)->phase, PHASE_DATA);
    assert_true(str_equal(values_arg(&t->steps[3].values, 2)->text, STR("l")));
    assert_int_equal(t->steps[4].expectation, EXPECTATION_ACCEPTED);
    parsed_close(&p);
}

/* A broken statement keeps its name, so that its users are not told it does not exist. */
static void test_broken(void **state)
{
    struct parsed p;
    (void)state;
    parsed_open(&p, "table t domains { a b }\nlimit l per usr count messages { 1/1h }\non mal { rule r reject }\n"
                    "on mail { rule q rejct\n rule s accept }");
    assert_int_equal(p.tree.count, 4);
    for (size_t i = 0; i < 3; i++)
        assert_true(p.tree.statements[i]->is_broken);
    assert_true(str_equal(p.tree.statements[0]->table.name.text, STR("t")));
    assert_true(str_equal(p.tree.statements[1]->limit.name.text, STR("l")));
    assert_true(str_equal(p.tree.statements[2]->on.rules[0]->name.text, STR("r")));
    assert_false(p.tree.statements[3]->is_broken);
    assert_true(p.tree.statements[3]->on.rules[0]->is_broken);
    assert_false(p.tree.statements[3]->on.rules[1]->is_broken);
    parsed_close(&p);
}

/* However little memory there is: an error, never a tree that looks whole. */
static void test_no_memory(void **state)
{
    static const char text[] =
        "parameter n 5\n"
        "table t map { a b, c { d, e } }\n"
        "limit l per user, client count messages { 1/1h, 2/2h  at 50% log  if tls unless a in { b, c } }\n"
        "on mail { rule r reject 550 5.7.1 \"\\n${sender}\" if a and (b or c[d] = 5) and e under f.example }\n"
        "listen smtp [::1]:25 { name s proxy from 10.0.0.0/8 }\n"
        "test \"t\" { client ::1 expect reject by r }\n"
        "observe r\n";
    size_t max = 0;
    (void)state;
    for (bool fine = false; !fine; max += 16) {
        struct parsed p;
        source_set_init(&p.sources, NULL, 0);
        diag_init(&p.d, &p.sources);
        tree_init(&p.tree, &p.sources);
        p.tree.arena.max_bytes = max;
        fine = rules_parse_text(&p.sources, "t", str_of_z(text), &p.d, &p.tree);
        if (!fine)
            assert_true(p.d.count == 1 &&
                        str_equal(p.d.items[0].text, STR("no memory for what the configuration holds")));
        parsed_close(&p);
        assert_true(max < 1 << 20);
    }
    assert_true(max > 4096);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conditions), cmocka_unit_test(test_nesting), cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_no_pieces),  cmocka_unit_test(test_limit),   cmocka_unit_test(test_server),
        cmocka_unit_test(test_table),      cmocka_unit_test(test_test),    cmocka_unit_test(test_broken),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
