/* test_logged.c - lines of the event log, read for replay. */
#include "blocks.h"

#include <stdlib.h>

#include "policy/logged.h"

/* 6DRW1T6000001: 2026-01-05T12:00:00Z, by worker 0, the second of it. */
#define ID "6DRW1T6000001"
#define HEAD                                                                                                           \
    "{\"time\":\"2026-01-05T12:00:30.5Z\",\"event\":\"mail\",\"node\":\"mx1\",\"id\":\"" ID                            \
    "-1\",\"client\":\"192.0.2.7\""
#define MAIL HEAD ",\"verdict\":\"accept\""

static const struct {
    const char *name, *line;
    enum logged_result result;
    const char *said; /* of what is wrong */
} LINES[] = {
    {"a mail", MAIL "}", LOGGED_READ, ""},
    {"blanks, unknown members, nulls", " " MAIL ", \"x\" : [1,{}], \"by\":null }", LOGGED_READ, ""},
    {"a login",
     "{\"time\":\"2026-01-05T12:00:30Z\",\"event\":\"auth\",\"id\":\"" ID "\",\"client\":\"::1\",\"result\":\"ok\"}",
     LOGGED_READ, ""},
    {"a connection",
     "{\"time\":\"2026-01-05T12:00:30Z\",\"event\":\"connect\",\"id\":\"" ID
     "\",\"client\":\"::1\",\"verdict\":\"drop\"}",
     LOGGED_READ, ""},
    {"something else", "{\"time\":\"2026-01-05T12:00:30Z\",\"event\":\"start\",\"node\":\"mx1\"}", LOGGED_IGNORED, ""},
    {"nothing", "", LOGGED_WRONG, "it is no JSON object"},
    {"half a line", "{\"time\":\"2026-", LOGGED_WRONG, "it is no JSON object"},
    {"a list", "[1]", LOGGED_WRONG, "it is no JSON object"},
    {"an object of something else", "{\"a\":1}", LOGGED_WRONG, "it has no \"event\""},
    {"no verdict", HEAD "}", LOGGED_WRONG, "its \"verdict\" is none"},
    {"another verdict", HEAD ",\"verdict\":\"maybe\"}", LOGGED_WRONG, "its \"verdict\" is none"},
    {"no time", "{\"event\":\"mail\"}", LOGGED_WRONG, "its \"time\" is none"},
    {"no id", "{\"time\":\"2026-01-05T12:00:30Z\",\"event\":\"close\"}", LOGGED_WRONG, "it has no \"id\""},
    {"no client", "{\"time\":\"2026-01-05T12:00:30Z\",\"event\":\"close\",\"id\":\"" ID "\"}", LOGGED_WRONG,
     "its \"client\" is no address"},
    {"a number for a text", MAIL ",\"user\":7}", LOGGED_WRONG, "its \"user\" is not what an event has there"},
    {"a text for a number", MAIL ",\"size\":\"7\"}", LOGGED_WRONG, "its \"size\" is not what an event has there"},
    {"a code of four digits", MAIL ",\"code\":2500}", LOGGED_WRONG, "its \"code\" is not what an event has there"},
    {"a number for limits", MAIL ",\"limits\":7}", LOGGED_WRONG, "its \"limits\" is not what an event has there"},
    {"a text for a list", MAIL ",\"recipients\":\"x\"}", LOGGED_WRONG,
     "its \"recipients\" is not what an event has there"},
};

static void lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(LINES); i++) {
        struct logged *p;
        struct err err = {0};
        enum logged_result result = logged_read(str_of_z(LINES[i].line), &p, &err);
        if (result != LINES[i].result || strcmp(err.text, LINES[i].said) != 0)
            fail_msg("%s: %d \"%s\"", LINES[i].name, (int)result, err.text);
        assert_int_equal(p != NULL, result == LOGGED_READ);
        free(p);
    }
}

static const struct {
    const char *text;
    int64_t us; /* -1: none */
} TIMES[] = {
    {"2026-01-05T12:00:00Z", INT64_C(1767614400000000)},
    {"2026-01-05T12:00:00.123456Z", INT64_C(1767614400123456)},
    {"2026-01-05T12:00:00.5Z", INT64_C(1767614400500000)},
    {"1970-01-01T00:00:00Z", 0},
    {"2024-02-29T23:59:59Z", INT64_C(1709251199000000)},
    {"2000-03-01T00:00:00Z", INT64_C(951868800000000)},
    {"2026-01-05T12:00:00", -1},
    {"2026-01-05T12:00:00.Z", -1},
    {"2026-01-05T12:00:00.1234567Z", -1},
    {"2026-01-05 12:00:00Z", -1},
    {"2026-13-05T12:00:00Z", -1},
    {"2026-01-05T24:00:00Z", -1},
    {"1969-01-05T12:00:00Z", -1},
    {"2026-01-05T12:00:0xZ", -1},
    {"now", -1},
};

