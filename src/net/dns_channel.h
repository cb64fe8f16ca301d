/*
 * dns_channel.h - c-ares on our loop: its descriptors watched, its clock kept, its servers those of the moment.
 *
 *   resolve.c, lookup/dns.c ─▶ dns_channel_get ─▶ ares_query(…) ─▶ sockets and clock (here) ─▶ their callbacks
 *
 * c-ares 1.18 reads resolv.conf once in its life. So a channel looks now and then whether the file changed, and then
 * begins a new life with the new servers: what was under way comes back with ARES_EDESTRUCTION, and who asked asks
 * again (dns_channel_is_open tells it from the end).
 *
 * Callbacks of c-ares may ask further questions, but must not free the channel.
 */
#ifndef NET_DNS_CHANNEL_H
#define NET_DNS_CHANNEL_H

#include <ares.h>

#include "net/loop.h"

struct dns_channel;

struct dns_channel_options {
    const char *lookups;     /* "fb": /etc/hosts, then DNS; "b": DNS only */
    int try_ms, tries;       /* how long c-ares waits for a server at first, and how often it asks each */
    int flags;               /* ARES_FLAG_… */
    const char *resolv_conf; /* NULL: the system's. Borrowed */
    uint16_t port;           /* of the servers that resolv_conf names; 0: 53 */
};

/* NULL with a reason. The options may go, resolv_conf may not. */
struct dns_channel *dns_channel_new(struct loop *l, const struct dns_channel_options *options, struct err *err);
/* Questions under way end with ARES_EDESTRUCTION. NULL is fine. */
void dns_channel_free(struct dns_channel **c);

/* Asks these servers for ever, whatever resolv.conf says: "127.0.0.1:5353,[::1]:53". */
MUST_USE bool dns_channel_use_servers(struct dns_channel *c, const char *servers, struct err *err);

/* To ask a question with, now: it is gone when the turn is over. */
ares_channel dns_channel_get(struct dns_channel *c);
/* False while dns_channel_free runs: asking again is of no use. */
bool dns_channel_is_open(const struct dns_channel *c);

#endif
