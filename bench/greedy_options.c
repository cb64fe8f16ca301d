/* greedy_options.c - the command line of the greedy crowds. */
#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "greedy.h"

static const char usage[] = "usage: greedy --record FILE --seconds N [--first-mail N] --crowd NAME:WORDS [--crowd …]\n"
                            "  WORDS, divided by commas:\n"
                            "    server=127.0.0.1:2587        needed\n"
                            "    clients=50                   1\n"
                            "    user=NAME, password=SECRET   no login\n"
                            "    accepted=0-0                 milliseconds between an accepted mail and the next one\n"
                            "    refused=10-30                between a refused mail and the next one\n";

NORETURN static void refuse(const char *why, struct str what)
{
    fprintf(stderr, "greedy: %s: " PRI_STR "\n%s", why, STR_ARG(what), usage);
    exit(2);
}

static uint64_t number(struct str text, uint64_t max)
{
    uint64_t value;
    if (!str_to_u64(text, max, &value))
        refuse("not a number, or too large", text);
    return value;
}

static const char *copy(struct str text)
{
    char *z = str_copy_z(text);
    if (!z)
        greedy_fail("memory");
    return z; /* as long as the program runs */
}

static struct sockaddr_in address(struct str text)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    char host[INET_ADDRSTRLEN];
    struct str port;

    str_copy_into(host, sizeof host, str_split(text, ':', &port));
    a.sin_port = htons((uint16_t)number(port, UINT16_MAX));
    if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
        refuse("not an address and a port", text);
    return a;
}

static struct greedy_range range(struct str text)
{
    struct str max;
    struct greedy_range r;

    r.min_ms = (unsigned)number(str_split(text, '-', &max), 3600 * 1000);
    r.max_ms = max.ptr ? (unsigned)number(max, 3600 * 1000) : r.min_ms;
    if (r.max_ms < r.min_ms)
        refuse("a range ends before it begins", text);
    return r;
}

static void crowd_set(struct greedy_crowd *crowd, struct str name, struct str value)
{
    if (str_equal(name, STR("server")))
        crowd->server = address(value);
    else if (str_equal(name, STR("clients")))
        crowd->client_count = (unsigned)number(value, 10000);
    else if (str_equal(name, STR("user")))
        crowd->user = copy(value);
    else if (str_equal(name, STR("password")))
        crowd->password = copy(value);
    else if (str_equal(name, STR("accepted")))
        crowd->after_accepted = range(value);
    else if (str_equal(name, STR("refused")))
        crowd->after_refused = range(value);
    else
        refuse("a crowd has no such word", name);
}

static void crowd_read(struct greedy_options *o, struct str text)
{
    struct str rest, value;

    if (o->crowd_count == CROWDS_MAX)
        refuse("too many crowds", text);
    struct greedy_crowd *crowd = &o->crowds[o->crowd_count++];
    *crowd = (struct greedy_crowd){.client_count = 1, .after_refused = {10, 30}};
    crowd->name = copy(str_split(text, ':', &rest));
    while (rest.len > 0) {
        struct str word = str_split(rest, ',', &rest), name = str_split(word, '=', &value);
        crowd_set(crowd, name, value);
    }
    if (crowd->server.sin_port == 0 || !crowd->user != !crowd->password)
        refuse("a crowd needs a server, and a user has a password", text);
}

void greedy_options_read(struct greedy_options *o, int argc, char **argv)
{
    static const struct option known[] = {{"crowd", required_argument, NULL, 'c'},
                                          {"seconds", required_argument, NULL, 's'},
                                          {"first-mail", required_argument, NULL, 'f'},
                                          {"record", required_argument, NULL, 'r'},
                                          {0}};
    int letter;

    *o = (struct greedy_options){.first_mail = 1};
    while ((letter = getopt_long(argc, argv, "", known, NULL)) != -1) {
        struct str value = str_of_z(optarg);
        if (letter == 'c')
            crowd_read(o, value);
        else if (letter == 's')
            o->seconds = (unsigned)number(value, 86400);
        else if (letter == 'f')
            o->first_mail = number(value, UINT64_MAX / 2);
        else if (letter == 'r')
            o->record = optarg;
        else
            refuse("that is not understood", str_of_z(argv[optind - 1]));
    }
    if (optind < argc || o->crowd_count == 0 || o->seconds == 0 || !o->record)
        refuse("a record, seconds and a crowd are needed", STR("nothing without a name"));
}
