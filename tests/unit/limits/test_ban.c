/* test_ban.c - who is banned, until when, and what is left of it when workers are killed or the table is full. */
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

#include "limits/ban.h"

#define S      INT64_C(1000000)
#define HOUR   3600
#define DAY    86400
#define WEEK   (7 * DAY)
#define NOW    (INT64_C(1767614400) * S) /* 2026-01-05T12:00:00Z */
#define PLACES 512

static const struct ban_terms QUARTER = {.duration_s = 900, .by = STR("guessing"), .reason = STR("10 guesses")};
static const struct ban_terms DOUBLING = {
    .duration_s = 900, .max_s = 5 * HOUR, .by = STR("guessing"), .reason = STR("")};

static int setup(void **state)
{
    struct err err;
    void *memory = mmap(NULL, ban_table_size(PLACES), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    *state = ban_table_init(memory, PLACES, &err);
    assert_non_null(*state);
    return 0;
}

static int teardown(void **state)
{
    ban_table_fini(*state);
    munmap(*state, ban_table_size(PLACES));
    return 0;
}

static bool add(struct ban_table *t, const char *entity, const struct ban_terms *terms, int64_t now_us)
{
    return ban_add(t, str_of_z(entity), terms, now_us, NULL);
}

static bool is_banned(struct ban_table *t, const char *entity, int64_t now_us)
{
    return ban_find(t, str_of_z(entity), now_us, NULL);
}

static void test_from_then_until_then(void **state)
{
    struct ban_table *t = *state;
    struct ban ban;
    assert_false(is_banned(t, "i:192.0.2.7", NOW));
    assert_true(add(t, "i:192.0.2.7", &QUARTER, NOW));
    assert_true(ban_find(t, STR("i:192.0.2.7"), NOW, &ban));
    assert_string_equal(ban.entity, "i:192.0.2.7");
    assert_string_equal(ban.by, "guessing");
    assert_string_equal(ban.reason, "10 guesses");
    assert_int_equal(ban.strikes, 1);
    assert_true(ban.since_us == NOW && ban.until_us == NOW + 900 * S);
    assert_true(is_banned(t, "i:192.0.2.7", NOW + 900 * S - 1));
    assert_false(is_banned(t, "i:192.0.2.7", NOW + 900 * S));
    assert_false(is_banned(t, "i:192.0.2.8", NOW));
    assert_false(is_banned(t, "n:192.0.2.0/24", NOW));
}

/* Each repeat within a week of the last one's end lasts twice as long, up to the maximum; then all is forgotten. */
static void test_strikes(void **state)
{
    static const struct {
        int64_t after_s; /* the last ban's end */
        const struct ban_terms *terms;
        int64_t lasts_s;
        uint32_t strikes;
    } BANS[] = {
        {0, &DOUBLING, 900, 1},       {1, &DOUBLING, 1800, 2},      {DAY, &DOUBLING, 3600, 3},
        {WEEK - 1, &QUARTER, 900, 4}, {60, &DOUBLING, 4 * HOUR, 5}, {0, &DOUBLING, 5 * HOUR, 6},
        {60, &DOUBLING, 5 * HOUR, 7}, {WEEK, &DOUBLING, 900, 1},    {WEEK - 1, &DOUBLING, 1800, 2},
    };
    struct ban_table *t = *state;
    int64_t now = NOW;
    for (size_t i = 0; i < COUNT_OF(BANS); i++) {
        struct ban ban;
        now += BANS[i].after_s * S;
        assert_false(is_banned(t, "u:alice", now));
        assert_true(ban_add(t, STR("u:alice"), BANS[i].terms, now, &ban));
        assert_int_equal(ban.strikes, BANS[i].strikes);
        assert_true(ban.since_us == now);
        assert_int_equal((ban.until_us - now) / S, BANS[i].lasts_s);
        now = ban.until_us;
    }
}

/* A hundred strikes do not overflow. */
static void test_very_many_strikes(void **state)
{
    static const struct ban_terms LONG = {.duration_s = 1, .max_s = 366 * DAY, .by = STR("x")};
    struct ban_table *t = *state;
    struct ban ban = {.until_us = NOW};
    for (int i = 0; i < 100; i++)
        assert_true(ban_add(t, STR("u:a"), &LONG, ban.until_us, &ban));
    assert_int_equal((ban.until_us - ban.since_us) / S, 366 * DAY);
    assert_int_equal(ban.strikes, 100);
}

/* The last number that there is: it stays, for 0 is said of what was lifted. */
static void test_the_last_strike(void **state)
{
    struct ban_table *t = *state;
    struct ban ban = {NOW, NOW + 900 * S, UINT32_MAX - 1, "u:a", "x", ""};
    assert_true(ban_put(t, &ban));
    for (int i = 0; i < 2; i++) {
        assert_true(ban_add(t, STR("u:a"), &DOUBLING, ban.until_us, &ban));
        assert_int_equal(ban.strikes, UINT32_MAX);
        assert_int_equal((ban.until_us - ban.since_us) / S, 5 * HOUR);
    }
}

/* Twenty connections that end in the same moment are one strike. */
static void test_while_in_force(void **state)
{
    static const struct ban_terms LONGER = {.duration_s = 1800, .by = STR("errors"), .reason = STR("too many")};
    static const struct ban_terms WORDLESS = {.duration_s = 3600, .by = STR("root")};
    struct ban_table *t = *state;
    struct ban ban;
    for (int i = 0; i < 20; i++)
        assert_true(ban_add(t, STR("i:a"), &DOUBLING, NOW + i, &ban));
    assert_int_equal(ban.strikes, 1);
    assert_true(ban.since_us == NOW && ban.until_us == NOW + 19 + 900 * S);
    assert_true(ban_add(t, STR("i:a"), &LONGER, NOW + 20, &ban)); /* the later end holds, and who said so */
    assert_true(ban.until_us == NOW + 20 + 1800 * S);
    assert_string_equal(ban.by, "errors");
    assert_true(ban_add(t, STR("i:a"), &QUARTER, NOW + 21, &ban));
    assert_true(ban.until_us == NOW + 20 + 1800 * S);
    assert_string_equal(ban.by, "errors");
    assert_true(ban_add(t, STR("i:a"), &WORDLESS, NOW + 22, &ban)); /* prolonged without a reason: it keeps its own */
    assert_string_equal(ban.by, "root");
    assert_string_equal(ban.reason, "too many");
    assert_int_equal(ban.strikes, 1);
    assert_true(ban_add(t, STR("i:a"), &WORDLESS, ban.until_us, &ban)); /* another one is not */
    assert_string_equal(ban.reason, "");
}

static void test_lifted(void **state)
{
    struct ban_table *t = *state;
    struct ban ban;
    assert_false(ban_lift(t, STR("i:a"), NOW));
    assert_true(add(t, "i:a", &DOUBLING, NOW));
    assert_true(add(t, "i:b", &DOUBLING, NOW));
    assert_true(ban_lift(t, STR("i:a"), NOW));
    assert_false(is_banned(t, "i:a", NOW));
    assert_true(is_banned(t, "i:b", NOW));
    assert_false(ban_lift(t, STR("i:a"), NOW));
    assert_true(ban_add(t, STR("i:a"), &DOUBLING, NOW, &ban));
    assert_int_equal(ban.strikes, 1);                     /* its strikes went too */
    assert_false(ban_lift(t, STR("i:a"), NOW + DAY * S)); /* over: only its strikes go */
    assert_true(ban_add(t, STR("i:a"), &DOUBLING, NOW + DAY * S, &ban));
    assert_int_equal(ban.strikes, 1);
}

static size_t count(struct ban_table *t, int64_t now_us)
{
    struct ban ban;
    size_t n = 0, at = 0;
    while (ban_next(t, &at, now_us, &ban))
        n++;
    return n;
}

static void test_the_list(void **state)
{
    enum { COUNT = 200 };
    struct ban_table *t = *state;
    bool seen[COUNT] = {false};
    char name[16];
    assert_int_equal(count(t, NOW), 0);
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "i:%d", i);
        assert_true(add(t, name, i % 2 ? &QUARTER : &(struct ban_terms){.duration_s = 60}, NOW));
    }
    struct ban ban;
    for (size_t at = 0; ban_next(t, &at, NOW, &ban);) {
        int i = atoi(ban.entity + 2);
        assert_false(seen[i]);
        seen[i] = true;
    }
    for (int i = 0; i < COUNT; i++)
        assert_true(seen[i]);
    assert_int_equal(count(t, NOW + 60 * S), COUNT / 2);
    assert_int_equal(count(t, NOW + 900 * S), 0);
}

