/*
 * again.h - what has failed is tried again, ever later: after 2 s, 4 s … 64 s. For work whose parts fail by themselves,
 * because one key is of another type or one master of a Cluster is away: the whole is not stopped by them, and not
 * begun anew every moment for their sake.
 *
 *   a part fails ─▶ again_is_wanted … the work goes on to its end … again_is_due ─▶ all of it anew ─▶ again_has_ended
 */
#ifndef LIMITS_AGAIN_H
#define LIMITS_AGAIN_H

#include "base/defs.h"

enum { AGAIN_FIRST_MS = 2000, AGAIN_LAST_MS = 64000 };

/* Zeroed: nothing has failed. */
struct again {
    int64_t at_ms; /* 0: nothing is to be tried again */
    int64_t pause_ms;
};

/* Something failed. More than once until it is due is once. */
static inline void again_is_wanted(struct again *a, int64_t now_ms)
{
    if (a->at_ms)
        return;
    a->pause_ms = MIN_OF(MAX_OF(2 * a->pause_ms, (int64_t)AGAIN_FIRST_MS), (int64_t)AGAIN_LAST_MS);
    a->at_ms = now_ms + a->pause_ms;
}

/* Is it time? Then it is begun. */
static inline bool again_is_due(struct again *a, int64_t now_ms)
{
    if (!a->at_ms || now_ms < a->at_ms)
        return false;
    a->at_ms = 0;
    return true;
}

/* What failed may succeed now (a server has come back): at once, and soon again if it does not. */
static inline void again_now(struct again *a)
{
    a->at_ms = a->at_ms ? 1 : 0;
    a->pause_ms = 0;
}

/* All was done anew, and nothing failed. */
static inline void again_has_ended(struct again *a)
{
    if (!a->at_ms)
        a->pause_ms = 0;
}

#endif
