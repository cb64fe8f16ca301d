/*
 * test_keeper.c - what a node's keeper does, story by story: nodes, their links and the clock are moved by hand
 * (tiny_redis.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "limits/keeper_inside.h"
#include "limits/redis_keys.h"
#include "tiny_redis.h"

#define MS      INT64_C(1000)
#define S       INT64_C(1000000)
#define NOW     (INT64_C(1767614400) * S) /* a whole hour */
#define PERIOD  3600
#define ENTRIES 1024

enum { NODES = 3, STEP_MS = 50 };

struct node {
    struct redis redis;
    struct loop loop;
    struct mirror *mirror;
    struct outage outage;
    struct hash_key key;
    struct keeper *keeper; /* NULL: not running */
    char id[NODE_ID_BYTES + 1];
    bool has_left;
    unsigned told_again;
};

struct stage {
    struct tiny_server server;
    bool is_sentinel;
    struct node nodes[NODES];
    int64_t now_us;
};

/* ---- the stage ---- */

static void set_clocks(struct stage *st)
{
    st->server.now_us = st->now_us;
    for (size_t i = 0; i < NODES; i++)
        loop_set_now(&st->nodes[i].loop, st->now_us / 1000 - NOW / 1000 + 1000000, st->now_us);
}

static void on_lost(void *arg)
{
    struct node *n = arg;
    n->told_again++;
}

static void start(struct stage *st, size_t i)
{
    struct node *n = &st->nodes[i];
    struct err err;
    struct keeper_options options = {.loop = &n->loop,
                                     .redis = &n->redis,
                                     .shape = st->server.is_cluster ? REDIS_CLUSTER
                                              : st->is_sentinel     ? REDIS_SENTINEL
                                                                    : REDIS_ALONE,
                                     .mirror = n->mirror,
                                     .outage = &n->outage,
                                     .prefix = STR("mw1:"),
                                     .node = str_of_z(n->id),
                                     .on_lost = on_lost,
                                     .arg = n};
    n->keeper = keeper_new(&options, &err);
    assert_non_null(n->keeper);
}

static void stop(struct node *n)
{
    struct redis *r = &n->redis;
    if (!n->keeper)
        return;
    redis_free(&r);
    keeper_free(&n->keeper);
}

static void step(struct stage *st)
{
    st->now_us += STEP_MS * MS;
    set_clocks(st);
    for (size_t i = 0; i < NODES; i++) {
        struct node *n = &st->nodes[i];
        if (!n->keeper || n->has_left)
            continue;
        keeper_turn(n->keeper);
        tiny_answer(&n->redis);
        loop_run_tasks(&n->loop);
    }
}

static void steps(struct stage *st, int64_t ms)
{
    for (int64_t at = 0; at < ms; at += STEP_MS)
        step(st);
}

static struct stage *make_stage(bool is_cluster)
{
    struct stage *st = calloc(1, sizeof *st);
    struct err err;
    assert_non_null(st);
    st->now_us = NOW;
    tiny_init(&st->server, NOW);
    st->server.is_cluster = is_cluster;
    for (size_t i = 0; i < NODES; i++) {
        struct node *n = &st->nodes[i];
        void *memory = aligned_alloc(64, (mirror_size(ENTRIES) + 63) / 64 * 64);
        assert_non_null(memory);
        memset(memory, 0, mirror_size(ENTRIES));
        assert_true(loop_init(&n->loop, &err));
        n->redis.server = &st->server;
        n->redis.loop = &n->loop;
        n->mirror = mirror_init(memory, ENTRIES, &err);
        n->key = (struct hash_key){i + 1, 7};
        snprintf(n->id, sizeof n->id, "%016zx", i + 0xa1);
        assert_non_null(n->mirror);
    }
    set_clocks(st);
    return st;
}

static int setup(void **state)
{
    *state = make_stage(false);
    return 0;
}

static int setup_cluster(void **state)
{
    *state = make_stage(true);
    return 0;
}

static int setup_sentinel(void **state)
{
    struct stage *st = make_stage(false);
    st->is_sentinel = true;
    *state = st;
    return 0;
}

static int teardown(void **state)
{
    struct stage *st = *state;
    for (size_t i = 0; i < NODES; i++) {
        stop(&st->nodes[i]);
        loop_fini(&st->nodes[i].loop);
        mirror_fini(st->nodes[i].mirror);
        free(st->nodes[i].mirror);
    }
    tiny_flush(&st->server);
    free(st);
    return 0;
}

/* Nodes 0 … count - 1 run, know each other, and believe Redis. */
static void run_nodes(struct stage *st, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        start(st, i);
        tiny_link(&st->nodes[i].redis);
    }
    steps(st, 2500);
    for (size_t i = 0; i < count; i++) {
        assert_true(outage_is_settled(&st->nodes[i].outage, 0));
        assert_int_equal(outage_nodes(&st->nodes[i].outage, 0), count);
    }
}

static bool is_settled(const struct node *n)
{
    return outage_is_settled(&n->outage, 0);
}

/* ---- counting ---- */

