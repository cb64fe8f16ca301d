/*
 * replay.h - what happened, decided again under other rules (RULES.md "The tools beside it").
 *
 *   log lines, in the order of the log ─▶ replay_add ─▶ [ in the order of time ] ─▶ connection ─▶ trial ─▶ on_event
 *                                                                                  opened · login · mail · closed
 *
 * Each past connection is a trial (trial.h); all of them share their counts, and the clock is the log's. So it is the
 * engine of live mail that decides, and what it decides is what a server with these rules would have done that met the
 * same clients with all its counts at zero. What is taken for granted:
 *
 * - Clients do what they did. A mail that is refused now does not come again; one that was refused and passes now is
 *   taken by the MTA, which was not asked then. Mails that nobody's rule refused fare as they did: the MTA's no stays.
 * - A connection begins when its id says so, logs in when it did, and ends with its `close` event or, where the log has
 *   none, with its last event. Whom a rule disconnects in the middle connects again for its next mail; the mails of who
 *   is refused at connect are refused with it.
 * - A wrong password was never tried before; a login that a limit kept from being looked at was wrong, too.
 * - Of a mail that was refused before it named its recipients there is one, of whom nothing is known. Sizes that were
 *   announced were right.
 * - What the log does not hold is none: replay_notes.
 *
 * Events are held back until 64 MiB of later ones are read, so that a connection is opened in its turn although it is
 * heard of later only, and lines that are not quite in order do no harm. Nothing else grows with the length of the log.
 */
#ifndef POLICY_REPLAY_H
#define POLICY_REPLAY_H

#include "policy/logged.h"
#include "policy/trial.h"

enum {
    REPLAY_HELD_MAX_BYTES = 64 << 20,
    REPLAY_OPEN_MAX = 65536, /* connections at once: of more, who was silent for longest is taken for closed */
    REPLAY_STORE_ENTRIES = 1 << 18,
    REPLAY_BANS = 16384, /* at most, and no more than counts */
};

enum replay_fate {
    REPLAY_PASSED,  /* the mail was taken, the login let through, the connection let in */
    REPLAY_REFUSED, /* by a rule, a limit, or a milter */
    REPLAY_LEFT,    /* nobody of these refused it, and it did not pass: as it was */
    REPLAY_GIVEN_UP /* by the client: nothing came of it, and nothing would */
};

struct replay_outcome {
    enum replay_fate fate;
    struct trial_refusal refusal; /* REFUSED */
    size_t accepted;              /* recipients of a mail that passed */
};

struct replay_options {
    const struct trial_world *world;
    size_t store_entries; /* room for so many counts; 0: REPLAY_STORE_ENTRIES */
    int64_t longest_us;   /* of a connection: one that is silent for longer is over */
    /* Of local time, at that moment; NULL: UTC. */
    int64_t (*utc_offset_s)(int64_t time_s);
    /* Every mail, login and refused connection, and the end of each that is refused only now; in the order of time.
     * Both are borrowed until it returns. */
    void (*on_event)(void *arg, const struct logged *past, const struct replay_outcome *outcome);
    void *arg;
};

struct replay;

/* NULL: no memory. */
struct replay *replay_new(const struct replay_options *options);
/* What is held is given up. NULL is fine. */
void replay_free(struct replay **replay);

/* Takes it over. False: no memory; the event is lost. */
MUST_USE bool replay_add(struct replay *r, struct logged *past);
/* There are no more. False: no memory. */
MUST_USE bool replay_end(struct replay *r);

/* Counts that were thrown away for lack of room: should be 0. */
uint64_t replay_lost_counts(const struct replay *r);

/* ---- what a policy makes of a log (replay_notes.c) ---- */

/* The longest period that a limit counts over; 0: there is none. */
uint32_t replay_longest_period_s(const struct policy *policy);
bool replay_is_limit(const struct policy *policy, struct str name);
/* What these rules look at and a log does not hold, a sentence each. */
void replay_notes(const struct policy *policy, void (*note)(void *arg, const char *text), void *arg);

#endif
