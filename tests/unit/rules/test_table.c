/* test_table.c - membership as RULES.md "Tables" says it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rules/table.h"

struct membership {
    const char *name;
    enum table_type type;
    const char *items[6];
    const char *asked;
    bool is_in;
};

static const struct membership CASES[] = {
    {"a word", TABLE_STRINGS, {"alpha", "beta"}, "beta", true},
    {"a word in other case", TABLE_STRINGS, {"Alpha"}, "aLPHA", true},
    {"another word", TABLE_STRINGS, {"alpha"}, "alph", false},
    {"a whole address", TABLE_ADDRESSES, {"bob@example.org"}, "Bob@Example.ORG", true},
    {"an address with a tag", TABLE_ADDRESSES, {"bob@example.org"}, "bob+news@example.org", true},
    {"the tagged one alone is listed", TABLE_ADDRESSES, {"bob+news@example.org"}, "bob@example.org", false},
    {"by its domain", TABLE_ADDRESSES, {"@example.org"}, "anyone@example.org", true},
    {"a subdomain is another", TABLE_ADDRESSES, {"@example.org"}, "anyone@sub.example.org", false},
    {"quotes that are not needed", TABLE_ADDRESSES, {"bob@example.org"}, "\"bob\"@example.org", true},
    {"U-label asked, A-label listed", TABLE_ADDRESSES, {"@xn--mnchen-3ya.example"}, "a@münchen.example", true},
    {"a domain", TABLE_DOMAINS, {"example.org"}, "EXAMPLE.org", true},
    {"a domain does not hold its subdomains", TABLE_DOMAINS, {"example.org"}, "a.example.org", false},
    {"with a dot, every subdomain", TABLE_DOMAINS, {".example.org"}, "a.b.example.org", true},
    {"with a dot, not itself", TABLE_DOMAINS, {".example.org"}, "example.org", false},
    {"an ending is no subdomain", TABLE_DOMAINS, {".example.org"}, "badexample.org", false},
    {"IDN, listed as U-label", TABLE_DOMAINS, {"bücher.example"}, "xn--bcher-kva.example", true},
    {"IDN below a dot", TABLE_DOMAINS, {".xn--bcher-kva.example"}, "shop.bücher.example", true},
    {"a network", TABLE_NETWORKS, {"192.0.2.0/24"}, "192.0.2.255", true},
    {"beside the network", TABLE_NETWORKS, {"192.0.2.0/24"}, "192.0.3.0", false},
    {"a range", TABLE_NETWORKS, {"192.0.2.10-192.0.2.20"}, "192.0.2.20", true},
    {"above the range", TABLE_NETWORKS, {"192.0.2.10-192.0.2.20"}, "192.0.2.21", false},
    {"an address alone", TABLE_NETWORKS, {"2001:db8::1"}, "2001:db8::1", true},
    {"IPv6 network", TABLE_NETWORKS, {"2001:db8::/32", "10.0.0.0/8"}, "2001:db8:ffff::7", true},
    {"IPv4 among IPv6", TABLE_NETWORKS, {"2001:db8::/32", "10.0.0.0/8", "fe80::/10"}, "10.255.255.255", true},
    {"overlapping ones", TABLE_NETWORKS, {"10.0.0.0/8", "10.1.0.0/16", "11.0.0.0/24"}, "10.200.0.1", true},
    {"a gap between", TABLE_NETWORKS, {"10.0.0.0/24", "10.0.2.0/24"}, "10.0.1.7", false},
    {"an empty table", TABLE_NETWORKS, {NULL}, "10.0.1.7", false},
};

static void build(struct lookup *t, const struct membership *c)
{
    struct err err;
    lookup_init(t, c->type, STR("t"));
    for (size_t i = 0; c->items[i]; i++)
        if (!lookup_add(t, str_of_z(c->items[i]), &err))
            fail_msg("%s: %s", c->name, err.text);
    assert_true(lookup_seal(t, &err));
}

static void test_membership(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        const struct membership *c = &CASES[i];
        struct lookup t;
        struct fact x = {.kind = FACT_TEXT, .text = str_of_z(c->asked)};
        build(&t, c);
        if (c->type == TABLE_NETWORKS) {
            x.kind = FACT_IP;
            assert_true(ip_parse(str_of_z(c->asked), &x.ip));
        }
        if (lookup_has(&t, &x) != c->is_in)
            fail_msg("%s: %s", c->name, c->is_in ? "not found" : "found");
        lookup_fini(&t);
    }
}

static void test_many_networks(void **state)
{
    (void)state;
    struct lookup t;
    struct err err;
    lookup_init(&t, TABLE_NETWORKS, STR("t"));
    /* every second /24 of 10/8, in an order that is none */
    for (uint32_t i = 0; i < 65536; i += 2) {
        uint32_t n = (i * 40503u) & 0xfffe;
        struct ip from = {.family = ADDR_IPV4, .bytes = {10, (uint8_t)(n >> 8), (uint8_t)n, 0}}, to = from;
        to.bytes[3] = 255;
        assert_true(lookup_add_span(&t, &from, &to, STR_NONE, &err));
    }
    assert_true(lookup_seal(&t, &err));
    for (uint32_t n = 0; n < 65536; n++) {
        struct fact x = {.kind = FACT_IP,
                         .ip = {.family = ADDR_IPV4, .bytes = {10, (uint8_t)(n >> 8), (uint8_t)n, 77}}};
        assert_int_equal(lookup_has(&t, &x), n % 2 == 0);
    }
    lookup_fini(&t);
}

