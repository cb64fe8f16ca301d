/* allow.c - `mailweir allow KEY LIMIT RATE [--for 2d] [--why TEXT]`: other rates for somebody, for a while; without
 * words: who has some, who ends first standing first. */
#include <stdio.h>
#include <string.h>

#include "cli/control_client.h"
#include "limits/limit.h"

/* "5000/1h, 20000/1d", "10G/1d", "500"; "no limit". */
static void print_rates(const json_t *allowance)
{
    const json_t *rates = json_object_get(allowance, "rates");
    bool is_bytes = strcmp(answer_text(allowance, "unit"), "bytes") == 0;
    enum limit_unit unit = is_bytes ? UNIT_BYTES : UNIT_MESSAGES; /* limits count KiB */
    size_t i;
    json_t *rate;
    if (json_array_size(rates) == 0)
        printf("no limit");
    json_array_foreach(rates, i, rate)
    {
        char count[32];
        long long period = answer_number(rate, "period"), n = answer_number(rate, "limit");
        limit_count_text(count, sizeof count, unit, (uint64_t)(is_bytes ? n / 1024 : n));
        printf("%s%s%s%s", i ? ", " : "", count, period ? "/" : "", period ? duration_text(period) : "");
    }
}

static void print_all(const json_t *array)
{
    size_t i;
    json_t *a;
    if (json_array_size(array) == 0)
        printf("nobody has rates of his own that somebody allowed\n");
    json_array_foreach(array, i, a)
    {
        const char *why = answer_text(a, "why");
        printf("%-40s %-24s ", answer_text(a, "key"), answer_text(a, "limit"));
        print_rates(a);
        printf(" for %s, until %s, by %s%s%s\n", duration_text(answer_number(a, "left")), answer_text(a, "until"),
               answer_text(a, "by"), *why ? ": " : "", why);
    }
}

static void print_one(const json_t *answer, const char *rate)
{
    const char *key = answer_text(answer, "key"), *limit = answer_text(answer, "limit");
    if (json_is_true(json_object_get(answer, "taken_back")))
        printf("%s is held to limit %s as everybody\n", key, limit);
    else
        printf("%s has %s at limit %s until %s\n", key,
               json_array_size(json_object_get(answer, "rates")) ? rate : "no limit", limit,
               answer_text(answer, "until"));
    control_print_notes(answer);
}

static json_t *question_of(const struct command_line *c)
{
    if (c->word_count == 0)
        return json_pack("{s:s}", "request", "allowances");
    return json_pack("{s:s, s:s, s:s, s:s, s:s*, s:s*, s:o*}", "request", "allow", "key", c->words[0], "limit",
                     c->words[1], "rate", c->words[2], "for", c->lasts, "why", c->why, "who", control_who());
}

int cli_allow(int argc, char **argv)
{
    static const char *const WORDS = "a key, a limit and a rate, such as alice@example.org user-recipients 5000/1h; "
                                     "without any it lists who was allowed what";
    struct command_line c;
    json_t *answer;
    int code;
    if (!command_line_read(&c, argc, argv, COMMAND_WHY | COMMAND_FOR, 0, 3, WORDS, &code))
        return code;
    if (c.word_count != 3 && (c.word_count || c.why || c.lasts))
        return cli_usage(c.command, "it needs %s", WORDS);
    code = control_ask_once(&c, question_of(&c), &answer);
    if (code != CLI_DONE)
        return code;
    if (c.json)
        code = control_print_json(answer);
    else if (c.word_count == 0)
        print_all(json_object_get(answer, "allowances"));
    else
        print_one(answer, c.words[2]);
    json_decref(answer);
    return code;
}
