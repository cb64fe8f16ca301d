/* One connection, and a server that the test plays byte by byte. */
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

static void server_start(void)
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

static void server_hang_up(void)
{
    if (S.peer >= 0)
        close(S.peer);
    S.peer = -1;
}

static void forget(void)
{
    S.heard_len = 0;
    S.heard[0] = '\0';
}

/* Takes what has come; beyond the buffer it is dropped. */
static void serve(void)
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

static bool has_heard(const char *text)
{
    serve();
    return strcmp(S.heard, text) == 0;
}

static void hear(const char *text)
{
    RUN_UNTIL(has_heard(text));
    forget();
}

static bool hears_end_with(const char *text)
{
    size_t len = strlen(text);
    serve();
    return S.heard_len >= len && strcmp(S.heard + S.heard_len - len, text) == 0;
}

static void say(const char *text)
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

static void on_up(struct redis_link *link)
{
    assert_ptr_equal(link, &link_);
    ups++;
    if (refuses)
        redis_link_close(link);
}

static void on_down(struct redis_link *link, enum redis_down kind, const char *why)
{
    downs++;
    down_kind = kind;
    ends_before_down = ends;
    assert_int_equal(link->state, REDIS_LINK_CLOSED);
    str_copy_into(why_down, sizeof why_down, str_of_z(why));
    if (opens_again)
        redis_link_open(link, &S.at);
}

static void on_call_end(struct redis_link *link, struct redis_call *c, enum redis_result result)
{
    (void)link;
    ends++;
    redis_call_finish(c, result);
}

static bool on_push(struct redis_link *link, const redisReply *reply)
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

static void open_link(void)
{
    redis_link_init(&link_, &loop, resolver, &options, &ops, &link_);
    redis_link_open(&link_, &S.at);
}

static int set_up(void **state)
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

static int tear_down(void **state)
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

static void make_ready(void)
{
    open_link();
    hear(HELLO PING_TIME);
    say(WELCOME);
    RUN_UNTIL(ups == 1);
    assert_true(redis_link_is_ready(&link_));
}

/* ---- opening ---- */

static void test_what_is_asked(void **state)
{
    (void)state;
    static const struct {
        const char *user, *password, *asked;
        unsigned db;
    } CASES[] = {
        {NULL, NULL, HELLO PING_TIME, 0},
        {NULL, NULL, HELLO "*2\r\n$6\r\nSELECT\r\n$2\r\n15\r\n" PING_TIME, 15},
        {NULL, "s e", "*5\r\n$5\r\nHELLO\r\n$1\r\n2\r\n$4\r\nAUTH\r\n$7\r\ndefault\r\n$3\r\ns e\r\n" PING_TIME, 0},
        {"u", "p", "*5\r\n$5\r\nHELLO\r\n$1\r\n2\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$1\r\np\r\n" PING_TIME, 0},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        options.user = CASES[i].user;
        options.password = CASES[i].password;
        options.db = CASES[i].db;
        open_link();
        hear(CASES[i].asked);
        assert_null(link_.opening.call.wire.data); /* no password stays behind */
        assert_null(link_.conn.out.data);
        redis_link_fini(&link_);
    }
}

static void test_what_a_server_is(void **state)
{
    (void)state;
    open_link();
    hear(HELLO PING_TIME);
    say(WELCOME);
    RUN_UNTIL(ups == 1);
    assert_int_equal(link_.server.role, REDIS_ROLE_MASTER);
    assert_int_equal(link_.server.mode, REDIS_MODE_STANDALONE);
    assert_string_equal(link_.server.version, "7.2.4");
    assert_int_equal(link_.clock_us + loop_now_ms(&loop) * 1000, 1700000000000123);
    redis_link_open(&link_, &S.at); /* again: nothing is left of the first */
    assert_int_equal(downs, 0);
    hear(HELLO PING_TIME);
    assert_int_equal(link_.server.role, REDIS_ROLE_UNKNOWN);
    say(IS_REPLICA "+PONG\r\n" THE_TIME);
    RUN_UNTIL(ups == 2);
    assert_int_equal(link_.server.role, REDIS_ROLE_REPLICA);
    assert_int_equal(link_.server.mode, REDIS_MODE_CLUSTER);
    assert_string_equal(link_.server.version, "");
}

