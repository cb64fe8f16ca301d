/*
 * conn_tls.c - OpenSSL between a connection's buffers and its socket. See conn.h and tls.h.
 *
 *   conn.in ◀── conn_tls_read ◀── SSL ◀── BIO ◀── recv        conn.out ──▶ conn_tls_write ──▶ SSL ──▶ BIO ──▶ send
 *
 * The BIO is ours and small: it reads and writes the conn's descriptor without a signal, keeps errno for conn_error,
 * and knows when a read found less than it asked for, so that OpenSSL's next one (it always looks for another record)
 * costs no system call. What the socket does not take of a record it keeps (c->sealed). For OpenSSL every write
 * succeeds: with a record half written it could not answer a key update, and would break the connection over it.
 *
 * A peer can make TLS itself work without ever sending data: key updates, refused renegotiations, warnings. So many
 * such messages are borne (TLS_MESSAGES_MAX); what one read finds of them is bounded by OpenSSL's buffer.
 */
#include "net/conn_internal.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/panic.h"
#include "net/tls.h"
#include "net/tls_internal.h"

/* A record, and the few words of TLS itself that may come while it waits. */
enum { TLS_MESSAGES_MAX = 64, SEALED_MAX_BYTES = 65536 };

/* ---- the BIO ---- */

static int bio_read(BIO *bio, char *to, int size)
{
    struct conn *c = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (c->flags & CONN_SOCKET_DRY) {
        BIO_set_retry_read(bio);
        return -1;
    }
    ssize_t n = recv(c->fd, to, (size_t)size, 0);
    if (n == 0)
        BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    else if (n < size)
        c->flags |= CONN_SOCKET_DRY;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_read(bio);
    else if (n < 0)
        c->error = (uint16_t)errno;
    return (int)n;
}

struct conn_sealed {
    size_t at; /* what went out of it since */
    char bytes[];
};

static bool seal(struct conn *c, const char *bytes, size_t len)
{
    size_t end = c->sealed ? c->sealed->at + c->sealed_bytes : 0;
    struct conn_sealed *sealed = NULL;
    if (end + len <= SEALED_MAX_BYTES)
        sealed = realloc(c->sealed, sizeof *sealed + end + len);
    if (!sealed)
        return false;
    if (!c->sealed)
        sealed->at = 0;
    memcpy(sealed->bytes + end, bytes, len);
    c->sealed = sealed;
    c->sealed_bytes += (uint32_t)len;
    c->flags |= CONN_FULL;
    return true;
}

static bool is_passing(int error)
{
    return error == EAGAIN || error == EINTR || error == ENOBUFS;
}

/* Takes all, always: OpenSSL never has to wait amid a record. */
static int bio_write(BIO *bio, const char *from, int len)
{
    struct conn *c = BIO_get_data(bio);
    ssize_t n = 0;
    BIO_clear_retry_flags(bio);
    if (!c->sealed) {
        n = send(c->fd, from, (size_t)len, MSG_NOSIGNAL);
        if (n < 0 && !is_passing(errno)) {
            c->error = (uint16_t)errno;
            return -1;
        }
        n = MAX_OF(n, 0);
    }
    if (n < len && !seal(c, from + n, (size_t)(len - n))) {
        c->error = ENOMEM;
        return -1;
    }
    return len;
}

enum io_result conn_tls_send_sealed(struct conn *c)
{
    struct conn_sealed *sealed = c->sealed;
    ssize_t n = send(c->fd, sealed->bytes + sealed->at, c->sealed_bytes, MSG_NOSIGNAL);
    if (n < 0 && !is_passing(errno)) {
        conn_note_end(c, CONN_RESET, errno);
        return IO_FAILED;
    }
    n = MAX_OF(n, 0);
    sealed->at += (size_t)n;
    c->sealed_bytes -= (uint32_t)n;
    if (c->sealed_bytes) {
        c->flags |= CONN_FULL;
        return IO_AGAIN;
    }
    free(sealed);
    c->sealed = NULL;
    return IO_OK;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)number, (void)pointer;
    if (command == BIO_CTRL_EOF)
        return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    return command == BIO_CTRL_FLUSH; /* the only other one that needs an answer */
}

static BIO *bio_new(struct conn *c)
{
    static BIO_METHOD *method; /* one a process, for its whole life */
    if (!method) {
        method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK | BIO_TYPE_DESCRIPTOR, "conn");
        if (!method)
            return NULL;
        BIO_meth_set_read(method, bio_read);
        BIO_meth_set_write(method, bio_write);
        BIO_meth_set_ctrl(method, bio_ctrl);
    }
    BIO *bio = BIO_new(method);
    if (!bio)
        return NULL;
    BIO_set_data(bio, c);
    BIO_set_init(bio, 1);
    return bio;
}

/* ---- errors ---- */

/* The first error of OpenSSL's TLS in its queue (others below it say less); 0: none. Empties the queue. */
static int take_reason(void)
{
    int reason = 0;
    for (unsigned long e; (e = ERR_get_error()) != 0;)
        if (reason == 0 && ERR_GET_LIB(e) == ERR_LIB_SSL)
            reason = ERR_GET_REASON(e);
    return reason;
}

