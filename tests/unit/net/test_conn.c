/* A plain connection: against a socket held by the test's own hands, or another conn in the same loop. */
#include "side.h"

#include <netinet/in.h>
#include <sys/un.h>

static struct side side;
static int peer; /* the other end, blocking */

static void begin(void)
{
    int pair[2];
    make_pair(pair);
    peer = pair[1];
    side_accept(&side, pair[0]);
}

static void begin_tcp(void)
{
    int pair[2];
    make_tcp_pair(pair);
    peer = pair[1];
    side_accept(&side, pair[0]);
}

static void end(void)
{
    side_fini(&side);
    if (peer >= 0)
        close(peer);
}

/* ---- reading ---- */

static void take_lines(struct side *s)
{
    for (;;) {
        struct str in = conn_input(&s->c);
        size_t at = str_find(in, '\n');
        if (at == in.len)
            return;
        assert_true(buf_append(&s->got, in.ptr, at + 1));
        conn_consume(&s->c, at + 1);
    }
}

static void request_and_reply(void **state)
{
    (void)state;
    begin();
    say(peer, "EHLO a\r\n");
    RUN_UNTIL(side.inputs);
    assert_true(side_got(&side, "EHLO a\r\n"));
    assert_true(conn_send(&side.c, STR("250-x\r\n")));
    assert_true(conn_send(&side.c, STR("250 y\r\n")));
    assert_int_equal(conn_unsent_bytes(&side.c), 14); /* leaves at the end of the turn */
    run_turns(1);
    hear(peer, "250-x\r\n250 y\r\n");
    /* An idle connection holds no memory but its own. */
    assert_null(side.c.in.data);
    assert_null(side.c.out.data);
    assert_true(sizeof side.c <= 300);
    end();
}

/* What is held goes out with what follows, be it queued, sent at once or the last word; never by itself. */
static void held_output_waits_for_more(void **state)
{
    (void)state;
    static char large[20000];
    begin();
    assert_true(conn_send(&side.c, STR("250 a\r\n")));
    conn_hold_output(&side.c);
    run_turns(3);
    assert_int_equal(conn_unsent_bytes(&side.c), 7);
    assert_true(conn_send(&side.c, STR("354 b\r\n")));
    run_turns(1);
    hear(peer, "250 a\r\n354 b\r\n");

    assert_true(conn_send(&side.c, STR("first ")));
    conn_hold_output(&side.c);
    run_turns(3);
    fill_body(large, sizeof large);
    assert_true(conn_send_now(&side.c, str_of(large, sizeof large)));
    assert_int_equal(conn_unsent_bytes(&side.c), 0);
    hear(peer, "first ");
    end();

    begin();
    assert_true(conn_send(&side.c, STR("221 bye\r\n")));
    conn_hold_output(&side.c);
    conn_close_when_sent(&side.c, side_closed, &side);
    run_turns(1);
    hear(peer, "221 bye\r\n");
    end();
}

static void half_a_line_waits(void **state)
{
    (void)state;
    begin();
    side.on_input = take_lines;
    say(peer, "one\ntw");
    RUN_UNTIL(side.inputs == 1);
    assert_true(side_got(&side, "one\n"));
    assert_true(str_equal(conn_input(&side.c), STR("tw")));
    say(peer, "o");
    RUN_UNTIL(side.inputs == 2);
    assert_true(str_equal(conn_input(&side.c), STR("two")));
    say(peer, "\nthree\n");
    RUN_UNTIL(side.inputs == 3);
    assert_true(side_got(&side, "one\ntwo\nthree\n"));
    assert_int_equal(conn_input(&side.c).len, 0);
    assert_null(side.c.in.data);
    end();
}

static size_t wanted;
static void take_when_enough(struct side *s)
{
    if (conn_input(&s->c).len >= wanted)
        side_take_all(s);
}

