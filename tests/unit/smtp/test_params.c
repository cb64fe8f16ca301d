/* test_params.c - the parameters of MAIL and RCPT, there and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/params.h"

/* A case fails by name: cmocka only knows lines. */
#define CHECK(name, cond)                                                                                              \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            fail_msg("%s: %s", name, #cond);                                                                           \
    } while (0)

enum { ALL = SMTP_EXT_SIZE | SMTP_EXT_8BITMIME | SMTP_EXT_SMTPUTF8 | SMTP_EXT_DSN | SMTP_EXT_AUTH };

#define A10  "aaaaaaaaaa"
#define A100 A10 A10 A10 A10 A10 A10 A10 A10 A10 A10

struct param_case {
    const char *text;
    unsigned extensions;
    enum smtp_params_result result;
    const char *name;    /* at fault */
    const char *written; /* to an MTA that has them all, with AUTH=<login> left out */
    unsigned need;
};

static const struct param_case MAIL[] = {
    {"", ALL, SMTP_PARAMS_OK, "", "", 0},
    {"SIZE=1000", ALL, SMTP_PARAMS_OK, "", " SIZE=1000", 0},
    {"size=0", ALL, SMTP_PARAMS_OK, "", " SIZE=0", 0},
    {"SIZE=18446744073709551616", ALL, SMTP_PARAMS_OK, "", " SIZE=18446744073709551615", 0},
    {"SIZE=99999999999999999999", ALL, SMTP_PARAMS_OK, "", " SIZE=18446744073709551615", 0},
    {"BODY=7BIT", ALL, SMTP_PARAMS_OK, "", " BODY=7BIT", 0},
    {"BODY=8bitmime", ALL, SMTP_PARAMS_OK, "", " BODY=8BITMIME", SMTP_EXT_8BITMIME},
    {"SMTPUTF8", ALL, SMTP_PARAMS_OK, "", " SMTPUTF8", SMTP_EXT_SMTPUTF8},
    {"RET=FULL", ALL, SMTP_PARAMS_OK, "", " RET=FULL", SMTP_EXT_DSN},
    {"RET=hdrs  ENVID=QQ+2B1", ALL, SMTP_PARAMS_OK, "", " RET=HDRS ENVID=QQ+2B1", SMTP_EXT_DSN},
    {"ENVID=" A100, ALL, SMTP_PARAMS_OK, "", " ENVID=" A100, SMTP_EXT_DSN},
    {"AUTH=<>", ALL, SMTP_PARAMS_OK, "", "", 0},
    {"AUTH=e+3Dmc2@example.com", ALL, SMTP_PARAMS_OK, "", "", 0},
    {"BODY=8BITMIME SIZE=5", ALL, SMTP_PARAMS_OK, "", " SIZE=5 BODY=8BITMIME", SMTP_EXT_8BITMIME},
    {"FOO", ALL, SMTP_PARAMS_UNKNOWN, "FOO", "", 0},
    {"FOO=1", ALL, SMTP_PARAMS_UNKNOWN, "FOO", "", 0},
    {"=1", ALL, SMTP_PARAMS_UNKNOWN, "", "", 0},
    {"REQUIRETLS", ALL, SMTP_PARAMS_UNKNOWN, "REQUIRETLS", "", 0},
    {"MT-PRIORITY=3", ALL, SMTP_PARAMS_UNKNOWN, "MT-PRIORITY", "", 0},
    {"BODY=BINARYMIME", ALL, SMTP_PARAMS_UNKNOWN, "BODY=BINARYMIME", "", 0},
    {"NOTIFY=NEVER", ALL, SMTP_PARAMS_UNKNOWN, "NOTIFY", "", 0},
    {"SIZE=1", ALL & ~SMTP_EXT_SIZE, SMTP_PARAMS_UNKNOWN, "SIZE", "", 0},
    {"BODY=7BIT", ALL & ~SMTP_EXT_8BITMIME, SMTP_PARAMS_UNKNOWN, "BODY", "", 0},
    {"SMTPUTF8", ALL & ~SMTP_EXT_SMTPUTF8, SMTP_PARAMS_UNKNOWN, "SMTPUTF8", "", 0},
    {"RET=FULL", ALL & ~SMTP_EXT_DSN, SMTP_PARAMS_UNKNOWN, "RET", "", 0},
    {"ENVID=x", ALL & ~SMTP_EXT_DSN, SMTP_PARAMS_UNKNOWN, "ENVID", "", 0},
    {"AUTH=<>", ALL & ~SMTP_EXT_AUTH, SMTP_PARAMS_UNKNOWN, "AUTH", "", 0},
    {"SIZE", ALL, SMTP_PARAMS_BAD, "SIZE", "", 0},
    {"SIZE=", ALL, SMTP_PARAMS_BAD, "SIZE", "", 0},
    {"SIZE=-1", ALL, SMTP_PARAMS_BAD, "SIZE", "", 0},
    {"SIZE=1K", ALL, SMTP_PARAMS_BAD, "SIZE", "", 0},
    {"SIZE=000000000000000000001", ALL, SMTP_PARAMS_BAD, "SIZE", "", 0}, /* 21 digits */
    {"BODY=9BIT", ALL, SMTP_PARAMS_BAD, "BODY", "", 0},
    {"BODY", ALL, SMTP_PARAMS_BAD, "BODY", "", 0},
    {"SMTPUTF8=YES", ALL, SMTP_PARAMS_BAD, "SMTPUTF8", "", 0},
    {"SMTPUTF8=", ALL, SMTP_PARAMS_BAD, "SMTPUTF8", "", 0},
    {"RET=BOTH", ALL, SMTP_PARAMS_BAD, "RET", "", 0},
    {"ENVID=", ALL, SMTP_PARAMS_BAD, "ENVID", "", 0},
    {"ENVID=" A100 "a", ALL, SMTP_PARAMS_BAD, "ENVID", "", 0},
    {"ENVID=a+0Ab", ALL, SMTP_PARAMS_BAD, "ENVID", "", 0}, /* a newline, hidden */
    {"ENVID=a+2", ALL, SMTP_PARAMS_BAD, "ENVID", "", 0},
    {"ENVID=a+2b", ALL, SMTP_PARAMS_BAD, "ENVID", "", 0}, /* lower-case hex */
    {"ENVID=a=b", ALL, SMTP_PARAMS_BAD, "ENVID", "", 0},
    {"ENVID=\xc3\xbc", ALL, SMTP_PARAMS_BAD, "ENVID", "", 0},
    {"AUTH=a+0Db", ALL, SMTP_PARAMS_BAD, "AUTH", "", 0},
    {"AUTH=", ALL, SMTP_PARAMS_BAD, "AUTH", "", 0},
    {"SIZE=1 SIZE=1", ALL, SMTP_PARAMS_TWICE, "SIZE", "", 0},
    {"BODY=7BIT BODY=8BITMIME", ALL, SMTP_PARAMS_TWICE, "BODY", "", 0},
    {"SMTPUTF8 SMTPUTF8", ALL, SMTP_PARAMS_TWICE, "SMTPUTF8", "", 0},
    {"RET=FULL RET=FULL", ALL, SMTP_PARAMS_TWICE, "RET", "", 0},
    {"ENVID=a ENVID=a", ALL, SMTP_PARAMS_TWICE, "ENVID", "", 0},
    {"AUTH=<> auth=<>", ALL, SMTP_PARAMS_TWICE, "auth", "", 0},
};

