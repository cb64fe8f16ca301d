/* test_replay.c - past events, decided again: who is refused now, and by what. */
#include "blocks.h"

#include <stdlib.h>

#include "policy/replay.h"

/* Connections A, B … of node mx1: ids that say nothing of the time, so that they begin with their first event. */
#define EVENT(time, event, id, members)                                                                                \
    "{\"time\":\"2026-01-05T" time "Z\",\"event\":\"" event "\",\"node\":\"mx1\",\"id\":\"connection-0" id             \
    "\",\"listener\":\"submission\",\"client\":\"192.0.2.7\",\"port\":1,\"helo\":\"h\",\"tls\":\"TLSv1.3\"," members   \
    "}\n"
#define FROM(user, rcpts, n)                                                                                           \
    "\"user\":\"" user "\",\"sender\":\"" user "\",\"recipients\":[" rcpts "],\"accepted\":" #n ",\"size\":1024,"
#define TAKEN                   "\"verdict\":\"accept\",\"code\":250,\"relay_code\":250"
#define MAIL(time, id, user)    EVENT(time, "mail", id, FROM(user, "\"r@x\"", 1) TAKEN)
#define BY(name, at)            "\"verdict\":\"reject\",\"code\":550,\"by\":\"" name "\",\"at\":\"" at "\""
#define CLOSE(time, id)         EVENT(time, "close", id, "\"reason\":\"QUIT\"")
#define LOGIN(time, id, result) EVENT(time, "auth", id, "\"user\":\"u@x\",\"auth\":\"PLAIN\",\"result\":\"" result "\"")

