/* test_late.c - questions to a store of limits that answers later: what is asked at once, what is asked again, how it
 * is given up, and what is said when the store is away. What both stores must answer alike is asked of both. */
#include "door.h"

#include "../limits/late_store.h"

static const struct mail A = {
    .user = "a@x", .login = "a@x", .client = "192.0.2.7", .sender = "a@x", .recipients = {"r@y", "s@y"}};

static unsigned asked(void)
{
    return late_of(&T.store)->asked;
}

static size_t count_effects(enum policy_effect_kind kind)
{
    size_t n = 0;
    for (const struct policy_effect *e = T.answer.effects; e; e = e->next)
        n += e->kind == kind;
    return n;
}

/* ---- the same from both ---- */

static void test_used_and_left(void **state)
{
    (void)state;
    door_load("limit l per user count recipients { 10/1h, 100/1d }\n"
              "limit b per user count bytes { 64K/1h }\n"
              "limit never per sender.domain count messages { 10/1h if sender.domain = \"y\" }\n"
              "on mail { rule u reject 550 \"many\" if used(l) > 3 and left(l) < 7\n"
              "          rule bb reject 551 \"much\" if used(b) >= 3K\n"
              "          rule nn reject 552 \"none\" unless used(never) is none }\n");
    assert_int_equal(door_ask(PHASE_MAIL, &A), POLICY_GO_ON);
    for (int i = 0; i < 2; i++)
        assert_int_equal(door_send(&A), POLICY_GO_ON);
    assert_int_equal(door_ask(PHASE_MAIL, &A), POLICY_REJECT);
    assert_int_equal(T.answer.code, 550);
    static const struct mail BIG = {.user = "b@x", .sender = "b@x", .recipients = {"r@y"}, .size = 3000};
    assert_int_equal(door_send(&BIG), POLICY_GO_ON);
    assert_int_equal(door_ask(PHASE_MAIL, &BIG), POLICY_REJECT);
    assert_int_equal(T.answer.code, 551);
    static const struct mail Y = {.user = "c@x", .sender = "c@y", .recipients = {"r@y"}};
    assert_int_equal(door_ask(PHASE_MAIL, &Y), POLICY_REJECT);
    assert_int_equal(T.answer.code, 552);
}

/* What a rule charges is seen by the next one, and the rule itself goes on behind it. */
static void test_charge(void **state)
{
    (void)state;
    door_load("limit traps per client count charges { 2/1h at 50% log at 100% reject 554 \"Trapped\" }\n"
              "limit more per client count charges { 4/1h at 100% log \"more\" if used(traps) > 1 }\n"
              "on rcpt { rule a tag before, charge traps, charge more 5, tag after\n"
              "          rule b log \"used\" if used(traps) > 0 }\n");
    assert_int_equal(door_ask(PHASE_RCPT, &A), POLICY_GO_ON);
    assert_int_equal(count_effects(POLICY_EFFECT_LOG), 1);
    assert_int_equal(count_effects(POLICY_EFFECT_THRESHOLD), 0);
    assert_true(T.mail.tags && str_equal(T.mail.tags->name, STR("after")));
    assert_int_equal(door_ask(PHASE_RCPT, &A), POLICY_GO_ON);
    assert_int_equal(count_effects(POLICY_EFFECT_LOG), 1);
    assert_int_equal(count_effects(POLICY_EFFECT_THRESHOLD), 2);
    assert_int_equal(door_ask(PHASE_RCPT, &A), POLICY_REJECT);
    door_expect(554, "5.7.1", "Trapped");
}

static void login(const struct mail *mail)
{
    assert_int_equal(door_ask(PHASE_AUTH, mail), POLICY_GO_ON);
    policy_login_give_back(&T.engine, &T.login);
    assert_int_equal(door_ask(PHASE_LOGIN, mail), POLICY_GO_ON);
}

/* A login is known from the next attempt on, under the name that is given and under the login; what was asked before it
 * holds for its connection. */
