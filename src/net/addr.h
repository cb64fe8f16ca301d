/*
 * addr.h - addresses, networks and endpoints. An IPv4 address mapped into IPv6 is an IPv4 address here, always: it is
 * made one where it enters, so no table, limit or log ever sees ::ffff:192.0.2.7.
 */
#ifndef NET_ADDR_H
#define NET_ADDR_H

#include <sys/socket.h>

#include "base/err.h"
#include "base/str.h"

enum addr_family { ADDR_NONE, ADDR_IPV4, ADDR_IPV6 };

/* An IP address; bytes[0..4) or [0..16), network order; the rest zero. */
struct ip {
    uint8_t family; /* enum addr_family */
    uint8_t bytes[16];
};

/* A network: bits beyond prefix are zero. */
struct ip_net {
    struct ip ip;
    uint8_t prefix;
};

/* All addresses from one to another of the same family, both among them. */
struct ip_span {
    struct ip from, to;
};

/* Where to connect or listen: an address and a port, a name and a port (to be resolved), or a Unix socket's path. */
enum endpoint_kind { ENDPOINT_IP, ENDPOINT_NAME, ENDPOINT_UNIX };
struct endpoint {
    enum endpoint_kind kind;
    struct ip ip;
    uint16_t port;
    char name[256]; /* host name or path, NUL-terminated; empty for ENDPOINT_IP */
};

enum { IP_TEXT_MAX = 46, ENDPOINT_TEXT_MAX = 272 };

/* "192.0.2.7", "2001:db8::1", without brackets. False: not an address. */
MUST_USE bool ip_parse(struct str s, struct ip *ip);
/* Into `to` of IP_TEXT_MAX bytes, RFC 5952 form. */
struct str ip_format(const struct ip *ip, char *to);
bool ip_equal(const struct ip *a, const struct ip *b);
int ip_compare(const struct ip *a, const struct ip *b);
bool ip_span_contains(const struct ip_span *span, const struct ip *ip);
bool ip_is_loopback(const struct ip *ip);
/* The unspecified address: 0.0.0.0 or ::. */
bool ip_is_any(const struct ip *ip);
/* May it be a stranger's on the Internet: not private, shared, link-local, loopback, multicast or reserved (RFC 6890)?
 * Documentation's addresses count as public. */
bool ip_is_public(const struct ip *ip);

/* The network of an address: its first `prefix` bits. */
struct ip_net ip_net_of(const struct ip *ip, unsigned prefix);
/* "192.0.2.0/24", or an address alone (its full length). False with a reason: "Q is not a network", or "192.0.2.7/24
 * has bits beyond /24" (GRAMMAR.md 7). */
MUST_USE bool ip_net_parse(struct str s, struct ip_net *net, struct err *err);
bool ip_net_contains(const struct ip_net *net, const struct ip *ip);
/* Into `to` of IP_TEXT_MAX + 4 bytes: "192.0.2.0/24". */
struct str ip_net_format(const struct ip_net *net, char *to);

/* Can it be the name of a host: labels of letters, digits, hyphens and, as people use them, underscores (RFC 1123 2.1),
 * the last one no number? A dot at its end is fine. */
bool host_name_is_valid(struct str s);

/* "127.0.0.1:25", "[::1]:25", "mta.example.org:25", "unix:/run/x.sock". */
MUST_USE bool endpoint_parse(struct str s, struct endpoint *e, struct err *err);
/* Into `to` of ENDPOINT_TEXT_MAX bytes. */
struct str endpoint_format(const struct endpoint *e, char *to);
bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);

/* The socket address of an ENDPOINT_IP or ENDPOINT_UNIX. Returns its length; 0: a name, or a path too long for a
 * socket. */
socklen_t endpoint_to_sockaddr(const struct endpoint *e, struct sockaddr_storage *to);
/* From accept(2), getpeername(2), getsockname(2). A Unix socket gives family ADDR_NONE. */
void ip_from_sockaddr(const struct sockaddr_storage *from, struct ip *ip, uint16_t *port);

#endif
