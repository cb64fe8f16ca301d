/* test_exchange.c - one mail with the MTA: what is said to the letter, extensions, giving up at every step, the second
 * try, bodies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "stage.h"

/* ---- what is said, to the letter ---- */

static void conversation(void **state)
{
    (void)state;
    S.mta[0].keywords = "PIPELINING\nSIZE\nXFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE";
    open_pool();
    struct owner *o = send_mail(0, 2);
    RUN_UNTIL(o->is_over);
    assert_true(S.mta[0].read_count <= 4); /* EHLO; XFORWARD, MAIL, RCPT, RCPT; DATA; body and dot */
    o = send_mail(0, 1);
    RUN_UNTIL(o->is_over);
    assert_true(S.mta[0].read_count <= 7); /* three writes more */
    expect_heard("conversation", &S.mta[0],
                 "1 EHLO mx.example.org\n"
                 "1 XFORWARD PROTO=ESMTP HELO=laptop IDENT=id-1 SOURCE=REMOTE PORT=4711 ADDR=192.0.2.7 "
                 "NAME=host.example\n"
                 "1 MAIL FROM:<a@example.org>\n"
                 "1 RCPT TO:<r0@example.net>\n"
                 "1 RCPT TO:<r1@example.net>\n"
                 "1 DATA\n"
                 "1 XFORWARD PROTO=ESMTP HELO=laptop IDENT=id-1 SOURCE=REMOTE PORT=4711 ADDR=192.0.2.7 "
                 "NAME=host.example\n"
                 "1 MAIL FROM:<a@example.org>\n"
                 "1 RCPT TO:<r0@example.net>\n"
                 "1 DATA\n");
    assert_true(str_equal(buf_str(&S.mta[0].body), STR("Subject: x\r\n\r\nhello\r\n.\r\n")));
    assert_int_equal(S.counters->values[COUNTER_RELAY_CONNECTIONS], 1);
    assert_int_equal(S.counters->values[COUNTER_RELAY_REUSED], 1);
}

static void crlf_before_the_dot(void **state)
{
    (void)state;
    open_pool();
    struct owner *o = new_owner(0);
    o->body = "no line end";
    o->at_line_start = false;
    say_mail(o, NULL);
    say_rcpt(o);
    RUN_UNTIL(o->is_over);
    assert_true(str_equal(buf_str(&S.mta[0].body), STR("no line end\r\n.\r\n")));
    o = new_owner(0);
    o->body = "";
    say_mail(o, NULL);
    say_rcpt(o);
    RUN_UNTIL(o->is_over);
    assert_true(str_equal(buf_str(&S.mta[0].body), STR(".\r\n")));
}

/* Refused mails are reset, before the connection serves another. */
static void resets_after_refusal(void **state)
{
    (void)state;
    S.mta[0].keywords = "PIPELINING";
    S.mta[0].actions[AT_DOT] = (struct fake_action){.say = "554 5.6.0 no\r\n", .times = 1};
    open_pool();
    struct owner *o = send_mail(0, 1);
    RUN_UNTIL(o->is_over);
    o = send_mail(0, 1);
    RUN_UNTIL(o->is_over);
    expect_story("after", o, WELL);
    settle();
    /* while the RSET was under way the second mail took a connection of its own, or waited: both are right */
    assert_true(str_contains_nocase(buf_str(&S.mta[0].heard), STR("1 RSET\n")));
    assert_int_equal(S.mta[0].mail_count, 1);
}

/* A callback may begin the next mail at once, on the same connection. */
static void chained_on_reply(void *arg, enum mta_step step, size_t index, const struct mta_reply *reply)
{
    struct owner *o = arg;
    on_reply(arg, step, index, reply);
    if (step == MTA_STEP_DOT && S.mta[0].mail_count < 5) {
        static const struct mta_ops OPS = {chained_on_reply, on_drained, on_failed};
        o = new_owner((int)(o - S.owners) + 1);
        o->x.ops = &OPS;
        say_mail(o, NULL);
        say_rcpt(o);
    }
}

