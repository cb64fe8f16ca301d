/*
 * redis_distinct.c - counters of few different values in Redis (networks, countries, users): one sorted set each.
 *
 *   take   ZADD key -now VALUE+TOKEN…       held: by this take alone, and let go by it
 *          ZRANGEBYSCORE key -inf -from …   what others hold
 *          ZSCORE key VALUE                 is ours kept?
 *          ZCOUNT, ZRANGEBYSCORE key from … what is kept: how many, and the oldest
 *          PEXPIREAT
 *   keep   ZADD key GT now VALUE…  ZREM key VALUE+TOKEN…  PEXPIREAT        (redis_notes.c)
 *   give back, undo   ZREM key VALUE+TOKEN…
 *
 * Why holds are members of their own. Four programs of one user log in at the same time, and each attempt holds his
 * name until his password is found to be right. Were the hold a new score of the value itself, the last to give it back
 * would have to know which of the scores before it still meant something. So a take writes only what is its own: giving
 * back is exact in whatever order it is done, twice does no more than once, and a reply that comes too late costs one
 * ZREM.
 *
 * Why it never over-admits. A take's hold is there before it looks; whoever looks later sees it, or what it was kept
 * as: keep writes the value before it removes the hold, and a look reads holds before values. What is read in between
 * can only be too much. Values that others hold and that are kept already count once, as long as no more than
 * VALUES_LISTED are kept; beyond, they count twice while they are held.
 *
 * What is listed also says when it would fit. A refusal is remembered with all that was counted, so that a flood of new
 * values costs Redis nothing, and one that is known is let through all the same (redis_values.h).
 */
#include <stdlib.h>
#include <string.h>

#include "limits/redis_alone.h"
#include "limits/redis_commands.h"
#include "limits/redis_values.h"

enum {
    VALUES_LISTED = 128,   /* of those kept: the oldest */
    VALUES_ASKED_MAX = 24, /* by a ZSCORE each; more of ours: all that is kept is listed */
    VALUES_LISTED_ALL = 8000,
    HOLDS_LISTED = 8000,
};

enum question { ASKS_NOTHING, ASKS_HOLDS, ASKS_SCORE, ASKS_COUNT, ASKS_KEPT };

/* In a part's room. */
struct distinct {
    uint64_t token;     /* of the take's hold, also of the one before in an exchange */
    int64_t held_at_us; /* that one's time, where it still counts in Redis; 0: there is none */
    struct take_held before_alone;
    struct seen seen;
    size_t count;
    size_t list_max;
    size_t asked_from; /* the number of the first command that asks */
};

static struct distinct *distinct_of(struct part *p)
{
    _Static_assert(sizeof(struct distinct) <= PART_ROOM_BYTES, "a part's room");
    return (struct distinct *)p->room;
}

/* The take's values, for as long as the part lives. */
static struct take_member *ours(struct part *p)
{
    return p->own;
}

static bool prepare(struct part *p)
{
    struct distinct *d = distinct_of(p);
    const struct take *take = p->take;
    bool counts = redis_values_held_counts(p);
    struct take_member *copy = calloc(MAX_OF(take->member_count, 1U), sizeof *copy);
    if (!copy)
        return false;
    free(p->own);
    seen_fini(&d->seen);
    p->own = copy;
    d->count = take->member_count;
    for (size_t i = 0; i < d->count; i++) {
        copy[i] = take->members[i];
        copy[i].stamp = counts ? OUR_HELD : 0;
    }
    d->held_at_us = counts && !take->held.is_local ? (int64_t)take->held.slot : 0;
    d->token = take->held.token ? take->held.token : redis_values_token(p->store);
    d->list_max = d->count > VALUES_ASKED_MAX ? VALUES_LISTED_ALL : VALUES_LISTED;
    d->asked_from = 0;
    return true;
}

/* ---- commands ---- */

static bool ask_list(struct part *p, struct str from, struct str to, size_t max)
{
    char digits[STR_OF_U64_MAX];
    const struct str words[] = {STR("ZRANGEBYSCORE"), p->key,       from,     to,
                                STR("WITHSCORES"),    STR("LIMIT"), STR("0"), str_of_u64(digits, max)};
    return redis_call_add(&p->call, words, COUNT_OF(words));
}

/* How many of our values are asked for by themselves. */
static size_t scores_asked(const struct distinct *d)
{
    return d->count <= VALUES_ASKED_MAX ? d->count : 0;
}