/* A long rest grows where it is; in pieces of every size around the border of what is put back. */
static void long_rest_grows(void **state)
{
    (void)state;
    static char body[40000];
    fill_body(body, sizeof body);
    static const size_t pieces[] = {1000, 1023, 1024, 1025, 7777, 16384, 40000};
    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        begin();
        side.on_input = take_when_enough;
        wanted = sizeof body;
        for (size_t at = 0; at < sizeof body; at += pieces[i]) {
            size_t n = MIN_OF(pieces[i], sizeof body - at);
            assert_int_equal(send(peer, body + at, n, 0), (int)n);
            RUN_UNTIL(conn_input(&side.c).len + buf_len(&side.got) == at + n);
        }
        assert_int_equal(buf_len(&side.got), sizeof body);
        assert_memory_equal(buf_str(&side.got).ptr, body, sizeof body);
        assert_null(side.c.in.data);
        end();
    }
}

static void take_nothing(struct side *s)
{
    (void)s;
}

static void reading_stops_at_the_bound(void **state)
{
    (void)state;
    static char body[10000];
    static const struct conn_limits small = {4096, 4096, 0};
    int pair[2];
    fill_body(body, sizeof body);
    make_pair(pair);
    side_init(&side);
    side.on_input = take_nothing;
    peer = pair[1];
    assert_int_equal(ioctl(pair[0], FIONBIO, &(int){1}), 0);
    conn_init_accepted(&side.c, &loop, pair[0], &side_ops, &small);
    assert_int_equal(send(peer, body, sizeof body, 0), sizeof body);
    run_turns(10);
    assert_int_equal(conn_input(&side.c).len, 4096);
    assert_int_equal(side.inputs, 1);
    side_take_all(&side); /* from outside a callback: reading goes on by itself */
    side.on_input = NULL;
    RUN_UNTIL(buf_len(&side.got) == sizeof body);
    assert_memory_equal(buf_str(&side.got).ptr, body, sizeof body);
    end();
}

static void pause_and_resume(void **state)
{
    (void)state;
    begin();
    conn_pause_input(&side.c);
    say(peer, "a");
    run_turns(3);
    say(peer, "b");
    run_turns(3);
    assert_int_equal(side.inputs, 0);
    conn_resume_input(&side.c);
    assert_int_equal(side.inputs, 0); /* never from inside */
    RUN_UNTIL(side.inputs);
    assert_true(side_got(&side, "ab"));
    /* A pause that nobody talks into. */
    conn_pause_input(&side.c);
    run_turns(2);
    conn_resume_input(&side.c);
    run_turns(2);
    assert_int_equal(side.inputs, 1);
    end();
}

static void take_one_and_pause(struct side *s)
{
    assert_true(buf_append(&s->got, conn_input(&s->c).ptr, 1));
    conn_consume(&s->c, 1);
    conn_pause_input(&s->c);
}

static void paused_bytes_come_without_new_ones(void **state)
{
    (void)state;
    begin();
    side.on_input = take_one_and_pause;
    say(peer, "xyz");
    for (unsigned i = 1; i <= 3; i++) {
        RUN_UNTIL(side.inputs == i);
        run_turns(3);
        assert_int_equal(side.inputs, i);
        conn_resume_input(&side.c);
    }
    run_turns(3);
    assert_int_equal(side.inputs, 3); /* nothing is left to deliver */
    assert_true(side_got(&side, "xyz"));
    end();
}

static void is_there_more(void **state)
{
    (void)state;
    begin();
    side.on_input = take_one_and_pause;
    assert_false(conn_has_more_input(&side.c));
    say(peer, "ab");
    assert_true(conn_has_more_input(&side.c)); /* in the kernel */
    RUN_UNTIL(side.inputs == 1);
    assert_true(conn_has_more_input(&side.c)); /* here */
    conn_consume(&side.c, 1);
    assert_false(conn_has_more_input(&side.c));
    shutdown(peer, SHUT_WR);
    assert_false(conn_has_more_input(&side.c)); /* an end of file is no input */
    end();
}

