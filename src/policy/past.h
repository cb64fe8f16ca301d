/*
 * past.h - a mail, or a refused connection, as the event log tells of it (OPERATIONS.md "Events"), to be asked about
 * again: for `explain --event` and for replay.
 *
 *   {"time":…,"event":"mail","id":…,"client":…,"verdict":…} ─▶ past_read ─▶ past_set ─▶ a trial like it
 *
 * What the log does not say cannot be asked again: the message but for From and Message-ID, block lists, what limits
 * had counted.
 */
#ifndef POLICY_PAST_H
#define POLICY_PAST_H

#include "policy/trial.h"

enum { PAST_HEADERS_MAX = 2 };

enum past_kind { PAST_MAIL, PAST_CONNECT };

/* What a limit had counted by then. */
struct past_count {
    struct str name, key;
    uint64_t period_s, limit, used;
};

/* All texts lie in its arena. What the line does not say is empty, or 0. */
struct past {
    struct arena arena;
    enum past_kind kind;
    int64_t time_us;
    struct str id, listener, name, country, helo, user, sender, from, message_id;
    struct ip client;
    uint16_t port;
    bool is_tls, has_sender;
    struct str *rcpts;
    size_t rcpt_count;
    uint64_t accepted, refused; /* recipients */
    uint64_t size_bytes;
    struct past_count *counts;
    size_t count_count;
    struct trial_header headers[PAST_HEADERS_MAX];
    /* How it came out. */
    struct str verdict, enhanced, text, at, by;
    int code, relay_code;
};

enum past_result { PAST_READ, PAST_OTHER, PAST_WRONG };

/* Reads a line. OTHER: an event of another kind; only its id is there. WRONG: err says what is not as it should be. In
 * every case past_fini. */
enum past_result past_read(struct past *p, struct str line, struct err *err);
void past_fini(struct past *p);

/* Makes the trial's client and mail those of the past, at its time; what is borrowed lasts as long as p. The listener
 * is set if the trial's world has it. */
void past_set(struct past *p, struct trial *t);

#endif
