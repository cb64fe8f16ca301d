/*
 * test_exchange.c - mails through a pool to a scripted MTA in the same loop: every way they can go, every fault at
 * every place. Most are rows of SCENARIOS: what the MTA does otherwise, and the story that the mail's owner is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "mta/exchange.h"
#include "mta/pool.h"

#include "fake_mta.h"

/* ---- the stage: a loop, two MTAs, a pool, mails ---- */

enum { OWNERS = 40 };

/* A mail's owner: pipelines what it may, and writes down what it is told. */
struct owner {
    struct stage *stage;
    struct mta_exchange x;
    struct arena arena;
    struct mta_client client;
    char story[2048];
    unsigned recipients, answered, accepted;
    size_t body_left; /* bytes still to be sent, beyond the text */
    const char *body;
    bool at_line_start;
    bool is_over;
    int ends_at; /* gives the mail up when this step was told; -1: never */
    bool waits;  /* does nothing by itself */
    bool holds_dot;
    bool saw_high;
};

struct stage {
    struct loop loop;
    struct fake_mta mta[2];
    struct endpoint servers[2];
    struct mta_pool_options options;
    struct event_log events;
    struct counters *counters;
    int event_pipe[2];
    struct mta_pool *pool;
    struct tls_context *tls;
    struct owner owners[OWNERS];
    bool was_probed;
};

static struct stage S;

static PRINTF_LIKE(2, 3) void tell_story(struct owner *o, const char *fmt, ...)
{
    size_t len = strlen(o->story);
    va_list args;
    va_start(args, fmt);
    if (len)
        len += (size_t)snprintf(o->story + len, sizeof o->story - len, " | ");
    vsnprintf(o->story + len, sizeof o->story - len, fmt, args);
    va_end(args);
}

static void finish_owner(struct owner *o)
{
    mta_end(&o->x);
    arena_fini(&o->arena);
    o->is_over = true;
}

static void send_body(struct owner *o)
{
    static const char CHUNK[16384] = {0};
    while (o->body_left) {
        size_t n = MIN_OF(o->body_left, sizeof CHUNK);
        if (mta_unsent_bytes(&o->x) > MTA_HIGH_BYTES) {
            o->saw_high = true;
            return;
        }
        if (!mta_body(&o->x, str_of(CHUNK, n)))
            return;
        o->body_left -= n;
    }
    if (!mta_body(&o->x, str_of_z(o->body)))
        return;
    if (!o->holds_dot)
        mta_dot(&o->x, o->at_line_start);
}

static void on_reply(void *arg, enum mta_step step, size_t index, const struct mta_reply *reply)
{
    static const char *const STEPS[] = {"MAIL", "RCPT", "DATA", "DOT"};
    struct owner *o = arg;
    char which[8] = "";
    if (step == MTA_STEP_RCPT)
        snprintf(which, sizeof which, "%zu", index);
    tell_story(o, "%s%s %d%s%s " PRI_STR, STEPS[step], which, reply->code, *reply->enhanced ? " " : "", reply->enhanced,
               STR_ARG(reply->text));
    if (o->waits)
        return;
    if ((int)step == o->ends_at) {
        finish_owner(o);
        return;
    }
    bool is_refused = reply->code >= 400;
    if (step == MTA_STEP_RCPT) {
        o->answered++;
        o->accepted += !is_refused;
        is_refused = false;
        if (o->answered == o->recipients) {
            if (o->accepted)
                mta_data(&o->x);
            else
                finish_owner(o);
        }
    } else if (step == MTA_STEP_DATA && !is_refused) {
        send_body(o);
    } else if (step == MTA_STEP_DOT) {
        finish_owner(o);
    }
    if (is_refused && !o->is_over)
        finish_owner(o);
}

static void on_drained(void *arg)
{
    struct owner *o = arg;
    assert_true(mta_unsent_bytes(&o->x) <= MTA_LOW_BYTES);
    send_body(o);
}

static void on_failed(void *arg, enum mta_failure failure, const char *text)
{
    static const char *const FAILURES[] = {"UNAVAILABLE", "LOST", "BROKEN", "LACKS", "UNKNOWN"};
    struct owner *o = arg;
    tell_story(o, "%s %s", FAILURES[failure], text);
    finish_owner(o);
}

