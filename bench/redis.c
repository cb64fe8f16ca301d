/*
 * redis.c - how many calls a second one process carries to one Redis, with the client directly: each call is a limit's
 * BITFIELD and GETEX, a fixed number of them under way, the next one asked as soon as one is answered.
 *
 *   redis ENDPOINT [under-way [seconds]]        redis 127.0.0.1:6379 200 5
 *
 * Prints calls a second, microseconds of this process's CPU a call, and how long a call took.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "redis/redis.h"

enum { KEYS = 1024, DEADLINE_MS = 1000, MAX_UNDER_WAY = 20000 };

struct asker {
    struct redis_call call;
    int64_t asked_us;
    unsigned number;
};

static struct loop loop;
static struct redis *redis;
static struct timer end;
static uint64_t done_count, error_count, waited_us;
static unsigned drawn;

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static void ask(struct asker *a);

static void on_reply(struct redis_call *c, size_t n, const redisReply *reply)
{
    (void)c, (void)n;
    error_count += reply->type == REDIS_REPLY_ERROR;
}

static void on_done(struct redis_call *c, enum redis_result result)
{
    struct asker *a = c->arg;
    error_count += result != REDIS_DONE;
    done_count++;
    waited_us += (uint64_t)(clock_monotonic_us() - a->asked_us);
    ask(a);
}

static void ask(struct asker *a)
{
    char key[64];
    int len = snprintf(key, sizeof key, "mw1:q:{u:user%u@example.org}:3600:497421", ++drawn % KEYS);
    const struct str k = str_of(key, (size_t)len);
    const struct str bitfield[] = {STR("BITFIELD"), k,          STR("OVERFLOW"), STR("SAT"), STR("INCRBY"), STR("u32"),
                                   STR("#3"),       STR("1"),   STR("INCRBY"),   STR("u32"), STR("#19"),    STR("2"),
                                   STR("INCRBY"),   STR("u32"), STR("#35"),      STR("14")};
    const struct str getex[] = {STR("GETEX"), k, STR("PXAT"), STR("4102444800000")};
    redis_call_fini(&a->call);
    redis_call_init(&a->call, on_reply, on_done, a);
    a->asked_us = clock_monotonic_us();
    if (!redis_call_add(&a->call, bitfield, COUNT_OF(bitfield)) || !redis_call_add(&a->call, getex, COUNT_OF(getex)) ||
        !redis_send(redis, k, &a->call)) {
        fprintf(stderr, "redis: a call is refused: " PRI_STR "\n", STR_ARG(redis_why_down(redis, 0)));
        exit(1);
    }
}

static void stop(void *arg)
{
    (void)arg;
    loop_stop(&loop);
}

static unsigned number_or(const char *text, unsigned otherwise, unsigned max)
{
    unsigned long n = text ? strtoul(text, NULL, 10) : otherwise;
    return n >= 1 && n <= max ? (unsigned)n : otherwise;
}

static int run(unsigned under_way, unsigned seconds)
{
    struct asker *askers = calloc(under_way, sizeof *askers);
    if (!askers)
        return 1;
    for (unsigned i = 0; i < under_way; i++)
        ask(&askers[i]);
    timer_init(&end, &loop, stop, NULL);
    timer_start(&end, loop_now_ms(&loop) + seconds * 1000);
    int64_t begun_us = clock_monotonic_us();
    double begun_cpu_us = cpu_us();
    loop_run(&loop);
    double took_s = (double)(clock_monotonic_us() - begun_us) * 1e-6, calls = (double)done_count;
    printf("%.0f calls/s of two commands, %.2f us of CPU a call, %.2f ms until it was answered, %llu errors\n",
           calls / took_s, (cpu_us() - begun_cpu_us) / calls, (double)waited_us / calls * 1e-3,
           (unsigned long long)error_count);
    redis_free(&redis); /* what is under way ends without on_done */
    for (unsigned i = 0; i < under_way; i++)
        redis_call_fini(&askers[i].call);
    free(askers);
    return error_count > 0;
}

int main(int argc, char **argv)
{
    struct err err;
    struct endpoint at;
    if (argc < 2 || argc > 4 || !endpoint_parse(str_of_z(argv[1]), &at, &err)) {
        fprintf(stderr, "usage: redis ENDPOINT [under-way [seconds]]\n");
        return 2;
    }
    const struct redis_options options = {.shape = REDIS_ALONE, .endpoints = &at, .endpoint_count = 1};
    if (!loop_init(&loop, &err) || !(redis = redis_new(&loop, &options, DEADLINE_MS, NULL, NULL, &err))) {
        fprintf(stderr, "redis: %s\n", err.text);
        return 1;
    }
    int status =
        run(number_or(argc > 2 ? argv[2] : NULL, 200, MAX_UNDER_WAY), number_or(argc > 3 ? argv[3] : NULL, 5, 60));
    redis_free(&redis);
    loop_fini(&loop);
    return status;
}
