/* test_reload.c - from one generation to the next, or not: nothing is lost, a bad configuration changes nothing. */
#include "fake_service.h"

static void start_and_meet(struct service *v)
{
    service_start(v);
    for (unsigned i = 0; i < v->script->workers; i++)
        wait_hello(v);
    wait_line(v, "\"event\":\"start\"");
}

static char *reload(struct service *v)
{
    kill(v->pid, SIGHUP);
    return wait_line(v, "\"event\":\"reload\"");
}

static void check_answers(struct service *v, int port, unsigned generation)
{
    unsigned slot, from;
    for (int i = 0; i < 20; i++) {
        assert_true(ask_port(v->script->ports[port], &slot, &from));
        assert_int_equal(from, generation);
    }
}

/* The two workers of a generation listen no longer. */
static void wait_gone(struct service *v, unsigned generation)
{
    for (unsigned slot = 0; slot < 2; slot++) {
        char text[32];
        snprintf(text, sizeof text, "bye %u %u", slot, generation);
        wait_line(v, text);
    }
}

/* Until the supervisor has closed it too. */
static void wait_closed(uint16_t port)
{
    unsigned slot, generation;
    int64_t end_ms = clock_monotonic_ms() + PATIENCE_MS;
    while (ask_port(port, &slot, &generation))
        assert_true(clock_monotonic_ms() < end_ms);
}

static void test_a_new_generation_replaces_the_old(void **state)
{
    struct service *v = *state;
    v->script->has_auth = true;
    start_and_meet(v);
    check_answers(v, 0, 1);
    char *event = reload(v);
    assert_non_null(strstr(event, "\"result\":\"ok\",\"generation\":2"));
    wait_line(v, "retire 0 1 mask 0");
    wait_line(v, "retire 1 1 mask 0");
    wait_gone(v, 1);
    wait_line(v, "auth ends"); /* after them */
    check_answers(v, 0, 2);
    assert_int_equal(stop(v), 0);
    assert_int_equal(count_lines(v, "hello "), 4);
    assert_int_equal(count_lines(v, "\"event\":\"crash\""), 0);
    assert_int_equal(atomic_load(&v->script->ended_workers), 4);
}

static void test_reloads_lose_no_connection(void **state)
{
    struct service *v = *state;
    unsigned slot, generation;
    start_and_meet(v);
    for (unsigned i = 0; i < 10; i++) {
        v->script->workers = 1 + i % 4; /* sockets are added, and shared among fewer */
        kill(v->pid, SIGHUP);
        for (int k = 0; k < 50; k++)
            assert_true(ask_port(v->script->ports[0], &slot, &generation));
        assert_non_null(strstr(wait_line(v, "\"event\":\"reload\""), "\"result\":\"ok\""));
    }
    assert_int_equal(stop(v), 0);
    assert_int_equal(count_lines(v, "\"event\":\"crash\""), 0);
}

static void test_an_endpoint_comes(void **state)
{
    struct service *v = *state;
    start_and_meet(v);
    v->script->ports[1] = free_port();
    assert_non_null(strstr(reload(v), "\"result\":\"ok\""));
    wait_gone(v, 1);
    check_answers(v, 0, 2);
    check_answers(v, 1, 2);
    assert_int_equal(stop(v), 0);
}

static void test_an_endpoint_goes(void **state)
{
    struct service *v = *state;
    v->script->ports[1] = free_port();
    start_and_meet(v);
    uint16_t gone = v->script->ports[0];
    v->script->ports[0] = 0;
    assert_non_null(strstr(reload(v), "\"result\":\"ok\""));
    wait_line(v, "retire 0 1 mask 1"); /* its backlog is theirs to accept */
    wait_gone(v, 1);
    wait_closed(gone);
    check_answers(v, 1, 2);
    v->script->ports[2] = gone; /* and it may come back */
    assert_non_null(strstr(reload(v), "\"result\":\"ok\""));
    wait_gone(v, 2);
    check_answers(v, 2, 3);
    assert_int_equal(stop(v), 0);
}

