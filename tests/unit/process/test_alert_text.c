/* test_alert_text.c - the words of an alert, to the letter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "process/alert_text.h"

#define WALL_US INT64_C(1795508130123456) /* 2026-11-24T08:15:30.123456Z, a Tuesday */

static void test_json(void **state)
{
    static const struct {
        struct str event;
        uint32_t held_back;
        const char *json;
    } CASES[] = {
        {STR("{\"a\":1}"), 0, "{\"a\":1}"},
        {STR("{\"a\":1}"), 3, "{\"a\":1,\"held_back\":3}"},
        {STR("{}"), 1, "{\"held_back\":1}"},
        {STR("{"), 1, "{"}, /* no event: as it is */
        {STR(""), 1, ""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct buf b;
        buf_init(&b, 100);
        assert_true(alert_text_json(&b, CASES[i].event, CASES[i].held_back));
        assert_true(str_equal(buf_str(&b), str_of_z(CASES[i].json)));
        buf_fini(&b);
    }
}

static void test_line(void **state)
{
    static const struct {
        struct str key;
        const char *line;
    } CASES[] = {
        {STR("user:a@example.org"), "alert ops user:a@example.org: {}"},
        {STR(""), "alert ops: {}"},
        {STR("user:a\r\nb\xff"), "alert ops user:a\\x0d\\x0ab\\xff: {}"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct buf b;
        buf_init(&b, 100);
        assert_true(alert_text_line(&b, STR("ops"), CASES[i].key, STR("{}")));
        assert_true(str_equal_nocase(buf_str(&b), str_of_z(CASES[i].line)));
        buf_fini(&b);
    }
}

static struct str mail(struct buf *b, struct str key, struct str json, uint32_t held_back)
{
    static const struct str TO[] = {STR("ops@example.org"), STR("boss@example.net")};
    struct alert_mail m = {STR("mx.example.org"), STR("ops"), key, json, held_back, TO, COUNT_OF(TO), WALL_US, 0xabc};
    buf_init(b, ALERT_MAIL_MAX_BYTES);
    assert_true(alert_text_mail(b, &m));
    return buf_str(b);
}

static void test_mail(void **state)
{
    struct buf b;
    (void)state;
    struct str text = mail(&b, STR("user:a@example.org"),
                           STR("{\"event\":\"alert\",\"text\":\".x = y\",\"n\":[1,2],\"held_back\":2}"), 2);
    assert_string_equal(str_copy_into((char[4096]){0}, 4096, text).ptr,
                        "Date: Tue, 24 Nov 2026 08:15:30 +0000\r\n"
                        "From: mailweir <mailweir@mx.example.org>\r\n"
                        "To: ops@example.org,\r\n boss@example.net\r\n"
                        "Subject: [mailweir] ops: user:a@example.org\r\n"
                        "Message-ID: <6610150498ec0.abc@mx.example.org>\r\n"
                        "Auto-Submitted: auto-generated\r\n"
                        "MIME-Version: 1.0\r\n"
                        "Content-Type: text/plain; charset=utf-8\r\n"
                        "Content-Transfer-Encoding: quoted-printable\r\n"
                        "\r\n"
                        "The alert \"ops\" of mailweir on mx.example.org was raised for user:a@examp=\r\n"
                        "le.org.\r\n"
                        "2 more like it were held back since the last mail about it.\r\n"
                        "\r\n"
                        "event: alert\r\n"
                        "text: .x =3D y\r\n"
                        "n: [1,2]\r\n"
                        "held_back: 2\r\n"
                        "\r\n"
                        "{\"event\":\"alert\",\"text\":\".x =3D y\",\"n\":[1,2],\"held_back\":2}\r\n");
    buf_fini(&b);
}

static void check_wire(struct str text)
{
    size_t column = 0;
    assert_true(str_is_ascii(text));
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (column == 0)
            assert_int_not_equal(c, '.');
        if (c == '\n') {
            assert_true(i > 0 && text.ptr[i - 1] == '\r');
            column = 0;
            continue;
        }
        column++;
        assert_true(column <= 200 + 64); /* the subject, which is not folded; 998 is what SMTP allows */
    }
    assert_int_equal(column, 0);
}

/* Whatever a stranger is called: headers stay headers, lines stay short, and nothing looks like the end of the data. */
static void test_hostile_keys(void **state)
{
    static char much[ALERT_KEY_MAX_BYTES], json[ALERT_JSON_MAX_BYTES];
    const struct str KEYS[] = {STR("a\r\nBcc: victim@example.org"),
                               STR("\r\n.\r\nMAIL FROM:<>"),
                               STR("."),
                               STR("\0\x1b"),
                               STR("user:j\xc3\xb6rg@example.org"),
                               STR("\xff\xfe"),
                               str_of(much, sizeof much)};
    (void)state;
    for (size_t i = 0; i + 1 < sizeof much; i += 2)
        memcpy(much + i, "\xc3\xbc", 2);
    memset(json, '.', sizeof json);
    for (size_t i = 0; i < COUNT_OF(KEYS); i++) {
        struct buf b;
        struct str text = mail(&b, KEYS[i], str_of(json, sizeof json), UINT32_MAX);
        check_wire(text);
        assert_false(str_contains_nocase(text, STR("\nBcc:")));
        assert_false(str_contains_nocase(text, STR("\nMAIL")));
        buf_fini(&b);
    }
}

static void test_encoded_subject(void **state)
{
    struct buf b;
    (void)state;
    struct str text = mail(&b, STR("user:j\xc3\xb6rg@example.org"), STR("{}"), 0);
    assert_true(
        str_contains_nocase(text, STR("\r\nSubject: =?utf-8?B?W21haWx3ZWlyXSBvcHM6IHVzZXI6asO2cmdAZXhhbXBsZS5vcmc"
                                      "=?=\r\n")));
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_json), cmocka_unit_test(test_line),
                                       cmocka_unit_test(test_mail), cmocka_unit_test(test_hostile_keys),
                                       cmocka_unit_test(test_encoded_subject)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
