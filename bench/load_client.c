/*
 * load_client.c - one client's dialogue.
 *
 *   connect ─▶ [TLS] ─▶ 220 ─▶ EHLO 250 ─▶ [AUTH 235] ─▶ MAIL 250 RCPT 250 DATA 354 ─▶ message 250 ─┬─▶ QUIT 221
 *                                                          ▲─────────────── the next mail ──────────┘
 *
 * Sockets are watched for edges in both directions, so that waiting costs no system call of its own: whoever is woken
 * writes what is unsent and reads until there is no more.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "load.h"

enum { READ_BYTES = 16 * 1024, ENVELOPE_REPLIES = 3 };

static const char *const step_names[] = {
    [STEP_CONNECT] = "connecting", [STEP_GREETING] = "greeting",         [STEP_HELLO] = "EHLO",
    [STEP_LOGIN] = "AUTH",         [STEP_ENVELOPE] = "MAIL, RCPT, DATA", [STEP_MESSAGE] = "the message",
    [STEP_QUIT] = "QUIT",          [STEP_RESTING] = "resting",           [STEP_IDLE] = "nothing",
};

NORETURN static void fail(const struct load_client *c, const char *what, struct str detail)
{
    fprintf(stderr, "load: connection %u, after %s: %s " PRI_STR "\n", c->number, step_names[c->step], what,
            STR_ARG(detail));
    exit(1);
}

NORETURN static void fail_tls(const struct load_client *c)
{
    fail(c, "TLS:", str_of_z(ERR_reason_error_string(ERR_peek_last_error())));
}

/* Bytes moved; 0: none now. The end of the connection is a failure: it comes only after QUIT, and then nobody reads. */
static size_t moved(const struct load_client *c, ssize_t n)
{
    if (n > 0)
        return (size_t)n;
    if (c->ssl) {
        int why = SSL_get_error(c->ssl, (int)n);
        if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
            return 0;
        fail_tls(c);
    }
    if (n < 0 && errno == EAGAIN)
        return 0;
    fail(c, "the connection ended:", str_of_z(n < 0 ? strerror(errno) : "end of file"));
}

static void write_unsent(struct load_client *c)
{
    while (c->unsent.len > 0) {
        size_t piece = MIN_OF(c->unsent.len, (size_t)1 << 30);
        size_t n = moved(c, c->ssl ? SSL_write(c->ssl, c->unsent.ptr, (int)piece) : write(c->fd, c->unsent.ptr, piece));
        if (n == 0)
            return;
        c->unsent = str_from(c->unsent, n);
    }
}

static void say(struct load_client *c, struct str text, enum load_step step)
{
    c->step = step;
    c->unsent = text;
    write_unsent(c);
}

static void begin_mail(struct load_client *c, int64_t due_us)
{
    c->load->begun_mails++;
    c->replies = 0;
    c->due_us = due_us;
    say(c, c->load->texts.envelope, STEP_ENVELOPE);
}

/* The mails are shared out as they come: a client may find none left. */
static void next_mail(struct load_client *c)
{
    struct load *load = c->load;

    if (load->begun_mails == load->options.mails) {
        say(c, STR("QUIT\r\n"), STEP_QUIT);
    } else if (load->options.rate == 0) {
        begin_mail(c, clock_monotonic_us());
    } else {
        c->step = STEP_RESTING;
        list_add_last(&load->resting, &c->node);
        load->resting_clients++;
    }
}

int64_t load_clients_wake(struct load *load)
{
    const struct load_options *o = &load->options;
    int64_t now_us = clock_monotonic_us();

    if (load->first_due_us == 0 && load->resting_clients == o->connections)
        load->first_due_us = now_us;
    while (load->first_due_us && !list_is_empty(&load->resting)) {
        int64_t due_us = load->first_due_us + (int64_t)load->begun_mails * 1000000 / o->rate;
        bool is_over = load->begun_mails == o->mails;
        if (!is_over && due_us > now_us)
            return due_us - now_us;
        struct load_client *c = LIST_FIRST(&load->resting, struct load_client, node);
        list_remove(&c->node);
        load->resting_clients--;
        if (is_over)
            next_mail(c);
        else
            begin_mail(c, due_us);
    }
    return -1;
}

static void after_hello(struct load_client *c)
{
    struct load *load = c->load;

    if (load->options.mode == MODE_IDLE) {
        c->step = STEP_IDLE;
        load->idle_clients++;
    } else if (load->options.has_login) {
        say(c, buf_str(&load->texts.logins[c->number % load->options.users]), STEP_LOGIN);
    } else {
        next_mail(c);
    }
}

