/*
 * sink.c - the cheapest MTA there is: it says yes to everything and forgets it.
 *
 *   sink --port 2600 [--auth-port 2601] [--log FILE]
 *
 * It stands behind every front end that bench/run.sh compares, so that what differs is the front end alone. It offers
 * what a Postfix offers to a trusted front end (PIPELINING, 8BITMIME, XFORWARD …) and AUTH too, for those front ends
 * that know no logins of their own and hand the client's through. On --auth-port it answers every request as nginx'
 * `auth_http` wants it: whoever it is may come in, and the MTA is --port.
 *
 * HELP tells how many mails it has taken, which is how run.sh knows that none was lost on the way. With --log it writes
 * down each mail that it takes, before it says so: the ENVID of its MAIL, a tab, and the microseconds of the monotonic
 * clock when the end of the message had come. greedy.c numbers its mails there.
 *
 * It speaks to our own programs on this machine only, so it is lax: a line that is longer than its buffer or a client
 * that does not read its replies costs that connection, and nothing has a deadline.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"

enum {
    ENVID_MAX_BYTES = 32,
    LINE_MAX_BYTES = 1024,
    READ_BYTES = 256 * 1024,
    REPLY_MAX_BYTES = 512,
    BACKLOG = 4096,
    EVENTS = 256
};

enum role { SMTP_LISTENER, AUTH_LISTENER, SMTP_CLIENT, AUTH_CLIENT };

struct peer {
    int fd;
    enum role role;
    bool in_data, quits;
    char envid[ENVID_MAX_BYTES + 1]; /* of the mail that is begun */
    char tail[4];                    /* of the message: the end may lie across two reads */
    size_t tail_len;
    char line[LINE_MAX_BYTES]; /* one that is not whole yet */
    size_t line_len;
};

static char input[READ_BYTES];
static char output[64 * 1024];
static size_t output_len;
static unsigned long mail_count;
static int poller, smtp_port;
static FILE *taken_log; /* NULL: none is kept */

static const struct {
    struct str verb;
    struct str reply;
} answers[] = {
    {STR("EHLO"), STR("250-sink.example.org\r\n250-PIPELINING\r\n250-SIZE 104857600\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"
                      "250-DSN\r\n250-ENHANCEDSTATUSCODES\r\n250-AUTH PLAIN LOGIN\r\n"
                      "250 XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE\r\n")},
    {STR("HELO"), STR("250 sink.example.org\r\n")},
    {STR("MAIL"), STR("250 2.1.0 Ok\r\n")},
    {STR("RCPT"), STR("250 2.1.5 Ok\r\n")},
    {STR("DATA"), STR("354 End data with <CR><LF>.<CR><LF>\r\n")},
    {STR("XFORWARD"), STR("250 2.0.0 Ok\r\n")},
    {STR("RSET"), STR("250 2.0.0 Ok\r\n")},
    {STR("NOOP"), STR("250 2.0.0 Ok\r\n")},
    {STR("AUTH"), STR("235 2.7.0 Authentication successful\r\n")},
    {STR("QUIT"), STR("221 2.0.0 Bye\r\n")},
};

