/* test_policy.c - the door to rules and limits, asked as a session asks: who is charged, how much, on which counter;
 * and what is answered when there is no memory. */
#include "door.h"
#include "limits/allowance.h"

/* ---- who is charged ---- */

static void test_keys(void **state)
{
    (void)state;
    static const struct {
        const char *name, *key;
        struct mail first, second;
        bool is_same; /* both are counted together */
    } CASES[] = {
        {"one user", "user", {.user = "a@x"}, {.user = "a@x"}, true},
        {"in other case", "user", {.user = "Alice@X"}, {.user = "aLICE@x"}, true},
        {"two users", "user", {.user = "a@x"}, {.user = "b@x"}, false},
        {"one user, two addresses", "user", {.user = "a@x"}, {.user = "a@x", .client = "198.51.100.1"}, true},
        {"no user: no limit", "user", {.sender = "a@x"}, {.sender = "a@x"}, false},
        {"one address", "client", {.user = "a"}, {.user = "b"}, true},
        {"two addresses", "client", {.client = "192.0.2.1"}, {.client = "192.0.2.2"}, false},
        {"IPv6: its /64 is one client", "client", {.client = "2001:db8::1"}, {.client = "2001:db8::ffff:1"}, true},
        {"the next /64 is another", "client", {.client = "2001:db8::1"}, {.client = "2001:db8:0:1::1"}, false},
        {"one network", "network", {.client = "192.0.2.1"}, {.client = "192.0.2.255"}, true},
        {"two networks", "network", {.client = "192.0.2.1"}, {.client = "192.0.3.1"}, false},
        {"IPv6: /56", "network", {.client = "2001:db8:0:1::1"}, {.client = "2001:db8:0:fe::1"}, true},
        {"all", "global", {.user = "a", .client = "192.0.2.1"}, {.client = "2001:db8::1"}, true},
        {"user and client: both", "user, client", {.user = "a"}, {.user = "a"}, true},
        {"user and client: another client", "user, client", {.user = "a"}, {.user = "a", .client = "192.0.2.8"}, false},
        {"user and client: no user", "user, client", {.sender = "a@x"}, {.sender = "a@x"}, false},
        {"a name cannot pretend to be a joint key",
         "user, client",
         {.user = "a+192.0.2.7", .client = "192.0.2.9"},
         {.user = "a"},
         false},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        char rules[200];
        door_again(state);
        snprintf(rules, sizeof rules, "limit l per %s count messages { 1/1h }\n", CASES[i].key);
        door_load(rules);
        assert_int_equal(door_send(&CASES[i].first), POLICY_GO_ON);
        bool is_same = door_send(&CASES[i].second) == POLICY_DEFER;
        if (is_same != CASES[i].is_same)
            fail_msg("%s: counted %s", CASES[i].name, is_same ? "together" : "apart");
    }
}

static void test_units_and_conditions(void **state)
{
    (void)state;
    static const struct {
        const char *name, *limit;
        struct mail mail;
        int may_pass; /* mails */
    } CASES[] = {
        {"messages", "count messages { 3/1h }", {.user = "a", .recipients = {"x@x", "y@x"}}, 3},
        {"recipients", "count recipients { 7/1h }", {.user = "a", .recipients = {"x@x", "y@x"}}, 3},
        {"bytes, declared", "count bytes { 10K/1h }", {.user = "a", .recipients = {"x@x"}, .size = 3000}, 3},
        {"bytes, not declared: 1 KB", "count bytes { 4K/1h }", {.user = "a", .recipients = {"x@x"}}, 4},
        {"only those that concern it",
         "count recipients { 4/1h  if rcpt.domain = \"out\" }",
         {.user = "a", .recipients = {"a@in", "b@out", "c@in", "d@out"}},
         2},
        {"unless",
         "count recipients { 2/1h  unless rcpt.domain in { in } }",
         {.user = "a", .recipients = {"a@in", "b@out", "c@in"}},
         2},
        {"none concerns it",
         "count recipients { 1/1h  if rcpt.domain = \"far\" }",
         {.user = "a", .recipients = {"a@in"}},
         5},
        {"messages: once, if any does",
         "count messages { 2/1h  if rcpt.domain = \"out\" }",
         {.user = "a", .recipients = {"a@out", "b@out", "c@in"}},
         2},
        {"of the sender", "count messages { 2/1h  if sender = \"a@x\" }", {.user = "a", .sender = "a@x"}, 2},
        {"of another sender", "count messages { 2/1h  if sender = \"a@x\" }", {.user = "a", .sender = "b@x"}, 5},
        {"two windows", "count messages { 9/1h, 2/1m }", {.user = "a"}, 2},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        char rules[200];
        int passed = 0;
        door_again(state);
        snprintf(rules, sizeof rules, "limit l per user %s\n", CASES[i].limit);
        door_load(rules);
        while (passed < 5 && door_send(&CASES[i].mail) == POLICY_GO_ON)
            passed++;
        if (passed != CASES[i].may_pass)
            fail_msg("%s: %d passed, not %d", CASES[i].name, passed, CASES[i].may_pass);
    }
}

