/*
 * trial_session.c - one made-up connection, from phase to phase. See trial.h.
 *
 * Each question is answered as a live one is: by policy_ask_start, with the mail's arena, tags and reservation where a
 * session keeps them. Only who asks is another.
 */
#include "policy/trial_inside.h"

#include <string.h>

#include "base/panic.h"

/* ---- what came of a question ---- */

/* The first refusal is the verdict (GRAMMAR.md 5). */
static void note_refusal(struct trial *t, enum phase at, const struct policy_answer *answer, enum trial_by by_what)
{
    struct trial_result *r = &t->outcome.last;
    t->refusal = (struct trial_refusal){.verdict = answer->verdict,
                                        .at = at,
                                        .code = answer->code,
                                        .text = answer->text,
                                        .by = answer->by,
                                        .by_what = by_what};
    memcpy(t->refusal.enhanced, answer->enhanced, sizeof t->refusal.enhanced);
    if (r->verdict != POLICY_GO_ON)
        return;
    r->verdict = answer->verdict;
    r->at = at;
    r->code = answer->code;
    memcpy(r->enhanced, answer->enhanced, sizeof r->enhanced);
    r->text_len = str_copy_into(r->text, sizeof r->text, answer->text).len;
    r->by = answer->by;
    r->by_what = by_what;
}

/* What is of the connection lasts as long as that; then its texts must, too. What there is no memory for is left out.
 */
static void keep_effect(struct trial *t, enum phase phase, const struct policy_effect *effect)
{
    bool is_of_mail = phase >= PHASE_MAIL;
    struct policy_effect *e = arena_alloc(is_of_mail ? &t->arena : &t->effect_arena, sizeof *e);
    if (!e)
        return;
    *e = *effect;
    e->next = NULL;
    e->phase = phase;
    if (!is_of_mail) {
        e->text = arena_copy(&t->effect_arena, effect->text);
        e->key = arena_copy(&t->effect_arena, effect->key);
    }
    *t->effects_end = e;
    t->effects_end = &e->next;
    if (!is_of_mail)
        t->connection_effects_end = t->effects_end;
}

static void keep(struct trial *t, enum phase phase, const struct policy_answer *answer)
{
    uint32_t *tarpit_ms = phase >= PHASE_MAIL ? &t->mail_tarpit_ms : &t->connection_tarpit_ms;
    for (const struct policy_effect *e = answer->effects; e; e = e->next)
        keep_effect(t, phase, e);
    *tarpit_ms += MIN_OF(answer->tarpit_ms, UINT32_MAX - *tarpit_ms);
}

/* ---- one question ---- */

/* The store is a trial's own, and so is what is said of the outside: all is at hand. Deadline and callback are for who
 * waits. */
static void be_done(enum started started)
{
    PANIC_IF(started != DONE, "a trial would have to wait");
}

static struct policy_case question_at(struct trial *t, enum phase phase)
{
    struct policy_case q = {.arena = &t->arena,
                            .connection_arena = &t->connection_arena,
                            .connection = &t->connection,
                            .now_us = t->now_us,
                            .is_never_early = !t->settings.is_early};
    trial_facts(t, &q.facts);
    if (phase == PHASE_AUTH || phase == PHASE_LOGIN) {
        q.login = &t->login;
        q.password = t->password;
    }
    if (phase >= PHASE_MAIL) {
        q.mail = &t->mail_state;
        q.recipient_count = t->asked_count;
        q.size_bytes = t->settings.size_bytes;
    }
    return q;
}

void trial_close(struct trial *t)
{
    if (t->is_connected)
        policy_connection_end(&t->engine, &t->connection);
    t->is_connected = false;
}

static void refuse(struct trial *t, enum phase phase, const struct policy_answer *answer)
{
    note_refusal(t, phase, answer, answer->by_limit ? TRIAL_BY_LIMIT : TRIAL_BY_RULE);
    if (phase == PHASE_CONNECT || answer->verdict == POLICY_DISCONNECT || answer->verdict == POLICY_DROP ||
        answer->verdict == POLICY_BAN)
        trial_close(t);
}

/* True: it goes on. Whoever is sent away has no connection afterwards. */
static bool ask(struct trial *t, enum phase phase)
{
    struct policy_case q = question_at(t, phase);
    struct policy_answer answer;
    be_done(policy_ask_start(&t->engine, phase, &q, &answer, 0, NULL, NULL));
    keep(t, phase, &answer);
    if (answer.verdict == POLICY_GO_ON)
        return true;
    refuse(t, phase, &answer);
    return false;
}

/* As a session, that need not stop where nobody asks. */
static bool ask_if_ruled(struct trial *t, enum phase phase)
{
    return !policy_has_rules(t->engine.policy, phase) || ask(t, phase);
}

