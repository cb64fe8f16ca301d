/* test_command.c - line ends and verbs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/command.h"

/* A case fails by name: cmocka only knows lines. */
#define CHECK(name, cond)                                                                                              \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            fail_msg("%s: %s", name, #cond);                                                                           \
    } while (0)

struct line_case {
    const char *name;
    struct str in;
    size_t max;
    enum smtp_line_result result;
    const char *line;
    size_t consumed;
};

static const struct line_case LINES[] = {
    {"one line", {"NOOP\r\n", 6}, 100, SMTP_LINE_COMPLETE, "NOOP", 6},
    {"two lines", {"NOOP\r\nQUIT\r\n", 12}, 100, SMTP_LINE_COMPLETE, "NOOP", 6},
    {"an empty line", {"\r\n", 2}, 100, SMTP_LINE_COMPLETE, "", 2},
    {"nothing", {"", 0}, 100, SMTP_LINE_MORE, "", 0},
    {"a part", {"NOO", 3}, 100, SMTP_LINE_MORE, "NOO", 0},
    {"a CR may yet get its LF", {"NOOP\r", 5}, 100, SMTP_LINE_MORE, "NOOP", 0},
    {"a bare LF", {"NOOP\n", 5}, 100, SMTP_LINE_BAD, "NOOP", 5},
    {"a bare LF first of all", {"\nNOOP\r\n", 7}, 100, SMTP_LINE_BAD, "", 1},
    {"a bare LF before a CRLF", {"A\nB\r\n", 5}, 100, SMTP_LINE_BAD, "A", 2},
    {"a bare CR", {"NO\rOP\r\n", 7}, 100, SMTP_LINE_BAD, "NO", 3},
    {"a bare CR without an end yet", {"NO\rO", 4}, 100, SMTP_LINE_BAD, "NO", 3},
    {"CR CR LF", {"NOOP\r\r\n", 7}, 100, SMTP_LINE_BAD, "NOOP", 5},
    {"a NUL", {"NO\0OP\r\n", 7}, 100, SMTP_LINE_BAD, "NO", 3},
    {"a NUL without an end yet", {"NO\0", 3}, 100, SMTP_LINE_BAD, "NO", 3},
    {"the first fault counts", {"A\0B\nC\r\n", 7}, 100, SMTP_LINE_BAD, "A", 2},
    {"LF CR is no end", {"NOOP\n\r", 6}, 100, SMTP_LINE_BAD, "NOOP", 5},
    {"just long enough", {"12345678\r\n", 10}, 10, SMTP_LINE_COMPLETE, "12345678", 10},
    {"one too long", {"123456789\r\n", 11}, 10, SMTP_LINE_TOO_LONG, "123456789", 9},
    {"too long without an end", {"1234567890", 10}, 10, SMTP_LINE_TOO_LONG, "1234567890", 10},
    {"too long, far", {"1234567890123\r\n", 15}, 10, SMTP_LINE_TOO_LONG, "1234567890", 10},
    {"a fault in a line too long", {"12\n4567890123\r\n", 15}, 10, SMTP_LINE_BAD, "12", 3},
};

static void test_line_find(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(LINES); i++) {
        const struct line_case *c = &LINES[i];
        struct str line;
        size_t consumed;
        enum smtp_line_result result = smtp_line_find(c->in, c->max, &line, &consumed);
        CHECK(c->name, result == c->result);
        CHECK(c->name, str_equal(line, str_of_z(c->line)));
        CHECK(c->name, consumed == c->consumed);
    }
}

/* Given a byte more each time, the verdict is the one that all bytes at once get. */
static void test_line_find_does_not_depend_on_packets(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(LINES); i++) {
        const struct line_case *c = &LINES[i];
        enum smtp_line_result result = SMTP_LINE_MORE;
        struct str line;
        size_t consumed = 0;
        for (size_t len = 0; len <= c->in.len && result == SMTP_LINE_MORE; len++)
            result = smtp_line_find(str_sub(c->in, 0, len), c->max, &line, &consumed);
        CHECK(c->name, result == c->result);
        CHECK(c->name, consumed == c->consumed);
    }
}

