/*
 * passwd.c - `mailweir passwd USER [--file F]`: a password into the users file. What it does to the file is
 * users_file.h's (auth/users_write.c); here is where the password comes from.
 *
 * On a terminal it is asked for twice, without echo. The terminal belongs to others too: whatever ends the question, a
 * signal included, echo is put back first. Otherwise it is one line of standard input, so that scripts need no
 * terminal, and no password on a command line, where everybody could read it.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "auth/password_hash.h"
#include "auth/users_file.h"
#include "cli/cli.h"

#define DEFAULT_USERS_FILE "/etc/mailweir/users"

/* One more than a password may have, so that one that is too long is seen to be; and the line's end. */
enum { LINE_BYTES = AUTH_PASSWORD_MAX_BYTES + 3 };

struct arguments {
    const char *user;
    const char *file;
};

/* ---- the command line ---- */

static int read_arguments(int argc, char **argv, struct arguments *a)
{
    *a = (struct arguments){.file = DEFAULT_USERS_FILE};
    bool options_end = false;
    for (int i = 1; i < argc; i++) {
        struct str word = str_of_z(argv[i]);
        if (options_end || !str_starts(word, STR("-"))) {
            if (a->user)
                return cli_usage("passwd", "one user at a time, \"%s\" is one more", argv[i]);
            a->user = argv[i];
        } else if (str_equal(word, STR("--"))) {
            options_end = true;
        } else if (str_equal(word, STR("--file"))) {
            if (++i == argc)
                return cli_usage("passwd", "--file needs the name of a file");
            a->file = argv[i];
        } else if (str_starts(word, STR("--file="))) {
            a->file = argv[i] + STR("--file=").len;
        } else {
            return cli_usage("passwd", "there is no option %s", argv[i]);
        }
    }
    return a->user ? CLI_DONE : cli_usage("passwd", "whose password?");
}

static int complain(const char *user, const struct err *err)
{
    fprintf(stderr, "mailweir passwd: %s: %s\n", user, err->text);
    if (err->hint[0])
        fprintf(stderr, "  %s\n", err->hint);
    return CLI_NO;
}

/* ---- one line, wherever it comes from ---- */

static volatile sig_atomic_t signalled;

static void on_signal(int number)
{
    signalled = number;
}

/* A byte at a time: what follows the line is not ours to read. Into `to` of LINE_BYTES; the line's end is cut off, CR
 * LF too. What is longer is cut, but stays too long to be a password. False: there is no line, or a signal came. */
static bool read_line(int fd, char *to, struct str *line)
{
    size_t len = 0;
    char c = '\0';
    ssize_t n;
    while ((n = read(fd, &c, 1)) > 0 || (n < 0 && errno == EINTR && !signalled)) {
        if (n < 0)
            continue;
        if (c == '\n')
            break;
        if (len < LINE_BYTES)
            to[len++] = c;
    }
    if (n < 0 || (n == 0 && len == 0))
        return false;
    if (len && to[len - 1] == '\r')
        len--;
    *line = str_of(to, len);
    return true;
}

/* ---- the terminal ---- */

static const int SIGNALS[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};

/* Asks without echo. A signal is remembered, and does what it does once the terminal is as it was. */
static bool ask_once(const char *question, char *to, struct str *answer)
{
    struct termios before, quiet;
    struct sigaction old[COUNT_OF(SIGNALS)], remember = {.sa_handler = on_signal}; /* no SA_RESTART: it ends the read */
    if (tcgetattr(STDIN_FILENO, &before) < 0)
        return false;
    signalled = 0;
    for (size_t i = 0; i < COUNT_OF(SIGNALS); i++)
        sigaction(SIGNALS[i], &remember, &old[i]);
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
    fprintf(stderr, "%s: ", question);
    bool ok = tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) == 0 && read_line(STDIN_FILENO, to, answer);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    fputc('\n', stderr);
    for (size_t i = 0; i < COUNT_OF(SIGNALS); i++)
        sigaction(SIGNALS[i], &old[i], NULL);
    if (signalled)
        raise(signalled);
    return ok;
}

/* Who stops us (Ctrl-Z) and comes back is asked anew. */
static bool ask(const char *question, char *to, struct str *answer)
{
    bool ok;
    do
        ok = ask_once(question, to, answer);
    while (signalled == SIGTSTP);
    return ok;
}

static bool ask_twice(char *to, struct str *password, struct err *err)
{
    char again[LINE_BYTES];
    struct str second = STR_NONE;
    if (!ask("New password", to, password))
        return err_set(err, "no password was given");
    if (!password_check(*password, err))
        return false;
    bool same = ask("The same again", again, &second) && str_equal(*password, second);
    explicit_bzero(again, sizeof again);
    return same || err_set(err, "the two are not the same; nothing was changed");
}

static bool get_password(char *to, struct str *password, struct err *err)
{
    if (isatty(STDIN_FILENO))
        return ask_twice(to, password, err);
    return read_line(STDIN_FILENO, to, password) ||
           err_set(err, "no password was given: one line of standard input is to be it");
}

/* ---- and done ---- */

static void say_done(const struct arguments *a, const struct users_change *change)
{
    const char *what = change->added_user ? "added" : "has a new password";
    printf("%s: %s %s\n", a->file, a->user, what);
    if (change->created_file)
        printf("The file is new and belongs to you alone; the server's own user must be able to read it:\n"
               "  chown root:mailweir %s && chmod 640 %s\n",
               a->file, a->file);
    if (change->is_disabled)
        printf("The account stays disabled: what follows the hash in its line says so.\n");
}

int cli_passwd(int argc, char **argv)
{
    struct arguments a;
    struct err err;
    struct str password = STR_NONE;
    struct users_change change;
    char line[LINE_BYTES];
    int usage = read_arguments(argc, argv, &a);
    if (usage != CLI_DONE)
        return usage;
    /* before a password is asked for in vain */
    if (!auth_name_check(str_of_z(a.user), &err))
        return complain("the user", &err);
    bool ok = get_password(line, &password, &err) &&
              users_file_set_password(a.file, str_of_z(a.user), password, &change, &err);
    explicit_bzero(line, sizeof line);
    if (!ok)
        return complain(a.user, &err);
    say_done(&a, &change);
    return CLI_DONE;
}
