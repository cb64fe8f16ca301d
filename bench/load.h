/*
 * load.h - the load generator: many SMTP clients in one thread, each with one dialogue that must go well.
 *
 *   load_options.c   what is asked for
 *   load.c           opens clients as long as there are mails left, waits for sockets, prints the sum
 *   load_client.c    one client: connection, TLS, greeting, EHLO, AUTH, mails, QUIT
 *
 * A mail is MAIL, RCPT and DATA in one write (RFC 2920 3.1), their three replies, then the message. In mode
 * `persistent` a client logs in once and sends its mails one after another; in mode `single` each mail has a connection
 * of its own; in mode `idle` clients stop after EHLO and stay.
 *
 * With a rate all clients (of mode `persistent`) log in first and rest; from then on a mail is due at each of as many
 * moments of a second, and the client that has rested longest sends it. What a mail takes is counted from the moment it
 * was due, so a server that stands still is not asked less for it.
 *
 * Every reply must be the one that means success: the first other one ends the program with its text and code 1, so a
 * figure is never that of a server that refuses.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <openssl/ssl.h>
#include <sys/epoll.h>

#include "base/buf.h"
#include "base/list.h"

enum load_mode { MODE_PERSISTENT, MODE_SINGLE, MODE_IDLE };

struct load_options {
    enum load_mode mode;
    unsigned port, connections, mails, size_bytes, users, sources, seconds, rate;
    bool is_tls, resumes, has_login;
    const char *password;
};

/* What a client sends, made once: the same for all of them. */
struct load_texts {
    struct str hello, envelope, message;
    struct buf *logins; /* one AUTH line a user */
};

struct load {
    struct load_options options;
    struct load_texts texts;
    SSL_CTX *tls;
    SSL_SESSION *session; /* the last one the server gave, if connections are to be resumed */
    int poller;
    unsigned begun_mails, done_mails, resumed;
    unsigned begun_clients, open_clients, idle_clients;
    struct list resting; /* clients that wait for a mail to be due */
    unsigned resting_clients;
    int64_t first_due_us; /* 0: not all clients are logged in yet */
    uint32_t *took_us;    /* of each mail that is done */
};

enum load_step {
    STEP_CONNECT,
    STEP_GREETING,
    STEP_HELLO,
    STEP_LOGIN,
    STEP_ENVELOPE,
    STEP_MESSAGE,
    STEP_QUIT,
    STEP_RESTING,
    STEP_IDLE
};

enum { LINE_MAX_BYTES = 512 };

struct load_client {
    struct load *load;
    struct list node; /* in resting */
    int64_t due_us;   /* its mail */
    int fd;
    SSL *ssl;
    unsigned number;
    enum load_step step;
    unsigned replies; /* of the envelope that have come */
    struct str unsent;
    char line[LINE_MAX_BYTES]; /* one that is not whole yet */
    size_t line_len;
};

/* Exits with a usage text where something is wrong. */
void load_options_read(struct load_options *options, int argc, char **argv);

/* Opens the next client. Exits if that cannot be. */
void load_client_open(struct load *load);
/* Lets those who rest send what is due (or say QUIT, where there are no mails left). The microseconds until more is
 * due; negative: nothing will be. */
int64_t load_clients_wake(struct load *load);
/* Its socket is ready for something (EPOLLIN, EPOLLOUT, edges). True: the client has said QUIT and is gone. */
bool load_client_on_socket(struct load_client *c);

/* Says what went wrong, with errno, and exits. */
NORETURN void load_fail(const char *what);

#endif
