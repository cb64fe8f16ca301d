/* test_late.c - a store of limits that answers later, as one behind a network does: what waits for it, what does not,
 * and whatever happens meanwhile. The store is held until `k` (stage.h). */
#include "stage.h"

#define AUTH_PLAIN "C AUTH PLAIN AGFsaWNlQGV4YW1wbGUub3JnAHNlY3JldA==\n"
#define AUTH_WRONG "C AUTH PLAIN AGFsaWNlQGV4YW1wbGUub3JnAHdyb25n\n"
#define MAIL       "C MAIL FROM:<alice@example.org>\n"
#define RCPT       "C RCPT TO:<b@example.net>\n"
#define MESSAGE    "C Subject: x\nC \nC y\nC .\n"
#define NOTHING    "U u:alice@example.org 0 messages 0 recipients 0 KiB\n"
#define ONE        "U u:alice@example.org 1 messages 1 recipients 1 KiB\n"
/* What has to be asked before is answered. */
#define LOGIN "S 235\n"

static void test_what_waits(void **state)
{
    (void)state;
    static const struct ground GROUND = {.store = STORE_LATER,
                                         .rules = "limit open per client count open-connections { 5 }\n"
                                                  "limit fails per client count auth-failures { 10/1h }\n"
                                                  "limit guesses per client count guesses { 10/1h }\n"
                                                  "limit nets per user count distinct-networks { 5/1d }\n"
                                                  "limit mails per user count messages { 100/1h }\n"
                                                  "limit traps per client count charges { 100/1h }\n"
                                                  "limit no per client count refusals { 100/1h }\n"
                                                  "on login {\n rule new tag new if not client.known\n}\n"
                                                  "on mail {\n rule c charge traps, tag c if sender.local = \"trap\"\n"
                                                  " rule n reject if sender.local = \"no\"\n"
                                                  " rule u log \"many\" if used(traps) > 0\n}\n"};
    static const struct talk TALKS[] = {
        {"a connection, before the greeting", "smtp greeting", "K\n+ smtp\nQ\n!D\nC EHLO x\nQ\nk\nS 220\nS 250"},
        {"a connection on 465, before TLS", "smtp greeting", "K\n+ submissions\nQ\nk\nT\nS 220"},
        {"a login, before the password is looked at", "submission tls",
         "K\n" AUTH_PLAIN "Q\n!D\nk\nS 235\nE auth \"result\":\"ok\""},
        {"a wrong password, before it is said", "submission tls",
         "P hold\n" AUTH_WRONG "Q\nK\nP go\nQ\n!D\nC NOOP\nQ\nk\nS 535\nS 250"},
        {"what a login is seen to come from", "submission tls", "P hold\n" AUTH_PLAIN "Q\nK\nP go\nQ\n!D\nk\nS 235"},
        {"what a rule charges: it goes on with its next action", "submission login",
         "K\nC MAIL FROM:<trap@x>\nQ\n!D\nk\nS 250\nC RSET\nS 250\nE log many\nE mail \"tags\":{\"c\":\"\""},
        {"the refusal of a rule", "submission login", "K\nC MAIL FROM:<no@x>\n" RCPT "Q\n!D\nk\nS 550\nS 503"},
        {"the limits of a mail", "submission rcpt", "K\nC DATA\nQ\n!D\nk\nS 354\n" MESSAGE "S 250\n" ONE},
        {"its real size, before the dot", "submission body",
         "K\n" MESSAGE "Q\n!D\nN 0\nC NOOP\nQ\nk\nS 250\nS 250\nN 1\n" ONE},
    };
    PLAY(&GROUND, TALKS);
}

