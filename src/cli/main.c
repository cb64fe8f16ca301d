/* main.c - `mailweir COMMAND …`: a row per command. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/defs.h"
#include "base/str.h"
#include "cli/cli.h"
#include "config/config.h"
#include "rules/suggest.h"

enum { USAGE_WIDTH = 18 };

/* What all commands that ask the running service have. */
#define SOCKET_HELP                                                                                                    \
    "  -c FILE         the configuration, which says where the service is asked (default " CLI_DEFAULT_CONFIG ")\n"    \
    "  --control PATH  its control socket, instead (default " CONFIG_CONTROL_DEFAULT ")\n"                             \
    "  --json          the answer for programs\n"
#define SOCKET_CODES "Exit code 69: the service is not running; 75: it did not answer, try again.\n"
#define KEY_HELP                                                                                                       \
    "  KEY             user:alice@example.org, client:192.0.2.7, network:192.0.2.0/24; bare it is guessed\n"

static const struct cli_command COMMANDS[] = {
    {"serve", "[-c FILE] [--try]", "run in the foreground",
     "  -c FILE   the configuration (default " CLI_DEFAULT_CONFIG ")\n"
     "  --try     without root: ports 2587 and 2465 for 587 and 465, a self-signed certificate if none is\n"
     "            given, everything else under one temporary directory\n"
     "\n"
     "Signals: HUP checks the configuration and, if it is right, goes on with it; TERM and INT finish what is\n"
     "running and stop (a second one: at once); USR1 reopens the event file.\n",
     cli_serve},
    {"check", "[FILE] [--json]", "read the whole configuration, run its tests, say all that is wrong",
     "  FILE      a configuration, or a rules file alone (default " CLI_DEFAULT_CONFIG ")\n"
     "  --json    to standard output: {\"file\", \"ok\", \"errors\": [{\"file\", \"line\", \"col\", \"len\", "
     "\"message\",\n"
     "            \"hint\"}], \"warnings\": [the same], \"starts_here\": would serve start on this machine?}\n"
     "\n"
     "Nothing is started or changed. Its tests run if nothing else is wrong, on a clock and counts of their own.\n"
     "What is missing on this machine (files, the user of the service and what he may read, addresses) is a warning\n"
     "here and stops serve and reload; only root can see all of it.\n"
     "Exit code 0: it may be used; 1: it has errors, or a test failed.\n",
     cli_check},
    {"fmt", "[-w] FILE...", "lay out configuration and rules files in one way",
     "  -w        write the result back, owner and mode kept; without it goes to standard output\n"
     "\n"
     "Words, their order and comments stay. Blocks are indented by four, lines end at 120 columns; what stood\n"
     "on one line stays there if it fits. A file with syntax errors is left alone. Exit code 0: done; 1: a file\n"
     "has errors, or cannot be read or written.\n",
     cli_fmt},
    {"language", "[WORD]", "what can be written in these files",
     "  WORD      all about a word: \"language rcpt.domain\", \"language limit\", \"language relay\"\n"
     "\n"
     "Without it: all statements, phases, actions, attributes, limits, tables, operators and values.\n"
     "Exit code 1: there is no such word.\n",
     cli_language},
    {"explain", "--client IP --from A --rcpt A... [OPTION...] | --event ID [OPTION...]",
     "say what becomes of a mail, and why",
     "  -c FILE         the configuration, or a rules file alone (default " CLI_DEFAULT_CONFIG ")\n"
     "  --rules FILE    the same\n"
     "  --client IP     who connects\n"
     "  --listener L    to which listener (default: the first)\n"
     "  --helo H        what it says at EHLO (default client.example)\n"
     "  --tls on|off    encrypted or not (default on)\n"
     "  --user U        who has logged in (default: nobody)\n"
     "  --from A        the sender; '<>' is the null sender\n"
     "  --rcpt A        a recipient; may be given many times\n"
     "  --size S        the size of the mail, such as 64K (default 1K)\n"
     "  --header 'N: v' a header of the mail; may be given many times (default: From, the sender)\n"
     "  --message FILE  the mail itself: its header and its size\n"
     "  --name HOST, --country XX, --listed DNSBL\n"
     "                  what a lookup says of the client; --listed may be given many times\n"
     "  --event ID      instead of all that: a mail, or a connection that was refused, from the event log\n"
     "  --events FILE   the event log (default: that of the configuration, with its older files)\n"
     "\n"
     "Every rule and limit that is looked at, in order, with the values it saw; what decided; what the client\n"
     "would read. Limits begin at nothing: this mail alone is counted, and who is banned now is not asked (`limits`\n"
     "and `bans` say both). No connection is made, nothing looked up.\n"
     "Of an event the same is said, as if it came now, and what the log says of it.\n",
     cli_explain},
    {"replay", "EVENTS.jsonl... [OPTION...]", "decide past mails again under other rules",
     "  EVENTS.jsonl   event logs, in any order; - is standard input\n"
     "  --rules FILE   the rules to decide by: a rules file alone, or a whole configuration\n"
     "  -c FILE        the same; without either " CLI_DEFAULT_CONFIG "\n"
     "  --list N       so many of the mails that fare differently, one by one (default 20)\n"
     "  --all          all users, not only the twenty with most changes\n"
     "  --json         all of it for programs, all users too\n"
     "\n"
     "Tells what would have been refused and was not, and what was refused and would not have been: in all, by\n"
     "rule or limit, by user, by mail. Nothing is sent or changed. The clock is that of the log, all counts begin\n"
     "at zero. Clients do what they did: what is refused now does not come again, and what passes now is taken by\n"
     "the server behind, unless it said no then. A wrong password counts as one never tried before, for the log\n"
     "holds none; whose login a limit did not let through is taken to have had a wrong one. What else the rules\n"
     "look at and the log does not hold is said at the end.\n"
     "Exit code 0: done; 1: the rules have errors, or a file cannot be read. Lines that are no events are counted.\n",
     cli_replay},
    {"passwd", "USER [--file F]", "set a password in the users file",
     "  USER      the login, as mail programs send it\n"
     "  --file F  the users file (default /etc/mailweir/users); made if it is missing\n"
     "\n"
     "Asks twice on a terminal, else reads one line from standard input. The other lines stay as they are.\n",
     cli_passwd},
    {"status", "[--json]", "how the running service is",
     SOCKET_HELP "\n"
                 "Version, uptime, configuration and when it came into force, connections, mails, store, bans,\n"
                 "listeners, servers behind, processes. Times are UTC.\n" SOCKET_CODES,
     cli_status},
    {"reload", "[--json]", "check the configuration, then go on with it",
     SOCKET_HELP "\n"
                 "The service reads its configuration anew. If that is wrong, what is wrong is printed and everything\n"
                 "stays as it was: exit code 1. Else new processes take over, and old ones finish what they have.\n"
                 "The command ends when the new configuration is in force.\n" SOCKET_CODES,
     cli_reload},
    {"drain", "[--json]", "accept no more, finish what is running, end",
     SOCKET_HELP "\n"
                 "The same as stop. The command ends when the service has; given once more meanwhile, from elsewhere,\n"
                 "it ends what is running at once.\n" SOCKET_CODES,
     cli_stop},
    {"stop", "[--json]", "the same as drain",
     SOCKET_HELP "\n"
                 "See drain.\n" SOCKET_CODES,
     cli_stop},
    {"limits", "KEY [--json]", "how much somebody has used of which limit",
     KEY_HELP SOCKET_HELP
     "\n"
     "Every count of a user, an address, a domain: used, of how much, in which time, and when there is less of\n"
     "it. A bare address of mail is looked for as user, sender and recipient. Limits that count two things\n"
     "together are asked for by both: user+client:alice@example.org+192.0.2.7. While Redis is away it says so, and\n"
     "shows this node's own counts and whether its share is used up.\n" SOCKET_CODES,
     cli_limits},
    {"reset", "KEY [LIMIT] [--json]", "forget what was counted",
     KEY_HELP
     "  LIMIT           only what this limit counts\n" SOCKET_HELP "\n"
     "Limits of one unit and period share a count of the same key: it is forgotten for all of them. Open\n"
     "connections cannot be forgotten. With a store in Redis a refusal is remembered for up to five seconds.\n"
     "Windows of the rates in force are forgotten: what was counted in one of another length, before a reload\n"
     "or an allowance changed the rates, is there still and counts again if that length comes back in time.\n"
     "While Redis is away only this node can forget, until Redis is back (exit code 75): give it again then.\n"
     "Exit code 1: no limit counts that.\n" SOCKET_CODES,
     cli_reset},
    {"allow", "[KEY LIMIT RATE [--for 2d] [--why TEXT]]", "other rates for somebody, for a while",
     KEY_HELP
     "  LIMIT           the limit that they are of\n"
     "  RATE            5000/1h, or several: 5000/1h,20000/1d; none: without limit; default: as everybody again\n"
     "  --for 2d        how long (default 1d); then it ends by itself\n"
     "  --why TEXT      for the record\n" SOCKET_HELP "\n"
     "Goes before the limit's own rates and its table of overrides, from the next mail on; what was counted stays\n"
     "counted, but a window of another length counts from now on. In a cluster it holds on all nodes within two\n"
     "seconds; while Redis is away on this one alone, which tells the others when it is back, even if it is stopped\n"
     "before. The rate `default` takes it back. Without words: all that is allowed now, as `bans` lists bans;\n"
     "`mailweir limits KEY` shows it, too.\n" SOCKET_CODES,
     cli_allow},
    {"store", "audit [--repair] [--json]", "what the store of limits really holds",
     "  --repair        what is wrong is set right, or removed\n" SOCKET_HELP "\n"
     "In memory: how many counts there is room for and how many live, what was given up for lack of room, locks that\n"
     "were taken over from dead workers, counts that cannot be. In Redis: keys without expiry, of a foreign type,\n"
     "impossible counts, clock, eviction policy, memory by kind.\n"
     "Exit code 1: something is wrong, and was not repaired.\n" SOCKET_CODES,
     cli_store},
    {"bans", "[--json]", "who is banned, until when, and why",
     SOCKET_HELP "\n"
                 "Times are UTC.\n" SOCKET_CODES,
     cli_bans},
    {"ban", "KEY DURATION [--why TEXT]", "keep a client, a network or a user out",
     KEY_HELP
     "  DURATION        15m, 2h, 7d\n"
     "  --why TEXT      for the record; a user reads it when he logs in\n" SOCKET_HELP "\n"
     "Holds from the next connection on; from the next login on for a user; in a cluster on all nodes within two\n"
     "seconds (while Redis is away on this one alone, which tells the others when it is back, even if it is\n"
     "stopped before). A ban that lasts longer stays; one that is prolonged without a TEXT keeps the one it has.\n"
     "An IPv6 client is its /64.\n" SOCKET_CODES,
     cli_ban},
    {"unban", "KEY [--json]", "end a ban",
     KEY_HELP SOCKET_HELP "\n"
                          "Exit code 1: there was none.\n" SOCKET_CODES,
     cli_unban},
};

