/* test_ban_text.c - bans as they stand in Redis: there and back, between clocks, and what somebody else put there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "limits/ban_text.h"

#define S   INT64_C(1000000)
#define NOW (INT64_C(1767614400) * S)

static const char *write_text(const struct ban_record *r, int64_t ahead_us, char to[BAN_TEXT_MAX_BYTES + 1])
{
    struct buf b;
    buf_init(&b, BAN_TEXT_MAX_BYTES);
    assert_true(ban_text_write(&b, r, ahead_us, STR("mx1")));
    str_copy_into(to, BAN_TEXT_MAX_BYTES + 1, buf_str(&b));
    buf_fini(&b);
    return to;
}

static void test_there_and_back(void **state)
{
    (void)state;
    char text[BAN_TEXT_MAX_BYTES + 1], strikes[BAN_STRIKES_MAX_BYTES];
    struct ban_record r = {.ban = {.since_us = NOW - 5 * S, .until_us = NOW + 900 * S, .strikes = 2},
                           .changed_us = NOW - 1 * S};
    struct ban_record back;
    strcpy(r.ban.entity, "i:192.0.2.7");
    strcpy(r.ban.by, "guessing");
    strcpy(r.ban.reason, "10 guesses of \"alice\"");
    assert_string_equal(
        write_text(&r, 60 * S, text),
        "{\"since\":1767614455000000,\"until\":1767615360000000,\"changed\":1767614459000000,"
        "\"strikes\":2,\"by\":\"guessing\",\"reason\":\"10 guesses of \\\"alice\\\"\",\"node\":\"mx1\"}");
    assert_true(ban_text_read(str_of_z(text), STR("i:192.0.2.7"), 60 * S, NOW, &back));
    assert_memory_equal(&back, &r, sizeof r);
    /* A node whose clock is an hour behind bans until the same moment. */
    assert_true(ban_text_read(str_of_z(text), STR("i:192.0.2.7"), 3660 * S, NOW - 3600 * S, &back));
    assert_true(back.ban.until_us == NOW + 900 * S - 3600 * S);

    struct str count = ban_strikes_write(&r, 60 * S, strikes);
    assert_true(str_equal(count, STR("2 1767615360000000")));
    assert_true(ban_strikes_read(count, STR("i:192.0.2.7"), 60 * S, NOW + 2000 * S, &back));
    assert_true(back.ban.strikes == 2 && back.ban.until_us == r.ban.until_us);
    /* The ban is gone from Redis, so it is not in force. */
    assert_true(ban_strikes_read(count, STR("i:192.0.2.7"), 60 * S, NOW, &back));
    assert_true(back.ban.until_us <= NOW);
}

static void test_lifted(void **state)
{
    (void)state;
    char text[BAN_TEXT_MAX_BYTES + 1];
    struct ban_record r = {
        .ban = {.since_us = NOW - 5 * S, .until_us = NOW}, .changed_us = NOW - 1 * S, .lifted_us = NOW};
    struct ban_record back;
    assert_string_equal(write_text(&r, 0, text), "{\"lifted\":1767614400000000,\"node\":\"mx1\"}");
    assert_true(ban_text_read(str_of_z(text), STR("u:alice"), 0, NOW, &back));
    assert_string_equal(back.ban.entity, "u:alice");
    assert_true(back.ban.strikes == 0 && back.lifted_us == NOW && back.ban.until_us == 0);
}

static void test_long_texts(void **state)
{
    (void)state;
    char text[BAN_TEXT_MAX_BYTES + 1];
    struct ban_record r = {.ban = {.since_us = NOW, .until_us = NOW + S, .strikes = 1}, .changed_us = NOW}, back;
    memset(r.ban.by, '"', sizeof r.ban.by - 1);
    memset(r.ban.reason, '\1', sizeof r.ban.reason - 1); /* six characters each */
    write_text(&r, 0, text);
    assert_true(ban_text_read(str_of_z(text), STR("u:a"), 0, NOW, &back));
    assert_string_equal(back.ban.by, r.ban.by);
    assert_string_equal(back.ban.reason, r.ban.reason);
}

