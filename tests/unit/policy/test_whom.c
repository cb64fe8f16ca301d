/* test_whom.c - whom an administrator means: keys as events show them, and bare values that are guessed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "policy/whom.h"

static const struct whom_prefixes PREFIXES = {24, 56}, LONG = {24, 64};

static const struct {
    const char *text;
    const struct whom_prefixes *prefixes;
    const char *entities; /* one a meaning */
    const char *key;      /* the first one's, as it is shown */
} RIGHT[] = {
    {"user:alice@example.org", &PREFIXES, "u:alice@example.org", "user:alice@example.org"},
    {"user:Alice@Example.ORG", &PREFIXES, "u:alice@example.org", "user:alice@example.org"},
    {"user:alice+tag@example.org", &PREFIXES, "u:alice+tag@example.org", "user:alice+tag@example.org"},
    {"sender:alice+tag@example.org", &PREFIXES, "f:alice@example.org", "sender:alice@example.org"},
    {"rcpt:Bob@xn--Bcher-kva.example", &PREFIXES, "r:bob@xn--bcher-kva.example", "rcpt:bob@xn--bcher-kva.example"},
    {"user.domain:Example.org", &PREFIXES, "ud:example.org", "user.domain:example.org"},
    {"sender.domain:example.org", &PREFIXES, "fd:example.org", "sender.domain:example.org"},
    {"rcpt.domain:example.org", &PREFIXES, "rd:example.org", "rcpt.domain:example.org"},
    {"client:192.0.2.7", &PREFIXES, "i:192.0.2.7", "client:192.0.2.7"},
    {"client:::ffff:192.0.2.7", &PREFIXES, "i:192.0.2.7", "client:192.0.2.7"},
    {"client:2001:db8::1", &PREFIXES, "i:2001:db8::/64", "client:2001:db8::/64"},
    {"client:2001:db8::/64", &PREFIXES, "i:2001:db8::/64", "client:2001:db8::/64"},
    {"network:192.0.2.0/24", &PREFIXES, "n:192.0.2.0/24", "network:192.0.2.0/24"},
    {"network:192.0.2.7", &PREFIXES, "n:192.0.2.0/24", "network:192.0.2.0/24"},
    {"network:2001:db8::/56", &PREFIXES, "n:2001:db8::/56", "network:2001:db8::/56"},
    {"listener:submission", &PREFIXES, "l:submission", "listener:submission"},
    {"global", &PREFIXES, "g:", "global"},
    {"global:", &PREFIXES, "g:", "global"},
    /* joint keys */
    {"user+client:alice@example.org+192.0.2.7", &PREFIXES, "u+i:alice@example.org+192.0.2.7",
     "user+client:alice@example.org+192.0.2.7"},
    {"client+user:192.0.2.7+alice+tag@example.org", &PREFIXES, "i+u:192.0.2.7+alice+tag@example.org",
     "client+user:192.0.2.7+alice+tag@example.org"},
    {"user+client:alice+tag@example.org+192.0.2.7", &PREFIXES, "u+i:alice+tag@example.org+192.0.2.7",
     "user+client:alice+tag@example.org+192.0.2.7"},
    {"user+client:alice+2001:db8::1", &PREFIXES, "u+i:alice+2001:db8::/64", "user+client:alice+2001:db8::/64"},
    {"user+rcpt.domain:alice+example.net", &PREFIXES, "u+rd:alice+example.net", "user+rcpt.domain:alice+example.net"},
    /* bare */
    {"192.0.2.7", &PREFIXES, "i:192.0.2.7", "client:192.0.2.7"},
    {"2001:db8::1", &PREFIXES, "i:2001:db8::/64", "client:2001:db8::/64"},
    {"2001:db8::/64", &PREFIXES, "i:2001:db8::/64", "client:2001:db8::/64"},
    {"2001:db8::/64", &LONG, "n:2001:db8::/64", "network:2001:db8::/64"},
    {"192.0.2.0/24", &PREFIXES, "n:192.0.2.0/24", "network:192.0.2.0/24"},
    {"Alice+x@example.org", &PREFIXES, "u:alice+x@example.org f:alice@example.org r:alice@example.org",
     "user:alice+x@example.org"},
    {"example.org", &PREFIXES, "u:example.org ud:example.org fd:example.org rd:example.org", "user:example.org"},
    {"alice", &PREFIXES, "u:alice l:alice", "user:alice"},
    {"user", &PREFIXES, "u:user l:user", "user:user"},
    {"john doe", &PREFIXES, "u:john%20doe l:john%20doe", "user:john%20doe"},
};

