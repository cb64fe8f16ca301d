/*
 * values_seen.h - what Redis told of a counter of different values, and what follows from it: arithmetic only.
 *
 * Such a counter is one sorted set (redis_distinct.c) with two kinds of members, told apart by the sign of the score:
 *
 *   kept   VALUE          score  time    the value was seen for good, last at that time
 *   held   VALUE + TOKEN  score -time    somebody's take holds it since that time, and has yet
 *                                        to keep it or give it back
 *
 * The count is the number of different values among both. A value of ours that is among them makes it no greater.
 *
 *   ZRANGEBYSCORE held ─┐
 *   ZSCORE of ours ─────┼─▶ struct seen ── seen_judge ──▶ used, growth, is_over, wait_us of the take
 *   ZCOUNT, oldest kept ┘
 *
 * Times become slots (window.h): a value counts in the 17 slots from its own on, as in the embedded store, so both
 * answer alike, to the microsecond.
 */
#ifndef LIMITS_VALUES_SEEN_H
#define LIMITS_VALUES_SEEN_H

#include "limits/store.h"

enum {
    VALUE_TEXT_BYTES = 24,                   /* a value in hexadecimal digits */
    HOLD_TEXT_BYTES = VALUE_TEXT_BYTES + 16, /* and who holds it */
    SCORE_TEXT_BYTES = 24,                   /* of a time, with its NUL */
    /* Holds are let go by whoever made them. Those of a process that died count no longer than a mail lasts. */
    HOLD_MAX_S = 3600,
};

/* Into exactly VALUE_TEXT_BYTES, or HOLD_TEXT_BYTES; no NUL. */
struct str value_text(const struct take_member *value, char *to);
struct str hold_text(const struct take_member *value, uint64_t token, char *to);
/* Either of them, read back; token 0: a value that is kept. False: it is none. */
MUST_USE bool value_parse(struct str text, struct take_member *value, uint64_t *token);
/* So many hexadecimal digits, and nothing else. */
MUST_USE bool hex_parse(struct str text, size_t digits, uint64_t *bits);
/* A time in microseconds as a score; negative: of a hold. */
struct str score_text(int64_t us, char to[SCORE_TEXT_BYTES]);
MUST_USE bool score_parse(struct str text, int64_t *us);

/* From when on what is kept counts, and from when on what is held does, as of now. */
int64_t seen_kept_from_us(uint32_t period_s, int64_t now_us);
int64_t seen_held_from_us(uint32_t period_s, int64_t now_us);

struct seen_value {
    struct take_member value;
    int64_t at_us;
    bool is_kept;
};

struct seen {
    struct seen_value *values; /* heap; what was listed: kept ones, the oldest first, and held ones of others */
    size_t count, max;
    uint64_t kept_count;  /* that count, listed or not */
    bool is_cut;          /* not all that are kept are listed */
    uint64_t others_kept; /* by seen_judge: without ours */
};

/* False: no memory. */
MUST_USE bool seen_add(struct seen *s, const struct take_member *value, int64_t at_us, bool is_kept);
void seen_fini(struct seen *s);

/* In the stamp of a value of ours: why it counts already. */
enum { OUR_HELD = 1, OUR_KEPT = 2 };

/* Answers the take. ours: a copy of the take's members, in whose stamps is what is known of them besides what is
 * listed. Does the take go on? */
bool seen_judge(struct seen *s, struct take *take, struct take_member *ours, size_t count, int64_t now_us);

#endif
