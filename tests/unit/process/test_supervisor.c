/* test_supervisor.c - births, deaths and the end, with fake workers in a real supervisor. */
#include "fake_service.h"

static void start_and_meet(struct service *v, struct hello *hellos, unsigned count)
{
    service_start(v);
    for (unsigned i = 0; i < count; i++)
        hellos[i] = wait_hello(v);
    wait_line(v, "\"event\":\"start\"");
}

static void test_start_and_stop(void **state)
{
    struct service *v = *state;
    struct hello h[2];
    unsigned slot, generation;
    char text[64];
    snprintf(v->script->pidfile, sizeof v->script->pidfile, "%s/pid", v->dir);
    service_start(v);
    h[0] = wait_hello(v);
    h[1] = wait_hello(v);
    assert_int_not_equal(h[0].slot, h[1].slot);
    char *start = wait_line(v, "\"event\":\"start\"");
    assert_non_null(strstr(start, "\"node\":\"mx1\""));
    assert_non_null(strstr(start, "\"version\":\"" MAILWEIR_VERSION "\""));
    assert_non_null(strstr(start, "\"workers\":2"));
    snprintf(text, sizeof text, "\"listeners\":[\"127.0.0.1:%u\"]", v->script->ports[0]);
    assert_non_null(strstr(start, text));
    snprintf(text, sizeof text, "\"pid\":%d,", (int)v->pid);
    assert_non_null(strstr(start, text));
    FILE *pidfile = fopen(v->script->pidfile, "r");
    int pid = 0;
    assert_non_null(pidfile);
    assert_int_equal(fscanf(pidfile, "%d", &pid), 1);
    fclose(pidfile);
    assert_int_equal(pid, v->pid);
    assert_true(ask_port(v->script->ports[0], &slot, &generation));
    assert_int_equal(generation, 1);
    assert_int_equal(stop(v), 0);
    assert_non_null(strstr(v->text, "drain 0 1 mask 7"));
    assert_non_null(strstr(v->text, "drain 1 1 mask 7"));
    assert_non_null(strstr(v->text, "\"event\":\"stop\",\"node\":\"mx1\",\"reason\":\"SIGTERM\""));
    assert_int_equal(count_lines(v, "\"event\":\"crash\""), 0);
    assert_int_not_equal(access(v->script->pidfile, F_OK), 0);
}

static void test_a_killed_worker_is_replaced_and_no_other(void **state)
{
    struct service *v = *state;
    struct hello h[2];
    start_and_meet(v, h, 2);
    kill(h[1].pid, SIGKILL);
    char text[64];
    char *crash = wait_line(v, "\"event\":\"crash\"");
    snprintf(text, sizeof text, "\"process\":\"worker %u\",\"pid\":%d,\"worker\":%u,\"signal\":9", h[1].slot + 1,
             h[1].pid, h[1].slot + 1);
    assert_non_null(strstr(crash, text));
    struct hello again = wait_hello(v);
    assert_int_equal(again.slot, h[1].slot);
    assert_int_equal(again.generation, 1);
    assert_int_equal(atomic_load(&v->script->ended_workers), 1);
    assert_int_equal(atomic_load(&v->script->last_ended), h[1].slot + 1); /* ids are given in order */
    assert_int_equal(stop(v), 0);
    assert_int_equal(count_lines(v, "hello "), 3);
    assert_int_equal(count_lines(v, "\"event\":\"crash\""), 1);
}

