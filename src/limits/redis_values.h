/*
 * redis_values.h - what the kinds of counters of values share (redis_distinct.c, redis_many.c, redis_known.c), in one
 * process: values and holds in commands, what was full lately, and what becomes of a take in the end.
 *
 * What was full lately: a flood at a counter that is full costs Redis nothing. For min(wait, 5 s) a take that would
 * bring as much that is new is answered from here. What is known of a counter is the values that it counted, so that
 * one of them is never refused.
 */
#ifndef LIMITS_REDIS_VALUES_H
#define LIMITS_REDIS_VALUES_H

#include "limits/redis_notes.h"
#include "limits/store_redis_inside.h"

/* A counter that was full. */
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

/* ---- commands ---- */

/* All of them append to a call; false as of redis_call_add. */

/* "ZADD KEY -AT HOLD…": the values are held under this token since at_us; 0: "ZREM KEY HOLD…", no longer. */
bool redis_values_set_holds(struct redis_call *call, struct str key, const struct take_member *values, size_t count,
                            uint64_t token, int64_t at_us);
/* "ZADD KEY GT AT VALUE…": the values were seen at at_us. */
bool redis_values_add_seen(struct redis_call *call, struct str key, const struct take_member *values, size_t count,
                           int64_t at_us);
/* "PEXPIREAT KEY …": nobody needs the key after at_us. at_us and now_us on the clock of its shard, or as it is given.
 */
bool redis_values_add_expiry(const struct store_redis *s, struct redis_call *call, struct str key, int64_t at_us,
                             int64_t now_us);

/* ---- holds ---- */

/* A name for a hold that nobody else uses. */
uint64_t redis_values_token(struct store_redis *s);
/* Does what the part's take holds already, in Redis or in the embedded store, still count? */
bool redis_values_held_counts(const struct part *p);
/* When all that is seen now has ceased to count. */
int64_t redis_values_end_us(uint32_t period_s, int64_t now_us);

/* ---- what was full lately ---- */

/* Copies f, whose until_us is set here; takes over f->kept. */
void redis_values_set_full(struct store_redis *s, const struct full *f, int64_t now_us);
/* As part_kind has them. */
bool redis_values_is_known_full(struct part *p);
bool redis_values_peek(struct store_redis *s, struct take *take, int64_t now_us);

/* What was counted when it was read last; UINT64_MAX: not known. A guess, good for knowing what to ask for. */
void redis_values_set_last(struct store_redis *s, struct hash128 counter, uint64_t sum);
uint64_t redis_values_last(const struct store_redis *s, struct hash128 counter);

/* ---- in the end ---- */

/* The take's values were seen: Redis is told, and the embedded store knows. held_count: of its hold, where that is one
 * for them all (redis_many.c). */
void redis_values_keep(struct store_redis *s, struct take *take, enum note_kind kind, uint32_t held_count,
                       int64_t now_us);
/* The counter was forgotten: nothing is known of it, here or in the embedded store. */
void redis_values_forget(struct store_redis *s, const struct take *take, int64_t now_us);

#endif
