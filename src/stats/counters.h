/*
 * counters.h - numbers about what happened, in shared memory: a process's death takes none of them along.
 *
 * Each process slot has its own row and is its only writer, so counting is one plain addition; reading sums the rows
 * and locks nobody. Gauges of a slot whose process died are set back by counters_slot_died.
 */
#ifndef STATS_COUNTERS_H
#define STATS_COUNTERS_H

#include <stdatomic.h>

#include "base/defs.h"

enum counter_id {
#define COUNTER(name, metric, type, label, help) COUNTER_##name,
#include "stats/counters.def"
#undef COUNTER
    COUNTER_COUNT
};

enum counter_type { COUNTER_SUM, COUNTER_GAUGE };

enum { COUNTER_SLOTS = 1040 }; /* four generations of 256 workers, and the other processes */

struct counters {
    _Alignas(64) _Atomic uint64_t values[(COUNTER_COUNT + 7) / 8 * 8];
};

/* The rows of all slots: `counters` is row 0 of COUNTER_SLOTS. */
size_t counters_size(void);

static inline void counter_add(struct counters *row, enum counter_id c, uint64_t n)
{
    if (row) /* one writer a row: no locked instruction is needed */
        atomic_store_explicit(&row->values[c], atomic_load_explicit(&row->values[c], memory_order_relaxed) + n,
                              memory_order_relaxed);
}
static inline void counter_sub(struct counters *row, enum counter_id c, uint64_t n)
{
    counter_add(row, c, (uint64_t)0 - n);
}

/* Over all rows. */
uint64_t counters_sum(const struct counters *rows, enum counter_id c);
/* Its gauges are zero: what they counted died with the process. */
void counters_slot_died(struct counters *row);

struct counter_info {
    const char *metric, *label, *help;
    enum counter_type type;
};
const struct counter_info *counter_info(enum counter_id c);

#endif