/* Of another node: idempotent, in any order; the later end holds. */
static void test_put(void **state)
{
    struct ban_table *t = *state;
    const struct ban early = {NOW, NOW + 900 * S, 1, "u:a", "x", ""}, late = {NOW, NOW + HOUR * S, 3, "u:a", "y", "z"};
    struct ban ban;
    const struct ban *const ORDER[] = {&early, &late, &late, &early};
    for (size_t i = 0; i < COUNT_OF(ORDER); i++) {
        assert_true(ban_put(t, ORDER[i]));
        assert_true(ban_find(t, STR("u:a"), NOW, &ban));
        assert_memory_equal(&ban, i == 0 ? &early : &late, sizeof ban);
        assert_int_equal(count(t, NOW), 1);
    }
    assert_true(ban_add(t, STR("u:a"), &DOUBLING, NOW + HOUR * S, &ban));
    assert_int_equal(ban.strikes, 4); /* its strikes count here as well */
}

static void test_texts(void **state)
{
    struct ban_table *t = *state;
    char a[600], b[600];
    struct ban ban;
    memset(a, 'x', sizeof a);
    a[0] = 'u', a[1] = ':';
    memcpy(b, a, sizeof a);
    b[BAN_ENTITY_MAX_BYTES - 1] = 'y';
    const struct ban_terms terms = {.duration_s = 60, .by = str_of(a, sizeof a), .reason = STR("bad\r\nthing\x7f")};
    assert_true(ban_add(t, str_of(a, sizeof a), &terms, NOW, &ban));
    assert_int_equal(strlen(ban.entity), BAN_ENTITY_MAX_BYTES);
    assert_int_equal(strlen(ban.by), sizeof ban.by - 1);
    assert_string_equal(ban.reason, "bad??thing?");
    assert_true(ban_find(t, str_of(a, sizeof a), NOW, NULL));
    assert_false(ban_find(t, str_of(b, sizeof b), NOW, NULL));
    assert_true(ban_lift(t, str_of_z(ban.entity), NOW)); /* as the list shows it */
    /* Cut between characters, not within one. */
    char umlauts[400];
    for (size_t i = 0; i < sizeof umlauts; i += 2)
        memcpy(umlauts + i, "\xc3\xbc", 2);
    const struct ban_terms german = {.duration_s = 60, .reason = str_of(umlauts, sizeof umlauts)};
    assert_true(ban_add(t, STR("u:b"), &german, NOW, &ban));
    assert_int_equal(strlen(ban.reason), 126);
}

