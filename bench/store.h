/*
 * store.h - what a mail with six limits costs its store, asked as mailweir asks: on a loop, many mails at once.
 *
 *   store.c          what is asked for; as many mails as there is room for, or so many a second; the sum
 *   store_limits.c   the way of limits/store.h: take at DATA, take again before the dot, keep
 *   store_script.c   the peer: the same windows of 16 slots, all six limits decided and counted by one script in Redis
 *
 * Six limits, in one of two mixes. `usual`: a user's messages and recipients an hour, his recipients and bytes a day,
 * his client's messages and recipients an hour; units of one entity and period share a counter, so these are three.
 * `apart`: six of five entities or other periods, each on a counter of its own, which is the worst that six can be. A
 * script has a key for each limit, as such scripts do. User, client and sender are drawn from many. A mail ends with
 * what its client waits for: the last answer.
 */
#ifndef BENCH_STORE_H
#define BENCH_STORE_H

#include "limits/limit.h"
#include "net/loop.h"
#include "redis/redis.h"

enum { LIMITS = 6, ENTITY_MAX_BYTES = 64 };

struct limit_row {
    const char *head, *tail; /* of the entity: between them stands a number, where there is a tail */
    uint32_t period_s;
    enum column column;
    unsigned counter; /* from 0 on */
};
/* Of the mix that was chosen. */
extern const struct limit_row *limits;
/* What all of them allow: too much to be reached. The size of a mail. */
enum { ALLOWED = 1000000000, KIB = 5 };

struct mail {
    void (*on_done)(struct mail *m, bool is_admitted);
    bool is_alone; /* Redis had no part in it: it was too slow */
    int64_t due_us;
    char texts[LIMITS][ENTITY_MAX_BYTES];
    struct str entities[LIMITS];
    void *state; /* the way's */
};

struct way {
    const char *name;
    /* redis: NULL where the way needs none. Exits with a sentence where something is wrong. */
    void (*open)(struct loop *l, struct redis *redis);
    void (*mail_init)(struct mail *m);
    /* on_done comes once, perhaps from inside. */
    void (*mail_start)(struct mail *m);
    bool needs_redis;
};

/* `nothing` has all mails admitted at once: what it takes is the measurement itself. */
extern const struct way way_nothing, way_memory, way_redis, way_script;

NORETURN void bench_fail(const char *what, const char *why);

#endif
