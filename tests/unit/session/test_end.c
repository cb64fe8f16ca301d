/* test_end.c - every way to end: deadlines that run in every state, a client that goes, a worker that drains. */
#include "stage.h"

#include <stdio.h>

#define AUTH_PLAIN "C AUTH PLAIN AGFsaWNlQGV4YW1wbGUub3JnAHNlY3JldA==\n"

/* Something always ends what is awaited, and no dripped byte puts it off. */
static void test_deadlines(void **state)
{
    (void)state;
    static const struct talk TALKS[] = {
        {"in TLS of 465", "submissions", "D\nX\nE close \"reason\":\"TLS"},
        {"after the greeting", "submission greeting", "D\nS 421 4.4.2\nX\nE close \"reason\":\"timed"},
        {"in a line", "submission greeting", "c EHL\nD\nS 421 4.4.2\nX"},
        {"in the handshake", "submission ehlo", "C STARTTLS\nS 220\nD\nX"},
        {"after the handshake", "submission ehlo", "C STARTTLS\nS 220\nT\nD\nS 421 4.4.2\nX"},
        {"after EHLO", "submission tls", "D\nS 421 4.4.2\nX"},
        {"in AUTH", "submission tls", "C AUTH LOGIN\nS 334\nD\nS 421 4.4.2\nX"},
        {"after AUTH", "submission login", "D\nS 421 4.4.2\nX"},
        {"after a wrong password", "submission tls", "C AUTH PLAIN AGFsaWNlAHdyb25n\nS 535 5.7.8\nD\nS 421 4.4.2\nX"},
        {"after MAIL", "submission mail", "D\nS 421 4.4.2\nX\nE mail \"verdict\":\"disconnect\" \"code\":421"},
        {"after RCPT", "submission rcpt", "D\nS 421 4.4.2\nX\nE mail \"verdict\":\"disconnect\" \"code\":421"},
        {"after a DATA that the MTA refused", "submission rcpt",
         "M DATA 451 4.3.0 Later\nC DATA\nS 451 4.3.0\nD\nS 421 4.4.2\nX"},
        {"after a DATA that the MTA died of", "submission rcpt",
         "M DATA ever cut\nC DATA\nS 451 4.4.2\nD\nS 421 4.4.2\nX"},
        {"in the message", "submission body", "D\nS 421 4.4.2\nX\nE mail \"verdict\":\"disconnect\" \"at\":\"data\""},
        {"within the message", "submission body", "c Subject: x\\r\\n\nD\nS 421 4.4.2\nX"},
        {"after the message", "submission body", "C x\nC .\nS 250\nD\nS 421 4.4.2\nX"},
        {"in refused octets", "submission rcpt", "C BDAT 5\nS 502\nc abc\nD\nS 421 4.4.2\nX"},
        {"before the MTA has spoken it is the MTA's", "submission rcpt", "M DATA silent\nC DATA\n!D"},
        {"so too at the dot", "submission body",
         "M DOT silent\nC x\nC .\n!D\nW stop\nX\nE mail \"verdict\":\"unknown\""},
    };
    PLAY(NULL, TALKS);
}

/* Who does not read what he is told is not listened to, has a deadline, and makes nothing grow. */
static void test_replies_that_are_not_read(void **state)
{
    (void)state;
    static const struct ground GROUND = {
        .rules =
            "on rcpt {\n rule no reject \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            "\"\n}\n"};
    static char sent[20000], script[60000];
    size_t len = 0;
    for (int i = 0; i < 200; i++)
        len += (size_t)snprintf(sent + len, sizeof sent - len, "C RCPT TO:<b%d@x>\n", i);
    len = (size_t)snprintf(script, sizeof script, "R\n%sQ\nr\n", sent);
    for (int i = 0; i < 200; i++)
        len += (size_t)snprintf(script + len, sizeof script - len, "S 550\n");
    snprintf(script + len, sizeof script - len, "C NOOP\nS 250\nD\nS 421");
    struct talk talks[] = {{"read at last", "submission mail whole", script},
                           {"never read", "submission mail whole", NULL}};
    char never[20100];
    snprintf(never, sizeof never, "R\n%sQ\nD\nr\nS 550\nW stop", sent);
    talks[1].script = never;
    stage_play(&GROUND, talks, 2);
}

