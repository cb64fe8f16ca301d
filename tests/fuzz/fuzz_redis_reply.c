// uses: redis
// wraps: conn_init_connect
/*
 * fuzz_redis_reply.c - what a server may send to a link: the input's first byte cuts the rest into pieces, the server
 * says them one after another, to an opening and to calls. Promises held: whatever comes, every call ends once, with
 * replies in order and never more of them than it has commands; what is copied reads as what was copied; a link that
 * has gone down stays down, and says why.
 */
#include <stdlib.h>

#include "base/panic.h"
#include "net/conn_memory.h"
#include "redis/redis_inside.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
bool __wrap_conn_init_connect(struct conn *c, struct loop *l, const struct endpoint *to, const struct conn_ops *ops,
                              const struct conn_limits *limits, int64_t deadline_ms, struct err *err);

bool __wrap_conn_init_connect(struct conn *c, struct loop *l, const struct endpoint *to, const struct conn_ops *ops,
                              const struct conn_limits *limits, int64_t deadline_ms, struct err *err)
{
    (void)to, (void)deadline_ms, (void)err;
    conn_init_memory(c, l, ops, limits);
    return true;
}

enum { CALLS = 4, COMMANDS = 3 };

struct asked {
    struct redis_call call;
    size_t replies, ends;
};

static struct loop loop;
static unsigned ups, downs;

static bool is_same(const redisReply *a, const redisReply *b)
{
    struct str text = redis_reply_text(a), other = redis_reply_text(b);
    if (a->type != b->type || a->integer != b->integer || a->elements != b->elements || !str_equal(text, other))
        return false;
    for (size_t i = 0; i < a->elements; i++)
        if (!is_same(redis_reply_element(a, i), redis_reply_element(b, i)))
            return false;
    return true;
}

static void on_reply(struct redis_call *c, size_t n, const redisReply *reply)
{
    struct asked *a = c->arg;
    PANIC_IF(n != a->replies++ || n >= COMMANDS || a->ends, "reply %zu", n);
    redisReply *copy = redis_reply_copy(reply);
    PANIC_IF(!copy || !is_same(reply, copy), "a copy is not the same");
    if (redis_reply_is_error(reply))
        redis_error_kind(reply);
    free(copy);
}

static void on_done(struct redis_call *c, enum redis_result result)
{
    struct asked *a = c->arg;
    PANIC_IF(a->ends++, "a call ends twice");
    PANIC_IF(result == REDIS_DONE && a->replies != COMMANDS, "a call is done after %zu replies", a->replies);
    PANIC_IF(result == REDIS_UNSENT && a->replies, "an unsent call has replies");
}

static void on_up(struct redis_link *link)
{
    (void)link;
    ups++;
}

static void on_down(struct redis_link *link, enum redis_down kind, const char *why)
{
    (void)kind;
    PANIC_IF(downs++ || link->state != REDIS_LINK_CLOSED || !why[0], "down");
}

static const struct redis_link_ops OPS = {.on_up = on_up, .on_down = on_down};
static const struct redis_link_options FULL = {.user = "u", .password = "p", .db = 1, .step_ms = 50};
static const struct redis_link_options BARE = {.is_bare = true};

static void ask(struct asked *a)
{
    const struct str words[] = {STR("GET"), STR("a")};
    *a = (struct asked){.ends = 0};
    redis_call_init(&a->call, on_reply, on_done, a);
    for (int i = 0; i < COMMANDS; i++)
        PANIC_IF(!redis_call_add(&a->call, words, COUNT_OF(words)), "no memory");
}

static void say_in_pieces(struct redis_link *link, struct str input, size_t piece)
{
    while (input.len && link->state != REDIS_LINK_CLOSED) {
        struct str part = str_sub(input, 0, piece);
        PANIC_IF(conn_memory_deliver(&link->conn, part) != part.len && link->state != REDIS_LINK_CLOSED, "not taken");
        input = str_from(input, part.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct asked asked[CALLS];
    struct redis_link link;
    struct endpoint to = {.kind = ENDPOINT_UNIX, .name = "/fuzz"};
    struct err err;
    if (!loop.ev)
        PANIC_IF(!loop_init(&loop, &err), "no loop");
    if (size == 0)
        return 0;
    ups = downs = 0;
    redis_link_init(&link, &loop, NULL, data[0] & 0x80 ? &FULL : &BARE, &OPS, NULL);
    redis_link_open(&link, &to);
    for (size_t i = 0; i < CALLS; i++) {
        ask(&asked[i]);
        PANIC_IF(!redis_link_send(&link, &asked[i].call), "a call is refused");
    }
    link.conn.ops->on_ready(&link.conn);
    say_in_pieces(&link, str_of((const char *)data + 1, size - 1),
                  (data[0] & 0x7f) ? data[0] & 0x7f : LOOP_SCRATCH_BYTES);
    loop_run_tasks(&loop);
    PANIC_IF((link.state == REDIS_LINK_CLOSED) != (downs == 1), "a link is down, or it is not");
    redis_link_close(&link);
    for (size_t i = 0; i < CALLS; i++) {
        PANIC_IF(asked[i].ends != 1, "a call has not ended");
        redis_call_fini(&asked[i].call);
    }
    redis_link_fini(&link);
    return 0;
}
