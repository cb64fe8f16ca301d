/*
 * denials.h - what a worker refused lately, so that a flood of retries fills no log: until the mail would fit, what a
 * threshold wrote about the refusal is not written again for each retry.
 *
 * (That such a flood costs a remote store nothing either is the store's own doing: it knows what is given back
 * meanwhile, and that a value which counts already is never refused.)
 *
 * A small table of fixed size, lossy: what is forgotten is only said once more.
 */
#ifndef LIMITS_DENIALS_H
#define LIMITS_DENIALS_H

#include "base/hash.h"
#include "limits/limit.h"

struct denials;

/* NULL: no memory. */
struct denials *denials_new(void);
void denials_free(struct denials **d);

/* The counter was found full for this limit, until fits_at_us (INT64_MAX: unknown). True: that is new, since nothing
 * was said of it that still holds. */
bool denials_remember(struct denials *d, struct hash128 counter, const struct limit *limit, int64_t fits_at_us,
                      int64_t now_us);

#endif
