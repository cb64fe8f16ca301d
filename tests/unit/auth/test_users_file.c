/* Lines of the users file, files as a whole, and stand-ins for users that are not there. */
#include "auth/users_file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "auth/users_line.h"

#define B5  "$2y$05$MTa0sSvbUcYcIgal0qcOYOUZYA4xh9AgcSl7rai3gekpcgrsWXX9W"
#define B5B "$2b$05$fx.Jg/A5ja3h.cQ7M.jEXuoqSsKUEPXZ5ohwzVKoHhvIFIZ./qaVm"
#define S5  "$5$YMhIXxNbE1C4jHl9$2ZmiUAnD/dPcKjjYVnmwRnkRQjhxO4yCrrEsNcaczZD"

static const struct {
    const char *line;
    enum users_line_kind kind;
    const char *name, *hash;
    bool disabled;
    int32_t ends_on_day;
} LINES[] = {
    {"", USERS_LINE_EMPTY},
    {"   \t", USERS_LINE_EMPTY},
    {"\r", USERS_LINE_EMPTY},
    {"# alice:secret", USERS_LINE_EMPTY},
    {"  # alice:secret", USERS_LINE_EMPTY},
    {"alice:" B5, USERS_LINE_USER, "alice", B5, false, -1},
    {"alice@example.org:{BLF-CRYPT}" B5, USERS_LINE_USER, "alice@example.org", B5, false, -1},
    {"alice:" B5 "\r", USERS_LINE_USER, "alice", B5, false, -1},
    {"alice:" B5 ":", USERS_LINE_USER, "alice", B5, false, -1},
    {"alice:" B5 ":\r", USERS_LINE_USER, "alice", B5, false, -1},
    {"alice:" B5 ": ", USERS_LINE_USER, "alice", B5, false, -1},
    {"alice:" B5 ":disabled", USERS_LINE_USER, "alice", B5, true, -1},
    {"alice:" B5 ":disabled=yes", USERS_LINE_USER, "alice", B5, true, -1},
    {"alice:" B5 ":disabled=no", USERS_LINE_USER, "alice", B5, false, -1},
    {"alice:" B5 ": disabled=no  disabled ", USERS_LINE_USER, "alice", B5, true, -1},
    /* /etc/shadow */
    {"alice:" B5 ":19000:0:99999:7:::", USERS_LINE_USER, "alice", B5, false, -1},
    {"alice:" B5 ":19000:0:99999:7:::\r", USERS_LINE_USER, "alice", B5, false, -1},
    {"alice:" B5 "::::::", USERS_LINE_WRONG},
    {"alice:" B5 ":::::::", USERS_LINE_USER, "alice", B5, false, -1},
    {"alice:" B5 ":19000:0:99999:7::20000:", USERS_LINE_USER, "alice", B5, false, 20000},
    {"alice:" B5 ":19000:0:99999:7::99999999999:", USERS_LINE_WRONG},
    {"root:*:19000:0:99999:7:::", USERS_LINE_USER, "root", "", true, -1},
    {"root:!:19000:0:99999:7:::", USERS_LINE_USER, "root", "", true, -1},
    {"root:!!:19000:0:99999:7:::", USERS_LINE_USER, "root", "", true, -1},
    {"root:!*:19000:0:99999:7:::", USERS_LINE_USER, "root", "", true, -1},
    {"root:!" S5 ":19000:0:99999:7:::", USERS_LINE_USER, "root", S5, true, -1},
    {"alice:!{SHA256-CRYPT}" S5, USERS_LINE_USER, "alice", S5, true, -1},
    /* wrong */
    {"alice", USERS_LINE_WRONG},
    {"alice:", USERS_LINE_WRONG},
    {"alice::19000:0:99999:7:::", USERS_LINE_WRONG},
    {":" B5, USERS_LINE_WRONG},
    {" alice:" B5, USERS_LINE_WRONG},
    {"alice :" B5, USERS_LINE_WRONG},
    {"alice: " B5, USERS_LINE_WRONG},
    {"alice:" B5 " ", USERS_LINE_WRONG},
    {"alice:secret", USERS_LINE_WRONG},
    {"alice:!secret", USERS_LINE_WRONG},
    {"alice:x:1000:1000::/home/alice:/bin/sh", USERS_LINE_WRONG},
    {"alice:" B5 ":1000:1000::/home/alice:/bin/sh", USERS_LINE_WRONG},
    {"alice:" B5 ":19000:0:99999:7:::0:", USERS_LINE_WRONG},
    {"alice:" B5 ":quota=5", USERS_LINE_WRONG},
    {"alice:" B5 ":disabled=maybe", USERS_LINE_WRONG},
    {"alice:" B5 ":Disabled", USERS_LINE_WRONG},
    {"al\tice\x01:" B5, USERS_LINE_WRONG},
    {"al\xffice:" B5, USERS_LINE_WRONG},
};

