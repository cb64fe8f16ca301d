/*
 * dns_message.h - names to ask for, and what a DNS answer holds. Pure; bytes from outside come in here.
 *
 * c-ares reads the records (addresses, names, texts, along CNAMEs); how long an answer may be believed is read here,
 * because c-ares 1.18 tells it for addresses only: the least TTL of its records, and of a negative answer what the
 * zone's SOA says (RFC 2308 5).
 */
#ifndef LOOKUP_DNS_MESSAGE_H
#define LOOKUP_DNS_MESSAGE_H

#include "net/addr.h"

enum dns_type { DNS_A = 1, DNS_PTR = 12, DNS_TXT = 16, DNS_AAAA = 28 };

enum {
    DNS_NAME_MAX = 254,       /* with the NUL */
    DNS_ZONE_MAX_BYTES = 189, /* 64 bytes of an IPv6 address stand before it */
    DNS_MAX_ADDRESSES = 256,  /* of one name; more are not looked at */
};

/* The name of an address in a zone: "7.2.0.192.zone", "7.0.….8.b.d.0.1.0.0.2.zone" (RFC 5782 2.1, 2.4). False: the
 * zone is too long or empty. */
MUST_USE bool dns_name_of_ip(const struct ip *ip, struct str zone, char to[DNS_NAME_MAX]);
/* Its name in in-addr.arpa or ip6.arpa. */
void dns_reverse_name_of_ip(const struct ip *ip, char to[DNS_NAME_MAX]);

/* Seconds for which the answer may be kept; false: it does not say (a negative answer without SOA, or garbage). */
bool dns_message_ttl(struct str message, uint32_t *seconds);

/* What the answer holds of a type: how many, at most max; 0: nothing. False: it is malformed. IPv4 addresses in IPv6
 * records are IPv4 addresses. */
MUST_USE bool dns_message_addresses(struct str message, enum dns_type type, struct ip *to, size_t max, size_t *count);
/* Names of PTR records that can be names of hosts, lower case, each once, in the order of the alphabet. None, if there
 * is one among them with bytes that no name of a host has. */
MUST_USE bool dns_message_names(struct str message, char (*to)[DNS_NAME_MAX], size_t max, size_t *count);
/* The first TXT record, its strings joined; whatever is not printable ASCII becomes a question mark. NUL-terminated,
 * cut to size. Empty: there is none. */
MUST_USE bool dns_message_text(struct str message, char *to, size_t size);

#endif
