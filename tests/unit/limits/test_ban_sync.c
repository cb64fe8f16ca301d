/* test_ban_sync.c - bans that travel between nodes whose clocks differ, story by story (tiny_redis.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "limits/ban_sync.h"
#include "tiny_redis.h"

#define MS     INT64_C(1000)
#define S      INT64_C(1000000)
#define NOW    (INT64_C(1767614400) * S)
#define PLACES 2048

enum { NODES = 3, STEP_MS = 50 };

static const struct ban_terms QUARTER = {.duration_s = 900, .by = STR("guessing"), .reason = STR("10 guesses")};
static const struct ban_terms HALF = {.duration_s = 1800, .by = STR("flood"), .reason = STR("")};
static const struct ban_terms DAY = {.duration_s = 86400, .by = STR("flood"), .reason = STR("")};
static const struct ban_terms DOUBLING = {.duration_s = 900, .max_s = 86400, .by = STR("guessing"), .reason = STR("")};

struct node {
    struct redis redis;
    struct loop loop;
    struct ban_table *bans;
    struct ban_sync *sync;
    int64_t skew_us; /* its clock is so much ahead of Redis' */
};

struct stage {
    struct tiny_server server;
    struct node nodes[NODES];
    int64_t now_us;
    int64_t ahead_us; /* so much is Redis' clock ahead of it */
};

static int64_t clock_of(const struct loop *l)
{
    return loop_wall_us(l);
}

static void set_clocks(struct stage *st)
{
    st->server.now_us = st->now_us + st->ahead_us;
    for (size_t i = 0; i < NODES; i++)
        loop_set_now(&st->nodes[i].loop, st->now_us / 1000 - NOW / 1000 + 1000000, st->now_us + st->nodes[i].skew_us);
}

static void start(struct stage *st, size_t i)
{
    struct node *n = &st->nodes[i];
    struct err err;
    struct ban_sync_options options = {.loop = &n->loop,
                                       .redis = &n->redis,
                                       .bans = n->bans,
                                       .prefix = STR("mw1:"),
                                       .node_name = STR("mx1"),
                                       .now_us = clock_of};
    n->sync = ban_sync_new(&options, &err);
    assert_non_null(n->sync);
}

static void steps(struct stage *st, int64_t ms)
{
    for (int64_t at = 0; at < ms; at += STEP_MS) {
        st->now_us += STEP_MS * MS;
        set_clocks(st);
        for (size_t i = 0; i < NODES; i++) {
            if (at % 250 == 0)
                ban_sync_turn(st->nodes[i].sync);
            tiny_answer(&st->nodes[i].redis);
        }
    }
}

static int setup(void **state)
{
    struct stage *st = calloc(1, sizeof *st);
    static const int64_t SKEWS[NODES] = {0, 3600 * S, -61 * S};
    struct err err;
    assert_non_null(st);
    st->now_us = NOW;
    tiny_init(&st->server, NOW);
    for (size_t i = 0; i < NODES; i++) {
        struct node *n = &st->nodes[i];
        void *memory = aligned_alloc(64, (ban_table_size(PLACES) + 63) / 64 * 64);
        assert_non_null(memory);
        memset(memory, 0, ban_table_size(PLACES));
        n->bans = ban_table_init(memory, PLACES, &err);
        assert_true(n->bans && loop_init(&n->loop, &err));
        n->redis.server = &st->server;
        n->redis.loop = &n->loop;
        n->skew_us = SKEWS[i];
    }
    set_clocks(st);
    for (size_t i = 0; i < NODES; i++) {
        start(st, i);
        tiny_link(&st->nodes[i].redis);
    }
    *state = st;
    return 0;
}

static int teardown(void **state)
{
    struct stage *st = *state;
    for (size_t i = 0; i < NODES; i++) {
        struct redis *r = &st->nodes[i].redis;
        redis_free(&r);
        ban_sync_free(&st->nodes[i].sync);
        loop_fini(&st->nodes[i].loop);
        ban_table_fini(st->nodes[i].bans);
        free(st->nodes[i].bans);
    }
    tiny_assert_all_keys_end(&st->server);
    tiny_flush(&st->server);
    free(st);
    return 0;
}