static void lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(LINES); i++) {
        struct users_line user;
        struct err err = {.text = ""};
        const char *line = LINES[i].line;
        enum users_line_kind kind = users_line_parse(str_of_z(line), &user, &err);
        if (kind != LINES[i].kind)
            fail_msg("\"%s\" is read as %d: %s", line, (int)kind, err.text);
        if (kind == USERS_LINE_WRONG) {
            assert_true(err.text[0] != '\0');
            assert_null(strstr(err.text, "secret"));
            assert_null(strstr(err.text, "$2y$"));
        }
        if (kind != USERS_LINE_USER)
            continue;
        if (!str_equal(user.name, str_of_z(LINES[i].name)) || !str_equal(user.hash, str_of_z(LINES[i].hash)) ||
            user.disabled != LINES[i].disabled || user.ends_on_day != LINES[i].ends_on_day)
            fail_msg("\"%s\": " PRI_STR " " PRI_STR " %d %d", line, STR_ARG(user.name), STR_ARG(user.hash),
                     user.disabled, user.ends_on_day);
    }
}

/* Whatever a line is, its three parts and the ':' between are all of it. */
static void split_loses_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(LINES); i++) {
        struct str line = str_of_z(LINES[i].line), name, hash, rest;
        if (!users_line_split(line, &name, &hash, &rest))
            continue;
        assert_ptr_equal(name.ptr, line.ptr);
        assert_ptr_equal(hash.ptr, line.ptr + name.len + 1);
        assert_int_equal(name.len + 1 + hash.len + rest.len, line.len);
        assert_true(rest.len == 0 || rest.ptr[0] == ':' || rest.ptr[0] == '\r');
    }
}

/* ---- files ---- */

static struct users_file *must_parse(struct str text, struct str realm)
{
    struct users_file *f;
    struct err err;
    if (!users_file_parse(text, "users", realm, &f, &err))
        fail_msg("%s", err.text);
    return f;
}

static void users_are_found(void **state)
{
    (void)state;
    struct users_file *f =
        must_parse(STR("\xef\xbb\xbf# users\nAlice:" B5 "\n\nbob@example.net:" S5 ":disabled\r\nc:!"), STR_NONE);
    assert_int_equal(users_file_count(f), 3);
    const struct user_entry *alice = users_file_find(f, STR("aLICE"));
    assert_true(str_equal(alice->name, STR("Alice")));
    assert_true(str_equal(alice->hash, STR(B5)));
    assert_int_equal(alice->line, 2);
    assert_false(user_entry_is_disabled(alice, 20000));
    assert_true(user_entry_is_disabled(users_file_find(f, STR("bob@example.net")), 20000));
    assert_int_equal(users_file_find(f, STR("c"))->line, 5);
    assert_null(users_file_find(f, STR("bob")));
    assert_null(users_file_find(f, STR("")));
    assert_null(users_file_find(f, STR_NONE));
    assert_null(users_file_find(f, STR("# users")));
    users_file_free(&f);
    assert_null(f);
}

