/* test_replace.c - a file's content is replaced at once; its mode and the links that lead to it stay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/replace.h"

struct folder {
    char dir[64], file[96], link[96];
};

static int open_folder(void **state)
{
    static struct folder f;
    snprintf(f.dir, sizeof f.dir, "/tmp/mailweir-replace-XXXXXX");
    assert_non_null(mkdtemp(f.dir));
    snprintf(f.file, sizeof f.file, "%s/a.rules", f.dir);
    snprintf(f.link, sizeof f.link, "%s/link", f.dir);
    FILE *out = fopen(f.file, "w");
    assert_non_null(out);
    fputs("old", out);
    fclose(out);
    *state = &f;
    return 0;
}

static int close_folder(void **state)
{
    struct folder *f = *state;
    unlink(f->link);
    unlink(f->file);
    /* fails if a temporary file was left behind */
    assert_int_equal(rmdir(f->dir), 0);
    return 0;
}

static void assert_holds(const char *path, const char *wanted)
{
    char text[64] = "";
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    text[fread(text, 1, sizeof text - 1, in)] = '\0';
    fclose(in);
    assert_string_equal(text, wanted);
}

static void test_content_and_mode(void **state)
{
    struct folder *f = *state;
    struct err err;
    struct stat before, after;
    assert_int_equal(chmod(f->file, 0640), 0);
    assert_int_equal(stat(f->file, &before), 0);
    assert_true(file_replace(f->file, STR("new text"), &err));
    assert_holds(f->file, "new text");
    assert_int_equal(stat(f->file, &after), 0);
    assert_int_equal(after.st_mode & 07777, 0640);
    assert_int_equal(after.st_uid, before.st_uid);
    assert_int_not_equal(after.st_ino, before.st_ino);
}

static void test_links_stay(void **state)
{
    struct folder *f = *state;
    struct err err;
    struct stat st;
    assert_int_equal(symlink("a.rules", f->link), 0);
    assert_true(file_replace(f->link, STR("new"), &err));
    assert_int_equal(lstat(f->link, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_holds(f->file, "new");
}

static void test_what_is_not_there(void **state)
{
    struct folder *f = *state;
    struct err err;
    assert_false(file_replace(f->link, STR("new"), &err));
    assert_non_null(strstr(err.text, "No such file"));
    assert_false(file_replace(f->dir, STR("new"), &err));
    assert_non_null(strstr(err.text, "is no plain file"));
    assert_false(file_replace("", STR("new"), &err));
    assert_holds(f->file, "old");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_content_and_mode, open_folder, close_folder),
        cmocka_unit_test_setup_teardown(test_links_stay, open_folder, close_folder),
        cmocka_unit_test_setup_teardown(test_what_is_not_there, open_folder, close_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
