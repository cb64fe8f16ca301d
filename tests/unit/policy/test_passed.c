/* test_passed.c - what thresholds write down and answer, asked as a session asks: at data, early, of events, of logins.
 */
#include "door.h"

static const struct mail A = {.user = "a@x", .sender = "a@x", .recipients = {"r@y"}},
                         B = {.user = "b@x", .sender = "b@x", .recipients = {"r@y"}};

static void event(enum limit_unit unit, uint32_t n, const struct mail *mail)
{
    struct policy_case question = door_question(PHASE_RCPT, mail);
    door_wait(policy_count_event_start(&T.engine, unit, n, &question, &T.answer, 0, door_on_answer, &T));
}

/* The kinds of what is written down: "threshold alert ban would", in order. */
static void expect_effects(const char *expected)
{
    static const char *const WORDS[] = {[POLICY_EFFECT_LOG] = "log",
                                        [POLICY_EFFECT_WOULD] = "would",
                                        [POLICY_EFFECT_THRESHOLD] = "threshold",
                                        [POLICY_EFFECT_ALERT] = "alert",
                                        [POLICY_EFFECT_BAN] = "ban"};
    char said[256] = "";
    for (const struct policy_effect *e = T.answer.effects; e; e = e->next) {
        size_t len = strlen(said);
        snprintf(said + len, sizeof said - len, "%s%s", len ? " " : "", WORDS[e->kind]);
    }
    assert_string_equal(said, expected);
}

static void expect_effect(const char *by, const char *action, const char *text, const char *key)
{
    const struct policy_effect *e = T.answer.effects;
    assert_non_null(e);
    if (!str_equal(e->by, str_of_z(by)) || !str_equal(e->action, str_of_z(action)) ||
        !str_equal(e->text, str_of_z(text)) || !str_equal(e->key, str_of_z(key)))
        fail_msg(PRI_STR " " PRI_STR " \"" PRI_STR "\" " PRI_STR, STR_ARG(e->by), STR_ARG(e->action), STR_ARG(e->text),
                 STR_ARG(e->key));
}

static void test_logs_and_alerts_once(void **state)
{
    (void)state;
    door_load("alert ops syslog\nlimit l per user count messages { 4/1h at 50% log \"${user} is half way\" "
              "at 75% alert ops, tag nearly }\n");
    assert_int_equal(door_send(&A), POLICY_GO_ON);
    assert_int_equal(door_send(&A), POLICY_GO_ON);
    expect_effects("");
    assert_int_equal(door_send(&A), POLICY_GO_ON);
    expect_effects("threshold");
    expect_effect("l", "log", "a@x is half way", "user:a@x");
    assert_null(T.mail.tags);
    assert_int_equal(door_send(&A), POLICY_GO_ON);
    expect_effects("alert");
    expect_effect("l", "alert", "4 of 4 per 1h", "user:a@x");
    assert_true(str_equal(T.answer.effects->alert, STR("ops")));
    assert_true(T.mail.tags && str_equal(T.mail.tags->name, STR("nearly")));
    assert_int_equal(door_send(&A), POLICY_DEFER); /* it passes nothing anew: what refuses has its own words */
    expect_effects("");
    assert_int_equal(door_send(&B), POLICY_GO_ON);
    expect_effects("");
}

static void test_early(void **state)
{
    (void)state;
    static const struct {
        const char *threshold;
        enum policy_verdict verdict;
        int code;
        const char *enhanced, *text;
    } CASES[] = {
        {"", POLICY_DEFER, 450, "4.7.1", "l: 1 per 1h used up, 2 with this mail"},
        {"at 100% defer \"Later\"", POLICY_DEFER, 450, "4.7.1", "Later"},
        {"at 100% defer 452 4.3.1 \"Full\"", POLICY_DEFER, 452, "4.3.1", "Full"},
        {"at 100% reject", POLICY_REJECT, 550, "5.7.1", "l: 1 per 1h used up, 2 with this mail"},
        {"at 100% disconnect", POLICY_DISCONNECT, 421, "4.7.0", "l: 1 per 1h used up, 2 with this mail"},
        {"at 50% tarpit 2s at 100% tarpit 3s, defer", POLICY_DEFER, 450, "4.7.1", "l: 1 per 1h"},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++)
        for (enum phase phase = PHASE_MAIL; phase <= PHASE_RCPT; phase++) {
            char rules[200];
            door_again(state);
            snprintf(rules, sizeof rules, "limit l per user count messages { 1/1h %s }\n", CASES[i].threshold);
            door_load(rules);
            assert_int_equal(door_send(&A), POLICY_GO_ON);
            T.mail = (struct policy_mail){0};
            assert_int_equal(door_ask(phase, &A), CASES[i].verdict);
            door_expect(CASES[i].code, CASES[i].enhanced, CASES[i].text);
            assert_true(T.answer.by_limit && str_equal(T.answer.by, STR("l")) && T.answer.retry_after_ms > 0);
            assert_int_equal(T.answer.tarpit_ms, i == COUNT_OF(CASES) - 1 ? 5000 : 0);
            assert_null(T.mail.reservation);
        }
}

