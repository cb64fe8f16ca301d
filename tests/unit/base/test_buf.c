/* test_buf.c - bounded bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

static void test_bound(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 10);
    assert_null(b.data); /* empty, it costs nothing */
    assert_true(buf_append_str(&b, STR("12345678")));
    assert_false(buf_append_str(&b, STR("9ab")));
    assert_true(str_equal(buf_str(&b), STR("12345678")));
    assert_true(buf_append_str(&b, STR("9a")));
    assert_false(buf_append_char(&b, 'b'));
    assert_null(buf_reserve(&b, 1));
    assert_null(buf_reserve(&b, SIZE_MAX)); /* no sum that wraps around */
    assert_int_equal(buf_len(&b), 10);
    buf_fini(&b);
    assert_null(b.data);
    assert_int_equal(buf_len(&b), 0);
    assert_true(buf_append_str(&b, STR("again")));
    buf_fini(&b);
}

/* What was consumed makes room: a stream of any length passes through a small buf. */
static void test_stream(void **state)
{
    struct buf b;
    unsigned written = 0, read = 0;
    (void)state;
    buf_init(&b, 100);
    while (read < 100000) {
        while (buf_append_char(&b, (char)(written % 251)))
            written++;
        assert_int_equal(buf_len(&b), 100);
        for (size_t i = 0; i < 7 + read % 90; i++)
            assert_int_equal((unsigned char)buf_str(&b).ptr[i], (read + i) % 251);
        size_t n = 7 + read % 90;
        buf_consume(&b, n);
        read += (unsigned)n;
    }
    buf_fini(&b);
}

static void test_reserve(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 4096);
    memcpy(buf_reserve(&b, 3000), "abc", 3);
    buf_commit(&b, 3);
    assert_true(str_equal(buf_str(&b), STR("abc")));
    buf_consume(&b, 2);
    memset(buf_reserve(&b, 4095), 'x', 4095); /* needs what was consumed */
    buf_commit(&b, 4095);
    assert_int_equal(buf_len(&b), 4096);
    assert_int_equal(buf_str(&b).ptr[0], 'c');
    buf_fini(&b);
}

static void test_printf(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 12);
    assert_true(buf_printf(&b, "%s=%d", "a", 42));
    assert_true(str_equal(buf_str(&b), STR("a=42")));
    assert_false(buf_printf(&b, "%s", "too long for it"));
    assert_true(str_equal(buf_str(&b), STR("a=42")));
    buf_fini(&b);
}

static void test_forgetting(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 100);
    assert_true(buf_append_str(&b, STR("abcdef")));
    buf_consume(&b, 2);
    buf_truncate(&b, 3);
    assert_true(str_equal(buf_str(&b), STR("cde")));
    buf_consume(&b, 3);
    assert_non_null(b.data); /* emptied, it keeps its memory */
    assert_true(buf_append_str(&b, STR("x")));
    buf_clear(&b);
    assert_int_equal(buf_len(&b), 0);
    assert_true(buf_append(&b, NULL, 0));
    buf_wipe(&b);
    assert_null(b.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bound),  cmocka_unit_test(test_stream),     cmocka_unit_test(test_reserve),
        cmocka_unit_test(test_printf), cmocka_unit_test(test_forgetting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
