/*
 * tls.c - the handshake: at once on `submissions`, after STARTTLS elsewhere (RFC 3207, RFC 8314).
 *
 * Two things make STARTTLS safe. What the client sent behind the command, in the clear, is never looked at: the
 * connection is closed. And what was said before TLS is forgotten, name and login too, because it may have been said by
 * somebody between (RFC 3207 4.2).
 */
#include "session/session.h"

#include <stdlib.h>

bool session_offers_tls(const struct session *s)
{
    return s->worker->tls && (s->listener->tls == LISTENER_TLS_REQUIRED || s->listener->tls == LISTENER_TLS_OPTIONAL);
}

void session_start_tls(struct session *s)
{
    struct err err;
    session_await(s, WAIT_TLS);
    session_deadline(s, s->worker->config->timeout.tls_ms);
    if (conn_start_tls_server(&s->conn, s->worker->tls, &err)) {
        conn_resume_input(&s->conn);
        return;
    }
    log_warning("TLS cannot be started: %s", err.text);
    session_close(s, "TLS cannot be started");
}

/* Once, because rules may ask for each mail. False: no memory, and it must not pass for one who showed none. */
static bool keep_certificate(struct session *s)
{
    char text[CONN_CERTIFICATE_MAX_BYTES];
    struct str subject = conn_tls_certificate(&s->conn, text);
    if (subject.len)
        s->certificate = str_copy_z(subject);
    return !subject.len || s->certificate;
}

void session_on_ready(struct conn *c)
{
    struct session *s = CONTAINER_OF(c, struct session, conn);
    counter_add(s->worker->counters, COUNTER_TLS_HANDSHAKES, 1);
    if (conn_tls_was_resumed(c))
        counter_add(s->worker->counters, COUNTER_TLS_RESUMED, 1);
    s->tls_us = (uint32_t)MIN_OF(loop_wall_us(s->worker->loop) - s->began_us, (int64_t)UINT32_MAX);
    if (!keep_certificate(s)) {
        session_close(s, "no memory");
        return;
    }
    session_resume(s);
    if (s->state == SESSION_GREETING)
        session_greet(s);
}

void starttls_proceed(struct session *s, const struct smtp_command *command)
{
    if (command->argument.len) {
        session_refuse(s, REPLY_NO_ARGUMENT, STR("STARTTLS"));
        return;
    }
    if (conn_is_tls(&s->conn)) {
        session_refuse(s, REPLY_TLS_ALREADY);
        return;
    }
    if (!session_offers_tls(s)) {
        session_refuse_call(s, &(struct smtp_reply_call){s->listener->tls == LISTENER_TLS_OFF ? REPLY_TLS_NOT_OFFERED
                                                                                              : REPLY_TLS_UNAVAILABLE});
        return;
    }
    if (conn_input(&s->conn).len) {
        session_close(s, "sent bytes behind STARTTLS");
        return;
    }
    session_say(s, REPLY_TLS_READY);
    if (s->state == SESSION_CLOSING) /* it could not be said */
        return;
    login_forget_user(s);
    free(s->helo);
    s->helo = NULL;
    s->mechanism = NULL;
    policy_forget_hello(&s->policy);
    s->flags = (uint16_t)(s->flags & ~(SESSION_SAID_HELLO | SESSION_IS_ESMTP));
    s->began_us = loop_wall_us(s->worker->loop);
    session_start_tls(s);
}
