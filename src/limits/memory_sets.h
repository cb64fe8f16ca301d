/*
 * memory_sets.h - how a table in shared memory is cut, and where in it a key may lie: arithmetic only.
 *
 *   table ── shards, a lock each ── sets ── places: a few, whose keys lie together
 *   key   ─▶ its shard ─▶ one of two sets of it ─▶ any place there
 *
 * Whoever puts a key in takes the set with more room. So sets fill alike, and a table is nearly full before anything
 * that still counts has to go; looking costs two sets at most. A shard is large for the same reason: small ones would
 * fill unlike each other.
 */
#ifndef LIMITS_MEMORY_SETS_H
#define LIMITS_MEMORY_SETS_H

#include "base/defs.h"

enum { MEMORY_PLACES_PER_SHARD = 1024 };

/* How many shards a table of so many places is cut into: from 1 to max. */
static inline size_t memory_shards_for(size_t places, size_t max)
{
    return MIN_OF(MAX_OF(places / MEMORY_PLACES_PER_SHARD, 1), max);
}

/* How many sets of `ways` places each of its shards has: two at least, and room for all. */
static inline size_t memory_sets_for(size_t places, size_t shards, size_t ways)
{
    size_t row = shards * ways;
    return MAX_OF((places + row - 1) / row, 2);
}

/* The numbers, within their shard, of the two sets that a key may lie in; different ones. one, other: bits of its hash,
 * which its shard was not chosen by. */
static inline void memory_two_sets(uint64_t sets_per_shard, uint32_t one, uint32_t other, uint64_t to[2])
{
    to[0] = one * sets_per_shard >> 32;
    to[1] = other * sets_per_shard >> 32;
    if (to[0] == to[1])
        to[1] = to[0] + 1 == sets_per_shard ? 0 : to[0] + 1;
}

#endif
