/* limiter_fixture.h - a limiter over an embedded store, and words to ask it with, for the tests of the limiter. */
#ifndef TESTS_LIMITS_LIMITER_FIXTURE_H
#define TESTS_LIMITS_LIMITER_FIXTURE_H

#include "limits/limiter.h"

#define S    INT64_C(1000000)
#define HOUR 3600
#define DAY  86400
#define NOW  (INT64_C(1767614400) * S) /* 2026-01-05T12:00:00Z */

struct limiter_fixture {
    void *memory;
    struct store store;
    struct limiter limiter;
    struct arena arena;
};

/* cmocka's setup and teardown; *state is the fixture. */
int limiter_setup(void **state);
int limiter_teardown(void **state);

#define RATES(...)                                                                                                     \
    .rates = (const struct rate[]){__VA_ARGS__}, .rate_count = COUNT_OF(((const struct rate[]){__VA_ARGS__}))
#define THRESHOLDS(...)                                                                                                \
    .thresholds = (const struct threshold[]){__VA_ARGS__},                                                             \
    .threshold_count = COUNT_OF(((const struct threshold[]){__VA_ARGS__}))
#define AT_100_DEFER THRESHOLDS({.percent = 100, .refusal = REFUSAL_DEFER})

/* A mail's charge on a limit: one message, so many recipients and KiB. */
struct charge mail_charge(const struct limit *limit, const char *entity, uint32_t recipients, uint32_t kib);
/* A connection's. */
struct charge one_charge(const struct limit *limit, const char *entity);

/* A reservation from the fixture's arena, asked for; the store answers at once. */
struct reservation *reserve(struct limiter_fixture *f, const struct charge *charges, size_t count, int64_t now_us);
/* Reserves and keeps `times` mails, each of which must be reserved. */
void send_mails(struct limiter_fixture *f, const struct charge *charges, size_t count, int times, int64_t now_us);
void assert_refusal(const struct reservation *r, const char *text);

#endif
