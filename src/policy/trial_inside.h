/* trial_inside.h - what the parts of a trial know of each other. */
#ifndef POLICY_TRIAL_INSIDE_H
#define POLICY_TRIAL_INSIDE_H

#include "policy/trial.h"

/* ---- trial_session.c ---- */

/* A new connection. False: it was sent away. */
bool trial_enter(struct trial *t);
/* It greets. False: it was refused. */
bool trial_hello(struct trial *t);
/* It logs in as the user of the settings. False: it was refused. */
bool trial_login(struct trial *t);
/* A wrong password, on the connection that is open. True: it was looked at. */
bool trial_attempt(struct trial *t, struct str password);
/* Rules and limits are asked whether the password may be looked at; nobody can say whether it was right. */
bool trial_attempt_unknown(struct trial *t);
/* One mail, on the connection that is open or a new one. False: no memory. */
MUST_USE bool trial_mail(struct trial *t, const struct str *rcpts, size_t count);
/* One wrong password, on a new connection. */
void trial_guess(struct trial *t, struct str password);
/* A new mail or connection begins, with nothing of the one before. */
void trial_begin_one(struct trial *t);
/* Closes the connection at hand, if one is open. */
void trial_close(struct trial *t);

/* Who sends a mail now, after defaults: alice@example.org where alice logs in. ptr NULL: no memory. */
struct str trial_sender_as_set(const struct trial *t, struct arena *arena);

/* ---- trial_message.c ---- */

/* The header of the mail at hand, made when it is asked about first. NULL: no memory. */
struct header_facts *trial_header_facts(struct trial *t);

/* ---- trial_facts.c ---- */

/* What the rules may ask about it. */
void trial_facts(const struct trial *t, struct facts *facts);

#endif
