/*
 * conn.c - a connection's life: made, connected, called back, ended. See conn.h.
 *
 *   accepted ───────────────┐
 *   connecting ── ready ──▶ open ──▶ ended (the owner is told once) ──▶ closed
 *                             └────▶ lingering: write the rest, shut down, drop input ──▶ closed
 *
 * All callbacks go through conn_call. It notes on the stack that one is running, and conn_close looks there: this is
 * how the code behind a callback learns that its conn is no more, without touching it.
 *
 * An end is first noted (conn_note_end), by whoever meets it, and told later (conn_tell_end), when what was read before
 * has been delivered. So no function that the owner calls ever calls back.
 */
#include "net/conn_internal.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/panic.h"

/* ---- callbacks ---- */

static bool was_left_open(struct conn *c, const struct conn_call *here)
{
    return here->c && !(c->flags & CONN_LINGERS);
}

bool conn_call(struct conn *c, void (*callback)(struct conn *c))
{
    struct loop *l = c->loop;
    struct conn_call here = {c, l->calls};
    if (!callback)
        return true;
    l->calls = &here;
    callback(c);
    l->calls = here.outer;
    return was_left_open(c, &here);
}

static bool breaks(enum conn_end why)
{
    return why != CONN_PEER_CLOSED && why != CONN_DEADLINE;
}

bool conn_is_broken(const struct conn *c)
{
    return c->end && breaks((enum conn_end)(c->end - 1));
}

void conn_note_end(struct conn *c, enum conn_end why, int error)
{
    if (c->end && (conn_is_broken(c) || !breaks(why)))
        return;
    c->end = (uint8_t)(why + 1);
    c->error = (uint16_t)error;
}

bool conn_tell_end(struct conn *c)
{
    if (!c->end || (c->flags & (CONN_ENDED | CONN_LINGERS)))
        return true;
    if (conn_is_broken(c))
        c->flags &= ~(uint32_t)CONN_FULL; /* `out` stays: it tells the owner what never left */
    conn_update_events(c);
    enum conn_end why = (enum conn_end)(c->end - 1);
    if (why == CONN_PEER_CLOSED && (c->flags & CONN_PAUSED))
        return true; /* conn_resume_input comes back to it */
    c->flags |= CONN_ENDED;

    struct loop *l = c->loop;
    struct conn_call here = {c, l->calls};
    l->calls = &here;
    c->ops->on_end(c, why);
    l->calls = here.outer;
    return was_left_open(c, &here);
}

/* ---- what the loop tells ---- */

static void finish_lingering(struct conn *c);

void conn_update_events(struct conn *c)
{
    int want = 0, have = ev_is_active(&c->io) ? c->io.events & (EV_READ | EV_WRITE) : 0;
    if (c->flags & CONN_IN_MEMORY)
        return;
    if (c->flags & CONN_CONNECTING) {
        want = EV_WRITE;
    } else {
        bool waits_for_clear = (c->flags & CONN_HANDSHAKING) && c->clear_bytes;
        if (!c->end && !(c->flags & CONN_READ_OFF) && !waits_for_clear)
            want |= EV_READ;
        if (c->flags & CONN_FULL)
            want |= EV_WRITE;
    }
    if (want == have)
        return;
    ev_io_stop(c->loop->ev, &c->io);
    ev_io_modify(&c->io, want);
    if (want)
        ev_io_start(c->loop->ev, &c->io);
}

static void finish_connect(struct conn *c)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    if (error) {
        conn_note_end(c, CONN_CONNECT_FAILED, error);
        conn_tell_end(c);
        return;
    }
    c->flags &= ~(uint32_t)CONN_CONNECTING;
    conn_update_events(c);
    if (buf_len(&c->out))
        task_defer(c->loop, &c->turn);
    conn_call(c, c->ops->on_ready);
}