static void test_byte_by_byte(void **state)
{
    (void)state;
    struct asked a;
    open_link();
    hear(HELLO PING_TIME);
    for (const char *at = WELCOME; *at; at++) {
        assert_int_equal(ups, 0);
        assert_int_equal(send(S.peer, at, 1, MSG_NOSIGNAL), 1);
        loop_run_once(&loop, 1);
    }
    RUN_UNTIL(ups == 1);
    asked_init(&a, "GET a ; GET a");
    assert_true(redis_link_send(&link_, &a.call));
    hear(GET_A GET_A);
    for (const char *at = "*3\r\n$3\r\na\r\n\r\n$-1\r\n*1\r\n:-7\r\n-ERR no\r\n"; *at; at++) {
        assert_int_equal(a.done_count, 0);
        assert_int_equal(send(S.peer, at, 1, MSG_NOSIGNAL), 1);
        loop_run_once(&loop, 1);
    }
    EXPECT_DONE(&a, "[a\r\n nil [-7]] (ERR no)");
    asked_fini(&a);
}

/* Answers that end an opening. */
static void test_openings_that_fail(void **state)
{
    (void)state;
    static const struct {
        const char *said, *why;
        enum redis_down kind;
        bool closes;
    } CASES[] = {
        {"-NOAUTH HELLO must be called with the client already authenticated\r\n-NOAUTH a\r\n-NOAUTH a\r\n",
         "wants a login: give `user` and `password-file` in `store`", REDIS_DOWN_CONFIGURATION, false},
        {"-WRONGPASS invalid username-password pair or user is disabled.\r\n-NOAUTH a\r\n-NOAUTH a\r\n",
         "refuses the login: no such user, or another password; see `user` and `password-file` in `store`",
         REDIS_DOWN_CONFIGURATION, false},
        {"-ERR AUTH <password> called without any password configured\r\n+PONG\r\n" THE_TIME,
         "has no password, but `store` gives one: set it there, or take it out", REDIS_DOWN_CONFIGURATION, false},
        {"-NOPROTO unsupported protocol version\r\n+PONG\r\n" THE_TIME, "refuses the login (NOPROTO)",
         REDIS_DOWN_CONFIGURATION, false},
        {IS_MASTER "-NOPERM this user has no permissions to run the 'ping' command\r\n" THE_TIME,
         "does not allow its user PING: give it the ACL of the manual", REDIS_DOWN_CONFIGURATION, false},
        {IS_MASTER "+PONG\r\n-NOPERM User has no permissions to run the 'time' command\r\n",
         "does not allow its user TIME: give it the ACL of the manual", REDIS_DOWN_CONFIGURATION, false},
        {IS_MASTER "-LOADING Redis is loading the dataset in memory\r\n" THE_TIME, "is loading its data",
         REDIS_DOWN_BUSY, false},
        {IS_REPLICA "-MASTERDOWN Link with MASTER is down\r\n" THE_TIME, "is a replica that has lost its master",
         REDIS_DOWN_BUSY, false},
        {IS_MASTER "-BUSY Redis is busy running a script.\r\n" THE_TIME, "is busy with a script", REDIS_DOWN_BUSY,
         false},
        {IS_MASTER "-ERR odd\r\n" THE_TIME, "refuses PING: ERR odd", REDIS_DOWN_CONFIGURATION, false},
        {"-ERR max number of clients reached\r\n", "has no room for more clients: raise its maxclients",
         REDIS_DOWN_BUSY, true},
        {"-DENIED Redis is running in protected mode because\r\n",
         "runs in protected mode and takes no connection from here: give it a password, and us the same",
         REDIS_DOWN_CONFIGURATION, true},
        {"", "was lost while opening: the peer closed the connection", REDIS_DOWN_AWAY, true},
        {IS_MASTER "+PONG\r\n*2\r\n$10\r\n17", "was lost while opening: the peer closed the connection",
         REDIS_DOWN_AWAY, true},
        {"HTTP/1.1 400 Bad Request\r\n\r\n", "sends what is not of Redis' protocol", REDIS_DOWN_AWAY, false},
        {"%3\r\n", "sends what is not of Redis' protocol", REDIS_DOWN_AWAY, false},
        {"*2147483647\r\n", "sends an array with too many elements", REDIS_DOWN_AWAY, false},
        {"*16385\r\n", "sends an array with too many elements", REDIS_DOWN_AWAY, false},
        {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", "sends what is not of Redis' protocol",
         REDIS_DOWN_AWAY, false},
        {":1\r\n+PONG\r\n" THE_TIME, "does not answer HELLO as Redis does", REDIS_DOWN_AWAY, false},
        {IS_MASTER "+PONG\r\n$3\r\n123\r\n", "does not answer TIME as Redis does", REDIS_DOWN_AWAY, false},
        {IS_MASTER "+PONG\r\n*2\r\n:1\r\n:2\r\n", "does not answer TIME as Redis does", REDIS_DOWN_AWAY, false},
        {IS_MASTER "+PONG\r\n*2\r\n$2\r\n-1\r\n$1\r\n2\r\n", "does not answer TIME as Redis does", REDIS_DOWN_AWAY,
         false},
        {IS_MASTER "+PONG\r\n*1\r\n$1\r\n1\r\n", "does not answer TIME as Redis does", REDIS_DOWN_AWAY, false},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct asked waiting;
        asked_init(&waiting, "GET a");
        open_link();
        assert_true(redis_link_send(&link_, &waiting.call));
        hear(HELLO PING_TIME);
        say(CASES[i].said);
        if (CASES[i].closes)
            server_hang_up();
        RUN_UNTIL(downs == i + 1);
        assert_string_equal(why_down, CASES[i].why);
        assert_int_equal(down_kind, CASES[i].kind);
        assert_int_equal(ups, 0);
        assert_int_equal(waiting.done_count, 1);
        assert_int_equal(waiting.result, REDIS_UNSENT);
        assert_false(redis_link_send(&link_, &waiting.call)); /* closed */
        redis_link_fini(&link_);
        asked_fini(&waiting);
    }
}

