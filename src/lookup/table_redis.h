/*
 * table_redis.h - tables that lie in the Redis of `store redis`: a SET of keys, or, of a map, a HASH.
 *
 *   table_redis_start ─▶ inquiry (remembered, shared) ─▶ SMISMEMBER "KEY" bob+x@a.test bob@a.test @a.test
 *                                                    or  HMGET "KEY" …         ◀── the first that is there counts
 *
 * All spellings of a question, in the order of membership (RULES.md "Tables"), are one command: one round trip, which
 * leaves with everything else that this process says to the shard in the same turn (redis.h). A field's text is what a
 * map gives: its values, joined by commas, as a map of a socketmap server gives them.
 *
 * Who waits has his answer within the table's timeout, or none; the reply that comes later is remembered for the next.
 * Whether Redis is there is the client's business, and said in events of `store`; that a key holds something else, or
 * may not be read, is said here, once in a while. A key that is not there is an empty table.
 */
#ifndef LOOKUP_TABLE_REDIS_H
#define LOOKUP_TABLE_REDIS_H

#include "lookup/remote.h"
#include "redis/redis.h"

enum { TABLE_REDIS_FORMS_MAX = 128, TABLE_REDIS_FORMS_MAX_BYTES = 32768 };

/* A `table … redis` statement; immutable, outlives the tables. */
struct table_redis_options {
    const char *name; /* in the rules */
    const char *key;
    bool is_map; /* a HASH */
    unsigned timeout_ms;
    int64_t cache_ms; /* 0: every question is asked anew */
};

struct table_redis; /* all of one worker */

/* redis is borrowed. NULL with err: no memory. */
struct table_redis *table_redis_new(struct loop *l, struct redis *redis, const struct table_redis_options *tables,
                                    size_t count, struct err *err);
/* The redis client is freed before: then none of its calls is under way. Who waits hears nothing any more. NULL is
 * fine. */
void table_redis_free(struct table_redis **t);

/* Asks table `table` (its place in the options) for the forms: at most TABLE_REDIS_FORMS_MAX, joined by LF, without
 * other control characters. DONE: q->result is there. STARTED: it is when on_answer comes: exactly once, never from
 * inside, by deadline_ms (absolute) and by the table's timeout. No form, or too many: not found. */
enum started table_redis_start(struct remote_query *q, struct table_redis *t, unsigned table, struct str forms,
                               int64_t deadline_ms, void (*on_answer)(void *arg), void *arg);

#endif
