/* test_audit.c - what the audit says of keys: a table; and a walk over a Redis that holds some of each (tiny_redis.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "limits/audit_judge.h"
#include "tiny_redis.h"

#define S     INT64_C(1000000)
#define NOW   (INT64_C(1767614400) * S) /* a whole hour: window 491004 of 3600 begins */
#define HOUR  (3600 * INT64_C(1000))
#define DAY   (24 * HOUR)
#define HEX32 "0123456789abcdef0123456789abcdef"
#define BAN                                                                                                            \
    "{\"since\":1767614300000000,\"until\":1767615300000000,\"changed\":1767614300000000,\"strikes\":1,\"by\":\"a\"}"

enum { NO_VALUE = -1 };

/* counts: a counter's value, slot by slot: "0:3 17:2" is 3 messages in the first slot, 2 recipients in the second. */
static const struct key_case {
    const char *name, *type;
    int64_t pttl_ms;
    const char *value; /* "#…": counts */
    const char *what;  /* a part of what is said first; NULL: nothing */
    enum audit_repair repair;
} CASES[] = {
    {"mw1:q:{u:alice@example.org}:3600:491004", "string", 2 * HOUR, "#0:3 16:2 32:7", NULL, 0},
    {"mw1:q:{u:alice@example.org}:3600:491003", "string", HOUR, "#15:3", NULL, 0},
    {"mw1:q:{n:192.0.2.0/24}:900:1964016:guesses", "string", 900000, "#0:3", NULL, 0},
    {"mw1:q:{u:alice}:3600:491004:ext.bytes", "string", HOUR, "#0:3", NULL, 0},
    {"mw1:q:{u:alice}:3600:491004", "string", 2 * HOUR, "", NULL, 0},
    {"mw1:q:{u:alice}:3600:491004", "string", -1, "#0:3", "a counter without expiry", AUDIT_EXPIRE},
    {"mw1:q:{u:alice}:3600:491004", "string", 3 * HOUR, "#0:3", "ends 3625 s later", AUDIT_EXPIRE},
    {"mw1:q:{u:alice}:3600:491005", "string", HOUR, "#0:3", "a window that has not begun", AUDIT_DELETE},
    {"mw1:q:{u:alice}:3600:18446744073709551615", "string", -1, "#0:3", "a window that has not begun", AUDIT_DELETE},
    {"mw1:q:{u:alice}:3600:491004", "string", HOUR, "#3:1", "parts of the window that have not begun", AUDIT_CLEAR},
    {"mw1:q:{u:alice}:3600:491004", "string", HOUR, "#0:4294967295", "the greatest number", AUDIT_CLEAR},
    {"mw1:q:{u:alice}:3600:491004", "string", HOUR, "abc", "a counter of 3 bytes", AUDIT_DELETE},
    {"mw1:q:{u:alice}:3600:491004", "string", HOUR, "#0:1 48:3600 49:491004", NULL, 0},
    {"mw1:q:{u:alice}:3600:491004", "string", HOUR, "#0:1 48:3600 49:491003", "it is another window's", AUDIT_DELETE},
    {"mw1:q:{u:alice}:3600:491004", "string", HOUR, "#0:1 48:3600", "it is another window's", AUDIT_DELETE},
    {"mw1:q:{u:alice}:3600:491004", "string", HOUR, "#50:1", "a counter of 204 bytes, where 200", AUDIT_DELETE},
    {"mw1:q:{u:alice}:3600:491004:guesses", "string", HOUR, "#0:1 48:3600 49:491004", NULL, 0},
    {"mw1:q:{u:alice}:3600:491004:guesses", "string", HOUR, "#16:1", "columns that this counter", AUDIT_CLEAR},
    {"mw1:q:{u:alice}:3600:491004", "list", HOUR, NULL, "it should be a counter and is of type list", AUDIT_DELETE},
    {"mw1:q:{u:alice}:0:491004", "string", HOUR, "#0:3", "no key of mailweir's has this form", AUDIT_NOTHING},
    {"mw1:q:{u:alice}:3600", "string", HOUR, "#0:3", "no key of mailweir's has this form", AUDIT_NOTHING},

    {"mw1:c:{i:192.0.2.7}", "zset", 60000, NULL, NULL, 0},
    {"mw1:c:{i:192.0.2.7}", "zset", -1, NULL, "open connections without expiry", AUDIT_EXPIRE},
    {"mw1:c:{i:192.0.2.7}", "zset", HOUR, NULL, "ends 3000 s later", AUDIT_EXPIRE},
    {"mw1:c:{i:192.0.2.7}", "string", 60000, "1", "it should be open connections", AUDIT_DELETE},
    {"mw1:x:{u:alice}:net:86400", "zset", DAY, NULL, NULL, 0},
    {"mw1:x:{u:alice}:net:86400", "zset", 3 * DAY, NULL, "values that ends", AUDIT_EXPIRE},
    {"mw1:x:{u:alice}:known:networks", "zset", 90 * DAY, NULL, NULL, 0},
    {"mw1:h:{u:alice}:rcpt:86400:81834", "string", DAY, "HYLL…", NULL, 0},
    {"mw1:h:{u:alice}:rcpt:86400:81834", "string", DAY, "12", "recipients that cannot be read", AUDIT_DELETE},

    {"mw1:b:{i:192.0.2.7}", "string", HOUR, BAN, NULL, 0},
    {"mw1:b:{i:192.0.2.7}", "string", HOUR, "banned", "a ban that cannot be read", AUDIT_DELETE},
    {"mw1:b:{i:192.0.2.7}", "string", -1, BAN, "a ban without expiry", AUDIT_EXPIRE},
    {"mw1:k:{i:192.0.2.7}", "string", HOUR, "2 1767614400000000", NULL, 0},
    {"mw1:bans", "zset", 300 * DAY, NULL, NULL, 0},
    {"mw1:bans", "hash", 300 * DAY, NULL, "it should be the index of bans", AUDIT_DELETE},
    {"mw1:o:{u:alice}", "hash", DAY, NULL, NULL, 0},
    {"mw1:allowances", "zset", 400 * DAY, NULL, NULL, 0},
    {"mw1:nodes", "zset", 2 * HOUR, NULL, NULL, 0},
    {"mw1:nodes:{17}", "zset", -1, NULL, "heartbeats without expiry", AUDIT_EXPIRE},
    {"mw1:epoch:{3}", "string", 90 * DAY, "0123456789abcdef", NULL, 0},
    {"mw1:epoch", "string", 90 * DAY, "0123456789abcdeF", "an epoch that cannot be read", AUDIT_DELETE},
    {"mw1:secret", "string", 90 * DAY, HEX32, NULL, 0},
    {"mw1:secret", "string", 90 * DAY, "hunter2", "the nodes' secret that cannot be read", AUDIT_DELETE},
    {"mw1:blocked", "set", -1, NULL, "(set, without expiry)", AUDIT_NOTHING},
    {"mw1:", "string", HOUR, "x", "no key of mailweir's has this form", AUDIT_NOTHING},
};