static void times(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(TIMES); i++) {
        char line[256];
        struct logged *p;
        int n = snprintf(line, sizeof line,
                         "{\"time\":\"%s\",\"event\":\"close\",\"id\":\"" ID "\",\"client\":\"::1\"}", TIMES[i].text);
        enum logged_result result = logged_read(str_of(line, (size_t)n), &p, NULL);
        if (result != (TIMES[i].us < 0 ? LOGGED_WRONG : LOGGED_READ) || (p && p->time_us != TIMES[i].us))
            fail_msg("%s: %lld", TIMES[i].text, p ? (long long)p->time_us : -1);
        free(p);
    }
}

static void the_id_says_when_it_began(void **state)
{
    (void)state;
    struct logged *p;
    assert_int_equal(logged_read(STR(MAIL "}"), &p, NULL), LOGGED_READ);
    assert_int_equal(p->opened_us, TRIAL_BEGINS_US + 999);
    assert_true(str_equal(p->session, STR(ID)) && str_equal(p->id, STR(ID "-1")));
    free(p);
    /* of another clock, or made up: it began when it is heard of */
    assert_int_equal(
        logged_read(STR("{\"time\":\"2026-01-07T12:00:00Z\",\"event\":\"close\",\"id\":\"" ID "\",\"client\":\"::1\"}"),
                    &p, NULL),
        LOGGED_READ);
    assert_int_equal(p->opened_us, p->time_us);
    free(p);
}

static void texts_are_what_they_mean(void **state)
{
    (void)state;
    struct logged *p;
    assert_int_equal(
        logged_read(STR(MAIL ",\"user\":\"m\\u00fcller\\\"\",\"text\":\"a\\\\b\",\"sender\":\"\"}"), &p, NULL),
        LOGGED_READ);
    assert_true(str_equal(p->user, STR("m\xc3\xbcller\"")) && str_equal(p->text, STR("a\\b")) && p->sender.len == 0);
    free(p);
}

static void a_line_has_a_bound(void **state)
{
    (void)state;
    static char line[LOGGED_LINE_MAX_BYTES + 1];
    struct logged *p;
    struct err err;
    memset(line, ' ', sizeof line);
    memcpy(line, MAIL "}", sizeof MAIL);
    assert_int_equal(logged_read(str_of(line, sizeof line - 1), &p, &err), LOGGED_READ);
    free(p);
    assert_int_equal(logged_read(str_of(line, sizeof line), &p, &err), LOGGED_WRONG);
    assert_string_equal(err.text, "the line is longer than an event can be");
}

/* ---- limits ---- */

static const struct {
    const char *name, *limits, *seen;
} LIMITS[] = {
    {"none", "[]", ""},
    {"two",
     "[{\"name\":\"hour\",\"key\":\"user:alice\",\"period\":3600,\"limit\":200,\"used\":87},{\"name\":\"day\",\"key\":"
     "\"\","
     "\"period\":86400,\"limit\":18446744073709551615,\"used\":0}]",
     "hour(user:alice)=87/200/3600 day()=0/18446744073709551615/86400 "},
    {"members of another kind, others, and none",
     "[{\"name\":1,\"used\":\"2\",\"limit\":-3,\"period\":4.5,\"x\":[{}]},7,{}]", "()=0/0/0 ()=0/0/0 ()=0/0/0 "},
    {"control characters", "[{\"name\":\"a\\u001b[2J\",\"key\":\"\\u007f\\n\"}]",
     "a?[2J(?"
     "?)=0/0/0 "},
};

static void limits(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(LIMITS); i++) {
        char line[1024], seen[256] = "";
        struct logged *p;
        struct logged_limits found;
        struct arena arena;
        arena_init(&arena, 1 << 20);
        int n = snprintf(line, sizeof line, "%s,\"limits\":%s}", MAIL, LIMITS[i].limits);
        assert_int_equal(logged_read(str_of(line, (size_t)n), &p, NULL), LOGGED_READ);
        logged_clean(p);
        assert_true(logged_limits(p, &arena, &found));
        size_t len = 0;
        for (size_t k = 0; k < found.count; k++) {
            const struct logged_limit *l = &found.items[k];
            len += (size_t)snprintf(seen + len, sizeof seen - len, PRI_STR "(" PRI_STR ")=%llu/%llu/%llu ",
                                    STR_ARG(l->name), STR_ARG(l->key), (unsigned long long)l->used,
                                    (unsigned long long)l->limit, (unsigned long long)l->period_s);
        }
        if (strcmp(seen, LIMITS[i].seen) != 0)
            fail_msg("%s: %s", LIMITS[i].name, seen);
        arena_fini(&arena);
        free(p);
    }
}