static void take_secret(struct side *s)
{
    struct str in = conn_input(&s->c);
    conn_consume_secret(&s->c, in.len);
    for (size_t i = 0; i < in.len; i++)
        assert_int_equal(in.ptr[i], 0);
}

static void secrets_are_overwritten(void **state)
{
    (void)state;
    begin();
    side.on_input = take_secret;
    say(peer, "hunter2\r\n");
    RUN_UNTIL(side.inputs);
    assert_null(memmem(loop.scratch, 64, "hunter2", 7));
    side.on_input = take_lines;
    say(peer, "hunt");
    RUN_UNTIL(side.inputs == 2);
    assert_null(memmem(loop.scratch, 64, "hunt", 4)); /* no copy stays behind */
    side.on_input = take_secret;
    say(peer, "er2\r\n");
    RUN_UNTIL(side.inputs == 3);
    end();
}

/* ---- ends ---- */

static void end_of_file_after_data(void **state)
{
    (void)state;
    begin();
    say(peer, "QUIT\r\n");
    shutdown(peer, SHUT_WR);
    RUN_UNTIL(side.ends);
    assert_true(side_got(&side, "QUIT\r\n"));
    assert_int_equal(side.why, CONN_PEER_CLOSED);
    assert_string_equal(side.error, "the peer closed the connection");
    assert_true(conn_send(&side.c, STR("221 bye\r\n"))); /* it may still listen */
    run_turns(3);
    hear(peer, "221 bye\r\n");
    assert_int_equal(side.ends, 1);
    end();
}

static void end_of_file_waits_for_resume(void **state)
{
    (void)state;
    begin();
    side.on_input = take_one_and_pause;
    say(peer, "ab");
    RUN_UNTIL(side.inputs == 1);
    close(peer);
    peer = -1;
    run_turns(5);
    assert_int_equal(side.ends, 0);
    conn_resume_input(&side.c);
    RUN_UNTIL(side.inputs == 2);
    run_turns(5);
    assert_int_equal(side.ends, 0);
    conn_resume_input(&side.c);
    RUN_UNTIL(side.ends == 1);
    assert_true(side_got(&side, "ab"));
    assert_int_equal(side.why, CONN_PEER_CLOSED);
    end();
}

static void reset(void **state)
{
    (void)state;
    begin_tcp();
    assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger)), 0);
    close(peer);
    peer = -1;
    RUN_UNTIL(side.ends);
    assert_int_equal(side.why, CONN_RESET);
    assert_string_equal(side.error, "connection reset by peer");
    assert_false(conn_send(&side.c, STR("x")));
    assert_false(conn_send_now(&side.c, STR("x")));
    run_turns(3);
    assert_int_equal(side.ends, 1);
    end();
}

/* An MTA that refuses amid the body says so and closes: its words come before the end, whichever function met it. */
static void last_words_are_heard(void **state)
{
    (void)state;
    static char body[200000];
    for (int by_send_now = 0; by_send_now <= 1; by_send_now++) {
        begin();
        say(peer, "552 too big\r\n");
        close(peer);
        peer = -1;
        if (by_send_now)
            assert_true(conn_send_now(&side.c, str_of(body, sizeof body)));
        else
            assert_true(conn_send(&side.c, STR("more of it\r\n")));
        assert_int_equal(side.inputs + side.ends, 0);
        assert_true(!by_send_now || conn_send(&side.c, STR("x"))); /* not told yet: harmless */
        loop_run_tasks(&loop);
        assert_true(side_got(&side, "552 too big\r\n"));
        assert_int_equal(side.ends, 1);
        assert_int_equal(side.why, CONN_RESET);
        assert_string_equal(side.error, "broken pipe");
        assert_int_equal(conn_unsent_bytes(&side.c), by_send_now ? 1 : 12); /* what never left, as long as it is open */
        end();
    }
}

