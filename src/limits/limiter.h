/*
 * limiter.h - the promise of LIMITS.md: all limits of one mail, connection or login in one question, all or nothing.
 *
 *   policy/  ─ charges ─▶ limiter ─ takes ─▶ store           reserve: at connect, login, DATA
 *            ◀─ reservation: verdict, readings, thresholds passed
 *                    │
 *      ┌─────────────┼──────────────────┐
 *   give_back     settle (real bytes,   ▼                    before the dot
 *   (refused,     may refuse)         keep                   the MTA's 250
 *    vanished)
 *
 * A reservation holds what it was given until it is kept or given back; forgetting to do either would leave a charge
 * for nothing, so reservation_init's caller pairs it with limiter_give_back on every way out (harmless after keep, and
 * twice).
 *
 * Who is charged when. The charge is made at reserve, so that two mails cannot both have the last place. It then moves
 * with the mail: settle and keep put it into the slot in which the mail really passed. So the promise holds for the
 * times at which mails were accepted, and a client that begins a hundred mails and lets them drip until their
 * reservations have left the window gains nothing: settle asks for places again, and a mail that finds none is refused
 * before its dot.
 *
 * Events (errors, refusals, unknown-recipients, charges) have happened already: they count at once, whatever is
 * allowed, and are never given back. Their thresholds act on the event; those that reject, defer, disconnect or drop
 * also refuse MAIL for as long as the count is above.
 *
 *   policy/  ─ charges ─▶ limiter_count  ─▶ store            on the event
 *            ─ charges ─▶ limiter_above  ─▶ store            at MAIL: still above?
 *            ─ charges ─▶ limiter_look   ─▶ store            a condition asks used(L), left(L)
 *
 * Several limits refuse: the first in the configuration is named, unless the mail can never pass another one: then that
 * one. retry_after_ms is the time after which none of them refuses, if nobody else comes.
 */
#ifndef LIMITS_LIMITER_H
#define LIMITS_LIMITER_H

#include "base/arena.h"
#include "limits/limit.h"
#include "limits/store.h"

struct denials;

struct limiter {
    struct store *store;
    struct denials *denials; /* which refusals this worker has spoken of already */
};

/* One limit, for one entity; a limit has at most one charge for an entity. */
struct charge {
    const struct limit *limit;
    struct str entity; /* borrowed until the reservation is kept or given back */
    /* What it costs. A limit of a mail unit gets all three columns, whichever it counts: messages 1, the recipients
     * that concern this entity, KiB (limit_kib). A limit of another unit, the first; one of a distinct unit, none. */
    uint32_t cost[COLUMNS];
    /* Of a distinct unit: what was seen, each in its one form (distinct.h); the same may stand twice. Borrowed until
     * the answer. */
    const struct str *values;
    size_t value_count;
    /* An override: rates of its own, or with a rate_count of 0 no limit at all. NULL: the limit's own. */
    const struct rate *rates;
    size_t rate_count;
};

/* What one rate of one limit came to: a line of `explain`, a member of the event's `limits`. */
struct reading {
    const struct limit *limit;
    struct str entity;
    struct rate rate;
    uint64_t used;     /* with this cost, even if it was refused and so is not counted */
    uint64_t allowed;  /* by the threshold that refuses; ALLOWED_ANY: none does */
    uint32_t cost;     /* in the limit's unit */
    bool refuses;      /* an observed limit's: it would refuse */
    struct take *take; /* internal: the counter it was read from; limits may share one */
    size_t charge;     /* internal: number of its charge */
};

/* A threshold that acts, in the order in which they act. */
struct passed {
    const struct limit *limit;
    const struct threshold *threshold;
    uint32_t reading;
    bool newly;    /* log and alert act only then */
    bool observed; /* `would`: says so and does nothing */
};

enum verdict {
    VERDICT_RESERVED,
    VERDICT_REFUSED, /* nothing is charged; an event: it is counted, and a threshold that refuses acts on it */
    VERDICT_FAILED   /* the store is away: nothing is charged; defer */
};

struct reservation {
    enum verdict verdict;

    /* VERDICT_REFUSED: */
    const struct reading *refused_by;
    const struct threshold *refused_at;
    int64_t retry_after_ms; /* 0: not known (open connections), or permanent */
    bool permanent;         /* the cost alone is too much: 552 5.7.1, never defer */

    struct reading *readings; /* all that were looked at, refused or not, in the order of the charges */
    size_t reading_count;
    struct passed *passed;
    size_t passed_count;

    /* Inner life. */
    struct limiter *limiter;
    struct take *takes;   /* one a reading */
    struct take **sorted; /* those in use, sorted by counter */
    size_t take_count;
    struct take_member *members; /* of all takes of distinct units */
    size_t member_count;
    size_t reading_max, passed_max, member_max;
    struct store_op op;
    enum take_mode mode;
    bool is_settling;
    bool only_looks;
    bool is_waiting;
    int64_t asked_us;  /* monotonic; of the answer that is awaited */
    int64_t waited_us; /* for the store, in all */
    void (*cb)(struct reservation *r, void *arg);
    void *arg;
};

typedef void limiter_cb(struct reservation *r, void *arg);

/* False: no memory. */
MUST_USE bool limiter_init(struct limiter *l, struct store *store);
void limiter_fini(struct limiter *l);

/* The counter (all but its id) on which the limit counts for this entity at this rate, and the column it looks at: for
 * who wants to see counts and charges nobody. */
