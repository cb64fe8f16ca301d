/* test_eval_list.c - `x in { … }` for every type that x may have: the text is parsed, checked, compiled and asked. */
#include "check_cases.h"
#include "rules/eval.h"

/* One session, whose facts these are. */
static void get_fact(const struct facts *facts, int attribute, struct str name, struct fact *out)
{
    static const struct ip client = {ADDR_IPV4, {192, 0, 2, 9}};
    (void)facts;
    (void)name;
    switch (attribute) {
    case ATTRIBUTE_CLIENT:
        *out = (struct fact){.kind = FACT_IP, .ip = client};
        break;
    case ATTRIBUTE_CLIENT_NETWORK:
        *out = (struct fact){.kind = FACT_NETWORK, .network = ip_net_of(&client, 24)};
        break;
    case ATTRIBUTE_TLS:
        *out = (struct fact){.kind = FACT_TRUTH, .truth = true};
        break;
    case ATTRIBUTE_CLIENT_PORT:
        *out = (struct fact){.kind = FACT_NUMBER, .number = 1024};
        break;
    case ATTRIBUTE_SESSION_AGE:
        *out = (struct fact){.kind = FACT_DURATION, .number = 5000};
        break;
    case ATTRIBUTE_NOW:
        *out = (struct fact){.kind = FACT_TIME, .number = 12 * 60 + 30};
        break;
    case ATTRIBUTE_WEEKDAY:
        *out = (struct fact){.kind = FACT_WEEKDAY, .number = 1};
        break;
    case ATTRIBUTE_SENDER:
        *out = (struct fact){.kind = FACT_TEXT, .text = STR("Alice+news@Example.org")};
        break;
    case ATTRIBUTE_SENDER_DOMAIN:
        *out = (struct fact){.kind = FACT_TEXT, .text = STR("sub.Example.org")};
        break;
    case ATTRIBUTE_USER:
        *out = (struct fact){.kind = FACT_TEXT, .text = STR("alice")};
        break;
    case ATTRIBUTE_LISTENER:
        *out = (struct fact){.kind = FACT_TEXT, .text = STR("smtp")};
        break;
    default:
        *out = (struct fact){.kind = FACT_NONE};
        break;
    }
}

static const struct {
    const char *condition;
    bool is_true;
} CASES_OF_IN[] = {
    {"client in { 198.51.100.1, 192.0.2.0/28 }", true},
    {"client in { 192.0.2.10-192.0.2.20 }", false},
    {"client not in { 192.0.2.10 }", true},
    {"client.network in { 198.51.100.0/24, 192.0.2.0/24 }", true},
    {"client.network in { 192.0.2.0/23 }", false},
    {"client.network not in { 192.0.2.0/24 }", false},
    {"tls in { on }", true},
    {"tls in { off }", false},
    {"tls in { off, true }", true},
    {"client.port in { 25, 1K }", true},
    {"client.port in { 25 }", false},
    {"session.age in { 5s }", true},
    {"session.age in { 5m }", false},
    {"now in { 08:00-12:30, 12:31-13:00 }", false},
    {"now in { 12:30 }", true},
    {"now in { 22:00-13:00 }", true},
    {"weekday in { mon, tue }", true},
    {"weekday in { wed }", false},
    {"sender in { @example.net, alice@example.org }", true},
    {"sender in { bob@example.org }", false},
    {"sender in { @example.org }", true},
    {"sender.domain in { .example.org }", true},
    {"sender.domain in { example.org }", false},
    {"user in { ALICE, bob@example.org }", true},
    {"user in { alice@example.org }", false},
    {"listener in { submission, SMTP }", true},
    {"listener not in { submission }", true},
    {"sender.local in { a }", false},
    {"sender.local not in { a }", false}, /* none: every comparison is false */
    {"sender.domain under example.org", true},
    {"sender.domain under .example.org", true},
    {"sender.domain under \"ple.org\"", false},
    {"client in 192.0.2.0/24", true},
    {"now in 12:00-12:30", false},
};

static void lists_are_asked(void **state)
{
    static const struct facts facts = {.get = get_fact};
    static const struct eval_context context = {.facts = &facts};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES_OF_IN); i++) {
        struct checked k;
        struct eval_program program;
        char text[256];
        bool compiled;
        snprintf(text, sizeof text, "on rcpt { rule r log if %s }", CASES_OF_IN[i].condition);
        checked_open(&k, text, false);
        assert_true(k.is_fine);
        eval_program_init(&program);
        struct test_node *node =
            eval_compile(&program, k.tree.statements[0]->on.rules[0]->if_cond, NULL, &k.d, &compiled);
        assert_true(compiled);
        if (eval_is_true(node, &context) != CASES_OF_IN[i].is_true)
            fail_msg("%s", CASES_OF_IN[i].condition);
        eval_program_fini(&program);
        checked_close(&k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lists_are_asked)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