static void test_the_event_file_changes(void **state)
{
    struct service *v = *state;
    char path[128];
    start_and_meet(v);
    snprintf(v->script->event_file, sizeof v->script->event_file, "%s/events", v->dir);
    kill(v->pid, SIGHUP);
    wait_line(v, "the new configuration is in force (generation 2)");
    wait_line(v, "retire 0 1");
    assert_int_equal(stop(v), 0);
    assert_int_equal(count_lines(v, "\"event\":\"stop\""), 0); /* stderr no longer */
    snprintf(path, sizeof path, "%s/events", v->dir);
    char text[8192];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof text - 1, file);
    text[len] = '\0';
    fclose(file);
    assert_non_null(strstr(text, "\"event\":\"stop\""));
}

/* ---- what is wrong ---- */

/* The reload is refused with these words and the first generation still answers. */
static void check_refused(struct service *v, const char *words)
{
    char *event = reload(v);
    assert_non_null(strstr(event, "\"result\":\"failed\",\"generation\":1"));
    if (!strstr(event, words))
        fail_msg("\"%s\" is not in %s", words, event);
    wait_line(v, "the reload is refused, everything stays as it was: ");
    check_answers(v, 0, 1);
}

static void check_end(struct service *v)
{
    assert_int_equal(stop(v), 0);
    assert_int_equal(count_lines(v, "retire 0 1 mask 0"), 0);
    assert_int_equal(count_lines(v, "\"result\":\"ok\""), 0);
}

static void test_what_load_refuses(void **state)
{
    struct service *v = *state;
    start_and_meet(v);
    v->script->load_error = "fake.conf has 2 errors";
    check_refused(v, "\"text\":\"fake.conf has 2 errors\"");
    check_end(v);
}

static void test_no_workers_and_too_many(void **state)
{
    struct service *v = *state;
    start_and_meet(v);
    v->script->workers = 0;
    check_refused(v, "`workers` is 0, it may be 1 to 256");
    v->script->workers = PROCESS_WORKERS_MAX + 1;
    check_refused(v, "`workers` is 257, it may be 1 to 256");
    check_end(v);
}

static void test_one_endpoint_twice(void **state)
{
    struct service *v = *state;
    start_and_meet(v);
    v->script->ports[1] = v->script->ports[0];
    check_refused(v, "two listeners have the endpoint 127.0.0.1:");
    check_end(v);
}

static void test_what_needs_a_restart(void **state)
{
    struct service *v = *state;
    start_and_meet(v);
    v->script->user = "nobody";
    check_refused(v, "`user` cannot be changed by a reload: restart the service");
    v->script->user = NULL;
    v->script->state_dir = "/tmp";
    check_refused(v, "`state` cannot be changed by a reload: restart the service");
    v->script->state_dir = NULL;
    strcpy(v->script->pidfile, "/tmp/pid");
    check_refused(v, "`pidfile` cannot be changed by a reload: restart the service");
    check_end(v);
}

static void test_a_port_that_is_taken(void **state)
{
    struct service *v = *state;
    struct err err = {0};
    start_and_meet(v);
    v->script->ports[1] = free_port();
    v->script->ports[2] = free_port();
    struct endpoint at = {ENDPOINT_IP, {ADDR_IPV4, {127, 0, 0, 1}}, v->script->ports[2], ""};
    int fd = listen_open(&at, 1, &err);
    assert_true(fd >= 0);
    check_refused(v, "Address already in use");
    wait_closed(v->script->ports[1]); /* the free one was opened before, and is closed again */
    close(fd);
    check_end(v);
}

static void test_new_workers_that_cannot_start(void **state)
{
    struct service *v = *state;
    start_and_meet(v);
    atomic_store(&v->script->behaviour, FAILS);
    check_refused(v, "could not start: the key is wrong");
    check_end(v);
}

static void test_new_workers_that_are_never_ready(void **state)
{
    struct service *v = *state;
    v->times.ready_ms = 3000;
    start_and_meet(v);
    atomic_store(&v->script->behaviour, NEVER_READY);
    check_refused(v, "the new processes were not ready within 3 s");
    check_end(v);
}

static void test_an_event_file_that_cannot_be(void **state)
{
    struct service *v = *state;
    start_and_meet(v);
    strcpy(v->script->event_file, "/nonexistent/events");
    check_refused(v, "cannot open the event file \\\"/nonexistent/events\\\": No such file or directory");
    check_end(v); /* the stop event is on stderr still: check_refused read its event there */
    assert_int_equal(count_lines(v, "\"event\":\"stop\""), 1);
}

/* More workers were wanted than are: the sockets that were added for them are not closed when the reload fails, for
 * clients already wait there; those who work get them. */
