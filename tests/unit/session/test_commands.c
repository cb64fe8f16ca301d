/* test_commands.c - every command in every state (PROTOCOLS.md 1), lines, errors, pipelines. */
#include "stage.h"

#include <stdio.h>
#include <string.h>

/* ---- every command in every state ---- */

enum { STATES = 9 };

static const char *const STATE_STARTS[STATES] = {
    "submission greeting", "submission ehlo", "submission tls", "submission login", "submission mail",
    "submission rcpt",     "smtp greeting",   "smtp ehlo",      "smtp rcpt",
};

#define ALIKE(reply)                                                                                                   \
    {                                                                                                                  \
        reply, reply, reply, reply, reply, reply, reply, reply, reply                                                  \
    }
#define LOGIN "AUTH PLAIN AGFsaWNlQGV4YW1wbGUub3JnAHNlY3JldA=="

static const struct row {
    const char *command;
    const char *replies[STATES]; /* greeting, EHLO, TLS, login, MAIL, RCPT; smtp: greeting, EHLO, RCPT */
} ROWS[] = {
    {"EHLO again.example", ALIKE("250 ENHANCEDSTATUSCODES")},
    {"HELO again.example", ALIKE("250 mx.example.org")},
    {"EHLO", ALIKE("501 5.5.4")},
    {"HELO", ALIKE("501 5.5.4")},
    {"EHLO [192.168.1.2]", ALIKE("250 ")},
    {"ehlo UPPER_lower", ALIKE("250 ")},
    {"STARTTLS",
     {"503 5.5.1 Say EHLO", "220 2.0.0", "503 5.5.1 TLS", "503 5.5.1 TLS", "503 5.5.1 STARTTLS", "503 5.5.1 STARTTLS",
      "503 5.5.1 Say EHLO", "220 2.0.0", "503 5.5.1 STARTTLS"}},
    {"STARTTLS now",
     {"503 5.5.1", "501 5.5.4", "501 5.5.4", "501 5.5.4", "503 5.5.1", "503 5.5.1", "503 5.5.1", "501 5.5.4",
      "503 5.5.1"}},
    {LOGIN,
     {"503 5.5.1 Say EHLO", "538 5.7.11", "235 2.7.0", "503 5.5.1 You are", "503 5.5.1 AUTH", "503 5.5.1 AUTH",
      "503 5.5.1 Say EHLO", "538 5.7.11", "503 5.5.1 AUTH"}},
    {"AUTH",
     {"503 5.5.1", "501 5.5.4", "501 5.5.4", "503 5.5.1", "503 5.5.1", "503 5.5.1", "503 5.5.1", "501 5.5.4",
      "503 5.5.1"}},
    {"MAIL FROM:<x@example.org>",
     {"530 5.7.0", "530 5.7.0", "530 5.7.0 Authentication", "250 2.1.0", "503 5.5.1 A mail", "503 5.5.1 A mail",
      "503 5.5.1 Say EHLO", "250 2.1.0", "503 5.5.1 A mail"}},
    {"MAIL FROM:x@example.org",
     {"530 5.7.0", "530 5.7.0", "530 5.7.0", "501 5.1.7", "503 5.5.1", "503 5.5.1", "503 5.5.1", "501 5.1.7",
      "503 5.5.1"}},
    {"MAIL",
     {"530 5.7.0", "530 5.7.0", "530 5.7.0", "501 5.1.7", "503 5.5.1", "503 5.5.1", "503 5.5.1", "501 5.1.7",
      "503 5.5.1"}},
    {"RCPT TO:<x@example.org>",
     {"530 5.7.0", "530 5.7.0", "530 5.7.0", "503 5.5.1 Say MAIL", "250 2.1.5", "250 2.1.5", "503 5.5.1 Say EHLO",
      "503 5.5.1 Say MAIL", "250 2.1.5"}},
    {"RCPT TO:<>",
     {"530 5.7.0", "530 5.7.0", "530 5.7.0", "503 5.5.1", "501 5.1.3", "501 5.1.3", "503 5.5.1", "503 5.5.1",
      "501 5.1.3"}},
    {"DATA",
     {"530 5.7.0", "530 5.7.0", "530 5.7.0", "503 5.5.1 Say MAIL", "503 5.5.1 Say RCPT", "354 ", "503 5.5.1",
      "503 5.5.1 Say MAIL", "354 "}},
    {"DATA now",
     {"530 5.7.0", "530 5.7.0", "530 5.7.0", "503 5.5.1", "501 5.5.4", "501 5.5.4", "503 5.5.1", "503 5.5.1",
      "501 5.5.4"}},
    {"BDAT 0 LAST",
     {"530 5.7.0", "530 5.7.0", "530 5.7.0", "502 5.5.1", "502 5.5.1", "502 5.5.1", "502 5.5.1", "502 5.5.1",
      "502 5.5.1"}},
    {"RSET", ALIKE("250 2.0.0")},
    {"RSET now", ALIKE("501 5.5.4")},
    {"NOOP", ALIKE("250 2.0.0")},
    {"NOOP anything", ALIKE("250 2.0.0")},
    {"VRFY postmaster", ALIKE("252 2.1.5")},
    {"HELP", ALIKE("214 2.0.0")},
    {"EXPN list", ALIKE("502 5.5.1")},
    {"ETRN example.org", ALIKE("502 5.5.1")},
    {"TURN", ALIKE("502 5.5.1")},
    {"XYZZY", ALIKE("500 5.5.1")},
    {"", ALIKE("500 5.5.1")},
    {"   ", ALIKE("500 5.5.1")},
    {"NO\\0OP", ALIKE("500 5.5.2")},
    {"MAIL\tFROM:<x@example.org>", ALIKE("500 5.5.2")},
    {"QUIT", ALIKE("221 2.0.0")},
    {"QUIT now", ALIKE("501 5.5.4")},
    {"GET / HTTP/1.1", ALIKE("500 5.5.1 This is")},
    {"POST / HTTP/1.1", ALIKE("500 5.5.1 This is")},
    {"CONNECT example.org:25 HTTP/1.1", ALIKE("500 5.5.1 This is")},
};

