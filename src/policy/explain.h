/*
 * explain.h - one mail, told step by step: every rule and limit that is looked at, in order, with the values it saw,
 * then what decided and what the client would read (RULES.md "The tools beside it").
 *
 *     rcpt to b@example.net
 *       rule no-relay: reject 550 5.7.1 (authenticated false, rcpt.domain example.net)
 *     verdict: reject 550 at rcpt by rule no-relay
 *     reply:   550 5.7.1 Relaying denied
 *
 * It is a trial (trial.h) that is watched: what is told is what was asked, not a second opinion.
 */
#ifndef POLICY_EXPLAIN_H
#define POLICY_EXPLAIN_H

#include "policy/trial.h"

enum { EXPLAIN_MAX_BYTES = 16 << 20 };

enum explained { EXPLAIN_MAIL, EXPLAIN_CONNECTION };

/* Sends one mail as t->settings say, or only makes the connection for it, and appends what happened; the result is in
 * t->outcome. False: no memory, or the buffer is full. */
MUST_USE bool explain(struct trial *t, enum explained what, struct buf *to);

#endif
