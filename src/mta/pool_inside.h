/*
 * pool_inside.h - the pool and its servers as the files of mta/ see them.
 *
 *   exchange.c ──place──▶ pool.c ──open──▶ link.c ──▶ server.c          who works, who waits, which server is alive
 *        ▲                   │                │
 *        └──── a link ───────┴──── ready ─────┘
 *
 * A link (link.h) is in one of three places: with an exchange, in its server's `idle` list, or on its way (opening,
 * being reset, taking leave). Links that ended lie in `dead` until the end of the turn, because the callback in which
 * one ended may still stand on it.
 */
#ifndef MTA_POOL_INSIDE_H
#define MTA_POOL_INSIDE_H

#include "mta/exchange.h"
#include "mta/link.h"

enum {
    MTA_LINK_MAX_MAILS = 100,
    MTA_LINK_MAX_AGE_MS = 300 * 1000,
    MTA_LINK_MAX_ERRORS = 8,      /* Postfix slows down from 10 */
    MTA_PRESENTED_IDLE_MS = 5000, /* a connection that belongs to one client waits no longer for its next mail */
    MTA_RESET_MS = 10 * 1000,
    MTA_WRITE_MS = 180 * 1000,
    MTA_PROBE_MS = 300 * 1000,  /* a server that nobody has spoken to for so long is asked what it can do */
    MTA_PLAIN_MS = 3600 * 1000, /* TLS MAY: a handshake that failed is not tried again for so long */
    MTA_ALARM_MS = 60 * 1000,
    MTA_TEXT_BYTES = SMTP_REPLY_READ_BYTES_MAX + 1024
};

struct mta_server {
    struct mta_pool *pool;
    const struct endpoint *endpoint;
    char text[ENDPOINT_TEXT_MAX];
    char why[200];                    /* it is down */
    struct list idle;                 /* links, the last used first: those not needed grow old and leave */
    uint64_t bit;                     /* in an exchange's `tried` */
    unsigned ready_count, busy_count; /* links that are open; those with an exchange */
    struct mta_features features;
    struct timer probe_timer; /* when it is down: the next try; else: the next look at what it can do */
    int64_t plain_until_ms;
    enum mta_health health;
    bool is_known; /* features are */
    bool is_probing, was_probed;
};

struct mta_pool {
    struct loop *loop;
    const struct mta_pool_options *options;
    struct resolver *resolver;
    struct tls_context *tls;
    struct event_log *events; /* may be NULL */
    struct mta_server *servers;
    size_t server_count, next_server;
    struct list links; /* all that are not dead */
    struct list dead;
    struct list waiting; /* exchanges, in the order they came */
    struct timer waiting_timer;
    struct task serve_task, bury_task;
    struct timer probed_timer;
    void (*on_probed)(void *arg);
    void *on_probed_arg;
    unsigned link_count; /* of `links`, those not taking leave */
    struct buf text;     /* the reply at hand, cleaned */
    int64_t alarm_at_ms;
};

/* ---- pool.c ---- */

/* Gives the exchange a link, or a place in the queue; or fails it (mta_exchange_fail). */
void mta_pool_place(struct mta_pool *pool, struct mta_exchange *x);
void mta_pool_leave_queue(struct mta_pool *pool, struct mta_exchange *x);
/* A link without work: it waits, takes leave, or goes to who waits. */
void mta_pool_give(struct mta_pool *pool, struct mta_link *link);
/* Something has changed for those who wait: looked at, at the end of the turn. */
void mta_pool_serve_later(struct mta_pool *pool);
/* Did the first round of probes just end? */
void mta_pool_probe_done(struct mta_pool *pool);
struct counters *mta_pool_counters(const struct mta_pool *pool);

/* ---- server.c ---- */

void mta_server_init(struct mta_server *s, struct mta_pool *pool, size_t index);
void mta_server_fini(struct mta_server *s);
/* Opens a connection that belongs to no mail. */
void mta_server_probe(struct mta_server *s);
/* A connection has got through to READY, or could not; soft: it may be just busy, so it is not down while other
 * connections to it live. */
void mta_server_is_up(struct mta_server *s, const struct mta_link *link);
void mta_server_failed(struct mta_server *s, const struct mta_link *link, bool soft, const char *why);
/* What TLS it is to get at this address. */
enum mta_tls mta_server_tls(const struct mta_server *s, const struct endpoint *address);
/* A reply that shows a fault of configuration: one line a minute. */
void mta_server_alarm(struct mta_server *s, enum mta_state state, const struct smtp_answer *answer);

#endif
