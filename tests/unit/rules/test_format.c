/* test_format.c - the one layout: texts, and what they become. Each result is also laid out again, to itself. */
#include "format_cases.h"

struct format_case {
    const char *name;
    const char *text;
    const char *wanted;
};

#define A60 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct format_case WORDS[] = {
    {"nothing", "", ""},
    {"only blank lines", "\n \n\t\n", ""},
    {"one space", "  max-errors \t 5", "max-errors 5\n"},
    {"as it is", "max-errors 5\n", "max-errors 5\n"},
    {"CR LF and a BOM",
     "\xEF\xBB\xBF"
     "max-errors 5\r\n# c\r\nuser x\r\n",
     "max-errors 5\n# c\nuser x\n"},
    {"semicolons are newlines", "max-errors 5; user x;\n;;state \"s\" ;", "max-errors 5\nuser x\nstate \"s\"\n"},
    {"blank lines: one", "\n\nmax-errors 5\n\n\n\nuser x\n\n\n", "max-errors 5\n\nuser x\n"},
    {"commas", "limit l per user ,client count messages { 10/1h ,20/1d }",
     "limit l per user, client count messages { 10/1h, 20/1d }\n"},
    {"index", "on mail { rule r drop if user in m[ sender ] }", "on mail { rule r drop if user in m[sender] }\n"},
    {"index of an address", "on mail { rule r drop if \"a\" in m[ ::1 ] and client=[::1] }",
     "on mail { rule r drop if \"a\" in m[::1] and client = [::1] }\n"},
    {"calls", "on mail { rule r drop if used (l)>5 and left( l )<=3 }",
     "on mail { rule r drop if used(l) > 5 and left(l) <= 3 }\n"},
    {"parentheses", "on mail { rule r drop if not( a=\"x\"or(b and not c) ) }",
     "on mail { rule r drop if not (a = \"x\" or (b and not c)) }\n"},
    {"texts stay", "parameter p \"a  \\\"b  # ;\"  'c  {d'", "parameter p \"a  \\\"b  # ;\" 'c  {d'\n"},
    {"words that touch", "on mail { rule r log\"a\",drop if a=\"x\" }",
     "on mail { rule r log \"a\", drop if a = \"x\" }\n"},
    {"rates of parameters", "limit l per user count messages { $n/1h,10/$p }",
     "limit l per user count messages { $n/1h, 10/$p }\n"},
    {"wide characters count as one", "parameter p \"ü\"", "parameter p \"ü\"\n"},
};

static const struct format_case COMMENTS[] = {
    {"alone", "   # a  \n\n\n#b\t \n", "# a\n\n#b\n"},
    {"behind a statement", "max-errors 5# why\nuser x       # who\n", "max-errors 5  # why\nuser x  # who\n"},
    {"behind a semicolon", "max-errors 5; # why\n# own\n", "max-errors 5  # why\n# own\n"},
    {"in a block", "on mail{#a\n#b\n\nrule r drop#c\n\n\n#d\n}",
     "on mail {  #a\n    #b\n\n    rule r drop  #c\n\n    #d\n}\n"},
    {"in a list", "table t domains { a.example # one\n# two\nb.example\n# last\n}\n# out",
     "table t domains {\n    a.example  # one\n    # two\n    b.example\n    # last\n}\n# out\n"},
    {"inside a condition", "on mail {\nrule r drop if # one\na # two\n# three\nand b }",
     "on mail {\n    rule r drop\n        if  # one\n        a  # two\n        # three\n        and b\n}\n"},
    {"in parentheses", "on mail {\nrule r drop if (a # one\nor b) }",
     "on mail {\n    rule r drop if (a  # one\n        or b)\n}\n"},
    {"behind a comma", "on mail {\nrule r log, # why\ndrop }", "on mail {\n    rule r log,  # why\n        drop\n}\n"},
    {"before the condition", "on mail {\nrule r drop\n# why\nif a }",
     "on mail {\n    rule r drop\n        # why\n        if a\n}\n"},
    {"between a word and its list", "on mail {\nrule r drop if a in # x\n{ b } }",
     "on mail {\n    rule r drop if a in  # x\n        { b }\n}\n"},
    {"a long one breaks nothing", "max-errors 5 # " A60 " " A60, "max-errors 5  # " A60 " " A60 "\n"},
};

