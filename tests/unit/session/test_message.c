/* test_message.c - from 354 to the verdict: strict lines, bounds, what goes on to the MTA, and what is written of it.
 */
#include "stage.h"

#include <stdio.h>
#include <string.h>

static void test_what_goes_on(void **state)
{
    (void)state;
    static const struct talk TALKS[] = {
        {"byte for byte", "submission body",
         "C Subject: x\nC \nC ..a\nC b\nC ..\nC .\nS 250 2.0.0 queued (\nN 1\n"
         "B \\r\\nSubject: x\\r\\n\\r\\n..a\\r\\nb\\r\\n..\\r\\n.\\r\\n\n"
         "E mail \"verdict\":\"accept\" \"code\":250 \"accepted\":1 \"relay_code\":250 \"at\":\"data\""},
        {"an empty message", "submission body", "C .\nS 250\nN 1\nB \\r\\n.\\r\\n"},
        {"an empty line", "submission body", "C \nC .\nS 250\nN 1\nB \\r\\n\\r\\n.\\r\\n"},
        {"Received on top", "submission body",
         "C Subject: x\nC \nC y\nC .\nS 250\nB Received: from client.example\nB with ESMTPSA id\nB alice@example.org"},
        {"8-bit", "submission body", "C Subject: \xc3\xa4\nC \nC \xe4\nC .\nS 250\nB \xe4\\r\\n"},
        {"no header", "submission body", "C just text\nC .\nS 250\nB \\r\\njust text\\r\\n.\\r\\n"},
        {"from and message_id", "submission body",
         "C From: A <a@example.org>\nC Message-ID: <1@x>\nC \nC .\nS 250\n"
         "E mail \"from\":\"a@example.org\" \"message_id\":\"<1@x>\" \"size\":46"},
    };
    PLAY(NULL, TALKS);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    static const struct ground GROUND = {.max_message_bytes = 20000, .max_header_bytes = 2000, .max_recipients = 3};
    static const struct talk TALKS[] = {
        {"a bare LF", "submission body",
         "C Subject: x\nC \nc a\\nb\\r\\n.\\r\\n\nS 550 5.6.11\nX\nN 0\n"
         "E mail \"verdict\":\"reject\" \"code\":550 \"enhanced\":\"5.6.11\""},
        {"a bare CR", "submission body", "C Subject: x\nC \nc a\\rb\\r\\n.\\r\\n\nS 550 5.6.11\nX\nN 0"},
        {"a NUL", "submission body", "C Subject: x\nC \nc a\\0b\\r\\n.\\r\\n\nS 550 5.6.11\nX\nN 0"},
        {"LF.LF", "submission body", "c x\\n.\\nMAIL FROM:<e@x>\\r\\n\nS 550 5.6.11\nX\nN 0\n!H MAIL FROM:<e@x>"},
        {"LF.CRLF", "submission body", "c x\\n.\\r\\n\nS 550 5.6.11\nX\nN 0"},
        {"CR.CR", "submission body", "c x\\r.\\r\\n\nS 550 5.6.11\nX\nN 0"},
        {"CRLF.LF", "submission body", "c x\\r\\n.\\n\nS 550 5.6.11\nX\nN 0"},
        {"CRLF.CR", "submission body", "c x\\r\\n.\\rx\nS 550 5.6.11\nX\nN 0"},
        {"a line too long", "submission body", "C Subject: x\nC \nC {x*4095}\nC .\nS 500 5.5.2\nN 0\nC NOOP\nS 250"},
        {"a line as long as allowed", "submission body", "C Subject: x\nC \nC {x*4094}\nC .\nS 250\nN 1"},
        {"a header too large", "submission body",
         "C Subject: {x*1500}\nC X: {y*1500}\nC \nC .\nS 554 5.6.0\nN 0\nC NOOP\nS 250"},
        {"a header without end", "submission body",
         "C X: {y*1500}\nC X: {y*1500}\nC X: {y*1500}\nC X: {y*1500}\nC .\nS 554 5.6.0\nN 0"},
        {"too large", "submission body",
         "C X: y\nC \nC {x*4000}\nC {x*4000}\nC {x*4000}\nC {x*4000}\nC {x*4000}\nC .\nS 552 5.3.4\nN 0\nC NOOP\nS "
         "250\n"
         "E mail \"verdict\":\"reject\" \"code\":552 \"relay\":"},
        {"far too large", "submission body whole",
         "c X: y\\r\\n\\r\\n{x*1200000}\nS 421 4.3.4\nX\nN 0\n"
         "E mail \"verdict\":\"reject\" \"code\":552"},
        {"too large by SIZE=", "submission login",
         "C MAIL FROM:<a@x> SIZE=20001\nS 552 5.3.4\nC MAIL FROM:<a@x> SIZE=20000\nS 250"},
        {"too many recipients", "submission rcpt",
         "C RCPT TO:<c@x>\nS 250\nC RCPT TO:<d@x>\nS 250\nC RCPT TO:<e@x>\nS 452 4.5.3\nC DATA\nS 354\nC x\nC .\nS "
         "250\nN 1\n"
         "E mail \"accepted\":3 \"refused\":1"},
        {"UTF-8 without SMTPUTF8", "submission login",
         "C MAIL FROM:<\xc3\xa4@x>\nS 553 5.6.7\nC MAIL FROM:<a@x>\nS 250\n"
         "C RCPT TO:<\xc3\xa4@x>\nS 553 5.6.7\nC RSET\nS 250\n"
         "C MAIL FROM:<\xc3\xa4@x> SMTPUTF8\nS 250"},
        {"parameters", "submission login",
         "C MAIL FROM:<a@x> FOO=1\nS 555 5.5.4\nC MAIL FROM:<a@x> SIZE=x\nS 501 5.5.4\n"
         "C MAIL FROM:<a@x> SIZE=1 SIZE=2\nS 501 5.5.4\nC MAIL FROM:<a@x> BODY=BINARYMIME\nS 5"},
    };
    PLAY(&GROUND, TALKS);
}

