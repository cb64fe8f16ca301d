/* Names to ask for, and messages written out by hand. */
#include "lookup_test.h"

#include "lookup/dns_message.h"

static void names_of_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *ip, *zone, *name;
    } cases[] = {
        {"192.0.2.7", "zen.example", "7.2.0.192.zen.example"},
        {"::ffff:192.0.2.7", "zen.example", "7.2.0.192.zen.example"},
        {"255.255.255.255", "z", "255.255.255.255.z"},
        {"2001:db8::7f:1", "zen.example",
         "1.0.0.0.f.7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.zen.example"},
        {"192.0.2.7", "", NULL},
    };
    char name[DNS_NAME_MAX], zone[256];
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct ip ip = ip_of(cases[i].ip);
        assert_int_equal(dns_name_of_ip(&ip, str_of_z(cases[i].zone), name), cases[i].name != NULL);
        if (cases[i].name)
            assert_string_equal(name, cases[i].name);
    }
    struct ip v4 = ip_of("192.0.2.7"), v6 = ip_of("::1"), none = {.family = ADDR_NONE};
    dns_reverse_name_of_ip(&v4, name);
    assert_string_equal(name, "7.2.0.192.in-addr.arpa");
    dns_reverse_name_of_ip(&v6, name);
    assert_string_equal(name, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa");
    assert_false(dns_name_of_ip(&none, STR("z"), name));
    memset(zone, 'z', sizeof zone);
    assert_true(dns_name_of_ip(&v6, str_of(zone, DNS_ZONE_MAX_BYTES), name));
    assert_int_equal(strlen(name), 253);
    assert_false(dns_name_of_ip(&v6, str_of(zone, DNS_ZONE_MAX_BYTES + 1), name));
}

/* A message of one question for a.b and the sections given as text; "" ends nothing early: its length is counted. */
#define QUESTION(type)             "\1a\1b\0\0" type "\0\1"
#define HEAD(answers, authorities) "\0\1\x81\x80\0\1\0" answers "\0" authorities "\0\0"
#define RR(type, ttl, len, data)   "\xc0\x0c\0" type "\0\1" ttl "\0" len data
#define M(literal)                 STR(literal)
#define SOA(ttl, minimum)          RR("\6", ttl, "\x16", "\0\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1" minimum)

static void times_to_live(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct str message;
        bool known;
        uint32_t seconds;
    } cases[] = {
        {"one answer", M(HEAD("\1", "\0") QUESTION("\1") RR("\1", "\0\0\2\x58", "\4", "\x7f\0\0\2")), true, 600},
        {"the least of two",
         M(HEAD("\2", "\0") QUESTION("\1") RR("\5", "\0\0\0\x0a", "\2", "\xc0\x0c")
               RR("\1", "\0\0\2\x58", "\4", "\x7f\0\0\2")),
         true, 10},
        {"the top bit", M(HEAD("\1", "\0") QUESTION("\1") RR("\1", "\x80\0\2\x58", "\4", "\x7f\0\0\2")), true, 0},
        {"SOA, its TTL", M(HEAD("\0", "\1") QUESTION("\1") SOA("\0\0\0\x3c", "\0\0\1\0")), true, 60},
        {"SOA, its minimum", M(HEAD("\0", "\1") QUESTION("\1") SOA("\0\0\1\0", "\0\0\0\x1e")), true, 30},
        {"an alias without an end",
         M(HEAD("\1", "\1") QUESTION("\1") RR("\5", "\0\0\0\x14", "\2", "\xc0\x0c") SOA("\0\0\1\0", "\0\0\1\0")), true,
         20},
        {"servers named in the authority section",
         M(HEAD("\1", "\1") QUESTION("\1") RR("\1", "\0\0\2\x58", "\4", "\x7f\0\0\2")
               RR("\2", "\0\0\0\1", "\2", "\xc0\x0c")),
         true, 600},
        {"nothing said", M(HEAD("\0", "\0") QUESTION("\1")), false, 0},
        {"an SOA that is too short", M(HEAD("\0", "\1") QUESTION("\1") RR("\6", "\0\0\1\0", "\4", "\0\0\0\0")), false,
         0},
        {"a label of 64 bytes", M(HEAD("\1", "\0") "\x40" QUESTION("\1")), false, 0},
        {"more records than there are", M(HEAD("\2", "\0") QUESTION("\1") RR("\1", "\0\0\2\x58", "\4", "\x7f\0\0\2")),
         false, 0},
        {"data beyond the end", M(HEAD("\1", "\0") QUESTION("\1") RR("\1", "\0\0\2\x58", "\5", "\x7f\0\0\2")), false,
         0},
        {"empty", STR_NONE, false, 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint32_t seconds = 0;
        bool known = dns_message_ttl(cases[i].message, &seconds);
        if (known != cases[i].known || (known && seconds != cases[i].seconds))
            fail_msg("%s: %d, %u", cases[i].what, known, seconds);
    }
    /* Cut anywhere: never more than it says, and never beyond its end (ASan looks on). */
    struct str whole = cases[1].message;
    for (size_t len = 0; len < whole.len; len++) {
        uint32_t seconds;
        char *cut = malloc(len + 1);
        memcpy(cut, whole.ptr, len);
        char *exact = realloc(cut, len ? len : 1);
        assert_false(dns_message_ttl(str_of(exact, len), &seconds));
        free(exact);
    }
}

