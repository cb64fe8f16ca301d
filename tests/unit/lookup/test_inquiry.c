/* Asking once for all who want to know: sharing, remembering, deadlines, cancels, bounds. */
#include "lookup_test.h"

#include "lookup/inquiry.h"

enum { OPEN = 4, CACHED = 8 };

static struct inquiries *all;
static struct inquiry *asked[OPEN]; /* those under way */
static unsigned asked_count, dropped;
static const char *at_once; /* answers inside of ask */

static void ask(void *arg, struct inquiry *q)
{
    assert_ptr_equal(arg, &all);
    assert_int_equal(*(int *)inquiry_state(q), 0);
    *(int *)inquiry_state(q) = 1;
    asked[asked_count++ % OPEN] = q;
    if (at_once)
        inquiry_answer(q, str_of_z(at_once), 0);
}

static void drop(void *arg, struct inquiry *q)
{
    assert_ptr_equal(arg, &all);
    assert_int_equal(*(int *)inquiry_state(q), 1);
    dropped++;
}

static int set_up(void **state)
{
    struct err err;
    struct inquiries_options options = {.max_cached = CACHED,
                                        .max_cached_bytes = 4096,
                                        .max_open = OPEN,
                                        .state_bytes = sizeof(int),
                                        .ask = ask,
                                        .drop = drop,
                                        .arg = &all};
    if (set_up_loop(state) != 0)
        return -1;
    asked_count = dropped = 0;
    at_once = NULL;
    all = inquiries_new(&loop, &options, &err);
    return all ? 0 : -1;
}

static int tear_down(void **state)
{
    inquiries_free(&all);
    inquiries_free(&all); /* harmless */
    return tear_down_loop(state);
}

/* In static memory: the teardown ends questions that some still wait for. */
struct waiter {
    struct inquiry_wait wait;
    int answers;
    char value[32];
    bool has_value;
    struct waiter *cancels, *starts; /* what it does when it is answered */
};

static enum started start(struct waiter *w, const char *key, int64_t within_ms);

static void on_answer(void *arg, struct str value)
{
    struct waiter *w = arg;
    w->answers++;
    w->has_value = value.ptr != NULL;
    str_copy_into(w->value, sizeof w->value, value);
    if (w->cancels)
        inquiry_cancel(&w->cancels->wait);
    if (w->starts)
        start(w->starts, "again", 1000);
}

static enum started start(struct waiter *w, const char *key, int64_t within_ms)
{
    struct str value;
    enum started s = inquiry_start(all, &w->wait, str_of_z(key), loop_now_ms(&loop) + within_ms, &value, on_answer, w);
    if (s == DONE) {
        w->has_value = value.ptr != NULL;
        str_copy_into(w->value, sizeof w->value, value);
    }
    return s;
}

static void one_question_for_all(void **state)
{
    (void)state;
    static struct waiter a, b, other, late;
    assert_int_equal(start(&a, "k", 1000), STARTED);
    assert_int_equal(start(&b, "k", 1000), STARTED);
    assert_int_equal(start(&other, "k2", 1000), STARTED);
    assert_int_equal(asked_count, 2);
    assert_true(str_equal(inquiry_key(asked[0]), STR("k")));
    inquiry_answer(asked[0], STR("yes"), 500);
    assert_int_equal(a.answers + b.answers, 0); /* never from inside */
    assert_int_equal(start(&late, "k", 1000), DONE);
    assert_string_equal(late.value, "yes");
    loop_run_tasks(&loop);
    assert_int_equal(a.answers, 1);
    assert_int_equal(b.answers, 1);
    assert_string_equal(a.value, "yes");
    assert_string_equal(b.value, "yes");
    assert_int_equal(other.answers + late.answers, 0);
    assert_int_equal(inquiries_open(all), 1);
    inquiry_cancel(&a.wait); /* harmless */
}

static void remembered_for_its_time(void **state)
{
    (void)state;
    static struct waiter a, b, c;
    int64_t now = loop_now_ms(&loop);
    start(&a, "k", 1000);
    inquiry_answer(asked[0], STR("yes"), 500);
    loop_run_tasks(&loop);
    loop_set_now(&loop, now + 499, 0);
    assert_int_equal(start(&b, "k", 1000), DONE);
    loop_set_now(&loop, now + 500, 0);
    assert_int_equal(start(&b, "k", 1000), STARTED);
    inquiry_answer(asked[1], STR("no"), 0); /* not to be remembered */
    assert_int_equal(start(&c, "k", 1000), STARTED);
    assert_int_equal(asked_count, 3);
    loop_run_tasks(&loop);
    assert_string_equal(b.value, "no");
    assert_int_equal(c.answers, 0);
}

