/*
 * store_suite_scripts.c - the suite's cases as small stories: who takes what, and what is to come of it.
 *
 *   A take u:a 3/10 > taken 3        A (one of A to H) takes 3 of 10 allowed: then 3 are counted
 *   A take u:a 8/10 60 > full 11     … of a window of 60 seconds, not an hour; 11 would be counted
 *   … > full 11 wait 225             and the time until it fits, in seconds; `never`: WAIT_UNKNOWN
 *   A more 8/10 > taken 8            A, who holds something, asks for 8 instead
 *   A always u:a 1/10 > over 11      an event: counted whatever is allowed; under, or over
 *   A above u:a 10 > no 9            is the count above? yes, or no
 *   A lease i:a 1/3 > taken 1        a place
 *   A see n:a x,y/5 > taken 2        different values
 *   A+B … > full                     A and B together, after `take` and `see` lines that end in "> -": all or nothing
 *   A back      A keep               gives back; passes
 *   used u:a 3 [60]                  is what is counted
 *   +225                             time goes on, in seconds
 *
 * Lines end with a semicolon. A case begins at a full half day, at the beginning of a slot.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store_suite.h"

#define S    INT64_C(1000000)
#define HOUR 3600

enum { ACTORS = 8, WORDS = 12, LINE_BYTES = 120 };

static const struct script {
    const char *name, *lines;
} SCRIPTS[] = {
    /* ---- how much ---- */
    {"one of one", "A take u:a 1/1 > taken 1; B take u:a 1/1 > full 2"},
    {"all at once", "A take u:a 10/10 > taken 10; B take u:a 1/10 > full 11"},
    {"one too many is refused as a whole",
     "A take u:a 7/10 > taken 7; B take u:a 4/10 > full 11; C take u:a 3/10 > taken 10"},
    {"more than the limit never fits", "A take u:a 11/10 > full 11 wait never; used u:a 0"},
    {"more recipients than the whole limit, as the first mail",
     "A take u:fresh 101/100 > full 101 wait never; B take u:fresh 100/100 > taken 100"},
    {"nothing is allowed", "A take u:a 1/0 > full 1 wait never"},
    {"a cost of nothing passes a full counter", "A take u:a 5/5 > taken 5; B take u:a 0/5 > taken 5"},
    {"a refusal charges nothing",
     "A take u:a 5/5 > taken 5; B take u:a 1/5 > full 6; B take u:a 1/5 > full 6; used u:a 5"},
    {"a limit that was raised by a reload keeps its count",
     "A take u:a 5/5 > taken 5; B take u:a 1/5 > full 6; C take u:a 1/8 > taken 6"},
    {"a limit that was lowered by a reload keeps its count",
     "A take u:a 5/10 > taken 5; B take u:a 1/4 > full 6; used u:a 5"},
    {"two limits of one counter",
     "A take u:a 1/100 > taken 1; B take u:a 1/2 > taken 2; C take u:a 1/2 > full 3; D take u:a 1/100 > taken 3"},
    {"other names are other counters",
     "A take u:bob@a.example 1/1 > taken 1; B take u:bob@b.example 1/1 > taken 1; C take ud:a.example 1/1 > taken 1"},
    {"a network of IPv6 is one client", "A take i:2001:db8:1:2::/64 1/1 > taken 1; B take i:2001:db8:1:2::/64 1/1 > "
                                        "full 2; C take i:2001:db8:1:3::/64 1/1 > taken 1"},
    {"joint keys",
     "A take u+i:a+192.0.2.7 1/1 > taken 1; B take u+i:a+192.0.2.8 1/1 > taken 1; C take u+i:a+192.0.2.7 1/1 > full 2"},
    {"percent signs and UTF-8 in names",
     "A take f:%7Bx%7D@ä.example 1/1 > taken 1; B take f:%7Bx%7D@ä.example 1/1 > full 2"},
    {"an hour and a day are counted apart",
     "A take u:a 1/1 > taken 1; B take u:a 1/1 86400 > taken 1; C take u:a 1/1 86400 > full 2"},
    /* ---- how long ---- */
    {"a window is never shorter than its period", "A take u:a 10/10 > taken 10; +3599; B take u:a 1/10 > full 11; "
                                                  "+225; C take u:a 1/10 > full 11; +1; D take u:a 1/10 > taken 1"},
    {"no double at the window's edge",
     "+3599; A take u:a 10/10 > taken 10; +2; B take u:a 1/10 > full 11; +1800; C take u:a 1/10 > full 11"},
    {"slots go one by one", "A take u:a 4/10 > taken 4; +225; B take u:a 6/10 > taken 10; +3600; C take u:a 4/10 > "
                            "taken 10; D take u:a 1/10 > full 11"},
    {"the wait is until the first slot goes", "A take u:a 4/10 > taken 4; +225; B take u:a 6/10 > taken 10; C take u:a "
                                              "4/10 > full 14 wait 3600; D take u:a 5/10 > full 15 wait 3825"},
    {"the wait of a fraction of a slot",
     "+100; A take u:a 10/10 > taken 10; +100; B take u:a 1/10 > full 11 wait 3625"},
    {"the day's window over midnight",
     "+39600; A take u:a 10/10 86400 > taken 10; +7200; B take u:a 1/10 86400 > full 11; +79200; C take u:a 1/10 86400 "
     "> full 11; +5400; D take u:a 1/10 86400 > taken 1"},
    {"a second's window", "A take u:a 5/5 1 > taken 5; +1; B take u:a 1/5 1 > full 6; +1; C take u:a 5/5 1 > taken 5"},
    {"a window of a year", "A take u:a 5/5 31622400 > taken 5; +86400; B take u:a 1/5 31622400 > full 6"},
    {"after two windows all is new", "A take u:a 10/10 > taken 10; +7200; B take u:a 10/10 > taken 10"},
    {"a full counter may be asked in the next window",
     "A take u:a 10/10 > taken 10; +3825; B take u:a 10/10 > taken 10; +3825; C take u:a 10/10 > taken 10"},
    {"bursts are a second window", "A take u:a 2/2 60 > taken 2; B take u:a 1/2 60 > full 3; C take u:a 1/100 > taken "
                                   "1; +64; D take u:a 2/2 60 > taken 2"},
    /* ---- given back, kept ---- */
    {"given back it fits again",
     "A take u:a 10/10 > taken 10; B take u:a 1/10 > full 11; A back; C take u:a 10/10 > taken 10"},
    {"given back twice", "A take u:a 4/10 > taken 4; B take u:a 4/10 > taken 8; A back; A back; used u:a 4"},
    {"given back in a later slot", "A take u:a 4/10 > taken 4; +450; B take u:a 4/10 > taken 8; A back; used u:a 4; "
                                   "+3600; used u:a 4; +225; used u:a 0"},
    {"given back in the next window",
     "+3500; A take u:a 4/10 > taken 4; +200; B take u:a 2/10 > taken 6; A back; used u:a 2"},
    {"given back after it went",
     "A take u:a 4/10 60 > taken 4; +70; B take u:a 3/10 60 > taken 3; A back; used u:a 3 60"},
    {"kept, it is given back no more", "A take u:a 4/10 > taken 4; A keep; A back; used u:a 4"},
    {"kept, it counts from then on",
     "A take u:a 4/10 60 > taken 4; +50; A keep; +60; used u:a 4 60; +4; used u:a 0 60"},
    {"kept after its window", "A take u:a 4/4 60 > taken 4; +70; B take u:a 4/4 60 > taken 4; A keep; used u:a 8 60"},
    {"kept in the next window", "+3500; A take u:a 4/10 > taken 4; +200; A keep; +3500; used u:a 4; +325; used u:a 0"},
    /* ---- exchanges ---- */
    {"it grows", "A take u:a 4/10 > taken 4; A more 7/10 > taken 7; used u:a 7; A back; used u:a 0"},
    {"it shrinks", "A take u:a 7/10 > taken 7; A more 4/10 > taken 4; used u:a 4; A back; used u:a 0"},
    {"it stays", "A take u:a 7/10 > taken 7; A more 7/10 > taken 7; used u:a 7; A keep; used u:a 7"},
    {"it moves", "A take u:a 7/10 > taken 7; +225; A more 7/10 > taken 7; +3600; used u:a 7; +225; used u:a 0"},
    {"it grows as far as there is room", "A take u:a 4/10 > taken 4; B take u:a 5/10 > taken 9; A more 5/10 > taken "
                                         "10; A more 6/10 > full 11; used u:a 10"},
    {"a refused exchange holds what it held",
     "A take u:a 4/10 > taken 4; B take u:a 6/10 > taken 10; +225; A more 5/10 > full 11; A back; used u:a 6"},
    {"what is held is not refused by a lower limit",
     "A take u:a 4/10 > taken 4; A more 4/2 > taken 4; A more 3/2 > taken 3; A more 4/2 > full 4"},
    {"dripped until its place was gone",
     "A take u:a 5/10 60 > taken 5; +70; B take u:a 8/10 60 > taken 8; A more 5/10 > full 13; A back; used u:a 8 60"},
    {"dripped, and there is room",
     "A take u:a 5/10 60 > taken 5; +70; B take u:a 5/10 60 > taken 5; A more 5/10 > taken 10"},
    {"moved over the window's edge",
     "+3500; A take u:a 5/10 > taken 5; +200; A more 8/10 > taken 8; used u:a 8; A back; used u:a 0"},
    {"moved twice", "A take u:a 5/10 > taken 5; +225; A more 6/10 > taken 6; +225; A more 7/10 > taken 7; used u:a 7; "
                    "+3600; used u:a 7; +225; used u:a 0"},
    /* ---- together ---- */
    {"a limit that passed is not charged when another refuses",
     "A take i:full 5/5 > taken 5; B take u:a 1/10 > -; C take i:full 1/5 > -; B+C > full; used u:a 0; used i:full 5"},
    {"both are charged when both pass",
     "A take u:a 1/10 > -; B take i:b 1/10 > -; A+B > taken; used u:a 1; used i:b 1"},
    {"both are given back",
     "A take u:a 1/10 > -; B take i:b 1/10 > -; A+B > taken; A back; B back; used u:a 0; used i:b 0"},
    {"a mail and what its sender saw",
     "A see n:a x,y,z/2 > -; B take u:a 1/10 > -; A+B > full; used u:a 0; C see n:a p,q/2 > taken 2"},
    {"a place and a mail",
     "A lease i:a 1/1 > taken 1; B lease i:a 1/1 > -; C take u:a 1/10 > -; B+C > full; used u:a 0"},
    {"an hour and a day of one sender", "A take u:a 1/5 > -; B take u:a 1/0 86400 > -; A+B > full; used u:a 0"},
    /* ---- events ---- */
    {"an event counts whatever is allowed",
     "A always i:a 1/2 > under 1; B always i:a 1/2 > under 2; C always i:a 1/2 > over 3; used i:a 3"},
    {"is it above", "A always i:a 5/9 > under 5; B above i:a 4 > yes 5; B above i:a 5 > no 5; used i:a 5"},
    {"nothing was counted, so nothing is above", "A above i:a 0 > no 0"},
    {"above until it goes", "A always i:a 5/9 > under 5; +3600; B above i:a 4 > yes 5; +225; B above i:a 4 > no 0"},
    {"an event refuses no mail of another counter", "A always i:a 50/9 > over 50; B take u:a 1/1 > taken 1"},
    /* ---- places ---- */
    {"places are given back", "A lease i:a 1/2 > taken 1; B lease i:a 1/2 > taken 2; C lease i:a 1/2 > full 3 wait "
                              "never; A back; C lease i:a 1/2 > taken 2"},
    {"places do not age", "A lease i:a 1/1 > taken 1; +1000000; B lease i:a 1/1 > full 2 wait never"},
    {"places are kept by nobody", "A lease i:a 1/1 > taken 1; A keep; A back; B lease i:a 1/1 > taken 1"},
    {"several places at once",
     "A lease i:a 3/4 > taken 3; B lease i:a 2/4 > full 5 wait never; A back; B lease i:a 2/4 > taken 2"},
    /* ---- values ---- */
    {"a value counts once",
     "A see n:a x/2 > taken 1; A keep; B see n:a x/2 > taken 1; B keep; C see n:a x,y/2 > taken 2"},
    {"one value too many",
     "A see n:a x,y/2 > taken 2; A keep; B see n:a z/2 > full 3; C see n:a x/2 > taken 2; D see n:a x,y/2 > taken 2"},
    {"more values than are allowed", "A see n:a x,y,z/2 > full 3 wait never"},
    {"a value that is given back", "A see n:a x/2 > taken 1; A back; B see n:a y,z/2 > taken 2"},
    {"a stale password counts once",
     "A see n:a same/3 > taken 1; A keep; +60; B see n:a same/3 > taken 1; B keep; +60; C see n:a other/3 > taken 2"},
    {"values go by their last time",
     "A see n:a x/2 > taken 1; A keep; +1800; B see n:a x/2 > taken 1; B keep; +1800; C see n:a x,y/2 > taken 2"},
    {"values of others are others", "A see n:a x,y/2 > taken 2; A keep; B see n:b z,w/2 > taken 2"},
};

