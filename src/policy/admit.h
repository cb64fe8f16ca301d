/*
 * admit.h - what the files of the limits share: admit.c (connections and mails), admit_login.c (attempts and logins),
 * admit_event.c (what has happened), passed.c (what thresholds then do).
 */
#ifndef POLICY_ADMIT_H
#define POLICY_ADMIT_H

#include "policy/charges.h"

/* ---- passed.c ---- */

/* Does what the thresholds say that the reservation lists; then the answer is the refusal, if it is one. */
void asking_passed(struct asking *a, const struct reservation *r);
/* Of one of those: what it is its turn to do. False: trouble. */
MUST_USE bool asking_act_passed(struct asking *a, const struct reservation *r, const struct passed *p);

/* ---- admit.c ---- */

/* For the mail's event: every counter it is charged on, and how full that is now. */
void asking_note_counts(struct asking *a, const struct reservation *r);

/* Asks the limits that it concerns (one of limiter.h's questions) into r, with all that it needs in the arena: both
 * must stay where they are. False: it waits. True: a->asked is the answer, or NULL: no limit applies, or there is
 * trouble. Asked again before asking_limits_over, it answers the same. */
MUST_USE bool asking_limits(struct asking *a, const struct charging *what, limiter_start *start, struct reservation *r,
                            struct arena *arena);
/* What was reserved: answers what thresholds say. True: it is, and the phase goes on. */
MUST_USE bool asking_is_admitted(struct asking *a);
/* The answer was acted upon. */
void asking_limits_over(struct asking *a);
/* To give up the wait for asking_limits. */
void asking_limits_cancel(struct asking *a);
/* limiter_cb, whose arg is the case's outside. */
void asking_on_limits(struct reservation *r, void *arg);
/* Tells who watches; r NULL: no limit of the phase applies. */
void asking_trace_limits(const struct asking *a, const struct reservation *r);

/* Who answered for a mail's limits, and how long that took: for its event. */
void asking_note_store(struct asking *a, const struct reservation *r);

#endif