/* Before Redis 6: what it says of HELLO quotes the password, which must go no further. */
static void test_server_without_hello(void **state)
{
    (void)state;
    options.user = "u";
    options.password = "secret";
    options.db = 3;
    open_link();
    RUN_UNTIL(hears_end_with(PING_TIME));
    forget();
    say("-ERR unknown command `HELLO`, with args beginning with: `2`, `AUTH`, `u`, `secret`, \r\n"
        "-NOAUTH Authentication required.\r\n-NOAUTH Authentication required.\r\n-NOAUTH Authentication required.\r\n");
    hear("*3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$6\r\nsecret\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n"
         "*2\r\n$4\r\nINFO\r\n$11\r\nreplication\r\n" PING_TIME);
    assert_int_equal(ups + downs, 0);
    say("+OK\r\n+OK\r\n$39\r\n# Replication\r\nrole:slave\r\nmaster_x:1\r\n\r\n+PONG\r\n" THE_TIME);
    RUN_UNTIL(ups == 1);
    assert_int_equal(link_.server.role, REDIS_ROLE_REPLICA);

    redis_link_open(&link_, &S.at);
    RUN_UNTIL(hears_end_with(PING_TIME));
    forget();
    say("-ERR unknown command 'HELLO'\r\n-NOAUTH a\r\n-NOAUTH a\r\n-NOAUTH a\r\n");
    RUN_UNTIL(hears_end_with(PING_TIME));
    say("-ERR invalid password secret\r\n-NOAUTH a\r\n-NOAUTH a\r\n-NOAUTH a\r\n-NOAUTH a\r\n");
    RUN_UNTIL(downs == 1);
    assert_string_equal(why_down, "refuses the login (ERR)");
    assert_int_equal(down_kind, REDIS_DOWN_CONFIGURATION);
}

static void test_nothing_is_said(void **state)
{
    (void)state;
    open_link();
    hear(HELLO PING_TIME);
    RUN_UNTIL(downs == 1);
    assert_string_equal(why_down, "is connected, but does not answer");
}

static void test_nobody_is_there(void **state)
{
    (void)state;
    close(S.listener);
    open_link();
    assert_int_equal(downs, 0);
    RUN_UNTIL(downs == 1);
    assert_string_equal(why_down, "cannot be reached: connection refused");
    struct endpoint nowhere = {.kind = ENDPOINT_UNIX, .name = "/nonexistent/redis.sock"};
    redis_link_open(&link_, &nowhere);
    assert_int_equal(downs, 1); /* never from inside */
    RUN_UNTIL(downs == 2);
    assert_int_equal(strncmp(why_down, "cannot be reached: ", 19), 0);
    struct endpoint name = {.kind = ENDPOINT_NAME, .name = "localhost", .port = 1};
    redis_link_open(&link_, &name);
    assert_int_equal(downs, 2);
    RUN_UNTIL(downs == 3);
    assert_string_equal(why_down, "cannot be reached: names are not resolved here");
    server_start();
}