/* What ends first goes; every loss of one in force is counted, and what ends last stays. */
static void test_full(void **state)
{
    struct ban_table *t = *state;
    const struct ban_terms longest = {.duration_s = DAY, .by = STR("x")};
    struct ban_table_stats stats;
    char name[16];
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "keep:%d", i);
        assert_true(add(t, name, &longest, NOW));
    }
    for (int i = 0; i < 20 * PLACES; i++) {
        snprintf(name, sizeof name, "i:%d", i);
        assert_true(add(t, name, &QUARTER, NOW + i));
        assert_true(is_banned(t, name, NOW + i));
    }
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "keep:%d", i);
        assert_true(is_banned(t, name, NOW + HOUR * S));
    }
    ban_table_stats_get(t, &stats);
    assert_int_equal(stats.places, PLACES);
    assert_int_equal(stats.made, 20 * PLACES + 20);
    size_t left = count(t, NOW + 20 * PLACES);
    assert_true(left > PLACES * 95 / 100);
    assert_int_equal(stats.evicted + left, 20 * PLACES + 20);
}

static void test_half_full_loses_none(void **state)
{
    struct ban_table *t = *state;
    struct ban_table_stats stats;
    char name[16];
    for (int i = 0; i < PLACES / 2; i++) {
        snprintf(name, sizeof name, "i:%d", i);
        assert_true(add(t, name, &QUARTER, NOW));
    }
    ban_table_stats_get(t, &stats);
    assert_int_equal(stats.evicted, 0);
    assert_int_equal(count(t, NOW), PLACES / 2);
}

