/*
 * stalls.h - when did a processor do nothing of ours, whoever asked? A virtual machine's is taken away by its host, for
 * milliseconds, and who waits meanwhile waits for the host.
 *
 * On each processor a thread that comes before all others there (SCHED_FIFO) wakes every millisecond. Where it comes
 * late nobody ran. This is known by the microsecond, and /proc/stat's `steal` by hundredths of a second.
 */
#ifndef BENCH_STALLS_H
#define BENCH_STALLS_H

#include <stdbool.h>
#include <stdint.h>

/* False: we may not (that needs CAP_SYS_NICE), and nothing is known. */
bool stalls_start(void);
/* To be called before anything is asked. */
void stalls_stop(void);
/* Did one fall into this time (clock_monotonic_us)? For as long again after each, what has gathered is worked off. */
bool stalls_disturbed(int64_t from_us, int64_t to_us);

#endif
