/* load_options.c - the command line of the load generator. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "load.h"

static const char usage[] =
    "usage: load --port PORT [option…]\n"
    "  --mode persistent|single|idle   mails after one another on a connection; a connection a mail; none at all "
    "(persistent)\n"
    "  --connections N                 at the same time (50)\n"
    "  --mails N                       in all (10000)\n"
    "  --rate N                        so many mails a second, each at its own moment; else one after another\n"
    "  --size BYTES                    of a message (5120)\n"
    "  --users N                       the N-th connection logs in as userN@example.org, modulo (20)\n"
    "  --password TEXT                 of all of them (secret)\n"
    "  --no-login                      sends no AUTH\n"
    "  --tls                           TLS from the first byte\n"
    "  --resume                        with the session of an earlier connection\n"
    "  --sources N                     from 127.0.0.1, 127.0.0.2 … in turn (1)\n"
    "  --seconds N                     the longest it may take (300)\n"
    "Prints the mails sent, the seconds taken, and what half and 99 of 100 mails took at most. Mode idle prints "
    "\"ready\" when all connections have said EHLO and "
    "keeps\n"
    "them until its standard input ends.\n";

enum {
    OPT_MODE = 1,
    OPT_CONNECTIONS,
    OPT_MAILS,
    OPT_SIZE,
    OPT_USERS,
    OPT_PASSWORD,
    OPT_NO_LOGIN,
    OPT_TLS,
    OPT_RESUME,
    OPT_SOURCES,
    OPT_SECONDS,
    OPT_RATE,
    OPT_PORT
};

static const struct option options_known[] = {
    {"port", required_argument, NULL, OPT_PORT},
    {"mode", required_argument, NULL, OPT_MODE},
    {"connections", required_argument, NULL, OPT_CONNECTIONS},
    {"mails", required_argument, NULL, OPT_MAILS},
    {"rate", required_argument, NULL, OPT_RATE},
    {"size", required_argument, NULL, OPT_SIZE},
    {"users", required_argument, NULL, OPT_USERS},
    {"password", required_argument, NULL, OPT_PASSWORD},
    {"no-login", no_argument, NULL, OPT_NO_LOGIN},
    {"tls", no_argument, NULL, OPT_TLS},
    {"resume", no_argument, NULL, OPT_RESUME},
    {"sources", required_argument, NULL, OPT_SOURCES},
    {"seconds", required_argument, NULL, OPT_SECONDS},
    {0},
};

NORETURN static void refuse(const char *why)
{
    fprintf(stderr, "load: %s\n%s", why, usage);
    exit(2);
}

static unsigned number(const char *text, unsigned max)
{
    uint64_t value;
    if (!str_to_u64(str_of_z(text), max, &value) || value == 0)
        refuse("a number is missing, zero or too large");
    return (unsigned)value;
}

static enum load_mode mode_of(const char *text)
{
    static const char *const names[] = {
        [MODE_PERSISTENT] = "persistent", [MODE_SINGLE] = "single", [MODE_IDLE] = "idle"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (str_equal(str_of_z(names[i]), str_of_z(text)))
            return (enum load_mode)i;
    refuse("there is no such mode");
}

void load_options_read(struct load_options *o, int argc, char **argv)
{
    int letter;

    *o = (struct load_options){.connections = 50,
                               .mails = 10000,
                               .size_bytes = 5120,
                               .users = 20,
                               .sources = 1,
                               .seconds = 300,
                               .has_login = true,
                               .password = "secret"};
    while ((letter = getopt_long(argc, argv, "", options_known, NULL)) != -1) {
        switch (letter) {
        case OPT_PORT:
            o->port = number(optarg, UINT16_MAX);
            break;
        case OPT_MODE:
            o->mode = mode_of(optarg);
            break;
        case OPT_CONNECTIONS:
            o->connections = number(optarg, 1000000);
            break;
        case OPT_MAILS:
            o->mails = number(optarg, 100000000);
            break;
        case OPT_RATE:
            o->rate = number(optarg, 1000000);
            break;
        case OPT_SIZE:
            o->size_bytes = number(optarg, 1 << 30);
            break;
        case OPT_USERS:
            o->users = number(optarg, 100000);
            break;
        case OPT_PASSWORD:
            o->password = optarg;
            break;
        case OPT_NO_LOGIN:
            o->has_login = false;
            break;
        case OPT_TLS:
            o->is_tls = true;
            break;
        case OPT_RESUME:
            o->resumes = true;
            break;
        case OPT_SOURCES:
            o->sources = number(optarg, 250);
            break;
        case OPT_SECONDS:
            o->seconds = number(optarg, 86400);
            break;
        default:
            refuse("that is not understood");
        }
    }
    if (optind < argc || o->port == 0)
        refuse("--port is needed, and words without a name are not");
    if (o->rate && o->mode != MODE_PERSISTENT)
        refuse("--rate goes with mode persistent");
    if (o->mode == MODE_PERSISTENT && o->mails < o->connections)
        o->connections = o->mails;
}
