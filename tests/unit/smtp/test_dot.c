/* test_dot.c - the end of data, and everything that only looks like it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/dot.h"

/* A case fails by name: cmocka only knows lines. */
#define CHECK(name, cond)                                                                                              \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            fail_msg("%s: %s", name, #cond);                                                                           \
    } while (0)

struct dot_case {
    const char *name;
    struct str in;
    enum smtp_dot_result result;
    struct str passed; /* all of it; meaningless after a fault */
    size_t left;       /* bytes behind the end, which belong to the next command */
    uint64_t size;
    uint64_t lines;
    size_t longest;
    bool has_8bit;
};

#define WIRE(literal)                                                                                                  \
    {                                                                                                                  \
        literal, sizeof(literal) - 1                                                                                   \
    }
#define NOTHING                                                                                                        \
    {                                                                                                                  \
        "", 0                                                                                                          \
    }

static const struct dot_case CASES[] = {
    {"an empty message", WIRE(".\r\n"), SMTP_DOT_END, NOTHING, 0, 0, 0, 0, false},
    {"one line", WIRE("a\r\n.\r\n"), SMTP_DOT_END, WIRE("a\r\n"), 0, 3, 1, 3, false},
    {"an empty line", WIRE("\r\n.\r\n"), SMTP_DOT_END, WIRE("\r\n"), 0, 2, 1, 2, false},
    {"several lines", WIRE("ab\r\n\r\ncde\r\n.\r\n"), SMTP_DOT_END, WIRE("ab\r\n\r\ncde\r\n"), 0, 11, 3, 5, false},
    {"a command behind it", WIRE("a\r\n.\r\nQUIT\r\n"), SMTP_DOT_END, WIRE("a\r\n"), 6, 3, 1, 3, false},
    {"a bad line behind it", WIRE("a\r\n.\r\nb\rc\nd\0"), SMTP_DOT_END, WIRE("a\r\n"), 6, 3, 1, 3, false},
    {"8-bit behind it", WIRE("a\r\n.\r\n\xc3\xbc"), SMTP_DOT_END, WIRE("a\r\n"), 2, 3, 1, 3, false},
    {"a stuffed dot", WIRE("..a\r\n.\r\n"), SMTP_DOT_END, WIRE("..a\r\n"), 0, 4, 1, 4, false},
    {"a line of a stuffed dot", WIRE("..\r\n.\r\n"), SMTP_DOT_END, WIRE("..\r\n"), 0, 3, 1, 3, false},
    {"a dot that nobody stuffed", WIRE(".a\r\n.\r\n"), SMTP_DOT_END, WIRE(".a\r\n"), 0, 3, 1, 3, false},
    {"dots within a line", WIRE("a.b.\r\n.\r\n"), SMTP_DOT_END, WIRE("a.b.\r\n"), 0, 6, 1, 6, false},
    {"a dot and a space", WIRE(". \r\n.\r\n"), SMTP_DOT_END, WIRE(". \r\n"), 0, 3, 1, 3, false},
    {"8-bit", WIRE("\xc3\xbc\r\n.\r\n"), SMTP_DOT_END, WIRE("\xc3\xbc\r\n"), 0, 4, 1, 4, true},
    {"8-bit behind a dot", WIRE(".\xff\r\n.\r\n"), SMTP_DOT_END, WIRE(".\xff\r\n"), 0, 3, 1, 3, true},
    {"other control characters", WIRE("\x01\t\v\f\x7f\r\n.\r\n"), SMTP_DOT_END, WIRE("\x01\t\v\f\x7f\r\n"), 0, 7, 1, 7,
     false},

    {"nothing", NOTHING, SMTP_DOT_MORE, NOTHING, 0, 0, 0, 0, false},
    {"a part of a line", WIRE("abc"), SMTP_DOT_MORE, WIRE("abc"), 0, 3, 0, 3, false},
    {"a CR waits", WIRE("abc\r"), SMTP_DOT_MORE, WIRE("abc"), 0, 3, 0, 3, false},
    {"a dot waits", WIRE("a\r\n."), SMTP_DOT_MORE, WIRE("a\r\n"), 0, 3, 1, 3, false},
    {"a dot and a CR wait", WIRE("a\r\n.\r"), SMTP_DOT_MORE, WIRE("a\r\n"), 0, 3, 1, 3, false},
    {"the first dot waits", WIRE("."), SMTP_DOT_MORE, NOTHING, 0, 0, 0, 0, false},
    {"the first CR waits", WIRE("\r"), SMTP_DOT_MORE, NOTHING, 0, 0, 0, 0, false},

    /* each of these ended somebody's data once */
    {"LF.LF", WIRE("a\n.\n"), SMTP_DOT_BARE_LF, NOTHING, 0, 0, 0, 0, false},
    {"LF.CRLF", WIRE("a\n.\r\n"), SMTP_DOT_BARE_LF, NOTHING, 0, 0, 0, 0, false},
    {"CRLF.LF", WIRE("a\r\n.\n"), SMTP_DOT_BARE_LF, NOTHING, 0, 0, 0, 0, false},
    {"CRLF.CR", WIRE("a\r\n.\rb"), SMTP_DOT_BARE_CR, NOTHING, 0, 0, 0, 0, false},
    {"CR.CR", WIRE("a\r.\r"), SMTP_DOT_BARE_CR, NOTHING, 0, 0, 0, 0, false},
    {"CR.CRLF", WIRE("a\r.\r\n"), SMTP_DOT_BARE_CR, NOTHING, 0, 0, 0, 0, false},
    {"CR.LF", WIRE("a\r.\n"), SMTP_DOT_BARE_CR, NOTHING, 0, 0, 0, 0, false},
    {"CRLF.CR.CRLF", WIRE("a\r\n.\r.\r\n"), SMTP_DOT_BARE_CR, NOTHING, 0, 0, 0, 0, false},
    {"CRLF.CRCRLF", WIRE("a\r\n.\r\r\n"), SMTP_DOT_BARE_CR, NOTHING, 0, 0, 0, 0, false},
    {"CRCRLF.CRLF", WIRE("a\r\r\n.\r\n"), SMTP_DOT_BARE_CR, NOTHING, 0, 0, 0, 0, false},
    {"CRCRLF.CRCRLF", WIRE("a\r\r\n.\r\r\n"), SMTP_DOT_BARE_CR, NOTHING, 0, 0, 0, 0, false},
    {"LFCR.LFCR", WIRE("a\n\r.\n\r"), SMTP_DOT_BARE_LF, NOTHING, 0, 0, 0, 0, false},
    {"LF LF", WIRE("a\n\nb"), SMTP_DOT_BARE_LF, NOTHING, 0, 0, 0, 0, false},
    {"LF at once", WIRE("\n.\r\n"), SMTP_DOT_BARE_LF, NOTHING, 0, 0, 0, 0, false},
    {"CRLF LF.CRLF", WIRE("a\r\n\n.\r\n"), SMTP_DOT_BARE_LF, NOTHING, 0, 0, 0, 0, false},
    {".LF at once", WIRE(".\n"), SMTP_DOT_BARE_LF, NOTHING, 0, 0, 0, 0, false},
    {".CR at once", WIRE(".\r."), SMTP_DOT_BARE_CR, NOTHING, 0, 0, 0, 0, false},
    {"..LF", WIRE("..\n"), SMTP_DOT_BARE_LF, NOTHING, 0, 0, 0, 0, false},
    {"CRLF NUL.CRLF", WIRE("a\r\n\0.\r\n"), SMTP_DOT_NUL, NOTHING, 0, 0, 0, 0, false},
    {"CRLF.NUL CRLF", WIRE("a\r\n.\0\r\n"), SMTP_DOT_NUL, NOTHING, 0, 0, 0, 0, false},
    {"CR NUL LF.CRLF", WIRE("a\r\0\n.\r\n"), SMTP_DOT_BARE_CR, NOTHING, 0, 0, 0, 0, false},
    {"CRLF.CR NUL LF", WIRE("a\r\n.\r\0\n"), SMTP_DOT_BARE_CR, NOTHING, 0, 0, 0, 0, false},
    {"a NUL", WIRE("a\0b"), SMTP_DOT_NUL, NOTHING, 0, 0, 0, 0, false},
    {"a NUL before a real end", WIRE("a\0b\r\n.\r\n"), SMTP_DOT_NUL, NOTHING, 0, 0, 0, 0, false},
    {"a bare CR before a real end", WIRE("a\rb\r\n.\r\n"), SMTP_DOT_BARE_CR, NOTHING, 0, 0, 0, 0, false},
    {"a bare LF before a real end", WIRE("a\nb\r\n.\r\n"), SMTP_DOT_BARE_LF, NOTHING, 0, 0, 0, 0, false},
    {"the first fault is the one: CR", WIRE("a\rb\nc\0"), SMTP_DOT_BARE_CR, NOTHING, 0, 0, 0, 0, false},
    {"the first fault is the one: NUL", WIRE("a\0b\rc\nd"), SMTP_DOT_NUL, NOTHING, 0, 0, 0, 0, false},
    {"CRLF VT.CRLF is no end", WIRE("a\r\n\v.\r\n"), SMTP_DOT_MORE, WIRE("a\r\n\v.\r\n"), 0, 7, 2, 4, false},
    {"NEL is no line end", WIRE("a\x85.\x85"), SMTP_DOT_MORE, WIRE("a\x85.\x85"), 0, 4, 0, 4, true},
    {"U+2028 is no line end", WIRE("a\xe2\x80\xa8.\xe2\x80\xa8"), SMTP_DOT_MORE, WIRE("a\xe2\x80\xa8.\xe2\x80\xa8"), 0,
     8, 0, 8, true},
};