static struct counter counter_of(const struct node *n, const char *entity)
{
    struct counter c = {.entity = str_of_z(entity), .kind = COUNTER_MAIL, .period_s = PERIOD};
    counter_set_id(&c, &n->key);
    return c;
}

/* As a worker does: so many mails, decided alone. */
static void alone(struct stage *st, size_t i, const char *entity, uint32_t mails)
{
    struct node *n = &st->nodes[i];
    char to[REDIS_KEY_MAX_BYTES];
    struct take take = {.counter = counter_of(n, entity), .cost = {mails, 2 * mails, mails}};
    struct take *takes[] = {&take};
    struct mirror_terms terms = {.nodes = 1};
    for (size_t c = 0; c < COLUMNS; c++)
        take.allowed[c] = ALLOWED_ANY;
    struct str stem = redis_stem(&take.counter, STR("mw1:"), to, sizeof to);
    assert_int_equal(mirror_take(n->mirror, takes, &stem, &st->now_us, 1, &terms), MIRROR_TAKEN);
    outage_went_alone(&n->outage, 0, loop_now_ms(&n->loop) * 1000);
}

static void do_command(struct stage *st, const char *const *words)
{
    struct buf wire;
    size_t count = 0;
    buf_init(&wire, 4096);
    while (words[count])
        count++;
    assert_true(buf_printf(&wire, "*%zu\r\n", count));
    for (size_t i = 0; i < count; i++)
        assert_true(buf_printf(&wire, "$%zu\r\n%s\r\n", strlen(words[i]), words[i]));
    freeReplyObject(tiny_do(&st->server, buf_str(&wire)));
    buf_fini(&wire);
}

/* So many mails, which Redis was told of at once. */
static void told(struct stage *st, size_t i, const char *entity, uint32_t mails)
{
    struct node *n = &st->nodes[i];
    char to[REDIS_KEY_MAX_BYTES], key[REDIS_KEY_MAX_BYTES], slot_text[16], mails_text[32];
    struct counter c = counter_of(n, entity);
    uint32_t cost[COLUMNS] = {mails, 0, 0};
    uint64_t slot = window_slot(st->now_us, PERIOD);
    struct str stem = redis_stem(&c, STR("mw1:"), to, sizeof to);
    mirror_own_add(n->mirror, &c, stem, slot, cost, st->now_us);
    struct str name = redis_key_of_window(stem, slot / WINDOW_SLOTS, key, sizeof key - 1);
    key[name.len] = '\0';
    snprintf(slot_text, sizeof slot_text, "#%d", (int)(slot % WINDOW_SLOTS));
    snprintf(mails_text, sizeof mails_text, "%u", mails);
    do_command(st, (const char *[]){"BITFIELD", key, "OVERFLOW", "SAT", "INCRBY", "u32", slot_text, mails_text, NULL});
    snprintf(mails_text, sizeof mails_text, "%lld", (long long)(st->now_us / 1000 + 2 * PERIOD * 1000));
    do_command(st, (const char *[]){"PEXPIREAT", key, mails_text, NULL});
}

/* What Redis has of a column of the entity, in all windows. */
static uint64_t counted(struct stage *st, const char *entity, size_t column)
{
    char prefix[128];
    uint64_t sum = 0;
    snprintf(prefix, sizeof prefix, "mw1:q:{%s}:%d:", entity, PERIOD);
    for (size_t i = 0; i < TINY_KEYS; i++) {
        const struct tiny_key *k = &st->server.keys[i];
        if (!str_starts(str_of_z(k->name), str_of_z(prefix)))
            continue;
        for (size_t b = 64 * column; b < 64 * column + 64; b += 4)
            for (size_t j = 0, value = 0; j < 4; j++) {
                value = value << 8 | (unsigned char)k->bytes[b + j];
                sum += j == 3 ? value : 0;
            }
    }
    return sum;
}

static size_t due(struct node *n, int64_t now_us)
{
    return mirror_due(n->mirror, now_us);
}

/* ---- stories ---- */

static void test_a_first_start(void **state)
{
    struct stage *st = *state;
    struct node *n = &st->nodes[0];
    start(st, 0);
    steps(st, 1000);
    assert_false(is_settled(n)); /* there is no Redis yet */
    tiny_link(&n->redis);
    steps(st, 200);
    assert_true(is_settled(n));
    assert_int_equal(outage_nodes(&n->outage, 0), 1);
    assert_true(atomic_load(&n->outage.has_values_key));
    struct tiny_key *epoch = tiny_find(&st->server, STR("mw1:epoch")),
                    *secret = tiny_find(&st->server, STR("mw1:secret"));
    assert_int_equal(epoch->len, 16);
    assert_int_equal(secret->len, 32);
    assert_true(epoch->expires_ms > (NOW + 89 * 86400 * S) / 1000);
    tiny_assert_all_keys_end(&st->server);
    steps(st, 10000);
    assert_true(is_settled(n));
    assert_int_equal(n->redis.late, 0);
}

