/* test_table.c - membership as RULES.md "Tables" says it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
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
    lookup_seal(t);
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
    lookup_init(&t, TABLE_NETWORKS, STR("t"));
    /* every second /24 of 10/8, in an order that is none */
    for (uint32_t i = 0; i < 65536; i += 2) {
        uint32_t n = (i * 40503u) & 0xfffe;
        struct ip from = {.family = ADDR_IPV4, .bytes = {10, (uint8_t)(n >> 8), (uint8_t)n, 0}}, to = from;
        to.bytes[3] = 255;
        assert_true(lookup_add_span(&t, &from, &to));
    }
    lookup_seal(&t);
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

    struct fact x = {.kind = FACT_TEXT, .text = STR("INFO+x@example.org")};
    const struct lookup_values *values = lookup_get(&t, &x);
    assert_non_null(values);
    assert_true(lookup_values_have(values, STR("Alice")));
    assert_true(lookup_values_have(values, STR("BOB@example.org")));
    assert_false(lookup_values_have(values, STR("carol")));
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

/* Writes text to a file, reads it as a table, returns what was said about it. */
static char *read_file(struct lookup *t, const char *text)
{
    static char said[4096];
    char path[] = "/tmp/mailweir-table-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, str_of_z(text).len), (ssize_t)str_of_z(text).len);
    close(fd);
    struct source_set sources;
    struct diagnostics d;
    struct buf out;
    source_set_init(&sources, NULL, 0);
    diag_init(&d, &sources);
    buf_init(&out, sizeof said - 1);
    bool ok = lookup_read(t, &sources, str_of_z(path), PLACE_NONE, &d);
    assert_int_equal(ok, !diag_has_errors(&d));
    assert_true(diag_print(&d, &out));
    str_copy_into(said, sizeof said, buf_str(&out));
    buf_fini(&out);
    diag_fini(&d);
    source_set_fini(&sources);
    unlink(path);
    return said;
}

static void test_files(void **state)
{
    (void)state;
    struct lookup t;
    lookup_init(&t, TABLE_DOMAINS, STR("t"));
    assert_string_equal(read_file(&t, "# ours\nexample.org\r\n\n  .example.net   # all below\nlast.example"), "");
    struct fact x = {.kind = FACT_TEXT, .text = STR("last.example")};
    assert_true(lookup_has(&t, &x));
    x.text = STR("a.example.net");
    assert_true(lookup_has(&t, &x));
    lookup_fini(&t);

    lookup_init(&t, TABLE_MAP, STR("t"));
    assert_string_equal(read_file(&t, "info@example.org { alice, bob }\nsales@example.org carol\n"), "");
    x.text = STR("info@example.org");
    assert_int_equal(lookup_get(&t, &x)->count, 2);
    lookup_fini(&t);
}

static void test_bad_files(void **state)
{
    (void)state;
    static const struct {
        enum table_type type;
        const char *text, *place, *message;
    } BAD[] = {
        {TABLE_NETWORKS, "192.0.2.0/24\n  192.0.2.7/24\n", ":2:3: error: ", "192.0.2.7/24 has bits beyond /24"},
        {TABLE_STRINGS, "alpha beta\n", ":1:7: error: ", "expected end of line, found \"beta\""},
        {TABLE_MAP, "key\n", ":1:1: error: ", "expected a value, found end of line"},
        {TABLE_MAP, "key { a, b\n", ":1:10: error: ", "this { is never closed"},
    };
    for (size_t i = 0; i < COUNT_OF(BAD); i++) {
        struct lookup t;
        lookup_init(&t, BAD[i].type, STR("t"));
        struct str said = str_of_z(read_file(&t, BAD[i].text));
        if (!str_contains_nocase(said, str_of_z(BAD[i].place)) || !str_contains_nocase(said, str_of_z(BAD[i].message)))
            fail_msg("%s", said.ptr);
        lookup_fini(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_membership), cmocka_unit_test(test_many_networks), cmocka_unit_test(test_map),
        cmocka_unit_test(test_bad_items),  cmocka_unit_test(test_files),         cmocka_unit_test(test_bad_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