static const struct format_case BLOCKS[] = {
    {"one line stays", "on rcpt{rule r drop}", "on rcpt { rule r drop }\n"},
    {"two rules are two lines", "on rcpt { rule r drop; rule s accept; }",
     "on rcpt {\n    rule r drop\n    rule s accept\n}\n"},
    {"several lines stay", "on rcpt {\nrule r drop }", "on rcpt {\n    rule r drop\n}\n"},
    {"empty", "on rcpt {}\ntable t domains {\n}", "on rcpt { }\ntable t domains { }\n"},
    {"no blank line at its ends", "on rcpt {\n\nrule r drop\n\n}", "on rcpt {\n    rule r drop\n}\n"},
    {"blank lines within", "on rcpt {\nrule r drop\n\n\nrule s drop\n}",
     "on rcpt {\n    rule r drop\n\n    rule s drop\n}\n"},
    {"a limit on a line", "limit l per network count guesses {10/15m at 100% ban network 15m doubling to 24h}",
     "limit l per network count guesses { 10/15m  at 100% ban network 15m doubling to 24h }\n"},
    {"a limit's parts", "limit l per user count messages { 10/1h,\n20/1d at 50% log at 100% defer\noverrides m if a }",
     "limit l per user count messages {\n    10/1h,\n    20/1d\n    at 50% log\n    at 100% defer\n    overrides m\n   "
     " if a\n}\n"},
    {"rates by lines", "limit l per user count messages {\n10/1h\n20/1d\n}",
     "limit l per user count messages {\n    10/1h\n    20/1d\n}\n"},
    {"rates on a line", "limit l per user count messages {\n10/1h,20/1d\n}",
     "limit l per user count messages {\n    10/1h, 20/1d\n}\n"},
    {"an option block", "listen submission [::]:587{name a tls off;auth off}",
     "listen submission [::]:587 { name a  tls off  auth off }\n"},
    {"options by lines", "listen submission [::]:587 { name a tls off\nauth off }",
     "listen submission [::]:587 {\n    name a\n    tls off\n    auth off\n}\n"},
    {"a test's lines are its author's",
     "test \"x\" {\nclient 192.0.2.1 user a\n\nmail from a@b.c;rcpt to a@b.c\nexpect accept }",
     "test \"x\" {\n    client 192.0.2.1  user a\n\n    mail from a@b.c  rcpt to a@b.c\n    expect accept\n}\n"},
    {"a test on a line", "test \"x\" { expect accept }", "test \"x\" { expect accept }\n"},
    {"a list on a line", "table t domains { a.example,b.example, }", "table t domains { a.example, b.example, }\n"},
    {"a list by lines", "table t domains { a.example,b.example\nc.example }",
     "table t domains {\n    a.example,\n    b.example\n    c.example\n}\n"},
    {"a map", "table m map { a { b,c }, d e }", "table m map { a { b, c }, d e }\n"},
    {"a map by lines", "table m map {\na { b,c }\nd {\ne\nf@g.h,\n} }",
     "table m map {\n    a { b, c }\n    d {\n        e\n        f@g.h,\n    }\n}\n"},
    {"words of conditions in a list", "on mail { rule r drop if a in { if, and,\nor } }",
     "on mail {\n    rule r drop if a in {\n        if,\n        and,\n        or\n    }\n}\n"},
};

