/* test_event_writer.c - the event writer as a process: what it passes on, and what never. */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "process/event_writer.h"
#include "stats/event.h"

enum { PATIENCE_MS = 20000, PIPES = 3 };
#define LINE(n) "{\"time\":\"2026-01-01T00:00:00.000000Z\",\"n\":" #n "}\n"

struct fixture {
    char dir[64], path[96];
    struct shared *shared; /* its counters row 0 is the writer's */
    pid_t pid;
    int control;
    int pipes[PIPES]; /* our writing ends; -1: closed */
};

static void send_pipe(struct fixture *f, int index)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    struct channel_message m = {.kind = CHANNEL_PIPE, .id = (uint64_t)index + 1};
    assert_int_equal(channel_send(f->control, &m, fds[0]), IO_OK);
    close(fds[0]);
    f->pipes[index] = fds[1];
}

/* The next message of this kind. */
static struct channel_message wait_message(struct fixture *f, enum channel_kind kind)
{
    for (;;) {
        struct channel_message m = {0};
        struct pollfd p = {f->control, POLLIN, 0};
        assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
        assert_true(recv(f->control, &m, sizeof m - 1, 0) > 0);
        if (m.kind == kind)
            return m;
    }
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct err err = {0};
    int control[2];
    strcpy(f->dir, "/tmp/mailweir-test-XXXXXX");
    if (!mkdtemp(f->dir) || !channel_pair(control, &err))
        return -1;
    snprintf(f->path, sizeof f->path, "%s/events", f->dir);
    f->shared = shared_new(&err);
    f->control = control[0];
    f->pid = fork();
    if (f->pid == 0) {
        struct privileges privileges = {.drops = false};
        struct event_sink_options sink = {f->path, 0, 0};
        struct process_context ctx = {
            .role = ROLE_EVENT_WRITER,
            .supervisor_pid = getppid(),
            .sink = &sink,
            .privileges = &privileges,
            .shared = f->shared,
            .seat = &f->shared->seats[0],
            .counters = &f->shared->counters[0],
            .control_fd = control[1],
            .event_fd = -1,
        };
        close(control[0]);
        _exit(event_writer_run(&ctx));
    }
    close(control[1]);
    *state = f;
    wait_message(f, CHANNEL_READY);
    for (int i = 0; i < PIPES; i++)
        send_pipe(f, i);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];
    if (f->pid > 0) {
        kill(f->pid, SIGKILL);
        waitpid(f->pid, NULL, 0);
    }
    if (f->control >= 0)
        close(f->control);
    for (int i = 0; i < PIPES; i++)
        if (f->pipes[i] >= 0)
            close(f->pipes[i]);
    shared_free(&f->shared);
    snprintf(command, sizeof command, "rm -rf %s", f->dir);
    int code = system(command);
    free(f);
    return code;
}

static void put(struct fixture *f, int index, const char *text)
{
    assert_int_equal(write(f->pipes[index], text, strlen(text)), strlen(text));
}

static void end_pipe(struct fixture *f, int index)
{
    close(f->pipes[index]);
    f->pipes[index] = -1;
    assert_int_equal(wait_message(f, CHANNEL_PIPE_DONE).id, index + 1);
}

static void wait_end(struct fixture *f)
{
    int status;
    assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
    f->pid = 0;
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* It is told to end and does, with all that was in the pipes. */
static void finish(struct fixture *f)
{
    assert_int_equal(channel_tell(f->control, CHANNEL_QUIT, 0, 0, NULL), IO_OK);
    wait_end(f);
}

static char *content_of(const char *path)
{
    static char text[4 << 20];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof text - 1, file);
    text[len] = '\0';
    fclose(file);
    return text;
}

static uint64_t dropped(const struct fixture *f)
{
    return atomic_load(&f->shared->counters[0].values[COUNTER_EVENTS_DROPPED]);
}

static void test_lines_of_all_producers(void **state)
{
    struct fixture *f = *state;
    put(f, 0, LINE(1) LINE(2));
    end_pipe(f, 0);
    put(f, 1, LINE(3));
    end_pipe(f, 1);
    put(f, 2, LINE(4)); /* in the pipe, perhaps not yet read, when it is told to end */
    finish(f);
    assert_string_equal(content_of(f->path), LINE(1) LINE(2) LINE(3) LINE(4));
    assert_int_equal(dropped(f), 0);
}

static void test_a_line_in_pieces_is_one_line(void **state)
{
    struct fixture *f = *state;
    const char *line = LINE(1) LINE(2);
    for (size_t i = 0; i < strlen(line); i++) {
        char byte[2] = {line[i], '\0'};
        put(f, 0, byte);
        if (i == 10)
            put(f, 1, LINE(3)); /* another producer's line does not get into it */
        if (i == 10)
            end_pipe(f, 1);
    }
    end_pipe(f, 0);
    finish(f);
    assert_string_equal(content_of(f->path), LINE(3) LINE(1) LINE(2));
}

static void test_half_a_line_ends_with_its_producer(void **state)
{
    struct fixture *f = *state;
    put(f, 0, LINE(1) "{\"time\":\"2026-01-01T00:00:00.000000Z\",\"half\":1");
    end_pipe(f, 0);
    put(f, 1, LINE(2));
    finish(f);
    assert_string_equal(content_of(f->path), LINE(1) LINE(2));
    assert_int_equal(dropped(f), 1);
}

