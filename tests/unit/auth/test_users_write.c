/* `mailweir passwd`: one field of one line changes, and nothing else. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "auth/password_hash.h"
#include "auth/users_file.h"
#include "slowness.h"

#define B5 "$2y$05$MTa0sSvbUcYcIgal0qcOYOUZYA4xh9AgcSl7rai3gekpcgrsWXX9W"

static char dir[64], path[128];

static int set_up(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/mailweir-passwd.XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/users", dir);
    return 0;
}

/* Also: no temporary file is left behind. */
static int tear_down(void **state)
{
    (void)state;
    size_t left = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        char name[400];
        snprintf(name, sizeof name, "%s/%s", dir, e->d_name);
        left += e->d_name[0] == '.' && strlen(e->d_name) > 2;
        unlink(name);
    }
    if (d)
        closedir(d);
    rmdir(dir);
    return left ? -1 : 0;
}

static void write_file(const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void read_file(char *to, size_t size)
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    to[fread(to, 1, size - 1, f)] = '\0';
    fclose(f);
}

static void must_set(const char *user, const char *password, struct users_change *change)
{
    struct err err;
    if (!users_file_set_password(path, str_of_z(user), str_of_z(password), change, &err))
        fail_msg("%s", err.text);
}

/* Does text consist of before, a hash of the password, and after? */
static void assert_around(const char *text, const char *before, const char *password, const char *after)
{
    size_t begin = strlen(before), end = strlen(after), len = strlen(text);
    assert_true(len > begin + end);
    assert_memory_equal(text, before, begin);
    assert_string_equal(text + len - end, after);
    struct str hash;
    struct err err;
    assert_true(password_hash_read(str_of(text + begin, len - begin - end), &hash, &err));
    if (tests_slowness() == 1) /* as costly as making one */
        assert_int_equal(password_hash_verify(hash, str_of_z(password)), PASSWORD_RIGHT);
}

static const struct {
    const char *before, *old_hash, *after; /* the file */
    const char *user;
    bool is_disabled;
} CHANGES[] = {
    {"alice:", B5, "\n", "alice", false},
    {"alice:", B5, "", "alice", false},
    {"alice:", B5, "\r\nbob:x\r\n", "alice", false},
    {"Alice:", B5, "\n", "aLICE", false},
    {"# first\n\n  # alice:no\nbob:plain text, and wrong\nalice:", B5, ":disabled=no\n\n#end", "alice", false},
    {"alice:", B5, ":disabled\n", "alice", true},
    {"root:*:1:0:9:7:::\nalice:", "!" B5, ":19000:0:99999:7:::\n", "alice", false},
    {"alice:", "*", ":19000:0:99999:7::3:\n", "alice", true},
    {"alice:", "", "\nalicea:" B5 "\n", "alice", false},
    {"xalice:" B5 "\nalice:", "plain", ":what:ever\n", "alice", false},
};

static void one_field_changes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CHANGES); i++) {
        char text[4096];
        struct users_change change;
        snprintf(text, sizeof text, "%s%s%s", CHANGES[i].before, CHANGES[i].old_hash, CHANGES[i].after);
        write_file(text);
        must_set(CHANGES[i].user, "new secret", &change);
        assert_false(change.created_file || change.added_user);
        assert_int_equal(change.is_disabled, CHANGES[i].is_disabled);
        read_file(text, sizeof text);
        assert_around(text, CHANGES[i].before, "new secret", CHANGES[i].after);
    }
}

static void users_are_added_at_the_end(void **state)
{
    (void)state;
    static const char *const FILES[][2] = {
        {"", "carol:"},
        {"alice:" B5 "\n", "alice:" B5 "\ncarol:"},
        {"alice:" B5, "alice:" B5 "\ncarol:"},
        {"# carol:x\n", "# carol:x\ncarol:"},
    };
    for (size_t i = 0; i < COUNT_OF(FILES); i++) {
        char text[4096];
        struct users_change change;
        write_file(FILES[i][0]);
        must_set("carol", "secret", &change);
        assert_true(change.added_user && !change.created_file && !change.is_disabled);
        read_file(text, sizeof text);
        assert_around(text, FILES[i][1], "secret", "\n");
    }
}