/* The clock was a year ahead when the ban was made: it lasts as long as it was meant to, from when it is next met. */
static void test_a_clock_that_was_far_ahead(void **state)
{
    struct ban_table *t = *state;
    assert_true(add(t, "i:a", &QUARTER, NOW + 366 * (int64_t)DAY * S));
    assert_true(is_banned(t, "i:a", NOW));
    assert_true(is_banned(t, "i:a", NOW + 899 * S));
    assert_false(is_banned(t, "i:a", NOW + 900 * S));
}

static void test_arguments(void **state)
{
    struct err err;
    assert_null(ban_table_init(*state, BAN_TABLE_MIN - 1, &err));
    assert_string_equal(err.text, "bans must be from 256 to 1000000, not 255");
    assert_null(ban_table_init(*state, BAN_TABLE_MAX + 1, &err));
    assert_true(ban_table_size(BAN_TABLE_DEFAULT) < 9 * 1024 * 1024);
}

/* Workers that ban for ever are killed at any instant: what they told of is there, and the others go on. */
static void test_killed_at_any_instant(void **state)
{
    enum { WORKERS = 4, ROUNDS = 12, NAMES = 40 };
    struct ban_table *t = *state;
    uint32_t *told = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(told != MAP_FAILED);
    for (int round = 0; round < ROUNDS; round++) {
        pid_t pids[WORKERS];
        memset(told, 0, 4096);
        for (int w = 0; w < WORKERS; w++) {
            pids[w] = fork();
            assert_true(pids[w] >= 0);
            if (pids[w] > 0)
                continue;
            alarm(30);
            for (uint32_t i = 0;; i++) {
                char name[24];
                snprintf(name, sizeof name, "i:%u", (i + (uint32_t)w * 7) % NAMES);
                if (!add(t, name, &QUARTER, NOW + round * HOUR * S + i % 100))
                    _exit(1);
                __atomic_store_n(&told[w], i + 1, __ATOMIC_SEQ_CST);
                snprintf(name, sizeof name, "u:%d:%u", w, i % 30);
                if (!add(t, name, &QUARTER, NOW + round * HOUR * S) ||
                    (i % 7 == 0 && !ban_lift(t, str_of_z(name), NOW)))
                    _exit(1);
            }
        }
        for (int w = 0; w < WORKERS; w++) {
            while (__atomic_load_n(&told[w], __ATOMIC_SEQ_CST) < NAMES + (uint32_t)round * 11)
                assert_int_equal(waitpid(pids[w], NULL, WNOHANG), 0);
            kill(pids[w], SIGKILL);
        }
        for (int w = 0; w < WORKERS; w++) {
            int status;
            assert_int_equal(waitpid(pids[w], &status, 0), pids[w]);
            assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        }
        for (int i = 0; i < NAMES; i++) {
            struct ban ban;
            char name[24];
            snprintf(name, sizeof name, "i:%d", i);
            assert_true(ban_find(t, str_of_z(name), NOW + round * HOUR * S + 899 * S, &ban));
            assert_string_equal(ban.entity, name);
            assert_true(ban.strikes >= 1 && ban.strikes <= (uint32_t)round + 1);
        }
    }
    munmap(told, 4096);
}

