/*
 * store_redis_inside.h - what the files of the store in Redis share: an op in pieces, and what a kind of counter must
 * be able to do.
 *
 *   store_redis.c    leads an op: parts, rounds, the deadline, late replies       redis_slots*.c    slots
 *   redis_ask.c      an op's memory, which outlives its answer                    redis_leases*.c   open connections
 *   redis_errand.c   commands that nobody waits for; is a shard to be believed?   redis_distinct.c  different values
 *                                                                                 redis_many.c      very many of them
 *   a part = one take, its call, where it stands ──▶ kind: a row of functions     redis_known.c     memories
 *
 * The life of a part:
 *
 *   is_known_full? ── yes ─▶ the op is FULL, Redis hears nothing of it
 *        │ no
 *   [compose_look ─▶ on_reply… ─▶ judge ── over ─▶ FULL]       where needs_look, and of TAKE_NOTHING: all of it
 *        │ fits                                               (while one part of an op looks, the others wait)
 *   compose_reserve ─▶ on_reply… ─▶ judge ─┬ all parts fit ─▶ taken: held is written, the mirror told
 *        │                                 └ some part is over ─▶ undo of what was reserved, unawaited
 *        └ no reply in time, an error, Redis away ─▶ alone: decide_alone (slots: mirror_take, all of an op's at once);
 *          the reply comes later all the same: heard_late; then admitted ─▶ reconcile, else ─▶ undo
 *
 * A part outlives the caller's take: from the answer on `take` is NULL, and counter.entity and .name are gone (id,
 * kind, unit, period stay; the name in Redis is `key`). All functions run in the worker's loop; none blocks.
 *
 * Commands that nobody waits for (undo, give_back, keep) go as errands, which own their memory. Whoever closes a store
 * frees the redis client first: then no call is under way any more.
 */
#ifndef LIMITS_STORE_REDIS_INSIDE_H
#define LIMITS_STORE_REDIS_INSIDE_H

#include "limits/domains.h"
#include "limits/mirror.h"
#include "limits/outage.h"
#include "limits/redis_keys.h"
#include "limits/store.h"
#include "redis/redis.h"

struct ask;
struct part;
struct redis_leases;
struct redis_values;

struct store_redis {
    struct store *store;
    struct store_options options; /* prefix and node copied into: */
    char prefix[REDIS_PREFIX_MAX_BYTES + 1], node[64];
    /* The embedded store on the same memory: what is decided alone of leases, values and memories lies there. */
    struct store alone;
    struct domains domains;
    struct redis_leases *leases; /* redis_leases.h: what this process holds, by counter */
    struct redis_values *values; /* redis_values.h: what was full lately, what Redis is still to be told */
    struct list asks;            /* that wait for replies, answered or not */
    struct list errands;
    struct list spares; /* asks, to be used again */
    size_t spare_count;
    unsigned ups[OUTAGE_DOMAINS]; /* redis_shard_ups, as it was last */
    struct timer watch;
    char said[8][24]; /* kinds of errors that the log has been told of */
};

/* ---- a kind of counter ---- */

struct part_kind {
    /* First of all, wherever it will be decided: reads what this node knows. NULL: nothing to do. */
    void (*begin)(struct part *p);
    /* Redis need not be asked to decide: an exchange that does not grow. Fills the answer; `taken` does the rest. NULL:
     * it always must be. */
    bool (*needs_nothing)(struct part *p);
    /* Nobody needs to be asked: what this node read lately says that it is full. Fills the take's answer. NULL: never.
     */
    bool (*is_known_full)(struct part *p);
    /* Look before reserving? NULL: never. TAKE_NOTHING always looks. */
    bool (*needs_look)(struct part *p);
    /* Append commands to p->call. False: no memory, as redis_call_add. */
    bool (*compose_look)(struct part *p);
    bool (*compose_reserve)(struct part *p);
    /* The reply to command n of what was composed last (p->state says which). Never one of type ERROR: that ends the
     * part (and `undo` is called if anything was reserved, by p->is_reserved). False: it is not what it should be. */
    bool (*on_reply)(struct part *p, size_t n, const redisReply *reply);
    /* All replies are there: fills the take's answer (store.h: used, growth, is_over, wait_us) as if nothing of this op
     * were reserved yet. Does it go on? (TAKE_ALWAYS always does.) The mirror may be told of the reading here. */
    bool (*judge)(struct part *p);
    /* The op is taken: writes take->held, and sends what is left to be said (an exchange: the old charge goes). */
    void (*taken)(struct part *p);
    /* Takes back what compose_reserve's commands did, unawaited; p->take may be NULL. */
    void (*undo)(struct part *p);