/* ---- Telling them ---- */

struct story {
    struct store *store;
    const struct script *script;
    char line[LINE_BYTES];
    struct str words[WORDS];
    size_t count;
    struct suite_values actors[ACTORS];
    char texts[ACTORS][2][40]; /* names and values, which takes borrow */
    int64_t now_us;
};

static void complain(const struct story *st, const char *what, long long got)
{
    fail_msg("%s: \"%s\": %s %lld", st->script->name, st->line, what, got);
}

static uint64_t number_of(const struct story *st, struct str word)
{
    uint64_t n = 0;
    if (!str_to_u64(word, UINT64_MAX, &n))
        complain(st, "is no number at word", (long long)(word.ptr - st->line));
    return n;
}

static struct str word_of(const struct story *st, size_t i)
{
    return i < st->count ? st->words[i] : STR_NONE;
}

static bool is_word(const struct story *st, size_t i, const char *text)
{
    return str_equal(word_of(st, i), str_of_z(text));
}

static struct suite_values *actor_of(struct story *st, struct str word, size_t at)
{
    size_t i = at < word.len ? (size_t)(word.ptr[at] - 'A') : ACTORS;
    if (i >= ACTORS)
        complain(st, "nobody", (long long)i);
    return &st->actors[i];
}

static size_t arrow_of(const struct story *st)
{
    for (size_t i = 0; i < st->count; i++)
        if (is_word(st, i, ">"))
            return i;
    return st->count;
}

