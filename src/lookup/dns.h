/*
 * dns.h - questions to DNS, one channel a worker: DNS lists and reverse names share it. PROTOCOLS.md 6.
 *
 * No cache and no sharing here (lookup/inquiry.h), only one question and one answer: c-ares's callbacks, its refusals
 * from inside ares_query, its early giving up and its change of servers become one callback that comes exactly once,
 * never from inside dns_ask, by the deadline.
 */
#ifndef LOOKUP_DNS_H
#define LOOKUP_DNS_H

#include "lookup/dns_message.h"
#include "net/loop.h"

struct dns;
struct dns_question; /* one under way */

enum { DNS_MAX_QUESTIONS = 4096 };

struct dns_options {
    const char *servers; /* "127.0.0.1:5353,[::1]:53"; NULL: as resolv.conf says, which is followed when it changes */
    const char *resolv_conf; /* NULL: the system's. Borrowed */
    uint16_t port;           /* of the servers in resolv_conf; 0: 53 */
};

enum dns_status {
    DNS_FOUND,   /* records came; of the wanted type or not: dns_message_… tells */
    DNS_NOTHING, /* there is no such name, or nothing of that type */
    DNS_FAILED,  /* no answer in time, the server failed or refuses, … */
};

struct dns_reply {
    enum dns_status status;
    struct str message; /* borrowed for the call; empty where none came */
    const char *error;  /* of DNS_FAILED: "no DNS server has an answer" */
};

/* options NULL: none. NULL with a reason. */
struct dns *dns_new(struct loop *l, const struct dns_options *options, struct err *err);
/* Questions under way are forgotten: no callback comes. Not from inside one. NULL is fine. */
void dns_free(struct dns **d);

/* Asks for the records of a type. on_reply comes exactly once, never from inside, by deadline_ms (absolute); it may ask
 * again. NULL: no memory, or DNS_MAX_QUESTIONS are under way. */
struct dns_question *dns_ask(struct dns *d, const char *name, enum dns_type type, int64_t deadline_ms,
                             void (*on_reply)(void *arg, const struct dns_reply *reply), void *arg);
/* After this the callback never comes. NULL is fine. */
void dns_forget(struct dns_question *q);

/* For how long an answer may be kept, in ms: what it says, at most max_ms; a negative one that does not say: a minute.
 */
int64_t dns_reply_keep_ms(const struct dns_reply *reply, int64_t max_ms);

#endif
