/*
 * test_store_redis_faults.c - the store in Redis when Redis is late, away, full, only reads, was restarted empty, or
 * answers what is no answer: decided alone within the limit, nobody waits for long, and at the end Redis counts exactly
 * what was admitted.
 *
 * The test is the keeper of its node: it pushes, and says when all is settled.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "limits/redis_keys.h"
#include "limits/redis_store/redis_node.h"
#include "limits/store_suite.h"
#include "limits/window.h"
#include "redis/redis_servers.h"
#include "slowness.h"

#define S          INT64_C(1000000)
#define HOUR       3600
#define NOW        (INT64_C(2113214400) * S) /* to come, so that nothing expires */
#define SLOT_US    (HOUR * S / 16)
#define TIMEOUT_MS 50

static struct redis_servers servers;

struct fixture {
    struct redis_node *node;
    struct store store;
};

static int setup_with(void **state, unsigned timeout_ms)
{
    const struct redis_options options = {.endpoints = servers.endpoints, .endpoint_count = 1, .shape = REDIS_ALONE};
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    redis_servers_tell(&servers, 0, "FLUSHALL");
    f->node = redis_node_new(&options, "one");
    f->node->timeout_ms = timeout_ms;
    redis_node_open(f->node, &f->store, 1);
    *state = f;
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, 0);
}

/* Where Redis is to be late. */
static int setup_hasty(void **state)
{
    return setup_with(state, TIMEOUT_MS);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    redis_node_close(&f->store);
    redis_node_free(f->node);
    free(f);
    redis_servers_audit(&servers);
    return 0;
}

/* ---- Asking ---- */

static void wait_for(void *context, struct store *store, const bool *done)
{
    (void)context;
    if (!redis_node_run(store, done))
        abort(); /* an answer has to come */
}

static const struct store_suite HELPERS = {.name = "its helpers", .wait = wait_for};

struct asked {
    struct store_op op;
    struct take *takes[8];
    bool done;
};

static void on_done(struct store_op *op)
{
    CONTAINER_OF(op, struct asked, op)->done = true;
}

static enum started start(struct fixture *f, struct asked *a, struct take *take, int64_t now_us)
{
    *a = (struct asked){.takes = {take}};
    a->op =
        (struct store_op){.takes = a->takes, .count = 1, .now_us = now_us, .deadline_ms = 20000, .on_done = on_done};
    return f->store.ops->take_start(&f->store, &a->op);
}

static enum store_result finish(struct fixture *f, struct asked *a, enum started started)
{
    if (started == STARTED)
        assert_true(redis_node_run(&f->store, &a->done));
    return a->op.result;
}

static enum store_result ask(struct fixture *f, struct take *take, int64_t now_us)
{
    struct asked a;
    return finish(f, &a, start(f, &a, take, now_us));
}

static void take_set(struct fixture *f, struct take *take, const char *entity, uint32_t cost, uint64_t allowed)
{
    suite_take_set(take, &f->store, entity, HOUR, cost, allowed);
}

static enum store_result admit(struct fixture *f, const char *entity, uint32_t cost, uint64_t allowed, int64_t now_us)
{
    struct take take;
    take_set(f, &take, entity, cost, allowed);
    return ask(f, &take, now_us);
}

static void give_back(struct fixture *f, struct take *take)
{
    f->store.ops->give_back(&f->store, &take, 1);
}

static void key_text(char to[REDIS_KEY_MAX_BYTES], const char *entity, int64_t now_us)
{
    snprintf(to, REDIS_KEY_MAX_BYTES, "mw1:q:{%s}:%d:%lld", entity, HOUR, (long long)(now_us / (HOUR * S)));
}

/* What Redis counts of messages in the window of now. */
static uint64_t in_redis(const char *entity, int64_t now_us)
{
    char key[REDIS_KEY_MAX_BYTES];
    uint64_t sum = 0;
    key_text(key, entity, now_us);
    redisReply *reply = redis_servers_ask(&servers, 0, "GET %s", key);
    for (size_t i = 0; reply->type == REDIS_REPLY_STRING && i < 64 && i < reply->len; i++)
        sum += (uint64_t)(uint8_t)reply->str[i] << (24 - i % 4 * 8);
    freeReplyObject(reply);
    reply = redis_servers_ask(&servers, 0, "PTTL %s", key);
    assert_true(reply->integer != -1); /* it has an expiry */
    freeReplyObject(reply);
    return sum;
}

static uint64_t since(struct fixture *f, const char *entity, int64_t now_us)
{
    struct take take;
    uint64_t sums[COLUMNS];
    take_set(f, &take, entity, 0, 0);
    mirror_since(f->node->mirror, &take.counter, window_slot(now_us, HOUR), sums);
    return sums[0];
}

static uint64_t seen(struct fixture *f, const char *entity, int64_t now_us)
{
    struct take take;
    struct mirror_view view;
    take_set(f, &take, entity, 0, 0);
    assert_true(mirror_look(f->node->mirror, &take.counter, now_us, &view));
    return window_used(view.seen[0], view.slot, view.slot);
}

static bool is_settled(struct fixture *f)
{
    return outage_is_settled(f->node->outage, 0);
}

/* Until the condition holds, ten seconds at most. */
#define RUN_UNTIL(f, condition)                                                                                        \
    do {                                                                                                               \
        for (int64_t until_ = clock_monotonic_ms() + 10000 * (int64_t)tests_slowness();                                \
             !(condition) && clock_monotonic_ms() < until_;)                                                           \
            redis_node_run_for(&(f)->store, 5);                                                                        \
        assert_true(condition);                                                                                        \
    } while (0)