static const struct mta_ops OWNER_OPS = {on_reply, on_drained, on_failed};

static int set_up(void **state)
{
    struct err err;
    (void)state;
    memset(&S, 0, sizeof S);
    if (!loop_init(&S.loop, &err) || pipe(S.event_pipe))
        return -1;
    S.counters = calloc(1, sizeof *S.counters);
    event_log_init(&S.events, S.event_pipe[1], "mx", S.counters);
    for (int i = 0; i < 2; i++) {
        fake_start(&S.mta[i], &S.loop);
        S.servers[i] = (struct endpoint){.kind = ENDPOINT_IP, .port = S.mta[i].port};
        assert_true(ip_parse(STR("127.0.0.1"), &S.servers[i].ip));
    }
    S.options = (struct mta_pool_options){.name = "default",
                                          .servers = S.servers,
                                          .server_count = 1,
                                          .hostname = "mx.example.org",
                                          .tls = MTA_TLS_MAY,
                                          .xforward = true,
                                          .max_connections = 10,
                                          .idle_ms = 60000,
                                          .retry_down_ms = 60000,
                                          .connect_ms = 2000,
                                          .reply_ms = 2000};
    return 0;
}

static void open_pool(void)
{
    S.pool = mta_pool_new(&S.loop, &S.options, NULL, S.tls, &S.events);
    assert_non_null(S.pool);
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < OWNERS; i++)
        if (S.owners[i].stage && !S.owners[i].is_over)
            finish_owner(&S.owners[i]);
    mta_pool_free(&S.pool);
    for (int i = 0; i < 2; i++)
        fake_stop(&S.mta[i]);
    loop_run_once(&S.loop, 0);
    event_log_fini(&S.events);
    close(S.event_pipe[0]);
    close(S.event_pipe[1]);
    free(S.counters);
    tls_free(&S.tls);
    loop_fini(&S.loop);
    return 0;
}

static void turn(void)
{
    fake_drip(&S.mta[0]);
    fake_drip(&S.mta[1]);
    loop_run_once(&S.loop, 2);
}

/* Turns until it is so; a second without it is a failure. */
#define RUN_UNTIL(condition)                                                                                           \
    do {                                                                                                               \
        int64_t give_up_ms = clock_monotonic_ms() + 4000;                                                              \
        while (!(condition) && clock_monotonic_ms() < give_up_ms)                                                      \
            turn();                                                                                                    \
        if (!(condition))                                                                                              \
            fail_msg("never came: %s; story so far: %s; heard: " PRI_STR, #condition, S.owners[0].story,               \
                     STR_ARG(buf_str(&S.mta[0].heard)));                                                               \
    } while (0)

/* A few turns, in which nothing is expected to happen. */
static void settle(void)
{
    for (int i = 0; i < 8; i++)
        turn();
}

static struct owner *new_owner(int n)
{
    struct owner *o = &S.owners[n];
    *o = (struct owner){.stage = &S, .body = "Subject: x\r\n\r\nhello\r\n", .at_line_start = true, .ends_at = -1};
    arena_init(&o->arena, 1 << 20);
    o->client = (struct mta_client){.port = 4711,
                                    .name = STR("host.example"),
                                    .helo = STR("laptop"),
                                    .login = STR("alice"),
                                    .id = STR("id-1"),
                                    .esmtp = true,
                                    .session = (uint32_t)n + 1};
    assert_true(ip_parse(STR("192.0.2.7"), &o->client.ip));
    mta_begin(&o->x, S.pool, &o->client, &o->arena, &OWNER_OPS, o);
    return o;
}

static void say_mail(struct owner *o, const struct smtp_mail_params *params)
{
    static const struct smtp_mail_params NONE = {0};
    struct smtp_path from = {.whole = STR("a@example.org")};
    assert_true(mta_mail(&o->x, &from, params ? params : &NONE));
}

