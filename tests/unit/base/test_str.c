/* test_str.c - views of bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

/* A case fails by name: cmocka only knows lines. */
#define CHECK(name, cond)                                                                                              \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            fail_msg("%s: %s", name, #cond);                                                                           \
    } while (0)

static void test_compare(void **state)
{
    (void)state;
    assert_true(str_equal(STR("abc"), STR("abc")));
    assert_false(str_equal(STR("abc"), STR("abC")));
    assert_false(str_equal(STR("abc"), STR("ab")));
    assert_true(str_equal(STR_NONE, STR("")));
    assert_true(str_equal(STR("a\0b"), STR("a\0b")));
    assert_false(str_equal(STR("a\0b"), STR("a\0c")));
    assert_true(str_equal_nocase(STR("aBc"), STR("AbC")));
    assert_false(str_equal_nocase(STR("\xc3\xbc"), STR("\xc3\x9c"))); /* ASCII only */
    assert_false(str_equal_nocase(STR("@"), STR("`")));               /* 32 apart, but no letters */
    assert_false(str_equal_nocase(STR("["), STR("{")));
    assert_true(str_compare(STR("a"), STR("b")) < 0);
    assert_true(str_compare(STR("ab"), STR("a")) > 0);
    assert_true(str_compare(STR("a\xff"), STR("ab")) > 0); /* bytes are unsigned */
    assert_int_equal(str_compare(STR_NONE, STR("")), 0);
    assert_true(str_compare_nocase(STR("A"), STR("b")) < 0);
    assert_int_equal(str_compare_nocase(STR("AB"), STR("ab")), 0);
}

static void test_starts_ends_contains(void **state)
{
    (void)state;
    assert_true(str_starts(STR("abc"), STR("ab")));
    assert_true(str_starts(STR("abc"), STR("")));
    assert_false(str_starts(STR("a"), STR("ab")));
    assert_true(str_starts_nocase(STR("ABc"), STR("ab")));
    assert_true(str_ends_nocase(STR("x.Example.ORG"), STR(".example.org")));
    assert_false(str_ends_nocase(STR("org"), STR(".org")));
    assert_true(str_contains_nocase(STR("xABy"), STR("ab")));
    assert_true(str_contains_nocase(STR("ab"), STR("ab")));
    assert_true(str_contains_nocase(STR(""), STR("")));
    assert_false(str_contains_nocase(STR("a"), STR("ab")));
}

static void test_find_and_cut(void **state)
{
    struct str rest;
    (void)state;
    assert_int_equal(str_find(STR("a@b@c"), '@'), 1);
    assert_int_equal(str_find_last(STR("a@b@c"), '@'), 3);
    assert_int_equal(str_find(STR("abc"), '@'), 3);
    assert_int_equal(str_find_last(STR("abc"), '@'), 3);
    assert_int_equal(str_find(STR_NONE, 'a'), 0);
    assert_true(str_equal(str_from(STR("abc"), 1), STR("bc")));
    assert_int_equal(str_from(STR("abc"), 3).len, 0);
    assert_int_equal(str_from(STR("abc"), 9).len, 0);
    assert_int_equal(str_from(STR_NONE, 9).len, 0);
    assert_true(str_equal(str_sub(STR("abcd"), 1, 2), STR("bc")));
    assert_true(str_equal(str_sub(STR("abcd"), 2, SIZE_MAX), STR("cd")));
    assert_true(str_equal(str_trim(STR(" \ta b\t ")), STR("a b")));
    assert_int_equal(str_trim(STR(" \t ")).len, 0);
    assert_true(str_equal(str_split(STR("a=b=c"), '=', &rest), STR("a")));
    assert_true(str_equal(rest, STR("b=c")));
    assert_true(str_equal(str_split(STR("a="), '=', &rest), STR("a")));
    assert_non_null(rest.ptr); /* there was one */
    assert_int_equal(rest.len, 0);
    assert_true(str_equal(str_split(STR("a"), '=', &rest), STR("a")));
    assert_null(rest.ptr);
}