static void deadline_is_absolute(void **state)
{
    (void)state;
    begin();
    int64_t at = loop_now_ms(&loop) + 30;
    conn_set_deadline(&side.c, at);
    while (!side.ends) { /* a byte a turn renews nothing */
        say(peer, "x");
        loop_run_once(&loop, 2);
        assert_true(loop_now_ms(&loop) < at + 2000);
    }
    assert_true(loop_now_ms(&loop) >= at);
    assert_true(side.inputs > 0);
    assert_int_equal(side.why, CONN_DEADLINE);
    assert_string_equal(side.error, "it took too long");
    unsigned inputs = side.inputs;
    say(peer, "x");
    run_turns(3);
    assert_int_equal(side.inputs, inputs);
    /* The owner may still say why. */
    assert_true(conn_send(&side.c, STR("421 4.4.2\r\n")));
    conn_close_when_sent(&side.c, side_closed, &side);
    run_turns(3);
    hear(peer, "421 4.4.2\r\n");
    assert_int_equal(side.closeds, 0); /* a moment for what the peer still sends */
    close(peer);
    peer = -1;
    RUN_UNTIL(side.closeds == 1);
    end();
}

static void deadline_can_be_lifted(void **state)
{
    (void)state;
    begin();
    conn_set_deadline(&side.c, loop_now_ms(&loop) + 3);
    conn_set_deadline(&side.c, 0);
    loop_run_once(&loop, 10);
    loop_run_once(&loop, 10);
    assert_int_equal(side.ends, 0);
    end();
}

static void pause_if_more_comes(struct side *s)
{
    side_take_all(s);
    if (str_ends_nocase(buf_str(&s->got), STR("b")))
        conn_pause_input(&s->c);
}

/* An end that waits for the owner's pause to end does not wait beyond his deadline. */
static void deadline_ends_a_pause(void **state)
{
    (void)state;
    begin();
    side.on_input = pause_if_more_comes;
    say(peer, "a");
    RUN_UNTIL(side.inputs == 1);
    say(peer, "b");
    close(peer);
    peer = -1;
    RUN_UNTIL(side.inputs == 2);
    conn_set_deadline(&side.c, loop_now_ms(&loop) + 3);
    RUN_UNTIL(side.ends);
    assert_int_equal(side.why, CONN_DEADLINE);
    end();
}

/* ---- writing ---- */

static void out_is_bounded(void **state)
{
    (void)state;
    static char much[65536];
    begin();
    assert_true(conn_send(&side.c, str_of(much, sizeof much)));
    assert_false(conn_send(&side.c, STR("x")));
    assert_int_equal(conn_unsent_bytes(&side.c), sizeof much); /* nothing was queued */
    int i = 0;
    while (conn_send_now(&side.c, str_of(much, sizeof much)) && i < 1000)
        i++; /* the socket takes some, then the bound is there */
    assert_true(i < 1000);
    end();
}

static char received[5 << 20];
static size_t drain(int fd, size_t at, size_t max)
{
    ssize_t n = recv(fd, received + at, MIN_OF(max, sizeof received - at), MSG_DONTWAIT);
    return n > 0 ? (size_t)n : 0;
}

/* 5 MB against a reader that takes them in little pieces: back-pressure works and no byte is lost or doubled. */
static void large_body_to_a_slow_reader(void **state)
{
    (void)state;
    static const size_t pieces[] = {700, 4096, 30000, 65536};
    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        struct source source = {.body = malloc(sizeof received), .len = sizeof received, .piece = pieces[i]};
        assert_non_null(source.body);
        fill_body(source.body, source.len);
        begin();
        side.arg = &source;
        side.on_drained = source_go_on;
        source_go_on(&side);
        size_t got = 0;
        while (got < source.len) {
            loop_run_once(&loop, 0);
            got += drain(peer, got, 50000);
            assert_true(conn_unsent_bytes(&side.c) <= side_limits.out_low_bytes + source.piece);
        }
        run_turns(1);
        assert_int_equal(source.at, source.len);
        assert_true(source.waits > 0);
        assert_memory_equal(received, source.body, source.len);
        assert_null(side.c.out.data);
        free(source.body);
        end();
    }
}

