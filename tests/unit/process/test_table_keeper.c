/* test_table_keeper.c - a table's file is replaced, broken, taken away and brought back, under a real loop and with
 * real readers; what a reader makes of a file is the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process/table_keeper.h"

static const struct table_keeper_times QUICK = {.look_ms = 40, .settle_ms = 20, .read_ms = 2000};

struct stage {
    char dir[64], path[96], other[96];
    struct loop loop;
    struct privileges privileges;
    struct event_log events;
    int pipe[2];
    char log[65536]; /* event lines so far */
    size_t log_len;
    struct process_table table;
    struct table_keeper *keeper;
    char content[256]; /* of the image that was sent last */
    unsigned taken, sent, forgotten, refusals;
};

/* A file that begins with "bad" is wrong; "slow" takes for ever; "die" is the reader's end. */
static bool build(void *arg, size_t index, int file, int image, struct err *err)
{
    char text[256];
    (void)arg;
    (void)index;
    ssize_t n = read(file, text, sizeof text);
    struct str s = str_of(text, n > 0 ? (size_t)n : 0);
    if (str_starts(s, STR("slow")))
        pause();
    if (str_starts(s, STR("die")))
        raise(SIGKILL);
    if (str_starts(s, STR("bad")))
        return err_set(err, "F:1:1: this is bad");
    return write(image, text, s.len) == (ssize_t)s.len || err_set(err, "no room");
}

static bool take(void *arg, size_t index, int image, struct err *err)
{
    struct stage *s = arg;
    (void)err;
    assert_int_equal(index, 0);
    assert_int_equal(write(image, "x", 1), -1); /* sealed */
    s->taken++;
    return true;
}

static bool send_image(void *arg, size_t index, int image)
{
    struct stage *s = arg;
    assert_int_equal(index, 0);
    if (s->refusals > 0) {
        s->refusals--;
        return false;
    }
    ssize_t n = pread(image, s->content, sizeof s->content - 1, 0);
    assert_true(n >= 0);
    s->content[n] = '\0';
    s->sent++;
    return true;
}

