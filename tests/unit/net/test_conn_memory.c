/* A connection without a socket keeps conn.h's promises as one with a socket does. */
#include "side.h"

#include "net/conn_memory.h"

static struct side side;

static void begin(void)
{
    static const struct conn_limits small = {16, 32, 8};
    side_init(&side);
    conn_init_memory(&side.c, &loop, &side_ops, &small);
}

static void end(void)
{
    side_fini(&side);
}

static void bytes_both_ways(void **state)
{
    (void)state;
    begin();
    assert_true(conn_is_open(&side.c));
    assert_int_equal(conn_memory_deliver(&side.c, STR("EHLO\r\n")), 6);
    assert_true(side_got(&side, "EHLO\r\n"));
    assert_true(conn_send(&side.c, STR("250 ")));
    assert_true(conn_send_now(&side.c, STR("ok\r\n")));
    assert_true(str_equal(conn_memory_sent(&side.c), STR("250 ok\r\n")));
    conn_memory_take(&side.c, 4);
    assert_true(str_equal(conn_memory_sent(&side.c), STR("ok\r\n")));
    loop_run_tasks(&loop);
    assert_true(str_equal(conn_memory_sent(&side.c), STR("ok\r\n")));
    assert_int_equal(side.draineds, 0);
    end();
    assert_int_equal(conn_memory_sent(&side.c).len, 0);
    assert_int_equal(conn_memory_deliver(&side.c, STR("x")), 0);
}

static void take_nothing(struct side *s)
{
    (void)s;
}

static void bounds_and_pauses(void **state)
{
    (void)state;
    begin();
    side.on_input = take_nothing;
    assert_int_equal(conn_memory_deliver(&side.c, STR("0123456789abcdefXYZ")), 16);
    assert_int_equal(conn_memory_deliver(&side.c, STR("XYZ")), 0);
    side_take_all(&side);
    side.on_input = NULL;
    conn_pause_input(&side.c);
    assert_int_equal(conn_memory_deliver(&side.c, STR("later")), 5);
    assert_int_equal(side.inputs, 1);
    assert_true(conn_has_more_input(&side.c));
    conn_memory_close(&side.c);
    assert_int_equal(side.ends, 0);
    conn_resume_input(&side.c);
    assert_int_equal(side.inputs, 1);
    loop_run_tasks(&loop);
    assert_true(side_got(&side, "0123456789abcdeflater"));
    assert_int_equal(side.ends, 1);
    assert_int_equal(side.why, CONN_PEER_CLOSED);
    assert_false(conn_has_more_input(&side.c));
    end();
}

static void back_pressure(void **state)
{
    (void)state;
    begin();
    assert_true(conn_send(&side.c, STR("0123456789")));
    assert_true(conn_send_now(&side.c, STR("0123456789012345678901")));
    assert_false(conn_send(&side.c, STR("x")));
    assert_false(conn_send_now(&side.c, STR("x")));
    loop_run_tasks(&loop);
    conn_memory_take(&side.c, 23);
    assert_int_equal(side.draineds, 0);
    conn_memory_take(&side.c, 1);
    assert_int_equal(side.draineds, 1);
    conn_memory_take(&side.c, 8);
    assert_int_equal(side.draineds, 1);
    end();
}

static void pretended_tls(void **state)
{
    (void)state;
    struct err err;
    begin();
    side.on_input = take_nothing;
    conn_memory_deliver(&side.c, STR("injected"));
    assert_true(conn_send(&side.c, STR("220\r\n")));
    assert_true(conn_start_tls_server(&side.c, NULL, &err));
    assert_int_equal(conn_input(&side.c).len, 0); /* discarded */
    assert_int_equal(conn_memory_deliver(&side.c, STR("amid the handshake")), 0);
    assert_false(conn_is_tls(&side.c));
    assert_null(conn_tls_version(&side.c).ptr);
    conn_memory_finish_tls(&side.c, true);
    assert_int_equal(side.readies, 1);
    assert_true(conn_is_tls(&side.c));
    assert_true(str_equal(conn_tls_version(&side.c), STR("TLSv1.3")));
    assert_true(str_equal(conn_tls_cipher(&side.c), STR("TLS_AES_256_GCM_SHA384")));
    assert_false(conn_tls_was_resumed(&side.c));
    conn_memory_finish_tls(&side.c, true); /* once */
    assert_int_equal(side.readies, 1);
    side.on_input = NULL;
    conn_memory_deliver(&side.c, STR("EHLO\r\n"));
    assert_true(side_got(&side, "EHLO\r\n"));
    end();

    begin();
    assert_true(conn_start_tls_client(&side.c, NULL, "mta.example", &err));
    conn_memory_finish_tls(&side.c, false);
    assert_int_equal(side.why, CONN_TLS_FAILED);
    assert_string_equal(side.error, "no shared cipher");
    end();

    begin();
    assert_true(conn_start_tls_server(&side.c, NULL, &err));
    conn_memory_close(&side.c);
    assert_int_equal(side.why, CONN_TLS_FAILED);
    assert_string_equal(side.error, "the peer closed the connection during the TLS handshake");
    end();
}

