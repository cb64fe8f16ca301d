/*
 * listeners.h - the supervisor's listening sockets: for each endpoint one SO_REUSEPORT socket per worker slot.
 *
 * They are opened once and kept as long as the endpoint is configured, over crashes and reloads: a connection that
 * waits in a backlog is lost by neither. If a reload has fewer workers, the sockets stay and each worker accepts from
 * several; if it has more, sockets are added. What an endpoint that is gone still holds, the workers that leave accept
 * until it is empty.
 *
 *   endpoint   slot 0  1  2  3      with 2 workers: worker 0 accepts from 0 and 2, worker 1 from 1 and 3
 *
 * A reload is prepared (all that is new is bound, or nothing), then committed or rolled back. From its first moment on
 * the kernel gives a new socket of an old endpoint its share of the connections: the workers in force get it at once.
 */
#ifndef PROCESS_LISTENERS_H
#define PROCESS_LISTENERS_H

#include "process/child.h"

struct listener {
    struct endpoint at;
    unsigned slots;          /* how many of fds are open; 0: not in use */
    unsigned slots_in_force; /* … before what is being prepared */
    int fds[PROCESS_WORKERS_MAX];
};

struct listeners {
    struct listener items[2 * PROCESS_LISTENERS_MAX]; /* those in force and those being prepared */
};

void listeners_init(struct listeners *l);
/* Closes all. */
void listeners_fini(struct listeners *l);

/* Opens what the plan needs and is not open. False with the endpoint and the reason: no endpoint is added. */
MUST_USE bool listeners_prepare(struct listeners *l, const struct process_plan *plan, struct err *err);
/* The plan is in force: closes the sockets of endpoints that it does not have. */
void listeners_commit(struct listeners *l, const struct process_plan *plan);
/* Closes endpoints that were prepared and are not in force. Sockets that were added to one in force stay: clients may
 * already wait there. */
void listeners_rollback(struct listeners *l);

/* The sockets of one worker of the plan into `to` (room for max); returns how many. */
size_t listeners_of_worker(const struct listeners *l, const struct process_plan *plan, unsigned slot,
                           struct process_socket *to, size_t max);
/* Those of them that the last listeners_prepare added. */
size_t listeners_added_to_worker(const struct listeners *l, const struct process_plan *plan, unsigned slot,
                                 struct process_socket *to, size_t max);
/* Bit i: plan listens on its listener i, but now does not. */
uint64_t listeners_gone(const struct process_plan *plan, const struct process_plan *now);

#endif
