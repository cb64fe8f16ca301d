/*
 * link.h - one connection to one server that speaks Redis' protocol, and the calls that wait on it.
 *
 *   CLOSED ──▶ RESOLVING ──▶ CONNECTING ──▶ [TLS] ──▶ OPENING ──▶ READY
 *     ▲             │             │           │          │          │
 *     └─────────────┴─────────────┴───────────┴──────────┴──────────┘  on_down, once; all calls end
 *
 * OPENING is one write: HELLO 2 [AUTH user password], SELECT n, PING, TIME; for a server before Redis 6, which knows no
 * HELLO, a second one: AUTH, SELECT, INFO, PING, TIME. PING is what a server that loads its data, or a
 * replica without its master, refuses; TIME is allowed to both. What the server says of itself lies in link->server.
 *
 * Calls are sent in order, those of a turn of the loop in one write; what is asked before READY waits for it. Replies
 * are matched by order alone. The link knows nothing of circuits, keys or redirects: it tells its owner, by ops, each
 * reply and the end of each call. It never opens itself again.
 *
 * An owner may close, or close and open, the link in any of its callbacks; then it touches the reply no more.
 */
#ifndef REDIS_LINK_H
#define REDIS_LINK_H

#include "net/conn.h"
#include "redis/redis.h"
#include "redis/reply.h"

struct redis_link;
struct tls_context;

enum {
    REDIS_TIME_EVERY_MS = 10000,
    REDIS_TIME_LATE_MS = 1000, /* an answer to TIME that was so long on its way is too old to set a clock by */
    REDIS_STEP_MIN_MS = 1000,  /* what connecting, TLS and opening may take, however short `step_ms` is */
};

enum redis_link_state {
    REDIS_LINK_CLOSED,
    REDIS_LINK_RESOLVING,
    REDIS_LINK_CONNECTING,
    REDIS_LINK_HANDSHAKE,
    REDIS_LINK_OPENING,
    REDIS_LINK_READY
};

/* What a server is, by HELLO (or INFO, where there is no HELLO). */
enum redis_mode { REDIS_MODE_UNKNOWN, REDIS_MODE_STANDALONE, REDIS_MODE_CLUSTER, REDIS_MODE_SENTINEL };
enum redis_role { REDIS_ROLE_UNKNOWN, REDIS_ROLE_MASTER, REDIS_ROLE_REPLICA };
struct redis_server {
    enum redis_mode mode;
    enum redis_role role;
    char version[32];
};

/* Why a link is down. */
enum redis_down {
    REDIS_DOWN_AWAY,         /* it cannot be reached, or went away */
    REDIS_DOWN_BUSY,         /* it is there and says: later (LOADING, BUSY, MASTERDOWN) */
    REDIS_DOWN_CONFIGURATION /* login, database, certificate: somebody has to do something */
};

struct redis_link_ops {
    /* It is READY, link->server and the clock known. May refuse the server by redis_link_close. */
    void (*on_up)(struct redis_link *link);
    /* It could not be made, or has ended by none of its owner's doing; its calls end right after. `why` is what stands
     * behind the server's name ("cannot be reached: connection refused"), borrowed. The owner may open it again here.
     */
    void (*on_down)(struct redis_link *link, enum redis_down kind, const char *why);
    /* Reply n of a call that is not inner. NULL: goes to the call. */
    void (*on_reply)(struct redis_link *link, struct redis_call *c, size_t n, const redisReply *reply);
    /* The link is done with a call that is not inner: DONE, every command has been answered; UNSENT, LOST. NULL: goes
     * to the call. */
    void (*on_call_end)(struct redis_link *link, struct redis_call *c, enum redis_result result);
    /* Called first for every reply; true: it answers no command (a message of SUBSCRIBE). NULL: each answers one. */
    bool (*on_push)(struct redis_link *link, const redisReply *reply);
};

/* The conversation of OPENING (link_open.c). */
enum { REDIS_OPENING_STEPS_MAX = 6 };
struct redis_opening {
    struct redis_call call;
    uint8_t steps[REDIS_OPENING_STEPS_MAX]; /* what each command is */
    bool is_without_hello;                  /* the server is older than Redis 6: the second try */
    bool is_refused;                        /* the login is */
    bool is_identifying;                    /* what is it that refuses? */
    bool has_fault;
    enum redis_down kind;
    char fault[300]; /* the first thing that went wrong */
};

