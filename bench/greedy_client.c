/*
 * greedy_client.c - one client of a crowd.
 *
 *   AWAY ─▶ 220 ─▶ EHLO 250 ─▶ [AUTH 235] ─▶ RESTING ─▶ MAIL 250 ─▶ RCPT 250 ─▶ DATA 354 ─▶ message 250 ─┐
 *    ▲                                          ▲ ▲        │           │           │           │         │
 *    │                                          │ └────────┘ refused   └─▶ RSET ◀──┘           │ refused │
 *    │                                          ├────────────────────────── 250 ◀──────────────┘         │
 *    └── the connection ended, or 421           └────────────────────────────────────────────────────────┘
 *
 * Commands are sent one at a time: RCPT and DATA that follow a refused MAIL would be errors, and who makes too many of
 * these is sent away, which is not what is to be measured.
 */
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/clock.h"
#include "greedy.h"

static const char *const step_names[] = {
    [STEP_AWAY] = "connecting", [STEP_GREETING] = "greeting", [STEP_HELLO] = "EHLO", [STEP_LOGIN] = "AUTH",
    [STEP_RESTING] = "resting", [STEP_MAIL] = "MAIL",         [STEP_RCPT] = "RCPT",  [STEP_DATA] = "DATA",
    [STEP_MESSAGE] = "dot",     [STEP_RSET] = "RSET",
};

static void wait_until(struct greedy_client *c, enum greedy_step step, int64_t due_us)
{
    c->step = step;
    c->due_us = due_us;
    c->greedy->next_due_us = MIN_OF(c->greedy->next_due_us, due_us);
}

static void wait_ms(struct greedy_client *c, enum greedy_step step, unsigned ms)
{
    wait_until(c, step, clock_monotonic_us() + (int64_t)ms * 1000);
}

static void write_down(const struct greedy_client *c, const char *what, int64_t now_us)
{
    fprintf(c->greedy->record, "%s\t%" PRIu64 "\t%s\t%" PRId64, what, c->mail, c->crowd->name, now_us);
}

static void leave(struct greedy_client *c)
{
    close(c->fd);
    c->fd = -1;
    c->line_len = 0;
    wait_ms(c, STEP_AWAY, CONNECT_PAUSE_MS);
}

/* The connection ended, or there is no use in it. reply: the last one, if that is why. */
static void lose(struct greedy_client *c, struct str reply)
{
    int64_t now_us = clock_monotonic_us();

    if (c->step == STEP_MESSAGE) {
        c->crowd->unknown++;
        write_down(c, "unknown", now_us);
        fprintf(c->greedy->record, "\n");
    } else {
        c->crowd->lost++;
        write_down(c, "lost", now_us);
        fprintf(c->greedy->record, "\t%s\t" PRI_STR "\n", step_names[c->step], STR_ARG(reply));
    }
    leave(c);
}

static void say(struct greedy_client *c, struct str text, enum greedy_step step)
{
    c->step = step;
    /* A few hundred bytes on a connection whose other end has read all that came before: they fit, or it is dead. */
    if (write(c->fd, text.ptr, text.len) != (ssize_t)text.len) {
        lose(c, STR_NONE);
        return;
    }
    wait_until(c, step, clock_monotonic_us() + REPLY_MAX_US);
}

static void say_login(struct greedy_client *c)
{
    struct buf line, secret;

    buf_init(&line, TEXT_MAX_BYTES);
    buf_init(&secret, TEXT_MAX_BYTES);
    bool fits = buf_append_char(&secret, '\0') && buf_append_str(&secret, str_of_z(c->crowd->user)) &&
                buf_append_char(&secret, '\0') && buf_append_str(&secret, str_of_z(c->crowd->password)) &&
                buf_append_str(&line, STR("AUTH PLAIN ")) && base64_encode(&line, buf_str(&secret)) &&
                buf_append_str(&line, STR("\r\n"));
    if (!fits)
        greedy_fail("login");
    say(c, buf_str(&line), STEP_LOGIN);
    buf_fini(&secret);
    buf_fini(&line);
}

static void say_mail(struct greedy_client *c)
{
    char text[TEXT_MAX_BYTES];

    c->mail = c->greedy->next_mail++;
    c->data_us = 0;
    int len = snprintf(text, sizeof text, "MAIL FROM:<%s> ENVID=%" PRIu64 "\r\n",
                       c->crowd->user ? c->crowd->user : "greedy@example.org", c->mail);
    say(c, str_of(text, MIN_OF((size_t)len, sizeof text - 1)), STEP_MAIL);
}

static void say_message(struct greedy_client *c)
{
    char text[TEXT_MAX_BYTES];
    int len = snprintf(text, sizeof text,
                       "From: <greedy@example.org>\r\nTo: <friend@example.net>\r\nSubject: %" PRIu64
                       "\r\nMessage-ID: <%" PRIu64 "@greedy.example.org>\r\n"
                       "Date: Mon, 05 Jan 2026 12:00:00 +0000\r\n\r\nMore, more.\r\n.\r\n",
                       c->mail, c->mail);
    say(c, str_of(text, (size_t)len), STEP_MESSAGE);
}

static void rest(struct greedy_client *c, struct greedy_range range)
{
    wait_ms(c, STEP_RESTING, greedy_random_ms(c->greedy, range));
}