/* ---- up to the login ---- */

void trial_begin_one(struct trial *t)
{
    arena_fini(&t->arena);
    t->mail = NULL;
    t->mail_state = (struct policy_mail){0};
    t->mail_tarpit_ms = 0;
    t->header = NULL;
    t->was_taken = t->is_message = t->has_result = false;
    t->effects_end = t->connection_effects_end;
    *t->effects_end = NULL;
    t->outcome.last = (struct trial_result){.verdict = POLICY_GO_ON};
    t->refusal = (struct trial_refusal){.verdict = POLICY_GO_ON};
}

bool trial_enter(struct trial *t)
{
    arena_fini(&t->connection_arena);
    arena_fini(&t->effect_arena);
    t->effects = NULL;
    t->effects_end = t->connection_effects_end = &t->effects;
    t->connection_tarpit_ms = 0;
    t->connection = (struct policy_connection){0};
    t->is_connected = true;
    t->said_hello = t->is_logged_in = t->gave_login = false;
    t->messages = t->commands = 0;
    t->opened_us = t->now_us;
    return ask(t, PHASE_CONNECT);
}

bool trial_hello(struct trial *t)
{
    t->commands++;
    t->said_hello = true; /* its name is a fact while it is asked about */
    if (!ask(t, PHASE_HELO))
        t->said_hello = false;
    return t->said_hello;
}

/* Rules and limits let the attempt pass. */
static bool may_log_in(struct trial *t, struct str password)
{
    t->commands++;
    t->gave_login = true;
    t->password = password;
    return ask(t, PHASE_AUTH);
}

bool trial_login(struct trial *t)
{
    if (!may_log_in(t, STR("right")))
        return false;
    struct policy_case q = question_at(t, PHASE_AUTH);
    policy_login_succeeded(&t->engine, &q);
    t->is_logged_in = true;
    if (!ask(t, PHASE_LOGIN))
        t->is_logged_in = false;
    return t->is_logged_in;
}

bool trial_attempt(struct trial *t, struct str password)
{
    t->outcome.is_wrong_password = false;
    if (!may_log_in(t, password))
        return false;
    struct policy_case q = question_at(t, PHASE_AUTH);
    struct policy_answer answer;
    be_done(policy_login_failed_start(&t->engine, &q, &answer, 0, NULL, NULL));
    keep(t, PHASE_AUTH, &answer);
    if (answer.verdict != POLICY_GO_ON)
        refuse(t, PHASE_AUTH, &answer);
    t->outcome.is_wrong_password = answer.verdict == POLICY_GO_ON;
    return true;
}

bool trial_attempt_unknown(struct trial *t)
{
    bool is_let_through = may_log_in(t, STR(""));
    policy_login_give_back(&t->engine, &t->login);
    return is_let_through;
}

void trial_guess(struct trial *t, struct str password)
{
    if (trial_enter(t) && trial_hello(t))
        (void)trial_attempt(t, password); /* the outcome says what came of it */
}

/* ---- the envelope ---- */

struct str trial_sender_as_set(const struct trial *t, struct arena *arena)
{
    struct str user = t->settings.user;
    if (t->settings.has_sender)
        return t->settings.sender.len ? t->settings.sender : STR("");
    if (user.len == 0)
        return STR("sender@example.com");
    return arena_printf(arena, PRI_STR "%s", STR_ARG(user), str_find(user, '@') < user.len ? "" : "@example.org");
}

static bool begin_mail(struct trial *t)
{
    t->mail_state = (struct policy_mail){0};
    t->mail = &t->mail_state;
    t->asked_count = t->accepted_count = 0;
    t->commands++;
    return ask(t, PHASE_MAIL);
}

/* The MTA's answer to a recipient: a limit may count those that it does not know. False: it took none. */
static bool hear_of_recipient(struct trial *t, size_t i)
{
    int code = t->settings.rcpt_codes ? t->settings.rcpt_codes[i] : 0;
    if (code < 300)
        return true;
    struct policy_answer answer = {.verdict = code < 500 ? POLICY_DEFER : POLICY_REJECT, .code = code};
    note_refusal(t, PHASE_RCPT, &answer, TRIAL_BY_MTA);
    if (code < 500)
        return false;
    struct policy_case q = question_at(t, PHASE_RCPT);
    be_done(policy_count_event_start(&t->engine, UNIT_UNKNOWN_RECIPIENTS, 1, &q, &answer, 0, NULL, NULL));
    keep(t, PHASE_RCPT, &answer);
    if (answer.verdict == POLICY_DISCONNECT || answer.verdict == POLICY_DROP || answer.verdict == POLICY_BAN)
        refuse(t, PHASE_RCPT, &answer); /* other refusals speak of the next MAIL */
    return false;
}

