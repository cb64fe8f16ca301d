/*
 * link.c - a connection's life, and the queue of calls on it. See link.h; what is said while opening: link_open.c.
 *
 * One deadline at a time: the resolver's while a name is looked up, the conn's for connecting, TLS and opening; then
 * none but silence, which runs only while replies are due.
 */
#include "redis/link.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/panic.h"
#include "redis/redis_inside.h"

/* Room for the opening beside what callers may have unsent. */
static const struct conn_limits LIMITS = {.in_max_bytes = LOOP_SCRATCH_BYTES, .out_max_bytes = REDIS_OUTPUT_MAX_BYTES};

static const struct conn_ops CONN_OPS;

static struct redis_call *call_of(struct list *node)
{
    return CONTAINER_OF(node, struct redis_call, node);
}

static struct redis_link *link_of(struct conn *c)
{
    return CONTAINER_OF(c, struct redis_link, conn);
}

/* The moment by which the step at hand must be done. */
static int64_t step_until_ms(const struct redis_link *link)
{
    return loop_now_ms(link->loop) + MAX_OF(link->options->step_ms, (unsigned)REDIS_STEP_MIN_MS);
}

/* ---- telling ---- */

static void deliver(struct redis_link *link, struct redis_call *c, size_t n, const redisReply *reply)
{
    if (c->is_inner || !link->ops->on_reply)
        redis_call_deliver(c, n, reply);
    else
        link->ops->on_reply(link, c, n, reply);
}

static void end_call(struct redis_link *link, struct redis_call *c, enum redis_result result)
{
    if (c->is_inner || !link->ops->on_call_end)
        redis_call_finish(c, result);
    else
        link->ops->on_call_end(link, c, result);
}

/* ---- the end ---- */

static void move_all(struct list *from, struct list *to)
{
    while (!list_is_empty(from)) {
        struct list *node = from->next;
        list_remove(node);
        list_add_last(to, node);
    }
}

struct ended {
    struct list lost, unsent;
};

/* After this the link could be opened again, though its calls have not heard yet. */
static void take_down(struct redis_link *link, struct ended *ended)
{
    list_init(&ended->lost);
    list_init(&ended->unsent);
    if (link->state == REDIS_LINK_CLOSED)
        return;
    link->state = REDIS_LINK_CLOSED;
    link->epoch++;
    if (link->query)
        resolve_cancel(link->query);
    link->query = NULL;
    conn_close(&link->conn);
    timer_cancel(&link->silence);
    timer_cancel(&link->time_timer);
    task_cancel(&link->fail_task);
    move_all(&link->calls, &ended->lost);
    move_all(&link->waiting, &ended->unsent);
    link->waiting_bytes = link->commands_due = 0;
}

static void end_all(struct redis_link *link, struct list *calls, enum redis_result result)
{
    while (!list_is_empty(calls)) {
        struct redis_call *c = call_of(calls->next);
        list_remove(&c->node);
        end_call(link, c, result);
    }
}

static void tell_calls(struct redis_link *link, struct ended *ended)
{
    end_all(link, &ended->lost, REDIS_LOST);
    end_all(link, &ended->unsent, REDIS_UNSENT);
}

void redis_link_close(struct redis_link *link)
{
    struct ended ended;
    take_down(link, &ended);
    tell_calls(link, &ended);
}

/* The owner hears of it before his calls do: who is told that his call is lost can know whether to try again. */
void redis_link_fail(struct redis_link *link, enum redis_down kind, const char *why, ...)
{
    char text[320];
    struct ended ended;
    va_list args;
    va_start(args, why);
    vsnprintf(text, sizeof text, why, args);
    va_end(args);
    take_down(link, &ended);
    link->ops->on_down(link, kind, text);
    tell_calls(link, &ended);
}

static void on_fail_task(void *arg)
{
    struct redis_link *link = arg;
    redis_link_fail(link, REDIS_DOWN_AWAY, "%s", link->fault);
}

static void fail_later(struct redis_link *link, const char *why)
{
    snprintf(link->fault, sizeof link->fault, "cannot be reached: %s", why);
    task_defer(link->loop, &link->fail_task);
}

/* ---- connecting ---- */

