/*
 * holdoff.h - when to restart what died: at once, unless it dies again and again. Pure: time is an argument.
 *
 * The deaths that make a crash loop are HOLDOFF_DEATHS within window_ms. From then on every restart waits, first_ms,
 * then twice as long each time, up to max_ms, until one life has lasted window_ms.
 */
#ifndef PROCESS_HOLDOFF_H
#define PROCESS_HOLDOFF_H

#include "base/defs.h"

enum { HOLDOFF_DEATHS = 5 };

struct holdoff_times {
    int64_t window_ms, first_ms, max_ms;
};

struct holdoff {
    int64_t deaths_ms[HOLDOFF_DEATHS]; /* a ring; only the first `count` are set */
    unsigned count, next;
    int64_t delay_ms; /* 0: not held off */
};

enum holdoff_news { HOLDOFF_SAME, HOLDOFF_BEGINS, HOLDOFF_ENDS };

/* It died at now_ms after living lived_ms. Returns how long its restart is to wait; 0: not at all. */
int64_t holdoff_note_death(struct holdoff *h, const struct holdoff_times *times, int64_t now_ms, int64_t lived_ms,
                           enum holdoff_news *news);

#endif
