/*
 * auth_service.h - the auth process's life: requests in, answers out, users re-read.
 *
 * One poll(2) loop over the workers' channels, the verifier's eventfd and a descriptor that says when to end; it never
 * blocks on anything else. It wakes once a second to see whether the users file changed, so that a user who was removed
 * is out within about that time, cached logins included. Memory: the users, the job pool, and what the threads hash
 * with.
 *
 * The file is opened by this process, after privileges were dropped: root:mailweir 0640 is right for it. If it cannot
 * be read or a line is wrong, the last good content stays in force (none yet: logins are unavailable, 454), on_state
 * hears of it once, and the process goes on looking: mending the file is all that is needed.
 */
#ifndef AUTH_AUTH_SERVICE_H
#define AUTH_AUTH_SERVICE_H

#include "auth/backend.h"

struct auth_service_options {
    const struct auth_backend_setting *backends; /* in the order in which they are tried */
    size_t backend_count;                        /* 1 to 16 */
    const int *channels;                         /* the auth process's end of one per worker slot (auth_channel_open) */
    size_t channel_count;                        /* 1 to 1024 */
    int stop_fd;       /* readable or at its end: finish. The supervisor's death shows here too. -1: none */
    unsigned threads;  /* 0: one per core, at most 4 */
    unsigned jobs_max; /* 0: 256; more than that many logins at once are unavailable */
    auth_backend_state_cb on_state; /* NULL: log lines only */
    void *on_state_arg;
};

/* Runs until stop_fd or until every channel is at its end. Returns true then; false with err if it could not start
 * (memory, threads). Closes none of the descriptors. */
MUST_USE bool auth_service_run(const struct auth_service_options *o, struct err *err);

#endif
