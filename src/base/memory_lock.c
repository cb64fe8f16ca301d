/* memory_lock.c - locks that outlive their owners. See memory_lock.h. */
#include "base/memory_lock.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/panic.h"

#define SLICE_US 5000

int memory_lock_init(struct memory_lock *lock)
{
    pthread_mutexattr_t attr;
    int rc = pthread_mutexattr_init(&attr);
    if (rc)
        return rc;
    rc = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    if (!rc)
        rc = pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    if (!rc)
        rc = pthread_mutex_init(&lock->mutex, &attr);
    pthread_mutexattr_destroy(&attr);
    lock->recovered = lock->timeouts = 0;
    return rc;
}

void memory_lock_fini(struct memory_lock *lock)
{
    pthread_mutex_destroy(&lock->mutex);
}

static int64_t monotonic_us(struct timespec *ts)
{
    clock_gettime(CLOCK_MONOTONIC, ts);
    return (int64_t)ts->tv_sec * 1000000 + ts->tv_nsec / 1000;
}

/* Waits in slices: where a lock's owner and the one that was woken to take it over are killed together, nobody wakes
 * the next in line, but whoever looks again finds the lock free. */
static int take_within(pthread_mutex_t *mutex, int64_t *wait_us)
{
    int rc = pthread_mutex_trylock(mutex);
    if (rc != EBUSY)
        return rc;
    struct timespec ts;
    int64_t began_us = monotonic_us(&ts), now_us = began_us, until_us = began_us + MAX_OF(*wait_us, 0);
    do {
        int64_t slice_us = MIN_OF(until_us, now_us + SLICE_US);
        ts = (struct timespec){.tv_sec = slice_us / 1000000, .tv_nsec = slice_us % 1000000 * 1000};
        rc = pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &ts);
        now_us = monotonic_us(&ts);
    } while (rc == ETIMEDOUT && now_us < until_us);
    *wait_us -= now_us - began_us;
    return rc;
}

bool memory_lock_take(struct memory_lock *lock, int64_t *wait_us)
{
    int rc = take_within(&lock->mutex, wait_us);
    if (rc == EOWNERDEAD) {
        /* Its owner was killed. What it left is valid, whichever write was its last. */
        pthread_mutex_consistent(&lock->mutex);
        lock->recovered++;
        rc = 0;
    }
    if (rc == ETIMEDOUT)
        __atomic_add_fetch(&lock->timeouts, 1, __ATOMIC_RELAXED);
    else
        PANIC_IF(rc, "lock of shared memory: %s", strerror(rc));
    return rc == 0;
}

void memory_lock_drop(struct memory_lock *lock)
{
    int rc = pthread_mutex_unlock(&lock->mutex);
    PANIC_IF(rc, "unlock of shared memory: %s", strerror(rc));
}

uint64_t memory_lock_timeouts(const struct memory_lock *lock)
{
    return __atomic_load_n(&lock->timeouts, __ATOMIC_RELAXED);
}
