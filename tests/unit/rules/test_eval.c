/* test_eval.c - what conditions mean (GRAMMAR.md 3), asked about one mail whose facts stand below. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "rules/check.h"
#include "rules/eval.h"

/* Everything else is none: mail.size, rcpt.tag, tls.cipher … */
static const struct {
    enum attribute attribute;
    struct fact fact;
} FACTS[] = {
    {ATTRIBUTE_CLIENT_PORT, {.kind = FACT_NUMBER, .number = 50312}},
    {ATTRIBUTE_LISTENER, {.kind = FACT_TEXT, .text = STR("submission")}},
    {ATTRIBUTE_NOW, {.kind = FACT_TIME, .number = 8 * 60 + 30}},
    {ATTRIBUTE_WEEKDAY, {.kind = FACT_WEEKDAY, .number = 2}},
    {ATTRIBUTE_HELO, {.kind = FACT_TEXT, .text = STR("Laptop.Client.Example")}},
    {ATTRIBUTE_TLS, {.kind = FACT_TRUTH, .truth = true}},
    {ATTRIBUTE_TLS_VERSION, {.kind = FACT_TEXT, .text = STR("TLSv1.3")}},
    {ATTRIBUTE_SESSION_ERRORS, {.kind = FACT_NUMBER, .number = 2}},
    {ATTRIBUTE_SESSION_AGE, {.kind = FACT_DURATION, .number = 90000}},
    {ATTRIBUTE_SESSION_EARLY, {.kind = FACT_TRUTH, .truth = false}},
    {ATTRIBUTE_AUTHENTICATED, {.kind = FACT_TRUTH, .truth = true}},
    {ATTRIBUTE_USER, {.kind = FACT_TEXT, .text = STR("alice")}},
    {ATTRIBUTE_SENDER, {.kind = FACT_TEXT, .text = STR("Alice+news@Example.org")}},
    {ATTRIBUTE_SENDER_LOCAL, {.kind = FACT_TEXT, .text = STR("Alice+news")}},
    {ATTRIBUTE_SENDER_DOMAIN, {.kind = FACT_TEXT, .text = STR("Example.org")}},
    {ATTRIBUTE_SENDER_NULL, {.kind = FACT_TRUTH, .truth = false}},
    {ATTRIBUTE_MAIL_RECIPIENTS, {.kind = FACT_NUMBER, .number = 3}},
    {ATTRIBUTE_RCPT, {.kind = FACT_TEXT, .text = STR("bob@sub.example.net")}},
    {ATTRIBUTE_RCPT_LOCAL, {.kind = FACT_TEXT, .text = STR("bob")}},
    {ATTRIBUTE_RCPT_DOMAIN, {.kind = FACT_TEXT, .text = STR("sub.example.net")}},
};

static bool sender_is_null;

static void get(const struct facts *facts, int attribute, struct str name, struct fact *out)
{
    struct ip ip;
    (void)facts, (void)name;
    *out = (struct fact){.kind = FACT_NONE};
    assert_true(ip_parse(STR("192.0.2.7"), &ip));
    if (attribute == ATTRIBUTE_CLIENT)
        *out = (struct fact){.kind = FACT_IP, .ip = ip};
    if (attribute == ATTRIBUTE_CLIENT_NETWORK)
        *out = (struct fact){.kind = FACT_NETWORK, .network = ip_net_of(&ip, 24)};
    if (sender_is_null && attribute == ATTRIBUTE_SENDER_NULL)
        *out = (struct fact){.kind = FACT_TRUTH, .truth = true};
    if (sender_is_null && attribute >= ATTRIBUTE_SENDER && attribute <= ATTRIBUTE_SENDER_NULL)
        return;
    for (size_t i = 0; i < COUNT_OF(FACTS); i++)
        if ((int)FACTS[i].attribute == attribute)
            *out = FACTS[i].fact;
}

