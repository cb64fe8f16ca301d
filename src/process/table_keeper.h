/*
 * table_keeper.h - tables that are kept in files: looked at every ten seconds, read anew when they change.
 *
 *   supervisor: stat ─ changed, and still so a second later ─ open ─ fork ──▶ reader: becomes the unprivileged user,
 *        ▲                                                                    builds the image into a memfd, ends
 *        └── pipe: fine, or what is wrong ◀──────────────────────────────────────┘
 *        └─▶ fine: the memfd is sealed, mapped here (for workers still to be born) and sent to all workers,
 *            who map it and change one pointer (worker_tables.h)
 *
 * A worker's configuration never changes (DESIGN.md, decision 4); tables are data beside it. Why a process: a million
 * lines take a second, which no loop has; all workers then share the memory; and a worker, that strangers talk to,
 * needs no file any more. Why the supervisor opens it: a file that root alone may read was fine when the service
 * started, and stays so; what is in it is read by a process that may no more than a worker.
 *
 * A file that is wrong or cannot be read changes nothing: the last good content stays, an event `table` and a line in
 * the log say so, once; another event when it is good again. A file that is being written when it is looked at is left
 * until it rests (but for no longer than a few looks).
 */
#ifndef PROCESS_TABLE_KEEPER_H
#define PROCESS_TABLE_KEEPER_H

#include "net/loop.h"
#include "process/plan.h"
#include "process/privileges.h"
#include "stats/event.h"

struct table_keeper_times {
    int64_t look_ms;   /* between two looks at the files */
    int64_t settle_ms; /* a change must rest so long */
    int64_t read_ms;   /* a reader must have ended by then */
};

struct table_keeper;

struct table_keeper_options {
    const struct process_table *tables; /* borrowed */
    size_t count;
    const struct table_keeper_times *times;
    const struct privileges *privileges;
    struct event_log *events;
    /* In the reader: reads table `index` from `file`, writes its image to `image`. False: err, one sentence. */
    bool (*build)(void *arg, size_t index, int file, int image, struct err *err);
    /* The image is whole and will never change: who is forked from now on has it. False: err. */
    bool (*take)(void *arg, size_t index, int image, struct err *err);
    /* To those who live. False: somebody could not take it now; asked again a second later, with the same or a newer
     * one. */
    bool (*send)(void *arg, size_t index, int image);
    /* Some time later: everybody has what was taken, what it replaced may go. */
    void (*forget)(void *arg);
    void *arg;
};

/* Begins to look. NULL: no memory. */
struct table_keeper *table_keeper_new(struct loop *l, const struct table_keeper_options *options, struct err *err);
/* From now on it says nothing any more: its configuration is the old one, and another's keeper speaks. */
void table_keeper_hush(struct table_keeper *k);
/* Ends a reader that is at work. */
void table_keeper_free(struct table_keeper **k);

#endif