/* What was queued first goes first, whatever sends the rest. */
static void order_is_kept(void **state)
{
    (void)state;
    static char big[20000];
    memset(big, 'b', sizeof big);
    begin();
    assert_true(conn_send(&side.c, STR("1")));
    assert_true(conn_send_now(&side.c, STR("2")));
    assert_true(conn_send_now(&side.c, str_of(big, sizeof big)));
    assert_int_equal(conn_unsent_bytes(&side.c), 0); /* in one write, at once */
    assert_true(buf_append_str(conn_output(&side.c), STR("3")));
    conn_flush_later(&side.c);
    assert_true(conn_send_now(&side.c, STR("4")));
    run_turns(1);
    hear(peer, "12");
    assert_int_equal(recv(peer, received, sizeof big, MSG_WAITALL), sizeof big);
    assert_memory_equal(received, big, sizeof big);
    hear(peer, "34");
    end();
}

static void drained_comes_after_having_been_above(void **state)
{
    (void)state;
    static char half[4096], much[20000];
    begin();
    assert_true(conn_send(&side.c, str_of(half, sizeof half)));
    run_turns(1);
    assert_int_equal(side.draineds, 0); /* was never above */
    assert_true(conn_send(&side.c, str_of(much, sizeof much)));
    assert_int_equal(side.draineds, 0);
    run_turns(1);
    assert_int_equal(side.draineds, 1);
    run_turns(1);
    assert_int_equal(side.draineds, 1);
    end();
}

/* ---- callbacks that end it ---- */

static struct side *heap_side(void)
{
    struct side *s = malloc(sizeof *s);
    int pair[2];
    assert_non_null(s);
    make_pair(pair);
    peer = pair[1];
    side_accept(s, pair[0]);
    return s;
}

static int freed;
static void close_and_free(struct side *s)
{
    side_fini(s);
    free(s);
    freed++;
}

static void closed_by_owner(void *arg)
{
    struct side *s = arg;
    buf_fini(&s->got);
    free(s);
    freed++;
}

static void close_when_sent_and_forget(struct side *s)
{
    assert_true(conn_send(&s->c, STR("bye")));
    conn_close_when_sent(&s->c, closed_by_owner, s);
    assert_false(conn_send(&s->c, STR("no more")));
    assert_int_equal(conn_input(&s->c).len, 0);
}

static void callback_frees_the_owner(void **state)
{
    (void)state;
    static char much[20000];
    enum { ON_INPUT, ON_REST, ON_RESUME, ON_DRAINED, ON_END, ON_LAST_WORDS, ON_BROKEN, WAYS };
    for (int way = 0; way < WAYS * 2; way++) {
        struct side *s = heap_side();
        void (*how)(struct side *) = way % 2 ? close_when_sent_and_forget : close_and_free;
        freed = 0;
        switch (way / 2) {
        case ON_INPUT:
            s->on_input = how;
            say(peer, "x");
            break;
        case ON_REST:
            s->on_input = take_nothing;
            say(peer, "x");
            run_turns(2);
            s->on_input = how;
            say(peer, "y");
            break;
        case ON_RESUME:
            s->on_input = take_one_and_pause;
            say(peer, "xy");
            run_turns(2);
            s->on_input = how;
            conn_resume_input(&s->c);
            break;
        case ON_DRAINED:
            s->on_drained = how;
            say(peer, "x");
            assert_true(conn_send(&s->c, str_of(much, sizeof much)));
            break;
        case ON_END:
            s->on_end = how;
            shutdown(peer, SHUT_WR);
            break;
        case ON_LAST_WORDS:
            s->on_input = how;
            say(peer, "x");
            close(peer);
            peer = -1;
            assert_true(conn_send(&s->c, STR("y")));
            break;
        case ON_BROKEN:
            s->on_end = close_and_free; /* nothing can be sent then */
            close(peer);
            peer = -1;
            assert_true(conn_send(&s->c, STR("y")));
            break;
        }
        run_turns(4);
        if (peer >= 0)
            close(peer);
        RUN_UNTIL(freed == 1);
    }
    peer = -1;
}