static void test_by_name(void **state)
{
    (void)state;
    struct err err;
    uint16_t port = S.at.port;
    resolver = resolver_new(&loop, &err);
    assert_non_null(resolver);
    S.at = (struct endpoint){.kind = ENDPOINT_NAME, .name = "localhost", .port = port};
    open_link();
    hear(HELLO PING_TIME);
    say(WELCOME);
    RUN_UNTIL(ups == 1);
    redis_link_open(&link_, &S.at);
    redis_link_fini(&link_); /* while the name is looked up */
}

/* An owner that finds it is the wrong server. */
static void test_refused_by_its_owner(void **state)
{
    (void)state;
    struct asked a;
    refuses = true;
    asked_init(&a, "GET a");
    open_link();
    assert_true(redis_link_send(&link_, &a.call));
    hear(HELLO PING_TIME);
    say(WELCOME);
    RUN_UNTIL(a.done_count == 1);
    assert_int_equal(a.result, REDIS_UNSENT);
    assert_int_equal(ups, 1);
    assert_int_equal(downs, 0);
    assert_int_equal(link_.state, REDIS_LINK_CLOSED);
    asked_fini(&a);
}

static void test_bare(void **state)
{
    (void)state;
    struct asked a;
    options.is_bare = true;
    ops.on_push = on_push;
    open_link();
    RUN_UNTIL(ups == 1);
    asked_init(&a, "SUBSCRIBE c");
    assert_true(redis_link_send(&link_, &a.call));
    hear("*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nc\r\n");
    say("*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$4\r\ntext\r\n");
    RUN_UNTIL(pushes == 1);
    assert_string_equal(pushed, "text");
    assert_string_equal(a.replies, "[subscribe c 1]");
    say("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$4\r\nmore\r\n");
    RUN_UNTIL(pushes == 2);
    say("+what was not asked\r\n");
    RUN_UNTIL(downs == 1);
    assert_string_equal(why_down, "answers what was not asked");
    asked_fini(&a);
}

/* ---- calls ---- */

/* All of a turn leave in one write, in their order; each gets what is his. */
static void test_order(void **state)
{
    (void)state;
    struct asked a, b;
    make_ready();
    asked_init(&a, "GET a ; GET b");
    asked_init(&b, "GET b");
    assert_true(redis_link_send(&link_, &a.call));
    assert_true(redis_link_send(&link_, &b.call));
    hear(GET_A GET_B GET_B);
    say("$1\r\n1\r\n");
    RUN_UNTIL(a.reply_count == 1);
    say("$1\r\n2\r\n");
    RUN_UNTIL(a.reply_count == 2);
    assert_int_equal(a.done_count, 1);
    assert_int_equal(b.reply_count, 0);
    assert_int_equal(link_.commands_due, 1);
    say("$1\r\n3\r\n");
    EXPECT_DONE(&b, "3");
    assert_string_equal(a.replies, "1 2");
    assert_false(timer_is_running(&link_.silence));
    assert_true(redis_link_send(&link_, &b.call)); /* the same once more */
    hear(GET_B);
    b.done_count = 0;
    b.reply_count = 0;
    say("$1\r\n4\r\n");
    EXPECT_DONE(&b, "3 4");
    asked_fini(&a);
    asked_fini(&b);
}

/* What was sent is lost, replies that came before stand; the owner hears of the end first. */
static void test_end_amid_replies(void **state)
{
    (void)state;
    struct asked a, b;
    make_ready();
    asked_init(&a, "GET a ; GET b");
    asked_init(&b, "GET b");
    assert_true(redis_link_send(&link_, &a.call));
    assert_true(redis_link_send(&link_, &b.call));
    hear(GET_A GET_B GET_B);
    say("$1\r\n1\r\n$7\r\n12");
    server_hang_up();
    RUN_UNTIL(downs == 1);
    assert_int_equal(ends_before_down, 0);
    assert_int_equal(a.done_count + b.done_count, 2);
    assert_int_equal(a.result, REDIS_LOST);
    assert_int_equal(b.result, REDIS_LOST);
    assert_string_equal(a.replies, "1");
    assert_string_equal(why_down, "was lost: the peer closed the connection");
    assert_int_equal(link_.commands_due, 0);
    asked_fini(&a);
    asked_fini(&b);
}

