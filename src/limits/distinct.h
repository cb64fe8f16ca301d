/*
 * distinct.h - the values that a counter of different values counts, or that a memory remembers, as a take names them.
 *
 * A value is a text that the caller has brought into its one form (lower case, without +tag): an address, a network, a
 * country, a login's name. Stores see only a keyed hash of it, together with the counter's name, so that a value is
 * another one in every counter, and passwords can be remembered without being kept.
 */
#ifndef LIMITS_DISTINCT_H
#define LIMITS_DISTINCT_H

#include "limits/store.h"

/* Fills take->members from `count` values, into `to`, which has room for them and must last as long as the take:
 * sorted, each once. Sets the take's cost to their number. key: store_values_key. */
void distinct_set_members(struct take *take, struct take_member *to, const struct str *values, size_t count,
                          const struct hash_key *key);
/* The order of members, for qsort and bsearch. */
int distinct_compare(const void *a, const void *b);

#endif
