/* tls_files.h - certificates for tests of TLS, in a directory that goes with the test. */
#ifndef TEST_TLS_FILES_H
#define TEST_TLS_FILES_H

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <unistd.h>

#include "net/tls.h"

static char tls_dir[] = "/tmp/mailweir-test-tls-XXXXXX";
static char ec_cert[64], ec_key[64], rsa_cert[64], rsa_key[64], other_cert[64], other_key[64];

static inline void write_file(const char *file, const char *text)
{
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

/* A second kind of key, for contexts with two certificates. */
static inline void make_rsa(void)
{
    EVP_PKEY *key = EVP_RSA_gen(2048);
    X509 *x = X509_new();
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_NAME_add_entry_by_NID(X509_get_subject_name(x), NID_commonName, MBSTRING_UTF8, (const unsigned char *)"rsa", 3,
                               -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_set_pubkey(x, key);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    FILE *f = fopen(rsa_cert, "w");
    assert_int_equal(PEM_write_X509(f, x), 1);
    fclose(f);
    f = fopen(rsa_key, "w");
    assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(f);
    X509_free(x);
    EVP_PKEY_free(key);
}

static inline int make_tls_files(void **state)
{
    (void)state;
    struct err err;
    if (!mkdtemp(tls_dir))
        return -1;
    snprintf(ec_cert, sizeof ec_cert, "%s/ec.pem", tls_dir);
    snprintf(ec_key, sizeof ec_key, "%s/ec.key", tls_dir);
    snprintf(rsa_cert, sizeof rsa_cert, "%s/rsa.pem", tls_dir);
    snprintf(rsa_key, sizeof rsa_key, "%s/rsa.key", tls_dir);
    snprintf(other_cert, sizeof other_cert, "%s/other.pem", tls_dir);
    snprintf(other_key, sizeof other_key, "%s/other.key", tls_dir);
    make_rsa();
    return tls_make_self_signed("localhost", ec_cert, ec_key, &err) &&
                   tls_make_self_signed("mx.example.org", other_cert, other_key, &err)
               ? 0
               : -1;
}

static inline int remove_tls_files(void **state)
{
    (void)state;
    const char *const files[] = {ec_cert, ec_key, rsa_cert, rsa_key, other_cert, other_key};
    for (size_t i = 0; i < COUNT_OF(files); i++)
        unlink(files[i]);
    return rmdir(tls_dir);
}

#endif