static void test_a_crash_loop_is_held_off_and_said_once(void **state)
{
    struct service *v = *state;
    struct hello h;
    v->script->workers = 1;
    start_and_meet(v, &h, 1);
    atomic_store(&v->script->behaviour, DIES);
    kill(h.pid, SIGKILL);
    int64_t began_ms = clock_monotonic_ms();
    for (int i = 0; i < 4; i++)
        assert_non_null(strstr(wait_line(v, "\"event\":\"crash\""), "\"restart_delay_ms\":0"));
    static const char *const DELAYS[] = {"100", "200", "400", "400"};
    for (size_t i = 0; i < COUNT_OF(DELAYS); i++) {
        char text[64];
        snprintf(text, sizeof text, "\"restart_delay_ms\":%s,", DELAYS[i]);
        assert_non_null(strstr(wait_line(v, "\"event\":\"crash\""), text));
    }
    assert_true(clock_monotonic_ms() - began_ms >= 100 + 200 + 400);
    atomic_store(&v->script->behaviour, WORKS);
    unsigned slot, generation;
    assert_true(ask_port(v->script->ports[0], &slot, &generation)); /* who connected meanwhile has waited */
    assert_int_equal(stop(v), 0);
    assert_int_equal(count_lines(v, "its restarts are held off"), 1);
}

static void test_the_auth_process_is_replaced_and_keeps_its_channels(void **state)
{
    struct service *v = *state;
    int first = 0, second = 0;
    v->script->has_auth = true;
    service_start(v);
    assert_int_equal(sscanf(strstr(wait_line(v, "worker 0 heard auth"), "auth"), "auth %d", &first), 1);
    wait_line(v, "\"event\":\"start\"");
    kill(first, SIGKILL);
    assert_non_null(strstr(wait_line(v, "\"event\":\"crash\""), "\"process\":\"auth\""));
    assert_int_equal(sscanf(strstr(wait_line(v, "worker 0 heard auth"), "auth"), "auth %d", &second), 1);
    assert_int_not_equal(second, first);
    assert_int_equal(stop(v), 0);
    assert_int_equal(count_lines(v, "hello "), 2); /* no worker was */
    assert_int_equal(count_lines(v, "auth ends"), 1);
}

/* One that stands still is killed, and no worker is. */
static void test_an_admin_process_that_hangs_is_replaced(void **state)
{
    struct service *v = *state;
    int first = 0, second = 0;
    v->script->has_admin = true;
    v->times.stuck_ms = v->times.quit_ms = 1000;
    service_start(v);
    assert_int_equal(sscanf(strstr(wait_line(v, "admin is"), "admin is"), "admin is %d", &first), 1);
    wait_line(v, "\"event\":\"start\"");
    atomic_store(&v->script->hanging_admin, first);
    wait_line_2(v, "admin (pid ", ") has not moved for 1 s: it is killed and started again");
    assert_non_null(strstr(wait_line(v, "\"event\":\"crash\""), "\"text\":\"admin hung and was killed\""));
    assert_int_equal(sscanf(strstr(wait_line(v, "admin is"), "admin is"), "admin is %d", &second), 1);
    assert_int_not_equal(second, first);
    assert_int_equal(stop(v), 0);
    assert_int_equal(count_lines(v, "hello "), 2);
}

static void test_the_event_writer_is_replaced(void **state)
{
    struct service *v = *state;
    struct hello h[2];
    start_and_meet(v, h, 2);
    int writer = h[1].writer ? h[1].writer : h[0].writer;
    assert_true(writer > 0);
    kill(writer, SIGKILL);
    assert_non_null(strstr(wait_line(v, "\"event\":\"crash\""), "\"process\":\"event writer\""));
    kill(h[0].pid, SIGKILL); /* the new one has the pipes of old and of new producers */
    wait_line_2(v, "\"event\":\"crash\"", "\"process\":\"worker");
    assert_int_equal(stop(v), 0);
    assert_int_equal(count_lines(v, "\"event\":\"stop\""), 1);
}

static void test_half_a_line_of_a_dead_worker_spoils_nothing(void **state)
{
    struct service *v = *state;
    struct hello h;
    v->script->workers = 1;
    start_and_meet(v, &h, 1);
    atomic_store(&v->script->behaviour, DIES_MID_LINE);
    kill(h.pid, SIGKILL);
    wait_line(v, "\"event\":\"whole\"");
    wait_line_2(v, "\"event\":\"crash\"", "\"signal\":6");
    assert_int_equal(stop(v), 0);
    assert_int_equal(count_lines(v, "\"event\":\"half"), 0);
}

