/* test_scenarios.c - a mail (after some that went well) and an MTA that does one thing otherwise, at every place of the
 * dialogue: every verdict, every fault, and the story that the mail's owner is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "stage.h"

static char long_line[3000], many_lines[8000], endless[30000], long_reply[80000];

/* clang-format off: a row is a line or two */
static const struct scenario {
    const char *name;
    enum fake_moment at;
    struct fake_action action;
    const char *story;
    unsigned connections, mails; /* at the MTA, afterwards, with those that went before */
    unsigned before;             /* mails that went well on the same connection */
    unsigned recipients;         /* 0: one */
    const char *keywords;
    unsigned reply_ms, connect_ms;
} SCENARIOS[] = {
    {"all goes well", AT_CONNECT, {NULL}, WELL, 1, 1},
    {"without PIPELINING", AT_CONNECT, {NULL}, WELL, 1, 1, .keywords = "SIZE"},
    {"an MTA that knows HELO only", AT_EHLO, {.say = "502 5.5.1 what?\r\n"}, WELL, 1, 1},
    {"a connection is used again", AT_CONNECT, {NULL}, WELL, 1, 4, .before = 3},
    {"replies byte by byte", AT_DOT, {.drip = true}, WELL, 1, 1},
    {"an EHLO reply byte by byte", AT_EHLO, {.drip = true}, WELL, 1, 1},
    {"a reply of several lines",
     AT_DOT,
     {.say = "250-2.0.0 one\r\n250-2.0.0 two\r\n250 2.0.0 three\r\n"},
     TO_DATA "DOT 250 2.0.0 one\ntwo\nthree",
     1,
     1},
    {"bare LF, three digits alone",
     AT_MAIL,
     {.say = "250\n"},
     "MAIL 250 2.1.0  | RCPT0 250 2.1.5 Ok | DATA 354 go ahead | DOT 250 2.0.0 queued",
     1,
     1},
    {"control characters",
     AT_RCPT,
     {.say = "550 5.1.1 no\x1b[2J\x07 such\tuser\r\n"},
     "MAIL 250 2.1.0 Ok | RCPT0 550 5.1.1 no[2J such user",
     1,
     0},

    /* verdicts */
    {"MAIL refused", AT_MAIL, {.say = "550 5.7.1 not you\r\n"}, "MAIL 550 5.7.1 not you", 1, 0},
    {"MAIL deferred", AT_MAIL, {.say = "451 later\r\n"}, "MAIL 451 4.0.0 later", 1, 0},
    {"one recipient of three refused",
     AT_RCPT,
     {.say = "550 5.1.1 unknown\r\n", .first = 1, .times = 1},
     "MAIL 250 2.1.0 Ok | RCPT0 250 2.1.5 Ok | RCPT1 550 5.1.1 unknown | RCPT2 250 2.1.5 Ok | DATA 354 go ahead | "
     "DOT 250 2.0.0 queued",
     1,
     1,
     .recipients = 3},
    {"every recipient refused",
     AT_RCPT,
     {.say = "550 5.1.1 unknown\r\n"},
     "MAIL 250 2.1.0 Ok | RCPT0 550 5.1.1 unknown | RCPT1 550 5.1.1 unknown",
     1,
     0,
     .recipients = 2},
    {"DATA refused",
     AT_DATA,
     {.say = "451 4.3.1 disk full\r\n"},
     "MAIL 250 2.1.0 Ok | RCPT0 250 2.1.5 Ok | DATA 451 4.3.1 disk full",
     1,
     0},
    {"dot refused", AT_DOT, {.say = "554 5.6.0 spam\r\n"}, TO_DATA "DOT 554 5.6.0 spam", 1, 0},
    {"dot deferred", AT_DOT, {.say = "452 4.3.1 full\r\n"}, TO_DATA "DOT 452 4.3.1 full", 1, 0},
    {"a fault of configuration",
     AT_MAIL,
     {.say = "530 5.7.0 Must issue STARTTLS\r\n"},
     "MAIL 451 4.3.0 The mail server behind this one refuses to work with us; try again later",
     1,
     0},
    {"XFORWARD refused",
     AT_XFORWARD,
     {.say = "550 5.7.0 not authorized\r\n"},
     WELL,
     1,
     1,
     .keywords = "PIPELINING\nXFORWARD NAME ADDR"},

    /* 421 */
    {"421 as greeting",
     AT_CONNECT,
     {.say = "421 4.7.0 too many\r\n", .cut = true},
     "UNAVAILABLE it refused the connection: 421 too many",
     1,
     0},
    {"421 to MAIL", AT_MAIL, {.say = "421 4.7.0 not now\r\n", .cut = true}, "MAIL 451 4.7.0 not now", 1, 0},
    {"421 to RCPT",
     AT_RCPT,
     {.say = "421 4.7.0 too many errors\r\n", .cut = true, .first = 1},
     "MAIL 250 2.1.0 Ok | RCPT0 250 2.1.5 Ok | RCPT1 451 4.7.0 too many errors | LOST too many errors",
     1,
     0,
     .recipients = 2},
    {"421 to DATA",
     AT_DATA,
     {.say = "421 bye\r\n"},
     "MAIL 250 2.1.0 Ok | RCPT0 250 2.1.5 Ok | DATA 451 4.4.2 bye",
     1,
     0},
    {"421 amid the body", AT_BODY, {.say = "421 4.3.2 shutting down\r\n"}, TO_DATA "LOST shutting down", 1, 0},
    {"421 to the dot",
     AT_DOT,
     {.say = "421 4.3.2 shutting down\r\n", .cut = true},
     TO_DATA "DOT 451 4.3.2 shutting down",
     1,
     0},
    {"421 in a pooled connection",
     AT_MAIL,
     {.say = "421 4.4.2 timeout\r\n", .cut = true, .first = 1, .times = 1},
     WELL,
     2,
     2,
     .before = 1},
    {"421 to RCPT in a pooled connection",
     AT_RCPT,
     {.say = "421 4.4.2 timeout\r\n", .cut = true, .first = 1, .times = 1},
     WELL,
     2,
     2,
     .before = 1},
    {"421 to DATA in a pooled connection",
     AT_DATA,
     {.say = "421 4.4.2 timeout\r\n", .cut = true, .first = 1, .times = 1},
     WELL,
     2,
     2,
     .before = 1},
    {"421 behind the verdict",
     AT_DOT,
     {.say = "250 2.0.0 queued\r\n421 4.3.2 bye\r\n", .times = 1},
     WELL,
     2,
     2,
     .before = 1},

    /* the end of file */
    {"cut instead of a greeting",
     AT_CONNECT,
     {.say = "", .cut = true},
     "UNAVAILABLE the peer closed the connection",
     1,
     0},
    {"cut at EHLO", AT_EHLO, {.say = "", .cut = true}, "UNAVAILABLE the peer closed the connection", 1, 0},
    {"cut at MAIL", AT_MAIL, {.say = "", .cut = true}, "LOST the peer closed the connection", 1, 0},
    {"cut in a pooled connection at MAIL",
     AT_MAIL,
     {.say = "", .cut = true, .first = 1, .times = 1},
     WELL,
     2,
     2,
     .before = 1},
    {"cut in a pooled connection at RCPT",
     AT_RCPT,
     {.say = "", .cut = true, .first = 1, .times = 1},
     WELL,
     2,
     2,
     .before = 1},
    {"cut in a pooled connection at DATA",
     AT_DATA,
     {.say = "", .cut = true, .first = 1, .times = 1},
     WELL,
     2,
     2,
     .before = 1},
    {"cut twice",
     AT_MAIL,
     {.say = "", .cut = true, .first = 1},
     "LOST the peer closed the connection",
     2,
     1,
     .before = 1},
    {"cut while it waits", AT_DOT, {.say = "250 2.0.0 queued\r\n", .cut = true, .times = 1}, WELL, 2, 2, .before = 1},
    {"cut amid the body", AT_BODY, {.say = "", .cut = true}, TO_DATA "LOST the peer closed the connection", 1, 0},
    {"cut amid the body of a pooled connection",
     AT_BODY,
     {.say = "", .cut = true, .first = 1},
     TO_DATA "LOST the peer closed the connection",
     1,
     1,
     .before = 1},
    {"cut after the dot", AT_DOT, {.say = "", .cut = true}, TO_DATA "UNKNOWN the peer closed the connection", 1, 0},
    {"cut amid the dot's reply",
     AT_DOT,
     {.say = "250 2.0.0 que", .cut = true},
     TO_DATA "UNKNOWN the peer closed the connection",
     1,
     1},

    /* nonsense */
    {"garbage as greeting",
     AT_CONNECT,
     {.say = "hello there\r\n"},
     "BROKEN not a reply code from 200 to 599, or not the first line's (greeting)",
     1,
     0},
    {"250 as greeting",
     AT_CONNECT,
     {.say = "250 hi\r\n"},
     "BROKEN a reply that cannot be in its place (greeting)",
     1,
     0},
    {"554 as greeting", AT_CONNECT, {.say = "554 5.7.1 no\r\n"}, "UNAVAILABLE it refused the connection: 554 no", 1, 0},
    {"garbage to MAIL",
     AT_MAIL,
     {.say = "\x16\x03\x01\x02\r\n"},
     "BROKEN not a reply code from 200 to 599, or not the first line's",
     1,
     0},
    {"code 050",
     AT_MAIL,
     {.say = "050 hm\r\n"},
     "BROKEN not a reply code from 200 to 599, or not the first line's",
     1,
     0},
    {"code 100",
     AT_MAIL,
     {.say = "100 hm\r\n"},
     "BROKEN not a reply code from 200 to 599, or not the first line's",
     1,
     0},
    {"code 600",
     AT_RCPT,
     {.say = "600 hm\r\n"},
     "MAIL 250 2.1.0 Ok | BROKEN not a reply code from 200 to 599, or not the first line's",
     1,
     0},
    {"354 to MAIL", AT_MAIL, {.say = "354 go on\r\n"}, "BROKEN a reply that cannot be in its place (MAIL)", 1, 0},
    {"354 to RCPT",
     AT_RCPT,
     {.say = "354 go on\r\n"},
     "MAIL 250 2.1.0 Ok | BROKEN a reply that cannot be in its place (RCPT)",
     1,
     0},
    {"250 to DATA",
     AT_DATA,
     {.say = "250 ok\r\n"},
     "MAIL 250 2.1.0 Ok | RCPT0 250 2.1.5 Ok | BROKEN a reply that cannot be in its place (DATA)",
     1,
     0},
    {"a verdict before the dot",
     AT_BODY,
     {.say = "250 2.0.0 queued\r\n"},
     TO_DATA "BROKEN a reply that nobody asked for (body)",
     1,
     0},
    {"a refusal before the dot",
     AT_BODY,
     {.say = "552 5.3.4 too big\r\n"},
     TO_DATA "BROKEN a reply that nobody asked for (body)",
     1,
     0},
    {"a verdict with the 354",
     AT_DATA,
     {.say = "354 go ahead\r\n250 2.0.0 queued\r\n"},
     TO_DATA "BROKEN a reply that nobody asked for (body)",
     1,
     0},
    {"354 to the dot",
     AT_DOT,
     {.say = "354 more\r\n"},
     TO_DATA "UNKNOWN a reply that cannot be in its place (dot)",
     1,
     0},
    {"garbage to the dot",
     AT_DOT,
     {.say = "OK\r\n"},
     TO_DATA "UNKNOWN not a reply code from 200 to 599, or not the first line's",
     1,
     0},
    {"a line too long", AT_MAIL, {.say = long_line}, "BROKEN a line of more than 2048 bytes", 1, 0},
    {"a line that never ends", AT_MAIL, {.say = endless}, "BROKEN a line of more than 2048 bytes", 1, 0},
    {"more lines than the bound", AT_MAIL, {.say = many_lines}, "BROKEN a reply of more than 128 lines", 1, 0},
    {"more bytes than the bound", AT_MAIL, {.say = long_reply}, "BROKEN a reply of more than 64 KiB", 1, 0},
    {"two codes in one reply",
     AT_MAIL,
     {.say = "250-one\r\n550 two\r\n"},
     "BROKEN not a reply code from 200 to 599, or not the first line's",
     1,
     0},
    {"nonsense in a pooled connection is not tried again",
     AT_MAIL,
     {.say = "354 go on\r\n", .first = 1},
     "BROKEN a reply that cannot be in its place (MAIL)",
     1,
     1,
     .before = 1},
    {"speaks unasked after the verdict",
     AT_DOT,
     {.say = "250 2.0.0 queued\r\n250 again\r\n", .times = 1},
     WELL,
     2,
     2,
     .before = 1},

    /* silence; without PIPELINING, where the next command's reply would be taken for the missing one */
    {"no greeting", AT_CONNECT, {.say = ""}, "UNAVAILABLE no answer in time (greeting)", 1, 0, .connect_ms = 30},
    {"no greeting, the reply's deadline",
     AT_CONNECT,
     {.say = ""},
     "UNAVAILABLE no answer in time (greeting)",
     1,
     0,
     .reply_ms = 30},
    {"no reply to EHLO", AT_EHLO, {.say = ""}, "UNAVAILABLE no answer in time (EHLO)", 1, 0, .connect_ms = 30},
    {"no reply to MAIL",
     AT_MAIL,
     {.say = ""},
     "LOST no reply in time (MAIL)",
     1,
     0,
     .keywords = "SIZE",
     .reply_ms = 30},
    {"no reply to RCPT",
     AT_RCPT,
     {.say = ""},
     "MAIL 250 2.1.0 Ok | LOST no reply in time (RCPT)",
     1,
     0,
     .reply_ms = 30},
    {"no reply to DATA",
     AT_DATA,
     {.say = ""},
     "MAIL 250 2.1.0 Ok | RCPT0 250 2.1.5 Ok | LOST no reply in time (DATA)",
     1,
     0,
     .reply_ms = 30},
    {"no reply to the dot", AT_DOT, {.say = ""}, TO_DATA "UNKNOWN no reply in time (dot)", 1, 0, .reply_ms = 30},
    {"silence in a pooled connection is not tried again",
     AT_MAIL,
     {.say = "", .first = 1},
     "LOST no reply in time (MAIL)",
     1,
     1,
     .before = 1,
     .keywords = "SIZE",
     .reply_ms = 30},
    {"a dripped reply renews nothing",
     AT_MAIL,
     {.say = endless, .drip = true},
     "LOST no reply in time (MAIL)",
     1,
     0,
     .keywords = "SIZE",
     .reply_ms = 30},
};
/* clang-format on */

