/*
 * check.c - `mailweir check [FILE] [--json]`: all that is wrong with a configuration, in one run.
 *
 * With --json to stdout, right or wrong, and whole (the text stops at 50):
 *
 *   {"file": …, "ok": …, "errors": [{"file", "line", "col", "len", "message", "hint"}, …], "warnings": […],
 *    "starter_policy": …, "starts_here": …}
 *
 * Places are null of what stands nowhere, hint where there is none; starter_policy and starts_here are there when ok is
 * true. starts_here false: fine as it is, but `serve` would refuse it on this machine, for want of what warnings name.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "config/config.h"
#include "config/starter.h"

enum { REPORT_MAX_BYTES = 16 << 20 };

void cli_print_diagnostics(struct diagnostics *d)
{
    struct buf out;
    buf_init(&out, REPORT_MAX_BYTES);
    if (!diag_print(d, &out))
        fprintf(stderr, "mailweir: out of memory while printing %zu errors\n", d->error_count);
    else if (buf_len(&out)) /* an empty buffer has no memory */
        fwrite(buf_str(&out).ptr, 1, buf_len(&out), stderr);
    buf_fini(&out);
}

/* What the check as such does not refuse, and what it cannot see. */
static void print_machine(const struct config *cfg)
{
    if (cfg->missing_count)
        printf("`mailweir serve`%s would not start with it on this machine: %zu of these warnings %s there.\n",
               geteuid() == 0 ? "" : ", run by this user,", cfg->missing_count,
               cfg->missing_count == 1 ? "is an error" : "are errors");
    if (cfg->listener_count && cfg->user && geteuid() != 0)
        printf("Run as root it also says whether the service's user \"%s\" is there and may read its files.\n",
               cfg->user);
}

static void print_summary(const char *path, const struct config *cfg, const struct diagnostics *d)
{
    printf("%s: fine", path);
    if (d->warning_count)
        printf(", with %zu warning%s", d->warning_count, d->warning_count == 1 ? "" : "s");
    printf(" (%zu listener%s, %zu rule%s, %zu limit%s, %zu test%s)\n", cfg->listener_count,
           cfg->listener_count == 1 ? "" : "s", policy_rule_count(cfg->policy),
           policy_rule_count(cfg->policy) == 1 ? "" : "s", policy_limit_count(cfg->policy),
           policy_limit_count(cfg->policy) == 1 ? "" : "s", cfg->test_count, cfg->test_count == 1 ? "" : "s");
    print_machine(cfg);
    if (cfg->left_out_test_count)
        printf("%zu more test%s not run: another file disables or observes what %s about.\n", cfg->left_out_test_count,
               cfg->left_out_test_count == 1 ? " was" : "s were", cfg->left_out_test_count == 1 ? "it is" : "they are");
    if (!cfg->is_starter_policy)
        return;
    printf("It has no rule and no limit of its own, so the built-in starter policy is in force, lua-free-rules/ of the "
           "source:\n ");
    for (size_t i = 0; i < starter_builtin_count; i++)
        printf(" %s", strrchr(starter_builtins[i].name, '/') + 1);
    printf("\n");
}

/* ---- --json ---- */

/* What stands in a file may be anything; JSON is UTF-8. NULL: no memory, which json_object_set_new then says, too. */
static json_t *clean_string(struct str text)
{
    struct buf clean;
    buf_init(&clean, REPORT_MAX_BYTES);
    json_t *made = print_clean(&clean, text) ? json_stringn(buf_str(&clean).ptr, buf_len(&clean)) : NULL;
    buf_fini(&clean);
    return made;
}

static json_t *diagnostic_json(const struct source_set *sources, const struct diagnostic *item)
{
    bool placed = place_is_known(item->at);
    json_t *file = placed ? clean_string(source_file_get(sources, item->at.file)->name) : json_null();
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "file", file, "line",
                     placed ? json_integer(item->at.line) : json_null(), "col",
                     placed ? json_integer(item->at.col) : json_null(), "len",
                     placed ? json_integer(item->at.len) : json_null(), "message", clean_string(item->text), "hint",
                     item->hint.len ? clean_string(item->hint) : json_null());
}

static json_t *diagnostics_json(const struct source_set *sources, const struct diagnostics *d, bool warnings)
{
    json_t *array = json_array();
    for (size_t i = 0; i < d->count && array; i++) {
        if (d->items[i].is_warning != warnings)
            continue;
        if (json_array_append_new(array, diagnostic_json(sources, &d->items[i])) != 0) {
            json_decref(array);
            array = NULL;
        }
    }
    return array;
}

static int print_json(const char *path, const struct config *cfg, const struct source_set *sources,
                      struct diagnostics *d)
{
    diag_sort(d);
    json_t *answer =
        json_pack("{s:o, s:b, s:o, s:o}", "file", clean_string(str_of_z(path)), "ok", cfg != NULL, "errors",
                  diagnostics_json(sources, d, false), "warnings", diagnostics_json(sources, d, true));
    bool fine =
        answer && (!cfg || (json_object_set_new(answer, "starter_policy", json_boolean(cfg->is_starter_policy)) == 0 &&
                            json_object_set_new(answer, "starts_here", json_boolean(cfg->missing_count == 0)) == 0));
    fine = fine && json_dumpf(answer, stdout, JSON_INDENT(2)) == 0;
    putchar('\n');
    json_decref(answer);
    if (!fine)
        fprintf(stderr, "mailweir check: no answer can be made\n");
    return fine ? CLI_DONE : CLI_INTERNAL;
}

/* ---- the command ---- */

static bool read_arguments(int argc, char **argv, const char **path, bool *json, int *code)
{
    *path = NULL;
    *json = false;
    *code = CLI_DONE;
    for (int i = 1; i < argc && *code == CLI_DONE; i++) {
        if (strcmp(argv[i], "--json") == 0)
            *json = true;
        else if (argv[i][0] == '-')
            *code = cli_usage("check", "unknown option %s", argv[i]);
        else if (*path)
            *code = cli_usage("check", "one file at most, not \"%s\" too", argv[i]);
        else
            *path = argv[i];
    }
    if (!*path)
        *path = CLI_DEFAULT_CONFIG;
    return *code == CLI_DONE;
}

int cli_check(int argc, char **argv)
{
    const char *path;
    bool json;
    int code;
    if (!read_arguments(argc, argv, &path, &json, &code))
        return code;

    struct source_set sources;
    struct diagnostics d;
    struct config_options options = {.purpose = CONFIG_CHECK};
    source_set_init(&sources, starter_builtins, starter_builtin_count);
    diag_init(&d, &sources);
    struct config *cfg = config_load(path, &options, &sources, &d);
    if (json) {
        code = print_json(path, cfg, &sources, &d);
    } else {
        cli_print_diagnostics(&d);
        if (cfg)
            print_summary(path, cfg, &d);
    }
    if (code == CLI_DONE && !cfg)
        code = CLI_NO;
    config_free(&cfg);
    diag_fini(&d);
    source_set_fini(&sources);
    return code;
}