NORETURN static void fail(const char *what)
{
    fprintf(stderr, "sink: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void drop(struct peer *p)
{
    close(p->fd);
    free(p);
}

/* False: the client does not take it. */
static bool flush(const struct peer *p)
{
    size_t len = output_len;

    output_len = 0;
    return len == 0 || write(p->fd, output, len) == (ssize_t)len;
}

static bool say(const struct peer *p, struct str text)
{
    if (output_len + text.len > sizeof output && !flush(p))
        return false;
    memcpy(output + output_len, text.ptr, text.len);
    output_len += text.len;
    return true;
}

static void note_envid(struct peer *p, struct str line)
{
    static const char name[] = " ENVID=";
    const char *found = memmem(line.ptr, line.len, name, sizeof name - 1);
    struct str value = found ? str_from(line, (size_t)(found - line.ptr) + sizeof name - 1) : STR_NONE;
    str_copy_into(p->envid, sizeof p->envid, str_sub(value, 0, str_find(value, ' ')));
}

static void on_taken(const struct peer *p)
{
    mail_count++;
    if (taken_log &&
        (fprintf(taken_log, "%s\t%" PRId64 "\n", p->envid, clock_monotonic_us()) < 0 || fflush(taken_log) != 0))
        fail("log");
}

static bool on_command(struct peer *p, struct str line)
{
    char text[REPLY_MAX_BYTES];

    if (str_starts_nocase(line, STR("HELP"))) {
        int len = snprintf(text, sizeof text, "214 2.0.0 %lu mails\r\n", mail_count);
        return say(p, str_of(text, (size_t)len));
    }
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        if (!str_starts_nocase(line, answers[i].verb))
            continue;
        p->in_data = answers[i].verb.ptr[0] == 'D';
        p->quits = answers[i].verb.ptr[0] == 'Q';
        if (taken_log && answers[i].verb.ptr[0] == 'M')
            note_envid(p, line);
        /* A message may begin with its dot: DATA's own line end is the one before it. */
        memcpy(p->tail, "\r\n", 2);
        p->tail_len = 2;
        return say(p, answers[i].reply);
    }
    return say(p, STR("502 5.5.2 Error: command not recognized\r\n"));
}

/* nginx: a GET, header lines, an empty one. */
static bool on_request_line(struct peer *p, struct str line)
{
    char text[REPLY_MAX_BYTES];

    if (line.len > 0)
        return true;
    int len =
        snprintf(text, sizeof text,
                 "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 127.0.0.1\r\nAuth-Port: %d\r\n\r\n", smtp_port);
    p->quits = true;
    return say(p, str_of(text, (size_t)len));
}

/* How many bytes of s belong to the message: all of them, or those up to its end. */
static size_t swallow(struct peer *p, struct str s)
{
    static const struct str end = STR("\r\n.\r\n");
    char joint[8];
    size_t head = MIN_OF(s.len, sizeof joint - p->tail_len);

    /* The end that began in an earlier read: p->tail and the first bytes of this one. */
    memcpy(joint, p->tail, p->tail_len);
    memcpy(joint + p->tail_len, s.ptr, head);
    const char *found = memmem(joint, p->tail_len + head, end.ptr, end.len);
    size_t used = found ? (size_t)(found - joint) + end.len - p->tail_len : s.len;
    if (!found) {
        found = memmem(s.ptr, s.len, end.ptr, end.len);
        used = found ? (size_t)(found - s.ptr) + end.len : s.len;
    }
    if (found) {
        p->in_data = false;
        on_taken(p);
        return used;
    }
    if (s.len >= sizeof p->tail) {
        memcpy(p->tail, s.ptr + s.len - sizeof p->tail, sizeof p->tail);
        p->tail_len = sizeof p->tail;
        return used;
    }
    size_t whole = p->tail_len + s.len, cut = whole > sizeof p->tail ? whole - sizeof p->tail : 0;
    memmove(p->tail, joint + cut, whole - cut);
    p->tail_len = whole - cut;
    return used;
}

/* Handles one line of s, which may go on p->line. 0: the client must go. */
static size_t on_line(struct peer *p, struct str s)
{
    size_t len = str_find(s, '\n');

    if (p->line_len + len > sizeof p->line)
        return 0;
    if (len == s.len) {
        memcpy(p->line + p->line_len, s.ptr, s.len);
        p->line_len += s.len;
        return s.len;
    }
    struct str line = str_of(s.ptr, len);
    if (p->line_len > 0) {
        memcpy(p->line + p->line_len, s.ptr, len);
        line = str_of(p->line, p->line_len + len);
        p->line_len = 0;
    }
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    bool is_answered = p->role == AUTH_CLIENT ? on_request_line(p, line) : on_command(p, line);
    return is_answered ? len + 1 : 0;
}

static void on_input(struct peer *p)
{
    ssize_t got = read(p->fd, input, sizeof input);

    if (got < 0 && errno == EAGAIN)
        return;
    struct str rest = str_of(input, got > 0 ? (size_t)got : 0);
    bool goes_on = rest.len > 0;
    while (goes_on && rest.len > 0 && !p->quits) {
        bool was_data = p->in_data;
        size_t used = was_data ? swallow(p, rest) : on_line(p, rest);
        goes_on = used > 0;
        rest = str_from(rest, used);
        if (was_data && !p->in_data)
            goes_on = say(p, STR("250 2.0.0 Ok: swallowed\r\n"));
    }
    if (!flush(p) || !goes_on || p->quits)
        drop(p);
}

static void watch(int fd, enum role role)
{
    struct peer *p = calloc(1, sizeof *p);
    if (!p)
        fail("memory");
    p->fd = fd;
    p->role = role;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = p};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0)
        fail("epoll_ctl");
}

static void on_connections(const struct peer *listener)
{
    static const struct str greeting = STR("220 sink.example.org ESMTP\r\n");
    bool is_smtp = listener->role == SMTP_LISTENER;

    for (;;) {
        int on = 1, fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR))
            return;
        if (fd < 0)
            fail("accept");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (is_smtp && write(fd, greeting.ptr, greeting.len) != (ssize_t)greeting.len) {
            close(fd);
            continue;
        }
        watch(fd, is_smtp ? SMTP_CLIENT : AUTH_CLIENT);
    }
}

static void listen_on(int port, enum role role)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
        fail("socket");
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, BACKLOG) < 0)
        fail("bind");
    watch(fd, role);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"port", required_argument, NULL, 'p'},
                                            {"auth-port", required_argument, NULL, 'a'},
                                            {"log", required_argument, NULL, 'l'},
                                            {0}};
    struct epoll_event events[EVENTS];
    struct rlimit files;
    uint64_t value;
    int auth_port = 0, letter;

    while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (letter == 'l') {
            taken_log = fopen(optarg, "w");
            if (!taken_log)
                fail(optarg);
            continue;
        }
        if (letter == '?' || !str_to_u64(str_of_z(optarg), UINT16_MAX, &value)) {
            fprintf(stderr, "usage: sink --port PORT [--auth-port PORT] [--log FILE]\n");
            return 2;
        }
        *(letter == 'p' ? &smtp_port : &auth_port) = (int)value;
    }
    if (smtp_port == 0 || optind < argc) {
        fprintf(stderr, "usage: sink --port PORT [--auth-port PORT] [--log FILE]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0)
        fail("epoll_create1");
    listen_on(smtp_port, SMTP_LISTENER);
    if (auth_port > 0)
        listen_on(auth_port, AUTH_LISTENER);
    for (;;) {
        int count = epoll_wait(poller, events, EVENTS, -1);
        if (count < 0 && errno != EINTR)
            fail("epoll_wait");
        for (int i = 0; i < count; i++) {
            struct peer *p = events[i].data.ptr;
            if (p->role == SMTP_LISTENER || p->role == AUTH_LISTENER)
                on_connections(p);
            else
                on_input(p);
        }
    }
}
