/* test_eval_outside.c - conditions that need what is not at hand: three-and-four-valued logic, what is asked and what
 * is not; numbers with fractions; counts of limits; and in which forms a remote table is asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "rules/check.h"
#include "rules/eval.h"
#include "rules/table_forms.h"

static const char GROUND[] = "dnsbl yes \"a.example\"\n"
                             "dnsbl no \"b.example\"\n"
                             "dnsbl later \"c.example\"\n"
                             "dnsbl broken \"d.example\"\n"
                             "table far map socketmap 127.0.0.1:9 \"m\"\n"
                             "limit l per user count messages { 10/1h }\n"
                             "limit each per rcpt count messages { 10/1h }\n"
                             "limit gone per user count messages { 10/1h }\n"
                             "disable gone\n";

static struct {
    struct source_set sources;
    struct diagnostics d;
    struct tree tree;
    struct eval_program program;
    struct eval_context context;
    unsigned asked; /* hooks that were called */
} T;

static void get(const struct facts *facts, int attribute, struct str name, struct fact *out)
{
    (void)facts;
    (void)name;
    *out = (struct fact){.kind = FACT_NONE};
    if (attribute == ATTRIBUTE_CLIENT)
        *out = (struct fact){.kind = FACT_IP, .ip = {.family = ADDR_IPV4, .bytes = {192, 0, 2, 7}}};
    else if (attribute == ATTRIBUTE_USER || attribute == ATTRIBUTE_SENDER)
        *out = (struct fact){.kind = FACT_TEXT, .text = STR("alice@example.org")};
    else if (attribute == ATTRIBUTE_AUTHENTICATED || attribute == ATTRIBUTE_TLS)
        *out = (struct fact){.kind = FACT_TRUTH, .truth = attribute == ATTRIBUTE_TLS};
}

/* ---- the outside: the name waits, the country is there, lists are as they are called ---- */

static enum eval_result attribute(struct eval_outside *outside, enum attribute a, struct fact *out)
{
    (void)outside;
    T.asked++;
    *out = a == ATTRIBUTE_CLIENT_COUNTRY ? (struct fact){.kind = FACT_TEXT, .text = STR("DE")}
                                         : (struct fact){.kind = FACT_NONE};
    return a == ATTRIBUTE_CLIENT_NAME ? EVAL_WAIT : EVAL_TRUE;
}

static enum eval_result listed(struct eval_outside *outside, unsigned number)
{
    (void)outside;
    T.asked++;
    struct str name = T.program.dnsbls[number]->name.text;
    return str_equal(name, STR("yes"))     ? EVAL_TRUE
           : str_equal(name, STR("later")) ? EVAL_WAIT
           : str_equal(name, STR("no"))    ? EVAL_FALSE
                                           : EVAL_FAILED;
}

static enum eval_result remote(struct eval_outside *outside, unsigned number, const struct fact *x, struct str *value)
{
    (void)outside;
    T.asked++;
    assert_int_equal(number, 0);
    assert_true(str_equal(T.program.remotes[number]->name.text, STR("far")));
    if (value)
        *value = STR("bob , Alice@EXAMPLE.org");
    return str_equal(x->text, STR("alice@example.org")) ? EVAL_TRUE : EVAL_FALSE;
}

static enum eval_result count(struct eval_outside *outside, unsigned limit, bool is_left, const struct facts *facts,
                              struct fact *out)
{
    (void)outside;
    (void)facts;
    T.asked++;
    *out = (struct fact){.kind = FACT_NUMBER, .number = is_left ? 3 : 7};
    if (limit == 1)
        *out = (struct fact){.kind = FACT_NONE};
    return EVAL_TRUE;
}

static struct eval_outside outside = {attribute, listed, remote, count};

/* ---- one condition ---- */

static const struct statement *compile_open(const char *rule)
{
    struct buf text;
    buf_init(&text, 1 << 16);
    memset(&T, 0, sizeof T);
    source_set_init(&T.sources, NULL, 0);
    diag_init(&T.d, &T.sources);
    tree_init(&T.tree, &T.sources);
    eval_program_init(&T.program);
    assert_true(buf_printf(&text, "%son rcpt { rule r %s\n }\n", GROUND, rule));
    bool is_fine = rules_parse_text(&T.sources, "test", buf_str(&text), &T.d, &T.tree) &&
                   rules_check_all(&T.tree, &T.d, true) && eval_add_tables(&T.program, &T.tree, &T.d) &&
                   eval_add_limit(&T.program, STR("l"), 0) && eval_add_limit(&T.program, STR("each"), 1);
    buf_fini(&text);
    if (!is_fine)
        fail_msg("%s: " PRI_STR, rule, STR_ARG(T.d.count ? T.d.items[0].text : STR("?")));
    static const struct facts facts = {.get = get};
    T.context = (struct eval_context){.facts = &facts, .score = 2500000, .outside = &outside};
    return T.tree.statements[T.tree.count - 1];
}

