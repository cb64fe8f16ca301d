/* unban.c - `mailweir unban KEY`: ends a ban, and forgets how many there were before. */
#include <stdio.h>

#include "cli/control_client.h"

int cli_unban(int argc, char **argv)
{
    struct command_line c;
    json_t *answer;
    int code;
    if (!command_line_read(&c, argc, argv, 0, 1, 1, "one key, such as client:192.0.2.7", &code))
        return code;
    code = control_ask_once(
        &c, json_pack("{s:s, s:s, s:o*}", "request", "unban", "key", c.words[0], "who", control_who()), &answer);
    if (code != CLI_DONE)
        return code;
    if (c.json) {
        code = control_print_json(answer);
    } else {
        const char *still = answer_text(answer, "still_banned");
        printf("%s is not banned any more\n", answer_text(answer, "key"));
        if (*still)
            printf("but %s is: `mailweir unban %s` lets all in it in again\n", still, still);
        control_print_notes(answer);
    }
    json_decref(answer);
    return code;
}
