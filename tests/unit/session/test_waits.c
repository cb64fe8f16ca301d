/* test_waits.c - rules and limits that take their time, and replies that are delayed: whatever happens meanwhile. */
#include "stage.h"

#include <stdio.h>

#define AUTH_PLAIN "C AUTH PLAIN AGFsaWNlQGV4YW1wbGUub3JnAHNlY3JldA==\n"
#define AUTH_WRONG "C AUTH PLAIN AGFsaWNlQGV4YW1wbGUub3JnAHdyb25n\n"
#define MAIL       "C MAIL FROM:<alice@example.org>\n"
#define RCPT       "C RCPT TO:<b@example.net>\n"
#define MESSAGE    "C Subject: x\nC \nC y\nC .\n"

#define ALL_PHASES "on header {\n rule h tag h\n}\non message {\n rule m tag m\n}\non result {\n rule e tag e\n}\n"

/* Each phase may wait. Meanwhile nothing is said, nothing of the next command is looked at, no deadline of the client's
 * runs; then it goes on where it was. */
static void test_each_phase_waits(void **state)
{
    (void)state;
    static const struct ground GROUND = {.rules = ALL_PHASES};
    static const struct talk TALKS[] = {
        {"connect", "submission greeting", "L connect\n+ smtp\nQ\n!D\nC EHLO x\nQ\nl\nS 220\nS 250"},
        {"connect on 465", "submission greeting", "L connect\n+ submissions\nQ\nl\nT\nS 220"},
        {"the first command has its own time after it", "submission greeting",
         "L connect\n+ smtp\nQ\nl\nS 220\nD\nS 421"},
        {"helo", "submission greeting", "L helo\nC EHLO x\nQ\n!D\nC NOOP\nQ\nl\nS 250\nS 250 2.0.0"},
        {"auth", "submission tls", "L auth\n" AUTH_PLAIN "Q\n!D\nl\nS 235"},
        {"auth, in its own line", "submission tls",
         "L auth\nC AUTH PLAIN\nS 334\nC AGFsaWNlQGV4YW1wbGUub3JnAHNlY3JldA==\nQ\nl\nS 235"},
        {"auth, a wrong password", "submission tls", "L auth\n" AUTH_WRONG "Q\nC NOOP\nl\nS 535\nS 250"},
        {"login", "submission tls", "L login\n" AUTH_PLAIN "Q\nl\nS 235"},
        {"mail", "submission login", "L mail\n" MAIL RCPT "Q\n!D\n!H MAIL\nl\nS 250 2.1.0\nS 250 2.1.5"},
        {"rcpt", "submission mail", "L rcpt\n" RCPT "C NOOP\nQ\n!D\n!H RCPT\nl\nS 250 2.1.5\nS 250 2.0.0"},
        {"data", "submission rcpt", "L data\nC DATA\nQ\n!D\n!H DATA\nl\nS 354\n" MESSAGE "S 250\nN 1"},
        {"header", "submission body",
         "L header\n" MESSAGE
         "C NOOP\nQ\n!D\nl\nS 250 2.0.0\nS 250 2.0.0 Ok\nN 1\nB Subject: x\\r\\n\\r\\ny\\r\\n.\\r\\n\n"
         "E mail \"tags\":{\"e\":\"\",\"m\":\"\",\"h\":\"\"}"},
        {"header, while the body is still to come", "submission body",
         "L header\nC Subject: x\nC \nQ\nC y\nQ\nl\nC z\nC .\nS 250\nN 1\nB Subject: "
         "x\\r\\n\\r\\ny\\r\\nz\\r\\n.\\r\\n"},
        {"message", "submission body", "L message\n" MESSAGE "C NOOP\nQ\n!D\nN 0\nl\nS 250\nS 250 2.0.0 Ok\nN 1"},
        {"result", "submission body", "L result\n" MESSAGE "C NOOP\nQ\n!D\nN 1\nl\nS 250\nS 250 2.0.0 Ok"},
    };
    PLAY(&GROUND, TALKS);
}