/* Nothing stays charged of what was given up. */
static void test_who_goes_meanwhile(void **state)
{
    (void)state;
    static const struct ground GROUND = {.store = STORE_LATER,
                                         .rules = "limit open per client count open-connections { 2 }\n"
                                                  "limit fails per client count auth-failures { 10/1h }\n"
                                                  "limit guesses per client count guesses { 10/1h }\n"
                                                  "limit mails per user count messages { 100/1h }\n"};
    static const struct talk TALKS[] = {
        {"half closed before the greeting", "smtp greeting", "K\n+ smtp\nQ\nG\nQ\nk\nS 220\nX"},
        {"stopped before the greeting", "smtp greeting", "K\n+ smtp\nQ\nW stop\n!k\nX"},
        {"stopped before the password is looked at", "submission tls", "K\n" AUTH_PLAIN "Q\nW stop\n!k\nX"},
        {"stopped while a wrong password is counted", "submission tls",
         "P hold\n" AUTH_WRONG "Q\nK\nP go\nQ\nW stop\nX"},
        {"drained while it is", "submission tls",
         "P hold\n" AUTH_WRONG "Q\nK\nP go\nQ\nW\nQ\nk\nS 535\nS 421 4.3.2\nX"},
        {"stopped at DATA", "submission rcpt",
         "K\nC DATA\nQ\nW stop\n!k\nX\n" NOTHING "E mail \"verdict\":\"abort\" \"limits\":[]"},
        {"half closed at DATA", "submission rcpt",
         "K\nC DATA\nQ\nG\nQ\nk\nS 354\nX\n" NOTHING "E mail \"verdict\":\"abort\""},
        {"the MTA is lost at DATA", "submission rcpt", "K\nC DATA\nQ\nM down\nQ\nk\nS 451\nC NOOP\nS 250\n" NOTHING},
        {"stopped before the dot", "submission body", "K\n" MESSAGE "Q\nW stop\n!k\nX\nN 0\n" NOTHING},
        {"half closed before the dot", "submission body", "K\n" MESSAGE "Q\nG\nQ\nk\nS 250\nX\nN 1\n" ONE},
        {"the MTA is lost before the dot", "submission body",
         "K\n" MESSAGE "Q\nM down\nS 451\n!k\nC NOOP\nS 250\n" NOTHING "E mail \"verdict\":\"defer\""},
        {"drained before the dot", "submission body", "K\n" MESSAGE "Q\nW\nQ\nk\nS 250\nS 421 4.3.2\nX\nN 1\n" ONE},
        {"who talks before DATA is answered", "submission rcpt whole",
         "K\nC DATA\nQ\nC RSET\nC .\nQ\nk\nS 354"}, /* it was taken: these are its lines */
    };
    PLAY(&GROUND, TALKS);
}

