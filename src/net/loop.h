/*
 * loop.h - one libev loop a process, and what hangs on it: timers, watched descriptors, work for the end of a turn.
 *
 * Time is read once a turn: everything that happens in one turn happens at one moment. A turn is: wait, call back for
 * what is ready, then run the deferred tasks (this is where connections write what was queued: one write a turn and
 * connection).
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <ev.h>

#include "base/err.h"
#include "base/list.h"

enum { LOOP_SCRATCH_BYTES = 65536 };

struct conn;
struct conn_call;

struct loop {
    struct ev_loop *ev;
    struct list tasks; /* deferred, run before the loop waits */
    struct ev_prepare before_wait;
    struct ev_check after_wait; /* first of all in a turn: reads the clocks */
    int64_t now_ms, wall_us;

    /* Where a readable connection reads into. Its bytes are the reader's input while its on_input runs, and nobody's
     * after. */
    char *scratch; /* LOOP_SCRATCH_BYTES */
    const struct conn *reader;
    uint32_t scratch_start, scratch_end;
    struct conn_call *calls; /* the conn callbacks that are running now: how a conn learns that its owner closed it */
};

MUST_USE bool loop_init(struct loop *l, struct err *err);
void loop_fini(struct loop *l);

/* Runs until loop_stop; may be run again. Tasks deferred in the last turn are run before it returns. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);
/* One turn: waits for at most max_wait_ms (0: only looks). For tests and for who has a loop of his own around it. */
void loop_run_once(struct loop *l, int64_t max_wait_ms);
/* The end of a turn without a turn: runs what is deferred. For tests and fuzzers on connections without sockets. */
void loop_run_tasks(struct loop *l);

/* The moment of this turn: monotonic milliseconds (deadlines) and wall-clock microseconds (events, limit windows). */
static inline int64_t loop_now_ms(const struct loop *l)
{
    return l->now_ms;
}
static inline int64_t loop_wall_us(const struct loop *l)
{
    return l->wall_us;
}
/* Sets the moment by hand, until the next turn reads the clocks: for tests that run tasks only. */
void loop_set_now(struct loop *l, int64_t now_ms, int64_t wall_us);

/* ---- timers: one shot, absolute ---- */

struct timer {
    struct ev_timer ev;
    struct loop *loop;
    int64_t at_ms;    /* 0: not running */
    int64_t armed_ms; /* what libev knows: at_ms or earlier */
    void (*on_due)(void *arg);
    void *arg;
};

void timer_init(struct timer *t, struct loop *l, void (*on_due)(void *), void *arg);
/* (Re)starts it for the moment at_ms. Moving it later costs nothing: libev hears of it only when the old moment comes.
 * Never due from inside, even if the moment has passed. */
void timer_start(struct timer *t, int64_t at_ms);
/* After this on_due does not come, and the timer's memory may go. */
void timer_cancel(struct timer *t);
/* After this on_due does not come either, but libev is not told: for a timer that is soon started again, again and
 * again. Before its memory goes, timer_cancel is still due. */
static inline void timer_rest(struct timer *t)
{
    t->at_ms = 0;
}
static inline bool timer_is_running(const struct timer *t)
{
    return t->at_ms != 0;
}

/* ---- descriptors that are no conn: listeners, channels, eventfds ---- */

struct watch {
    struct ev_io ev;
    struct loop *loop;
    void (*on_ready)(void *arg, bool readable, bool writable);
    void *arg;
};

void watch_init(struct watch *w, struct loop *l, int fd, void (*on_ready)(void *, bool, bool), void *arg);
/* What to be told of; neither: silence. Never closes the descriptor: silence it before it is closed. */
void watch_set(struct watch *w, bool readable, bool writable);

/* ---- tasks: once, at the end of this turn ---- */

struct task {
    struct list node;
    void (*run)(void *arg);
    void *arg;
};

void task_init(struct task *t, void (*run)(void *), void *arg);
/* Runs it at the end of this turn; again before that: still once. A task that a task defers runs in the same turn. */
void task_defer(struct loop *l, struct task *t);
void task_cancel(struct task *t);

#endif
