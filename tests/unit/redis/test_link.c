/* Calls on one connection: order, ends, bounds. */
#include "link_test.h"

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
    int64_t took_us = (loop_now_ms(&loop) - link_.time_sent_ms) * 1000;
    assert_int_equal(link_.clock_us + loop_now_ms(&loop) * 1000 - took_us / 2, 1800000000000000);
    int64_t clock_us = link_.clock_us;
    link_.time_timer.on_due(link_.time_timer.arg);
    hear("*1\r\n$4\r\nTIME\r\n");
    say("-NOPERM no\r\n");
    RUN_UNTIL(link_.commands_due == 0);
    assert_int_equal(link_.clock_us, clock_us);
    assert_int_equal(downs, 0);
}

/* The answer was long on its way, or before the door of a process that stood still: it says what was, not what is. */
static void test_time_is_late(void **state)
{
    static const struct {
        int64_t ago_ms, least_us, most_us; /* so far from what it says is the clock then; 0, 0: as it was */
    } ROWS[] = {{400, 200000, 400000}, {REDIS_TIME_LATE_MS + 1, 0, 0}, {20000, 0, 0}};
    (void)state;
    make_ready();
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        int64_t clock_us = link_.clock_us;
        link_.time_timer.on_due(link_.time_timer.arg);
        hear("*1\r\n$4\r\nTIME\r\n");
        link_.time_sent_ms -= ROWS[i].ago_ms;
        say("*2\r\n$10\r\n1800000000\r\n$1\r\n0\r\n");
        RUN_UNTIL(link_.commands_due == 0);
        if (ROWS[i].most_us)
            assert_in_range(link_.clock_us + loop_now_ms(&loop) * 1000 - 1800000000000000, ROWS[i].least_us,
                            ROWS[i].most_us);
        else
            assert_int_equal(link_.clock_us, clock_us);
    }
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
        TEST(test_order),
        TEST(test_end_amid_replies),
        TEST(test_opened_again_from_inside),
        TEST(test_silence),
        TEST(test_time),
        TEST(test_time_is_late),
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
