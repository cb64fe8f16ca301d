/*
 * verifier.h - a few threads that judge logins, behind a queue with a bound.
 *
 *   loop:    verifier_job_new ─ fill ─ verifier_submit ─▶ queue
 *   thread:  queue ─▶ judge ─▶ done ─ eventfd
 *   loop:    eventfd ─▶ verifier_take_done
 *
 * All jobs lie in one pool made at the start: the pool's size is the bound, and an empty pool the answer "unavailable".
 * One mutex guards the two lists; no thread holds it while it hashes. A job that is older than its deadline when a
 * thread comes to it is not judged: nobody waits for it any more, and a flood drains at the speed of a list. Every
 * function but the threads' own runs in the one thread that made the verifier.
 */
#ifndef AUTH_VERIFIER_H
#define AUTH_VERIFIER_H

#include "auth/backend.h"
#include "base/list.h"

struct verifier;

struct verifier_options {
    unsigned threads;        /* 1 to 64 */
    unsigned jobs_max;       /* waiting, running and done but not taken; 1 to 65536 */
    int64_t (*now_ms)(void); /* monotonic; called by the threads */
};

struct verify_job {
    struct list node;
    struct auth_task task;
    int64_t deadline_ms;
    uint64_t id; /* id and owner: the caller's, to find a job again */
    unsigned owner;
    uint64_t users_version; /* the caller's */
    enum auth_result result;
};

/* Starts the threads, all signals blocked in them. NULL with err. */
struct verifier *verifier_new(const struct verifier_options *o, struct err *err);
/* Ends the threads (each finishes the password it is at) and wipes all jobs, taken or not. Takes NULL. */
void verifier_free(struct verifier **v);

/* Readable while verifier_take_done has something, or soon will. */
int verifier_fd(const struct verifier *v);

/* An empty job, the caller's until it is submitted or released. NULL: all are in use. */
struct verify_job *verifier_job_new(struct verifier *v);
/* Wipes it and puts it back. */
void verifier_job_release(struct verifier *v, struct verify_job *job);
/* Queues it. */
void verifier_submit(struct verifier *v, struct verify_job *job);
/* Takes a job that still waits out of the queue and releases it. False: not there (running, done, or never was). */
bool verifier_cancel(struct verifier *v, unsigned owner, uint64_t id);
/* The next job that is done, the caller's again, its password wiped already. NULL: none now. */
struct verify_job *verifier_take_done(struct verifier *v);

#endif
