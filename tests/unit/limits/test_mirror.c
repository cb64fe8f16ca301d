/* test_mirror.c - what a node knows of counters in Redis, and deciding by it alone. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "limits/mirror.h"

#define S       INT64_C(1000000)
#define HOUR    3600
#define SLOT_US (HOUR * S / 16)
#define NOW     (INT64_C(1767614400) * S)
#define LATER   (NOW + 17 * SLOT_US) /* nothing of NOW counts any more */
#define ENTRIES 4096

static const struct hash_key KEY = {7, 8};

static struct mirror *mirror_new(void)
{
    struct err err;
    void *memory = mmap(NULL, mirror_size(ENTRIES), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    struct mirror *m = mirror_init(memory, ENTRIES, &err);
    assert_non_null(m);
    assert_true(mirror_is_valid(m));
    return m;
}

static void mirror_drop(struct mirror *m)
{
    mirror_fini(m);
    assert_false(mirror_is_valid(m));
    munmap(m, mirror_size(ENTRIES));
}

static int setup(void **state)
{
    *state = mirror_new();
    return 0;
}

static int teardown(void **state)
{
    mirror_drop(*state);
    return 0;
}

static void take_set(struct take *take, const char *entity, uint32_t cost, uint64_t allowed)
{
    *take = (struct take){
        .counter = {.entity = str_of_z(entity), .period_s = HOUR, .kind = COUNTER_MAIL},
        .cost = {cost},
        .allowed = {allowed, ALLOWED_ANY, ALLOWED_ANY},
    };
    counter_set_id(&take->counter, &KEY);
}

static enum mirror_result take_by(struct mirror *m, struct take *take, int64_t now_us, struct mirror_terms terms)
{
    struct str stem = STR("mw1:q:{u:a}:3600");
    return mirror_take(m, &take, &stem, &now_us, 1, &terms);
}

static struct counter counter_of(const char *entity)
{
    struct take take;
    take_set(&take, entity, 0, 0);
    return take.counter;
}

/* A reading of n so many slots before the newest; of `unseen` nodes nothing may be in it. */
static void read_without(struct mirror *m, const char *entity, uint32_t n, uint64_t slots_ago, int64_t now_us,
                         uint32_t unseen)
{
    struct counter counter = counter_of(entity);
    struct mirror_reading r = {.slot = window_slot(now_us, HOUR), .at_us = now_us, .unseen = unseen};
    r.rings[0][(r.slot - slots_ago) % WINDOW_CELLS] = n;
    mirror_read(m, &counter, STR("mw1:q:{u:a}:3600"), &r);
}

static void read_at(struct mirror *m, const char *entity, uint32_t n, uint64_t slots_ago, int64_t now_us)
{
    read_without(m, entity, n, slots_ago, now_us, 0);
}

static uint64_t sum_seen(const struct mirror_view *v)
{
    return window_used(v->seen[0], v->slot, v->slot);
}

static uint64_t seen(struct mirror *m, const char *entity, int64_t now_us)
{
    struct mirror_view v;
    struct counter counter = counter_of(entity);
    assert_true(mirror_look(m, &counter, now_us, &v));
    return sum_seen(&v);
}

static uint64_t since(struct mirror *m, const char *entity, int64_t now_us)
{
    uint64_t sums[COLUMNS];
    struct counter counter = counter_of(entity);
    mirror_since(m, &counter, window_slot(now_us, HOUR), sums);
    return sums[0];
}

static struct mirror_charge charge_of(const struct take *take)
{
    struct mirror_charge charge = {.slot = take->held.slot, .generation = take->held.generation};
    memcpy(charge.cost, take->held.cost, sizeof charge.cost);
    return charge;
}

/* ---- What is known ---- */

static void test_a_reading_ages(void **state)
{
    struct mirror *m = *state;
    struct mirror_view v;
    struct counter counter = counter_of("u:a");
    assert_true(mirror_look(m, &counter, NOW, &v));
    assert_false(v.is_known);
    read_at(m, "u:a", 60, 3, NOW);
    assert_true(mirror_look(m, &counter, NOW, &v));
    assert_true(v.is_known && v.read_at_us == NOW);
    assert_int_equal(seen(m, "u:a", NOW), 60);
    assert_int_equal(seen(m, "u:a", NOW + 13 * SLOT_US), 60);
    assert_int_equal(seen(m, "u:a", NOW + 14 * SLOT_US), 0);
    assert_int_equal(seen(m, "u:a", NOW - S), 60); /* its time does not run backwards */
}

static void test_older_readings_are_dropped(void **state)
{
    struct mirror *m = *state;
    read_at(m, "u:a", 60, 0, NOW);
    read_at(m, "u:a", 50, 0, NOW - 1);
    assert_int_equal(seen(m, "u:a", NOW), 60);
    read_at(m, "u:a", 50, 0, NOW - SLOT_US);
    assert_int_equal(seen(m, "u:a", NOW), 60);
    read_at(m, "u:a", 40, 0, NOW);
    assert_int_equal(seen(m, "u:a", NOW), 40);
}

static void test_a_closed_window_and_a_denial_are_remembered(void **state)
{
    struct mirror *m = *state;
    struct mirror_view v;
    struct counter counter = counter_of("u:a");
    struct mirror_reading r = {.slot = window_slot(NOW, HOUR), .at_us = NOW, .changes = 5, .closed_window = 77};
    mirror_read(m, &counter, STR("s"), &r);
    assert_true(mirror_look(m, &counter, NOW, &v));
    assert_true(v.closed_read_at_us == 0 && v.denied_at_us == 0);
    r.has_closed = r.is_denial = true;
    mirror_read(m, &counter, STR("s"), &r);
    r.has_closed = r.is_denial = false;
    r.at_us++;
    mirror_read(m, &counter, STR("s"), &r);
    assert_true(mirror_look(m, &counter, NOW, &v));
    assert_true(v.closed_read_at_us == NOW && v.denied_at_us == NOW && v.read_at_us == NOW + 1);
    assert_int_equal(v.closed_window, 77);
    assert_int_equal(v.closed_changes, 5);
    assert_int_equal(v.changes, 5);
}

/* Of the slot of now alone, and only while it is the newest. */
static void test_a_slot_is_read(void **state)
{
    static const bool COLUMNS_READ[COLUMNS] = {true};
    struct mirror *m = *state;
    struct counter counter = counter_of("u:a");
    uint64_t slot = window_slot(NOW, HOUR);
    read_at(m, "u:a", 60, 3, NOW);
    mirror_read_slot(m, &counter, slot, COLUMNS_READ, (uint32_t[COLUMNS]){7, 8, 9});
    assert_int_equal(seen(m, "u:a", NOW), 67);
    mirror_read_slot(m, &counter, slot, COLUMNS_READ, (uint32_t[COLUMNS]){2});
    assert_int_equal(seen(m, "u:a", NOW), 62);
    mirror_read_slot(m, &counter, slot - 1, COLUMNS_READ, (uint32_t[COLUMNS]){5});
    mirror_read_slot(m, &counter, slot + 1, COLUMNS_READ, (uint32_t[COLUMNS]){5});
    assert_int_equal(seen(m, "u:a", NOW), 62);
}

/* What was decided alone and pushed, and a reading made before, which comes after: nothing that counts is forgotten,
 * and what was decided alone keeps its weight. */
static void test_a_late_reading_only_adds(void **state)
{
    struct mirror *m = *state;
    struct counter counter = counter_of("u:a");
    struct mirror_push push;
    struct take take;
    size_t at = 0;
    uint64_t slot = window_slot(NOW, HOUR);
    uint32_t rings[COLUMNS][WINDOW_CELLS] = {{0}};
    take_set(&take, "u:a", 5, 100);
    assert_int_equal(take_by(m, &take, NOW, (struct mirror_terms){.nodes = 2}), MIRROR_TAKEN);
    assert_true(mirror_push_next(m, &at, false, NOW, &push));
    mirror_push_done(m, &push, NOW);
    mirror_read_late(m, &counter, slot, rings);
    assert_int_equal(seen(m, "u:a", NOW), 5);
    rings[0][slot % WINDOW_CELLS] = 7;
    rings[0][(slot - 3) % WINDOW_CELLS] = 10;
    mirror_read_late(m, &counter, slot, rings);
    assert_int_equal(seen(m, "u:a", NOW), 17);
    /* 17 are told, 5 of them alone: (17 - 5) + 2 * (5 + 4) = 30 */
    take_set(&take, "u:a", 4, 29);
    assert_int_equal(take_by(m, &take, NOW, (struct mirror_terms){.nodes = 2}), MIRROR_FULL);
    take_set(&take, "u:a", 4, 30);
    assert_int_equal(take_by(m, &take, NOW, (struct mirror_terms){.nodes = 2}), MIRROR_TAKEN);
    /* It may be of slots that have left meanwhile. */
    rings[0][(slot - 16) % WINDOW_CELLS] = 1000;
    mirror_read_late(m, &counter, slot, rings);
    assert_int_equal(seen(m, "u:a", NOW + SLOT_US), 17);
}

static void test_what_this_node_told_is_seen(void **state)
{
    struct mirror *m = *state;
    struct counter counter = counter_of("u:a");
    const uint32_t cost[COLUMNS] = {5, 1, 1};
    uint64_t slot = window_slot(NOW, HOUR);
    mirror_own_add(m, &counter, STR("s"), slot, cost, NOW);
    assert_int_equal(seen(m, "u:a", NOW), 5);
    assert_int_equal(since(m, "u:a", NOW), 0);
    mirror_own_take_back(m, &counter, slot, cost);
    mirror_own_take_back(m, &counter, slot, cost); /* never below nothing */
    assert_int_equal(seen(m, "u:a", NOW), 0);
    /* Slots that went are passed over: their cells are others' now. */
    mirror_own_add(m, &counter, STR("s"), slot, cost, NOW + 20 * SLOT_US);
    mirror_own_add(m, &counter, STR("s"), slot + 20, cost, NOW + 20 * SLOT_US);
    mirror_own_take_back(m, &counter, slot + 3, cost);
    assert_int_equal(seen(m, "u:a", NOW + 20 * SLOT_US), 5);
}

/* ---- Deciding alone ---- */

static void test_the_share(void **state)
{
    static const struct {
        const char *name;
        uint32_t seen, nodes, cost;
        uint64_t allowed;
        uint32_t admitted; /* of takes that follow each other */
    } CASES[] = {
        {"one node: all of it", 0, 1, 1, 100, 100},
        {"a quarter", 0, 4, 1, 100, 25},
        {"a quarter of what is left", 60, 4, 1, 100, 10},
        {"rounded down", 61, 4, 1, 100, 9},
        {"full", 100, 4, 1, 100, 0},
        {"more than full", 300, 4, 1, 100, 0},
        {"a share is less than one", 0, 4, 1, 3, 0},
        {"a share is one", 0, 4, 1, 4, 1},
        {"a cost above the share", 0, 4, 26, 100, 0},
        {"a cost of the share", 0, 4, 25, 100, 1},
        {"a third", 0, 3, 1, 100, 33},
        {"nothing refuses", 5, 4, 1, ALLOWED_ANY, 200},
    };
    struct mirror *m = *state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        char entity[16];
        struct take take;
        uint32_t admitted = 0;
        snprintf(entity, sizeof entity, "u:%zu", i);
        if (CASES[i].seen)
            read_at(m, entity, CASES[i].seen, 0, NOW);
        for (int k = 0; k < 200; k++) {
            take_set(&take, entity, CASES[i].cost, CASES[i].allowed);
            enum mirror_result result = take_by(m, &take, NOW, (struct mirror_terms){.nodes = CASES[i].nodes});
            if (result != MIRROR_TAKEN) {
                assert_true(take.is_over[0] && take.wait_us > 0 && !take.held.is_held);
                break;
            }
            assert_true(take.held.is_held && take.held.is_local);
            assert_int_equal(take.used[0], CASES[i].seen + (admitted + 1) * CASES[i].cost);
            admitted++;
        }
        if (admitted != CASES[i].admitted)
            fail_msg("%s: %u admitted, not %u", CASES[i].name, admitted, CASES[i].admitted);
        assert_int_equal(since(m, entity, NOW), admitted * CASES[i].cost);
    }
}