/* In this order: see above. */
static bool ask(struct part *p)
{
    char kept_text[SCORE_TEXT_BYTES], held_text[SCORE_TEXT_BYTES];
    struct str kept = score_text(seen_kept_from_us(p->counter.period_s, p->now_us), kept_text);
    struct str held = score_text(-seen_held_from_us(p->counter.period_s, p->now_us), held_text);
    const struct str count[] = {STR("ZCOUNT"), p->key, kept, STR("+inf")};
    const struct distinct *d = distinct_of(p);
    return ask_list(p, STR("-inf"), held, HOLDS_LISTED) &&
           redis_add_score_questions(&p->call, p->key, ours(p), scores_asked(d)) &&
           redis_call_add(&p->call, count, COUNT_OF(count)) && ask_list(p, kept, STR("+inf"), d->list_max);
}

static bool compose_look(struct part *p)
{
    return prepare(p) && ask(p);
}

static bool compose_reserve(struct part *p)
{
    struct distinct *d = distinct_of(p);
    int64_t end_us = redis_values_end_us(p->counter.period_s, p->now_us);
    if (!prepare(p) || !redis_values_set_holds(&p->call, p->key, ours(p), d->count, d->token, p->now_us))
        return false;
    d->asked_from = member_commands(d->count);
    p->is_reserved = d->count > 0;
    return ask(p) && redis_values_add_expiry(p->store, &p->call, p->key, end_us, p->now_us);
}

/* ---- replies ---- */

static enum question question_of(const struct distinct *d, size_t n, size_t *value)
{
    size_t scores = scores_asked(d);
    if (n < d->asked_from)
        return ASKS_NOTHING;
    n -= d->asked_from;
    if (n == 0)
        return ASKS_HOLDS;
    *value = n - 1;
    if (n <= scores)
        return ASKS_SCORE;
    n -= scores;
    return n == 1 ? ASKS_COUNT : n == 2 ? ASKS_KEPT : ASKS_NOTHING;
}

static struct str text_of(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING ? str_of(reply->str, reply->len) : STR_NONE;
}

/* What is none of ours in there (somebody else's key, an older schema) is a failure of the entity. */
static bool on_list(struct part *p, const redisReply *reply, bool is_kept)
{
    struct distinct *d = distinct_of(p);
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements % 2)
        return false;
    for (size_t i = 0; i < reply->elements; i += 2) {
        struct take_member value;
        uint64_t token;
        int64_t at_us;
        if (!value_parse(text_of(reply->element[i]), &value, &token) ||
            !score_parse(text_of(reply->element[i + 1]), &at_us) || is_kept != (at_us >= 0))
            return false;
        bool is_our_hold = !is_kept && token == d->token;
        if (!is_our_hold && !seen_add(&d->seen, &value, is_kept ? at_us : -at_us, is_kept))
            return false;
    }
    if (is_kept)
        d->seen.is_cut = reply->elements / 2 == d->list_max;
    return true;
}

static bool on_score(struct part *p, const redisReply *reply, size_t value)
{
    int64_t at_us;
    if (reply->type == REDIS_REPLY_NIL)
        return true;
    if (!score_parse(text_of(reply), &at_us))
        return false;
    if (at_us >= seen_kept_from_us(p->counter.period_s, p->now_us))
        ours(p)[value].stamp |= OUR_KEPT;
    return true;
}

static bool on_reply(struct part *p, size_t n, const redisReply *reply)
{
    struct distinct *d = distinct_of(p);
    size_t value;
    switch (question_of(d, n, &value)) {
    case ASKS_HOLDS:
        return on_list(p, reply, false);
    case ASKS_SCORE:
        return on_score(p, reply, value);
    case ASKS_COUNT:
        d->seen.kept_count = (uint64_t)reply->integer;
        return reply->type == REDIS_REPLY_INTEGER && reply->integer >= 0;
    case ASKS_KEPT:
        return on_list(p, reply, true);
    case ASKS_NOTHING:
        break;
    }
    return reply->type == REDIS_REPLY_INTEGER;
}

/* ---- the verdict ---- */

/* Full by what is kept alone: what is only held may be given back at any moment. All that is kept must be listed. */
static void remember_full(struct part *p)
{
    const struct distinct *d = distinct_of(p);
    const struct take *take = p->take;
    const struct seen *seen = &d->seen;
    struct full f = {.counter = p->counter.id,
                     .allowed = take->allowed[COLUMN_ONE],
                     .growth = take->growth[COLUMN_ONE],
                     .fits_at_us = take->wait_us == WAIT_UNKNOWN ? INT64_MAX : p->now_us + take->wait_us};
    if (seen->is_cut || take->growth[COLUMN_ONE] != d->count || seen->others_kept + d->count <= f.allowed)
        return;
    f.kept = malloc(MAX_OF(seen->count, 1U) * sizeof *f.kept);
    if (!f.kept)
        return;
    for (size_t i = 0; i < seen->count; i++)
        if (seen->values[i].is_kept)
            f.kept[f.kept_count++] = seen->values[i].value;
    f.sum = f.kept_count;
    redis_values_set_full(p->store, &f, p->now_us);
}

