/*
 * admit_login.c - the limits of logins: attempts, before the password is looked at, and what a login is then seen to
 * come from.
 *
 *   auth:  policy_ask ─▶ attempt reserved ─▶ refused: what the threshold says, and nothing is held
 *                                        └▶ the password is checked ─▶ policy_login_failed: it stays, thresholds act
 *                                                                   └▶ _succeeded, _give_back: it cost nothing
 *   login: distinct networks and countries, kept at once; then the network is known for this user (`client.known`)
 */
#include "policy/admit.h"

#include <stdlib.h>

#include "limits/attempt.h"
#include "limits/known.h"

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

void asking_limits_of_attempt(struct asking *a)
{
    static const struct charging ATTEMPT = {.units = UNITS_OF_ATTEMPT};
    static const enum key USER = KEY_USER;
    struct policy_login *login = a->question->login;
    struct charges charges;
    if (!(a->engine->policy->units & UNITS_OF_ATTEMPT))
        return;
    PANIC_IF(!login, "a login attempt has no place for what its limits hold");
    policy_login_give_back(a->engine, login); /* of an attempt that nobody ended */
    struct str user = STR_NONE;
    bool ok = attempt_alloc(login) && charges_make(a, &ATTEMPT, login->arena, &charges) &&
              attempt_init(login->attempt, login->arena, charges.items, charges.count);
    if (ok)
        user = policy_entity(&USER, 1, &a->question->facts, PHASE_AUTH, login->arena);
    if (!ok || !user.ptr) {
        attempt_free(login);
        asking_trouble(a);
    } else if (charges.count == 0) {
        attempt_free(login);
        asking_trace_limits(a, NULL);
    } else {
        asking_must_be_done(attempt_start(a->engine->limiter, login->attempt, user, a->question->password,
                                          a->question->now_us, STORE_DEADLINE_MS, NULL, NULL));
        answer_attempt(a);
    }
}

void policy_login_failed(struct policy_engine *engine, struct policy_case *question, struct policy_answer *answer)
{
    struct asking a = asking_begin(engine, PHASE_AUTH, question, answer);
    struct policy_login *login = question->login;
    if (!login || !login->arena)
        return;
    asking_must_be_done(attempt_failed_start(login->attempt, question->now_us, STORE_DEADLINE_MS, NULL, NULL));
    const struct reservation *r = &login->attempt->reservation;
    bool was_guess = !login->attempt->known.was_known;
    for (size_t i = 0; i < r->passed_count && answer->verdict == POLICY_GO_ON; i++) {
        const struct passed *p = &r->passed[i];
        if ((was_guess || p->limit->unit != UNIT_GUESSES) && !would_refuse(p) && !asking_act_passed(&a, r, p))
            break;
    }
    answer->verdict = POLICY_GO_ON; /* whatever trouble there was: the password was wrong, and that is said */
    attempt_free(login);
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

/* ---- where a user is known to come from ---- */

enum { KNOWN_MAX_BYTES = 4096 };

/* Whose network it is, as of that phase: the name that was given, or the login. False: not known, or no memory. */
static bool known_value(const struct policy_case *question, enum phase at, struct arena *arena, struct known_value *v)
{
    static const enum key USER = KEY_USER;
    char text[IP_TEXT_MAX + 4];
    struct fact network;
    question->facts.get(&question->facts, ATTRIBUTE_CLIENT_NETWORK, STR_NONE, &network);
    *v = (struct known_value){.what = KNOWN_NETWORKS, .keep_s = KNOWN_NETWORKS_S};
    v->entity = policy_entity(&USER, 1, &question->facts, at, arena);
    if (!v->entity.len || network.kind != FACT_NETWORK)
        return false;
    v->value = arena_copy(arena, ip_net_format(&network.network, text));
    return v->value.ptr != NULL;
}

/* An attempt asks anew; what it heard holds, for a login is known once it is noted. */
static void find_known(struct policy_engine *engine, struct policy_case *question)
{
    struct policy_connection *connection = question->connection;
    struct arena scratch;
    struct known_value value;
    struct known known = {0};
    arena_init(&scratch, KNOWN_MAX_BYTES);
    connection->has_known = known_value(question, PHASE_AUTH, &scratch, &value);
    if (connection->has_known)
        asking_must_be_done(
            known_ask_start(engine->limiter->store, &known, &value, question->now_us, STORE_DEADLINE_MS, NULL, NULL));
    connection->is_known = known.was_known;
    arena_fini(&scratch);
}

void asking_known(struct policy_outside *o, struct fact *out)
{
    struct policy_connection *connection = o->question->connection;
    if (!connection->has_known || o->phase == PHASE_AUTH)
        find_known(o->engine, o->question);
    *out = connection->has_known ? (struct fact){.kind = FACT_TRUTH, .truth = connection->is_known}
                                 : (struct fact){.kind = FACT_NONE};
}

/* Under both names: at the next attempt only the one that is given is known, and it may lack its realm. */
static void note_known(const struct asking *a)
{
    static const enum phase NAMES[] = {PHASE_AUTH, PHASE_LOGIN};
    struct arena scratch;
    struct known_value value;
    struct known known;
    if (!policy_uses(a->engine->policy, ATTRIBUTE_CLIENT_KNOWN))
        return;
    if (!a->question->connection->has_known)
        find_known(a->engine, a->question);
    arena_init(&scratch, KNOWN_MAX_BYTES);
    for (size_t i = 0; i < COUNT_OF(NAMES); i++)
        if (known_value(a->question, NAMES[i], &scratch, &value))
            asking_must_be_done(known_note_start(a->engine->limiter->store, &known, &value, a->question->now_us,
                                                 STORE_DEADLINE_MS, NULL, NULL));
    arena_fini(&scratch);
}

/* ---- logins ---- */

static void admit_login(struct asking *a)
{
    static const struct charging LOGIN = {.units = UNITS_OF_LOGIN};
    struct arena scratch;
    struct charges charges;
    struct reservation r;
    if (!(a->engine->policy->units & UNITS_OF_LOGIN))
        return;
    arena_init(&scratch, SCRATCH_MAX_BYTES);
    if (!charges_make(a, &LOGIN, &scratch, &charges) || !reservation_init(&r, &scratch, charges.items, charges.count))
        asking_trouble(a);
    else if (charges.count == 0)
        asking_trace_limits(a, NULL);
    else if (asking_reserve(a, &r, &charges))
        limiter_keep(a->engine->limiter, &r, a->question->now_us);
    arena_fini(&scratch);
}

void asking_limits_of_login(struct asking *a)
{
    admit_login(a);
    if (a->answer->verdict == POLICY_GO_ON)
        note_known(a);
}
