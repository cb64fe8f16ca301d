/*
 * tls_certificates.c - certificates of a server: read, chosen by the name that a client asks for, replaced while it
 * runs.
 *
 *   ClientHello with a name ─▶ those that bear it, or are said to (`names`) ─┬─▶ of each kind of key the first
 *               none, or a name of nobody's ─▶ all of them ──────────────────┘   OpenSSL then picks what the client can
 *
 * The first of those that has a `client-ca` also says by which CAs the client's own certificate is judged.
 *
 * A single certificate lies in the shared SSL_CTX and costs a handshake nothing. With several, or once one was
 * replaced, each connection is given its own: references are counted, so a connection keeps what it began with.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "net/tls_internal.h"

enum { KINDS_MAX = 8, FILE_MAX_BYTES = 1 << 20 };

/* ---- reading ---- */

/* Instead of asking at a terminal. */
static int no_passphrase(char *to, int size, int is_write, void *arg)
{
    (void)to, (void)size, (void)is_write;
    *(bool *)arg = true;
    return -1;
}

bool tls_is_readable(const char *file, struct err *err)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, "cannot read %s: %s", file, strerror(errno));
    close(fd);
    return true;
}

/* Reads a certificate with its chain, and its key. */
static bool load(SSL_CTX *ssl_ctx, const struct tls_certificate *files, struct err *err)
{
    bool wants_passphrase = false;
    if (!tls_is_readable(files->certificate_file, err) || !tls_is_readable(files->key_file, err))
        return false;
    SSL_CTX_set_default_passwd_cb(ssl_ctx, no_passphrase);
    SSL_CTX_set_default_passwd_cb_userdata(ssl_ctx, &wants_passphrase);
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(ssl_ctx, files->certificate_file) != 1) {
        bool is_empty = ERR_GET_REASON(ERR_peek_error()) == PEM_R_NO_START_LINE;
        const char *reason = tls_take_reason();
        return err_set(err, "%s: %s", files->certificate_file,
                       is_empty ? "there is no certificate in PEM form in it" : reason);
    }
    int used = SSL_CTX_use_PrivateKey_file(ssl_ctx, files->key_file, SSL_FILETYPE_PEM);
    SSL_CTX_set_default_passwd_cb(ssl_ctx, NULL);
    SSL_CTX_set_default_passwd_cb_userdata(ssl_ctx, NULL);
    if (wants_passphrase) {
        ERR_clear_error();
        err_set(err, "%s: the key is encrypted by a passphrase", files->key_file);
        return err_set_hint(err, "a service cannot be asked: openssl pkey -in %s -out KEY", files->key_file);
    }
    if (used != 1) {
        unsigned long e = ERR_peek_last_error();
        bool is_other = ERR_GET_LIB(e) == ERR_LIB_X509 && (ERR_GET_REASON(e) == X509_R_KEY_VALUES_MISMATCH ||
                                                           ERR_GET_REASON(e) == X509_R_KEY_TYPE_MISMATCH);
        const char *reason = tls_take_reason();
        if (is_other)
            return err_set(err, "%s: the key does not belong to the certificate in %s", files->key_file,
                           files->certificate_file);
        return err_set(err, "%s: there is no private key in PEM form in it (%s)", files->key_file, reason);
    }
    if (SSL_CTX_check_private_key(ssl_ctx) != 1) {
        ERR_clear_error();
        return err_set(err, "%s: the key does not belong to the certificate in %s", files->key_file,
                       files->certificate_file);
    }
    return true;
}

/* ---- images: all files of a certificate, one behind the other, in memory ---- */

enum image_part { IMAGE_CHAIN, IMAGE_KEY, IMAGE_CLIENT_CA, IMAGE_PARTS };

struct image_head {
    uint32_t bytes[IMAGE_PARTS]; /* they follow in this order; 0: there is no such file */
};

static bool use_chain(SSL_CTX *ssl_ctx, BIO *text)
{
    X509 *x = PEM_read_bio_X509(text, NULL, NULL, NULL);
    bool ok = x && SSL_CTX_use_certificate(ssl_ctx, x) == 1;
    X509_free(x);
    while (ok && (x = PEM_read_bio_X509(text, NULL, NULL, NULL))) {
        ok = SSL_CTX_add1_chain_cert(ssl_ctx, x) == 1;
        X509_free(x);
    }
    ERR_clear_error(); /* of the end of the text */
    return ok;
}

static bool use_key(SSL_CTX *ssl_ctx, BIO *text)
{
    EVP_PKEY *key = PEM_read_bio_PrivateKey(text, NULL, NULL, NULL);
    bool ok = key && SSL_CTX_use_PrivateKey(ssl_ctx, key) == 1;
    EVP_PKEY_free(key);
    ERR_clear_error();
    return ok;
}

