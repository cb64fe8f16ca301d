/*
 * fake_mta.h - a scripted MTA in the loop of the test: behaves, until a test tells it otherwise, and writes down what
 * it heard. Every moment of the dialogue can be given another reply, a cut, silence, single bytes.
 */
#ifndef FAKE_MTA_H
#define FAKE_MTA_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/conn.h"
#include "net/tls.h"

enum fake_moment {
    AT_CONNECT,
    AT_EHLO,
    AT_HELO,
    AT_STARTTLS,
    AT_XCLIENT,
    AT_XFORWARD,
    AT_MAIL,
    AT_RCPT,
    AT_DATA,
    AT_BODY, /* the first bytes of a body */
    AT_DOT,
    AT_RSET,
    AT_QUIT,
    FAKE_MOMENTS
};

/* What it does instead, from the first-th time on (0), so many times (0: for ever). */
struct fake_action {
    const char *say; /* NULL: what it would say anyway; "": nothing */
    bool cut;        /* closes afterwards */
    bool drip;       /* byte by byte, one a turn of the loop */
    bool stop;       /* reads nothing from now on */
    unsigned first, times;
};

enum { FAKE_CONNECTIONS = 256 };

struct fake_conn {
    struct conn conn;
    struct fake_mta *mta;
    struct buf drip;
    unsigned number; /* from 1 */
    bool is_open, in_body, body_was_seen, cuts_when_dripped;
};

struct fake_mta {
    struct loop *loop;
    struct watch watch;
    int fd;
    uint16_t port;
    const char *keywords; /* lines of the EHLO reply after the first, parted by LF */
    struct tls_context *tls;
    struct fake_action actions[FAKE_MOMENTS];
    unsigned seen[FAKE_MOMENTS];
    struct fake_conn *conns[FAKE_CONNECTIONS];
    unsigned conn_count, open_count, mail_count; /* mails: 250 to the dot */
    unsigned read_count;                         /* times that something came: at most as often as it was written */
    struct buf heard;                            /* "1 EHLO mx\n": the connection's number, the line */
    struct buf body;                             /* of the last mail, as on the wire, with its dot */
    size_t body_bytes;                           /* of all, also where `body` is full */
};

static const char FAKE_KEYWORDS[] = "PIPELINING\nSIZE 1000000\n8BITMIME\nSMTPUTF8\nDSN";

static inline void fake_note(struct buf *to, struct str s)
{
    if (!buf_append_str(to, s)) { /* full: the test does not look at it */
    }
}

static inline void fake_close(struct fake_conn *f)
{
    if (!f->is_open)
        return;
    f->is_open = false;
    f->mta->open_count--;
    conn_close(&f->conn);
    buf_fini(&f->drip);
}

static inline void fake_say(struct fake_conn *f, const char *text)
{
    if (f->is_open && !conn_send(&f->conn, str_of_z(text)))
        fake_close(f);
}

static const char *fake_default(struct fake_conn *f, enum fake_moment moment, char *scratch, size_t size)
{
    static const char *const REPLIES[FAKE_MOMENTS] = {
        [AT_CONNECT] = "220 fake ESMTP\r\n", [AT_HELO] = "250 fake\r\n",         [AT_STARTTLS] = "220 go ahead\r\n",
        [AT_XCLIENT] = "220 fake ESMTP\r\n", [AT_XFORWARD] = "250 2.0.0 Ok\r\n", [AT_MAIL] = "250 2.1.0 Ok\r\n",
        [AT_RCPT] = "250 2.1.5 Ok\r\n",      [AT_DATA] = "354 go ahead\r\n",     [AT_BODY] = "",
        [AT_DOT] = "250 2.0.0 queued\r\n",   [AT_RSET] = "250 2.0.0 reset\r\n",  [AT_QUIT] = "221 2.0.0 bye\r\n",
    };
    if (moment != AT_EHLO)
        return REPLIES[moment];
    struct str rest = str_of_z(f->mta->keywords);
    size_t len = (size_t)snprintf(scratch, size, "250%sfake\r\n", rest.len ? "-" : " ");
    while (rest.len) {
        struct str keyword = str_split(rest, '\n', &rest);
        len +=
            (size_t)snprintf(scratch + len, size - len, "250%s" PRI_STR "\r\n", rest.len ? "-" : " ", STR_ARG(keyword));
    }
    return scratch;
}

static inline void fake_act(struct fake_conn *f, enum fake_moment moment)
{
    char scratch[1024];
    struct fake_action *action = &f->mta->actions[moment];
    unsigned nth = f->mta->seen[moment]++;
    bool is_scripted = nth >= action->first && (action->times == 0 || nth < action->first + action->times);
    const char *text = is_scripted && action->say ? action->say : fake_default(f, moment, scratch, sizeof scratch);
    f->in_body = moment == AT_DATA && strncmp(text, "354", 3) == 0;
    f->body_was_seen = false;
    if (moment == AT_DOT && text[0] == '2')
        f->mta->mail_count++;
    if (is_scripted && action->drip) {
        fake_note(&f->drip, str_of_z(text));
        f->cuts_when_dripped = action->cut;
        return;
    }
    fake_say(f, text);
    if (is_scripted && action->stop && f->is_open)
        conn_pause_input(&f->conn);
    if (f->is_open && ((is_scripted && action->cut) || moment == AT_QUIT)) {
        /* let what was said get out first */
        loop_run_tasks(f->mta->loop);
        fake_close(f);
    }
}

