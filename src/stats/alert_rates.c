/* alert_rates.c - see alert_rates.h. */
#include "stats/alert_rates.h"

void alert_rates_init(struct alert_rates *rates)
{
    rates->key = hash_key_random();
}

uint64_t alert_rates_id(const struct alert_rates *rates, struct str alert, struct str key)
{
    struct hash_key of_alert = rates->key;
    of_alert.k0 ^= hash64(&rates->key, alert);
    uint64_t id = hash64(&of_alert, key);
    return id ? id : 1;
}

static struct alert_rate *bucket_of(struct alert_rates *rates, uint64_t id)
{
    return rates->buckets[id % ALERT_RATES_BUCKETS];
}

static struct alert_rate *find(struct alert_rates *rates, uint64_t id)
{
    struct alert_rate *bucket = bucket_of(rates, id);
    for (size_t i = 0; i < ALERT_RATES_WAYS; i++)
        if (atomic_load(&bucket[i].id) == id)
            return &bucket[i];
    return NULL;
}

/* The first of those that were sent longest ago. All who look at once see the same one, so that one id gets one entry.
 */
static struct alert_rate *oldest(struct alert_rate *bucket)
{
    struct alert_rate *found = bucket;
    for (size_t i = 1; i < ALERT_RATES_WAYS; i++)
        if (atomic_load(&bucket[i].sent_ms) < atomic_load(&found->sent_ms))
            found = &bucket[i];
    return found;
}

/* The entry of an id, made where there is none. Somebody else may take it in the same moment, for this id or another:
 * then we look again. */
static struct alert_rate *take(struct alert_rates *rates, uint64_t id)
{
    for (;;) {
        struct alert_rate *e = find(rates, id);
        if (e)
            return e;
        e = oldest(bucket_of(rates, id));
        /* Of one who claims it meanwhile we see both or neither, so we never set a time back that is not this id's. */
        int64_t was_sent_ms = atomic_load(&e->sent_ms);
        uint64_t was_id = atomic_load(&e->id);
        /* first the time: who finds its id here must not find another's time */
        if (!atomic_compare_exchange_strong(&e->sent_ms, &was_sent_ms, 0))
            continue;
        if (!atomic_compare_exchange_strong(&e->id, &was_id, id))
            continue;
        atomic_store(&e->held_back, 0);
        return e;
    }
}

bool alert_rates_claim(struct alert_rates *rates, uint64_t id, int64_t every_ms, int64_t now_ms, uint32_t *held_back)
{
    struct alert_rate *e = take(rates, id);
    int64_t sent_ms = atomic_load(&e->sent_ms);
    bool is_due = sent_ms == 0 || now_ms - sent_ms >= every_ms;
    if (is_due && atomic_compare_exchange_strong(&e->sent_ms, &sent_ms, now_ms)) {
        *held_back = atomic_exchange(&e->held_back, 0);
        return true;
    }
    atomic_fetch_add(&e->held_back, 1); /* another worker was quicker, or it is too early */
    return false;
}

void alert_rates_give_back(struct alert_rates *rates, uint64_t id, uint32_t held_back)
{
    struct alert_rate *e = find(rates, id);
    if (!e)
        return;
    atomic_fetch_add(&e->held_back, held_back + 1);
    atomic_store(&e->sent_ms, 0);
}
