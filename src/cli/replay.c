/*
 * replay.c - `mailweir replay EVENTS…`: past mails, decided again under other rules. The engine is policy/replay.c;
 * here is the command line, and the logs.
 *
 * Several logs are read side by side, always on from the one that is furthest behind: so rotated files may be named in
 * any order, and those of several nodes together.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/replay.h"
#include "config/config.h"
#include "config/starter.h"

enum {
    FILES_MAX = 256,
    READ_BYTES = 256 * 1024,
    WRONG_LINES_SAID = 5,
    LOOK_UP_EVERY = 1024, /* lines between two looks at the clock */
    PROGRESS_MS = 200,
};

struct arguments {
    const char *path;
    const char *files[FILES_MAX];
    size_t file_count;
    size_t list_max;
    bool is_json, shows_all_users;
};

/* A log, its next event read already. */
struct log_file {
    const char *name; /* "-": standard input */
    int fd;
    struct buf in;
    size_t taken; /* of `in`: lines that were looked at */
    uint64_t number;
    bool is_at_end, skips_line; /* skips_line: the rest of one that is too long */
    struct logged *next;
};

struct replay_run {
    struct log_file files[FILES_MAX];
    size_t file_count;
    struct replay *replay;
    struct replay_report report;
    uint64_t bytes_read, bytes_in_all; /* 0: not known */
    int64_t said_ms;
    bool shows_progress;
};

/* ---- the command line ---- */

static int read_list_max(struct arguments *a, const char *text)
{
    uint64_t n;
    if (!text)
        return cli_usage("replay", "--list needs a value");
    if (!str_to_u64(str_of_z(text), REPLAY_LIST_MAX, &n))
        return cli_usage("replay", "--list takes a number of mails, 0 to %d, not %s", REPLAY_LIST_MAX, text);
    a->list_max = (size_t)n;
    return CLI_DONE;
}

static int read_path(struct arguments *a, const char *option, const char *text)
{
    if (!text)
        return cli_usage("replay", "%s needs a value", option);
    if (a->path)
        return cli_usage("replay", "-c and --rules name what to decide by: give one of them, once");
    a->path = text;
    return CLI_DONE;
}

static int read_file_name(struct arguments *a, const char *name)
{
    if (a->file_count == FILES_MAX)
        return cli_usage("replay", "%d files at most", FILES_MAX);
    for (size_t i = 0; i < a->file_count; i++)
        if (strcmp(a->files[i], name) == 0)
            return cli_usage("replay", "%s is named twice", strcmp(name, "-") == 0 ? "standard input" : name);
    a->files[a->file_count++] = name;
    return CLI_DONE;
}

static int read_arguments(int argc, char **argv, struct arguments *a)
{
    int code = CLI_DONE;
    *a = (struct arguments){.list_max = REPLAY_LIST_DEFAULT};
    for (int i = 1; i < argc && code == CLI_DONE; i++) {
        const char *word = argv[i];
        if (strcmp(word, "-c") == 0 || strcmp(word, "--rules") == 0)
            code = read_path(a, word, argv[++i]);
        else if (strcmp(word, "--list") == 0)
            code = read_list_max(a, argv[++i]);
        else if (strcmp(word, "--json") == 0)
            a->is_json = true;
        else if (strcmp(word, "--all") == 0)
            a->shows_all_users = true;
        else if (word[0] == '-' && word[1])
            code = cli_usage("replay", "unknown option %s", word);
        else
            code = read_file_name(a, word);
    }
    if (code == CLI_DONE && a->file_count == 0)
        code = cli_usage("replay", "an event log is needed, or - for standard input");
    if (!a->path)
        a->path = CLI_DEFAULT_CONFIG;
    return code;
}

/* ---- logs ---- */

static bool trouble(const struct log_file *f, const char *what)
{
    fprintf(stderr, "mailweir replay: %s: %s\n", f->name, what);
    return false;
}

