/*
 * auth_client.h - a worker's way to the auth process, and its cache of verified logins.
 *
 * One per worker. A login that the cache knows is answered at once and asks nobody. All others go out as one datagram
 * and come back by the callback: with the answer; or with AUTH_UNAVAILABLE when the deadline comes, when the auth
 * process was restarted meanwhile, or its channel closed. Channel full or AUTH_CLIENT_CHECKS_MAX running:
 * AUTH_UNAVAILABLE at once.
 *
 * What is counted against guessing (limits, reserved before the password is looked at) is the caller's business, before
 * auth_check_start: a login from the cache passes the same gate.
 */
#ifndef AUTH_AUTH_CLIENT_H
#define AUTH_AUTH_CLIENT_H

#include "auth/auth.h"
#include "net/addr.h"
#include "net/loop.h"

enum { AUTH_CLIENT_CHECKS_MAX = 256 };

struct auth_client;
struct auth_check; /* one that is running */

struct auth_request {
    struct str user; /* as the client gave it; borrowed until auth_check_start returns, like the password */
    struct str password;
    struct ip_net network; /* the client's (/24, /56): a cached login is good from there only */
};

struct auth_answer {
    enum auth_result result;
    bool from_cache;
    struct str user; /* AUTH_OK: the canonical name, borrowed until the callback returns (DONE: until the client is next
                        used) */
};

typedef void (*auth_cb)(void *arg, const struct auth_answer *answer);

struct auth_client_options {
    int channel;          /* this worker slot's end (auth_channel_open); not closed */
    int64_t cache_ttl_ms; /* `cache`; 0: none */
    size_t cache_entries; /* 0: 4096 */
};

/* NULL with err: no memory. */
struct auth_client *auth_client_new(struct loop *l, const struct auth_client_options *o, struct err *err);
/* No check may be running. Takes NULL. */
void auth_client_free(struct auth_client **c);

/* DONE: *answer is there. STARTED: on_answer comes exactly once, at deadline_ms (monotonic) at the latest, and *check
 * names it until then. The request is not needed any more when this returns; wiping the password is the caller's. */
enum started auth_check_start(struct auth_client *c, const struct auth_request *request, int64_t deadline_ms,
                              struct auth_answer *answer, auth_cb on_answer, void *arg, struct auth_check **check);
/* on_answer will not come. Tells the auth process, which forgets the login if it still waits. Clears *check; takes NULL
 * there. */
void auth_cancel(struct auth_client *c, struct auth_check **check);

#endif
