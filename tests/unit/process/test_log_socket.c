/* test_log_socket.c - lines to a log that is there, restarted, full, or away; never a wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "process/log_socket.h"

#define WALL_US INT64_C(1795508130123456)

struct fixture {
    char dir[64], path[80];
    int fd; /* the log's */
    struct log_socket s;
};

static void open_log(struct fixture *f)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    unlink(f->path);
    str_copy_into(at.sun_path, sizeof at.sun_path, str_of_z(f->path));
    f->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f->fd, (struct sockaddr *)&at, sizeof at), 0);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    *state = f;
    f->fd = -1;
    strcpy(f->dir, "/tmp/mailweir-syslog-XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    snprintf(f->path, sizeof f->path, "%s/log", f->dir);
    log_socket_init(&f->s, LOG_SOCKET_SYSLOG, f->path);
    setenv("TZ", "UTC", 1);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    log_socket_close(&f->s);
    close(f->fd);
    unlink(f->path);
    rmdir(f->dir);
    free(f);
    return 0;
}

static bool say(struct fixture *f, struct str line, struct err *err)
{
    return log_socket_send(&f->s, LOG_SEVERITY_WARNING, WALL_US, line, err);
}

static void expect(struct fixture *f, const char *line)
{
    char text[256], wanted[256];
    ssize_t n = recv(f->fd, text, sizeof text - 1, 0);
    assert_true(n >= 0);
    text[n] = '\0';
    snprintf(wanted, sizeof wanted, "<20>Nov 24 08:15:30 mailweir[%d]: %s", (int)getpid(), line);
    assert_string_equal(text, wanted);
}

static void test_said(void **state)
{
    struct fixture *f = *state;
    struct err err;
    open_log(f);
    assert_true(say(f, STR("alert ops: {}"), &err));
    expect(f, "alert ops: {}");
    close(f->fd); /* restarted */
    open_log(f);
    assert_true(say(f, STR("again"), &err));
    expect(f, "again");
}

static void test_away(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    char wanted[128];
    assert_false(say(f, STR("x"), &err));
    snprintf(wanted, sizeof wanted, "%s: No such file or directory", f->path);
    assert_string_equal(err.text, wanted);
    open_log(f);
    assert_true(say(f, STR("x"), &err));
    expect(f, "x");
}

static void test_full(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    unsigned said = 0;
    open_log(f);
    while (said < 100000 && say(f, STR("x"), &err))
        said++;
    assert_true(said < 100000);
    assert_non_null(strstr(err.text, "temporarily unavailable"));
    expect(f, "x");
}

static void test_journal(void **state)
{
    struct fixture *f = *state;
    struct err err;
    char text[256];
    log_socket_init(&f->s, LOG_SOCKET_JOURNAL, f->path);
    assert_false(log_socket_open(&f->s, &err));
    open_log(f);
    assert_true(log_socket_open(&f->s, &err));
    assert_true(say(f, STR("{}"), &err));
    ssize_t n = recv(f->fd, text, sizeof text, 0);
    assert_true(n > 0);
    assert_true(str_equal(str_of(text, (size_t)n),
                          STR("PRIORITY=4\nSYSLOG_FACILITY=2\nSYSLOG_IDENTIFIER=mailweir\nMESSAGE={}\n")));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(said), TEST(away), TEST(full), TEST(journal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
