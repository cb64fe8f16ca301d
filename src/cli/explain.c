/*
 * explain.c - `mailweir explain …`: what the rules and limits of a configuration make of one mail, and why. What is
 * told is policy/explain.c's; here is the command line.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/explain.h"
#include "config/starter.h"
#include "policy/explain.h"
#include "rules/shape.h"
#include "smtp/address.h"

/* ---- the command line ---- */

static int read_arguments(int argc, char **argv, struct explain_arguments *a)
{
    const struct {
        const char *word;
        const char **to;
        struct explain_list *more; /* instead: may be given many times */
    } ROWS[] = {
        {"-c", &a->path, NULL},          {"--rules", &a->path, NULL},      {"--client", &a->client, NULL},
        {"--user", &a->user, NULL},      {"--helo", &a->helo, NULL},       {"--listener", &a->listener, NULL},
        {"--from", &a->from, NULL},      {"--size", &a->size, NULL},       {"--tls", &a->tls, NULL},
        {"--name", &a->name, NULL},      {"--message", &a->message, NULL}, {"--country", &a->country, NULL},
        {"--event", &a->event, NULL},    {"--events", &a->events, NULL},   {"--rcpt", NULL, &a->rcpts},
        {"--header", NULL, &a->headers}, {"--listed", NULL, &a->listed},
    };
    a->path = CLI_DEFAULT_CONFIG;
    for (int i = 1; i < argc; i++) {
        size_t row = 0;
        while (row < COUNT_OF(ROWS) && strcmp(argv[i], ROWS[row].word) != 0)
            row++;
        if (row == COUNT_OF(ROWS))
            return cli_usage("explain", "unknown argument %s", argv[i]);
        if (i + 1 == argc)
            return cli_usage("explain", "%s needs a value", argv[i]);
        i++;
        if (ROWS[row].to)
            *ROWS[row].to = argv[i];
        else if (ROWS[row].more->count < EXPLAIN_LIST_MAX)
            ROWS[row].more->items[ROWS[row].more->count++] = argv[i];
        else
            return cli_usage("explain", "%s is possible %d times at most", ROWS[row].word, EXPLAIN_LIST_MAX);
    }
    return CLI_DONE;
}

/* What must be given, and what cannot go together. */
static int check_arguments(const struct explain_arguments *a)
{
    bool says_who = a->client || a->user || a->listener || a->helo || a->from || a->tls || a->rcpts.count;
    if (a->event && says_who)
        return cli_usage("explain", "--event says who sent what: --client, --from and the like cannot stand beside it");
    if (!a->event && a->events)
        return cli_usage("explain", "--events goes with --event ID");
    if (!a->event && (!a->client || !a->from || !a->rcpts.count))
        return cli_usage("explain", "--client, --from and --rcpt are needed, or --event");
    if (a->message && a->headers.count)
        return cli_usage("explain", "--message has its own header: --header cannot stand beside it");
    if (a->message && a->size)
        return cli_usage("explain", "--message has its own size: --size cannot stand beside it");
    return CLI_DONE;
}

/* ---- who sends what ---- */

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

static int set_addresses(struct trial_settings *set, const struct explain_arguments *a, struct explain_memory *m)
{
    struct smtp_path path;
    set->has_sender = true;
    set->sender = strcmp(a->from, "<>") == 0 ? STR("") : str_of_z(a->from);
    if (set->sender.len && !smtp_address_parse(set->sender, &path))
        return cli_usage("explain", "\"%s\" is no address; the null sender is '<>'", a->from);
    for (size_t i = 0; i < a->rcpts.count; i++) {
        m->rcpts[i] = str_of_z(a->rcpts.items[i]);
        if (!smtp_address_parse(m->rcpts[i], &path))
            return cli_usage("explain", "\"%s\" is no address", a->rcpts.items[i]);
    }
    set->rcpts = m->rcpts;
    set->rcpt_count = a->rcpts.count;
    return CLI_DONE;
}

static int set_session(struct trial *t, const struct explain_arguments *a, struct explain_memory *m)
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
    return set_addresses(set, a, m);
}

/* Rules look at the clock: it is now. */
static void set_time(struct trial *t)
{
    t->now_us = clock_wall_us();
    t->utc_offset_s = clock_utc_offset_s(t->now_us / 1000000);
}

static bool is_header_name(struct str name)
{
    bool is_name = name.len > 0;
    for (size_t i = 0; i < name.len; i++)
        is_name = is_name && name.ptr[i] > ' ' && name.ptr[i] < 127;
    return is_name;
}

static int set_headers(struct trial_settings *set, const struct explain_arguments *a, struct explain_memory *m)
{
    for (size_t i = 0; i < a->headers.count; i++) {
        struct str value, name = str_split(str_of_z(a->headers.items[i]), ':', &value);
        if (!value.ptr || !is_header_name(name))
            return cli_usage("explain", "\"%s\" is no header; it is written 'Name: value'", a->headers.items[i]);
        m->headers[i] = (struct trial_header){name, str_trim(value)};
    }
    if (a->headers.count) {
        set->headers = m->headers;
        set->header_count = a->headers.count;
    }
    return CLI_DONE;
}

static bool is_dnsbl(const struct policy *policy, const char *name)
{
    size_t count;
    const struct policy_dnsbl *dnsbls = policy_dnsbls(policy, &count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(dnsbls[i].zone.name, name) == 0)
            return true;
    return false;
}