static void after_mail(struct load_client *c)
{
    struct load *load = c->load;

    load->took_us[load->done_mails++] = (uint32_t)MIN_OF(clock_monotonic_us() - c->due_us, INT64_C(1000000000));
    if (load->options.mode == MODE_PERSISTENT)
        next_mail(c);
    else
        say(c, STR("QUIT\r\n"), STEP_QUIT);
}

static void on_reply(struct load_client *c, struct str line)
{
    static const char *const envelope[ENVELOPE_REPLIES] = {"250", "250", "354"};
    static const char *const wanted[] = {[STEP_GREETING] = "220",
                                         [STEP_HELLO] = "250",
                                         [STEP_LOGIN] = "235",
                                         [STEP_MESSAGE] = "250",
                                         [STEP_QUIT] = "221"};
    const char *want = c->step == STEP_ENVELOPE ? envelope[c->replies]
                       : c->step < STEP_RESTING ? wanted[c->step]
                                                : NULL;

    if (!want || !str_starts(line, str_of_z(want)))
        fail(c, "the server says", line);
    if (line.len > 3 && line.ptr[3] == '-')
        return;
    switch (c->step) {
    case STEP_GREETING:
        say(c, c->load->texts.hello, STEP_HELLO);
        break;
    case STEP_HELLO:
        after_hello(c);
        break;
    case STEP_LOGIN:
        next_mail(c);
        break;
    case STEP_ENVELOPE:
        if (++c->replies == ENVELOPE_REPLIES)
            say(c, c->load->texts.message, STEP_MESSAGE);
        break;
    case STEP_MESSAGE:
        after_mail(c);
        break;
    default: /* QUIT */
        c->step = STEP_CONNECT;
    }
}

static void on_bytes(struct load_client *c, struct str s)
{
    while (s.len > 0) {
        size_t len = str_find(s, '\n');
        if (c->line_len + len > sizeof c->line)
            fail(c, "a line is too long:", s);
        if (len == s.len || c->line_len > 0) {
            memcpy(c->line + c->line_len, s.ptr, len);
            c->line_len += len;
        }
        if (len == s.len)
            return;
        struct str line = c->line_len > 0 ? str_of(c->line, c->line_len) : str_of(s.ptr, len);
        c->line_len = 0;
        s = str_from(s, len + 1);
        on_reply(c, line);
    }
}

/* True: the handshake is done. */
static bool shake_hands(struct load_client *c)
{
    int done = SSL_connect(c->ssl);
    if (done == 1) {
        c->load->resumed += (unsigned)SSL_session_reused(c->ssl);
        return true;
    }
    int why = SSL_get_error(c->ssl, done);
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
        fail_tls(c);
    return false;
}

static void client_close(struct load_client *c)
{
    if (c->ssl)
        SSL_shutdown(c->ssl);
    SSL_free(c->ssl);
    close(c->fd);
    free(c);
}

bool load_client_on_socket(struct load_client *c)
{
    char bytes[READ_BYTES];
    size_t n;

    if (c->step == STEP_CONNECT) {
        if (c->ssl && !shake_hands(c))
            return false;
        c->step = STEP_GREETING;
    }
    write_unsent(c);
    do {
        n = moved(c, c->ssl ? SSL_read(c->ssl, bytes, sizeof bytes) : read(c->fd, bytes, sizeof bytes));
        on_bytes(c, str_of(bytes, n));
        if (c->step == STEP_CONNECT) { /* said good-bye */
            client_close(c);
            return true;
        }
        /* A plain read that does not fill its buffer has emptied the socket, a TLS one only when it says so. */
    } while (c->ssl ? n > 0 : n == sizeof bytes);
    return false;
}

static void start_tls(struct load_client *c)
{
    c->ssl = SSL_new(c->load->tls);
    if (!c->ssl || SSL_set_fd(c->ssl, c->fd) != 1)
        fail_tls(c);
    /* A ticket of TLS 1.3 is for one use by the book (RFC 8446 C.4); for this measurement the last one does. */
    if (c->load->session && SSL_set_session(c->ssl, c->load->session) != 1)
        fail_tls(c);
}

void load_client_open(struct load *load)
{
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET};
    struct load_client *c = calloc(1, sizeof *c);
    int on = 1;

    if (!c)
        load_fail("memory");
    c->load = load;
    c->number = load->begun_clients++;
    load->open_clients++;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        load_fail("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (load->options.sources > 1) {
        /* The port is chosen at connect, when the other end is known: a port may serve many destinations. */
        setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + c->number % load->options.sources);
        if (bind(c->fd, (struct sockaddr *)&from, sizeof from) < 0)
            load_fail("bind");
    }
    to.sin_port = htons((uint16_t)load->options.port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)
        load_fail("connect");
    if (load->tls)
        start_tls(c);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    if (epoll_ctl(load->poller, EPOLL_CTL_ADD, c->fd, &event) < 0)
        load_fail("epoll_ctl");
}
