/*
 * store.c - the clock and the loop of the measurement; store.h says what is measured.
 *
 *   store nothing|memory|redis|script [--redis 127.0.0.1:6379] [--under-way 200] [--rate 0] [--seconds 3]
 *         [--users 10000] [--mix usual]
 *
 * Without --rate so many mails are under way all the time, the next one begun where one ends: the most that can be had.
 * With it so many are begun each second, each at its own moment, whatever became of those before: what a mail waits
 * then is what it would wait in a server that is as busy. Before anything is measured every user has sent a mail, and
 * the same load was there for WARM_UP_US: that long ago they were all read at once, and so would be read again at once.
 * Prints mails a second, CPU of this process a mail, and what half and 99 of 100 mails waited at most; with --rate also
 * those of them that waited while no processor was taken away (stalls.h), and how many there were.
 */
#include "store.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "stalls.h"
#include "waits.h"

enum { UNDER_WAY_MAX = 20000, WAITS_MAX = 4 << 20, BEGUN_A_TURN = 1000, CONNECT_MS = 3000 };

#define WARM_UP_US INT64_C(4000000)
#define FINISH_US  INT64_C(2000000)

#define USER   "u:user", "@example.org"
#define CLIENT "i:10.1.", ".7"

static const struct limit_row usual[LIMITS] = {
    {USER, 3600, COLUMN_MESSAGES, 0}, {USER, 3600, COLUMN_RECIPIENTS, 0}, {USER, 86400, COLUMN_RECIPIENTS, 1},
    {USER, 86400, COLUMN_KIB, 1},     {CLIENT, 3600, COLUMN_MESSAGES, 2}, {CLIENT, 3600, COLUMN_RECIPIENTS, 2},
};
static const struct limit_row apart[LIMITS] = {
    {USER, 3600, COLUMN_MESSAGES, 0},
    {USER, 86400, COLUMN_RECIPIENTS, 1},
    {CLIENT, 3600, COLUMN_MESSAGES, 2},
    {"f:user", "@example.org", 3600, COLUMN_RECIPIENTS, 3},
    {"fd:d", ".example.org", 7200, COLUMN_KIB, 4},
    {"g:", NULL, 86400, COLUMN_MESSAGES, 5},
};
const struct limit_row *limits = usual;

static struct loop loop;
static const struct way *way;
static unsigned under_way_max = 200, rate, seconds = 3, users = 10000;
static struct mail *mails, **spare;
static size_t spare_count, done_count, refused_count, alone_count, wait_count;
static int striker_fd;
static int64_t struck_since_us, struck_every_ns;
static size_t struck_count, begun_count;
static struct watch striker;
static uint32_t *waits_us;
static int64_t *ended_us; /* and when that was over */
static uint64_t drawn = UINT64_C(0x9e3779b97f4a7c15);

NORETURN void bench_fail(const char *what, const char *why)
{
    fprintf(stderr, "store: %s: %s\n", what, why);
    exit(1);
}

static void on_done(struct mail *m, bool is_admitted)
{
    done_count++;
    refused_count += !is_admitted;
    alone_count += m->is_alone;
    if (wait_count < WAITS_MAX) {
        int64_t now_us = clock_monotonic_us();
        ended_us[wait_count] = now_us;
        waits_us[wait_count++] = (uint32_t)MIN_OF(now_us - m->due_us, INT64_C(1000000000));
    }
    spare[spare_count++] = m;
}

static char *append(char *to, struct str s)
{
    memcpy(to, s.ptr, s.len);
    return to + s.len;
}

/* Not by snprintf, which took a tenth of what was to be measured. */
static struct str name_entity(char to[ENTITY_MAX_BYTES], const struct limit_row *limit, struct str number)
{
    char *end = append(to, str_of_z(limit->head));
    if (limit->tail)
        end = append(append(end, number), str_of_z(limit->tail));
    return str_of(to, (size_t)(end - to));
}

static void begin(unsigned user, int64_t due_us)
{
    struct mail *m = spare[--spare_count];
    char digits[STR_OF_U64_MAX];
    struct str number = str_of_u64(digits, user);

    for (size_t i = 0; i < LIMITS; i++)
        m->entities[i] = name_entity(m->texts[i], &limits[i], number);
    m->due_us = due_us;
    way->mail_start(m);
}

static void open_nothing(struct loop *l, struct redis *redis)
{
    (void)l, (void)redis;
}

