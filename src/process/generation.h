/*
 * generation.h - one configuration with the processes that were born with it: N workers, their auth process, their
 * alert process, their admin process.
 *
 *   COMING ── all READY ──▶ CURRENT ── the next one is ready ──▶ DRAINING ── all ended ──▶ freed
 *      └── a failure, or too late ──▶ KILLED ── all ended ──▶ freed
 *
 * A worker's configuration never changes (DESIGN.md, decision 4): a reload makes another generation beside this one.
 * Each worker slot has a SOCK_SEQPACKET pair to the auth process. The supervisor keeps both ends, so either side's
 * successor inherits its predecessor's (auth/auth_message.h). To the alert process all workers share one pair
 * (stats/alert.h). Both processes live until the last worker has gone. The admin process of the generation in force
 * accepts from the control socket; one that is retired finishes what it was asked and ends, and when the service stops,
 * it lives until the last worker has gone.
 */
#ifndef PROCESS_GENERATION_H
#define PROCESS_GENERATION_H

#include "process/certificate_keeper.h"
#include "process/child.h"
#include "process/table_keeper.h"

enum generation_state { GENERATION_COMING, GENERATION_CURRENT, GENERATION_DRAINING, GENERATION_KILLED };

struct generation {
    struct list node; /* in the supervisor's list, the oldest first */
    struct supervisor *sup;
    uint32_t id;
    enum generation_state state;
    struct process_plan *plan; /* owned */
    struct timer deadline;     /* DRAINING: then the rest is told to quit; after that, killed */
    bool was_told_to_quit;
    bool is_retired; /* DRAINING because another is in force: its admin process ends as soon as it is idle */
    struct table_keeper *tables;             /* NULL: none is kept in a file */
    struct certificate_keeper *certificates; /* NULL: there are none */
    struct child auth, alerts, admin;
    bool has_auth, has_alerts, has_admin;
    int (*auth_pairs)[2]; /* [slot]: the worker's end, the auth process's end */
    int alert_pair[2];    /* the workers' end, the alert process's end */
    unsigned worker_count;
    struct child workers[];
};

/* Takes the plan, also when it fails. */
struct generation *generation_new(struct supervisor *sup, struct process_plan *plan, uint32_t id, struct err *err);
void generation_free(struct generation **g);

/* Forks all its processes. False: some could not be; the caller kills the generation. */
MUST_USE bool generation_start(struct generation *g, struct err *err);
/* More sockets than its workers have are open for its endpoints: gives them to those who are running. */
void generation_give_added_sockets(struct generation *g);
bool generation_is_ready(const struct generation *g);
/* No process of it is left. */
bool generation_is_over(const struct generation *g);
/* Tells the workers how to finish (RETIRE, DRAIN), accepting what waits on the listeners of the mask; what is left
 * after limit_ms is told to quit. */
void generation_drain(struct generation *g, enum channel_kind how, uint64_t sweep_mask, int64_t limit_ms);
/* Tells all to end now; what is left after limit_ms is killed. */
void generation_quit(struct generation *g, int64_t limit_ms);
void generation_kill(struct generation *g);
/* One of its processes has ended (child_ended was called): restarts it, or the generation's end comes nearer. */
void generation_child_ended(struct generation *g, struct child *c);

#endif