static void forget(void *arg)
{
    struct stage *s = arg;
    s->forgotten++;
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void replace(struct stage *s, const char *text)
{
    write_file(s->other, text);
    assert_int_equal(rename(s->other, s->path), 0);
}

static void begin(struct stage *s, const struct table_keeper_times *times)
{
    struct err err;
    struct stat st;
    struct table_keeper_options options = {.tables = &s->table,
                                           .count = 1,
                                           .times = times,
                                           .privileges = &s->privileges,
                                           .events = &s->events,
                                           .build = build,
                                           .take = take,
                                           .send = send_image,
                                           .forget = forget,
                                           .arg = s};
    assert_int_equal(stat(s->path, &st), 0);
    s->table = (struct process_table){"local", s->path, file_stamp_of(&st)};
    s->keeper = table_keeper_new(&s->loop, &options, &err);
    assert_non_null(s->keeper);
}

static void turn(struct stage *s)
{
    loop_run_once(&s->loop, 10);
    ssize_t n = read(s->pipe[0], s->log + s->log_len, sizeof s->log - 1 - s->log_len);
    s->log_len += n > 0 ? (size_t)n : 0;
    s->log[s->log_len] = '\0';
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
}

static size_t count_events(const struct stage *s, const char *part)
{
    size_t n = 0;
    for (const char *at = s->log; (at = strstr(at, part)); at++)
        n++;
    return n;
}

/* Turns the loop until the value is reached; a test that waits for nothing fails. */
#define WAIT_UNTIL(s, condition)                                                                                       \
    do {                                                                                                               \
        unsigned turns_ = 0;                                                                                           \
        while (!(condition)) {                                                                                         \
            if (++turns_ > 2000)                                                                                       \
                fail_msg("waited for %s; events:\n%s", #condition, (s)->log);                                          \
            turn(s);                                                                                                   \
        }                                                                                                              \
    } while (0)

static void some_looks(struct stage *s)
{
    int64_t until_ms = loop_now_ms(&s->loop) + 6 * QUICK.look_ms;
    while (loop_now_ms(&s->loop) < until_ms)
        turn(s);
}

static int set_up(void **state)
{
    struct stage *s = calloc(1, sizeof *s);
    struct err err;
    strcpy(s->dir, "/tmp/mailweir-keeper-XXXXXX");
    if (!mkdtemp(s->dir) || pipe2(s->pipe, O_CLOEXEC | O_NONBLOCK) != 0 || !loop_init(&s->loop, &err) ||
        !privileges_find(&s->privileges, NULL, &err))
        return -1;
    snprintf(s->path, sizeof s->path, "%s/t", s->dir);
    snprintf(s->other, sizeof s->other, "%s/new", s->dir);
    event_log_init(&s->events, s->pipe[1], "mx1", NULL);
    write_file(s->path, "first");
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct stage *s = *state;
    table_keeper_free(&s->keeper);
    event_log_fini(&s->events);
    loop_fini(&s->loop);
    close(s->pipe[0]);
    close(s->pipe[1]);
    unlink(s->path);
    unlink(s->other);
    rmdir(s->dir);
    free(s);
    return 0;
}

static void test_what_does_not_change_is_not_read(void **state)
{
    struct stage *s = *state;
    begin(s, &QUICK);
    some_looks(s);
    assert_int_equal(s->taken, 0);
    assert_int_equal(s->forgotten, 0);
    assert_int_equal(s->log_len, 0);
}

static void test_replaced_by_rename(void **state)
{
    struct stage *s = *state;
    begin(s, &QUICK);
    replace(s, "second");
    WAIT_UNTIL(s, s->sent == 1);
    assert_string_equal(s->content, "second");
    WAIT_UNTIL(s, s->forgotten == 1);
    replace(s, "third");
    WAIT_UNTIL(s, s->sent == 2);
    assert_string_equal(s->content, "third");
    some_looks(s);
    assert_int_equal(s->taken, 2);
    assert_int_equal(s->log_len, 0); /* good after good is no change of state */
}

static void test_wrong_is_said_once(void **state)
{
    struct stage *s = *state;
    begin(s, &QUICK);
    replace(s, "bad");
    WAIT_UNTIL(s, s->log_len > 0);
    assert_non_null(
        strstr(s->log, "\"event\":\"table\",\"node\":\"mx1\",\"table\":\"local\",\"file\":\"/tmp/mailweir-keeper-"));
    assert_non_null(strstr(s->log, "\"state\":\"stale\",\"text\":\"F:1:1: this is bad\"}"));
    replace(s, "bad again");
    some_looks(s);
    assert_int_equal(count_events(s, "\"event\":\"table\""), 1);
    assert_int_equal(s->taken, 0);
    replace(s, "good");
    WAIT_UNTIL(s, s->sent == 1);
    WAIT_UNTIL(s, count_events(s, "\"state\":\"current\"") == 1);
    assert_string_equal(s->content, "good");
    replace(s, "bad once more");
    WAIT_UNTIL(s, count_events(s, "\"state\":\"stale\"") == 2);
}

static void test_gone_and_back(void **state)
{
    struct stage *s = *state;
    begin(s, &QUICK);
    assert_int_equal(unlink(s->path), 0);
    WAIT_UNTIL(s, s->log_len > 0);
    assert_non_null(strstr(s->log, "\"text\":\"cannot read \\\"/tmp/mailweir-keeper-"));
    assert_non_null(strstr(s->log, ": No such file or directory\"}"));
    some_looks(s);
    assert_int_equal(count_events(s, "\"event\":\"table\""), 1);
    write_file(s->path, "back");
    WAIT_UNTIL(s, s->sent == 1);
    WAIT_UNTIL(s, count_events(s, "\"state\":\"current\"") == 1);
}

static void test_moved_away_and_back(void **state)
{
    static const struct table_keeper_times PATIENT = {.look_ms = 20, .settle_ms = 60000, .read_ms = 2000};
    struct stage *s = *state;
    begin(s, &PATIENT);
    assert_int_equal(rename(s->path, s->other), 0);
    loop_run_once(&s->loop, 0);
    assert_int_equal(rename(s->other, s->path), 0);
    WAIT_UNTIL(s, s->sent == 1); /* another name is a change of the inode's time: it is read, and the same */
    assert_string_equal(s->content, "first");
    assert_int_equal(s->log_len, 0);
}

static void test_a_dead_reader_is_replaced(void **state)
{
    struct stage *s = *state;
    begin(s, &QUICK);
    replace(s, "die");
    WAIT_UNTIL(s, count_events(s, "the process that read it died") == 1);
    replace(s, "fine");
    WAIT_UNTIL(s, s->sent == 1);
    WAIT_UNTIL(s, count_events(s, "\"state\":\"current\"") == 1);
}

static void test_a_slow_reader_is_ended(void **state)
{
    static const struct table_keeper_times IMPATIENT = {.look_ms = 40, .settle_ms = 20, .read_ms = 50};
    struct stage *s = *state;
    begin(s, &IMPATIENT);
    replace(s, "slow");
    WAIT_UNTIL(s, count_events(s, "reading it took more than 0 s") == 1);
    some_looks(s); /* it is tried again, and nothing more is said */
    assert_int_equal(count_events(s, "\"event\":\"table\""), 1);
    assert_int_equal(s->taken, 0);
}

static void test_who_cannot_take_it_is_asked_again(void **state)
{
    struct stage *s = *state;
    begin(s, &QUICK);
    s->refusals = 1;
    replace(s, "second");
    WAIT_UNTIL(s, s->sent == 1);
    assert_int_equal(s->taken, 1);
    assert_string_equal(s->content, "second");
}

static void test_a_hushed_one_goes_on(void **state)
{
    struct stage *s = *state;
    begin(s, &QUICK);
    table_keeper_hush(s->keeper);
    replace(s, "bad");
    some_looks(s);
    replace(s, "good");
    WAIT_UNTIL(s, s->sent == 1);
    assert_int_equal(s->log_len, 0);
}

static void test_freed_while_reading(void **state)
{
    struct stage *s = *state;
    begin(s, &QUICK);
    replace(s, "slow");
    some_looks(s);
    table_keeper_free(&s->keeper);
    assert_null(s->keeper);
    assert_true(waitpid(-1, NULL, 0) > 0); /* it is dead */
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_what_does_not_change_is_not_read),
        CASE(test_replaced_by_rename),
        CASE(test_wrong_is_said_once),
        CASE(test_gone_and_back),
        CASE(test_moved_away_and_back),
        CASE(test_a_dead_reader_is_replaced),
        CASE(test_a_slow_reader_is_ended),
        CASE(test_who_cannot_take_it_is_asked_again),
        CASE(test_a_hushed_one_goes_on),
        CASE(test_freed_while_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
