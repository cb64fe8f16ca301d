/* node_limits.c - see node_limits.h. */
#include "process/node_limits.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "limits/ban.h"
#include "limits/lease.h"
#include "limits/store_memory.h"

/* Zeros, which all children share. */
static void *map(size_t bytes, const char *what, struct err *err)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p != MAP_FAILED)
        return p;
    err_set(err, "cannot get %zu MiB of shared memory for %s: %s", bytes >> 20, what, strerror(errno));
    return NULL;
}

static bool make_memory(struct node_limits *n, size_t entries, struct err *err)
{
    size_t bytes = store_memory_size(entries);
    void *p = map(bytes, "limits", err);
    if (!p)
        return err_set_hint(err, "lower the entries of `store memory`");
    struct store_options options = {.memory = p, .owner = UINT32_MAX};
    if (!store_memory_init(p, entries, err) || !store_open(&n->store, &store_memory_ops, &options, err)) {
        munmap(p, bytes);
        return false;
    }
    n->memory = p;
    n->memory_bytes = bytes;
    n->entries = entries;
    return true;
}

static bool prepare_memory(struct node_limits *n, size_t entries, struct err *err)
{
    if (!n->memory)
        return make_memory(n, entries, err);
    if (entries == n->entries)
        return true;
    return err_set(err, "`store memory` has %zu entries and cannot get %zu by a reload: restart the service",
                   n->entries, entries);
}

static bool prepare_bans(struct node_limits *n, struct err *err)
{
    size_t bytes = ban_table_size(BAN_TABLE_DEFAULT);
    void *p = n->bans ? NULL : map(bytes, "bans", err);
    if (p) {
        n->bans = ban_table_init(p, BAN_TABLE_DEFAULT, err);
        if (!n->bans)
            munmap(p, bytes);
    }
    return n->bans != NULL;
}

bool node_limits_prepare(struct node_limits *n, const struct config *cfg, struct err *err)
{
    return prepare_memory(n, cfg->store.entries, err) && prepare_bans(n, err);
}

void node_limits_release(struct node_limits *n, uint32_t owner)
{
    lease_release_owner(&n->store, owner);
}

void node_limits_unmap(struct node_limits *n)
{
    if (n->memory)
        munmap(n->memory, n->memory_bytes);
    if (n->bans)
        munmap(n->bans, ban_table_size(BAN_TABLE_DEFAULT));
}

void node_limits_free(struct node_limits *n)
{
    if (n->memory) {
        store_close(&n->store);
        store_memory_fini(n->memory);
    }
    if (n->bans)
        ban_table_fini(n->bans);
    node_limits_unmap(n);
    *n = (struct node_limits){0};
}

/* ---- a process's own way ---- */

bool limits_way_open(struct limits_way *way, const struct node_limits *n, const struct config *cfg, uint32_t owner,
                     struct loop *l, struct resolver *resolver, struct event_log *events, struct err *err)
{
    struct store_options options = {.memory = n->memory, .owner = owner, .loop = l};
    (void)cfg;
    (void)resolver;
    (void)events;
    *way = (struct limits_way){0};
    if (!store_open(&way->store, &store_memory_ops, &options, err))
        return false;
    if (limiter_init(&way->limiter, &way->store))
        return true;
    limits_way_close(way);
    return err_no_memory(err);
}

void limits_way_close(struct limits_way *way)
{
    limiter_fini(&way->limiter);
    store_close(&way->store);
}
