/* test_source.c - files and includes: on disk, among built-in texts, and what is said when they are not as they should
 * be. */
#include "parse_cases.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder of its own for each test, and it is the current one: names are relative as an administrator's are. */
struct folder {
    char path[64];
    char before[512];
};

static void folder_open(struct folder *f)
{
    snprintf(f->path, sizeof f->path, "/tmp/mailweir-source-XXXXXX");
    assert_non_null(getcwd(f->before, sizeof f->before));
    assert_non_null(mkdtemp(f->path));
    assert_int_equal(chdir(f->path), 0);
}

static void folder_close(struct folder *f)
{
    char command[128];
    assert_int_equal(chdir(f->before), 0);
    snprintf(command, sizeof command, "rm -r %s", f->path);
    assert_int_equal(system(command), 0);
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* Everything that is printed. */
static void check_printed(const char *name, const char *wanted)
{
    struct source_set sources;
    struct diagnostics d;
    struct tree tree;
    struct buf said;
    source_set_init(&sources, NULL, 0);
    diag_init(&d, &sources);
    tree_init(&tree, &sources);
    buf_init(&said, 1 << 20);
    bool fine = rules_parse(&sources, name, &d, &tree);
    assert_true(diag_print(&d, &said) && buf_append_char(&said, '\0'));
    assert_int_equal(fine, wanted[0] == '\0');
    assert_string_equal(buf_str(&said).ptr, wanted);
    buf_fini(&said);
    tree_fini(&tree);
    diag_fini(&d);
    source_set_fini(&sources);
}

/* Names are joined to their includer's folder, for reading and for printing. */
static void test_include(void **state)
{
    struct folder f;
    (void)state;
    folder_open(&f);
    assert_int_equal(mkdir("rules", 0700), 0);
    assert_int_equal(mkdir("rules/more", 0700), 0);
    write_file("a.conf", "workers 1\ninclude \"rules/b.rules\"\nworkers 2000\n");
    write_file("rules/b.rules", "include \"more/c.rules\"\nuser x y\n");
    write_file("rules/more/c.rules", "\xEF\xBB\xBFuser if\n");
    check_printed("a.conf", "a.conf:3:9: error: workers must be from 1 to 256, not 2000\n"
                            "    3 | workers 2000\n"
                            "      |         ^^^^\n"
                            "rules/b.rules:2:8: error: expected end of line, found \"y\"\n"
                            "    2 | user x y\n"
                            "      |        ^\n"
                            "rules/more/c.rules:1:6: error: \"if\" cannot be a name\n"
                            "    1 | user if\n"
                            "      |      ^^\n");
    check_printed("./a.conf", "./a.conf:3:9: error: workers must be from 1 to 256, not 2000\n"
                              "    3 | workers 2000\n"
                              "      |         ^^^^\n"
                              "./rules/b.rules:2:8: error: expected end of line, found \"y\"\n"
                              "    2 | user x y\n"
                              "      |        ^\n"
                              "./rules/more/c.rules:1:6: error: \"if\" cannot be a name\n"
                              "    1 | user if\n"
                              "      |      ^^\n");
    folder_close(&f);
}

static void test_order(void **state)
{
    struct folder f;
    struct source_set sources;
    struct diagnostics d;
    struct tree tree;
    (void)state;
    folder_open(&f);
    write_file("a.conf", "user a\ninclude \"[bc].rules\" observe\nuser f\n");
    write_file("c.rules", "user e\n");
    write_file("b.rules", "user b; include \"d.rules\"; user d");
    write_file("d.rules", "user c\n");
    source_set_init(&sources, NULL, 0);
    diag_init(&d, &sources);
    tree_init(&tree, &sources);
    assert_true(rules_parse(&sources, "a.conf", &d, &tree));
    char order[16] = "", observed[16] = "";
    for (size_t i = 0; i < tree.count; i++) {
        if (tree.statements[i]->kind != STATEMENT_USER)
            continue;
        strncat(order, tree.statements[i]->server.values.items[0].text.ptr, 1);
        strcat(observed, tree.statements[i]->is_observed ? "1" : "0");
    }
    assert_string_equal(order, "abcdef");
    assert_string_equal(observed, "011110");
    assert_int_equal(tree.statements[1]->include.file_count, 2);
    tree_fini(&tree);
    diag_fini(&d);
    source_set_fini(&sources);
    folder_close(&f);
}

static void test_cannot_read(void **state)
{
    struct folder f;
    (void)state;
    folder_open(&f);
    assert_int_equal(mkdir("folder", 0700), 0);
    write_file("a.conf", "include \"no.rules\"\n"
                         "include \"folder\"\n"
                         "include \"nofolder/*.rules\"\n"
                         "include \"folder/*.rules\"\n"
                         "include \"/dev/null\"\n"
                         "include \"a.conf/x\"\n");
    check_printed("a.conf", "a.conf:1:9: error: cannot read \"no.rules\": No such file or directory\n"
                            "    1 | include \"no.rules\"\n"
                            "      |         ^^^^^^^^^^\n"
                            "a.conf:2:9: error: cannot read \"folder\": Is a directory\n"
                            "    2 | include \"folder\"\n"
                            "      |         ^^^^^^^^\n"
                            "a.conf:3:9: error: cannot read \"nofolder/*.rules\": No such file or directory\n"
                            "    3 | include \"nofolder/*.rules\"\n"
                            "      |         ^^^^^^^^^^^^^^^^^^\n"
                            "a.conf:5:9: error: cannot read \"/dev/null\": not a regular file\n"
                            "    5 | include \"/dev/null\"\n"
                            "      |         ^^^^^^^^^^^\n"
                            "a.conf:6:9: error: cannot read \"a.conf/x\": Not a directory\n"
                            "    6 | include \"a.conf/x\"\n"
                            "      |         ^^^^^^^^^^\n");
    check_printed("no.conf", "error: cannot read \"no.conf\": No such file or directory\n");
    check_printed("folder", "error: cannot read \"folder\": Is a directory\n");
    folder_close(&f);
}

static void test_cycle(void **state)
{
    struct folder f;
    (void)state;
    folder_open(&f);
    write_file("a.conf", "include \"b.rules\"\ninclude \"c.rules\"\n");
    write_file("b.rules", "# nothing before it\n  include \"a.conf\"\n");
    write_file("c.rules", "include \"./c.rules\" observe\n");
    check_printed("a.conf", "b.rules:2:11: error: include cycle: a.conf, b.rules, a.conf\n"
                            "    2 |   include \"a.conf\"\n"
                            "      |           ^^^^^^^^\n"
                            "c.rules:1:9: error: include cycle: c.rules, c.rules\n"
                            "    1 | include \"./c.rules\" observe\n"
                            "      |         ^^^^^^^^^^^\n");
    folder_close(&f);
}

/* A file included twice says what is wrong with it once. */
static void test_twice(void **state)
{
    struct folder f;
    (void)state;
    folder_open(&f);
    write_file("a.conf", "include \"b.rules\"; include \"b.rules\"\n");
    write_file("b.rules", "x\n");
    check_printed("a.conf", "b.rules:1:1: error: unknown statement \"x\"\n"
                            "    1 | x\n"
                            "      | ^\n");
    folder_close(&f);
}

static void test_deep(void **state)
{
    struct folder f;
    char name[16], text[32];
    (void)state;
    folder_open(&f);
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "%d", i);
        snprintf(text, sizeof text, "include \"%d\"\n", i + 1);
        write_file(name, text);
    }
    check_printed("0", "15:1:9: error: includes nest at most 16 deep\n"
                       "    1 | include \"16\"\n"
                       "      |         ^^^^\n");
    folder_close(&f);
}

