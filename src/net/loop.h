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

struct loop {
    struct ev_loop *ev;
    struct list tasks; /* deferred, run before the loop waits */
    struct ev_prepare before_wait;
    char *scratch; /* LOOP_SCRATCH_BYTES: where a readable connection without leftovers reads into */
};

MUST_USE bool loop_init(struct loop *l, struct err *err);
void loop_fini(struct loop *l);

/* Runs until loop_stop; may be run again. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);

/* The moment of this turn: monotonic milliseconds (deadlines) and wall-clock microseconds (events, limit windows). */
int64_t loop_now_ms(const struct loop *l);
int64_t loop_wall_us(const struct loop *l);

/* ---- timers: one shot, absolute ---- */

struct timer {
    struct ev_timer ev;
    struct loop *loop;
    int64_t at_ms; /* 0: not running */
    void (*on_due)(void *arg);
    void *arg;
};

void timer_init(struct timer *t, struct loop *l, void (*on_due)(void *), void *arg);
/* (Re)starts it for the moment at_ms. Moving it later costs nothing: libev hears of it only when the old moment comes.
 */
void timer_start(struct timer *t, int64_t at_ms);
void timer_cancel(struct timer *t);
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
/* What to be told of; neither: silence. Never closes the descriptor. */
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
