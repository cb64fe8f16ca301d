/* control_client.c - see control_client.h. */
#include "cli/control_client.h"

#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/control.h"
#include "config/config.h"
#include "config/starter.h"
#include "limits/limit.h"
#include "rules/parse.h"

enum { PATIENCE_S = CONTROL_ASK_MS / 1000 + 10 };

/* ---- the command line ---- */

/* The value of an option that has one: "--why TEXT" or "--why=TEXT". */
static bool read_option(char **argv, int *i, int argc, const char *option, const char **value)
{
    size_t len = strlen(option);
    if (strncmp(argv[*i], option, len) != 0)
        return false;
    if (argv[*i][len] == '=')
        *value = argv[*i] + len + 1;
    else if (argv[*i][len] == '\0' && *i + 1 < argc)
        *value = argv[++*i];
    else
        return false;
    return true;
}

/* What is wrong with a word that begins with - and is none of ours, or the last one of the line. */
static int wrong_option(const struct command_line *c, const char *word, unsigned options)
{
    bool has_value = strcmp(word, "-c") == 0 || strcmp(word, "--control") == 0 ||
                     (options & COMMAND_WHY && strcmp(word, "--why") == 0) ||
                     (options & COMMAND_FOR && strcmp(word, "--for") == 0);
    return cli_usage(c->command, has_value ? "%s needs a value" : "unknown option %s", word);
}

bool command_line_read(struct command_line *c, int argc, char **argv, unsigned options, size_t min, size_t max,
                       const char *what, int *code)
{
    *c = (struct command_line){.command = argv[0]};
    *code = CLI_DONE;
    for (int i = 1; i < argc && *code == CLI_DONE; i++) {
        if (read_option(argv, &i, argc, "-c", &c->config) || read_option(argv, &i, argc, "--control", &c->control) ||
            (options & COMMAND_WHY && read_option(argv, &i, argc, "--why", &c->why)) ||
            (options & COMMAND_FOR && read_option(argv, &i, argc, "--for", &c->lasts)))
            continue;
        if (strcmp(argv[i], "--json") == 0)
            c->json = true;
        else if (options & COMMAND_REPAIR && strcmp(argv[i], "--repair") == 0)
            c->repairs = true;
        else if (argv[i][0] == '-')
            *code = wrong_option(c, argv[i], options);
        else if (!argv[i][0])
            *code = cli_usage(c->command, "an empty word is none: it needs %s", what);
        else if (c->word_count == max)
            *code = cli_usage(c->command, "%s, not \"%s\" too", what, argv[i]);
        else
            c->words[c->word_count++] = argv[i];
    }
    if (*code == CLI_DONE && c->word_count < min)
        *code = cli_usage(c->command, "it needs %s", what);
    return *code == CLI_DONE;
}

/* ---- where it listens ---- */

static int say(const char *command, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

static int say(const char *command, int code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "mailweir %s: ", command);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    return code;
}

/* The path that a `control` statement names. NULL: there is none. */
static const char *named_path(const struct tree *tree)
{
    for (size_t i = 0; i < tree->count; i++) {
        const struct statement *st = tree->statements[i];
        if (st->kind != STATEMENT_CONTROL || st->is_broken || values_arg_count(&st->server.values, 0) != 1)
            continue;
        const struct value *v = values_arg(&st->server.values, 0);
        if (v->shape == SHAPE_ENDPOINT && v->endpoint->kind == ENDPOINT_UNIX)
            return v->endpoint->name;
    }
    return NULL;
}

static void find_path(struct control_client *client, const char *config)
{
    struct source_set sources;
    struct diagnostics d;
    struct tree tree;
    source_set_init(&sources, starter_builtins, starter_builtin_count);
    diag_init(&d, &sources);
    tree_init(&tree, &sources);
    bool is_right = rules_parse(&sources, config, &d, &tree);
    const char *path = is_right || tree.count ? named_path(&tree) : NULL; /* the rest is `check`'s to say */
    snprintf(client->path, sizeof client->path, "%s", path ? path : CONFIG_CONTROL_DEFAULT);
    tree_fini(&tree);
    diag_fini(&d);
    source_set_fini(&sources);
}

