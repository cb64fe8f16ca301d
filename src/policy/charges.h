/*
 * charges.h - which limits concern this connection, login or mail, for whom, and what it costs them.
 *
 *   limits of some units ─▶ condition ─▶ whose count (entity.c) ─▶ which rates (overrides.c) ─▶ cost, values ─▶ charges
 *
 * A limit whose key holds the recipient has a charge for each that is concerned, with the recipients that concern it.
 * What is not known yet costs nothing: at MAIL and RCPT the limits of data are asked as far as it goes.
 */
#ifndef POLICY_CHARGES_H
#define POLICY_CHARGES_H

#include "policy/asking.h"

/* Sets of units. */
#define UNITS_OF(unit)      (1u << (unit))
#define UNITS_OF_CONNECTION (UNITS_OF(UNIT_CONNECTIONS) | UNITS_OF(UNIT_OPEN_CONNECTIONS))
#define UNITS_OF_ATTEMPT    (UNITS_OF(UNIT_AUTH_FAILURES) | UNITS_OF(UNIT_GUESSES) | UNITS_OF(UNIT_FAILED_USERS))
#define UNITS_OF_LOGIN      (UNITS_OF(UNIT_DISTINCT_NETWORKS) | UNITS_OF(UNIT_DISTINCT_COUNTRIES))
#define UNITS_OF_MAIL                                                                                                  \
    (UNITS_OF(UNIT_MESSAGES) | UNITS_OF(UNIT_RECIPIENTS) | UNITS_OF(UNIT_BYTES) | UNITS_OF(UNIT_DISTINCT_RECIPIENTS))
#define UNITS_OF_EVENTS                                                                                                \
    (UNITS_OF(UNIT_ERRORS) | UNITS_OF(UNIT_REFUSALS) | UNITS_OF(UNIT_UNKNOWN_RECIPIENTS) | UNITS_OF(UNIT_CHARGES))

/* What is asked of which limits. */
struct charging {
    unsigned units;
    const struct policy_limit *only; /* this limit alone; NULL: all of the units */
    uint32_t events;                 /* of event units: how many happened; 0: is the count above? */
};

static inline bool charging_asks(const struct charging *what, const struct policy_limit *l)
{
    return what->only ? l == what->only : what->units >> l->limit.unit & 1;
}

struct charges {
    struct charge *items; /* in the order of the configuration */
    size_t count;
};

/* Charges, entities and values lie in the arena. Only asks, so that it may be done again. False: no memory. */
MUST_USE bool charges_make(const struct asking *a, const struct charging *what, struct arena *arena,
                           struct charges *to);

/* ---- overrides.c ---- */

/* The rates that hold for this entity instead of the limit's own: what an operator allowed, or what stands in the
 * limit's table. *rates NULL: none, the limit's own hold; a *count of 0: `none`, there is no limit. False: no memory.
 */
MUST_USE bool override_find(const struct policy_engine *engine, const struct policy_limit *l, struct str entity,
                            const struct facts *facts, enum phase at, int64_t now_us, struct arena *arena,
                            const struct rate **rates, size_t *count);
/* A rate that check found right. */
struct rate policy_rate_of(enum limit_unit unit, const struct value *v);

#endif
