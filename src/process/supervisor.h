/*
 * supervisor.h - the process that starts, watches and replaces all others, and holds what must outlive them: listening
 * sockets, the shared table, the pipes between processes.
 *
 *   signals (signalfd) ─┐
 *   control channels ───┼─▶ one loop ─▶ fork, tell, kill, reap
 *   timers ─────────────┘
 *
 *   files: supervisor.c  life, signals, stopping        generation.c  a configuration's processes
 *          reload.c      from a new plan to commit      child.c       one process, from fork to reaping
 *          event_hub.c   the event writer and its pipes listeners.c   sockets over reloads
 *          control_socket.c   likewise, that of the commands
 *
 * It blocks nowhere but in reading a configuration, and reads nothing from the network.
 */
#ifndef PROCESS_SUPERVISOR_H
#define PROCESS_SUPERVISOR_H

#include "process/control_socket.h"
#include "process/event_hub.h"
#include "process/generation.h"
#include "process/listeners.h"
#include "stats/event.h"

enum { GENERATIONS_MAX = 4 }; /* one in force, one coming, the others draining; a fifth ends the oldest at once */

/* How long things may take; the tests have less patience than an administrator. */
struct supervisor_times {
    int64_t ready_ms;           /* a new generation to become ready */
    int64_t reload_drain_ms;    /* an old generation to finish, at most; else the plan's drain_ms */
    int64_t stop_drain_ms;      /* the same when the service stops */
    int64_t quit_ms;            /* from "end now" to SIGKILL; and from "it is stuck" to an admin process' */
    int64_t stuck_ms;           /* a worker or admin process without heartbeat: said once */
    int64_t ticket_keys_ms;     /* new ticket keys every so often */
    struct holdoff_times crash; /* crash loops */
    struct table_keeper_times tables;
    int64_t certificates_ms; /* between two looks at their files */
};
extern const struct supervisor_times SUPERVISOR_TIMES;

enum supervisor_state { SUPERVISOR_STARTING, SUPERVISOR_RUNNING, SUPERVISOR_STOPPING, SUPERVISOR_FLUSHING };

/* An admin process that was asked to reload, and waits for what comes of it. */
struct reload_asker {
    pid_t pid;
    uint64_t id;
    bool is_next; /* not of the one that is coming, but of the one after it */
};
enum { RELOAD_ASKERS_MAX = 64, RELOAD_REPORT_MAX_BYTES = 1 << 20 };

struct supervisor {
    const struct process_bodies *bodies;
    struct supervisor_times times;
    enum supervisor_state state;
    int exit_code;
    struct loop loop;
    int signal_fd;
    struct watch signals;
    struct timer tick;
    struct timer ticket_keys;
    struct timer flushing; /* the event writer's time to finish */
    struct privileges privileges;
    struct shared *shared;
    struct listeners listeners;
    struct control_socket control;
    struct event_hub hub;
    struct event_log events; /* its own */
    int event_fd;
    uint64_t event_pipe;
    int seat;
    char node[256], why_stopping[CHANNEL_TEXT_MAX], pidfile[PROCESS_PATH_MAX];
    struct task settle;
    bool has_loop;
    struct list generations;
    struct generation *current, *coming; /* NULL: none */
    struct timer ready;                  /* coming must be ready by then */
    bool awaits_sink;                    /* the event writer tries the sink of the coming one */
    bool reload_again;                   /* asked for while one was coming */
    struct buf report;                   /* what was said about the configuration that is coming */
    struct reload_asker askers[RELOAD_ASKERS_MAX];
    size_t asker_count;
    uint32_t last_generation, last_worker_id;
    bool has_started; /* was in force once */
    bool flush_was_killed;
};

/* Runs the service in the foreground until it is told to stop; returns the exit code. */
int supervisor_run(const struct process_bodies *bodies, const struct supervisor_times *times);

/* ---- for the other files of process/ ---- */

/* reload.c. HUP: loads the configuration and begins with it. */
void reload_start(struct supervisor *s);
/* The admin process asks for it, under this number: it is told what came of it (OUTCOME). */
void reload_ask(struct supervisor *s, const struct child *c, uint64_t id);
/* Checks, binds, forks: the plan's generation is coming, to be committed when it is ready or refused. Takes the plan.
 */
void reload_begin(struct supervisor *s, struct process_plan *plan);
/* Something of the coming generation has moved: is it ready? */
void reload_check(struct supervisor *s);
void reload_writer_ready(struct supervisor *s);
/* Tells those who asked for the reload that is over now, and for it alone, what came of it. */
void reload_answer(struct supervisor *s, bool ok, const char *why);
/* SINK_OK, SINK_BAD. */
void reload_sink_answer(struct supervisor *s, const struct channel_message *m);
/* The coming generation, if there is one, is killed. */
void reload_abandon(struct supervisor *s);
/* … and the reload is refused: everything stays as it was; at the first start the service ends. */
void reload_fail(struct supervisor *s, const char *why);

/* supervisor.c. Begins to stop; again: at once. */
void supervisor_stop(struct supervisor *s, const char *why);
void supervisor_child_message(struct child *c, const struct channel_message *m);

#endif
