/* test_dialogue.c - the table of states: what is sent, which reply may come in its place, where it leads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

#include "mta/dialogue.h"
#include "mta/verdict.h"

static const struct mta_client CLIENT = {.helo = {"laptop", 6}, .login = {"alice", 5}, .esmtp = true, .port = 7};

/* ---- what is sent ---- */

static const struct smtp_mail_params PLAIN_MAIL = {0};
static const struct smtp_mail_params FULL_MAIL = {.has_size = true,
                                                  .size_bytes = 1234,
                                                  .body = SMTP_BODY_8BITMIME,
                                                  .ret = SMTP_RET_HDRS,
                                                  .envid = {"Q+2B1", 5},
                                                  .has_auth = true,
                                                  .auth = {"a=b", 3}};
static const struct smtp_mail_params NOBODYS_MAIL = {.has_auth = true, .auth = {"<>", 2}};

/* clang-format off: a row is a line or two */
static const struct {
    const char *name;
    enum mta_state state;
    unsigned extensions;
    bool is_presented;
    struct mta_command command;
    const char *line;
} ENTERED[] = {
    {"greeting", MTA_AT_GREETING, 0, false, {0}, ""},
    {"EHLO", MTA_AT_EHLO, 0, false, {0}, "EHLO mx.example.org\r\n"},
    {"EHLO after XCLIENT", MTA_AT_EHLO, 0, true, {0}, "EHLO laptop\r\n"},
    {"HELO", MTA_AT_HELO, 0, false, {0}, "HELO mx.example.org\r\n"},
    {"STARTTLS", MTA_AT_STARTTLS, 0, false, {0}, "STARTTLS\r\n"},
    {"idle", MTA_AT_READY, 0, false, {0}, ""},
    {"MAIL", MTA_AT_MAIL, 0, false, {.path = {"a@b", 3}, .mail = &PLAIN_MAIL}, "MAIL FROM:<a@b>\r\n"},
    {"MAIL, null", MTA_AT_MAIL, 0, false, {.path = {"", 0}, .mail = &PLAIN_MAIL}, "MAIL FROM:<>\r\n"},
    {"MAIL with all, nothing offered",
     MTA_AT_MAIL,
     0,
     false,
     {.path = {"a@b", 3}, .mail = &FULL_MAIL},
     "MAIL FROM:<a@b>\r\n"},
    {"MAIL with all, SIZE offered",
     MTA_AT_MAIL,
     SMTP_EXT_SIZE,
     false,
     {.path = {"a@b", 3}, .mail = &FULL_MAIL},
     "MAIL FROM:<a@b> SIZE=1234\r\n"},
    {"MAIL with all, all offered",
     MTA_AT_MAIL,
     SMTP_EXT_SIZE | SMTP_EXT_8BITMIME | SMTP_EXT_DSN | SMTP_EXT_AUTH,
     false,
     {.path = {"a@b", 3}, .mail = &FULL_MAIL},
     "MAIL FROM:<a@b> SIZE=1234 BODY=8BITMIME RET=HDRS ENVID=Q+2B1 AUTH=a+3Db\r\n"},
    {"MAIL, AUTH=<>",
     MTA_AT_MAIL,
     SMTP_EXT_AUTH,
     false,
     {.path = {"a@b", 3}, .mail = &NOBODYS_MAIL},
     "MAIL FROM:<a@b> AUTH=<>\r\n"},
    {"RCPT", MTA_AT_RCPT, 0, false, {.path = {"c@d", 3}}, "RCPT TO:<c@d>\r\n"},
    {"RCPT with DSN",
     MTA_AT_RCPT,
     SMTP_EXT_DSN,
     false,
     {.path = {"c@d", 3}, .rcpt = {.notify = SMTP_NOTIFY_NEVER, .orcpt = {"rfc822;c@d", 10}}},
     "RCPT TO:<c@d> NOTIFY=NEVER ORCPT=rfc822;c@d\r\n"},
    {"DATA", MTA_AT_DATA, 0, false, {0}, "DATA\r\n"},
    {"body", MTA_AT_BODY, 0, false, {0}, ""},
    {"dot", MTA_AT_DOT, 0, false, {0}, ".\r\n"},
    {"RSET", MTA_AT_RSET, 0, false, {0}, "RSET\r\n"},
    {"QUIT", MTA_AT_QUIT, 0, false, {0}, "QUIT\r\n"},
};
/* clang-format on */