static void on_accepted(struct greedy_client *c)
{
    c->crowd->accepted++;
    write_down(c, "accepted", clock_monotonic_us());
    fprintf(c->greedy->record, "\t%" PRId64 "\n", c->data_us);
    rest(c, c->crowd->after_accepted);
}

static void on_refused(struct greedy_client *c, struct str reply)
{
    enum greedy_step step = c->step;

    if (c->crowd->refused++ < REFUSALS_WRITTEN) {
        write_down(c, "refused", clock_monotonic_us());
        fprintf(c->greedy->record, "\t%s\t%" PRId64 "\t" PRI_STR "\n", step_names[step],
                step == STEP_DATA || step == STEP_MESSAGE ? c->data_us : 0, STR_ARG(reply));
    }
    if (str_starts(reply, STR("421")))
        leave(c);
    else if (step == STEP_RCPT || step == STEP_DATA)
        say(c, STR("RSET\r\n"), STEP_RSET);
    else
        rest(c, c->crowd->after_refused);
}

static void on_good_reply(struct greedy_client *c)
{
    switch (c->step) {
    case STEP_GREETING:
        say(c, STR("EHLO client.example.org\r\n"), STEP_HELLO);
        break;
    case STEP_HELLO:
        if (c->crowd->user)
            say_login(c);
        else
            wait_ms(c, STEP_RESTING, 0);
        break;
    case STEP_LOGIN:
        wait_ms(c, STEP_RESTING, 0);
        break;
    case STEP_MAIL:
        say(c, STR("RCPT TO:<friend@example.net>\r\n"), STEP_RCPT);
        break;
    case STEP_RCPT:
        c->data_us = clock_monotonic_us();
        say(c, STR("DATA\r\n"), STEP_DATA);
        break;
    case STEP_DATA:
        say_message(c);
        break;
    case STEP_MESSAGE:
        on_accepted(c);
        break;
    case STEP_RSET:
        rest(c, c->crowd->after_refused);
        break;
    default: /* speaks unasked: good-bye, most likely */
        lose(c, STR_NONE);
    }
}

static void on_reply(struct greedy_client *c, struct str line)
{
    static const char *const wanted[] = {
        [STEP_GREETING] = "220", [STEP_HELLO] = "250", [STEP_LOGIN] = "235",   [STEP_MAIL] = "250",
        [STEP_RCPT] = "250",     [STEP_DATA] = "354",  [STEP_MESSAGE] = "250", [STEP_RSET] = "250"};

    if (line.len > 3 && line.ptr[3] == '-')
        return;
    if (c->step == STEP_DATA)
        c->data_us = clock_monotonic_us() - c->data_us;
    if (c->step == STEP_RESTING || str_starts(line, str_of_z(wanted[c->step])))
        on_good_reply(c);
    else if (c->step >= STEP_MAIL && c->step <= STEP_MESSAGE)
        on_refused(c, str_trim(line));
    else
        lose(c, str_trim(line));
}

static void on_bytes(struct greedy_client *c, struct str s)
{
    while (s.len > 0 && c->fd >= 0) {
        size_t len = str_find(s, '\n');
        struct str piece = str_sub(s, 0, len);
        if (piece.len > 0 && piece.ptr[piece.len - 1] == '\r')
            piece.len--;
        piece.len = MIN_OF(piece.len, sizeof c->line - c->line_len); /* a longer line's end says nothing more */
        memcpy(c->line + c->line_len, piece.ptr, piece.len);
        c->line_len += piece.len;
        if (len == s.len)
            return;
        s = str_from(s, len + 1);
        struct str line = str_of(c->line, c->line_len);
        c->line_len = 0;
        on_reply(c, line);
    }
}

void greedy_client_on_socket(struct greedy_client *c)
{
    char bytes[4096];
    ssize_t got = read(c->fd, bytes, sizeof bytes);

    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        lose(c, STR_NONE);
    else
        on_bytes(c, str_of(bytes, (size_t)got));
}

static void open_connection(struct greedy_client *c)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    int on = 1;

    c->mail = 0;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        greedy_fail("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(c->fd, (struct sockaddr *)&c->crowd->server, sizeof c->crowd->server) < 0 && errno != EINPROGRESS) {
        lose(c, STR_NONE);
        return;
    }
    if (epoll_ctl(c->greedy->poller, EPOLL_CTL_ADD, c->fd, &event) < 0)
        greedy_fail("epoll_ctl");
    wait_until(c, STEP_GREETING, clock_monotonic_us() + REPLY_MAX_US);
}

void greedy_client_on_due(struct greedy_client *c, int64_t now_us)
{
    if (c->step == STEP_AWAY || c->step == STEP_RESTING) {
        if (c->greedy->is_ending)
            c->due_us = INT64_MAX;
        else if (c->step == STEP_AWAY)
            open_connection(c);
        else
            say_mail(c);
        return;
    }
    c->crowd->stuck++;
    write_down(c, "stuck", now_us);
    fprintf(c->greedy->record, "\t%s\n", step_names[c->step]);
    leave(c);
}

bool greedy_client_is_busy(const struct greedy_client *c)
{
    return c->step >= STEP_MAIL && c->step <= STEP_MESSAGE;
}

void greedy_client_end(struct greedy_client *c)
{
    if (c->step == STEP_MESSAGE)
        lose(c, STR_NONE);
    else if (c->fd >= 0)
        leave(c);
}
