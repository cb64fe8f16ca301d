/* node_limits.c - see node_limits.h. */
#include "process/node_limits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "limits/ban.h"
#include "limits/lease.h"
#include "limits/store_memory.h"
#include "process/plan.h"
#include "process/privileges.h"

/* Another number for every change in what the bytes of the two tables mean. */
#define KEPT_LAYOUT 1
#define KEPT_FILE   "counts"

/* Zeros, which all children share. */
static void *map(size_t bytes, const char *what, struct err *err)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p != MAP_FAILED)
        return p;
    err_set(err, "cannot get %zu MiB of shared memory for %s: %s", bytes >> 20, what, strerror(errno));
    return NULL;
}

static size_t align(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

/* Both tables in one file of the state directory, which may have to be made first. */
static bool open_kept(struct node_limits *n, const struct config *cfg, struct err *err)
{
    char path[PROCESS_PATH_MAX];
    struct privileges p;
    size_t bytes = align(store_memory_size(cfg->store.entries)) + ban_table_size(BAN_TABLE_DEFAULT);
    int len = snprintf(path, sizeof path, "%s/%s", cfg->state_dir, KEPT_FILE);
    if (len < 0 || (size_t)len >= sizeof path)
        return err_set(err, "the name of the state directory is too long");
    return privileges_find(&p, cfg->user, err) && privileges_make_dir(&p, cfg->state_dir, err) &&
           kept_memory_open(&n->kept, path, bytes, KEPT_LAYOUT, err);
}

static bool make(struct node_limits *n, const struct config *cfg, struct err *err)
{
    n->entries = cfg->store.entries;
    n->memory_bytes = align(store_memory_size(n->entries));
    n->is_kept = cfg->store.persists;
    if (n->is_kept && !open_kept(n, cfg, err))
        return false;
    bool is_old = n->is_kept && n->kept.is_old;
    n->memory = n->is_kept ? n->kept.at : map(n->memory_bytes, "limits", err);
    if (!n->memory)
        return err_set_hint(err, "lower the entries of `store memory`");
    void *bans =
        n->is_kept ? (char *)n->kept.at + n->memory_bytes : map(ban_table_size(BAN_TABLE_DEFAULT), "bans", err);
    struct store_options options = {.memory = n->memory, .owner = UINT32_MAX};
    if (!bans || !(is_old ? store_memory_reopen : store_memory_init)(n->memory, n->entries, err) ||
        !store_open(&n->store, &store_memory_ops, &options, err))
        return false;
    n->bans = (is_old ? ban_table_reopen : ban_table_init)(bans, BAN_TABLE_DEFAULT, err);
    return n->bans != NULL;
}

bool node_limits_prepare(struct node_limits *n, const struct config *cfg, struct err *err)
{
    if (!n->memory)
        return make(n, cfg, err); /* if it fails the service does not start */
    if (cfg->store.entries != n->entries)
        return err_set(err, "`store memory` has %zu entries and cannot get %zu by a reload: restart the service",
                       n->entries, cfg->store.entries);
    if (cfg->store.persists != n->is_kept)
        return err_set(err, "`store memory { persist … }` cannot change by a reload: restart the service");
    return true;
}

void node_limits_release(struct node_limits *n, uint32_t owner)
{
    lease_release_owner(&n->store, owner);
}

void node_limits_unmap(struct node_limits *n)
{
    if (n->is_kept) {
        kept_memory_close(&n->kept);
        return;
    }
    if (n->memory)
        munmap(n->memory, n->memory_bytes);
    if (n->bans)
        munmap(n->bans, ban_table_size(BAN_TABLE_DEFAULT));
}

void node_limits_free(struct node_limits *n)
{
    if (n->bans) {
        store_close(&n->store);
        store_memory_fini(n->memory);
        ban_table_fini(n->bans);
    }
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