static void init_nothing(struct mail *m)
{
    (void)m;
}

static void ask_nothing(struct mail *m)
{
    m->on_done(m, true);
}

const struct way way_nothing = {"nothing", open_nothing, init_nothing, ask_nothing, false};

static unsigned draw_user(void)
{
    drawn ^= drawn << 13;
    drawn ^= drawn >> 7;
    drawn ^= drawn << 17;
    return (unsigned)(drawn % users);
}

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

/* Until all mails have their answers. */
static void finish(void)
{
    int64_t until_us = clock_monotonic_us() + FINISH_US;

    while (spare_count < under_way_max && clock_monotonic_us() < until_us)
        loop_run_once(&loop, 10);
    if (spare_count < under_way_max)
        bench_fail("the end", "mails have no answer");
}

/* What is due, as far as there is room for it: what finds none is late. */
static void begin_due(void)
{
    for (; begun_count < struck_count && spare_count > 0; begun_count++)
        begin(draw_user(), struck_since_us + (int64_t)(begun_count + 1) * struck_every_ns / 1000);
}

/* The clock strikes when a mail is due: the loop's own timers know milliseconds only. */
static void on_strike(void *arg, bool readable, bool writable)
{
    uint64_t strikes;
    (void)arg, (void)readable, (void)writable;
    if (read(striker_fd, &strikes, sizeof strikes) == (ssize_t)sizeof strikes)
        struck_count += strikes;
    begin_due();
}

static void strike_every(int64_t ns)
{
    struck_since_us = clock_monotonic_us(); /* before the first strike is due: no mail waits less than it says */
    struck_every_ns = ns;
    struck_count = begun_count = 0;
    const struct itimerspec every = {{ns / 1000000000, ns % 1000000000}, {ns / 1000000000, ns % 1000000000}};
    if (timerfd_settime(striker_fd, 0, &every, NULL) < 0)
        bench_fail("the clock", "it cannot be set");
}

static void on_end(void *arg)
{
    (void)arg;
    loop_stop(&loop);
}

/* Nothing but the loop's own turns, as in a worker. */
static void run_evenly(int64_t for_us)
{
    struct timer end;
    timer_init(&end, &loop, on_end, NULL);
    strike_every(INT64_C(1000000000) / rate);
    timer_start(&end, clock_monotonic_ms() + for_us / 1000);
    loop_run(&loop);
    timer_cancel(&end);
    strike_every(0);
}

static void run_full(int64_t for_us)
{
    int64_t until_us = clock_monotonic_us() + for_us;

    while (clock_monotonic_us() < until_us) {
        for (unsigned n = 0; n < BEGUN_A_TURN && spare_count > 0; n++)
            begin(draw_user(), clock_monotonic_us());
        loop_run_once(&loop, spare_count < under_way_max ? 1 : 0);
    }
}

static void run(int64_t for_us)
{
    if (rate)
        run_evenly(for_us);
    else
        run_full(for_us);
    finish();
}

static void warm_up(void)
{
    for (unsigned user = 0; user < users; user++) {
        while (spare_count == 0)
            loop_run_once(&loop, 1);
        begin(user, clock_monotonic_us());
    }
    finish();
    run(WARM_UP_US);
    done_count = refused_count = alone_count = wait_count = 0;
}

static unsigned number(const char *text, unsigned max)
{
    uint64_t n;
    if (!str_to_u64(str_of_z(text), max, &n))
        bench_fail(text, "not a number, or too large");
    return (unsigned)n;
}

static struct redis *connect_to(const struct endpoint *at)
{
    struct err err;
    const struct redis_options options = {.shape = REDIS_ALONE, .endpoints = at, .endpoint_count = 1};
    struct redis *redis = redis_new(&loop, &options, CONNECT_MS, NULL, NULL, &err);
    int64_t began_ms = clock_monotonic_ms();

    if (!redis)
        bench_fail("Redis", err.text);
    while (!redis_shard_is_up(redis, 0) && clock_monotonic_ms() - began_ms < CONNECT_MS)
        loop_run_once(&loop, 10);
    if (!redis_shard_is_up(redis, 0))
        bench_fail("Redis", "it does not answer");
    return redis;
}