static void play_rows(const char *before)
{
    for (size_t i = 0; i < COUNT_OF(ROWS); i++)
        for (size_t state = 0; state < STATES; state++) {
            char name[200], script[400];
            snprintf(name, sizeof name, "%s: %.40s%s", STATE_STARTS[state], ROWS[i].command, *before ? " again" : "");
            snprintf(script, sizeof script, "%sC %s\nS %s", before, ROWS[i].command, ROWS[i].replies[state]);
            const struct talk talk = {name, STATE_STARTS[state], script};
            stage_play(NULL, &talk, 1);
        }
}

static void test_every_command_in_every_state(void **state)
{
    (void)state;
    play_rows("");
}

static void test_after_an_error(void **state)
{
    (void)state;
    play_rows("C XYZZY\nS 500 5.5.1\n");
}

/* A refused command changes nothing: the mail at hand goes on. */
static void test_a_refused_command_changes_nothing(void **state)
{
    (void)state;
    static const char *const COMMANDS[] = {
        "C XYZZY\nS 500",          "C STARTTLS\nS 503",
        "C " LOGIN "\nS 503",      "C MAIL FROM:<x@example.org>\nS 503",
        "C RCPT TO:<x\nS 501",     "C DATA now\nS 501",
        "C RSET now\nS 501",       "C EHLO\nS 501",
        "C QUIT now\nS 501",       "C BDAT 3 LAST\nc abc\nS 502",
        "C VRFY x\nS 252",         "C NOOP {x*3000}\nS 500 5.5.2",
        "c NOOP\\rx\\r\\n\nS 500", "c NOOP\\n\\r\\n\nS 500",
        "C HELP\nS 214",           "C RCPT TO:<c@x> FOO=1\nS 555",
    };
    for (size_t i = 0; i < COUNT_OF(COMMANDS); i++) {
        char script[300];
        snprintf(script, sizeof script, "%s\nC DATA\nS 354\nC x\nC .\nS 250 2.0.0\nN 1\nH RCPT TO:<b@example.net>",
                 COMMANDS[i]);
        const struct talk talk = {COMMANDS[i], "submission rcpt", script};
        stage_play(NULL, &talk, 1);
    }
}