static int locate(struct control_client *client, const struct command_line *c)
{
    if (c->control) {
        const char *path = strncmp(c->control, "unix:", 5) == 0 ? c->control + 5 : c->control;
        snprintf(client->path, sizeof client->path, "%s", path);
        return CLI_DONE;
    }
    if (c->config && access(c->config, R_OK) != 0)
        return say(c->command, CLI_NO, "cannot read %s: %s", c->config, strerror(errno));
    find_path(client, c->config ? c->config : CLI_DEFAULT_CONFIG);
    return CLI_DONE;
}

static int cannot_connect(const struct control_client *client, int error)
{
    switch (error) {
    case ENOENT:
    case ECONNREFUSED:
        return say(client->command, CLI_UNAVAILABLE,
                   "nothing listens at %s: the service is not running, or has another control socket (-c FILE, "
                   "--control PATH)",
                   client->path);
    case EACCES:
    case EPERM:
        return say(client->command, CLI_NO, "may not ask at %s: only root and the user of the service may",
                   client->path);
    case EAGAIN:
        return say(client->command, CLI_AGAIN, "%s does not answer: too many ask at once", client->path);
    default:
        return say(client->command, CLI_INTERNAL, "cannot connect to %s: %s", client->path, strerror(error));
    }
}

bool control_listens(const struct control_client *client)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    str_copy_into(to.sun_path, sizeof to.sun_path, str_of_z(client->path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool is_gone = fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof to) != 0 &&
                   (errno == ENOENT || errno == ECONNREFUSED);
    if (fd >= 0)
        close(fd);
    return !is_gone;
}

int control_open(struct control_client *client, const struct command_line *c)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const struct timeval patience = {PATIENCE_S, 0};
    *client = (struct control_client){.command = c->command, .fd = -1};
    int code = locate(client, c);
    if (code != CLI_DONE)
        return code;
    if (strlen(client->path) >= sizeof to.sun_path)
        return say(c->command, CLI_NO, "the path of a socket has at most %zu bytes: %s", sizeof to.sun_path - 1,
                   client->path);
    str_copy_into(to.sun_path, sizeof to.sun_path, str_of_z(client->path));
    client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0 || setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
        setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0)
        return say(c->command, CLI_INTERNAL, "cannot make a socket: %s", strerror(errno));
    if (connect(client->fd, (const struct sockaddr *)&to, sizeof to) == 0)
        return CLI_DONE;
    code = cannot_connect(client, errno);
    control_close(client);
    return code;
}

void control_close(struct control_client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
}

/* ---- one question ---- */

static bool send_all(int fd, const char *text, size_t len)
{
    while (len) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        text += n;
        len -= (size_t)n;
    }
    return true;
}

static int send_question(const struct control_client *client, json_t *question)
{
    char *text = question ? json_dumps(question, JSON_COMPACT) : NULL;
    json_decref(question);
    if (!text)
        return say(client->command, CLI_NO, "what was given is no UTF-8");
    size_t len = strlen(text);
    text[len] = '\n'; /* in the place of its NUL */
    bool is_sent = send_all(client->fd, text, len + 1);
    free(text);
    /* who is turned away may find the connection closed: the reason is then there to be read */
    return is_sent || errno == EPIPE || errno == ECONNRESET
               ? CLI_DONE
               : say(client->command, CLI_AGAIN, "the question cannot be sent: %s", strerror(errno));
}

