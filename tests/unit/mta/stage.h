/*
 * stage.h - what the tests of mta/ play on: a loop, two scripted MTAs (fake_mta.h), a pool, and owners of mails, who
 * pipeline what they may and write down what they are told. Expects cmocka.h before it.
 */
#ifndef STAGE_H
#define STAGE_H

#include "base/clock.h"
#include "mta/exchange.h"
#include "mta/pool.h"

#include "fake_mta.h"

/* The story of a mail that goes well, and its beginning up to the body. */
#define WELL    "MAIL 250 2.1.0 Ok | RCPT0 250 2.1.5 Ok | DATA 354 go ahead | DOT 250 2.0.0 queued"
#define TO_DATA "MAIL 250 2.1.0 Ok | RCPT0 250 2.1.5 Ok | DATA 354 go ahead | "

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
    struct resolver *resolver;
    struct owner owners[OWNERS];
    bool was_probed;
};

static struct stage S;

static inline PRINTF_LIKE(2, 3) void tell_story(struct owner *o, const char *fmt, ...)
{
    size_t len = strlen(o->story);
    va_list args;
    va_start(args, fmt);
    if (len)
        len += (size_t)snprintf(o->story + len, sizeof o->story - len, " | ");
    vsnprintf(o->story + len, sizeof o->story - len, fmt, args);
    va_end(args);
}

static inline void finish_owner(struct owner *o)
{
    mta_end(&o->x);
    arena_fini(&o->arena);
    o->is_over = true;
}

static inline void send_body(struct owner *o)
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

static inline void on_reply(void *arg, enum mta_step step, size_t index, const struct mta_reply *reply)
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

static inline void on_drained(void *arg)
{
    struct owner *o = arg;
    assert_true(mta_unsent_bytes(&o->x) <= MTA_LOW_BYTES);
    send_body(o);
}

static inline void on_failed(void *arg, enum mta_failure failure, const char *text)
{
    static const char *const FAILURES[] = {"UNAVAILABLE", "LOST", "BROKEN", "LACKS", "UNKNOWN"};
    struct owner *o = arg;
    tell_story(o, "%s %s", FAILURES[failure], text);
    finish_owner(o);
}

static const struct mta_ops OWNER_OPS = {on_reply, on_drained, on_failed};

static inline int set_up(void **state)
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

static inline void open_pool(void)
{
    S.pool = mta_pool_new(&S.loop, &S.options, S.resolver, S.tls, &S.events);
    assert_non_null(S.pool);
}

static inline int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < OWNERS; i++)
        if (S.owners[i].stage && !S.owners[i].is_over)
            finish_owner(&S.owners[i]);
    mta_pool_free(&S.pool);
    resolver_free(&S.resolver);
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

static inline void turn(void)
{
    fake_drip(&S.mta[0]);
    fake_drip(&S.mta[1]);
    loop_run_once(&S.loop, 2);
}

/* Turns until it is so; a second without it is a failure. */
#define RUN_UNTIL(condition)                                                                                           \
    do {                                                                                                               \
        int64_t give_up_ms = clock_monotonic_ms() + 30000;                                                             \
        while (!(condition) && clock_monotonic_ms() < give_up_ms)                                                      \
            turn();                                                                                                    \
        if (!(condition))                                                                                              \
            fail_msg("never came: %s; story so far: %s; heard: " PRI_STR, #condition, S.owners[0].story,               \
                     STR_ARG(buf_str(&S.mta[0].heard)));                                                               \
    } while (0)

/* A few turns, in which nothing is expected to happen. */
static inline void settle(void)
{
    for (int i = 0; i < 8; i++)
        turn();
}

static inline struct owner *new_owner(int n)
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

static inline void say_mail(struct owner *o, const struct smtp_mail_params *params)
{
    static const struct smtp_mail_params NONE = {0};
    struct smtp_path from = {.whole = STR("a@example.org")};
    assert_true(mta_mail(&o->x, &from, params ? params : &NONE));
}

static inline void say_rcpt(struct owner *o)
{
    static const struct smtp_rcpt_params NONE = {0};
    char text[40];
    snprintf(text, sizeof text, "r%u@example.net", o->recipients++);
    struct smtp_path to = {.whole = str_of_z(text)};
    assert_true(mta_rcpt(&o->x, &to, &NONE));
}

/* A mail that goes its way by itself. */
static inline struct owner *send_mail(int n, unsigned recipients)
{
    struct owner *o = new_owner(n);
    say_mail(o, NULL);
    while (o->recipients < recipients)
        say_rcpt(o);
    return o;
}

static inline void expect_story(const char *name, const struct owner *o, const char *story)
{
    if (strcmp(o->story, story) != 0)
        fail_msg("%s:\n  told     %s\n  expected %s", name, o->story, story);
}

static inline void expect_heard(const char *name, const struct fake_mta *mta, const char *heard)
{
    if (!str_equal(buf_str(&mta->heard), str_of_z(heard)))
        fail_msg("%s: heard\n" PRI_STR "\nexpected\n%s", name, STR_ARG(buf_str(&mta->heard)), heard);
}

/* Tables set the stage for each of their rows themselves. */
#define STAGED(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

#endif
