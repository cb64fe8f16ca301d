/* test_world.c - which nodes there are, who is missing, and when all are back from an outage: a table of stories. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "limits/outage.h"
#include "limits/world.h"

#define MS  INT64_C(1000)
#define NOW INT64_C(1767614400000000)

enum { READ, TROUBLE, LOST, SETTLED, END };

/* One moment of a story. Heartbeats were made `beats` milliseconds before it (negative: never, not in the reading),
 * by the nodes 1, 2 and 3. */
struct moment {
    int what;
    int64_t at_ms;
    int64_t beats[3];
    uint32_t nodes, missing;
    bool is_back;
};

enum { NO = -1, HOUR_MS = 3600000 };

struct story {
    const char *name;
    uint32_t expected;
    struct moment moments[10];
};

static const struct story STORIES[] = {
    {"alone", 0, {{READ, 0, {NO, NO, NO}, 1, 0, true}, {TROUBLE, 10, {0}, 1, 0, true}, {END}}},
    {"others are there, and one ends",
     0,
     {{READ, 0, {100, 900, 2900}, 4, 0, true},
      {READ, 200, {300, 100, 3100}, 4, 1, true},
      {READ, HOUR_MS, {300, 100, HOUR_MS + 2900}, 4, 1, true},
      {READ, HOUR_MS + 200, {300, 100, HOUR_MS + 3100}, 3, 0, true},
      {END}}},
    {"one leaves in order", 0, {{READ, 0, {100, 100, NO}, 3, 0, true}, {READ, 1000, {100, NO, NO}, 2, 0, true}, {END}}},
    {"back when each has spoken after the trouble",
     0,
     {{READ, 0, {100, 100, NO}, 3, 0, true},
      {TROUBLE, 500, {0}, 3, 0, false},
      {READ, 600, {700, 700, NO}, 3, 0, false}, /* the same old heartbeats, which still hold */
      {READ, 1100, {100, 1200, NO}, 3, 0, false},
      {READ, 1300, {300, 0, NO}, 3, 0, true},
      {END}}},
    {"one that was missing before is not waited for",
     0,
     {{READ, 0, {100, 5000, NO}, 3, 1, true},
      {TROUBLE, 500, {0}, 3, 1, false},
      {READ, 1100, {100, 6100, NO}, 3, 1, true},
      {END}}},
    {"trouble within trouble waits for all again",
     0,
     {{READ, 0, {100, 100, NO}, 3, 0, true},
      {TROUBLE, 500, {0}, 3, 0, false},
      {READ, 1100, {100, 1200, NO}, 3, 0, false},
      {TROUBLE, 1200, {0}, 3, 0, false},
      {READ, 1400, {400, 100, NO}, 3, 0, false}, /* node 1 spoke before the second */
      {READ, 2000, {100, 700, NO}, 3, 0, true},
      {END}}},
    {"one that leaves during the trouble is not waited for",
     0,
     {{READ, 0, {100, 100, NO}, 3, 0, true},
      {TROUBLE, 500, {0}, 3, 0, false},
      {READ, 1100, {100, NO, NO}, 2, 0, true},
      {END}}},
    {"after the loss of the data nobody has left",
     0,
     {{READ, 0, {100, 100, NO}, 3, 0, true},
      {LOST, 400, {0}, 3, 0, true},
      {TROUBLE, 500, {0}, 3, 0, false},
      {READ, 600, {NO, NO, NO}, 3, 0, false},
      {READ, 1600, {100, NO, NO}, 3, 0, false},
      {READ, 3600, {100, NO, NO}, 3, 1, false}, /* the second is missing now, and awaited until the keeper gives up */
      {SETTLED, 3700, {0}, 3, 1, true},
      {READ, 4600, {NO, NO, NO}, 2, 1, true}, /* the first was in this data set: it has left */
      {READ, HOUR_MS + 3000, {NO, NO, NO}, 1, 0, true},
      {END}}},
    {"a keeper that begins waits for as many as there were",
     3,
     {{READ, 0, {100, NO, NO}, 2, 0, false}, {READ, 1000, {100, 100, NO}, 3, 0, true}, {END}}},
    {"a heartbeat of an hour ago is nobody's", 0, {{READ, 0, {HOUR_MS + 4000, 100, NO}, 2, 0, true}, {END}}},
    {"a clock that was far ahead keeps nobody alive",
     0,
     {{READ, 0, {-100 * HOUR_MS, NO, NO}, 2, 0, true},
      {READ, 6500, {NO - 1, NO, NO}, 2, 0, true}, /* (a heartbeat 2 ms in the future) */
      {END}}},
};

static void play(struct world *w, const struct moment *m)
{
    int64_t now_us = NOW + m->at_ms * MS;
    switch (m->what) {
    case READ:
        world_begin_reading(w, now_us);
        for (size_t i = 0; i < 3; i++)
            if (m->beats[i] != NO)
                world_read(w, i + 1, now_us - m->beats[i] * MS + OUTAGE_BEAT_HOLDS_US);
        world_read(w, 99, now_us + OUTAGE_BEAT_HOLDS_US); /* itself */
        world_end_reading(w);
        break;
    case TROUBLE:
        world_trouble(w, now_us);
        break;
    case LOST:
        world_data_lost(w);
        break;
    default:
        world_settled(w);
    }
}

static void test_stories(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(STORIES); i++) {
        struct world w;
        world_init(&w, 99, STORIES[i].expected);
        for (const struct moment *m = STORIES[i].moments; m->what != END; m++) {
            play(&w, m);
            if (world_nodes(&w) != m->nodes || world_missing(&w) != m->missing || world_is_back(&w) != m->is_back)
                fail_msg("%s: at %lld ms: %u nodes, %u missing, %s", STORIES[i].name, (long long)m->at_ms,
                         world_nodes(&w), world_missing(&w), world_is_back(&w) ? "all back" : "not all back");
        }
    }
}

/* What a heartbeat says besides: that its node, which is there, still decides alone. */
static void test_who_is_alone(void **state)
{
    struct world w;
    (void)state;
    assert_int_equal(world_score(NOW + 1, false), NOW);
    assert_int_equal(world_score(NOW + 1, true), NOW + 1);
    world_init(&w, 99, 0);
    world_begin_reading(&w, NOW);
    world_read(&w, 1, world_score(NOW + OUTAGE_BEAT_HOLDS_US, true));
    world_read(&w, 2, world_score(NOW + OUTAGE_BEAT_HOLDS_US, false));
    world_read(&w, 3, world_score(NOW - 2, true)); /* missing is missing */
    world_end_reading(&w);
    assert_int_equal(world_nodes(&w), 4);
    assert_int_equal(world_missing(&w), 1);
    assert_int_equal(world_alone(&w), 1);
    world_begin_reading(&w, NOW);
    world_read(&w, 1, world_score(NOW + OUTAGE_BEAT_HOLDS_US, false));
    world_end_reading(&w);
    assert_int_equal(world_alone(&w), 0);
}

static void test_more_than_fit(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0, 0);
    world_begin_reading(&w, NOW);
    for (uint64_t id = 1; id <= 2 * WORLD_NODES_MAX; id++)
        world_read(&w, id, NOW + OUTAGE_BEAT_HOLDS_US);
    world_end_reading(&w);
    assert_int_equal(world_nodes(&w), WORLD_NODES_MAX + 1);
    assert_true(world_is_back(&w));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_stories), cmocka_unit_test(test_who_is_alone),
                                       cmocka_unit_test(test_more_than_fit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
