/*
 * memory_lock.h - locks in memory that workers share, any of whom may be killed while it holds one.
 *
 * A robust mutex: whoever comes next takes a dead owner's lock over, and finds what is below it as the dead one's last
 * write left it. So every write under such a lock is put in an order in which each state between two of them is a valid
 * one; MEMORY_ORDER() keeps the compiler to that order.
 */
#ifndef BASE_MEMORY_LOCK_H
#define BASE_MEMORY_LOCK_H

#include <pthread.h>

#include "base/defs.h"

/* A lock is held for microseconds, unless its holder lost its processor or was stopped. So long waits what nobody may
 * lose: a charge to be given back or kept, a ban. */
#define MEMORY_LOCK_WAIT_US 500000

struct memory_lock {
    pthread_mutex_t mutex;
    uint64_t recovered; /* times it was taken over from a dead owner; written with the lock held */
    uint64_t timeouts;  /* atomic: counted without the lock */
};

/* 0, or an errno. */
MUST_USE int memory_lock_init(struct memory_lock *lock);
void memory_lock_fini(struct memory_lock *lock);
/* False: not had within *wait_us, from which the time spent is taken off. */
MUST_USE bool memory_lock_take(struct memory_lock *lock, int64_t *wait_us);
void memory_lock_drop(struct memory_lock *lock);
uint64_t memory_lock_timeouts(const struct memory_lock *lock);

/* A compiler's fence: the order of writes that a killed process leaves behind. */
#define MEMORY_ORDER() __atomic_signal_fence(__ATOMIC_SEQ_CST)

#endif
