/* test_header.c - where a header ends, what stands in it, whose address From: is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/header.h"

/* A case fails by name: cmocka only knows lines. */
#define CHECK(name, cond)                                                                                              \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            fail_msg("%s: %s", name, #cond);                                                                           \
    } while (0)

static const struct {
    const char *name, *message;
    size_t fields_end, body_start;
    unsigned lines, fields, received;
} BLOCKS[] = {
    {"header and body", "A: 1\r\nB: 2\r\n\r\nbody\r\n", 12, 14, 2, 2, 0},
    {"no body", "A: 1\r\n\r\n", 6, 8, 1, 1, 0},
    {"no empty line", "A: 1\r\nB: 2\r\n", 12, 12, 2, 2, 0},
    {"an empty message", "", 0, 0, 0, 0, 0},
    {"no header", "\r\nbody\r\n", 0, 2, 0, 0, 0},
    {"neither header nor empty line", "just a body\r\nA: 1\r\n\r\n", 0, 0, 0, 0, 0},
    {"the body begins by itself", "A: 1\r\nno field here\r\nB: 2\r\n\r\n", 6, 6, 1, 1, 0},
    {"folds", "A: 1\r\n 2\r\n\t3\r\nB: 4\r\n\r\nbody\r\n", 20, 22, 4, 2, 0},
    {"a fold of blanks only", "A: 1\r\n \r\nB: 2\r\n\r\n", 15, 17, 3, 2, 0},
    {"a blank at the very head", " A: 1\r\nB: 2\r\n\r\n", 0, 0, 0, 0, 0},
    {"blanks before the colon", "A : 1\r\nB\t : 2\r\n\r\n", 15, 17, 2, 2, 0},
    {"a blank in the name", "A B: 1\r\n\r\n", 0, 0, 0, 0, 0},
    {"a colon at the head", ": 1\r\n\r\n", 0, 0, 0, 0, 0},
    {"8-bit in the name", "\xc3\x9c: 1\r\n\r\n", 0, 0, 0, 0, 0},
    {"an mbox line", "From a@b Mon\r\nA: 1\r\n\r\nbody\r\n", 20, 22, 2, 1, 0},
    {"a quoted mbox line", ">From a@b Mon\r\nA: 1\r\n\r\n", 21, 23, 2, 1, 0},
    {"an mbox line, but late", "A: 1\r\nFrom a@b Mon\r\nB: 2\r\n\r\n", 6, 6, 1, 1, 0},
    {"a blank after an mbox line", "From a@b Mon\r\n A: 1\r\n\r\n", 14, 14, 1, 0, 0},
    {"a stuffed dot", "A: 1\r\n..\r\nB: 2\r\n\r\n", 6, 6, 1, 1, 0},
    {"a stuffed field", "..A: 1\r\nB: 2\r\n\r\n", 14, 16, 2, 2, 0},
    {"Received", "Received: a\r\nreceived : b\r\n c\r\nReceivedX: d\r\nX-Received: e\r\nRECEIVED:f\r\n\r\n", 72, 74, 6,
     5, 3},
};

static void check_block(size_t i, const struct smtp_header *header)
{
    CHECK(BLOCKS[i].name, header->fields_end == BLOCKS[i].fields_end);
    CHECK(BLOCKS[i].name, header->body_start == BLOCKS[i].body_start);
    CHECK(BLOCKS[i].name, header->line_count == BLOCKS[i].lines);
    CHECK(BLOCKS[i].name, header->field_count == BLOCKS[i].fields);
    CHECK(BLOCKS[i].name, header->received_count == BLOCKS[i].received);
}

static void test_scan(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(BLOCKS); i++) {
        struct smtp_header header;
        smtp_header_init(&header, 1000);
        CHECK(BLOCKS[i].name, smtp_header_scan(&header, str_of_z(BLOCKS[i].message), true) == SMTP_HEADER_END);
        check_block(i, &header);
        CHECK(BLOCKS[i].name, header.has_from_line == (strstr(BLOCKS[i].name, "mbox line") && header.line_count > 0 &&
                                                       !strstr(BLOCKS[i].name, "late")));
    }
}

static void test_scan_byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(BLOCKS); i++) {
        struct str message = str_of_z(BLOCKS[i].message);
        struct smtp_header header;
        enum smtp_header_result result = SMTP_HEADER_MORE;
        smtp_header_init(&header, 1000);
        for (size_t len = 0; len < message.len && result == SMTP_HEADER_MORE; len++)
            result = smtp_header_scan(&header, str_sub(message, 0, len), false);
        if (result == SMTP_HEADER_MORE)
            result = smtp_header_scan(&header, message, true);
        CHECK(BLOCKS[i].name, result == SMTP_HEADER_END);
        check_block(i, &header);
    }
}

