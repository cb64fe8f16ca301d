/*
 * denials.h - what a worker refused lately, so that a flood of retries costs a remote store nothing and fills no log.
 *
 * Two memories in one: for min(wait, 5 s) a remote store need not be asked again about a counter it found full
 * (LIMITS.md, "The check"); and until the mail would fit, what a threshold wrote about the refusal is not written again
 * for each retry.
 *
 * A small table of fixed size, lossy: what is forgotten is only asked, or said, once more.
 */
#ifndef LIMITS_DENIALS_H
#define LIMITS_DENIALS_H

#include "base/hash.h"
#include "limits/limit.h"

struct denials;

/* NULL: no memory. */
struct denials *denials_new(void);
void denials_free(struct denials **d);

/* The counter was found full for this limit, with used_before counted, until fits_at_us (INT64_MAX: unknown). True:
 * that is new, since nothing was said of it that still holds. */
bool denials_remember(struct denials *d, struct hash128 counter, const struct limit *limit, uint64_t used_before,
                      int64_t fits_at_us, int64_t now_us);
/* Is it known that `cost` more would go beyond `allowed`? Then what was counted, and when it would fit. */
MUST_USE bool denials_know(const struct denials *d, struct hash128 counter, const struct limit *limit, uint32_t cost,
                           uint64_t allowed, int64_t now_us, uint64_t *used_before, int64_t *fits_at_us);

#endif
