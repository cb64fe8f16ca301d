/* stores.c - a row per store, and the names of counters. See store.h. */
#include <string.h>

#include "limits/store.h"
#include "limits/store_memory.h"
#include "limits/store_redis.h"

static const struct store_ops *const STORES[] = {
    &store_memory_ops,
    &store_redis_ops,
};

const struct store_ops *stores_find(struct str name)
{
    for (size_t i = 0; i < COUNT_OF(STORES); i++)
        if (str_equal(name, str_of_z(STORES[i]->name)))
            return STORES[i];
    return NULL;
}

const char *store_failure_name(enum store_failure failure)
{
    static const char *const NAMES[] = {
        [STORE_SHARE] = "share", [STORE_LOCAL] = "local", [STORE_OPEN] = "open", [STORE_CLOSED] = "closed"};
    return NAMES[failure];
}

bool store_open(struct store *store, const struct store_ops *ops, const struct store_options *options, struct err *err)
{
    *store = (struct store){.ops = ops,
                            .owner = options->owner,
                            .deadline_ms = options->timeout_ms ? options->timeout_ms : STORE_DEADLINE_MS};
    return ops->open(store, options, err);
}

void store_close(struct store *store)
{
    if (store->ops)
        store->ops->close(store);
    *store = (struct store){0};
}

const char *store_decides(const struct store *store)
{
    return store->ops->decides ? store->ops->decides(store) : store->ops->name;
}

struct hash_key store_values_key(const struct store *store)
{
    return store->ops->values_key ? store->ops->values_key(store) : store->key;
}

/* What stands before the entity in the bytes that are hashed: of fixed shape, so that no two counters' bytes are alike.
 */
struct id_head {
    uint8_t kind;
    uint8_t unit;        /* COUNTER_OWN only */
    uint8_t is_digested; /* the entity is too long and stands as its own hash */
    uint8_t spare;
    uint32_t period_s;
    uint32_t name_len;
};

void counter_set_id(struct counter *c, const struct hash_key *key)
{
    char bytes[512];
    struct id_head head = {
        .kind = (uint8_t)c->kind,
        .unit = c->kind == COUNTER_OWN ? (uint8_t)c->unit : 0,
        .period_s = c->period_s,
        .name_len = (uint32_t)c->name.len,
    };
    struct str entity = c->entity, name = c->name;
    struct hash128 digests[2];
    if (sizeof head + name.len + entity.len > sizeof bytes) {
        head.is_digested = 1;
        digests[0] = hash128(key, name);
        digests[1] = hash128(key, entity);
        name = str_of((const char *)&digests[0], sizeof digests[0]);
        entity = str_of((const char *)&digests[1], sizeof digests[1]);
    }
    memcpy(bytes, &head, sizeof head);
    size_t at = sizeof head;
    if (name.len)
        memcpy(bytes + at, name.ptr, name.len);
    at += name.len;
    if (entity.len)
        memcpy(bytes + at, entity.ptr, entity.len);
    c->id = hash128(key, str_of(bytes, at + entity.len));
    c->id.lo |= c->id.lo == 0; /* 0 marks an empty place */
}

bool take_answer(struct take *take, size_t column, uint64_t sum, uint64_t held)
{
    uint32_t cost = take->cost[column];
    take->used[column] = sum - held + cost;
    take->growth[column] = cost > held ? cost - (uint32_t)held : 0;
    take->is_over[column] =
        (take->growth[column] || take->mode == TAKE_NOTHING) && take->used[column] > take->allowed[column];
    return take->is_over[column];
}

static void clear_answer(struct take *take)
{
    for (size_t c = 0; c < COLUMNS; c++)
        take->used[c] = take->growth[c] = take->is_over[c] = 0;
    take->wait_us = 0;
}

bool take_answer_one(struct take *take, uint64_t sum, uint64_t held)
{
    clear_answer(take);
    return take_answer(take, COLUMN_ONE, sum, held);
}

void take_answer_known(struct take *take, size_t known)
{
    clear_answer(take);
    take->used[COLUMN_ONE] = known;
    take->growth[COLUMN_ONE] = (uint32_t)(take->member_count - known);
}

void take_answer_unknown(struct take *take)
{
    take->wait_us = 0;
    for (size_t i = 0; i < COLUMNS; i++)
        if (take_answer(take, i, 0, 0))
            take->wait_us = WAIT_UNKNOWN;
}