/* This node was settled while others were not, read what Redis knew, and is alone again: what they had admitted by
 * their shares is in no reading. */
static void test_others_were_alone_at_the_reading(void **state)
{
    static const struct {
        uint32_t read, unseen, nodes;
        int slots_later;
        uint32_t admitted; /* of 60 */
    } CASES[] = {
        {23, 0, 4, 0, 9}, {23, 2, 4, 0, 1},  {23, 3, 4, 0, 0},  {15, 2, 4, 0, 3},
        {0, 7, 4, 0, 3},  {23, 2, 1, 0, 37}, {23, 2, 4, 16, 1}, {23, 2, 4, 17, 15},
    };
    struct mirror *m = *state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        char entity[16];
        struct take take;
        uint32_t admitted = 0;
        snprintf(entity, sizeof entity, "u:%zu", i);
        read_without(m, entity, 99, 0, NOW, 3); /* the last one counts */
        read_without(m, entity, CASES[i].read, 0, NOW, CASES[i].unseen);
        do
            take_set(&take, entity, 1, 60);
        while (take_by(m, &take, NOW + CASES[i].slots_later * SLOT_US,
                       (struct mirror_terms){.nodes = CASES[i].nodes}) == MIRROR_TAKEN &&
               ++admitted < 100);
        assert_true(take.is_over[0] && take.wait_us > 0);
        if (admitted != CASES[i].admitted)
            fail_msg("%zu: %u admitted, not %u", i, admitted, CASES[i].admitted);
    }
}