enum column limiter_counter(struct counter *c, const struct limit *limit, struct str entity, const struct rate *rate);
/* Makes room for these charges in the arena, which must outlive the reservation: about 400 bytes a rate. Holds nothing
 * yet. False: beyond the arena's maximum, or no memory. */
MUST_USE bool reservation_init(struct reservation *r, struct arena *arena, const struct charge *charges, size_t count);

/* Reserves every charge, or none (LIMITS.md, "The promise"). The charges are those given to reservation_init, in the
 * order in which their limits stand in the configuration; they need not stay. now_us is the wall clock, read for this
 * call. The answer is in *r at once (DONE), or comes by cb exactly once within deadline_ms (STARTED). Without charges:
 * reserved. */
enum started limiter_reserve_start(struct limiter *l, struct reservation *r, const struct charge *charges, size_t count,
                                   int64_t now_us, unsigned deadline_ms, limiter_cb *cb, void *arg);
/* Before the dot: the mail is complete and has this many bytes. Charges them instead of those that were declared, and
 * moves the charge to now. The verdict is in *r again; `passed` then lists only thresholds that the difference passed.
 * Refused or failed, everything is given back. */
enum started limiter_settle_start(struct limiter *l, struct reservation *r, uint64_t bytes, int64_t now_us,
                                  unsigned deadline_ms, limiter_cb *cb, void *arg);
/* Of a start that answered STARTED: cb never comes, nothing is charged (but an event may have been counted). */
void limiter_cancel(struct limiter *l, struct reservation *r);

/* The MTA took the mail (or the connection was let in) at now: the charge stays. Leases are still held. */
void limiter_keep(struct limiter *l, struct reservation *r, int64_t now_us);
/* What is held of this unit was charged for nothing: a guess that turned out to be none. The rest stays reserved. */
void limiter_give_back_unit(struct limiter *l, struct reservation *r, enum limit_unit unit);
/* Charged for nothing: undone, in the very slots. Leases too. After keep: leases only. */
void limiter_give_back(struct limiter *l, struct reservation *r);

/* Counts an event that has happened, for good: charges on limits of event units, cost N each (GRAMMAR.md 4). Answers as
 * a reserve does; VERDICT_REFUSED where a threshold acts that refuses, refused_at being the highest. `passed` holds all
 * that act on this event: each threshold the count is above; a ban only where this event passed it, else it would be
 * doubled by every event that follows. A ban in `passed` acts whichever limit is named. Nothing is held. */
enum started limiter_count_start(struct limiter *l, struct reservation *r, const struct charge *charges, size_t count,
                                 int64_t now_us, unsigned deadline_ms, limiter_cb *cb, void *arg);
/* Do limits of event units refuse MAIL, because their count is above (GRAMMAR.md 4)? Charges nothing and looks at no
 * cost. VERDICT_REFUSED: refused_at is the highest threshold that the count is above and that is no ban; `passed` holds
 * only what refuses, or of an observed limit would. */
enum started limiter_above_start(struct limiter *l, struct reservation *r, const struct charge *charges, size_t count,
                                 int64_t now_us, unsigned deadline_ms, limiter_cb *cb, void *arg);

/* How much is counted, whatever is allowed? Charges nothing, judges nothing and looks at no cost: every reading's
 * `used` is the count as it is. VERDICT_RESERVED, or VERDICT_FAILED: then there is nothing to read. */
enum started limiter_look_start(struct limiter *l, struct reservation *r, const struct charge *charges, size_t count,
                                int64_t now_us, unsigned deadline_ms, limiter_cb *cb, void *arg);

/* What limiter_reserve_start, limiter_count_start, limiter_above_start and limiter_look_start are alike. */
typedef enum started limiter_start(struct limiter *l, struct reservation *r, const struct charge *charges, size_t count,
                                   int64_t now_us, unsigned deadline_ms, limiter_cb *cb, void *arg);

/* Is it already known that these charges would be refused? Asks nobody and charges nothing: for MAIL and RCPT, before
 * the mail is complete. The answer is in *r: VERDICT_REFUSED as a reserve would say it, or VERDICT_RESERVED (not known
 * to be full; nothing is held). */
void limiter_peek(struct limiter *l, struct reservation *r, const struct charge *charges, size_t count, int64_t now_us);

/* How long the reply waits: the tarpits of all thresholds that act add up. The caller bounds the sum. */
uint64_t limiter_tarpit_ms(const struct reservation *r);

/* The sentence for a client, of a refused reservation (RULES.md, "Limits"):
 * `user-recipients: 200 per 1h used up, 201 with this mail; try again in 12m30s`
 * `user-recipients: 200 per 1h allowed, 300 in this mail; send it in parts of at most 200` */
struct str limiter_refusal_text(const struct reservation *r, char *to, size_t size);
/* The same for who runs the service: where Redis is away, or was for a node that is not back, and only what the other
 * nodes may not have admitted is used up, it says so.
 * `user-recipients: 200 per 1h used up but for the shares of other nodes, 101 with this mail; try again in 12m30s` */
struct str limiter_refusal_logged(const struct reservation *r, char *to, size_t size);
/* `200 per 1h used up, 201 with this mail` of any reading, with the shares: for `explain` and an observed limit's
 * `would`. */
struct str limiter_reading_text(const struct reading *reading, char *to, size_t size);

#endif