static void answered_inside_of_ask(void **state)
{
    (void)state;
    static struct waiter a;
    at_once = "now";
    assert_int_equal(start(&a, "k", 1000), DONE);
    assert_string_equal(a.value, "now");
    run_turns(2);
    assert_int_equal(a.answers, 0);
    assert_int_equal(inquiries_open(all), 0);
}

static void own_deadlines(void **state)
{
    (void)state;
    static struct waiter hasty, patient, past, later;
    start(&patient, "k", 3000);
    start(&hasty, "k", 5);
    start(&past, "k", -5);
    assert_int_equal(past.answers, 0); /* never from inside, however late it is */
    RUN_UNTIL(hasty.answers && past.answers);
    assert_false(hasty.has_value);
    assert_false(past.has_value);
    assert_int_equal(patient.answers, 0);
    assert_int_equal(asked_count, 1);
    /* Its answer comes all the same: for who still waits, and for the next one. */
    inquiry_answer(asked[0], STR("late"), 1000);
    run_turns(1);
    assert_int_equal(patient.answers, 1);
    assert_int_equal(start(&later, "k", 10), DONE);
    assert_string_equal(later.value, "late");
    run_turns(2);
    assert_int_equal(hasty.answers, 1);
}

static void cancelled(void **state)
{
    (void)state;
    static struct waiter a, b, c, next;
    start(&a, "k", 1000);
    start(&b, "k", 1000);
    start(&c, "k", 1000);
    inquiry_cancel(&a.wait);
    b.cancels = &c; /* from inside of a callback: the one behind it in the list */
    b.starts = &next;
    inquiry_answer(asked[0], STR("yes"), 0);
    loop_run_tasks(&loop);
    assert_int_equal(a.answers, 0);
    assert_int_equal(b.answers, 1);
    assert_int_equal(c.answers, 0);
    assert_int_equal(next.answers, 0);
    assert_int_equal(asked_count, 2);
    inquiry_cancel(&next.wait);
    inquiry_answer(asked[1], STR("nobody waits"), 1000);
    run_turns(1);
    assert_int_equal(start(&a, "again", 1000), DONE);
}

static void bounded(void **state)
{
    (void)state;
    static struct waiter w[OPEN + 1], again;
    char key[8];
    for (int i = 0; i <= OPEN; i++) {
        snprintf(key, sizeof key, "k%d", i);
        assert_int_equal(start(&w[i], key, 1000), i < OPEN ? STARTED : DONE);
    }
    assert_false(w[OPEN].has_value);
    assert_int_equal(start(&again, "k0", 1000), STARTED); /* to wait, too, is always possible */
    for (int i = 0; i < OPEN; i++)
        inquiry_answer(asked[i], STR("v"), 1000);
    run_turns(1);
    for (int i = 0; i < 3 * CACHED; i++) {
        snprintf(key, sizeof key, "m%d", i);
        at_once = "v";
        assert_int_equal(start(&again, key, 1000), DONE);
        assert_true(again.has_value);
    }
    assert_true(inquiries_cached(all) <= CACHED);
    assert_int_equal(inquiries_open(all), 0);
}

static void ends_with_questions_open(void **state)
{
    (void)state;
    static struct waiter open, untold;
    start(&open, "a", 1);
    start(&untold, "b", 1);
    inquiry_answer(asked[1], STR("yes"), 1000);
    inquiries_free(&all);
    assert_int_equal(dropped, 1); /* the other one is the asker's no longer */
    run_turns(3);
    assert_int_equal(open.answers + untold.answers, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(one_question_for_all),
        TEST(remembered_for_its_time),
        TEST(answered_inside_of_ask),
        TEST(own_deadlines),
        TEST(cancelled),
        TEST(bounded),
        TEST(ends_with_questions_open),
    };
    return cmocka_run_group_tests_name("lookup/inquiry", tests, NULL, NULL);
}
