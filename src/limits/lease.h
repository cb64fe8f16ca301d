/*
 * lease.h - an open connection's places in limits of open-connections, for as long as it is open.
 *
 * They are reserved with all other limits of the connection (limiter_reserve_start), then handed over into this small
 * form: a reservation would be too big for an idle connection to keep. A worker that dies takes its leases with it: the
 * supervisor calls lease_release_owner with the dead worker's owner number, so no place leaks (LIMITS.md, "Defects").
 */
#ifndef LIMITS_LEASE_H
#define LIMITS_LEASE_H

#include "limits/limiter.h"

struct lease {
    struct hash128 counter;
    uint32_t count;
    uint32_t generation;
};

/* How many leases the reservation holds. */
size_t lease_count(const struct reservation *r);
/* Hands them over into `to`, with room for lease_count(r); the reservation holds them no longer. */
void lease_take(struct reservation *r, struct lease *to);
/* The connection is closed. */
void lease_drop(struct store *store, const struct lease *leases, size_t count);
/* The worker that had this owner number is dead. */
void lease_release_owner(struct store *store, uint32_t owner);

#endif