static bool is_up(struct fixture *f)
{
    return redis_shard_is_up(redis_node_client(&f->store), 0);
}

/* As the keeper does: says what is due (or, the data being lost, all), then that all is settled. */
static void push(struct fixture *f, bool is_all, int64_t now_us)
{
    struct mirror_push p;
    for (size_t at = 0; mirror_push_next(f->node->mirror, &at, is_all, now_us, &p);) {
        for (uint64_t k = 0; k < WINDOW_CELLS; k++) {
            char key[REDIS_KEY_MAX_BYTES + 1] = {0};
            uint64_t slot = p.newest - k;
            int64_t n = p.rings[0][slot % WINDOW_CELLS];
            struct str stem = str_of_z(p.stem);
            if (n == 0)
                continue;
            (void)redis_key_of_window(stem, slot / 16, key, sizeof key - 1);
            redis_servers_tell(&servers, 0, "BITFIELD %s OVERFLOW SAT INCRBY u32 #%d %lld", key, (int)(slot % 16),
                               (long long)n);
            redis_servers_tell(&servers, 0, "PEXPIREAT %s 2200000000000", key);
        }
        mirror_push_done(f->node->mirror, &p, now_us);
    }
    assert_int_equal(mirror_due(f->node->mirror, now_us), 0);
    redis_node_settle(f->node, 1, 0);
}

/* How many commands Redis was given for counters, not for the link itself. */
static uint64_t commands_processed(void)
{
    static const char *const NAMES[] = {"bitfield", "getex", "get", "pexpireat", "set", "del"};
    redisReply *reply = redis_servers_ask(&servers, 0, "INFO commandstats");
    uint64_t sum = 0;
    assert_int_equal(reply->type, REDIS_REPLY_STRING);
    for (size_t i = 0; i < COUNT_OF(NAMES); i++) {
        char name[40];
        snprintf(name, sizeof name, "cmdstat_%s:calls=", NAMES[i]);
        const char *line = strstr(reply->str, name);
        sum += line ? strtoull(line + strlen(name), NULL, 10) : 0;
    }
    freeReplyObject(reply);
    return sum;
}

/* ---- Late ---- */

/* Redis stands still: the mail is decided alone when the deadline is over. The reply that comes later says that Redis
 * has it too: it is not told again. */
static void test_a_late_reply_to_what_was_admitted(void **state)
{
    struct fixture *f = *state;
    struct asked a;
    struct take take;
    redis_servers_hang(&servers, 0);
    take_set(f, &take, "u:a", 3, 10);
    int64_t began_ms = clock_monotonic_ms();
    assert_int_equal(start(f, &a, &take, NOW), STARTED);
    assert_int_equal(finish(f, &a, STARTED), STORE_TAKEN);
    assert_true(clock_monotonic_ms() - began_ms >= TIMEOUT_MS);
    assert_true(clock_monotonic_ms() - began_ms < 20 * TIMEOUT_MS * tests_slowness());
    assert_true(take.held.is_local);
    assert_int_equal(since(f, "u:a", NOW), 3);
    redis_servers_resume(&servers, 0);
    RUN_UNTIL(f, since(f, "u:a", NOW) == 0);
    assert_true(is_settled(f)); /* nothing was missed */
    assert_int_equal(in_redis("u:a", NOW), 3);
    /* And it is given back like any other. */
    give_back(f, &take);
    assert_true(redis_node_run(&f->store, NULL));
    assert_int_equal(in_redis("u:a", NOW), 0);
}

/* Nor does a node that was only late forget to look: what the others did is in the late reply. */
static void test_a_late_reply_is_a_reading(void **state)
{
    struct fixture *f = *state;
    char key[REDIS_KEY_MAX_BYTES];
    struct take take;
    key_text(key, "u:a", NOW);
    redis_servers_tell(&servers, 0, "BITFIELD %s INCRBY u32 #%d 7", key, (int)(window_slot(NOW, HOUR) % 16));
    redis_servers_tell(&servers, 0, "PEXPIREAT %s 2200000000000", key);
    redis_servers_hang(&servers, 0);
    take_set(f, &take, "u:a", 1, 10);
    assert_int_equal(ask(f, &take, NOW), STORE_TAKEN);
    assert_int_equal(seen(f, "u:a", NOW), 0);
    redis_servers_resume(&servers, 0);
    RUN_UNTIL(f, since(f, "u:a", NOW) == 0);
    assert_int_equal(seen(f, "u:a", NOW), 8);
}

/* No reply came, and none will: this node has decided something that Redis may not know of. */
static void test_no_reply_comes(void **state)
{
    struct fixture *f = *state;
    struct take take;
    redis_servers_hang(&servers, 0);
    take_set(f, &take, "u:a", 3, 10);
    assert_int_equal(ask(f, &take, NOW), STORE_TAKEN);
    assert_true(is_settled(f));
    redis_servers_kill(&servers, 0);
    RUN_UNTIL(f, !is_settled(f));
    assert_int_equal(since(f, "u:a", NOW), 3);
    redis_servers_restart(&servers, 0);
    RUN_UNTIL(f, is_up(f));
}

