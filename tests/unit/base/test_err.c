/* test_err.c - sentences about what did not work. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

static void test_set(void **state)
{
    struct err err;
    (void)state;
    assert_false(err_set(&err, "cannot read \"%s\"", "f"));
    assert_string_equal(err.text, "cannot read \"f\"");
    assert_string_equal(err.hint, "");
    assert_false(err_set_hint(&err, "did you mean %s?", "g"));
    assert_string_equal(err.text, "cannot read \"f\"");
    assert_string_equal(err.hint, "did you mean g?");
    assert_false(err_prefix(&err, "line %d", 3));
    assert_string_equal(err.text, "line 3: cannot read \"f\"");
    assert_string_equal(err.hint, "did you mean g?");
    assert_false(err_set(&err, "new"));
    assert_string_equal(err.hint, ""); /* no hint of an older error */
    assert_false(err_no_memory(&err));
    assert_string_equal(err.text, "out of memory");
}

static void test_long(void **state)
{
    struct err err;
    (void)state;
    err_set(&err, "%2000d", 1);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    err_prefix(&err, "%2000d", 1);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    err_set(&err, "tail");
    err_prefix(&err, "%*d", (int)sizeof err.text - 3, 1);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
