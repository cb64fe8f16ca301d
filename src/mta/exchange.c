/*
 * exchange.c - one mail with the MTA. See exchange.h.
 *
 *   first ──▶ MAIL ──▶ RCPT ──▶ RCPT ──▶ RCPT ──▶ NULL        the mail's commands, in its arena
 *                        ▲        ▲
 *                   unanswered  unsent                        between both: on their way
 *
 * The list is what makes the second try possible: when a pooled connection turns out dead before the body began, both
 * pointers go back to the head and a fresh connection starts over. The caller, who may have had some replies already,
 * must not be told two different things: what was told is remembered by its class (2, 4, 5), and a server that changes
 * its mind ends the mail as lost.
 *
 * Only replies call the owner at once. What is found out inside of a call (no server up, the connection broken, an
 * extension lacking) is told by the task `notify` at the end of the turn.
 */
#include "mta/exchange.h"

#include <stdio.h>

#include "base/panic.h"
#include "mta/exchange_inside.h"
#include "mta/identity.h"
#include "mta/link.h"
#include "mta/pool_inside.h"
#include "mta/verdict.h"

/* MAIL's record brings those of DATA and the dot with it, so that these two can no longer fail for lack of memory. */
struct mail_commands {
    struct mta_command mail, data, dot;
    struct smtp_mail_params params;
};

static struct mail_commands *mail_of(const struct mta_exchange *x)
{
    return CONTAINER_OF(x->first, struct mail_commands, mail);
}

static bool is_alive(const struct mta_exchange *x)
{
    return x->state >= MTA_EX_PLACING && x->state <= MTA_EX_DOT;
}

static bool has_link_ready(const struct mta_exchange *x)
{
    return x->link && x->link->phase == MTA_LINK_READY;
}

/* ---- telling the owner, at the end of the turn ---- */

static void notify_later(struct mta_exchange *x)
{
    task_defer(x->pool->loop, &x->notify);
}

static void remember_cause(struct mta_exchange *x, enum mta_failure failure, const char *text)
{
    struct str copy = arena_copy(x->arena, str_of_z(text));
    x->failure_text = copy.ptr ? copy.ptr : "out of memory";
    x->failure = (uint8_t)failure;
}

void mta_exchange_fail(struct mta_exchange *x, enum mta_failure failure, const char *text)
{
    remember_cause(x, failure, text);
    x->state = MTA_EX_FAILED;
    notify_later(x);
}

/* The connection is no longer in a state that anybody could go on from. */
static void abandon(struct mta_exchange *x, const char *text)
{
    mta_link_close(x->link);
    mta_exchange_fail(x, MTA_LOST, text);
}

static enum mta_step step_of(enum mta_state state)
{
    switch (state) {
    case MTA_AT_RCPT:
        return MTA_STEP_RCPT;
    case MTA_AT_DATA:
        return MTA_STEP_DATA;
    case MTA_AT_DOT:
        return MTA_STEP_DOT;
    default:
        return MTA_STEP_MAIL;
    }
}

/* The refusal of the client is the answer to every command; one a turn, because the owner may end the mail after each.
 */
static void tell_refusal(struct mta_exchange *x)
{
    struct mta_command *command = x->unanswered;
    if (!command)
        return;
    x->unanswered = command->next;
    if (x->unanswered)
        notify_later(x);
    bool is_told = command->told_class != 0;
    command->told_class = (uint8_t)(x->refusal->code / 100);
    if (!is_told)
        x->ops->on_reply(x->arg, step_of(command->state), command->index, x->refusal);
}

static void on_notify(void *arg)
{
    struct mta_exchange *x = arg;
    if (x->state == MTA_EX_REFUSED)
        tell_refusal(x);
    else if (x->state == MTA_EX_FAILED)
        x->ops->on_failed(x->arg, (enum mta_failure)x->failure, x->failure_text);
}

/* ---- sending ---- */

static bool is_awaiting_xforward(const struct mta_exchange *x)
{
    return x->link->xforward_answered < x->link->xforward_sent;
}

static bool is_awaiting(const struct mta_exchange *x)
{
    return x->unanswered != x->unsent || is_awaiting_xforward(x);
}

