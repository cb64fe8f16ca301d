/*
 * lease_reap.h - leases in Redis that nobody will give back: those of this node's workers that died.
 *
 * Whose a lease is says its name, NODE.OWNER.N; whether that worker still holds it says the embedded store, where every
 * lease is taken before and dropped by the supervisor when its worker dies. So a look at the members of a key, when one
 * of them refused somebody, tells which are to go. Leases of other nodes are left alone.
 */
#ifndef LIMITS_LEASE_REAP_H
#define LIMITS_LEASE_REAP_H

#include "limits/store_redis_inside.h"

/* Looks at the key's leases, and takes dead ones away: nobody waits for that. looks: the list of those under way. Some
 * were found: on_found. */
void lease_reap(struct list *looks, struct store_redis *s, struct hash128 id, struct str key,
                void (*on_found)(struct store_redis *s, struct hash128 id));
/* The redis client is gone, and with it what was under way. */
void lease_reaps_free(struct list *looks);

#endif
