/*
 * The whole of it: the service in a thread of its own, clients on a loop, a real file, real hashes. It is also what
 * ThreadSanitizer looks at.
 */
#include "auth/auth_service.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "auth/auth_client.h"
#include "auth/auth_message.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "slowness.h"

#define B5 "$2y$05$MTa0sSvbUcYcIgal0qcOYOUZYA4xh9AgcSl7rai3gekpcgrsWXX9W"    /* secret */
#define S5 "$5$YMhIXxNbE1C4jHl9$2ZmiUAnD/dPcKjjYVnmwRnkRQjhxO4yCrrEsNcaczZD" /* secret */

enum { SLOTS = 3, PATIENCE_MS = 30000 };

static char dir[64], path[128];
static struct loop loop;
static struct auth_client *clients[SLOTS];
static int worker_ends[SLOTS], service_ends[SLOTS], stop_pipe[2];
static struct auth_backend_setting settings[2];
static struct auth_service_options options;
static pthread_t thread;
static bool runs, service_ok;

static void write_to(const char *where, const char *text)
{
    FILE *f = fopen(where, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void write_file(const char *text)
{
    write_to(path, text);
}

/* Replaces it as `mailweir passwd` does. */
static void replace_file(const char *text)
{
    char other[sizeof path + 8];
    snprintf(other, sizeof other, "%s.new", path);
    write_to(other, text);
    assert_int_equal(rename(other, path), 0);
}

static void *service_main(void *arg)
{
    struct err err;
    (void)arg;
    service_ok = auth_service_run(&options, &err);
    return NULL;
}

static void service_start(void)
{
    assert_int_equal(pipe(stop_pipe), 0);
    options.stop_fd = stop_pipe[0];
    assert_int_equal(pthread_create(&thread, NULL, service_main, NULL), 0);
    runs = true;
}

static void service_stop(void)
{
    close(stop_pipe[1]);
    pthread_join(thread, NULL);
    close(stop_pipe[0]);
    assert_true(service_ok);
    runs = false;
}

static int set_up(void **state)
{
    struct err err;
    (void)state;
    umask(077);
    log_set_level(LOG_LEVEL_WARNING);
    hash_process_key(); /* made before there are threads */
    strcpy(dir, "/tmp/mailweir-service.XXXXXX");
    if (!mkdtemp(dir) || !loop_init(&loop, &err))
        return -1;
    snprintf(path, sizeof path, "%s/users", dir);
    for (int i = 0; i < SLOTS; i++) {
        int pair[2];
        if (!auth_channel_open(pair, &err))
            return -1;
        worker_ends[i] = pair[0];
        service_ends[i] = pair[1];
        struct auth_client_options o = {.channel = pair[0], .cache_ttl_ms = i == 0 ? 60000 : 0};
        clients[i] = auth_client_new(&loop, &o, &err);
        if (!clients[i])
            return -1;
    }
    settings[0] = (struct auth_backend_setting){.kind = STR("file"), .argument = path, .realm = STR("example.org")};
    options = (struct auth_service_options){
        .backends = settings, .backend_count = 1, .channels = service_ends, .channel_count = SLOTS, .threads = 2};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (runs)
        service_stop();
    for (int i = 0; i < SLOTS; i++) {
        auth_client_free(&clients[i]);
        close(worker_ends[i]);
        close(service_ends[i]);
    }
    loop_fini(&loop);
    unlink(path);
    rmdir(dir);
    return 0;
}

/* ---- logins ---- */

struct login {
    bool is_done;
    bool from_cache;
    enum auth_result result;
    char user[AUTH_NAME_MAX_BYTES + 1];
    unsigned *left; /* of how many the loop waits for */
};

static void login_done(struct login *l, const struct auth_answer *a)
{
    assert_false(l->is_done);
    l->is_done = true;
    l->result = a->result;
    l->from_cache = a->from_cache;
    str_copy_into(l->user, sizeof l->user, a->user);
    if (--*l->left == 0)
        loop_stop(&loop);
}

static void on_answer(void *arg, const struct auth_answer *a)
{
    login_done(arg, a);
}

static void login_start(struct login *l, unsigned slot, const char *user, const char *password, int64_t deadline_ms)
{
    struct auth_request request = {.user = str_of_z(user), .password = str_of_z(password)};
    struct auth_answer answer;
    struct auth_check *check;
    (*l->left)++;
    if (auth_check_start(clients[slot], &request, deadline_ms, &answer, on_answer, l, &check) == DONE)
        login_done(l, &answer);
}

static struct login login(unsigned slot, const char *user, const char *password)
{
    unsigned left = 0;
    struct login l = {.left = &left};
    login_start(&l, slot, user, password, clock_monotonic_ms() + PATIENCE_MS);
    while (left > 0)
        loop_run(&loop);
    return l;
}

static void stop_loop(void *arg)
{
    loop_stop(arg);
}

/* Lets the loop hear of what has happened. */
static void turn(void)
{
    struct timer t;
    timer_init(&t, &loop, stop_loop, &loop);
    timer_start(&t, loop_now_ms(&loop) + 5);
    loop_run(&loop);
}

/* Tries until the result is this: what changes by itself takes a moment. */
static void await_result(unsigned slot, const char *user, const char *password, enum auth_result result)
{
    int64_t end_ms = clock_monotonic_ms() + PATIENCE_MS;
    while (login(slot, user, password).result != result) {
        assert_true(clock_monotonic_ms() < end_ms);
        turn();
    }
}

static void logins_are_judged(void **state)
{
    (void)state;
    write_file("Alice:" B5 "\nbob@example.net:" S5 "\ncarol:" B5 ":disabled\ndave:*\n");
    service_start();
    static const struct {
        const char *user, *password;
        enum auth_result result;
        const char *canonical;
    } CASES[] = {
        {"alice", "secret", AUTH_OK, "Alice@example.org"},
        {"ALICE@EXAMPLE.ORG", "secret", AUTH_OK, "Alice@example.org"},
        {"alice", "Secret", AUTH_WRONG, ""},
        {"bob@example.net", "secret", AUTH_OK, "bob@example.net"},
        {"bob", "secret", AUTH_UNKNOWN, ""},
        {"carol", "secret", AUTH_DISABLED, ""},
        {"carol", "other", AUTH_DISABLED, ""},
        {"dave", "secret", AUTH_DISABLED, ""},
        {"nobody", "secret", AUTH_UNKNOWN, ""},
    };
    for (unsigned i = 0; i < COUNT_OF(CASES); i++) {
        struct login l = login(i % SLOTS, CASES[i].user, CASES[i].password);
        if (l.result != CASES[i].result)
            fail_msg("%s: %s", CASES[i].user, auth_result_name(l.result));
        assert_string_equal(l.user, CASES[i].canonical);
    }
}

static void many_at_once(void **state)
{
    (void)state;
    enum { LOGINS = 150 };
    static struct login logins[LOGINS];
    unsigned left = 0, count = LOGINS / (tests_slowness() == 1 ? 1 : 5);
    write_file("alice:" B5 "\nbob:" S5 "\n");
    service_start();
    assert_int_equal(login(1, "alice", "secret").result, AUTH_OK);
    for (unsigned i = 0; i < count; i++) {
        logins[i] = (struct login){.left = &left};
        login_start(&logins[i], 1 + i % 2, i % 3 ? "alice" : "bob", i % 5 ? "secret" : "other",
                    clock_monotonic_ms() + PATIENCE_MS);
    }
    while (left > 0)
        loop_run(&loop);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(logins[i].result, i % 5 ? AUTH_OK : AUTH_WRONG);
}

/* The queue has a bound: who does not fit hears so at once, the others are served. */
static void a_full_queue_is_unavailable(void **state)
{
    (void)state;
    enum { LOGINS = 40, PLACES = 4 };
    static struct login logins[LOGINS];
    unsigned left = 0, counts[AUTH_RESULT_COUNT] = {0};
    /* 200000 rounds: the first ones are not done before the last ones come */
    write_file("alice:$5$rounds=200000$YMhIXxNbE1C4jHl9$2ZmiUAnD/dPcKjjYVnmwRnkRQjhxO4yCrrEsNcaczZD\n");
    options.jobs_max = PLACES;
    options.threads = 1;
    service_start();
    int64_t deadline_ms = clock_monotonic_ms() + PATIENCE_MS;
    for (unsigned i = 0; i < LOGINS; i++) {
        logins[i] = (struct login){.left = &left};
        login_start(&logins[i], 1, "alice", "other", deadline_ms);
    }
    while (left > 0)
        loop_run(&loop);
    for (unsigned i = 0; i < LOGINS; i++)
        counts[logins[i].result]++;
    assert_in_range(counts[AUTH_WRONG], 1, PLACES);
    assert_int_equal(counts[AUTH_WRONG] + counts[AUTH_UNAVAILABLE], LOGINS);
}

static void the_cache_follows_the_file(void **state)
{
    (void)state;
    write_file("alice:" B5 "\n");
    service_start();
    assert_int_equal(login(0, "alice", "secret").result, AUTH_OK);
    struct login l = login(0, "alice", "secret");
    assert_int_equal(l.result, AUTH_OK);
    assert_true(l.from_cache);
    replace_file("alice:" B5 ":disabled\n");
    await_result(0, "alice", "secret", AUTH_DISABLED);
    replace_file("alice:broken\n");
    assert_int_equal(login(0, "alice", "secret").result, AUTH_DISABLED);
    replace_file("alice:" B5 "\n");
    await_result(0, "alice", "secret", AUTH_OK);
}

static void without_a_file_logins_are_unavailable_until_it_comes(void **state)
{
    (void)state;
    log_set_level(LOG_LEVEL_ERROR);
    service_start();
    assert_int_equal(login(1, "alice", "secret").result, AUTH_UNAVAILABLE);
    write_file("alice:" B5 "\n");
    await_result(1, "alice", "secret", AUTH_OK);
}

/* A crash, seen from workers: what was under way ends with the next one's HELLO, which cannot tell what the dead one
 * had read; a worker that is new itself loses nothing. */
static void a_restart_goes_by_unnoticed(void **state)
{
    (void)state;
    unsigned left = 0;
    struct login waiting = {.left = &left}, taken = {.left = &left};
    struct err err;
    write_file("alice:" B5 "\n");
    service_start();
    assert_int_equal(login(1, "alice", "secret").result, AUTH_OK);
    service_stop();
    auth_client_free(&clients[2]);
    clients[2] = auth_client_new(&loop, &(struct auth_client_options){.channel = worker_ends[2]}, &err);
    assert_non_null(clients[2]);
    login_start(&waiting, 2, "alice", "secret", clock_monotonic_ms() + PATIENCE_MS);
    login_start(&taken, 1, "alice", "secret", clock_monotonic_ms() + PATIENCE_MS);
    char space[AUTH_MESSAGE_MAX_BYTES];
    struct auth_message m;
    assert_int_equal(auth_message_receive(service_ends[1], space, &m), IO_OK); /* the dead one took it along */
    assert_int_equal(m.kind, AUTH_MESSAGE_REQUEST);
    service_start();
    while (left > 0)
        loop_run(&loop);
    assert_int_equal(waiting.result, AUTH_OK);
    assert_int_equal(taken.result, AUTH_UNAVAILABLE);
    assert_int_equal(login(1, "alice", "secret").result, AUTH_OK);
}

static void rubbish_and_closed_channels_harm_nobody_else(void **state)
{
    (void)state;
    write_file("alice:" B5 "\n");
    service_start();
    for (int i = 0; i < 200; i++)
        assert_int_equal(send(worker_ends[1], "rubbish", 7, MSG_NOSIGNAL), 7);
    assert_int_equal(login(1, "alice", "secret").result, AUTH_OK);
    assert_int_equal(shutdown(worker_ends[2], SHUT_RDWR), 0);
    assert_int_equal(login(1, "alice", "secret").result, AUTH_OK);
    assert_int_equal(login(2, "alice", "secret").result, AUTH_UNAVAILABLE);
}

static void it_ends_with_its_last_channel(void **state)
{
    (void)state;
    write_file("alice:" B5 "\n");
    service_start();
    assert_int_equal(login(1, "alice", "secret").result, AUTH_OK);
    for (int i = 0; i < SLOTS; i++)
        assert_int_equal(shutdown(worker_ends[i], SHUT_RDWR), 0);
    pthread_join(thread, NULL);
    assert_true(service_ok);
    runs = false;
    close(stop_pipe[0]);
    close(stop_pipe[1]);
}

static void backends_are_asked_in_turn(void **state)
{
    (void)state;
    char other[160];
    snprintf(other, sizeof other, "%s/other", dir);
    write_to(other, "alice@example.org:" S5 ":disabled\nbob:" S5 "\n");
    write_file("alice:" B5 "\n");
    settings[1] = (struct auth_backend_setting){.kind = STR("file"), .argument = other};
    options.backend_count = 2;
    service_start();
    assert_int_equal(login(1, "alice@example.org", "secret").result, AUTH_OK);
    assert_int_equal(login(1, "bob", "secret").result, AUTH_OK);
    assert_int_equal(login(1, "carol", "secret").result, AUTH_UNKNOWN);
    unlink(other);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(logins_are_judged),
        TEST(many_at_once),
        TEST(a_full_queue_is_unavailable),
        TEST(the_cache_follows_the_file),
        TEST(without_a_file_logins_are_unavailable_until_it_comes),
        TEST(a_restart_goes_by_unnoticed),
        TEST(rubbish_and_closed_channels_harm_nobody_else),
        TEST(it_ends_with_its_last_channel),
        TEST(backends_are_asked_in_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
