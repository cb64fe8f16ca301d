/*
 * conn.h - one non-blocking connection: plain or TLS alike, to a client, to the MTA, later to Redis and milters.
 *
 *      peer ──▶ [TLS] ──▶ input  ──▶ on_input          the owner consumes what it understands, the rest waits
 *      peer ◀── [TLS] ◀── output ◀── conn_send         written once at the end of the loop's turn
 *
 * A conn lies inside its owner (`struct conn` by value); conn_init_* makes it, conn_close ends it. Callbacks come from
 * the loop or from deferred tasks, never from inside a function that the owner calls. A callback may close the conn, or
 * free its owner after conn_close: the conn touches nothing of itself after a callback that closed it. It may even make
 * a new connection of it.
 *
 * Deadlines are absolute: conn_set_deadline names a moment, and nothing that the peer does moves it. The owner sets a
 * new one when it begins to await the next thing.
 *
 * Memory: input and output buffers exist only while they hold bytes. An idle plain connection is its struct and a slot
 * in libev. What a readable connection reads lands in the loop's scratch memory and is seen there by on_input; only
 * what the owner leaves unconsumed is copied into a buffer of its own. Bounds: in_max_bytes of unread input (reading
 * stops there by itself), out_max_bytes of unsent output (conn_send fails there).
 *
 * System calls: a request and its reply cost one wait, one read and one write. Reading once per turn is enough (epoll
 * tells again), writing waits for the end of the turn, and pausing tells epoll only if bytes come while it lasts.
 *
 * Back-pressure: conn_pause_input stops reading (and so the peer); conn_resume_input goes on, and calls on_input at the
 * end of the turn if bytes wait. conn_unsent_bytes says how much the peer has not taken; on_drained is called when it
 * falls to out_low_bytes after having been above it.
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include <openssl/ssl.h>

#include "base/buf.h"
#include "net/addr.h"
#include "net/loop.h"

struct conn;
struct conn_sealed;
struct tls_context; /* net/tls.h */

/* Why a connection is over. */
enum conn_end {
    CONN_PEER_CLOSED,    /* end of file */
    CONN_RESET,          /* the network says so: ECONNRESET, EPIPE, EHOSTUNREACH … */
    CONN_DEADLINE,       /* the owner's deadline passed */
    CONN_CONNECT_FAILED, /* never came to be, or not in time */
    CONN_TLS_FAILED,     /* handshake or record error; conn_error says which */
    CONN_NO_MEMORY,
};

struct conn_ops {
    /* Bytes have come (or wait since conn_resume_input). What is not consumed waits for more. */
    void (*on_input)(struct conn *c);
    /* Unsent output fell to the low mark. NULL: not interested. */
    void (*on_drained)(struct conn *c);
    /* The TCP connection (conn_init_connect) or the TLS handshake (conn_start_tls_*) is there. NULL: not interested. */
    void (*on_ready)(struct conn *c);
    /* It is over, by none of the owner's doing; once, and input that came before is delivered first (so
     * CONN_PEER_CLOSED waits while input is paused). The descriptor is still open: the owner calls conn_close or
     * conn_close_when_sent. After CONN_PEER_CLOSED and CONN_DEADLINE it may still send. conn_unsent_bytes says, until
     * then, how much of what was sent has never left: a mail whose last bytes lie here was not delivered. */
    void (*on_end)(struct conn *c, enum conn_end why);
};

struct conn {
    const struct conn_ops *ops;
    struct loop *loop;
    SSL *ssl;                   /* NULL: plain */
    struct conn_sealed *sealed; /* records of TLS that the socket has not taken yet; NULL: none */
    struct ev_io io;
    struct timer deadline;
    struct task turn; /* what is to be done at the end of this turn: write, deliver, end */
    struct buf in, out;
    int fd; /* -1: closed */
    uint32_t out_low_bytes;
    uint32_t flags;               /* conn_internal.h */
    uint32_t sealed_bytes;        /* of `sealed` */
    uint32_t clear_bytes;         /* so many at the head of `out` go out before TLS begins */
    uint32_t drop_bytes;          /* so many may still be dropped while it closes */
    uint16_t error;               /* errno of the end, or OpenSSL's reason; 0: none */
    uint8_t end;                  /* 1 + enum conn_end of an end that came, 0: none */
    uint8_t tls_messages;         /* of TLS itself since the handshake: a peer that sends nothing else is cut off */
    void (*on_closed)(void *arg); /* of conn_close_when_sent */
    void *on_closed_arg;
};

struct conn_limits {
    size_t in_max_bytes, out_max_bytes, out_low_bytes;
};

/* Takes an accepted, non-blocking descriptor. Reading starts at once. */
void conn_init_accepted(struct conn *c, struct loop *l, int fd, const struct conn_ops *ops,
                        const struct conn_limits *limits);

/* Begins to connect to an address that is resolved; on_ready or on_end follow, never from inside. deadline_ms: the
 * moment, as for conn_set_deadline; it stays set after on_ready. What is sent meanwhile goes out when it is connected.
 * False with a reason: not even begun (the conn is then closed). */
MUST_USE bool conn_init_connect(struct conn *c, struct loop *l, const struct endpoint *to, const struct conn_ops *ops,
                                const struct conn_limits *limits, int64_t deadline_ms, struct err *err);