static void check_number(const struct story *st, const char *what, uint64_t got, struct str word)
{
    if (word.len && got != number_of(st, word))
        complain(st, what, (long long)got);
}

/* What stands after ">": the result, the count, the wait. */
static void check(const struct story *st, const struct take *take, enum store_result result)
{
    static const struct {
        const char *word;
        enum store_result result;
        int is_over; /* -1: either */
    } RESULTS[] = {
        {"taken", STORE_TAKEN, 0}, {"full", STORE_FULL, 1}, {"under", STORE_TAKEN, 0},
        {"over", STORE_TAKEN, 1},  {"yes", STORE_FULL, 1},  {"no", STORE_TAKEN, 0},
    };
    size_t at = arrow_of(st) + 1;
    for (size_t i = 0; i < COUNT_OF(RESULTS); i++)
        if (is_word(st, at, RESULTS[i].word)) {
            if (result != RESULTS[i].result)
                complain(st, "the result is", result);
            if (take && take->is_over[0] != RESULTS[i].is_over)
                complain(st, "is over:", take->is_over[0]);
        }
    if (!take)
        return;
    check_number(st, "the count is", take->used[0], word_of(st, at + 1));
    if (!is_word(st, at + 2, "wait"))
        return;
    if (is_word(st, at + 3, "never") ? take->wait_us != WAIT_UNKNOWN
                                     : take->wait_us != (int64_t)number_of(st, word_of(st, at + 3)) * S)
        complain(st, "the wait is, in us,", take->wait_us);
}