/* Whatever four nodes read before they went alone, and whoever of them is greedy: together never above the limit. */
static void test_all_nodes_together(void **state)
{
    enum { NODES = 4, LIMIT = 100 };
    (void)state;
    struct mirror *nodes[NODES];
    uint32_t rnd = 3;
    for (int round = 0; round < 40; round++) {
        uint32_t sum = rnd % (LIMIT + 20);
        uint32_t before = MIN_OF(sum, LIMIT);
        for (int n = 0; n < NODES; n++) {
            nodes[n] = mirror_new();
            read_at(nodes[n], "u:a", before, rnd % 3, NOW);
        }
        sum = before;
        for (int k = 0; k < 600; k++) {
            struct take take;
            rnd = rnd * 1664525u + 1013904223u;
            take_set(&take, "u:a", 1 + (rnd >> 20) % 3, LIMIT);
            if (take_by(nodes[rnd >> 30], &take, NOW + k % 5 * S, (struct mirror_terms){.nodes = NODES}) ==
                MIRROR_TAKEN)
                sum += take.cost[0];
        }
        assert_true(sum <= LIMIT || sum == before);
        assert_true(sum >= LIMIT - NODES * 4 || sum == before);
        for (int n = 0; n < NODES; n++)
            mirror_drop(nodes[n]);
    }
}

static void test_all_or_nothing(void **state)
{
    struct mirror *m = *state;
    struct take free, full;
    take_set(&free, "u:a", 1, 10);
    take_set(&full, "u:b", 3, 2);
    bool in_order = free.counter.id.lo < full.counter.id.lo;
    struct take *takes[] = {in_order ? &free : &full, in_order ? &full : &free};
    const struct str stems[] = {STR("a"), STR("b")};
    const int64_t now_us[] = {NOW, NOW};
    const struct mirror_terms terms[] = {{.nodes = 1}, {.nodes = 1}};
    assert_int_equal(mirror_take(m, takes, stems, now_us, 2, terms), MIRROR_FULL);
    assert_true(full.is_over[0] && !free.is_over[0] && full.wait_us == WAIT_UNKNOWN);
    assert_int_equal(free.used[0], 1);
    assert_int_equal(since(m, "u:a", NOW) + since(m, "u:b", NOW), 0);
    full.cost[0] = 2;
    assert_int_equal(mirror_take(m, takes, stems, now_us, 2, terms), MIRROR_TAKEN);
    assert_int_equal(since(m, "u:a", NOW), 1);
    assert_int_equal(since(m, "u:b", NOW), 2);
}

