/*
 * link.h - one connection to the MTA: connect, greet, TLS, XCLIENT, then mail after mail, at last QUIT.
 *
 *   RESOLVING ─▶ CONNECTING ─▶ OPENING ─▶ READY ─▶ LEAVING ─▶ CLOSED
 *                                 ▲        │ ▲
 *                        (XCLIENT)└────────┤ └── RESETTING      READY: with an exchange at work, without one idle
 *
 * The link owns time: one deadline at a time, absolute, for what is awaited now (the opening as a whole and each of its
 * replies, the next reply of a mail, progress of the body, the end of idleness).
 */
#ifndef MTA_LINK_H
#define MTA_LINK_H

#include "mta/dialogue.h"
#include "net/conn.h"

enum mta_phase {
    MTA_LINK_RESOLVING,
    MTA_LINK_CONNECTING,
    MTA_LINK_OPENING,
    MTA_LINK_READY,
    MTA_LINK_RESETTING,
    MTA_LINK_LEAVING,
    MTA_LINK_CLOSED
};

struct mta_link {
    struct conn conn;
    struct list node;      /* in the pool's `links` or `dead` */
    struct list idle_node; /* in the server's `idle` */
    struct mta_pool *pool;
    struct mta_server *server;
    struct mta_exchange *exchange; /* NULL: nobody's */
    struct mta_dialogue dialogue;
    struct smtp_reply_reader reader;
    struct timer deadline;
    struct task connect_task; /* (again) */
    struct resolve_query *query;
    struct ip addresses[8]; /* of a server given by name */
    uint8_t address_count, address_next;
    uint8_t phase; /* enum mta_phase */
    uint8_t state; /* enum mta_state: of OPENING and RESETTING */
    bool has_conn; /* conn was initialised */
    bool is_shaking_hands, is_probe, is_awaiting;
    bool was_idle; /* it has waited in the pool: the server may have lost patience meanwhile */
    bool is_counted_ready;
    unsigned mail_count, error_count;
    unsigned discard_count; /* RESETTING: replies still due to a mail that was given up */
    unsigned xforward_count, xforward_sent, xforward_answered; /* commands of the mail at hand */
    uint32_t session;                                          /* presented by XCLIENT: whose it is */
    int64_t opened_at_ms, opens_until_ms;
    uint64_t body_bytes, body_mark; /* handed to conn; what the peer had taken when last looked at */
};

/* Begins to open one, for an exchange or (NULL) for the pool. NULL: no memory. */
struct mta_link *mta_link_open(struct mta_server *server, struct mta_exchange *x);
/* An idle one begins to work for an exchange: mta_exchange_on_ready follows, perhaps from inside. */
void mta_link_take(struct mta_link *link, struct mta_exchange *x);
/* Takes the link from its exchange. */
void mta_link_detach(struct mta_link *link);

/* Composes a command into the output, to leave at the end of the turn, and awaits its reply. False: no room. */
MUST_USE bool mta_link_send(struct mta_link *link, enum mta_state state, const struct mta_command *command,
                            unsigned number);
/* The deadline of what is due now: set anew after each reply and each command that begins a wait. */
void mta_link_await(struct mta_link *link, enum mta_state state);
void mta_link_await_nothing(struct mta_link *link);
/* Body bytes. False: the connection is broken. */
MUST_USE bool mta_link_send_body(struct mta_link *link, struct str bytes);

/* Becomes idle for at most so long. */
void mta_link_rest(struct mta_link *link, int64_t until_ms);
/* The mail was given up with so many replies due: they are awaited, then RSET is sent and awaited, then the pool gets
 * it. */
void mta_link_reset(struct mta_link *link, unsigned replies_due);
/* QUIT. */
void mta_link_quit(struct mta_link *link);
/* Drops it at once, whatever was begun. It lives until the end of the turn. */
void mta_link_close(struct mta_link *link);
/* For the pool: frees a dead one. */
void mta_link_free(struct mta_link *link);

/* ---- between link.c and link_open.c ---- */

extern const struct conn_ops mta_link_ops;
extern const struct conn_limits mta_link_limits;

/* link.c: it is of no use any more, and the mail on it must hear of it. may_replay: by nobody's misbehaviour. */
void mta_link_lose(struct mta_link *link, enum mta_failure failure, bool may_replay, const char *text);
void mta_link_count_ready(struct mta_link *link, bool is_ready);
void mta_link_probe_is_over(struct mta_link *link);
void mta_link_on_deadline(void *link);

/* link_open.c: goes to a state of the opening and says what is said there. */
void mta_link_enter_opening(struct mta_link *link, enum mta_state state);
void mta_link_on_opening_reply(struct mta_link *link, const struct smtp_answer *answer);
/* It will not come to READY: the server's health is judged (soft: pool_inside.h), an exchange tries another one. */
void mta_link_fail_opening(struct mta_link *link, enum mta_failure failure, bool soft, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* TCP is there, or TLS. */
void mta_link_connected(struct mta_link *link);
void mta_link_opening_ended(struct mta_link *link, enum conn_end why);

#endif