static int64_t clock_us(const struct stage *st, size_t i)
{
    return st->now_us + st->nodes[i].skew_us;
}

static void ban(struct stage *st, size_t i, const char *entity, const struct ban_terms *terms)
{
    assert_true(ban_add(st->nodes[i].bans, str_of_z(entity), terms, clock_us(st, i), NULL));
}

static void lift(struct stage *st, size_t i, const char *entity)
{
    assert_true(ban_lift(st->nodes[i].bans, str_of_z(entity), clock_us(st, i)));
}

/* Seconds that the ban lasts still, on the node's clock; 0: there is none. */
static int64_t lasts(struct stage *st, size_t i, const char *entity)
{
    struct ban b;
    if (!ban_find(st->nodes[i].bans, str_of_z(entity), clock_us(st, i), &b))
        return 0;
    return (b.until_us - clock_us(st, i) + S / 2) / S;
}

static void assert_lasts(struct stage *st, const char *entity, int64_t seconds)
{
    for (size_t i = 0; i < NODES; i++)
        if (lasts(st, i, entity) != seconds)
            fail_msg("node %zu: %s is banned for %lld s, not %lld", i, entity, (long long)lasts(st, i, entity),
                     (long long)seconds);
}

static size_t commands_of(struct stage *st, int64_t ms)
{
    size_t before = st->server.command_count;
    steps(st, ms);
    return st->server.command_count - before;
}

static void test_a_ban_is_everywhere_in_two_seconds(void **state)
{
    struct stage *st = *state;
    struct ban b;
    steps(st, 1000);
    for (size_t i = 0; i < NODES; i++) {
        char entity[16];
        snprintf(entity, sizeof entity, "i:192.0.2.%zu", i);
        ban(st, i, entity, &QUARTER);
        steps(st, 2000);
        assert_lasts(st, entity, 898);
        assert_true(ban_find(st->nodes[(i + 1) % NODES].bans, str_of_z(entity), clock_us(st, (i + 1) % NODES), &b));
        assert_string_equal(b.by, "guessing");
        assert_string_equal(b.reason, "10 guesses");
    }
    /* Then there is nothing to say: a look at the index twice a second each. */
    steps(st, 5000);
    assert_true(commands_of(st, 5000) <= NODES * 11);
    steps(st, 893000);
    assert_lasts(st, "i:192.0.2.0", 0);
    assert_null(tiny_find(&st->server, STR("mw1:b:{i:192.0.2.0}")));
    assert_non_null(tiny_find(&st->server, STR("mw1:k:{i:192.0.2.0}")));
}

static void test_strikes_count_everywhere(void **state)
{
    struct stage *st = *state;
    ban(st, 0, "i:192.0.2.7", &DOUBLING);
    steps(st, 1000000);
    assert_lasts(st, "i:192.0.2.7", 0);
    ban(st, 1, "i:192.0.2.7", &DOUBLING); /* the second strike */
    steps(st, 2000);
    assert_lasts(st, "i:192.0.2.7", 1798);
    steps(st, 2000000);
    ban(st, 2, "i:192.0.2.7", &DOUBLING);
    steps(st, 2000);
    assert_lasts(st, "i:192.0.2.7", 3598);
}

static void test_unbanned_everywhere(void **state)
{
    struct stage *st = *state;
    ban(st, 0, "u:alice", &HALF);
    steps(st, 2000);
    lift(st, 1, "u:alice");
    steps(st, 2000);
    assert_lasts(st, "u:alice", 0);
    assert_null(tiny_find(&st->server, STR("mw1:k:{u:alice}")));
    ban(st, 2, "u:alice", &QUARTER); /* the first strike again */
    steps(st, 2000);
    assert_lasts(st, "u:alice", 898);
}

/* Two nodes ban somebody in the same moment: the later end holds, whoever writes last. */
static void test_at_the_same_moment(void **state)
{
    struct stage *st = *state;
    steps(st, 1000);
    ban(st, 0, "i:192.0.2.7", &HALF);
    ban(st, 1, "i:192.0.2.7", &QUARTER);
    /* Both ask before either has written. */
    for (size_t i = 0; i < 2; i++)
        ban_sync_turn(st->nodes[i].sync);
    for (size_t n = 0; n < 20; n++)
        for (size_t i = 0; i < 2; i++)
            if (st->nodes[i].redis.queued)
                tiny_answer_one(&st->nodes[i].redis);
    steps(st, 3000);
    assert_lasts(st, "i:192.0.2.7", 1797);
}