/* ---- what others know ---- */

enum { NONE = -1 };

/* Times in seconds after NOW; strikes 0: nothing is in force, lifted says since when. */
struct known {
    int until, strikes, changed, lifted;
};

static struct ban_record record_of(const struct known *k)
{
    struct ban_record r = {.ban = {.since_us = NOW, .until_us = NOW + k->until * S, .strikes = (uint32_t)k->strikes},
                           .changed_us = k->changed == NONE ? 0 : NOW + k->changed * S,
                           .lifted_us = k->lifted == NONE ? 0 : NOW + k->lifted * S};
    strcpy(r.ban.entity, "i:192.0.2.7");
    return r;
}

static void test_merge(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct known mine, other;
        struct known merged;
        bool says_more; /* does other? */
    } CASES[] = {
        {"the same", {900, 1, 0, NONE}, {900, 1, 0, NONE}, {900, 1, 0, NONE}, false},
        {"the later end wins", {900, 1, 0, NONE}, {1800, 1, 5, NONE}, {1800, 1, 5, NONE}, true},
        {"the earlier end does not", {1800, 1, 5, NONE}, {900, 1, 0, NONE}, {1800, 1, 5, NONE}, false},
        {"clocks differ a little", {900, 1, 0, NONE}, {901, 1, 0, NONE}, {901, 1, 0, NONE}, false},
        {"the higher strike wins, whatever the end", {1800, 1, 5, NONE}, {900, 3, 0, NONE}, {1800, 3, 5, NONE}, true},
        {"lifted elsewhere", {900, 1, 0, NONE}, {20, 0, NONE, 20}, {20, 0, 0, 20}, true},
        {"lifted here, which the other does not know", {20, 0, 0, 20}, {900, 1, 0, NONE}, {20, 0, 0, 20}, false},
        {"banned again after it was lifted", {20, 0, 0, 20}, {930, 1, 30, NONE}, {930, 1, 30, 20}, true},
        {"banned again here, lifted before elsewhere", {930, 1, 30, NONE}, {20, 0, NONE, 20}, {930, 1, 30, 20}, true},
        {"lifted on both", {20, 0, 0, 20}, {40, 0, NONE, 40}, {20, 0, 0, 40}, true},
        {"a ban that is over stays a strike",
         {-100, 2, -900, NONE},
         {-100, 2, -100, NONE},
         {-100, 2, -100, NONE},
         false},
        {"the next strike on a ban that is over", {-100, 2, -900, NONE}, {900, 3, 0, NONE}, {900, 3, 0, NONE}, true},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct ban_record mine = record_of(&CASES[i].mine), other = record_of(&CASES[i].other);
        struct ban_record want = record_of(&CASES[i].merged), back = other;
        if (ban_record_says_more(&other, &mine) != CASES[i].says_more)
            fail_msg("%s: says_more", CASES[i].name);
        ban_record_merge(&back, &mine);
        ban_record_merge(&mine, &other);
        if (mine.ban.until_us != want.ban.until_us || mine.ban.strikes != want.ban.strikes ||
            mine.changed_us != want.changed_us || mine.lifted_us != want.lifted_us)
            fail_msg("%s: until %lld, strikes %u, changed %lld, lifted %lld", CASES[i].name,
                     (long long)((mine.ban.until_us - NOW) / S), mine.ban.strikes,
                     (long long)((mine.changed_us - NOW) / S), (long long)((mine.lifted_us - NOW) / S));
        if (back.ban.strikes != mine.ban.strikes || back.lifted_us != mine.lifted_us ||
            (mine.ban.strikes && back.ban.until_us != mine.ban.until_us))
            fail_msg("%s: in the other order it is something else", CASES[i].name);
        if (ban_record_says_more(&other, &mine))
            fail_msg("%s: it has something to say still", CASES[i].name);
    }
}