static void next_mail_from_inside(void **state)
{
    (void)state;
    static const struct mta_ops OPS = {chained_on_reply, on_drained, on_failed};
    open_pool();
    struct owner *o = new_owner(0);
    o->x.ops = &OPS;
    say_mail(o, NULL);
    say_rcpt(o);
    RUN_UNTIL(S.owners[4].is_over);
    for (int i = 0; i < 5; i++)
        expect_story("chained", &S.owners[i], WELL);
    assert_int_equal(S.mta[0].conn_count, 1);
    assert_int_equal(S.mta[0].mail_count, 5);
}

/* A mail that does not fit into its arena fails where it is begun, and leaves nothing behind. */
static void no_memory(void **state)
{
    (void)state;
    open_pool();
    struct owner *o = new_owner(0);
    struct smtp_path path = {.whole = STR("a@example.org")};
    struct smtp_mail_params params = {0};
    arena_fini(&o->arena);
    arena_init(&o->arena, 16);
    assert_false(mta_mail(&o->x, &path, &params));
    finish_owner(o);
    settle();
    assert_int_equal(S.mta[0].conn_count, 0);
}

/* ---- extensions ---- */

static const struct {
    const char *name;
    const char *keywords;
    struct smtp_mail_params params;
    const char *story;
} LACKING[] = {
    {"8BITMIME", "PIPELINING", {.body = SMTP_BODY_8BITMIME}, "LACKS 8BITMIME"},
    {"SMTPUTF8", "PIPELINING\n8BITMIME", {.smtputf8 = true}, "LACKS SMTPUTF8"},
    {"DSN", "PIPELINING", {.ret = SMTP_RET_FULL}, "LACKS DSN"},
    {"SIZE is ours", "PIPELINING", {.has_size = true, .size_bytes = 9}, WELL},
    {"AUTH is ours", "PIPELINING", {.has_auth = true, .auth = {"alice", 5}}, WELL},
    {"all there", FAKE_KEYWORDS, {.body = SMTP_BODY_8BITMIME, .smtputf8 = true, .ret = SMTP_RET_FULL}, WELL},
};

static void lacking(void **state)
{
    for (size_t i = 0; i < COUNT_OF(LACKING); i++) {
        assert_int_equal(set_up(state), 0);
        S.mta[0].keywords = LACKING[i].keywords;
        open_pool();
        struct owner *o = new_owner(0);
        say_mail(o, &LACKING[i].params);
        say_rcpt(o);
        RUN_UNTIL(o->is_over);
        expect_story(LACKING[i].name, o, LACKING[i].story);
        tear_down(state);
    }
}

/* A recipient's DSN parameter on a server without it: found out after MAIL went well. */
static void lacking_at_rcpt(void **state)
{
    (void)state;
    S.mta[0].keywords = "PIPELINING";
    open_pool();
    struct owner *o = new_owner(0);
    struct smtp_path to = {.whole = STR("r@example.net")};
    struct smtp_rcpt_params params = {.notify = SMTP_NOTIFY_NEVER};
    say_mail(o, NULL);
    RUN_UNTIL(*o->story);
    assert_true(mta_rcpt(&o->x, &to, &params));
    RUN_UNTIL(o->is_over);
    expect_story("DSN", o, "MAIL 250 2.1.0 Ok | LACKS DSN");
    RUN_UNTIL(S.mta[0].seen[AT_RSET] == 1);
    assert_int_equal(S.mta[0].open_count, 1);
}

/* ---- giving up, at every step ---- */

static const struct {
    const char *name;
    int step; /* told before the mail is given up; -1: before anything */
    bool is_reset;
    unsigned open; /* connections afterwards */
} GIVEN_UP[] = {
    {"before anything", -1, false, 1},         {"after MAIL", MTA_STEP_MAIL, true, 1},
    {"after RCPT", MTA_STEP_RCPT, true, 1},    {"after DATA", MTA_STEP_DATA, false, 0},
    {"after the dot", MTA_STEP_DOT, false, 1},
};

