/* Turns, timers, tasks and watched descriptors, on a real loop with times of a few milliseconds. */
#include "net/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"

static struct loop loop;
/* Callbacks take a void *, letters are literals. */
#define LETTER(s) ((void *)(uintptr_t)(s))
static char order[64]; /* what happened, a letter each */

static int set_up(void **state)
{
    (void)state;
    struct err err;
    order[0] = '\0';
    return loop_init(&loop, &err) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    loop_fini(&loop);
    loop_fini(&loop); /* harmless */
    return 0;
}

static void note(void *arg)
{
    size_t len = strlen(order);
    assert_true(len + 1 < sizeof order);
    memcpy(order + len, arg, 2);
}

static void note_and_stop(void *arg)
{
    note(arg);
    loop_stop(&loop);
}

static void timers_come_in_order(void **state)
{
    (void)state;
    struct timer a, b, c;
    timer_init(&a, &loop, note_and_stop, LETTER("a"));
    timer_init(&b, &loop, note, LETTER("b"));
    timer_init(&c, &loop, note, LETTER("c"));
    int64_t start = loop_now_ms(&loop);
    timer_start(&a, start + 12);
    timer_start(&b, start + 6);
    timer_start(&c, start - 1000); /* long past: at once, but not from inside */
    assert_string_equal(order, "");
    assert_true(timer_is_running(&a));
    loop_run(&loop);
    assert_string_equal(order, "cba");
    assert_false(timer_is_running(&a));
    assert_true(clock_monotonic_ms() >= start + 12);
}

static int64_t not_before;
static void note_in_time(void *arg)
{
    assert_true(loop_now_ms(&loop) >= not_before);
    note(arg);
}

static void timer_moves(void **state)
{
    (void)state;
    struct timer later, sooner, cancelled, rested, woken, last;
    timer_init(&later, &loop, note_in_time, LETTER("l"));
    timer_init(&sooner, &loop, note, LETTER("s"));
    timer_init(&cancelled, &loop, note, LETTER("x"));
    timer_init(&rested, &loop, note, LETTER("r"));
    timer_init(&woken, &loop, note_in_time, LETTER("w"));
    timer_init(&last, &loop, note_and_stop, LETTER("!"));
    int64_t start = loop_now_ms(&loop);
    timer_start(&later, start + 2);
    timer_start(&later, not_before = start + 10);
    timer_start(&sooner, start + 5000);
    timer_start(&sooner, start + 5);
    timer_start(&cancelled, start + 1);
    timer_cancel(&cancelled);
    assert_false(timer_is_running(&cancelled));
    timer_cancel(&cancelled); /* harmless */
    timer_start(&rested, start + 1);
    timer_rest(&rested);
    assert_false(timer_is_running(&rested));
    timer_start(&woken, start + 1);
    timer_rest(&woken);
    timer_start(&woken, start + 10);
    timer_start(&last, start + 15);
    loop_run(&loop);
    /* A slow machine finds them due in one turn; what was moved may then come first. */
    assert_int_equal(strlen(order), 4);
    assert_true(strchr(order, 's') && strchr(order, 'l') && strchr(order, 'w') && order[3] == '!');
    timer_cancel(&rested);
}

static int64_t due_at;
static void note_time(void *arg)
{
    (void)arg;
    due_at = loop_now_ms(&loop);
    loop_stop(&loop);
}

static void timer_is_never_early(void **state)
{
    (void)state;
    struct timer t;
    timer_init(&t, &loop, note_time, NULL);
    for (int i = 1; i <= 5; i++) {
        int64_t at = loop_now_ms(&loop) + i;
        timer_start(&t, at);
        loop_run(&loop);
        assert_true(due_at >= at);
    }
}

static struct task second;
static void defer_second(void *arg)
{
    note(arg);
    task_defer(&loop, &second);
}

static void tasks_run_once_at_the_end_of_the_turn(void **state)
{
    (void)state;
    struct task first, dropped;
    struct timer t;
    task_init(&first, defer_second, LETTER("1"));
    task_init(&second, note, LETTER("2"));
    task_init(&dropped, note, LETTER("x"));
    timer_init(&t, &loop, note_and_stop, LETTER("t"));
    task_defer(&loop, &dropped);
    task_defer(&loop, &first);
    task_defer(&loop, &first);
    task_cancel(&dropped);
    task_cancel(&dropped); /* harmless */
    assert_string_equal(order, "");
    timer_start(&t, loop_now_ms(&loop) + 3);
    loop_run(&loop);
    assert_string_equal(order, "12t");
}

static struct task stopped_task;
static void defer_and_stop(void *arg)
{
    note(arg);
    task_defer(&loop, &stopped_task);
    loop_stop(&loop);
}

static void tasks_of_the_last_turn_run(void **state)
{
    (void)state;
    struct timer t;
    task_init(&stopped_task, note, LETTER("T"));
    timer_init(&t, &loop, defer_and_stop, LETTER("s"));
    timer_start(&t, loop_now_ms(&loop));
    loop_run(&loop);
    assert_string_equal(order, "sT");
}

static void on_ready(void *arg, bool readable, bool writable)
{
    (void)arg;
    note(readable && writable ? LETTER("b") : readable ? LETTER("r") : LETTER("w"));
}

static void watched_descriptors(void **state)
{
    (void)state;
    int pair[2];
    struct watch w;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    watch_init(&w, &loop, pair[0], on_ready, NULL);
    loop_run_once(&loop, 0);
    assert_string_equal(order, "");
    watch_set(&w, false, true);
    loop_run_once(&loop, 0);
    assert_string_equal(order, "w");
    watch_set(&w, true, false);
    loop_run_once(&loop, 0);
    assert_string_equal(order, "w");
    assert_int_equal(write(pair[1], "x", 1), 1);
    loop_run_once(&loop, 100);
    loop_run_once(&loop, 100); /* level-triggered: still there */
    assert_string_equal(order, "wrr");
    watch_set(&w, true, true);
    loop_run_once(&loop, 100);
    assert_string_equal(order, "wrrb");
    watch_set(&w, false, false);
    loop_run_once(&loop, 0);
    assert_string_equal(order, "wrrb");
    close(pair[0]);
    close(pair[1]);
}

static void time_stands_still_within_a_turn(void **state)
{
    (void)state;
    int64_t now = loop_now_ms(&loop), wall = loop_wall_us(&loop);
    while (clock_monotonic_ms() < now + 2)
        ;
    assert_true(loop_now_ms(&loop) == now && loop_wall_us(&loop) == wall);
    loop_run_once(&loop, 0);
    assert_true(loop_now_ms(&loop) >= now + 2 && loop_wall_us(&loop) > wall);
    loop_set_now(&loop, 7, 8);
    assert_true(loop_now_ms(&loop) == 7 && loop_wall_us(&loop) == 8);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(timers_come_in_order),
        TEST(timer_moves),
        TEST(timer_is_never_early),
        TEST(tasks_run_once_at_the_end_of_the_turn),
        TEST(tasks_of_the_last_turn_run),
        TEST(watched_descriptors),
        TEST(time_stands_still_within_a_turn),
    };
    return cmocka_run_group_tests_name("net/loop", tests, NULL, NULL);
}