static const struct {
    const char *name, *rules, *lines;
    const char *seen; /* id:fate, of refused ones by whom, of accepted mails for how many */
} CASES[] = {
    {"nobody minds", "", MAIL("12:00:00", "A-1", "u@x") MAIL("12:00:01", "A-2", "u@x") CLOSE("12:00:02", "A"),
     "A-1:passed 1, A-2:passed 1, "},
    {"a rule refuses", "on mail { rule no reject if user = \"u@x\" }\n",
     MAIL("12:00:00", "A-1", "u@x") MAIL("12:00:01", "B-1", "v@x"), "A-1:refused by no, B-1:passed 1, "},
    {"facts of the connection",
     "on mail { rule all reject if client = 192.0.2.7 and client.port = 1 and helo = \"h\" and tls.version = "
     "\"TLSv1.3\" and\n"
     "node = \"mx1\" and listener = \"submission\" and auth.mechanism = \"LOGIN\" and client.name = \"n.example\" and\n"
     "client.country = \"DE\" and tls.cipher = \"C\" }\n",
     EVENT("12:00:00", "mail", "A-1",
           FROM("u@x", "\"r@x\"", 1) TAKEN
           ",\"auth\":\"LOGIN\",\"name\":\"n.example\",\"country\":\"DE\",\"cipher\":\"C\"")
         MAIL("12:00:01", "B-1", "u@x"),
     "A-1:refused by all, B-1:passed 1, "},
    {"facts of the mail",
     "on header { rule h reject if header.from = \"f@x\" and header[\"message-id\"] = \"<1@x>\" and "
     "header.count[\"From\"] is none and\n"
     "header.size is none and header[\"Subject\"] is none }\n",
     EVENT("12:00:00", "mail", "A-1", FROM("u@x", "\"r@x\"", 1) TAKEN ",\"from\":\"f@x\",\"message_id\":\"<1@x>\"")
         MAIL("12:00:01", "B-1", "u@x"),
     "A-1:refused by h, B-1:passed 1, "},
    {"a log without From has none", "on header { rule f reject if header.from is none }\n",
     MAIL("12:00:00", "A-1", "u@x"), "A-1:refused by f, "},
    {"a limit, and its window", "limit m per user count messages { 2/16m }\n",
     MAIL("12:00:00", "A-1", "u@x") MAIL("12:00:01", "A-2", "u@x") MAIL("12:00:02", "A-3", "u@x")
         MAIL("12:15:59", "B-1", "u@x") MAIL("12:16:00", "B-2", "u@x") MAIL("12:17:00", "B-3", "u@x"),
     "A-1:passed 1, A-2:passed 1, A-3:refused by m, B-1:refused by m, B-2:refused by m, B-3:passed 1, "},
    {"limits refuse early, as they do live", "limit r per user count recipients { 3/1h }\n",
     EVENT("12:00:00", "mail", "A-1", FROM("u@x", "\"1@x\",\"2@x\"", 2) TAKEN)
         EVENT("12:00:01", "mail", "A-2", FROM("u@x", "\"1@x\",\"2@x\"", 2) TAKEN) MAIL("12:00:02", "A-3", "u@x"),
     "A-1:passed 2, A-2:passed 1, A-3:refused by r, "},
    {"tags and scores of the connection last",
     "on helo { rule t tag seen, score 2 }\non mail { rule no reject if tag.seen and score = 2 and session.messages = "
     "1 }\n",
     MAIL("12:00:00", "A-1", "u@x") MAIL("12:00:01", "A-2", "u@x") MAIL("12:00:02", "B-1", "u@x"),
     "A-1:passed 1, A-2:refused by no, B-1:passed 1, "},
    {"connections side by side", "limit c per client count connections { 2/1h }\n",
     MAIL("12:00:00", "A-1", "u@x") MAIL("12:00:01", "B-1", "u@x") MAIL("12:00:02", "A-2", "u@x") MAIL(
         "12:00:03", "C-1", "u@x") MAIL("12:00:04", "B-2", "u@x") MAIL("12:00:05", "C-2", "u@x") CLOSE("12:00:06", "C"),
     "A-1:passed 1, B-1:passed 1, A-2:passed 1, C-1:refused by c, B-2:passed 1, C-2:refused by c, C:refused by c, "},
    {"places are held to the end", "limit o per client count open-connections { 1 }\n",
     MAIL("12:00:00", "A-1", "u@x") MAIL("12:00:01", "B-1", "u@x") CLOSE("12:00:02", "B") CLOSE("12:00:03", "A")
         MAIL("12:00:04", "C-1", "u@x") CLOSE("12:00:05", "C"),
     "A-1:passed 1, B-1:refused by o, B:refused by o, C-1:passed 1, "},
    {"without close events a connection ends with its last one", "limit o per client count open-connections { 1 }\n",
     MAIL("12:00:00", "A-1", "u@x") MAIL("12:00:01", "B-1", "u@x") MAIL("12:00:02", "A-2", "u@x")
         MAIL("12:00:03", "C-1", "u@x"),
     "A-1:passed 1, B-1:refused by o, A-2:passed 1, C-1:passed 1, "},
    {"lines that are not in order", "limit m per user count messages { 1/1h }\n",
     MAIL("12:00:05", "A-2", "u@x") MAIL("12:00:00", "A-1", "u@x"), "A-1:passed 1, A-2:refused by m, "},
    {"disconnected: the next mail comes on a new connection",
     "limit c per client count connections { 2/1h }\non mail { rule bye disconnect if sender = \"bad@x\" }\n",
     MAIL("12:00:00", "A-1", "bad@x") MAIL("12:00:01", "A-2", "u@x") MAIL("12:00:02", "B-1", "u@x"),
     "A-1:refused by bye, A-2:passed 1, B-1:refused by c, "},
    {"banned", "on rcpt { rule trap ban client 1h if rcpt.local = \"trap\" }\n",
     EVENT("12:00:00", "mail", "A-1", FROM("u@x", "\"trap@x\"", 1) TAKEN) MAIL("12:30:00", "B-1", "u@x")
         MAIL("13:00:01", "C-1", "u@x"),
     "A-1:refused by trap, B-1:refused by trap, C-1:passed 1, "},

    {"a rule let go", "", EVENT("12:00:00", "mail", "A-1", FROM("u@x", "\"r@x\"", 0) BY("gone", "rcpt")),
     "A-1:passed 1, "},
    {"refused before it named anybody: one, of whom nothing is known",
     "limit r per user count recipients { 1/1h }\non rcpt { rule far reject if rcpt.domain = \"x\" }\n",
     EVENT("12:00:00", "mail", "A-1", FROM("u@x", "", 0) BY("gone", "mail"))
         EVENT("12:00:01", "mail", "B-1", FROM("u@x", "", 0) BY("gone", "mail")),
     "A-1:passed 1, B-1:refused by r, "},
    {"the server behind said no, and says it again", "limit m per user count messages { 1/1h }\n",
     EVENT("12:00:00", "mail", "A-1",
           FROM("u@x", "\"r@x\"", 1) "\"verdict\":\"reject\",\"code\":550,\"at\":\"data\",\"relay_code\":550")
         EVENT("12:00:01", "mail", "A-2",
               FROM("u@x", "", 0) "\"verdict\":\"defer\",\"code\":451,\"at\":\"mail\",\"relay_code\":451")
             EVENT("12:00:02", "mail", "A-3",
                   FROM("u@x", "\"r@x\"", 0) "\"verdict\":\"reject\",\"code\":550,\"at\":\"rcpt\",\"refused\":1,"
                                             "\"refusals\":[{\"recipient\":\"r@x\",\"code\":550}]")
                 MAIL("12:00:03", "A-4", "u@x"),
     "A-1:left, A-2:left, A-3:left, A-4:passed 1, "},
    {"its answer is a fact",
     "limit bad per user count charges { 1/1h }\non result { rule c charge bad if result.code = 550 and result.text "
     "contains \"spam\" }\n",
     EVENT("12:00:00", "mail", "A-1",
           FROM("u@x", "\"r@x\"",
                1) "\"verdict\":\"reject\",\"code\":550,\"at\":\"data\",\"relay_code\":550,\"relay_text\":\"Is spam\"")
         MAIL("12:00:01", "A-2", "u@x") EVENT(
             "12:00:02", "mail", "A-3",
             FROM(
                 "u@x",
                 "\"r@x\"",
                 1) "\"verdict\":\"reject\",\"code\":550,\"at\":\"data\",\"relay_code\":550,\"relay_text\":\"Is spam\"")
             MAIL("12:00:03", "A-4", "u@x"),
     "A-1:left, A-2:passed 1, A-3:left, A-4:refused by bad, "},
    {"nobody knows whether it was taken: it counts", "limit m per user count messages { 1/1h }\n",
     EVENT("12:00:00", "mail", "A-1", FROM("u@x", "\"r@x\"", 1) "\"verdict\":\"unknown\",\"code\":451,\"at\":\"data\"")
         MAIL("12:00:01", "A-2", "u@x"),
     "A-1:left, A-2:refused by m, "},
    {"given up by the client: it does not", "limit m per user count messages { 1/1h }\n",
     EVENT("12:00:00", "mail", "A-1", FROM("u@x", "\"r@x\"", 1) "\"verdict\":\"abort\"") MAIL("12:00:01", "A-2", "u@x"),
     "A-1:given up, A-2:passed 1, "},
    {"unknown recipients", "limit u per client count unknown-recipients { 1/1h  at 100% disconnect }\n",
     EVENT("12:00:00", "mail", "A-1",
           FROM("u@x", "\"1@x\",\"2@x\"", 1) "\"refused\":1,\"refusals\":[{\"recipient\":\"1@x\",\"code\":550}]," TAKEN)
         EVENT("12:00:01", "mail", "A-2",
               FROM("u@x", "\"1@x\",\"2@x\"",
                    1) "\"refused\":1,\"refusals\":[{\"recipient\":\"1@x\",\"code\":550}]," TAKEN),
     "A-1:passed 1, A-2:refused by u, "},
    {"a milter's no stands", "",
     EVENT("12:00:00", "mail", "A-1",
           FROM("u@x", "\"r@x\"", 1) BY("clam", "message") ",\"milters\":{\"dkim\":\"accept\",\"clam\":\"reject\"}"),
     "A-1:refused by clam, "},

    {"wrong passwords", "limit f per user, client count auth-failures { 2/1h }\n",
     LOGIN("12:00:00", "A", "wrong") LOGIN("12:00:01", "A", "unknown") LOGIN("12:00:02", "A", "wrong")
         LOGIN("12:00:03", "B", "ok") MAIL("12:00:04", "B-1", "u@x") MAIL("13:10:00", "C-1", "u@x"),
     "A:passed, A:passed, A:refused by f, B:refused by f, B-1:refused by f, C-1:passed 1, "},
    {"each is a new guess", "limit g per user, client count guesses { 1/1h }\n",
     LOGIN("12:00:00", "A", "wrong") LOGIN("12:00:01", "A", "wrong"), "A:passed, A:refused by g, "},
    {"what nobody could check costs nothing", "limit f per user, client count auth-failures { 1/1h }\n",
     LOGIN("12:00:00", "A", "unavailable") LOGIN("12:00:01", "A", "unavailable") LOGIN("12:00:02", "A", "ok"),
     "A:passed, A:passed, A:passed, "},
    {"what was kept from being looked at was wrong", "limit f per user, client count auth-failures { 1/1h }\n",
     LOGIN("12:00:00", "A", "limited") LOGIN("12:00:01", "A", "limited"), "A:passed, A:refused by f, "},
    {"but not at login", "limit f per user, client count auth-failures { 1/1h }\n",
     EVENT("12:00:00", "auth", "A", "\"user\":\"u@x\",\"result\":\"limited\",\"at\":\"login\",\"verdict\":\"defer\"")
         EVENT("12:00:01", "auth", "A",
               "\"user\":\"u@x\",\"result\":\"limited\",\"at\":\"login\",\"verdict\":\"defer\""),
     "A:passed, A:passed, "},
    {"a login without a name", "limit f per client count auth-failures { 1/1h }\n",
     EVENT("12:00:00", "auth", "A", "\"result\":\"wrong\"") EVENT("12:00:01", "auth", "A", "\"result\":\"wrong\""),
     "A:left, A:left, "},
    {"a login that is refused", "on login { rule out reject }\n",
     LOGIN("12:00:00", "A", "ok") MAIL("12:00:01", "A-1", "u@x"), "A:refused by out, A-1:refused by out, "},
    {"a login is asked about once",
     "limit l per user count charges { 2/1h }\non login { rule c charge l }\non mail { rule m reject if used(l) != 1 "
     "}\n",
     LOGIN("12:00:00", "A", "ok") MAIL("12:00:01", "A-1", "u@x") MAIL("12:00:02", "A-2", "u@x"),
     "A:passed, A-1:passed 1, A-2:passed 1, "},

    {"a connection that was refused", "limit c per client count connections { 1/1h }\n",
     EVENT("12:00:00", "connect", "A", BY("old", "connect")) CLOSE("12:00:00", "A")
         EVENT("12:00:01", "connect", "B", BY("old", "connect")) CLOSE("12:00:01", "B"),
     "A:passed, B:refused by c, "},
    {"one that is heard of at its end only", "limit c per client count connections { 1/1h }\n",
     CLOSE("12:00:00", "A") CLOSE("12:00:01", "B"), "B:refused by c, "},
};