static void test_with_redis_away_they_stay_and_are_merged_later(void **state)
{
    struct stage *st = *state;
    ban(st, 0, "i:192.0.2.1", &HALF);
    ban(st, 0, "i:192.0.2.2", &HALF);
    steps(st, 2000);
    for (size_t i = 0; i < NODES; i++)
        tiny_cut(&st->nodes[i].redis);
    steps(st, 10000);
    assert_lasts(st, "i:192.0.2.1", 1788);
    lift(st, 1, "i:192.0.2.2");
    ban(st, 2, "i:192.0.2.3", &QUARTER);
    steps(st, 10000);
    assert_int_equal(lasts(st, 0, "i:192.0.2.2"), 1778); /* it cannot know */
    for (size_t i = 0; i < NODES; i++)
        tiny_link(&st->nodes[i].redis);
    steps(st, 4000);
    assert_lasts(st, "i:192.0.2.1", 1774);
    assert_lasts(st, "i:192.0.2.2", 0);
    assert_lasts(st, "i:192.0.2.3", 886);
}

static void test_one_node_away(void **state)
{
    struct stage *st = *state;
    ban(st, 0, "i:192.0.2.1", &HALF);
    steps(st, 2000);
    tiny_cut(&st->nodes[2].redis);
    lift(st, 0, "i:192.0.2.1");
    ban(st, 1, "i:192.0.2.2", &HALF);
    steps(st, 60000);
    tiny_link(&st->nodes[2].redis);
    steps(st, 2000);
    assert_lasts(st, "i:192.0.2.1", 0);
    assert_lasts(st, "i:192.0.2.2", 1738);
}

static void test_after_the_loss_of_the_data_all_put_theirs_back(void **state)
{
    struct stage *st = *state;
    ban(st, 0, "i:192.0.2.1", &HALF);
    ban(st, 1, "u:alice", &HALF);
    steps(st, 2000);
    lift(st, 1, "u:alice");
    steps(st, 2000);
    tiny_flush(&st->server);
    for (size_t i = 0; i < NODES; i++)
        ban_sync_again(st->nodes[i].sync);
    steps(st, 2000);
    assert_non_null(tiny_find(&st->server, STR("mw1:b:{i:192.0.2.1}")));
    assert_non_null(tiny_find(&st->server, STR("mw1:bans")));
    /* A node that comes with an empty table learns of them. */
    ban_table_fini(st->nodes[2].bans);
    memset(st->nodes[2].bans, 0, ban_table_size(PLACES));
    struct err err;
    assert_non_null(ban_table_init(st->nodes[2].bans, PLACES, &err));
    ban_sync_again(st->nodes[2].sync);
    steps(st, 2000);
    assert_lasts(st, "i:192.0.2.1", 1792);
    assert_lasts(st, "u:alice", 0);
}

static void test_many(void **state)
{
    struct stage *st = *state;
    char entity[32];
    for (int i = 0; i < 150; i++) {
        snprintf(entity, sizeof entity, "i:198.51.100.%d", i);
        ban(st, (size_t)i % NODES, entity, &HALF);
    }
    steps(st, 2000);
    for (int i = 0; i < 150; i++) {
        snprintf(entity, sizeof entity, "i:198.51.100.%d", i);
        assert_lasts(st, entity, 1798);
    }
    /* And then nobody reads them again and again. */
    steps(st, 3000);
    assert_true(commands_of(st, 5000) <= NODES * 11);
}

/* While a node reads the index, page by page, some who stand in its first pages are banned anew and leave their places:
 * nobody behind them is passed over. Naive: the next page begins behind as many as were read. */