static void test_number(void **state)
{
    static const struct {
        const char *text;
        uint64_t max;
        bool ok;
        uint64_t value;
    } CASES[] = {
        {"0", 10, true, 0},
        {"10", 10, true, 10},
        {"11", 10, false, 0},
        {"007", 10, true, 7},
        {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, false, 0},
        {"99999999999999999999", UINT64_MAX, false, 0},
        {"", 10, false, 0},
        {"-1", 10, false, 0},
        {"+1", 10, false, 0},
        {" 1", 10, false, 0},
        {"1 ", 10, false, 0},
        {"0x1", 10, false, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        uint64_t value = 99;
        CHECK(CASES[i].text, str_to_u64(str_of_z(CASES[i].text), CASES[i].max, &value) == CASES[i].ok);
        CHECK(CASES[i].text, value == (CASES[i].ok ? CASES[i].value : 99));
    }
}

static void test_digits(void **state)
{
    static const struct {
        const char *text;
        uint64_t value;
    } CASES[] = {
        {"0", 0}, {"9", 9}, {"10", 10}, {"4294967296", 4294967296}, {"18446744073709551615", UINT64_MAX},
    };
    char digits[STR_OF_U64_MAX];
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++)
        CHECK(CASES[i].text, str_equal(str_of_u64(digits, CASES[i].value), str_of_z(CASES[i].text)));
}

static void test_utf8(void **state)
{
    static const struct {
        const char *name, *text;
        bool ok;
    } CASES[] = {
        {"ASCII", "a\x7f", true},
        {"two bytes", "\xc2\x80\xdf\xbf", true},
        {"three bytes", "\xe0\xa0\x80\xef\xbf\xbf\xed\x9f\xbf\xee\x80\x80", true},
        {"four bytes", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", true},
        {"overlong two", "\xc0\x80", false},
        {"overlong slash", "\xc1\xaf", false},
        {"overlong three", "\xe0\x9f\xbf", false},
        {"overlong four", "\xf0\x8f\xbf\xbf", false},
        {"a surrogate", "\xed\xa0\x80", false},
        {"beyond U+10FFFF", "\xf4\x90\x80\x80", false},
        {"five bytes", "\xf8\x88\x80\x80\x80", false},
        {"a lone tail", "\x80", false},
        {"cut short", "\xe2\x82", false},
        {"a head for a tail", "\xc3\xc3", false},
        {"Latin-1", "j\xfcrg", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++)
        CHECK(CASES[i].name, str_is_utf8(str_of_z(CASES[i].text)) == CASES[i].ok);
    assert_true(str_is_ascii(STR("a\0\x7f")));
    assert_false(str_is_ascii(STR("\x80")));
}

static void test_control(void **state)
{
    (void)state;
    for (int c = 0; c < 128; c++) {
        char byte = (char)c;
        assert_int_equal(str_has_control(str_of(&byte, 1)), c < 32 || c == 127);
    }
    assert_true(str_has_control(STR("a\xc2\x85")));  /* U+0085, a line end to some */
    assert_false(str_has_control(STR("a\xc2\xa0"))); /* U+00A0, a blank */
    assert_false(str_has_control(STR("\xc3\x85")));  /* a letter with such a byte */
}

/* Wherever it stands in a text of several machine words, and whatever stands around it. */
static void test_control_in_long_text(void **state)
{
    static const char FILLS[] = {' ', '~', 'a', '\xa0', '\xff'};
    char text[35];
    (void)state;
    for (size_t f = 0; f < sizeof FILLS; f++)
        for (size_t at = 0; at < sizeof text; at++)
            for (int c = 0; c < 256; c++) {
                memset(text, FILLS[f], sizeof text);
                text[at] = (char)c;
                assert_int_equal(str_has_control(str_of(text, sizeof text)), c < 32 || c == 127);
            }
    for (size_t at = 0; at + 1 < sizeof text; at++) {
        memset(text, 'a', sizeof text);
        memcpy(text + at, "\xc2\x9f", 2);
        assert_true(str_has_control(str_of(text, sizeof text)));
    }
}

static void test_copies(void **state)
{
    char small[4];
    (void)state;
    assert_string_equal(str_copy_into(small, sizeof small, STR("abcdef")).ptr, "abc");
    assert_int_equal(str_copy_into(small, sizeof small, STR("a")).len, 1);
    assert_int_equal(str_copy_into(small, 1, STR("a")).len, 0);
    char *copy = str_copy_z(STR("ab"));
    assert_string_equal(copy, "ab");
    free(copy);
    assert_int_equal(str_of_z(NULL).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare),      cmocka_unit_test(test_starts_ends_contains),
        cmocka_unit_test(test_find_and_cut), cmocka_unit_test(test_number),
        cmocka_unit_test(test_digits),       cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_control),      cmocka_unit_test(test_control_in_long_text),
        cmocka_unit_test(test_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
