/*
 * past.h - a mail, or a refused connection, of which the event log tells (logged.h), to be asked about again: for
 * `explain --event`.
 *
 *   logged_read ─▶ struct logged ─▶ past_init ─▶ past_set ─▶ a trial like it
 *
 * What the log does not say cannot be asked again: the message but for From and Message-ID, block lists, what limits
 * had counted.
 */
#ifndef POLICY_PAST_H
#define POLICY_PAST_H

#include "policy/logged.h"
#include "policy/trial.h"

enum { PAST_HEADERS_MAX = 2 };

/* All of it may be shown: control characters are gone. */
struct past {
    struct logged *event;
    struct arena arena; /* of the lists */
    struct str *rcpts;  /* as far as the log names them */
    size_t rcpt_count;
    struct logged_limits limits;
    struct trial_header headers[PAST_HEADERS_MAX];
};

/* Takes the event. False: no memory. In both cases past_fini; of a past that is all zero, too. */
MUST_USE bool past_init(struct past *p, struct logged *event);
void past_fini(struct past *p);

/* Makes the trial's client and mail those of the past, at its time; what is borrowed lasts as long as p. The listener
 * is set if the trial's world has it. */
void past_set(struct past *p, struct trial *t);

#endif