static bool use_part(struct tls_entry *e, enum image_part part, const char *bytes, uint32_t len)
{
    struct err err; /* the image says what its files do not: nothing new */
    BIO *text = BIO_new_mem_buf(bytes, (int)len);
    bool ok = text && (part == IMAGE_CHAIN ? use_chain(e->holder, text)
                       : part == IMAGE_KEY ? use_key(e->holder, text)
                                           : tls_client_ca_parse(e, text, &err));
    BIO_free(text);
    return ok;
}

static bool use_parts(struct tls_entry *e, const char *image, size_t len)
{
    struct image_head head;
    size_t at = sizeof head;
    bool ok = len >= at;
    if (!ok)
        return false;
    memcpy(&head, image, sizeof head);
    for (int part = 0; ok && part < IMAGE_PARTS; part++) {
        bool is_wanted = part != IMAGE_CLIENT_CA || e->files->client_ca_file;
        ok = head.bytes[part] <= len - at && is_wanted == (head.bytes[part] > 0);
        ok = ok && (!is_wanted || use_part(e, (enum image_part)part, image + at, head.bytes[part]));
        at += ok ? head.bytes[part] : 0;
    }
    return ok;
}

/* It was seen to when the image was made that it can be used. */
static bool load_image(struct tls_entry *e, int image, struct err *err)
{
    struct stat st;
    size_t max = sizeof(struct image_head) + (size_t)IMAGE_PARTS * (FILE_MAX_BYTES + 1);
    bool ok = fstat(image, &st) == 0 && st.st_size > 0 && (size_t)st.st_size <= max;
    void *text = ok ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, image, 0) : MAP_FAILED;
    if (text == MAP_FAILED)
        return err_set(err, "the copy of %s cannot be read", e->files->certificate_file);
    ok = use_parts(e, text, (size_t)st.st_size);
    munmap(text, (size_t)st.st_size);
    return ok || err_set(err, "the copy of %s cannot be used", e->files->certificate_file);
}

/* Fills in an entry. image: -1, or what holds all files instead of these. False: it cannot be used. */
static bool hold(struct tls_entry *e, const struct tls_certificate *files, int image, struct err *err)
{
    *e = (struct tls_entry){SSL_CTX_new(TLS_server_method()), files, {0}};
    if (!e->holder) {
        ERR_clear_error();
        return err_no_memory(err);
    }
    if (image < 0 ? load(e->holder, files, err) && tls_client_ca_load(e, err) : load_image(e, image, err))
        return true;
    SSL_CTX_free(e->holder);
    e->holder = NULL;
    return false;
}

/* ---- choosing ---- */

/* A name as in `names`: itself, or with a leading dot every subdomain, too. */
static bool is_named(const struct tls_entry *e, struct str name)
{
    for (size_t i = 0; i < e->files->name_count; i++) {
        struct str said = str_of_z(e->files->names[i]);
        if (str_equal_nocase(said, name) || (said.len && said.ptr[0] == '.' && str_ends_nocase(name, said)))
            return true;
    }
    return X509_check_host(SSL_CTX_get0_certificate(e->holder), name.ptr, name.len, 0, NULL) == 1;
}

/* Gives the connection, of each kind of key, the first one that bears the name (empty: whatever its name), and asks for
 * the client's own as these say. False: none bears it. */
static bool use(struct tls_context *ctx, SSL *ssl, struct str name)
{
    int kinds[KINDS_MAX];
    size_t count = 0;
    const struct tls_entry *asks = NULL;
    for (size_t i = 0; i < ctx->entry_count && count < KINDS_MAX; i++) {
        SSL_CTX *holder = ctx->entries[i].holder;
        STACK_OF(X509) *chain = NULL;
        EVP_PKEY *key = SSL_CTX_get0_privatekey(holder);
        size_t same = 0;
        while (same < count && kinds[same] != EVP_PKEY_get_base_id(key))
            same++;
        if (same < count || (name.len && !is_named(&ctx->entries[i], name)))
            continue;
        SSL_CTX_get0_chain_certs(holder, &chain);
        if (SSL_use_cert_and_key(ssl, SSL_CTX_get0_certificate(holder), key, chain, 1) != 1)
            continue;
        kinds[count++] = EVP_PKEY_get_base_id(key);
        if (!asks && tls_client_ca_is_in(&ctx->entries[i]))
            asks = &ctx->entries[i];
    }
    bool ok = count > 0 && tls_client_ca_use_for(ssl, asks);
    ERR_clear_error();
    return ok;
}