/* ---- what an operator allowed ---- */

static void allow_per(const char *entity, const char *limit, uint32_t count, uint32_t period_s, int64_t for_us)
{
    struct err err;
    struct allowance a = {.rates = {{count, period_s}}, .rate_count = count ? 1 : 0, .changed_us = T.now_us};
    snprintf(a.entity, sizeof a.entity, "%s", entity);
    snprintf(a.limit, sizeof a.limit, "%s", limit);
    a.until_us = T.now_us + for_us;
    assert_true(allowance_set(T.engine.allowances, &a, true, &err));
}

static void allow(const char *entity, const char *limit, uint32_t count, int64_t for_us)
{
    allow_per(entity, limit, count, 3600, for_us);
}

/* It goes before the limit's table and its own rates, for whom it was given, until it is over. */
static void test_allowed_by_an_operator(void **state)
{
    static const struct mail ALICE = {.user = "alice"}, BOB = {.user = "bob"};
    struct err err;
    void *memory = aligned_alloc(64, (allowance_table_size() + 63) & ~(size_t)63);
    (void)state;
    assert_non_null(memory);
    memset(memory, 0, allowance_table_size());
    door_load("table q map { alice 2/1h }\nlimit pace per user count messages { 1/1h overrides q }\n");
    T.engine.allowances = allowance_table_init(memory, &err);
    allow("u:alice", "pace", 4, 3600 * INT64_C(1000000));
    allow("u:bob", "another", 9, 3600 * INT64_C(1000000));
    for (int i = 0; i < 4; i++)
        assert_int_equal(door_send(&ALICE), POLICY_GO_ON);
    assert_int_equal(door_send(&ALICE), POLICY_DEFER);
    door_expect(451, "4.7.1", "pace: 4 per 1h used up, 5 with this mail; try again in ");
    assert_int_equal(door_send(&BOB), POLICY_GO_ON);
    assert_int_equal(door_send(&BOB), POLICY_DEFER);
    allow("u:bob", "pace", 0, 60 * INT64_C(1000000));
    for (int i = 0; i < 20; i++)
        assert_int_equal(door_send(&BOB), POLICY_GO_ON);
    T.now_us += 60 * INT64_C(1000000);
    assert_int_equal(door_send(&BOB), POLICY_DEFER);
    /* Given while the limit of that name counted open connections: of a number without a window no mail can be one of
     * so many. */
    allow_per("u:bob", "pace", 9, 0, 60 * INT64_C(1000000));
    assert_int_equal(door_send(&BOB), POLICY_DEFER);
    allowance_table_fini(T.engine.allowances);
    T.engine.allowances = NULL;
    free(memory);
}

/* ---- all or nothing ---- */

