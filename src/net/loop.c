/*
 * loop.c - turns of the loop. See loop.h.
 *
 *     libev:  before_wait ──▶ epoll_wait ──▶ after_wait ──▶ descriptors, timers ──▶ (again)
 *     here:   run the tasks                  read clocks     callbacks
 *
 * libev's clock and ours are the same (CLOCK_MONOTONIC), read within the same microsecond of a turn.
 */
#include "net/loop.h"

#include <stdlib.h>

#include "base/clock.h"

static void read_clocks(struct loop *l)
{
    l->now_ms = clock_monotonic_ms();
    l->wall_us = clock_wall_us();
}

void loop_run_tasks(struct loop *l)
{
    while (!list_is_empty(&l->tasks)) {
        struct task *t = LIST_FIRST(&l->tasks, struct task, node);
        list_remove(&t->node);
        t->run(t->arg);
    }
}

static void on_before_wait(struct ev_loop *ev, struct ev_prepare *w, int events)
{
    (void)ev, (void)events;
    loop_run_tasks(CONTAINER_OF(w, struct loop, before_wait));
}

static void on_after_wait(struct ev_loop *ev, struct ev_check *w, int events)
{
    (void)ev, (void)events;
    read_clocks(CONTAINER_OF(w, struct loop, after_wait));
}

bool loop_init(struct loop *l, struct err *err)
{
    *l = (struct loop){.scratch = malloc(LOOP_SCRATCH_BYTES)};
    if (!l->scratch)
        return err_no_memory(err);
    l->ev = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    if (!l->ev) {
        free(l->scratch);
        l->scratch = NULL;
        return err_set(err, "cannot make an event loop: the kernel gives no epoll descriptor");
    }
    list_init(&l->tasks);
    ev_prepare_init(&l->before_wait, on_before_wait);
    ev_prepare_start(l->ev, &l->before_wait);
    ev_check_init(&l->after_wait, on_after_wait);
    ev_set_priority(&l->after_wait, EV_MAXPRI);
    ev_check_start(l->ev, &l->after_wait);
    read_clocks(l);
    return true;
}

void loop_fini(struct loop *l)
{
    if (!l->ev)
        return;
    ev_loop_destroy(l->ev);
    free(l->scratch);
    *l = (struct loop){.ev = NULL};
}

void loop_run(struct loop *l)
{
    ev_now_update(l->ev);
    read_clocks(l);
    ev_run(l->ev, 0);
    loop_run_tasks(l); /* loop_stop in a callback ends ev_run before the tasks of that turn */
}

void loop_stop(struct loop *l)
{
    ev_break(l->ev, EVBREAK_ALL);
}

static void on_waited_enough(void *arg)
{
    (void)arg; /* it ended the wait */
}

void loop_run_once(struct loop *l, int64_t max_wait_ms)
{
    struct timer wait;
    timer_init(&wait, l, on_waited_enough, NULL);
    ev_now_update(l->ev);
    read_clocks(l);
    if (max_wait_ms > 0)
        timer_start(&wait, l->now_ms + max_wait_ms);
    ev_run(l->ev, max_wait_ms > 0 ? EVRUN_ONCE : EVRUN_NOWAIT);
    timer_cancel(&wait);
    loop_run_tasks(l);
}

void loop_set_now(struct loop *l, int64_t now_ms, int64_t wall_us)
{
    l->now_ms = now_ms;
    l->wall_us = wall_us;
}

/* ---- timers ---- */

static void arm(struct timer *t)
{
    int64_t wait_ms = MAX_OF(t->at_ms - t->loop->now_ms, 0);
    t->armed_ms = t->at_ms;
    ev_timer_set(&t->ev, (double)wait_ms * 1e-3, 0.);
    ev_timer_start(t->loop->ev, &t->ev);
}

static void on_timer(struct ev_loop *ev, struct ev_timer *w, int events)
{
    (void)ev, (void)events;
    struct timer *t = CONTAINER_OF(w, struct timer, ev);
    if (t->at_ms == 0) /* it rests */
        return;
    /* Moved later meanwhile, or the two clocks differ by the rest of a millisecond: wait again. */
    if (t->at_ms > t->loop->now_ms) {
        arm(t);
        return;
    }
    t->at_ms = 0;
    t->on_due(t->arg);
}

void timer_init(struct timer *t, struct loop *l, void (*on_due)(void *), void *arg)
{
    *t = (struct timer){.loop = l, .on_due = on_due, .arg = arg};
    ev_timer_init(&t->ev, on_timer, 0., 0.);
}

void timer_start(struct timer *t, int64_t at_ms)
{
    t->at_ms = MAX_OF(at_ms, 1);
    if (ev_is_active(&t->ev)) {
        if (t->at_ms >= t->armed_ms)
            return;
        ev_timer_stop(t->loop->ev, &t->ev);
    }
    arm(t);
}

void timer_cancel(struct timer *t)
{
    ev_timer_stop(t->loop->ev, &t->ev);
    t->at_ms = 0;
}

/* ---- descriptors ---- */

static void on_watch(struct ev_loop *ev, struct ev_io *io, int events)
{
    (void)ev;
    struct watch *w = CONTAINER_OF(io, struct watch, ev);
    w->on_ready(w->arg, events & EV_READ, events & EV_WRITE);
}

void watch_init(struct watch *w, struct loop *l, int fd, void (*on_ready)(void *, bool, bool), void *arg)
{
    *w = (struct watch){.loop = l, .on_ready = on_ready, .arg = arg};
    ev_io_init(&w->ev, on_watch, fd, 0);
}

void watch_set(struct watch *w, bool readable, bool writable)
{
    int events = (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0);
    if (ev_is_active(&w->ev) && (w->ev.events & (EV_READ | EV_WRITE)) == events)
        return;
    ev_io_stop(w->loop->ev, &w->ev);
    ev_io_modify(&w->ev, events);
    if (events)
        ev_io_start(w->loop->ev, &w->ev);
}

/* ---- tasks ---- */

void task_init(struct task *t, void (*run)(void *), void *arg)
{
    *t = (struct task){.run = run, .arg = arg};
    list_init(&t->node);
}

void task_defer(struct loop *l, struct task *t)
{
    if (list_is_empty(&t->node))
        list_add_last(&l->tasks, &t->node);
}

void task_cancel(struct task *t)
{
    list_remove(&t->node);
}
