/* test_eval_table.c - tables asked by conditions: the text is parsed, checked, compiled and asked, and what was seen is
 * told. */
#include "check_cases.h"
#include "rules/eval.h"

static void get_fact(const struct facts *facts, int attribute, struct str name, struct fact *out)
{
    static const struct ip client = {ADDR_IPV4, {10, 1, 2, 3}};
    (void)facts;
    (void)name;
    *out = (struct fact){.kind = FACT_NONE};
    if (attribute == ATTRIBUTE_CLIENT)
        *out = (struct fact){.kind = FACT_IP, .ip = client};
    else if (attribute == ATTRIBUTE_SENDER)
        *out = (struct fact){.kind = FACT_TEXT, .text = STR("Alice+news@Example.org")};
    else if (attribute == ATTRIBUTE_SENDER_DOMAIN)
        *out = (struct fact){.kind = FACT_TEXT, .text = STR("Example.org")};
    else if (attribute == ATTRIBUTE_HELO)
        *out = (struct fact){.kind = FACT_TEXT, .text = STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab")};
    else if (attribute == ATTRIBUTE_USER)
        *out = (struct fact){.kind = FACT_TEXT, .text = STR("alice")};
}

#define TABLES                                                                                                         \
    "table places netmap { 10.0.0.0/8 ten, 10.1.0.0/16 office, 10.1.2.0/24 \"the lab\", 192.0.2.0/24 alice }\n"        \
    "table nets networks { 10.1.0.0/16, 192.0.2.1-192.0.2.9 }\n"                                                       \
    "table names patterns { '^alice[+@]', '(?i)EXAMPLE' }\n"                                                           \
    "table evil patterns { '(a+)+$' }\n"                                                                               \
    "table owners map { alice@example.org { alice, bob }, office x }\n"                                                \
    "table words strings { \"the lab\", ten }\n"

static const struct {
    const char *condition;
    bool is_true;
    const char *seen;
} CASES_OF_TABLES[] = {
    {"places[client] = \"the lab\"", true, "places[client] the lab"},
    {"places[client] = \"office\"", false, "places[client] the lab"},
    {"places[10.9.9.9] = \"ten\"", true, "places[10.9.9.9] ten"},
    {"places[10.9.9.9] = \"ten\" and places[10.1.9.9] = \"office\"", true,
     "places[10.9.9.9] ten, places[10.1.9.9] office"},
    {"places[198.51.100.1] = \"ten\"", false, "places[198.51.100.1] none"},
    {"places[198.51.100.1] != \"ten\"", false, "places[198.51.100.1] none"},
    {"not places[198.51.100.1] = \"ten\"", true, "places[198.51.100.1] none"},
    {"places[198.51.100.1] is none", true, "places[198.51.100.1] none"},
    {"places[client] is none", false, "places[client] the lab"},
    {"places[client] in words", true, "places[client] the lab"},
    {"places[client] in { \"the lab\" }", true, "places[client] the lab"},
    {"places[client] like \"the *\"", true, "places[client] the lab"},
    {"places[client] matches '^lab'", false, "places[client] the lab"},
    {"user = places[192.0.2.7]", true, "user alice, places[192.0.2.7] alice"},
    {"client in places", true, "client 10.1.2.3"},
    {"client not in places", false, "client 10.1.2.3"},
    {"client in nets", true, "client 10.1.2.3"},
    {"sender in names", true, "sender Alice+news@Example.org"},
    {"user in names", false, "user alice"},
    {"sender.domain in names", true, "sender.domain Example.org"},
    {"user in owners[sender]", true, "user alice, sender Alice+news@Example.org"},
    {"user in owners[places[10.1.9.9]]", false, "user alice, places[10.1.9.9] office"},
    {"helo in evil", false, "helo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"},
    {"helo not in evil", true, "helo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"},
    {"helo matches '(a+)+$'", false, "helo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"},
};

static void tables_are_asked(void **state)
{
    static const struct facts facts = {.get = get_fact};
    static const struct eval_context context = {.facts = &facts};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES_OF_TABLES); i++) {
        struct checked k;
        struct eval_program program;
        char text[1024], said[1024];
        struct buf seen;
        bool compiled;
        snprintf(text, sizeof text, TABLES "on rcpt { rule r log if %s }", CASES_OF_TABLES[i].condition);
        checked_open(&k, text, false);
        checked_said(&k, said, sizeof said);
        if (!k.is_fine)
            fail_msg("%s: %s", CASES_OF_TABLES[i].condition, said);
        eval_program_init(&program);
        assert_true(eval_add_tables(&program, &k.tree, &k.d));
        const struct statement *on = k.tree.statements[k.tree.count - 1];
        struct test_node *node = eval_compile(&program, on->on.rules[0]->if_cond, NULL, &k.d, &compiled);
        assert_true(compiled);
        if (eval_is_true(node, &context) != CASES_OF_TABLES[i].is_true)
            fail_msg("%s", CASES_OF_TABLES[i].condition);
        buf_init(&seen, sizeof said - 1);
        assert_true(eval_values(node, &context, &seen));
        assert_string_equal(str_copy_into(said, sizeof said, buf_str(&seen)).ptr, CASES_OF_TABLES[i].seen);
        buf_fini(&seen);
        eval_program_fini(&program);
        checked_close(&k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tables_are_asked)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
