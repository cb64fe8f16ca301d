/* socketmap.c - tables that another program holds. See socketmap.h. */
#include "lookup/socketmap.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "lookup/socketmap_reply.h"
#include "net/conn.h"

enum {
    INPUT_MAX_BYTES = SOCKETMAP_REPLY_MAX_BYTES + 16,
    OUTPUT_MAX_BYTES = 2 << 20, /* REMOTE_MAX_OPEN questions with the longest keys */
    SAY_AGAIN_MS = 600000,      /* that a server refuses to answer */
};

/* One endpoint. */
struct server {
    struct socketmaps *all;
    const struct endpoint *endpoint;
    struct list questions; /* in the order in which they were, or will be, sent */
    struct conn conn;
    bool is_connecting; /* resolving included */
    struct resolve_query *resolving;
    struct resolved addresses;
    size_t next_address;
    int64_t connect_until_ms;
    int64_t heard_ms;     /* when it last answered */
    struct timer silence; /* the first question is answered by then */
    bool is_down;
    int64_t retry_ms; /* while it is down nobody asks before */
    int64_t backoff_ms;
};

struct map_table {
    struct server *server;
    const struct socketmap_options *options;
    struct inquiries *inquiries;
    int64_t said_ms; /* 0: never */
};

/* The state of an inquiry. */
struct question {
    struct list node;
    struct map_table *table;
    struct inquiry *inquiry;
    int64_t asked_ms;
    bool is_sent;
    bool was_lost; /* a connection went away with it once already */
};

struct socketmaps {
    struct loop *loop;
    struct resolver *resolver;
    struct event_log *events;
    size_t server_count, table_count;
    struct server *servers;
    struct map_table tables[];
};

static int64_t now_ms(const struct server *s)
{
    return loop_now_ms(s->all->loop);
}

static struct question *first_question(struct server *s)
{
    return list_is_empty(&s->questions) ? NULL : LIST_FIRST(&s->questions, struct question, node);
}

/* ---- answers ---- */

static void answer(struct question *q, enum remote_result result, struct str value)
{
    struct buf bytes;
    buf_init(&bytes, 1 + REMOTE_VALUE_MAX_BYTES);
    list_remove(&q->node);
    if (result == REMOTE_FAILED || !remote_answer_write(&bytes, result, value))
        buf_clear(&bytes);
    remote_answer(q->inquiry, &bytes, q->table->options->cache_ms);
    buf_fini(&bytes);
}

static void fail_all(struct server *s)
{
    for (struct question *q = first_question(s); q; q = first_question(s))
        answer(q, REMOTE_FAILED, STR(""));
}

/* ---- up and down ---- */

static void say_state(struct server *s, const char *state, const char *why)
{
    char endpoint[ENDPOINT_TEXT_MAX];
    struct event_log *events = s->all->events;
    for (size_t i = 0; events && i < s->all->table_count; i++) {
        const struct map_table *table = &s->all->tables[i];
        if (table->server != s)
            continue;
        event_begin(events, "table", loop_wall_us(s->all->loop));
        event_z(events, "table", table->options->name);
        event_str(events, "endpoint", endpoint_format(s->endpoint, endpoint));
        event_z(events, "state", state);
        event_z(events, "text", why);
        event_end(events);
    }
}

static void disconnect(struct server *s)
{
    if (s->resolving)
        resolve_cancel(s->resolving);
    s->resolving = NULL;
    s->is_connecting = false;
    conn_close(&s->conn);
    timer_cancel(&s->silence);
}

static void go_down(struct server *s, const char *why)
{
    disconnect(s);
    s->backoff_ms = s->backoff_ms ? MIN_OF(s->backoff_ms * 2, (int64_t)SOCKETMAP_RETRY_MAX_MS) : SOCKETMAP_RETRY_MS;
    s->retry_ms = now_ms(s) + s->backoff_ms;
    if (!s->is_down)
        say_state(s, "down", why);
    s->is_down = true;
    fail_all(s);
}

static void come_up(struct server *s)
{
    if (s->is_down)
        say_state(s, "up", NULL);
    s->is_down = false;
    s->backoff_ms = 0;
}

/* ---- sending ---- */

/* The first question is what the server is at: it has its time from when it was asked, or the one before answered. */
static void await(struct server *s)
{
    const struct question *q = first_question(s);
    if (q)
        timer_start(&s->silence, MAX_OF(q->asked_ms, s->heard_ms) + q->table->options->timeout_ms);
    else
        timer_cancel(&s->silence);
}