static void enters(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(ENTERED); i++) {
        struct mta_dialogue d = {.hostname = "mx.example.org",
                                 .client = &CLIENT,
                                 .is_presented = ENTERED[i].is_presented,
                                 .features.extensions = ENTERED[i].extensions};
        struct buf out;
        buf_init(&out, 4096);
        assert_true(mta_enter(&d, ENTERED[i].state, &ENTERED[i].command, 0, &out));
        if (!str_equal(buf_str(&out), str_of_z(ENTERED[i].line)))
            fail_msg("%s: " PRI_STR, ENTERED[i].name, STR_ARG(buf_str(&out)));
        buf_fini(&out);
    }
}

/* ---- where replies lead ---- */

enum { OURS_TLS = 4, OURS_TLS_MAY = 8, OURS_XCLIENT = 16, OURS_XCLIENT_AUTO = 32 };

static const struct {
    enum mta_state state;
    unsigned code;
    const char *text;
    unsigned wants; /* OURS_… */
    bool is_presented;
    enum mta_move move;
    enum mta_state next;
} REPLIES[] = {
    {MTA_AT_GREETING, 220, "mx ESMTP", 0, false, MTA_ENTERS, MTA_AT_EHLO},
    {MTA_AT_GREETING, 554, "go away", 0, false, MTA_REFUSES, 0},
    {MTA_AT_GREETING, 450, "later", 0, false, MTA_REFUSES, 0},
    {MTA_AT_GREETING, 421, "busy", 0, false, MTA_CLOSES, 0},
    {MTA_AT_GREETING, 250, "ok", 0, false, MTA_BREAKS, 0},
    {MTA_AT_GREETING, 354, "go on", 0, false, MTA_BREAKS, 0},

    {MTA_AT_EHLO, 250, "mx", 0, false, MTA_ENTERS, MTA_AT_READY},
    {MTA_AT_EHLO, 500, "what?", 0, false, MTA_ENTERS, MTA_AT_HELO},
    {MTA_AT_EHLO, 502, "what?", 0, false, MTA_ENTERS, MTA_AT_HELO},
    {MTA_AT_EHLO, 550, "no", 0, false, MTA_REFUSES, 0},
    {MTA_AT_EHLO, 451, "no", 0, false, MTA_REFUSES, 0},
    {MTA_AT_EHLO, 550, "no", OURS_XCLIENT, true, MTA_REFUSES_CLIENT, 0},
    {MTA_AT_EHLO, 220, "mx", 0, false, MTA_BREAKS, 0},
    {MTA_AT_EHLO, 334, "", 0, false, MTA_BREAKS, 0},
    {MTA_AT_EHLO, 421, "bye", 0, false, MTA_CLOSES, 0},

    {MTA_AT_EHLO, 250, "mx\nSTARTTLS", OURS_TLS, false, MTA_ENTERS, MTA_AT_STARTTLS},
    {MTA_AT_EHLO, 250, "mx\nSTARTTLS", OURS_TLS_MAY, false, MTA_ENTERS, MTA_AT_STARTTLS},
    {MTA_AT_EHLO, 250, "mx\nSTARTTLS", 0, false, MTA_ENTERS, MTA_AT_READY},
    {MTA_AT_EHLO, 250, "mx", OURS_TLS, false, MTA_REFUSES, 0},
    {MTA_AT_EHLO, 250, "mx", OURS_TLS_MAY, false, MTA_ENTERS, MTA_AT_READY},
    {MTA_AT_EHLO, 250, "mx\nXCLIENT NAME ADDR", OURS_XCLIENT, false, MTA_ENTERS, MTA_AT_XCLIENT},
    {MTA_AT_EHLO, 250, "mx\nXCLIENT NAME ADDR", OURS_XCLIENT_AUTO, false, MTA_ENTERS, MTA_AT_XCLIENT},
    {MTA_AT_EHLO, 250, "mx\nXCLIENT NAME ADDR", 0, false, MTA_ENTERS, MTA_AT_READY},
    {MTA_AT_EHLO, 250, "mx", OURS_XCLIENT, false, MTA_REFUSES, 0},
    {MTA_AT_EHLO, 250, "mx", OURS_XCLIENT_AUTO, false, MTA_ENTERS, MTA_AT_READY},
    {MTA_AT_EHLO, 250, "mx", OURS_XCLIENT, true, MTA_ENTERS, MTA_AT_READY},
    {MTA_AT_EHLO, 250, "mx\nSTARTTLS\nXCLIENT NAME", OURS_TLS | OURS_XCLIENT, false, MTA_ENTERS, MTA_AT_STARTTLS},

    {MTA_AT_HELO, 250, "mx", 0, false, MTA_ENTERS, MTA_AT_READY},
    {MTA_AT_HELO, 250, "mx", OURS_TLS, false, MTA_REFUSES, 0},
    {MTA_AT_HELO, 250, "mx", OURS_XCLIENT, false, MTA_REFUSES, 0},
    {MTA_AT_HELO, 502, "no", 0, false, MTA_REFUSES, 0},

    {MTA_AT_STARTTLS, 220, "go", OURS_TLS, false, MTA_SHAKES_HANDS, MTA_AT_EHLO},
    {MTA_AT_STARTTLS, 454, "not now", OURS_TLS, false, MTA_REFUSES, 0},
    {MTA_AT_STARTTLS, 454, "not now", OURS_TLS_MAY, false, MTA_ENTERS, MTA_AT_READY},
    {MTA_AT_STARTTLS, 250, "go", OURS_TLS, false, MTA_BREAKS, 0},

    {MTA_AT_XCLIENT, 220, "mx", OURS_XCLIENT, false, MTA_ENTERS, MTA_AT_EHLO},
    {MTA_AT_XCLIENT, 250, "ok", OURS_XCLIENT, false, MTA_BREAKS, 0},
    {MTA_AT_XCLIENT, 554, "5.7.1 no", OURS_XCLIENT, false, MTA_REFUSES_CLIENT, 0},
    {MTA_AT_XCLIENT, 421, "no", OURS_XCLIENT, false, MTA_CLOSES, 0},

    {MTA_AT_READY, 250, "ok", 0, false, MTA_BREAKS, 0},
    {MTA_AT_READY, 550, "no", 0, false, MTA_BREAKS, 0},
    {MTA_AT_READY, 421, "timeout", 0, false, MTA_CLOSES, 0},

    {MTA_AT_XFORWARD, 250, "ok", 0, false, MTA_ENTERS, MTA_AT_MAIL},
    {MTA_AT_XFORWARD, 501, "no", 0, false, MTA_ENTERS, MTA_AT_MAIL},
    {MTA_AT_XFORWARD, 354, "go", 0, false, MTA_BREAKS, 0},

    {MTA_AT_MAIL, 250, "ok", 0, false, MTA_TELLS, 0},
    {MTA_AT_MAIL, 452, "full", 0, false, MTA_TELLS, 0},
    {MTA_AT_MAIL, 550, "no", 0, false, MTA_TELLS, 0},
    {MTA_AT_MAIL, 354, "go", 0, false, MTA_BREAKS, 0},
    {MTA_AT_MAIL, 220, "mx", 0, false, MTA_BREAKS, 0},
    {MTA_AT_MAIL, 221, "bye", 0, false, MTA_BREAKS, 0},
    {MTA_AT_MAIL, 421, "bye", 0, false, MTA_CLOSES, 0},

    {MTA_AT_RCPT, 250, "ok", 0, false, MTA_TELLS, 0},
    {MTA_AT_RCPT, 251, "will forward", 0, false, MTA_TELLS, 0},
    {MTA_AT_RCPT, 550, "no", 0, false, MTA_TELLS, 0},
    {MTA_AT_RCPT, 354, "go", 0, false, MTA_BREAKS, 0},

    {MTA_AT_DATA, 354, "go", 0, false, MTA_TELLS, 0},
    {MTA_AT_DATA, 451, "no", 0, false, MTA_TELLS, 0},
    {MTA_AT_DATA, 554, "no", 0, false, MTA_TELLS, 0},
    {MTA_AT_DATA, 250, "ok", 0, false, MTA_BREAKS, 0},
    {MTA_AT_DATA, 334, "go", 0, false, MTA_BREAKS, 0},

    {MTA_AT_BODY, 250, "ok", 0, false, MTA_BREAKS, 0},
    {MTA_AT_BODY, 552, "too big", 0, false, MTA_BREAKS, 0},
    {MTA_AT_BODY, 421, "bye", 0, false, MTA_CLOSES, 0},

    {MTA_AT_DOT, 250, "queued", 0, false, MTA_TELLS, 0},
    {MTA_AT_DOT, 451, "no", 0, false, MTA_TELLS, 0},
    {MTA_AT_DOT, 554, "no", 0, false, MTA_TELLS, 0},
    {MTA_AT_DOT, 354, "go", 0, false, MTA_BREAKS, 0},

    {MTA_AT_RSET, 250, "ok", 0, false, MTA_ENTERS, MTA_AT_READY},
    {MTA_AT_RSET, 500, "no", 0, false, MTA_BREAKS, 0},
    {MTA_AT_QUIT, 250, "ok", 0, false, MTA_BREAKS, 0},
};

