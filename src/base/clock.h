/* clock.h - the two clocks. Code that decides takes the time as an argument; only edges (net/loop, cli, process) read
 * these. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/defs.h"

/* Milliseconds that only grow (CLOCK_MONOTONIC): for deadlines. */
int64_t clock_monotonic_ms(void);
int64_t clock_monotonic_us(void);
/* Microseconds since 1970 (CLOCK_REALTIME): for events and headers. */
int64_t clock_wall_us(void);
/* Microseconds since 1970 as the wall clock was at the first call, carried on by a clock that nobody sets
 * (CLOCK_BOOTTIME): for limit windows and bans, which no step of the wall clock may empty or hold up. The supervisor
 * calls it before it forks, so that all processes of a node go by the same one. */
int64_t clock_steady_us(void);
/* How far local time was ahead of UTC then, in seconds; time_s: since 1970. 0 where that is not known. Cheap: zones
 * change at whole quarters of an hour, and the last one asked about is remembered. */
int64_t clock_utc_offset_s(int64_t time_s);

#endif
