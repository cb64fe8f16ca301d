/* test_pool.c - which connection a mail gets: several servers, their health, the queue, probes, connections that leave.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "stage.h"

/* ---- several servers ---- */

static void fails_over(void **state)
{
    (void)state;
    S.options.server_count = 2;
    fake_stop_listening(&S.mta[0]);
    open_pool();
    for (int i = 0; i < 4; i++) {
        struct owner *o = send_mail(i, 1);
        RUN_UNTIL(o->is_over);
        expect_story("failover", o, WELL);
    }
    assert_int_equal(S.mta[1].mail_count, 4);
    const char *why;
    assert_false(mta_pool_is_down(S.pool, &why));
}

static void fails_over_from_a_bad_greeting(void **state)
{
    (void)state;
    S.options.server_count = 2;
    S.mta[0].actions[AT_CONNECT] = (struct fake_action){.say = "554 no\r\n"};
    open_pool();
    struct owner *o = send_mail(0, 1);
    RUN_UNTIL(o->is_over);
    expect_story("failover", o, WELL);
    assert_int_equal(S.mta[1].mail_count, 1);
    char server[40];
    snprintf(server, sizeof server, "127.0.0.1:%u", S.mta[1].port);
    o = new_owner(1);
    assert_null(mta_server(&o->x).ptr);
    o->ends_at = MTA_STEP_MAIL;
    o->waits = true;
    say_mail(o, NULL);
    RUN_UNTIL(*o->story);
    assert_true(str_equal(mta_server(&o->x), str_of_z(server)));
}

