/* test_node_id.c - a node's id, in the state directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "limits/node_id.h"

static char dir[64], path[80];

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/mailweir-test-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/node", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    rmdir(path);
    return rmdir(dir);
}

static void write_file(const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void assert_is_id(const char *id)
{
    assert_int_equal(strlen(id), NODE_ID_BYTES);
    assert_int_equal(strspn(id, "0123456789abcdef"), NODE_ID_BYTES);
}

static void test_made_once(void **state)
{
    (void)state;
    char a[NODE_ID_BYTES + 1], b[NODE_ID_BYTES + 1];
    struct err err;
    struct stat st;
    assert_true(node_id_load(dir, a, &err));
    assert_is_id(a);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_true(node_id_load(dir, b, &err));
    assert_string_equal(a, b);
}

static void test_without_a_directory_another_each_time(void **state)
{
    (void)state;
    char a[NODE_ID_BYTES + 1], b[NODE_ID_BYTES + 1], none[80];
    struct err err;
    snprintf(none, sizeof none, "%s/none", dir);
    assert_true(node_id_load(NULL, a, &err));
    assert_true(node_id_load(none, b, &err));
    assert_is_id(a);
    assert_is_id(b);
    assert_string_not_equal(a, b);
}

static void test_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_id;
    } CASES[] = {{"0123456789abcdef\n", true},   {"0123456789abcdef", true},    {"", false},
                 {"0123456789abcde\n", false},   {"0123456789ABCDEF\n", false}, {"0123456789abcdef0\n", false},
                 {"0123456789abcdef\n\n", false}};
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        char id[NODE_ID_BYTES + 1];
        struct err err = {0};
        write_file(CASES[i].text);
        if (node_id_load(dir, id, &err) != CASES[i].is_id)
            fail_msg("\"%s\"", CASES[i].text);
        assert_is_id(id);
        assert_int_equal(strcmp(id, "0123456789abcdef") == 0, CASES[i].is_id);
        assert_int_equal(strstr(err.hint, "remove it") != NULL, !CASES[i].is_id);
    }
}

static void test_what_cannot_be_read(void **state)
{
    (void)state;
    char id[NODE_ID_BYTES + 1];
    struct err err;
    assert_int_equal(mkdir(path, 0700), 0);
    assert_false(node_id_load(dir, id, &err));
    assert_is_id(id);
    assert_non_null(strstr(err.text, path));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {CASE(test_made_once), CASE(test_without_a_directory_another_each_time),
                                       CASE(test_read), CASE(test_what_cannot_be_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
