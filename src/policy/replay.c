/*
 * replay.c - events in the order of time, each to its connection. What a connection does is replay_session.c's.
 *
 * Held events lie in a heap, earliest first. The first event of a connection brings a second entry: its opening.
 */
#include "policy/replay_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "limits/store_memory.h"

enum {
    KEY_MAX_BYTES = 320,
    IDLE_LOOKS_MAX = 8, /* past those that are silent, but of whom more is held */
};

/* ---- life ---- */

struct replay *replay_new(const struct replay_options *options)
{
    struct replay *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->options = *options;
    map_init(&r->connections, false, false);
    list_init(&r->by_use);
    size_t entries = options->store_entries ? options->store_entries : REPLAY_STORE_ENTRIES;
    r->counts = trial_new_large(options->world, entries, MIN_OF(entries, (size_t)REPLAY_BANS));
    if (!r->counts)
        replay_free(&r);
    return r;
}

static void connection_free(struct replay *r, struct replay_connection *c)
{
    map_remove(&r->connections, str_of(c->key, c->key_len));
    if (c->trial) {
        r->open_count--;
        trial_free(&c->trial);
    }
    list_remove(&c->node);
    free(c);
}

void replay_free(struct replay **replay)
{
    struct replay *r = *replay;
    if (!r)
        return;
    for (size_t i = 0; i < r->held_count; i++)
        if (!r->held[i].is_opening)
            free(r->held[i].past);
    free(r->held);
    while (!list_is_empty(&r->by_use))
        connection_free(r, LIST_FIRST(&r->by_use, struct replay_connection, node));
    map_fini(&r->connections);
    trial_free(&r->counts);
    free(r);
    *replay = NULL;
}

uint64_t replay_lost_counts(const struct replay *r)
{
    return store_memory_evicted(r->counts->memory);
}

/* ---- the heap ---- */

static bool is_before(const struct replay_held *a, const struct replay_held *b)
{
    return a->time_us != b->time_us ? a->time_us < b->time_us : a->number < b->number;
}

/* There is room. */
static void push(struct replay *r, struct replay_held item)
{
    size_t i = r->held_count++;
    item.number = r->number++;
    for (; i > 0 && is_before(&item, &r->held[(i - 1) / 2]); i = (i - 1) / 2)
        r->held[i] = r->held[(i - 1) / 2];
    r->held[i] = item;
}

static struct replay_held pop(struct replay *r)
{
    struct replay_held first = r->held[0], last = r->held[--r->held_count];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < r->held_count) {
        if (child + 1 < r->held_count && is_before(&r->held[child + 1], &r->held[child]))
            child++;
        if (!is_before(&r->held[child], &last))
            break;
        r->held[i] = r->held[child];
        i = child;
    }
    r->held[i] = last;
    return first;
}

/* ---- connections ---- */

/* On every node ids are its own. NULL: no memory. */
static struct replay_connection *find(struct replay *r, const struct logged *past, bool *is_new)
{
    char key[KEY_MAX_BYTES];
    int n = snprintf(key, sizeof key, PRI_STR " " PRI_STR, STR_ARG(past->session), STR_ARG(past->node));
    size_t len = MIN_OF((size_t)n, sizeof key - 1);
    struct replay_connection *c = map_get(&r->connections, str_of(key, len));
    *is_new = !c;
    if (c)
        return c;
    c = calloc(1, sizeof *c + len);
    if (!c)
        return NULL;
    c->key_len = len;
    memcpy(c->key, key, len);
    if (!map_set(&r->connections, str_of(key, len), c)) {
        free(c);
        return NULL;
    }
    list_add_last(&r->by_use, &c->node);
    return c;
}

/* Nothing more of it is held. Whether something more will be read nobody knows, but at the end. */
static bool is_over(const struct replay *r, const struct replay_connection *c)
{
    if (c->held_count)
        return false;
    return c->is_closed || r->is_at_end || !r->has_seen_close || r->now_us - c->last_us > r->options.longest_us;
}

static void end_idle(struct replay *r)
{
    int looks = 0;
    LIST_EACH(node, &r->by_use)
    {
        struct replay_connection *c = CONTAINER_OF(node, struct replay_connection, node);
        if (is_over(r, c) || (r->open_count > REPLAY_OPEN_MAX && c->trial && c->held_count == 0)) {
            connection_free(r, c);
            return; /* as many go as come */
        }
        bool is_none_idle = r->now_us - c->last_us <= r->options.longest_us && r->open_count <= REPLAY_OPEN_MAX;
        if (is_none_idle || ++looks == IDLE_LOOKS_MAX)
            return;
    }
}

/* ---- in the order of time ---- */

static bool decide(struct replay *r)
{
    struct replay_held item = pop(r);
    struct replay_connection *c = item.connection;
    struct replay_outcome outcome = {.fate = REPLAY_LEFT};
    bool ok = true;
    r->now_us = c->last_us = MAX_OF(item.time_us, r->now_us);
    list_remove(&c->node);
    list_add_last(&r->by_use, &c->node);
    if (!c->trial) /* in its turn; or late, where lines are not in order */
        ok = replay_open(r, c, item.past);
    if (!item.is_opening) {
        ok = ok && replay_event(r, c, item.past, &outcome);
        c->was_refused = c->was_refused || item.past->kind == LOGGED_CONNECT;
        bool is_told = item.past->kind != LOGGED_CLOSE || (c->is_turned_away && !c->was_refused);
        if (ok && is_told)
            r->options.on_event(r->options.arg, item.past, &outcome);
        c->is_closed = item.past->kind == LOGGED_CLOSE;
        c->held_count--;
        r->held_bytes -= item.past->bytes;
        free(item.past);
        if (is_over(r, c))
            connection_free(r, c);
    }
    end_idle(r);
    return ok;
}

bool replay_add(struct replay *r, struct logged *past)
{
    bool is_new = false;
    struct replay_connection *c = GROW(&r->held, r->held_count + 2, &r->held_cap, 1024) ? find(r, past, &is_new) : NULL;
    if (!c) {
        free(past);
        return false;
    }
    if (is_new) {
        c->last_us = past->opened_us;
        push(r, (struct replay_held){.time_us = past->opened_us, .connection = c, .past = past, .is_opening = true});
    }
    r->has_seen_close = r->has_seen_close || past->kind == LOGGED_CLOSE;
    push(r, (struct replay_held){.time_us = past->time_us, .connection = c, .past = past});
    c->held_count++;
    r->held_bytes += past->bytes;
    while (r->held_bytes > REPLAY_HELD_MAX_BYTES)
        if (!decide(r))
            return false;
    return true;
}

bool replay_end(struct replay *r)
{
    r->is_at_end = true;
    while (r->held_count)
        if (!decide(r))
            return false;
    return true;
}