/* Words that are neither commands nor of the language, and where they are spoken of. */
static const struct {
    const char *word, *text;
} POINTERS[] = {
    {"redis", "Redis keeps the counts of all nodes together.\n"
              "  mailweir language 'store redis'   how the configuration names it; also sentinel, cluster\n"
              "  mailweir status                   how it is, and what decides while it is away\n"
              "  mailweir store audit              what it really holds\n"},
    {"share",
     "While Redis is away a node admits its share of what is left of each limit: one of as many parts as there\n"
     "are nodes, so that all together stay within it.\n"
     "  mailweir language 'store redis'   the option failure: share, or what else it may do\n"
     "  mailweir status                   does it decide by its share now, and since when?\n"
     "  mailweir limits KEY               is its share used up?\n"},
    {"key", "A key says whose counts, bans or rates are meant:\n" KEY_HELP
            "                  sender:, rcpt:, user.domain:, listener:, global; user+client:alice+192.0.2.7 of two\n"
            "  mailweir help limits, reset, allow, ban, unban\n"},
    {"allowance", "An allowance gives somebody other rates for a while.\n"
                  "  mailweir allow                    who has one now\n"
                  "  mailweir help allow               how it is given, and taken back\n"},
};

static bool print_pointer(const char *word)
{
    for (size_t i = 0; i < COUNT_OF(POINTERS); i++)
        if (strcmp(POINTERS[i].word, word) == 0) {
            printf("%s", POINTERS[i].text);
            return true;
        }
    return false;
}