static void test_map(void **state)
{
    (void)state;
    struct err err;
    struct lookup t;
    lookup_init(&t, TABLE_MAP, STR("owners"));
    assert_true(lookup_add_value(&t, STR("info@example.org"), STR("alice"), &err));
    assert_true(lookup_add_value(&t, STR("info@example.org"), STR("bob@example.org"), &err));
    assert_true(lookup_add_value(&t, STR("@sales.example"), STR("carol"), &err));
    assert_true(lookup_add_value(&t, STR("backup"), STR("root"), &err));
    assert_true(lookup_add_value(&t, STR("Info@example.org"), STR("dave"), &err));
    assert_true(lookup_seal(&t, &err));

    struct fact x = {.kind = FACT_TEXT, .text = STR("INFO+x@example.org")};
    const struct lookup_values *values = lookup_get(&t, &x);
    assert_non_null(values);
    assert_true(lookup_values_have(values, STR("Alice")));
    assert_true(lookup_values_have(values, STR("BOB@example.org")));
    assert_true(lookup_values_have(values, STR("dave")));
    assert_false(lookup_values_have(values, STR("carol")));
    assert_true(str_equal(lookup_values_next(&values), STR("alice")));
    assert_true(str_equal(lookup_values_next(&values), STR("bob@example.org")));
    assert_true(str_equal(lookup_values_next(&values), STR("dave")));
    assert_null(lookup_values_next(&values).ptr);
    x.text = STR("x@sales.example");
    assert_non_null(lookup_get(&t, &x));
    x.text = STR("Backup");
    assert_true(lookup_has(&t, &x));
    x.text = STR("nobody@example.org");
    assert_null(lookup_get(&t, &x));
    x.kind = FACT_NONE;
    assert_null(lookup_get(&t, &x));
    lookup_fini(&t);
}

static const struct {
    enum table_type type;
    const char *item, *message;
} BAD_ITEMS[] = {
    {TABLE_NETWORKS, "example.org", "\"example.org\" is not a network"},
    {TABLE_NETWORKS, "192.0.2.7/24", "192.0.2.7/24 has bits beyond /24"},
    {TABLE_NETWORKS, "192.0.2.7-192.0.2.1", "\"192.0.2.7-192.0.2.1\" is not a network"},
    {TABLE_ADDRESSES, "bob", "\"bob\" is not an address"},
    {TABLE_DOMAINS, "exa mple", "\"exa mple\" is not a domain"},
    {TABLE_DOMAINS, "..example.org", "\"..example.org\" is not a domain"},
};

static void test_bad_items(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(BAD_ITEMS); i++) {
        struct lookup t;
        struct err err;
        lookup_init(&t, BAD_ITEMS[i].type, STR("t"));
        assert_false(lookup_add(&t, str_of_z(BAD_ITEMS[i].item), &err));
        assert_string_equal(err.text, BAD_ITEMS[i].message);
        lookup_fini(&t);
    }
}

/* ---- nested networks ---- */

