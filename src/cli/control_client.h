/*
 * control_client.h - the commands that ask the running service: finding its control socket, one question, one answer
 * (admin/control.h), and what all these commands have on their command lines.
 *
 * The socket is --control PATH, else what the `control` statement of the configuration says (-c FILE, or the usual
 * one), else the usual one. The configuration is only read for that word, so one that is wrong elsewhere is no
 * obstacle.
 */
#ifndef CLI_CONTROL_CLIENT_H
#define CLI_CONTROL_CLIENT_H

#include <jansson.h>

#include "cli/cli.h"

enum { COMMAND_WORDS_MAX = 4 };

/* Options beside -c, --control and --json. */
enum command_option { COMMAND_WHY = 1, COMMAND_FOR = 2, COMMAND_REPAIR = 4 };

struct command_line {
    const char *command;
    const char *config, *control; /* NULL: not given */
    bool json;
    const char *words[COMMAND_WORDS_MAX];
    size_t word_count;
    const char *why, *lasts; /* --why, --for */
    bool repairs;            /* --repair */
};

/* Reads it: from min to max words, and these options (a mask). what: says what the words are, for who gave others.
 * False: it was said; *code is the exit code. */
bool command_line_read(struct command_line *c, int argc, char **argv, unsigned options, size_t min, size_t max,
                       const char *what, int *code);

/* A connection to the service. */
struct control_client {
    const char *command;
    int fd;
    char path[512];
};

/* Asks, and takes the question. *answer: the service's, the caller's; NULL unless CLI_DONE, or CLI_NO with more to say.
 * Else it was said what is wrong: CLI_NO, CLI_UNAVAILABLE (nothing listens), CLI_AGAIN, CLI_INTERNAL. */
int control_ask_once(const struct command_line *c, json_t *question, json_t **answer);
/* The same in steps: for who waits for the end of the service. */
int control_open(struct control_client *client, const struct command_line *c);
int control_question(struct control_client *client, json_t *question, json_t **answer);
void control_close(struct control_client *client);
/* Does anybody still listen there? */
bool control_listens(const struct control_client *client);

/* The answer as it is, and a line end. */
int control_print_json(const json_t *answer);
/* Whom the answer is about: "user:alice@example.org, sender:alice@example.org". */
void control_print_keys(const json_t *answer);
/* A line each, if it is so: nothing was counted so far; other nodes hear of it only when Redis is back. */
void control_print_notes(const json_t *answer);
/* What it means that a node which knows of so many decides by "share", "local", "open" or "closed"; "" of anything
 * else. */
const char *alone_text(const char *word, long long nodes);
/* Who gives the command, for the record: "alice", "root (alice)". NULL: nobody knows. */
json_t *control_who(void);

/* ---- what is in an answer: empty, 0, where it is not there ---- */

const char *answer_text(const json_t *object, const char *name);
long long answer_number(const json_t *object, const char *name);
/* "2d3h" of seconds, in a static buffer of four that are used in turn. */
const char *duration_text(long long seconds);

#endif
