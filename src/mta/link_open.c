/*
 * link_open.c - a connection to the MTA from its beginning to READY: the name, TCP, greeting, EHLO, TLS, XCLIENT. Also
 * again from an idle connection, when it is to be presented to a client (XCLIENT). See link.h.
 *
 * The whole of it has connect_ms, so that a server that accepts connections but says nothing is as down as one that
 * does not accept them. Silence and 4xx are soft: while other connections to the same server live, it is busy, not
 * down.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "mta/exchange_inside.h"
#include "mta/link.h"
#include "mta/pool_inside.h"
#include "mta/verdict.h"

static int64_t now_ms(const struct mta_link *link)
{
    return loop_now_ms(link->pool->loop);
}

/* It never came to READY. A pooled one, which was to be presented to a client anew, says nothing about its server. */
void mta_link_fail_opening(struct mta_link *link, enum mta_failure failure, bool soft, const char *fmt, ...)
{
    struct mta_exchange *x = link->exchange;
    char text[200];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (link->was_idle) {
        mta_link_lose(link, MTA_LOST, true, text);
        return;
    }
    mta_link_detach(link);
    mta_server_failed(link->server, link, soft, text);
    mta_link_close(link);
    if (x)
        mta_exchange_on_not_opened(x, failure, text);
}

/* ---- opening ---- */

void mta_link_enter_opening(struct mta_link *link, enum mta_state state)
{
    link->phase = MTA_LINK_OPENING;
    link->state = (uint8_t)state;
    link->is_awaiting = false;
    mta_link_await(link, state);
    if (state != MTA_AT_GREETING && !mta_link_send(link, state, NULL, 0))
        mta_link_fail_opening(link, MTA_UNAVAILABLE, true, "out of memory");
}

static void become_ready(struct mta_link *link)
{
    link->phase = MTA_LINK_READY;
    mta_link_await_nothing(link);
    mta_link_count_ready(link, true);
    if (link->dialogue.is_presented)
        link->session = link->exchange->client->session;
    else
        mta_server_is_up(link->server, link);
    mta_link_probe_is_over(link);
    if (link->exchange)
        mta_exchange_on_ready(link->exchange);
    else
        mta_pool_give(link->pool, link);
}

/* After STARTTLS's 220 the next byte is ours. What stands behind the 220 already was put there by somebody else, to be
 * taken for what comes under TLS (RFC 3207 6). */
static void shake_hands(struct mta_link *link)
{
    struct err err;
    const struct endpoint *to = link->server->endpoint;
    const char *name = to->kind == ENDPOINT_NAME ? to->name : NULL;
    char ip[IP_TEXT_MAX];
    if (to->kind == ENDPOINT_IP && link->dialogue.tls == MTA_TLS_VERIFY) {
        ip_format(&to->ip, ip);
        name = ip;
    }
    if (conn_has_more_input(&link->conn)) {
        mta_link_fail_opening(link, MTA_BROKEN, false, "it spoke in the clear after STARTTLS");
        return;
    }
    link->is_shaking_hands = true;
    if (!conn_start_tls_client(&link->conn, link->pool->tls, name, &err))
        mta_link_fail_opening(link, MTA_UNAVAILABLE, true, "%s", err.text);
}

static void refuse_client(struct mta_link *link, const struct smtp_answer *answer)
{
    struct mta_exchange *x = link->exchange;
    enum mta_state state = link->state;
    mta_server_alarm(link->server, state, answer);
    mta_link_quit(link);
    mta_exchange_on_client_refused(x, state, answer);
}

void mta_link_on_opening_reply(struct mta_link *link, const struct smtp_answer *answer)
{
    struct mta_turn turn = mta_on_reply(&link->dialogue, link->state, answer);
    bool is_soft = answer->code / 100 == 4;
    struct str said = str_sub(answer->text, 0, str_find(answer->text, '\n'));
    bool is_about_client = link->exchange && (link->dialogue.is_presented || link->state == MTA_AT_XCLIENT);
    switch (turn.move) {
    case MTA_ENTERS:
        if (turn.next == MTA_AT_READY)
            become_ready(link);
        else
            mta_link_enter_opening(link, turn.next);
        return;
    case MTA_SHAKES_HANDS:
        shake_hands(link);
        return;
    case MTA_REFUSES_CLIENT:
        refuse_client(link, answer);
        return;
    case MTA_CLOSES:
        if (is_about_client) {
            refuse_client(link, answer);
            return;
        }
        turn.why = "it refused the connection";
        /* fall through */
    case MTA_REFUSES:
        if (answer->code >= 400)
            mta_link_fail_opening(link, MTA_UNAVAILABLE, is_soft, "%s: %u " PRI_STR, turn.why, answer->code,
                                  STR_ARG(said));
        else
            mta_link_fail_opening(link, MTA_UNAVAILABLE, false, "%s", turn.why);
        return;
    case MTA_TELLS:
    case MTA_BREAKS:
        mta_link_fail_opening(link, MTA_BROKEN, false, "%s (%s)", turn.why ? turn.why : "a verdict without a mail",
                              mta_state_name(link->state));
        return;
    }
}

/* ---- connecting ---- */

static void forget_conversation(struct mta_link *link)
{
    smtp_reply_reader_fini(&link->reader);
    smtp_reply_reader_init(&link->reader);
    mta_forget_features(&link->dialogue);
    link->is_shaking_hands = false;
    link->dialogue.tls_is_on = false;
}