static struct str value_of(const char *text, char *to)
{
    size_t len = 0;
    unsigned slot;
    unsigned long n;
    int used;
    if (text[0] != '#')
        return str_of_z(text);
    for (text++; sscanf(text, "%u:%lu%n", &slot, &n, &used) == 2; text += used) {
        for (size_t b = 0; b < 4; b++)
            to[4 * slot + b] = (char)(n >> (24 - 8 * b));
        len = MAX_OF(len, 4 * slot + 4);
    }
    return str_of(to, len);
}

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        const struct key_case *c = &CASES[i];
        char counts[1024] = {0};
        struct audit_trouble troubles[AUDIT_TROUBLES_MAX] = {0};
        enum audit_kind kind;
        struct audit_key key = {.name = str_of_z(c->name),
                                .type = str_of_z(c->type),
                                .pttl_ms = c->pttl_ms,
                                .bytes = 100,
                                .is_read = c->value != NULL,
                                .now_us = NOW + 30 * S};
        if (c->value)
            key.value = value_of(c->value, counts);
        size_t count = audit_judge(&key, STR("mw1:"), &kind, troubles);
        if (c->what ? count == 0 || !strstr(troubles[0].what, c->what) || troubles[0].repair != c->repair : count != 0)
            fail_msg("%s (%s, %lld ms): \"%s\"", c->name, c->type, (long long)c->pttl_ms, troubles[0].what);
        if (count && !troubles[0].to_do[0])
            fail_msg("%s: \"%s\" and nothing to do", c->name, troubles[0].what);
    }
}

