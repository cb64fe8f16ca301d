/* resolve.h - names to addresses through c-ares, without blocking: for MTA endpoints given by name. */
#ifndef NET_RESOLVE_H
#define NET_RESOLVE_H

#include "net/addr.h"
#include "net/loop.h"

struct resolver;
struct resolve_query; /* one running question */
enum { RESOLVE_MAX_ADDRESSES = 16 };

struct resolved {
    struct ip addresses[RESOLVE_MAX_ADDRESSES];
    size_t count; /* 0: error says why */
    char error[128];
};

/* One a process. NULL with a reason. /etc/hosts and DNS, as the system's resolver is configured. */
struct resolver *resolver_new(struct loop *l, struct err *err);
/* Running questions are cancelled: no callback comes. */
void resolver_free(struct resolver **r);

/* Asks these DNS servers instead of the system's: "127.0.0.1:5353,[::1]:53". For tests, and for who names his own. */
MUST_USE bool resolver_use_servers(struct resolver *r, const char *servers, struct err *err);

/* Asks for the A and AAAA records of a host name. on_answer comes exactly once, never from inside, by deadline_ms
 * (absolute); the answer is borrowed for the call. NULL: no memory. */
struct resolve_query *resolve_start(struct resolver *r, const char *host, int64_t deadline_ms,
                                    void (*on_answer)(void *arg, const struct resolved *answer), void *arg);
/* After this the callback never comes. */
void resolve_cancel(struct resolve_query *q);

#endif