static void test_the_index_changes_while_it_is_read(void **state)
{
    enum { ALL = 300, AGAIN = 60 };
    struct stage *st = *state;
    struct node *reader = &st->nodes[2];
    char entity[32];
    struct err err;
    for (int i = 0; i < ALL; i++) {
        snprintf(entity, sizeof entity, "n:198.51.%d.0/24", i);
        ban(st, 0, entity, &HALF);
        if (i % 50 == 49)
            steps(st, 500);
    }
    steps(st, 2000);
    ban_table_fini(reader->bans);
    memset(reader->bans, 0, ban_table_size(PLACES));
    assert_non_null(ban_table_init(reader->bans, PLACES, &err));
    ban_sync_again(reader->sync);
    st->now_us += S;
    set_clocks(st);
    ban_sync_turn(reader->sync);
    tiny_answer_one(&reader->redis); /* it has the first page */
    for (int i = 0; i < AGAIN; i++) {
        snprintf(entity, sizeof entity, "n:198.51.%d.0/24", i);
        ban(st, 0, entity, &DAY);
    }
    ban_sync_turn(st->nodes[0].sync);
    tiny_answer(&st->nodes[0].redis); /* and these are in the index anew */
    steps(st, 5000);
    for (int i = AGAIN; i < ALL; i++) {
        snprintf(entity, sizeof entity, "n:198.51.%d.0/24", i);
        assert_true(lasts(st, 2, entity) > 0);
    }
}

/* Keys that are no bans, members that are nobody: passed over, written over where there is something to say. */
static void test_what_somebody_else_put_there(void **state)
{
    struct stage *st = *state;
    struct tiny_key *k = tiny_make(&st->server, STR("mw1:b:{i:192.0.2.1}"), "string");
    k->len = (size_t)snprintf(k->bytes, sizeof k->bytes, "nonsense");
    k->expires_ms = st->now_us / 1000 + 1000000;
    k = tiny_make(&st->server, STR("mw1:bans"), "zset");
    k->expires_ms = st->now_us / 1000 + 1000000;
    strcpy(k->members[0].name, "nobody");
    strcpy(k->members[1].name, "i:192.0.2.1");
    k->members[0].score = k->members[1].score = (double)st->now_us;
    ban(st, 0, "i:192.0.2.1", &HALF);
    steps(st, 2000);
    assert_lasts(st, "i:192.0.2.1", 1798);
}

/* An entry of the index whose keys are gone goes too, but not at once: it may be on its way. */
static void test_what_is_stale_leaves_the_index(void **state)
{
    struct stage *st = *state;
    ban(st, 0, "i:192.0.2.1", &HALF);
    steps(st, 2000);
    struct tiny_key *index = tiny_find(&st->server, STR("mw1:bans"));
    struct tiny_member *m = tiny_member(index, STR("i:192.0.2.1"));
    strcpy(m->name, "i:192.0.2.99");
    steps(st, 50000);
    assert_non_null(tiny_member(index, STR("i:192.0.2.99")));
    steps(st, 700000);
    assert_null(tiny_member(tiny_find(&st->server, STR("mw1:bans")), STR("i:192.0.2.99")));
}

static void ban_many(struct stage *st, size_t i, int count)
{
    char entity[32];
    for (int n = 0; n < count; n++) {
        snprintf(entity, sizeof entity, "i:198.51.100.%d", n);
        ban(st, i, entity, &DAY);
    }
}

/* A master of a Cluster is away from one node, as it comes: bans that lie there cannot be read; all others can, and
 * those that are made meanwhile travel as fast as ever. Naive: the reading ends with the first that fails, and begins
 * anew with the same. */
static void test_bans_that_cannot_be_read_hold_up_no_others(void **state)
{
    enum { ALL = 200 };
    struct stage *st = *state;
    struct redis *r = &st->nodes[2].redis;
    char key[64], entity[32];
    size_t missed = 0;
    st->server.is_cluster = true;
    size_t away = !redis_shard_of(r, STR("mw1:bans"));
    tiny_cut_shard(r, away);
    ban_many(st, 0, ALL);
    steps(st, 3000);
    for (int round = 0; round < 2; round++) {
        for (int n = 0; n < ALL; n++) {
            snprintf(entity, sizeof entity, "i:198.51.100.%d", n);
            int len = snprintf(key, sizeof key, "mw1:b:{%s}", entity);
            bool is_away = redis_shard_of(r, str_of(key, (size_t)len)) == away;
            missed += is_away;
            if (!lasts(st, 2, entity) != (is_away && round == 0))
                fail_msg("round %d: %s is %s", round, entity, is_away ? "away" : "there");
        }
        tiny_link(r); /* and when it is back, all are read */
        steps(st, 3000);
    }
    assert_in_range(missed, 2, 2 * ALL - 2);
}

