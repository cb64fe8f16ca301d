/*
 * admin.h - what an administrator asks of the running service: a row of requests.c each, a handler in a file of its
 * subject.
 *
 *   status            status.c      processes, listeners, connections, store, pools, bans
 *   reload, stop      service.c     passed on to the supervisor, whose word is the answer
 *   bans, ban, unban  bans.c        the table that all workers share
 *   limits, reset     limits.c      every counter of somebody (account.h)
 *   allow, allowances allow.c       other rates for somebody, for a while
 *   audit             audit.c       what the store really holds (in Redis: audit_redis.c)
 *
 * The handlers know neither processes nor channels: what they need of the service is in struct admin_service.
 */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include "admin/control.h"
#include "config/config.h"
#include "limits/allowance.h"
#include "limits/ban.h"
#include "limits/keeper.h"
#include "limits/store.h"
#include "policy/whom.h"
#include "stats/counters.h"

/* One process of the service. */
struct admin_process_row {
    char name[32]; /* "worker 1", "auth" */
    int pid;       /* 0: not running now */
    uint32_t generation, restarts;
    int64_t started_us; /* wall clock */
    bool is_worker;
    uint64_t open_connections;
};

/* How the workers of the configuration in force see a server of the MTA. */
struct admin_health {
    unsigned up, down; /* so many of them; the others have not spoken to it yet */
};

/* What the service is doing. */
struct admin_state {
    int64_t started_us, loaded_us; /* wall clock; the configuration: when it came into force */
    uint32_t generation;           /* the one in force */
    int supervisor_pid;
    bool is_stopping;
};

/* The service around us (process/admin_process.c). */
struct admin_service {
    void (*state)(void *arg, struct admin_state *state);
    /* Up to max; returns how many there are. */
    size_t (*processes)(void *arg, struct admin_process_row *to, size_t max);
    /* Of the n-th server, of all pools in the order of the configuration. */
    struct admin_health (*health)(void *arg, size_t server);
    /* Asks the supervisor; the answer comes as admin_reload_done with this id. False: it cannot be asked. */
    bool (*reload)(void *arg, uint64_t id);
    bool (*stop)(void *arg, const char *why);
    void *arg;
};

struct admin {
    struct loop *loop;
    const struct config *config;
    const struct admin_service *service;
    const struct counters *counters; /* all rows */
    struct store *store;
    void *store_memory; /* the embedded table */
    struct ban_table *bans;
    struct redis *redis;         /* NULL: the store is in memory */
    const struct keeper *keeper; /* NULL: the store is not in Redis, or the configuration not yet in force */
    const struct outage *outage; /* what decisions go by while Redis is away; NULL: the store is in memory */
    struct allowance_table *allowances;
    struct event_log *events;
    struct list reloads; /* questions that wait for one */
    uint64_t last_reload;
    struct admin_audit *audit; /* of the store in Redis, under way */
};

extern const struct control_row admin_requests[];
extern const size_t admin_request_count;

void admin_init(struct admin *a);
/* After redis_free. */
void admin_fini(struct admin *a);

/* Is a server of Redis away, so that what is changed by command reaches the other nodes only when it is back? */
bool admin_waits_for_redis(const struct admin *a);

/* What keeps somebody out: a ban of his own or, of a client, of his network. key: whose ban it is, as whom->text; it
 * lies in the arena. False: nothing does. */
bool admin_find_ban(const struct admin *a, const struct whom *whom, struct arena *arena, struct ban *ban,
                    struct str *key);

/* ---- the handlers; arg is the struct admin ---- */

void admin_status(void *arg, struct control_ask *ask);
void admin_reload(void *arg, struct control_ask *ask);
void admin_stop(void *arg, struct control_ask *ask);
void admin_bans(void *arg, struct control_ask *ask);
void admin_ban(void *arg, struct control_ask *ask);
void admin_unban(void *arg, struct control_ask *ask);
void admin_limits(void *arg, struct control_ask *ask);
void admin_reset(void *arg, struct control_ask *ask);
void admin_allow(void *arg, struct control_ask *ask);
void admin_allowances(void *arg, struct control_ask *ask);
void admin_audit(void *arg, struct control_ask *ask);
void admin_audit_redis(struct admin *a, struct control_ask *ask, bool repairs);
/* It is over, or (after redis_free) given up. */
void admin_audit_end(struct admin *a);

/* The supervisor's word on a reload: ok, or why not; report: what was said about the configuration. */
void admin_reload_done(struct admin *a, uint64_t id, bool ok, struct str why, struct str report);

#endif