/* Until the others can know, what was full stays full. */
static void test_unaged(void **state)
{
    struct mirror *m = *state;
    struct take take;
    read_at(m, "u:a", 100, 16, NOW); /* all of it goes with the next slot */
    take_set(&take, "u:a", 1, 100);
    assert_int_equal(take_by(m, &take, NOW + SLOT_US, (struct mirror_terms){.nodes = 4, .unaged_us = SLOT_US}),
                     MIRROR_FULL);
    assert_true(take.wait_us > 0 && take.wait_us < 10 * S);
    assert_int_equal(take_by(m, &take, NOW + SLOT_US, (struct mirror_terms){.nodes = 4}), MIRROR_TAKEN);
}

/* But what had left the window before this node went alone does not come back; and what had not stays, also when other
 * decisions have moved the entry since. */
static void test_unaged_is_as_of_then(void **state)
{
    const struct mirror_terms two = {.nodes = 4, .unaged_us = 2 * SLOT_US};
    struct mirror *m = *state;
    struct take take;
    read_at(m, "u:a", 100, 0, NOW);
    take_set(&take, "u:a", 1, 100);
    assert_int_equal(take_by(m, &take, NOW + 19 * SLOT_US, two), MIRROR_TAKEN); /* then it had left already */
    read_at(m, "u:b", 96, 0, NOW);
    take_set(&take, "u:b", 1, 100);
    assert_int_equal(take_by(m, &take, NOW + 17 * SLOT_US, two), MIRROR_TAKEN);
    take_set(&take, "u:b", 1, 100);
    assert_int_equal(take_by(m, &take, NOW + 18 * SLOT_US, (struct mirror_terms){.nodes = 4, .unaged_us = 3 * SLOT_US}),
                     MIRROR_FULL);
}

static void test_open_refuses_nothing(void **state)
{
    struct mirror *m = *state;
    struct take take;
    read_at(m, "u:a", 100, 0, NOW);
    take_set(&take, "u:a", 1, 100);
    assert_int_equal(take_by(m, &take, NOW, (struct mirror_terms){.nodes = 4, .is_open = true}), MIRROR_TAKEN);
    assert_false(take.is_over[0]);
    assert_int_equal(take.used[0], 101);
    assert_int_equal(since(m, "u:a", NOW), 1);
}

static void test_events_and_questions(void **state)
{
    struct mirror *m = *state;
    struct take take;
    for (int i = 0; i < 3; i++) {
        take_set(&take, "i:a", 1, 2);
        take.mode = TAKE_ALWAYS;
        assert_int_equal(take_by(m, &take, NOW, (struct mirror_terms){.nodes = 1}), MIRROR_TAKEN);
        assert_int_equal(take.is_over[0], i == 2);
        assert_true(take.wait_us == (i == 2 ? 17 * SLOT_US - NOW % SLOT_US : 0));
    }
    take_set(&take, "i:a", 0, 2);
    take.mode = TAKE_NOTHING;
    assert_int_equal(take_by(m, &take, NOW, (struct mirror_terms){.nodes = 1}), MIRROR_FULL);
    assert_int_equal(take.used[0], 3);
    take.allowed[0] = 3;
    assert_int_equal(take_by(m, &take, NOW, (struct mirror_terms){.nodes = 1}), MIRROR_TAKEN);
    assert_false(take.held.is_held);
    assert_int_equal(since(m, "i:a", NOW), 3);
}

/* What is held, locally or in Redis, counts no longer when the take asks again; and where it does not grow, nothing
 * refuses it. */
static void test_exchanges(void **state)
{
    static const struct {
        bool is_local;
        uint32_t others, held, cost;
        enum mirror_result result;
    } CASES[] = {
        {true, 0, 5, 8, MIRROR_TAKEN},   {true, 4, 5, 7, MIRROR_FULL},   {true, 50, 5, 5, MIRROR_TAKEN},
        {true, 5, 5, 5, MIRROR_TAKEN},   {false, 0, 5, 8, MIRROR_TAKEN}, {false, 4, 5, 7, MIRROR_FULL},
        {false, 50, 5, 5, MIRROR_TAKEN}, {false, 9, 5, 2, MIRROR_TAKEN},
    };
    struct mirror *m = *state;
    const struct mirror_terms terms = {.nodes = 1};
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        char entity[16];
        struct take take;
        snprintf(entity, sizeof entity, "u:%zu", i);
        read_at(m, entity, CASES[i].others + (CASES[i].is_local ? 0 : CASES[i].held), 0, NOW);
        take_set(&take, entity, CASES[i].held, ALLOWED_ANY);
        if (CASES[i].is_local)
            assert_int_equal(take_by(m, &take, NOW, terms), MIRROR_TAKEN);
        else {
            take.held.is_held = true;
            take.held.slot = window_slot(NOW, HOUR);
            take.held.cost[0] = CASES[i].held;
        }
        take.cost[0] = CASES[i].cost;
        take.allowed[0] = 10;
        assert_int_equal(take_by(m, &take, NOW + SLOT_US, terms), CASES[i].result);
        assert_int_equal(take.used[0], CASES[i].others + CASES[i].cost);
        assert_int_equal(take.growth[0], MAX_OF(CASES[i].cost, CASES[i].held) - CASES[i].held);
        assert_int_equal(take.held.cost[0], CASES[i].result == MIRROR_TAKEN ? CASES[i].cost : CASES[i].held);
    }
}

/* ---- Given back, told, owed, pushed ---- */