static struct mta_dialogue dialogue_that_wants(unsigned wants)
{
    return (struct mta_dialogue){
        .hostname = "mx.example.org",
        .client = &CLIENT,
        .tls = wants & OURS_TLS       ? MTA_TLS_REQUIRED
               : wants & OURS_TLS_MAY ? MTA_TLS_MAY
                                      : MTA_TLS_OFF,
        .xclient = wants & OURS_XCLIENT        ? MTA_XCLIENT_ON
                   : wants & OURS_XCLIENT_AUTO ? MTA_XCLIENT_AUTO
                                               : MTA_XCLIENT_OFF,
    };
}

static void leads_on(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(REPLIES); i++) {
        struct mta_dialogue d = dialogue_that_wants(REPLIES[i].wants);
        struct smtp_answer answer = {.code = REPLIES[i].code, .text = str_of_z(REPLIES[i].text), .line_count = 1};
        d.is_presented = REPLIES[i].is_presented;
        struct mta_turn turn = mta_on_reply(&d, REPLIES[i].state, &answer);
        bool has_next = turn.move == MTA_ENTERS || turn.move == MTA_SHAKES_HANDS;
        if (turn.move != REPLIES[i].move || (has_next && turn.next != REPLIES[i].next))
            fail_msg("%s, %u %s: move %d, next %s", mta_state_name(REPLIES[i].state), answer.code, REPLIES[i].text,
                     (int)turn.move, mta_state_name(turn.next));
        if (turn.move == MTA_REFUSES || turn.move == MTA_BREAKS)
            assert_non_null(turn.why);
    }
}

