/* test_lookups.c - rules and limits that need what must be looked up first: what is asked, when and how often; what
 * happens meanwhile; and without an answer. */
#include "blocks.h"

#include <stdlib.h>

#include "limits/limiter.h"
#include "limits/store_memory.h"
#include "policy/ask.h"
#include "policy/lookups.h"

enum { ENTRIES = 1024, TRIPS_MAX = 128 };
#define NOW (INT64_C(1767614400) * 1000000) /* 2026-01-05T12:00:00Z */

/* The outside, which answers when the test says so. */
static struct {
    struct compiled compiled;
    void *memory;
    struct store store;
    struct limiter limiter;
    struct policy_lookups lookups;
    struct policy_engine engine;
    struct arena arena, connection_arena;
    struct policy_connection connection;
    struct policy_mail mail;
    struct policy_case question;
    struct policy_answer answer;
    unsigned answered; /* how often the callback came */

    struct policy_lookup *open[TRIPS_MAX];
    size_t open_count;
    unsigned begun, cancelled;
    uint64_t lists_asked; /* by the last trip to lists */
    bool knows_at_once;   /* every name is host.example, everybody is on every list, every key is there */
    const char *user, *sender, *recipients[4];
    unsigned failed_rules, false_rules, true_rules;
} T;

/* ---- the outside ---- */

static void place(struct policy_lookups *l, const struct ip *client, struct geoip_answer *answer)
{
    (void)l;
    (void)client;
    *answer = (struct geoip_answer){.country = "DE", .asn = 64500};
}

static void know(struct policy_lookup *lookup)
{
    str_copy_into(lookup->name, sizeof lookup->name, STR("host.example"));
    lookup->listed = lookup->dnsbls;
    lookup->found = POLICY_THERE;
    lookup->value = STR("alice, bob@example.org");
}

static enum started start(struct policy_lookups *l, struct policy_lookup *lookup, int64_t deadline_ms)
{
    (void)l;
    assert_int_equal(deadline_ms, 12345);
    T.begun++;
    if (lookup->kind == POLICY_LOOKUP_DNSBLS)
        T.lists_asked = lookup->dnsbls;
    if (T.knows_at_once) {
        know(lookup);
        return DONE;
    }
    assert_true(T.open_count < TRIPS_MAX);
    T.open[T.open_count++] = lookup;
    return STARTED;
}

static bool take_out(struct policy_lookup *lookup)
{
    for (size_t i = 0; i < T.open_count; i++)
        if (T.open[i] == lookup) {
            T.open[i] = T.open[--T.open_count];
            return true;
        }
    return false;
}

static void cancel(struct policy_lookups *l, struct policy_lookup *lookup)
{
    (void)l;
    T.cancelled += take_out(lookup);
}

/* The trip that began first is over. */
static struct policy_lookup *come_back(void)
{
    assert_true(T.open_count > 0);
    return T.open[0];
}

static void tell(struct policy_lookup *lookup)
{
    assert_true(take_out(lookup));
    lookup->on_answer(lookup->arg);
}

static void say_name(const char *name)
{
    struct policy_lookup *lookup = come_back();
    assert_int_equal(lookup->kind, POLICY_LOOKUP_NAME);
    str_copy_into(lookup->name, sizeof lookup->name, str_of_z(name));
    tell(lookup);
}

static void say_lists(uint64_t listed, uint64_t no_answer)
{
    struct policy_lookup *lookup = come_back();
    assert_int_equal(lookup->kind, POLICY_LOOKUP_DNSBLS);
    lookup->listed = listed;
    lookup->no_answer = no_answer;
    tell(lookup);
}

static void say_remote(const char *key, enum policy_found found, const char *value)
{
    for (size_t i = 0; i < T.open_count; i++)
        if (T.open[i]->kind == POLICY_LOOKUP_REMOTE && str_equal(T.open[i]->key, str_of_z(key))) {
            T.open[i]->found = found;
            T.open[i]->value = str_of_z(value);
            tell(T.open[i]);
            return;
        }
    fail_msg("nobody asks for \"%s\"", key);
}