/* How many records a walk finds, and whether this one is among them. */
static size_t walk(struct ban_table *t, struct ban_cursor *c, const char *entity, struct ban_record *found)
{
    struct ban_record r;
    size_t count = 0;
    while (ban_change_next(t, c, &r)) {
        if (strcmp(r.ban.entity, entity) == 0)
            *found = r;
        count++;
    }
    return count;
}

static void test_changes_are_found_once(void **state)
{
    struct ban_table *t = *state;
    struct ban_cursor c = {0};
    struct ban_record r = {0};
    assert_int_equal(walk(t, &c, "", &r), 0);
    assert_false(ban_has_changes(t, &c));
    assert_true(add(t, "i:192.0.2.7", &QUARTER, NOW) && add(t, "u:alice", &QUARTER, NOW));
    assert_true(ban_has_changes(t, &c));
    assert_int_equal(walk(t, &c, "u:alice", &r), 2);
    assert_true(r.ban.until_us == NOW + 900 * S && r.changed_us == NOW && r.lifted_us == 0);
    assert_false(ban_has_changes(t, &c));
    assert_int_equal(walk(t, &c, "", &r), 0);

    assert_true(add(t, "u:alice", &QUARTER, NOW + 60 * S)); /* a later end */
    assert_true(ban_lift(t, STR("i:192.0.2.7"), NOW + 70 * S));
    assert_int_equal(walk(t, &c, "i:192.0.2.7", &r), 2);
    assert_true(r.ban.strikes == 0 && r.lifted_us == NOW + 70 * S && r.ban.until_us == NOW + 70 * S);
    assert_false(is_banned(t, "i:192.0.2.7", NOW + 71 * S));

    assert_true(add(t, "u:alice", &QUARTER, NOW)); /* no later end: nothing changed */
    assert_false(ban_has_changes(t, &c));

    struct ban_cursor fresh = {0};
    assert_int_equal(walk(t, &fresh, "", &r), 2);
}

static void test_what_others_told_is_no_change(void **state)
{
    struct ban_table *t = *state;
    struct ban_cursor c = {0};
    struct ban_record r = record_of(&(struct known){900, 2, 0, NONE});
    strcpy(r.ban.reason, "line\nbreak");
    walk(t, &c, "", &r);
    assert_true(ban_record_put(t, &r, NOW));
    assert_true(is_banned(t, "i:192.0.2.7", NOW + 1 * S));
    assert_false(ban_has_changes(t, &c));
    assert_true(ban_record_find(t, STR("i:192.0.2.7"), &r));
    assert_string_equal(r.ban.reason, "line?break");
    assert_false(ban_record_find(t, STR("i:192.0.2.8"), &r));
    /* The next one is the third strike. */
    assert_true(add(t, "i:192.0.2.7", &DOUBLING, NOW + 1000 * S));
    assert_true(ban_record_find(t, STR("i:192.0.2.7"), &r));
    assert_int_equal(r.ban.strikes, 3);
    assert_true(ban_has_changes(t, &c));

    struct ban_cursor fresh = {0};
    assert_true(ban_record_put(t, &r, NOW + 1000 * S));
    assert_int_equal(walk(t, &fresh, "", &r), 1);
}

