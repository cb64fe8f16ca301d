/*
 * event_file.h - where event lines end: a file that is rotated, stderr, syslog, or the journal.
 *
 * A disk that is full, read-only or gone stops nothing: the lines are dropped and counted, it is said once, and every
 * further write tries again. What stands in the file is whole lines: half a line that a full disk took is cut off.
 */
#ifndef PROCESS_EVENT_FILE_H
#define PROCESS_EVENT_FILE_H

#include "base/str.h"
#include "process/log_socket.h"
#include "process/plan.h"
#include "stats/counters.h"

enum { EVENT_FILE_RETRY_MS = 1000 };

struct event_file {
    struct counters *counters; /* dropped lines are counted here */
    char path[PROCESS_PATH_MAX];
    uint64_t rotate_bytes;
    unsigned keep;
    int fd; /* -1: could not be opened; tried again */
    bool is_stderr, is_regular, is_log;
    struct log_socket log;
    uint64_t size;      /* of a regular file */
    uint64_t rotate_at; /* the size at which to rotate; grows when that failed */
    uint64_t lost;      /* lines, since the trouble began */
    bool is_failing;
    bool is_torn; /* half a line stands at its end */
    int64_t retry_at_ms;
};

/* True: open; or the disk is full, which has been said. False with a reason. In every case the file may be used: what
 * is not open is tried again when there is something to write, once a second. */
MUST_USE bool event_file_open(struct event_file *f, const struct event_sink_options *o, struct counters *counters,
                              struct err *err);
void event_file_close(struct event_file *f);
/* Whole lines, each ended by LF. */
void event_file_write(struct event_file *f, struct str lines, int64_t now_ms);
/* Opens the path anew: somebody moved the file. If that fails, goes on with the old one and says so. */
void event_file_reopen(struct event_file *f);

#endif
