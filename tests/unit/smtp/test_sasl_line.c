/* test_sasl_line.c - AUTH line by line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/base64.h"
#include "smtp/command.h"
#include "smtp/sasl_line.h"

/* A case fails by name: cmocka only knows lines. */
#define CHECK(name, cond)                                                                                              \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            fail_msg("%s: %s", name, #cond);                                                                           \
    } while (0)

static void test_auth_argument(void **state)
{
    static const struct {
        const char *argument;
        bool ok;
        const char *mechanism;
        bool has_initial;
        const char *initial;
    } CASES[] = {
        {"PLAIN", true, "PLAIN", false, ""},
        {"plain AGEAYg==", true, "plain", true, "AGEAYg=="},
        {"PLAIN   AGEAYg==", true, "PLAIN", true, "AGEAYg=="},
        {"PLAIN =", true, "PLAIN", true, ""},
        {"SCRAM-SHA-256", true, "SCRAM-SHA-256", false, ""},
        {"A_B", true, "A_B", false, ""},
        {"ABCDEFGHIJKLMNOPQRST", true, "ABCDEFGHIJKLMNOPQRST", false, ""},
        {"ABCDEFGHIJKLMNOPQRSTU", false, "", false, ""},
        {"", false, "", false, ""},
        {"PLAIN a b", false, "", false, ""},
        {"PLA/IN", false, "", false, ""},
        {"PLA\tIN", false, "", false, ""},
        {"\xc3\xbc", false, "", false, ""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct smtp_auth auth;
        CHECK(CASES[i].argument, smtp_auth_parse(str_of_z(CASES[i].argument), &auth) == CASES[i].ok);
        if (!CASES[i].ok)
            continue;
        CHECK(CASES[i].argument, str_equal(auth.mechanism, str_of_z(CASES[i].mechanism)));
        CHECK(CASES[i].argument, auth.has_initial == CASES[i].has_initial);
        CHECK(CASES[i].argument, str_equal(auth.initial, str_of_z(CASES[i].initial)));
    }
}

static void test_mechanisms(void **state)
{
    (void)state;
    assert_int_equal(smtp_sasl_mechanism_find(STR("plain")), SMTP_SASL_PLAIN);
    assert_int_equal(smtp_sasl_mechanism_find(STR("LOGIN")), SMTP_SASL_LOGIN);
    assert_int_equal(smtp_sasl_mechanism_find(STR("CRAM-MD5")), SMTP_SASL_UNKNOWN);
    assert_string_equal(smtp_sasl_mechanism_name(SMTP_SASL_PLAIN), "PLAIN");
    assert_string_equal(smtp_sasl_mechanism_name(SMTP_SASL_LOGIN), "LOGIN");
}

static const struct {
    const char *name;
    struct str message;
    enum smtp_sasl_result result;
    const char *login, *password;
} PLAIN[] = {
    {"usual", {"\0alice\0pw", 9}, SMTP_SASL_READY, "alice", "pw"},
    {"the login as authzid", {"alice\0alice\0pw", 14}, SMTP_SASL_READY, "alice", "pw"},
    {"UTF-8", {"\0j\xc3\xbcrg\0p\xc3\xa4ss", 12}, SMTP_SASL_READY, "j\xc3\xbcrg", "p\xc3\xa4ss"},
    {"a password of blanks and controls", {"\0a\0 \t\x01 ", 7}, SMTP_SASL_READY, "a", " \t\x01 "},
    {"another authzid", {"root\0alice\0pw", 13}, SMTP_SASL_REFUSED, "", ""},
    {"an authzid in another case", {"Alice\0alice\0pw", 14}, SMTP_SASL_REFUSED, "", ""},
    {"no login", {"\0\0pw", 4}, SMTP_SASL_REFUSED, "", ""},
    {"no password", {"\0alice\0", 7}, SMTP_SASL_REFUSED, "", ""},
    {"a newline in the login", {"\0al\nice\0pw", 10}, SMTP_SASL_REFUSED, "", ""},
    {"DEL in the login", {"\0alice\x7f\0pw", 10}, SMTP_SASL_REFUSED, "", ""},
    {"a blank before the login", {"\0 alice\0pw", 10}, SMTP_SASL_REFUSED, "", ""},
    {"empty", {"", 0}, SMTP_SASL_BAD, "", ""},
    {"one NUL", {"alice\0pw", 8}, SMTP_SASL_BAD, "", ""},
    {"three NULs", {"\0alice\0pw\0", 10}, SMTP_SASL_BAD, "", ""},
    {"a NUL in the password", {"\0alice\0p\0w", 10}, SMTP_SASL_BAD, "", ""},
    {"Latin-1", {"\0j\xfcrg\0pw", 8}, SMTP_SASL_BAD, "", ""},
};

static void test_plain_message(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(PLAIN); i++) {
        struct str login, password;
        CHECK(PLAIN[i].name, smtp_sasl_plain_parse(PLAIN[i].message, &login, &password) == PLAIN[i].result);
        if (PLAIN[i].result != SMTP_SASL_READY)
            continue;
        CHECK(PLAIN[i].name, str_equal(login, str_of_z(PLAIN[i].login)));
        CHECK(PLAIN[i].name, str_equal(password, str_of_z(PLAIN[i].password)));
    }
}