static void read_options(int argc, char **argv, struct endpoint *at)
{
    static const struct option known[] = {{"redis", required_argument, NULL, 'r'},
                                          {"under-way", required_argument, NULL, 'u'},
                                          {"rate", required_argument, NULL, 'a'},
                                          {"seconds", required_argument, NULL, 's'},
                                          {"users", required_argument, NULL, 'n'},
                                          {"mix", required_argument, NULL, 'm'},
                                          {0}};
    static const struct way *const ways[] = {&way_nothing, &way_memory, &way_redis, &way_script};
    struct err err;
    int letter;

    if (!endpoint_parse(STR("127.0.0.1:6379"), at, &err))
        bench_fail("the endpoint", err.text);
    while ((letter = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (letter == 'r' && !endpoint_parse(str_of_z(optarg), at, &err))
            bench_fail(optarg, err.text);
        else if (letter == 'u')
            under_way_max = MAX_OF(1u, number(optarg, UNDER_WAY_MAX));
        else if (letter == 'a')
            rate = number(optarg, 10000000);
        else if (letter == 's')
            seconds = MAX_OF(1u, number(optarg, 3600));
        else if (letter == 'n')
            users = MAX_OF(1u, number(optarg, 10000000));
        else if (letter == 'm')
            limits = str_equal(str_of_z(optarg), STR("apart")) ? apart : usual;
        else if (letter == '?')
            exit(2);
    }
    for (size_t i = 0; optind + 1 == argc && i < COUNT_OF(ways); i++)
        if (str_equal(str_of_z(argv[optind]), str_of_z(ways[i]->name)))
            way = ways[i];
    if (!way)
        bench_fail("usage", "store nothing|memory|redis|script [--redis ENDPOINT] [--under-way N] [--rate N] "
                            "[--seconds N] [--users N] [--mix usual|apart]");
}

/* Puts the waits of mails that nothing disturbed before all others, in order; how many there are. */
static size_t find_undisturbed(void)
{
    size_t count = 0;
    for (size_t i = 0; i < wait_count; i++)
        if (!stalls_disturbed(ended_us[i] - waits_us[i], ended_us[i])) {
            uint32_t wait_us = waits_us[i];
            waits_us[i] = waits_us[count];
            waits_us[count++] = wait_us;
        }
    waits_sort(waits_us, count);
    return count;
}

int main(int argc, char **argv)
{
    struct endpoint at;
    struct err err;

    read_options(argc, argv, &at);
    if (!loop_init(&loop, &err))
        bench_fail("the loop", err.text);
    striker_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (striker_fd < 0)
        bench_fail("the clock", "there is none");
    watch_init(&striker, &loop, striker_fd, on_strike, NULL);
    watch_set(&striker, true, false);
    mails = calloc(under_way_max, sizeof *mails);
    spare = calloc(under_way_max, sizeof *spare);
    waits_us = malloc(WAITS_MAX * sizeof *waits_us);
    ended_us = malloc(WAITS_MAX * sizeof *ended_us);
    if (!mails || !spare || !waits_us || !ended_us)
        bench_fail("memory", "there is none");
    way->open(&loop, way->needs_redis ? connect_to(&at) : NULL);
    for (size_t i = 0; i < under_way_max; i++) {
        mails[i].on_done = on_done;
        way->mail_init(&mails[i]);
        spare[spare_count++] = &mails[i];
    }
    warm_up();
    /* What is measured from outside begins here, and goes on when it is answered. */
    printf("ready\n");
    fflush(stdout);
    if (getchar() == EOF)
        return 0;
    bool is_watched = rate && stalls_start();
    double cpu_began_us = cpu_us();
    int64_t began_us = clock_monotonic_us();
    run((int64_t)seconds * 1000000);
    double took_s = (double)(clock_monotonic_us() - began_us) * 1e-6, took_cpu_us = cpu_us() - cpu_began_us;
    if (is_watched) {
        stalls_stop();
        size_t count = find_undisturbed();
        printf("undisturbed=%zu undisturbed_p50_us=%u undisturbed_p99_us=%u ", count, waits_at(waits_us, count, 50),
               waits_at(waits_us, count, 99));
    }
    waits_sort(waits_us, wait_count);
    printf("mails=%zu refused=%zu alone=%zu seconds=%.3f cpu_us=%.3f p50_us=%u p99_us=%u\n", done_count, refused_count,
           alone_count, took_s, took_cpu_us / (double)MAX_OF(done_count, (size_t)1), waits_at(waits_us, wait_count, 50),
           waits_at(waits_us, wait_count, 99));
    return 0;
}