static const struct cli_command *find(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(COMMANDS); i++)
        if (strcmp(COMMANDS[i].name, name) == 0)
            return &COMMANDS[i];
    return NULL;
}

static void print_commands(FILE *to)
{
    fprintf(to, "mailweir stands in front of a mail server's submission ports.\n\n");
    for (size_t i = 0; i < COUNT_OF(COMMANDS); i++) {
        const struct cli_command *c = &COMMANDS[i];
        fprintf(to, "  mailweir %-8s %-*s", c->name, USAGE_WIDTH, c->usage);
        if (strlen(c->usage) > USAGE_WIDTH) /* its brief has a line of its own, in its column */
            fprintf(to, "\n%*s", (int)sizeof "  mailweir explain  " - 1 + USAGE_WIDTH, "");
        fprintf(to, " %s\n", c->brief);
    }
    fprintf(to, "  mailweir %-8s %-*s %s\n", "help", USAGE_WIDTH, "[WORD]",
            "this page, or all about a command or a word");
    fprintf(to, "  mailweir --version\n");
}

static int no_command(const char *word)
{
    struct str names[COUNT_OF(COMMANDS)];
    for (size_t i = 0; i < COUNT_OF(COMMANDS); i++)
        names[i] = str_of_z(COMMANDS[i].name);
    struct str nearest = suggest(str_of_z(word), names, COUNT_OF(names));
    fprintf(stderr, "mailweir: there is no command \"%s\"", word);
    if (nearest.len) {
        fprintf(stderr, "; did you mean \"" PRI_STR "\"?\n", STR_ARG(nearest));
        return CLI_USAGE;
    }
    fprintf(stderr, "\n\n");
    print_commands(stderr);
    return CLI_USAGE;
}