static const struct param_case RCPT[] = {
    {"", ALL, SMTP_PARAMS_OK, "", "", 0},
    {"NOTIFY=NEVER", ALL, SMTP_PARAMS_OK, "", " NOTIFY=NEVER", SMTP_EXT_DSN},
    {"NOTIFY=delay,Success", ALL, SMTP_PARAMS_OK, "", " NOTIFY=SUCCESS,DELAY", SMTP_EXT_DSN},
    {"NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;a+2Bb@c", ALL, SMTP_PARAMS_OK, "",
     " NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;a+2Bb@c", SMTP_EXT_DSN},
    {"ORCPT=utf-8;b\xc3\xbc@c", ALL, SMTP_PARAMS_OK, "", " ORCPT=utf-8;b\xc3\xbc@c", SMTP_EXT_DSN | SMTP_EXT_SMTPUTF8},
    {"ORCPT=utf-8;b\xc3\xbc@c", SMTP_EXT_DSN, SMTP_PARAMS_BAD, "ORCPT", "", 0},
    {"ORCPT=rfc822;b\xc3\xbc@c", ALL, SMTP_PARAMS_BAD, "ORCPT", "", 0},
    {"ORCPT=utf-8;b\xc2\x85@c", ALL, SMTP_PARAMS_BAD, "ORCPT", "", 0},
    {"SIZE=1", ALL, SMTP_PARAMS_UNKNOWN, "SIZE", "", 0},
    {"NOTIFY=NEVER", ALL & ~SMTP_EXT_DSN, SMTP_PARAMS_UNKNOWN, "NOTIFY", "", 0},
    {"ORCPT=rfc822;a", ALL & ~SMTP_EXT_DSN, SMTP_PARAMS_UNKNOWN, "ORCPT", "", 0},
    {"NOTIFY", ALL, SMTP_PARAMS_BAD, "NOTIFY", "", 0},
    {"NOTIFY=", ALL, SMTP_PARAMS_BAD, "NOTIFY", "", 0},
    {"NOTIFY=NEVER,SUCCESS", ALL, SMTP_PARAMS_BAD, "NOTIFY", "", 0},
    {"NOTIFY=SUCCESS,NEVER", ALL, SMTP_PARAMS_BAD, "NOTIFY", "", 0},
    {"NOTIFY=SUCCESS,", ALL, SMTP_PARAMS_BAD, "NOTIFY", "", 0},
    {"NOTIFY=,SUCCESS", ALL, SMTP_PARAMS_BAD, "NOTIFY", "", 0},
    {"NOTIFY=SUCCESS,SUCCESS", ALL, SMTP_PARAMS_BAD, "NOTIFY", "", 0},
    {"NOTIFY=SOMETIMES", ALL, SMTP_PARAMS_BAD, "NOTIFY", "", 0},
    {"ORCPT=", ALL, SMTP_PARAMS_BAD, "ORCPT", "", 0},
    {"ORCPT=rfc822", ALL, SMTP_PARAMS_BAD, "ORCPT", "", 0},
    {"ORCPT=rfc822;", ALL, SMTP_PARAMS_BAD, "ORCPT", "", 0},
    {"ORCPT=;a", ALL, SMTP_PARAMS_BAD, "ORCPT", "", 0},
    {"ORCPT=rfc822;a+0D+0Ab", ALL, SMTP_PARAMS_BAD, "ORCPT", "", 0},
    {"ORCPT=rfc822;" A100 A100 A100 A100 A100, ALL, SMTP_PARAMS_BAD, "ORCPT", "", 0},
    {"NOTIFY=NEVER NOTIFY=NEVER", ALL, SMTP_PARAMS_TWICE, "NOTIFY", "", 0},
    {"ORCPT=rfc822;a ORCPT=rfc822;a", ALL, SMTP_PARAMS_TWICE, "ORCPT", "", 0},
};