static void a_realm_completes_bare_names_on_both_sides(void **state)
{
    (void)state;
    struct users_file *f =
        must_parse(STR("alice:" B5 "\nbob@example.org:" S5 "\ncarol@example.net:" S5 "\n"), STR("example.org"));
    assert_true(str_equal(users_file_find(f, STR("alice"))->name, STR("alice@example.org")));
    assert_ptr_equal(users_file_find(f, STR("alice")), users_file_find(f, STR("ALICE@Example.Org")));
    assert_ptr_equal(users_file_find(f, STR("bob")), users_file_find(f, STR("bob@example.org")));
    assert_non_null(users_file_find(f, STR("bob")));
    assert_null(users_file_find(f, STR("carol")));
    assert_null(users_file_find(f, STR("alice@example.net")));
    users_file_free(&f);
}

static void accounts_end(void **state)
{
    (void)state;
    struct users_file *f = must_parse(STR("a:" B5 ":19000:0:99999:7::20000:\n"), STR_NONE);
    const struct user_entry *a = users_file_find(f, STR("a"));
    assert_false(user_entry_is_disabled(a, 19999));
    assert_true(user_entry_is_disabled(a, 20000));
    assert_true(user_entry_is_disabled(a, 20001));
    users_file_free(&f);
}

static void one_wrong_line_refuses_the_file(void **state)
{
    (void)state;
    char longer[USERS_FILE_MAX_LINE_BYTES + 32];
    snprintf(longer, sizeof longer, "#%0*d", USERS_FILE_MAX_LINE_BYTES + 1, 0);
    const struct {
        const char *text, *realm, *error;
    } CASES[] = {
        {"alice:" B5 "\nbob:secret\n", "",
         "users:2: bob: the password stands in plain text, or its hash is an unsalted one"},
        {"\n\nbob:secret", "", "users:3: bob: the password stands in plain text, or its hash is an unsalted one"},
        {"a:x\nb:x\n", "",
         "users:1: a: the password stands in plain text, or its hash is an unsalted one (and 1 more line is wrong)"},
        {"a\nb\nc\n", "", "users:1: there is no ':' after a name (and 2 more lines are wrong)"},
        {"alice:" B5 "\n#\nAlice:" S5 "\n", "", "users:3: Alice: this user is in line 1 already"},
        {"alice:" B5 "\nalice@example.org:" S5 "\n", "example.org",
         "users:2: alice@example.org: this user is in line 1 already"},
        {"alice:", "", "users:1: alice: there is no password"},
        {longer, "", "users:1: the line has 4098 bytes, at most 4096 are taken"},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct users_file *f;
        struct err err;
        if (users_file_parse(str_of_z(CASES[i].text), "users", str_of_z(CASES[i].realm), &f, &err))
            fail_msg("case %zu is taken", i);
        assert_null(f);
        assert_string_equal(err.text, CASES[i].error);
    }
}

static void names_may_outgrow_the_bound_by_their_realm(void **state)
{
    (void)state;
    char text[AUTH_NAME_MAX_BYTES + sizeof ":" B5];
    memset(text, 'x', AUTH_NAME_MAX_BYTES);
    strcpy(text + AUTH_NAME_MAX_BYTES, ":" B5);
    struct users_file *f = must_parse(str_of_z(text), STR_NONE);
    assert_non_null(users_file_find(f, str_of(text, AUTH_NAME_MAX_BYTES)));
    users_file_free(&f);
    struct err err;
    assert_false(users_file_parse(str_of_z(text), "users", STR("example.org"), &f, &err));
    assert_non_null(strstr(err.text, "the name with its realm has more than 320 bytes"));
}

/* ---- stand-ins ---- */