static void compile_close(void)
{
    eval_program_fini(&T.program);
    tree_fini(&T.tree);
    diag_fini(&T.d);
    source_set_fini(&T.sources);
}

static void test_conditions(void **state)
{
    (void)state;
    static const struct {
        const char *condition;
        enum eval_result result;
        unsigned asked;
    } CASES[] = {
        {"client in yes", EVAL_TRUE, 1},
        {"client in no", EVAL_FALSE, 1},
        {"client in later", EVAL_WAIT, 1},
        {"client in broken", EVAL_FAILED, 1},
        {"client not in yes", EVAL_FALSE, 1},
        {"client not in no", EVAL_TRUE, 1},
        {"client not in later", EVAL_WAIT, 1},
        {"client not in broken", EVAL_FAILED, 1},
        {"not client in later", EVAL_WAIT, 1},
        {"not client in broken", EVAL_FAILED, 1},
        /* only as far as it matters */
        {"tls or client in later", EVAL_TRUE, 0},
        {"authenticated and client in later", EVAL_FALSE, 0},
        {"authenticated or client in later", EVAL_WAIT, 1},
        {"tls and client in broken", EVAL_FAILED, 1},
        {"client in yes or client in later", EVAL_TRUE, 1},
        {"client in no or client in later", EVAL_WAIT, 2},
        {"client in no or client in broken or client in yes", EVAL_FAILED, 2},
        {"client in later and client in no", EVAL_WAIT, 1},
        /* what takes time is asked last */
        {"client in later or tls", EVAL_TRUE, 0},
        {"client in broken and authenticated", EVAL_FALSE, 0},
        {"client in no or tls and client in yes", EVAL_TRUE, 2},
        {"(client in no or tls) and (client in yes or authenticated)", EVAL_TRUE, 1},
        {"not (client in later or tls)", EVAL_FALSE, 0},
        /* names and places */
        {"client.name is none", EVAL_WAIT, 1},
        {"client.name under example.org", EVAL_WAIT, 1},
        {"client.name in { example.org }", EVAL_WAIT, 1},
        {"client.country = \"DE\"", EVAL_TRUE, 1},
        {"client.country in { DE, FR }", EVAL_TRUE, 1},
        {"client.asn = 1", EVAL_FALSE, 1},
        {"client.asn is none", EVAL_TRUE, 1},
        /* remote tables */
        {"sender in far", EVAL_TRUE, 1},
        {"rcpt in far", EVAL_FALSE, 0}, /* none */
        {"user in far[sender]", EVAL_TRUE, 1},
        {"user not in far[sender]", EVAL_FALSE, 1},
        {"helo in far[sender]", EVAL_FALSE, 0},
        {"user in far[rcpt]", EVAL_FALSE, 0},
        /* numbers */
        {"score = 2.5", EVAL_TRUE, 0},
        {"score > 2.499999", EVAL_TRUE, 0},
        {"score < 2", EVAL_FALSE, 0},
        {"score in { 1, 2.5 }", EVAL_TRUE, 0},
        {"score != 2", EVAL_TRUE, 0},
        {"used(l) = 7", EVAL_TRUE, 1},
        {"left(l) < 3.5", EVAL_TRUE, 1},
        {"left(l) > used(l)", EVAL_FALSE, 2},
        {"left(l) > score", EVAL_TRUE, 1},
        {"used(each) < 100", EVAL_FALSE, 1},
        {"used(each) is none", EVAL_TRUE, 1},
        {"used(gone) is none", EVAL_TRUE, 0}, /* it is disabled */
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        char rule[256];
        bool ok;
        snprintf(rule, sizeof rule, "reject if %s", CASES[i].condition);
        const struct statement *on = compile_open(rule);
        const struct test_node *node = eval_compile(&T.program, on->on.rules[0]->if_cond, NULL, &T.d, &ok);
        assert_true(ok);
        enum eval_result result = eval_ask(node, &T.context);
        if (result != CASES[i].result || T.asked != CASES[i].asked)
            fail_msg("%s: %d after asking %u times", CASES[i].condition, (int)result, T.asked);
        assert_true(result != EVAL_WAIT || eval_may_wait(node));
        T.context.outside = NULL; /* nothing is known: never a wait */
        assert_in_range(eval_ask(node, &T.context), EVAL_FALSE, EVAL_TRUE);
        compile_close();
    }
}

