/* test_login.c - AUTH and STARTTLS: the exchanges, their ends, what is forgotten and what is not. */
#include "stage.h"

#include <stdio.h>

static void test_exchanges(void **state)
{
    (void)state;
    static const struct talk TALKS[] = {
        {"PLAIN at once", "submission tls",
         "C AUTH PLAIN AGFsaWNlQGV4YW1wbGUub3JnAHNlY3JldA==\nS 235 2.7.0\n"
         "E auth \"result\":\"ok\" \"user\":\"alice@example.org\" \"auth\":\"PLAIN\""},
        {"PLAIN in two steps", "submission tls", "C AUTH PLAIN\nS 334 \nC AGFsaWNlAHNlY3JldA==\nS 235"},
        {"lower case", "submission tls", "C auth plain AGFsaWNlAHNlY3JldA==\nS 235"},
        {"PLAIN with itself as authzid", "submission tls", "C AUTH PLAIN YWxpY2UAYWxpY2UAc2VjcmV0\nS 235"},
        {"PLAIN for somebody else", "submission tls",
         "C AUTH PLAIN Ym9iAGFsaWNlAHNlY3JldA==\nS 535 5.7.8\nC MAIL FROM:<a@x>\nS 530"},
        {"LOGIN", "submission tls",
         "C AUTH LOGIN\nS 334 VXNlcm5hbWU6\nC YWxpY2U=\nS 334 UGFzc3dvcmQ6\nC c2VjcmV0\nS 235\n"
         "E auth \"result\":\"ok\" \"user\":\"alice\" \"auth\":\"LOGIN\""},
        {"LOGIN with the name at once", "submission tls",
         "C AUTH LOGIN YWxpY2U=\nS 334 UGFzc3dvcmQ6\nC c2VjcmV0\nS 235"},
        {"a wrong password", "submission tls",
         "C AUTH PLAIN AGFsaWNlAHdyb25n\nS 535 5.7.8 Wrong\nE auth \"result\":\"wrong\"\nC MAIL FROM:<a@x>\nS 530"},
        {"an unknown user: the same words", "submission tls",
         "C AUTH PLAIN AGJvYgB3cm9uZw==\nS 535 5.7.8 Wrong\nE auth \"result\":\"unknown\""},
        {"no password", "submission tls", "C AUTH PLAIN AGFsaWNlAA==\nS 535 5.7.8"},
        {"the empty response", "submission tls", "C AUTH PLAIN =\nS 501 5.5.2"},
        {"a control character in the name", "submission tls", "C AUTH PLAIN AGFsCmljZQBzZWNyZXQ=\nS 535"},
        {"no base64", "submission tls", "C AUTH PLAIN !!!\nS 501 5.5.2\nC NOOP\nS 250"},
        {"no base64 later", "submission tls", "C AUTH LOGIN\nS 334\nC !!!\nS 501 5.5.2\nC NOOP\nS 250"},
        {"cancelled", "submission tls",
         "C AUTH LOGIN\nS 334\nC *\nS 501 5.7.0\nC AUTH PLAIN AGFsaWNlAHNlY3JldA==\nS 235"},
        {"an unknown mechanism", "submission tls", "C AUTH CRAM-MD5\nS 504 5.5.4"},
        {"commands amid it are answers, not commands", "submission tls",
         "C AUTH LOGIN\nS 334\nC MAIL FROM:<a@x>\nS 501\nC NOOP\nS 250"},
        {"QUIT amid it is no QUIT", "submission tls", "C AUTH PLAIN\nS 334\nC QUIT\nS 501\nC NOOP\nS 250"},
        {"once", "submission login", "C AUTH PLAIN AGFsaWNlAHNlY3JldA==\nS 503 5.5.1"},
        {"the auth process is away", "submission tls",
         "P hold\nC AUTH PLAIN AGFsaWNlAHNlY3JldA==\nQ\nP close\nS 454 4.7.0\nE auth \"result\":\"unavailable\"\n"
         "C AUTH PLAIN AGFsaWNlAHNlY3JldA==\nS 454 4.7.0\nD\nS 421"},
        {"after a 454 the next try", "submission tls",
         "C AUTH PLAIN AGFsaWNlAHdyb25n\nS 535\nC AUTH PLAIN AGFsaWNlAHNlY3JldA==\nS 235"},
        {"without TLS where the listener says so", "plain ehlo",
         "C AUTH PLAIN AGFsaWNlAHNlY3JldA==\nS 235\nC STARTTLS\nS 502 5.5.1"},
        {"is kept over RSET and EHLO", "submission login",
         "C RSET\nS 250\nC EHLO again\nS 250\n!s 250-AUTH\nC MAIL FROM:<a@x>\nS 250"},
        {"HELO is enough", "submissions greeting",
         "C HELO x\nS 250\nC AUTH PLAIN AGFsaWNlAHNlY3JldA==\nS 235\nC MAIL FROM:<a@x>\nS 250"},
    };
    PLAY(NULL, TALKS);
}

