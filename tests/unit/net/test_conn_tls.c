/* TLS on a connection: both ends in one loop, or one end against the test's own hands. */
#include "side.h"

#include <openssl/err.h>

#include "tls_files.h"

static struct side server, client;
static struct tls_context *server_ctx, *client_ctx;
static struct tls_ticket_keys keys;

static struct tls_context *make_server(int min_version, bool has_tickets)
{
    struct err err;
    struct tls_certificate files = {ec_cert, ec_key};
    struct tls_server_options options = {
        .certificates = &files, .count = 1, .min_version = min_version, .ticket_keys = has_tickets ? &keys : NULL};
    struct tls_context *ctx = tls_server_new(&options, &err);
    assert_non_null(ctx);
    return ctx;
}

static struct tls_context *make_client(bool verify, const char *ca_file)
{
    struct err err;
    struct tls_client_options options = {.verify = verify, .ca_file = ca_file};
    struct tls_context *ctx = tls_client_new(&options, &err);
    assert_non_null(ctx);
    return ctx;
}

static int set_up(void **state)
{
    tls_ticket_keys_init(&keys);
    server_ctx = make_server(TLS1_2_VERSION, true);
    client_ctx = make_client(false, NULL);
    return set_up_loop(state);
}

static int tear_down(void **state)
{
    side_fini(&server);
    side_fini(&client);
    tls_free(&server_ctx);
    tls_free(&client_ctx);
    assert_int_equal(ERR_peek_error(), 0); /* nothing is left for the next one to stumble over */
    return tear_down_loop(state);
}

static void begin_plain(void)
{
    int pair[2];
    make_tcp_pair(pair);
    side_accept(&server, pair[0]);
    side_accept(&client, pair[1]);
}

static void begin_tls(const char *name)
{
    struct err err;
    begin_plain();
    assert_true(conn_start_tls_server(&server.c, server_ctx, &err));
    assert_true(conn_start_tls_client(&client.c, client_ctx, name, &err));
}

static void begin(void)
{
    begin_tls("localhost");
    RUN_UNTIL(server.readies && client.readies);
}

static void again(void)
{
    side_fini(&server);
    side_fini(&client);
}

/* ---- handshakes ---- */

