/* Certificates of clients: which is believed, what its subject is, what a ticket remembers of it, which CAs are told.
 */
#include "side.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "tls_files.h"

/* Who may be issued a certificate, or issue one. */
struct bearer {
    EVP_PKEY *key;
    X509 *x;
};

static struct bearer ca, other_ca, between, alice, gone, server_only, stranger, self, deep;
static char ca_file[64], other_ca_file[64];
static struct side server, client;
static struct tls_ticket_keys keys;
static SSL_SESSION *session;

static void add_extension(X509 *x, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    assert_non_null(e);
    assert_int_equal(X509_add_ext(x, e, -1), 1);
    X509_EXTENSION_free(e);
}

/* issuer: NULL, itself. usage: of its key; NULL, it is a CA. */
static struct bearer issue(const char *name, const struct bearer *issuer, const char *usage, long valid_s)
{
    static long serial;
    struct bearer b = {EVP_EC_gen("P-256"), X509_new()};
    X509_set_version(b.x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(b.x), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(b.x), -7200);
    X509_gmtime_adj(X509_getm_notAfter(b.x), valid_s);
    X509_NAME *subject = X509_get_subject_name(b.x);
    X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_UTF8, (const unsigned char *)"Example", -1, -1, 0);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(b.x, issuer ? X509_get_subject_name(issuer->x) : subject);
    X509_set_pubkey(b.x, b.key);
    add_extension(b.x, NID_basic_constraints, usage ? "critical,CA:FALSE" : "critical,CA:TRUE");
    if (usage)
        add_extension(b.x, NID_ext_key_usage, usage);
    assert_true(X509_sign(b.x, issuer ? issuer->key : b.key, EVP_sha256()) > 0);
    return b;
}

static void discard(struct bearer *b)
{
    X509_free(b->x);
    EVP_PKEY_free(b->key);
}

static void write_ca(const char *file, const struct bearer *one)
{
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_X509(f, one->x), 1);
    assert_int_equal(fclose(f), 0);
}

static int make(void **state)
{
    if (make_tls_files(state) != 0)
        return -1;
    snprintf(ca_file, sizeof ca_file, "%s/ca.pem", tls_dir);
    snprintf(other_ca_file, sizeof other_ca_file, "%s/other-ca.pem", tls_dir);
    ca = issue("ca", NULL, NULL, 7200);
    other_ca = issue("other ca", NULL, NULL, 7200);
    between = issue("between", &ca, NULL, 7200);
    alice = issue("alice", &ca, "clientAuth", 7200);
    gone = issue("gone", &ca, "clientAuth", -3600);
    server_only = issue("server", &ca, "serverAuth", 7200);
    stranger = issue("alice", &other_ca, "clientAuth", 7200);
    self = issue("alice", NULL, "clientAuth", 7200);
    deep = issue("deep", &between, "clientAuth", 7200);
    write_ca(ca_file, &ca);
    write_ca(other_ca_file, &other_ca);
    return 0;
}

static int clean(void **state)
{
    struct bearer *all[] = {&ca, &other_ca, &between, &alice, &gone, &server_only, &stranger, &self, &deep};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        discard(all[i]);
    unlink(ca_file);
    unlink(other_ca_file);
    return remove_tls_files(state);
}

static int set_up(void **state)
{
    tls_ticket_keys_init(&keys);
    return set_up_loop(state);
}

static void again(void)
{
    side_fini(&server);
    side_fini(&client);
}

static int tear_down(void **state)
{
    again();
    SSL_SESSION_free(session);
    session = NULL;
    assert_int_equal(ERR_peek_error(), 0);
    return tear_down_loop(state);
}

static struct tls_context *make_server(const char *client_ca_file)
{
    struct err err;
    struct tls_certificate files = {ec_cert, ec_key, NULL, 0, client_ca_file};
    struct tls_server_options options = {
        .certificates = &files, .count = 1, .min_version = TLS1_2_VERSION, .ticket_keys = &keys};
    struct tls_context *ctx = tls_server_new(&options, &err);
    if (!ctx)
        fail_msg("%s", err.text);
    /* what it borrows is looked at again only if it is replaced */
    return ctx;
}

