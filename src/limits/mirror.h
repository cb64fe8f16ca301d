/*
 * mirror.h - what this node knows of the counters that live in Redis: in memory that all its processes share.
 *
 * An entry knows of its counter:
 *
 *   seen    the last reading, all nodes' charges in it; it ages as the counter does
 *   since   what this node admitted by itself and Redis was not told of yet
 *           (negative: what it could not take back there)
 *   alone   what this node admitted by itself since its last reading, told or not:
 *           the others may have done so too
 *   own     all that this node admitted, told or not: what it adds again if Redis
 *           lost its data
 *   stem    the counter's name in Redis (redis_keys.h): for whoever pushes
 *
 * Redis answers: seen = the reading, own += what was admitted.
 *
 * Redis is away: admitted while seen + N * alone + cost fits (LIMITS.md "When Redis is away"); since, alone and own all
 * grow.
 *
 * Redis is back: the keeper pushes since (or, the data set being lost, own) into the same slots. Until Redis is read
 * again, what was pushed still counts N times: nobody knows yet what the others push.
 *
 * The reading, together with since, is also what MAIL and RCPT are refused by early, what a flood is answered with for
 * a few seconds without asking anybody, and where a look comes before the reservation (LIMITS.md "The check").
 *
 * Only counters of slots lie here. The table is bounded: what has expired goes first, then what was not used for
 * longest; an entry with since is the last to go, and if it does that is counted. Locks and the order of writes as in
 * memory_table.h: any process may be killed at any instant. Slots are numbered on the clock of the counter's shard.
 */
#ifndef LIMITS_MIRROR_H
#define LIMITS_MIRROR_H

#include "limits/redis_keys.h"
#include "limits/store.h"
#include "limits/window.h"

#define MIRROR_ENTRIES_DEFAULT 65536

struct mirror;

size_t mirror_size(size_t entries);
/* In mirror_size(entries) bytes of zeros (a fresh mapping), aligned to 64. NULL with a reason. */
MUST_USE struct mirror *mirror_init(void *memory, size_t entries, struct err *err);
void mirror_fini(struct mirror *m);
bool mirror_is_valid(const struct mirror *m);

/* ---- what is known ---- */

struct mirror_view {
    bool is_known;          /* else there is no entry, and all but slot is zero */
    uint64_t slot;          /* that counts as now for the counter: never older than one it saw */
    int64_t read_at_us;     /* the last reading's time, shard's clock; 0: never read */
    int64_t denied_at_us;   /* when a reading was last found full; 0: never */
    uint32_t changes;       /* what outage_changes was then */
    uint64_t closed_window; /* the window before the last reading's own: when it was read itself … */
    int64_t closed_read_at_us;
    uint32_t closed_changes; /* … and what outage_changes was then */
    uint32_t generation;     /* of local charges (struct mirror_charge) */
    uint32_t seen[COLUMNS][WINDOW_CELLS];
    int32_t since[COLUMNS][WINDOW_CELLS];
};
/* The counter will be looked for soon: its place is brought nearer meanwhile. */
void mirror_expect(const struct mirror *m, const struct counter *counter);
/* As of now, aged: the rings end with view->slot. False: the lock was not had in time; the view is as of an unknown
 * counter then. */
bool mirror_look(struct mirror *m, const struct counter *counter, int64_t now_us, struct mirror_view *view);

/* What Redis said, less what the op that asked has reserved itself. */
struct mirror_reading {
    uint64_t slot; /* that the rings end with */
    int64_t at_us;
    uint32_t changes; /* outage_changes before it was asked for … */
    uint32_t unseen;  /* … and outage_unseen: nodes whose charges may not be in it */
    uint64_t closed_window;
    bool has_closed; /* that window was read as well */
    bool is_denial;
    uint32_t rings[COLUMNS][WINDOW_CELLS];
};
/* A reading came; what is older than the last one is dropped. stem: the counter's name. */
void mirror_read(struct mirror *m, const struct counter *counter, struct str stem,
                 const struct mirror_reading *reading);
/* Only what the slot itself holds was told, of columns that are true; the rest is as it was read. */
void mirror_read_slot(struct mirror *m, const struct counter *counter, uint64_t slot, const bool columns[COLUMNS],
                      const uint32_t counts[COLUMNS]);
/* A reading that came too late for what it was made for, of the 17 slots that end with slot. What this node pushed
 * meanwhile may not be in it, nor what the others did: so it only ever adds to what is seen, and what was decided alone
 * stays so until the next reading that comes in time. */
void mirror_read_late(struct mirror *m, const struct counter *counter, uint64_t slot,
                      uint32_t rings[COLUMNS][WINDOW_CELLS]);
/* What Redis was not told of, in the window that ends with slot: less than nothing counts as nothing. */
void mirror_since(struct mirror *m, const struct counter *counter, uint64_t slot, uint64_t sums[COLUMNS]);
/* This node admitted cost in slot, and Redis knows; or it takes that back. Both own and seen. Slots that are no longer
 * among the 17 are passed over. */
void mirror_own_add(struct mirror *m, const struct counter *counter, struct str stem, uint64_t slot,
                    const uint32_t cost[COLUMNS], int64_t now_us);
void mirror_own_take_back(struct mirror *m, const struct counter *counter, uint64_t slot, const uint32_t cost[COLUMNS]);

