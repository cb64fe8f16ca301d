/*
 * admit_login.c - the limits of logins: attempts, before the password is looked at, and what a login is then seen to
 * come from.
 *
 *   auth:  policy_ask ─▶ attempt reserved ─▶ refused: what the threshold says, and nothing is held
 *                                        └▶ the password is checked ─▶ policy_login_failed: it stays, thresholds act
 *                                                                   └▶ _succeeded, _give_back: it cost nothing
 *   login: distinct networks and countries, kept at once; then the network is known for this user (networks.c)
 */
#include "policy/admit.h"

#include <stdlib.h>

#include "limits/attempt.h"

enum { ATTEMPT_MAX_BYTES = 256 << 10 };

/* ---- attempts ---- */

static void attempt_free(struct policy_login *login)
{
    if (!login->arena)
        return;
    arena_fini(login->arena);
    free(login->arena);
    *login = (struct policy_login){0};
}

static bool attempt_alloc(struct policy_login *login)
{
    login->arena = malloc(sizeof *login->arena);
    if (!login->arena)
        return false;
    arena_init(login->arena, ATTEMPT_MAX_BYTES);
    login->attempt = arena_alloc(login->arena, sizeof *login->attempt);
    return login->attempt != NULL;
}

/* Of an observed limit: what it would refuse is said before the password is looked at; all else that a threshold does
 * waits until it was wrong. */
static bool would_refuse(const struct passed *p)
{
    return p->observed && p->threshold->refusal != REFUSAL_NONE;
}

static void answer_attempt(struct asking *a)
{
    const struct reservation *r = &a->question->login->attempt->reservation;
    asking_trace_limits(a, r);
    if (r->verdict != VERDICT_RESERVED) {
        asking_passed(a, r);
        attempt_free(a->question->login);
        return;
    }
    for (size_t i = 0; i < r->passed_count; i++)
        if (would_refuse(&r->passed[i]) && !asking_act_passed(a, r, &r->passed[i]))
            return;
}

static void on_attempt(struct attempt *attempt, void *arg)
{
    (void)attempt;
    asking_is_answered(arg);
}

static void cancel_attempt(struct asking *a)
{
    attempt_cancel(a->question->login->attempt);
}

/* As asking_limits. */
static bool ask_for_attempt(struct asking *a)
{
    static const struct charging ATTEMPT = {.units = UNITS_OF_ATTEMPT};
    static const enum key USER = KEY_USER;
    struct policy_login *login = a->question->login;
    struct charges charges;
    policy_login_give_back(a->engine, login); /* of an attempt that nobody ended */
    struct str user = STR_NONE;
    bool ok = attempt_alloc(login) && charges_make(a, &ATTEMPT, login->arena, &charges) &&
              attempt_init(login->attempt, login->arena, charges.items, charges.count);
    if (ok)
        user = policy_entity(&USER, 1, &a->question->facts, PHASE_AUTH, login->arena);
    if (!ok || !user.ptr) {
        attempt_free(login);
        asking_trouble(a);
        return true;
    }
    if (charges.count == 0) {
        attempt_free(login);
        asking_trace_limits(a, NULL);
        return true;
    }
    a->asked = &login->attempt->reservation;
    return asking_await(a,
                        attempt_start(a->engine->limiter, login->attempt, user, a->question->password,
                                      a->question->now_us, a->engine->limiter->store->deadline_ms, on_attempt,
                                      &a->question->outside),
                        cancel_attempt);
}

bool asking_limits_of_attempt(struct asking *a)
{
    if (!(a->engine->policy->units & UNITS_OF_ATTEMPT))
        return true;
    PANIC_IF(!a->question->login, "a login attempt has no place for what its limits hold");
    if (!a->asked && !ask_for_attempt(a))
        return false;
    if (a->asked)
        answer_attempt(a);
    asking_limits_over(a);
    return true;
}

/* ---- after the password was looked at ---- */

/* Whatever trouble there was: the password was wrong, and that is said. */
static bool fail(struct asking *a)
{
    struct policy_login *login = a->question->login;
    const struct reservation *r = &login->attempt->reservation;
    if (!a->asked) {
        a->asked = &login->attempt->reservation;
        enum started started =
            attempt_failed_start(login->attempt, a->question->now_us, a->engine->limiter->store->deadline_ms,
                                 on_attempt, &a->question->outside);
        if (!asking_await(a, started, cancel_attempt))
            return false;
    }
    bool was_guess = !login->attempt->known.was_known;
    for (size_t i = 0; i < r->passed_count && a->answer->verdict == POLICY_GO_ON; i++) {
        const struct passed *p = &r->passed[i];
        if ((was_guess || p->limit->unit != UNIT_GUESSES) && !would_refuse(p) && !asking_act_passed(a, r, p))
            break;
    }
    a->answer->verdict = POLICY_GO_ON;
    attempt_free(login);
    asking_limits_over(a);
    return true;
}

enum started policy_login_failed_start(struct policy_engine *engine, struct policy_case *question,
                                       struct policy_answer *answer, int64_t deadline_ms, void (*cb)(void *arg),
                                       void *arg)
{
    struct asking a = asking_begin(engine, PHASE_AUTH, question, answer);
    if (!question->login || !question->login->arena)
        return DONE;
    if (asking_start(&a, fail, deadline_ms, cb, arg) == STARTED)
        return STARTED;
    answer->verdict = POLICY_GO_ON; /* without memory to wait, too */
    return DONE;
}

void policy_login_give_back(struct policy_engine *engine, struct policy_login *login)
{
    (void)engine;
    if (login->arena)
        attempt_give_back(login->attempt);
    attempt_free(login);
}

void policy_login_succeeded(struct policy_engine *engine, struct policy_case *question)
{
    if (question->login)
        policy_login_give_back(engine, question->login);
}

/* ---- logins ---- */

bool asking_limits_of_login(struct asking *a)
{
    static const struct charging LOGIN = {.units = UNITS_OF_LOGIN};
    if (!(a->engine->policy->units & UNITS_OF_LOGIN))
        return true;
    if (!asking_limits(a, &LOGIN, limiter_reserve_start, &a->question->outside.limits, &a->scratch))
        return false;
    if (asking_is_admitted(a))
        limiter_keep(a->engine->limiter, a->asked, a->question->now_us);
    asking_limits_over(a);
    return true;
}
