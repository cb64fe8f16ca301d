/*
 * plan.h - what the supervisor knows of one configuration, and whom it calls.
 *
 * The supervisor knows processes, sockets and pipes; it knows neither SMTP nor the rules language. serve.c makes a plan
 * of a configuration and gives the bodies that run in the processes; the tests give others.
 */
#ifndef PROCESS_PLAN_H
#define PROCESS_PLAN_H

#include "base/buf.h"
#include "base/err.h"
#include "base/file_stamp.h"
#include "base/log.h"
#include "net/addr.h"
#include "net/tls.h"

struct process_context;

enum {
    PROCESS_WORKERS_MAX = 256,  /* four generations of them, with their other processes, fit the shared table */
    PROCESS_LISTENERS_MAX = 64, /* endpoints; one bit each in a message */
    PROCESS_CERTIFICATES_MAX = 1024,
    PROCESS_PATH_MAX = 4096
};

enum event_log_kind { EVENT_LOG_NONE, EVENT_LOG_SYSLOG, EVENT_LOG_JOURNAL };

/* Where event lines go. */
struct event_sink_options {
    const char *file;        /* NULL: stderr, or the log */
    uint64_t rotate_bytes;   /* 0: never */
    unsigned keep;           /* rotated files: FILE.1, the newest, to FILE.keep */
    enum event_log_kind log; /* of the system */
};

/* One endpoint to listen on. */
struct process_listener {
    struct endpoint at;
    size_t index; /* which `listen` statement it belongs to: handed back to the worker */
};

/* A table that is kept in a file: data beside the configuration, read anew when it changes (table_keeper.h). */
struct process_table {
    const char *name, *path;
    struct file_stamp stamp; /* of the file when it was read with the configuration */
};

struct process_plan {
    const char *config_path;
    const char *node;      /* the hostname, in every event line */
    const char *user;      /* NULL: stay who we are */
    const char *state_dir; /* NULL: none is needed */
    const char *pidfile;   /* NULL: none */
    unsigned workers;      /* 1 to PROCESS_WORKERS_MAX */
    unsigned max_connections;
    struct process_listener listeners[PROCESS_LISTENERS_MAX];
    size_t listener_count;
    bool has_auth;           /* is an auth process needed? */
    bool has_alerts;         /* is an alert process needed? */
    bool has_admin;          /* is an admin process needed? */
    const char *control;     /* path of the control socket; NULL: none */
    bool control_is_default; /* nobody named it: if it cannot be had, the service goes on without */
    struct event_sink_options events;
    int64_t drain_ms; /* how long a worker that was told to drain may need: a session's longest life */
    enum log_level log_level;
    const struct process_table *tables;
    size_t table_count;
    const struct tls_certificate *certificates; /* of the listeners */
    size_t certificate_count;
    void *config; /* for the bodies */
};

/* All get arg. */
struct process_bodies {
    /* Reads and checks the configuration. False with one sentence; details have been logged, and are in the report,
     * warnings too. */
    bool (*load)(void *arg, struct process_plan *plan, struct buf *report, struct err *err);
    /* Nobody uses the plan any more. */
    void (*unload)(void *arg, struct process_plan *plan);
    /* Life of a worker, of an auth, an alert, an admin process, each in its own process: returns its exit code. In
     * order: read what needs privileges, process_drop_privileges, process_say_ready, work until told to end. */
    int (*worker)(void *arg, struct process_context *ctx);
    int (*auth)(void *arg, struct process_context *ctx);
    int (*alerts)(void *arg, struct process_context *ctx);
    int (*admin)(void *arg, struct process_context *ctx);
    /* In the supervisor: the worker with this id is dead; what it held in shared memory is free. NULL: nothing to do.
     */
    void (*on_worker_end)(void *arg, uint32_t worker_id);
    /* Of a plan with tables. In a process of its own, without privileges: reads a table's open file and writes an image
     * of it, for all processes to map. False: what is wrong, with its place. */
    bool (*build_table)(void *arg, const struct process_plan *plan, size_t table, int file, int image, struct err *err);
    /* In the supervisor: workers that are born from now on have this image. What they have had before lasts until
     * forget_tables, when those who live have it, too (CHANNEL_TABLE). */
    bool (*take_table)(void *arg, const struct process_plan *plan, size_t table, int image, struct err *err);
    void (*forget_tables)(void *arg, const struct process_plan *plan);
    void *arg;
};

#endif