/* ---- deciding alone ---- */

/* How a node decides alone. */
struct mirror_terms {
    uint32_t nodes;    /* N: share; 1: the whole limit (`failure local`) */
    int64_t unaged_us; /* the reading counts as it did so long ago (outage.h); 0: as it does now */
    bool is_open;      /* nothing refuses (`failure open`) */
};
/* All takes of counters of slots, or none, in one moment for all processes of the node. Each is judged by
 *
 *     seen + nodes * (alone + cost) <= allowed
 *
 * where what it holds counts no longer, so that all nodes that do so together stay within the limit, and an account
 * that this node never saw has its share of it; answered (used: what this node knows of; is_over; growth; wait_us); and
 * charged to own and since. While the last reading counts, nodes that it did not see (mirror_reading.unseen) keep their
 * shares of allowed: they may have used them before it, and this node may have been settled, and be so no more. held is
 * overwritten then, with is_local set, and what was held before is the caller's to give back. TAKE_ALWAYS and
 * TAKE_NOTHING as in store.h; what is held and does not grow is never refused. stems[i] is takes[i]'s name, now_us[i]
 * its shard's clock, terms[i] its shard's terms. Takes are sorted by counter.id.lo. */
enum mirror_result {
    MIRROR_TAKEN,
    MIRROR_FULL,  /* some take is over: nothing is charged */
    MIRROR_LOCKED /* a lock was not had in time: nothing is charged or answered */
};
enum mirror_result mirror_take(struct mirror *m, struct take *const *takes, const struct str *stems,
                               const int64_t *now_us, size_t count, const struct mirror_terms *terms);

/* A charge of a counter of slots, as take.held has it. */
struct mirror_charge {
    uint64_t slot;
    uint32_t generation;
    uint32_t cost[COLUMNS];
};
/* A local charge is undone: from own and, as far as it was not pushed meanwhile, since. What was pushed is left in
 * pushed: the caller takes it back in Redis. */
void mirror_give_back(struct mirror *m, const struct counter *counter, const struct mirror_charge *charge,
                      uint32_t pushed[COLUMNS]);
/* Redis turned out to have been told of cost, of a local charge (a late reply): out of since it goes. What is not there
 * any more (it was given back, or pushed, meanwhile) is left in excess: the caller takes it back in Redis. */
void mirror_is_told(struct mirror *m, const struct counter *counter, const struct mirror_charge *charge,
                    uint32_t excess[COLUMNS]);
/* What mirror_own_add (less than nothing: mirror_own_take_back) said of a slot Redis could not be told: it is to be
 * pushed. */
void mirror_owe(struct mirror *m, const struct counter *counter, struct str stem, uint64_t slot,
                const int64_t delta[COLUMNS], int64_t now_us);
/* An operator forgot the counter: nothing of these columns is known or to be pushed, and what was charged before is not
 * given back. */
void mirror_forget(struct mirror *m, const struct counter *counter, struct str stem, const bool columns[COLUMNS],
                   int64_t now_us);
/* How often that has happened, to any counter: noted with a charge … */
uint64_t mirror_forgets(const struct mirror *m);
/* … it tells whether this counter was forgotten since. */
bool mirror_was_forgotten(struct mirror *m, const struct counter *counter, uint64_t forgets);

/* ---- pushing, by the keeper alone ---- */

struct mirror_push {
    struct hash128 id;
    uint64_t newest;
    uint32_t period_s;
    uint32_t generation;
    size_t columns; /* in use; 1: the first */
    /* What to add in Redis, by slot: cell of slot n, of the 17 that end with newest, at n mod 17; negative: to take
     * back (OVERFLOW SAT keeps it from falling below nothing). */
    int64_t rings[COLUMNS][WINDOW_CELLS];
    int32_t since[COLUMNS][WINDOW_CELLS]; /* what of since it settles */
    char stem[REDIS_STEM_MAX_BYTES + 1];  /* with its NUL in it (redis_keys.h), and zeros behind it */
};
/* The next entry from *at on (start with 0) that has since, or with is_all own, in slots that still count at now_us. An
 * entry whose push is under way is given out again only after MIRROR_PUSH_LEASE_US; with is_all at once: nobody comes
 * back to what that walk passes by, and a keeper that died may have left it so. False: the end. */
enum { MIRROR_PUSH_LEASE_US = 5000000 };
bool mirror_push_next(struct mirror *m, size_t *at, bool is_all, int64_t now_us, struct mirror_push *push);
/* Redis has it: out of since it goes, into seen it comes. */
void mirror_push_done(struct mirror *m, const struct mirror_push *push, int64_t now_us);
/* It was not sent. */
void mirror_push_failed(struct mirror *m, const struct mirror_push *push);
/* How many entries have since. Cheap where that is none. The keeper's alone. */
size_t mirror_due(struct mirror *m, int64_t now_us);

struct mirror_stats {
    uint64_t entries, live, due; /* places; that still count; of these, that have since */
    uint64_t evicted_live;  /* readings thrown away for lack of room: such an entity may use a node's share again */
    uint64_t evicted_since; /* … with counts that Redis was never told of. Should be 0 */
    uint64_t recovered, timeouts;
};
void mirror_stats_get(struct mirror *m, int64_t now_us, struct mirror_stats *stats);

#endif