static void send_question(struct server *s, struct question *q)
{
    struct str map = str_of_z(q->table->options->map), key = inquiry_key(q->inquiry);
    struct buf *out = conn_output(&s->conn);
    size_t before = buf_len(out);
    bool is_whole = buf_printf(out, "%zu:", map.len + 1 + key.len) && buf_append_str(out, map) &&
                    buf_append_char(out, ' ') && buf_append_str(out, key) && buf_append_char(out, ',');
    if (!is_whole) {
        buf_truncate(out, before);
        answer(q, REMOTE_FAILED, STR(""));
        return;
    }
    q->is_sent = true;
    conn_flush_later(&s->conn);
    await(s);
}

static void send_all(struct server *s)
{
    LIST_EACH(node, &s->questions)
    {
        struct question *q = CONTAINER_OF(node, struct question, node);
        if (!q->is_sent)
            send_question(s, q);
    }
}

static void on_silence(void *arg)
{
    go_down(arg, "it does not answer in time");
}

/* ---- connecting ---- */

static const struct conn_ops OPS;

static void connect_to(struct server *s, const struct endpoint *to)
{
    static const struct conn_limits LIMITS = {INPUT_MAX_BYTES, OUTPUT_MAX_BYTES, 0};
    struct err err;
    s->is_connecting = true;
    if (!conn_init_connect(&s->conn, s->all->loop, to, &OPS, &LIMITS, s->connect_until_ms, &err))
        go_down(s, err.text);
}

static void connect_to_next_address(struct server *s)
{
    struct endpoint to = {.kind = ENDPOINT_IP, .port = s->endpoint->port};
    to.ip = s->addresses.addresses[s->next_address++];
    connect_to(s, &to);
}

static void on_addresses(void *arg, const struct resolved *found)
{
    struct server *s = arg;
    s->resolving = NULL;
    if (found->count == 0) {
        go_down(s, found->error);
        return;
    }
    s->addresses = *found;
    s->next_address = 0;
    connect_to_next_address(s);
}

static void open_connection(struct server *s, unsigned timeout_ms)
{
    s->connect_until_ms = now_ms(s) + timeout_ms;
    s->addresses.count = s->next_address = 0;
    if (s->endpoint->kind != ENDPOINT_NAME) {
        connect_to(s, s->endpoint);
        return;
    }
    s->is_connecting = true;
    s->resolving = resolve_start(s->all->resolver, s->endpoint->name, s->connect_until_ms, on_addresses, s);
    if (!s->resolving)
        go_down(s, "out of memory");
}

static struct server *server_of(struct conn *c)
{
    return CONTAINER_OF(c, struct server, conn);
}

static void on_ready(struct conn *c)
{
    struct server *s = server_of(c);
    s->is_connecting = false;
    s->heard_ms = now_ms(s);
    conn_set_deadline(c, 0);
    send_all(s);
}

/* It went away with questions open, which may only mean that it was idle for too long: once more, on a new one. */
static void ask_again(struct server *s, const char *why)
{
    struct question *q = first_question(s);
    if (q->was_lost) {
        go_down(s, why);
        return;
    }
    LIST_EACH(node, &s->questions)
    {
        struct question *lost = CONTAINER_OF(node, struct question, node);
        lost->was_lost = lost->was_lost || lost->is_sent;
        lost->is_sent = false;
    }
    disconnect(s);
    open_connection(s, q->table->options->timeout_ms);
}

static void on_end(struct conn *c, enum conn_end why)
{
    struct server *s = server_of(c);
    char text[200];
    str_copy_into(text, sizeof text, str_of_z(conn_error(c, why)));
    if (s->is_connecting && s->next_address < s->addresses.count) {
        conn_close(c);
        connect_to_next_address(s);
    } else if (s->is_connecting) {
        go_down(s, text);
    } else if (list_is_empty(&s->questions)) {
        disconnect(s);
    } else {
        ask_again(s, text);
    }
}

/* ---- receiving ---- */

/* A server that says it cannot answer is there: no change of state, but somebody should know. */
static void say_refusal(struct map_table *table, struct str text)
{
    int64_t now = now_ms(table->server);
    if (table->said_ms && now - table->said_ms < SAY_AGAIN_MS)
        return;
    table->said_ms = now;
    log_warning("table \"%s\": the socketmap server answers \"" PRI_STR "\"", table->options->name,
                STR_ARG(str_sub(text, 0, 200)));
}

