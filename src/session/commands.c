/*
 * commands.c - lines in, replies out, in order.
 *
 *   input ─▶ line ─▶ row of the table ─▶ may it stand here? ─▶ its proceed (hello.c, tls.c, login.c, envelope.c)
 *                                             └─ no: 503, 530 …
 *
 * A PIPELINES row (MAIL, RCPT) is taken while earlier verdicts are open; any other waits for them. After an
 * ENDS_PIPELINE row nothing may have been sent yet (RFC 2920 3.1): what a client says before it heard our reply to
 * EHLO, AUTH or DATA was said by somebody who does not listen, and is refused.
 */
#include "session/session.h"

#include <stdlib.h>
#include <string.h>

enum {
    UNSENT_HIGH_BYTES = 16384, /* replies that the client does not read: no further command is taken */
    SLOTS_MAX = 100,       /* open replies of a pipeline, what comes behind waits: all of them fit into the output */
    ERROR_DELAY_MS = 1000, /* before the 421 of max-errors */
};

/* ---- state ---- */

void session_enter(struct session *s, enum session_state state)
{
    static const char *const NAMES[] = {"GREETING", "COMMAND", "AUTH", "BODY", "SKIP", "DOT", "CLOSING"};
    log_debug("session %llx: %s", (unsigned long long)s->number, NAMES[state]);
    s->state = (uint8_t)state;
}

void session_await(struct session *s, enum session_wait wait)
{
    log_debug("session %llx: waits (%d)", (unsigned long long)s->number, wait);
    s->wait = (uint8_t)wait;
    conn_pause_input(&s->conn);
    conn_set_deadline(&s->conn, 0);
}

void session_deadline(struct session *s, int64_t ms)
{
    int64_t at = loop_now_ms(s->worker->loop) + ms;
    conn_set_deadline(&s->conn, MIN_OF(at, s->ends_at_ms));
}

/* The client's time begins, for what it owes us now. While the MTA's verdicts are awaited it owes nothing. */
static void await_client(struct session *s)
{
    const struct timeouts *timeout = &s->worker->config->timeout;
    if (s->state == SESSION_BODY || s->state == SESSION_SKIP)
        session_deadline(s, timeout->data_ms);
    else if (s->tx && s->tx->slots)
        conn_set_deadline(&s->conn, 0);
    else
        session_deadline(s, s->commands ? timeout->command_ms : timeout->greeting_ms);
}

void session_resume(struct session *s)
{
    if (s->state == SESSION_CLOSING || !conn_is_open(&s->conn) || s->wait == WAIT_DELAY)
        return;
    s->wait = WAIT_NOTHING;
    if (s->state == SESSION_COMMAND && session_end_by_count(s))
        return;
    if (s->worker->is_draining && s->state == SESSION_COMMAND && !s->tx && conn_input(&s->conn).len == 0) {
        session_end(s, "shutting down", REPLY_SHUTTING_DOWN);
        return;
    }
    await_client(s);
    conn_resume_input(&s->conn);
}

/* ---- replies ---- */

static bool allows_utf8(const struct session *s)
{
    return s->tx && s->tx->params.smtputf8;
}

void session_reply_text(struct session *s, int code, const char *enhanced, struct str text)
{
    if (!conn_is_open(&s->conn) || s->state == SESSION_CLOSING)
        return;
    if (s->tx && s->tx->slots) {
        struct slot *slot = slot_add(s->tx);
        if (slot)
            slot_fill(s->tx, slot, code, enhanced, text);
        else
            session_close(s, "no memory for a reply");
        return;
    }
    if (!smtp_reply_append(conn_output(&s->conn), (unsigned)code, str_of_z(enhanced), text, allows_utf8(s))) {
        session_close(s, "replies are not read");
        return;
    }
    conn_flush_later(&s->conn);
}