static void test_mail(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(MAIL); i++) {
        const struct param_case *c = &MAIL[i];
        struct smtp_mail_params params;
        struct str name;
        struct buf out;
        buf_init(&out, 4096);
        CHECK(c->text, smtp_mail_params_parse(str_of_z(c->text), c->extensions, &params, &name) == c->result);
        CHECK(c->text, str_equal(name, str_of_z(c->name)));
        if (c->result == SMTP_PARAMS_OK) {
            CHECK(c->text, smtp_mail_params_write(&out, &params, ALL, NULL));
            CHECK(c->text, str_equal(buf_str(&out), str_of_z(c->written)));
            CHECK(c->text, smtp_mail_params_need(&params) == c->need);
        }
        buf_fini(&out);
    }
}

static void test_rcpt(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(RCPT); i++) {
        const struct param_case *c = &RCPT[i];
        struct smtp_rcpt_params params;
        struct str name;
        struct buf out;
        buf_init(&out, 4096);
        CHECK(c->text, smtp_rcpt_params_parse(str_of_z(c->text), c->extensions, &params, &name) == c->result);
        CHECK(c->text, str_equal(name, str_of_z(c->name)));
        if (c->result == SMTP_PARAMS_OK) {
            CHECK(c->text, smtp_rcpt_params_write(&out, &params, ALL));
            CHECK(c->text, str_equal(buf_str(&out), str_of_z(c->written)));
            CHECK(c->text, smtp_rcpt_params_need(&params) == c->need);
        }
        buf_fini(&out);
    }
}

