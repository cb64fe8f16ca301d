/* replay_session.c - one past connection, from its opening to its last event, as a trial. See replay.h. */
#include "policy/replay_inside.h"

#include <stdio.h>

#include "base/json.h"
#include "policy/trial_inside.h"

enum { MILTERS_MAX = 64 };

/* ---- what the event says ---- */

static void set_connection(struct replay *r, struct trial *t, const struct logged *past)
{
    struct trial_settings *set = &t->settings;
    set->client = past->client;
    set->port = past->port;
    set->node = past->node;
    set->listener = past->listener;
    set->helo = past->helo;
    set->is_tls = past->tls.len != 0;
    set->tls_version = past->tls;
    set->tls_cipher = past->cipher;
    set->mechanism = past->mechanism;
    set->is_early = true;
    t->given.name = past->name;
    t->given.country = past->country;
    t->now_us = r->now_us;
    t->utc_offset_s = r->options.utc_offset_s ? r->options.utc_offset_s(r->now_us / 1000000) : 0;
}

/* "milters":{"opendkim":"accept"}. False: no memory. */
static bool set_milters(struct trial *t, const struct logged *past)
{
    static const struct {
        struct str word;
        enum policy_verdict verdict;
    } WORDS[] = {{{"accept", 6}, POLICY_GO_ON}, {{"reject", 6}, POLICY_REJECT}, {{"defer", 5}, POLICY_DEFER}};
    struct trial_milter *milters = arena_alloc(&t->arena, MILTERS_MAX * sizeof *milters);
    struct json_walk w;
    struct json_value value;
    struct str name;
    size_t count = 0;
    if (!milters)
        return false;
    json_walk_into(&w, &(struct json_value){.kind = JSON_OBJECT, .raw = past->milters});
    while (json_next(&w, &name, &value) && count < MILTERS_MAX)
        for (size_t i = 0; i < COUNT_OF(WORDS) && value.kind == JSON_TEXT; i++)
            if (str_equal(value.raw, WORDS[i].word))
                milters[count++] = (struct trial_milter){.name = name, .verdict = WORDS[i].verdict};
    t->settings.milters = milters;
    t->settings.milter_count = count;
    return true;
}

/* All of its header that an event holds. False: no memory. */
static bool set_header(struct trial *t, const struct logged *past)
{
    const struct str from[] = {past->from.len ? STR("From: <") : STR(""),
                               past->from,
                               past->from.len ? STR(">\r\n") : STR(""),
                               past->message_id.len ? STR("Message-ID: ") : STR(""),
                               past->message_id,
                               STR("\r\n")};
    t->settings.block = arena_join(&t->arena, from, COUNT_OF(from));
    t->settings.has_few_fields = true;
    return t->settings.block.ptr != NULL;
}

/* Whom the MTA, or the server by itself, refused is refused again, as far as our rules let it come. */
static void set_end(struct trial_settings *set, const struct logged *past)
{
    bool is_by_nobody = past->by.len == 0;
    set->end = TRIAL_TO_THE_END;
    set->is_lost = past->verdict == LOGGED_UNKNOWN;
    set->result_code = past->verdict == LOGGED_ACCEPT ? past->relay_code : 0;
    set->result_text = past->relay_text.len ? past->relay_text : STR_NONE;
    if (past->verdict == LOGGED_ACCEPT || set->is_lost)
        return;
    if (past->verdict == LOGGED_ABORT || (is_by_nobody && str_equal(past->at, STR("rcpt"))))
        set->end = TRIAL_ENDS_AFTER_RCPT;
    else if (is_by_nobody && str_equal(past->at, STR("mail")))
        set->end = TRIAL_ENDS_AFTER_MAIL;
    else if (is_by_nobody)
        set->result_code = past->relay_code >= 400 ? past->relay_code : past->code >= 400 ? past->code : 451;
}

