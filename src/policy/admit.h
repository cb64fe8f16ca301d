/*
 * admit.h - what the files of the limits share: admit.c (connections and mails), admit_login.c (attempts and logins),
 * admit_event.c (what has happened), passed.c (what thresholds then do).
 */
#ifndef POLICY_ADMIT_H
#define POLICY_ADMIT_H

#include "policy/charges.h"

enum { SCRATCH_MAX_BYTES = 1 << 20 };

/* ---- passed.c ---- */

/* Does what the thresholds say that the reservation lists; then the answer is the refusal, if it is one. */
void asking_passed(struct asking *a, const struct reservation *r);
/* Of one of those: what it is its turn to do. False: trouble. */
MUST_USE bool asking_act_passed(struct asking *a, const struct reservation *r, const struct passed *p);

/* ---- admit.c ---- */

/* For the mail's event: every counter it is charged on, and how full that is now. */
void asking_note_counts(struct asking *a, const struct reservation *r);

/* Reserves, and answers what thresholds say. True: reserved, and the phase goes on. */
MUST_USE bool asking_reserve(struct asking *a, struct reservation *r, const struct charges *charges);
/* Tells who watches; r NULL: no limit of the phase applies. */
void asking_trace_limits(const struct asking *a, const struct reservation *r);

#endif
