/* test_reply.c - replies written and read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/reply.h"

/* A case fails by name: cmocka only knows lines. */
#define CHECK(name, cond)                                                                                              \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            fail_msg("%s: %s", name, #cond);                                                                           \
    } while (0)

static void test_written(void **state)
{
    static const struct {
        const char *name;
        unsigned code;
        const char *enhanced, *text;
        bool allows_utf8;
        const char *wire;
    } CASES[] = {
        {"one line", 250, "2.1.0", "Ok", false, "250 2.1.0 Ok\r\n"},
        {"no enhanced code", 220, "", "mx ESMTP", false, "220 mx ESMTP\r\n"},
        {"an empty challenge", 334, "", "", false, "334 \r\n"},
        {"several lines", 550, "5.7.1", "one\ntwo", false, "550-5.7.1 one\r\n550 5.7.1 two\r\n"},
        {"an empty line within", 550, "5.7.1", "one\n\ntwo", false, "550-5.7.1 one\r\n550-5.7.1 \r\n550 5.7.1 two\r\n"},
        {"an LF at the end", 250, "2.0.0", "one\n", false, "250 2.0.0 one\r\n"},
        {"only an LF", 250, "", "\n", false, "250 \r\n"},
        {"CRLF in the text", 550, "", "one\r\ntwo", false, "550-one\r\n550 two\r\n"},
        {"control characters", 550, "", "a\x01\t\r\v\x7f\x1b[2Jb", false, "550 a[2Jb\r\n"},
        {"UTF-8 unasked", 550, "", "gr\xc3\xbcn", false, "550 grn\r\n"},
        {"UTF-8 asked for", 550, "", "gr\xc3\xbcn \xe2\x82\xac \xf0\x9f\x98\x80", true,
         "550 gr\xc3\xbcn \xe2\x82\xac \xf0\x9f\x98\x80\r\n"},
        {"broken UTF-8", 550, "", "a\xc3(\xff\xe2\x82\xc2\x85z", true, "550 a(z\r\n"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct buf out;
        buf_init(&out, 4096);
        CHECK(CASES[i].name, buf_append_str(&out, STR("before")));
        CHECK(CASES[i].name, smtp_reply_append(&out, CASES[i].code, str_of_z(CASES[i].enhanced),
                                               str_of_z(CASES[i].text), CASES[i].allows_utf8));
        CHECK(CASES[i].name, str_equal(str_from(buf_str(&out), 6), str_of_z(CASES[i].wire)));
        buf_fini(&out);
    }
}

/* Wrapped at 512 bytes, at a space where there is one, each line with code and enhanced code, nothing lost. */
static void test_written_wrapped(void **state)
{
    char words[3000], solid[1200];
    struct buf out;
    (void)state;
    for (size_t i = 0; i < sizeof words; i++)
        words[i] = i % 10 == 9 ? ' ' : 'w';
    memset(solid, 's', sizeof solid);
    const struct str texts[] = {{words, sizeof words}, {solid, sizeof solid}};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        size_t lines = 0, letters = 0;
        buf_init(&out, 65536);
        assert_true(smtp_reply_append(&out, 550, STR("5.7.1"), texts[i], false));
        struct str rest = buf_str(&out);
        while (rest.len) {
            size_t lf = str_find(rest, '\n');
            struct str line = str_sub(rest, 0, lf + 1);
            rest = str_from(rest, lf + 1);
            lines++;
            assert_true(line.len <= SMTP_REPLY_LINE_MAX);
            assert_true(str_starts(line, rest.len ? STR("550-5.7.1 ") : STR("550 5.7.1 ")));
            for (size_t j = 10; j + 2 < line.len; j++)
                letters += line.ptr[j] == 'w' || line.ptr[j] == 's';
            assert_true(i == 1 || line.ptr[line.len - 3] == 'w' ||
                        rest.len == 0); /* no cut word, no blank at the end */
        }
        assert_int_equal(letters, i == 0 ? sizeof words - sizeof words / 10 : sizeof solid);
        assert_int_equal(lines, i == 0 ? 6 : 3);
        buf_fini(&out);
    }
}

static void test_written_keeps_characters_whole(void **state)
{
    char text[2000];
    struct buf out;
    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = i % 2 ? '\xbc' : '\xc3';
    buf_init(&out, 65536);
    assert_true(smtp_reply_append(&out, 550, STR("5.7.1"), str_of(text, sizeof text), true));
    assert_true(str_is_utf8(buf_str(&out)));
    buf_fini(&out);
}