/* The limits and the MTA are asked at once: one round trip. */
static void test_beside_the_mta(void **state)
{
    (void)state;
    static const struct ground GROUND = {
        .store = STORE_LATER,
        .rules = "limit mails per user count messages { 100/1h }\n"
                 "limit heads per user count distinct-recipients { 1/1h if sender.local = \"few\" "
                 "}\n"
                 "limit slow per user count messages { 1/1h at 100% log at 50% tarpit 10s "
                 "if sender.local = \"slow\" }\n"
                 "on data {\n rule d reject if sender.local = \"no\"\n}\n"};
    static const struct talk TALKS[] = {
        {"the limits answer first", "submission rcpt",
         "M DATA silent\nK\nC DATA\nH DATA\nk\nQ\nM say 354 Go\nS 354\n" MESSAGE "S 250\nN 1\n" ONE},
        {"the MTA answers first", "submission rcpt", "K\nC DATA\nH DATA\nQ\n!D\nk\nS 354\n" MESSAGE "S 250\nN 1\n" ONE},
        {"the MTA refuses, whatever the limits will say", "submission rcpt",
         "M DATA 550 5.7.1 No\nK\nC DATA\nS 550 5.7.1 No\n!k\n" NOTHING
         "E mail \"verdict\":\"reject\" \"at\":\"data\"\n"
         "C NOOP\nS 250"},
        {"the limits refuse: the MTA's connection goes", "submission login",
         "C MAIL FROM:<few@x>\nS 250\nC RCPT TO:<a@x>\nC RCPT TO:<b@x>\nS 250\nS 250\nK\nC DATA\nH "
         "DATA\nQ\nk\nS 552 5.7.1 heads\n" NOTHING "N 0\n" MAIL "S 250\n" RCPT "S 250\nC DATA\nS 354\n" MESSAGE
         "S 250\nN 1\n" ONE},
        {"… before the MTA answered", "submission login",
         "C MAIL FROM:<few@x>\nS 250\nC RCPT TO:<a@x>\nC RCPT TO:<b@x>\nS 250\nS 250\nM DATA silent\nK\nC DATA\nH "
         "DATA\nk\nS 552 5.7.1 heads\nN 0\n" MAIL "S 250\n" RCPT "S 250\nC DATA\nS 354\n" MESSAGE "S 250\nN 1\n" ONE},
        {"the rules refuse: the MTA hears nothing", "submission login",
         "C MAIL FROM:<no@x>\nS 250\n" RCPT "S 250\nC DATA\nS 550\n!H DATA\nH RSET"},
        {"the MTA is lost after its 354", "submission rcpt",
         "K\nC DATA\nH DATA\nQ\nM down\nQ\nk\nS 451\nC NOOP\nS 250\n" NOTHING},
        {"the MTA cuts instead of it", "submission rcpt",
         "M DATA ever cut\nK\nC DATA\nH DATA\nQ\nk\nS 451\nC NOOP\nS 250\n" NOTHING},
        {"a delay: the MTA waits, too", "submission login",
         "C MAIL FROM:<slow@x>\nS 250\n" RCPT "S 250\nC DATA\nQ\nH DATA\nV\nS 354\n" MESSAGE "S 250\nN 1"},
        {"a delay, and the MTA refuses meanwhile", "submission login",
         "C MAIL FROM:<slow@x>\nS 250\n" RCPT
         "S 250\nM DATA silent\nC DATA\nQ\nM say 450 4.2.0 Later\nS 450 4.2.0\n!V\n" NOTHING "C NOOP\nS 250"},
        {"stopped meanwhile", "submission rcpt", "K\nC DATA\nH DATA\nQ\nW stop\n!k\nX\nN 0\n" NOTHING},
        {"who talks too early, and the limits refuse", "submission login whole",
         "C MAIL FROM:<few@x>\nS 250\nC RCPT TO:<a@x>\nC RCPT TO:<b@x>\nS 250\nS 250\nK\nC DATA\nQ\nC "
         "RSET\nC .\nQ\nk\nS 552\nX"},
    };
    PLAY(&GROUND, TALKS);
}

