/* allow.c - `mailweir allow KEY LIMIT RATE [--for 2d] [--why TEXT]`: other rates for somebody, for a while. */
#include <stdio.h>

#include "cli/control_client.h"

int cli_allow(int argc, char **argv)
{
    struct command_line c;
    json_t *answer;
    int code;
    if (!command_line_read(&c, argc, argv, COMMAND_WHY | COMMAND_FOR, 3, 3,
                           "a key, a limit and a rate, such as alice@example.org user-recipients 5000/1h", &code))
        return code;
    code = control_ask_once(&c,
                            json_pack("{s:s, s:s, s:s, s:s, s:s*, s:s*, s:o*}", "request", "allow", "key", c.words[0],
                                      "limit", c.words[1], "rate", c.words[2], "for", c.lasts, "why", c.why, "who",
                                      control_who()),
                            &answer);
    if (code != CLI_DONE)
        return code;
    const char *key = answer_text(answer, "key"), *limit = answer_text(answer, "limit");
    if (c.json)
        code = control_print_json(answer);
    else if (json_is_true(json_object_get(answer, "taken_back")))
        printf("%s is held to limit %s as everybody\n", key, limit);
    else
        printf("%s has %s at limit %s until %s\n", key,
               json_array_size(json_object_get(answer, "rates")) ? c.words[2] : "no limit", limit,
               answer_text(answer, "until"));
    json_decref(answer);
    return code;
}
