/* link_test.h - one connection, and a server that the test plays byte by byte. */
#ifndef TEST_LINK_TEST_H
#define TEST_LINK_TEST_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "redis_test.h"

/* ---- the server ---- */

static struct {
    int listener, peer; /* -1: none */
    struct endpoint at;
    char heard[1 << 16];
    size_t heard_len;
} S;

static inline void server_start(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof any;
    S.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(S.listener, (struct sockaddr *)&any, sizeof any), 0);
    assert_int_equal(listen(S.listener, 8), 0);
    assert_int_equal(getsockname(S.listener, (struct sockaddr *)&any, &len), 0);
    S.at = (struct endpoint){.kind = ENDPOINT_IP, .port = ntohs(any.sin_port)};
    assert_true(ip_parse(STR("127.0.0.1"), &S.at.ip));
    S.peer = -1;
}

static inline void server_hang_up(void)
{
    if (S.peer >= 0)
        close(S.peer);
    S.peer = -1;
}

static inline void forget(void)
{
    S.heard_len = 0;
    S.heard[0] = '\0';
}

/* Takes what has come; beyond the buffer it is dropped. */
static inline void serve(void)
{
    int fd = accept4(S.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        server_hang_up();
        S.peer = fd;
    }
    ssize_t n = S.peer >= 0 ? read(S.peer, S.heard + S.heard_len, sizeof S.heard - 1 - S.heard_len) : 0;
    S.heard_len += n > 0 ? (size_t)n : 0;
    S.heard[S.heard_len] = '\0';
}

static inline bool has_heard(const char *text)
{
    serve();
    return strcmp(S.heard, text) == 0;
}

static inline void hear(const char *text)
{
    RUN_UNTIL(has_heard(text));
    forget();
}

static inline bool hears_end_with(const char *text)
{
    size_t len = strlen(text);
    serve();
    return S.heard_len >= len && strcmp(S.heard + S.heard_len - len, text) == 0;
}

static inline void say(const char *text)
{
    assert_int_equal(send(S.peer, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* ---- the link ---- */

static struct redis_link_options options;
static struct redis_link link_;
static struct resolver *resolver;
static unsigned ups, downs, ends, ends_before_down, pushes;
static enum redis_down down_kind;
static char why_down[400], pushed[100];
static bool refuses, opens_again;

static inline void on_up(struct redis_link *link)
{
    assert_ptr_equal(link, &link_);
    ups++;
    if (refuses)
        redis_link_close(link);
}

static inline void on_down(struct redis_link *link, enum redis_down kind, const char *why)
{
    downs++;
    down_kind = kind;
    ends_before_down = ends;
    assert_int_equal(link->state, REDIS_LINK_CLOSED);
    str_copy_into(why_down, sizeof why_down, str_of_z(why));
    if (opens_again)
        redis_link_open(link, &S.at);
}

static inline void on_call_end(struct redis_link *link, struct redis_call *c, enum redis_result result)
{
    (void)link;
    ends++;
    redis_call_finish(c, result);
}

static inline bool on_push(struct redis_link *link, const redisReply *reply)
{
    (void)link;
    const redisReply *kind = redis_reply_element(reply, 0);
    if (!kind || !str_equal(redis_reply_text(kind), STR("message")))
        return false;
    str_copy_into(pushed, sizeof pushed, redis_reply_text(redis_reply_element(reply, 2)));
    pushes++;
    return true;
}

static struct redis_link_ops ops;

static inline void open_link(void)
{
    redis_link_init(&link_, &loop, resolver, &options, &ops, &link_);
    redis_link_open(&link_, &S.at);
}

static inline int set_up(void **state)
{
    struct err err;
    (void)state;
    assert_true(loop_init(&loop, &err));
    resolver = NULL;
    ups = downs = ends = ends_before_down = pushes = 0;
    why_down[0] = '\0';
    refuses = opens_again = false;
    options = (struct redis_link_options){.step_ms = 50};
    ops = (struct redis_link_ops){.on_up = on_up, .on_down = on_down, .on_call_end = on_call_end};
    memset(&link_, 0, sizeof link_);
    forget();
    server_start();
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    redis_link_fini(&link_);
    resolver_free(&resolver);
    server_hang_up();
    close(S.listener);
    assert_true(list_is_empty(&loop.tasks));
    loop_fini(&loop);
    return 0;
}

#define HELLO     "*2\r\n$5\r\nHELLO\r\n$1\r\n2\r\n"
#define PING_TIME "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nTIME\r\n"
#define IS_MASTER                                                                                                      \
    "*6\r\n$7\r\nversion\r\n$5\r\n7.2.4\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"
#define IS_REPLICA                                                                                                     \
    "*8\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:2\r\n$4\r\nmode\r\n$7\r\ncluster\r\n$4\r\nrole\r\n$"         \
    "7\r\nreplica\r\n"
#define THE_TIME "*2\r\n$10\r\n1700000000\r\n$6\r\n000123\r\n"
#define WELCOME  IS_MASTER "+PONG\r\n" THE_TIME
#define GET_A    "*2\r\n$3\r\nGET\r\n$1\r\na\r\n"
#define GET_B    "*2\r\n$3\r\nGET\r\n$1\r\nb\r\n"

static inline void make_ready(void)
{
    open_link();
    hear(HELLO PING_TIME);
    say(WELCOME);
    RUN_UNTIL(ups == 1);
    assert_true(redis_link_is_ready(&link_));
}

#endif