static void test_line_skip(void **state)
{
    static const struct {
        const char *name;
        struct str in;
        bool found;
        size_t consumed;
    } CASES[] = {
        {"its end", {"rest\r\nQUIT\r\n", 12}, true, 6},
        {"not yet", {"rest", 4}, false, 4},
        {"a CR is left", {"rest\r", 5}, false, 4},
        {"nothing", {"", 0}, false, 0},
        {"bare LFs do not end it", {"a\nMAIL\nb\r\nQUIT\r\n", 16}, true, 10},
        {"nor bare CRs", {"a\rMAIL\r\n", 8}, true, 8},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        size_t consumed = 99;
        CHECK(CASES[i].name, smtp_line_skip(CASES[i].in, &consumed) == CASES[i].found);
        CHECK(CASES[i].name, consumed == CASES[i].consumed);
    }
}

static void test_split(void **state)
{
    static const struct {
        const char *line;
        enum smtp_verb verb;
        const char *argument;
        bool has_control;
    } CASES[] = {
        {"EHLO host", SMTP_VERB_EHLO, "host", false},
        {"ehlo host", SMTP_VERB_EHLO, "host", false},
        {"Mail FROM:<a@b>", SMTP_VERB_MAIL, "FROM:<a@b>", false},
        {"RCPT   TO:<a@b>  ", SMTP_VERB_RCPT, "TO:<a@b>", false},
        {"DATA", SMTP_VERB_DATA, "", false},
        {"DATA ", SMTP_VERB_DATA, "", false},
        {"DATAX", SMTP_VERB_UNKNOWN, "", false},
        {"DAT", SMTP_VERB_UNKNOWN, "", false},
        {"", SMTP_VERB_UNKNOWN, "", false},
        {" DATA", SMTP_VERB_UNKNOWN, "DATA", false},
        {"DATA\tx", SMTP_VERB_UNKNOWN, "", true},
        {"EHLO a\vb", SMTP_VERB_EHLO, "a\vb", true},
        {"EHLO a\x7f", SMTP_VERB_EHLO, "a\x7f", true},
        {"EHLO b\xc3\xbc.de", SMTP_VERB_EHLO, "b\xc3\xbc.de", false},
        {"GET / HTTP/1.1", SMTP_VERB_FOREIGN, "/ HTTP/1.1", false},
        {"post / HTTP/1.1", SMTP_VERB_FOREIGN, "/ HTTP/1.1", false},
        {"CONNECT a:25 HTTP/1.1", SMTP_VERB_FOREIGN, "a:25 HTTP/1.1", false},
        {"STARTTLS", SMTP_VERB_STARTTLS, "", false},
        {"AUTH PLAIN =", SMTP_VERB_AUTH, "PLAIN =", false},
        {"BDAT 0 LAST", SMTP_VERB_BDAT, "0 LAST", false},
        {"TURN", SMTP_VERB_TURN, "", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct smtp_command command = smtp_command_split(str_of_z(CASES[i].line));
        CHECK(CASES[i].line, command.verb == CASES[i].verb);
        CHECK(CASES[i].line, str_equal(command.argument, str_of_z(CASES[i].argument)));
        CHECK(CASES[i].line, command.has_control == CASES[i].has_control);
    }
}

/* Every verb is found by its own name, and only by it. */
static void test_verb_names(void **state)
{
    (void)state;
    for (int verb = 0; verb < SMTP_VERB_FOREIGN; verb++) {
        const char *name = smtp_verb_name((enum smtp_verb)verb);
        assert_int_equal(smtp_command_split(str_of_z(name)).verb, verb);
    }
    assert_string_equal(smtp_verb_name(SMTP_VERB_FOREIGN), "foreign");
    assert_string_equal(smtp_verb_name(SMTP_VERB_UNKNOWN), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line_find),  cmocka_unit_test(test_line_find_does_not_depend_on_packets),
        cmocka_unit_test(test_line_skip),  cmocka_unit_test(test_split),
        cmocka_unit_test(test_verb_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
