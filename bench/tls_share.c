/*
 * tls_share.c - how much of an idle TLS connection's memory is OpenSSL's own?
 *
 *   tls_share --certificate FILE --key FILE [COUNT]
 *
 * Opens COUNT (1000) connections to itself over socket pairs, in the way a frugal server does
 * (SSL_MODE_RELEASE_BUFFERS, no session cache), and prints the bytes of heap that one finished, idle server side holds.
 * What a server needs beyond that is its own.
 */
#include <fcntl.h>
#include <malloc.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"

enum { COUNT_USUAL = 1000, COUNT_MAX = 9000, TURNS_MAX = 20 };

NORETURN static void fail(const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    fprintf(stderr, "tls_share: %s%s%s\n", what, reason ? ": " : "", reason ? reason : "");
    exit(1);
}

static SSL *open_side(SSL_CTX *ctx, int fd)
{
    SSL *ssl = SSL_new(ctx);
    if (!ssl || SSL_set_fd(ssl, fd) != 1)
        fail("SSL_new");
    return ssl;
}

/* Both sides in turn until both are done; then the client reads the tickets, as clients do. */
static void shake_hands(SSL *server, SSL *client)
{
    char byte;
    int is_done = 0;

    for (int turn = 0; turn < TURNS_MAX && is_done < 2; turn++)
        is_done = (SSL_connect(client) == 1) + (SSL_accept(server) == 1);
    if (is_done < 2)
        fail("handshake");
    if (SSL_write(server, "x", 1) != 1 || SSL_read(client, &byte, 1) != 1 || SSL_write(client, "x", 1) != 1 ||
        SSL_read(server, &byte, 1) != 1)
        fail("first bytes");
}

int main(int argc, char **argv)
{
    SSL_CTX *server_ctx = SSL_CTX_new(TLS_server_method()), *client_ctx = SSL_CTX_new(TLS_client_method());
    uint64_t count = COUNT_USUAL;
    size_t before = 0;

    bool is_understood =
        argc >= 5 && argc <= 6 && strcmp(argv[1], "--certificate") == 0 && strcmp(argv[3], "--key") == 0;
    if (!is_understood || (argc == 6 && !str_to_u64(str_of_z(argv[5]), COUNT_MAX, &count)) || count == 0) {
        fprintf(stderr, "usage: tls_share --certificate FILE --key FILE [COUNT up to %d]\n", COUNT_MAX);
        return 2;
    }
    if (!server_ctx || !client_ctx || SSL_CTX_use_certificate_chain_file(server_ctx, argv[2]) != 1 ||
        SSL_CTX_use_PrivateKey_file(server_ctx, argv[4], SSL_FILETYPE_PEM) != 1)
        fail("certificate and key");
    SSL_CTX_set_mode(server_ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(server_ctx, SSL_SESS_CACHE_OFF);

    /* The first one pays for what is made once (tables, curves). */
    for (uint64_t i = 0; i <= count; i++) {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
            fail("socketpair");
        SSL *server = open_side(server_ctx, pair[0]), *client = open_side(client_ctx, pair[1]);
        shake_hands(server, client);
        SSL_free(client);
        close(pair[1]);
        if (i == 0)
            before = mallinfo2().uordblks;
    }
    printf("bytes=%zu\n", (mallinfo2().uordblks - before) / count);
    return 0;
}
