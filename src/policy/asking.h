/*
 * asking.h - one question on its way through the phase: ask.c leads it, bans.c keeps out, act.c asks the rules,
 * admit.c, admit_login.c and admit_event.c the limits, actions.c does what either says.
 */
#ifndef POLICY_ASKING_H
#define POLICY_ASKING_H

#include "base/panic.h"
#include "policy/compiled.h"

enum { STORE_DEADLINE_MS = 50 }; /* LIMITS.md, promise 4 */

/* The order of a phase (GRAMMAR.md 4). */
enum asking_step { STEP_FIRST, STEP_RULES, STEP_LIMITS, STEP_OVER };

/* What the case's parts are in, while it is answered. */
struct asking {
    struct policy_engine *engine;
    struct policy_case *question;
    struct policy_answer *answer;
    struct eval_context context;
    struct policy_effect **effects_end;
    enum phase phase;
    /* Where it goes on after a wait. */
    enum asking_step step;
    size_t next_rule;
    int64_t deadline_ms;
    void (*cb)(void *arg);
    void *arg;
};

/* ---- ask.c ---- */

struct asking asking_begin(struct policy_engine *engine, enum phase phase, struct policy_case *question,
                           struct policy_answer *answer);
/* Lack of memory is ours: for now, and by nobody's rule. */
void asking_trouble(struct asking *a);
/* In the case's arena; one that is too long is cut. ptr NULL: no memory. */
struct str asking_render(struct asking *a, const struct text_template *text);
/* Is to be written down: copied, but for its texts. What there is no memory for changes no verdict. */
void asking_note(struct asking *a, const struct policy_effect *effect);
/* The embedded store answers at once; a store that does not would need the case to wait here (policy_ask_start may
 * answer STARTED). */
static inline void asking_must_be_done(enum started started)
{
    PANIC_IF(started != DONE, "a store that is asked over the network, in a version without one");
}

/* All that was wanted outside is there: the question goes on where it waited. */
void asking_resume(struct asking *a);

/* ---- act.c ---- */

/* The rules of the phase, in order, up to the first that ends it. False: one waits; called again it goes on there. */
MUST_USE bool asking_rules(struct asking *a);

/* ---- actions.c ---- */

/* Who acts: a rule, or a threshold of a limit. */
struct actor {
    struct str by;
    bool is_limit;
    bool is_observed; /* only says what it would do */
    struct str key;   /* of a limit: whose count it is, "user:alice@example.org" */
    struct str words; /* of a limit: what a refusal, or a log, says that has no text of its own */
};
/* Does what the action says, or notes what it would do: the only place that knows what actions do. What ends the phase
 * is then in the answer; a rule's `accept` is not. False: trouble, which the answer says: nothing more is done. */
MUST_USE bool asking_act(struct asking *a, const struct actor *actor, const struct policy_action *action);

/* Score and tags as they are now: what is asked and said from here on sees them. A rule's own texts still see what was
 * before it (GRAMMAR.md 4: from the next rule on). */
void asking_show_marks(struct asking *a);

/* Whom an alert of the actor concerns: of a limit its key, of a rule the user, or who has not logged in, the client. */
struct str asking_key(struct asking *a, const struct actor *actor);

/* ---- bans.c ---- */

/* Those of GRAMMAR.md 4: at connect of client and network, at auth and login of the user. Banned: the answer says so.
 */
void asking_bans(struct asking *a);
/* Begins the ban that the action says, and notes it. The session ends, whether there is room for the ban or not. */
void asking_ban(struct asking *a, const struct actor *actor, const struct policy_action *action);
/* "u:alice@example.org" of the case, in its arena; at auth, the user is who was given. len 0: not known, or no memory.
 */
struct str asking_entity(struct asking *a, enum key key);

/* ---- count.c ---- */

/* used(L), or left(L): eval_outside.count. */
enum eval_result count_for(struct policy_outside *outside, unsigned limit, bool is_left, const struct facts *facts,
                           struct fact *out);

/* ---- outside.c ---- */

/* What conditions see of the outside. */
void outside_begin(struct asking *a);
/* Is all there that the conditions of this phase's limits need, and the texts of their actions? Then they can be asked
 * without waiting. False: no. The answer is a refusal if a limit could not be asked that must not be passed over. */
MUST_USE bool outside_is_ready_for_limits(struct asking *a);
/* The same of one limit: TRUE and FALSE are as good; WAIT, or FAILED. */
enum eval_result outside_ask_limit(struct asking *a, const struct policy_limit *l);
/* Begins a trip for everything that was wanted. True: all is there already. */
MUST_USE bool outside_look(struct asking *a);
/* The question is over. */
void outside_end(struct policy_case *question);
/* The answer: for now, because of what failed last. */
void outside_defer(struct asking *a, struct str by, bool is_limit);

/* ---- admit.c, admit_login.c, admit_event.c: the limits ---- */

/* The connection's limits: settled at once, whatever the rules do then (GRAMMAR.md 4). */
void asking_limits_of_connection(struct asking *a);
/* Those of a login attempt, before its password is looked at; held in the case's login. */
void asking_limits_of_attempt(struct asking *a);
/* Those of a login that was right. */
void asking_limits_of_login(struct asking *a);
/* `client.known`: has the user of the case logged in from this network lately? */
void asking_known(struct policy_outside *outside, struct fact *out);
/* At MAIL: is the count of what has happened (errors, refusals …) above what refuses? Then as at RCPT. */
void asking_limits_at_mail(struct asking *a);
/* What is known to be full already is said at MAIL or RCPT; in a trial only at data. */
void asking_limits_early(struct asking *a);
/* All limits of data in one reservation, which the mail then holds. */
void asking_limits_of_mail(struct asking *a);
/* `charge`: n on a limit of charges. Its thresholds act at once: then the answer is a refusal. */
void asking_charge(struct asking *a, const struct policy_limit *limit, uint32_t n);
/* The answer is a refusal: that is counted. A limit of refusals may make more of it. */
void asking_count_refusal(struct asking *a);

#endif