static bool connect_to(struct redis_link *link, const struct endpoint *address, struct err *err)
{
    link->state = REDIS_LINK_CONNECTING;
    return conn_init_connect(&link->conn, link->loop, address, &CONN_OPS, &LIMITS, step_until_ms(link), err);
}

/* One that cannot be tried at all (there is no route to it) is passed over. */
static void connect_to_next_address(struct redis_link *link)
{
    struct endpoint address = {.kind = ENDPOINT_IP, .port = link->endpoint.port};
    struct err err;
    bool has_begun = false;
    while (!has_begun && link->address_next < link->addresses.count) {
        address.ip = link->addresses.addresses[link->address_next++];
        has_begun = connect_to(link, &address, &err);
    }
    if (!has_begun)
        fail_later(link, err.text);
}

static void on_addresses(void *arg, const struct resolved *found)
{
    struct redis_link *link = arg;
    link->query = NULL;
    if (found->count == 0) {
        redis_link_fail(link, REDIS_DOWN_AWAY, "cannot be reached: %s", found->error);
        return;
    }
    link->addresses = *found;
    connect_to_next_address(link);
}

static void begin(struct redis_link *link)
{
    struct err err;
    link->state = REDIS_LINK_RESOLVING;
    if (!redis_reply_reader_init(&link->replies)) {
        fail_later(link, "out of memory");
        return;
    }
    if (link->endpoint.kind != ENDPOINT_NAME) {
        if (!connect_to(link, &link->endpoint, &err))
            fail_later(link, err.text);
        return;
    }
    if (link->resolver)
        link->query = resolve_start(link->resolver, link->endpoint.name, step_until_ms(link), on_addresses, link);
    if (!link->query)
        fail_later(link, link->resolver ? "out of memory" : "names are not resolved here");
}

void redis_link_open(struct redis_link *link, const struct endpoint *to)
{
    const struct endpoint copy = *to; /* the owner may take it from the link itself */
    redis_link_close(link);
    redis_reply_reader_fini(&link->replies);
    link->epoch++;
    link->endpoint = copy;
    link->server = (struct redis_server){.version = ""};
    link->addresses.count = link->address_next = 0;
    link->opening.is_without_hello = false;
    begin(link);
}

/* A certificate is checked against the name in the configuration, or the address. */
static bool start_tls(struct redis_link *link, struct err *err)
{
    char address[IP_TEXT_MAX];
    const char *name = link->endpoint.name;
    if (link->endpoint.kind == ENDPOINT_IP) {
        ip_format(&link->endpoint.ip, address);
        name = address;
    }
    link->state = REDIS_LINK_HANDSHAKE;
    return conn_start_tls_client(&link->conn, link->options->tls, name, err);
}

static void on_ready(struct conn *c)
{
    struct redis_link *link = link_of(c);
    bool wants_tls = link->options->tls && link->endpoint.kind != ENDPOINT_UNIX;
    struct err err;
    conn_set_deadline(c, step_until_ms(link));
    if (!wants_tls || link->state == REDIS_LINK_HANDSHAKE)
        redis_link_begin_opening(link);
    else if (!start_tls(link, &err))
        redis_link_fail(link, REDIS_DOWN_AWAY, "cannot be reached: TLS cannot begin: %s", err.text);
}

static void fail_connecting(struct redis_link *link, enum conn_end why)
{
    if (link->state == REDIS_LINK_HANDSHAKE && why == CONN_DEADLINE) /* Redis waits for the end of a line */
        redis_link_fail(link, REDIS_DOWN_CONFIGURATION, "is connected, but does not answer by TLS: is `tls` meant?");
    else if (why == CONN_TLS_FAILED)
        redis_link_fail(link, REDIS_DOWN_CONFIGURATION, "cannot be reached by TLS: %s", conn_error(&link->conn, why));
    else
        redis_link_fail(link, REDIS_DOWN_AWAY, "cannot be reached%s: %s",
                        link->state == REDIS_LINK_HANDSHAKE ? " by TLS" : "", conn_error(&link->conn, why));
}

