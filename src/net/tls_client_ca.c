/*
 * tls_client_ca.c - certificates of clients: who may have signed them, and what is made of one that is shown.
 *
 *   client-ca ─▶ a holder's store and names ─▶ CertificateRequest ─▶ shown? ─▶ verified, for the use by clients
 *                                                                      │ no        │ well: conn_tls_certificate
 *                                                                      │           │       is its subject
 *                                                                      └───────────┴─▶ the handshake goes on
 *
 * A certificate that is not believed is no reason to refuse a client, who may log in by a password all the same; it is
 * as if none had been shown. Rules decide what a believed one is worth.
 *
 * A ticket holds the certificate and the verdict on it, but not the chain: who comes back cannot be verified anew. So a
 * ticket is worth something only where the same CAs stand that stood when it was made: their digest is the context of
 * the sessions (SSL_CTX_set_session_id_context). It is one digest for all certificates of the server, because which of
 * these a client asks for, and so by which CA it is judged, is its own choice anyway.
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

#include "base/hash.h"
#include "net/tls_internal.h"

enum {
    DEPTH_MAX = 9,              /* CAs between a client and one of ours */
    SHOWN_MAX_BYTES = 32 << 10, /* of a client's chain; also what its ticket has to hold */
    NAMES_MAX_BYTES = 32 << 10, /* of the CAs in one handshake message, in which OpenSSL has room for 64 KB */
    NAME_HEAD_BYTES = 2,        /* of the length before each */
};

/* ---- reading ---- */

static int no_passphrase(char *to, int size, int is_write, void *arg)
{
    (void)to, (void)size, (void)is_write, (void)arg;
    return -1;
}

/* The digest of all that came before, and of this one. */
static bool add_to_digest(uint8_t digest[TLS_DIGEST_BYTES], X509 *x)
{
    uint8_t both[2 * TLS_DIGEST_BYTES];
    unsigned len = TLS_DIGEST_BYTES;
    memcpy(both, digest, TLS_DIGEST_BYTES);
    return X509_digest(x, EVP_sha256(), both + TLS_DIGEST_BYTES, &len) == 1 &&
           EVP_Digest(both, sizeof both, digest, NULL, EVP_sha256(), NULL) == 1;
}

static bool add(struct tls_entry *e, X509 *x)
{
    return X509_STORE_add_cert(SSL_CTX_get_cert_store(e->holder), x) == 1 && SSL_CTX_add_client_CA(e->holder, x) == 1 &&
           add_to_digest(e->client_ca_digest, x);
}

bool tls_client_ca_parse(struct tls_entry *e, BIO *text, struct err *err)
{
    const char *file = e->files->client_ca_file;
    size_t count = 0, names_bytes = 0;
    X509 *x;
    ERR_clear_error();
    for (; (x = PEM_read_bio_X509(text, NULL, no_passphrase, NULL)); count++) {
        bool ok = add(e, x);
        names_bytes += NAME_HEAD_BYTES + (size_t)MAX_OF(i2d_X509_NAME(X509_get_subject_name(x), NULL), 0);
        X509_free(x);
        if (!ok)
            return err_set(err, "%s: %s", file, tls_take_reason());
        if (names_bytes > NAMES_MAX_BYTES)
            return err_set(err, "%s: these are too many CAs for a handshake, which names them all to the client", file);
    }
    bool is_end = ERR_GET_LIB(ERR_peek_last_error()) == ERR_LIB_PEM &&
                  ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    const char *reason = tls_take_reason();
    if (!is_end || count == 0)
        return err_set(err, "%s: %s", file, is_end ? "there is no certificate in PEM form in it" : reason);
    SSL_CTX_set_verify(e->holder, SSL_VERIFY_PEER, NULL);
    return true;
}

bool tls_client_ca_load(struct tls_entry *e, struct err *err)
{
    if (!e->files->client_ca_file)
        return true;
    if (!tls_is_readable(e->files->client_ca_file, err))
        return false;
    BIO *text = BIO_new_file(e->files->client_ca_file, "r");
    if (!text)
        return err_set(err, "%s: %s", e->files->client_ca_file, tls_take_reason());
    bool ok = tls_client_ca_parse(e, text, err);
    BIO_free(text);
    return ok;
}

/* ---- asking ---- */

