/* test_rules.c - what rules do to a live session, at each phase: refuse, end, tag, log, observe; tables and maps. */
#include "stage.h"

#include <stdio.h>
#include <string.h>

/* The way up to a phase, and how it is taken. */
static const struct {
    const char *phase, *start, *step, *taken;
} PHASES[] = {
    {"connect", "smtp", NULL, "220 mx"},
    {"helo", "smtp greeting", "C EHLO x\n", "250 "},
    {"auth", "submission tls", "C AUTH PLAIN AGFsaWNlAHNlY3JldA==\n", "235 2.7.0"},
    {"login", "submission tls", "C AUTH PLAIN AGFsaWNlAHNlY3JldA==\n", "235 2.7.0"},
    {"mail", "submission login", "C MAIL FROM:<alice@example.org>\n", "250 2.1.0"},
    {"rcpt", "submission mail", "C RCPT TO:<b@example.net>\n", "250 2.1.5"},
    {"data", "submission rcpt", "C DATA\n", "354 "},
};
enum { PHASE_ROWS = 7 };

/* GRAMMAR.md 4: defaults for each phase. NULL: as if the rule were not there. */
static const struct {
    const char *action;
    const char *replies[PHASE_ROWS];
    bool closes, is_silent;
} ACTIONS[] = {
    {"accept", {NULL, NULL, NULL, NULL, NULL, NULL, NULL}, false, false},
    {"log \"seen\"", {NULL, NULL, NULL, NULL, NULL, NULL, NULL}, false, false},
    {"tag x \"y\"", {NULL, NULL, NULL, NULL, NULL, NULL, NULL}, false, false},
    {"observe reject", {NULL, NULL, NULL, NULL, NULL, NULL, NULL}, false, false},
    {"reject",
     {"554 5.7.1 Refused by rule \"r\"", "550 5.7.1", "535 5.7.8", "535 5.7.8", "550 5.7.1", "550 5.7.1", "550 5.7.1"},
     false,
     false},
    {"defer",
     {"421 4.7.0", "450 4.7.1", "454 4.7.0", "454 4.7.0", "450 4.7.1", "450 4.7.1", "451 4.7.1"},
     false,
     false},
    {"reject 571 \"No ${client}\"",
     {"571 5.7.1 No 192.0.2.7", "571 5.7.1 No", "571 5.7.8 No", "571 5.7.8 No", "571 5.7.1 No", "571 5.7.1 No",
      "571 5.7.1 No"},
     false,
     false},
    {"defer 452 4.2.2 \"Later\"",
     {"452 4.2.2 Later", "452 4.2.2 Later", "452 4.2.2 Later", "452 4.2.2 Later", "452 4.2.2 Later", "452 4.2.2 Later",
      "452 4.2.2 Later"},
     false,
     false},
    {"disconnect",
     {"421 4.7.0", "421 4.7.0", "421 4.7.0", "421 4.7.0", "421 4.7.0", "421 4.7.0", "421 4.7.0"},
     true,
     false},
    {"drop", {"", "", "", "", "", "", ""}, true, true},
};

static void play_action(size_t p, size_t a)
{
    char rules[300], name[100], script[500];
    const char *reply = ACTIONS[a].replies[p];
    bool closes = ACTIONS[a].closes || (p == 0 && reply);
    snprintf(rules, sizeof rules, "on %s {\n rule r %s\n rule after log \"after\"\n}\n", PHASES[p].phase,
             ACTIONS[a].action);
    if (strncmp(ACTIONS[a].action, "observe", 7) == 0)
        snprintf(rules, sizeof rules, "on %s {\n rule r %s\n}\n", PHASES[p].phase, ACTIONS[a].action);
    snprintf(name, sizeof name, "%s at %s", ACTIONS[a].action, PHASES[p].phase);
    snprintf(script, sizeof script, "%s%s%s\n%s", PHASES[p].step ? PHASES[p].step : "",
             ACTIONS[a].is_silent ? "" : "S ",
             ACTIONS[a].is_silent ? ""
             : reply              ? reply
                                  : PHASES[p].taken,
             closes             ? "X\nE close"
             : p == 6 && !reply ? "C .\nS 250"
                                : "C NOOP\nS 250");
    const struct ground ground = {.rules = rules};
    const struct talk talk = {name, PHASES[p].start, script};
    stage_play(&ground, &talk, 1);
}

static void test_every_action_at_every_phase(void **state)
{
    (void)state;
    for (size_t p = 0; p < COUNT_OF(PHASES); p++)
        for (size_t a = 0; a < COUNT_OF(ACTIONS); a++)
            play_action(p, a);
}

