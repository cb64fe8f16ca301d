/* test_requests.c - what is answered to an administrator: bans, counts, allowances, reloads, the state of the service.
 */
#include "desk.h"

#include <stdio.h>

static json_int_t number(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_integer(value))
        fail_msg("%s is no number", name);
    return json_integer_value(value);
}

static const char *text(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_string(value))
        fail_msg("%s is no text", name);
    return json_string_value(value);
}

/* The row of a limit and period; borrowed. NULL: there is none. */
static json_t *row_of(const json_t *rows, const char *name, json_int_t period)
{
    size_t i;
    json_t *row;
    json_array_foreach(rows, i,
                       row) if (strcmp(text(row, "name"), name) == 0 && number(row, "period") == period) return row;
    return NULL;
}

/* All but the time of event lines, of which there is one. */
static const char *event_end_of(const char *lines)
{
    const char *event = strstr(lines, "\"event\"");
    return event ? event : lines;
}

/* ---- refusals ---- */

static const struct {
    const char *question, *error;
} REFUSED[] = {
    {"{\"request\":\"ban\"}", "the request needs a text \"key\""},
    {"{\"request\":\"ban\",\"key\":\"192.0.2.7\"}", "the request needs a text \"duration\""},
    {"{\"request\":\"ban\",\"key\":\"192.0.2.7\",\"duration\":\"soon\"}",
     "\"soon\" is no duration from 1s to 366d, such as 15m, 2h or 7d"},
    {"{\"request\":\"ban\",\"key\":\"192.0.2.7\",\"duration\":\"367d\"}",
     "\"367d\" is no duration from 1s to 366d, such as 15m, 2h or 7d"},
    {"{\"request\":\"ban\",\"key\":\"rcpt:a@b.example\",\"duration\":\"1h\"}",
     "a ban is of a client, a network or a user, not of rcpt:a@b.example"},
    {"{\"request\":\"ban\",\"key\":\"user+client:a+192.0.2.7\",\"duration\":\"1h\"}",
     "a ban is of a client, a network or a user, not of user+client:a+192.0.2.7"},
    {"{\"request\":\"unban\",\"key\":\"192.0.2.7\"}", "client:192.0.2.7 is not banned"},
    {"{\"request\":\"limits\",\"key\":\"usr:alice\"}", "\"usr\" is no key of limits"},
    {"{\"request\":\"reset\",\"key\":\"alice\",\"limit\":\"mail\"}", "there is no limit \"mail\""},
    {"{\"request\":\"reset\",\"key\":\"192.0.2.7\",\"limit\":\"mails\"}",
     "limit \"mails\" does not count client:192.0.2.7"},
    {"{\"request\":\"reset\",\"key\":\"192.0.2.7\"}",
     "open connections are counted while they are open: there is nothing to forget"},
    {"{\"request\":\"reset\",\"key\":\"rcpt:a@b.example\"}", "no limit counts rcpt:a@b.example"},
    {"{\"request\":\"reset\",\"key\":\"user:free@example.org\",\"limit\":\"mails\"}",
     "user:free@example.org is without limit there: nothing is counted"},
    {"{\"request\":\"allow\",\"key\":\"alice\",\"limit\":\"mails\"}", "the request needs a text \"rate\""},
    {"{\"request\":\"allow\",\"key\":\"alice\",\"limit\":\"mails\",\"rate\":\"5\"}", "\"5\" is not a rate of messages"},
    {"{\"request\":\"allow\",\"key\":\"alice\",\"limit\":\"mails\",\"rate\":\"1/1h,2/2h,3/3h,4/4h,5/5h,6/6h,7/7h,8/"
     "8h,9/"
     "9h\"}",
     "more than 8 rates"},
    {"{\"request\":\"allow\",\"key\":\"192.0.2.7\",\"limit\":\"mails\",\"rate\":\"5/1h\"}",
     "limit \"mails\" does not count client:192.0.2.7"},
    {"{\"request\":\"allow\",\"key\":\"alice\",\"limit\":\"mails\",\"rate\":\"default\"}",
     "user:alice has no rates of its own at limit mails that somebody allowed"},
    {"{\"request\":\"allow\",\"key\":\"alice\",\"limit\":\"mails\",\"rate\":\"5/1h\",\"for\":\"0s\"}",
     "\"0s\" is no duration from 1s to 366d, such as 2h or 7d"},
    {"{\"request\":\"allow\",\"key\":\"alice\",\"limit\":\"mails\",\"rate\":\"5/1h\",\"why\":\"a\\tb\"}",
     "why it is allowed is one line of text, without tabs and other control characters"},
    {"{\"request\":\"allow\",\"key\":\"alice\",\"limit\":\"mails\",\"rate\":\"5/1h\",\"who\":\"a|b\"}",
     "who allows it is a name, without control characters and |"},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(REFUSED); i++) {
        json_t *answer = desk_no(REFUSED[i].question);
        assert_string_equal(text(answer, "error"), REFUSED[i].error);
        json_decref(answer);
    }
    assert_string_equal(desk_events(), "");
}