/* Whatever the client was doing, what it has begun is given up: one event for the mail, one for the connection. */
static void test_client_goes(void **state)
{
    (void)state;
    static const struct ground GROUND = {.rules = "limit mails per user count messages { 100/1h }\n"};
    static const struct talk TALKS[] = {
        {"in TLS", "submissions", "G\nX\nE close \"reason\":\"TLS"},
        {"after the greeting", "submission greeting", "G\nX\nE close \"reason\":\"closed"},
        {"in AUTH", "submission tls", "C AUTH LOGIN\nS 334\nG\nX"},
        {"while the password is checked", "submission tls",
         "P hold\n" AUTH_PLAIN "Q\nG\nP go\nS 235\nX\nE auth \"result\":\"ok\"\nE close"},
        {"after MAIL", "submission mail", "G\nX\nE mail \"verdict\":\"abort\"\nE close\nH RSET"},
        {"after RCPT", "submission rcpt", "G\nX\nE mail \"verdict\":\"abort\" \"accepted\":1\nE close\nH RSET"},
        {"in the message", "submission body",
         "c Subject: x\\r\\n\\r\\ny\\r\\n\nG\nX\nE mail \"verdict\":\"abort\"\nN 0\n"
         "U u:alice@example.org 0 messages 0 recipients 0 KiB"},
        {"after the dot: the mail has its outcome", "submission body",
         "M DOT silent\nC Subject: x\nC \nC y\nC .\nQ\nG\nQ\nU u:alice@example.org 1 messages 1 recipients 1 KiB\nM "
         "gone\nS 451\nX\n"
         "E mail \"verdict\":\"unknown\" \"code\":451\nU u:alice@example.org 1 messages 1 recipients 1 KiB"},
        {"with bytes of a line", "submission login", "c NOO\nG\nX\nE close"},
        {"half of it: it still hears what it was told", "submission login",
         "R\nC NOOP\nG\nr\nS 250\nX\nE close \"reason\":\"closed"},
        {"half of it, with a QUIT", "submission body",
         "M DOT silent\nC Subject: x\nC \nC y\nC .\nC QUIT\nQ\nG\nQ\nM say 250 2.0.0 Ok\nS 250\nS 221\nX"},
        {"half of it, before the last word", "submission body",
         "M DOT silent\nC x\nC .\nQ\nG\nQ\nM say 250 2.0.0 Ok\nS 250\nX\nE mail \"verdict\":\"accept\""},
    };
    PLAY(&GROUND, TALKS);
}