/* A whole line, without its end. */
static int read_line(const struct control_client *client, struct buf *line)
{
    for (;;) {
        char *to = buf_reserve(line, 65536);
        if (!to)
            return say(client->command, CLI_INTERNAL, "the answer is too long, or memory is short");
        ssize_t n = recv(client->fd, to, 65536, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return say(client->command, CLI_AGAIN, "no answer within %d s", PATIENCE_S);
        if (n <= 0)
            return say(client->command, CLI_AGAIN, "the connection was lost before the answer came");
        buf_commit(line, (size_t)n);
        if (to[n - 1] == '\n')
            return CLI_DONE;
    }
}

/* What the service says no with. */
static int print_refusal(const struct control_client *client, const json_t *answer)
{
    const char *hint = answer_text(answer, "hint"), *report = answer_text(answer, "report");
    fputs(report, stderr);
    fprintf(stderr, "mailweir %s: %s%s%s\n", client->command, answer_text(answer, "error"), *hint ? ": " : "", hint);
    return json_is_true(json_object_get(answer, "again")) ? CLI_AGAIN : CLI_NO;
}

int control_question(struct control_client *client, json_t *question, json_t **answer)
{
    struct buf line;
    *answer = NULL;
    buf_init(&line, CONTROL_ANSWER_MAX_BYTES + 65536);
    int code = send_question(client, question);
    if (code == CLI_DONE)
        code = read_line(client, &line);
    if (code == CLI_DONE)
        *answer = json_loadb(buf_str(&line).ptr, buf_len(&line), 0, NULL);
    buf_fini(&line);
    if (code != CLI_DONE)
        return code;
    if (!json_is_object(*answer))
        code = say(client->command, CLI_INTERNAL, "what answers at %s is no mailweir", client->path);
    else if (!json_is_true(json_object_get(*answer, "ok")))
        code = print_refusal(client, *answer);
    return code;
}

int control_ask_once(const struct command_line *c, json_t *question, json_t **answer)
{
    struct control_client client;
    *answer = NULL;
    int code = control_open(&client, c);
    if (code == CLI_DONE)
        code = control_question(&client, question, answer);
    else
        json_decref(question);
    control_close(&client);
    if (code != CLI_DONE && *answer && c->json)
        control_print_json(*answer);
    if (code != CLI_DONE) {
        json_decref(*answer);
        *answer = NULL;
    }
    return code;
}

/* ---- texts ---- */

int control_print_json(const json_t *answer)
{
    int code = json_dumpf(answer, stdout, JSON_INDENT(2)) == 0 ? CLI_DONE : CLI_INTERNAL;
    putchar('\n');
    return code;
}

void control_print_keys(const json_t *answer)
{
    const json_t *keys = json_object_get(answer, "keys");
    size_t i;
    json_t *key;
    printf("%s", answer_text(answer, "key"));
    json_array_foreach(keys, i, key) printf("%s%s", i ? ", " : "", json_string_value(key));
}

void control_print_notes(const json_t *answer)
{
    if (json_is_false(json_object_get(answer, "counted"))) {
        printf("at present nothing is counted of ");
        control_print_keys(answer);
        printf("\n");
    }
    if (json_is_true(json_object_get(answer, "waits_for_redis")))
        printf("Redis is away: it is in force on this node now, and on the others when Redis is back\n");
}

const char *alone_text(const char *word, long long nodes)
{
    static const struct {
        const char *word, *text;
    } WAYS[] = {
        {"share", "this node decides by itself: it admits its share of what is left of each limit"},
        {"local", "this node decides by itself: it admits what is left of each limit, whole"},
        {"open", "this node decides by itself: it refuses nothing by a limit, and only counts"},
        {"closed", "this node takes no mail that a limit counts: clients are told to try again later"},
    };
    if (nodes <= 1 && strcmp(word, "share") == 0)
        return "this node decides by itself: it knows of no other, and admits what is left of each limit, whole";
    for (size_t i = 0; i < COUNT_OF(WAYS); i++)
        if (strcmp(WAYS[i].word, word) == 0)
            return WAYS[i].text;
    return "";
}

json_t *control_who(void)
{
    char text[128];
    const struct passwd *me = getpwuid(getuid());
    const char *sudo = getenv("SUDO_USER");
    if (!me)
        return NULL;
    snprintf(text, sizeof text, "%.60s%s%.60s%s", me->pw_name, sudo ? " (" : "", sudo ? sudo : "", sudo ? ")" : "");
    return json_string(text);
}

const char *answer_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

long long answer_number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

const char *duration_text(long long seconds)
{
    static char texts[4][48];
    static unsigned next;
    char *to = texts[next++ % COUNT_OF(texts)];
    limit_wait_text(to, sizeof texts[0], (uint64_t)MAX_OF(seconds, 0LL));
    return to;
}
