/* replay.h - the parts of `mailweir replay`: replay.c reads the command line and the logs, replay_tally.c counts what
 * changes, replay_print.c tells it. Inside cli/ only. */
#ifndef CLI_REPLAY_H
#define CLI_REPLAY_H

#include "base/map.h"
#include "policy/replay.h"

enum {
    REPLAY_LIST_DEFAULT = 20,
    REPLAY_LIST_MAX = 1000000,
    REPLAY_USERS_SHOWN = 20,
    REPLAY_NAMES_MAX = 1000000, /* users, or rules, that are told apart; the rest is summed up as "(others)" */
};

/* Of a mail, a login or a connection: what it was and what it is. */
enum tally_change {
    TALLY_SAME,
    TALLY_NEWLY_REFUSED,
    TALLY_NEWLY_ACCEPTED,
    TALLY_STILL_REFUSED, /* by a rule, limit or milter, whoever did then */
    TALLY_CHANGES
};

/* Of one user, or one rule, limit or milter. */
struct tally_row {
    struct str name; /* behind it */
    uint64_t mails[TALLY_CHANGES], logins[TALLY_CHANGES], connections[TALLY_CHANGES];
};

struct tally_rows {
    struct map by_name;
    struct tally_row **items;
    size_t count, cap;
};

/* A mail that fares differently. All texts lie in the tally's arena. */
struct tally_mail {
    enum tally_change change; /* SAME: but for other recipients */
    int64_t time_us;
    struct str id, user, sender;
    uint64_t recipients, accepted_then, accepted_now;
    struct {
        const char *verdict;
        int code;
        struct str enhanced, text, at, by;
    } then, now;
};

struct tally {
    int64_t first_us, last_us; /* of all events; 0: there was none */
    uint64_t mails, logins, connections;
    uint64_t then_accepted, now_accepted; /* mails */
    uint64_t then_recipients, now_recipients;
    uint64_t changes[TALLY_CHANGES]; /* of mails */
    uint64_t login_changes[TALLY_CHANGES], connection_changes[TALLY_CHANGES];
    uint64_t fewer, more; /* mails that go to fewer recipients, to more of them */
    uint64_t left;        /* refused by nobody's rule: by the server behind, or by ours for reasons of its own */
    uint64_t given_up;    /* by their clients */
    struct tally_rows by, users;
    struct tally_mail *list;
    size_t list_count, list_max;
    uint64_t changed; /* mails that would be in the list if it had no end */
    struct arena arena;
    bool is_incomplete; /* there was no memory for all of it */
};

/* False: no memory. */
MUST_USE bool tally_init(struct tally *t, size_t list_max);
void tally_fini(struct tally *t);
/* replay_options.on_event; arg: the tally. */
void tally_on_event(void *arg, const struct logged *past, const struct replay_outcome *outcome);
/* Most changes first. */
void tally_sort(struct tally_rows *rows);
uint64_t tally_row_changes(const struct tally_row *row);

/* What there is to tell. */
struct replay_report {
    struct tally *tally;
    const struct policy *policy;
    const char *rules; /* the file */
    uint64_t lines, wrong_lines, lost_counts;
    bool shows_all_users;
};
void replay_print(const struct replay_report *report);
/* False: no answer can be made. */
MUST_USE bool replay_print_json(const struct replay_report *report);

#endif
