/* test_check_files.c - tests/rules/: with what lies in good/ nothing is wrong; of what lies in bad/ the whole text of
 * what is said stands beside it, in x.expected. Read as if the whole language were in force. Tests in these files are
 * run by tests/system/test_rules_files.py: with what is wrong in nothing but its tests, here nothing is wrong. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "rules/check.h"

enum { SAID_MAX = 64 << 10 };

/* All that parser and check say of a file, as it is printed. */
static void say_of(const char *path, struct buf *said)
{
    struct source_set sources;
    struct diagnostics d;
    struct tree tree;
    source_set_init(&sources, NULL, 0);
    diag_init(&d, &sources);
    tree_init(&tree, &sources);
    bool is_parsed = rules_parse(&sources, path, &d, &tree);
    bool is_fine = rules_check_all(&tree, &d, true) && is_parsed;
    assert_int_equal(is_fine, !diag_has_errors(&d));
    assert_true(diag_print(&d, said));
    tree_fini(&tree);
    diag_fini(&d);
    source_set_fini(&sources);
}

static void expected_of(const char *path, char *to)
{
    char name[512];
    snprintf(name, sizeof name, "%.*s.expected", (int)(strlen(path) - strlen(".rules")), path);
    FILE *file = fopen(name, "r");
    if (!file)
        fail_msg("%s is missing", name);
    to[fread(to, 1, SAID_MAX - 1, file)] = '\0';
    fclose(file);
}

static size_t check_folder(const char *folder, bool is_good)
{
    static char expected[SAID_MAX];
    size_t count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        char path[512];
        struct buf said;
        const char *dot = strrchr(e->d_name, '.');
        if (!dot || (strcmp(dot, ".rules") != 0 && (strcmp(dot, ".conf") != 0 || !is_good)))
            continue; /* of whole configurations others say something, too */
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        expected[0] = '\0';
        if (!is_good)
            expected_of(path, expected);
        if (strstr(expected, ": error: test \""))
            expected[0] = '\0';
        buf_init(&said, SAID_MAX);
        say_of(path, &said);
        if (!str_equal(buf_str(&said), str_of_z(expected)))
            fail_msg("%s: said\n" PRI_STR "\nexpected\n%s", path, STR_ARG(buf_str(&said)), expected);
        buf_fini(&said);
        count++;
    }
    closedir(dir);
    return count;
}

static void good_files(void **state)
{
    (void)state;
    assert_true(check_folder("good", true) >= 3);
}

static void bad_files(void **state)
{
    (void)state;
    assert_true(check_folder("bad", false) >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(good_files), cmocka_unit_test(bad_files)};
    if (chdir(SOURCE_DIR "/tests/rules") != 0) /* places name files as they were given */
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
