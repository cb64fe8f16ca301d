/*
 * tls.h - what all TLS connections of a process share: certificates, versions, ticket keys.
 *
 * OpenSSL 3: TLS 1.2 and 1.3, no renegotiation, no compression, no session cache but tickets; buffers released while
 * idle, so that a connection costs about 14 KB. Ticket keys come from the shared memory of the service: a client that
 * comes back to another worker resumes.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <openssl/ssl.h>
#include <stdint.h>

#include "base/err.h"

struct tls_context;

/* Keys for tickets, made by the supervisor, the same in every worker, rotated by it: the first encrypts, both decrypt.
 * Lies in shared memory: readers take a copy, and take it again if `version` was odd or moved meanwhile. */
struct tls_ticket_keys {
    _Atomic uint32_t version; /* odd while being written */
    uint8_t name[2][16], cipher_key[2][32], mac_key[2][32];
};
void tls_ticket_keys_init(struct tls_ticket_keys *keys);
/* The first becomes the second, a fresh one the first. The supervisor does so every 12 hours. */
void tls_ticket_keys_rotate(struct tls_ticket_keys *keys);

struct tls_certificate {
    const char *certificate_file, *key_file; /* PEM, chain included */
    const char *const *names;                /* that it is used for besides those it bears; ".example.org": all below */
    size_t name_count;
    /* PEM, one or more: clients are asked for a certificate, and one that a CA of these signed for clients is
     * believed (conn_tls_certificate). None, or another one: the handshake goes on all the same. NULL: not asked. */
    const char *client_ca_file;
};

struct tls_server_options {
    /* Chosen by the name that the client asks for (SNI); without one, or where nobody bears it, all may be used. Of
     * those, of each kind of key the first; ECDSA and RSA side by side: OpenSSL picks by what the client can. Borrowed
     * as long as the context lives. */
    const struct tls_certificate *certificates;
    size_t count;
    const int *images;   /* [count], instead of the files where one is not -1 (tls_certificate_image); NULL: none */
    int min_version;     /* TLS1_2_VERSION or TLS1_3_VERSION */
    const char *ciphers; /* OpenSSL's list for 1.2; NULL: a sane default */
    const struct tls_ticket_keys *ticket_keys; /* NULL: no tickets */
};

/* Reads the files (as whoever is running), checks that key and certificate belong together. NULL with a reason: which
 * file, what is wrong. */
struct tls_context *tls_server_new(const struct tls_server_options *options, struct err *err);

/* A copy of certificate, key and client CA, in memory: a descriptor that may be passed to who may not read the files,
 * closed at exec(2). It is seen to that it can be used. -1 with a reason. */
int tls_certificate_image(const struct tls_certificate *files, struct err *err);
/* Certificate `index` is this one from the next handshake on. The image stays the caller's. False with a reason: it is
 * as it was. */
MUST_USE bool tls_server_replace(struct tls_context *ctx, size_t index, int image, struct err *err);

struct tls_client_options {
    bool verify;         /* chain and name; else anything goes, which still hides the mail from who only listens */
    const char *ca_file; /* NULL: the system's */
};
struct tls_context *tls_client_new(const struct tls_client_options *options, struct err *err);

void tls_free(struct tls_context **ctx);
/* For conn.c. */
SSL_CTX *tls_ssl_ctx(struct tls_context *ctx);

/* A self-signed ECDSA P-256 certificate for host, valid 30 days, written as PEM to the two files (mode 0600); for --try
 * and tests. */
MUST_USE bool tls_make_self_signed(const char *host, const char *certificate_file, const char *key_file,
                                   struct err *err);

#endif
