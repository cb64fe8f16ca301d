/* test_json.c - JSON, member by member: what is right, what is wrong, and what texts mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"

/* ---- right and wrong ---- */

static const struct {
    const char *text;
    int members; /* -1: it is wrong */
} OBJECTS[] = {
    {"{}", 0},
    {" \t{ } \r\n", 0},
    {"{\"a\":1}", 1},
    {"{\"a\" : -0.5e+3 , \"b\":\"x\", \"c\":null,\"d\":true,\"e\":false}", 5},
    {"{\"a\":[],\"b\":{},\"c\":[1,[2,{\"x\":[]}],\"]\"],\"d\":{\"y\":{\"z\":\"}\"}}}", 4},
    {"{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"}", 1},
    {"{\"\":0}", 1},
    {"", -1},
    {"[]", -1},
    {"1", -1},
    {"{", -1},
    {"{\"a\":1", -1},
    {"{\"a\":1}}", -1},
    {"{\"a\":1}{", -1},
    {"{\"a\":1,}", -1},
    {"{,\"a\":1}", -1},
    {"{\"a\":1 \"b\":2}", -1},
    {"{\"a\"}", -1},
    {"{\"a\":}", -1},
    {"{a:1}", -1},
    {"{\"a\":01}", -1},
    {"{\"a\":1.}", -1},
    {"{\"a\":.5}", -1},
    {"{\"a\":+1}", -1},
    {"{\"a\":1e}", -1},
    {"{\"a\":tru}", -1},
    {"{\"a\":nullx}", -1},
    {"{\"a\":\"x}", -1},
    {"{\"a\":\"\\x\"}", -1},
    {"{\"a\":\"\\u12g4\"}", -1},
    {"{\"a\":\"\\u12", -1},
    {"{\"a\":\"\\", -1},
    {"{\"a\":\"\n\"}", -1},
    {"{\"a\":[1,]}", -1},
    {"{\"a\":[,1]}", -1},
    {"{\"a\":[1 2]}", -1},
    {"{\"a\":[1}", -1},
    {"{\"a\":[}", -1},
    {"{\"a\":{\"b\"}}", -1},
    {"{\"a\":{\"b\":1]}", -1},
    {"{\"a\":{1:2}}", -1},
    {"{\"a\":[[\"x\"]", -1},
};

static void objects(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(OBJECTS); i++) {
        struct json_walk w;
        struct json_value value;
        struct str name;
        int members = 0;
        json_walk_object(&w, str_of_z(OBJECTS[i].text));
        while (json_next(&w, &name, &value))
            members++;
        if (w.is_wrong ? OBJECTS[i].members != -1 : members != OBJECTS[i].members)
            fail_msg("%s: %d members, %s", OBJECTS[i].text, members, w.is_wrong ? "wrong" : "right");
    }
}

static void depth_is_bounded(void **state)
{
    (void)state;
    for (int depth = JSON_DEPTH_MAX - 1; depth <= JSON_DEPTH_MAX + 1; depth++) {
        char text[256] = "{\"a\":";
        size_t len = strlen(text);
        for (int i = 0; i < depth; i++)
            text[len++] = '[';
        for (int i = 0; i < depth; i++)
            text[len++] = ']';
        text[len++] = '}';
        struct json_walk w;
        struct json_value value;
        struct str name;
        json_walk_object(&w, str_of(text, len));
        assert_int_equal(json_next(&w, &name, &value), depth <= JSON_DEPTH_MAX);
    }
}

static void what_is_in_it(void **state)
{
    (void)state;
    struct json_walk w, inner;
    struct json_value value;
    struct str name;
    uint64_t n;
    json_walk_object(&w, STR("{\"list\" : [ 7, \"x\", {\"y\":18446744073709551615} ], \"text\":\"a\"}"));
    assert_true(json_next(&w, &name, &value) && value.kind == JSON_ARRAY && str_equal(name, STR("list")));
    json_walk_into(&inner, &value);
    assert_true(json_next(&inner, &name, &value) && json_u64(&value, 7, &n) && n == 7 && name.len == 0);
    assert_false(json_u64(&value, 6, &n));
    assert_true(json_next(&inner, &name, &value) && value.kind == JSON_TEXT && str_equal(value.raw, STR("x")));
    assert_false(json_u64(&value, 6, &n));
    assert_true(json_next(&inner, &name, &value) && value.kind == JSON_OBJECT);
    assert_false(json_next(&inner, &name, &(struct json_value){.kind = JSON_NULL}));
    assert_false(inner.is_wrong);
    json_walk_into(&inner, &value);
    assert_true(json_next(&inner, &name, &value) && json_u64(&value, UINT64_MAX, &n) && n == UINT64_MAX);
    assert_true(json_next(&w, &name, &value) && value.kind == JSON_TEXT && str_equal(name, STR("text")));
    json_walk_into(&inner, &value);
    assert_false(json_next(&inner, &name, &value) || inner.is_wrong);
    assert_false(json_next(&w, &name, &value) || w.is_wrong);
}

/* ---- texts ---- */

static const struct {
    const char *raw, *meant;
} TEXTS[] = {
    {"", ""},
    {"plain", "plain"},
    {"a\\\"b\\\\c\\/d", "a\"b\\c/d"},
    {"\\b\\f\\n\\r\\t", "\b\f\n\r\t"},
    {"\\u0041\\u00e9\\u20AC", "A\xc3\xa9\xe2\x82\xac"},
    {"\\ud83d\\ude00", "\xf0\x9f\x98\x80"},
    {"\\ud83d", "\xef\xbf\xbd"},
    {"\\ud83dx", "\xef\xbf\xbdx"},
    {"\\ud83d\\u0041", "\xef\xbf\xbd"
                       "A"},
    {"\\ude00\\ud83d", "\xef\xbf\xbd\xef\xbf\xbd"},
    {"\\\\u0041", "\\u0041"},
};

static void texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(TEXTS); i++) {
        char raw[64];
        struct str copy = str_copy_into(raw, sizeof raw, str_of_z(TEXTS[i].raw));
        struct str meant = json_unescape(raw, copy.len);
        if (!str_equal(meant, str_of_z(TEXTS[i].meant)))
            fail_msg("%s: " PRI_STR, TEXTS[i].raw, STR_ARG(meant));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(what_is_in_it),
        cmocka_unit_test(texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
