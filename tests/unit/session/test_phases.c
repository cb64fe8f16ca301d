/* test_phases.c - rules of header, message and result: what they know, what they change, how they refuse; and what they
 * write down. */
#include "stage.h"

#include <stdio.h>
#include <string.h>

#define END  "C NOOP\nS 250 2.0.0 Ok"
#define SEND "C From: Al <alice@example.org>\nC Subject: hello\nC \tworld\nC X: 1\nC X: 2\nC \nC body\nC .\n"

static void test_facts(void **state)
{
    (void)state;
    static const struct {
        const char *name, *phase, *condition;
        bool holds;
    } CASES[] = {
        {"a field, unfolded", "header", "header[\"subject\"] = \"hello\tworld\"", true},
        {"the first of a name", "header", "header[\"X\"] = \"1\"", true},
        {"how many", "header", "header.count[\"x\"] = 2", true},
        {"none of a name", "header", "header.count[\"Y\"] = 0", true},
        {"a field that is not there", "header", "header[\"Y\"] is none", true},
        {"the address in From", "header", "header.from = \"alice@example.org\"", true},
        {"its domain", "header", "header.from.domain = \"example.org\"", true},
        {"its lines", "header", "header.lines = 5", true},
        {"its bytes", "header", "header.size = 66", true},
        {"the mail's own facts", "header", "sender = \"alice@example.org\" and mail.recipients = 1", true},
        {"still at message", "message", "header[\"X\"] = \"1\" and header.count[\"X\"] = 2 and header.lines = 5", true},
        {"the size of the message", "message", "message.size = 74", true},
        {"another size", "message", "message.size = 73", false},
        {"still at result", "result", "header[\"subject\"] contains \"world\" and message.size > 70", true},
        {"the code", "result", "result.code = 250", true},
        {"the text", "result", "result.text contains \"queued\"", true},
        {"another code", "result", "result.code >= 400", false},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        char rules[300];
        snprintf(rules, sizeof rules, "on %s {\n rule r tag yes if %s\n}\n", CASES[i].phase, CASES[i].condition);
        const struct ground ground = {.rules = rules};
        const struct talk talk = {CASES[i].name, "submission body",
                                  CASES[i].holds ? SEND "S 250\nN 1\nE mail \"tags\":{\"yes\":\"\"}"
                                                 : SEND "S 250\nN 1\nE mail \"tags\":{}"};
        stage_play(&ground, &talk, 1);
    }
}

/* Whatever refuses, the MTA never has the dot, the client hears it at its own, and the connection goes on or ends. */
static void test_refusals(void **state)
{
    (void)state;
    static const char *const PHASES[] = {"header", "message"};
    static const struct {
        const char *action, *reply, *then, *event;
    } ACTIONS[] = {
        {"accept", "250 2.0.0", "C NOOP\nS 250", "\"verdict\":\"accept\""},
        {"observe reject", "250 2.0.0", "C NOOP\nS 250", "\"would\":[{\"by\":\"r\",\"action\":\"reject\"}]"},
        {"reject", "550 5.7.1 Refused by rule \"r\"", "C NOOP\nS 250", "\"verdict\":\"reject\" \"by\":\"r\""},
        {"reject 554 5.6.0 \"From ${sender}\"", "554 5.6.0 From alice@example.org", "C NOOP\nS 250", "\"code\":554"},
        {"defer", "451 4.7.1", "C NOOP\nS 250", "\"verdict\":\"defer\""},
        {"quarantine", "550 5.7.1 Message refused", "C NOOP\nS 250", "\"verdict\":\"reject\" \"by\":\"r\""},
        {"disconnect", "421 4.7.0", "X\nE close", "\"verdict\":\"disconnect\""},
        {"ban client 1h", "421 4.7.0", "X\nE close \"reason\":\"banned\"", "\"verdict\":\"ban\""},
        {"drop", NULL, "X\nE close", "\"verdict\":\"drop\""},
    };
    for (size_t p = 0; p < COUNT_OF(PHASES); p++)
        for (size_t i = 0; i < COUNT_OF(ACTIONS); i++) {
            char rules[200], name[100], script[1000];
            bool is_taken = ACTIONS[i].reply && ACTIONS[i].reply[0] == '2';
            snprintf(rules, sizeof rules, "limit mails per user count messages { 9/1h }\non %s {\n rule r %s\n}\n",
                     PHASES[p], ACTIONS[i].action);
            snprintf(name, sizeof name, "%s at %s", ACTIONS[i].action, PHASES[p]);
            snprintf(
                script, sizeof script,
                SEND
                "%s%s\n%sE mail \"at\":\"%s\" %s\n%s\nN %d\nU u:alice@example.org %d messages %d recipients %d KiB",
                ACTIONS[i].reply ? "S " : "X", ACTIONS[i].reply ? ACTIONS[i].reply : "",
                strncmp(ACTIONS[i].action, "quarantine", 10) == 0 ? "E alert \"by\":\"r\"\n" : "",
                is_taken ? "data" : PHASES[p], ACTIONS[i].event, ACTIONS[i].reply ? ACTIONS[i].then : "E close",
                is_taken, is_taken, is_taken, is_taken);
            const struct ground ground = {.rules = rules};
            const struct talk talk = {name, "submission body", script};
            stage_play(&ground, &talk, 1);
        }
}