static void test_a_full_disk_stops_nothing(void **state)
{
    struct service *v = *state;
    unsigned slot, generation;
    strcpy(v->script->event_file, "/dev/full");
    v->script->workers = 1;
    service_start(v);
    struct hello h = wait_hello(v);
    wait_line(v, "cannot write events to /dev/full: No space left on device");
    for (int i = 0; i < 3; i++) {
        kill(h.pid, SIGKILL);
        h = wait_hello(v);
    }
    assert_true(ask_port(v->script->ports[0], &slot, &generation));
    assert_int_equal(stop(v), 0);
    assert_int_equal(count_lines(v, "cannot write events"), 1);
    assert_int_equal(count_lines(v, "event writer died"), 0);
}

static void test_a_second_signal_ends_at_once(void **state)
{
    struct service *v = *state;
    struct hello h[2];
    start_and_meet(v, h, 2);
    atomic_store(&v->script->behaviour, IS_STUBBORN);
    kill(v->pid, SIGTERM);
    wait_line(v, "drain ");
    wait_line(v, "drain ");
    kill(v->pid, SIGINT);
    wait_line(v, "quit ");
    assert_int_equal(wait_end(v), 0);
    assert_int_equal(count_lines(v, "\"event\":\"stop\""), 1);
    assert_int_equal(count_lines(v, "\"event\":\"crash\""), 0);
}

static void test_draining_has_an_end(void **state)
{
    struct service *v = *state;
    struct hello h[2];
    v->times.stop_drain_ms = 200;
    start_and_meet(v, h, 2);
    atomic_store(&v->script->behaviour, IS_STUBBORN);
    assert_int_equal(stop(v), 0);
    assert_int_equal(count_lines(v, "did not finish in time"), 1);
    assert_int_equal(count_lines(v, "quit "), 2);
}

static void test_a_worker_that_dies_while_draining_is_not_replaced(void **state)
{
    struct service *v = *state;
    struct hello h[2];
    start_and_meet(v, h, 2);
    atomic_store(&v->script->behaviour, IS_STUBBORN);
    kill(v->pid, SIGTERM);
    wait_line(v, "drain ");
    wait_line(v, "drain ");
    kill(h[0].pid, SIGABRT);
    wait_line_2(v, "\"event\":\"crash\"", "\"signal\":6");
    kill(h[1].pid, SIGABRT);
    assert_int_equal(wait_end(v), 0);
    assert_int_equal(count_lines(v, "hello "), 2);
}

static void test_nobody_outlives_a_killed_supervisor(void **state)
{
    struct service *v = *state;
    struct hello h[2];
    v->script->has_auth = true;
    start_and_meet(v, h, 2);
    kill(v->pid, SIGKILL);
    assert_int_equal(wait_end(v), -1); /* the end of file: everybody is gone */
}

static void test_not_even_who_hangs(void **state)
{
    struct service *v = *state;
    struct hello h[2];
    start_and_meet(v, h, 2);
    atomic_store(&v->script->behaviour, HANGS_AS_ORPHAN);
    kill(v->pid, SIGKILL);
    int64_t began_ms = clock_monotonic_ms();
    assert_int_equal(wait_end(v), -1);
    assert_true(clock_monotonic_ms() - began_ms >= (CHILD_ORPHAN_SECONDS - 1) * 1000);
}

static void test_children_ignore_the_signals_of_the_group(void **state)
{
    static const int SIGNALS[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGPIPE};
    struct service *v = *state;
    struct hello h[2];
    unsigned slot, generation;
    start_and_meet(v, h, 2);
    for (size_t i = 0; i < COUNT_OF(SIGNALS); i++)
        for (int k = 0; k < 2; k++) {
            kill(h[k].pid, SIGNALS[i]);
            kill(h[k].writer ? h[k].writer : h[1].writer, SIGNALS[i]);
        }
    for (int i = 0; i < 20; i++)
        assert_true(ask_port(v->script->ports[0], &slot, &generation));
    assert_int_equal(stop(v), 0);
    assert_int_equal(count_lines(v, "\"event\":\"crash\""), 0);
}