/* Without PIPELINING one command at a time; with it, as long as the server takes what was sent. */
static bool may_send(const struct mta_exchange *x)
{
    if (!x->link->dialogue.features.pipelining)
        return !is_awaiting(x);
    return conn_unsent_bytes(&x->link->conn) <= MTA_LOW_BYTES;
}

/* XFORWARD, which belongs to each mail anew: in one write with MAIL where commands may be pipelined. False: not done.
 */
static bool present(struct mta_exchange *x)
{
    struct mta_link *link = x->link;
    const struct mta_dialogue *d = &link->dialogue;
    if (!d->xforward || d->features.xforward == 0 || d->is_presented)
        return true;
    if (link->xforward_sent == 0)
        link->xforward_count = mta_identity_count(MTA_XFORWARD, d->features.xforward, x->client);
    while (link->xforward_sent < link->xforward_count) {
        if (!may_send(x))
            return false;
        if (!mta_link_send(link, MTA_AT_XFORWARD, NULL, link->xforward_sent)) {
            abandon(x, "out of memory");
            return false;
        }
        link->xforward_sent++;
    }
    return may_send(x);
}

static void count_mail(struct mta_link *link)
{
    if (link->mail_count++)
        counter_add(mta_pool_counters(link->pool), COUNTER_RELAY_REUSED, 1);
}

/* Sends what may be sent now. DATA waits for an accepted recipient: on the second try they are all asked anew. */
static void send_commands(struct mta_exchange *x)
{
    while (x->state == MTA_EX_COMMANDS && x->unsent && has_link_ready(x)) {
        struct mta_command *command = x->unsent;
        if (command->state == MTA_AT_DATA && x->accepted_count == 0)
            return;
        if (command->state == MTA_AT_MAIL && !present(x))
            return;
        if (!may_send(x))
            return;
        if (!mta_link_send(x->link, command->state, command, 0)) {
            abandon(x, "out of memory");
            return;
        }
        if (command->state == MTA_AT_MAIL)
            count_mail(x->link);
        x->unsent = command->next;
    }
}

static const char *lacking(unsigned extensions)
{
    return extensions & SMTP_EXT_SMTPUTF8 ? "SMTPUTF8" : extensions & SMTP_EXT_8BITMIME ? "8BITMIME" : "DSN";
}

/* An extension is never stripped silently (PROTOCOLS.md 2). False: the server lacks one, the mail failed. */
static bool check_needs(struct mta_exchange *x)
{
    unsigned missing = has_link_ready(x) ? x->needs & ~x->link->dialogue.features.extensions : 0;
    if (missing)
        mta_exchange_fail(x, MTA_LACKS, lacking(missing));
    return missing == 0;
}

void mta_exchange_on_ready(struct mta_exchange *x)
{
    x->state = MTA_EX_COMMANDS;
    if (check_needs(x))
        send_commands(x);
}

/* ---- a second try ---- */

static void start_over(struct mta_exchange *x)
{
    x->state = MTA_EX_PLACING;
    x->unsent = x->unanswered = x->first;
    x->accepted_count = 0;
    mta_pool_place(x->pool, x);
}

void mta_exchange_on_not_opened(struct mta_exchange *x, enum mta_failure failure, const char *text)
{
    remember_cause(x, failure, text); /* should no other server be there */
    x->tried |= x->server->bit;
    start_over(x);
}

void mta_exchange_on_lost(struct mta_exchange *x, enum mta_failure failure, bool may_replay, bool dot_has_left,
                          const char *text)
{
    if (!is_alive(x))
        return;
    if (may_replay && !x->was_replayed && x->state < MTA_EX_BODY) {
        x->was_replayed = x->wants_fresh_link = true;
        x->failure_text = NULL;
        start_over(x);
    } else {
        mta_exchange_fail(x, x->state == MTA_EX_DOT && dot_has_left ? MTA_UNKNOWN : failure, text);
    }
}

void mta_exchange_on_client_refused(struct mta_exchange *x, enum mta_state state, const struct smtp_answer *answer)
{
    struct mta_reply *refusal = arena_alloc(x->arena, sizeof *refusal);
    if (refusal) {
        mta_verdict(state, answer, refusal);
        refusal->text = arena_copy(x->arena, refusal->text);
    }
    if (!refusal || !refusal->text.ptr) {
        mta_exchange_fail(x, MTA_LOST, "out of memory");
        return;
    }
    x->refusal = refusal;
    x->state = MTA_EX_REFUSED;
    x->unanswered = x->first;
    notify_later(x);
}