/* A handshake, and the subject that the server then knows ("": none). shows: NULL, nothing; with: a chain's next. */
static void meet(struct tls_context *ctx, const struct bearer *shows, const struct bearer *with, const char *name,
                 int version, char subject[CONN_CERTIFICATE_MAX_BYTES])
{
    struct err err;
    int pair[2];
    struct tls_client_options options = {.verify = false};
    struct tls_context *client_ctx = tls_client_new(&options, &err);
    assert_non_null(client_ctx);
    SSL_CTX_set_max_proto_version(tls_ssl_ctx(client_ctx), version);
    if (shows) {
        assert_int_equal(SSL_CTX_use_certificate(tls_ssl_ctx(client_ctx), shows->x), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey(tls_ssl_ctx(client_ctx), shows->key), 1);
    }
    if (with)
        assert_int_equal(SSL_CTX_add1_chain_cert(tls_ssl_ctx(client_ctx), with->x), 1);
    make_tcp_pair(pair);
    side_accept(&server, pair[0]);
    side_accept(&client, pair[1]);
    assert_int_equal(conn_tls_certificate(&server.c, subject).len, 0); /* plain */
    assert_true(conn_start_tls_server(&server.c, ctx, &err));
    assert_true(conn_start_tls_client(&client.c, client_ctx, name, &err));
    if (session)
        assert_int_equal(SSL_set_session(client.c.ssl, session), 1);
    RUN_UNTIL(server.readies && client.readies);
    assert_true(conn_send(&server.c, STR("x")));
    RUN_UNTIL(client.inputs); /* the ticket came before it */
    assert_int_equal(server.ends, 0);
    subject[0] = '\0';
    conn_tls_certificate(&server.c, subject);
    char of_server[CONN_CERTIFICATE_MAX_BYTES];
    assert_int_equal(conn_tls_certificate(&client.c, of_server).len, 0); /* it is about clients */
    tls_free(&client_ctx);
}

static void who_is_believed(void **state)
{
    (void)state;
    const struct {
        const char *what;
        const struct bearer *shows, *with;
        const char *subject;
    } cases[] = {
        {"none is shown", NULL, NULL, ""},
        {"signed by the CA", &alice, NULL, "CN=alice,O=Example"},
        {"signed by one below it", &deep, &between, "CN=deep,O=Example"},
        {"a link is missing", &deep, NULL, ""},
        {"signed by another CA", &stranger, NULL, ""},
        {"signed by itself", &self, NULL, ""},
        {"out of date", &gone, NULL, ""},
        {"not for clients", &server_only, NULL, ""},
    };
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct tls_context *asks = make_server(ca_file), *does_not = make_server(NULL);
    for (size_t i = 0; i < COUNT_OF(cases) * COUNT_OF(versions); i++) {
        char subject[CONN_CERTIFICATE_MAX_BYTES];
        int version = versions[i % COUNT_OF(versions)];
        size_t n = i / COUNT_OF(versions);
        meet(asks, cases[n].shows, cases[n].with, NULL, version, subject);
        if (strcmp(subject, cases[n].subject) != 0)
            fail_msg("%s, %x: \"%s\", not \"%s\"", cases[n].what, (unsigned)version, subject, cases[n].subject);
        assert_int_equal(sk_X509_NAME_num(SSL_get0_peer_CA_list(client.c.ssl)), 1);
        again();
        meet(does_not, cases[n].shows, cases[n].with, NULL, version, subject);
        assert_string_equal(subject, "");
        assert_null(SSL_get0_peer_certificate(server.c.ssl)); /* no memory is spent where nobody asks */
        again();
    }
    tls_free(&asks);
    tls_free(&does_not);
}

/* ---- names ---- */

