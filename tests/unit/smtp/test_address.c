/* test_address.c - paths, domains, literals, keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/address.h"

/* A case fails by name: cmocka only knows lines. */
#define CHECK(name, cond)                                                                                              \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            fail_msg("%s: %s", name, #cond);                                                                           \
    } while (0)

#define A10     "aaaaaaaaaa"
#define A60     A10 A10 A10 A10 A10 A10
#define LABEL63 A60 "aaa"

struct path_case {
    const char *argument;
    enum smtp_path_result result;
    const char *whole, *local, *domain, *rest;
};

static const struct path_case REVERSE[] = {
    {"FROM:<a@b.example>", SMTP_PATH_OK, "a@b.example", "a", "b.example", ""},
    {"from:<a@b>", SMTP_PATH_OK, "a@b", "a", "b", ""},
    {"FROM: <a@b>", SMTP_PATH_OK, "a@b", "a", "b", ""},
    {"FROM:<a@b> SIZE=1  BODY=7BIT ", SMTP_PATH_OK, "a@b", "a", "b", "SIZE=1  BODY=7BIT"},
    {"FROM:<>", SMTP_PATH_OK, "", "", "", ""},
    {"FROM: <> SIZE=1", SMTP_PATH_OK, "", "", "", "SIZE=1"},
    {"FROM:<a+tag@b>", SMTP_PATH_OK, "a+tag@b", "a+tag", "b", ""},
    {"FROM:<a.b.c@b-c.d_e>", SMTP_PATH_OK, "a.b.c@b-c.d_e", "a.b.c", "b-c.d_e", ""},
    {"FROM:<a%b@c>", SMTP_PATH_OK, "a%b@c", "a%b", "c", ""},
    {"FROM:<c!a@b>", SMTP_PATH_OK, "c!a@b", "c!a", "b", ""},
    {"FROM:<!#$%&'*+-/=?^_`{|}~@b>", SMTP_PATH_OK, "!#$%&'*+-/=?^_`{|}~@b", "!#$%&'*+-/=?^_`{|}~", "b", ""},
    {"FROM:<\"a b\"@c>", SMTP_PATH_OK, "\"a b\"@c", "\"a b\"", "c", ""},
    {"FROM:<\"a@b\"@c>", SMTP_PATH_OK, "\"a@b\"@c", "\"a@b\"", "c", ""},
    {"FROM:<\"a>b\"@c> SIZE=1", SMTP_PATH_OK, "\"a>b\"@c", "\"a>b\"", "c", "SIZE=1"},
    {"FROM:<\"a\\\"b\\\\\"@c>", SMTP_PATH_OK, "\"a\\\"b\\\\\"@c", "\"a\\\"b\\\\\"", "c", ""},
    {"FROM:<\"\"@c>", SMTP_PATH_OK, "\"\"@c", "\"\"", "c", ""},
    {"FROM:<@x.example:a@b>", SMTP_PATH_OK, "a@b", "a", "b", ""},
    {"FROM:<@x,@y.example:a@b>", SMTP_PATH_OK, "a@b", "a", "b", ""},
    {"FROM:<a@[192.0.2.1]>", SMTP_PATH_OK, "a@[192.0.2.1]", "a", "[192.0.2.1]", ""},
    {"FROM:<a@[IPv6:2001:db8::1]>", SMTP_PATH_OK, "a@[IPv6:2001:db8::1]", "a", "[IPv6:2001:db8::1]", ""},
    {"FROM:<j\xc3\xbcrg@b\xc3\xbc.de>", SMTP_PATH_OK, "j\xc3\xbcrg@b\xc3\xbc.de", "j\xc3\xbcrg", "b\xc3\xbc.de", ""},
    {"", SMTP_PATH_NO_KEYWORD, "", "", "", ""},
    {"<a@b>", SMTP_PATH_NO_KEYWORD, "", "", "", ""},
    {"TO:<a@b>", SMTP_PATH_NO_KEYWORD, "", "", "", ""},
    {"FROM <a@b>", SMTP_PATH_NO_KEYWORD, "", "", "", ""},
    {"FROM:", SMTP_PATH_NO_BRACKET, "", "", "", ""},
    {"FROM:a@b", SMTP_PATH_NO_BRACKET, "", "", "", ""},
    {"FROM:<a@b", SMTP_PATH_NO_BRACKET, "", "", "", ""},
    {"FROM:a@b>", SMTP_PATH_NO_BRACKET, "", "", "", ""},
    {"FROM:Bob <a@b>", SMTP_PATH_NO_BRACKET, "", "", "", ""},
    {"FROM:<a@b>SIZE=1", SMTP_PATH_REST, "", "", "", ""},
    {"FROM:<a@b>>", SMTP_PATH_REST, "", "", "", ""},
    {"FROM:<a>", SMTP_PATH_NO_DOMAIN, "", "", "", ""},
    {"FROM:<postmaster>", SMTP_PATH_NO_DOMAIN, "", "", "", ""},
    {"FROM:<@b>", SMTP_PATH_DOMAIN, "", "", "", ""}, /* a route without an end */
    {"FROM:<@x:>", SMTP_PATH_LOCAL, "", "", "", ""},
    {"FROM:<@x,:a@b>", SMTP_PATH_DOMAIN, "", "", "", ""},
    {"FROM:<@x y:a@b>", SMTP_PATH_DOMAIN, "", "", "", ""},
    {"FROM:<a@>", SMTP_PATH_DOMAIN, "", "", "", ""},
    {"FROM:<a@b@c>", SMTP_PATH_DOMAIN, "", "", "", ""},
    {"FROM:<a@b.>", SMTP_PATH_DOMAIN, "", "", "", ""},
    {"FROM:<a@.b>", SMTP_PATH_DOMAIN, "", "", "", ""},
    {"FROM:<a@b..c>", SMTP_PATH_DOMAIN, "", "", "", ""},
    {"FROM:<a@-b>", SMTP_PATH_DOMAIN, "", "", "", ""},
    {"FROM:<a@b->", SMTP_PATH_DOMAIN, "", "", "", ""},
    {"FROM:<a@b c>", SMTP_PATH_DOMAIN, "", "", "", ""},
    {"FROM:<a@[192.0.2.256]>", SMTP_PATH_DOMAIN, "", "", "", ""},
    {"FROM:<a@[2001:db8::1]>", SMTP_PATH_DOMAIN, "", "", "", ""},
    {"FROM:<a@[192.0.2.1>", SMTP_PATH_DOMAIN, "", "", "", ""},
    {"FROM:<a@[]>", SMTP_PATH_DOMAIN, "", "", "", ""},
    {"FROM:<.a@b>", SMTP_PATH_LOCAL, "", "", "", ""},
    {"FROM:<a.@b>", SMTP_PATH_LOCAL, "", "", "", ""},
    {"FROM:<a..a@b>", SMTP_PATH_LOCAL, "", "", "", ""},
    {"FROM:< a@b>", SMTP_PATH_LOCAL, "", "", "", ""},
    {"FROM:<a b@c>", SMTP_PATH_LOCAL, "", "", "", ""},
    {"FROM:<a,b@c>", SMTP_PATH_LOCAL, "", "", "", ""},
    {"FROM:<a(b)@c>", SMTP_PATH_LOCAL, "", "", "", ""},
    {"FROM:<a\\@b>", SMTP_PATH_LOCAL, "", "", "", ""},
    {"FROM:<\"a\"b@c>", SMTP_PATH_LOCAL, "", "", "", ""},
    {"FROM:<\"a@c>", SMTP_PATH_LOCAL, "", "", "", ""},
    {"FROM:<<a@b>>", SMTP_PATH_REST, "", "", "", ""},
    {"FROM:<j\xfcrg@b>", SMTP_PATH_LOCAL, "", "", "", ""}, /* Latin-1 */
    {"FROM:<a\x7f@b>", SMTP_PATH_CONTROL, "", "", "", ""},
    {"FROM:<a\v@b>", SMTP_PATH_CONTROL, "", "", "", ""},
    {"FROM:<a\f@b>", SMTP_PATH_CONTROL, "", "", "", ""},
    {"FROM:<a\n@b>", SMTP_PATH_CONTROL, "", "", "", ""},
    {"FROM:<a\r@b>", SMTP_PATH_CONTROL, "", "", "", ""},
    {"FROM:<a@b\xc2\x85>", SMTP_PATH_CONTROL, "", "", "", ""},
    {"FROM:<\"a\tb\"@c>", SMTP_PATH_CONTROL, "", "", "", ""},
    {"FROM:<" A60 "aaaa@b>", SMTP_PATH_OK, A60 "aaaa@b", A60 "aaaa", "b", ""},
    {"FROM:<" A60 "aaaaa@b>", SMTP_PATH_LONG, "", "", "", ""},
    {"FROM:<a@" LABEL63 "." LABEL63 "." LABEL63 "." A60 ">", SMTP_PATH_OK, "a@" LABEL63 "." LABEL63 "." LABEL63 "." A60,
     "a", LABEL63 "." LABEL63 "." LABEL63 "." A60, ""},
    {"FROM:<aa@" LABEL63 "." LABEL63 "." LABEL63 "." A60 ">", SMTP_PATH_LONG, "", "", "", ""},
    {"FROM:<a@" LABEL63 "a>", SMTP_PATH_DOMAIN, "", "", "", ""},
};

