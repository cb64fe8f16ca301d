/* cluster.c - the shape of a Cluster: its nodes, its map of slots. See cluster.h. */
#include "redis/cluster.h"

#include <stdlib.h>

/* ---- nodes ---- */

static struct cluster_node *node_at(const struct cluster *cl, const struct endpoint *at)
{
    LIST_EACH(item, &cl->nodes)
    {
        struct cluster_node *node = CONTAINER_OF(item, struct cluster_node, node);
        if (endpoint_equal(&node->at, at))
            return node;
    }
    return NULL;
}

static struct cluster_node *node_new(struct cluster *cl, const struct endpoint *at)
{
    struct cluster_node *node = cl->node_count < CLUSTER_NODES_MAX ? calloc(1, sizeof *node) : NULL;
    if (!node)
        return NULL;
    node->at = *at;
    node->shard = redis_shard_new(cl->redis, at);
    if (!node->shard) {
        free(node);
        return NULL;
    }
    node->shard->state = node;
    list_add_last(&cl->nodes, &node->node);
    cl->node_count++;
    redis_shard_connect(node->shard, &node->at); /* now: the first call may wait for it */
    return node;
}

static void node_forget(struct cluster *cl, struct cluster_node *node)
{
    list_remove(&node->node);
    cl->node_count--;
    node->shard->state = NULL;
    redis_shard_retire(node->shard);
    free(node);
}

/* Nodes that are not listed and that nobody asked for lately. */
static void forget_spare_nodes(struct cluster *cl)
{
    int64_t now_ms = loop_now_ms(cl->redis->loop);
    LIST_EACH(item, &cl->nodes)
    {
        struct cluster_node *node = CONTAINER_OF(item, struct cluster_node, node);
        if (node->shard->index == SIZE_MAX && (!node->used_ms || now_ms - node->used_ms > CLUSTER_SPARE_MS))
            node_forget(cl, node);
    }
}

/* ---- the map ---- */

static struct redis_shard *shard_of(const struct cluster *cl, uint16_t slot)
{
    uint16_t number = cl->shard_of[slot];
    return number == SLOTS_UNCOVERED ? NULL : cl->redis->shards[number];
}

/* The shards as they are, and perhaps one more. */
static bool list_shards(struct cluster *cl, struct redis_shard *more)
{
    struct redis *r = cl->redis;
    struct redis_shard **list = calloc(r->shard_count + 1, sizeof(struct redis_shard *));
    if (!list)
        return false;
    for (size_t i = 0; i < r->shard_count; i++)
        list[i] = r->shards[i];
    list[r->shard_count] = more;
    bool is_listed = redis_set_shards(r, list, r->shard_count + (more ? 1 : 0));
    free(list);
    return is_listed;
}

/* One slot has another master. */
static bool learn_move(struct cluster *cl, uint16_t slot, struct redis_shard *to)
{
    if (shard_of(cl, slot) == to)
        return true;
    bool is_new = to->index == SIZE_MAX;
    if ((is_new && cl->redis->shard_count == SLOTS_MASTERS_MAX) || !list_shards(cl, is_new ? to : NULL))
        return false;
    cl->shard_of[slot] = (uint16_t)to->index;
    return true;
}

struct redis_shard *cluster_follow(struct cluster *cl, const struct slots_redirect *to)
{
    struct cluster_node *node = node_at(cl, &to->to);
    if (!node)
        node = node_new(cl, &to->to);
    if (!node)
        return NULL;
    node->used_ms = loop_now_ms(cl->redis->loop);
    if (to->kind == SLOTS_MOVED) {
        /* What cannot be noted, for lack of memory, costs the next command another redirect. */
        (void)learn_move(cl, to->slot, node->shard);
        cl->ask.moved_to = to->to;
        cluster_want_map(cl);
    }
    return node->shard;
}

/* For each master of the map the number of its shard; the shards in `list`: first those that are listed already. */
static bool number_masters(struct cluster *cl, const struct slots_map *map, struct redis_shard **list,
                           uint16_t *numbers)
{
    const struct redis *r = cl->redis;
    uint16_t count = 0;
    for (size_t m = 0; m < map->master_count; m++)
        numbers[m] = SLOTS_UNCOVERED;
    for (size_t i = 0; i < r->shard_count; i++) {
        const struct cluster_node *node = r->shards[i]->state;
        for (size_t m = 0; m < map->master_count; m++) {
            if (endpoint_equal(&node->at, &map->masters[m])) {
                list[count] = r->shards[i];
                numbers[m] = count++;
                break;
            }
        }
    }
    for (size_t m = 0; m < map->master_count; m++) {
        if (numbers[m] != SLOTS_UNCOVERED)
            continue;
        struct cluster_node *node = node_at(cl, &map->masters[m]);
        if (!node)
            node = node_new(cl, &map->masters[m]);
        if (!node)
            return false;
        list[count] = node->shard;
        numbers[m] = count++;
    }
    return true;
}

