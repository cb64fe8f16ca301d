/* redis_values.c - what a process remembers of counters of values in Redis. See redis_values.h. */
#include "limits/redis_values.h"

#include <stdlib.h>

#include "limits/memory_slots.h"
#include "limits/redis_notes.h"

#define EXPIRY_LATER_US INT64_C(5000000)

bool redis_values_open(struct store_redis *s, struct err *err)
{
    struct redis_values *v = s->values = calloc(1, sizeof *v);
    if (!v)
        return err_no_memory(err);
    random_bytes(&v->token, sizeof v->token);
    v->notes = redis_notes_new(s);
    if (v->notes)
        return true;
    redis_values_close(s);
    return err_no_memory(err);
}

void redis_values_close(struct store_redis *s)
{
    struct redis_values *v = s->values;
    if (!v)
        return;
    redis_notes_free(&v->notes);
    for (size_t i = 0; i < FULL_SETS; i++)
        for (size_t k = 0; k < FULL_WAYS; k++)
            free(v->full[i][k].kept);
    free(v);
    s->values = NULL;
}

/* ---- names and moments ---- */

/* Processes begin somewhere among 2^64: that two come to the same is out of the question. */
uint64_t redis_values_token(struct store_redis *s)
{
    s->values->token += s->values->token == UINT64_MAX ? 2 : 1;
    return s->values->token;
}

/* Where the time is given (tests), keys still expire by Redis' own. */
struct str redis_values_expiry(const struct store_redis *s, struct str key, int64_t at_us, int64_t now_us,
                               char to[SCORE_TEXT_BYTES])
{
    int64_t real_us = s->options.time_is_given ? redis_now_us(s->options.redis, key) : now_us;
    return score_text((real_us + (at_us - now_us) + EXPIRY_LATER_US) / 1000, to);
}

int64_t redis_values_end_us(uint32_t period_s, int64_t now_us)
{
    return window_slot_start_us(window_slot(now_us, period_s) + WINDOW_CELLS, period_s);
}

/* ---- what was full lately ---- */

static bool is_of(const struct full *f, struct hash128 counter)
{
    return f->counter.lo == counter.lo && f->counter.hi == counter.hi;
}

void redis_values_set_full(struct store_redis *s, const struct full *f, int64_t now_us)
{
    struct full *set = s->values->full[f->counter.hi % FULL_SETS], *place = set;
    for (size_t i = 0; i < FULL_WAYS; i++) {
        if (is_of(&set[i], f->counter)) {
            place = &set[i];
            break;
        }
        if (set[i].until_us < place->until_us)
            place = &set[i];
    }
    free(place->kept);
    *place = *f;
    place->until_us = MIN_OF(f->fits_at_us, now_us + FULL_BELIEVED_US);
}

/* With less time left than it is believed for, the clock was set back. */
const struct full *redis_values_full(const struct store_redis *s, const struct take *take, int64_t now_us)
{
    const struct full *set = s->values->full[take->counter.id.hi % FULL_SETS];
    for (size_t i = 0; i < FULL_WAYS; i++)
        if (is_of(&set[i], take->counter.id) && set[i].until_us > now_us &&
            set[i].until_us - now_us <= FULL_BELIEVED_US && set[i].allowed == take->allowed[COLUMN_ONE])
            return &set[i];
    return NULL;
}

static int compare(const void *a, const void *b)
{
    const struct take_member *x = a, *y = b;
    if (x->lo != y->lo)
        return x->lo < y->lo ? -1 : 1;
    return x->hi < y->hi ? -1 : x->hi > y->hi;
}

bool full_has(const struct full *f, const struct take_member *value)
{
    return f->kept_count && bsearch(value, f->kept, f->kept_count, sizeof *f->kept, compare);
}

/* The wait that was told was for as much growth: for less, it may fit sooner. */
bool full_answer(const struct full *f, struct take *take, uint64_t known, int64_t now_us)
{
    uint64_t cost = take->cost[COLUMN_ONE];
    if (cost < known || cost - known < f->growth)
        return false;
    for (size_t c = 0; c < COLUMNS; c++)
        take->used[c] = take->growth[c] = take->is_over[c] = 0;
    take->wait_us = 0;
    if (!take_answer(take, COLUMN_ONE, f->sum, known))
        return false;
    bool never = f->fits_at_us == INT64_MAX || cost > take->allowed[COLUMN_ONE];
    take->wait_us = never ? WAIT_UNKNOWN : f->fits_at_us - now_us;
    return true;
}

void redis_values_forget(struct store_redis *s, const struct take *take, int64_t now_us)
{
    struct full *set = s->values->full[take->counter.id.hi % FULL_SETS];
    struct take wish = *take, *wishes = &wish;
    struct store_op op = {.takes = &wishes, .count = 1, .now_us = now_us};
    for (size_t i = 0; i < FULL_WAYS; i++)
        if (is_of(&set[i], take->counter.id))
            set[i].until_us = 0;
    redis_values_set_last(s, take->counter.id, UINT64_MAX);
    (void)s->alone.ops->forget_start(&s->alone, &op);
}

void redis_values_set_last(struct store_redis *s, struct hash128 counter, uint64_t sum)
{
    size_t at = counter.hi % LAST_COUNTS;
    s->values->last[at].counter = counter;
    s->values->last[at].sum = sum;
}

uint64_t redis_values_last(const struct store_redis *s, struct hash128 counter)
{
    size_t at = counter.hi % LAST_COUNTS;
    bool is_it = s->values->last[at].counter.lo == counter.lo && s->values->last[at].counter.hi == counter.hi;
    return is_it ? s->values->last[at].sum : UINT64_MAX;
}
