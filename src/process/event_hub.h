/*
 * event_hub.h - the supervisor's side of the event writer: the pipes, and the writer's life.
 *
 * The supervisor keeps the reading end of every pipe until the writer says that all of it is written, so a writer that
 * crashes is followed by one that goes on where it was (what it had read and not written is lost: at most a few lines).
 */
#ifndef PROCESS_EVENT_HUB_H
#define PROCESS_EVENT_HUB_H

#include "process/child.h"

struct event_hub {
    struct supervisor *sup;
    struct child writer;
    struct event_sink_options sink; /* where the writer writes; file is sink_path or NULL */
    char sink_path[PROCESS_PATH_MAX];
    struct list pipes;
    unsigned pipe_count;
    uint64_t last_id;
};

MUST_USE bool event_hub_init(struct event_hub *h, struct supervisor *sup, struct err *err);
void event_hub_fini(struct event_hub *h);

/* Where a writer that is started from now on writes. */
void event_hub_set_sink(struct event_hub *h, const struct event_sink_options *sink);
/* Asks the running writer whether it could write there; the answer comes as SINK_OK or SINK_BAD with this id. */
void event_hub_try_sink(struct event_hub *h, const struct event_sink_options *sink, uint64_t id);

/* A pipe for a new producer; the writer hears of it. Returns its non-blocking writing end, the caller's. -1 with a
 * reason. */
int event_hub_open_pipe(struct event_hub *h, uint64_t *id, struct err *err);
/* Its producer is gone. */
void event_hub_orphan_pipe(struct event_hub *h, uint64_t id);
/* A writer is there, without any pipe: give it all. */
void event_hub_writer_started(struct event_hub *h);
/* Gives the writer what it has not got yet; every second, in case it did not keep up. */
void event_hub_give(struct event_hub *h);
void event_hub_pipe_done(struct event_hub *h, uint64_t id);

#endif
