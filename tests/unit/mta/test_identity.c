/* test_identity.c - XFORWARD and XCLIENT: which attributes, how written, in how many commands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "mta/identity.h"

static const char ALL_XFORWARD[] = "NAME ADDR PORT PROTO HELO IDENT SOURCE";
static const char ALL_XCLIENT[] = "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT REVERSE_NAME";

static struct mta_client client_at(const char *ip)
{
    struct mta_client client = {.port = 50312,
                                .name = STR("host.example"),
                                .helo = STR("laptop"),
                                .login = STR("alice@example.org"),
                                .id = STR("6N2-4"),
                                .esmtp = true,
                                .session = 1};
    if (ip)
        assert_true(ip_parse(str_of_z(ip), &client.ip));
    return client;
}

static const struct {
    const char *name;
    enum mta_identity which;
    const char *offered;
    const char *ip; /* NULL: a Unix socket */
    bool knows_nothing;
    const char *line;
} LINES[] = {
    {"all of XFORWARD", MTA_XFORWARD, ALL_XFORWARD, "192.0.2.7", false,
     "XFORWARD PROTO=ESMTP HELO=laptop IDENT=6N2-4 SOURCE=REMOTE PORT=50312 ADDR=192.0.2.7 NAME=host.example\r\n"},
    {"all of XCLIENT", MTA_XCLIENT, ALL_XCLIENT, "192.0.2.7", false,
     "XCLIENT PROTO=ESMTP HELO=laptop LOGIN=alice@example.org PORT=50312 ADDR=192.0.2.7 NAME=host.example\r\n"},
    {"only what is offered", MTA_XFORWARD, "ADDR HELO", "192.0.2.7", false, "XFORWARD HELO=laptop ADDR=192.0.2.7\r\n"},
    {"words in any case, unknown ones too", MTA_XFORWARD, "addr FUTURE  Name", "192.0.2.7", false,
     "XFORWARD ADDR=192.0.2.7 NAME=host.example\r\n"},
    {"LOGIN is not XFORWARD's", MTA_XFORWARD, "LOGIN ADDR", "192.0.2.7", false, "XFORWARD ADDR=192.0.2.7\r\n"},
    {"IDENT is not XCLIENT's", MTA_XCLIENT, "IDENT SOURCE PORT", "192.0.2.7", false, "XCLIENT PORT=50312\r\n"},
    {"IPv6", MTA_XCLIENT, "ADDR", "2001:db8::1", false, "XCLIENT ADDR=IPV6:2001:db8::1\r\n"},
    {"a Unix socket", MTA_XFORWARD, "ADDR PROTO", NULL, false, "XFORWARD PROTO=ESMTP ADDR=[UNAVAILABLE]\r\n"},
    {"nothing known", MTA_XCLIENT, ALL_XCLIENT, NULL, true,
     "XCLIENT PROTO=SMTP HELO=[UNAVAILABLE] LOGIN=[UNAVAILABLE] PORT=[UNAVAILABLE] ADDR=[UNAVAILABLE] "
     "NAME=[UNAVAILABLE]\r\n"},
    {"nothing offered", MTA_XFORWARD, "", "192.0.2.7", false, ""},
};

static void writes_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(LINES); i++) {
        struct mta_client client = client_at(LINES[i].ip);
        struct buf out;
        if (LINES[i].knows_nothing)
            client = (struct mta_client){0};
        buf_init(&out, 4096);
        unsigned offered = mta_identity_read(LINES[i].which, str_of_z(LINES[i].offered));
        assert_int_equal(mta_identity_count(LINES[i].which, offered, &client), *LINES[i].line != '\0');
        assert_true(mta_identity_write(&out, LINES[i].which, offered, &client, 0));
        if (!str_equal(buf_str(&out), str_of_z(LINES[i].line)))
            fail_msg("%s: " PRI_STR, LINES[i].name, STR_ARG(buf_str(&out)));
        buf_fini(&out);
    }
}

static char long_value[400];
static char utf8_value[400];

/* What stands behind HELO=, LOGIN= or NAME= when the client says so. */
static const struct {
    const char *name;
    const char *attribute;
    struct str value;
    const char *written; /* NULL: so many bytes, see below */
    size_t written_bytes;
} VALUES[] = {
    {"xtext", "HELO", {"a+b=c d", 7}, "a+2Bb+3Dc+20d", 0},
    {"CR LF", "HELO", {"a\r\nQUIT", 7}, "a??QUIT", 0},
    {"NUL, DEL, VT", "HELO", {"a\0b\177c\v", 6}, "a?b?c?", 0},
    {"U+0085", "HELO", {"a\xc2\x85z", 4}, "a+C2?z", 0},
    {"UTF-8 stays", "LOGIN", {"j\xc3\xbcrgen", 7}, "j+C3+BCrgen", 0},
    {"an empty value", "HELO", {"", 0}, "[UNAVAILABLE]", 0},
    {"HELO is cut", "HELO", {long_value, 400}, NULL, 255},
    {"HELO of 255 bytes is not", "HELO", {long_value, 255}, NULL, 255},
    {"HELO is cut between characters", "HELO", {utf8_value, 400}, NULL, 480},
    {"NAME of 255 bytes", "NAME", {long_value, 255}, NULL, 255},
    {"NAME is not cut", "NAME", {long_value, 256}, "[UNAVAILABLE]", 0},
    {"LOGIN is not cut", "LOGIN", {long_value, 256}, "[UNAVAILABLE]", 0},
    {"LOGIN too long as xtext", "LOGIN", {utf8_value, 200}, "[UNAVAILABLE]", 0},
};

