/* test_slots.c - slots of keys, maps, redirects and kinds of errors, as tables of what servers say (PROTOCOLS.md 7). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "redis/slots.h"

static redisReply *reply_of(const char *wire)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    assert_non_null(reader);
    assert_int_equal(redisReaderFeed(reader, wire, strlen(wire)), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_non_null(reply);
    redisReaderFree(reader);
    return reply;
}

static struct endpoint endpoint_of(const char *text)
{
    struct endpoint e;
    struct err err = {0};
    if (!endpoint_parse(str_of_z(text), &e, &err))
        fail_msg("%s: %s", text, err.text);
    return e;
}

/* ---- keys ---- */

static void test_slots_of_keys(void **state)
{
    static const struct {
        const char *key;
        unsigned slot;
    } CASES[] = {
        {"foo", 12182},
        {"123456789", 12739},
        {"mw1:q:{u:alice@example.org}:3600:1", 8645},
        {"u:alice@example.org", 8645},
        {"a{}b{c}", 7353},
        {"a{{b}}c", 6215},
        {"{b", 6215},
        {"", 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++)
        if (redis_slot(str_of_z(CASES[i].key)) != CASES[i].slot)
            fail_msg("%s: %u", CASES[i].key, redis_slot(str_of_z(CASES[i].key)));
    assert_int_equal(redis_slot(STR_NONE), 0);
    assert_int_equal(redis_slot(STR("x{user1000}.a")), redis_slot(STR("y{user1000}.b{c}")));
    assert_int_equal(redis_slot(STR("bar{")), redis_slot(STR("bar{")));
    assert_int_not_equal(redis_slot(STR("bar{")), redis_slot(STR("bar")));
}

/* ---- maps ---- */

#define RANGE(first, last, host, port) "*3\r\n:" first "\r\n:" last "\r\n*3\r\n" host ":" port "\r\n$2\r\nid\r\n"
#define H4                             "$9\r\n127.0.0.1\r\n"

static const struct {
    const char *name, *asked, *wire;
    const char *masters[4];
    uint16_t slots[4], owners[4]; /* some slots, and who has them */
    size_t slot_count;
} MAPS[] = {
    {"three masters",
     "127.0.0.1:7311",
     "*3\r\n" RANGE("0", "5460", H4, "7311") RANGE("5461", "10922", H4, "7312") RANGE("10923", "16383", H4, "7313"),
     {"127.0.0.1:7311", "127.0.0.1:7312", "127.0.0.1:7313"},
     {0, 5461, 16383},
     {0, 1, 2},
     3},
    {"ranges of one master, gaps",
     "127.0.0.1:7311",
     "*3\r\n" RANGE("0", "9", H4, "7311") RANGE("20", "29", H4, "7312") RANGE("40", "40", H4, "7311"),
     {"127.0.0.1:7311", "127.0.0.1:7312"},
     {9, 10, 29, 40},
     {0, SLOTS_UNCOVERED, 1, 0},
     4},
    {"replicas, and members of later versions",
     "127.0.0.1:7311",
     "*1\r\n*4\r\n:0\r\n:16383\r\n*4\r\n" H4 ":7311\r\n$2\r\nid\r\n*2\r\n$8\r\nhostname\r\n$3\r\nr.x\r\n*4\r\n" H4
     ":7321\r\n$2\r\nid\r\n*0\r\n",
     {"127.0.0.1:7311"},
     {8645},
     {0},
     1},
    {"host NULL is the one asked",
     "192.0.2.7:6379",
     "*1\r\n" RANGE("1", "2", "$-1\r\n", "7311"),
     {"192.0.2.7:7311"},
     {1, 3},
     {0, SLOTS_UNCOVERED},
     2},
    {"host empty is the one asked, by its name",
     "redis.example.org:6379",
     "*1\r\n" RANGE("1", "2", "$0\r\n\r\n", "7311"),
     {"redis.example.org:7311"},
     {1},
     {0},
     1},
    {"host empty, asked through a socket",
     "unix:/run/redis.sock",
     "*1\r\n" RANGE("1", "2", "$0\r\n\r\n", "7311"),
     {"127.0.0.1:7311"},
     {2},
     {0},
     1},
    {"IPv6, a name",
     "127.0.0.1:7311",
     "*2\r\n" RANGE("0", "1", "$3\r\n::1\r\n", "7311") RANGE("2", "3", "$5\r\na.b.c\r\n", "7311"),
     {"[::1]:7311", "a.b.c:7311"},
     {1, 2},
     {0, 1},
     2},
    {"a name nobody told, the address beside it",
     "127.0.0.1:7311",
     "*1\r\n*3\r\n:0\r\n:1\r\n*4\r\n$1\r\n?\r\n:7312\r\n$2\r\nid\r\n*2\r\n$2\r\nip\r\n$9\r\n127.0.0.2\r\n",
     {"127.0.0.2:7312"},
     {1},
     {0},
     1},
    {"a range that nobody has",
     "127.0.0.1:7311",
     "*2\r\n*2\r\n:0\r\n:1\r\n" RANGE("2", "3", H4, "7311"),
     {"127.0.0.1:7311"},
     {0, 2},
     {SLOTS_UNCOVERED, 0},
     2},
};

static void test_maps(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(MAPS); i++) {
        struct slots_map map;
        struct err err = {0};
        struct endpoint asked = endpoint_of(MAPS[i].asked);
        redisReply *reply = reply_of(MAPS[i].wire);
        slots_map_init(&map);
        if (!slots_map_parse(&map, reply, &asked, &err))
            fail_msg("%s: %s", MAPS[i].name, err.text);
        size_t count = 0;
        for (; count < COUNT_OF(MAPS[i].masters) && MAPS[i].masters[count]; count++) {
            char text[ENDPOINT_TEXT_MAX];
            assert_true(count < map.master_count);
            if (!str_equal(endpoint_format(&map.masters[count], text), str_of_z(MAPS[i].masters[count])))
                fail_msg("%s: master %zu", MAPS[i].name, count);
        }
        assert_int_equal(map.master_count, count);
        for (size_t k = 0; k < MAPS[i].slot_count; k++)
            if (map.master_of[MAPS[i].slots[k]] != MAPS[i].owners[k])
                fail_msg("%s: slot %u", MAPS[i].name, MAPS[i].slots[k]);
        slots_map_fini(&map);
        freeReplyObject(reply);
    }
}

