/* tls_self_signed.c - a certificate for trying things out. See tls.h. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "net/addr.h"
#include "net/tls.h"

enum { VALID_DAYS = 30, HOST_MAX = 253 };

static bool add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool ok = extension && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

/* "DNS:mx.example.org", "IP:192.0.2.7"; localhost also bears its addresses, for who connects to these. */
static bool add_names(X509 *certificate, struct str host)
{
    char names[HOST_MAX + 64];
    struct ip ip;
    bool is_local = str_equal_nocase(host, STR("localhost"));
    snprintf(names, sizeof names, "%s:" PRI_STR "%s", ip_parse(host, &ip) ? "IP" : "DNS", STR_ARG(host),
             is_local ? ",IP:127.0.0.1,IP:::1" : "");
    return add_extension(certificate, NID_subject_alt_name, names);
}

/* A common name has at most 64 bytes (RFC 5280 A.1); the names that count are the alternative ones. */
static bool fill(X509 *certificate, EVP_PKEY *key, struct str host)
{
    uint64_t serial;
    random_bytes(&serial, sizeof serial);
    X509_NAME *name = X509_get_subject_name(certificate);
    return X509_set_version(certificate, X509_VERSION_3) == 1 &&
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1 | 1) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) != NULL &&
           X509_time_adj_ex(X509_getm_notAfter(certificate), VALID_DAYS, 0, NULL) != NULL &&
           X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, (const unsigned char *)host.ptr,
                                      (int)MIN_OF(host.len, (size_t)64), -1, 0) == 1 &&
           X509_set_issuer_name(certificate, name) == 1 && X509_set_pubkey(certificate, key) == 1 &&
           add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(certificate, NID_key_usage, "critical,digitalSignature") &&
           add_extension(certificate, NID_ext_key_usage, "serverAuth") && add_names(certificate, host) &&
           X509_sign(certificate, key, EVP_sha256()) > 0;
}

/* Writes one of the two; the other is NULL. */
static bool write_pem(const char *file, X509 *certificate, EVP_PKEY *key, struct err *err)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *to = fd >= 0 && fchmod(fd, 0600) == 0 ? fdopen(fd, "w") : NULL;
    if (!to) {
        err_set(err, "cannot write %s: %s", file, strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    bool ok = certificate ? PEM_write_X509(to, certificate) == 1
                          : PEM_write_PrivateKey(to, key, NULL, NULL, 0, NULL, NULL) == 1;
    ok &= fclose(to) == 0;
    return ok || err_set(err, "cannot write %s: %s", file, strerror(errno));
}

/* What may stand in a list of names without ending its item. */
static bool is_plain_name(struct str host)
{
    for (size_t i = 0; i < host.len; i++)
        if (!ascii_is_alnum(host.ptr[i]) && !strchr(".-_:", host.ptr[i]))
            return false;
    return host.len > 0 && host.len <= HOST_MAX;
}

bool tls_make_self_signed(const char *host, const char *certificate_file, const char *key_file, struct err *err)
{
    if (!is_plain_name(str_of_z(host)))
        return err_set(err, "\"%s\" is no host name to make a certificate for", host);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = key ? X509_new() : NULL;
    bool ok = certificate && fill(certificate, key, str_of_z(host));
    if (!ok) {
        const char *reason = ERR_reason_error_string(ERR_peek_last_error());
        err_set(err, "OpenSSL cannot make a certificate for %s: %s", host, reason ? reason : "no memory");
    }
    ok = ok && write_pem(key_file, NULL, key, err) && write_pem(certificate_file, certificate, NULL, err);
    X509_free(certificate);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return ok;
}
