/*
 * domains.h - which domain (outage.h) does a key belong to?
 *
 * A shard's domain is the smallest number k below OUTAGE_DOMAINS whose tag {k} it serves. The answer is remembered
 * until the Cluster's map changes.
 */
#ifndef LIMITS_DOMAINS_H
#define LIMITS_DOMAINS_H

#include "limits/outage.h"
#include "redis/redis.h"

struct domains {
    const struct redis *redis;
    unsigned map_version;
    bool is_filled;
    uint8_t of_shard[OUTAGE_DOMAINS]; /* DOMAIN_NONE: not yet seen */
    size_t shard_of[OUTAGE_DOMAINS];  /* of each domain that there is; SIZE_MAX: it is none */
};

#define DOMAIN_NONE 255

void domains_init(struct domains *d, const struct redis *redis);
/* 0 where the key's shard is not known, or serves none of the tags (a Cluster of more than 64 masters). */
unsigned domains_of_key(struct domains *d, struct str key);
unsigned domains_of_shard(struct domains *d, size_t shard);
/* The shard of a domain; SIZE_MAX: there is no such domain now. */
size_t domains_shard(struct domains *d, unsigned domain);
/* "{k}", the tag of a domain's own keys. */
struct str domains_tag(unsigned domain, char *to, size_t size);

#endif