static void say_rcpt(struct owner *o)
{
    static const struct smtp_rcpt_params NONE = {0};
    char text[40];
    snprintf(text, sizeof text, "r%u@example.net", o->recipients++);
    struct smtp_path to = {.whole = str_of_z(text)};
    assert_true(mta_rcpt(&o->x, &to, &NONE));
}

/* A mail that goes its way by itself. */
static struct owner *send_mail(int n, unsigned recipients)
{
    struct owner *o = new_owner(n);
    say_mail(o, NULL);
    while (o->recipients < recipients)
        say_rcpt(o);
    return o;
}

static void expect_story(const char *name, const struct owner *o, const char *story)
{
    if (strcmp(o->story, story) != 0)
        fail_msg("%s:\n  told     %s\n  expected %s", name, o->story, story);
}

static void expect_heard(const char *name, const struct fake_mta *mta, const char *heard)
{
    if (!str_equal(buf_str(&mta->heard), str_of_z(heard)))
        fail_msg("%s: heard\n" PRI_STR "\nexpected\n%s", name, STR_ARG(buf_str(&mta->heard)), heard);
}

/* ---- scenarios: one mail (after some that went well), one MTA ---- */

#define WELL    "MAIL 250 2.1.0 Ok | RCPT0 250 2.1.5 Ok | DATA 354 go ahead | DOT 250 2.0.0 queued"
#define TO_DATA "MAIL 250 2.1.0 Ok | RCPT0 250 2.1.5 Ok | DATA 354 go ahead | "

static char long_line[3000], many_lines[8000], endless[30000], long_reply[80000];

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

/* ---- what is said, to the letter ---- */