static void test_what_one_refuses_is_charged_to_none(void **state)
{
    (void)state;
    static const struct mail MAIL = {.user = "a", .recipients = {"x@x", "y@x"}};
    static const struct mail SMALL = {.user = "a", .recipients = {"x@x"}};
    door_load("limit wide per user count messages { 3/1h }\nlimit narrow per client count recipients { 3/1h }\n");
    assert_int_equal(door_send(&MAIL), POLICY_GO_ON);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(door_send(&MAIL), POLICY_DEFER);
        door_expect(451, "4.7.1", "narrow: 3 per 1h used up, 4 with this mail; try again in ");
        assert_true(T.answer.by_limit && str_equal(T.answer.by, STR("narrow")));
    }
    assert_int_equal(door_send(&SMALL), POLICY_GO_ON); /* the second on both */
    T.facts.client = NULL;
    static const struct mail ELSEWHERE = {.user = "a", .client = "198.51.100.1", .recipients = {"x@x"}};
    assert_int_equal(door_send(&ELSEWHERE), POLICY_GO_ON);
    assert_int_equal(door_send(&ELSEWHERE), POLICY_DEFER);
    door_expect(451, "4.7.1", "wide: 3 per 1h used up, 4 with this mail");
}

static void test_early_and_for_good(void **state)
{
    (void)state;
    static const struct mail ONE = {.user = "a", .recipients = {"x@x"}},
                             FOUR = {.user = "a", .recipients = {"a@x", "b@x", "c@x", "d@x"}};
    door_load("limit l per user count recipients { 3/1h }\n");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(door_ask(PHASE_MAIL, &ONE), POLICY_GO_ON); /* looking charges nothing */
        assert_int_equal(door_ask(PHASE_RCPT, &ONE), POLICY_GO_ON);
        assert_int_equal(door_ask(PHASE_RCPT, &FOUR), POLICY_GO_ON); /* what can never pass is data's to say */
        assert_int_equal(door_ask(PHASE_DATA, &FOUR), POLICY_REJECT);
        door_expect(552, "5.7.1", "l: 3 per 1h allowed, 4 in this mail; send it in parts of at most 3");
        assert_int_equal(door_send(&ONE), POLICY_GO_ON);
    }
    assert_int_equal(door_ask(PHASE_MAIL, &ONE), POLICY_DEFER);
    door_expect(450, "4.7.1", "l: 3 per 1h used up, 4 with this mail");
    assert_int_equal(door_ask(PHASE_RCPT, &ONE), POLICY_DEFER);
    door_expect(450, "4.7.1", "l: 3 per 1h used up, 4 with this mail");
}

/* What MAIL saw is trusted for as many recipients as it saw room for; DATA is not fooled by it. */
static void test_mail_looks_for_its_recipients(void **state)
{
    (void)state;
    static const struct mail NONE = {.user = "a"}, ONE = {.user = "a", .recipients = {"x@x"}},
                             TWO = {.user = "a", .recipients = {"x@x", "y@x"}},
                             THREE = {.user = "a", .recipients = {"x@x", "y@x", "z@x"}};
    door_load("limit l per user count recipients { 3/1h }\n");
    assert_int_equal(door_send(&ONE), POLICY_GO_ON);
    assert_int_equal(door_ask(PHASE_MAIL, &NONE), POLICY_GO_ON);
    assert_int_equal(door_ask(PHASE_RCPT, &ONE), POLICY_GO_ON);
    assert_int_equal(door_ask(PHASE_RCPT, &TWO), POLICY_GO_ON);
    assert_int_equal(door_ask(PHASE_RCPT, &THREE), POLICY_DEFER); /* one too many */
    door_expect(450, "4.7.1", "l: 3 per 1h used up, 4 with this mail");

    assert_int_equal(door_ask(PHASE_MAIL, &NONE), POLICY_GO_ON);
    assert_int_equal(door_send(&TWO), POLICY_GO_ON); /* another one's, meanwhile */
    assert_int_equal(door_ask(PHASE_RCPT, &ONE), POLICY_GO_ON);
    assert_int_equal(door_ask(PHASE_DATA, &ONE), POLICY_DEFER);
    door_expect(451, "4.7.1", "l: 3 per 1h used up, 4 with this mail");

    /* limits that depend on the recipient are asked for each */
    door_load("limit r per rcpt count recipients { 1/1h }\n");
    assert_int_equal(door_send(&ONE), POLICY_GO_ON);
    assert_int_equal(door_ask(PHASE_MAIL, &NONE), POLICY_GO_ON);
    assert_int_equal(door_ask(PHASE_RCPT, &ONE), POLICY_DEFER);
    door_load("limit t per user count messages { 1/1h if rcpt.domain = \"x\" }\n");
    assert_int_equal(door_ask(PHASE_DATA, &ONE), POLICY_GO_ON);
    policy_keep(&T.engine, &T.mail, NOW);
    assert_int_equal(door_ask(PHASE_MAIL, &NONE), POLICY_GO_ON);
    assert_int_equal(door_ask(PHASE_RCPT, &ONE), POLICY_DEFER);
}

