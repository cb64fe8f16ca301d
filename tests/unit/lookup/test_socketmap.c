/* Tables that another program holds: a server that the test plays, word by word. */
#include "lookup_test.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "lookup/socketmap.h"
#include "lookup/socketmap_reply.h"

/* ---- the server ---- */

static struct {
    int listener, peer; /* -1: none */
    struct endpoint at;
    char heard[1 << 16]; /* on all connections since it was last forgotten */
    size_t heard_len;
    unsigned accepted;
} S;

static void server_start(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof any;
    S.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(S.listener, (struct sockaddr *)&any, sizeof any), 0);
    assert_int_equal(listen(S.listener, 8), 0);
    assert_int_equal(getsockname(S.listener, (struct sockaddr *)&any, &len), 0);
    S.at = (struct endpoint){.kind = ENDPOINT_IP, .ip = ip_of("127.0.0.1"), .port = ntohs(any.sin_port)};
    S.peer = -1;
}

static void server_hang_up(void)
{
    if (S.peer >= 0)
        close(S.peer);
    S.peer = -1;
}

static void server_stop(void)
{
    server_hang_up();
    if (S.listener >= 0)
        close(S.listener);
    S.listener = -1;
}

/* Takes what has come. */
static void serve(void)
{
    int fd = S.listener >= 0 ? accept4(S.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC) : -1;
    if (fd >= 0) {
        server_hang_up();
        S.peer = fd;
        S.accepted++;
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
    S.heard_len = 0;
    S.heard[0] = '\0';
}

static void say(const char *text)
{
    assert_int_equal(write(S.peer, text, strlen(text)), strlen(text));
}

/* ---- the asker ---- */

static struct socketmap_options options[2];
static struct socketmaps *maps;
static struct event_log events;
static int event_fds[2];

struct asked {
    struct remote_query query;
    int times;
    char value[256];
};

static void keep(struct asked *q)
{
    str_copy_into(q->value, sizeof q->value, q->query.value);
}

static void on_answer(void *arg)
{
    struct asked *q = arg;
    keep(q);
    q->times++;
}

static enum started start(struct asked *q, unsigned table, const char *key)
{
    *q = (struct asked){0};
    enum started s = socketmap_start(&q->query, maps, table, str_of_z(key), loop_now_ms(&loop) + 4000 * (int64_t)tests_slowness(), on_answer, q);
    assert_int_equal(q->times, 0); /* never from inside */
    if (s == DONE)
        keep(q);
    return s;
}

static void expect(struct asked *q, enum remote_result result, const char *value)
{
    RUN_UNTIL(q->times == 1);
    assert_int_equal(q->query.result, result);
    assert_string_equal(q->value, value);
}

/* Adds the events since the last look to words: "down down up". */
static void add_states(char *words, size_t size)
{
    static char said[4096];
    event_begin(&events, "mark", 0); /* the pipe must not block who looks: something is always in it */
    event_end(&events);
    ssize_t n = read(event_fds[0], said, sizeof said - 1);
    said[n > 0 ? n : 0] = '\0';
    for (const char *at = said; (at = strstr(at, "\"state\":\"")); at++) {
        size_t len = strlen(words);
        snprintf(words + len, size - len, "%s%.*s", len ? " " : "", (int)strcspn(at + 9, "\""), at + 9);
    }
}

static bool are_states(char *words, size_t size, const char *wanted)
{
    add_states(words, size);
    return strlen(words) >= strlen(wanted);
}

/* A change is said in its own time: it is waited for, and what comes in excess shows itself. */
static void expect_states(const char *wanted)
{
    char words[256] = "";
    RUN_UNTIL(are_states(words, sizeof words, wanted));
    assert_string_equal(words, wanted);
}

static int set_up(void **state)
{
    struct err err;
    if (set_up_loop(state) != 0 || pipe(event_fds) != 0)
        return -1;
    memset(&S, 0, sizeof S);
    server_start();
    unsigned timeout_ms = tests_slowness() == 1 ? 300 : 2000;
    options[0] = (struct socketmap_options){"first", &S.at, "one", timeout_ms, 60000};
    options[1] = (struct socketmap_options){"second", &S.at, "two", timeout_ms, 0};
    event_log_init(&events, event_fds[1], "mx1", NULL);
    maps = socketmaps_new(&loop, NULL, options, COUNT_OF(options), &events, &err);
    return maps ? 0 : -1;
}

static int tear_down(void **state)
{
    socketmaps_free(&maps);
    socketmaps_free(&maps); /* harmless */
    server_stop();
    event_log_fini(&events);
    close(event_fds[0]);
    close(event_fds[1]);
    return tear_down_loop(state);
}

/* ---- tests ---- */

static void test_replies(void **state)
{
    (void)state;
    static const struct {
        const char *input;
        enum socketmap_read read;
        enum remote_result result;
        const char *text;
    } CASES[] = {
        {"", SOCKETMAP_READ_MORE, 0, ""},
        {"1", SOCKETMAP_READ_MORE, 0, ""},
        {"4:", SOCKETMAP_READ_MORE, 0, ""},
        {"4:OK x", SOCKETMAP_READ_MORE, 0, ""},
        {"4:OK x,", SOCKETMAP_READ_REPLY, REMOTE_FOUND, "x"},
        {"3:OK ,", SOCKETMAP_READ_REPLY, REMOTE_FOUND, ""},
        {"2:OK,", SOCKETMAP_READ_REPLY, REMOTE_FOUND, ""},
        {"9:OK a, b c,4:OK x,", SOCKETMAP_READ_REPLY, REMOTE_FOUND, "a, b c"},
        {"9:NOTFOUND ,", SOCKETMAP_READ_REPLY, REMOTE_NOT_FOUND, "NOTFOUND "},
        {"8:NOTFOUND,", SOCKETMAP_READ_REPLY, REMOTE_NOT_FOUND, "NOTFOUND"},
        {"8:TEMP off,", SOCKETMAP_READ_REPLY, REMOTE_FAILED, "TEMP off"},
        {"12:TIMEOUT slow,", SOCKETMAP_READ_REPLY, REMOTE_FAILED, "TIMEOUT slow"},
        {"5:PERM ,", SOCKETMAP_READ_REPLY, REMOTE_FAILED, "PERM "},
        {"5:MAYBE,", SOCKETMAP_READ_BROKEN, 0, ""},
        {"0:,", SOCKETMAP_READ_BROKEN, 0, ""},
        {"4:OK xx", SOCKETMAP_READ_BROKEN, 0, ""},
        {"04:OK x,", SOCKETMAP_READ_BROKEN, 0, ""},
        {":OK x,", SOCKETMAP_READ_BROKEN, 0, ""},
        {"-1:OK", SOCKETMAP_READ_BROKEN, 0, ""},
        {"HTTP/1.1 400", SOCKETMAP_READ_BROKEN, 0, ""},
        {"100001:", SOCKETMAP_READ_BROKEN, 0, ""},
        {"100000:", SOCKETMAP_READ_MORE, 0, ""},
        {"9999999999999999999999:", SOCKETMAP_READ_BROKEN, 0, ""},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct socketmap_reply reply = {0};
        struct str input = str_of_z(CASES[i].input);
        enum socketmap_read read = socketmap_reply_read(input, &reply);
        if (read != CASES[i].read)
            fail_msg("\"%s\": %d, not %d", CASES[i].input, (int)read, (int)CASES[i].read);
        if (read != SOCKETMAP_READ_REPLY)
            continue;
        assert_int_equal(reply.result, CASES[i].result);
        assert_true(str_equal(reply.text, str_of_z(CASES[i].text)));
        assert_true(reply.bytes <= input.len);
    }
}

static void test_answers_in_order(void **state)
{
    (void)state;
    struct asked a, b, c, same;
    assert_int_equal(start(&a, 0, "a@example.org"), STARTED);
    assert_int_equal(start(&b, 1, "b"), STARTED);
    assert_int_equal(start(&c, 0, "c"), STARTED);
    assert_int_equal(start(&same, 0, "a@example.org"), STARTED); /* asked once for both */
    hear("17:one a@example.org,5:two b,5:one c,");
    say("9:NOTFOU");
    run_turns(3);
    say("ND ,7:OK a, b,10:TEMP later,");
    expect(&a, REMOTE_NOT_FOUND, "");
    expect(&same, REMOTE_NOT_FOUND, "");
    expect(&b, REMOTE_FOUND, "a, b");
    expect(&c, REMOTE_FAILED, "");
    assert_int_equal(S.accepted, 1);
    assert_int_equal(start(&a, 0, "a@example.org"), DONE); /* remembered */
    assert_int_equal(a.query.result, REMOTE_NOT_FOUND);
    assert_int_equal(start(&b, 1, "b"), STARTED); /* cache 0s */
    assert_int_equal(start(&c, 0, "c"), STARTED); /* a failure is not remembered */
    remote_cancel(&b.query);
    hear("5:two b,5:one c,");
    say("4:OK x,4:OK y,");
    expect(&c, REMOTE_FOUND, "y");
    assert_int_equal(b.times, 0);
    expect_states("");
}

static void test_keys(void **state)
{
    (void)state;
    struct asked q;
    char longest[SOCKETMAP_KEY_MAX_BYTES + 2];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    static const char *const NONE[] = {"", "a\nb", "a\x7f"};
    for (size_t i = 0; i < COUNT_OF(NONE); i++) {
        assert_int_equal(start(&q, 0, NONE[i]), DONE);
        assert_int_equal(q.query.result, REMOTE_NOT_FOUND);
    }
    assert_int_equal(start(&q, 0, longest), DONE);
    assert_int_equal(start(&q, 0, longest + 1), STARTED);
    remote_cancel(&q.query);
    serve();
    assert_int_equal(S.heard_len, 0);
}

/* A server may close a connection that is idle; and once with a question open. */
static void test_closed_and_asked_again(void **state)
{
    (void)state;
    struct asked q;
    assert_int_equal(start(&q, 1, "a"), STARTED);
    hear("5:two a,");
    say("4:OK 1,");
    expect(&q, REMOTE_FOUND, "1");
    server_hang_up();
    run_turns(5);
    assert_int_equal(start(&q, 1, "a"), STARTED);
    hear("5:two a,");
    server_hang_up();
    hear("5:two a,");
    say("4:OK 2,");
    expect(&q, REMOTE_FOUND, "2");
    assert_int_equal(S.accepted, 3);
    expect_states("");
}

static void test_closed_twice(void **state)
{
    (void)state;
    struct asked q;
    assert_int_equal(start(&q, 1, "a"), STARTED);
    hear("5:two a,");
    server_hang_up();
    hear("5:two a,");
    server_hang_up();
    expect(&q, REMOTE_FAILED, "");
    expect_states("down down");
}

/* Down: at once no answer, until it is tried again; said once, for each table. */
static void test_down_and_up(void **state)
{
    (void)state;
    struct asked q, other;
    static const char *const BAD[] = {NULL, "HTTP/1.1 400 Bad Request\r\n", "5:MAYBE,"};
    for (size_t i = 0; i < COUNT_OF(BAD); i++) {
        assert_int_equal(start(&q, 1, "a"), STARTED);
        assert_int_equal(start(&other, 0, "b"), STARTED);
        hear("5:two a,5:one b,");
        if (BAD[i])
            say(BAD[i]);
        expect(&q, REMOTE_FAILED, "");
        expect(&other, REMOTE_FAILED, "");
        run_turns(2);
        expect_states("down down");
        assert_int_equal(start(&q, 1, "a"), DONE);
        assert_int_equal(q.query.result, REMOTE_FAILED);
        loop_set_now(&loop, loop_now_ms(&loop) + SOCKETMAP_RETRY_MS + 1, loop_wall_us(&loop));
        assert_int_equal(start(&q, 1, "a"), STARTED);
        hear("5:two a,");
        say("4:OK x,");
        expect(&q, REMOTE_FOUND, "x");
        expect_states("up up");
    }
}

static void test_answers_what_was_not_asked(void **state)
{
    (void)state;
    struct asked q;
    assert_int_equal(start(&q, 1, "a"), STARTED);
    hear("5:two a,");
    say("4:OK x,4:OK y,");
    expect(&q, REMOTE_FOUND, "x");
    run_turns(5);
    expect_states("down down");
}

static void test_nobody_listens(void **state)
{
    (void)state;
    struct asked q;
    server_stop();
    assert_int_equal(start(&q, 0, "a"), STARTED);
    expect(&q, REMOTE_FAILED, "");
    expect_states("down down");
}

static void test_free_while_asked(void **state)
{
    (void)state;
    struct asked q;
    assert_int_equal(start(&q, 0, "a"), STARTED);
    socketmaps_free(&maps);
    run_turns(3);
    assert_int_equal(q.times, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies),        TEST(test_answers_in_order), TEST(test_keys),
        TEST(test_closed_and_asked_again),     TEST(test_closed_twice),     TEST(test_down_and_up),
        TEST(test_answers_what_was_not_asked), TEST(test_nobody_listens),   TEST(test_free_while_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
