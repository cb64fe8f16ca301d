/* domains.c - see domains.h. */
#include "limits/domains.h"

#include <stdio.h>

void domains_init(struct domains *d, const struct redis *redis)
{
    *d = (struct domains){.redis = redis};
    for (size_t k = 0; k < OUTAGE_DOMAINS; k++)
        d->shard_of[k] = DOMAINS_NO_SHARD;
}

bool domains_refresh(struct domains *d)
{
    unsigned version = redis_map_version(d->redis);
    if (d->is_known && version == d->map_version)
        return false;
    d->is_known = redis_shard_count(d->redis) > 0;
    d->map_version = version;
    for (unsigned k = 0; k < OUTAGE_DOMAINS; k++) {
        char tag[8];
        size_t shard = redis_shard_of(d->redis, str_of(tag, (size_t)snprintf(tag, sizeof tag, "{%u}", k)));
        d->shard_of[k] = shard < DOMAINS_NO_SHARD ? (uint16_t)shard : DOMAINS_NO_SHARD;
    }
    return true;
}

unsigned domains_of_shard(struct domains *d, size_t shard)
{
    domains_refresh(d);
    for (unsigned k = 0; k < OUTAGE_DOMAINS; k++)
        if (d->shard_of[k] == shard)
            return k;
    return 0;
}

unsigned domains_of_key(struct domains *d, struct str key)
{
    return domains_of_shard(d, redis_shard_of(d->redis, key));
}

struct str domains_key(struct str prefix, struct str name, bool is_cluster, unsigned k, char *to)
{
    int len = is_cluster
                  ? snprintf(to, DOMAINS_KEY_MAX_BYTES, PRI_STR PRI_STR ":{%u}", STR_ARG(prefix), STR_ARG(name), k)
                  : snprintf(to, DOMAINS_KEY_MAX_BYTES, PRI_STR PRI_STR, STR_ARG(prefix), STR_ARG(name));
    return str_of(to, (size_t)len);
}