static void test_given_back(void **state)
{
    struct mirror *m = *state;
    struct take one, two;
    uint32_t pushed[COLUMNS];
    const struct mirror_terms terms = {.nodes = 1};
    take_set(&one, "u:a", 3, 10);
    take_set(&two, "u:a", 4, 10);
    assert_int_equal(take_by(m, &one, NOW, terms), MIRROR_TAKEN);
    assert_int_equal(take_by(m, &two, NOW + SLOT_US, terms), MIRROR_TAKEN);
    struct mirror_charge charge = charge_of(&one);
    mirror_give_back(m, &one.counter, &charge, pushed);
    assert_int_equal(pushed[0], 0);
    assert_int_equal(since(m, "u:a", NOW + SLOT_US), 4);
    /* The slot's since is gone: who gives back now gives back what was pushed. */
    mirror_give_back(m, &one.counter, &charge, pushed);
    assert_int_equal(pushed[0], 3);
    charge.generation++;
    mirror_give_back(m, &one.counter, &charge, pushed); /* of an entry that went */
    assert_int_equal(pushed[0], 0);
    charge = charge_of(&two);
    charge.slot -= 17;
    mirror_give_back(m, &one.counter, &charge, pushed); /* in a slot that went */
    assert_int_equal(pushed[0], 0);
    assert_int_equal(since(m, "u:a", NOW + SLOT_US), 4);
}

static void test_told_late(void **state)
{
    struct mirror *m = *state;
    struct take take;
    uint32_t excess[COLUMNS];
    const struct mirror_terms terms = {.nodes = 4};
    take_set(&take, "u:a", 3, 100);
    assert_int_equal(take_by(m, &take, NOW, terms), MIRROR_TAKEN);
    struct mirror_charge charge = charge_of(&take);
    mirror_is_told(m, &take.counter, &charge, excess);
    assert_int_equal(excess[0], 0);
    assert_int_equal(since(m, "u:a", NOW), 0);
    assert_int_equal(seen(m, "u:a", NOW), 3);
    mirror_is_told(m, &take.counter, &charge, excess); /* it was pushed, or given back, meanwhile */
    assert_int_equal(excess[0], 3);
    assert_int_equal(seen(m, "u:a", NOW), 3);
}

static bool push_next(struct mirror *m, bool is_all, int64_t now_us, struct mirror_push *push)
{
    size_t at = 0;
    return mirror_push_next(m, &at, is_all, now_us, push);
}

static void test_pushed(void **state)
{
    struct mirror *m = *state;
    struct mirror_push push;
    struct take take, other;
    const struct mirror_terms terms = {.nodes = 1};
    assert_false(push_next(m, false, NOW, &push));
    take_set(&take, "u:a", 3, 100);
    assert_int_equal(take_by(m, &take, NOW, terms), MIRROR_TAKEN);
    assert_int_equal(mirror_due(m, NOW), 1);
    assert_true(push_next(m, false, NOW, &push));
    assert_string_equal(push.stem, "mw1:q:{u:a}:3600");
    assert_int_equal(push.period_s, HOUR);
    assert_int_equal(push.columns, 3);
    assert_int_equal(push.rings[0][take.held.slot % WINDOW_CELLS], 3);
    assert_false(push_next(m, false, NOW, &push));                       /* under way */
    assert_true(push_next(m, false, NOW + MIRROR_PUSH_LEASE_US, &push)); /* whoever did it died */
    mirror_push_failed(m, &push);
    assert_true(push_next(m, false, NOW + MIRROR_PUSH_LEASE_US, &push));
    /* One more comes while it is under way, and is not forgotten. */
    take_set(&other, "u:a", 5, 100);
    assert_int_equal(take_by(m, &other, NOW, terms), MIRROR_TAKEN);
    mirror_push_done(m, &push, NOW);
    assert_int_equal(seen(m, "u:a", NOW), 3);
    assert_int_equal(since(m, "u:a", NOW), 5);
    assert_true(push_next(m, false, NOW, &push));
    assert_int_equal(push.rings[0][take.held.slot % WINDOW_CELLS], 5);
    mirror_push_done(m, &push, NOW);
    assert_int_equal(mirror_due(m, NOW), 0);
    /* The data set was lost: all that this node admitted, once more, but not what has left the window. */
    assert_true(push_next(m, true, NOW, &push));
    assert_int_equal(push.rings[0][take.held.slot % WINDOW_CELLS], 8);
    mirror_push_done(m, &push, NOW);
    assert_int_equal(seen(m, "u:a", NOW), 8);
    assert_false(push_next(m, true, NOW + 17 * SLOT_US, &push));
}

/* The data set was lost, and the keeper died while it added all again: the next one leaves nothing out. Naive: what was
 * under way is passed by, and never added. */
static void test_the_keeper_dies_amid_a_push_of_all(void **state)
{
    struct mirror *m = *state;
    struct mirror_push push;
    struct take take;
    take_set(&take, "u:a", 3, 100);
    assert_int_equal(take_by(m, &take, NOW, (struct mirror_terms){.nodes = 1}), MIRROR_TAKEN);
    assert_true(push_next(m, true, NOW, &push));
    assert_true(push_next(m, true, NOW + 1, &push));
    assert_int_equal(push.rings[0][take.held.slot % WINDOW_CELLS], 3);
    mirror_push_done(m, &push, NOW);
    assert_int_equal(mirror_due(m, NOW), 0);
}

/* While a node goes on alone, telling Redis of what it let through gives it no more: the others do as it does. With the
 * next reading it is what all nodes together have. */