/* What happens is counted beside the conversation: no reply and no mail waits for it. */
static void test_what_does_not_wait(void **state)
{
    (void)state;
    static const struct ground GROUND = {
        .store = STORE_LATER,
        .max_errors = 200,
        .rules =
            "limit errors per client count errors { 2/1h at 50% log \"one\" at 100% disconnect \"Enough\" }\n"
            "limit unknown per client count unknown-recipients { 2/1h at 50% log \"of ${rcpt}\" at 100% ban client "
            "1h \"harvesting\" }\n"};
    static const struct talk TALKS[] = {
        {"an error", "submission login", "K\nC A\nC B\nS 500\nS 500\nC NOOP\nS 250\nk\nE limit \"text\":\"one\"\nQ"},
        {"one too many: between two commands", "submission login",
         "K\nC A\nC B\nC C\nC NOOP\nS 500\nS 500\nS 500\nS 250\nk\nS 421 4.7.0 Enough\nX"},
        {"… in a mail", "submission mail",
         "K\nC A\nC B\nC C\nS 500\nS 500\nS 500\n" RCPT "S 250\nk\nS 421 4.7.0 Enough\nX\n"
         "E mail \"verdict\":\"disconnect\" \"by\":\"errors\""},
        {"… while a verdict is awaited", "submission mail",
         "M RCPT silent\nK\nC A\nC B\nC C\nS 500\nS 500\nS 500\n" RCPT "C NOOP\nQ\nk\nS 421 4.7.0 Enough\nX"},
        {"… in a message: once it is taken", "submission rcpt",
         "K\nC A\nC B\nC C\nS 500\nS 500\nS 500\nC DATA\nS 354\nC x\nk\nQ\nC .\nS 250\nS 421 4.7.0 Enough\nX\nN 1\n"
         "E mail \"verdict\":\"accept\""},
        {"… while the MTA is slow with its last word", "submission body",
         "M DOT silent\nC x\nC .\nQ\nM say 250 2.0.0 Ok\nS 250\nK\nC A\nC B\nC C\nS 500\nS 500\nS 500\nk\nS 421\nX"},
        {"… amid an exchange of AUTH", "submission tls",
         "K\nC A\nC B\nC C\nS 500\nS 500\nS 500\nC AUTH PLAIN\nS 334\nk\nS 421 4.7.0 Enough\nX"},
        {"… amid the handshake of STARTTLS", "submission ehlo",
         "K\nC A\nC B\nC C\nS 500\nS 500\nS 500\nC STARTTLS\nS 220\nk\nQ\nT\nS 421 4.7.0 Enough\nX"},
        {"STARTTLS, and it is forgotten who spoke", "submission ehlo",
         "K\nC A\nC B\nS 500\nS 500\nC STARTTLS\nS 220\nT\nk\nE limit \"by\":\"errors\"\nC EHLO y\nS 250"},
        {"unknown recipients", "submission mail",
         "M RCPT ever 550 5.1.1 Who\nK\nC RCPT TO:<a@x>\nC RCPT TO:<b@x>\nS 550\nS 550\nM well\n" RCPT
         "S 250\nk\nE limit \"text\":\"of b@x\"\nC DATA\nS 354\n" MESSAGE "S 250\nN 1"},
        {"… whose mail is over, and the next begun", "submission mail",
         "M RCPT ever 550 5.1.1 Who\nK\nC RCPT TO:<a@x>\nC RCPT TO:<b@x>\nS 550\nS 550\nC RSET\nS 250\n" MAIL
         "Q\nk\nS 250\nE limit \"text\":\"of b@x\"\nM well\n" RCPT "S 250"},
        {"… too many of them", "submission mail",
         "M RCPT ever 550 5.1.1 Who\nK\nC RCPT TO:<a@x>\nC RCPT TO:<b@x>\nC RCPT TO:<c@x>\nS 550\nS 550\nS 550\nC "
         "NOOP\nS 250\nk\nS 421\nX\nE mail \"verdict\":\"ban\""},
        {"who hangs up is counted all the same", "submission mail",
         "M RCPT ever 550 5.1.1 Who\nK\nC RCPT TO:<a@x>\nC RCPT TO:<b@x>\nS 550\nS 550\nG\nQ\nk\nX\nE close\nE limit "
         "\"text\":\"of b@x\""},
        {"stopped meanwhile", "submission login",
         "K\nC A\nC B\nS 500\nS 500\nW stop\nk\nX\nE close\nE limit \"text\":\"one\""},
        {"drained meanwhile", "submission login",
         "K\nC A\nC B\nS 500\nS 500\nW\nS 421 4.3.2\nk\nX\nE limit \"text\":\"one\""},
        {"QUIT meanwhile", "submission login",
         "K\nC A\nC B\nS 500\nS 500\nC QUIT\nS 221\nk\nX\nE limit \"text\":\"one\""},
    };
    PLAY(&GROUND, TALKS);
}