static int set_lookups(struct trial *t, const struct explain_arguments *a, struct explain_memory *m)
{
    if (a->name)
        t->given.name = str_of_z(a->name);
    if (a->country)
        t->given.country = str_of_z(a->country);
    for (size_t i = 0; i < a->listed.count; i++) {
        if (!is_dnsbl(t->world->policy, a->listed.items[i]))
            return cli_usage("explain", "%s asks no dnsbl \"%s\"", a->path, a->listed.items[i]);
        m->listed[i] = str_of_z(a->listed.items[i]);
    }
    t->given.listed = m->listed;
    t->given.listed_count = a->listed.count;
    return CLI_DONE;
}

static int say_error(const struct err *err)
{
    fprintf(stderr, "mailweir explain: %s\n", err->text);
    if (err->hint[0])
        fprintf(stderr, "  %s\n", err->hint);
    return CLI_NO;
}

static int set_message(const struct config *cfg, struct trial *t, const struct explain_arguments *a,
                       struct explain_memory *m)
{
    struct err err = {0};
    if (!a->message)
        return set_headers(&t->settings, a, m);
    if (!explain_read_message(a->message, cfg->max_header_bytes, &m->block, &t->settings.size_bytes, &err))
        return say_error(&err);
    t->settings.block = buf_len(&m->block) ? buf_str(&m->block) : STR("\r\n");
    return CLI_DONE;
}

static int set_all(const struct config *cfg, struct trial *t, const struct explain_arguments *a,
                   struct explain_memory *m)
{
    struct err err = {0};
    int code = CLI_DONE;
    if (!a->event) {
        set_time(t);
        code = set_session(t, a, m);
    } else if (explain_find_past(cfg, a->events, a->event, &m->past, &err)) {
        past_set(&m->past, t);
    } else {
        code = say_error(&err);
    }
    if (code == CLI_DONE && a->size)
        code = set_size(&t->settings, a->size);
    if (code == CLI_DONE)
        code = set_message(cfg, t, a, m);
    return code == CLI_DONE ? set_lookups(t, a, m) : code;
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

/* What is asked, and neither given nor known. */
static void note_unknown(const struct policy *policy, const struct explain_arguments *a, bool is_connection)
{
    bool asks_message = policy_has_rules(policy, PHASE_HEADER) || policy_has_rules(policy, PHASE_MESSAGE);
    size_t dnsbls;
    policy_dnsbls(policy, &dnsbls);
    if (policy_uses(policy, ATTRIBUTE_CLIENT_NAME) && !a->name && !a->event)
        printf("note:    names are not looked up here: say what it is with --name\n");
    if (policy_uses(policy, ATTRIBUTE_CLIENT_COUNTRY) && !a->country && !a->event)
        printf("note:    countries are not looked up here: say which with --country\n");
    if (dnsbls && !a->listed.count)
        printf("note:    block lists are not asked here: say which lists it with --listed\n");
    if (a->event && !a->message && asks_message && !is_connection)
        printf("note:    of the message the log knows From and Message-ID: give it with --message\n");
}

static int explain_all(const struct config *cfg, const struct explain_arguments *a, struct trial *t,
                       struct explain_memory *m)
{
    struct buf out;
    int code = set_all(cfg, t, a, m);
    if (code != CLI_DONE)
        return code;
    buf_init(&out, EXPLAIN_MAX_BYTES);
    bool is_connection = a->event && m->past.event->kind == LOGGED_CONNECT;
    bool ok = explain(t, is_connection ? EXPLAIN_CONNECTION : EXPLAIN_MAIL, &out);
    fwrite(buf_str(&out).ptr, 1, buf_len(&out), stdout);
    buf_fini(&out);
    if (a->event)
        explain_compare(&m->past, t);
    else
        note_login(cfg, &t->settings);
    note_unknown(cfg->policy, a, is_connection);
    if (!ok)
        fprintf(stderr, "mailweir explain: out of memory: what is said above is not all\n");
    return ok ? CLI_DONE : CLI_NO;
}

static int explain_with(const struct config *cfg, const struct explain_arguments *a)
{
    struct explain_memory *m = calloc(1, sizeof *m);
    struct trial *t = trial_new(&cfg->world);
    int code = CLI_NO;
    if (m && t) {
        buf_init(&m->block, cfg->max_header_bytes + EXPLAIN_BLOCK_EXCESS);
        code = explain_all(cfg, a, t, m);
    } else {
        fprintf(stderr, "mailweir explain: out of memory\n");
    }
    trial_free(&t);
    if (m) {
        buf_fini(&m->block);
        past_fini(&m->past);
    }
    free(m);
    return code;
}

int cli_explain(int argc, char **argv)
{
    static struct explain_arguments a;
    struct source_set sources;
    struct diagnostics d;
    struct config_options options = {.purpose = CONFIG_CHECK, .without_tests = true};
    int usage = read_arguments(argc, argv, &a);
    if (usage == CLI_DONE)
        usage = check_arguments(&a);
    if (usage != CLI_DONE)
        return usage;
    source_set_init(&sources, starter_builtins, starter_builtin_count);
    diag_init(&d, &sources);
    struct config *cfg = config_load(a.path, &options, &sources, &d);
    if (!cfg)
        cli_print_diagnostics(&d);
    int code = cfg ? explain_with(cfg, &a) : CLI_NO;
    config_free(&cfg);
    diag_fini(&d);
    source_set_fini(&sources);
    return code;
}
