/*
 * event.h - what happened, as one JSON object a line (OPERATIONS.md "Events").
 *
 * A process composes a line in memory and writes it, without ever blocking, into the pipe of the event writer
 * (process/), which puts it on disk, stderr or elsewhere: a slow or full disk stops no mail. What the pipe does not
 * take waits in a bounded buffer; beyond that, lines are dropped, counted (mailweir_events_dropped_total) and said so
 * once. Lines are written by hand and not by a JSON library because every mail writes one: composing it allocates
 * nothing.
 *
 *      event_begin(log, "mail");  event_str(log, "user", …);  event_uint(log, "size", …);  event_end(log);
 */
#ifndef STATS_EVENT_H
#define STATS_EVENT_H

#include "base/buf.h"
#include "stats/counters.h"

enum { EVENT_LINE_MAX_BYTES = 65536, EVENT_BACKLOG_BYTES = 1 << 20 };

struct event_log {
    struct buf line;    /* the one being composed */
    struct buf backlog; /* what the pipe did not take, or was not given yet */
    const char *node;
    struct counters *counters; /* may be NULL */
    int fd;                    /* non-blocking pipe or file; -1: nowhere (check, tests) */
    bool broken;               /* the line at hand did not fit or memory is out: it will be dropped */
    bool said_dropped;
    bool torn; /* half a line went out */
    bool comma;
    void (*on_line)(void *arg); /* see event_log_gather; NULL: every line is written at once */
    void *arg;
};

/* node: the hostname, borrowed. fd: not closed by fini. */
void event_log_init(struct event_log *log, int fd, const char *node, struct counters *counters);
void event_log_fini(struct event_log *log);
/* From now on lines wait for event_log_flush, so that those of one turn of a loop are one write. on_line is called when
 * a line begins to wait: it sees to it that event_log_flush is called at the end of the turn. */
void event_log_gather(struct event_log *log, void (*on_line)(void *arg), void *arg);

/* Starts a line with time, event and node. wall_us: microseconds since 1970. One line at a time. */
void event_begin(struct event_log *log, const char *event, int64_t wall_us);
/* Members. name: a word of letters, digits, - and _, written as it is. STR_NONE writes nothing: what is not known is
 * left out. */
void event_str(struct event_log *log, const char *name, struct str value);
void event_z(struct event_log *log, const char *name, const char *value);
void event_uint(struct event_log *log, const char *name, uint64_t value);
void event_ms(struct event_log *log, const char *name,
              int64_t us); /* microseconds, written as milliseconds with a decimal */
/* Wall clock, as `time` has it. */
void event_time(struct event_log *log, const char *name, int64_t wall_us);
/* A number in JSON's own words. */
void event_number(struct event_log *log, const char *name, struct str digits);
void event_bool(struct event_log *log, const char *name, bool value);
/* Nested: name NULL inside an array. */
void event_open_object(struct event_log *log, const char *name);
void event_close_object(struct event_log *log);
void event_open_array(struct event_log *log, const char *name);
void event_close_array(struct event_log *log);
/* Closes and hands the line on. */
void event_end(struct event_log *log);
/* The line that event_end closed last, without its newline: for who hands it to somebody else too. STR_NONE: it did not
 * fit. Borrowed until the next event_begin. */
struct str event_log_line(const struct event_log *log);

/* Tries again to hand on what waits; called at the end of a turn and every second. True: nothing waits. */
bool event_log_flush(struct event_log *log);

#endif
