/* Verified logins: found again by the same client only, for as long as they may be. */
#include "auth/cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { TTL_MS = 300000 };

static struct ip_net net(const char *text)
{
    struct ip_net n;
    struct err err;
    assert_true(ip_net_parse(str_of_z(text), &n, &err));
    return n;
}

static struct auth_cache *cache_of(size_t entries, int64_t ttl_ms)
{
    struct err err;
    struct auth_cache *c = auth_cache_new(entries, ttl_ms, &err);
    assert_non_null(c);
    return c;
}

static struct auth_cache_key key_of(struct auth_cache *c, struct str user, struct str password, const char *network)
{
    struct auth_cache_key key;
    struct ip_net n = net(network);
    assert_true(auth_cache_key_make(c, user, password, &n, &key));
    return key;
}

static void only_the_same_login_from_the_same_network_is_found(void **state)
{
    (void)state;
    struct auth_cache *c = cache_of(64, TTL_MS);
    struct auth_cache_key key = key_of(c, STR("alice"), STR("secret"), "192.0.2.0/24");
    assert_null(auth_cache_get(c, &key, 1000).ptr);
    auth_cache_put(c, &key, STR("Alice@example.org"), 1000);
    const struct {
        struct str user, password;
        const char *network;
        bool found;
    } CASES[] = {
        {STR("alice"), STR("secret"), "192.0.2.0/24", true},  {STR("ALICE"), STR("secret"), "192.0.2.0/24", true},
        {STR("alice"), STR("Secret"), "192.0.2.0/24", false}, {STR("alice"), STR("secre"), "192.0.2.0/24", false},
        {STR("alice"), STR(""), "192.0.2.0/24", false},       {STR("alice"), STR("secret\0"), "192.0.2.0/24", false},
        {STR("alices"), STR("ecret"), "192.0.2.0/24", false}, /* the same bytes, parted elsewhere */
        {STR("bob"), STR("secret"), "192.0.2.0/24", false},   {STR("alice"), STR("secret"), "192.0.3.0/24", false},
        {STR("alice"), STR("secret"), "192.0.2.0/25", false}, {STR("alice"), STR("secret"), "2001:db8::/56", false},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct auth_cache_key other = key_of(c, CASES[i].user, CASES[i].password, CASES[i].network);
        struct str user = auth_cache_get(c, &other, 1001);
        if ((user.ptr != NULL) != CASES[i].found)
            fail_msg("case %zu", i);
        if (user.ptr)
            assert_true(str_equal(user, STR("Alice@example.org")));
    }
    auth_cache_free(&c);
    assert_null(c);
}

static void caches_have_keys_of_their_own(void **state)
{
    (void)state;
    struct auth_cache *a = cache_of(64, TTL_MS), *b = cache_of(64, TTL_MS);
    struct auth_cache_key one = key_of(a, STR("alice"), STR("secret"), "192.0.2.0/24");
    struct auth_cache_key again = key_of(a, STR("alice"), STR("secret"), "192.0.2.0/24");
    struct auth_cache_key two = key_of(b, STR("alice"), STR("secret"), "192.0.2.0/24");
    assert_memory_equal(one.mac, again.mac, sizeof one.mac);
    assert_memory_not_equal(one.mac, two.mac, sizeof one.mac);
    auth_cache_free(&a);
    auth_cache_free(&b);
}

static void a_login_is_remembered_from_its_verification_on(void **state)
{
    (void)state;
    struct auth_cache *c = cache_of(64, TTL_MS);
    struct auth_cache_key key = key_of(c, STR("alice"), STR("secret"), "192.0.2.0/24");
    auth_cache_put(c, &key, STR("alice"), 1000);
    assert_non_null(auth_cache_get(c, &key, 1000 + TTL_MS - 1).ptr); /* which does not prolong it */
    assert_null(auth_cache_get(c, &key, 1000 + TTL_MS).ptr);
    assert_int_equal(auth_cache_count(c), 0);
    auth_cache_put(c, &key, STR("alice"), 1000);
    auth_cache_put(c, &key, STR("alice"), 5000); /* verified anew */
    assert_int_equal(auth_cache_count(c), 1);
    assert_non_null(auth_cache_get(c, &key, 1000 + TTL_MS).ptr);
    auth_cache_flush(c);
    assert_int_equal(auth_cache_count(c), 0);
    assert_null(auth_cache_get(c, &key, 5000).ptr);
    auth_cache_free(&c);
}

