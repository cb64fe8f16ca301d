/* test_event_file.c - rotation, and disks that are full, gone and back again. Only whole lines ever stand in the file.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "process/event_file.h"

struct fixture {
    struct counters counters;
    struct event_file file;
    char dir[64], path[128];
};

static int setup(void **state)
{
    struct fixture *f = aligned_alloc(64, (sizeof *f + 63) / 64 * 64);
    if (!f)
        return -1;
    memset(f, 0, sizeof *f);
    strcpy(f->dir, "/tmp/mailweir-test-XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    snprintf(f->path, sizeof f->path, "%s/events", f->dir);
    f->file.fd = -1;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];
    event_file_close(&f->file);
    snprintf(command, sizeof command, "rm -rf %s", f->dir);
    int code = system(command);
    free(f);
    return code;
}

static void open_file(struct fixture *f, uint64_t rotate_bytes, unsigned keep)
{
    struct err err = {0};
    struct event_sink_options o = {f->path, rotate_bytes, keep};
    assert_true(event_file_open(&f->file, &o, &f->counters, &err));
}

static void put(struct fixture *f, const char *lines, int64_t now_ms)
{
    event_file_write(&f->file, str_of_z(lines), now_ms);
}

static uint64_t dropped(const struct fixture *f)
{
    return atomic_load(&f->counters.values[COUNTER_EVENTS_DROPPED]);
}

/* suffix NULL: the file itself. content NULL: it is not there. */
static void check_file(const struct fixture *f, const char *suffix, const char *content)
{
    char path[192], text[65536];
    snprintf(path, sizeof path, "%s%s", f->path, suffix ? suffix : "");
    FILE *file = fopen(path, "r");
    if (!content) {
        assert_null(file);
        return;
    }
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof text - 1, file);
    text[len] = '\0';
    fclose(file);
    assert_string_equal(text, content);
}

static void test_lines_are_appended(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    open_file(f, 0, 0);
    put(f, "{1}\n", 0);
    put(f, "{2}\n{3}\n", 0);
    event_file_close(&f->file);
    open_file(f, 0, 0);
    put(f, "{4}\n", 0);
    check_file(f, NULL, "{1}\n{2}\n{3}\n{4}\n");
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777 & ~0640, 0); /* not everybody's to read */
}

static void test_rotation_keeps_so_many(void **state)
{
    struct fixture *f = *state;
    open_file(f, 10, 3);
    put(f, "{1.....}\n", 0); /* 9 bytes */
    check_file(f, ".1", NULL);
    put(f, "{2.....}\n", 0);
    check_file(f, NULL, "{2.....}\n");
    check_file(f, ".1", "{1.....}\n");
    put(f, "{3.....}\n", 0);
    put(f, "{4.....}\n", 0);
    put(f, "{5.....}\n", 0);
    check_file(f, NULL, "{5.....}\n");
    check_file(f, ".1", "{4.....}\n");
    check_file(f, ".2", "{3.....}\n");
    check_file(f, ".3", "{2.....}\n");
    check_file(f, ".4", NULL);
    assert_int_equal(dropped(f), 0);
}

static void test_rotation_counts_what_was_there(void **state)
{
    struct fixture *f = *state;
    open_file(f, 0, 1);
    put(f, "{before}\n", 0);
    event_file_close(&f->file);
    open_file(f, 10, 1);
    put(f, "{after.}\n", 0);
    check_file(f, ".1", "{before}\n");
    check_file(f, NULL, "{after.}\n");
}

static void test_keep_nothing(void **state)
{
    struct fixture *f = *state;
    open_file(f, 10, 0);
    put(f, "{1.....}\n", 0);
    put(f, "{2.....}\n", 0);
    check_file(f, NULL, "{2.....}\n");
    check_file(f, ".1", NULL);
}

static void test_one_write_larger_than_a_file(void **state)
{
    struct fixture *f = *state;
    open_file(f, 10, 1);
    put(f, "{1.....}\n{2.....}\n", 0); /* an empty file is not rotated */
    check_file(f, NULL, "{1.....}\n{2.....}\n");
    put(f, "{3}\n", 0);
    check_file(f, ".1", "{1.....}\n{2.....}\n");
    check_file(f, NULL, "{3}\n");
}

static void test_who_moves_the_file_says_reopen(void **state)
{
    struct fixture *f = *state;
    char moved[160];
    open_file(f, 0, 0);
    put(f, "{1}\n", 0);
    snprintf(moved, sizeof moved, "%s.moved", f->path);
    assert_int_equal(rename(f->path, moved), 0);
    put(f, "{2}\n", 0); /* still in the old one */
    event_file_reopen(&f->file);
    put(f, "{3}\n", 0);
    check_file(f, ".moved", "{1}\n{2}\n");
    check_file(f, NULL, "{3}\n");
}

static void test_a_reopen_that_fails_goes_on_with_the_old_one(void **state)
{
    struct fixture *f = *state;
    char moved[80];
    open_file(f, 0, 0);
    snprintf(moved, sizeof moved, "%s-moved", f->dir);
    assert_int_equal(rename(f->dir, moved), 0);
    event_file_reopen(&f->file);
    put(f, "{1}\n", 0);
    assert_int_equal(rename(moved, f->dir), 0);
    check_file(f, NULL, "{1}\n");
    assert_int_equal(dropped(f), 0);
}

