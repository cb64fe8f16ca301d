/*
 * accept.c - the first moment: may this client be here at all? Decided before TLS and before a word is said.
 */
#include "session/session.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    INPUT_MAX_BYTES = 65536,   /* more than the longest line; a body is read as fast as the MTA takes it */
    OUTPUT_MAX_BYTES = 131072, /* all replies of a pipeline (SLOTS_MAX), each of 1 KB */
    OUTPUT_LOW_BYTES = 4096,
    ARENA_MAX_BYTES = 32768, /* tags that rules make for a connection */
};

const struct conn_ops session_conn_ops = {.on_input = session_on_input,
                                          .on_drained = session_on_drained,
                                          .on_ready = session_on_ready,
                                          .on_end = session_on_end};

const struct conn_limits session_conn_limits = {INPUT_MAX_BYTES, OUTPUT_MAX_BYTES, OUTPUT_LOW_BYTES};

void session_worker_init(struct session_worker *w)
{
    list_init(&w->sessions);
    w->session_count = w->tarpit_count = 0;
    w->is_draining = false;
    w->sequence = 0;
    memset(w->refused_bans, 0, sizeof w->refused_bans);
}

/* Milliseconds, worker and a running number: unique on this node, and sorted by time. */
static uint64_t next_number(struct session_worker *w)
{
    uint64_t ms = (uint64_t)loop_wall_us(w->loop) / 1000;
    return ms << 22 | (uint64_t)(w->number & 0xff) << 14 | (w->sequence++ & 0x3fff);
}

struct str session_id(const struct session *s, char *to)
{
    static const char DIGITS[] =
        "0123456789ABCDEFGHJKMNPQRSTVWXYZ"; /* without I, L, O, U: it is read over the telephone */
    uint64_t n = s->number;
    for (int i = 12; i >= 0; i--, n >>= 5)
        to[i] = DIGITS[n & 31];
    to[13] = '\0';
    return str_of(to, 13);
}

struct str session_mail_id(const struct session *s, unsigned mail, char *to)
{
    struct str id = session_id(s, to);
    char digits[STR_OF_U64_MAX];
    to[id.len] = '-';
    struct str number = str_copy_into(to + id.len + 1, SESSION_ID_MAX - id.len - 1, str_of_u64(digits, mail));
    return str_of(to, id.len + 1 + number.len);
}

/* Who speaks now spoke before the greeting, and however late that is, was told so by nobody. */
static void look_for_early_talk(struct session *s)
{
    bool speaks_first = s->listener->tls != LISTENER_TLS_IMPLICIT;
    if (policy_uses(s->worker->policy.policy, ATTRIBUTE_SESSION_EARLY) && speaks_first && conn_has_more_input(&s->conn))
        s->flags |= SESSION_IS_EARLY;
}

static void greet(struct session *s)
{
    struct str hostname = str_of_z(s->worker->config->hostname);
    if (s->worker
            ->is_draining) { /* taken from a backlog that nobody else would have looked at, or amid its handshake */
        session_end(s, "shutting down", REPLY_SHUTTING_DOWN);
        return;
    }
    look_for_early_talk(s);
    session_enter(s, SESSION_COMMAND);
    if (s->listener->banner.len)
        session_say(s, REPLY_GREETING_BANNER, hostname, s->listener->banner);
    else
        session_say(s, REPLY_GREETING, hostname);
    session_deadline(s, s->worker->config->timeout.greeting_ms);
}

void session_greet(struct session *s)
{
    if (!session_delay(s, greet))
        greet(s);
}

static void connect_go_on(struct session *s)
{
    if (s->listener->tls == LISTENER_TLS_IMPLICIT)
        session_start_tls(s);
    else
        session_greet(s);
}

enum { REFUSED_BAN_SAY_MS = 60000 };

/* Banned clients come in floods: of each network (`network prefix`) a worker writes one a minute down, with its
 * `connect` and `close`. Networks that share a place in the table take turns in it, and are written down more often. */
static bool is_worth_a_line(struct session *s)
{
    const struct config *cfg = s->worker->config;
    unsigned prefix = s->client.family == ADDR_IPV4 ? cfg->ipv4_prefix : cfg->ipv6_prefix;
    struct ip_net network = ip_net_of(&s->client, prefix);
    unsigned place = 0;
    for (size_t i = 0; i < sizeof network.ip.bytes; i++)
        place = place * 31 + network.ip.bytes[i];
    struct refused_ban *b = &s->worker->refused_bans[place % REFUSED_BANS];
    int64_t now_ms = loop_now_ms(s->worker->loop);
    if (b->said_ms && ip_net_contains(&b->network, &s->client) && now_ms - b->said_ms < REFUSED_BAN_SAY_MS)
        return false;
    *b = (struct refused_ban){network, MAX_OF(now_ms, (int64_t)1)};
    return true;
}

/* On 465 nothing can be said before TLS: every refusal just closes (GRAMMAR.md 4). */
static void connect_refused(struct session *s, const struct policy_answer *answer)
{
    counter_add(s->worker->counters, COUNTER_REFUSED_CONNECT, 1);
    if (answer->verdict != POLICY_BAN || is_worth_a_line(s))
        session_event_connect(s, answer);
    else
        s->flags |= SESSION_IS_UNTOLD;
    if (answer->code && s->listener->tls != LISTENER_TLS_IMPLICIT) {
        session_reply_text(s, answer->code, answer->enhanced, answer->text);
        session_close_when_sent(s, "refused");
        return;
    }
    session_close(s, "refused");
}

/* Too many: said without a session, so that being full costs nothing. */
static void refuse_full(struct session_worker *w, const struct listener_config *listener, int fd)
{
    struct buf out;
    buf_init(&out, 512);
    counter_add(w->counters, COUNTER_REFUSED_CONNECT, 1);
    if (listener->tls != LISTENER_TLS_IMPLICIT && smtp_reply_write(&out, REPLY_SERVER_FULL)) {
        ssize_t ignored = send(fd, buf_str(&out).ptr, buf_len(&out), MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)ignored;
    }
    buf_fini(&out);
    close(fd);
}

struct session *session_new(struct session_worker *w, const struct listener_config *listener, const struct ip *peer,
                            uint16_t port)
{
    struct session *s = w->session_count < w->max_sessions ? calloc(1, sizeof *s) : NULL;
    if (!s)
        return NULL;
    *s = (struct session){.worker = w, .listener = listener, .client = *peer, .port = port};
    s->number = next_number(w);
    s->opened_us = s->began_us = loop_wall_us(w->loop);
    s->ends_at_ms = loop_now_ms(w->loop) + w->config->timeout.session_ms;
    arena_init(&s->arena, ARENA_MAX_BYTES);
    session_prepare_end(s);
    list_add_last(&w->sessions, &s->node);
    w->session_count++;
    counter_add(w->counters, COUNTER_OPEN_CONNECTIONS, 1);
    return s;
}

void session_begin(struct session *s)
{
    session_ask(s, PHASE_CONNECT, connect_go_on, connect_refused);
}

void session_accept(struct session_worker *w, const struct listener_config *listener, int fd, const struct ip *peer,
                    uint16_t port)
{
    counter_add(w->counters, COUNTER_CONNECTIONS, 1);
    struct session *s = session_new(w, listener, peer, port);
    if (!s) {
        refuse_full(w, listener, fd);
        return;
    }
    conn_init_accepted(&s->conn, w->loop, fd, &session_conn_ops, &session_conn_limits);
    session_begin(s);
}