static void stand_ins_are_as_the_users_are(void **state)
{
    (void)state;
    enum { NAMES = 1000 };
    struct users_file *f = must_parse(STR("a:" B5 "\nb:" S5 "\nc:*\nd:" B5B "\n"), STR("example.org"));
    struct hash_key key = {1, 2}, other = {3, 4};
    size_t sha = 0, moved = 0;
    for (int i = 0; i < NAMES; i++) {
        char name[32], upper[32];
        snprintf(name, sizeof name, "nobody%d", i);
        snprintf(upper, sizeof upper, "NOBODY%d@example.org", i);
        const struct user_entry *e = users_file_stand_in(f, str_of_z(name), &key);
        assert_true(e->hash.len > 0);
        assert_ptr_equal(e, users_file_stand_in(f, str_of_z(name), &key));
        assert_ptr_equal(e, users_file_stand_in(f, str_of_z(upper), &key));
        sha += str_equal(e->hash, STR(S5));
        moved += e != users_file_stand_in(f, str_of_z(name), &other);
    }
    /* a third of the hashes is sha256crypt, so a third of those that are not there seem to be */
    assert_in_range(sha, NAMES / 4, NAMES / 2);
    assert_in_range(moved, NAMES / 2, NAMES);
    users_file_free(&f);

    f = must_parse(STR("c:*\n"), STR_NONE);
    assert_null(users_file_stand_in(f, STR("x"), &key));
    users_file_free(&f);
    f = must_parse(STR(""), STR_NONE);
    assert_int_equal(users_file_count(f), 0);
    assert_null(users_file_stand_in(f, STR("x"), &key));
    users_file_free(&f);
}

/* ---- on the disk ---- */

static void files_are_loaded(void **state)
{
    (void)state;
    char dir[] = "/tmp/mailweir-users.XXXXXX", path[64], fifo[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/users", dir);
    snprintf(fifo, sizeof fifo, "%s/fifo", dir);
    struct users_file *f;
    struct file_stamp one, two;
    struct err err;

    assert_false(users_file_load(path, STR_NONE, &f, NULL, &err));
    assert_non_null(strstr(err.text, "No such file"));
    assert_non_null(strstr(err.hint, "mailweir passwd"));
    assert_false(users_file_load(dir, STR_NONE, &f, NULL, &err));
    assert_non_null(strstr(err.text, "is no plain file"));
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_false(users_file_load(fifo, STR_NONE, &f, NULL, &err)); /* and does not hang */
    assert_non_null(strstr(err.text, "is no plain file"));

    FILE *out = fopen(path, "w");
    fputs("alice:" B5 "\n", out);
    fclose(out);
    assert_int_equal(chmod(path, 0640), 0);
    assert_true(users_file_load(path, STR_NONE, &f, &one, &err));
    assert_int_equal(users_file_count(f), 1);
    assert_false(users_file_is_open_to_all(f));
    users_file_free(&f);
    assert_int_equal(chmod(path, 0644), 0);
    assert_true(users_file_load(path, STR_NONE, &f, &two, &err));
    assert_true(users_file_is_open_to_all(f));
    assert_true(file_stamp_equal(&one, &one));
    users_file_free(&f);

    out = fopen(path, "w");
    fputs("alice:plain\n", out);
    fclose(out);
    assert_false(users_file_load(path, STR_NONE, &f, &two, &err));
    assert_null(f);
    assert_non_null(strstr(err.text, "/users:1: alice: "));
    assert_false(file_stamp_equal(&one, &two));

    assert_int_equal(truncate(path, USERS_FILE_MAX_BYTES + 1), 0);
    assert_false(users_file_load(path, STR_NONE, &f, NULL, &err));
    assert_non_null(strstr(err.text, "at most 67108864 are read"));
    unlink(path);
    unlink(fifo);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),
        cmocka_unit_test(split_loses_nothing),
        cmocka_unit_test(users_are_found),
        cmocka_unit_test(a_realm_completes_bare_names_on_both_sides),
        cmocka_unit_test(accounts_end),
        cmocka_unit_test(one_wrong_line_refuses_the_file),
        cmocka_unit_test(names_may_outgrow_the_bound_by_their_realm),
        cmocka_unit_test(stand_ins_are_as_the_users_are),
        cmocka_unit_test(files_are_loaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
