/* dns_message.c - DNS names and answers. See dns_message.h. */
#include "lookup/dns_message.h"

#include <ares.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

/* ---- names ---- */

static struct str put_nibbles(const struct ip *ip, char *to)
{
    static const char HEX[] = "0123456789abcdef";
    size_t len = 0;
    for (size_t i = 16; i-- > 0;) {
        to[len++] = HEX[ip->bytes[i] & 15];
        to[len++] = '.';
        to[len++] = HEX[ip->bytes[i] >> 4];
        to[len++] = '.';
    }
    to[len] = '\0';
    return str_of(to, len);
}

bool dns_name_of_ip(const struct ip *ip, struct str zone, char to[DNS_NAME_MAX])
{
    const uint8_t *b = ip->bytes;
    if (ip->family == ADDR_NONE || zone.len == 0 || zone.len > DNS_ZONE_MAX_BYTES)
        return false;
    size_t len = ip->family == ADDR_IPV4 ? (size_t)snprintf(to, DNS_NAME_MAX, "%u.%u.%u.%u.", b[3], b[2], b[1], b[0])
                                         : put_nibbles(ip, to).len;
    str_copy_into(to + len, DNS_NAME_MAX - len, zone);
    return true;
}

void dns_reverse_name_of_ip(const struct ip *ip, char to[DNS_NAME_MAX])
{
    if (!dns_name_of_ip(ip, ip->family == ADDR_IPV4 ? STR("in-addr.arpa") : STR("ip6.arpa"), to))
        to[0] = '\0';
}

/* ---- how long ---- */

enum { HEADER_BYTES = 12, RECORD_BYTES = 10, QUESTION_BYTES = 4, TYPE_SOA = 6, SOA_MIN_BYTES = 22 };

static uint32_t number_at(struct str m, size_t at, size_t bytes)
{
    uint32_t n = 0;
    while (bytes-- > 0)
        n = n << 8 | (uint8_t)m.ptr[at++];
    return n;
}

/* Past a name: labels up to the empty one, or up to a pointer elsewhere (RFC 1035 4.1.4), which need not be followed.
 */
static bool skip_name(struct str m, size_t *at)
{
    while (*at < m.len) {
        uint8_t len = (uint8_t)m.ptr[*at];
        if (len >= 0xc0) {
            *at += 2;
            return *at <= m.len;
        }
        if (len > 63)
            return false;
        *at += len + 1u;
        if (len == 0)
            return true;
    }
    return false;
}

struct record {
    uint32_t type, ttl;
    struct str data;
};

static bool read_record(struct str m, size_t *at, struct record *r)
{
    if (!skip_name(m, at) || m.len - *at < RECORD_BYTES)
        return false;
    r->type = number_at(m, *at, 2);
    r->ttl = number_at(m, *at + 4, 4);
    if (r->ttl >> 31) /* RFC 2181 8 */
        r->ttl = 0;
    size_t len = number_at(m, *at + 8, 2);
    *at += RECORD_BYTES;
    if (m.len - *at < len)
        return false;
    r->data = str_sub(m, *at, len);
    *at += len;
    return true;
}

bool dns_message_ttl(struct str m, uint32_t *seconds)
{
    if (m.len < HEADER_BYTES)
        return false;
    size_t at = HEADER_BYTES, questions = number_at(m, 4, 2), answers = number_at(m, 6, 2);
    size_t records = answers + number_at(m, 8, 2); /* and those of the authority section */
    bool is_known = false;
    while (questions-- > 0) {
        if (!skip_name(m, &at) || m.len - at < QUESTION_BYTES)
            return false;
        at += QUESTION_BYTES;
    }
    for (size_t i = 0; i < records; i++) {
        struct record r;
        uint32_t ttl;
        if (!read_record(m, &at, &r))
            return false;
        ttl = r.ttl;
        if (i >= answers) { /* only an SOA says something of the answer: that it is negative, and how long */
            if (r.type != TYPE_SOA || r.data.len < SOA_MIN_BYTES)
                continue;
            ttl = MIN_OF(ttl, number_at(r.data, r.data.len - 4, 4));
        }
        *seconds = is_known ? MIN_OF(*seconds, ttl) : ttl;
        is_known = true;
    }
    return is_known;
}

