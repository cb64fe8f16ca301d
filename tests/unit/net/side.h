/* side.h - one end of a connection under test: remembers what it was told, and does what a test asks it to do then. */
#ifndef TEST_SIDE_H
#define TEST_SIDE_H

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/hash.h"
#include "net/conn.h"

struct side {
    struct conn c;
    struct buf got; /* what it consumed */
    unsigned inputs, readies, draineds, ends, closeds;
    enum conn_end why;
    char error[200];
    void (*on_input)(struct side *s); /* instead of taking all */
    void (*on_ready)(struct side *s), (*on_drained)(struct side *s), (*on_end)(struct side *s);
    void *arg;
};

static struct loop loop;

#define SIDE(conn) CONTAINER_OF(conn, struct side, c)

static inline void side_take_all(struct side *s)
{
    struct str in = conn_input(&s->c);
    assert_true(buf_append_str(&s->got, in));
    conn_consume(&s->c, in.len);
}

static inline void side_input(struct conn *c)
{
    SIDE(c)->inputs++;
    if (SIDE(c)->on_input)
        SIDE(c)->on_input(SIDE(c));
    else
        side_take_all(SIDE(c));
}

static inline void side_drained(struct conn *c)
{
    SIDE(c)->draineds++;
    if (SIDE(c)->on_drained)
        SIDE(c)->on_drained(SIDE(c));
}

static inline void side_ready(struct conn *c)
{
    SIDE(c)->readies++;
    if (SIDE(c)->on_ready)
        SIDE(c)->on_ready(SIDE(c));
}

static inline void side_end(struct conn *c, enum conn_end why)
{
    struct side *s = SIDE(c);
    s->ends++;
    s->why = why;
    str_copy_into(s->error, sizeof s->error, str_of_z(conn_error(c, why)));
    if (s->on_end)
        s->on_end(s);
}

static inline void side_closed(void *arg)
{
    struct side *s = arg;
    assert_false(conn_is_open(&s->c));
    s->closeds++;
}

static const struct conn_ops side_ops = {side_input, side_drained, side_ready, side_end};
static const struct conn_limits side_limits = {65536, 65536, 8192};

static inline void side_init(struct side *s)
{
    memset(s, 0, sizeof *s);
    buf_init(&s->got, 16 << 20);
}

static inline void side_fini(struct side *s)
{
    conn_close(&s->c);
    buf_fini(&s->got);
}

static inline bool side_got(const struct side *s, const char *text)
{
    return str_equal(buf_str(&s->got), str_of_z(text));
}

/* A connection of two descriptors: the first non-blocking for a conn, the second blocking for the test's own hands. */
static inline void make_pair(int pair[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(
        setsockopt(pair[1], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 5}, sizeof(struct timeval)), 0);
}

static inline int tcp_listen(struct endpoint *at)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof sin;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sin, len), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
    *at = (struct endpoint){.kind = ENDPOINT_IP, .port = ntohs(sin.sin_port)};
    assert_true(ip_parse(STR("127.0.0.1"), &at->ip));
    return fd;
}

static inline void make_tcp_pair(int pair[2])
{
    struct endpoint at;
    struct sockaddr_storage address;
    int listener = tcp_listen(&at);
    socklen_t len = endpoint_to_sockaddr(&at, &address);
    pair[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(pair[1], (struct sockaddr *)&address, len), 0);
    pair[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(pair[0] >= 0);
    assert_int_equal(
        setsockopt(pair[1], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 5}, sizeof(struct timeval)), 0);
    close(listener);
}

static inline void side_accept(struct side *s, int fd)
{
    side_init(s);
    assert_int_equal(ioctl(fd, FIONBIO, &(int){1}), 0);
    conn_init_accepted(&s->c, &loop, fd, &side_ops, &side_limits);
}

static inline void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (int)strlen(text));
}

/* Reads exactly the text. */
static inline void hear(int fd, const char *text)
{
    char got[256];
    assert_true(strlen(text) < sizeof got);
    ssize_t n = recv(fd, got, strlen(text), MSG_WAITALL);
    assert_int_equal(n, (int)strlen(text));
    assert_memory_equal(got, text, (size_t)n);
}

/* Turns of the loop until the condition holds; five seconds at most. */
#define RUN_UNTIL(condition)                                                                                           \
    do {                                                                                                               \
        for (int64_t until_ = clock_monotonic_ms() + 5000; !(condition) && clock_monotonic_ms() < until_;)             \
            loop_run_once(&loop, 20);                                                                                  \
        assert_true(condition);                                                                                        \
    } while (0)

static inline void run_turns(int count)
{
    while (count-- > 0)
        loop_run_once(&loop, 0);
}

static inline int set_up_loop(void **state)
{
    (void)state;
    struct err err;
    return loop_init(&loop, &err) ? 0 : -1;
}

static inline int tear_down_loop(void **state)
{
    (void)state;
    bool was_left_clean = list_is_empty(&loop.tasks) && !loop.calls && !loop.reader;
    loop_fini(&loop);
    return was_left_clean ? 0 : -1;
}

#define LOOP_TEST(f) cmocka_unit_test_setup_teardown(f, set_up_loop, tear_down_loop)

/* Bytes without a pattern that a mix-up would keep. */
static inline void fill_body(char *body, size_t len)
{
    uint64_t x = 88172645463325252u;
    for (size_t i = 0; i < len; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        body[i] = (char)x;
    }
}

/* Sends a body by conn_send_now, in pieces, as the other side takes them. */
struct source {
    char *body;
    size_t len, at, piece;
    unsigned waits;
};

static inline void source_go_on(struct side *s)
{
    struct source *from = s->arg;
    while (from->at < from->len && conn_unsent_bytes(&s->c) <= side_limits.out_low_bytes) {
        size_t n = MIN_OF(from->piece, from->len - from->at);
        assert_true(conn_send_now(&s->c, str_of(from->body + from->at, n)));
        from->at += n;
    }
    from->waits += from->at < from->len;
}

#endif