static void test_bounds_after_a_refusal(void **state)
{
    (void)state;
    static const struct ground GROUND = {
        .rules = "on header {\n rule r reject if header[\"X\"] = \"no\"\n rule t tag t \"${header.from}\"\n}\n",
        .max_message_bytes = 20000};
    static const struct talk TALKS[] = {
        {"the rest is read and dropped", "submission body",
         "C X: no\nC \nC {x*4000}\nC {x*4000}\nC .\nS 550 5.7.1\nN 0\n" END},
        {"in another write than the header", "submission body",
         "C X: no\nC \nQ\nC {x*4000}\nC .\nS 550 5.7.1\nN 0\n" END},
        {"but not for ever", "submission body whole",
         "C X: no\nC \nQ\nc {x*1300000}\nS 421 4.3.4\nX\nN 0\nE mail \"by\":\"r\" \"code\":550"},
        {"a message without a header", "submission body", "C \nC x\nC .\nS 250\nN 1"},
        {"nothing at all", "submission body", "C .\nS 250\nN 1\nE mail \"tags\":{\"t\":\"-\"}"},
        {"a bare LF after it", "submission body", "C X: no\nC \nc a\\nb\nS 550 5.6.11\nX\nN 0"},
        {"the client goes after it", "submission body",
         "C X: no\nC \nC x\nQ\nG\nX\nE mail \"verdict\":\"reject\" \"by\":\"r\""},
    };
    PLAY(&GROUND, TALKS);
}

static void test_edits(void **state)
{
    (void)state;
    static const struct ground GROUND = {.rules = "on mail {\n rule a add-header \"X-From\" \"${sender}\"\n}\n"
                                                  "on rcpt {\n rule b add-header \"X-Rcpt\" \"${rcpt}\"\n}\n"
                                                  "on data {\n rule c remove-header \"X-Secret\"\n}\n"
                                                  "on header {\n rule d add-header \"X-Subject\" \"seen\" if "
                                                  "header[\"Subject\"] = \"s\"\n rule e add-missing\n"
                                                  " rule f reject if header[\"Subject\"] = \"no\"\n}\n"};
    static const struct talk TALKS[] = {
        {"added", "submission body",
         "C Subject: s\nC X-Secret: 1\nC \t2\nC Y: z\nC \nC body\nC .\nS 250\nN 1\nB X-From: "
         "alice@example.org\\r\\n\nB X-Rcpt: "
         "b@example.net\\r\\n\nB X-Subject: seen\\r\\n\n!B Secret\n!B \\t2\nB Subject: s\\r\\nY: "
         "z\\r\\n\\r\\nbody\\r\\n.\\r\\n\nB Date: "
         "\nB Message-ID: <\nB @mx.example.org>"},
        {"Received stays on top", "submission body", "C Subject: s\nC \nC .\nS 250\n!B \\r\\nReceived: from"},
        {"a dot at the head of a line", "submission body",
         "C X: y\nC \nC ..x\nC .\nS 250\nB \\r\\n\\r\\n..x\\r\\n.\\r\\n"},
        {"what is refused is not sent", "submission body", "C Subject: no\nC \nC .\nS 550\nN 0"},
        {"after a wait", "submission body",
         "L header\nC Subject: s\nC X-Secret: 1\nC \nC body\nC .\nQ\nl\nS 250\nN 1\n!B Secret\nB "
         "\\r\\n\\r\\nbody\\r\\n.\\r\\n\nB X-Subject: seen"},
    };
    PLAY(&GROUND, TALKS);
}

static void test_events(void **state)
{
    (void)state;
    static const struct ground GROUND = {.rules = "alert boss syslog\n"
                                                  "on mail {\n rule s score 2.5\n rule n score -0.25 if sender.local = "
                                                  "\"half\"\n rule a alert boss if sender.local = \"tell\"\n}\n"
                                                  "on message {\n rule q quarantine if header[\"X\"] = \"virus\"\n}\n"
                                                  "on result {\n rule l log \"${result.code} ${result.text}\"\n}\n"};
    static const struct talk TALKS[] = {
        {"the score", "submission body", "C .\nS 250\nE mail \"score\":2.5,"},
        {"a score of two rules", "submission login",
         "C MAIL FROM:<half@x>\nS 250\nC RSET\nS 250\nE mail \"score\":2.25,"},
        {"an alert", "submission login",
         "C MAIL FROM:<tell@x>\nS 250\nE alert \"alert\":\"boss\" \"by\":\"a\" \"at\":\"mail\""},
        {"quarantine", "submission body",
         "C X: virus\nC \nC .\nS 550 5.7.1 Message refused\nE alert \"by\":\"q\" \"at\":\"message\"\nN 0"},
        {"the result", "submission body", "C .\nS 250\nE log \"at\":\"result\" \"text\":\"250"},
        {"the result of a refusal", "submission body",
         "M DOT 554 5.6.0 No\nC .\nS 554\nE log \"at\":\"result\" \"text\":\"554"},
        {"no result where nobody knows", "submission body",
         "M DOT cut\nC .\nS 451 4.4.2\nE mail \"verdict\":\"unknown\""},
    };
    PLAY(&GROUND, TALKS);
}