static bool open_log(struct replay_run *r, struct log_file *f)
{
    struct stat st;
    buf_init(&f->in, LOGGED_LINE_MAX_BYTES + READ_BYTES);
    f->fd = strcmp(f->name, "-") == 0 ? dup(STDIN_FILENO) : open(f->name, O_RDONLY | O_CLOEXEC);
    if (f->fd < 0 || fstat(f->fd, &st) < 0)
        return trouble(f, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return trouble(f, "a directory; the event log is a file in it");
    r->bytes_in_all += S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    return true;
}

/* False: said. */
static bool read_more(struct replay_run *r, struct log_file *f)
{
    buf_consume(&f->in, f->taken);
    f->taken = 0;
    char *to = buf_reserve(&f->in, READ_BYTES);
    if (!to)
        return trouble(f, "out of memory");
    ssize_t n;
    do
        n = read(f->fd, to, READ_BYTES);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return trouble(f, strerror(errno));
    buf_commit(&f->in, (size_t)n);
    f->is_at_end = n == 0;
    r->bytes_read += (uint64_t)n;
    return true;
}

static void say_wrong(struct replay_run *r, const struct log_file *f, const char *what)
{
    if (r->report.wrong_lines++ < WRONG_LINES_SAID)
        fprintf(stderr, "%s:%llu: passed over: %s\n", f->name, (unsigned long long)f->number, what);
    else if (r->report.wrong_lines == WRONG_LINES_SAID + 1)
        fprintf(stderr, "%s:%llu: passed over, too; of further ones only their number is said\n", f->name,
                (unsigned long long)f->number);
}

/* The next line, or at the end of the file what stands there without one. *line is empty at the end. False: said. */
static bool next_line(struct replay_run *r, struct log_file *f, struct str *line, bool *is_over)
{
    size_t searched = 0;
    *is_over = false;
    for (;;) {
        struct str in = str_from(buf_str(&f->in), f->taken);
        const char *end = in.len > searched ? memchr(in.ptr + searched, '\n', in.len - searched) : NULL;
        if (end || (f->is_at_end && in.len)) {
            *line = str_of(in.ptr, end ? (size_t)(end - in.ptr) : in.len);
            f->taken += line->len + (end != NULL);
            bool was_rest = f->skips_line;
            f->skips_line = false;
            if (!was_rest)
                return true;
            searched = 0;
            continue;
        }
        *is_over = f->is_at_end;
        if (*is_over)
            return true;
        searched = in.len;
        if (in.len > LOGGED_LINE_MAX_BYTES) {
            if (!f->skips_line) {
                f->number++;
                r->report.lines++;
                say_wrong(r, f, "the line is longer than an event can be");
            }
            f->skips_line = true;
            f->taken += in.len;
            searched = 0;
        }
        if (!read_more(r, f))
            return false;
    }
}

/* Reads on to the next event that counts. False: said. */
static bool next_event(struct replay_run *r, struct log_file *f)
{
    struct str line;
    struct err err = {0};
    bool is_over;
    f->next = NULL;
    while (next_line(r, f, &line, &is_over)) {
        if (is_over)
            return true;
        f->number++;
        r->report.lines++;
        line = str_trim(line);
        if (line.len == 0)
            continue;
        switch (logged_read(line, &f->next, &err)) {
        case LOGGED_READ:
            return true;
        case LOGGED_IGNORED:
            break;
        case LOGGED_WRONG:
            say_wrong(r, f, err.text);
            break;
        case LOGGED_NO_MEMORY:
            return trouble(f, "out of memory");
        }
    }
    return false;
}

static struct log_file *furthest_behind(struct replay_run *r)
{
    struct log_file *first = NULL;
    for (size_t i = 0; i < r->file_count; i++) {
        struct log_file *f = &r->files[i];
        if (f->next && (!first || f->next->time_us < first->next->time_us))
            first = f;
    }
    return first;
}

/* ---- the run ---- */

static void show_progress(struct replay_run *r)
{
    int64_t now_ms = clock_monotonic_ms();
    if (!r->shows_progress || now_ms - r->said_ms < PROGRESS_MS)
        return;
    r->said_ms = now_ms;
    fprintf(stderr, "\r%llu %% read, %llu mails decided ", (unsigned long long)(r->bytes_read * 100 / r->bytes_in_all),
            (unsigned long long)r->report.tally->mails);
}

static void clear_progress(const struct replay_run *r)
{
    if (r->said_ms)
        fprintf(stderr, "\r%60s\r", "");
}

/* False: said. */
static bool replay_all(struct replay_run *r)
{
    struct log_file *f;
    for (size_t i = 0; i < r->file_count; i++)
        if (!open_log(r, &r->files[i]) || !next_event(r, &r->files[i]))
            return false;
    r->shows_progress = r->bytes_in_all && isatty(STDERR_FILENO);
    for (size_t n = 1; (f = furthest_behind(r)); n++) {
        struct logged *event = f->next;
        f->next = NULL;
        if (!replay_add(r->replay, event))
            return trouble(f, "out of memory");
        if (!next_event(r, f))
            return false;
        if (n % LOOK_UP_EVERY == 0)
            show_progress(r);
    }
    return replay_end(r->replay) || trouble(&r->files[0], "out of memory");
}

static void close_logs(struct replay_run *r)
{
    for (size_t i = 0; i < r->file_count; i++) {
        buf_fini(&r->files[i].in);
        free(r->files[i].next);
        if (r->files[i].fd >= 0)
            close(r->files[i].fd);
    }
}

static int print(const struct replay_run *r, bool is_json)
{
    if (!is_json) {
        replay_print(&r->report);
        return CLI_DONE;
    }
    if (replay_print_json(&r->report))
        return CLI_DONE;
    fprintf(stderr, "mailweir replay: no answer can be made\n");
    return CLI_INTERNAL;
}

static int replay_with(const struct config *cfg, const struct arguments *a)
{
    struct tally tally;
    struct replay_run *r = calloc(1, sizeof *r);
    struct replay_options options = {.world = &cfg->world,
                                     .longest_us = cfg->timeout.session_ms * 1000,
                                     .utc_offset_s = clock_utc_offset_s,
                                     .on_event = tally_on_event,
                                     .arg = &tally};
    int code = CLI_NO;
    bool has_tally = tally_init(&tally, a->list_max);
    if (r)
        r->replay = replay_new(&options);
    if (!r || !r->replay || !has_tally) {
        fprintf(stderr, "mailweir replay: out of memory\n");
    } else {
        r->report = (struct replay_report){
            .tally = &tally, .policy = cfg->policy, .rules = a->path, .shows_all_users = a->shows_all_users};
        r->file_count = a->file_count;
        for (size_t i = 0; i < a->file_count; i++)
            r->files[i] = (struct log_file){.name = a->files[i], .fd = -1};
        bool ok = replay_all(r);
        clear_progress(r);
        r->report.lost_counts = replay_lost_counts(r->replay);
        if (ok)
            code = print(r, a->is_json);
        close_logs(r);
    }
    if (r)
        replay_free(&r->replay);
    free(r);
    tally_fini(&tally);
    return code;
}

int cli_replay(int argc, char **argv)
{
    struct arguments a;
    struct source_set sources;
    struct diagnostics d;
    struct config_options options = {.purpose = CONFIG_CHECK, .without_tests = true};
    int code = read_arguments(argc, argv, &a);
    if (code != CLI_DONE)
        return code;
    source_set_init(&sources, starter_builtins, starter_builtin_count);
    diag_init(&d, &sources);
    struct config *cfg = config_load(a.path, &options, &sources, &d);
    if (!cfg)
        cli_print_diagnostics(&d);
    code = cfg ? replay_with(cfg, &a) : CLI_NO;
    config_free(&cfg);
    diag_fini(&d);
    source_set_fini(&sources);
    return code;
}