static void on_end(struct conn *c, enum conn_end why)
{
    struct redis_link *link = link_of(c);
    const struct redis_opening *opening = &link->opening;
    switch (link->state) {
    case REDIS_LINK_CONNECTING:
        if (link->address_next < link->addresses.count) {
            conn_close(c);
            connect_to_next_address(link);
            return;
        }
        fail_connecting(link, why);
        return;
    case REDIS_LINK_HANDSHAKE:
        fail_connecting(link, why);
        return;
    case REDIS_LINK_OPENING: /* a server that sends us away has said why */
        if (opening->has_fault)
            redis_link_fail(link, opening->kind, "%s", opening->fault);
        else if (why == CONN_DEADLINE)
            redis_link_fail(link, REDIS_DOWN_AWAY, "is connected, but does not answer");
        else
            redis_link_fail(link, REDIS_DOWN_AWAY, "was lost while opening: %s", conn_error(c, why));
        return;
    case REDIS_LINK_READY:
        redis_link_fail(link, REDIS_DOWN_AWAY, "was lost: %s", conn_error(c, why));
        return;
    case REDIS_LINK_RESOLVING:
    case REDIS_LINK_CLOSED:
        return;
    }
}

/* ---- sending ---- */

static void on_silence(void *arg)
{
    redis_link_fail(arg, REDIS_DOWN_AWAY, "has said nothing for %d seconds", REDIS_SILENCE_MS / 1000);
}

/* It is sent: replies are due. */
static void enqueue(struct redis_link *link, struct redis_call *c)
{
    if (list_is_empty(&link->calls))
        timer_start(&link->silence, loop_now_ms(link->loop) + REDIS_SILENCE_MS);
    list_add_last(&link->calls, &c->node);
}

static void take_over(struct redis_link *link, struct redis_call *c)
{
    link->commands_due += c->command_count;
    c->answered = c->replied = 0;
    c->is_under_way = true;
}

static bool has_room(const struct redis_link *link, const struct redis_call *c)
{
    PANIC_IF(c->is_under_way, "a call to Redis is sent twice");
    return !c->is_broken && c->command_count > 0 && link->commands_due + c->command_count <= REDIS_COMMANDS_DUE_MAX;
}

bool redis_link_send_inner(struct redis_link *link, struct redis_call *c, bool is_secret)
{
    struct str wire = buf_str(&c->wire);
    if (!has_room(link, c) || !(is_secret ? conn_send_secret(&link->conn, wire) : conn_send(&link->conn, wire)))
        return false;
    take_over(link, c);
    enqueue(link, c);
    return true;
}

bool redis_link_send(struct redis_link *link, struct redis_call *c)
{
    if (link->state == REDIS_LINK_READY)
        return redis_link_send_inner(link, c, false);
    size_t bytes = buf_len(&c->wire);
    if (link->state == REDIS_LINK_CLOSED || !has_room(link, c) || bytes > REDIS_OUTPUT_MAX_BYTES - link->waiting_bytes)
        return false;
    take_over(link, c);
    link->waiting_bytes += bytes;
    list_add_last(&link->waiting, &c->node);
    return true;
}

static bool send_waiting(struct redis_link *link)
{
    while (!list_is_empty(&link->waiting)) {
        struct redis_call *c = call_of(link->waiting.next);
        if (!conn_send(&link->conn, buf_str(&c->wire)))
            return false;
        link->waiting_bytes -= buf_len(&c->wire);
        list_remove(&c->node);
        enqueue(link, c);
    }
    return true;
}

void redis_link_is_open(struct redis_link *link)
{
    uint32_t epoch = link->epoch;
    link->state = REDIS_LINK_READY;
    conn_set_deadline(&link->conn, 0);
    if (!link->options->is_bare)
        timer_start(&link->time_timer, loop_now_ms(link->loop) + REDIS_TIME_EVERY_MS);
    link->ops->on_up(link);
    if (link->epoch == epoch && !send_waiting(link))
        redis_link_fail(link, REDIS_DOWN_AWAY, "cannot be used: out of memory");
}

/* ---- receiving ---- */

static void take_reply(struct redis_link *link, const redisReply *reply)
{
    if (link->ops->on_push && link->ops->on_push(link, reply))
        return;
    if (list_is_empty(&link->calls)) {
        redis_link_fail(link, REDIS_DOWN_AWAY, "answers what was not asked");
        return;
    }
    /* Off the list first: whatever the callbacks do to the link, the call that has all its replies ends well. */
    struct redis_call *c = call_of(link->calls.next);
    size_t n = c->answered++;
    bool is_last = c->answered == c->command_count;
    link->commands_due--;
    if (is_last)
        list_remove(&c->node);
    deliver(link, c, n, reply);
    if (is_last)
        end_call(link, c, REDIS_DONE);
}