static void handshake(void **state)
{
    (void)state;
    static const struct {
        int max_version;
        const char *version, *cipher;
    } cases[] = {
        {TLS1_3_VERSION, "TLSv1.3", "TLS_AES_256_GCM_SHA384"},
        {TLS1_2_VERSION, "TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        SSL_CTX_set_max_proto_version(tls_ssl_ctx(client_ctx), cases[i].max_version);
        begin_tls("localhost");
        assert_int_equal(server.readies + client.readies, 0);
        assert_false(conn_is_tls(&server.c));
        assert_null(conn_tls_cipher(&server.c).ptr);
        assert_true(conn_send(&client.c, STR("EHLO a\r\n"))); /* waits for the handshake */
        RUN_UNTIL(server.inputs);
        assert_true(side_got(&server, "EHLO a\r\n"));
        assert_true(conn_is_tls(&server.c) && conn_is_tls(&client.c));
        assert_true(str_equal(conn_tls_version(&server.c), str_of_z(cases[i].version)));
        assert_true(str_equal(conn_tls_cipher(&server.c), str_of_z(cases[i].cipher)));
        assert_true(conn_send(&server.c, STR("250 a\r\n")));
        RUN_UNTIL(client.inputs);
        assert_true(side_got(&client, "250 a\r\n"));
        assert_int_equal(server.readies, 1);
        assert_int_equal(client.readies, 1);
        assert_null(server.c.in.data);
        assert_null(server.c.out.data);
        again();
    }
}

static void two_kinds_of_certificates(void **state)
{
    (void)state;
    struct err err;
    static const char *const NAMES[] = {"localhost"};
    struct tls_certificate files[] = {{ec_cert, ec_key, NULL, 0}, {rsa_cert, rsa_key, NAMES, 1}};
    struct tls_server_options options = {.certificates = files, .count = 2, .min_version = TLS1_2_VERSION};
    tls_free(&server_ctx);
    server_ctx = tls_server_new(&options, &err);
    assert_non_null(server_ctx);
    static const struct {
        const char *signatures;
        int key_type;
    } cases[] = {{"ECDSA+SHA256", EVP_PKEY_EC}, {"RSA-PSS+SHA256", EVP_PKEY_RSA}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        SSL_CTX_set1_sigalgs_list(tls_ssl_ctx(client_ctx), cases[i].signatures);
        begin();
        X509 *shown = SSL_get0_peer_certificate(client.c.ssl);
        assert_int_equal(EVP_PKEY_get_base_id(X509_get0_pubkey(shown)), cases[i].key_type);
        again();
    }
}

/* What the server heard of a client that did not like it; on TLS 1.3 the client is ready before it is heard. */
static void failing_handshakes(void **state)
{
    (void)state;
    struct tls_context *strict = make_client(true, other_cert), *old = make_client(false, NULL),
                       *modern_server = make_server(TLS1_3_VERSION, false), *rsa_only = make_client(false, NULL),
                       *trusting = make_client(true, ec_cert);
    SSL_CTX_set_max_proto_version(tls_ssl_ctx(old), TLS1_2_VERSION);
    SSL_CTX_set_max_proto_version(tls_ssl_ctx(rsa_only), TLS1_2_VERSION);
    assert_int_equal(SSL_CTX_set_cipher_list(tls_ssl_ctx(rsa_only), "aRSA"), 1);
    const struct {
        const char *what;
        struct tls_context *server, *client;
        const char *name, *client_error, *server_error;
    } cases[] = {
        {"unknown authority", server_ctx, strict, "localhost",
         "the peer's certificate is not accepted: self-signed certificate",
         "the client does not trust our certificate: unknown ca"},
        {"another name", server_ctx, trusting, "mx.example.org",
         "the peer's certificate is not accepted: hostname mismatch",
         "the client does not trust our certificate: sslv3 alert bad certificate"},
        {"another address", server_ctx, trusting, "127.0.0.2",
         "the peer's certificate is not accepted: IP address mismatch",
         "the client does not trust our certificate: sslv3 alert bad certificate"},
        {"an old client", modern_server, old, "localhost", "no shared version of TLS", "no shared version of TLS"},
        {"no cipher in common", server_ctx, rsa_only, "localhost", "TLS failed: sslv3 alert handshake failure",
         "no shared cipher"},
        {"the name", server_ctx, trusting, "localhost", NULL, NULL},
        {"the address", server_ctx, trusting, "127.0.0.1", NULL, NULL},
        {"the longer address", server_ctx, trusting, "::1", NULL, NULL},
        {"no name at all", server_ctx, trusting, NULL, NULL, NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err;
        begin_plain();
        assert_true(conn_start_tls_server(&server.c, cases[i].server, &err));
        assert_true(conn_start_tls_client(&client.c, cases[i].client, cases[i].name, &err));
        if (cases[i].client_error) {
            RUN_UNTIL(client.ends && server.ends);
            assert_int_equal(client.why, CONN_TLS_FAILED);
            assert_int_equal(server.why, CONN_TLS_FAILED);
            assert_string_equal(client.error, cases[i].client_error);
            assert_string_equal(server.error, cases[i].server_error);
            assert_int_equal(server.readies, 0);
        } else {
            RUN_UNTIL(client.readies && server.readies);
        }
        again();
    }
    tls_free(&strict);
    tls_free(&old);
    tls_free(&modern_server);
    tls_free(&rsa_only);
    tls_free(&trusting);
}

static int begin_against_hands(void)
{
    struct err err;
    int pair[2];
    make_tcp_pair(pair);
    side_accept(&server, pair[0]);
    side_init(&client);
    client.c.fd = -1;
    client.c.loop = &loop;
    assert_true(conn_start_tls_server(&server.c, server_ctx, &err));
    return pair[1];
}

static void plain_text_on_a_tls_port(void **state)
{
    (void)state;
    static const char *const texts[] = {"EHLO me.example\r\n", "GET / HTTP/1.0\r\n\r\n"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        int peer = begin_against_hands();
        say(peer, texts[i]);
        RUN_UNTIL(server.ends);
        assert_int_equal(server.why, CONN_TLS_FAILED);
        assert_string_equal(server.error, "plain text on a TLS port");
        close(peer);
        again();
    }
}

static void peer_leaves_the_handshake(void **state)
{
    (void)state;
    int peer = begin_against_hands();
    assert_int_equal(send(peer, "\x16\x03\x01\x02", 4, 0), 4);
    close(peer);
    RUN_UNTIL(server.ends);
    assert_int_equal(server.why, CONN_TLS_FAILED);
    assert_string_equal(server.error, "the peer closed the connection during the TLS handshake");
}

static void handshake_has_a_deadline(void **state)
{
    (void)state;
    int peer = begin_against_hands();
    conn_set_deadline(&server.c, loop_now_ms(&loop) + 30);
    assert_int_equal(send(peer, "\x16\x03\x01\x20\x00", 5, 0), 5);
    for (int64_t start = loop_now_ms(&loop); !server.ends && loop_now_ms(&loop) < start + 2000;) {
        assert_int_equal(send(peer, "\x01", 1, MSG_NOSIGNAL), 1); /* dripped */
        loop_run_once(&loop, 2);
    }
    assert_int_equal(server.why, CONN_DEADLINE);
    conn_close_when_sent(&server.c, side_closed, &server); /* there is nothing to say it in */
    run_turns(1);
    assert_int_equal(server.closeds, 1);
    close(peer);
}

/* ---- STARTTLS ---- */

static void start_tls(struct side *s)
{
    struct err err;
    struct str in = conn_input(&s->c);
    s->on_input = NULL;
    assert_true(str_starts(in, STR("STARTTLS\r\n")));
    conn_consume(&s->c, 10);
    assert_true(conn_send(&s->c, STR("220 go ahead\r\n")));
    assert_true(conn_start_tls_server(&s->c, server_ctx, &err));
    assert_int_equal(conn_input(&s->c).len, 0);
}

static void client_starts_tls(struct side *s)
{
    struct err err;
    side_take_all(s);
    s->on_input = NULL;
    assert_true(conn_start_tls_client(&s->c, client_ctx, "localhost", &err));
}

static void injected_plain_text_is_discarded(void **state)
{
    (void)state;
    begin_plain();
    server.on_input = start_tls;
    client.on_input = client_starts_tls;
    assert_true(conn_send(&client.c, STR("STARTTLS\r\nMAIL FROM:<evil@example>\r\n")));
    RUN_UNTIL(server.readies && client.readies);
    assert_true(side_got(&client, "220 go ahead\r\n"));
    assert_true(conn_send(&client.c, STR("EHLO again\r\n")));
    RUN_UNTIL(buf_len(&server.got));
    run_turns(3);
    assert_true(side_got(&server, "EHLO again\r\n"));
}

/* What was said in the clear goes out in the clear, even if the socket takes it only by and by; what is said after the
 * start of TLS never does. */
static void clear_before_secret(void **state)
{
    (void)state;
    static char noise[60000], got[1 << 20];
    struct err err;
    int pair[2];
    size_t sent = 0, at = 0;
    make_pair(pair);
    side_accept(&server, pair[0]);
    memset(noise, 'n', sizeof noise);
    while (conn_unsent_bytes(&server.c) == 0) {
        assert_true(conn_send_now(&server.c, str_of(noise, sizeof noise)));
        sent += sizeof noise;
    }
    assert_true(conn_start_tls_server(&server.c, server_ctx, &err));
    assert_true(conn_send(&server.c, STR("secret")));
    assert_true(conn_send_now(&server.c, STR("er")));
    run_turns(2);
    while (at < sent) {
        ssize_t n = recv(pair[1], got + at, sizeof got - at, MSG_DONTWAIT);
        at += n > 0 ? (size_t)n : 0;
        loop_run_once(&loop, n > 0 ? 0 : 1);
    }
    assert_int_equal(at, sent);
    for (size_t i = 0; i < at; i++)
        assert_int_equal(got[i], 'n');
    side_accept(&client, pair[1]);
    assert_true(conn_start_tls_client(&client.c, client_ctx, NULL, &err));
    RUN_UNTIL(client.inputs);
    assert_true(side_got(&client, "secreter"));
}

static void a_name_that_is_none(void **state)
{
    (void)state;
    struct err err = {.text = ""};
    char name[300];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    begin_plain();
    assert_false(conn_start_tls_client(&client.c, client_ctx, name, &err));
    assert_non_null(strstr(err.text, "cannot be asked for in TLS"));
    assert_true(conn_send(&client.c, STR("still in the clear"))); /* as it was */
    RUN_UNTIL(server.inputs);
    assert_true(side_got(&server, "still in the clear"));
}

/* ---- tickets ---- */

static SSL_SESSION *session;

static void connect_again(struct tls_context *ctx, bool expected)
{
    struct err err;
    begin_plain();
    assert_true(conn_start_tls_server(&server.c, ctx, &err));
    assert_true(conn_start_tls_client(&client.c, client_ctx, NULL, &err));
    assert_int_equal(SSL_set_session(client.c.ssl, session), 1);
    RUN_UNTIL(server.readies && client.readies);
    assert_int_equal(conn_tls_was_resumed(&server.c), expected);
    assert_int_equal(conn_tls_was_resumed(&client.c), expected);
    again();
}

static void resumes_at_another_worker(void **state)
{
    (void)state;
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct tls_context *other_worker = make_server(TLS1_2_VERSION, true);
    for (size_t i = 0; i < COUNT_OF(versions); i++) {
        tls_ticket_keys_init(&keys);
        SSL_CTX_set_max_proto_version(tls_ssl_ctx(client_ctx), versions[i]);
        begin();
        assert_false(conn_tls_was_resumed(&server.c));
        assert_true(conn_send(&server.c, STR("x")));
        RUN_UNTIL(client.inputs); /* the ticket came before it */
        session = SSL_get1_session(client.c.ssl);
        assert_true(SSL_SESSION_has_ticket(session));
        again();
        connect_again(other_worker, true);
        tls_ticket_keys_rotate(&keys);
        connect_again(other_worker, true);
        tls_ticket_keys_rotate(&keys);
        connect_again(other_worker, false);
        keys.version++; /* a writer that died: a whole handshake, not a failure */
        connect_again(other_worker, false);
        keys.version++;
        SSL_SESSION_free(session);
    }
    tls_free(&other_worker);
}

static void without_keys_no_tickets(void **state)
{
    (void)state;
    tls_free(&server_ctx);
    server_ctx = make_server(TLS1_2_VERSION, false);
    begin();
    assert_true(conn_send(&server.c, STR("x")));
    RUN_UNTIL(client.inputs);
    assert_false(SSL_SESSION_has_ticket(SSL_get_session(client.c.ssl)));
}

/* ---- bodies ---- */

static void take_some(struct side *s)
{
    struct str in = conn_input(&s->c);
    size_t n = MIN_OF(in.len, 1 + (size_t)s->inputs * 7919 % 30000);
    assert_true(buf_append(&s->got, in.ptr, n));
    conn_consume(&s->c, n);
    conn_pause_input(&s->c);
}

/* 5 MB, taken all at once, or in uneven pieces with a pause after each, under wide and narrow bounds. */
static void large_bodies(void **state)
{
    (void)state;
    static char body[5 << 20];
    static const struct {
        size_t piece, in_max;
        bool pauses, from_client;
    } cases[] = {
        {65536, 65536, false, false}, {65536, 65536, true, false}, {16384, 5000, false, true},
        {16384, 5000, true, true},    {700, 1 << 20, false, true}, {20000, 1 << 20, true, true},
    };
    fill_body(body, sizeof body);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct source source = {.body = body, .len = sizeof body, .piece = cases[i].piece};
        struct side *from = cases[i].from_client ? &client : &server, *to = cases[i].from_client ? &server : &client;
        begin();
        to->c.in.max = (uint32_t)cases[i].in_max;
        to->on_input = cases[i].pauses ? take_some : NULL;
        from->arg = &source;
        from->on_drained = source_go_on;
        source_go_on(from);
        while (buf_len(&to->got) < sizeof body && !to->ends) {
            loop_run_once(&loop, 1);
            assert_true(conn_input(&to->c).len <= cases[i].in_max);
            assert_true(conn_unsent_bytes(&from->c) <= side_limits.out_low_bytes + source.piece);
            conn_resume_input(&to->c);
        }
        assert_int_equal(buf_len(&to->got), sizeof body);
        assert_memory_equal(buf_str(&to->got).ptr, body, sizeof body);
        again();
    }
}

static void pause_once(struct side *s)
{
    conn_pause_input(&s->c);
    s->on_input = NULL;
}

/* More than one read takes, in OpenSSL's buffer: no descriptor tells of it, resuming does. */
static void resume_finds_what_openssl_holds(void **state)
{
    (void)state;
    static char body[12000];
    fill_body(body, sizeof body);
    begin();
    server.c.in.max = 1000;
    server.on_input = pause_once;
    assert_true(conn_send(&client.c, str_of(body, sizeof body)));
    RUN_UNTIL(server.inputs == 1);
    run_turns(3);
    assert_int_equal(server.inputs, 1);
    assert_int_equal(conn_input(&server.c).len, 1000);
    assert_true(conn_has_more_input(&server.c));
    conn_resume_input(&server.c);
    RUN_UNTIL(buf_len(&server.got) == sizeof body);
    assert_memory_equal(buf_str(&server.got).ptr, body, sizeof body);
    assert_false(conn_has_more_input(&server.c));
}

/* Carries at most max bytes; returns how many. */
static size_t carry(int from, int to, size_t max)
{
    static char bytes[65536];
    ssize_t n = recv(from, bytes, MIN_OF(max, sizeof bytes), MSG_DONTWAIT);
    if (n <= 0)
        return 0;
    assert_int_equal(send(to, bytes, (size_t)n, 0), n);
    return (size_t)n;
}

static void take_one_and_pause(struct side *s)
{
    assert_true(buf_append(&s->got, conn_input(&s->c).ptr, 1));
    conn_consume(&s->c, 1);
    conn_pause_input(&s->c);
}

/* A record of two requests and half of another, and the owner takes one: resuming gives it the second though OpenSSL
 * waits for the rest of the third. */
static void half_a_record_holds_nothing_up(void **state)
{
    (void)state;
    struct err err;
    int near_server[2], near_client[2], waiting = 0;
    make_pair(near_server);
    make_pair(near_client);
    side_accept(&server, near_server[0]);
    side_accept(&client, near_client[0]);
    server.c.in.max = 2; /* it is read to the bound, so that more may be held */
    assert_true(conn_start_tls_server(&server.c, server_ctx, &err));
    assert_true(conn_start_tls_client(&client.c, client_ctx, NULL, &err));
    for (int i = 0; i < 100 && !(server.readies && client.readies); i++) {
        loop_run_once(&loop, 1);
        carry(near_server[1], near_client[1], 65536);
        carry(near_client[1], near_server[1], 65536);
    }
    assert_true(server.readies && client.readies);
    server.on_input = take_one_and_pause;
    assert_true(conn_send(&client.c, STR("ab")));
    run_turns(1);
    assert_true(conn_send(&client.c, STR("c")));
    run_turns(1);
    assert_int_equal(ioctl(near_client[1], FIONREAD, &waiting), 0);
    carry(near_client[1], near_server[1], (size_t)waiting - 5);
    RUN_UNTIL(server.inputs == 1);
    run_turns(2);
    conn_resume_input(&server.c);
    RUN_UNTIL(server.inputs == 2);
    assert_true(side_got(&server, "ab"));
    conn_resume_input(&server.c);
    run_turns(3);
    assert_int_equal(server.inputs, 2);
    assert_int_equal(carry(near_client[1], near_server[1], 65536), 5);
    RUN_UNTIL(server.inputs == 3);
    assert_true(side_got(&server, "abc"));
    close(near_server[1]);
    close(near_client[1]);
}

/* The end of the handshake and the first requests in one packet. */
static void data_behind_the_handshake(void **state)
{
    (void)state;
    struct err err;
    int near_server[2], near_client[2];
    make_pair(near_server);
    make_pair(near_client);
    side_accept(&server, near_server[0]);
    side_accept(&client, near_client[0]);
    assert_true(conn_start_tls_server(&server.c, server_ctx, &err));
    assert_true(conn_start_tls_client(&client.c, client_ctx, NULL, &err));
    assert_true(conn_send(&client.c, STR("EHLO a\r\n")));
    for (int i = 0; i < 100 && !client.readies; i++) {
        loop_run_once(&loop, 1);
        carry(near_server[1], near_client[1], 65536);
        if (!client.readies)
            carry(near_client[1], near_server[1], 65536);
    }
    run_turns(3);
    assert_int_equal(server.readies, 0);
    assert_true(carry(near_client[1], near_server[1], 65536) > 0);
    RUN_UNTIL(server.inputs);
    assert_int_equal(server.readies, 1);
    assert_true(side_got(&server, "EHLO a\r\n"));
    close(near_server[1]);
    close(near_client[1]);
}

/* New keys are asked for while the socket is full and half a record is on its way. */
static void new_keys_amid_a_body(void **state)
{
    (void)state;
    static char body[4 << 20];
    struct source source = {.body = body, .len = sizeof body, .piece = 65536};
    int asked = 0;
    fill_body(body, sizeof body);
    begin();
    run_turns(3);
    client.on_input = take_some;
    server.arg = &source;
    server.on_drained = source_go_on;
    source_go_on(&server);
    while (buf_len(&client.got) < sizeof body && !client.ends && !server.ends) {
        if (buf_len(&client.got) > (size_t)asked * 300000 && asked < 12) {
            asked++;
            assert_int_equal(SSL_key_update(client.c.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
            SSL_do_handshake(client.c.ssl);
            assert_true(conn_send(&client.c, STR("x")));
        }
        loop_run_once(&loop, 1);
        conn_resume_input(&client.c);
    }
    ERR_clear_error();
    assert_int_equal(asked, 12);
    assert_int_equal(buf_len(&client.got), sizeof body);
    assert_memory_equal(buf_str(&client.got).ptr, body, sizeof body);
    RUN_UNTIL(buf_len(&server.got) == 12);
}

/* ---- ends ---- */

static void goodbye(void **state)
{
    (void)state;
    int waiting = 0;
    begin();
    assert_true(conn_send(&server.c, STR("221 bye\r\n")));
    conn_close_when_sent(&server.c, side_closed, &server);
    RUN_UNTIL(client.ends);
    assert_true(side_got(&client, "221 bye\r\n"));
    assert_int_equal(client.why, CONN_PEER_CLOSED);
    assert_int_equal(server.closeds, 0);
    conn_close(&client.c);
    RUN_UNTIL(server.closeds);
    again();

    begin(); /* close_notify is tried on a mere close */
    run_turns(3);
    conn_close(&server.c);
    assert_int_equal(ioctl(client.c.fd, FIONREAD, &waiting), 0);
    assert_true(waiting > 0);
    RUN_UNTIL(client.ends);
    assert_int_equal(client.why, CONN_PEER_CLOSED);
    again();

    begin(); /* a peer that just hangs up is taken as one that closed */
    run_turns(3);
    shutdown(client.c.fd, SHUT_RDWR);
    RUN_UNTIL(server.ends);
    assert_int_equal(server.why, CONN_PEER_CLOSED);
}

static void last_words_are_heard(void **state)
{
    (void)state;
    static char body[300000];
    begin();
    run_turns(3);
    assert_true(conn_send(&server.c, STR("552 too big\r\n")));
    loop_run_tasks(&loop);
    assert_int_equal(setsockopt(server.c.fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 1}, sizeof(struct linger)), 0);
    conn_close(&server.c);
    for (int i = 0; i < 4 && !client.ends; i++) {
        assert_true(conn_send_now(&client.c, str_of(body, 30000)));
        loop_run_tasks(&loop);
    }
    RUN_UNTIL(client.ends);
    assert_true(side_got(&client, "552 too big\r\n"));
}

static void broken_record(void **state)
{
    (void)state;
    begin();
    run_turns(3);
    assert_int_equal(send(client.c.fd,
                          "\x17\x03\x03\x00\x20"
                          "0123456789abcdef0123456789abcdef",
                          37, 0),
                     37);
    RUN_UNTIL(server.ends);
    assert_int_equal(server.why, CONN_TLS_FAILED);
    assert_non_null(strstr(server.error, "TLS failed: "));
    assert_false(conn_send(&server.c, STR("x")));
}

static void key_updates_are_counted(void **state)
{
    (void)state;
    begin();
    int sent = 0;
    for (; sent < 1000 && !server.ends; sent++) {
        SSL_key_update(client.c.ssl, SSL_KEY_UPDATE_REQUESTED);
        SSL_do_handshake(client.c.ssl);
        loop_run_once(&loop, 1);
        if (sent == 5) { /* a few are borne, and data comes through */
            assert_true(conn_send(&client.c, STR("x")));
            RUN_UNTIL(server.inputs);
            assert_true(conn_send(&server.c, STR("y")));
            RUN_UNTIL(client.inputs);
        }
    }
    ERR_clear_error();
    assert_true(server.ends);
    assert_int_equal(server.why, CONN_TLS_FAILED);
    assert_true(sent >= 20 && sent <= 100);
}

static void renegotiation_is_refused(void **state)
{
    (void)state;
    SSL_CTX_set_max_proto_version(tls_ssl_ctx(client_ctx), TLS1_2_VERSION);
    SSL_CTX_clear_options(tls_ssl_ctx(client_ctx), SSL_OP_NO_RENEGOTIATION);
    begin();
    run_turns(3);
    int sent = 0;
    for (; sent < 1000 && !server.ends && !client.ends; sent++) {
        SSL_renegotiate(client.c.ssl);
        SSL_do_handshake(client.c.ssl);
        loop_run_once(&loop, 1);
    }
    ERR_clear_error();
    assert_true(sent <= 200);
    assert_int_equal(server.readies, 1);
}

static int freed;
static void close_and_free(struct side *s)
{
    side_fini(s);
    free(s);
    freed++;
}

static void callback_frees_the_owner(void **state)
{
    (void)state;
    static char body[12000];
    enum { ON_READY, ON_INPUT, ON_MORE_INPUT, ON_END, WAYS };
    for (int way = 0; way < WAYS; way++) {
        struct side *s = malloc(sizeof *s);
        struct err err;
        int pair[2];
        assert_non_null(s);
        make_tcp_pair(pair);
        side_accept(s, pair[0]);
        side_accept(&client, pair[1]);
        assert_true(conn_start_tls_server(&s->c, server_ctx, &err));
        assert_true(conn_start_tls_client(&client.c, client_ctx, NULL, &err));
        freed = 0;
        s->on_ready = way == ON_READY ? close_and_free : NULL;
        s->on_input = way == ON_INPUT || way == ON_MORE_INPUT ? close_and_free : NULL;
        s->on_end = close_and_free;
        if (way == ON_MORE_INPUT)
            s->c.in.max = 100;
        assert_true(conn_send(&client.c, str_of(body, sizeof body)));
        if (way == ON_END) {
            RUN_UNTIL(s->inputs);
            conn_close(&client.c);
        }
        RUN_UNTIL(freed == 1);
        side_fini(&client);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(handshake),
        TEST(two_kinds_of_certificates),
        TEST(failing_handshakes),
        TEST(plain_text_on_a_tls_port),
        TEST(peer_leaves_the_handshake),
        TEST(handshake_has_a_deadline),
        TEST(injected_plain_text_is_discarded),
        TEST(clear_before_secret),
        TEST(a_name_that_is_none),
        TEST(resumes_at_another_worker),
        TEST(without_keys_no_tickets),
        TEST(large_bodies),
        TEST(resume_finds_what_openssl_holds),
        TEST(half_a_record_holds_nothing_up),
        TEST(data_behind_the_handshake),
        TEST(new_keys_amid_a_body),
        TEST(goodbye),
        TEST(last_words_are_heard),
        TEST(broken_record),
        TEST(key_updates_are_counted),
        TEST(renegotiation_is_refused),
        TEST(callback_frees_the_owner),
    };
    return cmocka_run_group_tests_name("net/conn_tls", tests, make_tls_files, remove_tls_files);
}
