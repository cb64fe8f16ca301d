/*
 * trips.h - what a question looks up while it waits: one thing each, whatever it is.
 *
 *   wanted by a condition ─▶ trip_new ─▶ trips_set_out: start ─ DONE ─────────────────▶ over
 *                                              └── STARTED ─▶ trip_is_over (once) ─▶ over
 *
 * With the last one that is under way the question goes on.
 *
 * Kinds: the client's name, its lists, a key of a remote table (outside.c); how full a limit is (count.c); whether a
 * network is known (networks.c).
 */
#ifndef POLICY_TRIPS_H
#define POLICY_TRIPS_H

#include "policy/asking.h"

/* Begins the struct of its kind. */
struct policy_trip {
    struct policy_trip *next;
    struct policy_outside *outside;
    const struct trip_kind *kind;
    enum { TRIP_WANTED, TRIP_UNDER_WAY, TRIP_OVER } state;
};

struct trip_kind {
    size_t size; /* of its struct */
    /* STARTED: trip_is_over comes, once and never from inside. */
    enum started (*start)(struct policy_trip *t, struct asking *a);
    /* The answer is there. NULL: it lies where it is. */
    void (*on_over)(struct policy_trip *t);
    /* Nothing comes any more, and nothing is kept. Of every trip, whatever its state. */
    void (*end)(struct policy_trip *t);
};

/* Zeroed, wanted, and freed with the question. NULL: no memory. */
void *trip_new(struct policy_outside *o, const struct trip_kind *kind);
void trip_is_over(struct policy_trip *t);
/* All that are wanted, or so many that there is no room for more; then the others follow. */
void trips_set_out(struct asking *a);
/* The question is over. */
void trips_end(struct policy_outside *o);

#endif