/* Its replies keep their order, whoever answers first. */
static void test_a_pipeline_waits(void **state)
{
    (void)state;
    static const struct ground GROUND = {.rules = ALL_PHASES "on rcpt {\n rule n reject if rcpt.local = \"n\"\n}\n"};
    static const struct talk TALKS[] = {
        {"behind a MAIL that is open", "submission login",
         "M MAIL silent\nL rcpt\n" MAIL RCPT "Q\nl\nM say 250 2.1.0 Ok\nS 250 2.1.0\nS 250 2.1.5"},
        {"MAIL first", "submission login",
         "M MAIL silent\nL rcpt\n" MAIL RCPT "Q\nM say 250 2.1.0 Ok\nS 250 2.1.0\nQ\nl\nS 250 2.1.5"},
        {"a refusal waits for its turn", "submission login",
         "M MAIL silent\nL rcpt\n" MAIL "C RCPT TO:<n@x>\nQ\nl\nQ\nM say 250 2.1.0 Ok\nS 250 2.1.0\nS 550 5.7.1"},
        {"MAIL is refused meanwhile", "submission login whole",
         "M MAIL 550 5.7.1 No\nL rcpt\n" MAIL RCPT "C NOOP\nS 550\nS 503\nS 250\n!l"},
        {"the MTA is lost meanwhile, and MAIL with it", "submission login whole",
         "M MAIL silent\nL rcpt\n" MAIL RCPT "Q\nM down\nS 451\nS 451\n!l\nC NOOP\nS 250"},
        {"the MTA is lost meanwhile", "submission mail",
         "L rcpt\n" RCPT "Q\nM down\nQ\nl\nS 451\nC DATA\nS 451\nC NOOP\nS 250"},
        {"the MTA is lost while DATA waits", "submission rcpt",
         "L data\nC DATA\nQ\nM down\nQ\nl\nS 451\nC NOOP\nS 250"},
        {"the MTA is lost while the header waits", "submission body",
         "L header\n" MESSAGE "Q\nM down\nS 451\n!l\nC NOOP\nS 250"},
        {"the MTA is lost while the header waits, before the end", "submission body",
         "L header\nC Subject: x\nC \nC y\nQ\nM down\nQ\n!l\nC z\nC .\nS 451\nC NOOP\nS 250"},
        {"the MTA is lost while the message waits", "submission body",
         "L message\n" MESSAGE "Q\nM down\nS 451\n!l\nC NOOP\nS 250"},
    };
    PLAY(&GROUND, TALKS);
}

static void test_who_goes_while_it_waits(void **state)
{
    (void)state;
    static const struct ground GROUND = {.rules = ALL_PHASES};
    static const struct talk TALKS[] = {
        {"half closed at helo", "submission greeting",
         "L helo\nC EHLO x\nQ\nG\nQ\nl\nS 250\nX\nE close \"reason\":\"closed"},
        {"half closed at mail", "submission login", "L mail\n" MAIL "Q\nG\nQ\nl\nX\nE mail \"verdict\":\"abort\""},
        {"half closed at the header", "submission body", "L header\n" MESSAGE "Q\nG\nQ\nl\nS 250\nX\nN 1"},
        {"half closed at the message", "submission body", "L message\n" MESSAGE "Q\nG\nQ\nl\nS 250\nX\nN 1"},
        {"half closed at the result", "submission body", "L result\n" MESSAGE "Q\nG\nQ\nl\nS 250\nX\nN 1"},
        {"stopped at helo", "submission greeting", "L helo\nC EHLO x\nQ\nW stop\n!l\nX"},
        {"stopped at auth", "submission tls", "L auth\n" AUTH_PLAIN "Q\nW stop\n!l\nX"},
        {"stopped at mail", "submission login", "L mail\n" MAIL "Q\nW stop\n!l\nX\nE mail \"verdict\":\"abort\""},
        {"stopped at the header", "submission body",
         "L header\n" MESSAGE "Q\nW stop\n!l\nX\nE mail \"verdict\":\"abort\"\nN 0"},
        {"stopped at the message", "submission body",
         "L message\n" MESSAGE "Q\nW stop\n!l\nX\nE mail \"verdict\":\"abort\"\nN 0"},
        {"stopped at the result", "submission body",
         "L result\n" MESSAGE "Q\nW stop\n!l\nX\nE mail \"verdict\":\"accept\"\nN 1"},
        {"drained at helo", "submission greeting", "L helo\nC EHLO x\nQ\nW\nQ\nl\nS 250\nS 421 4.3.2\nX"},
        {"drained at auth", "submission tls", "L auth\n" AUTH_PLAIN "Q\nW\nQ\nl\nS 235\nS 421 4.3.2\nX"},
        {"drained at the message", "submission body", "L message\n" MESSAGE "Q\nW\nQ\nl\nS 250\nS 421 4.3.2\nX\nN 1"},
        {"STARTTLS behind it", "submission greeting",
         "L helo\nC EHLO x\nQ\nl\nS 250\nC STARTTLS\nS 220\nT\nC EHLO x\nS 250"},
        {"STARTTLS pipelined behind it, and more", "submission greeting",
         "L helo\nC EHLO x\nQ\nC STARTTLS\nC NOOP\nQ\nl\nX"},
    };
    PLAY(&GROUND, TALKS);
}

