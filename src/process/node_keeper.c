/* node_keeper.c - see node_keeper.h. */
#include "process/node_keeper.h"

#include "limits/allowance_sync.h"

static void on_lost(void *arg)
{
    struct node_keeper *n = arg;
    allowance_sync_again(n->allowances);
}

bool node_keeper_begin(struct node_keeper *n, const struct node_limits *limits, const struct config *cfg,
                       struct redis *redis, struct loop *l, struct event_log *events, struct err *err)
{
    if (!redis || n->keeper)
        return true;
    struct keeper_options options = {
        .loop = l,
        .redis = redis,
        .shape = cfg->store.redis.shape,
        .mirror = limits->mirror,
        .outage = limits->outage,
        .bans = limits->bans,
        .events = events,
        .prefix = cfg->store.prefix,
        .node = str_of_z(limits->node),
        .on_lost = on_lost,
        .arg = n,
    };
    struct allowance_sync_options allowances = {
        .loop = l, .redis = redis, .table = limits->allowances, .prefix = cfg->store.prefix};
    n->allowances = allowance_sync_new(&allowances, err);
    n->keeper = n->allowances ? keeper_new(&options, err) : NULL;
    return n->keeper != NULL;
}

void node_keeper_rest(struct node_keeper *n)
{
    if (n->keeper)
        keeper_rest(n->keeper);
}

bool node_keeper_leave(struct node_keeper *n, void (*on_left)(void *arg), void *arg)
{
    if (!n->keeper)
        return false;
    keeper_leave(n->keeper, NODE_KEEPER_LEAVE_MS, on_left, arg);
    return true;
}

void node_keeper_end(struct node_keeper *n)
{
    keeper_free(&n->keeper);
    allowance_sync_free(&n->allowances);
}
