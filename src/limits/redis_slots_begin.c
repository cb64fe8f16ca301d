/*
 * redis_slots_begin.c - what this node knows of a counter of slots, before it asks. See redis_slots_inside.h.
 *
 * What was counted in a slot that is over only becomes less, unless some node pushes what it decided alone. So what is
 * over is read again only where the last reading was made within a rest after its end (what was on its way to Redis has
 * arrived by then), or is too old, or nodes came back since (outage_changes). Of the window before, that saves the
 * third command; and of all slots but the one of now, which BITFIELD itself tells, the second. Then a mail costs one
 * command a counter, and near the limit, where it matters that less may be counted by now, the look reads all again.
 *
 * A reading of slots is too old after two seconds: a node whose link broke for a moment, too short for the others to
 * notice, pushes into them what it decided alone meanwhile. Into a window it does so before the rest after its end.
 *
 * Towards the end of a slot others may be in the next one already: their clocks are a little ahead, or they asked later
 * and were answered first. They have read what is counted in this slot before this node's charge came into it; so this
 * node must read theirs. Then all is read that may be there, the next window where that has begun for them.
 */
#include <string.h>

#include "limits/redis_slots_inside.h"

#define CLOSED_REST_US   INT64_C(5000000)
#define SLOT_REST_US     INT64_C(1000000)
#define CLOSED_HOLDS_US  INT64_C(60000000)
#define SLOT_HOLDS_US    INT64_C(2000000)
#define CLOCKS_DIFFER_US INT64_C(100000) /* each process read Redis' clock over a round trip of its own */

enum { NEAR_SATURATION = 1 << 30 }; /* from there on a slot is asked what it held before */

/* Does what the take holds count still? */
static bool counts_held(const struct part *p, const struct mirror_view *view)
{
    const struct take_held *held = &p->take->held;
    if (!held->is_held || !window_holds(view->slot, held->slot))
        return false;
    if (held->is_local)
        return view->is_known && held->generation == view->generation;
    return !mirror_was_forgotten(p->store->options.mirror, &p->counter, held->token);
}

/* Was it read long enough after the slot's end, not long ago, and before nothing that may have changed it since? */
static bool is_good(const struct part *p, int64_t read_at_us, uint64_t slot_after, int64_t rest_us, int64_t holds_us,
                    bool is_unchanged)
{
    return is_unchanged && read_at_us >= window_slot_start_us(slot_after, p->counter.period_s) + rest_us &&
           p->now_us - read_at_us <= holds_us && read_at_us <= p->now_us;
}

static bool knows_closed(const struct part *p, const struct mirror_view *view, uint32_t changes)
{
    uint64_t window = window_of(view->slot);
    return window > 0 && view->closed_window == window - 1 &&
           is_good(p, view->closed_read_at_us, window * WINDOW_SLOTS, CLOSED_REST_US, CLOSED_HOLDS_US,
                   view->closed_changes == changes);
}

/* All slots but the one of now; in that one something is known to be, so that the key is known to be there. */
static bool knows_slots(const struct part *p, const struct mirror_view *view, uint32_t changes)
{
    const struct slots *s = (const struct slots *)p->room;
    uint64_t window = window_of(view->slot);
    bool has_any = false;
    for (size_t c = 0; c < COLUMNS; c++)
        has_any |= s->growth[c] > 0 && view->seen[c][view->slot % WINDOW_CELLS] > 0;
    return has_any && !s->ends_soon &&
           is_good(p, view->read_at_us, view->slot, SLOT_REST_US, SLOT_HOLDS_US, view->changes == changes) &&
           (s->knows_closed ||
            (view->closed_window == window - 1 && is_good(p, view->closed_read_at_us, view->slot, SLOT_REST_US,
                                                          SLOT_HOLDS_US, view->closed_changes == changes)));
}

/* Where may others be by the time this op has its answer? */
static void look_ahead(struct part *p)
{
    struct slots *s = slots_of(p);
    int64_t latest_us = p->now_us + p->store->options.timeout_ms * INT64_C(1000) + CLOCKS_DIFFER_US;
    uint64_t latest = window_slot(latest_us, p->counter.period_s);
    s->ends_soon = latest > s->slot;
    s->reads_next = window_of(latest) > window_of(s->slot);
}

bool redis_slots_is_recent(int64_t at_us, int64_t now_us, int64_t for_us)
{
    return at_us > 0 && now_us - at_us <= for_us && at_us - now_us <= for_us;
}

/* What the window of the slot itself has in the rings. */
static bool has_current(const struct mirror_view *view)
{
    for (size_t c = 0; c < COLUMNS; c++)
        for (uint64_t n = view->slot + 1; n-- > window_of(view->slot) * WINDOW_SLOTS;) /* most likely in the last one */
            if (view->seen[c][n % WINDOW_CELLS])
                return true;
    return false;
}

static void sum_up(struct slots *s, const struct mirror_view *view)
{
    for (size_t c = 0; c < COLUMNS; c++) {
        s->seen[c] = window_used(view->seen[c], view->slot, view->slot);
        s->since[c] = window_owed(view->since[c]);
        s->asks_old |= view->seen[c][view->slot % WINDOW_CELLS] > NEAR_SATURATION || s->growth[c] > NEAR_SATURATION;
    }
}

void redis_slots_begin(struct part *p)
{
    struct slots *s = slots_of(p);
    struct mirror_view view;
    (void)mirror_look(p->store->options.mirror, &p->counter, p->now_us, &view);
    s->slot = view.slot;
    s->counts_held = counts_held(p, &view);
    for (size_t c = 0; c < COLUMNS; c++) {
        s->held[c] = s->counts_held ? p->take->held.cost[c] : 0;
        s->growth[c] = p->cost[c] > s->held[c] ? p->cost[c] - s->held[c] : 0;
        s->grows |= s->growth[c] > 0;
    }
    look_ahead(p);
    s->changes = outage_changes(p->store->options.outage, p->domain);
    s->unseen = outage_unseen(p->store->options.outage, p->domain);
    s->knows_closed = knows_closed(p, &view, s->changes);
    s->has_header = has_current(&view);
    s->knows_slots = knows_slots(p, &view, s->changes);
    s->is_read = view.read_at_us > 0;
    s->is_denied = redis_slots_is_recent(view.denied_at_us, p->now_us, SLOTS_DENIAL_US);
    memcpy(s->rings, view.seen, sizeof s->rings);
    sum_up(s, &view);
}
