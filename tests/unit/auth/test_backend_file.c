/* `auth file`: what a login's task is, and when the file is read again. The clock is the test's. */
#include "auth/backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define B5 "$2y$05$MTa0sSvbUcYcIgal0qcOYOUZYA4xh9AgcSl7rai3gekpcgrsWXX9W"
#define S5 "$5$YMhIXxNbE1C4jHl9$2ZmiUAnD/dPcKjjYVnmwRnkRQjhxO4yCrrEsNcaczZD"

static char dir[64], path[128];
static struct auth_backend_setting setting;
static const struct auth_backend_kind *kind;
static struct auth_backend *backend;
static int64_t now_ms;

/* What on_state was told. */
static unsigned told;
static bool told_good;
static char told_text[1200];

static void on_state(void *arg, bool good, const char *text)
{
    assert_ptr_equal(arg, &setting);
    told++;
    told_good = good;
    snprintf(told_text, sizeof told_text, "%s", text);
}

static void write_file(const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void open_backend(const char *realm)
{
    struct err err;
    setting = (struct auth_backend_setting){.kind = STR("file"), .argument = path, .realm = str_of_z(realm)};
    kind = auth_backend_kind_find(setting.kind);
    assert_non_null(kind);
    now_ms = 1000000;
    told = 0;
    backend = kind->open(&setting, on_state, &setting, now_ms, &err);
    assert_non_null(backend);
}

static int set_up(void **state)
{
    (void)state;
    umask(077); /* or it warns of files that everybody can read */
    strcpy(dir, "/tmp/mailweir-backend.XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/users", dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (backend)
        kind->close(backend);
    backend = NULL;
    unlink(path);
    rmdir(dir);
    return 0;
}

/* Lets time go by, turn by turn as the service does. True: the users have changed at some moment of it. */
static bool pass(int64_t ms)
{
    int64_t end_ms = now_ms + ms;
    bool changed = false;
    while (now_ms < end_ms) {
        int64_t next_ms = end_ms;
        changed |= kind->refresh(backend, now_ms, &next_ms);
        assert_true(next_ms > now_ms);
        now_ms = next_ms;
    }
    return changed;
}

static enum auth_prepared prepare(const char *user, struct auth_task *task)
{
    *task = (struct auth_task){.password = "secret", .password_len = 6};
    return kind->prepare(backend, str_of_z(user), 20000, task);
}

static bool knows(const char *user)
{
    struct auth_task task;
    return prepare(user, &task) == AUTH_PREPARED_KNOWN;
}

static void tasks_say_what_comes_of_it(void **state)
{
    (void)state;
    write_file("Alice:" B5 "\nbob:" B5 ":disabled\ncarol:*\ndave:" S5 ":1:0:9:7::20000:\nerin:" S5
               ":1:0:9:7::20001:\n");
    open_backend("example.org");
    const struct {
        const char *user;
        enum auth_prepared prepared;
        enum auth_result if_right, if_wrong;
        const char *canonical, *hash; /* hash NULL: another's */
    } CASES[] = {
        {"alice", AUTH_PREPARED_KNOWN, AUTH_OK, AUTH_WRONG, "Alice@example.org", B5},
        {"ALICE@example.ORG", AUTH_PREPARED_KNOWN, AUTH_OK, AUTH_WRONG, "Alice@example.org", B5},
        {"bob", AUTH_PREPARED_KNOWN, AUTH_DISABLED, AUTH_DISABLED, "bob@example.org", B5},
        {"carol", AUTH_PREPARED_KNOWN, AUTH_DISABLED, AUTH_DISABLED, "carol@example.org", NULL},
        {"dave", AUTH_PREPARED_KNOWN, AUTH_DISABLED, AUTH_DISABLED, "dave@example.org", S5},
        {"erin", AUTH_PREPARED_KNOWN, AUTH_OK, AUTH_WRONG, "erin@example.org", S5},
        {"frank", AUTH_PREPARED_UNKNOWN, AUTH_UNKNOWN, AUTH_UNKNOWN, "", NULL},
        {"alice@example.net", AUTH_PREPARED_UNKNOWN, AUTH_UNKNOWN, AUTH_UNKNOWN, "", NULL},
        {"", AUTH_PREPARED_UNKNOWN, AUTH_UNKNOWN, AUTH_UNKNOWN, "", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct auth_task task;
        if (prepare(CASES[i].user, &task) != CASES[i].prepared)
            fail_msg("%s", CASES[i].user);
        assert_int_equal(task.if_right, CASES[i].if_right);
        assert_int_equal(task.if_wrong, CASES[i].if_wrong);
        assert_string_equal(task.user, CASES[i].canonical);
        if (CASES[i].hash)
            assert_string_equal(task.hash, CASES[i].hash);
        else
            assert_true(strcmp(task.hash, B5) == 0 || strcmp(task.hash, S5) == 0);
        /* the right password of all of them; whoever it is, it is hashed */
        assert_int_equal(task.judge(&task), CASES[i].if_right);
        task.password[0] = 'S';
        assert_int_equal(task.judge(&task), CASES[i].if_wrong);
    }
}

static void no_users_still_cost_a_hash(void **state)
{
    (void)state;
    write_file("# nobody yet\n");
    open_backend("");
    assert_true(told_good);
    struct auth_task task;
    assert_int_equal(prepare("alice", &task), AUTH_PREPARED_UNKNOWN);
    assert_true(str_equal(str_of_z(task.hash), password_hash_filler()));
}

static void an_untouched_file_is_let_be(void **state)
{
    (void)state;
    write_file("alice:" B5 "\nbob:" B5 "\n");
    open_backend("");
    assert_int_equal(told, 1);
    assert_true(told_good);
    assert_non_null(strstr(told_text, "/users: 2 users"));
    assert_false(pass(60000));
    assert_int_equal(told, 1);
}

static void a_changed_file_is_read_when_it_has_settled(void **state)
{
    (void)state;
    write_file("alice:" B5 "\n");
    open_backend("");
    pass(10);
    write_file("alice:" B5 "\nbob:" B5 "\n");
    assert_false(pass(989)); /* not looked at yet */
    assert_false(pass(101)); /* seen, not settled */
    assert_false(knows("bob"));
    write_file("alice:" B5 "\nbob:" B5 "\ncarol:" B5 "\n"); /* still being written */
    assert_false(pass(50));
    assert_false(knows("bob"));
    assert_true(pass(150));
    assert_true(knows("bob") && knows("carol"));
    assert_int_equal(told, 2);
    assert_true(told_good);
    assert_false(pass(60000));
}

static void a_replaced_file_is_read(void **state)
{
    (void)state;
    char other[160];
    write_file("alice:" B5 "\n");
    open_backend("");
    snprintf(other, sizeof other, "%s", path);
    strcat(other, ".new");
    FILE *f = fopen(other, "w");
    assert_non_null(f);
    fputs("bobby:" B5 "\n", f); /* the same length */
    fclose(f);
    assert_int_equal(rename(other, path), 0);
    assert_true(pass(2000));
    assert_true(knows("bobby") && !knows("alice"));
}

static void a_wrong_file_leaves_the_last_good_in_force_and_is_told_once(void **state)
{
    (void)state;
    write_file("alice:" B5 "\n");
    open_backend("");
    write_file("alice:" B5 "\nbob:plain\n");
    assert_false(pass(30000));
    assert_true(knows("alice") && !knows("bob"));
    assert_int_equal(told, 2);
    assert_false(told_good);
    assert_non_null(strstr(told_text, "/users:2: bob: the password stands in plain text"));
    assert_non_null(strstr(told_text, "the last good content stays in force"));
    assert_int_equal(unlink(path), 0);
    assert_false(pass(30000));
    assert_true(knows("alice"));
    assert_int_equal(told, 3);
    assert_non_null(strstr(told_text, "No such file"));
    write_file("alice:" B5 "\nbob:" B5 "\n");
    assert_true(pass(2000));
    assert_true(knows("bob"));
    assert_int_equal(told, 4);
    assert_true(told_good);
}

static void a_file_that_comes_late_is_waited_for(void **state)
{
    (void)state;
    struct auth_task task;
    open_backend("");
    assert_int_equal(told, 1);
    assert_false(told_good);
    assert_non_null(strstr(told_text, "until it is good, no login is possible"));
    assert_int_equal(prepare("alice", &task), AUTH_PREPARED_AWAY);
    assert_false(pass(30000));
    assert_int_equal(told, 1);
    write_file("alice:" B5 "\n");
    assert_true(pass(2000));
    assert_int_equal(prepare("alice", &task), AUTH_PREPARED_KNOWN);
    assert_int_equal(told, 2);
}

static void settings_are_checked(void **state)
{
    (void)state;
    struct err err;
    write_file("alice:" B5 "\nalice@example.org:" B5 "\n");
    const struct auth_backend_kind *file = auth_backend_kind_find(STR("file"));
    assert_true(file->check(&(struct auth_backend_setting){.argument = path}, &err));
    assert_false(file->check(&(struct auth_backend_setting){.argument = path, .realm = STR("example.org")}, &err));
    assert_non_null(strstr(err.text, "/users:2: alice@example.org: this user is in line 1 already"));
    assert_null(auth_backend_kind_find(STR("ldap")));
    assert_null(auth_backend_kind_find(STR("")));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tasks_say_what_comes_of_it),
        TEST(no_users_still_cost_a_hash),
        TEST(an_untouched_file_is_let_be),
        TEST(a_changed_file_is_read_when_it_has_settled),
        TEST(a_replaced_file_is_read),
        TEST(a_wrong_file_leaves_the_last_good_in_force_and_is_told_once),
        TEST(a_file_that_comes_late_is_waited_for),
        TEST(settings_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