static void test_errors(void **state)
{
    (void)state;
    door_load("limit e per client count errors { 2/10m at 50% log at 100% tarpit 1s, defer at 200% disconnect }\n");
    event(UNIT_ERRORS, 1, &A);
    assert_int_equal(T.answer.verdict, POLICY_GO_ON);
    expect_effects("");
    event(UNIT_ERRORS, 1, &A);
    expect_effects("threshold");
    expect_effect("e", "log", "2 of 2 per 10m", "client:192.0.2.7");
    assert_int_equal(door_ask(PHASE_MAIL, &A), POLICY_GO_ON);
    event(UNIT_ERRORS, 1, &A);
    assert_int_equal(T.answer.verdict, POLICY_DEFER);
    assert_int_equal(T.answer.tarpit_ms, 1000);
    expect_effects("");
    assert_int_equal(door_ask(PHASE_MAIL, &A), POLICY_DEFER);
    door_expect(450, "4.7.1", "e: 2 per 10m used up, 3 by now; try again in ");
    assert_int_equal(door_ask(PHASE_DATA, &A), POLICY_GO_ON); /* only MAIL is refused */
    event(UNIT_ERRORS, 2, &A);
    assert_int_equal(T.answer.verdict, POLICY_DISCONNECT);
    door_expect(421, "4.7.0", "e: 4 per 10m used up, 5 with this error");
    assert_int_equal(door_ask(PHASE_MAIL, &A), POLICY_DISCONNECT);
    static const struct mail ELSEWHERE = {.user = "a@x", .client = "192.0.2.8"};
    assert_int_equal(door_ask(PHASE_MAIL, &ELSEWHERE), POLICY_GO_ON);
}

static void test_unknown_recipients(void **state)
{
    (void)state;
    static const struct mail IN = {.user = "a@x", .recipients = {"r@in"}},
                             OUT = {.user = "a@x", .recipients = {"r@out"}};
    door_load("limit u per user count unknown-recipients { 1/10m if rcpt.domain = \"out\" }\n"
              "limit v per rcpt.domain count unknown-recipients { 2/10m at 100% log }\n");
    for (int i = 0; i < 2; i++) {
        event(UNIT_UNKNOWN_RECIPIENTS, 1, &IN);
        expect_effects("");
    }
    event(UNIT_UNKNOWN_RECIPIENTS, 1, &IN);
    expect_effects("threshold");
    expect_effect("v", "log", "3 of 2 per 10m", "rcpt.domain:in");
    assert_int_equal(door_ask(PHASE_MAIL, &OUT), POLICY_GO_ON);
    event(UNIT_UNKNOWN_RECIPIENTS, 2, &OUT);
    assert_int_equal(door_ask(PHASE_MAIL, &IN), POLICY_DEFER); /* whoever is to get it: the count is above */
}

static void test_event_bans(void **state)
{
    (void)state;
    door_load("limit e per client count errors { 1/10m at 100% ban client 1h \"Too many errors\" }\n");
    event(UNIT_ERRORS, 1, &A);
    assert_int_equal(T.answer.verdict, POLICY_GO_ON);
    event(UNIT_ERRORS, 1, &A);
    assert_int_equal(T.answer.verdict, POLICY_BAN);
    door_expect(421, "4.7.0", "Too many errors");
    expect_effects("ban");
    expect_effect("e", "ban", "Too many errors", "client:192.0.2.7");
    assert_int_equal(T.answer.effects->strikes, 1);
    event(UNIT_ERRORS, 1, &A); /* above for long: not doubled by every error that follows */
    assert_int_equal(T.answer.verdict, POLICY_GO_ON);
    assert_int_equal(door_ask(PHASE_MAIL, &A), POLICY_GO_ON);
    assert_int_equal(door_ask(PHASE_CONNECT, &A), POLICY_BAN);
}