static void test_a_node_that_has_only_begun_believes(void **state)
{
    struct stage *st = *state;
    struct node *n = &st->nodes[0];
    outage_begin(&n->outage);
    assert_true(is_settled(n));
    start(st, 0);
    tiny_link(&n->redis);
    steps(st, 300);
    assert_true(is_settled(n));
    assert_int_equal(outage_nodes(&n->outage, 0), 1);
    alone(st, 0, "u:alice", 1);
    assert_false(is_settled(n));
    steps(st, 300);
    assert_true(is_settled(n));
    assert_int_equal(counted(st, "u:alice", 0), 1);
}

static void test_nodes_know_each_other_and_the_secret(void **state)
{
    struct stage *st = *state;
    static const struct hash_key NONE;
    run_nodes(st, 3);
    struct hash_key a = outage_values_key(&st->nodes[0].outage, &NONE);
    struct hash_key b = outage_values_key(&st->nodes[2].outage, &NONE);
    assert_true(a.k0 == b.k0 && a.k1 == b.k1 && a.k0 != 0);
    tiny_cut(&st->nodes[2].redis);
    steps(st, 2000);
    assert_int_equal(atomic_load(&st->nodes[0].outage.domains[0].missing), 0);
    steps(st, 2500);
    assert_int_equal(outage_nodes(&st->nodes[0].outage, 0), 3);
    assert_int_equal(atomic_load(&st->nodes[0].outage.domains[0].missing), 1);
    assert_true(is_settled(&st->nodes[0])); /* the others go on believing */
    assert_false(is_settled(&st->nodes[2]));
    tiny_link(&st->nodes[2].redis);
    steps(st, 2500);
    assert_int_equal(atomic_load(&st->nodes[0].outage.domains[0].missing), 0);
    assert_true(is_settled(&st->nodes[2]));
}

/* After an outage nodes settle one after another. Whoever has leaves the shares of those who have not, at every moment;
 * and soon they have all. */