/* A table that a file kept: all that is in it is news to who follows it from now on, but what was forgotten. */
static void test_what_an_earlier_run_left(void **state)
{
    struct ban_table *t = *state;
    struct ban_cursor c = {{0}, 0, 0};
    struct ban_record r;
    struct err err;
    assert_true(add(t, "i:old", &DOUBLING, NOW));
    assert_true(add(t, "i:a", &DOUBLING, NOW + 60 * S));
    assert_true(add(t, "i:lifted", &DOUBLING, NOW));
    assert_true(ban_lift(t, STR("i:lifted"), NOW + 70 * S));
    ban_table_fini(t);
    assert_ptr_equal(ban_table_reopen(t, PLACES, &err), t);
    ban_table_forget(t, NOW + 60 * S);
    assert_true(ban_has_changes(t, &c));
    bool saw_ban = false, saw_lifting = false;
    while (ban_change_next(t, &c, &r)) {
        saw_ban |= strcmp(r.ban.entity, "i:a") == 0 && r.ban.until_us == NOW + 960 * S;
        saw_lifting |= strcmp(r.ban.entity, "i:lifted") == 0 && r.lifted_us == NOW + 70 * S;
        assert_string_not_equal(r.ban.entity, "i:old");
    }
    assert_true(saw_ban && saw_lifting);
    assert_false(ban_has_changes(t, &c));
    assert_true(is_banned(t, "i:a", NOW + 61 * S));
    assert_false(is_banned(t, "i:old", NOW + 61 * S));
    assert_true(add(t, "i:a", &DOUBLING, NOW + 2000 * S));
    assert_true(ban_change_next(t, &c, &r));
    assert_string_equal(r.ban.entity, "i:a");
    assert_int_equal(r.ban.strikes, 2);
    assert_false(ban_change_next(t, &c, &r));
}

/* The machine crashed, and of what the file keeps some pages are as they were a while before. */
static void test_what_a_crash_left(void **state)
{
    struct ban_table *t = *state;
    char head[64]; /* what is known of the whole table */
    struct err err;
    memcpy(head, (void *)t, sizeof head);
    assert_true(add(t, "i:whole", &DOUBLING, NOW) && add(t, "i:other", &DOUBLING, NOW));
    char *torn = memmem((void *)t, ban_table_size(PLACES), "i:other", 8);
    assert_non_null(torn);
    memcpy(torn, "i:wrong", 8);
    memcpy((void *)t, head, sizeof head);
    ban_table_fini(t);
    assert_ptr_equal(ban_table_reopen(t, PLACES, &err), t);
    assert_true(is_banned(t, "i:whole", NOW + S));
    assert_false(is_banned(t, "i:other", NOW + S));
    size_t at = 0, count = 0;
    for (struct ban ban; ban_next(t, &at, NOW + S, &ban); count++)
        assert_string_equal(ban.entity, "i:whole");
    assert_int_equal(count, 1);
}

static void test_lifted_forgets_strikes(void **state)
{
    struct ban_table *t = *state;
    struct ban_record r;
    assert_true(add(t, "i:192.0.2.7", &DOUBLING, NOW) && add(t, "i:192.0.2.7", &DOUBLING, NOW + 1000 * S));
    assert_true(ban_lift(t, STR("i:192.0.2.7"), NOW + 1001 * S));
    assert_false(ban_lift(t, STR("i:192.0.2.7"), NOW + 1002 * S));
    assert_true(add(t, "i:192.0.2.7", &DOUBLING, NOW + 1003 * S));
    assert_true(ban_record_find(t, STR("i:192.0.2.7"), &r));
    assert_true(r.ban.strikes == 1 && r.ban.until_us == NOW + 1903 * S);
    assert_true(r.changed_us > r.lifted_us && r.lifted_us > 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_from_then_until_then),
        CASE(test_strikes),
        CASE(test_very_many_strikes),
        CASE(test_the_last_strike),
        CASE(test_while_in_force),
        CASE(test_lifted),
        CASE(test_the_list),
        CASE(test_put),
        CASE(test_texts),
        CASE(test_full),
        CASE(test_half_full_loses_none),
        CASE(test_a_clock_that_was_far_ahead),
        CASE(test_arguments),
        cmocka_unit_test(test_merge),
        CASE(test_changes_are_found_once),
        CASE(test_what_others_told_is_no_change),
        CASE(test_what_an_earlier_run_left),
        CASE(test_what_a_crash_left),
        CASE(test_lifted_forgets_strikes),
        CASE(test_killed_at_any_instant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
