/*
 * effects.c - what rules and limits have to say beside their verdict: a line each in the event log, and alerts to
 * somebody (OPERATIONS.md "Events").
 *
 *   log · limit · alert · ban     an event of that kind, at once
 *   would                         stands in the mail's own event; before there is a mail it gets a `log` event
 */
#include "session/session.h"

static const char *event_of(enum policy_effect_kind kind)
{
    switch (kind) {
    case POLICY_EFFECT_THRESHOLD:
        return "limit";
    case POLICY_EFFECT_ALERT:
        return "alert";
    case POLICY_EFFECT_BAN:
        return "ban";
    case POLICY_EFFECT_LOG:
    case POLICY_EFFECT_WOULD:
        break;
    }
    return "log";
}

static struct str none_if_empty(struct str s)
{
    return s.len ? s : STR_NONE;
}

static void write_members(struct event_log *log, const struct policy_effect *e)
{
    event_str(log, "by", e->by);
    switch (e->kind) {
    case POLICY_EFFECT_BAN:
        event_str(log, "entity", none_if_empty(e->key));
        event_time(log, "until", e->until_us);
        event_uint(log, "strikes", e->strikes);
        event_str(log, "reason", none_if_empty(e->text));
        return;
    case POLICY_EFFECT_WOULD:
        event_str(log, "would", e->action);
        if (e->code)
            event_uint(log, "code", (uint64_t)e->code);
        break;
    case POLICY_EFFECT_ALERT:
        event_str(log, "alert", none_if_empty(e->alert));
        break;
    case POLICY_EFFECT_LOG:
    case POLICY_EFFECT_THRESHOLD:
        break;
    }
    event_str(log, "key", none_if_empty(e->key));
    event_str(log, "text", e->text);
}

static void write_effects(struct session *s, bool is_in_mail, enum phase phase, const struct policy_effect *effects)
{
    struct event_log *log = s->worker->events;
    for (const struct policy_effect *e = effects; e; e = e->next) {
        if (e->kind == POLICY_EFFECT_WOULD && is_in_mail)
            continue;
        session_event_begin(s, event_of(e->kind));
        event_z(log, "at", phase_rows[phase].word);
        event_z(log, "user", s->user);
        write_members(log, e);
        event_end(log);
        if (e->kind == POLICY_EFFECT_ALERT && e->alert.len)
            alert_send(s->worker->alerts, e->alert, e->key, event_log_line(log));
    }
}

void session_take_effects(struct session *s, struct transaction *tx, enum phase phase,
                          const struct policy_answer *answer)
{
    write_effects(s, tx != NULL, phase, answer->effects);
    if (tx && answer->effects) {
        struct policy_effect **end = &tx->effects;
        while (*end)
            end = &(*end)->next;
        *end = answer->effects;
    }
    session_owe_delay(s, answer->tarpit_ms);
}
