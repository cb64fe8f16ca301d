/*
 * audit_judge.h - is a key in Redis what its name says? Pure: a key that was looked at goes in, what is wrong with it,
 * and how that is repaired, comes out.
 *
 * Nothing is deleted that may be somebody else's or may still count: a key of a form that is not ours is only told of
 * (a table may lie there), one that is ours and of another type goes, for nothing can be counted there as it is.
 */
#ifndef LIMITS_AUDIT_JUDGE_H
#define LIMITS_AUDIT_JUDGE_H

#include "limits/audit.h"
#include "limits/window.h"

enum {
    AUDIT_VALUE_MAX_BYTES = 65536,
    AUDIT_TROUBLES_MAX = 4,
    AUDIT_SLOTS = COLUMNS * WINDOW_SLOTS,
    AUDIT_COUNTER_BYTES = 4 * (AUDIT_SLOTS + 2)
};

struct audit_key {
    struct str name;
    struct str type; /* as TYPE says it */
    int64_t pttl_ms; /* -1: none */
    uint64_t bytes;  /* MEMORY USAGE */
    bool is_read;    /* its value, if it is a string and not too long */
    struct str value;
    uint64_t far_count; /* of connections: leases that end further away than any can */
    int64_t now_us;     /* the shard's clock */
};

enum audit_repair {
    AUDIT_NOTHING,
    AUDIT_EXPIRE, /* at expires_ms */
    AUDIT_DELETE,
    AUDIT_CLEAR, /* the slots of the set: counts there are taken back to nothing */
    AUDIT_CUT    /* connections: leases that end after far_ms go */
};

struct audit_trouble {
    enum audit_severity severity;
    enum audit_repair repair;
    int64_t expires_ms, far_ms;
    uint64_t slots; /* bit n: slot number n, of AUDIT_SLOTS */
    char what[256], to_do[256];
};

/* Of which kind it is, and what is wrong with it: how many troubles. */
size_t audit_judge(const struct audit_key *key, struct str prefix, enum audit_kind *kind,
                   struct audit_trouble troubles[AUDIT_TROUBLES_MAX]);
/* Does audit_judge want to see the key's value? */
bool audit_wants_value(struct str name, struct str prefix);
/* Leases that end later than this cannot be; 0: the key holds none. */
int64_t audit_far_ms(struct str name, struct str prefix, int64_t now_us);

#endif
