/* status.c - `mailweir status`: how the service is. */
#include <stdio.h>
#include <string.h>

#include "cli/control_client.h"

static void print_head(const json_t *a)
{
    const json_t *config = json_object_get(a, "config");
    printf("mailweir %s on %s: %s, up %s (pid %lld)\n", answer_text(a, "version"), answer_text(a, "node"),
           answer_text(a, "state"), duration_text(answer_number(a, "uptime")), answer_number(a, "pid"));
    printf("configuration  %s, in force since %s (generation %lld)\n", answer_text(config, "file"),
           answer_text(config, "loaded"), answer_number(config, "generation"));
}

static void print_numbers(const json_t *a)
{
    const json_t *c = json_object_get(a, "connections"), *m = json_object_get(a, "mails"),
                 *b = json_object_get(a, "bans");
    printf("connections    %lld open of %lld; %lld accepted, %lld refused, %lld replies delayed\n",
           answer_number(c, "open"), answer_number(c, "max"), answer_number(c, "accepted"), answer_number(c, "refused"),
           answer_number(c, "delayed"));
    printf("mails          %lld accepted, %lld rejected, %lld deferred, %lld aborted, %lld of unknown fate\n",
           answer_number(m, "accepted"), answer_number(m, "rejected"), answer_number(m, "deferred"),
           answer_number(m, "aborted"), answer_number(m, "unknown"));
    printf("bans           %lld in force\n", answer_number(b, "in_force"));
}

static void print_memory(const json_t *s)
{
    printf("store          %s, %s: room for %lld counts", answer_text(s, "kind"), answer_text(s, "state"),
           answer_number(s, "entries"));
    if (answer_number(s, "evicted"))
        printf("; %lld were given up for lack of room: raise `store memory { entries … }`",
               answer_number(s, "evicted"));
    printf("\n");
}

static void print_server(const json_t *s)
{
    const char *why = answer_text(s, "why");
    printf("redis          %s: %s", answer_text(s, "name"),
           !json_is_true(json_object_get(s, "up"))        ? "away"
           : json_is_true(json_object_get(s, "believed")) ? "ok"
                                                          : "settling: its counts are not believed yet");
    if (why[0])
        printf(" (%s)", why);
    if (answer_text(s, "version")[0])
        printf(", version %s, %lld MiB used", answer_text(s, "version"), answer_number(s, "memory") >> 20);
    printf("\n");
}

/* Of a Cluster a part may be away: then the others' counts are decided by them, as ever. */
static void print_part(const json_t *servers)
{
    size_t i, good = 0;
    json_t *s;
    json_array_foreach(servers, i, s) good +=
        json_is_true(json_object_get(s, "up")) && json_is_true(json_object_get(s, "believed"));
    if (good)
        printf("%-14s for counts that lie on %zu of %zu servers only; the others are ok:\n", "",
               json_array_size(servers) - good, json_array_size(servers));
}

static const char *what_to_do(const json_t *s)
{
    if (strcmp(answer_text(s, "state"), "away") == 0)
        return "what is to be mended stands below; when Redis answers, counts are put right by themselves";
    if (json_array_size(json_object_get(s, "warnings")))
        return "Redis answers, but the nodes have not told it all they admitted: mend what the warnings say";
    return "Redis answers again, but the nodes have not told it all they admitted: nothing is to be done";
}

/* What mails are decided by while Redis cannot be asked, and what is to be done. */
static void print_alone(const json_t *s)
{
    const char *decides = answer_text(s, "decides"), *since = answer_text(s, "since");
    print_part(json_object_get(s, "servers"));
    printf("%-14s %s (failure %s)%s%s\n", "", alone_text(decides, answer_number(s, "nodes")), decides,
           *since ? ", since " : "", since);
    printf("%-14s %s\n", "", what_to_do(s));
}

static void print_redis(const json_t *s)
{
    size_t i;
    json_t *item;
    printf("store          %s, %s: %lld node%s", answer_text(s, "kind"), answer_text(s, "state"),
           answer_number(s, "nodes"), answer_number(s, "nodes") == 1 ? "" : "s");
    if (answer_number(s, "missing"))
        printf(", %lld of them silent", answer_number(s, "missing"));
    if (answer_number(s, "due"))
        printf("; Redis is still to be told of %lld count%s", answer_number(s, "due"),
               answer_number(s, "due") == 1 ? "" : "s");
    if (answer_text(s, "why")[0])
        printf(" (%s)", answer_text(s, "why"));
    printf("\n");
    if (strcmp(answer_text(s, "state"), "ok") != 0)
        print_alone(s);
    json_array_foreach(json_object_get(s, "servers"), i, item) print_server(item);
    json_array_foreach(json_object_get(s, "warnings"), i, item)
        printf("warning        Redis at %s: %s\n", answer_text(item, "server"), answer_text(item, "text"));
}

static void print_store(const json_t *s)
{
    if (json_object_get(s, "servers"))
        print_redis(s);
    else
        print_memory(s);
}

static void print_endpoints(const json_t *array)
{
    size_t i;
    json_t *item;
    json_array_foreach(array, i, item) printf(" %s", json_string_value(item));
}

static void print_listeners(const json_t *array)
{
    size_t i;
    json_t *l;
    json_array_foreach(array, i, l)
    {
        printf("listener       %s (%s), tls %s, auth %s, relay %s:", answer_text(l, "name"), answer_text(l, "kind"),
               answer_text(l, "tls"), answer_text(l, "auth"), answer_text(l, "pool"));
        print_endpoints(json_object_get(l, "endpoints"));
        printf("\n");
    }
}

static void print_servers(const json_t *array)
{
    size_t i;
    json_t *s;
    json_array_foreach(array, i, s)
    {
        long long down = answer_number(s, "workers_down");
        printf("%s %s %s", i ? "," : "", answer_text(s, "endpoint"), answer_text(s, "state"));
        if (down && answer_number(s, "workers_up"))
            printf(" (down for %lld worker%s)", down, down == 1 ? "" : "s");
    }
}

static void print_pools(const json_t *array)
{
    size_t i;
    json_t *p;
    json_array_foreach(array, i, p)
    {
        printf("relay          %s:", answer_text(p, "name"));
        print_servers(json_object_get(p, "servers"));
        printf("\n");
    }
}

static void print_processes(const json_t *array)
{
    size_t i;
    json_t *p;
    json_array_foreach(array, i, p)
    {
        printf("process        %-12s pid %-7lld up %-7s restarts %lld", answer_text(p, "process"),
               answer_number(p, "pid"), duration_text(answer_number(p, "uptime")), answer_number(p, "restarts"));
        if (json_object_get(p, "connections"))
            printf(", connections %lld", answer_number(p, "connections"));
        if (json_is_true(json_object_get(p, "draining")))
            printf(", finishing (generation %lld)", answer_number(p, "generation"));
        printf("\n");
    }
}

int cli_status(int argc, char **argv)
{
    struct command_line c;
    json_t *answer;
    int code;
    if (!command_line_read(&c, argc, argv, 0, 0, 0, "it takes no words", &code))
        return code;
    code = control_ask_once(&c, json_pack("{s:s}", "request", "status"), &answer);
    if (code != CLI_DONE)
        return code;
    if (c.json) {
        code = control_print_json(answer);
    } else {
        print_head(answer);
        print_numbers(answer);
        print_store(json_object_get(answer, "store"));
        print_listeners(json_object_get(answer, "listeners"));
        print_pools(json_object_get(answer, "pools"));
        print_processes(json_object_get(answer, "processes"));
    }
    json_decref(answer);
    return code;
}
