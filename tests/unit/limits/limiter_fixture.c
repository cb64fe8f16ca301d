/* limiter_fixture.c - see limiter_fixture.h. */
#include "limiter_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "limits/store_memory.h"

#define ENTRIES 8192

int limiter_setup(void **state)
{
    struct limiter_fixture *f = calloc(1, sizeof *f);
    struct err err;
    assert_non_null(f);
    f->memory = aligned_alloc(64, (store_memory_size(ENTRIES) + 63) / 64 * 64);
    assert_non_null(f->memory);
    memset(f->memory, 0, store_memory_size(ENTRIES));
    assert_true(store_memory_init(f->memory, ENTRIES, &err));
    const struct store_options options = {.memory = f->memory, .owner = 1};
    assert_true(store_open(&f->store, stores_find(STR("memory")), &options, &err));
    assert_true(limiter_init(&f->limiter, &f->store));
    arena_init(&f->arena, 64 << 20);
    *state = f;
    return 0;
}

int limiter_teardown(void **state)
{
    struct limiter_fixture *f = *state;
    arena_fini(&f->arena);
    limiter_fini(&f->limiter);
    store_close(&f->store);
    store_memory_fini(f->memory);
    free(f->memory);
    free(f);
    return 0;
}

struct charge mail_charge(const struct limit *limit, const char *entity, uint32_t recipients, uint32_t kib)
{
    return (struct charge){.limit = limit, .entity = str_of_z(entity), .cost = {1, recipients, kib}};
}

struct charge one_charge(const struct limit *limit, const char *entity)
{
    return (struct charge){.limit = limit, .entity = str_of_z(entity), .cost = {1}};
}

static void never(struct reservation *r, void *arg)
{
    (void)r;
    (void)arg;
    fail_msg("the store answered later");
}

struct reservation *reserve(struct limiter_fixture *f, const struct charge *charges, size_t count, int64_t now_us)
{
    struct reservation *r = arena_alloc(&f->arena, sizeof *r);
    assert_non_null(r);
    assert_true(reservation_init(r, &f->arena, charges, count));
    assert_int_equal(limiter_reserve_start(&f->limiter, r, charges, count, now_us, 1000, never, NULL), DONE);
    return r;
}

void send_mails(struct limiter_fixture *f, const struct charge *charges, size_t count, int times, int64_t now_us)
{
    for (int i = 0; i < times; i++) {
        struct reservation *r = reserve(f, charges, count, now_us);
        assert_int_equal(r->verdict, VERDICT_RESERVED);
        limiter_keep(&f->limiter, r, now_us);
    }
}

void assert_refusal(const struct reservation *r, const char *text)
{
    char got[256];
    assert_int_equal(r->verdict, VERDICT_REFUSED);
    struct str s = limiter_refusal_text(r, got, sizeof got);
    assert_int_equal(s.len, strlen(got));
    assert_string_equal(got, text);
}