static const struct format_case LINES[] = {
    {"the condition on its line", "on mail {\nrule r drop\nif a\nunless b\n}",
     "on mail {\n    rule r drop\n        if a\n        unless b\n}\n"},
    {"broken behind the word", "on mail {\nrule r drop if\na and\nb }",
     "on mail {\n    rule r drop\n        if a\n        and b\n}\n"},
    {"broken at an operator", "on mail {\nrule r drop if a =\n\"b\" and c in\n{ d } }",
     "on mail {\n    rule r drop if a = \"b\" and c in { d }\n}\n"},
    {"broken in parentheses", "on mail {\nrule r drop if (\na\n=\"b\"\nor c\n) }",
     "on mail {\n    rule r drop if (a = \"b\"\n        or c)\n}\n"},
    {"no blank line within a statement", "on mail {\nrule r drop\n\nif a }",
     "on mail {\n    rule r drop\n        if a\n}\n"},
    {"actions by lines", "on mail {\nrule r log,\ndrop }", "on mail {\n    rule r log,\n        drop\n}\n"},
    {"a list in a continuation", "on mail {\nrule r drop\nif a in {\nb\nc } and d }",
     "on mail {\n    rule r drop\n        if a in {\n            b\n            c\n        } and d\n}\n"},
    {"too long: the block", "on mail { rule r reject \"" A60 "\" if a = \"" A60 "\" }",
     "on mail {\n    rule r reject \"" A60 "\"\n        if a = \"" A60 "\"\n}\n"},
    {"too long: the list", "table t domains { " A60 ".example, " A60 ".example }",
     "table t domains {\n    " A60 ".example,\n    " A60 ".example\n}\n"},
    {"too long: operators of the outer parentheses first",
     "on mail {\nrule r drop if a = \"" A60 "\" and (b = \"x\" or c = \"" A60 "\")\n}",
     "on mail {\n    rule r drop\n        if a = \"" A60 "\"\n        and (b = \"x\" or c = \"" A60 "\")\n}\n"},
    {"too long: operators within", "on mail {\nrule r drop if (b = \"" A60 "\" or c = \"" A60 "\")\n}",
     "on mail {\n    rule r drop\n        if (b = \"" A60 "\"\n        or c = \"" A60 "\")\n}\n"},
    {"too long: the list in a condition", "on mail {\nrule r drop if b in { \"" A60 "\", \"" A60 "\" } and c\n}",
     "on mail {\n    rule r drop\n        if b in {\n            \"" A60 "\",\n            \"" A60
     "\"\n        }\n        and c\n}\n"},
    {"too long: actions", "on mail {\nrule r log \"" A60 "\", tag x \"" A60 "\", drop\n}",
     "on mail {\n    rule r log \"" A60 "\",\n        tag x \"" A60 "\",\n        drop\n}\n"},
    {"too long: steps", "test \"x\" {\nmail from " A60 "@b.example rcpt to " A60 "@b.example\n}",
     "test \"x\" {\n    mail from " A60 "@b.example\n    rcpt to " A60 "@b.example\n}\n"},
    {"too long: nothing helps", "parameter p \"" A60 A60 "\" \"b\"", "parameter p \"" A60 A60 "\" \"b\"\n"},
    {"just fits", "parameter p \"" A60 "aaaaaaaaaa\" \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" # c",
     "parameter p \"" A60 "aaaaaaaaaa\" \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"  # c\n"},
};

static void check_all(const struct format_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        print_message("%s\n", cases[i].name);
        check_formatted(cases[i].text, str_of_z(cases[i].wanted));
    }
}

static void test_words(void **state)
{
    (void)state;
    check_all(WORDS, COUNT_OF(WORDS));
}

static void test_comments(void **state)
{
    (void)state;
    check_all(COMMENTS, COUNT_OF(COMMENTS));
}

static void test_blocks(void **state)
{
    (void)state;
    check_all(BLOCKS, COUNT_OF(BLOCKS));
}

static void test_lines(void **state)
{
    (void)state;
    check_all(LINES, COUNT_OF(LINES));
}

/* A text with errors has no layout; what it includes is of no interest. */
static void test_errors(void **state)
{
    (void)state;
    struct buf to;
    buf_init(&to, 4096);
    assert_int_equal(format_text(STR("max-errors 5\nuser"), &to), FORMAT_HAS_ERRORS);
    assert_true(str_equal(buf_str(&to), STR("expected a name, found end of line")));
    assert_int_equal(format_text(STR("include \"nowhere.rules\"\n"), &to), FORMAT_DONE);
    assert_true(str_equal(buf_str(&to), STR("include \"nowhere.rules\"\n")));
    assert_int_equal(format_text(STR("on mail { rule r drop if nobody.knows = 5 }"), &to), FORMAT_DONE);
    buf_fini(&to);
}

/* What does not fit into the buffer is said, and leaves nothing behind. */
static void test_no_room(void **state)
{
    (void)state;
    struct buf to;
    buf_init(&to, 10);
    assert_int_equal(format_text(STR("user x"), &to), FORMAT_DONE);
    buf_fini(&to);
    struct source_set sources;
    struct diagnostics d;
    struct err err;
    uint32_t file;
    source_set_init(&sources, NULL, 0);
    diag_init(&d, &sources);
    assert_true(source_add_text(&sources, STR("t"), STR("user x\nmax-errors 5"), &file, &err));
    assert_int_equal(rules_format(&sources, file, &d, &to), FORMAT_HAS_ERRORS);
    assert_int_equal(buf_len(&to), 0);
    assert_int_equal(d.error_count, 1);
    buf_fini(&to);
    diag_fini(&d);
    source_set_fini(&sources);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words), cmocka_unit_test(test_comments), cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_lines), cmocka_unit_test(test_errors),   cmocka_unit_test(test_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
