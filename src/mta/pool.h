/*
 * pool.h - the MTA behind: its servers, the connections to them that wait for work, their health, what they can do.
 *
 * One pool per `relay` statement and worker. A server that cannot be reached is down for retry-down and then tried
 * again with one connection; a change of state is one `relay` event. With every server down a mail is refused at once
 * (451 4.4.1), it never hangs. PROTOCOLS.md 2.
 */
#ifndef MTA_POOL_H
#define MTA_POOL_H

#include "net/addr.h"
#include "net/loop.h"
#include "net/resolve.h"
#include "stats/event.h"

struct tls_context;
struct mta_pool;

enum mta_tls { MTA_TLS_OFF, MTA_TLS_MAY, MTA_TLS_REQUIRED, MTA_TLS_VERIFY };
enum mta_xclient { MTA_XCLIENT_OFF, MTA_XCLIENT_AUTO, MTA_XCLIENT_ON };
enum mta_balance { MTA_ROUND_ROBIN, MTA_LEAST };

/* Of a server: UNKNOWN until it was spoken to. */
enum mta_health { MTA_HEALTH_UNKNOWN, MTA_HEALTH_UP, MTA_HEALTH_DOWN };

/* A `relay` statement, as configured; immutable, outlives the pool. Times in milliseconds. */
struct mta_pool_options {
    const char *name; /* "default" */
    const struct endpoint *servers;
    size_t server_count;
    const char *hostname; /* our EHLO name */
    enum mta_tls tls;     /* for servers that are not on loopback unless tls_was_set */
    bool tls_was_set;
    const char *ca_file;
    enum mta_xclient xclient;
    bool xforward; /* where offered */
    enum mta_balance balance;
    unsigned max_connections; /* of this worker */
    unsigned idle_ms, retry_down_ms;
    unsigned connect_ms, reply_ms; /* timeout relay-connect, relay-reply; the dot's reply: twice that */
};

/* What the servers can do: the last probe of each, intersected. known is false until one has answered. */
struct mta_capabilities {
    bool known;
    bool eightbitmime, smtputf8, dsn;
    uint64_t size; /* 0: no limit told */
};

/* tls: a client context, or NULL if no server can need one. NULL: no memory. */
struct mta_pool *mta_pool_new(struct loop *l, const struct mta_pool_options *options, struct resolver *resolver,
                              struct tls_context *tls, struct event_log *events);
/* Closes every idle connection; exchanges must have ended. Not from inside of a callback of an exchange. */
void mta_pool_free(struct mta_pool **pool);

/* Probes each server once (and later whenever its state changes and every few minutes); on_probed comes once, when the
 * first round is over, at the latest after connect_ms. */
void mta_pool_start(struct mta_pool *pool, void (*on_probed)(void *arg), void *arg);

struct mta_capabilities mta_pool_capabilities(const struct mta_pool *pool);
const char *mta_pool_name(const struct mta_pool *pool);
/* Of the n-th server of the options. */
enum mta_health mta_pool_health(const struct mta_pool *pool, size_t server);
/* Is every server known to be down at this moment? Then a mail need not even be begun. why: a sentence for the reply.
 */
bool mta_pool_is_down(const struct mta_pool *pool, const char **why);

#endif
