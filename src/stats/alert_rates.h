/*
 * alert_rates.h - when was which alert last sent for which key: at most one in its `every` (RULES.md "Statements").
 *
 * One table in shared memory for all workers of the service, whatever their generation, so neither a reload nor a crash
 * makes an alert fire again, and a flood of one alert is held back where it begins instead of filling queues.
 *
 * The table is bounded: buckets of ALERT_RATES_WAYS entries, found by a keyed hash. Where a bucket is full the entry
 * that was sent longest ago is forgotten; then, and only then, an alert may come earlier than it should.
 */
#ifndef STATS_ALERT_RATES_H
#define STATS_ALERT_RATES_H

#include "base/err.h"
#include "base/hash.h"
#include "base/memory_lock.h"

enum { ALERT_RATES_WAYS = 16, ALERT_RATES_BUCKETS = 4096 }; /* 65,536 keys */

struct alert_rate {
    uint64_t id;     /* 0: free */
    int64_t sent_ms; /* monotonic; 0: never */
    uint32_t held_back;
};

struct alert_rates {
    struct memory_lock lock; /* of all but key */
    struct hash_key key;
    struct alert_rate buckets[ALERT_RATES_BUCKETS][ALERT_RATES_WAYS];
};

/* rates: zeroed memory, shared by those who use it. */
MUST_USE bool alert_rates_init(struct alert_rates *rates, struct err *err);
void alert_rates_fini(struct alert_rates *rates);
/* Names the pair of an alert and a key; never 0. */
uint64_t alert_rates_id(const struct alert_rates *rates, struct str alert, struct str key);
/* May it be sent at now_ms (monotonic, above 0)? True: it counts as sent, and held_back says how many were not, since
 * the last one. False: it was counted as held back. A table that a stopped process keeps locked holds nothing back:
 * better twice than never. */
MUST_USE bool alert_rates_claim(struct alert_rates *rates, uint64_t id, int64_t every_ms, int64_t now_ms,
                                uint32_t *held_back);
/* It could not be sent after all, nor what it told of: the next one may, and tells of them. */
void alert_rates_give_back(struct alert_rates *rates, uint64_t id, uint32_t held_back);

#endif
