/*
 * allowance_sync.h - what an operator allowed on one node holds on all of them within two seconds.
 *
 *   allowance.h ── untold ──▶ mw1:o:{u:alice}   a hash: limit → when, until when, which rates, by whom, why
 *        ▲                    mw1:allowances    who changed, and when: a sorted set
 *        └── merged ◀── HGETALL of who changed since ◀──┘  every second
 *
 * One entity at a time, for operators make them by hand: its hash is read, merged (the later change wins), and what
 * this node knows better is written back. While Redis is away all of it waits; after a lost data set each node tells
 * again what it knows. Times in Redis are on its clock, in the table on this node's steady one: a node whose clock is
 * wrong allows for as long as everybody else.
 */
#ifndef LIMITS_ALLOWANCE_SYNC_H
#define LIMITS_ALLOWANCE_SYNC_H

#include "limits/allowance.h"
#include "redis/redis.h"

struct allowance_sync;

/* All borrowed. */
struct allowance_sync_options {
    struct loop *loop;
    struct redis *redis;
    struct allowance_table *table;
    struct str prefix;
    /* The table's clock; NULL: clock_steady_us. For tests. */
    int64_t (*now_us)(const struct loop *l);
};

/* Begins at once. NULL: no memory. */
struct allowance_sync *allowance_sync_new(const struct allowance_sync_options *options, struct err *err);
/* Calls under way are forgotten: redis_free is due next. */
void allowance_sync_free(struct allowance_sync **s);
/* A data set was lost: tells of all again, and reads the whole index. */
void allowance_sync_again(struct allowance_sync *s);

/* What its timer does every 250 ms: for tests, whose time is no clock's. */
void allowance_sync_turn(struct allowance_sync *s);

/* The form of a hash's value, there and back; skew_us: how far Redis' clock is ahead. For tests, too. */
enum { ALLOWANCE_TEXT_MAX_BYTES = 512 };
struct str allowance_write(const struct allowance *a, int64_t skew_us, char to[ALLOWANCE_TEXT_MAX_BYTES]);
/* Sets all but entity and limit. False: it is none. */
MUST_USE bool allowance_read(struct str text, int64_t skew_us, struct allowance *a);

#endif
