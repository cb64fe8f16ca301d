/*
 * redis_many.c - counters of very many different values in Redis (recipients): HyperLogLogs, one a quarter of the
 * window.
 *
 *   take   ZADD holds -now N.TOKEN          a mail is on its way that brings N new values
 *          ZRANGEBYSCORE holds -inf -from   what other mails on their way bring
 *          PFCOUNT of the five quarters     within 2 %; less for each window than it would be with one key
 *          [PFCOUNT of four, three …]       near the limit: when would it fit?
 *          PEXPIREAT holds
 *   keep   PFADD quarter VALUE…  PEXPIREAT quarter  ZREM holds N.TOKEN     (redis_notes.c)
 *   give back, undo   ZREM holds N.TOKEN
 *
 * A HyperLogLog forgets nothing, so values are added only when the mail passed; until then the mail stands for them by
 * a number. Which of its values are new is what this node knows: what it saw itself (redis_alone.h) is not. A value
 * that only another node saw counts once more while its mail is on its way, never after: that refuses at most a mail
 * near the limit, and admits none too many.
 */
#include "limits/redis_many.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "limits/redis_alone.h"
#include "limits/redis_commands.h"
#include "limits/redis_values.h"

enum { MAILS_LISTED = 8000 };

/* In a part's room. */
struct many {
    uint64_t token;     /* of this take; 0: it brings nothing new */
    uint64_t old_token; /* of the one before, in an exchange: it stays until this one is taken */
    uint32_t fresh;     /* how many values are new */
    bool held_counts;
    bool asks_when;
    size_t asked_from;
    uint64_t on_their_way;         /* what others' mails bring */
    uint64_t counts[QUARTERS + 1]; /* [n]: of the n newest quarters */
    struct take_held before_alone;
};

static struct many *many_of(struct part *p)
{
    _Static_assert(sizeof(struct many) <= PART_ROOM_BYTES, "a part's room");
    return (struct many *)p->room;
}

/* ---- names and moments ---- */

#define US_PER_QUARTER_S 250000

uint64_t redis_quarter(uint32_t period_s, int64_t now_us)
{
    return (uint64_t)now_us / ((uint64_t)period_s * US_PER_QUARTER_S);
}

int64_t redis_quarter_start_us(uint32_t period_s, uint64_t quarter)
{
    return (int64_t)(quarter * period_s * US_PER_QUARTER_S);
}

struct str redis_many_holds_key(struct str stem, size_t prefix_bytes, char *to, size_t size)
{
    size_t mark = str_find(stem, '\0');
    struct str ending = str_from(stem, mark + 1);
    if (stem.len > size || prefix_bytes >= mark)
        return STR_NONE;
    memcpy(to, stem.ptr, mark);
    if (ending.len)
        memcpy(to + mark, ending.ptr, ending.len);
    to[prefix_bytes] = 'x';
    return str_of(to, mark + ending.len);
}

struct str mail_hold_text(uint64_t token, uint32_t count, char to[MAIL_HOLD_TEXT_BYTES])
{
    int len = snprintf(to, MAIL_HOLD_TEXT_BYTES, "%u.%016llx", count, (unsigned long long)token);
    return str_of(to, (size_t)len);
}

bool mail_hold_parse(struct str text, uint64_t *token, uint32_t *count)
{
    struct str rest;
    uint64_t n;
    if (!str_to_u64(str_split(text, '.', &rest), UINT32_MAX, &n) || !hex_parse(rest, 16, token))
        return false;
    *count = (uint32_t)n;
    return true;
}

static struct str holds_key(const struct store_redis *s, struct str stem, char *to)
{
    return redis_many_holds_key(stem, s->options.prefix.len, to, REDIS_KEY_MAX_BYTES);
}

/* ---- commands ---- */

static bool is_near(const struct part *p)
{
    uint64_t last = redis_values_last(p->store, p->counter.id), allowed = p->take->allowed[COLUMN_ONE];
    return last == UINT64_MAX ? false : last + p->take->cost[COLUMN_ONE] > allowed / 10 * 9;
}

static void prepare(struct part *p)
{
    struct many *m = many_of(p);
    *m = (struct many){.fresh = alone_fresh(p->store, p->take, p->now_us),
                       .held_counts = redis_values_held_counts(p),
                       .old_token = p->take->held.token,
                       .asks_when = is_near(p)};
}

static bool ask_on_their_way(struct part *p)
{
    char key[REDIS_KEY_MAX_BYTES], from[SCORE_TEXT_BYTES], max[STR_OF_U64_MAX];
    const struct str words[] = {STR("ZRANGEBYSCORE"),
                                holds_key(p->store, p->key, key),
                                STR("-inf"),
                                score_text(-seen_held_from_us(p->counter.period_s, p->now_us), from),
                                STR("LIMIT"),
                                STR("0"),
                                str_of_u64(max, MAILS_LISTED)};
    return redis_call_add(&p->call, words, COUNT_OF(words));
}

