/*
 * redis_leases.c - open connections in Redis: a sorted set for each client, a member for each lease, whose score is its
 * end on the shard's clock.
 *
 *   take             ZREMRANGEBYSCORE key -inf now   ZADD key end NODE.OWNER.N   ZCARD key   PEXPIREAT key
 *   every 20 s       ZADD key end NODE.OWNER.N of all that this process holds, PEXPIREAT key
 *   undo, give back  ZREM key NODE.OWNER.N                                            (redis_leases_held.c)
 *
 * Every lease is taken in the embedded store first: what this node alone holds may be too many already, and then Redis
 * is not asked. When a worker dies, the supervisor drops its leases there. Those in Redis run out within a minute; and
 * where one of them refuses somebody before, this node looks whose they are, and takes away those of its own workers
 * that hold nothing here any more (so the one who was refused gets in a moment later). Those of a node that died count
 * until their minute is over.
 *
 * A refusal is remembered for five seconds, unless some connection of that client ended on this node meanwhile: a flood
 * from a client that has all its places costs Redis nothing.
 *
 * Leases always end by Redis' own clock, also where a test gives the time: they are renewed as real time passes. If
 * Redis was away, or lost its data, they are back with the next renewal; meanwhile a node counts what it holds itself,
 * against its share.
 */
#include "limits/redis_leases.h"

#include "limits/lease_reap.h"
#include "limits/redis_alone.h"
#include "limits/redis_commands.h"

#define DENIAL_US INT64_C(5000000)

/* In a part's room. */
struct lease_part {
    uint64_t first; /* number of the first lease that is added */
    uint32_t added, held;
    bool is_here; /* they are taken in the embedded store, too */
    uint32_t generation;
    uint64_t here;  /* what this node holds, these included */
    uint64_t count; /* ZCARD */
    size_t asks_at; /* the number of the command that counts */
};

static struct lease_part *lease_of(struct part *p)
{
    _Static_assert(sizeof(struct lease_part) <= PART_ROOM_BYTES, "a part's room");
    return (struct lease_part *)p->room;
}

static int64_t now_us(const struct store_redis *s, struct str key)
{
    return redis_now_us(s->options.redis, key);
}

/* ---- the embedded store ---- */

/* Takes as many there, whatever is allowed; *here: what this node holds then. */
static bool take_here(struct part *p, uint32_t count)
{
    struct lease_part *l = lease_of(p);
    struct take take = {.counter = p->take->counter, .mode = TAKE_ALWAYS, .cost = {count}}, *takes = &take;
    struct store_op op = {.takes = &takes, .count = 1, .now_us = p->now_us, .deadline_ms = 2};
    for (size_t c = 0; c < COLUMNS; c++)
        take.allowed[c] = ALLOWED_ANY;
    (void)p->store->alone.ops->take_start(&p->store->alone, &op);
    if (op.result != STORE_TAKEN)
        return false;
    l->is_here = true;
    l->generation = take.held.generation;
    l->here = take.used[COLUMN_ONE];
    return true;
}

static void undo_here(struct part *p)
{
    struct store *alone = &p->store->alone;
    struct lease_part *l = lease_of(p);
    if (l->is_here)
        alone->ops->drop_lease(alone, p->counter.id, l->added, l->generation);
    l->is_here = false;
}

/* What this node holds now. */
static uint64_t held_here(struct store_redis *s, const struct take *of, int64_t at_us)
{
    struct take take = {.counter = of->counter, .mode = TAKE_NOTHING};
    for (size_t c = 0; c < COLUMNS; c++)
        take.allowed[c] = ALLOWED_ANY;
    return s->alone.ops->peek(&s->alone, &take, at_us) ? take.used[COLUMN_ONE] : 0;
}

/* ---- what was refused lately ---- */

static struct lease_denial *denial_of(struct store_redis *s, struct hash128 id)
{
    struct lease_denial *d = &s->leases->denials[id.hi % LEASE_DENIALS];
    return d->counter.lo == id.lo && d->counter.hi == id.hi ? d : NULL;
}

