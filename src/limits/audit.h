/*
 * audit.h - what does the store in Redis really hold? `mailweir store audit [--repair]` (OPERATIONS.md).
 *
 *   SCAN of each shard ─▶ per key TYPE, PTTL, its value ─▶ audit_judge ─▶ a finding ─ repair? ─▶ PEXPIREAT or DEL
 *
 * Beside the keys: the clock, the eviction policy, memory, replication and version of each shard (health.h), and how
 * much memory keys of each kind use, from a sample of them.
 *
 * Bounded: keys are looked at in batches while the server goes on serving; memory is for AUDIT_FINDINGS_MAX findings,
 * what is found beyond is counted.
 */
#ifndef LIMITS_AUDIT_H
#define LIMITS_AUDIT_H

#include "limits/redis_keys.h"
#include "redis/redis.h"

enum { AUDIT_FINDINGS_MAX = 1000, AUDIT_KEY_MAX_BYTES = 512 };

enum audit_severity {
    AUDIT_NOTE,    /* worth knowing */
    AUDIT_WARNING, /* costs memory, or may go wrong one day */
    AUDIT_ERROR    /* counts are wrong, or may be */
};

struct audit_finding {
    enum audit_severity severity;
    char key[AUDIT_KEY_MAX_BYTES]; /* cut where it is longer, escaped; empty: it is about the shard */
    char shard[64];
    char what[256];     /* a sentence */
    char to_do[256];    /* what an administrator does about it */
    bool is_repairable; /* by --repair */
    bool is_repaired;
};

/* Memory by kind: counters, connections, values, recipients, bans, overrides, the keeper's own, others. */
enum audit_kind {
    AUDIT_COUNTERS,
    AUDIT_CONNECTIONS,
    AUDIT_VALUES,
    AUDIT_RECIPIENTS,
    AUDIT_BANS,
    AUDIT_OVERRIDES,
    AUDIT_KEEPER,
    AUDIT_UNKNOWN,
    AUDIT_KINDS
};
/* "counters", "connections" …: as the command prints it; static. */
const char *audit_kind_name(enum audit_kind kind);

struct audit_report {
    const struct audit_finding *findings; /* borrowed until audit_free */
    size_t finding_count;
    uint64_t unlisted;           /* findings beyond AUDIT_FINDINGS_MAX */
    uint64_t keys[AUDIT_KINDS];  /* found */
    uint64_t bytes[AUDIT_KINDS]; /* of memory */
    uint64_t repaired, failed;   /* failed: keys that could not be looked at or repaired */
    uint64_t errors, warnings;   /* by severity, those unlisted too */
    uint64_t open;               /* errors and warnings that were not repaired: 0 is a clean store */
    bool is_complete;            /* false: a shard was away, a key failed, the deadline passed: why says it */
    char why[256];
};

struct audit;

struct audit_options {
    struct loop *loop;
    struct redis *redis;
    enum redis_shape shape;
    struct str prefix; /* borrowed */
    bool repairs;
    unsigned deadline_ms; /* of the whole */
};

/* on_done: exactly once, never from inside; nothing is under way then. on_progress: NULL, or after each batch the keys
 * looked at so far. NULL: no memory. */
struct audit *audit_start(const struct audit_options *options, void (*on_progress)(void *arg, uint64_t keys),
                          void (*on_done)(void *arg, const struct audit_report *report), void *arg, struct err *err);
/* After on_done, or from inside it; or after redis_free. */
void audit_free(struct audit **a);

#endif
