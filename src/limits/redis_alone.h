/*
 * redis_alone.h - values and leases without Redis: what this node by itself knows of them, in the embedded store.
 *
 * Whatever was seen for good is kept there too, whether Redis was there or not. So when Redis is away a node knows what
 * it saw before: a user's networks, the passwords tried for a name, the values of a counter. By the share of
 * `failure share` a value that is known here is never refused, and a new one only beyond limit/N (at least one).
 */
#ifndef LIMITS_REDIS_ALONE_H
#define LIMITS_REDIS_ALONE_H

#include "limits/store_redis_inside.h"

/* Of what is allowed, this node's part. */
uint64_t alone_allowed(uint64_t allowed, const struct mirror_terms *terms);
/* Of what is allowed, what nodes that are missing leave to those in touch with Redis (outage.h). */
uint64_t together_allowed(const struct part *p);

/* Takes by that part; a hold of Redis that still counts makes sure of it. Writes held (is_local, token beside it).
 * before: what was held, for undo. Does it fit? */
bool alone_take(struct part *p, const struct mirror_terms *terms, uint64_t token, struct take_held *before);
/* held is as it was before. */
void alone_undo(struct part *p, const struct take_held *before);
/* What the embedded store holds of the take is given back; nothing is held. */
void alone_give_back(struct store_redis *s, struct take *take);
/* The take's values were seen at at_us; nothing is held. */
void alone_keep(struct store_redis *s, struct take *take, int64_t at_us);
/* How many of the take's values this node has not seen yet, as of now. */
uint32_t alone_fresh(struct store_redis *s, const struct take *take, int64_t now_us);
/* As of now. False: nothing known. */
bool alone_peek(struct store_redis *s, struct take *take, int64_t now_us);

#endif
