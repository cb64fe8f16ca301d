/*
 * node_keeper.h - what the admin process does with Redis for the whole node: the keeper (limits/keeper.h), and what
 * operators allowed elsewhere (limits/allowance_sync.h).
 *
 * It begins when its configuration comes into force; at a reload the next generation's takes over at once, and when the
 * service ends it leaves in order, so that the other nodes do not wait for this one.
 */
#ifndef PROCESS_NODE_KEEPER_H
#define PROCESS_NODE_KEEPER_H

#include "limits/keeper.h"
#include "process/node_limits.h"

enum { NODE_KEEPER_LEAVE_MS = 2000 };

struct node_keeper {
    struct keeper *keeper; /* NULL: not begun, or the store is not in Redis */
    struct allowance_sync *allowances;
};

/* Does nothing where the store is in memory. All borrowed. False: no memory. */
MUST_USE bool node_keeper_begin(struct node_keeper *n, const struct node_limits *limits, const struct config *cfg,
                                struct redis *redis, struct loop *l, struct event_log *events, struct err *err);
/* The next generation's has begun. */
void node_keeper_rest(struct node_keeper *n);
/* on_left comes once, never from inside. False: there is nothing to leave, it does not come. */
MUST_USE bool node_keeper_leave(struct node_keeper *n, void (*on_left)(void *arg), void *arg);
/* After redis_free. Harmless when zeroed. */
void node_keeper_end(struct node_keeper *n);

#endif
