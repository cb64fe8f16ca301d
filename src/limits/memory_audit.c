/* memory_audit.c - are there counters in the embedded table that cannot be? See store_memory.h. */
#include "limits/memory_table.h"
#include "limits/store_memory.h"
#include "limits/window.h"

/* As memory_slots.c has it: no clock of a worker is ahead by more. */
#define FUTURE_US (3600 * INT64_C(1000000))

/* When nothing in it matters any more, by the slot it was moved to last. */
static int64_t end_of(const struct table_entry *e)
{
    return window_slot_start_us(e->newest + WINDOW_CELLS, e->period_s);
}

/* It speaks of slots that nobody has reached yet: the clock was set back since, or memory is broken. */
static bool is_of_the_future(const struct table_entry *e, int64_t now_us)
{
    int64_t ahead_us = window_slot_start_us(e->newest, e->period_s) - now_us;
    return ahead_us > FUTURE_US && ahead_us > (int64_t)e->period_s * 1000000;
}

/* A worker that is killed amid a charge leaves an old end, and an entry that goes too early. */
static bool has_wrong_end(const struct table_entry *e)
{
    return e->expires_us != end_of(e);
}

static bool look(struct table_set *set, size_t i, int64_t now_us, bool repairs)
{
    struct table_entry *e = &set->entries[i];
    if (!set->id_lo[i] || e->period_s == 0 || e->newest < WINDOW_CELLS)
        return false; /* open connections go with their owners */
    bool is_impossible = is_of_the_future(e, now_us);
    if (!is_impossible && !has_wrong_end(e))
        return false;
    if (repairs && is_impossible)
        set->id_lo[i] = 0;
    else if (repairs)
        e->expires_us = end_of(e);
    return true;
}

uint64_t store_memory_audit(void *memory, int64_t now_us, bool repairs)
{
    struct table *t = memory;
    uint64_t found = 0;
    for (unsigned s = 0; s < t->shard_count; s++) {
        int64_t wait_us = MEMORY_LOCK_WAIT_US;
        if (!t->shards[s].created || !table_lock(t, s, &wait_us))
            continue;
        struct table_set *sets = table_shard_sets(t, s);
        for (uint64_t k = 0; k < t->sets_per_shard; k++)
            for (size_t i = 0; i < TABLE_WAYS; i++)
                found += look(&sets[k], i, now_us, repairs);
        table_unlock(t, s);
    }
    return found;
}
