/*
 * ban_sync.h - bans travel: one that was made on this node is in every other node's table within two seconds, and a
 * client that connects there costs no round trip (LIMITS.md "Keys").
 *
 *   a worker's ban_add ─▶ table ── every 250 ms: what changed ──▶ mw1:b:{i:192.0.2.7}  the ban      ban_text.h
 *                                                                 mw1:k:{i:192.0.2.7}  its strikes
 *                                                                 mw1:bans             who changed, and when
 *   other nodes' tables ◀── merged ◀── GET ◀── every 500 ms: what changed since ◀──────────┘
 *
 * Nobody locks anything. Before it is written a ban is read and merged with what is there, and whoever reads one that
 * says less than it knows writes again: so all nodes come to know the same, in whatever order they wrote. A ban that
 * was lifted leaves a mark, in the table and in Redis, which wins over bans made before it.
 *
 * While Redis is away bans are made and hold here; afterwards they are merged. When the data set was lost every node
 * puts back what it knows. What may have been missed (a clock that jumped, a node that stood still) is healed by
 * reading the whole index every ten minutes.
 *
 * Times in Redis are on Redis' clock, in the table on this node's steady one: a node whose clock is wrong bans for as
 * long as everybody else.
 */
#ifndef LIMITS_BAN_SYNC_H
#define LIMITS_BAN_SYNC_H

#include "limits/ban.h"
#include "redis/redis.h"

struct ban_sync;

/* All borrowed. */
struct ban_sync_options {
    struct loop *loop;
    struct redis *redis;
    struct ban_table *bans;
    struct str prefix;
    struct str node_name; /* for people who look at the key: who made the ban */
    /* The table's clock; NULL: clock_steady_us. For tests. */
    int64_t (*now_us)(const struct loop *l);
};

/* Begins at once. NULL: no memory. */
struct ban_sync *ban_sync_new(const struct ban_sync_options *options, struct err *err);
/* After redis_free, which forgets the calls under way. */
void ban_sync_free(struct ban_sync **s);
/* Another process of the node takes over. */
void ban_sync_rest(struct ban_sync *s);
/* A data set was lost: tells of all bans again. */
void ban_sync_again(struct ban_sync *s);

/* What its timer does every 250 ms: for tests, whose time is no clock's. */
void ban_sync_turn(struct ban_sync *s);

struct ban_sync_stats {
    uint64_t sent, received; /* bans, and the lifting of bans */
    uint64_t failed;         /* calls; what they were to say is said again */
};
void ban_sync_stats_get(const struct ban_sync *s, struct ban_sync_stats *stats);

#endif
