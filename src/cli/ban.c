/* ban.c - `mailweir ban KEY DURATION [--why TEXT]`: keeps somebody out from now on. */
#include <stdio.h>

#include "cli/control_client.h"

int cli_ban(int argc, char **argv)
{
    struct command_line c;
    json_t *answer;
    int code;
    if (!command_line_read(&c, argc, argv, COMMAND_WHY, 2, 2, "a key and a duration, such as 192.0.2.7 2h", &code))
        return code;
    code = control_ask_once(&c,
                            json_pack("{s:s, s:s, s:s, s:s*, s:o*}", "request", "ban", "key", c.words[0], "duration",
                                      c.words[1], "why", c.why, "who", control_who()),
                            &answer);
    if (code != CLI_DONE)
        return code;
    const json_t *ban = json_object_get(answer, "ban");
    if (c.json) {
        code = control_print_json(answer);
    } else {
        printf("%s is banned%s until %s\n", answer_text(ban, "key"),
               json_is_true(json_object_get(answer, "was_longer")) ? ", already," : "", answer_text(ban, "until"));
        control_print_notes(answer);
    }
    json_decref(answer);
    return code;
}