/* ---- the stage ---- */

static struct fact text_fact(const char *z)
{
    return z ? (struct fact){.kind = FACT_TEXT, .text = str_of_z(z)} : (struct fact){.kind = FACT_NONE};
}

static void get(const struct facts *facts, int attribute, struct str name, struct fact *out)
{
    (void)name;
    *out = (struct fact){.kind = FACT_NONE};
    switch (attribute) {
    case ATTRIBUTE_CLIENT:
        *out = (struct fact){.kind = FACT_IP, .ip = {.family = ADDR_IPV4, .bytes = {192, 0, 2, 7}}};
        break;
    case ATTRIBUTE_USER:
        *out = text_fact(T.user);
        break;
    case ATTRIBUTE_AUTHENTICATED:
        *out = (struct fact){.kind = FACT_TRUTH, .truth = T.user != NULL};
        break;
    case ATTRIBUTE_SENDER:
        *out = text_fact(T.sender);
        break;
    case ATTRIBUTE_RCPT:
        *out = text_fact(facts->rcpt < COUNT_OF(T.recipients) ? T.recipients[facts->rcpt] : NULL);
        break;
    default:
        break;
    }
}

static void on_phase(void *arg, enum phase phase)
{
    (void)arg;
    (void)phase;
}

static void on_rule(void *arg, enum phase phase, const struct policy_rule *rule, enum eval_result result,
                    const struct eval_context *context)
{
    (void)arg;
    (void)phase;
    (void)rule;
    (void)context;
    assert_int_not_equal(result, EVAL_WAIT);
    T.failed_rules += result == EVAL_FAILED;
    T.false_rules += result == EVAL_FALSE;
    T.true_rules += result == EVAL_TRUE;
}

static void on_limits(void *arg, enum phase phase, const struct policy_case *question, const struct reservation *r)
{
    (void)arg;
    (void)phase;
    (void)question;
    (void)r;
}

static const struct policy_trace TRACE = {on_phase, on_rule, on_limits, NULL};

static int set_up(void **state)
{
    struct err err;
    (void)state;
    memset(&T, 0, sizeof T);
    T.memory = aligned_alloc(64, (store_memory_size(ENTRIES) + 63) / 64 * 64);
    assert_non_null(T.memory);
    memset(T.memory, 0, store_memory_size(ENTRIES));
    assert_true(store_memory_init(T.memory, ENTRIES, &err));
    const struct store_options options = {.memory = T.memory, .owner = 1};
    assert_true(store_open(&T.store, stores_find(STR("memory")), &options, &err));
    assert_true(limiter_init(&T.limiter, &T.store));
    arena_init(&T.arena, 1 << 22);
    arena_init(&T.connection_arena, 1 << 16);
    T.lookups = (struct policy_lookups){place, start, cancel};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    policy_give_back(&T.engine, &T.mail);
    policy_connection_end(&T.engine, &T.connection);
    if (T.compiled.policy)
        compiled_close(&T.compiled);
    arena_fini(&T.arena);
    arena_fini(&T.connection_arena);
    limiter_fini(&T.limiter);
    store_close(&T.store);
    store_memory_fini(T.memory);
    free(T.memory);
    return 0;
}

static void load(const char *rules)
{
    struct compiled *k = &T.compiled;
    source_set_init(&k->sources, NULL, 0);
    diag_init(&k->d, &k->sources);
    tree_init(&k->tree, &k->sources);
    if (rules_parse_text(&k->sources, "t", str_of_z(rules), &k->d, &k->tree) && rules_check_all(&k->tree, &k->d, true))
        k->policy = policy_compile(&k->tree, &k->d);
    if (!k->policy) {
        char said[1024];
        compiled_said(k, said, sizeof said);
        fail_msg("%s\nis wrong:\n%s", rules, said);
    }
    T.engine = (struct policy_engine){
        .policy = T.compiled.policy, .limiter = &T.limiter, .lookups = &T.lookups, .trace = &TRACE};
}