static void test_starttls_forgets(void **state)
{
    (void)state;
    static const struct ground GROUND = {
        .rules =
            "on connect {\n rule c tag seen \"connect\", tag kept \"connect\"\n}\n"
            "on helo {\n rule h tag seen \"${helo}\"\n rule i tag liar if helo = \"liar\"\n}\n"
            "on mail {\n rule l reject \"liar\" if tag.liar\n rule s log \"seen ${tag.seen}, kept ${tag.kept}\"\n}\n"};
    static const struct talk TALKS[] = {
        {"the greeting", "smtp ehlo", "C STARTTLS\nS 220\nT\nC MAIL FROM:<a@x>\nS 503 5.5.1 Say EHLO"},
        {"the login", "smtp ehlo", "C STARTTLS\nS 220\nT\nC EHLO x\nS 250\n!s 250-STARTTLS\ns 250-AUTH"},
        {"tags of what was said in the clear", "smtp greeting",
         "C EHLO liar\nS 250\nC STARTTLS\nS 220\nT\nC EHLO honest\nS 250\nC MAIL FROM:<a@x>\nS 250\nE log \"seen "
         "honest, kept connect\"\n"
         "C QUIT\nS 221\nX\nE mail \"tags\":{\"seen\":\"honest\",\"kept\":\"connect\"}"},
        {"but not without TLS", "smtp greeting",
         "C EHLO liar\nS 250\nC EHLO honest\nS 250\nC MAIL FROM:<a@x>\nS 550 5.7.1 liar"},
        {"a handshake that fails ends it", "smtp ehlo", "C STARTTLS\nS 220\n!T\nX\nE close \"reason\":\"TLS"},
        {"bytes behind it are never looked at", "smtp ehlo whole",
         "c STARTTLS\\r\\nMAIL FROM:<e@x>\\r\\n\nX\n!H MAIL FROM:<e@x>"},
        {"half a line behind it neither", "smtp ehlo whole", "c STARTTLS\\r\\nM\nX"},
        {"on 465 it is on", "submissions greeting", "C EHLO x\nS 250\n!s 250-STARTTLS\nC STARTTLS\nS 503 5.5.1 TLS"},
    };
    PLAY(&GROUND, TALKS);
}

/* The tags that rules rely on cannot be starved of memory by saying EHLO. */
static void test_ehlo_starves_nobody(void **state)
{
    (void)state;
    static const struct ground GROUND = {
        .max_errors = 10000,
        .rules = "on helo {\n rule h tag a \"${helo}${helo}${helo}${helo}\", log \"${helo}${helo}${helo}${helo}\"\n}\n"
                 "on login {\n rule l tag who \"outside\"\n}\n"
                 "on mail {\n rule o reject \"outside\" if tag.who = \"outside\"\n}\n"};
    static char script[400000];
    size_t len = 0;
    for (int i = 0; i < 200; i++) /* no two alike */
        len += (size_t)snprintf(script + len, sizeof script - len, "C EHLO %d{x*240}\nS \n", i);
    snprintf(script + len, sizeof script - len,
             "C EHLO x\nS \nC AUTH PLAIN AGFsaWNlAHNlY3JldA==\nS \nC MAIL FROM:<a@x>\nS 5");
    const struct talk talk = {"EHLO, EHLO, EHLO", "submission tls whole", script};
    stage_play(&GROUND, &talk, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_exchanges), cmocka_unit_test(test_starttls_forgets),
                                       cmocka_unit_test(test_ehlo_starves_nobody)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