static void test_a_late_reply_to_what_was_refused(void **state)
{
    struct fixture *f = *state;
    redis_node_settle(f->node, 4, 0);
    redis_servers_hang(&servers, 0);
    assert_int_equal(admit(f, "u:a", 1, 3, NOW), STORE_FULL); /* its share of three is none */
    assert_int_equal(since(f, "u:a", NOW), 0);
    redis_servers_resume(&servers, 0);
    assert_true(redis_node_run(&f->store, NULL));
    RUN_UNTIL(f, is_up(f));
    push(f, false, NOW);
    assert_true(redis_node_run(&f->store, NULL));
    assert_int_equal(in_redis("u:a", NOW), 0);
    assert_int_equal(suite_used(&f->store, "u:a", HOUR, NOW), 0);
}

static void test_a_late_reply_to_what_was_given_back(void **state)
{
    struct fixture *f = *state;
    struct take take;
    redis_servers_hang(&servers, 0);
    take_set(f, &take, "u:a", 3, 10);
    assert_int_equal(ask(f, &take, NOW), STORE_TAKEN);
    give_back(f, &take);
    assert_int_equal(since(f, "u:a", NOW), 0);
    redis_servers_resume(&servers, 0);
    assert_true(redis_node_run(&f->store, NULL));
    push(f, false, NOW);
    assert_int_equal(in_redis("u:a", NOW), 0);
}

static void test_a_late_reply_to_what_was_kept_later(void **state)
{
    struct fixture *f = *state;
    struct take take, *takes[] = {&take};
    redis_servers_hang(&servers, 0);
    take_set(f, &take, "u:a", 3, 10);
    assert_int_equal(ask(f, &take, NOW), STORE_TAKEN);
    f->store.ops->keep(&f->store, takes, 1, NOW + 2 * SLOT_US);
    assert_int_equal(since(f, "u:a", NOW + 2 * SLOT_US), 0); /* Redis has it when it listens again */
    redis_servers_resume(&servers, 0);
    assert_true(redis_node_run(&f->store, NULL));
    push(f, false, NOW + 2 * SLOT_US);
    assert_int_equal(in_redis("u:a", NOW), 3);
    assert_int_equal(suite_used(&f->store, "u:a", HOUR, NOW + 18 * SLOT_US), 3);
    assert_int_equal(suite_used(&f->store, "u:a", HOUR, NOW + 19 * SLOT_US), 0);
}

/* The client left while its mail was being asked for. */
static void test_a_late_reply_to_what_was_cancelled(void **state)
{
    struct fixture *f = *state;
    struct asked a;
    struct take take;
    take_set(f, &take, "u:a", 3, 10);
    assert_int_equal(start(f, &a, &take, NOW), STARTED);
    f->store.ops->take_cancel(&f->store, &a.op);
    assert_true(redis_node_run(&f->store, NULL));
    assert_false(a.done || take.held.is_held);
    assert_int_equal(in_redis("u:a", NOW), 0);
    assert_int_equal(suite_used(&f->store, "u:a", HOUR, NOW), 0);
}

/* Near its limit a counter is looked at first: that, too, is waited for no longer than the deadline. */
static void test_a_late_look(void **state)
{
    struct fixture *f = *state;
    struct asked a;
    struct take take;
    assert_int_equal(admit(f, "u:a", 9, 10, NOW), STORE_TAKEN);
    redis_servers_hang(&servers, 0);
    take_set(f, &take, "u:a", 1, 10);
    int64_t began_ms = clock_monotonic_ms();
    enum started started = start(f, &a, &take, NOW + S);
    assert_int_equal(started, STARTED);
    bool is_in_time = redis_node_run(&f->store, &a.done);
    int64_t took_ms = clock_monotonic_ms() - began_ms;
    print_message("look of 9+1 of 10: answered %d after %d ms\n", is_in_time, (int)took_ms);
    assert_true(took_ms < 20 * TIMEOUT_MS);
    redis_servers_resume(&servers, 0);
}

static void test_a_late_question(void **state)
{
    struct fixture *f = *state;
    struct asked a;
    struct take take;
    redis_servers_hang(&servers, 0);
    take_set(f, &take, "u:b", 0, 10);
    take.mode = TAKE_NOTHING;
    int64_t began_ms = clock_monotonic_ms();
    assert_int_equal(start(f, &a, &take, NOW + S), STARTED);
    bool is_in_time = redis_node_run(&f->store, &a.done);
    int64_t took_ms = clock_monotonic_ms() - began_ms;
    print_message("TAKE_NOTHING: answered %d after %d ms\n", is_in_time, (int)took_ms);
    assert_true(took_ms < 20 * TIMEOUT_MS);
    redis_servers_resume(&servers, 0);
}

/* Three times somebody waits; then nobody does, until Redis is back. */
static void test_nobody_waits_more_than_three_times(void **state)
{
    struct fixture *f = *state;
    unsigned waited = 0;
    redis_servers_hang(&servers, 0);
    for (int i = 0; i < 20; i++) {
        struct asked a;
        struct take take;
        char entity[16];
        snprintf(entity, sizeof entity, "u:%d", i);
        take_set(f, &take, entity, 1, 10);
        redis_node_settle(f->node, 1, 0); /* else it would be alone at once, after the first */
        enum started started = start(f, &a, &take, NOW);
        waited += started == STARTED;
        assert_int_equal(finish(f, &a, started), STORE_TAKEN);
    }
    assert_int_equal(waited, 3);
    redis_servers_resume(&servers, 0);
    RUN_UNTIL(f, is_up(f));
}

/* ---- Away ---- */