/* Of the n newest quarters. */
static bool ask_count(struct part *p, size_t n)
{
    char keys[QUARTERS][REDIS_KEY_MAX_BYTES];
    struct str words[1 + QUARTERS] = {STR("PFCOUNT")};
    uint64_t quarter = redis_quarter(p->counter.period_s, p->now_us);
    for (size_t i = 0; i < n; i++)
        words[1 + i] = redis_key_of_window(p->key, quarter - MIN_OF(quarter, i), keys[i], sizeof keys[i]);
    return redis_call_add(&p->call, words, 1 + n);
}

/* What is on its way first: keep adds values before it takes the mail's hold away. */
static bool ask(struct part *p)
{
    if (!ask_on_their_way(p) || !ask_count(p, QUARTERS))
        return false;
    for (size_t n = QUARTERS - 1; many_of(p)->asks_when && n > 0; n--)
        if (!ask_count(p, n))
            return false;
    return true;
}

static bool compose_look(struct part *p)
{
    prepare(p);
    return ask(p);
}

static bool compose_reserve(struct part *p)
{
    struct many *m = many_of(p);
    prepare(p);
    if (m->fresh == 0)
        return ask(p);
    char key_text[REDIS_KEY_MAX_BYTES], score[SCORE_TEXT_BYTES], hold[MAIL_HOLD_TEXT_BYTES];
    struct str key = holds_key(p->store, p->key, key_text);
    m->token = redis_values_token(p->store);
    m->asked_from = 1;
    p->is_reserved = true;
    int64_t end_us =
        MIN_OF(p->now_us + HOLD_MAX_S * INT64_C(1000000), redis_values_end_us(p->counter.period_s, p->now_us));
    const struct str add[] = {STR("ZADD"), key, score_text(-p->now_us, score),
                              mail_hold_text(m->token, m->fresh, hold)};
    return redis_call_add(&p->call, add, COUNT_OF(add)) && ask(p) &&
           redis_values_add_expiry(p->store, &p->call, key, end_us, p->now_us);
}

/* ---- replies ---- */

static bool on_list(struct many *m, const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY)
        return false;
    for (size_t i = 0; i < reply->elements; i++) {
        const redisReply *one = reply->element[i];
        uint64_t token;
        uint32_t count;
        if (one->type != REDIS_REPLY_STRING || !mail_hold_parse(str_of(one->str, one->len), &token, &count))
            return false;
        if (token != m->token && token != m->old_token)
            m->on_their_way += count;
    }
    return true;
}

static bool on_reply(struct part *p, size_t n, const redisReply *reply)
{
    struct many *m = many_of(p);
    if (n == m->asked_from)
        return on_list(m, reply);
    if (reply->type != REDIS_REPLY_INTEGER || reply->integer < 0)
        return false;
    size_t last = m->asked_from + (m->asks_when ? QUARTERS : 1);
    if (n > m->asked_from && n <= last)
        m->counts[QUARTERS - (n - m->asked_from - 1)] = (uint64_t)reply->integer;
    return true;
}

/* ---- the verdict ---- */

/* At the beginning of which quarter would it fit, if nobody else came? Without counts to tell: not before the next. */
static int64_t fits_at_us(struct part *p)
{
    const struct many *m = many_of(p);
    const struct take *take = p->take;
    uint64_t allowed = together_allowed(p), quarter = redis_quarter(p->counter.period_s, p->now_us), later = 1;
    if (take->cost[COLUMN_ONE] > allowed)
        return INT64_MAX;
    while (m->asks_when && later < QUARTERS && m->counts[QUARTERS - later] + m->fresh > allowed)
        later++;
    return redis_quarter_start_us(p->counter.period_s, quarter + later);
}

static void remember_full(struct part *p, int64_t at_us)
{
    const struct many *m = many_of(p);
    struct full f = {.counter = p->counter.id,
                     .allowed = p->take->allowed[COLUMN_ONE],
                     .sum = m->counts[QUARTERS],
                     .growth = m->fresh,
                     .fits_at_us = at_us};
    if (m->counts[QUARTERS] + m->fresh > f.allowed)
        redis_values_set_full(p->store, &f, p->now_us);
}

