/* The cache of lookups: what it finds, for how long, and what gives way. */
#include "lookup_test.h"

#include "lookup/cache.h"

static struct cache *make(size_t entries, size_t bytes)
{
    struct err err;
    struct cache *c = cache_new(entries, bytes, &err);
    assert_non_null(c);
    return c;
}

static void put(struct cache *c, const char *key, const char *value, int64_t until_ms)
{
    cache_put(c, str_of_z(key), str_of_z(value), until_ms);
}

/* What it knows of the key; NULL: nothing. */
static const char *get(struct cache *c, const char *key, int64_t now_ms)
{
    static char text[64];
    struct str value;
    if (!cache_get(c, str_of_z(key), now_ms, &value))
        return NULL;
    return str_copy_into(text, sizeof text, value).ptr;
}

static void found_while_it_lives(void **state)
{
    (void)state;
    struct cache *c = make(10, 4096);
    assert_null(get(c, "a", 0));
    put(c, "a", "one", 100);
    put(c, "b", "", 200);
    assert_string_equal(get(c, "a", 99), "one");
    assert_string_equal(get(c, "b", 99), "");
    assert_null(get(c, "A", 99)); /* bytes are bytes */
    assert_null(get(c, "a", 100));
    assert_int_equal(cache_count(c), 1); /* the dead one went when it was found */
    put(c, "b", "two", 300);
    assert_string_equal(get(c, "b", 250), "two");
    assert_int_equal(cache_count(c), 1);
    cache_flush(c);
    assert_null(get(c, "b", 0));
    assert_int_equal(cache_count(c) + cache_bytes(c), 0);
    cache_free(&c);
    cache_free(&c); /* harmless */
}

static void oldest_use_gives_way(void **state)
{
    (void)state;
    struct cache *c = make(3, 4096);
    put(c, "a", "1", 100);
    put(c, "b", "2", 100);
    put(c, "c", "3", 100);
    assert_string_equal(get(c, "a", 0), "1"); /* used: b is the oldest now */
    put(c, "d", "4", 100);
    assert_null(get(c, "b", 0));
    put(c, "c", "5", 100); /* replaced, nobody has to go */
    assert_int_equal(cache_count(c), 3);
    assert_string_equal(get(c, "a", 0), "1");
    assert_string_equal(get(c, "c", 0), "5");
    assert_string_equal(get(c, "d", 0), "4");
    cache_free(&c);
}

static void bounded_by_bytes(void **state)
{
    (void)state;
    struct cache *c = make(1000, 1000);
    char text[401], key[8];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof key, "k%d", i);
        put(c, key, text, 100);
        assert_true(cache_bytes(c) <= 1000 && cache_count(c) == (i == 0 ? 1 : 2));
    }
    assert_null(get(c, "k47", 0));
    assert_non_null(get(c, "k48", 0));
    /* What can never fit is not remembered, and what was known of that key is not true any more. */
    char *big = calloc(1, CACHE_VALUE_MAX_BYTES + 1);
    cache_put(c, STR("k48"), str_of(big, CACHE_VALUE_MAX_BYTES + 1), 100);
    assert_null(get(c, "k48", 0));
    cache_put(c, str_of(big, CACHE_KEY_MAX_BYTES + 1), STR("v"), 100);
    assert_int_equal(cache_count(c), 1);
    free(big);
    cache_free(&c);
    c = make(0, 1000); /* `cache 0s` needs none */
    put(c, "a", "1", 100);
    assert_null(get(c, "a", 0));
    cache_free(&c);
}

static void value_of_its_own(void **state)
{
    (void)state;
    struct cache *c = make(1, 4096);
    struct str value;
    put(c, "a", "borrowed", 100);
    assert_true(cache_get(c, STR("a"), 0, &value));
    cache_put(c, STR("b"), value, 100); /* drives out the one that the value lies in */
    assert_string_equal(get(c, "b", 0), "borrowed");
    assert_null(get(c, "a", 0));
    cache_free(&c);
}

/* Against a table that is simply kept in full: a thousand keys, chance decides. */
static void many(void **state)
{
    (void)state;
    struct cache *c = make(1024, 1 << 20);
    static int64_t until[1000];
    static unsigned values[1000];
    uint32_t x = 1;
    for (int64_t now = 0; now < 200000; now++) {
        x = x * 1103515245 + 12345;
        unsigned k = (x >> 8) % 1000;
        char key[8], value[16];
        snprintf(key, sizeof key, "%u", k);
        const char *found = get(c, key, now);
        if (until[k] > now) {
            snprintf(value, sizeof value, "%u", values[k]);
            assert_non_null(found);
            assert_string_equal(found, value);
        } else {
            assert_null(found);
            values[k] = x;
            until[k] = now + (x >> 20);
            snprintf(value, sizeof value, "%u", x);
            put(c, key, value, until[k]);
        }
    }
    cache_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found_while_it_lives),
        cmocka_unit_test(oldest_use_gives_way),
        cmocka_unit_test(bounded_by_bytes),
        cmocka_unit_test(value_of_its_own),
        cmocka_unit_test(many),
    };
    return cmocka_run_group_tests_name("lookup/cache", tests, NULL, NULL);
}