struct redis_link_options {
    const char *user, *password; /* NULL: none */
    unsigned db;
    struct tls_context *tls; /* NULL: plain. Verifies the server's name or address; not used on a Unix socket */
    unsigned step_ms;        /* each step of opening has so long, at least REDIS_STEP_MIN_MS */
    bool is_bare;            /* no opening but the login, no TIME (sentinels) */
};

struct redis_link {
    struct loop *loop;
    struct resolver *resolver;
    const struct redis_link_options *options;
    const struct redis_link_ops *ops;
    void *arg; /* the owner's */

    struct endpoint endpoint;
    enum redis_link_state state;
    struct redis_server server;
    bool has_clock;
    int64_t clock_us;     /* TIME minus the loop's moment (loop_now_ms): what the server's clock is ahead of it */
    int64_t time_sent_ms; /* when it was asked for last */

    struct conn conn;
    struct redis_reply_reader replies;
    struct list calls;   /* sent, in order; the first one is being answered */
    struct list waiting; /* for READY */
    size_t waiting_bytes;
    size_t commands_due; /* of both */
    struct timer silence, time_timer;
    struct redis_call time_call;
    struct redis_opening opening;
    struct resolve_query *query;
    struct resolved addresses; /* of a server given by name, tried in turn */
    size_t address_next;
    struct task fail_task; /* what failed from inside redis_link_open is told at the end of the turn */
    char fault[200];
    uint32_t epoch; /* grows with every opening and closing: how a loop over replies learns of it */
};

/* All borrowed as long as the link lives. resolver may be NULL if no endpoint is a name. */
void redis_link_init(struct redis_link *link, struct loop *l, struct resolver *resolver,
                     const struct redis_link_options *options, const struct redis_link_ops *ops, void *arg);
/* Calls under way end without a callback. Not from inside a callback of the link. */
void redis_link_fini(struct redis_link *link);

/* Begins to connect (closed before, as redis_link_close does). on_up or on_down follows, never from inside. Copies
 * the endpoint. Calls may be sent at once: they wait. */
void redis_link_open(struct redis_link *link, const struct endpoint *to);
/* Ends the calls: LOST what was sent, UNSENT what was not; on_call_end and on_done come from inside. Harmless when
 * closed. No on_down follows. */
void redis_link_close(struct redis_link *link);

/* Takes a call; never calls back from inside. False: the link is closed, a bound (REDIS_OUTPUT_MAX_BYTES,
 * REDIS_COMMANDS_DUE_MAX) is reached, or no memory: nothing was sent. */
MUST_USE bool redis_link_send(struct redis_link *link, struct redis_call *c);

/* ---- between link.c and link_open.c ---- */

/* The link is of no use: closes it, tells the owner, ends the calls. why is copied. */
void redis_link_fail(struct redis_link *link, enum redis_down kind, const char *why, ...) PRINTF_LIKE(3, 4);
/* The connection is there: talks with the server until redis_link_is_open or redis_link_fail. */
void redis_link_begin_opening(struct redis_link *link);
/* READY: the owner is told, and what waits is sent. */
void redis_link_is_open(struct redis_link *link);
/* Sends what is not the owner's; false: no memory. */
MUST_USE bool redis_link_send_inner(struct redis_link *link, struct redis_call *c, bool is_secret);
/* Takes the reply to TIME, asked for at time_sent_ms: said, as far as can be known, half-way between then and now. One
 * that is late leaves a clock as it was. False: it is none. */
MUST_USE bool redis_link_take_time(struct redis_link *link, const redisReply *reply);

/* ---- queries ---- */

static inline bool redis_link_is_ready(const struct redis_link *link)
{
    return link->state == REDIS_LINK_READY;
}
/* Is it neither READY nor closed? */
static inline bool redis_link_is_opening(const struct redis_link *link)
{
    return link->state != REDIS_LINK_READY && link->state != REDIS_LINK_CLOSED;
}

#endif
