/* addr.c - addresses, networks and endpoints as text and as socket addresses. See addr.h. */
#include "net/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

enum { MAPPED_PREFIX_BITS = 96, PORT_MAX = 65535 };

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

static unsigned ip_bytes(const struct ip *ip)
{
    return ip->family == ADDR_IPV4 ? 4 : ip->family == ADDR_IPV6 ? 16 : 0;
}

static unsigned ip_bits(const struct ip *ip)
{
    return ip_bytes(ip) * 8;
}

/* What came as sixteen bytes: IPv6, unless it is an IPv4 address in disguise. */
static struct ip ip_from_16(const uint8_t bytes[16])
{
    struct ip ip = {.family = ADDR_IPV6};
    if (memcmp(bytes, mapped_prefix, sizeof mapped_prefix) == 0) {
        ip.family = ADDR_IPV4;
        memcpy(ip.bytes, bytes + sizeof mapped_prefix, 4);
    } else {
        memcpy(ip.bytes, bytes, 16);
    }
    return ip;
}

/* *was_mapped: it was written as ::ffff:a.b.c.d, so a prefix behind it counts from the IPv6 address. */
static bool parse_ip(struct str s, struct ip *ip, bool *was_mapped)
{
    char text[IP_TEXT_MAX];
    *was_mapped = false;
    if (s.len == 0 || s.len >= sizeof text || memchr(s.ptr, '\0', s.len))
        return false;
    str_copy_into(text, sizeof text, s);
    uint8_t bytes[16];
    if (inet_pton(AF_INET6, text, bytes) == 1) {
        *ip = ip_from_16(bytes);
        *was_mapped = ip->family == ADDR_IPV4;
        return true;
    }
    *ip = (struct ip){.family = ADDR_IPV4};
    return inet_pton(AF_INET, text, ip->bytes) == 1;
}

bool ip_parse(struct str s, struct ip *ip)
{
    bool was_mapped;
    return parse_ip(s, ip, &was_mapped);
}

/* By hand: every mail writes several, and inet_ntop takes the long way through sprintf. */
static struct str format_ipv4(const uint8_t *bytes, char *to)
{
    size_t len = 0;
    for (int i = 0; i < 4; i++) {
        unsigned n = bytes[i];
        if (n >= 100)
            to[len++] = (char)('0' + n / 100);
        if (n >= 10)
            to[len++] = (char)('0' + n / 10 % 10);
        to[len++] = (char)('0' + n % 10);
        to[len++] = '.';
    }
    to[--len] = '\0';
    return str_of(to, len);
}

struct str ip_format(const struct ip *ip, char *to)
{
    if (ip->family == ADDR_IPV4)
        return format_ipv4(ip->bytes, to);
    to[0] = '\0';
    if (ip->family == ADDR_IPV6)
        inet_ntop(AF_INET6, ip->bytes, to, IP_TEXT_MAX);
    return str_of_z(to);
}