static void test_settle_keep_give_back(void **state)
{
    (void)state;
    static const struct mail MAIL = {.user = "a", .recipients = {"x@x"}, .size = 1000};
    door_load("limit mails per user count messages { 2/1h }\nlimit bytes per user count bytes { 10K/1h }\n");
    assert_int_equal(door_ask(PHASE_DATA, &MAIL), POLICY_GO_ON);
    assert_true(door_settle(9000));
    policy_give_back(&T.engine, &T.mail);
    policy_give_back(&T.engine, &T.mail); /* once is enough, twice is harmless */
    assert_int_equal(door_ask(PHASE_DATA, &MAIL), POLICY_GO_ON);
    assert_true(door_settle(9000));
    policy_keep(&T.engine, &T.mail, NOW);
    policy_give_back(&T.engine, &T.mail); /* too late: it was taken */
    assert_int_equal(door_ask(PHASE_DATA, &MAIL), POLICY_GO_ON);
    assert_false(door_settle(9000));
    door_expect(451, "4.7.1", "bytes: 10K per 1h used up, 18K with this mail");
    assert_null(T.mail.reservation);
    assert_int_equal(door_ask(PHASE_DATA, &MAIL), POLICY_GO_ON); /* the refused one holds nothing */
    assert_false(door_settle(20000));
    door_expect(552, "5.7.1", "bytes: 10K per 1h allowed, 20K in this mail");
    assert_int_equal(door_send(&MAIL), POLICY_GO_ON);
    assert_int_equal(door_send(&MAIL), POLICY_DEFER);
    door_expect(451, "4.7.1", "mails: 2 per 1h");
}

static void test_connections(void **state)
{
    (void)state;
    static const struct mail CLIENT = {.client = "192.0.2.7"};
    door_load(
        "limit open per client count open-connections { 1 }\non connect { rule no reject if client = 192.0.2.8 }\n");
    assert_int_equal(door_ask(PHASE_CONNECT, &CLIENT), POLICY_GO_ON);
    struct policy_connection first = T.connection;
    T.connection = (struct policy_connection){0};
    assert_int_equal(door_ask(PHASE_CONNECT, &CLIENT), POLICY_DEFER);
    door_expect(421, "4.7.0", "open: 1 at once used up, 2 with this connection; try again later");
    assert_null(T.connection.leases);
    policy_connection_end(&T.engine, &first);
    policy_connection_end(&T.engine, &first); /* harmless */
    assert_int_equal(door_ask(PHASE_CONNECT, &CLIENT), POLICY_GO_ON);
}

/* ---- rules ---- */

static void test_rules_in_order(void **state)
{
    (void)state;
    static const struct mail MAIL = {.user = "a", .sender = "a@x"};
    door_load("on mail {\n rule first tag x \"one\"\n rule second tag x \"two ${tag.x}\", log \"x is ${tag.x}\"\n"
              " rule third accept if tag.x = \"two one\"\n rule fourth reject\n}\n"
              "limit l per user count messages { 1/1h }\n");
    assert_int_equal(door_ask(PHASE_MAIL, &MAIL), POLICY_GO_ON);
    assert_true(str_equal(T.mail.tags->value, STR("two one")) && !T.mail.tags->next);
    assert_true(T.answer.effects && str_equal(T.answer.effects->text, STR("x is two one")));
    assert_int_equal(door_send(&MAIL), POLICY_GO_ON);
    assert_int_equal(door_ask(PHASE_MAIL, &MAIL), POLICY_DEFER); /* accept skips no limit */
}