static bool judge(struct part *p)
{
    struct many *m = many_of(p);
    struct take *take = p->take;
    uint64_t sum = m->counts[QUARTERS] + m->on_their_way, known = take->cost[COLUMN_ONE] - m->fresh;
    redis_values_set_last(p->store, p->counter.id, sum);
    if (m->held_counts) { /* its own hold is part of what is counted */
        sum += m->fresh;
        known = take->cost[COLUMN_ONE];
    }
    uint64_t allowed = take->allowed[COLUMN_ONE];
    take->allowed[COLUMN_ONE] = together_allowed(p);
    bool is_over = take_answer_one(take, sum, MIN_OF(known, sum));
    take->allowed[COLUMN_ONE] = allowed;
    if (!is_over)
        return true;
    int64_t at_us = fits_at_us(p);
    take->wait_us = at_us == INT64_MAX ? WAIT_UNKNOWN : at_us - p->now_us;
    if (p->mode == TAKE_IF_FITS)
        remember_full(p, at_us);
    return p->mode == TAKE_ALWAYS;
}

static void drop_hold(struct store_redis *s, struct str stem, uint64_t token, uint32_t count)
{
    char key_text[REDIS_KEY_MAX_BYTES], hold[MAIL_HOLD_TEXT_BYTES];
    struct str key = holds_key(s, stem, key_text);
    struct errand *e = token ? errand_new(s, key) : NULL;
    if (!e)
        return;
    const struct str words[] = {STR("ZREM"), key, mail_hold_text(token, count, hold)};
    errand_add(e, words, COUNT_OF(words));
    errand_send(e);
}

/* Where a take's hold says how many values it stands for. */
#define HELD_FRESH COLUMN_RECIPIENTS

static void taken(struct part *p)
{
    const struct many *m = many_of(p);
    struct take *take = p->take;
    if (p->mode == TAKE_NOTHING)
        return;
    struct take_held old = take->held;
    if (old.is_local)
        alone_give_back(p->store, take);
    drop_hold(p->store, p->key, old.token, old.cost[HELD_FRESH]);
    take->held = (struct take_held){.slot = (uint64_t)p->now_us, .token = m->token, .is_held = true};
    take->held.cost[COLUMN_ONE] = take->cost[COLUMN_ONE];
    take->held.cost[HELD_FRESH] = m->fresh;
}

static void undo(struct part *p)
{
    const struct many *m = many_of(p);
    if (p->is_reserved)
        drop_hold(p->store, p->key, m->token, m->fresh);
    p->is_reserved = false;
}

static void give_back(struct store_redis *s, struct take *take)
{
    char text[REDIS_KEY_MAX_BYTES];
    struct str key = redis_stem(&take->counter, s->options.prefix, text, sizeof text);
    struct take_held held = take->held;
    if (held.is_local)
        alone_give_back(s, take);
    drop_hold(s, key, held.token, held.cost[HELD_FRESH]);
}

static void keep(struct store_redis *s, struct take *take, int64_t now_us)
{
    redis_values_keep(s, take, NOTE_MANY, take->held.cost[HELD_FRESH], now_us);
}

/* ---- alone ---- */

static bool decide_alone(struct part *p, const struct mirror_terms *terms)
{
    struct many *m = many_of(p);
    struct take *take = p->take;
    if (!alone_take(p, terms, p->is_reserved ? m->token : 0, &m->before_alone))
        return false;
    take->held.cost[HELD_FRESH] = p->is_reserved ? m->fresh : m->before_alone.cost[HELD_FRESH];
    return true;
}

static void undo_alone(struct part *p)
{
    alone_undo(p, &many_of(p)->before_alone);
}

/* The hold that the exchange has made, or will have made by the time its reply is there, is the take's from now on. */
static void taken_alone(struct part *p)
{
    const struct take_held *old = &many_of(p)->before_alone;
    if (p->mode != TAKE_NOTHING && old->token != p->take->held.token)
        drop_hold(p->store, p->key, old->token, old->cost[HELD_FRESH]);
}

static bool compose_forget(struct part *p)
{
    char keys[QUARTERS + 1][REDIS_KEY_MAX_BYTES];
    uint64_t quarter = redis_quarter(p->counter.period_s, p->now_us);
    redis_values_forget(p->store, p->take, p->now_us);
    for (uint64_t i = 0; i <= QUARTERS; i++) {
        struct str key = i < QUARTERS
                             ? redis_key_of_window(p->key, quarter - MIN_OF(quarter, i), keys[i], sizeof keys[i])
                             : holds_key(p->store, p->key, keys[i]);
        const struct str words[] = {STR("DEL"), key};
        if (!redis_call_add(&p->call, words, COUNT_OF(words)))
            return false;
    }
    return true;
}

const struct part_kind redis_many_kind = {
    .is_known_full = redis_values_is_known_full,
    .compose_look = compose_look,
    .compose_reserve = compose_reserve,
    .on_reply = on_reply,
    .judge = judge,
    .taken = taken,
    .undo = undo,
    .decide_alone = decide_alone,
    .undo_alone = undo_alone,
    .taken_alone = taken_alone,
    .give_back = give_back,
    .keep = keep,
    .peek = redis_values_peek,
    .compose_forget = compose_forget,
};