static const char *const PLACES[][2] = {
    {"0.0.0.0/0", "world"},
    {"10.0.0.0/8", "ten"},
    {"10.1.0.0/16", "office"},
    {"10.1.2.0/24", "lab"},
    {"10.1.2.3", "printer"},
    {"10.1.2.0/24", "again"}, /* the first counts */
    {"10.2.0.0/16", "office"},
    {"192.0.2.10-192.0.2.20", "range"},
    {"192.0.2.16/31", "inside"},
    {"255.255.255.255", "last"},
    {"2001:db8::/32", "six"},
    {"2001:db8:0:1::/64", "inner"},
    {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "end"},
};

static const char *const ASKED[][2] = {
    {"9.255.255.255", "world"},
    {"10.0.0.0", "ten"},
    {"10.0.255.255", "ten"},
    {"10.1.0.0", "office"},
    {"10.1.1.255", "office"},
    {"10.1.2.0", "lab"},
    {"10.1.2.2", "lab"},
    {"10.1.2.3", "printer"},
    {"10.1.2.4", "lab"},
    {"10.1.2.255", "lab"},
    {"10.1.3.0", "office"},
    {"10.2.255.255", "office"},
    {"10.3.0.0", "ten"},
    {"11.0.0.0", "world"},
    {"192.0.2.9", "world"},
    {"192.0.2.10", "range"},
    {"192.0.2.15", "range"},
    {"192.0.2.16", "inside"},
    {"192.0.2.17", "inside"},
    {"192.0.2.18", "range"},
    {"192.0.2.20", "range"},
    {"192.0.2.21", "world"},
    {"255.255.255.254", "world"},
    {"255.255.255.255", "last"},
    {"0.0.0.0", "world"},
    {"2001:db7:ffff::", NULL},
    {"2001:db8::", "six"},
    {"2001:db8:0:1::7", "inner"},
    {"2001:db8:0:2::", "six"},
    {"2001:db9::", NULL},
    {"::", NULL},
    {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "end"},
    {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", NULL},
};

static void test_netmap(void **state)
{
    (void)state;
    struct lookup t;
    struct err err;
    lookup_init(&t, TABLE_NETMAP, STR("places"));
    for (size_t i = 0; i < COUNT_OF(PLACES); i++)
        if (!lookup_add_value(&t, str_of_z(PLACES[i][0]), str_of_z(PLACES[i][1]), &err))
            fail_msg("%s: %s", PLACES[i][0], err.text);
    assert_true(lookup_seal(&t, &err));
    for (size_t i = 0; i < COUNT_OF(ASKED); i++) {
        struct fact x = {.kind = FACT_IP};
        assert_true(ip_parse(str_of_z(ASKED[i][0]), &x.ip));
        struct str value = lookup_net_value(&t, &x);
        assert_int_equal(lookup_has(&t, &x), ASKED[i][1] != NULL);
        if (!str_equal(value, str_of_z(ASKED[i][1])) || !value.ptr != !ASKED[i][1])
            fail_msg("%s: \"%.*s\"", ASKED[i][0], STR_ARG(value));
    }
    struct fact none = {.kind = FACT_NONE}, text = {.kind = FACT_TEXT, .text = STR("10.0.0.0")};
    assert_null(lookup_net_value(&t, &none).ptr);
    assert_null(lookup_net_value(&t, &text).ptr);
    lookup_fini(&t);
}

/* Against the plain definition: of all networks that hold the address the longest prefix. */
static void test_netmap_against_definition(void **state)
{
    (void)state;
    enum { NETS = 400 };
    static struct ip_net nets[NETS];
    uint32_t seed = 7;
    struct lookup t;
    struct err err;
    lookup_init(&t, TABLE_NETMAP, STR("t"));
    for (unsigned i = 0; i < NETS; i++) {
        seed = seed * 1664525 + 1013904223;
        struct ip ip = {.family = ADDR_IPV4,
                        .bytes = {10, (uint8_t)(seed >> 28), (uint8_t)(seed >> 20), (uint8_t)(seed >> 12)}};
        char text[IP_TEXT_MAX + 4], value[16];
        nets[i] = ip_net_of(&ip, 8 + (seed >> 8) % 25);
        snprintf(value, sizeof value, "%u", i);
        assert_true(lookup_add_value(&t, ip_net_format(&nets[i], text), str_of_z(value), &err));
    }
    assert_true(lookup_seal(&t, &err));
    for (unsigned n = 0; n < 20000; n++) {
        seed = seed * 1664525 + 1013904223;
        struct fact x = {.kind = FACT_IP,
                         .ip = {.family = ADDR_IPV4,
                                .bytes = {10, (uint8_t)(seed >> 28), (uint8_t)(seed >> 20), (uint8_t)(seed >> 12)}}};
        int best = -1;
        for (int i = 0; i < NETS; i++)
            if (ip_net_contains(&nets[i], &x.ip) && (best < 0 || nets[i].prefix > nets[best].prefix))
                best = i;
        char wanted[16] = "";
        if (best >= 0)
            snprintf(wanted, sizeof wanted, "%d", best);
        assert_true(str_equal(lookup_net_value(&t, &x), str_of_z(wanted)));
    }
    lookup_fini(&t);
}

/* ---- patterns ---- */

static void test_patterns(void **state)
{
    (void)state;
    static const struct {
        const char *asked;
        bool is_in;
    } ALL[] = {{"ip-192-0-2-1.example", true},
               {"mail.dyn.example", true},
               {"mail.example.org", false},
               {"", false},
               {"IP-1", false},
               {"SHOUT-7", true},
               {"a\xff"
                "dyn",
                true}};
    struct lookup t;
    struct err err;
    lookup_init(&t, TABLE_PATTERNS, STR("dialups"));
    assert_true(lookup_add(&t, STR("^ip-\\d+"), &err));
    assert_true(lookup_add(&t, STR("dyn"), &err));
    assert_true(lookup_add(&t, STR("(?i)^shout"), &err));
    assert_false(lookup_add(&t, STR("b("), &err));
    assert_string_equal(err.text, "bad pattern: missing closing parenthesis");
    assert_true(lookup_seal(&t, &err));
    for (size_t i = 0; i < COUNT_OF(ALL); i++) {
        struct fact x = {.kind = FACT_TEXT, .text = str_of_z(ALL[i].asked)};
        if (lookup_has(&t, &x) != ALL[i].is_in)
            fail_msg("%s", ALL[i].asked);
    }
    lookup_fini(&t);
}

/* What a log line says goes to stderr: into a file, for a moment. */
static size_t logged_lines(struct lookup *t, const struct fact *x, unsigned times)
{
    char text[4096];
    FILE *log = tmpfile();
    assert_non_null(log);
    fflush(stderr);
    int kept = dup(STDERR_FILENO);
    dup2(fileno(log), STDERR_FILENO);
    for (unsigned i = 0; i < times; i++)
        if (lookup_has(t, x))
            times = 0;
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    assert_int_not_equal(times, 0);
    rewind(log);
    size_t lines = 0;
    while (fgets(text, sizeof text, log)) {
        lines++;
        assert_true(
            str_contains_nocase(str_of_z(text), STR("the pattern '(a+)+$' of table \"evil\" takes too many steps")));
    }
    fclose(log);
    return lines;
}

static void test_pattern_limit(void **state)
{
    (void)state;
    struct lookup t;
    struct err err;
    struct fact x = {.kind = FACT_TEXT, .text = STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab")};
    lookup_init(&t, TABLE_PATTERNS, STR("evil"));
    assert_true(lookup_add(&t, STR("(a+)+$"), &err));
    assert_true(lookup_add(&t, STR("^z"), &err));
    assert_true(lookup_seal(&t, &err));
    assert_int_equal(logged_lines(&t, &x, 3), 1);
    x.text = STR("zaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab");
    assert_true(lookup_has(&t, &x)); /* the others are still asked */
    lookup_fini(&t);
}

/* ---- images ---- */

static int image_file(const struct lookup *t)
{
    struct err err;
    int fd = memfd_create("table", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_true(lookup_write_image(t, fd, &err));
    return fd;
}

static void test_image_travels(void **state)
{
    (void)state;
    static const enum table_type TYPES[] = {TABLE_STRINGS, TABLE_ADDRESSES, TABLE_DOMAINS, TABLE_NETWORKS,
                                            TABLE_PATTERNS};
    static const char *const ITEMS[] = {"alpha", "bob@example.org", ".example.org", "10.0.0.0/8", "^alp"};
    static const char *const QUESTIONS[] = {"ALPHA", "bob+x@example.org", "a.example.org", "10.9.8.7", "alphabet"};
    for (size_t i = 0; i < COUNT_OF(TYPES); i++) {
        struct lookup old, built, t;
        struct err err;
        struct fact x = {.kind = FACT_TEXT, .text = str_of_z(QUESTIONS[i])};
        if (TYPES[i] == TABLE_NETWORKS) {
            x.kind = FACT_IP;
            assert_true(ip_parse(str_of_z(QUESTIONS[i]), &x.ip));
        }
        lookup_init(&old, TYPES[i], STR("t"));
        lookup_init(&built, TYPES[i], STR("t"));
        assert_true(lookup_add(&built, str_of_z(ITEMS[i]), &err));
        assert_true(lookup_seal(&built, &err));
        int fd = image_file(&built);
        lookup_fini(&built);
        assert_true(lookup_map_image(&t, &old, fd, &err));
        close(fd);
        assert_true(lookup_compile_patterns(&t, 1));
        assert_false(lookup_has(&old, &x));
        lookup_exchange(&old, &t);
        assert_true(lookup_has(&old, &x));
        assert_int_equal(lookup_item_count(&old), 1);
        lookup_fini(&old);
        lookup_fini(&t);
    }
}

static unsigned pieces(struct lookup *t)
{
    unsigned n = 1;
    while (!lookup_release(t))
        n++;
    assert_null(t->image);
    return n;
}

/* A large table goes in pieces of 2 MiB, a small one at once, patterns by the hundred. */
static void test_release(void **state)
{
    (void)state;
    struct lookup t, copy, small;
    struct err err;
    lookup_init(&t, TABLE_STRINGS, STR("t"));
    for (unsigned i = 0; i < 300000; i++) {
        char item[32];
        snprintf(item, sizeof item, "item-%u", i);
        assert_true(lookup_add(&t, str_of_z(item), &err));
    }
    assert_true(lookup_seal(&t, &err));
    size_t wanted = lookup_image_bytes(&t) / (2 << 20) + 2;
    int fd = image_file(&t);
    assert_true(lookup_map_image(&copy, &t, fd, &err));
    close(fd);
    struct fact x = {.kind = FACT_TEXT, .text = STR("ITEM-299999")};
    assert_true(lookup_has(&t, &x) && lookup_has(&copy, &x));
    assert_int_equal(pieces(&t), wanted);
    assert_int_equal(pieces(&copy), wanted);
    lookup_init(&small, TABLE_PATTERNS, STR("t"));
    for (unsigned i = 0; i < 250; i++)
        assert_true(lookup_add(&small, STR("a"), &err));
    assert_true(lookup_seal(&small, &err));
    assert_int_equal(pieces(&small), 3);
}

static void test_image_of_nothing(void **state)
{
    (void)state;
    struct lookup empty, t;
    struct err err;
    struct fact x = {.kind = FACT_TEXT, .text = STR("a")};
    lookup_init(&empty, TABLE_STRINGS, STR("t"));
    assert_true(lookup_seal(&empty, &err));
    int fd = image_file(&empty);
    assert_true(lookup_map_image(&t, &empty, fd, &err));
    assert_false(lookup_has(&t, &x));
    lookup_fini(&t);
    lookup_init(&empty, TABLE_NETWORKS, STR("t"));
    assert_false(lookup_map_image(&t, &empty, fd, &err));
    assert_string_equal(err.text, "what came is no table");
    assert_int_equal(ftruncate(fd, 5), 0);
    assert_false(lookup_map_image(&t, &empty, fd, &err));
    assert_string_equal(err.text, "no table came");
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_membership),    cmocka_unit_test(test_many_networks),
        cmocka_unit_test(test_map),           cmocka_unit_test(test_bad_items),
        cmocka_unit_test(test_netmap),        cmocka_unit_test(test_netmap_against_definition),
        cmocka_unit_test(test_patterns),      cmocka_unit_test(test_pattern_limit),
        cmocka_unit_test(test_image_travels), cmocka_unit_test(test_image_of_nothing),
        cmocka_unit_test(test_release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