static void test_observed(void **state)
{
    (void)state;
    static const struct mail MAIL = {.user = "a", .sender = "a@x"};
    door_load(
        "on data {\n rule r observe reject \"no ${sender}\"\n}\nlimit l per user count messages { 1/1h  observe }\n");
    assert_int_equal(door_send(&MAIL), POLICY_GO_ON);
    assert_int_equal(T.answer.effects->kind, POLICY_EFFECT_WOULD);
    assert_true(str_equal(T.answer.effects->by, STR("r")) && str_equal(T.answer.effects->action, STR("reject")));
    assert_true(str_equal(T.answer.effects->text, STR("no a@x")) && !T.answer.effects->next);
    assert_int_equal(door_send(&MAIL), POLICY_GO_ON); /* it counts, and refuses nothing */
    assert_true(T.answer.effects->next && str_equal(T.answer.effects->next->by, STR("l")));
}

static void test_long_texts(void **state)
{
    (void)state;
    static char sender[3000];
    memset(sender, 'x', sizeof sender - 1);
    const struct mail MAIL = {.user = "a", .sender = sender};
    door_load("on mail {\n rule r reject \"no: ${sender}\"\n}\n");
    assert_int_equal(door_ask(PHASE_MAIL, &MAIL), POLICY_REJECT);
    door_expect(550, "5.7.1", "no: xxx");
    assert_true(T.answer.text.len <= 1024);
}

/* ---- without memory ---- */

static void test_no_memory(void **state)
{
    (void)state;
    static const struct {
        const char *phase;
        enum phase id;
        enum policy_verdict verdict;
        int code;
        const char *enhanced;
    } CASES[] = {
        {"connect", PHASE_CONNECT, POLICY_DISCONNECT, 421, "4.3.0"},
        {"helo", PHASE_HELO, POLICY_DEFER, 451, "4.3.0"},
        {"auth", PHASE_AUTH, POLICY_DEFER, 454, "4.7.0"},
        {"login", PHASE_LOGIN, POLICY_DEFER, 454, "4.7.0"},
        {"mail", PHASE_MAIL, POLICY_DEFER, 451, "4.3.0"},
        {"rcpt", PHASE_RCPT, POLICY_DEFER, 451, "4.3.0"},
        {"data", PHASE_DATA, POLICY_DEFER, 451, "4.3.0"},
    };
    static const char *const ACTIONS[] = {"reject \"no ${client}\"", "tag x \"${client}\"", "tag x"};
    static const struct mail MAIL = {.user = "a", .sender = "a@x", .recipients = {"b@x"}};
    for (size_t i = 0; i < COUNT_OF(CASES); i++)
        for (size_t k = 0; k < COUNT_OF(ACTIONS); k++) {
            char rules[200];
            door_again(state);
            arena_init(&T.arena, 0);
            arena_init(&T.connection_arena, 0);
            snprintf(rules, sizeof rules, "on %s {\n rule r %s\n}\n", CASES[i].phase, ACTIONS[k]);
            door_load(rules);
            assert_int_equal(door_ask(CASES[i].id, &MAIL), CASES[i].verdict);
            door_expect(CASES[i].code, CASES[i].enhanced, "A fault in this server");
            assert_null(T.answer.by.ptr);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DOOR_TEST(test_keys),
        DOOR_TEST(test_units_and_conditions),
        DOOR_TEST(test_allowed_by_an_operator),
        DOOR_TEST(test_what_one_refuses_is_charged_to_none),
        DOOR_TEST(test_early_and_for_good),
        DOOR_TEST(test_mail_looks_for_its_recipients),
        DOOR_TEST(test_settle_keep_give_back),
        DOOR_TEST(test_connections),
        DOOR_TEST(test_rules_in_order),
        DOOR_TEST(test_observed),
        DOOR_TEST(test_long_texts),
        DOOR_TEST(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