static void close_and_begin_anew(struct side *s)
{
    int pair[2];
    side_fini(s);
    close(peer);
    make_pair(pair);
    peer = pair[1];
    side_accept(s, pair[0]);
    s->readies = 77;
}

static void callback_makes_a_new_connection_of_it(void **state)
{
    (void)state;
    begin();
    side.on_input = close_and_begin_anew;
    say(peer, "rest of the old one");
    RUN_UNTIL(side.readies == 77);
    assert_int_equal(conn_input(&side.c).len, 0);
    say(peer, "new");
    RUN_UNTIL(side.inputs == 1);
    assert_true(side_got(&side, "new"));
    end();
}

static void close_is_harmless_twice(void **state)
{
    (void)state;
    begin();
    assert_true(conn_send(&side.c, STR("lost")));
    conn_close(&side.c);
    conn_close(&side.c);
    conn_resume_input(&side.c);
    conn_set_deadline(&side.c, 1);
    conn_flush_later(&side.c);
    assert_false(conn_send(&side.c, STR("x")));
    assert_false(conn_send_now(&side.c, STR("x")));
    assert_int_equal(conn_input(&side.c).len, 0);
    assert_false(conn_has_more_input(&side.c));
    run_turns(3);
    assert_int_equal(side.inputs + side.ends + side.draineds, 0);
    end();
}

/* ---- lingering ---- */

/* A client that keeps talking: without reading on, the kernel would answer it with RST and destroy our reply. */
static void last_reply_survives_a_talking_peer(void **state)
{
    (void)state;
    static char noise[30000];
    begin_tcp();
    say(peer, "one too many\r\n");
    RUN_UNTIL(side.inputs);
    assert_true(conn_send(&side.c, STR("421 4.7.0 enough\r\n")));
    conn_close_when_sent(&side.c, side_closed, &side);
    assert_int_equal(send(peer, noise, sizeof noise, 0), sizeof noise);
    run_turns(5);
    assert_int_equal(side.closeds, 0);
    assert_int_equal(send(peer, noise, sizeof noise, 0), sizeof noise); /* still no RST */
    hear(peer, "421 4.7.0 enough\r\n");
    assert_int_equal(recv(peer, noise, 1, 0), 0); /* and an end of file */
    close(peer);
    peer = -1;
    RUN_UNTIL(side.closeds == 1);
    assert_int_equal(side.ends, 0);
    end();
}

