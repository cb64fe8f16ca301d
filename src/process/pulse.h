/*
 * pulse.h - what a worker and the admin process do whatever they are asked: their events leave once a turn of the loop,
 * and once a second they show that they live.
 *
 *   event line ─▶ gathered ─▶ end of the turn: one write into the pipe to the event writer
 *                                 └ what it does not take ─▶ the next line, or the next beat
 *   beat       ─▶ on_beat (the process's own) ─▶ heartbeat in its seat ─▶ events
 */
#ifndef PROCESS_PULSE_H
#define PROCESS_PULSE_H

#include "process/child.h"
#include "stats/event.h"

struct pulse {
    struct loop *loop;
    const struct process_context *ctx;
    struct event_log events; /* whoever writes events in this process writes them here */
    struct task write;
    struct timer beat;
    void (*on_beat)(void *arg);
    void *arg;
};

/* From now on events can be written, as those of this hostname. All is borrowed. on_beat: every second; NULL: nothing
 * more is to be done then. */
void pulse_init(struct pulse *p, struct loop *l, const struct process_context *ctx, const char *hostname,
                void (*on_beat)(void *arg), void *arg);
/* Stops it, and lets go of the events' memory. */
void pulse_fini(struct pulse *p);
/* The first beat, now. */
void pulse_begin(struct pulse *p);

#endif