/* Without a socket: what is sent is kept, what is "received" is given by conn_memory.h. For tests and fuzzers. */
void conn_init_memory(struct conn *c, struct loop *l, const struct conn_ops *ops, const struct conn_limits *limits);

/* Turns to TLS, as server or client; on_ready or on_end follow. Bytes that were read in the clear before are discarded:
 * the caller must have refused them (RFC 3207 4.2). What was sent in the clear before is written out first, what is
 * sent from now on waits for the handshake. A pause does not stop a handshake; the deadline (CONN_DEADLINE) does. False
 * with a reason: the connection is as it was. */
MUST_USE bool conn_start_tls_server(struct conn *c, struct tls_context *ctx, struct err *err);
/* server_name: for SNI and, if the context verifies, the name (or address) the certificate must bear. NULL: neither. */
MUST_USE bool conn_start_tls_client(struct conn *c, struct tls_context *ctx, const char *server_name, struct err *err);

static inline bool conn_is_open(const struct conn *c)
{
    return c->fd >= 0;
}
/* The handshake is done. */
bool conn_is_tls(const struct conn *c);
/* "TLSv1.3", "TLS_AES_256_GCM_SHA384": static texts of OpenSSL; STR_NONE on a plain connection. */
struct str conn_tls_version(const struct conn *c);
struct str conn_tls_cipher(const struct conn *c);
bool conn_tls_was_resumed(const struct conn *c);
/* The subject of the certificate that the peer of a server showed, in this handshake or in the one that is resumed, if
 * it is verified (tls.h, client_ca_file): RFC 2253, one line of UTF-8 without a control character, copied to `to`. Else
 * STR_NONE: so it is for a subject that is empty or does not fit, for one cut short would be another's. */
enum { CONN_CERTIFICATE_MAX_BYTES = 1024 };
struct str conn_tls_certificate(const struct conn *c, char to[CONN_CERTIFICATE_MAX_BYTES]);
/* A sentence on why it ended ("connection refused", "certificate has expired"), in a static buffer until the next call.
 * Ask before conn_close. */
const char *conn_error(const struct conn *c, enum conn_end why);

/* ---- reading ---- */

/* What waits; borrowed until the owner returns to the loop: what was consumed may be read until then. */
struct str conn_input(const struct conn *c);
void conn_consume(struct conn *c, size_t n);
/* Consumes and overwrites: for passwords, once they are decoded. */
void conn_consume_secret(struct conn *c, size_t n);
/* No on_input until resumed, and no on_end(CONN_PEER_CLOSED). */
void conn_pause_input(struct conn *c);
/* Does nothing if input is not paused. */
void conn_resume_input(struct conn *c);
/* For early-talker and injection checks: do bytes wait here, in OpenSSL, or in the kernel? (MSG_PEEK) */
bool conn_has_more_input(struct conn *c);

/* ---- writing ---- */

/* Queues a copy, to be written at the end of this turn. False: the bound or memory is reached, or on_end said that
 * nothing can be sent any more; nothing was queued. A peer that is found gone while writing is told by on_end alone,
 * after what it said last. */
MUST_USE bool conn_send(struct conn *c, struct str s);
/* The same, for a password in clear: the queue's memory is overwritten when it has left, or is given up. What is queued
 * with it should be short: a queue that has to grow leaves its old memory as it was. */
MUST_USE bool conn_send_secret(struct conn *c, struct str s);
/* The output buffer itself, to compose into (buf_append and friends), then conn_flush_later: saves a copy. */
struct buf *conn_output(struct conn *c);
void conn_flush_later(struct conn *c);
/* What is queued waits for what is queued next, which must be on its way: one write for both. Ended by every call that
 * sends, conn_flush_later among them, and by conn_close_when_sent. */
void conn_hold_output(struct conn *c);
/* For bodies: writes at once what the socket takes without a copy (after what is queued), queues the rest; what is so
 * small that a copy is cheaper than a system call is queued whole. False, as conn_send: the stream is broken (a part
 * may have been sent) and the caller closes it. */
MUST_USE bool conn_send_now(struct conn *c, struct str s);
/* By TLS, what is sealed already counts as it is: a little more than what was given. */
static inline size_t conn_unsent_bytes(const struct conn *c)
{
    return buf_len(&c->out) + c->sealed_bytes;
}

/* ---- time and end ---- */

/* The moment (loop_now_ms) after which on_end(CONN_DEADLINE) comes; 0: none. */
void conn_set_deadline(struct conn *c, int64_t at_ms);
/* Closes now; unsent output is lost; no callback follows. TLS: close_notify is tried, never awaited. Harmless when
 * closed. */
void conn_close(struct conn *c);
/* Writes what is queued, then shuts down writing, reads and drops what the peer still sends for a moment (so that no
 * RST destroys our last reply on its way), closes, and calls on_closed(arg), never from inside. At most CONN_LINGER_MS
 * and CONN_LINGER_BYTES of dropped input. After this call the conn calls none of its ops; conn_close ends it at once,
 * and on_closed then does not come. */
enum { CONN_LINGER_MS = 5000, CONN_LINGER_BYTES = 65536 };
void conn_close_when_sent(struct conn *c, void (*on_closed)(void *arg), void *arg);

#endif