static void make_texts(void)
{
    memset(long_line, 'x', sizeof long_line - 1);
    memcpy(long_line, "250 ", 4);
    memcpy(long_line + sizeof long_line - 3, "\r\n", 3);
    memset(endless, 'x', sizeof endless - 1);
    memcpy(endless, "250 ", 4);
    for (size_t i = 0; i < 200; i++)
        memcpy(many_lines + i * 7, "250-a\r\n", 7);
    for (size_t i = 0; i < 70; i++) {
        char *line = long_reply + i * 1002;
        memset(line, 'x', 1000);
        memcpy(line, "250-", 4);
        memcpy(line + 1000, "\r\n", 2);
    }
}

static void run_scenario(const struct scenario *sc)
{
    S.mta[0].actions[sc->at] = sc->action;
    if (sc->keywords)
        S.mta[0].keywords = sc->keywords;
    if (sc->reply_ms)
        S.options.reply_ms = sc->reply_ms;
    if (sc->connect_ms)
        S.options.connect_ms = sc->connect_ms;
    open_pool();
    for (unsigned i = 0; i < sc->before; i++) {
        struct owner *o = send_mail(0, 1);
        RUN_UNTIL(o->is_over);
        expect_story(sc->name, o, WELL);
        settle();
    }
    struct owner *o = send_mail(0, sc->recipients ? sc->recipients : 1);
    o->holds_dot = sc->at == AT_BODY;
    RUN_UNTIL(o->is_over);
    settle();
    expect_story(sc->name, o, sc->story);
    if (S.mta[0].conn_count != sc->connections || S.mta[0].mail_count != sc->mails)
        fail_msg("%s: %u connections, %u mails", sc->name, S.mta[0].conn_count, S.mta[0].mail_count);
}

static void scenarios(void **state)
{
    make_texts();
    for (size_t i = 0; i < COUNT_OF(SCENARIOS); i++) {
        assert_int_equal(set_up(state), 0);
        run_scenario(&SCENARIOS[i]);
        tear_down(state);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scenarios),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
