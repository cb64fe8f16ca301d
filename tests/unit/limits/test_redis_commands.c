/* test_redis_commands.c - commands that more than one kind of counter composes: how many, and what stands in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "limits/redis_commands.h"

static void call_begin(struct redis_call *call)
{
    redis_call_init(call, NULL, NULL, NULL);
}

/* The call's commands as one would type them, a line each: "ZREM k m0 m1\n". */
static void spell(const struct redis_call *call, char *to, size_t size)
{
    struct str wire = buf_str(&call->wire), line;
    size_t at = 0, words = 0;
    to[0] = '\0';
    while (wire.len) {
        line = str_split(wire, '\n', &wire);
        char kind = line.ptr[0];
        if (kind == '*') {
            words = (size_t)strtoul(line.ptr + 1, NULL, 10);
        } else if (kind != '$') {
            at += (size_t)snprintf(to + at, size - at, "%.*s%s", (int)line.len - 1, line.ptr, --words ? " " : "\n");
            assert_true(at < size);
        }
    }
}

static void add_members(struct member_command *m, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char text[8]; /* copied: another one stands here when the command is sent */
        snprintf(text, sizeof text, "m%zu", i);
        member_command_add(m, str_of_z(text));
    }
}

static void test_members_are_spelt(void **state)
{
    struct redis_call call;
    struct member_command m;
    char text[4096];
    (void)state;

    call_begin(&call);
    member_command_begin(&m, &call, STR("ZREM"), STR("key"));
    add_members(&m, 2);
    assert_true(member_command_end(&m));
    member_command_begin_scored(&m, &call, STR("key"), -7, false);
    add_members(&m, 2);
    assert_true(member_command_end(&m));
    member_command_begin_scored(&m, &call, STR("key"), 1767614400000000, true);
    add_members(&m, 1);
    assert_true(member_command_end(&m));
    spell(&call, text, sizeof text);
    assert_string_equal(text, "ZREM key m0 m1\n"
                              "ZADD key -7 m0 -7 m1\n"
                              "ZADD key GT 1767614400000000 m0\n");
    redis_call_fini(&call);
}

/* Each command begins anew, none is empty, and no member is lost between two. */
static void test_members_are_cut(void **state)
{
    static const size_t COUNTS[] = {
        0, 1, MEMBERS_A_COMMAND - 1, MEMBERS_A_COMMAND, MEMBERS_A_COMMAND + 1, 3 * MEMBERS_A_COMMAND};
    static const size_t COMMANDS[] = {0, 1, 1, 1, 2, 3};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(COUNTS); i++) {
        struct redis_call call;
        struct member_command m;
        char text[8192], last[16];
        size_t begun = 0, members = 0;
        call_begin(&call);
        member_command_begin_scored(&m, &call, STR("key"), 5, true);
        add_members(&m, COUNTS[i]);
        assert_true(member_command_end(&m));
        assert_int_equal(call.command_count, COMMANDS[i]);
        assert_int_equal(member_commands(COUNTS[i]), COMMANDS[i]);
        spell(&call, text, sizeof text);
        for (const char *at = text; (at = strstr(at, "ZADD key GT 5 m")); at++)
            begun++;
        for (const char *at = text; (at = strstr(at, " 5 m")); at++)
            members++;
        assert_int_equal(begun, COMMANDS[i]);
        assert_int_equal(members, COUNTS[i]);
        snprintf(last, sizeof last, " 5 m%zu\n", COUNTS[i] - 1);
        assert_true(COUNTS[i] == 0 || strstr(text, last));
        redis_call_fini(&call);
    }
}

/* More than a call takes: said at the end, and the call is broken, so that not a part of it is sent. */
static void test_too_many_members_break_the_call(void **state)
{
    struct redis_call call;
    struct member_command m;
    (void)state;
    call_begin(&call);
    member_command_begin(&m, &call, STR("PFADD"), STR("key"));
    add_members(&m, (REDIS_CALL_COMMANDS_MAX + 1) * MEMBERS_A_COMMAND);
    assert_false(member_command_end(&m));
    assert_true(call.is_broken);
    redis_call_fini(&call);
}

static void test_questions_and_expiry(void **state)
{
    static const struct take_member VALUES[] = {{.lo = 1, .hi = 2}, {.lo = 3, .hi = 4}};
    struct redis_call call;
    char text[1024], expected[1024], one[2][VALUE_TEXT_BYTES];
    (void)state;
    call_begin(&call);
    assert_true(redis_add_score_questions(&call, STR("key"), VALUES, COUNT_OF(VALUES)));
    assert_true(redis_add_expiry(&call, STR("key"), 1767614400000));
    spell(&call, text, sizeof text);
    for (size_t i = 0; i < COUNT_OF(VALUES); i++)
        (void)value_text(&VALUES[i], one[i]);
    snprintf(expected, sizeof expected, "ZSCORE key %.*s\nZSCORE key %.*s\nPEXPIREAT key 1767614405000\n",
             VALUE_TEXT_BYTES, one[0], VALUE_TEXT_BYTES, one[1]);
    assert_string_equal(text, expected);
    redis_call_fini(&call);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members_are_spelt),
        cmocka_unit_test(test_members_are_cut),
        cmocka_unit_test(test_too_many_members_break_the_call),
        cmocka_unit_test(test_questions_and_expiry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
