/* test_replies.c - the rows of replies.def, and their texts to the letter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/replies.h"

/* A case fails by name: cmocka only knows lines. */
#define CHECK(name, cond)                                                                                              \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            fail_msg("%s: %s", name, #cond);                                                                           \
    } while (0)

/* A row is well-formed: printable text, only %s, an enhanced code of the code's class, none where RFC 2034 4 has none.
 */
static void test_rows(void **state)
{
    (void)state;
    for (int i = 0; i < SMTP_REPLY_COUNT; i++) {
        const struct smtp_reply_row *row = smtp_reply_row((enum smtp_reply)i);
        struct str text = str_of_z(row->text);
        unsigned subject, detail, args = 0;
        char class, rest;
        CHECK(row->name, row->code >= 200 && row->code <= 599);
        CHECK(row->name, str_is_ascii(text) && !str_has_control(text));
        CHECK(row->name, text.len > 0 && text.len < 150);
        for (size_t at = 0; (at += str_find(str_from(text, at), '%')) < text.len; at += 2, args++)
            CHECK(row->name, row->text[at + 1] == 's');
        CHECK(row->name, args <= 3);
        bool has_none = row->code == 220 || row->code == 334 || row->code == 354 || i == REPLY_HELO_OK;
        if (i == REPLY_TLS_READY)
            has_none = false;
        CHECK(row->name, has_none == (row->enhanced[0] == '\0'));
        if (has_none)
            continue;
        CHECK(row->name, sscanf(row->enhanced, "%c.%u.%u%c", &class, &subject, &detail, &rest) == 3);
        CHECK(row->name, (unsigned)(class - '0') == row->code / 100);
    }
}

static void check_wire(struct buf *out, bool ok, const char *wire)
{
    assert_true(ok);
    if (!str_equal(buf_str(out), str_of_z(wire)))
        fail_msg("got " PRI_STR "wanted %s", STR_ARG(buf_str(out)), wire);
    buf_clear(out);
}

/* Those that PROTOCOLS.md names and that mail programs show. */
static void test_texts(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, 4096);
    check_wire(&out, smtp_reply_write(&out, REPLY_GREETING, STR("mx.example")), "220 mx.example ESMTP\r\n");
    check_wire(&out, smtp_reply_write(&out, REPLY_CLOSING), "221 2.0.0 Goodbye\r\n");
    check_wire(&out, smtp_reply_write(&out, REPLY_SENDER_OK), "250 2.1.0 Sender ok\r\n");
    check_wire(&out, smtp_reply_write(&out, REPLY_SEND_DATA),
               "354 Send the message, end it with a line that holds only a dot\r\n");
    check_wire(&out, smtp_reply_write(&out, REPLY_AUTH_CHALLENGE, STR("")), "334 \r\n");
    check_wire(&out, smtp_reply_write(&out, REPLY_AUTH_FAILED), "535 5.7.8 Wrong user name or password\r\n");
    check_wire(&out, smtp_reply_write(&out, REPLY_AUTH_REQUIRED),
               "530 5.7.0 Authentication is required: log in first\r\n");
    check_wire(&out, smtp_reply_write(&out, REPLY_BAD_SENDER, STR("it is too long")),
               "501 5.1.7 Bad sender address: it is too long\r\n");
    check_wire(&out, smtp_reply_write(&out, REPLY_UNKNOWN_PARAMETER, STR("FOO")),
               "555 5.5.4 Parameter FOO is not known here\r\n");
    check_wire(&out, smtp_reply_write(&out, REPLY_BARE_IN_DATA, STR("LF")),
               "550 5.6.11 The message holds a bare LF; lines must end in CRLF\r\n");
    check_wire(&out, smtp_reply_write(&out, REPLY_GREETING_BANNER, STR("mx.example"), STR("no spam")),
               "220 mx.example ESMTP no spam\r\n");
    check_wire(&out, smtp_reply_write(&out, REPLY_TOO_LARGE, STR("1000")),
               "552 5.3.4 The message is too large: at most 1000 bytes are accepted\r\n");
    buf_fini(&out);
}

/* What is filled in cannot make a line of its own, nor be taken for a %s. */
static void test_arguments_are_harmless(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, 4096);
    check_wire(&out, smtp_reply_write(&out, REPLY_BAD_PARAMETER, STR("%s%n\r\x1b")),
               "501 5.5.4 Parameter %s%n has a bad value\r\n");
    check_wire(&out, smtp_reply_write(&out, REPLY_GREETING_BANNER, STR("%s"), STR("b")), "220 %s ESMTP b\r\n");
    buf_fini(&out);
}

static void test_text_alone(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, 60);
    check_wire(&out, smtp_reply_text(&out, REPLY_BAD_RECIPIENT, STR("it is empty")),
               "Bad recipient address: it is empty");
    assert_true(buf_append_str(&out, STR("kept")));
    assert_false(smtp_reply_text(&out, REPLY_TOO_MANY_RECIPIENTS, STR("1000")));
    assert_true(str_equal(buf_str(&out), STR("kept")));
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_arguments_are_harmless),
        cmocka_unit_test(test_text_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