static void on_answer(void *arg)
{
    assert_ptr_equal(arg, &T);
    T.answered++;
}

static enum started ask(enum phase phase)
{
    T.question = (struct policy_case){.facts = {.get = get},
                                      .arena = &T.arena,
                                      .connection_arena = &T.connection_arena,
                                      .connection = &T.connection,
                                      .mail = phase >= PHASE_MAIL ? &T.mail : NULL,
                                      .recipient_count = 1,
                                      .now_us = NOW};
    while (T.question.recipient_count < COUNT_OF(T.recipients) && T.recipients[T.question.recipient_count])
        T.question.recipient_count++;
    T.answered = 0;
    return policy_ask_start(&T.engine, phase, &T.question, &T.answer, 12345, on_answer, &T);
}

static void expect_by(enum policy_verdict verdict, const char *by)
{
    assert_int_equal(T.open_count, 0);
    assert_int_equal(T.answer.verdict, verdict);
    if (!str_equal(T.answer.by, str_of_z(by)))
        fail_msg("by \"" PRI_STR "\", not \"%s\"", STR_ARG(T.answer.by), by);
}

static size_t count_effects(enum policy_effect_kind kind)
{
    size_t n = 0;
    for (const struct policy_effect *e = T.answer.effects; e; e = e->next)
        n += e->kind == kind;
    return n;
}

/* ---- names ---- */

/* Rules before the one that waits have acted, and do not act again; those behind it follow. */
static void test_goes_on_where_it_waited(void **state)
{
    (void)state;
    load("on mail {\n"
         "  rule first log \"1\"\n"
         "  rule dynamic log \"2\" if client.name under dyn.example\n"
         "  rule third log \"3\"\n"
         "  rule last reject if client.name is none\n"
         "}");
    assert_int_equal(ask(PHASE_MAIL), STARTED);
    assert_int_equal(T.answered, 0);
    assert_int_equal(T.true_rules, 1);
    say_name("a.dyn.example");
    assert_int_equal(T.answered, 1);
    expect_by(POLICY_GO_ON, "");
    assert_int_equal(count_effects(POLICY_EFFECT_LOG), 3);
    assert_int_equal(T.true_rules, 3);
    assert_int_equal(T.begun, 1);
    assert_true(str_equal(policy_client_name(&T.connection), STR("a.dyn.example")));
}

static void test_name_is_none_without_an_answer(void **state)
{
    (void)state;
    load("on mail { rule anonymous reject if client.name is none }");
    assert_int_equal(ask(PHASE_MAIL), STARTED);
    say_name("");
    expect_by(POLICY_REJECT, "anonymous");
    assert_null(policy_client_name(&T.connection).ptr);
    assert_int_equal(ask(PHASE_MAIL), DONE); /* and it is not asked again */
    expect_by(POLICY_REJECT, "anonymous");
    assert_int_equal(T.begun, 1);
}

static void test_place_needs_no_waiting(void **state)
{
    (void)state;
    load("on connect { rule german log \"${client.country} ${client.asn}\" if client.country = \"DE\" and "
         "client.asn = 64500 }");
    assert_int_equal(ask(PHASE_CONNECT), DONE);
    assert_true(T.answer.effects && str_equal(T.answer.effects->text, STR("DE 64500")));
    assert_true(str_equal(policy_client_country(&T.connection), STR("DE")));
    assert_int_equal(T.begun, 0);
}

/* What only the text shows is looked up, too, before the rule acts. */
static void test_text_is_waited_for(void **state)
{
    (void)state;
    load("on mail { rule r reject \"go away, ${client.name}\" }");
    assert_int_equal(ask(PHASE_MAIL), STARTED);
    say_name("host.example");
    expect_by(POLICY_REJECT, "r");
    assert_true(str_equal(T.answer.text, STR("go away, host.example")));
}

/* ---- lists ---- */