/* Fifteen small files could mean 3^14 inclusions. */
static void test_too_many(void **state)
{
    struct folder f;
    char name[16], text[128];
    (void)state;
    folder_open(&f);
    for (int i = 0; i < 15; i++) {
        snprintf(name, sizeof name, "%d", i);
        text[0] = '\0';
        if (i < 14)
            snprintf(text, sizeof text, "include \"%d\"; include \"%d\"; include \"%d\"\n", i + 1, i + 1, i + 1);
        write_file(name, text);
    }
    struct source_set sources;
    struct diagnostics d;
    struct tree tree;
    source_set_init(&sources, NULL, 0);
    diag_init(&d, &sources);
    tree_init(&tree, &sources);
    assert_false(rules_parse(&sources, "0", &d, &tree));
    assert_true(tree.inclusions == SOURCE_MAX_FILES && tree.count < 4 * SOURCE_MAX_FILES);
    for (size_t i = 0; i < d.count; i++)
        assert_true(str_equal(d.items[i].text, STR("more than 1000 files are included")));
    tree_fini(&tree);
    diag_fini(&d);
    source_set_fini(&sources);
    folder_close(&f);
}

static void test_too_large(void **state)
{
    struct folder f;
    (void)state;
    folder_open(&f);
    FILE *file = fopen("large", "w");
    assert_non_null(file);
    assert_int_equal(ftruncate(fileno(file), SOURCE_MAX_FILE_BYTES + 1), 0);
    assert_int_equal(fclose(file), 0);
    check_printed("large", "error: cannot read \"large\": larger than 16M\n");
    folder_close(&f);
}

