/* tls.c - certificates, versions and ticket keys. See tls.h. */
#include "net/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "net/tls_internal.h"

/* Forward secret and authenticated; CBC for clients of 2012 that know nothing else. */
static const char default_ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:!aNULL:!eNULL";
/* What any client can, and no group that costs more than it brings. */
static const char groups[] = "X25519:P-256:P-384";

/* Two records of 16 KB: half the reads of a body. Memory only while bytes wait in it. */
enum { TICKET_LIFETIME_S = 12 * 3600, READ_BUFFER_BYTES = 33000 };

SSL_CTX *tls_ssl_ctx(struct tls_context *ctx)
{
    return ctx->ssl_ctx;
}

void tls_free(struct tls_context **ctx)
{
    if (!*ctx)
        return;
    tls_free_certificates(*ctx);
    SSL_CTX_free((*ctx)->ssl_ctx);
    EVP_CIPHER_free((*ctx)->ticket_cipher);
    free(*ctx);
    *ctx = NULL;
}

const char *tls_take_reason(void)
{
    unsigned long e = ERR_peek_error();
    const char *reason = e ? ERR_reason_error_string(e) : NULL;
    ERR_clear_error();
    return reason ? reason : "no reason is given";
}

/* ---- tickets ---- */

void tls_ticket_keys_init(struct tls_ticket_keys *keys)
{
    memset(keys, 0, sizeof *keys);
    random_bytes(keys->name, sizeof keys->name);
    random_bytes(keys->cipher_key, sizeof keys->cipher_key);
    random_bytes(keys->mac_key, sizeof keys->mac_key);
}

void tls_ticket_keys_rotate(struct tls_ticket_keys *keys)
{
    uint32_t version = atomic_load_explicit(&keys->version, memory_order_relaxed);
    atomic_store_explicit(&keys->version, version + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    memcpy(keys->name[1], keys->name[0], sizeof keys->name[0]);
    memcpy(keys->cipher_key[1], keys->cipher_key[0], sizeof keys->cipher_key[0]);
    memcpy(keys->mac_key[1], keys->mac_key[0], sizeof keys->mac_key[0]);
    random_bytes(keys->name[0], sizeof keys->name[0]);
    random_bytes(keys->cipher_key[0], sizeof keys->cipher_key[0]);
    random_bytes(keys->mac_key[0], sizeof keys->mac_key[0]);
    atomic_store_explicit(&keys->version, version + 2, memory_order_release);
}

/* A copy that is whole. False: the writer died amid writing, or writes on and on. */
static bool copy_ticket_keys(const struct tls_ticket_keys *keys, struct tls_ticket_keys *copy)
{
    for (int tries = 0; tries < 1000; tries++) {
        uint32_t version = atomic_load_explicit(&keys->version, memory_order_acquire);
        if (version % 2)
            continue;
        memcpy(copy->name, keys->name, sizeof copy->name);
        memcpy(copy->cipher_key, keys->cipher_key, sizeof copy->cipher_key);
        memcpy(copy->mac_key, keys->mac_key, sizeof copy->mac_key);
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load_explicit(&keys->version, memory_order_relaxed) == version)
            return true;
    }
    return false;
}

static bool use_ticket_key(const EVP_CIPHER *cipher, EVP_CIPHER_CTX *cipher_ctx, EVP_MAC_CTX *mac_ctx,
                           unsigned char *cipher_key, unsigned char *mac_key, unsigned char *iv, int encrypts)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, mac_key, 32),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_CipherInit_ex(cipher_ctx, cipher, NULL, cipher_key, iv, encrypts) == 1 &&
           EVP_MAC_CTX_set_params(mac_ctx, params) == 1;
}