int ip_compare(const struct ip *a, const struct ip *b)
{
    if (a->family != b->family)
        return a->family < b->family ? -1 : 1;
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

bool ip_equal(const struct ip *a, const struct ip *b)
{
    return ip_compare(a, b) == 0;
}

bool ip_is_loopback(const struct ip *ip)
{
    static const uint8_t ipv6_loopback[16] = {[15] = 1};
    if (ip->family == ADDR_IPV4)
        return ip->bytes[0] == 127;
    return ip->family == ADDR_IPV6 && memcmp(ip->bytes, ipv6_loopback, 16) == 0;
}

bool ip_is_any(const struct ip *ip)
{
    static const uint8_t zero[16];
    return ip->family != ADDR_NONE && memcmp(ip->bytes, zero, 16) == 0;
}

/* RFC 6890; 2002::/16 and 64:ff9b::/96 are the Internet's. */
bool ip_is_public(const struct ip *ip)
{
    const uint8_t *b = ip->bytes;
    switch (ip->family) {
    case ADDR_IPV4:
        return !(b[0] == 0 || b[0] == 10 || b[0] == 127 || b[0] >= 224 || (b[0] == 100 && (b[1] & 0xc0) == 64) ||
                 (b[0] == 169 && b[1] == 254) || (b[0] == 172 && (b[1] & 0xf0) == 16) || (b[0] == 192 && b[1] == 168));
    case ADDR_IPV6: /* ::/8 holds ::, ::1 and nothing that is routed; but 0064:ff9b:: begins with it, too */
        return !((b[0] == 0 && !(b[1] == 0x64 && b[2] == 0xff && b[3] == 0x9b)) || (b[0] & 0xfe) == 0xfc ||
                 (b[0] == 0xfe && (b[1] & 0x80) == 0x80) || b[0] == 0xff);
    default:
        return false;
    }
}

bool ip_span_contains(const struct ip_span *span, const struct ip *ip)
{
    return span->from.family == ip->family && ip_compare(&span->from, ip) <= 0 && ip_compare(ip, &span->to) <= 0;
}

/* ---- networks ---- */

struct ip_net ip_net_of(const struct ip *ip, unsigned prefix)
{
    prefix = MIN_OF(prefix, ip_bits(ip));
    struct ip_net net = {.ip = *ip, .prefix = (uint8_t)prefix};
    unsigned whole = prefix / 8;
    if (prefix % 8)
        net.ip.bytes[whole++] &= (uint8_t)(0xff << (8 - prefix % 8));
    memset(net.ip.bytes + whole, 0, sizeof net.ip.bytes - whole);
    return net;
}

bool ip_net_parse(struct str s, struct ip_net *net, struct err *err)
{
    struct str length, address = str_split(s, '/', &length);
    struct ip ip;
    bool was_mapped;
    if (!parse_ip(address, &ip, &was_mapped))
        return err_set(err, "\"" PRI_STR "\" is not a network", STR_ARG(s));
    uint64_t prefix = ip_bits(&ip);
    if (address.len < s.len) {
        unsigned added = was_mapped ? MAPPED_PREFIX_BITS : 0;
        if (length.len > 3 || !str_to_u64(length, ip_bits(&ip) + added, &prefix))
            return err_set(err, "\"" PRI_STR "\" is not a network", STR_ARG(s));
        if (prefix < added) /* the ones of ::ffff:0:0 lie beyond it */
            return err_set(err, PRI_STR " has bits beyond /%u", STR_ARG(s), (unsigned)prefix);
        prefix -= added;
    }
    *net = ip_net_of(&ip, (unsigned)prefix);
    if (!ip_equal(&net->ip, &ip))
        return err_set(err, PRI_STR " has bits beyond /" PRI_STR, STR_ARG(s), STR_ARG(length));
    return true;
}

bool ip_net_contains(const struct ip_net *net, const struct ip *ip)
{
    if (net->ip.family != ip->family || ip->family == ADDR_NONE)
        return false;
    unsigned whole = net->prefix / 8, rest = net->prefix % 8;
    if (memcmp(net->ip.bytes, ip->bytes, whole) != 0)
        return false;
    return rest == 0 || ((net->ip.bytes[whole] ^ ip->bytes[whole]) & (0xff << (8 - rest))) == 0;
}

struct str ip_net_format(const struct ip_net *net, char *to)
{
    size_t len = ip_format(&net->ip, to).len;
    snprintf(to + len, IP_TEXT_MAX + 4 - len, "/%u", net->prefix);
    return str_of_z(to);
}

/* ---- endpoints ---- */

static bool parse_unix(struct str s, struct str path, struct endpoint *e, struct err *err)
{
    size_t max = sizeof((struct sockaddr_un *)NULL)->sun_path - 1;
    if (path.len == 0 || path.ptr[0] != '/')
        return err_set(err, PRI_STR ": a socket needs a path that begins with /", STR_ARG(s));
    if (path.len > max)
        return err_set(err, PRI_STR ": the path of a socket has at most %zu bytes", STR_ARG(s), max);
    if (memchr(path.ptr, '\0', path.len))
        return err_set(err, "the path of a socket holds a NUL");
    e->kind = ENDPOINT_UNIX;
    str_copy_into(e->name, sizeof e->name, path);
    return true;
}

/* RFC 1123 2.1, and the underscore that people use; "1.2.3" looks like an address and is none. */
bool host_name_is_valid(struct str s)
{
    if (s.len == 0 || s.len > 253)
        return false;
    bool last_is_number = true;
    for (struct str rest = s; rest.len;) {
        struct str label = str_split(rest, '.', &rest);
        if (label.len == 0 || label.len > 63 || label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
            return false;
        last_is_number = true;
        for (size_t i = 0; i < label.len; i++) {
            if (!ascii_is_alnum(label.ptr[i]) && label.ptr[i] != '-' && label.ptr[i] != '_')
                return false;
            last_is_number &= ascii_is_digit(label.ptr[i]);
        }
    }
    return !last_is_number;
}

bool endpoint_parse(struct str s, struct endpoint *e, struct err *err)
{
    *e = (struct endpoint){.kind = ENDPOINT_IP};
    if (str_starts(s, STR("unix:")))
        return parse_unix(s, str_from(s, 5), e, err);

    size_t colon = str_find_last(s, ':');
    bool has_brackets = s.len && s.ptr[0] == '[';
    if (colon == s.len || (has_brackets && s.ptr[s.len - 1] == ']')) {
        err_set(err, PRI_STR " has no port", STR_ARG(s));
        return err_set_hint(err, "write " PRI_STR ":25", STR_ARG(s));
    }
    struct str host = str_sub(s, 0, colon);
    uint64_t port;
    if (!str_to_u64(str_from(s, colon + 1), PORT_MAX, &port) || port == 0)
        return err_set(err, PRI_STR ": a port is a number from 1 to %d", STR_ARG(s), PORT_MAX);
    e->port = (uint16_t)port;

    if (has_brackets) {
        struct str inner = str_sub(host, 1, host.len >= 2 ? host.len - 2 : 0);
        if (host.ptr[host.len - 1] != ']' || str_find(inner, ':') == inner.len || !ip_parse(inner, &e->ip))
            return err_set(err, PRI_STR ": there is no IPv6 address in the brackets", STR_ARG(s));
        return true;
    }
    if (str_find(host, ':') < host.len) {
        err_set(err, PRI_STR ": an IPv6 address stands in brackets", STR_ARG(s));
        return err_set_hint(err, "write [::1]:25");
    }
    if (ip_parse(host, &e->ip))
        return true;
    if (!host_name_is_valid(host))
        return err_set(err, PRI_STR ": " PRI_STR " is neither an address nor a host name", STR_ARG(s), STR_ARG(host));
    e->kind = ENDPOINT_NAME;
    str_copy_into(e->name, sizeof e->name, host);
    return true;
}

struct str endpoint_format(const struct endpoint *e, char *to)
{
    char ip[IP_TEXT_MAX];
    switch (e->kind) {
    case ENDPOINT_IP:
        ip_format(&e->ip, ip);
        snprintf(to, ENDPOINT_TEXT_MAX, e->ip.family == ADDR_IPV6 ? "[%s]:%u" : "%s:%u", ip, e->port);
        break;
    case ENDPOINT_NAME:
        snprintf(to, ENDPOINT_TEXT_MAX, "%s:%u", e->name, e->port);
        break;
    case ENDPOINT_UNIX:
        snprintf(to, ENDPOINT_TEXT_MAX, "unix:%s", e->name);
        break;
    }
    return str_of_z(to);
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
    if (a->kind != b->kind || a->port != b->port)
        return false;
    switch (a->kind) {
    case ENDPOINT_IP:
        return ip_equal(&a->ip, &b->ip);
    case ENDPOINT_NAME:
        return str_equal_nocase(str_of_z(a->name), str_of_z(b->name));
    case ENDPOINT_UNIX:
        return strcmp(a->name, b->name) == 0;
    }
    return false;
}

/* ---- socket addresses ---- */

socklen_t endpoint_to_sockaddr(const struct endpoint *e, struct sockaddr_storage *to)
{
    memset(to, 0, sizeof *to);
    if (e->kind == ENDPOINT_UNIX) {
        struct sockaddr_un *sun = (struct sockaddr_un *)to;
        size_t len = strlen(e->name);
        if (len >= sizeof sun->sun_path)
            return 0;
        sun->sun_family = AF_UNIX;
        memcpy(sun->sun_path, e->name, len + 1);
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
    }
    if (e->kind == ENDPOINT_IP && e->ip.family == ADDR_IPV4) {
        struct sockaddr_in *sin = (struct sockaddr_in *)to;
        sin->sin_family = AF_INET;
        sin->sin_port = htons(e->port);
        memcpy(&sin->sin_addr, e->ip.bytes, 4);
        return sizeof *sin;
    }
    if (e->kind == ENDPOINT_IP && e->ip.family == ADDR_IPV6) {
        struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)to;
        sin6->sin6_family = AF_INET6;
        sin6->sin6_port = htons(e->port);
        memcpy(&sin6->sin6_addr, e->ip.bytes, 16);
        return sizeof *sin6;
    }
    return 0;
}

void ip_from_sockaddr(const struct sockaddr_storage *from, struct ip *ip, uint16_t *port)
{
    *ip = (struct ip){.family = ADDR_NONE};
    *port = 0;
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *sin = (const struct sockaddr_in *)from;
        ip->family = ADDR_IPV4;
        memcpy(ip->bytes, &sin->sin_addr, 4);
        *port = ntohs(sin->sin_port);
    } else if (from->ss_family == AF_INET6) {
        const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)from;
        *ip = ip_from_16(sin6->sin6_addr.s6_addr);
        *port = ntohs(sin6->sin6_port);
    }
}
