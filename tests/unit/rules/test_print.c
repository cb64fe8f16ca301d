/* test_print.c - errors and warnings in RULES.md's form, to the letter; suggestions. */
#include "parse_cases.h"
#include "rules/suggest.h"

struct printer {
    struct source_set sources;
    struct diagnostics d;
    struct buf said;
    uint32_t file;
};

static void printer_open(struct printer *p, const char *name, struct str text)
{
    struct err err;
    source_set_init(&p->sources, NULL, 0);
    diag_init(&p->d, &p->sources);
    buf_init(&p->said, 1 << 20);
    assert_true(source_add_text(&p->sources, str_of_z(name), text, &p->file, &err));
}

static void printer_check(struct printer *p, const char *wanted)
{
    assert_true(diag_print(&p->d, &p->said) && buf_append_char(&p->said, '\0'));
    assert_string_equal(buf_str(&p->said).ptr, wanted);
    buf_fini(&p->said);
    diag_fini(&p->d);
    source_set_fini(&p->sources);
}

static struct place at(const struct printer *p, uint32_t line, uint32_t col, uint32_t len, uint32_t offset)
{
    return (struct place){p->file, line, col, len, offset};
}

/* RULES.md, "Errors". */
static void test_form(void **state)
{
    struct printer p;
    (void)state;
    printer_open(&p, "rules/submission.rules",
                 STR("#1\n#2\n#3\n#4\n#5\n#6\n#7\n#8\n#9\n#10\n#11\n#12\n#13\n"
                     "    rule no-relay reject unless recipient.domain in local-domains\n"));
    assert_false(diag_error(&p.d, at(&p, 14, 33, 16, 75), "unknown attribute \"recipient.domain\""));
    diag_did_you_mean(&p.d, STR("rcpt.domain"));
    printer_check(&p, "rules/submission.rules:14:33: error: unknown attribute \"recipient.domain\"\n"
                      "   14 |     rule no-relay reject unless recipient.domain in local-domains\n"
                      "      |                                 ^^^^^^^^^^^^^^^^ did you mean \"rcpt.domain\"?\n");
}

static void test_order_and_kinds(void **state)
{
    struct printer p;
    (void)state;
    printer_open(&p, "f", STR("one\ntwo\n"));
    diag_warning(&p.d, at(&p, 2, 1, 3, 4), "w");
    diag_error(&p.d, at(&p, 1, 2, 1, 1), "b");
    diag_error(&p.d, at(&p, 1, 1, 1, 0), "a");
    diag_error(&p.d, at(&p, 1, 1, 1, 0), "a2");
    diag_error(&p.d, PLACE_NONE, "nowhere");
    diag_hint(&p.d, "do %s", "this");
    diag_error(&p.d, at(&p, 1, 1, 1, 0), "a"); /* said already */
    assert_int_equal(p.d.error_count, 4);
    assert_int_equal(p.d.warning_count, 1);
    printer_check(&p, "error: nowhere; do this\n"
                      "f:1:1: error: a\n    1 | one\n      | ^\n"
                      "f:1:1: error: a2\n    1 | one\n      | ^\n"
                      "f:1:2: error: b\n    1 | one\n      |  ^\n"
                      "f:2:1: warning: w\n    2 | two\n      | ^^^\n");
}

/* TABs stay TABs above and below, so the marker stands under its word whatever a TAB's width; letters count, not bytes.
 */
static void test_alignment(void **state)
{
    struct printer p;
    (void)state;
    printer_open(&p, "f", STR("\t\xC3\xBC\tx\xC3\xBCy z"));
    diag_error(&p.d, at(&p, 1, 4, 3, 4), "m");
    printer_check(&p, "f:1:4: error: m\n    1 | \t\xC3\xBC\tx\xC3\xBCy z\n      | \t \t^^^\n");
}

static void test_edges(void **state)
{
    struct printer p;
    (void)state;
    printer_open(&p, "f", STR("ab\r\ncd"));
    diag_error(&p.d, at(&p, 1, 3, 0, 2), "end of line");
    diag_error(&p.d, at(&p, 2, 2, 99, 5), "longer than the line");
    diag_error(&p.d, at(&p, 2, 3, 0, 6), "end of file");
    printer_check(&p, "f:1:3: error: end of line\n    1 | ab\n      |   ^\n"
                      "f:2:2: error: longer than the line\n    2 | cd\n      |  ^\n"
                      "f:2:3: error: end of file\n    2 | cd\n      |   ^\n");
}