static void gives_up(void **state)
{
    for (size_t i = 0; i < COUNT_OF(GIVEN_UP); i++) {
        assert_int_equal(set_up(state), 0);
        open_pool();
        struct owner *o = new_owner(0);
        o->ends_at = GIVEN_UP[i].step;
        say_mail(o, NULL);
        if (GIVEN_UP[i].step == -1)
            finish_owner(o);
        else
            say_rcpt(o);
        RUN_UNTIL(o->is_over);
        RUN_UNTIL(S.mta[0].seen[AT_EHLO] == 1);
        settle();
        if (S.mta[0].open_count != GIVEN_UP[i].open || S.mta[0].seen[AT_RSET] != GIVEN_UP[i].is_reset)
            fail_msg("%s: %u open, %u RSET", GIVEN_UP[i].name, S.mta[0].open_count, S.mta[0].seen[AT_RSET]);
        assert_int_equal(S.mta[0].mail_count, GIVEN_UP[i].step == MTA_STEP_DOT);
        /* the next mail goes well, on what is left */
        o = send_mail(1, 1);
        RUN_UNTIL(o->is_over);
        expect_story(GIVEN_UP[i].name, o, WELL);
        assert_int_equal(S.mta[0].conn_count, 2 - GIVEN_UP[i].open);
        tear_down(state);
    }
}

/* Amid replies that are still due: they are swallowed, then RSET. */
static void gives_up_amid_a_pipeline(void **state)
{
    (void)state;
    S.mta[0].keywords = "PIPELINING\nXFORWARD ADDR";
    open_pool();
    struct owner *o = send_mail(0, 1);
    RUN_UNTIL(o->is_over);
    o = send_mail(0, 5);
    finish_owner(o); /* nothing was answered yet */
    settle();
    expect_story("given up", o, "");
    assert_int_equal(S.mta[0].seen[AT_RCPT], 6);
    assert_int_equal(S.mta[0].seen[AT_RSET], 1);
    o = send_mail(0, 1);
    RUN_UNTIL(o->is_over);
    expect_story("next", o, WELL);
    assert_int_equal(S.mta[0].conn_count, 1);
}

/* DATA is under way: its 354 may come, so the connection is of no more use. */
static void gives_up_before_354(void **state)
{
    (void)state;
    S.mta[0].actions[AT_DATA] = (struct fake_action){.say = "", .times = 1};
    open_pool();
    struct owner *o = send_mail(0, 1);
    RUN_UNTIL(S.mta[0].seen[AT_DATA] == 1);
    finish_owner(o);
    settle();
    assert_int_equal(S.mta[0].open_count, 0);
    assert_int_equal(S.mta[0].seen[AT_RSET], 0);
}

/* Amid the body: dropped, and the dot was never sent. */
static void gives_up_amid_the_body(void **state)
{
    (void)state;
    open_pool();
    struct owner *o = new_owner(0);
    o->waits = true;
    say_mail(o, NULL);
    say_rcpt(o);
    RUN_UNTIL(strstr(o->story, "RCPT0"));
    mta_data(&o->x);
    RUN_UNTIL(strstr(o->story, "DATA"));
    assert_true(mta_body(&o->x, STR("Subject: x\r\n\r\nhalf\r\n")));
    RUN_UNTIL(S.mta[0].body_bytes > 0);
    finish_owner(o);
    settle();
    assert_int_equal(S.mta[0].open_count, 0);
    assert_int_equal(S.mta[0].mail_count, 0);
    assert_false(str_contains_nocase(buf_str(&S.mta[0].body), STR("\n.")));
}

static void end_is_harmless(void **state)
{
    (void)state;
    struct mta_exchange x = {0};
    mta_end(&x);
    open_pool();
    struct owner *o = new_owner(0);
    mta_end(&o->x);
    mta_end(&o->x);
    assert_int_equal(mta_unsent_bytes(&o->x), 0);
    assert_null(mta_server(&o->x).ptr);
    finish_owner(o);
}

/* ---- the second try ---- */

/* The owner has heard MAIL's 250 already when the pooled connection dies; on the fresh one MAIL is refused. */
static void second_try_differs(void **state)
{
    (void)state;
    S.mta[0].actions[AT_MAIL] = (struct fake_action){.say = "550 5.7.1 no\r\n", .first = 2};
    S.mta[0].actions[AT_RCPT] = (struct fake_action){.say = "", .cut = true, .first = 1};
    open_pool();
    struct owner *o = send_mail(0, 1);
    RUN_UNTIL(o->is_over);
    settle();
    o = new_owner(0);
    say_mail(o, NULL);
    RUN_UNTIL(*o->story);
    say_rcpt(o);
    RUN_UNTIL(o->is_over);
    expect_story("differs", o, "MAIL 250 2.1.0 Ok | LOST the second try went otherwise than the first");
    assert_int_equal(S.mta[0].conn_count, 2);
}

