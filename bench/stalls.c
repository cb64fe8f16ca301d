/* stalls.c - see stalls.h. */
#include "stalls.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/defs.h"

enum { PROCESSORS_MAX = 64, STALLS_MAX = 16384, TURN_US = 1000, LATE_US = 500 };

struct watcher {
    pthread_t thread;
    size_t count;
    struct stall {
        int64_t from_us, to_us;
    } stalls[STALLS_MAX]; /* in order; what does not fit any more is not known */
};

static struct watcher watchers[PROCESSORS_MAX];
static size_t watcher_count;
static atomic_bool is_over;

static void *watch(void *arg)
{
    struct watcher *w = arg;
    int64_t due_us = clock_monotonic_us() + TURN_US;
    while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
        struct timespec due = {due_us / 1000000, due_us % 1000000 * 1000};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
        int64_t now_us = clock_monotonic_us();
        if (now_us - due_us > LATE_US && w->count < STALLS_MAX)
            w->stalls[w->count++] = (struct stall){due_us, now_us};
        due_us = MAX_OF(due_us, now_us - LATE_US) + TURN_US;
    }
    return NULL;
}

static bool start_on(int processor, struct watcher *w)
{
    static const struct sched_param FIRST = {.sched_priority = 50};
    pthread_attr_t attributes;
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(processor, &only);
    pthread_attr_init(&attributes);
    bool is_started = !pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED) &&
                      !pthread_attr_setschedpolicy(&attributes, SCHED_FIFO) &&
                      !pthread_attr_setschedparam(&attributes, &FIRST) &&
                      !pthread_attr_setaffinity_np(&attributes, sizeof only, &only) &&
                      !pthread_create(&w->thread, &attributes, watch, w);
    pthread_attr_destroy(&attributes);
    return is_started;
}

bool stalls_start(void)
{
    cpu_set_t ours;
    if (sched_getaffinity(0, sizeof ours, &ours) < 0)
        return false;
    for (int processor = 0; processor < CPU_SETSIZE && watcher_count < PROCESSORS_MAX; processor++) {
        if (!CPU_ISSET(processor, &ours))
            continue;
        if (!start_on(processor, &watchers[watcher_count])) {
            stalls_stop();
            return false;
        }
        watcher_count++;
    }
    return true;
}

void stalls_stop(void)
{
    atomic_store(&is_over, true);
    for (size_t i = 0; i < watcher_count; i++)
        pthread_join(watchers[i].thread, NULL);
}

/* The first that is worked off after that moment. */
static size_t find(const struct watcher *w, int64_t from_us)
{
    size_t low = 0, high = w->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct stall *s = &w->stalls[middle];
        if (2 * s->to_us - s->from_us < from_us)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool stalls_disturbed(int64_t from_us, int64_t to_us)
{
    for (size_t i = 0; i < watcher_count; i++) {
        size_t at = find(&watchers[i], from_us);
        if (at < watchers[i].count && watchers[i].stalls[at].from_us <= to_us)
            return true;
    }
    return false;
}
