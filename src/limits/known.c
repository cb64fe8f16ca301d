/* known.c - what was seen before of an entity. See known.h. */
#include "limits/known.h"

#include "limits/distinct.h"

static void answer(struct known *k)
{
    k->was_known = k->op.result == STORE_TAKEN && k->take.used[COLUMN_ONE] > 0;
}

static void on_done(struct store_op *op)
{
    struct known *k = CONTAINER_OF(op, struct known, op);
    k->is_waiting = false;
    answer(k);
    k->cb(k, k->arg);
}

static enum started start(struct store *store, struct known *k, enum take_mode mode, const struct known_value *value,
                          int64_t now_us, unsigned deadline_ms, known_cb *cb, void *arg)
{
    *k = (struct known){.store = store, .cb = cb, .arg = arg};
    k->take.mode = mode;
    k->take.counter = (struct counter){
        .entity = value->entity, .name = value->what, .period_s = value->keep_s, .kind = COUNTER_KNOWN};
    counter_set_id(&k->take.counter, &store->key);
    struct hash_key key = store_values_key(store);
    distinct_set_members(&k->take, &k->member, &value->value, 1, &key);
    for (size_t c = 0; c < COLUMNS; c++)
        k->take.allowed[c] = ALLOWED_ANY;
    k->takes[0] = &k->take;
    k->op = (struct store_op){
        .takes = k->takes, .count = 1, .now_us = now_us, .deadline_ms = deadline_ms, .on_done = on_done};
    if (store->ops->take_start(store, &k->op) == STARTED) {
        k->is_waiting = true;
        return STARTED;
    }
    answer(k);
    return DONE;
}

enum started known_ask_start(struct store *store, struct known *k, const struct known_value *value, int64_t now_us,
                             unsigned deadline_ms, known_cb *cb, void *arg)
{
    return start(store, k, TAKE_NOTHING, value, now_us, deadline_ms, cb, arg);
}

enum started known_note_start(struct store *store, struct known *k, const struct known_value *value, int64_t now_us,
                              unsigned deadline_ms, known_cb *cb, void *arg)
{
    return start(store, k, TAKE_ALWAYS, value, now_us, deadline_ms, cb, arg);
}

void known_cancel(struct known *k)
{
    if (!k->is_waiting)
        return;
    k->is_waiting = false;
    k->store->ops->take_cancel(k->store, &k->op);
}