static void control_characters_stay_until_they_are_cleaned(void **state)
{
    (void)state;
    struct logged *p;
    struct logged_rcpts rcpts;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    assert_int_equal(logged_read(STR(MAIL ",\"text\":\"a\\u001b[2J\\n\",\"recipients\":[\"b\\t@x\"],\t\"accepted\":1,"
                                          "\"refused\":1,\"refusals\":[{\"recipient\":\"b\\t@x\",\t\"code\":550}]}"),
                                 &p, NULL),
                     LOGGED_READ);
    assert_true(str_equal(p->text, STR("a\x1b[2J\n")));
    assert_true(logged_recipients(p, &arena, &rcpts) && str_equal(rcpts.items[0], STR("b\t@x")));
    logged_clean(p);
    assert_true(str_equal(p->text, STR("a?[2J?")));
    assert_true(logged_recipients(p, &arena, &rcpts) && str_equal(rcpts.items[0], STR("b?@x")));
    assert_int_equal(rcpts.codes[0], 550);
    arena_fini(&arena);
    free(p);
}

/* ---- recipients ---- */

static const struct {
    const char *name, *members, *rcpts; /* a refused one with its code; ? of whom nothing is known */
} RCPTS[] = {
    {"all taken", "\"recipients\":[\"a@x\",\"b@x\"],\"accepted\":2,\"refused\":0", "a@x b@x "},
    {"none was named", "\"accepted\":0,\"refused\":0", "? "},
    {"a list that was cut", "\"recipients\":[\"a@x\"],\"accepted\":2,\"refused\":1", "a@x ? ? "},
    {"the server behind said no",
     "\"recipients\":[\"a@x\",\"b@x\",\"c@x\"],\"accepted\":2,\"refused\":1,\"refusals\":[{\"recipient\":\"b@x\","
     "\"code\":550}]",
     "a@x b@x=550 c@x "},
    {"one twice, refused once",
     "\"recipients\":[\"a@x\",\"a@x\"],\"accepted\":1,\"refused\":1,\"refusals\":[{\"recipient\":\"a@x\",\"code\":450}"
     "]",
     "a@x=450 a@x "},
    {"a rule said no: the server behind was not asked",
     "\"recipients\":[\"a@x\",\"b@x\"],\"accepted\":1,\"refused\":1,\"refusals\":[{\"recipient\":\"b@x\",\"code\":550,"
     "\"by\":\"r\"}]",
     "a@x b@x "},
    {"refusals of nobody there",
     "\"recipients\":[\"a@x\"],\"accepted\":1,\"refusals\":[{\"recipient\":\"z@x\",\"code\":550},7,{}]", "a@x "},
    {"escaped", "\"recipients\":[\"\\u00e4@x\"],\"accepted\":1", "\xc3\xa4@x "},
    {"no texts", "\"recipients\":[1,null],\"accepted\":2", "? ? "},
};

static void recipients(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(RCPTS); i++) {
        char line[1024], seen[256] = "";
        struct logged *p;
        struct logged_rcpts rcpts;
        struct arena arena;
        arena_init(&arena, 1 << 20);
        int n = snprintf(line, sizeof line, "%s,%s}", MAIL, RCPTS[i].members);
        assert_int_equal(logged_read(str_of(line, (size_t)n), &p, NULL), LOGGED_READ);
        for (int again = 0; again < 2; again++) { /* reading them changes nothing */
            size_t len = 0;
            assert_true(logged_recipients(p, &arena, &rcpts));
            for (size_t k = 0; k < rcpts.count; k++) {
                len += (size_t)snprintf(seen + len, sizeof seen - len, PRI_STR,
                                        STR_ARG(rcpts.items[k].len ? rcpts.items[k] : STR("?")));
                if (rcpts.codes[k])
                    len += (size_t)snprintf(seen + len, sizeof seen - len, "=%d", rcpts.codes[k]);
                len += (size_t)snprintf(seen + len, sizeof seen - len, " ");
            }
            if (strcmp(seen, RCPTS[i].rcpts) != 0)
                fail_msg("%s: %s", RCPTS[i].name, seen);
        }
        arena_fini(&arena);
        free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),
        cmocka_unit_test(times),
        cmocka_unit_test(the_id_says_when_it_began),
        cmocka_unit_test(texts_are_what_they_mean),
        cmocka_unit_test(a_line_has_a_bound),
        cmocka_unit_test(limits),
        cmocka_unit_test(control_characters_stay_until_they_are_cleaned),
        cmocka_unit_test(recipients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
