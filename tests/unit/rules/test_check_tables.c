/* test_check_tables.c - tests/rules/cases/: tables of small texts and what is said of each, to the letter.
 *
 *     === rcpt at mail
 *     on mail { rule r reject if rcpt is none }
 *     ---
 *     1:28+4 rcpt is not known at mail; it is known from rcpt on
 *
 * A case is its name, a text, and all that parser and check say of it, as check_cases.h writes it; nothing behind the
 * --- is a text with which nothing is wrong. What stands before the first case is a comment. Read as if the whole
 * language were in force. */
#include "check_cases.h"

#include <glob.h>

enum { FILE_MAX = 256 << 10 };

/* The line at *at, which is left behind it. */
static struct str next_line(struct str *at)
{
    return str_split(*at, '\n', at);
}

/* The lines up to one that begins with `mark`; the last newline is none of theirs. */
static struct str lines_until(struct str *at, const char *mark)
{
    const char *from = at->ptr;
    size_t len = 0;
    while (at->len && !str_starts(*at, str_of_z(mark)))
        len += next_line(at).len + 1;
    return str_of(from, len ? len - 1 : 0);
}

static void run_case(const char *path, struct str name, struct str text, struct str wanted)
{
    struct checked k;
    char said[16384], source[16384];
    str_copy_into(source, sizeof source, text);
    checked_open(&k, source, true);
    checked_said(&k, said, sizeof said);
    if (!str_equal(wanted, str_of_z(said)) || k.is_fine != (k.d.error_count == 0))
        fail_msg("%s: " PRI_STR "\n%s\nexpected:\n" PRI_STR "\nsaid:\n%s", path, STR_ARG(name), source, STR_ARG(wanted),
                 said);
    checked_close(&k);
}

static size_t run_file(const char *path)
{
    static char text[FILE_MAX];
    size_t count = 0;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    struct str at = str_of(text, fread(text, 1, sizeof text, file));
    assert_true(at.len < sizeof text);
    fclose(file);
    (void)lines_until(&at, "===");
    for (; at.len; count++) {
        struct str name = str_trim(str_from(next_line(&at), 3));
        struct str source = lines_until(&at, "---");
        if (!at.len)
            fail_msg("%s: " PRI_STR " has no ---", path, STR_ARG(name));
        (void)next_line(&at);
        struct str wanted = lines_until(&at, "===");
        while (wanted.len && wanted.ptr[wanted.len - 1] == '\n') /* a blank line before the next case */
            wanted.len--;
        run_case(path, name, source, wanted);
    }
    return count;
}

static void every_table(void **state)
{
    size_t count = 0;
    glob_t found;
    (void)state;
    assert_int_equal(glob(SOURCE_DIR "/tests/rules/cases/*.cases", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++)
        count += run_file(found.gl_pathv[i]);
    globfree(&found);
    print_message("%zu cases\n", count);
    assert_true(count >= 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
