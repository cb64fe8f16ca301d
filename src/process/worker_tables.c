/* worker_tables.c - see worker_tables.h. */
#include "process/worker_tables.h"

#include <stdlib.h>

#include "base/log.h"
#include "rules/table.h"

enum { PATTERNS_A_TURN = 8 }; /* one takes some 50 to 200 µs */

struct coming {
    struct lookup content;
    bool is_under_way;
};

struct worker_tables {
    struct loop *loop;
    struct policy *policy;
    struct timer turn;
    size_t count;
    struct coming coming[];
};

static void settle(struct worker_tables *w, size_t index)
{
    struct coming *c = &w->coming[index];
    lookup_exchange(policy_file_table(w->policy, index), &c->content);
    lookup_fini(&c->content);
    c->is_under_way = false;
}

static void on_turn(void *arg)
{
    struct worker_tables *w = arg;
    for (size_t i = 0; i < w->count; i++) {
        if (!w->coming[i].is_under_way)
            continue;
        if (lookup_compile_patterns(&w->coming[i].content, PATTERNS_A_TURN))
            settle(w, i);
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
    struct coming *c = &w->coming[index];
    if (c->is_under_way)
        lookup_fini(&c->content); /* overtaken */
    c->content = fresh;
    c->is_under_way = true;
    if (lookup_compile_patterns(&c->content, PATTERNS_A_TURN))
        settle(w, index);
    else
        timer_start(&w->turn, loop_now_ms(w->loop) + 1);
}

struct worker_tables *worker_tables_new(struct loop *l, struct policy *policy, struct err *err)
{
    size_t count = policy_file_table_count(policy);
    struct worker_tables *w = calloc(1, sizeof *w + count * sizeof w->coming[0]);
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
        if (w->coming[i].is_under_way)
            lookup_fini(&w->coming[i].content);
    free(w);
    *at = NULL;
}