/* ---- starts that fail: exit 1, one sentence ---- */

static void check_start_fails(struct service *v, const char *words)
{
    service_start(v);
    assert_int_equal(wait_end(v), 1);
    if (!strstr(v->text, words))
        fail_msg("\"%s\" was not said, but:\n%s", words, v->text);
    assert_int_equal(count_lines(v, "cannot start: "), 1);
    assert_int_equal(count_lines(v, "\"event\":\"st"), 0); /* neither start nor stop */
}

static void test_a_configuration_that_is_wrong(void **state)
{
    struct service *v = *state;
    v->script->load_error = "fake.conf has 3 errors";
    check_start_fails(v, "cannot start: fake.conf has 3 errors\n");
}

static void test_a_port_that_is_taken(void **state)
{
    struct service *v = *state;
    struct err err = {0};
    struct endpoint at = {ENDPOINT_IP, {ADDR_IPV4, {127, 0, 0, 1}}, v->script->ports[0], ""};
    int fd = listen_open(&at, 1, &err); /* with SO_REUSEPORT, like a second mailweir */
    char words[128];
    snprintf(words, sizeof words, "cannot start: cannot listen at 127.0.0.1:%u: Address already in use: ", at.port);
    assert_true(fd >= 0);
    check_start_fails(v, words);
    close(fd);
}

static void test_a_worker_that_cannot_start(void **state)
{
    struct service *v = *state;
    atomic_store(&v->script->behaviour, FAILS);
    service_start(v);
    assert_int_equal(wait_end(v), 1);
    assert_non_null(strstr(v->text, "could not start: the key is wrong"));
}

static void test_a_worker_that_is_never_ready(void **state)
{
    struct service *v = *state;
    v->times.ready_ms = 200;
    atomic_store(&v->script->behaviour, NEVER_READY);
    check_start_fails(v, "the new processes were not ready");
}

static void test_an_event_file_that_cannot_be(void **state)
{
    struct service *v = *state;
    strcpy(v->script->event_file, "/nonexistent/events.jsonl");
    check_start_fails(v, "cannot open the event file \"/nonexistent/events.jsonl\": No such file or directory");
}

static void test_a_user_that_is_not(void **state)
{
    struct service *v = *state;
    v->script->user = "nobody-of-this-name";
    if (geteuid() != 0)
        skip(); /* who is not root stays who he is */
    check_start_fails(v, "there is no user \"nobody-of-this-name\"");
}

static void test_a_state_directory_that_cannot_be(void **state)
{
    struct service *v = *state;
    v->script->state_dir = "/dev/null";
    check_start_fails(v, "cannot make the state directory \"/dev/null\": something else has that name");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, service_setup, service_teardown)
        TEST(test_start_and_stop),
        TEST(test_a_killed_worker_is_replaced_and_no_other),
        TEST(test_a_crash_loop_is_held_off_and_said_once),
        TEST(test_the_auth_process_is_replaced_and_keeps_its_channels),
        TEST(test_an_admin_process_that_hangs_is_replaced),
        TEST(test_the_event_writer_is_replaced),
        TEST(test_half_a_line_of_a_dead_worker_spoils_nothing),
        TEST(test_a_full_disk_stops_nothing),
        TEST(test_a_second_signal_ends_at_once),
        TEST(test_draining_has_an_end),
        TEST(test_a_worker_that_dies_while_draining_is_not_replaced),
        TEST(test_nobody_outlives_a_killed_supervisor),
        TEST(test_not_even_who_hangs),
        TEST(test_children_ignore_the_signals_of_the_group),
        TEST(test_a_configuration_that_is_wrong),
        TEST(test_a_port_that_is_taken),
        TEST(test_a_worker_that_cannot_start),
        TEST(test_a_worker_that_is_never_ready),
        TEST(test_an_event_file_that_cannot_be),
        TEST(test_a_user_that_is_not),
        TEST(test_a_state_directory_that_cannot_be),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