struct fed {
    struct smtp_dot dot;
    struct buf passed;
    enum smtp_dot_result result;
    size_t consumed;
};

/* Feeds all of it in pieces: the first of `first` bytes, the others of `rest` each. */
static struct fed feed(struct str in, size_t first, size_t rest)
{
    struct fed fed = {.result = SMTP_DOT_MORE};
    size_t piece = first;
    buf_init(&fed.passed, 1 << 20);
    smtp_dot_init(&fed.dot, 4096);
    while (fed.result == SMTP_DOT_MORE && fed.consumed < in.len) {
        struct smtp_dot_out out;
        struct str chunk = str_sub(in, fed.consumed, piece);
        fed.result = smtp_dot_feed(&fed.dot, chunk, &out);
        assert_true(buf_append_str(&fed.passed, out.held) && buf_append_str(&fed.passed, out.passed));
        if (fed.result == SMTP_DOT_MORE)
            assert_int_equal(out.consumed, chunk.len);
        fed.consumed += out.consumed;
        piece = rest;
    }
    return fed;
}

static void check_fed(const struct dot_case *c, struct fed *fed)
{
    CHECK(c->name, fed->result == c->result);
    if (fed->result == SMTP_DOT_END || fed->result == SMTP_DOT_MORE) {
        CHECK(c->name, str_equal(buf_str(&fed->passed), c->passed));
        CHECK(c->name, fed->consumed == c->in.len - c->left);
        CHECK(c->name, fed->dot.size_bytes == c->size);
        CHECK(c->name, fed->dot.line_count == c->lines);
        CHECK(c->name, fed->dot.longest_line_bytes == c->longest);
        CHECK(c->name, fed->dot.has_8bit == c->has_8bit);
    }
    buf_fini(&fed->passed);
}

