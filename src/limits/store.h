/*
 * store.h - the contract of what keeps counts: the embedded table (store_memory.c), and whatever gets a row in
 * stores.c.
 *
 *   limiter  ── takes: (counter, cost, allowed)… ──▶  store   all of them, or none
 *            ◀── TAKEN, or FULL, and the counts seen ──
 *            ── give_back │ keep ──▶                          nobody waits for these
 *
 * A store knows no limits, rules or mails: it knows counters. A counter is named by entity, period and what shares it,
 * and has three columns (limit.h) of 16 strict slots (window.h), or holds leases: open connections, which have no
 * period and belong to an owner, the worker that would drop them; when that worker dies, the supervisor drops them in
 * its place.
 *
 * What every store promises (tests/unit/limits/store_suite.c holds each to it):
 * - All or nothing: if one counter would be above what it allows, none is charged by this take.
 * - Never too many: two takes at once, from any workers or nodes, never both get what only one may have. A take that
 *   loses may for a moment be seen by others, at the price of their refusal, never of one admission too many.
 * - A take may be of another mode: TAKE_ALWAYS counts whatever is allowed, TAKE_NOTHING only asks; both are told
 *   whether the count is above what is allowed, and when it no longer will be.
 * - Exact: give_back takes away what was charged, where it was charged, and nothing else; twice does no more than once.
 * - A take may hold a charge already: then it is an exchange. What is held counts no longer, the new cost counts at
 *   now. Where the held charge still counts and the cost does not grow it always succeeds, so a mail's charge moves to
 *   the time at which the mail really passes. A refused exchange leaves the held charge as it was.
 * - A counter of a distinct unit counts the different values among what its takes bring: a take's cost is the number of
 *   its values, and of these only those grow the count that it does not hold already. A value counts for as long as a
 *   take holds it, and a period from when it was last kept; given back, it counts as it did before. Exact, or for
 *   distinct-recipients within 2 %.
 * - A memory is only told (TAKE_ALWAYS) and asked (TAKE_NOTHING): used is the number of the take's values that it
 *   knows, growth that of the others. Nothing is held.
 * - Time is an argument, and a counter's time never runs backwards: an earlier now is taken for the newest one the
 *   counter saw. A remote store has a clock of its own, the same for all nodes, and takes that one instead.
 * - take_start never blocks for longer than deadline_ms and answers DONE, or STARTED and op->on_done exactly once,
 *   never from inside take_start; after take_cancel it never comes, and what the take got meanwhile is given back
 *   by the store itself.
 */
#ifndef LIMITS_STORE_H
#define LIMITS_STORE_H

#include "base/err.h"
#include "base/hash.h"
#include "limits/limit.h"

/* Who shares a counter: the limits of mail units of one entity and period; those of one other unit; or one limit alone.
 * COUNTER_KNOWN is no counter but a memory: the values that were seen within period_s. */
enum counter_kind { COUNTER_MAIL, COUNTER_UNIT, COUNTER_OWN, COUNTER_LEASES, COUNTER_KNOWN };

struct counter {
    struct hash128 id; /* by counter_set_id, of all that follows; lo is never 0 */
    struct str entity; /* borrowed while a charge is held: a store that has names for its keys needs it */
    struct str name;   /* COUNTER_UNIT, COUNTER_LEASES: the unit. COUNTER_OWN: the limit. COUNTER_KNOWN: of what.
                          COUNTER_MAIL: none */
    uint32_t period_s; /* COUNTER_LEASES: 0 */
    enum counter_kind kind;
    enum limit_unit unit; /* part of a COUNTER_OWN's name */
};

#define ALLOWED_ANY UINT64_MAX

enum take_mode {
    TAKE_IF_FITS,
    TAKE_ALWAYS, /* an event that has happened: never refuses the op */
    TAKE_NOTHING /* is the count above what is allowed? Its cost is 0, nothing is made or charged */
};

/* A value, by distinct_set_members. */
struct take_member {
    uint64_t lo; /* never 0 */
    uint32_t hi;
    uint32_t stamp; /* the store's: what is held of it; 0: nothing */
};

struct take {
    struct counter counter;
    enum take_mode mode;
    uint32_t cost[COLUMNS];      /* leases: [COLUMN_ONE], how many */
    struct take_member *members; /* of a distinct unit or a memory, and only then */
    size_t member_count;
    uint64_t allowed[COLUMNS]; /* the greatest count, this cost included; ALLOWED_ANY: nothing refuses */

    /* What is held, written by the store: all zero before. */
    struct take_held {
        uint32_t cost[COLUMNS];
        uint32_t generation; /* of the counter's memory: what was evicted since cannot be given back */
        uint64_t slot;
        uint64_t token; /* a remote store's name for what is held there */
        bool is_held;
        bool is_local; /* a remote store's: decided by this node alone */
    } held;

    /* The answer. */
    void *place;              /* the store's, during one call */
    uint64_t used[COLUMNS];   /* the count with this cost, also where it was refused */
    uint32_t growth[COLUMNS]; /* the cost, less what is held and still counts */
    bool is_over[COLUMNS];    /* it grew beyond what is allowed; TAKE_NOTHING: it is beyond */
    /* 0: nothing is over. Else the time until it fits, or is above no longer, if nobody else comes; WAIT_UNKNOWN:
     * leases, never. */
    int64_t wait_us;
};

#define WAIT_UNKNOWN INT64_MAX