/* ---- logins ---- */

static const struct mail LOGIN = {.login = "a@x"};

static void fail_login(void)
{
    struct policy_case question = door_question(PHASE_AUTH, &LOGIN);
    door_wait(policy_login_failed_start(&T.engine, &question, &T.answer, 0, door_on_answer, &T));
    assert_int_equal(T.answer.verdict, POLICY_GO_ON);
    assert_null(T.login.arena);
}

static void test_attempts(void **state)
{
    (void)state;
    door_load("limit f per client count auth-failures { 2/10m at 50% log, tarpit 4s }\n"
              "limit o per user count auth-failures { 1/1h observe }\n");
    for (int i = 0; i < 5; i++) { /* right passwords leave nothing, nor do those that nobody could check */
        assert_int_equal(door_ask(PHASE_AUTH, &LOGIN), POLICY_GO_ON);
        struct policy_case question = door_question(PHASE_AUTH, &LOGIN);
        if (i % 2)
            policy_login_succeeded(&T.engine, &question);
        else
            policy_login_give_back(&T.engine, &T.login);
        assert_null(T.login.arena);
    }
    assert_int_equal(door_ask(PHASE_AUTH, &LOGIN), POLICY_GO_ON);
    fail_login();
    expect_effects("");
    assert_int_equal(door_ask(PHASE_AUTH, &LOGIN), POLICY_GO_ON);
    expect_effects("would"); /* would have been refused, whatever the password */
    expect_effect("o", "defer", "1 per 1h used up, 2 with this attempt", "user:a@x");
    assert_int_equal(T.answer.effects->code, 454);
    assert_int_equal(T.answer.tarpit_ms, 0);
    fail_login();
    expect_effects("threshold"); /* the others wait until it was wrong */
    expect_effect("f", "log", "2 of 2 per 10m", "client:192.0.2.7");
    assert_int_equal(T.answer.tarpit_ms, 4000);
    assert_int_equal(door_ask(PHASE_AUTH, &LOGIN), POLICY_DEFER);
    door_expect(454, "4.7.0", "f: 2 per 10m used up, 3 with this attempt");
    assert_null(T.login.arena);
    fail_login(); /* nothing is held: harmless */
    expect_effects("");
}

static void test_an_attempt_that_nobody_ended(void **state)
{
    (void)state;
    door_load("limit f per client count auth-failures { 1/10m }\n");
    for (int i = 0; i < 5; i++)
        assert_int_equal(door_ask(PHASE_AUTH, &LOGIN), POLICY_GO_ON); /* the one before is given back */
}

static void test_stale_passwords(void **state)
{
    (void)state;
    door_load("limit g per client count guesses { 1/10m at 50% log }\n");
    assert_int_equal(door_ask(PHASE_AUTH, &LOGIN), POLICY_GO_ON);
    fail_login();
    expect_effects("threshold");
    assert_int_equal(door_ask(PHASE_AUTH, &LOGIN), POLICY_GO_ON); /* the same password again: no guess */
    fail_login();
    expect_effects("");
}

/* ---- refusals ---- */

static void test_refusals(void **state)
{
    (void)state;
    door_load("limit r per client count refusals { 2/10m at 50% log at 100% tarpit 3s, defer at 150% drop }\n"
              "on rcpt { rule no reject 553 \"No\" if rcpt = \"t@t\" }\n");
    static const struct mail TRAP = {.user = "a@x", .recipients = {"t@t"}};
    assert_int_equal(door_ask(PHASE_RCPT, &TRAP), POLICY_REJECT);
    expect_effects("");
    assert_int_equal(door_ask(PHASE_RCPT, &TRAP), POLICY_REJECT);
    expect_effects("threshold");
    assert_int_equal(door_ask(PHASE_RCPT, &TRAP), POLICY_REJECT);
    door_expect(553, "5.7.1", "No"); /* the reply is the rule's */
    assert_true(str_equal(T.answer.by, STR("no")) && !T.answer.by_limit);
    assert_int_equal(T.answer.tarpit_ms, 3000);
    for (int i = 0; i < 3; i++)
        assert_int_equal(door_ask(PHASE_MAIL, &A), POLICY_DEFER); /* which does not count */
    assert_int_equal(door_ask(PHASE_RCPT, &TRAP), POLICY_DROP);
    assert_int_equal(T.answer.code, 0);
}

