/*
 * child.h - one process that the supervisor watches over: its birth, and what it is given.
 *
 *   supervisor: child_start ── fork ──▶ child: signals, descriptors, limits ─▶ body(process_context) ─▶ exit
 *        ▲   control channel (READY, DRAIN …), event pipe, its listening sockets, its end of the auth pair
 *        └── child_ended, when it was reaped
 *
 * A child keeps no descriptor but its own: all others are closed before its body runs, so a worker that is taken over
 * holds no one else's sockets.
 *
 * Signals: the supervisor gets them (a terminal's Ctrl-C and systemd's default kill go to the whole group), so children
 * ignore INT, HUP and USR1. TERM is what the kernel sends them when the supervisor dies: then they have
 * CHILD_ORPHAN_SECONDS to end by themselves – the end of the control channel tells them, too –, and a TERM from anybody
 * else is ignored. KILL works as everywhere.
 */
#ifndef PROCESS_CHILD_H
#define PROCESS_CHILD_H

#include <sys/types.h>

#include "process/channel.h"
#include "process/holdoff.h"
#include "process/plan.h"
#include "process/privileges.h"
#include "process/shared.h"

enum { CHILD_ORPHAN_SECONDS = 10 };

struct supervisor;
struct generation;

/* A listening socket to accept from. */
struct process_socket {
    int fd;
    unsigned listener; /* index into plan->listeners; its bit in the mask of RETIRE and DRAIN */
};

/* What a process is given; valid as long as it lives. */
struct process_context {
    enum process_role role;
    pid_t supervisor_pid;
    const struct process_plan *plan;       /* NULL in the event writer, which outlives plans */
    const struct event_sink_options *sink; /* the event writer's */
    const struct privileges *privileges;
    struct shared *shared;
    struct shared_seat *seat;
    struct counters *counters;
    uint32_t generation;
    bool is_coming; /* its generation is not in force yet: what is wrong now refuses the configuration */
    unsigned slot;  /* a worker's number, 0 to plan->workers - 1 */
    uint32_t
        worker_id; /* another one for every worker and admin process of this service, never 0: in the store's eyes */
    int control_fd;
    int event_fd;                         /* non-blocking pipe to the event writer */
    const struct process_socket *sockets; /* a worker's: one or more per endpoint */
    size_t socket_count;
    const int *auth_fds; /* a worker's: one, if the plan has an auth process; the auth process's: one a worker slot */
    size_t auth_count;
    const int *certificate_images; /* a worker's, as the plan's: -1, it is as in the files; NULL: there are none */
    int admin_fd;                  /* the admin process's: the control socket, which listens; -1: there is none */
    int alert_fd; /* a worker's, and the alert process's other end; -1: the plan has no alert process */
};

/* In the child's body: */

/* Becomes the user of the configuration, for good, and hides its memory from others. Before any byte from the network
 * is read. */
MUST_USE bool process_drop_privileges(const struct process_context *ctx, struct err *err);
void process_say_ready(const struct process_context *ctx);
/* It cannot live, for this reason: the supervisor logs it. Returns the exit code for the body to return. */
int process_say_failed(const struct process_context *ctx, const struct err *err);

/* In the supervisor: */

struct child {
    struct supervisor *sup;
    struct generation *generation; /* NULL: the event writer */
    enum process_role role;
    unsigned slot;
    char name[32]; /* "worker 1", counted from 1 */
    int seat;
    pid_t pid; /* 0: not running */
    uint32_t worker_id;
    uint64_t pipe_id; /* its event pipe */
    struct channel channel;
    bool is_ready;
    bool is_told; /* to end: its end is no crash */
    int64_t started_ms;
    struct holdoff holdoff;
    int64_t delay_ms; /* before its next restart */
    struct timer restart;
    uint64_t heartbeat; /* as last seen, and when it moved */
    int64_t heartbeat_ms;
    int64_t said_stuck_ms; /* 0: it is not, or that was not said yet */
    char epitaph[600];
};

/* Takes a seat. False: all are taken. */
MUST_USE bool child_init(struct child *c, struct supervisor *sup, struct generation *g, enum process_role role,
                         unsigned slot, struct err *err);
/* Not running any more. Gives the seat back. */
void child_fini(struct child *c);
/* Forks it. False: no descriptors, no process. */
MUST_USE bool child_start(struct child *c, struct err *err);
/* It was reaped. Forgets its channel and pipe; writes the crash event unless it was told to end and did so. */
void child_ended(struct child *c, int status);
/* Running: tells it to end, in this way (RETIRE, DRAIN, QUIT). */
void child_end(struct child *c, enum channel_kind kind, uint64_t value);
void child_kill(struct child *c);
/* Running, but it hangs: kills it; its end is a crash, so another takes its place. */
void child_kill_stuck(struct child *c);
/* After a death: at once, or held off in a crash loop. */
void child_restart(struct child *c);
/* "worker 1 died by signal SIGKILL"; what it said itself where it said something. Valid until it is started again. */
const char *child_epitaph(const struct child *c);

#endif