    /* Decided by this node alone, at once, by terms; charged if it fits, with held.is_local set; fills the answer.
     * What has happened in Redis is not known; a late reply calls reconcile or undo. NULL: of slots, which are decided
     * together (redis_slots_decide_alone). */
    bool (*decide_alone)(struct part *p, const struct mirror_terms *terms);
    /* Another part of the op did not fit: the charge of decide_alone goes again, held is as it was. */
    void (*undo_alone)(struct part *p);
    /* All parts fit: what was held before goes. NULL: decide_alone saw to that. */
    void (*taken_alone)(struct part *p);
    /* The replies came after the op had its answer, whatever that was: what they say of the counter is news all the
     * same. Comes before reconcile or undo; p->take is NULL. NULL: nothing is kept of it. */
    void (*heard_late)(struct part *p);
    /* The replies came after the part was admitted alone: Redis has the charge too. p->take is NULL. NULL: whatever the
     * take holds is known in Redis by its own name, and goes with it. */
    void (*reconcile)(struct part *p);
    /* The part ends, whatever became of it: frees p->own. NULL: nothing to do. */
    void (*fini)(struct part *p);

    /* Of takes: store.h. give_back: take->held is held; it is forgotten by the caller. NULL: nothing ever is. keep:
     * likewise. NULL: what is held stays held. */
    void (*give_back)(struct store_redis *s, struct take *take);
    void (*keep)(struct store_redis *s, struct take *take, int64_t now_us);
    bool (*peek)(struct store_redis *s, struct take *take, int64_t now_us);

    /* Appends commands that forget the counter, and forgets what this node knows of it (store.h, forget_start). NULL:
     * it cannot be forgotten. */
    bool (*compose_forget)(struct part *p);
};

extern const struct part_kind redis_slots_kind;    /* redis_slots.c: takes without members that have a period */
extern const struct part_kind redis_leases_kind;   /* redis_leases.c: COUNTER_LEASES */
extern const struct part_kind redis_distinct_kind; /* redis_distinct.c: takes with members, few values: a zset */
extern const struct part_kind redis_many_kind;     /* redis_many.c: UNIT_DISTINCT_RECIPIENTS: HyperLogLogs */
extern const struct part_kind redis_known_kind;    /* redis_known.c: COUNTER_KNOWN */
/* Which of them. */
const struct part_kind *part_kind_of(const struct take *take);

/* redis_values.c: what a process remembers of counters of values. */
MUST_USE bool redis_values_open(struct store_redis *s, struct err *err);
void redis_values_close(struct store_redis *s);

/* redis_leases_held.c: what a process must do for its leases besides takes (renewing them in time). */
MUST_USE bool redis_leases_open(struct store_redis *s, struct err *err);
void redis_leases_close(struct store_redis *s);
void redis_leases_drop(struct store_redis *s, struct hash128 id, uint32_t count, uint32_t generation);
void redis_leases_release(struct store_redis *s, uint32_t owner);

/* ---- a part ---- */

enum part_state {
    PART_NEW,
    PART_LOOKING,   /* compose_look's commands are under way, or answered */
    PART_RESERVING, /* compose_reserve's */
    PART_SURE,      /* needs_nothing */
    PART_ALONE      /* decided by this node alone, or to be */
};

