/* worker_tables.c - see worker_tables.h. */
#include "process/worker_tables.h"

#include <stdlib.h>

#include "base/log.h"
#include "rules/table.h"

enum { PATTERNS_A_TURN = 8 }; /* one takes some 50 to 200 µs */

struct turnover {
    struct lookup coming, leaving;
    bool is_coming, is_leaving;
};

struct worker_tables {
    struct loop *loop;
    struct policy *policy;
    struct timer turn;
    size_t count;
    struct turnover tables[];
};

static void settle(struct worker_tables *w, size_t index)
{
    struct turnover *t = &w->tables[index];
    lookup_exchange(policy_file_table(w->policy, index), &t->coming);
    if (t->is_leaving)
        lookup_fini(&t->leaving); /* the rest of it */
    t->leaving = t->coming;
    t->is_coming = false;
    t->is_leaving = true;
}

static void on_turn(void *arg)
{
    struct worker_tables *w = arg;
    for (size_t i = 0; i < w->count; i++) {
        struct turnover *t = &w->tables[i];
        if (!t->is_coming && !t->is_leaving)
            continue;
        if (t->is_coming && lookup_compile_patterns(&t->coming, PATTERNS_A_TURN))
            settle(w, i);
        else if (!t->is_coming && lookup_release(&t->leaving))
            t->is_leaving = false;
        timer_start(&w->turn, loop_now_ms(w->loop) + 1);
        return;
    }
}

void worker_tables_take(struct worker_tables *w, uint64_t index, int image)
{
    struct err err;
    struct lookup fresh;
    if (index >= w->count)
        return;
    if (!lookup_map_image(&fresh, policy_file_table(w->policy, index), image, &err)) {
        log_error("table \"" PRI_STR "\" keeps its content: %s", STR_ARG(fresh.name), err.text);
        return;
    }
    struct turnover *t = &w->tables[index];
    if (t->is_coming)
        lookup_fini(&t->coming); /* overtaken */
    t->coming = fresh;
    t->is_coming = true;
    if (lookup_compile_patterns(&t->coming, PATTERNS_A_TURN))
        settle(w, index);
    timer_start(&w->turn, loop_now_ms(w->loop) + 1);
}

struct worker_tables *worker_tables_new(struct loop *l, struct policy *policy, struct err *err)
{
    size_t count = policy_file_table_count(policy);
    struct worker_tables *w = calloc(1, sizeof *w + count * sizeof w->tables[0]);
    if (!w) {
        err_no_memory(err);
        return NULL;
    }
    w->loop = l;
    w->policy = policy;
    w->count = count;
    timer_init(&w->turn, l, on_turn, w);
    return w;
}

void worker_tables_free(struct worker_tables **at)
{
    struct worker_tables *w = *at;
    if (!w)
        return;
    timer_cancel(&w->turn);
    for (size_t i = 0; i < w->count; i++)
        if (w->tables[i].is_coming)
            lookup_fini(&w->tables[i].coming);
    for (size_t i = 0; i < w->count; i++)
        if (w->tables[i].is_leaving)
            lookup_fini(&w->tables[i].leaving);
    free(w);
    *at = NULL;
}