static void test_known_networks(void **state)
{
    (void)state;
    static const struct mail BARE = {.user = "a@x", .login = "a"},
                             FAR = {.user = "a@x", .login = "a", .client = "198.51.100.1"};
    door_load("on auth { rule na log \"new\" if not client.known }\n"
              "on login { rule nl log \"new\" if not client.known }\n"
              "on mail { rule n log \"new\" if not client.known }\n");
    for (int i = 0; i < 3; i++) {
        const struct mail *mail = i < 2 ? &BARE : &A;
        T.connection = (struct policy_connection){0};
        assert_int_equal(door_ask(PHASE_AUTH, mail), POLICY_GO_ON);
        assert_int_equal(count_effects(POLICY_EFFECT_LOG), i == 0);
        login(mail);
        assert_int_equal(count_effects(POLICY_EFFECT_LOG), i == 0);
        assert_int_equal(door_ask(PHASE_MAIL, mail), POLICY_GO_ON);
        assert_int_equal(count_effects(POLICY_EFFECT_LOG), i == 0);
    }
    T.connection = (struct policy_connection){0};
    assert_int_equal(door_ask(PHASE_AUTH, &FAR), POLICY_GO_ON);
    assert_int_equal(count_effects(POLICY_EFFECT_LOG), 1);
}

/* Where only a later phase asks, the login says how it was before. */
static void test_known_is_noted_unasked(void **state)
{
    (void)state;
    door_load("on mail { rule n log \"new\" if not client.known }\n");
    for (int i = 0; i < 2; i++) {
        T.connection = (struct policy_connection){0};
        login(&A);
        assert_int_equal(door_ask(PHASE_MAIL, &A), POLICY_GO_ON);
        assert_int_equal(count_effects(POLICY_EFFECT_LOG), i == 0);
    }
}

static void refuse_by_share(struct store_op *op)
{
    struct take *take = op->takes[0];
    take->used[COLUMN_MESSAGES] = 13;
    take->growth[COLUMN_MESSAGES] = take->cost[COLUMN_MESSAGES];
    take->is_over[COLUMN_MESSAGES] = true;
    take->wait_us = WAIT_UNKNOWN;
    op->result = STORE_FULL;
}

/* A client reads of the limit, who reads the log what it was that is used up. */
static void test_a_share_is_logged(void **state)
{
    (void)state;
    static const char LOGGED[] = "l: 20 per 1h used up but for the shares of other nodes, 13 with this mail; try again "
                                 "later";
    door_load("alert ops syslog\nlimit l per user count messages { 20/1h at 100% log, alert ops, defer }\n");
    late_of(&T.store)->decide = refuse_by_share;
    assert_int_equal(door_send(&A), POLICY_DEFER);
    door_expect(451, "4.7.1", "l: 20 per 1h used up, 13 with this mail; try again later");
    assert_int_equal(count_effects(POLICY_EFFECT_THRESHOLD), 1);
    assert_int_equal(count_effects(POLICY_EFFECT_ALERT), 1);
    for (const struct policy_effect *e = T.answer.effects; e; e = e->next)
        assert_true(str_equal(e->text, str_of_z(LOGGED)));
}

/* Limits of what happens may ask how full others are. */
static void test_events_that_ask(void **state)
{
    (void)state;
    door_load("limit l per client count messages { 10/1h }\n"
              "limit e per client count errors { 1/1h at 100% disconnect \"Enough\" if used(l) > 0 }\n"
              "limit r per client count refusals { 1/1h at 100% drop if used(l) > 0 }\n"
              "on mail { rule no reject if sender = \"no@x\" }\n");
    static const struct mail NO = {.user = "a@x", .sender = "no@x"};
    for (int sent = 0; sent < 2; sent++) {
        for (int i = 0; i < 2; i++) {
            struct policy_case question = door_question(PHASE_MAIL, &A);
            door_wait(policy_count_event_start(&T.engine, UNIT_ERRORS, 1, &question, &T.answer, 0, door_on_answer, &T));
            assert_int_equal(T.answer.verdict, sent && i ? POLICY_DISCONNECT : POLICY_GO_ON);
        }
        for (int i = 0; i < 2 && !sent; i++)
            assert_int_equal(door_ask(PHASE_MAIL, &NO), POLICY_REJECT);
        assert_int_equal(door_send(&A), POLICY_GO_ON);
    }
    assert_int_equal(door_ask(PHASE_MAIL, &NO), POLICY_REJECT);
    assert_int_equal(door_ask(PHASE_MAIL, &NO), POLICY_DROP);
}

/* ---- how often the store is asked ---- */