/* "COST/ALLOWED" */
static void set_cost(struct story *st, struct take *take, struct str word)
{
    struct str allowed, cost = str_split(word, '/', &allowed);
    take->cost[0] = (uint32_t)number_of(st, cost);
    take->allowed[0] = number_of(st, allowed);
}

/* The take that the line speaks of, made anew. */
static void set_take(struct story *st, struct suite_values *a)
{
    size_t n = (size_t)(a - st->actors), arrow = arrow_of(st);
    char *entity = st->texts[n][0], *values = st->texts[n][1];
    uint32_t period_s = arrow > 4 ? (uint32_t)number_of(st, word_of(st, 4)) : HOUR;
    struct str allowed;
    (void)str_copy_into(entity, sizeof st->texts[n][0], word_of(st, 2));
    if (is_word(st, 1, "see")) {
        (void)str_copy_into(values, sizeof st->texts[n][1], str_split(word_of(st, 3), '/', &allowed));
        for (char *p = values; *p; p++)
            *p = *p == ',' ? ' ' : *p;
        suite_values_set(a, st->store, entity, period_s, values, number_of(st, allowed));
    } else if (is_word(st, 1, "above")) {
        suite_take_set(&a->take, st->store, entity, HOUR, 0, number_of(st, word_of(st, 3)));
        a->take.mode = TAKE_NOTHING;
    } else {
        if (is_word(st, 1, "lease"))
            suite_lease_set(&a->take, st->store, entity, 0);
        else
            suite_take_set(&a->take, st->store, entity, period_s, 0, 0);
        set_cost(st, &a->take, word_of(st, 3));
        a->take.mode = is_word(st, 1, "always") ? TAKE_ALWAYS : TAKE_IF_FITS;
    }
}