/* Every state has a row: no code from 200 to 599 leads to nowhere. */
static void answers_every_code(void **state)
{
    (void)state;
    for (int s = 0; s < MTA_STATE_COUNT; s++) {
        assert_non_null(mta_state_name((enum mta_state)s));
        for (unsigned code = 200; code <= 599; code++) {
            struct mta_dialogue d = dialogue_that_wants(OURS_XCLIENT);
            struct smtp_answer answer = {.code = code, .text = STR("x"), .line_count = 1};
            struct mta_turn turn = mta_on_reply(&d, (enum mta_state)s, &answer);
            if (code / 100 == 3)
                assert_int_equal(turn.move, s == MTA_AT_DATA && code == 354 ? MTA_TELLS : MTA_BREAKS);
            if (code == 421)
                assert_int_equal(turn.move, MTA_CLOSES);
        }
    }
}

/* ---- features ---- */

static const struct {
    const char *name, *text;
    unsigned extensions;
    uint64_t size;
    bool pipelining, starttls, xforward, xclient;
} FEATURES[] = {
    {"none", "mx.example.org", 0, 0, false, false, false, false},
    {"all", "mx\nPIPELINING\nSIZE 1000\n8BITMIME\nSMTPUTF8\nDSN\nAUTH PLAIN\nSTARTTLS\nXFORWARD NAME\nXCLIENT ADDR", 31,
     1000, true, true, true, true},
    {"letter case", "mx\npipelining\nSize 1000\n8bitMime\nstarttls", SMTP_EXT_SIZE | SMTP_EXT_8BITMIME, 1000, true,
     true, false, false},
    {"AUTH=", "mx\nAUTH=LOGIN PLAIN", SMTP_EXT_AUTH, 0, false, false, false, false},
    {"SIZE alone", "mx\nSIZE", SMTP_EXT_SIZE, 0, false, false, false, false},
    {"SIZE 0", "mx\nSIZE 0", SMTP_EXT_SIZE, 0, false, false, false, false},
    {"SIZE beyond 64 bits", "mx\nSIZE 99999999999999999999999", SMTP_EXT_SIZE, 0, false, false, false, false},
    {"the first line is the name", "PIPELINING\nDSN", SMTP_EXT_DSN, 0, false, false, false, false},
    {"not a prefix", "mx\nPIPELININGX\nDSNX\nXDSN", 0, 0, false, false, false, false},
    {"empty lines", "mx\n\n\nDSN\n", SMTP_EXT_DSN, 0, false, false, false, false},
    {"XFORWARD without attributes", "mx\nXFORWARD", 0, 0, false, false, false, false},
    {"nothing at all", "", 0, 0, false, false, false, false},
};

static void reads_features(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(FEATURES); i++) {
        struct mta_features f;
        mta_features_read(&f, str_of_z(FEATURES[i].text));
        if (f.extensions != FEATURES[i].extensions || f.size_bytes != FEATURES[i].size ||
            f.pipelining != FEATURES[i].pipelining || f.starttls != FEATURES[i].starttls ||
            (f.xforward != 0) != FEATURES[i].xforward || (f.xclient != 0) != FEATURES[i].xclient)
            fail_msg("%s", FEATURES[i].name);
    }
}