static void test_opened_again_from_inside(void **state)
{
    (void)state;
    struct asked a;
    make_ready();
    opens_again = true;
    asked_init(&a, "GET a");
    assert_true(redis_link_send(&link_, &a.call));
    hear(GET_A);
    say("nonsense\r\n");
    hear(HELLO PING_TIME);
    assert_int_equal(a.result, REDIS_LOST);
    say(WELCOME);
    RUN_UNTIL(ups == 2);
    assert_int_equal(downs, 1);
    a.done_count = 0;
    assert_true(redis_link_send(&link_, &a.call));
    hear(GET_A);
    say("$1\r\n1\r\n");
    EXPECT_DONE(&a, "1");
    asked_fini(&a);
}

static void test_silence(void **state)
{
    (void)state;
    struct asked a, b;
    make_ready();
    asked_init(&a, "GET a");
    asked_init(&b, "GET b");
    assert_false(timer_is_running(&link_.silence)); /* nothing is due */
    assert_true(redis_link_send(&link_, &a.call));
    int64_t until_ms = link_.silence.at_ms;
    assert_int_equal(until_ms, loop_now_ms(&loop) + REDIS_SILENCE_MS);
    loop_run_once(&loop, 3);
    assert_true(redis_link_send(&link_, &b.call));
    assert_int_equal(link_.silence.at_ms, until_ms); /* another question is no answer */
    hear(GET_A GET_B);
    loop_run_once(&loop, 3);
    say("$10\r\n1");
    RUN_UNTIL(link_.silence.at_ms > until_ms); /* a byte is one */
    link_.silence.on_due(link_.silence.arg);
    assert_int_equal(downs, 1);
    assert_string_equal(why_down, "has said nothing for 10 seconds");
    assert_int_equal(a.result, REDIS_LOST);
    assert_int_equal(b.result, REDIS_LOST);
    asked_fini(&a);
    asked_fini(&b);
}

/* Every ten seconds; an answer that is none leaves the clock as it was. */
static void test_time(void **state)
{
    (void)state;
    make_ready();
    assert_in_range(link_.time_timer.at_ms, loop_now_ms(&loop), loop_now_ms(&loop) + REDIS_TIME_EVERY_MS);
    link_.time_timer.on_due(link_.time_timer.arg);
    link_.time_timer.on_due(link_.time_timer.arg); /* the last one is not answered yet */
    assert_int_equal(link_.commands_due, 1);
    hear("*1\r\n$4\r\nTIME\r\n");
    say("*2\r\n$10\r\n1800000000\r\n$1\r\n0\r\n");
    RUN_UNTIL(link_.commands_due == 0);
    assert_int_equal(link_.clock_us + loop_now_ms(&loop) * 1000, 1800000000000000);
    int64_t clock_us = link_.clock_us;
    link_.time_timer.on_due(link_.time_timer.arg);
    hear("*1\r\n$4\r\nTIME\r\n");
    say("-NOPERM no\r\n");
    RUN_UNTIL(link_.commands_due == 0);
    assert_int_equal(link_.clock_us, clock_us);
    assert_int_equal(downs, 0);
}

static void on_nothing(struct redis_call *c, enum redis_result result)
{
    (void)result;
    (*(unsigned *)c->arg)++;
}

static void test_replies_that_nobody_reads(void **state)
{
    (void)state;
    unsigned done = 0;
    struct redis_call c;
    struct str words[] = {STR("GET"), STR("a")};
    make_ready();
    redis_call_init(&c, NULL, on_nothing, &done);
    assert_true(redis_call_add(&c, words, 2));
    assert_true(redis_link_send(&link_, &c));
    hear(GET_A);
    say("*2\r\n:1\r\n:2\r\n");
    RUN_UNTIL(done == 1);
    redis_call_fini(&c);
}

/* ---- bounds ---- */