/* What came before our reply was said by somebody who does not listen. */
static void test_early_talkers(void **state)
{
    (void)state;
    static const struct ground GROUND = {.rules = "on data {\n rule d reject if sender.local = \"bob\"\n}\non login "
                                                  "{\n rule t tarpit 5s if user = \"tarpit\"\n}\n"};
    static const struct talk TALKS[] = {
        {"while the rules of auth wait", "submission tls whole",
         "L auth\n" AUTH_PLAIN "Q\n" MAIL "Q\nl\nS 554 5.5.1\nX"},
        {"while the rules of login wait", "submission tls whole",
         "L login\n" AUTH_PLAIN "Q\n" MAIL "Q\nl\nS 554 5.5.1\nX"},
        {"while 235 is delayed", "submission tls whole",
         "C AUTH PLAIN AHRhcnBpdABzZWNyZXQ=\nQ\n" MAIL "Q\nV\nS 554 5.5.1\nX"},
        {"before DATA is refused", "submission login whole",
         "C MAIL FROM:<bob@x>\nS 250\n" RCPT "S 250\nL data\nC DATA\nQ\nC RSET\nC .\nQ\nl\nS 550 5.7.1\nX"},
    };
    PLAY(&GROUND, TALKS);
}

/* ---- tarpits ---- */

