/*
 * login.c - AUTH (RFC 4954): the exchange, then rules, then the password, then rules again.
 *
 *   AUTH ─▶ sasl ─▶ 334 … ─▶ name and password ─▶ rules of auth ─▶ auth process ─▶ rules of login ─▶ 235
 *
 * Never in the clear but on a loopback listener with `tls off`. A wrong password and an unknown user are one text.
 * Whatever is our own trouble is 454, never 535: on a 535 mail programs forget the password.
 */
#include "session/session.h"

#include <stdlib.h>
#include <string.h>

enum { FAILURE_ARENA_MAX_BYTES = 65536 }; /* texts of limits */

struct login {
    struct smtp_sasl sasl;
    struct auth_check *check;
    int64_t began_us;
    struct policy_login policy;
    bool is_unavailable; /* the password could not be looked at */
    bool is_banned;      /* by this attempt */
    /* What limits of attempts have to say of a wrong password. */
    struct policy_case question;
    struct policy_answer answer;
    struct arena arena;
    bool is_asked;
};

bool session_offers_auth(const struct session *s)
{
    return s->worker->auth && s->listener->auth != LISTENER_AUTH_OFF;
}

bool session_may_login_here(const struct session *s)
{
    return session_offers_auth(s) && (conn_is_tls(&s->conn) || s->listener->tls == LISTENER_TLS_OFF);
}

bool session_needs_login(const struct session *s)
{
    return s->listener->auth == LISTENER_AUTH_REQUIRED && !s->user;
}

struct str login_name(const struct session *s)
{
    return s->login ? s->login->sasl.login : str_of_z(s->given_name);
}

void login_forget_user(struct session *s)
{
    free(s->user);
    free(s->given_name);
    s->user = s->given_name = NULL;
}

void login_question(const struct session *s, struct policy_case *question)
{
    question->login = &s->login->policy;
    question->password = s->login->sasl.password;
}

void login_free(struct session *s)
{
    if (!s->login)
        return;
    if (s->login->check)
        auth_cancel(s->worker->auth, &s->login->check);
    if (s->login->is_asked)
        policy_ask_cancel(&s->worker->policy, &s->login->question);
    arena_fini(&s->login->arena);
    policy_login_give_back(&s->worker->policy, &s->login->policy);
    smtp_sasl_fini(&s->login->sasl);
    free(s->login);
    s->login = NULL;
    if (s->state == SESSION_AUTH)
        session_enter(s, SESSION_COMMAND);
}

static void login_done(struct session *s)
{
    login_free(s);
    if (s->wait == WAIT_NOTHING)
        session_resume(s);
}

/* What was said before it was known who says it was not said by who is logged in now. True: somebody did, the session
 * ends. While nothing was waited for, nothing can have come. */
static bool spoke_too_early(struct session *s, struct str user)
{
    if ((s->flags & SESSION_IN_INPUT) || !conn_has_more_input(&s->conn))
        return false;
    session_event_auth(s, "ok", user, NULL);
    session_end(s, "spoke too early", REPLY_EARLY);
    return true;
}

static void login_go_on(struct session *s)
{
    if (spoke_too_early(s, str_of_z(s->user)))
        return;
    counter_add(s->worker->counters, COUNTER_AUTH_OK, 1);
    session_event_auth(s, "ok", str_of_z(s->user), NULL);
    session_say(s, REPLY_AUTH_OK);
    login_done(s);
}

static void login_refused(struct session *s, const struct policy_answer *answer)
{
    session_event_auth(s, "limited", str_of_z(s->user), answer);
    login_forget_user(s);
    if (session_refuse_by_policy(s, answer))
        return;
    session_count_junk(s, JUNK_COMMAND);
    login_done(s);
}

static void auth_refused(struct session *s, const struct policy_answer *answer)
{
    session_event_auth(s, "limited", s->login->sasl.login, answer);
    if (session_refuse_by_policy(s, answer))
        return;
    session_count_junk(s, JUNK_COMMAND);
    login_done(s);
}

static void say_failure(struct session *s)
{
    bool is_ours = s->login->is_unavailable, is_banned = s->login->is_banned;
    login_free(s);
    if (is_banned)
        session_end(s, "banned", REPLY_AUTH_FAILED);
    else if (is_ours)
        session_say(s, REPLY_AUTH_UNAVAILABLE);
    else
        session_refuse(s, REPLY_AUTH_FAILED);
}

static void fail(struct session *s)
{
    if (session_delay(s, say_failure))
        return;
    say_failure(s);
    if (s->wait == WAIT_NOTHING)
        session_resume(s);
}

static void failure_counted(struct session *s)
{
    const struct policy_answer *answer = &s->login->answer;
    session_take_effects(s, NULL, PHASE_AUTH, answer);
    for (const struct policy_effect *e = answer->effects; e; e = e->next)
        s->login->is_banned |= e->kind == POLICY_EFFECT_BAN;
    fail(s);
}

static void on_failure_counted(void *arg)
{
    struct session *s = arg;
    s->login->is_asked = false;
    s->wait = WAIT_NOTHING;
    failure_counted(s);
}

static void count_failure(struct session *s)
{
    struct login *login = s->login;
    int64_t deadline = loop_now_ms(s->worker->loop) + ASK_DEADLINE_MS;
    arena_init(&login->arena, FAILURE_ARENA_MAX_BYTES);
    session_question(s, &login->arena, &login->question);
    login_question(s, &login->question);
    login->is_asked = policy_login_failed_start(&s->worker->policy, &login->question, &login->answer, deadline,
                                                on_failure_counted, s) == STARTED;
    if (login->is_asked)
        session_await(s, WAIT_POLICY);
    else
        failure_counted(s);
}

