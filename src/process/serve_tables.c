/* serve_tables.c - see serve_tables.h. */
#include "process/serve_tables.h"

#include <stdio.h>
#include <stdlib.h>

#include "rules/table.h"

struct served_tables {
    struct lookup *replaced; /* [table]: until all workers have its successor. Who unmaps a big one last has the work of
                                freeing it, and the supervisor has time for that */
    size_t count;
    struct process_table shown[]; /* the plan's */
};

static struct served_tables *served(const struct process_plan *plan)
{
    return CONTAINER_OF(plan->tables, struct served_tables, shown);
}

static struct lookup *table_of(const struct process_plan *plan, size_t table)
{
    const struct config *cfg = plan->config;
    return policy_file_table(cfg->policy, table);
}

bool serve_tables_fill(struct process_plan *plan, const struct config *cfg, struct err *err)
{
    size_t count = policy_file_table_count(cfg->policy);
    if (count == 0)
        return true;
    struct served_tables *s = calloc(1, sizeof *s + count * sizeof s->shown[0]);
    struct lookup *replaced = calloc(count, sizeof *replaced);
    if (!s || !replaced) {
        free(s);
        free(replaced);
        return err_no_memory(err);
    }
    s->replaced = replaced;
    s->count = count;
    for (size_t i = 0; i < count; i++) {
        const struct lookup *t = policy_file_table(cfg->policy, i);
        s->shown[i] = (struct process_table){.name = t->name.ptr, .path = t->path, .stamp = t->stamp};
    }
    plan->tables = s->shown;
    plan->table_count = count;
    return true;
}

void serve_tables_free(struct process_plan *plan)
{
    if (plan->table_count == 0)
        return;
    struct served_tables *s = served(plan);
    serve_forget_tables(NULL, plan);
    free(s->replaced);
    free(s);
    plan->tables = NULL;
    plan->table_count = 0;
}

/* The first thing that is wrong, and how many more there are. */
static bool what_is_wrong(struct diagnostics *d, struct err *err)
{
    struct buf said;
    buf_init(&said, sizeof err->text);
    diag_sort(d);
    const struct diagnostic *first = d->count ? &d->items[0] : NULL;
    bool fits = first && (!place_is_known(first->at) ||
                          (place_print(d->sources, first->at, &said) && buf_append_str(&said, STR(": "))));
    if (!fits || !print_clean(&said, first->text))
        buf_clear(&said);
    err_set(err, PRI_STR, STR_ARG(buf_len(&said) ? buf_str(&said) : STR("there are mistakes in it")));
    buf_fini(&said);
    if (d->error_count > 1) {
        size_t len = strlen(err->text);
        snprintf(err->text + len, sizeof err->text - len, " (and %s%zu more)",
                 d->error_count >= DIAG_MAX_SHOWN ? "at least " : "", d->error_count - 1);
    }
    return false;
}

bool serve_build_table(void *arg, const struct process_plan *plan, size_t table, int file, int image, struct err *err)
{
    struct source_set sources;
    struct diagnostics d;
    struct lookup t;
    const struct lookup *old = table_of(plan, table);
    (void)arg;
    source_set_init(&sources, NULL, 0);
    diag_init(&d, &sources);
    lookup_init(&t, old->type, old->name);
    t.rate_units = old->rate_units;
    bool ok = lookup_read_open(&t, file, &sources, str_of_z(old->path), PLACE_NONE, &d)
                  ? lookup_write_image(&t, image, err)
                  : what_is_wrong(&d, err);
    lookup_fini(&t);
    diag_fini(&d);
    source_set_fini(&sources);
    return ok;
}

bool serve_take_table(void *arg, const struct process_plan *plan, size_t table, int image, struct err *err)
{
    struct lookup *t = table_of(plan, table), *replaced = &served(plan)->replaced[table], fresh;
    (void)arg;
    if (!lookup_map_image(&fresh, t, image, err))
        return false;
    lookup_compile_patterns(&fresh, SIZE_MAX);
    lookup_exchange(t, &fresh);
    lookup_fini(replaced); /* what came before that: two changes within ten seconds */
    *replaced = fresh;
    return true;
}

void serve_forget_tables(void *arg, const struct process_plan *plan)
{
    struct served_tables *s = served(plan);
    (void)arg;
    for (size_t i = 0; i < s->count; i++)
        lookup_fini(&s->replaced[i]);
}