static const char GROUND[] = "parameter limit-of 3 \"a number\"\n"
                             "parameter yes true \"a truth\"\n"
                             "table domains-of domains { example.org, .example.net }\n"
                             "table people addresses { alice@example.org, @other.example }\n"
                             "table words strings { alice, Submission }\n"
                             "table nets networks { 192.0.2.0/28, 2001:db8::/32 }\n"
                             "table owners map { alice@example.org { alice, carol }, bob dora }\n"
                             "on mail { rule t tag color \"Blue\", tag bare if sender.local = \"nobody\"\n"
                             " rule u tag never \"x\" if sender.local = \"nobody\" }\n";

/* Asks one condition at rcpt. */
static bool ask(const char *condition)
{
    static struct rule_tag bare = {NULL, STR("bare"), {NULL, 0}};
    static struct rule_tag color = {&bare, STR("color"), STR("Blue")};
    struct source_set sources;
    struct diagnostics d;
    struct tree tree;
    struct eval_program program;
    struct buf text, said;
    bool ok = false, is_true = false;
    buf_init(&text, 1 << 16);
    buf_init(&said, 1 << 16);
    source_set_init(&sources, NULL, 0);
    diag_init(&d, &sources);
    tree_init(&tree, &sources);
    eval_program_init(&program);
    assert_true(buf_printf(&text, "%son rcpt { rule r reject if %s\n }\n", GROUND, condition));
    if (rules_parse_text(&sources, "test", buf_str(&text), &d, &tree) && rules_check(&tree, &d) &&
        eval_add_tables(&program, &tree, &d)) {
        const struct statement *last = tree.statements[tree.count - 1];
        const struct test_node *node =
            eval_compile(&program, last->on.rules[0]->if_cond, last->on.rules[0]->unless_cond, &d, &ok);
        const struct facts facts = {.get = get};
        const struct eval_context context = {.facts = &facts, .connection_tags = &color};
        is_true = ok && eval_is_true(node, &context);
    }
    if (!ok) {
        assert_true(diag_print(&d, &said));
        fail_msg("%s: " PRI_STR, condition, STR_ARG(buf_str(&said)));
    }
    eval_program_fini(&program);
    tree_fini(&tree);
    diag_fini(&d);
    source_set_fini(&sources);
    buf_fini(&text);
    buf_fini(&said);
    return is_true;
}

static const char *const TRUE_ONES[] = {
    /* comparing */
    "listener = \"submission\"",
    "listener = \"SUBMISSION\"",
    "listener != \"smtp\"",
    "sender = \"alice+news@example.org\"",
    "sender = \"ALICE+NEWS@EXAMPLE.ORG\"",
    "sender.domain = \"example.ORG\"",
    "client = 192.0.2.7",
    "client != 192.0.2.8",
    "client.network = 192.0.2.0/24",
    "client.port = 50312",
    "client.port > 50311",
    "client.port >= 50312",
    "client.port < 50313",
    "client.port <= 50312",
    "mail.recipients = 3",
    "mail.recipients > 2.5",
    "mail.recipients < 3.000001",
    "mail.recipients = $limit-of",
    "session.age > 1m",
    "session.age = 1m30s",
    "session.age <= 90s",
    "now = 08:30",
    "now > 08:29",
    /* a tag counts in comparisons, but not in tables of addresses */
    "sender != \"alice@example.org\"",
    "sender in people",
    /* truths */
    "tls",
    "not session.early",
    "authenticated and tls",
    "tls = true",
    "session.early = false",
    "$yes",
    "tag.bare",
    "tag.color",
    "tag.color = \"blue\"",
    /* together */
    "tls and not session.early or sender.null",
    "sender.null or tls and authenticated",
    "not (sender.null or session.early)",
    "tls unless session.early",
    /* none: every comparison with it is false, not (…) of that is true */
    "mail.size is none",
    "not (mail.size = 1)",
    "not (mail.size != 1)",
    "rcpt.tag is none",
    "tag.never is none",
    "not tag.never",
    "not (listener is none)",
    /* in */
    "client in 192.0.2.0/24",
    "client in nets",
    "client not in { 192.0.2.8, 198.51.100.0/24 }",
    "client in { 198.51.100.0/24, 192.0.2.7 }",
    "client in { 192.0.2.1-192.0.2.7 }",
    "sender.domain in domains-of",
    "rcpt.domain in domains-of",
    "rcpt.domain not in { example.net }",
    "sender in { alice@example.org }",
    "sender in { @example.org }",
    "sender not in { @example.net }",
    "user in words",
    "user in { Alice }",
    "listener in words",
    "sender in owners",
    "user in owners[sender]",
    "not (\"dora\" = listener)",
    "now in 08:00-18:00",
    "now in 22:00-08:31",
    "now not in 08:31-18:00",
    "now in { 06:00-07:00, 08:30-08:31 }",
    "weekday in { mon, wed }",
    "weekday not in { sat, sun }",
    "mail.recipients in { 1, 3 }",
    "mail.recipients not in { 1, 2 }",
    "tls.version in { \"TLSv1.2\", \"tlsv1.3\" }",
    /* texts */
    "helo like \"*.client.example\"",
    "helo like \"laptop.*\"",
    "helo like \"L?PTOP.client.example\"",
    "helo like \"*\"",
    "helo like \"*a*a*\"",
    "helo contains \"CLIENT\"",
    "helo contains \"\"",
    "helo under client.example",
    "helo under example",
    "helo under laptop.client.example",
    "rcpt matches '^bob@'",
    "rcpt matches 'example'",
    "rcpt matches '(?i)^BOB@'",
    "sender.local matches 'news$'",
};