void session_reply(struct session *s, const struct smtp_reply_call *call)
{
    if (!conn_is_open(&s->conn) || s->state == SESSION_CLOSING)
        return;
    if (s->tx && s->tx->slots) {
        const struct smtp_reply_row *row = smtp_reply_row(call->reply);
        struct buf text;
        buf_init(&text, 2048);
        bool ok = smtp_reply_text_call(&text, call);
        session_reply_text(s, (int)row->code, row->enhanced, ok ? buf_str(&text) : STR("Refused"));
        buf_fini(&text);
        return;
    }
    if (!smtp_reply_write_call(conn_output(&s->conn), call)) {
        session_close(s, "replies are not read");
        return;
    }
    conn_flush_later(&s->conn);
}

void session_end_call(struct session *s, const char *reason, const struct smtp_reply_call *call)
{
    if (s->tx) {
        s->tx->slots = NULL; /* open verdicts never come: this reply stands for all of them */
        if (smtp_reply_row(call->reply)->code >= 400)
            tx_decide_call(s->tx, tx_at(s), call);
    }
    session_reply(s, call);
    session_close_when_sent(s, reason);
}

static void count_error(struct session *s)
{
    if (s->state == SESSION_CLOSING || ++s->errors < s->worker->config->max_errors)
        return;
    session_await(s, WAIT_DELAY);
    conn_set_deadline(&s->conn, loop_now_ms(s->worker->loop) + ERROR_DELAY_MS);
}

void session_refuse_call(struct session *s, const struct smtp_reply_call *call)
{
    session_count(s, UNIT_ERRORS, NULL);
    if (!session_end_by_count(s) && !session_delay_reply(s, call, count_error)) {
        session_reply(s, call);
        count_error(s);
    }
}

void session_count_junk(struct session *s, unsigned points)
{
    if (s->junk + points <= JUNK_MAX)
        s->junk = (uint16_t)(s->junk + points);
    else
        count_error(s);
}

bool session_is_early(struct session *s)
{
    if (conn_input(&s->conn).len == 0)
        return false;
    session_end(s, "spoke too early", REPLY_EARLY);
    return true;
}

/* ---- small commands ---- */

void session_on_drained(struct conn *c)
{
    struct session *s = CONTAINER_OF(c, struct session, conn);
    if (s->wait == WAIT_OUTPUT)
        session_resume(s);
}

static void rset_proceed(struct session *s, const struct smtp_command *command)
{
    if (command->argument.len) {
        session_refuse(s, REPLY_NO_ARGUMENT, STR("RSET"));
        return;
    }
    tx_end(s);
    session_say(s, REPLY_RSET_OK);
    session_count_junk(s, JUNK_COMMAND);
}

static void noop_proceed(struct session *s, const struct smtp_command *command)
{
    (void)command;
    session_say(s, REPLY_NOOP_OK);
    session_count_junk(s, JUNK_COMMAND);
}

static void quit_proceed(struct session *s, const struct smtp_command *command)
{
    if (command->argument.len) {
        session_refuse(s, REPLY_NO_ARGUMENT, STR("QUIT"));
        return;
    }
    session_end(s, "quit", REPLY_CLOSING);
}

static void vrfy_proceed(struct session *s, const struct smtp_command *command)
{
    (void)command;
    session_say(s, REPLY_VRFY);
    session_count_junk(s, JUNK_COMMAND);
}

static void help_proceed(struct session *s, const struct smtp_command *command)
{
    (void)command;
    session_say(s, REPLY_HELP);
    session_count_junk(s, JUNK_COMMAND);
}

static void unimplemented_proceed(struct session *s, const struct smtp_command *command)
{
    session_refuse(s, REPLY_NOT_IMPLEMENTED, str_of_z(smtp_verb_name(command->verb)));
}

static void foreign_proceed(struct session *s, const struct smtp_command *command)
{
    (void)command;
    session_end(s, "speaks another protocol", REPLY_FOREIGN_PROTOCOL);
}

