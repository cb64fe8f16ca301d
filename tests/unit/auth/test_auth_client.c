/* The worker's side: the test is the auth process at the other end of the pair. */
#include "auth/auth_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "auth/auth_message.h"

enum { ROUNDS = 3, NEVER_MS = 3600000 };

static struct loop loop;
static struct auth_client *client;
static int own, other; /* the worker's end of the channel, the auth process's */
static struct auth_request request;

/* What the callbacks said. */
static unsigned answers;
static enum auth_result last_result;
static char last_user[AUTH_NAME_MAX_BYTES + 1];

static void open_client(int64_t cache_ttl_ms)
{
    int pair[2];
    struct err err;
    assert_true(auth_channel_open(pair, &err));
    own = pair[0];
    other = pair[1];
    client = auth_client_new(&loop, &(struct auth_client_options){.channel = own, .cache_ttl_ms = cache_ttl_ms}, &err);
    assert_non_null(client);
}

static int set_up(void **state)
{
    (void)state;
    struct err err;
    answers = 0;
    last_user[0] = '\0';
    request = (struct auth_request){.user = STR("alice"), .password = STR("secret")};
    return loop_init(&loop, &err) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    auth_client_free(&client);
    auth_client_free(&client); /* harmless */
    close(own);
    if (other >= 0)
        close(other);
    loop_fini(&loop);
    return 0;
}

static void stop(void *arg)
{
    loop_stop(arg);
}

/* A few turns: enough for everything that is there to be read. */
static void turn(void)
{
    struct timer t;
    timer_init(&t, &loop, stop, &loop);
    for (int i = 0; i < ROUNDS; i++) {
        timer_start(&t, loop_now_ms(&loop) + 1);
        loop_run(&loop);
    }
}

static struct auth_message must_receive(enum auth_message_kind kind)
{
    static char space[AUTH_MESSAGE_MAX_BYTES];
    struct auth_message m;
    assert_int_equal(auth_message_receive(other, space, &m), IO_OK);
    assert_int_equal(m.kind, kind);
    return m;
}

static void assert_nothing_was_sent(void)
{
    char space[AUTH_MESSAGE_MAX_BYTES];
    struct auth_message m;
    assert_int_equal(auth_message_receive(other, space, &m), IO_AGAIN);
}

static void say_hello(uint64_t incarnation, uint64_t version)
{
    struct auth_message m = {.kind = AUTH_MESSAGE_HELLO, .incarnation = incarnation, .users_version = version};
    assert_int_equal(auth_message_send(other, &m), IO_OK);
    turn();
}

static void say_answer(uint64_t id, enum auth_result result, const char *user, uint64_t version)
{
    struct auth_message m = {
        .kind = AUTH_MESSAGE_ANSWER, .id = id, .result = result, .user = str_of_z(user), .users_version = version};
    assert_int_equal(auth_message_send(other, &m), IO_OK);
    turn();
}

static void on_answer(void *arg, const struct auth_answer *answer)
{
    assert_ptr_equal(arg, &answers);
    assert_false(answer->from_cache);
    answers++;
    last_result = answer->result;
    str_copy_into(last_user, sizeof last_user, answer->user);
}

/* Starts one that must be sent; returns its id. */
static uint64_t start(struct auth_check **check)
{
    struct auth_answer answer;
    enum started s =
        auth_check_start(client, &request, loop_now_ms(&loop) + NEVER_MS, &answer, on_answer, &answers, check);
    assert_int_equal(s, STARTED);
    assert_non_null(*check);
    struct auth_message m = must_receive(AUTH_MESSAGE_REQUEST);
    assert_true(str_equal(m.user, request.user) && str_equal(m.password, request.password));
    return m.id;
}

/* Starts one that must be answered at once. */
static struct auth_answer done(void)
{
    struct auth_answer answer;
    struct auth_check *check = (struct auth_check *)&answer;
    assert_int_equal(
        auth_check_start(client, &request, loop_now_ms(&loop) + NEVER_MS, &answer, on_answer, &answers, &check), DONE);
    assert_null(check);
    return answer;
}

static void a_login_goes_and_its_answer_comes(void **state)
{
    (void)state;
    struct auth_check *one, *two;
    open_client(0);
    must_receive(AUTH_MESSAGE_HELLO);
    say_hello(7, 1);
    uint64_t first = start(&one), second = start(&two);
    assert_true(first != second);
    turn();
    assert_int_equal(answers, 0);
    say_answer(second, AUTH_WRONG, "", 1);
    assert_int_equal(answers, 1);
    assert_int_equal(last_result, AUTH_WRONG);
    say_answer(second, AUTH_OK, "alice", 1); /* twice: nobody waits for it any more */
    assert_int_equal(answers, 1);
    say_answer(first, AUTH_OK, "Alice@example.org", 1);
    assert_int_equal(answers, 2);
    assert_int_equal(last_result, AUTH_OK);
    assert_string_equal(last_user, "Alice@example.org");
    say_answer(first + (1 << 8), AUTH_OK, "mallory", 1); /* never was */
    say_answer(0, AUTH_OK, "mallory", 1);
    assert_int_equal(answers, 2);
}

