/*
 * compiling.h - the steps from a checked tree to a policy: compile.c leads them, and compiles rules.
 *
 * What is made lies in the policy's program. False: the diagnostics say why.
 */
#ifndef POLICY_COMPILING_H
#define POLICY_COMPILING_H

#include "policy/compiled.h"

/* ---- compile_action.c ---- */

/* Of a rule: its name is what a reply says that has no text of its own, and codes that are left out are those of its
 * phase. Of a threshold (phase NULL): both are left open, for the limit that acts to fill in. False: no memory. */
MUST_USE bool compile_actions(struct policy *policy, const struct actions *from, struct str by, const enum phase *phase,
                              const struct policy_action **to);

/* ---- compile_limit.c ---- */

MUST_USE bool compile_limit(struct policy *policy, struct policy_limit *to, const struct limit_clause *from,
                            struct diagnostics *d);
/* Does who a limit of data counts for, and whether it applies, depend on nothing that comes after MAIL? */
bool limit_is_settled_at_mail(const struct policy_limit *l);

/* ---- compile_lookups.c ---- */

/* After all rules and limits: what they ask outside. */
MUST_USE bool compile_lookups(struct policy *policy, struct diagnostics *d);

#endif