/* AUTH= says who we know it is, never what the client claimed; what the MTA lacks is left out. */
static void test_written_for_the_mta(void **state)
{
    static const struct str LOGIN = {"a=b+c @x", 8}, NOBODY = {"", 0};
    struct smtp_mail_params params;
    struct str name;
    struct buf out;
    (void)state;
    buf_init(&out, 4096);
    assert_int_equal(
        smtp_mail_params_parse(STR("AUTH=mallory SIZE=7 SMTPUTF8 BODY=8BITMIME RET=FULL ENVID=x"), ALL, &params, &name),
        SMTP_PARAMS_OK);
    assert_true(smtp_mail_params_write(&out, &params, SMTP_EXT_AUTH | SMTP_EXT_SIZE, &LOGIN));
    assert_true(str_equal(buf_str(&out), STR(" SIZE=7 AUTH=a+3Db+2Bc+20@x")));
    buf_clear(&out);
    assert_true(smtp_mail_params_write(&out, &params, SMTP_EXT_AUTH, &NOBODY));
    assert_true(str_equal(buf_str(&out), STR(" AUTH=<>")));
    buf_clear(&out);
    assert_true(smtp_mail_params_write(&out, &params, 0, &LOGIN));
    assert_int_equal(buf_len(&out), 0);
    buf_fini(&out);

    buf_init(&out, 20);
    assert_false(smtp_mail_params_write(&out, &params, ALL, &LOGIN));
    buf_fini(&out);
}

static void test_xtext(void **state)
{
    char all[256];
    struct buf encoded, decoded;
    (void)state;
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    buf_init(&encoded, 4096);
    buf_init(&decoded, 4096);
    assert_true(smtp_xtext_encode(&encoded, str_of(all, sizeof all)));
    assert_true(str_is_ascii(buf_str(&encoded)) && !str_has_control(buf_str(&encoded)));
    assert_int_equal(str_find(buf_str(&encoded), '='), buf_len(&encoded));
    assert_true(smtp_xtext_decode(&decoded, buf_str(&encoded)));
    assert_true(str_equal(buf_str(&decoded), str_of(all, sizeof all)));
    assert_false(smtp_xtext_decode(&decoded, STR("a b")));
    assert_false(smtp_xtext_decode(&decoded, STR("+")));
    assert_false(smtp_xtext_decode(&decoded, STR("+G0")));
    buf_fini(&encoded);
    buf_fini(&decoded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mail),
        cmocka_unit_test(test_rcpt),
        cmocka_unit_test(test_written_for_the_mta),
        cmocka_unit_test(test_xtext),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
