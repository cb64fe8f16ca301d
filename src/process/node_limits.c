/* node_limits.c - see node_limits.h. */
#include "process/node_limits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/log.h"
#include "limits/allowance.h"
#include "limits/ban.h"
#include "limits/lease.h"
#include "limits/mirror.h"
#include "limits/outage.h"
#include "limits/store_memory.h"
#include "process/plan.h"
#include "process/privileges.h"

/* Another number for every change in what the bytes of the tables mean. */
#define KEPT_LAYOUT 1
#define KEPT_COUNTS "counts" /* with all three tables */
#define KEPT_ORDERS "bans"   /* with bans and allowances */

/* Redis knows for so long, at least, that a ban was lifted: who comes back with one that is no older hears of it. */
#define LIFTED_KNOWN_US (BAN_STRIKES_S * INT64_C(1000000))

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

static size_t counts_bytes(size_t entries)
{
    return align(store_memory_size(entries));
}

/* Bans, and behind them allowances. */
static size_t orders_bytes(void)
{
    return align(ban_table_size(BAN_TABLE_DEFAULT)) + align(allowance_table_size());
}

static bool make_state_dir(const struct config *cfg, struct err *err)
{
    struct privileges p;
    return privileges_find(&p, cfg->user, err) && privileges_make_dir(&p, cfg->state_dir, err);
}

static bool open_kept(struct node_limits *n, const struct config *cfg, const char *file, size_t bytes, struct err *err)
{
    char path[PROCESS_PATH_MAX];
    int len = snprintf(path, sizeof path, "%s/%s", cfg->state_dir, file);
    if (len < 0 || (size_t)len >= sizeof path)
        return err_set(err, "the name of the state directory is too long");
    return make_state_dir(cfg, err) && kept_memory_open(&n->kept, path, bytes, KEPT_LAYOUT, err);
}

static bool make_counts(struct node_limits *n, char *at, bool is_old, struct err *err)
{
    struct store_options options = {.memory = at, .owner = UINT32_MAX};
    return (is_old ? store_memory_reopen : store_memory_init)(at, n->entries, err) &&
           store_open(&n->store, &store_memory_ops, &options, err);
}

static bool make_orders(struct node_limits *n, char *at, bool is_old, struct err *err)
{
    n->bans = (is_old ? ban_table_reopen : ban_table_init)(at, BAN_TABLE_DEFAULT, err);
    at += align(ban_table_size(BAN_TABLE_DEFAULT));
    n->allowances = n->bans ? (is_old ? allowance_table_reopen : allowance_table_init)(at, err) : NULL;
    return n->allowances != NULL;
}

/* `store memory { persist on }`. */
static bool make_all_kept(struct node_limits *n, const struct config *cfg, struct err *err)
{
    size_t counts = counts_bytes(n->entries);
    if (!open_kept(n, cfg, KEPT_COUNTS, counts + orders_bytes(), err) ||
        !make_counts(n, n->kept.at, n->kept.is_old, err) ||
        !make_orders(n, (char *)n->kept.at + counts, n->kept.is_old, err))
        return false;
    n->memory = n->kept.at;
    return true;
}

/* What Redis may not have been told of is to be told. Older bans are read there again, and what it was told of
 * operators' orders: they may have been taken back since, and that be forgotten. */
static bool make_kept_orders(struct node_limits *n, struct err *err)
{
    if (!make_orders(n, n->kept.at, n->kept.is_old, err))
        return false;
    if (n->kept.is_old) {
        ban_table_forget(n->bans, clock_steady_us() - LIFTED_KNOWN_US);
        allowance_table_forget_told(n->allowances);
    }
    return true;
}

static bool make_unkept_orders(struct node_limits *n, struct err *err)
{
    n->orders = map(orders_bytes(), "bans", err);
    return n->orders && make_orders(n, n->orders, false, err);
}

static bool make_orders_of_redis(struct node_limits *n, const struct config *cfg, struct err *err)
{
    if (open_kept(n, cfg, KEPT_ORDERS, orders_bytes(), err))
        return make_kept_orders(n, err);
    log_warning("%s%s%s: what is ordered while Redis is away does not survive a stop of the service", err->text,
                err->hint[0] ? ": " : "", err->hint);
    return make_unkept_orders(n, err);
}

static bool make(struct node_limits *n, const struct config *cfg, struct err *err)
{
    n->entries = cfg->store.entries;
    n->bytes = counts_bytes(n->entries);
    n->is_kept = cfg->store.persists;
    if (n->is_kept)
        return make_all_kept(n, cfg, err);
    char *at = map(n->bytes, "limits", err);
    if (!at)
        return err_set_hint(err, "lower the entries of `store memory`");
    if (!make_counts(n, at, false, err))
        return false;
    if (!(cfg->store.is_redis ? make_orders_of_redis(n, cfg, err) : make_unkept_orders(n, err)))
        return false;
    n->memory = at;
    return true;
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
    if (n->memory && !n->is_kept)
        munmap(n->memory, n->bytes);
    if (n->orders)
        munmap(n->orders, orders_bytes());
    if (n->kept.at)
        kept_memory_close(&n->kept);
    if (n->mirror) {
        munmap(n->mirror, mirror_size(MIRROR_ENTRIES_DEFAULT));
        munmap(n->outage, sizeof *n->outage);
    }
}

/* What was counted while Redis was away goes with the mirror. */
static void say_what_is_lost(const struct node_limits *n)
{
    struct mirror_stats stats;
    mirror_stats_get(n->mirror, clock_steady_us(), &stats);
    if (stats.due)
        log_warning("Redis was not told of all that this node counted while it was away: %llu counter%s lost",
                    (unsigned long long)stats.due, stats.due == 1 ? " is" : "s are");
}

void node_limits_free(struct node_limits *n)
{
    if (n->memory) {
        store_close(&n->store);
        store_memory_fini(n->memory);
        ban_table_fini(n->bans);
        allowance_table_fini(n->allowances);
    }
    if (n->mirror) {
        say_what_is_lost(n);
        mirror_fini(n->mirror);
    }
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