static void test_a_suggestion(void **state)
{
    (void)state;
    json_t *answer = desk_no("{\"request\":\"reset\",\"key\":\"alice\",\"limit\":\"mailz\"}");
    assert_string_equal(text(answer, "hint"), "did you mean \"mails\"?");
    json_decref(answer);
}

/* ---- bans ---- */

static void test_bans(void **state)
{
    (void)state;
    json_t *answer = desk_yes("{\"request\":\"ban\",\"key\":\"2001:db8::1\",\"duration\":\"2h\",\"why\":\"too "
                              "loud\",\"who\":\"alice\"}");
    const json_t *ban = json_object_get(answer, "ban");
    assert_string_equal(text(ban, "key"), "client:2001:db8::/64");
    assert_int_equal(number(ban, "left"), 7200);
    assert_false(json_is_true(json_object_get(answer, "was_longer")));
    json_decref(answer);
    const char *events = desk_events();
    assert_non_null(strstr(events, "\"event\":\"ban\",\"node\":\"mx1\",\"by\":\"command of alice\",\"entity\":"
                                   "\"client:2001:db8::/64\",\"until\":\"20"));
    assert_non_null(strstr(events, "\"strikes\":1,\"reason\":\"too loud\"}\n"));
    assert_true(ban_find(D.ban_memory, STR("i:2001:db8::/64"), clock_steady_us(), NULL));

    json_decref(desk_yes("{\"request\":\"ban\",\"key\":\"user:bob\",\"duration\":\"1h\"}"));
    assert_non_null(strstr(desk_events(), "\"by\":\"command of uid 0\""));
    answer = desk_yes("{\"request\":\"ban\",\"key\":\"client:2001:db8::2\",\"duration\":\"1m\"}");
    assert_true(json_is_true(json_object_get(answer, "was_longer"))); /* the longer one stays */
    json_decref(answer);
    assert_string_equal(desk_events(), "");
    answer = desk_yes("{\"request\":\"ban\",\"key\":\"client:2001:db8::2\",\"duration\":\"3h\"}");
    assert_string_equal(text(json_object_get(answer, "ban"), "reason"), "too loud"); /* as no other is given */
    json_decref(answer);
    assert_non_null(strstr(desk_events(), "\"reason\":\"too loud\"}\n"));

    answer = desk_yes("{\"request\":\"bans\"}");
    const json_t *bans = json_object_get(answer, "bans");
    assert_int_equal(json_array_size(bans), 2);
    assert_string_equal(text(json_array_get(bans, 0), "key"), "user:bob"); /* who ends first */
    assert_string_equal(text(json_array_get(bans, 1), "reason"), "too loud");
    json_decref(answer);
    json_decref(desk_yes("{\"request\":\"unban\",\"key\":\"2001:db8::\",\"who\":\"alice\"}"));
    assert_non_null(strstr(desk_events(), "\"event\":\"unban\",\"node\":\"mx1\",\"by\":\"command of alice\",\"entity\":"
                                          "\"client:2001:db8::/64\"}\n"));
    assert_false(ban_find(D.ban_memory, STR("i:2001:db8::/64"), clock_steady_us(), NULL));
}