/* … and where it goes alike, nothing is told twice. */
static void second_try_is_unseen(void **state)
{
    (void)state;
    S.mta[0].actions[AT_DATA] = (struct fake_action){.say = "", .cut = true, .first = 1, .times = 1};
    open_pool();
    struct owner *o = send_mail(0, 1);
    RUN_UNTIL(o->is_over);
    settle();
    o = send_mail(0, 3);
    RUN_UNTIL(o->is_over);
    expect_story("unseen", o,
                 "MAIL 250 2.1.0 Ok | RCPT0 250 2.1.5 Ok | RCPT1 250 2.1.5 Ok | RCPT2 250 2.1.5 Ok | DATA 354 go ahead "
                 "| DOT 250 2.0.0 queued");
    assert_int_equal(S.mta[0].seen[AT_RCPT], 7);
    assert_int_equal(S.mta[0].mail_count, 2);
}

/* ---- bodies ---- */

/* A slow MTA: the owner is told to wait, the dot's reply comes after all of it. */
static void back_pressure(void **state)
{
    (void)state;
    open_pool();
    struct owner *o = new_owner(0);
    o->body_left = 20 << 20;
    o->body = "\r\nend\r\n";
    S.mta[0].actions[AT_BODY] = (struct fake_action){.stop = true};
    say_mail(o, NULL);
    say_rcpt(o);
    RUN_UNTIL(o->saw_high);
    size_t left = o->body_left;
    settle();
    assert_int_equal(o->body_left, left); /* it waits */
    conn_resume_input(&S.mta[0].conns[0]->conn);
    RUN_UNTIL(o->is_over);
    expect_story("back-pressure", o, WELL);
    assert_int_equal(S.mta[0].body_bytes, (20 << 20) + strlen("\r\nend\r\n.\r\n"));
}

static void body_stalls(void **state)
{
    (void)state;
    S.options.reply_ms = 40;
    open_pool();
    struct owner *o = new_owner(0);
    o->body_left = 20 << 20;
    S.mta[0].actions[AT_BODY] = (struct fake_action){.stop = true};
    say_mail(o, NULL);
    say_rcpt(o);
    RUN_UNTIL(o->is_over);
    expect_story("stalled", o, TO_DATA "LOST it stopped taking the message");
}

/* The connection ends while the dot still lies in our buffer: certainly not delivered. */
static void ends_before_the_dot_left(void **state)
{
    (void)state;
    open_pool();
    struct owner *o = new_owner(0);
    o->waits = true;
    S.mta[0].actions[AT_BODY] = (struct fake_action){.stop = true};
    say_mail(o, NULL);
    say_rcpt(o);
    RUN_UNTIL(strstr(o->story, "RCPT0"));
    mta_data(&o->x);
    RUN_UNTIL(strstr(o->story, "DATA"));
    static const char CHUNK[16384] = {0};
    for (int i = 0; i < 1000 && mta_unsent_bytes(&o->x) < MTA_HIGH_BYTES; i++) {
        assert_true(mta_body(&o->x, str_of(CHUNK, sizeof CHUNK)));
        turn();
    }
    mta_dot(&o->x, false);
    assert_true(mta_unsent_bytes(&o->x) > 0);
    fake_close(S.mta[0].conns[0]); /* with input unread: a reset */
    RUN_UNTIL(o->is_over);
    assert_non_null(strstr(o->story, " | LOST "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(conversation),
        STAGED(crlf_before_the_dot),
        STAGED(resets_after_refusal),
        STAGED(next_mail_from_inside),
        STAGED(no_memory),
        cmocka_unit_test(lacking),
        STAGED(lacking_at_rcpt),
        cmocka_unit_test(gives_up),
        STAGED(gives_up_amid_a_pipeline),
        STAGED(gives_up_before_354),
        STAGED(gives_up_amid_the_body),
        STAGED(end_is_harmless),
        STAGED(second_try_differs),
        STAGED(second_try_is_unseen),
        STAGED(back_pressure),
        STAGED(body_stalls),
        STAGED(ends_before_the_dot_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
