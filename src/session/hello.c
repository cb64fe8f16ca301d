/*
 * hello.c - EHLO and HELO (RFC 5321 4.1.1.1): who the client says it is, and what it may use.
 *
 * Any name is taken: mail programs send bare names and private addresses, and it proves nothing. It is cut and cleaned
 * before it is kept, because it will stand in a header, in log lines and in XFORWARD.
 */
#include "session/session.h"

#include <stdlib.h>

static unsigned extensions(const struct session *s)
{
    struct mta_capabilities mta = mta_pool_capabilities(session_pool(s));
    unsigned set = SMTP_EXT_SIZE;
    if (!(s->flags & SESSION_IS_ESMTP))
        return 0;
    if (mta.eightbitmime)
        set |= SMTP_EXT_8BITMIME;
    if (mta.smtputf8)
        set |= SMTP_EXT_SMTPUTF8;
    if (mta.dsn)
        set |= SMTP_EXT_DSN;
    if (session_offers_auth(s))
        set |= SMTP_EXT_AUTH;
    return set;
}

uint64_t session_max_message(const struct session *s)
{
    uint64_t own = s->worker->config->max_message_bytes;
    uint64_t mta = mta_pool_capabilities(session_pool(s)).size;
    return mta && mta < own ? mta : own;
}

/* The lines of the reply to EHLO; each may only promise what is kept at this moment. */
static bool compose(struct session *s, struct buf *out)
{
    unsigned set = s->offered;
    bool plain = !conn_is_tls(&s->conn);
    return buf_printf(out, "250-%s\r\n250-PIPELINING\r\n250-SIZE %llu\r\n", s->worker->config->hostname,
                      (unsigned long long)session_max_message(s)) &&
           (!(plain && session_offers_tls(s)) || buf_printf(out, "250-STARTTLS\r\n")) &&
           (!(session_may_login_here(s) && !s->user) ||
            (buf_printf(out, "250-AUTH ") && auth_mechanisms_offer(out, true) && buf_printf(out, "\r\n"))) &&
           (!(set & SMTP_EXT_8BITMIME) || buf_printf(out, "250-8BITMIME\r\n")) &&
           (!(set & SMTP_EXT_SMTPUTF8) || buf_printf(out, "250-SMTPUTF8\r\n")) &&
           (!(set & SMTP_EXT_DSN) || buf_printf(out, "250-DSN\r\n")) && buf_printf(out, "250 ENHANCEDSTATUSCODES\r\n");
}

static void hello_go_on(struct session *s)
{
    s->flags |= SESSION_SAID_HELLO;
    s->offered = (uint8_t)extensions(s);
    if (!(s->flags & SESSION_IS_ESMTP)) {
        session_say(s, REPLY_HELO_OK, str_of_z(s->worker->config->hostname));
        return;
    }
    struct buf *out = conn_output(&s->conn);
    size_t before = buf_len(out);
    if (!compose(s, out)) {
        buf_truncate(out, before);
        session_close(s, "replies are not read");
        return;
    }
    conn_flush_later(&s->conn);
}

static void hello_refused(struct session *s, const struct policy_answer *answer)
{
    s->flags = (uint16_t)(s->flags & ~SESSION_SAID_HELLO);
    session_refuse_by_policy(s, answer);
}

void ehlo_proceed(struct session *s, const struct smtp_command *command)
{
    if (command->argument.len == 0) {
        session_refuse(s, REPLY_NO_HELO_NAME);
        return;
    }
    char *name = str_copy_z(str_sub(command->argument, 0, HELO_MAX_BYTES));
    if (!name) {
        session_end(s, "no memory", REPLY_NO_MEMORY);
        return;
    }
    tx_end(s);
    free(s->helo);
    s->helo = name;
    s->flags = (uint16_t)(command->verb == SMTP_VERB_EHLO ? s->flags | SESSION_IS_ESMTP : s->flags & ~SESSION_IS_ESMTP);
    session_count_junk(s, JUNK_COMMAND);
    if (s->wait == WAIT_NOTHING && s->state == SESSION_COMMAND)
        session_ask(s, PHASE_HELO, hello_go_on, hello_refused);
}