/* What the session counts: errors, recipients that the MTA does not know, wrong passwords. */
static void test_counts(void **state)
{
    (void)state;
    static const struct ground GROUND = {
        .rules = "limit errors per client count errors { 4/1h at 25% log \"one\" at 50% tarpit 10s at 100% disconnect "
                 "\"Enough\" }\n"
                 "limit unknown per client count unknown-recipients { 4/1h at 25% tarpit 10s at 100% ban client 1h "
                 "\"harvesting\""
                 " unless rcpt.local = \"known\" }\n",
        .store = STORE_AT_ONCE, /* later, the reply is not delayed, but what comes behind it: test_late.c */
        .max_errors = 100};
    static const struct talk TALKS[] = {
        {"errors", "submission login",
         "C FOO\nS 500\nC BAR\nS 500\nE limit \"by\":\"errors\" \"text\":\"one\"\nC BAZ\nQ\nC NOOP\nQ\nV\nS 500\nS "
         "250\nC "
         "A\nQ\nV\nS 500\nC B\nS 421 4.7.0 Enough\nX"},
        {"errors in a mail", "submission mail",
         "C FOO\nS 500\nC BAR\nS 500\nC MAIL FROM:<a@x>\nQ\nV\nS 503\nC A\nQ\nV\nS 500\nC B\nS 421 4.7.0 "
         "Enough\nX\nE mail "
         "\"verdict\":\"disconnect\" \"by\":\"errors\""},
        {"unknown recipients", "submission mail",
         "M RCPT ever 550 5.1.1 Who\nC RCPT TO:<a@x>\nS 550\nC RCPT TO:<b@x>\nQ\nV\nS 550\nC RCPT TO:<c@x>\nQ\nV\nS "
         "550\nC RCPT "
         "TO:<d@x>\nQ\nV\nS 550\nC RCPT TO:<e@x>\nS 550\nS 421 4.7.0\nX\nE mail \"verdict\":\"ban\" "
         "\"by\":\"unknown\""},
        {"in their order", "submission mail whole",
         "M RCPT ever 550 5.1.1 Who\nC RCPT TO:<a@x>\nS 550\nC RCPT TO:<b@x>\nC RCPT TO:<c@x>\nC NOOP\nQ\nV\nS 550\nS "
         "550\nS 250"},
        {"not those that the limit excepts", "submission mail",
         "M RCPT ever 550 5.1.1 Who\nC RCPT TO:<known@x>\nS 550\nC RCPT TO:<known@y>\nS 550\nC RCPT TO:<known@z>\nS "
         "550"},
        {"for now is not unknown", "submission mail",
         "M RCPT ever 450 4.2.0 Later\nC RCPT TO:<a@x>\nS 450\nC RCPT TO:<b@x>\nS 450\nC RCPT TO:<c@x>\nS 450"},
    };
    PLAY(&GROUND, TALKS);
    static const struct ground OF_LOGINS = {
        .rules = "limit guesses per client count guesses { 4/1h at 25% tarpit 10s at 50% log \"two ${auth.user}\" }\n",
        .max_errors = 100};
    static const struct talk LOGINS[] = {
        {"guesses", "submission tls",
         "C AUTH PLAIN AGFsaWNlAGE=\nS 535 5.7.8 Wrong\nC AUTH PLAIN AGFsaWNlAGI=\nQ\nV\nS 535 5.7.8 Wrong\nC AUTH "
         "PLAIN AGFsaWNlAGM=\n"
         "Q\nV\nS 535\nE limit \"by\":\"guesses\"\nC AUTH PLAIN AGFsaWNlAGQ=\nQ\nV\nS 535\nC AUTH PLAIN "
         "AGFsaWNlAGU=\nQ\nV\nS "
         "454 4.7.0\nE auth wrong\nE auth \"result\":\"limited\" "
         "\"by\":\"guesses\""},
        {"the same again is no guess", "submission tls",
         "C AUTH PLAIN AGFsaWNlAGE=\nS 535\nC AUTH PLAIN AGFsaWNlAGE=\nS 535\nC AUTH PLAIN AGFsaWNlAGE=\nS 535"},
        {"the right one costs nothing", "submission tls",
         "C AUTH PLAIN AGFsaWNlAGE=\nS 535\nC AUTH PLAIN AGFsaWNlAHNlY3JldA==\nS 235\n"},
    };
    PLAY(&OF_LOGINS, LOGINS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_facts), cmocka_unit_test(test_refusals), cmocka_unit_test(test_bounds_after_a_refusal),
        cmocka_unit_test(test_edits), cmocka_unit_test(test_events),   cmocka_unit_test(test_counts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
