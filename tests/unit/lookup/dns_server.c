/* dns_server.c - see dns_server.h. Messages: RFC 1035 4.1. */
#include "dns_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum { MAX_RECORDS = 512, MAX_MANNERS = 16, MAX_QUESTIONS = 4096, MESSAGE_BYTES = 65535, UDP_BYTES = 512 };

struct test_record {
    char name[256];
    uint16_t type;
    uint32_t ttl;
    uint8_t data[258];
    uint16_t len;
};

static struct {
    struct loop *loop;
    struct watch udp_watch, listen_watch, tcp_watch;
    int udp, listener, tcp; /* one TCP connection at a time; -1: none */
    struct test_record records[MAX_RECORDS];
    size_t record_count;
    struct {
        char name[256];
        enum manner manner;
    } manners[MAX_MANNERS];
    size_t manner_count;
    char asked[MAX_QUESTIONS][256];
    size_t asked_count;
    uint32_t negative_ttl, negative_minimum;
} server;

char dns_server_at[32];

/* ---- what it knows ---- */

static size_t put_name(uint8_t *to, const char *name)
{
    size_t len = 0;
    for (struct str rest = str_of_z(name); rest.len;) {
        struct str label = str_split(rest, '.', &rest);
        to[len++] = (uint8_t)label.len;
        memcpy(to + len, label.ptr, label.len);
        len += label.len;
    }
    to[len++] = 0;
    return len;
}

void dns_server_add(const char *name, enum dns_type type, uint32_t ttl, const char *text)
{
    assert_true(server.record_count < MAX_RECORDS);
    struct test_record *r = &server.records[server.record_count++];
    *r = (struct test_record){.type = (uint16_t)type, .ttl = ttl};
    snprintf(r->name, sizeof r->name, "%s", name);
    if (type == DNS_A) {
        assert_int_equal(inet_pton(AF_INET, text, r->data), 1);
        r->len = 4;
    } else if (type == DNS_AAAA) {
        assert_int_equal(inet_pton(AF_INET6, text, r->data), 1);
        r->len = 16;
    } else if (type == DNS_PTR) {
        r->len = (uint16_t)put_name(r->data, text);
    } else {
        size_t len = strlen(text);
        assert_true(len < 256);
        r->data[0] = (uint8_t)len;
        memcpy(r->data + 1, text, len);
        r->len = (uint16_t)(len + 1);
    }
}

void dns_server_remove(const char *name)
{
    for (size_t i = 0; i < server.record_count;)
        if (strcasecmp(server.records[i].name, name) == 0)
            server.records[i] = server.records[--server.record_count];
        else
            i++;
}

void dns_server_forget_all(void)
{
    server.record_count = 0;
}

void dns_server_set(const char *name, enum manner manner)
{
    size_t i = 0;
    while (i < server.manner_count && strcasecmp(server.manners[i].name, name) != 0)
        i++;
    assert_true(i < MAX_MANNERS);
    if (i == server.manner_count)
        server.manner_count++;
    snprintf(server.manners[i].name, sizeof server.manners[i].name, "%s", name);
    server.manners[i].manner = manner;
}

static enum manner manner_of(const char *name)
{
    enum manner for_all = POLITE;
    for (size_t i = 0; i < server.manner_count; i++) {
        if (strcasecmp(server.manners[i].name, name) == 0)
            return server.manners[i].manner;
        if (server.manners[i].name[0] == '\0')
            for_all = server.manners[i].manner;
    }
    return for_all;
}

void dns_server_set_negative(uint32_t ttl, uint32_t minimum)
{
    server.negative_ttl = ttl;
    server.negative_minimum = minimum;
}

unsigned dns_server_asked(const char *name)
{
    unsigned count = 0;
    for (size_t i = 0; i < server.asked_count; i++)
        count += name[0] == '\0' || strcasecmp(server.asked[i], name) == 0;
    return count;
}

/* ---- what it says ---- */

static size_t put32(uint8_t *to, uint32_t n)
{
    n = htonl(n);
    memcpy(to, &n, 4);
    return 4;
}

/* A record of the name asked for. */
static size_t put_record(uint8_t *to, unsigned type, uint32_t ttl, const uint8_t *data, size_t len)
{
    const uint8_t head[] = {0xc0, 12, (uint8_t)(type >> 8), (uint8_t)type, 0, 1};
    memcpy(to, head, sizeof head);
    size_t at = sizeof head + put32(to + sizeof head, ttl);
    to[at++] = (uint8_t)(len >> 8);
    to[at++] = (uint8_t)len;
    memcpy(to + at, data, len);
    return at + len;
}

static size_t put_soa(uint8_t *to)
{
    uint8_t data[22] = {0};
    put32(data + 18, server.negative_minimum);
    return put_record(to, 6, server.negative_ttl, data, sizeof data);
}

/* The question's name as text; *end: behind the question. */
static void read_question(const uint8_t *m, size_t len, char *name, unsigned *type, size_t *end)
{
    size_t at = 12, out = 0;
    assert_true(len > 16);
    while (m[at]) {
        assert_true(m[at] < 64 && at + m[at] < len && out + m[at] + 1u < 256);
        if (out)
            name[out++] = '.';
        memcpy(name + out, m + at + 1, m[at]);
        out += m[at];
        at += m[at] + 1u;
    }
    name[out] = '\0';
    *type = m[at + 2];
    *end = at + 5;
    assert_true(*end <= len);
}