static void test_what_is_no_event_does_not_pass(void **state)
{
    static const char *const CASES[] = {
        "\n",
        "x\n",
        "{}\n",
        "{\"time\":\n",
        "\"n\":1}\n",                          /* what a writer before us had read the beginning of */
        "{\"limit\":1}]}\n",                   /* the same, cut where a nested object began */
        "{\"time\":\"2026\",\"torn\x18\n",     /* marked by stats/event.c */
        "{\"time\":\"2026\",\"torn\"}\x18\n",  /* … even where it looks whole */
        "{\"time\":\"2026\",\"tab\":\"\t\"}\n" /* never written so */
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        put(f, 0, CASES[i]);
        put(f, 0, LINE(1) LINE(2));
        put(f, 0, CASES[i]);
        put(f, 0, LINE(3));
    }
    end_pipe(f, 0);
    finish(f);
    const char *text = content_of(f->path);
    for (size_t i = 0; i < COUNT_OF(CASES); i++, text += strlen(LINE(1) LINE(2) LINE(3)))
        assert_memory_equal(text, LINE(1) LINE(2) LINE(3), strlen(LINE(1) LINE(2) LINE(3)));
    assert_string_equal(text, "");
    assert_int_equal(dropped(f), 2 * (COUNT_OF(CASES) - 1)); /* an empty line is nobody's loss */
}

static void test_a_line_without_end_costs_bounded_memory(void **state)
{
    struct fixture *f = *state;
    static char piece[60001];
    memset(piece, 'x', sizeof piece - 1);
    put(f, 0, "{\"time\":\"");
    for (int i = 0; i < 20; i++)
        put(f, 0, piece);
    put(f, 0, "\"}\n" LINE(1));
    end_pipe(f, 0);
    finish(f);
    assert_string_equal(content_of(f->path), LINE(1));
    assert_true(dropped(f) > 0);
}

/* The longest line that stats/event.c lets through passes here. */
static void test_the_longest_line(void **state)
{
    struct fixture *f = *state;
    struct event_log log;
    static char filler[EVENT_LINE_MAX_BYTES];
    memset(filler, 'x', sizeof filler);
    event_log_init(&log, f->pipes[0], "mx1", NULL);
    event_begin(&log, "mail", 0);
    size_t room = EVENT_LINE_MAX_BYTES - buf_len(&log.line) - strlen(",\"text\":\"\"}\n");
    event_str(&log, "text", str_of(filler, room));
    event_end(&log);
    assert_false(log.broken);
    event_log_fini(&log);
    end_pipe(f, 0);
    finish(f);
    assert_int_equal(strlen(content_of(f->path)), EVENT_LINE_MAX_BYTES);
    assert_int_equal(dropped(f), 0);
}

static void try_sink(struct fixture *f, const char *path, uint64_t id)
{
    struct channel_message m = {.kind = CHANNEL_SINK_TRY, .id = id};
    strncat(m.text, path, sizeof m.text - 1);
    assert_int_equal(channel_send(f->control, &m, -1), IO_OK);
}

static void test_another_file_is_tried_then_taken(void **state)
{
    struct fixture *f = *state;
    char other[112];
    snprintf(other, sizeof other, "%s.other", f->path);
    put(f, 0, LINE(1));
    end_pipe(f, 0);
    try_sink(f, other, 7);
    assert_int_equal(wait_message(f, CHANNEL_SINK_OK).id, 7);
    put(f, 1, LINE(2)); /* still the old one */
    end_pipe(f, 1);
    channel_tell(f->control, CHANNEL_SINK_TAKE, 7, 0, NULL);
    try_sink(f, "/nonexistent/events", 8); /* its answer says that it has come so far */
    assert_int_equal(wait_message(f, CHANNEL_SINK_BAD).id, 8);
    put(f, 2, LINE(3));
    finish(f);
    assert_string_equal(content_of(f->path), LINE(1) LINE(2));
    assert_string_equal(content_of(other), LINE(3));
}

static void test_a_file_that_cannot_be_is_not_taken(void **state)
{
    struct fixture *f = *state;
    try_sink(f, "/nonexistent/events", 8);
    struct channel_message m = wait_message(f, CHANNEL_SINK_BAD);
    assert_int_equal(m.id, 8);
    assert_string_equal(m.text, "cannot open the event file \"/nonexistent/events\": No such file or directory");
    channel_tell(f->control, CHANNEL_SINK_TAKE, 8, 0, NULL); /* nothing to take */
    put(f, 0, LINE(1));
    end_pipe(f, 0);
    finish(f);
    assert_string_equal(content_of(f->path), LINE(1));
}

static void test_an_orphan_ends_with_the_last_producer(void **state)
{
    struct fixture *f = *state;
    close(f->control);
    f->control = -1;
    put(f, 0, LINE(1));
    for (int i = 0; i < PIPES; i++) {
        close(f->pipes[i]);
        f->pipes[i] = -1;
    }
    wait_end(f);
    assert_string_equal(content_of(f->path), LINE(1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        TEST(test_lines_of_all_producers),
        TEST(test_a_line_in_pieces_is_one_line),
        TEST(test_half_a_line_ends_with_its_producer),
        TEST(test_what_is_no_event_does_not_pass),
        TEST(test_a_line_without_end_costs_bounded_memory),
        TEST(test_the_longest_line),
        TEST(test_another_file_is_tried_then_taken),
        TEST(test_a_file_that_cannot_be_is_not_taken),
        TEST(test_an_orphan_ends_with_the_last_producer),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