static void test_replies_that_are_too_long(void **state)
{
    (void)state;
    static const char *const STARTS[] = {"$2000000\r\n", "*3\r\n$10\r\n0123456789\r\n$1999999\r\n", "+"};
    static char piece[8193];
    memset(piece, 'x', sizeof piece - 1);
    for (size_t i = 0; i < COUNT_OF(STARTS); i++) {
        struct asked a;
        ups = 0;
        make_ready();
        asked_init(&a, "GET a");
        assert_true(redis_link_send(&link_, &a.call));
        hear(GET_A);
        say(STARTS[i]);
        size_t sent = 0;
        while (downs == i && sent < 2 << 20) {
            ssize_t n = send(S.peer, piece, sizeof piece - 1, MSG_NOSIGNAL);
            sent += n > 0 ? (size_t)n : 0;
            loop_run_once(&loop, 0);
        }
        RUN_UNTIL(downs == i + 1);
        assert_in_range(sent, REDIS_REPLY_MAX_BYTES, REDIS_REPLY_MAX_BYTES + (512 << 10)); /* in the sockets */
        assert_string_equal(why_down, "sends a reply that is too long");
        assert_int_equal(a.result, REDIS_LOST);
        redis_link_fini(&link_);
        asked_fini(&a);
    }
}

static void test_reply_that_is_as_long_as_may_be(void **state)
{
    (void)state;
    enum { BYTES = 1000000 };
    char *text = malloc(BYTES + 1), *at = text;
    struct redis_call c;
    struct str words[] = {STR("GET"), STR("a")};
    unsigned done = 0;
    assert_non_null(text);
    memset(text, 'y', BYTES);
    text[BYTES] = '\0';
    make_ready();
    redis_call_init(&c, NULL, on_nothing, &done);
    assert_true(redis_call_add(&c, words, 2));
    assert_true(redis_link_send(&link_, &c));
    hear(GET_A);
    say("$1000000\r\n");
    while (at < text + BYTES) {
        ssize_t n = send(S.peer, at, (size_t)(text + BYTES - at), MSG_NOSIGNAL);
        at += n > 0 ? n : 0;
        loop_run_once(&loop, 0);
    }
    say("\r\n");
    RUN_UNTIL(done == 1);
    assert_int_equal(downs, 0);
    redis_call_fini(&c);
    free(text);
}

static void test_commands_due(void **state)
{
    (void)state;
    enum { EACH = REDIS_CALL_COMMANDS_MAX, CALLS = REDIS_COMMANDS_DUE_MAX / EACH };
    struct redis_call *calls = calloc(CALLS + 1, sizeof *calls);
    struct str word = STR("PING");
    unsigned done = 0;
    assert_non_null(calls);
    make_ready();
    for (size_t i = 0; i <= CALLS; i++) {
        redis_call_init(&calls[i], NULL, on_nothing, &done);
        for (size_t n = 0; n < (i < CALLS ? EACH : 1); n++)
            assert_true(redis_call_add(&calls[i], &word, 1));
        assert_int_equal(redis_link_send(&link_, &calls[i]), i < CALLS);
    }
    assert_int_equal(link_.commands_due, REDIS_COMMANDS_DUE_MAX);
    redis_link_close(&link_);
    assert_int_equal(done, CALLS);
    assert_int_equal(downs, 0);
    for (size_t i = 0; i <= CALLS; i++)
        redis_call_fini(&calls[i]);
    free(calls);
}

/* What cannot leave, because there is no connection yet or the server takes nothing, is bounded too. */
static void test_unsent_bytes(void **state)
{
    (void)state;
    enum { BYTES = 1 << 20 };
    struct redis_call calls[12];
    char *text = malloc(BYTES);
    unsigned done = 0;
    assert_non_null(text);
    memset(text, 'z', BYTES);
    const struct str words[] = {STR("SET"), STR("a"), str_of(text, BYTES)};
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        redis_call_init(&calls[i], NULL, on_nothing, &done);
        assert_true(redis_call_add(&calls[i], words, 3));
    }
    open_link();
    for (size_t i = 0; i < COUNT_OF(calls); i++)
        assert_int_equal(redis_link_send(&link_, &calls[i]), i < 7);
    assert_int_equal(done, 0);
    redis_link_fini(&link_);
    make_ready();
    done = 0;
    for (size_t i = 0; i < COUNT_OF(calls); i++)
        assert_int_equal(redis_link_send(&link_, &calls[i]), i < 7);
    redis_link_close(&link_);
    assert_int_equal(done, 7);
    for (size_t i = 0; i < COUNT_OF(calls); i++)
        redis_call_fini(&calls[i]);
    free(text);
}

