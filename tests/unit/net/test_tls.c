/* Contexts of TLS: what files are taken, and in which words the others are refused; ticket keys. */
#include "side.h"

#include <openssl/x509v3.h>
#include <sys/stat.h>

#include "tls_files.h"

static struct tls_context *server(const char *cert, const char *key, struct err *err)
{
    struct tls_certificate files = {cert, key};
    struct tls_server_options options = {.certificates = &files, .count = 1, .min_version = TLS1_2_VERSION};
    err->text[0] = err->hint[0] = '\0';
    return tls_server_new(&options, err);
}

/* expected: a format for the test's own directory, at most twice. */
static void assert_refused(const char *cert, const char *key, const char *expected)
{
    struct err err;
    char text[512];
    assert_null(server(cert, key, &err));
    snprintf(text, sizeof text, expected, tls_dir, tls_dir);
    assert_string_equal(err.text, text);
}

static void good_and_bad_files(void **state)
{
    (void)state;
    struct err err;
    char bad[64], locked[64];
    struct tls_context *ctx = server(ec_cert, ec_key, &err);
    assert_non_null(ctx);
    tls_free(&ctx);
    assert_null(ctx);
    tls_free(&ctx); /* harmless */

    assert_refused(ec_cert, other_key, "%s/other.key: the key does not belong to the certificate in %s/ec.pem");
    assert_refused(ec_cert, rsa_key, "%s/rsa.key: the key does not belong to the certificate in %s/ec.pem");
    assert_refused("/nowhere/x.pem", ec_key, "cannot read /nowhere/x.pem: No such file or directory");
    assert_refused(ec_cert, "/nowhere/x.key", "cannot read /nowhere/x.key: No such file or directory");
    assert_refused(ec_key, ec_key, "%s/ec.key: there is no certificate in PEM form in it");

    snprintf(bad, sizeof bad, "%s/bad.pem", tls_dir);
    write_file(bad, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert_null(server(bad, ec_key, &err));
    assert_non_null(strstr(err.text, "bad.pem: "));
    write_file(bad, "hello\n");
    assert_null(server(ec_cert, bad, &err));
    assert_non_null(strstr(err.text, "bad.pem: there is no private key in PEM form in it ("));
    unlink(bad);

    snprintf(locked, sizeof locked, "%s/locked.key", tls_dir);
    FILE *from = fopen(ec_key, "r"), *to = fopen(locked, "w");
    EVP_PKEY *key = PEM_read_PrivateKey(from, NULL, NULL, NULL);
    assert_int_equal(PEM_write_PrivateKey(to, key, EVP_aes_256_cbc(), (unsigned char *)"secret", 6, NULL, NULL), 1);
    fclose(from);
    fclose(to);
    EVP_PKEY_free(key);
    assert_refused(ec_cert, locked, "%s/locked.key: the key is encrypted by a passphrase");
    unlink(locked);
}

static void bad_options(void **state)
{
    (void)state;
    struct err err;
    struct tls_certificate files = {ec_cert, ec_key};
    struct tls_server_options options = {.certificates = &files, .count = 1, .min_version = TLS1_2_VERSION};
    options.ciphers = "NO-SUCH-CIPHER";
    assert_null(tls_server_new(&options, &err));
    assert_string_equal(err.text, "\"NO-SUCH-CIPHER\" names no cipher that OpenSSL knows");
    options.ciphers = NULL;
    options.count = 0;
    assert_null(tls_server_new(&options, &err));
    assert_string_equal(err.text, "TLS needs a certificate and its key");

    struct tls_client_options client = {.verify = true, .ca_file = "/nowhere/ca.pem"};
    assert_null(tls_client_new(&client, &err));
    assert_string_equal(err.text, "cannot read /nowhere/ca.pem: No such file or directory");
    client.ca_file = ec_key;
    assert_null(tls_client_new(&client, &err));
    assert_non_null(strstr(err.text, "ec.key: "));
    client.ca_file = NULL;
    struct tls_context *ctx = tls_client_new(&client, &err);
    assert_non_null(ctx);
    tls_free(&ctx);
}

static void self_signed(void **state)
{
    (void)state;
    struct err err = {.text = ""};
    struct stat st;
    assert_int_equal(stat(ec_key, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(ec_cert, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);

    FILE *f = fopen(ec_cert, "r");
    X509 *x = PEM_read_X509(f, NULL, NULL, NULL);
    fclose(f);
    assert_int_equal(X509_check_host(x, "localhost", 0, 0, NULL), 1);
    assert_int_equal(X509_check_ip_asc(x, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(x, "::1", 0), 1);
    assert_int_equal(X509_check_host(x, "mx.example.org", 0, 0, NULL), 0);
    int days = 0, seconds;
    assert_int_equal(ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(x)), 1);
    assert_true(days >= 29 && days <= 30);
    X509_free(x);

    assert_false(tls_make_self_signed("a,DNS:evil.example", other_cert, other_key, &err));
    assert_string_equal(err.text, "\"a,DNS:evil.example\" is no host name to make a certificate for");
    assert_false(tls_make_self_signed("", other_cert, other_key, &err));
    assert_false(tls_make_self_signed("a.example", "/nowhere/c.pem", other_key, &err));
    assert_string_equal(err.text, "cannot write /nowhere/c.pem: No such file or directory");
    /* It is an address's certificate if it is one, and a long name is no obstacle. */
    assert_true(tls_make_self_signed("192.0.2.7", other_cert, other_key, &err));
    assert_true(tls_make_self_signed("a-very-long-label-that-goes-on-and-on-for-sixty-three-octets-abc.example.org",
                                     other_cert, other_key, &err));
}

static void ticket_keys(void **state)
{
    (void)state;
    static const uint8_t zero[32];
    struct tls_ticket_keys keys, before;
    tls_ticket_keys_init(&keys);
    for (int i = 0; i < 2; i++) {
        assert_memory_not_equal(keys.name[i], zero, 16);
        assert_memory_not_equal(keys.cipher_key[i], zero, 32);
        assert_memory_not_equal(keys.mac_key[i], zero, 32);
    }
    memcpy(&before, &keys, sizeof before);
    tls_ticket_keys_rotate(&keys);
    assert_memory_equal(keys.name[1], before.name[0], 16);
    assert_memory_equal(keys.cipher_key[1], before.cipher_key[0], 32);
    assert_memory_equal(keys.mac_key[1], before.mac_key[0], 32);
    assert_memory_not_equal(keys.name[0], before.name[0], 16);
    assert_int_equal(keys.version, before.version + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_and_bad_files),
        cmocka_unit_test(bad_options),
        cmocka_unit_test(self_signed),
        cmocka_unit_test(ticket_keys),
    };
    return cmocka_run_group_tests_name("net/tls", tests, make_tls_files, remove_tls_files);
}