static void test_nothing_is_asked_that_is_not_needed(void **state)
{
    (void)state;
    load("dnsbl zen \"zen.example\"\n"
         "on mail {\n"
         "  rule a reject if authenticated and client in zen\n"
         "  rule b accept unless authenticated or client in zen\n"
         "}");
    T.user = NULL;
    assert_int_equal(ask(PHASE_MAIL), STARTED); /* b: is it in zen? */
    assert_int_equal(T.false_rules, 1);
    say_lists(0, 0);
    expect_by(POLICY_GO_ON, "");
    assert_int_equal(T.true_rules, 1);
    T.user = "alice";
    memset(&T.connection, 0, sizeof T.connection);
    assert_int_equal(ask(PHASE_MAIL), STARTED); /* a */
    say_lists(1, 0);
    expect_by(POLICY_REJECT, "a");
    compiled_close(&T.compiled);
    T.compiled.policy = NULL;
    load("dnsbl zen \"zen.example\"\non mail { rule r reject if client in zen unless authenticated }");
    memset(&T.connection, 0, sizeof T.connection);
    assert_int_equal(ask(PHASE_MAIL), DONE);
    expect_by(POLICY_GO_ON, "");
    T.user = NULL;
    T.engine.lookups = NULL; /* nobody can be asked: nothing is listed */
    memset(&T.connection, 0, sizeof T.connection);
    assert_int_equal(ask(PHASE_MAIL), DONE);
    expect_by(POLICY_GO_ON, "");
}

static void test_all_lists_of_a_phase_at_once(void **state)
{
    (void)state;
    load("dnsbl first \"a.example\"\n"
         "dnsbl second \"b.example\"\n"
         "dnsbl allowed \"c.example\"\n"
         "on helo { rule h log if client in allowed }\n"
         "on mail { rule a reject if client in first unless client in allowed\n"
         "          rule b reject if client in second }\n"
         "on rcpt { rule r log if client in second }");
    assert_int_equal(ask(PHASE_HELO), STARTED);
    assert_int_equal(T.lists_asked, 1 << 0); /* numbered as conditions name them */
    say_lists(1 << 0, 0);
    assert_int_equal(ask(PHASE_MAIL), STARTED);
    assert_int_equal(T.lists_asked, 1 << 1 | 1 << 2); /* what is known is not asked again */
    say_lists(1 << 1, 0);
    assert_int_equal(T.answered, 1);
    expect_by(POLICY_GO_ON, "");
    assert_int_equal(ask(PHASE_RCPT), DONE);
    assert_int_equal(T.begun, 2);
}

static void test_failure(void **state)
{
    (void)state;
    static const struct {
        const char *name, *rules;
        enum policy_verdict verdict;
        const char *by, *text;
        enum phase phase;
        int code;
        size_t would;
    } CASES[] = {
        {"skip is the default", "dnsbl d \"z.example\"\non mail { rule r reject if client in d }", POLICY_GO_ON, "",
         NULL, PHASE_MAIL, 0, 0},
        {"skip, negated", "dnsbl d \"z.example\"\non mail { rule r reject if client not in d }", POLICY_GO_ON, "", NULL,
         PHASE_MAIL, 0, 0},
        {"skip, the next rule", "dnsbl d \"z.example\"\non mail { rule r reject if not (client in d) rule s reject }",
         POLICY_REJECT, "s", NULL, PHASE_MAIL, 550, 0},
        {"defer", "dnsbl d \"z.example\" { failure defer }\non mail { rule r reject if client in d }", POLICY_DEFER,
         "r", "A lookup failed (d); try again later", PHASE_MAIL, 450, 0},
        {"defer at data", "dnsbl d \"z.example\" { failure defer }\non data { rule r reject if client in d }",
         POLICY_DEFER, "r", "A lookup failed (d); try again later", PHASE_DATA, 451, 0},
        {"defer at connect", "dnsbl d \"z.example\" { failure defer }\non connect { rule r reject if client in d }",
         POLICY_DEFER, "r", "A lookup failed (d); try again later", PHASE_CONNECT, 421, 0},
        {"a limit that is skipped", "dnsbl d \"z.example\"\nlimit l per client count messages { 1/1h if client in d }",
         POLICY_GO_ON, "", NULL, PHASE_DATA, 0, 0},
        {"a limit that defers",
         "dnsbl d \"z.example\" { failure defer }\nlimit l per client count messages { 1/1h if client in d }",
         POLICY_DEFER, "l", "A lookup failed (d); try again later", PHASE_DATA, 451, 0},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        char rules[512];
        snprintf(rules, sizeof rules, "%s", CASES[i].rules);
        for (char *at = strstr(rules, " rule s"); at; at = NULL)
            *at = '\n';
        load(rules);
        memset(&T.connection, 0, sizeof T.connection);
        assert_int_equal(ask(CASES[i].phase), STARTED);
        say_lists(0, 1);
        if (T.answer.verdict != CASES[i].verdict || T.answer.code != CASES[i].code)
            fail_msg("%s: verdict %d, code %d", CASES[i].name, (int)T.answer.verdict, T.answer.code);
        expect_by(CASES[i].verdict, CASES[i].by);
        if (CASES[i].text && !str_equal(T.answer.text, str_of_z(CASES[i].text)))
            fail_msg("%s: \"" PRI_STR "\"", CASES[i].name, STR_ARG(T.answer.text));
        policy_give_back(&T.engine, &T.mail);
        compiled_close(&T.compiled);
    }
    T.compiled.policy = NULL;
    assert_int_equal(T.failed_rules, 6);
}