static const struct path_case FORWARD[] = {
    {"TO:<a@b>", SMTP_PATH_OK, "a@b", "a", "b", ""},
    {"TO: <a@b> NOTIFY=NEVER", SMTP_PATH_OK, "a@b", "a", "b", "NOTIFY=NEVER"},
    {"TO:<postmaster>", SMTP_PATH_OK, "postmaster", "postmaster", "", ""},
    {"TO:<PostMaster>", SMTP_PATH_OK, "PostMaster", "PostMaster", "", ""},
    {"TO:<bob>", SMTP_PATH_NO_DOMAIN, "", "", "", ""},
    {"TO:<>", SMTP_PATH_EMPTY, "", "", "", ""},
    {"FROM:<a@b>", SMTP_PATH_NO_KEYWORD, "", "", "", ""},
};

static void check_paths(const struct path_case *cases, size_t count, enum smtp_path_kind kind)
{
    for (size_t i = 0; i < count; i++) {
        const struct path_case *c = &cases[i];
        struct smtp_path path;
        struct str rest;
        CHECK(c->argument, smtp_path_parse(str_of_z(c->argument), kind, &path, &rest) == c->result);
        if (c->result != SMTP_PATH_OK)
            continue;
        CHECK(c->argument, str_equal(path.whole, str_of_z(c->whole)));
        CHECK(c->argument, str_equal(path.local, str_of_z(c->local)));
        CHECK(c->argument, str_equal(path.domain, str_of_z(c->domain)));
        CHECK(c->argument, str_equal(rest, str_of_z(c->rest)));
        CHECK(c->argument, path.null == (path.whole.len == 0));
        CHECK(c->argument, path.is_literal == (c->domain[0] == '['));
        CHECK(c->argument, path.needs_utf8 == !str_is_ascii(path.whole));
    }
}