static void unknown_proceed(struct session *s, const struct smtp_command *command)
{
    (void)command;
    session_refuse(s, REPLY_UNKNOWN_COMMAND);
}

/* The number of octets that follow BDAT, which come whatever we answer (RFC 3030 2). False: it cannot be told. */
static bool bdat_size(struct str argument, uint64_t *size)
{
    struct str rest;
    struct str number = str_split(argument, ' ', &rest);
    rest = str_trim(rest);
    return str_to_u64(number, UINT64_MAX, size) && (rest.len == 0 || str_equal_nocase(rest, STR("LAST")));
}

/* Chunks are not offered. Their octets must still never be read as commands: they are dropped, however refused. */
static bool bdat_skip(struct session *s, struct str argument)
{
    uint64_t size;
    if (!bdat_size(argument, &size) || size > s->worker->config->max_message_bytes) {
        session_end(s, "octets that cannot be counted", REPLY_NOT_IMPLEMENTED, STR("BDAT"));
        return false;
    }
    s->skip_bytes = size;
    if (size && s->state == SESSION_COMMAND)
        session_enter(s, SESSION_SKIP);
    return true;
}

static void bdat_proceed(struct session *s, const struct smtp_command *command)
{
    if (bdat_skip(s, command->argument))
        session_refuse(s, REPLY_NOT_IMPLEMENTED, STR("BDAT"));
}

/* ---- the table ---- */

enum where {
    ANYWHERE,
    AFTER_HELLO,
    OUTSIDE_MAIL, /* after EHLO, no mail begun */
    INSIDE_MAIL,
};

enum row_flag {
    PIPELINES = 1,     /* may be read while verdicts are open */
    ENDS_PIPELINE = 2, /* nothing may follow before our reply */
    NEEDS_LOGIN = 4,   /* 530 before anything else where the listener asks for it (RFC 4954 6) */
};

static const struct row {
    enum smtp_verb verb;
    enum where where;
    unsigned flags;
    void (*proceed)(struct session *s, const struct smtp_command *command);
} ROWS[] = {
    {SMTP_VERB_EHLO, ANYWHERE, ENDS_PIPELINE, ehlo_proceed},
    {SMTP_VERB_HELO, ANYWHERE, ENDS_PIPELINE, ehlo_proceed},
    {SMTP_VERB_STARTTLS, OUTSIDE_MAIL, 0, starttls_proceed},
    {SMTP_VERB_AUTH, OUTSIDE_MAIL, ENDS_PIPELINE, auth_proceed},
    {SMTP_VERB_MAIL, OUTSIDE_MAIL, NEEDS_LOGIN | PIPELINES, mail_proceed},
    {SMTP_VERB_RCPT, INSIDE_MAIL, NEEDS_LOGIN | PIPELINES, rcpt_proceed},
    {SMTP_VERB_DATA, INSIDE_MAIL, NEEDS_LOGIN | ENDS_PIPELINE, data_proceed},
    {SMTP_VERB_BDAT, ANYWHERE, NEEDS_LOGIN, bdat_proceed},
    {SMTP_VERB_RSET, ANYWHERE, 0, rset_proceed},
    {SMTP_VERB_NOOP, ANYWHERE, 0, noop_proceed},
    {SMTP_VERB_QUIT, ANYWHERE, 0, quit_proceed},
    {SMTP_VERB_VRFY, ANYWHERE, 0, vrfy_proceed},
    {SMTP_VERB_HELP, ANYWHERE, 0, help_proceed},
    {SMTP_VERB_EXPN, ANYWHERE, 0, unimplemented_proceed},
    {SMTP_VERB_ETRN, ANYWHERE, 0, unimplemented_proceed},
    {SMTP_VERB_TURN, ANYWHERE, 0, unimplemented_proceed},
    {SMTP_VERB_FOREIGN, ANYWHERE, 0, foreign_proceed},
    {SMTP_VERB_UNKNOWN, ANYWHERE, 0, unknown_proceed},
};

