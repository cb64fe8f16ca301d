/*
 * audit.c - `store audit`: what the store of limits really holds, and what is wrong with it.
 *
 * The embedded table is looked through here, a shard at a time: some milliseconds for a million counts. What lies in
 * Redis is limits/audit.h's to find; the answer comes when all keys were looked at.
 */
#include <string.h>

#include "admin/admin.h"
#include "base/clock.h"
#include "limits/store_memory.h"

/* ---- the embedded table ---- */

static json_t *memory_json(struct admin *a, bool repairs, uint64_t *impossible)
{
    struct store_memory_stats s;
    int64_t now_us = clock_steady_us();
    *impossible = store_memory_audit(a->store_memory, now_us, repairs);
    store_memory_stats_get(a->store_memory, now_us, &s);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "entries", (json_int_t)s.entries, "live",
                     (json_int_t)s.live, "created", (json_int_t)s.created, "evicted", (json_int_t)s.evicted_live,
                     "values", (json_int_t)s.members, "values_live", (json_int_t)s.members_live, "values_evicted",
                     (json_int_t)s.members_evicted_live, "locks_recovered", (json_int_t)s.recovered, "lock_timeouts",
                     (json_int_t)s.timeouts, "impossible", (json_int_t)*impossible);
}

static void audit_memory(struct admin *a, struct control_ask *ask, bool repairs)
{
    uint64_t impossible;
    json_t *memory = memory_json(a, repairs, &impossible);
    control_answer(ask, json_pack("{s:s, s:b, s:b, s:o}", "kind", "memory", "clean", impossible == 0 || repairs,
                                  "repaired", repairs && impossible, "memory", memory));
}

void admin_audit(void *arg, struct control_ask *ask)
{
    struct admin *a = arg;
    if (a->redis)
        admin_audit_redis(a, ask, control_flag(ask, "repair"));
    else
        audit_memory(a, ask, control_flag(ask, "repair"));
}
