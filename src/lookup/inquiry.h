/*
 * inquiry.h - asking outside: once for a key however many want to know, and not again while the answer holds.
 *
 *   inquiry_start ─▶ remembered? ─────────▶ DONE
 *        │           being asked? wait, too ──┐
 *        └─ STARTED  else ask(…)              ├─▶ task ─▶ on_answer of all who wait
 *                         … inquiry_answer ───┘
 *                    the deadline of one who waits ─▶ no answer, for him
 *
 * The kinds of lookups (dnsbl, reverse_name, …) say what a key is, how it is asked and what its answer means; waiting,
 * sharing, remembering and bounds are here. A question that nobody waits for any more is asked to its end: its answer
 * is for the next one. Its own time limit is the business of who asks it.
 */
#ifndef LOOKUP_INQUIRY_H
#define LOOKUP_INQUIRY_H

#include "base/str.h"
#include "net/loop.h"

struct inquiries; /* all of one kind, in one worker */
struct inquiry;   /* one question under way */

struct inquiries_options {
    size_t max_cached, max_cached_bytes;
    size_t max_open;    /* questions under way; beyond, there is no answer */
    size_t state_bytes; /* of the asker's own, with each question, zeroed */
    /* Asks. Must lead to exactly one inquiry_answer, at once or later. */
    void (*ask)(void *arg, struct inquiry *q);
    /* The question ends unanswered, with all of its kind: lets go of what hangs on its state. */
    void (*drop)(void *arg, struct inquiry *q);
    void *arg;
};

/* Who waits: in the waiter's memory, until the answer or the cancel. */
struct inquiry_wait {
    struct list node;
    struct inquiry *question; /* NULL: not waiting */
    struct timer deadline;
    void (*on_answer)(void *arg, struct str value);
    void *arg;
};

/* NULL with err: no memory. */
struct inquiries *inquiries_new(struct loop *l, const struct inquiries_options *options, struct err *err);
/* Who waits hears nothing any more. Not from inside on_answer. NULL is fine. */
void inquiries_free(struct inquiries **all);

/* DONE: *value is the answer, borrowed until the next call or the end of the turn; STR_NONE (ptr NULL): none can be
 * had, there are too many questions or no memory. STARTED: on_answer comes exactly once, never from inside, by
 * deadline_ms (absolute); its value is borrowed for the call, STR_NONE: none in time. */
enum started inquiry_start(struct inquiries *all, struct inquiry_wait *w, struct str key, int64_t deadline_ms,
                           struct str *value, void (*on_answer)(void *arg, struct str value), void *arg);
/* After this on_answer does not come. Of one that is not waiting (zeroed, answered): harmless. */
void inquiry_cancel(struct inquiry_wait *w);

/* ---- for the asker ---- */

struct str inquiry_key(const struct inquiry *q);
void *inquiry_state(struct inquiry *q);
/* The answer (copied), remembered for keep_ms; 0: not at all. q is the asker's no longer. Without memory for it: no
 * answer. */
void inquiry_answer(struct inquiry *q, struct str value, int64_t keep_ms);

/* For who looks. */
size_t inquiries_open(const struct inquiries *all);
size_t inquiries_cached(const struct inquiries *all);

#endif
