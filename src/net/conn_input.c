/*
 * conn_input.c - from the socket to on_input. See conn.h.
 *
 *   socket ──▶ loop->scratch ──▶ on_input ──▶ what it left: conn.in
 *      └────────────────────────────────────▶ conn.in, when much was left before
 *
 * Most requests are read whole and consumed whole, so they are never copied and an idle connection holds no buffer. A
 * short rest (half a line) is put back in front of what is read next; a long one stays where it is and grows there.
 */
#include "net/conn_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/panic.h"

enum { PUT_BACK_MAX = 1024, READ_MORE_BYTES = 16384 };

static enum io_result read_plain(struct conn *c, char *to, size_t room, size_t *got)
{
    ssize_t n = recv(c->fd, to, room, 0);
    *got = 0;
    if (n > 0) {
        *got = (size_t)n;
        return IO_OK;
    }
    if (n == 0) {
        conn_note_end(c, CONN_PEER_CLOSED, 0);
        return IO_EOF;
    }
    if (errno == EAGAIN || errno == EINTR)
        return IO_AGAIN;
    conn_note_end(c, CONN_RESET, errno);
    return IO_FAILED;
}

static size_t read_into(struct conn *c, char *to, size_t room)
{
    size_t got;
    if (c->ssl)
        conn_tls_read(c, to, room, &got);
    else
        read_plain(c, to, room, &got);
    return got;
}

bool conn_read(struct conn *c)
{
    struct loop *l = c->loop;
    size_t held = buf_len(&c->in), room = c->in.max - held, got;
    if (room == 0) { /* conn_consume asks epoll again */
        c->flags |= CONN_READ_OFF;
        conn_update_events(c);
        return true;
    }
    if (held <= PUT_BACK_MAX) {
        got = read_into(c, l->scratch + held, MIN_OF(room, LOOP_SCRATCH_BYTES - held));
        if (got) {
            struct str rest = buf_str(&c->in);
            if (rest.ptr)
                memcpy(l->scratch, rest.ptr, rest.len);
            buf_clear(&c->in);
            l->reader = c;
            l->scratch_start = 0;
            l->scratch_end = (uint32_t)(held + got);
        }
    } else {
        room = MIN_OF(room, (size_t)READ_MORE_BYTES);
        char *to = buf_reserve(&c->in, room);
        if (!to) {
            conn_note_end(c, CONN_NO_MEMORY, 0);
            return conn_tell_end(c);
        }
        got = read_into(c, to, room);
        buf_commit(&c->in, got);
    }
    if (got && !conn_deliver(c))
        return false;
    return conn_tell_end(c);
}

/* What on_input left in the scratch memory goes to where it can wait. A rest may hold half a password: no copy of it
 * stays behind. */
static bool keep_rest(struct conn *c)
{
    struct loop *l = c->loop;
    size_t len = l->scratch_end - l->scratch_start;
    char *rest = l->scratch + l->scratch_start;
    l->reader = NULL;
    if (len == 0)
        return true;
    if (!buf_append(&c->in, rest, len))
        return false;
    if (len <= PUT_BACK_MAX)
        explicit_bzero(rest, len);
    return true;
}

/* What OpenSSL holds, no descriptor tells of. */
static bool tls_has_more(const struct conn *c)
{
    return (c->flags & (CONN_TLS_MORE | CONN_PAUSED)) == CONN_TLS_MORE && !c->end && buf_len(&c->in) < c->in.max;
}

bool conn_deliver(struct conn *c)
{
    if (!conn_call(c, c->ops->on_input))
        return false;
    if (conn_is_delivering(c) && !keep_rest(c)) {
        conn_note_end(c, CONN_NO_MEMORY, 0);
        return conn_tell_end(c);
    }
    if (buf_len(&c->in) == 0)
        buf_fini(&c->in);
    if (tls_has_more(c))
        task_defer(c->loop, &c->turn);
    return true;
}

/* What waits comes first, for there may be all that the owner needs. Then what TLS holds: conn_read reads no socket
 * that was just read empty (CONN_SOCKET_DRY), so this comes to an end within the turn. */
bool conn_deliver_due(struct conn *c)
{
    bool is_resumed = c->flags & CONN_INPUT_DUE;
    c->flags &= ~(uint32_t)CONN_INPUT_DUE;
    if (c->flags & (CONN_PAUSED | CONN_ENDED | CONN_CONNECTING | CONN_HANDSHAKING))
        return true;
    if (is_resumed && buf_len(&c->in) && !conn_deliver(c))
        return false;
    if (tls_has_more(c) && !conn_read(c))
        return false;
    return conn_tell_end(c);
}

void conn_drop_input(struct conn *c)
{
    if (conn_is_delivering(c))
        c->loop->reader = NULL;
    buf_fini(&c->in);
    c->flags &= ~(uint32_t)(CONN_INPUT_DUE | CONN_TLS_MORE);
}

/* ---- what the owner calls ---- */

struct str conn_input(const struct conn *c)
{
    const struct loop *l = c->loop;
    if (conn_is_delivering(c))
        return str_of(l->scratch + l->scratch_start, l->scratch_end - l->scratch_start);
    return buf_str(&c->in);
}

void conn_consume(struct conn *c, size_t n)
{
    if (conn_is_delivering(c)) {
        PANIC_IF(n > conn_input(c).len, "%zu bytes consumed of %zu", n, conn_input(c).len);
        c->loop->scratch_start += (uint32_t)n;
        return;
    }
    buf_consume(&c->in, n);
    if (!conn_is_open(c) || n == 0)
        return;
    if (buf_len(&c->in) == 0)
        task_defer(c->loop, &c->turn); /* gives the buffer back */
    if ((c->flags & (CONN_READ_OFF | CONN_PAUSED)) == CONN_READ_OFF) {
        c->flags &= ~(uint32_t)CONN_READ_OFF;
        conn_update_events(c);
    }
    if (tls_has_more(c))
        task_defer(c->loop, &c->turn);
}

void conn_consume_secret(struct conn *c, size_t n)
{
    struct str secret = str_sub(conn_input(c), 0, n);
    if (secret.len)
        explicit_bzero((char *)(uintptr_t)secret.ptr, secret.len);
    conn_consume(c, n);
}

void conn_pause_input(struct conn *c)
{
    c->flags |= CONN_PAUSED;
}

void conn_resume_input(struct conn *c)
{
    if (!(c->flags & CONN_PAUSED) || !conn_is_open(c) || (c->flags & (CONN_ENDED | CONN_LINGERS)))
        return;
    c->flags &= ~(uint32_t)(CONN_PAUSED | CONN_READ_OFF);
    conn_update_events(c);
    if (buf_len(&c->in) || conn_is_delivering(c) || c->end || (c->flags & CONN_TLS_MORE)) {
        c->flags |= CONN_INPUT_DUE;
        task_defer(c->loop, &c->turn);
    }
}

bool conn_has_more_input(struct conn *c)
{
    char byte;
    if (conn_input(c).len)
        return true;
    if (!conn_is_open(c) || (c->flags & CONN_IN_MEMORY))
        return false;
    if (c->ssl && SSL_has_pending(c->ssl))
        return true;
    return recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}
