/*
 * remote.h - one question to a table that lies elsewhere, and what all such tables have in common: those of socketmap
 * servers (socketmap.h) and those in Redis (table_redis.h).
 *
 *   socketmap_start, table_redis_start ─▶ remote_start ─▶ inquiry (remembered, shared) ─▶ the kind's way to ask
 *                       on_answer ◀── remote_query: result, value ◀── remote_answer
 */
#ifndef LOOKUP_REMOTE_H
#define LOOKUP_REMOTE_H

#include "base/buf.h"
#include "lookup/inquiry.h"

enum {
    REMOTE_CACHED = 65536, /* answers, of each table */
    REMOTE_CACHED_BYTES = 8 << 20,
    REMOTE_MAX_OPEN = 1024,
    REMOTE_VALUE_MAX_BYTES = 100000, /* as Postfix' socketmap */
    REMOTE_TIMEOUT_MS = 2000,        /* defaults of a table's options */
    REMOTE_CACHE_MS = 60000,
};

enum remote_result {
    REMOTE_FAILED, /* no answer in time, or the server is away, or answers that it cannot say */
    REMOTE_NOT_FOUND,
    REMOTE_FOUND,
};

/* One question, in the asker's memory. */
struct remote_query {
    struct inquiry_wait wait;
    enum remote_result result;
    struct str value; /* FOUND: of a map; borrowed: with DONE until the next call or the end of the turn, else for the
                         call */
    void (*on_answer)(void *arg);
    void *arg;
};

/* Begins one: nothing is found yet. */
void remote_query_init(struct remote_query *q, void (*on_answer)(void *arg), void *arg);
/* After this on_answer does not come. Of one that is over, or zeroed: harmless. */
void remote_cancel(struct remote_query *q);

/* ---- for the kinds of tables ---- */

/* A table's questions, within the bounds above. The rest as of struct inquiries_options. NULL with err: no memory. */
struct inquiries *remote_inquiries_new(struct loop *l, size_t state_bytes, void (*ask)(void *arg, struct inquiry *q),
                                       void (*drop)(void *arg, struct inquiry *q), void *arg, struct err *err);
/* Asks, or remembers. DONE: q->result is there. STARTED: it is when on_answer comes, exactly once, never from inside,
 * by deadline_ms (absolute). */
enum started remote_start(struct remote_query *q, struct inquiries *table, struct str key, int64_t deadline_ms);
/* An answer as it is remembered, into an empty buffer: the result, one byte, and the value. False: no room. */
MUST_USE bool remote_answer_write(struct buf *to, enum remote_result result, struct str value);
/* Answers with what was written, kept for keep_ms; with nothing written it has failed, which is not remembered. */
void remote_answer(struct inquiry *inquiry, const struct buf *written, int64_t keep_ms);

#endif