/* ---- what ---- */

static bool is_fine(int status)
{
    return status == ARES_SUCCESS || status == ARES_ENODATA;
}

static const unsigned char *bytes_of(struct str m)
{
    return (const unsigned char *)m.ptr;
}

static struct ip ip_of(const void *bytes, enum dns_type type)
{
    struct sockaddr_storage from = {.ss_family = type == DNS_A ? AF_INET : AF_INET6};
    struct ip ip;
    uint16_t port;
    if (type == DNS_A)
        memcpy(&((struct sockaddr_in *)&from)->sin_addr, bytes, 4);
    else
        memcpy(&((struct sockaddr_in6 *)&from)->sin6_addr, bytes, 16);
    ip_from_sockaddr(&from, &ip, &port);
    return ip;
}

bool dns_message_addresses(struct str m, enum dns_type type, struct ip *to, size_t max, size_t *count)
{
    union {
        struct ares_addrttl a[DNS_MAX_ADDRESSES];
        struct ares_addr6ttl aaaa[DNS_MAX_ADDRESSES];
    } found;
    int n = (int)MIN_OF(max, DNS_MAX_ADDRESSES), len = (int)m.len;
    int status = type == DNS_A ? ares_parse_a_reply(bytes_of(m), len, NULL, found.a, &n)
                               : ares_parse_aaaa_reply(bytes_of(m), len, NULL, found.aaaa, &n);
    *count = 0;
    if (!is_fine(status))
        return false;
    for (int i = 0; status == ARES_SUCCESS && i < n; i++)
        to[(*count)++] = ip_of(type == DNS_A ? (void *)&found.a[i].ipaddr : (void *)&found.aaaa[i].ip6addr, type);
    return true;
}

/* Among the others, sorted; the last one gives way where there is no room. */
static void insert_name(char (*to)[DNS_NAME_MAX], size_t max, size_t *count, struct str name)
{
    size_t at = 0;
    while (at < *count && str_compare(str_of_z(to[at]), name) < 0)
        at++;
    if (at == max || (at < *count && str_equal(str_of_z(to[at]), name)))
        return;
    *count = MIN_OF(*count + 1, max);
    memmove(to + at + 1, to + at, (*count - at - 1) * sizeof *to);
    str_copy_into(to[at], sizeof *to, name);
}

bool dns_message_names(struct str m, char (*to)[DNS_NAME_MAX], size_t max, size_t *count)
{
    struct hostent *host = NULL;
    int status = ares_parse_ptr_reply(bytes_of(m), (int)m.len, NULL, 0, AF_INET, &host);
    *count = 0;
    if (!is_fine(status))
        return false;
    for (char **alias = host ? host->h_aliases : NULL; alias && *alias; alias++) {
        struct str name = str_of_z(*alias);
        char lower[DNS_NAME_MAX];
        if (name.len >= sizeof lower || !host_name_is_valid(name))
            continue;
        for (size_t i = 0; i <= name.len; i++)
            lower[i] = ascii_lower(name.ptr[i]);
        insert_name(to, max, count, str_of(lower, name.len));
    }
    if (host)
        ares_free_hostent(host);
    return true;
}

bool dns_message_text(struct str m, char *to, size_t size)
{
    struct ares_txt_ext *records = NULL;
    int status = ares_parse_txt_reply_ext(bytes_of(m), (int)m.len, &records);
    size_t len = 0;
    to[0] = '\0';
    if (!is_fine(status))
        return false;
    for (const struct ares_txt_ext *t = records; t && (t == records || !t->record_start); t = t->next)
        for (size_t i = 0; i < t->length && len + 1 < size; i++)
            to[len++] = (char)(t->txt[i] >= ' ' && t->txt[i] <= '~' ? t->txt[i] : '?');
    to[len] = '\0';
    if (records)
        ares_free_data(records);
    return true;
}