static void take_reply(struct server *s, const struct socketmap_reply *reply)
{
    struct question *q = first_question(s);
    if (reply->result == REMOTE_FAILED)
        say_refusal(q->table, reply->text);
    s->heard_ms = now_ms(s);
    come_up(s);
    answer(q, reply->result, reply->result == REMOTE_FOUND ? reply->text : STR(""));
    await(s);
}

static void on_input(struct conn *c)
{
    struct server *s = server_of(c);
    struct socketmap_reply reply;
    while (conn_is_open(c)) {
        struct question *q = first_question(s);
        enum socketmap_read read = socketmap_reply_read(conn_input(c), &reply);
        bool was_asked = q && q->is_sent;
        if (read == SOCKETMAP_READ_MORE && (was_asked || conn_input(c).len == 0))
            return;
        if (read != SOCKETMAP_READ_REPLY || !was_asked) {
            go_down(s, was_asked ? "its answer is not of the protocol" : "it answers what was not asked");
            return;
        }
        take_reply(s, &reply);
        conn_consume(c, reply.bytes);
    }
}

static const struct conn_ops OPS = {.on_input = on_input, .on_ready = on_ready, .on_end = on_end};

/* ---- a question ---- */

static void ask(void *arg, struct inquiry *inquiry)
{
    struct map_table *table = arg;
    struct server *s = table->server;
    struct question *q = inquiry_state(inquiry);
    q->table = table;
    q->inquiry = inquiry;
    q->asked_ms = now_ms(s);
    list_add_last(&s->questions, &q->node);
    if (s->is_down && q->asked_ms < s->retry_ms)
        answer(q, REMOTE_FAILED, STR(""));
    else if (!s->is_connecting && conn_is_open(&s->conn))
        send_question(s, q);
    else if (!s->is_connecting) /* else it is sent when the connection is there */
        open_connection(s, table->options->timeout_ms);
}

static void drop(void *arg, struct inquiry *inquiry)
{
    struct question *q = inquiry_state(inquiry);
    (void)arg;
    list_remove(&q->node);
}

/* ---- life ---- */

static struct server *server_for(struct socketmaps *s, const struct endpoint *endpoint)
{
    for (size_t i = 0; i < s->server_count; i++)
        if (endpoint_equal(s->servers[i].endpoint, endpoint))
            return &s->servers[i];
    struct server *made = &s->servers[s->server_count++];
    made->all = s;
    made->endpoint = endpoint;
    made->conn.fd = -1;
    list_init(&made->questions);
    timer_init(&made->silence, s->loop, on_silence, made);
    return made;
}

struct socketmaps *socketmaps_new(struct loop *l, struct resolver *resolver, const struct socketmap_options *tables,
                                  size_t count, struct event_log *events, struct err *err)
{
    struct socketmaps *s = calloc(1, sizeof *s + count * sizeof s->tables[0]);
    if (!s || !(s->servers = calloc(count ? count : 1, sizeof *s->servers))) {
        err_no_memory(err);
        free(s);
        return NULL;
    }
    s->loop = l;
    s->resolver = resolver;
    s->events = events;
    for (size_t i = 0; i < count; i++) {
        struct map_table *t = &s->tables[i];
        t->options = &tables[i];
        t->server = server_for(s, tables[i].endpoint);
        t->inquiries = remote_inquiries_new(l, sizeof(struct question), ask, drop, t, err);
        if (!t->inquiries) {
            socketmaps_free(&s);
            return NULL;
        }
        s->table_count++;
    }
    return s;
}

void socketmaps_free(struct socketmaps **maps)
{
    struct socketmaps *s = *maps;
    if (!s)
        return;
    for (size_t i = 0; i < s->table_count; i++)
        inquiries_free(&s->tables[i].inquiries);
    for (size_t i = 0; i < s->server_count; i++)
        disconnect(&s->servers[i]);
    free(s->servers);
    free(s);
    *maps = NULL;
}

/* ---- waiting ---- */

static bool has_control(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
            return true;
    return false;
}

enum started socketmap_start(struct remote_query *q, struct socketmaps *s, unsigned table, struct str key,
                             int64_t deadline_ms, void (*done)(void *arg), void *arg)
{
    struct map_table *t = &s->tables[table];
    remote_query_init(q, done, arg);
    if (key.len == 0 || key.len > SOCKETMAP_KEY_MAX_BYTES || has_control(key))
        return DONE;
    deadline_ms = MIN_OF(deadline_ms, loop_now_ms(s->loop) + t->options->timeout_ms);
    return remote_start(q, t->inquiries, key, deadline_ms);
}
