/* reload.c - `mailweir reload`: the configuration is checked, and if it is right, the service goes on with it. */
#include <stdio.h>
#include <unistd.h>

#include "cli/control_client.h"

int cli_reload(int argc, char **argv)
{
    struct command_line c;
    json_t *answer;
    int code;
    if (!command_line_read(&c, argc, argv, 0, 0, 0, "it takes no words", &code))
        return code;
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "checking and starting anew …\n");
    code = control_ask_once(&c, json_pack("{s:s}", "request", "reload"), &answer);
    if (code != CLI_DONE)
        return code;
    if (c.json) {
        code = control_print_json(answer);
    } else {
        fputs(answer_text(answer, "report"), stderr); /* its warnings */
        printf("the new configuration is in force (generation %lld)\n", answer_number(answer, "generation"));
    }
    json_decref(answer);
    return code;
}