/* OpenSSL asks for keys: to make a ticket (encrypts) or to read the one of that name. 1: here, 2: here, and the client
 * gets a fresh one, 0: none, -1: failed; never a reason to refuse the client, who then makes a whole handshake. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher_ctx, EVP_MAC_CTX *mac_ctx,
                     int encrypts)
{
    struct tls_context *ctx = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    struct tls_ticket_keys keys;
    if (!copy_ticket_keys(ctx->ticket_keys, &keys))
        return 0;
    int which = 0;
    if (encrypts) {
        memcpy(name, keys.name[0], sizeof keys.name[0]);
        random_bytes(iv, 16);
    } else {
        while (which < 2 && memcmp(name, keys.name[which], sizeof keys.name[which]) != 0)
            which++;
    }
    int answer = 0;
    if (which < 2 && use_ticket_key(ctx->ticket_cipher, cipher_ctx, mac_ctx, keys.cipher_key[which],
                                    keys.mac_key[which], iv, encrypts))
        answer = which == 0 ? 1 : 2;
    OPENSSL_cleanse(&keys, sizeof keys);
    return answer;
}

static bool use_tickets(struct tls_context *ctx, const struct tls_ticket_keys *keys)
{
    if (!keys) {
        SSL_CTX_set_options(ctx->ssl_ctx, SSL_OP_NO_TICKET);
        return SSL_CTX_set_num_tickets(ctx->ssl_ctx, 0) == 1;
    }
    ctx->ticket_keys = keys;
    ctx->ticket_cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    SSL_CTX_set_app_data(ctx->ssl_ctx, ctx);
    SSL_CTX_set_timeout(ctx->ssl_ctx, TICKET_LIFETIME_S);
    return ctx->ticket_cipher && SSL_CTX_set_num_tickets(ctx->ssl_ctx, 1) == 1 &&
           SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx->ssl_ctx, on_ticket) == 1;
}

/* ---- contexts ---- */

static struct tls_context *new_context(const SSL_METHOD *method, struct err *err)
{
    struct tls_context *ctx = calloc(1, sizeof *ctx);
    if (!ctx || !(ctx->ssl_ctx = SSL_CTX_new(method))) {
        free(ctx);
        ERR_clear_error();
        err_no_memory(err);
        return NULL;
    }
    SSL_CTX_set_min_proto_version(ctx->ssl_ctx, TLS1_2_VERSION);
    /* A peer that just closes is taken as one that closed: SMTP says itself when it is done. */
    SSL_CTX_set_options(ctx->ssl_ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                          SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
    /* Without AUTO_RETRY a read comes back after a message that is no data, instead of looking for another. */
    SSL_CTX_clear_mode(ctx->ssl_ctx, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_mode(ctx->ssl_ctx,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(ctx->ssl_ctx, 1); /* a record's header and its body by one read */
    SSL_CTX_set_default_read_buffer_len(ctx->ssl_ctx, READ_BUFFER_BYTES);
    SSL_CTX_set_session_cache_mode(ctx->ssl_ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set1_groups_list(ctx->ssl_ctx, groups);
    return ctx;
}

static bool fill_server(struct tls_context *ctx, const struct tls_server_options *options, struct err *err)
{
    const char *ciphers = options->ciphers ? options->ciphers : default_ciphers;
    if (options->count == 0)
        return err_set(err, "TLS needs a certificate and its key");
    if (SSL_CTX_set_min_proto_version(ctx->ssl_ctx, options->min_version) != 1)
        return err_set(err, "TLS of version %x is not known", (unsigned)options->min_version);
    if (SSL_CTX_set_cipher_list(ctx->ssl_ctx, ciphers) != 1) {
        ERR_clear_error();
        return err_set(err, "\"%s\" names no cipher that OpenSSL knows", ciphers);
    }
    tls_client_ca_init(ctx->ssl_ctx);
    if (!tls_add_certificates(ctx, options, err))
        return false;
    if (!use_tickets(ctx, options->ticket_keys))
        return err_set(err, "OpenSSL cannot make tickets: %s", tls_take_reason());
    return true;
}

struct tls_context *tls_server_new(const struct tls_server_options *options, struct err *err)
{
    struct tls_context *ctx = new_context(TLS_server_method(), err);
    if (ctx && !fill_server(ctx, options, err))
        tls_free(&ctx);
    return ctx;
}

struct tls_context *tls_client_new(const struct tls_client_options *options, struct err *err)
{
    struct tls_context *ctx = new_context(TLS_client_method(), err);
    if (!ctx || !options->verify)
        return ctx;
    SSL_CTX_set_verify(ctx->ssl_ctx, SSL_VERIFY_PEER, NULL);
    bool is_loaded;
    if (options->ca_file)
        is_loaded =
            tls_is_readable(options->ca_file, err) && (SSL_CTX_load_verify_file(ctx->ssl_ctx, options->ca_file) == 1 ||
                                                       err_set(err, "%s: %s", options->ca_file, tls_take_reason()));
    else
        is_loaded = SSL_CTX_set_default_verify_paths(ctx->ssl_ctx) == 1 ||
                    err_set(err, "cannot load the system's certificates: %s", tls_take_reason());
    if (!is_loaded)
        tls_free(&ctx);
    return ctx;
}
