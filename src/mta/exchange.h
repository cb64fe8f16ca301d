/*
 * exchange.h - one mail handed to the MTA: MAIL, RCPT…, DATA, the body, the dot; its verdicts, one by one and in order.
 *
 *      mta_begin ─▶ mta_mail ─▶ mta_rcpt … ─▶ mta_data ─▶ mta_body … ─▶ mta_dot ─▶ (verdict) ─▶ mta_end
 *                                   └────────────── mta_end at any moment gives the mail up ──────────────┘
 *
 * Commands may be called at once, without awaiting replies: the exchange connects, greets, presents the client
 * (XFORWARD, XCLIENT), pipelines what the server lets it and keeps the order. Every command called gets its on_reply,
 * in order, unless on_failed comes: once, and then nothing more. Callbacks never come from inside a call; a callback
 * may call anything here, mta_end and the next mta_begin too.
 *
 * Promises: the dot is sent only by mta_dot. Given up after DATA was accepted, the connection is dropped without it, so
 * the MTA forgets the mail; given up before, it is reset (RSET) and reused. A pooled connection that turns out dead
 * before any body byte was sent is replaced by a fresh one once, unseen by the caller.
 *
 * The MTA is not trusted: replies that cannot be (PROTOCOLS.md 2) end the connection and the exchange.
 */
#ifndef MTA_EXCHANGE_H
#define MTA_EXCHANGE_H

#include "base/arena.h"
#include "mta/pool.h"
#include "smtp/address.h"
#include "smtp/params.h"

struct mta_command;
struct mta_link;
struct mta_server;

/* Who the mail comes from, as XFORWARD and XCLIENT tell it. Borrowed from mta_begin to the end of the exchange. */
struct mta_client {
    struct ip ip;
    uint16_t port;
    struct str name; /* reverse name; STR_NONE: not known */
    struct str helo;
    struct str login; /* STR_NONE: not logged in */
    struct str id;    /* the session's and mail's id (IDENT) */
    bool esmtp;
    uint32_t session; /* number of the client connection: a connection with XCLIENT serves one of them only */
};

/* A verdict as the client may hear it: 421 and what only we could have done wrong are already made 451 (PROTOCOLS.md
 * 2); text is clean (printable ASCII, or UTF-8 where smtputf8), without codes, its lines joined by \n; borrowed for the
 * call. */
struct mta_reply {
    int code;
    char enhanced[12]; /* "2.1.5"; a fitting default where the MTA gave none */
    struct str text;
};

enum mta_step { MTA_STEP_MAIL, MTA_STEP_RCPT, MTA_STEP_DATA, MTA_STEP_DOT };

enum mta_failure {
    MTA_UNAVAILABLE, /* no server could be reached, or all connections are in use too long: 451 4.4.1 */
    MTA_LOST,        /* gone or silent before the dot left: 451 4.4.2 */
    MTA_BROKEN,      /* spoke nonsense before the dot: 451 4.3.0 */
    MTA_LACKS,       /* this server lacks an extension that the mail uses: 451 4.3.0 */
    MTA_UNKNOWN,     /* gone, silent or nonsense after the dot: nobody knows: 451 4.4.2 */
};

struct mta_ops {
    /* Of RCPT: index counts the mta_rcpt calls from 0. Of DATA: 354, or a refusal. After a refusal of MAIL or DATA, and
     * after the dot's reply, there is nothing left but mta_end (the connection is in the pool again after the dot). */
    void (*on_reply)(void *arg, enum mta_step step, size_t index, const struct mta_reply *reply);
    /* What was to be sent of the body has fallen under the low mark. */
    void (*on_drained)(void *arg);
    /* text: a short cause for people ("connection refused"); of MTA_LACKS the extension's name ("SMTPUTF8"). The caller
     * still calls mta_end. */
    void (*on_failed)(void *arg, enum mta_failure failure, const char *text);
};

struct mta_exchange {
    const struct mta_ops *ops;
    void *arg;
    struct mta_pool *pool; /* NULL: never begun, or ended */
    const struct mta_client *client;
    struct arena *arena; /* the mail's: what MAIL and RCPT say is kept there until the dot, to be replayed */
    /* exchange.c's and pool.c's own from here on */
    struct mta_link *link; /* NULL: waiting for one, or over */
    const struct mta_server *server;
    struct list waiting; /* in the pool's queue */
    int64_t waits_until_ms;
    struct task notify;
    struct mta_command *first, *last, *unsent, *unanswered;
    const struct mta_reply *refusal; /* what the server says of this client: the answer to everything */
    const char *failure_text;
    uint64_t tried; /* bits of the servers that failed this mail */
    uint32_t recipient_count, accepted_count;
    uint8_t state, failure, needs;
    bool wants_fresh_link, was_replayed, is_utf8;
};

/* Begins an exchange; client, arena and ops' arg must last until mta_end. Nothing is sent before mta_mail. */
void mta_begin(struct mta_exchange *x, struct mta_pool *pool, const struct mta_client *client, struct arena *arena,
               const struct mta_ops *ops, void *arg);
/* path and params are copied. False: no memory in the arena. params->size_bytes is passed on where the server takes
 * SIZE. params->auth is no longer what the client claimed: with has_auth it is the login as plain text (written as
 * xtext here), or empty or "<>" for AUTH=<>; passed on where the server offers AUTH. */
MUST_USE bool mta_mail(struct mta_exchange *x, const struct smtp_path *from, const struct smtp_mail_params *params);
MUST_USE bool mta_rcpt(struct mta_exchange *x, const struct smtp_path *to, const struct smtp_rcpt_params *params);
/* Once, after at least one RCPT was accepted and all were answered. Bytes may follow only after its 354. */
void mta_data(struct mta_exchange *x);
/* Body bytes as they are on the wire (dot-stuffed). False: the connection broke, on_failed follows. */
MUST_USE bool mta_body(struct mta_exchange *x, struct str bytes);
/* Not yet taken by the MTA; above MTA_HIGH_BYTES the caller stops reading its client until on_drained. */
size_t mta_unsent_bytes(const struct mta_exchange *x);
enum { MTA_HIGH_BYTES = 256 * 1024, MTA_LOW_BYTES = 64 * 1024 };
/* at_line_start: whether the body so far ends in CRLF (or is empty); else a CRLF is added before the dot. */
void mta_dot(struct mta_exchange *x, bool at_line_start);

/* The server's address, "127.0.0.1:10025": that of the connection, or the last one tried, also after the verdict; the
 * text is the pool's and lasts as long. STR_NONE: none was chosen yet. */
struct str mta_server(const struct mta_exchange *x);
/* Does the connection at hand take 8-bit bodies? (Only asked after MAIL was answered.) */
bool mta_takes_8bit(const struct mta_exchange *x);

/* Ends it, in whatever state: the link goes back to the pool, is reset, or is dropped (see above). No callback follows.
 * Harmless on an exchange that was never begun (zeroed) or has ended. */
void mta_end(struct mta_exchange *x);

#endif
