/*
 * stop.c - `mailweir drain` and `mailweir stop`, two words for one thing: the service accepts no more, finishes what is
 * running (bounded), and ends. The command ends when the service has.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "cli/control_client.h"

enum { LAST_WORDS_MS = 20000, LOOK_MS = 50 };

/* The admin process is the last but the supervisor and the event writer: the connection lasts as long as it. */
static void wait_for_silence(const struct control_client *client)
{
    char byte;
    ssize_t n;
    const struct timeval for_ever = {0, 0};
    setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &for_ever, sizeof for_ever);
    do
        n = recv(client->fd, &byte, 1, 0);
    while (n > 0 || (n < 0 && errno == EINTR));
}

/* The supervisor gives its socket up when nothing else is left to do. */
static bool wait_for_end(const struct control_client *client)
{
    const struct timespec a_moment = {0, LOOK_MS * 1000000L};
    int64_t until_ms = clock_monotonic_ms() + LAST_WORDS_MS;
    while (control_listens(client)) {
        if (clock_monotonic_ms() > until_ms)
            return false;
        nanosleep(&a_moment, NULL);
    }
    return true;
}

static int wait_and_tell(const struct command_line *c, const struct control_client *client, const json_t *answer)
{
    long long open = answer_number(answer, "connections");
    if (open && !c->json)
        fprintf(stderr, "waiting for %lld connection%s to end; once more to end them at once\n", open,
                open == 1 ? "" : "s");
    wait_for_silence(client);
    if (!wait_for_end(client)) {
        fprintf(stderr, "mailweir %s: process %lld does not end\n", c->command, answer_number(answer, "pid"));
        return CLI_AGAIN;
    }
    if (c->json)
        return control_print_json(answer);
    printf("stopped\n");
    return CLI_DONE;
}

int cli_stop(int argc, char **argv)
{
    struct command_line c;
    struct control_client client;
    json_t *answer = NULL;
    int code;
    if (!command_line_read(&c, argc, argv, 0, 0, 0, "it takes no words", &code))
        return code;
    code = control_open(&client, &c);
    if (code == CLI_DONE)
        code = control_question(&client, json_pack("{s:s}", "request", "stop"), &answer);
    if (code == CLI_DONE)
        code = wait_and_tell(&c, &client, answer);
    json_decref(answer);
    control_close(&client);
    return code;
}
