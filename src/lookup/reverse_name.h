/*
 * reverse_name.h - `client.name`: the name of an address, if the name says so, too (RFC 1912 2.1).
 *
 *   reverse_name_start ─▶ inquiry (remembered, shared) ─▶ PTR of 7.2.0.192.in-addr.arpa
 *                                                          └─▶ A (or AAAA) of each of its names, at once
 *                                                               └─▶ the first whose addresses hold the client's
 *
 * Anybody may let his address point to anybody's name; only who runs the name can let it point back. Of several names
 * that do, the first in the alphabet is taken: servers shuffle them, and a rule should not see another one each time.
 * DNS alone is asked, not /etc/hosts.
 */
#ifndef LOOKUP_REVERSE_NAME_H
#define LOOKUP_REVERSE_NAME_H

#include "lookup/dns.h"
#include "lookup/inquiry.h"

enum {
    REVERSE_MAX_NAMES = 4, /* of one address; more are not looked at */
    REVERSE_CACHED = 65536,
    REVERSE_MAX_OPEN = 1024,
    REVERSE_TIMEOUT_MS = 5000, /* both steps together; a waiter's own deadline may be earlier */
    REVERSE_KEEP_MAX_MS = 3600000,
    REVERSE_ERROR_KEEP_MS = 30000,
};

enum reverse_result {
    REVERSE_UNKNOWN, /* DNS did not say in time */
    REVERSE_NONE,    /* no name, or none that points back */
    REVERSE_NAME,
};

struct reverse_answer {
    enum reverse_result result;
    char name[DNS_NAME_MAX]; /* lower case; empty without one */
};

struct reverse_names; /* of one worker */

/* Who waits, in the waiter's memory. */
struct reverse_wait {
    struct inquiry_wait wait;
    struct reverse_answer answer;
    void (*on_name)(void *arg);
    void *arg;
};

/* dns outlives it. NULL with err: no memory. */
struct reverse_names *reverse_names_new(struct loop *l, struct dns *dns, struct err *err);
/* Who waits hears nothing any more. Not from inside a callback. NULL is fine. */
void reverse_names_free(struct reverse_names **r);

/* DONE: w->answer is there. STARTED: it is when on_name comes: exactly once, never from inside, by deadline_ms
 * (absolute); what is not known by then is REVERSE_UNKNOWN. */
enum started reverse_name_start(struct reverse_wait *w, struct reverse_names *r, const struct ip *client,
                                int64_t deadline_ms, void (*on_name)(void *arg), void *arg);
/* After this on_name does not come. Of one that is over, or zeroed: harmless. */
void reverse_name_cancel(struct reverse_wait *w);

#endif
