/*
 * greedy.h - crowds of SMTP clients that want more than a limit allows, and write down exactly what they got.
 *
 *   greedy_options.c  what is asked for: crowds, and for how long
 *   greedy.c          the loop: sockets, pauses, the end; sums
 *   greedy_client.c   one client: greeting, EHLO, AUTH, then mail after mail, whatever is answered
 *
 * Where load.c ends at the first reply that is no success, these go on: a refused mail is tried again after a pause, a
 * connection that ends is made anew. A crowd is so many clients of one user at one server; several crowds run in one
 * process, on one clock, so that what different servers admitted can be compared.
 *
 * Each mail has a number of its own. It stands in ENVID (RFC 3461), where sink.c writes it down, and in the record,
 * whose lines are words divided by tabs; times are microseconds of the monotonic clock:
 *
 *   accepted  MAIL  CROWD  WHEN-250-WAS-READ  DATA-TOOK
 *   refused   MAIL  CROWD  WHEN  AT  DATA-TOOK  REPLY            the first REFUSALS_WRITTEN of each crowd
 *   unknown   MAIL  CROWD  WHEN                                 the dot was sent, and no reply came
 *   lost      MAIL  CROWD  WHEN  AT  REPLY                       the connection ended, or never was
 *   stuck     MAIL  CROWD  WHEN  AT                              no reply within REPLY_MAX_US
 *   sum       CROWD accepted=N refused=N unknown=N lost=N stuck=N
 */
#ifndef BENCH_GREEDY_H
#define BENCH_GREEDY_H

#include <netinet/in.h>
#include <stdio.h>

#include "base/str.h"

enum {
    CROWDS_MAX = 64,
    TEXT_MAX_BYTES = 512,
    REFUSALS_WRITTEN = 1000,
    REPLY_MAX_US = 30 * 1000000,
    CONNECT_PAUSE_MS = 50,   /* before a connection that ended is made anew */
    ENDING_US = 10 * 1000000 /* so long mails under way may take when time is up */
};

struct greedy_range {
    unsigned min_ms, max_ms;
};

struct greedy_crowd {
    const char *name;
    struct sockaddr_in server;
    unsigned client_count;
    const char *user, *password; /* NULL: no login */
    struct greedy_range after_accepted, after_refused;
    unsigned accepted, refused, unknown, lost, stuck;
};

struct greedy_options {
    struct greedy_crowd crowds[CROWDS_MAX];
    size_t crowd_count;
    unsigned seconds;
    uint64_t first_mail;
    const char *record;
};

enum greedy_step {
    STEP_AWAY, /* not connected, until due_us */
    STEP_GREETING,
    STEP_HELLO,
    STEP_LOGIN,
    STEP_RESTING, /* between two mails, until due_us */
    STEP_MAIL,
    STEP_RCPT,
    STEP_DATA,
    STEP_MESSAGE,
    STEP_RSET
};

struct greedy {
    struct greedy_options options;
    FILE *record;
    int poller;
    int64_t next_due_us; /* no client is due earlier */
    uint64_t next_mail, random;
    bool is_ending; /* no mail is begun any more */
};

struct greedy_client {
    struct greedy *greedy;
    struct greedy_crowd *crowd;
    enum greedy_step step;
    int fd;          /* -1: none */
    int64_t due_us;  /* away, resting: when it goes on; else: when it has waited too long */
    int64_t data_us; /* when DATA was sent; after its reply: how long that took */
    uint64_t mail;
    char line[TEXT_MAX_BYTES]; /* one that is not whole yet */
    size_t line_len;
};

/* Exits with a usage text where something is wrong. */
void greedy_options_read(struct greedy_options *o, int argc, char **argv);

/* Its time has come: connects, begins a mail, or has waited too long for a reply. */
void greedy_client_on_due(struct greedy_client *c, int64_t now_us);
/* Its socket has bytes, or is at its end. */
void greedy_client_on_socket(struct greedy_client *c);
/* Is a mail of its under way, of which nobody knows yet what becomes of it? */
bool greedy_client_is_busy(const struct greedy_client *c);
/* Time is over: what has no answer now is unknown. */
void greedy_client_end(struct greedy_client *c);

/* From min to max, both possible. */
unsigned greedy_random_ms(struct greedy *g, struct greedy_range range);
/* Says what went wrong, with errno, and exits. */
NORETURN void greedy_fail(const char *what);

#endif
