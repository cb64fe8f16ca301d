/* reset.c - `mailweir reset KEY [LIMIT]`: what was counted of somebody is forgotten. */
#include <stdio.h>

#include "cli/control_client.h"

static void print_forgotten(const json_t *answer)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(answer, "forgotten"), i, row)
        printf("%s: %s in %s of %s are forgotten\n", answer_text(row, "name"), answer_text(row, "unit"),
               duration_text(answer_number(row, "period")), answer_text(row, "key"));
    control_print_notes(answer);
}

int cli_reset(int argc, char **argv)
{
    struct command_line c;
    json_t *answer;
    int code;
    if (!command_line_read(&c, argc, argv, 0, 1, 2, "a key, and perhaps the name of a limit", &code))
        return code;
    code = control_ask_once(&c,
                            json_pack("{s:s, s:s, s:s*, s:o*}", "request", "reset", "key", c.words[0], "limit",
                                      c.words[1], "who", control_who()),
                            &answer);
    if (code != CLI_DONE)
        return code;
    if (c.json)
        code = control_print_json(answer);
    else
        print_forgotten(answer);
    json_decref(answer);
    return code;
}