static void test_tarpits(void **state)
{
    (void)state;
    static const struct ground GROUND = {
        .rules = "on connect {\n rule c tarpit 10s if listener = \"smtp\" or listener = \"submissions\"\n}\n"
                 "on helo {\n rule h tarpit 10s if helo = \"slow\"\n rule hd defer, tarpit 10s if helo = \"later\"\n "
                 "rule e log "
                 "\"early ${session.early}\" if helo = \"tell\"\n}\n"
                 "on auth {\n rule a tarpit 10s if auth.user = \"slow\"\n rule ar reject, tarpit 10s if auth.user = "
                 "\"no\"\n}\n"
                 "on login {\n rule l tarpit 10s if user = \"slow\"\n}\n"
                 "on mail {\n rule m tarpit 10s if sender.local = \"slow\"\n rule mr reject, tarpit 10s if "
                 "sender.local = \"no\"\n}\n"
                 "on rcpt {\n rule r tarpit 10s if rcpt.local = \"slow\"\n rule rr reject, tarpit 10s if rcpt.local = "
                 "\"no\"\n}\n"
                 "on data {\n rule d tarpit 10s if sender.local = \"data\"\n}\n"
                 "on header {\n rule hh tarpit 10s if header[\"Subject\"] = \"slow\"\n}\n"
                 "on message {\n rule me reject, tarpit 10s if header[\"Subject\"] = \"no\"\n}\n"};
    static const struct talk TALKS[] = {
        {"the greeting", "submission greeting", "+ smtp\nQ\nV\nS 220"},
        {"the greeting of 465", "submission greeting", "+ submissions\nT\nQ\nV\nS 220"},
        {"who speaks before it", "submission greeting", "+ smtp\nC EHLO tell\nQ\nV\nS 220\nS 250\nE log early"},
        {"EHLO", "submission greeting", "C EHLO slow\nQ\nC NOOP\nQ\nV\nS 250\nS 250 2.0.0"},
        {"a refusal", "submission greeting", "C EHLO later\nQ\nV\nS 450 4.7.1"},
        {"AUTH: both phases at once", "submission tls", "C AUTH PLAIN AHNsb3cAc2VjcmV0\nQ\nV\n!V\nS 235"},
        {"AUTH: a wrong password", "submission tls", "C AUTH PLAIN AHNsb3cAd3Jvbmc=\nQ\nV\nS 535 5.7.8\nC NOOP\nS 250"},
        {"AUTH: a refusal", "submission tls", "C AUTH PLAIN AG5vAHdyb25n\nQ\nV\nS 535\nC NOOP\nS 250"},
        {"MAIL", "submission login", "C MAIL FROM:<slow@x>\n" RCPT "Q\nV\nS 250 2.1.0\nS 250 2.1.5"},
        {"MAIL refused", "submission login", "C MAIL FROM:<no@x>\n" RCPT "Q\nV\nS 550\nS 503"},
        {"RCPT, in its order", "submission login",
         MAIL "C RCPT TO:<slow@x>\n" RCPT "S 250 2.1.0\nQ\nV\nS 250 2.1.5\nS 250 2.1.5"},
        {"RCPT refused, behind an open MAIL", "submission login",
         "M MAIL silent\n" MAIL "C RCPT TO:<no@x>\nQ\nV\nQ\nM say 250 2.1.0 Ok\nS 250 2.1.0\nS 550"},
        {"each RCPT anew", "submission mail", "C RCPT TO:<slow@x>\nC RCPT TO:<slow@y>\nQ\nV\nS 250\nQ\nV\nS 250"},
        {"DATA", "submission login", "C MAIL FROM:<data@x>\nS 250\n" RCPT "S 250\nC DATA\nQ\n!H DATA\nV\nS 354"},
        {"header: the reply to the dot, the MTA has it before", "submission body",
         "C Subject: slow\nC \nC y\n!V\nC .\nC NOOP\nQ\nN 1\nV\nS 250 2.0.0\nS 250 2.0.0 Ok"},
        {"message: a refusal", "submission body", "C Subject: no\nC \nC y\nC .\nQ\nN 0\nV\nS 550\nC NOOP\nS 250"},
        {"the MTA is lost meanwhile: what came behind it is read", "submission login whole",
         "M MAIL silent\n" MAIL "C RCPT TO:<slow@x>\nC NOOP\nQ\nM down\nS 451\nS 451\nS 250\n!V"},
        {"the MTA refuses MAIL meanwhile", "submission login whole",
         "M MAIL 550 5.7.1 No\n" MAIL "C RCPT TO:<slow@x>\nC NOOP\nS 550\nS 503\nS 250\n!V"},
        {"a client that goes is closed at once", "submission greeting",
         "C EHLO slow\nQ\nG\nX\nE close \"reason\":\"closed"},
        {"so too with bytes behind", "submission login whole",
         "C MAIL FROM:<slow@x>\n" RCPT "Q\nG\nX\nE mail \"verdict\":\"abort\""},
        {"a client that goes before it hears that its mail was taken", "submission body",
         "C Subject: slow\nC \nC .\nQ\nG\nX\nN 1\nE mail \"verdict\":\"accept\""},
        {"the worker drains", "submission greeting", "C EHLO slow\nQ\nW\nQ\nV\nS 250\nS 421 4.3.2\nX"},
        {"the worker stops", "submission greeting", "C EHLO slow\nQ\nW stop\nX"},
        {"the session's time is over: what is owed is said first", "submission body",
         "C Subject: slow\nC \nC .\nQ\nN 1\nD\nS 250\nS 421\nX"},
        {"the client's time begins after it", "submission login",
         "C MAIL FROM:<slow@x>\nQ\nV\nS 250\nD\nS 421 4.4.2\nX"},
    };
    PLAY(&GROUND, TALKS);
}

/* More than so many wait for nothing: they are served at once. */
static void test_max_tarpits(void **state)
{
    (void)state;
    static const struct ground GROUND = {.rules = "on helo {\n rule h tarpit 10s\n}\n", .max_tarpits = 1};
    static const struct talk TALKS[] = {
        {"the second", "smtp greeting", "C EHLO x\nQ\n+ submissions\nT\nS 220\nC EHLO x\n!V\nS 250"},
        {"one after the other", "smtp greeting", "C EHLO x\nQ\nV\nS 250\nC EHLO x\nQ\nV\nS 250"},
    };
    PLAY(&GROUND, TALKS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_phase_waits),
                                       cmocka_unit_test(test_a_pipeline_waits),
                                       cmocka_unit_test(test_who_goes_while_it_waits),
                                       cmocka_unit_test(test_early_talkers),
                                       cmocka_unit_test(test_tarpits),
                                       cmocka_unit_test(test_max_tarpits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