/* What the MTA lacks is not offered, not taken, and never stripped. */
static void test_a_poor_mta(void **state)
{
    (void)state;
    static const struct ground POOR = {.mta_keywords = "PIPELINING\nSIZE 5000"};
    static const struct talk TALKS[] = {
        {"EHLO offers what it has", "submission tls",
         "C EHLO x\nS 250\ns 250-SIZE 5000\n!s 250-8BITMIME\n!s 250-SMTPUTF8\n!s 250-DSN\ns 250-AUTH PLAIN LOGIN\n!s "
         "250-STARTTLS"},
        {"in the clear there is no AUTH", "submission ehlo", "C EHLO x\nS 250\ns 250-STARTTLS\n!s 250-AUTH"},
        {"8BITMIME", "submission login", "C MAIL FROM:<a@x> BODY=8BITMIME\nS 555 5.5.4"},
        {"8-bit", "submission body", "C Subject: \xc3\xa4\nC \nC .\nS 554 5.6.3\nN 0\nE mail \"code\":554"},
        {"an address", "submission login", "C MAIL FROM:<\xc3\xa4@x>\nS 553 5.6.7"},
        {"too large for it", "submission login", "C MAIL FROM:<a@x> SIZE=5001\nS 552 5.3.4"},
        {"AUTH=", "submission login", "C MAIL FROM:<a@x> AUTH=<>\nS 250"},
    };
    PLAY(&POOR, TALKS);
}

/* AUTH= goes on as the login, if the client said just that, and else as nothing: never as it claims. */
static void test_auth_parameter(void **state)
{
    (void)state;
    static const struct ground GROUND = {.mta_keywords = "PIPELINING\nAUTH PLAIN"};
    static const struct talk TALKS[] = {
        {"its own", "submission login",
         "C MAIL FROM:<a@x> AUTH=ALICE@example.org\nS 250\nH MAIL FROM:<a@x> AUTH=alice@example.org"},
        {"another's", "submission login", "C MAIL FROM:<a@x> AUTH=bob@example.org\nS 250\nH MAIL FROM:<a@x> AUTH=<>"},
        {"nobody's", "submission login", "C MAIL FROM:<a@x> AUTH=<>\nS 250\nH MAIL FROM:<a@x> AUTH=<>"},
        {"not said", "submission login", "C MAIL FROM:<a@x>\nS 250\n!H MAIL FROM:<a@x> AUTH"},
        {"without a login", "smtp ehlo", "C MAIL FROM:<a@x> AUTH=bob@example.org\nS 250\nH MAIL FROM:<a@x> AUTH=<>"},
    };
    PLAY(&GROUND, TALKS);
}

/* However much there is to say, the event of a mail is one line that is written. */
static void test_the_event_of_a_large_mail(void **state)
{
    (void)state;
    static char script[400000];
    size_t len = 0;
    for (int i = 0; i < 1000; i++)
        len += (size_t)snprintf(script + len, sizeof script - len, "C RCPT TO:<r%d@{x*60}.{y*60}.example>\n%s", i,
                                i % 50 == 49 ? "" : "");
    for (int i = 0; i < 1000; i++)
        len += (size_t)snprintf(script + len, sizeof script - len, "S 250\n");
    snprintf(script + len, sizeof script - len,
             "C DATA\nS 354\nC x\nC .\nS 250\nE mail \"verdict\":\"accept\" \"accepted\":1000");
    const struct talk talk = {"a thousand long recipients", "submission mail whole", script};
    stage_play(NULL, &talk, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_goes_on), cmocka_unit_test(test_what_is_refused),
                                       cmocka_unit_test(test_a_poor_mta), cmocka_unit_test(test_auth_parameter),
                                       cmocka_unit_test(test_the_event_of_a_large_mail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