static void test_scan_is_bounded(void **state)
{
    struct smtp_header header;
    struct str block = STR("A: 1\r\nB: 2\r\n\r\n");
    (void)state;
    smtp_header_init(&header, 12);
    assert_int_equal(smtp_header_scan(&header, block, false), SMTP_HEADER_END);
    smtp_header_init(&header, 11);
    assert_int_equal(smtp_header_scan(&header, block, false), SMTP_HEADER_TOO_LARGE);
    smtp_header_init(&header, 11);
    assert_int_equal(smtp_header_scan(&header, str_sub(block, 0, 11), false), SMTP_HEADER_MORE);
    assert_int_equal(smtp_header_scan(&header, str_sub(block, 0, 12), false), SMTP_HEADER_TOO_LARGE);
    smtp_header_init(&header, 3); /* one line without an end */
    assert_int_equal(smtp_header_scan(&header, str_sub(block, 0, 3), false), SMTP_HEADER_MORE);
    assert_int_equal(smtp_header_scan(&header, str_sub(block, 0, 4), false), SMTP_HEADER_TOO_LARGE);
    smtp_header_init(&header, 3); /* a large body is no large header */
    assert_int_equal(smtp_header_scan(&header, STR("a body without a header\r\n"), true), SMTP_HEADER_END);
}

static void test_loop(void **state)
{
    struct buf block;
    struct smtp_header header;
    (void)state;
    buf_init(&block, 65536);
    for (int i = 0; i <= SMTP_RECEIVED_MAX; i++) {
        smtp_header_init(&header, 65536);
        assert_int_equal(smtp_header_scan(&header, buf_str(&block), true), SMTP_HEADER_END);
        assert_false(smtp_header_loops(&header));
        assert_true(buf_append_str(&block, STR("Received: by x\r\n")));
    }
    smtp_header_init(&header, 65536);
    assert_int_equal(smtp_header_scan(&header, buf_str(&block), true), SMTP_HEADER_END);
    assert_true(smtp_header_loops(&header));
    buf_fini(&block);
}

static void test_fields(void **state)
{
    const struct str BLOCK =
        STR("From x Mon\r\nSubject: one\r\n two\r\nsubject :three\r\nX:\r\n..Y: dot\r\nZ: end\r\n\r\n");
    static const struct {
        const char *name, *raw;
    } WANTED[] = {{"Subject", " one\r\n two"}, {"subject", "three"}, {"X", ""}, {".Y", " dot"}, {"Z", " end"}};
    struct smtp_header header;
    struct smtp_header_field field;
    struct str value;
    size_t at = 0;
    (void)state;
    smtp_header_init(&header, 1000);
    assert_int_equal(smtp_header_scan(&header, BLOCK, true), SMTP_HEADER_END);
    struct str fields = str_sub(BLOCK, 0, header.fields_end);
    for (size_t i = 0; i < COUNT_OF(WANTED); i++) {
        assert_true(smtp_header_next(fields, &at, &field));
        assert_true(str_equal(field.name, str_of_z(WANTED[i].name)));
        assert_true(str_equal(field.value, str_of_z(WANTED[i].raw)));
    }
    assert_false(smtp_header_next(fields, &at, &field));
    assert_true(smtp_header_first(fields, STR("SUBJECT"), &value));
    assert_true(str_equal(value, STR(" one\r\n two")));
    assert_false(smtp_header_first(fields, STR("Sub"), &value));
    assert_int_equal(smtp_header_count(fields, STR("Subject")), 2);
    assert_int_equal(smtp_header_count(fields, STR("Date")), 0);
}