/* One byte of each that drips; called once a turn. */
static inline void fake_drip(struct fake_mta *mta)
{
    for (unsigned i = 0; i < mta->conn_count; i++) {
        struct fake_conn *f = mta->conns[i];
        if (!f->is_open || buf_len(&f->drip) == 0)
            continue;
        char byte[2] = {buf_str(&f->drip).ptr[0], '\0'};
        buf_consume(&f->drip, 1);
        fake_say(f, byte);
        loop_run_tasks(mta->loop);
        if (buf_len(&f->drip) == 0 && f->cuts_when_dripped)
            fake_close(f);
    }
}

static inline enum fake_moment fake_moment_of(struct str line)
{
    static const struct {
        const char *verb;
        enum fake_moment moment;
    } VERBS[] = {{"EHLO", AT_EHLO},         {"HELO", AT_HELO}, {"STARTTLS", AT_STARTTLS}, {"XCLIENT", AT_XCLIENT},
                 {"XFORWARD", AT_XFORWARD}, {"MAIL", AT_MAIL}, {"RCPT", AT_RCPT},         {"DATA", AT_DATA},
                 {"RSET", AT_RSET},         {"QUIT", AT_QUIT}};
    for (size_t i = 0; i < COUNT_OF(VERBS); i++)
        if (str_starts(line, str_of_z(VERBS[i].verb)))
            return VERBS[i].moment;
    return FAKE_MOMENTS;
}

static inline void fake_body(struct fake_conn *f, struct str in)
{
    struct fake_mta *mta = f->mta;
    char tail[8] = "";
    if (!f->body_was_seen) {
        buf_clear(&mta->body);
        fake_act(f, AT_BODY);
        if (!f->is_open)
            return;
        f->in_body = f->body_was_seen = true;
    }
    fake_note(&mta->body, in);
    mta->body_bytes += in.len;
    conn_consume(&f->conn, in.len);
    struct str body = buf_str(&mta->body);
    if (buf_len(&mta->body) + 65536 > mta->body.max) /* keep its end only */
        buf_consume(&mta->body, buf_len(&mta->body) - 16);
    str_copy_into(tail, sizeof tail, str_from(body, body.len >= 5 ? body.len - 5 : 0));
    if (strcmp(tail, "\r\n.\r\n") == 0 || str_equal(body, STR(".\r\n")))
        fake_act(f, AT_DOT);
}

static inline void fake_on_input(struct conn *c)
{
    struct fake_conn *f = CONTAINER_OF(c, struct fake_conn, conn);
    char head[16];
    f->mta->read_count++;
    while (f->is_open && conn_input(c).len) {
        struct str in = conn_input(c);
        if (f->in_body) {
            fake_body(f, in);
            continue;
        }
        size_t end = str_find(in, '\n');
        if (end == in.len)
            return;
        struct str line = str_sub(in, 0, end - 1);
        snprintf(head, sizeof head, "%u ", f->number);
        fake_note(&f->mta->heard, str_of_z(head));
        fake_note(&f->mta->heard, line);
        fake_note(&f->mta->heard, STR("\n"));
        enum fake_moment moment = fake_moment_of(line);
        conn_consume(c, end + 1);
        if (moment == FAKE_MOMENTS)
            fake_say(f, "500 5.5.1 what?\r\n");
        else
            fake_act(f, moment);
        struct err err;
        if (moment == AT_STARTTLS && f->is_open && f->mta->tls && !conn_start_tls_server(c, f->mta->tls, &err))
            fake_close(f);
    }
}

static inline void fake_on_end(struct conn *c, enum conn_end why)
{
    (void)why;
    fake_close(CONTAINER_OF(c, struct fake_conn, conn));
}

static inline void fake_on_accept(void *arg, bool readable, bool writable)
{
    static const struct conn_ops OPS = {.on_input = fake_on_input, .on_end = fake_on_end};
    static const struct conn_limits LIMITS = {65536, 1 << 20, 1024};
    struct fake_mta *mta = arg;
    (void)readable, (void)writable;
    int fd = accept4(mta->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct fake_conn *f = calloc(1, sizeof *f);
    if (!f || mta->conn_count == FAKE_CONNECTIONS)
        abort();
    mta->conns[mta->conn_count++] = f;
    mta->open_count++;
    f->mta = mta;
    f->number = mta->conn_count;
    f->is_open = true;
    buf_init(&f->drip, 1 << 20);
    conn_init_accepted(&f->conn, mta->loop, fd, &OPS, &LIMITS);
    fake_act(f, AT_CONNECT);
}

static inline void fake_start(struct fake_mta *mta, struct loop *l)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    *mta = (struct fake_mta){.loop = l, .keywords = FAKE_KEYWORDS};
    buf_init(&mta->heard, 1 << 20);
    buf_init(&mta->body, 1 << 20);
    mta->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (mta->fd < 0 || bind(mta->fd, (struct sockaddr *)&at, sizeof at) || listen(mta->fd, 64) ||
        getsockname(mta->fd, (struct sockaddr *)&at, &len))
        abort();
    mta->port = ntohs(at.sin_port);
    watch_init(&mta->watch, l, mta->fd, fake_on_accept, mta);
    watch_set(&mta->watch, true, false);
}

/* From now on connections are refused; those that are open go on. */
static inline void fake_stop_listening(struct fake_mta *mta)
{
    if (mta->fd < 0)
        return;
    watch_set(&mta->watch, false, false);
    close(mta->fd);
    mta->fd = -1;
}

static inline void fake_stop(struct fake_mta *mta)
{
    fake_stop_listening(mta);
    for (unsigned i = 0; i < mta->conn_count; i++) {
        fake_close(mta->conns[i]);
        free(mta->conns[i]);
    }
    buf_fini(&mta->heard);
    buf_fini(&mta->body);
}

#endif
