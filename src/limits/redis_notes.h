/*
 * redis_notes.h - telling Redis what was seen for good, and not forgetting it while Redis is away.
 *
 *   keep ─▶ note ─▶ errand ── done ──▶ gone
 *             ▲        └─ not sent, or perhaps lost ─▶ kept, and told again when the key's shard is up
 *
 * A time only moves forward (ZADD GT), and PFADD twice is PFADD once: so to tell again does no harm. Notes are bounded;
 * one that finds no room, or whose value has left its period, is forgotten: then a value may be new once more to
 * another node; here it is known all the same (redis_alone.h). Nothing else is pushed after an outage: what somebody
 * holds is his, and leases are renewed anyway.
 */
#ifndef LIMITS_REDIS_NOTES_H
#define LIMITS_REDIS_NOTES_H

#include "limits/store_redis_inside.h"

enum {
    NOTES_MAX = 4096,      /* that wait for Redis */
    NOTES_A_TURN = 128,    /* told again in one turn of the loop */
    NOTE_VALUES_MAX = 512, /* what has more is several notes */
    NOTE_TRIES_MAX = 5,    /* of one that Redis answers with an error */
    NOTES_LOOK_MS = 500    /* is Redis back? */
};

enum note_kind {
    NOTE_KEPT, /* values into a counter's sorted set; a hold goes */
    NOTE_MANY, /* values into a HyperLogLog; a hold goes */
    NOTE_KNOWN /* values into a memory */
};

struct note {
    enum note_kind kind;
    struct str key; /* the counter's stem (redis_keys.h) */
    uint32_t period_s;
    int64_t at_us;       /* seen at, on the clock of the key's shard */
    uint64_t token;      /* the hold that goes; 0: there is none */
    uint32_t held_count; /* NOTE_MANY: how many values it stands for */
    const struct take_member *values;
    size_t count;
};

struct redis_notes;

/* NULL: no memory. */
struct redis_notes *redis_notes_new(struct store_redis *s);
/* What waits is forgotten. */
void redis_notes_free(struct redis_notes **notes);

/* Tells it; all is copied. */
void redis_notes_tell(struct store_redis *s, const struct note *note);
size_t redis_notes_waiting(const struct store_redis *s);

#endif