/* ---- verdicts ---- */

static const struct {
    enum mta_state state;
    unsigned code;
    const char *enhanced;
    int told_code;
    const char *told_enhanced;
    bool is_our_fault;
} VERDICTS[] = {
    {MTA_AT_MAIL, 250, "2.1.0", 250, "2.1.0", false},
    {MTA_AT_MAIL, 250, "", 250, "2.1.0", false},
    {MTA_AT_RCPT, 250, "", 250, "2.1.5", false},
    {MTA_AT_DOT, 250, "", 250, "2.0.0", false},
    {MTA_AT_DATA, 354, "", 354, "", false},
    {MTA_AT_RCPT, 550, "5.1.1", 550, "5.1.1", false},
    {MTA_AT_RCPT, 550, "", 550, "5.0.0", false},
    {MTA_AT_RCPT, 452, "", 452, "4.5.3", false},
    {MTA_AT_MAIL, 452, "", 452, "4.0.0", false},
    {MTA_AT_MAIL, 552, "", 552, "5.3.4", false},
    {MTA_AT_MAIL, 421, "4.7.0", 451, "4.7.0", false},
    {MTA_AT_MAIL, 421, "", 451, "4.4.2", false},
    {MTA_AT_MAIL, 500, "", 451, "4.3.0", true},
    {MTA_AT_MAIL, 501, "5.1.7", 501, "5.1.7", false},
    {MTA_AT_MAIL, 502, "", 451, "4.3.0", true},
    {MTA_AT_DATA, 503, "5.5.1", 451, "4.3.0", true},
    {MTA_AT_MAIL, 530, "5.7.0", 451, "4.3.0", true},
    {MTA_AT_MAIL, 535, "5.7.8", 451, "4.3.0", true},
    {MTA_AT_MAIL, 538, "5.7.11", 451, "4.3.0", true},
    {MTA_AT_XCLIENT, 501, "5.5.4", 451, "4.3.0", true},
    {MTA_AT_XCLIENT, 550, "5.7.0", 451, "4.3.0", true},
    {MTA_AT_XCLIENT, 554, "5.7.1", 554, "5.7.1", false},
};

static void makes_verdicts(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(VERDICTS); i++) {
        struct smtp_answer answer = {.code = VERDICTS[i].code, .text = STR("what it said"), .line_count = 1};
        struct mta_reply reply;
        str_copy_into(answer.enhanced, sizeof answer.enhanced, str_of_z(VERDICTS[i].enhanced));
        bool is_our_fault = mta_verdict(VERDICTS[i].state, &answer, &reply);
        if (reply.code != VERDICTS[i].told_code || is_our_fault != VERDICTS[i].is_our_fault ||
            !str_equal(str_of_z(reply.enhanced), str_of_z(VERDICTS[i].told_enhanced)))
            fail_msg("%s %u: %d %s", mta_state_name(VERDICTS[i].state), answer.code, reply.code, reply.enhanced);
        /* what the server says of our faults is nothing for the client */
        assert_int_equal(str_equal(reply.text, answer.text), !is_our_fault);
    }
}

static const struct {
    const char *name;
    struct str text;
    bool utf8;
    const char *clean;
} TEXTS[] = {
    {"plain", {"Ok: queued\nas 1", 15}, false, "Ok: queued\nas 1"},
    {"controls", {"a\r\0\x1b[2J\x7f\tb", 10}, false, "a[2J b"},
    {"UTF-8 not allowed", {"gr\xc3\xbc\xc3\x9f", 6}, false, "gr"},
    {"UTF-8 allowed", {"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80", 11}, true, "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80"},
    {"broken UTF-8", {"a\xc3(\xff\xed\xa0\x80z", 8}, true, "a(z"},
    {"a control in UTF-8", {"a\xc2\x85z", 4}, true, "az"},
    {"empty", {"", 0}, true, ""},
};

static void cleans_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(TEXTS); i++) {
        struct buf out;
        buf_init(&out, 256);
        assert_true(mta_clean_text(&out, TEXTS[i].text, TEXTS[i].utf8));
        if (!str_equal(buf_str(&out), str_of_z(TEXTS[i].clean)))
            fail_msg("%s: " PRI_STR, TEXTS[i].name, STR_ARG(buf_str(&out)));
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(enters),         cmocka_unit_test(leads_on),       cmocka_unit_test(answers_every_code),
        cmocka_unit_test(reads_features), cmocka_unit_test(makes_verdicts), cmocka_unit_test(cleans_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