static void tell(void *arg, const struct logged *past, const struct replay_outcome *outcome)
{
    static const char *const FATES[] = {"passed", "refused", "left", "given up"};
    char *seen = arg;
    size_t len = strlen(seen), size = 1024;
    len += (size_t)snprintf(seen + len, size - len, PRI_STR ":%s", STR_ARG(str_from(past->id, strlen("connection-0"))),
                            FATES[outcome->fate]);
    if (outcome->fate == REPLAY_REFUSED)
        len += (size_t)snprintf(seen + len, size - len, " by " PRI_STR, STR_ARG(outcome->refusal.by));
    else if (outcome->fate == REPLAY_PASSED && past->kind == LOGGED_MAIL)
        len += (size_t)snprintf(seen + len, size - len, " %zu", outcome->accepted);
    snprintf(seen + len, size - len, ", ");
}

static void run(const char *rules, const char *lines, char *seen)
{
    struct compiled k;
    struct err err = {0};
    compiled_open(&k, rules);
    const struct replay_options options = {
        .world = &k.world, .longest_us = INT64_C(3600000000), .on_event = tell, .arg = seen};
    struct replay *r = replay_new(&options);
    assert_non_null(r);
    *seen = '\0';
    for (struct str rest = str_of_z(lines); rest.len;) {
        struct logged *past;
        struct str line = str_split(rest, '\n', &rest);
        if (logged_read(line, &past, &err) != LOGGED_READ)
            fail_msg(PRI_STR ": %s", STR_ARG(line), err.text);
        assert_true(replay_add(r, past));
    }
    assert_true(replay_end(r));
    assert_int_equal(replay_lost_counts(r), 0);
    replay_free(&r);
    compiled_close(&k);
}

