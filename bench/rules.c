/*
 * rules.c - what a thousand rules cost: the time of one RCPT, in nanoseconds, asked as `test` blocks and explain ask.
 *
 *   rules FILE     prints rules=N rcpt_ns=N
 *
 * The file is a policy; asked is a mail to a thousand recipients, none of whom any rule concerns, so that all rules are
 * looked at for each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "config/config.h"
#include "config/starter.h"

enum { RECIPIENTS = 1000, MAILS = 20 };

static struct str recipients[RECIPIENTS];

static bool make(void *arg, size_t i, const struct str **list, size_t *count)
{
    (void)arg;
    (void)i;
    *list = recipients;
    *count = RECIPIENTS;
    return true;
}

static void name_recipients(void)
{
    static char texts[RECIPIENTS][40];
    for (size_t i = 0; i < RECIPIENTS; i++) {
        int n = snprintf(texts[i], sizeof texts[i], "somebody%zu@mail.example.net", i);
        recipients[i] = str_of(texts[i], (size_t)n);
    }
}

static int fail(const char *what)
{
    fprintf(stderr, "rules: %s\n", what);
    return 1;
}

static int print_errors(struct diagnostics *d)
{
    struct buf text;
    buf_init(&text, 65536);
    if (diag_print(d, &text))
        fwrite(buf_str(&text).ptr, 1, buf_len(&text), stderr);
    buf_fini(&text);
    return 1;
}

static int measure(const struct config *config)
{
    struct trial *trial = trial_new(&config->world);
    struct trial_recipients source = {.make = make};
    int64_t best_us = INT64_MAX;
    if (!trial)
        return fail("no memory");
    trial->settings.user = STR("alice@example.org");
    name_recipients();
    for (int i = 0; i < MAILS; i++) {
        int64_t began_us = clock_monotonic_us();
        if (!trial_send(trial, 1, 0, &source))
            return fail("no memory");
        if (trial->outcome.accepted != 1)
            return fail("a rule concerned a recipient, so that not all rules were looked at");
        best_us = MIN_OF(best_us, clock_monotonic_us() - began_us);
    }
    trial_free(&trial);
    printf("rules=%zu rcpt_ns=%lld\n", policy_rule_count(config->policy), (long long)(best_us * 1000 / RECIPIENTS));
    return 0;
}

int main(int argc, char **argv)
{
    struct source_set sources;
    struct diagnostics d;
    struct config_options options = {.purpose = CONFIG_CHECK};
    if (argc != 2)
        return fail("usage: rules FILE");
    source_set_init(&sources, starter_builtins, starter_builtin_count);
    diag_init(&d, &sources);
    struct config *config = config_load(argv[1], &options, &sources, &d);
    int code = config ? measure(config) : print_errors(&d);
    config_free(&config);
    diag_fini(&d);
    source_set_fini(&sources);
    return code;
}
