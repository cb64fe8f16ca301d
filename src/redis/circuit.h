/*
 * circuit.h - when a server is to be asked, and when it is left in peace: a state machine without clock, network or
 * chance of its own. LIMITS.md, "When Redis is away".
 *
 *            three late calls in a row · a failure
 *   CLOSED ─────────────────────────────────────────▶ OPEN ──┐ a probe every 0.5 to 5 s
 *      ▲                                               │  ▲  │ bad: the next one later
 *      └───────────────────────────────────────────────┘  └──┘
 *                   two good probes in a row
 *
 * A probe comes 0.5 to 5 s after the last, the pause doubling with each bad one, with up to half of it as jitter.
 *
 * It begins closed: a server is believed to be there until it shows otherwise.
 */
#ifndef REDIS_CIRCUIT_H
#define REDIS_CIRCUIT_H

#include "base/defs.h"

enum {
    CIRCUIT_LATE_MAX = 3,
    CIRCUIT_GOOD_PROBES = 2,
    CIRCUIT_PROBE_MIN_MS = 500,
    CIRCUIT_PROBE_MAX_MS = 5000,
    CIRCUIT_PAUSE_MAX_MS = 4000, /* without jitter */
    CIRCUIT_STEADY_MS = 10000, /* opened again sooner than this after it closed: probes go on as rarely as they were */
};

struct redis_circuit {
    bool is_open;
    uint8_t late_in_row, good_in_row;
    uint16_t pause_ms;    /* between probes, without jitter; 0: it never opened */
    int64_t closed_at_ms; /* when it closed last; 0: never */
    int64_t probe_at_ms;  /* open: when the next probe is due */
};

/* Closed, as if it had never been open. */
void redis_circuit_init(struct redis_circuit *c);

/* A call was answered in time: late ones before it are no longer in a row. */
void redis_circuit_on_answer(struct redis_circuit *c);
/* Nobody waits for a call any more. random: any 32 bits. True: this has opened it. */
bool redis_circuit_on_late(struct redis_circuit *c, int64_t now_ms, uint32_t random);
/* The connection ended, or a reply says that the server is of no use now. Open already: a bad probe. True: this has
 * opened it. */
bool redis_circuit_on_failure(struct redis_circuit *c, int64_t now_ms, uint32_t random);
/* A probe was good. True: this has closed it. Closed already: as on_answer. */
bool redis_circuit_on_good_probe(struct redis_circuit *c, int64_t now_ms, uint32_t random);

#endif