static const char *const FALSE_ONES[] = {
    "listener = \"smtp\"",
    "listener != \"Submission\"",
    "sender = \"alice@example.org\"",
    "client = 192.0.2.8",
    "client.network = 192.0.2.0/25",
    "client.port > 50312",
    "mail.recipients < 3",
    "session.age > 90s",
    "now < 08:30",
    "session.early",
    "sender.null",
    "not tls",
    "tls and session.early",
    "sender.null or session.early",
    "tls unless authenticated",
    "tag.never",
    "tag.color = \"red\"",
    /* none */
    "mail.size = 1",
    "mail.size != 1",
    "mail.size > 0",
    "mail.size < 0",
    "rcpt.tag = \"x\"",
    "rcpt.tag != \"x\"",
    "rcpt.tag in { \"x\" }",
    "rcpt.tag not in { \"x\" }",
    "rcpt.tag like \"*\"",
    "rcpt.tag contains \"\"",
    "rcpt.tag matches ''",
    "tag.never != \"x\"",
    "listener is none",
    "tag.bare is none",
    /* in */
    "client in 192.0.3.0/24",
    "client in { 198.51.100.0/24, 192.0.2.8 }",
    "client not in nets",
    "sender.domain not in domains-of",
    "helo in domains-of",
    "sender in { bob@example.org }",
    "user in owners[rcpt]",
    "user not in owners[rcpt]",
    "user not in owners[sender]",
    "listener in { smtp }",
    "now in 08:31-18:00",
    "now in 08:00-08:30",
    "now in 22:00-08:30",
    "weekday in { sat, sun }",
    "mail.recipients in { 1, 2 }",
    /* texts */
    "helo like \"client\"",
    "helo like \"\"",
    "helo like \"*.client\"",
    "helo contains \"server\"",
    "helo under lient.example",
    "helo under a.laptop.client.example",
    "rcpt matches '^BOB@'",
    "rcpt matches '^example'",
};

static void test_true(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(TRUE_ONES); i++)
        if (!ask(TRUE_ONES[i]))
            fail_msg("not true: %s", TRUE_ONES[i]);
}

static void test_false(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(FALSE_ONES); i++)
        if (ask(FALSE_ONES[i]))
            fail_msg("not false: %s", FALSE_ONES[i]);
}

/* The null sender is known to be null, and is none in every other way. */
static void test_null_sender(void **state)
{
    (void)state;
    sender_is_null = true;
    assert_true(ask("sender.null"));
    assert_true(ask("sender is none"));
    assert_false(ask("sender != \"a@example.org\""));
    assert_false(ask("sender in people"));
    assert_false(ask("sender not in people"));
    assert_false(ask("user in owners[sender]"));
    assert_true(ask("not (sender in people)"));
    sender_is_null = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_true), cmocka_unit_test(test_false),
                                       cmocka_unit_test(test_null_sender)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