/* ---- remote tables ---- */

static void test_remote_tables(void **state)
{
    (void)state;
    static const struct {
        const char *name, *condition, *key;
        enum policy_found found;
        const char *value;
        bool holds;
    } CASES[] = {
        {"there", "sender in senders", "a@example.org", POLICY_THERE, "", true},
        {"not there", "sender in senders", "a@example.org", POLICY_NOT_THERE, "", false},
        {"not in", "sender not in senders", "a@example.org", POLICY_NOT_THERE, "", true},
        {"a value", "user in owners[sender]", "a@example.org", POLICY_THERE, "bob", true},
        {"one of several", "user in owners[sender]", "a@example.org", POLICY_THERE, "alice, BOB ,", true},
        {"none of several", "user in owners[sender]", "a@example.org", POLICY_THERE, "alice, bobby", false},
        {"not one of them", "user not in owners[sender]", "a@example.org", POLICY_THERE, "alice", true},
        {"no key: none", "user in owners[sender]", "a@example.org", POLICY_NOT_THERE, "", false},
        {"no key: none, not in", "user not in owners[sender]", "a@example.org", POLICY_NOT_THERE, "", false},
        {"no key: none, not", "not (user in owners[sender])", "a@example.org", POLICY_NOT_THERE, "", true},
        {"no answer", "not (user in owners[sender])", "a@example.org", POLICY_NO_ANSWER, "", false},
    };
    T.user = "bob";
    T.sender = "a@example.org";
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        char rules[512];
        snprintf(rules, sizeof rules,
                 "table senders addresses socketmap 127.0.0.1:9 \"s\"\n"
                 "table owners map socketmap 127.0.0.1:9 \"o\"\n"
                 "on mail { rule used log if sender in senders or user in owners[sender]\n"
                 "          rule r reject if %s }",
                 CASES[i].condition);
        load(rules);
        assert_int_equal(ask(PHASE_MAIL), STARTED);
        while (T.open_count) /* the first rule may ask for both */
            say_remote(CASES[i].key, CASES[i].found, CASES[i].value);
        if ((T.answer.verdict == POLICY_REJECT) != CASES[i].holds)
            fail_msg("%s", CASES[i].name);
        compiled_close(&T.compiled);
    }
    T.compiled.policy = NULL;
}

