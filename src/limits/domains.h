/*
 * domains.h - which domain (outage.h) a shard or a key belongs to.
 *
 *   tag {0} {1} … {63} ── redis_shard_of ──▶ the shard that serves each; a shard's domain is the smallest of its tags
 *
 * The tags' slots lie at most 1230 apart, so each of up to 16 masters that share the slots evenly has one. A shard that
 * has none belongs to domain 0.
 */
#ifndef LIMITS_DOMAINS_H
#define LIMITS_DOMAINS_H

#include "limits/outage.h"
#include "redis/redis.h"

struct domains {
    const struct redis *redis;
    unsigned map_version;
    bool is_known;                     /* map_version and shard_of are those of a map */
    uint16_t shard_of[OUTAGE_DOMAINS]; /* of tag k; DOMAINS_NO_SHARD: uncovered, or not yet known */
};

#define DOMAINS_NO_SHARD UINT16_MAX

/* redis: borrowed. Nothing is known before the first refresh. */
void domains_init(struct domains *d, const struct redis *redis);
/* Asks anew where the tags lie if the map has changed. True: it had. */
bool domains_refresh(struct domains *d);

/* Both refresh first. Of a shard without a tag, and of a key that no shard has: domain 0. */
unsigned domains_of_shard(struct domains *d, size_t shard);
unsigned domains_of_key(struct domains *d, struct str key);

/* "mw1:nodes" or, of a Cluster, "mw1:nodes:{17}": the keeper's keys of a domain or a tag. `to`: of
 * DOMAINS_KEY_MAX_BYTES. */
enum { DOMAINS_KEY_MAX_BYTES = 64 };
struct str domains_key(struct str prefix, struct str name, bool is_cluster, unsigned k, char *to);

#endif