static void tell_line(struct story *st)
{
    struct str first = word_of(st, 0);
    if (first.ptr[0] == '+') {
        st->now_us += (int64_t)number_of(st, str_from(first, 1)) * S;
        return;
    }
    if (is_word(st, 0, "used")) {
        char entity[40];
        (void)str_copy_into(entity, sizeof entity, word_of(st, 1));
        uint32_t period_s = st->count > 3 ? (uint32_t)number_of(st, word_of(st, 3)) : HOUR;
        check_number(st, "the count is", suite_used(st->store, entity, period_s, st->now_us), word_of(st, 2));
        return;
    }
    struct suite_values *a = actor_of(st, first, 0);
    if (first.len == 3) {
        check(st, NULL, suite_take_both(st->store, &a->take, &actor_of(st, first, 2)->take, st->now_us));
    } else if (is_word(st, 1, "back")) {
        suite_give_back(st->store, &a->take);
    } else if (is_word(st, 1, "keep")) {
        suite_keep(st->store, &a->take, st->now_us);
    } else {
        if (is_word(st, 1, "more"))
            set_cost(st, &a->take, word_of(st, 2));
        else
            set_take(st, a);
        if (!is_word(st, arrow_of(st) + 1, "-"))
            check(st, &a->take, suite_take(st->store, &a->take, st->now_us));
    }
}

static void tell(void **state)
{
    struct suite_fixture *f = *state;
    struct story *st = calloc(1, sizeof *st);
    assert_non_null(st);
    st->store = &f->store;
    st->script = f->script;
    st->now_us = SUITE_NOW;
    for (struct str rest = str_of_z(st->script->lines); rest.len;) {
        struct str line = str_copy_into(st->line, sizeof st->line, str_trim(str_split(rest, ';', &rest)));
        for (st->count = 0; line.len && st->count < WORDS;)
            st->words[st->count++] = str_split(line, ' ', &line);
        tell_line(st);
    }
    free(st);
}

int store_suite_run_scripts(int (*setup)(void **), int (*teardown)(void **))
{
    struct CMUnitTest tests[COUNT_OF(SCRIPTS)];
    for (size_t i = 0; i < COUNT_OF(SCRIPTS); i++)
        tests[i] = (struct CMUnitTest){SCRIPTS[i].name, tell, setup, teardown, (void *)&SCRIPTS[i]};
    return cmocka_run_group_tests_name("the suite's stories", tests, NULL, NULL);
}