/* Within the limit while Redis is away and restarted empty, and after it: what this node admitted is there again. */
static void test_restarted_empty(void **state)
{
    struct fixture *f = *state;
    uint32_t admitted = 0;
    for (int i = 0; i < 6; i++)
        admitted += admit(f, "u:a", 1, 10, NOW) == STORE_TAKEN;
    assert_int_equal(in_redis("u:a", NOW), 6);
    redis_servers_kill(&servers, 0);
    RUN_UNTIL(f, !is_up(f));
    for (int i = 0; i < 10; i++) {
        struct asked a;
        struct take take;
        take_set(f, &take, "u:a", 1, 10);
        assert_int_equal(start(f, &a, &take, NOW + SLOT_US), DONE); /* without waiting */
        admitted += a.op.result == STORE_TAKEN;
        assert_true(i < 2 || a.op.result == STORE_TAKEN || take.wait_us > 0);
    }
    assert_int_equal(admitted, 10);
    redis_servers_restart(&servers, 0);
    RUN_UNTIL(f, is_up(f));
    assert_false(is_settled(f));
    assert_int_equal(admit(f, "u:a", 1, 10, NOW + SLOT_US), STORE_FULL); /* not believed: it says none */
    push(f, true, NOW + SLOT_US);
    assert_int_equal(in_redis("u:a", NOW), 10);
    assert_int_equal(admit(f, "u:a", 1, 10, NOW + SLOT_US), STORE_FULL);
    assert_int_equal(suite_used(&f->store, "u:a", HOUR, NOW + 16 * SLOT_US), 10);
    assert_int_equal(suite_used(&f->store, "u:a", HOUR, NOW + 17 * SLOT_US), 4);
}

/* A link that is another one than before is not believed, even if nothing happened meanwhile. */
static void test_another_link_is_not_believed(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(admit(f, "u:a", 1, 10, NOW), STORE_TAKEN);
    assert_true(is_settled(f));
    redis_servers_kill(&servers, 0);
    RUN_UNTIL(f, !is_up(f));
    redis_servers_restart(&servers, 0);
    RUN_UNTIL(f, is_up(f));
    RUN_UNTIL(f, !is_settled(f));
}

/* What was charged in Redis and is given back, kept or changed while it is away reaches it later. */
static void test_ends_while_away(void **state)
{
    struct fixture *f = *state;
    struct take back, kept, grown, shrunk, *takes[1];
    take_set(f, &back, "u:a", 1, 100);
    take_set(f, &kept, "u:a", 10, 100);
    take_set(f, &grown, "u:a", 4, 100);
    take_set(f, &shrunk, "u:a", 20, 100);
    assert_int_equal(ask(f, &back, NOW), STORE_TAKEN);
    assert_int_equal(ask(f, &kept, NOW), STORE_TAKEN);
    assert_int_equal(ask(f, &grown, NOW), STORE_TAKEN);
    assert_int_equal(ask(f, &shrunk, NOW), STORE_TAKEN);
    assert_int_equal(in_redis("u:a", NOW), 35);
    outage_went_alone(f->node->outage, 0, clock_monotonic_us()); /* as good as away, but it keeps what it has */
    give_back(f, &back);
    grown.cost[0] = 6;
    assert_int_equal(ask(f, &grown, NOW + SLOT_US), STORE_TAKEN);
    assert_int_equal(grown.growth[0], 2);
    shrunk.cost[0] = 5;
    assert_int_equal(ask(f, &shrunk, NOW + SLOT_US), STORE_TAKEN);
    takes[0] = &kept;
    f->store.ops->keep(&f->store, takes, 1, NOW + 2 * SLOT_US);
    assert_int_equal(in_redis("u:a", NOW), 35);
    push(f, false, NOW + 2 * SLOT_US);
    assert_int_equal(in_redis("u:a", NOW), 10 + 6 + 5);
    give_back(f, &shrunk);
    assert_true(redis_node_run(&f->store, NULL));
    assert_int_equal(in_redis("u:a", NOW), 10 + 6);
    assert_int_equal(suite_used(&f->store, "u:a", HOUR, NOW + 17 * SLOT_US), 10 + 6);
    assert_int_equal(suite_used(&f->store, "u:a", HOUR, NOW + 18 * SLOT_US), 10);
}

/* The other way round: decided alone, ended when Redis is believed again. */
static void test_ends_after_it_was_away(void **state)
{
    struct fixture *f = *state;
    struct take back, kept, grown, same, *takes[1];
    outage_went_alone(f->node->outage, 0, clock_monotonic_us());
    take_set(f, &back, "u:a", 1, 100);
    take_set(f, &kept, "u:a", 10, 100);
    take_set(f, &grown, "u:a", 4, 100);
    take_set(f, &same, "u:a", 20, 100);
    assert_int_equal(ask(f, &back, NOW), STORE_TAKEN);
    assert_int_equal(ask(f, &kept, NOW), STORE_TAKEN);
    assert_int_equal(ask(f, &grown, NOW), STORE_TAKEN);
    assert_int_equal(ask(f, &same, NOW), STORE_TAKEN);
    assert_int_equal(in_redis("u:a", NOW), 0);
    push(f, false, NOW);
    assert_int_equal(in_redis("u:a", NOW), 35);
    give_back(f, &back);
    grown.cost[0] = 6;
    assert_int_equal(ask(f, &grown, NOW + SLOT_US), STORE_TAKEN);
    assert_int_equal(ask(f, &same, NOW + SLOT_US), STORE_TAKEN);
    takes[0] = &kept;
    f->store.ops->keep(&f->store, takes, 1, NOW + 2 * SLOT_US);
    assert_true(redis_node_run(&f->store, NULL));
    assert_int_equal(in_redis("u:a", NOW), 10 + 6 + 20);
    assert_int_equal(suite_used(&f->store, "u:a", HOUR, NOW + 17 * SLOT_US), 36);
    assert_int_equal(suite_used(&f->store, "u:a", HOUR, NOW + 18 * SLOT_US), 10);
    assert_int_equal(mirror_due(f->node->mirror, NOW + SLOT_US), 0);
}