/* Of a client whose network is banned nobody is told that he is not. */
static void test_a_banned_network(void **state)
{
    (void)state;
    json_decref(desk_yes("{\"request\":\"ban\",\"key\":\"192.0.2.0/24\",\"duration\":\"2h\",\"why\":\"loud\"}"));
    json_t *answer = desk_yes("{\"request\":\"limits\",\"key\":\"192.0.2.7\"}");
    assert_string_equal(text(json_object_get(answer, "ban"), "key"), "network:192.0.2.0/24");
    assert_string_equal(text(json_object_get(answer, "ban"), "reason"), "loud");
    json_decref(answer);
    answer = desk_no("{\"request\":\"unban\",\"key\":\"192.0.2.7\"}");
    assert_string_equal(text(answer, "error"), "client:192.0.2.7 is not banned, but network:192.0.2.0/24 is");
    assert_string_equal(text(answer, "hint"), "`mailweir unban network:192.0.2.0/24` lets all in it in again");
    json_decref(answer);

    json_decref(desk_yes("{\"request\":\"ban\",\"key\":\"192.0.2.7\",\"duration\":\"1h\"}"));
    answer = desk_yes("{\"request\":\"unban\",\"key\":\"192.0.2.7\"}");
    assert_string_equal(text(answer, "still_banned"), "network:192.0.2.0/24");
    json_decref(answer);
    answer = desk_yes("{\"request\":\"unban\",\"key\":\"192.0.2.0/24\"}");
    assert_true(json_is_null(json_object_get(answer, "still_banned")));
    json_decref(answer);
    answer = desk_no("{\"request\":\"unban\",\"key\":\"192.0.2.7\"}");
    assert_string_equal(text(answer, "error"), "client:192.0.2.7 is not banned");
    json_decref(answer);
}

static void test_a_full_table_of_bans(void **state)
{
    char question[128];
    (void)state;
    for (int i = 0; i < 3 * BAN_TABLE_MIN; i++) {
        snprintf(question, sizeof question, "{\"request\":\"ban\",\"key\":\"10.0.%d.%d\",\"duration\":\"1h\"}", i / 256,
                 i % 256);
        json_decref(desk_yes(question));
        desk_events();
    }
    json_t *answer = desk_yes("{\"request\":\"bans\"}");
    assert_in_range(json_array_size(json_object_get(answer, "bans")), BAN_TABLE_MIN / 2, BAN_TABLE_MIN);
    assert_true(number(answer, "evicted") > 0);
    json_decref(answer);
}

/* ---- limits ---- */

static void test_limits(void **state)
{
    (void)state;
    desk_count("u:alice", 3600, 3, 40);
    desk_count("u:alice", 86400, 3, 40);
    json_t *answer = desk_yes("{\"request\":\"limits\",\"key\":\"user:Alice\"}");
    const json_t *rows = json_object_get(answer, "limits");
    json_t *mails = row_of(rows, "mails", 3600), *day = row_of(rows, "mails", 86400),
           *reach = row_of(rows, "reach", 3600), *volume = row_of(rows, "volume", 86400),
           *nights = row_of(rows, "nights", 3600), *moves = row_of(rows, "moves", 3600);
    assert_int_equal(json_array_size(rows), 7);
    assert_int_equal(number(mails, "used"), 3);
    assert_int_equal(number(mails, "limit"), 3);
    assert_true(json_is_true(json_object_get(mails, "full")));
    assert_in_range(number(mails, "frees_in"), 3600, 3600 / 16 * 17 + 1);
    assert_false(json_is_true(json_object_get(day, "full")));
    assert_in_range(number(day, "frees_in"), 86400, 86400 / 16 * 17 + 1);
    assert_int_equal(number(reach, "used"), 40);
    assert_int_equal(number(volume, "used"), 3 * 1024);
    assert_int_equal(number(volume, "limit"), 10 << 20);
    assert_int_equal(number(nights, "used"), 0); /* has a condition: a count of its own */
    assert_true(json_is_null(json_object_get(nights, "frees_in")));
    assert_int_equal(number(moves, "limit"), 10);
    assert_string_equal(text(answer, "joint"), "user+client");
    assert_true(json_is_null(json_object_get(answer, "ban")));
    assert_string_equal(json_string_value(json_array_get(json_object_get(answer, "keys"), 0)), "user:alice");
    json_decref(answer);
}

static void test_rates_of_a_table(void **state)
{
    (void)state;
    json_t *answer = desk_yes("{\"request\":\"limits\",\"key\":\"bulk@example.org\"}");
    json_t *row = row_of(json_object_get(answer, "limits"), "mails", 3600);
    assert_int_equal(number(row, "limit"), 5000);
    assert_string_equal(text(row, "rate_of"), "table");
    assert_null(row_of(json_object_get(answer, "limits"), "mails", 86400));
    json_decref(answer);
    answer = desk_yes("{\"request\":\"limits\",\"key\":\"user:free@example.org\"}");
    row = row_of(json_object_get(answer, "limits"), "mails", 0);
    assert_true(json_is_null(json_object_get(row, "limit")));
    assert_true(json_is_null(json_object_get(row, "used")));
    json_decref(answer);
}