static STACK_OF(X509_NAME) * names_of(const SSL_CTX *holder)
{
    return SSL_dup_CA_list(SSL_CTX_get_client_CA_list(holder));
}

bool tls_client_ca_use(SSL_CTX *ssl_ctx, const struct tls_entry *e)
{
    STACK_OF(X509_NAME) *names = names_of(e->holder);
    if (!names)
        return false;
    SSL_CTX_set_client_CA_list(ssl_ctx, names);
    SSL_CTX_set_verify(ssl_ctx, SSL_VERIFY_PEER, NULL);
    return SSL_CTX_set1_verify_cert_store(ssl_ctx, SSL_CTX_get_cert_store(e->holder)) == 1;
}

bool tls_client_ca_use_for(SSL *ssl, const struct tls_entry *e)
{
    STACK_OF(X509_NAME) *names = e ? names_of(e->holder) : NULL;
    SSL_set_verify(ssl, e ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    if (e && !names)
        return false;
    SSL_set_client_CA_list(ssl, names);
    return !e || SSL_set1_verify_cert_store(ssl, SSL_CTX_get_cert_store(e->holder)) == 1;
}

/* Verifies what was shown. OpenSSL keeps the verdict with the session (SSL_get_verify_result). */
static int on_shown(X509_STORE_CTX *shown, void *arg)
{
    (void)arg;
    if (X509_verify_cert(shown) != 1 && X509_STORE_CTX_get_error(shown) == X509_V_OK)
        X509_STORE_CTX_set_error(shown, X509_V_ERR_UNSPECIFIED);
    ERR_clear_error();
    return 1;
}

void tls_client_ca_init(SSL_CTX *ssl_ctx)
{
    SSL_CTX_set_cert_verify_callback(ssl_ctx, on_shown, NULL);
    SSL_CTX_set_verify_depth(ssl_ctx, DEPTH_MAX);
    SSL_CTX_set_max_cert_list(ssl_ctx, SHOWN_MAX_BYTES);
}

void tls_client_ca_bind_sessions(struct tls_context *ctx)
{
    static const unsigned char nobody[] = "mailweir";
    uint8_t both[2 * TLS_DIGEST_BYTES] = {0}; /* of those before, of this one */
    bool is_any = false, ok = true;
    for (size_t i = 0; i < ctx->entry_count; i++) {
        const struct tls_entry *e = &ctx->entries[i];
        is_any = is_any || e->files->client_ca_file;
        memcpy(both + TLS_DIGEST_BYTES, e->client_ca_digest, TLS_DIGEST_BYTES);
        ok = ok && EVP_Digest(both, sizeof both, both, NULL, EVP_sha256(), NULL) == 1;
    }
    if (!ok) /* no memory: better nobody resumes than somebody who may not */
        random_bytes(both, TLS_DIGEST_BYTES);
    SSL_CTX_set_session_id_context(ctx->ssl_ctx, is_any ? both : nobody, is_any ? TLS_DIGEST_BYTES : sizeof nobody - 1);
    ERR_clear_error();
}

/* ---- what became of it ---- */

/* One line (RFC 2253: its last part first, commas within values escaped), as UTF-8. */
static bool print_subject(const X509 *x, BIO *to)
{
    unsigned long form = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;
    return X509_NAME_print_ex(to, X509_get_subject_name(x), 0, form) >= 0;
}

/* A session that resumes brings the verdict of its first handshake along, which may be hours old. */
static bool is_believed(const SSL *ssl, const X509 *x)
{
    return x && SSL_get_verify_result(ssl) == X509_V_OK && X509_cmp_current_time(X509_get0_notAfter(x)) > 0;
}

struct str tls_client_subject(const SSL *ssl, char *to, size_t size)
{
    const X509 *x = SSL_get0_peer_certificate(ssl);
    struct str subject = STR_NONE;
    if (!is_believed(ssl, x))
        return subject;
    BIO *text = BIO_new(BIO_s_mem());
    char *bytes = NULL;
    if (text && print_subject(x, text)) {
        long len = BIO_get_mem_data(text, &bytes);
        struct str line = str_of(bytes, (size_t)MAX_OF(len, 0L));
        /* cut, it would be the name of somebody else */
        if (line.len > 0 && line.len < size && str_is_utf8(line) && !str_has_control(line))
            subject = str_copy_into(to, size, line);
    }
    BIO_free(text);
    ERR_clear_error();
    return subject;
}