/* What is being counted is bounded: then no further command is read. */
static void test_too_much_is_being_counted(void **state)
{
    (void)state;
    static const struct ground GROUND = {
        .store = STORE_LATER, .max_errors = 200, .rules = "limit errors per client count errors { 1000/1h }\n"};
    static const struct talk TALKS[] = {
        {"errors", "submission login",
         "K\nC A\nC A\nC A\nC A\nC A\nC A\nC A\nC A\nC A\nC A\nC A\nC A\nC A\nC A\nC A\nC A\nC A\nC A\nC A\nC A\nC "
         "A\nC "
         "A\nC A\nC A\nC A\nC A\nC A\nC A\nC A\nC A\nC A\nC A\nC NOOP\nS 500\nS 500\nS 500\nS 500\nS 500\nS 500\nS "
         "500\nS 500\nS 500\nS 500\nS 500\nS 500\nS 500\nS 500\nS 500\nS 500\nS 500\nS 500\nS 500\nS 500\nS 500\nS "
         "500\nS 500\nS 500\nS 500\nS 500\nS 500\nS 500\nS 500\nS 500\nS 500\nS 500\nQ\n!D\nk\nS 250"},
    };
    PLAY(&GROUND, TALKS);
}

/* The reply has left when it is known that it is to be delayed: what comes behind it is. */
static void test_delays(void **state)
{
    (void)state;
    static const struct ground GROUND = {
        .store = STORE_LATER,
        .max_errors = 200,
        .rules = "limit errors per client count errors { 2/1h at 50% tarpit 10s at 100% log }\n"
                 "limit unknown per client count unknown-recipients { 4/1h at 25% tarpit 10s at 100% log }\n"};
    static const struct talk TALKS[] = {
        {"an error", "submission login", "C A\nS 500\nC B\nS 500\nQ\nC NOOP\nQ\nV\nS 250"},
        {"an error, and then nothing", "submission login", "C A\nS 500\nC B\nS 500\nQ\nV\nD\nS 421 4.4.2\nX"},
        {"unknown recipients: the verdicts behind it", "submission mail",
         "M RCPT ever 550 5.1.1 Who\nC RCPT TO:<a@x>\nS 550\nC RCPT TO:<b@x>\nS 550\nC RCPT TO:<c@x>\nQ\nV\nS 550"},
        {"in a message: the reply to the dot", "submission rcpt",
         "K\nC A\nC B\nS 500\nS 500\nC DATA\nS 354\nC x\nk\n!V\nC .\nQ\nN 1\nV\nS 250"},
        {"who goes meanwhile is closed at once", "submission login", "C A\nS 500\nC B\nS 500\nQ\nG\nX\nE close"},
    };
    PLAY(&GROUND, TALKS);
}

/* In the words of the limits, whoever answers when. */
static void test_refusals(void **state)
{
    (void)state;
    static const struct ground GROUND = {
        .store = STORE_LATER,
        .rules = "limit mails per user count messages { 1/1h }\n"
                 "limit volume per user count bytes { 10K/1h if sender = \"volume@example.org\" }\n"
                 "limit no per client count refusals { 1/1h at 100% disconnect \"Enough refused\" }\n"
                 "on mail {\n rule n reject if sender.local = \"no\"\n}\n"};
    static const struct talk TALKS[] = {
        {"at DATA", "submission rcpt",
         "C DATA\nS 354\n" MESSAGE "S 250\n" MAIL "S 450 4.7.1 mails: 1 per 1h used up, 2 with this mail\n" ONE},
        {"at the dot", "submission login",
         "C MAIL FROM:<volume@example.org>\nS 250\n" RCPT
         "S 250\nC DATA\nS 354\nC X: y\nC \nK\nC {x*4000}\nC {x*4000}\nC {x*4000}\nC .\nQ\nk\nS 552 5.7.1 volume: 10K "
         "per 1h allowed, 12K in this mail\nN 0\n" NOTHING},
        {"a refusal too many, instead of it", "submission login",
         "C MAIL FROM:<no@x>\nS 550\nK\nC MAIL FROM:<no@x>\nQ\nk\nS 421 4.7.0 Enough refused\nX"},
    };
    PLAY(&GROUND, TALKS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_waits),
                                       cmocka_unit_test(test_who_goes_meanwhile),
                                       cmocka_unit_test(test_beside_the_mta),
                                       cmocka_unit_test(test_what_does_not_wait),
                                       cmocka_unit_test(test_too_much_is_being_counted),
                                       cmocka_unit_test(test_delays),
                                       cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
