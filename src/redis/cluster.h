/*
 * cluster.h - what the files of the Cluster's shape share; for nobody else.
 *
 *   cluster.c            nodes: a shard each; the map of slots; the shape itself
 *   cluster_map.c        how the map is learned: one node after the other is asked, at most once a second
 *   cluster_redirect.c   commands that go on to another node: MOVED, ASK
 *
 * The shards that are listed are the masters of the map. Those that stay when the map changes keep their order, and so
 * their numbers, as long as none before them goes; they keep their connections in any case. Not listed are nodes that
 * only ASK has named, until they have slots of their own or are no longer asked for.
 *
 * A map is wanted at the start, when MOVED or CLUSTERDOWN came, when a master went away, and again and again for as
 * long as a master is away or a slot is nobody's: a failover shows in the map alone.
 */
#ifndef REDIS_CLUSTER_H
#define REDIS_CLUSTER_H

#include "redis/redis_inside.h"
#include "redis/slots.h"

enum {
    CLUSTER_MAP_EVERY_MS = 1000,     /* at most so often; PROTOCOLS.md 7 */
    CLUSTER_MAP_PAUSE_MAX_MS = 5000, /* while something stays amiss, it is asked for ever less often */
    CLUSTER_REDIRECTS_MAX = 5,       /* of one command */
    CLUSTER_NODES_MAX = SLOTS_MASTERS_MAX + 64,
    CLUSTER_SPARE_MS = 60000, /* a node that is not listed stays so long after it was asked for */
};

struct cluster_node {
    struct list node; /* in cluster->nodes */
    struct redis_shard *shard;
    struct endpoint at;
    int64_t used_ms; /* when a redirect went there last; 0: never */
};

/* Asking for the map: cluster_map.c. */
struct cluster_ask {
    struct redis_link link; /* of its own, for as long as it is asked: a shard that hangs holds nothing up */
    struct redis_call call;
    struct timer patience;    /* for the reply */
    struct timer again;       /* the next round is due */
    struct task over_task;    /* this node has answered, or will not */
    struct slots_map map;     /* of the reply at hand */
    struct endpoint moved_to; /* port 0: none. Who just got a slot knows best */
    size_t tried;             /* nodes of this round */
    unsigned turn;            /* rounds so far: another node begins */
    unsigned pause_ms;
    int64_t began_ms;
    bool is_under_way;
    bool is_wanted;      /* once more: something happened meanwhile */
    bool has_map;        /* this node's answer is good */
    bool was_refused;    /* the round has failed, and it was said */
    bool must_be_mended; /* by an administrator: a login, another statement */
    struct err why;      /* the last node of the round did not give one */
};

struct cluster {
    struct redis *redis;
    struct list nodes; /* struct cluster_node, listed or not; not the retired ones */
    size_t node_count;
    struct list redirected; /* struct cluster_redirected */
    bool is_whole;          /* every slot has a master */
    struct cluster_ask ask;
    uint16_t shard_of[SLOTS_COUNT]; /* the number of the slot's shard, or SLOTS_UNCOVERED */
};

/* ---- cluster.c ---- */

/* Where a redirect leads: the node is known from now on, and connected. MOVED corrects the map. NULL: no memory, or too
 * many nodes. */
struct redis_shard *cluster_follow(struct cluster *cl, const struct slots_redirect *to);
/* The map that was learned holds from now on. False with a reason: no memory, all is as it was. */
MUST_USE bool cluster_install(struct cluster *cl, const struct slots_map *map, struct err *err);
/* Is something amiss that the next map may heal? */
bool cluster_is_amiss(const struct cluster *cl);
/* What is to be said of a Redis that is no node of a Cluster. False. */
bool cluster_refuse_alone(const char *name, struct err *err);

/* ---- cluster_map.c ---- */

/* Nobody is asked yet. */
void cluster_ask_init(struct cluster *cl);
/* Whoever is asked: his answer is not heard any more. */
void cluster_ask_fini(struct cluster *cl);
/* As soon as it may be: now, or when a second has passed since the last time. */
void cluster_want_map(struct cluster *cl);

/* ---- cluster_redirect.c: the shape's takes_reply, takes_end ---- */

bool cluster_takes_reply(struct redis_shard *shard, struct redis_call *c, size_t n, const redisReply *reply);
bool cluster_takes_end(struct redis_shard *shard, struct redis_call *c, enum redis_result result);
/* Forgets all calls that were redirected; none of them ends. Shards are gone already. */
void cluster_forget_redirected(struct cluster *cl);

#endif