static void cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        char seen[1024];
        run(CASES[i].rules, CASES[i].lines, seen);
        if (strcmp(seen, CASES[i].seen) != 0)
            fail_msg("%s: %s", CASES[i].name, seen);
    }
}

/* B began before A, as its id says, although it is heard of later. */
static void connections_open_in_their_turn(void **state)
{
    (void)state;
    struct compiled k;
    char seen[1024] = "";
    compiled_open(&k, "limit c per client count connections { 1/1h }\n");
    const struct replay_options options = {.world = &k.world, .longest_us = 1000000, .on_event = tell, .arg = seen};
    struct replay *r = replay_new(&options);
    static const char *const LINES[] = {
        "{\"time\":\"2026-01-05T12:00:02Z\",\"event\":\"mail\",\"id\":\"connection-0A-1\",\"client\":\"192.0.2.7\","
        "\"verdict\":\"accept\"}",
        "{\"time\":\"2026-01-05T12:10:00Z\",\"event\":\"mail\",\"id\":\"6DRW1T6000001-1\",\"client\":\"192.0.2.7\","
        "\"verdict\":\"accept\"}",
    };
    for (size_t i = 0; i < COUNT_OF(LINES); i++) {
        struct logged *past;
        assert_int_equal(logged_read(str_of_z(LINES[i]), &past, NULL), LOGGED_READ);
        assert_true(replay_add(r, past));
    }
    assert_true(replay_end(r));
    assert_string_equal(seen, "A-1:refused by c, 1-1:passed 1, ");
    replay_free(&r);
    assert_null(r);
    replay_free(&r);
    compiled_close(&k);
}

