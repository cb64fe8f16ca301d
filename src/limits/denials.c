/* denials.c - what a worker refused lately. See denials.h. */
#include "limits/denials.h"

#include <stdlib.h>

#define SAY_AGAIN_US 5000000
#define SETS         256
#define WAYS         4

struct denial {
    struct hash128 counter;
    const struct limit *limit; /* compared, never looked into */
    int64_t quiet_until_us;
};

struct denials {
    struct denial places[SETS][WAYS];
};

struct denials *denials_new(void)
{
    return calloc(1, sizeof(struct denials));
}

void denials_free(struct denials **d)
{
    free(*d);
    *d = NULL;
}

static size_t set_of(struct hash128 counter)
{
    return counter.hi % SETS;
}

static bool matches(const struct denial *d, struct hash128 counter, const struct limit *limit)
{
    return d->limit == limit && d->counter.lo == counter.lo && d->counter.hi == counter.hi;
}

/* Its place, or the one that ends soonest. */
static struct denial *place_of(struct denials *d, struct hash128 counter, const struct limit *limit)
{
    struct denial *set = d->places[set_of(counter)], *place = set;
    for (size_t i = 0; i < WAYS; i++) {
        if (matches(&set[i], counter, limit))
            return &set[i];
        if (set[i].quiet_until_us < place->quiet_until_us)
            place = &set[i];
    }
    return place;
}

bool denials_remember(struct denials *d, struct hash128 counter, const struct limit *limit, int64_t fits_at_us,
                      int64_t now_us)
{
    struct denial *place = place_of(d, counter, limit);
    /* A wait that is not known (open connections, a cost that never fits) is said again after five seconds. */
    int64_t quiet_until_us = fits_at_us == INT64_MAX ? now_us + SAY_AGAIN_US : fits_at_us;
    bool is_new = !matches(place, counter, limit) || place->quiet_until_us <= now_us;
    *place = (struct denial){counter, limit, quiet_until_us};
    return is_new;
}
