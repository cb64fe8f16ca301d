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

static void print_kinds(json_t *kinds)
{
    const char *name;
    json_t *kind;
    json_object_foreach(kinds, name, kind)
    {
        if (answer_number(kind, "keys"))
            printf("%-14s %lld key%s, %lld KiB\n", name, answer_number(kind, "keys"),
                   answer_number(kind, "keys") == 1 ? "" : "s", (answer_number(kind, "bytes") + 1023) / 1024);
    }
}

static void print_finding(const json_t *f)
{
    const char *key = answer_text(f, "key");
    printf("%-14s %s: %s%s\n", answer_text(f, "severity"), key[0] ? key : answer_text(f, "server"),
           answer_text(f, "what"), json_is_true(json_object_get(f, "repaired")) ? " (repaired)" : "");
    if (answer_text(f, "to_do")[0] && !json_is_true(json_object_get(f, "repaired")))
        printf("%-14s %s\n", "", answer_text(f, "to_do"));
}

static void print_redis(const json_t *answer)
{
    size_t i;
    json_t *item;
    print_kinds(json_object_get(answer, "kinds"));
    json_array_foreach(json_object_get(answer, "findings"), i, item) print_finding(item);
    if (answer_number(answer, "unlisted"))
        printf("and %lld more\n", answer_number(answer, "unlisted"));
    if (answer_text(answer, "why")[0])
        printf("not all was looked at: %s\n", answer_text(answer, "why"));
}

static int print_audit(const json_t *answer)
{
    const json_t *memory = json_object_get(answer, "memory");
    bool is_whole = !answer_text(answer, "why")[0];
    printf("store          %s: %s\n", answer_text(answer, "kind"),
           json_is_true(json_object_get(answer, "clean"))                       ? "nothing is wrong"
           : !is_whole && !json_array_size(json_object_get(answer, "findings")) ? "could not be looked through"
                                                                                : "something is wrong");
    if (memory)
        print_memory(memory, json_is_true(json_object_get(answer, "repaired")));
    else
        print_redis(answer);
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
