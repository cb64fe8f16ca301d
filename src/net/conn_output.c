/*
 * conn_output.c - from conn_send to the socket. See conn.h.
 *
 * Small things are queued and leave in one write at the end of the turn. A body's pieces go to the socket from where
 * they lie, together with what is queued before them; what the socket does not take is queued, and from then on epoll
 * says when it takes more (CONN_FULL).
 */
#include "net/conn_internal.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Below this a copy costs less than a system call of its own and the waking of the peer that goes with it: a usual mail
 * leaves as a whole, its dot included. */
enum { SMALL_WRITE_BYTES = 16384 };

/* One write of what is queued (its first `queued` bytes) and of s behind it. *written counts both. */
static enum io_result write_plain(struct conn *c, size_t queued, struct str s, size_t *written)
{
    struct iovec parts[2] = {
        {.iov_base = (char *)(uintptr_t)buf_str(&c->out).ptr, .iov_len = queued},
        {.iov_base = (char *)(uintptr_t)s.ptr, .iov_len = s.len},
    };
    ssize_t n;
    if (queued && s.len) {
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        n = sendmsg(c->fd, &message, MSG_NOSIGNAL);
    } else {
        const struct iovec *only = queued ? &parts[0] : &parts[1];
        n = send(c->fd, only->iov_base, only->iov_len, MSG_NOSIGNAL);
    }
    *written = n > 0 ? (size_t)n : 0;
    if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ENOBUFS) {
        conn_note_end(c, CONN_RESET, errno);
        return IO_FAILED;
    }
    if (*written == queued + s.len)
        return IO_OK;
    c->flags |= CONN_FULL;
    return IO_AGAIN;
}

/* Writes what is queued, then s; takes what went out from the queue; *sent says how much of s went too. */
static enum io_result write_all(struct conn *c, struct str s, size_t *sent)
{
    size_t queued = buf_len(&c->out), written = 0;
    enum io_result result = c->sealed ? conn_tls_send_sealed(c) : IO_OK;
    *sent = 0;
    if (result != IO_OK || ((c->flags & CONN_HANDSHAKING) && c->clear_bytes == 0))
        return result;
    if (c->clear_bytes || !c->ssl) {
        if (c->clear_bytes) { /* before TLS: nothing else */
            queued = c->clear_bytes;
            s = STR_NONE;
        }
        result = write_plain(c, queued, s, &written);
        c->clear_bytes -= MIN_OF(c->clear_bytes, (uint32_t)written);
        *sent = written > queued ? written - queued : 0;
        buf_consume(&c->out, written - *sent);
        return result;
    }
    if (queued) {
        result = conn_tls_write(c, buf_str(&c->out), &written);
        buf_consume(&c->out, written);
    }
    if (result == IO_OK && s.len)
        result = conn_tls_write(c, s, sent);
    return result;
}

/* A peer that is gone may have said why before: it is heard, then the end is told. */
static bool give_up(struct conn *c)
{
    c->flags &= ~(uint32_t)(CONN_FULL | CONN_SOCKET_DRY);
    if (c->flags & (CONN_LINGERS | CONN_ENDED))
        return true;
    bool can_read = c->end == 1 + CONN_RESET && !(c->flags & (CONN_PAUSED | CONN_IN_MEMORY | CONN_HANDSHAKING));
    if (can_read && !conn_read(c))
        return false;
    return conn_tell_end(c);
}

static void note_level(struct conn *c)
{
    if (conn_unsent_bytes(c) > c->out_low_bytes)
        c->flags |= CONN_ABOVE_LOW;
}

static bool can_write(const struct conn *c)
{
    if (c->flags & (CONN_IN_MEMORY | CONN_CONNECTING | CONN_FULL | CONN_SHUT | CONN_HELD))
        return false;
    return c->clear_bytes || c->sealed || !(c->flags & CONN_HANDSHAKING);
}

void conn_drop_output(struct conn *c)
{
    if (c->flags & CONN_SECRET)
        buf_wipe(&c->out);
    else
        buf_fini(&c->out);
    c->flags &= ~(uint32_t)CONN_SECRET;
}

bool conn_flush(struct conn *c)
{
    size_t none;
    note_level(c);
    if (can_write(c) && conn_unsent_bytes(c) && !conn_is_broken(c)) {
        c->flags &= ~(uint32_t)CONN_WRITE_NEEDS_READ;
        write_all(c, STR_NONE, &none);
    }
    if (conn_is_broken(c))
        return give_up(c);
    if (buf_len(&c->out) == 0)
        conn_drop_output(c);
    conn_update_events(c);

    /* The client of TLS speaks first, a server waits for it. */
    if ((c->flags & (CONN_HANDSHAKING | CONN_TLS_SERVER | CONN_IN_MEMORY | CONN_LINGERS)) == CONN_HANDSHAKING &&
        c->clear_bytes == 0)
        return conn_tls_handshake(c);

    if (!(c->flags & CONN_ABOVE_LOW) || conn_unsent_bytes(c) > c->out_low_bytes || (c->flags & CONN_LINGERS))
        return true;
    c->flags &= ~(uint32_t)CONN_ABOVE_LOW;
    return conn_call(c, c->ops->on_drained);
}

/* ---- what the owner calls ---- */

/* The owner knows already that nothing goes out any more, or has said so himself. */
static bool is_told(const struct conn *c)
{
    return !conn_is_open(c) || (c->flags & CONN_LINGERS) || (conn_is_broken(c) && (c->flags & CONN_ENDED));
}

bool conn_send(struct conn *c, struct str s)
{
    if (is_told(c))
        return false;
    if (!buf_append_str(&c->out, s))
        return false;
    conn_flush_later(c);
    return true;
}

bool conn_send_secret(struct conn *c, struct str s)
{
    if (!conn_send(c, s))
        return false;
    c->flags |= CONN_SECRET;
    return true;
}

struct buf *conn_output(struct conn *c)
{
    return &c->out;
}

void conn_flush_later(struct conn *c)
{
    if (!conn_is_open(c))
        return;
    c->flags &= ~(uint32_t)CONN_HELD;
    note_level(c);
    task_defer(c->loop, &c->turn);
}

void conn_hold_output(struct conn *c)
{
    c->flags |= CONN_HELD;
}

bool conn_send_now(struct conn *c, struct str s)
{
    size_t queued = buf_len(&c->out), sent;
    if (is_told(c))
        return false;
    c->flags &= ~(uint32_t)CONN_HELD;
    bool is_small = queued + s.len <= SMALL_WRITE_BYTES && queued + s.len <= c->out.max;
    if (is_small || !can_write(c) || c->clear_bytes || conn_is_broken(c))
        return conn_send(c, s);

    note_level(c);
    write_all(c, s, &sent);
    bool is_kept = sent == s.len || buf_append_str(&c->out, str_from(s, sent));
    if (!is_kept && !conn_is_broken(c))
        return false;
    note_level(c);
    conn_update_events(c);
    /* What the low mark, an emptied buffer and an end that was met ask for is done at the end of the turn. */
    if ((c->flags & CONN_ABOVE_LOW) || queued || conn_is_broken(c))
        task_defer(c->loop, &c->turn);
    return true;
}