/* Why did an operation of OpenSSL fail? IO_EOF and IO_FAILED note the end. */
static enum io_result result_of(struct conn *c, int returned)
{
    switch (SSL_get_error(c->ssl, returned)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return IO_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        conn_note_end(c, CONN_PEER_CLOSED, 0);
        return IO_EOF;
    case SSL_ERROR_SYSCALL: {
        int error = c->error;
        c->error = 0;
        conn_note_end(c, error ? CONN_RESET : CONN_PEER_CLOSED, error);
        ERR_clear_error();
        return error ? IO_FAILED : IO_EOF;
    }
    default: {
        int reason = take_reason();
        conn_note_end(c, reason == ERR_R_MALLOC_FAILURE ? CONN_NO_MEMORY : CONN_TLS_FAILED, reason);
        return IO_FAILED;
    }
    }
}

const char *conn_tls_error(const struct conn *c)
{
    static char text[200];
    bool is_server = c->flags & CONN_TLS_SERVER;
    long verdict = c->ssl ? SSL_get_verify_result(c->ssl) : X509_V_OK;
    switch (c->error) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
        return is_server ? "plain text on a TLS port" : "the peer does not speak TLS";
    case SSL_R_NO_SHARED_CIPHER:
        return "no shared cipher";
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
        return "no shared version of TLS";
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        return is_server ? "the client does not trust our certificate: unknown ca"
                         : "the server does not trust our certificate: unknown ca";
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
        snprintf(text, sizeof text, "the %s does not trust our certificate: %s", is_server ? "client" : "server",
                 ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, c->error)));
        return text;
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
        snprintf(text, sizeof text, "the peer's certificate is not accepted: %s",
                 X509_verify_cert_error_string(verdict));
        return text;
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
        return "the peer closed the connection during the TLS handshake";
    default: {
        const char *reason = c->error ? ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, c->error)) : NULL;
        snprintf(text, sizeof text, "TLS failed: %s", reason ? reason : "the cause is not known");
        return text;
    }
    }
}

/* ---- bytes ---- */

enum io_result conn_tls_read(struct conn *c, char *to, size_t room, size_t *got)
{
    enum io_result result = IO_OK;
    *got = 0;
    ERR_clear_error();
    do {
        int n = SSL_read(c->ssl, to + *got, (int)(room - *got));
        if (n > 0)
            *got += (size_t)n;
        else
            result = result_of(c, n);
    } while (result == IO_OK && *got < room);

    c->flags &= ~(uint32_t)CONN_TLS_MORE;
    if (result == IO_OK && SSL_has_pending(c->ssl))
        c->flags |= CONN_TLS_MORE;
    if (c->sealed)
        conn_update_events(c);
    if (c->tls_messages > TLS_MESSAGES_MAX && !c->end) {
        conn_note_end(c, CONN_TLS_FAILED, SSL_R_TOO_MANY_KEY_UPDATES);
        result = IO_FAILED;
    }
    return result;
}

enum io_result conn_tls_write(struct conn *c, struct str s, size_t *written)
{
    *written = 0;
    ERR_clear_error();
    while (*written < s.len) {
        if (c->sealed)
            return IO_AGAIN;
        size_t left = MIN_OF(s.len - *written, (size_t)INT32_MAX);
        int n = SSL_write(c->ssl, s.ptr + *written, (int)left);
        if (n > 0) {
            *written += (size_t)n;
            continue;
        }
        enum io_result result = result_of(c, n);
        if (result == IO_AGAIN)
            c->flags |= CONN_WRITE_NEEDS_READ;
        /* Writing finds no end of file: what looks like one is a session that is torn. */
        if (result == IO_EOF)
            conn_note_end(c, CONN_RESET, EPIPE);
        return result == IO_AGAIN ? IO_AGAIN : IO_FAILED;
    }
    return IO_OK;
}

/* ---- the handshake ---- */

/* Counts what is no data; records' headers are no messages. */
static void on_message(int is_sent, int version, int type, const void *bytes, size_t len, SSL *ssl, void *arg)
{
    (void)is_sent, (void)version, (void)bytes, (void)len, (void)ssl;
    struct conn *c = arg;
    if ((type == SSL3_RT_HANDSHAKE || type == SSL3_RT_ALERT) && c->tls_messages <= TLS_MESSAGES_MAX)
        c->tls_messages++;
}

bool conn_tls_handshake(struct conn *c)
{
    ERR_clear_error();
    int done = SSL_do_handshake(c->ssl);
    if (done == 1) {
        c->flags = (c->flags & ~(uint32_t)CONN_HANDSHAKING) | CONN_SECURE;
        if (c->flags & CONN_TLS_SERVER)
            SSL_set_client_CA_list(c->ssl, NULL); /* its own copy, which has served */
        SSL_set_msg_callback(c->ssl, on_message);
        SSL_set_msg_callback_arg(c->ssl, c);
        if (SSL_has_pending(c->ssl))
            c->flags |= CONN_TLS_MORE;
        if ((c->flags & CONN_TLS_MORE) || buf_len(&c->out))
            task_defer(c->loop, &c->turn);
        conn_update_events(c);
        return conn_call(c, c->ops->on_ready);
    }
    enum io_result result = result_of(c, done);
    if (result == IO_AGAIN) {
        conn_update_events(c);
        return true;
    }
    if (c->end == 1 + CONN_PEER_CLOSED) {
        c->end = 1 + CONN_TLS_FAILED;
        c->error = SSL_R_UNEXPECTED_EOF_WHILE_READING;
    }
    return conn_tell_end(c);
}

