/*
 * keeper.h - what one process of a node (the admin process) does for the store in Redis, so that its workers need not.
 *
 *   every 100 ms  what was decided alone ─▶ Redis, in the same slots              keeper_push.c
 *   every second  heartbeat, the others' heartbeats, the epoch                     keeper_beat.c   world.h
 *                 ─▶ outage.h: nodes, missing, settled
 *   twice a second  bans made here ─▶ Redis, bans made elsewhere ─▶ here           ban_sync.h
 *   every minute  is Redis set up as it should be?                                 health.h
 *
 * A domain (outage.h) is unsettled by whoever decides alone, and is not only late, and by the keeper when its own link
 * was lost, Redis stood still, or the epoch is not the one it knew. It is settled again when, in this order:
 *
 *   1. the link is up, behind Sentinel to a master that a replica follows if it is another one than before (3 s at
 * most: keeper_proof.c), and the epochs of the shard's tags were read. One that is missing or changed: the data set was
 *      lost, and all that this node admitted in the windows that still count is added again, once;
 *   2. every process of the node reaches it, and what was decided alone since is pushed;
 *   3. this node's heartbeat, which says just that, has been answered;
 *   4. each node that was alive when the trouble began has sent one after its end, or three seconds have passed.
 *
 * A node that has only begun knows of no trouble (outage_begin). A domain that is unsettled at the keeper's start waits
 * for as many nodes as were known before. A heartbeat is made only while nothing is due, so a node's heartbeat means:
 * all that I decided alone is counted.
 *
 * Nothing blocks; every call is bounded in number (256 pushes under way) and forgotten when its link is. A keeper that
 * dies loses nothing that matters: what it found lies in shared memory (outage.h), as does what is due (mirror.h).
 */
#ifndef LIMITS_KEEPER_H
#define LIMITS_KEEPER_H

#include "limits/ban.h"
#include "limits/mirror.h"
#include "limits/outage.h"
#include "redis/redis.h"

struct keeper;

/* All borrowed. */
struct keeper_options {
    struct loop *loop;
    struct redis *redis;
    enum redis_shape shape;
    struct mirror *mirror;
    struct outage *outage;
    struct ban_table *bans;   /* NULL: they do not travel */
    struct event_log *events; /* NULL: none */
    struct str prefix;        /* "mw1:" */
    struct str node;          /* node_id.h */
    /* A data set was found lost, or another server took a master's place and may not have all that it was told: who
     * keeps something else there tells it again. NULL: nobody. Not to free the keeper. */
    void (*on_lost)(void *arg);
    void *arg;
};

/* Begins at once. NULL: no memory. */
struct keeper *keeper_new(const struct keeper_options *options, struct err *err);
/* Leaves in order: pushes what is due, then takes the heartbeats away, so that nobody waits for this node. on_left
 * comes once, never from inside, at the latest after deadline_ms. Then only keeper_free is left to do. */
void keeper_leave(struct keeper *k, unsigned deadline_ms, void (*on_left)(void *arg), void *arg);
/* Another process of the node takes over: from now on this one begins nothing; what is under way is ended. */
void keeper_rest(struct keeper *k);
/* After redis_free, which forgets the calls under way. */
void keeper_free(struct keeper **k);

/* ---- for `status` ---- */

struct keeper_state {
    uint32_t nodes, missing; /* the worst of all domains */
    int64_t alone_since_us;  /* monotonic: since when this node decides alone somewhere; 0: nowhere, or nothing yet */
    uint64_t pushed;         /* counters that were told to Redis after an outage */
    uint64_t losses;         /* data sets found lost */
    uint64_t settled;        /* outages ended */
    size_t due;              /* counters that Redis was not told of yet */
    size_t shard_count;
    struct str why_none; /* no shard is known: why. Borrowed until the next turn */
    uint64_t bans_sent, bans_received;
};
void keeper_state(const struct keeper *k, struct keeper_state *state);

struct keeper_shard {
    struct str name;
    bool is_up, is_settled;
    struct str why_down; /* STR_NONE: it is up */
    bool has_skew;
    int64_t skew_us;                         /* its clock is ahead of ours by so much */
    uint64_t memory_bytes, memory_max_bytes; /* 0: not yet known; no maximum */
    char version[32];
    uint32_t nodes, missing;
};
/* Shard n, below shard_count. Borrowed until the next turn. */
void keeper_shard_state(const struct keeper *k, size_t n, struct keeper_shard *shard);
/* What is wrong now with how Redis is set up, in sentences: start with *at = 0; false at the end. Borrowed until the
 * next turn. */
bool keeper_finding_next(const struct keeper *k, size_t *at, struct str *shard, struct str *text);

#endif
