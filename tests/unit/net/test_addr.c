/* Addresses, networks and endpoints: what is read, what is refused and in which words, what comes out again. */
#include "net/addr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

static void addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected; /* NULL: refused */
    } cases[] = {
        {"192.0.2.7", "192.0.2.7"},
        {"0.0.0.0", "0.0.0.0"},
        {"255.255.255.255", "255.255.255.255"},
        {"::", "::"},
        {"::1", "::1"},
        {"2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"::ffff:192.0.2.7", "192.0.2.7"},
        {"::FFFF:c000:207", "192.0.2.7"},
        {"::fffe:c000:207", "::fffe:c000:207"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
        {"", NULL},
        {"192.0.2", NULL},
        {"192.0.2.256", NULL},
        {"192.0.2.07", NULL},
        {"192.0.2.7 ", NULL},
        {" 192.0.2.7", NULL},
        {"[::1]", NULL},
        {"::1%lo", NULL},
        {"1:2:3:4:5:6:7", NULL},
        {":::", NULL},
        {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.2555", NULL},
        {"mail.example.org", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct ip ip;
        char text[IP_TEXT_MAX];
        bool ok = ip_parse(str_of_z(cases[i].text), &ip);
        if (ok != (cases[i].expected != NULL))
            fail_msg("%s: %s", cases[i].text, ok ? "taken" : "refused");
        if (ok)
            assert_string_equal(ip_format(&ip, text).ptr, cases[i].expected);
    }
    struct ip ip;
    assert_false(ip_parse(str_of("192.0.2.7\0x", 11), &ip));
}

static struct ip ip_of(const char *text)
{
    struct ip ip;
    if (!ip_parse(str_of_z(text), &ip))
        fail_msg("%s is no address", text);
    return ip;
}

static void kinds_of_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool loopback, any;
    } cases[] = {
        {"127.0.0.1", true, false},
        {"127.9.8.7", true, false},
        {"128.0.0.1", false, false},
        {"::1", true, false},
        {"::ffff:127.0.0.1", true, false},
        {"0.0.0.0", false, true},
        {"::", false, true},
        {"::2", false, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct ip ip = ip_of(cases[i].text);
        if (ip_is_loopback(&ip) != cases[i].loopback || ip_is_any(&ip) != cases[i].any)
            fail_msg("%s", cases[i].text);
    }
    struct ip none = {.family = ADDR_NONE}, a = ip_of("10.0.0.1"), b = ip_of("10.0.0.2"), c = ip_of("::1");
    assert_false(ip_is_any(&none));
    assert_true(ip_compare(&a, &b) < 0 && ip_compare(&b, &a) > 0 && ip_compare(&b, &c) < 0 && ip_equal(&a, &a));
    char text[IP_TEXT_MAX];
    assert_string_equal(ip_format(&none, text).ptr, "");
}

static void public_addresses(void **state)
{
    (void)state;
    static const char *const yes[] = {"1.1.1.1",     "9.255.255.255", "11.0.0.0",         "100.63.255.255",
                                      "100.128.0.0", "169.253.0.1",   "172.15.255.255",   "172.32.0.0",
                                      "192.0.2.7",   "192.167.0.1",   "192.169.0.0",      "223.255.255.255",
                                      "2001:db8::1", "2002:a00:1::",  "64:ff9b::102:304", "2a00:1450::1"};
    static const char *const no[] = {"0.0.0.0",     "10.0.0.1",    "100.64.0.0",      "100.127.255.255",
                                     "127.0.0.1",   "169.254.1.1", "172.16.0.0",      "172.31.255.255",
                                     "192.168.1.1", "224.0.0.1",   "240.0.0.1",       "255.255.255.255",
                                     "::",          "::1",         "::ffff:10.0.0.1", "fc00::1",
                                     "fdff::1",     "fe80::1",     "febf::1",         "fec0::1",
                                     "ff02::1"};
    for (size_t i = 0; i < COUNT_OF(yes); i++) {
        struct ip ip = ip_of(yes[i]);
        if (!ip_is_public(&ip))
            fail_msg("%s", yes[i]);
    }
    for (size_t i = 0; i < COUNT_OF(no); i++) {
        struct ip ip = ip_of(no[i]);
        if (ip_is_public(&ip))
            fail_msg("%s", no[i]);
    }
    assert_false(ip_is_public(&(struct ip){.family = ADDR_NONE}));
}

static void spans(void **state)
{
    (void)state;
    struct ip_span v4 = {ip_of("127.0.0.2"), ip_of("127.0.0.9")}, v6 = {ip_of("2001:db8::1"), ip_of("2001:db8::ff")};
    static const struct {
        const char *ip;
        bool in_v4, in_v6;
    } cases[] = {
        {"127.0.0.1", false, false},   {"127.0.0.2", true, false},      {"127.0.0.9", true, false},
        {"127.0.0.10", false, false},  {"2001:db8::", false, false},    {"2001:db8::1", false, true},
        {"2001:db8::ff", false, true}, {"2001:db8::100", false, false}, {"::ffff:127.0.0.2", true, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct ip ip = ip_of(cases[i].ip);
        if (ip_span_contains(&v4, &ip) != cases[i].in_v4 || ip_span_contains(&v6, &ip) != cases[i].in_v6)
            fail_msg("%s", cases[i].ip);
    }
}

static void host_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool valid;
    } cases[] = {
        {"mail.example.org", true}, {"localhost", true}, {"_x.example", true},  {"1.2.3.example", true},
        {"1.2.3.4", false},         {"", false},         {"-a.example", false}, {"a-.example", false},
        {"a..example", false},      {"a b", false},      {"a\n", false},        {"\xc3\xa9.example", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if (host_name_is_valid(str_of_z(cases[i].name)) != cases[i].valid)
            fail_msg("%s", cases[i].name);
}

static void networks(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected, *error;
    } cases[] = {
        {"192.0.2.0/24", "192.0.2.0/24", NULL},
        {"192.0.2.7", "192.0.2.7/32", NULL},
        {"192.0.2.7/32", "192.0.2.7/32", NULL},
        {"0.0.0.0/0", "0.0.0.0/0", NULL},
        {"192.0.2.128/25", "192.0.2.128/25", NULL},
        {"2001:db8::/32", "2001:db8::/32", NULL},
        {"::1", "::1/128", NULL},
        {"::/0", "::/0", NULL},
        {"2001:db8:8000::/33", "2001:db8:8000::/33", NULL},
        {"::ffff:192.0.2.0/120", "192.0.2.0/24", NULL},
        {"::ffff:0.0.0.0/96", "0.0.0.0/0", NULL},
        {"192.0.2.7/24", NULL, "192.0.2.7/24 has bits beyond /24"},
        {"192.0.2.128/24", NULL, "192.0.2.128/24 has bits beyond /24"},
        {"192.0.2.1/31", NULL, "192.0.2.1/31 has bits beyond /31"},
        {"2001:db8::1/64", NULL, "2001:db8::1/64 has bits beyond /64"},
        {"1.0.0.0/0", NULL, "1.0.0.0/0 has bits beyond /0"},
        {"::ffff:0.0.0.0/95", NULL, "::ffff:0.0.0.0/95 has bits beyond /95"},
        {"::ffff:192.0.2.1/120", NULL, "::ffff:192.0.2.1/120 has bits beyond /120"},
        {"192.0.2.0/33", NULL, "\"192.0.2.0/33\" is not a network"},
        {"::/129", NULL, "\"::/129\" is not a network"},
        {"192.0.2.0/", NULL, "\"192.0.2.0/\" is not a network"},
        {"192.0.2.0/-1", NULL, "\"192.0.2.0/-1\" is not a network"},
        {"192.0.2.0/0024", NULL, "\"192.0.2.0/0024\" is not a network"},
        {"/24", NULL, "\"/24\" is not a network"},
        {"", NULL, "\"\" is not a network"},
        {"example.org", NULL, "\"example.org\" is not a network"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct ip_net net;
        struct err err = {.text = ""};
        char text[IP_TEXT_MAX + 4];
        bool ok = ip_net_parse(str_of_z(cases[i].text), &net, &err);
        if (ok != (cases[i].expected != NULL))
            fail_msg("%s: %s", cases[i].text, ok ? "taken" : err.text);
        assert_string_equal(ok ? ip_net_format(&net, text).ptr : err.text, ok ? cases[i].expected : cases[i].error);
    }
}

static void contents_of_networks(void **state)
{
    (void)state;
    static const struct {
        const char *net, *ip;
        bool contains;
    } cases[] = {
        {"192.0.2.0/24", "192.0.2.255", true},
        {"192.0.2.0/24", "192.0.3.0", false},
        {"192.0.2.128/25", "192.0.2.127", false},
        {"192.0.2.128/25", "192.0.2.128", true},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "192.0.2.1", false},
        {"::/0", "2001:db8::1", true},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::", false},
        {"192.0.2.7", "192.0.2.7", true},
        {"192.0.2.7", "192.0.2.6", false},
        {"192.0.2.0/24", "::ffff:192.0.2.9", true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct ip_net net;
        struct err err;
        struct ip ip = ip_of(cases[i].ip);
        assert_true(ip_net_parse(str_of_z(cases[i].net), &net, &err));
        if (ip_net_contains(&net, &ip) != cases[i].contains)
            fail_msg("%s in %s", cases[i].ip, cases[i].net);
    }
    struct ip ip = ip_of("2001:db8:1234:5678:9abc::1"), v4 = ip_of("192.0.2.77");
    char text[IP_TEXT_MAX + 4];
    struct ip_net net = ip_net_of(&ip, 56);
    assert_string_equal(ip_net_format(&net, text).ptr, "2001:db8:1234:5600::/56");
    net = ip_net_of(&v4, 27);
    assert_string_equal(ip_net_format(&net, text).ptr, "192.0.2.64/27");
    net = ip_net_of(&v4, 128);
    assert_string_equal(ip_net_format(&net, text).ptr, "192.0.2.77/32");
}

#define LABEL_63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void endpoints(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected, *error;
        enum endpoint_kind kind;
    } cases[] = {
        {"127.0.0.1:25", "127.0.0.1:25", NULL, ENDPOINT_IP},
        {"[::1]:587", "[::1]:587", NULL, ENDPOINT_IP},
        {"[::]:65535", "[::]:65535", NULL, ENDPOINT_IP},
        {"[::ffff:127.0.0.1]:25", "127.0.0.1:25", NULL, ENDPOINT_IP},
        {"mta.example.org:25", "mta.example.org:25", NULL, ENDPOINT_NAME},
        {"localhost:25", "localhost:25", NULL, ENDPOINT_NAME},
        {"mail_1.3com.example:25", "mail_1.3com.example:25", NULL, ENDPOINT_NAME},
        {LABEL_63 ".example:25", LABEL_63 ".example:25", NULL, ENDPOINT_NAME},
        {"unix:/run/x.sock", "unix:/run/x.sock", NULL, ENDPOINT_UNIX},
        {"127.0.0.1", NULL, "127.0.0.1 has no port", 0},
        {"[::1]", NULL, "[::1] has no port", 0},
        {"127.0.0.1:", NULL, "127.0.0.1:: a port is a number from 1 to 65535", 0},
        {"127.0.0.1:0", NULL, "127.0.0.1:0: a port is a number from 1 to 65535", 0},
        {"127.0.0.1:65536", NULL, "127.0.0.1:65536: a port is a number from 1 to 65535", 0},
        {"127.0.0.1:smtp", NULL, "127.0.0.1:smtp: a port is a number from 1 to 65535", 0},
        {"::1:25", NULL, "::1:25: an IPv6 address stands in brackets", 0},
        {"[127.0.0.1]:25", NULL, "[127.0.0.1]:25: there is no IPv6 address in the brackets", 0},
        {"[::1:25", NULL, "[::1:25: there is no IPv6 address in the brackets", 0},
        {"[:25", NULL, "[:25: there is no IPv6 address in the brackets", 0},
        {"[]:25", NULL, "[]:25: there is no IPv6 address in the brackets", 0},
        {"300.0.2.1:25", NULL, "300.0.2.1:25: 300.0.2.1 is neither an address nor a host name", 0},
        {":25", NULL, ":25:  is neither an address nor a host name", 0},
        {"-a.example:25", NULL, "-a.example:25: -a.example is neither an address nor a host name", 0},
        {"a..example:25", NULL, "a..example:25: a..example is neither an address nor a host name", 0},
        {"a b:25", NULL, "a b:25: a b is neither an address nor a host name", 0},
        {LABEL_63 "a.example:25", NULL,
         LABEL_63 "a.example:25: " LABEL_63 "a.example is neither an address nor a host name", 0},
        {"unix:", NULL, "unix:: a socket needs a path that begins with /", 0},
        {"unix:x.sock", NULL, "unix:x.sock: a socket needs a path that begins with /", 0},
        {"unix:/" LABEL_63 LABEL_63, NULL, "unix:/" LABEL_63 LABEL_63 ": the path of a socket has at most 107 bytes",
         0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct endpoint e;
        struct err err = {.text = ""};
        char text[ENDPOINT_TEXT_MAX];
        bool ok = endpoint_parse(str_of_z(cases[i].text), &e, &err);
        if (ok != (cases[i].expected != NULL))
            fail_msg("%s: %s", cases[i].text, ok ? "taken" : err.text);
        assert_string_equal(ok ? endpoint_format(&e, text).ptr : err.text, ok ? cases[i].expected : cases[i].error);
        assert_true(!ok || e.kind == cases[i].kind);
    }
}

static struct endpoint endpoint_of(const char *text)
{
    struct endpoint e;
    struct err err;
    if (!endpoint_parse(str_of_z(text), &e, &err))
        fail_msg("%s", err.text);
    return e;
}

static void equal_endpoints(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool equal;
    } cases[] = {
        {"127.0.0.1:25", "[::ffff:127.0.0.1]:25", true},
        {"127.0.0.1:25", "127.0.0.1:26", false},
        {"127.0.0.1:25", "127.0.0.2:25", false},
        {"MTA.example:25", "mta.EXAMPLE:25", true},
        {"mta.example:25", "mtb.example:25", false},
        {"unix:/a", "unix:/a", true},
        {"unix:/a", "unix:/A", false},
        {"localhost:25", "127.0.0.1:25", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct endpoint a = endpoint_of(cases[i].a), b = endpoint_of(cases[i].b);
        if (endpoint_equal(&a, &b) != cases[i].equal)
            fail_msg("%s, %s", cases[i].a, cases[i].b);
    }
}

static void socket_addresses(void **state)
{
    (void)state;
    static const char *const there_and_back[] = {"127.0.0.1:25", "[2001:db8::7]:587"};
    for (size_t i = 0; i < COUNT_OF(there_and_back); i++) {
        struct endpoint e = endpoint_of(there_and_back[i]), back = {.kind = ENDPOINT_IP};
        struct sockaddr_storage address;
        char text[ENDPOINT_TEXT_MAX];
        assert_true(endpoint_to_sockaddr(&e, &address) > 0);
        ip_from_sockaddr(&address, &back.ip, &back.port);
        assert_string_equal(endpoint_format(&back, text).ptr, there_and_back[i]);
    }
    struct endpoint name = endpoint_of("mta.example:25"), path = endpoint_of("unix:/run/x");
    struct sockaddr_storage address;
    assert_int_equal(endpoint_to_sockaddr(&name, &address), 0);
    assert_int_equal(endpoint_to_sockaddr(&path, &address), offsetof(struct sockaddr_un, sun_path) + 7);
    struct ip ip;
    uint16_t port;
    ip_from_sockaddr(&address, &ip, &port);
    assert_int_equal(ip.family, ADDR_NONE);
    memset(path.name, 'x', sizeof path.name - 1);
    assert_int_equal(endpoint_to_sockaddr(&path, &address), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(kinds_of_addresses),
        cmocka_unit_test(networks),
        cmocka_unit_test(contents_of_networks),
        cmocka_unit_test(endpoints),
        cmocka_unit_test(equal_endpoints),
        cmocka_unit_test(socket_addresses),
        cmocka_unit_test(public_addresses),
        cmocka_unit_test(spans),
        cmocka_unit_test(host_names),
    };
    return cmocka_run_group_tests_name("net/addr", tests, NULL, NULL);
}