static void test_events(void **state)
{
    (void)state;
    static const struct ground GROUND = {
        .rules = "on connect {\n rule c tag where \"${client.network}\"\n}\n"
                 "on helo {\n rule h reject if helo = \"bad\"\n rule w observe drop if helo = \"odd\"\n}\n"
                 "on mail {\n rule m reject 553 \"No\" if sender.local = \"no\"\n rule t tag list \"weekly\", log "
                 "\"from ${sender}\"\n"
                 " rule d drop if sender.local = \"drop\"\n rule b disconnect if sender.local = \"bye\"\n}\n"
                 "on rcpt {\n rule r reject if rcpt.local = \"no\"\n rule o observe defer if rcpt.local = \"odd\"\n}\n"
                 "on data {\n rule q defer if sender.local = \"later\"\n}\n"};
    static const struct talk TALKS[] = {
        {"tags and logs", "submission mail",
         "E log \"at\":\"mail\" \"by\":\"t\" alice@example.org\nC RSET\nS 250\n"
         "E mail \"tags\":{\"list\":\"weekly\",\"where\":\"192.0.2.0/24\"} \"verdict\":\"abort\" \"would\":[]"},
        {"a mail refused", "submission login",
         "C MAIL FROM:<no@x>\nS 553 5.7.1 No\n"
         "E mail \"verdict\":\"reject\" \"code\":553 \"enhanced\":\"5.7.1\" \"text\":\"No\" \"at\":\"mail\" "
         "\"by\":\"m\""},
        {"a recipient refused, the mail goes on", "submission rcpt",
         "C RCPT TO:<no@x>\nS 550\nC DATA\nS 354\nC x\nC .\nS 250\nE mail \"verdict\":\"accept\" \"accepted\":1 "
         "\"refused\":1 \"recipients\":[\"b@example.net\",\"no@x\"]"},
        {"all recipients refused", "submission mail",
         "C RCPT TO:<no@x>\nS 550\nC DATA\nS 554 5.5.1\nC RSET\nS 250\nE mail \"verdict\":\"reject\" \"code\":550 "
         "\"at\":\"rcpt\" \"by\":\"r\""},
        {"the last one by the MTA: by no rule", "submission mail",
         "M RCPT 550 5.1.1 Who\nC RCPT TO:<no@x>\nS 550\nC RCPT TO:<b@x>\nS 550 5.1.1\nC RSET\nS 250\n"
         "E mail \"code\":550 \"enhanced\":\"5.1.1\" \"at\":\"rcpt\",\"would\""},
        {"dropped", "submission login",
         "C MAIL FROM:<drop@x>\nX\nE mail \"verdict\":\"drop\" \"by\":\"d\"\nE close \"reason\":\"refused"},
        {"disconnected", "submission login",
         "C MAIL FROM:<bye@x>\nS 421 4.7.0\nX\nE mail \"verdict\":\"disconnect\" \"code\":421 \"by\":\"b\"\nE close"},
        {"deferred at data", "submission login",
         "C MAIL FROM:<later@x>\nS 250\nC RCPT TO:<b@x>\nS 250\nC DATA\nS 451 4.7.1\n"
         "E mail \"verdict\":\"defer\" \"code\":451 \"at\":\"data\" \"by\":\"q\" \"accepted\":1"},
        {"observed", "submission mail",
         "C RCPT TO:<odd@x>\nS 250\nC DATA\nS 354\nC x\nC .\nS 250\nE mail "
         "\"would\":[{\"by\":\"o\",\"action\":\"defer\"}]"},
        {"observed before there is a mail", "smtp greeting",
         "C EHLO odd\nS 250\nE log \"by\":\"w\" \"would\":\"drop\""},
        {"EHLO refused: another name is taken", "smtp greeting",
         "C EHLO bad\nS 550\nC MAIL FROM:<a@x>\nS 503\nC EHLO good\nS 250\nC MAIL FROM:<a@x>\nS 250"},
        {"EHLO refused after one that was taken", "smtp ehlo", "C EHLO bad\nS 550\nC MAIL FROM:<a@x>\nS 503"},
    };
    PLAY(&GROUND, TALKS);
}

static void test_tables(void **state)
{
    (void)state;
    static const struct ground GROUND = {
        .rules =
            "table local domains { example.net, .inside.example }\n"
            "table owners map { alice@example.org alice@example.org, info@example.org { alice@example.org, bob } }\n"
            "table friends networks { 192.0.2.0/24 }\n"
            "on mail {\n rule own reject 553 5.7.1 \"${sender} does not belong to ${user}\" if authenticated\n"
            "  unless sender = user or user in owners[sender]\n}\n"
            "on rcpt {\n rule far reject \"no\" unless rcpt.domain in local or rcpt.domain under sub.example\n"
            " rule friend accept if client in friends\n rule never reject\n}\n"};
    static const struct talk TALKS[] = {
        {"its own address", "submission mail", "C RCPT TO:<b@example.net>\nS 250"},
        {"with a tag, by the map, which knows it without", "submission login",
         "C MAIL FROM:<alice+x@example.org>\nS 250"},
        {"by the map", "submission login", "C MAIL FROM:<info@example.org>\nS 250"},
        {"by the map, with a tag", "submission login", "C MAIL FROM:<info+x@example.org>\nS 250"},
        {"another's", "submission login",
         "C MAIL FROM:<bob@example.org>\nS 553 5.7.1 bob@example.org does not belong to alice@example.org"},
        {"the null sender", "submission login", "C MAIL FROM:<>\nS 553 5.7.1 <> does not"},
        {"the domain", "submission mail", "C RCPT TO:<b@EXAMPLE.net>\nS 250"},
        {"not its subdomain", "submission mail", "C RCPT TO:<b@sub.example.net>\nS 550 5.7.1 no"},
        {"a subdomain", "submission mail", "C RCPT TO:<b@a.inside.example>\nS 250"},
        {"under", "submission mail", "C RCPT TO:<b@deep.sub.example>\nS 250\nC RCPT TO:<b@notsub.example>\nS 550"},
        {"postmaster has no domain", "submission mail", "C RCPT TO:<postmaster>\nS 550"},
    };
    PLAY(&GROUND, TALKS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_action_at_every_phase),
                                       cmocka_unit_test(test_events), cmocka_unit_test(test_tables)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
