/*
 * suggest.h - "did you mean …?": the nearest of the words that would have been right.
 *
 * Nearness is the number of letters to insert, drop, change or swap with a neighbour (the restricted
 * Damerau-Levenshtein distance), ASCII case free. A word is near when at most a third of its letters differ (one, in
 * short words): a far-fetched suggestion is worse than none. Ties: the one offered first.
 */
#ifndef RULES_SUGGEST_H
#define RULES_SUGGEST_H

#include "base/str.h"

enum { SUGGEST_MAX_LEN = 64 }; /* longer words get no suggestion */

struct suggestion {
    struct str wrong;
    struct str best; /* borrowed from who offered it */
    unsigned distance;
};

void suggest_init(struct suggestion *s, struct str wrong);
void suggest_offer(struct suggestion *s, struct str candidate);
/* The nearest of those offered; STR_NONE: none is near. */
struct str suggest_best(const struct suggestion *s);

/* All in one: the nearest of an array. */
struct str suggest(struct str wrong, const struct str *candidates, size_t count);

/* Letters apart; more than SUGGEST_MAX_LEN when one of them is longer than that. */
unsigned suggest_distance(struct str a, struct str b);

#endif