static void test_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct fed fed = feed(CASES[i].in, SIZE_MAX, SIZE_MAX);
        check_fed(&CASES[i], &fed);
    }
}

static void test_byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct fed fed = feed(CASES[i].in, 1, 1);
        check_fed(&CASES[i], &fed);
    }
}

static void test_cut_in_two_everywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++)
        for (size_t at = 1; at < CASES[i].in.len; at++) {
            struct fed fed = feed(CASES[i].in, at, SIZE_MAX);
            check_fed(&CASES[i], &fed);
        }
}

/* Behind whole vectors of ordinary bytes the same is seen. */
static void test_behind_long_runs(void **state)
{
    static char wire[5000];
    (void)state;
    for (size_t run = 100; run < 420; run += 7)
        for (size_t i = 0; i < COUNT_OF(CASES); i++) {
            memset(wire, 'x', run);
            memcpy(wire + run, "\r\n", 2);
            if (CASES[i].in.len)
                memcpy(wire + run + 2, CASES[i].in.ptr, CASES[i].in.len);
            struct fed fed = feed(str_of(wire, run + 2 + CASES[i].in.len), SIZE_MAX, SIZE_MAX);
            CHECK(CASES[i].name, fed.result == CASES[i].result);
            if (fed.result == SMTP_DOT_END || fed.result == SMTP_DOT_MORE) {
                CHECK(CASES[i].name, buf_len(&fed.passed) == run + 2 + CASES[i].passed.len);
                CHECK(CASES[i].name, fed.dot.size_bytes == run + 2 + CASES[i].size);
                CHECK(CASES[i].name, fed.dot.has_8bit == CASES[i].has_8bit);
            }
            buf_fini(&fed.passed);
        }
}