static void lingering_is_bounded(void **state)
{
    (void)state;
    static char noise[CONN_LINGER_BYTES];
    begin_tcp();
    conn_close_when_sent(&side.c, side_closed, &side);
    run_turns(2);
    size_t sent = 0;
    while (!side.closeds) {
        ssize_t n = send(peer, noise, sizeof noise, MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        loop_run_once(&loop, 5);
        assert_true(sent < 16 * sizeof noise);
    }
    assert_true(sent >= CONN_LINGER_BYTES);
    end();

    begin(); /* time is bounded too: here it passes by hand */
    conn_close_when_sent(&side.c, side_closed, &side);
    run_turns(2);
    assert_int_equal(side.closeds, 0);
    assert_true(side.c.deadline.at_ms >= loop_now_ms(&loop) + CONN_LINGER_MS - 1000);
    conn_set_deadline(&side.c, 1); /* the owner has no say any more */
    assert_true(side.c.deadline.at_ms > 1);
    side.c.deadline.on_due(&side.c);
    assert_int_equal(side.closeds, 1);
    end();
}

/* More queued than the socket takes, to a peer that talks beyond the bound and reads late. */
static void queued_bytes_go_before_the_end(void **state)
{
    (void)state;
    static char noise[200000], piece[32768];
    begin();
    assert_int_equal(setsockopt(side.c.fd, SOL_SOCKET, SO_SNDBUF, &(int){8192}, sizeof(int)), 0);
    size_t sent = 0, got = 0;
    while (conn_unsent_bytes(&side.c) < sizeof piece) {
        fill_body(piece, sizeof piece);
        assert_true(conn_send_now(&side.c, str_of(piece, sizeof piece)));
        sent += sizeof piece;
        assert_true(sent < sizeof received);
    }
    conn_close_when_sent(&side.c, side_closed, &side);
    send(peer, noise, sizeof noise, MSG_DONTWAIT);
    run_turns(10);
    assert_int_equal(side.closeds, 0); /* it has heard enough, but not said all */
    assert_true(conn_unsent_bytes(&side.c) > 0);
    while (got < sent) {
        size_t n = drain(peer, got, 30000);
        got += n;
        loop_run_once(&loop, n ? 0 : 1);
        assert_true(n || !side.closeds);
    }
    for (size_t at = 0; at < sent; at += sizeof piece)
        assert_memory_equal(received + at, piece, sizeof piece);
    RUN_UNTIL(side.closeds == 1);
    end();
}

static void lingering_ends_with_the_peer(void **state)
{
    (void)state;
    begin();
    shutdown(peer, SHUT_WR); /* it closed first: nothing to wait for */
    RUN_UNTIL(side.ends);
    assert_true(conn_send(&side.c, STR("221\r\n")));
    conn_close_when_sent(&side.c, side_closed, &side);
    assert_int_equal(side.closeds, 0); /* never from inside */
    run_turns(1);
    assert_int_equal(side.closeds, 1);
    hear(peer, "221\r\n");
    end();

    begin(); /* it is gone: the reply finds nobody */
    close(peer);
    peer = -1;
    RUN_UNTIL(side.ends);
    assert_true(conn_send(&side.c, STR("221\r\n")));
    conn_close_when_sent(&side.c, side_closed, &side);
    run_turns(2);
    assert_int_equal(side.closeds, 1);
    end();

    begin(); /* conn_close has the last word */
    conn_close_when_sent(&side.c, side_closed, &side);
    conn_close(&side.c);
    run_turns(3);
    assert_int_equal(side.closeds, 0);
    end();
}

/* ---- connecting ---- */

static void connects(void **state)
{
    (void)state;
    struct endpoint at;
    struct err err;
    int listener = tcp_listen(&at);
    side_init(&side);
    assert_true(conn_init_connect(&side.c, &loop, &at, &side_ops, &side_limits, loop_now_ms(&loop) + 2000, &err));
    assert_true(conn_send(&side.c, STR("EHLO\r\n"))); /* waits for the connection */
    assert_int_equal(side.readies, 0);
    RUN_UNTIL(side.readies == 1);
    peer = accept(listener, NULL, NULL);
    run_turns(1);
    hear(peer, "EHLO\r\n");
    say(peer, "250 x\r\n");
    RUN_UNTIL(side.inputs);
    assert_true(side_got(&side, "250 x\r\n"));
    assert_true(timer_is_running(&side.c.deadline));
    close(listener);
    end();
}

static void connects_to_a_path(void **state)
{
    (void)state;
    struct endpoint at = {.kind = ENDPOINT_UNIX};
    struct sockaddr_storage address;
    struct err err;
    snprintf(at.name, sizeof at.name, "/tmp/mailweir-test-conn-%d", (int)getpid());
    unlink(at.name);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, endpoint_to_sockaddr(&at, &address)), 0);
    assert_int_equal(listen(listener, 2), 0);
    side_init(&side);
    assert_true(conn_init_connect(&side.c, &loop, &at, &side_ops, &side_limits, 0, &err));
    assert_int_equal(side.readies, 0); /* connected already, but never told from inside */
    loop_run_tasks(&loop);
    assert_int_equal(side.readies, 1);
    peer = accept(listener, NULL, NULL);
    say(peer, "220\r\n");
    RUN_UNTIL(side.inputs);
    close(listener);
    unlink(at.name);
    end();
    assert_false(conn_init_connect(&side.c, &loop, &at, &side_ops, &side_limits, 0, &err));
    assert_non_null(strstr(err.text, ": No such file or directory"));
    assert_false(conn_is_open(&side.c));
}

