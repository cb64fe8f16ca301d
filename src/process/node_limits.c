/* node_limits.c - see node_limits.h. */
#include "process/node_limits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "limits/allowance.h"
#include "limits/ban.h"
#include "limits/lease.h"
#include "limits/mirror.h"
#include "limits/outage.h"
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

/* The tables that a file may keep, one after the other. */
struct layout {
    size_t bans, allowances, bytes; /* where they begin; the memory store's begins all */
};

static struct layout layout_of(size_t entries)
{
    struct layout l = {.bans = align(store_memory_size(entries))};
    l.allowances = l.bans + align(ban_table_size(BAN_TABLE_DEFAULT));
    l.bytes = l.allowances + align(allowance_table_size());
    return l;
}

static bool make_state_dir(const struct config *cfg, struct err *err)
{
    struct privileges p;
    return privileges_find(&p, cfg->user, err) && privileges_make_dir(&p, cfg->state_dir, err);
}

static bool open_kept(struct node_limits *n, const struct config *cfg, size_t bytes, struct err *err)
{
    char path[PROCESS_PATH_MAX];
    int len = snprintf(path, sizeof path, "%s/%s", cfg->state_dir, KEPT_FILE);
    if (len < 0 || (size_t)len >= sizeof path)
        return err_set(err, "the name of the state directory is too long");
    return make_state_dir(cfg, err) && kept_memory_open(&n->kept, path, bytes, KEPT_LAYOUT, err);
}

static bool make_tables(struct node_limits *n, char *at, const struct layout *l, bool is_old, struct err *err)
{
    struct store_options options = {.memory = at, .owner = UINT32_MAX};
    if (!(is_old ? store_memory_reopen : store_memory_init)(at, n->entries, err) ||
        !store_open(&n->store, &store_memory_ops, &options, err))
        return false;
    n->bans = (is_old ? ban_table_reopen : ban_table_init)(at + l->bans, BAN_TABLE_DEFAULT, err);
    n->allowances = (is_old ? allowance_table_reopen : allowance_table_init)(at + l->allowances, err);
    if (n->bans && n->allowances)
        n->memory = at;
    return n->memory != NULL;
}

static bool make(struct node_limits *n, const struct config *cfg, struct err *err)
{
    struct layout l = layout_of(cfg->store.entries);
    n->entries = cfg->store.entries;
    n->bytes = l.bytes;
    n->is_kept = cfg->store.persists;
    if (n->is_kept)
        return open_kept(n, cfg, l.bytes, err) && make_tables(n, n->kept.at, &l, n->kept.is_old, err);
    char *at = map(l.bytes, "limits", err);
    if (!at)
        return err_set_hint(err, "lower the entries of `store memory`");
    return make_tables(n, at, &l, false, err);
}

/* Beside a store in Redis. */
static bool make_mirror(struct node_limits *n, const struct config *cfg, struct err *err)
{
    if (!make_state_dir(cfg, err))
        return false;
    if (!node_id_load(cfg->state_dir, n->node, err)) /* it has another one then, until it ends */
        log_warning("%s%s%s", err->text, err->hint[0] ? ": " : "", err->hint);
    void *mirror = map(mirror_size(MIRROR_ENTRIES_DEFAULT), "what is known of the counts in Redis", err);
    void *outage = mirror ? map(sizeof *n->outage, "what is known of Redis", err) : NULL;
    if (!outage)
        return false;
    n->mirror = mirror_init(mirror, MIRROR_ENTRIES_DEFAULT, err);
    n->outage = outage;
    outage_begin(n->outage);
    return n->mirror != NULL;
}

bool node_limits_prepare(struct node_limits *n, const struct config *cfg, struct err *err)
{
    if (!n->memory && !make(n, cfg, err)) /* then the service does not start */
        return false;
    if (cfg->store.entries != n->entries)
        return err_set(err, "`store memory` has %zu entries and cannot get %zu by a reload: restart the service",
                       n->entries, cfg->store.entries);
    if (cfg->store.persists != n->is_kept)
        return err_set(err, "`store memory { persist … }` cannot change by a reload: restart the service");
    return !cfg->store.is_redis || n->mirror || make_mirror(n, cfg, err);
}

void node_limits_release(struct node_limits *n, uint32_t owner)
{
    lease_release_owner(&n->store, owner);
}

void node_limits_unmap(struct node_limits *n)
{
    if (n->is_kept)
        kept_memory_close(&n->kept);
    else if (n->memory)
        munmap(n->memory, n->bytes);
    if (n->mirror) {
        munmap(n->mirror, mirror_size(MIRROR_ENTRIES_DEFAULT));
        munmap(n->outage, sizeof *n->outage);
    }
}

void node_limits_free(struct node_limits *n)
{
    if (n->memory) {
        store_close(&n->store);
        store_memory_fini(n->memory);
        ban_table_fini(n->bans);
        allowance_table_fini(n->allowances);
    }
    if (n->mirror)
        mirror_fini(n->mirror);
    node_limits_unmap(n);
    *n = (struct node_limits){0};
}

/* ---- a process's own way ---- */

static bool open_redis(struct limits_way *way, const struct config *cfg, struct loop *l, struct resolver *resolver,
                       struct event_log *events, struct err *err)
{
    way->redis = redis_new(l, &cfg->store.redis, cfg->store.timeout_ms, resolver, events, err);
    return way->redis != NULL;
}

bool limits_way_open(struct limits_way *way, const struct node_limits *n, const struct config *cfg, uint32_t owner,
                     struct loop *l, struct resolver *resolver, struct event_log *events, struct err *err)
{
    *way = (struct limits_way){0};
    if (cfg->store.is_redis && !open_redis(way, cfg, l, resolver, events, err))
        return false;
    struct store_options options = {
        .memory = n->memory,
        .owner = owner,
        .loop = l,
        .redis = way->redis,
        .mirror = n->mirror,
        .outage = n->outage,
        .failure = cfg->store.failure,
        .timeout_ms = cfg->store.timeout_ms,
        .prefix = cfg->store.prefix,
        .node = str_of_z(n->node),
    };
    const struct store_ops *ops = stores_find(cfg->store.is_redis ? STR("redis") : STR("memory"));
    bool ok =
        store_open(&way->store, ops, &options, err) && (limiter_init(&way->limiter, &way->store) || err_no_memory(err));
    if (!ok)
        limits_way_close(way);
    return ok;
}

/* The client first: then none of the store's calls is under way any more. */
void limits_way_close(struct limits_way *way)
{
    redis_free(&way->redis);
    limiter_fini(&way->limiter);
    store_close(&way->store);
}