/* ---- lines ---- */

static void test_lines(void **state)
{
    (void)state;
    static const struct talk TALKS[] = {
        {"as long as allowed", "submission login", "C NOOP {x*2041}\nS 250"},
        {"one byte longer", "submission login", "C NOOP {x*2042}\nS 500 5.5.2\nC NOOP\nS 250"},
        {"far longer: one error", "submission login", "C NOOP {x*60000}\nS 500 5.5.2\nC NOOP\nS 250\nQ"},
        {"longer than anything that is held", "submission login whole",
         "C NOOP {x*300000}\nS 500 5.5.2\nC NOOP\nS 250\nQ"},
        {"AUTH as long as allowed", "submission tls", "C AUTH PLAIN {A*12000}\nS 5\nC NOOP\nS 250"},
        {"AUTH longer", "submission tls", "C AUTH PLAIN {A*13000}\nS 500 5.5.6\nC NOOP\nS 250"},
        {"AUTH's answer longer", "submission tls", "C AUTH PLAIN\nS 334\nC {A*13000}\nS 500 5.5.6\nC NOOP\nS 250"},
        {"a bare LF", "submission login", "c NOOP\\nNOOP\\r\\n\nS 500 5.5.2\nC NOOP\nS 250\nQ"},
        {"a bare CR", "submission login", "c NOOP\\rNOOP\\r\\n\nS 500 5.5.2\nC NOOP\nS 250\nQ"},
        {"a NUL", "submission login", "c NOOP\\0\\r\\n\nS 500 5.5.2\nC NOOP\nS 250\nQ"},
        {"in AUTH it ends the exchange", "submission tls",
         "C AUTH LOGIN\nS 334\nc YQ\\n==\\r\\n\nS 500 5.5.2\nC NOOP\nS 250"},
        {"a control character", "submission login", "C MAIL FROM:<a\\\\\x7f@example.org>\nS 500 5.5.2"},
        {"a control character as UTF-8", "submission login", "C MAIL FROM:<a\xc2\x85@example.org>\nS 500 5.5.2"},
        {"blanks at the end", "submission login", "C MAIL FROM:<a@example.org>  \nS 250\nC RSET \nS 250"},
    };
    PLAY(NULL, TALKS);
}

/* ---- errors ---- */

static void test_errors(void **state)
{
    (void)state;
    static const struct ground FEW = {.max_errors = 3,
                                      .rules = "on rcpt {\n rule no reject if rcpt.local = \"no\"\n}\n"
                                               "on mail {\n rule nobody reject if sender.local = \"no\"\n}\n"};
    static const struct talk TALKS[] = {
        {"the last one is answered, then comes the end", "submission login",
         "C X1\nS 500\nC X2\nS 500\nC X3\nS 500\nC NOOP\nQ\nD\nS 421 4.7.0\nX\nE close \"reason\":\"too many"},
        {"wrong passwords are errors", "submission tls",
         "C AUTH PLAIN AGEAYg==\nS 535\nC AUTH PLAIN AGEAYg==\nS 535\nC AUTH PLAIN AGEAYg==\nS 535\nD\nS 421 4.7.0\nX"},
        {"in a pipeline, before the verdicts", "submission mail whole",
         "M stop\nC RCPT TO:<b@example.net>\nC X\\\\\nC RCPT TO:<c\nC RCPT TO:<c\nC RCPT TO:<c\nQ\n"
         "M on\nS 250\nS 500\nS 501\nS 501\nD\nS 421 4.7.0\nX"},
        {"they are not forgotten by TLS", "submission ehlo",
         "C X1\nS 500\nC X2\nS 500\nC STARTTLS\nS 220\nT\nC X3\nS 500\nD\nS 421 4.7.0\nX"},
        {"a refused recipient is none", "submission mail",
         "C RCPT TO:<no@x>\nS 550\nC RCPT TO:<no@x>\nS 550\nC RCPT TO:<no@x>\nS 550\nC RCPT TO:<b@x>\nS 250"},
        {"the mail at hand ends with it", "submission rcpt",
         "C X1\nS 500\nC X2\nS 500\nC X3\nS 500\nD\nS 421\nX\n"
         "E mail \"verdict\":\"disconnect\" \"code\":421"},
    };
    PLAY(&FEW, TALKS);
}