static void test_whom_else_limits_count(void **state)
{
    static const struct {
        const char *key, *name;
        size_t rows;
    } CASES[] = {{"192.0.2.7", "open", 1},
                 {"192.0.2.0/24", "arrivals", 1},
                 {"global", "all", 1},
                 {"user+client:alice+192.0.2.7", "pairs", 1},
                 {"client+user:192.0.2.7+alice", "pairs", 1},
                 {"rcpt:a@b.example", NULL, 0}};
    char question[128];
    (void)state;
    desk_count("u+i:alice+192.0.2.7", 3600, 2, 2);
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        snprintf(question, sizeof question, "{\"request\":\"limits\",\"key\":\"%s\"}", CASES[i].key);
        json_t *answer = desk_yes(question);
        const json_t *rows = json_object_get(answer, "limits");
        assert_int_equal(json_array_size(rows), CASES[i].rows);
        if (CASES[i].name)
            assert_string_equal(text(json_array_get(rows, 0), "name"), CASES[i].name);
        if (i == 3 || i == 4)
            assert_int_equal(number(json_array_get(rows, 0), "used"), 2);
        json_decref(answer);
    }
}

static void test_reset(void **state)
{
    (void)state;
    desk_count("u:alice", 3600, 3, 40);
    desk_count("u:alice", 86400, 3, 40);
    json_t *answer = desk_yes("{\"request\":\"reset\",\"key\":\"user:alice\",\"limit\":\"mails\",\"who\":\"bob\"}");
    assert_int_equal(json_array_size(json_object_get(answer, "forgotten")), 2);
    assert_int_equal(number(row_of(json_object_get(answer, "forgotten"), "mails", 3600), "used"), 3); /* it was */
    assert_true(json_is_true(json_object_get(answer, "counted")));
    assert_string_equal(event_end_of(desk_events()), "\"event\":\"reset\",\"node\":\"mx1\",\"by\":\"bob\",\"key\":"
                                                     "\"user:alice\",\"limit\":\"mails\",\"result\":\"ok\"}\n");
    json_decref(answer);
    answer = desk_yes("{\"request\":\"limits\",\"key\":\"user:alice\"}");
    assert_int_equal(number(row_of(json_object_get(answer, "limits"), "mails", 3600), "used"), 0);
    assert_int_equal(number(row_of(json_object_get(answer, "limits"), "mails", 86400), "used"), 0);
    assert_int_equal(number(row_of(json_object_get(answer, "limits"), "reach", 3600), "used"), 40);
    json_decref(answer);
    json_decref(desk_yes("{\"request\":\"reset\",\"key\":\"user:alice\"}"));
    assert_string_equal(
        event_end_of(desk_events()), /* one, of however many limits */
        "\"event\":\"reset\",\"node\":\"mx1\",\"by\":\"root\",\"key\":\"user:alice\",\"result\":\"ok\"}\n");
    answer = desk_yes("{\"request\":\"limits\",\"key\":\"user:alice\"}");
    assert_int_equal(number(row_of(json_object_get(answer, "limits"), "reach", 3600), "used"), 0);
    json_decref(answer);
}

/* ---- a store that answers later ---- */

static void answer_all(void)
{
    while (late_waits(&D.store))
        late_answer_all(&D.store);
}

static void test_limits_later(void **state)
{
    (void)state;
    desk_count("u:alice", 3600, 2, 40);
    assert_string_equal(desk_ask("{\"request\":\"limits\",\"key\":\"user:alice\"}"), "");
    answer_all();
    json_t *answer = json_loads(desk_answer(), 0, NULL);
    json_t *row = row_of(json_object_get(answer, "limits"), "mails", 3600);
    assert_int_equal(number(row, "used"), 2);
    assert_in_range(number(row, "frees_in"), 3600, 3600 / 16 * 17 + 1);
    json_decref(answer);
    assert_string_equal(desk_ask("{\"request\":\"reset\",\"key\":\"user:alice\"}"), "");
    answer_all();
    answer = json_loads(desk_answer(), 0, NULL);
    assert_true(json_is_true(json_object_get(answer, "ok")));
    json_decref(answer);
}

