/*
 * redis_leases.c - open connections in Redis: a sorted set for each client, a member for each lease, whose score is its
 * end on the shard's clock.
 *
 *   take       ZREMRANGEBYSCORE key -inf now   ZADD key end NODE.OWNER.N   ZCARD key   PEXPIREAT key
 *   each 20 s  ZADD key end of all that this process holds, PEXPIREAT: 256 keys a turn at most
 *   drop       ZREM key NODE.OWNER.N
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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "limits/lease_reap.h"
#include "limits/lease_table.h"
#include "limits/redis_alone.h"
#include "limits/store_redis_inside.h"
#include "limits/values_seen.h"

enum {
    LEASE_MS = 60000,
    RENEW_MS = 20000,
    LOOK_MS = 1000,
    SETS_A_TURN = 256,
    MEMBERS_A_COMMAND = 64,
    MEMBERS_MAX = 2048, /* of one take */
    DENIALS = 256,
    DENIAL_US = 5000000
};

struct denial {
    struct hash128 counter;
    uint64_t sum;  /* what was counted */
    uint64_t here; /* of that, by this node */
    int64_t until_us;
};

struct redis_leases {
    struct store_redis *store;
    struct lease_table table;
    uint64_t next_number;
    unsigned ups; /* of all shards: another number, and one of them may hold other data than before */
    struct timer renewal;
    struct list reaps; /* looks for leases of dead workers */
    struct denial denials[DENIALS];
};

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

/* ---- names ---- */

enum { LEASE_TEXT_BYTES = 64 + 1 + 10 + 1 + 20 + 1 };

static struct str lease_text(const struct store_redis *s, uint64_t number, char to[LEASE_TEXT_BYTES])
{
    int len = snprintf(to, LEASE_TEXT_BYTES, "%s.%u.%llu", s->node, s->options.owner, (unsigned long long)number);
    return str_of(to, MIN_OF((size_t)len, (size_t)LEASE_TEXT_BYTES - 1));
}

/* ---- commands ---- */

typedef bool add_command(void *to, const struct str *words, size_t count);

static bool add_to_call(void *call, const struct str *words, size_t count)
{
    return redis_call_add(call, words, count);
}

static bool add_to_errand(void *errand, const struct str *words, size_t count)
{
    errand_add(errand, words, count);
    return true;
}

/* "ZADD KEY END LEASE…"; end_ms 0: "ZREM KEY LEASE…". */
static bool set_leases(const struct store_redis *s, add_command *add, void *to, struct str key, const uint64_t *numbers,
                       size_t count, int64_t end_ms)
{
    char score[SCORE_TEXT_BYTES], texts[MEMBERS_A_COMMAND][LEASE_TEXT_BYTES];
    struct str words[2 + 2 * MEMBERS_A_COMMAND] = {end_ms ? STR("ZADD") : STR("ZREM"), key};
    struct str end = score_text(end_ms, score);
    for (size_t from = 0; from < count; from += MEMBERS_A_COMMAND) {
        size_t some = MIN_OF(count - from, (size_t)MEMBERS_A_COMMAND), n = 2;
        for (size_t i = 0; i < some; i++) {
            if (end_ms)
                words[n++] = end;
            words[n++] = lease_text(s, numbers[from + i], texts[i]);
        }
        if (!add(to, words, n))
            return false;
    }
    return true;
}

static bool set_expiry(add_command *add, void *to, struct str key, int64_t end_ms)
{
    char text[SCORE_TEXT_BYTES];
    const struct str words[] = {STR("PEXPIREAT"), key, score_text(end_ms + 5000, text)};
    return add(to, words, COUNT_OF(words));
}

