/* redis_values.c - what counters of values in Redis have in common. See redis_values.h. */
#include "limits/redis_values.h"

#include <stdlib.h>

#include "limits/distinct.h"
#include "limits/redis_alone.h"
#include "limits/redis_commands.h"

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

/* ---- commands ---- */

bool redis_values_set_holds(struct redis_call *call, struct str key, const struct take_member *values, size_t count,
                            uint64_t token, int64_t at_us)
{
    struct member_command m;
    char text[HOLD_TEXT_BYTES];
    if (at_us)
        member_command_begin_scored(&m, call, key, -at_us, false);
    else
        member_command_begin(&m, call, STR("ZREM"), key);
    for (size_t i = 0; i < count; i++)
        member_command_add(&m, hold_text(&values[i], token, text));
    return member_command_end(&m);
}

bool redis_values_add_seen(struct redis_call *call, struct str key, const struct take_member *values, size_t count,
                           int64_t at_us)
{
    struct member_command m;
    char text[VALUE_TEXT_BYTES];
    member_command_begin_scored(&m, call, key, at_us, true);
    for (size_t i = 0; i < count; i++)
        member_command_add(&m, value_text(&values[i], text));
    return member_command_end(&m);
}

/* Where the time is given (tests), keys still expire by Redis' own. */
bool redis_values_add_expiry(const struct store_redis *s, struct redis_call *call, struct str key, int64_t at_us,
                             int64_t now_us)
{
    int64_t real_us = s->options.time_is_given ? redis_now_us(s->options.redis, key) : now_us;
    return redis_add_expiry(call, key, (real_us + (at_us - now_us)) / 1000);
}

/* ---- holds ---- */

/* Processes begin somewhere among 2^64: that two come to the same is out of the question. */
uint64_t redis_values_token(struct store_redis *s)
{
    s->values->token += s->values->token == UINT64_MAX ? 2 : 1;
    return s->values->token;
}

bool redis_values_held_counts(const struct part *p)
{
    const struct take_held *held = &p->take->held;
    uint32_t period_s = p->counter.period_s;
    if (!held->is_held)
        return false;
    if (held->is_local)
        return window_holds(window_slot(p->now_us, period_s), held->slot);
    return (int64_t)held->slot >= seen_held_from_us(period_s, p->now_us);
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

/* NULL: nothing that is still believed. With less time left than it is believed for, the clock was set back. */
static const struct full *full_find(const struct store_redis *s, const struct take *take, int64_t now_us)
{
    const struct full *set = s->values->full[take->counter.id.hi % FULL_SETS];
    for (size_t i = 0; i < FULL_WAYS; i++)
        if (is_of(&set[i], take->counter.id) && set[i].until_us > now_us &&
            set[i].until_us - now_us <= FULL_BELIEVED_US && set[i].allowed == take->allowed[COLUMN_ONE])
            return &set[i];
    return NULL;
}

/* Of the take's values, how many are among what was counted? */
static uint64_t known_of(const struct full *f, struct store_redis *s, const struct take *take, int64_t now_us)
{
    uint64_t known = 0;
    if (!f->kept) /* by what this node saw itself */
        return take->cost[COLUMN_ONE] - alone_fresh(s, take, now_us);
    for (size_t i = 0; i < take->member_count && f->kept_count; i++)
        known += bsearch(&take->members[i], f->kept, f->kept_count, sizeof *f->kept, distinct_compare) != NULL;
    return known;
}

/* Answers a take that brings `known` values of those counted: as it was answered then, if it is over again. The wait
 * that was told was for as much growth: for less, it may fit sooner. */
static bool answer_as_then(const struct full *f, struct take *take, uint64_t known, int64_t now_us)
{
    uint64_t cost = take->cost[COLUMN_ONE];
    if (cost < known || cost - known < f->growth || !take_answer_one(take, f->sum, known))
        return false;
    bool never = f->fits_at_us == INT64_MAX || cost > take->allowed[COLUMN_ONE];
    take->wait_us = never ? WAIT_UNKNOWN : f->fits_at_us - now_us;
    return true;
}

/* Values that are named count apart: a take that brings one of those counted is Redis' to judge. */
static bool take_is_known_full(struct store_redis *s, struct take *take, int64_t now_us)
{
    const struct full *f = full_find(s, take, now_us);
    if (!f || take->held.is_held)
        return false;
    uint64_t known = known_of(f, s, take, now_us);
    return (!f->kept || known == 0) && answer_as_then(f, take, known, now_us);
}

bool redis_values_is_known_full(struct part *p)
{
    return p->mode == TAKE_IF_FITS && take_is_known_full(p->store, p->take, p->now_us);
}

bool redis_values_peek(struct store_redis *s, struct take *take, int64_t now_us)
{
    char text[REDIS_KEY_MAX_BYTES];
    struct str key = redis_stem(&take->counter, s->options.prefix, text, sizeof text);
    return take_is_known_full(s, take, store_redis_now_us(s, key, now_us));
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

/* ---- in the end ---- */

void redis_values_keep(struct store_redis *s, struct take *take, enum note_kind kind, uint32_t held_count,
                       int64_t now_us)
{
    char text[REDIS_KEY_MAX_BYTES];
    struct str key = redis_stem(&take->counter, s->options.prefix, text, sizeof text);
    struct note note = {.kind = kind,
                        .key = key,
                        .period_s = take->counter.period_s,
                        .at_us = store_redis_now_us(s, key, now_us),
                        .token = take->held.token,
                        .held_count = held_count,
                        .values = take->members,
                        .count = take->member_count};
    alone_keep(s, take, note.at_us);
    redis_notes_tell(s, &note);
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
