/* test_redis_keys.c - what counters are called in Redis, there and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "limits/redis_keys.h"

#define PREFIX STR("mw1:")
#define LONG_128                                                                                                       \
    "u:"                                                                                                               \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aa"                                                                                                               \
    "aaaaaaaaaaaa"

static void assert_str(struct str s, const char *text)
{
    assert_int_equal(s.len, strlen(text));
    assert_memory_equal(s.ptr ? s.ptr : "", text, s.len);
}

static const struct {
    struct counter counter;
    const char *key; /* of window 7, where there are windows */
    struct redis_key_parts parts;
} CASES[] = {
    {{.entity = {"u:alice@example.org", 19}, .period_s = 3600, .kind = COUNTER_MAIL, .unit = UNIT_RECIPIENTS},
     "mw1:q:{u:alice@example.org}:3600:7",
     {.letter = 'q', .entity = {"u:alice@example.org", 19}, .period_s = 3600, .window = 7}},
    {{.entity = {"n:192.0.2.0/24", 14},
      .period_s = 900,
      .kind = COUNTER_UNIT,
      .name = {"guesses", 7},
      .unit = UNIT_GUESSES},
     "mw1:q:{n:192.0.2.0/24}:900:7:guesses",
     {.letter = 'q', .entity = {"n:192.0.2.0/24", 14}, .period_s = 900, .window = 7, .ending = {"guesses", 7}}},
    {{.entity = {"g", 1}, .period_s = 60, .kind = COUNTER_OWN, .name = {"ext", 3}, .unit = UNIT_BYTES},
     "mw1:q:{g}:60:7:ext.bytes",
     {.letter = 'q', .entity = {"g", 1}, .period_s = 60, .window = 7, .ending = {"ext.bytes", 9}}},
    {{.entity = {"i:192.0.2.7", 11},
      .kind = COUNTER_LEASES,
      .name = {"open-connections", 16},
      .unit = UNIT_OPEN_CONNECTIONS},
     "mw1:c:{i:192.0.2.7}",
     {.letter = 'c', .entity = {"i:192.0.2.7", 11}}},
    {{.entity = {"i:2001:db8::/64", 15}, .kind = COUNTER_LEASES, .name = {"few", 3}, .unit = UNIT_OPEN_CONNECTIONS},
     "mw1:c:{i:2001:db8::/64}:few",
     {.letter = 'c', .entity = {"i:2001:db8::/64", 15}, .ending = {"few", 3}}},
    {{.entity = {"u:a", 3},
      .period_s = 86400,
      .kind = COUNTER_UNIT,
      .name = {"distinct-networks", 17},
      .unit = UNIT_DISTINCT_NETWORKS},
     "mw1:x:{u:a}:net:86400",
     {.letter = 'x', .entity = {"u:a", 3}, .kind = {"net", 3}, .period_s = 86400}},
    {{.entity = {"u:a", 3},
      .period_s = 86400,
      .kind = COUNTER_OWN,
      .name = {"far", 3},
      .unit = UNIT_DISTINCT_COUNTRIES},
     "mw1:x:{u:a}:country:86400:far",
     {.letter = 'x', .entity = {"u:a", 3}, .kind = {"country", 7}, .period_s = 86400, .ending = {"far", 3}}},
    {{.entity = {"n:a", 3},
      .period_s = 60,
      .kind = COUNTER_UNIT,
      .name = {"failed-users", 12},
      .unit = UNIT_FAILED_USERS},
     "mw1:x:{n:a}:users:60",
     {.letter = 'x', .entity = {"n:a", 3}, .kind = {"users", 5}, .period_s = 60}},
    {{.entity = {"u:a", 3}, .period_s = 2592000, .kind = COUNTER_KNOWN, .name = {"networks", 8}},
     "mw1:x:{u:a}:known:networks",
     {.letter = 'x', .entity = {"u:a", 3}, .kind = {"known", 5}, .ending = {"networks", 8}}},
    {{.entity = {"u:a", 3},
      .period_s = 86400,
      .kind = COUNTER_UNIT,
      .name = {"distinct-recipients", 19},
      .unit = UNIT_DISTINCT_RECIPIENTS},
     "mw1:h:{u:a}:rcpt:86400:7",
     {.letter = 'h', .entity = {"u:a", 3}, .kind = {"rcpt", 4}, .period_s = 86400, .window = 7}},
    {{.entity = {"u:a", 3},
      .period_s = 86400,
      .kind = COUNTER_OWN,
      .name = {"far", 3},
      .unit = UNIT_DISTINCT_RECIPIENTS},
     "mw1:h:{u:a}:rcpt:86400:7:far",
     {.letter = 'h', .entity = {"u:a", 3}, .kind = {"rcpt", 4}, .period_s = 86400, .window = 7, .ending = {"far", 3}}},
    {{.entity = {LONG_128, 128}, .period_s = 60, .kind = COUNTER_MAIL},
     "mw1:q:{" LONG_128 "}:60:7",
     {.letter = 'q', .entity = {LONG_128, 128}, .period_s = 60, .window = 7}},
    {{.entity = {LONG_128 "b", 129}, .period_s = 60, .kind = COUNTER_MAIL},
     "mw1:q:{%-6fce0f3c33dcd7b27944086e6ef52b04}:60:7",
     {.letter = 'q', .entity = {"%-6fce0f3c33dcd7b27944086e6ef52b04", 34}, .period_s = 60, .window = 7}},
    {{.entity = {"g", 1},
      .period_s = 60,
      .kind = COUNTER_OWN,
      .name = {"a-name-that-is-longer-than-forty-eight-characters", 49},
      .unit = UNIT_MESSAGES},
     "mw1:q:{g}:60:7:%-e74cdc34a5f63fe80395e0b4053842d4.messages",
     {.letter = 'q',
      .entity = {"g", 1},
      .period_s = 60,
      .window = 7,
      .ending = {"%-e74cdc34a5f63fe80395e0b4053842d4.messages", 43}}},
};