static void test_paths(void **state)
{
    (void)state;
    check_paths(REVERSE, COUNT_OF(REVERSE), SMTP_REVERSE_PATH);
    check_paths(FORWARD, COUNT_OF(FORWARD), SMTP_FORWARD_PATH);
}

static void test_path_refuses_nul(void **state)
{
    struct smtp_path path;
    struct str rest;
    (void)state;
    assert_int_equal(smtp_path_parse(STR("FROM:<a\0@b>"), SMTP_REVERSE_PATH, &path, &rest), SMTP_PATH_CONTROL);
    assert_int_equal(smtp_path_parse(STR("FROM:<a@[192.0.2.1\0]>"), SMTP_REVERSE_PATH, &path, &rest),
                     SMTP_PATH_CONTROL);
    assert_false(smtp_literal_is_valid(STR("[192.0.2.1\0]")));
}

static void test_every_fault_has_a_text(void **state)
{
    (void)state;
    for (int a = SMTP_PATH_OK; a <= SMTP_PATH_REST; a++)
        for (int b = a + 1; b <= SMTP_PATH_REST; b++)
            assert_string_not_equal(smtp_path_fault((enum smtp_path_result)a),
                                    smtp_path_fault((enum smtp_path_result)b));
}

static void test_bare_address(void **state)
{
    struct smtp_path path;
    (void)state;
    assert_true(smtp_address_parse(STR("alice@example.org"), &path));
    assert_true(str_equal(path.domain, STR("example.org")));
    assert_false(smtp_address_parse(STR(""), &path));
    assert_false(smtp_address_parse(STR("alice"), &path));
    assert_false(smtp_address_parse(STR("postmaster"), &path));
    assert_false(smtp_address_parse(STR("<alice@example.org>"), &path));
    assert_false(smtp_address_parse(STR("@x:alice@example.org"), &path));
    assert_false(smtp_address_parse(STR("alice@example.org\n"), &path));
}

