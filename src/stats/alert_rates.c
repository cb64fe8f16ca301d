/* alert_rates.c - see alert_rates.h. A process may be killed between any two writes: their order leaves a valid entry.
 */
#include "stats/alert_rates.h"

enum { LOCK_WAIT_US = 50000 }; /* held for less than a microsecond, unless its holder lost its processor */

bool alert_rates_init(struct alert_rates *rates, struct err *err)
{
    int rc = memory_lock_init(&rates->lock);
    if (rc)
        return err_set(err, "cannot make the lock of the table of alerts: %s", strerror(rc));
    rates->key = hash_key_random();
    return true;
}

void alert_rates_fini(struct alert_rates *rates)
{
    memory_lock_fini(&rates->lock);
}

uint64_t alert_rates_id(const struct alert_rates *rates, struct str alert, struct str key)
{
    struct hash_key of_alert = rates->key;
    of_alert.k0 ^= hash64(&rates->key, alert);
    uint64_t id = hash64(&of_alert, key);
    return id ? id : 1;
}

static bool lock(struct alert_rates *rates)
{
    int64_t wait_us = LOCK_WAIT_US;
    return memory_lock_take(&rates->lock, &wait_us);
}

/* The entry of an id; where there is none, with *is_new, the one to be made it: a free one, or the oldest. */
static struct alert_rate *find(struct alert_rates *rates, uint64_t id, bool *is_new)
{
    struct alert_rate *bucket = rates->buckets[id % ALERT_RATES_BUCKETS], *oldest = bucket;
    *is_new = false;
    for (size_t i = 0; i < ALERT_RATES_WAYS; i++) {
        if (bucket[i].id == id)
            return &bucket[i];
        if (bucket[i].sent_ms < oldest->sent_ms)
            oldest = &bucket[i];
    }
    *is_new = true;
    return oldest;
}

static void make(struct alert_rate *e, uint64_t id)
{
    e->sent_ms = 0;
    e->held_back = 0;
    MEMORY_ORDER();
    e->id = id;
}

bool alert_rates_claim(struct alert_rates *rates, uint64_t id, int64_t every_ms, int64_t now_ms, uint32_t *held_back)
{
    bool is_new;
    *held_back = 0;
    if (!lock(rates))
        return true;
    struct alert_rate *e = find(rates, id, &is_new);
    if (is_new)
        make(e, id);
    bool is_due = e->sent_ms == 0 || now_ms - e->sent_ms >= every_ms;
    if (is_due) {
        *held_back = e->held_back;
        e->sent_ms = now_ms;
        e->held_back = 0;
    } else {
        e->held_back++;
    }
    memory_lock_drop(&rates->lock);
    return is_due;
}

void alert_rates_give_back(struct alert_rates *rates, uint64_t id, uint32_t held_back)
{
    bool is_new;
    if (!lock(rates))
        return;
    struct alert_rate *e = find(rates, id, &is_new);
    if (!is_new) {
        e->held_back += held_back + 1;
        e->sent_ms = 0;
    }
    memory_lock_drop(&rates->lock);
}