static void on_input(struct conn *c)
{
    struct redis_link *link = link_of(c);
    struct str input = conn_input(c);
    uint32_t epoch = link->epoch;
    const redisReply *reply;
    bool is_fed = redis_reply_reader_feed(&link->replies, input);
    conn_consume(c, input.len);
    while (is_fed && (reply = redis_reply_reader_next(&link->replies)) != NULL) {
        take_reply(link, reply);
        if (link->epoch != epoch)
            return;
    }
    if (link->replies.fault)
        redis_link_fail(link, REDIS_DOWN_AWAY, "%s", link->replies.fault);
    else if (list_is_empty(&link->calls))
        timer_rest(&link->silence);
    else
        timer_start(&link->silence, loop_now_ms(link->loop) + REDIS_SILENCE_MS);
}

static const struct conn_ops CONN_OPS = {.on_input = on_input, .on_ready = on_ready, .on_end = on_end};

/* ---- the server's clock ---- */

bool redis_link_take_time(struct redis_link *link, const redisReply *reply)
{
    const redisReply *seconds = redis_reply_element(reply, 0), *rest = redis_reply_element(reply, 1);
    uint64_t s, us;
    if (!seconds || !rest || !str_to_u64(redis_reply_text(seconds), UINT32_MAX, &s) ||
        !str_to_u64(redis_reply_text(rest), 999999, &us))
        return false;
    /* This process may have stood still with the answer before its door. */
    int64_t took_ms = loop_now_ms(link->loop) - link->time_sent_ms;
    if (link->state == REDIS_LINK_READY && took_ms > REDIS_TIME_LATE_MS)
        return true;
    link->clock_us = (int64_t)(s * 1000000 + us) - (link->time_sent_ms * 1000 + took_ms * 500);
    link->has_clock = true;
    return true;
}

static void on_time(struct redis_call *c, size_t n, const redisReply *reply)
{
    struct redis_link *link = c->arg;
    (void)n;
    bool is_taken = redis_link_take_time(link, reply);
    (void)is_taken; /* an error (the server has other troubles now): the clock goes on as it was */
}

static void on_time_done(struct redis_call *c, enum redis_result result)
{
    (void)c, (void)result;
}

/* No memory, or no answer to the last one yet: ten seconds later again. */
static void on_time_due(void *arg)
{
    struct redis_link *link = arg;
    struct redis_call *c = &link->time_call;
    static const struct str TIME = {"TIME", 4};
    timer_start(&link->time_timer, loop_now_ms(link->loop) + REDIS_TIME_EVERY_MS);
    if (c->is_under_way)
        return;
    redis_call_fini(c);
    redis_call_init_inner(c, on_time, on_time_done, link);
    link->time_sent_ms = loop_now_ms(link->loop);
    bool is_sent = redis_call_add(c, &TIME, 1) && redis_link_send_inner(link, c, false);
    (void)is_sent;
}

/* ---- life ---- */

void redis_link_init(struct redis_link *link, struct loop *l, struct resolver *resolver,
                     const struct redis_link_options *options, const struct redis_link_ops *ops, void *arg)
{
    *link = (struct redis_link){.loop = l, .resolver = resolver, .options = options, .ops = ops, .arg = arg};
    link->conn.fd = -1;
    list_init(&link->calls);
    list_init(&link->waiting);
    timer_init(&link->silence, l, on_silence, link);
    timer_init(&link->time_timer, l, on_time_due, link);
    task_init(&link->fail_task, on_fail_task, link);
}

static void forget_all(struct list *calls)
{
    LIST_EACH(node, calls)
    {
        list_remove(node);
        call_of(node)->is_under_way = false;
    }
}

void redis_link_fini(struct redis_link *link)
{
    struct ended ended;
    take_down(link, &ended);
    forget_all(&ended.lost);
    forget_all(&ended.unsent);
    redis_call_fini(&link->time_call);
    redis_call_fini(&link->opening.call);
    redis_reply_reader_fini(&link->replies);
}