static void remove_leases(struct store_redis *s, struct str key, const uint64_t *numbers, size_t count)
{
    struct errand *e = count && redis_is_up(s->options.redis, key) ? errand_new(s, key) : NULL;
    if (!e)
        return; /* they run out */
    (void)set_leases(s, add_to_errand, e, key, numbers, count, 0);
    errand_send(e);
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

static void drop_here(struct store_redis *s, struct hash128 id, uint32_t count, uint32_t generation)
{
    s->alone.ops->drop_lease(&s->alone, id, count, generation);
}

static void undo_here(struct part *p)
{
    struct lease_part *l = lease_of(p);
    if (l->is_here)
        drop_here(p->store, p->counter.id, l->added, l->generation);
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

static struct denial *denial_of(struct store_redis *s, struct hash128 id)
{
    struct denial *d = &s->leases->denials[id.hi % DENIALS];
    return d->counter.lo == id.lo && d->counter.hi == id.hi ? d : NULL;
}

static void remember_denial(struct part *p, uint64_t sum, uint64_t here)
{
    p->store->leases->denials[p->counter.id.hi % DENIALS] =
        (struct denial){p->counter.id, sum, here, now_us(p->store, p->key) + DENIAL_US};
}

/* Against what is allowed by these circumstances. Is it over? */
static bool answer(struct take *take, uint64_t sum, uint32_t held, uint64_t allowed)
{
    uint64_t all = take->allowed[COLUMN_ONE];
    take->allowed[COLUMN_ONE] = allowed;
    for (size_t c = 0; c < COLUMNS; c++)
        take->used[c] = take->growth[c] = take->is_over[c] = 0;
    bool is_over = take_answer(take, COLUMN_ONE, sum, MIN_OF(held, sum));
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
    const struct denial *d = denial_of(s, take->counter.id);
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

static bool add_leases(struct part *p, int64_t end_ms)
{
    const struct lease_part *l = lease_of(p);
    uint64_t numbers[MEMBERS_A_COMMAND];
    for (uint32_t from = 0; from < l->added; from += MEMBERS_A_COMMAND) {
        uint32_t some = MIN_OF(l->added - from, (uint32_t)MEMBERS_A_COMMAND);
        for (uint32_t i = 0; i < some; i++)
            numbers[i] = l->first + from + i;
        if (!set_leases(p->store, add_to_call, &p->call, p->key, numbers, some, end_ms))
            return false;
    }
    return true;
}

static bool compose_reserve(struct part *p)
{
    struct lease_part *l = lease_of(p);
    char text[SCORE_TEXT_BYTES];
    prepare(p);
    if (l->added > MEMBERS_MAX || !take_here(p, l->added))
        return false;
    p->is_reserved = true;
    int64_t now_ms = now_us(p->store, p->key) / 1000, end_ms = now_ms + LEASE_MS;
    const struct str ended[] = {STR("ZREMRANGEBYSCORE"), p->key, STR("-inf"), score_text(now_ms, text)};
    const struct str count[] = {STR("ZCARD"), p->key};
    l->asks_at = 1 + (l->added + MEMBERS_A_COMMAND - 1) / MEMBERS_A_COMMAND;
    return redis_call_add(&p->call, ended, COUNT_OF(ended)) && add_leases(p, end_ms) &&
           redis_call_add(&p->call, count, COUNT_OF(count)) && set_expiry(add_to_call, &p->call, p->key, end_ms);
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
    struct denial *d = denial_of(s, id);
    if (d)
        *d = (struct denial){.until_us = 0};
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

/* The leases are this process' from now on. Without memory to remember them they run out by themselves. */
static void own(struct part *p)
{
    struct lease_part *l = lease_of(p);
    struct redis_leases *leases = p->store->leases;
    struct loop *loop = p->store->options.loop;
    struct take *take = p->take;
    uint32_t cost = take->cost[COLUMN_ONE];
    if (l->added)
        (void)lease_table_add(&leases->table, p->counter.id, p->key, l->first, l->added, loop_now_ms(loop) + RENEW_MS);
    take->held.generation = l->is_here ? l->generation : take->held.generation;
    take->held.is_held = true;
    if (cost < l->held)
        redis_leases_drop(p->store, p->counter.id, l->held - cost, take->held.generation);
    take->held.cost[COLUMN_ONE] = cost;
    l->is_here = false; /* no longer the part's */
    if (!timer_is_running(&leases->renewal))
        timer_start(&leases->renewal, loop_now_ms(loop) + LOOK_MS);
}

static void taken(struct part *p)
{
    if (p->mode != TAKE_NOTHING)
        own(p);
}

static void undo(struct part *p)
{
    const struct lease_part *l = lease_of(p);
    undo_here(p);
    for (uint32_t from = 0; from < l->added && p->is_reserved; from += MEMBERS_A_COMMAND) {
        uint64_t numbers[MEMBERS_A_COMMAND];
        uint32_t some = MIN_OF(l->added - from, (uint32_t)MEMBERS_A_COMMAND);
        for (uint32_t i = 0; i < some; i++)
            numbers[i] = l->first + from + i;
        remove_leases(p->store, p->key, numbers, some);
    }
    p->is_reserved = false;
}

static void give_back(struct store_redis *s, struct take *take)
{
    redis_leases_drop(s, take->counter.id, take->held.cost[COLUMN_ONE], take->held.generation);
}

/* Leases are held for as long as a connection is. */
static void keep(struct store_redis *s, struct take *take, int64_t at_us)
{
    (void)s;
    (void)take;
    (void)at_us;
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

/* The table knows the leases, renews and drops them. */
static void reconcile(struct part *p)
{
    (void)p;
}

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
    .reconcile = reconcile,
    .give_back = give_back,
    .keep = keep,
    .peek = peek,
};

/* ---- what a process holds ---- */

void redis_leases_drop(struct store_redis *s, struct hash128 id, uint32_t count, uint32_t generation)
{
    struct lease_table *t = &s->leases->table;
    struct lease_set *set = lease_table_find(t, id);
    uint64_t numbers[MEMBERS_A_COMMAND];
    drop_here(s, id, count, generation);
    while (set && count > 0) {
        uint32_t some = lease_table_take(t, set, MIN_OF(count, (uint32_t)MEMBERS_A_COMMAND), numbers);
        if (some == 0)
            break;
        remove_leases(s, set->key, numbers, some);
        count -= some;
    }
    if (set)
        lease_table_drop_empty(t, set);
}

void redis_leases_release(struct store_redis *s, uint32_t owner)
{
    s->alone.ops->release_owner(&s->alone, owner);
}

/* They may have been lost: at once again, when the shard is up. */
static void on_renewed(struct errand *e, enum redis_result result, bool has_errors)
{
    struct lease_table *t = &e->store->leases->table;
    struct hash128 id;
    memcpy(&id, e->room, sizeof id);
    struct lease_set *set = lease_table_find(t, id);
    if (set && (result != REDIS_DONE || has_errors))
        lease_table_set_away(t, set);
}

static void renew(struct redis_leases *leases, struct lease_set *set)
{
    struct store_redis *s = leases->store;
    int64_t end_ms = now_us(s, set->key) / 1000 + LEASE_MS;
    lease_table_renewed(&leases->table, set, loop_now_ms(s->options.loop) + RENEW_MS);
    for (uint32_t from = 0; from < set->count; from += MEMBERS_MAX) {
        struct errand *e = errand_new(s, set->key);
        if (!e)
            return; /* there is time for another try */
        memcpy(e->room, &set->id, sizeof set->id);
        e->on_end = on_renewed;
        (void)set_leases(s, add_to_errand, e, set->key, set->numbers + from,
                         MIN_OF(set->count - from, (uint32_t)MEMBERS_MAX), end_ms);
        (void)set_expiry(add_to_errand, e, set->key, end_ms);
        errand_send(e);
    }
}

/* A shard that came up may have lost what it held: all are due. */
static void look_for_ups(struct redis_leases *leases)
{
    const struct redis *redis = leases->store->options.redis;
    unsigned ups = 0;
    for (size_t i = 0; i < redis_shard_count(redis); i++)
        ups += redis_shard_ups(redis, i);
    if (ups != leases->ups)
        lease_table_set_all_away(&leases->table);
    leases->ups = ups;
}

/* Those whose shard was away first: they are overdue. */
static void on_renewal(void *arg)
{
    struct redis_leases *leases = arg;
    look_for_ups(leases);
    struct lease_table *t = &leases->table;
    struct store_redis *s = leases->store;
    int64_t now_ms = loop_now_ms(s->options.loop);
    struct lease_set *set;
    size_t done = 0, looked = 0;
    LIST_EACH(node, &t->away)
    {
        set = CONTAINER_OF(node, struct lease_set, node);
        if (looked++ == SETS_A_TURN)
            break;
        if (!redis_is_up(s->options.redis, set->key))
            continue;
        renew(leases, set);
        done++;
    }
    while (done < SETS_A_TURN && (set = lease_table_due(t, now_ms))) {
        if (redis_is_up(s->options.redis, set->key))
            renew(leases, set);
        else
            lease_table_set_away(t, set);
        done++;
    }
    if (t->count)
        timer_start(&leases->renewal, now_ms + (done == SETS_A_TURN ? 20 : LOOK_MS));
}

bool redis_leases_open(struct store_redis *s, struct err *err)
{
    struct redis_leases *leases = s->leases = calloc(1, sizeof *leases);
    if (!leases)
        return err_no_memory(err);
    leases->store = s;
    leases->next_number = 1;
    lease_table_init(&leases->table);
    list_init(&leases->reaps);
    timer_init(&leases->renewal, s->options.loop, on_renewal, leases);
    return true;
}

void redis_leases_close(struct store_redis *s)
{
    struct redis_leases *leases = s->leases;
    if (!leases)
        return;
    timer_cancel(&leases->renewal);
    lease_reaps_free(&leases->reaps);
    lease_table_fini(&leases->table);
    free(leases);
    s->leases = NULL;
}
