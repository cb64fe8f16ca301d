/* outage.c - is Redis to be believed, and how many nodes are there? See outage.h. */
#include "limits/outage.h"

/* From the cut until the others see that this node's heartbeat ended, a beat's slack included. */
#define UNNOTICED_US (OUTAGE_BEAT_HOLDS_US + OUTAGE_BEAT_US)

static const struct outage_domain *domain_of(const struct outage *o, unsigned domain)
{
    return &o->domains[domain % OUTAGE_DOMAINS];
}

void outage_begin(struct outage *o)
{
    for (size_t i = 0; i < OUTAGE_DOMAINS; i++)
        atomic_store(&o->domains[i].settled_count, atomic_load(&o->domains[i].alone_count) + 1);
}

bool outage_is_settled(const struct outage *o, unsigned domain)
{
    const struct outage_domain *d = domain_of(o, domain);
    return atomic_load(&d->settled_count) == atomic_load(&d->alone_count) + 1;
}

bool outage_is_over(const struct outage *o)
{
    bool has_any = false;
    for (unsigned k = 0; k < OUTAGE_DOMAINS; k++) {
        if (atomic_load_explicit(&o->domains[k].nodes, memory_order_relaxed) == 0)
            continue;
        has_any = true;
        if (!outage_is_settled(o, k))
            return false;
    }
    return has_any;
}

void outage_went_alone(struct outage *o, unsigned domain, int64_t monotonic_us)
{
    struct outage_domain *d = &o->domains[domain % OUTAGE_DOMAINS];
    int64_t nobody = 0;
    atomic_fetch_add(&d->alone_count, 1);
    (void)atomic_compare_exchange_strong(&d->alone_since_us, &nobody, monotonic_us);
}

void outage_cut_off(struct outage *o, unsigned domain, int64_t monotonic_us)
{
    atomic_store_explicit(&o->domains[domain % OUTAGE_DOMAINS].cut_off_us, monotonic_us, memory_order_relaxed);
}

bool outage_is_cut_off(const struct outage *o, unsigned domain, int64_t monotonic_us)
{
    int64_t at_us = atomic_load_explicit(&domain_of(o, domain)->cut_off_us, memory_order_relaxed);
    return at_us && monotonic_us - at_us < OUTAGE_CUT_OFF_US;
}

void outage_reached(struct outage *o, unsigned domain, int64_t monotonic_us)
{
    atomic_store_explicit(&o->domains[domain % OUTAGE_DOMAINS].reached_us, monotonic_us, memory_order_relaxed);
}

bool outage_is_reached(const struct outage *o, unsigned domain, int64_t monotonic_us)
{
    int64_t at_us = atomic_load_explicit(&domain_of(o, domain)->reached_us, memory_order_relaxed);
    return at_us && monotonic_us - at_us < OUTAGE_BEAT_US + OUTAGE_CUT_OFF_US;
}

int64_t outage_alone_since_us(const struct outage *o, unsigned domain)
{
    return outage_is_settled(o, domain) ? 0 : atomic_load(&domain_of(o, domain)->alone_since_us);
}

uint32_t outage_nodes(const struct outage *o, unsigned domain)
{
    uint32_t nodes = atomic_load_explicit(&domain_of(o, domain)->nodes, memory_order_relaxed);
    return MAX_OF(nodes, 1);
}

int64_t outage_unnoticed_us(const struct outage *o, unsigned domain, int64_t monotonic_us)
{
    if (outage_nodes(o, domain) == 1)
        return 0; /* nobody is there to notice */
    int64_t since_us = atomic_load(&domain_of(o, domain)->alone_since_us);
    int64_t alone_us = since_us ? monotonic_us - since_us : 0;
    return alone_us < UNNOTICED_US ? alone_us + OUTAGE_READ_US : 0;
}

uint32_t outage_unseen(const struct outage *o, unsigned domain)
{
    const struct outage_domain *d = domain_of(o, domain);
    return atomic_load_explicit(&d->missing, memory_order_relaxed) +
           atomic_load_explicit(&d->alone, memory_order_relaxed);
}

uint64_t outage_left(uint64_t allowed, uint32_t nodes, uint32_t unseen)
{
    if (unseen == 0 || allowed == ALLOWED_ANY)
        return allowed;
    return allowed - allowed / nodes * MIN_OF(unseen, nodes - 1);
}

uint64_t outage_allowed(const struct outage *o, unsigned domain, uint64_t allowed)
{
    return outage_left(allowed, outage_nodes(o, domain), outage_unseen(o, domain));
}

uint32_t outage_changes(const struct outage *o, unsigned domain)
{
    return atomic_load(&domain_of(o, domain)->changes);
}

struct hash_key outage_values_key(const struct outage *o, const struct hash_key *node_key)
{
    if (!atomic_load_explicit(&o->has_values_key, memory_order_acquire))
        return *node_key;
    return (struct hash_key){atomic_load_explicit(&o->values_k0, memory_order_relaxed),
                             atomic_load_explicit(&o->values_k1, memory_order_relaxed)};
}

void outage_set(struct outage *o, unsigned domain, uint32_t nodes, uint32_t missing, uint32_t alone)
{
    struct outage_domain *d = &o->domains[domain % OUTAGE_DOMAINS];
    uint32_t old_nodes = atomic_exchange_explicit(&d->nodes, nodes, memory_order_relaxed);
    uint32_t old_missing = atomic_exchange_explicit(&d->missing, missing, memory_order_relaxed);
    uint32_t old_alone = atomic_exchange_explicit(&d->alone, alone, memory_order_relaxed);
    if (nodes != old_nodes || missing != old_missing || alone != old_alone)
        atomic_fetch_add(&d->changes, 1);
}

uint64_t outage_alone_count(const struct outage *o, unsigned domain)
{
    return atomic_load(&domain_of(o, domain)->alone_count);
}

bool outage_settle(struct outage *o, unsigned domain, uint64_t alone_count)
{
    struct outage_domain *d = &o->domains[domain % OUTAGE_DOMAINS];
    if (atomic_exchange(&d->settled_count, alone_count + 1) != alone_count + 1)
        atomic_fetch_add(&d->changes, 1);
    if (!outage_is_settled(o, domain))
        return false;
    /* Who goes alone right now counted first and finds the old moment, or none: then it is said with the next decision,
     * and until then nobody counts as noticed. */
    atomic_store(&d->alone_since_us, 0);
    return true;
}

void outage_set_values_key(struct outage *o, struct hash_key key)
{
    atomic_store_explicit(&o->values_k0, key.k0, memory_order_relaxed);
    atomic_store_explicit(&o->values_k1, key.k1, memory_order_relaxed);
    atomic_store_explicit(&o->has_values_key, 1, memory_order_release);
}