static void a_missing_file_is_made(void **state)
{
    (void)state;
    char text[4096];
    struct users_change change;
    struct stat st;
    mode_t before = umask(0);
    must_set("alice@example.org", "secret", &change);
    umask(before);
    assert_true(change.created_file && change.added_user);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    read_file(text, sizeof text);
    assert_around(text, "alice@example.org:", "secret", "\n");
}

static void owner_mode_and_links_stay(void **state)
{
    (void)state;
    char link_path[160];
    struct users_change change;
    struct stat st;
    struct err err;
    write_file("alice:" B5 "\n");
    assert_int_equal(chmod(path, 0640), 0);
    bool is_root = geteuid() == 0;
    if (is_root)
        assert_int_equal(chown(path, 12, 34), 0);
    snprintf(link_path, sizeof link_path, "%s/link", dir);
    assert_int_equal(symlink("users", link_path), 0);
    mode_t before = umask(077);
    assert_true(users_file_set_password(link_path, STR("alice"), STR("secret"), &change, &err));
    umask(before);
    assert_int_equal(lstat(link_path, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISREG(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0640);
    if (is_root)
        assert_true(st.st_uid == 12 && st.st_gid == 34);
}

static void refusals_change_nothing(void **state)
{
    (void)state;
    const struct {
        struct str user, password;
        const char *error;
    } CASES[] = {
        {STR(""), STR("secret"), "the name is empty"},
        {STR("a:b"), STR("secret"), "the name has a ':' in it"},
        {STR("a\nb"), STR("secret"), "the name has a control character in it"},
        {STR("#a"), STR("secret"), "the name begins with #"},
        {STR("alice"), STR(""), "the password is empty"},
        {STR("alice"), STR("a\nb"), "the password has a control character in it"},
        {STR("bob"), STR("secret"), "bob: this user is in lines 2 and 4"},
    };
    static const char TEXT[] = "alice:" B5 "\nbob:x\n#\nBob:y\nbob:z\n";
    write_file(TEXT);
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        char text[4096];
        struct users_change change;
        struct err err;
        if (users_file_set_password(path, CASES[i].user, CASES[i].password, &change, &err))
            fail_msg("case %zu is done", i);
        if (!str_starts(str_of_z(err.text), str_of_z(CASES[i].error)))
            fail_msg("case %zu: %s", i, err.text);
        read_file(text, sizeof text);
        assert_string_equal(text, TEXT);
    }
}

static void places_that_cannot_be(void **state)
{
    (void)state;
    struct users_change change;
    struct err err;
    char other[200];
    assert_false(users_file_set_password(dir, STR("a"), STR("b"), &change, &err));
    assert_non_null(strstr(err.text, "is no plain file"));
    snprintf(other, sizeof other, "%s/none/users", dir);
    assert_false(users_file_set_password(other, STR("a"), STR("b"), &change, &err));
    assert_non_null(strstr(err.text, "No such file"));
    snprintf(other, sizeof other, "%s/", dir);
    assert_false(users_file_set_password(other, STR("a"), STR("b"), &change, &err));
    assert_false(users_file_set_password("", STR("a"), STR("b"), &change, &err));
}

/* Several at once: nobody's change is lost. */
static void writers_wait_for_each_other(void **state)
{
    (void)state;
    enum { WRITERS = 6 };
    pid_t pids[WRITERS];
    write_file("# users\n");
    for (int i = 0; i < WRITERS; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0) {
            char user[16];
            struct users_change change;
            struct err err;
            snprintf(user, sizeof user, "user%d", i);
            _exit(users_file_set_password(path, str_of_z(user), STR("secret"), &change, &err) ? 0 : 1);
        }
    }
    for (int i = 0; i < WRITERS; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    struct users_file *f;
    struct err err;
    assert_true(users_file_load(path, STR_NONE, &f, NULL, &err));
    assert_int_equal(users_file_count(f), WRITERS);
    users_file_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_field_changes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(users_are_added_at_the_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_missing_file_is_made, set_up, tear_down),
        cmocka_unit_test_setup_teardown(owner_mode_and_links_stay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refusals_change_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(places_that_cannot_be, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writers_wait_for_each_other, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