/* False: nobody is left to write to. */
static bool offer_recipients(struct trial *t, const struct str *rcpts, size_t count)
{
    for (size_t i = 0; i < count && t->is_connected; i++) {
        t->asked = &rcpts[i];
        t->asked_count = 1;
        t->has_one_at_hand = true;
        t->commands++;
        bool goes_on = ask(t, PHASE_RCPT) && hear_of_recipient(t, i);
        t->has_one_at_hand = false;
        t->asked_count = 0;
        if (goes_on)
            t->accepted[t->accepted_count++] = rcpts[i];
    }
    return t->is_connected && t->accepted_count;
}

/* ---- the message ---- */

/* The rules of header and later ask about the header; nobody else needs it. False: no memory for it. */
static bool read_header(struct trial *t)
{
    const struct policy *policy = t->engine.policy;
    bool is_asked = policy_has_rules(policy, PHASE_HEADER) || policy_has_rules(policy, PHASE_MESSAGE) ||
                    policy_has_rules(policy, PHASE_RESULT);
    return !is_asked || trial_header_facts(t);
}

/* A milter's refusal stands after the rules of message. */
static bool ask_milters(struct trial *t)
{
    for (size_t i = 0; i < t->settings.milter_count; i++) {
        const struct trial_milter *m = &t->settings.milters[i];
        bool is_for_good = m->verdict == POLICY_REJECT;
        if (m->verdict == POLICY_GO_ON)
            continue;
        struct policy_answer answer = {.verdict = m->verdict, .code = is_for_good ? 550 : 451, .by = m->name};
        str_copy_into(answer.enhanced, sizeof answer.enhanced, is_for_good ? STR("5.7.1") : STR("4.7.1"));
        answer.text = arena_printf(&t->arena, "Refused by milter \"" PRI_STR "\"", STR_ARG(m->name));
        note_refusal(t, PHASE_MESSAGE, &answer, TRIAL_BY_MILTER);
        return false;
    }
    return true;
}

static bool settle(struct trial *t)
{
    struct policy_case q = question_at(t, PHASE_DATA);
    struct policy_answer answer;
    q.size_bytes = t->settings.size_bytes;
    be_done(policy_settle_start(&t->engine, &q, &answer, 0, NULL, NULL));
    keep(t, PHASE_DATA, &answer);
    if (answer.verdict == POLICY_GO_ON)
        return true;
    refuse(t, PHASE_DATA, &answer);
    return false;
}

/* The MTA's last word. */
static void hear_of_mail(struct trial *t)
{
    int code = t->settings.result_code;
    t->has_result = true;
    t->was_taken = code < 300 && !t->settings.is_lost;
    if (t->was_taken) {
        t->messages++;
    } else {
        struct policy_answer answer = {.verdict = code < 500 ? POLICY_DEFER : POLICY_REJECT, .code = code};
        note_refusal(t, PHASE_DATA, &answer, TRIAL_BY_MTA);
    }
    if (t->was_taken || t->settings.is_lost)
        policy_keep(&t->engine, &t->mail_state, t->now_us);
    else
        policy_give_back(&t->engine, &t->mail_state);
}

/* False: no memory. */
static bool give_message(struct trial *t)
{
    t->asked = t->accepted;
    t->asked_count = t->accepted_count;
    t->commands++;
    if (!ask(t, PHASE_DATA))
        return true;
    if (!read_header(t))
        return false;
    if (!ask_if_ruled(t, PHASE_HEADER))
        return true;
    t->is_message = true;
    if (!ask_if_ruled(t, PHASE_MESSAGE) || !ask_milters(t) || !settle(t))
        return true;
    hear_of_mail(t);
    return ask_if_ruled(t, PHASE_RESULT) || true; /* nothing is refused any more */
}

bool trial_mail(struct trial *t, const struct str *rcpts, size_t count)
{
    bool ok = true;
    t->sender = trial_sender_as_set(t, &t->arena);
    if (!t->sender.ptr)
        return false;
    if ((t->is_connected || trial_enter(t)) && (t->said_hello || trial_hello(t)) &&
        (t->is_logged_in || t->settings.user.len == 0 || trial_login(t)) && begin_mail(t) &&
        t->settings.end != TRIAL_ENDS_AFTER_MAIL && offer_recipients(t, rcpts, count) &&
        t->settings.end != TRIAL_ENDS_AFTER_RCPT)
        ok = give_message(t);
    policy_give_back(&t->engine, &t->mail_state); /* of what was not kept */
    return ok;
}