int cli_usage(const char *command, const char *fmt, ...)
{
    const struct cli_command *c = find(command);
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "mailweir %s: ", command);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fprintf(stderr, "\nusage: mailweir %s %s\n", command, c ? c->usage : "");
    fprintf(stderr, "`mailweir help %s` says all about it\n", command);
    return CLI_USAGE;
}

static int help(int argc, char **argv)
{
    if (argc < 2) {
        print_commands(stdout);
        return CLI_DONE;
    }
    const struct cli_command *c = find(argv[1]);
    if (!c) /* a word of the language is asked for by that name, too */
        return cli_print_word(argc, argv) || print_pointer(argv[1]) ? CLI_DONE : no_command(argv[1]);
    printf("mailweir %s %s - %s\n\n%s", c->name, c->usage, c->brief, c->help);
    return CLI_DONE;
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        print_commands(stderr);
        return CLI_USAGE;
    }
    if (is_help(argv[1]) || strcmp(argv[1], "help") == 0)
        return help(argc - 1, argv + 1);
    if (strcmp(argv[1], "--version") == 0) {
        printf("mailweir %s\n", MAILWEIR_VERSION);
        return CLI_DONE;
    }
    const struct cli_command *c = find(argv[1]);
    if (!c)
        return no_command(argv[1]);
    if (argc > 2 && (is_help(argv[2]) || is_help(argv[argc - 1]))) /* "store audit --help" */
        return help(2, argv);
    return c->run(argc - 1, argv + 1);
}

/* An answer that did not get out – a full disk, a closed pipe – is none. */
int main(int argc, char **argv)
{
    int code = run(argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("mailweir: standard output");
        return CLI_INTERNAL;
    }
    return code;
}