/* To the next address; each gets its share of the time that is left. */
static void connect_now(void *arg)
{
    struct mta_link *link = arg;
    struct endpoint to = *link->server->endpoint;
    struct err err;
    int64_t until_ms = link->opens_until_ms;
    if (to.kind == ENDPOINT_NAME) {
        to.kind = ENDPOINT_IP;
        to.ip = link->addresses[link->address_next];
        to.name[0] = '\0';
        int64_t left_ms = MAX_OF(until_ms - now_ms(link), 1);
        until_ms = now_ms(link) + left_ms / (link->address_count - link->address_next);
    }
    forget_conversation(link);
    link->phase = MTA_LINK_CONNECTING;
    link->dialogue.tls = mta_server_tls(link->server, &to);
    timer_start(&link->deadline, link->opens_until_ms);
    link->has_conn =
        conn_init_connect(&link->conn, link->pool->loop, &to, &mta_link_ops, &mta_link_limits, until_ms, &err);
    if (!link->has_conn)
        mta_link_fail_opening(link, MTA_UNAVAILABLE, false, "%s", err.text);
}

static void connect_later(struct mta_link *link)
{
    conn_close(&link->conn);
    link->has_conn = false;
    link->phase = MTA_LINK_RESOLVING;
    task_defer(link->pool->loop, &link->connect_task);
}

static bool try_next_address(struct mta_link *link)
{
    if (link->address_next + 1 >= link->address_count)
        return false;
    link->address_next++;
    connect_later(link);
    return true;
}

static void on_resolved(void *arg, const struct resolved *answer)
{
    struct mta_link *link = arg;
    link->query = NULL;
    link->address_count = (uint8_t)MIN_OF(answer->count, COUNT_OF(link->addresses));
    for (size_t i = 0; i < link->address_count; i++)
        link->addresses[i] = answer->addresses[i];
    if (link->address_count)
        connect_now(link);
    else
        mta_link_fail_opening(link, MTA_UNAVAILABLE, false, "%s", answer->error);
}

static void begin_opening(void *arg)
{
    struct mta_link *link = arg;
    const struct endpoint *to = link->server->endpoint;
    if (to->kind != ENDPOINT_NAME || link->address_count) {
        connect_now(link);
        return;
    }
    link->query = resolve_start(link->pool->resolver, to->name, link->opens_until_ms, on_resolved, link);
    if (!link->query)
        mta_link_fail_opening(link, MTA_UNAVAILABLE, false, "out of memory");
}

/* The work begins at the end of the turn, so that every way to fail comes from outside of the caller. */
struct mta_link *mta_link_open(struct mta_server *server, struct mta_exchange *x)
{
    struct mta_pool *pool = server->pool;
    struct mta_link *link = calloc(1, sizeof *link);
    if (!link)
        return NULL;
    link->pool = pool;
    link->server = server;
    link->dialogue = (struct mta_dialogue){
        .hostname = pool->options->hostname, .xclient = pool->options->xclient, .xforward = pool->options->xforward};
    smtp_reply_reader_init(&link->reader);
    timer_init(&link->deadline, pool->loop, mta_link_on_deadline, link);
    task_init(&link->connect_task, begin_opening, link);
    link->phase = MTA_LINK_RESOLVING;
    link->opened_at_ms = now_ms(link);
    link->opens_until_ms = link->opened_at_ms + pool->options->connect_ms;
    timer_start(&link->deadline, link->opens_until_ms);
    list_init(&link->idle_node);
    list_add_last(&pool->links, &link->node);
    pool->link_count++;
    if (x) {
        link->exchange = x;
        link->dialogue.client = x->client;
        x->link = link;
        x->server = server;
        server->busy_count++;
    }
    task_defer(pool->loop, &link->connect_task);
    return link;
}

void mta_link_connected(struct mta_link *link)
{
    conn_set_deadline(&link->conn, 0); /* ours runs */
    if (link->is_shaking_hands) {
        link->is_shaking_hands = false;
        link->dialogue.tls_is_on = true;
        mta_link_enter_opening(link, MTA_AT_EHLO);
        return;
    }
    counter_add(mta_pool_counters(link->pool), COUNTER_RELAY_CONNECTIONS, 1);
    mta_link_enter_opening(link, MTA_AT_GREETING);
}

/* TLS where it may be: without it is still better than no mail, and the next connections need not find out again. */
static void connect_without_tls(struct mta_link *link, const char *why)
{
    log_warning("relay %s: TLS with %s does not work (%s); mail goes there without it for an hour",
                link->pool->options->name, link->server->text, why);
    link->server->plain_until_ms = now_ms(link) + MTA_PLAIN_MS;
    connect_later(link);
}

void mta_link_opening_ended(struct mta_link *link, enum conn_end why)
{
    const char *text = conn_error(&link->conn, why);
    bool is_silence = why == CONN_DEADLINE;
    if (link->is_shaking_hands && link->dialogue.tls == MTA_TLS_MAY && !is_silence)
        connect_without_tls(link, text);
    else if (link->is_shaking_hands)
        mta_link_fail_opening(link, MTA_UNAVAILABLE, is_silence, "TLS: %s", text);
    else if (link->phase != MTA_LINK_CONNECTING || !try_next_address(link))
        mta_link_fail_opening(link, MTA_UNAVAILABLE, is_silence, "%s", text);
}