static void test_a_rotation_that_fails_loses_nothing(void **state)
{
    struct fixture *f = *state;
    char in_the_way[160];
    open_file(f, 10, 1);
    snprintf(in_the_way, sizeof in_the_way, "%s.1", f->path);
    assert_int_equal(mkdir(in_the_way, 0700), 0); /* a directory cannot be replaced by a file */
    put(f, "{1.....}\n", 0);
    put(f, "{2.....}\n", 0);
    put(f, "{3.....}\n", 0);
    check_file(f, NULL, "{1.....}\n{2.....}\n{3.....}\n");
    assert_int_equal(rmdir(in_the_way), 0);
    put(f, "{4.....}\n", 0); /* tried again after so many bytes more */
    check_file(f, ".1", "{1.....}\n{2.....}\n{3.....}\n");
    check_file(f, NULL, "{4.....}\n");
    assert_int_equal(dropped(f), 0);
}

static void test_a_full_disk_drops_and_counts(void **state)
{
    struct fixture *f = *state;
    strcpy(f->path, "/dev/full");
    open_file(f, 10, 3);
    put(f, "{1.....}\n", 0);
    put(f, "{2.....}\n{3.....}\n", 0);
    assert_int_equal(dropped(f), 3);
    assert_true(f->file.is_failing);
    assert_int_equal(f->file.lost, 3);
}

/* As a disk with room for some bytes more. */
static void allow_bytes(rlim_t bytes)
{
    struct rlimit r;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &r), 0);
    r.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

static void test_half_a_line_is_cut_off(void **state)
{
    struct fixture *f = *state;
    open_file(f, 0, 0);
    signal(SIGXFSZ, SIG_IGN);
    allow_bytes(14);
    put(f, "{1}\n{2}\n{long line}\n{4}\n", 0); /* room until the middle of the third */
    assert_int_equal(dropped(f), 2);
    check_file(f, NULL, "{1}\n{2}\n");
    put(f, "{5}\n", 0); /* a short one fits again */
    assert_false(f->file.is_failing);
    put(f, "{longer}\n", 0);
    allow_bytes(RLIM_INFINITY);
    put(f, "{7}\n", 0);
    check_file(f, NULL, "{1}\n{2}\n{5}\n{7}\n");
    assert_int_equal(dropped(f), 3);
}

static void test_what_is_missing_is_tried_again_once_a_second(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    char sub[96];
    snprintf(sub, sizeof sub, "%s/later", f->dir);
    snprintf(f->path, sizeof f->path, "%s/events", sub);
    struct event_sink_options o = {f->path, 0, 0};
    assert_false(event_file_open(&f->file, &o, &f->counters, &err));
    char wanted[256];
    snprintf(wanted, sizeof wanted, "cannot open the event file \"%s\": No such file or directory", f->path);
    assert_string_equal(err.text, wanted);
    put(f, "{1}\n", 5000);
    assert_int_equal(dropped(f), 1);
    assert_int_equal(mkdir(sub, 0700), 0);
    put(f, "{2}\n", 5000 + EVENT_FILE_RETRY_MS - 1);
    assert_int_equal(dropped(f), 2);
    put(f, "{3}\n", 5000 + EVENT_FILE_RETRY_MS);
    check_file(f, NULL, "{3}\n");
    assert_int_equal(dropped(f), 2);
    assert_false(f->file.is_failing);
}

static void test_a_pipe_that_nobody_reads_is_refused_at_once(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct event_sink_options o = {f->path, 0, 0};
    assert_int_equal(mkfifo(f->path, 0600), 0);
    assert_false(event_file_open(&f->file, &o, &f->counters, &err));
    assert_non_null(strstr(err.text, "No such device or address"));
}

static void test_a_pipe_is_never_rotated(void **state)
{
    struct fixture *f = *state;
    char text[64];
    assert_int_equal(mkfifo(f->path, 0600), 0);
    int reader = open(f->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    open_file(f, 10, 3);
    put(f, "{1.....}\n", 0);
    put(f, "{2.....}\n", 0);
    assert_int_equal(read(reader, text, sizeof text), 18);
    check_file(f, ".1", NULL);
    close(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        TEST(test_lines_are_appended),
        TEST(test_rotation_keeps_so_many),
        TEST(test_rotation_counts_what_was_there),
        TEST(test_keep_nothing),
        TEST(test_one_write_larger_than_a_file),
        TEST(test_who_moves_the_file_says_reopen),
        TEST(test_a_reopen_that_fails_goes_on_with_the_old_one),
        TEST(test_a_rotation_that_fails_loses_nothing),
        TEST(test_a_full_disk_drops_and_counts),
        TEST(test_half_a_line_is_cut_off),
        TEST(test_what_is_missing_is_tried_again_once_a_second),
        TEST(test_a_pipe_that_nobody_reads_is_refused_at_once),
        TEST(test_a_pipe_is_never_rotated),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
