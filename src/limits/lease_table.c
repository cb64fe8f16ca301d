/* lease_table.c - the leases that one process holds in Redis. See lease_table.h. */
#include "limits/lease_table.h"

#include <stdlib.h>
#include <string.h>

void lease_table_init(struct lease_table *t)
{
    *t = (struct lease_table){.count = 0};
    map_init(&t->sets, true, false);
    list_init(&t->due);
    list_init(&t->away);
}

static void set_free(struct lease_set *set)
{
    list_remove(&set->node);
    free(set->numbers);
    free(set);
}

void lease_table_fini(struct lease_table *t)
{
    LIST_EACH(node, &t->due)
    {
        set_free(CONTAINER_OF(node, struct lease_set, node));
    }
    LIST_EACH(node, &t->away)
    {
        set_free(CONTAINER_OF(node, struct lease_set, node));
    }
    map_fini(&t->sets);
    t->count = 0;
}

static struct str id_text(const struct hash128 *id)
{
    return str_of((const char *)id, sizeof *id);
}

struct lease_set *lease_table_find(const struct lease_table *t, struct hash128 id)
{
    return map_get(&t->sets, id_text(&id));
}

static struct lease_set *set_make(struct lease_table *t, struct hash128 id, struct str key, int64_t due_ms)
{
    struct lease_set *set = calloc(1, sizeof *set + key.len);
    if (!set)
        return NULL;
    list_init(&set->node);
    set->id = id;
    set->due_ms = due_ms;
    set->key = str_of((char *)(set + 1), key.len);
    memcpy(set + 1, key.ptr, key.len);
    if (!map_set(&t->sets, id_text(&set->id), set)) {
        free(set);
        return NULL;
    }
    list_add_last(&t->due, &set->node);
    return set;
}

static bool make_room(struct lease_set *set, uint32_t count)
{
    if (count <= set->max - set->count)
        return true;
    uint64_t wanted = MAX_OF((uint64_t)set->count + count, MIN_OF(2 * (uint64_t)set->max, (uint64_t)set->max + 1024));
    uint64_t *grown = wanted <= UINT32_MAX ? realloc(set->numbers, wanted * sizeof *grown) : NULL;
    if (!grown)
        return false;
    set->numbers = grown;
    set->max = (uint32_t)wanted;
    return true;
}

struct lease_set *lease_table_add(struct lease_table *t, struct hash128 id, struct str key, uint64_t first,
                                  uint32_t count, int64_t due_ms)
{
    struct lease_set *set = lease_table_find(t, id);
    if (!set)
        set = set_make(t, id, key, due_ms);
    if (!set || !make_room(set, count)) {
        if (set)
            lease_table_drop_empty(t, set);
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++)
        set->numbers[set->count++] = first + i;
    t->count += count;
    return set;
}

uint32_t lease_table_take(struct lease_table *t, struct lease_set *set, uint32_t count, uint64_t *numbers)
{
    uint32_t taken = MIN_OF(count, set->count);
    set->count -= taken;
    t->count -= taken;
    memcpy(numbers, set->numbers + set->count, taken * sizeof *numbers);
    return taken;
}

void lease_table_drop_empty(struct lease_table *t, struct lease_set *set)
{
    if (set->count > 0)
        return;
    (void)map_remove(&t->sets, id_text(&set->id));
    set_free(set);
}

struct lease_set *lease_table_due(const struct lease_table *t, int64_t now_ms)
{
    if (list_is_empty(&t->due))
        return NULL;
    struct lease_set *set = LIST_FIRST(&t->due, struct lease_set, node);
    return set->due_ms <= now_ms ? set : NULL;
}

void lease_table_renewed(struct lease_table *t, struct lease_set *set, int64_t due_ms)
{
    list_remove(&set->node);
    list_add_last(&t->due, &set->node);
    set->due_ms = due_ms;
    set->is_away = false;
}

void lease_table_set_away(struct lease_table *t, struct lease_set *set)
{
    list_remove(&set->node);
    list_add_last(&t->away, &set->node);
    set->is_away = true;
}

void lease_table_set_all_away(struct lease_table *t)
{
    LIST_EACH(node, &t->due)
    {
        lease_table_set_away(t, CONTAINER_OF(node, struct lease_set, node));
    }
}