static SSL *make_ssl(struct conn *c, struct tls_context *ctx, struct err *err)
{
    SSL *ssl = SSL_new(tls_ssl_ctx(ctx));
    BIO *bio = ssl ? bio_new(c) : NULL;
    if (!bio) {
        SSL_free(ssl);
        ERR_clear_error();
        err_no_memory(err);
        return NULL;
    }
    SSL_set_bio(ssl, bio, bio);
    return ssl;
}

static void begin(struct conn *c, SSL *ssl, uint32_t role)
{
    uint32_t in_the_way = CONN_CONNECTING | CONN_HANDSHAKING | CONN_SECURE | CONN_LINGERS;
    PANIC_IF(!conn_is_open(c) || (c->flags & in_the_way), "TLS begins on a connection that is not open, or has it");
    c->ssl = ssl;
    conn_drop_input(c);
    c->clear_bytes = (uint32_t)buf_len(&c->out);
    c->flags = (c->flags & ~(uint32_t)(CONN_READ_OFF | CONN_SOCKET_DRY)) | CONN_HANDSHAKING | role;
    conn_update_events(c);
    task_defer(c->loop, &c->turn);
}

bool conn_start_tls_server(struct conn *c, struct tls_context *ctx, struct err *err)
{
    SSL *ssl = NULL;
    if (!(c->flags & CONN_IN_MEMORY)) {
        if (!(ssl = make_ssl(c, ctx, err)))
            return false;
        SSL_set_accept_state(ssl);
    }
    begin(c, ssl, CONN_TLS_SERVER);
    return true;
}

/* What the certificate must bear, and what SNI says (a name; RFC 6066 3 knows no addresses there). */
static bool expect_name(SSL *ssl, const char *name, struct err *err)
{
    struct ip ip;
    bool is_address = ip_parse(str_of_z(name), &ip), verifies = SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER;
    bool ok = is_address || SSL_set_tlsext_host_name(ssl, name) == 1;
    if (ok && verifies && is_address) {
        ok = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    } else if (ok && verifies) {
        SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        ok = SSL_set1_host(ssl, name) == 1;
    }
    if (!ok) {
        ERR_clear_error();
        err_set(err, "\"%s\" cannot be asked for in TLS: it is too long or no host name", name);
    }
    return ok;
}

bool conn_start_tls_client(struct conn *c, struct tls_context *ctx, const char *server_name, struct err *err)
{
    SSL *ssl = NULL;
    if (!(c->flags & CONN_IN_MEMORY)) {
        if (!(ssl = make_ssl(c, ctx, err)))
            return false;
        SSL_set_connect_state(ssl);
        if (server_name && !expect_name(ssl, server_name, err)) {
            SSL_free(ssl);
            return false;
        }
    }
    begin(c, ssl, 0);
    return true;
}

void conn_tls_say_goodbye(struct conn *c)
{
    if (!c->ssl || !(c->flags & CONN_SECURE) || (c->flags & CONN_FULL) || conn_is_broken(c))
        return;
    ERR_clear_error();
    SSL_shutdown(c->ssl);
    ERR_clear_error();
}

void conn_tls_free(struct conn *c)
{
    SSL_free(c->ssl);
    free(c->sealed);
    c->ssl = NULL;
    c->sealed = NULL;
    c->sealed_bytes = 0;
}

/* ---- what is asked about it ---- */

bool conn_is_tls(const struct conn *c)
{
    return c->flags & CONN_SECURE;
}

struct str conn_tls_version(const struct conn *c)
{
    if (!conn_is_tls(c))
        return STR_NONE;
    return c->ssl ? str_of_z(SSL_get_version(c->ssl)) : STR("TLSv1.3");
}

struct str conn_tls_cipher(const struct conn *c)
{
    if (!conn_is_tls(c))
        return STR_NONE;
    return c->ssl ? str_of_z(SSL_get_cipher_name(c->ssl)) : STR("TLS_AES_256_GCM_SHA384");
}

bool conn_tls_was_resumed(const struct conn *c)
{
    return conn_is_tls(c) && c->ssl && SSL_session_reused(c->ssl);
}

struct str conn_tls_certificate(const struct conn *c, char to[CONN_CERTIFICATE_MAX_BYTES])
{
    if (!conn_is_tls(c) || !c->ssl || !(c->flags & CONN_TLS_SERVER))
        return STR_NONE;
    return tls_client_subject(c->ssl, to, CONN_CERTIFICATE_MAX_BYTES);
}