static void test_limits_of_a_store_that_is_away(void **state)
{
    (void)state;
    late_of(&D.store)->fails = true;
    desk_ask("{\"request\":\"limits\",\"key\":\"user:alice\"}");
    answer_all();
    json_t *answer = json_loads(desk_answer(), 0, NULL);
    assert_true(json_is_true(json_object_get(answer, "ok")));
    json_t *row = row_of(json_object_get(answer, "limits"), "mails", 3600);
    assert_true(json_is_null(json_object_get(row, "used")));
    assert_int_equal(number(row, "limit"), 3);
    json_decref(answer);
    desk_ask("{\"request\":\"reset\",\"key\":\"user:alice\"}");
    answer_all();
    answer = json_loads(desk_answer(), 0, NULL);
    assert_false(json_is_true(json_object_get(answer, "ok")));
    assert_true(json_is_true(json_object_get(answer, "again")));
    json_decref(answer);
    assert_non_null(strstr(desk_events(), "\"key\":\"user:alice\",\"result\":\"partly\"}\n"));
}

/* ---- a store whose server is away ---- */

static const char *decides_by;
static uint32_t nodes;

/* As a node that decides alone by its share: of so many, all that is counted here it has admitted itself. */
static void decide_alone(struct store_op *op)
{
    struct take *take = op->takes[0];
    struct store *inner = &late_of(&D.store)->inner;
    uint64_t allowed[COLUMNS];
    memcpy(allowed, take->allowed, sizeof allowed);
    for (size_t c = 0; c < COLUMNS; c++)
        take->allowed[c] = allowed[c] == ALLOWED_ANY ? ALLOWED_ANY : allowed[c] / MAX_OF(nodes, 1U);
    assert_int_equal(inner->ops->take_start(inner, op), DONE);
    memcpy(take->allowed, allowed, sizeof allowed);
    op->decided_by = decides_by;
    op->share_of = nodes;
}

static json_t *limits_of_alice(void)
{
    desk_ask("{\"request\":\"limits\",\"key\":\"user:alice\"}");
    answer_all();
    return json_loads(desk_answer(), 0, NULL);
}

static void test_limits_by_a_share(void **state)
{
    (void)state;
    late_of(&D.store)->decide = decide_alone;
    decides_by = "share";
    nodes = 4;
    desk_count("u:alice", 3600, 0, 49); /* of 200; the share is 50 */
    json_t *answer = limits_of_alice();
    const json_t *rows = json_object_get(answer, "limits");
    json_t *row = row_of(rows, "reach", 3600);
    assert_string_equal(text(row, "store"), "share");
    assert_int_equal(number(row, "share_of"), 4);
    assert_int_equal(number(row, "used"), 49);
    assert_int_equal(number(row, "limit"), 200);
    assert_false(json_is_true(json_object_get(row, "full")));
    assert_true(json_is_null(json_object_get(row, "frees_in"))); /* nobody knows what the others do */
    assert_true(json_is_true(json_object_get(row_of(rows, "mails", 3600), "full"))); /* 3 are less than nodes */
    json_decref(answer);

    desk_count("u:alice", 3600, 0, 1);
    answer = limits_of_alice();
    row = row_of(json_object_get(answer, "limits"), "reach", 3600);
    assert_true(json_is_true(json_object_get(row, "full")));
    assert_in_range(number(row, "frees_in"), 3600, 3600 / 16 * 17 + 1);
    json_decref(answer);
}

static void test_limits_without_a_share(void **state)
{
    (void)state;
    late_of(&D.store)->decide = decide_alone;
    decides_by = "open";
    nodes = 0;
    desk_count("u:alice", 3600, 0, 300);
    json_t *answer = limits_of_alice();
    json_t *row = row_of(json_object_get(answer, "limits"), "reach", 3600);
    assert_string_equal(text(row, "store"), "open");
    assert_null(json_object_get(row, "share_of"));
    assert_int_equal(number(row, "used"), 300);
    assert_false(json_is_true(json_object_get(row, "full"))); /* it refuses nothing */
    json_decref(answer);
    decides_by = "local";
    answer = limits_of_alice();
    row = row_of(json_object_get(answer, "limits"), "reach", 3600);
    assert_string_equal(text(row, "store"), "local");
    assert_true(json_is_true(json_object_get(row, "full")));
    json_decref(answer);
}

/* ---- nothing counted ---- */

