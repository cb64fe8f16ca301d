/*
 * alert.h - an event on its way to somebody: from a worker to the alert process (RULES.md "Statements", `alert`).
 *
 *   rule or threshold ─▶ event line ─▶ alert_send ─ too early? held back, counted
 *                                          └─ one datagram ─▶ process/alert_process.h ─▶ webhook, mail …
 *
 * A worker never waits: alert_send is a look into a table and one send that succeeds at once or not at all. All workers
 * of a generation share one SOCK_SEQPACKET pair; the supervisor keeps both ends, so what waits there outlives a crash
 * of the alert process. When it is full, alerts are dropped, counted (mailweir_alerts_dropped_total), and said so once;
 * what was dropped does not count as sent.
 */
#ifndef STATS_ALERT_H
#define STATS_ALERT_H

#include "base/err.h"
#include "stats/alert_rates.h"
#include "stats/counters.h"

enum {
    ALERT_KEY_MAX_BYTES = 1024, /* of what is told; a longer one is cut */
    ALERT_EVENT_MAX_BYTES = 16384,
    ALERT_MESSAGE_MAX_BYTES = 32 + ALERT_KEY_MAX_BYTES + ALERT_EVENT_MAX_BYTES
};

/* An `alert` statement, as far as who sends needs it. */
struct alert_target {
    struct str name;
    int64_t every_ms;
};

struct alert_sender {
    const struct alert_target *targets; /* of the configuration */
    size_t target_count;
    struct alert_rates *rates;
    struct counters *counters; /* may be NULL */
    int fd;                    /* the worker's end */
    bool said_dropped;
};

/* Sends an event by `alert NAME`: alert is that name; key says whom it concerns ("user:alice@example.org", may be
 * empty): at most one in `every` for each; event_line is the `alert` event as it was written, one JSON object
 * (event_log_line). Nothing is kept of them. Never blocks. sender NULL, or a name that no statement defines: nothing.
 */
void alert_send(struct alert_sender *sender, struct str alert, struct str key, struct str event_line);

/* ---- between the two ends ---- */

/* A datagram; both ends are forked from one binary. */
struct alert_message {
    uint32_t target;    /* index */
    uint32_t held_back; /* as many were not sent before this one */
    uint64_t id;        /* of alert and key, in the table of rates */
    struct str key, event;
};

/* [0] for the workers, [1] for the alert process; non-blocking, closed at exec(2). False: no descriptors. */
MUST_USE bool alert_channel_open(int ends[2], struct err *err);
/* IO_AGAIN: the other side does not keep up; IO_FAILED: too long, or closed. */
MUST_USE enum io_result alert_message_send(int fd, const struct alert_message *m);
/* One datagram, into `space` of ALERT_MESSAGE_MAX_BYTES, from which m borrows. What is no message is skipped. IO_AGAIN:
 * none there; IO_EOF, IO_FAILED: no more will come. */
MUST_USE enum io_result alert_message_receive(int fd, void *space, struct alert_message *m);

#endif
