/* bans.c - `mailweir bans`: who is kept out, who ends first standing first. */
#include <stdio.h>

#include "cli/control_client.h"

static void print_bans(const json_t *array)
{
    size_t i;
    json_t *b;
    if (json_array_size(array) == 0)
        printf("nobody is banned\n");
    json_array_foreach(array, i, b)
    {
        const char *reason = answer_text(b, "reason");
        printf("%-40s %-9s left, until %s, by %s", answer_text(b, "key"), duration_text(answer_number(b, "left")),
               answer_text(b, "until"), answer_text(b, "by"));
        if (answer_number(b, "strikes") > 1)
            printf(", strike %lld", answer_number(b, "strikes"));
        printf("%s%s\n", *reason ? ": " : "", reason);
    }
}

int cli_bans(int argc, char **argv)
{
    struct command_line c;
    json_t *answer;
    int code;
    if (!command_line_read(&c, argc, argv, 0, 0, 0, "it takes no words", &code))
        return code;
    code = control_ask_once(&c, json_pack("{s:s}", "request", "bans"), &answer);
    if (code != CLI_DONE)
        return code;
    if (c.json)
        code = control_print_json(answer);
    else
        print_bans(json_object_get(answer, "bans"));
    json_decref(answer);
    return code;
}