static const struct {
    const char *wire, *reason;
} BROKEN_MAPS[] = {
    {"-ERR This instance has cluster support disabled\r\n",
     "CLUSTER SLOTS is refused: ERR This instance has cluster support disabled"},
    {"+OK\r\n", "the reply to CLUSTER SLOTS is not a list"},
    {"*-1\r\n", "the reply to CLUSTER SLOTS is not a list"},
    {"*0\r\n", "the node knows of no slot: it belongs to no Cluster, or to one that is not made up yet"},
    {"*1\r\n*2\r\n:0\r\n:1\r\n",
     "the node knows of no slot: it belongs to no Cluster, or to one that is not made up yet"},
    {"*1\r\n:1\r\n", "the reply to CLUSTER SLOTS is not a list of ranges"},
    {"*1\r\n*1\r\n:1\r\n", "the reply to CLUSTER SLOTS is not a list of ranges"},
    {"*1\r\n*3\r\n$1\r\n0\r\n:1\r\n*0\r\n", "the reply to CLUSTER SLOTS is not a list of ranges"},
    {"*1\r\n" RANGE("-1", "1", H4, "7311"), "the reply to CLUSTER SLOTS speaks of slots -1 to 1"},
    {"*1\r\n" RANGE("0", "16384", H4, "7311"), "the reply to CLUSTER SLOTS speaks of slots 0 to 16384"},
    {"*1\r\n" RANGE("2", "1", H4, "7311"), "the reply to CLUSTER SLOTS speaks of slots 2 to 1"},
    {"*1\r\n" RANGE("0", "1", H4, "0"), "the reply to CLUSTER SLOTS does not say where the master of slots 0 to 1 is"},
    {"*1\r\n" RANGE("0", "1", H4, "65536"),
     "the reply to CLUSTER SLOTS does not say where the master of slots 0 to 1 is"},
    {"*1\r\n" RANGE("0", "1", H4, "-1"), "the reply to CLUSTER SLOTS does not say where the master of slots 0 to 1 is"},
    {"*1\r\n" RANGE("0", "1", "$5\r\na b c\r\n", "7311"),
     "the reply to CLUSTER SLOTS does not say where the master of slots 0 to 1 is"},
    {"*1\r\n" RANGE("0", "1", "$7\r\n0.0.0.0\r\n", "7311"),
     "the reply to CLUSTER SLOTS does not say where the master of slots 0 to 1 is"},
    {"*1\r\n" RANGE("0", "1", ":9\r\n", "7311"),
     "the reply to CLUSTER SLOTS does not say where the master of slots 0 to 1 is"},
    {"*1\r\n*3\r\n:0\r\n:1\r\n*1\r\n" H4,
     "the reply to CLUSTER SLOTS does not say where the master of slots 0 to 1 is"},
    {"*1\r\n*3\r\n:0\r\n:1\r\n:5\r\n", "the reply to CLUSTER SLOTS does not say where the master of slots 0 to 1 is"},
};