/* Room for a kind's own state; what is larger it allocates, into p->own. */
enum { PART_ROOM_BYTES = 448 };

struct part {
    struct store_redis *store;
    struct ask *ask;
    struct take *take; /* the caller's; NULL once it has its answer */
    const struct part_kind *kind;
    /* Copies, which outlive the take. */
    struct counter counter; /* entity and name: only while take is not NULL */
    enum take_mode mode;
    uint32_t cost[COLUMNS];
    struct str key;  /* redis_stem of the counter, in key_text */
    int64_t now_us;  /* the clock of the key's shard when the op began (or, time_is_given, op->now_us) */
    unsigned domain; /* outage.h */

    enum part_state state;
    enum part_state composed; /* what the call holds: PART_LOOKING or PART_RESERVING; PART_NEW: nothing */
    struct redis_call call;
    bool is_under_way;
    bool is_decided;        /* alone, and admitted */
    bool is_failed;         /* an error, garbage, or replies that will not come */
    bool is_reserved;       /* the kind's: something is, or may be, in Redis that undo must take back */
    bool is_admitted_alone; /* a late reply means reconcile, not undo */
    bool is_answered;       /* take has its answer: used, growth, is_over, wait_us */
    bool is_ours;           /* the failure is this entity's alone, and says nothing of the server */

    void *own; /* the kind's, from the heap */
    char key_text[REDIS_KEY_MAX_BYTES];
    _Alignas(16) unsigned char room[PART_ROOM_BYTES]; /* the kind's, zeroed */
};

/* The clock of a key's shard, or the time that is given. */
int64_t store_redis_now_us(const struct store_redis *s, struct str key, int64_t given_us);
/* May the key's shard be asked: it is up, and settled? */
bool store_redis_is_believed(struct store_redis *s, struct str key, unsigned domain);
/* store.h. Of a Cluster: is there any shard that may not be asked? */
const char *store_redis_decides(const struct store *store);
/* How this node decides alone now. */
struct mirror_terms store_redis_terms(const struct store_redis *s, unsigned domain);

/* Of parts that are PART_ALONE, of slots, and not decided yet: all or none. Their takes are charged, or answered. */
enum mirror_result redis_slots_decide_alone(struct part *const *parts, size_t count);
/* As of the last thing that was read or decided: fills a take's answer. */
void redis_part_answer(struct part *p);

/* ---- errands: commands that nobody waits for ---- */

enum { ERRAND_ROOM_BYTES = 192 };

struct errand {
    struct list node;
    struct store_redis *store;
    struct redis_call call;
    struct str key; /* in key_text */
    /* How it ended; NULL: it does not matter. REDIS_UNSENT also where errand_send could not send it. The errand's
     * memory goes after this. */
    void (*on_end)(struct errand *e, enum redis_result result, bool has_errors);
    uint64_t failed; /* a bit for each command that was answered by an error */
    char key_text[REDIS_KEY_MAX_BYTES];
    _Alignas(16) unsigned char room[ERRAND_ROOM_BYTES]; /* the caller's, zeroed */
};

/* For the shard of key, which is copied. NULL: no memory. */
struct errand *errand_new(struct store_redis *s, struct str key);
/* Adds a command. When one could not be added, by this or any other function to e->call, errand_send sends none. */
void errand_add(struct errand *e, const struct str *words, size_t count);
/* Sends and owns it. It may end before this returns. */
void errand_send(struct errand *e);

/* All of them, when the store closes. */
void errands_free(struct store_redis *s);
/* Looks whether the link to some shard is another one than before. */
void store_redis_watch_shards(struct store_redis *s);

/* An error reply, or something that is none of what a command answers: said once per kind. */
void store_redis_complain(struct store_redis *s, struct str key, const redisReply *reply);

#endif