enum store_result {
    STORE_TAKEN,
    STORE_FULL,  /* nothing changed; some take is over in a column */
    STORE_FAILED /* the store is away or did not answer in time: nothing is charged, or will be given back by the store
                  */
};

struct store_op {
    struct take **takes; /* sorted by counter.id.lo, no counter twice; the caller's until the answer */
    size_t count;
    int64_t now_us; /* wall clock, read for this call: a loop's remembered time may be older than a slot is long */
    unsigned deadline_ms;
    void (*on_done)(struct store_op *op);
    enum store_result result;
    /* Who has answered: the store's name, as the limiter sets it; of a store that is away, how a node decides alone
     * (`failure`): "share" … Static. */
    const char *decided_by;
    uint32_t share_of; /* decided by "share": of how many nodes, so that each has that part of what is left; else 0 */
    void *state;       /* the store's */
};

struct store;

struct loop;
struct redis;
struct mirror;
struct outage;

/* What a node decides while its remote store is away (RULES.md "Server", `failure`). */
enum store_failure { STORE_SHARE, STORE_LOCAL, STORE_OPEN, STORE_CLOSED };
/* As the configuration calls it, and events do: "share" … */
const char *store_failure_name(enum store_failure failure);

struct store_options {
    void *memory;   /* shared by all workers, made by store_memory_init */
    uint32_t owner; /* of the leases this opener takes: unique among all workers alive, not 0 */
    /* Of a store in Redis, all borrowed: */
    struct loop *loop;
    struct redis *redis;
    struct mirror *mirror; /* shared by all processes of the node */
    struct outage *outage;
    enum store_failure failure;
    unsigned timeout_ms; /* a take waits no longer, whatever its own deadline is */
    struct str prefix;   /* "mw1:" */
    struct str node;     /* this node's id, in the leases' names (keeper.h) */
    /* For tests: the time that takes bring along is the store's clock, not Redis'. */
    bool time_is_given;
};

struct store_ops {
    const char *name;
    /* Is a take a round trip? Then the store remembers a denial, and does not ask again at once. */
    bool is_remote;
    MUST_USE bool (*open)(struct store *store, const struct store_options *options, struct err *err);
    void (*close)(struct store *store);

    enum started (*take_start)(struct store *store, struct store_op *op);
    /* Of a take that answered STARTED. NULL in a store that never does. */
    void (*take_cancel)(struct store *store, struct store_op *op);
    /* Gives back what each take holds, and forgets it. */
    void (*give_back)(struct store *store, struct take **takes, size_t count);
    /* The mail passed at now: what is held counts from then on, whatever is allowed, and is held no longer. Leases stay
     * held. */
    void (*keep)(struct store *store, struct take **takes, size_t count, int64_t now_us);
    /* An operator's wish: nothing of these counters counts any more, of each the columns whose cost is not 0; of a
     * counter of values (members is not NULL, and not looked at) all. No leases, no memories. What is held of them
     * meanwhile cannot be given back where that would take away what was counted since. As take_start; STORE_TAKEN:
     * forgotten, STORE_FAILED: some may be, some not. */
    enum started (*forget_start)(struct store *store, struct store_op *op);
    /* Without waiting: the last counts known for the counter, and what `take` would now be answered. False: nothing
     * known. */
    MUST_USE bool (*peek)(struct store *store, struct take *take, int64_t now_us);
    /* Drops `count` leases of the store's owner; generation as it was held. */
    void (*drop_lease)(struct store *store, struct hash128 id, uint32_t count, uint32_t generation);
    /* Drops all leases of an owner that has died. */
    void (*release_owner)(struct store *store, uint32_t owner);
    /* Who would decide now, as decided_by has it. NULL: always the store itself. */
    const char *(*decides)(const struct store *store);
    /* NULL: `key`. */
    struct hash_key (*values_key)(const struct store *store);
};

struct store {
    const struct store_ops *ops;
    struct hash_key key; /* of the counters' ids: the same for all processes of the node */
    uint32_t owner;
    unsigned deadline_ms; /* how long a take may wait: the `timeout` of a store in Redis; LIMITS.md, promise 4 */
    void *state;          /* the store's */
};

enum { STORE_DEADLINE_MS = 50 }; /* where nothing else is said */

/* Who would decide now: "redis", "share" … */
const char *store_decides(const struct store *store);
/* What values are hashed with (distinct.h): the same for all who share the counts. It may change once, when a remote
 * store is first reached. */
struct hash_key store_values_key(const struct store *store);
/* Names the counter: all fields but id are set. */
void counter_set_id(struct counter *c, const struct hash_key *key);
/* A column's answer from its sum without this take, and from what of that sum the take holds. Is it over? */
bool take_answer(struct take *take, size_t column, uint64_t sum, uint64_t held);
/* The whole answer of a counter that has one column (leases, different values); wait_us, where it is over, is the
 * caller's to say. Is it over? */
bool take_answer_one(struct take *take, uint64_t sum, uint64_t held);
/* The whole answer of a memory that knows so many of the take's values. */
void take_answer_known(struct take *take, size_t known);
/* The answer where nothing is known of the counter: as if it were empty. */
void take_answer_unknown(struct take *take);

/* A row per store; NULL: no store of that name. */
const struct store_ops *stores_find(struct str name);
MUST_USE bool store_open(struct store *store, const struct store_ops *ops, const struct store_options *options,
                         struct err *err);
void store_close(struct store *store);

#endif
