/* Certificates of a server: which one a client gets by the name it asks for, and once one is replaced. */
#include "side.h"

#include <fcntl.h>
#include <openssl/x509v3.h>

#include "tls_files.h"

static char a_cert[64], a_key[64], b_cert[64], b_key[64];

static int make(void **state)
{
    struct err err;
    if (make_tls_files(state) != 0)
        return -1;
    snprintf(a_cert, sizeof a_cert, "%s/a.pem", tls_dir);
    snprintf(a_key, sizeof a_key, "%s/a.key", tls_dir);
    snprintf(b_cert, sizeof b_cert, "%s/b.pem", tls_dir);
    snprintf(b_key, sizeof b_key, "%s/b.key", tls_dir);
    return tls_make_self_signed("a.example", a_cert, a_key, &err) &&
                   tls_make_self_signed("b.example", b_cert, b_key, &err)
               ? 0
               : -1;
}

static int clean(void **state)
{
    const char *const mine[] = {a_cert, a_key, b_cert, b_key};
    for (size_t i = 0; i < COUNT_OF(mine); i++)
        unlink(mine[i]);
    return remove_tls_files(state);
}

/* The common name of the certificate that a client is shown; `name` NULL: it asks for none. */
static void shown(struct tls_context *server, const char *name, bool wants_rsa, char *to, int size)
{
    SSL_CTX *client_ctx = SSL_CTX_new(TLS_client_method());
    SSL *client = SSL_new(client_ctx), *ssl = SSL_new(tls_ssl_ctx(server));
    BIO *one, *other;
    assert_int_equal(BIO_new_bio_pair(&one, 0, &other, 0), 1);
    SSL_set_bio(client, one, one);
    SSL_set_bio(ssl, other, other);
    SSL_set_connect_state(client);
    SSL_set_accept_state(ssl);
    if (name)
        SSL_set_tlsext_host_name(client, name);
    if (wants_rsa) {
        SSL_set_max_proto_version(client, TLS1_2_VERSION);
        SSL_set_cipher_list(client, "ECDHE-RSA-AES256-GCM-SHA384");
    }
    for (int i = 0; i < 10 && !(SSL_is_init_finished(client) && SSL_is_init_finished(ssl)); i++) {
        SSL_do_handshake(client);
        SSL_do_handshake(ssl);
    }
    X509 *x = SSL_get1_peer_certificate(client);
    assert_non_null(x);
    X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, to, size);
    X509_free(x);
    SSL_free(client);
    SSL_free(ssl);
    SSL_CTX_free(client_ctx);
}

static void by_name(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"mail.example.org", ".sub.example.org"};
    static const struct {
        const char *name, *shown;
        bool wants_rsa;
    } CASES[] = {
        {"a.example", "a.example", false},
        {"b.example", "b.example", false},
        {"B.Example", "b.example", false},
        {NULL, "a.example", false},
        {"nobody.example", "a.example", false},
        {"mail.example.org", "b.example", false},
        {"MAIL.example.org", "b.example", false},
        {"x.mail.example.org", "a.example", false},
        {"deep.x.sub.example.org", "b.example", false},
        {"sub.example.org", "a.example", false},
        {"nobody.example", "rsa", true}, /* of each kind of key one */
        {NULL, "rsa", true},
    };
    struct tls_certificate files[] = {
        {a_cert, a_key, NULL, 0}, {b_cert, b_key, NAMES, COUNT_OF(NAMES)}, {rsa_cert, rsa_key, NULL, 0}};
    struct tls_server_options options = {.certificates = files, .count = 3, .min_version = TLS1_2_VERSION};
    struct err err;
    struct tls_context *ctx = tls_server_new(&options, &err);
    assert_non_null(ctx);
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        char name[100];
        shown(ctx, CASES[i].name, CASES[i].wants_rsa, name, sizeof name);
        if (strcmp(name, CASES[i].shown) != 0)
            fail_msg("%s: %s was shown, not %s", CASES[i].name ? CASES[i].name : "no name", name, CASES[i].shown);
    }
    tls_free(&ctx);
}

static void replaced(void **state)
{
    (void)state;
    struct err err;
    char name[100];
    struct tls_certificate files = {a_cert, a_key, NULL, 0}, wrong = {a_cert, b_key, NULL, 0},
                           next = {b_cert, b_key, NULL, 0};
    struct tls_server_options options = {.certificates = &files, .count = 1, .min_version = TLS1_2_VERSION};
    struct tls_context *ctx = tls_server_new(&options, &err);
    assert_non_null(ctx);
    assert_int_equal(tls_certificate_image(&wrong, &err), -1);
    assert_non_null(strstr(err.text, "the key does not belong to the certificate"));
    int image = tls_certificate_image(&next, &err);
    assert_true(image >= 0);
    assert_false(tls_server_replace(ctx, 1, image, &err));
    shown(ctx, NULL, false, name, sizeof name);
    assert_string_equal(name, "a.example");
    for (int i = 0; i < 2; i++) { /* the image may be read again */
        assert_true(tls_server_replace(ctx, 0, image, &err));
        shown(ctx, "a.example", false, name, sizeof name);
        assert_string_equal(name, "b.example");
    }
    tls_free(&ctx);

    /* a context that is born later has it instead of the files */
    unlink(a_key);
    options.images = &image;
    ctx = tls_server_new(&options, &err);
    assert_non_null(ctx);
    shown(ctx, NULL, false, name, sizeof name);
    assert_string_equal(name, "b.example");
    tls_free(&ctx);
    close(image);

    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    options.images = &nothing;
    assert_null(tls_server_new(&options, &err));
    assert_non_null(strstr(err.text, "cannot be read"));
    close(nothing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(by_name), cmocka_unit_test(replaced)};
    return cmocka_run_group_tests_name("net/tls_names", tests, make, clean);
}
