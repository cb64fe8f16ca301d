/* test_relay.c - an MTA that fails, in every state of the session: never a 5xx for it, never silence, nothing charged.
 */
#include "stage.h"

#include <stdio.h>
#include <string.h>

static const struct ground GROUND = {.rules = "limit mails per user count messages { 100/1h }\n"};

/* What is our own trouble is 451 to each command that it concerns, up to the end of the mail; 503 would be final. */
static void test_before_the_body(void **state)
{
    (void)state;
    static const struct talk TALKS[] = {
        {"lost between MAIL and RCPT", "submission mail",
         "M down\nC RCPT TO:<b@example.net>\nS 451 4.4.1\nC DATA\nS 451 4.4.1\n"
         "E mail \"verdict\":\"defer\" \"code\":451 \"relay\":\nC NOOP\nS 250\nU u:alice@example.org 0 messages 0 "
         "recipients 0 KiB"},
        {"lost between RCPT and RCPT", "submission rcpt",
         "M down\nC RCPT TO:<c@example.net>\nC DATA\nS 451 4.4.1\nS 451 4.4.1\nE mail \"verdict\":\"defer\""},
        {"lost between RCPT and DATA", "submission rcpt",
         "M down\nC DATA\nS 451 4.4.1\nE mail \"verdict\":\"defer\" \"accepted\":1\nC MAIL FROM:<alice@example.org>\nS "
         "451 4.4.1"},
        {"lost in a pipeline: a recipient that was accepted is not bounced", "submission mail whole",
         "C RCPT TO:<b@example.net>\nS 250\nM RCPT ever cut\nC RCPT TO:<c@example.net>\nC DATA\nS 451 4.4.2\nS 451 "
         "4.4.2\n"},
        {"lost, and the client resets", "submission rcpt",
         "M down\nC RSET\nS 250\nE mail \"verdict\":\"defer\"\nC MAIL FROM:<alice@example.org>\nS 451 4.4.1"},
        {"lost, and the client says nothing", "submission rcpt",
         "M down\nD\nS 421 4.4.2\nX\nE mail \"verdict\":\"defer\""},
        {"lost, and the client goes", "submission rcpt", "M down\nG\nX\nE mail \"verdict\":\"defer\""},
        {"lost while MAIL is answered", "submission login",
         "M MAIL ever cut\nC MAIL FROM:<alice@example.org>\nS 451 4.4.2\nD\nS 421"},
    };
    PLAY(&GROUND, TALKS);
}

/* ---- every failure at every moment ---- */

#define NOTHING_CHARGED "U u:alice@example.org 0 messages 0 recipients 0 KiB\n"
#define WELL_AGAIN                                                                                                     \
    "M well\nC NOOP\nS 250\nC RSET\nS 250\nC MAIL FROM:<alice@example.org>\nS 250\nC RCPT TO:<b@example.net>\nS 250\n" \
    "C DATA\nS 354\nC Subject: x\nC \nC y\nC .\nS 250\nN 1\n"

static const struct {
    const char *moment, *start, *says;
} MOMENTS[] = {
    {"MAIL", "submission login", "C MAIL FROM:<alice@example.org>\n"},
    {"RCPT", "submission mail", "C RCPT TO:<b@example.net>\n"},
    {"DATA", "submission rcpt", "C DATA\n"},
    {"DOT", "submission body", "C Subject: x\nC \nC y\nC .\n"},
};

static const struct {
    const char *mta, *reply;  /* what it does, what the client hears */
    const char *reply_to_dot; /* if that differs */
    bool is_unknown;          /* after the dot: the charge stays */
} FAILURES[] = {
    {"cut", "S 451 4.4.2\n", NULL, true},
    {"421 4.3.2 Going cut", "S 451 4.3.2 Going\n", NULL, false},
    {"421 cut", "S 451 4.4.2\n", NULL, false},
    {"451 4.3.0 Later", "S 451 4.3.0 Later\n", NULL, false},
    {"452 Full", "S 452 4", NULL, false},
    {"550 5.7.1 No", "S 550 5.7.1 No\n", NULL, false},
    {"503 5.5.1 What?", "S 451 4.3.0\n", NULL, false},
    {"530 5.7.0 Log in", "S 451 4.3.0\n", NULL, false},
    {"xyzzy", "S 451 4.3.0\n", "S 451 4.4.2\n", true},
    {"099 no", "S 451 4.3.0\n", "S 451 4.4.2\n", true},
    {"999 no", "S 451 4.3.0\n", "S 451 4.4.2\n", true},
    {"350 What?", "S 451 4.3.0\n", "S 451 4.4.2\n", true},
    {"99 no", "S 451 4.3.0\n", "S 451 4.4.2\n", true},
    {"550-never", NULL, NULL, false}, /* a reply that is not ended is silence: the MTA's time */
};

