/* tls_internal.h - what tls.c and tls_certificates.c share; for nobody else. */
#ifndef NET_TLS_INTERNAL_H
#define NET_TLS_INTERNAL_H

#include "base/str.h"
#include "net/tls.h"

enum { TLS_DIGEST_BYTES = 32 }; /* SHA-256, and what OpenSSL takes as the context of a session */

/* One `tls certificate`, as read. */
struct tls_entry {
    SSL_CTX *holder; /* where OpenSSL keeps its chain and its key, and those who sign for its clients */
    const struct tls_certificate *files;
    uint8_t client_ca_digest[TLS_DIGEST_BYTES]; /* of the latter; zeros: there are none */
};

struct tls_context {
    SSL_CTX *ssl_ctx;
    const struct tls_ticket_keys *ticket_keys; /* NULL: no tickets */
    EVP_CIPHER *ticket_cipher;                 /* fetched once: looking it up costs more than using it */
    struct tls_entry *entries;                 /* of a server */
    size_t entry_count;
};

/* The first error of OpenSSL's queue is nearest to the cause. Empties the queue. */
const char *tls_take_reason(void);
MUST_USE bool tls_is_readable(const char *file, struct err *err);

/* tls_certificates.c: reads all of them and sees to it that each client gets the right ones. */
MUST_USE bool tls_add_certificates(struct tls_context *ctx, const struct tls_server_options *options, struct err *err);
void tls_free_certificates(struct tls_context *ctx);

/* ---- tls_client_ca.c: the certificates of clients ---- */

/* Reads the CAs of an entry that has such a file: from it, or from its text. The holder then asks for a certificate
 * (tls_client_ca_is_in). */
MUST_USE bool tls_client_ca_load(struct tls_entry *e, struct err *err);
MUST_USE bool tls_client_ca_parse(struct tls_entry *e, BIO *text, struct err *err);
static inline bool tls_client_ca_is_in(const struct tls_entry *e)
{
    return SSL_CTX_get_verify_mode(e->holder) & SSL_VERIFY_PEER;
}
/* How a server's context treats what is shown to it: verifies it, and goes on. */
void tls_client_ca_init(SSL_CTX *ssl_ctx);
/* All connections of the context, or this one, ask as the entry says; e: NULL, this one does not ask. False: OpenSSL
 * has no memory. */
MUST_USE bool tls_client_ca_use(SSL_CTX *ssl_ctx, const struct tls_entry *e);
MUST_USE bool tls_client_ca_use_for(SSL *ssl, const struct tls_entry *e);
/* From now on sessions resume only where the same CAs stand. */
void tls_client_ca_bind_sessions(struct tls_context *ctx);
/* For conn_tls_certificate. */
struct str tls_client_subject(const SSL *ssl, char *to, size_t size);

#endif