static void test_written_bounded(void **state)
{
    char lfs[1000];
    struct buf out;
    size_t lines = 0;
    (void)state;
    memset(lfs, '\n', sizeof lfs);
    buf_init(&out, 65536);
    assert_true(smtp_reply_append(&out, 550, STR("5.7.1"), str_of(lfs, sizeof lfs), false));
    for (struct str rest = buf_str(&out); rest.len; rest = str_from(rest, str_find(rest, '\n') + 1))
        lines++;
    assert_int_equal(lines, SMTP_REPLY_READ_LINES_MAX);
    buf_fini(&out);

    buf_init(&out, 20);
    assert_true(buf_append_str(&out, STR("0123456789")));
    assert_false(smtp_reply_append(&out, 550, STR("5.7.1"), STR("a\nb"), false));
    assert_true(str_equal(buf_str(&out), STR("0123456789")));
    buf_fini(&out);
}

struct read_case {
    const char *name;
    struct str in;
    enum smtp_reply_result result;
    unsigned code;
    const char *enhanced, *text;
    unsigned line_count;
    size_t consumed;
};

#define WIRE(literal)                                                                                                  \
    {                                                                                                                  \
        literal, sizeof(literal) - 1                                                                                   \
    }

static const struct read_case READS[] = {
    {"one line", WIRE("250 2.1.0 Ok\r\n"), SMTP_REPLY_COMPLETE, 250, "2.1.0", "Ok", 1, 14},
    {"no enhanced code", WIRE("250 Ok\r\n"), SMTP_REPLY_COMPLETE, 250, "", "Ok", 1, 8},
    {"a bare LF", WIRE("250 Ok\n"), SMTP_REPLY_COMPLETE, 250, "", "Ok", 1, 7},
    {"three digits", WIRE("250\r\n"), SMTP_REPLY_COMPLETE, 250, "", "", 1, 5},
    {"three digits, LF", WIRE("250\n"), SMTP_REPLY_COMPLETE, 250, "", "", 1, 4},
    {"three digits and a space", WIRE("250 \r\n"), SMTP_REPLY_COMPLETE, 250, "", "", 1, 6},
    {"only an enhanced code", WIRE("250 2.0.0\r\n"), SMTP_REPLY_COMPLETE, 250, "2.0.0", "", 1, 11},
    {"two replies", WIRE("250 Ok\r\n354 Go\r\n"), SMTP_REPLY_COMPLETE, 250, "", "Ok", 1, 8},
    {"EHLO", WIRE("250-mx.example\r\n250-PIPELINING\r\n250 SIZE 100\r\n"), SMTP_REPLY_COMPLETE, 250, "",
     "mx.example\nPIPELINING\nSIZE 100", 3, 46},
    {"enhanced on each line", WIRE("550-5.7.1 one\r\n550 5.7.1 two\r\n"), SMTP_REPLY_COMPLETE, 550, "5.7.1", "one\ntwo",
     2, 30},
    {"enhanced on the first only", WIRE("550-5.7.1 one\r\n550 two\r\n"), SMTP_REPLY_COMPLETE, 550, "5.7.1", "one\ntwo",
     2, 24},
    {"last line of three digits", WIRE("250-a\r\n250\r\n"), SMTP_REPLY_COMPLETE, 250, "", "a\n", 2, 12},
    {"a class that is not the code's", WIRE("250 5.7.1 x\r\n"), SMTP_REPLY_COMPLETE, 250, "", "5.7.1 x", 1, 13},
    {"no enhanced code, though like one", WIRE("220 2.0.0.1 x\r\n"), SMTP_REPLY_COMPLETE, 220, "", "2.0.0.1 x", 1, 15},
    {"four digits in it", WIRE("550 5.1234.1 x\r\n"), SMTP_REPLY_COMPLETE, 550, "", "5.1234.1 x", 1, 16},
    {"the longest one", WIRE("550 5.999.999 x\r\n"), SMTP_REPLY_COMPLETE, 550, "5.999.999", "x", 1, 17},
    {"none for 354", WIRE("354 3.0.0 go\r\n"), SMTP_REPLY_COMPLETE, 354, "", "3.0.0 go", 1, 14},
    {"599", WIRE("599 x\r\n"), SMTP_REPLY_COMPLETE, 599, "", "x", 1, 7},
    {"nothing", WIRE(""), SMTP_REPLY_MORE, 0, "", "", 0, 0},
    {"a part", WIRE("250 O"), SMTP_REPLY_MORE, 0, "", "", 0, 0},
    {"a line, more to come", WIRE("250-a\r\n25"), SMTP_REPLY_MORE, 0, "", "", 0, 7},
    {"0xx", WIRE("050 x\r\n"), SMTP_REPLY_BROKEN, 0, "", "", 0, 0},
    {"1xx", WIRE("150 x\r\n"), SMTP_REPLY_BROKEN, 0, "", "", 0, 0},
    {"6xx", WIRE("600 x\r\n"), SMTP_REPLY_BROKEN, 0, "", "", 0, 0},
    {"two digits", WIRE("25 x\r\n"), SMTP_REPLY_BROKEN, 0, "", "", 0, 0},
    {"four digits", WIRE("2500 x\r\n"), SMTP_REPLY_BROKEN, 0, "", "", 0, 0},
    {"no separator", WIRE("250x\r\n"), SMTP_REPLY_BROKEN, 0, "", "", 0, 0},
    {"a tab", WIRE("250\tx\r\n"), SMTP_REPLY_BROKEN, 0, "", "", 0, 0},
    {"a CR for a separator", WIRE("250\rx\r\n"), SMTP_REPLY_BROKEN, 0, "", "", 0, 0},
    {"garbage", WIRE("hello\r\n"), SMTP_REPLY_BROKEN, 0, "", "", 0, 0},
    {"garbage that does not end", WIRE("hello"), SMTP_REPLY_BROKEN, 0, "", "", 0, 0},
    {"an empty line", WIRE("\r\n"), SMTP_REPLY_BROKEN, 0, "", "", 0, 0},
    {"a bare LF alone", WIRE("\n"), SMTP_REPLY_BROKEN, 0, "", "", 0, 0},
    {"a NUL", WIRE("\0\0\0"), SMTP_REPLY_BROKEN, 0, "", "", 0, 0},
    {"another code in the last line", WIRE("250-a\r\n251 b\r\n"), SMTP_REPLY_BROKEN, 0, "", "", 0, 0},
    {"TLS", WIRE("\x16\x03\x01"), SMTP_REPLY_BROKEN, 0, "", "", 0, 0},
};