static void on_io(struct ev_loop *ev, struct ev_io *io, int events)
{
    (void)ev;
    struct conn *c = CONTAINER_OF(io, struct conn, io);
    if (events & EV_WRITE)
        c->flags &= ~(uint32_t)CONN_FULL;
    if (events & EV_READ)
        c->flags &= ~(uint32_t)CONN_SOCKET_DRY;

    if (c->flags & CONN_CONNECTING) {
        finish_connect(c);
        return;
    }
    if (c->flags & CONN_LINGERS) {
        conn_linger(c, events & EV_READ);
        return;
    }
    if (events & EV_READ) {
        if (c->flags & CONN_HANDSHAKING) {
            if (c->clear_bytes == 0 && !conn_tls_handshake(c))
                return;
        } else if (c->flags & CONN_PAUSED) {
            c->flags |= CONN_READ_OFF;
            conn_update_events(c);
        } else if (!conn_read(c)) {
            return;
        }
    }
    if ((events & EV_WRITE) || (c->flags & CONN_WRITE_NEEDS_READ))
        conn_flush(c);
}

static void on_turn_end(void *arg)
{
    struct conn *c = arg;
    if (c->flags & CONN_LINGERS) {
        conn_linger(c, false);
        return;
    }
    if (c->flags & CONN_READY_DUE) {
        c->flags &= ~(uint32_t)CONN_READY_DUE;
        if (!conn_call(c, c->ops->on_ready))
            return;
    }
    if ((c->flags & (CONN_INPUT_DUE | CONN_TLS_MORE)) && !conn_deliver_due(c))
        return;
    if (!conn_flush(c))
        return;
    if (buf_len(&c->in) == 0)
        buf_fini(&c->in);
    conn_tell_end(c);
}

static void on_deadline(void *arg)
{
    struct conn *c = arg;
    if (c->flags & CONN_LINGERS) {
        finish_lingering(c);
        return;
    }
    if (c->flags & CONN_ENDED)
        return;
    if (c->end == 1 + CONN_PEER_CLOSED)
        c->end = 0; /* what waits for conn_resume_input gives way */
    if (c->flags & CONN_CONNECTING)
        conn_note_end(c, CONN_CONNECT_FAILED, ETIMEDOUT);
    else
        conn_note_end(c, CONN_DEADLINE, 0);
    conn_tell_end(c);
}

/* ---- beginning ---- */

static void init(struct conn *c, struct loop *l, int fd, const struct conn_ops *ops, const struct conn_limits *limits,
                 uint32_t flags)
{
    *c = (struct conn){
        .ops = ops, .loop = l, .fd = fd, .flags = flags, .out_low_bytes = (uint32_t)limits->out_low_bytes};
    buf_init(&c->in, limits->in_max_bytes);
    buf_init(&c->out, limits->out_max_bytes);
    timer_init(&c->deadline, l, on_deadline, c);
    task_init(&c->turn, on_turn_end, c);
    ev_io_init(&c->io, on_io, fd, 0);
}

void conn_init_accepted(struct conn *c, struct loop *l, int fd, const struct conn_ops *ops,
                        const struct conn_limits *limits)
{
    init(c, l, fd, ops, limits, 0);
    conn_update_events(c);
}

void conn_init_memory(struct conn *c, struct loop *l, const struct conn_ops *ops, const struct conn_limits *limits)
{
    init(c, l, INT_MAX, ops, limits, CONN_IN_MEMORY);
}