static void test_a_share_is_a_share_though_it_is_pushed(void **state)
{
    struct mirror *m = *state;
    const struct mirror_terms terms = {.nodes = 4};
    struct mirror_push push;
    struct take take;
    unsigned taken = 0;
    read_at(m, "u:a", 20, 0, NOW);
    for (int i = 0; i < 40; i++) {
        take_set(&take, "u:a", 1, 60);
        taken += take_by(m, &take, NOW, terms) == MIRROR_TAKEN;
        if (i % 4 == 3 && push_next(m, i % 8 == 7, NOW, &push))
            mirror_push_done(m, &push, NOW);
    }
    assert_int_equal(taken, 10);
    read_at(m, "u:a", 44, 0, NOW + 1);
    for (taken = 0; taken < 10; taken++) {
        take_set(&take, "u:a", 1, 60);
        if (take_by(m, &take, NOW + 1, terms) != MIRROR_TAKEN)
            break;
    }
    assert_int_equal(taken, 4);
}

/* Four nodes, each with its share of 100, of which 40 were read. Redis is told of it, again and again, as long as it is
 * not believed: that opens nobody another share, until a reading says what the others told. */
static void test_what_is_told_stays_a_share(void **state)
{
    struct mirror *m = *state;
    struct mirror_push push;
    struct mirror_charge charge;
    struct take take;
    uint32_t admitted = 0, excess[COLUMNS];
    const struct mirror_terms terms = {.nodes = 4};
    read_at(m, "u:a", 40, 0, NOW);
    for (unsigned round = 0; round < 5; round++) {
        for (take_set(&take, "u:a", 1, 100); take_by(m, &take, NOW, terms) == MIRROR_TAKEN; admitted++) {
            charge = charge_of(&take);
            take_set(&take, "u:a", 1, 100);
        }
        if (round == 0) /* one of them by a late reply */
            mirror_is_told(m, &take.counter, &charge, excess);
        if (push_next(m, false, NOW, &push))
            mirror_push_done(m, &push, NOW);
    }
    assert_int_equal(admitted, 15);
    read_at(m, "u:a", 80, 0, NOW);
    for (take_set(&take, "u:a", 1, 100); take_by(m, &take, NOW, terms) == MIRROR_TAKEN; admitted++)
        take_set(&take, "u:a", 1, 100);
    assert_int_equal(admitted, 20);
}

/* Each once in a walk. */
static void test_all_are_pushed(void **state)
{
    struct mirror *m = *state;
    struct mirror_push push;
    int count = 0;
    for (int i = 0; i < 300; i++) {
        char entity[16];
        struct take take;
        snprintf(entity, sizeof entity, "u:%d", i);
        take_set(&take, entity, 1, 100);
        assert_int_equal(take_by(m, &take, NOW, (struct mirror_terms){.nodes = 1}), MIRROR_TAKEN);
    }
    for (size_t at = 0; mirror_push_next(m, &at, false, NOW, &push); count++)
        if (count % 2)
            mirror_push_done(m, &push, NOW);
    assert_int_equal(count, 300);
    assert_int_equal(mirror_due(m, NOW), 150);
}

/* The data set is lost: what was to be taken back in it is lost too, and not taken from what others put there. */
static void test_refunds_of_what_is_lost(void **state)
{
    struct mirror *m = *state;
    struct counter counter = counter_of("u:a");
    struct mirror_push push;
    mirror_owe(m, &counter, STR("s"), window_slot(NOW, HOUR), (int64_t[COLUMNS]){-5}, NOW);
    assert_int_equal(mirror_due(m, NOW), 1);
    assert_false(push_next(m, true, NOW, &push));
    assert_int_equal(mirror_due(m, NOW), 0);
}

/* What could not be sent, and what could not be taken back. */
static void test_owed(void **state)
{
    struct mirror *m = *state;
    struct counter counter = counter_of("u:a");
    struct mirror_push push;
    const uint32_t cost[COLUMNS] = {5};
    const int64_t more[COLUMNS] = {5}, less[COLUMNS] = {-5};
    uint64_t slot = window_slot(NOW, HOUR);
    mirror_own_add(m, &counter, STR("s"), slot, cost, NOW);
    mirror_owe(m, &counter, STR("s"), slot, more, NOW);
    assert_int_equal(seen(m, "u:a", NOW), 0);
    assert_int_equal(since(m, "u:a", NOW), 5);
    mirror_owe(m, &counter, STR("s"), slot, less, NOW);
    mirror_own_take_back(m, &counter, slot, cost);
    mirror_owe(m, &counter, STR("s"), slot, less, NOW);
    assert_int_equal(since(m, "u:a", NOW), 0);
    struct take take;
    take_set(&take, "u:a", 10, 10);
    assert_int_equal(take_by(m, &take, NOW, (struct mirror_terms){.nodes = 1}), MIRROR_TAKEN);
    assert_true(push_next(m, false, NOW, &push));
    assert_int_equal(push.rings[0][slot % WINDOW_CELLS], 5); /* 10, less 5 that are there for nothing */
    mirror_push_done(m, &push, NOW);
    assert_int_equal(mirror_due(m, NOW), 0);
}

/* Any order of charges, refunds, late replies and pushes: at the end Redis has what is still held, slot by slot, and
 * own is that, too. */