static bool judge(struct part *p)
{
    struct distinct *d = distinct_of(p);
    struct take *take = p->take;
    uint64_t allowed = take->allowed[COLUMN_ONE];
    take->allowed[COLUMN_ONE] = together_allowed(p);
    bool fits = seen_judge(&d->seen, take, ours(p), d->count, p->now_us);
    take->allowed[COLUMN_ONE] = allowed;
    if (!fits && p->mode == TAKE_IF_FITS)
        remember_full(p);
    return fits;
}

static void taken(struct part *p)
{
    struct distinct *d = distinct_of(p);
    struct take *take = p->take;
    if (p->mode == TAKE_NOTHING)
        return;
    if (take->held.is_local)
        alone_give_back(p->store, take);
    take->held = (struct take_held){
        .cost = {take->cost[COLUMN_ONE]}, .slot = (uint64_t)p->now_us, .token = d->token, .is_held = true};
}

/* ---- back again ---- */

static void let_go(struct store_redis *s, struct str key, const struct take_member *values, size_t count,
                   uint64_t token)
{
    struct errand *e = errand_new(s, key);
    if (!e)
        return; /* they count until their hour is over */
    (void)redis_values_set_holds(&e->call, key, values, count, token, 0);
    errand_send(e);
}

/* As the take held them before. The key may have been deleted meanwhile: it is made anew, with an end. */
static void hold_again(struct part *p)
{
    struct distinct *d = distinct_of(p);
    struct errand *e = errand_new(p->store, p->key);
    if (!e)
        return; /* they count from now on */
    (void)redis_values_set_holds(&e->call, p->key, ours(p), d->count, d->token, d->held_at_us);
    (void)redis_values_add_expiry(p->store, &e->call, p->key, redis_values_end_us(p->counter.period_s, p->now_us),
                                  p->now_us);
    errand_send(e);
}

/* Of an exchange that comes too late it is not known whether its take still holds what it held. If it does, that counts
 * from now on; if not, its ZREM is on its way behind this exchange. */
static void undo(struct part *p)
{
    struct distinct *d = distinct_of(p);
    if (p->is_reserved && d->held_at_us && p->take)
        hold_again(p);
    else if (p->is_reserved && !d->held_at_us)
        let_go(p->store, p->key, ours(p), d->count, d->token);
    p->is_reserved = false;
}

static void give_back(struct store_redis *s, struct take *take)
{
    char text[REDIS_KEY_MAX_BYTES];
    struct str key = redis_stem(&take->counter, s->options.prefix, text, sizeof text);
    uint64_t token = take->held.token;
    if (take->held.is_local)
        alone_give_back(s, take);
    if (token && take->member_count)
        let_go(s, key, take->members, take->member_count, token);
}

static void keep(struct store_redis *s, struct take *take, int64_t now_us)
{
    redis_values_keep(s, take, NOTE_KEPT, 0, now_us);
}

/* ---- alone ---- */

static bool decide_alone(struct part *p, const struct mirror_terms *terms)
{
    struct distinct *d = distinct_of(p);
    return alone_take(p, terms, p->is_reserved ? d->token : 0, &d->before_alone);
}

static void undo_alone(struct part *p)
{
    alone_undo(p, &distinct_of(p)->before_alone);
}

static void fini(struct part *p)
{
    seen_fini(&distinct_of(p)->seen);
    free(p->own);
    p->own = NULL;
}

static bool compose_forget(struct part *p)
{
    const struct str words[] = {STR("DEL"), p->key};
    redis_values_forget(p->store, p->take, p->now_us);
    return redis_call_add(&p->call, words, COUNT_OF(words));
}

const struct part_kind redis_distinct_kind = {
    .is_known_full = redis_values_is_known_full,
    .compose_look = compose_look,
    .compose_reserve = compose_reserve,
    .on_reply = on_reply,
    .judge = judge,
    .taken = taken,
    .undo = undo,
    .decide_alone = decide_alone,
    .undo_alone = undo_alone,
    .fini = fini,
    .give_back = give_back,
    .keep = keep,
    .peek = redis_values_peek,
    .compose_forget = compose_forget,
};