static size_t read_events(char *to, size_t size)
{
    event_log_flush(&S.events);
    ssize_t n = read(S.event_pipe[0], to, size - 1);
    to[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

/* Down is told once, refused at once, found up again by the pool itself, told once. */
static void goes_down_and_up(void **state)
{
    (void)state;
    char events[4096];
    const char *why = NULL;
    S.options.retry_down_ms = 30;
    S.mta[0].actions[AT_CONNECT] = (struct fake_action){.say = "421 4.3.2 closed\r\n", .cut = true, .times = 3};
    open_pool();
    struct owner *o = send_mail(0, 1);
    RUN_UNTIL(o->is_over);
    expect_story("down", o, "UNAVAILABLE it refused the connection: 421 closed");
    assert_true(mta_pool_is_down(S.pool, &why));
    assert_string_equal(why, "it refused the connection: 421 closed");
    unsigned connections = S.mta[0].conn_count;
    o = send_mail(0, 1);
    loop_run_tasks(&S.loop); /* the end of this very turn */
    expect_story("at once", o, "UNAVAILABLE it refused the connection: 421 closed");
    assert_int_equal(S.mta[0].conn_count, connections);
    RUN_UNTIL(!mta_pool_is_down(S.pool, &why));
    assert_int_equal(S.mta[0].conn_count, 4);
    o = send_mail(0, 1);
    RUN_UNTIL(o->is_over);
    expect_story("up", o, WELL);
    assert_int_equal(S.mta[0].conn_count, 4);
    read_events(events, sizeof events);
    const char *down = strstr(events, "\"event\":\"relay\"");
    assert_non_null(down);
    assert_non_null(strstr(down, "\"pool\":\"default\""));
    assert_non_null(strstr(down, "\"state\":\"down\""));
    const char *up = strstr(down + 1, "\"event\":\"relay\"");
    assert_non_null(up);
    assert_non_null(strstr(up, "\"state\":\"up\""));
    assert_null(strstr(up + 1, "\"event\":\"relay\""));
}

static void all_down(void **state)
{
    (void)state;
    const char *why = NULL;
    S.options.server_count = 2;
    fake_stop_listening(&S.mta[0]);
    fake_stop_listening(&S.mta[1]);
    open_pool();
    struct owner *o = send_mail(0, 1);
    RUN_UNTIL(o->is_over);
    expect_story("all down", o, "UNAVAILABLE connection refused");
    assert_true(mta_pool_is_down(S.pool, &why));
}

/* A server that is only slow to greet while others of its connections work is busy, not down. */
static void busy_is_not_down(void **state)
{
    (void)state;
    const char *why;
    S.options.connect_ms = 30;
    S.mta[0].actions[AT_CONNECT] = (struct fake_action){.say = "", .first = 1};
    open_pool();
    struct owner *first = new_owner(0);
    first->waits = true;
    say_mail(first, NULL);
    RUN_UNTIL(*first->story);
    struct owner *second = send_mail(1, 1);
    RUN_UNTIL(second->is_over);
    expect_story("busy", second, "UNAVAILABLE no answer in time (greeting)");
    assert_false(mta_pool_is_down(S.pool, &why));
}

static void takes_turns(void **state)
{
    (void)state;
    S.options.server_count = 2;
    open_pool();
    for (int i = 0; i < 6; i++) {
        struct owner *o = send_mail(i, 1);
        RUN_UNTIL(o->is_over);
    }
    assert_int_equal(S.mta[0].mail_count, 3);
    assert_int_equal(S.mta[1].mail_count, 3);
    assert_int_equal(S.mta[0].conn_count, 1);
}

static void prefers_the_least_busy(void **state)
{
    (void)state;
    S.options.server_count = 2;
    S.options.balance = MTA_LEAST;
    open_pool();
    for (int i = 0; i < 4; i++) {
        struct owner *o = new_owner(i);
        o->waits = true;
        say_mail(o, NULL);
        RUN_UNTIL(*o->story);
    }
    assert_int_equal(S.mta[0].open_count, 2);
    assert_int_equal(S.mta[1].open_count, 2);
    /* those at the first server end: it gets the next two */
    for (int i = 0; i < 4; i++)
        if (str_equal(mta_server(&S.owners[i].x), mta_server(&S.owners[0].x)) && i)
            finish_owner(&S.owners[i]);
    finish_owner(&S.owners[0]);
    settle();
    for (int i = 10; i < 12; i++) {
        struct owner *o = new_owner(i);
        o->waits = true;
        say_mail(o, NULL);
        RUN_UNTIL(*o->story);
    }
    assert_int_equal(S.mta[0].open_count + S.mta[1].open_count, 4);
}

/* ---- the queue ---- */

static void waits_for_a_connection(void **state)
{
    (void)state;
    S.options.max_connections = 2;
    open_pool();
    for (int i = 0; i < 30; i++)
        send_mail(i, 1);
    for (int i = 0; i < 30; i++) {
        RUN_UNTIL(S.owners[i].is_over);
        expect_story("queue", &S.owners[i], WELL);
    }
    assert_int_equal(S.mta[0].mail_count, 30);
    assert_int_equal(S.mta[0].conn_count, 2);
}

static void waits_in_vain(void **state)
{
    (void)state;
    S.options.max_connections = 1;
    S.options.connect_ms = 40;
    open_pool();
    struct owner *first = new_owner(0);
    first->waits = true;
    say_mail(first, NULL);
    RUN_UNTIL(*first->story);
    struct owner *second = send_mail(1, 1), *third = send_mail(2, 1), *fourth = send_mail(3, 1);
    finish_owner(third); /* gives up while it waits */
    RUN_UNTIL(second->is_over && fourth->is_over);
    expect_story("in vain", second, "UNAVAILABLE all connections to it are in use");
    expect_story("in vain too", fourth, "UNAVAILABLE all connections to it are in use");
    expect_story("given up", third, "");
}

/* Whoever waits for a connection hears at once when the last server goes down. */
static void waits_for_a_server_that_goes_down(void **state)
{
    (void)state;
    S.options.max_connections = 1;
    S.mta[0].actions[AT_CONNECT] = (struct fake_action){.say = "554 5.3.2 no\r\n"};
    open_pool();
    struct owner *first = send_mail(0, 1), *second = send_mail(1, 1);
    int64_t before_ms = clock_monotonic_ms();
    RUN_UNTIL(first->is_over && second->is_over);
    assert_true(clock_monotonic_ms() - before_ms < S.options.connect_ms / 2);
    expect_story("waited", second, "UNAVAILABLE it refused the connection: 554 no");
}

/* ---- the pool ---- */

static void on_probed(void *arg)
{
    struct stage *stage = arg;
    assert_false(stage->was_probed);
    stage->was_probed = true;
}

static void probes(void **state)
{
    (void)state;
    S.options.server_count = 2;
    S.mta[0].keywords = "SIZE 5000\n8BITMIME\nDSN";
    S.mta[1].keywords = "SIZE 4000\n8BITMIME\nSMTPUTF8";
    open_pool();
    assert_false(mta_pool_capabilities(S.pool).known);
    mta_pool_start(S.pool, on_probed, &S);
    assert_false(S.was_probed);
    RUN_UNTIL(S.was_probed);
    struct mta_capabilities can = mta_pool_capabilities(S.pool);
    assert_true(can.known);
    assert_true(can.eightbitmime);
    assert_false(can.smtputf8);
    assert_false(can.dsn);
    assert_int_equal(can.size, 4000);
    /* the probes' connections serve the first mails */
    struct owner *o = send_mail(0, 1);
    RUN_UNTIL(o->is_over);
    expect_story("after the probe", o, WELL);
    assert_int_equal(S.mta[0].conn_count + S.mta[1].conn_count, 2);
    assert_string_equal(mta_pool_name(S.pool), "default");
}

static void probes_what_is_away(void **state)
{
    (void)state;
    const char *why;
    S.options.server_count = 2;
    S.options.connect_ms = 50;
    fake_stop_listening(&S.mta[0]);
    S.mta[1].actions[AT_CONNECT] = (struct fake_action){.say = ""}; /* accepts, says nothing */
    open_pool();
    int64_t before_ms = clock_monotonic_ms();
    mta_pool_start(S.pool, on_probed, &S);
    RUN_UNTIL(S.was_probed);
    assert_true(clock_monotonic_ms() - before_ms < 1000);
    settle();
    assert_true(mta_pool_is_down(S.pool, &why));
    assert_false(mta_pool_capabilities(S.pool).known);
}

static void idle_connections_leave(void **state)
{
    (void)state;
    S.options.idle_ms = 30;
    open_pool();
    struct owner *o = send_mail(0, 1);
    RUN_UNTIL(o->is_over);
    assert_int_equal(S.mta[0].open_count, 1);
    RUN_UNTIL(S.mta[0].open_count == 0);
    assert_int_equal(S.mta[0].seen[AT_QUIT], 1);
}

static void worn_connections_leave(void **state)
{
    (void)state;
    open_pool();
    for (int i = 0; i < 101; i++) {
        struct owner *o = send_mail(0, 1);
        RUN_UNTIL(o->is_over);
        expect_story("one of many", o, WELL);
    }
    settle();
    assert_int_equal(S.mta[0].conn_count, 2);
    assert_int_equal(S.mta[0].seen[AT_QUIT], 1);
}

/* Errors count too: Postfix slows a connection down that makes many. */
static void faulty_connections_leave(void **state)
{
    (void)state;
    S.mta[0].actions[AT_RCPT] = (struct fake_action){.say = "550 5.1.1 unknown\r\n"};
    open_pool();
    struct owner *o = send_mail(0, 10);
    RUN_UNTIL(o->is_over);
    settle();
    assert_int_equal(S.mta[0].open_count, 0);
    assert_int_equal(S.mta[0].seen[AT_QUIT], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(fails_over),
        STAGED(fails_over_from_a_bad_greeting),
        STAGED(goes_down_and_up),
        STAGED(all_down),
        STAGED(busy_is_not_down),
        STAGED(takes_turns),
        STAGED(prefers_the_least_busy),
        STAGED(waits_for_a_connection),
        STAGED(waits_in_vain),
        STAGED(waits_for_a_server_that_goes_down),
        STAGED(probes),
        STAGED(probes_what_is_away),
        STAGED(idle_connections_leave),
        STAGED(worn_connections_leave),
        STAGED(faulty_connections_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