static void test_against_a_model(void **state)
{
    enum { OPEN = 24, STEPS = 20000 };
    struct mirror *m = *state;
    struct {
        struct take take;
        bool is_open, is_late; /* Redis has been told, but this node does not know yet */
    } mails[OPEN] = {0};
    int64_t redis[64] = {0};
    struct mirror_push push;
    bool is_pushing = false;
    uint32_t rnd = 5;
    int64_t now = NOW;
    uint64_t base = window_slot(NOW, HOUR);
    struct counter counter = counter_of("u:a");
    for (int i = 0; i < STEPS; i++) {
        rnd = rnd * 1664525u + 1013904223u;
        now += i % 2000 == 1999 ? SLOT_US : 0;
        size_t k = (rnd >> 8) % OPEN;
        struct take *take = &mails[k].take;
        switch (rnd >> 29) {
        case 0:
        case 1: /* a mail, perhaps with a command whose reply is late */
            if (mails[k].is_open)
                break;
            take_set(take, "u:a", 1 + (rnd >> 4) % 5, ALLOWED_ANY);
            assert_int_equal(take_by(m, take, now, (struct mirror_terms){.nodes = 1}), MIRROR_TAKEN);
            mails[k].is_open = true;
            mails[k].is_late = rnd >> 28 & 1;
            if (mails[k].is_late)
                redis[take->held.slot - base] += take->cost[0];
            break;
        case 2:
        case 3: { /* it is given back */
            uint32_t pushed[COLUMNS];
            if (!mails[k].is_open || mails[k].is_late)
                break;
            struct mirror_charge charge = charge_of(take);
            mirror_give_back(m, &counter, &charge, pushed);
            redis[take->held.slot - base] -= pushed[0];
            mails[k].is_open = false;
            break;
        }
        case 4: { /* the late reply comes */
            uint32_t excess[COLUMNS];
            if (!mails[k].is_late)
                break;
            struct mirror_charge charge = charge_of(take);
            mirror_is_told(m, &counter, &charge, excess);
            redis[take->held.slot - base] -= excess[0];
            mails[k].is_late = false;
            break;
        }
        case 5: /* the keeper */
            if (is_pushing) {
                mirror_push_done(m, &push, NOW);
            } else if (push_next(m, false, now, &push)) {
                for (uint64_t s = push.newest - 16; s <= push.newest; s++)
                    if (s >= base)
                        redis[s - base] += push.rings[0][s % WINDOW_CELLS];
                is_pushing = true;
                break;
            }
            is_pushing = false;
            break;
        default: /* kept */
            if (!mails[k].is_late)
                mails[k].is_open = mails[k].is_open && (rnd >> 20) % 8 != 0;
            break;
        }
        (void)i;
    }
    if (is_pushing)
        mirror_push_done(m, &push, NOW);
    for (size_t k = 0; k < OPEN; k++)
        if (mails[k].is_late) {
            uint32_t excess[COLUMNS];
            struct mirror_charge charge = charge_of(&mails[k].take);
            mirror_is_told(m, &counter, &charge, excess);
            redis[mails[k].take.held.slot - base] -= excess[0];
        }
    while (push_next(m, false, now, &push)) {
        for (uint64_t s = push.newest - 16; s <= push.newest; s++)
            if (s >= base)
                redis[s - base] += push.rings[0][s % WINDOW_CELLS];
        mirror_push_done(m, &push, NOW);
    }
    assert_true(push_next(m, true, now, &push));
    int64_t sum = 0;
    for (uint64_t s = MAX_OF(push.newest - 16, base); s <= push.newest; s++) {
        assert_true(redis[s - base] == push.rings[0][s % WINDOW_CELLS]);
        sum += redis[s - base];
    }
    assert_true(sum > 100);
    assert_int_equal(since(m, "u:a", now), 0);
}

/* ---- Bounds, clocks, processes ---- */

static struct mirror_stats stats(struct mirror *m, int64_t now_us)
{
    struct mirror_stats s;
    mirror_stats_get(m, now_us, &s);
    return s;
}

/* A flood of names: what has expired goes first, then readings; counts that Redis was not told of go last, and are
 * counted. */
static void test_what_goes_first(void **state)
{
    struct mirror *m = *state;
    const struct mirror_terms terms = {.nodes = 1};
    char entity[24];
    struct take take;
    for (int i = 0; i < ENTRIES / 2; i++) {
        snprintf(entity, sizeof entity, "old:%d", i);
        read_at(m, entity, 1, 0, NOW);
    }
    for (int i = 0; i < 200; i++) {
        snprintf(entity, sizeof entity, "since:%d", i);
        take_set(&take, entity, 1, 100);
        assert_int_equal(take_by(m, &take, LATER, terms), MIRROR_TAKEN);
    }
    for (int i = 0; i < ENTRIES / 4; i++) {
        snprintf(entity, sizeof entity, "live:%d", i);
        read_at(m, entity, 1, 0, LATER);
    }
    assert_int_equal(stats(m, LATER).evicted_live, 0);
    for (int i = 0; i < 20 * ENTRIES; i++) {
        snprintf(entity, sizeof entity, "flood:%d", i);
        read_at(m, entity, 1, 0, LATER + i);
    }
    struct mirror_stats s = stats(m, LATER);
    assert_int_equal(s.entries, ENTRIES);
    assert_int_equal(s.due, 200);
    assert_int_equal(s.evicted_since, 0);
    assert_true(s.evicted_live > 0);
    for (int i = 0; i < 200; i++) {
        snprintf(entity, sizeof entity, "since:%d", i);
        assert_int_equal(since(m, entity, LATER), 1);
    }
    for (int i = 0; i < 4 * ENTRIES; i++) {
        snprintf(entity, sizeof entity, "more:%d", i);
        take_set(&take, entity, 1, 100);
        assert_int_equal(take_by(m, &take, LATER, terms), MIRROR_TAKEN);
    }
    assert_true(stats(m, LATER).evicted_since > 0);
}

