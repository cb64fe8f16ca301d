/* test_table_file.c - files of tables: what they may hold, and what is said of what they may not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rules/table.h"

enum { SAID_BYTES = 16384 };

/* Reads text as a table's file named T; returns what was said about it. */
static const char *read_text(struct lookup *t, enum table_type type, struct str text)
{
    static char said[SAID_BYTES];
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(fwrite(text.ptr, 1, text.len, file), text.len);
    assert_int_equal(fflush(file), 0);
    rewind(file);
    struct source_set sources;
    struct diagnostics d;
    struct buf out;
    source_set_init(&sources, NULL, 0);
    diag_init(&d, &sources);
    buf_init(&out, sizeof said - 1);
    lookup_init(t, type, STR("t"));
    bool ok = lookup_read_open(t, fileno(file), &sources, STR("T"), PLACE_NONE, &d);
    assert_int_equal(ok, !diag_has_errors(&d));
    assert_true(diag_print(&d, &out));
    str_copy_into(said, sizeof said, buf_str(&out));
    buf_fini(&out);
    diag_fini(&d);
    source_set_fini(&sources);
    fclose(file);
    return said;
}

struct good {
    const char *name;
    enum table_type type;
    const char *text;
    const char *asked;
    size_t count;
};

static const struct good GOOD[] = {
    {"comments, empty lines, CR", TABLE_DOMAINS,
     "# ours\r\nexample.org\r\n\r\n  .example.net   # all below\nlast.example", "last.example", 3},
    {"a comment that touches", TABLE_STRINGS, "alpha#beta\n", "alpha", 1},
    {"a BOM", TABLE_STRINGS,
     "\xEF\xBB\xBF"
     "alpha\n",
     "alpha", 1},
    {"a word in quotes", TABLE_STRINGS, "\"two words\"\n'a # b'\n", "two words", 2},
    {"a # in quotes", TABLE_STRINGS, "\"two words\"\n'a # b'\n", "a # b", 2},
    {"escapes", TABLE_STRINGS, "\"say \\\"hi\\\" \\\\\"\n", "say \"hi\" \\", 1},
    {"an apostrophe", TABLE_ADDRESSES, "o'neil@example.org\n", "O'Neil@example.org", 1},
    {"an apostrophe at the beginning", TABLE_STRINGS, "'tis\n", "'tis", 1},
    {"a quoted local part", TABLE_ADDRESSES, "\"bob smith\"@example.org\n", "\"bob smith\"@EXAMPLE.org", 1},
    {"braces in a word", TABLE_ADDRESSES, "a{b}@example.org\n", "a{b}@example.org", 1},
    {"a map", TABLE_MAP, "info@example.org { alice, bob }\nsales@example.org carol\n", "sales@example.org", 3},
    {"braces that touch", TABLE_MAP, "info@example.org {alice,bob}# c\n", "info@example.org", 2},
    {"a trailing comma", TABLE_MAP, "k { a, b, }\n", "k", 2},
    {"values in quotes", TABLE_MAP, "k \"a b\"\n", "k", 1},
    {"a key in quotes", TABLE_MAP, "\"my key\" v\n", "my key", 1},
    {"a key in quotes that ends in :", TABLE_MAP, "\"key:\" v\n", "key:", 1},
    {"a pattern, whole line", TABLE_PATTERNS, "  ^a b{2},c$  \n", "a bb,c", 1},
    {"a pattern with #", TABLE_PATTERNS, "a#b # what follows a space is none of it\n", "xa#by", 1},
    {"a pattern in '…'", TABLE_PATTERNS, "' # ' # a comment\n", "a # b", 1},
    {"a pattern in \"…\"", TABLE_PATTERNS, "\"a\\\\d\"\n", "a7", 1},
    {"a pattern that begins with a quote", TABLE_PATTERNS, "'a' or\n", "x'a' or", 1},
    {"nothing", TABLE_STRINGS, "", NULL, 0},
    {"only comments", TABLE_NETWORKS, "# a\n   # b", NULL, 0},
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(GOOD); i++) {
        struct lookup t;
        const char *said = read_text(&t, GOOD[i].type, str_of_z(GOOD[i].text));
        if (said[0])
            fail_msg("%s: %s", GOOD[i].name, said);
        struct fact x = {.kind = FACT_TEXT, .text = str_of_z(GOOD[i].asked)};
        if (GOOD[i].asked && !lookup_has(&t, &x))
            fail_msg("%s: not in it", GOOD[i].name);
        assert_int_equal(lookup_item_count(&t), GOOD[i].count);
        lookup_fini(&t);
    }
}

