/* test_control_socket.c - the supervisor's hold on the control socket: whose file it is, and what becomes of it over
 * reloads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "process/control_socket.h"

struct fixture {
    char dir[64], one[96], two[96];
    struct control_socket control;
    struct privileges nobody; /* to drop to: we stay who we are */
    struct err err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    strcpy(f->dir, "/tmp/mailweir-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->one, sizeof f->one, "%s/folder/one", f->dir);
    snprintf(f->two, sizeof f->two, "%s/two", f->dir);
    control_socket_init(&f->control);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char folder[96];
    control_socket_fini(&f->control);
    unlink(f->one);
    unlink(f->two);
    snprintf(folder, sizeof folder, "%s/folder", f->dir);
    rmdir(folder);
    int rc = rmdir(f->dir);
    free(f);
    return rc; /* nothing is left behind */
}

static bool prepare(struct fixture *f, const char *path, bool is_default)
{
    struct process_plan plan = {.control = path, .control_is_default = is_default};
    f->err = (struct err){0};
    return control_socket_prepare(&f->control, &plan, &f->nobody, &f->err);
}

static void take(struct fixture *f, const char *path)
{
    if (!prepare(f, path, false))
        fail_msg("%s", f->err.text);
    control_socket_commit(&f->control);
}

static bool is_socket(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* Does somebody listen there? */
static bool listens(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    strncat(at.sun_path, path, sizeof at.sun_path - 1);
    bool does = connect(fd, (struct sockaddr *)&at, sizeof at) == 0;
    close(fd);
    return does;
}

static int bind_at(const char *path, bool listening)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    strncat(at.sun_path, path, sizeof at.sun_path - 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    if (listening)
        assert_int_equal(listen(fd, 5), 0);
    return fd;
}

static void test_made_and_removed(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    take(f, f->one);
    assert_true(listens(f->one));
    assert_int_equal(stat(f->one, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_true(control_socket_fd(&f->control, false) >= 0);
    control_socket_fini(&f->control);
    assert_false(is_socket(f->one));
    assert_int_equal(control_socket_fd(&f->control, false), -1);
}

static void test_it_stays_over_a_reload(void **state)
{
    struct fixture *f = *state;
    take(f, f->one);
    int fd = control_socket_fd(&f->control, false);
    assert_true(prepare(f, f->one, false));
    assert_int_equal(control_socket_fd(&f->control, true), fd);
    control_socket_rollback(&f->control);
    assert_true(listens(f->one));
    take(f, f->one);
    assert_int_equal(control_socket_fd(&f->control, false), fd);
    assert_true(listens(f->one));
}

static void test_it_moves(void **state)
{
    struct fixture *f = *state;
    take(f, f->one);
    int fd = control_socket_fd(&f->control, false);
    assert_true(prepare(f, f->two, false));
    assert_int_equal(control_socket_fd(&f->control, false), fd);
    assert_int_not_equal(control_socket_fd(&f->control, true), fd);
    assert_true(listens(f->one) && listens(f->two));
    control_socket_rollback(&f->control);
    assert_true(listens(f->one));
    assert_false(is_socket(f->two));
    assert_int_equal(control_socket_fd(&f->control, true), fd);
    take(f, f->two);
    assert_true(listens(f->two));
    assert_false(is_socket(f->one));
    take(f, NULL); /* none any more */
    assert_false(is_socket(f->two));
    assert_int_equal(control_socket_fd(&f->control, false), -1);
}

static void test_a_dead_services_file(void **state)
{
    struct fixture *f = *state;
    close(bind_at(f->two, true));
    assert_true(is_socket(f->two));
    take(f, f->two);
    assert_true(listens(f->two));
}

static void test_somebody_elses(void **state)
{
    struct fixture *f = *state;
    int fd = bind_at(f->two, true);
    assert_false(prepare(f, f->two, false));
    assert_non_null(strstr(f->err.text, "another service listens there"));
    assert_true(listens(f->two));
    close(fd);
    unlink(f->two);
    FILE *file = fopen(f->two, "w"); /* no socket at all */
    fclose(file);
    assert_false(prepare(f, f->two, false));
    assert_int_equal(access(f->two, F_OK), 0);
}

static void test_a_file_that_was_removed_is_made_again(void **state)
{
    struct fixture *f = *state;
    take(f, f->two);
    unlink(f->two);
    take(f, f->two);
    assert_true(listens(f->two));
    unlink(f->two);
    int fd = bind_at(f->two, true); /* and one that somebody put in its place is his */
    control_socket_fini(&f->control);
    assert_true(listens(f->two));
    close(fd);
}

static void test_a_place_that_cannot_be_had(void **state)
{
    struct fixture *f = *state;
    char long_path[200];
    memset(long_path, 'x', sizeof long_path);
    long_path[0] = '/';
    long_path[sizeof long_path - 1] = '\0';
    static const char *const NOWHERE[] = {"/proc/mailweir/control", "/dev/null/control", NULL};
    for (size_t i = 0; i < COUNT_OF(NOWHERE); i++) {
        const char *path = NOWHERE[i] ? NOWHERE[i] : long_path;
        assert_false(prepare(f, path, false));
        assert_true(str_starts(str_of_z(f->err.text), STR("there is no control socket at /")));
        assert_true(prepare(f, path, true)); /* nobody named it: the service goes on without */
        control_socket_commit(&f->control);
        assert_int_equal(control_socket_fd(&f->control, false), -1);
    }
    take(f, f->one); /* until it can be had */
    assert_true(listens(f->one));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_made_and_removed),
        CASE(test_it_stays_over_a_reload),
        CASE(test_it_moves),
        CASE(test_a_dead_services_file),
        CASE(test_somebody_elses),
        CASE(test_a_file_that_was_removed_is_made_again),
        CASE(test_a_place_that_cannot_be_had),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
