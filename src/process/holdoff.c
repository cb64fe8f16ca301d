/* holdoff.c - see holdoff.h. */
#include "process/holdoff.h"

#include <string.h>

static void note(struct holdoff *h, int64_t now_ms)
{
    h->deaths_ms[h->next] = now_ms;
    h->next = (h->next + 1) % HOLDOFF_DEATHS;
    h->count = MIN_OF(h->count + 1, (unsigned)HOLDOFF_DEATHS);
}

int64_t holdoff_note_death(struct holdoff *h, const struct holdoff_times *times, int64_t now_ms, int64_t lived_ms,
                           enum holdoff_news *news)
{
    *news = HOLDOFF_SAME;
    if (h->delay_ms > 0 && lived_ms < times->window_ms) {
        h->delay_ms = MIN_OF(h->delay_ms * 2, times->max_ms);
        return h->delay_ms;
    }
    if (h->delay_ms > 0) {
        *news = HOLDOFF_ENDS;
        memset(h, 0, sizeof *h);
    }
    note(h, now_ms);
    /* full, the ring's next entry is its oldest */
    if (h->count == HOLDOFF_DEATHS && now_ms - h->deaths_ms[h->next] <= times->window_ms) {
        *news = HOLDOFF_BEGINS;
        h->delay_ms = times->first_ms;
    }
    return h->delay_ms;
}