static void remember_denial(struct part *p, uint64_t sum, uint64_t here)
{
    p->store->leases->denials[p->counter.id.hi % LEASE_DENIALS] =
        (struct lease_denial){p->counter.id, sum, here, now_us(p->store, p->key) + DENIAL_US};
}

/* Against what is allowed by these circumstances. Is it over? */
static bool answer(struct take *take, uint64_t sum, uint32_t held, uint64_t allowed)
{
    uint64_t all = take->allowed[COLUMN_ONE];
    take->allowed[COLUMN_ONE] = allowed;
    bool is_over = take_answer_one(take, sum, MIN_OF(held, sum));
    take->allowed[COLUMN_ONE] = all;
    take->wait_us = is_over ? WAIT_UNKNOWN : 0;
    return is_over;
}

/* By what this node holds itself; or Redis said so a moment ago, and nobody left since. */
static bool take_is_known_full(struct store_redis *s, struct take *take, struct str key, int64_t at_us)
{
    uint64_t here = held_here(s, take, at_us);
    uint32_t held = take->held.is_held ? take->held.cost[COLUMN_ONE] : 0;
    uint64_t allowed = take->allowed[COLUMN_ONE];
    const struct lease_denial *d = denial_of(s, take->counter.id);
    if (answer(take, here, held, allowed))
        return true;
    int64_t left_us = d ? d->until_us - now_us(s, key) : 0;
    return left_us > 0 && left_us <= DENIAL_US && here >= d->here && answer(take, d->sum, held, allowed);
}

static bool is_known_full(struct part *p)
{
    return p->mode == TAKE_IF_FITS && take_is_known_full(p->store, p->take, p->key, p->now_us);
}

static bool peek(struct store_redis *s, struct take *take, int64_t at_us)
{
    char text[REDIS_KEY_MAX_BYTES];
    struct str key = redis_stem(&take->counter, s->options.prefix, text, sizeof text);
    return take_is_known_full(s, take, key, at_us);
}

/* ---- a take ---- */

static void prepare(struct part *p)
{
    struct lease_part *l = lease_of(p);
    uint32_t cost = p->take->cost[COLUMN_ONE];
    *l = (struct lease_part){.held = p->take->held.is_held ? p->take->held.cost[COLUMN_ONE] : 0};
    l->added = cost > l->held ? cost - l->held : 0;
    l->first = p->store->leases->next_number;
    p->store->leases->next_number += l->added;
}

static bool compose_look(struct part *p)
{
    char from[SCORE_TEXT_BYTES + 1] = "(";
    *lease_of(p) = (struct lease_part){.held = 0};
    struct str now = score_text(now_us(p->store, p->key) / 1000, from + 1);
    const struct str words[] = {STR("ZCOUNT"), p->key, str_of(from, now.len + 1), STR("+inf")};
    return redis_call_add(&p->call, words, COUNT_OF(words));
}

static struct lease_numbers added_of(const struct lease_part *l)
{
    return (struct lease_numbers){.first = l->first, .count = l->added};
}

static bool compose_reserve(struct part *p)
{
    struct lease_part *l = lease_of(p);
    char text[SCORE_TEXT_BYTES];
    prepare(p);
    if (l->added > LEASES_A_TAKE_MAX || !take_here(p, l->added))
        return false;
    p->is_reserved = true;
    struct lease_numbers added = added_of(l);
    int64_t now_ms = now_us(p->store, p->key) / 1000, end_ms = redis_leases_end_ms(p->store, p->key);
    const struct str ended[] = {STR("ZREMRANGEBYSCORE"), p->key, STR("-inf"), score_text(now_ms, text)};
    const struct str count[] = {STR("ZCARD"), p->key};
    l->asks_at = 1 + member_commands(l->added);
    return redis_call_add(&p->call, ended, COUNT_OF(ended)) &&
           redis_leases_add(p->store, &p->call, p->key, &added, end_ms) &&
           redis_call_add(&p->call, count, COUNT_OF(count)) && redis_add_expiry(&p->call, p->key, end_ms);
}