static void test_calls_that_are_refused(void **state)
{
    (void)state;
    struct redis_call c;
    struct str word = STR("PING");
    static const struct str MANY[REDIS_REPLY_MAX_ELEMENTS + 1];
    unsigned done = 0;
    make_ready();
    redis_call_init(&c, NULL, on_nothing, &done);
    assert_false(redis_link_send(&link_, &c)); /* nothing is asked */
    for (int i = 0; i < REDIS_CALL_COMMANDS_MAX; i++)
        assert_true(redis_call_add(&c, &word, 1));
    assert_false(redis_call_add(&c, &word, 1));
    assert_false(redis_link_send(&link_, &c)); /* a part would be sent */
    redis_call_fini(&c);
    redis_call_init(&c, NULL, on_nothing, &done);
    assert_false(redis_call_add(&c, MANY, COUNT_OF(MANY)));
    assert_false(redis_call_add(&c, MANY, 0));
    redis_call_fini(&c);
    redis_call_fini(&c); /* harmless */
    struct redis_call zeroed = {.on_reply = NULL};
    redis_call_fini(&zeroed);
    assert_int_equal(done, 0);
}

/* ---- pieces ---- */

static void test_commands_are_found_again(void **state)
{
    (void)state;
    struct asked a;
    struct redis_call copy;
    struct str words[70];
    for (size_t i = 0; i < COUNT_OF(words); i++)
        words[i] = STR("*1\r\n$3");
    words[1] = STR_NONE;
    asked_init(&a, "GET a");
    assert_true(redis_call_add(&a.call, words + 2, 68));
    assert_true(redis_call_add(&a.call, words, 2));
    assert_true(str_equal(redis_call_command(&a.call, 0), STR(GET_A)));
    assert_true(str_starts(redis_call_command(&a.call, 1), STR("*68\r\n$6\r\n*1\r\n$3\r\n")));
    assert_int_equal(redis_call_command(&a.call, 1).len, 5 + 68 * 12);
    assert_true(str_equal(redis_call_command(&a.call, 2), STR("*2\r\n$6\r\n*1\r\n$3\r\n$0\r\n\r\n")));
    redis_call_init_inner(&copy, NULL, on_nothing, NULL);
    assert_true(redis_call_add_wire(&copy, redis_call_command(&a.call, 2), 1));
    assert_true(str_equal(buf_str(&copy.wire), redis_call_command(&a.call, 2)));
    redis_call_fini(&copy);
    asked_fini(&a);
}

static void test_replies_are_copied(void **state)
{
    (void)state;
    struct redis_reply_reader reader;
    struct asked before = {.replies = ""}, after = {.replies = ""};
    static const char TEXT[] = "*7\r\n$3\r\nabc\r\n:5\r\n$-1\r\n*0\r\n*2\r\n+ok\r\n*1\r\n$0\r\n\r\n-ERR x\r\n*-1\r\n";
    assert_true(redis_reply_reader_init(&reader));
    assert_true(redis_reply_reader_feed(&reader, str_of(TEXT, sizeof TEXT - 1)));
    const redisReply *reply = redis_reply_reader_next(&reader);
    assert_non_null(reply);
    add_text(&before, reply);
    assert_string_equal(before.replies, "[abc 5 nil [] [ok []] (ERR x) nil]");
    redisReply *copy = redis_reply_copy(reply);
    assert_non_null(copy);
    assert_null(redis_reply_reader_next(&reader));
    redis_reply_reader_fini(&reader);
    add_text(&after, copy);
    assert_string_equal(after.replies, before.replies);
    free(copy);
    assert_false(reader.reader);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_asked),
        TEST(test_what_a_server_is),
        TEST(test_byte_by_byte),
        TEST(test_openings_that_fail),
        TEST(test_server_without_hello),
        TEST(test_nothing_is_said),
        TEST(test_nobody_is_there),
        TEST(test_by_name),
        TEST(test_refused_by_its_owner),
        TEST(test_bare),
        TEST(test_order),
        TEST(test_end_amid_replies),
        TEST(test_opened_again_from_inside),
        TEST(test_silence),
        TEST(test_time),
        TEST(test_replies_that_nobody_reads),
        TEST(test_replies_that_are_too_long),
        TEST(test_reply_that_is_as_long_as_may_be),
        TEST(test_commands_due),
        TEST(test_unsent_bytes),
        TEST(test_calls_that_are_refused),
        cmocka_unit_test(test_commands_are_found_again),
        cmocka_unit_test(test_replies_are_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
