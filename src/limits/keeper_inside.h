/*
 * keeper_inside.h - what the files of the keeper share: keeper.c (the turn of every 100 ms, when a domain is settled),
 * keeper_proof.c, keeper_epoch.c, keeper_beat.c, keeper_push.c, keeper_health.c. For them alone.
 */
#ifndef LIMITS_KEEPER_INSIDE_H
#define LIMITS_KEEPER_INSIDE_H

#include "limits/acl.h"
#include "limits/ban_sync.h"
#include "limits/domains.h"
#include "limits/health.h"
#include "limits/keeper.h"
#include "limits/node_id.h"
#include "limits/world.h"

enum {
    KEEPER_TURN_MS = 100,
    KEEPER_TURN_BUSY_MS = 10, /* while something is due and a domain waits for it */
    KEEPER_BEAT_MS = 1000,
    KEEPER_BEAT_BUSY_MS = 200, /* while a domain is not settled, or not for others: their heartbeats are waited for */
    KEEPER_LOOK_MS = 5000,     /* between two looks at all epochs */
    KEEPER_RETRY_MS = 500,     /* after a call that came to nothing */
    KEEPER_LATE_MS = 1000,     /* a call that has no answer by then is late */
    KEEPER_STALL_MS = 300,     /* an answer that took so long, in trouble: Redis stood still until now */
    KEEPER_ASLEEP_MS = 500,    /* two turns further apart: it was this process that stood still */
    KEEPER_HEALTH_MS = 60000,
    KEEPER_RENEW_MS = 3600000,
    KEEPER_PUSHES = 256,        /* under way at once … */
    KEEPER_PUSHES_OF_ALL = 128, /* … and how many of these by a push of all */
    /* So long after all else is fine a domain waits for the instant at which nothing at all is due; then it is enough
     * that all was pushed that was due a moment ago. */
    KEEPER_EXACT_MS = 500,
};
#define KEEPER_KEY_LASTS_US (INT64_C(90) * 86400 * 1000000) /* epochs and the secret; renewed every hour */

/* A call of the keeper's, one at a time. */
struct keeper_call {
    struct redis_call call;
    bool is_under_way, is_late; /* late: and this process did not stand still meanwhile */
    bool has_failed;            /* a reply was an error, or of a wrong kind */
    int64_t sent_ms;
};

struct keeper_tag {
    struct keeper *k;
    unsigned number;
    struct keeper_call call;
    uint64_t read;   /* by the call under way; 0: there is none */
    uint64_t epoch;  /* as it was read last: of this keeper, where outage.h has what was dealt with */
    bool is_checked; /* since the link came up */
    bool may_make;   /* the call under way makes it where it is missing */
    int64_t next_renewal_ms;
};

struct keeper_domain {
    struct keeper *k;
    unsigned number;
    bool is_used; /* some shard has it */
    size_t shard;
    unsigned ups;

    char server[ENDPOINT_TEXT_MAX]; /* that was believed last */
    bool is_to_be_proved;           /* the link is up, to another one */
    bool is_followed;               /* by a replica, as the call under way says */
    int64_t proof_until_ms, next_proof_ms;
    struct keeper_call proof;

    bool is_checked;    /* all its epochs were read since the link came up */
    bool must_push_all; /* the data set was lost: what is not pushed yet of all that this node admitted … */
    size_t all_at;      /* … from here on */
    bool is_in_trouble; /* not settled */
    bool is_told;       /* the trouble was worth an event */
    int64_t trouble_ms; /* when it ended as far as is known: the link came up, or it was seen */
    int64_t fine_ms;    /* all but the exact instant is fine since then; 0: it is not */
    uint64_t pushed;    /* since the trouble began */
    int64_t next_check_ms, next_look_ms;

    struct keeper_call beat;
    int64_t next_beat_ms;
    int64_t making_us;  /* the heartbeat under way; 0: it makes none */
    int64_t writing_us; /* what it writes for this node; 0: nothing */
    int64_t beat_us;    /* the last one that was answered; 0: none since the trouble */
    int64_t written_us; /* what stands in Redis for this node, as far as it knows; 0: unknown */
    unsigned foreign;   /* readings in a row that found something else */
    bool is_same_data;  /* the reading at hand is of the data set that is known */
    bool is_taking_away, has_left;
    struct world world;

    struct keeper_call info;
    int64_t next_health_ms;
    struct health health;
    struct acl_check acl;
    enum acl_stage acl_stage; /* of the call under way */
};

enum push_state { PUSH_FREE, PUSH_SENT, PUSH_HELD };

struct keeper_push {
    struct keeper *k;
    enum push_state state;
    bool is_all;
    bool has_failed; /* some reply says: not now */
    bool is_refused; /* some reply says: never */
    unsigned domain;
    struct redis_call call;
    struct mirror_push push;
};