static void writes_values(void **state)
{
    (void)state;
    memset(long_value, 'x', sizeof long_value);
    for (size_t i = 0; i < sizeof utf8_value; i += 2)
        memcpy(utf8_value + i, "\xc3\xa4", 2);
    for (size_t i = 0; i < COUNT_OF(VALUES); i++) {
        struct mta_client client = {.helo = VALUES[i].value, .login = VALUES[i].value, .name = VALUES[i].value};
        struct buf out;
        char expected[600];
        buf_init(&out, 4096);
        unsigned offered = mta_identity_read(MTA_XCLIENT, str_of_z(VALUES[i].attribute));
        assert_true(mta_identity_write(&out, MTA_XCLIENT, offered, &client, 0));
        struct str line = buf_str(&out);
        size_t head = strlen("XCLIENT =") + strlen(VALUES[i].attribute);
        if (VALUES[i].written) {
            snprintf(expected, sizeof expected, "XCLIENT %s=%s\r\n", VALUES[i].attribute, VALUES[i].written);
            if (!str_equal(line, str_of_z(expected)))
                fail_msg("%s: " PRI_STR, VALUES[i].name, STR_ARG(line));
        } else if (line.len != head + VALUES[i].written_bytes + 2) {
            fail_msg("%s: %zu bytes", VALUES[i].name, line.len - head - 2);
        }
        assert_true(line.len <= MTA_IDENTITY_LINE_MAX);
        buf_fini(&out);
    }
}

static void splits_commands(void **state)
{
    (void)state;
    struct mta_client client = client_at("2001:db8::1");
    struct buf out;
    memset(long_value, 'x', sizeof long_value);
    client.name = client.helo = client.login = str_of(long_value, 255);
    buf_init(&out, 8192);
    unsigned offered = mta_identity_read(MTA_XCLIENT, str_of_z(ALL_XCLIENT));
    unsigned count = mta_identity_count(MTA_XCLIENT, offered, &client);
    assert_int_equal(count, 3);
    for (unsigned i = 0; i < count; i++) {
        buf_clear(&out);
        assert_true(mta_identity_write(&out, MTA_XCLIENT, offered, &client, i));
        struct str line = buf_str(&out);
        assert_true(line.len <= MTA_IDENTITY_LINE_MAX);
        assert_true(str_starts(line, STR("XCLIENT ")));
        assert_int_equal(str_find(line, '\n'), line.len - 1);
        bool is_last = i == count - 1;
        assert_int_equal(str_contains_nocase(line, STR(" NAME=")), is_last);
        assert_int_equal(str_contains_nocase(line, STR(" ADDR=")), is_last);
    }
    buf_fini(&out);
}

/* For values of every length: the count is that of the commands which are written, and so is the end. */
static void counts_what_it_writes(void **state)
{
    (void)state;
    struct mta_client client = client_at("2001:db8:1111:2222:3333:4444:5555:6666");
    struct buf out;
    memset(long_value, '+', sizeof long_value); /* takes three bytes */
    buf_init(&out, 8192);
    for (int w = 0; w < 2; w++) {
        enum mta_identity which = w ? MTA_XCLIENT : MTA_XFORWARD;
        unsigned offered = mta_identity_read(which, str_of_z(w ? ALL_XCLIENT : ALL_XFORWARD));
        for (size_t len = 0; len <= 255; len++) {
            client.name = client.helo = client.login = client.id = str_of(long_value, len);
            unsigned count = mta_identity_count(which, offered, &client);
            for (unsigned i = 0; i <= count; i++) {
                buf_clear(&out);
                assert_true(mta_identity_write(&out, which, offered, &client, i));
                assert_int_equal(buf_len(&out) > 0, i < count);
                assert_true(buf_len(&out) <= MTA_IDENTITY_LINE_MAX);
            }
        }
    }
    buf_fini(&out);
}

static void fails_when_full(void **state)
{
    (void)state;
    struct mta_client client = client_at("192.0.2.7");
    unsigned offered = mta_identity_read(MTA_XFORWARD, str_of_z(ALL_XFORWARD));
    struct buf out;
    buf_init(&out, 40);
    assert_false(mta_identity_write(&out, MTA_XFORWARD, offered, &client, 0));
    buf_fini(&out);
}

static void writes_helo(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 4096);
    assert_true(mta_identity_write_helo(&out, STR("my laptop\r\nRSET\x7f")));
    assert_true(str_equal(buf_str(&out), STR("my?laptop??RSET?")));
    buf_clear(&out);
    memset(long_value, 'x', sizeof long_value);
    assert_true(mta_identity_write_helo(&out, str_of(long_value, sizeof long_value)));
    assert_int_equal(buf_len(&out), MTA_IDENTITY_VALUE_MAX);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_lines),          cmocka_unit_test(writes_values),   cmocka_unit_test(splits_commands),
        cmocka_unit_test(counts_what_it_writes), cmocka_unit_test(fails_when_full), cmocka_unit_test(writes_helo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
