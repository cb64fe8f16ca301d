/*
 * store_redis.h - the store in Redis: a row for stores.c.
 *
 * Needs in its options, beside what the embedded store needs: loop, redis, mirror, outage, prefix, node. Whoever closes
 * it frees the redis client first.
 */
#ifndef LIMITS_STORE_REDIS_H
#define LIMITS_STORE_REDIS_H

#include "limits/store.h"

extern const struct store_ops store_redis_ops;

#endif