static void test_nothing_is_counted(void **state)
{
    static const char *const QUESTIONS[] = {
        "{\"request\":\"limits\",\"key\":\"user:%s\"}", "{\"request\":\"reset\",\"key\":\"user:%s\"}",
        "{\"request\":\"allow\",\"key\":\"user:%s\",\"limit\":\"mails\",\"rate\":\"5/1h\"}"};
    char question[128];
    (void)state;
    for (size_t i = 0; i < COUNT_OF(QUESTIONS); i++) {
        desk_count("u:alice", 3600, 1, 1);
        for (int is_known = 0; is_known < 2; is_known++) {
            snprintf(question, sizeof question, QUESTIONS[i], is_known ? "alice" : "alicce");
            json_t *answer = desk_yes(question);
            json_t *counted = json_object_get(answer, "counted");
            assert_true(is_known ? json_is_true(counted) : json_is_false(counted));
            json_decref(answer);
        }
    }
}

static void test_nobody_waits_for_limits(void **state)
{
    (void)state;
    desk_ask("{\"request\":\"limits\",\"key\":\"user:alice\"}");
    assert_true(late_waits(&D.store));
    control_free(&D.control);
    assert_false(late_waits(&D.store));
}

/* ---- allow ---- */

static void test_allow(void **state)
{
    (void)state;
    struct rate rates[ALLOWANCE_RATES_MAX];
    size_t count;
    const char *events;
    json_t *answer = desk_yes("{\"request\":\"allow\",\"key\":\"Alice\",\"limit\":\"mails\",\"rate\":\"5000/1h, "
                              "20000/1d\",\"for\":\"2d\",\"why\":\"newsletter\",\"who\":\"root\"}");
    assert_string_equal(text(answer, "key"), "user:alice");
    assert_int_equal(number(answer, "lasts"), 2 * 86400);
    assert_true(json_is_false(json_object_get(answer, "waits_for_redis")));
    json_decref(answer);
    events = desk_events();
    assert_non_null(strstr(events, "\"event\":\"allow\",\"node\":\"mx1\",\"by\":\"root\",\"key\":\"user:alice\","
                                   "\"limit\":\"mails\",\"rate\":\"5000/1h, 20000/1d\",\"until\":\"20"));
    assert_non_null(strstr(events, "Z\",\"why\":\"newsletter\"}\n"));
    assert_true(allowance_find(D.allowance_memory, STR("u:alice"), STR("mails"), clock_steady_us(), rates, &count));
    assert_int_equal(count, 2);
    assert_int_equal(rates[1].count, 20000);
    answer = desk_yes("{\"request\":\"limits\",\"key\":\"user:alice\"}");
    json_t *row = row_of(json_object_get(answer, "limits"), "mails", 86400);
    assert_int_equal(number(row, "limit"), 20000);
    assert_string_equal(text(row, "rate_of"), "operator");
    assert_string_equal(text(row, "by"), "root");
    assert_string_equal(text(row, "why"), "newsletter");
    json_decref(answer);
    answer = desk_yes("{\"request\":\"allow\",\"key\":\"alice\",\"limit\":\"volume\",\"rate\":\"1G/1d\"}");
    assert_int_equal(number(json_array_get(json_object_get(answer, "rates"), 0), "limit"), INT64_C(1) << 30);
    assert_int_equal(number(answer, "lasts"), 86400);
    json_decref(answer);
    json_decref(desk_yes("{\"request\":\"allow\",\"key\":\"192.0.2.7\",\"limit\":\"open\",\"rate\":\"500\"}"));
    (void)desk_events();
    json_decref(desk_yes("{\"request\":\"allow\",\"key\":\"alice\",\"limit\":\"mails\",\"rate\":\"default\"}"));
    assert_false(allowance_find(D.allowance_memory, STR("u:alice"), STR("mails"), clock_steady_us(), rates, &count));
    assert_string_equal(event_end_of(desk_events()), "\"event\":\"allow\",\"node\":\"mx1\",\"by\":\"root\",\"key\":"
                                                     "\"user:alice\",\"limit\":\"mails\",\"rate\":\"default\"}\n");
}