/* The same key is looked for once in a question; recipients all at once. */
static void test_limit_asks_for_each_recipient(void **state)
{
    (void)state;
    uint64_t count;
    load("table inside addresses socketmap 127.0.0.1:9 \"s\"\n"
         "limit l per client count recipients { 2/1h unless rcpt in inside }");
    T.recipients[0] = "a@example.org";
    T.recipients[1] = "b@example.org";
    T.recipients[2] = "c@example.org";
    T.recipients[3] = "a@example.org";
    assert_int_equal(ask(PHASE_DATA), STARTED);
    assert_int_equal(T.open_count, 3);
    say_remote("b@example.org", POLICY_NOT_THERE, "");
    say_remote("a@example.org", POLICY_THERE, "");
    assert_int_equal(T.answered, 0);
    say_remote("c@example.org", POLICY_NOT_THERE, "");
    assert_int_equal(T.answered, 1);
    expect_by(POLICY_GO_ON, "");
    assert_true(policy_count_get(&T.engine, STR("l"), &T.question.facts, NOW, &T.arena, &count));
    assert_int_equal(count, 2);
}

static void test_limit_at_connect(void **state)
{
    (void)state;
    load("limit l per client count connections { 1/1h unless client.name under friends.example }\n"
         "on connect { rule r log }");
    for (int i = 0; i < 3; i++) {
        memset(&T.connection, 0, sizeof T.connection);
        assert_int_equal(ask(PHASE_CONNECT), STARTED);
        assert_int_equal(T.true_rules, i);
        say_name("a.friends.example");
        expect_by(POLICY_GO_ON, "");
        assert_int_equal(T.true_rules, i + 1);
    }
    for (int i = 0; i < 2; i++) {
        memset(&T.connection, 0, sizeof T.connection);
        assert_int_equal(ask(PHASE_CONNECT), STARTED);
        say_name("");
        expect_by(i ? POLICY_DEFER : POLICY_GO_ON, i ? "l" : "");
    }
}

static void count_error(void)
{
    assert_int_equal(policy_count_event_start(&T.engine, UNIT_ERRORS, 1, &T.question, &T.answer, 12345, on_answer, &T),
                     DONE);
}

/* What is to be counted while something happens need not wait then: it is found out at connect. */
static void test_limit_of_events(void **state)
{
    (void)state;
    load("limit l per client count errors { 1/1h\n  at 100% disconnect\n  unless client.name under friends.example }");
    assert_int_equal(ask(PHASE_CONNECT), STARTED);
    say_name("a.friends.example");
    for (int i = 0; i < 3; i++) {
        count_error();
        expect_by(POLICY_GO_ON, "");
    }
    memset(&T.connection, 0, sizeof T.connection);
    assert_int_equal(ask(PHASE_CONNECT), STARTED);
    say_name("stranger.example");
    count_error();
    expect_by(POLICY_GO_ON, "");
    count_error();
    expect_by(POLICY_DISCONNECT, "l");
}

static void test_text_of_a_limit(void **state)
{
    (void)state;
    load("limit l per client count messages { 1/1h\n  at 100% defer \"too much of ${client.name}\" }");
    assert_int_equal(ask(PHASE_DATA), STARTED);
    say_name("host.example");
    expect_by(POLICY_GO_ON, "");
    policy_keep(&T.engine, &T.mail, NOW);
    assert_int_equal(ask(PHASE_DATA), DONE);
    expect_by(POLICY_DEFER, "l");
    assert_true(str_equal(T.answer.text, STR("too much of host.example")));
}

static void test_what_cannot_be_asked(void **state)
{
    (void)state;
    static const struct {
        const char *statement, *condition, *said;
    } CASES[] = {
        {"table t strings socketmap 127.0.0.1:9 \"a b\"", "sender in t",
         "1:39+5 a map's name has no spaces, and is not empty"},
        {"table t strings socketmap 127.0.0.1:9 \"\"", "sender in t",
         "1:39+2 a map's name has no spaces, and is not empty"},
        {"dnsbl d \"%s\"", "client in d", "1:9+192 a zone has at most 189 bytes: an address stands before it"},
    };
    char zone[191] = "";
    for (size_t i = 0; i < sizeof zone - 1; i++)
        zone[i] = i % 19 == 18 ? '.' : 'a';
    zone[sizeof zone - 2] = 'a';
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct compiled *k = &T.compiled;
        char statement[512], rules[1024], said[1024];
        snprintf(statement, sizeof statement, CASES[i].statement, zone);
        snprintf(rules, sizeof rules, "%s\non mail { rule r log if %s }", statement, CASES[i].condition);
        source_set_init(&k->sources, NULL, 0);
        diag_init(&k->d, &k->sources);
        tree_init(&k->tree, &k->sources);
        assert_true(rules_parse_text(&k->sources, "t", str_of_z(rules), &k->d, &k->tree));
        assert_true(rules_check(&k->tree, &k->d));
        assert_null(policy_compile(&k->tree, &k->d));
        compiled_said(k, said, sizeof said);
        assert_string_equal(said, CASES[i].said);
        compiled_close(k);
    }
}