static void test_broken_maps(void **state)
{
    struct endpoint asked = endpoint_of("127.0.0.1:7311");
    (void)state;
    for (size_t i = 0; i < COUNT_OF(BROKEN_MAPS); i++) {
        struct slots_map map;
        struct err err = {0};
        redisReply *reply = reply_of(BROKEN_MAPS[i].wire);
        slots_map_init(&map);
        assert_false(slots_map_parse(&map, reply, &asked, &err));
        assert_string_equal(err.text, BROKEN_MAPS[i].reason);
        slots_map_fini(&map);
        freeReplyObject(reply);
    }
}

/* A reply may name masters without end: no memory without bound comes of it. */
static void test_too_many_masters(void **state)
{
    struct endpoint asked = endpoint_of("127.0.0.1:7311");
    char *wire = malloc((SLOTS_MASTERS_MAX + 2) * 80);
    (void)state;
    for (int count = SLOTS_MASTERS_MAX; count <= SLOTS_MASTERS_MAX + 1; count++) {
        struct slots_map map;
        struct err err = {0};
        assert_non_null(wire);
        char *end = wire + sprintf(wire, "*%d\r\n", count);
        for (int i = 0; i < count; i++)
            end += sprintf(end, "*3\r\n:%d\r\n:%d\r\n*2\r\n" H4 ":%d\r\n", i, i, 1000 + i);
        redisReply *reply = reply_of(wire);
        slots_map_init(&map);
        assert_int_equal(slots_map_parse(&map, reply, &asked, &err), count == SLOTS_MASTERS_MAX);
        if (count > SLOTS_MASTERS_MAX)
            assert_string_equal(err.text, "the reply to CLUSTER SLOTS names more than 1024 masters");
        else
            assert_int_equal(map.master_of[SLOTS_MASTERS_MAX - 1], SLOTS_MASTERS_MAX - 1);
        slots_map_fini(&map);
        freeReplyObject(reply);
    }
    free(wire);
}

/* ---- redirects and errors ---- */

static void test_redirects(void **state)
{
    static const struct {
        const char *wire;
        enum slots_redirect_kind kind;
        unsigned slot;
        const char *to;
    } CASES[] = {
        {"-MOVED 8645 127.0.0.1:7312\r\n", SLOTS_MOVED, 8645, "127.0.0.1:7312"},
        {"-ASK 0 127.0.0.1:7312\r\n", SLOTS_ASK, 0, "127.0.0.1:7312"},
        {"-MOVED 16383 ::1:7312\r\n", SLOTS_MOVED, 16383, "[::1]:7312"},
        {"-MOVED 1 [2001:db8::1]:7312\r\n", SLOTS_MOVED, 1, "[2001:db8::1]:7312"},
        {"-ASK 1 redis-3.example.org:7312\r\n", SLOTS_ASK, 1, "redis-3.example.org:7312"},
        {"-MOVED 1 :7312\r\n", SLOTS_MOVED, 1, "192.0.2.7:7312"},
        {"-MOVED 16384 127.0.0.1:7312\r\n", SLOTS_NO_REDIRECT},
        {"-MOVED -1 127.0.0.1:7312\r\n", SLOTS_NO_REDIRECT},
        {"-MOVED x 127.0.0.1:7312\r\n", SLOTS_NO_REDIRECT},
        {"-MOVED 1 127.0.0.1\r\n", SLOTS_NO_REDIRECT},
        {"-MOVED 1 127.0.0.1:0\r\n", SLOTS_NO_REDIRECT},
        {"-MOVED 1 127.0.0.1:65536\r\n", SLOTS_NO_REDIRECT},
        {"-MOVED 1 127.0.0.1:7312 more\r\n", SLOTS_NO_REDIRECT},
        {"-MOVED 1 ?:7312\r\n", SLOTS_NO_REDIRECT},
        {"-MOVED 1 0.0.0.0:7312\r\n", SLOTS_NO_REDIRECT},
        {"-ASK 1 :::7312\r\n", SLOTS_NO_REDIRECT},
        {"-MOVED 1\r\n", SLOTS_NO_REDIRECT},
        {"-MOVED\r\n", SLOTS_NO_REDIRECT},
        {"-MOVEDX 1 127.0.0.1:7312\r\n", SLOTS_NO_REDIRECT},
        {"-TRYAGAIN Multiple keys request during rehashing of slot\r\n", SLOTS_NO_REDIRECT},
        {"-\r\n", SLOTS_NO_REDIRECT},
        {"+MOVED 1 127.0.0.1:7312\r\n", SLOTS_NO_REDIRECT},
        {"$26\r\nMOVED 8645 127.0.0.1:73120\r\n", SLOTS_NO_REDIRECT},
        {"*0\r\n", SLOTS_NO_REDIRECT},
    };
    struct endpoint asked = endpoint_of("192.0.2.7:6379");
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        char text[ENDPOINT_TEXT_MAX];
        redisReply *reply = reply_of(CASES[i].wire);
        struct slots_redirect r = slots_redirect_parse(reply, &asked);
        if (r.kind != CASES[i].kind)
            fail_msg("%s: kind %d", CASES[i].wire, (int)r.kind);
        if (r.kind != SLOTS_NO_REDIRECT) {
            assert_int_equal(r.slot, CASES[i].slot);
            assert_true(str_equal(endpoint_format(&r.to, text), str_of_z(CASES[i].to)));
        }
        freeReplyObject(reply);
    }
}