static void test_more_than_one_trouble(void **state)
{
    (void)state;
    char counts[1024] = {0};
    struct audit_trouble t[AUDIT_TROUBLES_MAX] = {0};
    enum audit_kind kind;
    struct audit_key key = {.name = STR("mw1:q:{u:alice}:3600:491004"),
                            .type = STR("string"),
                            .pttl_ms = -1,
                            .is_read = true,
                            .value = value_of("#0:4294967295 19:1 20:1", counts),
                            .now_us = NOW + 30 * S};
    assert_int_equal(audit_judge(&key, STR("mw1:"), &kind, t), 3);
    assert_int_equal(kind, AUDIT_COUNTERS);
    assert_true(t[0].slots == 1 && t[1].slots == (UINT64_C(3) << 19));
    assert_true(t[2].repair == AUDIT_EXPIRE && t[2].expires_ms == (491004 + 2) * HOUR + 5000);

    struct audit_key leases = {
        .name = STR("mw1:c:{i:192.0.2.7}"), .type = STR("zset"), .pttl_ms = 1000, .far_count = 2, .now_us = NOW};
    assert_int_equal(audit_judge(&leases, STR("mw1:"), &kind, t), 1);
    assert_int_equal(t[0].repair, AUDIT_CUT);
    assert_true(t[0].far_ms == audit_far_ms(leases.name, STR("mw1:"), NOW));
}

/* ---- a walk ---- */

struct stage {
    struct tiny_server server;
    struct redis redis;
    struct loop loop;
    struct audit *audit;
    struct audit_report report;
    unsigned done, progress;
    bool frees_itself;
};

static int setup(void **state)
{
    struct stage *st = calloc(1, sizeof *st);
    struct err err;
    assert_non_null(st);
    tiny_init(&st->server, NOW + 30 * S);
    assert_true(loop_init(&st->loop, &err));
    loop_set_now(&st->loop, 1000000, NOW + 30 * S);
    st->redis.server = &st->server;
    st->redis.loop = &st->loop;
    tiny_link(&st->redis);
    *state = st;
    return 0;
}

static int teardown(void **state)
{
    struct stage *st = *state;
    struct redis *r = &st->redis;
    redis_free(&r);
    audit_free(&st->audit);
    tiny_flush(&st->server);
    loop_fini(&st->loop);
    free(st);
    return 0;
}

static void on_done(void *arg, const struct audit_report *report)
{
    struct stage *st = arg;
    st->done++;
    st->report = *report;
    if (st->frees_itself)
        audit_free(&st->audit);
}

static void on_progress(void *arg, uint64_t keys)
{
    struct stage *st = arg;
    (void)keys;
    st->progress++;
}

static void start(struct stage *st, bool repairs)
{
    struct err err;
    audit_free(&st->audit);
    struct audit_options options = {.loop = &st->loop,
                                    .redis = &st->redis,
                                    .shape = REDIS_ALONE,
                                    .prefix = STR("mw1:"),
                                    .repairs = repairs,
                                    .deadline_ms = 10000};
    st->done = 0;
    st->audit = audit_start(&options, on_progress, on_done, st, &err);
    assert_non_null(st->audit);
}

static void run(struct stage *st, bool repairs)
{
    start(st, repairs);
    assert_int_equal(st->done, 0);
    tiny_answer(&st->redis);
    loop_run_tasks(&st->loop);
    assert_int_equal(st->done, 1);
}