/* One more of a counter that allows 20, as `share_of` of 4 nodes or by other words: who says so, and is it known early
 * that there is no room? */
static void assert_says_how(struct fixture *g, const char *word, uint32_t share_of, bool is_known_full)
{
    struct take take, *takes[] = {&take};
    take_set(g, &take, "u:a", 1, 20);
    struct store_op op = {.takes = takes, .count = 1, .now_us = NOW, .deadline_ms = 50, .decided_by = "redis"};
    assert_int_equal(g->store.ops->take_start(&g->store, &op), DONE);
    assert_string_equal(op.decided_by, word);
    assert_int_equal(op.share_of, share_of);
    take_set(g, &take, "u:a", 1, 20);
    assert_int_equal(g->store.ops->peek(&g->store, &take, NOW) && take.wait_us != 0, is_known_full);
}

static void test_what_failure_says(void **state)
{
    static const struct {
        enum store_failure failure;
        uint32_t admitted;
        enum store_result then;
        uint64_t due;
        const char *word;
        uint32_t share_of;
        bool is_known_full;
    } CASES[] = {
        {STORE_SHARE, 5, STORE_FULL, 1, "share", 4, false},
        {STORE_LOCAL, 20, STORE_FULL, 1, "local", 0, true},
        {STORE_OPEN, 50, STORE_TAKEN, 1, "open", 0, false},
        {STORE_CLOSED, 0, STORE_FAILED, 0, "closed", 0, false},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct fixture g = {.node = redis_node_new(&f->node->options, "other")};
        uint32_t admitted = 0;
        enum store_result result = STORE_FAILED;
        g.node->failure = CASES[i].failure;
        redis_node_settle(g.node, 4, 0);
        redis_node_open(g.node, &g.store, 1);
        outage_went_alone(g.node->outage, 0, clock_monotonic_us());
        for (int k = 0; k < 50; k++) {
            result = admit(&g, "u:a", 1, 20, NOW);
            admitted += result == STORE_TAKEN;
        }
        assert_int_equal(admitted, CASES[i].admitted);
        assert_int_equal(result, CASES[i].then);
        assert_int_equal(mirror_due(g.node->mirror, NOW), CASES[i].due);
        assert_int_equal(in_redis("u:a", NOW), 0);
        assert_says_how(&g, CASES[i].word, CASES[i].share_of, CASES[i].is_known_full);
        redis_node_close(&g.store);
        redis_node_free(g.node);
    }
}

/* Nodes that are perhaps alone keep their shares: the others use the rest. */
static void test_missing_nodes_keep_their_shares(void **state)
{
    struct fixture *f = *state;
    uint32_t admitted = 0;
    redis_node_settle(f->node, 4, 1);
    for (int i = 0; i < 30; i++)
        admitted += admit(f, "u:a", 1, 20, NOW) == STORE_TAKEN;
    assert_int_equal(admitted, 15);
    redis_node_settle(f->node, 4, 0);
    for (int i = 0; i < 30; i++)
        admitted += admit(f, "u:a", 1, 20, NOW + 10 * S) == STORE_TAKEN;
    assert_int_equal(admitted, 20);
    assert_int_equal(in_redis("u:a", NOW), 20);
}

/* What another node pushes into the window that is closed is seen by those who had read it before. */
static void test_pushed_into_a_closed_window(void **state)
{
    struct fixture *f = *state;
    char key[REDIS_KEY_MAX_BYTES];
    assert_int_equal(admit(f, "u:a", 4, 10, NOW + 15 * SLOT_US), STORE_TAKEN);
    assert_int_equal(admit(f, "u:a", 1, 10, NOW + 16 * SLOT_US + 6 * S), STORE_TAKEN); /* reads it, and remembers */
    key_text(key, "u:a", NOW);
    redis_servers_tell(&servers, 0, "BITFIELD %s OVERFLOW SAT INCRBY u32 #12 5", key);
    redis_node_settle(f->node, 4, 1);
    assert_int_equal(admit(f, "u:a", 1, 10, NOW + 16 * SLOT_US + 7 * S), STORE_FULL);
}

/* Defect: client clocks that differ. Whatever time it is here, the windows are those of Redis' clock. */
static void test_the_clock_is_redis(void **state)
{
    struct fixture *f = *state;
    struct fixture g = {.node = redis_node_new(&f->node->options, "other")};
    g.node->time_is_real = true;
    redis_node_open(g.node, &g.store, 1);
    assert_true(redis_node_run(&g.store, NULL));
    redisReply *time = redis_servers_ask(&servers, 0, "TIME");
    int64_t redis_us = strtoll(time->element[0]->str, NULL, 10) * S;
    freeReplyObject(time);
    assert_int_equal(admit(&g, "u:a", 1, 10, 0), STORE_TAKEN);            /* 1970 */
    assert_int_equal(admit(&g, "u:a", 1, 10, redis_us * 2), STORE_TAKEN); /* far from now */
    assert_true(in_redis("u:a", redis_us) == 2 || in_redis("u:a", redis_us + HOUR * S) > 0);
    redis_node_close(&g.store);
    redis_node_free(g.node);
}

