/* world.c - see world.h. */
#include "limits/world.h"

#include "limits/outage.h"

void world_init(struct world *w, uint64_t self, uint32_t expected)
{
    *w = (struct world){.self = self, .expected = expected};
}

static bool is_alive(const struct world_node *n, int64_t at_us)
{
    return n->until_us >= at_us;
}

/* Has it sent a heartbeat since the trouble ended? */
static bool is_back(const struct world *w, const struct world_node *n)
{
    return n->until_us - OUTAGE_BEAT_HOLDS_US >= w->trouble_us;
}

static void forget(struct world *w, size_t i)
{
    w->others[i] = w->others[--w->count];
}

void world_begin_reading(struct world *w, int64_t now_us)
{
    w->read_us = now_us;
    for (size_t i = 0; i < w->count; i++)
        w->others[i].is_read = false;
}

static struct world_node *find_or_add(struct world *w, uint64_t id)
{
    for (size_t i = 0; i < w->count; i++)
        if (w->others[i].id == id)
            return &w->others[i];
    if (w->count == WORLD_NODES_MAX)
        return NULL;
    w->others[w->count] = (struct world_node){.id = id};
    return &w->others[w->count++];
}

void world_read(struct world *w, uint64_t id, int64_t score)
{
    int64_t until_us = score & ~INT64_C(1);
    if (id == w->self || w->read_us - until_us > OUTAGE_FORGET_US)
        return;
    struct world_node *n = find_or_add(w, id);
    if (!n)
        return;
    /* A heartbeat from far in the future was made by a clock that has been set right since. */
    n->until_us = MIN_OF(until_us, w->read_us + INT64_C(2) * OUTAGE_BEAT_HOLDS_US);
    n->is_alone = score & 1;
    n->is_read = n->is_of_set = true;
}

void world_end_reading(struct world *w)
{
    for (size_t i = w->count; i-- > 0;) {
        struct world_node *n = &w->others[i];
        bool has_left = n->is_of_set && !n->is_read;
        if (has_left || w->read_us - n->until_us > OUTAGE_FORGET_US)
            forget(w, i);
        else if (n->is_awaited && is_back(w, n))
            n->is_awaited = false;
    }
}

void world_trouble(struct world *w, int64_t now_us)
{
    w->trouble_us = now_us;
    for (size_t i = 0; i < w->count; i++)
        w->others[i].is_awaited |= is_alive(&w->others[i], w->read_us);
}

void world_settled(struct world *w)
{
    w->expected = 0;
    for (size_t i = 0; i < w->count; i++)
        w->others[i].is_awaited = false;
}

void world_data_lost(struct world *w)
{
    for (size_t i = 0; i < w->count; i++)
        w->others[i].is_of_set = false;
}

uint32_t world_nodes(const struct world *w)
{
    return (uint32_t)w->count + 1;
}

uint32_t world_missing(const struct world *w)
{
    uint32_t missing = 0;
    for (size_t i = 0; i < w->count; i++)
        missing += !is_alive(&w->others[i], w->read_us);
    return missing;
}

uint32_t world_alone(const struct world *w)
{
    uint32_t alone = 0;
    for (size_t i = 0; i < w->count; i++)
        alone += is_alive(&w->others[i], w->read_us) && w->others[i].is_alone;
    return alone;
}

bool world_is_back(const struct world *w)
{
    uint32_t back = 1;
    for (size_t i = 0; i < w->count; i++) {
        if (w->others[i].is_awaited)
            return false;
        back += is_alive(&w->others[i], w->read_us) && is_back(w, &w->others[i]);
    }
    return back >= w->expected;
}