static void check_answer(const struct read_case *c, enum smtp_reply_result result, const struct smtp_answer *answer)
{
    CHECK(c->name, result == c->result);
    if (result != SMTP_REPLY_COMPLETE)
        return;
    CHECK(c->name, answer->code == c->code);
    CHECK(c->name, str_equal(str_of_z(answer->enhanced), str_of_z(c->enhanced)));
    CHECK(c->name, str_equal(answer->text, str_of_z(c->text)));
    CHECK(c->name, answer->line_count == c->line_count);
}

static void test_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(READS); i++) {
        const struct read_case *c = &READS[i];
        struct smtp_reply_reader reader;
        struct smtp_answer answer = {0};
        size_t consumed;
        smtp_reply_reader_init(&reader);
        enum smtp_reply_result result = smtp_reply_read(&reader, c->in, &consumed, &answer);
        check_answer(c, result, &answer);
        CHECK(c->name, result == SMTP_REPLY_BROKEN || consumed == c->consumed);
        CHECK(c->name, (result == SMTP_REPLY_BROKEN) == (smtp_reply_reader_fault(&reader)[0] != '\0'));
        CHECK(c->name, c->line_count != 1 || reader.text.data == NULL); /* the fast path holds no memory */
        smtp_reply_reader_fini(&reader);
    }
}

static void test_read_byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(READS); i++) {
        const struct read_case *c = &READS[i];
        struct smtp_reply_reader reader;
        struct smtp_answer answer = {0};
        enum smtp_reply_result result = SMTP_REPLY_MORE;
        size_t from = 0, consumed;
        smtp_reply_reader_init(&reader);
        for (size_t len = 0; len <= c->in.len && result == SMTP_REPLY_MORE; len++) {
            result = smtp_reply_read(&reader, str_sub(c->in, from, len - from), &consumed, &answer);
            from += consumed;
        }
        check_answer(c, result, &answer);
        CHECK(c->name, result == SMTP_REPLY_BROKEN || from == c->consumed);
        smtp_reply_reader_fini(&reader);
    }
}

