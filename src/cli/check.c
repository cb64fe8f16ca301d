/* check.c - `mailweir check [FILE]`: all that is wrong with a configuration, in one run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "config/config.h"
#include "config/starter.h"

enum { REPORT_MAX_BYTES = 16 << 20 };

static void print_report(struct diagnostics *d)
{
    struct buf out;
    buf_init(&out, REPORT_MAX_BYTES);
    if (!diag_print(d, &out))
        fprintf(stderr, "mailweir: out of memory while printing %zu errors\n", d->error_count);
    else if (buf_len(&out)) /* an empty buffer has no memory */
        fwrite(buf_str(&out).ptr, 1, buf_len(&out), stderr);
    buf_fini(&out);
}

static void print_summary(const char *path, const struct config *cfg, const struct diagnostics *d)
{
    printf("%s: fine", path);
    if (d->warning_count)
        printf(", with %zu warning%s", d->warning_count, d->warning_count == 1 ? "" : "s");
    printf(" (%zu listener%s, %zu rule%s, %zu limit%s)\n", cfg->listener_count, cfg->listener_count == 1 ? "" : "s",
           policy_rule_count(cfg->policy), policy_rule_count(cfg->policy) == 1 ? "" : "s",
           policy_limit_count(cfg->policy), policy_limit_count(cfg->policy) == 1 ? "" : "s");
    if (!cfg->is_starter_policy)
        return;
    printf("It has no rule and no limit of its own, so the built-in starter policy is in force:\n\n");
    for (size_t i = 0; i < starter_builtin_count; i++)
        fwrite(starter_builtins[i].text, 1, starter_builtins[i].len, stdout);
}

int cli_check(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : CLI_DEFAULT_CONFIG;
    if (argc > 2)
        return cli_usage("check", "one file at most, not \"%s\" too", argv[2]);
    if (path[0] == '-')
        return cli_usage("check", "unknown option %s", path);

    struct source_set sources;
    struct diagnostics d;
    struct config_options options = {.purpose = CONFIG_CHECK};
    source_set_init(&sources, starter_builtins, starter_builtin_count);
    diag_init(&d, &sources);
    struct config *cfg = config_load(path, &options, &sources, &d);
    print_report(&d);
    if (cfg)
        print_summary(path, cfg, &d);
    int code = cfg ? CLI_DONE : CLI_NO;
    config_free(&cfg);
    diag_fini(&d);
    source_set_fini(&sources);
    return code;
}
