/* pulse.c - see pulse.h. */
#include "process/pulse.h"

enum { BEAT_MS = 1000 };

static void on_line(void *arg)
{
    struct pulse *p = arg;
    task_defer(p->loop, &p->write);
}

static void on_write(void *arg)
{
    struct pulse *p = arg;
    event_log_flush(&p->events);
}

static void on_beat(void *arg)
{
    struct pulse *p = arg;
    if (p->on_beat)
        p->on_beat(p->arg);
    atomic_fetch_add_explicit(&p->ctx->seat->heartbeat, 1, memory_order_relaxed);
    event_log_flush(&p->events);
    timer_start(&p->beat, loop_now_ms(p->loop) + BEAT_MS);
}

void pulse_init(struct pulse *p, struct loop *l, const struct process_context *ctx, const char *hostname,
                void (*then)(void *arg), void *arg)
{
    *p = (struct pulse){.loop = l, .ctx = ctx, .on_beat = then, .arg = arg};
    event_log_init(&p->events, ctx->event_fd, hostname, ctx->counters);
    task_init(&p->write, on_write, p);
    event_log_gather(&p->events, on_line, p);
    timer_init(&p->beat, l, on_beat, p);
}

void pulse_fini(struct pulse *p)
{
    timer_cancel(&p->beat);
    event_log_fini(&p->events);
}

void pulse_begin(struct pulse *p)
{
    on_beat(p);
}