static void test_allowances(void **state)
{
    (void)state;
    json_t *answer = desk_yes("{\"request\":\"allowances\"}");
    assert_int_equal(json_array_size(json_object_get(answer, "allowances")), 0);
    json_decref(answer);
    json_decref(desk_yes("{\"request\":\"allow\",\"key\":\"alice\",\"limit\":\"volume\",\"rate\":\"1G/1d\",\"for\":"
                         "\"2d\",\"why\":\"newsletter\",\"who\":\"bob\"}"));
    json_decref(desk_yes("{\"request\":\"allow\",\"key\":\"carol\",\"limit\":\"mails\",\"rate\":\"none\"}"));
    json_decref(desk_yes("{\"request\":\"allow\",\"key\":\"dave\",\"limit\":\"mails\",\"rate\":\"9/1h\"}"));
    json_decref(desk_yes("{\"request\":\"allow\",\"key\":\"dave\",\"limit\":\"mails\",\"rate\":\"default\"}"));
    answer = desk_yes("{\"request\":\"allowances\"}");
    const json_t *all = json_object_get(answer, "allowances");
    assert_int_equal(json_array_size(all), 2);
    assert_string_equal(text(json_array_get(all, 0), "key"), "user:carol"); /* who ends first */
    assert_int_equal(json_array_size(json_object_get(json_array_get(all, 0), "rates")), 0);
    const json_t *last = json_array_get(all, 1);
    assert_string_equal(text(last, "key"), "user:alice");
    assert_string_equal(text(last, "limit"), "volume");
    assert_string_equal(text(last, "unit"), "bytes");
    assert_string_equal(text(last, "by"), "bob");
    assert_string_equal(text(last, "why"), "newsletter");
    assert_int_equal(number(last, "left"), 2 * 86400);
    const json_t *rate = json_array_get(json_object_get(last, "rates"), 0);
    assert_int_equal(number(rate, "limit"), INT64_C(1) << 30);
    assert_int_equal(number(rate, "period"), 86400);
    json_decref(answer);
}

static void test_nobody_waits_for_an_allowance(void **state)
{
    struct rate rates[ALLOWANCE_RATES_MAX];
    size_t count;
    (void)state;
    desk_ask("{\"request\":\"allow\",\"key\":\"alice\",\"limit\":\"mails\",\"rate\":\"5/1h\"}");
    assert_true(late_waits(&D.store)); /* what is counted is asked for; it is in force already */
    assert_true(allowance_find(D.allowance_memory, STR("u:alice"), STR("mails"), clock_steady_us(), rates, &count));
    control_free(&D.control);
    assert_false(late_waits(&D.store));
}

/* ---- reload, stop ---- */

static void test_reload(void **state)
{
    (void)state;
    assert_string_equal(desk_ask("{\"request\":\"reload\"}"), "");
    assert_int_equal(D.reloads, 1);
    admin_reload_done(&D.admin, D.last_reload + 1, true, STR(""), STR("")); /* of somebody else's */
    assert_string_equal(desk_answer(), "");
    admin_reload_done(&D.admin, D.last_reload, true, STR(""), STR("a warning\n"));
    assert_string_equal(desk_answer(), "{\"generation\":3,\"report\":\"a warning\\n\",\"ok\":true}\n");
    desk_ask("{\"request\":\"reload\"}");
    admin_reload_done(&D.admin, D.last_reload, false, STR("it has 1 error"), STR("x.conf:1:1: error\n  \x1b\n"));
    assert_string_equal(desk_answer(), "{\"ok\":false,\"error\":\"it has 1 error\",\"report\":\"x.conf:1:1: error\\n  "
                                       "\\\\x1b\\n\"}\n");
    D.is_deaf = true;
    assert_string_equal(desk_ask("{\"request\":\"reload\"}"),
                        "{\"ok\":false,\"error\":\"the supervisor does not listen\",\"again\":true}\n");
}

static void test_nobody_waits_for_a_reload(void **state)
{
    (void)state;
    desk_ask("{\"request\":\"reload\"}");
    control_free(&D.control);
    assert_true(list_is_empty(&D.admin.reloads));
    admin_reload_done(&D.admin, D.last_reload, true, STR(""), STR(""));
}

static void test_stop(void **state)
{
    (void)state;
    counter_add(&D.counters[5], COUNTER_OPEN_CONNECTIONS, 4);
    assert_string_equal(desk_ask("{\"request\":\"stop\"}"),
                        "{\"pid\":4711,\"connections\":4,\"was_stopping\":false,\"ok\":true}\n");
    assert_string_equal(desk_ask("{\"request\":\"stop\"}"),
                        "{\"pid\":4711,\"connections\":4,\"was_stopping\":true,\"ok\":true}\n");
    assert_int_equal(D.stops, 2);
}