/* Whoever says the same for ever comes to an end. */
static void test_floods(void **state)
{
    (void)state;
    static const struct ground GROUND = {.rules = "on rcpt {\n rule no reject if rcpt.local = \"no\"\n}\n"
                                                  "on mail {\n rule nobody reject if sender.local = \"no\"\n}\n"
                                                  "on login {\n rule mallory reject if user = \"mallory\"\n}\n"
                                                  "on data {\n rule later defer if sender.local = \"later\"\n}\n"};
    static const struct {
        const char *name, *start, *words, *reply;
        unsigned at_least, at_most; /* times that it is answered as usual */
    } FLOODS[] = {
        {"NOOP", "smtp ehlo", "C NOOP", "S 250", 100, 120},
        {"RSET", "smtp ehlo", "C RSET", "S 250", 100, 120},
        {"VRFY", "smtp ehlo", "C VRFY x", "S 252", 100, 120},
        {"HELP", "smtp ehlo", "C HELP", "S 214", 100, 120},
        {"EHLO", "smtp ehlo", "C EHLO x", "S 250", 90, 120},
        {"HELO", "smtp ehlo", "C HELO x", "S 250", 90, 120},
        {"MAIL that rules refuse", "smtp ehlo", "C MAIL FROM:<no@x>", "S 550", 100, 120},
        {"recipients that rules refuse", "smtp mail", "C RCPT TO:<no@x>", "S 550", 900, 1100},
        {"a mail begun and given up", "smtp ehlo", "C MAIL FROM:<a@x>\nS 250\nC RSET", "S 250", 40, 120},
        {"DATA that rules refuse", "smtp ehlo", "C MAIL FROM:<later@x>\nS 250\nC RCPT TO:<b@x>\nS 250\nC DATA", "S 451",
         90, 120},
        {"a login that rules refuse", "submission tls", "C AUTH PLAIN AG1hbGxvcnkAc2VjcmV0", "S 535", 90, 120},
    };
    for (size_t i = 0; i < COUNT_OF(FLOODS); i++) {
        static char script[400000];
        size_t len = 0;
        for (unsigned n = 0; n < FLOODS[i].at_least; n++)
            len += (size_t)snprintf(script + len, sizeof script - len, "%s\n%s\n", FLOODS[i].words, FLOODS[i].reply);
        const struct talk may = {FLOODS[i].name, FLOODS[i].start, script};
        char end[200];
        stage_play(&GROUND, &may, 1);
        snprintf(end, sizeof end, "%.150s whole", FLOODS[i].start);
        /* in one write, as far as it is read at once; what the last ones are answered is the end */
        const struct talk too_often = {FLOODS[i].name, end, script};
        stage_flood(&GROUND, &too_often, FLOODS[i].words, FLOODS[i].at_most);
    }
}

/* ---- pipelines ---- */