static void deadline(void **state)
{
    (void)state;
    begin();
    conn_memory_deadline(&side.c); /* none is set */
    assert_int_equal(side.ends, 0);
    conn_set_deadline(&side.c, loop_now_ms(&loop) + 100000);
    conn_memory_deadline(&side.c);
    assert_int_equal(side.ends, 1);
    assert_int_equal(side.why, CONN_DEADLINE);
    assert_int_equal(conn_memory_deliver(&side.c, STR("x")), 0);
    assert_true(conn_send(&side.c, STR("421\r\n")));
    conn_close_when_sent(&side.c, side_closed, &side);
    loop_run_tasks(&loop);
    assert_int_equal(side.closeds, 0);
    assert_true(str_equal(conn_memory_sent(&side.c), STR("421\r\n"))); /* stands until it is taken */
    conn_memory_take(&side.c, 5);
    assert_int_equal(side.closeds, 1);
    end();
}

static void close_when_sent(void **state)
{
    (void)state;
    begin();
    conn_close_when_sent(&side.c, side_closed, &side); /* nothing to send */
    assert_int_equal(side.closeds, 0);
    loop_run_tasks(&loop);
    assert_int_equal(side.closeds, 1);
    end();

    begin();
    assert_true(conn_send(&side.c, STR("221\r\n")));
    conn_close_when_sent(&side.c, side_closed, &side);
    assert_int_equal(conn_memory_deliver(&side.c, STR("x")), 0);
    conn_memory_close(&side.c); /* nobody will take it */
    assert_int_equal(side.closeds, 1);
    assert_int_equal(side.ends, 0);
    end();

    begin(); /* nor does time stand still */
    assert_true(conn_send(&side.c, STR("221\r\n")));
    conn_close_when_sent(&side.c, side_closed, &side);
    loop_run_tasks(&loop);
    conn_memory_deadline(&side.c);
    assert_int_equal(side.closeds, 1);
    end();
}

static void close_and_free(struct side *s)
{
    side_fini(s);
    free(s);
}

static void callback_frees_the_owner(void **state)
{
    (void)state;
    for (int way = 0; way < 4; way++) {
        struct side *s = malloc(sizeof *s);
        struct err err;
        assert_non_null(s);
        side_init(s);
        conn_init_memory(&s->c, &loop, &side_ops, &side_limits);
        s->on_input = s->on_end = s->on_ready = close_and_free;
        switch (way) {
        case 0:
            conn_memory_deliver(&s->c, STR("x"));
            break;
        case 1:
            conn_memory_close(&s->c);
            break;
        case 2:
            conn_set_deadline(&s->c, 1);
            conn_memory_deadline(&s->c);
            break;
        case 3:
            assert_true(conn_start_tls_server(&s->c, NULL, &err));
            conn_memory_finish_tls(&s->c, true);
            break;
        }
        loop_run_tasks(&loop);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(bytes_both_ways),
        LOOP_TEST(bounds_and_pauses),
        LOOP_TEST(back_pressure),
        LOOP_TEST(pretended_tls),
        LOOP_TEST(deadline),
        LOOP_TEST(close_when_sent),
        LOOP_TEST(callback_frees_the_owner),
    };
    return cmocka_run_group_tests_name("net/conn_memory", tests, NULL, NULL);
}