static void no_time_no_memory_of_logins(void **state)
{
    (void)state;
    struct auth_cache *c = cache_of(64, 0);
    struct auth_cache_key key = key_of(c, STR("alice"), STR("secret"), "192.0.2.0/24");
    auth_cache_put(c, &key, STR("alice"), 1000);
    assert_null(auth_cache_get(c, &key, 1000).ptr);
    auth_cache_free(&c);
}

/* One set of eight: the ninth takes the place of the one that was not used for longest. */
static void the_least_recently_used_gives_way(void **state)
{
    (void)state;
    struct auth_cache *c = cache_of(8, TTL_MS);
    struct auth_cache_key keys[9];
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        char user[16];
        snprintf(user, sizeof user, "user%zu", i);
        keys[i] = key_of(c, str_of_z(user), STR("secret"), "192.0.2.0/24");
    }
    for (size_t i = 0; i < 8; i++)
        auth_cache_put(c, &keys[i], STR("u"), 1000 + (int64_t)i);
    assert_non_null(auth_cache_get(c, &keys[0], 2000).ptr);
    auth_cache_put(c, &keys[8], STR("u"), 2000);
    assert_int_equal(auth_cache_count(c), 8);
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        assert_true((auth_cache_get(c, &keys[i], 2000).ptr != NULL) == (i != 1));
    /* those that are too old give way first, however recently they were asked for */
    auth_cache_put(c, &keys[1], STR("u"), 1000 + TTL_MS + 1);
    assert_non_null(auth_cache_get(c, &keys[8], 1000 + TTL_MS + 1).ptr);
    auth_cache_free(&c);
}

static void it_never_grows(void **state)
{
    (void)state;
    struct auth_cache *c = cache_of(100, TTL_MS); /* made 128 */
    for (int i = 0; i < 2000; i++) {
        char user[16];
        snprintf(user, sizeof user, "user%d", i);
        struct auth_cache_key key = key_of(c, str_of_z(user), STR("secret"), "192.0.2.0/24");
        auth_cache_put(c, &key, str_of_z(user), 1000);
        assert_true(str_equal(auth_cache_get(c, &key, 1000), str_of_z(user)));
    }
    assert_in_range(auth_cache_count(c), 100, 128);
    auth_cache_free(&c);
}

static void names_beyond_the_bound_have_no_key(void **state)
{
    (void)state;
    char longer[AUTH_NAME_MAX_BYTES + 1];
    memset(longer, 'x', sizeof longer);
    struct auth_cache *c = cache_of(8, TTL_MS);
    struct auth_cache_key key;
    struct ip_net n = net("192.0.2.0/24");
    assert_true(auth_cache_key_make(c, str_of(longer, AUTH_NAME_MAX_BYTES), STR("secret"), &n, &key));
    assert_false(auth_cache_key_make(c, str_of(longer, sizeof longer), STR("secret"), &n, &key));
    auth_cache_free(&c);
    auth_cache_free(&c); /* harmless */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_same_login_from_the_same_network_is_found),
        cmocka_unit_test(caches_have_keys_of_their_own),
        cmocka_unit_test(a_login_is_remembered_from_its_verification_on),
        cmocka_unit_test(no_time_no_memory_of_logins),
        cmocka_unit_test(the_least_recently_used_gives_way),
        cmocka_unit_test(it_never_grows),
        cmocka_unit_test(names_beyond_the_bound_have_no_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