static void test_right(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(RIGHT); i++) {
        struct whom whoms[WHOM_GUESSES_MAX];
        struct arena arena;
        struct err err = {0};
        char entities[512] = "";
        size_t count;
        arena_init(&arena, 65536);
        whom_read(whoms, &count, str_of_z(RIGHT[i].text), RIGHT[i].prefixes, &arena, &err);
        if (count == 0)
            fail_msg("%s: %s", RIGHT[i].text, err.text);
        for (size_t k = 0; k < count; k++) {
            if (k)
                strcat(entities, " ");
            strncat(entities, whoms[k].entity.ptr, whoms[k].entity.len);
        }
        assert_string_equal(entities, RIGHT[i].entities);
        assert_string_equal(whoms[0].text.ptr, RIGHT[i].key);
        arena_fini(&arena);
    }
}

static const struct {
    const char *text, *wrong;
} WRONG[] = {
    {"", "a key is a text of 1 to 1024 bytes, such as user:alice@example.org"},
    {"a\nb", "a key is a text of 1 to 1024 bytes, such as user:alice@example.org"},
    {"\xff", "a key is a text of 1 to 1024 bytes, such as user:alice@example.org"},
    {"usr:alice", "\"usr\" is no key of limits"},
    {"user+user:a+b", "\"user+user\" is no key of limits"},
    {"user:", "there is no value for `user`"},
    {"global:x", "`global` is one count for all: it has no value"},
    {"client:mail.example.org", "\"mail.example.org\" is not an IP address"},
    {"client:192.0.2.0/24", "\"192.0.2.0/24\" is a network, not a client"},
    {"network:192.0.0.0/16", "networks of IPv4 clients are /24 here, not /16"},
    {"2001:db8::/48", "networks of IPv6 clients are /56 here, not /48"},
    {"192.0.2.7/24", "192.0.2.7/24 has bits beyond /24"},
    {"a/b", "\"a/b\" is not a network"},
    {"user.domain:not a domain", "\"not a domain\" is not a domain"},
    {"user+client:alice", "1 values for 2 keys: they are separated by +, in the order of the keys"},
    {"client+network:192.0.2.7+192.0.2.0/24+x",
     "3 values for 2 keys: they are separated by +, in the order of the keys"},
    {"user+sender:a+b+c@example.org", "3 values for 2 keys: they are separated by +, in the order of the keys"},
    {"user+client:alice+bob+nowhere", "\"nowhere\" is not an IP address"},
};

static void test_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(WRONG); i++) {
        struct whom whoms[WHOM_GUESSES_MAX];
        struct arena arena;
        struct err err = {0};
        size_t count;
        arena_init(&arena, 65536);
        whom_read(whoms, &count, str_of_z(WRONG[i].text), &PREFIXES, &arena, &err);
        if (count)
            fail_msg("%s was taken for " PRI_STR, WRONG[i].text, STR_ARG(whoms[0].entity));
        assert_string_equal(err.text, WRONG[i].wrong);
        arena_fini(&arena);
    }
}

static void test_networks_of_clients(void **state)
{
    static const struct {
        const char *text, *network; /* NULL: lies in none */
    } ROWS[] = {
        {"192.0.2.7", "network:192.0.2.0/24"},
        {"client:2001:db8:0:1ff::1", "network:2001:db8:0:100::/56"},
        {"192.0.2.0/24", NULL},
        {"alice@example.org", NULL},
        {"user+client:alice+192.0.2.7", NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        struct whom whoms[WHOM_GUESSES_MAX], network;
        struct arena arena;
        struct err err = {0};
        size_t count;
        arena_init(&arena, 65536);
        whom_read(whoms, &count, str_of_z(ROWS[i].text), &PREFIXES, &arena, &err);
        bool lies_in_one = whom_network_of(&network, &whoms[0], &PREFIXES, &arena);
        assert_int_equal(lies_in_one, ROWS[i].network != NULL);
        assert_true(!lies_in_one || str_equal(network.text, str_of_z(ROWS[i].network)));
        arena_fini(&arena);
    }
}

static void test_long_ones(void **state)
{
    char text[WHOM_TEXT_MAX_BYTES + 2] = "user:";
    struct whom whoms[WHOM_GUESSES_MAX];
    struct arena arena;
    struct err err = {0};
    size_t count;
    (void)state;
    arena_init(&arena, 65536);
    memset(text + 5, 'x', sizeof text - 6);
    whom_read(whoms, &count, str_of(text, sizeof text - 1), &PREFIXES, &arena, &err);
    assert_int_equal(count, 0);
    whom_read(whoms, &count, str_of(text, sizeof text - 2), &PREFIXES, &arena, &err);
    assert_int_equal(count, 1);
    assert_true(str_starts(whoms[0].entity, STR("u:%-"))); /* by its hash, as live mail is counted */
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_networks_of_clients),
        cmocka_unit_test(test_long_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