static void test_unfold(void **state)
{
    static const char *const CASES[][2] = {
        {" one\r\n two", "one two"}, {" a \r\n\tb\r\n ", "a \tb"},    {"", ""},          {" \r\n \r\n", ""},
        {" a\x01\x7f\x1b", "a???"},  {" gr\xc3\xbcn", "gr\xc3\xbcn"}, {" a\tb", "a\tb"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct buf out;
        buf_init(&out, 100);
        assert_true(smtp_header_unfold(&out, str_of_z(CASES[i][0])));
        CHECK(CASES[i][1], str_equal(buf_str(&out), str_of_z(CASES[i][1])));
        buf_fini(&out);
    }
}

static void test_message_id(void **state)
{
    (void)state;
    assert_true(str_equal(smtp_header_message_id(STR("A: 1\r\nMessage-Id: <a@b>\r\n")), STR("<a@b>")));
    assert_true(str_equal(smtp_header_message_id(STR("Message-ID:\r\n <a@b>\r\nMessage-ID: <c@d>\r\n")), STR("<a@b>")));
    assert_true(str_equal(smtp_header_message_id(STR("Message-ID: <a@b> (made up)\r\n")), STR("<a@b>")));
    assert_int_equal(smtp_header_message_id(STR("A: 1\r\n")).len, 0);
    assert_int_equal(smtp_header_message_id(STR("Message-ID:\r\n")).len, 0);
    assert_int_equal(smtp_header_message_id(STR("Message-ID: <a\x1b@b>\r\n")).len, 0);
}

static void test_addresses(void **state)
{
    static const struct {
        const char *value;
        unsigned count;
        const char *address; /* NULL: none */
    } CASES[] = {
        {"a@b.example", 1, "a@b.example"},
        {" a@b", 1, "a@b"},
        {"<a@b>", 1, "a@b"},
        {"Bob <a@b>", 1, "a@b"},
        {"Bob Q. Public <a@b>", 1, "a@b"},
        {"\"Public, Bob <x@y>\" <a@b>", 1, "a@b"},
        {"=?utf-8?q?B=C3=BCb?= <a@b>", 1, "a@b"},
        {"Bob\r\n <a@b>", 1, "a@b"},
        {"a@b (Bob, x@y)", 1, "a@b"},
        {"(nested (comment \\) <x@y>)) a@b", 1, "a@b"},
        {"a @ b . example", 1, "a@b.example"},
        {"a(c)@(d)b", 1, "a@b"},
        {"\"a b\"@c", 1, "\"a b\"@c"},
        {"a@[192.0.2.1]", 1, "a@[192.0.2.1]"},
        {"<@x,@y:a@b>", 1, "a@b"},
        {"a@b,", 1, "a@b"},
        {",, a@b ,", 1, "a@b"},
        {"Group: a@b;", 1, "a@b"},
        {"j\xc3\xbcrg@b", 1, "j\xc3\xbcrg@b"},
        {"", 0, NULL},
        {" ", 0, NULL},
        {"Undisclosed:;", 0, NULL},
        {"a@b, c@d", 2, NULL},
        {"<a@b>, <c@d>", 2, NULL},
        {"Group: a@b, c@d;", 2, NULL},
        {"Group: a@b;, c@d", 2, NULL},
        {"<a@b> <c@d>", 2, NULL},
        {"root", 1, NULL},
        {"Bob a@b", 1, NULL},
        {"a@b c@d", 1, NULL},
        {"a@b <>", 1, NULL},
        {"<a@b", 1, NULL},
        {"a@b>", 1, NULL},
        {"<a@b> tail", 1, NULL},
        {"<a b@c>", 1, NULL},
        {"<a@b@c>", 1, NULL},
        {"<a:b@c>", 1, NULL},
        {"a@b (unclosed", 1, NULL},
        {"\"unclosed <a@b>", 0, NULL},
        {"a@b;", 1, NULL},
        {"Group: a@b", 1, NULL},
        {"A: B: a@b;", 1, NULL},
        {"a@b)", 1, NULL},
        {"a\\@b", 1, NULL},
        {"\"a\r\n b\"@c", 1, NULL}, /* a fold in a local part: no address that could be sent to */
        {"a@b\x01", 1, NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct buf address;
        unsigned count = 99;
        buf_init(&address, 1000);
        bool ok = smtp_header_single_address(str_of_z(CASES[i].value), &address, &count);
        CHECK(CASES[i].value, ok == (CASES[i].address != NULL));
        CHECK(CASES[i].value, count == CASES[i].count);
        CHECK(CASES[i].value, str_equal(buf_str(&address), str_of_z(CASES[i].address)));
        buf_fini(&address);
    }
}

static void test_from(void **state)
{
    static const struct {
        const char *block, *address;
    } CASES[] = {
        {"A: 1\r\nFrom: Bob <a@b>\r\n", "a@b"},
        {"from : a@b\r\n", "a@b"},
        {"From: a@b\r\nFrom: a@b\r\n", NULL},
        {"From: a@b\r\nFROM : c@d\r\n", NULL},
        {"From: a@b, c@d\r\n", NULL},
        {"Sender: a@b\r\nX-From: a@b\r\n", NULL},
        {"From a@b Mon\r\nFrom: c@d\r\n", "c@d"},
        {"", NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct buf address;
        buf_init(&address, 1000);
        CHECK(CASES[i].block, smtp_header_from(str_of_z(CASES[i].block), &address) == (CASES[i].address != NULL));
        CHECK(CASES[i].block, str_equal(buf_str(&address), str_of_z(CASES[i].address)));
        buf_fini(&address);
    }
}

static void test_long_names_and_addresses(void **state)
{
    char value[2000];
    struct buf address;
    unsigned count;
    (void)state;
    buf_init(&address, 1000);
    memset(value, 'n', sizeof value); /* a name longer than any address does no harm */
    memcpy(value + 1990, " <a@b>", 6);
    assert_true(smtp_header_single_address(str_of(value, 1996), &address, &count));
    assert_true(str_equal(buf_str(&address), STR("a@b")));
    buf_clear(&address);
    memset(value, 'n', sizeof value);
    assert_false(smtp_header_single_address(str_of(value, sizeof value), &address, &count));
    assert_int_equal(count, 1);
    memset(value, '(', sizeof value); /* comments as deep as they like */
    assert_false(smtp_header_single_address(str_of(value, sizeof value), &address, &count));
    buf_fini(&address);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan),
        cmocka_unit_test(test_scan_byte_by_byte),
        cmocka_unit_test(test_scan_is_bounded),
        cmocka_unit_test(test_loop),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_unfold),
        cmocka_unit_test(test_message_id),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_from),
        cmocka_unit_test(test_long_names_and_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