static void test_drain(void **state)
{
    (void)state;
    static const struct talk TALKS[] = {
        {"an idle client is told at once", "submission greeting", "W\nS 421 4.3.2\nX\nE close \"reason\":\"shutting"},
        {"one who logged in", "submission login", "W\nS 421 4.3.2\nX"},
        {"TLS of 465: instead of the greeting", "submissions", "W\nT\nS 421 4.3.2\nX"},
        {"TLS of STARTTLS", "submission ehlo", "C STARTTLS\nS 220\nW\nT\nS 421 4.3.2\nX"},
        {"within a mail: after it", "submission rcpt", "W\nQ\nC DATA\nS 354\nC x\nC .\nS 250\nS 421 4.3.2\nX\nN 1"},
        {"within the message", "submission body", "W\nC x\nC .\nS 250\nS 421 4.3.2\nX\nN 1"},
        {"no second mail is begun", "submission body whole",
         "W\nC x\nC .\nC MAIL FROM:<alice@example.org>\nC RCPT TO:<b@example.net>\nC DATA\nS 250\nS 421 4.3.2\nX\nN 1"},
        {"after RSET", "submission rcpt", "W\nC RSET\nS 250\nS 421 4.3.2\nX"},
        {"after a refused DATA", "submission rcpt", "W\nM DATA 451 4.3.0 Later\nC DATA\nS 451 4.3.0\nS 421 4.3.2\nX"},
        {"in AUTH", "submission tls", "C AUTH LOGIN\nS 334\nW\nQ\nC *\nS 501\nS 421 4.3.2\nX"},
        {"while the password is checked", "submission tls", "P hold\n" AUTH_PLAIN "W\nQ\nP go\nS 235\nS 421 4.3.2\nX"},
        {"in refused octets", "submission login", "C BDAT 4\nS 502\nW\nQ\nc abcd\nS 421 4.3.2\nX"},
        {"in a line", "submission login", "c NOO\nW\nQ\nC P\nS 250\nS 421 4.3.2\nX"},
        {"before the MTA's last word", "submission body",
         "M DOT silent\nC x\nC .\nQ\nW\nQ\nM gone\nS 451\nS 421 4.3.2\nX"},
        {"stopped in a line", "submission login", "c NOO\nW stop\nX\nE close \"reason\":\"stopped\""},
        {"stopped in TLS", "submissions", "W stop\nX"},
        {"stopped in a mail", "submission rcpt",
         "W stop\nX\nE mail \"verdict\":\"abort\"\nE close \"reason\":\"stopped\""},
        {"stopped in the message", "submission body", "c x\nW stop\nX\nE mail \"verdict\":\"abort\"\nN 0"},
        {"stopped while the password is checked", "submission tls", "P hold\n" AUTH_PLAIN "Q\nW stop\nX"},
        {"stopped before the last word, of a client that has gone", "submission body",
         "M DOT silent\nC x\nC .\nQ\nG\nQ\nW stop\nX\nE mail \"verdict\":\"unknown\"\nE close \"reason\":\"stopped\""},
    };
    PLAY(NULL, TALKS);
}

/* What came before our reply was said by somebody who does not listen: it is no command of who is logged in, and the
 * lines of a message whose DATA was refused are no commands at all. */
static void test_early_talkers(void **state)
{
    (void)state;
    static const struct talk TALKS[] = {
        {"behind EHLO", "submission greeting whole", "C EHLO x\nC NOOP\nS 554 5.5.1\nX"},
        {"behind STARTTLS", "submission ehlo whole", "C STARTTLS\nC NOOP\nX\nE close \"reason\":\"sent"},
        {"behind AUTH", "submission tls whole", AUTH_PLAIN "C NOOP\nS 554 5.5.1\nX"},
        {"behind a line of AUTH", "submission tls whole",
         "C AUTH PLAIN\nS 334\nC AGFsaWNlAHNlY3JldA==\nC NOOP\nS 554 5.5.1\nX"},
        {"behind DATA", "submission rcpt whole",
         "C DATA\nC x\nS 554 5.5.1\nX\nE mail \"verdict\":\"reject\" \"code\":554"},
        {"while the password is checked", "submission tls whole",
         "P hold\n" AUTH_PLAIN "Q\nC MAIL FROM:<alice@example.org>\nP go\nS 554 5.5.1\nX\nE auth \"result\":\"ok\""},
        {"while a wrong password is checked: nobody gains by it", "submission tls whole",
         "P hold\nC AUTH PLAIN AGFsaWNlAHdyb25n\nQ\nC NOOP\nP go\nS 535\nS 250"},
        {"before DATA is refused", "submission rcpt whole",
         "M DATA silent\nC DATA\nQ\nC RSET\nC MAIL FROM:<evil@example.org>\nC .\nM say 451 4.3.0 Later\nS 451 4.3.0 "
         "Later\nX\n!H MAIL FROM:<evil"},
        {"before DATA is accepted: it is the message", "submission rcpt whole",
         "M DATA silent\nC DATA\nQ\nC RSET\nC .\nM say 354 go on\nS 354\nS 250 2.0.0\nN 1\nB RSET\\r\\n.\\r\\n"},
    };
    PLAY(NULL, TALKS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deadlines), cmocka_unit_test(test_replies_that_are_not_read),
        cmocka_unit_test(test_client_goes), cmocka_unit_test(test_drain), cmocka_unit_test(test_early_talkers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
