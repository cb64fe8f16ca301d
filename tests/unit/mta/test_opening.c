/* test_opening.c - from the first byte to READY: TLS, XCLIENT, XFORWARD in several commands, a server given by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "stage.h"

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
        S.options.connect_ms = 20000; /* a handshake under valgrind takes its time */
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

/* ---- a server given by name ---- */

/* /etc/hosts may give ::1 too, where nobody listens: the next address is tried. */
static void by_name(void **state)
{
    (void)state;
    struct err err;
    S.resolver = resolver_new(&S.loop, &err);
    assert_non_null(S.resolver);
    S.servers[0] = (struct endpoint){.kind = ENDPOINT_NAME, .port = S.mta[0].port, .name = "localhost"};
    open_pool();
    struct owner *o = send_mail(0, 1);
    RUN_UNTIL(o->is_over);
    expect_story("by name", o, WELL);
    char server[40];
    snprintf(server, sizeof server, "localhost:%u", S.mta[0].port);
    o = new_owner(1);
    o->waits = true;
    say_mail(o, NULL);
    RUN_UNTIL(*o->story);
    assert_true(str_equal(mta_server(&o->x), str_of_z(server)));
}

/* Given up while the name is being asked for: nothing comes of it any more. */
static void by_name_given_up(void **state)
{
    (void)state;
    struct err err;
    S.resolver = resolver_new(&S.loop, &err);
    assert_non_null(S.resolver);
    S.servers[0] = (struct endpoint){.kind = ENDPOINT_NAME, .port = S.mta[0].port, .name = "localhost"};
    open_pool();
    struct owner *o = send_mail(0, 1);
    loop_run_tasks(&S.loop);
    mta_end(&o->x);
    mta_pool_free(&S.pool);
    settle();
    assert_int_equal(S.mta[0].seen[AT_EHLO], 0);
    finish_owner(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(presents_by_xclient), STAGED(xclient_makes_room),
        cmocka_unit_test(xclients),  cmocka_unit_test(presents_in_two_commands),
        cmocka_unit_test(tls_cases), STAGED(by_name),
        STAGED(by_name_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
