/* test_arena.c - memory given back all at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"

static void test_alignment_and_zeroes(void **state)
{
    struct arena a;
    (void)state;
    arena_init(&a, 1 << 20);
    for (size_t n = 0; n < 3000; n += 7) {
        char *p = arena_alloc(&a, n);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xff, n); /* the next one must not see it */
    }
    arena_fini(&a);
}

static void test_bound(void **state)
{
    struct arena a;
    size_t total = 0;
    (void)state;
    arena_init(&a, 10000);
    while (arena_alloc(&a, 100))
        total += 100;
    assert_true(total >= 7500 && total <= 10000); /* alignment costs some */
    assert_true(a.used_bytes <= 10000);
    assert_null(arena_alloc(&a, 5000));
    arena_fini(&a);
    assert_int_equal(a.used_bytes, 0);
    assert_non_null(arena_alloc(&a, 5000)); /* usable again */
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_alloc(&a, SIZE_MAX - 8));
    arena_fini(&a);
}

/* What is filled again and again keeps a piece of memory, but no large one, and hands out zeroes all the same. */
static void test_cleared(void **state)
{
    static const struct {
        size_t bytes, keep_bytes;
        bool is_kept;
    } CASES[] = {{100, 4096, true}, {1024, 1024, true}, {5000, 4096, false}, {100, 0, false}};
    struct arena a;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        arena_init(&a, 1 << 20);
        arena_clear(&a, CASES[i].keep_bytes); /* nothing to forget */
        char *p = arena_alloc(&a, CASES[i].bytes);
        assert_non_null(p);
        memset(p, 0xff, CASES[i].bytes);
        arena_clear(&a, CASES[i].keep_bytes);
        assert_int_equal(a.used_bytes != 0, CASES[i].is_kept);
        char *again = arena_alloc(&a, CASES[i].bytes);
        assert_non_null(again);
        if (CASES[i].is_kept)
            assert_ptr_equal(again, p);
        for (size_t k = 0; k < CASES[i].bytes; k++)
            assert_int_equal(again[k], 0);
        arena_fini(&a);
    }
    arena_init(&a, 10000);
    while (arena_alloc(&a, 100))
        ;
    arena_clear(&a, 10000);
    assert_true(a.used_bytes > 0 && a.used_bytes <= 10000);
    assert_non_null(a.chunks);
    while (arena_alloc(&a, 100))
        ;
    assert_true(a.used_bytes <= 10000); /* the bound is as it was */
    arena_fini(&a);
    assert_int_equal(a.used_bytes, 0);
}

static void test_texts(void **state)
{
    struct arena a;
    char source[] = "alice";
    (void)state;
    arena_init(&a, 4096);
    struct str copy = arena_copy(&a, str_of(source, 5));
    source[0] = 'X';
    assert_string_equal(copy.ptr, "alice");
    assert_non_null(arena_copy(&a, STR_NONE).ptr);
    const struct str pieces[] = {STR("ab"), STR_NONE, STR(""), STR("c")};
    assert_string_equal(arena_join(&a, pieces, 4).ptr, "abc");
    assert_int_equal(arena_join(&a, pieces, 4).len, 3);
    assert_string_equal(arena_join(&a, NULL, 0).ptr, "");
    struct str text = arena_printf(&a, "%s-%d", "x", 7);
    assert_true(str_equal(text, STR("x-7")));
    assert_null(arena_printf(&a, "%5000d", 1).ptr);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alignment_and_zeroes),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_cleared),
        cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