static void test_every_failure_at_every_moment(void **state)
{
    (void)state;
    for (size_t m = 0; m < COUNT_OF(MOMENTS); m++)
        for (size_t f = 0; f < COUNT_OF(FAILURES); f++) {
            char script[2000], name[100];
            bool at_dot = strcmp(MOMENTS[m].moment, "DOT") == 0;
            const char *reply = at_dot && FAILURES[f].reply_to_dot ? FAILURES[f].reply_to_dot : FAILURES[f].reply;
            bool is_charged = at_dot && FAILURES[f].is_unknown;
            const char *after = !reply       ? "!D\nQ\nW stop\nX\n"
                                : is_charged ? "U u:alice@example.org 1 messages 1 recipients 1 KiB\n" WELL_AGAIN
                                             : NOTHING_CHARGED WELL_AGAIN;
            snprintf(name, sizeof name, "%s: %s", MOMENTS[m].moment, FAILURES[f].mta);
            snprintf(script, sizeof script, "M %s ever %s\n%s%s%s%s", MOMENTS[m].moment, FAILURES[f].mta,
                     MOMENTS[m].says, reply ? reply : "Q\n", reply && reply[strlen(reply) - 1] != '\n' ? "\n" : "",
                     after);
            const struct talk talk = {name, MOMENTS[m].start, script};
            stage_play(&GROUND, &talk, 1);
        }
}

static void test_while_the_message_streams(void **state)
{
    (void)state;
    static const struct talk TALKS[] = {
        {"lost: told at the dot", "submission body",
         "M BODY cut\nc Subject: x\\r\\n\\r\\n\nQ\nC {y*900}\nC .\nS 451 4.4.2\nN 0\nE mail \"verdict\":\"defer\" "
         "\"at\":\"data\" \"relay\":\n" NOTHING_CHARGED WELL_AGAIN},
        {"a verdict before the dot is none", "submission body",
         "M BODY 250 2.0.0 Fine\nc Subject: x\\r\\n\\r\\n\nQ\nC y\nC .\nS 451 4.3.0\nN 0\n" NOTHING_CHARGED},
        {"421", "submission body", "M BODY 421 4.3.2 Bye\nc Subject: x\\r\\n\\r\\n\nQ\nC y\nC .\nS 451 4.4.2\nN 0\n"},
    };
    PLAY(&GROUND, TALKS);
}

static void test_slow_mta(void **state)
{
    (void)state;
    static const struct ground LARGE = {.max_message_bytes = 100 << 20, .mta_keywords = "PIPELINING"};
    static const struct talk TALKS[] = {
        {"it goes on when the MTA does", "submission body whole", "C X: y\nC \nF\nC .\nS 250\nN 1"},
        {"the client goes meanwhile", "submission body whole",
         "C X: y\nC \nF\nG\nX\nN 0\nE mail \"verdict\":\"abort\""},
        {"the MTA goes afterwards", "submission body whole", "C X: y\nC \nF\nM gone\nC .\nS 451 4.4.2\nN 0"},
    };
    PLAY(&LARGE, TALKS);
}

static void test_where_nobody_is(void **state)
{
    (void)state;
    static const struct talk TALKS[] = {
        {"down: at once", "submission login",
         "M down\nC MAIL FROM:<alice@example.org>\nS 451 4.4.1\nC MAIL FROM:<alice@example.org>\nS 451 4.4.1\n"
         "E relay\nE mail \"verdict\":\"defer\" \"code\":451 \"enhanced\":\"4.4.1\" \"at\":\"mail\"\nD\nS 421"},
        {"it greets with a refusal", "submission login",
         "M CONNECT ever 554 5.7.1 Not you cut\nM gone\nC MAIL FROM:<alice@example.org>\nS 451 4.4.1"},
        {"it greets with nonsense", "submission login",
         "M CONNECT ever xyzzy\nM gone\nC MAIL FROM:<alice@example.org>\nS 451 4.3.0"},
        {"it has lost what was offered: that is ours, and for now", "submission login",
         "M poor\nM gone\nC MAIL FROM:<alice@example.org> BODY=8BITMIME\nS 451 4.3.0\n"
         "C MAIL FROM:<alice@example.org> SMTPUTF8\nS 451 4.3.0\nC MAIL FROM:<alice@example.org>\nS 250\n"
         "C RCPT TO:<b@example.net> NOTIFY=NEVER\nS 451 4.3.0\nC DATA\nS 451 4.3.0\n"
         "C EHLO x\nS 250\n!s 250-8BITMIME\nC MAIL FROM:<alice@example.org> BODY=8BITMIME\nS 555"},
        {"a pooled connection that died is replaced unseen", "submission login",
         "M gone\nC MAIL FROM:<alice@example.org>\nS 250\nC RCPT TO:<b@example.net>\nS 250\nM gone\nC DATA\nS 451 "
         "4.4.2"},
    };
    PLAY(&GROUND, TALKS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_before_the_body),
                                       cmocka_unit_test(test_every_failure_at_every_moment),
                                       cmocka_unit_test(test_while_the_message_streams),
                                       cmocka_unit_test(test_slow_mta), cmocka_unit_test(test_where_nobody_is)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