/* ---- replies ---- */

enum mta_state mta_exchange_place(const struct mta_exchange *x)
{
    if (is_awaiting_xforward(x))
        return MTA_AT_XFORWARD;
    if (x->state == MTA_EX_BODY)
        return MTA_AT_BODY;
    if (x->state == MTA_EX_DOT) /* no verdict is due before its last byte has left */
        return conn_unsent_bytes(&x->link->conn) ? MTA_AT_BODY : MTA_AT_DOT;
    return x->unanswered != x->unsent ? (enum mta_state)x->unanswered->state : MTA_AT_READY;
}

/* Takes the link away for good, once the server's last word about this mail was said. */
static void finish(struct mta_exchange *x, bool was_taken)
{
    struct mta_link *link = x->link;
    x->state = MTA_EX_OVER;
    mta_link_detach(link);
    if (was_taken) {
        link->error_count = 0;
        mta_pool_give(link->pool, link);
    } else {
        mta_link_reset(link, 0);
    }
}

static void await_next(struct mta_exchange *x)
{
    mta_link_await_nothing(x->link);
    if (is_awaiting(x))
        mta_link_await(x->link, mta_exchange_place(x));
}

/* What a verdict changes before it is told. */
static void apply_verdict(struct mta_exchange *x, struct mta_command *command, unsigned code)
{
    x->unanswered = command->next;
    if (code >= 400)
        x->link->error_count++;
    if (command->state == MTA_AT_DOT) {
        finish(x, code < 400);
        return;
    }
    if (command->state == MTA_AT_RCPT && code < 400)
        x->accepted_count++;
    if (command->state == MTA_AT_DATA && code < 400)
        x->state = MTA_EX_BODY;
    await_next(x);
    send_commands(x);
}

static void on_verdict(struct mta_exchange *x, const struct smtp_answer *answer)
{
    struct mta_command *command = x->unanswered;
    struct mta_reply reply;
    uint8_t class = (uint8_t)(answer->code / 100), told_class = command->told_class;
    if (told_class && told_class != class) {
        abandon(x, "the second try went otherwise than the first");
        return;
    }
    if (mta_verdict(command->state, answer, &reply))
        mta_server_alarm(x->link->server, command->state, answer);
    command->told_class = class;
    apply_verdict(x, command, answer->code);
    if (!told_class)
        x->ops->on_reply(x->arg, step_of(command->state), command->index, &reply);
}

/* 421: the last word on this connection. On a pooled one it means that it came too late; else it is the verdict about
 * the command at hand, if there is one, and the end of the mail. */
static void on_closing(struct mta_exchange *x, enum mta_state place, const struct smtp_answer *answer)
{
    struct mta_link *link = x->link;
    struct mta_command *command = x->unanswered;
    struct mta_reply reply;
    bool was_idle = link->was_idle, is_verdict = place >= MTA_AT_MAIL && place != MTA_AT_BODY;
    struct str text = str_sub(answer->text, 0, str_find(answer->text, '\n'));
    char why[160] = "the connection was closed";
    if (text.len)
        str_copy_into(why, sizeof why, text);
    mta_link_close(link);
    if ((was_idle && !x->was_replayed && x->state < MTA_EX_BODY) || !is_verdict || command->told_class) {
        mta_exchange_on_lost(x, MTA_LOST, was_idle, false, why);
        return;
    }
    mta_verdict(place, answer, &reply);
    command->told_class = 4;
    x->unanswered = command->next;
    if (place == MTA_AT_DOT)
        x->state = MTA_EX_OVER;
    else
        mta_exchange_fail(x, MTA_LOST, why); /* told after the verdict, unless the owner ends it there */
    x->ops->on_reply(x->arg, step_of(place), command->index, &reply);
}

