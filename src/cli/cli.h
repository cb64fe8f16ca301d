/*
 * cli.h - the commands of the binary: a row in main.c, a file each.
 *
 * Exit codes (OPERATIONS.md): 0 done; 1 the answer is no, or something given is wrong; 2 wrong usage, with the right
 * one; 69 the service is not running; 70 a fault of our own; 75 try again. Errors go to stderr, data to stdout.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>

enum { CLI_DONE = 0, CLI_NO = 1, CLI_USAGE = 2, CLI_UNAVAILABLE = 69, CLI_INTERNAL = 70, CLI_AGAIN = 75 };

#define CLI_DEFAULT_CONFIG "/etc/mailweir/mailweir.conf"

struct cli_command {
    const char *name;
    const char *usage;                 /* its words after the name */
    const char *brief;                 /* one line */
    const char *help;                  /* all of `mailweir help NAME`, below usage and brief */
    int (*run)(int argc, char **argv); /* argv[0] is the name */
};

/* Says what is wrong with the command line and how it would be right; returns CLI_USAGE. */
int cli_usage(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Prints what was found wrong, if anything, to stderr. */
struct diagnostics;
void cli_print_diagnostics(struct diagnostics *d);

/* All about a word of the language, as `mailweir language WORD` prints it. False: there is none, nothing is printed. */
bool cli_print_word(int argc, char **argv);

int cli_serve(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_fmt(int argc, char **argv);
int cli_language(int argc, char **argv);
int cli_passwd(int argc, char **argv);
int cli_explain(int argc, char **argv);
int cli_replay(int argc, char **argv);

/* Of the running service (control_client.h). */
int cli_status(int argc, char **argv);
int cli_reload(int argc, char **argv);
int cli_stop(int argc, char **argv); /* drain, too */
int cli_bans(int argc, char **argv);
int cli_ban(int argc, char **argv);
int cli_unban(int argc, char **argv);
int cli_limits(int argc, char **argv);
int cli_reset(int argc, char **argv);
int cli_allow(int argc, char **argv);
int cli_store(int argc, char **argv);

#endif
