/*
 * alert_outlet.h - what waits for one `alert` statement, and whether that can be reached.
 *
 *   message ─▶ waiting (bounded) ─▶ running (few) ─▶ sent
 *                  ▲                    └─ failed ─▶ the outlet rests 1, 5, 30 s ─┐ given up after the fourth time
 *                  └──────────────────── in front of all others ◀────────────────┘
 *
 * Every outlet has a queue of its own, so one that hangs delays no other. Once it fails, only one alert at a time finds
 * out whether it works again. The log hears of a change of state, not of every alert: once that it cannot be reached,
 * once that it can.
 *
 * A way (alert_ways.h) knows how to reach one kind of outlet.
 */
#ifndef PROCESS_ALERT_OUTLET_H
#define PROCESS_ALERT_OUTLET_H

#include "config/config.h"
#include "net/loop.h"

enum {
    ALERT_WAITING_MAX = 1000, /* of one outlet */
    ALERT_RUNNING_MAX = 4,
    ALERT_TRIES_MAX = 4,
};

/* How long things may take; the tests have less patience. */
struct alert_times {
    int64_t deadline_ms;              /* of one try */
    int64_t rest_ms[ALERT_TRIES_MAX]; /* after so many failures of one alert */
};
extern const struct alert_times ALERT_TIMES;

struct alert_outlet;
struct alert_ways;

/* One alert on its way. Its texts lie behind it. */
struct alert_job {
    struct list node;
    struct alert_outlet *outlet;
    uint64_t id;
    uint32_t held_back;
    unsigned tries;
    struct timer deadline;
    void *work;           /* of the way, while it runs */
    struct str key, json; /* each with a NUL behind it */
};

/* How to reach an outlet; a row per kind. */
struct alert_way {
    /* Begins a try. DONE: it is over, err->text empty if it was sent, else why not; STARTED: alert_job_done will come,
     * never from inside. */
    enum started (*start)(struct alert_ways *ways, struct alert_job *job, struct err *err);
    /* Ends a try that was STARTED, without alert_job_done: it took too long. */
    void (*cancel)(struct alert_ways *ways, struct alert_job *job);
};

struct alert_outlet {
    const struct alert_config *config;
    const struct alert_way *way;
    struct alert_ways *ways;
    const struct alert_times *times;
    struct loop *loop;
    struct alert_rates *rates;
    struct counters *counters;
    void (*on_idle)(void *arg); /* nothing waits or runs any more */
    void *arg;
    struct list waiting, running;
    unsigned waiting_count, running_count;
    struct timer rest;
    struct task advance;
    bool is_failing, is_ending, said_full, said_partly;
};

/* All above `waiting` is set by the caller. */
void alert_outlet_init(struct alert_outlet *o);
/* Drops what waits or runs: as given up. */
void alert_outlet_fini(struct alert_outlet *o);
void alert_outlet_take(struct alert_outlet *o, const struct alert_message *m);
bool alert_outlet_is_idle(const struct alert_outlet *o);
/* The process ends: what waits gets one more try, at once. */
void alert_outlet_end(struct alert_outlet *o);

/* For ways: a try that was STARTED is over. why NULL: it was sent. */
void alert_job_done(struct alert_job *job, const char *why);

#endif
