/* Names of users, the words of results, the mechanisms that are offered. */
#include "auth/auth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "auth/mechanism.h"

static void names(void **state)
{
    (void)state;
    char longest[AUTH_NAME_MAX_BYTES + 1];
    memset(longest, 'x', sizeof longest);
    const struct {
        struct str name;
        bool good;
    } CASES[] = {
        {STR("a"), true},
        {STR("alice@example.org"), true},
        {STR("J\xc3\xb6rg Meier"), true},
        {str_of(longest, AUTH_NAME_MAX_BYTES), true},
        {str_of(longest, AUTH_NAME_MAX_BYTES + 1), false},
        {STR(""), false},
        {STR_NONE, false},
        {STR(" alice"), false},
        {STR("alice\t"), false},
        {STR("alice "), false},
        {STR("al:ice"), false},
        {STR("al\0ice"), false},
        {STR("al\nice"), false},
        {STR("al\x7fice"), false},
        {STR("al\xc2\x85ice"), false}, /* U+0085, a control character too */
        {STR("al\xff"), false},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct err err = {.text = ""};
        if (auth_name_check(CASES[i].name, &err) != CASES[i].good || (err.text[0] == '\0') != CASES[i].good)
            fail_msg("case %zu: %s", i, err.text);
    }
}

static void realms(void **state)
{
    (void)state;
    char to[AUTH_NAME_MAX_BYTES + 1], longest[AUTH_NAME_MAX_BYTES + 1];
    memset(longest, 'x', sizeof longest);
    const struct {
        struct str name, realm, full;
    } CASES[] = {
        {STR("alice"), STR("example.org"), STR("alice@example.org")},
        {STR("alice@example.net"), STR("example.org"), STR("alice@example.net")},
        {STR("alice@"), STR("example.org"), STR("alice@")},
        {STR("alice"), STR_NONE, STR("alice")},
        {STR("alice"), STR(""), STR("alice")},
        {str_of(longest, AUTH_NAME_MAX_BYTES), STR(""), str_of(longest, AUTH_NAME_MAX_BYTES)},
        {str_of(longest, AUTH_NAME_MAX_BYTES), STR("a"), STR_NONE},
        {str_of(longest, AUTH_NAME_MAX_BYTES + 1), STR(""), STR_NONE},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct str full = auth_name_complete(CASES[i].name, CASES[i].realm, to);
        if (!str_equal(full, CASES[i].full) || (full.ptr && full.ptr[full.len] != '\0'))
            fail_msg("case %zu: " PRI_STR, i, STR_ARG(full));
    }
}

static void results_have_the_words_of_events(void **state)
{
    (void)state;
    assert_string_equal(auth_result_name(AUTH_OK), "ok");
    assert_string_equal(auth_result_name(AUTH_WRONG), "wrong");
    assert_string_equal(auth_result_name(AUTH_UNKNOWN), "unknown");
    assert_string_equal(auth_result_name(AUTH_DISABLED), "disabled");
    assert_string_equal(auth_result_name(AUTH_UNAVAILABLE), "unavailable");
}

static void mechanisms(void **state)
{
    (void)state;
    struct buf offer, small;
    buf_init(&offer, 64);
    buf_init(&small, 8);
    assert_int_equal(auth_mechanism_find(STR("plain"))->sasl, SMTP_SASL_PLAIN);
    assert_int_equal(auth_mechanism_find(STR("LOGIN"))->sasl, SMTP_SASL_LOGIN);
    assert_null(auth_mechanism_find(STR("PLAI")));
    assert_null(auth_mechanism_find(STR("CRAM-MD5")));
    assert_null(auth_mechanism_find(STR("")));
    assert_true(auth_mechanism_may_be_used(auth_mechanism_find(STR("PLAIN")), true));
    assert_false(auth_mechanism_may_be_used(auth_mechanism_find(STR("PLAIN")), false));
    assert_true(auth_mechanisms_offer(&offer, false));
    assert_int_equal(buf_len(&offer), 0);
    assert_true(auth_mechanisms_offer(&offer, true));
    assert_true(str_equal(buf_str(&offer), STR("PLAIN LOGIN")));
    assert_false(auth_mechanisms_offer(&small, true));
    assert_int_equal(buf_len(&small), 0);
    buf_fini(&offer);
    buf_fini(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(realms),
        cmocka_unit_test(results_have_the_words_of_events),
        cmocka_unit_test(mechanisms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