static void test_netmap(void **state)
{
    (void)state;
    struct lookup t;
    struct fact x = {.kind = FACT_IP};
    const char *text = "10.0.0.0/8 office\n10.1.0.0/16 \"head office\"\n2001:db8::/32 { home }\n";
    assert_string_equal(read_text(&t, TABLE_NETMAP, str_of_z(text)), "");
    assert_true(ip_parse(STR("10.1.2.3"), &x.ip));
    assert_true(str_equal(lookup_net_value(&t, &x), STR("head office")));
    assert_true(ip_parse(STR("2001:db8::1"), &x.ip));
    assert_true(str_equal(lookup_net_value(&t, &x), STR("home")));
    lookup_fini(&t);
}

struct bad {
    enum table_type type;
    const char *text, *said;
};

#define SHOWN(line, text, marker) line " | " text "\n      | " marker "\n"

static const struct bad BAD[] = {
    {TABLE_NETWORKS, "192.0.2.0/24\n  192.0.2.7/24\n",
     "T:2:3: error: 192.0.2.7/24 has bits beyond /24\n" SHOWN("    2", "  192.0.2.7/24", "  ^^^^^^^^^^^^")},
    {TABLE_NETWORKS, "example.org # no\n",
     "T:1:1: error: \"example.org\" is not a network\n" SHOWN("    1", "example.org # no", "^^^^^^^^^^^")},
    {TABLE_NETWORKS, "192.0.2.9-192.0.2.1\n",
     "T:1:1: error: \"192.0.2.9-192.0.2.1\" is not a network\n" SHOWN("    1", "192.0.2.9-192.0.2.1",
                                                                      "^^^^^^^^^^^^^^^^^^^")},
    {TABLE_ADDRESSES, "\xC3\xBC@example.org\n\xC3\xBC\xC3\xBC x\n",
     "T:2:4: error: expected end of line, found \"x\"\n" SHOWN("    2", "\xC3\xBC\xC3\xBC x", "   ^")},
    {TABLE_ADDRESSES, "bob\n", "T:1:1: error: \"bob\" is not an address\n" SHOWN("    1", "bob", "^^^")},
    {TABLE_DOMAINS, "..example.org",
     "T:1:1: error: \"..example.org\" is not a domain\n" SHOWN("    1", "..example.org", "^^^^^^^^^^^^^")},
    {TABLE_STRINGS, "alpha beta\n",
     "T:1:7: error: expected end of line, found \"beta\"\n" SHOWN("    1", "alpha beta", "      ^^^^")},
    {TABLE_STRINGS, "alpha, beta\n",
     "T:1:6: error: expected end of line, found \",\"\n" SHOWN("    1", "alpha, beta", "     ^")},
    {TABLE_STRINGS, "\"alpha\n", "T:1:1: error: this text is never closed\n" SHOWN("    1", "\"alpha", "^^^^^^")},
    {TABLE_STRINGS, "\"a\\d\"\n",
     "T:1:3: error: unknown escape \\d in a text; patterns stand in '…'\n" SHOWN("    1", "\"a\\d\"", "  ^^")},
    {TABLE_STRINGS,
     "ok\na\x01"
     "b\n",
     "T:2:2: error: unexpected character \"\\x01\"\n" SHOWN("    2", "a?b", " ^")},
    {TABLE_STRINGS,
     "a\xFF"
     "b\n",
     "T:1:2: error: unexpected character \"\\xFF\"\n" SHOWN("    1", "a?b", " ^")},
    {TABLE_MAP, "key\n", "T:1:4: error: expected a value, found end of line\n" SHOWN("    1", "key", "   ^")},
    {TABLE_MAP, "key { a, b\n", "T:1:5: error: this { is never closed\n" SHOWN("    1", "key { a, b", "    ^")},
    {TABLE_MAP, "key { }\n", "T:1:7: error: expected a value, found \"}\"\n" SHOWN("    1", "key { }", "      ^")},
    {TABLE_MAP, "a@b.test: c\n",
     "T:1:1: error: no : stands behind the key \"a@b.test:\"\n" SHOWN("    1", "a@b.test: c", "^^^^^^^^^")},
    {TABLE_MAP, "key a b\n", "T:1:7: error: expected end of line, found \"b\"\n" SHOWN("    1", "key a b", "      ^")},
    {TABLE_MAP, "key { a } b\n",
     "T:1:11: error: expected end of line, found \"b\"\n" SHOWN("    1", "key { a } b", "          ^")},
    {TABLE_NETMAP, "10.0.0.0/8\n",
     "T:1:11: error: expected a value, found end of line\n" SHOWN("    1", "10.0.0.0/8", "          ^")},
    {TABLE_NETMAP, "10.0.0.0/8 { a, b }\n",
     "T:1:17: error: a netmap gives one value\n" SHOWN("    1", "10.0.0.0/8 { a, b }", "                ^")},
    {TABLE_NETMAP, "10.0.0.1/8 a\n",
     "T:1:1: error: 10.0.0.1/8 has bits beyond /8\n" SHOWN("    1", "10.0.0.1/8 a", "^^^^^^^^^^")},
    {TABLE_PATTERNS, "a\nb(\n", "T:2:1: error: bad pattern: missing closing parenthesis\n" SHOWN("    2", "b(", "^^")},
    {TABLE_DOMAINS, "a..b\nexample.org\nb..c\n",
     "T:1:1: error: \"a..b\" is not a domain\n" SHOWN(
         "    1", "a..b", "^^^^") "T:3:1: error: \"b..c\" is not a domain\n" SHOWN("    3", "b..c", "^^^^")},
};

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(BAD); i++) {
        struct lookup t;
        const char *said = read_text(&t, BAD[i].type, str_of_z(BAD[i].text));
        if (strcmp(said, BAD[i].said) != 0)
            fail_msg("case %zu:\n%s\nwanted:\n%s", i, said, BAD[i].said);
        lookup_fini(&t);
    }
}