static void test_keys(void **state)
{
    static const struct {
        const char *address, *whole, *without_tag;
    } CASES[] = {
        {"Alice@Example.ORG", "alice@example.org", "alice@example.org"},
        {"bob+News@x", "bob+news@x", "bob@x"},
        {"bob+a+b@x", "bob+a+b@x", "bob@x"},
        {"bob+@x", "bob+@x", "bob@x"},
        {"+bob@x", "+bob@x", "+bob@x"},
        {"+bob+tag@x", "+bob+tag@x", "+bob@x"},
        {"\"bob\"@x", "bob@x", "bob@x"},
        {"\"B\\ob+tag\"@x", "bob+tag@x", "bob@x"},
        {"\"a b\"@x", "\"a b\"@x", "\"a b\"@x"},
        {"\"A\\ b+t\"@X", "\"a b+t\"@x", "\"a b\"@x"},
        {"\"a@b\"@c", "\"a@b\"@c", "\"a@b\"@c"},
        {"\"a\\\"b\"@c", "\"a\\\"b\"@c", "\"a\\\"b\"@c"},
        {"\"\"@c", "\"\"@c", "\"\"@c"},
        {"Alice", "alice", "alice"},
        {"alice+x", "alice+x", "alice"},
        {"@Example.org", "@example.org", "@example.org"},
        {"J\xc3\x9crg@x", "j\xc3\x9crg@x", "j\xc3\x9crg@x"}, /* ASCII case only */
        {"", "", ""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct buf key;
        buf_init(&key, 1000);
        assert_true(smtp_address_key(&key, str_of_z(CASES[i].address), false));
        CHECK(CASES[i].address, str_equal(buf_str(&key), str_of_z(CASES[i].whole)));
        buf_clear(&key);
        assert_true(smtp_address_key(&key, str_of_z(CASES[i].address), true));
        CHECK(CASES[i].address, str_equal(buf_str(&key), str_of_z(CASES[i].without_tag)));
        buf_fini(&key);
    }
}

static void test_key_of_a_full_buffer(void **state)
{
    struct buf key;
    (void)state;
    buf_init(&key, 12);
    assert_true(buf_append_str(&key, STR("user:")));
    assert_false(smtp_address_key(&key, STR("alice@example.org"), true));
    assert_true(str_equal(buf_str(&key), STR("user:")));
    buf_fini(&key);
}

static void test_tag(void **state)
{
    (void)state;
    assert_true(str_equal(smtp_address_tag(STR("bob+news")), STR("news")));
    assert_true(str_equal(smtp_address_tag(STR("bob+a+b")), STR("a+b")));
    assert_true(str_equal(smtp_address_tag(STR("\"bob+news\"")), STR("news")));
    assert_true(str_equal(smtp_address_tag(STR("+bob+x")), STR("x")));
    assert_int_equal(smtp_address_tag(STR("bob")).len, 0);
    assert_int_equal(smtp_address_tag(STR("+bob")).len, 0);
    assert_int_equal(smtp_address_tag(STR("bob+")).len, 0);
    assert_int_equal(smtp_address_tag(STR("")).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_path_refuses_nul),
        cmocka_unit_test(test_every_fault_has_a_text),
        cmocka_unit_test(test_bare_address),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_key_of_a_full_buffer),
        cmocka_unit_test(test_tag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