/* A mail that lacks an extension of the server still hears what was on its way until its owner ends it. */
static void swallow(struct mta_exchange *x, struct mta_turn turn)
{
    if (turn.move == MTA_TELLS)
        x->unanswered = x->unanswered->next;
    else if (turn.move == MTA_ENTERS)
        x->link->xforward_answered++;
    else
        mta_link_close(x->link);
}

static void on_break(struct mta_exchange *x, enum mta_state place, const char *why)
{
    char text[120];
    snprintf(text, sizeof text, "%s (%s)", why, mta_state_name(place));
    mta_link_close(x->link);
    mta_exchange_on_lost(x, MTA_BROKEN, false, place == MTA_AT_DOT, text);
}

void mta_exchange_on_turn(struct mta_exchange *x, enum mta_state place, struct mta_turn turn,
                          const struct smtp_answer *answer)
{
    if (!is_alive(x)) {
        swallow(x, turn);
        return;
    }
    switch (turn.move) {
    case MTA_ENTERS: /* of XFORWARD: MAIL */
        x->link->xforward_answered++;
        await_next(x);
        send_commands(x);
        return;
    case MTA_TELLS:
        on_verdict(x, answer);
        return;
    case MTA_CLOSES:
        on_closing(x, place, answer);
        return;
    case MTA_SHAKES_HANDS:
    case MTA_REFUSES:
    case MTA_REFUSES_CLIENT:
    case MTA_BREAKS:
        on_break(x, place, turn.why);
        return;
    }
}

void mta_exchange_on_drained(struct mta_exchange *x)
{
    if (x->state == MTA_EX_COMMANDS)
        send_commands(x);
    else if (x->state == MTA_EX_BODY)
        x->ops->on_drained(x->arg);
}

/* ---- what the mail's owner calls ---- */

void mta_begin(struct mta_exchange *x, struct mta_pool *pool, const struct mta_client *client, struct arena *arena,
               const struct mta_ops *ops, void *arg)
{
    *x = (struct mta_exchange){
        .ops = ops, .arg = arg, .pool = pool, .client = client, .arena = arena, .state = MTA_EX_BEGUN};
    list_init(&x->waiting);
    task_init(&x->notify, on_notify, x);
}

static void append(struct mta_exchange *x, struct mta_command *command)
{
    if (x->last)
        x->last->next = command;
    else
        x->first = command;
    x->last = command;
    if (!x->unsent)
        x->unsent = command;
    if (!x->unanswered)
        x->unanswered = command;
    if (x->state == MTA_EX_REFUSED)
        notify_later(x);
    else
        send_commands(x);
}

bool mta_mail(struct mta_exchange *x, const struct smtp_path *from, const struct smtp_mail_params *params)
{
    PANIC_IF(x->state != MTA_EX_BEGUN, "MAIL in exchange state %u", x->state);
    PANIC_IF(str_has_control(from->whole), "a sender with a control character");
    struct mail_commands *commands = arena_alloc(x->arena, sizeof *commands);
    if (!commands)
        return false;
    *commands = (struct mail_commands){.mail = {.state = MTA_AT_MAIL, .mail = &commands->params},
                                       .data = {.state = MTA_AT_DATA},
                                       .dot = {.state = MTA_AT_DOT},
                                       .params = *params};
    commands->mail.path = arena_copy(x->arena, from->whole);
    commands->params.envid = params->envid.ptr ? arena_copy(x->arena, params->envid) : STR_NONE;
    commands->params.auth = params->auth.ptr ? arena_copy(x->arena, params->auth) : STR_NONE;
    if (!commands->mail.path.ptr || (params->envid.ptr && !commands->params.envid.ptr) ||
        (params->auth.ptr && !commands->params.auth.ptr))
        return false;
    x->is_utf8 = params->smtputf8;
    x->needs = (uint8_t)smtp_mail_params_need(params);
    x->state = MTA_EX_PLACING;
    append(x, &commands->mail);
    mta_pool_place(x->pool, x);
    return true;
}