/* The same through AUTH, with and without an initial response. */
static void test_plain_exchange(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(PLAIN); i++)
        for (int has_initial = 0; has_initial < 2; has_initial++) {
            struct buf line;
            struct smtp_sasl sasl;
            buf_init(&line, 1000);
            CHECK(PLAIN[i].name, base64_encode(&line, PLAIN[i].message));
            smtp_sasl_init(&sasl, SMTP_SASL_PLAIN);
            struct smtp_auth auth = {STR("PLAIN"), has_initial, buf_str(&line)};
            enum smtp_sasl_result result = smtp_sasl_start(&sasl, &auth);
            if (!has_initial) {
                CHECK(PLAIN[i].name, result == SMTP_SASL_CHALLENGE && sasl.challenge.len == 0);
                result = smtp_sasl_feed(&sasl, buf_str(&line));
            }
            CHECK(PLAIN[i].name, result == PLAIN[i].result);
            CHECK(PLAIN[i].name, result != SMTP_SASL_READY || (str_equal(sasl.login, str_of_z(PLAIN[i].login)) &&
                                                               str_equal(sasl.password, str_of_z(PLAIN[i].password))));
            smtp_sasl_fini(&sasl);
            buf_fini(&line);
        }
}

static void test_login_exchange(void **state)
{
    static const struct {
        const char *name, *user, *pass; /* base64, as they are sent */
        enum smtp_sasl_result after_user, after_pass;
        const char *login, *password;
    } CASES[] = {
        {"usual", "YWxpY2U=", "cHc=", SMTP_SASL_CHALLENGE, SMTP_SASL_READY, "alice", "pw"},
        {"no name", "", "cHc=", SMTP_SASL_CHALLENGE, SMTP_SASL_REFUSED, "", ""},
        {"no password", "YWxpY2U=", "", SMTP_SASL_CHALLENGE, SMTP_SASL_REFUSED, "", ""},
        {"a newline in the name", "YWwKaWNl", "cHc=", SMTP_SASL_CHALLENGE, SMTP_SASL_REFUSED, "", ""},
        {"a NUL in the password", "YWxpY2U=", "cAB3", SMTP_SASL_CHALLENGE, SMTP_SASL_BAD, "", ""},
        {"the name is no base64", "alice", "", SMTP_SASL_BAD, SMTP_SASL_BAD, "", ""},
        {"the password is no base64", "YWxpY2U=", "p w=", SMTP_SASL_CHALLENGE, SMTP_SASL_BAD, "", ""},
        {"cancelled at once", "*", "", SMTP_SASL_CANCELLED, SMTP_SASL_CANCELLED, "", ""},
        {"cancelled at the password", "YWxpY2U=", "*", SMTP_SASL_CHALLENGE, SMTP_SASL_CANCELLED, "", ""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct smtp_sasl sasl;
        struct smtp_auth auth = {.mechanism = STR("LOGIN")};
        smtp_sasl_init(&sasl, SMTP_SASL_LOGIN);
        CHECK(CASES[i].name, smtp_sasl_start(&sasl, &auth) == SMTP_SASL_CHALLENGE);
        CHECK(CASES[i].name, str_equal(sasl.challenge, STR("VXNlcm5hbWU6")));
        CHECK(CASES[i].name, smtp_sasl_feed(&sasl, str_of_z(CASES[i].user)) == CASES[i].after_user);
        if (CASES[i].after_user == SMTP_SASL_CHALLENGE) {
            CHECK(CASES[i].name, str_equal(sasl.challenge, STR("UGFzc3dvcmQ6")));
            CHECK(CASES[i].name, smtp_sasl_feed(&sasl, str_of_z(CASES[i].pass)) == CASES[i].after_pass);
        }
        if (CASES[i].after_pass == SMTP_SASL_READY) {
            CHECK(CASES[i].name, str_equal(sasl.login, str_of_z(CASES[i].login)));
            CHECK(CASES[i].name, str_equal(sasl.password, str_of_z(CASES[i].password)));
        }
        smtp_sasl_fini(&sasl);
    }
}

/* The name may come with AUTH; "=" is an empty one. The longest lines fit. */
static void test_login_initial(void **state)
{
    static char line[SMTP_AUTH_LINE_MAX + 4];
    struct smtp_sasl sasl;
    struct smtp_auth auth;
    (void)state;
    assert_true(smtp_auth_parse(STR("LOGIN YWxpY2U="), &auth));
    smtp_sasl_init(&sasl, SMTP_SASL_LOGIN);
    assert_int_equal(smtp_sasl_start(&sasl, &auth), SMTP_SASL_CHALLENGE);
    assert_true(str_equal(sasl.challenge, STR("UGFzc3dvcmQ6")));
    assert_int_equal(smtp_sasl_feed(&sasl, STR("cHc=")), SMTP_SASL_READY);
    assert_true(str_equal(sasl.login, STR("alice")));
    smtp_sasl_fini(&sasl);
    assert_int_equal(sasl.login.len, 0);

    assert_true(smtp_auth_parse(STR("LOGIN ="), &auth));
    smtp_sasl_init(&sasl, SMTP_SASL_LOGIN);
    assert_int_equal(smtp_sasl_start(&sasl, &auth), SMTP_SASL_CHALLENGE);
    assert_true(str_equal(sasl.challenge, STR("UGFzc3dvcmQ6")));
    assert_int_equal(smtp_sasl_feed(&sasl, STR("cHc=")), SMTP_SASL_REFUSED);
    smtp_sasl_fini(&sasl);

    memset(line, 'Q', sizeof line);
    smtp_sasl_init(&sasl, SMTP_SASL_LOGIN);
    assert_int_equal(smtp_sasl_feed(&sasl, str_of(line, SMTP_AUTH_LINE_MAX)), SMTP_SASL_CHALLENGE);
    assert_int_equal(smtp_sasl_feed(&sasl, str_of(line, SMTP_AUTH_LINE_MAX)), SMTP_SASL_REFUSED);
    smtp_sasl_fini(&sasl);
    smtp_sasl_init(&sasl, SMTP_SASL_LOGIN);
    assert_int_equal(smtp_sasl_feed(&sasl, str_of(line, SMTP_AUTH_LINE_MAX + 4)), SMTP_SASL_BAD);
    smtp_sasl_fini(&sasl);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_auth_argument),  cmocka_unit_test(test_mechanisms),
        cmocka_unit_test(test_plain_message),  cmocka_unit_test(test_plain_exchange),
        cmocka_unit_test(test_login_exchange), cmocka_unit_test(test_login_initial),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