static void test_what_somebody_else_put_there(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_read;
        int64_t until_us;
    } CASES[] = {
        {"{\"since\":1767614400000000,\"until\":1767614500000000,\"changed\":1767614400000000,\"strikes\":1}", true,
         NOW + 100 * S},
        {"{\"since\":1767614400000000,\"until\":1767614500000000,\"changed\":1767614400000000,\"strikes\":1,\"x\":[{}]"
         "}",
         true, NOW + 100 * S},
        /* For ever, from the far future: brought to what can be. */
        {"{\"since\":4000000000000000,\"until\":4000000000000000,\"changed\":4000000000000000,\"strikes\":1}", true,
         NOW + BAN_LASTS_MAX_US},
        {"", false, 0},
        {"1", false, 0},
        {"[]", false, 0},
        {"{}", false, 0},
        {"{\"strikes\":1}", false, 0},
        {"{\"lifted\":0}", false, 0},
        {"{\"lifted\":-5}", false, 0},
        {"{\"lifted\":\"now\"}", false, 0},
        {"{\"since\":1,\"until\":2,\"changed\":1,\"strikes\":-1}", false, 0},
        {"{\"since\":1,\"until\":99999999999999999999,\"changed\":1,\"strikes\":1}", false, 0},
        {"{\"since\":1767614400000000,\"until\":1767614500000000,\"changed\":1767614400000000,\"strikes\":1,\"by\":7}",
         false, 0},
        {"{\"since\":1767614400000000,\"until\":1767614500000000", false, 0},
    };
    struct ban_record r;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        bool is_read = ban_text_read(str_of_z(CASES[i].text), STR("i:192.0.2.7"), 0, NOW, &r);
        if (is_read != CASES[i].is_read || (is_read && r.ban.until_us != CASES[i].until_us))
            fail_msg("%s: %s", CASES[i].text, is_read ? "read" : "not read");
    }
    static const char *const STRIKES[] = {"",    "1", "1 ", "0 1767614400000000", "1 x", "x 1", "1 1767614400000000 ",
                                          "-1 5"};
    for (size_t i = 0; i < COUNT_OF(STRIKES); i++)
        if (ban_strikes_read(str_of_z(STRIKES[i]), STR("i:192.0.2.7"), 0, NOW, &r))
            fail_msg("\"%s\" is read", STRIKES[i]);
    char huge[BAN_TEXT_MAX_BYTES + 2];
    memset(huge, ' ', sizeof huge);
    assert_false(ban_text_read(str_of(huge, sizeof huge), STR("u:a"), 0, NOW, &r));
}

static void test_entities(void **state)
{
    (void)state;
    static const struct {
        const char *entity;
        bool is_valid;
    } CASES[] = {
        {"i:192.0.2.7", true},
        {"n:192.0.2.0/24", true},
        {"u:alice@example.org", true},
        {"ud:example.org", true},
        {"u:m\xc3\xbcller", true},
        {"", false},
        {"i:", false},
        {":x", false},
        {"x", false},
        {"abc:x", false},
        {"1:x", false},
        {"u:a\nb", false},
        {"u:\xff", false},
    };
    char longest[BAN_ENTITY_MAX_BYTES + 1];
    for (size_t i = 0; i < COUNT_OF(CASES); i++)
        if (ban_entity_is_valid(str_of_z(CASES[i].entity)) != CASES[i].is_valid)
            fail_msg("\"%s\"", CASES[i].entity);
    memset(longest, 'a', sizeof longest);
    longest[1] = ':';
    assert_true(ban_entity_is_valid(str_of(longest, BAN_ENTITY_MAX_BYTES)));
    assert_false(ban_entity_is_valid(str_of(longest, BAN_ENTITY_MAX_BYTES + 1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_lifted),
        cmocka_unit_test(test_long_texts),     cmocka_unit_test(test_what_somebody_else_put_there),
        cmocka_unit_test(test_entities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
