/* circuit.c - up or down, pure. See circuit.h. */
#include "redis/circuit.h"

void redis_circuit_init(struct redis_circuit *c)
{
    *c = (struct redis_circuit){.is_open = false};
}

/* Many nodes lose a server in the same moment; jitter keeps them from coming back in one. Between pause_ms and half as
 * much again, never beyond the longest pause. */
static void schedule(struct redis_circuit *c, int64_t now_ms, uint32_t random)
{
    uint32_t room = (uint32_t)CIRCUIT_PROBE_MAX_MS - c->pause_ms;
    uint32_t spread = MIN_OF((uint32_t)c->pause_ms / 2, room);
    c->probe_at_ms = now_ms + c->pause_ms + random % (spread + 1);
}

static void lengthen(struct redis_circuit *c)
{
    unsigned longer = c->pause_ms * 2U;
    c->pause_ms = (uint16_t)MIN_OF(MAX_OF(longer, (unsigned)CIRCUIT_PROBE_MIN_MS), (unsigned)CIRCUIT_PAUSE_MAX_MS);
}

/* What fails again as soon as it is used is not asked every half second for ever. */
static void open_circuit(struct redis_circuit *c, int64_t now_ms, uint32_t random)
{
    bool was_steady = c->closed_at_ms == 0 || now_ms - c->closed_at_ms >= CIRCUIT_STEADY_MS;
    if (was_steady)
        c->pause_ms = 0;
    c->is_open = true;
    c->late_in_row = c->good_in_row = 0;
    lengthen(c);
    schedule(c, now_ms, random);
}

void redis_circuit_on_answer(struct redis_circuit *c)
{
    c->late_in_row = 0;
}

bool redis_circuit_on_late(struct redis_circuit *c, int64_t now_ms, uint32_t random)
{
    if (c->is_open || ++c->late_in_row < CIRCUIT_LATE_MAX)
        return false;
    open_circuit(c, now_ms, random);
    return true;
}

bool redis_circuit_on_failure(struct redis_circuit *c, int64_t now_ms, uint32_t random)
{
    if (!c->is_open) {
        open_circuit(c, now_ms, random);
        return true;
    }
    c->good_in_row = 0;
    lengthen(c);
    schedule(c, now_ms, random);
    return false;
}

bool redis_circuit_on_good_probe(struct redis_circuit *c, int64_t now_ms, uint32_t random)
{
    c->late_in_row = 0;
    if (!c->is_open)
        return false;
    if (++c->good_in_row >= CIRCUIT_GOOD_PROBES) {
        c->is_open = false;
        c->closed_at_ms = now_ms;
        return true;
    }
    /* the one that decides comes soon, but the pause that was reached is kept for the case that it is bad */
    uint16_t pause_ms = c->pause_ms;
    c->pause_ms = CIRCUIT_PROBE_MIN_MS;
    schedule(c, now_ms, random);
    c->pause_ms = pause_ms;
    return false;
}
