/* test_escape.c - what a stranger sends, fit to be seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/escape.h"

/* A case fails by name: cmocka only knows lines. */
#define CHECK(name, cond)                                                                                              \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            fail_msg("%s: %s", name, #cond);                                                                           \
    } while (0)

typedef bool escape_fn(struct buf *, struct str);

struct escape_case {
    struct str in;
    const char *text, *json, *key;
};

#define IN(literal)                                                                                                    \
    {                                                                                                                  \
        literal, sizeof(literal) - 1                                                                                   \
    }

static const struct escape_case CASES[] = {
    {IN("Plain a@b"), "Plain a@b", "Plain a@b", "plain%20a@b"},
    {IN(""), "", "", ""},
    {IN("a\r\nb\tc"), "a\\x0d\\x0ab\\x09c", "a\\r\\nb\\tc", "a%0d%0ab%09c"},
    {IN("a\0b"), "a\\x00b", "a\\u0000b", "a%00b"},
    {IN("\x1b[2J\x7f"), "\\x1b[2J\\x7f", "\\u001b[2J\\u007f", "%1b%5b2j%7f"},
    {IN("q\"b\\"), "q\"b\\\\", "q\\\"b\\\\", "q%22b%5c"},
    {IN("gr\xc3\xbcn \xf0\x9f\x98\x80"), "gr\xc3\xbcn \xf0\x9f\x98\x80", "gr\xc3\xbcn \xf0\x9f\x98\x80",
     "gr\xc3\xbcn%20\xf0\x9f\x98\x80"},
    {IN("j\xfcrg"), "j\\xfcrg", "j\\\\xfcrg", "j%fcrg"},
    {IN("\xc3"), "\\xc3", "\\\\xc3", "%c3"},
    {IN("\xe2\x82"), "\\xe2\\x82", "\\\\xe2\\\\x82", "%e2%82"},
    {IN("a\xc2\x85z"), "a\\xc2\\x85z", "a\\\\xc2\\\\x85z", "a%c2%85z"}, /* U+0085 is a control character */
    {IN("{u:a}%"), "{u:a}%", "{u:a}%", "%7bu:a%7d%25"},
};

static void check(const char *name, escape_fn *escape, struct str in, const char *wanted)
{
    struct buf out;
    buf_init(&out, 1000);
    CHECK(name, escape(&out, in));
    if (!str_equal(buf_str(&out), str_of_z(wanted)))
        fail_msg("%s: got " PRI_STR ", wanted %s", name, STR_ARG(buf_str(&out)), wanted);
    buf_fini(&out);
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        check("text", escape_text, CASES[i].in, CASES[i].text);
        check("json", escape_json, CASES[i].in, CASES[i].json);
        check("key", escape_key, CASES[i].in, CASES[i].key);
    }
}

/* Every pair of bytes: valid UTF-8, no control character, whatever came. */
static void test_every_pair(void **state)
{
    static escape_fn *const ESCAPES[] = {escape_text, escape_json, escape_key};
    (void)state;
    for (unsigned pair = 0; pair < 65536; pair++)
        for (size_t i = 0; i < COUNT_OF(ESCAPES); i++) {
            char in[2] = {(char)(pair >> 8), (char)pair};
            struct buf out;
            buf_init(&out, 64);
            assert_true(ESCAPES[i](&out, str_of(in, 2)));
            assert_true(str_is_utf8(buf_str(&out)));
            assert_false(str_has_control(buf_str(&out)));
            buf_fini(&out);
        }
}

static void test_full_buffer(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, 3);
    assert_false(escape_text(&out, STR("\x01")));
    assert_false(escape_json(&out, STR("abcd")));
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_every_pair),
        cmocka_unit_test(test_full_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