static void test_who_settles_first_leaves_the_others_their_shares(void **state)
{
    enum { COUNT = 3, LINKED_APART_MS = 300 };
    struct stage *st = *state;
    uint32_t most_alone = 0;
    run_nodes(st, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        tiny_cut(&st->nodes[i].redis);
    steps(st, 6000);
    for (int64_t at_ms = 0; at_ms < 6000; at_ms += STEP_MS) {
        uint32_t alone = 0;
        if (at_ms % LINKED_APART_MS == 0 && at_ms / LINKED_APART_MS < COUNT)
            tiny_link(&st->nodes[at_ms / LINKED_APART_MS].redis);
        step(st);
        for (size_t i = 0; i < COUNT; i++)
            alone += !is_settled(&st->nodes[i]);
        most_alone = alone < COUNT ? MAX_OF(alone, most_alone) : most_alone;
        for (size_t i = 0; i < COUNT; i++)
            if (is_settled(&st->nodes[i]))
                assert_true(outage_allowed(&st->nodes[i].outage, 0, 30) <= 30 - 10 * alone);
    }
    assert_true(most_alone > 0); /* it came to that */
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(outage_allowed(&st->nodes[i].outage, 0, 30), 30);
}

static void test_one_that_is_gone_for_an_hour_is_forgotten(void **state)
{
    struct stage *st = *state;
    run_nodes(st, 2);
    stop(&st->nodes[1]);
    steps(st, 5000);
    assert_int_equal(atomic_load(&st->nodes[0].outage.domains[0].missing), 1);
    st->now_us += OUTAGE_FORGET_US;
    steps(st, 2000);
    assert_int_equal(outage_nodes(&st->nodes[0].outage, 0), 1);
    assert_int_equal(atomic_load(&st->nodes[0].outage.domains[0].missing), 0);
}

static void test_what_was_decided_alone_is_told_once(void **state)
{
    struct stage *st = *state;
    struct node *n = &st->nodes[0];
    run_nodes(st, 1);
    tiny_cut(&n->redis);
    steps(st, 200);
    alone(st, 0, "u:alice", 3);
    st->now_us += 600 * S; /* another slot */
    alone(st, 0, "u:alice", 4);
    alone(st, 0, "u:bob", 1);
    assert_int_equal(due(n, st->now_us), 2);
    tiny_link(&n->redis);
    steps(st, 500);
    assert_int_equal(due(n, st->now_us), 0);
    assert_int_equal(counted(st, "u:alice", 0), 7);
    assert_int_equal(counted(st, "u:alice", 1), 14);
    assert_int_equal(counted(st, "u:bob", 0), 1);
    assert_true(is_settled(n));
    tiny_assert_all_keys_end(&st->server);
    tiny_cut(&n->redis);
    steps(st, 200);
    tiny_link(&n->redis);
    steps(st, 2000);
    assert_int_equal(counted(st, "u:alice", 0), 7);
}

static void test_slots_of_two_windows_go_to_two_keys(void **state)
{
    struct stage *st = *state;
    char name[64];
    run_nodes(st, 1);
    st->now_us = NOW + 3500 * S;
    alone(st, 0, "u:alice", 3);
    st->now_us = NOW + 3700 * S;
    alone(st, 0, "u:alice", 4);
    steps(st, 500);
    uint64_t window = (uint64_t)(NOW / S / PERIOD);
    for (uint64_t w = window; w <= window + 1; w++) {
        struct str key =
            str_of(name, (size_t)snprintf(name, sizeof name, "mw1:q:{u:alice}:3600:%llu", (unsigned long long)w));
        struct tiny_key *k = tiny_find(&st->server, key);
        assert_non_null(k);
        assert_int_equal(k->expires_ms, (w + 2) * PERIOD * 1000 + 5000);
        assert_int_equal(k->bytes[w == window ? 15 * 4 + 3 : 3], w == window ? 3 : 4);
        assert_int_equal(k->len, 200); /* and behind the slots: which window it is */
        assert_int_equal((unsigned char)k->bytes[194] << 8 | (unsigned char)k->bytes[195], PERIOD);
        assert_int_equal((unsigned char)k->bytes[199], w & 255);
    }
    assert_int_equal(counted(st, "u:alice", 0), 7);
}

static void test_after_the_loss_of_the_data_each_adds_its_own(void **state)
{
    struct stage *st = *state;
    run_nodes(st, 2);
    told(st, 0, "u:alice", 5);
    told(st, 1, "u:alice", 6);
    told(st, 1, "u:bob", 2);
    assert_int_equal(counted(st, "u:alice", 0), 11);
    for (size_t i = 0; i < 2; i++)
        tiny_cut(&st->nodes[i].redis);
    tiny_flush(&st->server);
    steps(st, 500);
    alone(st, 0, "u:alice", 1);
    for (size_t i = 0; i < 2; i++)
        tiny_link(&st->nodes[i].redis);
    steps(st, 2500);
    assert_int_equal(counted(st, "u:alice", 0), 12);
    assert_int_equal(counted(st, "u:bob", 0), 2);
    for (size_t i = 0; i < 2; i++) {
        assert_true(is_settled(&st->nodes[i]));
        assert_int_equal(due(&st->nodes[i], st->now_us), 0);
        tiny_cut(&st->nodes[i].redis);
    }
    steps(st, 500);
    for (size_t i = 0; i < 2; i++)
        tiny_link(&st->nodes[i].redis);
    steps(st, 2500); /* the same data set: nothing is added again */
    assert_int_equal(counted(st, "u:alice", 0), 12);
    tiny_assert_all_keys_end(&st->server);
}

static void test_a_flush_without_a_cut_is_noticed(void **state)
{
    struct stage *st = *state;
    run_nodes(st, 1);
    told(st, 0, "u:alice", 5);
    tiny_flush(&st->server);
    steps(st, 2000);
    assert_int_equal(counted(st, "u:alice", 0), 5);
    assert_true(is_settled(&st->nodes[0]));
}

static void test_a_loss_while_no_keeper_ran(void **state)
{
    struct stage *st = *state;
    struct node *n = &st->nodes[0];
    run_nodes(st, 1);
    told(st, 0, "u:alice", 5);
    stop(n);
    tiny_flush(&st->server);
    start(st, 0);
    steps(st, 1000);
    assert_int_equal(counted(st, "u:alice", 0), 5);
    assert_true(is_settled(n));
}

/* More than one batch, the link lost in the midst of it: each counter once all the same. */
enum { MANY = 300 };

/* All that a node counted was lost, and it has begun to push it: more than is under way at once. */
static void begin_to_push_all(struct stage *st)
{
    struct node *n = &st->nodes[0];
    char entity[16];
    run_nodes(st, 1);
    for (int i = 0; i < MANY; i++) {
        snprintf(entity, sizeof entity, "u:%d", i);
        told(st, 0, entity, 1);
    }
    tiny_cut(&n->redis);
    tiny_flush(&st->server);
    steps(st, 200);
    tiny_link(&n->redis);
    st->now_us += STEP_MS * MS;
    set_clocks(st);
    keeper_turn(n->keeper); /* asks for the epoch */
    tiny_answer(&n->redis);
    keeper_turn(n->keeper); /* begins to push */
}

static uint64_t counted_of_many(struct stage *st)
{
    char entity[16];
    uint64_t sum = 0;
    for (int i = 0; i < MANY; i++) {
        snprintf(entity, sizeof entity, "u:%d", i);
        uint64_t count = counted(st, entity, 0);
        assert_in_range(count, 0, 1);
        sum += count;
    }
    return sum;
}

static void test_a_push_of_all_goes_on_where_it_stood(void **state)
{
    struct stage *st = *state;
    struct node *n = &st->nodes[0];
    begin_to_push_all(st);
    for (int i = 0; i < 200; i++)
        tiny_answer_one(&n->redis);
    assert_true(n->redis.queued > 10);
    tiny_cut(&n->redis);
    steps(st, 1000);
    assert_false(is_settled(n));
    tiny_link(&n->redis);
    steps(st, 1000);
    assert_true(is_settled(n));
    assert_int_equal(counted_of_many(st), MANY);
}

/* It tells no more than what was under way: the one that took over begins with all. */
static void test_who_rests_pushes_no_more(void **state)
{
    struct stage *st = *state;
    struct node *n = &st->nodes[0];
    begin_to_push_all(st);
    keeper_rest(n->keeper);
    while (n->redis.queued)
        tiny_answer(&n->redis);
    assert_int_equal(counted_of_many(st), KEEPER_PUSHES_OF_ALL);
}

static void test_it_is_settled_when_the_others_are_back(void **state)
{
    struct stage *st = *state;
    run_nodes(st, 3);
    for (size_t i = 0; i < 3; i++)
        tiny_cut(&st->nodes[i].redis);
    steps(st, 300); /* short: the old heartbeats hold still, and say nothing */
    for (size_t i = 0; i < 3; i++)
        alone(st, i, "u:alice", 1);
    tiny_link(&st->nodes[0].redis);
    tiny_link(&st->nodes[1].redis);
    steps(st, 1500);
    assert_false(is_settled(&st->nodes[0]));
    assert_false(is_settled(&st->nodes[1]));
    assert_int_equal(counted(st, "u:alice", 0), 2);
    tiny_link(&st->nodes[2].redis);
    steps(st, 1000);
    for (size_t i = 0; i < 3; i++)
        assert_true(is_settled(&st->nodes[i]));
    assert_int_equal(counted(st, "u:alice", 0), 3);
}

static void test_it_is_settled_after_three_seconds_without_the_others(void **state)
{
    struct stage *st = *state;
    run_nodes(st, 2);
    for (size_t i = 0; i < 2; i++)
        tiny_cut(&st->nodes[i].redis);
    steps(st, 200);
    tiny_link(&st->nodes[0].redis);
    steps(st, 2800);
    assert_false(is_settled(&st->nodes[0]));
    steps(st, 600);
    assert_true(is_settled(&st->nodes[0]));
    steps(st, 1000);
    assert_int_equal(outage_nodes(&st->nodes[0].outage, 0), 2);
    assert_int_equal(atomic_load(&st->nodes[0].outage.domains[0].missing), 1);
}

static void test_a_single_late_answer_is_soon_over(void **state)
{
    struct stage *st = *state;
    run_nodes(st, 2);
    alone(st, 0, "u:alice", 1);
    assert_false(is_settled(&st->nodes[0]));
    steps(st, 1500); /* the other's next heartbeat */
    assert_true(is_settled(&st->nodes[0]));
    assert_true(is_settled(&st->nodes[1]));
    assert_int_equal(counted(st, "u:alice", 0), 1);
}

/* The connections stay, but nobody answers: as SIGSTOP does it. */
static void test_redis_stands_still(void **state)
{
    struct stage *st = *state;
    run_nodes(st, 2);
    for (int64_t at_ms = 0; at_ms < 6000; at_ms += STEP_MS) {
        st->now_us += STEP_MS * MS;
        set_clocks(st);
        for (size_t i = 0; i < 2; i++)
            keeper_turn(st->nodes[i].keeper);
        if (at_ms == 1000)
            for (size_t i = 0; i < 2; i++)
                alone(st, i, "u:alice", 1);
    }
    assert_true(st->nodes[0].redis.late > 0);
    for (int64_t at_ms = 0; at_ms < 1000; at_ms += STEP_MS) { /* the first node's answers come first */
        st->now_us += STEP_MS * MS;
        set_clocks(st);
        tiny_answer(&st->nodes[0].redis);
        for (size_t i = 0; i < 2; i++)
            keeper_turn(st->nodes[i].keeper);
    }
    assert_int_equal(counted(st, "u:alice", 0), 1);
    assert_false(is_settled(&st->nodes[0]));
    steps(st, 1000);
    assert_int_equal(counted(st, "u:alice", 0), 2);
    assert_true(is_settled(&st->nodes[0]) && is_settled(&st->nodes[1]));
}

/* It is this process that stood still: then nobody is late, and nothing is doubted. */
static void test_the_keeper_stands_still(void **state)
{
    struct stage *st = *state;
    run_nodes(st, 1);
    while (st->nodes[0].redis.queued == 0) { /* until something is under way */
        st->now_us += STEP_MS * MS;
        set_clocks(st);
        keeper_turn(st->nodes[0].keeper);
    }
    st->now_us += 10 * S;
    set_clocks(st);
    keeper_turn(st->nodes[0].keeper);
    tiny_answer(&st->nodes[0].redis);
    assert_int_equal(st->nodes[0].redis.late, 0);
    assert_true(is_settled(&st->nodes[0]));
}

/* The keeper's connection is back, a worker's is not: as long as it goes on alone the node is one that is cut off. */
static void test_a_worker_that_does_not_reach_redis(void **state)
{
    struct stage *st = *state;
    struct node *n = &st->nodes[0];
    run_nodes(st, 2);
    for (int i = 0; i < 100; i++) { /* 5 s */
        outage_cut_off(&n->outage, 0, loop_now_ms(&n->loop) * 1000);
        alone(st, 0, "u:alice", 1);
        step(st);
        assert_false(is_settled(n));
    }
    assert_true(counted(st, "u:alice", 0) > 90); /* what it decides is told all the same */
    assert_int_equal(atomic_load(&st->nodes[1].outage.domains[0].missing), 1);
    assert_int_equal(outage_unnoticed_us(&n->outage, 0, loop_now_ms(&n->loop) * 1000), 0);
    assert_true(outage_is_reached(&n->outage, 0, loop_now_ms(&n->loop) * 1000)); /* it may look again */
    steps(st, 2500);
    assert_true(is_settled(n));
    assert_int_equal(atomic_load(&st->nodes[1].outage.domains[0].missing), 0);
    assert_int_equal(counted(st, "u:alice", 0), 100);
}

/* Mail that is decided alone all the time, between any two steps: it is settled all the same, and soon. */
static void test_it_is_settled_under_load(void **state)
{
    struct stage *st = *state;
    struct node *n = &st->nodes[0];
    int64_t took_ms = 0;
    uint64_t mails = 0;
    run_nodes(st, 1);
    alone(st, 0, "u:alice", 1);
    for (mails = 1; !is_settled(n) && took_ms < 5000; took_ms += STEP_MS) {
        st->now_us += STEP_MS * MS;
        set_clocks(st);
        keeper_turn(n->keeper);
        while (n->redis.queued) {
            tiny_answer_one(&n->redis);
            if (!is_settled(n)) {
                alone(st, 0, "u:alice", 1);
                mails++;
            }
        }
    }
    assert_true(took_ms <= 2000);
    steps(st, 500);
    assert_int_equal(counted(st, "u:alice", 0), mails);
}

static void test_what_can_never_be_told_does_not_stand_in_the_way(void **state)
{
    struct stage *st = *state;
    struct node *n = &st->nodes[0];
    char key[64];
    run_nodes(st, 1);
    snprintf(key, sizeof key, "mw1:q:{u:alice}:3600:%lld", (long long)(NOW / S / PERIOD));
    do_command(st, (const char *[]){"ZADD", key, "1", "foreign", NULL});
    alone(st, 0, "u:alice", 1);
    steps(st, 1000);
    assert_true(is_settled(n));
    assert_int_equal(due(n, st->now_us), 0);
}

static void test_without_memory_it_stays_unsettled(void **state)
{
    struct stage *st = *state;
    struct node *n = &st->nodes[0];
    run_nodes(st, 1);
    snprintf(st->server.refuses, sizeof st->server.refuses, "BITFIELD");
    snprintf(st->server.refusal, sizeof st->server.refusal, "OOM command not allowed when used memory > 'maxmemory'.");
    alone(st, 0, "u:alice", 1);
    steps(st, 5000);
    assert_false(is_settled(n));
    assert_int_equal(due(n, st->now_us), 1);
    st->server.refuses[0] = '\0';
    steps(st, 2000);
    assert_true(is_settled(n));
    assert_int_equal(counted(st, "u:alice", 0), 1);
}

static void on_left(void *arg)
{
    struct node *n = arg;
    assert_false(n->has_left);
    n->has_left = true;
}

static void test_leaving_in_order(void **state)
{
    struct stage *st = *state;
    run_nodes(st, 2);
    alone(st, 1, "u:alice", 4);
    keeper_leave(st->nodes[1].keeper, 2000, on_left, &st->nodes[1]);
    steps(st, 500);
    assert_true(st->nodes[1].has_left);
    assert_int_equal(counted(st, "u:alice", 0), 4);
    steps(st, 1500);
    assert_int_equal(outage_nodes(&st->nodes[0].outage, 0), 1);
    assert_int_equal(atomic_load(&st->nodes[0].outage.domains[0].missing), 0);
}

static void test_leaving_without_redis(void **state)
{
    struct stage *st = *state;
    run_nodes(st, 1);
    alone(st, 0, "u:alice", 4);
    tiny_cut(&st->nodes[0].redis);
    keeper_leave(st->nodes[0].keeper, 1000, on_left, &st->nodes[0]);
    steps(st, 500);
    /* Nothing can be told, and nobody can be told that it left. */
    steps(st, 1000);
    assert_true(st->nodes[0].has_left);
}

static const char *entity_of_shard(const struct stage *st, size_t shard, char entity[16])
{
    for (int i = 0; i < 100; i++) {
        char key[64];
        snprintf(entity, 16, "u:%d", i);
        int len = snprintf(key, sizeof key, "mw1:q:{%s}:1:1", entity);
        if (redis_shard_of(&st->nodes[0].redis, str_of(key, (size_t)len)) == shard)
            return entity;
    }
    fail();
    return NULL;
}

static void test_a_shard_of_a_cluster_is_lost(void **state)
{
    struct stage *st = *state;
    struct node *n = &st->nodes[0];
    char a[16], b[16];
    run_nodes(st, 2);
    struct domains domains;
    domains_init(&domains, &n->redis);
    unsigned other = domains_of_shard(&domains, 1 - redis_shard_of(&n->redis, STR("{0}")));
    assert_true(outage_is_settled(&n->outage, other));
    assert_int_equal(outage_nodes(&n->outage, other), 2);
    told(st, 0, entity_of_shard(st, 0, a), 5);
    told(st, 0, entity_of_shard(st, 1, b), 6);
    size_t lost = domains.shard_of[other];
    for (size_t i = 0; i < 2; i++)
        tiny_cut_shard(&st->nodes[i].redis, lost);
    for (size_t i = 0; i < TINY_KEYS; i++)
        if (st->server.keys[i].name[0] && redis_shard_of(&n->redis, str_of_z(st->server.keys[i].name)) == lost)
            tiny_free_key(&st->server.keys[i]);
    steps(st, 500);
    assert_true(is_settled(n));
    assert_false(outage_is_settled(&n->outage, other));
    for (size_t i = 0; i < 2; i++)
        tiny_link(&st->nodes[i].redis);
    steps(st, 2500);
    assert_true(outage_is_settled(&n->outage, other));
    assert_int_equal(counted(st, a, 0), 5);
    assert_int_equal(counted(st, b, 0), 6);
    tiny_assert_all_keys_end(&st->server);
}

static void test_two_with_the_same_id_are_noticed(void **state)
{
    struct stage *st = *state;
    memcpy(st->nodes[1].id, st->nodes[0].id, sizeof st->nodes[0].id);
    for (size_t i = 0; i < 2; i++) {
        start(st, i);
        tiny_link(&st->nodes[i].redis);
    }
    steps(st, 15000);
    assert_true(st->nodes[0].keeper->all_domains[0].foreign >= 10 || st->nodes[1].keeper->all_domains[0].foreign >= 10);
}

/* ---- another master, behind Sentinel ---- */

static void is_followed(struct stage *st, const char *state)
{
    snprintf(st->server.info, sizeof st->server.info,
             "redis_version:7.0.15\r\nmaxmemory_policy:noeviction\r\nrole:master\r\nconnected_slaves:%d\r\n",
             state != NULL);
    size_t len = strlen(st->server.info);
    if (state)
        snprintf(st->server.info + len, sizeof st->server.info - len, "slave0:ip=127.0.0.1,port=1,state=%s,lag=0\r\n",
                 state);
}

/* Two nodes that told of 5 mails lost their master, decided on 3 and 4 alone, and reach another one now. */
static void fail_over(struct stage *st)
{
    run_nodes(st, 2);
    told(st, 0, "u:alice", 5);
    for (size_t i = 0; i < 2; i++)
        tiny_cut(&st->nodes[i].redis);
    steps(st, 500);
    for (size_t i = 0; i < 2; i++)
        alone(st, i, "u:alice", (uint32_t)(3 + i));
    st->server.master = 2;
    for (size_t i = 0; i < 2; i++)
        tiny_link(&st->nodes[i].redis);
}

static void assert_told(struct stage *st, bool is_told)
{
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(is_settled(&st->nodes[i]), is_told);
    assert_int_equal(counted(st, "u:alice", 0), is_told ? 12 : 5);
}

static void test_another_master_is_told_when_a_replica_follows_it(void **state)
{
    struct stage *st = *state;
    is_followed(st, NULL);
    fail_over(st);
    steps(st, 1500);
    assert_told(st, false);
    is_followed(st, "wait_bgsave");
    steps(st, 1000);
    assert_told(st, false);
    assert_int_equal(st->nodes[0].told_again, 0);
    is_followed(st, "online");
    steps(st, 600);
    assert_told(st, true);
    assert_int_equal(st->nodes[0].told_again, 1); /* bans … */
}

static void test_another_master_is_told_after_three_seconds(void **state)
{
    struct stage *st = *state;
    is_followed(st, NULL);
    fail_over(st);
    steps(st, 2900);
    assert_told(st, false);
    steps(st, 700);
    assert_told(st, true);
}

/* What was told to one that is replaced at once would be lost. */
static void test_of_two_masters_in_a_row_the_second_is_told(void **state)
{
    struct stage *st = *state;
    is_followed(st, NULL);
    fail_over(st);
    steps(st, 2500);
    for (unsigned again = 0; again < 2; again++) {
        for (size_t i = 0; i < 2; i++)
            tiny_cut(&st->nodes[i].redis);
        steps(st, 200);
        st->server.master = again ? 3 : 2; /* the same one once more is no proof */
        for (size_t i = 0; i < 2; i++)
            tiny_link(&st->nodes[i].redis);
        steps(st, 2500);
        assert_told(st, false);
    }
    is_followed(st, "online");
    steps(st, 600);
    assert_told(st, true);
}

static void test_the_same_master_needs_no_replica(void **state)
{
    struct stage *st = *state;
    is_followed(st, NULL);
    run_nodes(st, 2);
    told(st, 0, "u:alice", 5);
    for (size_t i = 0; i < 2; i++)
        tiny_cut(&st->nodes[i].redis);
    steps(st, 500);
    alone(st, 1, "u:alice", 7);
    for (size_t i = 0; i < 2; i++)
        tiny_link(&st->nodes[i].redis);
    steps(st, 600);
    assert_told(st, true);
    assert_int_equal(st->nodes[0].told_again, 0);
}

static void test_who_leaves_tells_another_master_at_once(void **state)
{
    struct stage *st = *state;
    is_followed(st, NULL);
    fail_over(st);
    steps(st, 500);
    for (size_t i = 0; i < 2; i++)
        keeper_leave(st->nodes[i].keeper, 1000, on_left, &st->nodes[i]);
    steps(st, 600);
    assert_int_equal(counted(st, "u:alice", 0), 12);
    for (size_t i = 0; i < 2; i++)
        assert_true(st->nodes[i].has_left);
}

/* What our user may not do is found at once and each minute, and is no finding any more once he may. */
static void test_what_is_denied_is_said(void **state)
{
    struct stage *st = *state;
    struct str name, text;
    size_t at = 0;
    snprintf(st->server.refuses, sizeof st->server.refuses, "PFADD");
    snprintf(st->server.refusal, sizeof st->server.refusal,
             "NOPERM this user has no permissions to run the 'pfadd' command");
    for (size_t i = 0; i < NODES; i++)
        tiny_link(&st->nodes[i].redis);
    start(st, 0);
    steps(st, 500);
    assert_true(keeper_finding_next(st->nodes[0].keeper, &at, &name, &text));
    assert_string_equal(text.ptr,
                        "its user \"default\" may not do all that is needed, and it will fail when it is: `ACL SETUSER "
                        "default +pfadd` allows it, and ACL SAVE keeps it (doc/cluster.md has the whole line)");
    assert_true(redis_shard_is_up(&st->nodes[0].redis, 0));
    st->server.refuses[0] = '\0';
    steps(st, 50000);
    at = 0;
    assert_true(keeper_finding_next(st->nodes[0].keeper, &at, &name, &text));
    steps(st, 11000);
    at = 0;
    assert_false(keeper_finding_next(st->nodes[0].keeper, &at, &name, &text));
}

static void test_state(void **state)
{
    struct stage *st = *state;
    struct keeper_state s;
    struct keeper_shard shard;
    struct str name, text;
    size_t at = 0;
    snprintf(st->server.info, sizeof st->server.info, "redis_version:7.0.15\r\nmaxmemory_policy:allkeys-lru\r\n");
    run_nodes(st, 2);
    keeper_state(st->nodes[0].keeper, &s);
    assert_int_equal(s.nodes, 2);
    assert_int_equal(s.shard_count, 1);
    keeper_shard_state(st->nodes[0].keeper, 0, &shard);
    assert_true(shard.is_up && shard.is_settled && shard.has_skew && shard.skew_us == 0);
    assert_string_equal(shard.version, "7.0.15");
    assert_true(keeper_finding_next(st->nodes[0].keeper, &at, &name, &text));
    assert_true(str_equal(name, STR("127.0.0.1:7001")));
    assert_non_null(strstr(text.ptr, "allkeys-lru"));
    assert_false(keeper_finding_next(st->nodes[0].keeper, &at, &name, &text));
}

#define STORY(f)    cmocka_unit_test_setup_teardown(f, setup, teardown)
#define SENTINEL(f) cmocka_unit_test_setup_teardown(f, setup_sentinel, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_a_first_start),
        STORY(test_a_node_that_has_only_begun_believes),
        STORY(test_nodes_know_each_other_and_the_secret),
        STORY(test_who_settles_first_leaves_the_others_their_shares),
        STORY(test_one_that_is_gone_for_an_hour_is_forgotten),
        STORY(test_what_was_decided_alone_is_told_once),
        STORY(test_slots_of_two_windows_go_to_two_keys),
        STORY(test_after_the_loss_of_the_data_each_adds_its_own),
        STORY(test_a_flush_without_a_cut_is_noticed),
        STORY(test_a_loss_while_no_keeper_ran),
        STORY(test_a_push_of_all_goes_on_where_it_stood),
        STORY(test_who_rests_pushes_no_more),
        STORY(test_it_is_settled_when_the_others_are_back),
        STORY(test_it_is_settled_after_three_seconds_without_the_others),
        STORY(test_a_single_late_answer_is_soon_over),
        STORY(test_redis_stands_still),
        STORY(test_the_keeper_stands_still),
        STORY(test_a_worker_that_does_not_reach_redis),
        STORY(test_it_is_settled_under_load),
        STORY(test_what_can_never_be_told_does_not_stand_in_the_way),
        STORY(test_without_memory_it_stays_unsettled),
        STORY(test_leaving_in_order),
        STORY(test_leaving_without_redis),
        cmocka_unit_test_setup_teardown(test_a_shard_of_a_cluster_is_lost, setup_cluster, teardown),
        STORY(test_two_with_the_same_id_are_noticed),
        SENTINEL(test_another_master_is_told_when_a_replica_follows_it),
        SENTINEL(test_another_master_is_told_after_three_seconds),
        SENTINEL(test_of_two_masters_in_a_row_the_second_is_told),
        SENTINEL(test_the_same_master_needs_no_replica),
        SENTINEL(test_who_leaves_tells_another_master_at_once),
        STORY(test_what_is_denied_is_said),
        STORY(test_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