static bool has_windows(const struct redis_key_parts *parts)
{
    return parts->letter == 'q' || parts->letter == 'h';
}

static void test_names_of_counters(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        char stem_text[REDIS_STEM_MAX_BYTES], key_text[REDIS_KEY_MAX_BYTES];
        const struct redis_key_parts *wanted = &CASES[i].parts;
        struct redis_key_parts parts;
        struct str key = redis_stem(&CASES[i].counter, PREFIX, stem_text, sizeof stem_text);
        if (has_windows(wanted))
            key = redis_key_of_window(key, 7, key_text, sizeof key_text);
        assert_str(key, CASES[i].key);
        assert_true(redis_key_parse(key, PREFIX, &parts));
        assert_int_equal(parts.letter, wanted->letter);
        assert_true(str_equal(parts.entity, wanted->entity));
        assert_true(str_equal(parts.kind, wanted->kind));
        assert_int_equal(parts.period_s, wanted->period_s);
        assert_int_equal(parts.window, wanted->window);
        assert_true(str_equal(parts.ending, wanted->ending));
    }
}

/* The longest name of every part still finds room, in every buffer that the header names; one byte less does not. */
static void test_the_longest_name(void **state)
{
    (void)state;
    char text[600], stem[REDIS_STEM_MAX_BYTES], key[REDIS_KEY_MAX_BYTES];
    memset(text, 'a', sizeof text);
    struct counter counter = {
        .entity = {text, REDIS_ENTITY_MAX_BYTES},
        .name = {text, REDIS_NAME_MAX_BYTES},
        .period_s = UINT32_MAX,
        .kind = COUNTER_OWN,
    };
    struct str prefix = {text, REDIS_PREFIX_MAX_BYTES};
    for (unsigned unit = 0; unit < LIMIT_UNITS; unit++) {
        counter.unit = unit;
        struct str s = redis_stem(&counter, prefix, stem, sizeof stem);
        assert_non_null(s.ptr);
        assert_non_null(redis_key_of_window(s, UINT64_MAX, key, sizeof key).ptr);
        assert_null(redis_stem(&counter, prefix, stem, s.len - 1).ptr);
        assert_null(redis_key_of_window(s, 7, key, s.len).ptr);
    }
    assert_null(redis_key_of_entity(prefix, 'b', counter.entity, STR_NONE, key, 100).ptr);
}

static void test_names_of_entities(void **state)
{
    (void)state;
    char text[REDIS_KEY_MAX_BYTES];
    assert_str(redis_key_of_entity(PREFIX, 'b', STR("i:192.0.2.7"), STR_NONE, text, sizeof text),
               "mw1:b:{i:192.0.2.7}");
    assert_str(redis_key_of_entity(STR(""), 'o', STR("u:a"), STR(":x"), text, sizeof text), "o:{u:a}:x");
}

static void test_names_of_their_own(void **state)
{
    (void)state;
    static const struct {
        const char *key, *kind, *domain;
    } NAMES[] = {
        {"mw1:bans", "bans", ""},          {"mw1:nodes", "nodes", ""},      {"mw1:epoch", "epoch", ""},
        {"mw1:nodes:{12}", "nodes", "12"}, {"mw1:epoch:{0}", "epoch", "0"}, {"mw1:secret", "secret", ""},
    };
    for (size_t i = 0; i < COUNT_OF(NAMES); i++) {
        struct redis_key_parts parts;
        assert_true(redis_key_parse(str_of_z(NAMES[i].key), PREFIX, &parts));
        assert_int_equal(parts.letter, 0);
        assert_str(parts.kind, NAMES[i].kind);
        assert_str(parts.entity, NAMES[i].domain);
    }
}

static void test_what_is_not_ours(void **state)
{
    (void)state;
    static const char *const KEYS[] = {
        "",
        "mw1:",
        "mw2:q:{u:a}:60:7",
        "mw1:z:{u:a}:60:7",
        "mw1:q:u:a:60:7",
        "mw1:q:{}:60:7",
        "mw1:q:{u:a:60:7",
        "mw1:q:{u:a}",
        "mw1:q:{u:a}:60",
        "mw1:q:{u:a}:60:",
        "mw1:q:{u:a}:0:7",
        "mw1:q:{u:a}:sixty:7",
        "mw1:q:{u:a}:60:seven",
        "mw1:q:{u:a}:4294967296:7",
        "mw1:q:{u:a}:60:18446744073709551616",
        "mw1:q:{u:a}60:7",
        "mw1:x:{u:a}:net",
        "mw1:x:{u:a}",
        "mw1:h:{u:a}:rcpt:60",
        "mw1:b:{i:a}x",
        "mw1:nodes:3",
        "mw1:nodes:{}",
        "mw1:nodes:",
        "mw1:ban",
    };
    for (size_t i = 0; i < COUNT_OF(KEYS); i++) {
        struct redis_key_parts parts;
        assert_false(redis_key_parse(str_of_z(KEYS[i]), PREFIX, &parts));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_of_counters), cmocka_unit_test(test_the_longest_name),
        cmocka_unit_test(test_names_of_entities), cmocka_unit_test(test_names_of_their_own),
        cmocka_unit_test(test_what_is_not_ours),
    };
    return cmocka_run_group_tests_name("names in Redis", tests, NULL, NULL);
}