/* Likewise into a slot that is over, of the same window. */
static void test_pushed_into_a_slot_that_is_over(void **state)
{
    struct fixture *f = *state;
    char key[REDIS_KEY_MAX_BYTES];
    key_text(key, "u:a", NOW);
    assert_int_equal(admit(f, "u:a", 1, 20, NOW + 2 * SLOT_US + 2 * S), STORE_TAKEN);
    uint64_t before = commands_processed();
    assert_int_equal(admit(f, "u:a", 1, 20, NOW + 2 * SLOT_US + 3 * S), STORE_TAKEN);
    assert_int_equal(commands_processed() - before, 1); /* it reads no slots but its own */
    redis_servers_tell(&servers, 0, "BITFIELD %s OVERFLOW SAT INCRBY u32 #1 18", key);
    redis_node_settle(f->node, 4, 1);
    redis_node_settle(f->node, 4, 0);
    assert_int_equal(admit(f, "u:a", 1, 20, NOW + 2 * SLOT_US + 4 * S), STORE_FULL);
}

/* Another node is a moment ahead: its window, or its slot, has begun when this node's is about to end. Neither passes
 * the other by, whoever of them asks last. Naive: each reads its own window, and what is over is taken as it was. */
static void test_another_node_is_a_moment_ahead(void **state)
{
    static const struct {
        int64_t begins_us; /* what the other one is in already */
        int64_t ahead_us;  /* this node's moment is so long before */
        int64_t read_us;   /* this node read the counter so long before; 0: never */
        uint32_t first, there, last;
    } ROWS[] = {
        {NOW + HOUR * S, 1000, 0, 0, 100, 1},   /* another window */
        {NOW + HOUR * S, 1000, S, 1, 99, 1},    /* … of a counter that is known */
        {NOW + 3 * SLOT_US, 1000, S, 1, 99, 1}, /* another slot */
        {NOW + HOUR * S, TIMEOUT_MS * 1000, S, 60, 20, 21},
    };
    struct fixture *f = *state;
    struct redis_node *other = redis_node_new(&f->node->options, "two");
    struct fixture ahead = {.node = other};
    redis_node_open(other, &ahead.store, 2);
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        char entity[8];
        snprintf(entity, sizeof entity, "u:%zu", i);
        if (ROWS[i].read_us)
            assert_int_equal(admit(f, entity, ROWS[i].first, 100, ROWS[i].begins_us - ROWS[i].read_us), STORE_TAKEN);
        assert_int_equal(admit(&ahead, entity, ROWS[i].there, 100, ROWS[i].begins_us + 1000), STORE_TAKEN);
        assert_int_equal(admit(f, entity, ROWS[i].last, 100, ROWS[i].begins_us - ROWS[i].ahead_us), STORE_FULL);
        assert_int_equal(suite_used(&ahead.store, entity, HOUR, ROWS[i].begins_us + 2000),
                         ROWS[i].first + ROWS[i].there);
    }
    redis_node_close(&ahead.store);
    redis_node_free(other);
}

/* What another node does in the slot of now is seen by the one command alone. */
static void test_another_node_in_the_same_slot(void **state)
{
    struct fixture *f = *state;
    char key[REDIS_KEY_MAX_BYTES];
    struct take take;
    key_text(key, "u:a", NOW);
    assert_int_equal(admit(f, "u:a", 1, 100, NOW + 2 * S), STORE_TAKEN);
    redis_servers_tell(&servers, 0, "BITFIELD %s OVERFLOW SAT INCRBY u32 #0 98", key);
    uint64_t before = commands_processed();
    take_set(f, &take, "u:a", 2, 100);
    assert_int_equal(ask(f, &take, NOW + 3 * S), STORE_FULL);
    assert_int_equal(take.used[0], 101);
    assert_true(redis_node_run(&f->store, NULL));
    assert_int_equal(commands_processed() - before, 3); /* it, and its refund */
    assert_int_equal(admit(f, "u:a", 1, 100, NOW + 4 * S), STORE_TAKEN);
    assert_int_equal(in_redis("u:a", NOW), 100);
}

/* A slot that was far from full when it was read is not told to saturate. Others have filled it to the brim since: it
 * wraps around, which is seen, decided alone, and put right. */
static void test_a_slot_that_wraps_around(void **state)
{
    struct fixture *f = *state;
    char key[REDIS_KEY_MAX_BYTES];
    struct take take;
    key_text(key, "u:a", NOW);
    assert_int_equal(admit(f, "u:a", 1, 100, NOW + 2 * S), STORE_TAKEN);
    redis_servers_tell(&servers, 0, "BITFIELD %s SET u32 #0 4294967290", key);
    assert_int_equal(admit(f, "u:a", 5, 100, NOW + 3 * S), STORE_FULL); /* just full: nothing wraps */
    assert_true(redis_node_run(&f->store, NULL));
    assert_int_equal(in_redis("u:a", NOW), 4294967290);
    redis_node_settle(f->node, 4, 0);
    assert_int_equal(admit(f, "u:b", 1, 100, NOW + 2 * S), STORE_TAKEN);
    key_text(key, "u:b", NOW);
    redis_servers_tell(&servers, 0, "BITFIELD %s SET u32 #0 4294967290", key);
    uint64_t before = commands_processed();
    take_set(f, &take, "u:b", 10, 100);
    assert_int_equal(ask(f, &take, NOW + 3 * S), STORE_TAKEN); /* its share of 100 */
    assert_true(take.held.is_local);
    assert_true(redis_node_run(&f->store, NULL));
    assert_int_equal(commands_processed() - before, 4); /* it; what puts it right; its refund, with the expiry */
    assert_int_equal(in_redis("u:b", NOW), UINT32_MAX - 10);
}