/* Nothing unprintable leaves, from texts, names or source lines; and a source line's columns stay where they were. */
static void test_clean(void **state)
{
    struct printer p;
    (void)state;
    printer_open(&p, "f\n", STR("a\x1B[1m\xFF\xC2\x85z \\d"));
    diag_error(&p.d, at(&p, 1, 8, 1, 8), "\x1B[2J \\d \xFF \xC2\x85");
    diag_hint(&p.d, "\r");
    printer_check(&p, "f\\x0A:1:8: error: \\x1B[2J \\d \\xFF \\xC2\\x85\n"
                      "    1 | a?[1m??z \\d\n"
                      "      |        ^ \\x0D\n");
}

static void test_many(void **state)
{
    struct printer p;
    struct buf wanted;
    (void)state;
    printer_open(&p, "f", STR("x"));
    buf_init(&wanted, 1 << 20);
    for (unsigned i = 6000; i > 0; i--)
        diag_error(&p.d, at(&p, 1, 1, 1, 0), "%04u", i);
    for (unsigned i = 6000; i > 6000 - DIAG_MAX_SHOWN; i--)
        assert_true(buf_printf(&wanted, "f:1:1: error: %04u\n    1 | x\n      | ^\n", i));
    assert_true(buf_printf(&wanted, "5950 more errors\n") && buf_append_char(&wanted, '\0'));
    assert_int_equal(p.d.error_count, 6000);
    assert_int_equal(p.d.count, DIAG_MAX_KEPT);
    printer_check(&p, buf_str(&wanted).ptr);
    buf_fini(&wanted);
}

/* A line of a thousand letters is shown around the place. */
static void test_long_line(void **state)
{
    struct printer p;
    char text[1001], wanted[1024];
    (void)state;
    for (unsigned i = 0; i < 1000; i++)
        text[i] = (char)('a' + i % 26);
    text[1000] = '\0';
    printer_open(&p, "f", str_of(text, 1000));
    diag_error(&p.d, at(&p, 1, 501, 2, 500), "m");
    snprintf(wanted, sizeof wanted, "f:1:501: error: m\n    1 | …%.160s…\n      | %81s^^\n", text + 420, "");
    printer_check(&p, wanted);
    printer_open(&p, "f", str_of(text, 1000));
    diag_error(&p.d, at(&p, 1, 2, 2, 1), "m");
    snprintf(wanted, sizeof wanted, "f:1:2: error: m\n    1 | %.160s…\n      |  ^^\n", text);
    printer_check(&p, wanted);
}

static void test_suggest(void **state)
{
    static const struct {
        const char *wrong, *candidates, *best;
    } cases[] = {
        {"recipient.domain", "rcpt.domain rcpt.local sender.domain", "rcpt.domain"},
        {"rejcet", "accept reject defer", "reject"},
        {"REJECT", "accept reject", "reject"},
        {"acept", "accept reject", "accept"},
        {"log", "lgo log", "log"},
        {"lgo", "log", "log"},
        {"xyz", "log tag drop", ""},
        {"a", "b", ""},
        {"ab", "abc", "abc"},
        {"", "a", ""},
        {"mal", "mail rcpt", "mail"},
        {"clint", "client", "client"},
        {"ac", "ab ad", "ab"}, /* the first of two as near */
        {"something-quite-else", "user", ""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct str rest = str_of_z(cases[i].candidates);
        struct suggestion s;
        suggest_init(&s, str_of_z(cases[i].wrong));
        while (rest.len)
            suggest_offer(&s, str_split(rest, ' ', &rest));
        if (!str_equal(suggest_best(&s), str_of_z(cases[i].best)))
            fail_msg("%s: " PRI_STR, cases[i].wrong, STR_ARG(suggest_best(&s)));
    }
}

static void test_distance(void **state)
{
    static const struct {
        const char *a, *b;
        unsigned distance;
    } cases[] = {{"", "", 0},       {"a", "", 1},      {"", "ab", 2},     {"abc", "abc", 0},
                 {"abc", "acb", 1}, {"abc", "ABC", 0}, {"abc", "axc", 1}, {"kitten", "sitting", 3},
                 {"ca", "abc", 3}};
    char word[SUGGEST_MAX_LEN + 2];
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if (suggest_distance(str_of_z(cases[i].a), str_of_z(cases[i].b)) != cases[i].distance)
            fail_msg("%s %s", cases[i].a, cases[i].b);
    memset(word, 'x', sizeof word);
    assert_int_equal(suggest_distance(str_of(word, SUGGEST_MAX_LEN), str_of(word, SUGGEST_MAX_LEN)), 0);
    assert_true(suggest_distance(str_of(word, SUGGEST_MAX_LEN + 1), str_of(word, 3)) > SUGGEST_MAX_LEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_form),      cmocka_unit_test(test_order_and_kinds), cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_edges),     cmocka_unit_test(test_clean),           cmocka_unit_test(test_many),
        cmocka_unit_test(test_long_line), cmocka_unit_test(test_suggest),         cmocka_unit_test(test_distance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