static void subjects(void **state)
{
    (void)state;
    char with_controls[] = "a\nb\x7f", as_many_as_fit[65];
    memset(as_many_as_fit, 'n', 64);
    as_many_as_fit[64] = '\0';
    const struct {
        const char *name, *subject;
    } cases[] = {
        {"J\xc3\xbcrgen", "CN=J\xc3\xbcrgen,O=Example"},
        {"a, CN=root", "CN=a\\, CN=root,O=Example"},
        {" #x\"y", "CN=\\ #x\\\"y,O=Example"},
        {with_controls, "CN=a\\0Ab\\7F,O=Example"},
        {"c1 \xc2\x85", ""}, /* no form of it is without a control character, nor is half of it anybody's name */
    };
    struct tls_context *ctx = make_server(ca_file);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char subject[CONN_CERTIFICATE_MAX_BYTES];
        struct bearer b = issue(cases[i].name, &ca, "clientAuth", 7200);
        meet(ctx, &b, NULL, NULL, TLS1_3_VERSION, subject);
        assert_string_equal(subject, cases[i].subject);
        again();
        discard(&b);
    }

    /* longer than there is room: none, and no other's */
    char subject[CONN_CERTIFICATE_MAX_BYTES];
    struct bearer b = issue("long", &ca, "clientAuth", 7200);
    X509_NAME *name = X509_get_subject_name(b.x);
    for (int i = 0; i < 20; i++)
        X509_NAME_add_entry_by_txt(name, "OU", MBSTRING_UTF8, (const unsigned char *)as_many_as_fit, -1, -1, 0);
    assert_true(X509_sign(b.x, ca.key, EVP_sha256()) > 0);
    meet(ctx, &b, NULL, NULL, TLS1_3_VERSION, subject);
    assert_string_equal(subject, "");
    assert_int_equal(SSL_get_verify_result(server.c.ssl), X509_V_OK);
    discard(&b);
    tls_free(&ctx);
}

/* ---- tickets ---- */

static void come_back(struct tls_context *ctx, int version, bool resumes, const char *expected)
{
    char subject[CONN_CERTIFICATE_MAX_BYTES];
    again();
    meet(ctx, NULL, NULL, NULL, version, subject);
    assert_int_equal(conn_tls_was_resumed(&server.c), resumes);
    assert_string_equal(subject, expected);
}

static void tickets(void **state)
{
    (void)state;
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    const struct {
        const struct bearer *shows;
        const char *subject;
    } cases[] = {{&alice, "CN=alice,O=Example"}, {&self, ""}, {NULL, ""}};
    struct tls_context *one = make_server(ca_file), *other_worker = make_server(ca_file),
                       *other_cas = make_server(other_ca_file), *none = make_server(NULL);
    for (size_t i = 0; i < COUNT_OF(cases) * COUNT_OF(versions); i++) {
        char subject[CONN_CERTIFICATE_MAX_BYTES];
        int version = versions[i % COUNT_OF(versions)];
        size_t n = i / COUNT_OF(versions);
        meet(one, cases[n].shows, NULL, NULL, version, subject);
        assert_string_equal(subject, cases[n].subject);
        session = SSL_get1_session(client.c.ssl);
        assert_true(SSL_SESSION_has_ticket(session));
        come_back(one, version, true, cases[n].subject);
        come_back(other_worker, version, true, cases[n].subject);
        /* who is not vouched for by the CAs of now begins anew */
        come_back(other_cas, version, false, "");
        come_back(none, version, false, "");
        again();
        SSL_SESSION_free(session);
        session = NULL;
    }
    tls_free(&one);
    tls_free(&other_worker);
    tls_free(&other_cas);
    tls_free(&none);
}

/* The verdict of hours ago says nothing of a certificate that has run out since. */
static void it_runs_out_while_its_ticket_lives(void **state)
{
    (void)state;
    char subject[CONN_CERTIFICATE_MAX_BYTES];
    struct tls_context *ctx = make_server(ca_file);
    meet(ctx, &gone, NULL, NULL, TLS1_3_VERSION, subject);
    SSL_set_verify_result(server.c.ssl, X509_V_OK); /* as it was then */
    conn_tls_certificate(&server.c, subject);
    assert_string_equal(subject, "");
    tls_free(&ctx);
}

/* ---- several certificates, and new ones ---- */

static void each_name_has_its_own(void **state)
{
    (void)state;
    struct err err;
    struct tls_certificate files[] = {{other_cert, other_key, NULL, 0, NULL},
                                      {ec_cert, ec_key, NULL, 0, ca_file},
                                      {rsa_cert, rsa_key, (const char *const[]){"rsa"}, 1, other_ca_file}};
    struct tls_server_options options = {.certificates = files, .count = 3, .min_version = TLS1_2_VERSION};
    struct tls_context *ctx = tls_server_new(&options, &err);
    assert_non_null(ctx);
    const struct {
        const char *name;
        const struct bearer *shows;
        const char *subject;
    } cases[] = {
        {"localhost", &alice, "CN=alice,O=Example"},
        {"localhost", &stranger, ""},
        {"mx.example.org", &alice, ""}, /* it is not asked for */
        {"rsa", &stranger, "CN=alice,O=Example"},
        {"rsa", &alice, ""},
        {NULL, &stranger, "CN=alice,O=Example"}, /* of each kind of key the first: mx.example.org, rsa */
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char subject[CONN_CERTIFICATE_MAX_BYTES];
        meet(ctx, cases[i].shows, NULL, cases[i].name, TLS1_3_VERSION, subject);
        if (strcmp(subject, cases[i].subject) != 0)
            fail_msg("%s: \"%s\", not \"%s\"", cases[i].name, subject, cases[i].subject);
        again();
    }
    tls_free(&ctx);
}