static size_t put_records(uint8_t *m, size_t at, const char *name, unsigned type, bool has_soa)
{
    unsigned answers = 0;
    bool exists = false;
    for (size_t i = 0; i < server.record_count; i++) {
        const struct test_record *r = &server.records[i];
        if (strcasecmp(r->name, name) != 0)
            continue;
        exists = true;
        if (r->type != type)
            continue;
        answers++;
        at += put_record(m + at, type, r->ttl, r->data, r->len);
    }
    m[3] = exists ? 0x80 : 0x83;
    m[6] = (uint8_t)(answers >> 8);
    m[7] = (uint8_t)answers;
    m[9] = answers == 0 && has_soa;
    return m[9] ? at + put_soa(m + at) : at;
}

/* Turns the question in m into an answer. 0: it is silent. */
static size_t answer(uint8_t *m, size_t len, bool is_udp, void (*send_forged)(const uint8_t *, size_t))
{
    static const uint8_t LISTED[] = {127, 0, 0, 2};
    char name[256];
    unsigned type;
    size_t at;
    read_question(m, len, name, &type, &at);
    assert_true(server.asked_count < MAX_QUESTIONS);
    strcpy(server.asked[server.asked_count++], name);
    m[2] = 0x81, m[3] = 0x80;
    memset(m + 6, 0, 6);
    enum manner manner = manner_of(name);
    switch (manner) {
    case SILENT:
        return 0;
    case SERVFAIL:
        m[3] = 0x82;
        return at;
    case REFUSED:
        m[3] = 0x85;
        return at;
    case TRUNCATED:
        if (!is_udp)
            break;
        m[2] = 0x83;
        return at;
    case FORGED_ID:
    case FORGED_NAME: {
        uint8_t forged[UDP_BYTES];
        memcpy(forged, m, at);
        forged[manner == FORGED_ID ? 0 : 13] ^= 1;
        forged[7] = 1;
        send_forged(forged, at + put_record(forged + at, DNS_A, 60, LISTED, 4));
        break;
    }
    case GARBAGE:
        m[7] = 200;
        memset(m + at, 0xff, 40);
        return at + 40;
    case POLITE:
    case WITHOUT_SOA:
        break;
    }
    at = put_records(m, at, name, type, manner != WITHOUT_SOA);
    if (is_udp && at > UDP_BYTES) {
        read_question(m, len, name, &type, &at);
        m[2] = 0x83;
        memset(m + 6, 0, 6);
    }
    return at;
}

/* ---- sockets ---- */

static struct sockaddr_storage from;
static socklen_t from_len;

static void send_udp(const uint8_t *m, size_t len)
{
    assert_int_equal(sendto(server.udp, m, len, 0, (struct sockaddr *)&from, from_len), (int)len);
}

static void on_udp(void *arg, bool readable, bool writable)
{
    (void)arg, (void)readable, (void)writable;
    static uint8_t m[MESSAGE_BYTES];
    for (;;) {
        from_len = sizeof from;
        ssize_t n = recvfrom(server.udp, m, UDP_BYTES, MSG_DONTWAIT, (struct sockaddr *)&from, &from_len);
        if (n < 0)
            return;
        size_t len = answer(m, (size_t)n, true, send_udp);
        if (len)
            send_udp(m, len);
    }
}

static void close_tcp(void)
{
    if (server.tcp < 0)
        return;
    watch_set(&server.tcp_watch, false, false);
    close(server.tcp);
    server.tcp = -1;
}

static void on_tcp(void *arg, bool readable, bool writable)
{
    (void)arg, (void)readable, (void)writable;
    static uint8_t m[MESSAGE_BYTES + 2];
    ssize_t n = recv(server.tcp, m, sizeof m, 0);
    if (n <= 2) {
        close_tcp();
        return;
    }
    assert_int_equal(n, (m[0] << 8 | m[1]) + 2); /* on loopback it comes as it was sent */
    size_t len = answer(m + 2, (size_t)n - 2, false, NULL);
    m[0] = (uint8_t)(len >> 8);
    m[1] = (uint8_t)len;
    if (len)
        assert_int_equal(send(server.tcp, m, len + 2, 0), (int)len + 2);
}

static void on_connection(void *arg, bool readable, bool writable)
{
    (void)arg, (void)readable, (void)writable;
    close_tcp();
    server.tcp = accept4(server.listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(server.tcp >= 0);
    watch_init(&server.tcp_watch, server.loop, server.tcp, on_tcp, NULL);
    watch_set(&server.tcp_watch, true, false);
}

void dns_server_start(struct loop *l)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof sin;
    memset(&server, 0, sizeof server);
    server.loop = l;
    server.tcp = -1;
    server.negative_ttl = server.negative_minimum = 600;
    for (int tries = 0;; tries++) { /* a port that is free for both */
        assert_true(tries < 20);
        sin.sin_port = 0;
        server.udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(server.udp, (struct sockaddr *)&sin, len), 0);
        assert_int_equal(getsockname(server.udp, (struct sockaddr *)&sin, &len), 0);
        if (bind(server.listener, (struct sockaddr *)&sin, len) == 0)
            break;
        close(server.udp);
        close(server.listener);
    }
    assert_int_equal(listen(server.listener, 8), 0);
    snprintf(dns_server_at, sizeof dns_server_at, "127.0.0.1:%u", ntohs(sin.sin_port));
    watch_init(&server.udp_watch, l, server.udp, on_udp, NULL);
    watch_set(&server.udp_watch, true, false);
    watch_init(&server.listen_watch, l, server.listener, on_connection, NULL);
    watch_set(&server.listen_watch, true, false);
}

void dns_server_stop(void)
{
    close_tcp();
    watch_set(&server.udp_watch, false, false);
    watch_set(&server.listen_watch, false, false);
    close(server.udp);
    close(server.listener);
}