/* In each whole handshake, before a certificate is needed. */
static int on_certificate(SSL *ssl, void *arg)
{
    struct tls_context *ctx = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    SSL_certs_clear(ssl);
    return (name && *name && use(ctx, ssl, str_of_z(name))) || use(ctx, ssl, STR_NONE);
}

bool tls_add_certificates(struct tls_context *ctx, const struct tls_server_options *options, struct err *err)
{
    ctx->entries = calloc(options->count, sizeof *ctx->entries);
    if (!ctx->entries)
        return err_no_memory(err);
    for (size_t i = 0; i < options->count; i++) {
        int image = options->images ? options->images[i] : -1;
        if (!hold(&ctx->entries[i], &options->certificates[i], image, err))
            return false;
        ctx->entry_count++;
    }
    SSL_CTX *first = ctx->entries[0].holder;
    STACK_OF(X509) *chain = NULL;
    SSL_CTX_get0_chain_certs(first, &chain);
    if (SSL_CTX_use_cert_and_key(ctx->ssl_ctx, SSL_CTX_get0_certificate(first), SSL_CTX_get0_privatekey(first), chain,
                                 1) != 1)
        return err_set(err, "%s: %s", options->certificates[0].certificate_file, tls_take_reason());
    if (tls_client_ca_is_in(&ctx->entries[0]) && !tls_client_ca_use(ctx->ssl_ctx, &ctx->entries[0])) {
        ERR_clear_error();
        return err_no_memory(err);
    }
    tls_client_ca_bind_sessions(ctx);
    if (options->count > 1)
        SSL_CTX_set_cert_cb(ctx->ssl_ctx, on_certificate, ctx);
    return true;
}

void tls_free_certificates(struct tls_context *ctx)
{
    for (size_t i = 0; i < ctx->entry_count; i++)
        SSL_CTX_free(ctx->entries[i].holder);
    free(ctx->entries);
}

/* ---- replacing ---- */

bool tls_server_replace(struct tls_context *ctx, size_t index, int image, struct err *err)
{
    if (index >= ctx->entry_count)
        return err_set(err, "there is no certificate number %zu", index);
    struct tls_entry fresh, *e = &ctx->entries[index];
    if (!hold(&fresh, e->files, image, err))
        return false;
    SSL_CTX_free(e->holder);
    *e = fresh;
    SSL_CTX_set_cert_cb(ctx->ssl_ctx, on_certificate, ctx);
    tls_client_ca_bind_sessions(ctx);
    return true;
}

/* Its size goes to *total. */
static bool append_file(int to, const char *file, uint32_t *total, struct err *err)
{
    char bytes[8192];
    ssize_t n;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_set(err, "cannot read %s: %s", file, strerror(errno));
    while ((n = read(fd, bytes, sizeof bytes)) > 0 && (*total += (uint32_t)n) <= FILE_MAX_BYTES)
        if (write(to, bytes, (size_t)n) != n)
            break;
    int reason = errno;
    explicit_bzero(bytes, sizeof bytes);
    close(fd);
    if (n == 0)
        return true;
    return err_set(err, "cannot read %s: %s", file, n < 0 ? strerror(reason) : "it is too large");
}

static bool append_files(int to, const struct tls_certificate *files, struct err *err)
{
    const char *const parts[IMAGE_PARTS] = {files->certificate_file, files->key_file, files->client_ca_file};
    struct image_head head = {{0}};
    bool ok = lseek(to, sizeof head, SEEK_SET) >= 0;
    for (int i = 0; ok && i < IMAGE_PARTS; i++)
        if (parts[i] && !append_file(to, parts[i], &head.bytes[i], err))
            return false;
    return (ok && pwrite(to, &head, sizeof head, 0) == sizeof head) ||
           err_set(err, "cannot copy %s: %s", files->certificate_file, strerror(errno));
}

int tls_certificate_image(const struct tls_certificate *files, struct err *err)
{
    struct tls_entry trial;
    if (!hold(&trial, files, -1, err)) /* for the words in which it says what is wrong */
        return -1;
    SSL_CTX_free(trial.holder);
    int image = memfd_create("mailweir-certificate", MFD_CLOEXEC);
    if (image < 0) {
        err_set(err, "cannot copy %s: %s", files->certificate_file, strerror(errno));
        return -1;
    }
    /* they may have changed since */
    if (!append_files(image, files, err) || !hold(&trial, files, image, err)) {
        close(image);
        return -1;
    }
    SSL_CTX_free(trial.holder);
    return image;
}
