/*
 * conn_internal.h - what the files of a connection share; for nobody else.
 *
 *   conn.c         life: callbacks, descriptors, connecting, deadlines, every way to end
 *   conn_input.c   from the socket to on_input
 *   conn_output.c  from conn_send to the socket
 *   conn_tls.c     OpenSSL between both and the socket
 *   conn_memory.c  no socket at all
 *
 * Functions that may call back return false when the callback closed the connection (or began to): nothing of it may be
 * touched then.
 */
#ifndef NET_CONN_INTERNAL_H
#define NET_CONN_INTERNAL_H

#include "net/conn.h"

enum conn_flag {
    CONN_IN_MEMORY = 1 << 0,         /* no socket */
    CONN_CONNECTING = 1 << 1,        /* connect(2) goes on */
    CONN_TLS_SERVER = 1 << 2,        /* we are the server of TLS */
    CONN_HANDSHAKING = 1 << 3,       /* between conn_start_tls_* and on_ready */
    CONN_SECURE = 1 << 4,            /* the handshake is done */
    CONN_PAUSED = 1 << 5,            /* the owner wants no input */
    CONN_READ_OFF = 1 << 6,          /* bytes came while paused or full: epoll is not asked for more */
    CONN_INPUT_DUE = 1 << 7,         /* input is delivered at the end of the turn */
    CONN_READY_DUE = 1 << 8,         /* so is on_ready: connect(2) succeeded at once */
    CONN_TLS_MORE = 1 << 9,          /* OpenSSL holds bytes that were not asked for yet */
    CONN_SOCKET_DRY = 1 << 10,       /* the last recv(2) brought less than it asked for: no use in another one now */
    CONN_FULL = 1 << 11,             /* the socket takes nothing now: epoll is asked when it does */
    CONN_WRITE_NEEDS_READ = 1 << 12, /* OpenSSL wants to read before it can write on (half of a key update) */
    CONN_ABOVE_LOW = 1 << 13,        /* on_drained is due when unsent output falls to the low mark */
    CONN_ENDED = 1 << 14,            /* on_end was called */
    CONN_LINGERS = 1 << 15,          /* conn_close_when_sent was called */
    CONN_SHUT = 1 << 16,             /* our end of file is sent */
    CONN_HELD = 1 << 17,             /* conn_hold_output was called */
    CONN_SECRET = 1 << 18,           /* there is a password in `out`, or was */
};

/* One running callback of a connection, on the stack; conn_close clears c in it. */
struct conn_call {
    const struct conn *c;
    struct conn_call *outer;
};

/* ---- conn.c ---- */

bool conn_call(struct conn *c, void (*callback)(struct conn *c));
/* The first end that comes is the one that counts, unless it left a way to send and the next one takes that too.
 * conn_tell_end tells it. */
void conn_note_end(struct conn *c, enum conn_end why, int error);
bool conn_tell_end(struct conn *c);
/* Can nothing be sent any more? */
bool conn_is_broken(const struct conn *c);
/* Tells epoll what is wanted, if that changed. */
void conn_update_events(struct conn *c);
/* A step of conn_close_when_sent. */
void conn_linger(struct conn *c, bool readable);

/* ---- conn_input.c ---- */

/* Reads once, and delivers. */
bool conn_read(struct conn *c);
/* Delivers what waits. */
bool conn_deliver(struct conn *c);
/* conn_resume_input's work, or what TLS still held after a read. */
bool conn_deliver_due(struct conn *c);
/* Forgets what was read; gives the memory back. */
void conn_drop_input(struct conn *c);
static inline bool conn_is_delivering(const struct conn *c)
{
    return c->loop->reader == c;
}

/* ---- conn_output.c ---- */

/* Writes what is queued as far as the socket takes it. */
bool conn_flush(struct conn *c);
/* Gives the memory of `out` back. */
void conn_drop_output(struct conn *c);

/* ---- conn_tls.c ---- */

/* Reads what is there, up to room bytes: IO_OK, IO_AGAIN with *got bytes; IO_EOF, IO_FAILED the same, the end noted. */
enum io_result conn_tls_read(struct conn *c, char *to, size_t room, size_t *got);
/* Writes as much as goes: IO_OK all of it, IO_AGAIN *written bytes of it, IO_FAILED with the end noted. What is written
 * is sealed: the rest of a record that the socket did not take waits in c->sealed, and CONN_FULL is set. */
enum io_result conn_tls_write(struct conn *c, struct str s, size_t *written);
/* Sends what is sealed: IO_OK all of it, IO_AGAIN with CONN_FULL set, IO_FAILED with the end noted. */
enum io_result conn_tls_send_sealed(struct conn *c);
/* A step of the handshake; calls on_ready or on_end. */
bool conn_tls_handshake(struct conn *c);
/* Tries to send close_notify. */
void conn_tls_say_goodbye(struct conn *c);
void conn_tls_free(struct conn *c);
const char *conn_tls_error(const struct conn *c);

#endif