/* ---- how it ends ---- */

static void test_cancel(void **state)
{
    (void)state;
    load("table t strings socketmap 127.0.0.1:9 \"s\"\n"
         "on mail { rule a log if sender in t\n"
         "          rule b log if client.name is none }");
    T.sender = "a@example.org";
    assert_int_equal(ask(PHASE_MAIL), STARTED);
    policy_ask_cancel(&T.engine, &T.question);
    assert_int_equal(T.cancelled, 1);
    policy_ask_cancel(&T.engine, &T.question);
    assert_int_equal(ask(PHASE_MAIL), STARTED);
    say_remote("a@example.org", POLICY_NOT_THERE, "");
    assert_int_equal(T.answered, 0);
    policy_ask_cancel(&T.engine, &T.question);
    assert_int_equal(T.cancelled, 2);
    assert_int_equal(T.answered, 0);
}

static void test_what_is_remembered_needs_no_turn(void **state)
{
    (void)state;
    load("dnsbl d \"z.example\"\n"
         "table owners map socketmap 127.0.0.1:9 \"o\"\n"
         "on mail { rule r reject \"${client.name}\" if client in d and sender in owners[user] }");
    T.knows_at_once = true;
    T.user = "carol";
    T.sender = "bob@example.org";
    assert_int_equal(ask(PHASE_MAIL), DONE);
    expect_by(POLICY_REJECT, "r");
    assert_true(str_equal(T.answer.text, STR("host.example")));
    assert_int_equal(T.answered, 0);
}

/* What only counts is not held up: nothing is looked up for it. */
static void test_given(void **state)
{
    (void)state;
    const struct str listed[] = {STR("d")};
    struct policy_given given;
    load("dnsbl c \"y.example\"\n"
         "dnsbl d \"z.example\"\n"
         "table t addresses socketmap 127.0.0.1:9 \"s\"\n"
         "on mail { rule a reject if client in c or sender in t\n"
         "          rule b reject \"${client.name} ${client.country} ${client.asn}\" if client in d }");
    T.sender = "a@example.org";
    policy_given_init(&given, T.compiled.policy);
    T.engine.lookups = &given.lookups;
    assert_int_equal(ask(PHASE_MAIL), DONE);
    expect_by(POLICY_GO_ON, "");
    given.listed = listed;
    given.listed_count = 1;
    given.name = STR("host.example");
    given.country = STR("FR");
    memset(&T.connection, 0, sizeof T.connection);
    assert_int_equal(ask(PHASE_MAIL), DONE);
    expect_by(POLICY_REJECT, "b");
    assert_true(str_equal(T.answer.text, STR("host.example FR -")));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_goes_on_where_it_waited),
        TEST(test_name_is_none_without_an_answer),
        TEST(test_place_needs_no_waiting),
        TEST(test_text_is_waited_for),
        TEST(test_nothing_is_asked_that_is_not_needed),
        TEST(test_all_lists_of_a_phase_at_once),
        TEST(test_failure),
        TEST(test_remote_tables),
        TEST(test_limit_asks_for_each_recipient),
        TEST(test_limit_at_connect),
        TEST(test_limit_of_events),
        TEST(test_text_of_a_limit),
        TEST(test_what_cannot_be_asked),
        TEST(test_cancel),
        TEST(test_what_is_remembered_needs_no_turn),
        TEST(test_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
