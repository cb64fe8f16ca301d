/*
 * redis_values.h - what the kinds of counters of values share (redis_distinct.c, redis_many.c, redis_known.c), in one
 * process: names of holds, moments as Redis wants them, and what was full lately.
 *
 * What was full lately: a flood at a counter that is full costs Redis nothing. For min(wait, 5 s) a take that would
 * bring as much that is new is answered from here. What is known of a counter is the values that it counted, so that
 * one of them is never refused.
 */
#ifndef LIMITS_REDIS_VALUES_H
#define LIMITS_REDIS_VALUES_H

#include "limits/store_redis_inside.h"
#include "limits/values_seen.h"

struct redis_notes;

struct full {
    struct hash128 counter;
    uint64_t allowed, sum;    /* sum: what was counted */
    uint32_t growth;          /* of the take that did not fit */
    int64_t fits_at_us;       /* INT64_MAX: never */
    int64_t until_us;         /* believed until then */
    struct take_member *kept; /* heap, ascending: what was counted; NULL: a HyperLogLog, which names none */
    size_t kept_count;
};

enum { FULL_SETS = 64, FULL_WAYS = 4, LAST_COUNTS = 1024 };
#define FULL_BELIEVED_US INT64_C(5000000)

/* All zero but for token and notes, when new. */
struct redis_values {
    uint64_t token; /* the next one */
    struct redis_notes *notes;
    struct full full[FULL_SETS][FULL_WAYS];
    struct {
        struct hash128 counter;
        uint64_t sum;
    } last[LAST_COUNTS];
};

/* ---- names and moments ---- */

/* A name for a hold that nobody else uses. */
uint64_t redis_values_token(struct store_redis *s);
/* A moment on the clock of the key's shard (as now_us is), and a few seconds, as PEXPIREAT wants it. */
struct str redis_values_expiry(const struct store_redis *s, struct str key, int64_t at_us, int64_t now_us,
                               char to[SCORE_TEXT_BYTES]);
/* When all that is seen now has ceased to count. */
int64_t redis_values_end_us(uint32_t period_s, int64_t now_us);

/* ---- what was full lately ---- */

/* Copies f, whose until_us is set here; takes over f->kept. */
void redis_values_set_full(struct store_redis *s, const struct full *f, int64_t now_us);
/* NULL: nothing that is still believed. */
const struct full *redis_values_full(const struct store_redis *s, const struct take *take, int64_t now_us);
/* Is the value among what was counted? */
bool full_has(const struct full *f, const struct take_member *value);
/* Answers a take that brings `known` values of those counted: as it was answered then, if it is over again. */
bool full_answer(const struct full *f, struct take *take, uint64_t known, int64_t now_us);

/* The counter was forgotten: nothing is known of it, here or in the embedded store. */
void redis_values_forget(struct store_redis *s, const struct take *take, int64_t now_us);

/* What was counted when it was read last; UINT64_MAX: not known. A guess, good for knowing what to ask for. */
void redis_values_set_last(struct store_redis *s, struct hash128 counter, uint64_t sum);
uint64_t redis_values_last(const struct store_redis *s, struct hash128 counter);

#endif
