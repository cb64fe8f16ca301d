/*
 * health.h - is Redis set up as the promise of the limits needs it (LIMITS.md, "When Redis is away")? What INFO says is
 * judged here, purely; each trouble is a sentence that an administrator understands, and says what to do.
 */
#ifndef LIMITS_HEALTH_H
#define LIMITS_HEALTH_H

#include "redis/redis.h"

enum health_trouble {
    HEALTH_EVICTION, /* keys may be thrown away: limits would forget */
    HEALTH_MEMORY,   /* near maxmemory */
    HEALTH_CLOCK,    /* this node's differs */
    HEALTH_REPLICAS, /* behind Sentinel, without a replica */
    HEALTH_REPLICA,  /* it is one, and does not follow its master */
    HEALTH_VERSION,  /* GETEX is missing */
    HEALTH_ACL,      /* our user may not do all that is needed: acl.h judges it */
    HEALTH_TROUBLES
};
enum { HEALTH_TEXT_BYTES = 768 };

/* "eviction", "memory", …: of events. */
const char *health_trouble_name(enum health_trouble trouble);

struct health {
    bool is_known; /* INFO was read */
    char version[32];
    uint64_t memory_bytes, memory_max_bytes;        /* max 0: none */
    char texts[HEALTH_TROUBLES][HEALTH_TEXT_BYTES]; /* empty: fine */
};

/* From the whole reply to INFO: all of h (zeroed, or of the last time) but HEALTH_ACL, which stays; a line that is
 * missing is no trouble. has_skew:
 * skew_us says by how much Redis' clock is ahead of ours. */
void health_judge(struct health *h, struct str info, enum redis_shape shape, bool has_skew, int64_t skew_us);
/* From a reply to INFO that has its section "replication": does a replica follow this master, and hear all that it is
 * told from now on? */
bool health_is_followed(struct str info);

#endif
