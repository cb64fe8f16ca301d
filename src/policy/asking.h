/*
 * asking.h - one question on its way through the phase: ask.c leads it, bans.c keeps out, act.c asks the rules,
 * admit.c, admit_login.c and admit_event.c the limits, actions.c does what either says.
 */
#ifndef POLICY_ASKING_H
#define POLICY_ASKING_H

#include "base/panic.h"
#include "policy/compiled.h"

struct charging; /* charges.h */

/* The order of a phase (GRAMMAR.md 4). What else is asked (to settle, to count) takes some of these steps. */
enum asking_step { STEP_FIRST, STEP_RULES, STEP_LIMITS, STEP_NETWORK, STEP_REFUSAL, STEP_OVER };

/* What the case's parts are in, while it is answered. It lies on the stack of who asks; where it has to wait it moves
 * to the heap, so nobody keeps its address: who is told of an answer finds it by the case. */
struct asking {
    struct policy_engine *engine;
    struct policy_case *question;
    struct policy_answer *answer;
    struct eval_context context;
    struct policy_effect **effects_end;
    enum phase phase;
    /* Goes as far as it can. False: it waits, and is called again when that is there. */
    bool (*go_on)(struct asking *a);
    /* Where it goes on after a wait. */
    enum asking_step step;
    size_t next_rule, next_action;
    bool is_acting; /* that rule holds, and has begun to act */
    /* What the limits' store was asked, until its answer was acted upon; NULL: nothing. */
    struct reservation *asked;
    void (*cancel)(struct asking *a); /* while the answer is awaited; else NULL */
    struct arena scratch;             /* of what is asked, unless the mail holds it */
    /* Of policy_count_event_start. */
    enum limit_unit unit;
    uint32_t events;
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
/* Goes on until it is answered or has to wait, as policy_ask_start. */
enum started asking_start(struct asking *a, bool (*go_on)(struct asking *a), int64_t deadline_ms, void (*cb)(void *arg),
                          void *arg);
/* What the limits' store was asked answered so. True: it is there. False: the question waits for asking_is_answered. */
MUST_USE bool asking_await(struct asking *a, enum started started, void (*cancel)(struct asking *a));
void asking_is_answered(struct policy_outside *outside);
/* All that was waited for is there: the question goes on. */
void asking_resume(struct asking *a);

/* ---- act.c ---- */

/* The rules of the phase, in order, up to the first that ends it. False: one waits; called again it goes on there. */
MUST_USE bool asking_rules(struct asking *a);

/* ---- actions.c ---- */

/* Who acts: a rule, or a threshold of a limit. */
struct actor {
    struct str by;
    bool is_limit;
    bool is_observed;  /* only says what it would do */
    struct str key;    /* of a limit: whose count it is, "user:alice@example.org" */
    struct str words;  /* of a limit: what a refusal says that has no text of its own */
    struct str logged; /* and what a log, an alert or `would` says */
};
/* WAITS: for the limit that it charges; asked again, it goes on. TROUBLE: the answer says so, nothing more is done. */
enum acted { ACTED, ACT_WAITS, ACT_TROUBLE };
/* Does what the action says, or notes what it would do: the only place that knows what actions do. What ends the phase
 * is then in the answer; a rule's `accept` is not. Of a threshold it never waits. */
enum acted asking_act(struct asking *a, const struct actor *actor, const struct policy_action *action);

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
/* Something was charged: what was said of counts holds no longer. */
void counts_forget(struct policy_outside *outside);

/* ---- networks.c ---- */

/* `client.known`: has the user of the case logged in from this network lately? As eval_outside.attribute. */
enum eval_result network_is_known(struct policy_outside *outside, struct fact *out);
/* A login: from now on it is known. False: it waits; called again it goes on. */
MUST_USE bool network_note(struct asking *a);

/* ---- outside.c ---- */

/* What conditions see of the outside. */
void outside_begin(struct asking *a);
/* Is all there that the conditions of this phase's limits need, and the texts of their actions? Then they can be asked
 * without waiting. False: no. The answer is a refusal if a limit could not be asked that must not be passed over. */
MUST_USE bool outside_is_ready_for_limits(struct asking *a);
/* The same of those that are to be asked of what happens; those that cannot be asked do not count it. */
MUST_USE bool outside_is_ready_for_events(struct asking *a, const struct charging *what);
/* The same of one limit: TRUE and FALSE are as good; WAIT, or FAILED. */
enum eval_result outside_ask_limit(struct asking *a, const struct policy_limit *l);
/* Begins a trip for everything that was wanted. True: all is there already. */
MUST_USE bool outside_look(struct asking *a);
/* The question is over. */
void outside_end(struct policy_case *question);
/* The answer: for now, because of what failed last. */
void outside_defer(struct asking *a, struct str by, bool is_limit);

/* ---- admit.c, admit_login.c, admit_event.c: the limits. False: it waits for their store; called again it goes on.
 * ----
 */

/* The connection's limits: settled at once, whatever the rules do then (GRAMMAR.md 4). */
MUST_USE bool asking_limits_of_connection(struct asking *a);
/* Those of a login attempt, before its password is looked at; held in the case's login. */
MUST_USE bool asking_limits_of_attempt(struct asking *a);
/* Those of a login that was right. */
MUST_USE bool asking_limits_of_login(struct asking *a);
/* At MAIL: is the count of what has happened (errors, refusals …) above what refuses? Then as at RCPT. */
MUST_USE bool asking_limits_at_mail(struct asking *a);
/* What is known to be full already is said at MAIL or RCPT; in a trial only at data. Never waits. */
MUST_USE bool asking_limits_early(struct asking *a);
/* All limits of data in one reservation, which the mail then holds. */
MUST_USE bool asking_limits_of_mail(struct asking *a);
/* `charge`: n on a limit of charges. Its thresholds act at once: then the answer is a refusal. */
MUST_USE bool asking_charge(struct asking *a, const struct policy_limit *limit, uint32_t n);
/* If the answer is a refusal, that is counted. A limit of refusals may make more of it. */
MUST_USE bool asking_count_refusal(struct asking *a);

#endif