static const struct row *row_of(enum smtp_verb verb)
{
    size_t i = 0;
    while (ROWS[i].verb != verb)
        i++;
    return &ROWS[i];
}

/* May the command stand here? Refuses it if not. */
static bool may_stand(struct session *s, const struct row *row, const struct smtp_command *command)
{
    bool needs_tls = s->listener->tls == LISTENER_TLS_REQUIRED && !conn_is_tls(&s->conn);
    if ((row->flags & NEEDS_LOGIN) && (needs_tls || session_needs_login(s))) {
        if (row->verb == SMTP_VERB_BDAT && !bdat_skip(s, command->argument))
            return false;
        session_refuse_call(s, &(struct smtp_reply_call){needs_tls ? REPLY_TLS_REQUIRED : REPLY_AUTH_REQUIRED});
        return false;
    }
    if (row->where != ANYWHERE && !(s->flags & SESSION_SAID_HELLO)) {
        session_refuse(s, REPLY_HELO_FIRST);
        return false;
    }
    if (row->where == OUTSIDE_MAIL && s->tx) {
        if (row->verb == SMTP_VERB_MAIL)
            session_refuse(s, REPLY_MAIL_TWICE);
        else
            session_refuse(s, REPLY_NOT_IN_MAIL, str_of_z(smtp_verb_name(row->verb)));
        return false;
    }
    if (row->where == INSIDE_MAIL && !s->tx) {
        /* what was sent behind a MAIL before its refusal was heard is no error of the client */
        if (s->flags & SESSION_MAIL_WAS_REFUSED) {
            session_say(s, REPLY_MAIL_FIRST);
            session_count_junk(s, JUNK_RECIPIENT);
        } else {
            session_refuse(s, REPLY_MAIL_FIRST);
        }
        return false;
    }
    return true;
}

/* ---- reading ---- */

static void on_command(struct session *s, struct str line, size_t consumed)
{
    struct smtp_command command = smtp_command_split(line);
    const struct row *row = row_of(command.verb);
    if (s->tx && s->tx->slots && (!(row->flags & PIPELINES) || s->tx->slot_count >= SLOTS_MAX)) {
        /* its reply depends on verdicts that are still open, or has no room: the line is read again when they are there
         */
        session_await(s, WAIT_VERDICTS);
        return;
    }
    s->commands++;
    s->tarpit_ms = s->delayed_ms = 0;
    char copy[SMTP_AUTH_LINE_MAX];
    if (command.has_control) {
        conn_consume(&s->conn, consumed);
        session_refuse(s, REPLY_SYNTAX);
        return;
    }
    /* the argument is looked at after the line has left the input, where a reply, or TLS, may already change it */
    size_t len = str_copy_into(copy, sizeof copy, command.argument).len;
    command.argument = str_of(copy, len);
    if (command.verb == SMTP_VERB_AUTH)
        conn_consume_secret(&s->conn, consumed);
    else
        conn_consume(&s->conn, consumed);
    if ((row->flags & ENDS_PIPELINE) && session_is_early(s))
        return;
    if (row->where != INSIDE_MAIL)
        s->flags = (uint16_t)(s->flags & ~SESSION_MAIL_WAS_REFUSED);
    if (may_stand(s, row, &command))
        row->proceed(s, &command);
    if (command.verb == SMTP_VERB_AUTH)
        explicit_bzero(copy, len);
}

