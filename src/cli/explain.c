/*
 * explain.c - `mailweir explain …`: what the rules and limits of a configuration make of one mail, and why. What is
 * told is policy/explain.c's; here is the command line.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "config/config.h"
#include "config/starter.h"
#include "policy/explain.h"
#include "rules/shape.h"
#include "smtp/address.h"

enum { RCPTS_MAX = 1000, REPORT_MAX_BYTES = 16 << 20 };

struct arguments {
    const char *path;
    const char *client, *user, *listener, *helo, *from, *size, *tls;
    const char *rcpts[RCPTS_MAX];
    size_t rcpt_count;
};

/* ---- the command line ---- */

static int read_arguments(int argc, char **argv, struct arguments *a)
{
    const struct {
        const char *word;
        const char **to; /* NULL: one more recipient */
    } rows[] = {
        {"-c", &a->path},     {"--client", &a->client}, {"--user", &a->user}, {"--listener", &a->listener},
        {"--helo", &a->helo}, {"--from", &a->from},     {"--size", &a->size}, {"--tls", &a->tls},
        {"--rcpt", NULL},
    };
    a->path = CLI_DEFAULT_CONFIG;
    for (int i = 1; i < argc; i++) {
        size_t row = 0;
        while (row < COUNT_OF(rows) && strcmp(argv[i], rows[row].word) != 0)
            row++;
        if (row == COUNT_OF(rows))
            return cli_usage("explain", "unknown argument %s", argv[i]);
        if (i + 1 == argc)
            return cli_usage("explain", "%s needs a value", argv[i]);
        i++;
        if (rows[row].to)
            *rows[row].to = argv[i];
        else if (a->rcpt_count < RCPTS_MAX)
            a->rcpts[a->rcpt_count++] = argv[i];
        else
            return cli_usage("explain", "%d recipients at most", RCPTS_MAX);
    }
    if (!a->client || !a->from || !a->rcpt_count)
        return cli_usage("explain", "--client, --from and --rcpt are needed");
    return CLI_DONE;
}

static bool has_listener(const struct trial_world *world, struct str name)
{
    for (size_t i = 0; i < world->listener_count; i++)
        if (str_equal(world->listeners[i].name, name))
            return true;
    return false;
}

static int set_size(struct trial_settings *set, const char *text)
{
    struct value size;
    struct err err;
    if (shape_read(SHAPE_SIZE, str_of_z(text), NULL, &size, &err) != SHAPE_FITS)
        return cli_usage("explain", "\"%s\" is no size, such as 64K or 10M", text);
    set->size_bytes = (uint64_t)size.bytes;
    return CLI_DONE;
}

static int set_addresses(struct trial_settings *set, const struct arguments *a, struct str *rcpts)
{
    struct smtp_path path;
    set->has_sender = true;
    set->sender = strcmp(a->from, "<>") == 0 ? STR("") : str_of_z(a->from);
    if (set->sender.len && !smtp_address_parse(set->sender, &path))
        return cli_usage("explain", "\"%s\" is no address; the null sender is '<>'", a->from);
    for (size_t i = 0; i < a->rcpt_count; i++) {
        rcpts[i] = str_of_z(a->rcpts[i]);
        if (!smtp_address_parse(rcpts[i], &path))
            return cli_usage("explain", "\"%s\" is no address", a->rcpts[i]);
    }
    set->rcpts = rcpts;
    set->rcpt_count = a->rcpt_count;
    return CLI_DONE;
}

static int set_all(struct trial *t, const struct arguments *a, struct str *rcpts)
{
    struct trial_settings *set = &t->settings;
    if (!ip_parse(str_of_z(a->client), &set->client))
        return cli_usage("explain", "\"%s\" is no IP address", a->client);
    if (a->user)
        set->user = str_of_z(a->user);
    if (a->helo)
        set->helo = str_of_z(a->helo);
    if (a->tls && strcmp(a->tls, "on") != 0 && strcmp(a->tls, "off") != 0)
        return cli_usage("explain", "--tls is on or off, not %s", a->tls);
    set->is_tls = !a->tls || strcmp(a->tls, "on") == 0;
    if (a->listener && !has_listener(t->world, str_of_z(a->listener)))
        return cli_usage("explain", "%s has no listener \"%s\"", a->path, a->listener);
    if (a->listener)
        set->listener = str_of_z(a->listener);
    int usage = a->size ? set_size(set, a->size) : CLI_DONE;
    return usage == CLI_DONE ? set_addresses(set, a, rcpts) : usage;
}

/* Rules look at the clock: it is now. */
static void set_time(struct trial *t)
{
    struct tm tm;
    t->now_us = clock_wall_us();
    time_t now = (time_t)(t->now_us / 1000000);
    if (localtime_r(&now, &tm))
        t->utc_offset_s = tm.tm_gmtoff;
}

/* ---- done ---- */

/* The server's own checks are no rules; the one that a made-up mail meets most is said beside them. */
static void note_login(const struct config *cfg, const struct trial_settings *set)
{
    for (size_t i = 0; i < cfg->listener_count; i++)
        if (str_equal(cfg->listeners[i].name, set->listener) && cfg->listeners[i].auth == LISTENER_AUTH_REQUIRED &&
            set->user.len == 0) {
            printf("note:    this listener takes mail only after a login (--user): without one it answers 530\n");
            return;
        }
}

static int explain(const struct config *cfg, const struct arguments *a)
{
    struct buf out;
    struct str *rcpts = calloc(a->rcpt_count, sizeof *rcpts);
    struct trial *t = trial_new(&cfg->world);
    int code = CLI_NO;
    buf_init(&out, EXPLAIN_MAX_BYTES);
    if (!rcpts || !t) {
        fprintf(stderr, "mailweir explain: out of memory\n");
    } else if ((code = set_all(t, a, rcpts)) == CLI_DONE) {
        set_time(t);
        bool ok = explain_mail(t, &out);
        fwrite(buf_str(&out).ptr, 1, buf_len(&out), stdout);
        note_login(cfg, &t->settings);
        if (!ok)
            fprintf(stderr, "mailweir explain: out of memory: what is said above is not all\n");
        code = ok ? CLI_DONE : CLI_NO;
    }
    buf_fini(&out);
    trial_free(&t);
    free(rcpts);
    return code;
}

static void print_errors(struct diagnostics *d)
{
    struct buf out;
    buf_init(&out, REPORT_MAX_BYTES);
    if (diag_print(d, &out))
        fwrite(buf_str(&out).ptr, 1, buf_len(&out), stderr);
    else
        fprintf(stderr, "mailweir: out of memory while printing %zu errors\n", d->error_count);
    buf_fini(&out);
}

int cli_explain(int argc, char **argv)
{
    static struct arguments a;
    struct source_set sources;
    struct diagnostics d;
    struct config_options options = {.purpose = CONFIG_CHECK, .without_tests = true};
    int usage = read_arguments(argc, argv, &a);
    if (usage != CLI_DONE)
        return usage;
    source_set_init(&sources, starter_builtins, starter_builtin_count);
    diag_init(&d, &sources);
    struct config *cfg = config_load(a.path, &options, &sources, &d);
    if (!cfg)
        print_errors(&d);
    int code = cfg ? explain(cfg, &a) : CLI_NO;
    config_free(&cfg);
    diag_fini(&d);
    source_set_fini(&sources);
    return code;
}
