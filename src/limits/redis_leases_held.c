/*
 * redis_leases_held.c - the leases that this process holds in Redis: renewed every 20 seconds, dropped when their
 * connections end. See redis_leases.h; redis_leases.c says what they are.
 *
 *   redis_leases_hold ─▶ lease_table ─ due, or its shard came up anew ─▶ ZADD, PEXPIREAT: 256 keys a turn at most
 *                             │
 *   redis_leases_drop ────────┴─▶ ZREM
 *
 * Each lease is also held in the embedded store, where the supervisor finds those of a worker that died.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "limits/lease_reap.h"
#include "limits/redis_commands.h"
#include "limits/redis_leases.h"

enum { LEASE_MS = 60000, RENEW_MS = 20000, LOOK_MS = 1000, SOON_MS = 20, SETS_A_TURN = 256 };

/* ---- commands ---- */

int64_t redis_leases_end_ms(const struct store_redis *s, struct str key)
{
    return redis_now_us(s->options.redis, key) / 1000 + LEASE_MS;
}

static void add_members(struct member_command *m, const struct store_redis *s, const struct lease_numbers *numbers)
{
    char text[MEMBER_TEXT_BYTES];
    _Static_assert(sizeof text >= sizeof s->node + 1 + 10 + 1 + 20, "a lease's name");
    for (size_t i = 0; i < numbers->count; i++) {
        uint64_t number = numbers->list ? numbers->list[i] : numbers->first + i;
        int len = snprintf(text, sizeof text, "%s.%u.%llu", s->node, s->options.owner, (unsigned long long)number);
        member_command_add(m, str_of(text, MIN_OF((size_t)len, sizeof text - 1)));
    }
}

bool redis_leases_add(const struct store_redis *s, struct redis_call *call, struct str key,
                      const struct lease_numbers *numbers, int64_t end_ms)
{
    struct member_command m;
    member_command_begin_scored(&m, call, key, end_ms, false);
    add_members(&m, s, numbers);
    return member_command_end(&m);
}

void redis_leases_remove(struct store_redis *s, struct str key, const struct lease_numbers *numbers)
{
    struct member_command m;
    struct errand *e = numbers->count && redis_is_up(s->options.redis, key) ? errand_new(s, key) : NULL;
    if (!e)
        return;
    member_command_begin(&m, &e->call, STR("ZREM"), key);
    add_members(&m, s, numbers);
    (void)member_command_end(&m);
    errand_send(e);
}

/* ---- held, and let go ---- */

void redis_leases_hold(struct store_redis *s, struct hash128 id, struct str key, uint64_t first, uint32_t count)
{
    struct redis_leases *leases = s->leases;
    int64_t now_ms = loop_now_ms(s->options.loop);
    (void)lease_table_add(&leases->table, id, key, first, count, now_ms + RENEW_MS);
    if (!timer_is_running(&leases->renewal))
        timer_start(&leases->renewal, now_ms + LOOK_MS);
}

void redis_leases_drop(struct store_redis *s, struct hash128 id, uint32_t count, uint32_t generation)
{
    struct lease_table *t = &s->leases->table;
    struct lease_set *set = lease_table_find(t, id);
    uint64_t list[MEMBERS_A_COMMAND];
    s->alone.ops->drop_lease(&s->alone, id, count, generation);
    while (set && count > 0) {
        uint32_t some = lease_table_take(t, set, MIN_OF(count, (uint32_t)MEMBERS_A_COMMAND), list);
        if (some == 0)
            break;
        redis_leases_remove(s, set->key, &(struct lease_numbers){.list = list, .count = some});
        count -= some;
    }
    if (set)
        lease_table_drop_empty(t, set);
}

void redis_leases_release(struct store_redis *s, uint32_t owner)
{
    s->alone.ops->release_owner(&s->alone, owner);
}

/* ---- renewed ---- */

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
    int64_t end_ms = redis_leases_end_ms(s, set->key);
    lease_table_renewed(&leases->table, set, loop_now_ms(s->options.loop) + RENEW_MS);
    for (uint32_t from = 0; from < set->count; from += LEASES_A_TAKE_MAX) {
        struct lease_numbers some = {.list = set->numbers + from,
                                     .count = MIN_OF(set->count - from, (uint32_t)LEASES_A_TAKE_MAX)};
        struct errand *e = errand_new(s, set->key);
        if (!e)
            return; /* there is time for another try */
        memcpy(e->room, &set->id, sizeof set->id);
        e->on_end = on_renewed;
        (void)redis_leases_add(s, &e->call, set->key, &some, end_ms);
        (void)redis_add_expiry(&e->call, set->key, end_ms);
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
        timer_start(&leases->renewal, now_ms + (done == SETS_A_TURN ? SOON_MS : LOOK_MS));
}

/* ---- life ---- */

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
