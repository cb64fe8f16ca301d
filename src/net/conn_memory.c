/* conn_memory.c - a connection without a socket: the test is the peer and the loop. See conn_memory.h. */
#include "net/conn_memory.h"

#include "net/conn_internal.h"

#include <openssl/sslerr.h>

#include "base/panic.h"

static bool is_open(const struct conn *c)
{
    if (!conn_is_open(c))
        return false;
    PANIC_IF(!(c->flags & CONN_IN_MEMORY), "a connection with a socket is no memory connection");
    return true;
}

size_t conn_memory_deliver(struct conn *c, struct str s)
{
    if (!is_open(c) || c->end || (c->flags & (CONN_HANDSHAKING | CONN_LINGERS)))
        return 0;
    size_t taken = MIN_OF(s.len, c->in.max - buf_len(&c->in));
    if (taken == 0)
        return 0;
    if (!buf_append(&c->in, s.ptr, taken)) {
        conn_note_end(c, CONN_NO_MEMORY, 0);
        conn_tell_end(c);
        return 0;
    }
    if (!(c->flags & CONN_PAUSED))
        conn_deliver(c);
    return taken;
}

void conn_memory_close(struct conn *c)
{
    if (!is_open(c))
        return;
    if (c->flags & CONN_LINGERS) { /* nobody takes what is still queued */
        conn_note_end(c, CONN_RESET, 0);
        conn_linger(c, false);
        return;
    }
    if (c->flags & CONN_HANDSHAKING)
        conn_note_end(c, CONN_TLS_FAILED, SSL_R_UNEXPECTED_EOF_WHILE_READING);
    else
        conn_note_end(c, CONN_PEER_CLOSED, 0);
    conn_tell_end(c);
}

void conn_memory_finish_tls(struct conn *c, bool succeeds)
{
    if (!is_open(c) || c->end || !(c->flags & CONN_HANDSHAKING))
        return;
    if (succeeds) {
        c->clear_bytes = 0;
        c->flags = (c->flags & ~(uint32_t)CONN_HANDSHAKING) | CONN_SECURE;
        conn_call(c, c->ops->on_ready);
    } else {
        conn_note_end(c, CONN_TLS_FAILED, SSL_R_NO_SHARED_CIPHER);
        conn_tell_end(c);
    }
}

struct str conn_memory_sent(const struct conn *c)
{
    return is_open(c) ? buf_str(&c->out) : STR_NONE;
}

void conn_memory_take(struct conn *c, size_t n)
{
    if (!is_open(c))
        return;
    bool was_above = buf_len(&c->out) > c->out_low_bytes;
    buf_consume(&c->out, n);
    if (c->flags & CONN_LINGERS) {
        conn_linger(c, false);
        return;
    }
    c->flags |= was_above ? CONN_ABOVE_LOW : 0;
    conn_flush(c);
}

void conn_memory_deadline(struct conn *c)
{
    if (!is_open(c) || !timer_is_running(&c->deadline))
        return;
    timer_cancel(&c->deadline);
    c->deadline.on_due(c);
}