/* One reader serves one reply after another. */
static void test_read_many(void **state)
{
    static const struct str IN =
        WIRE("220 hi\r\n250-5.0.0 a\r\n250-b\r\n250 c\r\n250 2.1.0 d\r\n550-5.1.1 e\r\n550 5.1.1 f\r\n");
    static const struct {
        unsigned code;
        const char *enhanced, *text;
    } WANTED[] = {{220, "", "hi"}, {250, "", "5.0.0 a\nb\nc"}, {250, "2.1.0", "d"}, {550, "5.1.1", "e\nf"}};
    struct smtp_reply_reader reader;
    struct smtp_answer answer;
    struct str rest = IN;
    size_t consumed;
    (void)state;
    smtp_reply_reader_init(&reader);
    for (size_t i = 0; i < COUNT_OF(WANTED); i++) {
        assert_int_equal(smtp_reply_read(&reader, rest, &consumed, &answer), SMTP_REPLY_COMPLETE);
        assert_int_equal(answer.code, WANTED[i].code);
        assert_string_equal(answer.enhanced, WANTED[i].enhanced);
        assert_true(str_equal(answer.text, str_of_z(WANTED[i].text)));
        rest = str_from(rest, consumed);
    }
    assert_int_equal(smtp_reply_read(&reader, rest, &consumed, &answer), SMTP_REPLY_MORE);
    assert_null(reader.text.data); /* given back with the last reply */
    smtp_reply_reader_fini(&reader);
}

static enum smtp_reply_result read_all(struct smtp_reply_reader *reader, struct str in, struct smtp_answer *answer)
{
    size_t consumed;
    smtp_reply_reader_init(reader);
    return smtp_reply_read(reader, in, &consumed, answer);
}

static void test_read_bounds(void **state)
{
    static char wire[200000];
    struct smtp_reply_reader reader;
    struct smtp_answer answer;
    size_t n = 0;
    (void)state;

    memset(wire, 'x', sizeof wire);
    memcpy(wire, "250 ", 4);
    assert_int_equal(read_all(&reader, str_of(wire, 2047), &answer), SMTP_REPLY_MORE);
    assert_int_equal(read_all(&reader, str_of(wire, 2048), &answer), SMTP_REPLY_BROKEN);
    assert_string_equal(smtp_reply_reader_fault(&reader), "a line of more than 2048 bytes");
    wire[2046] = '\r';
    wire[2047] = '\n';
    assert_int_equal(read_all(&reader, str_of(wire, 2048), &answer), SMTP_REPLY_COMPLETE);
    assert_int_equal(answer.text.len, 2042);

    for (int i = 0; i < 127; i++)
        n += (size_t)snprintf(wire + n, sizeof wire - n, "250-x\r\n");
    n += (size_t)snprintf(wire + n, sizeof wire - n, "250 x\r\n");
    assert_int_equal(read_all(&reader, str_of(wire, n), &answer), SMTP_REPLY_COMPLETE);
    assert_int_equal(answer.line_count, 128);
    smtp_reply_reader_fini(&reader);
    wire[n - 4] = '-';
    n += (size_t)snprintf(wire + n, sizeof wire - n, "250 x\r\n");
    assert_int_equal(read_all(&reader, str_of(wire, n), &answer), SMTP_REPLY_BROKEN);
    assert_string_equal(smtp_reply_reader_fault(&reader), "a reply of more than 128 lines");
    smtp_reply_reader_fini(&reader);

    n = 0;
    for (int i = 0; i < 100; i++)
        n += (size_t)snprintf(wire + n, sizeof wire - n, "250-%01000d\r\n", i);
    assert_int_equal(read_all(&reader, str_of(wire, n), &answer), SMTP_REPLY_BROKEN);
    assert_string_equal(smtp_reply_reader_fault(&reader), "a reply of more than 64 KiB");
    smtp_reply_reader_fini(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written),
        cmocka_unit_test(test_written_wrapped),
        cmocka_unit_test(test_written_keeps_characters_whole),
        cmocka_unit_test(test_written_bounded),
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_read_byte_by_byte),
        cmocka_unit_test(test_read_many),
        cmocka_unit_test(test_read_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