static void test_line_limit(void **state)
{
    struct smtp_dot dot;
    struct smtp_dot_out out;
    (void)state;
    smtp_dot_init(&dot, 10);
    assert_int_equal(smtp_dot_feed(&dot, STR("12345678\r\n..2345678\r\n12345678\r"), &out), SMTP_DOT_MORE);
    assert_false(smtp_dot_line_is_too_long(&dot)); /* a stuffed dot does not count */
    assert_int_equal(smtp_dot_feed(&dot, STR("\n123456789"), &out), SMTP_DOT_MORE);
    assert_false(smtp_dot_line_is_too_long(&dot));
    assert_int_equal(smtp_dot_feed(&dot, STR("0a"), &out), SMTP_DOT_MORE);
    assert_true(smtp_dot_line_is_too_long(&dot)); /* known before the line ends */
}

static void test_stuffing(void **state)
{
    static const struct {
        const char *plain, *wire; /* the wire with its end */
    } STUFFED[] = {
        {"", ".\r\n"},
        {"a\r\n", "a\r\n.\r\n"},
        {"a", "a\r\n.\r\n"},
        {".\r\n", "..\r\n.\r\n"},
        {".a\r\n..b\r\nc.d\r\n", "..a\r\n...b\r\nc.d\r\n.\r\n"},
        {"a\r\n.", "a\r\n..\r\n.\r\n"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(STUFFED); i++)
        for (size_t piece = 1; piece < 8; piece++) {
            struct buf wire, plain;
            bool at_start = true;
            struct str rest = str_of_z(STUFFED[i].plain);
            buf_init(&wire, 1000);
            buf_init(&plain, 1000);
            for (; rest.len; rest = str_from(rest, piece))
                assert_true(smtp_dot_stuff(&wire, str_sub(rest, 0, piece), &at_start));
            assert_true(smtp_dot_stuff_end(&wire, at_start));
            CHECK(STUFFED[i].plain, str_equal(buf_str(&wire), str_of_z(STUFFED[i].wire)));

            at_start = true;
            rest = str_sub(buf_str(&wire), 0, buf_len(&wire) - 3);
            for (; rest.len; rest = str_from(rest, piece))
                assert_true(smtp_dot_unstuff(&plain, str_sub(rest, 0, piece), &at_start));
            CHECK(STUFFED[i].plain, str_starts(buf_str(&plain), str_of_z(STUFFED[i].plain)));
            buf_fini(&wire);
            buf_fini(&plain);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_byte_by_byte),
        cmocka_unit_test(test_cut_in_two_everywhere),
        cmocka_unit_test(test_behind_long_runs),
        cmocka_unit_test(test_line_limit),
        cmocka_unit_test(test_stuffing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