/* Somebody threw the key away: what is made anew has an expiry, whatever command made it. */
static void test_a_key_that_is_lost(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(admit(f, "u:a", 1, 100, NOW + 2 * S), STORE_TAKEN);
    redis_servers_tell(&servers, 0, "FLUSHALL");
    assert_int_equal(admit(f, "u:a", 1, 100, NOW + 3 * S), STORE_TAKEN);
    assert_true(redis_node_run(&f->store, NULL));
    assert_int_equal(in_redis("u:a", NOW), 1); /* looks at the expiry, too */
}

/* ---- Errors ---- */

/* A list lies where the counter should be: that entity is decided alone, and no other. */
static void test_a_wrong_type(void **state)
{
    struct fixture *f = *state;
    char key[REDIS_KEY_MAX_BYTES];
    key_text(key, "u:a", NOW);
    redis_servers_tell(&servers, 0, "LPUSH %s x", key);
    redis_servers_tell(&servers, 0, "PEXPIREAT %s 2200000000000", key);
    redis_node_settle(f->node, 4, 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(admit(f, "u:a", 1, 10, NOW), i < 2 ? STORE_TAKEN : STORE_FULL); /* its share of ten */
    assert_true(is_settled(f));
    assert_int_equal(admit(f, "u:b", 10, 10, NOW), STORE_TAKEN);
    assert_int_equal(in_redis("u:b", NOW), 10);
    redis_servers_tell(&servers, 0, "DEL %s", key);
    push(f, false, NOW);
    assert_int_equal(in_redis("u:a", NOW), 2);
}

/* All or nothing, also where one of the mail's counters fails: what the others reserved stays, or is taken back. */
static void test_one_of_a_mails_counters_fails(void **state)
{
    struct fixture *f = *state;
    char key[REDIS_KEY_MAX_BYTES];
    struct take good, bad;
    key_text(key, "u:bad", NOW);
    redis_servers_tell(&servers, 0, "SET %s not-a-window-of-ours-but-long-enough-to-be-one-%s PX 3600000", key,
                       "----------------------------------------------------------------------------------------"
                       "----------------------------------------------------------------------------------------");
    for (int i = 0; i < 4; i++) {
        take_set(f, &good, "u:good", 1, 10);
        take_set(f, &bad, "u:bad", 1, 2);
        assert_int_equal(suite_take_both(&f->store, &good, &bad, NOW), i < 2 ? STORE_TAKEN : STORE_FULL);
        assert_int_equal(bad.held.is_local, i < 2);
        assert_false(good.held.is_local);
    }
    assert_true(redis_node_run(&f->store, NULL));
    assert_int_equal(in_redis("u:good", NOW), 2);
    assert_int_equal(since(f, "u:bad", NOW), 2);
}

static void tell(const char *command)
{
    char words[4][32] = {"", "", "", ""};
    assert_true(sscanf(command, "%31s %31s %31s %31s", words[0], words[1], words[2], words[3]) >= 3);
    if (words[3][0])
        redis_servers_tell(&servers, 0, "%s %s %s %s", words[0], words[1], words[2], words[3]);
    else
        redis_servers_tell(&servers, 0, "%s %s %s", words[0], words[1], words[2]);
}

/* The server cannot write: alone, by share, until it can again; then it has all that was admitted. */
static void test_a_server_that_cannot_write(void **state)
{
    static const struct {
        const char *begin, *end; /* words with a space between */
    } CASES[] = {
        {"CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"},
        {"CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"},
        {"REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        char entity[16];
        snprintf(entity, sizeof entity, "u:%zu", i);
        assert_int_equal(admit(f, entity, 3, 10, NOW), STORE_TAKEN);
        tell(CASES[i].begin);
        assert_int_equal(admit(f, entity, 2, 10, NOW), STORE_TAKEN);
        assert_false(is_settled(f));
        assert_int_equal(since(f, entity, NOW), 2);
        assert_int_equal(admit(f, entity, 6, 10, NOW), STORE_FULL);
        tell(CASES[i].end);
        RUN_UNTIL(f, is_up(f));
        redis_node_run_for(&f->store, 300); /* a link that came back is noticed */
        push(f, false, NOW);
        assert_int_equal(in_redis(entity, NOW), 5);
        assert_int_equal(admit(f, entity, 5, 10, NOW), STORE_TAKEN);
        assert_int_equal(in_redis(entity, NOW), 10);
    }
}

/* ---- What it costs ---- */

/* LIMITS.md, "Floods cost Redis nothing". */
static void test_a_flood_costs_nothing(void **state)
{
    struct fixture *f = *state;
    struct take take;
    assert_int_equal(admit(f, "i:a", 10, 10, NOW), STORE_TAKEN);
    assert_int_equal(admit(f, "i:a", 1, 10, NOW), STORE_FULL); /* looks */
    uint64_t before = commands_processed();
    for (int i = 0; i < 1000; i++) {
        struct asked a;
        take_set(f, &take, "i:a", 1, 10);
        assert_int_equal(start(f, &a, &take, NOW + i * 1000), DONE);
        assert_int_equal(a.op.result, STORE_FULL);
        assert_int_equal(take.used[0], 11);
        assert_true(take.wait_us == 17 * SLOT_US - i * 1000);
    }
    assert_int_equal(commands_processed() - before, 0);
    /* Five seconds later it is asked again; and what is given back on this node is known at once. */
    take_set(f, &take, "i:b", 10, 10);
    assert_int_equal(ask(f, &take, NOW), STORE_TAKEN);
    assert_int_equal(admit(f, "i:b", 1, 10, NOW), STORE_FULL);
    give_back(f, &take);
    assert_int_equal(admit(f, "i:b", 1, 10, NOW), STORE_TAKEN);
    redis_servers_tell(&servers, 0, "FLUSHALL");
    assert_int_equal(admit(f, "i:a", 1, 10, NOW + 6 * S), STORE_TAKEN);
}

/* A cost above the limit can never fit: nobody is asked. */
static void test_what_never_fits_costs_nothing(void **state)
{
    struct fixture *f = *state;
    struct take take;
    struct asked a;
    uint64_t before = commands_processed();
    take_set(f, &take, "u:a", 11, 10);
    assert_int_equal(start(f, &a, &take, NOW), DONE);
    assert_int_equal(a.op.result, STORE_FULL);
    assert_true(take.wait_us == WAIT_UNKNOWN);
    assert_int_equal(commands_processed() - before, 0);
}

/* Six limits of one mail: a command each in one round trip, once the slots that are over are known; and nothing when it
 * passes in the slot it was charged in. */
static void test_what_a_mail_costs(void **state)
{
    static const char *const ENTITIES[] = {"u:a", "ud:b", "i:c"};
    struct fixture *f = *state;
    for (int round = 0; round < 3; round++) {
        struct take takes[6];
        struct asked a = {.takes = {0}};
        uint64_t before = commands_processed();
        for (size_t i = 0; i < 6; i++) {
            suite_take_set(&takes[i], &f->store, ENTITIES[i / 2], i % 2 ? 86400 : HOUR, 1, 1000);
            takes[i].cost[COLUMN_RECIPIENTS] = takes[i].cost[COLUMN_KIB] = 1;
            a.takes[i] = &takes[i];
        }
        for (size_t i = 0; i < 6; i++)
            for (size_t k = i + 1; k < 6; k++)
                if (a.takes[k]->counter.id.lo < a.takes[i]->counter.id.lo) {
                    struct take *other = a.takes[i];
                    a.takes[i] = a.takes[k];
                    a.takes[k] = other;
                }
        a.op = (struct store_op){
            .takes = a.takes, .count = 6, .now_us = NOW + 60 * S + round, .deadline_ms = 20000, .on_done = on_done};
        assert_int_equal(f->store.ops->take_start(&f->store, &a.op), STARTED);
        assert_int_equal(finish(f, &a, STARTED), STORE_TAKEN);
        assert_int_equal(commands_processed() - before, round ? 6 : 18);
        before = commands_processed();
        for (size_t i = 0; i < 6; i++)
            takes[i].cost[COLUMN_KIB] = 1;
        assert_int_equal(f->store.ops->take_start(&f->store, &a.op), DONE); /* settled */
        f->store.ops->keep(&f->store, a.takes, 6, NOW + 60 * S + round);
        assert_true(redis_node_run(&f->store, NULL));
        assert_int_equal(commands_processed() - before, 0);
    }
}

#define CASE(name)  cmocka_unit_test_setup_teardown(name, setup, teardown)
#define HASTY(name) cmocka_unit_test_setup_teardown(name, setup_hasty, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        HASTY(test_a_late_reply_to_what_was_admitted),
        HASTY(test_a_late_reply_is_a_reading),
        HASTY(test_a_late_look),
        HASTY(test_a_late_question),
        HASTY(test_no_reply_comes),
        HASTY(test_a_late_reply_to_what_was_refused),
        HASTY(test_a_late_reply_to_what_was_given_back),
        HASTY(test_a_late_reply_to_what_was_kept_later),
        CASE(test_a_late_reply_to_what_was_cancelled),
        HASTY(test_nobody_waits_more_than_three_times),
        CASE(test_restarted_empty),
        CASE(test_another_link_is_not_believed),
        CASE(test_ends_while_away),
        CASE(test_ends_after_it_was_away),
        CASE(test_what_failure_says),
        CASE(test_missing_nodes_keep_their_shares),
        CASE(test_pushed_into_a_closed_window),
        CASE(test_the_clock_is_redis),
        CASE(test_pushed_into_a_slot_that_is_over),
        CASE(test_another_node_is_a_moment_ahead),
        CASE(test_another_node_in_the_same_slot),
        CASE(test_a_slot_that_wraps_around),
        CASE(test_a_key_that_is_lost),
        CASE(test_a_wrong_type),
        CASE(test_one_of_a_mails_counters_fails),
        CASE(test_a_server_that_cannot_write),
        CASE(test_a_flood_costs_nothing),
        CASE(test_what_never_fits_costs_nothing),
        CASE(test_what_a_mail_costs),
    };
    if (!redis_servers_are_there()) {
        puts("no redis-server is installed: skipped");
        return 77;
    }
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    suite = &HELPERS;
    suite_now_us = NOW;
    redis_servers_start(&servers, REDIS_ALONE, NULL);
    int failed = cmocka_run_group_tests_name("the store in Redis, and faults", tests, NULL, NULL);
    redis_servers_stop(&servers);
    return failed;
}