/* ---- what is written down of a mail ---- */

static void expect_counts(const char *expected)
{
    char said[512] = "";
    for (const struct policy_count *c = T.mail.counts; c; c = c->next) {
        size_t len = strlen(said);
        snprintf(said + len, sizeof said - len, "%s" PRI_STR " " PRI_STR " %llu/%llu %llus", len ? ", " : "",
                 STR_ARG(c->name), STR_ARG(c->key), (unsigned long long)c->used, (unsigned long long)c->limit,
                 (unsigned long long)c->period_s);
    }
    assert_string_equal(said, expected);
}

static void test_counts(void **state)
{
    (void)state;
    static const struct mail MAIL = {.user = "a@x", .recipients = {"r@y", "s@y", "r@z"}, .size = 1000};
    door_load("limit b per user count bytes { 9K/1h, 1M/1d }\nlimit d per user count distinct-recipients { 9/1h }\n"
              "limit r per rcpt.domain count recipients { 9/1m observe }\n");
    assert_int_equal(door_ask(PHASE_DATA, &MAIL), POLICY_GO_ON);
    expect_counts("b user:a@x 1024/9216 3600s, b user:a@x 1024/1048576 86400s, d user:a@x 3/9 3600s, "
                  "r rcpt.domain:y 2/9 60s, r rcpt.domain:z 1/9 60s");
    assert_true(door_settle(5000));
    expect_counts("b user:a@x 5120/9216 3600s, b user:a@x 5120/1048576 86400s, d user:a@x 3/9 3600s, "
                  "r rcpt.domain:y 2/9 60s, r rcpt.domain:z 1/9 60s");
    policy_keep(&T.engine, &T.mail, NOW);
    assert_int_equal(door_ask(PHASE_DATA, &MAIL), POLICY_GO_ON);
    assert_false(door_settle(5000));
    expect_counts("");
}

static void test_settling_passes_thresholds(void **state)
{
    (void)state;
    static const struct mail MAIL = {.user = "a@x", .recipients = {"r@y"}, .size = 1000};
    door_load(
        "limit b per user count bytes { 10K/1h at 50% log }\nlimit m per user count messages { 2/1h at 50% log }\n");
    assert_int_equal(door_ask(PHASE_DATA, &MAIL), POLICY_GO_ON);
    assert_true(door_settle(6000));
    expect_effects("threshold"); /* it was the growth that passed it */
    expect_effect("b", "log", "6K of 10K per 1h", "user:a@x");
    policy_keep(&T.engine, &T.mail, NOW);
    assert_int_equal(door_ask(PHASE_DATA, &MAIL), POLICY_GO_ON);
    expect_effects("threshold");
    assert_true(door_settle(1000));
    expect_effects("");
}

/* ---- who tries to be nobody ---- */

static void test_long_names(void **state)
{
    (void)state;
    static char one[5000], other[5000];
    memset(one, 'x', sizeof one - 1);
    memset(other, 'x', sizeof other - 1);
    other[900] = 'y';
    const struct mail ONE = {.login = one}, OTHER = {.login = other};
    door_load("limit f per user count auth-failures { 1/1h }\n");
    assert_int_equal(door_ask(PHASE_AUTH, &ONE), POLICY_GO_ON);
    fail_login();
    one[10] = 'X';
    assert_int_equal(door_ask(PHASE_AUTH, &ONE), POLICY_DEFER);
    assert_int_equal(door_ask(PHASE_AUTH, &OTHER), POLICY_GO_ON);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DOOR_TEST(test_logs_and_alerts_once),
        DOOR_TEST(test_early),
        DOOR_TEST(test_errors),
        DOOR_TEST(test_unknown_recipients),
        DOOR_TEST(test_event_bans),
        DOOR_TEST(test_attempts),
        DOOR_TEST(test_an_attempt_that_nobody_ended),
        DOOR_TEST(test_stale_passwords),
        DOOR_TEST(test_refusals),
        DOOR_TEST(test_counts),
        DOOR_TEST(test_settling_passes_thresholds),
        DOOR_TEST(test_long_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