/* One key fails for ever: it is tried again, ever more seldom, and costs the others nothing. */
static void test_what_fails_for_ever(void **state)
{
    struct stage *st = *state;
    strcpy(st->server.refuses, "GET mw1:b:{i:192.0.2.1}");
    strcpy(st->server.refusal, "TRYAGAIN Multiple keys request during rehashing of slot");
    ban(st, 0, "i:192.0.2.1", &DAY);
    ban_many(st, 0, 100);
    steps(st, 200000);
    assert_true(commands_of(st, 60000) < 1000);
    ban(st, 0, "i:192.0.2.7", &HALF);
    steps(st, 2000);
    assert_lasts(st, "i:192.0.2.7", 1798);
    assert_int_equal(lasts(st, 1, "i:192.0.2.1"), 0);
    st->server.refuses[0] = '\0';
    steps(st, 70000);
    assert_true(lasts(st, 1, "i:192.0.2.1") > 0);
    steps(st, 70000);
    assert_true(commands_of(st, 5000) <= NODES * 11);
}

/* Where a ban is to lie is a key of another type: no ban, as any other nonsense, and written over. */
static void test_a_key_of_another_type(void **state)
{
    struct stage *st = *state;
    struct tiny_key *k = tiny_make(&st->server, STR("mw1:b:{i:192.0.2.1}"), "zset");
    k->expires_ms = st->now_us / 1000 + 1000000;
    ban(st, 0, "i:192.0.2.1", &HALF);
    steps(st, 2000);
    assert_lasts(st, "i:192.0.2.1", 1798);
}

/* Redis' clock is set, or another server has taken over, whose clock is another one; nodes hear of it one by one. What
 * is put into the index by the new clock stands before what was read last, or what is put in by the old one does. */
static void test_redis_clock_is_set(void **state)
{
    static const int64_t BY[] = {-3600 * S, 3600 * S};
    struct stage *st = *state;
    char entity[32];
    ban_many(st, 0, 100);
    steps(st, 5000);
    for (size_t i = 0; i < COUNT_OF(BY); i++) {
        for (size_t n = 0; n < NODES; n++)
            st->nodes[n].redis.clock_is_off_us = -BY[i];
        st->ahead_us += BY[i];
        for (size_t n = 0; n < NODES; n++) {
            st->nodes[n].redis.clock_is_off_us = 0; /* it has read TIME */
            snprintf(entity, sizeof entity, "i:192.0.2.%zu", 3 * i + n);
            ban(st, NODES - 1, entity, &DAY);
            steps(st, 2500);
        }
        steps(st, 15000);
        for (size_t n = 0; n < NODES * (i + 1); n++) {
            snprintf(entity, sizeof entity, "i:192.0.2.%zu", n);
            for (size_t k = 0; k < NODES; k++)
                assert_true(lasts(st, k, entity) > 0);
        }
        snprintf(entity, sizeof entity, "i:203.0.113.%zu", i);
        ban(st, 0, entity, &DAY);
        steps(st, 2000);
        for (size_t k = 0; k < NODES; k++)
            assert_true(lasts(st, k, entity) > 0);
        steps(st, 20000);
        assert_true(commands_of(st, 5000) <= NODES * 11); /* and the index is in order again */
    }
}

#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_a_ban_is_everywhere_in_two_seconds),
        STORY(test_strikes_count_everywhere),
        STORY(test_unbanned_everywhere),
        STORY(test_at_the_same_moment),
        STORY(test_with_redis_away_they_stay_and_are_merged_later),
        STORY(test_one_node_away),
        STORY(test_after_the_loss_of_the_data_all_put_theirs_back),
        STORY(test_many),
        STORY(test_the_index_changes_while_it_is_read),
        STORY(test_what_somebody_else_put_there),
        STORY(test_what_is_stale_leaves_the_index),
        STORY(test_bans_that_cannot_be_read_hold_up_no_others),
        STORY(test_what_fails_for_ever),
        STORY(test_a_key_of_another_type),
        STORY(test_redis_clock_is_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