static void conversation(void **state)
{
    (void)state;
    S.mta[0].keywords = "PIPELINING\nSIZE\nXFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE";
    open_pool();
    struct owner *o = send_mail(0, 2);
    RUN_UNTIL(o->is_over);
    o = send_mail(0, 1);
    RUN_UNTIL(o->is_over);
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

/* ---- several servers ---- */

static void fails_over(void **state)
{
    (void)state;
    S.options.server_count = 2;
    fake_stop_listening(&S.mta[0]);
    open_pool();
    for (int i = 0; i < 4; i++) {
        struct owner *o = send_mail(i, 1);
        RUN_UNTIL(o->is_over);
        expect_story("failover", o, WELL);
    }
    assert_int_equal(S.mta[1].mail_count, 4);
    const char *why;
    assert_false(mta_pool_is_down(S.pool, &why));
}

static void fails_over_from_a_bad_greeting(void **state)
{
    (void)state;
    S.options.server_count = 2;
    S.mta[0].actions[AT_CONNECT] = (struct fake_action){.say = "554 no\r\n"};
    open_pool();
    struct owner *o = send_mail(0, 1);
    RUN_UNTIL(o->is_over);
    expect_story("failover", o, WELL);
    assert_int_equal(S.mta[1].mail_count, 1);
    char server[40];
    snprintf(server, sizeof server, "127.0.0.1:%u", S.mta[1].port);
    o = new_owner(1);
    assert_null(mta_server(&o->x).ptr);
    o->ends_at = MTA_STEP_MAIL;
    o->waits = true;
    say_mail(o, NULL);
    RUN_UNTIL(*o->story);
    assert_true(str_equal(mta_server(&o->x), str_of_z(server)));
}

static size_t read_events(char *to, size_t size)
{
    event_log_flush(&S.events);
    ssize_t n = read(S.event_pipe[0], to, size - 1);
    to[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

/* Down is told once, refused at once, found up again by the pool itself, told once. */
static void goes_down_and_up(void **state)
{
    (void)state;
    char events[4096];
    const char *why = NULL;
    S.options.retry_down_ms = 30;
    S.mta[0].actions[AT_CONNECT] = (struct fake_action){.say = "421 4.3.2 closed\r\n", .cut = true, .times = 3};
    open_pool();
    struct owner *o = send_mail(0, 1);
    RUN_UNTIL(o->is_over);
    expect_story("down", o, "UNAVAILABLE it refused the connection: 421 closed");
    assert_true(mta_pool_is_down(S.pool, &why));
    assert_string_equal(why, "it refused the connection: 421 closed");
    unsigned connections = S.mta[0].conn_count;
    o = send_mail(0, 1);
    loop_run_tasks(&S.loop); /* the end of this very turn */
    expect_story("at once", o, "UNAVAILABLE it refused the connection: 421 closed");
    assert_int_equal(S.mta[0].conn_count, connections);
    RUN_UNTIL(!mta_pool_is_down(S.pool, &why));
    assert_int_equal(S.mta[0].conn_count, 4);
    o = send_mail(0, 1);
    RUN_UNTIL(o->is_over);
    expect_story("up", o, WELL);
    assert_int_equal(S.mta[0].conn_count, 4);
    read_events(events, sizeof events);
    const char *down = strstr(events, "\"event\":\"relay\"");
    assert_non_null(down);
    assert_non_null(strstr(down, "\"pool\":\"default\""));
    assert_non_null(strstr(down, "\"state\":\"down\""));
    const char *up = strstr(down + 1, "\"event\":\"relay\"");
    assert_non_null(up);
    assert_non_null(strstr(up, "\"state\":\"up\""));
    assert_null(strstr(up + 1, "\"event\":\"relay\""));
}

static void all_down(void **state)
{
    (void)state;
    const char *why = NULL;
    S.options.server_count = 2;
    fake_stop_listening(&S.mta[0]);
    fake_stop_listening(&S.mta[1]);
    open_pool();
    struct owner *o = send_mail(0, 1);
    RUN_UNTIL(o->is_over);
    expect_story("all down", o, "UNAVAILABLE connection refused");
    assert_true(mta_pool_is_down(S.pool, &why));
}

/* A server that is only slow to greet while others of its connections work is busy, not down. */
static void busy_is_not_down(void **state)
{
    (void)state;
    const char *why;
    S.options.connect_ms = 30;
    S.mta[0].actions[AT_CONNECT] = (struct fake_action){.say = "", .first = 1};
    open_pool();
    struct owner *first = new_owner(0);
    first->waits = true;
    say_mail(first, NULL);
    RUN_UNTIL(*first->story);
    struct owner *second = send_mail(1, 1);
    RUN_UNTIL(second->is_over);
    expect_story("busy", second, "UNAVAILABLE no answer in time (greeting)");
    assert_false(mta_pool_is_down(S.pool, &why));
}

static void takes_turns(void **state)
{
    (void)state;
    S.options.server_count = 2;
    open_pool();
    for (int i = 0; i < 6; i++) {
        struct owner *o = send_mail(i, 1);
        RUN_UNTIL(o->is_over);
    }
    assert_int_equal(S.mta[0].mail_count, 3);
    assert_int_equal(S.mta[1].mail_count, 3);
    assert_int_equal(S.mta[0].conn_count, 1);
}

static void prefers_the_least_busy(void **state)
{
    (void)state;
    S.options.server_count = 2;
    S.options.balance = MTA_LEAST;
    open_pool();
    for (int i = 0; i < 4; i++) {
        struct owner *o = new_owner(i);
        o->waits = true;
        say_mail(o, NULL);
        RUN_UNTIL(*o->story);
    }
    assert_int_equal(S.mta[0].open_count, 2);
    assert_int_equal(S.mta[1].open_count, 2);
    /* those at the first server end: it gets the next two */
    for (int i = 0; i < 4; i++)
        if (str_equal(mta_server(&S.owners[i].x), mta_server(&S.owners[0].x)) && i)
            finish_owner(&S.owners[i]);
    finish_owner(&S.owners[0]);
    settle();
    for (int i = 10; i < 12; i++) {
        struct owner *o = new_owner(i);
        o->waits = true;
        say_mail(o, NULL);
        RUN_UNTIL(*o->story);
    }
    assert_int_equal(S.mta[0].open_count + S.mta[1].open_count, 4);
}

/* ---- the queue ---- */

static void waits_for_a_connection(void **state)
{
    (void)state;
    S.options.max_connections = 2;
    open_pool();
    for (int i = 0; i < 30; i++)
        send_mail(i, 1);
    for (int i = 0; i < 30; i++) {
        RUN_UNTIL(S.owners[i].is_over);
        expect_story("queue", &S.owners[i], WELL);
    }
    assert_int_equal(S.mta[0].mail_count, 30);
    assert_int_equal(S.mta[0].conn_count, 2);
}

static void waits_in_vain(void **state)
{
    (void)state;
    S.options.max_connections = 1;
    S.options.connect_ms = 40;
    open_pool();
    struct owner *first = new_owner(0);
    first->waits = true;
    say_mail(first, NULL);
    RUN_UNTIL(*first->story);
    struct owner *second = send_mail(1, 1), *third = send_mail(2, 1), *fourth = send_mail(3, 1);
    finish_owner(third); /* gives up while it waits */
    RUN_UNTIL(second->is_over && fourth->is_over);
    expect_story("in vain", second, "UNAVAILABLE all connections to it are in use");
    expect_story("in vain too", fourth, "UNAVAILABLE all connections to it are in use");
    expect_story("given up", third, "");
}

/* Whoever waits for a connection hears at once when the last server goes down. */
static void waits_for_a_server_that_goes_down(void **state)
{
    (void)state;
    S.options.max_connections = 1;
    S.mta[0].actions[AT_CONNECT] = (struct fake_action){.say = "554 5.3.2 no\r\n"};
    open_pool();
    struct owner *first = send_mail(0, 1), *second = send_mail(1, 1);
    int64_t before_ms = clock_monotonic_ms();
    RUN_UNTIL(first->is_over && second->is_over);
    assert_true(clock_monotonic_ms() - before_ms < S.options.connect_ms / 2);
    expect_story("waited", second, "UNAVAILABLE it refused the connection: 554 no");
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

/* ---- presenting the client ---- */

static void presents_by_xclient(void **state)
{
    (void)state;
    S.options.xclient = MTA_XCLIENT_ON;
    S.mta[0].keywords = "PIPELINING\nXFORWARD ADDR\nXCLIENT NAME ADDR PORT PROTO HELO LOGIN";
    open_pool();
    struct owner *o = send_mail(0, 1);
    RUN_UNTIL(o->is_over);
    o = send_mail(0, 1); /* the same session: the same connection, presented already */
    RUN_UNTIL(o->is_over);
    expect_heard("XCLIENT", &S.mta[0],
                 "1 EHLO mx.example.org\n"
                 "1 XCLIENT PROTO=ESMTP HELO=laptop LOGIN=alice PORT=4711 ADDR=192.0.2.7 NAME=host.example\n"
                 "1 EHLO laptop\n"
                 "1 MAIL FROM:<a@example.org>\n"
                 "1 RCPT TO:<r0@example.net>\n"
                 "1 DATA\n"
                 "1 MAIL FROM:<a@example.org>\n"
                 "1 RCPT TO:<r0@example.net>\n"
                 "1 DATA\n");
    o = send_mail(1, 1); /* another session */
    RUN_UNTIL(o->is_over);
    expect_story("another session", o, WELL);
    assert_int_equal(S.mta[0].conn_count, 2);
}

/* With one connection allowed, the one that belongs to another client makes room. */
static void xclient_makes_room(void **state)
{
    (void)state;
    S.options.xclient = MTA_XCLIENT_AUTO;
    S.options.max_connections = 1;
    S.mta[0].keywords = "PIPELINING\nXCLIENT NAME ADDR";
    open_pool();
    for (int i = 0; i < 5; i++)
        send_mail(i, 1);
    for (int i = 0; i < 5; i++) {
        RUN_UNTIL(S.owners[i].is_over);
        expect_story("by turns", &S.owners[i], WELL);
    }
    assert_int_equal(S.mta[0].conn_count, 5);
    assert_int_equal(S.mta[0].seen[AT_QUIT], 4);
}

static const struct {
    const char *name;
    enum mta_xclient xclient;
    const char *keywords;
    const char *refusal; /* to XCLIENT */
    const char *story;
    bool is_down;
} XCLIENTS[] = {
    {"on, not offered", MTA_XCLIENT_ON, "PIPELINING", NULL, "UNAVAILABLE it does not offer XCLIENT, which is required",
     true},
    {"auto, not offered", MTA_XCLIENT_AUTO, "PIPELINING", NULL, WELL, false},
    {"this client is refused", MTA_XCLIENT_AUTO, "XCLIENT ADDR", "554 5.7.1 you are listed\r\n",
     "MAIL 554 5.7.1 you are listed", false},
    {"this client is refused by 421", MTA_XCLIENT_ON, "XCLIENT ADDR", "421 4.7.0 too many of you\r\n",
     "MAIL 451 4.7.0 too many of you", false},
    {"we are not authorised", MTA_XCLIENT_ON, "XCLIENT ADDR", "550 5.7.0 not authorized\r\n",
     "MAIL 451 4.3.0 The mail server behind this one refuses to work with us; try again later", false},
    {"an attribute is not taken", MTA_XCLIENT_ON, "XCLIENT ADDR", "501 5.5.4 bad\r\n",
     "MAIL 451 4.3.0 The mail server behind this one refuses to work with us; try again later", false},
    {"nonsense", MTA_XCLIENT_ON, "XCLIENT ADDR", "250 ok\r\n", "BROKEN a reply that cannot be in its place (XCLIENT)",
     true},
};

static void xclients(void **state)
{
    for (size_t i = 0; i < COUNT_OF(XCLIENTS); i++) {
        const char *why;
        assert_int_equal(set_up(state), 0);
        S.options.xclient = XCLIENTS[i].xclient;
        S.mta[0].keywords = XCLIENTS[i].keywords;
        if (XCLIENTS[i].refusal)
            S.mta[0].actions[AT_XCLIENT] = (struct fake_action){.say = XCLIENTS[i].refusal};
        open_pool();
        struct owner *o = send_mail(0, 1);
        RUN_UNTIL(o->is_over);
        expect_story(XCLIENTS[i].name, o, XCLIENTS[i].story);
        assert_int_equal(mta_pool_is_down(S.pool, &why), XCLIENTS[i].is_down);
        settle();
        assert_int_equal(S.mta[0].open_count, strcmp(XCLIENTS[i].story, WELL) == 0);
        tear_down(state);
    }
}

/* A long XFORWARD takes two commands; without PIPELINING each waits for its reply. */
static void presents_in_two_commands(void **state)
{
    static char name[255];
    for (int pipelining = 0; pipelining < 2; pipelining++) {
        assert_int_equal(set_up(state), 0);
        S.mta[0].keywords = pipelining ? "PIPELINING\nXFORWARD NAME ADDR HELO" : "XFORWARD NAME ADDR HELO";
        open_pool();
        memset(name, 'x', sizeof name);
        struct owner *o = new_owner(0);
        o->client.name = o->client.helo = str_of(name, sizeof name);
        say_mail(o, NULL);
        say_rcpt(o);
        RUN_UNTIL(o->is_over);
        expect_story("two commands", o, WELL);
        assert_int_equal(S.mta[0].seen[AT_XFORWARD], 2);
        tear_down(state);
    }
}

/* ---- TLS ---- */

static char tls_dir[64], certificate_file[96], key_file[96];

static void make_certificate(void)
{
    struct err err;
    snprintf(tls_dir, sizeof tls_dir, "/tmp/mailweir-test-XXXXXX");
    assert_non_null(mkdtemp(tls_dir));
    snprintf(certificate_file, sizeof certificate_file, "%s/cert.pem", tls_dir);
    snprintf(key_file, sizeof key_file, "%s/key.pem", tls_dir);
    if (!tls_make_self_signed("localhost", certificate_file, key_file, &err))
        fail_msg("%s", err.text);
}

static void remove_certificate(void)
{
    unlink(certificate_file);
    unlink(key_file);
    rmdir(tls_dir);
}

static const struct {
    const char *name;
    enum mta_tls tls;
    bool verifies, is_offered, server_has_tls;
    const char *reply; /* to STARTTLS */
    const char *story; /* its beginning */
    unsigned starttls; /* commands seen */
} TLS_CASES[] = {
    {"required", MTA_TLS_REQUIRED, false, true, true, NULL, WELL, 1},
    {"may", MTA_TLS_MAY, false, true, true, NULL, WELL, 1},
    {"off", MTA_TLS_OFF, false, true, true, NULL, WELL, 0},
    {"may, not offered", MTA_TLS_MAY, false, false, false, NULL, WELL, 0},
    {"required, not offered", MTA_TLS_REQUIRED, false, false, false, NULL,
     "UNAVAILABLE it does not offer STARTTLS, which is required", 0},
    {"verify, self-signed", MTA_TLS_VERIFY, true, true, true, NULL, "UNAVAILABLE TLS: ", 1},
    {"required, refused", MTA_TLS_REQUIRED, false, true, false, "454 4.7.0 not now\r\n",
     "UNAVAILABLE it refused STARTTLS, which is required: 454 not now", 1},
    {"may, refused", MTA_TLS_MAY, false, true, false, "454 4.7.0 not now\r\n", WELL, 1},
    {"may, no handshake: once, then plain", MTA_TLS_MAY, false, true, false, "220 go\r\n", WELL, 1},
    {"required, no handshake", MTA_TLS_REQUIRED, false, true, false, "220 go\r\n", "UNAVAILABLE TLS: ", 1},
    {"injection", MTA_TLS_MAY, false, true, false, "220 go\r\n250 injected\r\n",
     "BROKEN it spoke in the clear after STARTTLS", 1},
};

static void tls_cases(void **state)
{
    make_certificate();
    for (size_t i = 0; i < COUNT_OF(TLS_CASES); i++) {
        struct err err;
        struct tls_certificate certificate = {certificate_file, key_file};
        struct tls_server_options server = {.certificates = &certificate, .count = 1, .min_version = TLS1_2_VERSION};
        struct tls_client_options client = {.verify = TLS_CASES[i].verifies};
        assert_int_equal(set_up(state), 0);
        S.options.tls = TLS_CASES[i].tls;
        S.options.tls_was_set = true;
        S.tls = tls_client_new(&client, &err);
        assert_non_null(S.tls);
        if (TLS_CASES[i].server_has_tls)
            S.mta[0].tls = tls_server_new(&server, &err);
        S.mta[0].keywords = TLS_CASES[i].is_offered ? "PIPELINING\nSTARTTLS" : "PIPELINING";
        if (TLS_CASES[i].reply)
            S.mta[0].actions[AT_STARTTLS] = (struct fake_action){.say = TLS_CASES[i].reply};
        open_pool();
        struct owner *o = send_mail(0, 1);
        RUN_UNTIL(o->is_over);
        if (strncmp(o->story, TLS_CASES[i].story, strlen(TLS_CASES[i].story)) != 0)
            fail_msg("%s: %s", TLS_CASES[i].name, o->story);
        if (strcmp(TLS_CASES[i].story, WELL) == 0) { /* again, to see what is remembered */
            o = send_mail(0, 1);
            RUN_UNTIL(o->is_over);
            expect_story(TLS_CASES[i].name, o, WELL);
        }
        if (S.mta[0].seen[AT_STARTTLS] != TLS_CASES[i].starttls)
            fail_msg("%s: %u STARTTLS", TLS_CASES[i].name, S.mta[0].seen[AT_STARTTLS]);
        struct tls_context *server_tls = S.mta[0].tls;
        tear_down(state);
        tls_free(&server_tls);
    }
    remove_certificate();
}

/* ---- the pool ---- */

static void on_probed(void *arg)
{
    struct stage *stage = arg;
    assert_false(stage->was_probed);
    stage->was_probed = true;
}

static void probes(void **state)
{
    (void)state;
    S.options.server_count = 2;
    S.mta[0].keywords = "SIZE 5000\n8BITMIME\nDSN";
    S.mta[1].keywords = "SIZE 4000\n8BITMIME\nSMTPUTF8";
    open_pool();
    assert_false(mta_pool_capabilities(S.pool).known);
    mta_pool_start(S.pool, on_probed, &S);
    assert_false(S.was_probed);
    RUN_UNTIL(S.was_probed);
    struct mta_capabilities can = mta_pool_capabilities(S.pool);
    assert_true(can.known);
    assert_true(can.eightbitmime);
    assert_false(can.smtputf8);
    assert_false(can.dsn);
    assert_int_equal(can.size, 4000);
    /* the probes' connections serve the first mails */
    struct owner *o = send_mail(0, 1);
    RUN_UNTIL(o->is_over);
    expect_story("after the probe", o, WELL);
    assert_int_equal(S.mta[0].conn_count + S.mta[1].conn_count, 2);
    assert_string_equal(mta_pool_name(S.pool), "default");
}

static void probes_what_is_away(void **state)
{
    (void)state;
    const char *why;
    S.options.server_count = 2;
    S.options.connect_ms = 50;
    fake_stop_listening(&S.mta[0]);
    S.mta[1].actions[AT_CONNECT] = (struct fake_action){.say = ""}; /* accepts, says nothing */
    open_pool();
    int64_t before_ms = clock_monotonic_ms();
    mta_pool_start(S.pool, on_probed, &S);
    RUN_UNTIL(S.was_probed);
    assert_true(clock_monotonic_ms() - before_ms < 1000);
    settle();
    assert_true(mta_pool_is_down(S.pool, &why));
    assert_false(mta_pool_capabilities(S.pool).known);
}

static void idle_connections_leave(void **state)
{
    (void)state;
    S.options.idle_ms = 30;
    open_pool();
    struct owner *o = send_mail(0, 1);
    RUN_UNTIL(o->is_over);
    assert_int_equal(S.mta[0].open_count, 1);
    RUN_UNTIL(S.mta[0].open_count == 0);
    assert_int_equal(S.mta[0].seen[AT_QUIT], 1);
}

static void worn_connections_leave(void **state)
{
    (void)state;
    open_pool();
    for (int i = 0; i < 101; i++) {
        struct owner *o = send_mail(0, 1);
        RUN_UNTIL(o->is_over);
        expect_story("one of many", o, WELL);
    }
    settle();
    assert_int_equal(S.mta[0].conn_count, 2);
    assert_int_equal(S.mta[0].seen[AT_QUIT], 1);
}

/* Errors count too: Postfix slows a connection down that makes many. */
static void faulty_connections_leave(void **state)
{
    (void)state;
    S.mta[0].actions[AT_RCPT] = (struct fake_action){.say = "550 5.1.1 unknown\r\n"};
    open_pool();
    struct owner *o = send_mail(0, 10);
    RUN_UNTIL(o->is_over);
    settle();
    assert_int_equal(S.mta[0].open_count, 0);
    assert_int_equal(S.mta[0].seen[AT_QUIT], 1);
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

/* Tables set the stage for each of their rows themselves. */
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scenarios),
        TEST(conversation),
        TEST(crlf_before_the_dot),
        TEST(resets_after_refusal),
        cmocka_unit_test(lacking),
        TEST(lacking_at_rcpt),
        TEST(fails_over),
        TEST(fails_over_from_a_bad_greeting),
        TEST(goes_down_and_up),
        TEST(all_down),
        TEST(busy_is_not_down),
        TEST(takes_turns),
        TEST(prefers_the_least_busy),
        TEST(waits_for_a_connection),
        TEST(waits_in_vain),
        TEST(waits_for_a_server_that_goes_down),
        cmocka_unit_test(gives_up),
        TEST(gives_up_amid_a_pipeline),
        TEST(gives_up_before_354),
        TEST(gives_up_amid_the_body),
        TEST(end_is_harmless),
        TEST(second_try_differs),
        TEST(second_try_is_unseen),
        TEST(back_pressure),
        TEST(body_stalls),
        TEST(ends_before_the_dot_left),
        TEST(presents_by_xclient),
        TEST(xclient_makes_room),
        cmocka_unit_test(xclients),
        cmocka_unit_test(presents_in_two_commands),
        cmocka_unit_test(tls_cases),
        TEST(probes),
        TEST(probes_what_is_away),
        TEST(idle_connections_leave),
        TEST(worn_connections_leave),
        TEST(faulty_connections_leave),
        TEST(next_mail_from_inside),
        TEST(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
