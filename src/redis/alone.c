/* alone.c - the shape of one server at one place: one shard, always there. See redis_inside.h. */
#include "redis/redis_inside.h"

static bool start(struct redis *r, struct err *err)
{
    struct redis_shard *shard = redis_shard_new(r, &r->options->endpoints[0]);
    if (!shard || !redis_set_shards(r, &shard, 1))
        return err_no_memory(err);
    redis_shard_connect(shard, &r->options->endpoints[0]); /* now, so that the first call may wait for it */
    return true;
}

static void locate(struct redis_shard *shard)
{
    redis_shard_connect(shard, &shard->redis->options->endpoints[0]);
}

/* Counting on a replica fails at the first write; on a node of a Cluster, at the first key of another. */
static bool accepts(struct redis_shard *shard, enum redis_down *kind, struct err *err)
{
    const struct redis_server *server = &shard->link.server;
    *kind = REDIS_DOWN_CONFIGURATION;
    if (server->mode == REDIS_MODE_CLUSTER)
        return err_set(err, "%s is a node of a Cluster: write `store redis cluster %s`", shard->name, shard->name);
    if (server->role == REDIS_ROLE_REPLICA)
        return err_set(err, "%s is a replica: name its master, or use `store redis sentinel`", shard->name);
    return true;
}

const struct redis_shape_ops redis_shape_alone = {.start = start, .locate = locate, .accepts = accepts};
