/* limits.c - `mailweir limits KEY`: every counter of a user, an address, a domain; which limit it fills, and when there
 * is room again. */
#include <stdio.h>
#include <string.h>

#include "cli/control_client.h"
#include "limits/limit.h"

enum { AMOUNT_BYTES = 80 };

/* "12M of 10G in 1h", "3 of 20 at once". */
static void amount_text(const json_t *row, char *to, size_t size)
{
    static const char *const BYTES = "bytes";
    char used[32] = "?", limit[32];
    bool is_bytes = strcmp(answer_text(row, "unit"), BYTES) == 0;
    enum limit_unit unit = is_bytes ? UNIT_BYTES : UNIT_MESSAGES;
    long long scale = is_bytes ? 1024 : 1, period = answer_number(row, "period");
    if (json_is_integer(json_object_get(row, "used")))
        limit_count_text(used, sizeof used, unit, (uint64_t)(answer_number(row, "used") / scale));
    limit_count_text(limit, sizeof limit, unit, (uint64_t)(answer_number(row, "limit") / scale));
    snprintf(to, size, "%s of %s%s%s", used, limit, period ? " in " : " at once", period ? duration_text(period) : "");
}

static void print_when(const json_t *row)
{
    const json_t *frees = json_object_get(row, "frees_in");
    frees = json_is_integer(frees) ? frees : NULL;
    bool is_full = json_is_true(json_object_get(row, "full"));
    bool is_below = answer_number(row, "used") < answer_number(row, "limit");
    if (is_full)
        printf("%s%s", is_below ? "this node's share is used up" : "full", frees ? "; room for one more" : "");
    else if (frees)
        printf("less");
    else if (!json_is_integer(json_object_get(row, "used")) && json_is_integer(json_object_get(row, "limit")))
        printf("the store does not answer");
    if (frees)
        printf(" in %s", duration_text(json_integer_value(frees)));
    if (json_is_true(json_object_get(row, "observed")))
        printf(" (only observed)");
    if (strcmp(answer_text(row, "rate_of"), "table") == 0)
        printf(" (by the limit's table of overrides)");
    if (strcmp(answer_text(row, "rate_of"), "operator") == 0)
        printf(" (allowed by %s until %s%s%s)", answer_text(row, "by"), answer_text(row, "until"),
               *answer_text(row, "why") ? ": " : "", answer_text(row, "why"));
}

static void print_row(const json_t *row)
{
    char amount[AMOUNT_BYTES];
    printf("  %-24s ", answer_text(row, "name"));
    if (json_is_null(json_object_get(row, "limit"))) {
        printf("%s without limit ", answer_text(row, "unit"));
    } else {
        amount_text(row, amount, sizeof amount);
        printf("%-22s %-20s ", amount, answer_text(row, "unit"));
    }
    print_when(row);
    printf("\n");
}

/* By whom these counts are decided, where it is not by Redis; they are less than all of them then. */
static void print_alone(const json_t *rows)
{
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        long long nodes = answer_number(row, "share_of");
        const char *text = alone_text(answer_text(row, "store"), nodes);
        if (!*text)
            continue;
        printf("%s (failure %s", text, answer_text(row, "store"));
        if (nodes > 1)
            printf("; %lld nodes", nodes);
        printf(")\nthese are its own counts and what it last read of the others'; `mailweir status` says more\n");
        return;
    }
}

static void print_limits(const json_t *answer)
{
    const json_t *rows = json_object_get(answer, "limits"), *ban = json_object_get(answer, "ban");
    const char *key = "", *joint = answer_text(answer, "joint");
    size_t i;
    json_t *row;
    print_alone(rows);
    json_array_foreach(rows, i, row)
    {
        if (strcmp(key, answer_text(row, "key")) != 0)
            printf("%s\n", answer_text(row, "key"));
        key = answer_text(row, "key");
        print_row(row);
    }
    if (json_array_size(rows) == 0) {
        printf("no limit counts ");
        control_print_keys(answer);
        printf("\n");
    }
    control_print_notes(answer);
    if (*joint)
        printf("together with something else: %s (ask for KEY+KEY:VALUE+VALUE)\n", joint);
    if (json_is_object(ban))
        printf("%s is banned until %s, by %s%s%s\n", answer_text(ban, "key"), answer_text(ban, "until"),
               answer_text(ban, "by"), *answer_text(ban, "reason") ? ": " : "", answer_text(ban, "reason"));
}

int cli_limits(int argc, char **argv)
{
    struct command_line c;
    json_t *answer;
    int code;
    if (!command_line_read(&c, argc, argv, 0, 1, 1, "one key, such as user:alice@example.org", &code))
        return code;
    code = control_ask_once(&c, json_pack("{s:s, s:s}", "request", "limits", "key", c.words[0]), &answer);
    if (code != CLI_DONE)
        return code;
    if (c.json)
        code = control_print_json(answer);
    else
        print_limits(answer);
    json_decref(answer);
    return code;
}