/* ---- status, audit ---- */

static void test_status(void **state)
{
    (void)state;
    counter_add(&D.counters[1], COUNTER_MAILS_ACCEPTED, 3);
    counter_add(&D.counters[2], COUNTER_MAILS_ACCEPTED, 4);
    json_decref(desk_yes("{\"request\":\"ban\",\"key\":\"192.0.2.7\",\"duration\":\"1h\"}"));
    json_t *answer = desk_yes("{\"request\":\"status\"}");
    assert_string_equal(text(answer, "version"), MAILWEIR_VERSION);
    assert_string_equal(text(answer, "state"), "running");
    assert_in_range(number(answer, "uptime"), 60, 62);
    assert_int_equal(number(json_object_get(answer, "mails"), "accepted"), 7);
    assert_int_equal(number(json_object_get(answer, "bans"), "in_force"), 1);
    assert_int_equal(number(json_object_get(answer, "counters"), "mailweir_mails_accepted_total"), 7);
    assert_string_equal(text(json_object_get(answer, "config"), "file"), "test.conf");
    const json_t *worker = json_array_get(json_object_get(answer, "processes"), 0);
    assert_int_equal(number(worker, "connections"), 7);
    assert_true(json_is_true(json_object_get(worker, "draining")));
    const json_t *admin = json_array_get(json_object_get(answer, "processes"), 1);
    assert_null(json_object_get(admin, "connections"));
    assert_int_equal(number(admin, "uptime"), 0); /* it does not run now */
    const json_t *listener = json_array_get(json_object_get(answer, "listeners"), 0);
    assert_string_equal(text(listener, "name"), "submission");
    assert_string_equal(text(listener, "pool"), "default");
    json_decref(answer);
}

static void test_health_of_the_servers_behind(void **state)
{
    static const struct {
        struct admin_health health;
        const char *word;
    } CASES[] = {{{0, 0}, "unknown"}, {{2, 0}, "up"}, {{0, 1}, "down"}, {{1, 1}, "partly"}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        D.health[0] = CASES[i].health;
        json_t *answer = desk_yes("{\"request\":\"status\"}");
        const json_t *pool = json_array_get(json_object_get(answer, "pools"), 0);
        const json_t *server = json_array_get(json_object_get(pool, "servers"), 0);
        assert_string_equal(text(pool, "state"), CASES[i].word);
        assert_string_equal(text(server, "state"), CASES[i].word);
        assert_string_equal(text(server, "endpoint"), "127.0.0.1:587");
        assert_int_equal(number(server, "workers_down"), CASES[i].health.down);
        json_decref(answer);
    }
}

static void test_audit(void **state)
{
    (void)state;
    desk_count("u:alice", 3600, 3, 40);
    json_t *answer = desk_yes("{\"request\":\"audit\"}");
    assert_true(json_is_true(json_object_get(answer, "clean")));
    assert_int_equal(number(json_object_get(answer, "memory"), "live"), 1);
    assert_int_equal(number(json_object_get(answer, "memory"), "impossible"), 0);
    json_decref(answer);
}

#define CASE(name)  cmocka_unit_test_setup_teardown(name, desk_open, desk_close)
#define LATER(name) cmocka_unit_test_setup_teardown(name, desk_open_late, desk_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_refused),
        CASE(test_a_suggestion),
        CASE(test_bans),
        CASE(test_a_banned_network),
        CASE(test_a_full_table_of_bans),
        CASE(test_limits),
        CASE(test_rates_of_a_table),
        CASE(test_whom_else_limits_count),
        CASE(test_reset),
        LATER(test_limits_later),
        LATER(test_limits_of_a_store_that_is_away),
        LATER(test_nobody_waits_for_limits),
        LATER(test_limits_by_a_share),
        LATER(test_limits_without_a_share),
        CASE(test_nothing_is_counted),
        CASE(test_allow),
        CASE(test_allowances),
        LATER(test_nobody_waits_for_an_allowance),
        CASE(test_reload),
        CASE(test_nobody_waits_for_a_reload),
        CASE(test_stop),
        CASE(test_status),
        CASE(test_health_of_the_servers_behind),
        CASE(test_audit),
    };
    log_set_level(LOG_LEVEL_WARNING);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
