/*
 * index_pages.h - an index in Redis, a sorted set of names scored with when each was put in last (microseconds), read
 * page by page, the oldest first: what bans and operators' allowances travel by.
 *
 *   index_pages_begin ─▶ index_pages_ask ─▶ names and scores by turns ─▶ index_pages_turn ─▶ index_pages_ask ─▶ …
 *
 * The next page begins at the score of the last name of the one before, not behind as many names as were read: who is
 * put in anew meanwhile moves to the end, all behind him move up by one, and the first of the next page would be among
 * those that were read.
 */
#ifndef LIMITS_INDEX_PAGES_H
#define LIMITS_INDEX_PAGES_H

#include "redis/redis.h"

enum { INDEX_PAGE = 256 }; /* names read at once; fewer: it was the last page */

struct index_pages {
    int64_t from_us; /* the page's first score … */
    size_t offset;   /* … of which so many were read */
};

void index_pages_begin(struct index_pages *p, int64_t from_us);
/* Appends the question for the page at hand. False: as redis_call_add. */
MUST_USE bool index_pages_ask(const struct index_pages *p, struct str key, struct redis_call *call);
/* A score, as Redis writes doubles, that is a time; 0: it is none. */
int64_t index_pages_score(const redisReply *score);
/* To the next page. last_us: the score of the last name of this one. */
void index_pages_turn(struct index_pages *p, int64_t last_us);

#endif