static void login_failed(struct session *s, enum auth_result result)
{
    struct login *login = s->login;
    login->is_unavailable = result == AUTH_UNAVAILABLE || result == AUTH_OK; /* OK: there is no memory for it */
    counter_add(s->worker->counters, login->is_unavailable ? COUNTER_AUTH_UNAVAILABLE : COUNTER_AUTH_WRONG, 1);
    session_event_auth(s, login->is_unavailable ? "unavailable" : auth_result_name(result), login->sasl.login, NULL);
    if (login->is_unavailable)
        fail(s);
    else
        count_failure(s);
}

static bool take_user(struct session *s, struct str user)
{
    s->user = str_copy_z(user);
    s->given_name = str_copy_z(s->login->sasl.login);
    if (!s->user || !s->given_name) {
        login_forget_user(s);
        return false;
    }
    struct policy_case question = {0};
    session_question(s, &s->arena, &question);
    login_question(s, &question);
    policy_login_succeeded(&s->worker->policy, &question);
    return true;
}

static void on_checked(void *arg, const struct auth_answer *answer)
{
    struct session *s = arg;
    s->login->check = NULL;
    s->wait = WAIT_NOTHING;
    s->auth_us = (uint32_t)MIN_OF(loop_wall_us(s->worker->loop) - s->login->began_us, (int64_t)UINT32_MAX);
    if (answer->from_cache)
        counter_add(s->worker->counters, COUNTER_AUTH_CACHED, 1);
    if (answer->result == AUTH_OK && spoke_too_early(s, answer->user))
        return;
    if (answer->result == AUTH_OK && take_user(s, answer->user))
        session_ask(s, PHASE_LOGIN, login_go_on, login_refused);
    else
        login_failed(s, answer->result);
}

static void auth_go_on(struct session *s)
{
    struct login *login = s->login;
    const struct config *cfg = s->worker->config;
    unsigned prefix = s->client.family == ADDR_IPV4 ? cfg->ipv4_prefix : cfg->ipv6_prefix;
    struct auth_request request = {login->sasl.login, login->sasl.password, ip_net_of(&s->client, prefix)};
    struct auth_answer answer;
    int64_t deadline = loop_now_ms(s->worker->loop) + cfg->timeout.auth_ms;
    if (auth_check_start(s->worker->auth, &request, deadline, &answer, on_checked, s, &login->check) == DONE)
        on_checked(s, &answer);
    else
        session_await(s, WAIT_AUTH);
}

static void auth_advance(struct session *s, enum smtp_sasl_result result)
{
    switch (result) {
    case SMTP_SASL_CHALLENGE:
        session_enter(s, SESSION_AUTH); /* first: saying may end the session */
        session_say(s, REPLY_AUTH_CHALLENGE, s->login->sasl.challenge);
        return;
    case SMTP_SASL_READY:
        session_enter(s, SESSION_COMMAND);
        s->login->began_us = loop_wall_us(s->worker->loop);
        session_ask(s, PHASE_AUTH, auth_go_on, auth_refused);
        return;
    case SMTP_SASL_CANCELLED:
        login_free(s);
        session_refuse(s, REPLY_AUTH_CANCELLED);
        return;
    case SMTP_SASL_BAD:
        login_free(s);
        session_refuse(s, REPLY_AUTH_BAD_RESPONSE);
        return;
    case SMTP_SASL_REFUSED:
        counter_add(s->worker->counters, COUNTER_AUTH_WRONG, 1);
        session_event_auth(s, "wrong", STR_NONE, NULL);
        login_free(s);
        session_refuse(s, REPLY_AUTH_FAILED);
        return;
    case SMTP_SASL_NO_MEMORY:
        login_free(s);
        session_say(s, REPLY_AUTH_UNAVAILABLE);
        return;
    }
}

void auth_on_line(struct session *s, struct str line)
{
    auth_advance(s, smtp_sasl_feed(&s->login->sasl, line));
}

void auth_proceed(struct session *s, const struct smtp_command *command)
{
    struct smtp_auth auth;
    if (!session_offers_auth(s)) {
        session_refuse(s, REPLY_AUTH_NOT_OFFERED);
        return;
    }
    if (s->user) {
        session_refuse(s, REPLY_AUTH_TWICE);
        return;
    }
    if (!smtp_auth_parse(command->argument, &auth)) {
        session_refuse(s, REPLY_AUTH_SYNTAX);
        return;
    }
    const struct auth_mechanism *mechanism = auth_mechanism_find(auth.mechanism);
    if (!session_may_login_here(s) && (!mechanism || !auth_mechanism_may_be_used(mechanism, false))) {
        session_refuse(s, REPLY_AUTH_TLS_REQUIRED);
        return;
    }
    if (!mechanism) {
        session_refuse(s, REPLY_AUTH_UNKNOWN);
        return;
    }
    s->login = calloc(1, sizeof *s->login);
    if (!s->login) {
        session_say(s, REPLY_AUTH_UNAVAILABLE);
        return;
    }
    s->mechanism = smtp_sasl_mechanism_name(mechanism->sasl);
    smtp_sasl_init(&s->login->sasl, mechanism->sasl);
    auth_advance(s, smtp_sasl_start(&s->login->sasl, &auth));
}
