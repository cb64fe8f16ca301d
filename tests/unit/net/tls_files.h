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

/* Made for these tests, which would otherwise spend most of their time on making one. */
static const char TEST_RSA_KEY[] = "-----BEGIN PRIVATE KEY-----\n"
                                   "MIIEvAIBADANBgkqhkiG9w0BAQEFAASCBKYwggSiAgEAAoIBAQCUyShwXVzrqRj4\n"
                                   "wTIm4CRGXbHUnvs0yMeMvH/v3aWb22o8zK5Mv2/limZ6BMafYfc4JobJLUVmksin\n"
                                   "YTONgpZdtfP9UxwneVHKCObyzZT9Lv65a9mMHNiQLAzEwEl7S5bGstgkd0Uddo2t\n"
                                   "fOjjDs+mgYm6PNHd1ph4d/439vaSkCAFsj1lQFJzVXHFN1+AeRs329l7y8GlThsC\n"
                                   "26mGXh6hukBt4YVzw20ZQipsmgHWMy8/vAvBrhwOge1ep9eimQUgBpnSDrmVvfCg\n"
                                   "zA6MxVWWUDi6JGw03AlsQTKG1wmbco5YYHNxHm5TRrMC+halAn3WUC/q6e+Vze5+\n"
                                   "kgKvT1U1AgMBAAECggEAARq/LJpc0rkGIO6aNzSpwEX4yHnHppwo8xABKSAtlwsZ\n"
                                   "bkscriArrfoJibVYXh2FjsqmbH7kCX9kcu2jStUh1Z9AqOxBhL9/Tm8je8Dv7rM3\n"
                                   "G9xDmKksKGHTVHCS+xHUFDSGqzqhbjcPlS6csfbNrtA+W/4QlsN9jUNixTqVmP/q\n"
                                   "/mvNfY0liF2xq9yYFxyJWevRYnM2MtJmHGllB4PznPzhwbh4rHtadMNjmPn1vyr8\n"
                                   "hBW2T0R7SLFhMuljTx/vA1L1dN1KCcxVAzos1AsqW1qN9/7o9/HyKDpcd2kv+3GM\n"
                                   "m4R6otPou2aIh2gEupT9nKASd0s8k3tdZvKcHTILoQKBgQDMEaoT7+kUL83w9VlT\n"
                                   "IYyvIzKtwdzwbKSqf35i90ftLh6LA2zgovEJHQE9XIme3e3gg+WYMnt9DlMvmqs0\n"
                                   "AXyMqzDXVWEty6R227+kR2uWCG33WMnvOGGm63s6INqN1qvs7seK4CYgyQOvz/oR\n"
                                   "ZRi0gSDbHZfFcrPZXv3vUy9dZQKBgQC6pf9DUb/qEF4tHZs+x08bESbGBvi8rnsr\n"
                                   "J0ZqpsarCZR55oVGYtSHLg/MgjiGKI8kmYOhFkekbyBT2DM/pKq8uk8qgYwu3inj\n"
                                   "Pj2WGBmack31URrV/dauL3bv1fzNhmdcLlp42Uy6TVhcbFTukeLYAWvMDv2Dejhm\n"
                                   "hWSvOEJDkQKBgHRrL2goWgQWMZrhnY/7d9MCdYsDKhRPJrHOAkBbakE5KluMHLUa\n"
                                   "v/+++FIVVL25RlfrZzQouKJjZbmmtzz4DCIEF90A7Gu/3ZehTfded1YkgPe3Q5yh\n"
                                   "wbQEa0yCKaz5ZyPIJTZpIddaViwarkL2Nd3kPOZEP614/nln496AymixAoGAWvhp\n"
                                   "D6CajzRnEkopzlFKJwEXCtF/DkdkVMYRtg2PKvHCYh+OuZ2VxEUZAi496nV+PvJr\n"
                                   "i2nWhTh8YyEu6UgSx2VvDGKTtowlklJVpgAdCn/Hq1daYw4TQlZz+7UqP+nQGsek\n"
                                   "5N3UXcEw3esXAigsjeczaQOtYBWDw8QkLJqZAWECgYBvpVAAsNZH0hB+HIuIw6lC\n"
                                   "8eK0T8vvoBDOgw5uc9vxolfJx5z+ubU19vrQQRfohQxgxlH0GEIbz+4nlVm0a2AQ\n"
                                   "8njS5sxJcPw7UELDXrY5y/jGO74Ms7IFsv52djtaL3I8aUWrXNv/crM8LTy8V6+2\n"
                                   "9LFOmPZfDUMOQWNBJgLErQ==\n"
                                   "-----END PRIVATE KEY-----\n";

/* A second kind of key, for contexts with two certificates. */
static inline void make_rsa(void)
{
    BIO *text = BIO_new_mem_buf(TEST_RSA_KEY, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(text, NULL, NULL, NULL);
    BIO_free(text);
    assert_non_null(key);
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