static void the_cache_answers_at_once(void **state)
{
    (void)state;
    struct auth_check *check;
    open_client(60000);
    must_receive(AUTH_MESSAGE_HELLO);
    say_hello(7, 1);
    say_answer(start(&check), AUTH_OK, "Alice", 1);
    struct auth_answer answer = done();
    assert_int_equal(answer.result, AUTH_OK);
    assert_true(answer.from_cache && str_equal(answer.user, STR("Alice")));
    request.password = STR("other"); /* is not known, and a wrong one is not remembered */
    say_answer(start(&check), AUTH_WRONG, "", 1);
    say_answer(start(&check), AUTH_WRONG, "", 1);
    request.password = STR("secret");
    assert_int_equal(done().result, AUTH_OK);

    say_hello(7, 2);                                /* the users changed */
    say_answer(start(&check), AUTH_OK, "Alice", 1); /* looked at before the change: good, but not remembered */
    assert_int_equal(last_result, AUTH_OK);
    say_answer(start(&check), AUTH_OK, "Alice", 2);
    assert_int_equal(done().result, AUTH_OK);
    say_hello(7, 2); /* said twice: nothing new */
    assert_int_equal(done().result, AUTH_OK);
    say_hello(8, 2); /* another process: what it has read is not known */
    start(&check);
    auth_cancel(client, &check);
}

static void without_a_hello_nothing_is_remembered(void **state)
{
    (void)state;
    struct auth_check *check;
    open_client(60000);
    must_receive(AUTH_MESSAGE_HELLO);
    say_answer(start(&check), AUTH_OK, "alice", 1);
    say_answer(start(&check), AUTH_OK, "alice", 1);
    assert_int_equal(answers, 2);
}

static void a_restarted_auth_process_fails_what_its_predecessor_had(void **state)
{
    (void)state;
    struct auth_check *one, *two, *three;
    open_client(0);
    must_receive(AUTH_MESSAGE_HELLO);
    start(&one);
    say_hello(7, 1); /* the first that is heard of: nothing was lost */
    assert_int_equal(answers, 0);
    start(&two);
    say_hello(7, 2);
    assert_int_equal(answers, 0);
    say_hello(8, 1);
    assert_int_equal(answers, 2);
    assert_int_equal(last_result, AUTH_UNAVAILABLE);
    say_answer(start(&three), AUTH_OK, "alice", 1);
    assert_int_equal(answers, 3);
    assert_int_equal(last_result, AUTH_OK);
}

static void on_answer_start_another(void *arg, const struct auth_answer *answer)
{
    struct auth_check *check;
    assert_int_equal(answer->result, AUTH_UNAVAILABLE);
    start(&check);
    *(uint64_t *)arg += 1;
}

static void callbacks_may_start_others(void **state)
{
    (void)state;
    uint64_t called = 0;
    struct auth_check *check;
    struct auth_answer answer;
    open_client(0);
    must_receive(AUTH_MESSAGE_HELLO);
    say_hello(7, 1);
    assert_int_equal(auth_check_start(client, &request, loop_now_ms(&loop) + NEVER_MS, &answer, on_answer_start_another,
                                      &called, &check),
                     STARTED);
    must_receive(AUTH_MESSAGE_REQUEST);
    say_hello(8, 1);
    assert_int_equal(called, 1);
    assert_int_equal(answers, 0); /* the other was sent to the new process, and waits */
}

static void deadlines_come(void **state)
{
    (void)state;
    struct auth_check *check;
    struct auth_answer answer;
    open_client(0);
    must_receive(AUTH_MESSAGE_HELLO);
    assert_int_equal(auth_check_start(client, &request, loop_now_ms(&loop) + 2, &answer, on_answer, &answers, &check),
                     STARTED);
    uint64_t id = must_receive(AUTH_MESSAGE_REQUEST).id;
    while (answers == 0)
        turn();
    assert_int_equal(last_result, AUTH_UNAVAILABLE);
    say_answer(id, AUTH_OK, "alice", 1); /* too late */
    assert_int_equal(answers, 1);
    /* one that has passed already */
    assert_int_equal(auth_check_start(client, &request, loop_now_ms(&loop), &answer, on_answer, &answers, &check),
                     DONE);
    assert_int_equal(answer.result, AUTH_UNAVAILABLE);
    assert_nothing_was_sent();
}

static void the_cancelled_are_never_called(void **state)
{
    (void)state;
    struct auth_check *check;
    open_client(60000);
    must_receive(AUTH_MESSAGE_HELLO);
    say_hello(7, 1);
    uint64_t id = start(&check);
    auth_cancel(client, &check);
    assert_null(check);
    auth_cancel(client, &check); /* harmless */
    assert_true(must_receive(AUTH_MESSAGE_CANCEL).id == id);
    say_answer(id, AUTH_OK, "alice", 1);
    assert_int_equal(answers, 0);
    assert_true(start(&check) != id); /* and was not remembered either */
    auth_cancel(client, &check);
}