static void test_pipelines(void **state)
{
    (void)state;
    static const struct ground GROUND = {.rules = "on rcpt {\n rule long reject \"{x*900}\" if rcpt.local = \"long\"\n"
                                                  " rule no reject if rcpt.local = \"no\"\n}\n"};
    static const struct talk TALKS[] = {
        {"replies keep their order", "submission login whole",
         "C MAIL FROM:<a@example.org>\nC RCPT TO:<bad\nC RCPT TO:<b@x>\nC RCPT TO:<no@x>\nC RCPT TO:<c@x>\nC DATA\n"
         "S 250 2.1.0\nS 501\nS 250 2.1.5\nS 550 5.7.1\nS 250 2.1.5\nS 354"},
        {"however slowly the MTA answers", "submission login whole",
         "M stop\nC MAIL FROM:<a@example.org>\nC RCPT TO:<bad\nC RCPT TO:<no@x>\nC RCPT TO:<b@x>\nC NOOP\nQ\n"
         "M MAIL 250 2.1.0 Slow\n"
         "M on\nS 250 2.1.0 Slow\nS 501\nS 550\nS 250 2.1.5\nS 250 2.0.0"},
        {"MAIL is refused: so is all that was sent behind it", "submission login whole",
         "M MAIL 450 4.1.8 Who?\nC MAIL FROM:<a@example.org>\nC RCPT TO:<b@x>\nC RCPT TO:<no@x>\nC DATA\n"
         "S 450 4.1.8\nS 503\nS 550\nS 503\nC NOOP\nS 250\nE mail \"verdict\":\"defer\" \"code\":450 \"at\":\"mail\""},
        {"a whole mail, and the next", "submission login whole",
         "C MAIL FROM:<a@example.org>\nC RCPT TO:<b@x>\nC DATA\nS 250\nS 250\nS 354\n"
         "C x\nC .\nC MAIL FROM:<a@example.org>\nC RCPT TO:<b@x>\nC DATA\nS 250 2.0.0\nS 250\nS 250\nS 354\nC y\nC "
         ".\nS 250\nN 2"},
        {"DATA when all were refused", "submission login whole",
         "C MAIL FROM:<a@example.org>\nC RCPT TO:<no@x>\nC DATA\nS 250\nS 550\nS 554 5.5.1\nC RSET\nS 250\n"
         "E mail \"verdict\":\"reject\" \"code\":550 \"at\":\"rcpt\" \"by\":\"no\" \"refused\":1"},
        {"QUIT behind open verdicts", "submission login whole",
         "M stop\nC MAIL FROM:<a@example.org>\nC QUIT\nQ\nM on\nS 250\nS 221\nX"},
        {"bytes without a line end, behind open verdicts", "submission login whole",
         "M stop\nC MAIL FROM:<a@example.org>\nc NOO\nQ\n!D\nM on\nS 250\nD\nS 421\nX"},
    };
    PLAY(&GROUND, TALKS);
}

/* A thousand replies that wait for one slow verdict: all of them come, in order, however long they are. */
static void test_a_long_pipeline(void **state)
{
    (void)state;
    static const struct ground GROUND = {
        .rules =
            "on rcpt {\n rule long reject "
            "\"No. xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            "\" if rcpt.local = \"no\"\n}\n"};
    static char script[100000];
    size_t len = (size_t)snprintf(script, sizeof script, "M stop\nC MAIL FROM:<a@example.org>\n");
    for (int i = 0; i < 1000; i++)
        len += (size_t)snprintf(script + len, sizeof script - len, i % 2 ? "C RCPT TO:<no@x>\n" : "C RCPT TO:<b%d@x>\n",
                                i);
    len += (size_t)snprintf(script + len, sizeof script - len, "Q\nM on\nS 250 2.1.0\n");
    for (int i = 0; i < 1000; i++)
        len += (size_t)snprintf(script + len, sizeof script - len, i % 2 ? "S 550\n" : "S 250\n");
    snprintf(script + len, sizeof script - len,
             "C DATA\nS 354\nC x\nC .\nS 250\nE mail \"accepted\":500 \"refused\":500\n");
    const struct talk talk = {"a thousand recipients", "submission login whole", script};
    stage_play(&GROUND, &talk, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_command_in_every_state),
                                       cmocka_unit_test(test_after_an_error),
                                       cmocka_unit_test(test_a_refused_command_changes_nothing),
                                       cmocka_unit_test(test_lines),
                                       cmocka_unit_test(test_errors),
                                       cmocka_unit_test(test_floods),
                                       cmocka_unit_test(test_pipelines),
                                       cmocka_unit_test(test_a_long_pipeline)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