/* As many mistakes are told as are shown, and no line of a good part is needed for it. */
static void test_many_mistakes(void **state)
{
    (void)state;
    struct buf text;
    struct lookup t;
    buf_init(&text, 1 << 20);
    for (int i = 0; i < 1000; i++)
        assert_true(buf_printf(&text, "good%d.example\nbad..%d\n", i, i));
    struct str said = str_of_z(read_text(&t, TABLE_DOMAINS, buf_str(&text)));
    size_t count = 0;
    for (size_t i = 0; i + 8 < said.len; i++)
        count += str_equal(str_sub(said, i, 8), STR(": error:"));
    assert_int_equal(count, DIAG_MAX_SHOWN);
    assert_true(str_contains_nocase(said, STR("T:100:1: error: \"bad..49\" is not a domain")));
    buf_fini(&text);
    lookup_fini(&t);
}

/* Lines that lie across the chunks in which a file is read. */
static void test_long_files(void **state)
{
    (void)state;
    enum { LINES = 200000 };
    struct buf text;
    struct lookup t;
    buf_init(&text, 16 << 20);
    for (int i = 0; i < LINES; i++)
        assert_true(buf_printf(&text, "user%d@host%d.example\n", i, i % 977));
    assert_string_equal(read_text(&t, TABLE_ADDRESSES, buf_str(&text)), "");
    assert_int_equal(lookup_item_count(&t), LINES);
    for (int i = 0; i < LINES; i += 7) {
        char address[64];
        snprintf(address, sizeof address, "user%d@host%d.example", i, i % 977);
        struct fact x = {.kind = FACT_TEXT, .text = str_of_z(address)};
        assert_true(lookup_has(&t, &x));
        address[0] = 'x';
        assert_false(lookup_has(&t, &x));
    }
    buf_fini(&text);
    lookup_fini(&t);
}

static void test_long_line(void **state)
{
    (void)state;
    struct buf text;
    struct lookup t;
    buf_init(&text, 1 << 20);
    assert_true(buf_append_str(&text, STR("short\n")));
    for (int i = 0; i < TABLE_LINE_MAX_BYTES + 1; i++)
        assert_true(buf_append_char(&text, 'x'));
    assert_true(str_starts(str_of_z(read_text(&t, TABLE_STRINGS, buf_str(&text))),
                           STR("T:2:1: error: a line of more than 65536 bytes\n")));
    lookup_fini(&t);
    buf_clear(&text);
    for (int i = 0; i < 600; i++)
        assert_true(buf_append_char(&text, 'x'));
    assert_true(str_starts(str_of_z(read_text(&t, TABLE_STRINGS, buf_str(&text))),
                           STR("T:1:1: error: an item of 600 bytes is not possible\n")));
    lookup_fini(&t);
    buf_fini(&text);
}

static void say_of_path(const char *path, const char *wanted)
{
    char said[1024];
    struct source_set sources;
    struct diagnostics d;
    struct lookup t;
    struct buf out;
    source_set_init(&sources, NULL, 0);
    diag_init(&d, &sources);
    buf_init(&out, sizeof said - 1);
    lookup_init(&t, TABLE_STRINGS, STR("t"));
    assert_int_equal(lookup_read(&t, &sources, str_of_z(path), PLACE_NONE, &d), *wanted == 0);
    assert_true(diag_print(&d, &out));
    assert_string_equal(str_copy_into(said, sizeof said, buf_str(&out)).ptr, wanted);
    buf_fini(&out);
    diag_fini(&d);
    source_set_fini(&sources);
    lookup_fini(&t);
}

static void test_unreadable(void **state)
{
    (void)state;
    say_of_path("/nonexistent/t", "error: cannot read \"/nonexistent/t\": No such file or directory\n");
    say_of_path("/tmp", "error: cannot read \"/tmp\": Is a directory\n");
    say_of_path("/dev/zero", "error: cannot read \"/dev/zero\": not a regular file\n");
    say_of_path("/dev/null", ""); /* how one writes: no file */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),          cmocka_unit_test(test_netmap),     cmocka_unit_test(test_bad),
        cmocka_unit_test(test_many_mistakes), cmocka_unit_test(test_long_files), cmocka_unit_test(test_long_line),
        cmocka_unit_test(test_unreadable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