/* One walk over the mirror. */
struct keeper_pass {
    bool is_running, is_all, is_at_end;
    bool is_outdated; /* the data was lost once more */
    unsigned domain;  /* of a push of all */
    size_t at;
    size_t sent; /* under way */
    int64_t began_ms;
    uint64_t failed, found;               /* bit k: domain k */
    uint64_t alone_count[OUTAGE_DOMAINS]; /* before it began */
};

struct keeper {
    struct keeper_options options;
    struct domains domains;
    uint64_t node;
    struct timer turn;
    int64_t turn_ms; /* of the last turn */
    bool is_asleep;  /* this turn comes much later than it should */
    struct task left;
    struct keeper_tag tags[OUTAGE_DOMAINS];
    struct keeper_domain all_domains[OUTAGE_DOMAINS];
    struct keeper_push *pushes; /* KEEPER_PUSHES */
    struct keeper_pass pass, last_pass;
    int64_t next_pass_ms;
    bool said_foreign;

    struct keeper_call secret;
    bool is_secret_read, said_no_secret;
    int64_t next_secret_ms;
    struct hash_key secret_read;

    struct ban_sync *ban_sync;
    uint64_t pushed, losses, settled;

    bool rests; /* keeper_rest */
    bool is_leaving, is_told_left;
    int64_t leave_by_ms;
    void (*on_left)(void *arg);
    void *on_left_arg;
};

/* ---- keeper.c ---- */

/* What its timer does: for tests, whose time is no clock's. */
void keeper_turn(struct keeper *k);
struct str keeper_key(const struct keeper *k, struct str name, unsigned tag, char to[DOMAINS_KEY_MAX_BYTES]);
/* Hex digits, exactly so many: a word of each 16. */
MUST_USE bool keeper_read_hex(struct str text, size_t digits, uint64_t *words);
/* The clock of the domain's shard. */
int64_t keeper_now_us(const struct keeper *k, unsigned domain);
struct keeper_domain *keeper_domain_of_tag(struct keeper *k, unsigned tag);
/* Is its shard to be talked to now? */
bool keeper_is_up(const struct keeper_domain *d);
/* Does some other process of the node not reach it? */
bool keeper_is_cut_off(const struct keeper_domain *d);
/* As it was after redis_call_init; not under way. */
void keeper_call_clear(struct redis_call *c);
/* Sends what was composed; false: later again. key as of redis_send. */
bool keeper_send(struct keeper *k, struct keeper_call *c, struct str key);
/* Once per call, from on_done: was every reply there, and none an error? */
bool keeper_call_ended(struct keeper_call *c, enum redis_result result);
/* The domain is in trouble, which has ended just now. */
void keeper_trouble(struct keeper_domain *d);
/* The data set is not the one that was known: everything about the domain is to be found out again. */
void keeper_distrust(struct keeper_domain *d);
/* Something may be missing in Redis: what is not counters (bans …) is told once more. */
void keeper_tell_again(struct keeper *k);
/* Something was found out that may settle it. */
void keeper_try_settle(struct keeper_domain *d);
/* `store` events. */
void keeper_event(struct keeper *k, size_t shard, const char *state, const char *problem, const char *text);

/* ---- keeper_proof.c ---- */

void keeper_proof_init(struct keeper_domain *d);
/* The link has come up. */
void keeper_proof_begin(struct keeper_domain *d);
/* May what is behind the link be told anything, and believed? */
bool keeper_proof_turn(struct keeper_domain *d);

/* ---- keeper_epoch.c ---- */

void keeper_epoch_init(struct keeper *k);
void keeper_epoch_fini(struct keeper *k);
/* Looks at the epochs of a domain whose link is up. */
void keeper_epoch_turn(struct keeper_domain *d);
/* The push of all is done: the epochs are those that are known from now on. */
void keeper_epoch_keep(struct keeper_domain *d);
void keeper_secret_turn(struct keeper *k);

/* ---- keeper_beat.c ---- */

void keeper_beat_init(struct keeper_domain *d);
void keeper_beat_turn(struct keeper_domain *d);
/* The heartbeat in Redis said too much: it ends now. */
void keeper_beat_end(struct keeper_domain *d);
/* Takes the heartbeat away. */
void keeper_beat_leave(struct keeper_domain *d);

/* ---- keeper_push.c ---- */

MUST_USE bool keeper_push_init(struct keeper *k);
void keeper_push_fini(struct keeper *k);
void keeper_push_turn(struct keeper *k);
/* Counters that Redis was not told of yet. */
size_t keeper_due(const struct keeper *k);
/* Was all pushed that was due a moment ago, and since the domain's trouble began? */
bool keeper_push_is_clear(const struct keeper_domain *d);
/* Is nothing due at all, and what was decided alone until alone_count (for outage_settle) counted? */
bool keeper_push_is_done(const struct keeper_domain *d, uint64_t *alone_count);
/* The push of all begins anew, if it had begun. */
void keeper_push_all_again(struct keeper_domain *d);

/* ---- keeper_health.c ---- */

void keeper_health_init(struct keeper_domain *d);
void keeper_health_turn(struct keeper_domain *d);

#endif