static void connecting_fails(void **state)
{
    (void)state;
    struct endpoint at, name;
    struct err err;
    close(tcp_listen(&at)); /* nobody listens there now */
    side_init(&side);
    assert_true(conn_init_connect(&side.c, &loop, &at, &side_ops, &side_limits, loop_now_ms(&loop) + 2000, &err));
    RUN_UNTIL(side.ends);
    assert_int_equal(side.why, CONN_CONNECT_FAILED);
    assert_string_equal(side.error, "connection refused");
    assert_int_equal(side.readies, 0);
    side_fini(&side);

    assert_true(endpoint_parse(STR("mta.example:25"), &name, &err));
    assert_false(conn_init_connect(&side.c, &loop, &name, &side_ops, &side_limits, 0, &err));
    assert_string_equal(err.text, "cannot connect to mta.example:25: its address is not known yet");
    assert_false(conn_is_open(&side.c));
}

static void connecting_takes_too_long(void **state)
{
    (void)state;
    struct endpoint at;
    struct sockaddr_storage address;
    struct err err;
    int listener = tcp_listen(&at), held[64];
    assert_int_equal(listen(listener, 0), 0); /* a backlog of one, filled: the next SYN goes unanswered */
    for (size_t i = 0; i < COUNT_OF(held); i++) {
        held[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)!connect(held[i], (struct sockaddr *)&address, endpoint_to_sockaddr(&at, &address));
    }
    side_init(&side);
    assert_true(conn_init_connect(&side.c, &loop, &at, &side_ops, &side_limits, loop_now_ms(&loop) + 20, &err));
    RUN_UNTIL(side.ends);
    assert_int_equal(side.why, CONN_CONNECT_FAILED);
    assert_string_equal(side.error, "connection timed out");
    conn_close_when_sent(&side.c, side_closed, &side); /* nothing to wait for */
    run_turns(1);
    assert_int_equal(side.closeds, 1);
    for (size_t i = 0; i < COUNT_OF(held); i++)
        close(held[i]);
    close(listener);
    side_fini(&side);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(request_and_reply),
        LOOP_TEST(held_output_waits_for_more),
        LOOP_TEST(half_a_line_waits),
        LOOP_TEST(long_rest_grows),
        LOOP_TEST(reading_stops_at_the_bound),
        LOOP_TEST(pause_and_resume),
        LOOP_TEST(paused_bytes_come_without_new_ones),
        LOOP_TEST(is_there_more),
        LOOP_TEST(secrets_are_overwritten),
        LOOP_TEST(end_of_file_after_data),
        LOOP_TEST(end_of_file_waits_for_resume),
        LOOP_TEST(reset),
        LOOP_TEST(last_words_are_heard),
        LOOP_TEST(deadline_is_absolute),
        LOOP_TEST(deadline_can_be_lifted),
        LOOP_TEST(deadline_ends_a_pause),
        LOOP_TEST(out_is_bounded),
        LOOP_TEST(large_body_to_a_slow_reader),
        LOOP_TEST(order_is_kept),
        LOOP_TEST(drained_comes_after_having_been_above),
        LOOP_TEST(callback_frees_the_owner),
        LOOP_TEST(callback_makes_a_new_connection_of_it),
        LOOP_TEST(close_is_harmless_twice),
        LOOP_TEST(last_reply_survives_a_talking_peer),
        LOOP_TEST(lingering_is_bounded),
        LOOP_TEST(queued_bytes_go_before_the_end),
        LOOP_TEST(lingering_ends_with_the_peer),
        LOOP_TEST(connects),
        LOOP_TEST(connects_to_a_path),
        LOOP_TEST(connecting_fails),
        LOOP_TEST(connecting_takes_too_long),
    };
    return cmocka_run_group_tests_name("net/conn", tests, NULL, NULL);
}
