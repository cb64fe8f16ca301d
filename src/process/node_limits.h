/*
 * node_limits.h - what all processes of the service share of limits, and a process's own way to it.
 *
 *   supervisor  node_limits_prepare ─▶ struct node_limits: tables in shared mappings, which every child inherits
 *   worker, admin                      limits_way_open ─▶ a store (embedded, or in Redis beside it) and its limiter
 *
 * The mappings are made once, before the first fork that needs them, and outlive every configuration: counts and bans
 * survive reloads and crashes of workers, and in a file (`persist on`) a restart. What is never touched costs no
 * memory.
 *
 * Where the store is in Redis when the service starts, a file keeps bans and allowances, too: what is ordered while
 * Redis is away, and the service stopped before it is back, is told after the next start.
 */
#ifndef PROCESS_NODE_LIMITS_H
#define PROCESS_NODE_LIMITS_H

#include "config/config.h"
#include "limits/limiter.h"
#include "limits/node_id.h"
#include "process/kept_memory.h"

struct allowance_table;
struct ban_table;
struct event_log;

struct node_limits {
    struct kept_memory kept; /* a file: where all of the first three tables lie (`persist on`), or the last two */
    bool is_kept;            /* `persist on` */
    void *memory;            /* the embedded store's; NULL before the first configuration */
    size_t entries, bytes;
    void *orders; /* bans and allowances, where they are not in the file */
    struct ban_table *bans;
    struct allowance_table *allowances;
    struct mirror *mirror; /* NULL before the first configuration with a store in Redis, as outage */
    struct outage *outage;
    char node[NODE_ID_BYTES + 1]; /* this node's, in Redis */
    struct store store;           /* the supervisor's own door to the embedded store */
};

/* Makes what the configuration needs and is not there yet. False with a reason: also where a reload asks for what only
 * a restart can give. */
MUST_USE bool node_limits_prepare(struct node_limits *n, const struct config *cfg, struct err *err);
/* A dead process's open connections count no longer. */
void node_limits_release(struct node_limits *n, uint32_t owner);
/* In a child that has no business there. */
void node_limits_unmap(struct node_limits *n);
/* Nobody uses them any more: says what is lost with them. */
void node_limits_free(struct node_limits *n);

/* One process's way in. */
struct limits_way {
    struct redis *redis; /* NULL: the store is the embedded one */
    struct store store;
    struct limiter limiter;
};

/* owner: of the leases that are taken this way; no other process alive has the number. events: where a change of the
 * store's state is told, borrowed, as the rest. */
MUST_USE bool limits_way_open(struct limits_way *way, const struct node_limits *n, const struct config *cfg,
                              uint32_t owner, struct loop *l, struct resolver *resolver, struct event_log *events,
                              struct err *err);
/* Harmless when zeroed. */
void limits_way_close(struct limits_way *way);

#endif