/* One line of a command or of AUTH. False: not yet whole. */
static bool read_line(struct session *s)
{
    struct str in = conn_input(&s->conn);
    size_t consumed = 0;
    if (s->flags & SESSION_SKIPS_LINE) {
        bool is_over = smtp_line_skip(in, &consumed);
        if (is_over)
            s->flags = (uint16_t)(s->flags & ~SESSION_SKIPS_LINE);
        conn_consume(&s->conn, consumed);
        return is_over; /* bytes of a line without end are no progress: they renew no deadline */
    }
    bool is_auth = s->state == SESSION_AUTH || str_starts_nocase(in, STR("AUTH "));
    size_t max = is_auth ? SMTP_AUTH_LINE_MAX : SMTP_COMMAND_LINE_MAX;
    struct str line;
    switch (smtp_line_find(in, max, &line, &consumed)) {
    case SMTP_LINE_MORE:
        return false;
    case SMTP_LINE_COMPLETE:
        if (s->state == SESSION_AUTH) {
            if (in.len > consumed)
                session_end(s, "spoke too early", REPLY_EARLY);
            else
                auth_on_line(s, line); /* the line lies in the input, where it is consumed last */
            if (conn_is_open(&s->conn) && s->state != SESSION_CLOSING)
                conn_consume_secret(&s->conn, consumed);
        } else {
            on_command(s, line, consumed);
        }
        return true;
    case SMTP_LINE_TOO_LONG:
        conn_consume(&s->conn, consumed);
        s->flags |= SESSION_SKIPS_LINE;
        login_free(s);
        if (is_auth)
            session_refuse(s, REPLY_AUTH_LINE_TOO_LONG);
        else
            session_refuse(s, REPLY_LINE_TOO_LONG, STR("2048"));
        return true;
    case SMTP_LINE_BAD:
        conn_consume(&s->conn, consumed);
        s->flags |= SESSION_SKIPS_LINE;
        login_free(s);
        session_refuse(s, REPLY_BARE_LINE_END);
        return true;
    }
    return false;
}

static bool skip_octets(struct session *s)
{
    size_t n = (size_t)MIN_OF((uint64_t)conn_input(&s->conn).len, s->skip_bytes);
    conn_consume(&s->conn, n);
    s->skip_bytes -= n;
    if (s->skip_bytes)
        return false; /* all of them within one `timeout data` */
    session_enter(s, SESSION_COMMAND);
    return true;
}

static bool take_input(struct session *s)
{
    if (conn_unsent_bytes(&s->conn) > UNSENT_HIGH_BYTES) {
        session_await(s, WAIT_OUTPUT);
        conn_flush_later(&s->conn);
        session_deadline(s, s->worker->config->timeout.command_ms);
        return false;
    }
    switch ((enum session_state)s->state) {
    case SESSION_COMMAND:
    case SESSION_AUTH:
        return !session_counts_too_much(s) && read_line(s);
    case SESSION_BODY:
        return body_on_input(s);
    case SESSION_SKIP:
        return skip_octets(s);
    case SESSION_GREETING:
    case SESSION_DOT:
    case SESSION_CLOSING:
        return false;
    }
    return false;
}

void session_on_input(struct conn *c)
{
    struct session *s = CONTAINER_OF(c, struct session, conn);
    if (s->flags & SESSION_IN_INPUT)
        return;
    s->flags |= SESSION_IN_INPUT;
    bool took = false;
    unsigned state = s->state;
    while (conn_is_open(c) && s->wait == WAIT_NOTHING && conn_input(c).len && take_input(s))
        took = true;
    s->flags = (uint16_t)(s->flags & ~SESSION_IN_INPUT);
    if (s->state == SESSION_CLOSING || !conn_is_open(c) || s->wait != WAIT_NOTHING)
        return;
    /* The deadline of the next line runs from here: from a whole command that was answered, never from a part of one.
     * While the MTA's verdicts are awaited none does. */
    bool awaits_line = s->state == SESSION_COMMAND || s->state == SESSION_AUTH;
    if (took && s->worker->is_draining && s->state == SESSION_COMMAND && !s->tx) {
        session_end(s, "shutting down", REPLY_SHUTTING_DOWN);
        return;
    }
    if ((awaits_line && s->tx && s->tx->slots) || (took && (awaits_line || state != s->state)))
        await_client(s);
}
