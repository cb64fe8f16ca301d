/*
 * redis_leases.h - what the two files of open connections in Redis share: redis_leases.c, where one is taken or
 * refused, and redis_leases_held.c, where this process keeps those it holds alive, and lets them go.
 *
 * A lease is a member NODE.OWNER.NUMBER of its counter's sorted set; numbers are this process' own, counted from 1.
 */
#ifndef LIMITS_REDIS_LEASES_H
#define LIMITS_REDIS_LEASES_H

#include "limits/lease_table.h"
#include "limits/store_redis_inside.h"

enum {
    LEASES_A_TAKE_MAX = 2048, /* also of one call that renews them */
    LEASE_DENIALS = 256
};

/* A client that had all its places. */
struct lease_denial {
    struct hash128 counter;
    uint64_t sum;  /* what was counted */
    uint64_t here; /* of that, by this node */
    int64_t until_us;
};

struct redis_leases {
    struct store_redis *store;
    struct lease_table table; /* what this process holds */
    uint64_t next_number;
    unsigned ups; /* of all shards: another number, and one of them may hold other data than before */
    struct timer renewal;
    struct list reaps; /* looks for leases of dead workers (lease_reap.h) */
    struct lease_denial denials[LEASE_DENIALS];
};

/* Which leases: those of the list, or where that is NULL first, first + 1 … */
struct lease_numbers {
    const uint64_t *list;
    uint64_t first;
    size_t count;
};

/* When leases that are written now run out if nobody renews them: in milliseconds, by the clock of the key's shard. */
int64_t redis_leases_end_ms(const struct store_redis *s, struct str key);
/* "ZADD KEY END LEASE…". False: as redis_call_add. */
bool redis_leases_add(const struct store_redis *s, struct redis_call *call, struct str key,
                      const struct lease_numbers *numbers, int64_t end_ms);
/* "ZREM KEY LEASE…", unawaited. Where Redis is away, or there is no memory, they run out by themselves. */
void redis_leases_remove(struct store_redis *s, struct str key, const struct lease_numbers *numbers);
/* Leases first, first + 1 … of the counter are this process' from now on, and renewed until redis_leases_drop. Without
 * memory to remember them they run out by themselves. */
void redis_leases_hold(struct store_redis *s, struct hash128 id, struct str key, uint64_t first, uint32_t count);

#endif
