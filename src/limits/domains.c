/* domains.c - which domain a key belongs to. See domains.h. */
#include "limits/domains.h"

#include <stdio.h>

void domains_init(struct domains *d, const struct redis *redis)
{
    *d = (struct domains){.redis = redis};
}

struct str domains_tag(unsigned domain, char *to, size_t size)
{
    int len = snprintf(to, size, "{%u}", domain);
    return str_of(to, len < 0 ? 0 : MIN_OF((size_t)len, size - 1));
}

static void fill(struct domains *d)
{
    char text[16];
    d->map_version = redis_map_version(d->redis);
    d->is_filled = true;
    for (unsigned k = 0; k < OUTAGE_DOMAINS; k++) {
        d->of_shard[k] = DOMAIN_NONE;
        d->shard_of[k] = SIZE_MAX;
    }
    for (unsigned k = 0; k < OUTAGE_DOMAINS; k++) {
        size_t shard = redis_shard_of(d->redis, domains_tag(k, text, sizeof text));
        if (shard >= OUTAGE_DOMAINS || d->of_shard[shard] != DOMAIN_NONE)
            continue;
        d->of_shard[shard] = (uint8_t)k;
        d->shard_of[k] = shard;
    }
}

static void fill_if_changed(struct domains *d)
{
    if (!d->is_filled || d->map_version != redis_map_version(d->redis))
        fill(d);
}

unsigned domains_of_shard(struct domains *d, size_t shard)
{
    fill_if_changed(d);
    return shard < OUTAGE_DOMAINS && d->of_shard[shard] != DOMAIN_NONE ? d->of_shard[shard] : 0;
}

unsigned domains_of_key(struct domains *d, struct str key)
{
    return domains_of_shard(d, redis_shard_of(d->redis, key));
}

size_t domains_shard(struct domains *d, unsigned domain)
{
    fill_if_changed(d);
    return domain < OUTAGE_DOMAINS ? d->shard_of[domain] : SIZE_MAX;
}