/* All that the phase may ask goes at once, whose key is known; and nothing twice. */
static void test_one_round_trip(void **state)
{
    (void)state;
    static const struct mail NOBODY = {.sender = "a@x"};
    door_load("limit l per user count messages { 10/1h }\n"
              "limit m per client count messages { 10/1h }\n"
              "limit n per sender count messages { 10/1h }\n"
              "on mail { rule a log if used(l) > 0 or used(m) > 0\n"
              "          rule b log if left(l) < 9\n"
              "          rule c log if used(n) > 0 or left(m) < 9 }\n");
    assert_int_equal(door_ask(PHASE_MAIL, &A), POLICY_GO_ON);
    assert_int_equal(asked(), 3);
    assert_int_equal(late_of(&T.store)->most_waited, 3);
    assert_int_equal(door_ask(PHASE_MAIL, &NOBODY), POLICY_GO_ON);
    assert_int_equal(asked(), 5);
    assert_int_equal(door_ask(PHASE_HELO, &A), POLICY_GO_ON); /* nothing to ask */
    assert_int_equal(asked(), 5);
}

/* The names under which a network is noted go at once; one that is the same goes once. */
static void test_notes_at_once(void **state)
{
    (void)state;
    static const struct mail BARE = {.user = "a@x", .login = "a"};
    door_load("on mail { rule n log if not client.known }\n");
    assert_int_equal(door_ask(PHASE_LOGIN, &BARE), POLICY_GO_ON);
    assert_int_equal(asked(), 2);
    assert_int_equal(late_of(&T.store)->most_waited, 2);
    T.connection = (struct policy_connection){0};
    assert_int_equal(door_ask(PHASE_LOGIN, &A), POLICY_GO_ON);
    assert_int_equal(asked(), 3);
}

/* ---- when it is away ---- */

static void test_away(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum phase phase;
        int code;
    } CASES[] = {{"connect", PHASE_CONNECT, 421},
                 {"auth", PHASE_AUTH, 454},
                 {"login", PHASE_LOGIN, 454},
                 {"mail", PHASE_MAIL, 451},
                 {"data", PHASE_DATA, 451}};
    door_load("limit c per client count connections { 10/1h }\n"
              "limit g per client count guesses { 10/1h }\n"
              "limit n per user count distinct-networks { 10/1h }\n"
              "limit e per client count errors { 10/1h }\n"
              "limit m per user count messages { 10/1h }\n"
              "on mail { rule u reject if used(m) >= 0 or client.known }\n");
    late_of(&T.store)->fails = true;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        door_ask(CASES[i].phase, &A);
        if (T.answer.code != CASES[i].code || T.answer.by.ptr)
            fail_msg("%s: %d", CASES[i].name, T.answer.code);
    }
    struct policy_case question = door_question(PHASE_MAIL, &A);
    door_wait(policy_count_event_start(&T.engine, UNIT_ERRORS, 1, &question, &T.answer, 0, door_on_answer, &T));
    assert_int_equal(T.answer.verdict, POLICY_DEFER); /* which speaks of what was refused already */
    /* a mail that was reserved before is given back; a wrong password is said to be wrong */
    late_of(&T.store)->fails = false;
    assert_int_equal(door_ask(PHASE_DATA, &A), POLICY_GO_ON);
    assert_int_equal(door_ask(PHASE_AUTH, &A), POLICY_GO_ON);
    late_of(&T.store)->fails = true;
    assert_false(door_settle(1000));
    assert_int_equal(T.answer.code, 451);
    assert_null(T.mail.reservation);
    question = door_question(PHASE_AUTH, &A);
    door_wait(policy_login_failed_start(&T.engine, &question, &T.answer, 0, door_on_answer, &T));
    assert_int_equal(T.answer.verdict, POLICY_GO_ON);
    assert_null(T.login.arena);
}

/* ---- given up ---- */

/* Begins the question, answers so many of the store's waits, and gives it up; false: it was answered before. */
static bool give_up_after(enum phase phase, unsigned answers)
{
    struct policy_case question = door_question(phase, &A);
    T.answered = 0;
    if (policy_ask_start(&T.engine, phase, &question, &T.answer, 0, door_on_answer, &T) == DONE)
        return false;
    for (unsigned i = 0; i < answers && T.answered == 0; i++)
        late_answer(&T.store, false);
    if (T.answered)
        return false;
    policy_ask_cancel(&T.engine, &question);
    assert_false(late_waits(&T.store));
    policy_ask_cancel(&T.engine, &question); /* harmless */
    assert_int_equal(T.answered, 0);
    return true;
}