bool conn_init_connect(struct conn *c, struct loop *l, const struct endpoint *to, const struct conn_ops *ops,
                       const struct conn_limits *limits, int64_t deadline_ms, struct err *err)
{
    struct sockaddr_storage address;
    char text[ENDPOINT_TEXT_MAX];
    init(c, l, -1, ops, limits, 0);
    socklen_t len = endpoint_to_sockaddr(to, &address);
    if (len == 0)
        return err_set(err, "cannot connect to %s: its address is not known yet", endpoint_format(to, text).ptr);
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set(err, "cannot connect to %s: no socket: %s", endpoint_format(to, text).ptr, strerror(errno));
    if (to->kind == ENDPOINT_IP) {
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    bool is_there = connect(fd, (const struct sockaddr *)&address, len) == 0;
    if (!is_there && errno != EINPROGRESS) {
        err_set(err, "cannot connect to %s: %s", endpoint_format(to, text).ptr, strerror(errno));
        close(fd);
        return false;
    }
    init(c, l, fd, ops, limits, is_there ? CONN_READY_DUE : CONN_CONNECTING);
    conn_update_events(c);
    conn_set_deadline(c, deadline_ms);
    if (is_there)
        task_defer(l, &c->turn);
    return true;
}

/* ---- time and end ---- */

void conn_set_deadline(struct conn *c, int64_t at_ms)
{
    if (!conn_is_open(c) || (c->flags & CONN_LINGERS))
        return;
    if (at_ms)
        timer_start(&c->deadline, at_ms);
    else
        timer_cancel(&c->deadline);
}

void conn_close(struct conn *c)
{
    struct loop *l = c->loop;
    if (!conn_is_open(c))
        return;
    for (struct conn_call *call = l->calls; call; call = call->outer)
        if (call->c == c)
            call->c = NULL;
    if (!(c->flags & CONN_SHUT))
        conn_tls_say_goodbye(c);
    conn_tls_free(c);
    conn_drop_input(c);
    conn_drop_output(c);
    ev_io_stop(l->ev, &c->io);
    timer_cancel(&c->deadline);
    task_cancel(&c->turn);
    if (!(c->flags & CONN_IN_MEMORY))
        close(c->fd);
    c->fd = -1;
}

void conn_close_when_sent(struct conn *c, void (*on_closed)(void *arg), void *arg)
{
    PANIC_IF(!conn_is_open(c) || (c->flags & CONN_LINGERS), "a connection is closed twice");
    timer_start(&c->deadline, c->loop->now_ms + CONN_LINGER_MS);
    c->flags |= CONN_LINGERS;
    c->on_closed = on_closed;
    c->on_closed_arg = arg;
    c->drop_bytes = CONN_LINGER_BYTES;
    conn_drop_input(c);
    if (c->end == 1 + CONN_DEADLINE)
        c->end = 0; /* the owner's time was up: the peer may still be there and talk */
    c->flags &= ~(uint32_t)(CONN_READ_OFF | CONN_HELD);
    conn_update_events(c);
    task_defer(c->loop, &c->turn);
}

static void finish_lingering(struct conn *c)
{
    void (*on_closed)(void *arg) = c->on_closed;
    void *arg = c->on_closed_arg;
    conn_close(c);
    on_closed(arg);
}

static void drop_what_comes(struct conn *c)
{
    ssize_t n = recv(c->fd, c->loop->scratch, LOOP_SCRATCH_BYTES, 0);
    if (n > 0) {
        c->drop_bytes -= MIN_OF((uint32_t)n, c->drop_bytes);
        if (c->drop_bytes == 0)
            c->flags |= CONN_READ_OFF;
    } else if (n == 0) {
        conn_note_end(c, CONN_PEER_CLOSED, 0);
    } else if (errno != EAGAIN && errno != EINTR) {
        conn_note_end(c, CONN_RESET, errno);
    }
    conn_update_events(c);
}

static void shut_down(struct conn *c)
{
    conn_tls_say_goodbye(c);
    c->flags |= CONN_SHUT;
    if (!(c->flags & CONN_IN_MEMORY) && shutdown(c->fd, SHUT_WR) != 0)
        conn_note_end(c, CONN_RESET, errno);
}

void conn_linger(struct conn *c, bool readable)
{
    /* Before there is a connection, or while TLS is being made, nothing that is queued can go out. */
    bool is_lost = c->flags & (CONN_CONNECTING | CONN_HANDSHAKING);
    if (readable && !c->end)
        drop_what_comes(c);
    if (!is_lost && !conn_is_broken(c)) {
        conn_flush(c);
        if (conn_unsent_bytes(c) == 0 && !(c->flags & CONN_SHUT) && !conn_is_broken(c))
            shut_down(c);
    }
    bool heard_enough = c->end || c->drop_bytes == 0 || (c->flags & CONN_IN_MEMORY);
    if (is_lost || conn_is_broken(c) || ((c->flags & CONN_SHUT) && heard_enough))
        finish_lingering(c);
}

const char *conn_error(const struct conn *c, enum conn_end why)
{
    static char text[160];
    switch (why) {
    case CONN_PEER_CLOSED:
        return "the peer closed the connection";
    case CONN_DEADLINE:
        return "it took too long";
    case CONN_NO_MEMORY:
        return "out of memory";
    case CONN_TLS_FAILED:
        return conn_tls_error(c);
    case CONN_RESET:
    case CONN_CONNECT_FAILED:
        break;
    }
    snprintf(text, sizeof text, "%s", strerror(c->error));
    text[0] = ascii_lower(text[0]);
    return text;
}
