/*
 * socketmap.h - tables that another program holds, asked by Postfix's socketmap protocol (socketmap_table(5)).
 *
 *   socketmap_start ─▶ inquiry (remembered, shared) ─▶ "14:domains a.test," ──▶ one connection to the endpoint
 *                                                      "4:OK x," "9:NOTFOUND ," ◀── answers in the order of questions
 *
 * All tables of one endpoint share one connection; questions are sent without waiting for the answers before them. A
 * server may close it when nothing is asked: the next question opens another. One that closes it with questions open
 * gets them once more on a new one. If it then does not answer, too, or cannot be reached, or answers out of time or
 * with what is none, it is down: everything asked fails at once, and after a while (1 s, doubling to 30 s) the next
 * question tries again. Down and up are an event of each table, once.
 */
#ifndef LOOKUP_SOCKETMAP_H
#define LOOKUP_SOCKETMAP_H

#include "lookup/remote.h"
#include "net/addr.h"
#include "net/resolve.h"
#include "stats/event.h"

enum {
    SOCKETMAP_KEY_MAX_BYTES = 1024,
    SOCKETMAP_REPLY_MAX_BYTES = REMOTE_VALUE_MAX_BYTES,
    SOCKETMAP_RETRY_MS = 1000,
    SOCKETMAP_RETRY_MAX_MS = 30000,
};

/* A `table … socketmap` statement; immutable, outlives the maps. */
struct socketmap_options {
    const char *name; /* in the rules */
    const struct endpoint *endpoint;
    const char *map;     /* what the server calls it */
    unsigned timeout_ms; /* of one question */
    int64_t cache_ms;    /* 0: every question is asked anew */
};

struct socketmaps; /* all of one worker */

/* Connects nowhere yet. resolver and events outlive it; events may be NULL. NULL with err: no memory. */
struct socketmaps *socketmaps_new(struct loop *l, struct resolver *resolver, const struct socketmap_options *tables,
                                  size_t count, struct event_log *events, struct err *err);
/* Who waits hears nothing any more. Not from inside a callback. NULL is fine. */
void socketmaps_free(struct socketmaps **s);

/* Asks table `table` (its place in the options) for exactly this key. DONE: q->result is there. STARTED: it is when
 * on_answer comes: exactly once, never from inside, by deadline_ms (absolute) and by the table's timeout. A key that is
 * too long or holds control characters is not found. */
enum started socketmap_start(struct remote_query *q, struct socketmaps *s, unsigned table, struct str key,
                             int64_t deadline_ms, void (*on_answer)(void *arg), void *arg);

#endif