bool mta_rcpt(struct mta_exchange *x, const struct smtp_path *to, const struct smtp_rcpt_params *params)
{
    PANIC_IF(!x->first, "RCPT before MAIL");
    PANIC_IF(str_has_control(to->whole), "a recipient with a control character");
    struct mta_command *command = arena_alloc(x->arena, sizeof *command);
    if (!command)
        return false;
    *command = (struct mta_command){.state = MTA_AT_RCPT, .rcpt = *params, .index = x->recipient_count};
    command->path = arena_copy(x->arena, to->whole);
    command->rcpt.orcpt = params->orcpt.ptr ? arena_copy(x->arena, params->orcpt) : STR_NONE;
    if (!command->path.ptr || (params->orcpt.ptr && !command->rcpt.orcpt.ptr))
        return false;
    x->recipient_count++;
    x->needs |= (uint8_t)smtp_rcpt_params_need(params);
    if (x->state != MTA_EX_COMMANDS || check_needs(x))
        append(x, command);
    return true;
}

void mta_data(struct mta_exchange *x)
{
    if (!is_alive(x) && x->state != MTA_EX_REFUSED)
        return; /* on_failed came or comes */
    PANIC_IF(x->last == &mail_of(x)->data, "DATA twice");
    PANIC_IF(x->accepted_count == 0 && !x->unanswered, "DATA without an accepted recipient");
    append(x, &mail_of(x)->data);
}

bool mta_body(struct mta_exchange *x, struct str bytes)
{
    if (x->state == MTA_EX_FAILED)
        return false;
    PANIC_IF(x->state != MTA_EX_BODY, "body bytes in exchange state %u", x->state);
    return mta_link_send_body(x->link, bytes);
}

size_t mta_unsent_bytes(const struct mta_exchange *x)
{
    return x->link && x->link->has_conn ? conn_unsent_bytes(&x->link->conn) : 0;
}

void mta_dot(struct mta_exchange *x, bool at_line_start)
{
    if (x->state == MTA_EX_FAILED)
        return;
    PANIC_IF(x->state != MTA_EX_BODY, "the dot in exchange state %u", x->state);
    struct mta_command *dot = &mail_of(x)->dot;
    if (!at_line_start && !mta_link_send_body(x->link, STR("\r\n")))
        return;
    if (!mta_link_send(x->link, MTA_AT_DOT, dot, 0)) {
        abandon(x, "it does not take the message");
        return;
    }
    x->state = MTA_EX_DOT;
    x->last->next = dot;
    x->last = x->unanswered = dot;
}

struct str mta_server(const struct mta_exchange *x)
{
    return x->server ? str_of_z(x->server->text) : STR_NONE;
}

bool mta_takes_8bit(const struct mta_exchange *x)
{
    return x->link && (x->link->dialogue.features.extensions & SMTP_EXT_8BITMIME);
}

/* ---- the end ---- */

static unsigned replies_due(const struct mta_exchange *x)
{
    unsigned due = x->link->xforward_sent - x->link->xforward_answered;
    for (const struct mta_command *c = x->unanswered; c != x->unsent; c = c->next)
        due++;
    return due;
}

static bool data_was_sent(const struct mta_exchange *x)
{
    const struct mta_command *data = &mail_of(x)->data;
    return x->last == data && x->unsent != data;
}

/* What becomes of the link of a mail that is given up. */
static void leave_link(struct mta_exchange *x)
{
    struct mta_link *link = x->link;
    bool is_in_doubt = data_was_sent(x) && x->unanswered; /* 354 may come, and bytes may have followed */
    if (link->phase != MTA_LINK_READY) {
        /* it goes on opening, for whoever comes next, unless the server was told whose it is */
        if (link->dialogue.is_presented || link->dialogue.xclient_number || link->was_idle ||
            (link->phase == MTA_LINK_OPENING && link->state == MTA_AT_XCLIENT))
            mta_link_close(link);
        else
            mta_link_detach(link);
    } else if (x->state == MTA_EX_BODY || x->state == MTA_EX_DOT || is_in_doubt) {
        mta_link_close(link);
    } else if (x->unsent == x->first && link->xforward_sent == 0) {
        mta_link_detach(link);
        mta_pool_give(link->pool, link);
    } else {
        mta_link_reset(link, replies_due(x));
    }
}

void mta_end(struct mta_exchange *x)
{
    if (!x->pool)
        return;
    task_cancel(&x->notify);
    mta_pool_leave_queue(x->pool, x);
    if (x->link)
        leave_link(x);
    *x = (struct mta_exchange){.state = MTA_EX_NONE};
}
