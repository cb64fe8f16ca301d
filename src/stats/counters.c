/* counters.c - see counters.h. */
#include "stats/counters.h"

static const struct counter_info INFOS[COUNTER_COUNT] = {
#define COUNTER(name, metric, type, label, help) {metric, label, help, type},
#include "stats/counters.def"
#undef COUNTER
};

size_t counters_size(void)
{
    return sizeof(struct counters) * COUNTER_SLOTS;
}

uint64_t counters_sum(const struct counters *rows, enum counter_id c)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < COUNTER_SLOTS; i++)
        sum += atomic_load_explicit(&rows[i].values[c], memory_order_relaxed);
    return sum;
}

void counters_slot_died(struct counters *row)
{
    for (int c = 0; c < COUNTER_COUNT; c++)
        if (INFOS[c].type == COUNTER_GAUGE)
            atomic_store_explicit(&row->values[c], 0, memory_order_relaxed);
}

const struct counter_info *counter_info(enum counter_id c)
{
    return &INFOS[c];
}