/* The letters of the includer's folder are no pattern. */
static void test_glob_folder(void **state)
{
    struct folder f;
    (void)state;
    folder_open(&f);
    assert_int_equal(mkdir("[x]", 0700), 0);
    write_file("[x]/a.conf", "include \"*.rules\"\n");
    write_file("[x]/b.rules", "x\n");
    check_printed("[x]/a.conf", "[x]/b.rules:1:1: error: unknown statement \"x\"\n"
                                "    1 | x\n"
                                "      | ^\n");
    folder_close(&f);
}

/* Built-in texts include each other, never the disk; and the disk never includes them. */
static void test_builtin(void **state)
{
#define BUILTIN(name, text)                                                                                            \
    {                                                                                                                  \
        name, text, sizeof(text) - 1                                                                                   \
    }
    static const struct source_builtin builtins[] = {
        BUILTIN("p/a.rules", "include \"b.rules\"\ninclude \"*.more\"\ninclude \"/etc/passwd\""),
        BUILTIN("p/b.rules", "user b"),
        BUILTIN("p/c.more", "user c"),
        BUILTIN("q/d.more", "user d"),
    };
    struct source_set sources;
    struct diagnostics d;
    struct tree tree;
    (void)state;
    source_set_init(&sources, builtins, COUNT_OF(builtins));
    diag_init(&d, &sources);
    tree_init(&tree, &sources);
    assert_false(rules_parse_builtin(&sources, "p/a.rules", &d, &tree));
    assert_int_equal(d.count, 1);
    assert_true(str_equal(d.items[0].text, STR("cannot read \"/etc/passwd\": No such file or directory")));
    assert_int_equal(tree.count, 5);
    assert_true(str_equal(tree.statements[1]->server.values.items[0].text, STR("b")));
    assert_true(str_equal(tree.statements[3]->server.values.items[0].text, STR("c")));
    assert_false(rules_parse_builtin(&sources, "none", &d, &tree));
    assert_false(rules_parse(&sources, "p/a.rules", &d, &tree));
    tree_fini(&tree);
    diag_fini(&d);
    source_set_fini(&sources);
}

/* The page that the language is written on: its example is a whole, working configuration. */
static void test_example(void **state)
{
    (void)state;
    check_printed(SOURCE_DIR "/tests/fuzz/corpus/rules_parse/example.rules", "");
}

static void test_join(void **state)
{
    static const struct {
        const char *from, *name, *joined;
    } cases[] = {{"a.conf", "b", "b"},
                 {"./a.conf", "b", "./b"},
                 {"/etc/a.conf", "b/c", "/etc/b/c"},
                 {"x/y/a.conf", "b", "x/y/b"},
                 {"x/a.conf", "/b", "/b"},
                 {"x/a.conf", "../b", "x/../b"},
                 {"/a", "b", "/b"},
                 {"x/a.conf", "b\\*", "x/b\\*"}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct source_set sources;
        struct err err;
        uint32_t file;
        source_set_init(&sources, NULL, 0);
        assert_true(source_add_text(&sources, str_of_z(cases[i].from), STR(""), &file, &err));
        struct str joined = source_join(&sources, file, str_of_z(cases[i].name), &sources.arena);
        if (!str_equal(joined, str_of_z(cases[i].joined)))
            fail_msg("%s + %s: " PRI_STR, cases[i].from, cases[i].name, STR_ARG(joined));
        source_set_fini(&sources);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_include),   cmocka_unit_test(test_order),    cmocka_unit_test(test_cannot_read),
        cmocka_unit_test(test_cycle),     cmocka_unit_test(test_twice),    cmocka_unit_test(test_deep),
        cmocka_unit_test(test_too_large), cmocka_unit_test(test_too_many), cmocka_unit_test(test_glob_folder),
        cmocka_unit_test(test_builtin),   cmocka_unit_test(test_example),  cmocka_unit_test(test_join),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
