/* Datagrams: there and back, every cut and every extra byte refused, and sockets that are full, closed or full of
 * rubbish. */
#include "auth/auth_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static char longest_name[AUTH_NAME_MAX_BYTES + 1], longest_password[AUTH_PASSWORD_MAX_BYTES + 1];

static const struct auth_message MESSAGES[] = {
    {.kind = AUTH_MESSAGE_HELLO},
    {.kind = AUTH_MESSAGE_HELLO, .incarnation = UINT64_MAX, .users_version = 7},
    {.kind = AUTH_MESSAGE_REQUEST, .id = 1, .deadline_ms = 123456789, .user = {"alice", 5}, .password = {"secret", 6}},
    {.kind = AUTH_MESSAGE_REQUEST,
     .id = UINT64_MAX,
     .deadline_ms = INT64_MIN,
     .user = {"", 0},
     .password = {"a\0b", 3}},
    {.kind = AUTH_MESSAGE_REQUEST,
     .id = 2,
     .user = {longest_name, AUTH_NAME_MAX_BYTES},
     .password = {longest_password, AUTH_PASSWORD_MAX_BYTES}},
    {.kind = AUTH_MESSAGE_CANCEL, .id = 3},
    {.kind = AUTH_MESSAGE_ANSWER, .id = 4, .result = AUTH_OK, .users_version = 9, .user = {"alice@example.org", 17}},
    {.kind = AUTH_MESSAGE_ANSWER, .id = 5, .result = AUTH_WRONG, .users_version = 9},
    {.kind = AUTH_MESSAGE_ANSWER, .id = 6, .result = AUTH_UNAVAILABLE},
};

static int set_up(void **state)
{
    (void)state;
    memset(longest_name, 'n', sizeof longest_name);
    memset(longest_password, 'p', sizeof longest_password);
    return 0;
}

static void assert_same(const struct auth_message *a, const struct auth_message *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_true(a->id == b->id && a->incarnation == b->incarnation && a->users_version == b->users_version);
    assert_true(a->deadline_ms == b->deadline_ms);
    assert_int_equal(a->result, b->result);
    assert_true(str_equal(a->user, b->user) && str_equal(a->password, b->password));
}

static void there_and_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(MESSAGES); i++) {
        char space[AUTH_MESSAGE_MAX_BYTES];
        struct auth_message m;
        size_t len = auth_message_write(&MESSAGES[i], space);
        assert_in_range(len, 16, sizeof space);
        assert_true(auth_message_read(str_of(space, len), &m));
        assert_same(&m, &MESSAGES[i]);
    }
}

static void no_part_and_no_more_is_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(MESSAGES); i++) {
        char space[AUTH_MESSAGE_MAX_BYTES + 1] = {0};
        struct auth_message m;
        size_t len = auth_message_write(&MESSAGES[i], space);
        for (size_t cut = 0; cut < len; cut++)
            assert_false(auth_message_read(str_of(space, cut), &m));
        assert_false(auth_message_read(str_of(space, len + 1), &m));
    }
}

static void what_could_not_be_written_is_not_read(void **state)
{
    (void)state;
    enum { KIND = 4, RESULT = 24, ANSWER_LEN = 25, ANSWER_NAME = 27, REQUEST_LEN = 24 };
    const struct {
        const char *why;
        size_t message, at;
        unsigned char byte;
    } CASES[] = {
        {"magic", 0, 0, 'X'},
        {"kind 0", 0, KIND, 0},
        {"kind 5", 0, KIND, 5},
        {"a byte that is always 0", 0, KIND + 1, 1},
        {"a byte that is always 0", 5, KIND + 3, 1},
        {"result 5", 7, RESULT, AUTH_RESULT_COUNT},
        {"result 255", 7, RESULT, 255},
        {"accepted without a name", 7, RESULT, AUTH_OK},
        {"a name, but not accepted", 6, RESULT, AUTH_WRONG},
        {"a control character in the name", 6, ANSWER_NAME, '\n'},
        {"a name longer than the datagram", 2, REQUEST_LEN + 1, 1},
        {"a name shorter than it is", 2, REQUEST_LEN, 4},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        char space[AUTH_MESSAGE_MAX_BYTES];
        struct auth_message m;
        size_t len = auth_message_write(&MESSAGES[CASES[i].message], space);
        assert_true(auth_message_read(str_of(space, len), &m));
        space[CASES[i].at] = (char)CASES[i].byte;
        if (auth_message_read(str_of(space, len), &m))
            fail_msg("taken: %s", CASES[i].why);
    }
}

static void too_long_is_not_written(void **state)
{
    (void)state;
    char space[AUTH_MESSAGE_MAX_BYTES];
    struct auth_message m = MESSAGES[4];
    m.user.len++;
    assert_int_equal(auth_message_write(&m, space), 0);
    m = MESSAGES[4];
    m.password.len++;
    assert_int_equal(auth_message_write(&m, space), 0);
}

static void sockets(void **state)
{
    (void)state;
    int pair[2];
    char space[AUTH_MESSAGE_MAX_BYTES], rubbish[AUTH_MESSAGE_MAX_BYTES + 500] = {0};
    struct auth_message m;
    struct err err;
    assert_true(auth_channel_open(pair, &err));
    assert_int_equal(auth_message_receive(pair[0], space, &m), IO_AGAIN);
    for (size_t i = 0; i < COUNT_OF(MESSAGES); i++)
        assert_int_equal(auth_message_send(pair[1], &MESSAGES[i]), IO_OK);
    for (size_t i = 0; i < COUNT_OF(MESSAGES); i++) {
        assert_int_equal(auth_message_receive(pair[0], space, &m), IO_OK);
        assert_same(&m, &MESSAGES[i]);
    }
    /* rubbish and what is too long is skipped, the message behind it read */
    size_t len = auth_message_write(&MESSAGES[3], rubbish);
    assert_int_equal(send(pair[1], "x", 1, 0), 1);
    assert_int_equal(send(pair[1], rubbish, sizeof rubbish, 0), (int)sizeof rubbish);
    assert_int_equal(send(pair[1], rubbish, len - 1, 0), (int)len - 1);
    assert_int_equal(auth_message_send(pair[1], &MESSAGES[6]), IO_OK);
    assert_int_equal(auth_message_receive(pair[0], space, &m), IO_OK);
    assert_same(&m, &MESSAGES[6]);
    assert_int_equal(auth_message_receive(pair[0], space, &m), IO_AGAIN);
    /* full */
    enum io_result r;
    int count = 0;
    while ((r = auth_message_send(pair[1], &MESSAGES[2])) == IO_OK)
        count++;
    assert_int_equal(r, IO_AGAIN);
    assert_in_range(count, 257, 100000);
    /* closed: what was sent before is still read */
    close(pair[1]);
    assert_int_equal(auth_message_receive(pair[0], space, &m), IO_OK);
    while ((r = auth_message_receive(pair[0], space, &m)) == IO_OK)
        ;
    assert_int_equal(r, IO_EOF);
    assert_int_equal(auth_message_send(pair[0], &MESSAGES[0]), IO_FAILED);
    close(pair[0]);
    assert_int_equal(auth_message_receive(pair[0], space, &m), IO_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(no_part_and_no_more_is_taken),
        cmocka_unit_test(what_could_not_be_written_is_not_read),
        cmocka_unit_test(too_long_is_not_written),
        cmocka_unit_test(sockets),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