static bool is_same_list(const struct redis *r, struct redis_shard *const *list, size_t count)
{
    if (r->shard_count != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (r->shards[i] != list[i])
            return false;
    return true;
}

static bool install_numbered(struct cluster *cl, const struct slots_map *map, struct redis_shard **list,
                             const uint16_t *numbers)
{
    bool is_same = is_same_list(cl->redis, list, map->master_count);
    cl->is_whole = true;
    for (size_t i = 0; i < SLOTS_COUNT; i++)
        cl->is_whole = cl->is_whole && map->master_of[i] != SLOTS_UNCOVERED;
    for (size_t i = 0; is_same && i < SLOTS_COUNT; i++) {
        uint16_t m = map->master_of[i];
        is_same = cl->shard_of[i] == (m == SLOTS_UNCOVERED ? SLOTS_UNCOVERED : numbers[m]);
    }
    if (is_same)
        return true; /* map_version says so by staying what it is */
    if (!redis_set_shards(cl->redis, list, map->master_count))
        return false;
    for (size_t i = 0; i < SLOTS_COUNT; i++) {
        uint16_t m = map->master_of[i];
        cl->shard_of[i] = m == SLOTS_UNCOVERED ? SLOTS_UNCOVERED : numbers[m];
    }
    return true;
}

bool cluster_install(struct cluster *cl, const struct slots_map *map, struct err *err)
{
    struct redis_shard **list = calloc(map->master_count, sizeof(struct redis_shard *));
    uint16_t *numbers = calloc(map->master_count, sizeof *numbers);
    bool is_installed =
        list && numbers && number_masters(cl, map, list, numbers) && install_numbered(cl, map, list, numbers);
    free(list);
    free(numbers);
    forget_spare_nodes(cl);
    return is_installed || err_no_memory(err);
}

bool cluster_is_amiss(const struct cluster *cl)
{
    const struct redis *r = cl->redis;
    if (r->shard_count == 0 || !cl->is_whole)
        return true;
    for (size_t i = 0; i < r->shard_count; i++)
        if (!redis_shard_takes_calls(r->shards[i]))
            return true;
    return false;
}

/* ---- the shape ---- */

static bool start(struct redis *r, struct err *err)
{
    struct cluster *cl = calloc(1, sizeof *cl);
    if (!cl)
        return err_no_memory(err);
    cl->redis = r;
    list_init(&cl->nodes);
    list_init(&cl->redirected);
    for (size_t i = 0; i < SLOTS_COUNT; i++)
        cl->shard_of[i] = SLOTS_UNCOVERED;
    r->shape_state = cl;
    cluster_ask_init(cl);
    cluster_want_map(cl);
    return true;
}

static void stop(struct redis *r)
{
    struct cluster *cl = r->shape_state;
    if (!cl)
        return;
    cluster_ask_fini(cl);
    cluster_forget_redirected(cl);
    LIST_EACH(item, &cl->nodes)
    {
        free(CONTAINER_OF(item, struct cluster_node, node));
    }
    free(cl);
    r->shape_state = NULL;
}

static struct redis_shard *route(struct redis *r, struct str key, uint16_t *slot)
{
    *slot = redis_slot(key);
    return shard_of(r->shape_state, *slot);
}

bool cluster_refuse_alone(const char *name, struct err *err)
{
    return err_set(
        err, "%s is no node of a Cluster: write `store redis \"redis://%s\"` (or set `cluster-enabled yes` there)",
        name, name);
}

/* A node is where it is; whether it is a master still, the map says. */
static void locate(struct redis_shard *shard)
{
    const struct cluster_node *node = shard->state;
    redis_shard_connect(shard, &node->at);
}

static bool accepts(struct redis_shard *shard, enum redis_down *kind, struct err *err)
{
    const struct redis_server *server = &shard->link.server;
    if (server->mode == REDIS_MODE_STANDALONE) {
        *kind = REDIS_DOWN_CONFIGURATION;
        return cluster_refuse_alone(shard->name, err);
    }
    if (server->role == REDIS_ROLE_REPLICA) {
        *kind = REDIS_DOWN_AWAY;
        cluster_want_map(shard->redis->shape_state);
        return err_set(err, "%s is a replica now: the Cluster's map will say who is the master", shard->name);
    }
    return true;
}

static void on_down(struct redis_shard *shard)
{
    cluster_want_map(shard->redis->shape_state);
}

const struct redis_shape_ops redis_shape_cluster = {
    .start = start,
    .stop = stop,
    .route = route,
    .locate = locate,
    .accepts = accepts,
    .takes_reply = cluster_takes_reply,
    .takes_end = cluster_takes_end,
    .on_down = on_down,
};
