/*
 * delay.c - tarpits: a reply that keeps its client waiting (RULES.md "Rules", `tarpit`).
 *
 *   answer of policy/ ─▶ session_owe_delay … ─▶ session_delay ─ nothing owed, or `max-tarpits` wait already: go on now
 *                                                    └─ a timer ─▶ then: the reply, and the next command is read
 *
 * A delay costs a timer and no thread. While it lasts no command is looked at, but bytes are still taken in, up to the
 * bound of the input buffer: so the end of a client is seen, and it is closed at once. The client's own deadlines
 * stand; only the end of the session, and of the worker, count on. What is known to be owed early is served with the
 * reply: that of AUTH after the password was looked at, that of the message after the MTA has spoken, whose work and
 * connections wait for no tarpit.
 */
#include "session/session.h"

#include <stdlib.h>

struct delay {
    struct session *session;
    struct timer timer;
    session_step *then;
    char *text; /* of a reply; heap; NULL: `then` says what there is to say */
    int code;
    char enhanced[12];
};

void session_owe_delay(struct session *s, uint32_t ms)
{
    uint32_t left = POLICY_TARPIT_MAX_MS - MIN_OF(s->delayed_ms, (uint32_t)POLICY_TARPIT_MAX_MS);
    s->tarpit_ms = MIN_OF(s->tarpit_ms + MIN_OF(ms, left), left);
}

static void on_due(void *arg)
{
    struct delay *d = arg;
    session_delay_end(d->session);
}

bool session_delay(struct session *s, session_step *then)
{
    struct session_worker *w = s->worker;
    uint32_t ms = s->tarpit_ms;
    s->tarpit_ms = 0;
    bool may_wait = ms && conn_is_open(&s->conn) && s->state != SESSION_CLOSING && w->tarpit_count < w->max_tarpits;
    struct delay *d = may_wait ? calloc(1, sizeof *d) : NULL;
    if (!d)
        return false;
    d->session = s;
    d->then = then;
    timer_init(&d->timer, w->loop, on_due, d);
    timer_start(&d->timer, loop_now_ms(w->loop) + ms);
    s->delay = d;
    s->delayed_ms += ms;
    w->tarpit_count++;
    counter_add(w->counters, COUNTER_TARPITS, 1);
    s->wait = WAIT_TARPIT;
    conn_resume_input(&s->conn);
    conn_set_deadline(&s->conn, s->ends_at_ms);
    log_debug("session %llx: its reply is delayed by %u ms", (unsigned long long)s->number, ms);
    return true;
}

bool session_delay_reply(struct session *s, const struct smtp_reply_call *call, session_step *then)
{
    const struct smtp_reply_row *row = smtp_reply_row(call->reply);
    struct buf text;
    if (!session_delay(s, then))
        return false;
    buf_init(&text, 2048);
    bool ok = smtp_reply_text_call(&text, call);
    s->delay->text = str_copy_z(ok ? buf_str(&text) : STR("Refused"));
    s->delay->code = (int)row->code;
    str_copy_into(s->delay->enhanced, sizeof s->delay->enhanced, str_of_z(row->enhanced));
    buf_fini(&text);
    if (s->delay->text)
        return true;
    session_delay_cancel(s); /* no memory: said now */
    s->wait = WAIT_NOTHING;
    conn_resume_input(&s->conn);
    return false;
}

void session_delay_cancel(struct session *s)
{
    if (!s->delay)
        return;
    timer_cancel(&s->delay->timer);
    free(s->delay->text);
    free(s->delay);
    s->delay = NULL;
    s->worker->tarpit_count--;
    counter_sub(s->worker->counters, COUNTER_TARPITS, 1);
    conn_pause_input(&s->conn); /* session_resume then delivers what came meanwhile */
}

void session_delay_end(struct session *s)
{
    struct delay d = *s->delay;
    s->delay->text = NULL;
    session_delay_cancel(s);
    s->wait = WAIT_NOTHING;
    if (d.text)
        session_reply_text(s, d.code, d.enhanced, str_of_z(d.text));
    free(d.text);
    d.then(s);
    if (s->wait == WAIT_NOTHING)
        session_resume(s);
}