static bool on_reply(struct part *p, size_t n, const redisReply *reply)
{
    struct lease_part *l = lease_of(p);
    if (reply->type != REDIS_REPLY_INTEGER || reply->integer < 0)
        return false;
    if (n == l->asks_at)
        l->count = (uint64_t)reply->integer;
    return true;
}

/* Some of them were of workers that died, and are gone. */
static void forget_denial(struct store_redis *s, struct hash128 id)
{
    struct lease_denial *d = denial_of(s, id);
    if (d)
        *d = (struct lease_denial){.until_us = 0};
}

static bool judge(struct part *p)
{
    struct lease_part *l = lease_of(p);
    uint64_t sum = l->count - MIN_OF(l->added, l->count);
    if (!answer(p->take, sum, l->held, together_allowed(p)))
        return true;
    if (p->mode == TAKE_IF_FITS) {
        remember_denial(p, sum, l->here - MIN_OF(l->added, l->here));
        lease_reap(&p->store->leases->reaps, p->store, p->counter.id, p->key, forget_denial);
    }
    return p->mode == TAKE_ALWAYS;
}

/* The leases are this process' from now on. */
static void own(struct part *p)
{
    struct lease_part *l = lease_of(p);
    struct take *take = p->take;
    uint32_t cost = take->cost[COLUMN_ONE];
    if (l->added)
        redis_leases_hold(p->store, p->counter.id, p->key, l->first, l->added);
    take->held.generation = l->is_here ? l->generation : take->held.generation;
    take->held.is_held = true;
    if (cost < l->held)
        redis_leases_drop(p->store, p->counter.id, l->held - cost, take->held.generation);
    take->held.cost[COLUMN_ONE] = cost;
    l->is_here = false; /* no longer the part's */
}

static void taken(struct part *p)
{
    if (p->mode != TAKE_NOTHING)
        own(p);
}

static void undo(struct part *p)
{
    struct lease_numbers added = added_of(lease_of(p));
    undo_here(p);
    if (p->is_reserved)
        redis_leases_remove(p->store, p->key, &added);
    p->is_reserved = false;
}

static void give_back(struct store_redis *s, struct take *take)
{
    redis_leases_drop(s, take->counter.id, take->held.cost[COLUMN_ONE], take->held.generation);
}

/* ---- alone ---- */

static bool decide_alone(struct part *p, const struct mirror_terms *terms)
{
    struct lease_part *l = lease_of(p);
    struct take *take = p->take;
    uint64_t allowed = alone_allowed(take->allowed[COLUMN_ONE], terms);
    if (p->mode == TAKE_NOTHING)
        return !answer(take, held_here(p->store, take, p->now_us), 0, allowed);
    if (!l->is_here) {
        prepare(p);
        if (!take_here(p, l->added))
            l->here = l->added; /* a lock was not had: as if nobody else were here */
    }
    bool is_over = answer(take, l->here - MIN_OF(l->added, l->here), l->held, allowed);
    if (is_over && p->mode == TAKE_IF_FITS) {
        undo_here(p);
        return false;
    }
    own(p);
    take->held.is_local = true;
    return true;
}

static void undo_alone(struct part *p)
{
    const struct lease_part *l = lease_of(p);
    redis_leases_drop(p->store, p->counter.id, l->added, p->take->held.generation);
    p->take->held.cost[COLUMN_ONE] = l->held;
    p->take->held.is_held = l->held > 0;
    p->take->held.is_local = false;
}

/* Late, or kept: the table knows the leases, renews them as long as their connection is there, and drops them. */
const struct part_kind redis_leases_kind = {
    .is_known_full = is_known_full,
    .compose_look = compose_look,
    .compose_reserve = compose_reserve,
    .on_reply = on_reply,
    .judge = judge,
    .taken = taken,
    .undo = undo,
    .decide_alone = decide_alone,
    .undo_alone = undo_alone,
    .give_back = give_back,
    .peek = peek,
};