static void replaced(void **state)
{
    (void)state;
    struct err err;
    char subject[CONN_CERTIFICATE_MAX_BYTES];
    struct tls_certificate files = {ec_cert, ec_key, NULL, 0, ca_file};
    struct tls_server_options options = {
        .certificates = &files, .count = 1, .min_version = TLS1_2_VERSION, .ticket_keys = &keys};
    struct tls_context *ctx = tls_server_new(&options, &err);
    meet(ctx, &alice, NULL, NULL, TLS1_3_VERSION, subject);
    assert_string_equal(subject, "CN=alice,O=Example");
    session = SSL_get1_session(client.c.ssl);

    write_ca(ca_file, &other_ca);
    int image = tls_certificate_image(&files, &err);
    assert_true(image >= 0);
    unlink(ca_file); /* who takes the image may not read it */
    assert_true(tls_server_replace(ctx, 0, image, &err));
    come_back(ctx, TLS1_3_VERSION, false, "");
    again();
    meet(ctx, &stranger, NULL, NULL, TLS1_3_VERSION, subject);
    assert_string_equal(subject, "CN=alice,O=Example");
    SSL_SESSION_free(session);
    session = SSL_get1_session(client.c.ssl);
    tls_free(&ctx);

    /* a worker that is born later: the same content, the same tickets */
    options.images = &image;
    ctx = tls_server_new(&options, &err);
    assert_non_null(ctx);
    come_back(ctx, TLS1_3_VERSION, true, "CN=alice,O=Example");
    tls_free(&ctx);
    close(image);
    write_ca(ca_file, &ca);
}

/* ---- files ---- */

static void assert_refused(const char *file, const char *expected)
{
    struct err err = {.text = ""};
    char text[200];
    struct tls_certificate files = {ec_cert, ec_key, NULL, 0, file};
    struct tls_server_options options = {.certificates = &files, .count = 1, .min_version = TLS1_2_VERSION};
    snprintf(text, sizeof text, expected, tls_dir);
    assert_null(tls_server_new(&options, &err));
    assert_string_equal(err.text, text);
    assert_int_equal(tls_certificate_image(&files, &err), -1);
    assert_string_equal(err.text, text);
}

static void bad_files(void **state)
{
    (void)state;
    char bad[64];
    snprintf(bad, sizeof bad, "%s/bad.pem", tls_dir);
    assert_refused("/nowhere/ca.pem", "cannot read /nowhere/ca.pem: No such file or directory");
    write_file(bad, "");
    assert_refused(bad, "%s/bad.pem: there is no certificate in PEM form in it");
    assert_refused(ec_key, "%s/ec.key: there is no certificate in PEM form in it");
    write_ca(bad, &ca); /* a good one, and one that is cut short */
    FILE *f = fopen(bad, "a");
    fputs("-----BEGIN CERTIFICATE-----\nAAAA\n", f);
    fclose(f);
    assert_refused(bad, "%s/bad.pem: bad end line");

    f = fopen(bad, "w"); /* each is named to each client */
    for (int i = 0; i < 1000; i++)
        assert_int_equal(PEM_write_X509(f, ca.x), 1);
    fclose(f);
    assert_refused(bad, "%s/bad.pem: these are too many CAs for a handshake, which names them all to the client");
    unlink(bad);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(who_is_believed),       CASE(subjects), CASE(tickets),   CASE(it_runs_out_while_its_ticket_lives),
        CASE(each_name_has_its_own), CASE(replaced), CASE(bad_files),
    };
    return cmocka_run_group_tests_name("net/tls_client_ca", tests, make, clean);
}