static void the_impossible_is_answered_at_once(void **state)
{
    (void)state;
    char longer[AUTH_PASSWORD_MAX_BYTES + 1];
    memset(longer, 'x', sizeof longer);
    open_client(60000);
    must_receive(AUTH_MESSAGE_HELLO);
    const struct {
        struct str user, password;
        enum auth_result result;
    } CASES[] = {
        {STR("alice"), STR(""), AUTH_WRONG},
        {STR("alice"), STR("a\0b"), AUTH_WRONG},
        {STR("alice"), str_of(longer, sizeof longer), AUTH_WRONG},
        {STR(""), STR("secret"), AUTH_UNKNOWN},
        {STR("a\nb"), STR("secret"), AUTH_UNKNOWN},
        {STR("a:b"), STR("secret"), AUTH_UNKNOWN},
        {str_of(longer, AUTH_NAME_MAX_BYTES + 1), STR("secret"), AUTH_UNKNOWN},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        request.user = CASES[i].user;
        request.password = CASES[i].password;
        if (done().result != CASES[i].result)
            fail_msg("case %zu", i);
    }
    assert_nothing_was_sent();
}

static void a_bound_of_running_checks(void **state)
{
    (void)state;
    struct auth_check *check;
    open_client(0);
    must_receive(AUTH_MESSAGE_HELLO);
    for (int i = 0; i < AUTH_CLIENT_CHECKS_MAX; i++)
        start(&check);
    assert_int_equal(done().result, AUTH_UNAVAILABLE);
    assert_nothing_was_sent();
    auth_cancel(client, &check);
    must_receive(AUTH_MESSAGE_CANCEL);
    start(&check);
}

/* Nobody reads at the other end: what does not fit any more is unavailable, at once. */
static void a_full_channel_is_unavailable(void **state)
{
    (void)state;
    struct auth_check *check;
    struct auth_answer answer;
    open_client(0);
    must_receive(AUTH_MESSAGE_HELLO);
    struct auth_message flood = {.kind = AUTH_MESSAGE_CANCEL};
    int fds[2];
    struct err err;
    assert_true(auth_channel_open(fds, &err));
    while (auth_message_send(fds[0], &flood) == IO_OK)
        ;
    struct auth_client *stuck = auth_client_new(&loop, &(struct auth_client_options){.channel = fds[0]}, &err);
    assert_non_null(stuck);
    assert_int_equal(
        auth_check_start(stuck, &request, loop_now_ms(&loop) + NEVER_MS, &answer, on_answer, &answers, &check), DONE);
    assert_int_equal(answer.result, AUTH_UNAVAILABLE);
    /* once there is room, the HELLO that could not be said goes first */
    char space[AUTH_MESSAGE_MAX_BYTES];
    struct auth_message m;
    while (auth_message_receive(fds[1], space, &m) == IO_OK)
        assert_int_equal(m.kind, AUTH_MESSAGE_CANCEL);
    assert_int_equal(
        auth_check_start(stuck, &request, loop_now_ms(&loop) + NEVER_MS, &answer, on_answer, &answers, &check),
        STARTED);
    assert_int_equal(auth_message_receive(fds[1], space, &m), IO_OK);
    assert_int_equal(m.kind, AUTH_MESSAGE_HELLO);
    auth_cancel(stuck, &check);
    auth_client_free(&stuck);
    close(fds[0]);
    close(fds[1]);
}

static void a_closed_channel_is_unavailable(void **state)
{
    (void)state;
    struct auth_check *check;
    open_client(60000);
    must_receive(AUTH_MESSAGE_HELLO);
    say_hello(7, 1);
    say_answer(start(&check), AUTH_OK, "alice", 1);
    request.user = STR("bob");
    start(&check);
    close(other);
    other = -1;
    turn();
    assert_int_equal(answers, 2);
    assert_int_equal(last_result, AUTH_UNAVAILABLE);
    assert_int_equal(done().result, AUTH_UNAVAILABLE);
    request.user = STR("alice"); /* what is remembered still is */
    assert_int_equal(done().result, AUTH_OK);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_login_goes_and_its_answer_comes),
        TEST(the_cache_answers_at_once),
        TEST(without_a_hello_nothing_is_remembered),
        TEST(a_restarted_auth_process_fails_what_its_predecessor_had),
        TEST(callbacks_may_start_others),
        TEST(deadlines_come),
        TEST(the_cancelled_are_never_called),
        TEST(the_impossible_is_answered_at_once),
        TEST(a_bound_of_running_checks),
        TEST(a_full_channel_is_unavailable),
        TEST(a_closed_channel_is_unavailable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