/* For the recipient at hand. */
static void test_counts_of_recipients(void **state)
{
    (void)state;
    static const struct {
        const char *condition;
        bool asks_rcpt;
    } CASES[] = {{"used(l) > 1", false}, {"used(each) > 1", true}, {"1 < left(each)", true}, {"tls", false}};
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        char rule[256];
        bool ok;
        snprintf(rule, sizeof rule, "reject if %s", CASES[i].condition);
        const struct statement *on = compile_open(rule);
        assert_int_equal(eval_asks_rcpt(eval_compile(&T.program, on->on.rules[0]->if_cond, NULL, &T.d, &ok)),
                         CASES[i].asks_rcpt);
        compile_close();
    }
}

static void test_texts(void **state)
{
    (void)state;
    static const struct {
        int64_t score;
        const char *text;
    } CASES[] = {{0, "0"},
                 {2500000, "2.5"},
                 {-1000000, "-1"},
                 {-250000, "-0.25"},
                 {1, "0.000001"},
                 {1000000010000, "1000000.01"},
                 {INT64_MIN, "-9223372036854.775808"}};
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct buf said;
        const struct statement *on = compile_open("log \"${score}\"");
        struct text_template *text = text_compile(&T.program, values_arg(&on->on.rules[0]->actions.items[0].values, 0));
        buf_init(&said, 256);
        T.context.score = CASES[i].score;
        assert_non_null(text);
        assert_int_equal(text_ask(text, &T.context), EVAL_TRUE);
        assert_false(text_may_wait(text));
        assert_true(text_render(text, &T.context, &said));
        if (!str_equal(buf_str(&said), str_of_z(CASES[i].text)))
            fail_msg(PRI_STR ", not %s", STR_ARG(buf_str(&said)), CASES[i].text);
        buf_fini(&said);
        compile_close();
    }
}

static void test_dnsbl_of_others(void **state)
{
    (void)state;
    bool ok;
    const struct statement *on = compile_open("reject if 192.0.2.1 in yes");
    eval_compile(&T.program, on->on.rules[0]->if_cond, NULL, &T.d, &ok);
    assert_false(ok);
    assert_true(str_equal(T.d.items[T.d.count - 1].text, STR("a dnsbl is asked about client only")));
    compile_close();
}

static void test_forms(void **state)
{
    (void)state;
    static const struct {
        enum table_type type;
        const char *text, *forms;
    } CASES[] = {
        {TABLE_STRINGS, "Some Word", "some word"},
        {TABLE_STRINGS, "A@B.example", "a@b.example"},
        {TABLE_DOMAINS, "A.b.Example", "a.b.example .b.example .example"},
        {TABLE_DOMAINS, "example", "example"},
        {TABLE_DOMAINS,
         "b\xc3\xbc"
         "cher.example",
         "xn--bcher-kva.example .example"},
        {TABLE_ADDRESSES, "Bob@A.example", "bob@a.example @a.example"},
        {TABLE_ADDRESSES, "Bob+x@A.example", "bob+x@a.example bob@a.example @a.example"},
        {TABLE_ADDRESSES, "bob", "bob"},
        {TABLE_MAP, "bob+x@a.example", "bob+x@a.example bob@a.example @a.example"},
        {TABLE_MAP, "Bob+x", "bob+x"},
        {TABLE_MAP, "", ""},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        char form_text[TABLE_FORM_MAX_BYTES], forms[512] = "";
        struct str form;
        for (unsigned n = 0; table_form(CASES[i].type, str_of_z(CASES[i].text), n, form_text, &form); n++) {
            size_t len = strlen(forms);
            snprintf(forms + len, sizeof forms - len, "%s" PRI_STR, n ? " " : "", STR_ARG(form));
        }
        assert_string_equal(forms, CASES[i].forms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conditions), cmocka_unit_test(test_counts_of_recipients),
        cmocka_unit_test(test_texts),      cmocka_unit_test(test_dnsbl_of_others),
        cmocka_unit_test(test_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
