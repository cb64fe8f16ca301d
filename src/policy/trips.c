/* trips.c - what a question looks up while it waits. See trips.h. */
#include "policy/trips.h"

#include <stdlib.h>

enum { TRIPS_AT_ONCE = 64 };

void *trip_new(struct policy_outside *o, const struct trip_kind *kind)
{
    struct policy_trip *t = calloc(1, kind->size);
    if (!t)
        return NULL;
    t->kind = kind;
    t->outside = o;
    t->next = o->trips;
    o->trips = t;
    return t;
}

static void arrive(struct policy_trip *t)
{
    t->state = TRIP_OVER;
    if (t->kind->on_over)
        t->kind->on_over(t);
}

void trip_is_over(struct policy_trip *t)
{
    struct policy_outside *o = t->outside;
    arrive(t);
    if (--o->under_way == 0)
        asking_resume(o->waiting);
}

void trips_set_out(struct asking *a)
{
    size_t left = TRIPS_AT_ONCE;
    for (struct policy_trip *t = a->question->outside.trips; t && left; t = t->next) {
        if (t->state != TRIP_WANTED)
            continue;
        left--;
        t->state = TRIP_UNDER_WAY;
        if (t->kind->start(t, a) == DONE)
            arrive(t);
        else
            t->outside->under_way++;
    }
}

void trips_end(struct policy_outside *o)
{
    for (struct policy_trip *t = o->trips, *next; t; t = next) {
        next = t->next;
        t->kind->end(t);
        free(t);
    }
    o->trips = NULL;
}
