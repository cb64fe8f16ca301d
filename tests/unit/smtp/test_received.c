/* test_received.c - the trace field, whatever a client calls itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/header.h"
#include "smtp/received.h"

static struct smtp_received usual(void)
{
    return (struct smtp_received){
        .client = STR("192.0.2.7"),
        .client_name = STR("host.example.net"),
        .helo = STR("laptop"),
        .by = STR("mail.example.org"),
        .id = STR("6N2-1"),
        .login = STR("alice@example.org"),
        .tls_version = STR("TLSv1.3"),
        .tls_cipher = STR("TLS_AES_256_GCM_SHA384"),
        .is_authenticated = true,
        .is_esmtp = true,
        .time_s = 1795680930, /* 2026-11-26 08:15:30 UTC */
        .utc_offset_s = 0,
    };
}

static void check_field(enum smtp_trace trace, const struct smtp_received *received, const char *wanted)
{
    struct buf out;
    buf_init(&out, SMTP_RECEIVED_BYTES_MAX);
    assert_true(smtp_received_write(&out, trace, received));
    if (!str_equal(buf_str(&out), str_of_z(wanted)))
        fail_msg("got " PRI_STR "wanted %s", STR_ARG(buf_str(&out)), wanted);
    buf_fini(&out);
}

static void test_on(void **state)
{
    struct smtp_received r = usual();
    (void)state;
    check_field(SMTP_TRACE_ON, &r,
                "Received: from laptop (host.example.net [192.0.2.7])\r\n"
                "\tby mail.example.org with ESMTPSA id 6N2-1\r\n"
                "\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)\r\n"
                "\t(Authenticated sender: alice@example.org);\r\n"
                "\tThu, 26 Nov 2026 08:15:30 +0000\r\n");
    r.client_name = r.login = r.tls_version = STR_NONE;
    r.is_authenticated = false;
    r.helo = STR("[IPv6:2001:db8::1]");
    r.client = STR("2001:db8::1");
    r.utc_offset_s = -(3 * 3600 + 1800);
    check_field(SMTP_TRACE_ON, &r,
                "Received: from [IPv6:2001:db8::1] ([IPv6:2001:db8::1])\r\n"
                "\tby mail.example.org with ESMTP id 6N2-1;\r\n"
                "\tThu, 26 Nov 2026 04:45:30 -0330\r\n");
    r.helo = STR_NONE;
    r.client = STR("192.0.2.7");
    r.is_esmtp = false;
    r.utc_offset_s = 3600;
    check_field(SMTP_TRACE_ON, &r,
                "Received: from [192.0.2.7] ([192.0.2.7])\r\n"
                "\tby mail.example.org with SMTP id 6N2-1;\r\n"
                "\tThu, 26 Nov 2026 09:15:30 +0100\r\n");
}

static void test_minimal_and_off(void **state)
{
    struct smtp_received r = usual();
    (void)state;
    check_field(SMTP_TRACE_MINIMAL, &r,
                "Received: by mail.example.org with ESMTPSA id 6N2-1;\r\n"
                "\tThu, 26 Nov 2026 08:15:30 +0000\r\n");
    check_field(SMTP_TRACE_OFF, &r, "");
}

static void test_hostile_names(void **state)
{
    struct smtp_received r = usual();
    (void)state;
    r.helo = STR("a (b)\r\nX: y\0\x7f;<c@d>\"");
    r.client_name = STR("x)y");
    r.login = STR("a)(b\\\r\n\x1b\xff");
    check_field(SMTP_TRACE_ON, &r,
                "Received: from a??b???X:?y????c?d?? (x?y [192.0.2.7])\r\n"
                "\tby mail.example.org with ESMTPSA id 6N2-1\r\n"
                "\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)\r\n"
                "\t(Authenticated sender: a\\)\\(b\\\\???"
                "?);\r\n"
                "\tThu, 26 Nov 2026 08:15:30 +0000\r\n");
}

static void test_utf8(void **state)
{
    struct smtp_received r = usual();
    (void)state;
    r.tls_version = STR_NONE;
    r.helo = STR("b\xc3\xbc");
    r.login = STR("j\xc3\xbcrg");
    check_field(SMTP_TRACE_ON, &r,
                "Received: from b?? (host.example.net [192.0.2.7])\r\n"
                "\tby mail.example.org with ESMTPA id 6N2-1\r\n"
                "\t(Authenticated sender: j??rg);\r\n"
                "\tThu, 26 Nov 2026 08:15:30 +0000\r\n");
    r.is_smtputf8 = true;
    check_field(SMTP_TRACE_ON, &r,
                "Received: from b\xc3\xbc (host.example.net [192.0.2.7])\r\n"
                "\tby mail.example.org with UTF8SMTPA id 6N2-1\r\n"
                "\t(Authenticated sender: j\xc3\xbcrg);\r\n"
                "\tThu, 26 Nov 2026 08:15:30 +0000\r\n");
}

/* All as long as it can come: lines within 998 bytes, the field within its bound, one field to whoever reads it. */
static void test_long_names(void **state)
{
    static char name[3000], brackets[3000];
    struct smtp_received r = usual();
    struct buf out;
    size_t at = 0;
    struct smtp_header_field field;
    (void)state;
    memset(name, 'n', sizeof name);
    memset(brackets, '(', sizeof brackets);
    r.client = r.client_name = r.helo = r.by = r.id = str_of(name, sizeof name);
    r.login = r.tls_version = r.tls_cipher = str_of(brackets, sizeof brackets);
    buf_init(&out, SMTP_RECEIVED_BYTES_MAX);
    assert_true(smtp_received_write(&out, SMTP_TRACE_ON, &r));
    for (struct str rest = buf_str(&out); rest.len; rest = str_from(rest, str_find(rest, '\n') + 1))
        assert_true(str_find(rest, '\n') <= 999);
    assert_true(smtp_header_next(buf_str(&out), &at, &field));
    assert_int_equal(at, buf_len(&out));
    buf_fini(&out);
}

static void test_full_buffer(void **state)
{
    struct smtp_received r = usual();
    struct buf out;
    (void)state;
    buf_init(&out, 100);
    assert_true(buf_append_str(&out, STR("kept")));
    assert_false(smtp_received_write(&out, SMTP_TRACE_ON, &r));
    assert_true(str_equal(buf_str(&out), STR("kept")));
    buf_fini(&out);
}

static void test_protocol_names(void **state)
{
    (void)state;
    assert_string_equal(smtp_protocol_name(false, false, false, false), "SMTP");
    assert_string_equal(smtp_protocol_name(true, false, false, false), "ESMTP");
    assert_string_equal(smtp_protocol_name(true, false, false, true), "ESMTPA");
    assert_string_equal(smtp_protocol_name(true, false, true, false), "ESMTPS");
    assert_string_equal(smtp_protocol_name(true, false, true, true), "ESMTPSA");
    assert_string_equal(smtp_protocol_name(true, true, false, false), "UTF8SMTP");
    assert_string_equal(smtp_protocol_name(true, true, true, true), "UTF8SMTPSA");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_on),
        cmocka_unit_test(test_minimal_and_off),
        cmocka_unit_test(test_hostile_names),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_full_buffer),
        cmocka_unit_test(test_protocol_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