static struct tiny_key *put(struct stage *st, const char *name, const char *type, int64_t pttl_ms, const char *value)
{
    struct tiny_key *k = tiny_make(&st->server, str_of_z(name), type);
    k->expires_ms = pttl_ms == -1 ? 0 : st->server.now_us / 1000 + pttl_ms;
    if (value)
        k->len = value_of(value, k->bytes).len;
    if (value && value[0] != '#')
        memcpy(k->bytes, value, k->len);
    return k;
}

static const struct audit_finding *finding_of(const struct stage *st, const char *key, const char *what)
{
    for (size_t i = 0; i < st->report.finding_count; i++)
        if (strcmp(st->report.findings[i].key, key) == 0 && strstr(st->report.findings[i].what, what))
            return &st->report.findings[i];
    fail_msg("%s: nothing is said of \"%s\"", key, what);
    return NULL;
}

static void test_a_clean_store(void **state)
{
    struct stage *st = *state;
    char name[64];
    run(st, false);
    assert_true(st->report.is_complete && st->report.finding_count == 0);
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "mw1:q:{u:%d}:3600:491004", i);
        put(st, name, "string", HOUR, "#0:1");
    }
    put(st, "mw1:b:{i:192.0.2.7}", "string", HOUR, BAN);
    put(st, "other:key", "string", -1, "x"); /* not under our prefix */
    run(st, true);
    assert_true(st->report.is_complete && st->report.finding_count == 0 && st->report.open == 0);
    assert_int_equal(st->report.keys[AUDIT_COUNTERS], 200);
    assert_int_equal(st->report.keys[AUDIT_BANS], 1);
    assert_int_equal(st->report.keys[AUDIT_UNKNOWN], 0);
    assert_true(st->report.bytes[AUDIT_COUNTERS] == 200 * 104);
    assert_true(st->progress > 5);
}

static void test_told_then_repaired(void **state)
{
    struct stage *st = *state;
    put(st, "mw1:q:{u:a}:3600:491004", "string", -1, "#0:3");
    put(st, "mw1:q:{u:b}:3600:491004", "string", HOUR, "#0:4294967295 16:5");
    put(st, "mw1:q:{u:c}:3600:491004", "zset", -1, NULL);
    struct tiny_key *leases = put(st, "mw1:c:{i:192.0.2.7}", "zset", 60000, NULL);
    strcpy(leases->members[0].name, "n.1.1");
    leases->members[0].score = (double)(st->server.now_us / 1000 + DAY);
    strcpy(leases->members[1].name, "n.1.2");
    leases->members[1].score = (double)(st->server.now_us / 1000 + 50000);
    put(st, "mw1:mine", "string", -1, "x");
    snprintf(st->server.info, sizeof st->server.info, "maxmemory_policy:allkeys-lru\r\n");

    run(st, false);
    assert_int_equal(st->report.finding_count, 6);
    assert_int_equal(st->report.open, 5);
    assert_int_equal(st->report.warnings, 1);
    const struct audit_finding *f = finding_of(st, "mw1:q:{u:a}:3600:491004", "without expiry");
    assert_true(f->severity == AUDIT_ERROR && f->is_repairable && !f->is_repaired);
    assert_string_equal(f->shard, "127.0.0.1:7001");
    finding_of(st, "", "allkeys-lru");
    assert_true(tiny_find(&st->server, STR("mw1:q:{u:a}:3600:491004"))->expires_ms == 0);

    run(st, true);
    assert_int_equal(st->report.repaired, 4);
    assert_int_equal(st->report.open, 1);
    assert_true(finding_of(st, "mw1:q:{u:a}:3600:491004", "without expiry")->is_repaired);

    run(st, false);
    assert_int_equal(st->report.finding_count, 2);
    finding_of(st, "mw1:mine", "no key of mailweir's");
    struct tiny_key *b = tiny_find(&st->server, STR("mw1:q:{u:b}:3600:491004"));
    assert_true(b->bytes[0] == 0 && b->bytes[3] == 0 && b->bytes[67] == 5);
    assert_true(tiny_find(&st->server, STR("mw1:q:{u:a}:3600:491004"))->expires_ms == (491004 + 2) * HOUR + 5000);
    assert_null(tiny_find(&st->server, STR("mw1:q:{u:c}:3600:491004")));
    assert_null(tiny_member(leases, STR("n.1.1")));
    assert_non_null(tiny_member(leases, STR("n.1.2")));
}

