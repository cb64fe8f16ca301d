/* store.c - `mailweir store audit [--repair]`: what the store of limits really holds. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/control_client.h"

static void print_memory(const json_t *m, bool was_repaired)
{
    printf("counts         %lld of %lld live; %lld made since the start, %lld given up for lack of room\n",
           answer_number(m, "live"), answer_number(m, "entries"), answer_number(m, "created"),
           answer_number(m, "evicted"));
    printf("values         %lld of %lld live; %lld given up for lack of room\n", answer_number(m, "values_live"),
           answer_number(m, "values"), answer_number(m, "values_evicted"));
    printf("locks          %lld taken over from processes that died, %lld not had in time\n",
           answer_number(m, "locks_recovered"), answer_number(m, "lock_timeouts"));
    printf("impossible     %lld%s\n", answer_number(m, "impossible"), was_repaired ? ", repaired" : "");
}

static int print_audit(const json_t *answer)
{
    printf("store          %s: %s\n", answer_text(answer, "kind"),
           json_is_true(json_object_get(answer, "clean")) ? "nothing is wrong" : "something is wrong");
    print_memory(json_object_get(answer, "memory"), json_is_true(json_object_get(answer, "repaired")));
    return CLI_DONE;
}

int cli_store(int argc, char **argv)
{
    struct command_line c;
    json_t *answer;
    int code;
    if (!command_line_read(&c, argc, argv, COMMAND_REPAIR, 1, 1, "the word audit", &code))
        return code;
    if (strcmp(c.words[0], "audit") != 0)
        return cli_usage("store", "there is nothing but audit, not \"%s\"", c.words[0]);
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "looking through all counts …\n");
    code = control_ask_once(&c, json_pack("{s:s, s:b}", "request", "audit", "repair", c.repairs), &answer);
    if (code != CLI_DONE)
        return code;
    bool is_clean = json_is_true(json_object_get(answer, "clean"));
    code = c.json ? control_print_json(answer) : print_audit(answer);
    json_decref(answer);
    return code == CLI_DONE && !is_clean ? CLI_NO : code;
}
