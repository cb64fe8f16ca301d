/* tls_internal.h - what tls.c and tls_certificates.c share; for nobody else. */
#ifndef NET_TLS_INTERNAL_H
#define NET_TLS_INTERNAL_H

#include "net/tls.h"

/* One `tls certificate`, as read. */
struct tls_entry {
    SSL_CTX *holder; /* where OpenSSL keeps its chain and its key */
    const struct tls_certificate *files;
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

#endif
