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
#include <time.h>

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

/* Of this process: what else runs on the machine is not counted, but for what it does to the caches. */
static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int measure(const struct config *config)
{
    struct trial *trial = trial_new(&config->world);
    struct trial_recipients source = {.make = make};
    int64_t best_ns = INT64_MAX;
    if (!trial)
        return fail("no memory");
    trial->settings.user = STR("alice@example.org");
    name_recipients();
    for (int i = 0; i < MAILS; i++) {
        int64_t began_ns = cpu_ns();
        if (!trial_send(trial, 1, 0, &source))
            return fail("no memory");
        if (trial->outcome.accepted != 1)
            return fail("a rule concerned a recipient, so that not all rules were looked at");
        best_ns = MIN_OF(best_ns, cpu_ns() - began_ns);
    }
    trial_free(&trial);
    printf("rules=%zu rcpt_ns=%lld\n", policy_rule_count(config->policy), (long long)(best_ns / RECIPIENTS));
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