static void test_more_than_can_be_listed(void **state)
{
    struct stage *st = *state;
    char name[300];
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "mw1:q:{u:%d}:3600:491004", i);
        put(st, name, "string", -1, "#0:1 3:1"); /* two troubles each */
    }
    memset(name, '\1', sizeof name - 1);
    memcpy(name, "mw1:", 4);
    name[299] = '\0';
    put(st, name, "string", HOUR, "x");
    run(st, false);
    assert_int_equal(st->report.finding_count, AUDIT_FINDINGS_MAX);
    assert_int_equal(st->report.unlisted, 1);
    assert_int_equal(st->report.errors, 1000);
}

static void test_redis_is_not_there(void **state)
{
    struct stage *st = *state;
    tiny_cut(&st->redis);
    run(st, false);
    assert_false(st->report.is_complete);
    assert_string_equal(st->report.why, "Redis at 127.0.0.1:7001 is not there: it was cut off");
}

static void test_the_link_is_lost_meanwhile(void **state)
{
    struct stage *st = *state;
    put(st, "mw1:q:{u:a}:3600:491004", "string", -1, "#0:3");
    start(st, false);
    tiny_answer_one(&st->redis); /* the names */
    tiny_cut(&st->redis);
    loop_run_tasks(&st->loop);
    assert_int_equal(st->done, 1);
    assert_false(st->report.is_complete);
    assert_string_equal(st->report.why, "1 key could not be looked at, or repaired");
}

/* A master was added or left: the numbers of shards are others now, and one could be passed over. */
static void test_the_map_changes_meanwhile(void **state)
{
    struct stage *st = *state;
    put(st, "mw1:q:{u:a}:3600:491004", "string", HOUR, "#0:3");
    start(st, false);
    tiny_answer_one(&st->redis); /* the names */
    st->redis.map_version++;
    tiny_answer(&st->redis);
    loop_run_tasks(&st->loop);
    assert_int_equal(st->done, 1);
    assert_false(st->report.is_complete);
    assert_non_null(strstr(st->report.why, "the map of the Cluster has changed"));
}

static void test_scan_is_refused(void **state)
{
    struct stage *st = *state;
    snprintf(st->server.refuses, sizeof st->server.refuses, "SCAN");
    snprintf(st->server.refusal, sizeof st->server.refusal, "NOPERM this user has no permissions to run 'scan'");
    st->frees_itself = true;
    run(st, false);
    assert_null(st->audit);
    assert_false(st->report.is_complete);
    assert_non_null(strstr(st->report.why, "NOPERM"));
}

static void test_a_prefix_of_wildcards(void **state)
{
    struct stage *st = *state;
    struct audit_key key = {.name = STR("m*[1]:bans"), .type = STR("zset"), .pttl_ms = 1000, .now_us = NOW};
    struct audit_trouble t[AUDIT_TROUBLES_MAX];
    enum audit_kind kind;
    assert_int_equal(audit_judge(&key, STR("m*[1]:"), &kind, t), 0);
    (void)st;
}

#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_more_than_one_trouble),
        STORY(test_a_clean_store),
        STORY(test_told_then_repaired),
        STORY(test_more_than_can_be_listed),
        STORY(test_redis_is_not_there),
        STORY(test_the_link_is_lost_meanwhile),
        STORY(test_the_map_changes_meanwhile),
        STORY(test_scan_is_refused),
        STORY(test_a_prefix_of_wildcards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
