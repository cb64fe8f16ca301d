/*
 * process.h - the whole service: what `mailweir serve` runs.
 *
 *   mailweir serve
 *   ├─ supervisor     supervisor.h     sockets, signals, reload, restarts; knows no SMTP
 *   ├─ event writer   event_writer.h   the only process that waits for a disk
 *   │  and with each generation:
 *   ├─ auth           auth_process.c   auth/auth_service.h
 *   ├─ alerts         alert_process.h  where the configuration has some
 *   ├─ admin          admin_process.h  admin/control.h
 *   └─ worker × N     worker.h         session/session.h
 *
 * serve.c joins the two halves: it makes the supervisor's plan of a configuration, and holds what needs both.
 */
#ifndef PROCESS_PROCESS_H
#define PROCESS_PROCESS_H

#include "base/defs.h"

struct serve_options {
    const char *config_path;
    bool is_try;         /* --try */
    const char *try_dir; /* … and where its files are; it exists */
};

/* Runs in the foreground until told to stop. Returns the exit code: 0 stopped, 1 could not start (the reason was said).
 */
int process_serve(const struct serve_options *options);

#endif