/* Whenever that is, nothing of what limits were asked for stays charged: all of it can be had afterwards. */
static void test_given_up(void **state)
{
    static const enum phase PHASES[] = {PHASE_CONNECT, PHASE_AUTH, PHASE_LOGIN, PHASE_MAIL, PHASE_DATA};
    static const char RULES[] =
        "limit o per client count open-connections { 1 }\n"
        "limit c per client count connections { 100/1h }\n"
        "limit g per client count guesses { 1/1h }\n"
        "limit f per user count auth-failures { 1/1h }\n"
        "limit n per user count distinct-networks { 1/1h }\n"
        "limit e per client count errors { 1/1h if used(c) < 100 }\n"
        "limit m per user count messages { 1/1h if used(c) < 100 }\n"
        "limit ch per user count charges { 100/1h }\n"
        "on connect { rule a0 log if used(c) >= 0 }\n"
        "on auth { rule a1 log if client.known }\n"
        "on login { rule a2 log if client.known }\n"
        "on mail { rule a charge ch, log if used(ch) >= 0\n rule b charge ch if used(ch) > 0 }\n"
        "on data { rule a3 charge ch }\n";
    for (size_t i = 0; i < COUNT_OF(PHASES); i++)
        for (unsigned answers = 0;; answers++) {
            door_again(state);
            door_load(RULES);
            bool was_given_up = give_up_after(PHASES[i], answers);
            policy_login_give_back(&T.engine, &T.login);
            policy_connection_end(&T.engine, &T.connection);
            if (!was_given_up) {
                assert_true(answers > 0); /* each of them waits for something */
                break;
            }
            for (size_t k = 0; k < COUNT_OF(PHASES); k++)
                if (door_ask(PHASES[k], &A) != POLICY_GO_ON)
                    fail_msg("after %u answers at phase %d, phase %d is refused: " PRI_STR, answers, (int)PHASES[i],
                             (int)PHASES[k], STR_ARG(T.answer.text));
        }
}

/* A wrong password stays charged; a mail that was being settled is given back; what happened may be counted or not. */
static void test_given_up_afterwards(void **state)
{
    (void)state;
    door_load("limit g per client count guesses { 1/1h }\n"
              "limit m per user count messages { 1/1h }\n"
              "limit e per client count errors { 1/1h }\n");
    assert_int_equal(door_ask(PHASE_AUTH, &A), POLICY_GO_ON);
    struct policy_case question = door_question(PHASE_AUTH, &A);
    assert_int_equal(policy_login_failed_start(&T.engine, &question, &T.answer, 0, door_on_answer, &T), STARTED);
    policy_ask_cancel(&T.engine, &question);
    policy_login_give_back(&T.engine, &T.login);
    assert_null(T.login.arena);
    assert_int_equal(door_ask(PHASE_AUTH, &A), POLICY_DEFER);

    assert_int_equal(door_ask(PHASE_DATA, &A), POLICY_GO_ON);
    question = door_question(PHASE_DATA, &A);
    assert_int_equal(policy_settle_start(&T.engine, &question, &T.answer, 0, door_on_answer, &T), STARTED);
    policy_ask_cancel(&T.engine, &question);
    policy_give_back(&T.engine, &T.mail);
    assert_int_equal(door_send(&A), POLICY_GO_ON);

    question = door_question(PHASE_MAIL, &A);
    assert_int_equal(policy_count_event_start(&T.engine, UNIT_ERRORS, 2, &question, &T.answer, 0, door_on_answer, &T),
                     STARTED);
    policy_ask_cancel(&T.engine, &question);
    assert_false(late_waits(&T.store));
}

#define LATE_TEST(f) cmocka_unit_test_setup_teardown(f, door_open_late, door_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DOOR_TEST(test_used_and_left),
        DOOR_TEST(test_charge),
        DOOR_TEST(test_known_networks),
        DOOR_TEST(test_known_is_noted_unasked),
        DOOR_TEST(test_events_that_ask),
        LATE_TEST(test_a_share_is_logged),
        LATE_TEST(test_one_round_trip),
        LATE_TEST(test_notes_at_once),
        LATE_TEST(test_away),
        LATE_TEST(test_given_up),
        LATE_TEST(test_given_up_afterwards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
