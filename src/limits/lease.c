/* lease.c - an open connection's places. See lease.h. */
#include "limits/lease.h"

#include <string.h>

static bool is_lease(const struct take *take)
{
    return take->counter.kind == COUNTER_LEASES && take->held.is_held;
}

size_t lease_count(const struct reservation *r)
{
    size_t count = 0;
    for (size_t i = 0; i < r->take_count; i++)
        count += is_lease(r->sorted[i]);
    return count;
}

void lease_take(struct reservation *r, struct lease *to)
{
    for (size_t i = 0; i < r->take_count; i++) {
        struct take *take = r->sorted[i];
        if (!is_lease(take))
            continue;
        *to++ = (struct lease){take->counter.id, take->held.cost[COLUMN_ONE], take->held.generation};
        memset(&take->held, 0, sizeof take->held);
    }
}

void lease_drop(struct store *store, const struct lease *leases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        store->ops->drop_lease(store, leases[i].counter, leases[i].count, leases[i].generation);
}

void lease_release_owner(struct store *store, uint32_t owner)
{
    store->ops->release_owner(store, owner);
}
