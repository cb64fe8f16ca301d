/* test_relay.c - an MTA that fails, in every state of the session: never a 5xx for it, never silence, nothing charged.
 */
#include "stage.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_before_the_body)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