static void test_kinds_of_errors(void **state)
{
    static const struct {
        const char *wire;
        enum redis_error_kind kind;
    } CASES[] = {
        {"-NOAUTH Authentication required.\r\n", REDIS_ERROR_CONFIGURATION},
        {"-WRONGPASS invalid username-password pair or user is disabled.\r\n", REDIS_ERROR_CONFIGURATION},
        {"-NOPERM this user has no permissions to run the 'get' command\r\n", REDIS_ERROR_CONFIGURATION},
        {"-NOPROTO unsupported protocol version\r\n", REDIS_ERROR_CONFIGURATION},
        {"-LOADING Redis is loading the dataset in memory\r\n", REDIS_ERROR_BUSY},
        {"-BUSY Redis is busy running a script.\r\n", REDIS_ERROR_BUSY},
        {"-TRYAGAIN Multiple keys request during rehashing of slot\r\n", REDIS_ERROR_BUSY},
        {"-CLUSTERDOWN The cluster is down\r\n", REDIS_ERROR_BUSY},
        {"-READONLY You can't write against a read only replica.\r\n", REDIS_ERROR_WRONG_NODE},
        {"-MASTERDOWN Link with MASTER is down\r\n", REDIS_ERROR_WRONG_NODE},
        {"-MOVED 8645 127.0.0.1:7312\r\n", REDIS_ERROR_WRONG_NODE},
        {"-ASK 8645 127.0.0.1:7312\r\n", REDIS_ERROR_WRONG_NODE},
        {"-OOM command not allowed when used memory > 'maxmemory'.\r\n", REDIS_ERROR_COMMAND},
        {"-MISCONF Redis is configured to save RDB snapshots\r\n", REDIS_ERROR_COMMAND},
        {"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n", REDIS_ERROR_COMMAND},
        {"-ERR unknown command\r\n", REDIS_ERROR_COMMAND},
        {"-BUSYGROUP Consumer Group name already exists\r\n", REDIS_ERROR_COMMAND},
        {"-READONLY\r\n", REDIS_ERROR_WRONG_NODE},
        {"-\r\n", REDIS_ERROR_COMMAND},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        redisReply *reply = reply_of(CASES[i].wire);
        if (redis_error_kind(reply) != CASES[i].kind)
            fail_msg("%s: kind %d", CASES[i].wire, (int)redis_error_kind(reply));
        freeReplyObject(reply);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots_of_keys), cmocka_unit_test(test_maps),
        cmocka_unit_test(test_broken_maps),   cmocka_unit_test(test_too_many_masters),
        cmocka_unit_test(test_redirects),     cmocka_unit_test(test_kinds_of_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
