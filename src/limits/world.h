/*
 * world.h - which nodes there are, in one domain, and whether all of them are back from an outage: what the keeper
 * makes of the heartbeats it reads. Pure: no Redis, no clock, no shared memory.
 *
 * A heartbeat is a node's id and a moment on the shard's clock until which it holds (outage.h). A node whose heartbeat
 * has ended is missing: it may be cut off, and decide alone. One that is not in a reading any more left in order –
 * unless the data set was lost in between: then it is remembered as it was, until it is heard of or its hour is over.
 *
 * A heartbeat also tells whether its node still decides alone: all that it decided so is counted, but the next mail may
 * be decided so again. Nodes do not settle in one moment; whoever has leaves their shares to those who have not.
 *
 * When trouble begins, the nodes that were alive are awaited: each must send a heartbeat after the trouble's end (a
 * node's trouble ends when its link is up again), which says that all it decided alone is counted. One that was missing
 * before is not awaited: it may be gone for good.
 */
#ifndef LIMITS_WORLD_H
#define LIMITS_WORLD_H

#include "base/defs.h"

enum { WORLD_NODES_MAX = 256 };

struct world_node {
    uint64_t id;
    int64_t until_us; /* of its last heartbeat */
    bool is_alone;    /* … and said so with it */
    bool is_awaited;
    bool is_of_set; /* was read from this data set */
    bool is_read;   /* in the reading at hand */
};

struct world {
    uint64_t self;
    struct world_node others[WORLD_NODES_MAX];
    size_t count;
    uint32_t expected;  /* nodes that were alive when somebody else kept the world: awaited without a name */
    int64_t trouble_us; /* when it ended, shard's clock; 0: none was seen */
    int64_t read_us;    /* the last reading */
};

/* expected: how many were alive, this one among them, when this node's last keeper looked; 0 or 1: unknown, or alone.
 */
void world_init(struct world *w, uint64_t self, uint32_t expected);

/* A heartbeat as it stands in Redis: until when it holds, to two microseconds, and whether its node is alone. */
static inline int64_t world_score(int64_t until_us, bool is_alone)
{
    return (until_us & ~INT64_C(1)) | is_alone;
}

/* One reading: begin, a heartbeat at a time, end. What does not fit is not remembered, and missed by nobody. */
void world_begin_reading(struct world *w, int64_t now_us);
void world_read(struct world *w, uint64_t id, int64_t score);
void world_end_reading(struct world *w);

/* Trouble, or more of it: from now on (its end, as far as this node can know) everybody is awaited who was alive. */
void world_trouble(struct world *w, int64_t now_us);
/* Nobody is awaited any more. */
void world_settled(struct world *w);
/* The data set is another one: who is not in it may be there nevertheless. */
void world_data_lost(struct world *w);

/* Known, this one among them; of these, as of the last reading, missing; and not missing, but still alone. */
uint32_t world_nodes(const struct world *w);
uint32_t world_missing(const struct world *w);
uint32_t world_alone(const struct world *w);
/* Have all who are awaited been heard of? */
bool world_is_back(const struct world *w);

#endif