/* The clock was a year ahead for a while: counts stay for one period, and are pushed where they then lie. */
static void test_a_clock_that_was_far_ahead(void **state)
{
    struct mirror *m = *state;
    struct take take;
    const int64_t year_us = INT64_C(365) * 86400 * S;
    take_set(&take, "u:a", 6, 10);
    assert_int_equal(take_by(m, &take, NOW + year_us, (struct mirror_terms){.nodes = 1}), MIRROR_TAKEN);
    struct mirror_charge charge = charge_of(&take);
    take_set(&take, "u:a", 5, 10);
    assert_int_equal(take_by(m, &take, NOW, (struct mirror_terms){.nodes = 1}), MIRROR_FULL);
    assert_int_equal(take.used[0], 11);
    uint32_t pushed[COLUMNS];
    mirror_give_back(m, &take.counter, &charge, pushed); /* of another time */
    assert_int_equal(pushed[0], 0);
    assert_int_equal(since(m, "u:a", NOW), 6);
    assert_int_equal(take_by(m, &take, NOW + 17 * SLOT_US, (struct mirror_terms){.nodes = 1}), MIRROR_TAKEN);
    assert_int_equal(take.used[0], 5);
}

enum { WORKERS = 4 };

struct shared {
    uint64_t admitted[WORKERS], begun[WORKERS];
};

static void be_greedy(struct mirror *m, struct shared *shared, int worker, bool for_ever)
{
    const struct str stem = STR("s");
    const struct mirror_terms terms = {.nodes = 1};
    for (int refused = 0; refused < 100 || for_ever;) {
        struct take take, *takes[] = {&take};
        int64_t now_us = NOW;
        take_set(&take, "u:a", 1, for_ever ? ALLOWED_ANY : 2000);
        __atomic_add_fetch(&shared->begun[worker], 1, __ATOMIC_SEQ_CST);
        if (mirror_take(m, takes, &stem, &now_us, 1, &terms) == MIRROR_TAKEN)
            __atomic_add_fetch(&shared->admitted[worker], 1, __ATOMIC_SEQ_CST);
        else
            refused++;
        if (for_ever) {
            struct mirror_push push;
            if (push_next(m, false, NOW, &push))
                mirror_push_failed(m, &push);
            mirror_own_add(m, &take.counter, stem, window_slot(NOW, HOUR), (uint32_t[COLUMNS]){0, 1}, NOW);
        }
    }
}

static void fork_workers(struct mirror *m, struct shared *shared, pid_t pids[WORKERS], bool for_ever)
{
    for (int i = 0; i < WORKERS; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0) {
            alarm(30);
            be_greedy(m, shared, i, for_ever);
            _exit(0);
        }
    }
}

static struct shared *shared_new(void)
{
    struct shared *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(s != MAP_FAILED);
    return s;
}

static void test_workers_of_a_node_share_it(void **state)
{
    struct mirror *m = *state;
    struct shared *shared = shared_new();
    pid_t pids[WORKERS];
    uint64_t sum = 0;
    fork_workers(m, shared, pids, false);
    for (int i = 0; i < WORKERS; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        sum += shared->admitted[i];
    }
    assert_int_equal(sum, 2000);
    assert_int_equal(since(m, "u:a", NOW), 2000);
    munmap(shared, sizeof *shared);
}

/* Killed at any instant, be it with locks held: the others go on, and no charge that was answered is lost. */
static void test_killed_at_any_instant(void **state)
{
    struct mirror *m = *state;
    struct shared *shared = shared_new();
    uint64_t at_least = 0, at_most = 0;
    for (int round = 0; round < 12; round++) {
        pid_t pids[WORKERS];
        memset(shared, 0, sizeof *shared);
        fork_workers(m, shared, pids, true);
        for (int i = 0; i < WORKERS; i++) {
            while (__atomic_load_n(&shared->admitted[i], __ATOMIC_SEQ_CST) < 50 + (uint64_t)round * 13)
                assert_int_equal(waitpid(pids[i], NULL, WNOHANG), 0);
            kill(pids[i], SIGKILL);
        }
        for (int i = 0; i < WORKERS; i++) {
            assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
            at_least += shared->admitted[i];
            at_most += shared->begun[i];
        }
        uint64_t counted = since(m, "u:a", NOW);
        assert_true(counted >= at_least && counted <= at_most);
    }
    munmap(shared, sizeof *shared);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_reading_ages),
        CASE(test_older_readings_are_dropped),
        CASE(test_a_closed_window_and_a_denial_are_remembered),
        CASE(test_a_slot_is_read),
        CASE(test_a_late_reading_only_adds),
        CASE(test_what_this_node_told_is_seen),
        CASE(test_the_share),
        CASE(test_others_were_alone_at_the_reading),
        CASE(test_all_nodes_together),
        CASE(test_all_or_nothing),
        CASE(test_unaged),
        CASE(test_unaged_is_as_of_then),
        CASE(test_open_refuses_nothing),
        CASE(test_events_and_questions),
        CASE(test_exchanges),
        CASE(test_given_back),
        CASE(test_told_late),
        CASE(test_pushed),
        CASE(test_the_keeper_dies_amid_a_push_of_all),
        CASE(test_a_share_is_a_share_though_it_is_pushed),
        CASE(test_what_is_told_stays_a_share),
        CASE(test_all_are_pushed),
        CASE(test_refunds_of_what_is_lost),
        CASE(test_owed),
        CASE(test_against_a_model),
        CASE(test_what_goes_first),
        CASE(test_a_clock_that_was_far_ahead),
        CASE(test_workers_of_a_node_share_it),
        CASE(test_killed_at_any_instant),
    };
    return cmocka_run_group_tests_name("the mirror", tests, NULL, NULL);
}