static bool set_mail(struct trial *t, const struct logged *past, struct logged_rcpts *rcpts)
{
    struct trial_settings *set = &t->settings;
    set->user = past->user;
    set->has_sender = true;
    set->sender = past->sender;
    set->size_bytes = past->size_bytes;
    set_end(set, past);
    if (!logged_recipients(past, &t->arena, rcpts) || !set_milters(t, past) || !set_header(t, past))
        return false;
    set->rcpt_codes = rcpts->codes;
    t->accepted = arena_alloc(&t->arena, rcpts->count * sizeof *t->accepted);
    return t->accepted != NULL;
}

/* ---- what it does ---- */

bool replay_open(struct replay *r, struct replay_connection *c, const struct logged *past)
{
    struct trial *t = c->trial = trial_new_beside(r->counts);
    if (!t)
        return false;
    r->open_count++;
    set_connection(r, t, past);
    trial_begin_one(t);
    if (!trial_enter(t)) {
        c->is_turned_away = true;
        c->refusal = t->refusal;
        c->refusal.text = STR_NONE; /* it lasts no longer than its question */
    }
    return true;
}

static void refused(struct replay_outcome *outcome, const struct trial_refusal *refusal)
{
    outcome->fate = REPLAY_REFUSED;
    outcome->refusal = *refusal;
}

static bool says_hello(struct trial *t)
{
    return (t->is_connected || trial_enter(t)) && (t->said_hello || trial_hello(t));
}

static void log_in(struct replay *r, struct trial *t, const struct logged *past, struct replay_outcome *outcome)
{
    char password[32];
    trial_begin_one(t);
    t->settings.user = past->user;
    if (past->user.len == 0) /* it never came to a name */
        return;
    if (!says_hello(t)) {
        refused(outcome, &t->refusal);
        return;
    }
    int n = snprintf(password, sizeof password, "wrong %llu", (unsigned long long)r->passwords++);
    t->is_logged_in = false;
    /* refused when it was verified already: its password was right */
    bool was_right =
        past->login == LOGGED_LOGIN_OK || (past->login == LOGGED_LOGIN_LIMITED && str_equal(past->at, STR("login")));
    bool is_let_through = was_right                               ? trial_login(t)
                          : past->login == LOGGED_LOGIN_UNCHECKED ? trial_attempt_unknown(t)
                                                                  : trial_attempt(t, str_of(password, (size_t)n));
    outcome->fate = REPLAY_PASSED;
    if (!is_let_through)
        refused(outcome, &t->refusal);
}

static bool send_mail(struct trial *t, const struct logged *past, struct replay_outcome *outcome)
{
    struct logged_rcpts rcpts;
    trial_begin_one(t);
    if (!set_mail(t, past, &rcpts))
        return false;
    t->accepted_count = 0;
    if (!trial_mail(t, rcpts.items, rcpts.count))
        return false;
    bool has_ended = t->settings.end != TRIAL_TO_THE_END && t->accepted_count;
    bool is_by_us = t->refusal.verdict != POLICY_GO_ON && t->refusal.by_what != TRIAL_BY_MTA;
    outcome->accepted = t->was_taken ? t->accepted_count : 0;
    if (past->verdict == LOGGED_ABORT)
        outcome->fate = REPLAY_GIVEN_UP;
    else if (t->was_taken)
        outcome->fate = REPLAY_PASSED;
    else if (is_by_us && !has_ended)
        refused(outcome, &t->refusal);
    return true;
}

bool replay_event(struct replay *r, struct replay_connection *c, const struct logged *past,
                  struct replay_outcome *outcome)
{
    struct trial *t = c->trial;
    if (c->is_turned_away) {
        refused(outcome, &c->refusal);
        return true;
    }
    set_connection(r, t, past);
    switch (past->kind) {
    case LOGGED_MAIL:
        return send_mail(t, past, outcome);
    case LOGGED_AUTH:
        log_in(r, t, past, outcome);
        return true;
    case LOGGED_CONNECT:
        outcome->fate = REPLAY_PASSED;
        return true;
    case LOGGED_CLOSE:
        trial_begin_one(t);
        if (t->is_connected && !t->said_hello && past->helo.len)
            (void)trial_hello(t); /* rules may count it */
        return true;
    }
    return true;
}