/* What is held when it is given up is freed: the sanitizer sees to it. */
static void given_up(void **state)
{
    (void)state;
    struct compiled k;
    char seen[1024] = "";
    struct logged *past;
    compiled_open(&k, "");
    const struct replay_options options = {.world = &k.world, .longest_us = 1000000, .on_event = tell, .arg = seen};
    struct replay *r = replay_new(&options);
    assert_int_equal(logged_read(STR(EVENT("12:00:00", "mail", "A-1", TAKEN)), &past, NULL), LOGGED_READ);
    assert_true(replay_add(r, past));
    replay_free(&r);
    assert_string_equal(seen, "");
    compiled_close(&k);
}

/* ---- what is said beside it ---- */

static const struct {
    const char *rules, *notes;
} NOTES[] = {
    {"", ""},
    {"on mail { rule a reject if sender = \"x@y\" }\n", ""},
    {"on header {\nrule a reject if header[\"Subject\"] = \"x\"\nrule b reject if header.from = \"x@y\"\n"
     "rule c reject if not (header.lines > 3)\n}\n",
     "2 rules or limits look at the header, of which a log holds the address in From and the Message-ID only (what "
     "they refused then may seem newly accepted): a, c\n"},
    {"dnsbl l \"l.example\"\nlimit g per user, client count guesses { 9/1h }\nlimit n per client count messages { 9/1h "
     "if client in l }\n"
     "on mail { rule a reject if client.name is none or client in l }\n",
     "1 rule or limit looks at client.name or client.country, which is in the log only where some rule asked for it "
     "then: a\n"
     "2 rules or limits look at DNS lists: no client is taken for listed: a, n\n"
     "1 rule or limit looks at guesses: passwords are not in the log, and each wrong one counts as never tried before: "
     "g\n"},
};

static void add_note(void *arg, const char *text)
{
    char *to = arg;
    snprintf(to + strlen(to), 4096 - strlen(to), "%s\n", text);
}

static void notes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(NOTES); i++) {
        struct compiled k;
        char said[4096] = "";
        compiled_open(&k, NOTES[i].rules);
        replay_notes(k.policy, add_note, said);
        assert_string_equal(said, NOTES[i].notes);
        compiled_close(&k);
    }
    struct compiled k;
    compiled_open(&k,
                  "limit a per user count messages { 3/1h, 9/3d }\nlimit b per client count open-connections { 9 }\n");
    assert_int_equal(replay_longest_period_s(k.policy), 3 * 86400);
    assert_true(replay_is_limit(k.policy, STR("a")) && !replay_is_limit(k.policy, STR("c")));
    compiled_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cases),
        cmocka_unit_test(connections_open_in_their_turn),
        cmocka_unit_test(given_up),
        cmocka_unit_test(notes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
