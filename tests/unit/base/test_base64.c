/* test_base64.c - strict base64 (RFC 4648). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base64.h"

/* A case fails by name: cmocka only knows lines. */
#define CHECK(name, cond)                                                                                              \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            fail_msg("%s: %s", name, #cond);                                                                           \
    } while (0)

/* RFC 4648 10, and bytes that use the last two letters. */
static const struct {
    const char *plain, *encoded;
} CASES[] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
    {"\xfb\xff\xfe", "+//+"},
};

static void test_there_and_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct buf out;
        char plain[16];
        size_t len;
        buf_init(&out, 100);
        assert_true(base64_encode(&out, str_of_z(CASES[i].plain)));
        CHECK(CASES[i].encoded, str_equal(buf_str(&out), str_of_z(CASES[i].encoded)));
        CHECK(CASES[i].encoded, base64_decode(plain, &len, buf_str(&out)));
        CHECK(CASES[i].encoded, str_equal(str_of(plain, len), str_of_z(CASES[i].plain)));
        buf_fini(&out);
    }
}

static void test_refused(void **state)
{
    static const char *const BAD[] = {"Z",    "Zg",   "Zg=",  "Zg==Zg==", "Zm9v=",    "Zm9vYg",     "Zg==\n",
                                      "Z g=", "====", "=Zg=", "Zg=a",     "Zh==",     "Zm9=",       "Zm9-",
                                      "Zm9_", "Zm9.", "Z===", "=",        "Zm8=Zm8=", "\xc3\xbc==", "Zm9v Zm9v"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(BAD); i++) {
        char plain[16];
        size_t len;
        CHECK(BAD[i], !base64_decode(plain, &len, str_of_z(BAD[i])));
    }
}

static void test_full_buffer(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, 7);
    assert_false(base64_encode(&out, STR("foob")));
    assert_int_equal(buf_len(&out), 0);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_full_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