static void test_sockets_for_workers_who_never_came(void **state)
{
    struct service *v = *state;
    unsigned slot, generation;
    v->script->workers = 1;
    start_and_meet(v);
    v->script->workers = 8;
    atomic_store(&v->script->behaviour, FAILS);
    kill(v->pid, SIGHUP);
    for (int i = 0; i < 200; i++)
        assert_true(ask_port(v->script->ports[0], &slot, &generation));
    assert_non_null(strstr(wait_line(v, "\"event\":\"reload\""), "\"result\":\"failed\""));
    check_answers(v, 0, 1);
    assert_int_equal(stop(v), 0);
}

/* ---- one after the other ---- */

static void test_a_reload_while_one_is_under_way(void **state)
{
    struct service *v = *state;
    start_and_meet(v);
    atomic_store(&v->script->behaviour, NEVER_READY);
    kill(v->pid, SIGHUP);
    struct hello h = wait_hello(v);
    assert_int_equal(h.generation, 2);
    wait_hello(v);
    atomic_store(&v->script->behaviour, WORKS);
    kill(v->pid, SIGHUP);
    kill(h.pid, SIGKILL);
    assert_non_null(strstr(wait_line(v, "\"event\":\"reload\""), "\"result\":\"failed\""));
    assert_non_null(strstr(wait_line(v, "\"event\":\"reload\""), "\"result\":\"ok\",\"generation\":3"));
    assert_int_equal(stop(v), 0);
}

static void test_many_generations_that_do_not_finish(void **state)
{
    struct service *v = *state;
    start_and_meet(v);
    atomic_store(&v->script->behaviour, IS_STUBBORN);
    for (int i = 2; i <= GENERATIONS_MAX + 2; i++)
        assert_non_null(strstr(reload(v), "\"result\":\"ok\""));
    assert_int_equal(count_lines(v, "is ended with the sessions it still has"), 3);
    atomic_store(&v->script->behaviour, WORKS);
    kill(v->pid, SIGTERM);
    wait_line(v, "stopping: SIGTERM");
    assert_int_equal(stop(v), 0);
}

static void test_the_old_generation_has_an_end(void **state)
{
    struct service *v = *state;
    v->times.reload_drain_ms = 200;
    start_and_meet(v);
    atomic_store(&v->script->behaviour, IS_STUBBORN);
    reload(v);
    wait_line(v, "workers of generation 1 did not finish in time");
    wait_line(v, "quit 0 1");
    wait_line(v, "quit 1 1");
    unsigned slot, generation;
    int64_t end_ms = clock_monotonic_ms() + PATIENCE_MS;
    while (atomic_load(&v->script->ended_workers) < 2) { /* killed, at last */
        assert_true(ask_port(v->script->ports[0], &slot, &generation) || clock_monotonic_ms() < end_ms);
        assert_true(clock_monotonic_ms() < end_ms);
    }
    atomic_store(&v->script->behaviour, WORKS);
    check_answers(v, 0, 2);
    assert_int_equal(stop(v), 0);
}

static void test_term_while_reloading(void **state)
{
    struct service *v = *state;
    start_and_meet(v);
    atomic_store(&v->script->behaviour, NEVER_READY);
    kill(v->pid, SIGHUP);
    wait_line(v, "hello 1 2");
    assert_int_equal(stop(v), 0);
    assert_int_equal(count_lines(v, "\"event\":\"reload\""), 0);
    assert_int_equal(count_lines(v, "\"event\":\"stop\""), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, service_setup, service_teardown)
        TEST(test_a_new_generation_replaces_the_old),
        TEST(test_reloads_lose_no_connection),
        TEST(test_an_endpoint_comes),
        TEST(test_an_endpoint_goes),
        TEST(test_the_event_file_changes),
        TEST(test_what_load_refuses),
        TEST(test_no_workers_and_too_many),
        TEST(test_one_endpoint_twice),
        TEST(test_what_needs_a_restart),
        TEST(test_a_port_that_is_taken),
        TEST(test_new_workers_that_cannot_start),
        TEST(test_new_workers_that_are_never_ready),
        TEST(test_an_event_file_that_cannot_be),
        TEST(test_sockets_for_workers_who_never_came),
        TEST(test_a_reload_while_one_is_under_way),
        TEST(test_many_generations_that_do_not_finish),
        TEST(test_the_old_generation_has_an_end),
        TEST(test_term_while_reloading),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