static void addresses(void **state)
{
    (void)state;
    struct ip found[4];
    size_t count;
    char text[IP_TEXT_MAX];
    struct str a = M(HEAD("\2", "\0") QUESTION("\1") RR("\1", "\0\0\2\x58", "\4", "\x7f\0\0\2")
                         RR("\1", "\0\0\2\x58", "\4", "\x7f\0\0\4"));
    assert_true(dns_message_addresses(a, DNS_A, found, COUNT_OF(found), &count));
    assert_int_equal(count, 2);
    assert_string_equal(ip_format(&found[0], text).ptr, "127.0.0.2");
    assert_string_equal(ip_format(&found[1], text).ptr, "127.0.0.4");
    assert_true(dns_message_addresses(a, DNS_A, found, 1, &count));
    assert_int_equal(count, 1);
    struct str mapped =
        M(HEAD("\1", "\0") QUESTION("\x1c") RR("\x1c", "\0\0\2\x58", "\x10", "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\7"));
    assert_true(dns_message_addresses(mapped, DNS_AAAA, found, COUNT_OF(found), &count));
    assert_string_equal(ip_format(&found[0], text).ptr, "192.0.2.7");
    assert_true(dns_message_addresses(M(HEAD("\0", "\0") QUESTION("\1")), DNS_A, found, COUNT_OF(found), &count));
    assert_int_equal(count, 0);
    assert_false(dns_message_addresses(str_sub(a, 0, a.len - 3), DNS_A, found, COUNT_OF(found), &count));
    assert_false(dns_message_addresses(STR_NONE, DNS_A, found, COUNT_OF(found), &count));
}

#define PTR(len, data) RR("\x0c", "\0\0\2\x58", len, data)

static void names(void **state)
{
    (void)state;
    char found[2][DNS_NAME_MAX];
    size_t count;
    struct str m = M(HEAD("\5", "\0") QUESTION("\x0c") PTR("\x0b", "\3MTA\5other\0") PTR("\4", "\2-x\0")
                         PTR("\5", "\3ab-\0") PTR("\x0b", "\3mta\5other\0") PTR("\x0b", "\3abc\5other\0"));
    assert_true(dns_message_names(m, found, 2, &count));
    assert_int_equal(count, 2); /* "-x" and "ab-" are no names of hosts, MTA.other came twice */
    assert_string_equal(found[0], "abc.other");
    assert_string_equal(found[1], "mta.other");
    assert_true(dns_message_names(m, found, 1, &count));
    assert_int_equal(count, 1);
    assert_string_equal(found[0], "abc.other");
    struct str bad = M(HEAD("\2", "\0") QUESTION("\x0c") PTR("\x0b", "\3MTA\5other\0") PTR("\5", "\3a\nb\0"));
    assert_false(dns_message_names(bad, found, 2, &count));
    assert_int_equal(count, 0);
    assert_false(dns_message_names(str_sub(m, 0, m.len - 1), found, 2, &count));
    assert_int_equal(count, 0);
}

#define TXT(len, data) RR("\x10", "\0\0\2\x58", len, data)

static void texts(void **state)
{
    (void)state;
    char text[64], small[4];
    struct str m = M(HEAD("\2", "\0") QUESTION("\x10") TXT("\x0d", "\5see \\\6:\r\n\xc3\xa9.") TXT("\3", "\2no"));
    assert_true(dns_message_text(m, text, sizeof text));
    assert_string_equal(text, "see \\:????.");
    assert_true(dns_message_text(m, small, sizeof small));
    assert_string_equal(small, "see");
    assert_true(dns_message_text(M(HEAD("\0", "\0") QUESTION("\x10")), text, sizeof text));
    assert_string_equal(text, "");
    assert_false(dns_message_text(M(HEAD("\1", "\0") QUESTION("\x10") TXT("\3", "\7no")), text, sizeof text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_addresses),
        cmocka_unit_test(times_to_live),
        cmocka_unit_test(addresses),
        cmocka_unit_test(names),
        cmocka_unit_test(texts),
    };
    return cmocka_run_group_tests_name("lookup/dns_message", tests, NULL, NULL);
}
